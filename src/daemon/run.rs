//! One run: a job's walk down its chain, from the claim to the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::{Map, Value};

use crate::domain::ask::Ask;
use crate::domain::asset::Asset;
use crate::domain::breaker::HealthEvent;
use crate::domain::chain::Chain;
use crate::domain::failure::FailureClass;
use crate::domain::name::ProviderName;
use crate::domain::plan::{Circumstances, Known, Override, Plan, draw};
use crate::domain::time::{Timestamp, after, between};
use crate::domain::walk::{End, JobRules, Outcome, Step, Walk};
use crate::providers::SEARCHED_INPUT;
use crate::store::{AttemptFacts, AttemptId, AttemptResult, Claim, Entry, MOST_SOLO_DEATHS, PastAttempt};

use super::attempt::Delivery;
use super::book::{AssetPage, Book};
use super::claim::Reserved;
use super::recorder::Unwritten;
use super::shared::{Hold, Shared};

/// A claimed job with everything its run needs.
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) book: Arc<Book>,
    pub(super) page: Arc<AssetPage>,
    pub(super) claim: Claim,
    pub(super) reserved: Reserved,
    /// Dropped last, as in [`Run`].
    pub(super) hold: Hold,
}

/// Why a run stops before its walk has ended.
#[derive(Debug, Clone)]
pub(super) enum Interrupt {
    /// The lease is gone: somebody cancelled the job, or another worker has it.
    LeaseGone,
    /// The daemon stops; the run is handed back.
    Stopping,
    /// The ledger refused an entry.
    Ledger(Unwritten),
}

/// A run under way.
pub(super) struct Run {
    pub(super) shared: Arc<Shared>,
    pub(super) book: Arc<Book>,
    pub(super) page: Arc<AssetPage>,
    pub(super) claim: Claim,
    pub(super) reserved: Reserved,
    pub(super) walk: Walk,
    pub(super) ask: Ask,
    pub(super) deadline: Timestamp,
    /// Attempts without a verdict in the ledger yet.
    pub(super) unsettled: Vec<AttemptResult>,
    pub(super) delivery: Option<Delivery>,
    /// An operation of the adopted run that is polled on: its link, attempt and name.
    pub(super) accepted: Option<(usize, AttemptId, String)>,
    /// Links of the adopted run whose skipping is in the ledger already.
    pub(super) noted: Vec<usize>,
    /// The row of the paid call under way.
    pub(super) open: Option<AttemptId>,
    /// What this run has cost so far, in micro-dollars.
    pub(super) cost_micros: i64,
    /// Whether any call was made: then a run that is handed back stays open.
    pub(super) attempted: bool,
    /// The last failure of the chain's first provider in this run.
    pub(super) primary_failure: Option<(ProviderName, String)>,
    /// Digest of what is asked for.
    pub(super) digest: String,
    /// Whether somebody refused the prompt.
    pub(super) refused: bool,
    /// Dropped last: when the claim loop sees the job gone, its permit is back.
    pub(super) hold: Hold,
}

impl Run {
    /// Takes a claimed job down its chain.
    pub(super) async fn drive(task: Task) {
        let job = task.claim.job.id.0;
        // A panic of ours costs this run: its lease runs out, and the next one takes it up.
        if std::panic::AssertUnwindSafe(Self::walk_down(task)).catch_unwind().await.is_err() {
            tracing::error!(
                job.id = job,
                "a run panicked; its job is taken up again when its lease has ended"
            );
        }
    }

    async fn walk_down(task: Task) {
        let (prompt, trouble) = match prompt(&task) {
            Ok(prompt) => (prompt, None),
            Err(why) => (String::new(), Some(why)),
        };
        let mut run = Self::begin(task, prompt);
        if let Err(interrupt) = run.take_up().await {
            return run.interrupted(interrupt).await;
        }
        if let Some(trouble) = trouble {
            return run.end(End::AskPerson, Some(trouble)).await;
        }
        loop {
            let step = run.walk.next(run.shared.now(), run.shared.jitter());
            let went_on = match step {
                Step::End(end) => return run.end(end, None).await,
                Step::WaitUntil(until) => run.pause(between(run.shared.now(), until)).await,
                Step::Call(call) => run.attempt(&call).await.map(|outcome| run.tell(&call.provider, outcome)),
            };
            if let Err(interrupt) = went_on {
                return run.interrupted(interrupt).await;
            }
        }
    }

