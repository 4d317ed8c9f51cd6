//! `/api/jobs`: what was asked for and what became of it.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::daemon::desk;
use crate::domain::job::{JobId, JobStatus};
use crate::store::{JobFilter, JobRow};
use crate::web::Site;
use crate::web::problem::Problem;

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

/// Jobs, newest first, a page at a time.
pub(super) async fn list(
    State(site): State<Site>,
    filter: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Value>, Problem> {
    let Query(filter) = filter.map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let config = site.desk.config();
    let asset = filter.asset.as_deref().map(|asset| desk::asset(&config, asset)).transpose()?;
    let status = filter.status.as_deref().map(status).transpose()?;
    let limit = filter.limit.unwrap_or(PAGE).clamp(1, LARGEST_PAGE);
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
    Ok(Json(json!({ "jobs": jobs.iter().map(seen).collect::<Vec<_>>(), "nextBefore": next })))
}

/// One job with its runs and attempts.
pub(super) async fn show(State(site): State<Site>, Path(id): Path<String>) -> Result<Json<Value>, Problem> {
    let story = site.desk.story(number(&id)?).await?;
    let mut seen = seen(&story.job);
    if let Some(fields) = seen.as_object_mut() {
        fields.insert("history".to_owned(), json!(story.history));
    }
    Ok(Json(seen))
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

/// A job as programs see it: its row, and a sentence wherever the row has none yet.
pub(super) fn seen(job: &JobRow) -> Value {
    let mut seen = json!(job);
    if let Some(fields) = seen.as_object_mut() {
        fields.insert("message".to_owned(), json!(desk::ask::headline(job)));
    }
    seen
}
