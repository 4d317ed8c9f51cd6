//! A daemon that stands still for longer than its lease and wakes beside its successor.

use rustix::process::Signal;

use crate::daemon::vendor::Vendor;
use crate::daemon::{Place, texts};

#[test]
fn a_daemon_that_wakes_beside_its_successor_changes_nothing_of_the_job() {
    let (house, second) = (Vendor::start(), Vendor::start());
    let addresses = [("house", house.url()), ("second", second.url())];
    let configuration = texts(r#"["house", "second"]"#, &addresses);
    let place = Place::new(&format!("[queue]\nlease = \"3s\"\n{configuration}"));
    house.hold();
    let stalled = place.serve();
    place.enqueue("article");
    house.is_called(1);
    stalled.signal(Signal::STOP);
    let successor = place.serve();
    // Its call may have been paid for: it is not made again, and the next link delivers.
    place.shows("SELECT status, provider, fallback_used FROM jobs", "done|second|1");
    let rows = "SELECT * FROM jobs; SELECT * FROM runs; SELECT id, status, class FROM attempts";
    let before = place.sql(rows);
    house.release();
    stalled.signal(Signal::CONT);
    stalled.says("taken over");
    stalled.stop();
    place.finds(rows, &before);
    place.finds("SELECT provider, status FROM attempts ORDER BY id", "house|unknown\nsecond|delivered");
    place.finds("SELECT count(*) FROM runs", "1");
    assert_eq!((house.calls(), second.calls()), (1, 1));
    successor.stop();
}
