//! What a claim asks for and what it brings.

use std::collections::BTreeMap;

use crate::domain::chain::Chain;
use crate::domain::job::{Job, JobId, RunId};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::time::Timestamp;

/// The random token that fences every write for the jobs of one claim.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeaseToken(pub String);

/// A wish for work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The present.
    pub now: Timestamp,
    /// The end of the leases it writes.
    pub lease_until: Timestamp,
    /// A fresh token.
    pub token: LeaseToken,
    /// Who asks: what tells others whether this worker is certainly dead.
    pub owner: String,
    /// The assets wanted, each with its free capacity.
    pub wanted: Vec<Wanted>,
    /// Most jobs of all the assets that share a provider.
    pub free: BTreeMap<ProviderName, u32>,
    /// Most jobs in all.
    pub limit: u32,
    /// Whether jobs whose lease has ended are taken over. Where the clock has just jumped they are not, so that
    /// workers that live can renew first.
    pub take_over: bool,
    /// What the worker holds already: it does not take that over from itself, however late its renewal comes. A
    /// job that runs alone is claimed only where this is empty.
    pub held: Vec<JobId>,
}

/// What a claim brings.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Claimed {
    /// The jobs.
    pub claims: Vec<Claim>,
    /// Whether the next job in the order has to run alone, and waits until nothing else is held.
    pub one_waits_to_be_alone: bool,
}

/// A job that this many workers have died holding is run alone from then on.
pub const ALONE_FROM: u32 = 2;

/// A job that this many workers have died of while it ran alone is a person's.
pub const MOST_SOLO_DEATHS: u32 = 3;

/// How much of one asset is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The asset.
    pub asset: AssetName,
    /// Its chain.
    pub chain: Chain,
    /// Most jobs of it.
    pub most: u32,
    /// The provider that its jobs will call first, where that one's free calls bound them too.
    pub shares: Option<ProviderName>,
    /// Only jobs whose open run waits for what it has bought already: an operation of its vendor's, or a file on its
    /// way to the vault. So it is where nothing may begin.
    pub only_bought: bool,
}

/// A claimed job with its open run.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job.
    pub job: Job,
    /// The token its writes carry.
    pub token: LeaseToken,
    /// Its run.
    pub run: OpenRun,
    /// Refusals of its earlier runs.
    pub refusals: Vec<Refusal>,
    /// How many workers have died holding it.
    pub deaths: u32,
    /// How many of them while it ran alone.
    pub solo_deaths: u32,
}

impl Claim {
    /// Whether nothing may run beside it.
    #[must_use]
    pub fn runs_alone(&self) -> bool {
        self.deaths >= ALONE_FROM
    }
}

/// A provider's refusal of a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Who refused.
    pub provider: ProviderName,
    /// Which prompt.
    pub prompt_digest: Option<String>,
}

/// An open run.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenRun {
    /// Its row.
    pub id: RunId,
    /// Its number within the job.
    pub number: u32,
    /// Its links, as they were drawn when it began.
    pub links: Vec<String>,
    /// The override that bent them then.
    pub wish: Option<String>,
    /// What was attempted in it before, when it was adopted; in the order it happened.
    pub past: Vec<PastAttempt>,
}

/// An attempt of an adopted run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastAttempt {
    /// Its row.
    pub id: i64,
    /// Its link's place in the run.
    pub position: u32,
    /// Whose it was.
    pub provider: ProviderName,
    /// `started`, `accepted`, `delivered`, `failed`, `skipped` or `unknown`.
    pub status: String,
    /// Its failure class, as spelled in rows.
    pub class: Option<String>,
    /// What happened.
    pub error: Option<String>,
    /// The vendor's operation.
    pub operation: Option<String>,
    /// The provider's fingerprint when it was called.
    pub fingerprint: Option<String>,
    /// The file that it was bringing to the vault.
    pub staged: Option<StagedFile>,
}

/// A file that a dead worker was bringing to the vault: it may be there, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// Its name in the vault, as a row has it.
    pub key: String,
    /// What was staged with it.
    pub output: String,
}

/// A claimed job's identity, for lists of what is held.
pub type Held = (LeaseToken, JobId);
