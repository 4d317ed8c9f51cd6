//! Claims and leases in memory.

use std::collections::BTreeMap;

use super::tables::{JobRecord, Lease, RunRecord, Tables, whole};
use crate::domain::chain::Chain;
use crate::domain::job::{AttemptId, JobId, JobStatus};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::plan::{Override, bend};
use crate::domain::time::{Timestamp, after};
use crate::store::claim::{
    ALONE_FROM, Claim, ClaimRequest, Claimed, Held, OpenRun, PastAttempt, Refusal, Wanted,
};

/// As on SQLite: the input and the prompts of one claim, in bytes.
const MOST_BYTES: usize = 16 << 20;

/// As on SQLite: no lease is longer than this.
const FARTHEST_LEASE: std::time::Duration = std::time::Duration::from_secs(86_400);

impl Tables {
    /// Claims what is due, and takes over what a dead worker holds.
    pub(super) fn claim_due(&mut self, request: &ClaimRequest) -> Claimed {
        let mut room = Room::of(request);
        let orphaned = self.choose(&mut room, |job| request.take_over && is_orphan(job, request), 1);
        let due = self.choose(
            &mut room,
            |job| job.status == JobStatus::Pending && job.run_at <= whole(request.now),
            0,
        );
        let mut claims = Vec::new();
        for id in orphaned {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.solo_deaths += u32::from(job.deaths >= ALONE_FROM);
            job.deaths += 1;
            claims.extend(self.take(id, request));
        }
        for id in due {
            let Some(job) = self.jobs.get_mut(&id) else { continue };
            job.status = JobStatus::Running;
            job.started_at = job.started_at.or(Some(whole(request.now)));
            claims.extend(self.take(id, request));
        }
        if !claims.is_empty() {
            self.version += 1;
        }
        Claimed { claims, one_waits_to_be_alone: room.one_waits_to_be_alone }
    }

    /// Renews leases and says what is still held.
    pub(super) fn renew(&mut self, held: &[Held], until: Timestamp) -> Vec<Held> {
        let mut renewed = Vec::new();
        for (token, id) in held {
            let Some(job) = self.held(*id, token) else { continue };
            if let Some(lease) = &mut job.lease {
                lease.until = whole(until);
            }
            renewed.push((token.clone(), *id));
        }
        self.version += 1;
        renewed
    }

    /// Ends the leases of an owner.
    pub(super) fn expire(&mut self, owner: &str, now: Timestamp) -> u64 {
        let mut ended = 0;
        for job in self.jobs.values_mut().filter(|job| job.status == JobStatus::Running) {
            if let Some(lease) = &mut job.lease
                && lease.owner == owner
                && lease.until > whole(now)
            {
                lease.until = whole(now);
                ended += 1;
            }
        }
        self.version += 1;
        ended
    }

    /// The owners of running jobs, without `own`.
    pub(super) fn other_owners(&self, own: &str) -> Vec<String> {
        let running = self.jobs.values().filter(|job| job.status == JobStatus::Running);
        let owners = running.filter_map(|job| job.lease.as_ref()).map(|lease| lease.owner.clone());
        let others: std::collections::BTreeSet<String> = owners.filter(|owner| owner != own).collect();
        others.into_iter().collect()
    }

    /// When the next pending job of these assets is due that was not due at `past` yet.
    pub(super) fn next_due_at(&self, assets: &[AssetName], past: Timestamp) -> Option<Timestamp> {
        self.pending(assets).map(|job| job.run_at).filter(|run_at| *run_at > whole(past)).min()
    }

    /// How many pending jobs of these assets are due.
    pub(super) fn due(&self, assets: &[AssetName], now: Timestamp) -> u64 {
        self.pending(assets).filter(|job| job.run_at <= whole(now)).count() as u64
    }

