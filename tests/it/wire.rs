//! Providers over a real socket: what is sent, what is never sent, and what becomes of every broken exchange.

mod described;
mod labels;
mod questions;
mod search;

use std::collections::HashMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use backstop::domain::accept::{Acceptance, Aspect};
use backstop::domain::ask::{Answer, Ask, Body, Output};
use backstop::domain::asset::Medium;
use backstop::domain::budget::Budget;
use backstop::domain::failure::{Failure, FailureClass};
use backstop::domain::name::{AssetName, ProviderName};
use backstop::domain::provider::{Key, OnUnknown, Provider, Repeat};
use backstop::domain::time::{Clock, from_text};
use backstop::providers::{Generate, Providers, catalog};
use serde_json::{Map, Value, json};

use crate::support::{FakeVendor, Reply, Request, Server, picture};

const KEY: &str = "sk-test-0123456789abcdef";
const PROMPT: &str = "An editorial piece about foxes that come to town at night";
const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn provider(protocol: &str, base_url: &str) -> Provider {
    let facts = catalog().protocol(protocol).expect("a protocol");
    Provider {
        name: label(),
        title: "House".to_owned(),
        protocol: protocol.to_owned(),
        supported: facts.supported,
        medium: facts.medium.unwrap_or(Medium::Text),
        model: Some("m-1".to_owned()),
        base_url: Some(base_url.to_owned()),
        key: Key::Present,
        retired: None,
        timeout: facts.timeout,
        instant: false,
        retries: 1,
        concurrency: 4,
        pace: None,
        trip_after: 3,
        on_unknown: OnUnknown::Next,
        repeat: facts.repeat,
        price_micros: 700,
        budget: Budget::default(),
        fingerprint: "f".to_owned(),
        options: Map::new(),
    }
}

fn label() -> ProviderName {
    ProviderName::parse("house").expect("a label")
}

fn ask(medium: Medium) -> Ask {
    Ask {
        asset: AssetName::parse("an-asset").expect("a name"),
        medium,
        slug: "foxes".to_owned(),
        prompt: PROMPT.to_owned(),
        input: Map::new(),
        accept: Acceptance { aspect: Aspect::parse("16:9"), ..Acceptance::default() },
        repeat: 0,
        idempotency_key: "attempt-1".to_owned(),
    }
}

fn clock() -> Clock {
    let now = from_text("2026-11-22T13:49:00.000Z").expect("valid");
    Arc::new(move || now)
}

fn ready(provider: &Provider, key: Option<&str>) -> Providers {
    let secrets: HashMap<_, _> = key.map(|key| (label(), key.into())).into_iter().collect();
    Providers::new(std::slice::from_ref(provider), secrets, clock()).expect("usable providers")
}

/// One call, and what became of it.
async fn call(provider: &Provider, time_left: Duration) -> Result<Output, Failure> {
    let answer = ready(provider, Some(KEY)).call(&label(), &ask(provider.medium), time_left).await;
    if let Err(failure) = &answer {
        for shown in [failure.to_string(), format!("{failure:?}")] {
            assert!(!shown.contains(KEY) && !shown.contains(PROMPT), "a secret in {shown}");
            assert!(!shown.contains("http://"), "an address in {shown}");
        }
    }
    match answer? {
        Answer::Output(output) => Ok(output),
        Answer::Accepted { operation, .. } => panic!("accepted as {operation}"),
    }
}

async fn failure(provider: &Provider, time_left: Duration) -> Failure {
    call(provider, time_left).await.expect_err("a failure")
}

