//! The ledger on SQLite: many entries in one transaction, each fenced on its own.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqlitePool};

use crate::domain::breaker::{HealthEvent, Probe, ProviderHealth};
use crate::domain::budget::Reservation;
use crate::domain::chain::MANUAL;
use crate::domain::health::RunReport;
use crate::domain::job::{JobId, JobStatus};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::notice::news;
use crate::domain::time::{Timestamp, to_text};
use crate::store::claim::LeaseToken;
use crate::store::error::StoreError;
use crate::store::ledger::{
    AttemptFacts, AttemptId, AttemptResult, Ending, Entry, Recorded, RunEnd, Written,
};

use super::glance;
use super::health::{load_asset_health, load_provider_health, save_asset_health, save_provider_health};
use super::notices;
use super::pace;
use super::spending;
use super::staged;

pub(super) const BEGIN: &str = "
    INSERT INTO attempts (run_id, job_id, position, repeat, provider, model, status, fingerprint, started_at, asset,
                          reserved_micros)
    SELECT $1, $2, $3, $4, $5, $6, 'started', $7, $8, $10, $11
    WHERE EXISTS (SELECT 1 FROM jobs WHERE id = $2 AND +lease_token = $9 AND +status = 'running')
    RETURNING id";

/// The first verdict wins: an attempt is settled once, whoever holds its job by then. Where the job was deleted, the
/// attempt's number may be another's by now; a job's number never is.
pub(super) const SETTLE: &str = "
    UPDATE attempts
    SET status = $2, class = $3, error = $4, http_status = $5, request_id = coalesce(request_id, $6), finished_at = $7, cost_micros = $8
    WHERE id = $1 AND job_id = $9 AND status IN ('started', 'accepted')";

const ABANDON: &str = "
    UPDATE attempts
    SET status = 'unknown', class = 'unknown_outcome', finished_at = $2,
        error = 'the job was cancelled during the call, and what became of it is not known'
    WHERE id = $1 AND job_id = $3 AND status IN ('started', 'accepted')
        AND EXISTS (SELECT 1 FROM runs WHERE id = attempts.run_id AND finished_at IS NOT NULL)";

pub(super) const INSERT_SETTLED: &str = "
    INSERT INTO attempts (run_id, job_id, position, repeat, provider, model, status, class, error, http_status,
                          request_id, fingerprint, started_at, finished_at, cost_micros)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12, value ->> 13, value ->> 14
    FROM json_each($1) AS entry
    WHERE EXISTS (SELECT 1 FROM runs NOT INDEXED WHERE id = entry.value ->> 0 AND job_id = entry.value ->> 1)";

/// By rowid and nothing else: with an index to choose, the planner would look jobs up by the token that a whole
/// batch shares.
pub(super) const END_JOBS: &str = "
    UPDATE jobs NOT INDEXED
    SET status = e.status, lease_token = NULL, lease_until = NULL, lease_owner = NULL,
        provider_override = CASE WHEN e.status = 'pending' THEN provider_override END,
        url = CASE WHEN e.status = 'done' THEN e.url ELSE jobs.url END,
        text = CASE WHEN e.status = 'done' THEN e.text ELSE jobs.text END,
        content_type = CASE WHEN e.status = 'done' THEN e.content_type ELSE jobs.content_type END,
        metadata = CASE WHEN e.status = 'done' THEN e.metadata ELSE jobs.metadata END,
        provider = coalesce(e.provider, jobs.provider), fallback_used = coalesce(e.fallback_used, jobs.fallback_used),
        message = e.message, error = e.error, run_at = coalesce(e.run_at, jobs.run_at),
        runs = min(jobs.runs, 1000000 - e.counted) + e.counted, updated_at = $2,
        deaths = CASE WHEN e.status = 'pending' THEN jobs.deaths ELSE 0 END,
        solo_deaths = CASE WHEN e.status = 'pending' THEN jobs.solo_deaths ELSE 0 END,
        finished_at = CASE WHEN e.status = 'pending' THEN NULL ELSE $2 END
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS token, value ->> 2 AS status, value ->> 3 AS url,
                 value ->> 4 AS text, value ->> 5 AS content_type, value ->> 6 AS provider,
                 value ->> 7 AS fallback_used, value ->> 8 AS message, value ->> 9 AS error,
                 value ->> 10 AS metadata, value ->> 11 AS run_at, value ->> 12 AS counted
          FROM json_each($1)) AS e
    WHERE jobs.id = e.id AND +jobs.lease_token = e.token AND +jobs.status = 'running'
    RETURNING jobs.id";

