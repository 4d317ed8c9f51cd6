//! The moving parts, one duty per file: schedule, claim, run, lease, maintain, stop.

mod attempt;
mod board;
pub mod book;
mod claim;
pub mod desk;
mod ending;
mod hands;
mod keeping;
pub mod kill_point;
mod lease;
mod maintain;
mod notices;
mod planning;
mod recorder;
mod recurring;
mod run;
mod schedule;
mod shared;
#[cfg(test)]
mod sim;
mod steady;
mod vitals;
mod wake;
pub mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::domain::time::Clock;
use crate::store::{Store, StoreError};
use crate::vault::Vault;

use book::Book;
use shared::Shared;
use worker::Worker;

/// Everything a daemon is made of.
pub struct Parts {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The configuration, ready for use.
    pub book: Book,
    /// Where the present comes from.
    pub clock: Clock,
    /// Where random shares (0 to 1) come from.
    pub random: Arc<dyn Fn() -> f64 + Send + Sync>,
    /// Where names that nobody has had and nobody can guess come from: of leases, and of this worker's lock file.
    /// At least 16 characters, of which a file's name can be made.
    pub fresh: Arc<dyn Fn() -> String + Send + Sync>,
    /// The folder for the lock file that tells others whether this worker lives.
    pub lock_folder: PathBuf,
    /// Where outputs wait that were paid for and that the vault cannot keep; without it they wait in memory alone.
    pub spool: Option<Arc<dyn Vault>>,
}

/// How a daemon is told to end.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// No new claims; what runs is finished or handed back.
    pub soon: CancellationToken,
    /// What still runs is handed back at once.
    pub now: CancellationToken,
}

/// What a daemon has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Passes of the claim loop.
    pub passes: u64,
    /// Runs that ended.
    pub runs: u64,
    /// Runs that delivered.
    pub delivered: u64,
    /// Jobs that were handed to a person.
    pub manual: u64,
}

/// A daemon, ready to run.
pub struct Daemon {
    shared: Arc<Shared>,
}

/// Why a daemon ended without being told to.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The database failed in a way that does not pass by itself.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A duty ended, which none may.
    #[error("the {duty} stopped: {why}; the process ends so that its supervisor starts it again")]
    Duty {
        /// Which one.
        duty: &'static str,
        /// What happened.
        why: String,
    },
    /// The lock file cannot be made.
    #[error("cannot make the worker's lock file: {0}")]
    Lock(std::io::Error),
    /// The scheduler refused a schedule.
    #[error("cannot start the schedule: {0}")]
    Schedule(String),
}

impl DaemonError {
    fn ended(duty: &'static str) -> Self {
        Self::Duty { duty, why: "it ended or panicked".to_owned() }
    }
}

impl Daemon {
    /// Makes a daemon of its parts.
    ///
    /// # Errors
    /// When the lock file cannot be made or the database cannot be read.
    pub async fn new(parts: Parts, stop: Stop) -> Result<Self, DaemonError> {
        let worker = Worker::enlist(&parts.lock_folder, &(parts.fresh)()).map_err(DaemonError::Lock)?;
        let shared = Arc::new(Shared::new(parts, worker, stop));
        shared.board.replace(shared.store.provider_health().await?);
        Ok(Self { shared })
    }

