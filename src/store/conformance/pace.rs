//! The pace of providers: who may call once more, in whichever worker's hands the others are.

use super::scene::{Scene, Subject, Table, at, done, end_of, facts, intent, paced, verdict};
use crate::domain::failure::FailureClass;
use crate::domain::pace::{AtLimit, NoRoom, Pace, Usage, Window};
use crate::domain::plan::tests::name;
use crate::domain::time::to_text;
use crate::store::{AttemptFacts, AttemptId, AttemptResult, Claim, Ending, Entry, Recorded};

const TWO_AT_ONCE: Pace = Pace { at_once: 2, per_minute: None, per_hour: None };
const SIX_A_MINUTE: Pace = Pace { at_once: 100, per_minute: Some(6), per_hour: None };
const CALLS: [&str; 4] = ["provider", "job_id", "started_at", "ended_at"];

fn enter(claim: &Claim, second: u64, pace: Pace) -> Entry {
    Entry::Enter(Box::new(paced(claim, second, pace)))
}

fn begin(claim: &Claim, second: u64, pace: Pace) -> Entry {
    let Entry::Begin { token, reservation, .. } = intent(claim, second) else { unreachable!("an intent") };
    Entry::Begin { token, facts: Box::new(paced(claim, second, pace)), reservation }
}

fn settled(claim: &Claim, row: Option<AttemptId>, second: u64, pace: Pace) -> AttemptResult {
    let result = verdict(claim, row, Some(FailureClass::Transient), second);
    AttemptResult { facts: paced(claim, second, pace), ..result }
}

async fn usage(scene: &Scene<impl Subject>, owner: &str, second: u64, pace: Pace) -> Usage {
    let asked = [(name("house"), pace)];
    scene.store().usages(&asked, owner, at(second)).await.expect("reads").remove(0)
}

fn full_until(second: u64) -> Recorded {
    let limit = AtLimit { window: Window::Minute, most: 6, until: at(second) };
    Recorded::NoRoom(NoRoom::AtLimit(limit))
}

pub(in crate::store) async fn no_more_calls_are_under_way_than_may_be(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    for slug in ["a", "b", "c"] {
        scene.job(slug).await;
    }
    let claims = scene.claim("w", 1).await;
    let [a, b, c] = &claims[..] else { panic!("{claims:?}") };
    // The last two are one transaction's, and held to the bound together: a paid call, and a free one.
    let first = scene.write_one(begin(a, 2, TWO_AT_ONCE), 2).await;
    let Recorded::Begun(row) = first else { panic!("{first:?}") };
    let answers = scene.write(&[enter(b, 3, TWO_AT_ONCE), enter(c, 3, TWO_AT_ONCE)], 3).await.answers;
    assert_eq!(answers, [Recorded::Written, Recorded::NoRoom(NoRoom::Taken)]);
    let used = usage(&scene, "w", 3, TWO_AT_ONCE).await;
    assert_eq!((used.under_way, used.own, used.begun), (2, 2, vec![]));
    assert_eq!(usage(&scene, "another", 3, TWO_AT_ONCE).await.own, 0);
    // Nothing was reserved for what was not begun.
    assert_eq!(scene.write_one(begin(c, 3, TWO_AT_ONCE), 3).await, Recorded::NoRoom(NoRoom::Taken));
    scene.finds(Table::Attempts, &["job_id"], &["1"]).await;
    scene.finds(Table::Spending, &["reserved_micros"], &["40"; 4]).await;
    // A verdict makes room, and so does the end of a run.
    scene.write(&[Entry::Settle(Box::new(settled(a, Some(row), 4, TWO_AT_ONCE)))], 4).await;
    assert_eq!(scene.write_one(enter(c, 5, TWO_AT_ONCE), 5).await, Recorded::Written);
    assert_eq!(scene.write_one(enter(a, 5, TWO_AT_ONCE), 5).await, Recorded::NoRoom(NoRoom::Taken));
    let mut end = end_of(b, done("https://example.org/b.png"), 6);
    end.attempts = vec![settled(b, None, 6, TWO_AT_ONCE)];
    scene.write(&[Entry::Finish(Box::new(end))], 6).await;
    assert_eq!(scene.write_one(enter(a, 7, TWO_AT_ONCE), 7).await, Recorded::Written);
    let row = |job: u8, began, ended: Option<u64>| {
        format!(
            "house|{job}|{}|{}",
            to_text(at(began)),
            ended.map(|at_| to_text(at(at_))).unwrap_or_default()
        )
    };
    let rows = [row(1, 2, Some(4)), row(2, 3, Some(6)), row(3, 5, None), row(1, 7, None)];
    scene.finds(Table::Calls, &CALLS, &rows.each_ref().map(String::as_str)).await;
}

pub(in crate::store) async fn a_window_holds_so_many_calls_and_opens_as_the_oldest_leaves_it(
    subject: impl Subject,
) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let mut claim = scene.claim_one("w", 1).await;
    let mut began = Vec::new();
    // Whoever asks every second for five minutes, under one lease after another.
    for second in 2..302 {
        if second % 50 == 0 {
            scene.finish(&claim, Ending::HandBack { run_at: at(second), keep_open: true }, second).await;
            claim = scene.claim_one("w", second).await;
        }
        match scene.write_one(enter(&claim, second, SIX_A_MINUTE), second).await {
            Recorded::Written => began.push(second),
            answer @ (Recorded::NoRoom(_)
            | Recorded::Begun(_)
            | Recorded::LeaseGone
            | Recorded::OverBudget(_)) => {
                assert_eq!(answer, full_until(began[began.len() - 6] + 60), "at {second}");
            }
        }
    }
    let expected: Vec<u64> =
        (0..5).flat_map(|minute| (2..8).map(move |second| minute * 60 + second)).collect();
    assert_eq!(began, expected, "six in each minute, and not one more in any");
    let used = usage(&scene, "w", 301, SIX_A_MINUTE).await;
    let begun: Vec<_> = used.begun.iter().map(|begun| (begun.count, begun.oldest)).collect();
    assert_eq!(begun, [(6, Some(at(242)))]);
    // Another provider has a window of its own.
    let mut other = paced(&claim, 301, SIX_A_MINUTE);
    other.provider = name("second");
    assert_eq!(scene.write_one(Entry::Enter(Box::new(other)), 301).await, Recorded::Written);
}