fn chat_reply() -> Value {
    json!({"model": "m-1-real", "choices": [{"message": {"content": "Foxes."}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1_000, "completion_tokens": 100}})
}

fn url_reply(url: &str) -> Reply {
    Reply::json(200, &json!({"data": [{"url": url}]}))
}

fn carries_key(request: &Request) -> bool {
    request.path.contains(KEY) || request.headers.iter().any(|(_, value)| value.contains(KEY))
}

#[tokio::test]
async fn a_chat_comes_back_with_its_facts() {
    let mut reply = Reply::json(200, &chat_reply());
    if let Reply::Http { headers, .. } = &mut reply {
        headers.push(("x-request-id", "req_7".to_owned()));
    }
    let server = Server::always(reply).await;
    let mut provider = provider("openai-chat", &format!("{}/v1/", server.url()));
    provider.options =
        json!({"prices": {"input": 2_000_000, "output": 10_000_000}}).as_object().expect("object").clone();
    let output = call(&provider, LONG).await.expect("an output");
    assert_eq!(output.body, Body::Text("Foxes.".to_owned()));
    assert_eq!(output.model.as_deref(), Some("m-1-real"));
    assert_eq!(output.cost_micros, 3_000);
    assert_eq!(output.http_status, Some(200));
    assert_eq!(output.request_id.as_deref(), Some("req_7"));

    let request = server.request();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/chat/completions"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("x-client-request-id"), Some("attempt-1"));
    assert!(request.header("user-agent").expect("one").starts_with("backstop/"));
    assert_eq!(request.json()["messages"][0]["content"], PROMPT);
}

#[tokio::test]
async fn anthropic_gets_its_own_headers() {
    let reply = json!({"content": [{"type": "text", "text": "Foxes."}], "stop_reason": "end_turn"});
    let server = Server::always(Reply::json(200, &reply)).await;
    let output = call(&provider("anthropic", &server.url()), LONG).await.expect("an output");
    assert_eq!(output.body, Body::Text("Foxes.".to_owned()));
    assert_eq!(output.cost_micros, 700, "the price of one call, without usage");
    let request = server.request();
    assert_eq!(request.path, "/v1/messages");
    assert_eq!(request.header("x-api-key"), Some(KEY));
    assert_eq!(request.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!(request.header("authorization"), None);
}

#[tokio::test]
async fn without_a_key_none_is_sent() {
    let server = Server::always(Reply::json(200, &chat_reply())).await;
    let provider = provider("openai-chat", &server.url());
    for key in [None, Some("  ")] {
        ready(&provider, key).call(&label(), &ask(Medium::Text), LONG).await.expect("an answer");
    }
    for request in server.requests() {
        assert_eq!(request.header("authorization"), None);
    }
}

#[tokio::test]
async fn a_picture_is_fetched_from_where_the_reply_says_and_without_the_key() {
    let png = picture((64, 36));
    let file = png.clone();
    let cdn = Server::start(move |_| Reply::Http {
        status: 200,
        headers: vec![("content-type", "image/png".to_owned())],
        body: file.clone(),
    })
    .await;
    let url = format!("{}/fox.png?sig=1", cdn.url());
    let vendor = Server::start(move |_| url_reply(&url)).await;
    let output = call(&provider("openai-images", &vendor.url()), LONG).await.expect("an output");
    assert_eq!(output.body, Body::File(png.into()));
    assert_eq!(output.claimed_type.as_deref(), Some("image/png"));
    assert!(carries_key(&vendor.request()));
    let request = cdn.request();
    assert_eq!(request.path, "/fox.png?sig=1");
    assert!(!carries_key(&request), "{request:?}");
}

#[tokio::test]
async fn a_redirect_takes_the_key_nowhere() {
    let thief = Server::always(Reply::json(200, &chat_reply())).await;
    for to in [format!("{}/v1/chat/completions", thief.url()), "/elsewhere".to_owned()] {
        let vendor = Server::always(Reply::redirect(&to)).await;
        let failure = failure(&provider("openai-chat", &vendor.url()), LONG).await;
        assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
        assert!(failure.message.contains("correct base_url"), "{failure}");
        vendor.request();
    }
    assert!(thief.requests().is_empty());
}

#[tokio::test]
async fn a_download_follows_redirects_within_reach_only() {
    let cdn = Server::always(Reply::Http { status: 200, headers: vec![], body: b"png".to_vec() }).await;
    let target = format!("{}/real", cdn.url());
    let door = Server::start(move |request| match request.path.as_str() {
        "/cdn" => Reply::redirect(&target),
        "/metadata" => Reply::redirect("http://169.254.169.254/latest/meta-data/"),
        "/file" => Reply::redirect("file:///etc/passwd"),
        _ => Reply::redirect("/circle"),
    })
    .await;
    let vendor = |path: &str| {
        let url = if path.starts_with('/') { format!("{}{path}", door.url()) } else { path.to_owned() };
        Server::start(move |_| url_reply(&url))
    };
    let good = vendor("/cdn").await;
    let output = call(&provider("openai-images", &good.url()), LONG).await.expect("an output");
    assert_eq!(output.body, Body::File("png".into()));
    for (path, why) in [
        ("/metadata", "private address"),
        ("/file", "nothing that can be fetched"),
        ("/circle", "circles"),
        ("http://169.254.169.254/", "private address"),
        ("http://0xa9fea9fe/", "private address"),
        ("file:///etc/passwd", "not https"),
    ] {
        let bad = vendor(path).await;
        let failure = failure(&provider("openai-images", &bad.url()), LONG).await;
        assert_eq!(failure.class, FailureClass::Unusable, "{path}: {failure}");
        assert!(failure.message.contains(why), "{path}: {failure}");
    }
    assert!(door.requests().iter().chain(&cdn.requests()).all(|request| !carries_key(request)));
}

#[tokio::test]
async fn a_download_that_is_not_there_yet_is_tried_again_as_a_download() {
    let mut tries = 0;
    let cdn = Server::start(move |_| {
        tries += 1;
        match tries {
            1 => Reply::Http { status: 404, headers: vec![], body: vec![] },
            2 => Reply::Half { announced: 10, body: b"pn".to_vec() },
            _ => Reply::Http { status: 200, headers: vec![], body: b"png".to_vec() },
        }
    })
    .await;
    let url = cdn.url();
    let vendor = Server::start(move |_| url_reply(&url)).await;
    let output = call(&provider("openai-images", &vendor.url()), LONG).await.expect("an output");
    assert_eq!(output.body, Body::File("png".into()));
    assert_eq!(cdn.requests().len(), 3);
    vendor.request();
}

#[tokio::test]
async fn a_download_that_never_comes_is_not_paid_for_twice() {
    for (status, tries) in [(404, 2), (410, 1), (403, 1)] {
        let cdn = Server::always(Reply::Http { status, headers: vec![], body: vec![] }).await;
        let url = cdn.url();
        let vendor = Server::start(move |_| url_reply(&url)).await;
        let mut provider = provider("openai-images", &vendor.url());
        let time_left = Duration::from_millis(1200);
        let failure = failure(&provider, time_left).await;
        assert_eq!(failure.class, FailureClass::UnknownOutcome, "{failure}");
        assert_eq!(failure.cost_micros, 700, "what was made is billed");
        assert_eq!(cdn.requests().len(), tries, "{status}");
        vendor.request();
        provider.repeat = Repeat::Free;
        assert_eq!(call(&provider, time_left).await.expect_err("lost").class, FailureClass::TimedOut);
    }
}

#[tokio::test]
async fn what_was_never_sent_is_transient() {
    let mut server = Server::always(Reply::HangUp).await;
    server.stop();
    let failure = failure(&provider("openai-chat", &server.url()), LONG).await;
    assert_eq!(failure.class, FailureClass::Transient, "{failure}");
    let nowhere = provider("openai-chat", "https://no-such-host.invalid");
    assert_eq!(call(&nowhere, LONG).await.expect_err("no host").class, FailureClass::Transient);
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_of_unknown_fate_where_it_is_paid() {
    let half = Reply::Half { announced: 1000, body: b"{\"choices\":".to_vec() };
    for (reply, why) in [
        (Reply::HangUp, "broke before the answer"),
        (Reply::Silence, "no answer within"),
        (half, "broke off"),
        (Reply::Drip, "its time was up"),
    ] {
        let server = Server::always(reply.clone()).await;
        let mut provider = provider("openai-chat", &server.url());
        let began = Instant::now();
        let paid = failure(&provider, SHORT).await;
        assert_eq!(paid.class, FailureClass::UnknownOutcome, "{reply:?}: {paid}");
        assert!(paid.message.contains(why), "{reply:?}: {paid}");
        server.request();
        provider.repeat = Repeat::Free;
        assert_eq!(failure(&provider, SHORT).await.class, FailureClass::TimedOut, "{reply:?}");
        assert!(began.elapsed() < LONG, "{reply:?}: the time given is the time taken");
        assert_eq!(server.requests().len(), 2, "{reply:?}: nothing is sent again by itself");
    }
}

#[tokio::test]
async fn the_providers_own_time_out_counts_too() {
    let server = Server::always(Reply::Silence).await;
    let mut provider = provider("openai-chat", &server.url());
    provider.timeout = SHORT;
    let began = Instant::now();
    assert_eq!(failure(&provider, LONG).await.class, FailureClass::UnknownOutcome);
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn without_time_nothing_is_sent() {
    let server = Server::always(Reply::Silence).await;
    let failure = failure(&provider("openai-chat", &server.url()), Duration::ZERO).await;
    assert_eq!(failure.class, FailureClass::TimedOut);
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_compressed_answer_is_not_blown_up() {
    // `printf '{"a":1}' | gzip -n`: what grows to a gigabyte looks just like it.
    let packed: &[u8] = &[
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0x56, 0x4a, 0x54, 0xb2, 0x32, 0xac, 5, 0, 0x9b, 0x9a, 0x36,
        0xb5, 7, 0, 0, 0,
    ];
    for encoding in ["gzip", "br", "deflate", "zstd"] {
        let headers =
            vec![("content-type", "application/json".to_owned()), ("content-encoding", encoding.to_owned())];
        let server = Server::always(Reply::Http { status: 200, headers, body: packed.to_vec() }).await;
        let failure = failure(&provider("openai-chat", &server.url()), LONG).await;
        assert_eq!(failure.class, FailureClass::Unusable, "{encoding}: {failure}");
        assert!(failure.message.contains("no JSON"), "{encoding}: {failure}");
        let asked = server.request();
        assert_eq!(asked.header("accept-encoding"), None, "nothing compressed is asked for");
    }
}

#[tokio::test]
async fn no_answer_is_larger_than_its_limit() {
    let endless = Server::always(Reply::Endless { status: 200 }).await;
    let too_much = failure(&provider("openai-chat", &endless.url()), LONG).await;
    assert_eq!(too_much.class, FailureClass::Unusable, "{too_much}");
    assert!(too_much.message.contains("larger than 4 MiB"), "{too_much}");
    assert_eq!(too_much.http_status, Some(200));

    let announced = Server::always(Reply::Half { announced: 5 << 20, body: vec![] }).await;
    let too_much = failure(&provider("openai-chat", &announced.url()), LONG).await;
    assert!(too_much.message.contains("larger than 4 MiB"), "{too_much}");

    let endless_error = Server::always(Reply::Endless { status: 500 }).await;
    let trouble = failure(&provider("openai-chat", &endless_error.url()), LONG).await;
    assert_eq!(trouble.class, FailureClass::Transient, "{trouble}");

    let cdn = Server::always(Reply::Half { announced: 65 << 20, body: vec![] }).await;
    let url = cdn.url();
    let vendor = Server::start(move |_| url_reply(&url)).await;
    let too_much = failure(&provider("openai-images", &vendor.url()), LONG).await;
    assert!(too_much.message.contains("larger than 64 MiB"), "{too_much}");
    cdn.request();
}

#[tokio::test]
async fn a_vendor_that_quotes_the_key_or_the_prompt_is_not_quoted() {
    let quotes = [
        format!("Incorrect API key provided: {KEY}"),
        format!("Incorrect API key provided: ...{}", &KEY[8..]),
        format!("Cannot write about: {PROMPT}"),
    ];
    for quote in quotes {
        let mut reply = Reply::json(401, &json!({"error": {"code": "invalid_api_key", "message": quote}}));
        if let Reply::Http { headers, .. } = &mut reply {
            headers.push(("request-id", "req_8".to_owned()));
        }
        let server = Server::always(reply).await;
        let failure = failure(&provider("openai-chat", &server.url()), LONG).await;
        assert_eq!(failure.class, FailureClass::Auth);
        assert!(failure.message.starts_with("answered 401 (invalid_api_key)"), "{failure}");
        assert!(!format!("{failure:?}").contains(&KEY[8..]), "{failure:?}");
        assert_eq!(failure.http_status, Some(401));
        assert_eq!(failure.request_id.as_deref(), Some("req_8"));
    }
}

#[tokio::test]
async fn what_is_kept_beside_an_answer_is_short_plain_and_not_the_key() {
    let mut reply = chat_reply();
    reply["model"] = format!("m\u{1b}[31m-1 {}", "x".repeat(1 << 20)).into();
    let headers = vec![("x-request-id", format!("for {KEY}"))];
    let server =
        Server::always(Reply::Http { status: 200, headers, body: reply.to_string().into_bytes() }).await;
    let output = call(&provider("openai-chat", &server.url()), LONG).await.expect("an answer");
    assert_eq!(output.request_id, None, "some relays echo what they were sent");
    let model = output.model.expect("a model");
    assert!(model.starts_with("m[31m-1 x") && model.len() == 128, "{model}");

    let revised = json!({"data": [{"b64_json": "iVBORw0KGgo=", "revised_prompt": "y".repeat(1 << 20)}]});
    let server = Server::always(Reply::json(200, &revised)).await;
    let output = call(&provider("openai-images", &server.url()), LONG).await.expect("an answer");
    assert_eq!(output.metadata["revised_prompt"].as_str().map(str::len), Some(8_000));
}

#[tokio::test]
async fn a_hint_is_an_instant_by_the_given_clock() {
    let mut reply = Reply::json(429, &json!({"error": {"code": "rate_limit_exceeded", "message": "slower"}}));
    if let Reply::Http { headers, .. } = &mut reply {
        headers.push(("retry-after", "30".to_owned()));
    }
    let server = Server::always(reply).await;
    let failure = failure(&provider("openai-chat", &server.url()), LONG).await;
    let until = from_text("2026-11-22T13:49:30.000Z");
    assert_eq!(failure.class, FailureClass::RateLimited { until });
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_there() {
    let smoke = Provider { protocol: "smoke".to_owned(), ..provider("openai-chat", "http://127.0.0.1:9") };
    let nobody = Providers::new(&[smoke], HashMap::new(), clock()).err().expect("no such protocol");
    assert_eq!(nobody.mistakes, ["providers.house.protocol: there is no protocol \"smoke\""]);

    let chat = provider("openai-chat", "http://127.0.0.1:9");
    let providers = ready(&chat, None);
    let poll = providers.poll(&label(), "op-1", &ask(Medium::Text), LONG).await.expect_err("no operations");
    assert_eq!(poll.class, FailureClass::Invalid);
    assert!(poll.message.contains("no operations"), "{poll}");
    let stranger = ProviderName::parse("stranger").expect("a label");
    let unknown = providers.call(&stranger, &ask(Medium::Text), LONG).await.expect_err("unknown");
    assert!(unknown.message.contains("\"stranger\""), "{unknown}");
}

/// A call or a poll of a provider that films.
async fn film(provider: &Provider, operation: Option<&str>) -> Result<Answer, Failure> {
    let (providers, ask) = (ready(provider, Some(KEY)), ask(Medium::Video));
    match operation {
        None => providers.call(&label(), &ask, LONG).await,
        Some(operation) => providers.poll(&label(), operation, &ask, LONG).await,
    }
}

#[tokio::test]
async fn a_film_is_submitted_asked_after_and_fetched_with_the_key() {
    let name = "models/m-1/operations/o-1";
    let home = Arc::new(std::sync::Mutex::new(String::new()));
    let told = Arc::clone(&home);
    let mut polls = 0;
    let vendor = Server::start(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/v1beta/models/m-1:predictLongRunning") => Reply::json(200, &json!({"name": name})),
        ("GET", "/v1beta/models/m-1/operations/o-1") => {
            polls += 1;
            let uri = format!("{}/v1beta/files/f:download", told.lock().expect("unpoisoned"));
            let samples = json!({"generatedSamples": [{"video": {"uri": uri}}]});
            let response = json!({"generateVideoResponse": samples});
            let done = json!({"name": name, "done": true, "response": response});
            Reply::json(200, &if polls == 1 { json!({"name": name}) } else { done })
        }
        ("GET", "/v1beta/files/f:download?alt=media") if carries_key(request) => Reply::Http {
            status: 200,
            headers: vec![("content-type", "video/mp4".to_owned())],
            body: b"film".to_vec(),
        },
        _ => {
            Reply::json(403, &json!({"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "no"}}))
        }
    })
    .await;
    *home.lock().expect("unpoisoned") = vendor.url();
    let provider = provider("veo", &vendor.url());
    let accepted = Answer::Accepted { operation: name.to_owned(), request_id: None };
    assert_eq!(film(&provider, None).await.expect("accepted"), accepted);
    assert_eq!(film(&provider, Some(name)).await.expect("still running"), accepted);
    let Answer::Output(output) = film(&provider, Some(name)).await.expect("a film") else {
        panic!("it is done")
    };
    assert_eq!(output.body, Body::File("film".into()));
    assert_eq!(output.claimed_type.as_deref(), Some("video/mp4"));
    for request in vendor.requests() {
        assert_eq!(request.header("x-goog-api-key"), Some(KEY), "{}", request.path);
    }
}

#[tokio::test]
async fn a_film_elsewhere_is_fetched_without_the_key_whatever_the_reply_says() {
    let thief = Server::always(Reply::Http { status: 200, headers: vec![], body: b"film".to_vec() }).await;
    let there = thief.url();
    let back = Arc::new(std::sync::Mutex::new(String::new()));
    let told = Arc::clone(&back);
    let vendor = Server::start(move |request| match request.path.as_str() {
        "/v1beta/files/away?alt=media" => Reply::redirect(&format!("{there}/files/x?alt=media")),
        "/v1beta/operations/named" => done(&format!("{there}/files/x")),
        "/v1beta/operations/redirected" => {
            done(&format!("{}/v1beta/files/away", told.lock().expect("unpoisoned")))
        }
        _ => Reply::json(404, &json!({})),
    })
    .await;
    *back.lock().expect("unpoisoned") = vendor.url();
    for operation in ["operations/named", "operations/redirected"] {
        film(&provider("veo", &vendor.url()), Some(operation)).await.expect("a film");
    }
    let requests = thief.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| !carries_key(request)), "{requests:?}");
    assert!(vendor.requests().iter().all(carries_key), "the vendor itself gets its key each time");
}

fn done(uri: &str) -> Reply {
    let samples = json!({"generatedSamples": [{"video": {"uri": uri}}]});
    Reply::json(200, &json!({"done": true, "response": {"generateVideoResponse": samples}}))
}

#[tokio::test]
async fn an_operations_id_is_never_an_address() {
    let thief = Server::always(Reply::json(200, &json!({"done": true}))).await;
    let vendor = Server::start(|request| {
        let id = request.json()["input"].as_str().map_or_else(String::new, |_| "../files/x?y=".to_owned());
        Reply::json(200, &json!({"id": id, "status": "in_progress"}))
    })
    .await;
    let filmed = provider("gemini-video", &vendor.url());
    let odd = film(&filmed, None).await.expect_err("an odd id");
    assert_eq!(odd.class, FailureClass::UnknownOutcome, "it may be under way and billed: {odd}");
    assert!(odd.message.contains("an id that is none"), "{odd}");
    for id in [format!("{}/x", thief.url()), "//x".to_owned(), "../x".to_owned(), "a?b".to_owned()] {
        let odd = film(&filmed, Some(&id)).await.expect_err(&id);
        assert!(odd.message.contains("an id that is none"), "{id}: {odd}");
    }
    assert!(thief.requests().is_empty());
    vendor.request();
}

#[tokio::test]
async fn a_poll_without_answer_is_no_verdict() {
    for (reply, class) in [
        (Reply::HangUp, FailureClass::TimedOut),
        (Reply::Half { announced: 100, body: b"{".to_vec() }, FailureClass::TimedOut),
        (Reply::Http { status: 502, headers: vec![], body: vec![] }, FailureClass::Transient),
        (Reply::Http { status: 200, headers: vec![], body: b"<html>".to_vec() }, FailureClass::Transient),
    ] {
        let vendor = Server::always(reply.clone()).await;
        for protocol in ["veo", "gemini-video"] {
            let failure = film(&provider(protocol, &vendor.url()), Some("operations/o")).await;
            assert_eq!(failure.expect_err("no answer").class, class, "{protocol}: {reply:?}");
        }
    }
}

#[test]
fn every_unusable_provider_is_reported_at_once() {
    let named = |name: &str, base_url: Option<&str>, options: Value| Provider {
        name: ProviderName::parse(name).expect("a label"),
        base_url: base_url.map(str::to_owned),
        options: options.as_object().expect("an object").clone(),
        ..provider("openai-chat", "http://127.0.0.1")
    };
    let providers = [
        named("fine", Some("http://127.0.0.1:1"), json!({})),
        named("nowhere", None, json!({})),
        named("no-url", Some("api.openai.com"), json!({})),
        named("clear", Some("http://api.openai.com/v1"), json!({})),
        named("odd", Some("https://api.openai.com/v1"), json!({"temperature": "hot"})),
        named("unknown", Some("https://api.openai.com/v1"), json!({"colour": "red"})),
        named("broken-key", Some("https://api.openai.com/v1"), json!({})),
    ];
    let key = |name: &str, key: &str| (ProviderName::parse(name).expect("a label"), key.into());
    let secrets = HashMap::from([key("clear", KEY), key("broken-key", "line\nbreak")]);
    let Err(error) = Providers::new(&providers, secrets, clock()) else { panic!("they are not usable") };
    let expected = ["nowhere", "no-url", "clear", "odd", "unknown", "broken-key"];
    assert_eq!(error.mistakes.len(), expected.len(), "{error}");
    for (mistake, name) in error.mistakes.iter().zip(expected) {
        assert!(mistake.starts_with(&format!("providers.{name}: ")), "{mistake}");
        assert!(!mistake.contains(KEY) && !mistake.contains("break\""), "{mistake}");
    }
}

#[tokio::test]
async fn the_fake_vendor_dies_and_comes_back_and_counts() {
    let mut vendor = FakeVendor::start().await;
    let text = provider("openai-chat", &vendor.url());
    let output = call(&text, LONG).await.expect("a text");
    assert_eq!(output.body, Body::Text(format!("The fake vendor's answer to: {PROMPT}")));
    let Body::File(png) =
        call(&provider("openai-images", &vendor.url()), LONG).await.expect("a picture").body
    else {
        panic!("a text is no picture")
    };
    let decoded = image::load_from_memory(&png).expect("a real picture");
    assert_eq!((decoded.width(), decoded.height()), (1536, 864), "the size that fits the acceptance rules");

    vendor.stop();
    assert_eq!(failure(&text, LONG).await.class, FailureClass::Transient);
    vendor.restart().await;
    vendor.answer_instead(Some(Reply::json(503, &json!({"error": "busy"}))));
    assert_eq!(failure(&text, LONG).await.class, FailureClass::Transient);
    vendor.answer_instead(None);
    call(&text, LONG).await.expect("a text again");
    assert_eq!(vendor.calls(), 4);
    assert_eq!(vendor.requests().len(), 4);
}

/// reqwest's client does not build on a machine without certificates, even for plain HTTP.
#[test]
fn a_machine_without_certificates_can_still_call() {
    let this = std::env::current_exe().expect("this test binary");
    let output = Command::new(this)
        .args(["--exact", "wire::a_chat_comes_back_with_its_facts"])
        .env("SSL_CERT_FILE", "/dev/null")
        .env("SSL_CERT_DIR", "/nonexistent")
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && told.contains("1 passed"), "{told}");
}
