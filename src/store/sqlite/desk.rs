//! The desk: what people ask of the database and tell it, by verb, page or API.

use sqlx::sqlite::{SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::decode::{
    self, asset_health_columns, asset_health_is_small, attempt_columns, every, job_columns,
    provider_health_columns, provider_health_is_small, run_columns,
};
use super::health::{load_provider_health, save_provider_health};
use crate::domain::breaker::ProviderHealth;
use crate::domain::health::AssetHealth;
use crate::domain::job::{Actor, JobId, JobStatus};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::sentence;
use crate::domain::time::{Timestamp, to_text};
use crate::store::desk::{JobRow, JobStory, ManualRow, NewJob, Provided, RunRow};
use crate::store::error::StoreError;

/// Every write takes the file's write lock before it reads, so that it never waits half-way for one.
pub(super) const WRITE: &str = "BEGIN IMMEDIATE";

/// The index that refuses a second live job of one dedupe key; SQLite's message names it.
pub(super) const DEDUPE_INDEX: &str = "jobs_one_live_job_per_dedupe_key";

/// The most jobs one listing reads, whatever is asked for.
pub(super) const MOST_ROWS: u32 = 10_000;

/// Adds a job.
pub(super) async fn enqueue(writer: &SqlitePool, job: &NewJob) -> Result<JobId, StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let id = match insert(&mut tx, job).await {
        Ok(id) => id,
        Err(error) => return Err(explain_dedupe(&mut tx, job, error).await),
    };
    tx.commit().await?;
    Ok(id)
}

/// The INSERT of the contract. What is not given is bound as NULL, and the schema puts its default there.
pub(super) async fn insert(conn: &mut SqliteConnection, job: &NewJob) -> Result<JobId, StoreError> {
    let id = sqlx::query_scalar(
        "INSERT INTO jobs (asset, slug, prompt, input, provider_override, priority, run_at, dedupe_key, max_runs)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
    )
    .bind(&job.asset)
    .bind(&job.slug)
    .bind(job.prompt.as_deref())
    .bind(job.input.as_ref().map(ToString::to_string))
    .bind(job.provider_override.as_deref())
    .bind(job.priority.map(i64::from))
    .bind(job.run_at.as_deref())
    .bind(job.dedupe_key.as_deref())
    .bind(job.max_runs.map(i64::from))
    .fetch_one(conn)
    .await?;
    Ok(JobId(id))
}

/// A collision of dedupe keys is refused by an index, which names itself and not the job that is in the way.
pub(super) async fn explain_dedupe(
    conn: &mut SqliteConnection,
    job: &NewJob,
    error: StoreError,
) -> StoreError {
    let (StoreError::Refused { sentence }, Some(key)) = (&error, &job.dedupe_key) else {
        return error;
    };
    if !sentence.contains(DEDUPE_INDEX) {
        return error;
    }
    let asset = AssetName::parse(&job.asset).map_or_else(|_| job.asset.clone(), |name| name.to_string());
    let found: Result<Option<i64>, sqlx::Error> = sqlx::query_scalar(
        "SELECT id FROM jobs WHERE dedupe_key = $1 AND asset = $2
             AND status IN ('pending', 'running', 'manual', 'done') LIMIT 1",
    )
    .bind(key)
    .bind(&asset)
    .fetch_optional(conn)
    .await;
    let other = found.ok().flatten().map_or_else(|| "another job".to_owned(), |id| format!("job {id}"));
    StoreError::taken(&other, &asset, key)
}

/// Runs one statement of a person's.
pub(super) async fn execute(writer: &SqlitePool, statement: &'static str) -> Result<u64, StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let changed = sqlx::query(statement).execute(&mut *tx).await?.rows_affected();
    tx.commit().await?;
    Ok(changed)
}

/// One job alone.
pub(super) async fn job(readers: &SqlitePool, job: JobId) -> Result<Option<JobRow>, StoreError> {
    const JOB: &str = concat!("SELECT ", job_columns!(), " FROM jobs WHERE id = $1");
    let row = sqlx::query(JOB).bind(job.0).fetch_optional(readers).await?;
    row.as_ref().map(decode::job).transpose()
}

