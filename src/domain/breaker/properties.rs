//! What holds for every breaker, whatever happens to its provider.

use proptest::prelude::*;

use super::*;
use crate::domain::plan::tests::{name, now};

const HOUR: Duration = Duration::from_secs(3_600);
const TRIP_AFTER: u32 = 3;

/// What can happen to a provider's health.
#[derive(Debug, Clone)]
enum Happening {
    Call { is_probe: bool, fingerprint: &'static str, failure: Option<FailureClass> },
    TakeProbe { job: i64, fingerprint: &'static str },
    FreeProbe,
    Pause,
    Reset,
}

fn classes() -> impl Strategy<Value = FailureClass> {
    prop_oneof![
        6 => Just(FailureClass::Transient),
        2 => Just(FailureClass::Unusable),
        2 => Just(FailureClass::TimedOut),
        2 => Just(FailureClass::UnknownOutcome),
        2 => proptest::option::of((0_i64..9_000).prop_map(|s| now() + chrono::TimeDelta::seconds(s)))
            .prop_map(|until| FailureClass::RateLimited { until }),
        1 => Just(FailureClass::Quota { until: None }),
        1 => Just(FailureClass::Auth),
        1 => Just(FailureClass::Retired),
        1 => Just(FailureClass::Invalid),
        1 => Just(FailureClass::Refused { category: None }),
        1 => Just(FailureClass::Internal),
    ]
}

fn happenings() -> impl Strategy<Value = Vec<(u64, Happening)>> {
    let fingerprint = || prop_oneof![5 => Just("f1"), 1 => Just("f2")];
    let failure = proptest::option::weighted(0.8, classes());
    let call = (any::<bool>(), fingerprint(), failure)
        .prop_map(|(is_probe, fingerprint, failure)| Happening::Call { is_probe, fingerprint, failure });
    let probe =
        (0_i64..3, fingerprint()).prop_map(|(job, fingerprint)| Happening::TakeProbe { job, fingerprint });
    let happening = prop_oneof![20 => call, 8 => probe, 2 => Just(Happening::FreeProbe), 1 => Just(Happening::Pause), 1 => Just(Happening::Reset)];
    let passed = prop_oneof![4 => 0_u64..10, 2 => 0_u64..200, 1 => 0_u64..5_000];
    proptest::collection::vec((passed, happening), 1..60)
}

fn is_shut(gate: &Gate) -> bool {
    matches!(gate, Gate::Shut(_))
}

/// How many counted failures came since the last thing that starts the count anew, and whether anything that
/// opens at once did.
#[derive(Default)]
struct Counted {
    failures: u32,
    at_once: bool,
}

impl Counted {
    fn hear(&mut self, failure: Option<&FailureClass>) {
        match failure {
            None => *self = Self::default(),
            Some(
                FailureClass::Transient
                | FailureClass::Unusable
                | FailureClass::TimedOut
                | FailureClass::UnknownOutcome,
            ) => self.failures += 1,
            Some(FailureClass::Quota { .. } | FailureClass::Auth | FailureClass::Retired) => {
                self.at_once = true;
            }
            Some(
                FailureClass::RateLimited { .. }
                | FailureClass::Invalid
                | FailureClass::Refused { .. }
                | FailureClass::Internal,
            ) => {}
        }
    }
}

fn call(
    health: &mut ProviderHealth,
    probe: Option<Probe>,
    at: Timestamp,
    print: &str,
    failure: Option<FailureClass>,
) {
    health.remember(&HealthEvent {
        provider: health.provider.clone(),
        probe,
        at,
        failure: failure.map(|class| (class, "oops".to_owned())),
        fingerprint: print.to_owned(),
        trip_after: TRIP_AFTER,
        local: false,
    });
}

fn check_always(health: &ProviderHealth, at: Timestamp) -> Result<(), TestCaseError> {
    let open_until = health.open_until.unwrap_or(at);
    prop_assert!(open_until <= after(at, HOUR), "open for more than an hour");
    if let Some(hold) = &health.hold {
        prop_assert!(is_shut(&health.gate(at, &hold.fingerprint)), "held, and yet called");
        prop_assert!(is_shut(&health.gate(Timestamp::MAX_UTC, &hold.fingerprint)), "time heals no hold");
        prop_assert!(!is_shut(&health.gate(Timestamp::MAX_UTC, "a new key")));
    } else {
        prop_assert!(!is_shut(&health.gate(Timestamp::MAX_UTC, "f1")), "everything else ends by itself");
    }
    for fingerprint in ["f1", "f2"] {
        let until = match health.gate(at, fingerprint) {
            Gate::Shut(
                SkipReason::Paused { until }
                | SkipReason::BreakerOpen { until }
                | SkipReason::CoolingDown { until }
                | SkipReason::ProbeUnderway { until },
            ) => until,
            Gate::Pass | Gate::Probe | Gate::Shut(_) => continue,
        };
        prop_assert!(until > at, "shut until a time that is past");
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_breaker_keeps_its_rules(happenings in happenings()) {
        let mut health = ProviderHealth::unknown(name("lummi"));
        let mut counted = Counted::default();
        let mut at = now();
        for (passed, happening) in happenings {
            at = after(at, Duration::from_secs(passed));
            let before = health.clone();
            match happening {
                Happening::Call { is_probe, fingerprint, failure } => {
                    let probe = before.probe.filter(|_| is_probe);
                    call(&mut health, probe, at, fingerprint, failure.clone());
                    counted.hear(failure.as_ref());
                    prop_assert!(health.cool_until >= before.cool_until, "a hint shortened the wait");
                    if probe.is_some() || failure.is_none() {
                        prop_assert_eq!(health.probe, None, "freed");
                    } else {
                        prop_assert_eq!(health.probe, before.probe, "who is not the probe frees none");
                        prop_assert!(health.step <= before.step, "who is not the probe doubles nothing");
                    }
                    if failure.is_none() {
                        prop_assert_eq!(health.state, BreakerState::Closed);
                        prop_assert_eq!((health.open_until, &health.hold), (None, &None));
                    }
                }
                Happening::TakeProbe { job, fingerprint } => {
                    let gate = health.gate(at, fingerprint);
                    let until = after(at, Duration::from_secs(90));
                    let probe = Probe::new(JobId(job), until);
                    let taken = health.take_probe(probe, at, fingerprint);
                    prop_assert_eq!(taken, gate == Gate::Probe);
                    if taken {
                        prop_assert!(is_shut(&health.gate(at, fingerprint)), "exactly one probe");
                        let another = Probe::new(JobId(job + 1), until);
                        prop_assert!(!health.take_probe(another, at, fingerprint));
                        prop_assert!(!health.free_probe(another), "another's");
                        prop_assert_eq!(health.gate(until, fingerprint), Gate::Probe, "a dead probe frees it");
                    } else {
                        prop_assert_eq!(&health, &before);
                    }
                }
                Happening::FreeProbe => {
                    if let Some(probe) = health.probe {
                        prop_assert!(health.free_probe(probe));
                        prop_assert_eq!((health.probe, health.step), (None, before.step));
                        prop_assert_ne!(health.state, BreakerState::HalfOpen);
                    }
                }
                Happening::Pause => health.paused_until = Some(after(at, HOUR)),
                Happening::Reset => {
                    health.reset();
                    counted = Counted::default();
                    prop_assert_eq!(health.gate(at, "f1"), Gate::Pass);
                    prop_assert_eq!(&health.last_class, &before.last_class);
                }
            }
            if counted.failures < TRIP_AFTER && !counted.at_once {
                prop_assert_eq!(health.state, BreakerState::Closed, "it opened too early");
            }
            check_always(&health, at)?;
        }
    }

    #[test]
    fn three_failures_in_a_row_let_nobody_pass(happenings in happenings()) {
        let mut health = ProviderHealth::unknown(name("lummi"));
        let mut at = now();
        for (passed, happening) in happenings {
            at = after(at, Duration::from_secs(passed));
            if let Happening::Call { fingerprint, failure, .. } = happening {
                call(&mut health, None, at, fingerprint, failure);
            }
        }
        for _ in 0..TRIP_AFTER {
            call(&mut health, None, at, "f1", Some(FailureClass::Transient));
        }
        // Where it was open already and its time is over, one job finds out.
        prop_assert_ne!(health.gate(at, "f1"), Gate::Pass, "{:?}", health);
    }
}
