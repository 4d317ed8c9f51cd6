//! The catalog, one file per protocol, the local makers, and the one HTTP driver.

pub mod local;
pub mod prompt;

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::ask::{Answer, Ask};
use crate::domain::failure::Failure;
use crate::domain::name::ProviderName;

/// What the daemon needs of the providers. Its tests put a fake here.
#[async_trait]
pub trait Generate: Send + Sync {
    /// Calls a provider once.
    async fn call(&self, provider: &ProviderName, ask: &Ask, time_left: Duration) -> Result<Answer, Failure>;

    /// Asks a vendor how an accepted operation stands.
    async fn poll(
        &self,
        provider: &ProviderName,
        operation: &str,
        ask: &Ask,
        time_left: Duration,
    ) -> Result<Answer, Failure>;
}
