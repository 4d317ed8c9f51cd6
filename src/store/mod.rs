//! What is remembered: one trait in the domain's verbs, and the databases behind it.

pub mod claim;
#[cfg(test)]
mod conformance;
pub mod desk;
pub mod error;
pub mod ledger;
#[cfg(test)]
pub(crate) mod memory;
pub mod sqlite;

use async_trait::async_trait;

use crate::domain::asset::Asset;
use crate::domain::breaker::{Probe, ProviderHealth};
use crate::domain::budget::Spending;
use crate::domain::health::AssetHealth;
use crate::domain::job::JobId;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::pace::{Pace, Usage};
use crate::domain::provider::Provider;
use crate::domain::time::Timestamp;
use crate::domain::vitals::Disk;

pub use claim::{
    Claim, ClaimRequest, Claimed, Held, LeaseToken, MOST_SOLO_DEATHS, OpenRun, PastAttempt, Refusal,
    StagedFile, Wanted,
};
pub use desk::{
    Asked, AssetCount, AttemptRow, Call, Found, JobFilter, JobRow, JobSearch, JobStory, ManualRow, NewJob,
    NewNotice, NewTick, Notice, NoticeSend, Once, OutcomeCount, Provided, RunRow, Told,
};
pub use error::StoreError;
pub use ledger::{
    AttemptFacts, AttemptId, AttemptResult, Ending, Entry, Recorded, RunEnd, Slot, Staging, Stale, Written,
};

/// As far as [`Store::backlog`] counts the jobs of an asset in one status; so many are "this many or more".
pub const MOST_COUNTED: u32 = 100_000;

/// As many slugs as one [`Store::search`] looks at.
pub const MOST_SEARCHED: u32 = 20_000;

/// The files of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Files {
    /// The database itself, in bytes.
    pub database_bytes: u64,
    /// Its write-ahead log, in bytes.
    pub log_bytes: u64,
    /// The disk they are on, where it can be asked.
    pub disk: Option<Disk>,
}

/// When the daemons of a queue last did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pulse {
    /// When a run was last opened.
    pub last_claim_at: Option<Timestamp>,
    /// When a run last ended.
    pub last_finish_at: Option<Timestamp>,
}

/// The database, as the rest of Backstop speaks to it. Every method is one transaction.
#[async_trait]
pub trait Store: Send + Sync {
    // --- the daemon's side: claims, leases, the ledger

