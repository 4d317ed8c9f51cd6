//! What the database remembers of providers, their calls and money, for the verbs that judge them.

use super::wire::Opened;
use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::Spending;
use crate::domain::name::ProviderName;
use crate::domain::pace::{AtLimit, Pace, Usage, at_limit};
use crate::domain::time::Timestamp;
use crate::store::Store;

/// What the database remembers; nothing where there is none yet.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Of every provider.
    pub(super) health: Vec<ProviderHealth>,
    /// What was spent today and this month.
    pub(super) spending: Spending,
    /// How often the providers were called whose calls are bounded.
    pub(super) usages: Vec<(ProviderName, Usage)>,
}

impl Remembered {
    pub(super) async fn read(opened: &Opened, now: Timestamp) -> anyhow::Result<Self> {
        let health = opened.store.provider_health().await?;
        let paced = opened.config.providers.iter();
        let paced: Vec<(ProviderName, Pace)> =
            paced.filter_map(|provider| Some((provider.name.clone(), provider.pace?))).collect();
        let usages = opened.store.usages(&paced, "", now).await?;
        let usages = paced.into_iter().map(|(name, _)| name).zip(usages).collect();
        Ok(Self { health, spending: opened.store.spending(now).await?, usages })
    }

    /// How often a provider was called.
    pub(super) fn usage(&self, provider: &ProviderName) -> Option<&Usage> {
        self.usages.iter().find(|(name, _)| name == provider).map(|(_, usage)| usage)
    }

    /// The limit that a provider has reached.
    pub(super) fn at_limit(&self, provider: &ProviderName, now: Timestamp) -> Option<AtLimit> {
        at_limit(self.usage(provider)?, now)
    }
}
