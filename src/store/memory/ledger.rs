//! The ledger in memory: the same steps as on SQLite, in the same order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::tables::{AttemptRecord, NoticeRecord, RunRecord, Tables, whole};
use crate::domain::breaker::{HealthEvent, Probe, ProviderHealth};
use crate::domain::budget::{Reservation, cost_of_verdict};
use crate::domain::chain::MANUAL;
use crate::domain::health::AssetHealth;
use crate::domain::job::{JobId, JobStatus, RunOutcome};
use crate::domain::name::ProviderName;
use crate::domain::notice::{NoticeKind, news};
use crate::domain::time::Timestamp;
use crate::store::claim::LeaseToken;
use crate::store::ledger::{
    AttemptFacts, AttemptId, AttemptResult, Ending, Entry, Recorded, RunEnd, Written,
};

const FORSAKEN: &str =
    "its run was ended while nobody was there to stop the call, and what became of it is not known";

const ABANDONED: &str = "the job was cancelled during the call, and what became of it is not known";

/// Most counted runs that a row can hold.
const MOST_RUNS: u32 = 1_000_000;

impl Tables {
    /// Writes entries, each fenced on its own; the answers are in their order.
    pub(super) fn record(&mut self, entries: &[Entry], now: Timestamp) -> Written {
        let mut answers = vec![Recorded::Written; entries.len()];
        let mut events: Vec<&HealthEvent> = Vec::new();
        let mut fresh: Vec<&AttemptResult> = Vec::new();
        let mut ends: Vec<(&RunEnd, &mut Recorded)> = Vec::new();
        let mut freed: Vec<(&ProviderName, Probe)> = Vec::new();
        for (entry, answer) in entries.iter().zip(&mut answers) {
            match entry {
                Entry::Begin { token, facts, reservation } => {
                    *answer = self.begin(token, facts, reservation, now);
                }
                Entry::Enter(facts) => {
                    *answer = match self.no_room(facts, now) {
                        Some(no_room) => Recorded::NoRoom(no_room),
                        None => self.enter(facts, now),
                    };
                }
                Entry::Reenter(facts) => self.reenter(facts),
                Entry::Accept { attempt, job, operation, request_id } => {
                    self.accept(*attempt, *job, operation, request_id.as_deref());
                }
                Entry::Abandon { attempt, job } => self.abandon(*attempt, *job, now),
                Entry::FreeProbe { provider, probe } => freed.push((provider, *probe)),
                Entry::Stage(staging) => *answer = self.stage(staging, now),
                Entry::Settle(result) => {
                    self.leave(&result.facts, now);
                    if self.book(result, &mut fresh) {
                        events.extend(&result.event);
                    }
                }
                Entry::Finish(end) => {
                    for result in &end.attempts {
                        self.leave(&result.facts, now);
                        if self.book(result, &mut fresh) {
                            events.extend(&result.event);
                        }
                    }
                    ends.push((end, answer));
                }
            }
        }
        for result in fresh {
            self.insert_settled(result);
        }
        for (end, answer) in ends {
            if self.end_job(end, now) {
                self.end_run(end, now);
                if let Some(key) = &end.staged {
                    self.staged.remove(key);
                }
                self.remember_asset(end);
                if let Some(kind) = end.notify {
                    self.notify(end.job, kind, now);
                }
            } else {
                *answer = Recorded::LeaseGone;
            }
        }
        let health = self.remember_providers(&events, &freed, now);
        self.version += 1;
        Written { answers, health }
    }

    /// Gives the half-open provider's probe to one job.
    pub(super) fn take_probe(
        &mut self,
        provider: &ProviderName,
        probe: Probe,
        fingerprint: &str,
        now: Timestamp,
    ) -> ProviderHealth {
        let mut health = self.health_of(provider);
        if health.take_probe(probe, whole(now), fingerprint) {
            self.provider_health.insert(provider.clone(), health.clone());
            self.version += 1;
        }
        health
    }

    /// What is remembered of a provider.
    pub(super) fn health_of(&self, provider: &ProviderName) -> ProviderHealth {
        let known = self.provider_health.get(provider).cloned();
        known.unwrap_or_else(|| ProviderHealth::unknown(provider.clone()))
    }

    /// Deletes settled jobs that nobody waits for, and what else is of no use any more.
    pub(super) fn prune(&mut self, before: Timestamp, limit: u32) -> u64 {
        let before = whole(before);
        let over = |status| matches!(status, JobStatus::Done | JobStatus::Failed | JobStatus::Cancelled);
        let mut old: Vec<(Timestamp, JobId)> = self
            .jobs
            .values()
            .filter(|job| over(job.status))
            .filter_map(|job| job.finished_at.filter(|at| *at < before).map(|at| (at, job.id)))
            .collect();
        old.sort_unstable();
        old.truncate(limit as usize);
        for (_, job) in &old {
            self.delete(*job);
        }
        let jobs = &self.jobs;
        self.notices.retain(|_, notice| {
            let told = notice.sent_at.is_some_and(|sent| sent < before);
            notice.created_at >= before || (!told && notice.job.is_none_or(|job| jobs.contains_key(&job)))
        });
        let mut last: BTreeMap<String, Timestamp> = BTreeMap::new();
        for (schedule, tick) in self.ticks.keys() {
            last.insert(schedule.clone(), *tick);
        }
        self.ticks.retain(|(schedule, tick), record| {
            record.created_at >= before || last.get(schedule).is_none_or(|last| tick >= last)
        });
        self.prune_spending(before);
        self.prune_outcomes(before);
        self.prune_calls(before);
        self.version += 1;
        old.len() as u64
    }

