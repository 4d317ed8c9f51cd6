//! Jobs that are asked for once, however often the request for them is sent.

use sqlx::sqlite::SqlitePool;

use super::desk::{self, WRITE};
use crate::domain::job::JobId;
use crate::domain::time::{Timestamp, to_text};
use crate::store::desk::{Asked, NewJob, Once};
use crate::store::error::StoreError;

/// Adds a job and its key in one transaction, or finds the job that the key has already.
pub(super) async fn enqueue(
    writer: &SqlitePool,
    job: &NewJob,
    once: &Once,
    now: Timestamp,
) -> Result<Asked, StoreError> {
    // The write lock is taken before the look: of two such requests at once, the second finds what the first wrote.
    let mut tx = writer.begin_with(WRITE).await?;
    let known: Option<(String, i64)> =
        sqlx::query_as("SELECT digest, job_id FROM idempotency WHERE key = $1")
            .bind(&once.key)
            .fetch_optional(&mut *tx)
            .await?;
    if let Some((digest, job)) = known {
        let job = JobId(job);
        return Ok(if digest == once.digest { Asked::Before(job) } else { Asked::ForSomethingElse(job) });
    }
    let id = match desk::insert(&mut tx, job).await {
        Ok(id) => id,
        Err(error) => return Err(desk::explain_dedupe(&mut tx, job, error).await),
    };
    sqlx::query("INSERT INTO idempotency (key, digest, job_id, created_at) VALUES ($1, $2, $3, $4)")
        .bind(&once.key)
        .bind(&once.digest)
        .bind(id.0)
        .bind(to_text(now))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(Asked::Now(id))
}
