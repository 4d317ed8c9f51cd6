//! What the page and the listings ask, by statements that end early however many jobs there are.

use serde_json::json;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use sqlx::{QueryBuilder, Row, Sqlite};

use super::decode::{self, attempt_columns, every, job_columns};
use super::desk::MOST_ROWS;
use crate::domain::job::{JobId, JobStatus};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::time::{Timestamp, to_text};
use crate::store::desk::{AssetCount, Call, Found, JobFilter, JobRow, JobSearch, OutcomeCount};
use crate::store::error::StoreError;
use crate::store::{MOST_COUNTED, MOST_SEARCHED};

/// All that are there: by an index alone, and what is due by another.
pub(super) const COUNTS: &str = "
    SELECT asset, status, count(*) AS count,
        CASE status WHEN 'pending' THEN (SELECT sum(
            (SELECT count(*) FROM jobs AS waiting INDEXED BY jobs_due
                WHERE waiting.status = 'pending' AND waiting.asset = counted.asset
                    AND waiting.priority = level.value AND waiting.run_at <= $1))
            FROM json_each('[0,1,2,3,4,5,6,7,8,9]') AS level) ELSE 0 END AS due
    FROM jobs AS counted INDEXED BY jobs_listed WHERE status <> 'running' GROUP BY asset, status
    UNION ALL
    SELECT asset, 'running', count(*), 0 FROM jobs INDEXED BY jobs_leased
    WHERE status = 'running' AND lease_until >= '' GROUP BY asset
    ORDER BY asset, status";

/// Each count ends at $2.
pub(super) const BACKLOG: &str = "
    SELECT * FROM (
        SELECT known.name AS asset, wanted.value AS status,
            CASE wanted.value WHEN 'running' THEN (SELECT count(*) FROM jobs INDEXED BY jobs_leased
                WHERE status = 'running' AND lease_until >= '' AND asset = known.name)
            ELSE (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_listed
                WHERE asset = known.name AND status = wanted.value AND status <> 'running' LIMIT $2)) END AS count,
            CASE wanted.value WHEN 'pending' THEN min($2, (SELECT sum(
                (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_due
                    WHERE status = 'pending' AND asset = known.name AND priority = level.value AND run_at <= $1 LIMIT $2)))
                FROM json_each('[0,1,2,3,4,5,6,7,8,9]') AS level)) ELSE 0 END AS due
        FROM assets AS known, json_each('[\"manual\",\"pending\",\"running\"]') AS wanted)
    WHERE count > 0 ORDER BY asset, status";

pub(super) const OUTCOMES: &str =
    "SELECT day, asset, outcome, count FROM outcomes WHERE day >= $1 ORDER BY day, asset, outcome";

pub(super) const CALLS: &str = concat!(
    "SELECT job_id, ",
    attempt_columns!(),
    " FROM attempts INDEXED BY attempts_by_provider
     WHERE provider = $1 AND status <> 'skipped' ORDER BY id DESC LIMIT $2"
);

/// The numbers of jobs of one asset in one status, below $3; of any status but running.
pub(super) const LISTED: &str = "
    SELECT id FROM jobs INDEXED BY jobs_listed
    WHERE asset = $1 AND status = $2 AND status <> 'running' AND id < $3 ORDER BY id DESC LIMIT $4";

/// The same of those that run: no more than daemons have in hand.
pub(super) const LISTED_RUNNING: &str = "
    SELECT id FROM jobs INDEXED BY jobs_leased
    WHERE status = $2 AND status = 'running' AND lease_until >= '' AND asset = $1 AND id < $3
    ORDER BY id DESC LIMIT $4";

pub(super) const NEWEST: &str = "SELECT id FROM jobs WHERE id < $1 ORDER BY id DESC LIMIT $2";

const ROWS: &str = concat!(
    "SELECT ",
    job_columns!(),
    " FROM jobs WHERE id IN (SELECT value FROM json_each($1)) ORDER BY id DESC"
);

