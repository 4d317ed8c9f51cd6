//! Who this worker is, and whether another one is certainly dead.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

const LOCK_PREFIX: &str = ".backstop-worker-";
const LOCK_SUFFIX: &str = ".lock";

/// How often a lock file is made that somebody takes away.
const MOST_TRIES: u32 = 8;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// This worker: a lock file that is held as long as the process lives, and the words that name it in leases.
pub struct Worker {
    owner: String,
    path: PathBuf,
    /// Holds the lock; the kernel lets go of it when the process dies, however it dies.
    lock: File,
}

/// What a lease says of its owner.
#[derive(Debug, Serialize, Deserialize)]
struct Owner {
    boot: String,
    lock: PathBuf,
    dev: u64,
    ino: u64,
    pid: u32,
}

impl Worker {
    /// Makes a lock file of this name in `folder` and locks it. Nobody may have had the name before.
    ///
    /// # Errors
    /// When the folder cannot be written or the file cannot be locked.
    pub fn enlist(folder: &Path, name: &str) -> io::Result<Self> {
        let name = format!("{LOCK_PREFIX}{name}{LOCK_SUFFIX}");
        let path = fs::canonicalize(folder)?.join(name);
        let lock = Self::lock(&path)?;
        let found = lock.metadata()?;
        let owner = Owner {
            boot: boot_id(),
            lock: path.clone(),
            dev: found.dev(),
            ino: found.ino(),
            pid: std::process::id(),
        };
        Ok(Self { owner: serde_json::to_string(&owner)?, path, lock })
    }

    /// Makes the file and locks it. Between the two somebody who looks for dead workers may take it for one's and bury
    /// it: then it is made once more.
    fn lock(path: &Path) -> io::Result<File> {
        for _ in 1..MOST_TRIES {
            let lock = OpenOptions::new().write(true).create_new(true).open(path)?;
            lock.lock()?;
            if is_at(&lock, path) {
                return Ok(lock);
            }
        }
        Err(io::Error::other(format!("{} is taken away as soon as it is made", path.display())))
    }

    /// The folder of the lock files, as this worker was given it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// How leases name this worker.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Takes the lock file away at a clean end.
    pub fn dismiss(&self) {
        if let Err(error) = fs::remove_file(&self.path).and_then(|()| self.lock.unlock()) {
            tracing::debug!(%error, path = %self.path.display(), "the worker's lock file stays behind");
        }
    }
}

/// The lock file of a worker that is certainly dead, in our hands.
pub struct Remains {
    path: PathBuf,
    /// Nobody else looks into this death while it is held.
    lock: File,
}

impl Remains {
    /// Takes the file away. It is the only proof of the death, so what it is to prove must be written first: whoever
    /// is killed before leaves it to the next one.
    pub fn bury(self) {
        // Whoever came first has buried it, and the name may be another's by now.
        if !is_at(&self.lock, &self.path) {
            return;
        }
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "a dead worker's lock file stays behind");
        }
    }

    /// Whether a lease names the worker whose these are.
    #[must_use]
    pub fn are_of(&self, owner: &str) -> bool {
        let Ok(owner) = serde_json::from_str::<Owner>(owner) else { return false };
        // A name that another machine or an earlier boot wrote says nothing of what is locked here.
        let here = !owner.boot.is_empty() && owner.boot == boot_id();
        // The number of a file that is gone is soon another's; its name never is.
        let named = owner.lock.file_name().is_some() && owner.lock.file_name() == self.path.file_name();
        let same = |found: Metadata| found.dev() == owner.dev && found.ino() == owner.ino;
        here && named && self.lock.metadata().is_ok_and(same)
    }
}

/// The remains of all workers in `folder` that are certainly dead, whether a lease names them or not: those that were
/// killed without a job in hand are named by none. At most `limit`. A database with a write-ahead log is one machine's, and so are
/// the workers beside it: a lock that can be had here is held by nobody who lives.
///
/// # Errors
/// When the folder cannot be read.
pub fn remains(folder: &Path, limit: usize) -> io::Result<Vec<Remains>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !entry.file_name().to_str().is_some_and(is_lock) || !entry.file_type()?.is_file() {
            continue;
        }
        let path = entry.path();
        // One that has just gone is nobody's any more.
        let Ok(lock) = open_lock(&path) else { continue };
        if lock.try_lock().is_ok() && is_at(&lock, &path) {
            found.push(Remains { path, lock });
        }
        if found.len() >= limit {
            break;
        }
    }
    Ok(found)
}

/// How many workers live that have their lock files in `folder`. Nothing is changed: who finds a dead one here leaves it
/// to the next daemon.
///
/// # Errors
/// When the folder cannot be read.
pub fn living(folder: &Path) -> io::Result<usize> {
    let mut living = 0;
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if !name.to_str().is_some_and(is_lock) {
            continue;
        }
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(folder.join(&name));
        // One that has just gone, or that is no file, is no worker.
        let Ok(file) = opened else { continue };
        let held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        living += usize::from(held);
    }
    Ok(living)
}

fn is_lock(name: &str) -> bool {
    name.starts_with(LOCK_PREFIX) && name.ends_with(LOCK_SUFFIX)
}

/// Who may write the database may write this folder: a link is not followed, and a pipe is not waited for.
fn open_lock(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().write(true).custom_flags(flags).open(path)
}

