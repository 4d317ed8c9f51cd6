//! Runway's tasks, as its public reference describes them; the words of its quotas are general knowledge.

use serde_json::{Value, json};

use super::cdn;
use super::reading::mistake_in_json;
use super::{Call, KEY, Memory, Trouble};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let id = call.path.strip_prefix("/v1/tasks/");
    let submits = call.is("POST", "/v1/text_to_video");
    if !submits && id.is_none() {
        return None;
    }
    if call.header_after("authorization", "Bearer ") != Some(KEY) {
        return Some(error(401, "Invalid API key"));
    }
    if call.request.header("x-runway-version") != Some("2024-11-06") {
        return Some(error(400, "The X-Runway-Version header is required"));
    }
    Some(match id {
        Some(id) => task(call, id, memory),
        None => submit(call, memory),
    })
}

fn submit(call: &Call<'_>, memory: &mut Memory) -> Reply {
    let known = ["model", "promptText", "ratio", "duration", "seed", "audio"];
    let asked = call.json().unwrap_or_default();
    let ratio = asked["ratio"].as_str().is_some_and(|ratio| ["1280:720", "720:1280"].contains(&ratio));
    if mistake_in_json(call, &known, 3).is_some() || !ratio || asked["duration"].as_u64().is_none() {
        return invalid("ratio");
    }
    match call.trouble {
        None | Some(Trouble::Refused | Trouble::Unusable | Trouble::RenderFails) => {
            Reply::json(200, &json!({"id": format!("17f20503-6c24-{:06}", memory.id())}))
        }
        Some(Trouble::Transient) => error(503, "The service is overloaded."),
        Some(Trouble::RateLimited) => error(429, "Too many requests. Slow down."),
        Some(Trouble::Quota) => error(429, "You have reached the daily task limit of this model."),
        Some(Trouble::Auth) => error(401, "Invalid API key"),
        Some(Trouble::Retired) => invalid("model"),
        Some(Trouble::Invalid) => invalid("duration"),
        Some(Trouble::Silence | Trouble::HangUp) => error(500, "nobody hears this"),
    }
}

fn task(call: &Call<'_>, id: &str, memory: &mut Memory) -> Reply {
    let polls = memory.poll(&format!("{}/{id}", call.account));
    let mut told = json!({"id": id, "status": "SUCCEEDED", "createdAt": "2026-11-22T13:49:00Z"});
    let mut fail = |words: &str, code: &str| {
        told["status"] = "FAILED".into();
        told["failure"] = words.into();
        told["failureCode"] = code.into();
    };
    match call.trouble {
        Some(Trouble::Refused) => fail("Content moderation failure", "SAFETY.INPUT.TEXT"),
        Some(Trouble::RenderFails) => fail("An unexpected error occurred.", "INTERNAL.BAD_OUTPUT.CODE01"),
        Some(Trouble::Unusable) => told["output"] = json!([cdn::address(call, "cut.mp4")]),
        _ if polls == 1 => {
            told["status"] = "RUNNING".into();
            told["progress"] = 0.5.into();
        }
        _ => told["output"] = json!([cdn::address(call, "fox.mp4")]),
    }
    Reply::json(200, &told)
}

fn invalid(field: &str) -> Reply {
    let issue = json!({"code": "invalid_value", "message": "Invalid option", "path": [field]});
    Reply::json(400, &json!({"error": "Validation of body failed", "issues": [issue]}))
}

fn error(status: u16, message: &str) -> Reply {
    let told: Value = json!({"error": message});
    Reply::json(status, &told)
}
