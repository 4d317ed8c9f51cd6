//! One attempt: the intent in the ledger, the call, the checks, the vault.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::OwnedSemaphorePermit;

use crate::domain::ask::{Answer, Output};
use crate::domain::backoff::Backoff;
use crate::domain::breaker::{Gate, Probe, ProviderHealth};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::name::ProviderName;
use crate::domain::pace::NoRoom;
use crate::domain::provider::Repeat;
use crate::domain::skip::SkipReason;
use crate::domain::time::{Timestamp, after, between};
use crate::domain::walk::{Call, LEAST_CALL, Outcome};
use crate::store::{AttemptFacts, AttemptId, AttemptResult, Entry};
use crate::vault::VaultKey;

use super::keeping::Found;
use super::kill_point::KillPoint;
use super::run::{Interrupt, Run};

/// Between two looks at an accepted operation.
const POLL: Backoff = Backoff { base: Duration::from_secs(2), cap: Duration::from_secs(10) };

/// A poll waits no longer than this, whatever the vendor asks for: its hint is about its limits, not about the film.
const LONGEST_HINT: Duration = Duration::from_secs(120);

/// Polls in a row that may say the operation is lost. Right after the submit a vendor may not know it yet, and a
/// file may not be there yet; after so many the answer stands, and waiting on would use up the link's time.
const MOST_POLLS_IN_VAIN: u32 = 5;

/// A call under way: what the ledger knows of it.
pub(super) struct Begun {
    pub(super) facts: AttemptFacts,
    pub(super) row: Option<AttemptId>,
    /// The name its file has in the vault, where it was staged before.
    pub(super) key: Option<VaultKey>,
}

/// An attempt of the adopted run that is taken up instead of calling anybody.
pub(super) enum Resumed {
    /// Its operation is polled on.
    Operation(String),
    /// Its output is delivered.
    Output(Box<Found>),
}

impl Run {
    /// Calls one link and says what came of it. A failure is in the ledger when this returns; a delivery is
    /// written with the end of the run. A probe without a verdict is given back.
    pub(super) async fn attempt(&mut self, call: &Call) -> Result<Outcome, Interrupt> {
        let outcome = self.try_link(call).await;
        self.free_probe().await;
        outcome
    }

    async fn try_link(&mut self, call: &Call) -> Result<Outcome, Interrupt> {
        let resumes = self.resumed.as_ref().is_some_and(|(position, ..)| *position == call.position);
        // An operation is under way at its vendor, and an output is in hand, whoever has a permit here: neither is left
        // because none is free.
        let permit = if resumes { self.free_permit(call) } else { self.permit(call).await? };
        if !resumes && permit.is_none() {
            return Ok(Outcome::Skipped(SkipReason::Busy));
        }
        let Some(call) = &call.starting_at(self.now()) else {
            return Ok(Outcome::Skipped(SkipReason::Busy));
        };
        let Some(page) = self.book.providers.get(&call.provider) else {
            return Ok(Outcome::Skipped(SkipReason::Unknown));
        };
        let (fingerprint, slot) = (page.provider.fingerprint.clone(), self.slot(&page.provider));
        let resumed = self.resumed.take_if(|_| resumes);
        if resumed.is_none()
            && let Some(instead) = self.shut(call, &fingerprint).await
        {
            return Ok(instead);
        }
        self.attempted = true;
        let facts =
            AttemptFacts { slot, ..self.facts(&call.provider, call.position, call.repeat, fingerprint) };
        self.ask.repeat = call.repeat;
        self.ask.idempotency_key = format!("backstop-{}-{}-{}", facts.run, facts.position, facts.repeat);
        let deadline = after(self.now(), call.time);
        let (answer, begun) = match resumed {
            Some((_, row, resumed)) => {
                self.open = Some(row);
                let (key, answer) = match resumed {
                    Resumed::Operation(operation) => {
                        self.reenter(&facts).await?;
                        (None, Answer::Accepted { operation, request_id: None })
                    }
                    Resumed::Output(found) => (Some(found.key), Answer::Output(found.output)),
                };
                (Ok(answer), Begun { facts, row: Some(row), key })
            }
            None => {
                let row = match self.enter(call, &facts).await? {
                    Ok(row) => row,
                    Err(outcome) => return Ok(outcome),
                };
                self.open = row;
                let begun = Begun { facts, row, key: None };
                KillPoint::AfterIntent.pass_with(&self.ask.slug);
                let left = between(self.now(), deadline);
                let answer = self.call(call, &begun, left).await?;
                KillPoint::AfterReply.pass();
                (answer, begun)
            }
        };
        let made = match answer {
            Ok(Answer::Accepted { operation, request_id }) => {
                self.accept(&begun, &operation, request_id).await?;
                self.poll(call, &begun, &operation, deadline).await?
            }
            Ok(Answer::Output(output)) => Ok(output),
            Err(failure) => Err(failure),
        };
        let result = match made {
            Ok(output) => self.deliver(&begun, output, deadline).await?,
            Err(failure) => Err(failure),
        };
        self.open = None;
        match result {
            Ok(()) => Ok(Outcome::Delivered),
            Err(failure) => self.fail(begun, failure).await,
        }
    }

