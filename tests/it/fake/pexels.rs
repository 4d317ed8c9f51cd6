//! Pexels, photographs and clips, as its documentation describes it.

use serde_json::{Value, json};

use super::cdn::{self, page};
use super::reading::{mistake, odd_word, query};
use super::{Call, KEY, Memory, Trouble};
use crate::support::Reply;

pub(super) fn answer(call: &Call<'_>, _memory: &mut Memory) -> Option<Reply> {
    if call.is("GET", "/v1/search") {
        Some(search(call, "photos", photo(call)))
    } else if call.is("GET", "/videos/search") {
        Some(search(call, "videos", clip(call)))
    } else {
        None
    }
}

fn search(call: &Call<'_>, list: &str, hit: Value) -> Reply {
    // The bare key: `Bearer` before it is another key.
    if call.request.header("authorization") != Some(KEY) {
        return error(401, "Unauthorized");
    }
    let asked = query(call);
    let known = ["query", "orientation", "size", "color", "locale", "page", "per_page"];
    let many = asked.get("per_page").is_some_and(|n| n.parse().is_ok_and(|n: u32| n > 80));
    let orientation = odd_word(&asked, "orientation", &["landscape", "portrait", "square"]);
    let colour = asked.contains_key("color") && list == "videos";
    if mistake(&asked, &known, 1).is_some() || orientation.is_some() || many || colour {
        return error(400, "Bad Request");
    }
    let Some(trouble) = call.trouble else { return found(list, json!([hit])) };
    match trouble {
        Trouble::Transient => error(500, "Internal Server Error"),
        Trouble::RateLimited => error(429, "Too Many Requests"),
        Trouble::Quota => {
            Reply::json(429, &json!({"error": "You have exceeded your monthly limit of 20000 requests."}))
        }
        Trouble::Auth => error(401, "Unauthorized"),
        Trouble::Invalid => error(400, "Bad Request"),
        Trouble::Refused => found(list, json!([])),
        Trouble::Unusable if list == "photos" => error(200, "Internal"),
        Trouble::Unusable => Reply::Http { status: 200, headers: vec![], body: b"{\"videos\": [{".to_vec() },
        Trouble::Retired | Trouble::Silence | Trouble::HangUp | Trouble::RenderFails => page(500),
    }
}

fn photo(call: &Call<'_>) -> Value {
    let at = cdn::address(call, "fox.jpeg");
    json!({"id": 2_014_422, "width": 5000, "height": 3000, "url": "https://www.pexels.com/photo/fox-2014422/",
        "photographer": "Joey Other", "photographer_url": "https://www.pexels.com/@joey", "avg_color": "#978E82",
        "alt": "A fox", "src": {"original": at, "large2x": at, "large": at, "medium": at, "small": at,
            "portrait": at, "landscape": at, "tiny": at}})
}

fn clip(call: &Call<'_>) -> Value {
    let file = |quality: &str, width: u32, height: u32, name: &str| {
        json!({"id": width, "quality": quality, "fps": 25.0,
        "file_type": "video/mp4", "width": width, "height": height, "link": cdn::address(call, name)})
    };
    json!({"id": 1_448_735, "width": 3840, "height": 2160, "duration": 8,
        "url": "https://www.pexels.com/video/fox-1448735/", "image": cdn::address(call, "fox.jpeg"),
        "user": {"id": 5, "name": "Ruvim Other", "url": "https://www.pexels.com/@ruvim"},
        "video_files": [file("sd", 640, 360, "small.mp4"), file("hd", 1280, 720, "fox.mp4"),
            file("uhd", 3840, 2160, "huge.mp4")],
        "video_pictures": []})
}

fn found(list: &str, hits: Value) -> Reply {
    let mut body = json!({"page": 1, "per_page": 30, "total_results": 1});
    body[list] = hits;
    let limits = [("limit", "20000"), ("remaining", "19684"), ("reset", "1795824000")];
    let names = ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"];
    let headers = names.into_iter().zip(limits).map(|(name, (_, value))| (name, value.to_owned())).collect();
    Reply::Http { status: 200, headers, body: body.to_string().into_bytes() }
}

fn error(status: u16, code: &str) -> Reply {
    Reply::json(status, &json!({"status": status, "code": code}))
}
