//! Budgets over a real file: what is begun, what every verdict leaves, and what nobody counts twice.

use std::path::PathBuf;

use super::*;
use crate::domain::budget::{Budget, cost_of_verdict};
use crate::domain::job::{JobId, RunId};
use crate::domain::name::AssetName;
use crate::domain::time::from_text;
use crate::store::claim::LeaseToken;
use crate::store::ledger::{AttemptFacts, AttemptId, AttemptResult, Ending, Entry, Recorded, RunEnd};
use crate::store::sqlite::open::Pools;
use crate::store::sqlite::spoiled::Spoiled;
use crate::store::sqlite::{ledger, migrate, open};

const TOKEN: &str = "0123456789abcdef";

/// What a call may cost here.
const PRICE: i64 = 100;

struct Queue {
    pools: Pools,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

impl Queue {
    /// A queue with this many running jobs, each with its open run of the same number.
    async fn new(jobs: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backstop.db");
        let pools = open::open(&path).await.expect("opens");
        migrate::migrate(&pools, &path).await.expect("migrates");
        let queue = Self { pools, path, _folder: folder };
        queue
            .sql(
                "INSERT INTO assets (name, medium, chain, max_runs, give_up_after, on_exhausted, updated_at)
                 VALUES ('hero-image', 'image', '[\"house\",\"manual\"]', 3, 3600, 'manual', '2026')",
            )
            .await;
        for _ in 0..jobs {
            queue.sql("INSERT INTO jobs (asset, slug) VALUES ('hero-image', 's')").await;
        }
        queue
            .sql(
                "UPDATE jobs SET status = 'running', lease_token = '0123456789abcdef', lease_until = '2099',
                 started_at = '2026-11-24T10:00:00.000Z'",
            )
            .await;
        let runs = "INSERT INTO runs (id, job_id, number, chain, started_at)
            SELECT id, id, 1, '[\"house\"]', '2026' FROM jobs";
        queue.sql(runs).await;
        queue
    }

    async fn sql(&self, sql: &'static str) {
        sqlx::query(sql).execute(&self.pools.writer).await.expect(sql);
    }

    async fn record(&self, entries: &[Entry]) -> Vec<Recorded> {
        ledger::record(&self.pools.writer, entries, now()).await.expect("records").answers
    }

    async fn begin(&self, job: i64, budget: Budget, micros: i64) -> Recorded {
        self.record(&[begin(job, budget, micros, now())]).await.remove(0)
    }

    /// Begins a call that nothing limits.
    async fn begun(&self, job: i64) -> AttemptId {
        match self.begin(job, Budget::default(), PRICE).await {
            Recorded::Begun(row) => row,
            other @ (Recorded::Written
            | Recorded::LeaseGone
            | Recorded::OverBudget(_)
            | Recorded::NoRoom(_)) => {
                panic!("{other:?}")
            }
        }
    }

    /// The provider's counter of the day, which the three others equal.
    async fn counter(&self) -> Counter {
        self.counter_of(now()).await
    }

