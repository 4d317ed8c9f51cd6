//! The page's own style, script and sign, from within the program.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const SIGN: &str = include_str!("icon.svg");

/// One of them.
pub(super) async fn file(Path(file): Path<String>) -> Response {
    let (kind, text) = match file.as_str() {
        "page.css" => ("text/css; charset=utf-8", STYLE),
        "page.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "icon.svg" => ("image/svg+xml", SIGN),
        _unknown => return StatusCode::NOT_FOUND.into_response(),
    };
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
