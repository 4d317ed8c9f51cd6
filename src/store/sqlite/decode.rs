//! One column list and one row decoder for each table that people read.

use serde_json::Value;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use crate::domain::breaker::{BreakerState, Hold, Probe, ProviderHealth};
use crate::domain::health::AssetHealth;
use crate::domain::job::JobId;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::notice::NoticeKind;
use crate::domain::time::{Timestamp, from_text};
use crate::store::desk::{AssetCount, AttemptRow, JobRow, ManualRow, Notice, OutcomeCount, RunRow};
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

/// Rows of `provider_health` that may be read: the daemon writes some hundred bytes, and one that somebody made huge
/// would be read whole with every look. It counts as none, and the next call's verdict replaces it.
macro_rules! provider_health_is_small {
    () => {
        "coalesce(octet_length(last_error), 0) + coalesce(octet_length(last_class), 0) \
         + coalesce(octet_length(held_fingerprint), 0) + coalesce(octet_length(last_success_at), 0) \
         + coalesce(octet_length(last_failure_at), 0) + coalesce(octet_length(open_until), 0) \
         + coalesce(octet_length(paused_until), 0) + coalesce(octet_length(cool_until), 0) \
         + coalesce(octet_length(probe_until), 0) + octet_length(provider) + octet_length(state) <= 65536"
    };
}
pub(super) use provider_health_is_small;

/// The same of `asset_health`.
macro_rules! asset_health_is_small {
    () => {
        "coalesce(octet_length(last_error), 0) + coalesce(octet_length(primary_last_error), 0) \
         + coalesce(octet_length(last_success_at), 0) + coalesce(octet_length(last_failure_at), 0) \
         + coalesce(octet_length(last_resolved_source), 0) + coalesce(octet_length(primary_provider), 0) \
         + coalesce(octet_length(primary_last_failure_at), 0) + octet_length(asset) <= 262144"
    };
}
pub(super) use asset_health_is_small;

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
        asset: text(row, "asset")?,
        slug: text(row, "slug")?,
        prompt: lossy(row, "prompt")?,
        input: json(row, "input")?,
        provider_override: lossy(row, "provider_override")?,
        priority: row.try_get("priority")?,
        run_at: text(row, "run_at")?,
        dedupe_key: lossy(row, "dedupe_key")?,
        status: text(row, "status")?,
        runs: row.try_get("runs")?,
        max_runs: row.try_get("max_runs")?,
        url: lossy(row, "url")?,
        text: lossy(row, "text")?,
        content_type: lossy(row, "content_type")?,
        provider: lossy(row, "provider")?,
        fallback_used: row.try_get("fallback_used")?,
        message: lossy(row, "message")?,
        error: lossy(row, "error")?,
        metadata: json(row, "metadata")?,
        created_at: text(row, "created_at")?,
        updated_at: text(row, "updated_at")?,
        started_at: lossy(row, "started_at")?,
        finished_at: lossy(row, "finished_at")?,
    })
}

/// A run without its attempts.
pub(super) fn run(row: &SqliteRow) -> Result<RunRow, StoreError> {
    Ok(RunRow {
        id: row.try_get("id")?,
        number: row.try_get("number")?,
        chain: json(row, "chain")?,
        wish: lossy(row, "override")?,
        started_at: text(row, "started_at")?,
        finished_at: lossy(row, "finished_at")?,
        outcome: lossy(row, "outcome")?,
        provider: lossy(row, "provider")?,
        fallback_used: row.try_get("fallback_used")?,
        error: lossy(row, "error")?,
        attempts: Vec::new(),
    })
}

/// An attempt, with the id of its run.
pub(super) fn attempt(row: &SqliteRow) -> Result<(i64, AttemptRow), StoreError> {
    let attempt = AttemptRow {
        id: row.try_get("id")?,
        position: row.try_get("position")?,
        repeat: row.try_get("repeat")?,
        provider: text(row, "provider")?,
        model: lossy(row, "model")?,
        status: text(row, "status")?,
        class: lossy(row, "class")?,
        error: lossy(row, "error")?,
        http_status: row.try_get("http_status")?,
        request_id: lossy(row, "request_id")?,
        operation: lossy(row, "operation")?,
        started_at: text(row, "started_at")?,
        finished_at: lossy(row, "finished_at")?,
        cost_micros: row.try_get("cost_micros")?,
    };
    Ok((row.try_get("run_id")?, attempt))
}

pub(super) fn outcome(row: &SqliteRow) -> Result<OutcomeCount, StoreError> {
    Ok(OutcomeCount {
        day: text(row, "day")?,
        asset: text(row, "asset")?,
        outcome: text(row, "outcome")?,
        count: row.try_get("count")?,
    })
}

pub(super) fn count(row: &SqliteRow) -> Result<AssetCount, StoreError> {
    Ok(AssetCount {
        asset: text(row, "asset")?,
        status: text(row, "status")?,
        count: row.try_get("count")?,
        due: row.try_get("due")?,
    })
}