    async fn counter_of(&self, at: Timestamp) -> Counter {
        let spending = spending(&self.pools.readers, at).await.expect("reads");
        let of = |scope, span, name| spending.of(scope, span, name);
        let counter = of(Scope::Provider, Span::Day, "house");
        assert_eq!(of(Scope::Provider, Span::Month, "house"), counter);
        for span in Span::ALL {
            assert_eq!(of(Scope::Asset, span, "hero-image"), counter);
        }
        counter
    }
}

fn now() -> Timestamp {
    from_text("2026-11-24T10:00:00.000Z").expect("valid")
}

fn day(micros: i64) -> Budget {
    Budget { day_micros: Some(micros), month_micros: None }
}

fn facts(job: i64, started_at: Timestamp) -> AttemptFacts {
    AttemptFacts {
        job: JobId(job),
        run: RunId(job),
        position: 0,
        repeat: 0,
        provider: ProviderName::parse("house").expect("valid"),
        model: None,
        fingerprint: "f".to_owned(),
        started_at,
        slot: None,
    }
}

fn begin(job: i64, provider_budget: Budget, micros: i64, at: Timestamp) -> Entry {
    let asset = AssetName::parse("hero-image").expect("valid");
    let reservation = Reservation { asset, micros, provider_budget, asset_budget: Budget::default() };
    Entry::Begin { token: LeaseToken(TOKEN.to_owned()), facts: Box::new(facts(job, at)), reservation }
}

fn verdict(row: Option<AttemptId>, job: i64, status: &'static str, cost_micros: i64) -> AttemptResult {
    AttemptResult {
        row,
        facts: facts(job, now()),
        status,
        class: None,
        error: None,
        http_status: None,
        request_id: None,
        finished_at: now(),
        cost_micros,
        event: None,
    }
}

fn settle(row: AttemptId, job: i64, status: &'static str, cost: i64) -> Entry {
    Entry::Settle(Box::new(verdict(Some(row), job, status, cost)))
}

fn finish(job: i64, attempts: Vec<AttemptResult>, token: &str) -> Entry {
    Entry::Finish(Box::new(RunEnd {
        job: JobId(job),
        asset: AssetName::parse("hero-image").expect("valid"),
        run: RunId(job),
        token: LeaseToken(token.to_owned()),
        attempts,
        staged: None,
        ending: Ending::Manual { message: "Hero image needs a person".to_owned() },
        error: None,
        prompt_digest: None,
        report: None,
        notify: false,
        at: now(),
    }))
}

fn begun(answers: &[Recorded]) -> usize {
    let over = answers.iter().filter(|answer| matches!(answer, Recorded::OverBudget(_))).count();
    let begun = answers.iter().filter(|answer| matches!(answer, Recorded::Begun(_))).count();
    assert_eq!(over + begun, answers.len(), "{answers:?}");
    begun
}

#[tokio::test]
async fn of_many_begins_in_one_transaction_only_those_begin_that_the_budget_has_room_for() {
    let queue = Queue::new(64).await;
    let entries: Vec<Entry> = (1..=64).map(|job| begin(job, day(3 * PRICE), PRICE, now())).collect();
    let answers = queue.record(&entries).await;
    assert_eq!(begun(&answers), 3);
    assert!(answers[..3].iter().all(|answer| matches!(answer, Recorded::Begun(_))), "in their order");
    assert_eq!(queue.counter().await, Counter { reserved: 3 * PRICE, spent: 0 });
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM attempts")
        .fetch_one(&queue.pools.readers)
        .await
        .expect("counts");
    assert_eq!(rows, 3, "a refused call leaves nothing");
    let Recorded::OverBudget(used_up) = &answers[63] else { panic!("{answers:?}") };
    assert_eq!((used_up.scope, used_up.span, used_up.limit_micros), (Scope::Provider, Span::Day, 300));
    assert_eq!(used_up.counter, Counter { reserved: 3 * PRICE, spent: 0 });
    assert_eq!(to_text(used_up.until), "2026-11-25T00:00:00.000Z");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_daemons_share_a_budget() {
    let queue = Queue::new(64).await;
    let other = open::open(&queue.path).await.expect("opens");
    let writers = [queue.pools.writer.clone(), other.writer.clone()];
    let calls = (1..=64).map(|job| {
        let writer = if job % 2 == 0 { writers[0].clone() } else { writers[1].clone() };
        tokio::spawn(async move {
            ledger::record(&writer, &[begin(job, day(10 * PRICE), PRICE, now())], now())
                .await
                .expect("records")
                .answers
        })
    });
    let mut answers = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        answers.extend(call.await.expect("no panic"));
    }
    assert_eq!(begun(&answers), 10);
    assert_eq!(queue.counter().await, Counter { reserved: 10 * PRICE, spent: 0 });
    other.close().await;
}

#[tokio::test]
async fn a_verdict_gives_the_reservation_back_once_and_books_what_it_cost() {
    let check = async |name: &str, entries: fn(AttemptId) -> Vec<Entry>, spent: i64| {
        let queue = Queue::new(1).await;
        let row = queue.begun(1).await;
        assert_eq!(queue.counter().await, Counter { reserved: PRICE, spent: 0 });
        for entry in entries(row) {
            queue.record(&[entry]).await;
        }
        assert_eq!(queue.counter().await, Counter { reserved: 0, spent }, "{name}");
        // The first verdict wins, and is the only one that counts.
        queue.record(&[settle(row, 1, "delivered", 7), settle(row, 1, "unknown", 0)]).await;
        queue.record(&[Entry::Abandon { attempt: row, job: JobId(1) }]).await;
        assert_eq!(queue.counter().await, Counter { reserved: 0, spent }, "{name}, again");
        queue.sql("UPDATE jobs SET status = 'cancelled' WHERE status = 'running'").await;
        queue.sql("DELETE FROM jobs").await;
        assert_eq!(queue.counter().await, Counter { reserved: 0, spent }, "{name}, deleted");
    };
    check("delivered", |row| vec![settle(row, 1, "delivered", 60)], 60).await;
    check("dearer than it was taken to be", |row| vec![settle(row, 1, "delivered", 160)], 160).await;
    check("failed", |row| vec![settle(row, 1, "failed", 0)], 0).await;
    check("failed and billed", |row| vec![settle(row, 1, "failed", 60)], 60).await;
    check("of unknown fate", |row| vec![settle(row, 1, "unknown", 0)], PRICE).await;
    check(
        "accepted before",
        |row| {
            let accept =
                Entry::Accept { attempt: row, job: JobId(1), operation: "o".to_owned(), request_id: None };
            vec![accept, settle(row, 1, "delivered", 60)]
        },
        60,
    )
    .await;
    check(
        "with the end of its run",
        |row| vec![finish(1, vec![verdict(Some(row), 1, "delivered", 60)], TOKEN)],
        60,
    )
    .await;
    check(
        "late, whose lease is gone",
        |row| vec![finish(1, vec![verdict(Some(row), 1, "delivered", 60)], "another token of a daemon")],
        60,
    )
    .await;
}

#[tokio::test]
async fn whatever_ends_an_attempt_otherwise_leaves_its_reservation_spent() {
    let kept = Counter { reserved: 0, spent: PRICE };
    // A person cancels, and the daemon learns of it during the call.
    let queue = Queue::new(1).await;
    let row = queue.begun(1).await;
    queue.sql("UPDATE jobs SET status = 'cancelled'").await;
    assert_eq!(queue.counter().await, Counter { reserved: PRICE, spent: 0 }, "the call goes on");
    queue.record(&[Entry::Abandon { attempt: row, job: JobId(1) }]).await;
    assert_eq!(queue.counter().await, kept);

    // A person deletes the job during the call.
    let queue = Queue::new(1).await;
    let row = queue.begun(1).await;
    queue.sql("UPDATE jobs SET status = 'cancelled'").await;
    queue.sql("DELETE FROM jobs").await;
    assert_eq!(queue.counter().await, kept);
    queue.record(&[settle(row, 1, "delivered", 60)]).await;
    assert_eq!(queue.counter().await, kept, "its verdict comes too late to count");

    // Nobody can read the job's rows.
    let queue = Queue::new(1).await;
    queue.begun(1).await;
    let mut tx = queue.pools.writer.begin().await.expect("begins");
    let mut spoiled = Spoiled::default();
    spoiled.add(JobId(1), "as the test wants it");
    spoiled.hand_over(&mut tx, &LeaseToken(TOKEN.to_owned()), now()).await.expect("hands over");
    tx.commit().await.expect("commits");
    assert_eq!(queue.counter().await, kept);
}

#[tokio::test]
async fn only_paid_calls_that_begin_are_counted() {
    let queue = Queue::new(2).await;
    let counters = async || -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM spending")
            .fetch_one(&queue.pools.readers)
            .await
            .expect("counts")
    };
    // Free calls and skipped links have no row before their verdict.
    queue.record(&[Entry::Settle(Box::new(verdict(None, 1, "failed", 0)))]).await;
    queue.record(&[Entry::Settle(Box::new(verdict(None, 1, "skipped", 0)))]).await;
    assert_eq!(counters().await, 0);
    // A paid one whose price is not known counts when it has cost something.
    let Recorded::Begun(row) = queue.begin(1, day(PRICE), 0).await else { panic!("begins") };
    assert_eq!(counters().await, 0);
    queue.record(&[settle(row, 1, "delivered", PRICE)]).await;
    assert_eq!(queue.counter().await, Counter { reserved: 0, spent: PRICE });
    assert!(matches!(queue.begin(1, day(PRICE), 0).await, Recorded::OverBudget(_)));
    assert!(matches!(queue.begin(1, day(PRICE + 1), 0).await, Recorded::Begun(_)));
    // One whose lease is gone does not begin.
    queue.sql("UPDATE jobs SET status = 'cancelled' WHERE id = 2").await;
    assert_eq!(queue.begin(2, Budget::default(), PRICE).await, Recorded::LeaseGone);
    assert_eq!(queue.counter().await, Counter { reserved: 0, spent: PRICE });
}

