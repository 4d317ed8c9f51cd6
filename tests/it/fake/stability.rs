//! Stability's pictures, as its public reference describes them: a form, and the picture in the answer.

use serde_json::json;

use super::cdn::png;
use super::reading::{form, mistake, odd_word};
use super::{Call, KEY, Memory, Trouble, base64};
use crate::support::Reply;

const RATIOS: &[&str] = &["21:9", "16:9", "3:2", "5:4", "1:1", "4:5", "2:3", "9:16", "9:21"];

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let model = call.path.strip_prefix("/v2beta/stable-image/generate/")?;
    let id = format!("{:032x}", memory.id());
    if call.header_after("authorization", "Bearer ") != Some(KEY) {
        return Some(error(401, &id, "unauthorized", "missing or invalid authorization header"));
    }
    if call.request.method != "POST" || !["core", "ultra", "sd3"].contains(&model) {
        return Some(error(404, &id, "not_found", "the requested resource could not be found"));
    }
    Some(generate(call, &id))
}

fn generate(call: &Call<'_>, id: &str) -> Reply {
    let Some(asked) = form(call.request) else {
        return error(400, id, "bad_request", "content-type: must be multipart/form-data");
    };
    if call.request.header("accept") != Some("application/json") {
        return error(400, id, "bad_request", "accept: must be image/* or application/json");
    }
    let known = ["prompt", "negative_prompt", "aspect_ratio", "seed", "output_format", "style_preset"];
    let wrong = mistake(&asked, &known, 1)
        .or_else(|| odd_word(&asked, "aspect_ratio", RATIOS))
        .or_else(|| odd_word(&asked, "output_format", &["png", "jpeg", "webp"]));
    if let Some(wrong) = wrong {
        return error(400, id, "bad_request", &wrong);
    }
    let made = |file: &[u8], reason: &str| {
        Reply::json(200, &json!({"image": base64(file), "finish_reason": reason, "seed": 7}))
    };
    let Some(trouble) = call.trouble else { return made(&png(), "SUCCESS") };
    match trouble {
        Trouble::Transient => error(500, id, "internal_error", "an unexpected error occurred"),
        Trouble::RateLimited => error(
            429,
            id,
            "rate_limit_exceeded",
            "you have exceeded the rate limit of 150 requests per 10 seconds",
        ),
        Trouble::Quota => {
            error(402, id, "payment_required", "you lack sufficient credits to make this request")
        }
        Trouble::Auth => error(401, id, "unauthorized", "missing or invalid authorization header"),
        Trouble::Retired => error(404, id, "not_found", "the requested resource could not be found"),
        Trouble::Invalid => error(400, id, "bad_request", "prompt: cannot be blank"),
        // The picture is there, and blurred.
        Trouble::Refused => made(&png(), "CONTENT_FILTERED"),
        Trouble::Unusable => made(&png()[..2000], "SUCCESS"),
        Trouble::Silence | Trouble::HangUp | Trouble::RenderFails => {
            error(500, id, "none", "it has no operations")
        }
    }
}

fn error(status: u16, id: &str, name: &str, words: &str) -> Reply {
    Reply::json(status, &json!({"id": id, "name": name, "errors": [words]}))
}
