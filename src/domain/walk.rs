//! The walk of a job down its chain: a pure state machine.
//!
//! Asked for the next step it says whom to call, what to wait for, or how the run ends; told what an attempt
//! came to, it moves. The clock and the jitter are passed in.

use std::time::Duration;

use super::asset::OnExhausted;
use super::backoff::{AFTER_TROUBLE, BETWEEN_REPEATS, BETWEEN_RUNS};
use super::failure::{FailureClass, SHORT_HINT, Verdict};
use super::name::ProviderName;
use super::plan::{CallRules, Decision, Plan};
use super::skip::SkipReason;
use super::time::{Timestamp, after, between};

/// Less time than this is not worth a call.
pub const LEAST_CALL: Duration = Duration::from_secs(1);

/// A link that heals later than this does not keep a person from being asked.
pub const HEALS_SOON: Duration = Duration::from_secs(15 * 60);

/// What decides whether an exhausted job comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobRules {
    /// Runs that counted before this one.
    pub counted_runs: u32,
    /// Most of them.
    pub max_runs: u32,
    /// When the job was first claimed.
    pub first_claimed_at: Timestamp,
    /// The age from which it does not come back.
    pub give_up_after: Duration,
    /// What becomes of it then.
    pub on_exhausted: OnExhausted,
    /// The end of this run.
    pub deadline: Timestamp,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Call this link.
    Call(Call),
    /// Wait, then ask again.
    WaitUntil(Timestamp),
    /// The run is over.
    End(End),
}

/// One call to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The link's place in this run, 0 for the first.
    pub position: usize,
    /// Whom to call.
    pub provider: ProviderName,
    /// How often this link was called before.
    pub repeat: u32,
    /// Time for the call.
    pub time: Duration,
    /// By which rules.
    pub rules: CallRules,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// This link delivered.
    Delivered {
        /// Its place in this run.
        position: usize,
        /// Who it is.
        provider: ProviderName,
        /// Whether it was not the first link.
        fallback_used: bool,
    },
    /// The job comes back: some link can heal soon.
    ComeBackAt(Timestamp),
    /// Trouble of our own: the job comes back to the same link, and the run does not count.
    ComeBackHere(Timestamp),
    /// A person is asked.
    AskPerson,
    /// The job fails, as its operator wants.
    Fail,
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A usable asset.
    Delivered,
    /// A failure of this class, and what happened.
    Failed(FailureClass, String),
    /// The link was not called after all: its gate shut between plan and call.
    Skipped(SkipReason),
}

/// Why a link did not deliver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkReason {
    /// The link's place in this run.
    pub position: usize,
    /// Who.
    pub provider: ProviderName,
    /// What happened, or why it was skipped.
    pub why: String,
    /// Whether it was skipped rather than called.
    pub skipped: bool,
    heals_at: Option<Timestamp>,
}

/// The walk of one run.
#[derive(Debug, Clone)]
pub struct Walk {
    links: Vec<Link>,
    at: usize,
    wait_until: Option<Timestamp>,
    reasons: Vec<LinkReason>,
    stop: Option<Stop>,
    rules: JobRules,
    straight_to_person: bool,
}

#[derive(Debug, Clone)]
struct Link {
    provider: ProviderName,
    decision: Decision,
    calls: u32,
}

#[derive(Debug, Clone)]
enum Stop {
    Delivered(usize),
    PersonDecides,
    Trouble(Timestamp),
}

impl Walk {
    /// Starts a walk down a plan.
    #[must_use]
    pub fn new(plan: &Plan, rules: JobRules) -> Self {
        let link = |planned: &super::plan::PlannedLink| Link {
            provider: planned.provider.clone(),
            decision: planned.decision.clone(),
            calls: 0,
        };
        Self {
            links: plan.links.iter().map(link).collect(),
            at: 0,
            wait_until: None,
            reasons: Vec::new(),
            stop: None,
            rules,
            straight_to_person: plan.straight_to_person,
        }
    }

