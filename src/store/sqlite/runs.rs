//! The runs of claimed jobs: opened, or adopted as a dead worker left them.

use std::collections::HashMap;

use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Row, Sqlite, Transaction};

use super::claim::Taken;
use super::spoiled::Spoiled;
use crate::domain::chain::Chain;
use crate::domain::job::{Job, JobId, RunId};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::plan::{Override, bend};
use crate::domain::time::to_text;
use crate::store::claim::{Claim, ClaimRequest, OpenRun, PastAttempt, Refusal, StagedFile};
use crate::store::error::StoreError;

/// More attempts than this no run of ours ever makes.
const MOST_ATTEMPTS: i64 = 1_000;

/// Opens a run for every job that has none open.
pub(super) const OPEN_RUNS: &str = "
    INSERT INTO runs (job_id, number, chain, override, started_at)
    SELECT j.value ->> 0, 1 + coalesce(last.number, 0), j.value ->> 1, j.value ->> 2, $2
    FROM json_each($1) AS j
    LEFT JOIN runs AS last ON last.job_id = j.value ->> 0
        AND last.number = (SELECT max(number) FROM runs WHERE job_id = j.value ->> 0)
    WHERE last.id IS NULL OR (last.finished_at IS NOT NULL AND last.number < 1000000000)
    RETURNING id, job_id, number";

const ADOPTED_RUNS: &str = "
    SELECT r.id, r.job_id, r.number, r.override, CASE WHEN octet_length(r.chain) <= 65536 THEN r.chain END AS chain,
        (SELECT count(*) FROM attempts AS a WHERE a.run_id = r.id) AS attempts
    FROM json_each($1) AS j JOIN runs AS r ON r.job_id = j.value
    WHERE r.finished_at IS NULL";

const PAST_ATTEMPTS: &str = "
    SELECT a.id, a.run_id, a.position, substr(a.provider, 1, 200) AS provider, substr(a.status, 1, 40) AS status,
        substr(a.class, 1, 40) AS class, substr(a.error, 1, 4000) AS error, substr(a.operation, 1, 4000) AS operation,
        substr(a.fingerprint, 1, 400) AS fingerprint,
        s.key, s.output
    FROM json_each($1) AS r JOIN attempts AS a ON a.run_id = r.value
    LEFT JOIN staged AS s ON s.attempt_id = a.id AND s.run_id = a.run_id AND octet_length(s.output) <= 1048576
    ORDER BY a.id";

pub(super) const REFUSALS: &str = "
    SELECT DISTINCT a.job_id, a.provider, r.prompt_digest
    FROM json_each($1) AS j
    CROSS JOIN attempts AS a ON a.job_id = j.value AND a.class = 'refused'
    CROSS JOIN runs AS r ON r.id = a.run_id AND r.finished_at IS NOT NULL
    LIMIT 10000";

