//! What the cases share: a store with two assets, workers who claim, and a person who writes rows.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::domain::accept::Acceptance;
use crate::domain::asset::{Asset, Medium, OnExhausted};
use crate::domain::breaker::HealthEvent;
use crate::domain::budget::{Budget, Reservation};
use crate::domain::chain::Chain;
use crate::domain::failure::FailureClass;
use crate::domain::health::{RunEnding, RunReport};
use crate::domain::job::JobId;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::pace::Pace;
use crate::domain::plan::tests::{name, provider};
use crate::domain::provider::Provider;
use crate::domain::time::{Timestamp, after, from_text, to_text};
use crate::store::{
    AttemptFacts, AttemptId, AttemptResult, Claim, ClaimRequest, Claimed, Ending, Entry, Held, LeaseToken,
    NewJob, Recorded, RunEnd, Slot, Store, StoreError, Wanted, Written,
};

/// One row of a table, by column; times as text, JSON as what it says.
pub(in crate::store) type Row = BTreeMap<String, Value>;

/// The tables that two stores must agree about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Table {
    Jobs,
    Runs,
    Attempts,
    AssetHealth,
    ProviderHealth,
    Notices,
    Ticks,
    Spending,
    Staged,
    Calls,
}

impl Table {
    pub(in crate::store) const ALL: [Self; 10] = [
        Self::Jobs,
        Self::Runs,
        Self::Attempts,
        Self::AssetHealth,
        Self::ProviderHealth,
        Self::Notices,
        Self::Ticks,
        Self::Spending,
        Self::Staged,
        Self::Calls,
    ];
}

/// A store under test, and beside it a person who changes rows by the statements of the SQL contract.
#[async_trait]
pub(in crate::store) trait Subject: Send + Sync {
    fn store(&self) -> &dyn Store;

    /// `UPDATE jobs SET status = 'cancelled'`.
    async fn cancels(&self, job: JobId) -> Result<(), StoreError>;

    /// `UPDATE jobs SET status = 'pending'`.
    async fn sends_round_again(&self, job: JobId) -> Result<(), StoreError>;

    /// `UPDATE jobs SET status = 'done', text = ...`.
    async fn provides(&self, job: JobId, text: &str) -> Result<(), StoreError>;

    /// `UPDATE jobs SET run_at = ...`.
    async fn puts_off(&self, job: JobId, run_at: Timestamp) -> Result<(), StoreError>;

    /// `DELETE FROM jobs`.
    async fn deletes(&self, job: JobId) -> Result<(), StoreError>;

    /// Every row, in the order of the key, without the columns that say when a health was written.
    async fn rows(&self, table: Table) -> Vec<Row>;
}

/// A second of the scene, far after any clock that a database may date rows with.
pub(super) fn at(second: u64) -> Timestamp {
    let start = from_text("2100-01-01T00:00:00.000Z").expect("valid");
    after(start, Duration::from_secs(second))
}

/// How long leases are here.
pub(super) const LEASE: Duration = Duration::from_secs(60);

pub(super) fn asset(label: &str) -> AssetName {
    AssetName::parse(label).expect("valid")
}

fn assets() -> [Asset; 2] {
    let asset = |label: &str, medium, chain: &[&str], on_exhausted| Asset {
        name: asset(label),
        medium,
        chain: Chain::parse(chain).expect("valid"),
        prompt: String::new(),
        accept: Acceptance::default(),
        max_runs: 3,
        give_up_after: Duration::from_secs(3_600),
        deadline: Duration::from_secs(180),
        on_exhausted,
        window: None,
        concurrency: None,
        budget: Budget::default(),
    };
    [
        asset("social-text", Medium::Text, &["house", "second", "manual"], OnExhausted::Manual),
        asset("hero-image", Medium::Image, &["lummi"], OnExhausted::Fail),
    ]
}

fn providers() -> [Provider; 4] {
    let of = |label, medium| Provider { medium, ..provider(label) };
    [
        of("house", Medium::Text),
        of("second", Medium::Text),
        of("third", Medium::Text),
        of("lummi", Medium::Image),
    ]
}

