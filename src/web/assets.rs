//! `GET /assets/{folder}/{file}`: delivered files, by their key in the vault, in pieces, and never as a page.

use std::io;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use futures_util::stream::unfold;

use super::Site;
use super::brought::InPath;
use super::problem::Problem;
use crate::daemon::desk::Delivered;
use crate::domain::time::Timestamp;
use crate::vault::VaultKey;

/// Where a file is found.
pub(super) const PATH: &str = "/assets/{folder}/{file}";

/// What is read of a file at once, in bytes.
const PIECE: usize = 256 * 1024;

/// A file never changes under its name. It is for who may read, so nobody between keeps it.
const CACHING: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

/// Whatever a file turns out to be, nothing in it is run and nothing is fetched by it.
const POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// Types that browsers show and that run nothing.
const SHOWN: [&str; 14] = [
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "image/avif",
    "image/bmp",
    "video/mp4",
    "video/webm",
    "video/quicktime",
    "audio/mpeg",
    "audio/wav",
    "audio/ogg",
    "audio/mp4",
    "audio/flac",
];

/// The address.
pub(super) fn routes() -> Router<Site> {
    Router::new().route(PATH, get(show).fallback(wrong_method))
}

/// Where a file of the vault is found here.
pub(super) fn path(key: &VaultKey) -> String {
    format!("/assets/{key}")
}

async fn wrong_method() -> Response {
    let sentence = "a delivered file can be read and nothing else";
    let mut response = Problem::new(StatusCode::METHOD_NOT_ALLOWED, sentence).into_response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET,HEAD"));
    response
}

async fn show(
    State(site): State<Site>,
    InPath((folder, file)): InPath<(String, String)>,
    asked: HeaderMap,
) -> Result<Response, Problem> {
    let found = site.desk.delivered(&format!("{folder}/{file}")).await?;
    let delivered = found.ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "no file of that name was delivered; a job's assetPath names its own",
        )
    })?;
    let tag = tag(&delivered);
    if is_known(&asked, &tag, delivered.facts.kept_at) {
        return Ok((StatusCode::NOT_MODIFIED, described(&delivered, &tag)?).into_response());
    }
    let size = delivered.facts.bytes;
    let wanted = if is_same(&asked, &tag) { range(&asked, size) } else { Range::All };
    let mut headers = described(&delivered, &tag)?;
    let (status, from, length) = match wanted {
        Range::All => (StatusCode::OK, 0, size),
        Range::Part(from, length) => {
            let last = from + length - 1;
            headers.insert(header::CONTENT_RANGE, value(format!("bytes {from}-{last}/{size}"))?);
            (StatusCode::PARTIAL_CONTENT, from, length)
        }
        Range::Nowhere => {
            let sentence = format!("the file has {size} bytes; ask for some of them");
            let mut response = Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, sentence).into_response();
            response.headers_mut().insert(header::CONTENT_RANGE, value(format!("bytes */{size}"))?);
            return Ok(response);
        }
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(shown(&delivered).unwrap_or(UNKNOWN)));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    Ok((status, headers, pieces(delivered, from, length)).into_response())
}

/// The type of what is not shown.
const UNKNOWN: &str = "application/octet-stream";

fn shown(delivered: &Delivered) -> Option<&'static str> {
    delivered.content_type.filter(|found| SHOWN.contains(found))
}

/// What is said of a file, whether its bytes follow or not.
fn described(delivered: &Delivered, tag: &str) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ETAG, value(tag.to_owned())?);
    if let Some(at) = delivered.facts.kept_at {
        headers.insert(header::LAST_MODIFIED, value(http_date(at))?);
    }
    headers.insert(header::CACHE_CONTROL, CACHING);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    let how = if shown(delivered).is_some() { "inline" } else { "attachment" };
    // A key is of letters, digits, hyphens and a dot.
    let disposition = format!("{how}; filename=\"{}\"", delivered.key.file());
    headers.insert(header::CONTENT_DISPOSITION, value(disposition)?);
    Ok(headers)
}

fn value(text: String) -> Result<HeaderValue, Problem> {
    HeaderValue::try_from(text)
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "a header cannot be written"))
}

/// The file's own: its name, size and time.
fn tag(delivered: &Delivered) -> String {
    let facts = delivered.facts;
    let kept = facts.kept_at.map_or(0, |at| at.timestamp_micros());
    let digest = blake3::hash(format!("{}\0{}\0{kept}", delivered.key, facts.bytes).as_bytes()).to_hex();
    format!("\"{}\"", digest.get(..24).unwrap_or_default())
}

