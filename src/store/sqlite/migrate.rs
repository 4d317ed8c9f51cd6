//! Brings a database file to the schema of this program, and refuses files it must not touch.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqlitePool;

use super::open::Pools;
use crate::store::error::StoreError;

/// `PRAGMA application_id` of our files: "BSTP". The first migration sets it.
const APPLICATION_ID: i64 = 0x4253_5450;

/// How long a start waits for another one that is migrating.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);

/// How often it looks.
const LOCK_INTERVAL: Duration = Duration::from_millis(25);

/// Every migration, oldest first. Numbered, forward only, never edited once released.
const FILES: [(i64, &str, &str); 8] = [
    (1, "tables", include_str!("../../../migrations/sqlite/0001_tables.sql")),
    (2, "defences", include_str!("../../../migrations/sqlite/0002_defences.sql")),
    (3, "views", include_str!("../../../migrations/sqlite/0003_views.sql")),
    (4, "budgets", include_str!("../../../migrations/sqlite/0004_budgets.sql")),
    (5, "staged", include_str!("../../../migrations/sqlite/0005_staged.sql")),
    (6, "pace", include_str!("../../../migrations/sqlite/0006_pace.sql")),
    (9, "idempotency", include_str!("../../../migrations/sqlite/0009_idempotency.sql")),
    (10, "page", include_str!("../../../migrations/sqlite/0010_page.sql")),
];

/// What a migration came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migrated {
    /// The schema's number before; 0 for an empty file.
    pub from: i64,
    /// The schema's number now.
    pub to: i64,
}

/// The number of the schema that this program works with.
#[must_use]
pub fn newest() -> i64 {
    FILES.iter().map(|(number, ..)| *number).max().unwrap_or(0)
}

/// Applies what is missing. Safe when two processes start at once: the second waits and finds nothing to do.
///
/// # Errors
/// When the file belongs to another program or to a newer Backstop, when a released migration was edited, or
/// when the database fails.
pub async fn migrate(pools: &Pools, path: &Path) -> Result<Migrated, StoreError> {
    let lock = StartLock::take(path).await?;
    refuse_foreign(&pools.writer, path).await?;
    let from = version(&pools.writer).await?;
    let to = newest();
    if from > to {
        return Err(StoreError::schema(format!(
            "{} has schema {from}, and this program knows schemas up to {to}; it was written by a newer \
             Backstop, so start that one",
            path.display()
        )));
    }
    // The migrator must be given the pool: on a connection it cannot be spawned.
    migrator().run(&pools.writer).await.map_err(|error| explain(&error, path))?;
    drop(lock);
    Ok(Migrated { from, to })
}

/// The number of the schema in the file; 0 for an empty one.
///
/// # Errors
/// When the database fails.
pub async fn version(pool: &SqlitePool) -> Result<i64, StoreError> {
    let has_table = "SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    if sqlx::query_scalar::<_, i64>(has_table).fetch_one(pool).await? == 0 {
        return Ok(0);
    }
    let newest = "SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success";
    Ok(sqlx::query_scalar(newest).fetch_one(pool).await?)
}

/// Refuses a file that holds another program's tables: nothing of it is changed.
pub(super) async fn refuse_foreign(pool: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let id: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(pool).await?;
    if id == APPLICATION_ID {
        return Ok(());
    }
    // A start that died before its first migration leaves the migrator's own table behind.
    let tables = "SELECT count(*) FROM sqlite_schema WHERE tbl_name <> '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(tables).fetch_one(pool).await?;
    if id == 0 && tables == 0 {
        return Ok(());
    }
    Err(StoreError::schema(format!(
        "{} is a database of another program, not a Backstop queue; name another file",
        path.display()
    )))
}

fn migrator() -> Migrator {
    let migration = |(number, name, sql): (i64, &'static str, &'static str)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(FILES.into_iter().map(migration).collect())
}

fn explain(error: &MigrateError, path: &Path) -> StoreError {
    StoreError::schema(format!("{} could not be brought to schema {}: {error}", path.display(), newest()))
}

/// Held by whoever changes the file's form; SQLite's own locks do not cover a whole migration. It is freed when
/// dropped, and by the system when its process dies. The file stays: removing it would let two in.
#[derive(Debug)]
pub(super) struct StartLock {
    /// Open for as long as the lock is held.
    _file: File,
}

