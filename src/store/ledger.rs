//! The ledger's entries: what a call may cost before it is made, what it came to, and how a run ended.

use serde_json::{Map, Value};

use crate::domain::breaker::{HealthEvent, Probe, ProviderHealth};
use crate::domain::budget::{Reservation, UsedUp};
use crate::domain::health::RunReport;
use crate::domain::job::{JobId, RunId, RunOutcome};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::pace::{NoRoom, Pace};
use crate::domain::time::Timestamp;

pub use crate::domain::job::AttemptId;

use super::claim::LeaseToken;

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A paid call is about to be made.
    Begin {
        /// The lease it is made under.
        token: LeaseToken,
        /// What is known of it.
        facts: Box<AttemptFacts>,
        /// What is put aside for it until its verdict, and within which limits.
        reservation: Reservation,
    },
    /// A free call of a provider whose calls are bounded is about to be made.
    Enter(Box<AttemptFacts>),
    /// A call that a provider accepted under an earlier lease is asked after under this one: its slot is this one's.
    Reenter(Box<AttemptFacts>),
    /// The vendor accepted the call and named its operation.
    Accept {
        /// The attempt.
        attempt: AttemptId,
        /// Its job: the number of a deleted job's attempt may be another's by now, that of a job never is.
        job: JobId,
        /// The vendor's name for the operation.
        operation: String,
        /// The vendor's id of the request that began it; a poll's id does not take its place.
        request_id: Option<String>,
    },
    /// A call was stopped because its job is gone. Where somebody has ended its run, nobody takes it up any
    /// more, and what became of it is not known; where the run is open, its next holder settles it.
    Abandon {
        /// The attempt.
        attempt: AttemptId,
        /// Its job.
        job: JobId,
    },
    /// A provider's probe came to nothing: its call was not made, or was stopped. Where it is another's by now,
    /// nothing changes.
    FreeProbe {
        /// Whose.
        provider: ProviderName,
        /// The probe that was held.
        probe: Probe,
    },
    /// An output is about to be brought to the vault.
    Stage(Box<Staging>),
    /// An attempt has its verdict while its run goes on.
    Settle(Box<AttemptResult>),
    /// A run has ended.
    Finish(Box<RunEnd>),
}

/// What came of an entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// The attempt's row.
    Begun(AttemptId),
    /// Written.
    Written,
    /// The lease is gone: the job was cancelled or taken over. Attempts were booked all the same.
    LeaseGone,
    /// A budget has no room for the call: nothing was written.
    OverBudget(UsedUp),
    /// The provider may not be called more often now: nothing was written.
    NoRoom(NoRoom),
}

/// What one transaction of the ledger came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Written {
    /// One answer for each entry, in their order.
    pub answers: Vec<Recorded>,
    /// The providers whose health changed by it, as they are now.
    pub health: Vec<ProviderHealth>,
}

/// A file on its way to the vault, with what its delivery needs besides: after a crash it is found and delivered
/// instead of being bought again.
#[derive(Debug, Clone, PartialEq)]
pub struct Staging {
    /// The lease it is brought under.
    pub token: LeaseToken,
    /// Its job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// The attempt that made it; `None` where the call is free to repeat.
    pub attempt: Option<AttemptId>,
    /// Its name in the vault.
    pub key: String,
    /// A JSON object for whoever takes it up: opaque here.
    pub output: String,
}

/// A file that was staged and never delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stale {
    /// Its name in the vault, as the row has it.
    pub key: String,
    /// The job that the row says it was made for, and that job's asset; `None` where there is no such job. Anybody can
    /// write the row: only a key that names this very job is its file.
    pub owner: Option<(AssetName, JobId)>,
}

