//! Who this worker is, and whether another one is certainly dead.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
    /// Makes the lock file in `folder` and locks it.
    ///
    /// # Errors
    /// When the folder cannot be written or the file cannot be locked.
    pub fn enlist(folder: &Path) -> io::Result<Self> {
        let name = format!(".backstop-worker-{}.lock", uuid::Uuid::new_v4().simple());
        let path = fs::canonicalize(folder)?.join(name);
        let lock = OpenOptions::new().write(true).create_new(true).open(&path)?;
        lock.lock()?;
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

/// Whether the worker that a lease names is certainly dead: it ran since this boot, its very lock file is still
/// there, and nobody holds the lock. The file is then taken away. Everything else means: wait.
#[must_use]
pub fn is_certainly_dead(owner: &str) -> bool {
    let Ok(owner) = serde_json::from_str::<Owner>(owner) else { return false };
    if owner.boot.is_empty() || owner.boot != boot_id() {
        return false;
    }
    let looks_ours = owner.lock.file_name().and_then(|name| name.to_str()).is_some_and(|name| {
        name.starts_with(".backstop-worker-") && Path::new(name).extension().is_some_and(|end| end == "lock")
    });
    // A row must not make us open, let alone remove, any other file.
    if !looks_ours {
        return false;
    }
    let Ok(file) = OpenOptions::new().write(true).open(&owner.lock) else { return false };
    let same = file.metadata().is_ok_and(|found| found.dev() == owner.dev && found.ino() == owner.ino);
    if !same {
        return false;
    }
    match file.try_lock() {
        Ok(()) => {
            if let Err(error) = fs::remove_file(&owner.lock) {
                tracing::debug!(%error, "a dead worker's lock file stays behind");
            }
            true
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
    }
}

/// The kernel's name for this boot; empty where there is none to read.
fn boot_id() -> String {
    fs::read_to_string(BOOT_ID).map(|text| text.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_worker_whose_lock_can_be_had_is_dead() {
        let folder = tempfile::tempdir().expect("a folder");
        let worker = Worker::enlist(folder.path()).expect("enlists");
        let owner = worker.owner().to_owned();
        assert!(!is_certainly_dead(&owner), "it lives");
        drop(worker);
        let elsewhere = owner.replace("\"boot\":\"", "\"boot\":\"x");
        assert!(!is_certainly_dead(&elsewhere), "another boot");
        let other_file = owner.replace("\"ino\":", "\"ino\":1");
        assert!(!is_certainly_dead(&other_file), "another file");
        assert!(is_certainly_dead(&owner));
        assert!(!is_certainly_dead(&owner), "a missing file means wait");
        assert!(!is_certainly_dead("not json"));
    }

    #[test]
    fn a_row_cannot_name_any_file_as_a_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("precious");
        fs::write(&path, "keep").expect("written");
        let found = fs::metadata(&path).expect("there");
        let owner = Owner { boot: boot_id(), lock: path.clone(), dev: found.dev(), ino: found.ino(), pid: 1 };
        assert!(!is_certainly_dead(&serde_json::to_string(&owner).expect("json")));
        assert!(path.exists());
    }
}
