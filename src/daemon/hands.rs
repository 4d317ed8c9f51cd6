//! Outputs in hand: paid for, and waiting for a vault that could not keep them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::domain::ask::{Body, Output};
use crate::vault::{Vault, VaultKey};

/// Most bytes that wait in memory; beyond it, runs wait with theirs.
const ROOM: usize = 256 << 20;

/// Outputs that wait for the vault, by the names they were staged under. Each is in memory, and in a folder beside
/// the database too where that can be had: so it outlives the daemon.
pub(super) struct Hands {
    waiting: Mutex<HashMap<VaultKey, Output>>,
    spool: Option<Arc<dyn Vault>>,
}

impl Hands {
    pub(super) fn new(spool: Option<Arc<dyn Vault>>) -> Self {
        Self { waiting: Mutex::default(), spool }
    }

    /// Whether one of this size can be taken.
    pub(super) fn have_room_for(&self, bytes: usize) -> bool {
        let taken: usize =
            self.with_waiting(|waiting| waiting.values().map(|output| size(&output.body)).sum());
        taken.saturating_add(bytes) <= ROOM
    }

    /// Takes an output until the vault can keep it.
    pub(super) async fn take(&self, key: VaultKey, output: Output) {
        let bytes = match &output.body {
            Body::Text(text) => Bytes::from(text.clone().into_bytes()),
            Body::File(bytes) => bytes.clone(),
        };
        self.with_waiting(|waiting| waiting.insert(key.clone(), output));
        self.copy(&key, bytes).await;
    }

    /// Puts a copy of an output beside the database: whatever ends the daemon, the next one finds it there.
    pub(super) async fn copy(&self, key: &VaultKey, bytes: Bytes) {
        let Some(spool) = &self.spool else { return };
        if let Err(error) = spool.keep(key, bytes).await {
            tracing::warn!(%error, "an output that was paid for waits in memory alone, and would not outlive the daemon");
        }
    }

    /// Gives an output back to the run that delivers it now.
    pub(super) fn give(&self, key: &VaultKey) -> Option<Output> {
        self.with_waiting(|waiting| waiting.remove(key))
    }

    /// What an earlier daemon left in the folder beside the database.
    pub(super) async fn spooled(&self, key: &VaultKey) -> Option<Bytes> {
        let spool = self.spool.as_ref()?;
        spool.find(key).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "an output that waits beside the database cannot be read");
            None
        })
    }

    /// Forgets an output that was delivered, or that nobody wants any more.
    pub(super) async fn forget(&self, key: &VaultKey) {
        self.with_waiting(|waiting| waiting.remove(key));
        let Some(spool) = &self.spool else { return };
        if let Err(error) = spool.remove(key).await {
            tracing::warn!(%error, "an output that was delivered stays beside the database");
        }
    }

    fn with_waiting<T>(&self, use_it: impl FnOnce(&mut HashMap<VaultKey, Output>) -> T) -> T {
        use_it(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn size(body: &Body) -> usize {
    match body {
        Body::Text(text) => text.len(),
        Body::File(bytes) => bytes.len(),
    }
}