impl StartLock {
    /// Waits for the lock of the database at `path`, for a bounded time.
    pub(super) async fn take(path: &Path) -> Result<Self, StoreError> {
        let path = lock_path(path);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|error| StoreError::file(&path, error))?;
        let mut waited = Duration::ZERO;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if waited < LOCK_PATIENCE => {
                    tokio::time::sleep(LOCK_INTERVAL).await;
                    waited += LOCK_INTERVAL;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(StoreError::Busy(format!("another start holds {}", path.display())));
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::file(&path, error)),
            }
        }
    }
}

fn lock_path(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".migrate-lock");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::super::open;
    use super::*;

    #[tokio::test]
    async fn a_file_of_before_budgets_keeps_its_rows_and_counts_the_calls_under_way() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backstop.db");
        let pools = open::open(&path).await.expect("opens");
        let released = FILES.into_iter().take(3).map(|(number, name, sql)| {
            Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        Migrator::with_migrations(released.collect()).run(&pools.writer).await.expect("migrates");
        for sql in [
            "INSERT INTO assets (name, medium, chain, max_runs, give_up_after, on_exhausted, updated_at)
             VALUES ('hero-image', 'image', '[\"lummi\"]', 3, 3600, 'manual', '2026')",
            "INSERT INTO jobs (asset, slug) VALUES ('hero-image', 's')",
            "INSERT INTO runs (job_id, number, chain, started_at) VALUES (1, 1, '[\"lummi\"]', '2026')",
            "INSERT INTO attempts (run_id, job_id, position, provider, status, cost_micros, started_at)
             VALUES (1, 1, 0, 'house', 'failed', 9, '2026-11-24T10:00:00.000Z'),
                    (1, 1, 1, 'house', 'started', 0, '2026-11-24T10:00:00.000Z')",
        ] {
            sqlx::query(sql).execute(&pools.writer).await.expect(sql);
        }
        let migrated = migrate(&pools, &path).await.expect("migrates");
        assert_eq!(migrated, Migrated { from: 3, to: newest() });
        let settle = "UPDATE attempts SET status = 'delivered', cost_micros = 5 WHERE status = 'started'";
        sqlx::query(settle).execute(&pools.writer).await.expect(settle);
        let counters = "SELECT group_concat(scope || ' ' || period || ' ' || reserved_micros || ' ' || spent_micros, ', ')
            FROM (SELECT * FROM spending ORDER BY scope, period)";
        let found: String = sqlx::query_scalar(counters).fetch_one(&pools.readers).await.expect(counters);
        let expected =
            "asset 2026-11 0 5, asset 2026-11-24 0 5, provider 2026-11 0 5, provider 2026-11-24 0 5";
        assert_eq!(found, expected);
        pools.close().await;
    }

    #[tokio::test]
    async fn days_before_the_page_are_counted_as_well_as_the_jobs_tell() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backstop.db");
        let pools = open::open(&path).await.expect("opens");
        let released = FILES.into_iter().filter(|(number, ..)| *number < 10).map(|(number, name, sql)| {
            Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        Migrator::with_migrations(released.collect()).run(&pools.writer).await.expect("migrates");
        let end = "lease_token = NULL, lease_until = NULL, finished_at = '2026-11-20T10:00:00.000Z'";
        for sql in [
            "INSERT INTO assets (name, medium, chain, max_runs, give_up_after, on_exhausted, updated_at)
             VALUES ('hero-image', 'image', '[\"lummi\"]', 3, 3600, 'manual', '2026')",
            "INSERT INTO jobs (asset, slug) VALUES ('hero-image', 'a'), ('hero-image', 'b'), ('hero-image', 'c'),
             ('hero-image', 'd')",
            "UPDATE jobs SET status = 'running', lease_token = 'a token of one daemon', lease_until = '2199-01-01T00:00:00.000Z' WHERE id < 4",
            &format!(
                "UPDATE jobs SET status = 'done', url = 'https://e.example/a.png', provider = 'lummi',
                 fallback_used = id - 1, {end} WHERE id < 3"
            ),
            &format!("UPDATE jobs SET status = 'manual', {end} WHERE id = 3"),
        ] {
            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            sqlx::query(sql).execute(&pools.writer).await.expect("written");
        }
        migrate(&pools, &path).await.expect("migrates");
        let told = "SELECT group_concat(day || ' ' || outcome || ' ' || count, ', ')
            FROM (SELECT * FROM outcomes ORDER BY outcome)";
        let found: String = sqlx::query_scalar(told).fetch_one(&pools.readers).await.expect(told);
        assert_eq!(found, "2026-11-20 fallback 1, 2026-11-20 manual 1, 2026-11-20 primary 1");
        pools.close().await;
    }
}
