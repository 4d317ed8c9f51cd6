//! What is kept besides jobs: ticks, notices, probes, pauses; and what is thrown away.

use super::scene::{Scene, Subject, Table, asset, at, done, intent, needs_person, verdict, wish};
use crate::domain::breaker::{BreakerState, HealthEvent, Probe};
use crate::domain::failure::FailureClass;
use crate::domain::job::JobId;
use crate::domain::plan::tests::name;
use crate::domain::time::to_text;
use crate::store::{Entry, NewJob, NewTick, Pulse};

fn tick(second: u64, job: Option<NewJob>) -> NewTick {
    NewTick { schedule: "monday".to_owned(), tick: at(second), job, now: at(second) }
}

pub(in crate::store) async fn a_tick_enqueues_once(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let store = scene.store();
    assert_eq!(store.last_tick("monday", at(99)).await.expect("reads"), None);
    let first = tick(10, Some(wish("social-text", "weekly")));
    assert!(store.tick(&first).await.expect("written"));
    assert!(!store.tick(&first).await.expect("written"));
    assert!(store.tick(&tick(20, None)).await.expect("written"), "one that is skipped is written too");
    scene.finds(Table::Jobs, &["slug"], &["weekly"]).await;
    scene.finds(Table::Ticks, &["schedule", "job_id"], &["monday|1", "monday|"]).await;
    assert_eq!(store.last_tick("monday", at(99)).await.expect("reads"), Some(at(20)));
    assert_eq!(store.last_tick("monday", at(19)).await.expect("reads"), Some(at(10)), "not what is to come");
    assert_eq!(store.last_tick("tuesday", at(99)).await.expect("reads"), None);
    let refused = store.tick(&tick(30, Some(wish("nobody", "a")))).await;
    assert!(refused.is_err());
    assert_eq!(store.last_tick("monday", at(99)).await.expect("reads"), Some(at(20)));
}

pub(in crate::store) async fn a_tick_whose_job_collides_counts_as_done(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = NewJob { dedupe_key: Some("k".to_owned()), ..wish("social-text", "weekly") };
    scene.add(&job).await;
    assert!(scene.store().tick(&tick(10, Some(job))).await.expect("written"));
    scene.finds(Table::Jobs, &["id"], &["1"]).await;
    scene.finds(Table::Ticks, &["job_id"], &[""]).await;
}

pub(in crate::store) async fn a_notice_is_told_once(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["a", "b", "c"] {
        scene.job(slug).await;
    }
    for claim in scene.claim("w", 1).await {
        scene.finish(&claim, needs_person(), 2).await;
    }
    let store = scene.store();
    let unsent = async |after, limit| {
        let notices = store.unsent_notices(after, limit).await.expect("reads");
        notices.iter().map(|notice| (notice.id, notice.job.slug.clone())).collect::<Vec<_>>()
    };
    let of = |id: i64, slug: &str| (id, slug.to_owned());
    assert_eq!(unsent(0, 2).await, [of(1, "a"), of(2, "b")]);
    store.notice_sent(1, at(3)).await.expect("written");
    assert_eq!(unsent(0, 9).await, [of(2, "b"), of(3, "c")]);
    assert_eq!(unsent(2, 9).await, [of(3, "c")]);
    scene.subject.deletes(JobId(2)).await.expect("deleted");
    assert_eq!(unsent(0, 9).await, [of(3, "c")], "one whose job is gone has nothing to tell");
}

