//! What the page asks.

use super::desk::{attempt_row, job_row};
use super::tables::{AttemptRecord, JobRecord, Tables, whole};
use crate::domain::job::{JobId, JobStatus};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::time::{Timestamp, to_text};
use crate::store::desk::{AssetCount, Call, Found, JobSearch, OutcomeCount};
use crate::store::ledger::Ending;
use crate::store::{MOST_COUNTED, MOST_SEARCHED};

impl Tables {
    /// What is not settled, of each asset.
    pub(super) fn backlog(&self, now: Timestamp) -> Vec<AssetCount> {
        let most = i64::from(MOST_COUNTED);
        let unsettled =
            |count: &AssetCount| ["manual", "pending", "running"].contains(&count.status.as_str());
        let counts = self.counts(now).into_iter().filter(unsettled);
        counts
            .map(|count| AssetCount { count: count.count.min(most), due: count.due.min(most), ..count })
            .collect()
    }

    /// Counts the end of a job's walk.
    pub(super) fn count_end(&mut self, asset: AssetName, ending: &Ending, now: Timestamp) {
        let outcome = match ending {
            Ending::Done { fallback_used: true, .. } => "fallback",
            Ending::Done { fallback_used: false, .. } => "primary",
            Ending::Manual { .. } => "manual",
            Ending::Failed { .. } => "failed",
            Ending::Later { .. } | Ending::HandBack { .. } => return,
        };
        *self.outcomes.entry((day(now), asset, outcome)).or_default() += 1;
    }

    /// How jobs ended, by day.
    pub(super) fn outcomes(&self, since: Timestamp) -> Vec<OutcomeCount> {
        let since = day(since);
        let recent = self.outcomes.iter().filter(|((day, ..), _)| *day >= since);
        let count =
            |((day, asset, outcome), count): (&(String, AssetName, &'static str), &i64)| OutcomeCount {
                day: day.clone(),
                asset: asset.to_string(),
                outcome: (*outcome).to_owned(),
                count: *count,
            };
        recent.map(count).collect()
    }

    /// Deletes the counts of days long before `before`.
    pub(super) fn prune_outcomes(&mut self, before: Timestamp) {
        let Some(before) = before.checked_sub_days(chrono::Days::new(400)) else { return };
        let first = day(before);
        self.outcomes.retain(|(day, ..), _| *day >= first);
    }

    /// Jobs whose slugs begin so.
    pub(super) fn search(&self, search: &JobSearch) -> Found {
        let mut named: Vec<(&str, JobId)> = self
            .jobs
            .values()
            .filter(|job| job.slug.starts_with(&search.begins))
            .map(|job| (job.slug.as_str(), job.id))
            .filter(|(slug, id)| search.after.as_ref().is_none_or(|(s, i)| (*slug, *id) > (s.as_str(), *i)))
            .collect();
        named.sort_unstable();
        let cut = named.get(MOST_SEARCHED as usize - 1).copied();
        named.truncate(MOST_SEARCHED as usize);
        let wanted = |job: &&JobRecord| {
            search.asset.as_ref().is_none_or(|asset| job.asset == *asset)
                && search.status.is_none_or(|status: JobStatus| job.status == status)
        };
        let jobs = named.iter().filter_map(|(_, id)| self.jobs.get(id)).filter(wanted);
        let jobs: Vec<_> = jobs.take(search.limit as usize).map(job_row).collect();
        let full = jobs.len() >= search.limit as usize;
        let last = jobs.last().map(|job| (job.slug.clone(), JobId(job.id)));
        let next = if full { last } else { cut.map(|(slug, id)| (slug.to_owned(), id)) };
        Found { jobs, next }
    }

    /// The latest calls of a provider.
    pub(super) fn calls(&self, provider: &ProviderName, limit: u32) -> Vec<Call> {
        let called = |attempt: &&AttemptRecord| attempt.provider == *provider && attempt.status != "skipped";
        let latest = self.attempts.values().rev().filter(called).take(limit as usize);
        latest.map(|attempt| Call { job: attempt.job, attempt: attempt_row(attempt) }).collect()
    }
}

fn day(at: Timestamp) -> String {
    to_text(whole(at)).chars().take(10).collect()
}
