//! Any JSON API that the configuration describes: no code knows the vendor.

mod filling;
mod hosts;
mod json_path;
mod options;
mod rules;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::domain::accept::Aspect;
use crate::domain::ask::{Body, Output};
use crate::domain::asset::Medium;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::base64_file;
use super::classify;
use super::hints;
use super::operation::{self, Stage};
use super::picture_size;
use super::protocol::{Auth, BEARER, Call, HttpReply, HttpRequest, Interpreted, Mistake, Protocol};
use super::vendor_error::VendorError;
use super::{address, protocol};

use filling::Facts;
use options::{HttpOptions, OperationOptions, OutputOptions, RequestOptions};

/// The protocol `http`.
pub(super) struct Http;

impl Protocol for Http {
    fn auth(&self, provider: &Provider) -> Auth {
        match options::read(provider) {
            Ok(options) => Auth { header: options.auth.header.into(), prefix: options.auth.prefix.into() },
            Err(_) => BEARER,
        }
    }

    fn is_long_running(&self, provider: &Provider) -> bool {
        options::read(provider).is_ok_and(|options| options.operation.is_some())
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        let mistakes = self.mistakes(provider);
        if mistakes.is_empty() { Ok(()) } else { Err(format!("{mistakes:?}")) }
    }

    fn mistakes(&self, provider: &Provider) -> Vec<Mistake> {
        options::read(provider).err().unwrap_or_default()
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options = of_call(call.provider)?;
        filled(&options.request, job_facts(call), "request", call.provider)
    }

    fn poll(&self, call: &Call<'_>, operation: &str) -> Result<HttpRequest, Failure> {
        let options = of_call(call.provider)?;
        let Some(described) = &options.operation else { return Err(protocol::no_operations(call.provider)) };
        ask_after(&options, &described.poll, "operation.poll", call.provider, operation)
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        let options = of_call(call.provider)?;
        let reading = Reading { options: &options, call, reply };
        let body = reading.body()?;
        match &options.operation {
            None => reading.output(&body),
            Some(described) => reading.operation(described, &body),
        }
    }

    fn interpret_result(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        let options = of_call(call.provider)?;
        let reading = Reading { options: &options, call, reply };
        let body = reading.body()?;
        reading.output(&body)
    }
}

/// The options in the middle of a call: what was checked at the start does not fail here.
fn of_call(provider: &Provider) -> Result<HttpOptions, Failure> {
    options::read(provider).map_err(|mistakes| {
        let why = mistakes.into_iter().next().map(|mistake| mistake.wrong).unwrap_or_default();
        Failure::new(FailureClass::Invalid, format!("its configuration cannot be used: {why}"))
    })
}

/// What the templates of the first request may use.
fn job_facts(call: &Call<'_>) -> Map<String, Value> {
    let ask = call.ask;
    let mut facts = Map::new();
    let mut add = |name: &str, value: Value| drop(facts.insert(name.to_owned(), value));
    add("prompt", ask.prompt.as_str().into());
    add("slug", ask.slug.as_str().into());
    add("asset", ask.asset.as_str().into());
    add("input", Value::Object(ask.input.clone()));
    add("model", call.provider.model.clone().into());
    add("repeat", ask.repeat.into());
    add("idempotency_key", ask.idempotency_key.as_str().into());
    if matches!(ask.medium, Medium::Image | Medium::Video) {
        let (width, height) = picture_size::any_size(&ask.accept);
        add("width", width.into());
        add("height", height.into());
        add("aspect", ask.accept.aspect.map(|aspect: Aspect| aspect.to_string()).into());
    }
    facts
}

/// A request with its templates filled.
fn filled(
    template: &RequestOptions,
    facts: Map<String, Value>,
    key: &str,
    provider: &Provider,
) -> Result<HttpRequest, Failure> {
    let wrong = |part: &str, why: &str| {
        let why = format!("providers.{}.{key}.{part} cannot be filled: {why}", provider.name);
        Failure::new(FailureClass::Invalid, why)
    };
    let of_path = Facts::of_path(provider.model.as_deref(), facts.get("operation").and_then(Value::as_str));
    let path = of_path.text(&template.path).and_then(options::checked_path);
    let path = path.map_err(|why| wrong("path", &why))?;
    let facts = Facts::new(facts);
    let mut request = HttpRequest::get(path);
    for (part, fields) in [("query", &template.query), ("headers", &template.headers)] {
        for (name, text) in fields {
            let value = facts.value(&text.as_str().into()).map_err(|why| wrong(part, &why))?;
            let Some(value) = value.as_ref().and_then(json_path::plain) else { continue };
            let list = if part == "query" { &mut request.query } else { &mut request.headers };
            list.push((name.clone().into(), value));
        }
    }
    if template.posts() {
        let body = template.body.clone().unwrap_or_else(|| json!({}));
        let body = facts.value(&body).map_err(|why| wrong("body", &why))?;
        request.body = Some(body.unwrap_or_else(|| json!({})));
    }
    Ok(request)
}

