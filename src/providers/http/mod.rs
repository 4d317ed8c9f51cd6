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
        filled(&options.request, &Facts::new(job_facts(call)), "request", call.provider)
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
    facts: &Facts,
    key: &str,
    provider: &Provider,
) -> Result<HttpRequest, Failure> {
    let wrong = |part: &str, why: &str| {
        let why = format!("providers.{}.{key}.{part} cannot be filled: {why}", provider.name);
        Failure::new(FailureClass::Invalid, why)
    };
    // A path holds what the configuration and the vendor say, never what a job brings.
    let path =
        facts.text(&template.path).and_then(options::checked_path).map_err(|why| wrong("path", &why))?;
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
    let request = filled(template, &Facts::new(facts), key, provider)?;
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
        if let Some(class) = rules::judge(&self.options.classes, reply, &parsed, until) {
            return Err(self.judged(class, &parsed));
        }
        if !reply.is_success() {
            // What a vendor does not know of right after the submit, it may know of in a moment.
            if call.operation.is_some() && matches!(reply.status, 404 | 410) {
                return Err(operation::lost(call.provider, &format!("a poll answered {}", reply.status)));
            }
            return Err(classify::failure(call, reply, &VendorError::of(reply)));
        }
        if self.options.output.body {
            return Ok(parsed);
        }
        reply.json()
    }

    /// The failure that a rule of the configuration names. One within a success is about the operation, and ends
    /// it: asking again would not change it.
    fn judged(&self, class: FailureClass, body: &Value) -> Failure {
        if !self.reply.is_success() {
            let known = classify::failure(self.call, self.reply, &VendorError::of(self.reply));
            return Failure { class, ..known };
        }
        let words = self.words(body).unwrap_or_else(|| format!("its reply is one of class {class}"));
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
