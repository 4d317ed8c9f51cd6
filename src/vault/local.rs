//! A vault that is a folder on this machine.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, OFlags, linkat};
use tempfile::TempPath;
use url::Url;

use crate::domain::time::Timestamp;
use crate::domain::vitals::Disk;

use super::{Facts, Kept, Vault, VaultError, VaultKey};

/// What the vault asks for a new file; the process's umask takes away from it. Without this, temporary
/// files are for their owner alone, and a web server in the vault's group could not read what was
/// delivered.
const FILE_MODE: u32 = 0o666;

/// A folder with one folder per asset in it.
#[derive(Debug, Clone)]
pub struct LocalVault {
    root: PathBuf,
    public_url: Option<Url>,
    file_mode: u32,
}

impl LocalVault {
    /// Opens the vault, making its folder where there is none. Delivered files are found under
    /// `public_url`, if one is given, by their key.
    ///
    /// # Errors
    /// When the folder cannot be made or reached, or `public_url` cannot have a path.
    pub fn open(root: &Path, public_url: Option<Url>) -> Result<Self, VaultError> {
        if let Some(url) = public_url.as_ref().filter(|url| url.cannot_be_a_base()) {
            return Err(VaultError::PublicUrl { url: url.to_string() });
        }
        std::fs::create_dir_all(root).map_err(|e| io_error("create the vault's folder", root, e))?;
        let root = root.canonicalize().map_err(|e| io_error("reach the vault's folder", root, e))?;
        Ok(Self { root, public_url, file_mode: FILE_MODE })
    }

