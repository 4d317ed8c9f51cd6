//! What follows from a change of status, an edit, a deletion.

use backstop::domain::job::{Actor, JobStatus};

use super::{NOW, Queue};

#[test]
fn the_legal_changes_of_status_are_those_of_the_domain() {
    let queue = Queue::with_jobs();
    let id = |status: JobStatus| match status {
        JobStatus::Pending => 1,
        JobStatus::Running => 2,
        JobStatus::Manual => 3,
        JobStatus::Done => 4,
        JobStatus::Failed => 5,
        JobStatus::Cancelled => 6,
    };
    // Each change is tried in a transaction of its own that is rolled back; a refused one ends the shell.
    let allowed = |set: &str, from| {
        let before = queue.dump();
        let sql = format!("BEGIN; UPDATE jobs SET {set} WHERE id = {}; ROLLBACK;", id(from));
        let result = queue.try_run(&sql);
        assert_eq!(queue.dump(), before);
        result.is_ok()
    };
    for from in JobStatus::ALL {
        queue.shows(&format!("SELECT status FROM jobs WHERE id = {};", id(from)), from.as_str());
        for to in JobStatus::ALL {
            if from == to {
                continue;
            }
            let asset = if to == JobStatus::Done { ", url = 'https://example.org/a.png'" } else { "" };
            assert_eq!(
                allowed(&format!("status = '{to}'{asset}"), from),
                from.may_become(to, Actor::Person),
                "a person: {from} -> {to}"
            );
            let token = match (from, to) {
                (_, JobStatus::Running) => "'token-of-the-daemon-x'",
                (JobStatus::Running, _) => "NULL",
                // Between two statuses without a lease the daemon has no shape of its own.
                _ => continue,
            };
            let lease = format!(", lease_token = {token}, lease_until = '{NOW}'");
            assert_eq!(
                allowed(&format!("status = '{to}'{asset}{lease}"), from),
                from.may_become(to, Actor::Daemon),
                "the daemon: {from} -> {to}"
            );
        }
        let before = queue.dump();
        queue.run(&format!("UPDATE jobs SET status = '{from}' WHERE id = {};", id(from)));
        assert_eq!(queue.dump(), before, "{from} -> {from} is no change");
    }
}

#[test]
fn a_cancel_beats_the_finish_that_comes_a_moment_later() {
    let queue = Queue::new();
    queue.run("INSERT INTO jobs (asset, slug, provider_override) VALUES ('hero-image', 's', 'lummi');");
    queue.claim(1);
    queue.run("UPDATE jobs SET status = 'cancelled' WHERE id = 1;");
    assert_eq!(queue.finish(1, "done"), "0", "the daemon's write matches nothing");
    queue.shows(
        "SELECT status, url, lease_token, lease_until, lease_owner, provider_override, message,
             finished_at IS NOT NULL, updated_at > started_at FROM jobs;",
        "cancelled||||||Hero image cancelled|1|1",
    );
    queue.shows("SELECT outcome, finished_at IS NOT NULL FROM runs;", "cancelled|1");
    // Also where the lease was renewed and the job claimed again since.
    queue.run("UPDATE jobs SET status = 'pending' WHERE id = 1;");
    queue.claim(1);
    queue.run("UPDATE jobs SET lease_until = '2026-11-22T15:00:00.000Z' WHERE lease_token = 'token-of-the-daemon-1';");
    queue.run("UPDATE jobs SET status = 'cancelled' WHERE slug = 's';");
    assert_eq!(queue.finish(1, "manual"), "0");
    queue.shows("SELECT outcome FROM runs ORDER BY number;", "cancelled\ncancelled");
}

#[test]
fn a_retry_begins_a_new_life_and_keeps_the_asset() {
    let queue = Queue::with_jobs();
    queue
        .run("UPDATE jobs SET deaths = 2, solo_deaths = 1, error = 'e', run_at = '2026-01-01' WHERE id = 4;");
    queue.run("UPDATE jobs SET status = 'pending', provider_override = 'lummi' WHERE id = 4;");
    queue.shows(
        "SELECT runs, deaths, solo_deaths, error, message, started_at, finished_at, url, provider, provider_override,
             run_at > '2026-01-02' FROM jobs WHERE id = 4;",
        "0|0|0|||||file:///vault/a.png|lummi|lummi|1",
    );
    // A time given in the same statement holds.
    queue.run("UPDATE jobs SET status = 'pending', run_at = '2027-01-01 08:00' WHERE id = 3;");
    queue.shows("SELECT run_at FROM jobs WHERE id = 3;", "2027-01-01T08:00:00.000Z");
    // The daemon's "come back later" is no retry.
    queue.run("UPDATE jobs SET runs = 1, error = 'busy', provider_override = NULL WHERE id = 2;");
    assert_eq!(queue.finish(2, "pending"), "1");
    queue.shows("SELECT runs, error, started_at FROM jobs WHERE id = 2;", &format!("2|busy|{NOW}"));
}

