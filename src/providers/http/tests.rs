//! Descriptions of APIs: what they ask for, what is wrong in them, and where they cannot lead.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::domain::ask::Body;
use crate::domain::name::ProviderName;
use crate::domain::provider::CatalogEntry;
use crate::domain::time::{Clock, Timestamp};
use crate::providers::catalog;
use crate::providers::recorded::{ask, provider};

fn described(options: &Value) -> Provider {
    let mut provider = provider("http", "m-1", "https://v.example");
    provider.medium = Medium::Image;
    provider.options = options.as_object().expect("an object").clone();
    provider
}

fn entry(label: &str) -> &'static CatalogEntry {
    catalog().entry(&ProviderName::parse(label).expect("a label")).expect("an entry")
}

fn from_entry(label: &str) -> Provider {
    let entry = entry(label);
    Provider {
        medium: entry.medium,
        model: entry.model.clone(),
        base_url: entry.base_url.clone(),
        options: entry.options.clone(),
        ..provider("http", "", "")
    }
}

#[test]
fn every_vendor_of_the_catalog_is_described_without_a_mistake() {
    let described = catalog().entries.iter().filter(|entry| entry.protocol == "http");
    let mut count = 0;
    for entry in described {
        assert_eq!(Http.mistakes(&from_entry(entry.name.as_str())), [], "{}", entry.name);
        count += 1;
    }
    assert!(count >= 5, "only {count}");
}

#[test]
fn the_catalogs_vendors_get_their_own_requests() {
    let clock: Clock = std::sync::Arc::new(|| Timestamp::UNIX_EPOCH);
    let mut ask = ask();
    ask.medium = Medium::Image;
    ask.accept.aspect = Aspect::parse("16:9");
    let check = |label: &str, path: &str, body: Value, poll: (&str, &str, &str)| {
        let provider = from_entry(label);
        let request = Http.request(&Call::generation(&provider, &ask, &clock)).expect(label);
        assert_eq!((request.path.as_str(), request.body), (path, Some(RequestBody::Json(body))), "{label}");
        let (operation, path, query) = poll;
        let request = Http.poll(&Call::poll(&provider, &ask, &clock, operation), operation).expect(label);
        let asked: Vec<String> = request.query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        assert_eq!((request.path.as_str(), asked.join("&").as_str(), request.body), (path, query, None));
    };
    let prompt = "A post about foxes";
    check(
        "replicate",
        "v1/models/black-forest-labs/flux-schnell/predictions",
        json!({"input": {"prompt": prompt, "aspect_ratio": "16:9", "output_format": "png"}}),
        ("op-1", "v1/predictions/op-1", ""),
    );
    check(
        "fal",
        "fal-ai/flux/schnell",
        json!({"prompt": prompt, "image_size": {"width": 1536, "height": 864}, "num_images": 1,
            "output_format": "png"}),
        ("op-1", "fal-ai/flux/requests/op-1/status", ""),
    );
    check(
        "flux-2-pro",
        "v1/flux-2-pro",
        json!({"prompt": prompt, "width": 1536, "height": 864, "output_format": "png"}),
        ("api.us1.bfl.ai/op-1", "v1/get_result", "id=op-1"),
    );
    check(
        "runway",
        "v1/text_to_video",
        json!({"model": "gen4.5", "promptText": prompt, "ratio": "1280:720", "duration": 8}),
        ("op-1", "v1/tasks/op-1", ""),
    );
    let check_form = |label: &str, path: &str, form: &[(&str, &str)]| {
        let request = Http.request(&Call::generation(&from_entry(label), &ask, &clock)).expect(label);
        let pair = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        let form = RequestBody::Form(form.iter().map(pair).collect());
        assert_eq!((request.path.as_str(), request.body), (path, Some(form)), "{label}");
        request.headers
    };
    for model in ["core", "ultra", "sd3"] {
        let path = format!("v2beta/stable-image/generate/{model}");
        let form = [("aspect_ratio", "16:9"), ("output_format", "png"), ("prompt", prompt)];
        let headers = check_form(&format!("stability-{model}"), &path, &form);
        assert_eq!(headers, [("accept".into(), "application/json".to_owned())], "else it answers with bytes");
    }
    let form = [("aspect_ratio", "16x9"), ("num_images", "1"), ("prompt", prompt)];
    check_form("ideogram-v3", "v1/ideogram-v3/generate", &form);
    for model in ["sora-2", "sora-2-pro"] {
        let form = [("model", model), ("prompt", prompt), ("seconds", "8"), ("size", "1280x720")];
        check_form(model, "v1/videos", &form);
    }
    let auth = |label: &str| Http.auth(&from_entry(label));
    assert_eq!((auth("ideogram-v3").header.as_ref(), auth("ideogram-v3").prefix.as_ref()), ("api-key", ""));
    assert_eq!((auth("fal").header.as_ref(), auth("fal").prefix.as_ref()), ("authorization", "Key "));
    assert_eq!((auth("flux-2-pro").header.as_ref(), auth("flux-2-pro").prefix.as_ref()), ("x-key", ""));
    assert_eq!(auth("replicate").prefix, "Bearer ");
}

