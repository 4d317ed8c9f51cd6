//! The store in memory: the reference that tests hold the real ones to, and the ground of the simulation.

mod claim;
mod desk;
mod glance;
mod ledger;
mod money;
mod notices;
mod pace;
mod people;
pub(in crate::store) mod subject;
pub(crate) mod tables;

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::domain::asset::Asset;
use crate::domain::breaker::{Probe, ProviderHealth};
use crate::domain::budget::Spending;
use crate::domain::health::AssetHealth;
use crate::domain::job::JobId;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::pace::{Pace, Usage};
use crate::domain::provider::Provider;
use crate::domain::time::{Clock, Timestamp};

use super::claim::Held;
use super::{
    Asked, AssetCount, Call, ClaimRequest, Claimed, Entry, Found, JobFilter, JobRow, JobSearch, JobStory,
    ManualRow, NewJob, NewNotice, NewTick, Notice, Once, OutcomeCount, Provided, Pulse, Stale, Store,
    StoreError, Told, Written,
};

use tables::{AssetRow, Tables};

/// A store without a disk: every method is done at once, nothing is left to chance, and nothing but its clock says
/// what people's changes are dated with (on SQLite that is the database's own).
pub(crate) struct MemoryStore {
    /// Everything that is remembered; locked for the length of one method.
    tables: Mutex<Tables>,
    clock: Clock,
}

