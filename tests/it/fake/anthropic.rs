//! Anthropic's Messages API and list of models, as its SDK knows them.

use serde_json::{Value, json};

use super::{Call, KEY, Memory, Trouble, page};
use crate::support::Reply;

/// Every field of a message's request; the vendor refuses all others.
const FIELDS: &[&str] = &[
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "max_tokens",
    "messages",
    "metadata",
    "model",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
];

/// The versions of the API: the one that everybody speaks, and the one of the SDK of November 2026.
const VERSIONS: [&str; 2] = ["2023-06-01", "2026-10-21"];

/// The models on the list: id, name, when it goes.
const MODELS: &[(&str, &str, Option<&str>)] = &[
    ("claude-sonnet-5-5", "Claude Sonnet 5.5", None),
    ("claude-haiku-5-5", "Claude Haiku 5.5", None),
    ("claude-sonnet-4-6", "Claude Sonnet 4.6", None),
    ("claude-haiku-4-5-20251001", "Claude Haiku 4.5", None),
    ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5", Some("2026-11-30T00:00:00Z")),
];

/// A status, the vendor's type of the error, and its sentence.
type Refusal = (u16, &'static str, String);

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let spoken_to =
        call.request.header("anthropic-version").is_some() || call.request.header("x-api-key").is_some();
    let messages = call.is("POST", "/v1/messages");
    let model = call.path.strip_prefix("/v1/models").filter(|_| spoken_to && call.request.method == "GET");
    if !messages && model.is_none() {
        return None;
    }
    let id = format!("req_{:024}", memory.id());
    let checked = known(call).and_then(|()| match model {
        Some("") => Ok(models(call)),
        Some(model) => one_model(model.trim_start_matches('/')),
        None => message(call, memory.id()),
    });
    let trouble = call.trouble.filter(|trouble| messages || !trouble.is_of_a_model());
    Some(match (checked, trouble) {
        (Err((status, kind, message)), _) => error(status, &id, kind, &message),
        (Ok(body), None) => reply(200, &id, vec![], &body),
        (Ok(body), Some(trouble)) => troubled(trouble, call, &id, body),
    })
}

/// Whether the caller has a key and says which version it speaks.
fn known(call: &Call<'_>) -> Result<(), Refusal> {
    let refused = |why: &str| Err((401, "authentication_error", why.to_owned()));
    match call.request.header("x-api-key").or_else(|| call.header_after("authorization", "Bearer ")) {
        None => refused("x-api-key header is required"),
        Some(key) if key != KEY => refused("invalid x-api-key"),
        Some(_) => match call.request.header("anthropic-version") {
            None => Err((400, "invalid_request_error", "anthropic-version: header is required".to_owned())),
            Some(version) if !VERSIONS.contains(&version) => {
                let words = format!("anthropic-version: \"{version}\" is not a valid version");
                Err((400, "invalid_request_error", words))
            }
            Some(_) => Ok(()),
        },
    }
}

