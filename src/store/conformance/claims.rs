//! Who is claimed when, and what a claim brings.

use std::time::Duration;

use super::scene::{Scene, Subject, Table, asset, at, claim_by, end_of, needs_person, verdict, wanted, wish};
use crate::domain::failure::FailureClass;
use crate::domain::plan::tests::name;
use crate::domain::time::{after, to_text};
use crate::store::{Claim, ClaimRequest, Ending, Entry, NewJob, Refusal, Staging, Wanted};

fn slugs(claims: &[Claim]) -> Vec<&str> {
    claims.iter().map(|claim| claim.job.slug.as_str()).collect()
}

fn due(slug: &str, second: u64, priority: u8) -> NewJob {
    let run_at = Some(to_text(at(second)));
    NewJob { run_at, priority: Some(priority), ..wish("social-text", slug) }
}

pub(in crate::store) async fn the_highest_priority_goes_first_and_then_the_oldest(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for job in [due("late", 20, 5), due("early", 10, 5), due("urgent", 30, 9), due("idle", 0, 0)] {
        scene.add(&job).await;
    }
    scene.add(&NewJob { run_at: Some(to_text(at(10))), ..wish("heroImage", "twin") }).await;
    let claims = scene.claim("w", 40).await;
    assert_eq!(slugs(&claims), ["urgent", "early", "twin", "late", "idle"]);
}

pub(in crate::store) async fn nobody_takes_more_than_there_is_room_for(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for number in 0..5 {
        scene.job(&format!("t{number}")).await;
        scene.add(&NewJob { run_at: Some(to_text(at(0))), ..wish("hero-image", "h") }).await;
    }
    let request = ClaimRequest {
        wanted: vec![wanted("social-text", 2), wanted("hero-image", 100)],
        limit: 3,
        ..claim_by("w", 1)
    };
    let first = scene.claimed(&request).await.claims;
    assert_eq!(slugs(&first), ["t0", "h", "t1"]);
    let nothing = ClaimRequest { wanted: vec![wanted("social-text", 0)], ..claim_by("w", 2) };
    assert_eq!(scene.claimed(&nothing).await.claims, []);
    assert_eq!(scene.claim("w", 3).await.len(), 7);
}

pub(in crate::store) async fn what_shares_a_provider_shares_its_free_calls(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for number in 0..3 {
        scene.job(&format!("t{number}")).await;
        scene
            .add(&NewJob { priority: Some(9), run_at: Some(to_text(at(0))), ..wish("hero-image", "h") })
            .await;
    }
    let mut request = claim_by("w", 1);
    for wanted in &mut request.wanted {
        wanted.shares = Some(name("house"));
    }
    request.free.insert(name("house"), 4);
    assert_eq!(slugs(&scene.claimed(&request).await.claims), ["h", "h", "h", "t0"]);
}

pub(in crate::store) async fn what_is_not_due_or_not_wanted_stays(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.add(&due("later", 10, 5)).await;
    scene.add(&wish("hero-image", "other")).await;
    let texts = ClaimRequest { wanted: vec![wanted("social-text", 9)], ..claim_by("w", 9) };
    assert_eq!(scene.claimed(&texts).await.claims, []);
    scene.finds(Table::Jobs, &["status", "lease_token"], &["pending|", "pending|"]).await;
    let texts = ClaimRequest { wanted: vec![wanted("social-text", 9)], ..claim_by("w", 10) };
    assert_eq!(slugs(&scene.claimed(&texts).await.claims), ["later"], "to the very instant");
}

pub(in crate::store) async fn a_job_is_claimed_once(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("only").await;
    let claim = scene.claim_one("a", 1).await;
    assert_eq!(scene.claim("b", 2).await, []);
    assert_eq!((claim.run.number, claim.run.past.len(), claim.deaths), (1, 0, 0));
    assert_eq!((claim.job.counted_runs, claim.job.first_claimed_at), (0, at(1)));
    let columns = ["status", "lease_token", "lease_owner", "lease_until", "started_at"];
    let until = to_text(at(61));
    let row = format!("running|lease-token-of-a-at-1|a|{until}|{}", to_text(at(1)));
    scene.finds(Table::Jobs, &columns, &[&row]).await;
    scene.finds(Table::Runs, &["number", "outcome"], &["1|"]).await;
}

pub(in crate::store) async fn a_new_run_has_the_links_that_the_override_bends(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let overridden = |wish_for: &str| NewJob {
        provider_override: Some(wish_for.to_owned()),
        run_at: Some(to_text(at(0))),
        ..wish("social-text", wish_for)
    };
    scene.job("plain").await;
    for wish_for in ["second", "third", "manual"] {
        scene.add(&overridden(wish_for)).await;
    }
    let claims = scene.claim("w", 1).await;
    let links: Vec<String> = claims.iter().map(|claim| claim.run.links.join(" ")).collect();
    assert_eq!(links, ["house second", "second", "third house second", ""]);
    scene.finds(Table::Runs, &["override"], &["", "second", "third", "manual"]).await;
}

