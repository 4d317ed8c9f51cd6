//! One run: a job's walk down its chain, from the claim to the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;

use crate::domain::ask::Ask;
use crate::domain::asset::Asset;
use crate::domain::breaker::{HealthEvent, Probe};
use crate::domain::failure::FailureClass;
use crate::domain::name::ProviderName;
use crate::domain::provider::Provider;
use crate::domain::time::{Timestamp, after, between};
use crate::domain::walk::{End, JobRules, Outcome, Step, Walk};
use crate::store::{
    AttemptFacts, AttemptId, AttemptResult, Claim, Entry, MOST_SOLO_DEATHS, PastAttempt, Slot,
};
use crate::vault::VaultKey;

use super::attempt::Resumed;
use super::book::{AssetPage, Book};
use super::claim::Reserved;
use super::keeping::Delivery;
use super::planning;
use super::recorder::Unwritten;
use super::shared::{Hold, Shared};
use super::steady::Steady;

/// A claimed job with everything its run needs.
pub(super) struct Task {
    pub(super) shared: Arc<Shared>,
    pub(super) book: Arc<Book>,
    pub(super) page: Arc<AssetPage>,
    pub(super) claim: Claim,
    pub(super) reserved: Reserved,
    /// Whether it was claimed for what its open run has bought alone: nothing may begin now.
    pub(super) only_bought: bool,
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
    /// The asset's window is closed: the run goes on when it opens.
    WindowClosed,
    /// A person has set another override since the run began: the next one begins there.
    OtherOverride,
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
    /// As in [`Task`].
    only_bought: bool,
    /// An attempt of the adopted run that goes on where it stopped: its link, its row, and how.
    pub(super) resumed: Option<(usize, AttemptId, Resumed)>,
    /// The name of the delivered file.
    pub(super) staged: Option<VaultKey>,
    /// Whether the output of the call under way waits for the vault, so that its verdict does too.
    pub(super) put_by: bool,
    /// What of the asset's files was delivered out of hand, and is to be forgotten there.
    pub(super) in_hand: Option<VaultKey>,
    /// The run's own time.
    steady: Steady,
    /// Links of the adopted run whose skipping is in the ledger already.
    pub(super) noted: Vec<usize>,
    /// The row of the paid call under way.
    pub(super) open: Option<AttemptId>,
    /// The breaker's probe that the call under way is.
    pub(super) probe: Option<(ProviderName, Probe)>,
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
        let mut run = Self::begin(task, prompt).await;
        if let Err(interrupt) = run.take_up().await {
            return run.interrupted(interrupt).await;
        }
        if let Some(trouble) = trouble {
            return run.end(End::AskPerson, Some(trouble)).await;
        }
        loop {
            if let Some(interrupt) = run.may_not_begin() {
                return run.interrupted(interrupt).await;
            }
            let step = run.walk.next(run.now(), run.shared.jitter());
            let went_on = match step {
                Step::End(end) => return run.end(end, None).await,
                Step::WaitUntil(until) => run.pause(between(run.now(), until)).await,
                Step::Call(call) => run.attempt(&call).await.map(|outcome| run.tell(&call.provider, outcome)),
            };
            if let Err(interrupt) = went_on {
                return run.interrupted(interrupt).await;
            }
        }
    }

    async fn begin(task: Task, prompt: String) -> Self {
        let digest = planning::digest(&prompt, &task.claim.job.input);
        let ask = ask(&task.page.asset, &task.claim, prompt);
        let plan = planning::plan(&task, &ask, &digest).await;
        let Task { shared, book, page, claim, hold, reserved, only_bought } = task;
        let steady = Steady::starting_at(shared.now());
        let deadline = after(steady.now(), page.asset.deadline);
        let walk = Walk::new(&plan, rules(&page.asset, &claim, deadline));
        Self {
            shared,
            book,
            page,
            claim,
            hold,
            reserved,
            only_bought,
            walk,
            ask,
            deadline,
            unsettled: Vec::new(),
            delivery: None,
            resumed: None,
            staged: None,
            put_by: false,
            in_hand: None,
            steady,
            open: None,
            noted: Vec::new(),
            probe: None,
            cost_micros: 0,
            attempted: false,
            primary_failure: None,
            digest,
            refused: false,
        }
    }

    /// Why no call may begin in this run any more, besides what it has bought already.
    fn may_not_begin(&self) -> Option<Interrupt> {
        if self.resumed.is_some() {
            return None;
        }
        // A verdict stands, whatever is asked for next.
        if self.claim.run.wish != self.claim.job.provider_override && !self.walk.has_verdict() {
            return Some(Interrupt::OtherOverride);
        }
        let closed = self.only_bought && !self.page.is_open(self.shared.now());
        (closed && !self.walk.is_over()).then_some(Interrupt::WindowClosed)
    }

    fn tell(&mut self, provider: &ProviderName, outcome: Outcome) {
        self.notice(provider, &outcome);
        self.walk.tell(outcome, self.now(), self.shared.jitter());
    }

    /// The present, as this run counts time.
    pub(super) fn now(&self) -> Timestamp {
        self.steady.now()
    }

    /// An instant of this run's time as the wall has it.
    pub(super) fn on_the_wall(&self, at: Timestamp) -> Timestamp {
        self.steady.on_the_wall(at, self.shared.now())
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
            biased;
            () = self.hold.cancelled.cancelled() => Err(Interrupt::LeaseGone),
            () = self.shared.stop.soon.cancelled() => Err(Interrupt::Stopping),
            () = tokio::time::sleep(length) => Ok(()),
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
        let now = self.now();
        let class = last.class.as_deref().and_then(FailureClass::parse);
        match self.find_again(&last).await {
            Ok(None) => {}
            Ok(Some(found)) => {
                self.inherit_probe(&last.provider);
                self.walk.go_on_with(position, calls, now);
                self.in_hand = Some(found.key.clone());
                self.resumed = Some((position, AttemptId(last.id), Resumed::Output(Box::new(found))));
                return Ok(());
            }
            Err(error) => {
                let why =
                    format!("what was paid for may be in the vault, and the vault cannot be asked: {error}");
                tracing::error!(job.id = self.claim.job.id.0, provider = %last.provider, error = why, "trouble of our own; the job comes back");
                self.walk.wait_for(position, calls, why, now, self.shared.jitter());
                return Ok(());
            }
        }
        match (last.status.as_str(), class) {
            ("failed" | "unknown", Some(class)) => {
                let outcome = Outcome::Failed(class, last.error.unwrap_or_default());
                self.notice(&last.provider, &outcome);
                self.walk.take_up(position, calls, outcome, now);
            }
            ("accepted", _) if last.operation.is_some() && self.is_as_it_was(&last) => {
                self.inherit_probe(&last.provider);
                self.walk.go_on_with(position, calls, now);
                let operation = last.operation.unwrap_or_default();
                self.resumed = Some((position, AttemptId(last.id), Resumed::Operation(operation)));
            }
            ("started" | "accepted", _) => {
                let why = "the worker died during the call, and what became of it is not known".to_owned();
                self.inherit_probe(&last.provider);
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
            slot: None,
        }
    }

    /// The place that a call under this lease takes among those of its provider.
    pub(super) fn slot(&self, provider: &Provider) -> Option<Slot> {
        provider.pace.map(|pace| Slot { token: self.claim.token.clone(), pace })
    }

    /// What an attempt says about its provider; `None` for a label without configuration.
    pub(super) fn event(
        &mut self,
        provider: &ProviderName,
        failure: Option<(FailureClass, String)>,
    ) -> Option<HealthEvent> {
        let page = self.book.providers.get(provider)?;
        Some(HealthEvent {
            provider: provider.clone(),
            probe: self.probe.take_if(|(whose, _)| whose == provider).map(|(_, probe)| probe),
            at: self.shared.now(),
            failure,
            fingerprint: page.provider.fingerprint.clone(),
            trip_after: page.provider.trip_after,
            local: page.provider.is_local(),
        })
    }

    /// The probe that the dead worker's call was, where its job still has it: the verdict on the call is the probe's.
    fn inherit_probe(&mut self, provider: &ProviderName) {
        let held = self.shared.board.health(provider).and_then(|health| health.probe);
        if let Some(own) = held.filter(|probe| probe.job == self.claim.job.id) {
            self.probe = Some((provider.clone(), own));
        }
    }

    /// Gives back a probe whose call came to nothing, so that the next job need not wait for the end of its lease.
    pub(super) async fn free_probe(&mut self) {
        let Some((provider, probe)) = self.probe.take() else { return };
        if let Err(error) = self.shared.recorder.write(Entry::FreeProbe { provider, probe }).await {
            tracing::warn!(job.id = self.claim.job.id.0, %error, "the breaker's probe could not be given back; it is free when its lease ends");
        }
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
