//! The list of models of OpenAI's API and its relatives, asked for to see that a key and a model are good.
//!
//! Rests on the vendor's specification, in which an entry may name its `shutdown_date`, and on what the
//! compatible servers answer.

use serde_json::Value;
use url::Url;

use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::protocol::{HttpReply, HttpRequest};
use super::question::{Asked, Found, Listing};

/// OpenRouter shows its list to anybody, so the key's own entry is asked for there.
const OPENROUTER: &str = "openrouter.ai";

/// The only host that is known to show its list for a key alone.
const OPENAI: &str = "api.openai.com";

/// The question for the list, or for the key.
pub(super) fn question(provider: &Provider) -> Option<HttpRequest> {
    let path = if is_at(provider, OPENROUTER) { "v1/key" } else { "v1/models" };
    Some(HttpRequest::get(path))
}

/// What the answer says.
pub(super) fn answer(asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
    let body = asked.json(reply)?;
    if is_at(asked.provider, OPENROUTER) {
        return openrouter(&body);
    }
    // Lists come as `data`, of Ollama's own API as `models`, and bare.
    let list = ["data", "models"].iter().find_map(|key| body.get(key)?.as_array()).or(body.as_array());
    let list = list.ok_or_else(|| Failure::unusable("the answer holds no list of models"))?;
    // llama.cpp serves the model it was started with, whatever name it is called by.
    let any_name = list.iter().any(|entry| entry.get("owned_by").is_some_and(|who| who == "llamacpp"));
    let whole = body.get("has_more") != Some(&Value::Bool(true));
    let model = asked.listed(list, "id", "shutdown_date");
    let model = model.filter(|listing| whole && !any_name || *listing != Listing::Missing);
    Ok(Found { proves_key: is_at(asked.provider, OPENAI), model })
}

/// What is left of the key's allowance, where it has one.
fn openrouter(body: &Value) -> Result<Found, Failure> {
    let key = body.get("data").filter(|data| data.is_object());
    let key = key.ok_or_else(|| Failure::unusable("the answer describes no key"))?;
    match key.get("limit_remaining").and_then(Value::as_f64) {
        Some(left) if left <= 0.0 => {
            Err(Failure::new(FailureClass::Quota { until: None }, "nothing is left of the key's allowance"))
        }
        Some(_) | None => Ok(Found::KEY),
    }
}

fn is_at(provider: &Provider, host: &str) -> bool {
    let base = provider.base_url.as_deref().and_then(|text| Url::parse(text).ok());
    base.is_some_and(|base| base.host_str() == Some(host))
}