pub(in crate::store) async fn where_nothing_may_begin_what_was_bought_is_taken_up(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["fresh", "begun", "accepted", "staged", "passed"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    let [fresh, begun, accepted, staged, passed] = claims.as_slice() else { panic!("{claims:?}") };
    let mut rows = Vec::new();
    for claim in [begun, accepted, staged, passed] {
        rows.push(scene.begin(claim, 2).await);
    }
    let accept = |claim: &Claim, attempt, operation: &str| {
        let (job, operation) = (claim.job.id, operation.to_owned());
        Entry::Accept { attempt, job, operation, request_id: None }
    };
    let staging = Staging {
        token: staged.token.clone(),
        job: staged.job.id,
        run: staged.run.id,
        attempt: Some(rows[2]),
        key: "a.png".to_owned(),
        output: "{}".to_owned(),
    };
    let over = verdict(passed, Some(rows[3]), Some(FailureClass::Transient), 4);
    let entries = [
        accept(accepted, rows[1], "op-1"),
        Entry::Stage(Box::new(staging)),
        accept(passed, rows[3], "op-2"),
        Entry::Settle(Box::new(over)),
    ];
    scene.write(&entries, 4).await;
    for claim in [fresh, begun, accepted] {
        scene.finish(claim, Ending::HandBack { run_at: at(5), keep_open: true }, 5).await;
    }
    // A link that was skipped is noted after the call that goes on.
    let mut skipped = verdict(accepted, None, None, 5);
    skipped.status = "skipped";
    skipped.event = None;
    scene.write(&[Entry::Settle(Box::new(skipped))], 5).await;
    let closed = |second| ClaimRequest {
        wanted: vec![Wanted { only_bought: true, ..wanted("social-text", 100) }],
        ..claim_by("v", second)
    };
    assert_eq!(slugs(&scene.claimed(&closed(4)).await.claims), [""; 0], "not due");
    let taken = scene.claimed(&closed(6)).await.claims;
    assert_eq!(slugs(&taken), ["accepted"]);
    assert_eq!(taken[0].run.id, accepted.run.id);
    // The others run into the end of their lease.
    assert_eq!(slugs(&scene.claimed(&closed(100)).await.claims), ["staged", "accepted"]);
    assert_eq!(slugs(&scene.claim("u", 101).await), ["passed", "fresh", "begun"]);
}

pub(in crate::store) async fn refusals_of_earlier_runs_come_with_the_claim(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = scene.job("delicate").await;
    let claim = scene.claim_one("w", 1).await;
    let refused = verdict(&claim, None, Some(FailureClass::Refused { category: None }), 2);
    let mut end = end_of(&claim, needs_person(), 2);
    (end.attempts, end.prompt_digest) = (vec![refused], Some("d1".to_owned()));
    scene.write(&[Entry::Finish(Box::new(end))], 2).await;
    scene.store().retry(job, None).await.expect("retried");
    let again = scene.claim_one("w", 3).await;
    assert_eq!(again.run.number, 2);
    let refusal = Refusal { provider: name("house"), prompt_digest: Some("d1".to_owned()) };
    assert_eq!(again.refusals, [refusal]);
}

pub(in crate::store) async fn the_next_due_time_and_the_count_of_what_is_due(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for job in [due("a", 10, 5), due("b", 20, 9), due("c", 30, 0)] {
        scene.add(&job).await;
    }
    let (texts, images) = ([asset("social-text")], [asset("hero-image")]);
    let next = |past| scene.store().next_due_at(&texts, at(past));
    assert_eq!(next(0).await.expect("reads"), Some(at(10)));
    assert_eq!(next(10).await.expect("reads"), Some(at(20)), "what was due then does not hide the next");
    assert_eq!(next(30).await.expect("reads"), None);
    assert_eq!(scene.store().next_due_at(&images, at(0)).await.expect("reads"), None);
    assert_eq!(scene.store().due(&texts, at(20)).await.expect("reads"), 2);
    let claim = scene.claim_one("w", 10).await;
    let later = Ending::Later { run_at: after(at(10), Duration::from_secs(90)) };
    scene.finish(&claim, later, 11).await;
    assert_eq!(scene.store().due(&texts, at(99)).await.expect("reads"), 2);
    assert_eq!(scene.store().due(&texts, at(100)).await.expect("reads"), 3);
}