pub(super) const END_RUNS: &str = "
    UPDATE runs NOT INDEXED
    SET finished_at = $2, outcome = e.outcome, provider = e.provider, fallback_used = e.fallback_used,
        error = e.error, prompt_digest = e.prompt_digest
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS outcome, value ->> 2 AS provider, value ->> 3 AS fallback_used,
                 value ->> 4 AS error, value ->> 5 AS prompt_digest
          FROM json_each($1)) AS e
    WHERE runs.id = e.id AND +runs.finished_at IS NULL";

/// The schema's own bound, in micro-dollars.
const MOST_OF_AN_ATTEMPT: i64 = 1_000_000_000_000;

/// Writes entries in one transaction; the answers are in their order.
pub(super) async fn record(
    writer: &SqlitePool,
    entries: &[Entry],
    now: Timestamp,
) -> Result<Written, StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut answers = vec![Recorded::Written; entries.len()];
    let mut events: Vec<&HealthEvent> = Vec::new();
    let mut fresh: Vec<&AttemptResult> = Vec::new();
    let mut ends: Vec<(usize, &RunEnd)> = Vec::new();
    let mut freed: Vec<(&ProviderName, Probe)> = Vec::new();
    for (place, (entry, answer)) in entries.iter().zip(&mut answers).enumerate() {
        match entry {
            // One after another, so that those of one transaction are held to a budget together.
            Entry::Begin { token, facts, reservation } => {
                *answer = begin(&mut tx, (token, facts), reservation, now).await?;
            }
            Entry::Enter(facts) => {
                *answer = match pace::no_room(&mut tx, facts, now).await? {
                    Some(no_room) => Recorded::NoRoom(no_room),
                    None => pace::enter(&mut tx, facts, now).await?,
                };
            }
            Entry::Reenter(facts) => pace::reenter(&mut tx, facts).await?,
            Entry::Accept { attempt, job, operation, request_id } => {
                accept(&mut tx, (*attempt, *job), operation, request_id.as_deref()).await?;
            }
            Entry::Abandon { attempt, job } => abandon(&mut tx, *attempt, *job, now).await?,
            Entry::FreeProbe { provider, probe } => freed.push((provider, *probe)),
            Entry::Stage(staging) => *answer = staged::stage(&mut tx, staging, now).await?,
            Entry::Settle(result) => {
                pace::leave(&mut tx, &result.facts, now).await?;
                if book(&mut tx, result, &mut fresh).await? {
                    events.extend(&result.event);
                }
            }
            Entry::Finish(end) => {
                for result in &end.attempts {
                    pace::leave(&mut tx, &result.facts, now).await?;
                    if book(&mut tx, result, &mut fresh).await? {
                        events.extend(&result.event);
                    }
                }
                ends.push((place, end));
            }
        }
    }
    insert_settled(&mut tx, &fresh).await?;
    let mut kept: Vec<&RunEnd> = Vec::with_capacity(ends.len());
    for round in rounds(ends) {
        let held = end_jobs(&mut tx, &round, now).await?;
        for (place, end) in round {
            if held.contains(&end.job.0) {
                kept.push(end);
            } else if let Some(answer) = answers.get_mut(place) {
                *answer = Recorded::LeaseGone;
            }
        }
    }
    end_runs(&mut tx, &kept, now).await?;
    staged::deliver(&mut tx, &kept).await?;
    remember_assets(&mut tx, &kept, now).await?;
    notices::of_ends(&mut tx, &kept, now).await?;
    let health = remember_providers(&mut tx, &events, &freed, now).await?;
    tx.commit().await?;
    Ok(Written { answers, health })
}

