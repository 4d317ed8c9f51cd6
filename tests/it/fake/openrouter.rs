//! OpenRouter's chat completions: OpenAI's, with errors of its own that also come within a 200.

use serde_json::{Value, json};

use super::cdn::page;
use super::{CREATED, Call, KEY, Memory, Trouble};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    if !call.is("POST", "/api/v1/chat/completions") {
        return None;
    }
    if call.header_after("authorization", "Bearer ") != Some(KEY) {
        return Some(error(401, "No auth credentials found", &Value::Null));
    }
    let asked = call.json().unwrap_or_default();
    if asked["model"].as_str().is_none() || asked["messages"][0]["content"].as_str().is_none() {
        return Some(error(400, "model and messages are required", &Value::Null));
    }
    Some(match call.trouble {
        Some(trouble) => troubled(trouble),
        None => completion(memory.id(), "A calm sentence about what was asked, long enough to be published."),
    })
}

fn completion(id: u64, text: &str) -> Reply {
    let choice = json!({"index": 0, "finish_reason": "stop", "native_finish_reason": "stop", "logprobs": null,
        "message": {"role": "assistant", "content": text, "refusal": null}});
    let body = json!({"id": format!("gen-{id}"), "object": "chat.completion", "created": CREATED,
        "provider": "Anthropic", "model": "anthropic/claude-sonnet-4-6", "choices": [choice],
        "usage": {"prompt_tokens": 12, "completion_tokens": 34, "total_tokens": 46}});
    Reply::json(200, &body)
}

fn troubled(trouble: Trouble) -> Reply {
    let none = Value::Null;
    match trouble {
        Trouble::Transient => {
            // The answer has begun before the provider behind it gives up.
            let broken = json!({"code": 503, "message": "Provider returned error"});
            let choice = json!({"index": 0, "finish_reason": "error", "error": broken,
                "message": {"role": "assistant", "content": ""}});
            Reply::json(200, &json!({"id": "gen-1", "choices": [choice]}))
        }
        Trouble::RateLimited => {
            let mut reply = error(429, "Rate limit exceeded: free-models-per-min", &none);
            if let Reply::Http { headers, .. } = &mut reply {
                headers.push(("retry-after", "30".to_owned()));
            }
            reply
        }
        Trouble::Quota => error(402, "Insufficient credits. Add more.", &json!({"limit_source": "account"})),
        Trouble::Auth => error(401, "No auth credentials found", &none),
        Trouble::Retired => error(400, "openrouter/auto is not a valid model ID", &none),
        Trouble::Invalid => error(400, "messages: Invalid input", &none),
        Trouble::Refused => {
            let flagged = json!({"reasons": ["violence"], "flagged_input": "...", "provider_name": "OpenAI"});
            error(403, "The input was flagged by moderation", &flagged)
        }
        Trouble::Unusable => completion(1, " "),
        Trouble::Silence | Trouble::HangUp | Trouble::RenderFails => page(500),
    }
}

fn error(status: u16, message: &str, metadata: &Value) -> Reply {
    Reply::json(status, &json!({"error": {"code": status, "message": message, "metadata": metadata}}))
}
