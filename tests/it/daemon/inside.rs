//! The daemon from within, with a vendor and a vault that misbehave on demand.

mod bought;
mod clocks;
mod ownership;
mod probes;
mod refused;
mod vault;

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backstop::config::{Config, Sources, load};
use backstop::daemon::book::Book;
use backstop::daemon::{Daemon, DaemonError, Parts, Progress, Stop};
use backstop::domain::ask::{Answer, Ask, Body, Output};
use backstop::domain::failure::{Failure, FailureClass};
use backstop::domain::job::JobId;
use backstop::domain::name::{AssetName, ProviderName};
use backstop::domain::time::{Clock, Timestamp, after, to_text};
use backstop::providers::{Generate, catalog};
use backstop::store::sqlite::SqliteStore;
use backstop::store::{ClaimRequest, LeaseToken, Store, Wanted};
use backstop::vault::{LocalVault, Vault};
use tokio::task::JoinHandle;

use super::{PATIENCE, Place, texts};
use vault::FakeVault;

fn now() -> Timestamp {
    #[allow(clippy::disallowed_methods, reason = "the real store keeps real times")]
    chrono::Utc::now()
}

/// What the fake vendor does with a call or a poll.
enum Says {
    /// A text.
    Text(String),
    /// A text, and what it cost in micro-dollars.
    Costly(String, i64),
    /// It takes the job.
    Accepted,
    /// A failure.
    Fails(FailureClass),
    /// A bug in a translator.
    Panics,
    /// Nothing, ever.
    Nothing,
}

impl Says {
    async fn answer(self) -> Result<Answer, Failure> {
        match self {
            Self::Text(text) => Ok(Answer::Output(Output::plain(Body::Text(text)))),
            Self::Costly(text, cost_micros) => {
                Ok(Answer::Output(Output { cost_micros, ..Output::plain(Body::Text(text)) }))
            }
            Self::Accepted => {
                Ok(Answer::Accepted { operation: "operations/17".to_owned(), request_id: None })
            }
            Self::Fails(class) => Err(Failure::new(class, "as the test wants it")),
            Self::Panics => panic!("a bug in a translator"),
            Self::Nothing => std::future::pending().await,
        }
    }
}

fn words() -> Says {
    Says::Text("A text that is long enough to be published.".to_owned())
}

type Script = dyn Fn(&str, usize) -> Says + Send + Sync;

/// Answers for every provider; scripts are asked with the provider's label and how often it was called before.
struct FakeVendor {
    call: Box<Script>,
    poll: Box<Script>,
    calls: Mutex<HashMap<String, usize>>,
    polls: AtomicUsize,
}

