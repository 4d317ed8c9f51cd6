//! ElevenLabs' speech, as its public reference describes it.

use serde_json::json;

use super::cdn::page;
use super::reading::{mistake_in_json, query};
use super::{Call, KEY, Memory, Trouble};
use crate::sound::mp3;
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, _memory: &mut Memory) -> Option<Reply> {
    let voice = call.path.strip_prefix("/v1/text-to-speech/")?;
    if call.request.header("xi-api-key") != Some(KEY) {
        return Some(error(401, "invalid_api_key", "Invalid API key"));
    }
    let format = query(call).remove("output_format").unwrap_or_default();
    let known = ["text", "model_id", "voice_settings", "language_code", "seed"];
    let wrong = mistake_in_json(call, &known, 2).is_some() || !format.starts_with("mp3_");
    if call.request.method != "POST" || voice.is_empty() || wrong {
        return Some(invalid());
    }
    let Some(trouble) = call.trouble else { return Some(Reply::file("audio/mpeg", mp3(100))) };
    Some(match trouble {
        Trouble::Transient => error(500, "internal_server_error", "Something went wrong"),
        Trouble::RateLimited => error(429, "too_many_concurrent_requests", "Too many concurrent requests."),
        Trouble::Quota => error(401, "quota_exceeded", "This request exceeds your quota of 10000."),
        Trouble::Auth => error(401, "invalid_api_key", "Invalid API key"),
        Trouble::Retired => error(404, "voice_not_found", "A voice with this id was not found."),
        Trouble::Invalid => invalid(),
        Trouble::Unusable => page(200),
        Trouble::Refused | Trouble::Silence | Trouble::HangUp | Trouble::RenderFails => {
            error(500, "none", "a voice cannot tell this")
        }
    })
}

fn invalid() -> Reply {
    let detail = json!([{"loc": ["body", "text"], "msg": "field required", "type": "value_error.missing"}]);
    Reply::json(422, &json!({"detail": detail}))
}

fn error(status: u16, word: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"detail": {"status": word, "message": message}}))
}
