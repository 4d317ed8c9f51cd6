//! Who may: tokens, cookies, hosts and origins.

use std::os::unix::fs::PermissionsExt;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Site, send};

const CONFIGURATION: &str = "[assets.social-text]\nchain = [\"template\", \"manual\"]\n";

#[test]
fn nobody_looks_or_writes_without_a_token() {
    let site = Site::start(CONFIGURATION);
    let refused = send(site.bare(Method::GET, "/api/jobs"));
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.header("www-authenticate"), "Bearer");
    assert!(refused.detail().contains("Authorization: Bearer"), "{}", refused.body);
    let wish = json!({"slug": "a"});
    let wrong = site.bare(Method::POST, "/api/generate/social-text").bearer_auth("x".repeat(64)).json(&wish);
    assert_eq!(send(wrong).status, StatusCode::UNAUTHORIZED);
    site.place.finds("SELECT count(*) FROM jobs", "0");
    let page = send(site.bare(Method::GET, "/").header("accept", "text/html"));
    assert_eq!((page.status, page.header("location")), (StatusCode::SEE_OTHER, "/login"));
    let mode = site.place.file("web-token").metadata().expect("is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!site.serving.log().contains(&site.token()), "the token is in the log");
}

#[test]
fn a_browser_shows_the_token_once() {
    let site = Site::start(CONFIGURATION);
    let login = |token: &str| {
        send(
            site.bare(Method::POST, "/login")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(format!("token={token}")),
        )
    };
    assert_eq!(login("guess").status, StatusCode::FORBIDDEN);
    let taken = login(&site.token());
    assert_eq!((taken.status, taken.header("location")), (StatusCode::SEE_OTHER, "/"));
    let cookie = taken.header("set-cookie");
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let page = send(site.bare(Method::GET, "/").header("cookie", &pair));
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Social text"), "{}", page.body);
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    let foreign = |origin: &str| {
        let request = site.bare(Method::POST, "/api/generate/social-text").header("cookie", &pair);
        send(request.header("origin", origin).json(&json!({"slug": "a"})))
    };
    assert_eq!(foreign("https://evil.example").status, StatusCode::FORBIDDEN);
    site.place.finds("SELECT count(*) FROM jobs", "0");
    assert_eq!(foreign(&site.address).status, StatusCode::OK);
}

#[test]
fn another_name_for_this_address_is_a_strangers() {
    let site = Site::start(CONFIGURATION);
    let named =
        |host: &str| send(site.bare(Method::GET, "/api/jobs").bearer_auth(site.token()).header("host", host));
    assert_eq!(named("evil.example").status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(named("localhost").status, StatusCode::OK);
}

#[test]
fn a_missing_token_is_warned_of_before_the_start() {
    let place = crate::daemon::Place::new(CONFIGURATION);
    let said = |configuration: &str| {
        place.configure(&format!("{CONFIGURATION}[web]\n{configuration}"));
        let output = place.backstop("check").env("BACKSTOP_WEB__LISTEN", "127.0.0.1:0").output();
        String::from_utf8_lossy(&output.expect("runs").stdout).into_owned()
    };
    let missing = said("token = { env = \"NOT_THERE\" }\nread_token = { file = \"reader\" }\n");
    assert!(missing.contains("warning: web.token was not found (looked in"), "{missing}");
    assert!(missing.contains("warning: web.read_token was not found (looked in"), "{missing}");
    std::fs::write(place.file("reader"), "a token for who reads").expect("written");
    let there = said("read_token = { file = \"reader\" }\n");
    assert!(!there.contains("warning:"), "{there}");
}

#[test]
fn a_reader_reads() {
    let site = Site::start(&format!("{CONFIGURATION}[web]\nread_token = {{ file = \"reader\" }}\n"));
    // It was not there at the start; a reload finds it.
    std::fs::write(site.place.file("reader"), "a token for who reads").expect("written");
    site.serving.signal(rustix::process::Signal::HUP);
    site.serving.says("read again and is in force");
    let read = |method: Method, path: &str| {
        send(site.bare(method, path).bearer_auth("a token for who reads").json(&json!({"slug": "a"})))
    };
    let came = crate::daemon::within(crate::daemon::PATIENCE, || {
        read(Method::GET, "/api/jobs").status == StatusCode::OK
    });
    assert!(came, "{}", site.serving.log());
    let refused = read(Method::POST, "/api/generate/social-text");
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(refused.detail(), "this token may only read; show one that may write");
}
