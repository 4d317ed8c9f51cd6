//! The memory store as the conformance suite drives it, and a person beside it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};

use super::MemoryStore;
use super::people::refused;
use super::tables::{AttemptRecord, JobRecord, RunRecord, Tables, whole};
use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::Counter;
use crate::domain::health::AssetHealth;
use crate::domain::job::{JobId, JobStatus};
use crate::domain::time::{Timestamp, from_text, to_text};
use crate::store::conformance::{Row, Subject, Table, suite};
use crate::store::{Provided, Store, StoreError};

/// A store whose person lives long before the suite's workers, as the database's own clock does.
pub(in crate::store) struct MemorySubject {
    store: MemoryStore,
}

impl MemorySubject {
    pub(in crate::store) async fn empty() -> Self {
        let long_ago = from_text("2026-11-22T13:49:00.000Z").expect("valid");
        Self { store: MemoryStore::new(Arc::new(move || long_ago)) }
    }
}

#[async_trait]
impl Subject for MemorySubject {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn cancels(&self, job: JobId) -> Result<(), StoreError> {
        let is_done =
            |tables: &Tables| tables.jobs.get(&job).is_some_and(|job| job.status == JobStatus::Done);
        if self.store.look(is_done) {
            return Err(refused("this job is done; set it to pending to do it again"));
        }
        self.store.cancel(job).await
    }

    async fn sends_round_again(&self, job: JobId) -> Result<(), StoreError> {
        self.store.retry(job, None).await
    }

    async fn provides(&self, job: JobId, text: &str) -> Result<(), StoreError> {
        let (status, provided) = self.store.look(|tables| {
            let row = tables.jobs.get(&job).ok_or(StoreError::NoSuchJob { job })?;
            let (url, content_type) = (row.url.clone(), row.content_type.clone());
            let text = Some(text.to_owned());
            let provided = Provided { url, text, content_type, metadata: row.metadata.clone() };
            Ok::<_, StoreError>((row.status, provided))
        })?;
        match status {
            JobStatus::Running => Err(refused("this job is running; until it ends it can only be cancelled")),
            JobStatus::Cancelled => Err(refused("this job is cancelled; set it to pending to do it again")),
            JobStatus::Pending | JobStatus::Manual | JobStatus::Failed | JobStatus::Done => {
                self.store.provide(job, &provided, at_once()).await
            }
        }
    }

    async fn puts_off(&self, job: JobId, run_at: Timestamp) -> Result<(), StoreError> {
        let now = (self.store.clock)();
        self.store.change(|tables| {
            if let Some(job) = tables.jobs.get_mut(&job) {
                (job.run_at, job.updated_at) = (whole(run_at), now);
            }
            tables.version += 1;
        });
        Ok(())
    }

    async fn deletes(&self, job: JobId) -> Result<(), StoreError> {
        self.store.change(|tables| {
            if tables.jobs.get(&job).is_some_and(|job| job.status == JobStatus::Running) {
                return Err(refused("this job is running; cancel it first, then delete it"));
            }
            tables.delete(job);
            tables.version += 1;
            Ok(())
        })
    }

    async fn rows(&self, table: Table) -> Vec<Row> {
        self.store.look(|tables| rows(tables, table))
    }
}

fn at_once() -> Timestamp {
    Timestamp::UNIX_EPOCH
}

fn rows(tables: &Tables, table: Table) -> Vec<Row> {
    let rows: Vec<Value> = match table {
        Table::Jobs => tables.jobs.values().map(job).collect(),
        Table::Runs => tables.runs.values().map(run).collect(),
        Table::Attempts => tables.attempts.values().map(attempt).collect(),
        Table::AssetHealth => tables.asset_health.values().map(asset_health).collect(),
        Table::ProviderHealth => tables.provider_health.values().map(provider_health).collect(),
        Table::Notices => {
            let row = |(id, notice): (&i64, &super::tables::NoticeRecord)| {
                json!({ "id": id, "job_id": notice.job, "kind": notice.kind, "created_at": text(notice.created_at),
                    "sent_at": notice.sent_at.map(text) })
            };
            tables.notices.iter().map(row).collect()
        }
        Table::Spending => {
            let row = |((period, scope, name), counter): (&(String, &str, String), &Counter)| {
                json!({ "period": period, "scope": scope, "name": name, "reserved_micros": counter.reserved,
                    "spent_micros": counter.spent })
            };
            tables.spending.iter().map(row).collect()
        }
        Table::Staged => {
            let row = |(key, staged): (&String, &super::tables::StagedRecord)| {
                let output: Value = serde_json::from_str(&staged.output).unwrap_or_default();
                json!({ "key": key, "job_id": staged.job, "run_id": staged.run, "attempt_id": staged.attempt,
                    "output": output, "created_at": text(staged.created_at) })
            };
            tables.staged.iter().map(row).collect()
        }
        Table::Calls => {
            let row = |(id, call): (&i64, &super::tables::CallRecord)| {
                json!({ "id": id, "provider": call.provider, "job_id": call.job, "token": call.token.0,
                    "started_at": text(call.started_at), "ended_at": call.ended_at.map(text) })
            };
            tables.calls.iter().map(row).collect()
        }
        Table::Ticks => {
            let row = |((schedule, tick), record): (&(String, Timestamp), &super::tables::TickRecord)| {
                json!({ "schedule": schedule, "tick": text(*tick), "job_id": record.job,
                    "created_at": text(record.created_at) })
            };
            tables.ticks.iter().map(row).collect()
        }
    };
    let object = |row: Value| row.as_object().cloned().unwrap_or_default().into_iter().collect();
    rows.into_iter().map(object).collect()
}

