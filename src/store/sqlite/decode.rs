//! One column list and one row decoder for each table that people read.

use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::domain::breaker::{BreakerState, Hold, Probe, ProviderHealth};
use crate::domain::health::AssetHealth;
use crate::domain::job::JobId;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::time::{Timestamp, from_text};
use crate::store::desk::{AssetCount, AttemptRow, JobRow, ManualRow, Notice, RunRow};
use crate::store::error::StoreError;

/// The columns of [`job`]. A macro, because statements are literals.
macro_rules! job_columns {
    () => {
        "jobs.id, jobs.asset, jobs.slug, jobs.prompt, jobs.input, jobs.provider_override, jobs.priority, \
         jobs.run_at, jobs.dedupe_key, jobs.status, jobs.runs, jobs.max_runs, jobs.url, jobs.text, \
         jobs.content_type, jobs.provider, jobs.fallback_used, jobs.message, jobs.error, jobs.metadata, \
         jobs.created_at, jobs.updated_at, jobs.started_at, jobs.finished_at"
    };
}
pub(super) use job_columns;

/// The columns of [`run`].
macro_rules! run_columns {
    () => {
        "id, number, chain, override, started_at, finished_at, outcome, provider, fallback_used, error"
    };
}
pub(super) use run_columns;

/// The columns of [`attempt`], and the run it belongs to.
macro_rules! attempt_columns {
    () => {
        "id, run_id, position, repeat, provider, model, status, class, error, http_status, request_id, \
         operation, started_at, finished_at, cost_micros"
    };
}
pub(super) use attempt_columns;

/// The columns of [`provider_health`].
macro_rules! provider_health_columns {
    () => {
        "provider, state, consecutive_failures, last_success_at, last_failure_at, last_error, last_class, \
         open_until, paused_until, step, cool_until, probe_job, probe_until, held_class, held_fingerprint"
    };
}
pub(super) use provider_health_columns;

/// The columns of [`asset_health`].
macro_rules! asset_health_columns {
    () => {
        "asset, last_success_at, last_failure_at, last_error, last_resolved_source, last_fallback_used, \
         primary_provider, primary_last_failure_at, primary_last_error"
    };
}
pub(super) use asset_health_columns;

/// Decodes every row that can be decoded. A bad row spoils itself only: it is named in the log and left out.
pub(super) fn every<T>(
    rows: &[SqliteRow],
    table: &str,
    decode: impl Fn(&SqliteRow) -> Result<T, StoreError>,
) -> Vec<T> {
    let keep = |row| match decode(row) {
        Ok(decoded) => Some(decoded),
        Err(error) => {
            tracing::warn!(table, %error, "a row cannot be read and is left out");
            None
        }
    };
    rows.iter().filter_map(keep).collect()
}

pub(super) fn job(row: &SqliteRow) -> Result<JobRow, StoreError> {
    Ok(JobRow {
        id: row.try_get("id")?,
        asset: row.try_get("asset")?,
        slug: row.try_get("slug")?,
        prompt: row.try_get("prompt")?,
        input: json(row, "input")?,
        provider_override: row.try_get("provider_override")?,
        priority: row.try_get("priority")?,
        run_at: row.try_get("run_at")?,
        dedupe_key: row.try_get("dedupe_key")?,
        status: row.try_get("status")?,
        runs: row.try_get("runs")?,
        max_runs: row.try_get("max_runs")?,
        url: row.try_get("url")?,
        text: row.try_get("text")?,
        content_type: row.try_get("content_type")?,
        provider: row.try_get("provider")?,
        fallback_used: row.try_get("fallback_used")?,
        message: row.try_get("message")?,
        error: row.try_get("error")?,
        metadata: json(row, "metadata")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
    })
}

/// A run without its attempts.
pub(super) fn run(row: &SqliteRow) -> Result<RunRow, StoreError> {
    Ok(RunRow {
        id: row.try_get("id")?,
        number: row.try_get("number")?,
        chain: json(row, "chain")?,
        wish: row.try_get("override")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        outcome: row.try_get("outcome")?,
        provider: row.try_get("provider")?,
        fallback_used: row.try_get("fallback_used")?,
        error: row.try_get("error")?,
        attempts: Vec::new(),
    })
}