pub(in crate::store) async fn old_rows_go_and_what_waits_stays(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["done", "manual", "young", "running", "pending"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    scene.finish(&claims[0], done("https://example.org/a.png"), 10).await;
    scene.finish(&claims[1], needs_person(), 10).await;
    scene.finish(&claims[2], done("https://example.org/c.png"), 20).await;
    scene.subject.cancels(claims[4].job.id).await.expect("cancelled");
    let store = scene.store();
    for second in [5, 15] {
        store.tick(&tick(second, None)).await.expect("written");
    }
    let nothing = store.prune(at(0), 0).await.expect("pruned");
    assert_eq!(nothing, 0, "the limit holds");
    assert_eq!(store.prune(at(20), 10).await.expect("pruned"), 2);
    scene.finds(Table::Jobs, &["slug"], &["manual", "young", "running"]).await;
    scene.finds(Table::Runs, &["job_id"], &["2", "3", "4"]).await;
    scene.finds(Table::Ticks, &["tick"], &[&to_text(at(15))]).await;
    scene.finds(Table::Notices, &["job_id"], &["2"]).await;
    store.notice_sent(1, at(12)).await.expect("written");
    store.prune(at(20), 10).await.expect("pruned");
    scene.finds(Table::Notices, &["job_id"], &[]).await;
    store.tend().await.expect("tended");
}

pub(in crate::store) async fn the_probe_is_leased_to_one_job(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let failed =
        |second| Entry::Settle(Box::new(verdict(&claim, None, Some(FailureClass::Transient), second)));
    scene.write(&[failed(1), failed(1), failed(1)], 1).await;
    let take = async |job, second, until| {
        let probe = Probe { job: JobId(job), until: at(until) };
        let store = scene.store();
        store.take_probe(&name("house"), probe, "f1", at(second)).await.expect("taken").probe
    };
    assert_eq!(take(1, 60, 90).await, None, "the breaker is open until 61");
    let first = Some(Probe { job: JobId(1), until: at(91) });
    assert_eq!(take(1, 61, 91).await, first);
    assert_eq!(take(2, 62, 99).await, first, "another job does not get it");
    scene.finds(Table::ProviderHealth, &["state", "probe_job"], &["half-open|1"]).await;
    assert_eq!(take(2, 91, 99).await, Some(Probe { job: JobId(2), until: at(99) }), "a dead one frees it");
    // The first probe's late failure is nobody's any more; its late success closes the breaker all the same.
    let second = Some(Probe { job: JobId(2), until: at(99) });
    let late = |failure, probe| {
        let mut verdict = verdict(&claim, None, failure, 92);
        verdict.event = verdict.event.map(|event| HealthEvent { probe, ..event });
        Entry::Settle(Box::new(verdict))
    };
    let written = scene.write(&[late(Some(FailureClass::Transient), first)], 92).await;
    assert_eq!((written.health[0].state, written.health[0].probe), (BreakerState::HalfOpen, second));
    let written = scene.write(&[late(None, first)], 92).await;
    assert_eq!((written.health[0].state, written.health[0].probe), (BreakerState::Closed, None));
}

pub(in crate::store) async fn a_probe_that_came_to_nothing_is_given_back(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let failed =
        |second| Entry::Settle(Box::new(verdict(&claim, None, Some(FailureClass::Transient), second)));
    scene.write(&[failed(1), failed(1), failed(1)], 1).await;
    let probe = |job, until| Probe { job: JobId(job), until: at(until) };
    let taken = scene.store().take_probe(&name("house"), probe(1, 91), "f1", at(61)).await.expect("taken");
    assert_eq!(taken.probe, Some(probe(1, 91)));
    let free = |probe| Entry::FreeProbe { provider: name("house"), probe };
    let written = scene.write(&[free(probe(1, 90)), free(probe(2, 91))], 62).await;
    assert_eq!(written.health[0].state, BreakerState::HalfOpen, "neither is the one");
    let written = scene.write(&[free(probe(1, 91))], 62).await;
    assert_eq!((written.health[0].state, written.health[0].step), (BreakerState::Open, 0));
    let columns = ["state", "probe_job", "probe_until", "step"];
    scene.finds(Table::ProviderHealth, &columns, &["open|||0"]).await;
    let taken = scene.store().take_probe(&name("house"), probe(2, 99), "f1", at(63)).await.expect("taken");
    assert_eq!(taken.probe, Some(probe(2, 99)), "it is to be had at once");
    // Where its verdict comes in the same transaction, that counts.
    let mut verdict = verdict(&claim, None, Some(FailureClass::Transient), 64);
    verdict.event = verdict.event.map(|event| HealthEvent { probe: taken.probe, ..event });
    scene.write(&[free(probe(2, 99)), Entry::Settle(Box::new(verdict))], 64).await;
    scene.finds(Table::ProviderHealth, &columns, &["open|||1"]).await;
}

pub(in crate::store) async fn a_pause_and_a_reset(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let (store, house) = (scene.store(), name("house"));
    let auth = verdict(&claim, None, Some(FailureClass::Auth), 2);
    scene.write(&[Entry::Settle(Box::new(auth))], 2).await;
    store.pause(&house, Some(at(50)), at(3)).await.expect("paused");
    let columns = ["state", "held_class", "paused_until", "last_class"];
    scene.finds(Table::ProviderHealth, &columns, &[&format!("open|auth|{}|auth", to_text(at(50)))]).await;
    store.pause(&house, None, at(4)).await.expect("resumed");
    scene.finds(Table::ProviderHealth, &columns, &["open|auth||auth"]).await;
    store.reset(&house, at(5)).await.expect("reset");
    scene.finds(Table::ProviderHealth, &columns, &["closed|||auth"]).await;
    assert!(store.pause(&name("nobody"), None, at(6)).await.is_err());
}

pub(in crate::store) async fn the_version_moves_with_every_write(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let store = scene.store();
    let mut last = store.version().await.expect("reads");
    assert_eq!(store.version().await.expect("reads"), last, "nobody wrote");
    let mut moved = async |what: &str| {
        let version = store.version().await.expect("reads");
        assert_ne!(version, last, "{what}");
        last = version;
    };
    let job = scene.job("a").await;
    moved("enqueue").await;
    let claim = scene.claim_one("w", 1).await;
    moved("claim").await;
    scene.write(&[intent(&claim, 1)], 1).await;
    moved("record").await;
    scene.subject.cancels(job).await.expect("cancelled");
    moved("cancel").await;
    store.pause(&name("house"), None, at(2)).await.expect("written");
    moved("pause").await;
    store.next_due_at(&[asset("social-text")], at(9)).await.expect("reads");
    assert_eq!(scene.claim("w", 9).await, []);
    assert_eq!(store.version().await.expect("reads"), last, "nothing was found, so nothing was written");
}

pub(in crate::store) async fn the_pulse_is_when_runs_began_and_ended(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let store = scene.store();
    let pulse = async || store.pulse().await.expect("reads");
    assert_eq!(pulse().await, Pulse::default());
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    assert_eq!(pulse().await, Pulse { last_claim_at: Some(at(1)), last_finish_at: None });
    scene.finish(&claim, done("https://x.example/a"), 2).await;
    assert_eq!(pulse().await, Pulse { last_claim_at: Some(at(1)), last_finish_at: Some(at(2)) });
}
