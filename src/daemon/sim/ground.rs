//! The store as one simulated process sees it: slow, busy or full now and then, and the place where it dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

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
use crate::store::{
    Asked, AssetCount, Call, ClaimRequest, Claimed, Entry, Found, Held, JobFilter, JobRow, JobSearch,
    JobStory, ManualRow, NewJob, NewNotice, NewTick, Notice, Once, OutcomeCount, Provided, Pulse, Stale,
    Store, StoreError, Told, Written,
};

use super::law;
use super::life::Life;
use super::world::World;

/// How likely a write is the last thing that a process does; half of them reach the disk.
const DEADLY: f64 = 0.000_4;

/// How likely a write is busy by itself.
const BUSY: f64 = 0.01;

/// Whoever waits for a write looks at least this often, as for a wake-up that got lost.
const PATIENCE: Duration = Duration::from_secs(600);

/// One process's connection.
pub(super) struct SimStore {
    world: Arc<World>,
    life: Arc<Life>,
    seen: AtomicI64,
}

impl SimStore {
    pub(super) fn new(world: Arc<World>, life: Arc<Life>) -> Self {
        Self { world, life, seen: AtomicI64::new(-1) }
    }

    async fn read(&self) -> Result<(), StoreError> {
        self.life.goes_on().await;
        if self.world.likely(0.05) {
            tokio::time::sleep(self.world.millis(1, 15)).await;
            self.life.goes_on().await;
        }
        self.fails(0.1)
    }

    async fn write(&self) -> Result<(), StoreError> {
        self.life.goes_on().await;
        tokio::time::sleep(self.world.millis(0, 8)).await;
        if self.dies() {
            self.life.dies("before a write");
        }
        self.life.goes_on().await;
        self.fails(1.0)
    }

    async fn written(&self) {
        law::something_was_written(&self.world);
        if self.dies() {
            self.life.dies("after a write");
        }
        self.life.goes_on().await;
    }

    fn dies(&self) -> bool {
        let world = &self.world;
        world.plan.daemons_die && !world.is_healed() && world.likely(DEADLY)
    }

    /// Trouble of the store, if it is due; `share` of what meets it fails.
    fn fails(&self, share: f64) -> Result<(), StoreError> {
        let world = &self.world;
        if !world.plan.store_fails || world.is_healed() {
            return Ok(());
        }
        let now = world.time();
        let lasting = world.facts(|facts| facts.store_fails_until.is_some_and(|until| until > now));
        if (lasting && world.likely(share)) || world.likely(BUSY * share) {
            world.is_troubled();
            world.count(|count| count.troubles += 1);
            let full = world.likely(0.3);
            return Err(if full { StoreError::Full } else { StoreError::Busy("locked".to_owned()) });
        }
        Ok(())
    }
}

#[async_trait]
impl Store for SimStore {
    async fn mirror(&self, a: &[Asset], p: &[Provider], now: Timestamp) -> Result<(), StoreError> {
        self.world.store.mirror(a, p, now).await
    }

    async fn claim_due(&self, request: &ClaimRequest) -> Result<Claimed, StoreError> {
        self.read().await?;
        let due = self.world.store.look(|tables| {
            let names: Vec<AssetName> = request.wanted.iter().map(|wanted| wanted.asset.clone()).collect();
            tables.has_work(&names, request.now)
        });
        if due {
            self.write().await?;
        }
        self.world.facts(|facts| facts.owners.insert(request.owner.clone(), Arc::clone(&self.life)));
        let owners = law::owners_of(&self.world);
        let claimed = self.world.store.claim_due(request).await?;
        law::jobs_were_claimed(&self.world, &self.life.name, &claimed);
        law::nobody_was_robbed(&self.world, &owners, &claimed);
        if due {
            self.written().await;
        }
        Ok(claimed)
    }

    async fn pulse(&self) -> Result<Pulse, StoreError> {
        self.read().await?;
        self.world.store.pulse().await
    }