/// Slugs that begin at $1 and stay below $2, as many as one search looks at ($4), and of them what is wanted.
macro_rules! search_from {
    ($start:literal) => {
        concat!(
            "SELECT ",
            job_columns!(),
            " FROM (SELECT id AS at, slug AS named FROM jobs INDEXED BY jobs_by_slug
                 WHERE slug < $2 AND ",
            $start,
            " ORDER BY slug, id LIMIT $4) AS matched CROSS JOIN jobs ON jobs.id = matched.at
             WHERE ($5 IS NULL OR asset = $5) AND ($6 IS NULL OR status = $6)
             ORDER BY matched.named, matched.at LIMIT $7"
        )
    };
}

pub(super) const SEARCH_FROM: &str = search_from!("slug >= $1 AND $3 = 0");

/// After one slug and number, which alone are where the index is entered.
pub(super) const SEARCH_AFTER: &str = search_from!("(slug, id) > ($1, $3)");

/// The last slug that a search looked at, if it looked at all it may.
macro_rules! last_seen {
    ($start:literal) => {
        concat!(
            "SELECT slug, id FROM jobs INDEXED BY jobs_by_slug WHERE slug < $2 AND ",
            $start,
            " ORDER BY slug, id LIMIT 1 OFFSET $4 - 1"
        )
    };
}

const LAST_FROM: &str = last_seen!("slug >= $1 AND $3 = 0");
const LAST_AFTER: &str = last_seen!("(slug, id) > ($1, $3)");

/// How many jobs of each asset have each status, and how many pending ones are due.
pub(super) async fn counts(readers: &SqlitePool, now: Timestamp) -> Result<Vec<AssetCount>, StoreError> {
    let rows = sqlx::query(COUNTS).bind(to_text(now)).fetch_all(readers).await?;
    Ok(every(&rows, "jobs", decode::count))
}

/// What is not settled, of each asset.
pub(super) async fn backlog(readers: &SqlitePool, now: Timestamp) -> Result<Vec<AssetCount>, StoreError> {
    let rows =
        sqlx::query(BACKLOG).bind(to_text(now)).bind(i64::from(MOST_COUNTED)).fetch_all(readers).await?;
    Ok(every(&rows, "jobs", decode::count))
}

/// How jobs ended, by day.
pub(super) async fn outcomes(
    readers: &SqlitePool,
    since: Timestamp,
) -> Result<Vec<OutcomeCount>, StoreError> {
    let day: String = to_text(since).chars().take(10).collect();
    let rows = sqlx::query(OUTCOMES).bind(day).fetch_all(readers).await?;
    Ok(every(&rows, "outcomes", decode::outcome))
}

/// Deletes the counts of days long before `before`, as [`super::spending::prune`] does with money.
pub(super) async fn prune(tx: &mut SqliteConnection, before: Timestamp) -> Result<(), StoreError> {
    let Some(before) = before.checked_sub_days(chrono::Days::new(400)) else { return Ok(()) };
    let day: String = to_text(before).chars().take(10).collect();
    sqlx::query("DELETE FROM outcomes WHERE day < $1").bind(day).execute(tx).await?;
    Ok(())
}

/// The latest calls of a provider.
pub(super) async fn calls(
    readers: &SqlitePool,
    provider: &ProviderName,
    limit: u32,
) -> Result<Vec<Call>, StoreError> {
    let limit = i64::from(limit.min(MOST_ROWS));
    let rows = sqlx::query(CALLS).bind(provider.as_str()).bind(limit).fetch_all(readers).await?;
    Ok(every(&rows, "attempts", |row| {
        Ok(Call { job: JobId(row.try_get("job_id")?), attempt: decode::attempt(row)?.1 })
    }))
}

