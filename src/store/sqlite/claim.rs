//! Claims and leases on SQLite.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};

use crate::domain::chain::Chain;
use crate::domain::job::{Job, JobId, RunId};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::plan::{Override, bend};
use crate::domain::time::{Timestamp, from_text, to_text};
use crate::store::claim::{Claim, ClaimRequest, Claimed, Held, LeaseToken, OpenRun, PastAttempt, Refusal};
use crate::store::error::StoreError;

use super::candidates::{Chosen, choose};

/// One index seek for each asset and level.
const NEXT_DUE: &str = "
    SELECT min((SELECT min(run_at) FROM jobs
                WHERE status = 'pending' AND asset = asset.value AND priority = level.value AND run_at > $2))
    FROM json_each($1) AS asset, json_each('[0,1,2,3,4,5,6,7,8,9]') AS level";

const CLAIM: &str = "
    UPDATE jobs
    SET status = 'running', lease_token = $2, lease_until = $3, lease_owner = $4,
        started_at = coalesce(started_at, $5), updated_at = $5
    WHERE id IN (SELECT value FROM json_each($1)) AND +status = 'pending' AND run_at <= $5
    RETURNING id, asset, slug, prompt, input, provider_override, runs, max_runs, started_at, deaths, solo_deaths";

/// The last holder counts as dead. It ran the job alone where two had died before it ([`ALONE_FROM`]).
const TAKE_OVER: &str = "
    UPDATE jobs
    SET lease_token = $2, lease_until = $3, lease_owner = $4, updated_at = $5,
        deaths = deaths + 1, solo_deaths = solo_deaths + (deaths >= 2)
    WHERE id IN (SELECT value FROM json_each($1)) AND +status = 'running' AND +lease_until <= $5
    RETURNING id, asset, slug, prompt, input, provider_override, runs, max_runs, started_at, deaths, solo_deaths";

/// Opens a run for every job that has none open.
const OPEN_RUNS: &str = "
    INSERT INTO runs (job_id, number, chain, override, started_at)
    SELECT j.value ->> 0, 1 + coalesce(last.number, 0), j.value ->> 1, j.value ->> 2, $2
    FROM json_each($1) AS j
    LEFT JOIN runs AS last ON last.job_id = j.value ->> 0
        AND last.number = (SELECT max(number) FROM runs WHERE job_id = j.value ->> 0)
    WHERE last.id IS NULL OR last.finished_at IS NOT NULL
    RETURNING id, job_id, number";

const ADOPTED_RUNS: &str = "
    SELECT r.id, r.job_id, r.number, r.chain
    FROM json_each($1) AS j JOIN runs AS r ON r.job_id = j.value
    WHERE r.finished_at IS NULL";

const PAST_ATTEMPTS: &str = "
    SELECT a.id, a.run_id, a.position, a.provider, a.status, a.class, a.error, a.operation, a.fingerprint
    FROM json_each($1) AS r JOIN attempts AS a ON a.run_id = r.value
    ORDER BY a.id";

const REFUSALS: &str = "
    SELECT a.job_id, a.provider, r.prompt_digest
    FROM json_each($1) AS j
    JOIN attempts AS a ON a.job_id = j.value AND a.class = 'refused'
    JOIN runs AS r ON r.id = a.run_id AND r.finished_at IS NOT NULL";

/// Claims what is due. An idle queue is only read: nothing is written where nothing is found.
pub(super) async fn claim_due(
    writer: &SqlitePool,
    readers: &SqlitePool,
    request: &ClaimRequest,
) -> Result<Claimed, StoreError> {
    let Chosen { orphaned, due, one_waits_to_be_alone } = choose(readers, request).await?;
    if due.is_empty() && orphaned.is_empty() {
        return Ok(Claimed { claims: Vec::new(), one_waits_to_be_alone });
    }
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut jobs = take(&mut tx, TAKE_OVER, &orphaned, request).await?;
    jobs.extend(take(&mut tx, CLAIM, &due, request).await?);
    let claims = open_runs(&mut tx, jobs, request).await?;
    tx.commit().await?;
    Ok(Claimed { claims, one_waits_to_be_alone })
}

/// Renews leases and says what is still held.
pub(super) async fn renew(
    writer: &SqlitePool,
    held: &[Held],
    until: Timestamp,
) -> Result<Vec<Held>, StoreError> {
    let held: Vec<Value> = held.iter().map(|(token, job)| json!([job, token.0])).collect();
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let rows = sqlx::query(
        "UPDATE jobs SET lease_until = $2
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS token FROM json_each($1)) AS held
         WHERE jobs.id = held.id AND +jobs.lease_token = held.token AND +jobs.status = 'running'
         RETURNING jobs.lease_token, jobs.id",
    )
    .bind(Value::Array(held).to_string())
    .bind(to_text(until))
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    rows.iter().map(|row| Ok((LeaseToken(row.try_get(0)?), JobId(row.try_get(1)?)))).collect()
}