pub(super) fn manual(row: &SqliteRow) -> Result<ManualRow, StoreError> {
    Ok(ManualRow {
        id: row.try_get("id")?,
        asset: text(row, "asset")?,
        medium: lossy(row, "medium")?,
        slug: text(row, "slug")?,
        prompt: lossy(row, "prompt")?,
        input: json(row, "input")?,
        reasons: lossy(row, "reasons")?,
        waiting_since: lossy(row, "waiting_since")?,
    })
}

/// A notice, joined with its job.
pub(super) fn notice(row: &SqliteRow) -> Result<Notice, StoreError> {
    let kind = text(row, "notice_kind")?;
    let kind = NoticeKind::parse(&kind)
        .ok_or_else(|| StoreError::Other(format!("notices.kind is \"{kind}\", which nobody knows")))?;
    let has_job = row.try_get::<Option<i64>, _>("id")?.is_some();
    let sends = lossy(row, "sends")?.unwrap_or_default();
    Ok(Notice {
        id: row.try_get("notice")?,
        name: text(row, "name")?,
        kind,
        created_at: text(row, "told_of_at")?,
        job: has_job.then(|| job(row)).transpose()?,
        provider: lossy(row, "about")?,
        detail: lossy(row, "detail")?,
        sent_at: lossy(row, "told_at")?,
        sends: serde_json::from_str(&sends).unwrap_or_default(),
    })
}

pub(super) fn provider_health(row: &SqliteRow) -> Result<ProviderHealth, StoreError> {
    let state = text(row, "state")?;
    let probe_job: Option<i64> = row.try_get("probe_job")?;
    let held_class = lossy(row, "held_class")?;
    let fingerprint = lossy(row, "held_fingerprint")?;
    Ok(ProviderHealth {
        provider: provider_name(row, "provider")?,
        state: BreakerState::parse(&state).unwrap_or_default(),
        consecutive_failures: whole(row, "consecutive_failures")?,
        last_success_at: instant(row, "last_success_at")?,
        last_failure_at: instant(row, "last_failure_at")?,
        last_error: lossy(row, "last_error")?,
        last_class: lossy(row, "last_class")?,
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
    let asset = text(row, "asset")?;
    let primary = lossy(row, "primary_provider")?;
    Ok(AssetHealth {
        asset: AssetName::parse(&asset).map_err(|_| odd("asset", &asset))?,
        last_success_at: instant(row, "last_success_at")?,
        last_failure_at: instant(row, "last_failure_at")?,
        last_error: lossy(row, "last_error")?,
        last_resolved_source: lossy(row, "last_resolved_source")?,
        last_fallback_used: row.try_get("last_fallback_used")?,
        primary_provider: primary.and_then(|primary| ProviderName::parse(&primary).ok()),
        primary_last_failure_at: instant(row, "primary_last_failure_at")?,
        primary_last_error: lossy(row, "primary_last_error")?,
    })
}

fn provider_name(row: &SqliteRow, column: &str) -> Result<ProviderName, StoreError> {
    let found = text(row, column)?;
    ProviderName::parse(&found).map_err(|_| odd(column, &found))
}

/// A text for people: what of it is no UTF-8 is shown as such, because a row that is left out is a job lost.
pub(super) fn lossy<I: sqlx::ColumnIndex<SqliteRow>>(
    row: &SqliteRow,
    column: I,
) -> Result<Option<String>, StoreError> {
    let bytes: Option<&[u8]> = row.try_get(column)?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
}

/// As [`lossy`], of a column that is never NULL.
fn text(row: &SqliteRow, column: &str) -> Result<String, StoreError> {
    Ok(lossy(row, column)?.unwrap_or_default())
}

/// An instant of what is remembered. One that somebody wrote wrongly is forgotten: the daemon writes these rows
/// with every run, and none may fail for good because of them.
fn instant(row: &SqliteRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    let Some(found) = lossy(row, column)? else { return Ok(None) };
    let at = from_text(&found);
    if at.is_none() {
        tracing::warn!(column, found = start(&found), "this is no time, and counts as none");
    }
    Ok(at)
}

/// A JSON document; what SQLite takes for one and nobody else does is shown as its text.
fn json(row: &SqliteRow, column: &str) -> Result<Option<Value>, StoreError> {
    let document = |found: String| serde_json::from_str(&found).unwrap_or(Value::String(found));
    Ok(lossy(row, column)?.map(document))
}

/// A count, held at the ends of its range.
fn whole(row: &SqliteRow, column: &str) -> Result<u32, StoreError> {
    let number: i64 = row.try_get(column)?;
    Ok(u32::try_from(number.max(0)).unwrap_or(u32::MAX))
}

fn odd(column: &str, found: &str) -> StoreError {
    StoreError::Other(format!("column {column} holds {:?}, which has no meaning there", start(found)))
}

fn start(found: &str) -> String {
    found.chars().take(60).collect()
}
