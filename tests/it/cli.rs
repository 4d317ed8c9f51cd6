//! The verbs, as people meet them: the real binary, a real database, and the sentences they print.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use insta::assert_snapshot;
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

/// Providers of its own, so that what the catalog learns changes no snapshot.
const CONFIGURATION: &str = r#"
[queue]
database = "sqlite:queue.db"

[assets.hero-image]
chain = ["easel", "title-card", "manual"]

[assets.social-text]
chain = ["template", "quill", "manual"]

[assets.video-clip]
chain = ["manual"]

[providers.easel]
title = "Easel"
protocol = "openai-images"
model = "easel-1"
base_url = "http://127.0.0.1:9/v1"
api_key = { env = "EASEL_KEY" }

[providers.quill]
protocol = "openai-chat"
model = "quill-1"
base_url = "http://127.0.0.1:9/v1"

[providers.template]
template = "New on the site: {{ input.title or slug }}."
"#;

/// What the daemon would have written: one job of each kind.
const STORIES: &str = r#"
INSERT INTO jobs (asset, slug, input) VALUES ('heroImage', 'bees', '{"title": "Bees"}');
INSERT INTO jobs (asset, slug) VALUES ('social-text', 'bees');
INSERT INTO jobs (asset, slug, prompt, provider_override, priority, run_at, dedupe_key)
    VALUES ('hero-image', 'ants', 'An ant hill at dawn', 'title-card', 9, '2099-01-01', 'spring');
INSERT INTO jobs (asset, slug) VALUES ('hero-image', 'wasps');
INSERT INTO jobs (asset, slug) VALUES ('social-text', 'hornets');

UPDATE jobs SET status = 'running', lease_token = '0123456789abcdef', lease_until = '2099-01-01T00:00:00.000Z',
    started_at = '2026-11-22T13:49:00.000Z' WHERE id IN (1, 2, 5);
INSERT INTO runs (id, job_id, number, chain, started_at, finished_at, outcome, error) VALUES
    (1, 1, 1, '["easel"]', '2026-11-22T13:49:00.000Z', '2026-11-22T13:49:09.000Z', 'later', 'easel: HTTP 503'),
    (3, 2, 1, '["template","quill"]', '2026-11-22T13:49:00.000Z', '2026-11-22T13:53:00.000Z', 'exhausted', 'nobody');
INSERT INTO runs (id, job_id, number, chain, override, started_at, finished_at, outcome, provider, fallback_used) VALUES
    (2, 1, 2, '["easel","title-card"]', 'easel', '2026-11-22T13:50:00.000Z', '2026-11-22T13:50:04.500Z', 'delivered', 'title-card', 1);
INSERT INTO runs (id, job_id, number, chain, started_at) VALUES
    (4, 5, 1, '["template","quill"]', '2026-11-22T13:49:00.000Z');
INSERT INTO attempts (run_id, job_id, position, repeat, provider, status, class, error, started_at, finished_at, cost_micros) VALUES
    (1, 1, 0, 0, 'easel', 'failed', 'transient', 'HTTP 503', '2026-11-22T13:49:00.000Z', '2026-11-22T13:49:02.140Z', 0),
    (1, 1, 0, 1, 'easel', 'unknown', 'unknown_outcome', 'no answer in time', '2026-11-22T13:49:03.000Z', '2026-11-22T13:49:09.000Z', 39000),
    (2, 1, 0, 0, 'easel', 'skipped', NULL, 'breaker open until 2026-11-22T14:00:00.000Z', '2026-11-22T13:50:00.000Z', NULL, 0),
    (2, 1, 1, 0, 'title-card', 'delivered', NULL, NULL, '2026-11-22T13:50:00.000Z', '2026-11-22T13:50:00.400Z', 0),
    (3, 2, 0, 0, 'template', 'skipped', NULL, 'paused until 2026-11-22T14:00:00.000Z', '2026-11-22T13:49:00.000Z', NULL, 0),
    (3, 2, 1, 0, 'quill', 'failed', 'refused', 'the prompt was refused', '2026-11-22T13:49:00.000Z', '2026-11-22T13:53:00.000Z', 0),
    (4, 5, 0, 0, 'template', 'started', NULL, NULL, '2026-11-22T13:49:00.000Z', NULL, 0);
