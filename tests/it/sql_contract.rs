//! The SQL contract, through Debian's own `sqlite3` shell: what works, what is refused, and what follows.

mod budgets;
mod life;
mod migration;
mod refusals;
mod views;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use backstop::domain::accept::Acceptance;
use backstop::domain::asset::{Asset, Medium, OnExhausted};
use backstop::domain::budget::Budget;
use backstop::domain::chain::Chain;
use backstop::domain::name::{AssetName, ProviderName};
use backstop::domain::provider::{Key, OnUnknown, Provider, Repeat};
use backstop::domain::time::from_text;
use backstop::store::sqlite::migrate::migrate;
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
        let path = queue.path();
        block_on(async {
            // Spawned, as the daemon may do: a future that cannot be would not compile here.
            let ready = tokio::spawn(async move {
                let pools = open(&path).await.expect("opens");
                migrate(&pools, &path).await.expect("migrates");
                let now = from_text(NOW).expect("valid");
                mirror(&pools, &assets(), &providers(), now).await.expect("mirrors");
                pools.close().await;
            });
            ready.await.expect("no panic");
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
        budget: Budget::default(),
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
        pace: None,
        trip_after: 3,
        instant: false,
        on_unknown: OnUnknown::Next,
        repeat: Repeat::Free,
        price_micros: 0,
        budget: Budget::default(),
        fingerprint: "f".to_owned(),
        options: serde_json::Map::new(),
    };
    vec![
        provider("gemini-3.1-flash-image", Medium::Image),
        provider("lummi", Medium::Image),
        provider("claude-sonnet-4-6", Medium::Text),
    ]
}

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
