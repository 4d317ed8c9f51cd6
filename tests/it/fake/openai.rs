//! OpenAI's chat completions, pictures and list of models, as its SDK knows them.

use serde_json::{Value, json};

use super::{CREATED, Call, KEY, Memory, Trouble, picture_in_base64};
use crate::support::Reply;

/// The models on the list: id, and when it is shut down.
const MODELS: &[(&str, Option<&str>)] = &[
    ("gpt-5", Some("2026-12-11")),
    ("gpt-5-mini", Some("2026-12-11")),
    ("gpt-image-2.6-flare", None),
    ("gpt-image-1.5", Some("2026-12-01")),
];

#[rustfmt::skip]
const CHAT_FIELDS: &[&str] = &[
    "messages", "model", "audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs",
    "max_completion_tokens", "max_tokens", "metadata", "modalities", "moderation", "n", "parallel_tool_calls",
    "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention",
    "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "stop", "store", "stream",
    "stream_options", "temperature", "tool_choice", "tools", "top_logprobs", "top_p", "user", "verbosity",
    "web_search_options",
];

#[rustfmt::skip]
const IMAGE_FIELDS: &[&str] = &[
    "prompt", "background", "model", "moderation", "n", "output_compression", "output_format", "partial_images",
    "quality", "response_format", "safety_identifier", "size", "stream", "style", "user",
];

/// An error's status, type, field and code, and its sentence.
#[derive(Debug)]
struct Refusal {
    status: u16,
    kind: &'static str,
    field: Option<String>,
    code: Option<&'static str>,
    message: String,
}

impl Refusal {
    fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, field: None, code, message: message.into() }
    }

    /// A request whose `field` is not as it has to be.
    fn invalid(field: &str, code: &'static str, message: impl Into<String>) -> Self {
        let field = Some(field.to_owned());
        Self { field, ..Self::new(400, "invalid_request_error", Some(code), message) }
    }

    fn no_model(model: &str) -> Self {
        let message = format!("The model `{model}` does not exist or you do not have access to it.");
        Self::new(404, "invalid_request_error", Some("model_not_found"), message)
    }

    fn body(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.field, "code": self.code}})
    }
}

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let images = match (call.request.method.as_str(), call.path) {
        ("POST", "/v1/chat/completions") => false,
        ("POST", "/v1/images/generations") => true,
        ("GET", path) if path.strip_prefix("/v1/models").is_some_and(is_model_path) => false,
        _ => return None,
    };
    let id = format!("req_{:032x}", memory.id());
    let checked = known(call).and_then(|()| match call.path {
        "/v1/chat/completions" => completion(&asked(call, CHAT_FIELDS)?, memory.id()),
        "/v1/images/generations" => pictures(&asked(call, IMAGE_FIELDS)?),
        path => models(path.trim_start_matches("/v1/models").trim_start_matches('/')),
    });
    let lists = call.request.method == "GET";
    let trouble = call.trouble.filter(|trouble| !(lists && trouble.is_of_a_model()));
    Some(match (checked, trouble) {
        (Err(refusal), _) => reply(refusal.status, &id, vec![], &refusal.body()),
        (Ok(body), None) => reply(200, &id, vec![], &body),
        (Ok(body), Some(trouble)) => troubled(trouble, call, &id, body, images),
    })
}

fn is_model_path(tail: &str) -> bool {
    tail.is_empty() || tail.strip_prefix('/').is_some_and(|id| !id.contains('/'))
}

fn known(call: &Call<'_>) -> Result<(), Refusal> {
    let refused = |code, message: &str| Err(Refusal::new(401, "invalid_request_error", code, message));
    match call.header_after("authorization", "Bearer ") {
        None => refused(
            None,
            "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth.",
        ),
        Some(key) if key != KEY => {
            refused(Some("invalid_api_key"), "Incorrect API key provided: key-****6789.")
        }
        Some(_) => Ok(()),
    }
}

/// The request, which holds no field that is none.
fn asked(call: &Call<'_>, fields: &[&str]) -> Result<Value, Refusal> {
    let words = "We could not parse the JSON body of your request.";
    let asked = call.json().filter(Value::is_object);
    let asked = asked.ok_or_else(|| Refusal::new(400, "invalid_request_error", None, words))?;
    let extra = asked.as_object().into_iter().flatten().find(|(field, _)| !fields.contains(&field.as_str()));
    match extra {
        Some((field, _)) => {
            Err(Refusal::invalid(field, "unknown_parameter", format!("Unknown parameter: '{field}'.")))
        }
        None => Ok(asked),
    }
}