    /// Opens a folder for this process's user alone, making it where there is none: for outputs that wait for the
    /// real vault.
    ///
    /// # Errors
    /// When it cannot be made, or somebody else could write in it.
    pub fn private(root: &Path) -> Result<Self, VaultError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.map_err(|e| io_error("create", root, e))?;
        let found = std::fs::symlink_metadata(root).map_err(|e| io_error("reach", root, e))?;
        let own = found.is_dir() && found.uid() == rustix::process::geteuid().as_raw();
        if !own || found.mode() & 0o077 != 0 {
            let source = io::Error::new(ErrorKind::PermissionDenied, "it is not this user's alone");
            return Err(io_error("use", root, source));
        }
        Ok(Self { file_mode: 0o600, ..Self::open(root, None)? })
    }

    /// The folder, by its real path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn url(&self, key: &VaultKey, path: &Path) -> String {
        let mut url = match &self.public_url {
            Some(base) => base.clone(),
            // The path is absolute, because the root is canonical.
            None => {
                return Url::from_file_path(path)
                    .map_or_else(|()| format!("file://{}", path.display()), String::from);
            }
        };
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(key.folder()).push(key.file());
        }
        url.into()
    }

    /// Work with the disk, on a thread that may wait for it.
    async fn blocking<T: Send + 'static>(
        &self,
        key: &VaultKey,
        work: impl FnOnce(&Self, &VaultKey) -> Result<T, VaultError> + Send + 'static,
    ) -> Result<T, VaultError> {
        let (vault, key) = (self.clone(), key.clone());
        tokio::task::spawn_blocking(move || work(&vault, &key))
            .await
            .map_err(|error| VaultError::Stopped(error.to_string()))?
    }

    fn keep_blocking(&self, key: &VaultKey, bytes: &[u8]) -> Result<Kept, VaultError> {
        let folder = self.folder(key)?;
        let path = folder.join(key.file());
        let kept = || Kept { url: self.url(key, &path), bytes: bytes.len() as u64 };
        let written = written(&folder, bytes, self.file_mode).map_err(|e| io_error("write", &path, e))?;
        match written.put_in_place(&path) {
            Ok(()) => {
                sync_folder(&folder)?;
                Ok(kept())
            }
            Err(refused) if refused.kind() == ErrorKind::AlreadyExists => {
                if holds(&path, bytes).map_err(|e| io_error("read", &path, e))? {
                    // The earlier keeping may have died before the folder was safe on disk.
                    sync_folder(&folder)?;
                    Ok(kept())
                } else {
                    Err(VaultError::Taken { path })
                }
            }
            Err(refused) => Err(io_error("put in place", &path, refused)),
        }
    }

    fn find_blocking(&self, key: &VaultKey) -> Result<Option<Bytes>, VaultError> {
        let Some(path) = self.standing(key)? else { return Ok(None) };
        std::fs::read(&path).map(|bytes| Some(bytes.into())).map_err(|e| io_error("read", &path, e))
    }

    fn facts_blocking(&self, key: &VaultKey) -> Result<Option<Facts>, VaultError> {
        let Some(path) = self.standing(key)? else { return Ok(None) };
        let found = std::fs::metadata(&path).map_err(|e| io_error("reach", &path, e))?;
        Ok(Some(Facts { bytes: found.len(), kept_at: found.modified().ok().map(Timestamp::from) }))
    }

    fn piece_blocking(&self, key: &VaultKey, from: u64, length: usize) -> Result<Option<Bytes>, VaultError> {
        let Some(path) = self.standing(key)? else { return Ok(None) };
        let read = || -> io::Result<Vec<u8>> {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(from))?;
            let mut piece = Vec::with_capacity(length);
            file.take(length as u64).read_to_end(&mut piece)?;
            Ok(piece)
        };
        read().map(|piece| Some(piece.into())).map_err(|e| io_error("read", &path, e))
    }

    fn remove_blocking(&self, key: &VaultKey) -> Result<(), VaultError> {
        let Some(path) = self.standing(key)? else { return Ok(()) };
        std::fs::remove_file(&path).map_err(|e| io_error("remove", &path, e))
    }

    /// Where a plain file stands under a key, if one does.
    fn standing(&self, key: &VaultKey) -> Result<Option<PathBuf>, VaultError> {
        let folder = self.root.join(key.folder());
        let path = folder.join(key.file());
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() => {}
            Ok(_) => return Ok(None),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(None);
            }
            Err(error) => return Err(io_error("reach", &path, error)),
        }
        let real = folder.canonicalize().map_err(|e| io_error("reach", &folder, e))?;
        if real.starts_with(&self.root) {
            Ok(Some(path))
        } else {
            Err(VaultError::Escapes { path: folder, target: real })
        }
    }

    /// The asset's folder, made where there is none, and found to be inside the vault.
    fn folder(&self, key: &VaultKey) -> Result<PathBuf, VaultError> {
        let folder = self.root.join(key.folder());
        match std::fs::create_dir(&folder) {
            Ok(()) => sync_folder(&self.root)?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error("create", &folder, error)),
        }
        let real = folder.canonicalize().map_err(|e| io_error("reach", &folder, e))?;
        if real.starts_with(&self.root) {
            Ok(folder)
        } else {
            Err(VaultError::Escapes { path: folder, target: real })
        }
    }
}

#[async_trait]
impl Vault for LocalVault {
    async fn keep(&self, key: &VaultKey, bytes: Bytes) -> Result<Kept, VaultError> {
        self.blocking(key, move |vault, key| vault.keep_blocking(key, &bytes)).await
    }

    async fn find(&self, key: &VaultKey) -> Result<Option<Bytes>, VaultError> {
        self.blocking(key, Self::find_blocking).await
    }

    async fn facts(&self, key: &VaultKey) -> Result<Option<Facts>, VaultError> {
        self.blocking(key, Self::facts_blocking).await
    }

    async fn piece(&self, key: &VaultKey, from: u64, length: usize) -> Result<Option<Bytes>, VaultError> {
        self.blocking(key, move |vault, key| vault.piece_blocking(key, from, length)).await
    }

    fn address(&self, key: &VaultKey) -> Option<String> {
        Some(self.url(key, &self.root.join(key.folder()).join(key.file())))
    }

    async fn remove(&self, key: &VaultKey) -> Result<(), VaultError> {
        self.blocking(key, Self::remove_blocking).await
    }

