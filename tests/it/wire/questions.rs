//! Questions that cost nothing: what each vendor is asked, and what its answer means.

use backstop::domain::failure::FailureClass;
use backstop::domain::name::ProviderName;
use backstop::domain::provider::Provider;
use backstop::providers::{Finding, Found, Listing, Providers, catalog};
use serde_json::{Value, json};

use super::{KEY, LONG, SHORT, carries_key, label, provider, ready};
use crate::support::{Reply, Server};

const LISTED: Option<Listing> = Some(Listing::Listed { ends: None });

/// A label of the catalog, with its address replaced.
fn of_catalog(name: &str, base_url: &str) -> Provider {
    let entry = catalog().entry(&ProviderName::parse(name).expect("a label")).expect("an entry");
    Provider {
        medium: entry.medium,
        model: entry.model.clone(),
        options: entry.options.clone(),
        ..provider(&entry.protocol, base_url)
    }
}

async fn ask(providers: &Providers) -> Finding {
    let finding = providers.ask(&label(), LONG).await;
    assert!(!format!("{finding:?}").contains(KEY), "the key in {finding:?}");
    finding
}

/// What the vendor of a label is asked, and what comes of its answer.
async fn asked(name: &str, reply: Reply) -> (String, Finding) {
    let vendor = Server::always(reply).await;
    let provider = of_catalog(name, &vendor.url());
    let finding = ask(&ready(&provider, Some(KEY))).await;
    let request = vendor.request();
    assert!(carries_key(&request), "{name}: {request:?}");
    assert_eq!(request.method, "GET", "{name}: nothing is made");
    (request.path, finding)
}

fn found(proves_key: bool, model: Option<Listing>) -> Finding {
    Finding::Found(Found { proves_key, model })
}

fn ends(day: &str) -> Option<Listing> {
    Some(Listing::Listed { ends: Some(day.parse().expect("a day")) })
}

fn openai(entries: Value) -> Value {
    json!({"object": "list", "data": entries})
}

/// A label, what its vendor must be asked, an answer, and what that means.
type Question = (&'static str, &'static str, Value, Finding);

async fn check(questions: impl IntoIterator<Item = Question>) {
    for (name, path, body, expected) in questions {
        let (asked_for, finding) = asked(name, Reply::json(200, &body)).await;
        assert_eq!((asked_for.as_str(), finding), (path, expected), "{name}: {body}");
    }
}

#[tokio::test]
async fn every_vendor_is_asked_its_own_question() {
    check([
        (
            "claude-sonnet-4-6",
            "/v1/models/claude-sonnet-4-6",
            json!({"type": "model", "id": "claude-sonnet-4-6", "display_name": "Claude Sonnet 4.6"}),
            found(true, LISTED),
        ),
        (
            "claude-sonnet-4-5",
            "/v1/models/claude-sonnet-4-5-20250929",
            json!({"id": "claude-sonnet-4-5-20250929", "lifecycle": "deprecated", "retires_at": "2026-11-30T00:00:00Z"}),
            found(true, ends("2026-11-30")),
        ),
        (
            "claude-haiku-4-5",
            "/v1/models/claude-haiku-4-5",
            json!({"id": "claude-haiku-4-5-20251001", "lifecycle": "retired", "retires_at": null}),
            found(true, Some(Listing::Missing)),
        ),
        (
            "gemini-3.1-flash-image",
            "/v1beta/models/gemini-3.1-flash-image",
            json!({"name": "models/gemini-3.1-flash-image", "supportedGenerationMethods": ["generateContent"]}),
            found(true, LISTED),
        ),
        (
            "gpt-image-1.5",
            "/v1/models",
            openai(json!([{"id": "other"}, {"id": "gpt-image-1.5", "shutdown_date": "2026-12-01"}])),
            found(false, ends("2026-12-01")),
        ),
        (
            "gpt-5",
            "/v1/models",
            openai(json!([{"id": "gpt-5", "shutdown_date": null}])),
            found(false, LISTED),
        ),
        ("gpt-5", "/v1/models", openai(json!([{"id": "gpt-6"}])), found(false, Some(Listing::Missing))),
        ("gpt-5", "/v1/models", json!({"data": [{"id": "gpt-6"}], "has_more": true}), found(false, None)),
        ("ollama", "/v1/models", openai(json!([{"id": "llama3.2:latest"}])), found(false, LISTED)),
        (
            "llama.cpp",
            "/v1/models",
            openai(json!([{"id": "/m.gguf", "owned_by": "llamacpp"}])),
            found(false, None),
        ),
    ])
    .await;
}