/// Whether this very file is the one of that name.
fn is_at(file: &File, path: &Path) -> bool {
    let (held, named) = (file.metadata(), fs::symlink_metadata(path));
    held.is_ok_and(|held| named.is_ok_and(|named| (held.dev(), held.ino()) == (named.dev(), named.ino())))
}

/// The kernel's name for this boot; empty where there is none to read.
fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_certainly_dead(owner: &str, folder: &Path) -> bool {
        remains_of(owner, folder).is_some()
    }

    fn remains_of(owner: &str, folder: &Path) -> Option<Remains> {
        all_remains(folder).into_iter().find(|remains| remains.are_of(owner))
    }

    fn all_remains(folder: &Path) -> Vec<Remains> {
        remains(folder, 10).expect("read")
    }

    #[test]
    fn only_a_worker_whose_lock_can_be_had_is_dead() {
        let folder = tempfile::tempdir().expect("a folder");
        let worker = Worker::enlist(folder.path(), "a").expect("enlists");
        let owner = worker.owner().to_owned();
        assert!(!is_certainly_dead(&owner, folder.path()), "it lives");
        assert_eq!(living(folder.path()).expect("read"), 1);
        drop(worker);
        assert_eq!(living(folder.path()).expect("read"), 0);
        let elsewhere = owner.replace("\"boot\":\"", "\"boot\":\"x");
        assert!(!is_certainly_dead(&elsewhere, folder.path()), "another boot");
        let other_file = owner.replace("\"ino\":", "\"ino\":1");
        assert!(!is_certainly_dead(&other_file, folder.path()), "another file");
        let found = remains_of(&owner, folder.path()).expect("dead");
        assert!(!is_certainly_dead(&owner, folder.path()), "another one is looking into it");
        drop(found);
        remains_of(&owner, folder.path()).expect("who died over it leaves the proof behind").bury();
        assert!(!is_certainly_dead(&owner, folder.path()), "a missing file means wait");
        assert!(!is_certainly_dead("not json", folder.path()));
    }

    #[test]
    fn the_dead_are_found_without_a_lease_and_the_living_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let enlist = |name| Worker::enlist(folder.path(), name).expect("enlists");
        let (living, dead, other) = (enlist("living"), enlist("dead"), enlist("other"));
        let (owner, others) = (dead.owner().to_owned(), other.owner().to_owned());
        drop((dead, other));
        fs::write(folder.path().join("backstop.db"), "keep").expect("written");
        fs::create_dir(folder.path().join(".backstop-worker-folder.lock")).expect("made");
        assert_eq!(remains(folder.path(), 1).expect("read").len(), 1, "no more than asked for");
        let found = all_remains(folder.path());
        assert_eq!(found.len(), 2);
        assert!(all_remains(folder.path()).is_empty(), "another one is looking into it");
        for remains in found {
            assert!(!remains.are_of(living.owner()));
            if remains.are_of(&owner) {
                assert!(!remains.are_of(&others));
                remains.bury();
            }
        }
        assert!(!is_certainly_dead(&owner, folder.path()), "buried");
        assert!(is_certainly_dead(&others, folder.path()), "its proof is kept");
        assert!(living.path.exists());
    }

    #[test]
    fn who_comes_late_to_a_funeral_buries_nobody_else() {
        let folder = tempfile::tempdir().expect("a folder");
        drop(Worker::enlist(folder.path(), "a").expect("enlists"));
        let found = all_remains(folder.path()).remove(0);
        fs::remove_file(&found.path).expect("another one was first");
        let living = Worker::enlist(folder.path(), "a").expect("the name is free again");
        found.bury();
        assert!(living.path.exists());
    }

    #[test]
    fn a_row_cannot_name_any_file_as_a_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("precious");
        fs::write(&path, "keep").expect("written");
        let found = fs::metadata(&path).expect("there");
        let owner = Owner { boot: boot_id(), lock: path.clone(), dev: found.dev(), ino: found.ino(), pid: 1 };
        assert!(!is_certainly_dead(&serde_json::to_string(&owner).expect("json"), folder.path()));
        assert!(path.exists());
    }

    fn named(lock: &Path) -> String {
        let found = fs::symlink_metadata(lock).expect("there");
        let owner =
            Owner { boot: boot_id(), lock: lock.to_owned(), dev: found.dev(), ino: found.ino(), pid: 1 };
        serde_json::to_string(&owner).expect("json")
    }

    #[test]
    fn neither_a_pipe_nor_a_link_nor_another_folder_is_opened() {
        let (folder, other) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let pipe = folder.path().join(".backstop-worker-a.lock");
        let mode = rustix::fs::Mode::from_raw_mode(0o666);
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).expect("a pipe");
        assert!(!is_certainly_dead(&named(&pipe), folder.path()), "nobody reads it, and this returns");

        let precious = other.path().join(".backstop-worker-b.lock");
        fs::write(&precious, "keep").expect("written");
        assert!(!is_certainly_dead(&named(&precious), folder.path()), "another folder's");
        let link = folder.path().join(".backstop-worker-b.lock");
        std::os::unix::fs::symlink(&precious, &link).expect("linked");
        assert!(!is_certainly_dead(&named(&precious), folder.path()), "by a link");
        assert!(precious.exists() && link.exists());
    }
}
