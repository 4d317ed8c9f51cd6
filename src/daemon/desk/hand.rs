//! The operator's hand on a provider: pause, resume, reset.

use chrono::TimeDelta;
use serde_json::Value;

use super::{Desk, DeskError, Standing, known};
use crate::domain::name::ProviderName;
use crate::domain::time::{Timestamp, to_text};

/// A pause ends by itself, within this: what shall never be called is taken out of its chains.
const LONGEST_PAUSE: TimeDelta = TimeDelta::days(3_653);

impl Desk {
    /// Calls a provider no more until a time.
    ///
    /// # Errors
    /// When nobody knows the provider, when the time is past or beyond reason, or when the database fails.
    pub async fn pause(&self, typed: &str, until: Timestamp) -> Result<ProviderName, DeskError> {
        let (config, now) = (self.config(), self.now());
        let provider = known::provider(&config, typed)?;
        if until <= now {
            let sentence = format!("{} is past; a pause ends in the future", to_text(until));
            return Err(DeskError::Wish(sentence));
        }
        if now.checked_add_signed(LONGEST_PAUSE).is_none_or(|latest| until > latest) {
            let sentence = "a pause ends within ten years; take the provider out of its chains instead";
            return Err(DeskError::Wish(sentence.to_owned()));
        }
        self.store.pause(&provider.name, Some(until), now).await?;
        self.poke();
        Ok(provider.name.clone())
    }

    /// Ends a provider's pause.
    ///
    /// # Errors
    /// When nobody knows it, or when the database fails.
    pub async fn resume(&self, typed: &str) -> Result<ProviderName, DeskError> {
        let config = self.config();
        let provider = known::provider(&config, typed)?;
        self.store.pause(&provider.name, None, self.now()).await?;
        self.poke();
        Ok(provider.name.clone())
    }

    /// Closes a provider's breaker and ends its pause.
    ///
    /// # Errors
    /// When nobody knows it, or when the database fails.
    pub async fn reset(&self, typed: &str) -> Result<ProviderName, DeskError> {
        let config = self.config();
        let provider = known::provider(&config, typed)?;
        self.store.reset(&provider.name, self.now()).await?;
        self.poke();
        Ok(provider.name.clone())
    }

    /// How one provider stands, for programs.
    ///
    /// # Errors
    /// When nobody knows it, or when the database cannot be read.
    pub async fn standing(&self, name: &ProviderName) -> Result<Value, DeskError> {
        let (config, now) = (self.config(), self.now());
        let provider = known::provider(&config, name.as_str())?;
        let remembered = self.remembered().await?;
        Ok(Standing::of(provider, &config, &remembered, now).json())
    }
}
