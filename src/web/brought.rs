//! What a request brings: words in its address, and a body that is bounded in size and in the time it takes.

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream::unfold;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout_at};

use super::problem::Problem;

/// How long a body may take whatever its size.
const PATIENCE: Duration = Duration::from_secs(10);

/// And as much longer as it would take at this pace, in bytes for each millisecond: who drips is cut off, and who has a
/// slow line is not.
const PACE: u64 = 32;

/// What is read on of a body that is too large, in bytes: a client that still sends does not read why.
const HEARD_OUT: usize = 8 << 20;

/// The words of an address's path; what is no text is found nowhere.
pub(super) struct InPath<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Path::<T>::from_request_parts(parts, state).await;
        found.map(|Path(words)| Self(words)).map_err(|_| {
            Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address; its words are no text")
        })
    }
}

/// The words behind an address's question mark.
pub(super) struct InQuery<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let found = Query::<T>::from_request_parts(parts, state).await;
        found
            .map(|Query(words)| Self(words))
            .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))
    }
}

/// All of a body, if it has at most so many bytes.
pub(super) async fn whole(body: Body, most: usize) -> Result<Bytes, Problem> {
    gathered(body, BytesMut::new(), most).await
}

/// As [`whole`], for what is large: room is made once, for as much as the head announces.
pub(super) async fn whole_file(request: Request, most: usize) -> Result<Bytes, Problem> {
    let announced = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let announced = announced.and_then(|length| length.parse().ok()).filter(|length| *length <= most);
    gathered(request.into_body(), BytesMut::with_capacity(announced.unwrap_or(0)), most).await
}

async fn gathered(body: Body, mut whole: BytesMut, most: usize) -> Result<Bytes, Problem> {
    let mut pieces = body.into_data_stream();
    let mut too_much = 0_usize;
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| broken(&error))?;
        if too_much > 0 || whole.len().saturating_add(piece.len()) > most {
            too_much = too_much.saturating_add(piece.len());
        } else {
            whole.extend_from_slice(&piece);
        }
        if too_much > HEARD_OUT {
            break;
        }
    }
    if too_much > 0 { Err(too_large(most)) } else { Ok(whole.freeze()) }
}

/// The refusal of a body with more than so many bytes.
pub(super) fn too_large(most: usize) -> Problem {
    let sentence = if most < 1 << 20 {
        format!("the body has more than {most} bytes; send less")
    } else {
        format!("the body has more than {} MiB; send less", most >> 20)
    };
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
}

/// Reads JSON; `example` shows what is expected.
pub(super) fn json<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, format!("the body is not as it should be, such as {example}: {error}"))
    })
}

/// Bounds the time that a body takes, whoever reads it. How long an answer takes has nothing to do with it.
pub(super) async fn in_time(request: Request, next: Next) -> Response {
    let request = if brings_something(request.headers()) { request.map(paced) } else { request };
    next.run(request).await
}

fn brings_something(headers: &HeaderMap) -> bool {
    let is_empty = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
    headers.contains_key(header::TRANSFER_ENCODING)
        || (headers.contains_key(header::CONTENT_LENGTH) && !is_empty)
}

fn paced(body: Body) -> Body {
    let began = Instant::now();
    let pieces = unfold(Some((body.into_data_stream(), 0_u64)), move |state| async move {
        let (mut pieces, received) = state?;
        let until = began + PATIENCE + Duration::from_millis(received / PACE);
        match timeout_at(until, pieces.next()).await {
            Ok(Some(Ok(piece))) => {
                let received = received.saturating_add(piece.len() as u64);
                Some((Ok(piece), Some((pieces, received))))
            }
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), None)),
            Ok(None) => None,
            Err(_) => Some((Err(io::Error::new(io::ErrorKind::TimedOut, TooSlow)), None)),
        }
    });
    Body::from_stream(pieces)
}

/// Why a body broke off.
pub(super) fn broken(error: &(dyn Error + 'static)) -> Problem {
    let mut cause = Some(error);
    while let Some(one) = cause {
        let timed_out = one.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::TimedOut);
        if timed_out || one.is::<TooSlow>() {
            return Problem::new(StatusCode::REQUEST_TIMEOUT, TooSlow.to_string());
        }
        cause = one.source();
    }
    Problem::new(StatusCode::BAD_REQUEST, "the body broke off; send it again")
}

/// A body that dripped.
#[derive(Debug)]
struct TooSlow;

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body came too slowly; send it again")
    }
}

impl Error for TooSlow {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_bound() {
        let read = async |bytes: usize, most: usize| whole(Body::from(vec![b'a'; bytes]), most).await;
        assert_eq!(read(8, 8).await.expect("it fits").len(), 8);
        let refused = read(9, 8).await.expect_err("too large");
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert_eq!(refused.detail(), "the body has more than 8 bytes; send less");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_is_cut_off_and_a_slow_line_is_not() {
        let dripping = |every: Duration, size: usize, pieces: usize| {
            let pieces = unfold(0, move |sent| async move {
                tokio::time::sleep(every).await;
                (sent < pieces).then(|| (Ok::<_, io::Error>(Bytes::from(vec![b'a'; size])), sent + 1))
            });
            paced(Body::from_stream(pieces))
        };
        let began = Instant::now();
        let refused = whole(dripping(Duration::from_secs(1), 1, 1_000), 1 << 20).await.expect_err("it drips");
        assert_eq!(refused.status(), StatusCode::REQUEST_TIMEOUT);
        assert!(began.elapsed() <= PATIENCE + Duration::from_secs(1), "{:?}", began.elapsed());
        let second = dripping(Duration::from_secs(1), 40_000, 60);
        assert_eq!(whole(second, 4 << 20).await.expect("slow, and in time").len(), 2_400_000);
    }
}