UPDATE jobs SET status = 'done', lease_token = NULL, lease_until = NULL, provider = 'title-card', fallback_used = 1,
    url = 'https://cdn.example.org/bees.png', content_type = 'image/png', runs = 2,
    metadata = '{"width": 1280, "height": 720, "bytes": 84000, "attribution": "Photo by A. N. Other"}',
    message = 'Hero image ready (via fallback: Title card)', finished_at = '2026-11-22T13:50:04.500Z' WHERE id = 1;
UPDATE jobs SET status = 'manual', lease_token = NULL, lease_until = NULL, runs = 1, error = 'nobody',
    message = 'Social text needs a person', finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-3 hours', '-1 minute') WHERE id = 2;
UPDATE jobs SET status = 'cancelled' WHERE id = 4;
INSERT INTO asset_health (asset, last_success_at, last_resolved_source, last_fallback_used, primary_provider, primary_last_failure_at, primary_last_error)
    VALUES ('hero-image', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 minute'), 'title-card', 1, 'easel', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-3 days', '-1 minute'), 'HTTP 503');
INSERT INTO provider_health (provider, state, consecutive_failures, last_failure_at, last_error, last_class, open_until)
    VALUES ('quill', 'open', 3, strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-3 days', '-1 minute'), 'HTTP 503', 'transient', '2099-01-01T00:00:00.000Z');
"#;

/// A folder with a configuration, and the program run in it.
struct Desk {
    folder: TempDir,
}

/// What a verb came to.
#[derive(Debug)]
struct Ran {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Desk {
    /// A folder with a configuration and no database.
    fn empty() -> Self {
        let desk = Self { folder: tempfile::tempdir().expect("a folder") };
        std::fs::write(desk.path("backstop.toml"), CONFIGURATION).expect("writes");
        desk
    }

    /// A folder with a database in which something has happened.
    fn new() -> Self {
        let desk = Self::empty();
        desk.says(&["migrate"]);
        desk.sql(STORIES);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, args: &[&str]) -> Ran {
        let output = Command::new(env!("CARGO_BIN_EXE_backstop"))
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .output()
            .expect("the binary runs");
        let text = |bytes: Vec<u8>| self.normalised(&String::from_utf8(bytes).expect("UTF-8"));
        Ran { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }

    /// What a verb prints that must succeed.
    fn says(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{args:?}: {}", ran.out);
        ran.out
    }

    fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--json"];
        all.extend(args);
        serde_json::from_str(&self.says(&all)).expect("JSON")
    }

    /// The sentence and the exit code with which a verb fails.
    fn fails(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_ne!(ran.code, Some(0), "{args:?}: {}", ran.out);
        format!("{}: {}{}", ran.code.unwrap_or(-1), ran.err, ran.out)
    }

    fn sql(&self, sql: &str) -> String {
        let output = Command::new("sqlite3")
            .args(["-bail", "queue.db", sql])
            .current_dir(self.folder.path())
            .output()
            .expect("the sqlite3 shell runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// Without what differs from run to run.
    fn normalised(&self, text: &str) -> String {
        let real = self.folder.path().canonicalize().expect("is there");
        let mut text = text.to_owned();
        for folder in [real.as_path(), self.folder.path()] {
            text = text.replace(&folder.display().to_string(), "[folder]");
        }
        let year = "20(?:2[6-9]|[3-8][0-9])";
        for (pattern, word) in [
            (format!(r"{year}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z"), "[time]"),
            (r"(a moment|\d+ seconds?|1 minute) ago".to_owned(), "[just now]"),
            (r"-[0-9a-f]{8}\.".to_owned(), "-[hash]."),
        ] {
            text = Regex::new(&pattern).expect("valid").replace_all(&text, word).into_owned();
        }
        text
    }
}

/// A picture that hero-image accepts: not one flat colour, large enough.
fn picture(path: &Path, width: u32, height: u32) {
    let draw =
        |x, y| image::Rgb([u8::try_from(x % 251).unwrap_or(0), u8::try_from(y % 241).unwrap_or(0), 90]);
    image::RgbImage::from_fn(width, height, draw).save(path).expect("saves");
}

#[test]
fn jobs_are_listed_and_paged() {
    let desk = Desk::new();
    assert_snapshot!("jobs", desk.says(&["jobs"]));
    assert_snapshot!(
        "jobs_of_a_page",
        desk.says(&["jobs", "--asset", "heroImage", "--limit", "1", "--before", "4"])
    );
    assert_eq!(desk.says(&["jobs", "--slug", "nobody"]), "No jobs.\n");
    let manual = desk.json(&["jobs", "--status", "manual"]);
    assert_eq!(manual.as_array().map(Vec::len), Some(1));
    assert_eq!(manual[0]["id"], 2);
}

#[test]
fn a_story_is_told_attempt_by_attempt() {
    let desk = Desk::new();
    assert_snapshot!("show_done", desk.says(&["show", "1"]));
    assert_snapshot!("show_manual", desk.says(&["show", "2"]));
    assert_snapshot!("show_pending", desk.says(&["show", "3"]));
    assert_snapshot!("show_cancelled", desk.says(&["show", "4"]));
    assert_snapshot!("show_running", desk.says(&["show", "5"]));
    let story = desk.json(&["show", "1"]);
    assert_eq!(story["history"][1]["attempts"][1]["provider"], "title-card");
}

#[test]
fn what_waits_for_people_comes_with_its_answer() {
    let desk = Desk::new();
    assert_snapshot!("manual", desk.says(&["manual"]));
    let lines = ["Bees sleep in winter. Almost all of them."];
    assert_eq!(desk.says(&["resolve", "2", "--text", lines[0]]), "Social text ready\n");
    assert_eq!(desk.says(&["manual"]), "Nothing waits for a person.\n");
    assert_eq!(desk.sql("SELECT provider, text FROM jobs WHERE id = 2"), format!("manual|{}", lines[0]));
}

#[test]
fn health_speaks_in_the_sentence_of_the_contract() {
    let desk = Desk::new();
    let said = desk.says(&["health"]);
    let said = Regex::new(r"\d+\.\d MB").expect("valid").replace_all(&said, "[size]");
    let said = Regex::new(r"(begun|ended) [\w ]+ ago").expect("valid").replace_all(&said, "$1 [time] ago");
    assert_snapshot!("health", said);
    let hero = desk.json(&["health", "hero-image"]);
    let sentence = "Primary provider last failed 3 days ago. Last run used fallback: title-card.";
    assert_eq!(hero["assets"][0]["sentence"], sentence);
    assert_eq!(desk.sql("SELECT sentence FROM health WHERE asset = 'hero-image'"), sentence);
    assert_eq!(hero["assets"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_plan_says_who_is_called_and_who_is_not() {
    let desk = Desk::new();
    assert_snapshot!("plan", desk.says(&["plan", "heroImage"]));
    assert_snapshot!("plan_with_an_override", desk.says(&["plan", "social-text", "--override", "quill"]));
    assert_snapshot!("plan_without_an_override", desk.says(&["plan", "social-text"]));
    assert!(desk.says(&["plan", "hero-image", "--override", "manual"]).contains("Nobody is called"));
    let shut = |until: &str| {
        desk.sql("INSERT OR IGNORE INTO provider_health (provider, state) VALUES ('template', 'open')");
        desk.sql(&format!("UPDATE provider_health SET open_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '{until}') WHERE provider = 'template'"));
        desk.says(&["plan", "social-text"])
    };
    assert!(shut("+5 minutes").ends_with("Nobody can be called now; the job comes back at [time].\n"));
    assert!(shut("+2 hours").ends_with("Nobody can be called; a person is asked.\n"));
    let desk = Desk::empty();
    let plan = desk.json(&["plan", "video-clip"]);
    assert_eq!(plan["links"], serde_json::json!([]));
    assert!(!desk.path("queue.db").exists(), "a plan makes no database");
}

#[test]
fn providers_are_listed_and_steered() {
    let desk = Desk::new();
    assert_snapshot!("providers", desk.says(&["providers"]));
    assert!(desk.says(&["providers", "--all"]).lines().count() > 10);
    let until = "2098-12-31T18:00:00.000Z";
    let said = desk.says(&["providers", "pause", "title-card", "--until", "2098-12-31T18:00:00Z"]);
    assert_eq!(said, format!("title-card is paused until {until}.\n"));
    assert!(desk.says(&["plan", "hero-image"]).contains(&format!("paused until {until}")));
    desk.says(&["providers", "resume", "title-card"]);
    assert!(!desk.says(&["plan", "hero-image"]).contains("paused"));
    let quill = desk.json(&["providers", "reset", "quill"]);
    assert_eq!((&quill["state"], &quill["callable"]), (&"closed".into(), &true.into()));
    assert_eq!(desk.json(&["providers", "pause", "quill", "--for", "2h"])["callable"], false);
}

#[test]
fn a_configuration_is_checked_whole() {
    let desk = Desk::empty();
    assert_snapshot!("check", desk.says(&["check"]));
    std::fs::write(
        desk.path("bad.toml"),
        "[queue]\nconcurency = 8\n[assets.hero-image]\nchain = [\"lumi\"]\n",
    )
    .expect("writes");
    assert_snapshot!("check_bad", desk.fails(&["--config", "bad.toml", "check"]));
    std::fs::write(
        desk.path("old.toml"),
        "assets.hero-image.chain = [\"gemini-imagen-3\", \"title-card\"]\n",
    )
    .expect("writes");
    let old = desk.says(&["--config", "old.toml", "check"]);
    let warning = "\nwarning: gemini-imagen-3 (in the chain of hero-image) was retired on 2025-11-10; use gemini-3.1-flash-image\n";
    assert!(old.ends_with(warning), "{old}");
    let bad = desk.run(&["--config", "bad.toml", "--json", "check"]);
    let mistakes: Value = serde_json::from_str(&bad.out).expect("JSON");
    assert_eq!((bad.code, mistakes["mistakes"].as_array().map(Vec::len)), (Some(2), Some(2)));
    let prompt = "--set=assets.hero-image.prompt={{ input.";
    assert!(desk.fails(&[prompt, "check"]).starts_with("2: "));
    assert!(!desk.path("assets").exists() && !desk.path("queue.db").exists(), "check makes nothing");
}

#[test]
fn a_wrong_configuration_ends_every_verb_with_code_2() {
    let desk = Desk::new();
    // The unit of systemd starts the daemon again after every other code.
    let verbs: [&[&str]; 15] = [
        &["serve"],
        &["drain"],
        &["enqueue", "hero-image", "x"],
        &["jobs"],
        &["show", "1"],
        &["plan", "hero-image"],
        &["health"],
        &["manual"],
        &["resolve", "2", "--text", "x"],
        &["retry", "1"],
        &["cancel", "1"],
        &["providers"],
        &["providers", "reset", "quill"],
        &["check"],
        &["migrate"],
    ];
    for verb in verbs {
        let said = desk.fails(&[&["--set", "queue.concurrency=none"], verb].concat());
        assert!(said.starts_with("2: ") && said.contains("queue.concurrency"), "{verb:?}: {said}");
        let said = desk.fails(&[&["--config", "nowhere.toml"], verb].concat());
        assert!(said.starts_with("2: ") && said.contains("nowhere.toml"), "{verb:?}: {said}");
    }
    // What only shows when it is compiled.
    for verb in ["serve", "drain", "check"] {
        let said = desk.fails(&["--set=assets.hero-image.prompt={{ input.", verb]);
        assert!(said.starts_with("2: ") && said.contains("assets.hero-image"), "{verb}: {said}");
    }
}

#[test]
fn a_grace_longer_than_systemds_patience_is_warned_of() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/backstop.service");
    let unit = std::fs::read_to_string(unit).expect("is there");
    let stop = unit.lines().find_map(|line| line.strip_prefix("TimeoutStopSec=")).expect("is set");
    let stop: u64 = stop.parse().expect("plain seconds");
    let desk = Desk::empty();
    let warned = |grace: u64| {
        let said = desk.says(&["--set", &format!("queue.grace={grace}s"), "check"]);
        let json = desk.json(&["--set", &format!("queue.grace={grace}s"), "check"]);
        assert_eq!(
            said.contains("raise TimeoutStopSec="),
            json["warnings"][0]["sentence"].is_string(),
            "{said}"
        );
        json["warnings"][0]["sentence"].is_string()
    };
    assert!(warned(stop));
    assert!(!warned(stop - 1));
}

#[test]
fn a_job_is_enqueued_with_everything_it_may_bring() {
    let desk = Desk::empty();
    let said = desk.says(&["enqueue", "heroImage", "bees", "--input", "title=Bees"]);
    assert_eq!(said, "job 1: hero-image for bees\nnext: backstop show 1\n");
    let args =
        ["enqueue", "social-text", "bees", "--prompt", "p", "--input-json", "{\"n\": 1}", "--input", "t=2"];
    let more = [
        "--override",
        "quill",
        "--priority",
        "9",
        "--at",
        "2099-01-01",
        "--dedupe-key",
        "k",
        "--max-runs",
        "2",
    ];
    let job = desk.json(&[&args[..], &more[..]].concat());
    let found = ["prompt", "input", "providerOverride", "priority", "runAt", "dedupeKey", "maxRuns"];
    let found: Vec<String> = found.iter().map(|key| job[key].to_string()).collect();
    let expected =
        ["\"p\"", "{\"n\":1,\"t\":\"2\"}", "\"quill\"", "9", "\"2099-01-01T00:00:00.000Z\"", "\"k\"", "2"];
    assert_eq!(found, expected);
    let again = desk.fails(&["enqueue", "socialText", "bees", "--dedupe-key", "k"]);
    assert!(again.starts_with("2: backstop: job 2 of social-text has dedupe key \"k\" already"), "{again}");
}

#[test]
fn an_interrupted_run_and_a_closed_window_are_said() {
    let desk = Desk::new();
    desk.sql("UPDATE jobs SET status = 'pending', lease_token = NULL, lease_until = NULL WHERE id = 5");
    let said = desk.says(&["show", "5"]);
    assert!(said.contains("interrupted; it goes on when its job is taken up again"), "{said}");
    let window = "assets.social-text.window.cron=* 3 * * *";
    let window = ["--set", window, "--set", "assets.social-text.window.zone=Europe/Zurich"];
    let told = "only in minutes of * 3 * * * (Europe/Zurich)";
    let said = desk.says(&[&window[..], &["show", "5"]].concat());
    assert!(said.contains(told), "{said}");
    let said = desk.says(&[&window[..], &["plan", "social-text"]].concat());
    assert!(said.contains(told), "{said}");
    desk.sql("UPDATE jobs SET status = 'done', text = 'Written by hand, and long enough' WHERE id = 2");
    assert!(desk.says(&["show", "2"]).contains("by          a person"));
}

#[test]
fn a_daemon_that_can_call_nobody_says_so() {
    let desk = Desk::empty();
    std::fs::write(desk.path("backstop.toml"), "[assets.hero-image]\nchain = [\"title-card\"]\n")
        .expect("writes");
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .arg("serve")
        .current_dir(desk.folder.path())
        .env_clear()
        .stderr(Stdio::piped())
        .spawn()
        .expect("the daemon starts");
    let log = std::io::BufReader::new(daemon.stderr.take().expect("its log"));
    let mut warned: Vec<Value> = Vec::new();
    for line in std::io::BufRead::lines(log) {
        let line: Value = serde_json::from_str(&line.expect("a line")).expect("JSON");
        // It says so whatever comes next; told to stop, its log has an end.
        if line["message"] == "backstop is ready" {
            let stop = Command::new("kill").arg(daemon.id().to_string()).status();
            assert!(stop.expect("kill runs").success());
        }
        if line["level"] == "WARN" {
            warned.push(line);
        }
    }
    assert!(daemon.wait().expect("it ends").success());
    let assets: Vec<&Value> = warned.iter().map(|line| &line["asset"]).collect();
    assert_eq!(assets, ["social-text", "video-clip"]);
    let said = warned[0]["message"].as_str().expect("a message");
    assert!(said.starts_with("no provider of its chain can be called"), "{said}");
}

#[test]
fn who_waits_without_a_daemon_is_told_so() {
    let desk = Desk::empty();
    let ran = desk.run(&["enqueue", "hero-image", "bees", "--wait", "--timeout", "6s"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("is a daemon running? start one with backstop serve"), "{}", ran.err);
    assert!(ran.err.contains("job 1 is still pending after 6 seconds"), "{}", ran.err);
}

#[test]
fn who_waits_gets_the_story_of_the_delivery() {
    let desk = Desk::empty();
    desk.says(&["migrate"]);
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .arg("serve")
        .current_dir(desk.folder.path())
        .env_clear()
        .stderr(Stdio::null())
        .spawn()
        .expect("the daemon starts");
    let made = desk.run(&["enqueue", "hero-image", "bees", "--wait", "--timeout", "60s"]);
    let asked = desk.run(&["enqueue", "video-clip", "bees", "--wait", "--timeout", "60s"]);
    daemon.kill().expect("it was running");
    daemon.wait().expect("it ends");
    assert_eq!((made.code, made.err.as_str()), (Some(0), "job 1: hero-image for bees\n"), "{}", made.out);
    assert!(made.out.starts_with("Hero image ready (via fallback: Title card)\n"), "{}", made.out);
    assert_eq!(asked.code, Some(1), "a job that needs a person is no delivery");
    assert!(asked.out.starts_with("Video clip needs a person\n"), "{}", asked.out);
}

#[test]
fn a_verb_leaves_nothing_beside_the_database() {
    let desk = Desk::new();
    desk.says(&["jobs"]);
    desk.says(&["retry", "1"]);
    assert!(!desk.path("queue.db-wal").exists());
}

#[test]
fn the_demo_does_not_use_this_machines_keys() {
    let desk = Desk::empty();
    let output = Command::new(env!("CARGO_BIN_EXE_backstop"))
        .args(["--json", "demo"])
        .current_dir(desk.folder.path())
        .env_clear()
        .env("GEMINI_API_KEY", "sk-not-for-demos")
        .env("BACKSTOP_QUEUE__DATABASE", "sqlite:elsewhere.db")
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(told["jobs"][0]["history"][0]["attempts"][0]["status"], "skipped");
    assert!(desk.path("backstop-demo/backstop.db").exists());
}

#[test]
fn a_person_provides_a_file_and_bad_ones_are_refused() {
    let desk = Desk::new();
    picture(&desk.path("good.png"), 1280, 720);
    picture(&desk.path("small.png"), 64, 36);
    std::fs::write(desk.path("page.png"), "<html><body>Not found</body></html>").expect("writes");
    assert_snapshot!("resolve_too_small", desk.fails(&["resolve", "3", "--file", "small.png"]));
    assert!(desk.fails(&["resolve", "3", "--file", "page.png"]).contains("it is not accepted"));
    assert_eq!(desk.sql("SELECT status FROM jobs WHERE id = 3"), "pending", "a refused file changes nothing");
    let said = desk.says(&["resolve", "3", "--file", "good.png"]);
    assert_snapshot!("resolve", said);
    let url = desk.sql("SELECT url FROM jobs WHERE id = 3");
    let kept = url.strip_prefix("file://").expect("a file's address");
    let bytes = |path: &Path| std::fs::read(path).expect("is there");
    assert_eq!(bytes(Path::new(kept)), bytes(&desk.path("good.png")));
    assert_eq!(desk.sql("SELECT provider, content_type FROM jobs WHERE id = 3"), "manual|image/png");
    assert!(desk.fails(&["resolve", "3", "--file", "good.png"]).contains("job 3 is done"));
    assert!(desk.fails(&["resolve", "5", "--text", "words"]).contains("job 5 is running"));
}

#[test]
fn jobs_are_sent_round_again_and_cancelled() {
    let desk = Desk::new();
    assert_eq!(desk.says(&["retry", "social-text", "--since", "1h"]), "Nothing to retry.\n");
    assert_eq!(desk.says(&["retry", "socialText", "--since", "2d"]), "Job 2 is pending again.\n");
    assert_eq!(desk.says(&["retry", "1", "--override", "title-card"]), "Job 1 is pending again.\n");
    assert_eq!(desk.sql("SELECT status, provider_override FROM jobs WHERE id = 1"), "pending|title-card");
    let some = desk.run(&["retry", "4", "3"]);
    assert_eq!((some.code, some.out.lines().count()), (Some(1), 2), "{}", some.out);
    assert_eq!(desk.says(&["cancel", "2", "5"]), "Job 2 is cancelled.\nJob 5 is cancelled.\n");
    assert_eq!(desk.sql("SELECT group_concat(status) FROM jobs WHERE id IN (2, 5)"), "cancelled,cancelled");
}

#[test]
fn wrong_words_are_answered_with_a_sentence() {
    let desk = Desk::new();
    let wrong: [&[&str]; 34] = [
        &["enqueue", "hero-imge", "x"],
        &["enqueue", "hero-image", ""],
        &["enqueue", "hero-image", "../etc"],
        &["enqueue", "hero-image", "x", "--override", "title-crad"],
        &["enqueue", "hero-image", "x", "--override", "quill"],
        &["enqueue", "hero-image", "x", "--at", "2026-02-31"],
        &["enqueue", "hero-image", "x", "--input", "title"],
        &["enqueue", "hero-image", "x", "--input-json", "[1]"],
        &["jobs", "--asset", "nobody"],
        &["show", "99"],
        &["show", "hero-image"],
        &["plan", "nothing"],
        &["plan", "hero-image", "--override", "nobody-at-all"],
        &["health", "hero"],
        &["resolve", "99", "--text", "x"],
        &["resolve", "3", "--text", "words for a picture"],
        &["resolve", "2", "--text", "short"],
        &["resolve", "2", "--url", "ftp://example.org/a"],
        &["resolve", "3", "--file", "nowhere.png"],
        &["retry", "99"],
        &["retry", "3"],
        &["retry", "hero-image"],
        &["retry", "hero-image", "--since", "yesterday"],
        &["retry", "2", "--since", "2d"],
        &["retry", "2", "--override", "easel"],
        &["cancel", "99"],
        &["cancel", "1"],
        &["providers", "pause", "title-crad", "--for", "2h"],
        &["providers", "pause", "title-card", "--for", "soon"],
        &["providers", "pause", "title-card", "--until", "2020-01-01"],
        &["providers", "pause", "title-card"],
        &["--set", "queue.database=sqlite:/proc/q.db", "jobs"],
        &["--set", "queue.database=sqlite:/proc/q.db", "migrate"],
        &["--set", "queue.database=sqlite:backstop.toml", "jobs"],
    ];
    let told: String =
        wrong.map(|args| format!("$ backstop {}\n{}", args.join(" "), desk.fails(args))).concat();
    assert_snapshot!("wrong_words", told);
}

#[test]
fn who_asks_in_the_wrong_folder_is_told_so() {
    let desk = Desk::empty();
    for verb in [&["jobs"][..], &["show", "1"], &["manual"], &["health"], &["retry", "1"], &["cancel", "1"]] {
        let said = desk.fails(verb);
        assert!(said.starts_with("1: backstop: there is no database at [folder]/queue.db yet"), "{said}");
    }
    assert!(!desk.path("queue.db").exists(), "asking makes no database");
}

#[test]
fn a_database_is_made_once() {
    let desk = Desk::empty();
    assert!(desk.says(&["migrate"]).starts_with("[folder]/queue.db was made, with schema "));
    assert!(desk.says(&["migrate"]).ends_with("already; nothing to do.\n"));
    assert_eq!(desk.sql("SELECT count(*) FROM assets"), "3");
}

#[test]
fn every_verb_explains_itself_with_an_example() {
    let desk = Desk::empty();
    let verbs = [
        "serve",
        "drain",
        "demo",
        "enqueue",
        "jobs",
        "show",
        "plan",
        "health",
        "manual",
        "resolve",
        "retry",
        "cancel",
        "providers",
        "notices",
        "check",
        "backup",
        "migrate",
    ];
    let help = desk.says(&["--help"]);
    for verb in verbs {
        assert!(help.contains(&format!("\n  {verb} ")), "{verb} is not listed");
        let help = desk.says(&[verb, "--help"]);
        assert!(help.contains("Example") && help.contains(&format!("backstop {verb}")), "{verb}: {help}");
    }
    assert_snapshot!("help", help);
    assert_snapshot!("help_enqueue", desk.says(&["enqueue", "--help"]));
    assert_eq!(desk.run(&["enqueue"]).code, Some(2));
    assert_eq!(desk.run(&["no-such-verb"]).code, Some(2));
    assert_eq!(desk.run(&["resolve", "1"]).code, Some(2), "an asset must be given");
}

#[test]
fn styles_are_for_terminals() {
    let desk = Desk::new();
    assert!(!desk.says(&["show", "1"]).contains('\u{1b}'));
    assert!(desk.says(&["--color", "always", "show", "1"]).contains('\u{1b}'));
}

#[test]
fn the_demo_works_offline_and_twice() {
    let desk = Desk::empty();
    let first = desk.run(&["demo"]);
    assert_eq!(first.code, Some(0), "{}", first.err);
    let told = first.out.replace(env!("CARGO_BIN_EXE_backstop"), "[backstop]");
    let told = Regex::new(r"after (\d+ ms|\d+\.\d s)")
        .expect("valid")
        .replace_all(&told, "after [length]")
        .into_owned();
    // What the catalog learns to speak changes this reason and nothing else.
    let told = Regex::new(r"skipped: .*").expect("valid").replace_all(&told, "skipped: [reason]");
    assert_snapshot!("demo", told);
    let second = desk.json(&["demo"]);
    let statuses: Vec<&Value> =
        second["jobs"].as_array().expect("jobs").iter().map(|job| &job["status"]).collect();
    assert_eq!(statuses, ["done", "done", "manual"]);
    let url = second["jobs"][0]["url"].as_str().expect("an address").replace("[folder]", "");
    let real = desk.folder.path().canonicalize().expect("is there");
    let file = real.join(url.trim_start_matches("file://").trim_start_matches('/'));
    let folder = file.parent().expect("a folder");
    let kept =
        std::fs::read_dir(folder).expect("is there").next().expect("one file").expect("readable").path();
    let size = image::image_dimensions(kept).expect("a picture");
    assert!(size.0 >= 1024 && size.1 >= 576, "{size:?}");
    std::fs::write(desk.path("backstop-demo/backstop.toml"), "# mine\n").expect("writes");
    assert!(desk.fails(&["demo"]).contains("is not the demo's; name another folder with --dir"));
}
