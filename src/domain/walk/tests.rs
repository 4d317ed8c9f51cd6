//! The rules of the walk, by example: a script of outcomes, and the trace of steps that must come of it.

use super::*;
use crate::domain::budget::tests::used_up;
use crate::domain::plan::tests::{name, now};
use crate::domain::provider::Repeat;

pub(super) const RULES: CallRules = CallRules {
    probe: false,
    forced: false,
    timeout: Duration::from_secs(60),
    retries: 1,
    repeat: Repeat::Paid,
    pace: None,
    at_limit: None,
};

pub(super) fn at(seconds: u64) -> Timestamp {
    after(now(), Duration::from_secs(seconds))
}

pub(super) fn job() -> JobRules {
    JobRules {
        counted_runs: 0,
        max_runs: 3,
        first_claimed_at: now(),
        give_up_after: Duration::from_secs(3_600),
        on_exhausted: OnExhausted::Manual,
        deadline: at(480),
    }
}

fn link(label: &str, decision: Decision, on_unknown: OnUnknown) -> PlannedLink {
    PlannedLink { provider: name(label), title: label.to_uppercase(), decision, on_unknown }
}

fn call(label: &str) -> PlannedLink {
    link(label, Decision::Call(RULES), OnUnknown::Next)
}

fn call_by(label: &str, timeout_ms: u64, retries: u32) -> PlannedLink {
    let rules = CallRules { timeout: Duration::from_millis(timeout_ms), retries, ..RULES };
    link(label, Decision::Call(rules), OnUnknown::Next)
}

fn skip(label: &str, reason: SkipReason) -> PlannedLink {
    link(label, Decision::Skip(reason), OnUnknown::Next)
}

fn open(seconds: u64) -> SkipReason {
    SkipReason::BreakerOpen { until: at(seconds) }
}

fn walk(links: &[PlannedLink], rules: JobRules) -> Walk {
    Walk::new(&Plan { links: links.to_vec(), straight_to_person: false }, rules)
}

fn failed(class: FailureClass) -> Outcome {
    Outcome::Failed(class, "oops".to_owned())
}

const TRANSIENT: FailureClass = FailureClass::Transient;

fn limited(seconds: u64) -> FailureClass {
    FailureClass::RateLimited { until: Some(at(seconds)) }
}

/// A walk, its clock, and what has happened so far.
struct Story {
    walk: Walk,
    now: Timestamp,
    trace: Vec<String>,
}

impl Story {
    fn of(walk: Walk) -> Self {
        Self { walk, now: now(), trace: Vec::new() }
    }

    /// Walks on with these outcomes, each of a call that takes so many seconds, until the run ends or asks for
    /// a call that the script has no outcome for. Waits are those of full jitter, comings back those of none.
    fn plays(&mut self, script: Vec<(u64, Outcome)>) -> String {
        let mut script = script.into_iter();
        loop {
            match self.walk.next(self.now, 0.0) {
                Step::Call(call) => {
                    self.trace.push(call.provider.to_string());
                    let Some((seconds, outcome)) = script.next() else { break };
                    self.now = after(self.now, Duration::from_secs(seconds));
                    self.walk.tell(outcome, self.now, 1.0);
                }
                Step::WaitUntil(until) => {
                    self.trace.push(format!("wait {}s", between(self.now, until).as_secs_f64()));
                    self.now = until;
                }
                Step::End(end) => {
                    self.trace.push(self.spell(&end));
                    break;
                }
            }
        }
        assert_eq!(script.next(), None, "{}: outcomes nobody asked for", self.trace.join(", "));
        self.trace.join(", ")
    }

    fn spell(&self, end: &End) -> String {
        match end {
            End::Delivered { provider, fallback_used: true, .. } => format!("fallback {provider}"),
            End::Delivered { provider, fallback_used: false, .. } => format!("primary {provider}"),
            End::ComeBackAt(until) => format!("back in {}s", between(self.now, *until).as_secs()),
            End::ComeBackHere(until) => format!("back here in {}s", between(self.now, *until).as_secs()),
            End::AskPerson => "person".to_owned(),
            End::Fail => "fail".to_owned(),
        }
    }

    fn reasons(&self) -> String {
        spell_reasons(&self.walk)
    }
}

