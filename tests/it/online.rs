//! `check --online`: the real program against vendors on this machine.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Reply, Request, Server};

const KEY: &str = "sk-online-0123456789abcdef";

/// Runs `check` over a configuration, with this key for whoever asks for one.
fn check(text: &str, arguments: &[&str]) -> Output {
    let folder: TempDir = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("backstop.toml"), text).expect("written");
    run(folder.path(), arguments)
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOUSE_KEY", KEY)
        .output()
        .expect("it runs");
    for stream in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(stream);
        assert!(!text.contains(KEY) && !text.contains(&KEY[10..]), "the key in {text}");
    }
    output
}

fn said(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Two chat servers behind one address, and two assets that share the second.
fn configuration(first: &str, second: &str) -> String {
    let provider = |name: &str, base: &str| {
        format!(
            "[providers.{name}]\nprotocol = \"openai-chat\"\nmodel = \"{name}-1\"\nbase_url = \"{base}/v1\"\n\
             api_key = {{ env = \"HOUSE_KEY\" }}\n"
        )
    };
    format!(
        "[assets.teaser]\nmedium = \"text\"\nchain = [\"quill\", \"pen\", \"template\"]\nprompt = \"x\"\n\
         [assets.social-text]\nchain = [\"pen\", \"manual\"]\n\
         [assets.hero-image]\nchain = [\"title-card\"]\n[assets.video-clip]\nchain = [\"manual\"]\n{}{}",
        provider("quill", first),
        provider("pen", second)
    )
}

fn list(entries: &Value) -> Reply {
    Reply::json(200, &json!({"object": "list", "data": entries}))
}

async fn good() -> Server {
    Server::start(|request: &Request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v1/models") => list(&json!([{"id": "quill-1"}, {"id": "pen-1"}])),
        _ => Reply::json(500, &json!({"error": "nothing else may be asked"})),
    })
    .await
}

#[tokio::test]
async fn all_is_well_and_each_is_asked_once() {
    let vendor = good().await;
    let text = configuration(&vendor.url(), &vendor.url());
    let (code, told) = said(&check(&text, &["check", "--online"]));
    for line in [
        "  quill       answers, whatever the key; model quill-1 is listed\n",
        "  pen         answers, whatever the key; model pen-1 is listed\n",
        "  template    needs nobody\n",
        "  title-card  needs nobody",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(code, Some(0), "{told}");
    assert!(!told.contains("not well"), "{told}");
    assert_eq!(vendor.requests().len(), 2, "one question for each, though pen stands in two chains");
    let (code, told) = said(&check(&text, &["--json", "check", "--online"]));
    let online: Value = serde_json::from_str::<Value>(&told).expect("JSON")["online"].take();
    assert_eq!((code, &online["works"]), (Some(0), &json!(true)));
    let quill = json!({"provider": "quill", "state": "ok", "works": true,
        "sentence": "answers, whatever the key; model quill-1 is listed"});
    assert_eq!(
        online["providers"].as_array().and_then(|all| all.iter().find(|one| one["provider"] == "quill")),
        Some(&quill)
    );
    let video = json!({"asset": "video-clip", "works": true, "sentence": "a person is asked at once"});
    assert_eq!(
        online["chains"].as_array().and_then(|all| all.iter().find(|one| one["asset"] == "video-clip")),
        Some(&video)
    );
}

#[tokio::test]
async fn without_the_flag_nobody_is_asked() {
    let vendor = good().await;
    let (code, told) = said(&check(&configuration(&vendor.url(), &vendor.url()), &["check"]));
    assert_eq!(code, Some(0), "{told}");
    assert!(!told.contains("Asked"), "{told}");
    assert!(vendor.requests().is_empty());
}

#[tokio::test]
async fn a_first_link_that_does_not_work_is_code_1() {
    let fine = good().await;
    let mut gone = good().await;
    gone.stop();
    let refusing =
        Server::always(Reply::json(401, &json!({"error": {"code": "invalid_api_key", "message": "no"}})))
            .await;
    let ended = Server::always(list(&json!([{"id": "quill-1", "shutdown_date": "2020-01-01"}]))).await;
    let page = Server::always(Reply::Http { status: 200, headers: vec![], body: b"<html>".to_vec() }).await;
    let broke =
        Server::always(Reply::json(429, &json!({"error": {"code": "insufficient_quota", "message": "pay"}})))
            .await;
    let thief = good().await;
    let redirect = Server::always(Reply::redirect(&format!("{}/v1/models", thief.url()))).await;
    let other = Server::always(list(&json!([{"id": "other"}]))).await;
    for (vendor, sentence) in [
        (&gone, "unreachable: cannot connect"),
        (&refusing, "key refused: answered 401 (invalid_api_key): no"),
        (&ended, "model quill-1 was shut down on 2020-01-01"),
        (&other, "model quill-1 is not listed"),
        (&page, "answers oddly: answered with a page instead of JSON"),
        (&broke, "over quota: answered 429 (insufficient_quota): pay"),
        (&redirect, "answers oddly: answered 302, a redirect, which no call follows"),
    ] {
        let text = configuration(&vendor.url(), &fine.url());
        let (code, told) = said(&check(&text, &["check", "--online"]));
        assert!(told.contains(sentence), "{sentence}: {told}");
        let verdict = "not well: teaser: quill, its first link, does not work; pen steps in\n";
        assert!(told.ends_with(verdict), "{sentence}: {told}");
        assert_eq!(code, Some(1), "{told}");
    }
    assert!(thief.requests().is_empty(), "the key went nowhere else");
}

#[tokio::test]
async fn what_may_well_work_is_code_0_and_what_ends_is_told() {
    let ends = Server::always(list(&json!([{"id": "quill-1", "shutdown_date": "2999-01-01"}]))).await;
    let fine = good().await;
    let (code, told) = said(&check(&configuration(&ends.url(), &fine.url()), &["check", "--online"]));
    let ending = told.lines().find(|line| line.contains("; model quill-1 shuts down in ")).expect(&told);
    assert!(ending.ends_with(" days, on 2999-01-01"), "{told}");
    assert_eq!(code, Some(0), "{told}");
    let relay = Server::always(Reply::json(404, &json!({"detail": "Not Found"}))).await;
    let (code, told) = said(&check(&configuration(&relay.url(), &fine.url()), &["check", "--online"]));
    assert!(
        told.contains("does not know the question, so nothing was found out: answered 404: Not Found"),
        "{told}"
    );
    assert_eq!(code, Some(0), "{told}");
}

#[tokio::test]
async fn a_chain_that_nobody_serves_is_code_1_and_a_missing_key_is_not_asked_with() {
    let fine = good().await;
    let text = configuration(&fine.url(), &fine.url()).replacen("HOUSE_KEY", "NO_KEY", 1);
    let (code, told) = said(&check(&text, &["check", "--online"]));
    assert!(told.contains("environment variable NO_KEY; not asked") || told.contains("NO_KEY"), "{told}");
    assert_eq!(code, Some(0), "its link is skipped, and the next one works: {told}");
    let (code, told) = said(&check(&text.replace("HOUSE_KEY", "NO_KEY"), &["check", "--online"]));
    assert!(told.contains("not well: social-text: nobody can be called"), "{told}");
    assert_eq!(code, Some(1), "{told}");
    assert_eq!(fine.requests().len(), 1, "who has no key is not asked");
}
