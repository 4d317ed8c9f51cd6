//! Opens the database file: one connection that writes, a few that read, and the settings both rely on.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};

use super::migrate::{StartLock, refuse_foreign};
use crate::store::error::StoreError;

/// Connections that read; the daemon's own reads are few, the others are people's.
const READERS: u32 = 4;

/// How long a statement waits for somebody else's lock.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The writer's page cache, in KiB with a minus sign: what a batch of a thousand jobs touches in a queue of millions.
/// Memory is taken only as it is used.
const WRITER_CACHE: &str = "-16384";

/// For its owner and the group, less the umask: the queue holds prompts, which are nobody else's to read.
const FILE_MODE: u32 = 0o660;

/// What the write-ahead log is cut back to after a checkpoint, in bytes.
const WAL_LIMIT: &str = "67108864";

/// The first release without the bug that could damage a database when a checkpoint met a writer
/// (<https://sqlite.org/wal.html#walresetbug>).
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// The connections to one database file.
#[derive(Debug, Clone)]
pub struct Pools {
    /// The only connection that writes; every transaction on it begins with `BEGIN IMMEDIATE`.
    pub writer: SqlitePool,
    /// Connections that cannot write.
    pub readers: SqlitePool,
    path: PathBuf,
    /// Which file was opened, whatever lies at its path by now.
    file: Option<Identity>,
}

/// A file's device and number.
pub(super) type Identity = (u64, u64);

/// Which file lies at a path.
pub(super) fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

impl Pools {
    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Closes every connection; the last one folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        // The log of a file that was replaced would be folded into the one that took its place, and spoil it.
        if identity(&self.path) != self.file {
            return;
        }
        if let Err(error) = fold_log(&self.path).await {
            tracing::debug!(%error, "the write-ahead log stays beside the database");
        }
    }
}

/// Opens the database at `path`, and makes an empty one where there is none. The schema is
/// [`migrate`](super::migrate::migrate)'s.
///
/// # Errors
/// When the file cannot be opened, belongs to another program, or does not support a write-ahead log.
pub async fn open(path: &Path) -> Result<Pools, StoreError> {
    create_if_missing(path)?;
    let options = options(path);
    let suspect = Arc::new(AtomicBool::new(false));
    let suspected = Arc::clone(&suspect);
    let (own, first) = (path.to_owned(), OnceLock::<Identity>::new());
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_connect(move |conn, _| {
            let found = identity(&own);
            let same = found.is_none_or(|found| *first.get_or_init(|| found) == found);
            let suspected = Arc::clone(&suspected);
            Box::pin(async move { if same { check(conn, suspected).await } else { Err(moved()) } })
        })
        .after_release(move |conn, _| Box::pin(is_sound(conn, Arc::clone(&suspect))))
        .connect_with(options.clone().pragma("cache_size", WRITER_CACHE))
        .await?;
    refuse_old_sqlite(&writer).await?;
    refuse_foreign(&writer, path).await?;
    use_wal(&writer, path).await?;
    forget_statistics(&writer).await?;
    let file = identity(path);
    let place = path.to_owned();
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .after_connect(move |_, _| {
            // They are opened as they are needed: not one of another file, with the log of this one.
            let same = identity(&place) == file;
            Box::pin(async move { if same { Ok(()) } else { Err(moved()) } })
        })
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_with(options.read_only(true).pragma("query_only", "ON"))
        .await?;
    Ok(Pools { writer, readers, path: path.to_owned(), file })
}

fn moved() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::other("the database's file was moved or replaced"))
}

/// A full disk or one that fails ends a transaction by itself. The rollback that comes after finds none, and the
/// connection would count as within one for ever: it is replaced by another, which is suspect.
async fn is_sound(conn: &mut SqliteConnection, suspect: Arc<AtomicBool>) -> Result<bool, sqlx::Error> {
    if conn.is_in_transaction() {
        // Waits for a rollback that is under way.
        conn.ping().await?;
    }
    suspect.fetch_or(conn.is_in_transaction(), Ordering::Relaxed);
    Ok(!suspect.load(Ordering::Relaxed))
}

/// Where a file cannot be opened for writing, SQLite opens it for reading and says nothing; the connection would not
/// write when the disk is mended either. One that was opened in such trouble is replaced until there is one that writes.
async fn check(conn: &mut SqliteConnection, suspect: Arc<AtomicBool>) -> Result<(), sqlx::Error> {
    if suspect.load(Ordering::Relaxed) {
        suspect.store(is_read_only(conn).await, Ordering::Relaxed);
    }
    Ok(())
}

/// Asks for the right to write, and has nothing to write where vacuuming is not incremental.
async fn is_read_only(conn: &mut SqliteConnection) -> bool {
    let asked = sqlx::query("PRAGMA incremental_vacuum(1)").execute(conn).await;
    matches!(asked.map_err(StoreError::from), Err(StoreError::Disk(_)))
}

