//! Delivered files: by their key, in pieces, and never as a page.

use std::fs;

use reqwest::{Method, StatusCode};
use serde_json::json;

use super::{Site, TEXTS, send};
use crate::support::picture;

/// A site with this file in its vault, as a run would have put it there.
fn with(name: &str, bytes: &[u8]) -> Site {
    let site = Site::start(TEXTS);
    let folder = site.place.file("assets/hero-image");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join(name), bytes).expect("written");
    site
}

const FILM: &str = "/assets/hero-image/film-7-1f3a90bc.mp4";

/// More than is read at once, every byte of it told from its neighbours.
fn film() -> Vec<u8> {
    let start = *b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp41";
    start.into_iter().chain((0..700_000_u32).map(|n| u8::try_from(n * 7 % 251).expect("a byte"))).collect()
}

#[test]
fn a_file_is_there_in_parts_and_as_a_whole() {
    let film = film();
    let site = with("film-7-1f3a90bc.mp4", &film);
    let whole = site.file(FILM, &[]);
    assert_eq!((whole.status, whole.bytes.len()), (StatusCode::OK, film.len()));
    assert!(whole.bytes == film, "it is another film");
    assert_eq!(whole.header("content-type"), "video/mp4");
    assert_eq!(whole.header("content-length"), film.len().to_string());
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("cache-control"), "private, max-age=31536000, immutable");
    assert_eq!(whole.header("content-disposition"), "inline; filename=\"film-7-1f3a90bc.mp4\"");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");

    let part = |range: &str| site.file(FILM, &[("range", range)]);
    for (range, from, to) in [
        ("bytes=0-0", 0, 0),
        ("bytes=262000-530000", 262_000, 530_000),
        ("bytes=-10", film.len() - 10, film.len() - 1),
    ] {
        let answer = part(range);
        assert_eq!(answer.status, StatusCode::PARTIAL_CONTENT, "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{to}/{}", film.len()));
        assert!(answer.bytes == film[from..=to], "{range}");
    }
    assert_eq!(part("bytes=0-1,5-6").status, StatusCode::OK, "several ranges are answered with all");
    let behind = part("bytes=9999999-");
    assert_eq!(behind.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(behind.header("content-range"), format!("bytes */{}", film.len()));

    let (tag, at) = (whole.header("etag").to_owned(), whole.header("last-modified").to_owned());
    for known in [("if-none-match", tag.as_str()), ("if-none-match", "\"a\", *"), ("if-modified-since", &at)]
    {
        let answer = site.file(FILM, &[known]);
        assert_eq!((answer.status, answer.bytes.len()), (StatusCode::NOT_MODIFIED, 0), "{known:?}");
        assert_eq!(answer.header("etag"), tag);
    }
    let fresh = site.file(FILM, &[("if-none-match", "\"a\""), ("if-modified-since", &at)]);
    assert_eq!(fresh.status, StatusCode::OK);
    let same = site.file(FILM, &[("range", "bytes=0-3"), ("if-range", &tag)]);
    assert_eq!((same.status, same.bytes.len()), (StatusCode::PARTIAL_CONTENT, 4));
    assert_eq!(site.file(FILM, &[("range", "bytes=0-3"), ("if-range", "\"a\"")]).status, StatusCode::OK);

    let head = send(site.bare(Method::HEAD, FILM).bearer_auth(site.token()));
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), film.len().to_string());
    let other = send(site.bare(Method::DELETE, FILM).bearer_auth(site.token()));
    assert_eq!((other.status, other.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "GET,HEAD"));
    assert_eq!(send(site.bare(Method::GET, FILM)).status, StatusCode::UNAUTHORIZED);
}