/// Gives the half-open provider's probe to one job.
pub(super) async fn take_probe(
    writer: &SqlitePool,
    provider: &ProviderName,
    probe: Probe,
    fingerprint: &str,
    now: Timestamp,
) -> Result<ProviderHealth, StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut health = load_provider_health(&mut tx, provider).await?;
    if health.take_probe(probe, now, fingerprint) {
        save_provider_health(&mut tx, &health, now).await?;
    }
    tx.commit().await?;
    Ok(health)
}

async fn begin(
    tx: &mut SqliteConnection,
    (token, facts): (&LeaseToken, &AttemptFacts),
    reservation: &Reservation,
    now: Timestamp,
) -> Result<Recorded, StoreError> {
    let (provider, at) = (&facts.provider, facts.started_at);
    if let Some(used_up) = spending::used_up(tx, reservation, provider, at).await? {
        return Ok(Recorded::OverBudget(used_up));
    }
    if let Some(no_room) = pace::no_room(tx, facts, now).await? {
        return Ok(Recorded::NoRoom(no_room));
    }
    let id: Option<i64> = sqlx::query_scalar(BEGIN)
        .bind(facts.run.0)
        .bind(facts.job.0)
        .bind(facts.position)
        .bind(facts.repeat)
        .bind(facts.provider.as_str())
        .bind(facts.model.as_deref())
        .bind(&facts.fingerprint)
        .bind(to_text(at))
        .bind(&token.0)
        .bind(reservation.asset.as_str())
        .bind(reservation.micros)
        .fetch_optional(&mut *tx)
        .await?;
    let Some(id) = id else { return Ok(Recorded::LeaseGone) };
    spending::reserve(tx, reservation, provider, at).await?;
    pace::enter(tx, facts, now).await?;
    Ok(Recorded::Begun(AttemptId(id)))
}

async fn accept(
    tx: &mut SqliteConnection,
    (attempt, job): (AttemptId, JobId),
    operation: &str,
    request_id: Option<&str>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE attempts SET status = 'accepted', operation = $3, request_id = $4
         WHERE id = $1 AND job_id = $2 AND status = 'started'",
    )
    .bind(attempt.0)
    .bind(job.0)
    .bind(operation)
    .bind(request_id)
    .execute(tx)
    .await?;
    Ok(())
}

async fn abandon(
    tx: &mut SqliteConnection,
    attempt: AttemptId,
    job: JobId,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(ABANDON).bind(attempt.0).bind(to_text(now)).bind(job.0).execute(tx).await?;
    Ok(())
}

/// What a row can hold: a claim beyond it must not cost the output.
fn booked(result: &AttemptResult) -> i64 {
    result.cost_micros.clamp(0, MOST_OF_AN_ATTEMPT)
}

