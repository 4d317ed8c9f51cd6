//! The desk over a real file: what is asked, what is told, what is refused.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::*;
use crate::domain::notice::NoticeKind;
use crate::domain::time::{after, from_text};
use crate::store::desk::{JobFilter, JobRow, NewTick};
use crate::store::sqlite::glance::{counts, jobs};
use crate::store::sqlite::notices::{sent, unsent};
use crate::store::sqlite::open::Pools;
use crate::store::sqlite::ticks::{last_tick, tick};
use crate::store::sqlite::{migrate, open};

struct Desk {
    pools: Pools,
    _folder: tempfile::TempDir,
}

impl Desk {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path: PathBuf = folder.path().join("backstop.db");
        let pools = open::open(&path).await.expect("opens");
        migrate::migrate(&pools, &path).await.expect("migrates");
        let desk = Self { pools, _folder: folder };
        desk.sql(
            "INSERT INTO assets (name, medium, chain, max_runs, give_up_after, on_exhausted, updated_at)
             VALUES ('hero-image', 'image', '[\"lummi\",\"manual\"]', 3, 3600, 'manual', '2026'),
                    ('social-text', 'text', '[\"manual\"]', 3, 3600, 'manual', '2026')",
        )
        .await;
        desk.sql("INSERT INTO asset_aliases (alias, asset) VALUES ('heroImage', 'hero-image')").await;
        desk.sql(
            "INSERT INTO providers (name, title, protocol, medium, supported, updated_at)
             VALUES ('lummi', 'Lummi', 'lummi', 'image', 1, '2026')",
        )
        .await;
        desk
    }

    async fn sql(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pools.writer).await.expect(sql);
    }

    async fn scalar(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(&self.pools.readers).await.expect(sql)
    }

    async fn add(&self, asset: &str, slug: &str) -> JobId {
        let job = NewJob { asset: asset.to_owned(), slug: slug.to_owned(), ..NewJob::default() };
        enqueue(&self.pools.writer, &job).await.expect("enqueues")
    }

    /// What the daemon does to a job that nobody could make.
    async fn exhaust(&self, job: JobId) {
        for sql in [
            "UPDATE jobs SET status = 'running', lease_token = '0123456789abcdef', lease_until = '2026',
                 started_at = '2026-11-22T13:49:00.000Z' WHERE id = $1",
            "INSERT INTO runs (job_id, number, chain, started_at) VALUES ($1, 1, '[\"lummi\"]', '2026')",
            "INSERT INTO attempts (run_id, job_id, position, provider, status, class, error, started_at)
                 SELECT id, job_id, 0, 'lummi', 'failed', 'transient', 'HTTP 503', '2026' FROM runs
                 WHERE job_id = $1",
            "UPDATE jobs SET status = 'manual', lease_token = NULL, lease_until = NULL, runs = 1,
                 error = 'lummi: HTTP 503', finished_at = '2026-11-22T13:50:00.000Z' WHERE id = $1",
        ] {
            sqlx::query(sql).bind(job.0).execute(&self.pools.writer).await.expect(sql);
        }
    }

    async fn read(&self, job: JobId) -> JobRow {
        story(&self.pools.readers, job).await.expect("reads").expect("is there").job
    }
}

fn now() -> Timestamp {
    from_text("2026-11-22T13:51:00.000Z").expect("valid")
}

fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result.expect_err("must be refused") {
        StoreError::Refused { sentence } => sentence,
        other @ (StoreError::Busy(_)
        | StoreError::NoSuchJob { .. }
        | StoreError::Full
        | StoreError::Disk(_)
        | StoreError::Moved { .. }
        | StoreError::Corrupt(_)
        | StoreError::Schema { .. }
        | StoreError::File { .. }
        | StoreError::Other(_)) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_job_is_added_with_its_defaults_and_refused_with_a_sentence() {
    let desk = Desk::new().await;
    let id = desk.add("heroImage", "my-article").await;
    let job = desk.read(id).await;
    assert_eq!((job.asset.as_str(), job.priority, job.status.as_str()), ("hero-image", 5, "pending"));
    assert_eq!(job.input, Some(json!({})));

    let writer = &desk.pools.writer;
    let with = |change: fn(&mut NewJob)| {
        let mut job = NewJob { asset: "hero-image".into(), slug: "a".into(), ..NewJob::default() };
        job.dedupe_key = Some("k".to_owned());
        change(&mut job);
        job
    };
    let all = with(|job| {
        job.input = Some(json!({"title": "T"}));
        job.priority = Some(9);
        job.run_at = Some("2027-01-01".to_owned());
        job.provider_override = Some("lummi".to_owned());
        job.max_runs = Some(1);
    });
    let id = enqueue(writer, &all).await.expect("enqueues");
    let job = desk.read(id).await;
    assert_eq!(job.run_at, "2027-01-01T00:00:00.000Z");
    assert_eq!((job.priority, job.max_runs, job.input), (9, Some(1), all.input));
    let again = refusal(enqueue(writer, &with(|job| job.asset = "heroImage".to_owned())).await);
    assert_eq!(
        again,
        format!("job {id} of hero-image has dedupe key \"k\" already; cancel it, or use another key")
    );
    let unknown = refusal(enqueue(writer, &with(|job| job.asset = "hero-imge".to_owned())).await);
    assert_eq!(unknown, "unknown asset; SELECT name FROM assets");
}

#[tokio::test]
async fn jobs_are_listed_by_what_is_asked_for_and_by_page() {
    let desk = Desk::new().await;
    for slug in ["a", "b", "c", "a"] {
        desk.add("hero-image", slug).await;
    }
    let text = desk.add("social-text", "a").await;
    cancel(&desk.pools.writer, text).await.expect("cancels");
    let ids = async |filter: JobFilter| -> Vec<i64> {
        let rows = jobs(&desk.pools.readers, &filter).await.expect("lists");
        rows.into_iter().map(|row| row.id).collect()
    };
    let all = || JobFilter { limit: 10, ..JobFilter::default() };
    assert_eq!(ids(all()).await, [5, 4, 3, 2, 1]);
    assert_eq!(ids(JobFilter { limit: 2, before: Some(JobId(4)), ..all() }).await, [3, 2]);
    assert_eq!(ids(JobFilter { slug: Some("a".to_owned()), ..all() }).await, [5, 4, 1]);
    assert_eq!(ids(JobFilter { asset: AssetName::parse("heroImage").ok(), ..all() }).await, [4, 3, 2, 1]);
    assert_eq!(ids(JobFilter { status: Some(JobStatus::Cancelled), ..all() }).await, [5]);
    let found = counts(&desk.pools.readers, from_text("2999-01-01T00:00:00.000Z").expect("valid"))
        .await
        .expect("counts");
    let found: Vec<_> =
        found.iter().map(|row| (row.asset.as_str(), row.status.as_str(), row.count, row.due)).collect();
    assert_eq!(found, [("hero-image", "pending", 4, 4), ("social-text", "cancelled", 1, 0)]);
}

#[tokio::test]
async fn a_story_and_the_manual_queue_tell_what_happened() {
    let desk = Desk::new().await;
    let id = desk.add("hero-image", "a").await;
    desk.exhaust(id).await;
    let story = story(&desk.pools.readers, id).await.expect("reads").expect("is there");
    assert_eq!(story.job.status, "manual");
    assert_eq!(story.history.len(), 1);
    assert_eq!(story.history[0].attempts[0].error.as_deref(), Some("HTTP 503"));
    let queue = manual_queue(&desk.pools.readers, 10).await.expect("lists");
    assert_eq!(queue.len(), 1);
    assert_eq!(queue[0].reasons.as_deref(), Some("lummi: HTTP 503"));
    assert_eq!(queue[0].waiting_since.as_deref(), Some("2026-11-22T13:50:00.000Z"));
}

#[tokio::test]
async fn a_settled_job_goes_round_again_once() {
    let desk = Desk::new().await;
    let id = desk.add("hero-image", "a").await;
    let writer = &desk.pools.writer;
    assert!(refusal(retry(writer, id, None).await).contains("pending already"));
    desk.exhaust(id).await;
    let hero = AssetName::parse("hero-image").expect("valid");
    let since = |text| from_text(text).expect("valid");
    let found = undelivered(&desk.pools.readers, &hero, since("2026-11-22T13:50:00.000Z")).await;
    assert_eq!(found.expect("lists"), [id]);
    let found = undelivered(&desk.pools.readers, &hero, since("2026-11-22T13:50:00.001Z")).await;
    assert!(found.expect("lists").is_empty());
    assert_eq!(
        refusal(retry(writer, id, Some("lumi")).await),
        "unknown provider_override; SELECT name FROM providers"
    );
    assert_eq!(desk.read(id).await.status, "manual", "a refused retry changes nothing");
    retry(writer, id, Some("lummi")).await.expect("retries");
    let job = desk.read(id).await;
    assert_eq!((job.status.as_str(), job.provider_override.as_deref()), ("pending", Some("lummi")));
    assert_eq!((job.runs, job.error), (0, None));
    let missing = retry(writer, JobId(99), None).await.expect_err("is not there");
    assert_eq!(missing.to_string(), "no job 99; backstop jobs lists them");
}

#[tokio::test]
async fn a_person_provides_words_an_address_or_a_file_of_the_vault() {
    let desk = Desk::new().await;
    let writer = &desk.pools.writer;
    let nothing = Provided { url: None, text: None, content_type: None, metadata: None };
    let words = Provided { text: Some("Hello".to_owned()), ..nothing.clone() };
    let address = Provided { url: Some("https://example.org/a.png".to_owned()), ..nothing.clone() };
    let file = Provided {
        url: Some("file:///vault/a.png".to_owned()),
        content_type: Some("image/png".to_owned()),
        metadata: Some(json!({"width": 9})),
        ..nothing
    };
    let text = desk.add("social-text", "a").await;
    provide(writer, text, &words, now()).await.expect("provides");
    assert_eq!(desk.read(text).await.fallback_used, Some(false), "a person is this chain's first link");
    for (job, provided, exhausted) in [("a", &address, true), ("b", &file, true), ("c", &file, false)] {
        let id = desk.add("hero-image", job).await;
        if exhausted {
            desk.exhaust(id).await;
        }
        provide(writer, id, provided, now()).await.expect("provides");
        let job = desk.read(id).await;
        assert_eq!(job.url, provided.url);
        assert_eq!((job.status.as_str(), job.provider.as_deref()), ("done", Some("manual")));
        assert_eq!((job.fallback_used, job.error), (Some(true), None));
        assert_eq!(job.message.as_deref(), Some("Hero image ready"));
        assert_eq!(
            (job.content_type, job.metadata),
            (provided.content_type.clone(), provided.metadata.clone())
        );
        assert!(job.finished_at.is_some());
        let notices = unsent(&desk.pools.readers, 0, 10).await.expect("lists");
        let notice = notices.last().expect("a notice");
        assert_eq!((notice.job.as_ref().map(|job| job.id), notice.kind), (Some(id.0), NoticeKind::Done));
        assert!(refusal(provide(writer, id, &address, now()).await).contains("is done"));
        let source = "SELECT last_resolved_source FROM asset_health WHERE asset = 'hero-image'";
        assert_eq!(desk.scalar(source).await, "manual");
        desk.sql("DELETE FROM asset_health").await;
    }
    assert_eq!(desk.scalar("SELECT CAST(count(lease_token) AS TEXT) FROM jobs").await, "0");
    let notices = unsent(&desk.pools.readers, 0, 10).await.expect("lists");
    assert_eq!(notices.len(), 4);
    let now = from_text("2026-11-22T13:50:00.000Z").expect("valid");
    sent(writer, notices[0].id, now).await.expect("marks");
    let rest = unsent(&desk.pools.readers, 0, 10).await.expect("lists");
    assert_eq!(rest, notices[1..]);
}

#[tokio::test]
async fn a_file_is_refused_from_a_plain_update_and_a_running_job_is_left_alone() {
    let desk = Desk::new().await;
    let id = desk.add("hero-image", "a").await;
    let file = "UPDATE jobs SET status = 'done', url = 'file:///etc/passwd'";
    assert!(sqlx::query(file).execute(&desk.pools.writer).await.is_err());
    desk.sql("UPDATE jobs SET status = 'running', lease_token = '0123456789abcdef', lease_until = '2026'")
        .await;
    let provided = Provided {
        url: Some("https://example.org/a.png".to_owned()),
        text: None,
        content_type: None,
        metadata: None,
    };
    assert!(refusal(provide(&desk.pools.writer, id, &provided, now()).await).contains("is running"));
    cancel(&desk.pools.writer, id).await.expect("cancels");
    cancel(&desk.pools.writer, id).await.expect("and a second time");
    assert_eq!(desk.read(id).await.status, "cancelled");
}

#[tokio::test]
async fn a_pause_and_a_reset_change_what_they_say_and_nothing_else() {
    let desk = Desk::new().await;
    let writer = &desk.pools.writer;
    desk.sql(
        "INSERT INTO provider_health (provider, state, consecutive_failures, last_error, open_until)
         VALUES ('lummi', 'open', 3, 'HTTP 503', '2026-11-22T13:50:00.000Z')",
    )
    .await;
    let lummi = ProviderName::parse("lummi").expect("valid");
    let now = from_text("2026-11-22T13:49:00.000Z").expect("valid");
    let one = async || provider_health(&desk.pools.readers).await.expect("lists").remove(0);
    let before = one().await;
    pause(writer, &lummi, Some(now), now).await.expect("pauses");
    assert_eq!(one().await, ProviderHealth { paused_until: Some(now), ..before.clone() });
    pause(writer, &lummi, None, now).await.expect("resumes");
    assert_eq!(one().await, before);
    reset(writer, &lummi, now).await.expect("resets");
    let after = one().await;
    assert_eq!((after.state.as_str(), after.consecutive_failures, after.open_until), ("closed", 0, None));
    assert_eq!(after.last_error.as_deref(), Some("HTTP 503"));
    let nobody = ProviderName::parse("nobody").expect("valid");
    assert!(refusal(pause(writer, &nobody, Some(now), now).await).contains("unknown provider"));
}

#[tokio::test]
async fn a_row_that_makes_no_sense_spoils_itself_only() {
    let desk = Desk::new().await;
    desk.sql(
        "INSERT INTO asset_health (asset, last_success_at) VALUES ('!', NULL), ('b', 'soon'), ('c', NULL)",
    )
    .await;
    let names: Vec<String> = asset_health(&desk.pools.readers)
        .await
        .expect("lists")
        .into_iter()
        .map(|health| health.asset.to_string())
        .collect();
    assert_eq!(names, ["b", "c"], "a time that is none is forgotten, a name that is none is left out");

    // What waits for a person is never left out, whatever its row holds.
    let job = desk.add("hero-image", "odd").await;
    desk.exhaust(job).await;
    desk.sql(
        "UPDATE jobs SET input = '{\"a\": 1e999}', prompt = CAST(x'41ff' AS TEXT), error = CAST(x'ff' AS TEXT)",
    )
    .await;
    let queue = manual_queue(&desk.pools.readers, 10).await.expect("lists");
    assert_eq!(queue[0].input, Some(json!("{\"a\": 1e999}")));
    assert_eq!(queue[0].prompt.as_deref(), Some("A\u{fffd}"));
    assert_eq!(desk.read(job).await.error.as_deref(), Some("\u{fffd}"));
}

#[tokio::test]
async fn a_tick_enqueues_its_job_once() {
    let desk = Desk::new().await;
    let writer = &desk.pools.writer;
    let now = from_text("2026-11-22T13:49:00.000Z").expect("valid");
    let job = NewJob {
        asset: "hero-image".into(),
        slug: "weekly".into(),
        dedupe_key: Some("w".into()),
        ..NewJob::default()
    };
    let at = |second: u64, job: Option<&NewJob>| NewTick {
        schedule: "monday".to_owned(),
        tick: after(now, Duration::from_secs(second)),
        job: job.cloned(),
        now,
    };
    assert_eq!(
        last_tick(&desk.pools.readers, "monday", after(now, Duration::from_secs(60))).await.expect("reads"),
        None
    );
    assert!(tick(writer, &at(0, Some(&job))).await.expect("ticks"));
    assert!(!tick(writer, &at(0, Some(&job))).await.expect("ticks"), "a second daemon changes nothing");
    assert!(tick(writer, &at(1, Some(&job))).await.expect("ticks"), "its job lives: the tick is done");
    assert!(tick(writer, &at(2, None)).await.expect("ticks"));
    let latest =
        last_tick(&desk.pools.readers, "monday", after(now, Duration::from_secs(60))).await.expect("reads");
    assert_eq!(latest, Some(after(now, Duration::from_secs(2))));
    let filter = JobFilter { limit: 10, ..JobFilter::default() };
    assert_eq!(jobs(&desk.pools.readers, &filter).await.expect("lists").len(), 1);
    let bad = NewJob { asset: "hero-imge".into(), ..job };
    assert!(refusal(tick(writer, &at(3, Some(&bad))).await).contains("unknown asset"));
    let latest =
        last_tick(&desk.pools.readers, "monday", after(now, Duration::from_secs(60))).await.expect("reads");
    assert_eq!(latest, Some(after(now, Duration::from_secs(2))), "its tick was not written");

    // A tick that never was or is yet to come does not keep the next ones from coming.
    desk.sql(
        "INSERT INTO recurring_ticks (schedule, tick, created_at) VALUES ('monday', '2025-99-99T00:00:00.000Z', ''),
             ('monday', '20', ''), ('monday', CAST(x'30ff' AS TEXT), ''), ('monday', '9999-01-01T00:00:00.000Z', '')",
    )
    .await;
    let again = last_tick(&desk.pools.readers, "monday", after(now, Duration::from_secs(60))).await;
    assert_eq!(again.expect("reads"), latest);
}
