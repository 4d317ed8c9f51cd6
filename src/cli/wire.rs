//! The one place where everything is wired.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use tokio::sync::watch;

use crate::config::{Config, Database, Sources, load};
use crate::daemon::book::Book;
use crate::daemon::desk::{Desk, OpenVault};
use crate::daemon::{Daemon, Parts, Stop};
use crate::domain::time::Clock;
use crate::providers::{Providers, catalog};
use crate::store::sqlite::SqliteStore;
use crate::store::sqlite::migrate::Migrated;
use crate::store::{Store, StoreError};
use crate::vault::{LocalVault, Vault};

use super::said::usage;

/// The configuration with its database open and up to date.
#[derive(Clone)]
pub struct Opened {
    /// The configuration.
    pub config: Config,
    /// The database.
    pub store: Arc<SqliteStore>,
    /// Where the present comes from.
    pub clock: Clock,
}

impl Opened {
    /// What people ask of this database, under this configuration.
    #[must_use]
    pub fn desk(&self) -> Desk {
        let (_, config) = watch::channel(Arc::new(self.config.clone()));
        Desk::new(Arc::clone(&self.store) as Arc<dyn Store>, Arc::clone(&self.clock), config, open_vault())
    }
}

/// How the vault that a configuration names is opened.
#[must_use]
pub fn open_vault() -> OpenVault {
    Arc::new(|config| {
        let vault = LocalVault::open(&config.vault.folder, config.vault.public_url.clone())?;
        Ok(Arc::new(vault) as Arc<dyn Vault>)
    })
}

/// Reads the configuration.
///
/// # Errors
/// With every mistake of it.
pub fn configuration(sources: &Sources, clock: &Clock) -> anyhow::Result<Config> {
    Ok(load(sources, catalog(), clock())?)
}

/// Opens the database that the configuration names, brings its schema up to date and writes the mirrors.
///
/// # Errors
/// When it cannot be opened.
pub async fn open(config: Config, clock: Clock) -> anyhow::Result<Opened> {
    let path = database_path(&config);
    let (store, migrated) = database(path).await?;
    if migrated.from != migrated.to && migrated.from > 0 {
        tracing::info!(
            from = migrated.from,
            to = migrated.to,
            "the database's schema was brought up to date"
        );
    }
    store.mirror(&config.assets, &config.providers, clock()).await?;
    Ok(Opened { config, store: Arc::new(store), clock })
}

/// Opens a database and brings its schema up to date.
///
/// # Errors
/// When it cannot be opened; the sentence names the file.
pub(super) async fn database(path: &Path) -> anyhow::Result<(SqliteStore, Migrated)> {
    match SqliteStore::open(path).await {
        Err(error @ StoreError::Corrupt(_)) => {
            Err(anyhow::Error::new(error).context(path.display().to_string()))
        }
        opened => Ok(opened?),
    }
}

/// The database's file.
#[must_use]
pub fn database_path(config: &Config) -> &Path {
    let Database::Sqlite { path } = &config.queue.database;
    path
}

/// The database's file, where there is one.
///
/// # Errors
/// When there is none.
pub(super) fn there(config: &Config) -> anyhow::Result<&Path> {
    let path = database_path(config);
    anyhow::ensure!(
        path.exists(),
        "there is no database at {} yet; backstop enqueue makes it, or name another configuration with --config",
        path.display()
    );
    Ok(path)
}

/// The vault that the configuration names.
///
/// # Errors
/// When its folder cannot be made.
pub fn vault(config: &Config) -> anyhow::Result<Arc<dyn Vault>> {
    open_vault()(config).context("vault.url")
}

/// The configuration, compiled for the daemon.
///
/// # Errors
/// With what does not compile: a provider that cannot be made, a template.
pub fn book(config: &Config, clock: &Clock) -> anyhow::Result<Book> {
    book_with(config, clock, vault(config)?)
}

/// As [`book`], with another vault.
///
/// # Errors
/// With what does not compile: a mistake of the configuration.
pub fn book_with(config: &Config, clock: &Clock, vault: Arc<dyn Vault>) -> anyhow::Result<Book> {
    Book::new(config, Arc::new(providers(config, clock)?), vault).map_err(usage)
}

/// Every provider of the configuration, ready to be called.
///
/// # Errors
/// With every mistake of them.
pub(super) fn providers(config: &Config, clock: &Clock) -> anyhow::Result<Providers> {
    let secrets: HashMap<_, _> = config
        .providers
        .iter()
        .filter_map(|provider| {
            config.secrets.key(&provider.name).map(|key| (provider.name.clone(), key.clone()))
        })
        .collect();
    let providers = Providers::new(&config.providers, secrets, Arc::clone(clock));
    providers.map_err(|mistakes| usage(mistakes.to_string()))
}

/// Where outputs wait for the vault, beside the database.
const SPOOL: &str = "in-hand";

/// A daemon over an open database.
///
/// # Errors
/// When a part of it cannot be made.
pub async fn daemon(opened: &Opened, stop: Stop) -> anyhow::Result<Daemon> {
    let lock_folder = database_path(&opened.config).parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let spool = LocalVault::private(&lock_folder.join(SPOOL))
        .map(|spool| Arc::new(spool) as Arc<dyn Vault>)
        .inspect_err(
            |error| tracing::warn!(%error, "what was paid for and cannot be kept would wait in memory alone"),
        )
        .ok();
    let parts = Parts {
        store: Arc::clone(&opened.store) as Arc<dyn Store>,
        book: book(&opened.config, &opened.clock)?,
        clock: Arc::clone(&opened.clock),
        random: Arc::new(fastrand::f64),
        fresh: Arc::new(|| uuid::Uuid::new_v4().simple().to_string()),
        lock_folder,
        spool,
    };
    Ok(Daemon::new(parts, stop).await?)
}
