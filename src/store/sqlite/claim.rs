//! Claims and leases on SQLite.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Map, Value, json};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};

use super::decode;
use super::runs;
use super::spoiled::Spoiled;
use crate::domain::job::{Job, JobId};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::time::{Timestamp, after, from_text, to_text};
use crate::store::claim::{ALONE_FROM, ClaimRequest, Claimed, Held, LeaseToken, Wanted};
use crate::store::error::StoreError;

/// The input and the prompts of one claim, in bytes: each may have a megabyte, and they are all in memory at once.
const MOST_BYTES: u64 = 16 << 20;

/// Most values in one job's input.
const MOST_VALUES: usize = 50_000;

/// No lease is longer than this.
const FARTHEST_LEASE: Duration = Duration::from_secs(86_400);

/// Whoever is named in more than this is nobody.
const LONGEST_OWNER: i64 = 4_096;

/// One index seek per level, highest first; SQLite stops at the limit before it opens the lower levels.
pub(super) const DUE: &str = "
    SELECT id, priority, run_at,
        (SELECT octet_length(input) + coalesce(octet_length(prompt), 0) FROM jobs WHERE jobs.id = due.id),
        (SELECT deaths FROM jobs WHERE jobs.id = due.id) FROM (
        SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 9 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 8 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 7 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 6 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 5 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 4 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 3 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 2 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 1 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 0 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
    ) AS due LIMIT $3";

/// One index seek for each asset and level.
pub(super) const NEXT_DUE: &str = "
    SELECT min((SELECT min(run_at) FROM jobs
                WHERE status = 'pending' AND asset = asset.value AND priority = level.value AND run_at > $2))
    FROM json_each($1) AS asset, json_each('[0,1,2,3,4,5,6,7,8,9]') AS level";

/// One range of the index for each asset and level: it costs by what is due, not by what else waits.
pub(super) const COUNT_DUE: &str = "
    SELECT coalesce(sum((SELECT count(*) FROM jobs
                WHERE status = 'pending' AND asset = asset.value AND priority = level.value AND run_at <= $2)), 0)
    FROM json_each($1) AS asset, json_each('[0,1,2,3,4,5,6,7,8,9]') AS level";

macro_rules! bought {
    () => {
        "
    FROM attempts AS a
    CROSS JOIN runs AS r ON r.id = a.run_id AND r.finished_at IS NULL
    CROSS JOIN jobs AS j ON j.id = r.job_id
    WHERE a.status IN ('started', 'accepted')
        AND (a.status = 'accepted' OR EXISTS (SELECT 1 FROM staged AS s WHERE s.attempt_id = a.id AND s.run_id = r.id))
        AND a.id = (SELECT max(id) FROM attempts WHERE run_id = r.id AND status <> 'skipped')
        AND +j.asset = $1"
    };
}

/// The worker of an orphan counts as dead. A lease that ends later than any daemon writes one is of a clock that was wrong, and would never end.
const ORPHANED: &str = "
    SELECT id, priority, run_at, octet_length(input) + coalesce(octet_length(prompt), 0), min(deaths, 1000000) + 1
    FROM jobs
    WHERE status = 'running' AND (lease_until <= $2 OR lease_until > $4) AND asset = $1
        AND id NOT IN (SELECT value FROM json_each($5))
    ORDER BY priority DESC, run_at, id LIMIT $3";

/// From the few calls without a verdict to their jobs. Only a run's last call counts: what lies before it is passed.
pub(super) const BOUGHT_DUE: &str = concat!(
    "SELECT j.id, j.priority, j.run_at, octet_length(j.input) + coalesce(octet_length(j.prompt), 0), j.deaths",
    bought!(),
    " AND +j.status = 'pending' AND +j.run_at <= $2 ORDER BY j.priority DESC, j.run_at, j.id LIMIT $3"
);

pub(super) const BOUGHT_ORPHANED: &str = concat!(
    "SELECT j.id, j.priority, j.run_at, octet_length(j.input) + coalesce(octet_length(j.prompt), 0),
        min(j.deaths, 1000000) + 1",
    bought!(),
    " AND +j.status = 'running' AND (+j.lease_until <= $2 OR +j.lease_until > $4)
        AND j.id NOT IN (SELECT value FROM json_each($5))
    ORDER BY j.priority DESC, j.run_at, j.id LIMIT $3"
);

