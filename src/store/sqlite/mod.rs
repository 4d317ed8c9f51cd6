//! The store on one SQLite file.

pub mod backup;
mod care;
mod claim;
mod decode;
mod desk;
mod forsaken;
mod glance;
mod health;
mod ledger;
pub mod migrate;
pub mod mirror;
mod notices;
mod once;
pub mod open;
mod pace;
#[cfg(test)]
mod plans;
mod runs;
mod spending;
mod spoiled;
mod staged;
#[cfg(test)]
pub(in crate::store) mod subject;
mod ticks;
mod watch;

use std::path::Path;

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

use super::claim::Held;
use super::{
    Asked, AssetCount, Call, ClaimRequest, Claimed, Entry, Files, Found, JobFilter, JobRow, JobSearch,
    JobStory, ManualRow, NewJob, NewNotice, NewTick, Notice, Once, OutcomeCount, Provided, Pulse, Stale,
    Store, StoreError, Told, Written,
};

use migrate::Migrated;
use open::Pools;
use watch::Watch;

/// The store on one SQLite file.
pub struct SqliteStore {
    pools: Pools,
    watch: Watch,
}

impl SqliteStore {
    /// Opens the file, makes it where there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// When the file cannot be opened, is another program's, or has a newer schema.
    pub async fn open(path: &Path) -> Result<(Self, Migrated), StoreError> {
        let pools = open::open(path).await?;
        let migrated = migrate::migrate(&pools, path).await?;
        let watch = Watch::open(path).await?;
        Ok((Self { pools, watch }, migrated))
    }

    /// Runs one statement of a person's, as the `sqlite3` shell would, and says how many rows it changed.
    ///
    /// # Errors
    /// When the schema refuses it, or the database fails.
    pub async fn execute(&self, statement: &'static str) -> Result<u64, StoreError> {
        desk::execute(&self.pools.writer, statement).await
    }

