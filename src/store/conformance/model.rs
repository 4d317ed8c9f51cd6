//! Random lives of a queue: whatever happens in which order, SQLite and the memory store answer alike and end alike.

mod deed;

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;
use regex::Regex;

use super::scene::{
    Scene, Subject, Table, at, claim_by, end_of, event, held, intent, paced, verdict, wanted, wish,
};
use crate::domain::breaker::Probe;
use crate::domain::failure::FailureClass;
use crate::domain::job::{AttemptId, JobId};
use crate::domain::name::ProviderName;
use crate::domain::pace::Pace;
use crate::domain::plan::tests::name;
use crate::domain::time::to_text;
use crate::store::memory::subject::MemorySubject;
use crate::store::sqlite::subject::SqliteSubject;
use crate::store::{
    Claim, ClaimRequest, Claimed, Entry, NewJob, NewTick, Provided, Recorded, Staging, StoreError, Wanted,
};

use deed::{Choice, Deed, Ending, Said, deed};

/// How many lives are tried where nobody says otherwise by `BACKSTOP_MODEL_CASES`.
const CASES: u32 = 40;

/// Rows are compared after so many deeds.
const COMPARE_EVERY: usize = 10;

fn cases() -> ProptestConfig {
    #[allow(clippy::disallowed_methods, reason = "how long a test runs is its caller's choice")]
    let wanted = std::env::var("BACKSTOP_MODEL_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { max_shrink_time: 120_000, ..ProptestConfig::with_cases(wanted.unwrap_or(CASES)) }
}

proptest! {
    #![proptest_config(cases())]
    #[test]
    fn every_store_lives_the_same_life(deeds in vec(deed(), 1..90)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(live(&deeds))?;
    }
}

async fn live(deeds: &[Deed]) -> Result<(), TestCaseError> {
    let mut real = Life::new(SqliteSubject::empty().await).await;
    let mut model = Life::new(MemorySubject::empty().await).await;
    for (count, deed) in deeds.iter().enumerate() {
        let (found, expected) = (real.does(deed).await, model.does(deed).await);
        prop_assert_eq!(found, expected, "after {} deeds, {:?} was answered otherwise", count, deed);
        if (count + 1) % COMPARE_EVERY == 0 || count + 1 == deeds.len() {
            for table in Table::ALL {
                let (found, expected) = (real.rows(table).await, model.rows(table).await);
                let differ = |(found, expected): &(&String, &String)| found != expected;
                let first = found.iter().zip(&expected).find(differ);
                prop_assert_eq!(found.len(), expected.len(), "after {} deeds, {:?}", count + 1, table);
                prop_assert_eq!(first, None, "after {} deeds, {:?}", count + 1, table);
            }
        }
    }
    Ok(())
}

/// A store, the workers on it, and the time.
struct Life<S> {
    scene: Scene<S>,
    second: u64,
    /// Every claim there ever was: an old one is a stale worker's.
    claims: Vec<Claim>,
    /// What each worker believes to hold; a crash forgets it.
    holds: [Vec<Claim>; 3],
    /// The calls that were begun, with the place of their claim.
    begun: Vec<(usize, AttemptId)>,
    /// The probes that somebody wanted.
    probes: Vec<(ProviderName, Probe)>,
}

impl<S: Subject> Life<S> {
    async fn new(subject: S) -> Self {
        let holds = Default::default();
        let scene = Scene::new(subject).await;
        let (claims, begun, probes) = (Vec::new(), Vec::new(), Vec::new());
        Self { scene, second: 1, claims, holds, begun, probes }
    }

    async fn rows(&self, table: Table) -> Vec<String> {
        let rows = self.scene.subject.rows(table).await;
        rows.iter().map(|row| undated(&format!("{row:?}"))).collect()
    }

    /// Does it, and says what was answered.
    async fn does(&mut self, deed: &Deed) -> String {
        let answer = match deed {
            Deed::Passes { seconds } => {
                self.second += u64::from(*seconds);
                String::new()
            }
            Deed::Claims { worker, most, limit, only_bought } => {
                self.claims(*worker, *most, *limit, *only_bought).await
            }
            Deed::Renews { worker } => {
                let held: Vec<_> = self.holds[*worker].iter().map(held).collect();
                let until = at(self.second + 60);
                let renewed = self.scene.store().renew(&held, until).await.map(|mut renewed| {
                    renewed.sort();
                    renewed
                });
                format!("{renewed:?}")
            }
            Deed::Crashes { worker, certain } => {
                self.holds[*worker].clear();
                let ended = self.scene.store().expire(LABELS[*worker], at(self.second));
                if *certain { format!("{:?}", ended.await) } else { String::new() }
            }
            Deed::Writes { entries } => self.writes(entries).await,
            Deed::TakesProbe { provider, job, seconds } => {
                let until = at(self.second + u64::from(*seconds));
                let probe = Probe { job: JobId(*job), until };
                self.probes.push((of(*provider), probe));
                let store = self.scene.store();
                format!("{:?}", store.take_probe(&of(*provider), probe, "f1", at(self.second)).await)
            }
            Deed::Settles { age } => {
                let (before, now) = (at(self.second.saturating_sub(u64::from(*age))), at(self.second));
                format!("{:?}", self.scene.store().settle_forsaken(before, now).await)
            }
            Deed::Says(said) => self.says(said).await,
        };
        undated(&answer)
    }

    async fn claims(&mut self, worker: usize, most: u32, limit: u32, only_bought: bool) -> String {
        // Each claim has a second of its own, so that its token is fresh.
        self.second += 1;
        let request = ClaimRequest {
            wanted: vec![Wanted { only_bought, ..wanted("social-text", most) }, wanted("hero-image", most)],
            limit,
            held: self.holds[worker].iter().map(|claim| claim.job.id).collect(),
            ..claim_by(LABELS[worker], self.second)
        };
        match self.scene.store().claim_due(&request).await {
            Ok(Claimed { mut claims, one_waits_to_be_alone }) => {
                for claim in &mut claims {
                    claim.refusals.sort_by_key(|refusal| format!("{refusal:?}"));
                }
                let answer = format!("{claims:?} {one_waits_to_be_alone}");
                self.holds[worker].extend(claims.iter().cloned());
                self.claims.extend(claims);
                answer
            }
            Err(error) => format!("{error:?}"),
        }
    }

    async fn writes(&mut self, choices: &[Choice]) -> String {
        let entries: Vec<(Option<usize>, Entry)> =
            choices.iter().filter_map(|choice| self.entry(choice)).collect();
        let (places, entries): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
        let written = self.scene.store().record(&entries, at(self.second)).await;
        if let Ok(written) = &written {
            for (place, answer) in places.iter().zip(&written.answers) {
                if let (Some(place), Recorded::Begun(row)) = (place, answer) {
                    self.begun.push((*place, *row));
                }
            }
        }
        format!("{written:?}")
    }

    /// An entry of the ledger; of a begun call, the place of its claim besides.
    fn entry(&self, choice: &Choice) -> Option<(Option<usize>, Entry)> {
        let claim_at = |back: usize| {
            let place = self.claims.len().checked_sub(back + 1)?;
            Some((place, self.claims.get(place)?))
        };
        let call_at = |back: usize| {
            let (place, row) = self.begun.get(self.begun.len().checked_sub(back + 1)?)?;
            Some((self.claims.get(*place)?, *row))
        };
        Some(match choice {
            Choice::Begin { back, bounded } => {
                let (place, claim) = claim_at(*back)?;
                let mut intent = intent(claim, self.second);
                if let (true, Entry::Begin { facts, .. }) = (bounded, &mut intent) {
                    **facts = paced(claim, self.second, PACE);
                }
                (Some(place), intent)
            }
            Choice::Enter { back } => {
                (None, Entry::Enter(Box::new(paced(claim_at(*back)?.1, self.second, PACE))))
            }
            Choice::Reenter { back } => {
                (None, Entry::Reenter(Box::new(paced(claim_at(*back)?.1, self.second, PACE))))
            }
            Choice::Accept { back } => {
                let (claim, attempt) = call_at(*back)?;
                let operation = format!("op-{}", self.second);
                (None, Entry::Accept { attempt, job: claim.job.id, operation, request_id: None })
            }
            Choice::Abandon { back } => {
                let (claim, attempt) = call_at(*back)?;
                (None, Entry::Abandon { attempt, job: claim.job.id })
            }
            Choice::Stage { back } => {
                let (claim, attempt) = call_at(*back)?;
                (None, Entry::Stage(Box::new(self.staging(claim, attempt))))
            }
            Choice::FreeProbe { back } => {
                let (provider, probe) = self.probe_at(*back)?;
                (None, Entry::FreeProbe { provider, probe })
            }
            Choice::Settle { back, free, failure, probe } => {
                let (claim, row) = if *free {
                    (claim_at(*back)?.1, None)
                } else {
                    call_at(*back).map(|(c, r)| (c, Some(r)))?
                };
                let mut verdict = self.verdict(claim, row, failure.as_ref());
                if let (Some(event), Some((_, probe))) =
                    (&mut verdict.event, probe.and_then(|back| self.probe_at(back)))
                {
                    event.probe = Some(probe);
                }
                (None, Entry::Settle(Box::new(verdict)))
            }
            Choice::Finish { back, ending, delivers, refuses } => {
                let (place, claim) = claim_at(*back)?;
                let mut end = end_of(claim, ending.at(self.second), self.second);
                if *delivers {
                    let row = self.begun.iter().rev().find(|(of, _)| *of == place).map(|(_, row)| *row);
                    end.attempts.push(self.verdict(claim, row, None));
                    end.staged = row.map(|row| format!("file-of-{row}.png"));
                }
                end.prompt_digest = refuses.then(|| "d1".to_owned());
                (None, Entry::Finish(Box::new(end)))
            }
        })
    }

    fn staging(&self, claim: &Claim, attempt: AttemptId) -> Staging {
        Staging {
            token: claim.token.clone(),
            job: claim.job.id,
            run: claim.run.id,
            attempt: Some(attempt),
            key: format!("file-of-{attempt}.png"),
            output: format!("{{\"at\":{}}}", self.second),
        }
    }

    /// A probe that somebody wanted, had or lost.
    fn probe_at(&self, back: usize) -> Option<(ProviderName, Probe)> {
        self.probes.get(self.probes.len().checked_sub(back + 1)?).cloned()
    }

    fn verdict(
        &self,
        claim: &Claim,
        row: Option<AttemptId>,
        failure: Option<&FailureClass>,
    ) -> crate::store::AttemptResult {
        let mut verdict = verdict(claim, row, failure.cloned(), self.second);
        verdict.facts = paced(claim, self.second, PACE);
        // Another provider for every second asset, so that the breakers differ.
        if claim.job.id.0 % 2 == 0 {
            let failure = failure.cloned().map(|class| (class, "why".to_owned()));
            verdict.event = Some(event(&name("second"), failure, self.second));
        }
        verdict
    }

    async fn says(&self, said: &Said) -> String {
        let (store, now) = (self.scene.store(), at(self.second));
        let answer: Result<String, StoreError> = match said {
            Said::Enqueues { image, priority, delay, wish_for, key } => {
                let job = new_job(*image, wish_for.as_deref(), key.as_deref());
                let run_at = Some(to_text(at(self.second + u64::from(*delay))));
                let job = NewJob { priority: Some(*priority), run_at, ..job };
                store.enqueue(&job).await.map(|id| id.to_string())
            }
            Said::Cancels { job } => store.cancel(JobId(*job)).await.map(|()| String::new()),
            Said::Retries { job, wish_for } => match store.retry(JobId(*job), wish_for.as_deref()).await {
                // The database dates it with a clock of its own.
                Ok(()) => self.scene.subject.puts_off(JobId(*job), now).await.map(|()| String::new()),
                Err(error) => Err(error),
            },
            Said::Provides { job, url } => {
                let content_type = url.then(|| "image/png".to_owned());
                let text = (!url).then(|| format!("words at {}", self.second));
                let url = url.then(|| format!("https://example.org/{}.png", self.second));
                let provided = Provided { url, text, content_type, metadata: None };
                store.provide(JobId(*job), &provided, now).await.map(|()| String::new())
            }
            Said::ProvidesFile { job } => {
                let url = Some(format!("file:///vault/{}.png", self.second));
                let provided = Provided { url, text: None, content_type: None, metadata: None };
                store.provide(JobId(*job), &provided, now).await.map(|()| String::new())
            }
            Said::PutsOff { job, delay } => {
                let until = at(self.second + u64::from(*delay));
                self.scene.subject.puts_off(JobId(*job), until).await.map(|()| String::new())
            }
            Said::Deletes { job } => self.scene.subject.deletes(JobId(*job)).await.map(|()| String::new()),
            Said::Pauses { provider, seconds } => {
                let until = seconds.map(|seconds| at(self.second + u64::from(seconds)));
                store.pause(&of(*provider), until, now).await.map(|()| String::new())
            }
            Said::Resets { provider } => store.reset(&of(*provider), now).await.map(|()| String::new()),
            Said::Ticks { minute, key } => {
                let job = NewJob { run_at: Some(to_text(now)), ..new_job(false, None, key.as_deref()) };
                let tick = at(u64::from(*minute) * 60);
                let tick = NewTick { schedule: "s".to_owned(), tick, job: Some(job), now };
                store.tick(&tick).await.map(|written| written.to_string())
            }
            Said::Tells { most } => self.tells(*most).await,
            Said::Prunes { age } => store
                .prune(at(self.second.saturating_sub(u64::from(*age))), 1_000)
                .await
                .map(|n| n.to_string()),
            Said::Reads => self.reads().await,
        };
        format!("{answer:?}")
    }

    async fn tells(&self, most: u32) -> Result<String, StoreError> {
        let notices = self.scene.store().unsent_notices(0, most).await?;
        for notice in &notices {
            self.scene.store().notice_sent(notice.id, at(self.second)).await?;
        }
        Ok(format!("{notices:?}"))
    }

    async fn reads(&self) -> Result<String, StoreError> {
        let (store, now) = (self.scene.store(), at(self.second));
        let assets = ["social-text", "hero-image"].map(super::scene::asset);
        let mut seen = format!("{:?}", store.next_due_at(&assets, now).await?);
        seen += &format!("{:?}", store.due(&assets, now).await?);
        seen += &format!("{:?}", store.counts(now).await?);
        seen += &format!("{:?}", store.manual_queue(100).await?);
        seen += &format!("{:?}", store.undelivered(&assets[0], at(0)).await?);
        let mut owners = store.other_owners("a").await?;
        owners.sort();
        seen += &format!("{owners:?}");
        seen += &format!("{:?}", store.stale_staged(now, 100).await?);
        seen += &format!("{:?}", store.last_tick("s", now).await?);
        seen += &format!("{:?}", store.provider_health().await?);
        seen += &format!("{:?}", store.usages(&[(of(0), PACE)], LABELS[0], now).await?);
        Ok(seen)
    }
}

/// Tight, so that many are turned away.
const PACE: Pace = Pace { at_once: 2, per_minute: Some(3), per_hour: Some(8) };

const LABELS: [&str; 3] = ["a", "b", "c"];

fn of(provider: usize) -> ProviderName {
    name(["house", "second"][provider])
}

fn new_job(image: bool, wish_for: Option<&str>, key: Option<&str>) -> NewJob {
    NewJob {
        provider_override: wish_for.map(str::to_owned),
        dedupe_key: key.map(str::to_owned),
        ..wish(if image { "hero_image" } else { "social-text" }, "slug")
    }
}

/// What the database's own clock wrote is of this century's twenties; a life is of the next century.
fn undated(text: &str) -> String {
    static OWN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z").expect("valid"));
    OWN.replace_all(text, "<by the database>").into_owned()
}

/// So that the generator's endings read like the ledger's.
impl Ending {
    fn at(self, second: u64) -> crate::store::Ending {
        let later = |seconds: u64| at(second + seconds);
        match self {
            Self::Done => super::scene::done(&format!("https://example.org/made-{second}.png")),
            Self::Manual => super::scene::needs_person(),
            Self::Failed => crate::store::Ending::Failed { message: "Social text failed".to_owned() },
            Self::Later => crate::store::Ending::Later { run_at: later(30) },
            Self::HandBack { keep_open } => crate::store::Ending::HandBack { run_at: later(5), keep_open },
        }
    }
}