/// A store that knows its assets, and what one does with it.
pub(super) struct Scene<S> {
    pub(super) subject: S,
}

impl<S: Subject> Scene<S> {
    pub(super) async fn new(subject: S) -> Self {
        subject.store().mirror(&assets(), &providers(), at(0)).await.expect("mirrored");
        Self { subject }
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.subject.store()
    }

    /// A text that is due at second 0.
    pub(super) async fn job(&self, slug: &str) -> JobId {
        self.add(&NewJob { run_at: Some(to_text(at(0))), ..wish("social-text", slug) }).await
    }

    pub(super) async fn add(&self, job: &NewJob) -> JobId {
        self.store().enqueue(job).await.expect("enqueued")
    }

    /// Claims the most texts there are.
    pub(super) async fn claim(&self, worker: &str, second: u64) -> Vec<Claim> {
        self.claimed(&claim_by(worker, second)).await.claims
    }

    /// Claims the one job that is to be had.
    pub(super) async fn claim_one(&self, worker: &str, second: u64) -> Claim {
        let mut claims = self.claim(worker, second).await;
        assert_eq!(claims.len(), 1, "{worker} claims one job");
        claims.remove(0)
    }

    pub(super) async fn claimed(&self, request: &ClaimRequest) -> Claimed {
        self.store().claim_due(request).await.expect("claimed")
    }

    pub(super) async fn write(&self, entries: &[Entry], second: u64) -> Written {
        self.store().record(entries, at(second)).await.expect("written")
    }

    pub(super) async fn write_one(&self, entry: Entry, second: u64) -> Recorded {
        let mut written = self.write(&[entry], second).await;
        assert_eq!(written.answers.len(), 1);
        written.answers.remove(0)
    }

    /// Begins a paid call of the first link.
    pub(super) async fn begin(&self, claim: &Claim, second: u64) -> AttemptId {
        let entry = intent(claim, second);
        match self.write_one(entry, second).await {
            Recorded::Begun(row) => row,
            other @ (Recorded::Written
            | Recorded::LeaseGone
            | Recorded::OverBudget(_)
            | Recorded::NoRoom(_)) => {
                panic!("not begun: {other:?}")
            }
        }
    }

    /// Ends a run.
    pub(super) async fn finish(&self, claim: &Claim, ending: Ending, second: u64) -> Recorded {
        self.write_one(Entry::Finish(Box::new(end_of(claim, ending, second))), second).await
    }

    /// Some columns of some rows, each row as one line.
    pub(super) async fn shows(&self, table: Table, columns: &[&str]) -> Vec<String> {
        let shown = |row: &Row| {
            let columns = columns.iter().map(|column| {
                let value = &row[*column];
                let shown = if value.is_null() { String::new() } else { value.to_string() };
                value.as_str().map_or(shown, str::to_owned)
            });
            columns.collect::<Vec<_>>().join("|")
        };
        self.subject.rows(table).await.iter().map(shown).collect()
    }

    pub(super) async fn finds(&self, table: Table, columns: &[&str], expected: &[&str]) {
        assert_eq!(self.shows(table, columns).await, expected, "{table:?} {columns:?}");
    }
}

pub(super) fn wish(asset: &str, slug: &str) -> NewJob {
    NewJob { asset: asset.to_owned(), slug: slug.to_owned(), ..NewJob::default() }
}

pub(super) fn wanted(label: &str, most: u32) -> Wanted {
    let asset = assets().into_iter().find(|asset| asset.name.as_str() == label).expect("known");
    Wanted { asset: asset.name, chain: asset.chain, most, shares: None, only_bought: false }
}

/// A claim of everything; the token is fresh for each worker and second.
pub(super) fn claim_by(worker: &str, second: u64) -> ClaimRequest {
    ClaimRequest {
        now: at(second),
        lease_until: after(at(second), LEASE),
        token: LeaseToken(format!("lease-token-of-{worker}-at-{second}")),
        owner: worker.to_owned(),
        wanted: vec![wanted("social-text", 100), wanted("hero-image", 100)],
        free: BTreeMap::new(),
        limit: 100,
        take_over: true,
        held: Vec::new(),
    }
}

