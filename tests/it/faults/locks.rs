//! Somebody's shell that holds the database: against writers, or only as a reader that never closes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{run, says_again};
use crate::daemon::vendor::Vendor;
use crate::daemon::{Killed, Place, texts, within};

/// A shell that has run these statements and keeps its transaction open until it is dropped.
pub(super) fn holding(place: &Place, statements: &str) -> Killed {
    let mut shell: Child = Command::new("sqlite3")
        .args(["-batch", "-cmd", ".timeout 10000"])
        .arg(place.file("backstop.db"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the sqlite3 shell");
    let mut typed = shell.stdin.take().expect("a pipe");
    writeln!(typed, "{statements}; SELECT 'held';").expect("typed");
    let lines = BufReader::new(shell.stdout.take().expect("a pipe")).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "held"));
    shell.stdin = Some(typed);
    Killed(shell)
}

#[test]
fn a_shell_that_locks_the_database_for_longer_than_we_wait_is_waited_out() {
    let (house, second) = (Vendor::start(), Vendor::start());
    let addresses = [("house", house.url()), ("second", second.url())];
    let place = Place::new(&texts(r#"["house", "second"]"#, &addresses));
    house.hold();
    let daemon = place.serve();
    place.enqueue("article");
    house.is_called(1);
    let shell = holding(&place, "BEGIN EXCLUSIVE");
    house.release();
    // Said after the busy time-out is over, each time.
    says_again(&daemon, "the ledger waits for the database", 2);
    drop(shell);
    place.shows("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    place.finds("SELECT coalesce(max(consecutive_failures), 0) FROM provider_health", "0");
    assert_eq!((house.calls(), second.calls()), (1, 0));
    daemon.stop();
}

#[test]
fn a_reader_that_never_closes_is_told_of_and_the_log_is_cut_back_when_it_does() {
    let place = Place::new(&texts(r#"["template"]"#, &[]));
    let daemon = place.serve();
    place.enqueue("first");
    place.shows("SELECT status FROM jobs", "done");
    let shell = holding(&place, "BEGIN; SELECT count(*) FROM jobs");
    place.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO jobs (asset, slug) SELECT 'social-text', 'article-' || i FROM n",
    );
    place.shows("SELECT count(*) FROM jobs WHERE status = 'done'", "3001");
    // What takes the daemon months takes this a second.
    place.sql(
        "CREATE TABLE ballast (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 28)
         INSERT INTO ballast SELECT zeroblob(10000000) FROM n; DROP TABLE ballast",
    );
    let log = || fs::metadata(place.file("backstop.db-wal")).map_or(0, |found| found.len());
    assert!(log() > 256 << 20, "{}", log());
    daemon.says("the write-ahead log has grown to");
    let strict = run(&place, "health", &["--strict", "--json"]);
    assert_eq!(strict.code, Some(1), "{}", strict.err);
    let queue = &strict.json()["queue"];
    assert_eq!((&queue["workers"], &queue["manual"]), (&1.into(), &0.into()), "{queue}");
    assert_eq!(queue["walBytes"], log(), "{queue}");
    assert!(queue["lastClaimAt"].is_string() && queue["lastFinishAt"].is_string(), "{queue}");
    assert!(queue["vaultDisk"]["free"].is_u64() && queue["databaseDisk"]["free"].is_u64(), "{queue}");
    assert!(queue["troubles"].to_string().contains("walSize"), "{queue}");
    // The queue is worked off all the same.
    place.enqueue("beside it");
    place.shows("SELECT status FROM jobs WHERE slug = 'beside it'", "done");
    drop(shell);
    assert!(within(Duration::from_secs(120), || log() == 0), "{} bytes stay\n{}", log(), place.story());
    daemon.says("this trouble has passed");
    daemon.stop();
}