#[test]
fn an_operation_is_asked_after_at_listed_hosts_only() {
    let clock: Clock = std::sync::Arc::new(|| Timestamp::UNIX_EPOCH);
    let (provider, ask) = (from_entry("flux-2-pro"), ask());
    let poll = |operation: &str| Http.poll(&Call::poll(&provider, &ask, &clock, operation), operation);
    assert_eq!(poll("api.us1.bfl.ai/7").expect("a poll").authority.as_deref(), Some("api.us1.bfl.ai"));
    assert_eq!(poll("7").expect("a poll").authority, None);
    for forged in ["evil.example/7", "api.bfl.ai:8443/7", "bfl.ai/7", "169.254.169.254/7"] {
        assert_eq!(poll(forged).expect_err(forged).class, FailureClass::UnknownOutcome);
    }
}

#[test]
fn a_job_cannot_bend_a_path_or_smuggle_a_field() {
    let clock: Clock = std::sync::Arc::new(|| Timestamp::UNIX_EPOCH);
    let mut ask = ask();
    ask.prompt = "\", \"n\": 100, \"x\": \"{{ model }}".to_owned();
    let provider =
        described(&json!({"request": {"path": "v1/{{ prompt }}make", "query": {"q": "{{ prompt }}"},
        "body": {"prompt": "{{ prompt }}"}}, "output": {"url": "u"}}));
    let request = Http.request(&Call::generation(&provider, &ask, &clock));
    let failure = request.expect_err("a prompt in a path");
    assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
    let provider = described(&json!({"request": {"path": "v1/make", "query": {"q": "{{ prompt }}"},
        "body": {"prompt": "{{ prompt }}"}}, "output": {"url": "u"}}));
    let request = Http.request(&Call::generation(&provider, &ask, &clock)).expect("a request");
    assert_eq!(request.body, Some(RequestBody::Json(json!({"prompt": ask.prompt}))));
    assert_eq!(request.query, [("q".into(), ask.prompt.clone())]);
}

#[test]
fn a_forms_fields_are_plain_values() {
    let clock: Clock = std::sync::Arc::new(|| Timestamp::UNIX_EPOCH);
    let mut ask = ask();
    ask.input = json!({"seed": 7, "tags": ["a"], "no": ""}).as_object().expect("an object").clone();
    let request = |form: Value| {
        let provider =
            described(&json!({"request": {"path": "v1/make", "form": form}, "output": {"url": "u"}}));
        Http.request(&Call::generation(&provider, &ask, &clock)).map(|request| request.body)
    };
    let form = json!({"fine": true, "no": "{{ input.no }}", "seed": "{{ input.seed }}", "style": "{{ input.style }}"});
    let fields = [("fine".to_owned(), "true".to_owned()), ("seed".to_owned(), "7".to_owned())];
    assert_eq!(request(form), Ok(Some(RequestBody::Form(fields.to_vec()))), "what is not there is left out");
    let failure = request(json!({"tags": "{{ input.tags }}"})).expect_err("a list");
    assert_eq!(failure.class, FailureClass::Invalid, "{failure}");
    assert!(
        failure.message.contains("request.form cannot be filled: tags comes to more than one"),
        "{failure}"
    );
}

/// Every mistake of these options: its key, and words of what it says.
#[track_caller]
fn check(options: Value, expected: &[(&str, &str)]) {
    let provider = described(&options);
    let said: Vec<String> = Http.mistakes(&provider).iter().map(|m| m.of_provider(&provider)).collect();
    assert_eq!(said.len(), expected.len(), "{said:?}");
    for (said, (key, words)) in said.iter().zip(expected) {
        let key = format!("providers.house.{key}: ");
        assert!(said.starts_with(&key) && said.contains(words), "{said} / {key}{words}");
    }
}

