//! The ledger: what is written before and after calls, who may write it, and what a run's end changes.

use super::scene::{Scene, Subject, Table, at, done, end_of, event, intent, needs_person, verdict, wish};
use crate::domain::breaker::BreakerState;
use crate::domain::failure::FailureClass;
use crate::domain::plan::tests::name;
use crate::domain::time::{from_text, to_text};
use crate::store::{Ending, Entry, NewJob, Recorded};

const ATTEMPT: [&str; 5] = ["status", "class", "error", "operation", "cost_micros"];

pub(in crate::store) async fn a_paid_call_begins_under_a_lease_only(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let old = scene.claim_one("old", 1).await;
    assert_eq!(scene.begin(&old, 2).await.0, 1);
    scene.claim_one("new", 100).await;
    assert_eq!(scene.write_one(intent(&old, 101), 101).await, Recorded::LeaseGone);
    scene.finds(Table::Attempts, &["id", "status", "model", "fingerprint"], &["1|started|m|f1"]).await;
}

pub(in crate::store) async fn an_accepted_operation_is_in_the_adopted_run(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let attempt = scene.begin(&claim, 2).await;
    let accept = |job, operation: &str| Entry::Accept {
        attempt,
        job,
        operation: operation.to_owned(),
        request_id: Some("req-submit".to_owned()),
    };
    let job = claim.job.id;
    scene.write(&[accept(crate::domain::job::JobId(9), "another-job's")], 3).await;
    scene.write(&[accept(job, "op-1"), accept(job, "op-2")], 3).await;
    let heir = scene.claim_one("heir", 100).await;
    let past = &heir.run.past[0];
    assert_eq!((past.status.as_str(), past.operation.as_deref()), ("accepted", Some("op-1")));
    let polled = crate::store::AttemptResult {
        request_id: Some("req-poll".to_owned()),
        ..verdict(&heir, Some(attempt), None, 101)
    };
    scene.write(&[Entry::Settle(Box::new(polled))], 101).await;
    scene.finds(Table::Attempts, &["request_id"], &["req-submit"]).await;
}

pub(in crate::store) async fn the_first_verdict_wins(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let old = scene.claim_one("old", 1).await;
    let row = scene.begin(&old, 2).await;
    let heir = scene.claim_one("heir", 100).await;
    let unknown = verdict(&heir, Some(row), Some(FailureClass::UnknownOutcome), 101);
    scene.write(&[Entry::Settle(Box::new(unknown))], 101).await;
    let late = verdict(&old, Some(row), None, 102);
    scene.write(&[Entry::Settle(Box::new(late))], 102).await;
    let row = "failed|unknown_outcome|unknown_outcome at 101||7";
    scene.finds(Table::Attempts, &ATTEMPT, &[row]).await;
    scene.finds(Table::ProviderHealth, &["consecutive_failures", "last_success_at"], &["1|"]).await;
}

pub(in crate::store) async fn a_stale_worker_writes_nothing_but_its_verdict(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let old = scene.claim_one("old", 1).await;
    let row = scene.begin(&old, 2).await;
    scene.claim_one("heir", 100).await;
    let mut end = end_of(&old, done("https://example.org/stale.png"), 101);
    end.attempts = vec![verdict(&old, Some(row), None, 101)];
    assert_eq!(scene.write_one(Entry::Finish(Box::new(end)), 101).await, Recorded::LeaseGone);
    scene.finds(Table::Jobs, &["status", "url", "lease_owner"], &["running||heir"]).await;
    scene.finds(Table::Runs, &["outcome"], &[""]).await;
    scene.finds(Table::Attempts, &["status", "cost_micros"], &["delivered|7"]).await;
    assert_eq!(scene.store().asset_health().await.expect("reads"), []);
    let at_101 = to_text(at(101));
    scene.finds(Table::ProviderHealth, &["provider", "last_success_at"], &[&format!("house|{at_101}")]).await;
    // A free call has no row of its own before its verdict; it is booked too.
    let free = verdict(&old, None, Some(FailureClass::Transient), 102);
    scene.write(&[Entry::Settle(Box::new(free))], 102).await;
    scene.finds(Table::Attempts, &["status"], &["delivered", "failed"]).await;
}

pub(in crate::store) async fn two_ends_of_one_job_in_one_transaction_are_told_apart(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for (round, stale_first) in [true, false].into_iter().enumerate() {
        let (job, second) = (scene.job("twice").await, 1_000 * round as u64);
        let old = scene.claim_one("w", second + 1).await;
        scene.subject.cancels(job).await.expect("cancelled");
        scene.subject.sends_round_again(job).await.expect("sent round again");
        let new = scene.claim_one("w", second + 100).await;
        let end = |claim| Entry::Finish(Box::new(end_of(claim, needs_person(), second + 200)));
        let (entries, expected) = if stale_first {
            ([end(&old), end(&new)], [Recorded::LeaseGone, Recorded::Written])
        } else {
            ([end(&new), end(&old)], [Recorded::Written, Recorded::LeaseGone])
        };
        assert_eq!(scene.write(&entries, second + 200).await.answers, expected);
        scene.finds(Table::Notices, &["kind"], &vec!["manual"; round + 1]).await;
    }
}

