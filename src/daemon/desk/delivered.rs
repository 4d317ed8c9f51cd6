//! Delivered files, as they lie in the vault: found by their key and never by a row's address.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{Desk, DeskError};
use crate::domain::job::JobId;
use crate::domain::name::AssetName;
use crate::media;
use crate::store::JobRow;
use crate::vault::{Facts, Vault, VaultError, VaultKey};

/// What is read of a file to know its kind, in bytes.
const HEAD: usize = 4 * 1024;

/// A file in the vault.
pub struct Delivered {
    /// How large it is, and since when it is there.
    pub facts: Facts,
    /// What it is, read from its bytes; `None` for what is no picture, film or sound.
    pub content_type: Option<&'static str>,
    /// Its name in the vault.
    pub key: VaultKey,
    vault: Arc<dyn Vault>,
}

impl Delivered {
    /// A piece of it; shorter where the file ends, empty behind its end.
    ///
    /// # Errors
    /// When the vault does not give it.
    pub async fn piece(&self, from: u64, length: usize) -> Result<Bytes, VaultError> {
        Ok(self.vault.piece(&self.key, from, length).await?.unwrap_or_default())
    }
}

impl Desk {
    /// The file of this name, where there is one.
    ///
    /// # Errors
    /// When the vault cannot be asked.
    pub async fn delivered(&self, name: &str) -> Result<Option<Delivered>, DeskError> {
        let Some(key) = VaultKey::parse(name) else { return Ok(None) };
        let vault = (self.vault)(&self.config())?;
        let Some(facts) = vault.facts(&key).await? else { return Ok(None) };
        let head = vault.piece(&key, 0, HEAD).await?.unwrap_or_default();
        Ok(Some(Delivered { facts, content_type: media::content_type(&head), key, vault }))
    }

    /// Where delivered files are found in the vault; without a vault that opens, nowhere.
    #[must_use]
    pub fn shelves(&self) -> Shelves<'_> {
        Shelves { desk: self, vault: OnceLock::new() }
    }
}

/// Knows which rows speak of files in the vault.
pub struct Shelves<'a> {
    desk: &'a Desk,
    /// Opened for the first row that may speak of a file: most texts never ask.
    vault: OnceLock<Option<Arc<dyn Vault>>>,
}

impl Shelves<'_> {
    /// The key of a job's file, where its address is one of this vault.
    #[must_use]
    pub fn key(&self, job: &JobRow) -> Option<VaultKey> {
        let url = job.url.as_deref()?;
        let (rest, file) = url.rsplit_once('/')?;
        let (_, folder) = rest.rsplit_once('/')?;
        let key = VaultKey::parse(&format!("{folder}/{file}"))?;
        let asset = AssetName::parse(&job.asset).ok()?;
        let ours = key.is_of(&asset, JobId(job.id)) && self.vault()?.address(&key)? == url;
        ours.then_some(key)
    }

    fn vault(&self) -> Option<&dyn Vault> {
        let open = || {
            let vault = (self.desk.vault)(&self.desk.config());
            vault.inspect_err(|error| tracing::warn!(%error, "the vault does not open")).ok()
        };
        self.vault.get_or_init(open).as_deref()
    }
}
