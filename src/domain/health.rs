//! What is remembered of an asset, and the sentence people read about it.

use super::name::{AssetName, ProviderName};
use super::time::{Timestamp, between, spoken};

/// What is remembered of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssetHealth {
    /// Which asset.
    pub asset: AssetName,
    /// The last delivery.
    pub last_success_at: Option<Timestamp>,
    /// The last run that ended without one.
    pub last_failure_at: Option<Timestamp>,
    /// Why it did.
    pub last_error: Option<String>,
    /// Who delivered last: a provider's label or `manual`.
    pub last_resolved_source: Option<String>,
    /// Whether that was a fallback.
    pub last_fallback_used: Option<bool>,
    /// The provider that was the primary when it last failed for this asset.
    pub primary_provider: Option<ProviderName>,
    /// When that was.
    pub primary_last_failure_at: Option<Timestamp>,
    /// What happened.
    pub primary_last_error: Option<String>,
}

/// What a finished run says about its asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunReport {
    /// Which asset.
    pub asset: AssetName,
    /// When the run ended.
    pub at: Timestamp,
    /// How.
    pub ending: RunEnding,
    /// The failure of the chain's first provider within this run, if it was called and failed.
    pub primary_failure: Option<(ProviderName, String)>,
}

/// How a run ended, as its asset remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnding {
    /// Delivered by this provider.
    Delivered {
        /// Who.
        provider: ProviderName,
        /// Whether as a fallback.
        fallback_used: bool,
    },
    /// Not delivered; a person is asked.
    NeedsPerson {
        /// Every link's reason.
        error: String,
    },
    /// Not delivered; the job comes back or fails.
    Failed {
        /// Every link's reason.
        error: String,
    },
}

impl AssetHealth {
    /// An asset that has not run yet.
    #[must_use]
    pub fn unknown(asset: AssetName) -> Self {
        Self {
            asset,
            last_success_at: None,
            last_failure_at: None,
            last_error: None,
            last_resolved_source: None,
            last_fallback_used: None,
            primary_provider: None,
            primary_last_failure_at: None,
            primary_last_error: None,
        }
    }

    /// Remembers a finished run.
    pub fn remember(&mut self, report: &RunReport) {
        if let Some((provider, error)) = &report.primary_failure {
            self.primary_provider = Some(provider.clone());
            self.primary_last_failure_at = Some(report.at);
            self.primary_last_error = Some(error.clone());
        }
        match &report.ending {
            RunEnding::Delivered { provider, fallback_used } => {
                self.last_success_at = Some(report.at);
                self.last_resolved_source = Some(provider.to_string());
                self.last_fallback_used = Some(*fallback_used);
            }
            RunEnding::NeedsPerson { error } => {
                self.last_failure_at = Some(report.at);
                self.last_error = Some(error.clone());
                self.last_resolved_source = Some(super::chain::MANUAL.to_owned());
                self.last_fallback_used = Some(true);
            }
            RunEnding::Failed { error } => {
                self.last_failure_at = Some(report.at);
                self.last_error = Some(error.clone());
                self.last_resolved_source = None;
                self.last_fallback_used = None;
            }
        }
    }

    /// "Primary provider last failed 3 days ago. Last run used fallback: lummi." The view `health` of the SQL
    /// contract says the same, word for word.
    #[must_use]
    pub fn sentence(&self, primary: Option<&ProviderName>, now: Timestamp) -> String {
        if self.last_success_at.is_none() && self.last_failure_at.is_none() {
            return "Never run.".to_owned();
        }
        // Remembered of another provider, a failure says nothing of this one.
        let failed_at = self.primary_last_failure_at.filter(|_| self.primary_provider.as_ref() == primary);
        let of_primary = match (primary, failed_at) {
            (None, _) => "No provider stands in the chain.".to_owned(),
            (Some(_), None) => "Primary provider has not failed.".to_owned(),
            (Some(_), Some(at)) => {
                format!("Primary provider last failed {} ago.", spoken(between(at, now)))
            }
        };
        format!("{of_primary} {}", self.last_run(primary))
    }

    fn last_run(&self, primary: Option<&ProviderName>) -> String {
        let source = self.last_resolved_source.as_deref();
        // The source `manual` comes with a failure of the same run, or with the success of the person who was asked.
        if self.last_failure_at > self.last_success_at {
            let asked = source == Some(super::chain::MANUAL);
            return if asked { "Last run needed a person." } else { "Last run failed." }.to_owned();
        }
        match source {
            Some(super::chain::MANUAL) => "Last run needed a person, who provided the asset.".to_owned(),
            Some(source) if primary.is_some_and(|primary| primary.as_str() == source) => {
                "Last run used the primary provider.".to_owned()
            }
            Some(source) if self.last_fallback_used == Some(true) => {
                format!("Last run used fallback: {source}.")
            }
            Some(source) => format!("Last run used: {source}."),
            None => "Last run used: unknown.".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
