//! Lummi's search, as its reference describes it; the bodies of its errors are not public.

use serde_json::{Value, json};

use super::cdn::{self, page};
use super::reading::{mistake, odd_word, query};
use super::{Call, KEY, Memory, Trouble};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, _memory: &mut Memory) -> Option<Reply> {
    call.is("GET", "/v1/images/search").then(|| search(call))
}

fn search(call: &Call<'_>) -> Reply {
    if call.header_after("authorization", "Bearer ") != Some(KEY) {
        return error(401, "Unauthorized");
    }
    let asked = query(call);
    // In camel case: `per_page` is what wrong clients send.
    let known = ["query", "page", "perPage", "imageType", "orientation", "free"];
    let wrong = mistake(&asked, &known, 1)
        .or_else(|| odd_word(&asked, "orientation", &["square", "horizontal", "vertical"]))
        .or_else(|| odd_word(&asked, "imageType", &["photo", "illustration", "3d"]));
    if let Some(wrong) = wrong {
        return error(400, &wrong);
    }
    let found = |hits: Value| Reply::json(200, &json!({"data": hits, "meta": {"totalCount": 2}}));
    let Some(trouble) = call.trouble else {
        return found(json!([image(call, "f-1", true), image(call, "f-2", false)]));
    };
    match trouble {
        Trouble::Transient => page(503),
        Trouble::RateLimited => error(429, "Too many requests"),
        Trouble::Quota => error(402, "Payment required"),
        Trouble::Auth => error(401, "Unauthorized"),
        Trouble::Invalid => error(400, "perPage must be at most 50"),
        Trouble::Refused => found(json!([])),
        Trouble::Unusable => page(200),
        Trouble::Retired | Trouble::Silence | Trouble::HangUp | Trouble::RenderFails => {
            error(500, "a library cannot tell this")
        }
    }
}

fn image(call: &Call<'_>, id: &str, pro: bool) -> Value {
    json!({"id": id, "name": "Fox in the snow", "slug": "fox-in-the-snow", "path": "assets/fox.png",
        "url": cdn::address(call, "fox.png"), "attributionUrl": format!("https://www.lummi.ai/photo/{id}"),
        "author": {"id": "a1", "username": "ann", "name": "Ann Other", "role": "creator",
            "attributionUrl": "https://www.lummi.ai/creator/ann"},
        "imageType": "photo", "contentType": "image/png", "width": 5824, "height": 3264,
        "orientation": "horizontal", "pro": pro, "free": !pro, "unsafe": false, "removed": false})
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"message": message}))
}
