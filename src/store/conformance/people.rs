//! What people write and read.

use super::scene::{Scene, Subject, Table, asset, at, done, needs_person, wish};
use crate::domain::job::{JobId, JobStatus};
use crate::domain::time::to_text;
use crate::store::{Asked, Ending, JobFilter, NewJob, Once, Provided, Recorded, StoreError};

/// The sentence of a refusal.
fn refusal<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    match result {
        Err(StoreError::Refused { sentence }) => sentence,
        other => panic!("not refused: {other:?}"),
    }
}

pub(in crate::store) async fn a_cancellation_ends_the_run_and_the_lease(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    scene.subject.cancels(job).await.expect("cancelled");
    let columns = ["status", "lease_token", "lease_owner", "message", "provider_override"];
    scene.finds(Table::Jobs, &columns, &["cancelled|||Social text cancelled|"]).await;
    scene.finds(Table::Runs, &["outcome"], &["cancelled"]).await;
    assert_eq!(scene.finish(&claim, done("https://example.org/late.png"), 2).await, Recorded::LeaseGone);
    scene.finds(Table::Jobs, &["status", "url"], &["cancelled|"]).await;
    scene.store().cancel(job).await.expect("once more is no mistake");
}

pub(in crate::store) async fn a_retry_begins_a_new_life(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    scene.finish(&claim, done("https://example.org/a.png"), 2).await;
    scene.store().retry(job, Some("second")).await.expect("retried");
    let columns =
        ["status", "runs", "url", "provider", "message", "provider_override", "started_at", "finished_at"];
    scene.finds(Table::Jobs, &columns, &["pending|0|https://example.org/a.png|house||second||"]).await;
    let again = scene.claim_one("w", 5).await;
    assert_eq!((again.run.number, &again.run.links[..]), (2, &["second".to_owned()][..]));
    assert_eq!(again.job.first_claimed_at, at(5));
    scene.finish(&again, needs_person(), 6).await;
    scene
        .finds(Table::Jobs, &["status", "url", "provider_override"], &["manual|https://example.org/a.png|"])
        .await;
    scene.subject.sends_round_again(job).await.expect("sent round again");
    assert_eq!(scene.claim_one("w", 7).await.run.links, ["house", "second"]);
}

pub(in crate::store) async fn a_person_provides_the_asset(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = scene.job("a").await;
    // Handed back open: nobody takes that run up any more.
    let claim = scene.claim_one("w", 1).await;
    scene.finish(&claim, Ending::HandBack { run_at: at(5), keep_open: true }, 2).await;
    scene.subject.provides(job, "Words of a person.").await.expect("provided");
    let columns = ["status", "text", "url", "content_type", "provider", "fallback_used", "message", "error"];
    let row = "done|Words of a person.||text/plain|manual|1|Social text ready|";
    scene.finds(Table::Jobs, &columns, &[row]).await;
    scene.finds(Table::Runs, &["outcome"], &["released"]).await;
    scene.finds(Table::AssetHealth, &["last_resolved_source", "last_fallback_used"], &["manual|1"]).await;
    scene.finds(Table::Notices, &["kind"], &["done"]).await;
}

pub(in crate::store) async fn a_file_of_the_vault_ends_an_open_run_too(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    scene.finish(&claim, Ending::HandBack { run_at: at(5), keep_open: true }, 2).await;
    let provided = Provided {
        url: Some("file:///vault/a.png".to_owned()),
        text: None,
        content_type: Some("image/png".to_owned()),
        metadata: None,
    };
    scene.store().provide(job, &provided, at(3)).await.expect("provided");
    let row = format!("done|file:///vault/a.png|manual|image/png|{}||", to_text(at(3)));
    let columns = ["status", "url", "provider", "content_type", "finished_at", "lease_token", "lease_until"];
    scene.finds(Table::Jobs, &columns, &[&row]).await;
    scene.finds(Table::Runs, &["outcome"], &["released"]).await;
    scene.finds(Table::Notices, &["kind"], &["done"]).await;
    scene.store().retry(job, None).await.expect("retried");
    assert_eq!(scene.claim_one("w", 10).await.run.number, 2, "a new life is a new run");
}

pub(in crate::store) async fn what_the_contract_refuses(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let store = scene.store();
    let add = |job: NewJob| async move { refusal(store.enqueue(&job).await) };
    assert!(add(wish("nobody", "a")).await.starts_with("unknown asset"));
    let overridden =
        |label: &str| NewJob { provider_override: Some(label.to_owned()), ..wish("social-text", "a") };
    assert!(add(overridden("nobody")).await.starts_with("unknown provider_override"));
    assert!(
        add(overridden("lummi")).await.starts_with("provider_override names a provider of another medium")
    );

    let job = scene.job("a").await;
    let nobody = JobId(77);
    assert!(matches!(store.retry(nobody, None).await, Err(StoreError::NoSuchJob { job }) if job == nobody));
    assert!(matches!(store.cancel(nobody).await, Err(StoreError::NoSuchJob { .. })));
    assert_eq!(refusal(store.retry(job, None).await), "job 1 is pending already; it needs no retry");
    let claim = scene.claim_one("w", 1).await;
    let running = "this job is running; until it ends it can only be cancelled";
    assert_eq!(refusal(store.retry(job, None).await), running);
    assert_eq!(refusal(scene.subject.provides(job, "words").await), running);
    scene.finish(&claim, done("https://example.org/a.png"), 2).await;
    assert_eq!(refusal(store.cancel(job).await), "job 1 is done; there is nothing to cancel");
    let done = "this job is done; set it to pending to do it again";
    assert_eq!(refusal(scene.subject.cancels(job).await), done);
    let unknown = refusal(store.retry(job, Some("nobody")).await);
    assert!(unknown.starts_with("unknown provider_override"), "{unknown}");
    scene.finds(Table::Jobs, &["status", "runs"], &["done|1"]).await;
}