/// Jobs, newest first.
pub(super) async fn jobs(readers: &SqlitePool, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError> {
    if let Some(slug) = &filter.slug {
        return of_slug(readers, filter, slug).await;
    }
    let limit = i64::from(filter.limit.min(MOST_ROWS));
    let below = filter.before.map_or(i64::MAX, |before| before.0);
    let mut tx = readers.begin().await?;
    let mut ids: Vec<i64> = Vec::new();
    if filter.asset.is_none() && filter.status.is_none() {
        ids = sqlx::query_scalar(NEWEST).bind(below).bind(limit).fetch_all(&mut *tx).await?;
    } else {
        let assets: Vec<String> = match &filter.asset {
            Some(asset) => vec![asset.to_string()],
            None => sqlx::query_scalar("SELECT name FROM assets").fetch_all(&mut *tx).await?,
        };
        // Each pair is in order by its index; together they are not, and few enough to be sorted.
        for asset in &assets {
            for status in
                JobStatus::ALL.into_iter().filter(|one| filter.status.is_none_or(|only| only == *one))
            {
                let sql = if status == JobStatus::Running { LISTED_RUNNING } else { LISTED };
                let pair = sqlx::query_scalar::<_, i64>(sql).bind(asset).bind(status.as_str());
                ids.extend(pair.bind(below).bind(limit).fetch_all(&mut *tx).await?);
            }
        }
        ids.sort_unstable_by(|a, b| b.cmp(a));
        ids.truncate(usize::try_from(limit).unwrap_or_default());
    }
    let rows = sqlx::query(ROWS).bind(json!(ids).to_string()).fetch_all(&mut *tx).await?;
    tx.commit().await?;
    Ok(every(&rows, "jobs", decode::job))
}

async fn of_slug(readers: &SqlitePool, filter: &JobFilter, slug: &str) -> Result<Vec<JobRow>, StoreError> {
    let mut query: QueryBuilder<Sqlite> = QueryBuilder::new(concat!(
        "SELECT ",
        job_columns!(),
        " FROM jobs INDEXED BY jobs_by_slug WHERE slug = "
    ));
    query.push_bind(slug.to_owned());
    if let Some(asset) = &filter.asset {
        query.push(" AND asset = ").push_bind(asset.as_str().to_owned());
    }
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(status.as_str());
    }
    if let Some(before) = filter.before {
        query.push(" AND id < ").push_bind(before.0);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::from(filter.limit.min(MOST_ROWS)));
    let rows = query.build().fetch_all(readers).await?;
    Ok(every(&rows, "jobs", decode::job))
}

/// Jobs whose slugs begin so.
pub(super) async fn search(readers: &SqlitePool, search: &JobSearch) -> Result<Found, StoreError> {
    let limit = search.limit.min(MOST_ROWS);
    let (find, last, from, job) = match &search.after {
        None => (SEARCH_FROM, LAST_FROM, &search.begins, 0),
        Some((slug, job)) => (SEARCH_AFTER, LAST_AFTER, slug, job.0),
    };
    // Nothing that begins so comes after it and this last of all characters.
    let below = format!("{}\u{10ffff}", search.begins);
    let rows = sqlx::query(find)
        .bind(from)
        .bind(&below)
        .bind(job)
        .bind(i64::from(MOST_SEARCHED))
        .bind(search.asset.as_ref().map(AssetName::as_str))
        .bind(search.status.map(JobStatus::as_str))
        .bind(i64::from(limit))
        .fetch_all(readers)
        .await?;
    let jobs = every(&rows, "jobs", decode::job);
    if rows.len() >= limit as usize {
        let next = jobs.last().map(|job| (job.slug.clone(), JobId(job.id)));
        return Ok(Found { jobs, next });
    }
    // Fewer than wanted: either there are no more, or no more were looked at.
    let last = sqlx::query(last).bind(from).bind(below).bind(job).bind(i64::from(MOST_SEARCHED));
    let next = last.fetch_optional(readers).await?;
    let next = next.map(|row| Ok::<_, StoreError>((row.try_get(0)?, JobId(row.try_get(1)?)))).transpose()?;
    Ok(Found { jobs, next })
}
