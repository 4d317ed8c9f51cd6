//! `POST /api/generate/{asset}`: asks for an asset, and waits for it unless told otherwise.

use std::time::Duration;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jobs::seen;
use crate::daemon::desk::ask::is_settled;
use crate::store::NewJob;
use crate::web::Site;
use crate::web::problem::Problem;

/// How long an answer is waited for where the request says nothing.
const USUAL_WAIT: Duration = Duration::from_secs(60);

/// The longest wait a request may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

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
    Path(asset): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let wish: Wish = serde_json::from_slice(&body).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, format!("the body is not a wish, {{\"slug\": \"my-article\"}}: {error}"))
    })?;
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
    let id = site.desk.enqueue(job).await?;
    let job = site.desk.settled(id, patience(&headers), site.progress.clone()).await?;
    let status = if is_settled(&job) { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, Json(seen(&job))).into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("/api/jobs/{id}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
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