    fn begin(
        &mut self,
        token: &LeaseToken,
        facts: &AttemptFacts,
        reservation: &Reservation,
        now: Timestamp,
    ) -> Recorded {
        let (provider, at) = (&facts.provider, facts.started_at);
        if let Some(used_up) = self.spending_at(at).used_up(reservation, provider, at) {
            return Recorded::OverBudget(used_up);
        }
        if let Some(no_room) = self.no_room(facts, now) {
            return Recorded::NoRoom(no_room);
        }
        if self.held(facts.job, token).is_none() {
            return Recorded::LeaseGone;
        }
        self.enter(facts, now);
        let row = AttemptId(self.next_attempt());
        let mut begun = attempt(row.0, facts);
        (begun.asset, begun.reserved_micros) = (Some(reservation.asset.clone()), reservation.micros);
        if reservation.micros > 0 {
            self.reserve_money(&begun);
        }
        self.attempts.insert(row.0, begun);
        Recorded::Begun(row)
    }

    fn accept(&mut self, row: AttemptId, job: JobId, operation: &str, request_id: Option<&str>) {
        if let Some(attempt) = self.attempts.get_mut(&row.0)
            && attempt.job == job
            && attempt.status == "started"
        {
            attempt.status = "accepted";
            attempt.operation = Some(operation.to_owned());
            attempt.request_id = request_id.map(str::to_owned);
        }
    }

    fn abandon(&mut self, row: AttemptId, job: JobId, now: Timestamp) {
        let Some(attempt) = self.attempts.get_mut(&row.0) else { return };
        let ended = self.runs.get(&attempt.run).is_some_and(|run| run.finished_at.is_some());
        if attempt.job == job && attempt.is_open() && ended {
            self.give_up(row.0, ABANDONED, now);
        }
    }

    /// Settles calls of ended runs that nobody speaks of any more.
    pub(super) fn settle_forsaken(&mut self, ended_before: Timestamp, now: Timestamp) -> u64 {
        let ended = |run| {
            let run: Option<&RunRecord> = self.runs.get(&run);
            run.and_then(|run| run.finished_at).is_some_and(|at| at < whole(ended_before))
        };
        let open = self.attempts.values().filter(|attempt| attempt.is_open());
        let forsaken: Vec<i64> =
            open.filter(|attempt| ended(attempt.run)).map(|attempt| attempt.id).take(1_000).collect();
        for row in &forsaken {
            self.give_up(*row, FORSAKEN, now);
        }
        if !forsaken.is_empty() {
            self.version += 1;
        }
        forsaken.len() as u64
    }

    fn give_up(&mut self, row: i64, why: &str, now: Timestamp) {
        let Some(attempt) = self.attempts.get_mut(&row) else { return };
        attempt.status = "unknown";
        attempt.class = Some("unknown_outcome");
        attempt.finished_at = Some(whole(now));
        attempt.error = Some(why.to_owned());
        let (attempt, cost) = (attempt.clone(), attempt.reserved_micros);
        self.settle_money(&attempt, cost);
    }

