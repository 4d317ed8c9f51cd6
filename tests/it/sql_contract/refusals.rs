//! What the queue refuses: a sentence each, and nothing changed.

use super::Queue;

const NO_DATE: &str = "run_at is no date that exists; write now, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ";
const OTHER_MEDIUM: &str = "provider_override names a provider of another medium";
const RANK: &str = "priority must be a whole number from 0 to 9; 9 goes first";
const RUNS: &str = "max_runs must be a whole number from 1 to 100";
const OBJECT: &str = "input must be a JSON object, such as {\"title\": \"My article\"}";

/// Tries an INSERT of these columns in the three forms that treat conflicts differently.
fn insert_is_refused(queue: &Queue, columns: &str, values: &str, sentence: &str) {
    for form in ["INSERT", "INSERT OR IGNORE", "INSERT OR REPLACE"] {
        queue.refuses(&format!("{form} INTO jobs ({columns}) VALUES ({values});"), sentence);
    }
}

fn update_is_refused(queue: &Queue, set: &str, sentence: &str) {
    for form in ["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE"] {
        queue.refuses(&format!("{form} jobs SET {set};"), sentence);
    }
}

fn long(count: usize) -> String {
    "x".repeat(count)
}

#[test]
fn a_job_without_a_known_asset_or_a_good_slug() {
    let queue = Queue::with_jobs();
    let unknown = "unknown asset; SELECT name FROM assets";
    insert_is_refused(&queue, "asset, slug", "'no-such', 's'", unknown);
    insert_is_refused(&queue, "asset, slug", "'', 's'", unknown);
    insert_is_refused(&queue, "slug", "'s'", unknown);
    insert_is_refused(
        &queue,
        "asset",
        "'hero-image'",
        "slug must not be empty; it says what the asset is for",
    );
    // A good row does not save a bad one beside it.
    let two = "'hero-image', 'good'), ('hero-image', ''";
    insert_is_refused(&queue, "asset, slug", two, "slug must not be empty");
    let control = "slug must not contain control characters";
    let segment = "slug must not contain . or .. as a path segment";
    let slash = "slug must not begin or end with a slash, nor contain two in a row";
    let cases = [
        ("NULL", "slug must not be empty"),
        ("''", "slug must not be empty"),
        ("'   '", "slug must not be empty"),
        (&format!("'{}'", long(201)), "slug must not be longer than 200 characters"),
        ("'a' || char(10) || 'b'", control),
        ("'a' || char(0) || 'b'", control),
        ("'a' || char(127)", control),
        ("'a' || char(8238) || 'gnp.b'", control),
        ("' a'", "slug must not begin or end with a space"),
        ("'../etc/passwd'", segment),
        ("'a/../b'", segment),
        ("'a/..'", segment),
        ("'..'", segment),
        ("'./a'", segment),
        ("'/etc/passwd'", slash),
        ("'a/'", slash),
        ("'a//b'", slash),
        (r"'a\b'", "slug must not contain a backslash"),
        ("x'612f62'", "cannot store BLOB value in TEXT column jobs.slug"),
    ];
    for (slug, sentence) in cases {
        insert_is_refused(&queue, "asset, slug", &format!("'hero-image', {slug}"), sentence);
    }
}

