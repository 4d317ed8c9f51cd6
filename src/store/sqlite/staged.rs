//! Files on their way to the vault: named before the upload, forgotten with the delivery, swept when stale.

use serde_json::{Value, json};
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use super::decode;
use crate::domain::job::JobId;
use crate::domain::name::AssetName;
use crate::domain::time::{Timestamp, to_text};
use crate::store::error::StoreError;
use crate::store::ledger::{Recorded, RunEnd, Staging, Stale};

/// Fenced like an intent: a worker that has lost the job uploads nothing for it.
pub(super) const STAGE: &str = "
    INSERT OR REPLACE INTO staged (key, job_id, run_id, attempt_id, output, created_at)
    SELECT $1, $2, $3, $4, $5, $6
    WHERE EXISTS (SELECT 1 FROM jobs WHERE id = $2 AND +lease_token = $7 AND +status = 'running')";

pub(super) const UNSTAGE: &str = "DELETE FROM staged WHERE key IN (SELECT value FROM json_each($1))";

/// A run that is open may still deliver the file. An address that ends with the key is the file's own: delivered
/// after all, it is nobody's to take away, whatever somebody wrote into this table. What no key of ours looks like is
/// passed over, so that it can neither fail the sweep nor stand in its way.
pub(super) const STALE: &str = "
    SELECT key, job_id, (SELECT substr(asset, 1, 200) FROM jobs WHERE jobs.id = staged.job_id) FROM staged
    WHERE created_at < $1 AND octet_length(key) <= 300 AND key NOT GLOB '*[^-a-z0-9/.]*'
        AND NOT EXISTS (SELECT 1 FROM runs WHERE runs.id = staged.run_id AND finished_at IS NULL)
        AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = staged.job_id
                        AND substr(url, -length(staged.key)) = staged.key)
    ORDER BY created_at LIMIT $2";

/// Names a file before it is uploaded.
pub(super) async fn stage(
    tx: &mut SqliteConnection,
    staging: &Staging,
    now: Timestamp,
) -> Result<Recorded, StoreError> {
    let done = sqlx::query(STAGE)
        .bind(&staging.key)
        .bind(staging.job.0)
        .bind(staging.run.0)
        .bind(staging.attempt.map(|attempt| attempt.0))
        .bind(&staging.output)
        .bind(to_text(now))
        .bind(&staging.token.0)
        .execute(tx)
        .await?;
    Ok(if done.rows_affected() > 0 { Recorded::Written } else { Recorded::LeaseGone })
}

/// Forgets the files of runs that delivered them.
pub(super) async fn deliver(tx: &mut SqliteConnection, ends: &[&RunEnd]) -> Result<(), StoreError> {
    let keys: Vec<&String> = ends.iter().filter_map(|end| end.staged.as_ref()).collect();
    if !keys.is_empty() {
        sqlx::query(UNSTAGE).bind(json!(keys).to_string()).execute(tx).await?;
    }
    Ok(())
}

/// Keys that were staged before a time and never delivered, oldest first.
pub(super) async fn stale(
    readers: &SqlitePool,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<Stale>, StoreError> {
    let rows = sqlx::query(STALE).bind(to_text(before)).bind(limit).fetch_all(readers).await?;
    let stale = |row: &SqliteRow| {
        let asset = decode::lossy(row, 2)?.and_then(|asset| AssetName::parse(&asset).ok());
        let job = JobId(row.try_get(1)?);
        Ok(Stale { key: row.try_get(0)?, owner: asset.map(|asset| (asset, job)) })
    };
    rows.iter().map(stale).collect()
}

/// Forgets staged keys.
pub(super) async fn unstage(writer: &SqlitePool, keys: &[String]) -> Result<(), StoreError> {
    let keys: Value = keys.iter().cloned().collect();
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::query(UNSTAGE).bind(keys.to_string()).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}