    async fn renew(&self, held: &[Held], until: Timestamp) -> Result<Vec<Held>, StoreError> {
        self.write().await?;
        let renewed = self.world.store.renew(held, until).await?;
        self.written().await;
        Ok(renewed)
    }

    async fn expire(&self, owner: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.write().await?;
        let ended = self.world.store.expire(owner, now).await?;
        self.written().await;
        Ok(ended)
    }

    async fn other_owners(&self, own: &str) -> Result<Vec<String>, StoreError> {
        self.read().await?;
        self.world.store.other_owners(own).await
    }

    async fn record(&self, entries: &[Entry], now: Timestamp) -> Result<Written, StoreError> {
        self.write().await?;
        let strangers = law::ends_of_strangers(&self.world, entries);
        let written = self.world.store.record(entries, now).await?;
        law::strangers_end_nothing(&self.world, &strangers, &written);
        law::entries_were_written(&self.world, &self.life.name, entries, &written);
        self.written().await;
        Ok(written)
    }

    async fn settle_forsaken(&self, ended_before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        self.read().await?;
        self.world.store.settle_forsaken(ended_before, now).await
    }

    async fn spending(&self, at: Timestamp) -> Result<Spending, StoreError> {
        self.read().await?;
        self.world.store.spending(at).await
    }

    async fn usages(
        &self,
        asked: &[(ProviderName, Pace)],
        owner: &str,
        now: Timestamp,
    ) -> Result<Vec<Usage>, StoreError> {
        self.read().await?;
        self.world.store.usages(asked, owner, now).await
    }

    async fn stale_staged(&self, before: Timestamp, limit: u32) -> Result<Vec<Stale>, StoreError> {
        self.read().await?;
        self.world.store.stale_staged(before, limit).await
    }

    async fn unstage(&self, keys: &[String]) -> Result<(), StoreError> {
        self.write().await?;
        self.world.store.unstage(keys).await
    }

    async fn take_probe(
        &self,
        provider: &ProviderName,
        probe: Probe,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<ProviderHealth, StoreError> {
        self.write().await?;
        let health = self.world.store.take_probe(provider, probe, fingerprint, now).await?;
        if health.probe == Some(probe) {
            self.world.count(|count| count.probes += 1);
            self.world.tell(format!("{} probes {provider} with job {}", self.life.name, probe.job));
        }
        self.written().await;
        Ok(health)
    }

    async fn next_due_at(&self, a: &[AssetName], past: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read().await?;
        self.world.store.next_due_at(a, past).await
    }

    async fn due(&self, assets: &[AssetName], now: Timestamp) -> Result<u64, StoreError> {
        self.read().await?;
        self.world.store.due(assets, now).await
    }

    /// Answers when the number has changed since this process saw it last: twenty-five looks a second would be most of
    /// what a simulated hour costs.
    async fn version(&self) -> Result<i64, StoreError> {
        loop {
            let mut change = std::pin::pin!(self.world.written.notified());
            change.as_mut().enable();
            self.life.goes_on().await;
            let version = self.world.store.version().await?;
            if self.seen.swap(version, Ordering::Relaxed) != version {
                self.fails(0.1)?;
                return Ok(version);
            }
            // A time-out is no trouble: the number is looked at again.
            drop(tokio::time::timeout(PATIENCE, change).await);
        }
    }

    async fn tick(&self, tick: &NewTick) -> Result<bool, StoreError> {
        self.write().await?;
        let written = self.world.store.tick(tick).await?;
        self.written().await;
        Ok(written)
    }

    async fn last_tick(&self, schedule: &str, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read().await?;
        self.world.store.last_tick(schedule, now).await
    }

    async fn unsent_notices(&self, after: i64, limit: u32) -> Result<Vec<Notice>, StoreError> {
        self.read().await?;
        self.world.store.unsent_notices(after, limit).await
    }

    async fn take_notice(
        &self,
        notice: i64,
        destination: &str,
        again: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write().await?;
        let done = self.world.store.take_notice(notice, destination, again, now).await?;
        self.written().await;
        Ok(done)
    }

    async fn notice_told(
        &self,
        notice: i64,
        destination: &str,
        told: &Told,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write().await?;
        let done = self.world.store.notice_told(notice, destination, told, now).await?;
        self.written().await;
        Ok(done)
    }

    async fn announce(&self, notice: &NewNotice, now: Timestamp) -> Result<bool, StoreError> {
        self.write().await?;
        let done = self.world.store.announce(notice, now).await?;
        self.written().await;
        Ok(done)
    }

    async fn notices(&self, before: Option<i64>, limit: u32) -> Result<Vec<Notice>, StoreError> {
        self.read().await?;
        self.world.store.notices(before, limit).await
    }

    async fn tell_again(&self, notice: i64) -> Result<bool, StoreError> {
        self.write().await?;
        let done = self.world.store.tell_again(notice).await?;
        self.written().await;
        Ok(done)
    }

    async fn notice_sent(&self, notice: i64, now: Timestamp) -> Result<(), StoreError> {
        self.write().await?;
        self.world.store.notice_sent(notice, now).await?;
        self.written().await;
        Ok(())
    }

    async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        self.write().await?;
        self.world.store.prune(before, limit).await
    }