/// An attempt, with the id of its run.
pub(super) fn attempt(row: &SqliteRow) -> Result<(i64, AttemptRow), StoreError> {
    let attempt = AttemptRow {
        id: row.try_get("id")?,
        position: row.try_get("position")?,
        repeat: row.try_get("repeat")?,
        provider: row.try_get("provider")?,
        model: row.try_get("model")?,
        status: row.try_get("status")?,
        class: row.try_get("class")?,
        error: row.try_get("error")?,
        http_status: row.try_get("http_status")?,
        request_id: row.try_get("request_id")?,
        operation: row.try_get("operation")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        cost_micros: row.try_get("cost_micros")?,
    };
    Ok((row.try_get("run_id")?, attempt))
}

pub(super) fn count(row: &SqliteRow) -> Result<AssetCount, StoreError> {
    Ok(AssetCount {
        asset: row.try_get("asset")?,
        status: row.try_get("status")?,
        count: row.try_get("count")?,
        due: row.try_get("due")?,
    })
}

pub(super) fn manual(row: &SqliteRow) -> Result<ManualRow, StoreError> {
    Ok(ManualRow {
        id: row.try_get("id")?,
        asset: row.try_get("asset")?,
        medium: row.try_get("medium")?,
        slug: row.try_get("slug")?,
        prompt: row.try_get("prompt")?,
        input: json(row, "input")?,
        reasons: row.try_get("reasons")?,
        waiting_since: row.try_get("waiting_since")?,
    })
}

/// A notice, joined with its job.
pub(super) fn notice(row: &SqliteRow) -> Result<Notice, StoreError> {
    Ok(Notice { id: row.try_get("notice")?, kind: row.try_get("kind")?, job: job(row)? })
}

pub(super) fn provider_health(row: &SqliteRow) -> Result<ProviderHealth, StoreError> {
    let state: String = row.try_get("state")?;
    let probe_job: Option<i64> = row.try_get("probe_job")?;
    let held_class: Option<String> = row.try_get("held_class")?;
    let fingerprint: Option<String> = row.try_get("held_fingerprint")?;
    Ok(ProviderHealth {
        provider: provider_name(row, "provider")?,
        state: BreakerState::parse(&state).ok_or_else(|| odd("state", &state))?,
        consecutive_failures: whole(row, "consecutive_failures")?,
        last_success_at: instant(row, "last_success_at")?,
        last_failure_at: instant(row, "last_failure_at")?,
        last_error: row.try_get("last_error")?,
        last_class: row.try_get("last_class")?,
        open_until: instant(row, "open_until")?,
        step: whole(row, "step")?,
        cool_until: instant(row, "cool_until")?,
        paused_until: instant(row, "paused_until")?,
        probe: probe_job
            .zip(instant(row, "probe_until")?)
            .map(|(job, until)| Probe { job: JobId(job), until }),
        hold: held_class.zip(fingerprint).map(|(class, fingerprint)| Hold {
            class: if class == "auth" { "auth" } else { "retired" },
            fingerprint,
        }),
    })
}

pub(super) fn asset_health(row: &SqliteRow) -> Result<AssetHealth, StoreError> {
    let asset: String = row.try_get("asset")?;
    let primary: Option<String> = row.try_get("primary_provider")?;
    Ok(AssetHealth {
        asset: AssetName::parse(&asset).map_err(|_| odd("asset", &asset))?,
        last_success_at: instant(row, "last_success_at")?,
        last_failure_at: instant(row, "last_failure_at")?,
        last_error: row.try_get("last_error")?,
        last_resolved_source: row.try_get("last_resolved_source")?,
        last_fallback_used: row.try_get("last_fallback_used")?,
        primary_provider: match primary {
            Some(_) => Some(provider_name(row, "primary_provider")?),
            None => None,
        },
        primary_last_failure_at: instant(row, "primary_last_failure_at")?,
        primary_last_error: row.try_get("primary_last_error")?,
    })
}

fn provider_name(row: &SqliteRow, column: &str) -> Result<ProviderName, StoreError> {
    let text: String = row.try_get(column)?;
    ProviderName::parse(&text).map_err(|_| odd(column, &text))
}

fn instant(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| from_text(&text).ok_or_else(|| odd(column, &text))).transpose()
}

fn json(row: &SqliteRow, column: &str) -> Result<Option<Value>, StoreError> {
    let text: Option<String> = row.try_get(column)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| odd(column, &text))).transpose()
}

fn whole(row: &SqliteRow, column: &str) -> Result<u32, StoreError> {
    let number: i64 = row.try_get(column)?;
    u32::try_from(number).map_err(|_| odd(column, &number.to_string()))
}

fn odd(column: &str, found: &str) -> StoreError {
    let start: String = found.chars().take(60).collect();
    StoreError::Other(format!("column {column} holds \"{start}\", which has no meaning there"))
}
