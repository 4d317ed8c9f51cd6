//! What people read, as the columns of the SQL contract have it.

use serde_json::{Value, json};

use super::tables::{AttemptRecord, JobRecord, RunRecord, Tables, whole};
use crate::domain::job::{JobId, JobStatus};
use crate::domain::name::AssetName;
use crate::domain::time::{Timestamp, to_text};
use crate::store::desk::{AssetCount, AttemptRow, JobFilter, JobRow, JobStory, ManualRow, RunRow};

impl Tables {
    /// Jobs, newest first.
    pub(super) fn list(&self, filter: &JobFilter) -> Vec<JobRow> {
        let wanted = |job: &&JobRecord| {
            filter.asset.as_ref().is_none_or(|asset| job.asset == *asset)
                && filter.status.is_none_or(|status| job.status == status)
                && filter.slug.as_ref().is_none_or(|slug| job.slug == *slug)
                && filter.before.is_none_or(|before| job.id < before)
        };
        self.jobs.values().rev().filter(wanted).take(filter.limit as usize).map(job_row).collect()
    }

    /// One job with its runs and attempts.
    pub(super) fn story(&self, id: JobId) -> Option<JobStory> {
        let job = self.jobs.get(&id)?;
        let mut runs: Vec<&RunRecord> = self.runs.values().filter(|run| run.job == id).collect();
        runs.sort_by_key(|run| run.number);
        Some(JobStory { job: job_row(job), history: runs.into_iter().map(|run| self.run_row(run)).collect() })
    }

    /// What waits for a person, longest first.
    pub(super) fn manual_queue(&self, limit: u32) -> Vec<ManualRow> {
        let waits = self.jobs.values().filter(|job| job.status == JobStatus::Manual);
        let mut waiting: Vec<&JobRecord> = waits.collect();
        waiting.sort_by_key(|job| (job.finished_at, job.id));
        waiting.into_iter().take(limit as usize).map(|job| self.manual_row(job)).collect()
    }

    /// How many jobs of each asset have each status.
    pub(super) fn counts(&self, now: Timestamp) -> Vec<AssetCount> {
        let mut counts: std::collections::BTreeMap<(String, &str), (i64, i64)> = Default::default();
        for job in self.jobs.values() {
            let (count, due) = counts.entry((job.asset.to_string(), job.status.as_str())).or_default();
            *count += 1;
            *due += i64::from(job.status == JobStatus::Pending && job.run_at <= whole(now));
        }
        let row = |((asset, status), (count, due)): ((String, &str), _)| AssetCount {
            asset,
            status: status.to_owned(),
            count,
            due,
        };
        counts.into_iter().map(row).collect()
    }

    /// Settled undelivered jobs of an asset since a time.
    pub(super) fn undelivered(&self, asset: &AssetName, since: Timestamp) -> Vec<JobId> {
        let undelivered = |status| matches!(status, JobStatus::Manual | JobStatus::Failed);
        let wanted = |job: &&JobRecord| {
            job.asset == *asset
                && undelivered(job.status)
                && job.finished_at.is_some_and(|at| at >= whole(since))
        };
        self.jobs.values().filter(wanted).map(|job| job.id).collect()
    }

    /// The latest tick of a schedule until now.
    pub(super) fn last_tick(&self, schedule: &str, now: Timestamp) -> Option<Timestamp> {
        let of = self.ticks.keys().filter(|(name, tick)| name == schedule && *tick <= whole(now));
        of.map(|(_, tick)| *tick).next_back()
    }

    fn run_row(&self, run: &RunRecord) -> RunRow {
        let mut attempts: Vec<&AttemptRecord> =
            self.attempts.values().filter(|attempt| attempt.run == run.id).collect();
        attempts.sort_by_key(|attempt| (attempt.position, attempt.repeat, attempt.id));
        RunRow {
            id: run.id.0,
            number: i64::from(run.number),
            chain: Some(json!(run.links)),
            wish: run.wish.clone(),
            started_at: to_text(run.started_at),
            finished_at: run.finished_at.map(to_text),
            outcome: run.outcome.map(str::to_owned),
            provider: run.provider.clone(),
            fallback_used: run.fallback_used,
            error: run.error.clone(),
            attempts: attempts.into_iter().map(attempt_row).collect(),
        }
    }

    fn manual_row(&self, job: &JobRecord) -> ManualRow {
        let medium = self.assets.get(&job.asset).map(|asset| asset.medium.to_string());
        ManualRow {
            id: job.id.0,
            asset: job.asset.to_string(),
            medium,
            slug: job.slug.clone(),
            prompt: Some(job.prompt.clone().unwrap_or_else(|| format!("by the template of {}", job.asset))),
            input: Some(Value::Object(job.input.clone())),
            reasons: Some(self.reasons(job)),
            waiting_since: job.finished_at.map(to_text),
        }
    }

    /// One line for each link of the last run, of its last attempt.
    fn reasons(&self, job: &JobRecord) -> String {
        let of_job = self.runs.values().filter(|run| run.job == job.id);
        let run = of_job.max_by_key(|run| run.number).map(|run| run.id);
        let mut last: std::collections::BTreeMap<u32, &AttemptRecord> = Default::default();
        for attempt in self.attempts.values().filter(|attempt| Some(attempt.run) == run) {
            last.insert(attempt.position, attempt);
        }
        if last.is_empty() {
            return job.error.clone().unwrap_or_else(|| "no provider was asked".to_owned());
        }
        let line = |attempt: &&AttemptRecord| {
            let why = attempt.error.as_deref().or(attempt.class).unwrap_or(attempt.status);
            format!("{}: {why}", attempt.provider)
        };
        last.values().map(line).collect::<Vec<_>>().join("\n")
    }
}

pub(super) fn job_row(job: &JobRecord) -> JobRow {
    JobRow {
        id: job.id.0,
        asset: job.asset.to_string(),
        slug: job.slug.clone(),
        prompt: job.prompt.clone(),
        input: Some(Value::Object(job.input.clone())),
        provider_override: job.provider_override.clone(),
        priority: i64::from(job.priority),
        run_at: to_text(job.run_at),
        dedupe_key: job.dedupe_key.clone(),
        status: job.status.to_string(),
        runs: i64::from(job.runs),
        max_runs: job.max_runs.map(i64::from),
        url: job.url.clone(),
        text: job.text.clone(),
        content_type: job.content_type.clone(),
        provider: job.provider.clone(),
        fallback_used: job.fallback_used,
        message: job.message.clone(),
        error: job.error.clone(),
        metadata: job.metadata.clone(),
        created_at: to_text(job.created_at),
        updated_at: to_text(job.updated_at),
        started_at: job.started_at.map(to_text),
        finished_at: job.finished_at.map(to_text),
    }
}

pub(super) fn attempt_row(attempt: &AttemptRecord) -> AttemptRow {
    AttemptRow {
        id: attempt.id,
        position: i64::from(attempt.position),
        repeat: i64::from(attempt.repeat),
        provider: attempt.provider.to_string(),
        model: attempt.model.clone(),
        status: attempt.status.to_owned(),
        class: attempt.class.map(str::to_owned),
        error: attempt.error.clone(),
        http_status: attempt.http_status.map(i64::from),
        request_id: attempt.request_id.clone(),
        operation: attempt.operation.clone(),
        started_at: to_text(attempt.started_at),
        finished_at: attempt.finished_at.map(to_text),
        cost_micros: attempt.cost_micros,
    }
}
