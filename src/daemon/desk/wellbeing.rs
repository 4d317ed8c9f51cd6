//! How everything is doing: every asset, every provider in use, and the queue itself.

use std::sync::Arc;

use serde_json::{Value, json};

use super::standing::standings;
use super::{Desk, DeskError, Doing, Measured, Remembered, Standing};
use crate::config::Config;
use crate::domain::asset::Asset;
use crate::domain::health::AssetHealth;
use crate::domain::name::AssetName;
use crate::domain::time::Timestamp;
use crate::store::AssetCount;

/// What there is to say, as of one instant.
pub struct Wellbeing {
    /// The configuration in force.
    pub config: Arc<Config>,
    /// How many jobs of each asset have each status.
    pub counts: Vec<AssetCount>,
    /// The queue itself.
    pub measured: Measured,
    /// As of when.
    pub now: Timestamp,
    assets: Vec<AssetHealth>,
    remembered: Remembered,
}

impl Wellbeing {
    /// Reads all of it.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(desk: &Desk) -> Result<Self, DeskError> {
        let now = desk.now();
        let counts = desk.store.counts(now).await?;
        Ok(Self {
            config: desk.config(),
            measured: Measured::take(desk, &counts, now).await?,
            assets: desk.asset_health().await?,
            remembered: desk.remembered().await?,
            counts,
            now,
        })
    }

    /// How the assets are doing, or one of them.
    #[must_use]
    pub fn assets(&self, only: Option<&AssetName>) -> Vec<Doing<'_>> {
        let spending = &self.remembered.spending;
        self.wanted(only).map(|asset| Doing::of(asset, &self.assets, &self.counts, spending)).collect()
    }

    /// How the providers stand that some chain names, or the chain of one asset.
    #[must_use]
    pub fn providers(&self, only: Option<&AssetName>) -> Vec<Standing<'_>> {
        let mut providers = standings(&self.config, &self.remembered, self.now);
        let named = |one: &Standing<'_>| {
            self.wanted(only).any(|asset| asset.chain.providers().contains(&one.provider.name))
        };
        providers.retain(named);
        providers
    }

    /// For programs.
    #[must_use]
    pub fn json(&self, only: Option<&AssetName>) -> Value {
        json!({
            "queue": self.measured.json(self.now),
            "assets": self.assets(only).iter().map(|asset| asset.json(self.now)).collect::<Vec<_>>(),
            "providers": self.providers(only).iter().map(Standing::json).collect::<Vec<_>>(),
        })
    }

    fn wanted(&self, only: Option<&AssetName>) -> impl Iterator<Item = &Asset> {
        self.config.assets.iter().filter(move |asset| only.is_none_or(|only| *only == asset.name))
    }
}
