//! OpenAI's chat completions, pictures and list of models, as its SDK knows them.

use serde_json::{Value, json};

use super::{CREATED, Call, KEY, Memory, Trouble, picture_in_base64};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let work: fn(&Value) -> Value = match (call.request.method.as_str(), call.path) {
        ("POST", "/v1/chat/completions") => completion,
        ("POST", "/v1/images/generations") => images,
        _ => return None,
    };
    let id = format!("req_{:032x}", memory.id());
    if call.header_after("authorization", "Bearer ") != Some(KEY) {
        return Some(error(
            401,
            &id,
            "invalid_request_error",
            Some("invalid_api_key"),
            "Incorrect API key provided.",
        ));
    }
    Some(match call.trouble {
        Some(trouble) => troubled(trouble, &id),
        None => reply(200, &id, &work(&call.json().unwrap_or_default())),
    })
}

fn completion(asked: &Value) -> Value {
    let text = "A calm sentence about what was asked, long enough to be published.";
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": CREATED, "model": asked["model"],
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
            "message": {"role": "assistant", "content": text, "refusal": null}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}})
}

fn images(asked: &Value) -> Value {
    let (width, height) =
        asked["size"].as_str().and_then(|size| size.split_once('x')).unwrap_or(("1024", "1024"));
    let size = (width.parse().unwrap_or(1024), height.parse().unwrap_or(1024));
    json!({"created": CREATED, "data": [{"b64_json": picture_in_base64(size)}]})
}

fn troubled(trouble: Trouble, id: &str) -> Reply {
    match trouble {
        Trouble::Transient => error(500, id, "server_error", None, "The server had an error"),
        other => error(500, id, "server_error", None, &format!("{other:?} is not told yet")),
    }
}

fn error(status: u16, id: &str, kind: &str, code: Option<&str>, message: &str) -> Reply {
    reply(status, id, &json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}

fn reply(status: u16, id: &str, body: &Value) -> Reply {
    let headers = vec![("content-type", "application/json".to_owned()), ("x-request-id", id.to_owned())];
    Reply::Http { status, headers, body: body.to_string().into_bytes() }
}
