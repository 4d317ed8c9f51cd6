//! Any JSON API that the configuration describes: no code knows the vendor.

mod answer;
mod filling;
mod hosts;
mod json_path;
mod options;
mod reading;
mod rules;

use serde_json::{Map, Value, json};

use crate::domain::accept::Aspect;
use crate::domain::asset::Medium;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::operation;
use super::picture_size;
use super::protocol::{
    Auth, BEARER, Call, HttpReply, HttpRequest, Interpreted, Mistake, Protocol, RequestBody,
};
use super::question::{Asked, Found};
use super::{address, protocol};

use filling::Facts;
use options::{HttpOptions, RequestOptions};
use reading::Reading;

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

    fn question(&self, provider: &Provider) -> Option<HttpRequest> {
        let check = options::read(provider).ok()?.check?;
        let mut facts = Map::new();
        facts.insert("model".to_owned(), provider.model.clone().into());
        filled(&check.request(), facts, "check", provider).ok()
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        let options = of_call(asked.provider)?;
        answer::read(&options, asked, reply)
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        let options = of_call(call.provider)?;
        let reading = Reading { options: &options, call, reply };
        match &options.operation {
            None => reading.output(&reading.output_body()?),
            Some(described) => reading.operation(described, &reading.body()?),
        }
    }

    fn interpret_result(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        let options = of_call(call.provider)?;
        let reading = Reading { options: &options, call, reply };
        // The operation has ended: a request for its output that is malformed, or that finds none, stays so.
        let found = reading.output_body().and_then(|body| reading.output(&body));
        found.map_err(|failure| {
            let stays = matches!(failure.class, FailureClass::Invalid | FailureClass::Retired);
            if stays { failure.of_ended_operation() } else { failure }
        })
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
    if let Some(form) = &template.form {
        let mut fields = Vec::with_capacity(form.len());
        for (name, field) in form {
            let value = facts.value(field).map_err(|why| wrong("form", &why))?;
            if value.as_ref().is_some_and(|value| value.is_array() || value.is_object()) {
                return Err(wrong("form", &format!("{name} comes to more than one value")));
            }
            fields.extend(value.as_ref().and_then(json_path::plain).map(|text| (name.clone(), text)));
        }
        request.body = Some(RequestBody::Form(fields));
    } else if template.posts() {
        let body = template.body.clone().unwrap_or_else(|| json!({}));
        let body = facts.value(&body).map_err(|why| wrong("body", &why))?;
        request.body = Some(RequestBody::Json(body.unwrap_or_else(|| json!({}))));
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

#[cfg(test)]
mod tests;
