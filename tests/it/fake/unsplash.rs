//! Unsplash's search and its report of use, as its documentation describes them.

use serde_json::{Value, json};

use super::cdn;
use super::reading::{mistake, odd_word, query};
use super::{Call, KEY, Memory, Trouble};
use crate::support::Reply;

const ID: &str = "Dwu85P9SOIk";

pub(super) fn answer(call: &Call<'_>, _memory: &mut Memory) -> Option<Reply> {
    let download = format!("/photos/{ID}/download");
    let work: fn(&Call<'_>) -> Reply = match call.path {
        "/search/photos" => search,
        path if path == download => report,
        _ => return None,
    };
    if call.request.method != "GET" || call.request.header("accept-version") != Some("v1") {
        return Some(error(400, "the request is none of version v1"));
    }
    if call.header_after("authorization", "Client-ID ") != Some(KEY) {
        return Some(error(401, "OAuth error: The access token is invalid"));
    }
    Some(work(call))
}

/// The address that is asked when a picture is used; `ixid` names the search it was found by.
fn report(call: &Call<'_>) -> Reply {
    match query(call).get("ixid") {
        Some(_) => Reply::json(200, &json!({"url": cdn::address(call, "fox.jpeg")})),
        None => error(400, "ixid is missing"),
    }
}

fn search(call: &Call<'_>) -> Reply {
    let asked = query(call);
    let known =
        ["query", "page", "per_page", "order_by", "collections", "content_filter", "color", "orientation"];
    let many = asked.get("per_page").is_some_and(|n| n.parse().is_ok_and(|n: u32| n > 30));
    let wrong = mistake(&asked, &known, 1)
        .or_else(|| odd_word(&asked, "orientation", &["landscape", "portrait", "squarish"]))
        .or_else(|| odd_word(&asked, "content_filter", &["low", "high"]))
        .or_else(|| many.then(|| "per_page must be at most 30".to_owned()));
    if let Some(wrong) = wrong {
        return error(400, &wrong);
    }
    let found = |hits: Value| Reply::json(200, &json!({"total": 133, "total_pages": 7, "results": hits}));
    let Some(trouble) = call.trouble else { return found(json!([photo(call)])) };
    match trouble {
        Trouble::Transient => error(500, "Something went wrong"),
        // The hour's limit is the only one there is.
        Trouble::RateLimited | Trouble::Quota => {
            let headers =
                vec![("content-type", "text/plain".to_owned()), ("x-ratelimit-remaining", "0".to_owned())];
            Reply::Http { status: 403, headers, body: b"Rate Limit Exceeded".to_vec() }
        }
        Trouble::Auth => error(401, "OAuth error: The access token is invalid"),
        Trouble::Invalid => error(400, "query is missing"),
        Trouble::Refused => found(json!([])),
        Trouble::Unusable => Reply::Http { status: 200, headers: vec![], body: vec![] },
        Trouble::Retired | Trouble::Silence | Trouble::HangUp | Trouble::RenderFails => {
            error(500, "a library cannot tell this")
        }
    }
}

fn photo(call: &Call<'_>) -> Value {
    let at = cdn::address(call, "fox.jpeg");
    let html = "https://unsplash.com/@ann";
    json!({"id": ID, "width": 6000, "height": 4000, "color": "#6E633A", "blur_hash": "LFC$", "description": "A fox",
        "alt_description": "fox", "urls": {"raw": at, "full": at, "regular": at, "small": at, "thumb": at},
        "links": {"self": format!("{}/photos/{ID}", call.base), "html": "https://unsplash.com/photos/fox",
            "download": "https://unsplash.com/photos/fox/download",
            "download_location": format!("{}/photos/{ID}/download?ixid=M3w1", call.base)},
        "user": {"name": "Ann Other", "username": "ann", "links": {"html": html}}})
}

fn error(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({"errors": [message]}))
}
