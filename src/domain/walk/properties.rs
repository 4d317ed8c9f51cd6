//! What holds for every walk: any chain, any outcomes, any clock, any jitter.

use proptest::prelude::*;

use super::tests::{RULES, at, job};
use super::*;
use crate::domain::budget::tests::used_up;
use crate::domain::pace::{AtLimit, Window};
use crate::domain::plan::tests::{name, now};
use crate::domain::time::to_text;

/// One call as the world plays it, over and over again until the run ends: how many milliseconds it takes, what it comes to, and the jitter after it.
type Played = (u64, Outcome, f64);

fn seconds(most: u64) -> impl Strategy<Value = Timestamp> {
    (0..=most).prop_map(at)
}

fn skip_reasons() -> impl Strategy<Value = SkipReason> {
    prop_oneof![
        Just(SkipReason::Unknown),
        Just(SkipReason::RefusedBefore),
        Just(SkipReason::OverBudget(used_up())),
        Just(SkipReason::Held { class: "auth" }),
        seconds(2_000).prop_map(|until| SkipReason::Paused { until }),
        seconds(2_000).prop_map(|until| SkipReason::BreakerOpen { until }),
        seconds(2_000).prop_map(|until| SkipReason::CoolingDown { until }),
        seconds(2_000).prop_map(|until| SkipReason::ProbeUnderway { until }),
    ]
}

fn classes() -> impl Strategy<Value = FailureClass> {
    prop_oneof![
        4 => Just(FailureClass::Transient),
        2 => proptest::option::of(seconds(2_000)).prop_map(|until| FailureClass::RateLimited { until }),
        1 => proptest::option::of(seconds(2_000)).prop_map(|until| FailureClass::Quota { until }),
        1 => Just(FailureClass::Auth),
        1 => Just(FailureClass::Retired),
        1 => Just(FailureClass::Invalid),
        1 => Just(FailureClass::Refused { category: None }),
        3 => Just(FailureClass::Unusable),
        3 => Just(FailureClass::TimedOut),
        3 => Just(FailureClass::UnknownOutcome),
        1 => Just(FailureClass::Internal),
    ]
}

fn no_rooms() -> impl Strategy<Value = NoRoom> {
    let limit = |until| NoRoom::AtLimit(AtLimit { window: Window::Hour, most: 10, until });
    prop_oneof![Just(NoRoom::Taken), seconds(2_000).prop_map(limit)]
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        2 => Just(Outcome::Delivered),
        18 => classes().prop_map(|class| Outcome::Failed(class, "oops".to_owned())),
        1 => skip_reasons().prop_map(Outcome::Skipped),
    ]
}

fn jitters() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 0.0..=1.0, 1 => proptest::num::f64::ANY]
}

fn played() -> impl Strategy<Value = Vec<Played>> {
    let took = prop_oneof![0_u64..2_000, 0_u64..200_000];
    proptest::collection::vec((took, outcomes(), jitters()), 1..12)
}

fn on_unknown() -> impl Strategy<Value = OnUnknown> {
    prop_oneof![Just(OnUnknown::Next), Just(OnUnknown::Retry), Just(OnUnknown::Manual)]
}

fn decisions() -> impl Strategy<Value = Decision> {
    let timeouts = prop_oneof![1_u64..3_000, 1_000_u64..600_000];
    let call = (timeouts, 0_u32..4).prop_map(|(timeout, retries)| {
        Decision::Call(CallRules { timeout: Duration::from_millis(timeout), retries, ..RULES })
    });
    prop_oneof![3 => call, 1 => skip_reasons().prop_map(Decision::Skip)]
}

fn plans() -> impl Strategy<Value = Plan> {
    proptest::collection::vec((decisions(), on_unknown()), 1..=8).prop_map(|links| {
        let link = |(place, (decision, on_unknown)): (usize, (Decision, OnUnknown))| PlannedLink {
            provider: name(&format!("p{place}")),
            title: String::new(),
            decision,
            on_unknown,
        };
        Plan { links: links.into_iter().enumerate().map(link).collect(), straight_to_person: false }
    })
}

fn job_rules() -> impl Strategy<Value = JobRules> {
    let exhausted = prop_oneof![Just(OnExhausted::Manual), Just(OnExhausted::Fail)];
    (0_u32..4, 0_u32..4, 0_u64..4_000, exhausted, 0_u64..1_000).prop_map(
        |(counted_runs, max_runs, give_up_after, on_exhausted, deadline)| JobRules {
            counted_runs,
            max_runs,
            give_up_after: Duration::from_secs(give_up_after),
            on_exhausted,
            deadline: at(deadline),
            ..job()
        },
    )
}

