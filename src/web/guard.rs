//! What every request passes before anybody answers it, and what every answer carries.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use url::Url;

use super::access::Scope;
use super::problem::Problem;
use super::{LARGEST_HEAD, Site};

/// No script, style or picture of anybody else's, no frame, no form that leaves.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 5] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// Adds what every answer carries, refusals included.
pub(super) async fn harden(State(_): State<Site>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Lets a request in, or says why not: its host must be ours, what it changes must come from our own page or from
/// no page at all, and its sender must be allowed to.
pub(super) async fn admit(State(site): State<Site>, mut request: Request, next: Next) -> Response {
    // The listener bounds what it holds of a head, and what was read at once may be more than that.
    if head_size(&request) > LARGEST_HEAD {
        let sentence = format!("the head of the request has more than {} KiB; send less", LARGEST_HEAD >> 10);
        return Problem::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, sentence).into_response();
    }
    let access = Arc::clone(&site.access.borrow());
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let host = host(request.headers(), request.uri());
    if !host.as_deref().is_some_and(|host| access.is_ours(host)) {
        let sentence = "this is no name of this server; add it to web.hosts if it is yours";
        return Problem::new(StatusCode::MISDIRECTED_REQUEST, sentence).into_response();
    }
    if !looks && !is_from_here(request.headers(), host.as_deref()) {
        let sentence = "the request comes from another site's page; nothing was changed";
        return Problem::new(StatusCode::FORBIDDEN, sentence).into_response();
    }
    let scope = access.scope(request.headers());
    let needed = needed(request.uri().path(), looks);
    if scope < needed {
        return refuse(&request, scope);
    }
    request.extensions_mut().insert(scope);
    next.run(request).await
}

fn head_size(request: &Request) -> usize {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    request.uri().path_and_query().map_or(0, |line| line.as_str().len()) + fields.sum::<usize>()
}

/// What one must be allowed to.
fn needed(path: &str, looks: bool) -> Scope {
    if path == "/login" || path.starts_with("/static/") {
        return Scope::Nothing;
    }
    if looks { Scope::Read } else { Scope::Write }
}

fn refuse(request: &Request, scope: Scope) -> Response {
    if scope == Scope::Read {
        let sentence = "this token may only read; show one that may write";
        return Problem::new(StatusCode::FORBIDDEN, sentence).into_response();
    }
    let is_page = request.method() == Method::GET
        && !request.uri().path().starts_with("/api/")
        && wants_page(request.headers());
    if is_page {
        return Redirect::to(&super::page::way_to_login(request.uri())).into_response();
    }
    let sentence = "show a token: Authorization: Bearer ..., the one the daemon's log names at its start";
    Problem::new(StatusCode::UNAUTHORIZED, sentence).into_response()
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    // Two of them are an attempt to be read in two ways.
    let mut named = headers.get_all(header::HOST).iter();
    let first = named.next()?.to_str().ok()?;
    if named.next().is_some() || uri.authority().is_some_and(|authority| authority.as_str() != first) {
        return None;
    }
    Some(first.to_owned())
}

/// Whether what changes something comes from our own page, or from a program: those send no origin.
fn is_from_here(headers: &HeaderMap, host: Option<&str>) -> bool {
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return false;
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Some(origin) = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()) else { return false };
    let Some(name) = origin.host_str() else { return false };
    let named = origin.port().map_or_else(|| name.to_owned(), |port| format!("{name}:{port}"));
    // A proxy may end TLS and leave the port out or in; a name and no port stands for the usual ones.
    host.is_some_and(|host| host.eq_ignore_ascii_case(&named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_comes_from_our_own_page_or_from_none() {
        let check = |origin: Option<&str>, fetched: Option<&str>, expected: bool| {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, origin.parse().expect("valid"));
            }
            if let Some(fetched) = fetched {
                headers.insert("sec-fetch-site", fetched.parse().expect("valid"));
            }
            assert_eq!(is_from_here(&headers, Some("127.0.0.1:8790")), expected, "{origin:?} {fetched:?}");
        };
        check(None, None, true);
        check(Some("http://127.0.0.1:8790"), Some("same-origin"), true);
        check(Some("http://127.0.0.1:8790"), None, true);
        check(Some("http://127.0.0.1:8791"), None, false);
        check(Some("http://evil.example"), None, false);
        check(Some("null"), None, false);
        check(None, Some("cross-site"), false);
        check(None, Some("same-site"), false);
    }

    #[test]
    fn looking_needs_less_than_changing() {
        assert_eq!(needed("/api/jobs", true), Scope::Read);
        assert_eq!(needed("/api/jobs/7/retry", false), Scope::Write);
        assert_eq!(needed("/login", false), Scope::Nothing);
        assert_eq!(needed("/loginx", true), Scope::Read);
    }
}
