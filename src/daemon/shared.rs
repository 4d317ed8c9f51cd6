//! What the daemon's duties share.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::domain::job::JobId;
use crate::domain::name::AssetName;
use crate::domain::time::{Clock, Timestamp};
use crate::store::{Claim, LeaseToken, Store};

use super::board::Board;
use super::book::Book;
use super::recorder::Recorder;
use super::worker::Worker;
use super::{Parts, Progress, Stop};

/// What the daemon's duties share.
pub(super) struct Shared {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Clock,
    pub(super) random: Arc<dyn Fn() -> f64 + Send + Sync>,
    pub(super) board: Board,
    pub(super) recorder: Recorder,
    pub(super) worker: Worker,
    pub(super) stop: Stop,
    pub(super) tracker: TaskTracker,
    /// Wakes the claim loop.
    pub(super) wake: Notify,
    /// Wakes the notices.
    pub(super) told: Notify,
    /// Whether somebody else has written since the last pass.
    pub(super) dirty: AtomicBool,
    pub(super) progress: watch::Sender<Progress>,
    book: watch::Sender<Arc<Book>>,
    /// The jobs this worker holds.
    held: Mutex<HashMap<JobId, HeldJob>>,
}

struct HeldJob {
    asset: AssetName,
    instant: bool,
    token: LeaseToken,
    cancelled: CancellationToken,
}

impl Shared {
    pub(super) fn new(parts: Parts, worker: Worker, stop: Stop) -> Self {
        Self {
            store: parts.store,
            clock: parts.clock,
            random: parts.random,
            board: Board::default(),
            recorder: Recorder::new(),
            worker,
            stop,
            tracker: TaskTracker::new(),
            wake: Notify::new(),
            told: Notify::new(),
            dirty: AtomicBool::new(true),
            progress: watch::Sender::new(Progress::default()),
            book: watch::Sender::new(Arc::new(parts.book)),
            held: Mutex::new(HashMap::new()),
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
        self.book.send_replace(Arc::new(book));
        self.wake.notify_one();
    }

    /// Takes note of a claimed job; the token is cancelled when the lease is gone.
    /// An `instant` one does not count against the queue's concurrency.
    pub(super) fn hold(self: &Arc<Self>, claim: &Claim, instant: bool) -> Hold {
        let cancelled = CancellationToken::new();
        let (job, asset, token) = (claim.job.id, claim.job.asset.clone(), claim.token.clone());
        let held = HeldJob { asset, instant, token, cancelled: cancelled.clone() };
        self.with_held(|jobs| jobs.insert(job, held));
        Hold { shared: Arc::clone(self), job, cancelled }
    }

    /// Whether no job is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.with_held(|jobs| jobs.is_empty())
    }

    /// How many jobs are in flight that count against the queue's concurrency.
    pub(super) fn in_flight(&self) -> u32 {
        let count = self.with_held(|jobs| jobs.values().filter(|held| !held.instant).count());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// How many jobs of an asset are in flight.
    pub(super) fn in_flight_of(&self, asset: &AssetName) -> u32 {
        let count = self.with_held(|jobs| jobs.values().filter(|held| held.asset == *asset).count());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Every lease held.
    pub(super) fn leases(&self) -> Vec<(LeaseToken, JobId)> {
        self.with_held(|jobs| jobs.iter().map(|(job, held)| (held.token.clone(), *job)).collect())
    }

    /// Stops the calls of a job whose lease is gone.
    pub(super) fn lose(&self, job: JobId) {
        self.with_held(|jobs| {
            if let Some(held) = jobs.get(&job) {
                held.cancelled.cancel();
            }
        });
    }

    fn with_held<T>(&self, use_it: impl FnOnce(&mut HashMap<JobId, HeldJob>) -> T) -> T {
        use_it(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A job in this worker's hands, until it is dropped.
pub(super) struct Hold {
    shared: Arc<Shared>,
    job: JobId,
    pub(super) cancelled: CancellationToken,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.shared.with_held(|jobs| jobs.remove(&self.job));
        self.shared.wake.notify_one();
    }
}
