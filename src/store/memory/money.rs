//! What is reserved and spent, and the files on their way to the vault, in memory.

use crate::domain::budget::{Counter, Scope, Span, Spending};
use crate::domain::job::AttemptId;
use crate::domain::time::{Timestamp, to_text};
use crate::store::claim::StagedFile;
use crate::store::ledger::{Recorded, Staging, Stale};

use super::tables::{AttemptRecord, StagedRecord, Tables, whole};

impl Tables {
    /// What is reserved and spent in the day and the month around `at`.
    pub(super) fn spending_at(&self, at: Timestamp) -> Spending {
        let mut spending = Spending::default();
        for scope in Scope::ALL {
            for span in Span::ALL {
                let period = span.period(at);
                let of = self
                    .spending
                    .iter()
                    .filter(|((of, whose, _), _)| *of == period && *whose == scope.as_str());
                for ((_, _, name), counter) in of {
                    spending.insert(scope, span, name.clone(), *counter);
                }
            }
        }
        spending
    }

    /// Puts aside what a call may cost.
    pub(super) fn reserve_money(&mut self, begun: &AttemptRecord) {
        self.counters_of(begun, |counter| counter.reserve(begun.reserved_micros));
    }

    /// Gives back what was put aside for a call, and counts what it did cost.
    pub(super) fn settle_money(&mut self, settled: &AttemptRecord, cost: i64) {
        if settled.reserved_micros > 0 || cost > 0 {
            self.counters_of(settled, |counter| counter.settle(settled.reserved_micros, cost));
        }
    }

    fn counters_of(&mut self, attempt: &AttemptRecord, change: impl Fn(&mut Counter)) {
        let provider = Some((Scope::Provider, attempt.provider.to_string()));
        let asset = attempt.asset.as_ref().map(|asset| (Scope::Asset, asset.to_string()));
        for (scope, name) in provider.into_iter().chain(asset) {
            for span in Span::ALL {
                let key = (span.period(attempt.started_at), scope.as_str(), name.clone());
                change(self.spending.entry(key).or_default());
            }
        }
    }

    /// Forgets the counters of periods that ended 400 days before `before`.
    pub(super) fn prune_spending(&mut self, before: Timestamp) {
        let Some(before) = before.checked_sub_days(chrono::Days::new(400)) else { return };
        let month: String = to_text(before).chars().take(7).collect();
        self.spending.retain(|(period, ..), _| *period >= month);
    }

    /// Names a file before it is uploaded.
    pub(super) fn stage(&mut self, staging: &Staging, now: Timestamp) -> Recorded {
        if self.held(staging.job, &staging.token).is_none() {
            return Recorded::LeaseGone;
        }
        let Staging { job, run, attempt, output, .. } = staging.clone();
        let record = StagedRecord { job, run, attempt, output, created_at: whole(now) };
        self.staged.insert(staging.key.clone(), record);
        Recorded::Written
    }

    /// The file that an attempt was bringing to the vault.
    pub(super) fn staged_by(&self, attempt: AttemptId) -> Option<StagedFile> {
        let (key, staged) = self.staged.iter().find(|(_, staged)| staged.attempt == Some(attempt))?;
        Some(StagedFile { key: key.clone(), output: staged.output.clone() })
    }

    /// Keys that were staged before a time and never delivered, oldest first.
    pub(super) fn stale_staged(&self, before: Timestamp, limit: u32) -> Vec<Stale> {
        let mut stale: Vec<(Timestamp, Stale)> = Vec::new();
        for (key, staged) in &self.staged {
            let open = self.runs.get(&staged.run).is_some_and(|run| run.finished_at.is_none());
            let job = self.jobs.get(&staged.job);
            let delivered =
                job.and_then(|job| job.url.as_ref()).is_some_and(|url| url.ends_with(key.as_str()));
            if staged.created_at < whole(before) && !open && !delivered {
                let owner = job.map(|job| (job.asset.clone(), job.id));
                stale.push((staged.created_at, Stale { key: key.clone(), owner }));
            }
        }
        stale.sort_by(|a, b| (a.0, &a.1.key).cmp(&(b.0, &b.1.key)));
        stale.into_iter().take(limit as usize).map(|(_, stale)| stale).collect()
    }

    /// Forgets staged keys.
    pub(super) fn unstage(&mut self, keys: &[String]) {
        self.staged.retain(|key, _| !keys.contains(key));
        self.version += 1;
    }
}
