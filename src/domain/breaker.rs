//! What is remembered of a provider, and whether it may be called.

use std::time::Duration;

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
/// by the passing of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// The job.
    pub job: JobId,
    /// The end of its lease.
    pub until: Timestamp,
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
    /// For which job.
    pub job: JobId,
    /// When it ended.
    pub at: Timestamp,
    /// The failure, or `None` for a delivery.
    pub failure: Option<(FailureClass, String)>,
    /// The provider's fingerprint when it was called.
    pub fingerprint: String,
    /// Its `trip_after`.
    pub trip_after: u32,
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

    /// Gives the probe to `job` if the gate asks for one; `false` when it is not to be had.
    pub fn take_probe(&mut self, job: JobId, now: Timestamp, until: Timestamp, fingerprint: &str) -> bool {
        if self.gate(now, fingerprint) != Gate::Probe {
            return false;
        }
        self.state = BreakerState::HalfOpen;
        self.probe = Some(Probe { job, until });
        true
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
        let was_probe = self.probe.is_some_and(|probe| probe.job == event.job);
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
            | FailureClass::UnknownOutcome => self.count_failure(event),
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

    fn count_failure(&mut self, event: &HealthEvent) {
        self.consecutive_failures = self.consecutive_failures.saturating_add(1);
        let still_open = self.open_until.is_some_and(|until| until > event.at);
        match self.state {
            BreakerState::Closed if self.consecutive_failures < event.trip_after.max(1) => return,
            BreakerState::Closed => self.step = 0,
            // Calls that were in flight when it opened must not double its time.
            // A clock that was set back may have its end ahead again when the probe fails.
            BreakerState::Open | BreakerState::HalfOpen if still_open || self.hold.is_some() => {
                self.state = BreakerState::Open;
                return;
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
mod tests {
    use super::*;
    use crate::domain::time::from_text;

    const FINGERPRINT: &str = "f1";

    fn start() -> Timestamp {
        from_text("2026-11-22T13:49:00.000Z").expect("valid")
    }

    fn minutes(count: u64) -> Timestamp {
        after(start(), Duration::from_secs(60 * count))
    }

    fn lummi() -> ProviderHealth {
        ProviderHealth::unknown(ProviderName::parse("lummi").expect("valid"))
    }

    fn event(job: i64, at: Timestamp, class: Option<FailureClass>) -> HealthEvent {
        HealthEvent {
            provider: lummi().provider,
            job: JobId(job),
            at,
            failure: class.map(|class| (class, "what happened".to_owned())),
            fingerprint: FINGERPRINT.to_owned(),
            trip_after: 3,
        }
    }

    fn failed(health: &mut ProviderHealth, at: Timestamp, class: FailureClass) {
        health.remember(&event(1, at, Some(class)));
    }

    fn tripped() -> ProviderHealth {
        let mut health = lummi();
        for _ in 0..3 {
            failed(&mut health, start(), FailureClass::Transient);
        }
        health
    }

    fn open_until(until: Timestamp) -> Gate {
        Gate::Shut(SkipReason::BreakerOpen { until })
    }

    #[test]
    fn it_opens_after_three_counted_failures_in_a_row_and_not_before() {
        let mut health = lummi();
        failed(&mut health, start(), FailureClass::Transient);
        failed(&mut health, start(), FailureClass::TimedOut);
        assert_eq!(health.gate(start(), FINGERPRINT), Gate::Pass);
        health.remember(&event(1, start(), None));
        failed(&mut health, start(), FailureClass::Unusable);
        failed(&mut health, start(), FailureClass::UnknownOutcome);
        assert_eq!(health.gate(start(), FINGERPRINT), Gate::Pass, "a success starts the count anew");
        failed(&mut health, start(), FailureClass::Transient);
        assert_eq!(health.gate(start(), FINGERPRINT), open_until(minutes(1)));
    }

    #[test]
    fn one_real_job_is_the_probe_and_a_dead_one_frees_it() {
        let mut health = tripped();
        assert!(!health.take_probe(JobId(7), start(), minutes(2), FINGERPRINT), "not while it is open");
        assert_eq!(health.gate(minutes(1), FINGERPRINT), Gate::Probe);
        assert!(health.take_probe(JobId(7), minutes(1), minutes(2), FINGERPRINT));
        assert!(!health.take_probe(JobId(8), minutes(1), minutes(2), FINGERPRINT));
        let underway = Gate::Shut(SkipReason::ProbeUnderway { until: minutes(2) });
        assert_eq!(health.gate(minutes(1), FINGERPRINT), underway);
        assert_eq!(health.gate(minutes(2), FINGERPRINT), Gate::Probe, "the probe's lease has ended");
    }

    #[test]
    fn a_probe_beyond_reason_is_none() {
        let mut health = ProviderHealth::unknown(ProviderName::parse("lummi").expect("valid"));
        let now = Timestamp::UNIX_EPOCH;
        health.state = BreakerState::HalfOpen;
        let mut check = |until, expected| {
            health.probe = Some(Probe { job: JobId(1), until });
            assert_eq!(health.gate(now, "f"), expected);
        };
        let near = after(now, LONGEST_PROBE);
        check(near, Gate::Shut(SkipReason::ProbeUnderway { until: near }));
        check(after(near, Duration::from_secs(1)), Gate::Probe);
    }

    #[test]
    fn a_probe_closes_it_or_doubles_its_time_up_to_an_hour() {
        let mut health = tripped();
        let mut now = start();
        for wanted in [1_u64, 2, 4, 8, 16, 32, 60, 60] {
            let until = after(now, Duration::from_secs(60 * wanted));
            assert_eq!(health.gate(now, FINGERPRINT), open_until(until));
            now = until;
            assert!(health.take_probe(JobId(7), now, after(now, OPEN_BASE), FINGERPRINT));
            health.remember(&event(7, now, Some(FailureClass::Transient)));
        }
        health.remember(&event(9, now, None));
        assert_eq!(health.gate(now, FINGERPRINT), Gate::Pass);
        assert_eq!((health.consecutive_failures, health.step, health.state), (0, 0, BreakerState::Closed));
    }

    #[test]
    fn late_failures_of_calls_in_flight_do_not_double_it() {
        let mut health = tripped();
        for _ in 0..60 {
            failed(&mut health, start(), FailureClass::Transient);
        }
        assert_eq!(health.gate(start(), FINGERPRINT), open_until(minutes(1)));
    }

    #[test]
    fn quota_opens_at_once_until_the_hint_or_an_hour() {
        let mut health = lummi();
        failed(&mut health, start(), FailureClass::Quota { until: None });
        assert_eq!(health.gate(start(), FINGERPRINT), open_until(minutes(60)));
        let mut health = lummi();
        failed(&mut health, start(), FailureClass::Quota { until: Some(minutes(600)) });
        assert_eq!(health.gate(minutes(599), FINGERPRINT), open_until(minutes(600)));
    }

    #[test]
    fn a_bad_key_holds_until_the_configuration_changes() {
        for (class, word) in [(FailureClass::Auth, "auth"), (FailureClass::Retired, "retired")] {
            let mut health = lummi();
            failed(&mut health, start(), class);
            let held = Gate::Shut(SkipReason::Held { class: word });
            assert_eq!(health.gate(minutes(100_000), FINGERPRINT), held);
            assert_eq!(health.gate(start(), "another key"), Gate::Pass);
            health.reset();
            assert_eq!(health.gate(start(), FINGERPRINT), Gate::Pass);
            assert_eq!(health.last_class.as_deref(), Some(word), "a reset keeps the history");
        }
    }

    #[test]
    fn a_new_key_is_judged_anew() {
        let mut health = lummi();
        failed(&mut health, start(), FailureClass::Auth);
        for _ in 0..3 {
            let fingerprint = "f2".to_owned();
            health.remember(&HealthEvent { fingerprint, ..event(1, start(), Some(FailureClass::Transient)) });
        }
        assert_eq!(health.gate(start(), "f2"), open_until(minutes(1)));
    }

    #[test]
    fn a_later_shorter_hint_does_not_shorten_the_wait() {
        let mut health = lummi();
        failed(&mut health, start(), FailureClass::RateLimited { until: Some(minutes(10)) });
        failed(&mut health, start(), FailureClass::RateLimited { until: Some(minutes(2)) });
        let cooling = Gate::Shut(SkipReason::CoolingDown { until: minutes(10) });
        assert_eq!(health.gate(minutes(9), FINGERPRINT), cooling);
        assert_eq!(health.gate(minutes(10), FINGERPRINT), Gate::Pass);
        assert_eq!(health.consecutive_failures, 0, "a rate limit is no failure of the provider");
    }

    #[test]
    fn what_is_not_the_providers_fault_changes_nothing_but_frees_the_probe() {
        let classes =
            [FailureClass::Invalid, FailureClass::Refused { category: None }, FailureClass::Internal];
        for class in classes {
            let mut health = lummi();
            failed(&mut health, start(), class.clone());
            assert_eq!(health, lummi(), "{class}");
            let mut health = tripped();
            assert!(health.take_probe(JobId(7), minutes(1), minutes(5), FINGERPRINT));
            health.remember(&event(7, minutes(1), Some(class)));
            assert_eq!(health.gate(minutes(1), FINGERPRINT), Gate::Probe);
            assert_eq!(health.state, BreakerState::Open, "half-open means that a probe is under way");
        }
    }

    #[test]
    fn a_pause_ends_by_itself() {
        let mut health = lummi();
        health.paused_until = Some(minutes(5));
        assert_eq!(
            health.gate(minutes(4), FINGERPRINT),
            Gate::Shut(SkipReason::Paused { until: minutes(5) })
        );
        assert_eq!(health.gate(minutes(5), FINGERPRINT), Gate::Pass);
    }

    #[test]
    fn an_open_breaker_that_also_cools_names_the_later_end() {
        let mut health = tripped();
        failed(&mut health, start(), FailureClass::RateLimited { until: Some(minutes(9)) });
        assert_eq!(health.gate(start(), FINGERPRINT), open_until(minutes(9)));
        let mut health = tripped();
        let hint = Some(after(start(), Duration::from_secs(30)));
        failed(&mut health, start(), FailureClass::RateLimited { until: hint });
        assert_eq!(health.gate(start(), FINGERPRINT), open_until(minutes(1)));
    }

    #[test]
    fn what_the_old_key_had_left_open_does_not_bind_the_new_one() {
        let mut health = lummi();
        failed(&mut health, start(), FailureClass::Auth);
        failed(&mut health, start(), FailureClass::Quota { until: Some(minutes(600)) });
        let fingerprint = "f2".to_owned();
        let quota = Some(FailureClass::Quota { until: Some(minutes(5)) });
        health.remember(&HealthEvent { fingerprint, ..event(1, start(), quota) });
        assert_eq!(health.gate(start(), "f2"), open_until(minutes(5)));
    }
}
