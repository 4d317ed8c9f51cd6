//! Ideogram's pictures, as its public reference describes them: a form, and an address that expires.

use serde_json::{Value, json};

use super::cdn;
use super::reading::{form, mistake, odd_word};
use super::{Call, KEY, Memory, Trouble};
use crate::support::Reply;

const RATIOS: &[&str] = &[
    "1x3", "3x1", "1x2", "2x1", "9x16", "16x9", "10x16", "16x10", "2x3", "3x2", "3x4", "4x3", "4x5", "5x4",
    "1x1",
];

pub(super) fn answer(call: &Call<'_>, _memory: &mut Memory) -> Option<Reply> {
    let model = call.path.strip_prefix("/v1/ideogram-")?.strip_suffix("/generate")?;
    if call.request.header("api-key") != Some(KEY) {
        return Some(error(401, "Invalid API key"));
    }
    if call.request.method != "POST" || model != "v3" {
        return Some(error(404, "Not Found"));
    }
    Some(generate(call))
}

fn generate(call: &Call<'_>) -> Reply {
    let Some(asked) = form(call.request) else { return error(400, "Expected a multipart form") };
    let known = [
        "prompt",
        "aspect_ratio",
        "resolution",
        "rendering_speed",
        "num_images",
        "seed",
        "style_type",
        "magic_prompt",
        "negative_prompt",
    ];
    let wrong = mistake(&asked, &known, 1).or_else(|| odd_word(&asked, "aspect_ratio", RATIOS));
    if let Some(wrong) = wrong {
        return error(400, &wrong);
    }
    let made = |url: Value, safe: bool| {
        let picture = json!({"url": url, "prompt": "p", "resolution": "1312x736", "seed": 7,
            "is_image_safe": safe, "style_type": "GENERAL"});
        Reply::json(200, &json!({"created": "2026-11-22T13:49:00Z", "data": [picture]}))
    };
    let Some(trouble) = call.trouble else { return made(cdn::address(call, "fox.png").into(), true) };
    match trouble {
        Trouble::Transient => error(500, "Internal server error"),
        Trouble::RateLimited => error(429, "Too many requests in flight"),
        Trouble::Quota => error(402, "Insufficient credits"),
        Trouble::Auth => error(401, "Invalid API key"),
        Trouble::Retired => error(404, "Not Found"),
        Trouble::Invalid => error(400, "Invalid aspect_ratio"),
        Trouble::Refused => made(Value::Null, false),
        Trouble::Unusable => made(cdn::address(call, "page.png").into(), true),
        Trouble::Silence | Trouble::HangUp | Trouble::RenderFails => error(500, "it has no operations"),
    }
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"error": message}))
}
