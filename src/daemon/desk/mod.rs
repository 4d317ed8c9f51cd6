//! What people ask of a queue and tell it: the same for every surface, whether a verb, the API or the page.

pub mod ask;
pub mod delivered;
mod hand;
pub mod known;
pub mod measured;
pub mod money;
pub mod outlook;
mod provide;
pub mod standing;
pub mod times;
pub mod told;
pub mod wellbeing;

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::domain::health::AssetHealth;
use crate::domain::plan::{Override, Plan};
use crate::domain::time::{Clock, Timestamp};
use crate::store::{Store, StoreError};
use crate::vault::{Vault, VaultError};

pub use delivered::{Delivered, Shelves};
pub use known::{asset, provider, wish};
pub use measured::Measured;
pub use money::{Money, Remembered};
pub use provide::Handed;
pub use standing::{Doing, Standing};
pub use wellbeing::Wellbeing;

/// Opens the vault that a configuration names.
pub type OpenVault = Arc<dyn Fn(&Config) -> Result<Arc<dyn Vault>, VaultError> + Send + Sync>;

/// Tells the daemon that there is something to do.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// Why a wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// A wrong word in it: an asset or provider nobody knows, a value the queue does not take.
    #[error("{0}")]
    Wish(String),
    /// It does not fit how the job stands now.
    #[error("{0}")]
    Conflict(String),
    /// What was handed in is not what was asked for.
    #[error("{0}")]
    Unacceptable(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// The queue as people see it, under the configuration in force.
pub struct Desk {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Where the present comes from.
    pub clock: Clock,
    config: watch::Receiver<Arc<Config>>,
    vault: OpenVault,
    wake: Option<Wake>,
}

impl Desk {
    /// A desk over an open database; the configuration may be replaced at any time.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        clock: Clock,
        config: watch::Receiver<Arc<Config>>,
        vault: OpenVault,
    ) -> Self {
        Self { store, clock, config, vault, wake: None }
    }

    /// As it is inside a daemon, which is woken by what is written here and need not find it by itself.
    #[must_use]
    pub fn waking(self, wake: Wake) -> Self {
        Self { wake: Some(wake), ..self }
    }

    /// Wakes the daemon that this desk is in.
    fn poke(&self) {
        if let Some(wake) = &self.wake {
            wake();
        }
    }

    /// The present.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    /// What the database remembers of providers and money.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn remembered(&self) -> Result<Remembered, StoreError> {
        Remembered::read(self.store.as_ref(), &self.config(), self.now()).await
    }

    /// What is remembered of every asset.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn asset_health(&self) -> Result<Vec<AssetHealth>, StoreError> {
        self.store.asset_health().await
    }

    /// What a run of an asset would do now, by the override `typed` where there is one; calls nobody.
    ///
    /// # Errors
    /// When the asset or the override is unknown, or the database cannot be read.
    pub async fn plan(&self, asset: &str, wish: Option<&str>) -> Result<Outlook, DeskError> {
        let config = self.config();
        let asset = known::asset(&config, asset)?.clone();
        let wish = wish.map(|wish| known::wish(&config, &asset, wish)).transpose()?;
        let now = self.now();
        let plan = outlook::plan(&config, &asset, wish.as_ref(), &self.remembered().await?, now);
        Ok(Outlook { asset, wish, plan, now })
    }
}

/// What a run would do now.
#[derive(Debug)]
pub struct Outlook {
    /// Of which asset.
    pub asset: crate::domain::asset::Asset,
    /// By which override.
    pub wish: Option<Override>,
    /// Whom it would call.
    pub plan: Plan,
    /// As of when.
    pub now: Timestamp,
}
