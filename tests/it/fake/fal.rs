//! fal's queue, as its public documentation describes it: how a request ended shows when its output is asked for.

use serde_json::{Value, json};

use super::cdn::{self, page};
use super::reading::mistake_in_json;
use super::{Call, KEY, Memory, Trouble};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let rest = call.path.strip_prefix("/fal-ai/")?;
    if call.header_after("authorization", "Key ") != Some(KEY) {
        return Some(error(
            401,
            "Cannot access application. Authentication is required to access this application.",
        ));
    }
    // An operation lies below the application, `flux`, without the path within it, `schnell`.
    let operation = rest.strip_prefix("flux/requests/");
    Some(match (call.request.method.as_str(), operation.map(|id| (id, id.strip_suffix("/status")))) {
        ("POST", None) => submit(call, memory),
        ("GET", Some((_, Some(id)))) => status(call, id, memory),
        ("GET", Some((id, None))) => output(call, id, memory),
        _ => error(405, "Method Not Allowed"),
    })
}

fn submit(call: &Call<'_>, memory: &mut Memory) -> Reply {
    let known = [
        "prompt",
        "image_size",
        "num_images",
        "output_format",
        "seed",
        "num_inference_steps",
        "enable_safety_checker",
        "sync_mode",
    ];
    let size = call.json().unwrap_or_default()["image_size"].clone();
    if mistake_in_json(call, &known, 1).is_some() || size["width"].as_u64().is_none() {
        return invalid();
    }
    match call.trouble {
        None | Some(Trouble::Refused | Trouble::Unusable | Trouble::RenderFails | Trouble::Invalid) => {
            let id = format!("764cabcf-b745-4b3e-ae38-{:012}", memory.id());
            let at = format!("{}/fal-ai/flux/requests/{id}", call.base);
            let told = json!({"status": "IN_QUEUE", "request_id": id, "response_url": at, "queue_position": 0,
                "status_url": format!("{at}/status"), "cancel_url": format!("{at}/cancel")});
            Reply::json(200, &told)
        }
        Some(Trouble::Transient) => page(503),
        Some(Trouble::RateLimited) => error(429, "Too many requests in the queue"),
        Some(Trouble::Quota) => {
            let top_up = "Top up your balance at fal.ai/dashboard/billing.";
            error(403, &format!("User is locked. Reason: Exhausted balance. {top_up}"))
        }
        Some(Trouble::Auth) => error(401, "Authentication is required to access this application."),
        Some(Trouble::Retired) => error(404, "Application 'flux' not found"),
        Some(Trouble::Silence | Trouble::HangUp) => error(500, "nobody hears this"),
    }
}

fn status(call: &Call<'_>, id: &str, memory: &mut Memory) -> Reply {
    let polls = memory.poll(&format!("{}/{id}", call.account));
    if call.trouble.is_none() && polls == 1 {
        return Reply::json(202, &json!({"status": "IN_PROGRESS", "request_id": id, "logs": null}));
    }
    Reply::json(200, &json!({"status": "COMPLETED", "request_id": id, "metrics": {"inference_time": 3.1}}))
}

fn output(call: &Call<'_>, id: &str, memory: &Memory) -> Reply {
    if !memory.polls.contains_key(&format!("{}/{id}", call.account)) {
        return error(404, "Request not found");
    }
    let made = |images: Value| {
        Reply::json(200, &json!({"images": images, "seed": 7, "has_nsfw_concepts": [false], "prompt": "p"}))
    };
    match call.trouble {
        None => {
            let url = cdn::address(call, "fox.png");
            made(json!([{"url": url, "width": 1280, "height": 720, "content_type": "image/png"}]))
        }
        Some(Trouble::Refused) => {
            let words = "The content could not be processed because it was flagged by a content checker.";
            detail("prompt", words, "content_policy_violation")
        }
        Some(Trouble::RenderFails) => {
            detail("prompt", "The model did not generate the expected media.", "no_media_generated")
        }
        Some(Trouble::Unusable) => made(json!([])),
        Some(
            Trouble::Transient
            | Trouble::RateLimited
            | Trouble::Quota
            | Trouble::Auth
            | Trouble::Retired
            | Trouble::Invalid
            | Trouble::Silence
            | Trouble::HangUp,
        ) => invalid(),
    }
}

fn invalid() -> Reply {
    detail("image_size", "unexpected value", "value_error")
}

fn detail(field: &str, message: &str, kind: &str) -> Reply {
    Reply::json(422, &json!({"detail": [{"loc": ["body", field], "msg": message, "type": kind}]}))
}

fn error(status: u16, detail: &str) -> Reply {
    Reply::json(status, &json!({"detail": detail}))
}