/// A request about an operation. Where the vendor spreads operations over hosts, the id carries the one to ask:
/// `api.us1.vendor.example/7c3f`. The ledger can be written by others, so the host is held to the configured
/// list once more.
fn ask_after(
    options: &HttpOptions,
    template: &RequestOptions,
    key: &str,
    provider: &Provider,
    operation: &str,
) -> Result<HttpRequest, Failure> {
    let asks_elsewhere = options.operation.as_ref().is_some_and(|described| described.host.is_some());
    let (authority, id) = match operation.split_once('/') {
        Some((authority, id)) if asks_elsewhere => (Some(authority), id),
        Some(_) | None => (None, operation),
    };
    if let Some(authority) = authority {
        let (base, reach) = address_of(provider)?;
        if !hosts::is_allowed(authority, &options.hosts, &base, reach) {
            return Err(operation::lost(provider, "its host is not, or no longer, one of those configured"));
        }
    }
    let mut facts = Map::new();
    facts.insert("model".to_owned(), provider.model.clone().into());
    facts.insert("operation".to_owned(), id.into());
    let request = filled(template, facts, key, provider)?;
    Ok(HttpRequest { authority: authority.map(str::to_owned), ..request })
}

fn address_of(provider: &Provider) -> Result<(url::Url, address::Reach), Failure> {
    let text = provider.base_url.as_deref().unwrap_or_default();
    address::base(text, false).map_err(|why| Failure::new(FailureClass::Invalid, why))
}

/// One reply being read.
struct Reading<'a> {
    options: &'a HttpOptions,
    call: &'a Call<'a>,
    reply: &'a HttpReply,
}