    async fn disk(&self) -> Option<Disk> {
        let root = self.root.clone();
        // A folder of another machine may keep its asker waiting.
        let found = tokio::task::spawn_blocking(move || rustix::fs::statvfs(&root).ok()).await.ok()??;
        Some(Disk {
            total: found.f_blocks.saturating_mul(found.f_frsize),
            free: found.f_bavail.saturating_mul(found.f_frsize),
        })
    }
}

/// A file that is whole and on disk, and not in its place yet.
enum Written {
    /// It has no name, so that it goes away with a process that dies now.
    Unnamed(File),
    /// A hidden one beside its place, where the file system knows none without a name.
    Hidden(TempPath),
}

impl Written {
    fn put_in_place(self, path: &Path) -> io::Result<()> {
        match self {
            Self::Unnamed(file) => {
                let own = format!("{OPEN_FILES}/{}", file.as_raw_fd());
                Ok(linkat(CWD, own, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
            }
            Self::Hidden(temporary) => temporary.persist_noclobber(path).map_err(|refused| refused.error),
        }
    }
}

fn written(folder: &Path, bytes: &[u8], mode: u32) -> io::Result<Written> {
    let write = |mut file: &File| file.write_all(bytes).and_then(|()| file.sync_all());
    if let Some(file) = unnamed(folder, mode) {
        write(&file)?;
        return Ok(Written::Unnamed(file));
    }
    let file = tempfile::Builder::new()
        .prefix(".keeping-")
        .suffix(".part")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    write(file.as_file())?;
    Ok(Written::Hidden(file.into_temp_path()))
}

/// Where the kernel shows this process its open files: the way to give one a name.
const OPEN_FILES: &str = "/proc/self/fd";

/// A file without a name, where that can be had. Trouble of another kind is met again with a hidden one, and told.
fn unnamed(folder: &Path, mode: u32) -> Option<File> {
    let flags = OFlags::TMPFILE.bits().cast_signed();
    let file = OpenOptions::new().write(true).mode(mode).custom_flags(flags).open(folder).ok()?;
    Path::new(OPEN_FILES).is_dir().then_some(file)
}

/// Whether a plain file with exactly these bytes stands there.
fn holds(path: &Path, bytes: &[u8]) -> io::Result<bool> {
    let found = std::fs::symlink_metadata(path)?;
    if !found.is_file() || found.len() != bytes.len() as u64 {
        return Ok(false);
    }
    Ok(std::fs::read(path)? == bytes)
}

/// Makes a new name in a folder durable: without this a power cut may forget it.
fn sync_folder(folder: &Path) -> Result<(), VaultError> {
    File::open(folder).and_then(|opened| opened.sync_all()).map_err(|e| io_error("make durable", folder, e))
}

fn io_error(doing: &'static str, path: &Path, source: io::Error) -> VaultError {
    let path = path.to_owned();
    if matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
        VaultError::Full { path }
    } else {
        VaultError::Io { doing, path, source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_kill_interrupts_leaves_nothing_behind() {
        let folder = tempfile::tempdir().expect("a folder");
        let entries = || std::fs::read_dir(folder.path()).expect("a folder").count();
        let written = written(folder.path(), b"whole", FILE_MODE).expect("written");
        let unnamed = matches!(written, Written::Unnamed(_));
        assert_eq!(entries(), usize::from(!unnamed), "it has no name until it is put in place");
        let path = folder.path().join("a.png");
        written.put_in_place(&path).expect("put in place");
        assert_eq!(std::fs::read(&path).expect("there"), b"whole");
        assert_eq!(entries(), 1);
        // Where the file system knows no files without a name, a hidden one is put in place.
        if !unnamed {
            println!("skipped: no files without a name in {}", folder.path().display());
        }
    }

    #[test]
    fn a_full_disk_is_told_from_other_trouble() {
        let path = Path::new("/vault/hero-image/a.png");
        let full = io_error("write", path, io::Error::from(ErrorKind::StorageFull));
        assert_eq!(full.to_string(), "no space left to keep /vault/hero-image/a.png; make room on that disk");
        let other = io_error("write", path, io::Error::from(ErrorKind::PermissionDenied));
        assert_eq!(other.to_string(), "cannot write /vault/hero-image/a.png: permission denied");
    }
}
