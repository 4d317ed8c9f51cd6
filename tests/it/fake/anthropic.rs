//! Anthropic's Messages API, as its SDK knows it.

use serde_json::{Value, json};

use super::{Call, Memory, Trouble};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    if !call.path.starts_with("/v1/messages") {
        return None;
    }
    let id = format!("req_{:06}", memory.id());
    Some(match call.trouble {
        Some(trouble) => troubled(trouble, &id),
        None => reply(200, &id, &message(call, &id, "end_turn")),
    })
}

fn message(call: &Call<'_>, id: &str, stop_reason: &str) -> Value {
    let asked = call.request.json();
    let prompt = asked["messages"][0]["content"].as_str().unwrap_or("what was asked");
    let text = format!("A calm sentence about {prompt}, long enough to be published.");
    json!({"id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": asked["model"],
        "content": [{"type": "text", "text": text}], "stop_reason": stop_reason, "stop_sequence": null,
        "usage": {"input_tokens": 12, "output_tokens": 34}})
}

fn troubled(trouble: Trouble, id: &str) -> Reply {
    match trouble {
        Trouble::Transient => error(529, id, "overloaded_error", "Overloaded"),
        other => error(500, id, "api_error", &format!("{other:?} is not told yet")),
    }
}

fn error(status: u16, id: &str, kind: &str, message: &str) -> Reply {
    let error = json!({"type": kind, "message": message});
    reply(status, id, &json!({"type": "error", "error": error, "request_id": id}))
}

fn reply(status: u16, id: &str, body: &Value) -> Reply {
    let headers = vec![("content-type", "application/json".to_owned()), ("request-id", id.to_owned())];
    Reply::Http { status, headers, body: body.to_string().into_bytes() }
}
