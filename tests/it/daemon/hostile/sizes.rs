//! Rows of hundreds of megabytes: the daemon reads none of them whole, and goes on beside them.

use std::fs;

use crate::daemon::vendor::{Vendor, error};
use crate::daemon::{Place, texts};

/// What SQLite makes of this is this many million characters.
fn megabytes(count: usize) -> String {
    format!("hex(zeroblob({}))", count * 500_000)
}

/// The most memory a daemon has had so far, in megabytes.
fn peak(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("a living process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") / 1024
}

#[test]
fn a_row_of_hundreds_of_megabytes_is_not_read_and_its_neighbour_is_made() {
    let house = Vendor::start();
    let place = Place::new(&texts(r#"["house", "manual"]"#, &[("house", house.url())]));
    let serving = place.serve();
    place.enqueue("first");
    place.shows("SELECT status FROM jobs", "done");
    let before = peak(serving.child.0.id());
    let huge = megabytes(100);
    for (name, hostile, expected) in [
        ("a start", format!("UPDATE jobs SET started_at = {huge} WHERE slug = 'bad'"), "manual"),
        (
            "a prompt",
            format!("DROP TRIGGER jobs_update_is_checked; UPDATE jobs SET prompt = {huge} WHERE slug = 'bad'"),
            "manual",
        ),
        (
            "an input",
            format!("UPDATE jobs SET input = '{{\"a\": \"' || {huge} || '\"}}' WHERE slug = 'bad'"),
            "manual",
        ),
        ("a slug", format!("UPDATE jobs SET slug = 'bad' || {huge} WHERE slug = 'bad'"), "done"),
        (
            "a provider's last error",
            format!("INSERT OR REPLACE INTO provider_health (provider, last_error) VALUES ('house', {huge})"),
            "done",
        ),
        (
            "an asset's last error",
            format!("INSERT OR REPLACE INTO asset_health (asset, last_error) VALUES ('social-text', {huge})"),
            "done",
        ),
        (
            "a provider's spelling",
            format!(
                "INSERT INTO providers SELECT {huge}, title, protocol, medium, model, base_url, supported, updated_at,
                    NULL, NULL FROM providers WHERE name = 'house';
                 UPDATE jobs SET provider_override = {huge} WHERE slug = 'bad'"
            ),
            "done",
        ),
    ] {
        // In one transaction, so that the daemon sees the row as it was made.
        place.sql(&format!(
            "PRAGMA ignore_check_constraints = ON; BEGIN IMMEDIATE;
             INSERT INTO jobs (asset, slug) VALUES ('social-text', 'bad'); {hostile};
             INSERT INTO jobs (asset, slug) VALUES ('social-text', 'good'); COMMIT"
        ));
        place.shows("SELECT status FROM jobs WHERE slug = 'good'", "done");
        let bad = "SELECT status FROM jobs WHERE substr(slug, 1, 3) = 'bad'";
        place.shows(bad, expected);
        // SQLite itself takes a row apart and puts it together whenever it is changed; the triggers look at its slug.
        let grown = peak(serving.child.0.id()) - before;
        println!("{name}: {grown} MB");
        assert!(grown < 330, "{name}: the daemon took {grown} MB for it");
        place.sql("DELETE FROM jobs WHERE slug <> 'first'; DELETE FROM runs WHERE job_id NOT IN (SELECT id FROM jobs)");
    }
    serving.stop();
}

#[test]
fn an_attempt_of_hundreds_of_megabytes_is_taken_up_by_its_beginning() {
    let house = Vendor::start();
    let place = Place::new(&texts(r#"["house", "manual"]"#, &[("house", house.url())]));
    let huge = megabytes(200);
    place.sql(&format!(
        "INSERT INTO jobs (asset, slug) VALUES ('social-text', 'bad');
         UPDATE jobs SET status = 'running', lease_token = '0123456789abcdef', lease_owner = 'x',
            lease_until = '2020-01-01T00:00:00.000Z', started_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now');
         INSERT INTO runs (job_id, number, chain, started_at) SELECT id, 1, '[\"house\"]', '2026' FROM jobs;
         INSERT INTO attempts (run_id, job_id, position, provider, status, class, error, operation, started_at)
            SELECT id, job_id, 0, 'house', 'failed', 'invalid', {huge}, {huge}, '2026' FROM runs;
         INSERT INTO jobs (asset, slug) VALUES ('social-text', 'good')"
    ));
    assert!(place.drain().success(), "{}", place.story());
    place.finds(
        "SELECT slug, status, length(error) < 10000 FROM jobs ORDER BY id",
        "bad|manual|1\ngood|done|",
    );
}

#[test]
fn what_one_vendor_says_is_kept_in_a_few_hundred_characters() {
    let house = Vendor::start();
    let place = Place::new(&texts(r#"["house", "manual"]"#, &[("house", house.url())]));
    house.answer_instead(Some(error(400, &"c".repeat(60_000), &"long words ".repeat(300_000))));
    place.enqueue("loud");
    assert!(place.drain().success());
    place.finds("SELECT status FROM jobs", "manual");
    for longest in [
        "SELECT length(error) FROM jobs",
        "SELECT length(error) FROM attempts",
        "SELECT length(last_error) FROM asset_health",
    ] {
        let length: usize = place.sql(longest).parse().expect("a number");
        assert!((5..700).contains(&length), "{longest}: {length}");
    }
    let log = fs::metadata(place.file("drain-log")).expect("a log").len();
    assert!(log < 20_000, "the log grew by {log} bytes");
}