pub(super) fn held(claim: &Claim) -> Held {
    (claim.token.clone(), claim.job.id)
}

pub(super) fn facts(claim: &Claim, second: u64) -> AttemptFacts {
    AttemptFacts {
        job: claim.job.id,
        run: claim.run.id,
        position: 0,
        repeat: 0,
        provider: name("house"),
        model: Some("m".to_owned()),
        fingerprint: "f1".to_owned(),
        started_at: at(second),
        slot: None,
    }
}

/// A call of `house` that is bounded.
pub(super) fn paced(claim: &Claim, second: u64, pace: Pace) -> AttemptFacts {
    let slot = Slot { token: claim.token.clone(), pace };
    AttemptFacts { slot: Some(slot), ..facts(claim, second) }
}

/// The intent of a paid call that may cost 40.
pub(super) fn intent(claim: &Claim, second: u64) -> Entry {
    let budget = Budget { day_micros: Some(1_000), month_micros: None };
    let reservation = Reservation {
        asset: claim.job.asset.clone(),
        micros: 40,
        provider_budget: budget,
        asset_budget: Budget::default(),
    };
    Entry::Begin { token: claim.token.clone(), facts: Box::new(facts(claim, second)), reservation }
}

/// The verdict of a call of `house`; `None` is a delivery.
pub(super) fn verdict(
    claim: &Claim,
    row: Option<AttemptId>,
    failure: Option<FailureClass>,
    second: u64,
) -> AttemptResult {
    let why = failure.as_ref().map(|class| format!("{class} at {second}"));
    AttemptResult {
        row,
        facts: facts(claim, second),
        status: if failure.is_some() { "failed" } else { "delivered" },
        class: failure.as_ref().map(FailureClass::as_str),
        error: why.clone(),
        http_status: Some(500),
        request_id: Some("req-1".to_owned()),
        finished_at: at(second),
        cost_micros: 7,
        event: Some(event(&name("house"), failure.zip(why), second)),
    }
}

pub(super) fn event(
    provider: &ProviderName,
    failure: Option<(FailureClass, String)>,
    second: u64,
) -> HealthEvent {
    let fingerprint = "f1".to_owned();
    let (at, provider) = (at(second), provider.clone());
    HealthEvent { provider, probe: None, at, failure, fingerprint, trip_after: 3, local: false }
}

pub(super) fn done(url: &str) -> Ending {
    Ending::Done {
        provider: name("house"),
        fallback_used: false,
        url: Some(url.to_owned()),
        text: None,
        content_type: "image/png",
        metadata: serde_json::Map::from_iter([("width".to_owned(), Value::from(3))]),
        message: "Social text ready".to_owned(),
    }
}

pub(super) fn needs_person() -> Ending {
    Ending::Manual { message: "Social text needs a person".to_owned() }
}

pub(super) fn end_of(claim: &Claim, ending: Ending, second: u64) -> RunEnd {
    let error = (!matches!(ending, Ending::Done { .. })).then(|| format!("nobody could at {second}"));
    let report = match &ending {
        Ending::Done { provider, fallback_used, .. } => {
            Some(RunEnding::Delivered { provider: provider.clone(), fallback_used: *fallback_used })
        }
        Ending::Manual { .. } => Some(RunEnding::NeedsPerson { error: error.clone().unwrap_or_default() }),
        Ending::Failed { .. } | Ending::Later { .. } => {
            Some(RunEnding::Failed { error: error.clone().unwrap_or_default() })
        }
        Ending::HandBack { .. } => None,
    };
    let asset = claim.job.asset.clone();
    let report = report.map(|ending| RunReport { asset, at: at(second), ending, primary_failure: None });
    RunEnd {
        job: claim.job.id,
        asset: claim.job.asset.clone(),
        run: claim.run.id,
        token: claim.token.clone(),
        attempts: Vec::new(),
        staged: None,
        ending,
        error,
        prompt_digest: None,
        report,
        notify: true,
        at: at(second),
    }
}
