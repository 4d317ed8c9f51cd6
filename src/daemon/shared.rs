//! What the daemon's duties share.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::name::AssetName;
use crate::domain::time::{Clock, Timestamp};
use crate::store::{Claim, Held, LeaseToken, Store};

use super::board::Board;
use super::book::Book;
use super::hands::Hands;
use super::recorder::Recorder;
use super::worker::Worker;
use super::{Parts, Progress, Stop};

/// What the daemon's duties share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) random: Arc<dyn Fn() -> f64 + Send + Sync>,
    pub(super) fresh: Arc<dyn Fn() -> String + Send + Sync>,
    pub(super) board: Board,
    pub(super) recorder: Recorder,
    pub(super) hands: Hands,
    pub(super) worker: Worker,
    pub(super) stop: Stop,
    pub(super) tracker: TaskTracker,
    /// Cancelled when the daemon is dropped; its runs end with it.
    pub(super) gone: CancellationToken,
    /// Wakes the claim loop.
    pub(super) wake: Notify,
    /// Wakes the notices.
    pub(super) told: watch::Sender<()>,
    /// Whether somebody else has written since the last pass.
    pub(super) dirty: AtomicBool,
    pub(super) progress: watch::Sender<Progress>,
    book: watch::Sender<Arc<Book>>,
    /// What this worker holds. A job may be in it twice, under two tokens: one that was cancelled and sent round
    /// again while its first call still runs.
    held: Mutex<BTreeMap<Held, HeldJob>>,
}

struct HeldJob {
    asset: AssetName,
    manner: Manner,
    cancelled: CancellationToken,
}

/// How a job runs beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// As one of the queue's concurrency.
    Counted,
    /// Its call waits for nothing, so it does not count.
    Instant,
    /// Nothing runs beside it: workers have died with it in hand.
    Alone,
}

impl Shared {
    pub(super) fn new(parts: Parts, worker: Worker, stop: Stop) -> Self {
        Self {
            store: parts.store,
            clock: parts.clock,
            random: parts.random,
            fresh: parts.fresh,
            board: Board::default(),
            recorder: Recorder::new(),
            hands: Hands::new(parts.spool),
            worker,
            stop,
            tracker: TaskTracker::new(),
            gone: CancellationToken::new(),
            wake: Notify::new(),
            told: watch::Sender::new(()),
            dirty: AtomicBool::new(true),
            progress: watch::Sender::new(Progress::default()),
            book: watch::Sender::new(Arc::new(parts.book)),
            held: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(super) fn jitter(&self) -> f64 {
        (self.random)()
    }

    /// The configuration in force.
    pub(super) fn book(&self) -> Arc<Book> {
        Arc::clone(&self.book.borrow())
    }

    /// A place to wait for the next configuration.
    pub(super) fn books(&self) -> watch::Receiver<Arc<Book>> {
        self.book.subscribe()
    }

    pub(super) fn replace_book(&self, book: Book) {
        let book = book.counting_with(&self.book());
        self.book.send_replace(Arc::new(book));
        self.wake.notify_one();
    }

    /// A fresh token for a claim.
    pub(super) fn fresh_token(&self) -> LeaseToken {
        LeaseToken((self.fresh)())
    }

    /// Takes note of a claimed job; the token is cancelled when the lease is gone.
    pub(super) fn hold(self: &Arc<Self>, claim: &Claim, manner: Manner) -> Hold {
        let cancelled = CancellationToken::new();
        let (lease, asset) = ((claim.token.clone(), claim.job.id), claim.job.asset.clone());
        let held = HeldJob { asset, manner, cancelled: cancelled.clone() };
        self.with_held(|jobs| jobs.insert(lease.clone(), held));
        Hold { shared: Arc::clone(self), lease, cancelled }
    }

    /// Whether no job is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.with_held(|jobs| jobs.is_empty())
    }

    /// How many jobs are in flight that count against the queue's concurrency.
    pub(super) fn in_flight(&self) -> u32 {
        self.count_held(|held| held.manner != Manner::Instant)
    }

    /// Whether a job is in flight that nothing may run beside.
    pub(super) fn runs_alone(&self) -> bool {
        self.count_held(|held| held.manner == Manner::Alone) > 0
    }

    /// How many jobs of an asset are in flight.
    pub(super) fn in_flight_of(&self, asset: &AssetName) -> u32 {
        self.count_held(|held| held.asset == *asset)
    }

    /// Every lease held.
    pub(super) fn leases(&self) -> Vec<Held> {
        self.with_held(|jobs| jobs.keys().cloned().collect())
    }

    /// Stops the calls made under a lease that is gone; `false` where they have ended by themselves.
    pub(super) fn lose(&self, lease: &Held) -> bool {
        self.with_held(|jobs| jobs.get(lease).map(|held| held.cancelled.cancel()).is_some())
    }

    fn count_held(&self, counts: impl Fn(&HeldJob) -> bool) -> u32 {
        let count = self.with_held(|jobs| jobs.values().filter(|held| counts(held)).count());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn with_held<T>(&self, use_it: impl FnOnce(&mut BTreeMap<Held, HeldJob>) -> T) -> T {
        use_it(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A job in this worker's hands, until it is dropped.
pub(super) struct Hold {
    shared: Arc<Shared>,
    lease: Held,
    pub(super) cancelled: CancellationToken,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.with_held(|jobs| jobs.remove(&self.lease));
        self.shared.wake.notify_one();
    }
}
