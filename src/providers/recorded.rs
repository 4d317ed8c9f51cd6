//! Replies of vendors as files under `tests/wire`, each held against what its protocol must make of it.
//!
//! A file holds a `note` of what it rests on, the reply (`status`, `headers`, `body`), what the `provider` has
//! besides the defaults, the `operation` where it is the reply to a poll, and the `expected` outcome, whole: a
//! field that is not named must be empty. A folder is called as its protocol.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::accept::{Acceptance, Aspect};
use crate::domain::ask::{Ask, Body, Output};
use crate::domain::asset::Medium;
use crate::domain::budget::Budget;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::provider::{Key, OnUnknown, Provider, Repeat};
use crate::domain::time::{Clock, from_text, to_text};

use super::catalog::catalog;
use super::protocol::{self, Call, HttpReply, HttpRequest, Interpreted, Protocol, RequestBody};

/// A provider with nothing special about it.
pub(super) fn provider(protocol: &str, model: &str, base_url: &str) -> Provider {
    let name = ProviderName::parse("house").expect("a label");
    Provider {
        title: "House".to_owned(),
        protocol: protocol.to_owned(),
        supported: true,
        medium: Medium::Text,
        model: Some(model.to_owned()),
        base_url: Some(base_url.to_owned()),
        key: Key::Present,
        retired: None,
        timeout: Duration::from_secs(60),
        retries: 1,
        concurrency: 4,
        pace: None,
        trip_after: 3,
        instant: false,
        on_unknown: OnUnknown::Next,
        repeat: Repeat::Paid,
        price_micros: 0,
        budget: Budget::default(),
        fingerprint: "f".to_owned(),
        options: Map::new(),
        name,
    }
}

/// An ask with nothing special about it.
pub(super) fn ask() -> Ask {
    Ask {
        asset: AssetName::parse("social-text").expect("a name"),
        medium: Medium::Text,
        slug: "foxes".to_owned(),
        prompt: "A post about foxes".to_owned(),
        input: Map::new(),
        accept: Acceptance::default(),
        repeat: 0,
        idempotency_key: "attempt-1".to_owned(),
    }
}

/// The body of the request that a protocol makes.
pub(super) fn body_of(protocol: &dyn Protocol, provider: &Provider, ask: &Ask) -> Value {
    let request = protocol.request(&Call::generation(provider, ask, &clock())).expect("a request");
    match request.body.expect("a body") {
        RequestBody::Json(body) => body,
        RequestBody::Form(fields) => panic!("a form: {fields:?}"),
    }
}

pub(super) fn clock() -> Clock {
    let now = from_text("2026-11-22T13:49:00.000Z").expect("valid");
    Arc::new(move || now)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    note: String,
    #[serde(default)]
    provider: ProviderPart,
    operation: Option<String>,
    /// Whether the reply is that to the request that a poll led to.
    #[serde(default)]
    result: bool,
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Value,
    expected: Value,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ProviderPart {
    free: bool,
    price_micros: i64,
    base_url: Option<String>,
    medium: Option<String>,
    /// A label of the catalog, all of whose facts count.
    label: Option<String>,
    options: Map<String, Value>,
}

/// Every protocol with recorded replies.
pub(super) fn recorded_protocols() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let folders = std::fs::read_dir(root).expect("tests/wire");
    let mut names: Vec<String> = folders
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .collect();
    names.sort();
    names
}

/// What a recording is about.
pub(super) struct Recorded {
    /// The catalog's label, where the recording has one.
    pub(super) label: Option<String>,
    pub(super) status: u16,
    pub(super) body: Value,
    /// The failure class it must become; `None` where it is no failure.
    pub(super) class: Option<String>,
}

/// Every recorded reply of a protocol.
pub(super) fn recordings(protocol: &str) -> Vec<Recorded> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire").join(protocol);
    let texts = std::fs::read_dir(folder).expect("a folder").map(|entry| {
        let path = entry.expect("an entry").path();
        std::fs::read_to_string(path).expect("a readable file")
    });
    let read = |text: String| {
        let Recording { provider, status, body, expected, .. } =
            serde_json::from_str(&text).expect("a recording");
        let class = expected["class"].as_str().map(str::to_owned);
        Recorded { label: provider.label, status, body, class }
    };
    texts.map(read).collect()
}

/// The body of every recorded reply, as JSON.
pub(super) fn recorded_bodies(protocol: &str) -> Vec<Value> {
    recordings(protocol).into_iter().map(|recorded| recorded.body).collect()
}