#[tokio::test]
async fn every_described_vendor_and_library_is_asked_its_own_question() {
    check([
        (
            "sora-2",
            "/v1/models",
            openai(json!([{"id": "sora-2", "shutdown_date": "2026-09-24"}])),
            found(true, ends("2026-09-24")),
        ),
        (
            "elevenlabs",
            "/v1/models",
            json!([{"model_id": "eleven_multilingual_v2", "name": "Eleven Multilingual v2"}]),
            found(true, LISTED),
        ),
        ("elevenlabs", "/v1/models", json!([{"model_id": "other"}]), found(true, Some(Listing::Missing))),
        (
            "replicate",
            "/v1/models/black-forest-labs/flux-schnell",
            json!({"owner": "black-forest-labs", "name": "flux-schnell"}),
            found(true, LISTED),
        ),
        ("flux-2-pro", "/v1/credits", json!({"credits": 12.5}), found(true, None)),
        ("runway", "/v1/organization", json!({"tier": {}, "creditBalance": 100}), found(true, None)),
        ("stability-core", "/v1/user/balance", json!({"credits": 0.63}), found(true, None)),
        (
            "lummi",
            "/v1/images/search?query=fox&page=1&perPage=1",
            json!({"data": [], "meta": {"totalCount": 0}}),
            found(true, None),
        ),
        (
            "unsplash",
            "/search/photos?query=fox&per_page=1",
            json!({"total": 0, "results": []}),
            found(true, None),
        ),
        ("pexels", "/v1/search?query=fox&per_page=1", json!({"photos": []}), found(true, None)),
        ("pexels-video", "/videos/search?query=fox&per_page=1", json!({"videos": []}), found(true, None)),
    ])
    .await;
}

#[tokio::test]
async fn a_refusal_has_its_class() {
    let google = |code: u16, status: &str, message: &str| {
        Reply::json(code, &json!({"error": {"code": code, "status": status, "message": message}}))
    };
    let anthropic = |code: u16, kind: &str, message: &str| {
        Reply::json(code, &json!({"type": "error", "error": {"type": kind, "message": message}}))
    };
    let page = |status| Reply::Http { status, headers: vec![], body: b"<html>hello".to_vec() };
    for (name, reply, class) in [
        ("claude-sonnet-4-6", anthropic(401, "authentication_error", "invalid x-api-key"), "auth"),
        ("claude-sonnet-4-6", anthropic(404, "not_found_error", "model: claude-sonnet-4-6"), "retired"),
        ("claude-sonnet-4-6", anthropic(429, "rate_limit_error", "slow"), "rate_limited"),
        ("claude-sonnet-4-6", Reply::json(200, &json!({"hello": 1})), "unusable"),
        (
            "gemini-3-pro-image",
            google(400, "INVALID_ARGUMENT", "API key not valid. Pass a valid API key."),
            "auth",
        ),
        ("gemini-3-pro-image", google(400, "FAILED_PRECONDITION", "User location is not supported"), "auth"),
        ("gemini-3-pro-image", google(404, "NOT_FOUND", "Model is not found: models/x"), "retired"),
        ("gpt-5", Reply::json(401, &json!({"error": {"code": "invalid_api_key"}})), "auth"),
        ("gpt-5", Reply::json(429, &json!({"error": {"code": "insufficient_quota"}})), "quota"),
        ("gpt-5", Reply::json(404, &json!({"detail": "Not Found"})), "invalid"),
        ("gpt-5", Reply::json(200, &json!({"data": "soon"})), "unusable"),
        ("elevenlabs", Reply::json(401, &json!({"detail": {"status": "invalid_api_key"}})), "auth"),
        ("elevenlabs", Reply::json(200, &json!({"models": []})), "unusable"),
        (
            "replicate",
            Reply::json(404, &json!({"detail": "The requested resource could not be found."})),
            "retired",
        ),
        ("replicate", page(404), "invalid"),
        ("flux-2-pro", Reply::json(200, &json!({"credits": 0.0})), "quota"),
        (
            "unsplash",
            Reply::json(401, &json!({"errors": ["OAuth error: The access token is invalid"]})),
            "auth",
        ),
        (
            "unsplash",
            Reply::Http { status: 403, headers: vec![], body: b"Rate Limit Exceeded".to_vec() },
            "quota",
        ),
        ("lummi", Reply::json(200, &json!({"hello": 1})), "unusable"),
        ("lummi", Reply::json(503, &json!({})), "transient"),
        ("lummi", page(200), "unusable"),
        ("pexels", page(502), "transient"),
        ("stability-core", page(200), "unusable"),
        ("gpt-5", Reply::HangUp, "timed_out"),
        ("gpt-5", Reply::Endless { status: 200 }, "unusable"),
    ] {
        let (_, finding) = asked(name, reply.clone()).await;
        let Finding::Failed(failure) = finding else { panic!("{name}: {reply:?}: {finding:?}") };
        assert_eq!(failure.class.as_str(), class, "{name}: {reply:?}: {failure}");
    }
}

