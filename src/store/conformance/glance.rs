//! What the page asks: what is open, how days went, who was called, and where a slug is.

use super::scene::{Scene, Subject, asset, at, done, needs_person, verdict};
use crate::domain::failure::FailureClass;
use crate::domain::job::{JobId, JobStatus};
use crate::domain::plan::tests::name;
use crate::store::{Ending, Entry, Found, JobFilter, JobSearch, Provided};

pub(in crate::store) async fn days_remember_how_walks_ended(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["a", "b", "c", "d", "e"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    scene.finish(&claims[0], done("https://example.org/a.png"), 2).await;
    scene.finish(&claims[1], needs_person(), 3).await;
    scene.finish(&claims[2], needs_person(), 4).await;
    // The next day.
    let mut fallback = done("https://example.org/d.png");
    if let Ending::Done { fallback_used, .. } = &mut fallback {
        *fallback_used = true;
    }
    scene.finish(&claims[3], fallback, 86_400).await;
    let store = scene.store();
    let told = async |since| {
        let outcomes = store.outcomes(at(since)).await.expect("reads");
        let said = outcomes.iter().map(|o| format!("{} {} {} {}", o.day, o.asset, o.outcome, o.count));
        said.collect::<Vec<_>>()
    };
    let second_day = "2100-01-02 social-text fallback 1";
    let days = ["2100-01-01 social-text manual 2", "2100-01-01 social-text primary 1", second_day];
    assert_eq!(told(0).await, days);
    assert_eq!(told(86_399).await, days, "the whole day counts");
    assert_eq!(told(86_400).await, [second_day]);
    // What a person does afterwards, or says, rewrites nothing.
    let text = Provided { url: None, text: Some("by hand".to_owned()), content_type: None, metadata: None };
    store.provide(claims[1].job.id, &text, at(90_000)).await.expect("provided");
    let file = Provided { url: Some("file:///vault/a.txt".to_owned()), text: None, ..text };
    store.provide(claims[2].job.id, &file, at(90_000)).await.expect("provided");
    store.cancel(claims[4].job.id).await.expect("cancelled");
    store.retry(claims[0].job.id, None).await.expect("sent round");
    assert_eq!(told(0).await, days);
    store.prune(at(86_400 * 401), 10).await.expect("pruned");
    assert_eq!(told(0).await, [second_day]);
}

pub(in crate::store) async fn the_backlog_is_what_is_not_settled(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["a", "b", "c"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    scene.finish(&claims[0], done("https://example.org/a.png"), 2).await;
    scene.finish(&claims[1], needs_person(), 3).await;
    let due = scene.job("due").await;
    let later = scene.job("later").await;
    scene.subject.puts_off(due, at(9)).await.expect("put off");
    scene.subject.puts_off(later, at(10)).await.expect("put off");
    let counts = scene.store().backlog(at(9)).await.expect("reads");
    let counts: Vec<_> =
        counts.iter().map(|row| (row.asset.as_str(), row.status.as_str(), row.count, row.due)).collect();
    let text = "social-text";
    assert_eq!(counts, [(text, "manual", 1, 0), (text, "pending", 2, 1), (text, "running", 1, 0)]);
}

pub(in crate::store) async fn calls_are_listed_newest_first(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let failed =
        |second| Entry::Settle(Box::new(verdict(&claim, None, Some(FailureClass::Transient), second)));
    scene.write(&[failed(1)], 1).await;
    scene.write(&[failed(2)], 2).await;
    let calls = scene.store().calls(&name("house"), 10).await.expect("reads");
    let told: Vec<_> = calls.iter().map(|call| (call.job, call.attempt.error.as_deref())).collect();
    assert_eq!(told, [(JobId(1), Some("transient at 2")), (JobId(1), Some("transient at 1"))]);
    assert_eq!(scene.store().calls(&name("house"), 1).await.expect("reads").len(), 1);
    assert_eq!(scene.store().calls(&name("second"), 10).await.expect("reads"), []);
}

pub(in crate::store) async fn slugs_are_searched_by_their_beginning(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["bees", "bee", "ants", "beer", "bee", "bé", "zebra"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    let beer = claims.iter().find(|claim| claim.job.slug == "beer").expect("claimed");
    scene.finish(beer, needs_person(), 2).await;
    let search = async |search: JobSearch| scene.store().search(&search).await.expect("reads");
    let ids = |found: &Found| found.jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    let bee = |limit| JobSearch { begins: "bee".to_owned(), limit, ..JobSearch::default() };
    let all = search(bee(10)).await;
    assert_eq!((ids(&all), &all.next), (vec![2, 5, 4, 1], &None));
    let first = search(bee(3)).await;
    assert_eq!((ids(&first), &first.next), (vec![2, 5, 4], &Some(("beer".to_owned(), JobId(4)))));
    let rest = search(JobSearch { after: first.next, ..bee(3) }).await;
    assert_eq!((ids(&rest), rest.next), (vec![1], None));
    let manual = search(JobSearch { status: Some(JobStatus::Manual), ..bee(10) }).await;
    assert_eq!(ids(&manual), [4]);
    assert_eq!(ids(&search(JobSearch { asset: Some(asset("hero-image")), ..bee(10) }).await), [0_i64; 0]);
    assert_eq!(ids(&search(JobSearch { limit: 10, ..JobSearch::default() }).await), [3, 2, 5, 4, 1, 6, 7]);
    assert_eq!(
        ids(&search(JobSearch { begins: "b%".to_owned(), limit: 9, ..JobSearch::default() }).await),
        [0_i64; 0]
    );
}

pub(in crate::store) async fn listings_filter_and_go_on(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["a", "b", "c", "d"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    for claim in [&claims[1], &claims[3]] {
        scene.finish(claim, needs_person(), 2).await;
    }
    let listed = async |filter: JobFilter| {
        let jobs = scene.store().jobs(&filter).await.expect("reads");
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    let text = JobFilter { asset: Some(asset("social-text")), limit: 3, ..JobFilter::default() };
    assert_eq!(listed(text.clone()).await, [4, 3, 2]);
    assert_eq!(listed(JobFilter { before: Some(JobId(2)), ..text.clone() }).await, [1]);
    let manual = JobFilter { status: Some(JobStatus::Manual), ..text.clone() };
    assert_eq!(listed(manual.clone()).await, [4, 2]);
    assert_eq!(listed(JobFilter { asset: None, limit: 1, ..manual.clone() }).await, [4]);
    assert_eq!(listed(JobFilter { asset: None, before: Some(JobId(4)), ..manual }).await, [2]);
}