    /// A permit for the call, its waiting bounded by the call's time; the one reserved at the claim if it is
    /// for this provider.
    async fn permit(&mut self, call: &Call) -> Result<Option<OwnedSemaphorePermit>, Interrupt> {
        if let Some((provider, permit)) = self.reserved.take()
            && provider == call.provider
        {
            return Ok(Some(permit));
        }
        let Some(page) = self.book.providers.get(&call.provider) else { return Ok(None) };
        let waiting = Arc::clone(&page.permits).acquire_owned();
        tokio::select! {
            biased;
            () = self.hold.cancelled.cancelled() => Err(Interrupt::LeaseGone),
            () = self.shared.stop.soon.cancelled() => Err(Interrupt::Stopping),
            permit = waiting => Ok(permit.ok()),
            () = tokio::time::sleep(call.time) => Ok(None),
        }
    }

    /// A permit for the call, where one is free.
    fn free_permit(&mut self, call: &Call) -> Option<OwnedSemaphorePermit> {
        let reserved = self.reserved.take().filter(|(provider, _)| *provider == call.provider);
        let page = self.book.providers.get(&call.provider)?;
        reserved.map(|(_, permit)| permit).or_else(|| Arc::clone(&page.permits).try_acquire_owned().ok())
    }

    /// Looks at the gate once more: other jobs may have shut it since this run was planned. Takes the probe
    /// where one is needed.
    async fn shut(&mut self, call: &Call, fingerprint: &str) -> Option<Outcome> {
        if call.rules.forced {
            return None;
        }
        let now = self.shared.now();
        let health = self.shared.board.health(&call.provider);
        match health.map_or(Gate::Pass, |health| health.gate(now, fingerprint)) {
            Gate::Pass => None,
            Gate::Shut(reason) => Some(Outcome::Skipped(reason)),
            Gate::Probe => {
                if let Some(no_room) = self.no_room(call).await {
                    return Some(Outcome::NoRoom(no_room));
                }
                let probe = Probe::new(self.claim.job.id, after(now, call.time));
                match self.shared.store.take_probe(&call.provider, probe, fingerprint, now).await {
                    Ok(health) => {
                        self.probe = (health.probe == Some(probe)).then(|| (call.provider.clone(), probe));
                        let answer = without_probe(&health, probe, now, fingerprint);
                        self.shared.board.refresh(vec![health]);
                        answer.map(Outcome::Skipped)
                    }
                    Err(error) => {
                        let why = format!("the breaker's probe could not be taken: {error}");
                        tracing::error!(job.id = self.claim.job.id.0, provider = %call.provider, error = why, "trouble of our own; the job comes back");
                        Some(Outcome::Failed(FailureClass::Internal, why))
                    }
                }
            }
        }
    }

    /// Why there is no room for a call that would be a probe: a probe that is not made must not keep others from being it.
    async fn no_room(&self, call: &Call) -> Option<NoRoom> {
        let (pace, now) = (call.rules.pace?, self.shared.now());
        let asked = [(call.provider.clone(), pace)];
        let usages = self.shared.store.usages(&asked, self.shared.worker.owner(), now).await;
        // What cannot be read now is looked at once more where the call is written down.
        usages.ok().and_then(|usages| pace.no_room(usages.first()?, now))
    }

    /// What was accepted under an earlier lease counts among the calls of this one.
    async fn reenter(&self, facts: &AttemptFacts) -> Result<(), Interrupt> {
        if facts.slot.is_some() {
            let entry = Entry::Reenter(Box::new(facts.clone()));
            self.shared.recorder.write(entry).await.map_err(Interrupt::Ledger)?;
        }
        Ok(())
    }

    /// Calls, in the time that is `left`: what the ledger took of it is not given again, or the call would outlive the
    /// probe it is, and take the time of the links after it.
    async fn call(
        &self,
        call: &Call,
        begun: &Begun,
        left: Duration,
    ) -> Result<Result<Answer, Failure>, Interrupt> {
        if left < call.time.min(LEAST_CALL) / 2 {
            let why = "the database took the intent so late that no time was left; nothing was sent";
            return Ok(Err(Failure::internal(why)));
        }
        self.interruptible(begun, self.guarded_call(call, left)).await
    }

