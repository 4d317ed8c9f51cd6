//! Replicate's predictions, as its public reference describes them.

use serde_json::{Value, json};

use super::cdn;
use super::reading::mistake_in_json;
use super::{Call, KEY, Memory, Trouble};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let model = call.path.strip_prefix("/v1/models/").and_then(|rest| rest.strip_suffix("/predictions"));
    let id = call.path.strip_prefix("/v1/predictions/");
    if model.is_none() && id.is_none() {
        return None;
    }
    if call.header_after("authorization", "Bearer ") != Some(KEY) {
        return Some(error(401, "You did not pass a valid authentication token"));
    }
    Some(match (call.request.method.as_str(), model, id) {
        ("POST", Some(_), None) => submit(call, memory),
        ("GET", None, Some(id)) => poll(call, id, memory),
        _ => error(405, "Method not allowed."),
    })
}

fn submit(call: &Call<'_>, memory: &mut Memory) -> Reply {
    let known = ["input", "webhook", "webhook_events_filter", "stream"];
    let asked = call.json().unwrap_or_default();
    let prompt = asked["input"]["prompt"].as_str().unwrap_or_default();
    let strange = mistake_in_json(call, &known, 1);
    if let Some(wrong) = strange.or_else(|| prompt.is_empty().then(|| "input: prompt is required".to_owned()))
    {
        return error(422, &format!("- {wrong}"));
    }
    match call.trouble {
        None | Some(Trouble::Refused | Trouble::Unusable | Trouble::RenderFails) => {
            let id = format!("gm3qorzdhgbfurvjtvhg{:06}", memory.id());
            Reply::json(201, &prediction(call, &id, "starting"))
        }
        Some(Trouble::Transient) => error(500, "Internal server error"),
        Some(Trouble::RateLimited) => {
            let detail = "Request was throttled. Expected available in 30 seconds.";
            let body =
                json!({"title": "Request was throttled", "detail": detail, "status": 429, "retry_after": 30});
            Reply::json(429, &body)
        }
        Some(Trouble::Quota) => error(402, "You have insufficient credit to run this model."),
        Some(Trouble::Auth) => error(401, "You did not pass a valid authentication token"),
        Some(Trouble::Retired) => error(404, "The requested model could not be found."),
        Some(Trouble::Invalid) => error(422, "- input.aspect_ratio: must be one of the following"),
        Some(Trouble::Silence | Trouble::HangUp) => error(500, "nobody hears this"),
    }
}

fn poll(call: &Call<'_>, id: &str, memory: &mut Memory) -> Reply {
    let polls = memory.poll(&format!("{}/{id}", call.account));
    let mut told = prediction(call, id, "succeeded");
    match call.trouble {
        Some(Trouble::Refused) => {
            told["status"] = "failed".into();
            told["error"] = "NSFW content detected. Try running it again, or try a different prompt.".into();
        }
        Some(Trouble::RenderFails) => {
            told["status"] = "failed".into();
            told["error"] = "CUDA out of memory".into();
        }
        Some(Trouble::Unusable) => {}
        _ if polls == 1 => told["status"] = "processing".into(),
        _ => told["output"] = json!([cdn::address(call, "fox.png")]),
    }
    Reply::json(200, &told)
}

fn prediction(call: &Call<'_>, id: &str, status: &str) -> Value {
    let at = format!("{}/v1/predictions/{id}", call.base);
    json!({"id": id, "model": "black-forest-labs/flux-schnell", "version": "dp", "input": {}, "logs": "",
        "output": null, "error": null, "status": status, "created_at": "2026-11-22T13:49:00Z",
        "urls": {"get": at, "cancel": format!("{at}/cancel")}})
}

fn error(status: u16, detail: &str) -> Reply {
    Reply::json(status, &json!({"title": "An error", "detail": detail, "status": status}))
}
