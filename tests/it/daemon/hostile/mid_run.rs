//! Rows that are changed or deleted under a run: the job ends, and so does its neighbour.

use crate::daemon::vendor::Vendor;
use crate::daemon::{Place, texts};

/// Deletes or changes something while the vendor is called, lets it answer, and waits until both jobs have ended.
#[track_caller]
fn check(name: &str, hostile: &str, own: &str, neighbour: &str) {
    let house = Vendor::holding();
    let mut configuration = texts(r#"["house", "manual"]"#, &[("house", house.url())]);
    configuration.push_str("price = 0.01\nbudget = { month = 100.0 }\n[queue]\nlease = \"5s\"\n");
    let place = Place::new(&configuration);
    let serving = place.serve();
    place.enqueue("bad");
    house.is_called(1);
    place.sql(&format!("PRAGMA ignore_check_constraints = ON; {hostile}"));
    place.enqueue("good");
    house.release();
    place.shows("SELECT status FROM jobs WHERE slug = 'good'", neighbour);
    place.shows("SELECT status FROM jobs WHERE slug = 'bad'", own);
    assert!(house.calls() <= 3, "{name}: {} calls\n{}", house.calls(), place.story());
    serving.stop();
}

#[test]
fn rows_deleted_or_spoiled_under_a_run_cost_that_run_at_most() {
    // The sqlite3 shell leaves foreign keys off, so that each of these is possible.
    for (name, hostile, ends) in [
        ("its attempt is deleted", "DELETE FROM attempts", "done"),
        ("its run is deleted", "DELETE FROM runs", "done"),
        ("all that is remembered is deleted", "DELETE FROM provider_health; DELETE FROM asset_health", "done"),
        ("the mirrors are deleted", "DELETE FROM providers WHERE name = 'house'; DELETE FROM asset_aliases", "done"),
        ("the counters are deleted", "DELETE FROM spending", "done"),
        (
            "the counters are as large as they can be",
            "UPDATE spending SET spent_micros = 9223372036854775807, reserved_micros = 9223372036854775807",
            // Over its budget, that is.
            "manual",
        ),
        (
            "its attempt reserves what cannot be",
            "UPDATE attempts SET reserved_micros = -9223372036854775807 - 1, cost_micros = -1",
            // It cannot be settled, so its fate is a person's matter: it is not bought again.
            "manual, done",
        ),
        (
            "its numbers are the largest there are",
            "UPDATE jobs SET runs = 9223372036854775807, deaths = 9223372036854775807",
            "done",
        ),
        ("its lease ends in the year 9999", "UPDATE jobs SET lease_until = '9999-12-31T23:59:59.999Z'", "done"),
        ("its owner is somebody else", "UPDATE jobs SET lease_owner = '{}'", "done"),
        (
            "the health of its provider is at its worst",
            "INSERT OR REPLACE INTO provider_health (provider, consecutive_failures, step, state, open_until)
                VALUES ('house', 9223372036854775807, 9223372036854775807, 'closed', '9999-12-31T23:59:59.999Z')",
            "done",
        ),
    ] {
        println!("{name}");
        let (own, neighbour) = ends.split_once(", ").unwrap_or(("done", ends));
        check(name, hostile, own, neighbour);
    }
}

#[test]
fn a_trigger_of_somebodys_that_refuses_one_jobs_end_stops_no_other() {
    let house = Vendor::start();
    let place = Place::new(&texts(r#"["house", "manual"]"#, &[("house", house.url())]));
    place.sql(
        "CREATE TRIGGER mine BEFORE UPDATE ON jobs WHEN NEW.slug = 'bad' AND OLD.status = 'running'
         BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    );
    let serving = place.serve();
    place.sql("BEGIN; INSERT INTO jobs (asset, slug, priority) VALUES ('social-text', 'bad', 9); COMMIT");
    for number in 0..5 {
        place.enqueue(&format!("good-{number}"));
    }
    place.shows("SELECT count(*) FROM jobs WHERE status = 'done'", "5");
    place.finds("SELECT status FROM jobs WHERE slug = 'bad'", "running");
    serving.says("not this one");
    serving.stop();
}

#[test]
fn a_trigger_of_somebodys_that_refuses_one_jobs_claim_stops_no_other() {
    let house = Vendor::start();
    let place = Place::new(&texts(r#"["house", "manual"]"#, &[("house", house.url())]));
    place.sql(
        "CREATE TRIGGER mine BEFORE UPDATE ON jobs WHEN NEW.slug = 'bad' AND NEW.status = 'running'
         BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    );
    let serving = place.serve();
    place.sql("INSERT INTO jobs (asset, slug, priority) VALUES ('social-text', 'bad', 9)");
    for number in 0..5 {
        place.enqueue(&format!("good-{number}"));
    }
    place.shows("SELECT count(*) FROM jobs WHERE status = 'done'", "5");
    place.finds("SELECT status FROM jobs WHERE slug = 'bad'", "pending");
    serving.says("not this one");
    serving.stop();
}

#[test]
fn counters_below_zero_are_set_right_by_the_next_call() {
    let house = Vendor::start();
    let mut configuration = texts(r#"["house", "manual"]"#, &[("house", house.url())]);
    configuration.push_str("price = 0.01\nbudget = { month = 100.0 }\n");
    let place = Place::new(&configuration);
    place.enqueue("first");
    assert!(place.drain().success());
    place.sql(
        "PRAGMA ignore_check_constraints = ON;
         UPDATE spending SET spent_micros = -9223372036854775807 - 1, reserved_micros = -9223372036854775807 - 1",
    );
    place.enqueue("second");
    assert!(place.drain().success(), "{}", place.story());
    place.finds("SELECT status FROM jobs", "done\ndone");
    place.finds("SELECT DISTINCT reserved_micros, spent_micros FROM spending", "0|10000");
}