    /// The call itself. A panic in a translator is a failed attempt, not a dead daemon.
    async fn guarded_call(&self, call: &Call, left: Duration) -> Result<Answer, Failure> {
        let calling = self.book.generate.call(&call.provider, &self.ask, left);
        AssertUnwindSafe(calling).catch_unwind().await.unwrap_or_else(|_| {
            Err(Failure::unusable("the provider's translator panicked; please report this"))
        })
    }

    /// Waits for a call; gives up when the lease is gone or the grace of a stop is over. What a paid call made
    /// then is not known: its row stays open for whoever takes the run up.
    async fn interruptible<T>(
        &self,
        begun: &Begun,
        calling: impl Future<Output = T>,
    ) -> Result<T, Interrupt> {
        let interrupt = tokio::select! {
            biased;
            answer = calling => return Ok(answer),
            () = self.hold.cancelled.cancelled() => Interrupt::LeaseGone,
            () = self.shared.stop.now.cancelled() => Interrupt::Stopping,
        };
        tracing::info!(
            job.id = self.claim.job.id.0,
            provider = %begun.facts.provider,
            paid = begun.row.is_some(),
            "a call was stopped half-way"
        );
        Err(interrupt)
    }

    /// Writes down what the vendor called the operation, before it is asked after.
    async fn accept(
        &self,
        begun: &Begun,
        operation: &str,
        request_id: Option<String>,
    ) -> Result<(), Interrupt> {
        let Some(attempt) = begun.row else { return Ok(()) };
        let (job, operation) = (self.claim.job.id, operation.to_owned());
        let entry = Entry::Accept { attempt, job, operation, request_id };
        self.shared.recorder.write(entry).await.map_err(Interrupt::Ledger)?;
        KillPoint::AfterAccept.pass();
        Ok(())
    }

    /// Asks after an accepted operation until it ends or the link's time is over: the links after it keep theirs.
    /// A poll that gets no answer is no verdict.
    async fn poll(
        &self,
        call: &Call,
        begun: &Begun,
        operation: &str,
        deadline: Timestamp,
    ) -> Result<Result<Output, Failure>, Interrupt> {
        let mut polls = 0;
        let mut failures = PollFailures::default();
        let mut hint = Duration::ZERO;
        loop {
            // A stopping daemon hands operations back at once: the next one polls on.
            let pace = POLL.equal_jitter(polls, self.shared.jitter());
            self.pause(pace.max(std::mem::take(&mut hint)).min(between(self.now(), deadline))).await?;
            polls = polls.saturating_add(1);
            let left = between(self.now(), deadline);
            if left.is_zero() {
                let why = format!("the operation {operation} had not ended when its time was over");
                return Ok(Err(Failure::new(FailureClass::without_answer(call.rules.repeat), why)));
            }
            let polling = self.book.generate.poll(&call.provider, operation, &self.ask, left);
            let answer = self.interruptible(begun, AssertUnwindSafe(polling).catch_unwind()).await?;
            match answer {
                Ok(Ok(Answer::Output(output))) => return Ok(Ok(output)),
                Ok(Ok(Answer::Accepted { .. })) => failures = PollFailures::default(),
                Ok(Err(failure)) => {
                    hint = self.hinted(&failure.class);
                    tracing::debug!(provider = %call.provider, %failure, "a poll without answer");
                    if let Some(verdict) = failures.verdict(failure, call.rules.repeat) {
                        return Ok(Err(verdict));
                    }
                }
                Err(_) => return Ok(Err(Failure::unusable("the provider's translator panicked"))),
            }
        }
    }

    /// How long a vendor asks to be left alone; a poll waits so long.
    fn hinted(&self, class: &FailureClass) -> Duration {
        if let FailureClass::RateLimited { until: Some(until) } = class {
            between(self.shared.now(), *until).min(LONGEST_HINT)
        } else {
            Duration::ZERO
        }
    }

    /// Books a failed attempt at once, so that the breaker learns of it while the run goes on.
    async fn fail(&mut self, begun: Begun, failure: Failure) -> Result<Outcome, Interrupt> {
        let Failure { class, message, http_status, request_id, cost_micros, ends_operation: _ } = failure;
        if std::mem::take(&mut self.put_by) {
            // Its verdict waits with its output: the job comes back for it.
            self.log_failure(&begun.facts.provider, &class, &message);
            return Ok(Outcome::Failed(class, message));
        }
        let status = if class == FailureClass::UnknownOutcome { "unknown" } else { "failed" };
        let event = self.event(&begun.facts.provider, Some((class.clone(), message.clone())));
        self.log_failure(&begun.facts.provider, &class, &message);
        self.settle(AttemptResult {
            row: begun.row,
            facts: begun.facts,
            status,
            class: Some(class.as_str()),
            error: Some(message.clone()),
            http_status,
            request_id,
            finished_at: self.shared.now(),
            cost_micros,
            event,
        })
        .await?;
        Ok(Outcome::Failed(class, message))
    }

