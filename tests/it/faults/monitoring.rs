//! What a monitoring system is told: the figures of `health --json`, and exit codes.

use std::fs;

use rustix::process::Signal;

use super::{Disk, run};
use crate::daemon::{PATIENCE, Place, texts, within};

/// A queue whose database and vault are on this disk.
fn place_on(disk: &Disk) -> Place {
    let folder = disk.path().display();
    let place = Place::new(&format!(
        "[queue]\ndatabase = \"sqlite:{folder}/backstop.db\"\n[vault]\nurl = \"file:{folder}/assets\"\n{}",
        texts(r#"["template"]"#, &[])
    ));
    std::os::unix::fs::symlink(disk.path().join("backstop.db"), place.file("backstop.db")).expect("linked");
    fs::create_dir_all(disk.path().join("assets")).expect("a folder");
    place
}

/// The exit code of `health --strict`, the kinds of trouble it tells, and the figures of the queue.
#[track_caller]
fn strict(place: &Place) -> (Option<i32>, Vec<String>, serde_json::Value) {
    let ran = run(place, "health", &["--strict", "--json"]);
    let queue = ran.json()["queue"].take();
    let kinds = queue["troubles"].as_array().expect("a list");
    let kinds = kinds.iter().map(|one| one["kind"].as_str().expect("a kind").to_owned()).collect();
    assert_eq!(run(place, "health", &[]).code, Some(0), "without --strict it tells, and does not judge");
    (ran.code, kinds, queue)
}

#[test]
fn a_daemon_that_takes_nothing_is_told_by_the_age_of_the_oldest_job() {
    // Larger than what counts as short; a tmpfs takes only what is written to it.
    let Some(disk) = Disk::mount(1 << 20) else { return };
    let place = place_on(&disk);
    let (code, kinds, queue) = strict(&place);
    assert_eq!((code, kinds.as_slice()), (Some(0), [].as_slice()), "{queue}");
    assert_eq!((&queue["workers"], queue["oldestDueAt"].is_null()), (&0.into(), true), "{queue}");
    assert!(queue["lastClaimAt"].is_null() && queue["lastFinishAt"].is_null(), "{queue}");

    let daemon = place.serve();
    // It may be stopped in the middle of a write, whose lock it then holds: it goes on for a moment in that case.
    let late = "INSERT INTO jobs (asset, slug, run_at)
         VALUES ('social-text', 'late', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-16 minutes'))";
    let inserted = within(PATIENCE, || {
        daemon.signal(Signal::STOP);
        let done = place.try_sql(late).is_ok();
        if !done {
            daemon.signal(Signal::CONT);
        }
        done
    });
    assert!(inserted, "the database stays locked");
    let (code, kinds, queue) = strict(&place);
    assert_eq!((code, kinds), (Some(1), vec!["oldestDue".to_owned()]), "{queue}");
    let due = place.sql("SELECT run_at FROM jobs");
    assert_eq!((&queue["workers"], &queue["oldestDueAt"]), (&1.into(), &due.into()), "{queue}");
    let seconds = queue["oldestDueSeconds"].as_u64().expect("seconds");
    assert!((960..1_200).contains(&seconds), "{queue}");

    daemon.signal(Signal::CONT);
    place.shows("SELECT status FROM jobs", "done");
    let (code, kinds, queue) = strict(&place);
    assert_eq!((code, kinds.as_slice()), (Some(0), [].as_slice()), "{queue}");
    let of_run = |column: &str| place.sql(&format!("SELECT {column} FROM runs"));
    assert_eq!(queue["lastClaimAt"], of_run("started_at"), "{queue}");
    assert_eq!(queue["lastFinishAt"], of_run("finished_at"), "{queue}");
    assert!(queue["oldestDueAt"].is_null(), "{queue}");
    daemon.stop();
}

#[test]
fn disks_that_are_short_are_told_with_their_figures() {
    let Some(disk) = Disk::mount(8192) else { return };
    let place = place_on(&disk);
    let (code, kinds, queue) = strict(&place);
    assert_eq!((code, kinds), (Some(1), vec!["databaseDisk".to_owned(), "vaultDisk".to_owned()]), "{queue}");
    for whose in ["databaseDisk", "vaultDisk"] {
        let (total, free) = (queue[whose]["total"].as_u64(), queue[whose]["free"].as_u64());
        assert_eq!(total, Some(8 << 20), "{queue}");
        assert!(free > Some(0) && free < total, "{queue}");
    }
    let database = fs::metadata(disk.path().join("backstop.db")).expect("there").len();
    assert_eq!(queue["databaseBytes"], database, "{queue}");
}

#[test]
fn who_asks_the_wrong_thing_is_told_apart_from_who_is_in_trouble() {
    let place = Place::new(&texts(r#"["template"]"#, &[]));
    for wrong in [["--set", "queue.concurrency=none"], ["--config", "nowhere.toml"]] {
        for verb in ["check", "health"] {
            assert_eq!(run(&place, verb, &wrong).code, Some(2), "{verb} {wrong:?}");
        }
    }
    assert_eq!(run(&place, "check", &[]).code, Some(0));
    assert_eq!(run(&place, "check", &["--no-such-flag"]).code, Some(2));
    assert_eq!(run(&place, "health", &["--strict", "no-such-asset"]).code, Some(2));
    // What cannot be told is trouble.
    fs::write(place.file("backstop.db"), "no database at all, and long enough to be looked at")
        .expect("written");
    let ran = run(&place, "health", &["--strict"]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
}