    async fn tend(&self) -> Result<(), StoreError> {
        self.read().await
    }

    async fn provider_health(&self) -> Result<Vec<ProviderHealth>, StoreError> {
        self.read().await?;
        self.world.store.provider_health().await
    }

    // What follows is the desk's; no daemon asks for it.

    async fn enqueue(&self, job: &NewJob) -> Result<JobId, StoreError> {
        self.world.store.enqueue(job).await
    }

    async fn enqueue_once(&self, job: &NewJob, once: &Once, now: Timestamp) -> Result<Asked, StoreError> {
        self.world.store.enqueue_once(job, once, now).await
    }

    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError> {
        self.world.store.jobs(filter).await
    }

    async fn story(&self, job: JobId) -> Result<Option<JobStory>, StoreError> {
        self.world.store.story(job).await
    }

    async fn manual_queue(&self, limit: u32) -> Result<Vec<ManualRow>, StoreError> {
        self.world.store.manual_queue(limit).await
    }

    async fn counts(&self, now: Timestamp) -> Result<Vec<AssetCount>, StoreError> {
        self.world.store.counts(now).await
    }

    async fn backlog(&self, now: Timestamp) -> Result<Vec<AssetCount>, StoreError> {
        self.world.store.backlog(now).await
    }

    async fn outcomes(&self, since: Timestamp) -> Result<Vec<OutcomeCount>, StoreError> {
        self.world.store.outcomes(since).await
    }

    async fn search(&self, search: &JobSearch) -> Result<Found, StoreError> {
        self.world.store.search(search).await
    }

    async fn calls(&self, provider: &ProviderName, limit: u32) -> Result<Vec<Call>, StoreError> {
        self.world.store.calls(provider, limit).await
    }

    async fn asset_health(&self) -> Result<Vec<AssetHealth>, StoreError> {
        self.world.store.asset_health().await
    }

    async fn pause(
        &self,
        p: &ProviderName,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.world.store.pause(p, until, now).await
    }

    async fn reset(&self, provider: &ProviderName, now: Timestamp) -> Result<(), StoreError> {
        self.world.store.reset(provider, now).await
    }

    async fn retry(&self, job: JobId, wish: Option<&str>) -> Result<(), StoreError> {
        self.world.store.retry(job, wish).await
    }

    async fn undelivered(&self, asset: &AssetName, since: Timestamp) -> Result<Vec<JobId>, StoreError> {
        self.world.store.undelivered(asset, since).await
    }

    async fn cancel(&self, job: JobId) -> Result<(), StoreError> {
        self.world.store.cancel(job).await
    }

    async fn provide(&self, job: JobId, provided: &Provided, now: Timestamp) -> Result<(), StoreError> {
        self.world.store.provide(job, provided, now).await
    }
}