impl FakeVendor {
    fn new(
        call: impl Fn(&str, usize) -> Says + Send + Sync + 'static,
        poll: impl Fn(&str, usize) -> Says + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            call: Box::new(call),
            poll: Box::new(poll),
            calls: Mutex::default(),
            polls: AtomicUsize::new(0),
        })
    }

    fn calls(&self, provider: &str) -> usize {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(provider).copied().unwrap_or(0)
    }

    fn count(&self, provider: &str) -> usize {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(provider.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

#[async_trait]
impl Generate for FakeVendor {
    async fn call(&self, provider: &ProviderName, _: &Ask, _: Duration) -> Result<Answer, Failure> {
        let before = self.count(provider.as_str());
        (self.call)(provider.as_str(), before).answer().await
    }

    async fn poll(
        &self,
        provider: &ProviderName,
        operation: &str,
        _: &Ask,
        _: Duration,
    ) -> Result<Answer, Failure> {
        assert_eq!(operation, "operations/17");
        let before = self.polls.fetch_add(1, Ordering::SeqCst);
        (self.poll)(provider.as_str(), before).answer().await
    }
}

/// A queue and everything a daemon over it is made of.
struct House {
    place: Place,
    config: Config,
    store: Arc<SqliteStore>,
    vendor: Arc<FakeVendor>,
    vault: Arc<FakeVault>,
    /// By how many seconds the clock was set forward.
    forward: Arc<AtomicI64>,
    spool: Arc<dyn Vault>,
}

impl House {
    async fn new(configuration: &str, vendor: Arc<FakeVendor>, vault: FakeVault) -> Self {
        let place = Place::new(configuration);
        let sources = Sources { working_directory: place.folder.path().to_owned(), ..Sources::default() };
        let config = load(&sources, catalog(), now()).expect("a configuration");
        let (store, _) = SqliteStore::open(&place.file("backstop.db")).await.expect("opens");
        let spool = LocalVault::private(&place.file("in-hand")).expect("a folder");
        let (vault, spool) = (Arc::new(vault), Arc::new(spool));
        Self { place, config, store: Arc::new(store), vendor, vault, forward: Arc::default(), spool }
    }

    fn clock(&self) -> Clock {
        let forward = Arc::clone(&self.forward);
        Arc::new(move || now() + chrono::TimeDelta::seconds(forward.load(Ordering::SeqCst)))
    }

    async fn daemon(&self, stop: &Stop) -> Daemon {
        let book = Book::new(
            &self.config,
            Arc::clone(&self.vendor) as Arc<dyn Generate>,
            Arc::clone(&self.vault) as Arc<dyn Vault>,
        );
        let parts = Parts {
            store: Arc::clone(&self.store) as Arc<dyn Store>,
            book: book.expect("compiles"),
            clock: self.clock(),
            // The shortest waits.
            random: Arc::new(|| 0.0),
            fresh: Arc::new(|| uuid::Uuid::new_v4().simple().to_string()),
            lock_folder: self.place.folder.path().to_owned(),
            spool: Some(Arc::clone(&self.spool) as Arc<dyn Vault>),
        };
        Daemon::new(parts, stop.clone()).await.expect("a daemon")
    }

    async fn serve(&self, stop: &Stop) -> JoinHandle<Result<Progress, DaemonError>> {
        tokio::spawn(self.daemon(stop).await.serve())
    }

    async fn drain(&self) {
        let drained = tokio::time::timeout(PATIENCE, self.daemon(&Stop::default()).await.drain()).await;
        drained.expect("drain ends").expect("drain succeeds");
    }
}

async fn ended<T>(daemon: JoinHandle<T>) -> T {
    tokio::time::timeout(PATIENCE, daemon).await.expect("the daemon ends").expect("without a panic")
}

fn two_links(rest: &str) -> String {
    let address = || "http://127.0.0.1:9/v1".to_owned();
    texts(&format!("[\"house\", \"second\"]\n{rest}"), &[("house", address()), ("second", address())])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_operation_is_polled_and_a_poll_without_answer_is_no_verdict() {
    let vendor = FakeVendor::new(
        |_, _| Says::Accepted,
        |_, before| if before == 0 { Says::Fails(FailureClass::TimedOut) } else { words() },
    );
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house.place.enqueue("long");
    house.drain().await;
    house.place.finds("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    house.place.finds("SELECT status, operation FROM attempts", "delivered|operations/17");
    assert_eq!((house.vendor.calls("house"), house.vendor.polls.load(Ordering::SeqCst)), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_that_is_refused_buys_nothing_a_second_time() {
    let vendor = FakeVendor::new(
        |_, _| Says::Accepted,
        |_, before| match before {
            0 => Says::Fails(FailureClass::Auth),
            1 => Says::Fails(FailureClass::Quota { until: None }),
            2 => Says::Fails(FailureClass::RateLimited { until: None }),
            _ => words(),
        },
    );
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house.place.enqueue("long");
    house.drain().await;
    house.place.finds("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    assert_eq!((house.vendor.calls("house"), house.vendor.calls("second")), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_is_handed_back_at_a_stop_and_polled_on_by_the_next_daemon() {
    let vendor = FakeVendor::new(|_, _| Says::Accepted, |_, _| words());
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("long");
    house.place.shows("SELECT status FROM attempts", "accepted");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
    assert_eq!(house.vendor.polls.load(Ordering::SeqCst), 0, "it is handed back before the first poll");
    house.place.finds("SELECT status, runs FROM jobs", "pending|0");
    house.place.finds("SELECT id, outcome FROM runs", "1|");

    // Nothing new would be sent there, but what is bought already is fetched.
    house.place.sql("INSERT INTO provider_health (provider, paused_until) VALUES ('house', '2099-01-01')");
    house.drain().await;
    house.place.finds("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    house.place.finds("SELECT id, number, outcome FROM runs", "1|1|delivered");
    house.place.finds("SELECT status, operation FROM attempts", "delivered|operations/17");
    assert_eq!(house.vendor.calls("house"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_is_polled_on_though_its_budget_is_used_up_and_is_settled_with_what_it_cost() {
    let delivers =
        |_: &str, _| Says::Costly("A text that is long enough to be published.".to_owned(), 30_000);
    let vendor = FakeVendor::new(|_, _| Says::Accepted, delivers);
    let address = || "http://127.0.0.1:9/v1".to_owned();
    let configuration = texts("[\"house\", \"second\"]", &[("second", address()), ("house", address())]);
    let limited = format!("{configuration}price = 0.05\nbudget = {{ month = 0.05 }}\n");
    let house = House::new(&limited, vendor, FakeVault::default()).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("long");
    house.place.shows("SELECT status, reserved_micros FROM attempts", "accepted|50000");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
    let counters = "SELECT DISTINCT reserved_micros, spent_micros FROM spending";
    house.place.finds(counters, "50000|0");
    house.drain().await;
    house.place.finds("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    house.place.finds(counters, "0|30000");
    assert_eq!((house.vendor.calls("house"), house.vendor.calls("second")), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_of_other_settings_is_not_asked_after() {
    let vendor =
        FakeVendor::new(|_, before| if before == 0 { Says::Accepted } else { words() }, |_, _| words());
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("long");
    house.place.shows("SELECT status FROM attempts", "accepted");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
    house.place.sql("UPDATE attempts SET fingerprint = 'of another key'");
    // Two calls of `second`: the first is accepted too, and the script delivers only the next.
    house.vendor.count("second");
    house.drain().await;
    house.place.finds("SELECT provider, status FROM attempts ORDER BY id", "house|unknown\nsecond|delivered");
    assert_eq!(house.vendor.polls.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_does_not_end_leaves_the_links_after_it_their_time() {
    let vendor = FakeVendor::new(
        |provider, _| if provider == "house" { Says::Accepted } else { words() },
        |_, _| Says::Accepted,
    );
    let configuration = two_links("").replacen("timeout = \"30s\"", "timeout = \"2s\"", 1);
    let house = House::new(&configuration, vendor, FakeVault::default()).await;
    house.place.enqueue("endless");
    house.drain().await;
    house.place.finds("SELECT status, provider FROM jobs", "done|second");
    house
        .place
        .finds("SELECT status, class FROM attempts WHERE provider = 'house'", "unknown|unknown_outcome");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_translator_that_panics_is_a_failed_attempt() {
    let vendor = FakeVendor::new(
        |provider, _| if provider == "house" { Says::Panics } else { words() },
        |_, _| words(),
    );
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house.place.enqueue("unlucky");
    house.drain().await;
    house.place.finds("SELECT status, provider, fallback_used FROM jobs", "done|second|1");
    house.place.finds(
        "SELECT DISTINCT status, class, error LIKE '%translator panicked%' FROM attempts WHERE provider = 'house'",
        "failed|unusable|1",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_before_an_interruption_is_remembered_after_it() {
    let vendor = FakeVendor::new(
        |provider, before| match (provider, before) {
            ("house", _) => Says::Fails(FailureClass::Refused { category: None }),
            (_, 0) => Says::Nothing,
            (_, _) => Says::Fails(FailureClass::Invalid),
        },
        |_, _| words(),
    );
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("delicate");
    house.place.shows("SELECT status FROM attempts WHERE provider = 'second'", "started");
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
    house.drain().await;
    house.place.finds("SELECT status FROM jobs", "manual");
    house.place.finds("SELECT primary_last_error LIKE 'refused: %' FROM asset_health", "1");

    house.store.retry(JobId(1), None).await.expect("retried");
    house.drain().await;
    assert_eq!((house.vendor.calls("house"), house.vendor.calls("second")), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duty_that_fails_ends_the_daemon_with_an_error() {
    let vendor = FakeVendor::new(|_, _| words(), |_, _| words());
    let mut house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    "no schedule".clone_into(&mut house.config.queue.schedule);
    let daemon = house.serve(&Stop::default()).await;
    let error = ended(daemon).await.expect_err("it cannot go on without its schedule");
    assert!(matches!(error, DaemonError::Schedule(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_held_is_renewed_of_a_claim() {
    let vendor = FakeVendor::new(|_, _| words(), |_, _| words());
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house
        .place
        .sql("INSERT INTO jobs (asset, slug) VALUES ('social-text', 'held'), ('social-text', 'dropped')");
    let now = now();
    let token = LeaseToken("0123456789abcdef0123".to_owned());
    let asset = house.config.assets.iter().find(|asset| asset.name.as_str() == "social-text");
    let wanted = |most| Wanted {
        asset: AssetName::parse("social-text").expect("valid"),
        chain: asset.expect("configured").chain.clone(),
        most,
        shares: None,
        only_bought: false,
    };
    let request = ClaimRequest {
        now,
        take_over: true,
        lease_until: after(now, Duration::from_secs(60)),
        token: token.clone(),
        owner: "somebody".to_owned(),
        wanted: vec![wanted(8)],
        free: std::collections::BTreeMap::new(),
        limit: 8,
        held: Vec::new(),
    };
    assert_eq!(house.store.claim_due(&request).await.expect("claimed").claims.len(), 2);
    let held = [(token, JobId(1))];
    let renewed = house.store.renew(&held, after(now, Duration::from_secs(3_600))).await.expect("renewed");
    assert_eq!(renewed, held);
    house.place.finds("SELECT count(DISTINCT lease_until) FROM jobs", "2");
}