#[tokio::test]
async fn a_call_counts_for_the_day_and_month_in_which_it_began() {
    let queue = Queue::new(1).await;
    let eve = from_text("2026-11-30T23:59:59.999Z").expect("valid");
    let next = from_text("2026-12-01T00:00:00.000Z").expect("valid");
    let Recorded::Begun(row) = queue.record(&[begin(1, day(PRICE), PRICE, eve)]).await.remove(0) else {
        panic!("begins")
    };
    assert_eq!(queue.counter_of(next).await, Counter::default());
    let late = AttemptResult { finished_at: next, ..verdict(Some(row), 1, "delivered", 60) };
    queue.record(&[Entry::Settle(Box::new(late))]).await;
    assert_eq!(queue.counter_of(eve).await, Counter { reserved: 0, spent: 60 });
    assert_eq!(queue.counter_of(next).await, Counter::default(), "it ended in the next month");
    assert!(matches!(queue.record(&[begin(1, day(PRICE), PRICE, next)]).await[0], Recorded::Begun(_)));
}

#[tokio::test]
async fn counters_stay_when_jobs_go_and_go_more_than_a_year_later() {
    let queue = Queue::new(1).await;
    let row = queue.begun(1).await;
    queue.record(&[finish(1, vec![verdict(Some(row), 1, "delivered", 60)], TOKEN)]).await;
    queue.sql("UPDATE jobs SET status = 'cancelled'").await;
    let prune = async |before: &str| {
        ledger::prune(&queue.pools.writer, from_text(before).expect("valid"), 500).await.expect("prunes")
    };
    assert_eq!(prune("2027-12-01T00:00:00.000Z").await, 1);
    assert_eq!(queue.counter().await, Counter { reserved: 0, spent: 60 });
    // 400 days after the last day of its month.
    prune("2028-01-04T00:00:00.000Z").await;
    assert_eq!(queue.counter().await, Counter { reserved: 0, spent: 60 });
    prune("2028-01-05T00:00:00.000Z").await;
    assert_eq!(queue.counter().await, Counter::default());
}

