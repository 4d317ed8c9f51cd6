//! How a run shares its time among its links, and how one is taken up where a dead worker left it.

use super::*;

/// The whole seconds each call gets when every call uses up its time and times out.
fn times(links: &[PlannedLink], deadline: u64) -> Vec<(String, u64)> {
    let mut walk = walk(links, JobRules { deadline: at(deadline), ..job() });
    let mut clock = now();
    let mut times = Vec::new();
    loop {
        match walk.next(clock, 0.0) {
            Step::Call(call) => {
                times.push((call.provider.to_string(), call.time.as_secs()));
                clock = after(clock, call.time);
                walk.tell(failed(FailureClass::TimedOut), clock, 0.0);
            }
            Step::WaitUntil(until) => clock = until,
            Step::End(_) => return times,
        }
    }
}

#[test]
fn a_link_never_takes_the_time_that_later_links_need() {
    let check = |links: &[PlannedLink], deadline, expected: &[(&str, u64)]| {
        let expected: Vec<_> = expected.iter().map(|(label, time)| ((*label).to_owned(), *time)).collect();
        assert_eq!(times(links, deadline), expected, "{deadline}");
    };
    let minute = |label: &str| call_by(label, 60_000, 1);
    // Time enough: repeats come out of what nobody else needs.
    check(&[minute("a"), minute("b")], 480, &[("a", 60), ("a", 60), ("b", 60), ("b", 60)]);
    check(&[minute("a"), minute("b")], 150, &[("a", 60), ("a", 30), ("b", 60)]);
    // Time for one call each: no repeat.
    check(&[minute("a"), minute("b")], 120, &[("a", 60), ("b", 60)]);
    // Too little: fair shares, and a repeat does not eat into them either.
    check(&[minute("a"), minute("b"), minute("c")], 90, &[("a", 30), ("b", 30), ("c", 30)]);
    // What a quick link does not need, its neighbours have.
    check(&[minute("a"), call_by("b", 2_000, 0)], 40, &[("a", 38), ("b", 2)]);
    check(&[call_by("b", 2_000, 0), minute("a")], 40, &[("b", 2), ("a", 38)]);
    // Skipped links need nothing.
    check(&[minute("a"), skip("b", open(60)), skip("c", open(60))], 50, &[("a", 50)]);
    // Less than a second is worth no call, so that the last links get whole ones.
    check(&[minute("a"), minute("b"), minute("c")], 2, &[("b", 1), ("c", 1)]);
    check(&[minute("a")], 0, &[]);
}

#[test]
fn a_wait_does_not_eat_the_time_of_later_links_either() {
    let slow = |label: &str| call_by(label, 60_000, 9);
    let links = [slow("a"), slow("b"), slow("c")];
    let rules = JobRules { deadline: at(30), ..job() };
    let mut story = Story::of(walk(&links, rules));
    let fail = |seconds| (seconds, failed(TRANSIENT));
    // a has 10 s: 1 + 1 + 1 + 2 + 1 = 6, and the next wait of 4 s would leave nothing for a call.
    let script = vec![fail(1), fail(1), fail(1), (0, Outcome::Delivered)];
    assert_eq!(story.plays(script), "a, wait 1s, a, wait 2s, a, b, fallback b");
    assert_eq!(between(now(), story.now), Duration::from_secs(6));
}

#[test]
fn a_hint_is_waited_for_only_out_of_the_links_own_time() {
    let links = [call("a"), call("b")];
    let check = |deadline, expected: &str| {
        let mut story = Story::of(walk(&links, JobRules { deadline: at(deadline), ..job() }));
        let script = vec![(1, failed(limited(5))), (0, Outcome::Delivered)];
        assert_eq!(story.plays(script), expected, "{deadline}");
    };
    check(66, "a, wait 4s, a, primary a");
    check(12, "a, wait 4s, a, primary a");
    check(11, "a, b, fallback b");
}

#[test]
fn a_provider_that_never_gets_a_whole_second_is_called_all_the_same() {
    let mut walk = walk(&[call_by("a", 500, 1)], job());
    let Step::Call(call) = walk.next(now(), 0.0) else { panic!("a is not called") };
    assert_eq!(call.time, Duration::from_millis(500));
    walk.tell(failed(TRANSIENT), now(), 0.0);
    assert!(matches!(walk.next(now(), 0.0), Step::Call(Call { repeat: 1, .. })));
}

/// Takes up a run of the links with these (position, calls, last outcome), and plays on.
fn taken_up(links: &[PlannedLink], past: Vec<(usize, u32, Outcome)>) -> Story {
    let mut walk = walk(links, job());
    for (position, calls, last) in past {
        walk.take_up(position, calls, last, now());
    }
    Story::of(walk)
}

