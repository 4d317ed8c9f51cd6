//! `POST /api/generate/{asset}`: asks for an asset, and waits for it unless told otherwise.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jobs::seen;
use crate::daemon::desk;
use crate::daemon::desk::ask::is_settled;
use crate::store::NewJob;
use crate::web::brought::{InPath, json, whole};
use crate::web::problem::Problem;
use crate::web::{LARGEST_BODY, Site};

/// How long an answer is waited for where the request says nothing.
const USUAL_WAIT: Duration = Duration::from_secs(60);

/// The longest wait a request may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// The longest key that a request may have.
const LONGEST_KEY: usize = 255;

/// A wish for an asset.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Wish {
    slug: String,
    prompt: Option<String>,
    input: Option<Map<String, Value>>,
    provider_override: Option<String>,
    priority: Option<u8>,
    run_at: Option<String>,
    dedupe_key: Option<String>,
}

/// Enqueues, then waits: 200 with the settled job, or 202 with where to look.
pub(super) async fn generate(
    State(site): State<Site>,
    InPath(asset): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    desk::asset(&site.desk.config(), &asset).map_err(Problem::unknown)?;
    let (patience, key) = (patience(&headers), key(&headers)?);
    let wish: Wish = json(&whole(body, LARGEST_BODY).await?, "{\"slug\": \"my-article\"}")?;
    // Refused before anything is written: who tries again must not find a job of his own in the way.
    let turn = if patience.is_zero() { None } else { Some(turn(&site)?) };
    let job = NewJob {
        asset,
        slug: wish.slug,
        prompt: wish.prompt,
        input: wish.input.map(Value::Object),
        provider_override: wish.provider_override,
        priority: wish.priority,
        run_at: wish.run_at,
        dedupe_key: wish.dedupe_key,
        max_runs: None,
    };
    let id = match key {
        Some(key) => site.desk.enqueue_once(job, key).await?,
        None => site.desk.enqueue(job).await?,
    };
    let job = tokio::select! {
        biased;
        job = site.desk.settled(id, patience, site.progress.clone()) => job?,
        () = site.closing() => site.desk.job(id).await?,
    };
    drop(turn);
    let status = if is_settled(&job) { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(seen(&site.desk.shelves(), &job))).into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("/api/jobs/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

/// A turn to wait.
fn turn(site: &Site) -> Result<tokio::sync::SemaphorePermit<'_>, Problem> {
    site.waiting.try_acquire().map_err(|_| {
        Problem::busy(
            "too many requests wait for their assets; send Prefer: respond-async, or try again in a moment",
        )
    })
}

/// The key that makes a request one that is fulfilled once (`Idempotency-Key`), as it stands or in quotes.
fn key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut lines = headers.get_all("idempotency-key").iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let text = line.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let fits = (1..=LONGEST_KEY).contains(&bare.len()) && bare.bytes().all(|byte| byte.is_ascii_graphic());
    if !fits || lines.next().is_some() {
        let sentence = format!("Idempotency-Key is one word of 1 to {LONGEST_KEY} visible ASCII characters");
        return Err(Problem::new(StatusCode::BAD_REQUEST, sentence));
    }
    Ok(Some(bare))
}

/// What `Prefer` asks for (RFC 7240): `respond-async` is no wait, `wait=N` is N seconds.
fn patience(headers: &HeaderMap) -> Duration {
    let lines = headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
    let wishes = lines.flat_map(|line| line.split([',', ';'])).map(str::trim);
    let mut patience = USUAL_WAIT;
    for wish in wishes {
        if wish.eq_ignore_ascii_case("respond-async") {
            return Duration::ZERO;
        }
        let seconds = wish.split_once('=').filter(|(name, _)| name.trim().eq_ignore_ascii_case("wait"));
        if let Some(seconds) = seconds.and_then(|(_, seconds)| seconds.trim().parse().ok()) {
            patience = Duration::from_secs(seconds).min(LONGEST_WAIT);
        }
    }
    patience
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_word() {
        let check = |lines: &[&[u8]], expected: Option<Option<&str>>| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append("idempotency-key", HeaderValue::from_bytes(line).expect("valid"));
            }
            assert_eq!(key(&headers).ok(), expected, "{lines:?}");
        };
        check(&[], Some(None));
        check(&[b"8e03978e-40d5"], Some(Some("8e03978e-40d5")));
        check(&[b"\"8e03978e-40d5\""], Some(Some("8e03978e-40d5")));
        check(&["x".repeat(255).as_bytes()], Some(Some(&"x".repeat(255))));
        check(&["x".repeat(256).as_bytes()], None);
        check(&[b""], None);
        check(&[b"\"\""], None);
        check(&[b"two words"], None);
        check(&[b"caf\xc3\xa9"], None);
        check(&[b"a", b"b"], None);
    }

    #[test]
    fn a_preference_is_honoured_within_reason() {
        let check = |prefer: &[&'static str], expected: u64| {
            let mut headers = HeaderMap::new();
            for line in prefer {
                headers.append("prefer", HeaderValue::from_static(line));
            }
            assert_eq!(patience(&headers), Duration::from_secs(expected), "{prefer:?}");
        };
        check(&[], 60);
        check(&["respond-async"], 0);
        check(&["wait=5"], 5);
        check(&["Wait = 5"], 5);
        check(&["wait=5, respond-async"], 0);
        check(&["handling=lenient", "wait=7"], 7);
        check(&["wait=99999"], 600);
        check(&["wait=-1"], 60);
        check(&["wait=x"], 60);
    }
}