/// The rules as the domain states them, held against the file over a long story of calls.
#[tokio::test]
async fn the_counters_are_what_the_rules_say_after_every_step() {
    const LIMIT: i64 = 1_000;
    let queue = Queue::new(8).await;
    let mut expected = Counter::default();
    let mut open: Vec<(AttemptId, i64, i64)> = Vec::new();
    let mut dice: u64 = 7;
    let mut roll = |sides: i64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        i64::try_from(dice >> 33).expect("31 bits") % sides
    };
    for _ in 0..300 {
        if roll(2) == 0 || open.is_empty() {
            let (job, micros) = (1 + roll(8), 1 + roll(200));
            let fits = expected.used() + micros <= LIMIT;
            match queue.begin(job, day(LIMIT), micros).await {
                Recorded::Begun(row) => {
                    assert!(fits, "{expected:?} and {micros}");
                    expected.reserve(micros);
                    open.push((row, job, micros));
                }
                Recorded::NoRoom(no_room) => panic!("{no_room:?}"),
                Recorded::OverBudget(used_up) => {
                    assert!(!fits, "{expected:?} and {micros}");
                    assert_eq!(used_up.counter, expected);
                }
                other @ (Recorded::Written | Recorded::LeaseGone) => panic!("{other:?}"),
            }
        } else {
            let (row, job, micros) = open.remove(0);
            // Cheaper by far, so that the story goes on.
            let (status, cost) = match roll(8) {
                0 => ("unknown", 0),
                1..4 => ("failed", 0),
                _ => ("delivered", roll(10).min(micros)),
            };
            queue.record(&[settle(row, job, status, cost)]).await;
            expected.settle(micros, cost_of_verdict(status == "unknown", micros, cost));
        }
        assert_eq!(queue.counter().await, expected);
    }
    for (row, job, micros) in open {
        queue.record(&[settle(row, job, "failed", 0)]).await;
        expected.settle(micros, 0);
    }
    assert_eq!(queue.counter().await, expected);
    assert_eq!(expected.reserved, 0);
}
