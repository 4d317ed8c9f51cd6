//! What a vendor may answer: nothing of it stops the daemon, injects into its log, or gives the key away.

use std::fs;

use base64::Engine;
use serde_json::{Value, json};

use crate::daemon::vendor::{Vendor, error};
use crate::daemon::{Place, texts};
use crate::support::Reply;

const KEY: &str = "sk-live-0123456789abcdef";

fn said(text: &str) -> Reply {
    Reply::json(200, &json!({"choices": [{"finish_reason": "stop", "message": {"content": text}}]}))
}

fn raw(body: impl Into<Vec<u8>>) -> Reply {
    Reply::Http {
        status: 200,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.into(),
    }
}

fn with_header(name: &'static str, value: String) -> Reply {
    let body = json!({"error": {"message": "no", "code": "no"}}).to_string().into_bytes();
    Reply::Http { status: 429, headers: vec![(name, value)], body }
}

fn place(house: &Vendor, honest: &Vendor) -> Place {
    let texts = texts(r#"["house", "manual"]"#, &[("house", house.url()), ("honest", honest.url())]);
    let texts = texts.replacen("api_key = false", "api_key = { env = \"HOUSE_KEY\" }\ntrip_after = 1000", 1);
    let neighbour = "[assets.note]\nmedium = \"text\"\nchain = [\"honest\"]\nprompt = \"A note\"\n";
    let mut place = Place::new(&format!("{neighbour}{texts}"));
    place.environment.push(("HOUSE_KEY", KEY.to_owned()));
    place.environment.push(("BACKSTOP_LOG", "debug".to_owned()));
    place
}

/// Everything that the daemon has written: its log and its database.
fn written(place: &Place, log: &str) -> String {
    let mut all = log.to_owned();
    for file in ["backstop.db", "backstop.db-wal"] {
        all.push_str(&String::from_utf8_lossy(&fs::read(place.file(file)).unwrap_or_default()));
    }
    all
}

#[test]
fn nothing_a_vendor_answers_stops_the_daemon_or_reaches_the_log_as_it_is() {
    let (house, honest) = (Vendor::start(), Vendor::start());
    let place = place(&house, &honest);
    let serving = place.serve();
    let escapes = "\u{1b}[2J\u{1b}]0;mine\u{7}\r\n2026-11-24T00:00:00Z  INFO forged line \u{9b}31m\u{202e}";
    let deep = format!("{{\"choices\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let bomb = vec![b' '; 6 << 20];
    for (number, (name, reply)) in [
        ("escapes in an error", error(400, escapes, escapes)),
        ("escapes in a 500", error(500, "x", escapes)),
        ("a NUL in an error", error(400, "a\0b", "a\0b")),
        ("a NUL in a text", said("a text\0with a NUL")),
        ("depth", raw(deep)),
        ("a number beyond all numbers", raw(r#"{"usage": {"prompt_tokens": 1e999}, "choices": []}"#)),
        ("keys twice", raw(r#"{"choices": [], "choices": [], "choices": 7}"#)),
        ("half a character", raw(r#"{"choices": [{"message": {"content": "\ud800"}}]}"#)),
        ("bytes that are no text", raw([0xff, 0xfe, b'{', 0x80])),
        ("a body beyond its limit", raw(bomb)),
        ("a megabyte of header", with_header("x-large", "x".repeat(1 << 20))),
        ("waits of 10^30 s", with_header("retry-after", "1000000000000000000000000000000".to_owned())),
        ("a negative wait", with_header("retry-after", "-1".to_owned())),
        ("a wait until 1970", with_header("retry-after", "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())),
        ("a wait that is none", with_header("retry-after", "NaN".to_owned())),
        ("no length that is one", with_header("content-length", "-1".to_owned())),
        ("a status that is none", Reply::Http { status: 999, headers: vec![], body: vec![] }),
        ("an endless error", Reply::Endless { status: 500 }),
        ("an endless answer", Reply::Endless { status: 200 }),
    ]
    .into_iter()
    .enumerate()
    {
        house.answer_instead(Some(reply));
        // What the last one said of waiting or of the key is the vendor's business, not this test's.
        place.sql(&format!(
            "BEGIN; DELETE FROM provider_health; INSERT INTO jobs (asset, slug, max_runs) VALUES ('social-text', 'bad-{number}', 1);
             INSERT INTO jobs (asset, slug) VALUES ('note', 'good-{number}'); COMMIT"
        ));
        place.shows(&format!("SELECT status FROM jobs WHERE slug = 'good-{number}'"), "done");
        place.shows(
            &format!("SELECT status IN ('manual', 'pending') FROM jobs WHERE slug = 'bad-{number}'"),
            "1",
        );
        println!("{name}: {}", place.sql(&format!("SELECT error FROM jobs WHERE slug = 'bad-{number}'")));
    }
    let log = serving.log();
    let odd = |c: char| c != '\n' && (c.is_control() || ('\u{200b}'..='\u{202e}').contains(&c));
    let found: String = log.chars().filter(|c| odd(*c)).collect();
    assert!(found.is_empty(), "a terminal would obey this log: {found:?}\n{log:?}");
    assert!(
        log.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()),
        "a line was injected:\n{log}"
    );
    place.finds("SELECT count(*) FROM attempts WHERE instr(error, char(27)) OR instr(error, char(10)) OR instr(error, char(0))", "0");
    serving.stop();
}

#[test]
fn a_key_that_is_echoed_is_neither_published_nor_kept() {
    let (house, honest) = (Vendor::start(), Vendor::start());
    let place = place(&house, &honest);
    let serving = place.serve();
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("user:{KEY}"));
    let percent = KEY.replace('-', "%2D");
    let spaced: String = KEY.chars().flat_map(|c| [c, ' ']).collect();
    let escaped: String = KEY.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
    let message = |text: &str| error(400, "debug", &format!("you sent: {text}"));
    let mut replies = vec![
        said(&format!("The header was Authorization: Bearer {KEY}, said the relay.")),
        said(&format!("The header was Authorization: Basic {basic}, said the relay.")),
        said(&format!("The address was ?key={percent}, said the relay.")),
        raw(format!(
            r#"{{"choices": [{{"finish_reason": "stop", "message": {{"content": "You are {escaped}."}}}}]}}"#
        )),
        raw(format!(r#"{{"error": {{"message": "You are {escaped}."}}}}"#)),
        with_header("x-request-id", KEY.to_owned()),
        Reply::redirect(&format!("https://example.invalid/?key={KEY}")),
        Reply::Http { status: 500, headers: vec![], body: format!("<pre>{KEY}</pre>").into_bytes() },
        error(400, KEY, "no"),
    ];
    replies.extend([KEY, &basic, &percent, &spaced].map(message));
    let count = replies.len();
    for (number, reply) in replies.into_iter().enumerate() {
        house.answer_instead(Some(reply));
        place.sql(&format!(
            "BEGIN; DELETE FROM provider_health; INSERT INTO jobs (asset, slug, max_runs) VALUES ('social-text', 'bad-{number}', 1);
             INSERT INTO jobs (asset, slug) VALUES ('note', 'good-{number}'); COMMIT"
        ));
        place.shows(&format!("SELECT status FROM jobs WHERE slug = 'good-{number}'"), "done");
        place.shows(
            &format!("SELECT status IN ('manual', 'pending') FROM jobs WHERE slug = 'bad-{number}'"),
            "1",
        );
    }
    place.finds("SELECT count(*) FROM jobs WHERE status = 'done'", &count.to_string());
    let all = written(&place, &serving.log());
    for spelling in [KEY, &basic, &percent, &spaced] {
        let part = spelling.get(spelling.len() - 12..).expect("long enough");
        assert!(!all.contains(part), "{part} is written down");
    }
    serving.stop();
}
