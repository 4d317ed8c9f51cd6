//! The outbox: what is to be told, and what became of it at each destination.

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::decode::{self, job_columns};
use super::desk::WRITE;
use crate::domain::breaker::ProviderHealth;
use crate::domain::notice::NoticeKind;
use crate::domain::time::{Timestamp, to_text};
use crate::store::{NewNotice, Notice, RunEnd, StoreError, Told};

/// What is read of a notice, its job and its destinations.
macro_rules! notice_columns {
    () => {
        concat!(
            "notices.id AS notice, notices.name, notices.kind AS notice_kind, notices.created_at AS told_of_at,
             notices.sent_at AS told_at, notices.provider AS about, notices.detail,
             (SELECT json_group_array(json_object('destination', s.destination, 'tries', s.tries, 'nextAt', s.next_at,
                  'sentAt', s.sent_at, 'gaveUpAt', s.gave_up_at, 'error', s.error))
              FROM notice_sends AS s WHERE s.notice_id = notices.id) AS sends, ",
            job_columns!(),
            " FROM notices LEFT JOIN jobs ON jobs.id = notices.job_id "
        )
    };
}

/// Notices after this one that somebody is still to be told of, oldest first. One whose job was deleted has nothing to
/// tell.
pub(super) async fn unsent(readers: &SqlitePool, after: i64, limit: u32) -> Result<Vec<Notice>, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        notice_columns!(),
        "WHERE notices.sent_at IS NULL AND notices.id > $2 AND (notices.job_id IS NULL OR jobs.id IS NOT NULL)
         ORDER BY notices.id LIMIT $1"
    );
    let rows = sqlx::query(SQL).bind(i64::from(limit)).bind(after).fetch_all(readers).await?;
    Ok(decode::every(&rows, "notices", decode::notice))
}

/// Notices, newest first.
pub(super) async fn list(
    readers: &SqlitePool,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Notice>, StoreError> {
    const SQL: &str =
        concat!("SELECT ", notice_columns!(), "WHERE notices.id < $2 ORDER BY notices.id DESC LIMIT $1");
    let before = before.unwrap_or(i64::MAX);
    let rows = sqlx::query(SQL).bind(i64::from(limit)).bind(before).fetch_all(readers).await?;
    Ok(decode::every(&rows, "notices", decode::notice))
}

/// Takes a try; `false` where it is over, or somebody else's.
pub(super) async fn take(
    writer: &SqlitePool,
    notice: i64,
    destination: &str,
    again: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let taken = sqlx::query(
        "INSERT INTO notice_sends (notice_id, destination, tries, next_at)
         SELECT id, $2, 1, $3 FROM notices WHERE id = $1 AND sent_at IS NULL
         ON CONFLICT DO UPDATE SET tries = tries + 1, next_at = excluded.next_at
         WHERE notice_sends.sent_at IS NULL AND gave_up_at IS NULL
             AND (notice_sends.next_at IS NULL OR notice_sends.next_at <= $4)",
    )
    .bind(notice)
    .bind(destination)
    .bind(to_text(again))
    .bind(to_text(now))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(taken.rows_affected() > 0)
}

/// Writes what a try came to.
pub(super) async fn told(
    writer: &SqlitePool,
    notice: i64,
    destination: &str,
    told: &Told,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (sent, gave_up, again, error) = match told {
        Told::Taken => (Some(to_text(now)), None, None, None),
        Told::NotYet { why, again } => (None, None, Some(to_text(*again)), Some(why)),
        Told::Never(why) => (None, Some(to_text(now)), None, Some(why)),
    };
    let mut tx = writer.begin_with(WRITE).await?;
    sqlx::query(
        "UPDATE notice_sends SET sent_at = $3, gave_up_at = $4, error = $5, next_at = $6
         WHERE notice_id = $1 AND destination = $2",
    )
    .bind(notice)
    .bind(destination)
    .bind(sent)
    .bind(gave_up)
    .bind(error)
    .bind(again)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Marks a notice as one that nobody needs to be told of any more.
pub(super) async fn sent(writer: &SqlitePool, notice: i64, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    sqlx::query("UPDATE notices SET sent_at = $2 WHERE id = $1")
        .bind(notice)
        .bind(to_text(now))
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(())
}

/// Puts a notice into the outbox, once for its topic.
pub(super) async fn announce(
    writer: &SqlitePool,
    notice: &NewNotice,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    let written = sqlx::query(
        "INSERT INTO notices (kind, topic, detail, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (topic) DO NOTHING",
    )
    .bind(notice.kind.as_str())
    .bind(&notice.topic)
    .bind(&notice.detail)
    .bind(to_text(now))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(written.rows_affected() > 0)
}

/// Has a notice told once more; a trigger forgets what became of it.
pub(super) async fn tell_again(writer: &SqlitePool, notice: i64) -> Result<bool, StoreError> {
    let mut tx = writer.begin_with(WRITE).await?;
    sqlx::query("DELETE FROM notice_sends WHERE notice_id = $1").bind(notice).execute(&mut *tx).await?;
    let found =
        sqlx::query("UPDATE notices SET sent_at = NULL WHERE id = $1").bind(notice).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(found.rows_affected() > 0)
}

const NOTIFY: &str = "
    INSERT INTO notices (job_id, kind, created_at)
    SELECT value ->> 0, value ->> 1, $2 FROM json_each($1)";

/// Puts what somebody wants to be told of the ends of runs into the outbox, in the transaction that ends them.
pub(super) async fn of_ends(
    tx: &mut SqliteConnection,
    kept: &[&RunEnd],
    now: Timestamp,
) -> Result<(), StoreError> {
    let told = |end: &&RunEnd| end.notify.map(|kind| json!([end.job, kind]));
    let rows: Vec<Value> = kept.iter().filter_map(told).collect();
    if !rows.is_empty() {
        let rows = Value::Array(rows).to_string();
        sqlx::query(NOTIFY).bind(rows).bind(to_text(now)).execute(tx).await?;
    }
    Ok(())
}

/// A provider's news, in the transaction that changes its health.
pub(super) async fn of_provider(
    tx: &mut SqliteConnection,
    kind: NoticeKind,
    health: &ProviderHealth,
    now: Timestamp,
) -> Result<(), StoreError> {
    let detail = health.last_error.as_ref().filter(|_| kind != NoticeKind::ProviderClosed);
    sqlx::query("INSERT INTO notices (kind, provider, detail, created_at) VALUES ($1, $2, $3, $4)")
        .bind(kind.as_str())
        .bind(health.provider.as_str())
        .bind(detail)
        .bind(to_text(now))
        .execute(tx)
        .await?;
    Ok(())
}