    fn log_failure(&self, provider: &ProviderName, class: &FailureClass, message: &str) {
        let (job, asset) = (self.claim.job.id.0, &self.claim.job.asset);
        match class {
            FailureClass::Internal => {
                tracing::error!(job.id = job, %asset, %provider, error = message, "trouble of our own; the job comes back");
            }
            FailureClass::Auth
            | FailureClass::Retired
            | FailureClass::Quota { .. }
            | FailureClass::Invalid => {
                tracing::warn!(job.id = job, %asset, %provider, %class, error = message, "the provider needs its operator");
            }
            FailureClass::Transient
            | FailureClass::RateLimited { .. }
            | FailureClass::Refused { .. }
            | FailureClass::Unusable
            | FailureClass::TimedOut
            | FailureClass::UnknownOutcome => {
                tracing::info!(job.id = job, %asset, %provider, %class, error = message, "an attempt failed");
            }
        }
    }
}

/// Why a provider that asked for a probe is not called, when `probe` was not to be had: by now it may be another's,
/// or come to nothing, or have closed the breaker.
fn without_probe(
    health: &ProviderHealth,
    probe: Probe,
    now: Timestamp,
    fingerprint: &str,
) -> Option<SkipReason> {
    if health.probe == Some(probe) {
        return None;
    }
    match health.gate(now, fingerprint) {
        Gate::Pass => None,
        Gate::Shut(reason) => Some(reason),
        Gate::Probe => Some(SkipReason::ProbeUnderway { until: probe.until }),
    }
}

/// The failed polls of an operation since the last one that said it is running.
#[derive(Debug, Default)]
struct PollFailures {
    in_vain: u32,
}

impl PollFailures {
    /// What this failure makes of the attempt; `None` where it says nothing of the operation, which is then asked
    /// after again. A poll that is refused says something of the poll, not of what was bought: it may be under way.
    fn verdict(&mut self, failure: Failure, repeat: Repeat) -> Option<Failure> {
        if failure.ends_operation {
            return Some(failure);
        }
        match failure.class {
            FailureClass::Refused { .. } | FailureClass::Unusable => return Some(failure),
            FailureClass::Transient
            | FailureClass::TimedOut
            | FailureClass::RateLimited { .. }
            | FailureClass::Quota { .. }
            | FailureClass::Internal => self.in_vain = 0,
            FailureClass::UnknownOutcome
            | FailureClass::Auth
            | FailureClass::Retired
            | FailureClass::Invalid => self.in_vain += 1,
        }
        (self.in_vain >= MOST_POLLS_IN_VAIN).then(|| {
            let class = FailureClass::without_answer(repeat);
            if failure.class == class {
                return failure;
            }
            let message =
                format!("its operation cannot be asked after: {}: {}", failure.class, failure.message);
            Failure { class, message, ..failure }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(failures: &mut PollFailures, class: FailureClass) -> Option<FailureClass> {
        failures.verdict(Failure::new(class, "oops"), Repeat::Paid).map(|failure| failure.class)
    }

    #[test]
    fn an_operation_nobody_knows_is_asked_after_a_few_times_and_any_other_silence_for_ever() {
        let lost = || FailureClass::UnknownOutcome;
        let mut failures = PollFailures::default();
        for passing in [FailureClass::TimedOut, FailureClass::Quota { until: None }] {
            for _ in 0..100 {
                assert_eq!(verdict(&mut failures, passing.clone()), None);
            }
        }
        for _ in 1..MOST_POLLS_IN_VAIN {
            assert_eq!(verdict(&mut failures, lost()), None);
        }
        assert_eq!(verdict(&mut failures, FailureClass::Transient), None, "the count starts anew");
        for _ in 1..MOST_POLLS_IN_VAIN {
            assert_eq!(verdict(&mut failures, lost()), None);
        }
        assert_eq!(verdict(&mut failures, lost()), Some(lost()));
    }

    #[test]
    fn a_poll_that_is_refused_is_no_verdict_on_what_was_bought() {
        let mut failures = PollFailures::default();
        for _ in 1..MOST_POLLS_IN_VAIN {
            assert_eq!(verdict(&mut failures, FailureClass::Auth), None);
        }
        assert_eq!(verdict(&mut failures, FailureClass::Auth), Some(FailureClass::UnknownOutcome));
        let ended = Failure::new(FailureClass::Auth, "oops").of_ended_operation();
        let told = PollFailures::default().verdict(ended, Repeat::Paid).map(|failure| failure.class);
        assert_eq!(told, Some(FailureClass::Auth), "the render's own end is one");
    }
}