/// What was seen of one walk.
struct Seen {
    plan: Plan,
    rules: JobRules,
    calls: Vec<u32>,
    current: Option<usize>,
    reserved: Duration,
    told: Option<Outcome>,
    now: Timestamp,
}

impl Seen {
    fn new(plan: Plan, rules: JobRules) -> Self {
        let calls = vec![0; plan.links.len()];
        Self { plan, rules, calls, current: None, reserved: Duration::ZERO, told: None, now: now() }
    }

    fn rules_of(&self, position: usize) -> Option<CallRules> {
        match self.plan.links[position].decision {
            Decision::Call(rules) => Some(rules),
            Decision::Skip(_) => None,
        }
    }

    /// What the links after this one need to be tried once, each its time-out or its fair share of what is left.
    fn needed_after(&self, position: usize) -> Duration {
        let later: Vec<Duration> = (position + 1..self.plan.links.len())
            .filter_map(|later| self.rules_of(later).map(|rules| rules.timeout))
            .collect();
        let share = between(self.now, self.rules.deadline) / u32::try_from(later.len() + 1).expect("few");
        later.into_iter().map(|timeout| timeout.min(share)).sum()
    }

    fn check_call(&mut self, call: &Call) -> Result<(), TestCaseError> {
        let rules = self.rules_of(call.position);
        prop_assert_eq!(rules, Some(call.rules), "a skipped link is called");
        prop_assert_eq!(&call.provider, &self.plan.links[call.position].provider);
        prop_assert!(self.current <= Some(call.position), "it goes back");
        if self.current != Some(call.position) {
            self.current = Some(call.position);
            self.reserved = self.needed_after(call.position);
        }
        let calls = &mut self.calls[call.position];
        prop_assert_eq!(call.repeat, *calls);
        *calls += 1;
        prop_assert!(*calls <= 1 + call.rules.retries.max(1), "called {calls} times");
        prop_assert!(!call.time.is_zero() && call.time <= call.rules.timeout);
        let left = between(after(self.now, call.time), self.rules.deadline);
        prop_assert!(after(self.now, call.time) <= self.rules.deadline);
        prop_assert!(left >= self.reserved, "{left:?} left of {:?} needed", self.reserved);
        Ok(())
    }

    fn check_end(&self, end: &End, reasons: &[LinkReason]) -> Result<(), TestCaseError> {
        let all = self.plan.links.len();
        let passed = match end {
            End::Delivered { position, provider, fallback_used } => {
                prop_assert_eq!(&self.told, &Some(Outcome::Delivered));
                prop_assert_eq!(Some(*position), self.current, "the link that delivered");
                prop_assert_eq!(provider, &self.plan.links[*position].provider);
                prop_assert_eq!(*fallback_used, *position > 0);
                *position
            }
            End::ComeBackHere(until) => {
                prop_assert!(matches!(self.told, Some(Outcome::Failed(FailureClass::Internal, _))));
                let wait = between(self.now, *until).as_secs();
                prop_assert!((5..=300).contains(&wait), "{wait}");
                self.current.expect("it was called") + 1
            }
            End::ComeBackAt(until) => {
                prop_assert!(self.may_come_back());
                let most = HEALS_SOON + Duration::from_secs(6);
                prop_assert!(*until >= self.now && between(self.now, *until) <= most);
                all
            }
            End::AskPerson => {
                prop_assert!(self.rules.on_exhausted == OnExhausted::Manual || self.person_decides());
                all
            }
            End::Fail => {
                prop_assert!(self.rules.on_exhausted == OnExhausted::Fail);
                all
            }
        };
        let places: Vec<usize> = reasons.iter().map(|reason| reason.position).collect();
        prop_assert_eq!(places, (0..passed).collect::<Vec<_>>(), "one reason for every link, in order");
        for reason in reasons {
            prop_assert!(!reason.why.is_empty());
            prop_assert_eq!(&reason.provider, &self.plan.links[reason.position].provider);
        }
        Ok(())
    }

    fn may_come_back(&self) -> bool {
        let young = between(self.rules.first_claimed_at, self.now) < self.rules.give_up_after;
        young && self.rules.counted_runs + 1 < self.rules.max_runs
    }

    fn person_decides(&self) -> bool {
        let wants = |position: usize| self.plan.links[position].on_unknown == OnUnknown::Manual;
        let unknown = matches!(self.told, Some(Outcome::Failed(FailureClass::UnknownOutcome, _)));
        unknown && self.current.is_some_and(wants)
    }
}

