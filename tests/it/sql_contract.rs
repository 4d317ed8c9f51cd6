//! The SQL contract, through Debian's own `sqlite3` shell: what works, what is refused, and what follows.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use backstop::domain::accept::Acceptance;
use backstop::domain::asset::{Asset, Medium, OnExhausted};
use backstop::domain::chain::Chain;
use backstop::domain::job::{Actor, JobStatus};
use backstop::domain::name::{AssetName, ProviderName};
use backstop::domain::provider::{Key, OnUnknown, Provider, Repeat};
use backstop::domain::time::from_text;
use backstop::store::sqlite::migrate::{Migrated, migrate, newest};
use backstop::store::sqlite::mirror::mirror;
use backstop::store::sqlite::open::open;
use tempfile::TempDir;

const NOW: &str = "2026-11-22T13:49:00.000Z";

/// A fresh queue with the configuration of the mission mirrored into it.
struct Queue {
    folder: TempDir,
}

impl Queue {
    fn new() -> Self {
        let queue = Self { folder: tempfile::tempdir().expect("a folder") };
        block_on(async {
            let pools = open(&queue.path()).await.expect("opens");
            migrate(&pools, &queue.path()).await.expect("migrates");
            mirror(&pools, &assets(), &providers(), from_text(NOW).expect("valid")).await.expect("mirrors");
            pools.close().await;
        });
        queue
    }

    /// One job in every status, and two that fight for a key.
    fn with_jobs() -> Self {
        let queue = Self::new();
        queue.run(
            "INSERT INTO jobs (asset, slug) VALUES ('hero-image', 'pending'), ('hero-image', 'running'),
                 ('hero-image', 'manual'), ('hero-image', 'done'), ('hero-image', 'failed'),
                 ('hero-image', 'cancelled');
             INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 'keyed', 'k'),
                 ('social-text', 'other', 'freed'), ('social-text', 'owner', 'freed2');",
        );
        for (id, status) in [(2, "running"), (3, "manual"), (4, "done"), (5, "failed"), (8, "failed")] {
            queue.claim(id);
            if status != "running" {
                queue.finish(id, status);
            }
        }
        queue.run("UPDATE jobs SET status = 'cancelled' WHERE id = 6;");
        queue.run("INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 'next', 'freed');");
        queue
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("backstop.db")
    }

    fn try_run(&self, sql: &str) -> Result<String, String> {
        shell(&self.path(), sql)
    }

    fn run(&self, sql: &str) -> String {
        self.try_run(sql).unwrap_or_else(|error| panic!("{sql}\n{error}"))
    }

    /// As the daemon claims.
    fn claim(&self, id: i64) {
        let changed = self.run(&format!(
            "UPDATE jobs SET status = 'running', lease_token = 'token-of-the-daemon-{id}',
                 lease_until = '2026-11-22T14:00:00.000Z', lease_owner = '{{}}',
                 started_at = coalesce(started_at, '{NOW}'), updated_at = '{NOW}'
             WHERE id = {id} AND status = 'pending';
             SELECT changes();
             INSERT INTO runs (job_id, number, chain, started_at)
                 VALUES ({id}, 1 + (SELECT count(*) FROM runs WHERE job_id = {id}), '[\"lummi\"]', '{NOW}');"
        ));
        assert_eq!(changed, "1", "job {id} is claimed");
    }

    /// As the daemon ends a run; says how many rows that changed.
    fn finish(&self, id: i64, status: &str) -> String {
        self.run(&format!(
            "UPDATE jobs SET status = '{status}', lease_token = NULL, lease_until = NULL, lease_owner = NULL,
                 url = CASE '{status}' WHEN 'done' THEN 'file:///vault/a.png' ELSE url END, provider = 'lummi',
                 message = 'as the daemon says', runs = runs + 1, provider_override = NULL,
                 finished_at = '{NOW}', updated_at = '{NOW}'
             WHERE id = {id} AND lease_token = 'token-of-the-daemon-{id}' AND status = 'running';
             SELECT changes();"
        ))
    }

    /// Everything that a refused statement must leave alone.
    fn dump(&self) -> String {
        self.run(
            ".mode quote\nSELECT * FROM jobs; SELECT * FROM runs; SELECT * FROM attempts;
             SELECT * FROM asset_health; SELECT * FROM provider_health; SELECT * FROM notices;
             SELECT * FROM assets; SELECT * FROM providers;",
        )
    }

    fn refuses(&self, sql: &str, sentence: &str) {
        let before = self.dump();
        let error = self.try_run(sql).expect_err(sql);
        assert!(error.contains(sentence), "{sql}\nsaid: {error}\nexpected: {sentence}");
        assert_eq!(self.dump(), before, "{sql}\nwas refused and changed something");
    }

    fn shows(&self, sql: &str, expected: &str) {
        assert_eq!(self.run(sql), expected, "{sql}");
    }
}