pub(in crate::store) async fn a_delivery_changes_everything_at_once(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let wished = NewJob {
        provider_override: Some("house".to_owned()),
        run_at: Some(to_text(at(0))),
        ..wish("social-text", "a")
    };
    scene.add(&wished).await;
    let claim = scene.claim_one("w", 1).await;
    let row = scene.begin(&claim, 2).await;
    let mut end = end_of(&claim, done("https://example.org/a.png"), 3);
    end.attempts = vec![verdict(&claim, Some(row), None, 3)];
    let written = scene.write(&[Entry::Finish(Box::new(end))], 3).await;
    assert_eq!(written.answers, [Recorded::Written]);
    assert_eq!(written.health.len(), 1);
    let columns = [
        "status",
        "runs",
        "url",
        "content_type",
        "provider",
        "fallback_used",
        "message",
        "error",
        "metadata",
        "provider_override",
        "lease_token",
        "finished_at",
    ];
    let finished = to_text(at(3));
    let row = format!(
        "done|1|https://example.org/a.png|image/png|house|0|Social text ready||{{\"width\":3}}|||{finished}"
    );
    scene.finds(Table::Jobs, &columns, &[&row]).await;
    let run = format!("delivered|house|0|second|{finished}").replace("second", "house");
    scene
        .finds(Table::Runs, &["outcome", "provider", "fallback_used", "override", "finished_at"], &[&run])
        .await;
    scene.finds(Table::Attempts, &ATTEMPT, &["delivered||||7"]).await;
    let health = format!("social-text|{finished}|house|0");
    let columns = ["asset", "last_success_at", "last_resolved_source", "last_fallback_used"];
    scene.finds(Table::AssetHealth, &columns, &[&health]).await;
    scene.finds(Table::ProviderHealth, &["provider", "state"], &["house|closed"]).await;
    scene.finds(Table::Notices, &["kind"], &[]).await;
    assert_eq!(scene.finish(&claim, needs_person(), 4).await, Recorded::LeaseGone, "a job ends once");
}

pub(in crate::store) async fn a_job_that_nobody_could_make_is_a_persons(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    scene.job("b").await;
    let claims = scene.claim("w", 1).await;
    scene.finish(&claims[0], needs_person(), 2).await;
    let mut quiet = end_of(&claims[1], needs_person(), 3);
    quiet.notify = false;
    scene.write(&[Entry::Finish(Box::new(quiet))], 3).await;
    let columns = ["status", "provider", "fallback_used", "message", "error", "runs"];
    let row = |second| format!("manual|manual|1|Social text needs a person|nobody could at {second}|1");
    scene.finds(Table::Jobs, &columns, &[&row(2), &row(3)]).await;
    scene
        .finds(
            Table::Runs,
            &["outcome", "error"],
            &["exhausted|nobody could at 2", "exhausted|nobody could at 3"],
        )
        .await;
    scene
        .finds(Table::AssetHealth, &["last_error", "last_resolved_source"], &["nobody could at 3|manual"])
        .await;
    scene.finds(Table::Notices, &["job_id", "kind"], &["1|manual"]).await;
}

pub(in crate::store) async fn a_job_may_fail_instead(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    scene.finish(&claim, Ending::Failed { message: "Social text failed".to_owned() }, 2).await;
    scene.finds(Table::Jobs, &["status", "provider", "message"], &["failed||Social text failed"]).await;
    scene.finds(Table::Runs, &["outcome"], &["exhausted"]).await;
    scene.finds(Table::AssetHealth, &["last_error", "last_resolved_source"], &["nobody could at 2|"]).await;
    scene.finds(Table::Notices, &["kind"], &[]).await;
}