fn check_walk(plan: Plan, rules: JobRules, jitter: f64, played: Vec<Played>) -> Result<(), TestCaseError> {
    let mut walk = Walk::new(&plan, rules);
    let mut seen = Seen::new(plan, rules);
    let mut played = played.into_iter().cycle();
    // At most five calls a link, each with one wait before it.
    for _ in 0..=seen.plan.links.len() * 10 {
        match walk.next(seen.now, jitter) {
            Step::Call(call) => {
                seen.check_call(&call)?;
                prop_assert_eq!(
                    walk.next(seen.now, jitter),
                    Step::Call(call),
                    "asked twice, it says the same"
                );
                let (took, outcome, jitter) = played.next().expect("it never ends");
                seen.now = after(seen.now, Duration::from_millis(took));
                if let Outcome::Skipped(_) = outcome {
                    let current = seen.current.expect("called");
                    seen.calls[current] -= 1;
                }
                seen.told = Some(outcome.clone());
                walk.tell(outcome, seen.now, jitter);
            }
            Step::WaitUntil(until) => {
                prop_assert!(until > seen.now && until < rules.deadline);
                prop_assert!(between(seen.now, until) <= Duration::from_secs(20));
                seen.now = until;
            }
            Step::End(end) => {
                seen.check_end(&end, walk.reasons())?;
                for reason in walk.reasons() {
                    prop_assert_eq!(reason.skipped, seen.calls[reason.position] == 0, "{:?}", reason);
                }
                walk.tell(Outcome::Delivered, seen.now, 0.5);
                prop_assert_eq!(walk.next(seen.now, jitter), Step::End(end), "an end is an end");
                return Ok(());
            }
        }
    }
    Err(TestCaseError::fail("it does not end"))
}

/// What the ledger holds of a run that was cut short after `cut` calls, and the walk as it was then.
fn cut_short(plan: &Plan, outcomes: &[Outcome], cut: usize) -> (Walk, Vec<(usize, u32, Outcome)>) {
    let rules = JobRules { deadline: at(1_000_000), ..job() };
    let mut walk = Walk::new(plan, rules);
    let mut past: Vec<(usize, u32, Outcome)> = Vec::new();
    for outcome in outcomes.iter().take(cut) {
        let Step::Call(call) = walk.next(now(), 0.0) else { break };
        if past.last().is_some_and(|(position, ..)| *position == call.position)
            && !matches!(outcome, Outcome::Skipped(_))
        {
            past.pop();
        }
        past.push((call.position, call.repeat + 1, outcome.clone()));
        walk.tell(outcome.clone(), now(), 0.0);
    }
    (walk, past)
}

/// Hints that are waited for end at different times for the dead and for the living; here are none of them.
fn without_short_hints(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::Failed(FailureClass::RateLimited { until: Some(until) }, _)
        if between(now(), *until) <= SHORT_HINT)
}

proptest! {
    #[test]
    fn whatever_room_there_is_a_walk_ends_by_its_deadline(
        plan in plans(),
        rules in job_rules(),
        played in proptest::collection::vec(prop_oneof![no_rooms().prop_map(Outcome::NoRoom), outcomes()], 1..12),
    ) {
        let mut walk = Walk::new(&plan, rules);
        let (mut now, mut played) = (now(), played.into_iter().cycle());
        for _ in 0..4_000 {
            match walk.next(now, 0.0) {
                Step::Call(_) => walk.tell(played.next().expect("it never ends"), now, 0.0),
                Step::WaitUntil(until) => {
                    prop_assert!(until > now && until < rules.deadline);
                    now = until;
                }
                Step::End(end) => {
                    prop_assert!(!matches!(end, End::ComeBackHere(until) if until <= now), "{end:?}");
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "it does not end");
    }

    #[test]
    fn every_walk_keeps_the_rules(
        plan in plans(),
        rules in job_rules(),
        jitter in jitters(),
        played in played(),
    ) {
        check_walk(plan, rules, jitter, played)?;
    }

    #[test]
    fn a_run_that_is_taken_up_goes_on_as_the_dead_one_would_have(
        plan in plans(),
        outcomes in proptest::collection::vec(outcomes().prop_filter("no wait", without_short_hints), 20),
        cut in 0_usize..20,
    ) {
        let (mut dead, past) = cut_short(&plan, &outcomes, cut);
        let mut taker = Walk::new(&plan, dead.rules);
        for (position, calls, last) in past.clone() {
            taker.take_up(position, calls, last, now());
        }
        let (wanted, found) = (dead.next(now(), 0.0), taker.next(now(), 0.0));
        if let Step::End(End::ComeBackHere(_)) = wanted {
            // Coming back is what the taker does: it calls the very link that the trouble kept from delivering.
            let (position, calls, _) = past.last().expect("it was called").clone();
            prop_assert!(
                matches!(&found, Step::Call(call) if call.position == position && call.repeat == calls),
                "{found:?}"
            );
        } else {
            prop_assert_eq!(found, wanted, "at {}", to_text(now()));
            prop_assert_eq!(taker.reasons(), dead.reasons());
        }
    }
}