    /// The next step. `jitter` is a random share, 0 to 1, used when the run ends and the job comes back.
    pub fn next(&mut self, now: Timestamp, jitter: f64) -> Step {
        if let Some(end) = self.stopped() {
            return Step::End(end);
        }
        while let Some(link) = self.links.get(self.at) {
            let rules = match &link.decision {
                Decision::Skip(reason) => {
                    let reason = reason.clone();
                    self.skip(reason, now);
                    continue;
                }
                Decision::Call(rules) => *rules,
            };
            if let Some(until) = self.wait_until.filter(|until| *until > now) {
                return Step::WaitUntil(until);
            }
            self.wait_until = None;
            let time = self.time_for(self.at, rules.timeout, now);
            if time < LEAST_CALL {
                self.skip(SkipReason::NotEnoughTime, now);
                continue;
            }
            let (position, provider, repeat) = (self.at, link.provider.clone(), link.calls);
            return Step::Call(Call { position, provider, repeat, time, rules });
        }
        Step::End(self.exhausted(now, jitter))
    }

    /// Tells the walk what the call it asked for came to. `jitter` is a random share, 0 to 1, of the backoff.
    pub fn tell(&mut self, outcome: Outcome, now: Timestamp, jitter: f64) {
        if self.stop.is_some() {
            return;
        }
        let Some(link) = self.links.get_mut(self.at) else { return };
        match outcome {
            Outcome::Delivered => self.stop = Some(Stop::Delivered(self.at)),
            Outcome::Skipped(reason) => self.skip(reason, now),
            Outcome::Failed(class, why) => {
                let Decision::Call(rules) = link.decision else { return };
                let repeats = link.calls;
                let verdict = class.verdict(repeats, rules.retries, rules.on_unknown);
                link.calls = link.calls.saturating_add(1);
                match verdict {
                    Verdict::Repeat => {
                        let at = after(now, BETWEEN_REPEATS.full_jitter(repeats, jitter));
                        self.repeat_at(at, (class, why), now);
                    }
                    Verdict::WaitIfShort(until) if between(now, until) <= SHORT_HINT => {
                        self.repeat_at(until, (class, why), now);
                    }
                    Verdict::WaitIfShort(_) | Verdict::Next => self.give_up(&class, why, now),
                    Verdict::AskPerson => {
                        self.give_up(&class, why, now);
                        self.stop = Some(Stop::PersonDecides);
                        self.leave_the_rest();
                    }
                    Verdict::StopHere => self.stop_here(why, now, jitter),
                }
            }
        }
    }

    /// Takes up an open run where a dead worker left it: `calls` finished calls of the link at `position`, of
    /// which the last came to `last`. To be told in order of position.
    pub fn take_up(&mut self, position: usize, calls: u32, last: Outcome, now: Timestamp) {
        self.resume_at(position, now);
        if self.at != position {
            return;
        }
        if let Some(link) = self.links.get_mut(position) {
            link.calls = calls.saturating_sub(1);
            self.tell(last, now, 0.0);
        }
    }

    /// Goes on at the link at `position`, where an open run stopped; the links before it are not gone back to.
    pub fn resume_at(&mut self, position: usize, now: Timestamp) {
        while self.at < position {
            // A link before it without any attempt was skipped then and is not gone back to.
            let Some(link) = self.links.get(self.at) else { return };
            let reason = match &link.decision {
                Decision::Skip(reason) => reason.clone(),
                Decision::Call(_) => SkipReason::NotEnoughTime,
            };
            self.skip(reason, now);
        }
    }

    /// Why each link that was passed did not deliver, in order.
    #[must_use]
    pub fn reasons(&self) -> &[LinkReason] {
        &self.reasons
    }

    fn stopped(&self) -> Option<End> {
        if self.straight_to_person {
            return Some(End::AskPerson);
        }
        Some(match self.stop.as_ref()? {
            Stop::Delivered(position) => {
                let provider = self.links.get(*position)?.provider.clone();
                End::Delivered { position: *position, provider, fallback_used: *position > 0 }
            }
            Stop::PersonDecides => End::AskPerson,
            Stop::Trouble(until) => End::ComeBackHere(*until),
        })
    }

    /// Time for one call of the link at `position`: never what the links after it need to be tried once.
    /// Where the deadline cannot hold every link's own time-out, each keeps at least its fair share.
    fn time_for(&self, position: usize, timeout: Duration, now: Timestamp) -> Duration {
        let left = between(now, self.rules.deadline);
        let later: Vec<Duration> = self
            .links
            .iter()
            .skip(position + 1)
            .filter_map(|link| match &link.decision {
                Decision::Call(rules) => Some(rules.timeout),
                Decision::Skip(_) => None,
            })
            .collect();
        let sharers = u32::try_from(later.len() + 1).unwrap_or(u32::MAX);
        let share = left / sharers;
        let reserved: Duration = later.iter().map(|timeout| (*timeout).min(share)).sum();
        timeout.min(left.saturating_sub(reserved))
    }