fn message(call: &Call<'_>, number: u64) -> Result<Value, Refusal> {
    let invalid = |why: String| (400, "invalid_request_error", why);
    let asked = call.json().ok_or_else(|| invalid("The request body is not valid JSON".to_owned()))?;
    // The newer version has no sampling any more.
    let sampled = ["temperature", "top_p", "top_k"].into_iter().find(|field| !asked[field].is_null());
    if let Some(field) = sampled.filter(|_| call.request.header("anthropic-version") == Some(VERSIONS[1])) {
        return Err(invalid(format!("{field}: Extra inputs are not permitted")));
    }
    checked(&asked).map_err(invalid)?;
    let model = asked["model"].as_str().unwrap_or_default();
    if !model.starts_with("claude-") || model.contains("no-such") {
        return Err((404, "not_found_error", format!("model: {model}")));
    }
    let text =
        format!("A calm sentence about this, long enough to be published: {}", said(&asked["messages"][0]));
    Ok(json!({"id": format!("msg_{number:024}"), "type": "message", "role": "assistant", "model": model,
        "content": [{"type": "text", "text": text, "citations": null}],
        "stop_reason": "end_turn", "stop_sequence": null, "stop_details": null,
        "usage": {"input_tokens": 12, "output_tokens": 34, "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0, "service_tier": "standard", "server_tool_use": null,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "inference_geo": "global"}}))
}

/// What the vendor objects to in a message's request.
fn checked(asked: &Value) -> Result<(), String> {
    let fields = asked.as_object().ok_or("Input should be an object")?;
    if let Some(extra) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        return Err(format!("{extra}: Extra inputs are not permitted"));
    }
    if let Some(missing) =
        ["model", "max_tokens", "messages"].into_iter().find(|field| !fields.contains_key(*field))
    {
        return Err(format!("{missing}: Field required"));
    }
    match asked["max_tokens"].as_u64() {
        Some(1..=128_000) => {}
        Some(0) => return Err("max_tokens: Input should be greater than or equal to 1".to_owned()),
        Some(many) => {
            return Err(format!(
                "max_tokens: {many} > 128000, which is the maximum allowed number of output tokens"
            ));
        }
        None => return Err("max_tokens: Input should be a valid integer".to_owned()),
    }
    if !asked["model"].is_string() {
        return Err("model: Input should be a valid string".to_owned());
    }
    let messages = asked["messages"].as_array().ok_or("messages: Input should be a valid list")?;
    if messages.is_empty() {
        return Err("messages: at least one message is required".to_owned());
    }
    if let Some(at) =
        messages.iter().position(|one| !["user", "assistant"].contains(&one["role"].as_str().unwrap_or("")))
    {
        return Err(format!("messages.{at}.role: Input should be 'user' or 'assistant'"));
    }
    if let Some(at) = messages.iter().position(|one| said(one).trim().is_empty()) {
        return Err(format!("messages.{at}: text content blocks must be non-empty"));
    }
    let warmth = &asked["temperature"];
    if !warmth.is_null() && !warmth.as_f64().is_some_and(|warmth| (0.0..=1.0).contains(&warmth)) {
        return Err("temperature: range: 0..1".to_owned());
    }
    Ok(())
}

/// The text of a message, whose content is a string or a list of blocks.
fn said(message: &Value) -> String {
    let blocks = message["content"].as_array();
    let texts = blocks.map(|blocks| blocks.iter().filter_map(|block| block["text"].as_str()).collect());
    texts.unwrap_or_else(|| message["content"].as_str().unwrap_or_default().to_owned())
}

fn models(call: &Call<'_>) -> Value {
    let limit = call.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(20);
    let after = call.parameter("after_id").and_then(|id| MODELS.iter().position(|(known, ..)| *known == id));
    let (shown, more) = page(MODELS, after.map_or(0, |at| at + 1), limit);
    json!({"data": shown.iter().map(model).collect::<Vec<_>>(), "has_more": more,
        "first_id": shown.first().map(|(id, ..)| id), "last_id": shown.last().map(|(id, ..)| id)})
}

fn one_model(id: &str) -> Result<Value, Refusal> {
    // An alias is the name without its day.
    let is = |known: &str| known == id || known.strip_prefix(id).is_some_and(|day| day.starts_with("-20"));
    let found = MODELS.iter().find(|(known, ..)| is(known));
    found.map(model).ok_or_else(|| (404, "not_found_error", format!("model: {id}")))
}

fn model((id, name, retires): &(&str, &str, Option<&str>)) -> Value {
    json!({"type": "model", "id": id, "display_name": name, "created_at": "2025-09-29T00:00:00Z",
        "lifecycle": if retires.is_some() { "deprecated" } else { "active" }, "line": null,
        "deprecated_at": retires.map(|_| "2026-08-31T00:00:00Z"), "retires_at": retires,
        "max_input_tokens": 200_000, "max_tokens": 64_000, "capabilities": null})
}

fn troubled(trouble: Trouble, call: &Call<'_>, id: &str, mut body: Value) -> Reply {
    let resets = |status, message: &str, details: Value| {
        let error = json!({"type": "rate_limit_error", "message": message, "details": details});
        (status, json!({"type": "error", "error": error, "request_id": id}))
    };
    match trouble {
        Trouble::Transient => error(529, id, "overloaded_error", "Overloaded"),
        Trouble::RateLimited => {
            let words = "This request would exceed your organization's rate limit of 50 requests per minute.";
            let (status, body) = resets(429, words, Value::Null);
            let headers = vec![
                ("retry-after", "34".to_owned()),
                ("anthropic-ratelimit-requests-limit", "50".to_owned()),
                ("anthropic-ratelimit-requests-remaining", "0".to_owned()),
                ("anthropic-ratelimit-requests-reset", "2027-01-01T00:00:34Z".to_owned()),
            ];
            reply(status, id, headers, &body)
        }
        Trouble::Quota => {
            let words = "You have reached your specified API usage limits. You will regain access on 2099-01-01 at 00:00 UTC.";
            let (status, body) = resets(429, words, json!({"error_code": "enforced_spend_limit_reached"}));
            reply(status, id, vec![], &body)
        }
        Trouble::Auth => error(401, id, "authentication_error", "invalid x-api-key"),
        Trouble::Retired => {
            let asked = call.json().unwrap_or_default();
            error(
                404,
                id,
                "not_found_error",
                &format!("model: {}", asked["model"].as_str().unwrap_or_default()),
            )
        }
        Trouble::Invalid => {
            error(400, id, "invalid_request_error", "messages.0.content: Input should be a valid string")
        }
        Trouble::Refused => {
            (body["content"], body["stop_reason"]) = (json!([]), json!("refusal"));
            body["stop_details"] =
                json!({"type": "refusal", "category": "general_harms", "explanation": null});
            reply(200, id, vec![], &body)
        }
        Trouble::Unusable => {
            body["stop_reason"] = json!("max_tokens");
            reply(200, id, vec![], &body)
        }
        Trouble::Silence => Reply::Silence,
        Trouble::HangUp => Reply::HangUp,
        // Nothing here is rendered.
        Trouble::RenderFails => reply(200, id, vec![], &body),
    }
}

fn error(status: u16, id: &str, kind: &str, message: &str) -> Reply {
    let error = json!({"type": kind, "message": message});
    reply(status, id, vec![], &json!({"type": "error", "error": error, "request_id": id}))
}

fn reply(status: u16, id: &str, mut headers: Vec<(&'static str, String)>, body: &Value) -> Reply {
    headers.push(("content-type", "application/json".to_owned()));
    headers.push(("request-id", id.to_owned()));
    Reply::Http { status, headers, body: body.to_string().into_bytes() }
}