fn shell(database: &Path, sql: &str) -> Result<String, String> {
    let mut child = Command::new("sqlite3")
        .args(["-batch", "-bail", "-cmd", ".timeout 5000"])
        .arg(database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("Debian's sqlite3 is installed");
    child.stdin.take().expect("piped").write_all(sql.as_bytes()).expect("the shell reads");
    let output = child.wait_with_output().expect("the shell ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

fn assets() -> Vec<Asset> {
    let asset = |name: &str, medium, chain: &[&str]| Asset {
        name: AssetName::parse(name).expect("valid"),
        medium,
        chain: Chain::parse(chain).expect("valid"),
        prompt: "An asset for {{ slug }}".to_owned(),
        accept: Acceptance::default(),
        max_runs: 3,
        give_up_after: Duration::from_secs(3600),
        deadline: medium.default_deadline(),
        on_exhausted: OnExhausted::Manual,
        window: None,
        concurrency: None,
    };
    vec![
        asset("hero-image", Medium::Image, &["gemini-3.1-flash-image", "lummi", "manual"]),
        asset("social-text", Medium::Text, &["claude-sonnet-4-6", "manual"]),
        asset("video-clip", Medium::Video, &["manual"]),
    ]
}

fn providers() -> Vec<Provider> {
    let provider = |name: &str, medium| Provider {
        name: ProviderName::parse(name).expect("valid"),
        title: name.to_owned(),
        protocol: "openai-chat".to_owned(),
        supported: true,
        medium,
        model: None,
        base_url: Some("https://example.org".to_owned()),
        key: Key::NotNeeded,
        retired: None,
        timeout: Duration::from_secs(60),
        retries: 1,
        concurrency: 4,
        trip_after: 3,
        on_unknown: OnUnknown::Next,
        repeat: Repeat::Free,
        price_micros: 0,
        fingerprint: "f".to_owned(),
        options: serde_json::Map::new(),
    };
    vec![
        provider("gemini-3.1-flash-image", Medium::Image),
        provider("lummi", Medium::Image),
        provider("claude-sonnet-4-6", Medium::Text),
    ]
}

// What works.

#[test]
fn every_statement_of_the_contract_works() {
    let queue = Queue::new();
    queue.run("INSERT INTO jobs (asset, slug) VALUES ('hero-image', 'my-article');");
    let full =
        "INSERT INTO jobs (asset, slug, prompt, input, provider_override, priority, run_at, dedupe_key)
         VALUES ('hero-image', 'my-article', 'A red barn', '{\"title\": \"Barns\"}', 'lummi', 9, '2026-12-24',
             'barns') ON CONFLICT DO NOTHING; SELECT changes();";
    queue.shows(full, "1");
    queue.shows(full, "0");
    queue.shows(
        "SELECT status, url, text, provider, fallback_used, message FROM jobs WHERE slug = 'my-article';",
        "pending|||||\npending|||||",
    );
    queue.run("UPDATE jobs SET status = 'cancelled' WHERE id = 2;");
    queue.run("UPDATE jobs SET status = 'pending' WHERE id = 2;");
    queue.run("UPDATE jobs SET status = 'done', url = 'https://example.org/a.png' WHERE id = 1;");
    queue.shows(
        "SELECT id, status, url, provider, fallback_used, message FROM jobs;",
        "1|done|https://example.org/a.png|manual|1|Hero image ready\n2|pending||||",
    );
    queue.run("INSERT INTO jobs (asset, slug) VALUES ('social-text', 't');");
    queue.run("UPDATE jobs SET status = 'done', text = 'Read this.' WHERE asset = 'social-text';");
    queue.shows(
        "SELECT text, content_type, message FROM jobs WHERE slug = 't';",
        "Read this.|text/plain|Social text ready",
    );
}

#[test]
fn every_spelling_of_an_asset_is_one_asset() {
    let queue = Queue::new();
    let keyed = |asset: &str| {
        format!(
            "INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('{asset}', 's', 'k') ON CONFLICT DO NOTHING;
             SELECT changes();"
        )
    };
    queue.shows(&keyed("heroImage"), "1");
    for spelling in ["hero-image", "hero_image", "heroImage"] {
        queue.shows(&keyed(spelling), "0");
    }
    queue.run("INSERT OR IGNORE INTO jobs (asset, slug, dedupe_key) VALUES ('hero_image', 's', 'k');");
    queue.run("INSERT INTO jobs (asset, slug) VALUES ('hero_image', 's');");
    queue.shows("SELECT DISTINCT asset, count(*) FROM jobs;", "hero-image|2");
}

#[test]
fn dates_are_read_and_settled_to_one_form() {
    let queue = Queue::new();
    let cases = [
        ("2026-12-24", "2026-12-24T00:00:00.000Z"),
        ("2026-12-24 18:30", "2026-12-24T18:30:00.000Z"),
        ("2026-12-24 18:30:15", "2026-12-24T18:30:15.000Z"),
        ("2026-12-24T18:30:15Z", "2026-12-24T18:30:15.000Z"),
        ("2026-12-24T18:30:15.123Z", "2026-12-24T18:30:15.123Z"),
        ("2026-12-24T18:30:15.123456Z", "2026-12-24T18:30:15.123Z"),
        ("2026-12-24T18:30:00+02:00", "2026-12-24T16:30:00.000Z"),
        ("2026-12-24T23:30:00-05:00", "2026-12-25T04:30:00.000Z"),
        ("2028-02-29", "2028-02-29T00:00:00.000Z"),
        ("2026-12-31 24:00", "2027-01-01T00:00:00.000Z"),
    ];
    for (written, expected) in cases {
        queue.shows(
            &format!(
                "INSERT INTO jobs (asset, slug, run_at) VALUES ('hero-image', 's', '{written}');
                 SELECT run_at FROM jobs WHERE id = last_insert_rowid();"
            ),
            expected,
        );
        queue.shows(
            &format!(
                "UPDATE jobs SET run_at = '{written}' WHERE id = 1; SELECT run_at FROM jobs WHERE id = 1;"
            ),
            expected,
        );
    }
    for now in ["now", "NOW"] {
        queue.shows(
            &format!(
                "INSERT INTO jobs (asset, slug, run_at) VALUES ('hero-image', 's', '{now}');
                 SELECT run_at BETWEEN strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 minute')
                     AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM jobs WHERE id = last_insert_rowid();"
            ),
            "1",
        );
    }
}

#[test]
fn null_means_not_given() {
    let queue = Queue::new();
    queue.run(
        "INSERT INTO jobs (asset, slug, prompt, input, provider_override, priority, run_at, dedupe_key, max_runs)
             VALUES ('hero-image', 's', NULL, NULL, NULL, NULL, NULL, NULL, NULL);",
    );
    queue.shows("SELECT input, priority, length(run_at), status FROM jobs;", "{}|5|24|pending");
}

#[test]
fn slugs_that_people_use_are_taken() {
    let queue = Queue::new();
    for slug in [
        "my-article",
        "2026/11/my-article",
        "Über uns",
        "a..b",
        "..a",
        "v1.2",
        "日本語",
        "a b",
        ".well-known",
    ] {
        queue.run(&format!("INSERT INTO jobs (asset, slug) VALUES ('hero-image', '{slug}');"));
    }
}

// What is refused.

#[test]
fn a_bad_insert_is_refused_with_a_sentence_and_changes_nothing() {
    let queue = Queue::with_jobs();
    let long = |n: usize| "x".repeat(n);
    let insert = |columns: &str, values: &str| {
        format!("INSERT INTO jobs (asset, slug{columns}) VALUES ('hero-image', 's'{values});")
    };
    let slug = |slug: &str| format!("INSERT INTO jobs (asset, slug) VALUES ('hero-image', {slug});");
    let one = |column: &str, value: &str| insert(&format!(", {column}"), &format!(", {value}"));
    let only =
        "only asset, slug, prompt, input, provider_override, priority, run_at, dedupe_key and max_runs";
    let no_date = "run_at is no date that exists; write now, YYYY-MM-DD";
    let cases = [
        ("INSERT INTO jobs (asset, slug) VALUES ('no-such', 's');".to_owned(), "unknown asset; SELECT name FROM assets"),
        ("INSERT INTO jobs (slug) VALUES ('s');".to_owned(), "unknown asset"),
        ("INSERT INTO jobs (asset, slug) VALUES ('', 's');".to_owned(), "unknown asset"),
        ("INSERT INTO jobs (asset) VALUES ('hero-image');".to_owned(), "slug must not be empty"),
        (slug("NULL"), "slug must not be empty"),
        (slug("''"), "slug must not be empty"),
        (slug("'   '"), "slug must not be empty"),
        (slug(&format!("'{}'", long(201))), "slug must not be longer than 200 characters"),
        (slug("'a' || char(10) || 'b'"), "slug must not contain control characters"),
        (slug("'a' || char(0) || 'b'"), "slug must not contain control characters"),
        (slug("'a' || char(127)"), "slug must not contain control characters"),
        (slug("'a' || char(8238) || 'gnp.b'"), "slug must not contain control characters"),
        (slug("' a'"), "slug must not begin or end with a space"),
        (slug("'../etc/passwd'"), "slug must not contain . or .. as a path segment"),
        (slug("'a/../b'"), "slug must not contain . or .. as a path segment"),
        (slug("'a/..'"), "slug must not contain . or .. as a path segment"),
        (slug("'..'"), "slug must not contain . or .. as a path segment"),
        (slug("'./a'"), "slug must not contain . or .. as a path segment"),
        (slug("'/etc/passwd'"), "slug must not begin or end with a slash"),
        (slug("'a//b'"), "nor contain two in a row"),
        (slug("'a\\b'"), "slug must not contain a backslash"),
        (slug("x'612f62'"), "cannot store BLOB value in TEXT column jobs.slug"),
        (one("prompt", "''"), "prompt must not be empty; leave it out"),
        (one("prompt", &format!("'{}'", long(100_001))), "prompt must not be longer than 100000 characters"),
        (one("prompt", "'a' || char(0)"), "prompt must not contain a NUL character"),
        (one("input", "'[1]'"), "input must be a JSON object"),
        (one("input", "'\"text\"'"), "input must be a JSON object"),
        (one("input", "'null'"), "input must be a JSON object"),
        (one("input", "'{\"a\": '"), "input must be a JSON object"),
        (one("input", "''"), "input must be a JSON object"),
        (one("input", &format!("'{{\"a\": \"{}\"}}'", long(1_000_000))), "input must not be larger than 1000000 bytes"),
        (one("priority", "10"), "priority must be a whole number from 0 to 9"),
        (one("priority", "-1"), "priority must be a whole number from 0 to 9"),
        (one("priority", "2.5"), "cannot store REAL value in INTEGER column jobs.priority"),
        (one("priority", "'high'"), "cannot store TEXT value in INTEGER column jobs.priority"),
        (one("max_runs", "0"), "max_runs must be a whole number from 1 to 100"),
        (one("max_runs", "101"), "max_runs must be a whole number from 1 to 100"),
        (one("run_at", "'2026-02-31'"), no_date),
        (one("run_at", "'2027-02-29T10:00:00Z'"), no_date),
        (one("run_at", "'2026-13-01'"), no_date),
        (one("run_at", "'12:00'"), no_date),
        (one("run_at", "'tomorrow'"), no_date),
        (one("run_at", "'2460000.5'"), no_date),
        (one("run_at", "2460000.5"), no_date),
        (one("run_at", "'2026-12-24 at noon'"), no_date),
        (one("run_at", "'24.12.2026'"), no_date),
        (one("run_at", "''"), no_date),
        (one("run_at", "'0000-01-01T00:00:00+02:00'"), no_date),
        (one("run_at", "'9999-12-31T23:00:00-02:00'"), no_date),
        (one("dedupe_key", "''"), "dedupe_key must not be empty"),
        (one("dedupe_key", &format!("'{}'", long(201))), "dedupe_key must not be longer than 200 characters"),
        (one("provider_override", "'no-such'"), "unknown provider_override; SELECT name FROM providers"),
        (one("provider_override", "''"), "unknown provider_override"),
        (one("provider_override", "'claude-sonnet-4-6'"), "provider_override names a provider of another medium"),
        ("INSERT INTO jobs (asset, slug, provider_override) VALUES ('heroImage', 's', 'claude-sonnet-4-6');".to_owned(),
            "provider_override names a provider of another medium"),
        (one("status", "'done'"), "a new job is pending; leave status out"),
        (one("status", "'running'"), "a new job is pending; leave status out"),
        (one("status", "NULL"), "a new job is pending; leave status out"),
        (one("url", "'https://example.org/a.png'"), "url and text are what is delivered"),
        (one("text", "'words'"), "url and text are what is delivered"),
        (one("provider", "'lummi'"), only),
        (one("message", "'Hero image ready'"), only),
        (one("runs", "1"), only),
        (one("lease_token", "'token-of-somebody-1'"), only),
        (one("metadata", "'{}'"), only),
        (one("created_at", "'yesterday'"), "created_at and updated_at are written by the queue"),
        (one("id", "1"), "a job with this id exists; leave id out"),
        (one("id", "9223372036854775807"), "id is out of range; leave it out"),
        (one("id", "-7"), "id is out of range; leave it out"),
        ("INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 's', 'k');".to_owned(),
            "UNIQUE constraint failed: index 'jobs_one_live_job_per_dedupe_key'"),
        // A good row does not save a bad one beside it.
        ("INSERT INTO jobs (asset, slug) VALUES ('hero-image', 'good'), ('hero-image', '');".to_owned(),
            "slug must not be empty"),
    ];
    for (sql, sentence) in &cases {
        queue.refuses(sql, sentence);
        if !sql.contains("'k'") {
            queue.refuses(&sql.replacen("INSERT", "INSERT OR IGNORE", 1), sentence);
            queue.refuses(&sql.replacen("INSERT", "INSERT OR REPLACE", 1), sentence);
        }
    }
}

#[test]
fn or_replace_never_deletes_a_job() {
    let queue = Queue::with_jobs();
    let by_key = "INSERT OR REPLACE INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 's', 'k');";
    queue.refuses(by_key, "this asset already has a job with this dedupe_key; use ON CONFLICT DO NOTHING");
    queue.refuses(
        &by_key.replace("social-text", "socialText"),
        "this asset already has a job with this dedupe_key",
    );
    queue.refuses(&format!("PRAGMA foreign_keys = ON; {by_key}"), "this asset already has a job");
    queue.refuses(&format!("PRAGMA recursive_triggers = ON; {by_key}"), "this asset already has a job");
    queue.refuses(
        "REPLACE INTO jobs (id, asset, slug) VALUES (2, 'hero-image', 's');",
        "a job with this id exists",
    );
    queue.refuses(
        "UPDATE OR REPLACE jobs SET dedupe_key = 'k' WHERE id = 10;",
        "another job of this asset has this dedupe_key",
    );
    queue.refuses("UPDATE OR REPLACE jobs SET id = 1 WHERE id = 2;", "the id of a job never changes");
    // What a statement that did nothing noted does not stand in the way of a later one.
    queue.run(
        "INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 's', 'k') ON CONFLICT DO NOTHING;",
    );
    queue.run("UPDATE jobs SET status = 'cancelled' WHERE id = 7; DELETE FROM jobs WHERE id = 7;");
    queue.run("INSERT OR REPLACE INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 's', 'k');");
    queue.run("INSERT INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 's', 'k2');");
}

#[test]
fn a_bad_update_is_refused_with_a_sentence_and_changes_nothing() {
    let queue = Queue::with_jobs();
    queue.run("INSERT INTO provider_health (provider) VALUES ('lummi');");
    let no_date = "run_at is no date that exists";
    let together = "url and text are set together with status = 'done'";
    let address = "url must be an address that begins with http:// or https://";
    let running =
        "this job is running; slug, prompt, input and provider_override cannot change until it ends";
    let cases = [
        // Postponed, re-ranked, re-keyed.
        ("run_at = '2026-02-31' WHERE id = 1", no_date),
        ("run_at = '12:00' WHERE id = 1", no_date),
        ("run_at = 'later' WHERE id = 3", no_date),
        ("status = 'pending', run_at = '2026-06-31' WHERE id = 3", no_date),
        ("priority = 10 WHERE id = 1", "priority must be a whole number from 0 to 9"),
        ("max_runs = 0 WHERE id = 1", "max_runs must be a whole number from 1 to 100"),
        ("dedupe_key = '' WHERE id = 1", "dedupe_key must not be empty"),
        ("dedupe_key = 'k' WHERE id = 10", "another job of this asset has this dedupe_key"),
        ("status = 'pending' WHERE id = 8", "another job of this asset has this dedupe_key"),
        ("status = 'done', text = 'x' WHERE id = 8", "another job of this asset has this dedupe_key"),
        // What is asked for.
        ("slug = '' WHERE id = 1", "slug must not be empty"),
        ("slug = '../x' WHERE id = 1", "slug must not contain . or .. as a path segment"),
        ("slug = NULL WHERE id = 1", "slug must not be empty"),
        ("slug = 'x' WHERE id = 2", running),
        ("prompt = 'x' WHERE id = 2", running),
        ("input = '{\"a\": 1}' WHERE id = 2", running),
        ("provider_override = 'lummi' WHERE id = 2", running),
        ("prompt = ' ' WHERE id = 1", "prompt must not be empty"),
        ("input = '[]' WHERE id = 1", "input must be a JSON object"),
        ("provider_override = 'no-such' WHERE id = 1", "unknown provider_override"),
        (
            "provider_override = 'claude-sonnet-4-6' WHERE id = 1",
            "provider_override names a provider of another medium",
        ),
        ("provider_override = 'lummi' WHERE id = 4", "provider_override is for a run to come"),
        ("provider_override = 'lummi' WHERE id = 6", "provider_override is for a run to come"),
        ("provider_override = 'manual' WHERE id = 3", "provider_override is for a run to come"),
        // What never changes.
        ("id = 99 WHERE id = 1", "the id of a job never changes"),
        ("asset = 'social-text' WHERE id = 1", "the asset of a job never changes"),
        ("asset = 'heroImage' WHERE id = 1", "the asset of a job never changes"),
        ("created_at = '2020-01-01T00:00:00.000Z' WHERE id = 1", "created_at never changes"),
        // Statuses that are the daemon's.
        ("status = 'running' WHERE id = 1", "only the daemon sets a job running"),
        (
            "status = 'running', lease_token = 'short', lease_until = 'x' WHERE id = 1",
            "only the daemon sets a job running",
        ),
        (
            "status = 'running', lease_token = 'token-of-somebody-1', lease_until = 'x' WHERE id = 3",
            "only the daemon sets a job running",
        ),
        ("status = 'manual' WHERE id = 1", "only the daemon sets manual or failed"),
        ("status = 'failed' WHERE id = 3", "only the daemon sets manual or failed"),
        (
            "status = 'done', url = 'https://example.org/a' WHERE id = 2",
            "this job is running; until it ends it can only be cancelled",
        ),
        ("status = 'pending' WHERE id = 2", "this job is running; until it ends it can only be cancelled"),
        ("status = 'cancelled' WHERE id = 4", "this job is done; set it to pending to do it again"),
        (
            "status = 'done', url = 'https://example.org/a' WHERE id = 6",
            "this job is cancelled; set it to pending to do it again",
        ),
        (
            "status = 'finished' WHERE id = 1",
            "status is one of pending, running, manual, done, failed, cancelled",
        ),
        ("status = NULL WHERE id = 1", "status is one of"),
        // The asset that a person provides.
        ("status = 'done' WHERE id = 3", "done needs the asset; set url or text in the same UPDATE"),
        ("status = 'done', url = '' WHERE id = 3", address),
        ("status = 'done', url = 'file:///etc/passwd' WHERE id = 3", address),
        ("status = 'done', url = 'javascript:alert(1)' WHERE id = 3", address),
        ("status = 'done', url = 'https://' WHERE id = 3", address),
        ("status = 'done', url = 'https://example.org/a b' WHERE id = 3", address),
        ("status = 'done', url = 'https://example.org/a' || char(10) WHERE id = 3", address),
        (
            "status = 'done', text = 'A picture of a barn' WHERE id = 3",
            "this asset is no text; provide its url",
        ),
        ("status = 'done', text = '  ' WHERE id = 7", "text must not be empty"),
        (
            "status = 'done', text = 'a', url = 'https://example.org/a' WHERE id = 7",
            "provide url or text, not both",
        ),
        ("url = 'https://example.org/a' WHERE id = 3", together),
        ("url = 'https://example.org/other' WHERE id = 4", together),
        ("text = 'words' WHERE id = 7", together),
        ("status = 'cancelled', url = 'https://example.org/a' WHERE id = 3", together),
        ("status = 'done', url = 'https://example.org/other' WHERE id = 4", together),
    ];
    for (set, sentence) in &cases {
        for form in ["UPDATE", "UPDATE OR IGNORE", "UPDATE OR REPLACE"] {
            queue.refuses(&format!("{form} jobs SET {set};"), sentence);
        }
    }
    queue.refuses("DELETE FROM jobs WHERE id = 2;", "this job is running; cancel it first, then delete it");
    queue.refuses("DELETE FROM jobs;", "this job is running; cancel it first, then delete it");
    let pause = "paused_until is no date that exists";
    queue.refuses("UPDATE provider_health SET paused_until = '2026-02-30';", pause);
    queue.refuses("UPDATE provider_health SET state = 'off';", "state is one of closed, open, half-open");
    queue.refuses("UPDATE provider_health SET provider = 'x';", "the provider of a row never changes");
    queue.refuses(
        "INSERT INTO provider_health (provider) VALUES ('no-such');",
        "unknown provider; SELECT name FROM providers",
    );
    queue.refuses(
        "INSERT INTO provider_health (provider, paused_until) VALUES ('claude-sonnet-4-6', 'noon');",
        pause,
    );
}

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

// What follows.

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

// Views.

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

// Migration.

#[test]
fn two_starts_at_once_migrate_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("backstop.db");
    let start = || {
        block_on(async {
            let pools = open(&path).await?;
            let migrated = migrate(&pools, &path).await?;
            pools.close().await;
            Ok::<_, backstop::store::error::StoreError>(migrated)
        })
        .expect("starts")
    };
    let mut came: Vec<Migrated> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    came.sort_by_key(|migrated| migrated.from);
    let to = newest();
    assert_eq!(came.first(), Some(&Migrated { from: 0, to }));
    assert!(came.iter().skip(1).all(|migrated| *migrated == Migrated { from: to, to }), "{came:?}");
    assert_eq!(shell(&path, "PRAGMA integrity_check; PRAGMA journal_mode;"), Ok("ok\nwal".to_owned()));
}

#[test]
fn a_file_of_another_program_or_of_a_newer_one_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |path: &Path| {
        block_on(async {
            let pools = open(path).await?;
            migrate(&pools, path).await.map(drop)
        })
        .expect_err("refused")
        .to_string()
    };
    let foreign = folder.path().join("foreign.db");
    shell(&foreign, "CREATE TABLE notes (x); INSERT INTO notes VALUES (1);").expect("made");
    let before = std::fs::read(&foreign).expect("there");
    assert!(start(&foreign).contains("is a database of another program, not a Backstop queue"));
    assert_eq!(std::fs::read(&foreign).expect("there"), before);

    let text = folder.path().join("text.db");
    std::fs::write(&text, "This is no database at all, but a text of some length.".repeat(40))
        .expect("written");
    assert!(start(&text).contains("the database cannot be read"), "{}", start(&text));

    let queue = Queue::new();
    queue.run(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'from the future', 1, x'00', 0);",
    );
    let error = start(&queue.path());
    assert!(error.contains("has schema 999") && error.contains("a newer Backstop"), "{error}");
}