    /// Writes the mirrors of the configuration that people and triggers read.
    async fn mirror(
        &self,
        assets: &[Asset],
        providers: &[Provider],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Claims due jobs, and takes over those whose lease has ended: highest priority first, then oldest. Nothing
    /// overtakes a job that has to run alone.
    async fn claim_due(&self, request: &ClaimRequest) -> Result<Claimed, StoreError>;

    /// Renews the leases that are `held` until `until` and says which of them still are. What is missing from
    /// the answer was cancelled or lost. A job of the same claim that is not named runs into its lease's end.
    async fn renew(&self, held: &[Held], until: Timestamp) -> Result<Vec<Held>, StoreError>;

    /// Ends the leases of workers that are certainly dead, so that the next claim takes their jobs over.
    async fn expire(&self, owner: &str, now: Timestamp) -> Result<u64, StoreError>;

    /// The owners of leases that are not `own`.
    async fn other_owners(&self, own: &str) -> Result<Vec<String>, StoreError>;

    /// Writes many entries of the ledger in one transaction, each fenced on its own. The answers are in the
    /// order of the entries.
    ///
    /// # Errors
    /// When the transaction failed: then nothing of it was written.
    async fn record(&self, entries: &[Entry], now: Timestamp) -> Result<Written, StoreError>;

    /// Settles, as of unknown outcome, calls whose runs ended before a time and that nobody gave a verdict: their job
    /// was cancelled while nobody was there to see it. What was put aside for them counts as spent. Says how many.
    async fn settle_forsaken(&self, ended_before: Timestamp, now: Timestamp) -> Result<u64, StoreError>;

    /// What is reserved and spent in the day and the month around `at`. Every [`Entry::Begin`] is held to it once
    /// more, in its own transaction.
    async fn spending(&self, at: Timestamp) -> Result<Spending, StoreError>;

    /// How much of their pace providers have used, in the order they are asked for; `owner` is whose calls are told apart.
    /// Every [`Entry::Begin`] and [`Entry::Enter`] is held to it once more, in its own transaction.
    async fn usages(
        &self,
        asked: &[(ProviderName, Pace)],
        owner: &str,
        now: Timestamp,
    ) -> Result<Vec<Usage>, StoreError>;

    /// Gives the half-open provider's probe to a job, if it is to be had, and says how the provider is then: the
    /// job has it where the probe names it.
    async fn take_probe(
        &self,
        provider: &ProviderName,
        probe: Probe,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<ProviderHealth, StoreError>;

    /// When the next pending job of these assets is due that was not due at `past` yet; `None` when there is none.
    async fn next_due_at(
        &self,
        assets: &[AssetName],
        past: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError>;

    /// How many pending jobs of these assets are due.
    async fn due(&self, assets: &[AssetName], now: Timestamp) -> Result<u64, StoreError>;

    /// A number that changes whenever another connection or process has committed.
    async fn version(&self) -> Result<i64, StoreError>;

    /// Enqueues a recurring tick's job once, however many daemons say so; `false` when it was there already.
    async fn tick(&self, tick: &NewTick) -> Result<bool, StoreError>;

    /// The latest tick of a schedule until now, where it has had one.
    async fn last_tick(&self, schedule: &str, now: Timestamp) -> Result<Option<Timestamp>, StoreError>;

    /// Notices after the one with this id that nobody has been told of yet, oldest first.
    async fn unsent_notices(&self, after: i64, limit: u32) -> Result<Vec<Notice>, StoreError>;

    /// Takes a try to tell a notice at a destination, so that no other daemon tells it meanwhile; if this one dies,
    /// it is tried again at `again`. `false` where it is not to be tried now.
    async fn take_notice(
        &self,
        notice: i64,
        destination: &str,
        again: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Writes what the try came to.
    async fn notice_told(
        &self,
        notice: i64,
        destination: &str,
        told: &Told,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Marks a notice as one that nobody needs to be told of any more.
    async fn notice_sent(&self, notice: i64, now: Timestamp) -> Result<(), StoreError>;

    /// Puts a notice into the outbox, once for its topic; `false` where that topic was told before.
    async fn announce(&self, notice: &NewNotice, now: Timestamp) -> Result<bool, StoreError>;

    /// Notices, newest first; those with a number below `before`, where that is given.
    async fn notices(&self, before: Option<i64>, limit: u32) -> Result<Vec<Notice>, StoreError>;

    /// Has a notice told once more at every destination, under its name; `false` where there is none.
    async fn tell_again(&self, notice: i64) -> Result<bool, StoreError>;

    /// Deletes settled jobs (never `manual` ones) that ended before `before`, with their runs and attempts, at
    /// most `limit` of them; and what else is that old and of no use any more: ticks, notices. What was spent stays
    /// known for 400 days more.
    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError>;

    /// Files that were staged before a time and never delivered, oldest first; those of runs that are open are not
    /// among them.
    async fn stale_staged(&self, before: Timestamp, limit: u32) -> Result<Vec<Stale>, StoreError>;

    /// Forgets staged keys whose files are gone.
    async fn unstage(&self, keys: &[String]) -> Result<(), StoreError>;

    /// The files of the database, for a store that has some.
    fn files(&self) -> Option<Files> {
        None
    }

    /// What a database wants done now and then: statistics, and the write-ahead log kept in bounds. Nobody waits for it.
    async fn tend(&self) -> Result<(), StoreError>;

    // --- the desk: what people ask and say, by verb, page or API

    /// Adds a job.
    async fn enqueue(&self, job: &NewJob) -> Result<JobId, StoreError>;

    /// Adds a job under a key of its request, or finds the one that was added under it. The key lives as long as its
    /// job has a row.
    async fn enqueue_once(&self, job: &NewJob, once: &Once, now: Timestamp) -> Result<Asked, StoreError>;

    /// Jobs, newest first.
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError>;

    /// One job with its runs and attempts.
    async fn story(&self, job: JobId) -> Result<Option<JobStory>, StoreError>;

    /// One job alone.
    async fn job(&self, job: JobId) -> Result<Option<JobRow>, StoreError> {
        Ok(self.story(job).await?.map(|story| story.job))
    }

    /// What waits for a person, longest first.
    async fn manual_queue(&self, limit: u32) -> Result<Vec<ManualRow>, StoreError>;

    /// How many jobs of each asset have each status, and how many pending ones are due at `now`.
    async fn counts(&self, now: Timestamp) -> Result<Vec<AssetCount>, StoreError>;

    /// The same of what is not settled (pending, running, manual) alone, each counted up to [`MOST_COUNTED`]: quick
    /// however many jobs there are.
    async fn backlog(&self, now: Timestamp) -> Result<Vec<AssetCount>, StoreError>;

    /// How jobs ended on each UTC day since that of a time, as their walks ended: what a person did later is not in it.
    async fn outcomes(&self, since: Timestamp) -> Result<Vec<OutcomeCount>, StoreError>;

    /// Jobs whose slugs begin so, by slug and number. Looks at [`MOST_SEARCHED`] of them at most, and then says where
    /// it goes on.
    async fn search(&self, search: &JobSearch) -> Result<Found, StoreError>;

    /// The latest calls of a provider, newest first; a link that was skipped is no call.
    async fn calls(&self, provider: &ProviderName, limit: u32) -> Result<Vec<Call>, StoreError>;

    /// What is remembered of every asset.
    async fn asset_health(&self) -> Result<Vec<AssetHealth>, StoreError>;

    /// What is remembered of every provider.
    async fn provider_health(&self) -> Result<Vec<ProviderHealth>, StoreError>;

    /// When the daemons of this queue last did something.
    async fn pulse(&self) -> Result<Pulse, StoreError>;

    /// Pauses a provider until a time, or ends its pause.
    async fn pause(
        &self,
        provider: &ProviderName,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Closes a provider's breaker and forgets its streak.
    async fn reset(&self, provider: &ProviderName, now: Timestamp) -> Result<(), StoreError>;

    /// Sends a settled job round again, with or without an override.
    async fn retry(&self, job: JobId, wish: Option<&str>) -> Result<(), StoreError>;

    /// Settled undelivered jobs (manual, failed) of an asset since a time, for a retry of all.
    async fn undelivered(&self, asset: &AssetName, since: Timestamp) -> Result<Vec<JobId>, StoreError>;

    /// Cancels a job.
    async fn cancel(&self, job: JobId) -> Result<(), StoreError>;

    /// A person provides the asset.
    async fn provide(&self, job: JobId, provided: &Provided, now: Timestamp) -> Result<(), StoreError>;
}