/// Ends every lease of an owner that is certainly dead.
pub(super) async fn expire(writer: &SqlitePool, owner: &str, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let done = sqlx::query(
        "UPDATE jobs SET lease_until = $2 WHERE status = 'running' AND lease_owner = $1 AND lease_until > $2",
    )
    .bind(owner)
    .bind(to_text(now))
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(done.rows_affected())
}

/// The owners of running jobs, without `own`.
pub(super) async fn other_owners(readers: &SqlitePool, own: &str) -> Result<Vec<String>, StoreError> {
    let owners = sqlx::query_scalar(
        "SELECT DISTINCT lease_owner FROM jobs
         WHERE status = 'running' AND lease_owner IS NOT NULL AND lease_owner <> $1",
    )
    .bind(own)
    .fetch_all(readers)
    .await?;
    Ok(owners)
}

/// When the next pending job of these assets is due that was not due at `past` yet.
pub(super) async fn next_due_at(
    readers: &SqlitePool,
    assets: &[AssetName],
    past: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let names: Vec<&str> = assets.iter().map(AssetName::as_str).collect();
    let soonest: Option<String> = sqlx::query_scalar(NEXT_DUE)
        .bind(json!(names).to_string())
        .bind(to_text(past))
        .fetch_one(readers)
        .await?;
    Ok(soonest.as_deref().and_then(from_text))
}

/// A job that was taken.
struct Taken {
    job: Job,
    deaths: u32,
    solo_deaths: u32,
}

async fn take(
    tx: &mut Transaction<'_, Sqlite>,
    sql: &'static str,
    ids: &[i64],
    request: &ClaimRequest,
) -> Result<Vec<Taken>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(sql)
        .bind(json!(ids).to_string())
        .bind(&request.token.0)
        .bind(to_text(request.lease_until))
        .bind(&request.owner)
        .bind(to_text(request.now))
        .fetch_all(&mut **tx)
        .await?;
    let place: HashMap<i64, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut jobs: Vec<Taken> = rows.iter().filter_map(decode).collect();
    jobs.sort_by_key(|taken| place.get(&taken.job.id.0).copied());
    Ok(jobs)
}

/// Reads a claimed job. A row that cannot be read spoils itself, not its batch: its lease runs out.
fn decode(row: &SqliteRow) -> Option<Taken> {
    let read = || -> Result<Taken, sqlx::Error> {
        let asset: String = row.try_get(1)?;
        let input: String = row.try_get(4)?;
        let started_at: String = row.try_get(8)?;
        let refuse = |what: &str| sqlx::Error::Decode(what.to_owned().into());
        let job = Job {
            id: JobId(row.try_get(0)?),
            asset: AssetName::parse(&asset).map_err(|error| refuse(&error.to_string()))?,
            slug: row.try_get(2)?,
            prompt: row.try_get(3)?,
            input: match serde_json::from_str(&input) {
                Ok(Value::Object(input)) => input,
                Ok(_) | Err(_) => Map::new(),
            },
            provider_override: row.try_get(5)?,
            counted_runs: row.try_get(6)?,
            max_runs: row.try_get(7)?,
            first_claimed_at: from_text(&started_at).ok_or_else(|| refuse("started_at is no time"))?,
        };
        Ok(Taken { job, deaths: row.try_get(9)?, solo_deaths: row.try_get(10)? })
    };
    match read() {
        Ok(read) => Some(read),
        Err(error) => {
            let id: Option<i64> = row.try_get(0).ok();
            tracing::error!(job.id = id, %error, "a claimed job's row cannot be read; it is left alone");
            None
        }
    }
}

