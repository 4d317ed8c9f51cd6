//! Who drips, floods, lies or sends rubbish: refused with a status, while the queue goes on.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::json;

use super::{Site, TEXTS, send};
use crate::daemon::{PATIENCE, block_on, within};

const PATH: &str = "/api/generate/social-text";

/// The status of an answer as it came over the line; 0 where there was none.
fn status(answer: &str) -> u16 {
    answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or(0)
}

impl Site {
    fn head(&self, line: &str, rest: &str) -> String {
        format!("{line}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{rest}\r\n", self.token())
    }

    fn dial(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address.trim_start_matches("http://")).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
        stream
    }
}

#[test]
fn a_request_names_one_host_and_that_is_ours() {
    let site = Site::start(TEXTS);
    let check = |line: &str, rest: &str, expected: u16| {
        let answer = site.raw(&site.head(line, rest));
        assert_eq!(status(&answer), expected, "{line} {rest}\n{answer}");
    };
    let line = "GET /api/jobs HTTP/1.1";
    check(line, "Host: localhost\r\n", 200);
    check(line, "Host: localhost\r\nHost: evil.example\r\n", 421);
    check(line, "Host: localhost\r\nHost: localhost\r\n", 421);
    check("HEAD /api/jobs HTTP/1.1", "Host: localhost\r\n", 200);
    let head = site.raw(&site.head("HEAD /api/jobs HTTP/1.1", "Host: localhost\r\n"));
    assert!(head.ends_with("\r\n\r\n") && head.contains("content-length: "), "{head}");
    check(line, "", 421);
    check(line, "Host: evil.example\r\n", 421);
    check(line, "Host: localhost.evil.example\r\n", 421);
    check("GET http://evil.example/api/jobs HTTP/1.1", "Host: localhost\r\n", 421);
    check(
        "POST /api/generate/social-text HTTP/1.1",
        "Host: localhost\r\nOrigin: null\r\nContent-Length: 0\r\n",
        403,
    );
    check("OPTIONS /api/jobs HTTP/1.1", "Host: localhost\r\nOrigin: https://evil.example\r\n", 403);
    site.place.finds("SELECT count(*) FROM jobs", "0");
}