#[test]
fn a_run_is_taken_up_where_it_was_left() {
    let links = [
        skip("a", SkipReason::OverBudget(crate::domain::budget::tests::used_up())),
        call("b"),
        call("c"),
        call("d"),
    ];
    let check = |past: Vec<(usize, u32, Outcome)>, outcomes, expected: &str, reasons: &str| {
        let mut story = taken_up(&links, past);
        assert_eq!(story.plays(at_once(outcomes)), expected);
        assert_eq!(story.reasons(), reasons, "{expected}");
    };
    let delivered = || vec![Outcome::Delivered];
    let a = "(skipped) a over budget";
    check(vec![], delivered(), "b, fallback b", a);
    // One of two calls was made.
    let b_called = |calls, class| (1, calls, failed(class));
    check(vec![b_called(1, TRANSIENT)], delivered(), "b, fallback b", a);
    check(vec![b_called(2, TRANSIENT)], delivered(), "c, fallback c", &format!("{a} | b transient: oops"));
    check(
        vec![b_called(1, FailureClass::Auth)],
        delivered(),
        "c, fallback c",
        &format!("{a} | b auth: oops"),
    );
    // Several links, in order; one of them was skipped, and says so.
    let skipped = (2, 0, Outcome::Skipped(open(60)));
    let c = "(skipped) c breaker open until 2026-11-22T13:50:00.000Z";
    check(
        vec![b_called(1, FailureClass::Auth), skipped],
        delivered(),
        "d, fallback d",
        &format!("{a} | b auth: oops | {c}"),
    );
    // A link that the run was past without a record is not gone back to, and no reason is made up.
    let passed = "(skipped) b passed before this run was interrupted";
    check(
        vec![(2, 1, failed(FailureClass::Auth))],
        delivered(),
        "d, fallback d",
        &format!("{a} | {passed} | c auth: oops"),
    );
    // The operation was polled on and delivered.
    check(vec![(2, 1, Outcome::Delivered)], vec![], "fallback c", &format!("{a} | {passed}"));
}

#[test]
fn trouble_that_stopped_a_run_does_not_stop_it_again() {
    let links = [call("a"), call("b")];
    let internal = || failed(FailureClass::Internal);
    let mut story = taken_up(&links, vec![(0, 1, internal())]);
    let step = story.walk.next(now(), 0.0);
    assert!(matches!(step, Step::Call(Call { position: 0, repeat: 1, .. })), "{step:?}");
    assert_eq!(story.plays(at_once(vec![Outcome::Delivered])), "a, primary a");
    for (calls, expected) in
        [(0, "a, back here in 10s"), (1, "a, back here in 20s"), (9, "a, back here in 300s")]
    {
        let mut story = taken_up(&links, vec![(0, calls, internal())]);
        assert_eq!(story.plays(at_once(vec![internal()])), expected, "it looks less and less often");
    }
}

#[test]
fn a_job_comes_back_for_what_it_has_bought_and_cannot_have_yet() {
    let links = [call("a"), call("b")];
    let mut story = taken_up(&links, vec![(0, 1, failed(FailureClass::Auth))]);
    story.walk.wait_for(1, 1, "the vault is away".to_owned(), now(), 0.0);
    assert_eq!(story.plays(vec![]), "back here in 5s");
    assert_eq!(story.reasons(), "a auth: oops | b internal: the vault is away");
    let mut story = taken_up(&links, vec![(1, 1, Outcome::Delivered)]);
    story.walk.wait_for(0, 1, "too late".to_owned(), now(), 0.0);
    assert_eq!(story.plays(vec![]), "fallback b", "the run is past it");
}

#[test]
fn a_call_made_before_counts_although_todays_plan_skips_the_link() {
    let check = |on_unknown, class: FailureClass, expected: &str, reasons: &str| {
        let links = [link("a", Decision::Skip(open(60)), on_unknown), call("b")];
        let mut story = taken_up(&links, vec![(0, 1, failed(class.clone()))]);
        let delivery = if expected.contains('b') { vec![Outcome::Delivered] } else { vec![] };
        assert_eq!(story.plays(at_once(delivery)), expected, "{class}");
        assert_eq!(story.reasons(), reasons, "{class}");
    };
    check(OnUnknown::Next, TRANSIENT, "b, fallback b", "a transient: oops");
    check(OnUnknown::Next, FailureClass::Unusable, "b, fallback b", "a unusable: oops");
    let unknown = "a unknown_outcome: oops";
    check(OnUnknown::Next, FailureClass::UnknownOutcome, "b, fallback b", unknown);
    check(OnUnknown::Retry, FailureClass::UnknownOutcome, "b, fallback b", unknown);
    let b = "(skipped) b not tried: a call before it may have been paid, a person decides";
    check(OnUnknown::Manual, FailureClass::UnknownOutcome, "person", &format!("{unknown} | {b}"));
}

#[test]
fn what_is_told_out_of_order_is_not_taken_up() {
    let links = [call("a"), call("b")];
    let auth = || failed(FailureClass::Auth);
    let mut story = taken_up(&links, vec![(1, 1, auth()), (0, 1, Outcome::Delivered), (7, 1, auth())]);
    assert_eq!(story.plays(vec![]), "person");
    let mut story = taken_up(&links, vec![(0, 1, Outcome::Delivered), (1, 1, auth())]);
    assert_eq!(story.plays(vec![]), "primary a");
    assert_eq!(story.reasons(), "");
}
