//! OpenAI's chat completions, and what vLLM, Ollama, LM Studio, llama.cpp and OpenRouter make of them.
//!
//! Rests on the vendor's published specification and on recordings of the compatible servers, which take
//! liberties with every field: nothing but the text is required here.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::ask::{Ask, Body, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::address;
use super::classify;
use super::cost::{Tokens, cost_micros, count};
use super::further::{self, Guarded};
use super::openai_models;
use super::options::{self, TextOptions};
use super::protocol::{Auth, BEARER, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::vendor_error::VendorError;

/// The answer's budget where the operator names none; it counts the tokens of reasoning too. Compatible servers without
/// a price get none then: their models' windows are as small as the operator's memory.
const DEFAULT_MAX_TOKENS: u32 = 4096;

/// The vendor's own host, which wants `max_completion_tokens`; everybody else knows `max_tokens`, but for the models
/// of the vendor that reason.
const OPENAI: &str = "api.openai.com";

/// What `extra` may not hold.
const GUARDED: &[Guarded] = &[
    ("model", "model"),
    ("max_tokens", "max_tokens"),
    ("temperature", "temperature"),
    ("n", ""),
    ("best_of", ""),
];

/// The protocol `openai-chat`.
pub(super) struct OpenAiChat;

#[derive(Deserialize)]
struct Completion {
    model: Option<String>,
    choices: Option<Vec<Choice>>,
    usage: Option<Value>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    finish_reason: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    content: Value,
    refusal: Option<String>,
}

impl Protocol for OpenAiChat {
    fn auth(&self, _provider: &Provider) -> Auth {
        BEARER
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        let options: TextOptions = options::read(provider)?;
        if options.further_budget().is_some_and(|budget| budget.as_u64().is_none()) {
            return Err("extra.max_completion_tokens must be a whole number of tokens".to_owned());
        }
        further::check(&options.extra, GUARDED)
    }

    fn question(&self, provider: &Provider) -> Option<HttpRequest> {
        openai_models::question(provider)
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        openai_models::answer(asked, reply)
    }

    fn most_micros(&self, provider: &Provider, ask: &Ask) -> i64 {
        options::read::<TextOptions>(provider)
            .map_or(provider.price_micros, |options| options.most_micros(provider, ask, DEFAULT_MAX_TOKENS))
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options: TextOptions = options::of_call(call.provider)?;
        let mut messages = Vec::with_capacity(2);
        if let Some(system) = &options.system {
            messages.push(json!({"role": "system", "content": system}));
        }
        messages.push(json!({"role": "user", "content": call.ask.prompt}));
        let mut body = Map::new();
        body.insert("model".to_owned(), call.model()?.into());
        body.insert("messages".to_owned(), messages.into());
        let budget = options.budget(DEFAULT_MAX_TOKENS, call.ask.repeat);
        let at_openai = address::host_is(call.provider, OPENAI);
        if at_openai || is_bounded(call.provider, &options) {
            let newer = at_openai || reasons(call.model()?);
            let name = if newer { "max_completion_tokens" } else { "max_tokens" };
            body.insert(name.to_owned(), budget.into());
        }
        if let Some(temperature) = options.temperature {
            body.insert("temperature".to_owned(), temperature.into());
        }
        body.extend(options.extra);
        Ok(HttpRequest {
            headers: vec![("x-client-request-id".into(), call.ask.idempotency_key.clone())],
            ..HttpRequest::post("v1/chat/completions", body)
        })
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(classify::failure(call, reply, &VendorError::of(reply)));
        }
        let completion: Completion = reply.json()?;
        let choice = completion.choices.into_iter().flatten().next();
        let error = completion.error.as_ref().or_else(|| choice.as_ref().and_then(|c| c.error.as_ref()));
        if let Some(error) = error.filter(|error| !error.is_null()) {
            return Err(classify::failure(call, reply, &VendorError::within(error)));
        }
        let options: TextOptions = options::of_call(call.provider)?;
        let tokens = completion.usage.as_ref().map(tokens);
        let cost_micros = cost_micros(call.provider, options.prices, tokens);
        let text = match choice {
            Some(choice) => choice.text(),
            None => Err(Failure::unusable("the answer holds no choices")),
        };
        let text = text.map_err(|failure| Failure { cost_micros, ..failure })?;
        let output = Output { model: completion.model, cost_micros, ..Output::plain(Body::Text(text)) };
        Ok(Interpreted::Output(output))
    }
}

/// Whether a compatible server is told the budget: where it is set, and where calls have a price, because what is put
/// aside of the operator's budgets is the price of that many tokens.
fn is_bounded(provider: &Provider, options: &TextOptions) -> bool {
    let has_price = options.prices.is_some() || provider.price_micros > 0;
    options.further_budget().is_none() && (options.max_tokens.is_some() || has_price)
}

/// Whether a model is one of OpenAI's that refuse `max_tokens` wherever they are served, by its id: `gpt-5-mini`, `o3`.
fn reasons(model: &str) -> bool {
    let numbered = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    numbered || model.starts_with("gpt-5")
}

