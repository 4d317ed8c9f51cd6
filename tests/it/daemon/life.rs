//! Interrupted lives: a person's cancel, a stop, a second stop, a kill.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, Command, Stdio};

use rustix::process::Signal;

use super::vendor::Vendor;
use super::{Place, texts};

fn place(queue: &str, vendor: &Vendor) -> Place {
    let addresses = [("house", vendor.url())];
    Place::new(&format!("[queue]\n{queue}\n{}", texts(r#"["house", "template", "manual"]"#, &addresses)))
}

/// Somebody's shell that holds the database.
struct Shell {
    stdin: ChildStdin,
    _shell: super::Killed,
}

impl Shell {
    fn holding(place: &Place) -> Self {
        let shell = Command::new("sqlite3")
            .arg(place.file("backstop.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sqlite3 shell");
        let mut shell = super::Killed(shell);
        let mut stdin = shell.0.stdin.take().expect("piped");
        let mut held = String::new();
        writeln!(stdin, "BEGIN IMMEDIATE; SELECT 'held';").expect("it reads");
        BufReader::new(shell.0.stdout.take().expect("piped")).read_line(&mut held).expect("it answers");
        Self { stdin, _shell: shell }
    }

    fn lets_go(&mut self) {
        writeln!(self.stdin, "ROLLBACK;").expect("it reads");
    }
}

#[test]
fn a_persons_cancel_beats_the_finish_that_comes_later_and_its_cost_is_booked() {
    let vendor = Vendor::holding();
    let place = place("lease = \"1h\"", &vendor);
    let daemon = place.serve();
    place.enqueue("unwanted");
    vendor.is_called(1);
    place.sql("UPDATE jobs SET status = 'cancelled' WHERE slug = 'unwanted'");
    vendor.release();
    place.shows("SELECT provider, status FROM attempts", "house|delivered");
    place.finds(
        "SELECT status, url, text, provider, lease_token, message FROM jobs",
        "cancelled|||||Social text cancelled",
    );
    place.finds("SELECT number, outcome FROM runs", "1|cancelled");
    // What was said of the asset comes from its runs; this one came to nothing.
    place.finds("SELECT sentence FROM health WHERE asset = 'social-text'", "Never run.");
    place.finds("SELECT last_success_at IS NOT NULL FROM provider_health WHERE provider = 'house'", "1");
    daemon.stop();
}

#[test]
fn a_cancelled_call_is_stopped_at_the_renewal_and_has_a_verdict() {
    let vendor = Vendor::holding();
    let place = place("lease = \"3s\"", &vendor);
    let daemon = place.serve();
    place.enqueue("unwanted");
    vendor.is_called(1);
    place.sql("UPDATE jobs SET status = 'cancelled' WHERE slug = 'unwanted'");
    daemon.says("its call is stopped");
    place.shows("SELECT status, class, finished_at IS NOT NULL FROM attempts", "unknown|unknown_outcome|1");
    place.finds("SELECT status, provider FROM jobs", "cancelled|");
    // The provider is not to blame for what a person wanted.
    place.finds("SELECT coalesce(sum(consecutive_failures), 0) FROM provider_health", "0");
    daemon.stop();
}

#[test]
fn a_held_job_is_not_taken_over_while_its_lease_is_renewed() {
    let vendor = Vendor::holding();
    let place = place("lease = \"1s\"", &vendor);
    let (first, second) = (place.serve(), place.serve());
    place.enqueue("slow");
    vendor.is_called(1);
    let lease = place.sql("SELECT lease_until FROM jobs");
    place.shows(
        &format!("SELECT lease_until > strftime('%Y-%m-%dT%H:%M:%fZ', '{lease}', '+2 seconds') FROM jobs"),
        "1",
    );
    vendor.release();
    place.shows("SELECT status, provider FROM jobs", "done|house");
    place.finds("SELECT count(*) FROM attempts", "1");
    assert_eq!(vendor.calls(), 1);
    first.stop();
    second.stop();
}

#[test]
fn a_stopping_daemon_finishes_what_runs_and_begins_nothing() {
    let vendor = Vendor::holding();
    let place = place("lease = \"60s\"", &vendor);
    let mut daemon = place.serve();
    place.enqueue("under-way");
    vendor.is_called(1);
    daemon.signal(Signal::TERM);
    daemon.says("stopping:");
    place.enqueue("too-late");
    vendor.release();
    assert!(daemon.ends().success());
    place.finds(
        "SELECT slug, status, provider FROM jobs ORDER BY id",
        "under-way|done|house\ntoo-late|pending|",
    );
    place.finds("SELECT count(*) FROM runs", "1");
    assert_eq!(vendor.calls(), 1);
    let left: Vec<_> = std::fs::read_dir(place.folder.path())
        .expect("a folder")
        .filter_map(|entry| entry.expect("an entry").file_name().into_string().ok())
        .filter(|name| name.starts_with(".backstop-worker-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_second_signal_hands_back_and_the_next_daemon_goes_on_with_the_same_run() {
    let vendor = Vendor::holding();
    let place = place("lease = \"60s\"", &vendor);
    let mut daemon = place.serve();
    place.enqueue("interrupted");
    vendor.is_called(1);
    daemon.signal(Signal::TERM);
    daemon.says("stopping:");
    daemon.signal(Signal::INT);
    assert!(daemon.ends().success());
    place.finds("SELECT status, runs, lease_token, error FROM jobs", "pending|0||");
    place.finds("SELECT id, number, outcome, finished_at FROM runs", "1|1||");
    place.finds("SELECT provider, status, operation FROM attempts", "house|started|");

    assert!(place.drain().success());
    place.finds("SELECT status, provider, fallback_used, runs FROM jobs", "done|template|1|1");
    place.finds("SELECT id, number, outcome, provider FROM runs", "1|1|delivered|template");
    place.finds(
        "SELECT provider, status, class FROM attempts ORDER BY id",
        "house|unknown|unknown_outcome\ntemplate|delivered|",
    );
    place.finds(
        "SELECT consecutive_failures, last_class FROM provider_health WHERE provider = 'house'",
        "1|unknown_outcome",
    );
    assert_eq!(vendor.calls(), 1, "a call that may have been billed is not made again");
}

#[test]
fn a_killed_daemons_run_is_taken_over_at_once_and_no_call_is_paid_twice() {
    let house = Vendor::holding();
    let second = Vendor::holding();
    let addresses = [("house", house.url()), ("second", second.url())];
    let place = Place::new(&format!(
        "[queue]\nlease = \"1h\"\n{}",
        texts(r#"["house", "second", "manual"]"#, &addresses)
    ));
    let daemon = place.serve();
    place.enqueue("orphan");
    house.is_called(1);
    daemon.kill();
    place.finds("SELECT status, deaths FROM jobs", "running|0");

    // The lease lasts for another hour; that its holder is dead is known from its lock.
    let daemon = place.serve();
    second.is_called(1);
    place.finds("SELECT status, deaths FROM jobs", "running|1");
    place.finds(
        "SELECT provider, status, class FROM attempts ORDER BY id",
        "house|unknown|unknown_outcome\nsecond|started|",
    );
    second.release();
    place.shows("SELECT status, provider, fallback_used, deaths FROM jobs", "done|second|1|0");
    place.finds("SELECT id, number, outcome FROM runs", "1|1|delivered");
    assert_eq!((house.calls(), second.calls()), (1, 1));
    place.finds(
        "SELECT primary_provider, primary_last_error LIKE 'unknown_outcome:%' FROM asset_health",
        "house|1",
    );
    daemon.stop();
}

#[test]
fn a_job_that_many_workers_died_of_goes_to_a_person_with_its_calls_settled() {
    let vendor = Vendor::holding();
    let place = place("lease = \"1h\"", &vendor);
    place.enqueue("deadly");
    place.sql("UPDATE jobs SET deaths = 4, solo_deaths = 2");
    let daemon = place.serve();
    vendor.is_called(1);
    daemon.kill();
    assert!(place.drain().success());
    place.finds(
        "SELECT status, error LIKE 'its worker died 3 times while it ran alone%' FROM jobs",
        "manual|1",
    );
    place.finds("SELECT status, class FROM attempts WHERE provider = 'house'", "unknown|unknown_outcome");
    assert_eq!(vendor.calls(), 1);
}

#[test]
fn a_daemon_that_was_killed_without_a_job_leaves_no_lock_file_for_ever() {
    let vendor = Vendor::holding();
    let place = place("lease = \"1h\"", &vendor);
    let locks = || {
        let names = std::fs::read_dir(place.file(""))
            .expect("the folder")
            .map(|entry| entry.expect("read").file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".backstop-worker-")).count()
    };
    place.serve().kill();
    place.serve().kill();
    let living = place.serve();
    super::until("it looks after the dead", || locks() == 1);
    // A dead one that holds a job is needed as a proof until the job is taken over; the living one stays.
    place.enqueue("held");
    vendor.is_called(1);
    assert!(place.drain().success());
    assert_eq!(locks(), 1);
    place.finds("SELECT status, deaths FROM jobs", "running|0");
    living.kill();
    vendor.release();
    assert!(place.drain().success());
    assert_eq!(locks(), 0);
    place.finds("SELECT deaths FROM jobs", "0");
}

#[test]
fn a_verdict_waits_for_a_shell_that_holds_the_database() {
    let vendor = Vendor::holding();
    let place = place("lease = \"1h\"", &vendor);
    let daemon = place.serve();
    place.enqueue("patient");
    vendor.is_called(1);
    let mut shell = Shell::holding(&place);
    vendor.release();
    daemon.says("the ledger waits for the database");
    shell.lets_go();
    place.shows("SELECT status, provider FROM jobs", "done|house");
    place.finds("SELECT count(*), min(status) FROM attempts", "1|delivered");
    assert_eq!(vendor.calls(), 1);
    daemon.stop();
}

#[test]
fn a_paid_verdict_is_written_even_by_a_daemon_that_stops_now() {
    let vendor = Vendor::holding();
    let place = place("lease = \"1h\"", &vendor);
    let mut daemon = place.serve();
    place.enqueue("paid");
    vendor.is_called(1);
    let mut shell = Shell::holding(&place);
    vendor.release();
    daemon.says("the ledger waits for the database");
    daemon.signal(Signal::TERM);
    daemon.says("stopping:");
    daemon.signal(Signal::INT);
    daemon.says("stopping now");
    // A whole try fails after it, and it is not the last.
    let waits = |log: &str| log.matches("the ledger waits").count();
    let before = waits(&daemon.log());
    super::until("it tries once more", || waits(&daemon.log()) > before);
    shell.lets_go();
    assert!(daemon.ends().success());
    place.finds("SELECT status, provider FROM jobs", "done|house");
    place.finds("SELECT count(*), min(status) FROM attempts", "1|delivered");
}

#[test]
fn a_run_that_was_handed_back_ends_when_a_person_provides_the_asset() {
    let vendor = Vendor::holding();
    let place = place("lease = \"1h\"", &vendor);
    let mut daemon = place.serve();
    place.enqueue("interrupted");
    vendor.is_called(1);
    daemon.signal(Signal::TERM);
    daemon.says("stopping:");
    daemon.signal(Signal::TERM);
    assert!(daemon.ends().success());
    place.sql("UPDATE jobs SET status = 'done', text = 'Written by a person.'");
    place.finds("SELECT number, outcome FROM runs", "1|released");
    vendor.release();
    place.sql("UPDATE jobs SET status = 'pending'");
    assert!(place.drain().success());
    place.finds("SELECT status, provider, text LIKE 'A calm sentence%' FROM jobs", "done|house|1");
    place.finds("SELECT number, outcome FROM runs ORDER BY number", "1|released\n2|delivered");
}

#[test]
fn what_outlasts_the_grace_is_handed_back() {
    let vendor = Vendor::holding();
    let place = place("lease = \"1h\"\ngrace = \"1s\"", &vendor);
    let mut daemon = place.serve();
    place.enqueue("slow");
    vendor.is_called(1);
    daemon.signal(Signal::TERM);
    daemon.says("the grace is over");
    assert!(daemon.ends().success());
    place.finds("SELECT status, runs, lease_token FROM jobs", "pending|0|");
    place.finds("SELECT outcome, finished_at FROM runs", "|");
}