/// SQLite folds the log into the file when the last connection closes, if that one can write. A reader's handle may
/// be let go of a moment after the writer's, and then nobody did.
async fn fold_log(path: &Path) -> Result<(), sqlx::Error> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if !Path::new(&log).exists() {
        return Ok(());
    }
    let mut last = options(path).connect().await?;
    sqlx::query("PRAGMA schema_version").execute(&mut last).await?;
    last.close().await
}

pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    // No journal mode here: it would be set before we know whose file this is.
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("mmap_size", "0")
        .pragma("journal_size_limit", WAL_LIMIT)
        .disable_statement_logging()
}

/// SQLite would create the file without write permission for the group, whatever the umask says, and then no
/// member of the group could enqueue. An existing file is not touched: closing a second descriptor of it would
/// drop the locks this process holds.
fn create_if_missing(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::file(path, error)),
    }
}

async fn refuse_old_sqlite(pool: &SqlitePool) -> Result<(), StoreError> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(pool).await?;
    if parse_version(&version).is_some_and(|found| found >= OLDEST_SQLITE) {
        return Ok(());
    }
    let (major, minor, patch) = OLDEST_SQLITE;
    Err(StoreError::Other(format!(
        "this program was built with SQLite {version}, which can damage a database; build it with \
         {major}.{minor}.{patch} or later"
    )))
}

/// Statistics are a snapshot, and a queue's tables are full at noon and empty at night: taken at the wrong moment, they
/// make the planner scan a million rows where it should look up one. The statements are written for the plans that
/// SQLite makes without any, so those that somebody's ANALYZE left are thrown away.
async fn forget_statistics(writer: &SqlitePool) -> Result<(), StoreError> {
    let table = "SELECT count(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'";
    if sqlx::query_scalar::<_, i64>(table).fetch_one(writer).await? == 0 {
        return Ok(());
    }
    let rows = "SELECT count(*) FROM sqlite_stat1";
    if sqlx::query_scalar::<_, i64>(rows).fetch_one(writer).await? > 0 {
        sqlx::query("DELETE FROM sqlite_stat1").execute(writer).await?;
        // Makes this connection, too, forget what it has read.
        sqlx::query("ANALYZE sqlite_schema").execute(writer).await?;
    }
    Ok(())
}

fn parse_version(text: &str) -> Option<(u32, u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
    Some((parts.next()??, parts.next()??, parts.next()??))
}

/// The write-ahead log is a property of the file. Turning it on needs the file for oneself and does not wait
/// for it, so two first starts take turns.
async fn use_wal(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let mode = |sql: &'static str| sqlx::query_scalar::<_, String>(sql).fetch_one(writer);
    if mode("PRAGMA journal_mode").await? == "wal" {
        return Ok(());
    }
    let lock = StartLock::take(path).await?;
    let found = mode("PRAGMA journal_mode = WAL").await?;
    drop(lock);
    if found == "wal" {
        return Ok(());
    }
    Err(StoreError::Other(format!(
        "{} cannot keep a write-ahead log (its journal mode stays \"{found}\"); move it to a local disk",
        path.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let recent = |text: &str| parse_version(text).is_some_and(|found| found >= OLDEST_SQLITE);
        for good in ["3.51.3", "3.51.10", "3.52.0", "4.0.0"] {
            assert!(recent(good), "{good}");
        }
        for bad in ["3.51.2", "3.9.9", "3.40.1", "", "3.51"] {
            assert!(!recent(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_database_is_opened_with_the_settings_the_rest_relies_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let pools = open(&folder.path().join("backstop.db")).await.expect("opens");
        let check = async |pool: &SqlitePool, sql: &'static str, expected: i64| {
            let found: i64 = sqlx::query_scalar(sql).fetch_one(pool).await.expect(sql);
            assert_eq!(found, expected, "{sql}");
        };
        for pool in [&pools.writer, &pools.readers] {
            check(pool, "PRAGMA foreign_keys", 1).await;
            check(pool, "PRAGMA trusted_schema", 0).await;
            check(pool, "PRAGMA synchronous", 2).await;
            check(pool, "PRAGMA busy_timeout", 5000).await;
        }
        let write = "CREATE TABLE t (x)";
        assert!(sqlx::query(write).execute(&pools.readers).await.is_err(), "a reader cannot write");
        assert!(sqlx::query(write).execute(&pools.writer).await.is_ok());
        pools.close().await;
    }

    #[tokio::test]
    async fn a_new_database_is_not_for_everybody_to_read() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backstop.db");
        open(&path).await.expect("opens").close().await;
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o007, 0, "{mode:o}");
        assert_eq!(mode & 0o600, 0o600, "{mode:o}");
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = open(&folder.path().join("no/backstop.db")).await.expect_err("nothing to open");
        assert!(error.to_string().contains("no/backstop.db"), "{error}");
    }
}