fn spell_reasons(walk: &Walk) -> String {
    let spell = |reason: &LinkReason| {
        let skipped = if reason.skipped { "(skipped) " } else { "" };
        // The rest of that sentence has a test of its own.
        let (why, _) = reason.why.split_once(": of the").unwrap_or((&reason.why, ""));
        format!("{skipped}{} {why}", reason.provider)
    };
    walk.reasons().iter().map(spell).collect::<Vec<_>>().join(" | ")
}

fn at_once(outcomes: Vec<Outcome>) -> Vec<(u64, Outcome)> {
    outcomes.into_iter().map(|outcome| (0, outcome)).collect()
}

fn check(links: &[PlannedLink], rules: JobRules, outcomes: Vec<Outcome>, expected: &str) {
    assert_eq!(Story::of(walk(links, rules)).plays(at_once(outcomes)), expected);
}

#[test]
fn each_class_does_to_its_link_what_the_table_says() {
    let check = |class: FailureClass, expected: &str| {
        let mut story = Story::of(walk(&[call("a"), call("b")], job()));
        let again = expected.contains("wait");
        let failures = if again { vec![failed(class.clone()); 2] } else { vec![failed(class.clone())] };
        let ends_at_a = expected.contains("back here");
        let delivery = (!ends_at_a).then_some(Outcome::Delivered);
        let outcomes = failures.into_iter().chain(delivery).collect();
        assert_eq!(story.plays(at_once(outcomes)), expected, "{class}");
    };
    check(TRANSIENT, "a, wait 1s, a, b, fallback b");
    check(FailureClass::TimedOut, "a, wait 1s, a, b, fallback b");
    check(FailureClass::Unusable, "a, wait 1s, a, b, fallback b");
    check(limited(5), "a, wait 5s, a, b, fallback b");
    check(limited(6), "a, b, fallback b");
    check(FailureClass::RateLimited { until: None }, "a, b, fallback b");
    check(FailureClass::Quota { until: None }, "a, b, fallback b");
    check(FailureClass::Quota { until: Some(at(1)) }, "a, b, fallback b");
    check(FailureClass::Auth, "a, b, fallback b");
    check(FailureClass::Retired, "a, b, fallback b");
    check(FailureClass::Invalid, "a, b, fallback b");
    check(FailureClass::Refused { category: None }, "a, b, fallback b");
    check(FailureClass::UnknownOutcome, "a, b, fallback b");
    check(FailureClass::Internal, "a, back here in 10s");
}

#[test]
fn repeats_wait_longer_each_time_and_end() {
    let check = |retries: u32, failures: usize, expected: &str| {
        let links = [call_by("a", 60_000, retries)];
        check(&links, job(), vec![failed(TRANSIENT); failures], expected);
    };
    check(0, 1, "a, back in 60s");
    check(1, 2, "a, wait 1s, a, back in 60s");
    check(3, 4, "a, wait 1s, a, wait 2s, a, wait 4s, a, back in 60s");
    let mixed = vec![failed(FailureClass::Unusable), failed(TRANSIENT), failed(FailureClass::Unusable)];
    let links = [call_by("a", 60_000, 2), call("b")];
    self::check(&links, job(), mixed, "a, wait 1s, a, wait 2s, a, b");
}

#[test]
fn a_call_knows_its_place_its_number_and_its_time() {
    let mut walk = walk(&[skip("a", open(60)), call("b")], job());
    let wanted = |repeat| {
        let time = Duration::from_secs(60);
        let leave_by = job().deadline;
        Step::Call(Call { position: 1, provider: name("b"), repeat, time, leave_by, rules: RULES })
    };
    assert_eq!(walk.next(now(), 0.0), wanted(0));
    assert_eq!(walk.next(now(), 0.0), wanted(0), "asked twice, it says the same");
    walk.tell(failed(TRANSIENT), at(10), 1.0);
    assert_eq!(walk.next(at(10), 0.0), Step::WaitUntil(at(11)));
    assert_eq!(walk.next(at(10), 0.0), Step::WaitUntil(at(11)));
    assert_eq!(walk.next(at(11), 0.0), wanted(1));
    walk.tell(Outcome::Delivered, at(12), 0.0);
    let end = End::Delivered { position: 1, provider: name("b"), fallback_used: true };
    assert_eq!(walk.next(at(12), 0.0), Step::End(end.clone()));
    walk.tell(failed(FailureClass::Auth), at(13), 0.0);
    assert_eq!(walk.next(at(13), 0.0), Step::End(end), "what was delivered stays delivered");
}