/// What is known of an attempt before its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptFacts {
    /// Its job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// Its link's place in the run.
    pub position: u32,
    /// How often the link was called in this run before.
    pub repeat: u32,
    /// Who is called.
    pub provider: ProviderName,
    /// The configured model.
    pub model: Option<String>,
    /// The provider's fingerprint.
    pub fingerprint: String,
    /// When it began.
    pub started_at: Timestamp,
    /// Its place among the calls of its provider; `None` where they are not bounded, and for what is no call.
    pub slot: Option<Slot>,
}

/// The place of a call among those of its provider. It is taken when the call is entered and left with its verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// The lease it is made under: the place is free as soon as that ends.
    pub token: LeaseToken,
    /// How often the provider may be called.
    pub pace: Pace,
}

/// An attempt's verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptResult {
    /// Its row, when its intent was written; else the whole row is written with the verdict.
    pub row: Option<AttemptId>,
    /// What was known before.
    pub facts: AttemptFacts,
    /// `delivered`, `failed`, `skipped` or `unknown`.
    pub status: &'static str,
    /// The failure's class, as spelled in rows.
    pub class: Option<&'static str>,
    /// What happened, or why it was skipped.
    pub error: Option<String>,
    /// The vendor's HTTP status.
    pub http_status: Option<u16>,
    /// The vendor's id of the request.
    pub request_id: Option<String>,
    /// When the verdict fell.
    pub finished_at: Timestamp,
    /// What it cost, in micro-dollars.
    pub cost_micros: i64,
    /// What it says about its provider; `None` for a skipped link.
    pub event: Option<HealthEvent>,
}

/// How a run ended, with everything that changes by it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunEnd {
    /// The job.
    pub job: JobId,
    /// Its asset.
    pub asset: AssetName,
    /// The run.
    pub run: RunId,
    /// The lease this is written under.
    pub token: LeaseToken,
    /// Attempts that have no verdict in the ledger yet.
    pub attempts: Vec<AttemptResult>,
    /// The file that was staged for this delivery.
    pub staged: Option<String>,
    /// What becomes of the job.
    pub ending: Ending,
    /// Every link's reason, for `jobs.error` and `runs.error`; `None` when delivered.
    pub error: Option<String>,
    /// Digest of the prompt, kept where a provider refused it.
    pub prompt_digest: Option<String>,
    /// What it says about its asset; `None` for a run that is only handed back.
    pub report: Option<RunReport>,
    /// Whether somebody wants to be told of jobs that need a person.
    pub notify: bool,
    /// When it ended.
    pub at: Timestamp,
}

/// What becomes of a job at the end of a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// The asset is there.
    Done {
        /// Who delivered.
        provider: ProviderName,
        /// Whether as a fallback.
        fallback_used: bool,
        /// Where the file is.
        url: Option<String>,
        /// The words, where they are kept in the row.
        text: Option<String>,
        /// What it really is.
        content_type: &'static str,
        /// For `jobs.metadata`.
        metadata: Map<String, Value>,
        /// The sentence people read.
        message: String,
    },
    /// A person is asked.
    Manual {
        /// The sentence people read.
        message: String,
    },
    /// It failed, as its operator wants.
    Failed {
        /// The sentence people read.
        message: String,
    },
    /// It comes back; the run counts.
    Later {
        /// When.
        run_at: Timestamp,
    },
    /// It is handed back uncounted; with `keep_open` its run goes on where it stopped.
    HandBack {
        /// When it may be taken up.
        run_at: Timestamp,
        /// Whether the run stays open for the next claim to adopt.
        keep_open: bool,
    },
}

impl Ending {
    /// The run's outcome; `None` when it stays open.
    #[must_use]
    pub fn outcome(&self) -> Option<RunOutcome> {
        match self {
            Self::Done { .. } => Some(RunOutcome::Delivered),
            Self::Manual { .. } | Self::Failed { .. } => Some(RunOutcome::Exhausted),
            Self::Later { .. } => Some(RunOutcome::Later),
            Self::HandBack { keep_open: false, .. } => Some(RunOutcome::Released),
            Self::HandBack { keep_open: true, .. } => None,
        }
    }
}