fn missing(field: &str) -> Refusal {
    Refusal::invalid(field, "missing_required_parameter", format!("Missing required parameter: '{field}'."))
}

fn value_of(field: &str, why: &str) -> Refusal {
    Refusal::invalid(field, "invalid_value", format!("Invalid value for '{field}': {why}"))
}

fn completion(asked: &Value, number: u64) -> Result<Value, Refusal> {
    let model = asked["model"].as_str().ok_or_else(|| missing("model"))?;
    if model.contains("no-such") {
        return Err(Refusal::no_model(model));
    }
    let messages = asked["messages"].as_array().ok_or_else(|| missing("messages"))?;
    let known = ["system", "developer", "user", "assistant", "tool"];
    let odd = messages.iter().position(|one| !known.contains(&one["role"].as_str().unwrap_or_default()));
    if let Some(at) = odd {
        return Err(value_of(&format!("messages[{at}].role"), "it is none of the supported values."));
    }
    let Some(last) = messages.last() else {
        return Err(value_of("messages", "expected an array with minimum length 1."));
    };
    if model.starts_with("gpt-5") && !asked["max_tokens"].is_null() {
        let words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.";
        return Err(Refusal::invalid("max_tokens", "unsupported_parameter", words));
    }
    for field in ["max_tokens", "max_completion_tokens"] {
        if !asked[field].is_null() && asked[field].as_u64().is_none_or(|tokens| tokens == 0) {
            return Err(value_of(field, "expected a value >= 1."));
        }
    }
    if !asked["temperature"].is_null()
        && !asked["temperature"].as_f64().is_some_and(|t| (0.0..=2.0).contains(&t))
    {
        return Err(value_of("temperature", "expected a value between 0 and 2."));
    }
    let text = format!(
        "A calm sentence about this, long enough to be published: {}",
        last["content"].as_str().unwrap_or("it")
    );
    Ok(json!({"id": format!("chatcmpl-{number:024}"), "object": "chat.completion", "created": CREATED,
        "model": model, "service_tier": "default", "system_fingerprint": null,
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": text, "refusal": null, "annotations": []}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0,
                "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0}}}))
}

fn pictures(asked: &Value) -> Result<Value, Refusal> {
    let prompt = asked["prompt"].as_str().ok_or_else(|| missing("prompt"))?;
    if prompt.is_empty() || prompt.chars().count() > 32_000 {
        return Err(value_of("prompt", "expected a string of 1 to 32000 characters."));
    }
    // The specification's default is a model that is shut down; relays that still have it are asked for it by name.
    let Some(model) = asked["model"].as_str() else { return Err(Refusal::no_model("dall-e-2")) };
    if model.contains("no-such") {
        return Err(Refusal::no_model(model));
    }
    if !model.starts_with("dall-e") && !asked["response_format"].is_null() {
        return Err(Refusal::invalid(
            "response_format",
            "unknown_parameter",
            "Unknown parameter: 'response_format'.",
        ));
    }
    if !asked["n"].is_null() && !asked["n"].as_u64().is_some_and(|n| (1..=10).contains(&n)) {
        return Err(value_of("n", "expected an integer between 1 and 10."));
    }
    for (field, values) in [
        ("quality", &["auto", "low", "medium", "high", "xhigh", "max", "standard", "hd"][..]),
        ("output_format", &["png", "jpeg", "webp"]),
        ("background", &["transparent", "opaque", "auto"]),
        ("moderation", &["auto", "low"]),
    ] {
        if !asked[field].is_null() && !asked[field].as_str().is_some_and(|value| values.contains(&value)) {
            return Err(value_of(field, &format!("supported values are {values:?}.")));
        }
    }
    let (width, height) = size(asked["size"].as_str().unwrap_or("auto"), model)?;
    let picture = json!({"b64_json": picture_in_base64((width, height))});
    let count = usize::try_from(asked["n"].as_u64().unwrap_or(1)).unwrap_or(1);
    Ok(
        json!({"created": CREATED, "data": vec![picture; count], "background": "opaque", "output_format": "png",
        "quality": "medium", "size": format!("{width}x{height}"),
        "usage": {"input_tokens": 20, "output_tokens": 1000, "total_tokens": 1020,
            "input_tokens_details": {"text_tokens": 20, "image_tokens": 0}}}),
    )
}

/// Models of the second generation take any size in bounds, earlier ones three.
fn size(asked: &str, model: &str) -> Result<(u32, u32), Refusal> {
    if asked == "auto" {
        return Ok((1024, 1024));
    }
    let numbers = asked.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    let (width, height): (u32, u32) = numbers.ok_or_else(|| value_of("size", "it is no size."))?;
    let fixed = ["1024x1024", "1536x1024", "1024x1536"].contains(&asked);
    let free = width % 16 == 0
        && height % 16 == 0
        && width <= 3 * height
        && height <= 3 * width
        && width.max(height) <= 3840
        && width.min(height) <= 2160;
    if fixed || (model.starts_with("gpt-image-2") && free && width > 0) {
        return Ok((width, height));
    }
    Err(value_of("size", &format!("'{asked}' is not supported by this model.")))
}

fn models(id: &str) -> Result<Value, Refusal> {
    let model = |(id, shutdown): &(&str, Option<&str>)| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "system", "shutdown_date": shutdown});
    if id.is_empty() {
        return Ok(json!({"object": "list", "data": MODELS.iter().map(model).collect::<Vec<_>>()}));
    }
    MODELS.iter().find(|(known, _)| *known == id).map(model).ok_or_else(|| Refusal::no_model(id))
}

fn troubled(trouble: Trouble, call: &Call<'_>, id: &str, body: Value, images: bool) -> Reply {
    let refused = |refusal: Refusal| reply(refusal.status, id, vec![], &refusal.body());
    match trouble {
        Trouble::Transient => refused(Refusal::new(
            503,
            "service_unavailable_error",
            Some("server_is_overloaded"),
            "The server is currently overloaded. Please try again later.",
        )),
        Trouble::RateLimited => {
            let words = "Rate limit reached for this model in organization org-x on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 34s.";
            let body = Refusal::new(429, "requests", Some("rate_limit_exceeded"), words).body();
            let headers = vec![
                ("retry-after", "34".to_owned()),
                ("retry-after-ms", "34000".to_owned()),
                ("x-ratelimit-remaining-requests", "0".to_owned()),
                ("x-ratelimit-reset-requests", "34s".to_owned()),
            ];
            reply(429, id, headers, &body)
        }
        Trouble::Quota => refused(Refusal::new(
            429,
            "insufficient_quota",
            Some("credit_balance_exhausted"),
            "You exceeded your current quota, please check your plan and billing details.",
        )),
        Trouble::Auth => refused(Refusal::new(
            401,
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided: key-****6789.",
        )),
        Trouble::Retired => {
            refused(Refusal::no_model(call.json().unwrap_or_default()["model"].as_str().unwrap_or("it")))
        }
        Trouble::Invalid if images => refused(value_of("size", "it is not supported by this model.")),
        Trouble::Invalid => refused(value_of("messages", "expected an array with minimum length 1.")),
        Trouble::Refused => reply(if images { 400 } else { 200 }, id, vec![], &declined(body, images)),
        Trouble::Unusable => reply(200, id, vec![], &worthless(body, images)),
        Trouble::Silence => Reply::Silence,
        Trouble::HangUp => Reply::HangUp,
        // Nothing here is rendered.
        Trouble::RenderFails => reply(200, id, vec![], &body),
    }
}

fn declined(mut body: Value, images: bool) -> Value {
    if images {
        let words = "Your request was rejected by the safety system. If you believe this is an error, contact us and include the request ID.";
        let mut body =
            Refusal::new(400, "image_generation_user_error", Some("moderation_blocked"), words).body();
        body["error"]["moderation_details"] =
            json!({"moderation_stage": "input", "categories": ["violence"]});
        return body;
    }
    body["choices"][0]["finish_reason"] = json!("content_filter");
    body["choices"][0]["message"]["content"] = json!("");
    body
}

fn worthless(mut body: Value, images: bool) -> Value {
    if images {
        body["data"] = json!([]);
    } else {
        body["choices"][0]["finish_reason"] = json!("length");
    }
    body
}

fn reply(status: u16, id: &str, mut headers: Vec<(&'static str, String)>, body: &Value) -> Reply {
    headers.push(("content-type", "application/json".to_owned()));
    headers.push(("x-request-id", id.to_owned()));
    headers.push(("openai-processing-ms", "420".to_owned()));
    Reply::Http { status, headers, body: body.to_string().into_bytes() }
}
