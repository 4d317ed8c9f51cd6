//! A daemon that stands still for longer than its lease, and what its late answer comes to.

use rustix::process::Signal;

use super::locks::holding;
use crate::daemon::vendor::Vendor;
use crate::daemon::{Place, Serving, texts};

/// A text of 4 cents by `house`, else by `second`, and leases of 3 seconds.
fn priced(house: &Vendor, second: &Vendor) -> String {
    let addresses = [("house", house.url()), ("second", second.url())];
    let configuration = texts(r#"["house", "second"]"#, &addresses);
    let priced = configuration.replace("retries = 0\n", "retries = 0\nprice = 0.04\n");
    format!("[queue]\nlease = \"3s\"\n{priced}")
}

/// Wakes a daemon to its late answer. Nobody can write until the answer is on its way to the ledger: so it is not the
/// renewal of its lease that tells the daemon what has happened meanwhile, and stops the call before it is answered.
fn wakes_to_a_late_answer(place: &Place, stalled: &Serving, house: &Vendor) {
    let shell = holding(place, "BEGIN IMMEDIATE");
    house.release();
    stalled.signal(Signal::CONT);
    stalled.says("the ledger waits for the database");
    drop(shell);
    stalled.says("before its run ended; its attempts are booked");
}

const SPENT: &str = "SELECT name, spent_micros, reserved_micros FROM spending
    WHERE scope = 'provider' AND length(period) = 7 ORDER BY name";

#[test]
fn a_daemon_that_wakes_beside_its_successor_changes_nothing_of_the_job() {
    let (house, second) = (Vendor::holding(), Vendor::holding());
    let place = Place::new(&priced(&house, &second));
    let stalled = place.serve();
    place.enqueue("article");
    house.is_called(1);
    stalled.signal(Signal::STOP);
    // The successor keeps what it takes, however long the others are held up.
    place.configure(&priced(&house, &second).replace("lease = \"3s\"", "lease = \"5m\""));
    let successor = place.serve();
    // The stalled call may have been paid for: it is not made again, and the next link is asked.
    second.is_called(1);
    let rows = "SELECT * FROM jobs; SELECT * FROM runs; SELECT * FROM attempts; SELECT * FROM spending";
    let before = place.sql(rows);
    wakes_to_a_late_answer(&place, &stalled, &house);
    place.finds(rows, &before);
    second.release();
    place.shows("SELECT status, provider, fallback_used FROM jobs", "done|second|1");
    // The first verdict stands, and what the call may have cost is spent, once.
    place.finds(
        "SELECT provider, status, cost_micros FROM attempts ORDER BY id",
        "house|unknown|0\nsecond|delivered|40000",
    );
    place.finds(SPENT, "house|40000|0\nsecond|40000|0");
    place.finds("SELECT count(*) FROM runs", "1");
    assert_eq!((house.calls(), second.calls()), (1, 1));
    stalled.stop();
    successor.stop();
}

#[test]
fn a_late_answer_to_a_job_that_was_cancelled_is_booked_with_what_it_cost() {
    let (house, second) = (Vendor::holding(), Vendor::start());
    let place = Place::new(&priced(&house, &second));
    let stalled = place.serve();
    place.enqueue("article");
    house.is_called(1);
    stalled.signal(Signal::STOP);
    place.sql("UPDATE jobs SET status = 'cancelled'");
    let job = place.sql("SELECT * FROM jobs");
    wakes_to_a_late_answer(&place, &stalled, &house);
    place.finds("SELECT * FROM jobs", &job);
    // Nobody else had said anything of it: this verdict is the first.
    place.finds("SELECT provider, status, cost_micros FROM attempts", "house|delivered|40000");
    place.finds(SPENT, "house|40000|0");
    assert_eq!((house.calls(), second.calls()), (1, 0));
    stalled.stop();
}