#[test]
fn what_is_too_large_or_no_http_is_refused() {
    let site = Site::start(TEXTS);
    let check = |sent: &str, expected: &[u16]| {
        let answer = site.raw(sent);
        let start: String = sent.chars().take(80).collect();
        assert!(expected.contains(&status(&answer)), "{start:?}\n{answer}");
    };
    let host = "Host: localhost\r\n";
    let get = "GET /api/jobs HTTP/1.1";
    check(&site.head(get, &format!("{host}X: {}\r\n", "x".repeat(70_000))), &[431]);
    check(&site.head(get, &(host.to_owned() + &"X: x\r\n".repeat(200))), &[431]);
    check(&site.head(&format!("GET /{} HTTP/1.1", "x".repeat(70_000)), host), &[414, 431]);
    for rubbish in [
        "\r\n\r\n\r\n\r\nrubbish\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\x16\x03\x01\x02\r\n\r\n",
    ] {
        check(rubbish, &[400, 0]);
    }
    let post = "POST /api/generate/social-text HTTP/1.1";
    check(&(site.head(post, &format!("{host}Transfer-Encoding: chunked\r\n")) + "zz\r\n{}\r\n"), &[400]);
    check(&(site.head(post, &format!("{host}Content-Length: -1\r\n")) + "{}"), &[400]);
    check(&(site.head(post, &format!("{host}Content-Length: 1\r\nContent-Length: 2\r\n")) + "{}"), &[400]);
    let both = site.head(post, &format!("{host}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"));
    check(&(both + "0\r\n\r\n"), &[400]);
    check(&(site.head(post, &format!("{host}Content-Length: 1\r\n")) + "{"), &[400]);

    let large = format!("{{\"slug\": \"a\", \"prompt\": \"{}\"}}", "x".repeat(2 << 20));
    let request = || site.bare(Method::POST, PATH).bearer_auth(site.token());
    let refused = send(request().body(large.clone()));
    assert_eq!(refused.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(refused.detail(), "the body has more than 1 MiB; send less");
    let piece = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    check(&(site.head(post, &format!("{host}Transfer-Encoding: chunked\r\n")) + &piece), &[413]);
    site.post(PATH, &json!({"slug": "a", "providerOverride": "manual"}));
    let request = site.bare(Method::POST, "/api/jobs/1/resolve").bearer_auth(site.token());
    let refused = send(request.header("content-type", "image/png").body(vec![0; (64 << 20) + 1]));
    assert_eq!(refused.detail(), "the body has more than 64 MiB; send less");
    let part = reqwest::multipart::Part::bytes(vec![0; (65 << 20) + 1]).file_name("a.png");
    let request = site.bare(Method::POST, "/api/jobs/1/resolve").bearer_auth(site.token());
    let refused = send(request.multipart(reqwest::multipart::Form::new().part("file", part)));
    assert_eq!(refused.detail(), "the body has more than 64 MiB; send less");
    site.place.finds("SELECT count(*) FROM jobs", "1");
}

#[test]
fn who_drips_is_cut_off_and_who_waits_is_not() {
    let site = Site::start(TEXTS);
    // Sends one byte after another until it is cut off, and says how long that took and what it was told.
    let drips = |start: String| {
        let mut stream = site.dial();
        let began = Instant::now();
        stream.write_all(start.as_bytes()).expect("sent");
        stream.set_read_timeout(Some(Duration::from_millis(300))).expect("a bound");
        let mut told = Vec::new();
        loop {
            let mut piece = [0; 4096];
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(read) => told.extend_from_slice(&piece[..read]),
                Err(error)
                    if matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    ) =>
                {
                    if stream.write_all(b"x").is_err() {
                        break;
                    }
                }
                Err(_) => break,
            }
            assert!(began.elapsed() < PATIENCE, "it may drip for ever");
        }
        (began.elapsed(), String::from_utf8_lossy(&told).into_owned())
    };
    let host = "Host: localhost\r\n";
    let head = "GET /api/jobs HTTP/1.1\r\nX: ".to_owned();
    let length = format!("{host}Content-Length: 100000\r\n");
    let body = site.head("POST /api/generate/social-text HTTP/1.1", &length) + "{\"slug\": \"";
    let login = site.head(
        "POST /login HTTP/1.1",
        &format!("{length}Content-Type: application/x-www-form-urlencoded\r\n"),
    );
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let wish = json!({"slug": "late", "runAt": "2199-01-01"});
            let began = Instant::now();
            let answer = send(site.posting(PATH, &wish).header("prefer", "wait=15"));
            (answer.status, began.elapsed())
        });
        let slow = [head, body, login].map(|start| scope.spawn(|| drips(start)));
        let [head, body, login] = slow.map(|slow| slow.join().expect("no panic"));
        assert!(head.0 < Duration::from_secs(20), "{head:?}");
        assert!(body.0 < Duration::from_secs(20) && status(&body.1) == 408, "{body:?}");
        assert!(login.0 < Duration::from_secs(20), "{login:?}");
        let (answered, waited) = waits.join().expect("no panic");
        assert_eq!(answered, StatusCode::ACCEPTED);
        assert!(waited >= Duration::from_secs(15), "{waited:?}");
    });
}

/// As many open files as the system lets this process have; its children inherit that.
fn many_files() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).expect("as much as is allowed");
}

#[test]
fn idle_connections_keep_nobody_out_and_the_queue_goes_on() {
    many_files();
    let site = Site::start(TEXTS);
    let work = |name: &str| {
        let began = Instant::now();
        site.place.sql(&format!(
            "INSERT INTO jobs (asset, slug) SELECT 'social-text', '{name}' || value FROM generate_series(1, 300)"
        ));
        let left = format!("SELECT count(*) FROM jobs WHERE slug LIKE '{name}%' AND status <> 'done'");
        site.place.shows(&left, "0");
        began.elapsed()
    };
    let before = work("before-");
    let connections: Vec<TcpStream> = (0..1_100).map(|_| site.dial()).collect();
    let asked: Vec<Duration> = (0..20)
        .map(|_| {
            let began = Instant::now();
            assert_eq!(site.get("/api/jobs?limit=1").status, StatusCode::OK);
            began.elapsed()
        })
        .collect();
    let slowest = asked.into_iter().max().expect("some");
    assert!(slowest < Duration::from_secs(3), "{slowest:?}");
    let meanwhile = work("meanwhile-");
    assert!(meanwhile < before * 3 + Duration::from_secs(2), "{before:?} before, {meanwhile:?} meanwhile");
    drop(connections);
}

