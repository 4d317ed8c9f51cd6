//! The configuration in force while the daemon runs, and the two ways in which another one takes its place.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::said::told;
use super::serve::warn_of_idle_chains;
use super::wire;
use crate::config::{Config, Sources};
use crate::daemon::book::Book;
use crate::domain::time::Clock;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;

/// How often keys in files are looked at. Tokens that live for an hour are written anew well before their end.
const LOOK: Duration = Duration::from_secs(2);

/// The configuration in force.
pub(super) struct Force {
    /// Held while another one takes its place, so that two never do at once.
    config: Mutex<Arc<Config>>,
    store: Arc<SqliteStore>,
    clock: Clock,
    /// Tells whoever else goes by the configuration.
    announce: watch::Sender<Arc<Config>>,
    replace: Box<dyn Fn(Book) + Send + Sync>,
}

impl Force {
    /// The configuration that the daemon began with; `replace` gives the daemon another.
    pub(super) fn new(opened: &wire::Opened, replace: impl Fn(Book) + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            config: Mutex::new(Arc::new(opened.config.clone())),
            store: Arc::clone(&opened.store),
            clock: Arc::clone(&opened.clock),
            announce: watch::Sender::new(Arc::new(opened.config.clone())),
            replace: Box::new(replace),
        })
    }

    /// Reads the configuration again, and puts it in force.
    pub(super) async fn reload(&self, sources: &Sources) -> anyhow::Result<()> {
        let mut in_force = self.config.lock().await;
        let config = wire::configuration(sources, &self.clock)?;
        anyhow::ensure!(
            wire::database_path(&config) == wire::database_path(&in_force),
            "queue.database cannot change while the daemon runs; restart it"
        );
        let book = wire::book(&config, &self.clock)?;
        self.store.mirror(&config.assets, &config.providers, (self.clock)()).await?;
        (self.replace)(book);
        warn_of_idle_chains(&config, &self.clock);
        *in_force = Arc::new(config);
        self.announce.send_replace(Arc::clone(&in_force));
        Ok(())
    }

    /// The configuration in force, as it changes.
    pub(super) fn announced(&self) -> watch::Receiver<Arc<Config>> {
        self.announce.subscribe()
    }

    /// Takes keys that are written anew in their files, as tokens of an hour are, for as long as the daemon runs. The
    /// rest of the configuration is read by SIGHUP alone.
    pub(super) async fn follow_keys(self: Arc<Self>) {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            let config = Arc::clone(&*self.config.lock().await);
            if !config.secrets.are_in_files() {
                continue;
            }
            // A file may lie on a network that hangs.
            let looked_at = Arc::clone(&config);
            let fresh = tokio::task::spawn_blocking(move || looked_at.with_fresh_keys()).await;
            let Ok(Some((fresh, changed))) = fresh else { continue };
            let mut in_force = self.config.lock().await;
            if !Arc::ptr_eq(&in_force, &config) {
                // SIGHUP came between, and read the keys itself.
                continue;
            }
            let names = changed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            match wire::book(&fresh, &self.clock) {
                Ok(book) => {
                    (self.replace)(book);
                    tracing::info!(provider = names, "the key was written anew and is in force");
                }
                Err(error) => {
                    tracing::error!(
                        provider = names,
                        "the key was written anew and cannot be used: {}",
                        told(&error)
                    );
                }
            }
            // Also where it cannot be used: it is complained of once.
            *in_force = Arc::new(fresh);
            self.announce.send_replace(Arc::clone(&in_force));
        }
    }
}
