//! A vault that is a folder on this machine.

use std::fs::{File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::Bytes;
use tempfile::TempPath;
use url::Url;

use crate::domain::vitals::Disk;

use super::{Kept, Vault, VaultError, VaultKey};

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
        let temporary = written(&folder, bytes, self.file_mode).map_err(|e| io_error("write", &path, e))?;
        match temporary.persist_noclobber(&path) {
            Ok(()) => {
                sync_folder(&folder)?;
                Ok(kept())
            }
            Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => {
                if holds(&path, bytes).map_err(|e| io_error("read", &path, e))? {
                    // The earlier keeping may have died before the folder was safe on disk.
                    sync_folder(&folder)?;
                    Ok(kept())
                } else {
                    Err(VaultError::Taken { path })
                }
            }
            Err(refused) => Err(io_error("put in place", &path, refused.error)),
        }
    }

    fn find_blocking(&self, key: &VaultKey) -> Result<Option<Bytes>, VaultError> {
        let Some(path) = self.standing(key)? else { return Ok(None) };
        std::fs::read(&path).map(|bytes| Some(bytes.into())).map_err(|e| io_error("read", &path, e))
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

/// A hidden temporary file beside its place, whole and on disk; it goes away unless it is put in place.
fn written(folder: &Path, bytes: &[u8], mode: u32) -> io::Result<TempPath> {
    let mut file = tempfile::Builder::new()
        .prefix(".keeping-")
        .suffix(".part")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file.into_temp_path())
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
    fn a_full_disk_is_told_from_other_trouble() {
        let path = Path::new("/vault/hero-image/a.png");
        let full = io_error("write", path, io::Error::from(ErrorKind::StorageFull));
        assert_eq!(full.to_string(), "no space left to keep /vault/hero-image/a.png; make room on that disk");
        let other = io_error("write", path, io::Error::from(ErrorKind::PermissionDenied));
        assert_eq!(other.to_string(), "cannot write /vault/hero-image/a.png: permission denied");
    }
}