    /// Books a verdict; `false` when another was there first. Attempts without a row of their own are gathered.
    fn book<'a>(&mut self, result: &'a AttemptResult, fresh: &mut Vec<&'a AttemptResult>) -> bool {
        let Some(row) = result.row else {
            fresh.push(result);
            return true;
        };
        let of_this_job = |attempt: &&mut AttemptRecord| attempt.job == result.facts.job && attempt.is_open();
        let Some(attempt) = self.attempts.get_mut(&row.0).filter(of_this_job) else { return false };
        attempt.settle(result);
        let attempt = attempt.clone();
        let unknown = result.status == "unknown";
        let cost = cost_of_verdict(unknown, attempt.reserved_micros, result.cost_micros);
        if attempt.reserved_micros > 0 || result.cost_micros > 0 {
            self.settle_money(&attempt, cost);
        }
        true
    }

    fn insert_settled(&mut self, result: &AttemptResult) {
        let facts = &result.facts;
        if self.runs.get(&facts.run).is_some_and(|run| run.job == facts.job) {
            let row = self.next_attempt();
            let mut settled = attempt(row, facts);
            settled.settle(result);
            self.attempts.insert(row, settled);
        }
    }

    /// What becomes of the job, where the token still matches.
    fn end_job(&mut self, end: &RunEnd, now: Timestamp) -> bool {
        let Some(job) = self.held(end.job, &end.token) else { return false };
        let counted = u32::from(end.ending.outcome().is_some_and(|outcome| outcome != RunOutcome::Released));
        job.runs = job.runs.min(MOST_RUNS - counted) + counted;
        job.lease = None;
        job.updated_at = whole(now);
        job.error.clone_from(&end.error);
        job.message = None;
        match &end.ending {
            Ending::Done { provider, fallback_used, url, text, content_type, metadata, message } => {
                job.status = JobStatus::Done;
                job.url.clone_from(url);
                job.text.clone_from(text);
                job.content_type = Some((*content_type).to_owned());
                job.metadata = Some(Value::Object(metadata.clone()));
                job.provider = Some(provider.to_string());
                job.fallback_used = Some(*fallback_used);
                job.message = Some(message.clone());
                job.error = None;
            }
            Ending::Manual { message } => {
                job.status = JobStatus::Manual;
                job.provider = Some(MANUAL.to_owned());
                job.fallback_used = Some(true);
                job.message = Some(message.clone());
            }
            Ending::Failed { message } => {
                job.status = JobStatus::Failed;
                job.message = Some(message.clone());
            }
            Ending::Later { run_at } | Ending::HandBack { run_at, .. } => {
                job.status = JobStatus::Pending;
                job.run_at = whole(*run_at);
            }
        }
        if job.status == JobStatus::Pending {
            job.finished_at = None;
        } else {
            // An override is for one life of the job, and so are the deaths it has caused.
            job.provider_override = None;
            (job.deaths, job.solo_deaths) = (0, 0);
            job.finished_at = Some(whole(now));
            let asset = job.asset.clone();
            self.count_end(asset, &end.ending, now);
        }
        true
    }

    fn end_run(&mut self, end: &RunEnd, now: Timestamp) {
        let Some(outcome) = end.ending.outcome() else { return };
        let Some(run) = self.runs.get_mut(&end.run).filter(|run| run.finished_at.is_none()) else { return };
        run.finished_at = Some(whole(now));
        run.outcome = Some(outcome.as_str());
        run.error.clone_from(&end.error);
        run.prompt_digest.clone_from(&end.prompt_digest);
        match &end.ending {
            Ending::Done { provider, fallback_used, .. } => {
                run.provider = Some(provider.to_string());
                run.fallback_used = Some(*fallback_used);
            }
            Ending::Manual { .. }
            | Ending::Failed { .. }
            | Ending::Later { .. }
            | Ending::HandBack { .. } => {}
        }
    }

    fn remember_asset(&mut self, end: &RunEnd) {
        if let Some(report) = &end.report {
            let unknown = || AssetHealth::unknown(end.asset.clone());
            self.asset_health.entry(end.asset.clone()).or_insert_with(unknown).remember(report);
        }
    }

    fn remember_providers(
        &mut self,
        events: &[&HealthEvent],
        freed: &[(&ProviderName, Probe)],
        now: Timestamp,
    ) -> Vec<ProviderHealth> {
        let mut changed: BTreeMap<&ProviderName, ProviderHealth> = BTreeMap::new();
        for event in events {
            let health = changed.entry(&event.provider).or_insert_with(|| self.health_of(&event.provider));
            health.remember(event);
        }
        let mut written: BTreeSet<&ProviderName> = changed.keys().copied().collect();
        for (provider, probe) in freed {
            let health = changed.entry(provider).or_insert_with(|| self.health_of(provider));
            if health.free_probe(*probe) {
                written.insert(provider);
            }
        }
        for health in written.into_iter().filter_map(|provider| changed.get(provider)) {
            if let Some(kind) = news(&self.health_of(&health.provider), health) {
                let detail = health.last_error.clone().filter(|_| kind != NoticeKind::ProviderClosed);
                let provider = Some(health.provider.clone());
                self.put_notice(NoticeRecord { provider, detail, ..NoticeRecord::new(kind, now) });
            }
            self.provider_health.insert(health.provider.clone(), health.clone());
        }
        changed.into_values().collect()
    }
}

impl AttemptRecord {
    pub(crate) fn is_open(&self) -> bool {
        self.status == "started" || self.status == "accepted"
    }

    fn settle(&mut self, result: &AttemptResult) {
        self.status = result.status;
        self.class = result.class;
        self.error.clone_from(&result.error);
        self.http_status = result.http_status;
        // The id of the request that began an operation stays.
        if self.request_id.is_none() {
            self.request_id.clone_from(&result.request_id);
        }
        self.finished_at = Some(whole(result.finished_at));
        self.cost_micros = result.cost_micros;
    }
}

fn attempt(id: i64, facts: &AttemptFacts) -> AttemptRecord {
    AttemptRecord {
        id,
        run: facts.run,
        job: facts.job,
        position: facts.position,
        repeat: facts.repeat,
        provider: facts.provider.clone(),
        model: facts.model.clone(),
        status: "started",
        class: None,
        error: None,
        http_status: None,
        request_id: None,
        operation: None,
        fingerprint: facts.fingerprint.clone(),
        started_at: whole(facts.started_at),
        finished_at: None,
        cost_micros: 0,
        asset: None,
        reserved_micros: 0,
    }
}