#[test]
fn a_call_that_waited_for_its_turn_leaves_the_later_links_their_time() {
    let rules = JobRules { deadline: at(100), ..job() };
    let Step::Call(call) = walk(&[call("a"), call("b")], rules).next(now(), 0.0) else {
        panic!("a call");
    };
    // Both want 60 s and there are 100: each has its half.
    assert_eq!((call.time, call.leave_by), (Duration::from_secs(50), at(50)));
    assert_eq!(call.starting_at(at(20)).map(|call| call.time), Some(Duration::from_secs(30)));
    assert_eq!(call.starting_at(at(50)), None);
}

#[test]
fn fallback_used_counts_skipped_links() {
    let delivered = || vec![Outcome::Delivered];
    check(&[call("a"), call("b")], job(), delivered(), "a, primary a");
    check(&[skip("a", open(60)), call("b")], job(), delivered(), "b, fallback b");
}

#[test]
fn a_later_429_with_a_shorter_hint_does_not_shorten_the_wait() {
    // Within the run each call has its own hint; what the provider's health keeps is the latest end.
    let links = [call_by("a", 60_000, 2), call("b")];
    let mut story = Story::of(walk(&links, job()));
    let script = vec![failed(limited(4)), failed(limited(2)), Outcome::Delivered];
    assert_eq!(story.plays(at_once(script)), "a, wait 4s, a, a, primary a");

    let mut health = crate::domain::breaker::ProviderHealth::unknown(name("a"));
    let mut hear = |seconds| {
        health.remember(&crate::domain::breaker::HealthEvent {
            provider: name("a"),
            probe: None,
            at: now(),
            failure: Some((limited(seconds), "429".to_owned())),
            fingerprint: "f1".to_owned(),
            trip_after: 3,
            local: false,
        });
        health.cool_until
    };
    assert_eq!(hear(4), Some(at(4)));
    assert_eq!(hear(2), Some(at(4)));
    assert_eq!(hear(9), Some(at(9)));
}

#[test]
fn a_hint_longer_than_the_deadline_is_not_waited_for() {
    let short = JobRules { deadline: at(4), ..job() };
    check(&[call("a"), call("b")], short, vec![failed(limited(5)), Outcome::Delivered], "a, b, fallback b");
    check(&[call("a")], short, vec![failed(limited(5))], "a, back in 5s");
    check(&[call("a")], short, vec![failed(limited(16 * 60))], "a, person");
}

#[test]
fn when_all_links_are_open_the_job_comes_back_at_the_earliest() {
    check(&[skip("a", open(300)), skip("b", open(120))], job(), vec![], "back in 120s");
    let cooling = SkipReason::CoolingDown { until: at(30) };
    check(&[skip("a", open(300)), skip("b", cooling)], job(), vec![], "back in 30s");
    let probe = SkipReason::ProbeUnderway { until: at(300) };
    check(&[skip("a", open(300)), skip("b", probe)], job(), vec![], "back in 60s");
    check(&[skip("a", open(16 * 60))], job(), vec![], "person");
    let paused = SkipReason::Paused { until: at(60) };
    check(&[skip("a", paused), skip("b", SkipReason::RefusedBefore)], job(), vec![], "person");
}

#[test]
fn a_breaker_whose_time_is_up_by_the_end_of_the_run_brings_the_job_back_at_once() {
    let links = [skip("a", open(20)), call("b")];
    let story = Story::of(walk(&links, job())).plays(vec![(30, failed(FailureClass::Auth))]);
    assert_eq!(story, "b, back in 0s");
}

#[test]
fn a_skipped_link_is_never_called() {
    let no_key = SkipReason::NoKey { looked_in: "environment variable A_KEY".to_owned() };
    let links = [skip("a", no_key.clone()), call("b"), skip("c", open(9)), call("d"), skip("e", no_key)];
    let auth = failed(FailureClass::Auth);
    check(&links, job(), vec![auth.clone(), auth], "b, d, back in 9s");
}

