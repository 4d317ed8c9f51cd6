//! What stands behind a provider's label.

use std::time::Duration;

use chrono::NaiveDate;
use serde_json::{Map, Value};

use super::asset::Medium;
use super::budget::Budget;
use super::name::ProviderName;
use super::pace::Pace;

/// One provider as configured: everything but its secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// The label chains use.
    pub name: ProviderName,
    /// As people read it: `Lummi`.
    pub title: String,
    /// The translator's name: `openai-chat`, `anthropic`, `title-card`.
    pub protocol: String,
    /// Whether this build speaks that protocol.
    pub supported: bool,
    /// What it makes.
    pub medium: Medium,
    /// The vendor's model id, where the protocol has models.
    pub model: Option<String>,
    /// The address its requests go to; `None` for local makers.
    pub base_url: Option<String>,
    /// Whether its key is at hand.
    pub key: Key,
    /// Since when the vendor no longer serves this model, and what to use instead.
    pub retired: Option<Retirement>,
    /// Time for one call.
    pub timeout: Duration,
    /// Most repeats of a failed call on this link.
    pub retries: u32,
    /// Most calls in flight at once.
    pub concurrency: u32,
    /// How often it may be called by all daemons of the queue together; `None` where each of them bounds its own calls,
    /// because the machine does the work.
    pub pace: Option<Pace>,
    /// Whether its calls wait for nothing, so that there is no point in bounding them.
    pub instant: bool,
    /// Consecutive counted failures that open its breaker.
    pub trip_after: u32,
    /// What to do when the fate of a paid call is not known.
    pub on_unknown: OnUnknown,
    /// Whether repeating a call costs anything.
    pub repeat: Repeat,
    /// Price of one call in micro-dollars, where the vendor reports no usage to compute it from.
    pub price_micros: i64,
    /// What its calls may cost, whatever they are for.
    pub budget: Budget,
    /// Digest of address, model and key. `auth` and `retired` hold as long as it stays the same.
    pub fingerprint: String,
    /// Settings only the protocol knows: `template`, `command`, `max_tokens`, `quality`, ...
    pub options: Map<String, Value>,
}

impl Provider {
    /// Whether it makes what it makes here, without a network.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.base_url.is_none()
    }
}

/// Whether a provider has what it needs to be let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// None is needed.
    NotNeeded,
    /// It is at hand.
    Present,
    /// It is not; `looked_in` says where it was looked for, for the sentence people read.
    Missing {
        /// `environment variable LUMMI_API_KEY`, `file /run/...`, `credential lummi`.
        looked_in: String,
    },
}

/// The end of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// The day the vendor switched it off, or will.
    pub on: NaiveDate,
    /// What to use instead: `use gemini-3.1-flash-image`.
    pub advice: String,
}

/// Whether a repeat of a call is free of charge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Searches and local makers: a call may be repeated without a thought.
    Free,
    /// Every call may be billed.
    Paid,
}

/// The operator's choice for a paid call whose fate is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// Go on with the next link.
    #[default]
    Next,
    /// Call again, and risk paying twice.
    Retry,
    /// Stop and ask a person.
    Manual,
}

/// What this build knows of the world's providers: the protocols it has a name for, and the labels it ships.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Catalog {
    /// Every protocol a provider may name.
    pub protocols: Vec<ProtocolFacts>,
    /// Every label that means something without configuration.
    pub entries: Vec<CatalogEntry>,
}

impl Catalog {
    /// The facts of a protocol.
    #[must_use]
    pub fn protocol(&self, name: &str) -> Option<&ProtocolFacts> {
        self.protocols.iter().find(|facts| facts.name == name)
    }

    /// The entry of a label.
    #[must_use]
    pub fn entry(&self, name: &ProviderName) -> Option<&CatalogEntry> {
        self.entries.iter().find(|entry| entry.name == *name)
    }
}

/// What configuration must know of a protocol to read a provider that names it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProtocolFacts {
    /// Its name in configuration.
    pub name: String,
    /// Whether this build speaks it.
    pub supported: bool,
    /// What it makes; `None` where the provider has to say (`command`).
    pub medium: Option<Medium>,
    /// Whether a provider needs a model.
    pub needs_model: bool,
    /// Whether it works without a network: no address, no key.
    pub local: bool,
    /// Whether its calls wait for nothing, neither a network nor a program.
    pub instant: bool,
    /// Whether a repeat is free.
    pub repeat: Repeat,
    /// Time for one call when the operator says nothing.
    pub timeout: Duration,
    /// The names of the settings only this protocol knows.
    pub options: Vec<String>,
}

/// A label that means something without configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogEntry {
    /// The label.
    pub name: ProviderName,
    /// As people read it.
    pub title: String,
    /// Its protocol.
    pub protocol: String,
    /// What it makes.
    pub medium: Medium,
    /// Its model id.
    pub model: Option<String>,
    /// The vendor's address.
    pub base_url: Option<String>,
    /// Environment names its key is looked for under, first wins; empty when it needs none.
    pub key_env: Vec<String>,
    /// When the vendor switched its model off, or will.
    pub retired: Option<Retirement>,
    /// Time for one call, where that of its protocol is not enough.
    pub timeout: Option<Duration>,
    /// Most calls in flight at once, where the vendor bounds them.
    pub concurrency: Option<u32>,
    /// Most calls in a minute, where the vendor bounds them.
    pub calls_per_minute: Option<u32>,
    /// Most calls in an hour.
    pub calls_per_hour: Option<u32>,
    /// What the vendor limits, for people: `10 requests a minute`.
    pub limits: Option<String>,
    /// Price of one call in micro-dollars, where no usage is reported.
    pub price_micros: i64,
    /// Settings only the protocol knows, by their defaults.
    pub options: Map<String, Value>,
}
