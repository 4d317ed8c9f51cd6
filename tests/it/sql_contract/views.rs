//! What people read.

use super::Queue;

#[test]
fn the_health_view_speaks_in_every_case() {
    let queue = Queue::new();
    let sentence = |set: &str| {
        queue.run("DELETE FROM asset_health;");
        if !set.is_empty() {
            queue.run(&format!(
                "INSERT INTO asset_health (asset) VALUES ('hero-image'); UPDATE asset_health SET {set};"
            ));
        }
        queue.run("SELECT sentence FROM health WHERE asset = 'hero-image';")
    };
    let check = |set: &str, expected: &str| assert_eq!(sentence(set), expected, "{set}");
    let ago = |modifier: &str| format!("strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{modifier}')");
    let failed = |modifier: &str| {
        format!(
            "primary_provider = 'gemini-3.1-flash-image', primary_last_failure_at = {}, last_success_at = {},
             last_resolved_source = 'lummi', last_fallback_used = 1",
            ago(modifier),
            ago("-1 minute")
        )
    };
    check("", "Never run.");
    check(&failed("-3 days"), "Primary provider last failed 3 days ago. Last run used fallback: lummi.");
    check(&failed("-47 hours"), "Primary provider last failed 1 day ago. Last run used fallback: lummi.");
    check(&failed("-119 minutes"), "Primary provider last failed 1 hour ago. Last run used fallback: lummi.");
    check(
        &failed("-150 seconds"),
        "Primary provider last failed 2 minutes ago. Last run used fallback: lummi.",
    );
    check(&failed("+1 minute"), "Primary provider last failed a moment ago. Last run used fallback: lummi.");
    check(
        "last_success_at = '2026-11-01', last_resolved_source = 'gemini-3.1-flash-image', last_fallback_used = 0",
        "Primary provider has not failed. Last run used the primary provider.",
    );
    check(
        &failed("-3 days").replace("gemini-3.1-flash-image", "gemini-imagen-3"),
        "Primary provider has not failed. Last run used fallback: lummi.",
    );
    check(
        "last_success_at = '2026-11-01', last_resolved_source = 'lummi', last_fallback_used = 0",
        "Primary provider has not failed. Last run used: lummi.",
    );
    check(
        "last_failure_at = '2026-11-02', last_success_at = '2026-11-01', last_resolved_source = 'manual'",
        "Primary provider has not failed. Last run needed a person.",
    );
    check(
        "last_failure_at = '2026-11-01', last_success_at = '2026-11-02', last_resolved_source = 'manual'",
        "Primary provider has not failed. Last run needed a person, who provided the asset.",
    );
    check("last_failure_at = '2026-11-02'", "Primary provider has not failed. Last run failed.");
    queue.run(
        "INSERT INTO asset_health (asset, last_failure_at, last_resolved_source)
         VALUES ('video-clip', '2026-11-02', 'manual');",
    );
    queue.shows(
        "SELECT sentence FROM health WHERE asset = 'video-clip';",
        "No provider stands in the chain. Last run needed a person.",
    );
}

#[test]
fn the_manual_queue_says_what_is_asked_for_and_why() {
    let queue = Queue::with_jobs();
    queue.run(
        "INSERT INTO attempts (run_id, job_id, position, repeat, provider, status, class, error, started_at)
         SELECT r.id, 3, v.column1, v.column2, v.column3, v.column4, v.column5, v.column6, r.started_at
         FROM runs r, (VALUES (1, 0, 'lummi', 'skipped', NULL, 'no key: LUMMI_API_KEY is not set'),
             (0, 0, 'gemini-3.1-flash-image', 'failed', 'transient', 'HTTP 503'),
             (0, 1, 'gemini-3.1-flash-image', 'failed', 'quota', 'HTTP 429, credit used up')) v
         WHERE r.job_id = 3;
         UPDATE jobs SET finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-200 minutes') WHERE id = 3;",
    );
    queue.shows(
        ".mode list\n.separator ' / '\nSELECT id, asset, medium, slug, prompt, reasons, waits_for, answer FROM manual_queue;",
        "3 / hero-image / image / manual / by the template of hero-image / \
         gemini-3.1-flash-image: HTTP 429, credit used up\nlummi: no key: LUMMI_API_KEY is not set / 3 hours / \
         UPDATE jobs SET status = 'done', url = 'https://...' WHERE id = 3;",
    );
}