pub(in crate::store) async fn calls_of_an_hour_ago_are_forgotten_unless_they_are_under_way(
    subject: impl Subject,
) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    scene.job("b").await;
    let claims = scene.claim("w", 1).await;
    let [a, b] = &claims[..] else { panic!("{claims:?}") };
    for (claim, second) in [(a, 2), (b, 3), (a, 3_602)] {
        if second > 100 {
            scene.write(&[Entry::Settle(Box::new(settled(a, None, second, SIX_A_MINUTE)))], second).await;
        }
        scene.write_one(enter(claim, second, SIX_A_MINUTE), second).await;
    }
    let row = |job: u8, began| format!("{job}|{}", to_text(at(began)));
    let left = [row(2, 3), row(1, 3_602)];
    scene.finds(Table::Calls, &["job_id", "started_at"], &left.each_ref().map(String::as_str)).await;
}

pub(in crate::store) async fn a_dead_workers_calls_make_room_when_its_lease_ends(subject: impl Subject) {
    const ONE: Pace = Pace { at_once: 1, per_minute: None, per_hour: None };
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    scene.job("b").await;
    let claims = scene.claim("dead", 1).await;
    let [a, b] = &claims[..] else { panic!("{claims:?}") };
    assert_eq!(scene.write_one(enter(a, 2, ONE), 2).await, Recorded::Written);
    assert_eq!(scene.write_one(enter(b, 60, ONE), 60).await, Recorded::NoRoom(NoRoom::Taken));
    // Its lease has ended: it could not be taken over if its own call stood in the way.
    assert_eq!(usage(&scene, "heir", 61, ONE).await.under_way, 0);
    let heirs = scene.claim("heir", 100).await;
    assert_eq!(scene.write_one(enter(&heirs[1], 101, ONE), 101).await, Recorded::Written);
    // The dead one's late verdict and its late call change nothing.
    scene.write(&[Entry::Settle(Box::new(settled(b, None, 102, ONE)))], 102).await;
    assert_eq!(usage(&scene, "heir", 102, ONE).await, Usage { under_way: 1, own: 1, begun: vec![] });
    scene.subject.cancels(b.job.id).await.expect("cancelled");
    assert_eq!(usage(&scene, "heir", 102, ONE).await.under_way, 0, "a cancel makes room");
    assert_eq!(scene.write_one(enter(a, 103, ONE), 103).await, Recorded::LeaseGone);
    assert_eq!(scene.write_one(enter(&heirs[0], 103, ONE), 103).await, Recorded::Written);
}

pub(in crate::store) async fn an_accepted_call_keeps_its_place_under_the_next_lease(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let old = scene.claim_one("old", 1).await;
    scene.write_one(enter(&old, 2, SIX_A_MINUTE), 2).await;
    let heir = scene.claim_one("heir", 100).await;
    let again = |claim: &Claim, second| Entry::Reenter(Box::new(paced(claim, second, SIX_A_MINUTE)));
    assert_eq!(usage(&scene, "heir", 100, SIX_A_MINUTE).await.under_way, 0);
    scene.write(&[again(&heir, 101)], 101).await;
    scene.write(&[again(&old, 102)], 102).await;
    let used = usage(&scene, "heir", 102, SIX_A_MINUTE).await;
    assert_eq!((used.under_way, used.own, used.begun[0].count), (1, 1, 0), "and it is no new call");
    scene.write(&[Entry::Settle(Box::new(settled(&heir, None, 103, SIX_A_MINUTE)))], 103).await;
    assert_eq!(usage(&scene, "heir", 103, SIX_A_MINUTE).await.under_way, 0);
}

pub(in crate::store) async fn a_clock_that_was_wrong_blocks_no_provider(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let one = Pace { at_once: 9, per_minute: Some(1), per_hour: Some(9) };
    // The clock was ahead by an hour for one call, and two daemons wrote another one out of order.
    scene.write_one(enter(&claim, 3_600, one), 3_600).await;
    assert_eq!(scene.write_one(enter(&claim, 10, one), 10).await, Recorded::Written);
    let limit = AtLimit { window: Window::Minute, most: 1, until: at(70) };
    let full = Recorded::NoRoom(NoRoom::AtLimit(limit));
    assert_eq!(scene.write_one(enter(&claim, 9, one), 9).await, full);
}

pub(in crate::store) async fn what_is_not_bounded_is_not_counted(subject: impl Subject) {
    let scene = Scene::new(subject).await;
    scene.job("a").await;
    let claim = scene.claim_one("w", 1).await;
    let free: AttemptFacts = facts(&claim, 2);
    assert_eq!(scene.write_one(Entry::Enter(Box::new(free)), 2).await, Recorded::Written);
    scene.begin(&claim, 3).await;
    scene.finds(Table::Calls, &CALLS, &[]).await;
}