#[test]
fn the_mirrors_are_written_when_something_changed_and_lose_nothing() {
    let queue = Queue::new();
    let write = |assets: Vec<Asset>, providers: Vec<Provider>| {
        block_on(async {
            let pools = open(&queue.path()).await.expect("opens");
            let later = from_text("2026-11-23T00:00:00.000Z").expect("valid");
            let changed = mirror(&pools, &assets, &providers, later).await.expect("mirrors");
            pools.close().await;
            changed
        })
    };
    assert_eq!(write(assets(), providers()), 0);
    queue.shows("SELECT DISTINCT updated_at FROM assets;", NOW);
    let mut fewer = assets();
    fewer.truncate(1);
    for asset in &mut fewer {
        asset.max_runs = 5;
    }
    assert_eq!(write(fewer, Vec::new()), 1);
    queue.shows(
        "SELECT name, max_runs, chain FROM assets; SELECT count(*) FROM providers; SELECT * FROM asset_aliases;",
        "hero-image|5|[\"gemini-3.1-flash-image\",\"lummi\",\"manual\"]\nsocial-text|3|[\"claude-sonnet-4-6\",\"manual\"]\n\
         video-clip|3|[\"manual\"]\n3\nheroImage|hero-image\nhero_image|hero-image\nsocialText|social-text\n\
         social_text|social-text\nvideoClip|video-clip\nvideo_clip|video-clip",
    );
}

/// One word of a newer SQLite makes the whole file unreadable for an older shell, and this machine's shell is
/// not the oldest that is promised (3.37).
#[test]
fn the_schema_uses_nothing_that_older_shells_cannot_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("text");
        files += 1;
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n");
        for newer in [
            "->",
            "unixepoch(",
            "DISTINCT FROM",
            " format(",
            "string_agg",
            "octet_length",
            " concat(",
            "concat_ws",
            "timediff",
            "jsonb",
            "FULL JOIN",
            "RIGHT JOIN",
            "'subsec'",
        ] {
            assert!(!code.contains(newer), "{}: {newer} is younger than SQLite 3.37", path.display());
        }
        for refusal in code.split("RAISE(ABORT, ").skip(1) {
            let rest = refusal.strip_prefix('\'').expect("a message is a literal").replace("''", "");
            let after = rest.split_once('\'').map(|(_, after)| after).expect("a closed literal");
            assert!(after.starts_with(')'), "{}: a message is a literal and nothing more", path.display());
        }
    }
    assert_eq!(i64::from(files), newest(), "every migration is embedded");
}
