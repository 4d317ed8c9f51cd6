//! The rows of the memory store, column by column as the schema has them.

use std::collections::BTreeMap;

use chrono::SubsecRound;
use serde_json::{Map, Value};

use crate::domain::asset::Medium;
use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::Counter;
use crate::domain::health::AssetHealth;
use crate::domain::job::{AttemptId, Job, JobId, JobStatus, RunId};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::notice::NoticeKind;
use crate::domain::time::Timestamp;
use crate::store::claim::LeaseToken;
use crate::store::{NoticeSend, Pulse};

/// Everything that is remembered.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    pub(crate) assets: BTreeMap<AssetName, AssetRow>,
    pub(crate) aliases: BTreeMap<String, AssetName>,
    pub(crate) providers: BTreeMap<ProviderName, Medium>,
    pub(crate) jobs: BTreeMap<JobId, JobRecord>,
    pub(crate) runs: BTreeMap<RunId, RunRecord>,
    pub(crate) attempts: BTreeMap<i64, AttemptRecord>,
    pub(crate) asset_health: BTreeMap<AssetName, AssetHealth>,
    pub(crate) provider_health: BTreeMap<ProviderName, ProviderHealth>,
    pub(crate) notices: BTreeMap<i64, NoticeRecord>,
    /// By period, scope and name.
    pub(crate) spending: BTreeMap<(String, &'static str, String), Counter>,
    /// How many walks ended so, by day, asset and outcome.
    pub(crate) outcomes: BTreeMap<(String, AssetName, &'static str), i64>,
    /// By key.
    pub(crate) staged: BTreeMap<String, StagedRecord>,
    pub(crate) calls: BTreeMap<i64, CallRecord>,
    /// Requests that are fulfilled once, by their key: the digest and the job.
    pub(crate) idempotency: BTreeMap<String, (String, JobId)>,
    /// By schedule and tick.
    pub(crate) ticks: BTreeMap<(String, Timestamp), TickRecord>,
    /// The number of a job is never given twice.
    pub(crate) last_job: i64,
    /// How often something was written.
    pub(crate) version: i64,
}

/// The mirror of an asset.
#[derive(Debug, Clone)]
pub(crate) struct AssetRow {
    pub(crate) medium: Medium,
    /// Whether a provider stands in its chain.
    pub(crate) has_provider: bool,
}

/// A job.
#[derive(Debug, Clone)]
pub(crate) struct JobRecord {
    pub(crate) id: JobId,
    pub(crate) asset: AssetName,
    pub(crate) slug: String,
    pub(crate) prompt: Option<String>,
    pub(crate) input: Map<String, Value>,
    pub(crate) provider_override: Option<String>,
    pub(crate) priority: u8,
    pub(crate) run_at: Timestamp,
    pub(crate) dedupe_key: Option<String>,
    pub(crate) max_runs: Option<u32>,
    pub(crate) status: JobStatus,
    pub(crate) runs: u32,
    pub(crate) url: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) content_type: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) fallback_used: Option<bool>,
    pub(crate) message: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) metadata: Option<Value>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) started_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) lease: Option<Lease>,
    pub(crate) deaths: u32,
    pub(crate) solo_deaths: u32,
}

/// The three columns of a lease.
#[derive(Debug, Clone)]
pub(crate) struct Lease {
    pub(crate) token: LeaseToken,
    pub(crate) until: Timestamp,
    pub(crate) owner: String,
}

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct RunRecord {
    pub(crate) id: RunId,
    pub(crate) job: JobId,
    pub(crate) number: u32,
    pub(crate) links: Vec<String>,
    pub(crate) wish: Option<String>,
    pub(crate) prompt_digest: Option<String>,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) outcome: Option<&'static str>,
    pub(crate) provider: Option<String>,
    pub(crate) fallback_used: Option<bool>,
    pub(crate) error: Option<String>,
}

/// An attempt.
#[derive(Debug, Clone)]
pub(crate) struct AttemptRecord {
    pub(crate) id: i64,
    pub(crate) run: RunId,
    pub(crate) job: JobId,
    pub(crate) position: u32,
    pub(crate) repeat: u32,
    pub(crate) provider: ProviderName,
    pub(crate) model: Option<String>,
    pub(crate) status: &'static str,
    pub(crate) class: Option<&'static str>,
    pub(crate) error: Option<String>,
    pub(crate) http_status: Option<u16>,
    pub(crate) request_id: Option<String>,
    pub(crate) operation: Option<String>,
    pub(crate) fingerprint: String,
    pub(crate) started_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) cost_micros: i64,
    /// For whose budget it counts, and what was put aside for it: of calls that were begun in the ledger.
    pub(crate) asset: Option<AssetName>,
    pub(crate) reserved_micros: i64,
}

/// A file on its way to the vault.
#[derive(Debug, Clone)]
pub(crate) struct StagedRecord {
    pub(crate) job: JobId,
    pub(crate) run: RunId,
    pub(crate) attempt: Option<AttemptId>,
    pub(crate) output: String,
    pub(crate) created_at: Timestamp,
}