/// What of a claimed job is read. Its triggers bound what a person writes; where they were passed by, a row of half a
/// gigabyte must not take that much memory with every claim: such an input or prompt is no text then, and spoils its job.
macro_rules! taken_columns {
    () => {
        "id, substr(asset, 1, 200) AS asset, substr(slug, 1, 1000) AS slug, \
         CASE WHEN octet_length(prompt) > 1000000 THEN CAST(x'ff' AS TEXT) ELSE prompt END AS prompt, \
         CASE WHEN octet_length(input) > 4000000 THEN CAST(x'ff' AS TEXT) ELSE input END AS input, \
         substr(provider_override, 1, 200) AS provider_override, runs, max_runs, \
         substr(started_at, 1, 40) AS started_at, deaths, solo_deaths"
    };
}

pub(super) const CLAIM: &str = concat!(
    "
    UPDATE jobs NOT INDEXED
    SET status = 'running', lease_token = $2, lease_until = $3, lease_owner = $4,
        started_at = coalesce(started_at, $5), updated_at = $5
    WHERE id IN (SELECT value FROM json_each($1)) AND +status = 'pending' AND run_at <= $5
    RETURNING ",
    taken_columns!()
);

/// The last holder ran the job alone where two had died before it ([`ALONE_FROM`]).
pub(super) const TAKE_OVER: &str = concat!(
    "
    UPDATE jobs NOT INDEXED
    SET lease_token = $2, lease_until = $3, lease_owner = $4, updated_at = $5,
        deaths = min(deaths, 1000000) + 1, solo_deaths = min(solo_deaths, 1000000) + (deaths >= 2)
    WHERE id IN (SELECT value FROM json_each($1)) AND +status = 'running'
        AND (+lease_until <= $5 OR +lease_until > $6)
    RETURNING ",
    taken_columns!()
);

/// Claims what is due. An idle queue is only read: nothing is written where nothing is found.
pub(super) async fn claim_due(
    writer: &SqlitePool,
    readers: &SqlitePool,
    request: &ClaimRequest,
) -> Result<Claimed, StoreError> {
    // A round that brings nothing but unreadable rows has handed them to a person, so this ends; what stands
    // behind them must not wait for the next look.
    loop {
        let (claimed, spoiled) = match claim_once(writer, readers, request, None).await {
            Err(StoreError::Refused { .. }) => return claim_one_by_one(writer, readers, request).await,
            other => other?,
        };
        if !claimed.claims.is_empty() || spoiled == 0 {
            return Ok(claimed);
        }
    }
}