    fn begin(task: Task, prompt: String) -> Self {
        let Task { shared, book, page, claim, hold, reserved } = task;
        let deadline = after(shared.now(), page.asset.deadline);
        let digest = digest(&prompt, &claim.job.input);
        let plan = plan(&shared, &book, &page.asset, &claim, &digest);
        let walk = Walk::new(&plan, rules(&page.asset, &claim, deadline));
        let ask = ask(&page.asset, &claim, prompt);
        Self {
            shared,
            book,
            page,
            claim,
            hold,
            reserved,
            walk,
            ask,
            deadline,
            unsettled: Vec::new(),
            delivery: None,
            accepted: None,
            open: None,
            noted: Vec::new(),
            cost_micros: 0,
            attempted: false,
            primary_failure: None,
            digest,
            refused: false,
        }
    }

    fn tell(&mut self, provider: &ProviderName, outcome: Outcome) {
        self.notice(provider, &outcome);
        self.walk.tell(outcome, self.shared.now(), self.shared.jitter());
    }

    /// Remembers what the end of the run says of the prompt and of the primary.
    fn notice(&mut self, provider: &ProviderName, outcome: &Outcome) {
        if let Outcome::Failed(class, why) = outcome {
            self.refused |= matches!(class, FailureClass::Refused { .. });
            if self.page.asset.chain.primary() == Some(provider) && *class != FailureClass::Internal {
                self.primary_failure = Some((provider.clone(), format!("{class}: {why}")));
            }
        }
    }

    /// Waits, unless the lease goes or the daemon stops first.
    pub(super) async fn pause(&self, length: Duration) -> Result<(), Interrupt> {
        tokio::select! {
            () = tokio::time::sleep(length) => Ok(()),
            () = self.hold.cancelled.cancelled() => Err(Interrupt::LeaseGone),
            () = self.shared.stop.soon.cancelled() => Err(Interrupt::Stopping),
        }
    }

    /// Takes up an adopted run where a dead worker, or one that stopped, left it.
    async fn take_up(&mut self) -> Result<(), Interrupt> {
        let past = std::mem::take(&mut self.claim.run.past);
        let mut links: BTreeMap<u32, Vec<PastAttempt>> = BTreeMap::new();
        for attempt in past {
            links.entry(attempt.position).or_default().push(attempt);
        }
        for (position, attempts) in links {
            self.attempted = true;
            if attempts.iter().any(|attempt| attempt.status == "skipped") {
                self.noted.push(position as usize);
            }
            self.take_up_link(position as usize, attempts).await?;
        }
        Ok(())
    }

    async fn take_up_link(&mut self, position: usize, attempts: Vec<PastAttempt>) -> Result<(), Interrupt> {
        let calls = attempts.iter().filter(|attempt| attempt.status != "skipped").count();
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        let Some(last) = attempts.into_iter().next_back() else { return Ok(()) };
        let now = self.shared.now();
        let class = last.class.as_deref().and_then(FailureClass::parse);
        match (last.status.as_str(), class) {
            ("failed" | "unknown", Some(class)) => {
                let outcome = Outcome::Failed(class, last.error.unwrap_or_default());
                self.notice(&last.provider, &outcome);
                self.walk.take_up(position, calls, outcome, now);
            }
            ("accepted", _) if last.operation.is_some() && self.is_as_it_was(&last) => {
                self.walk.resume_at(position, now);
                let operation = last.operation.unwrap_or_default();
                self.accepted = Some((position, AttemptId(last.id), operation));
            }
            ("started" | "accepted", _) => {
                let why = "the worker died during the call, and what became of it is not known".to_owned();
                self.settle_unknown(&last, position, &why).await?;
                let outcome = Outcome::Failed(FailureClass::UnknownOutcome, why);
                self.notice(&last.provider, &outcome);
                self.walk.take_up(position, calls, outcome, now);
            }
            _ => self.walk.resume_at(position, now),
        }
        Ok(())
    }

    /// Whether the provider is configured as it was at the call; with another address or key its operation
    /// would be asked for in the wrong place.
    fn is_as_it_was(&self, past: &PastAttempt) -> bool {
        let page = self.book.providers.get(&past.provider);
        page.is_some_and(|page| Some(&page.provider.fingerprint) == past.fingerprint.as_ref())
    }

    async fn settle_unknown(
        &mut self,
        past: &PastAttempt,
        position: usize,
        why: &str,
    ) -> Result<(), Interrupt> {
        let class = FailureClass::UnknownOutcome;
        let fingerprint = past.fingerprint.clone().unwrap_or_default();
        let facts = self.facts(&past.provider, position, 0, fingerprint);
        let event = self.event(&past.provider, Some((class.clone(), why.to_owned())));
        self.settle(AttemptResult {
            row: Some(AttemptId(past.id)),
            facts,
            status: "unknown",
            class: Some(class.as_str()),
            error: Some(why.to_owned()),
            http_status: None,
            request_id: None,
            finished_at: self.shared.now(),
            cost_micros: 0,
            event,
        })
        .await
    }