#[test]
fn so_many_wait_and_the_next_is_told_to_come_back() {
    many_files();
    let site = Site::start(TEXTS);
    let later = |name: String| json!({"slug": name, "runAt": "2199-01-01"});
    let waiting =
        |name: String, prefer: &'static str| site.posting(PATH, &later(name)).header("prefer", prefer).send();
    block_on(async {
        let mut waiters = Box::pin(join_all((0..256).map(|n| waiting(format!("w-{n}"), "wait=600"))));
        let come = async {
            loop {
                let jobs = "SELECT count(*) FROM jobs";
                let there = site.place.sql(jobs);
                if there == "256" {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            _ = &mut waiters => panic!("nobody waited"),
            come = tokio::time::timeout(PATIENCE, come) => come.expect("all of them are let in"),
        }
        let refused = waiting("one-more".to_owned(), "wait=5").await.expect("an answer");
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "5");
        let asked = waiting("at-once".to_owned(), "respond-async").await.expect("an answer");
        assert_eq!(asked.status(), StatusCode::ACCEPTED);
        // Who hangs up waits no longer.
        drop(waiters);
    });
    site.place.finds("SELECT group_concat(slug) FROM jobs WHERE slug NOT LIKE 'w-%'", "at-once");
    let came = within(PATIENCE, || {
        send(site.posting(PATH, &later("again".to_owned())).header("prefer", "wait=0")).status.is_success()
            && send(site.posting(PATH, &later("again".to_owned())).header("prefer", "wait=1")).status
                == StatusCode::ACCEPTED
    });
    assert!(came, "those who hung up still wait");
}

#[test]
fn a_flood_of_wrong_tokens_locks_nobody_out() {
    let site = Site::start(TEXTS);
    let flood = (0..400)
        .map(|n| site.bare(Method::GET, "/api/jobs").bearer_auth(format!("{n}-{}", "x".repeat(60))).send());
    let (wrong, right) = block_on(async {
        tokio::join!(join_all(flood), site.bare(Method::GET, "/api/jobs").bearer_auth(site.token()).send())
    });
    assert!(wrong.into_iter().all(|answer| answer.expect("an answer").status() == StatusCode::UNAUTHORIZED));
    assert_eq!(right.expect("an answer").status(), StatusCode::OK);
    assert_eq!(site.get("/api/jobs").status, StatusCode::OK);
}

#[test]
fn a_token_in_a_file_may_end_with_a_newline() {
    for file in ["a token for who writes\n", "a token for who writes"] {
        let place = crate::daemon::Place::new(TEXTS);
        std::fs::write(place.file("writer"), file).expect("written");
        place.configure(&format!("{TEXTS}[web]\ntoken = {{ file = \"writer\" }}\n"));
        let site = Site::of(place);
        let ask = |token: &str| send(site.bare(Method::GET, "/api/jobs").bearer_auth(token)).status;
        assert_eq!(ask("a token for who writes"), StatusCode::OK, "{file:?}");
        assert_eq!(ask("a token for who write"), StatusCode::UNAUTHORIZED);
    }
}

#[test]
fn a_stop_answers_who_waits_and_waits_for_nobody_who_drips() {
    let mut site = Site::start(TEXTS);
    let mut half = site.dial();
    half.write_all(b"GET /api/jobs HTTP/1.1\r\nHost: loc").expect("sent");
    let wish = json!({"slug": "late", "runAt": "2199-01-01"});
    let request = site.posting(PATH, &wish).header("prefer", "wait=600");
    let waiting = std::thread::spawn(move || send(request));
    site.place.shows("SELECT count(*) FROM jobs", "1");
    let began = Instant::now();
    site.serving.signal(Signal::TERM);
    let answer = waiting.join().expect("answered, not cut off");
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    assert_eq!(answer.header("location"), "/api/jobs/1");
    assert!(site.serving.ends().success(), "{}", site.serving.log());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert!(
        TcpStream::connect(site.address.trim_start_matches("http://")).is_err(),
        "nobody listens any more"
    );

    site.restart();
    let mut half = site.dial();
    half.write_all(b"GET /api/jobs HTTP/1.1\r\nHost: loc").expect("sent");
    let began = Instant::now();
    site.serving.signal(Signal::TERM);
    assert!(site.serving.ends().success(), "{}", site.serving.log());
    assert!(began.elapsed() < Duration::from_secs(4), "half a head held it up: {:?}", began.elapsed());
}

#[test]
fn what_is_asked_for_here_starts_sooner_than_what_is_found() {
    let site = Site::start(TEXTS);
    for n in 0..15 {
        let made = site.post(PATH, &json!({"slug": format!("asked-{n}")}));
        assert_eq!(made.status, StatusCode::OK, "{}", made.body);
        site.place.enqueue(&format!("found-{n}"));
        site.place.shows("SELECT count(*) FROM jobs WHERE status <> 'done'", "0");
    }
    let median = |kind: &str| -> f64 {
        let sql = format!(
            "SELECT (julianday(a.started_at) - julianday(j.created_at)) * 86400000 FROM jobs j
             JOIN attempts a ON a.job_id = j.id WHERE j.slug LIKE '{kind}%' ORDER BY 1 LIMIT 1 OFFSET 7"
        );
        site.place.sql(&sql).parse().expect("milliseconds")
    };
    let (asked, found) = (median("asked"), median("found"));
    assert!(asked < found, "{asked} ms after it was asked for, {found} ms after it was inserted");
}