/// Options that are right, but for these.
fn with(changes: Value) -> Value {
    let mut options = json!({"request": {"path": "v1/make", "body": {}}, "output": {"url": "u"}});
    let fields = options.as_object_mut().expect("an object");
    fields.extend(changes.as_object().expect("an object").clone());
    options
}

#[test]
fn a_question_brings_nothing_of_a_job() {
    let check = |check: Value, expected: Option<(&str, &str)>| {
        let options = json!({"request": {"path": "v1/make"}, "output": {"url": "u"}, "check": check});
        let mistakes = Http.mistakes(&described(&options));
        let said =
            mistakes.iter().map(|mistake| (mistake.key.as_deref().unwrap_or(""), mistake.wrong.as_str()));
        match (said.collect::<Vec<_>>().as_slice(), expected) {
            ([], None) => {}
            ([(key, said)], Some((at, words))) if *key == at && said.contains(words) => {}
            (said, expected) => panic!("{said:?}, not {expected:?}"),
        }
    };
    check(json!({"path": "v1/{{ model }}", "list": "data", "id": "id", "ends": "end"}), None);
    for of_a_job in ["v1/{{ prompt }}", "v1/{{ operation }}"] {
        check(json!({"path": of_a_job}), Some(("check.path", "undefined value")));
    }
    check(json!({"path": "v1/models", "list": "data"}), Some(("check.id", "is missing")));
    check(json!({"path": "v1/make", "body": {}}), Some(("check", "unknown field `body`")));
}

#[test]
fn every_mistake_is_named_by_its_key() {
    check(with(json!({})), &[]);
    check(json!({}), &[("request", "is missing"), ("output", "is missing")]);
    check(with(json!({"colour": 1})), &[("colour", "is unknown")]);
    check(with(json!({"request": {"body": {}}})), &[("request", "missing field `path`")]);
    check(with(json!({"request": {"path": "v1/m", "pth": 1}})), &[("request", "unknown field `pth`")]);
    for bad in ["", "../x", "a//b", "v1/x?y=1", "https://evil.example/", "a b", "a%2fb"] {
        check(with(json!({"request": {"path": bad}})), &[("request.path", "is no path below base_url")]);
    }
    check(with(json!({"request": {"path": "v1/{{ model"}})), &[("request.path", "template")]);
    for of_a_job in ["v1/{{ slug }}", "v1/{{ input.way }}", "v1/{{ operation }}"] {
        check(with(json!({"request": {"path": of_a_job}})), &[("request.path", "undefined value")]);
    }
    let body = json!({"request": {"path": "v1/m", "body": {"a": [{"b": "{{ prompt"}]}}});
    check(with(body), &[("request.body.a.0.b", "template")]);
    let form = |form: Value| json!({"request": {"path": "v1/m", "form": form}});
    check(with(form(json!({"a": "{{ prompt }}", "n": 1, "b": true}))), &[]);
    check(with(form(json!({"a": "{{ prompt"}))), &[("request.form.a", "template")]);
    check(with(form(json!({"a": ["b"]}))), &[("request.form.a", "no text, number or truth value")]);
    check(with(form(json!("prompt"))), &[("request", "invalid type")]);
    let both = json!({"request": {"path": "v1/m", "body": {}, "form": {}}});
    check(with(both), &[("request.form", "one of the two")]);
    let get = json!({"request": {"path": "v1/m", "method": "GET", "form": {}}});
    check(with(get), &[("request.form", "a GET has no form")]);
    let get = json!({"request": {"path": "v1/m", "method": "GET", "body": {}}});
    check(with(get), &[("request.body", "a GET has no body")]);
    check(with(json!({"request": {"path": "v1/m", "method": "PATCH"}})), &[("request", "PATCH")]);
    let header = |name: &str| json!({"request": {"path": "v1/m", "headers": {name: "x"}}});
    check(with(header("host")), &[("request.headers.host", "no header that can be set")]);
    check(with(header("A b")), &[("request.headers.A b", "no header that can be set")]);
    check(with(header("authorization")), &[("request.headers.authorization", "give the key as api_key")]);
    check(with(json!({"auth": {"header": "Host"}})), &[("auth.header", "no header")]);
    check(with(json!({"auth": {"key": "sk-1"}})), &[("auth", "unknown field `key`")]);
    check(with(json!({"output": {}})), &[("output", "set url, base64 or body")]);
    check(with(json!({"output": {"url": "a..b"}})), &[("output", "no way into a reply")]);
    check(with(json!({"error": 7})), &[("error", "invalid type")]);
    check(with(json!({"hosts": ["*.v.example"]})), &[("hosts", "operation.host")]);
    check(with(json!({"hosts": ["*.ai"]})), &[("hosts", "is no host")]);
    let rules = json!({"classes": [{"status": 400, "class": "quota"}, {"class": "sad"}, 7]});
    check(with(rules), &[("classes.1", "\"sad\" is none"), ("classes.2", "invalid type")]);
}