#[test]
fn every_recorded_reply_is_understood() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wire");
    let mut count = 0;
    for protocol in recorded_protocols() {
        let folder = root.join(&protocol);
        for entry in std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display())) {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("a readable file");
            let recording: Recording =
                serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            assert!(recording.note.len() > 20, "{}: say what it rests on", path.display());
            assert_eq!(outcome(&protocol, &recording), recording.expected, "{}", path.display());
            count += 1;
        }
    }
    assert!(count >= 60, "only {count} recordings were found");
}

fn outcome(protocol: &str, recording: &Recording) -> Value {
    let mut provider = provider(protocol, "m", "https://v.example");
    provider.price_micros = recording.provider.price_micros;
    provider.options.clone_from(&recording.provider.options);
    if recording.provider.base_url.is_some() {
        provider.base_url.clone_from(&recording.provider.base_url);
    }
    if let Some(word) = &recording.provider.medium {
        provider.medium = Medium::parse(word).expect("a medium");
    }
    if let Some(label) = &recording.provider.label {
        let label = ProviderName::parse(label).expect("a label");
        let entry = catalog().entry(&label).expect("an entry");
        provider.medium = entry.medium;
        provider.model.clone_from(&entry.model);
        provider.base_url.clone_from(&entry.base_url);
        provider.options.clone_from(&entry.options);
    }
    if recording.provider.free {
        provider.repeat = Repeat::Free;
    }
    let body = recording.body.as_str().map_or_else(|| recording.body.to_string(), str::to_owned);
    let headers = recording.headers.clone().into_iter().collect();
    let reply = HttpReply { status: recording.status, headers, body: body.into() };
    let (ask, clock) = (ask(), clock());
    let translator = protocol::named(protocol).expect("a protocol");
    let call = match &recording.operation {
        Some(operation) => Call::poll(&provider, &ask, &clock, operation),
        None => Call::generation(&provider, &ask, &clock),
    };
    let interpreted = if recording.result {
        translator.interpret_result(&call, &reply)
    } else {
        translator.interpret(&call, &reply)
    };
    let mut outcome = match interpreted {
        Ok(Interpreted::Output(output)) => told(&output),
        Ok(Interpreted::Accepted { operation }) => json!({"accepted": operation}),
        Ok(Interpreted::Fetch { url, output }) => {
            let mut told = told(&output);
            told["fetch"] = url.into();
            told
        }
        Ok(Interpreted::FetchAndTell { url, output, tell }) => {
            let mut told = told(&output);
            told["fetch"] = url.into();
            told["tell"] = asked(&tell);
            told
        }
        Ok(Interpreted::Then(request)) => json!({"then": asked(&request)}),
        Err(failure) => complained(&failure),
    };
    let fields = outcome.as_object_mut().expect("an object");
    fields.retain(|_, value| !value.is_null() && value != "" && *value != 0 && *value != json!({}));
    outcome
}

/// What a search asks for an ask of this ratio, as it would stand in a log.
pub(super) fn search_of(protocol: &dyn Protocol, options: &Value, aspect: &str) -> String {
    let mut provider = provider("any", "m", "https://v.example");
    provider.options = options.as_object().expect("an object").clone();
    let mut ask = ask();
    ask.accept.aspect = Aspect::parse(aspect);
    ask.input = json!({"keywords": "red fox"}).as_object().expect("an object").clone();
    let request = protocol.request(&Call::generation(&provider, &ask, &clock())).expect("a request");
    assert_eq!(request.body, None, "a search is a GET");
    asked(&request).as_str().expect("a text").to_owned()
}

/// A GET as it would stand in a log.
fn asked(request: &HttpRequest) -> Value {
    let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    format!("{}?{}", request.path, query.join("&")).into()
}

fn told(output: &Output) -> Value {
    let (text, file) = match &output.body {
        Body::Text(text) => (text.clone(), String::new()),
        Body::File(bytes) => (String::new(), String::from_utf8_lossy(bytes).into_owned()),
    };
    json!({"text": text, "file": file, "claimed_type": output.claimed_type, "metadata": output.metadata,
        "model": output.model, "cost_micros": output.cost_micros})
}

fn complained(failure: &Failure) -> Value {
    let (until, category) = match &failure.class {
        FailureClass::RateLimited { until } | FailureClass::Quota { until } => (until.map(to_text), None),
        FailureClass::Refused { category } => (None, category.clone()),
        FailureClass::Transient
        | FailureClass::Auth
        | FailureClass::Retired
        | FailureClass::Invalid
        | FailureClass::Unusable
        | FailureClass::TimedOut
        | FailureClass::UnknownOutcome
        | FailureClass::Internal => (None, None),
    };
    json!({"class": failure.class.as_str(), "until": until, "category": category, "message": failure.message,
        "cost_micros": failure.cost_micros, "ends_operation": failure.ends_operation.then_some(true)})
}