async fn open_runs(
    tx: &mut Transaction<'_, Sqlite>,
    jobs: Vec<Taken>,
    request: &ClaimRequest,
) -> Result<Vec<Claim>, StoreError> {
    let chains: HashMap<&AssetName, &Chain> =
        request.wanted.iter().map(|wanted| (&wanted.asset, &wanted.chain)).collect();
    let links: HashMap<i64, Vec<String>> = jobs
        .iter()
        .map(|Taken { job, .. }| {
            let links = chains.get(&job.asset).map_or_else(Vec::new, |chain| links_of(chain, job));
            (job.id.0, links)
        })
        .collect();
    let rows: Vec<Value> = jobs
        .iter()
        .map(|Taken { job, .. }| {
            let links = links.get(&job.id.0).map_or_else(String::new, |links| json!(links).to_string());
            json!([job.id.0, links, job.provider_override])
        })
        .collect();
    let opened = sqlx::query(OPEN_RUNS)
        .bind(Value::Array(rows).to_string())
        .bind(to_text(request.now))
        .fetch_all(&mut **tx)
        .await?;
    let mut runs: HashMap<i64, OpenRun> = HashMap::with_capacity(jobs.len());
    for row in &opened {
        let job: i64 = row.try_get(1)?;
        let links = links.get(&job).cloned().unwrap_or_default();
        let run = OpenRun { id: RunId(row.try_get(0)?), number: row.try_get(2)?, links, past: Vec::new() };
        runs.insert(job, run);
    }
    adopt_runs(tx, &jobs, &mut runs).await?;
    let mut refusals = refusals(tx, &jobs, &runs).await?;
    let claims = jobs.into_iter().filter_map(|Taken { job, deaths, solo_deaths }| {
        let run = runs.remove(&job.id.0)?;
        let refusals = refusals.remove(&job.id.0).unwrap_or_default();
        Some(Claim { job, token: request.token.clone(), run, refusals, deaths, solo_deaths })
    });
    Ok(claims.collect())
}

/// The links of a job's new run, as its row keeps them.
fn links_of(chain: &Chain, job: &Job) -> Vec<String> {
    let wish = job.provider_override.as_deref().and_then(|typed| Override::parse(typed).ok());
    bend(chain, wish.as_ref()).iter().map(ToString::to_string).collect()
}

/// A dead worker's open run goes on as it was: same row, number, chain, attempts.
async fn adopt_runs(
    tx: &mut SqliteConnection,
    jobs: &[Taken],
    runs: &mut HashMap<i64, OpenRun>,
) -> Result<(), StoreError> {
    let missing: Vec<i64> =
        jobs.iter().map(|taken| taken.job.id.0).filter(|id| !runs.contains_key(id)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query(ADOPTED_RUNS).bind(json!(missing).to_string()).fetch_all(&mut *tx).await?;
    let mut adopted: HashMap<i64, i64> = HashMap::new();
    for row in &rows {
        let (id, job): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let chain: String = row.try_get(3)?;
        let links = serde_json::from_str(&chain).unwrap_or_default();
        adopted.insert(id, job);
        runs.insert(job, OpenRun { id: RunId(id), number: row.try_get(2)?, links, past: Vec::new() });
    }
    let ids: Vec<&i64> = adopted.keys().collect();
    let attempts = sqlx::query(PAST_ATTEMPTS).bind(json!(ids).to_string()).fetch_all(&mut *tx).await?;
    for row in &attempts {
        let run_id: i64 = row.try_get(1)?;
        let provider: String = row.try_get(3)?;
        let (Some(job), Ok(provider)) = (adopted.get(&run_id), ProviderName::parse(&provider)) else {
            continue;
        };
        let Some(run) = runs.get_mut(job) else { continue };
        run.past.push(PastAttempt {
            id: row.try_get(0)?,
            position: row.try_get(2)?,
            provider,
            status: row.try_get(4)?,
            class: row.try_get(5)?,
            error: row.try_get(6)?,
            operation: row.try_get(7)?,
            fingerprint: row.try_get(8)?,
        });
    }
    Ok(())
}

async fn refusals(
    tx: &mut SqliteConnection,
    jobs: &[Taken],
    runs: &HashMap<i64, OpenRun>,
) -> Result<HashMap<i64, Vec<Refusal>>, StoreError> {
    let again = |id: &i64| runs.get(id).is_some_and(|run| run.number > 1);
    let ids: Vec<i64> = jobs.iter().map(|taken| taken.job.id.0).filter(again).collect();
    let mut refusals: HashMap<i64, Vec<Refusal>> = HashMap::new();
    if ids.is_empty() {
        return Ok(refusals);
    }
    let rows = sqlx::query(REFUSALS).bind(json!(ids).to_string()).fetch_all(&mut *tx).await?;
    for row in &rows {
        let provider: String = row.try_get(1)?;
        let Ok(provider) = ProviderName::parse(&provider) else { continue };
        let refusal = Refusal { provider, prompt_digest: row.try_get(2)? };
        refusals.entry(row.try_get(0)?).or_default().push(refusal);
    }
    Ok(refusals)
}
