//! Black Forest Labs' tasks, as its public specification describes them: a task is known at the regional host alone
//! that the reply to its submit names.

use serde_json::{Value, json};

use super::cdn;
use super::reading::{mistake_in_json, query};
use super::{Call, KEY, Memory, Trouble};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let submits = call.path.starts_with("/v1/flux-") && call.request.method == "POST";
    if !submits && !call.is("GET", "/v1/get_result") {
        return None;
    }
    if call.request.header("x-key") != Some(KEY) {
        return Some(error(403, "Not authenticated"));
    }
    Some(if submits { submit(call, memory) } else { poll(call, memory) })
}

fn submit(call: &Call<'_>, memory: &mut Memory) -> Reply {
    let known = [
        "prompt",
        "width",
        "height",
        "aspect_ratio",
        "seed",
        "output_format",
        "safety_tolerance",
        "webhook_url",
        "webhook_secret",
    ];
    let asked = call.json().unwrap_or_default();
    let odd = |edge: &str| asked[edge].as_u64().is_none_or(|pixels| pixels % 16 != 0);
    if mistake_in_json(call, &known, 1).is_some() || odd("width") || odd("height") {
        return invalid();
    }
    match call.trouble {
        None | Some(Trouble::Refused | Trouble::Unusable | Trouble::RenderFails) => {
            let id = format!("7c3f0b1e-{:06}", memory.id());
            let at = format!("{}/v1/get_result?id={id}", call.base.replacen("127.0.0.1", "localhost", 1));
            Reply::json(200, &json!({"id": id, "polling_url": at, "cost": 3.0}))
        }
        Some(Trouble::Transient) => error(503, "Service temporarily unavailable"),
        Some(Trouble::RateLimited) => error(429, "Rate limit exceeded: 24 active tasks"),
        Some(Trouble::Quota) => error(402, "Insufficient credits"),
        Some(Trouble::Auth) => error(403, "Not authenticated"),
        Some(Trouble::Retired) => error(404, "Not Found"),
        Some(Trouble::Invalid) => invalid(),
        Some(Trouble::Silence | Trouble::HangUp) => error(500, "nobody hears this"),
    }
}

fn poll(call: &Call<'_>, memory: &mut Memory) -> Reply {
    let id = query(call).remove("id").unwrap_or_default();
    let told = |status: &str, result: Value| {
        Reply::json(200, &json!({"id": id, "status": status, "result": result, "progress": null}))
    };
    if !call.request.header("host").is_some_and(|host| host.starts_with("localhost:")) {
        return told("Task not found", Value::Null);
    }
    let polls = memory.poll(&format!("{}/{id}", call.account));
    let sample = |name: &str| json!({"sample": cdn::address(call, name), "prompt": "p", "seed": 7});
    match call.trouble {
        Some(Trouble::Refused) => told("Content Moderated", Value::Null),
        Some(Trouble::RenderFails) => told("Error", Value::Null),
        Some(Trouble::Unusable) => told("Ready", sample("page.png")),
        _ if polls == 1 => told("Pending", Value::Null),
        _ => told("Ready", sample("fox.png")),
    }
}

fn invalid() -> Reply {
    let detail =
        json!([{"loc": ["body", "width"], "msg": "Input should be a multiple of 16", "type": "multiple_of"}]);
    Reply::json(422, &json!({"detail": detail}))
}

fn error(status: u16, detail: &str) -> Reply {
    Reply::json(status, &json!({"detail": detail}))
}
