//! What is remembered of a provider, and whether it may be called.

use std::time::Duration;

use chrono::SubsecRound;

use super::failure::FailureClass;
use super::job::JobId;
use super::name::ProviderName;
use super::skip::SkipReason;
use super::time::{Timestamp, after};

/// How long a breaker stays open the first time.
const OPEN_BASE: Duration = Duration::from_secs(60);
/// The longest it stays open by doubling.
const OPEN_CAP: Duration = Duration::from_secs(3_600);
/// Quota whose end the vendor does not name.
const QUOTA_UNKNOWN: Duration = Duration::from_secs(3_600);
/// A rate limit whose end the vendor does not name.
const COOL_UNKNOWN: Duration = Duration::from_secs(30);

/// No probe is leased for longer: more than any call may take.
const LONGEST_PROBE: Duration = Duration::from_secs(7 * 86_400);

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BreakerState {
    /// Calls go through.
    #[default]
    Closed,
    /// No call goes through until its time is up.
    Open,
    /// One probe is under way.
    HalfOpen,
}

impl BreakerState {
    /// As it is spelled in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }

    /// Reads the spelling of [`BreakerState::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Closed, Self::Open, Self::HalfOpen].into_iter().find(|state| state.as_str() == text)
    }
}

/// The one job that tries a half-open provider, and until when it holds that right. A probe that dies frees it
/// by the passing of time. Its job alone does not name it: another worker may probe for the same job later, so
/// only who holds the very same job and end speaks as the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The job.
    pub job: JobId,
    /// The end of its lease.
    pub until: Timestamp,
}

impl Probe {
    /// A probe as its row keeps it, to the millisecond: what its holder remembers must be equal to it.
    #[must_use]
    pub fn new(job: JobId, until: Timestamp) -> Self {
        Self { job, until: until.trunc_subsecs(3) }
    }
}

/// A verdict that time does not heal: it holds as long as the provider is configured as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// `auth` or `retired`.
    pub class: &'static str,
    /// The provider's configuration fingerprint when it was spoken.
    pub fingerprint: String,
}

/// What is remembered of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderHealth {
    /// Whose health.
    pub provider: ProviderName,
    /// Where its breaker stands.
    pub state: BreakerState,
    /// Counted failures since the last success.
    pub consecutive_failures: u32,
    /// Its last delivery.
    pub last_success_at: Option<Timestamp>,
    /// Its last failure that says something about it.
    pub last_failure_at: Option<Timestamp>,
    /// What that was.
    pub last_error: Option<String>,
    /// Its class, as spelled in rows.
    pub last_class: Option<String>,
    /// The end of an open breaker.
    pub open_until: Option<Timestamp>,
    /// How often it has doubled.
    pub step: u32,
    /// The latest hint of a rate limit.
    pub cool_until: Option<Timestamp>,
    /// The operator's pause.
    pub paused_until: Option<Timestamp>,
    /// The probe under way.
    pub probe: Option<Probe>,
    /// `auth` or `retired`.
    pub hold: Option<Hold>,
}

/// The answer to: may this provider be called now?
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Yes.
    Pass,
    /// By one job, which takes the probe first.
    Probe,
    /// No, for this reason.
    Shut(SkipReason),
}

/// What a finished call says about its provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthEvent {
    /// Whose call.
    pub provider: ProviderName,
    /// The probe that the call was, where it was one.
    pub probe: Option<Probe>,
    /// When it ended.
    pub at: Timestamp,
    /// The failure, or `None` for a delivery.
    pub failure: Option<(FailureClass, String)>,
    /// The provider's fingerprint when it was called.
    pub fingerprint: String,
    /// Its `trip_after`.
    pub trip_after: u32,
    /// Whether it is a local maker ([`super::provider::Provider::is_local`]): what it makes of a job's words is
    /// unusable because of the words.
    pub local: bool,
}

impl ProviderHealth {
    /// A provider nothing is known of yet.
    #[must_use]
    pub fn unknown(provider: ProviderName) -> Self {
        Self {
            provider,
            state: BreakerState::Closed,
            consecutive_failures: 0,
            last_success_at: None,
            last_failure_at: None,
            last_error: None,
            last_class: None,
            open_until: None,
            step: 0,
            cool_until: None,
            paused_until: None,
            probe: None,
            hold: None,
        }
    }

    /// Whether a provider configured with this fingerprint may be called.
    #[must_use]
    pub fn gate(&self, now: Timestamp, fingerprint: &str) -> Gate {
        let ahead = |until: Option<Timestamp>| until.filter(|until| *until > now);
        if let Some(until) = ahead(self.paused_until) {
            return Gate::Shut(SkipReason::Paused { until });
        }
        if self.state != BreakerState::Closed {
            match &self.hold {
                Some(hold) if hold.fingerprint == fingerprint => {
                    return Gate::Shut(SkipReason::Held { class: hold.class });
                }
                // Another key or model: what was held against the old one says nothing any more.
                Some(_) => return Gate::Pass,
                None => {}
            }
            if let Some(until) = ahead(self.open_until) {
                // Whoever comes back at the earlier of the two would only meet the later one.
                let until = self.cool_until.map_or(until, |cool| cool.max(until));
                return Gate::Shut(SkipReason::BreakerOpen { until });
            }
        }
        if let Some(until) = ahead(self.cool_until) {
            return Gate::Shut(SkipReason::CoolingDown { until });
        }
        if self.state == BreakerState::Closed {
            return Gate::Pass;
        }
        // A probe for longer than any call was given under a wrong clock or by hand; nobody would ever return it.
        let farthest = after(now, LONGEST_PROBE);
        match ahead(self.probe.map(|probe| probe.until)).filter(|until| *until <= farthest) {
            Some(until) => Gate::Shut(SkipReason::ProbeUnderway { until }),
            None => Gate::Probe,
        }
    }