pub(in crate::store) async fn a_dedupe_key_lives_as_long_as_its_job(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let keyed = |asset: &str| NewJob {
        dedupe_key: Some("k".to_owned()),
        run_at: Some(to_text(at(0))),
        ..wish(asset, "a")
    };
    let first = scene.add(&keyed("social-text")).await;
    scene.add(&keyed("hero-image")).await;
    let taken = "job 1 of social-text has dedupe key \"k\" already; cancel it, or use another key";
    assert_eq!(refusal(scene.store().enqueue(&keyed("socialText")).await), taken);
    scene.store().cancel(first).await.expect("cancelled");
    let second = scene.add(&keyed("social-text")).await;
    let revived = refusal(scene.store().retry(first, None).await);
    assert!(revived.starts_with("another job of this asset has this dedupe_key"), "{revived}");
    scene.store().cancel(second).await.expect("cancelled");
    scene.store().retry(first, None).await.expect("retried");
}

pub(in crate::store) async fn a_request_with_a_key_adds_one_job(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let ask = async |key: &str, digest: &str, job: NewJob| {
        let once = Once { key: key.to_owned(), digest: digest.to_owned() };
        scene.store().enqueue_once(&job, &once, at(0)).await
    };
    let job = || wish("social-text", "a");
    assert_eq!(ask("k", "one", job()).await.expect("asked"), Asked::Now(JobId(1)));
    assert_eq!(ask("k", "one", job()).await.expect("asked"), Asked::Before(JobId(1)));
    assert_eq!(ask("k", "two", job()).await.expect("asked"), Asked::ForSomethingElse(JobId(1)));
    assert!(ask("l", "one", wish("nobody", "a")).await.is_err());
    assert_eq!(
        ask("l", "one", job()).await.expect("asked"),
        Asked::Now(JobId(2)),
        "a refused one has no key"
    );
    // It is the request that is remembered, whatever became of its job.
    scene.store().cancel(JobId(1)).await.expect("cancelled");
    assert_eq!(ask("k", "one", job()).await.expect("asked"), Asked::Before(JobId(1)));
    scene.subject.deletes(JobId(1)).await.expect("deleted");
    assert_eq!(ask("k", "two", job()).await.expect("asked"), Asked::Now(JobId(3)));
    let found = scene.store().job(JobId(3)).await.expect("read").expect("there");
    assert_eq!((found.slug.as_str(), found.status.as_str()), ("a", "pending"));
    assert!(scene.store().job(JobId(9)).await.expect("read").is_none());
}

pub(in crate::store) async fn a_running_job_is_not_deleted_and_a_deleted_one_is_gone(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    scene.begin(&claim, 1).await;
    let running = refusal(scene.subject.deletes(job).await);
    assert_eq!(running, "this job is running; cancel it first, then delete it");
    scene.subject.cancels(job).await.expect("cancelled");
    scene.subject.deletes(job).await.expect("deleted");
    for table in [Table::Jobs, Table::Runs, Table::Attempts] {
        assert_eq!(scene.subject.rows(table).await.len(), 0);
    }
    assert_eq!(scene.job("b").await, JobId(2), "a number is never given twice");
}

pub(in crate::store) async fn a_job_may_be_put_off(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = scene.job("a").await;
    scene.subject.puts_off(job, at(50)).await.expect("put off");
    assert_eq!(scene.claim("w", 49).await, []);
    assert_eq!(scene.claim("w", 50).await.len(), 1);
}

pub(in crate::store) async fn what_people_read(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["a", "b", "c"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    scene.finish(&claims[0], done("https://example.org/a.png"), 2).await;
    scene.finish(&claims[1], needs_person(), 3).await;
    let store = scene.store();
    let listed = async |filter: JobFilter| {
        let jobs = store.jobs(&JobFilter { limit: 10, ..filter }).await.expect("reads");
        jobs.into_iter().map(|job| job.slug).collect::<Vec<_>>()
    };
    assert_eq!(listed(JobFilter::default()).await, ["c", "b", "a"]);
    assert_eq!(listed(JobFilter { status: Some(JobStatus::Manual), ..JobFilter::default() }).await, ["b"]);
    assert_eq!(listed(JobFilter { before: Some(JobId(3)), ..JobFilter::default() }).await, ["b", "a"]);
    assert_eq!(listed(JobFilter { slug: Some("c".to_owned()), ..JobFilter::default() }).await, ["c"]);
    assert_eq!(listed(JobFilter { asset: Some(asset("hero-image")), ..JobFilter::default() }).await, [""; 0]);
    let story = store.story(JobId(1)).await.expect("reads").expect("there");
    assert_eq!((story.job.status.as_str(), story.history.len()), ("done", 1));
    assert_eq!(story.history[0].outcome.as_deref(), Some("delivered"));
    let waiting = store.manual_queue(10).await.expect("reads");
    assert_eq!((waiting.len(), waiting[0].reasons.as_deref()), (1, Some("nobody could at 3")));
    let undelivered = |since| store.undelivered(&claims[1].job.asset, at(since));
    assert_eq!(undelivered(3).await.expect("reads"), [JobId(2)]);
    assert_eq!(undelivered(4).await.expect("reads"), []);
    let counts = store.counts(at(9)).await.expect("reads");
    let counts: Vec<_> = counts.iter().map(|row| (row.status.as_str(), row.count, row.due)).collect();
    assert_eq!(counts, [("done", 1, 0), ("manual", 1, 0), ("running", 1, 0)]);
}
