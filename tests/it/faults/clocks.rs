//! A clock that is set under living daemons, by libfaketime.

use std::fs;
use std::path::PathBuf;

use super::is_held_for;
use crate::daemon::vendor::Vendor;
use crate::daemon::{Place, Serving, texts};

/// Lets the daemons of this place read their clock from a file; says why and returns `None` where that cannot be done.
struct Clock {
    file: PathBuf,
}

impl Clock {
    fn of(place: &mut Place) -> Option<Self> {
        let libraries = fs::read_dir("/usr/lib").ok()?.flatten();
        let library = libraries.map(|found| found.path().join("faketime/libfaketimeMT.so.1"));
        let Some(library) = library.into_iter().find(|library| library.exists()) else {
            eprintln!("SKIPPED: no libfaketime; apt-get install faketime");
            return None;
        };
        let clock = Self { file: place.file("clock") };
        clock.is_set_by("+0");
        place.environment = vec![
            ("LD_PRELOAD", library.display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", clock.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            // The steady clock goes on, as it does when the wall's is set.
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
        ];
        Some(clock)
    }

    fn is_set_by(&self, offset: &str) {
        // In one step: the daemons read it at any time.
        let next = self.file.with_extension("next");
        fs::write(&next, offset).expect("written");
        fs::rename(next, &self.file).expect("set");
    }
}

/// A job in a call, held by the first of two daemons, when the clock is set.
fn jumps(offset: &str, then: impl Fn(&Place, &Serving)) {
    let house = Vendor::holding();
    let spare = Vendor::start();
    let addresses = [("house", house.url()), ("spare", spare.url())];
    let configuration = texts(r#"["house", "spare"]"#, &addresses);
    let mut place =
        Place::new(&format!("[queue]\nlease = \"6s\"\nschedule = \"* * * * * *\"\n{configuration}"));
    let Some(clock) = Clock::of(&mut place) else { return };
    let holder = place.serve();
    place.enqueue("held");
    house.is_called(1);
    let beside = place.serve();
    let lease = place.sql("SELECT lease_until FROM jobs");
    clock.is_set_by(offset);
    for daemon in [&holder, &beside] {
        daemon.says("the clock was set, or the machine was asleep");
    }
    // Renewed by the clock as it is now.
    place.shows(&format!("SELECT abs(julianday(lease_until) - julianday('{lease}')) > 0.9 FROM jobs"), "1");
    then(&place, &holder);
    place.finds("SELECT status, deaths FROM jobs", "running|0");
    house.release();
    place.shows("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    place.sql("INSERT INTO jobs (asset, slug, run_at) VALUES ('social-text', 'next', '2026-01-01')");
    place.shows("SELECT status FROM jobs WHERE slug = 'next'", "done");
    place.finds("SELECT count(*), sum(status = 'delivered') FROM attempts", "2|2");
    assert_eq!((house.calls(), spare.calls()), (2, 0));
    holder.stop();
    beside.stop();
}

#[test]
fn a_clock_that_is_set_forward_takes_no_job_and_ends_no_run() {
    jumps("+1d", |_, _| ());
}

/// The scheduler has its next tick where the clock was, and waits for it for a day.
#[test]
fn a_clock_that_is_set_back_takes_no_job_and_the_scheduler_that_waits_for_tomorrow_is_replaced() {
    jumps("-1d", |place, daemon| {
        daemon.says("the scheduler has stopped ticking; it is replaced");
        // The next one ticks: for longer than it takes to notice one that does not, as the renewed lease shows.
        is_held_for(place, 9);
        assert_eq!(daemon.log().matches("stopped ticking").count(), 1, "{}", daemon.log());
    });
}