#[test]
fn a_job_comes_back_only_if_something_heals_and_it_is_young_and_runs_are_left() {
    let check = |rules: JobRules, class: FailureClass, expected: &str| {
        check(&[call_by("a", 60_000, 0)], rules, vec![failed(class)], &format!("a, {expected}"));
    };
    let counted = |counted_runs| JobRules { counted_runs, ..job() };
    let aged = |seconds| {
        let first_claimed_at = now() - chrono::TimeDelta::seconds(seconds);
        JobRules { first_claimed_at, ..job() }
    };
    check(job(), TRANSIENT, "back in 60s");
    check(job(), FailureClass::TimedOut, "back in 60s");
    check(job(), FailureClass::RateLimited { until: None }, "back in 60s");
    check(job(), limited(15 * 60), "back in 900s");
    check(job(), limited(15 * 60 + 1), "person");
    check(counted(1), TRANSIENT, "back in 120s");
    check(counted(2), TRANSIENT, "person");
    check(JobRules { max_runs: 1, ..job() }, TRANSIENT, "person");
    check(JobRules { max_runs: 0, ..job() }, TRANSIENT, "person");
    check(aged(3_599), TRANSIENT, "back in 60s");
    check(aged(3_600), TRANSIENT, "person");
    for class in [
        FailureClass::Quota { until: Some(at(60)) },
        FailureClass::Auth,
        FailureClass::Retired,
        FailureClass::Refused { category: None },
        FailureClass::Invalid,
        FailureClass::UnknownOutcome,
    ] {
        check(job(), class, "person");
    }
    let fail = JobRules { on_exhausted: OnExhausted::Fail, ..job() };
    check(fail, FailureClass::Auth, "fail");
    check(fail, TRANSIENT, "back in 60s");
    check(JobRules { counted_runs: 2, ..fail }, TRANSIENT, "fail");
}

#[test]
fn reasons_that_no_time_heals_do_not_bring_a_job_back() {
    let day = "2025-11-10".parse().expect("valid");
    for reason in [
        SkipReason::Unknown,
        SkipReason::NotSupported { protocol: "lummi".to_owned() },
        SkipReason::WrongMedium { makes: crate::domain::asset::Medium::Text },
        SkipReason::Retired { on: day, advice: "use b".to_owned() },
        SkipReason::NoKey { looked_in: "file a".to_owned() },
        SkipReason::Paused { until: at(60) },
        SkipReason::Held { class: "auth" },
        SkipReason::RefusedBefore,
        SkipReason::OverBudget(used_up()),
    ] {
        check(&[skip("a", reason)], job(), vec![], "person");
    }
}

#[test]
fn one_link_that_heals_brings_the_job_back_and_jitter_spreads_it() {
    let auth = failed(FailureClass::Auth);
    check(&[call("a"), skip("b", open(90))], job(), vec![auth], "a, back in 90s");
    let come_back = |jitter| walk(&[skip("b", open(90))], job()).next(now(), jitter);
    assert_eq!(come_back(1.0), Step::End(End::ComeBackAt(at(96))));
    assert_eq!(come_back(f64::NAN), Step::End(End::ComeBackAt(at(93))), "an odd number is no panic");
    assert_eq!(come_back(f64::INFINITY), Step::End(End::ComeBackAt(at(93))));
    assert_eq!(come_back(-3.0), Step::End(End::ComeBackAt(at(90))));
}

#[test]
fn an_exhausted_run_gives_every_reason_in_order() {
    let links = [skip("a", SkipReason::OverBudget(used_up())), call("b"), call("c"), skip("d", open(60))];
    let mut story = Story::of(walk(&links, job()));
    let refused = FailureClass::Refused { category: Some("violence".to_owned()) };
    story.plays(at_once(vec![failed(refused), failed(TRANSIENT), failed(TRANSIENT)]));
    assert_eq!(
        story.reasons(),
        "(skipped) a over budget | b refused: oops | c transient: oops | \
         (skipped) d breaker open until 2026-11-22T13:50:00.000Z"
    );
    let places: Vec<usize> = story.walk.reasons().iter().map(|reason| reason.position).collect();
    assert_eq!(places, [0, 1, 2, 3]);
}

#[test]
fn the_operator_decides_what_follows_an_unknown_outcome() {
    let check = |on_unknown, retries, outcomes: Vec<Outcome>, expected: &str, reasons: &str| {
        let links = [
            link("a", Decision::Call(CallRules { retries, ..RULES }), on_unknown),
            skip("b", SkipReason::OverBudget(used_up())),
            call("c"),
        ];
        let mut story = Story::of(walk(&links, job()));
        assert_eq!(story.plays(at_once(outcomes)), expected, "{on_unknown:?}");
        assert_eq!(story.reasons(), reasons, "{on_unknown:?}");
    };
    let unknown = || failed(FailureClass::UnknownOutcome);
    let a = "a unknown_outcome: oops";
    let b = "(skipped) b over budget";
    let delivered = || vec![unknown(), Outcome::Delivered];
    check(OnUnknown::Next, 3, delivered(), "a, c, fallback c", &format!("{a} | {b}"));
    check(OnUnknown::Retry, 1, delivered(), "a, wait 1s, a, primary a", "");
    let twice = vec![unknown(), unknown(), Outcome::Delivered];
    check(OnUnknown::Retry, 0, twice, "a, wait 1s, a, c, fallback c", &format!("{a} | {b}"));
    let c = "(skipped) c not tried: a call before it may have been paid, a person decides";
    check(OnUnknown::Manual, 3, vec![unknown()], "a, person", &format!("{a} | {b} | {c}"));
}