impl Choice {
    fn text(self) -> Result<String, Failure> {
        let message = self.message.unwrap_or(Message { content: Value::Null, refusal: None });
        let text = words(&message.content);
        let refusal = message.refusal.is_some_and(|refusal| !refusal.trim().is_empty());
        let refused = || Failure::new(FailureClass::Refused { category: None }, "the model declined");
        match self.finish_reason.as_deref() {
            Some("content_filter") => Err(refused()),
            Some(_) | None if refusal || has_refusal_part(&message.content) => Err(refused()),
            Some("length") => Err(Failure::unusable("the text is truncated (length)")),
            Some(reason @ ("tool_calls" | "function_call" | "error")) => {
                Err(Failure::unusable(format!("the model stopped before its answer ({reason})")))
            }
            Some(_) | None if text.trim().is_empty() => Err(Failure::unusable("the answer holds no text")),
            Some(_) | None => Ok(text),
        }
    }
}

/// The text of `content`, which is a string or an array of parts. What a local reasoning model thought aloud
/// before its answer (`<think>...</think>`) is not for publishing.
fn words(content: &Value) -> String {
    let whole: String = match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.as_str().or_else(|| part.get("text").and_then(Value::as_str)))
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => String::new(),
    };
    match whole.trim_start().strip_prefix("<think>").and_then(|thought| thought.split_once("</think>")) {
        Some((_, answer)) => answer.trim_start().to_owned(),
        None => whole,
    }
}

fn has_refusal_part(content: &Value) -> bool {
    content.as_array().is_some_and(|parts| parts.iter().any(|part| part.get("refusal").is_some()))
}

fn tokens(usage: &Value) -> Tokens {
    Tokens {
        input: count(usage, "/prompt_tokens"),
        output: count(usage, "/completion_tokens"),
        image_input: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::{ask, body_of, provider};

    fn body(base_url: &str, options: &Value, repeat: u32) -> Value {
        let mut provider = provider("openai-chat", "gemma-3", base_url);
        provider.options = options.as_object().expect("an object").clone();
        let mut ask = ask();
        ask.repeat = repeat;
        body_of(&OpenAiChat, &provider, &ask)
    }

    #[test]
    fn a_compatible_server_gets_what_every_one_understands() {
        let bare =
            json!({"model": "gemma-3", "messages": [{"role": "user", "content": "A post about foxes"}]});
        assert_eq!(body("http://127.0.0.1:8080/v1", &json!({}), 0), bare);
        let set = body(
            "http://127.0.0.1:8080",
            &json!({"system": "Be brief", "max_tokens": 100, "temperature": 0.0, "extra": {"seed": 7}}),
            1,
        );
        assert_eq!(set["messages"][0], json!({"role": "system", "content": "Be brief"}));
        assert_eq!(set["max_tokens"], 200);
        assert_eq!(set["temperature"], 0.0);
        assert_eq!(set["seed"], 7);
        assert_eq!(set.get("max_completion_tokens"), None);
    }

    #[test]
    fn a_server_whose_calls_have_a_price_is_held_to_what_is_put_aside() {
        let mut provider = provider("openai-chat", "m", "https://relay.example/v1");
        let mut ask = ask();
        let budget =
            |provider: &Provider, ask: &Ask| body_of(&OpenAiChat, provider, ask).get("max_tokens").cloned();
        assert_eq!(budget(&provider, &ask), None);
        provider.price_micros = 1;
        assert_eq!(budget(&provider, &ask), Some(json!(4096)));
        provider.price_micros = 0;
        provider.options.insert("prices".to_owned(), json!({"input": 1, "output": 1_000_000}));
        assert_eq!(budget(&provider, &ask), Some(json!(4096)));
        ask.repeat = 1;
        assert_eq!(budget(&provider, &ask), Some(json!(8192)), "a repeat has twice the room");
        assert_eq!(OpenAiChat.most_micros(&provider, &ask), 8193, "and that is put aside");
        provider.options.insert("extra".to_owned(), json!({"max_completion_tokens": 100}));
        assert_eq!(budget(&provider, &ask), None, "the operator's own word for it is the only one");
        assert_eq!(OpenAiChat.most_micros(&provider, &ask), 101);
    }

    #[test]
    fn a_model_that_reasons_gets_its_own_word_at_a_relay_too() {
        let named = |model: &str| {
            let mut provider = provider("openai-chat", model, "https://relay.example/v1");
            provider.price_micros = 1;
            let body = body_of(&OpenAiChat, &provider, &ask());
            (body.get("max_tokens").is_some(), body.get("max_completion_tokens").is_some())
        };
        for model in ["gpt-5", "gpt-5-mini", "o3", "o4-mini"] {
            assert_eq!(named(model), (false, true), "{model}");
        }
        for model in ["gpt-4.1", "openai/gpt-5", "olmo-2", "gpt-oss-120b", "gemma-3"] {
            assert_eq!(named(model), (true, false), "{model}");
        }
    }

    #[test]
    fn openai_itself_gets_its_own_word_for_the_budget() {
        for (repeat, budget) in [(0, 4096), (1, 8192)] {
            let body = body("https://api.openai.com/v1/", &json!({}), repeat);
            assert_eq!(body["max_completion_tokens"], budget);
            assert_eq!(body.get("max_tokens"), None);
        }
    }
}