#[test]
fn what_a_person_provides_replaces_what_was_there() {
    let queue = Queue::with_jobs();
    queue.run("UPDATE jobs SET status = 'done', url = 'https://example.org/new.png' WHERE id = 3;");
    queue.shows(
        "SELECT url, provider, fallback_used, message, error, finished_at > created_at, lease_token FROM jobs WHERE id = 3;",
        "https://example.org/new.png|manual|1|Hero image ready||1|",
    );
    queue.shows("SELECT job_id, kind, sent_at FROM notices;", "3|done|");
    queue.shows(
        "SELECT asset, last_success_at IS NOT NULL, last_resolved_source, last_fallback_used FROM asset_health;",
        "hero-image|1|manual|1",
    );
    // A text put in the place of an address, and the other way round; also through OR REPLACE.
    queue.run("UPDATE jobs SET status = 'done', url = 'https://example.org/post' WHERE id = 7;");
    queue.run("UPDATE jobs SET status = 'pending' WHERE id = 7;");
    queue.run("UPDATE OR REPLACE jobs SET status = 'done', text = 'Words.' WHERE id = 7;");
    queue.shows("SELECT url, text, content_type FROM jobs WHERE id = 7;", "|Words.|text/plain");
    queue.run("UPDATE jobs SET status = 'pending' WHERE id = 7;");
    queue.run("UPDATE OR IGNORE jobs SET status = 'done', url = 'https://example.org/x' WHERE id = 7;");
    queue.shows("SELECT url, text, content_type FROM jobs WHERE id = 7;", "https://example.org/x||");
    queue.shows("SELECT count(*) FROM notices; SELECT count(*) FROM asset_health;", "4\n2");
    // A chain that is manual alone has nothing to fall back from.
    queue.run("INSERT INTO jobs (asset, slug) VALUES ('videoClip', 'v');");
    queue.run("UPDATE jobs SET status = 'done', url = 'https://example.org/v.mp4' WHERE slug = 'v';");
    queue.shows("SELECT fallback_used, message FROM jobs WHERE slug = 'v';", "0|Video clip ready");
}

#[test]
fn a_key_frees_itself_when_its_job_is_failed_or_cancelled() {
    let queue = Queue::with_jobs();
    let again = "INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 'again', 'k') ON CONFLICT DO NOTHING;
         SELECT changes();";
    queue.shows(again, "0");
    queue.run("UPDATE jobs SET status = 'done', text = 'x' WHERE id = 7;");
    queue.shows(again, "0");
    queue.run(
        "UPDATE jobs SET status = 'pending' WHERE id = 7; UPDATE jobs SET status = 'cancelled' WHERE id = 7;",
    );
    queue.shows(again, "1");
    queue.shows("SELECT count(*) FROM jobs WHERE dedupe_key = 'freed' AND asset = 'social-text';", "2");
    // Another asset's key is another key.
    queue.run("INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('hero-image', 's', 'k');");
}

#[test]
fn an_edit_is_dated_and_a_deleted_job_takes_its_runs_along() {
    let queue = Queue::with_jobs();
    queue.run(
        "INSERT INTO attempts (run_id, job_id, position, provider, status, started_at)
         SELECT id, job_id, 0, 'lummi', 'failed', started_at FROM runs;",
    );
    queue.shows(
        "SELECT updated_at = '2026-11-22T13:49:00.000Z' FROM jobs WHERE id = 3;
         UPDATE jobs SET priority = 9 WHERE id = 3;
         SELECT updated_at = '2026-11-22T13:49:00.000Z' FROM jobs WHERE id = 3;",
        "1\n0",
    );
    queue.run("DELETE FROM jobs WHERE id = 3;");
    queue.shows(
        "SELECT count(*) FROM runs WHERE job_id = 3; SELECT count(*) FROM attempts WHERE job_id = 3;
         SELECT count(*) > 0 FROM attempts;",
        "0\n0\n1",
    );
    queue.shows("SELECT count(*) FROM attempts WHERE run_id NOT IN (SELECT id FROM runs);", "0");
}

#[test]
fn an_operator_pauses_and_resets_a_provider() {
    let queue = Queue::new();
    queue.run("INSERT INTO provider_health (provider, paused_until) VALUES ('lummi', '2026-12-01 08:00');");
    queue.shows("SELECT paused_until, state FROM provider_health;", "2026-12-01T08:00:00.000Z|closed");
    queue.run("UPDATE provider_health SET paused_until = '2026-12-02' WHERE provider = 'lummi';");
    queue.shows("SELECT paused_until FROM provider_health;", "2026-12-02T00:00:00.000Z");
    queue.run("UPDATE provider_health SET paused_until = NULL;");
    queue.run(
        "UPDATE provider_health SET state = 'open', consecutive_failures = 3, step = 2, held_class = 'auth',
         held_fingerprint = 'f', open_until = '2026-12-02T00:00:00.000Z';",
    );
    queue.run("UPDATE provider_health SET state = 'closed' WHERE provider = 'lummi';");
    queue.shows(
        "SELECT state, consecutive_failures, step, held_class, held_fingerprint, open_until, paused_until
         FROM provider_health;",
        "closed|0|0||||",
    );
}

/// A shell may have them on; our triggers change the very table they watch.
#[test]
fn recursive_triggers_make_no_difference() {
    let queue = Queue::with_jobs();
    let on = |sql: &str| queue.run(&format!("PRAGMA recursive_triggers = ON; {sql}"));
    on("INSERT INTO jobs (asset, slug, run_at) VALUES ('heroImage', 's', 'now');");
    on("UPDATE jobs SET run_at = '2027-01-01', priority = 1 WHERE id = 1;");
    on("UPDATE jobs SET status = 'cancelled' WHERE id = 2;");
    on("UPDATE jobs SET status = 'done', url = 'https://example.org/a' WHERE id = 3;");
    on("UPDATE jobs SET status = 'pending' WHERE id = 4;");
    on("DELETE FROM jobs WHERE id = 5;");
    queue.shows(
        "SELECT id, status FROM jobs WHERE id < 6; SELECT run_at, priority FROM jobs WHERE id = 1;",
        "1|pending\n2|cancelled\n3|done\n4|pending\n2027-01-01T00:00:00.000Z|1",
    );
    queue.shows("SELECT count(*) FROM notices; SELECT count(*) FROM jobs WHERE asset = 'heroImage';", "1\n0");
}
