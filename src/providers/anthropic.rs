//! Anthropic's Messages API.
//!
//! Rests on the vendor's reference and SDK source: PROVIDERS facts of November 2026. No idempotency key exists.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::ask::{Ask, Body, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::classify;
use super::cost::{Tokens, cost_micros, count};
use super::further::{self, Guarded};
use super::options::{self, TextOptions};
use super::protocol::{Auth, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found, Listing};
use super::vendor_error::VendorError;

/// The answer's budget where the operator names none: the API requires one.
const DEFAULT_MAX_TOKENS: u32 = 4096;

/// What `extra` may not hold. Only OpenAI knows the last one, and it would be taken for the budget.
const GUARDED: &[Guarded] = &[
    ("model", "model"),
    ("max_tokens", "max_tokens"),
    ("system", "system"),
    ("temperature", "temperature"),
    ("max_completion_tokens", "max_tokens"),
];

/// The protocol `anthropic`.
pub(super) struct Anthropic;

#[derive(Deserialize)]
struct Message {
    model: Option<String>,
    content: Option<Vec<Value>>,
    stop_reason: Option<String>,
    stop_details: Option<StopDetails>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct StopDetails {
    category: Option<String>,
}

impl Protocol for Anthropic {
    fn auth(&self, _provider: &Provider) -> Auth {
        Auth::bare("x-api-key")
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        let options: TextOptions = options::read(provider)?;
        further::check(&options.extra, GUARDED)
    }

    fn most_micros(&self, provider: &Provider, ask: &Ask) -> i64 {
        options::read::<TextOptions>(provider)
            .map_or(provider.price_micros, |options| options.most_micros(provider, ask, DEFAULT_MAX_TOKENS))
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options: TextOptions = options::of_call(call.provider)?;
        let mut body = Map::new();
        body.insert("model".to_owned(), call.model()?.into());
        body.insert("max_tokens".to_owned(), options.budget(DEFAULT_MAX_TOKENS, call.ask.repeat).into());
        body.insert("messages".to_owned(), json!([{"role": "user", "content": call.ask.prompt}]));
        if let Some(system) = options.system {
            body.insert("system".to_owned(), system.into());
        }
        if let Some(temperature) = options.temperature {
            body.insert("temperature".to_owned(), temperature.into());
        }
        body.extend(options.extra);
        Ok(HttpRequest { headers: version(), ..HttpRequest::post("v1/messages", body) })
    }

    /// The model's own entry, which aliases have too.
    fn question(&self, provider: &Provider) -> Option<HttpRequest> {
        let model = provider.model.as_deref()?;
        Some(HttpRequest { headers: version(), ..HttpRequest::get(format!("v1/models/{model}")) })
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        let entry = asked.json(reply)?;
        let text = |field: &str| entry.get(field).and_then(Value::as_str);
        if text("id").is_none() {
            return Err(Failure::unusable("the answer describes no model"));
        }
        let ends = text("retires_at").and_then(|day| day.get(..10)?.parse().ok());
        // Entries stay when their models are gone.
        let gone = text("lifecycle") == Some("retired") && ends.is_none();
        let listing = if gone { Listing::Missing } else { Listing::Listed { ends } };
        Ok(Found { proves_key: true, model: Some(listing) })
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(classify::failure(call, reply, &VendorError::of(reply)));
        }
        let message: Message = reply.json()?;
        if let Some(error) = message.error.as_ref().filter(|error| !error.is_null()) {
            return Err(classify::failure(call, reply, &VendorError::within(error)));
        }
        let options: TextOptions = options::of_call(call.provider)?;
        let cost_micros = cost_micros(call.provider, options.prices, message.usage.as_ref().map(tokens));
        let text = message.text();
        let stopped = message.stopped(&text).map_err(|failure| Failure { cost_micros, ..failure });
        stopped.map(|()| {
            let output = Output { model: message.model, cost_micros, ..Output::plain(Body::Text(text)) };
            Interpreted::Output(output)
        })
    }
}

/// The version of October 2026 answers 400 to a temperature, which this one still takes.
fn version() -> Vec<(Cow<'static, str>, String)> {
    vec![("anthropic-version".into(), "2023-06-01".to_owned())]
}

impl Message {
    /// Every block of type text; what a thinking block holds is not the answer.
    fn text(&self) -> String {
        let text = |block: &Value| {
            let is_text = block.get("type").and_then(Value::as_str) == Some("text");
            is_text.then(|| block.get("text").and_then(Value::as_str).map(str::to_owned)).flatten()
        };
        self.content.iter().flatten().filter_map(text).collect()
    }

    /// Whether it ended as an answer ends. A reason we do not know is no reason to throw words away.
    fn stopped(&self, text: &str) -> Result<(), Failure> {
        match self.stop_reason.as_deref() {
            Some("refusal") => {
                let category = self.stop_details.as_ref().and_then(|details| details.category.clone());
                Err(Failure::new(FailureClass::Refused { category }, "the model declined"))
            }
            Some(reason @ ("max_tokens" | "model_context_window_exceeded")) => {
                Err(Failure::unusable(format!("the text is truncated ({reason})")))
            }
            Some(reason @ ("tool_use" | "pause_turn")) => {
                Err(Failure::unusable(format!("the model stopped before its answer ({reason})")))
            }
            Some(_) | None if text.trim().is_empty() => Err(Failure::unusable("the answer holds no text")),
            Some(_) | None => Ok(()),
        }
    }
}

/// Cached tokens are counted as plain input: we ask for no cache, so a relay that uses one bills at most a
/// quarter more.
fn tokens(usage: &Value) -> Tokens {
    let kinds = ["/input_tokens", "/cache_creation_input_tokens", "/cache_read_input_tokens"];
    let input = kinds.into_iter().fold(0, |sum: u64, kind| sum.saturating_add(count(usage, kind)));
    Tokens { input, output: count(usage, "/output_tokens"), image_input: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::{ask, body_of, provider};

    #[test]
    fn a_request_holds_what_is_required_and_what_was_set() {
        let mut provider = provider("anthropic", "claude-sonnet-4-6", "https://api.anthropic.com");
        let body = body_of(&Anthropic, &provider, &ask());
        let bare = json!({"model": "claude-sonnet-4-6", "max_tokens": 4096,
            "messages": [{"role": "user", "content": "A post about foxes"}]});
        assert_eq!(body, bare, "no sampling parameters: the newest models refuse them");

        let options = json!({"system": "Be brief", "max_tokens": 300, "temperature": 0.5,
            "extra": {"output_config": {"effort": "low"}}});
        provider.options = options.as_object().expect("an object").clone();
        let mut again = ask();
        again.repeat = 1;
        let body = body_of(&Anthropic, &provider, &again);
        assert_eq!(body["system"], "Be brief");
        assert_eq!(body["temperature"], 0.5);
        assert_eq!(body["max_tokens"], 600, "a repeat has twice the room");
        assert_eq!(body["output_config"]["effort"], "low");
    }
}
