//! The operator's hand on a provider: pause, resume, reset.

use chrono::Datelike;
use serde_json::Value;

use super::{Desk, DeskError, Standing, known};
use crate::domain::name::ProviderName;
use crate::domain::time::{Timestamp, to_text};

/// The last year that a pause may end in.
const LAST_YEAR: i32 = 9_999;

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
        // Behind it times have no fixed width any more, and text does not compare as time does.
        if until.year() > LAST_YEAR {
            let sentence = "a pause ends before the year 10000; take the provider out of its chains instead";
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