/// Books a verdict; `false` when another was there first. Attempts without a row of their own yet are gathered.
async fn book<'a>(
    tx: &mut SqliteConnection,
    result: &'a AttemptResult,
    fresh: &mut Vec<&'a AttemptResult>,
) -> Result<bool, StoreError> {
    let Some(row) = result.row else {
        fresh.push(result);
        return Ok(true);
    };
    let done = sqlx::query(SETTLE)
        .bind(row.0)
        .bind(result.status)
        .bind(result.class)
        .bind(result.error.as_deref())
        .bind(result.http_status)
        .bind(result.request_id.as_deref())
        .bind(to_text(result.finished_at))
        .bind(booked(result))
        .bind(result.facts.job.0)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

async fn insert_settled(tx: &mut SqliteConnection, fresh: &[&AttemptResult]) -> Result<(), StoreError> {
    if fresh.is_empty() {
        return Ok(());
    }
    let row = |result: &&AttemptResult| {
        let facts = &result.facts;
        json!([
            facts.run,
            facts.job,
            facts.position,
            facts.repeat,
            facts.provider,
            facts.model,
            result.status,
            result.class,
            result.error,
            result.http_status,
            result.request_id,
            facts.fingerprint,
            to_text(facts.started_at),
            to_text(result.finished_at),
            booked(result)
        ])
    };
    let rows: Value = fresh.iter().map(row).collect();
    sqlx::query(INSERT_SETTLED).bind(rows.to_string()).execute(tx).await?;
    Ok(())
}

/// Ends in groups that name each job once: a job that was cancelled and sent round again may end twice in one
/// transaction, and the answer of a statement does not say by which token.
fn rounds(ends: Vec<(usize, &RunEnd)>) -> Vec<Vec<(usize, &RunEnd)>> {
    let mut seen: HashMap<i64, usize> = HashMap::with_capacity(ends.len());
    let mut rounds: Vec<Vec<(usize, &RunEnd)>> = Vec::new();
    for (place, end) in ends {
        let round = seen.entry(end.job.0).and_modify(|round| *round += 1).or_default();
        match rounds.get_mut(*round) {
            Some(ends) => ends.push((place, end)),
            None => rounds.push(vec![(place, end)]),
        }
    }
    rounds
}

async fn end_jobs(
    tx: &mut SqliteConnection,
    ends: &[(usize, &RunEnd)],
    now: Timestamp,
) -> Result<HashSet<i64>, StoreError> {
    let rows: Value = ends.iter().map(|(_, end)| job_row(end)).collect();
    let held: Vec<i64> =
        sqlx::query_scalar(END_JOBS).bind(rows.to_string()).bind(to_text(now)).fetch_all(tx).await?;
    Ok(held.into_iter().collect())
}

/// One row of [`END_JOBS`]: id, token, status, url, text, content type, provider, fallback used, message,
/// error, metadata, run_at, counted.
fn job_row(end: &RunEnd) -> Value {
    let (id, token, error) = (end.job, &end.token.0, &end.error);
    let none = Value::Null;
    match &end.ending {
        Ending::Done { provider, fallback_used, url, text, content_type, metadata, message } => {
            let metadata = Value::Object(metadata.clone()).to_string();
            let fallback = i64::from(*fallback_used);
            let status = JobStatus::Done;
            json!([
                id,
                token,
                status,
                url,
                text,
                content_type,
                provider,
                fallback,
                message,
                none,
                metadata,
                none,
                1
            ])
        }
        Ending::Manual { message } => {
            let status = JobStatus::Manual;
            json!([id, token, status, none, none, none, MANUAL, 1, message, error, none, none, 1])
        }
        Ending::Failed { message } => {
            let status = JobStatus::Failed;
            json!([id, token, status, none, none, none, none, none, message, error, none, none, 1])
        }
        Ending::Later { run_at } => pending_row(end, *run_at, 1),
        Ending::HandBack { run_at, .. } => pending_row(end, *run_at, 0),
    }
}

fn pending_row(end: &RunEnd, run_at: Timestamp, counted: u8) -> Value {
    let (none, run_at) = (Value::Null, to_text(run_at));
    let status = JobStatus::Pending;
    json!([
        end.job,
        end.token.0,
        status,
        none,
        none,
        none,
        none,
        none,
        none,
        end.error,
        none,
        run_at,
        counted
    ])
}

async fn end_runs(tx: &mut SqliteConnection, kept: &[&RunEnd], now: Timestamp) -> Result<(), StoreError> {
    let rows: Vec<Value> = kept.iter().filter_map(|end| run_row(end)).collect();
    if !rows.is_empty() {
        let rows = Value::Array(rows).to_string();
        sqlx::query(END_RUNS).bind(rows).bind(to_text(now)).execute(tx).await?;
    }
    Ok(())
}

/// One row of [`END_RUNS`]; `None` for a run that stays open.
fn run_row(end: &RunEnd) -> Option<Value> {
    let outcome = end.ending.outcome()?;
    let (provider, fallback) = match &end.ending {
        Ending::Done { provider, fallback_used, .. } => (Some(provider), Some(i64::from(*fallback_used))),
        Ending::Manual { .. } | Ending::Failed { .. } | Ending::Later { .. } | Ending::HandBack { .. } => {
            (None, None)
        }
    };
    Some(json!([end.run, outcome, provider, fallback, end.error, end.prompt_digest]))
}

async fn remember_assets(
    tx: &mut SqliteConnection,
    kept: &[&RunEnd],
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut reports: BTreeMap<&AssetName, Vec<&RunReport>> = BTreeMap::new();
    for end in kept {
        if let Some(report) = &end.report {
            reports.entry(&end.asset).or_default().push(report);
        }
    }
    for (asset, reports) in reports {
        let mut health = load_asset_health(tx, asset).await?;
        reports.into_iter().for_each(|report| health.remember(report));
        save_asset_health(tx, &health, now).await?;
    }
    Ok(())
}

async fn remember_providers(
    tx: &mut SqliteConnection,
    events: &[&HealthEvent],
    freed: &[(&ProviderName, Probe)],
    now: Timestamp,
) -> Result<Vec<ProviderHealth>, StoreError> {
    let mut by_provider: BTreeMap<&ProviderName, Vec<&HealthEvent>> = BTreeMap::new();
    for event in events {
        by_provider.entry(&event.provider).or_default().push(event);
    }
    for (provider, _) in freed {
        by_provider.entry(provider).or_default();
    }
    let mut changed = Vec::with_capacity(by_provider.len());
    for (provider, events) in by_provider {
        let mut health = load_provider_health(tx, provider).await?;
        let before = health.clone();
        let mut is_news = !events.is_empty();
        events.into_iter().for_each(|event| health.remember(event));
        // A verdict is heard first: where the probe has one, there is nothing left to free.
        for (_, probe) in freed.iter().filter(|(whose, _)| *whose == provider) {
            is_news |= health.free_probe(*probe);
        }
        if is_news {
            save_provider_health(tx, &health, now).await?;
        }
        if let Some(kind) = news(&before, &health) {
            notices::of_provider(tx, kind, &health, now).await?;
        }
        changed.push(health);
    }
    Ok(changed)
}

/// Notices that were sent or have nothing to tell any more, ticks that are not the last of their schedule, and calls of
/// providers that were not called since.
const FORGOTTEN: [&str; 3] = [
    "DELETE FROM notices WHERE created_at < $1
         AND (sent_at < $1 OR (job_id IS NOT NULL AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = notices.job_id)))",
    "DELETE FROM recurring_ticks WHERE created_at < $1
         AND tick < (SELECT max(tick) FROM recurring_ticks AS other WHERE other.schedule = recurring_ticks.schedule)",
    "DELETE FROM provider_calls WHERE started_at < $1
         AND NOT EXISTS (SELECT 1 FROM jobs WHERE id = job_id AND status = 'running')",
];

/// Deletes settled jobs that nobody waits for, a batch at a time.
pub(super) async fn prune(writer: &SqlitePool, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let deleted = sqlx::query(
        "DELETE FROM jobs WHERE id IN (
             SELECT id FROM jobs WHERE status IN ('done', 'failed', 'cancelled') AND finished_at < $1
             ORDER BY finished_at LIMIT $2)",
    )
    .bind(to_text(before))
    .bind(limit)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    for forgotten in FORGOTTEN {
        sqlx::query(forgotten).bind(to_text(before)).execute(&mut *tx).await?;
    }
    spending::prune(&mut tx, before).await?;
    glance::prune(&mut tx, before).await?;
    tx.commit().await?;
    Ok(deleted)
}
