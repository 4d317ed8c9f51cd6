//! What every verb stands on: where the configuration comes from, the clock, and the database behind it.

use std::sync::{Arc, OnceLock};

use super::wire::{self, Opened};
use crate::config::{Config, Sources};
use crate::domain::time::Clock;
use crate::store::sqlite::SqliteStore;

/// What every verb stands on.
pub(super) struct Session {
    /// Where the configuration comes from.
    pub(super) sources: Sources,
    /// Where the present comes from.
    pub(super) clock: Clock,
    /// The database, once a verb has opened it.
    store: OnceLock<Arc<SqliteStore>>,
}

impl Session {
    /// A session that has opened nothing yet.
    pub(super) fn new(sources: Sources, clock: Clock) -> Self {
        Self { sources, clock, store: OnceLock::new() }
    }

    /// Reads the configuration.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        wire::configuration(&self.sources, &self.clock)
    }

    /// Opens the database, and makes it where there is none.
    pub(super) async fn open(&self) -> anyhow::Result<Opened> {
        self.open_as(self.config()?).await
    }

    /// Opens the database that is there: who asks about jobs in the wrong folder should not get an empty queue.
    pub(super) async fn existing(&self) -> anyhow::Result<Opened> {
        let config = self.config()?;
        wire::there(&config)?;
        self.open_as(config).await
    }

    /// As [`Session::existing`], for verbs that have something to say without a database too.
    pub(super) async fn if_there(&self, config: &Config) -> anyhow::Result<Option<Opened>> {
        if !wire::database_path(config).exists() {
            return Ok(None);
        }
        self.open_as(config.clone()).await.map(Some)
    }

    async fn open_as(&self, config: Config) -> anyhow::Result<Opened> {
        let opened = wire::open(config, Arc::clone(&self.clock)).await?;
        // A verb opens one database, so the first is the only one.
        self.store.get_or_init(|| Arc::clone(&opened.store));
        Ok(opened)
    }

    /// Folds the write-ahead log into the file, so that a verb leaves nothing beside it.
    pub(super) async fn close(&self) {
        if let Some(store) = self.store.get() {
            store.close().await;
        }
    }
}
