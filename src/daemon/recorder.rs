//! The one pen of the ledger: entries that wait are written together, in few transactions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::domain::backoff::Backoff;
use crate::store::{Entry, Recorded, StoreError, Written};

use super::shared::Shared;

/// Most entries of one transaction: more would keep other writers waiting.
const MAX_BATCH: usize = 1_024;

/// Most entries that wait; beyond it, runs wait.
const MAX_WAITING: usize = 8_192;

/// Between two tries of a transaction that failed by passing trouble.
const PATIENCE: Backoff = Backoff { base: Duration::from_millis(200), cap: Duration::from_secs(10) };

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
    // Whatever is waiting goes together; nothing waits for company.
    while receiver.recv_many(&mut waiting, MAX_BATCH).await > 0 {
        let (entries, replies): (Vec<Entry>, Vec<Reply>) =
            waiting.drain(..).map(|waiting| (waiting.entry, waiting.reply)).unzip();
        write(&shared, entries, replies).await;
    }
}

async fn write(shared: &Shared, entries: Vec<Entry>, replies: Vec<Reply>) {
    match persist(shared, &entries).await {
        Ok(written) => answer(shared, written, replies),
        Err(error) if entries.len() == 1 => refuse(error, replies),
        // One of them is bad: each on its own, so that it fails alone.
        Err(_) => {
            for (entry, reply) in entries.into_iter().zip(replies) {
                match persist(shared, &[entry]).await {
                    Ok(written) => answer(shared, written, vec![reply]),
                    Err(error) => refuse(error, vec![reply]),
                }
            }
        }
    }
}

/// Tries until it is written or refused for good: what a call came to must not be lost because a disk was full
/// or somebody's shell held the database.
async fn persist(shared: &Shared, entries: &[Entry]) -> Result<Written, StoreError> {
    let mut tries = 0;
    loop {
        match shared.store.record(entries, shared.now()).await {
            Err(error) if error.is_passing() && !shared.stop.now.is_cancelled() => {
                tracing::warn!(%error, entries = entries.len(), "the ledger waits for the database");
                tokio::time::sleep(PATIENCE.equal_jitter(tries, shared.jitter())).await;
                tries += 1;
            }
            other => return other,
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