#[test]
fn a_person_asked_by_on_unknown_is_asked_whatever_could_heal() {
    let links = [skip("a", open(60)), link("b", Decision::Call(RULES), OnUnknown::Manual)];
    let rules = JobRules { on_exhausted: OnExhausted::Fail, ..job() };
    check(&links, rules, vec![failed(FailureClass::UnknownOutcome)], "b, person");
}

#[test]
fn trouble_of_our_own_stops_here_and_blames_nobody() {
    let links = [call("a"), call("b"), call("c")];
    let mut story = Story::of(walk(&links, JobRules { counted_runs: 2, ..job() }));
    let outcomes = vec![failed(FailureClass::Auth), failed(FailureClass::Internal)];
    assert_eq!(story.plays(at_once(outcomes)), "a, b, back here in 10s", "also on the last counted run");
    assert_eq!(story.reasons(), "a auth: oops | b internal: oops");
    assert_eq!(story.plays(vec![]), "a, b, back here in 10s, back here in 10s", "and it stays stopped");
}

#[test]
fn an_override_manual_calls_nobody() {
    let plan = Plan { links: Vec::new(), straight_to_person: true };
    let rules = JobRules { on_exhausted: OnExhausted::Fail, ..job() };
    let mut walk = Walk::new(&plan, rules);
    assert_eq!(walk.next(now(), 0.0), Step::End(End::AskPerson), "a wish for a person is not a failure");
    assert!(walk.reasons().is_empty());
}

#[test]
fn a_chain_of_manual_alone_asks_a_person() {
    check(&[], job(), vec![], "person");
    check(&[], JobRules { on_exhausted: OnExhausted::Fail, ..job() }, vec![], "fail");
}

#[test]
fn a_gate_that_shut_between_plan_and_call_skips_the_link() {
    let links = [call("a"), call("b")];
    let mut story = Story::of(walk(&links, job()));
    let outcomes = vec![Outcome::Skipped(SkipReason::OverBudget(used_up())), Outcome::Delivered];
    assert_eq!(story.plays(at_once(outcomes)), "a, b, fallback b");
    assert_eq!(story.reasons(), "(skipped) a over budget");
}

#[test]
fn a_link_that_is_not_repeated_keeps_the_reason_it_failed_for() {
    let mut story = Story::of(walk(&[call("a")], job()));
    let outcomes = vec![failed(TRANSIENT), Outcome::Skipped(open(91))];
    assert_eq!(story.plays(at_once(outcomes)), "a, wait 1s, a, back in 90s");
    let why = "transient: oops; not repeated: breaker open until 2026-11-22T13:50:31.000Z";
    assert_eq!(story.reasons(), format!("a {why}"), "it was called, so it was not skipped");

    // The daemon was slow to come back from the wait, and the time is gone.
    let mut walk = walk(&[call("a")], job());
    assert!(matches!(walk.next(now(), 0.0), Step::Call(_)));
    walk.tell(failed(TRANSIENT), at(1), 1.0);
    assert_eq!(walk.next(at(480), 0.0), Step::End(End::ComeBackAt(at(540))), "transient still heals");
    assert_eq!(spell_reasons(&walk), "a transient: oops; not repeated: not enough time left");
}

mod room;
mod time_and_adoption;

#[test]
fn a_call_that_is_gone_on_with_keeps_its_number() {
    let mut walk = walk(&[call("a"), call("b")], job());
    walk.go_on_with(0, 2, now());
    let Step::Call(first) = walk.next(now(), 0.0) else { panic!("it goes on") };
    assert_eq!((first.position, first.repeat), (0, 1));
    walk.tell(failed(FailureClass::Unusable), now(), 0.0);
    let Step::Call(next) = walk.next(now(), 0.0) else { panic!("another is called") };
    assert_eq!((next.position, next.repeat), (1, 0), "it was repeated before");
}
