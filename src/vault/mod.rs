//! Where delivered files are kept.

mod key;
mod local;

use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;

use crate::domain::time::Timestamp;
use crate::domain::vitals::Disk;

pub use key::VaultKey;
pub use local::LocalVault;

/// A place for delivered files.
#[async_trait]
pub trait Vault: Send + Sync {
    /// Keeps a file under a key: whole and durable when this returns, or not at all. What stands under the
    /// key already is never overwritten; keeping the same bytes there once more is no mistake, so that a
    /// crash may be repeated.
    ///
    /// # Errors
    /// When the file is not kept. The failure is the daemon's own trouble, never a provider's.
    async fn keep(&self, key: &VaultKey, bytes: Bytes) -> Result<Kept, VaultError>;

    /// The file under a key, where there is one.
    ///
    /// # Errors
    /// When the vault cannot be asked.
    async fn find(&self, key: &VaultKey) -> Result<Option<Bytes>, VaultError>;

    /// How large the file under a key is, where there is one.
    ///
    /// # Errors
    /// When the vault cannot be asked.
    async fn facts(&self, key: &VaultKey) -> Result<Option<Facts>, VaultError> {
        let found = self.find(key).await?;
        Ok(found.map(|bytes| Facts { bytes: bytes.len() as u64, kept_at: None }))
    }

    /// At most `length` bytes of the file under a key, beginning at `from`; shorter where the file ends.
    ///
    /// # Errors
    /// When the vault cannot be asked.
    async fn piece(&self, key: &VaultKey, from: u64, length: usize) -> Result<Option<Bytes>, VaultError> {
        let found = self.find(key).await?;
        Ok(found.map(|bytes| {
            let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
            bytes.slice(from..from.saturating_add(length).min(bytes.len()))
        }))
    }

    /// The address of what is kept under a key, as [`Kept::url`] has it; `None` where the vault does not tell.
    fn address(&self, _key: &VaultKey) -> Option<String> {
        None
    }

    /// Takes away what stands under a key that was never delivered; nothing there is no mistake. Only keys that
    /// the ledger has staged may be named.
    ///
    /// # Errors
    /// When the file is still there.
    async fn remove(&self, key: &VaultKey) -> Result<(), VaultError>;

    /// The disk that files are kept on, where there is one and it can be asked.
    async fn disk(&self) -> Option<Disk> {
        None
    }
}

/// What is known of a kept file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was put there, where the vault knows.
    pub kept_at: Option<Timestamp>,
}

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it is found: under the public address of the vault if there is one, else a `file://` address.
    pub url: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Why a file was not kept.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The disk or the quota is used up.
    #[error("no space left to keep {}; make room on that disk", path.display())]
    Full {
        /// The file that did not fit.
        path: PathBuf,
    },
    /// Another file stands under the key.
    #[error("{} exists and holds something else; it was left as it is", path.display())]
    Taken {
        /// The file that is there.
        path: PathBuf,
    },
    /// A folder of the vault leads out of it.
    #[error("{} leads out of the vault to {}; remove that link", path.display(), target.display())]
    Escapes {
        /// The folder in the vault.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// The public address cannot have a path.
    #[error(
        "public_url = \"{url}\" cannot be continued with a file name; it should look like https://cdn.example.org/assets"
    )]
    PublicUrl {
        /// As it was configured.
        url: String,
    },
    /// Any other trouble with the disk.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// `create`, `write`, ...
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The write was stopped with the daemon.
    #[error("the file was not kept: {0}")]
    Stopped(String),
}