impl MemoryStore {
    /// An empty store.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { tables: Mutex::default(), clock }
    }

    /// Looks at the rows.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        self.change(|tables| look(tables))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Tables) -> T) -> T {
        change(&mut self.tables.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn mirror(&self, assets: &[Asset], providers: &[Provider], _: Timestamp) -> Result<(), StoreError> {
        self.change(|tables| {
            for asset in assets {
                let row = AssetRow { medium: asset.medium, has_provider: asset.chain.primary().is_some() };
                tables.assets.insert(asset.name.clone(), row);
                for alias in asset.name.aliases() {
                    tables.aliases.insert(alias, asset.name.clone());
                }
            }
            for provider in providers {
                tables.providers.insert(provider.name.clone(), provider.medium);
            }
            tables.version += 1;
        });
        Ok(())
    }

    async fn claim_due(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        Ok(self.change(|tables| tables.claim_due(request)))
    }

    async fn renew(&self, held: &[Held], until: Timestamp) -> Result<Vec<Held>, StoreError> {
        Ok(self.change(|tables| tables.renew(held, until)))
    }

    async fn expire(&self, owner: &str, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.change(|tables| tables.expire(owner, now)))
    }

    async fn other_owners(&self, own: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.look(|tables| tables.other_owners(own)))
    }

    async fn record(&self, entries: &[Entry], now: Timestamp) -> Result<Written, StoreError> {
        Ok(self.change(|tables| tables.record(entries, now)))
    }

    async fn spending(&self, at: Timestamp) -> Result<Spending, StoreError> {
        Ok(self.look(|tables| tables.spending_at(at)))
    }

    async fn settle_forsaken(&self, ended_before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.change(|tables| tables.settle_forsaken(ended_before, now)))
    }

    async fn usages(
        &self,
        asked: &[(ProviderName, Pace)],
        owner: &str,
        now: Timestamp,
    ) -> Result<Vec<Usage>, StoreError> {
        Ok(self.look(|tables| {
            asked.iter().map(|(provider, pace)| tables.usage(provider, pace, owner, now)).collect()
        }))
    }

    async fn take_probe(
        &self,
        provider: &ProviderName,
        probe: Probe,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<ProviderHealth, StoreError> {
        Ok(self.change(|tables| tables.take_probe(provider, probe, fingerprint, now)))
    }

    async fn next_due_at(
        &self,
        assets: &[AssetName],
        past: Timestamp,
    ) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.look(|tables| tables.next_due_at(assets, past)))
    }

    async fn due(&self, assets: &[AssetName], now: Timestamp) -> Result<u64, StoreError> {
        Ok(self.look(|tables| tables.due(assets, now)))
    }

    async fn version(&self) -> Result<i64, StoreError> {
        Ok(self.look(|tables| tables.version))
    }

    async fn tick(&self, tick: &NewTick) -> Result<bool, StoreError> {
        let now = (self.clock)();
        self.change(|tables| tables.tick(tick, now))
    }

    async fn last_tick(&self, schedule: &str, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.look(|tables| tables.last_tick(schedule, now)))
    }

    async fn unsent_notices(&self, after: i64, limit: u32) -> Result<Vec<Notice>, StoreError> {
        Ok(self.look(|tables| tables.unsent_notices(after, limit)))
    }

    async fn take_notice(
        &self,
        notice: i64,
        destination: &str,
        again: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.change(|tables| tables.take_notice(notice, destination, again, now)))
    }

    async fn notice_told(
        &self,
        notice: i64,
        destination: &str,
        told: &Told,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|tables| tables.notice_told(notice, destination, told, now));
        Ok(())
    }

    async fn announce(&self, notice: &NewNotice, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.change(|tables| tables.announce(notice, now)))
    }

    async fn notices(&self, before: Option<i64>, limit: u32) -> Result<Vec<Notice>, StoreError> {
        Ok(self.look(|tables| tables.notices(before, limit)))
    }

    async fn tell_again(&self, notice: i64) -> Result<bool, StoreError> {
        Ok(self.change(|tables| tables.tell_again(notice)))
    }

    async fn notice_sent(&self, notice: i64, now: Timestamp) -> Result<(), StoreError> {
        self.change(|tables| tables.notice_sent(notice, now));
        Ok(())
    }

    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        Ok(self.change(|tables| tables.prune(before, limit)))
    }

    async fn stale_staged(&self, before: Timestamp, limit: u32) -> Result<Vec<Stale>, StoreError> {
        Ok(self.look(|tables| tables.stale_staged(before, limit)))
    }

    async fn pulse(&self) -> Result<Pulse, StoreError> {
        Ok(self.look(Tables::pulse))
    }

    async fn unstage(&self, keys: &[String]) -> Result<(), StoreError> {
        self.change(|tables| tables.unstage(keys));
        Ok(())
    }

    async fn tend(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn enqueue(&self, job: &NewJob) -> Result<JobId, StoreError> {
        let now = (self.clock)();
        self.change(|tables| tables.enqueue(job, now))
    }

    async fn enqueue_once(&self, job: &NewJob, once: &Once, _: Timestamp) -> Result<Asked, StoreError> {
        let now = (self.clock)();
        self.change(|tables| tables.enqueue_once(job, once, now))
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError> {
        Ok(self.look(|tables| tables.list(filter)))
    }

    async fn story(&self, job: JobId) -> Result<Option<JobStory>, StoreError> {
        Ok(self.look(|tables| tables.story(job)))
    }

    async fn manual_queue(&self, limit: u32) -> Result<Vec<ManualRow>, StoreError> {
        Ok(self.look(|tables| tables.manual_queue(limit)))
    }

    async fn counts(&self, now: Timestamp) -> Result<Vec<AssetCount>, StoreError> {
        Ok(self.look(|tables| tables.counts(now)))
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<AssetCount>, StoreError> {
        Ok(self.look(|tables| tables.backlog(now)))
    }

    async fn outcomes(&self, since: Timestamp) -> Result<Vec<OutcomeCount>, StoreError> {
        Ok(self.look(|tables| tables.outcomes(since)))
    }

    async fn search(&self, search: &JobSearch) -> Result<Found, StoreError> {
        Ok(self.look(|tables| tables.search(search)))
    }

    async fn calls(&self, provider: &ProviderName, limit: u32) -> Result<Vec<Call>, StoreError> {
        Ok(self.look(|tables| tables.calls(provider, limit)))
    }

    async fn asset_health(&self) -> Result<Vec<AssetHealth>, StoreError> {
        Ok(self.look(|tables| tables.asset_health.values().cloned().collect()))
    }

    async fn provider_health(&self) -> Result<Vec<ProviderHealth>, StoreError> {
        Ok(self.look(|tables| tables.provider_health.values().cloned().collect()))
    }

    async fn pause(
        &self,
        provider: &ProviderName,
        until: Option<Timestamp>,
        _: Timestamp,
    ) -> Result<(), StoreError> {
        self.change(|tables| tables.pause(provider, until))
    }

    async fn reset(&self, provider: &ProviderName, _: Timestamp) -> Result<(), StoreError> {
        self.change(|tables| tables.reset(provider))
    }

    async fn retry(&self, job: JobId, wish: Option<&str>) -> Result<(), StoreError> {
        let now = (self.clock)();
        self.change(|tables| tables.retry(job, wish, now))
    }

    async fn undelivered(&self, asset: &AssetName, since: Timestamp) -> Result<Vec<JobId>, StoreError> {
        Ok(self.look(|tables| tables.undelivered(asset, since)))
    }

    async fn cancel(&self, job: JobId) -> Result<(), StoreError> {
        let now = (self.clock)();
        self.change(|tables| tables.cancel(job, now))
    }

    async fn provide(&self, job: JobId, provided: &Provided, now: Timestamp) -> Result<(), StoreError> {
        let own = (self.clock)();
        self.change(|tables| tables.provide(job, provided, own, now))
    }
}