    /// Closes every connection; the last one folds the write-ahead log into the file.
    pub async fn close(&self) {
        self.watch.close().await;
        self.pools.close().await;
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn mirror(
        &self,
        assets: &[Asset],
        providers: &[Provider],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        mirror::mirror(&self.pools, assets, providers, now).await.map(drop)
    }

    async fn claim_due(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        claim::claim_due(&self.pools.writer, &self.pools.readers, request).await
    }

    async fn renew(&self, held: &[Held], until: Timestamp) -> Result<Vec<Held>, StoreError> {
        claim::renew(&self.pools.writer, held, until).await
    }

    async fn expire(&self, owner: &str, now: Timestamp) -> Result<u64, StoreError> {
        claim::expire(&self.pools.writer, owner, now).await
    }

    async fn other_owners(&self, own: &str) -> Result<Vec<String>, StoreError> {
        claim::other_owners(&self.pools.readers, own).await
    }

    async fn record(&self, entries: &[Entry], now: Timestamp) -> Result<Written, StoreError> {
        ledger::record(&self.pools.writer, entries, now).await
    }

    async fn spending(&self, at: Timestamp) -> Result<Spending, StoreError> {
        spending::spending(&self.pools.readers, at).await
    }

    async fn settle_forsaken(&self, ended_before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        forsaken::settle(&self.pools.writer, &self.pools.readers, ended_before, now).await
    }

    async fn usages(
        &self,
        asked: &[(ProviderName, Pace)],
        owner: &str,
        now: Timestamp,
    ) -> Result<Vec<Usage>, StoreError> {
        pace::usages(&self.pools.readers, asked, owner, now).await
    }

    async fn take_probe(
        &self,
        provider: &ProviderName,
        probe: Probe,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<ProviderHealth, StoreError> {
        ledger::take_probe(&self.pools.writer, provider, probe, fingerprint, now).await
    }

    async fn next_due_at(
        &self,
        assets: &[AssetName],
        past: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        claim::next_due_at(&self.pools.readers, assets, past).await
    }

    async fn due(&self, assets: &[AssetName], now: Timestamp) -> Result<u64, StoreError> {
        claim::due(&self.pools.readers, assets, now).await
    }

    async fn version(&self) -> Result<i64, StoreError> {
        self.watch.version().await
    }

    async fn tick(&self, tick: &NewTick) -> Result<bool, StoreError> {
        ticks::tick(&self.pools.writer, tick).await
    }

    async fn last_tick(&self, schedule: &str, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        ticks::last_tick(&self.pools.readers, schedule, now).await
    }

    async fn unsent_notices(&self, after: i64, limit: u32) -> Result<Vec<Notice>, StoreError> {
        notices::unsent(&self.pools.readers, after, limit).await
    }

    async fn notice_sent(&self, notice: i64, now: Timestamp) -> Result<(), StoreError> {
        notices::sent(&self.pools.writer, notice, now).await
    }

    async fn take_notice(
        &self,
        notice: i64,
        destination: &str,
        again: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        notices::take(&self.pools.writer, notice, destination, again, now).await
    }

    async fn notice_told(
        &self,
        notice: i64,
        destination: &str,
        told: &Told,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        notices::told(&self.pools.writer, notice, destination, told, now).await
    }

    async fn announce(&self, notice: &NewNotice, now: Timestamp) -> Result<bool, StoreError> {
        notices::announce(&self.pools.writer, notice, now).await
    }

    async fn notices(&self, before: Option<i64>, limit: u32) -> Result<Vec<Notice>, StoreError> {
        notices::list(&self.pools.readers, before, limit).await
    }

    async fn tell_again(&self, notice: i64) -> Result<bool, StoreError> {
        notices::tell_again(&self.pools.writer, notice).await
    }

    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        ledger::prune(&self.pools.writer, before, limit).await
    }

    async fn stale_staged(&self, before: Timestamp, limit: u32) -> Result<Vec<Stale>, StoreError> {
        staged::stale(&self.pools.readers, before, limit).await
    }

    async fn unstage(&self, keys: &[String]) -> Result<(), StoreError> {
        staged::unstage(&self.pools.writer, keys).await
    }

    fn files(&self) -> Option<Files> {
        care::files(self.pools.path()).ok()
    }

    async fn tend(&self) -> Result<(), StoreError> {
        care::fold(&self.pools.writer).await
    }

    async fn pulse(&self) -> Result<Pulse, StoreError> {
        care::pulse(&self.pools.readers).await
    }

    async fn enqueue(&self, job: &NewJob) -> Result<JobId, StoreError> {
        desk::enqueue(&self.pools.writer, job).await
    }

    async fn enqueue_once(&self, job: &NewJob, once: &Once, now: Timestamp) -> Result<Asked, StoreError> {
        once::enqueue(&self.pools.writer, job, once, now).await
    }

    async fn job(&self, job: JobId) -> Result<Option<JobRow>, StoreError> {
        desk::job(&self.pools.readers, job).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError> {
        glance::jobs(&self.pools.readers, filter).await
    }

    async fn story(&self, job: JobId) -> Result<Option<JobStory>, StoreError> {
        desk::story(&self.pools.readers, job).await
    }

    async fn manual_queue(&self, limit: u32) -> Result<Vec<ManualRow>, StoreError> {
        desk::manual_queue(&self.pools.readers, limit).await
    }

    async fn counts(&self, now: Timestamp) -> Result<Vec<AssetCount>, StoreError> {
        glance::counts(&self.pools.readers, now).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<AssetCount>, StoreError> {
        glance::backlog(&self.pools.readers, now).await
    }

    async fn outcomes(&self, since: Timestamp) -> Result<Vec<OutcomeCount>, StoreError> {
        glance::outcomes(&self.pools.readers, since).await
    }

    async fn search(&self, search: &JobSearch) -> Result<Found, StoreError> {
        glance::search(&self.pools.readers, search).await
    }

    async fn calls(&self, provider: &ProviderName, limit: u32) -> Result<Vec<Call>, StoreError> {
        glance::calls(&self.pools.readers, provider, limit).await
    }

    async fn asset_health(&self) -> Result<Vec<AssetHealth>, StoreError> {
        desk::asset_health(&self.pools.readers).await
    }

    async fn provider_health(&self) -> Result<Vec<ProviderHealth>, StoreError> {
        desk::provider_health(&self.pools.readers).await
    }

    async fn pause(
        &self,
        provider: &ProviderName,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        desk::pause(&self.pools.writer, provider, until, now).await
    }

    async fn reset(&self, provider: &ProviderName, now: Timestamp) -> Result<(), StoreError> {
        desk::reset(&self.pools.writer, provider, now).await
    }

    async fn retry(&self, job: JobId, wish: Option<&str>) -> Result<(), StoreError> {
        desk::retry(&self.pools.writer, job, wish).await
    }

    async fn undelivered(&self, asset: &AssetName, since: Timestamp) -> Result<Vec<JobId>, StoreError> {
        desk::undelivered(&self.pools.readers, asset, since).await
    }

    async fn cancel(&self, job: JobId) -> Result<(), StoreError> {
        desk::cancel(&self.pools.writer, job).await
    }

    async fn provide(&self, job: JobId, provided: &Provided, now: Timestamp) -> Result<(), StoreError> {
        desk::provide(&self.pools.writer, job, provided, now).await
    }
}
