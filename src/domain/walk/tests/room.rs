//! Links that may not be called more often: who waits, who comes back, and who goes on.

use super::*;
use crate::domain::pace::{AtLimit, Window};
use crate::domain::time::to_text;

fn full(seconds: u64) -> NoRoom {
    NoRoom::AtLimit(AtLimit { window: Window::Minute, most: 10, until: at(seconds) })
}

#[test]
fn a_limit_of_our_own_is_waited_for_by_the_queue_and_blames_nobody() {
    let mut first = walk(&[call("a"), call("b")], job());
    assert!(matches!(first.next(now(), 0.0), Step::Call(_)));
    first.tell(Outcome::NoRoom(full(40)), now(), 0.0);
    assert_eq!(first.next(now(), 0.0), Step::End(End::ComeBackHere(at(40))));
    let [reason] = first.reasons() else { panic!("{:?}", first.reasons()) };
    assert_eq!(reason.why, format!("at its limit of 10 calls a minute until {}", to_text(at(40))));
    assert!(!reason.skipped, "the link is still to be called");
}

#[test]
fn a_limit_that_is_soon_over_is_waited_for_and_counts_as_no_call() {
    let mut walk = walk(&[call("a"), call("b")], job());
    let Step::Call(before) = walk.next(now(), 0.0) else { panic!("no call") };
    walk.tell(Outcome::NoRoom(full(3)), now(), 0.0);
    assert_eq!(walk.next(now(), 0.0), Step::WaitUntil(at(3)));
    let Step::Call(after) = walk.next(at(3), 0.0) else { panic!("no call") };
    assert_eq!((before.position, before.repeat), (after.position, after.repeat));
}

#[test]
fn a_later_link_at_its_limit_is_passed_and_brings_the_job_back_where_nobody_delivers() {
    let mut walk = walk(&[call_by("a", 60_000, 0), call("b"), call_by("c", 60_000, 0)], job());
    walk.next(now(), 0.0);
    walk.tell(failed(FailureClass::Auth), now(), 0.0);
    assert!(matches!(walk.next(now(), 0.0), Step::Call(call) if call.position == 1));
    walk.tell(Outcome::NoRoom(full(40)), now(), 0.0);
    assert!(matches!(walk.next(now(), 0.0), Step::Call(call) if call.position == 2));
    walk.tell(failed(FailureClass::Auth), now(), 0.0);
    assert_eq!(walk.next(now(), 0.0), Step::End(End::ComeBackAt(at(40))));
    let skipped: Vec<bool> = walk.reasons().iter().map(|reason| reason.skipped).collect();
    assert_eq!(skipped, [false, true, false]);
}

#[test]
fn the_last_link_at_its_limit_is_come_back_to_until_the_job_is_too_old() {
    let ends = |first_claimed_at, expected: End| {
        let mut walk = walk(&[call_by("a", 60_000, 0), call("b")], JobRules { first_claimed_at, ..job() });
        walk.next(now(), 0.0);
        walk.tell(failed(FailureClass::Auth), now(), 0.0);
        walk.next(now(), 0.0);
        walk.tell(Outcome::NoRoom(full(40)), now(), 0.0);
        assert_eq!(walk.next(now(), 0.0), Step::End(expected));
    };
    ends(now(), End::ComeBackHere(at(40)));
    ends(now() - chrono::TimeDelta::hours(1), End::AskPerson);
}

#[test]
fn a_later_link_whose_calls_are_taken_is_waited_for_as_long_as_its_time_lasts() {
    let mut walk = walk(&[call_by("a", 60_000, 0), call("b"), call("c")], job());
    walk.next(now(), 0.0);
    walk.tell(failed(FailureClass::Auth), now(), 0.0);
    let (mut seconds, mut waits) = (0, 0);
    loop {
        match walk.next(at(seconds), 0.0) {
            Step::Call(call) if call.position == 1 => {
                walk.tell(Outcome::NoRoom(NoRoom::Taken), at(seconds), 0.0);
            }
            Step::WaitUntil(until) => {
                waits += 1;
                seconds = between(now(), until).as_secs();
            }
            Step::Call(call) => break assert_eq!(call.position, 2, "the next link gets its turn"),
            Step::End(end) => panic!("{end:?}"),
        }
    }
    // 480 s, less the 60 s of the link after it, and one every two of them.
    assert_eq!(waits, 209);
    assert_eq!(walk.reasons()[1].why, "all its calls are taken");
}

#[test]
fn a_repeat_that_finds_no_room_keeps_the_reason_it_failed_for() {
    let mut walk = walk(&[call("a")], job());
    walk.next(now(), 0.0);
    walk.tell(failed(TRANSIENT), now(), 0.0);
    assert!(matches!(walk.next(now(), 0.0), Step::Call(call) if call.repeat == 1));
    walk.tell(Outcome::NoRoom(full(40)), now(), 0.0);
    assert_eq!(walk.next(now(), 0.0), Step::End(End::ComeBackHere(at(40))));
    let why = format!(
        "transient: oops; to be repeated: at its limit of 10 calls a minute until {}",
        to_text(at(40))
    );
    assert_eq!(walk.reasons()[0].why, why);
}