/// A call of a provider whose calls are bounded.
#[derive(Debug, Clone)]
pub(crate) struct CallRecord {
    pub(crate) provider: ProviderName,
    pub(crate) job: JobId,
    pub(crate) token: LeaseToken,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
}

/// A notice of the outbox.
#[derive(Debug, Clone)]
pub(crate) struct NoticeRecord {
    pub(crate) kind: NoticeKind,
    pub(crate) job: Option<JobId>,
    pub(crate) provider: Option<ProviderName>,
    pub(crate) detail: Option<String>,
    pub(crate) topic: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) sent_at: Option<Timestamp>,
    /// By destination.
    pub(crate) sends: BTreeMap<String, NoticeSend>,
}

/// A tick of a recurring schedule.
#[derive(Debug, Clone)]
pub(crate) struct TickRecord {
    pub(crate) job: Option<JobId>,
    pub(crate) created_at: Timestamp,
}

impl NoticeRecord {
    /// One that speaks of nothing yet.
    pub(super) fn new(kind: NoticeKind, now: Timestamp) -> Self {
        Self {
            kind,
            job: None,
            provider: None,
            detail: None,
            topic: None,
            created_at: whole(now),
            sent_at: None,
            sends: BTreeMap::new(),
        }
    }
}

impl Tables {
    /// When a run was last opened, and when one last ended.
    pub(crate) fn pulse(&self) -> Pulse {
        Pulse {
            last_claim_at: self.runs.values().map(|run| run.started_at).max(),
            last_finish_at: self.runs.values().filter_map(|run| run.finished_at).max(),
        }
    }

    /// The number of a new run; like a rowid, that of a deleted one is free again.
    pub(super) fn next_run(&self) -> RunId {
        RunId(self.runs.keys().next_back().map_or(1, |last| last.0 + 1))
    }

    /// The number of a new attempt.
    pub(super) fn next_attempt(&self) -> i64 {
        self.attempts.keys().next_back().map_or(1, |last| last + 1)
    }

    /// Writes into the outbox.
    pub(super) fn notify(&mut self, job: JobId, kind: NoticeKind, now: Timestamp) {
        self.put_notice(NoticeRecord { job: Some(job), ..NoticeRecord::new(kind, now) });
    }

    /// Writes anything into the outbox.
    pub(super) fn put_notice(&mut self, notice: NoticeRecord) {
        let id = self.notices.keys().next_back().map_or(1, |last| last + 1);
        self.notices.insert(id, notice);
    }

    /// The run of a job that has not ended.
    pub(crate) fn open_run(&self, job: JobId) -> Option<&RunRecord> {
        self.runs.values().find(|run| run.job == job && run.finished_at.is_none())
    }

    /// Ends the runs of a job that are open.
    pub(super) fn close_runs(&mut self, job: JobId, outcome: &'static str, now: Timestamp) {
        for run in self.runs.values_mut().filter(|run| run.job == job && run.finished_at.is_none()) {
            run.outcome = Some(outcome);
            run.finished_at = Some(whole(now));
        }
    }

    /// Deletes a job with its runs and attempts.
    pub(super) fn delete(&mut self, job: JobId) {
        self.jobs.remove(&job);
        self.idempotency.retain(|_, (_, of)| *of != job);
        let gone: Vec<RunId> = self.runs.values().filter(|run| run.job == job).map(|run| run.id).collect();
        let with_them: Vec<AttemptRecord> =
            self.attempts.values().filter(|attempt| gone.contains(&attempt.run)).cloned().collect();
        for attempt in with_them {
            self.attempts.remove(&attempt.id);
            // What becomes of the call is not known then: what was put aside for it may be gone.
            if attempt.is_open() {
                self.settle_money(&attempt, attempt.reserved_micros);
            }
        }
        self.runs.retain(|id, _| !gone.contains(id));
    }

    /// The job, where this token holds it: every write of the daemon's for a job is fenced by it.
    pub(super) fn held(&mut self, job: JobId, token: &LeaseToken) -> Option<&mut JobRecord> {
        self.jobs.get_mut(&job).filter(|job| job.is_held_by(token))
    }
}

impl JobRecord {
    pub(crate) fn is_held_by(&self, token: &LeaseToken) -> bool {
        self.status == JobStatus::Running && self.lease.as_ref().is_some_and(|lease| lease.token == *token)
    }

    /// The job as a claim brings it.
    pub(super) fn claimed(&self) -> Job {
        Job {
            id: self.id,
            asset: self.asset.clone(),
            slug: self.slug.clone(),
            prompt: self.prompt.clone(),
            input: self.input.clone(),
            provider_override: self.provider_override.clone(),
            counted_runs: self.runs,
            max_runs: self.max_runs,
            first_claimed_at: self.started_at.unwrap_or(self.updated_at),
        }
    }
}

/// An instant as the tables keep it: to the millisecond.
pub(super) fn whole(at: Timestamp) -> Timestamp {
    at.trunc_subsecs(3)
}
