//! Films by background interactions, whose errors have a form of their own.

use serde_json::{Value, json};

use super::veo::film;
use crate::fake::{Call, Memory, Trouble, base64};
use crate::support::Reply;

/// How many polls find an interaction still running.
const RUNNING_POLLS: u32 = 1;

#[rustfmt::skip]
const FIELDS: &[&str] = &[
    "model", "input", "background", "response_format", "generation_config", "store", "service_tier", "webhook_config",
    "labels", "safety_settings", "previous_interaction_id", "system_instruction", "tools", "stream", "agent",
    "agent_config", "response_modalities", "cached_content",
];

/// A status, the word for it and the sentence.
type Refusal = (u16, &'static str, String);

pub(super) fn answer(call: &Call<'_>, path: &str, memory: &mut Memory) -> Reply {
    let id = path.trim_matches('/');
    let answered = match (call.request.method.as_str(), id) {
        ("POST", "") => create(call, memory),
        ("GET", id) if !id.is_empty() => get(call, id, memory),
        ("POST", id) if id.ends_with("/cancel") => cancel(call, id.trim_end_matches("/cancel"), memory),
        _ => Err((404, "not_found", "Requested entity was not found.".to_owned())),
    };
    match answered {
        Ok(interaction) => Reply::json(200, &interaction),
        Err((status, code, message)) => {
            Reply::json(status, &json!({"error": {"code": code, "message": message}}))
        }
    }
}

fn create(call: &Call<'_>, memory: &mut Memory) -> Result<Value, Refusal> {
    let invalid = |why: String| (400, "invalid_request", why);
    let asked = call.json().filter(Value::is_object);
    let asked = asked.ok_or_else(|| invalid("The request body is not valid JSON.".to_owned()))?;
    checked(&asked).map_err(invalid)?;
    let model = asked["model"].as_str().unwrap_or_default();
    if !model.contains("omni") || model.contains("no-such") {
        return Err(gone(model));
    }
    if let Some(refusal) = call.trouble.and_then(|trouble| troubled(trouble, model)) {
        return Err(refusal);
    }
    let id = format!("v1_{:022}", memory.id());
    let key = format!("{}/{id}", call.account);
    memory.asked.insert(key, asked.clone());
    if asked["background"] == true {
        return Ok(interaction(&id, &asked, "in_progress"));
    }
    Ok(ended(call, &id, &asked, memory))
}

/// What the vendor objects to.
fn checked(asked: &Value) -> Result<(), String> {
    if let Some((field, _)) =
        asked.as_object().into_iter().flatten().find(|(field, _)| !FIELDS.contains(&field.as_str()))
    {
        return Err(format!("Unknown parameter '{field}'."));
    }
    if !asked["model"].is_string() {
        return Err("'model' or 'agent' must be specified.".to_owned());
    }
    if asked["input"].as_str().is_none_or(|text| text.trim().is_empty())
        && asked["input"].as_array().is_none_or(Vec::is_empty)
    {
        return Err("'input' must not be empty.".to_owned());
    }
    let format = &asked["response_format"];
    let known = ["type", "delivery", "aspect_ratio", "resolution", "duration", "gcs_uri"];
    if let Some((field, _)) =
        format.as_object().into_iter().flatten().find(|(field, _)| !known.contains(&field.as_str()))
    {
        return Err(format!("Unknown parameter 'response_format.{field}'."));
    }
    for (field, values) in [
        ("type", &["video"][..]),
        ("delivery", &["inline", "uri"]),
        ("aspect_ratio", &["16:9", "9:16"]),
        ("resolution", &["360p", "720p", "1080p", "4k"]),
    ] {
        let value = &format[field];
        if !value.is_null() && !value.as_str().is_some_and(|word| values.contains(&word)) {
            let values: Vec<String> = values.iter().map(|value| format!("'{value}'")).collect();
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            return Err(format!(
                "The value '{value}' is not supported for 'response_format.{field}'. Supported values: {}.",
                values.join(", ")
            ));
        }
    }
    let most = if asked["model"].as_str().is_some_and(|model| model.contains("1.2")) { 15 } else { 10 };
    let duration = &format["duration"];
    let fits = duration.as_str().and_then(seconds).is_some_and(|seconds| (3..=most).contains(&seconds));
    if !duration.is_null() && !fits {
        return Err(format!(
            "The value {duration} is not supported for 'response_format.duration'. It must be a duration between '3s' and '{most}s'."
        ));
    }
    Ok(())
}

fn seconds(duration: &str) -> Option<u64> {
    duration.strip_suffix('s')?.parse().ok()
}

fn get(call: &Call<'_>, id: &str, memory: &mut Memory) -> Result<Value, Refusal> {
    let asked = asked(call, id, memory)?;
    if let Some(refusal) = call.trouble.and_then(of_the_account) {
        return Err(refusal);
    }
    if memory.poll(&format!("{}/{id}", call.account)) <= RUNNING_POLLS {
        return Ok(interaction(id, &asked, "in_progress"));
    }
    Ok(ended(call, id, &asked, memory))
}

fn cancel(call: &Call<'_>, id: &str, memory: &Memory) -> Result<Value, Refusal> {
    Ok(interaction(id, &asked(call, id, memory)?, "cancelled"))
}

/// Who asks for one that was never made gets a 400, not a 404.
fn asked(call: &Call<'_>, id: &str, memory: &Memory) -> Result<Value, Refusal> {
    let found = memory.asked.get(&format!("{}/{id}", call.account)).cloned();
    found.ok_or_else(|| (400, "invalid_request", format!("Invalid interaction name: {id}")))
}

fn interaction(id: &str, asked: &Value, status: &str) -> Value {
    json!({"id": id, "status": status, "created": "2026-11-24T16:00:00Z", "updated": "2026-11-24T16:00:10Z",
        "service_tier": "standard", "object": "interaction", "model": asked["model"]})
}

fn ended(call: &Call<'_>, id: &str, asked: &Value, memory: &mut Memory) -> Value {
    let input = json!({"type": "user_input", "content": [{"type": "text", "text": "what was asked"}]});
    let said = match call.trouble {
        Some(Trouble::RenderFails) => {
            let mut failed = interaction(id, asked, "failed");
            failed["errors"] = json!([{"code": "service_unavailable", "message": "Video generation failed due to an internal server issue."}]);
            return failed;
        }
        Some(Trouble::Unusable) => json!([]),
        Some(Trouble::Refused) => {
            json!([{"type": "text", "text": "I can't make that video. I can film something else for you."}])
        }
        _ => json!([film_part(call, asked, memory)]),
    };
    let mut completed = interaction(id, asked, "completed");
    completed["steps"] = json!([input, {"type": "model_output", "content": said}]);
    let filmed = if call.trouble.is_none() { 5760 } else { 0 };
    completed["usage"] = json!({"total_input_tokens": 12, "total_output_tokens": filmed, "total_tokens": 12 + filmed,
        "output_tokens_by_modality": [{"modality": "video", "tokens": filmed}]});
    completed
}

fn film_part(call: &Call<'_>, asked: &Value, memory: &mut Memory) -> Value {
    let format = &asked["response_format"];
    let seconds = format["duration"].as_str().and_then(seconds).unwrap_or(8);
    let shape =
        json!({"ratio": format["aspect_ratio"], "resolution": format["resolution"], "seconds": seconds});
    if format["delivery"] == "inline" {
        return json!({"type": "video", "data": base64(&film(&shape)), "mime_type": "video/mp4"});
    }
    let file = format!("f{:011}", memory.id());
    memory.asked.insert(format!("{}/files/{file}", call.account), shape);
    let uri = format!("{}/v1beta/files/{file}:download?alt=media", call.base);
    json!({"type": "video", "uri": uri, "mime_type": "video/mp4"})
}

fn gone(model: &str) -> Refusal {
    (404, "not_found", format!("Model '{model}' was not found or is no longer available."))
}

/// What goes wrong before a model is at work.
fn troubled(trouble: Trouble, model: &str) -> Option<Refusal> {
    if trouble == Trouble::Retired {
        return Some(gone(model));
    }
    if trouble == Trouble::Invalid {
        let words = "The value '1:7' is not supported for 'response_format.aspect_ratio'. Supported values: '16:9', '9:16'.";
        return Some((400, "invalid_request", words.to_owned()));
    }
    of_the_account(trouble)
}

/// What goes wrong for every call. The code of a limit of the minute is general knowledge.
fn of_the_account(trouble: Trouble) -> Option<Refusal> {
    let (status, code, words) = match trouble {
        Trouble::Transient => {
            (503, "service_unavailable", "The model is overloaded. Please try again later.")
        }
        Trouble::RateLimited => {
            (429, "rate_limit_exceeded", "Too many requests per minute. Please retry in 34s.")
        }
        Trouble::Quota => (429, "quota_exceeded", "You exceeded your current quota of requests per day."),
        Trouble::Auth => (403, "permission_denied", "The API key lacks the right to use this API."),
        Trouble::Retired
        | Trouble::Invalid
        | Trouble::Refused
        | Trouble::Unusable
        | Trouble::Silence
        | Trouble::HangUp
        | Trouble::RenderFails => return None,
    };
    Some((status, code, words.to_owned()))
}
