//! `/api/jobs`: what was asked for and what became of it.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::daemon::desk::{self, Shelves};
use crate::domain::job::{JobId, JobStatus};
use crate::store::{JobFilter, JobRow};
use crate::web::assets;
use crate::web::brought::{InPath, InQuery, json, whole};
use crate::web::problem::Problem;
use crate::web::{LARGEST_BODY, Site};

/// Jobs of one page where the request says nothing, and at most.
const PAGE: u32 = 50;
const LARGEST_PAGE: u32 = 500;

/// Which jobs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    asset: Option<String>,
    status: Option<String>,
    slug: Option<String>,
    before: Option<i64>,
    limit: Option<u32>,
}

/// How a job goes round again.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Again {
    provider_override: Option<String>,
}

/// Jobs, newest first, a page at a time.
pub(super) async fn list(
    State(site): State<Site>,
    InQuery(filter): InQuery<Filter>,
) -> Result<Json<Value>, Problem> {
    let config = site.desk.config();
    let asset = filter.asset.as_deref().map(|asset| desk::asset(&config, asset)).transpose()?;
    let status = filter.status.as_deref().map(status).transpose()?;
    let limit = page_of(filter.limit)?;
    let jobs = site
        .desk
        .store
        .jobs(&JobFilter {
            asset: asset.map(|asset| asset.name.clone()),
            status,
            slug: filter.slug,
            before: filter.before.map(JobId),
            limit,
        })
        .await?;
    let next = jobs.last().filter(|_| jobs.len() == limit as usize).map(|job| job.id);
    let shelves = site.desk.shelves();
    let seen = |job| seen(&shelves, job);
    Ok(Json(json!({ "jobs": jobs.iter().map(seen).collect::<Vec<_>>(), "nextBefore": next })))
}

/// One job with its runs and attempts.
pub(super) async fn show(
    State(site): State<Site>,
    InPath(id): InPath<String>,
) -> Result<Json<Value>, Problem> {
    let story = site.desk.story(number(&id)?).await?;
    let mut seen = seen(&site.desk.shelves(), &story.job);
    if let Some(fields) = seen.as_object_mut() {
        fields.insert("history".to_owned(), json!(story.history));
    }
    Ok(Json(seen))
}

/// Sends a settled job round again, with or without an override.
pub(super) async fn retry(
    State(site): State<Site>,
    InPath(id): InPath<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let id = number(&id)?;
    let body = whole(body, LARGEST_BODY).await?;
    // Whoever wants nothing special sends nothing.
    let again =
        if body.is_empty() { Again::default() } else { json(&body, "{\"providerOverride\": \"lummi\"}")? };
    site.desk.retry(id, again.provider_override.as_deref()).await?;
    one(&site, id).await
}

/// Nobody wants the asset any more.
pub(super) async fn cancel(
    State(site): State<Site>,
    InPath(id): InPath<String>,
) -> Result<Json<Value>, Problem> {
    let id = number(&id)?;
    site.desk.cancel(id).await?;
    one(&site, id).await
}

async fn one(site: &Site, id: JobId) -> Result<Json<Value>, Problem> {
    Ok(Json(seen(&site.desk.shelves(), &site.desk.job(id).await?)))
}

/// How many rows are wanted.
pub(super) fn page_of(limit: Option<u32>) -> Result<u32, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=LARGEST_PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::wrong_word(format!("limit must be a whole number from 1 to {LARGEST_PAGE}")))
}

/// The number of a job in an address.
pub(super) fn number(typed: &str) -> Result<JobId, Problem> {
    let number = typed.parse().ok().filter(|number: &i64| *number > 0);
    number.map(JobId).ok_or_else(|| {
        Problem::new(
            StatusCode::NOT_FOUND,
            format!("\"{typed}\" is no job's number; GET /api/jobs lists them"),
        )
    })
}

fn status(typed: &str) -> Result<JobStatus, Problem> {
    JobStatus::parse(typed).ok_or_else(|| {
        let sentence = format!(
            "\"{typed}\" is no status; they are pending, running, manual, done, failed and cancelled"
        );
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    })
}

/// A job as programs see it: its row, a sentence wherever the row has none yet, and where its file is served here.
pub(super) fn seen(shelves: &Shelves<'_>, job: &JobRow) -> Value {
    let mut seen = json!(job);
    if let Some(fields) = seen.as_object_mut() {
        fields.insert("message".to_owned(), json!(desk::ask::headline(job)));
        fields.insert("assetPath".to_owned(), json!(shelves.key(job).map(|key| assets::path(&key))));
    }
    seen
}