    /// Gives the probe away if the gate asks for one; `false` when it is not to be had.
    pub fn take_probe(&mut self, probe: Probe, now: Timestamp, fingerprint: &str) -> bool {
        if self.gate(now, fingerprint) != Gate::Probe {
            return false;
        }
        self.state = BreakerState::HalfOpen;
        self.probe = Some(probe);
        true
    }

    /// Takes a probe back that came to nothing: its call was not made, or was stopped. The next job probes, and
    /// nothing is held against the provider. `false` where the probe is another's by now.
    pub fn free_probe(&mut self, probe: Probe) -> bool {
        let is_it = self.probe == Some(probe);
        if is_it {
            self.probe = None;
            self.reopen_unproven(true);
        }
        is_it
    }

    /// Remembers a finished call.
    pub fn remember(&mut self, event: &HealthEvent) {
        if self.hold.as_ref().is_some_and(|hold| hold.fingerprint != event.fingerprint) {
            // Held against a key or model that is no longer configured.
            self.hold = None;
            self.state = BreakerState::Closed;
            self.consecutive_failures = 0;
            self.open_until = None;
            self.step = 0;
        }
        let was_probe = self.probe.is_some() && self.probe == event.probe;
        if was_probe {
            self.probe = None;
        }
        let Some((class, error)) = &event.failure else {
            return self.remember_success(event.at);
        };
        match class {
            FailureClass::Invalid | FailureClass::Refused { .. } | FailureClass::Internal => {
                self.reopen_unproven(was_probe);
                return;
            }
            FailureClass::Unusable if event.local => {
                self.reopen_unproven(was_probe);
                return;
            }
            FailureClass::RateLimited { until } => {
                let hint = until.unwrap_or_else(|| after(event.at, COOL_UNKNOWN));
                // A later, shorter hint must not shorten the wait.
                self.cool_until = self.cool_until.max(Some(hint));
                self.reopen_unproven(was_probe);
            }
            FailureClass::Quota { until } => {
                let until = until.unwrap_or_else(|| after(event.at, QUOTA_UNKNOWN));
                self.state = BreakerState::Open;
                self.open_until = self.open_until.max(Some(until));
            }
            FailureClass::Auth | FailureClass::Retired => {
                self.state = BreakerState::Open;
                self.open_until = None;
                self.hold = Some(Hold { class: class.as_str(), fingerprint: event.fingerprint.clone() });
            }
            FailureClass::Transient
            | FailureClass::Unusable
            | FailureClass::TimedOut
            | FailureClass::UnknownOutcome => self.count_failure(event, was_probe),
        }
        self.last_failure_at = Some(event.at);
        self.last_error = Some(error.clone());
        self.last_class = Some(class.as_str().to_owned());
    }

    /// Forgets everything that keeps the provider from being called, but not its history.
    pub fn reset(&mut self) {
        let fresh = Self::unknown(self.provider.clone());
        *self = Self {
            last_success_at: self.last_success_at,
            last_failure_at: self.last_failure_at,
            last_error: self.last_error.take(),
            last_class: self.last_class.take(),
            ..fresh
        };
    }

    fn remember_success(&mut self, at: Timestamp) {
        self.state = BreakerState::Closed;
        self.consecutive_failures = 0;
        self.step = 0;
        self.open_until = None;
        self.probe = None;
        self.hold = None;
        self.last_success_at = Some(at);
    }

    /// A probe that proved nothing frees the right to probe; the next job tries.
    fn reopen_unproven(&mut self, was_probe: bool) {
        if was_probe && self.state == BreakerState::HalfOpen {
            self.state = BreakerState::Open;
        }
    }

    fn count_failure(&mut self, event: &HealthEvent, was_probe: bool) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        let still_open = self.open_until.is_some_and(|until| until > event.at);
        match self.state {
            BreakerState::Closed if self.consecutive_failures < event.trip_after.max(1) => return,
            BreakerState::Closed => self.step = 0,
            // Calls that were in flight when it opened say what is known already: they neither double its time nor
            // shut it under the probe that is to find out.
            BreakerState::Open | BreakerState::HalfOpen if !was_probe => return,
            BreakerState::Open | BreakerState::HalfOpen if still_open || self.hold.is_some() => {
                return self.reopen_unproven(true);
            }
            BreakerState::Open | BreakerState::HalfOpen => self.step = self.step.saturating_add(1),
        }
        let factor = 1_u32.checked_shl(self.step).unwrap_or(u32::MAX);
        self.state = BreakerState::Open;
        self.open_until = Some(after(event.at, OPEN_BASE.saturating_mul(factor).min(OPEN_CAP)));
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
