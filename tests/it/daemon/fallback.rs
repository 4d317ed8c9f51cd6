//! The main job: a primary that dies half-way, a fallback that steps in, and one probe when it is back.

use std::time::{Duration, Instant};

use super::vendor::Vendor;
use super::{Place, texts, within};

const SENTENCE: &str =
    "SELECT sentence GLOB 'Primary provider last failed * ago. Last run used fallback: template.'
    FROM health WHERE asset = 'social-text'";

/// A wake-up that a test could mistake for the one it waits for does not come.
const SELDOM: &str = "[queue]\nschedule = \"0 0 1 1 *\"\nlease = \"1h\"\n";

fn insert(slugs: &[&str]) -> String {
    let rows: Vec<String> = slugs.iter().map(|slug| format!("('social-text', '{slug}')")).collect();
    format!("INSERT INTO jobs (asset, slug) VALUES {};", rows.join(", "))
}

#[test]
fn jobs_after_the_primarys_death_are_the_fallbacks_and_one_probe_brings_it_back() {
    let mut vendor = Vendor::start();
    let addresses = [("house", vendor.url())];
    let place = Place::new(&format!("{SELDOM}{}", texts(r#"["house", "template", "manual"]"#, &addresses)));
    let daemon = place.serve();

    place.sql(&insert(&["before-1", "before-2", "before-3"]));
    place.shows("SELECT count(*) FROM jobs WHERE status = 'done'", "3");
    let facts = "SELECT DISTINCT provider, fallback_used, message FROM jobs";
    place.finds(facts, "house|0|Social text ready");
    place.finds(
        "SELECT sentence FROM health WHERE asset = 'social-text'",
        "Primary provider has not failed. Last run used the primary provider.",
    );

    vendor.stop();
    place.sql(&insert(&["after-1", "after-2", "after-3"]));
    place.shows("SELECT count(*) FROM jobs WHERE status = 'done'", "6");
    let facts = "SELECT DISTINCT provider, fallback_used, message FROM jobs WHERE slug GLOB 'after-*'";
    place.finds(facts, "template|1|Social text ready (via fallback: Template)");
    place.finds(
        "SELECT a.class, r.fallback_used, count(*) FROM attempts a JOIN runs r ON r.id = a.run_id
         WHERE a.provider = 'house' AND a.status = 'failed'",
        "transient|1|3",
    );
    place.finds(SENTENCE, "1");
    place.finds("SELECT state, consecutive_failures FROM provider_health WHERE provider = 'house'", "open|3");

    place.sql(&insert(&["meanwhile"]));
    let attempts = "SELECT group_concat(a.provider || ' ' || a.status || ' ' || coalesce(substr(a.error, 1, 12), ''), ', ')
        FROM attempts a JOIN jobs j ON j.id = a.job_id WHERE j.slug = 'meanwhile'";
    place.shows(attempts, "house skipped breaker open, template delivered");

    vendor.restart();
    vendor.hold();
    let before = vendor.calls();
    place.sql(&format!(
        "BEGIN; UPDATE provider_health SET open_until = '2026-01-01T00:00:00.000Z' WHERE provider = 'house'; {} COMMIT;",
        insert(&["back-1", "back-2", "back-3", "back-4", "back-5"])
    ));
    vendor.is_called(before + 1);
    place.shows("SELECT count(*) FROM jobs WHERE slug GLOB 'back-*' AND provider = 'template'", "4");
    place.finds("SELECT state FROM provider_health WHERE provider = 'house'", "half-open");
    vendor.release();
    place.shows(
        "SELECT provider, fallback_used FROM jobs WHERE slug GLOB 'back-*' AND provider <> 'template'",
        "house|0",
    );
    place.finds(
        "SELECT count(*) FROM attempts a JOIN jobs j ON j.id = a.job_id
         WHERE j.slug GLOB 'back-*' AND a.provider = 'house' AND a.status <> 'skipped'",
        "1",
    );
    place.finds(
        "SELECT state, consecutive_failures, open_until IS NULL, probe_job IS NULL FROM provider_health
         WHERE provider = 'house'",
        "closed|0|1|1",
    );
    assert_eq!(vendor.calls(), before + 1);

    place.sql(&insert(&["again"]));
    place.shows("SELECT provider, fallback_used FROM jobs WHERE slug = 'again'", "house|0");
    place.finds(
        "SELECT sentence GLOB 'Primary provider last failed * ago. Last run used the primary provider.' FROM health
         WHERE asset = 'social-text'",
        "1",
    );
    daemon.stop();
}

#[test]
fn a_row_put_in_while_the_daemon_idles_is_started_at_once() {
    let place = Place::new(&format!("{SELDOM}{}", texts(r#"["template"]"#, &[])));
    let daemon = place.serve();
    for slug in ["first", "second", "third"] {
        let inserted = Instant::now();
        place.enqueue(slug);
        let done = format!("SELECT status FROM jobs WHERE slug = '{slug}'");
        // Half of what the loop sleeps at most when nobody wakes it.
        let came = within(Duration::from_secs(5), || place.sql(&done) == "done");
        assert!(came, "{slug}: {:?}\n{}", inserted.elapsed(), place.story());
    }
    daemon.stop();
}

#[test]
fn drain_works_off_what_is_due_and_ends() {
    // One at a time, so that each end makes the room for the next: drain must see every one of them.
    let place = Place::new(&texts("[\"template\"]\nconcurrency = 1", &[]));
    place.sql(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400)
         INSERT INTO jobs (asset, slug) SELECT 'social-text', 'due-' || i FROM n;
         INSERT INTO jobs (asset, slug, run_at) VALUES ('social-text', 'tomorrow', datetime('now', '+1 day'));",
    );
    assert!(place.drain().success());
    place.finds("SELECT status, count(*) FROM jobs GROUP BY status ORDER BY status", "done|400\npending|1");
    let started = Instant::now();
    assert!(place.drain().success(), "nothing is due, which is no failure");
    assert!(started.elapsed() < Duration::from_secs(9), "it does not wait for anything");
    place.configure("[queue]\nconcurency = 1\n");
    assert!(!place.drain().success(), "a configuration with a mistake");
}