impl Reading<'_> {
    /// The body of a reply that is no failure. A file is not read as JSON.
    fn body(&self) -> Result<Value, Failure> {
        let (reply, call) = (self.reply, self.call);
        let until = hints::retry_at(reply, call.now());
        let parsed = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        if let Some((class, rule)) = rules::judge(&self.options.classes, reply, &parsed, until) {
            return Err(self.judged(class, &rule, &parsed));
        }
        if !reply.is_success() {
            return Err(self.failed());
        }
        if self.options.output.body {
            return Ok(parsed);
        }
        reply.json().map_err(|failure| self.unreadable(failure))
    }

    /// The failure of a reply whose status is one.
    fn failed(&self) -> Failure {
        let (reply, call) = (self.reply, self.call);
        // What a vendor does not know of right after the submit, it may know of in a moment.
        if call.operation.is_some() && matches!(reply.status, 404 | 410) {
            return operation::lost(call.provider, &format!("a poll answered {}", reply.status));
        }
        let failure = classify::failure(call, reply, &VendorError::of(reply));
        let submits = self.options.operation.is_some() && call.operation.is_none();
        if submits && reply.status >= 500 && failure.class == FailureClass::Transient {
            // The job may have been taken all the same, and there is no id to ask about.
            return Failure { class: FailureClass::without_answer(call.provider.repeat), ..failure };
        }
        failure
    }

    /// A success that cannot be read leaves the fate of an operation open; where there is none, nothing was made.
    fn unreadable(&self, failure: Failure) -> Failure {
        let provider = self.call.provider;
        match (&self.options.operation, self.call.operation) {
            (None, _) => failure,
            (Some(_), None) => Failure { class: FailureClass::without_answer(provider.repeat), ..failure },
            (Some(_), Some(_)) => operation::lost(provider, &format!("a poll {}", failure.message)),
        }
    }

    /// The failure that a rule of the configuration names. One within a success is about the operation, and ends
    /// it: asking again would not change it.
    fn judged(&self, class: FailureClass, rule: &str, body: &Value) -> Failure {
        if !self.reply.is_success() {
            let known = classify::failure(self.call, self.reply, &VendorError::of(self.reply));
            return Failure { class, ..known };
        }
        let words =
            self.words(body).unwrap_or_else(|| format!("its reply means {class}, by the rule on {rule}"));
        let class = if self.call.operation.is_some() { ended(class) } else { class };
        Failure::new(class, words)
    }

    /// Where an operation stands, after the reply that began it or a poll's.
    fn operation(&self, described: &OperationOptions, body: &Value) -> Result<Interpreted, Failure> {
        let word = described.status.text_at(body);
        let stage = word.as_deref().map(|word| described.stage(word));
        let failed = || self.ended_badly(word.as_deref().unwrap_or("failed"), stage, body);
        match stage {
            Some(Stage::Failed | Stage::Cancelled | Stage::Expired | Stage::Refused) => Err(failed()),
            Some(Stage::Succeeded) => match (&described.result, self.call.operation) {
                (Some(result), Some(operation)) => {
                    let (options, provider) = (self.options, self.call.provider);
                    ask_after(options, result, "operation.result", provider, operation).map(Interpreted::Then)
                }
                (Some(_), None) => self.accepted(described, body),
                (None, _) => self.output(body),
            },
            Some(Stage::Running) => self.accepted(described, body),
            None if self.error(body).is_some() => Err(failed()),
            None => self.accepted(described, body),
        }
    }

    fn accepted(&self, described: &OperationOptions, body: &Value) -> Result<Interpreted, Failure> {
        if let Some(operation) = self.call.operation {
            return Ok(Interpreted::Accepted { operation: operation.to_owned() });
        }
        let provider = self.call.provider;
        let unknown = |why: String| Failure::new(FailureClass::without_answer(provider.repeat), why);
        let Some(id) = described.id.text_at(body) else {
            return Err(unknown(format!("took the request without naming an operation at {}", described.id)));
        };
        let Some(path) = &described.host else { return Ok(Interpreted::Accepted { operation: id }) };
        let (base, reach) = address_of(provider)?;
        let named = path.text_at(body).unwrap_or_else(|| base.to_string());
        let own = url::Url::parse(&named).is_ok_and(|named| address::same_host(&named, &base));
        match hosts::authority(&named, &self.options.hosts, reach) {
            Some(authority) => Ok(Interpreted::Accepted { operation: format!("{authority}/{id}") }),
            None if own => Ok(Interpreted::Accepted { operation: id }),
            None => Err(unknown(format!(
                "took the request and names, at {path}, a host to ask that is not in providers.{}.hosts",
                provider.name
            ))),
        }
    }

    /// The output that a reply holds or names.
    fn output(&self, body: &Value) -> Result<Interpreted, Failure> {
        if let Some(error) = self.error(body) {
            let error = VendorError::within(error);
            return Err(classify::failure(self.call, self.reply, &error));
        }
        let provider = self.call.provider;
        let output = |body, claimed_type: Option<&str>| Output {
            claimed_type: claimed_type.map(str::to_owned),
            model: provider.model.clone(),
            cost_micros: provider.price_micros,
            ..Output::plain(body)
        };
        let costly = |failure: Failure| Failure { cost_micros: provider.price_micros, ..failure };
        let OutputOptions { url, base64, text, body: whole } = &self.options.output;
        if let Some(words) = text.as_ref().and_then(|path| joined(path, body)) {
            return Ok(Interpreted::Output(output(Body::Text(words), None)));
        }
        if let Some(encoded) = base64.as_ref().and_then(|path| path.text_at(body)) {
            let bytes = base64_file::decoded(&encoded).map_err(costly)?;
            return Ok(Interpreted::Output(output(Body::File(bytes), None)));
        }
        if let Some(url) = url.as_ref().and_then(|path| path.text_at(body)) {
            if url.starts_with("data:") {
                let bytes = base64_file::decoded(&url).map_err(costly)?;
                return Ok(Interpreted::Output(output(Body::File(bytes), None)));
            }
            let output = output(Body::File(Bytes::new()), None);
            return Ok(Interpreted::Fetch { url, output });
        }
        if *whole {
            if self.reply.body.is_empty() {
                return Err(costly(Failure::unusable("answered with nothing")));
            }
            let claimed_type = self.reply.header("content-type");
            return Ok(Interpreted::Output(output(Body::File(self.reply.body.clone()), claimed_type)));
        }
        let places: Vec<String> =
            [url, base64, text].into_iter().flatten().map(ToString::to_string).collect();
        Err(costly(Failure::unusable(format!("the answer holds nothing at {}", places.join(" or ")))))
    }

    fn ended_badly(&self, word: &str, stage: Option<Stage>, body: &Value) -> Failure {
        let word: String = word.chars().take(40).collect();
        let words = self.words(body).map(|words| format!(": {words}")).unwrap_or_default();
        let message = format!("the generation ended as \"{word}\"{words}");
        if stage == Some(Stage::Refused) {
            return Failure::new(FailureClass::Refused { category: None }, message);
        }
        // Judged as if the same words had come with a 400: only there do words for people count.
        let error = self.error(body).map(VendorError::within).unwrap_or_default();
        let known = classify::failure(self.call, self.reply, &VendorError { status: 400, ..error });
        Failure::new(ended(known.class), message)
    }

    fn error<'v>(&self, body: &'v Value) -> Option<&'v Value> {
        let found = self.options.error.as_ref()?.at(body)?;
        let empty = found.as_str().is_some_and(|text| text.trim().is_empty())
            || found.as_array().is_some_and(Vec::is_empty)
            || found.as_object().is_some_and(Map::is_empty)
            || *found == Value::Bool(false);
        (!empty).then_some(found)
    }

    /// What the vendor says of an error, for people.
    fn words(&self, body: &Value) -> Option<String> {
        self.error(body).and_then(|error| VendorError::within(error).words)
    }
}