#[test]
fn a_job_with_a_bad_value_in_what_people_write() {
    let queue = Queue::with_jobs();
    let cases = [
        ("prompt", "''", "prompt must not be empty; leave it out to use the prompt of the asset"),
        ("prompt", &format!("'{}'", long(100_001)), "prompt must not be longer than 100000 characters"),
        ("prompt", "'a' || char(0)", "prompt must not contain a NUL character"),
        ("input", "'[1]'", OBJECT),
        ("input", "'\"text\"'", OBJECT),
        ("input", "'null'", OBJECT),
        ("input", "'{\"a\": '", OBJECT),
        ("input", "''", OBJECT),
        (
            "input",
            &format!("'{{\"a\": \"{}\"}}'", long(1_000_000)),
            "input must not be larger than 1000000 bytes",
        ),
        ("priority", "10", RANK),
        ("priority", "-1", RANK),
        ("priority", "2.5", "cannot store REAL value in INTEGER column jobs.priority"),
        ("priority", "'high'", "cannot store TEXT value in INTEGER column jobs.priority"),
        ("max_runs", "0", RUNS),
        ("max_runs", "101", RUNS),
        ("dedupe_key", "''", "dedupe_key must not be empty; leave it out to enqueue without one"),
        ("dedupe_key", &format!("'{}'", long(201)), "dedupe_key must not be longer than 200 characters"),
        ("provider_override", "'no-such'", "unknown provider_override; SELECT name FROM providers"),
        ("provider_override", "''", "unknown provider_override"),
        ("provider_override", "'claude-sonnet-4-6'", OTHER_MEDIUM),
    ];
    for (column, value, sentence) in cases {
        insert_is_refused(
            &queue,
            &format!("asset, slug, {column}"),
            &format!("'hero-image', 's', {value}"),
            sentence,
        );
    }
    let by_alias = "'heroImage', 's', 'claude-sonnet-4-6'";
    insert_is_refused(&queue, "asset, slug, provider_override", by_alias, OTHER_MEDIUM);
    let taken = "INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('socialText', 's', 'k');";
    queue.refuses(taken, "UNIQUE constraint failed: index 'jobs_one_live_job_per_dedupe_key'");
}

#[test]
fn a_date_that_does_not_exist() {
    let queue = Queue::with_jobs();
    for date in [
        "'2026-02-31'",
        "'2027-02-29T10:00:00Z'",
        "'2026-13-01'",
        "'2026-00-10'",
        "'12:00'",
        "'tomorrow'",
        "'2460000.5'",
        "2460000.5",
        "'2026-12-24 at noon'",
        "'2026-12-24 25:00'",
        "'24.12.2026'",
        "''",
        // These leave the four digits of a year.
        "'0000-01-01T00:00:00+02:00'",
        "'9999-12-31T23:00:00-02:00'",
    ] {
        insert_is_refused(&queue, "asset, slug, run_at", &format!("'hero-image', 's', {date}"), NO_DATE);
        update_is_refused(&queue, &format!("run_at = {date} WHERE id = 1"), NO_DATE);
        update_is_refused(&queue, &format!("status = 'pending', run_at = {date} WHERE id = 3"), NO_DATE);
    }
}

#[test]
fn a_job_that_pretends_to_have_been_worked_on() {
    let queue = Queue::with_jobs();
    let only = "only asset, slug, prompt, input, provider_override, priority, run_at, dedupe_key and max_runs are \
                written by who enqueues";
    let cases = [
        ("status", "'done'", "a new job is pending; leave status out"),
        ("status", "'running'", "a new job is pending; leave status out"),
        ("status", "NULL", "a new job is pending; leave status out"),
        (
            "url",
            "'https://example.org/a.png'",
            "url and text are what is delivered; ask with prompt and input",
        ),
        ("text", "'words'", "url and text are what is delivered"),
        ("content_type", "'image/png'", only),
        ("provider", "'lummi'", only),
        ("fallback_used", "1", only),
        ("message", "'Hero image ready'", only),
        ("error", "'none'", only),
        ("metadata", "'{}'", only),
        ("runs", "1", only),
        ("lease_token", "'token-of-somebody-1'", only),
        ("deaths", "3", only),
        ("created_at", "'yesterday'", "created_at and updated_at are written by the queue; leave them out"),
        ("id", "1", "a job with this id exists; leave id out, the queue numbers its jobs"),
        ("id", "9223372036854775807", "id is out of range; leave it out, the queue numbers its jobs"),
        ("id", "0", "id is out of range"),
        ("id", "-7", "id is out of range"),
    ];
    for (column, value, sentence) in cases {
        insert_is_refused(
            &queue,
            &format!("asset, slug, {column}"),
            &format!("'hero-image', 's', {value}"),
            sentence,
        );
    }
}