fn text(at: Timestamp) -> String {
    to_text(at)
}

fn flag(value: Option<bool>) -> Option<i64> {
    value.map(i64::from)
}

fn job(job: &JobRecord) -> Value {
    let lease = job.lease.as_ref();
    let mut row = json!({
        "id": job.id, "asset": job.asset, "slug": job.slug, "prompt": job.prompt, "input": job.input,
        "provider_override": job.provider_override, "priority": job.priority, "run_at": text(job.run_at),
        "dedupe_key": job.dedupe_key, "max_runs": job.max_runs, "status": job.status, "runs": job.runs,
        "url": job.url, "text": job.text, "content_type": job.content_type, "provider": job.provider,
        "fallback_used": flag(job.fallback_used), "message": job.message, "error": job.error,
        "metadata": job.metadata, "created_at": text(job.created_at), "updated_at": text(job.updated_at),
        "started_at": job.started_at.map(text), "finished_at": job.finished_at.map(text),
    });
    let leased = json!({
        "lease_token": lease.map(|lease| lease.token.0.clone()),
        "lease_until": lease.map(|lease| text(lease.until)),
        "lease_owner": lease.map(|lease| lease.owner.clone()),
        "deaths": job.deaths, "solo_deaths": job.solo_deaths,
    });
    if let (Some(row), Value::Object(leased)) = (row.as_object_mut(), leased) {
        row.extend(leased);
    }
    row
}

fn run(run: &RunRecord) -> Value {
    json!({
        "id": run.id, "job_id": run.job, "number": run.number, "chain": run.links, "override": run.wish,
        "prompt_digest": run.prompt_digest, "started_at": text(run.started_at),
        "finished_at": run.finished_at.map(text), "outcome": run.outcome, "provider": run.provider,
        "fallback_used": flag(run.fallback_used), "error": run.error,
    })
}

fn attempt(attempt: &AttemptRecord) -> Value {
    json!({
        "id": attempt.id, "run_id": attempt.run, "job_id": attempt.job, "position": attempt.position,
        "repeat": attempt.repeat, "provider": attempt.provider, "model": attempt.model,
        "status": attempt.status, "class": attempt.class, "error": attempt.error,
        "http_status": attempt.http_status, "request_id": attempt.request_id,
        "operation": attempt.operation, "fingerprint": attempt.fingerprint,
        "started_at": text(attempt.started_at), "finished_at": attempt.finished_at.map(text),
        "cost_micros": attempt.cost_micros, "asset": attempt.asset,
        "reserved_micros": attempt.reserved_micros,
    })
}

fn asset_health(health: &AssetHealth) -> Value {
    json!({
        "asset": health.asset, "last_success_at": health.last_success_at.map(text),
        "last_failure_at": health.last_failure_at.map(text), "last_error": health.last_error,
        "last_resolved_source": health.last_resolved_source,
        "last_fallback_used": flag(health.last_fallback_used), "primary_provider": health.primary_provider,
        "primary_last_failure_at": health.primary_last_failure_at.map(text),
        "primary_last_error": health.primary_last_error,
    })
}

fn provider_health(health: &ProviderHealth) -> Value {
    json!({
        "provider": health.provider, "state": health.state.as_str(),
        "consecutive_failures": health.consecutive_failures,
        "last_success_at": health.last_success_at.map(text),
        "last_failure_at": health.last_failure_at.map(text), "last_error": health.last_error,
        "last_class": health.last_class, "open_until": health.open_until.map(text),
        "paused_until": health.paused_until.map(text), "step": health.step,
        "cool_until": health.cool_until.map(text), "probe_job": health.probe.map(|probe| probe.job),
        "probe_until": health.probe.map(|probe| text(probe.until)),
        "held_class": health.hold.as_ref().map(|hold| hold.class),
        "held_fingerprint": health.hold.as_ref().map(|hold| hold.fingerprint.clone()),
    })
}

suite!(MemorySubject::empty());
