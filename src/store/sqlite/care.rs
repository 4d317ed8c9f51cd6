//! The database's own well-being: its log folded back, its files measured, its pulse felt.

use std::fs;
use std::io;
use std::path::Path;

use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use super::open::BUSY_TIMEOUT;
use crate::domain::time::from_text;
use crate::domain::vitals::Disk;
use crate::store::error::StoreError;
use crate::store::{Files, Pulse};

/// Of so many of the newest runs, the one that ended last is looked for: those before have ended long ago.
const RECENT: u32 = 1_000;

/// Folds the write-ahead log into the file, and cuts it to nothing where nobody reads it.
pub(super) async fn fold(writer: &SqlitePool) -> Result<(), StoreError> {
    let mut conn = writer.acquire().await?;
    // What readers leave us is folded without anybody waiting.
    let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)").fetch_one(&mut *conn).await?;
    let (pages, folded): (i64, i64) = (row.try_get(1)?, row.try_get(2)?);
    if pages != folded {
        return Ok(());
    }
    // Cutting waits for readers with the write lock in hand, so that every writer would wait with it: not at all, then.
    set_patience(&mut conn, 0).await?;
    let cut = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut *conn).await;
    set_patience(&mut conn, BUSY_TIMEOUT.as_millis()).await?;
    cut?;
    Ok(())
}

async fn set_patience(conn: &mut SqliteConnection, millis: u128) -> Result<(), StoreError> {
    let sql = sqlx::AssertSqlSafe(format!("PRAGMA busy_timeout = {millis}"));
    sqlx::query(sql).execute(conn).await?;
    Ok(())
}

/// How large the files are, and how full their disk.
pub(super) fn files(path: &Path) -> io::Result<Files> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let database_bytes = fs::metadata(path)?.len();
    // No log is an empty one.
    let log_bytes = fs::metadata(log).map_or(0, |found| found.len());
    let disk = rustix::fs::statvfs(path).ok();
    let disk = disk.map(|found| Disk {
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
    });
    Ok(Files { database_bytes, log_bytes, disk })
}

/// When a run was last opened, and when one last ended.
pub(super) async fn pulse(readers: &SqlitePool) -> Result<Pulse, StoreError> {
    let row = sqlx::query(
        "SELECT (SELECT started_at FROM runs ORDER BY id DESC LIMIT 1),
             (SELECT max(finished_at) FROM (SELECT finished_at FROM runs ORDER BY id DESC LIMIT $1))",
    )
    .bind(RECENT)
    .fetch_one(readers)
    .await?;
    let at = |column: usize| -> Result<_, StoreError> {
        Ok(row.try_get::<Option<String>, _>(column)?.as_deref().and_then(from_text))
    };
    Ok(Pulse { last_claim_at: at(0)?, last_finish_at: at(1)? })
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::store::sqlite::open::open;

    #[tokio::test]
    async fn nobody_waits_for_a_reader_and_the_log_is_cut_when_there_is_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backstop.db");
        let pools = open(&path).await.expect("opens");
        let write = async |sql: &'static str| sqlx::query(sql).execute(&pools.writer).await.expect(sql);
        let log = || files(&path).expect("measured").log_bytes;
        write("CREATE TABLE t (x)").await;
        let mut reader = pools.readers.begin().await.expect("a transaction");
        let read = "SELECT count(*) FROM t";
        sqlx::query_scalar::<_, i64>(read).fetch_one(&mut *reader).await.expect("reads");
        let began = Instant::now();
        // The reader has seen everything; and then it has not.
        for _ in 0..2 {
            fold(&pools.writer).await.expect("folded");
            assert!(log() > 0, "it reads there");
            write("INSERT INTO t VALUES (1)").await;
        }
        assert!(began.elapsed() < BUSY_TIMEOUT / 2, "{:?}", began.elapsed());
        drop(reader);
        fold(&pools.writer).await.expect("folded");
        assert_eq!(log(), 0);
        let patience: i64 =
            sqlx::query_scalar("PRAGMA busy_timeout").fetch_one(&pools.writer).await.expect("told");
        assert_eq!(u128::try_from(patience), Ok(BUSY_TIMEOUT.as_millis()), "as before");
        pools.close().await;
    }
}
