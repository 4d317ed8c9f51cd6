//! OpenAI's Videos API as relays keep it alive: a form, a film that is asked after, and its file for the key.

use serde_json::{Value, json};

use super::reading::{form, mistake, odd_word};
use super::{CREATED, Call, KEY, Memory, Trouble, video};
use crate::support::Reply;

const SIZES: &[&str] = &["720x1280", "1280x720", "1024x1792", "1792x1024"];

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let rest = call.path.strip_prefix("/v1/videos")?;
    if call.header_after("authorization", "Bearer ") != Some(KEY) {
        return Some(error(
            401,
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        ));
    }
    let film = rest.strip_prefix('/');
    Some(match (call.request.method.as_str(), film, film.and_then(|id| id.strip_suffix("/content"))) {
        ("POST", None, None) => submit(call, memory),
        ("GET", Some(_), Some(id)) => content(call, id, memory),
        ("GET", Some(id), None) => status(call, id, memory),
        _ => error(405, "invalid_request_error", None, "Not allowed to do that."),
    })
}

fn submit(call: &Call<'_>, memory: &mut Memory) -> Reply {
    let asked = form(call.request).unwrap_or_default();
    let wrong = mistake(&asked, &["prompt", "model", "seconds", "size", "input_reference"], 1)
        .or_else(|| odd_word(&asked, "seconds", &["4", "8", "12"]))
        .or_else(|| odd_word(&asked, "size", SIZES));
    if let Some(wrong) = wrong {
        return error(400, "invalid_request_error", None, &wrong);
    }
    match call.trouble {
        None | Some(Trouble::Refused | Trouble::Unusable | Trouble::RenderFails) => {
            Reply::json(200, &film(&format!("video_{:06}", memory.id()), "queued"))
        }
        Some(Trouble::Transient) => error(500, "server_error", None, "The server had an error."),
        Some(Trouble::RateLimited) => {
            let mut reply = error(429, "requests", Some("rate_limit_exceeded"), "Rate limit reached.");
            if let Reply::Http { headers, .. } = &mut reply {
                headers.push(("retry-after", "30".to_owned()));
            }
            reply
        }
        Some(Trouble::Quota) => {
            let words = "You exceeded your current quota, please check your plan and billing details.";
            error(429, "insufficient_quota", Some("insufficient_quota"), words)
        }
        Some(Trouble::Auth) => {
            error(401, "invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided.")
        }
        Some(Trouble::Retired) => {
            let words = "The model `sora-2` does not exist or you do not have access to it.";
            error(404, "invalid_request_error", Some("model_not_found"), words)
        }
        Some(Trouble::Invalid) => {
            error(400, "invalid_request_error", Some("invalid_value"), "Invalid value: 'size'.")
        }
        Some(Trouble::Silence | Trouble::HangUp) => error(500, "server_error", None, "nobody hears this"),
    }
}

fn status(call: &Call<'_>, id: &str, memory: &mut Memory) -> Reply {
    let polls = memory.poll(&format!("{}/{id}", call.account));
    let failed = |code: &str, message: &str| {
        let mut told = film(id, "failed");
        told["error"] = json!({"code": code, "message": message});
        told
    };
    let told = match call.trouble {
        Some(Trouble::Refused) => {
            failed("moderation_blocked", "Your request was blocked by our moderation system.")
        }
        Some(Trouble::RenderFails) => failed("server_error", "The video could not be made."),
        None if polls == 1 => film(id, "in_progress"),
        _ => film(id, "completed"),
    };
    Reply::json(200, &told)
}

fn content(call: &Call<'_>, id: &str, memory: &Memory) -> Reply {
    if !memory.polls.contains_key(&format!("{}/{id}", call.account)) {
        return error(404, "invalid_request_error", None, "Video not found.");
    }
    let file = video((1280, 720), 8);
    match call.trouble {
        Some(Trouble::Unusable) => Reply::file("video/mp4", file[..file.len() / 2].to_vec()),
        _ => Reply::file("video/mp4", file),
    }
}

fn film(id: &str, status: &str) -> Value {
    json!({"id": id, "object": "video", "model": "sora-2", "status": status, "progress": 0, "created_at": CREATED,
        "completed_at": null, "expires_at": null, "size": "1280x720", "seconds": "8", "error": null})
}

fn error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}
