//! The end of a run: everything that changes by it, in one entry of the ledger.

use serde_json::Value;

use crate::domain::failure::FailureClass;
use crate::domain::health::{RunEnding, RunReport};
use crate::domain::name::ProviderName;
use crate::domain::sentence;
use crate::domain::time::{Timestamp, to_text};
use crate::domain::walk::End;
use crate::store::{AttemptResult, Ending, Entry, Recorded, RunEnd};

use super::attempt::Resumed;
use super::recorder::Unwritten;
use super::run::{Interrupt, Run};

impl Run {
    /// Ends the run as its walk says. `trouble` is a reason that lies before the first link.
    pub(super) async fn end(mut self, end: End, trouble: Option<String>) {
        self.free_probe().await;
        self.note_skipped_links();
        if !matches!(end, End::ComeBackHere(_)) {
            self.give_up_operation();
        }
        let now = self.shared.now();
        let error = trouble.unwrap_or_else(|| self.reasons());
        let (ending, report) = match end {
            End::Delivered { provider, fallback_used, .. } => {
                match self.delivered(&provider, fallback_used) {
                    Some(done) => (done, Some(RunEnding::Delivered { provider, fallback_used })),
                    None => {
                        tracing::error!(
                            job.id = self.claim.job.id.0,
                            "a delivery without an asset; the job is left to its lease"
                        );
                        return;
                    }
                }
            }
            End::AskPerson => {
                let message = sentence::needs_a_person(&self.claim.job.asset);
                (Ending::Manual { message }, Some(RunEnding::NeedsPerson { error: error.clone() }))
            }
            End::Fail => {
                let message = sentence::failed(&self.claim.job.asset);
                (Ending::Failed { message }, Some(RunEnding::Failed { error: error.clone() }))
            }
            End::ComeBackAt(run_at) => {
                let run_at = self.on_the_wall(run_at);
                (Ending::Later { run_at }, Some(RunEnding::Failed { error: error.clone() }))
            }
            End::ComeBackHere(run_at) => {
                (Ending::HandBack { run_at: self.on_the_wall(run_at), keep_open: true }, None)
            }
        };
        let delivered = matches!(ending, Ending::Done { .. });
        let error = (!delivered).then_some(error);
        if let Err(unwritten) = self.write_end(ending, report, error, now).await {
            self.refused(&unwritten, now).await;
        }
    }

    /// Leaves a run that was interrupted: handed back where the daemon stops, left alone where the lease is gone.
    pub(super) async fn interrupted(mut self, interrupt: Interrupt) {
        self.free_probe().await;
        let now = self.shared.now();
        match interrupt {
            Interrupt::Stopping => self.hand_back(self.attempted, now).await,
            Interrupt::WindowClosed => self.hand_back(true, now).await,
            Interrupt::OtherOverride => self.hand_back(false, now).await,
            Interrupt::LeaseGone => {
                let unsettled = std::mem::take(&mut self.unsettled);
                let settled = unsettled.into_iter().map(|result| Entry::Settle(Box::new(result)));
                let abandoned =
                    self.open.take().map(|attempt| Entry::Abandon { attempt, job: self.claim.job.id });
                for entry in settled.chain(abandoned) {
                    if let Err(error) = self.shared.recorder.write(entry).await {
                        tracing::error!(job.id = self.claim.job.id.0, %error, "an attempt could not be booked");
                    }
                }
            }
            Interrupt::Ledger(error) => self.refused(&error, now).await,
        }
    }

    async fn hand_back(&mut self, keep_open: bool, now: Timestamp) {
        self.end_as(Ending::HandBack { run_at: now, keep_open }, None, None, now).await;
    }

    /// Ends a run whose words the ledger refuses. What is refused for good would be refused again at every lease, and
    /// each of them would pass for a worker's death: a person is told what it was.
    async fn refused(&mut self, unwritten: &Unwritten, now: Timestamp) {
        let job = self.claim.job.id.0;
        // What it has to say of its attempts may be what is refused.
        self.unsettled.clear();
        self.staged = None;
        match unwritten {
            Unwritten::Closed => {
                tracing::error!(job.id = job, error = %unwritten, "an entry came too late; the job is left to its lease");
            }
            Unwritten::Refused(error) if error.is_passing() => {
                tracing::error!(job.id = job, %error, "the ledger could not take an entry in time; the job is handed back");
                self.hand_back(true, now).await;
            }
            Unwritten::Refused(error) => {
                tracing::error!(job.id = job, %error, "the ledger refuses an entry for good; the job is a person's");
                let error = format!("the database refuses what its run has to say: {error}");
                let message = sentence::needs_a_person(&self.claim.job.asset);
                let report = RunEnding::NeedsPerson { error: error.clone() };
                self.end_as(Ending::Manual { message }, Some(report), Some(error), now).await;
            }
        }
    }

    fn delivered(&mut self, provider: &ProviderName, fallback_used: bool) -> Option<Ending> {
        let delivery = self.delivery.take()?;
        let (url, staged) = delivery.file.unzip();
        self.staged = staged;
        let asset = &self.claim.job.asset;
        let message = if fallback_used {
            let title = self.book.providers.get(provider).map(|page| page.provider.title.clone());
            sentence::ready_by_fallback(asset, &title.unwrap_or_else(|| provider.to_string()))
        } else {
            sentence::ready(asset)
        };
        let mut metadata = delivery.metadata;
        metadata.extend(delivery.checked.measured);
        if let Some(model) = delivery.model {
            metadata.insert("model".to_owned(), Value::String(model));
        }
        if self.cost_micros > 0 {
            metadata.insert("cost_micros".to_owned(), Value::from(self.cost_micros));
        }
        Some(Ending::Done {
            provider: provider.clone(),
            fallback_used,
            url,
            text: delivery.text,
            content_type: delivery.checked.content_type,
            metadata,
            message,
        })
    }

