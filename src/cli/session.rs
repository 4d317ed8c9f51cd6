//! What every verb stands on: where the configuration comes from, the clock, and the database behind it.

use std::sync::Arc;

use super::wire::{self, Opened};
use crate::config::{Config, Sources};
use crate::domain::time::Clock;

/// What every verb stands on.
pub(super) struct Session {
    /// Where the configuration comes from.
    pub(super) sources: Sources,
    /// Where the present comes from.
    pub(super) clock: Clock,
}

impl Session {
    /// Reads the configuration.
    pub(super) fn config(&self) -> anyhow::Result<Config> {
        wire::configuration(&self.sources, &self.clock)
    }

    /// Opens the database, and makes it where there is none.
    pub(super) async fn open(&self) -> anyhow::Result<Opened> {
        wire::open(self.config()?, Arc::clone(&self.clock)).await
    }

    /// Opens the database that is there: who asks about jobs in the wrong folder should not get an empty queue.
    pub(super) async fn existing(&self) -> anyhow::Result<Opened> {
        let config = self.config()?;
        let path = wire::database_path(&config);
        anyhow::ensure!(
            path.exists(),
            "there is no database at {} yet; backstop enqueue makes it, or name another configuration with \
             --config",
            path.display()
        );
        wire::open(config, Arc::clone(&self.clock)).await
    }

    /// As [`Session::existing`], for verbs that have something to say without a database too.
    pub(super) async fn if_there(&self, config: &Config) -> anyhow::Result<Option<Opened>> {
        if !wire::database_path(config).exists() {
            return Ok(None);
        }
        wire::open(config.clone(), Arc::clone(&self.clock)).await.map(Some)
    }
}