    /// Books a verdict while the run goes on.
    pub(super) async fn settle(&mut self, result: AttemptResult) -> Result<(), Interrupt> {
        self.cost_micros = self.cost_micros.saturating_add(result.cost_micros);
        let written = self.shared.recorder.write(Entry::Settle(Box::new(result))).await;
        written.map(drop).map_err(Interrupt::Ledger)
    }

    /// What is known of an attempt before its verdict.
    pub(super) fn facts(
        &self,
        provider: &ProviderName,
        position: usize,
        repeat: u32,
        fingerprint: String,
    ) -> AttemptFacts {
        let model = self.book.providers.get(provider).and_then(|page| page.provider.model.clone());
        AttemptFacts {
            job: self.claim.job.id,
            run: self.claim.run.id,
            position: u32::try_from(position).unwrap_or(u32::MAX),
            repeat,
            provider: provider.clone(),
            model,
            fingerprint,
            started_at: self.shared.now(),
        }
    }

    /// What an attempt says about its provider; `None` for a label without configuration.
    pub(super) fn event(
        &self,
        provider: &ProviderName,
        failure: Option<(FailureClass, String)>,
    ) -> Option<HealthEvent> {
        let page = self.book.providers.get(provider)?;
        Some(HealthEvent {
            provider: provider.clone(),
            job: self.claim.job.id,
            at: self.shared.now(),
            failure,
            fingerprint: page.provider.fingerprint.clone(),
            trip_after: page.provider.trip_after,
        })
    }
}

/// The prompt of a job, or why nobody is asked for it. A job that its workers died of is not even rendered.
fn prompt(task: &Task) -> Result<String, String> {
    let (job, deaths) = (&task.claim.job, task.claim.solo_deaths);
    if deaths >= MOST_SOLO_DEATHS {
        return Err(format!("its worker died {deaths} times while it ran alone; see the journal"));
    }
    match &job.prompt {
        Some(prompt) => Ok(prompt.clone()),
        None => task
            .page
            .prompt
            .render(&job.slug, &job.asset, &job.input, None)
            .map_err(|why| format!("the asset's prompt template cannot be rendered: {why}")),
    }
}

/// Digest of what a provider can refuse: the prompt, and what a search reads beside it. Other keywords are another
/// question to a library that had nothing for the first ones.
fn digest(prompt: &str, input: &Map<String, Value>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(prompt.as_bytes());
    for name in SEARCHED_INPUT {
        if let Some(value) = input.get(name) {
            // No prompt holds a zero byte, so no prompt reads like another with keywords.
            hasher.update(b"\0").update(name.as_bytes()).update(b"\0").update(value.to_string().as_bytes());
        }
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

/// The plan of a run: its links as they were drawn at the claim, judged by what is known now.
fn plan(shared: &Shared, book: &Book, asset: &Asset, claim: &Claim, digest: &str) -> Plan {
    let Ok(chain) = Chain::parse(&claim.run.links) else {
        // No link at all: the override, or the chain itself, is `manual`.
        return Plan { links: Vec::new(), straight_to_person: true };
    };
    let wish = claim.job.provider_override.as_deref().and_then(|typed| Override::parse(typed).ok());
    // The links are bent already; the override still says whom a shut gate does not stop.
    let forced = wish.filter(|wish| match wish {
        Override::Provider(named) => chain.primary() == Some(named),
        Override::Manual => false,
    });
    let refused_before: Vec<ProviderName> = claim
        .refusals
        .iter()
        .filter(|refusal| refusal.prompt_digest.as_deref() == Some(digest))
        .map(|refusal| refusal.provider.clone())
        .collect();
    let health = shared.board.all();
    let now = shared.now();
    let circumstances = Circumstances { medium: asset.medium, now, refused_before: &refused_before };
    // No gate stands before an operation that is only to be asked after: it is paid for already.
    let polled = |name: &ProviderName| {
        let mut past = claim.run.past.iter();
        past.any(|past| past.provider == *name && past.status == "accepted" && past.operation.is_some())
    };
    draw(&chain, forced.as_ref(), circumstances, |name| match book.known(name, &health) {
        known if polled(name) => Known { health: None, ..known },
        known => known,
    })
}

fn rules(asset: &Asset, claim: &Claim, deadline: Timestamp) -> JobRules {
    JobRules {
        counted_runs: claim.job.counted_runs,
        max_runs: claim.job.max_runs.unwrap_or(asset.max_runs),
        first_claimed_at: claim.job.first_claimed_at,
        give_up_after: asset.give_up_after,
        on_exhausted: asset.on_exhausted,
        deadline,
    }
}

fn ask(asset: &Asset, claim: &Claim, prompt: String) -> Ask {
    Ask {
        asset: asset.name.clone(),
        medium: asset.medium,
        slug: claim.job.slug.clone(),
        prompt,
        input: claim.job.input.clone(),
        accept: asset.accept.clone(),
        repeat: 0,
        idempotency_key: String::new(),
    }
}