    /// Whether a claim of these assets may find something, be it due or somebody's whose lease has ended.
    pub(crate) fn has_work(&self, assets: &[AssetName], now: Timestamp) -> bool {
        let may = |job: &JobRecord| match job.status {
            JobStatus::Pending => job.run_at <= whole(now),
            JobStatus::Running => job.lease.as_ref().is_some_and(|lease| lease.until <= whole(now)),
            JobStatus::Done | JobStatus::Manual | JobStatus::Failed | JobStatus::Cancelled => false,
        };
        self.jobs.values().any(|job| assets.contains(&job.asset) && may(job))
    }

    fn pending(&self, assets: &[AssetName]) -> impl Iterator<Item = &JobRecord> {
        self.jobs.values().filter(|job| job.status == JobStatus::Pending && assets.contains(&job.asset))
    }

    /// The jobs there is room for, the highest priority first, then the oldest; `dying` is how many deaths are added
    /// by taking one.
    fn choose(&self, room: &mut Room<'_>, may: impl Fn(&JobRecord) -> bool, dying: u32) -> Vec<JobId> {
        let wanted = |job: &&JobRecord| {
            room.place(&job.asset).is_some_and(|wanted| !wanted.only_bought || self.has_bought(job.id))
        };
        let mut found: Vec<&JobRecord> = self.jobs.values().filter(|job| may(job)).filter(wanted).collect();
        found.sort_by_key(|job| (std::cmp::Reverse(job.priority), job.run_at, job.id));
        found.into_iter().filter(|job| room.take(job, dying)).map(|job| job.id).collect()
    }

    /// Whether the last call of the job's open run waits for what it has bought.
    fn has_bought(&self, job: JobId) -> bool {
        let Some(run) = self.open_run(job) else { return false };
        let mut calls = self.attempts.values().filter(|attempt| attempt.run == run.id);
        let last = calls.rfind(|attempt| attempt.status != "skipped");
        last.is_some_and(|last| {
            last.status == "accepted"
                || (last.status == "started" && self.staged_by(AttemptId(last.id)).is_some())
        })
    }

    fn take(&mut self, id: JobId, request: &ClaimRequest) -> Option<Claim> {
        let job = self.jobs.get_mut(&id)?;
        job.lease = Some(Lease {
            token: request.token.clone(),
            until: whole(request.lease_until),
            owner: request.owner.clone(),
        });
        job.updated_at = whole(request.now);
        let (deaths, solo_deaths, job) = (job.deaths, job.solo_deaths, job.claimed());
        let run = self.open(id, job.provider_override.as_deref(), &job.asset, request);
        let refusals = if run.number > 1 { self.refusals(id) } else { Vec::new() };
        Some(Claim { job, token: request.token.clone(), run, refusals, deaths, solo_deaths })
    }

    /// A dead worker's open run goes on as it was: same row, number, chain, attempts; else a new one begins.
    fn open(&mut self, job: JobId, wish: Option<&str>, asset: &AssetName, request: &ClaimRequest) -> OpenRun {
        if let Some(run) = self.open_run(job) {
            let past = self.attempts.values().filter(|attempt| attempt.run == run.id);
            let past = past.map(|attempt| PastAttempt {
                id: attempt.id,
                position: attempt.position,
                provider: attempt.provider.clone(),
                status: attempt.status.to_owned(),
                class: attempt.class.map(str::to_owned),
                error: attempt.error.clone(),
                operation: attempt.operation.clone(),
                fingerprint: Some(attempt.fingerprint.clone()),
                staged: self.staged_by(AttemptId(attempt.id)),
            });
            return OpenRun {
                id: run.id,
                number: run.number,
                links: run.links.clone(),
                wish: run.wish.clone(),
                past: past.collect(),
            };
        }
        let chain = request.wanted.iter().find(|wanted| wanted.asset == *asset).map(|wanted| &wanted.chain);
        let links = chain.map_or_else(Vec::new, |chain| links(chain, wish));
        let last = self.runs.values().filter(|run| run.job == job).map(|run| run.number).max();
        let run = RunRecord {
            id: self.next_run(),
            job,
            number: last.unwrap_or(0) + 1,
            links: links.clone(),
            wish: wish.map(str::to_owned),
            prompt_digest: None,
            started_at: whole(request.now),
            finished_at: None,
            outcome: None,
            provider: None,
            fallback_used: None,
            error: None,
        };
        let opened =
            OpenRun { id: run.id, number: run.number, links, wish: run.wish.clone(), past: Vec::new() };
        self.runs.insert(run.id, run);
        opened
    }