#[test]
fn every_mistake_of_a_question_or_an_operation_is_named_by_its_key() {
    let question = |check: Value| json!({"check": check});
    check(with(question(json!({"path": "v1/{{ model }}", "list": "data", "id": "id", "ends": "end"}))), &[]);
    for of_a_job in ["v1/{{ prompt }}", "v1/{{ operation }}"] {
        check(with(question(json!({"path": of_a_job}))), &[("check.path", "undefined value")]);
    }
    check(with(question(json!({"path": "v1/models", "list": "data"}))), &[("check.id", "is missing")]);
    check(with(question(json!({"path": "v1/make", "body": {}}))), &[("check", "unknown field `body`")]);
    let operation = |changes: Value| {
        let mut operation = json!({"id": "id", "status": "status", "poll": {"path": "v1/{{ operation }}"}});
        operation.as_object_mut().expect("an object").extend(changes.as_object().expect("one").clone());
        with(json!({"operation": operation}))
    };
    check(operation(json!({})), &[]);
    check(operation(json!({"poll": {"path": "v1/x"}})), &[("operation.poll", "{{ operation }}")]);
    check(operation(json!({"result": {"path": "v1/x"}})), &[("operation.result", "{{ operation }}")]);
    check(operation(json!({"host": "url"})), &[("hosts", "both are needed")]);
    check(operation(json!({"id": 7})), &[("operation", "invalid type")]);
}

/// Any JSON, made of the words that the catalog's descriptions know.
fn document() -> impl Strategy<Value = Value> {
    const WORDS: &[&str] =
        &["succeeded", "FAILED", "Ready", "COMPLETED", "starting", "https://x.example/y", "7c3f", "", " "];
    const KEYS: &[&str] = &[
        "id",
        "request_id",
        "status",
        "output",
        "error",
        "images",
        "url",
        "result",
        "sample",
        "detail",
        "has_nsfw_concepts",
        "polling_url",
        "failure",
        "failureCode",
        "image",
        "finish_reason",
        "data",
        "is_image_safe",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(WORDS).prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::from),
            btree_map(select(KEYS), inner, 0..6).prop_map(|fields| {
                Value::Object(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_reply_breaks_a_description_or_passes_without_an_output(
        status in prop_oneof![3 => Just(200_u16), 1 => 100_u16..600],
        body in prop_oneof![4 => document().prop_map(|json| json.to_string().into_bytes()), 1 => vec(any::<u8>(), 0..40)],
    ) {
        let clock: Clock = std::sync::Arc::new(|| Timestamp::UNIX_EPOCH);
        let ask = ask();
        let reply = HttpReply { status, body: body.into(), ..HttpReply::default() };
        for label in ["replicate", "fal", "flux-2-pro", "runway", "elevenlabs", "stability-core", "ideogram-v3", "sora-2"] {
            let provider = from_entry(label);
            let (first, poll) = (Call::generation(&provider, &ask, &clock), Call::poll(&provider, &ask, &clock, "op"));
            let asked = Asked { provider: &provider, now: Timestamp::UNIX_EPOCH };
            prop_assert!(Http.answer(&asked, &reply).is_err() || (200..300).contains(&status), "{}: {}", label, status);
            for read in [Http.interpret(&first, &reply), Http.interpret(&poll, &reply), Http.interpret_result(&poll, &reply)] {
                let Ok(read) = read else { continue };
                prop_assert!((200..300).contains(&status), "{}: {} is no success", label, status);
                match read {
                    Interpreted::Output(output) => match output.body {
                        Body::Text(text) => prop_assert!(!text.trim().is_empty()),
                        Body::File(bytes) => prop_assert!(!bytes.is_empty()),
                    },
                    Interpreted::Accepted { operation } => prop_assert!(!operation.trim().is_empty()),
                    Interpreted::Fetch { url, .. } => prop_assert!(!url.trim().is_empty()),
                    Interpreted::Then(request) => prop_assert!(["fal", "sora-2"].contains(&label) && request.body.is_none()),
                    Interpreted::FetchAndTell { .. } => prop_assert!(false, "{}: nobody is told", label),
                }
            }
        }
    }
}
