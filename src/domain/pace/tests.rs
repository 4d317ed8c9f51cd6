//! The rules of the pace, by example.

use super::*;
use crate::domain::time::from_text;

const PACE: Pace = Pace { at_once: 4, per_minute: Some(6), per_hour: Some(50) };

fn now() -> Timestamp {
    from_text("2026-11-22T13:49:00.000Z").expect("valid")
}

fn ago(seconds: u64) -> Timestamp {
    before(now(), Duration::from_secs(seconds))
}

fn ahead(seconds: u64) -> Timestamp {
    after(now(), Duration::from_secs(seconds))
}

fn usage(under_way: u32, minute: (u32, u64), hour: (u32, u64)) -> Usage {
    let begun = |window, most, (count, oldest)| Begun { window, most, count, oldest: Some(ago(oldest)) };
    let begun = vec![begun(Window::Minute, 6, minute), begun(Window::Hour, 50, hour)];
    Usage { under_way, own: under_way, begun }
}

fn limit(window: Window, most: u32, seconds: u64) -> AtLimit {
    AtLimit { window, most, until: ahead(seconds) }
}

#[test]
fn a_call_finds_room_until_a_bound_is_reached() {
    let check = |usage: Usage, expected: Option<NoRoom>| {
        assert_eq!(PACE.no_room(&usage, now()), expected, "{usage:?}");
    };
    let minute = |seconds| Some(NoRoom::AtLimit(limit(Window::Minute, 6, seconds)));
    let hour = |seconds| Some(NoRoom::AtLimit(limit(Window::Hour, 50, seconds)));
    check(usage(3, (5, 50), (49, 3_000)), None);
    check(usage(4, (5, 50), (49, 3_000)), Some(NoRoom::Taken));
    check(usage(0, (6, 50), (49, 3_000)), minute(10));
    check(usage(0, (5, 50), (50, 3_000)), hour(600));
    check(usage(4, (6, 50), (50, 3_595)), minute(10));
    check(usage(0, (6, 59), (50, 3_000)), hour(600));
    let mut unreadable = usage(0, (6, 50), (0, 0));
    unreadable.begun[0].oldest = None;
    check(unreadable, minute(60));
    assert_eq!(Pace { per_minute: None, per_hour: None, ..PACE }.no_room(&Usage::default(), now()), None);
}

#[test]
fn a_daemon_claims_for_what_the_others_and_its_own_jobs_leave() {
    // The others' calls, the daemon's own, the permits it keeps, and the calls of this minute and this hour.
    let check = |others: u32, own: u32, held: u32, minute: u32, hour: u32, expected: u32| {
        let usage = Usage { under_way: others + own, own, ..usage(0, (minute, 1), (hour, 1)) };
        assert_eq!(PACE.free(&usage, held), expected, "{others} {own} {held} {minute} {hour}");
    };
    check(0, 0, 0, 0, 0, 4);
    check(3, 0, 0, 0, 0, 1);
    check(3, 1, 1, 0, 0, 0);
    check(9, 0, 0, 0, 0, 0);
    check(0, 1, 3, 0, 0, 1);
    check(0, 0, 0, 5, 0, 1);
    check(0, 0, 0, 0, 48, 2);
    // Two of its jobs have not begun their calls: the window holds them already.
    check(0, 0, 2, 3, 0, 1);
    check(0, 2, 2, 3, 0, 2);
}

#[test]
fn the_windows_count_what_is_young_and_what_was_written_out_of_order() {
    let check = |window: Window, at: Timestamp, expected: bool| {
        let (from, to) = window.around(now());
        assert_eq!(at > from && at <= to, expected, "{window} {at}");
    };
    check(Window::Minute, ago(59), true);
    check(Window::Minute, ago(60), false);
    check(Window::Hour, ago(3_599), true);
    check(Window::Hour, ago(3_600), false);
    check(Window::Hour, ahead(60), true);
    // The clock was an hour ahead when this was written.
    check(Window::Hour, ahead(3_600), false);
}

#[test]
fn who_finds_no_room_waits_comes_back_or_goes_on() {
    let check = |no_room: NoRoom, standing: (bool, bool, bool), expected: Turn| {
        let (is_first, has_next, is_young) = standing;
        let standing = Standing { is_first, has_next, is_young };
        assert_eq!(turn(&no_room, standing, now()), expected, "{no_room:?} {standing:?}");
    };
    let at = |window, seconds| NoRoom::AtLimit(limit(window, 10, seconds));
    let (minute, hour) = (Window::Minute, Window::Hour);
    for standing in [(true, true, true), (false, true, true), (false, false, false)] {
        check(at(minute, 5), standing, Turn::Wait(ahead(5)));
    }
    check(at(minute, 6), (true, true, true), Turn::ComeBack(ahead(6)));
    check(at(minute, 6), (true, false, true), Turn::ComeBack(ahead(6)));
    check(at(minute, 6), (false, true, true), Turn::Pass);
    check(at(minute, 6), (false, false, true), Turn::ComeBack(ahead(6)));
    check(at(minute, 6), (true, true, false), Turn::Pass);
    check(at(minute, 6), (false, false, false), Turn::Pass);
    check(at(hour, 900), (true, true, true), Turn::ComeBack(ahead(900)));
    check(at(hour, 901), (true, true, true), Turn::Pass);
    check(at(hour, 901), (true, false, true), Turn::ComeBack(ahead(901)));
    check(NoRoom::Taken, (true, true, true), Turn::ComeBack(ahead(5)));
    check(NoRoom::Taken, (false, false, true), Turn::ComeBack(ahead(5)));
    check(NoRoom::Taken, (false, true, true), Turn::Wait(ahead(2)));
    check(NoRoom::Taken, (true, true, false), Turn::Wait(ahead(2)));
}

#[test]
fn people_read_what_bounds_a_call() {
    assert_eq!(PACE.to_string(), "4 at once, 6 a minute, 50 an hour");
    let said = limit(Window::Minute, 10, 12).to_string();
    assert_eq!(said, "at its limit of 10 calls a minute until 2026-11-22T13:49:12.000Z");
    let said = limit(Window::Hour, 1, 12).to_string();
    assert_eq!(said, "at its limit of 1 call an hour until 2026-11-22T13:49:12.000Z");
}
