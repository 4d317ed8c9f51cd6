//! Claimed jobs whose rows cannot be read: each is handed to a person, and spoils no other job's claim.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnection;

use crate::domain::job::JobId;
use crate::domain::time::{Timestamp, to_text};
use crate::store::claim::LeaseToken;
use crate::store::error::StoreError;

/// A row that nobody can read cannot be run, and would be taken up again after every lease. Everything that is
/// read here is written by SQL alone, because the row's own words may be no text.
const HAND_OVER: &str = "
    UPDATE jobs
    SET status = 'manual', lease_token = NULL, lease_until = NULL, lease_owner = NULL, provider_override = NULL,
        provider = 'manual', fallback_used = 1, deaths = 0, solo_deaths = 0,
        message = upper(substr(asset, 1, 1)) || substr(replace(asset, '-', ' '), 2) || ' needs a person',
        error = e.error, updated_at = $2, finished_at = $2
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS error FROM json_each($1)) AS e
    WHERE jobs.id = e.id AND +jobs.lease_token = $3 AND +jobs.status = 'running'";

const CLOSE_ATTEMPTS: &str = "
    UPDATE attempts
    SET status = 'unknown', class = 'unknown_outcome', finished_at = $2,
        error = 'the job''s rows could not be read, and what became of the call is not known'
    WHERE status IN ('started', 'accepted') AND run_id IN (
        SELECT r.id FROM json_each($1) AS j JOIN runs AS r ON r.job_id = j.value ->> 0 AND r.finished_at IS NULL)";

const CLOSE_RUNS: &str = "
    UPDATE runs SET outcome = 'lost', finished_at = $2, error = e.error
    FROM (SELECT value ->> 0 AS id, value ->> 1 AS error FROM json_each($1)) AS e
    WHERE runs.job_id = e.id AND runs.finished_at IS NULL";

const NOTIFY: &str = "
    INSERT INTO notices (job_id, kind, created_at) SELECT value ->> 0, 'manual', $2 FROM json_each($1)";

/// Jobs that were claimed and cannot be run, each with what of it cannot be read.
#[derive(Debug, Default)]
pub(super) struct Spoiled {
    jobs: BTreeMap<JobId, String>,
}

impl Spoiled {
    /// Takes note of a job; the first reason stays.
    pub(super) fn add(&mut self, job: JobId, why: impl Into<String>) {
        self.jobs.entry(job).or_insert_with(|| why.into());
    }

    /// Ends them as a person's, in the claim's own transaction, and says how many.
    pub(super) async fn hand_over(
        self,
        tx: &mut SqliteConnection,
        token: &LeaseToken,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        if self.jobs.is_empty() {
            return Ok(0);
        }
        let mut rows = Vec::with_capacity(self.jobs.len());
        for (job, why) in self.jobs {
            tracing::error!(job.id = job.0, why, "a job's rows cannot be read; it is a person's now");
            rows.push(json!([
                job,
                format!("its rows cannot be read: {why}; correct them, then set it to pending")
            ]));
        }
        let (rows, now) = (Value::Array(rows).to_string(), to_text(now));
        let handed = sqlx::query(HAND_OVER)
            .bind(&rows)
            .bind(&now)
            .bind(&token.0)
            .execute(&mut *tx)
            .await?
            .rows_affected();
        for sql in [CLOSE_ATTEMPTS, CLOSE_RUNS, NOTIFY] {
            sqlx::query(sql).bind(&rows).bind(&now).execute(&mut *tx).await?;
        }
        Ok(handed)
    }
}
