//! Whose a job is: one that was sent round again, one that runs alone, one that ends beside its call.

use backstop::domain::budget::{Budget, Reservation};
use backstop::domain::job::RunId;
use backstop::store::{AttemptFacts, AttemptId, AttemptResult, Claim, Entry, Recorded};

use super::*;

fn holding(asked: &'static str) -> Arc<FakeVendor> {
    FakeVendor::new(
        move |provider, _| if provider == asked { Says::Nothing } else { words() },
        |_, _| words(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_sent_round_again_during_its_call_has_two_calls_and_only_the_old_one_is_stopped() {
    let house = House::new(
        &format!("[queue]\nlease = \"2s\"\n{}", two_links("")),
        holding("house"),
        FakeVault::default(),
    )
    .await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("twice");
    house.place.shows("SELECT id, status FROM attempts", "1|started");
    house
        .place
        .sql("BEGIN; UPDATE jobs SET status = 'cancelled'; UPDATE jobs SET status = 'pending'; COMMIT;");
    house.place.shows("SELECT id, status FROM attempts ORDER BY id", "1|unknown\n2|started");
    // The end of the first call must not take the second one's lease along.
    let lease = house.place.sql("SELECT lease_until FROM jobs");
    house.place.shows(
        &format!("SELECT lease_until > strftime('%Y-%m-%dT%H:%M:%fZ', '{lease}', '+3 seconds') FROM jobs"),
        "1",
    );
    house.place.finds("SELECT status, deaths FROM jobs", "running|0");
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
    assert_eq!(house.vendor.calls("house"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_does_not_take_over_what_it_holds_itself() {
    let house = House::new(
        &format!("[queue]\nlease = \"1h\"\n{}", two_links("")),
        holding("house"),
        FakeVault::default(),
    )
    .await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("slow");
    house.place.shows("SELECT status FROM attempts", "started");
    // As after a night in which the machine slept.
    house.place.sql(
        "UPDATE jobs SET lease_until = '2026-01-01T00:00:00.000Z';
         INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', 'next', 'second');",
    );
    house.place.shows("SELECT status FROM jobs WHERE slug = 'next'", "done");
    house.place.finds("SELECT status, deaths FROM jobs WHERE slug = 'slow'", "running|0");
    house.place.finds("SELECT provider, status FROM attempts WHERE job_id = 1", "house|started");
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_two_workers_died_of_runs_alone() {
    let vendor = FakeVendor::new(|_, _| words(), |_, _| words());
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house.place.sql(
        "INSERT INTO jobs (asset, slug) VALUES ('social-text', 'a'), ('social-text', 'deadly'),
             ('social-text', 'b'), ('social-text', 'c'), ('social-text', 'deadly-too');
         UPDATE jobs SET deaths = 2 WHERE slug GLOB 'deadly*';",
    );
    house.drain().await;
    house.place.finds("SELECT status, count(*) FROM jobs GROUP BY status", "done|5");
    house.place.finds(
        "SELECT count(*) FROM jobs d JOIN runs r ON r.job_id = d.id JOIN runs o ON o.job_id <> d.id
         WHERE d.slug GLOB 'deadly*' AND r.started_at < o.finished_at AND o.started_at < r.finished_at",
        "0",
    );
    house.place.finds("SELECT sum(deaths) FROM jobs", "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_stays_alone_when_it_comes_back_and_three_deaths_alone_make_it_a_persons() {
    let limited = |_: &str, _| Says::Fails(FailureClass::Transient);
    let house =
        House::new(&two_links(""), FakeVendor::new(limited, |_, _| words()), FakeVault::default()).await;
    house.place.enqueue("deadly");
    house.place.sql("UPDATE jobs SET deaths = 2, solo_deaths = 1");
    house.drain().await;
    house.place.finds("SELECT status, deaths, solo_deaths FROM jobs", "pending|2|1");

    // Its worker dies once more, and its prompt cannot even be rendered without harm.
    house.place.sql(
        "UPDATE jobs SET solo_deaths = 2, run_at = 'now';
         UPDATE jobs SET status = 'running', lease_token = '0123456789abcdef', lease_until = '2026-01-01T00:00:00.000Z'
         WHERE id = 1;",
    );
    house.drain().await;
    house.place.finds(
        "SELECT status, error, deaths, solo_deaths FROM jobs",
        "manual|its worker died 3 times while it ran alone; see the journal|0|0",
    );
    assert_eq!(house.vendor.calls("house"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_is_booked_when_the_job_goes_while_the_vault_cannot_keep_its_file() {
    let vendor = FakeVendor::new(|_, _| Says::Costly("long ".repeat(20_000), 7), |_, _| words());
    let vault = FakeVault::full();
    let configuration = format!("[queue]\nlease = \"2s\"\n{}", two_links("accept = { max_chars = 200000 }"));
    let house = House::new(&configuration, vendor, vault).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("unwanted");
    super::super::until("the vault is tried", || house.vault.tries.load(Ordering::SeqCst) > 0);
    house.place.sql("UPDATE jobs SET status = 'cancelled'");
    house.place.shows("SELECT status, class, cost_micros FROM attempts", "failed|internal|7");
    house.place.finds("SELECT status FROM jobs", "cancelled");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_whose_calls_are_all_taken_is_tried_again_later() {
    let vendor = FakeVendor::new(
        |provider, _| if provider == "house" { Says::Fails(FailureClass::Invalid) } else { Says::Nothing },
        |_, _| words(),
    );
    let house = House::new(
        &two_links("").replace("timeout = \"30s\"", "timeout = \"1s\"\nconcurrency = 1"),
        vendor,
        FakeVault::default(),
    )
    .await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("first");
    house.place.shows("SELECT provider, status FROM attempts WHERE provider = 'second'", "second|started");
    house.place.enqueue("crowded-out");
    house.place.shows(
        "SELECT status, error LIKE '%second: all its calls are taken' FROM jobs WHERE slug = 'crowded-out'",
        "pending|1",
    );
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_fails_is_not_run_at_every_write() {
    let told = "[on_manual]\ncommand = [\"/bin/sh\", \"-c\", \"echo >> tried; exit 1\"]\n";
    let vendor = FakeVendor::new(|_, _| words(), |_, _| words());
    let house = House::new(&format!("{}{told}", two_links("")), vendor, FakeVault::default()).await;
    let tried = house.place.file("tried");
    let configuration = house.config.on_manual.clone().expect("configured");
    assert_eq!(configuration.len(), 3);
    let mut house = house;
    let script = format!("echo >> {}; exit 1", tried.display());
    house.config.on_manual = Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), script]);
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house
        .place
        .sql("INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', 'm', 'manual')");
    super::super::until("the command is tried", || tried.exists());
    for slug in ["a", "b", "c", "d", "e"] {
        house.place.enqueue(slug);
        house.place.shows(&format!("SELECT status FROM jobs WHERE slug = '{slug}'"), "done");
    }
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
    assert_eq!(std::fs::read_to_string(tried).expect("tried").lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_verdict_does_not_fall_on_the_attempt_that_has_its_number_now() {
    let vendor = FakeVendor::new(|_, _| words(), |_, _| words());
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    let begun = async |slug: &str| {
        house.place.enqueue(slug);
        let claim = house.claim().await;
        let facts = facts(&claim);
        let entry =
            Entry::Begin { token: claim.token, facts: Box::new(facts.clone()), reservation: unlimited() };
        let written = house.store.record(&[entry], now()).await.expect("written");
        match written.answers.as_slice() {
            [Recorded::Begun(row)] => (*row, facts),
            other => panic!("{other:?}"),
        }
    };
    let (row, old) = begun("deleted").await;
    house.place.sql("UPDATE jobs SET status = 'cancelled' WHERE id = 1; DELETE FROM jobs WHERE id = 1;");
    assert_eq!(begun("next").await.0, row, "its number is free again");
    let late = [
        Entry::Accept { attempt: row, job: old.job, operation: "operations/1".to_owned(), request_id: None },
        Entry::Settle(Box::new(failed(Some(row), old.clone()))),
        Entry::Settle(Box::new(failed(None, old.clone()))),
        Entry::Abandon { attempt: row, job: old.job },
    ];
    house.store.record(&late, now()).await.expect("written");
    house.place.finds("SELECT job_id, status, operation FROM attempts", "2|started|");
}

impl House {
    async fn claim(&self) -> Claim {
        let asset = self.config.assets.iter().find(|asset| asset.name.as_str() == "social-text");
        let asset = asset.expect("configured");
        let (name, chain) = (asset.name.clone(), asset.chain.clone());
        let wanted = Wanted { asset: name, chain, most: 1, shares: None, only_bought: false };
        let request = ClaimRequest {
            now: now(),
            take_over: true,
            lease_until: after(now(), Duration::from_secs(60)),
            token: LeaseToken("0123456789abcdef0123".to_owned()),
            owner: "somebody".to_owned(),
            wanted: vec![wanted],
            free: std::collections::BTreeMap::new(),
            limit: 1,
            held: Vec::new(),
        };
        self.store.claim_due(&request).await.expect("claimed").claims.remove(0)
    }
}

fn unlimited() -> Reservation {
    let (asset, none) = (AssetName::parse("social-text").expect("valid"), Budget::default());
    Reservation { asset, micros: 0, provider_budget: none, asset_budget: none }
}

fn facts(claim: &Claim) -> AttemptFacts {
    let RunId(_) = claim.run.id;
    AttemptFacts {
        job: claim.job.id,
        run: claim.run.id,
        position: 0,
        repeat: 0,
        provider: ProviderName::parse("house").expect("valid"),
        model: None,
        fingerprint: "f".to_owned(),
        started_at: now(),
        slot: None,
    }
}

fn failed(row: Option<AttemptId>, facts: AttemptFacts) -> AttemptResult {
    AttemptResult {
        row,
        facts,
        status: "failed",
        class: Some("transient"),
        error: Some("late".to_owned()),
        http_status: None,
        request_id: None,
        finished_at: now(),
        cost_micros: 0,
        event: None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_capacity_does_not_hide_when_the_next_job_is_due() {
    let vendor = FakeVendor::new(|_, _| words(), |_, _| words());
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house.place.sql(
        "INSERT INTO jobs (asset, slug, run_at) VALUES ('social-text', 'blocked', '2026-01-01'),
             ('social-text', 'next', '2199-01-01'), ('social-text', 'after', '2199-01-02')",
    );
    let assets = [AssetName::parse("social-text").expect("valid")];
    let due = house.store.next_due_at(&assets, now()).await.expect("reads");
    assert_eq!(due.map(backstop::domain::time::to_text).as_deref(), Some("2199-01-01T00:00:00.000Z"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_ticks_and_notices_go_but_the_last_tick_stays() {
    let vendor = FakeVendor::new(|_, _| words(), |_, _| words());
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house.place.sql(
        "INSERT INTO recurring_ticks (schedule, tick, created_at) VALUES
             ('s', '2026-01-01', '2026-01-01'), ('s', '2026-01-02', '2026-01-02'), ('t', '2026-01-01', '2026-01-01');
         INSERT INTO jobs (asset, slug) VALUES ('social-text', 'there');
         INSERT INTO notices (job_id, kind, created_at, sent_at) VALUES
             (1, 'manual', '2026-01-01', NULL), (1, 'done', '2026-01-01', '2026-01-01'), (9, 'done', '2026-01-01', NULL);",
    );
    house.store.prune(now(), 500).await.expect("prunes");
    house.place.finds("SELECT schedule, tick FROM recurring_ticks", "s|2026-01-02\nt|2026-01-01");
    house.place.finds("SELECT job_id, kind FROM notices", "1|manual");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_is_polled_on_though_every_call_of_its_provider_is_taken() {
    let vendor = FakeVendor::new(
        |provider, before| match (provider, before) {
            ("house", _) => Says::Fails(FailureClass::Invalid),
            (_, 0) => Says::Accepted,
            (_, _) => Says::Nothing,
        },
        |_, _| words(),
    );
    let house = House::new(
        &two_links("").replace("timeout = \"30s\"", "timeout = \"2s\"\nconcurrency = 1"),
        vendor,
        FakeVault::default(),
    )
    .await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("bought");
    house.place.shows("SELECT status FROM attempts WHERE provider = 'second'", "accepted");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
    house.place.sql("UPDATE jobs SET run_at = '2199-01-01'");

    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("in-the-way");
    house.place.shows("SELECT status FROM attempts WHERE provider = 'second' AND job_id = 2", "started");
    house.place.sql("UPDATE jobs SET run_at = 'now' WHERE id = 1");
    house.place.shows("SELECT status, provider FROM jobs WHERE id = 1", "done|second");
    house.place.finds(
        "SELECT status, operation FROM attempts WHERE provider = 'second' AND job_id = 1",
        "delivered|operations/17",
    );
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_nobody_asks_after_any_more_has_its_verdict_with_the_run() {
    let vendor = FakeVendor::new(|_, _| Says::Accepted, |_, _| words());
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("deadly");
    house.place.shows("SELECT status FROM attempts", "accepted");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
    house.place.sql("UPDATE jobs SET deaths = 5, solo_deaths = 3");
    house.drain().await;
    house.place.finds("SELECT status FROM jobs", "manual");
    house.place.finds("SELECT status, class FROM attempts", "unknown|unknown_outcome");
    house.place.finds("SELECT count(*) FROM provider_health WHERE consecutive_failures > 0", "0");
}