    /// A place to watch what the daemon does.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.shared.progress.subscribe()
    }

    /// Wakes a running daemon: there is something to do, and it need not find that by itself.
    pub fn waker(&self) -> impl Fn() + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move || shared.stir()
    }

    /// Replaces the configuration of a running daemon; runs under way keep the one they began with.
    pub fn reloader(&self) -> impl Fn(Book) + Send + Sync + use<> {
        let shared = Arc::clone(&self.shared);
        move |book| shared.replace_book(book)
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When a duty ends by itself: the process should end too, and be started again.
    pub async fn serve(self) -> Result<Progress, DaemonError> {
        let schedule = schedule::run(Arc::clone(&self.shared));
        self.serve_on(schedule).await
    }

    /// Runs until it is told to stop, woken by this schedule. Dropped, it takes everything it has started along, as
    /// a process that dies does.
    async fn serve_on(
        self,
        schedule: impl Future<Output = Result<(), DaemonError>> + Send + 'static,
    ) -> Result<Progress, DaemonError> {
        let mut duties = Duties::default();
        let shared = &self.shared;
        duties.start("watch on the database", wake::run(Arc::clone(shared)));
        duties.start("schedule", schedule);
        duties.start("recurring jobs", recurring::run(Arc::clone(shared)));
        duties.start("rescue of lost leases", lease::rescue(Arc::clone(shared)));
        duties.start("maintenance", maintain::run(Arc::clone(shared)));
        duties.start("watch on the vitals", vitals::run(Arc::clone(shared)));
        duties.start("notices", notices::run(Arc::clone(shared)));
        self.work(duties, claim::Until::Stopped).await
    }

    /// Works off what is due and ends.
    ///
    /// # Errors
    /// As for [`Daemon::serve`].
    pub async fn drain(self) -> Result<Progress, DaemonError> {
        lease::rescue_once(&self.shared).await?;
        recurring::run_due(&self.shared).await?;
        let shared = Arc::clone(&self.shared);
        let mut duties = Duties::default();
        // What others write while it drains counts: a pause, a breaker, a job more.
        duties.start("watch on the database", wake::run(Arc::clone(&shared)));
        let progress = self.work(duties, claim::Until::Drained).await?;
        notices::run_due(&shared).await?;
        // Where nobody serves, nobody else keeps the house.
        maintain::run_once(&shared).await?;
        Ok(progress)
    }

    async fn work(self, mut duties: Duties, until: claim::Until) -> Result<Progress, DaemonError> {
        let shared = self.shared;
        // Whoever drops this future drops the daemon, and nothing of it may go on by itself.
        let _gone = shared.gone.clone().drop_guard();
        // The recorder and the renewal outlive the claim loop: what ends late must still be written and held.
        let mut recorder = AbortOnDropHandle::new(tokio::spawn(recorder::run(Arc::clone(&shared))));
        let mut renewal = AbortOnDropHandle::new(tokio::spawn(lease::renew(Arc::clone(&shared))));
        // A task of its own: a claim that has begun is finished whatever else fails, and its jobs are handed back.
        let mut claims = AbortOnDropHandle::new(tokio::spawn(claim::run(Arc::clone(&shared), until)));
        let ended = tokio::select! {
            biased;
            ended = &mut claims => ended.unwrap_or_else(|_| Err(DaemonError::ended("claim loop"))),
            failed = duties.failure() => Err(failed),
            _ = &mut renewal => Err(DaemonError::ended("renewal of leases")),
            _ = &mut recorder => Err(DaemonError::ended("ledger")),
        };
        shared.stop.soon.cancel();
        if !claims.is_finished() && claims.await.is_err() && ended.is_ok() {
            return Err(DaemonError::ended("claim loop"));
        }
        shared.finish_runs().await;
        renewal.abort();
        shared.recorder.close();
        // Where the ledger itself has ended, there is nothing to wait for, and the error says so already.
        if !recorder.is_finished() && recorder.await.is_err() && ended.is_ok() {
            return Err(DaemonError::ended("ledger"));
        }
        shared.worker.dismiss();
        ended.map(|()| *shared.progress.borrow())
    }
}

/// The long-lived tasks besides the claim loop.
#[derive(Default)]
struct Duties {
    tasks: JoinSet<(&'static str, Result<(), DaemonError>)>,
}

impl Duties {
    fn start(
        &mut self,
        duty: &'static str,
        work: impl Future<Output = Result<(), DaemonError>> + Send + 'static,
    ) {
        self.tasks.spawn(async move { (duty, work.await) });
    }

    /// Waits until a duty ends, which it never should.
    async fn failure(&mut self) -> DaemonError {
        match self.tasks.join_next().await {
            None => std::future::pending().await,
            Some(Ok((_, Err(error)))) => error,
            Some(Ok((duty, Ok(())))) => DaemonError::ended(duty),
            Some(Err(error)) => DaemonError::Duty { duty: "daemon", why: error.to_string() },
        }
    }
}

impl Shared {
    /// Waits for every run under way; when the grace is over, they are told to hand back at once.
    async fn finish_runs(&self) {
        self.tracker.close();
        let grace = self.book().queue.grace;
        tokio::select! {
            biased;
            () = self.tracker.wait() => return,
            () = self.stop.now.cancelled() => {}
            () = tokio::time::sleep(grace) => {
                tracing::warn!(grace = %humantime::format_duration(grace), "the grace is over; what still runs is handed back");
            }
        }
        self.stop.now.cancel();
        self.tracker.wait().await;
    }

    /// Somebody has written to the database.
    fn stir(&self) {
        self.dirty.store(true, Ordering::Relaxed);
        self.wake.notify_one();
        self.told.send_replace(());
    }

    fn count(&self, change: impl FnOnce(&mut Progress)) {
        self.progress.send_modify(change);
    }

    fn passed(&self) {
        self.count(|progress| progress.passes += 1);
    }
}
