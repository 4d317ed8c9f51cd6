//! Calls without a verdict whose runs have ended.

use serde_json::json;
use sqlx::sqlite::SqlitePool;

use crate::domain::time::{Timestamp, to_text};
use crate::store::error::StoreError;

/// From the few calls without a verdict. A run that has just ended may have somebody who still speaks.
pub(super) const FORSAKEN: &str = "
    SELECT a.id FROM attempts AS a CROSS JOIN runs AS r ON r.id = a.run_id
    WHERE a.status IN ('started', 'accepted') AND r.finished_at < $1 LIMIT 1000";

const SETTLE_FORSAKEN: &str = "
    UPDATE attempts
    SET status = 'unknown', class = 'unknown_outcome', finished_at = $2,
        error = 'its run was ended while nobody was there to stop the call, and what became of it is not known'
    WHERE id IN (SELECT value FROM json_each($1)) AND status IN ('started', 'accepted')
        AND EXISTS (SELECT 1 FROM runs WHERE id = attempts.run_id AND finished_at IS NOT NULL)";

/// Settles calls of ended runs that nobody speaks of any more. Nothing is written where there is none.
pub(super) async fn settle(
    writer: &SqlitePool,
    readers: &SqlitePool,
    ended_before: Timestamp,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let found: Vec<i64> = sqlx::query_scalar(FORSAKEN).bind(to_text(ended_before)).fetch_all(readers).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let settled = sqlx::query(SETTLE_FORSAKEN)
        .bind(json!(found).to_string())
        .bind(to_text(now))
        .execute(&mut *tx)
        .await?
        .rows_affected();
    tx.commit().await?;
    Ok(settled)
}
