//! Where the vendors' files lie: signed addresses, which no key may reach.

use std::sync::OnceLock;

use super::{Call, KEY, Memory, video};
use crate::sound::mp3;
use crate::support::{Reply, picture};

/// The page that a front end shows instead of an answer.
pub(super) const PAGE: &str = "<!doctype html><html><body><h1>502 Bad Gateway</h1></body></html>";

/// Such a page with this status.
pub(super) fn page(status: u16) -> Reply {
    let headers = vec![("content-type", "text/html".to_owned())];
    Reply::Http { status, headers, body: PAGE.into() }
}

/// The address of a file of an account.
pub(super) fn address(call: &Call<'_>, name: &str) -> String {
    format!("{}/cdn/{name}?signature=0123", call.base)
}

pub(super) fn answer(call: &Call<'_>, _memory: &mut Memory) -> Option<Reply> {
    let name = call.path.strip_prefix("/cdn/")?;
    let keyed = call.request.headers.iter().any(|(_, value)| value.contains(KEY)) || call.query.contains(KEY);
    if keyed || call.request.method != "GET" {
        // So S3 answers who brings a key besides the signature.
        let body = "<Error><Code>InvalidArgument</Code>\
            <Message>Only one auth mechanism allowed</Message></Error>";
        let headers = vec![("content-type", "application/xml".to_owned())];
        return Some(Reply::Http { status: 400, headers, body: body.into() });
    }
    Some(match name {
        "fox.png" => Reply::file("image/png", png()),
        "fox.jpeg" => Reply::file("image/jpeg", png()),
        "fox.mp4" => Reply::file("video/mp4", video((1280, 720), 8)),
        "cut.mp4" => Reply::file("video/mp4", video((1280, 720), 8)[..100].to_vec()),
        "fox.mp3" => Reply::file("audio/mpeg", mp3(100)),
        "page.png" => Reply::file("image/png", PAGE.into()),
        _ => Reply::Http { status: 404, headers: vec![], body: vec![] },
    })
}

/// A picture, made once.
pub(super) fn png() -> Vec<u8> {
    static PNG: OnceLock<Vec<u8>> = OnceLock::new();
    PNG.get_or_init(|| picture((1280, 720))).clone()
}