/// A trigger of somebody's refuses a job that stands among others: it is left where it is, and they are claimed.
async fn claim_one_by_one(
    writer: &SqlitePool,
    readers: &SqlitePool,
    request: &ClaimRequest,
) -> Result<Claimed, StoreError> {
    let mut room = Room::of(request);
    let mut found = Vec::new();
    if request.take_over {
        found.extend(room.choose(candidates(readers, [ORPHANED, BOUGHT_ORPHANED], request).await?));
    }
    found.extend(room.choose(candidates(readers, [DUE, BOUGHT_DUE], request).await?));
    let mut all = Claimed { claims: Vec::new(), one_waits_to_be_alone: room.one_waits_to_be_alone };
    for job in found {
        match claim_once(writer, readers, request, Some(job)).await {
            Ok((claimed, _)) => all.claims.extend(claimed.claims),
            Err(StoreError::Refused { sentence }) => {
                tracing::error!(
                    job.id = job,
                    error = sentence,
                    "the database refuses the claim of a job; it is left where it is"
                );
            }
            // What is claimed must start.
            Err(error) if !all.claims.is_empty() => {
                tracing::warn!(%error, "the claim ends early");
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

async fn claim_once(
    writer: &SqlitePool,
    readers: &SqlitePool,
    request: &ClaimRequest,
    only: Option<i64>,
) -> Result<(Claimed, u64), StoreError> {
    let chosen = |mut jobs: Vec<i64>| {
        jobs.retain(|job| only.is_none_or(|only| only == *job));
        jobs
    };
    let mut room = Room::of(request);
    let orphaned = if request.take_over {
        chosen(room.choose(candidates(readers, [ORPHANED, BOUGHT_ORPHANED], request).await?))
    } else {
        Vec::new()
    };
    let due = chosen(room.choose(candidates(readers, [DUE, BOUGHT_DUE], request).await?));
    let one_waits_to_be_alone = room.one_waits_to_be_alone;
    if due.is_empty() && orphaned.is_empty() {
        return Ok((Claimed { claims: Vec::new(), one_waits_to_be_alone }, 0));
    }
    let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut spoiled = Spoiled::default();
    let mut jobs = take(&mut tx, TAKE_OVER, &orphaned, request, &mut spoiled).await?;
    jobs.extend(take(&mut tx, CLAIM, &due, request, &mut spoiled).await?);
    let claims = runs::open(&mut tx, jobs, request, &mut spoiled).await?;
    let spoiled = spoiled.hand_over(&mut tx, &request.token, request.now).await?;
    tx.commit().await?;
    Ok((Claimed { claims, one_waits_to_be_alone }, spoiled))
}

/// Later than any lease a daemon of today writes.
fn horizon(request: &ClaimRequest) -> String {
    to_text(after(request.lease_until, FARTHEST_LEASE))
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
        "UPDATE jobs NOT INDEXED SET lease_until = $2
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
    let rows = sqlx::query(
        "SELECT DISTINCT lease_owner FROM jobs
         WHERE status = 'running' AND octet_length(lease_owner) <= $2 AND lease_owner <> $1 LIMIT 1000",
    )
    .bind(own)
    .bind(LONGEST_OWNER)
    .fetch_all(readers)
    .await?;
    // A worker writes JSON; what is no text was written by nobody whose death could be proved.
    Ok(rows.iter().filter_map(|row| row.try_get(0).ok()).collect())
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

/// How many pending jobs of these assets are due.
pub(super) async fn due(
    readers: &SqlitePool,
    assets: &[AssetName],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let names: Vec<&str> = assets.iter().map(AssetName::as_str).collect();
    let count: i64 = sqlx::query_scalar(COUNT_DUE)
        .bind(json!(names).to_string())
        .bind(to_text(now))
        .fetch_one(readers)
        .await?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// A job that may be taken.
struct Candidate {
    id: i64,
    priority: i64,
    run_at: String,
    /// Of its input and prompt, in bytes.
    size: u64,
    /// Whether it must run alone.
    alone: bool,
    /// The place of its asset among what is wanted.
    wanted: usize,
}

/// What is still free, while candidates are chosen.
struct Room<'a> {
    wanted: &'a [Wanted],
    left: u32,
    bytes: u64,
    most: Vec<u32>,
    free: BTreeMap<&'a ProviderName, u32>,
    /// Whether nothing is held and nothing was chosen yet.
    empty: bool,
    one_waits_to_be_alone: bool,
}

impl<'a> Room<'a> {
    fn of(request: &'a ClaimRequest) -> Self {
        Self {
            wanted: &request.wanted,
            left: request.limit,
            bytes: MOST_BYTES,
            most: request.wanted.iter().map(|wanted| wanted.most).collect(),
            free: request.free.iter().map(|(provider, free)| (provider, *free)).collect(),
            empty: request.held.is_empty(),
            one_waits_to_be_alone: false,
        }
    }

    /// The candidates there is room for: the highest priority first, then the oldest, whatever the asset. Nothing
    /// overtakes one that must be alone, so that its turn comes; once chosen, it takes all the room.
    fn choose(&mut self, mut found: Vec<Candidate>) -> Vec<i64> {
        found.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.run_at.cmp(&b.run_at)).then(a.id.cmp(&b.id)));
        found.into_iter().filter(|candidate| self.take(candidate)).map(|found| found.id).collect()
    }

    fn take(&mut self, candidate: &Candidate) -> bool {
        let wanted = candidate.wanted;
        let shares = self.wanted.get(wanted).and_then(|wanted| wanted.shares.as_ref());
        let mut unshared = u32::MAX;
        let free = shares.and_then(|provider| self.free.get_mut(provider)).unwrap_or(&mut unshared);
        let Some(most) = self.most.get_mut(wanted) else { return false };
        if self.left == 0 || *most == 0 || *free == 0 || self.bytes == 0 {
            return false;
        }
        if candidate.alone && !self.empty {
            self.one_waits_to_be_alone = true;
            self.left = 0;
            return false;
        }
        self.empty = false;
        self.left = if candidate.alone { 0 } else { self.left - 1 };
        // The one that goes beyond is still taken: a single job never has to wait for its own size.
        self.bytes = self.bytes.saturating_sub(candidate.size);
        *most -= 1;
        *free -= 1;
        true
    }
}

/// The first jobs of every wanted asset, as many as its own room could take: by the one statement whatever they need,
/// by the other those alone that wait for what was bought.
async fn candidates(
    readers: &SqlitePool,
    [any, bought]: [&'static str; 2],
    request: &ClaimRequest,
) -> Result<Vec<Candidate>, StoreError> {
    let mut found = Vec::new();
    let held = json!(request.held).to_string();
    for (place, wanted) in request.wanted.iter().enumerate() {
        let rows = sqlx::query(if wanted.only_bought { bought } else { any })
            .bind(wanted.asset.as_str())
            .bind(to_text(request.now))
            .bind(i64::from(wanted.most.min(request.limit)))
            .bind(horizon(request))
            .bind(&held)
            .fetch_all(readers)
            .await?;
        for row in &rows {
            let size: i64 = row.try_get(3)?;
            found.push(Candidate {
                id: row.try_get(0)?,
                priority: row.try_get(1)?,
                run_at: decode::lossy(row, 2)?.unwrap_or_default(),
                size: size.unsigned_abs(),
                alone: row.try_get::<i64, _>(4)? >= i64::from(ALONE_FROM),
                wanted: place,
            });
        }
    }
    Ok(found)
}

/// A job that was taken.
pub(super) struct Taken {
    pub(super) job: Job,
    pub(super) deaths: u32,
    pub(super) solo_deaths: u32,
}

async fn take(
    tx: &mut Transaction<'_, Sqlite>,
    sql: &'static str,
    ids: &[i64],
    request: &ClaimRequest,
    spoiled: &mut Spoiled,
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
        .bind(horizon(request))
        .fetch_all(&mut **tx)
        .await?;
    let place: HashMap<i64, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let mut jobs: Vec<Taken> = Vec::with_capacity(rows.len());
    for row in &rows {
        match read(row) {
            Ok(job) => jobs.push(job),
            Err(why) => spoiled.add(JobId(row.try_get(0)?), why),
        }
    }
    jobs.sort_by_key(|taken| place.get(&taken.job.id.0).copied());
    Ok(jobs)
}

/// Reads a claimed job, with the deaths it has caused; or says what of its row cannot be read.
fn read(row: &SqliteRow) -> Result<Taken, String> {
    let unreadable = |error: sqlx::Error| error.to_string();
    let asset: String = row.try_get("asset").map_err(unreadable)?;
    let input: String = row.try_get("input").map_err(unreadable)?;
    let started_at: String = row.try_get("started_at").map_err(unreadable)?;
    let job = Job {
        id: JobId(row.try_get("id").map_err(unreadable)?),
        asset: AssetName::parse(&asset).map_err(|error| error.to_string())?,
        slug: row.try_get("slug").map_err(unreadable)?,
        prompt: row.try_get("prompt").map_err(unreadable)?,
        input: read_input(&input)?,
        provider_override: row.try_get("provider_override").map_err(unreadable)?,
        counted_runs: row.try_get("runs").map_err(unreadable)?,
        max_runs: row.try_get("max_runs").map_err(unreadable)?,
        first_claimed_at: from_text(&started_at).ok_or("started_at is no time")?,
    };
    let deaths = row.try_get("deaths").map_err(unreadable)?;
    Ok(Taken { job, deaths, solo_deaths: row.try_get("solo_deaths").map_err(unreadable)? })
}

/// SQLite takes some JSON that nobody else does, and a generation over an input that was left out would be
/// paid for and wrong. A value takes many times the memory of its text, so their number is bounded too.
fn read_input(text: &str) -> Result<Map<String, Value>, String> {
    if text.bytes().filter(|byte| *byte == b',').count() > MOST_VALUES {
        return Err(format!("input holds more than {MOST_VALUES} values"));
    }
    match serde_json::from_str(text) {
        Ok(Value::Object(input)) => Ok(input),
        Ok(_) => Err("input is no JSON object".to_owned()),
        Err(error) => Err(format!("input is JSON that cannot be read: {error}")),
    }
}