    fn refusals(&self, job: JobId) -> Vec<Refusal> {
        let mut refusals: Vec<Refusal> = Vec::new();
        for attempt in self.attempts.values() {
            let refused = attempt.job == job && attempt.class == Some("refused");
            let ended = self.runs.get(&attempt.run).filter(|run| refused && run.finished_at.is_some());
            let Some(run) = ended else { continue };
            let refusal =
                Refusal { provider: attempt.provider.clone(), prompt_digest: run.prompt_digest.clone() };
            if !refusals.contains(&refusal) {
                refusals.push(refusal);
            }
        }
        refusals
    }
}

/// A lease that has ended, or that ends later than any daemon writes one.
fn is_orphan(job: &JobRecord, request: &ClaimRequest) -> bool {
    let horizon = whole(after(request.lease_until, FARTHEST_LEASE));
    let ended = |lease: &Lease| lease.until <= whole(request.now) || lease.until > horizon;
    job.status == JobStatus::Running
        && job.lease.as_ref().is_some_and(ended)
        && !request.held.contains(&job.id)
}

fn links(chain: &Chain, wish: Option<&str>) -> Vec<String> {
    let wish = wish.and_then(|typed| Override::parse(typed).ok());
    bend(chain, wish.as_ref()).iter().map(ToString::to_string).collect()
}

/// What is still free.
struct Room<'a> {
    wanted: &'a [Wanted],
    left: u32,
    bytes: usize,
    most: BTreeMap<&'a AssetName, u32>,
    free: BTreeMap<&'a ProviderName, u32>,
    empty: bool,
    one_waits_to_be_alone: bool,
}

impl<'a> Room<'a> {
    fn of(request: &'a ClaimRequest) -> Self {
        Self {
            wanted: &request.wanted,
            left: request.limit,
            bytes: MOST_BYTES,
            most: request.wanted.iter().map(|wanted| (&wanted.asset, wanted.most)).collect(),
            free: request.free.iter().map(|(provider, free)| (provider, *free)).collect(),
            empty: request.held.is_empty(),
            one_waits_to_be_alone: false,
        }
    }

    fn place(&self, asset: &AssetName) -> Option<&'a Wanted> {
        self.wanted.iter().find(|wanted| wanted.asset == *asset)
    }

    fn take(&mut self, job: &JobRecord, dying: u32) -> bool {
        let Some(wanted) = self.place(&job.asset) else { return false };
        let most = self.most.get(&job.asset).copied().unwrap_or(0);
        let shared = wanted.shares.as_ref().and_then(|provider| self.free.get(provider)).copied();
        if self.left == 0 || most == 0 || shared == Some(0) || self.bytes == 0 {
            return false;
        }
        let alone = job.deaths + dying >= ALONE_FROM;
        if alone && !self.empty {
            self.one_waits_to_be_alone = true;
            self.left = 0;
            return false;
        }
        self.empty = false;
        self.left = if alone { 0 } else { self.left - 1 };
        let size = serde_json::Value::Object(job.input.clone()).to_string().len()
            + job.prompt.as_ref().map_or(0, String::len);
        self.bytes = self.bytes.saturating_sub(size);
        self.most.insert(&wanted.asset, most - 1);
        if let (Some(provider), Some(free)) = (&wanted.shares, shared) {
            self.free.insert(provider, free - 1);
        }
        true
    }
}