impl OperationOptions {
    /// The configuration's words first, then those that every vendor uses. One that nobody knows counts as
    /// under way: it is no success, and the link's time ends the wait.
    fn stage(&self, word: &str) -> Stage {
        let listed = |words: &[String]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        if listed(&self.running) {
            Stage::Running
        } else if listed(&self.done) {
            Stage::Succeeded
        } else if listed(&self.failed) {
            Stage::Failed
        } else {
            operation::stage(word)
        }
    }
}

/// The class of a generation that is over. Classes that ask to poll on would do so for ever; what is not known to
/// have a reason of its own is an answer without an asset.
fn ended(class: FailureClass) -> FailureClass {
    match class {
        FailureClass::Quota { .. } | FailureClass::Refused { .. } => class,
        FailureClass::Transient
        | FailureClass::RateLimited { .. }
        | FailureClass::Auth
        | FailureClass::Retired
        | FailureClass::Invalid
        | FailureClass::Unusable
        | FailureClass::TimedOut
        | FailureClass::UnknownOutcome
        | FailureClass::Internal => FailureClass::Unusable,
    }
}

/// A text; a list of texts is one that came in pieces.
fn joined(path: &json_path::JsonPath, body: &Value) -> Option<String> {
    let Some(Value::Array(pieces)) = path.at(body) else { return path.text_at(body) };
    let text: String = pieces.iter().filter_map(Value::as_str).collect();
    (!text.trim().is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
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
            assert_eq!((request.path.as_str(), request.body), (path, Some(body)), "{label}");
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
        let auth = |label: &str| Http.auth(&from_entry(label));
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
        assert_eq!(request.body, Some(json!({"prompt": ask.prompt})));
        assert_eq!(request.query, [("q".into(), ask.prompt.clone())]);
    }

    #[test]
    fn every_mistake_is_named_by_its_key() {
        let check = |options: Value, expected: &[(&str, &str)]| {
            let mistakes = Http.mistakes(&described(&options));
            let said: Vec<String> = mistakes.iter().map(|m| m.of_provider(&described(&options))).collect();
            assert_eq!(said.len(), expected.len(), "{said:?}");
            for (said, (key, words)) in said.iter().zip(expected) {
                let key = format!("providers.house.{key}: ");
                assert!(said.starts_with(&key) && said.contains(words), "{said} / {key}{words}");
            }
        };
        let with = |changes: Value| {
            let mut options = json!({"request": {"path": "v1/make", "body": {}}, "output": {"url": "u"}});
            let fields = options.as_object_mut().expect("an object");
            fields.extend(changes.as_object().expect("an object").clone());
            options
        };
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
        let operation = |changes: Value| {
            let mut operation =
                json!({"id": "id", "status": "status", "poll": {"path": "v1/{{ operation }}"}});
            operation.as_object_mut().expect("an object").extend(changes.as_object().expect("one").clone());
            with(json!({"operation": operation}))
        };
        check(operation(json!({})), &[]);
        check(operation(json!({"poll": {"path": "v1/x"}})), &[("operation.poll", "{{ operation }}")]);
        check(operation(json!({"result": {"path": "v1/x"}})), &[("operation.result", "{{ operation }}")]);
        check(operation(json!({"host": "url"})), &[("hosts", "both are needed")]);
        check(operation(json!({"id": 7})), &[("operation", "invalid type")]);
    }
}