#[tokio::test]
async fn a_silent_or_absent_vendor_is_not_waited_for() {
    let mut vendor = Server::always(Reply::Silence).await;
    let providers = ready(&of_catalog("lummi", &vendor.url()), Some(KEY));
    let Finding::Failed(silent) = providers.ask(&label(), SHORT).await else { panic!("it said nothing") };
    assert_eq!(silent.class, FailureClass::TimedOut, "{silent}");
    vendor.stop();
    let Finding::Failed(gone) = ask(&providers).await else { panic!("it is gone") };
    assert_eq!(gone.class, FailureClass::Transient, "{gone}");
}

#[tokio::test]
async fn a_question_takes_the_key_nowhere_else() {
    let thief = Server::always(Reply::json(200, &json!({"data": []}))).await;
    for name in ["gpt-5", "claude-sonnet-4-6", "gemini-3-pro-image", "lummi", "replicate"] {
        let vendor = Server::always(Reply::redirect(&format!("{}/v1/models", thief.url()))).await;
        let finding = ask(&ready(&of_catalog(name, &vendor.url()), Some(KEY))).await;
        let Finding::Failed(failure) = finding else { panic!("{name}: {finding:?}") };
        assert!(failure.message.contains("correct base_url"), "{name}: {failure}");
        vendor.request();
    }
    assert!(thief.requests().is_empty());
}

#[tokio::test]
async fn a_vendor_that_quotes_the_key_in_an_answer_is_not_quoted() {
    let quote = json!({"error": {"message": format!("no such key: {KEY}")}});
    let (_, finding) = asked("gpt-5", Reply::json(401, &quote)).await;
    let Finding::Failed(failure) = finding else { panic!("refused") };
    assert!(failure.message.contains("left out"), "{failure}");
}

#[tokio::test]
async fn who_has_no_question_is_not_asked() {
    let server = Server::always(Reply::json(200, &json!({}))).await;
    for name in ["fal", "ideogram-v3"] {
        let finding = ask(&ready(&of_catalog(name, &server.url()), Some(KEY))).await;
        assert_eq!(finding, Finding::NoQuestion, "{name}");
    }
    let mut vertex = of_catalog("veo-3.1", &server.url());
    vertex.options.insert("project".to_owned(), "p-1".into());
    assert_eq!(ask(&ready(&vertex, Some(KEY))).await, Finding::NoQuestion);
    let card = Provider { base_url: None, model: None, ..provider("title-card", "") };
    assert_eq!(ask(&ready(&card, None)).await, Finding::NeedsNobody);
    assert!(server.requests().is_empty());
}