    /// Ends the run, and leaves the job to its lease where that cannot be written.
    async fn end_as(
        &mut self,
        ending: Ending,
        report: Option<RunEnding>,
        error: Option<String>,
        now: Timestamp,
    ) {
        if let Err(error) = self.write_end(ending, report, error, now).await {
            tracing::error!(job.id = self.claim.job.id.0, %error, "the end of a run could not be written; the job is left to its lease");
        }
    }

    async fn write_end(
        &mut self,
        ending: Ending,
        report: Option<RunEnding>,
        error: Option<String>,
        now: Timestamp,
    ) -> Result<(), Unwritten> {
        let report = report.map(|ending| RunReport {
            asset: self.claim.job.asset.clone(),
            at: now,
            ending,
            primary_failure: self.primary_failure.take(),
        });
        let end = RunEnd {
            job: self.claim.job.id,
            asset: self.claim.job.asset.clone(),
            run: self.claim.run.id,
            token: self.claim.token.clone(),
            attempts: std::mem::take(&mut self.unsettled),
            staged: self.staged.as_ref().map(ToString::to_string),
            ending: ending.clone(),
            error: error.clone(),
            prompt_digest: self.refused.then(|| self.digest.clone()),
            report,
            notify: self.book.on_manual.is_some(),
            at: now,
        };
        match self.shared.recorder.write(Entry::Finish(Box::new(end))).await? {
            Recorded::LeaseGone => {
                tracing::info!(
                    job.id = self.claim.job.id.0,
                    "the job was cancelled or taken over before its run ended; its attempts are booked"
                );
            }
            Recorded::Written | Recorded::Begun(_) | Recorded::OverBudget(_) | Recorded::NoRoom(_) => {
                if let (Ending::Done { .. }, Some(key)) = (&ending, self.in_hand.take()) {
                    self.shared.hands.forget(&key).await;
                }
                self.announce(&ending, error.as_deref());
            }
        }
        Ok(())
    }

    /// One line for the journal, and the counts that progress bars show.
    fn announce(&self, ending: &Ending, error: Option<&str>) {
        let (job, asset, slug) = (self.claim.job.id.0, &self.claim.job.asset, &self.claim.job.slug);
        match ending {
            Ending::Done { provider, fallback_used, message, .. } => {
                tracing::info!(job.id = job, %asset, slug, %provider, fallback_used, "{message}");
            }
            Ending::Manual { message } | Ending::Failed { message } => {
                tracing::warn!(job.id = job, %asset, slug, error, "{message}");
                self.shared.told.notify_one();
            }
            Ending::Later { run_at } => {
                tracing::info!(job.id = job, %asset, slug, error, "the job comes back at {}", to_text(*run_at));
            }
            Ending::HandBack { .. } => {
                tracing::info!(job.id = job, %asset, slug, error, "the job was handed back");
            }
        }
        self.shared.count(|progress| match ending {
            Ending::Done { .. } => {
                progress.runs += 1;
                progress.delivered += 1;
            }
            Ending::Manual { .. } | Ending::Failed { .. } => {
                progress.runs += 1;
                progress.manual += 1;
            }
            Ending::Later { .. } => progress.runs += 1,
            Ending::HandBack { .. } => {}
        });
    }

    /// Every link's reason, as `jobs.error` keeps it.
    fn reasons(&self) -> String {
        let reasons = self.walk.reasons();
        if reasons.is_empty() {
            return "no provider was called: the chain or the override asks for a person at once".to_owned();
        }
        let each = reasons.iter().map(|reason| format!("{}: {}", reason.provider, reason.why));
        each.collect::<Vec<_>>().join("; ")
    }

    /// An operation of the adopted run that was never asked after again gets its verdict with the run's: its row would
    /// stay open for ever. Its provider is not to blame.
    fn give_up_operation(&mut self) {
        let Some((position, attempt, resumed)) = self.resumed.take() else { return };
        let Some(provider) =
            self.claim.run.links.get(position).and_then(|label| ProviderName::parse(label).ok())
        else {
            return;
        };
        let what = match resumed {
            Resumed::Operation(operation) => format!("operation {operation} did"),
            Resumed::Output(found) => format!("file {} was delivered", found.key),
        };
        let why = format!("the run ended before its {what}, and what became of it is not known");
        self.unsettled.push(AttemptResult {
            row: Some(attempt),
            facts: self.facts(&provider, position, 0, String::new()),
            status: "unknown",
            class: Some(FailureClass::UnknownOutcome.as_str()),
            error: Some(why),
            http_status: None,
            request_id: None,
            finished_at: self.shared.now(),
            cost_micros: 0,
            event: None,
        });
    }

    /// Skipped links are attempts too, with their reason.
    fn note_skipped_links(&mut self) {
        let skipped: Vec<AttemptResult> = self
            .walk
            .reasons()
            .iter()
            .filter(|reason| reason.skipped && !self.noted.contains(&reason.position))
            .map(|reason| AttemptResult {
                row: None,
                facts: self.facts(&reason.provider, reason.position, 0, String::new()),
                status: "skipped",
                class: None,
                error: Some(reason.why.clone()),
                http_status: None,
                request_id: None,
                finished_at: self.shared.now(),
                cost_micros: 0,
                event: None,
            })
            .collect();
        // In the order of the chain: the links before a delivery were passed before it.
        self.unsettled.splice(0..0, skipped);
    }
}