#[test]
fn nothing_in_a_file_is_run() {
    let page = b"<!DOCTYPE html><script>alert(document.cookie)</script>";
    let site = with("page-7-1f3a90bc.png", page);
    let drawing = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    fs::write(site.place.file("assets/hero-image/drawing-7-1f3a90bc.svg"), drawing).expect("written");
    for name in ["page-7-1f3a90bc.png", "drawing-7-1f3a90bc.svg"] {
        let answer = site.file(&format!("/assets/hero-image/{name}"), &[]);
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.header("content-type"), "application/octet-stream", "{name}");
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename=\"{name}\""));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; sandbox");
    }
}

#[test]
fn no_path_leads_out_of_the_vault() {
    let site = with("film-7-1f3a90bc.mp4", &film());
    let vault = site.place.file("assets");
    std::os::unix::fs::symlink(site.place.file("web-token"), vault.join("hero-image/link-7-1f3a90bc.png"))
        .expect("a link");
    std::os::unix::fs::symlink(site.place.file("in-hand"), vault.join("social-text")).expect("a link");
    fs::write(site.place.file("in-hand/secret-7-1f3a90bc.png"), "secret").expect("written");
    let token = site.token();
    for path in [
        "/assets/../web-token",
        "/assets/hero-image/../../web-token",
        "/assets/%2e%2e/web-token",
        "/assets/..%2fweb-token/a.png",
        "/assets/hero-image/%2e%2e%2f%2e%2e%2fweb-token",
        "/assets/hero-image/..%5c..%5cweb-token",
        "/assets/hero-image/film-7-1f3a90bc.mp4%00.png",
        "/assets/hero-image%00/film-7-1f3a90bc.mp4",
        "/assets//hero-image/film-7-1f3a90bc.mp4",
        "//assets/hero-image/film-7-1f3a90bc.mp4",
        "/assets/hero-image//etc/passwd",
        "/assets/hero-image/%2fetc%2fpasswd",
        "/assets/heroImage/film-7-1f3a90bc.mp4",
        "/assets/hero-image/FILM-7-1f3a90bc.mp4",
        "/assets/hero-image/%ff%fe.png",
        "/assets/hero-image/",
        "/assets/hero-image",
        "/assets/",
        "/assets/hero-image/link-7-1f3a90bc.png",
        "/assets/social-text/secret-7-1f3a90bc.png",
        "/static/../../web-token",
        "/api/../assets/hero-image/film-7-1f3a90bc.mp4",
    ] {
        let answer = site.raw(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        ));
        let status: u16 = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0);
        assert!(matches!(status, 400 | 404 | 503), "{path}\n{answer}");
        assert!(!answer.contains("secret") && !answer.contains(&token), "{path}\n{answer}");
    }
    assert_eq!(site.file(FILM, &[]).status, StatusCode::OK);
}

#[test]
fn a_row_does_not_say_which_file_is_served() {
    let site = Site::start(TEXTS);
    let job = json!({"slug": "by-hand", "providerOverride": "manual"});
    site.post("/api/generate/hero-image", &job);
    let file = format!("file://{}", site.place.file("web-token").display());
    assert!(
        site.place.try_sql(&format!("UPDATE jobs SET status = 'done', url = '{file}' WHERE id = 1")).is_err()
    );
    site.place.sql(
        "UPDATE jobs SET status = 'done', url = 'https://evil.example/hero-image/by-hand-1-1f3a90bc.png'",
    );
    assert_eq!(site.get("/api/jobs/1").json()["assetPath"], json!(null));
    let raw = site.bare(Method::POST, "/api/jobs/1/retry").bearer_auth(site.token());
    send(raw.json(&json!({"providerOverride": "manual"})));
    site.place.shows("SELECT status FROM jobs", "manual");
    let picture = picture((1_600, 900));
    let request = site.bare(Method::POST, "/api/jobs/1/resolve").bearer_auth(site.token());
    let kept = send(request.header("content-type", "image/png").body(picture.clone())).json();
    let listed = site.get("/api/jobs").json()["jobs"][0]["assetPath"].clone();
    assert_eq!(kept["assetPath"], listed);
    assert_eq!(site.file(listed.as_str().expect("a path"), &[]).bytes, picture);
}