/// Whether who asks has the file already.
fn is_known(asked: &HeaderMap, tag: &str, kept_at: Option<Timestamp>) -> bool {
    let named = asked.get_all(header::IF_NONE_MATCH);
    if named.iter().next().is_some() {
        let mut tags = named.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        return tags.any(|one| {
            let one = one.trim();
            one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
        });
    }
    let since = asked.get(header::IF_MODIFIED_SINCE).and_then(|line| line.to_str().ok()).and_then(read_date);
    // The header knows whole seconds only.
    matches!((since, kept_at), (Some(since), Some(kept)) if kept.timestamp() <= since.timestamp())
}

/// Whether a part is wanted of this very file (`If-Range`); by a date it cannot be told for sure.
fn is_same(asked: &HeaderMap, tag: &str) -> bool {
    asked.get(header::IF_RANGE).is_none_or(|line| line.as_bytes() == tag.as_bytes())
}

/// What is wanted of a file.
#[derive(Debug, PartialEq, Eq)]
enum Range {
    /// All of it.
    All,
    /// From a byte on, so many; not none.
    Part(u64, u64),
    /// Bytes that it has not.
    Nowhere,
}

/// The one range that is asked for; what is no such range, or several, is answered with all.
fn range(asked: &HeaderMap, size: u64) -> Range {
    let Some(text) = asked.get(header::RANGE).and_then(|line| line.to_str().ok()) else { return Range::All };
    let Some((unit, bounds)) = text.split_once('=') else { return Range::All };
    let Some((first, last)) = bounds.trim().split_once('-') else { return Range::All };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Range::All;
    }
    let (Some(first), Some(last)) = (bound(first), bound(last)) else { return Range::All };
    match (first, last) {
        (None, None) => Range::All,
        (Some(first), Some(last)) if first > last => Range::All,
        // The last so many bytes.
        (None, Some(count)) => match count.min(size) {
            0 => Range::Nowhere,
            count => Range::Part(size - count, count),
        },
        (Some(first), _) if first >= size => Range::Nowhere,
        (Some(first), last) => {
            let last = last.map_or(size - 1, |last| last.min(size - 1));
            Range::Part(first, last - first + 1)
        }
    }
}

/// A bound of a range: none where nothing stands, and not understood where no number does.
fn bound(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number).map(Some)
}

/// The bytes, read as they are fetched.
fn pieces(delivered: Delivered, from: u64, length: u64) -> Body {
    Body::from_stream(unfold((delivered, from, length), |(delivered, from, left)| async move {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE);
        if wanted == 0 {
            return None;
        }
        let piece = delivered.piece(from, wanted).await.map_err(io::Error::other);
        let piece: io::Result<Bytes> = match piece {
            Ok(piece) if piece.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            other => other,
        };
        let (read, left) = match &piece {
            Ok(piece) => (piece.len() as u64, left.saturating_sub(piece.len() as u64)),
            Err(error) => {
                tracing::warn!(%error, asset = %delivered.key, "a delivered file cannot be read to its end");
                (0, 0)
            }
        };
        Some((piece, (delivered, from.saturating_add(read), left)))
    }))
}

const HTTP_DATE: &str = "%a, %d %b %Y %H:%M:%S GMT";

fn http_date(at: Timestamp) -> String {
    at.format(HTTP_DATE).to_string()
}

fn read_date(text: &str) -> Option<DateTime<Utc>> {
    chrono::NaiveDateTime::parse_from_str(text, HTTP_DATE).ok().map(|naive| naive.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_of_bytes_is_understood() {
        let check = |text: &str, size: u64, expected: Range| {
            let asked = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_str(text).expect("valid"))]);
            assert_eq!(range(&asked, size), expected, "{text} of {size}");
        };
        check("bytes=0-3", 10, Range::Part(0, 4));
        check("bytes=4-", 10, Range::Part(4, 6));
        check("bytes=-3", 10, Range::Part(7, 3));
        check("bytes=-30", 10, Range::Part(0, 10));
        check("bytes=4-99", 10, Range::Part(4, 6));
        check("Bytes = 9-9", 10, Range::Part(9, 1));
        check("bytes=10-", 10, Range::Nowhere);
        check("bytes=10-12", 10, Range::Nowhere);
        check("bytes=-0", 10, Range::Nowhere);
        check("bytes=0-", 0, Range::Nowhere);
        check("bytes=-1", 0, Range::Nowhere);
        check("bytes=3-2", 10, Range::All);
        check("bytes=0-1,3-4", 10, Range::All);
        check("bytes=a-b", 10, Range::All);
        check("bytes=-", 10, Range::All);
        check("bytes=99999999999999999999-", 10, Range::All);
        check("pages=1-2", 10, Range::All);
        check("bytes", 10, Range::All);
    }

    #[test]
    fn dates_are_those_of_http() {
        let at = read_date("Sun, 06 Nov 1994 08:49:37 GMT").expect("a date");
        assert_eq!(http_date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(read_date("yesterday"), None);
    }
}
