//! Google's Gemini API and Vertex AI, as their SDKs know them.

use serde_json::json;

use super::{Call, KEY, Memory, Trouble, picture_in_base64, video};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, _memory: &mut Memory) -> Option<Reply> {
    if !call.path.starts_with("/v1beta/") {
        return None;
    }
    if call.request.header("x-goog-api-key") != Some(KEY) {
        return Some(error(403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers"));
    }
    if let Some(trouble) = call.trouble {
        return Some(troubled(trouble));
    }
    Some(if call.path.starts_with("/v1beta/files/") {
        Reply::file("video/mp4", video((1280, 720), 8))
    } else {
        let picture = json!({"mimeType": "image/png", "bytesBase64Encoded": picture_in_base64((1024, 1024))});
        Reply::json(200, &json!({"predictions": [picture]}))
    })
}

fn troubled(trouble: Trouble) -> Reply {
    match trouble {
        Trouble::Transient => error(503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
        other => error(500, "INTERNAL", &format!("{other:?} is not told yet")),
    }
}

fn error(status: u16, word: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"code": status, "message": message, "status": word}}))
}
