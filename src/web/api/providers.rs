//! `/api/providers`: who can be called, and the operator's hand on them.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::daemon::desk::standing::listed;
use crate::daemon::desk::{self, Standing, times};
use crate::domain::time::{Timestamp, after};
use crate::web::brought::{InPath, InQuery, json, whole};
use crate::web::problem::Problem;
use crate::web::{LARGEST_BODY, Site};

/// Which providers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    #[serde(default)]
    all: bool,
}

/// When a pause ends.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    #[serde(rename = "for")]
    length: Option<String>,
    until: Option<String>,
}

/// The providers in use or with a key, or all that are known.
pub(super) async fn list(
    State(site): State<Site>,
    InQuery(which): InQuery<Which>,
) -> Result<Json<Value>, Problem> {
    let (config, now) = (site.desk.config(), site.desk.now());
    let remembered = site.desk.remembered().await?;
    let listed = listed(&config, &remembered, now, which.all);
    Ok(Json(json!({ "providers": listed.iter().map(Standing::json).collect::<Vec<_>>() })))
}

/// Calls a provider no more until a time.
pub(super) async fn pause(
    State(site): State<Site>,
    InPath(name): InPath<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    known(&site, &name)?;
    let end: End = json(&whole(body, LARGEST_BODY).await?, "{\"for\": \"2h\"}")?;
    let name = site.desk.pause(&name, instant(&end, site.desk.now())?).await?;
    Ok(Json(site.desk.standing(&name).await?))
}

/// Ends a pause.
pub(super) async fn resume(
    State(site): State<Site>,
    InPath(name): InPath<String>,
) -> Result<Json<Value>, Problem> {
    known(&site, &name)?;
    let name = site.desk.resume(&name).await?;
    Ok(Json(site.desk.standing(&name).await?))
}

/// Closes a provider's breaker.
pub(super) async fn reset(
    State(site): State<Site>,
    InPath(name): InPath<String>,
) -> Result<Json<Value>, Problem> {
    known(&site, &name)?;
    let name = site.desk.reset(&name).await?;
    Ok(Json(site.desk.standing(&name).await?))
}

/// A provider that nobody knows has no address.
fn known(site: &Site, name: &str) -> Result<(), Problem> {
    desk::provider(&site.desk.config(), name).map(drop).map_err(Problem::unknown)
}

fn instant(end: &End, now: Timestamp) -> Result<Timestamp, Problem> {
    let wrong = |sentence: String| Err(Problem::wrong_word(sentence));
    match (&end.length, &end.until) {
        (Some(length), None) => match times::span(length) {
            Some(length) => Ok(after(now, length)),
            None => wrong(format!("\"{length}\" is no length of time; write 30m, 2h or 2d")),
        },
        (None, Some(until)) => match times::instant(until) {
            Some(until) => Ok(until),
            None => wrong(format!("\"{until}\" is no instant; write 2026-12-31 or 2026-12-31T18:00:00Z")),
        },
        (Some(_), Some(_)) | (None, None) => {
            wrong("say when the pause ends: {\"for\": \"2h\"} or {\"until\": \"2026-12-31\"}".to_owned())
        }
    }
}
