//! How the queue is doing, what waits for a person, and what a run would do now.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::jobs::page_of;
use crate::daemon::desk::{self, Wellbeing};
use crate::web::Site;
use crate::web::brought::{InPath, InQuery};
use crate::web::problem::Problem;

/// How many.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Most {
    limit: Option<u32>,
}

/// By which override.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    #[serde(rename = "override")]
    wish: Option<String>,
}

/// How every asset, every provider in use and the queue itself are doing: what `backstop health --json` prints.
pub(super) async fn health(State(site): State<Site>) -> Result<Json<Value>, Problem> {
    Ok(Json(Wellbeing::read(&site.desk).await?.json(None)))
}

/// What waits for a person, longest first.
pub(super) async fn manual(
    State(site): State<Site>,
    InQuery(most): InQuery<Most>,
) -> Result<Json<Value>, Problem> {
    let waiting = site.desk.store.manual_queue(page_of(most.limit)?).await?;
    Ok(Json(json!({ "jobs": waiting })))
}

/// What a run would do now, without doing it: what `backstop plan --json` prints, and how it would end.
pub(super) async fn plan(
    State(site): State<Site>,
    InPath(asset): InPath<String>,
    InQuery(wish): InQuery<Wish>,
) -> Result<Json<Value>, Problem> {
    desk::asset(&site.desk.config(), &asset).map_err(Problem::unknown)?;
    let outlook = site.desk.plan(&asset, wish.wish.as_deref()).await?;
    let mut plan = outlook.json();
    plan["ending"] = json!(outlook.ending());
    Ok(Json(plan))
}
