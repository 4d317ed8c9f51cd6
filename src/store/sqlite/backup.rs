//! A copy of the database while others write to it, verified before it is given its name.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags, renameat_with};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

use super::migrate::{self, refuse_foreign};
use super::open;
use crate::store::error::StoreError;

/// What may stand at a backup's place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is left alone, and there is no backup.
    Kept,
    /// An earlier backup, which the new one takes the place of.
    Replaced,
}

/// A finished backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backup {
    /// Its size in bytes.
    pub bytes: u64,
    /// How many jobs are in it.
    pub jobs: i64,
    /// The number of its schema.
    pub schema: i64,
}

/// Copies the database at `path` to `target`: what was committed when it began, whatever is written meanwhile. The
/// schema is left as it is, so that a newer program can back up before it migrates.
///
/// # Errors
/// When the copy cannot be made or is not good. Nothing stands at `target` then that was not there before.
pub async fn backup(path: &Path, target: &Path, existing: Existing) -> Result<Backup, StoreError> {
    let target = absolute(target)?;
    refuse_target(path, &target, existing)?;
    let draft = Draft::take(&target, mode(path)?)?;
    let source = one_connection(open::options(path)).await?;
    let copied = copy(&source, path, &draft.path).await;
    source.close().await;
    copied.map_err(|error| at_the_draft(error, &draft.path))?;
    // Closed before it is synced and named: nothing of SQLite's stands beside it any more.
    let copy = one_connection(open::options(&draft.path).read_only(true)).await?;
    let verified = verify(&copy).await;
    copy.close().await;
    let (jobs, schema) = verified?;
    let bytes = draft.name(&target, existing).map_err(|error| StoreError::file(&target, error))?;
    Ok(Backup { bytes, jobs, schema })
}

/// The copy while it has no name yet. Its own name is always the same, so that one which was killed leaves no more than
/// one behind; the lock keeps two at once apart.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    fn take(target: &Path, mode: u32) -> Result<Self, StoreError> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(".part");
        let path = target.with_file_name(name);
        let open = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(mode)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path);
        let file = open.map_err(|error| StoreError::file(&path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Busy(format!("another backup to {} is under way", target.display())));
            }
            Err(TryLockError::Error(error)) => return Err(StoreError::file(&path, error)),
        }
        let ready = remove(&journal(&path))
            .and_then(|()| file.set_len(0))
            .and_then(|()| file.set_permissions(Permissions::from_mode(mode)));
        let draft = Self { path, file };
        ready.map_err(|error| StoreError::file(&draft.path, error))?;
        Ok(draft)
    }

    /// Makes the copy durable and gives it its name.
    fn name(&self, target: &Path, existing: Existing) -> io::Result<u64> {
        // SQLite does not sync what it vacuums into.
        self.file.sync_all()?;
        let bytes = self.file.metadata()?.len();
        match existing {
            Existing::Replaced => fs::rename(&self.path, target)?,
            Existing::Kept => match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
                Ok(()) => {}
                // Not every file system knows that; a link refuses an existing name everywhere.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
                    fs::hard_link(&self.path, target)?;
                }
                Err(error) => return Err(error.into()),
            },
        }
        File::open(folder(target))?.sync_all()?;
        Ok(bytes)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // It may have its name already.
        for left in [self.path.clone(), journal(&self.path)] {
            if let Err(error) = remove(&left) {
                tracing::warn!(%error, path = %left.display(), "an unfinished backup stays behind");
            }
        }
    }
}

