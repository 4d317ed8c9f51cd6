//! Why a link is not called.

use std::fmt;
use std::time::Duration;

use chrono::NaiveDate;

use super::asset::Medium;
use super::budget::UsedUp;
use super::pace::AtLimit;
use super::time::{Timestamp, after, to_text};

/// The reason that a skipped link gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SkipReason {
    /// No configuration and no catalog entry has this label (any more).
    Unknown,
    /// This build does not speak its protocol.
    NotSupported {
        /// The protocol's name.
        protocol: String,
    },
    /// It makes something else.
    WrongMedium {
        /// What it makes.
        makes: Medium,
    },
    /// The vendor has switched the model off.
    Retired {
        /// When.
        on: NaiveDate,
        /// What to use instead.
        advice: String,
    },
    /// Its key is not at hand.
    NoKey {
        /// Where it was looked for.
        looked_in: String,
    },
    /// The operator paused it.
    Paused {
        /// Until when.
        until: Timestamp,
    },
    /// Its breaker is open.
    BreakerOpen {
        /// Until when.
        until: Timestamp,
    },
    /// The vendor refused its key, or called its model gone; holds until its configuration changes.
    Held {
        /// `auth` or `retired`.
        class: &'static str,
    },
    /// The vendor asked for fewer calls.
    CoolingDown {
        /// Until when.
        until: Timestamp,
    },
    /// Its breaker is half-open, and another job is the probe.
    ProbeUnderway {
        /// When the probe's lease ends.
        until: Timestamp,
    },
    /// It refused this prompt in an earlier run of the job.
    RefusedBefore,
    /// Its budget or the asset's is used up.
    OverBudget(UsedUp),
    /// It was called as often as it may be, for now.
    AtLimit(AtLimit),
    /// All its calls are taken by other jobs, for longer than this run can wait.
    Busy,
    /// The run's deadline leaves no time for a call.
    NotEnoughTime,
    /// The run had moved past it before it was taken up, and why is not written down.
    PassedBefore,
    /// The fate of a paid call is not known, and its operator wants a person to decide.
    PersonDecides,
}

impl SkipReason {
    /// When the reason goes away by itself, for those that do.
    #[must_use]
    pub fn heals_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            Self::BreakerOpen { until } | Self::CoolingDown { until } => Some(*until),
            Self::AtLimit(limit) => Some(limit.until),
            Self::Busy => Some(after(now, BUSY_WAIT)),
            // The probe usually ends long before its lease does.
            Self::ProbeUnderway { until } => Some((*until).min(after(now, PROBE_WAIT))),
            Self::Unknown
            | Self::NotSupported { .. }
            | Self::WrongMedium { .. }
            | Self::Retired { .. }
            | Self::NoKey { .. }
            | Self::Paused { .. }
            | Self::Held { .. }
            | Self::RefusedBefore
            | Self::OverBudget(_)
            | Self::NotEnoughTime
            | Self::PassedBefore
            | Self::PersonDecides => None,
        }
    }
}

/// How soon a job that found every call taken looks again.
const BUSY_WAIT: Duration = Duration::from_secs(30);

/// How soon a job that met somebody else's probe looks again.
const PROBE_WAIT: Duration = Duration::from_secs(60);

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no such provider is configured"),
            Self::NotSupported { protocol } => write!(f, "not supported yet (protocol {protocol})"),
            Self::WrongMedium { makes } => write!(f, "it makes {makes}"),
            Self::Retired { on, advice } => write!(f, "retired model: switched off on {on}; {advice}"),
            Self::NoKey { looked_in } => write!(f, "no key: {looked_in} is not set"),
            Self::Paused { until } => write!(f, "paused until {}", to_text(*until)),
            Self::BreakerOpen { until } => write!(f, "breaker open until {}", to_text(*until)),
            Self::Held { class: "auth" } => {
                f.write_str("its key was refused; off until the key or the configuration changes")
            }
            Self::Held { .. } => f.write_str("its model is gone; off until the configuration changes"),
            Self::CoolingDown { until } => write!(f, "rate limited until {}", to_text(*until)),
            Self::ProbeUnderway { .. } => f.write_str("breaker half-open, another job is the probe"),
            Self::RefusedBefore => f.write_str("it refused this prompt before"),
            Self::OverBudget(used_up) => used_up.fmt(f),
            Self::AtLimit(limit) => limit.fmt(f),
            Self::Busy => f.write_str("all its calls are taken"),
            Self::NotEnoughTime => f.write_str("not enough time left"),
            Self::PassedBefore => f.write_str("passed before this run was interrupted"),
            Self::PersonDecides => {
                f.write_str("not tried: a call before it may have been paid, a person decides")
            }
        }
    }
}
