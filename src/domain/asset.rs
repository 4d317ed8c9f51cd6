//! What is to be made, and by which rules.

use std::time::Duration;

use serde::Serialize;

use super::accept::Acceptance;
use super::budget::Budget;
use super::chain::Chain;
use super::name::AssetName;

/// The kind of thing an asset is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// A picture.
    Image,
    /// Written words.
    Text,
    /// A moving picture.
    Video,
    /// Sound.
    Audio,
}

impl Medium {
    /// Every medium.
    pub const ALL: [Self; 4] = [Self::Image, Self::Text, Self::Video, Self::Audio];

    /// As it is spelled everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Text => "text",
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }

    /// Reads the spelling of [`Medium::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|medium| medium.as_str() == text)
    }

    /// How long a run may take when the operator says nothing: a chain of a few calls of what this medium's
    /// vendors usually need.
    #[must_use]
    pub fn default_deadline(self) -> Duration {
        match self {
            Self::Text => Duration::from_secs(3 * 60),
            Self::Image | Self::Audio => Duration::from_secs(8 * 60),
            Self::Video => Duration::from_secs(40 * 60),
        }
    }
}

impl std::fmt::Display for Medium {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a job whose chain is exhausted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExhausted {
    /// A person is asked.
    #[default]
    Manual,
    /// The job fails.
    Fail,
}

/// One asset as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Asset {
    /// Its name.
    pub name: AssetName,
    /// What kind of thing it is.
    pub medium: Medium,
    /// Its fallback chain.
    pub chain: Chain,
    /// The prompt template (minijinja source) for jobs that bring no prompt of their own.
    pub prompt: String,
    /// What a delivery must satisfy.
    pub accept: Acceptance,
    /// Most counted runs of a job before a person is asked, unless the job says otherwise.
    pub max_runs: u32,
    /// Age since the job's first claim after which it no longer comes back by itself.
    pub give_up_after: Duration,
    /// How long one run may take.
    pub deadline: Duration,
    /// What becomes of a job that nobody could make.
    pub on_exhausted: OnExhausted,
    /// When jobs of this asset may start; `None` means at any time.
    pub window: Option<Window>,
    /// Most jobs of this asset in flight at once; `None` means as many as the queue allows.
    pub concurrency: Option<u32>,
    /// What its calls may cost, whoever is called.
    pub budget: Budget,
}

/// The times at which jobs of an asset may start, as a cron expression of minutes in a zone: a job may start
/// in each minute the expression names. The text is checked where the configuration is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Five or six cron fields, `* 22-23,0-5 * * *`.
    pub cron: String,
    /// An IANA zone, `Europe/Zurich`.
    pub zone: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mediums_read_back() {
        for medium in Medium::ALL {
            assert_eq!(Medium::parse(medium.as_str()), Some(medium));
        }
        assert_eq!(Medium::parse("Image"), None);
    }
}