#[test]
fn or_replace_never_deletes_a_job() {
    let queue = Queue::with_jobs();
    let by_key = "INSERT OR REPLACE INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 's', 'k');";
    let missed =
        "this asset already has a job with this dedupe_key; use ON CONFLICT DO NOTHING, not OR REPLACE";
    queue.refuses(by_key, missed);
    queue.refuses(&by_key.replace("social-text", "socialText"), missed);
    queue.refuses(&format!("PRAGMA foreign_keys = ON; {by_key}"), missed);
    queue.refuses(&format!("PRAGMA recursive_triggers = ON; {by_key}"), missed);
    let by_id = "REPLACE INTO jobs (id, asset, slug) VALUES (2, 'hero-image', 's');";
    queue.refuses(by_id, "a job with this id exists");
    // What a statement that did nothing noted does not stand in the way of a later one.
    queue.run(&by_key.replace(" OR REPLACE", "").replace(";", " ON CONFLICT DO NOTHING;"));
    queue.run("UPDATE jobs SET status = 'cancelled' WHERE id = 7; DELETE FROM jobs WHERE id = 7;");
    queue.run(by_key);
    queue.run(&by_key.replace("'k'", "'another'"));
}

#[test]
fn a_bad_change_of_what_is_asked_for() {
    let queue = Queue::with_jobs();
    let running =
        "this job is running; slug, prompt, input and provider_override cannot change until it ends";
    let taken = "another job of this asset has this dedupe_key; cancel that one, or set another key";
    let to_come = "provider_override is for a run to come; set it together with status = 'pending'";
    let cases = [
        ("priority = 10 WHERE id = 1", RANK),
        ("max_runs = 0 WHERE id = 1", RUNS),
        ("dedupe_key = '' WHERE id = 1", "dedupe_key must not be empty; set it to NULL to have none"),
        ("dedupe_key = 'k' WHERE id = 10", taken),
        ("status = 'pending' WHERE id = 8", taken),
        ("status = 'done', text = 'x' WHERE id = 8", taken),
        ("slug = '' WHERE id = 1", "slug must not be empty"),
        ("slug = NULL WHERE id = 1", "slug must not be empty"),
        ("slug = '../x' WHERE id = 1", "slug must not contain . or .. as a path segment"),
        ("slug = 'a' || char(7) WHERE id = 1", "slug must not contain control characters"),
        (
            "prompt = ' ' WHERE id = 1",
            "prompt must not be empty; set it to NULL to use the prompt of the asset",
        ),
        ("input = '[]' WHERE id = 1", OBJECT),
        ("slug = 'x' WHERE id = 2", running),
        ("prompt = 'x' WHERE id = 2", running),
        ("input = '{\"a\": 1}' WHERE id = 2", running),
        ("provider_override = 'lummi' WHERE id = 2", running),
        (
            "provider_override = 'no-such' WHERE id = 1",
            "unknown provider_override; SELECT name FROM providers",
        ),
        ("provider_override = 'claude-sonnet-4-6' WHERE id = 1", OTHER_MEDIUM),
        ("provider_override = 'lummi' WHERE id = 4", to_come),
        ("provider_override = 'lummi' WHERE id = 6", to_come),
        ("provider_override = 'manual' WHERE id = 3", to_come),
        ("id = 99 WHERE id = 1", "the id of a job never changes"),
        ("id = 1 WHERE id = 3", "the id of a job never changes"),
        (
            "asset = 'social-text' WHERE id = 1",
            "the asset of a job never changes; cancel it and insert another",
        ),
        ("asset = 'heroImage' WHERE id = 1", "the asset of a job never changes"),
        ("created_at = '2020-01-01T00:00:00.000Z' WHERE id = 1", "created_at never changes"),
    ];
    for (set, sentence) in cases {
        update_is_refused(&queue, set, sentence);
    }
}

