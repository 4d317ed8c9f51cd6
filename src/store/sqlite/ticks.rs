//! Ticks of recurring schedules.

use sqlx::sqlite::SqlitePool;

use super::desk::{DEDUPE_INDEX, WRITE, insert};
use crate::domain::time::{Timestamp, from_text, to_text};
use crate::store::desk::NewTick;
use crate::store::error::StoreError;

/// Enqueues a recurring tick's job once, however many daemons say so; `false` when the tick was there already.
/// A job that collides with a live one by its dedupe key is not enqueued, and its tick counts as done.
///
/// # Errors
/// When the schema refuses the job; then the tick is not written either.
pub(super) async fn tick(writer: &SqlitePool, tick: &NewTick) -> Result<bool, StoreError> {
    let at = to_text(tick.tick);
    let mut tx = writer.begin_with(WRITE).await?;
    let written = sqlx::query(
        "INSERT INTO recurring_ticks (schedule, tick, created_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    )
    .bind(&tick.schedule)
    .bind(&at)
    .bind(to_text(tick.now))
    .execute(&mut *tx)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(false);
    }
    if let Some(job) = &tick.job {
        let id = match insert(&mut tx, job).await {
            Ok(id) => Some(id.0),
            Err(StoreError::Refused { sentence }) if sentence.contains(DEDUPE_INDEX) => None,
            Err(error) => return Err(error),
        };
        sqlx::query("UPDATE recurring_ticks SET job_id = $3 WHERE schedule = $1 AND tick = $2")
            .bind(&tick.schedule)
            .bind(&at)
            .bind(id)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// The latest tick of a schedule until now, where it has had one. What is no time, or yet to come, was written
/// by nobody who keeps this schedule, or by a clock that was wrong; it must not stop the schedule.
pub(super) async fn last_tick(
    readers: &SqlitePool,
    schedule: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let latest: Option<String> = sqlx::query_scalar(
        "SELECT max(tick) FROM recurring_ticks
         WHERE schedule = $1 AND tick <= $2 AND strftime('%Y-%m-%dT%H:%M:%fZ', tick, '+0 days') = tick",
    )
    .bind(schedule)
    .bind(to_text(now))
    .fetch_one(readers)
    .await?;
    Ok(latest.as_deref().and_then(from_text))
}
