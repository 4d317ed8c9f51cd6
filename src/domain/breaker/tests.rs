//! The rules of a breaker, one by one.

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

fn event(at: Timestamp, class: Option<FailureClass>) -> HealthEvent {
    HealthEvent {
        provider: lummi().provider,
        probe: None,
        at,
        failure: class.map(|class| (class, "what happened".to_owned())),
        fingerprint: FINGERPRINT.to_owned(),
        trip_after: 3,
        local: false,
    }
}

fn probe(job: i64, until: Timestamp) -> Probe {
    Probe::new(JobId(job), until)
}

fn of_probe(probe: Probe, at: Timestamp, class: Option<FailureClass>) -> HealthEvent {
    HealthEvent { probe: Some(probe), ..event(at, class) }
}

fn failed(health: &mut ProviderHealth, at: Timestamp, class: FailureClass) {
    health.remember(&event(at, Some(class)));
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
    health.remember(&event(start(), None));
    failed(&mut health, start(), FailureClass::Unusable);
    failed(&mut health, start(), FailureClass::UnknownOutcome);
    assert_eq!(health.gate(start(), FINGERPRINT), Gate::Pass, "a success starts the count anew");
    failed(&mut health, start(), FailureClass::Transient);
    assert_eq!(health.gate(start(), FINGERPRINT), open_until(minutes(1)));
}

#[test]
fn one_real_job_is_the_probe_and_a_dead_one_frees_it() {
    let mut health = tripped();
    assert!(!health.take_probe(probe(7, minutes(2)), start(), FINGERPRINT), "not while it is open");
    assert_eq!(health.gate(minutes(1), FINGERPRINT), Gate::Probe);
    assert!(health.take_probe(probe(7, minutes(2)), minutes(1), FINGERPRINT));
    assert!(!health.take_probe(probe(8, minutes(2)), minutes(1), FINGERPRINT));
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
        let probe = probe(7, after(now, OPEN_BASE));
        assert!(health.take_probe(probe, now, FINGERPRINT));
        health.remember(&of_probe(probe, now, Some(FailureClass::Transient)));
    }
    health.remember(&event(now, None));
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
        health.remember(&HealthEvent { fingerprint, ..event(start(), Some(FailureClass::Transient)) });
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
    let classes = [FailureClass::Invalid, FailureClass::Refused { category: None }, FailureClass::Internal];
    for class in classes {
        let mut health = lummi();
        failed(&mut health, start(), class.clone());
        assert_eq!(health, lummi(), "{class}");
        let mut health = tripped();
        let probe = probe(7, minutes(5));
        assert!(health.take_probe(probe, minutes(1), FINGERPRINT));
        health.remember(&of_probe(probe, minutes(1), Some(class)));
        assert_eq!(health.gate(minutes(1), FINGERPRINT), Gate::Probe);
        assert_eq!(health.state, BreakerState::Open, "half-open means that a probe is under way");
    }
}

#[test]
fn a_pause_ends_by_itself() {
    let mut health = lummi();
    health.paused_until = Some(minutes(5));
    assert_eq!(health.gate(minutes(4), FINGERPRINT), Gate::Shut(SkipReason::Paused { until: minutes(5) }));
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
    health.remember(&HealthEvent { fingerprint, ..event(start(), quota) });
    assert_eq!(health.gate(start(), "f2"), open_until(minutes(5)));
}

fn half_open(probe: Probe) -> ProviderHealth {
    let mut health = tripped();
    assert!(health.take_probe(probe, minutes(1), FINGERPRINT));
    health
}

#[test]
fn only_the_very_probe_is_judged_as_one() {
    let (old, new) = (probe(7, minutes(2)), probe(7, minutes(5)));
    let mut health = half_open(old);
    assert!(health.take_probe(new, minutes(2), FINGERPRINT), "the old one's lease has ended");
    let before = health.clone();
    for class in [FailureClass::Transient, FailureClass::Refused { category: None }] {
        health.remember(&of_probe(old, minutes(3), Some(class)));
        assert_eq!((health.state, health.probe), (BreakerState::HalfOpen, Some(new)));
    }
    assert!(!health.free_probe(old), "it is another's, of the same job");
    assert_eq!((health.step, health.open_until), (before.step, before.open_until));
    let mut healed = health.clone();
    healed.remember(&of_probe(old, minutes(3), None));
    assert_eq!((healed.state, healed.probe), (BreakerState::Closed, None), "a success is news all the same");
    health.remember(&of_probe(new, minutes(3), Some(FailureClass::Transient)));
    assert_eq!(health.gate(minutes(3), FINGERPRINT), open_until(minutes(5)));
}

#[test]
fn late_failures_leave_a_probe_and_an_open_end_as_they_are() {
    let running = probe(7, minutes(5));
    let mut health = half_open(running);
    for _ in 0..60 {
        failed(&mut health, minutes(2), FailureClass::TimedOut);
    }
    assert_eq!((health.state, health.probe, health.step), (BreakerState::HalfOpen, Some(running), 0));
    let mut health = tripped();
    failed(&mut health, minutes(2), FailureClass::TimedOut);
    assert_eq!(health.gate(minutes(2), FINGERPRINT), Gate::Probe, "its time is over: somebody finds out");
}

#[test]
fn a_probe_that_came_to_nothing_is_free_at_once_and_costs_nothing() {
    let running = probe(7, minutes(5));
    let mut health = half_open(running);
    assert!(health.free_probe(running));
    assert_eq!((health.state, health.step, health.consecutive_failures), (BreakerState::Open, 0, 3));
    assert_eq!(health.gate(minutes(1), FINGERPRINT), Gate::Probe);
    assert!(!health.free_probe(running), "once");
}

#[test]
fn a_local_maker_is_not_blamed_for_the_words_it_was_given() {
    let unusable = || HealthEvent { local: true, ..event(start(), Some(FailureClass::Unusable)) };
    let mut health = lummi();
    for _ in 0..10 {
        health.remember(&unusable());
    }
    assert_eq!(health, lummi());
    let running = probe(7, minutes(5));
    let mut health = half_open(running);
    health.remember(&HealthEvent { probe: Some(running), ..unusable() });
    assert_eq!((health.state, health.probe), (BreakerState::Open, None));
    for _ in 0..3 {
        health.remember(&HealthEvent { local: true, ..event(minutes(1), Some(FailureClass::TimedOut)) });
    }
    assert_eq!(health.consecutive_failures, 6, "a program that hangs is to blame");
}
