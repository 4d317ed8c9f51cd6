//! Leases: renewed, ended, taken over; and what becomes of a job that kills its workers.

use super::scene::{LEASE, Scene, Subject, Table, at, claim_by, held, needs_person};
use crate::domain::time::{after, to_text};
use crate::store::{ClaimRequest, Recorded};

pub(in crate::store) async fn a_renewal_brings_back_what_is_still_held(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["kept", "cancelled", "not-named"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    scene.store().cancel(claims[1].job.id).await.expect("cancelled");
    let (mine, gone) = (held(&claims[0]), held(&claims[1]));
    let stranger = (claim_by("x", 1).token, claims[0].job.id);
    let renewed = scene.store().renew(&[stranger, gone, mine.clone()], after(at(40), LEASE)).await;
    assert_eq!(renewed.expect("renewed"), [mine]);
    let (long, short) = (to_text(at(100)), to_text(at(61)));
    scene.finds(Table::Jobs, &["lease_until"], &[&long, "", &short]).await;
    assert_eq!(scene.claim("other", 99).await.len(), 1, "only what was not named has run out");
}

pub(in crate::store) async fn a_lease_that_ended_is_taken_over_with_its_open_run(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("orphan").await;
    let dead = scene.claim_one("dead", 1).await;
    let row = scene.begin(&dead, 2).await;
    assert_eq!(scene.claim("heir", 60).await, [], "the lease has not ended");
    let heir = scene.claim_one("heir", 61).await;
    assert_eq!((heir.run.id, heir.run.number, &heir.run.links), (dead.run.id, 1, &dead.run.links));
    assert_eq!((heir.deaths, heir.solo_deaths), (1, 0));
    assert_eq!(heir.job.first_claimed_at, at(1));
    let past = &heir.run.past;
    assert_eq!((past.len(), past[0].id, past[0].status.as_str()), (1, row.0, "started"));
    assert_eq!(past[0].fingerprint.as_deref(), Some("f1"));
    assert_eq!(scene.finish(&dead, needs_person(), 62).await, Recorded::LeaseGone);
    scene.finds(Table::Jobs, &["status", "lease_owner", "deaths"], &["running|heir|1"]).await;
    scene.finds(Table::Runs, &["id", "outcome"], &["1|"]).await;
}

pub(in crate::store) async fn a_worker_does_not_take_over_what_it_holds(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let job = scene.job("mine").await;
    scene.claim_one("w", 1).await;
    let late = ClaimRequest { held: vec![job], ..claim_by("w", 500) };
    assert_eq!(scene.claimed(&late).await.claims, []);
    scene.finds(Table::Jobs, &["deaths"], &["0"]).await;
}

pub(in crate::store) async fn the_leases_of_a_dead_worker_are_ended_at_once(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    scene.claim_one("dead", 1).await;
    scene.job("b").await;
    scene.claim_one("alive", 2).await;
    assert_eq!(scene.store().other_owners("alive").await.expect("reads"), ["dead"]);
    assert_eq!(scene.store().expire("dead", at(3)).await.expect("ended"), 1);
    assert_eq!(scene.store().expire("dead", at(3)).await.expect("ended"), 0, "they have ended already");
    let taken = scene.claim_one("alive", 3).await;
    assert_eq!((taken.job.slug.as_str(), taken.deaths), ("a", 1));
}

pub(in crate::store) async fn a_lease_beyond_reason_is_none(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let wrong = ClaimRequest { lease_until: at(400_000), ..claim_by("wrong-clock", 1) };
    assert_eq!(scene.claimed(&wrong).await.claims.len(), 1);
    assert_eq!(scene.claim_one("w", 2).await.deaths, 1);
}

pub(in crate::store) async fn a_job_that_killed_two_runs_alone(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("poison").await;
    let seconds = |death: u64| 1 + death * 100;
    let expected = [(0, 0), (1, 0), (2, 0), (3, 1), (4, 2), (5, 3)];
    for (death, (deaths, solo_deaths)) in (0..).zip(expected) {
        let claim = scene.claim_one("w", seconds(death)).await;
        assert_eq!((claim.deaths, claim.solo_deaths), (deaths, solo_deaths));
        assert_eq!(claim.runs_alone(), deaths >= 2);
        if death == 5 {
            scene.finish(&claim, needs_person(), 600).await;
        }
    }
    scene.finds(Table::Jobs, &["status", "deaths", "solo_deaths"], &["manual|0|0"]).await;
}

pub(in crate::store) async fn nothing_overtakes_a_job_that_must_be_alone(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    let poison = scene.job("poison").await;
    scene.claim_one("w", 1).await;
    scene.claim_one("w", 100).await;
    scene.job("neighbour").await;
    let busy = ClaimRequest { held: vec![crate::domain::job::JobId(99)], ..claim_by("w", 200) };
    let claimed = scene.claimed(&busy).await;
    assert_eq!((claimed.claims.len(), claimed.one_waits_to_be_alone), (0, true));
    let claimed = scene.claimed(&claim_by("w", 201)).await;
    assert_eq!(claimed.claims.iter().map(|claim| claim.job.id).collect::<Vec<_>>(), [poison]);
    assert!(!claimed.one_waits_to_be_alone);
}