/// One job with its runs and attempts, as they stood at one instant. The limits are far beyond what we write.
pub(super) async fn story(readers: &SqlitePool, job: JobId) -> Result<Option<JobStory>, StoreError> {
    const JOB: &str = concat!("SELECT ", job_columns!(), " FROM jobs WHERE id = $1");
    const RUNS: &str =
        concat!("SELECT ", run_columns!(), " FROM runs WHERE job_id = $1 ORDER BY number LIMIT 1000");
    const ATTEMPTS: &str = concat!(
        "SELECT ",
        attempt_columns!(),
        " FROM attempts WHERE run_id IN (SELECT id FROM runs WHERE job_id = $1)
          ORDER BY run_id, position, repeat, id LIMIT 10000"
    );
    let mut tx = readers.begin().await?;
    let Some(row) = sqlx::query(JOB).bind(job.0).fetch_optional(&mut *tx).await? else {
        return Ok(None);
    };
    let runs = sqlx::query(RUNS).bind(job.0).fetch_all(&mut *tx).await?;
    let attempts = sqlx::query(ATTEMPTS).bind(job.0).fetch_all(&mut *tx).await?;
    tx.commit().await?;
    let mut history: Vec<RunRow> = every(&runs, "runs", decode::run);
    for (run, attempt) in every(&attempts, "attempts", decode::attempt) {
        if let Some(run) = history.iter_mut().find(|candidate| candidate.id == run) {
            run.attempts.push(attempt);
        }
    }
    Ok(Some(JobStory { job: decode::job(&row)?, history }))
}

/// What waits for a person, longest first.
pub(super) async fn manual_queue(readers: &SqlitePool, limit: u32) -> Result<Vec<ManualRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, asset, medium, slug, prompt, input, reasons, waiting_since
         FROM manual_queue ORDER BY waiting_since, id LIMIT $1",
    )
    .bind(i64::from(limit.min(MOST_ROWS)))
    .fetch_all(readers)
    .await?;
    Ok(every(&rows, "manual_queue", decode::manual))
}

/// What is remembered of every asset.
pub(super) async fn asset_health(readers: &SqlitePool) -> Result<Vec<AssetHealth>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        asset_health_columns!(),
        " FROM asset_health WHERE ",
        asset_health_is_small!(),
        " ORDER BY asset"
    );
    let rows = sqlx::query(SQL).fetch_all(readers).await?;
    Ok(every(&rows, "asset_health", decode::asset_health))
}

/// What is remembered of every provider.
pub(super) async fn provider_health(readers: &SqlitePool) -> Result<Vec<ProviderHealth>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        provider_health_columns!(),
        " FROM provider_health WHERE ",
        provider_health_is_small!(),
        " ORDER BY provider"
    );
    let rows = sqlx::query(SQL).fetch_all(readers).await?;
    Ok(every(&rows, "provider_health", decode::provider_health))
}

/// Pauses a provider until a time, or ends its pause.
pub(super) async fn pause(
    writer: &SqlitePool,
    provider: &ProviderName,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let mut health = load_provider_health(&mut tx, provider).await?;
    health.paused_until = until;
    if !save_provider_health(&mut tx, &health, now).await? {
        return Err(StoreError::Refused {
            sentence: "unknown provider; SELECT name FROM providers".to_owned(),
        });
    }
    tx.commit().await?;
    Ok(())
}

/// Closes a provider's breaker and forgets its streak, its hint and its pause.
pub(super) async fn reset(
    writer: &SqlitePool,
    provider: &ProviderName,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let mut health = load_provider_health(&mut tx, provider).await?;
    health.reset();
    if !save_provider_health(&mut tx, &health, now).await? {
        return Err(StoreError::Refused {
            sentence: "unknown provider; SELECT name FROM providers".to_owned(),
        });
    }
    tx.commit().await?;
    Ok(())
}

/// Sends a settled job round again, by the UPDATE that a person would write.
pub(super) async fn retry(writer: &SqlitePool, job: JobId, wish: Option<&str>) -> Result<(), StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let status = status(&mut tx, job).await?;
    if status == JobStatus::Pending {
        return refuse(format!("job {job} is pending already; it needs no retry"));
    }
    sqlx::query("UPDATE jobs SET status = 'pending', provider_override = $2 WHERE id = $1")
        .bind(job.0)
        .bind(wish)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Settled undelivered jobs of an asset since a time, oldest first.
pub(super) async fn undelivered(
    readers: &SqlitePool,
    asset: &AssetName,
    since: Timestamp,
) -> Result<Vec<JobId>, StoreError> {
    let ids: Vec<i64> = sqlx::query_scalar(
        "SELECT id FROM jobs
         WHERE asset = $1 AND status IN ('manual', 'failed') AND finished_at >= $2 ORDER BY id",
    )
    .bind(asset.as_str())
    .bind(to_text(since))
    .fetch_all(readers)
    .await?;
    Ok(ids.into_iter().map(JobId).collect())
}

/// Cancels a job. One that is cancelled already stays as it is.
pub(super) async fn cancel(writer: &SqlitePool, job: JobId) -> Result<(), StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let status = status(&mut tx, job).await?;
    if status == JobStatus::Done {
        return refuse(format!("job {job} is done; there is nothing to cancel"));
    }
    if status != JobStatus::Cancelled {
        sqlx::query("UPDATE jobs SET status = 'cancelled' WHERE id = $1")
            .bind(job.0)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(())
}