    fn repeat_at(&mut self, at: Timestamp, (class, why): (FailureClass, String), now: Timestamp) {
        let timeout = match self.links.get(self.at).map(|link| &link.decision) {
            Some(Decision::Call(rules)) => rules.timeout,
            Some(Decision::Skip(_)) | None => Duration::ZERO,
        };
        if self.time_for(self.at, timeout, at) < LEAST_CALL {
            return self.give_up(&class, why, now);
        }
        self.wait_until = Some(at);
    }

    fn give_up(&mut self, class: &FailureClass, why: String, now: Timestamp) {
        let heals_at = heals_at(class, now, self.rules.counted_runs);
        self.pass(format!("{class}: {why}"), false, heals_at);
    }

    fn skip(&mut self, reason: SkipReason, now: Timestamp) {
        let heals_at = reason.heals_at(now);
        let called = self.links.get(self.at).is_some_and(|link| link.calls > 0);
        self.pass(reason.to_string(), !called, heals_at);
    }

    fn pass(&mut self, why: String, skipped: bool, heals_at: Option<Timestamp>) {
        if let Some(link) = self.links.get(self.at) {
            let provider = link.provider.clone();
            self.reasons.push(LinkReason { position: self.at, provider, why, skipped, heals_at });
        }
        self.at += 1;
        self.wait_until = None;
    }

    fn leave_the_rest(&mut self) {
        while let Some(link) = self.links.get(self.at) {
            let why = match &link.decision {
                Decision::Skip(reason) => reason.to_string(),
                Decision::Call(_) => SkipReason::PersonDecides.to_string(),
            };
            self.pass(why, true, None);
        }
    }

    fn stop_here(&mut self, why: String, now: Timestamp, jitter: f64) {
        let at = after(now, AFTER_TROUBLE.equal_jitter(0, jitter));
        self.stop = Some(Stop::Trouble(at));
        if let Some(link) = self.links.get(self.at) {
            let provider = link.provider.clone();
            self.reasons.push(LinkReason {
                position: self.at,
                provider,
                why,
                skipped: false,
                heals_at: None,
            });
        }
    }

    /// What becomes of a job that no link could make: it comes back only if some link can heal soon, the job is
    /// young enough and counted runs are left. A person must not wait long for what will not heal.
    fn exhausted(&self, now: Timestamp, jitter: f64) -> End {
        let rules = &self.rules;
        let soonest = self.reasons.iter().filter_map(|reason| reason.heals_at).min();
        let runs_left = rules.counted_runs.saturating_add(1) < rules.max_runs;
        let young = between(rules.first_claimed_at, now) < rules.give_up_after;
        match soonest {
            Some(heals_at) if runs_left && young && between(now, heals_at) <= HEALS_SOON => {
                // Jobs that failed together must not come back in one stampede.
                let spread = BETWEEN_RUNS.base.mul_f64(jitter.clamp(0.0, 1.0) * 0.1);
                End::ComeBackAt(after(heals_at.max(now), spread))
            }
            Some(_) | None => match rules.on_exhausted {
                OnExhausted::Manual => End::AskPerson,
                OnExhausted::Fail => End::Fail,
            },
        }
    }
}

/// When a link that failed with this class may be worth another run; `None` when time does not heal it.
fn heals_at(class: &FailureClass, now: Timestamp, counted_runs: u32) -> Option<Timestamp> {
    match class {
        FailureClass::Transient | FailureClass::TimedOut => {
            Some(after(now, BETWEEN_RUNS.ceiling(counted_runs)))
        }
        FailureClass::RateLimited { until } => {
            Some(until.unwrap_or_else(|| after(now, BETWEEN_RUNS.ceiling(counted_runs))))
        }
        FailureClass::Quota { .. }
        | FailureClass::Auth
        | FailureClass::Retired
        | FailureClass::Invalid
        | FailureClass::Refused { .. }
        | FailureClass::Unusable
        | FailureClass::UnknownOutcome
        | FailureClass::Internal => None,
    }
}
