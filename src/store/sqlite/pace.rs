//! The log of bounded calls: who may begin one more, who has, and who has ended.

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use crate::domain::name::ProviderName;
use crate::domain::pace::{Begun, NoRoom, Pace, Usage, Window};
use crate::domain::time::{Timestamp, from_text, to_text};
use crate::store::error::StoreError;
use crate::store::ledger::{AttemptFacts, Recorded, Slot};

/// The calls under way of one provider, and those of one owner among them.
pub(super) const UNDER_WAY: &str = "
    SELECT count(*), count(*) FILTER (WHERE job.lease_owner = $3)
    FROM provider_calls AS c INDEXED BY provider_calls_open CROSS JOIN jobs AS job NOT INDEXED
    WHERE c.provider = $1 AND c.ended_at IS NULL
        AND job.id = c.job_id AND +job.status = 'running' AND +job.lease_token = c.token AND +job.lease_until > $2";

/// The newest calls of a window, at most as many as it may hold.
pub(super) const BEGUN: &str = "
    SELECT count(*), min(started_at) FROM (
        SELECT started_at FROM provider_calls WHERE provider = $1 AND started_at > $2 AND started_at <= $3
        ORDER BY started_at DESC LIMIT $4)";

/// Fenced like an intent: a worker that has lost the job calls nobody for it.
pub(super) const ENTER: &str = "
    INSERT INTO provider_calls (provider, job_id, token, started_at)
    SELECT $1, $2, $3, $4
    WHERE EXISTS (SELECT 1 FROM jobs WHERE id = $2 AND +lease_token = $3 AND +status = 'running')";

/// What was accepted under an earlier lease goes on under this one.
pub(super) const REENTER: &str = "
    UPDATE provider_calls INDEXED BY provider_calls_open SET token = $3
    WHERE provider = $1 AND job_id = $2 AND ended_at IS NULL
        AND id = (SELECT max(id) FROM provider_calls INDEXED BY provider_calls_open
                  WHERE provider = $1 AND job_id = $2 AND ended_at IS NULL)
        AND EXISTS (SELECT 1 FROM jobs WHERE id = $2 AND +lease_token = $3 AND +status = 'running')";

pub(super) const LEAVE: &str = "
    UPDATE provider_calls INDEXED BY provider_calls_open SET ended_at = $4
    WHERE provider = $1 AND job_id = $2 AND token = $3 AND ended_at IS NULL";

/// A call that is still under way stays, however long ago it began.
pub(super) const FORGET: &str = "
    DELETE FROM provider_calls WHERE provider = $1 AND started_at <= $2
        AND (ended_at IS NOT NULL OR NOT EXISTS (
            SELECT 1 FROM jobs WHERE id = job_id AND +lease_token = token AND +status = 'running'))";

/// How much of its pace a provider has used. `owner` is whose calls are told apart.
async fn usage(
    conn: &mut SqliteConnection,
    (provider, pace): (&ProviderName, &Pace),
    owner: &str,
    now: Timestamp,
) -> Result<Usage, StoreError> {
    let row = sqlx::query(UNDER_WAY)
        .bind(provider.as_str())
        .bind(to_text(now))
        .bind(owner)
        .fetch_one(&mut *conn)
        .await?;
    let mut usage = Usage { under_way: row.try_get(0)?, own: row.try_get(1)?, begun: Vec::new() };
    for (window, most) in pace.windows() {
        let (from, to) = window.around(now);
        let row = sqlx::query(BEGUN)
            .bind(provider.as_str())
            .bind(to_text(from))
            .bind(to_text(to))
            .bind(most)
            .fetch_one(&mut *conn)
            .await?;
        let oldest: Option<String> = row.try_get(1)?;
        let oldest = oldest.as_deref().and_then(from_text);
        usage.begun.push(Begun { window, most, count: row.try_get(0)?, oldest });
    }
    Ok(usage)
}

/// How much of their pace these providers have used.
pub(super) async fn usages(
    readers: &SqlitePool,
    asked: &[(ProviderName, Pace)],
    owner: &str,
    now: Timestamp,
) -> Result<Vec<Usage>, StoreError> {
    let mut usages = Vec::with_capacity(asked.len());
    if asked.is_empty() {
        return Ok(usages);
    }
    let mut conn = readers.acquire().await?;
    for (provider, pace) in asked {
        usages.push(usage(&mut conn, (provider, pace), owner, now).await?);
    }
    Ok(usages)
}

/// Why one more call has no room; `None` where it has, or where its provider's calls are not bounded.
pub(super) async fn no_room(
    tx: &mut SqliteConnection,
    facts: &AttemptFacts,
    now: Timestamp,
) -> Result<Option<NoRoom>, StoreError> {
    let Some(Slot { pace, .. }) = &facts.slot else { return Ok(None) };
    let usage = usage(tx, (&facts.provider, pace), "", now).await?;
    Ok(pace.no_room(&usage, now))
}

/// Writes a call down that is about to be made; the caller has seen that there is room.
pub(super) async fn enter(
    tx: &mut SqliteConnection,
    facts: &AttemptFacts,
    now: Timestamp,
) -> Result<Recorded, StoreError> {
    let Some(slot) = &facts.slot else { return Ok(Recorded::Written) };
    let (forgotten, _) = Window::LONGEST.around(now);
    sqlx::query(FORGET).bind(facts.provider.as_str()).bind(to_text(forgotten)).execute(&mut *tx).await?;
    let done = sqlx::query(ENTER)
        .bind(facts.provider.as_str())
        .bind(facts.job.0)
        .bind(&slot.token.0)
        .bind(to_text(now))
        .execute(&mut *tx)
        .await?;
    Ok(if done.rows_affected() > 0 { Recorded::Written } else { Recorded::LeaseGone })
}

/// Takes up a call that was begun under an earlier lease.
pub(super) async fn reenter(tx: &mut SqliteConnection, facts: &AttemptFacts) -> Result<(), StoreError> {
    if let Some(slot) = &facts.slot {
        sqlx::query(REENTER)
            .bind(facts.provider.as_str())
            .bind(facts.job.0)
            .bind(&slot.token.0)
            .execute(tx)
            .await?;
    }
    Ok(())
}

/// A call has ended.
pub(super) async fn leave(
    tx: &mut SqliteConnection,
    facts: &AttemptFacts,
    now: Timestamp,
) -> Result<(), StoreError> {
    if let Some(slot) = &facts.slot {
        sqlx::query(LEAVE)
            .bind(facts.provider.as_str())
            .bind(facts.job.0)
            .bind(&slot.token.0)
            .bind(to_text(now))
            .execute(tx)
            .await?;
    }
    Ok(())
}
