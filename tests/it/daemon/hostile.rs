//! Rows that no program of ours wrote: each spoils itself at most, and nobody else.

mod mid_run;
mod replies;
mod sizes;
mod staged;

use super::vendor::Vendor;
use super::{Place, texts};

const BAD: &str = "INSERT INTO jobs (asset, slug) VALUES ('social-text', 'bad');";

/// A job whose worker is gone.
const LOST: &str = "INSERT INTO jobs (asset, slug) VALUES ('social-text', 'bad');
    UPDATE jobs SET status = 'running', lease_token = '0123456789abcdef', lease_until = '2020-01-01T00:00:00.000Z',
        lease_owner = 'x', started_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE slug = 'bad';";

const RUN: &str =
    "INSERT INTO runs (job_id, number, chain, started_at) SELECT id, 1, '[\"house\"]', '2026' FROM jobs
    WHERE slug = 'bad';";

/// Does it to a job, with another job behind it in the queue, and drains: the other one is made, and the bad one
/// ends as `expected`.
#[track_caller]
fn check(place: &Place, name: &str, hostile: &str, expected: &str) {
    place.sql(&format!("PRAGMA ignore_check_constraints = ON; {hostile}"));
    place.enqueue("good");
    assert!(place.drain().success(), "{name}: {}", place.story());
    let found = place.sql("SELECT slug, status FROM jobs ORDER BY slug DESC");
    assert_eq!(found, format!("good|done\nbad|{expected}"), "{name}: {}", place.story());
    place.finds("SELECT count(*) FROM runs WHERE finished_at IS NULL", "0");
    place.sql("DELETE FROM jobs; DELETE FROM provider_health; DELETE FROM asset_health");
}

#[test]
fn a_job_that_cannot_be_read_is_a_persons_and_the_next_one_is_made() {
    let house = Vendor::start();
    let place = Place::new(&texts(r#"["house", "manual"]"#, &[("house", house.url())]));
    for (name, hostile) in [
        ("a start that is no text", "UPDATE jobs SET started_at = CAST(x'ff' AS TEXT)"),
        ("a start that is no time", "UPDATE jobs SET started_at = 'soon'"),
        ("a prompt that is no text", "UPDATE jobs SET prompt = CAST(x'41ff' AS TEXT)"),
        ("half a character", r#"UPDATE jobs SET input = '{"a": "\ud800"}'"#),
        ("a number beyond all numbers", r#"UPDATE jobs SET input = '{"a": 1e999}'"#),
        (
            "depth",
            r#"UPDATE jobs SET input = '{"a":' || replace(hex(zeroblob(250)), '00', '[')
                || replace(hex(zeroblob(250)), '00', ']') || '}'"#,
        ),
        (
            "breadth",
            r#"UPDATE jobs SET input = '{"a": [' || replace(hex(zeroblob(60000)), '00', '0,') || '0]}'"#,
        ),
        ("runs without number", "UPDATE jobs SET runs = 9223372036854775807"),
        (
            "the last number there is",
            "INSERT INTO runs (job_id, number, chain, started_at, finished_at, outcome)
                SELECT id, 9223372036854775807, '[]', '2026', '2026', 'later' FROM jobs",
        ),
    ] {
        check(&place, name, &format!("{BAD} {hostile}"), "manual");
    }
    for (name, hostile) in [
        (
            "deaths without number",
            "UPDATE jobs SET deaths = 9223372036854775807, solo_deaths = 9223372036854775807".to_owned(),
        ),
        ("a number beyond ours", format!("{RUN} UPDATE runs SET number = 5000000000")),
        ("a chain that is no list", format!("{RUN} UPDATE runs SET chain = '{{}}'")),
        ("a chain that is no text", format!("{RUN} UPDATE runs SET chain = CAST(x'5bff5d' AS TEXT)")),
        (
            "a place before the first",
            format!(
                "{RUN} INSERT INTO attempts (run_id, job_id, position, provider, status, started_at)
                    SELECT id, job_id, -1, 'house', 'failed', '2026' FROM runs"
            ),
        ),
        (
            "an attempt that is no text, of a call that is open",
            format!(
                "{RUN} INSERT INTO attempts (run_id, job_id, position, provider, status, operation, started_at)
                    SELECT id, job_id, 0, 'house', 'accepted', CAST(x'ff' AS TEXT), '2026' FROM runs"
            ),
        ),
        (
            "attempts without end",
            format!(
                "{RUN} INSERT INTO attempts (run_id, job_id, position, provider, status, started_at)
                    SELECT r.id, job_id, 0, 'house', 'failed', '2026' FROM runs r,
                        json_each('[' || replace(hex(zeroblob(2000)), '00', '0,') || '0]')"
            ),
        ),
    ] {
        check(&place, name, &format!("{LOST} {hostile}"), "manual");
    }
    assert_eq!(house.calls(), 16, "nothing was made for a job that could not be read");
}

#[test]
fn what_else_is_edited_is_lived_with() {
    let house = Vendor::start();
    let place = Place::new(&texts(r#"["house", "manual"]"#, &[("house", house.url())]));
    for (name, hostile) in [
        ("an owner that is no text", "UPDATE jobs SET lease_owner = CAST(x'ff' AS TEXT)"),
        ("a lease until the end of time", "UPDATE jobs SET lease_until = '9999-01-01T00:00:00.000Z'"),
        ("a lease that is no time", "UPDATE jobs SET lease_until = 'zzz'"),
    ] {
        check(&place, name, &format!("{LOST} {hostile}"), "done");
    }
    for (name, hostile) in [
        (
            "a refusal of no prompt",
            "INSERT INTO runs (job_id, number, chain, started_at, finished_at, outcome, prompt_digest)
                SELECT id, 1, '[]', '2026', '2026', 'later', CAST(x'ff' AS TEXT) FROM jobs;
             INSERT INTO attempts (run_id, job_id, position, provider, status, class, started_at)
                SELECT id, job_id, 0, 'house', 'failed', 'refused', '2026' FROM runs",
        ),
        (
            "a provider's health",
            "INSERT INTO provider_health (provider, open_until, cool_until, last_error, consecutive_failures, step)
                VALUES ('house', 'soon', 'later', CAST(x'ff' AS TEXT), 9223372036854775807, -1)",
        ),
        (
            "an asset's health",
            "INSERT INTO asset_health (asset, last_success_at, last_failure_at, last_error, primary_provider)
                VALUES ('social-text', 'ever', CAST(x'ff' AS TEXT), CAST(x'ff' AS TEXT), '\u{1b}[31m')",
        ),
    ] {
        check(&place, name, &format!("{BAD} {hostile}"), "done");
    }
    place.sql(
        "INSERT INTO provider_health (provider, state, probe_job, probe_until)
            VALUES ('house', 'half-open', 1, '9999-01-01T00:00:00.000Z')",
    );
    place.enqueue("good");
    assert!(place.drain().success());
    place.finds("SELECT status FROM jobs", "done");
    assert_eq!(house.calls(), 13, "a probe for ever is none");
}