pub(in crate::store) async fn a_job_that_comes_back_keeps_its_override_and_counts(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let wished = NewJob {
        provider_override: Some("second".to_owned()),
        run_at: Some(to_text(at(0))),
        ..wish("social-text", "a")
    };
    scene.add(&wished).await;
    let claim = scene.claim_one("w", 1).await;
    assert_eq!(scene.finish(&claim, Ending::Later { run_at: at(50) }, 2).await, Recorded::Written);
    let columns = ["status", "runs", "run_at", "provider_override", "error", "finished_at", "lease_token"];
    let row = format!("pending|1|{}|second|nobody could at 2||", to_text(at(50)));
    scene.finds(Table::Jobs, &columns, &[&row]).await;
    scene.finds(Table::Runs, &["outcome"], &["later"]).await;
    let again = scene.claim_one("w", 50).await;
    assert_eq!((again.run.number, again.job.counted_runs, again.run.id.0), (2, 1, 2));
    assert_eq!(again.job.first_claimed_at, at(1), "its age counts from its first claim");
    scene.finish(&again, needs_person(), 51).await;
    scene.finds(Table::Jobs, &["runs", "provider_override"], &["2|"]).await;
    scene.finds(Table::Runs, &["override"], &["second", "second"]).await;
}

pub(in crate::store) async fn a_job_that_is_handed_back_does_not_count(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    scene.begin(&claim, 1).await;
    scene.finish(&claim, Ending::HandBack { run_at: at(5), keep_open: true }, 2).await;
    scene.finds(Table::Jobs, &["status", "runs"], &["pending|0"]).await;
    let again = scene.claim_one("w", 5).await;
    assert_eq!((again.run.id, again.run.past.len(), again.deaths), (claim.run.id, 1, 0));
    scene.finish(&again, Ending::HandBack { run_at: at(9), keep_open: false }, 6).await;
    scene.finds(Table::Runs, &["outcome"], &["released"]).await;
    assert_eq!(scene.claim_one("w", 9).await.run.number, 2);
    scene.finds(Table::Jobs, &["runs"], &["0"]).await;
}

pub(in crate::store) async fn a_call_is_abandoned_where_its_run_has_ended(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let abandon = Entry::Abandon { attempt: scene.begin(&claim, 2).await, job: claim.job.id };
    scene.write(std::slice::from_ref(&abandon), 3).await;
    scene.finds(Table::Attempts, &["status"], &["started"]).await;
    scene.subject.cancels(claim.job.id).await.expect("cancelled");
    scene.write(&[abandon], 4).await;
    scene
        .finds(
            Table::Attempts,
            &["status", "class", "finished_at"],
            &[&format!("unknown|unknown_outcome|{}", to_text(at(4)))],
        )
        .await;
}

pub(in crate::store) async fn a_call_that_nobody_speaks_of_any_more_is_settled(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let (gone, held) = (scene.job("gone").await, scene.job("held").await);
    let claims = scene.claim("w", 1).await;
    for claim in &claims {
        scene.begin(claim, 2).await;
    }
    scene.finds(Table::Spending, &["reserved_micros", "spent_micros"], &["80|0"; 4]).await;
    scene.subject.cancels(gone).await.expect("cancelled");
    let settle =
        async |before, second| scene.store().settle_forsaken(before, at(second)).await.expect("settled");
    let long_ago = from_text("2020-01-01T00:00:00.000Z").expect("valid");
    assert_eq!(settle(long_ago, 5).await, 0, "somebody may still speak of it");
    assert_eq!(settle(at(5), 6).await, 1);
    assert_eq!(settle(at(5), 7).await, 0);
    let columns = ["job_id", "status", "class", "finished_at"];
    let settled = format!("{gone}|unknown|unknown_outcome|{}", to_text(at(6)));
    scene.finds(Table::Attempts, &columns, &[&settled, &format!("{held}|started||")]).await;
    scene.finds(Table::Spending, &["reserved_micros", "spent_micros"], &["40|40"; 4]).await;
    scene.finds(Table::ProviderHealth, &["provider"], &[]).await;
}

pub(in crate::store) async fn failures_open_the_breaker_and_the_answer_says_so(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let failed =
        |second| Entry::Settle(Box::new(verdict(&claim, None, Some(FailureClass::Transient), second)));
    let written = scene.write(&[failed(2), failed(3)], 3).await;
    assert_eq!(written.health[0].state, BreakerState::Closed);
    let mut other = verdict(&claim, None, Some(FailureClass::Auth), 4);
    other.event = Some(event(&name("second"), Some((FailureClass::Auth, "no".to_owned())), 4));
    let written = scene.write(&[failed(4), Entry::Settle(Box::new(other))], 4).await;
    let states: Vec<_> =
        written.health.iter().map(|health| (health.provider.as_str(), health.state)).collect();
    assert_eq!(states, [("house", BreakerState::Open), ("second", BreakerState::Open)]);
    let columns = ["provider", "state", "consecutive_failures", "open_until", "held_class", "last_error"];
    let house = format!("house|open|3|{}||transient at 4", to_text(at(64)));
    scene.finds(Table::ProviderHealth, &columns, &[&house, "second|open|0||auth|no"]).await;
    assert_eq!(scene.store().provider_health().await.expect("reads"), written.health);
}
