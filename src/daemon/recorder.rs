//! The one pen of the ledger: entries that wait are written together, in few transactions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::domain::backoff::Backoff;
use crate::store::{Entry, Recorded, StoreError, Written};

use super::kill_point::KillPoint;
use super::shared::Shared;

/// Most entries of one transaction: more would keep other writers waiting.
const MAX_BATCH: usize = 1_024;

/// Most entries that wait; beyond it, runs wait.
const MAX_WAITING: usize = 8_192;

/// Between two tries of a transaction that failed by passing trouble.
const PATIENCE: Backoff = Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(10) };

/// Tries that are left when the daemon is told to stop now: a call that was paid is worth a wait, but its supervisor
/// does not wait for ever. Each try waits for the database's busy time-out besides.
const LAST_TRIES: u32 = 4;

/// Why an entry was not written.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unwritten {
    /// The database refused it, for good.
    #[error("{0}")]
    Refused(Arc<StoreError>),
    /// The daemon is at its end.
    #[error("the ledger is closed")]
    Closed,
}

type Reply = oneshot::Sender<Result<Recorded, Unwritten>>;

struct Waiting {
    entry: Entry,
    reply: Reply,
}

/// Hands entries to the pen.
pub(super) struct Recorder {
    sender: Mutex<Option<mpsc::Sender<Waiting>>>,
    receiver: Mutex<Option<mpsc::Receiver<Waiting>>>,
}

impl Recorder {
    pub(super) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        Self { sender: Mutex::new(Some(sender)), receiver: Mutex::new(Some(receiver)) }
    }

    /// Writes an entry and says what came of it. Returns when it is durable.
    pub(super) async fn write(&self, entry: Entry) -> Result<Recorded, Unwritten> {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sender = sender.ok_or(Unwritten::Closed)?;
        let (reply, answer) = oneshot::channel();
        sender.send(Waiting { entry, reply }).await.map_err(|_| Unwritten::Closed)?;
        answer.await.map_err(|_| Unwritten::Closed)?
    }

    /// Lets the pen end when everything handed to it is written.
    pub(super) fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn take_receiver(&self) -> Option<mpsc::Receiver<Waiting>> {
        self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Writes until the recorder is closed and everything is written.
pub(super) async fn run(shared: Arc<Shared>) {
    let Some(mut receiver) = shared.recorder.take_receiver() else { return };
    let mut waiting = Vec::new();
    let mut pen = Pen { shared: Arc::clone(&shared), last_tries: LAST_TRIES };
    // Whatever is waiting goes together; nothing waits for company.
    while receiver.recv_many(&mut waiting, MAX_BATCH).await > 0 {
        let (entries, replies): (Vec<Entry>, Vec<Reply>) =
            waiting.drain(..).map(|waiting| (waiting.entry, waiting.reply)).unzip();
        pen.write(entries, replies).await;
    }
}

struct Pen {
    shared: Arc<Shared>,
    last_tries: u32,
}

impl Pen {
    async fn write(&mut self, entries: Vec<Entry>, replies: Vec<Reply>) {
        match self.persist(&entries).await {
            Ok(written) => answer(&self.shared, written, replies),
            // Given up: what is tried alone would fail in the same way.
            Err(error) if entries.len() == 1 || error.is_passing() => refuse(error, replies),
            // One of them is bad: each on its own, so that it fails alone.
            Err(_) => {
                for (entry, reply) in entries.into_iter().zip(replies) {
                    match self.persist(&[entry]).await {
                        Ok(written) => answer(&self.shared, written, vec![reply]),
                        Err(error) => refuse(error, vec![reply]),
                    }
                }
            }
        }
    }

    /// Tries until it is written or refused for good: what a call came to must not be lost because a disk was full
    /// or somebody's shell held the database.
    async fn persist(&mut self, entries: &[Entry]) -> Result<Written, StoreError> {
        let mut tries = 0;
        let ends_a_run = entries.iter().any(|entry| matches!(entry, Entry::Finish(_)));
        loop {
            if ends_a_run {
                KillPoint::BeforeCommit.pass();
            }
            let error = match self.shared.store.record(entries, self.shared.now()).await {
                Err(error) if error.is_passing() && self.last_tries > 0 => error,
                other => {
                    if ends_a_run {
                        KillPoint::AfterCommit.pass();
                    }
                    return other;
                }
            };
            tracing::warn!(%error, entries = entries.len(), "the ledger waits for the database");
            if self.shared.stop.now.is_cancelled() {
                self.last_tries -= 1;
                tries = 0;
            }
            tokio::time::sleep(PATIENCE.equal_jitter(tries, self.shared.jitter())).await;
            tries = tries.saturating_add(1);
        }
    }
}

fn answer(shared: &Shared, written: Written, replies: Vec<Reply>) {
    shared.board.refresh(written.health);
    for (reply, recorded) in replies.into_iter().zip(written.answers) {
        // A run that was dropped meanwhile needs no answer.
        drop(reply.send(Ok(recorded)));
    }
}

fn refuse(error: StoreError, replies: Vec<Reply>) {
    let error = Arc::new(error);
    for reply in replies {
        drop(reply.send(Err(Unwritten::Refused(Arc::clone(&error)))));
    }
}