/// A person provides the asset.
///
/// Words and web addresses go by the UPDATE that a person would write. A `file:` address is refused there, because
/// whoever can write rows could point at any file of the machine; this one comes from the vault, so it is
/// written in the daemon's shape: through `running` under a token of its own, in one transaction.
pub(super) async fn provide(
    writer: &SqlitePool,
    job: JobId,
    provided: &Provided,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let status = status(&mut tx, job).await?;
    if !status.may_become(JobStatus::Done, Actor::Person) {
        return refuse(format!(
            "job {job} is {status}; only a pending, manual or failed job can be resolved"
        ));
    }
    if provided.url.as_deref().is_some_and(|url| url.starts_with("file:")) {
        provide_file(&mut tx, (job, status), provided, &to_text(now)).await?;
    } else {
        sqlx::query(
            "UPDATE jobs SET status = 'done', url = $2, text = $3, content_type = $4, metadata = $5
             WHERE id = $1",
        )
        .bind(job.0)
        .bind(provided.url.as_deref())
        .bind(provided.text.as_deref())
        .bind(provided.content_type.as_deref())
        .bind(provided.metadata.as_ref().map(ToString::to_string))
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

async fn provide_file(
    conn: &mut SqliteConnection,
    (job, status): (JobId, JobStatus),
    provided: &Provided,
    now: &str,
) -> Result<(), StoreError> {
    // Every change of status below fires the triggers of its own; the last one is the daemon's, which writes health
    // and notice itself, as jobs_a_person_provides does for a person.
    if status != JobStatus::Pending {
        sqlx::query("UPDATE jobs SET status = 'pending' WHERE id = $1")
            .bind(job.0)
            .execute(&mut *conn)
            .await?;
    }
    let asset: String = sqlx::query_scalar(
        "UPDATE jobs SET status = 'running', lease_token = $2, lease_until = $3 WHERE id = $1 RETURNING asset",
    )
    .bind(job.0)
    .bind(Uuid::new_v4().to_string())
    .bind(now)
    .fetch_one(&mut *conn)
    .await?;
    let message = AssetName::parse(&asset).map(|asset| sentence::ready(&asset)).ok();
    sqlx::query(
        "UPDATE jobs SET status = 'done', lease_token = NULL, lease_until = NULL, lease_owner = NULL,
             provider = 'manual', url = $2, text = NULL, content_type = $3, metadata = $4, message = $5,
             fallback_used = coalesce((SELECT json_extract(chain, '$[0]') <> 'manual' FROM assets
                 WHERE name = jobs.asset), 1),
             error = NULL, provider_override = NULL, finished_at = $6, updated_at = $6
         WHERE id = $1",
    )
    .bind(job.0)
    .bind(provided.url.as_deref())
    .bind(provided.content_type.as_deref())
    .bind(provided.metadata.as_ref().map(ToString::to_string))
    .bind(message)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    // A run that was handed back open would be taken up by a later retry, with the chain it had then.
    sqlx::query(
        "UPDATE runs SET outcome = 'released', finished_at = $2 WHERE job_id = $1 AND finished_at IS NULL",
    )
    .bind(job.0)
    .bind(now)
    .execute(&mut *conn)
    .await?;
    sqlx::query(
        "INSERT INTO asset_health (asset, last_success_at, last_resolved_source, last_fallback_used)
         SELECT asset, finished_at, 'manual', fallback_used FROM jobs WHERE id = $1
         ON CONFLICT (asset) DO UPDATE SET last_success_at = excluded.last_success_at,
             last_resolved_source = excluded.last_resolved_source,
             last_fallback_used = excluded.last_fallback_used, updated_at = excluded.last_success_at",
    )
    .bind(job.0)
    .execute(&mut *conn)
    .await?;
    sqlx::query("INSERT INTO notices (job_id, kind, created_at) SELECT id, 'done', finished_at FROM jobs WHERE id = $1")
        .bind(job.0)
        .execute(conn)
        .await?;
    Ok(())
}

/// Where a job stands; a job that is not there is its own sentence.
async fn status(conn: &mut SqliteConnection, job: JobId) -> Result<JobStatus, StoreError> {
    let text: Option<String> =
        sqlx::query_scalar("SELECT status FROM jobs WHERE id = $1").bind(job.0).fetch_optional(conn).await?;
    let text = text.ok_or(StoreError::NoSuchJob { job })?;
    JobStatus::parse(&text).ok_or_else(|| StoreError::Other(format!("job {job} has status \"{text}\"")))
}

fn refuse<T>(sentence: String) -> Result<T, StoreError> {
    Err(StoreError::Refused { sentence })
}

#[cfg(test)]
mod tests;