#[test]
fn a_status_that_is_not_the_persons_to_set() {
    let queue = Queue::with_jobs();
    let claims = "only the daemon sets a job running; it takes what is pending when it is due";
    let ends =
        "only the daemon sets manual or failed, at the end of a run; cancel the job, or provide the asset";
    let runs = "this job is running; until it ends it can only be cancelled";
    let one_of = "status is one of pending, running, manual, done, failed, cancelled";
    let token = "lease_token = 'token-of-somebody-1', lease_until = 'x'";
    let cases = [
        ("status = 'running' WHERE id = 1", claims),
        ("status = 'running', lease_token = 'short', lease_until = 'x' WHERE id = 1", claims),
        (&format!("status = 'running', {token} WHERE id = 3"), claims),
        ("status = 'manual' WHERE id = 1", ends),
        ("status = 'failed' WHERE id = 3", ends),
        ("status = 'done', url = 'https://example.org/a' WHERE id = 2", runs),
        ("status = 'pending' WHERE id = 2", runs),
        ("status = 'cancelled' WHERE id = 4", "this job is done; set it to pending to do it again"),
        (
            "status = 'done', url = 'https://example.org/a' WHERE id = 6",
            "this job is cancelled; set it to pending",
        ),
        ("status = 'finished' WHERE id = 1", one_of),
        ("status = NULL WHERE id = 1", one_of),
    ];
    for (set, sentence) in cases {
        update_is_refused(&queue, set, sentence);
    }
    queue.refuses("DELETE FROM jobs WHERE id = 2;", "this job is running; cancel it first, then delete it");
    queue.refuses("DELETE FROM jobs;", "this job is running; cancel it first, then delete it");
}

#[test]
fn a_person_who_provides_no_asset() {
    let queue = Queue::with_jobs();
    let address = "url must be an address that begins with http:// or https://, without spaces";
    let together = "url and text are set together with status = 'done'";
    let cases = [
        ("status = 'done' WHERE id = 3", "done needs the asset; set url or text in the same UPDATE"),
        ("status = 'done', url = '' WHERE id = 3", address),
        ("status = 'done', url = 'file:///etc/passwd' WHERE id = 3", address),
        ("status = 'done', url = 'javascript:alert(1)' WHERE id = 3", address),
        ("status = 'done', url = 'https://' WHERE id = 3", address),
        ("status = 'done', url = 'https://example.org/a b' WHERE id = 3", address),
        ("status = 'done', url = 'https://example.org/a' || char(10) WHERE id = 3", address),
        (&format!("status = 'done', url = 'https://{}' WHERE id = 3", long(2000)), address),
        (
            "status = 'done', text = 'A picture of a barn' WHERE id = 3",
            "this asset is no text; provide its url",
        ),
        ("status = 'done', text = char(10, 32) WHERE id = 7", "text must not be empty"),
        (
            &format!("status = 'done', text = '{}' WHERE id = 7", long(1_000_001)),
            "text must not be larger than 1000000",
        ),
        (
            "status = 'done', text = 'a', url = 'https://example.org/a' WHERE id = 7",
            "provide url or text, not both",
        ),
        ("url = 'https://example.org/a' WHERE id = 3", together),
        ("url = 'https://example.org/other' WHERE id = 4", together),
        ("url = NULL WHERE id = 4", together),
        ("text = 'words' WHERE id = 7", together),
        ("status = 'cancelled', url = 'https://example.org/a' WHERE id = 3", together),
        ("status = 'done', url = 'https://example.org/other' WHERE id = 4", together),
    ];
    for (set, sentence) in cases {
        update_is_refused(&queue, set, sentence);
    }
}

#[test]
fn a_bad_word_to_a_provider() {
    let queue = Queue::new();
    queue.run("INSERT INTO provider_health (provider) VALUES ('lummi');");
    let no_date = "paused_until is no date that exists; write now, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ";
    queue.refuses("UPDATE provider_health SET paused_until = '2026-02-30';", no_date);
    queue.refuses("UPDATE OR IGNORE provider_health SET paused_until = 'noon';", no_date);
    queue.refuses(
        "UPDATE provider_health SET state = 'off';",
        "state is one of closed, open, half-open; to stop calls",
    );
    queue.refuses("UPDATE provider_health SET provider = 'x';", "the provider of a row never changes");
    let unknown = "INSERT INTO provider_health (provider) VALUES ('no-such');";
    queue.refuses(unknown, "unknown provider; SELECT name FROM providers");
    let insert =
        "INSERT INTO provider_health (provider, paused_until) VALUES ('claude-sonnet-4-6', '12:00');";
    queue.refuses(insert, no_date);
}
