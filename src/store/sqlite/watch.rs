//! Sees cheaply whether somebody has written to the database.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::open::identity;
use crate::store::error::StoreError;

/// The database is asked at least at every so many looks, whatever the file says: a write may fall into the
/// same tick of the file system's clock as the look before it.
const NET: u32 = 20;

/// A connection that only reads `PRAGMA data_version`, the truth; and what the write-ahead log looked like when it last
/// did, a hint that costs a hundredth of it.
pub(super) struct Watch {
    connection: SqlitePool,
    path: PathBuf,
    file: Option<(u64, u64)>,
    log: PathBuf,
    seen: Mutex<Seen>,
}

#[derive(Clone, Copy, Default)]
struct Seen {
    stamp: Option<Stamp>,
    version: i64,
    looks: u32,
}

/// What changes when the log is written to: its identity, size and time of change.
type Stamp = (u64, u64, i64, i64);

impl Watch {
    pub(super) async fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(SqliteConnectOptions::new().filename(path).read_only(true))
            .await?;
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Ok(Self {
            connection,
            path: path.to_owned(),
            file: identity(path),
            log: PathBuf::from(log),
            seen: Mutex::default(),
        })
    }

    /// The database's version; from memory where the log has not changed since it was read.
    pub(super) async fn version(&self) -> Result<i64, StoreError> {
        // The stamp is taken before the version: what is written in between is seen at the next look.
        let stamp = stamp(&self.log);
        if let Some(version) = self.remembered(stamp) {
            return Ok(version);
        }
        // A file that is there no more is still written to, and nobody would ever see it.
        if self.file.is_some() && identity(&self.path) != self.file {
            return Err(StoreError::Moved { path: self.path.clone() });
        }
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&self.connection).await?;
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen { stamp, version, looks: 0 };
        Ok(version)
    }

    pub(super) async fn close(&self) {
        self.connection.close().await;
    }

    fn remembered(&self, stamp: Option<Stamp>) -> Option<i64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.looks += 1;
        let holds = stamp.is_some() && seen.stamp == stamp && seen.looks < NET;
        holds.then_some(seen.version)
    }
}

fn stamp(log: &Path) -> Option<Stamp> {
    let found = fs::metadata(log).ok()?;
    Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::open::open;

    #[tokio::test]
    async fn a_write_of_another_connection_changes_the_version_and_nothing_else_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backstop.db");
        let pools = open(&path).await.expect("opens");
        sqlx::query("CREATE TABLE t (x)").execute(&pools.writer).await.expect("writes");
        let watch = Watch::open(&path).await.expect("watches");
        let first = watch.version().await.expect("reads");
        for _ in 0..NET * 2 {
            assert_eq!(watch.version().await.expect("reads"), first);
        }
        sqlx::query("INSERT INTO t VALUES (1)").execute(&pools.writer).await.expect("writes");
        let mut seen = first;
        for _ in 0..NET {
            seen = watch.version().await.expect("reads");
        }
        assert_ne!(seen, first, "seen within {NET} looks even if the file's clock stood still");
        std::fs::rename(&path, folder.path().join("elsewhere.db")).expect("moves");
        let moved = async {
            for _ in 0..=NET {
                watch.version().await?;
            }
            Ok::<(), StoreError>(())
        };
        assert!(matches!(moved.await, Err(StoreError::Moved { .. })));
        watch.close().await;
        pools.close().await;
    }
}