/// Opens or adopts the runs of claimed jobs. A job whose run cannot be read is spoiled, and no other.
pub(super) async fn open(
    tx: &mut Transaction<'_, Sqlite>,
    jobs: Vec<Taken>,
    request: &ClaimRequest,
    spoiled: &mut Spoiled,
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
    let wishes: HashMap<i64, Option<String>> =
        jobs.iter().map(|Taken { job, .. }| (job.id.0, job.provider_override.clone())).collect();
    let mut runs: HashMap<i64, OpenRun> = HashMap::with_capacity(jobs.len());
    for row in &opened {
        let job: i64 = row.try_get(1)?;
        let links = links.get(&job).cloned().unwrap_or_default();
        let (id, number, wish) =
            (RunId(row.try_get(0)?), row.try_get(2)?, wishes.get(&job).cloned().flatten());
        runs.insert(job, OpenRun { id, number, links, wish, past: Vec::new() });
    }
    adopt_runs(tx, &jobs, &mut runs, spoiled).await?;
    let mut refusals = refusals(tx, &jobs, &runs).await?;
    let mut claims = Vec::with_capacity(jobs.len());
    for Taken { job, deaths, solo_deaths } in jobs {
        let Some(run) = runs.remove(&job.id.0) else {
            spoiled.add(job.id, "no run can be opened: the number of its last one is out of range");
            continue;
        };
        let refusals = refusals.remove(&job.id.0).unwrap_or_default();
        claims.push(Claim { job, token: request.token.clone(), run, refusals, deaths, solo_deaths });
    }
    Ok(claims)
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
    spoiled: &mut Spoiled,
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
        match adopted_run(row) {
            Ok(run) => {
                adopted.insert(id, job);
                runs.insert(job, run);
            }
            Err(why) => spoiled.add(JobId(job), why),
        }
    }
    let ids: Vec<&i64> = adopted.keys().collect();
    let attempts = sqlx::query(PAST_ATTEMPTS).bind(json!(ids).to_string()).fetch_all(&mut *tx).await?;
    for row in &attempts {
        let run_id: i64 = row.try_get(1)?;
        let Some(job) = adopted.get(&run_id) else { continue };
        match past_attempt(row) {
            Ok(attempt) => {
                if let Some(run) = runs.get_mut(job) {
                    run.past.push(attempt);
                }
            }
            // Passed over, it might be paid for a second time.
            Err(error) => {
                runs.remove(job);
                spoiled.add(JobId(*job), format!("an attempt of its open run: {error}"));
            }
        }
    }
    Ok(())
}

fn adopted_run(row: &SqliteRow) -> Result<OpenRun, String> {
    let unreadable = |error: sqlx::Error| format!("its open run: {error}");
    let chain: Option<String> = row.try_get("chain").map_err(unreadable)?;
    let attempts: i64 = row.try_get("attempts").map_err(unreadable)?;
    if attempts > MOST_ATTEMPTS {
        return Err(format!("its open run has {attempts} attempts, more than {MOST_ATTEMPTS}"));
    }
    let links = chain.and_then(|chain| serde_json::from_str(&chain).ok());
    Ok(OpenRun {
        id: RunId(row.try_get("id").map_err(unreadable)?),
        number: row.try_get("number").map_err(unreadable)?,
        links: links.ok_or("the chain of its open run is no list of labels")?,
        wish: row.try_get("override").map_err(unreadable)?,
        past: Vec::new(),
    })
}

fn past_attempt(row: &SqliteRow) -> Result<PastAttempt, String> {
    let unreadable = |error: sqlx::Error| error.to_string();
    let provider: String = row.try_get("provider").map_err(unreadable)?;
    Ok(PastAttempt {
        id: row.try_get("id").map_err(unreadable)?,
        position: row.try_get("position").map_err(unreadable)?,
        provider: ProviderName::parse(&provider).map_err(|error| error.to_string())?,
        status: row.try_get("status").map_err(unreadable)?,
        class: row.try_get("class").map_err(unreadable)?,
        error: row.try_get("error").map_err(unreadable)?,
        operation: row.try_get("operation").map_err(unreadable)?,
        fingerprint: row.try_get("fingerprint").map_err(unreadable)?,
        // Without it the call is one of unknown outcome, as ever.
        staged: staged(row).unwrap_or_default(),
    })
}

fn staged(row: &SqliteRow) -> Result<Option<StagedFile>, sqlx::Error> {
    let key: Option<String> = row.try_get("key")?;
    let output: Option<String> = row.try_get("output")?;
    Ok(key.zip(output).map(|(key, output)| StagedFile { key, output }))
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
        // What names no provider or no prompt of ours keeps nobody from being called.
        let (Ok(provider), Ok(prompt_digest)) = (row.try_get::<String, _>(1), row.try_get(2)) else {
            continue;
        };
        let Ok(provider) = ProviderName::parse(&provider) else { continue };
        let refusal = Refusal { provider, prompt_digest };
        refusals.entry(row.try_get(0)?).or_default().push(refusal);
    }
    Ok(refusals)
}