/// What SQLite keeps beside a file that it is writing, and leaves there where it could not.
fn journal(path: &Path) -> PathBuf {
    let mut journal = path.as_os_str().to_owned();
    journal.push("-journal");
    PathBuf::from(journal)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

async fn copy(source: &SqlitePool, path: &Path, draft: &Path) -> Result<(), StoreError> {
    refuse_foreign(source, path).await?;
    let name = draft.to_str().ok_or_else(|| {
        StoreError::file(draft, io::Error::new(ErrorKind::InvalidFilename, "its name is not UTF-8"))
    })?;
    // One read transaction, which writers do not wait for. Unlike the bytes of the file, the copy needs no log beside it.
    sqlx::query("VACUUM INTO $1").bind(name).execute(source).await?;
    Ok(())
}

/// Whether the copy is a whole database; its jobs and its schema.
async fn verify(copy: &SqlitePool) -> Result<(i64, i64), StoreError> {
    let wrong: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(5)").fetch_all(copy).await?;
    if wrong != ["ok"] {
        return Err(StoreError::Corrupt(format!("integrity_check says: {}", wrong.join("; "))));
    }
    let orphans: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pragma_foreign_key_check").fetch_one(copy).await?;
    if orphans > 0 {
        return Err(StoreError::Corrupt(format!("{orphans} rows name others that are not there")));
    }
    let schema = migrate::version(copy).await?;
    if schema == 0 {
        return Ok((0, 0));
    }
    let jobs = sqlx::query_scalar("SELECT count(*) FROM jobs").fetch_one(copy).await?;
    Ok((jobs, schema))
}

async fn one_connection(options: SqliteConnectOptions) -> Result<SqlitePool, StoreError> {
    Ok(SqlitePoolOptions::new().max_connections(1).connect_with(options).await?)
}

/// While it is copied, a full disk is the copy's and not the database's.
fn at_the_draft(error: StoreError, draft: &Path) -> StoreError {
    match error {
        StoreError::Full => StoreError::file(draft, io::Error::from(ErrorKind::StorageFull)),
        other @ (StoreError::Busy(_)
        | StoreError::Refused { .. }
        | StoreError::NoSuchJob { .. }
        | StoreError::Disk(_)
        | StoreError::Moved { .. }
        | StoreError::Corrupt(_)
        | StoreError::Schema { .. }
        | StoreError::File { .. }
        | StoreError::Other(_)) => other,
    }
}

fn absolute(target: &Path) -> Result<PathBuf, StoreError> {
    let wrong = |error| StoreError::file(target, error);
    if target.file_name().is_none() || target.is_dir() {
        return Err(wrong(io::Error::new(ErrorKind::IsADirectory, "name a file, not a folder")));
    }
    std::path::absolute(target).map_err(wrong)
}

/// A backup over the database itself, or over what belongs to it, would be the end of both.
fn refuse_target(path: &Path, target: &Path, existing: Existing) -> Result<(), StoreError> {
    let refuse =
        |why: &str| Err(StoreError::file(target, io::Error::new(ErrorKind::AlreadyExists, why.to_owned())));
    let own = ["", "-wal", "-shm", "-journal"].map(|suffix| {
        let mut own = path.as_os_str().to_owned();
        own.push(suffix);
        PathBuf::from(own)
    });
    let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
    let there = identity(target);
    if own.iter().any(|own| own == target || (there.is_some() && identity(own) == there)) {
        return refuse("this is the database itself; name another file");
    }
    // By name, so that a link that leads nowhere counts too.
    match (fs::symlink_metadata(target), existing) {
        (Ok(found), Existing::Replaced) if !found.is_file() => {
            refuse("it is no plain file, and is not replaced")
        }
        (Ok(_), Existing::Kept) => refuse("it exists; name another file, or replace it with --force"),
        (Ok(_), Existing::Replaced) | (Err(_), _) => Ok(()),
    }
}

/// The database's mode: who may read the queue may read its backup, and nobody else.
fn mode(path: &Path) -> Result<u32, StoreError> {
    let found = fs::metadata(path).map_err(|error| StoreError::file(path, error))?;
    Ok(found.mode() & 0o660 | 0o600)
}

fn folder(target: &Path) -> &Path {
    target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;

    async fn queue(folder: &Path) -> PathBuf {
        let path = folder.join("backstop.db");
        let (store, _) = SqliteStore::open(&path).await.expect("opens");
        store.close().await;
        path
    }

    #[tokio::test]
    async fn a_copy_that_is_not_whole_gets_no_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = queue(folder.path()).await;
        let spoil = "PRAGMA foreign_keys = OFF; INSERT INTO runs (job_id, number, chain, started_at)
             VALUES (99, 1, '[]', '2026-11-22T13:49:00.000Z')";
        let pool = one_connection(open::options(&path)).await.expect("opens");
        sqlx::raw_sql(spoil).execute(&pool).await.expect("spoiled");
        pool.close().await;
        let target = folder.path().join("copy.db");
        let error = backup(&path, &target, Existing::Kept).await.expect_err("not whole");
        assert!(matches!(error, StoreError::Corrupt(_)), "{error}");
        assert!(!target.exists());
        assert!(!folder.path().join(".copy.db.part").exists(), "nothing is left behind");
    }

    #[tokio::test]
    async fn the_database_is_not_backed_up_onto_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = queue(folder.path()).await;
        let link = folder.path().join("link.db");
        fs::hard_link(&path, &link).expect("linked");
        let log = folder.path().join("backstop.db-wal");
        for target in [&path, &link, &log] {
            let error = backup(&path, target, Existing::Replaced).await.expect_err("itself");
            assert!(error.to_string().contains("the database itself"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_name_that_is_taken_while_the_copy_is_made_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let target = folder.path().join("copy.db");
        let draft = Draft::take(&target, 0o600).expect("a draft");
        fs::write(&target, "mine").expect("written");
        let refused = draft.name(&target, Existing::Kept).expect_err("taken");
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&target).expect("there"), "mine");
        drop(draft);
        assert!(!folder.path().join(".copy.db.part").exists(), "nothing is left behind");
    }

    #[tokio::test]
    async fn two_backups_to_one_name_take_no_turns() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = queue(folder.path()).await;
        let target = folder.path().join("copy.db");
        let first = Draft::take(&target, 0o600).expect("the first");
        let error = backup(&path, &target, Existing::Kept).await.expect_err("the second");
        assert!(error.to_string().contains("under way"), "{error}");
        assert!(first.path.exists(), "the first one's draft is left alone");
        drop(first);
        // What a killed one left is no hindrance.
        fs::write(folder.path().join(".copy.db.part"), "half").expect("written");
        assert_eq!(backup(&path, &target, Existing::Kept).await.expect("a backup").jobs, 0);
    }
}
