//! What the database remembers of providers and money, for the verbs that judge them.

use super::wire::Opened;
use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::Spending;
use crate::domain::time::Timestamp;
use crate::store::Store;

/// What the database remembers; nothing where there is none yet.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Of every provider.
    pub(super) health: Vec<ProviderHealth>,
    /// What was spent today and this month.
    pub(super) spending: Spending,
}

impl Remembered {
    pub(super) async fn read(opened: &Opened, now: Timestamp) -> anyhow::Result<Self> {
        let health = opened.store.provider_health().await?;
        Ok(Self { health, spending: opened.store.spending(now).await? })
    }
}
