//! The walk of a job down its chain: a pure state machine.
//!
//! Asked for the next step it says whom to call, what to wait for, or how the run ends; told what an attempt
//! came to, it moves. The clock and the jitter are passed in.

use std::time::Duration;

use super::asset::OnExhausted;
use super::backoff::{AFTER_TROUBLE, BETWEEN_REPEATS, BETWEEN_RUNS};
use super::failure::{FailureClass, SHORT_HINT, Verdict};
use super::name::ProviderName;
use super::pace::{self, NoRoom, Standing, Turn};
use super::plan::{CallRules, Decision, Plan, PlannedLink};
use super::provider::OnUnknown;
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
    /// When the link must be left, whatever was waited for before the call: what is later belongs to the next ones.
    pub leave_by: Timestamp,
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
    /// Trouble or a limit of our own: the job comes back to the same link, and the run does not count.
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
    /// The link was not called: it may not be called more often. It may be its turn later.
    NoRoom(NoRoom),
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
    leave_by: Option<Timestamp>,
    reasons: Vec<LinkReason>,
    stop: Option<Stop>,
    rules: JobRules,
    straight_to_person: bool,
}

#[derive(Debug, Clone)]
struct Link {
    provider: ProviderName,
    decision: Decision,
    on_unknown: OnUnknown,
    calls: u32,
    last: Option<(FailureClass, String)>,
}

#[derive(Debug, Clone)]
enum Stop {
    Delivered(usize),
    PersonDecides,
    Here(Timestamp),
}

impl Walk {
    /// Starts a walk down a plan.
    #[must_use]
    pub fn new(plan: &Plan, rules: JobRules) -> Self {
        let link = |planned: &PlannedLink| Link {
            provider: planned.provider.clone(),
            decision: planned.decision.clone(),
            on_unknown: planned.on_unknown,
            calls: 0,
            last: None,
        };
        Self {
            links: plan.links.iter().map(link).collect(),
            at: 0,
            wait_until: None,
            leave_by: None,
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
            let (position, provider, repeat) = (self.at, link.provider.clone(), link.calls);
            self.wait_until = None;
            let leave_by = self.leave_by(now);
            self.leave_by = Some(leave_by);
            let time = rules.timeout.min(between(now, leave_by));
            if !worth_a_call(time, rules.timeout) {
                self.skip(SkipReason::NotEnoughTime, now);
                continue;
            }
            return Step::Call(Call { position, provider, repeat, time, leave_by, rules });
        }
        Step::End(self.exhausted(now, jitter))
    }

    /// Tells the walk what the call it asked for came to. `jitter` is a random share, 0 to 1, of the backoff.
    pub fn tell(&mut self, outcome: Outcome, now: Timestamp, jitter: f64) {
        if self.stop.is_some() {
            return;
        }
        match outcome {
            Outcome::Delivered => self.stop = Some(Stop::Delivered(self.at)),
            Outcome::Skipped(reason) => self.skip(reason, now),
            Outcome::NoRoom(no_room) => self.found_no_room(no_room, now),
            Outcome::Failed(class, why) => self.failed(class, why, now, jitter),
        }
    }

    /// Whether what it was told settles the run: an asset, a person's decision, or trouble of our own.
    #[must_use]
    pub fn has_verdict(&self) -> bool {
        self.stop.is_some()
    }

    /// Whether no link is left to be tried.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.straight_to_person || self.has_verdict() || self.at >= self.links.len()
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
            Stop::Here(until) => End::ComeBackHere(*until),
        })
    }

    /// Until when the calls and waits of the link being tried must be over: the links after it keep what they
    /// need to be tried once. Where the deadline cannot hold every link's own time-out, each has its fair
    /// share. Fixed when the link is first called, so that its repeats do not eat into that either.
    fn leave_by(&self, now: Timestamp) -> Timestamp {
        if let Some(fixed) = self.leave_by {
            return fixed;
        }
        let left = between(now, self.rules.deadline);
        let timeout_of = |link: &Link| match &link.decision {
            Decision::Call(rules) => Some(rules.timeout),
            Decision::Skip(_) => None,
        };
        let later: Vec<Duration> = self.links.iter().skip(self.at + 1).filter_map(timeout_of).collect();
        let sharers = u32::try_from(later.len() + 1).unwrap_or(u32::MAX);
        let share = left / sharers;
        let reserved: Duration = later.iter().map(|timeout| (*timeout).min(share)).sum();
        after(now, left.saturating_sub(reserved))
    }

    fn failed(&mut self, class: FailureClass, why: String, now: Timestamp, jitter: f64) {
        let Some(link) = self.links.get_mut(self.at) else { return };
        let (timeout, retries) = match &link.decision {
            Decision::Call(rules) => (rules.timeout, rules.retries),
            // Called before the run was taken up, and today's plan skips it: it is not called again.
            Decision::Skip(_) => (Duration::ZERO, 0),
        };
        let repeats = link.calls;
        let verdict = class.verdict(repeats, retries, link.on_unknown);
        link.calls = repeats.saturating_add(1);
        link.last = Some((class, why));
        let again_at = match verdict {
            Verdict::Repeat => after(now, BETWEEN_REPEATS.full_jitter(repeats, jitter)),
            Verdict::WaitIfShort(until) if between(now, until) <= SHORT_HINT => until,
            Verdict::WaitIfShort(_) | Verdict::Next => return self.give_up(now),
            Verdict::AskPerson => {
                self.give_up(now);
                self.stop = Some(Stop::PersonDecides);
                return self.leave_the_rest();
            }
            Verdict::StopHere => return self.stop_here(now, jitter),
        };
        if self.leaves_time_at(again_at, timeout, now) {
            self.wait_until = Some(again_at);
        } else {
            self.give_up(now);
        }
    }

    /// Whether a call of the link being tried that begins at `at` has time enough.
    fn leaves_time_at(&self, at: Timestamp, timeout: Duration, now: Timestamp) -> bool {
        worth_a_call(timeout.min(between(at.max(now), self.leave_by(now))), timeout)
    }

    /// A link that may not be called more often: waited for, come back to, or passed.
    fn found_no_room(&mut self, no_room: NoRoom, now: Timestamp) {
        let reason = match no_room {
            NoRoom::Taken => SkipReason::Busy,
            NoRoom::AtLimit(limit) => SkipReason::AtLimit(limit),
        };
        let timeout = self.links.get(self.at).map_or(Duration::ZERO, Link::timeout);
        match pace::turn(&no_room, self.standing(now), now) {
            Turn::Wait(until) if self.leaves_time_at(until, timeout, now) => self.wait_until = Some(until),
            Turn::ComeBack(until) => {
                let failure =
                    self.last_failure().map(|(class, why)| format!("{class}: {why}; to be repeated: "));
                self.give_reason(format!("{}{reason}", failure.unwrap_or_default()), false, None);
                self.stop = Some(Stop::Here(until));
            }
            Turn::Wait(_) | Turn::Pass => self.skip(reason, now),
        }
    }

    fn standing(&self, now: Timestamp) -> Standing {
        let mut later = self.links.iter().skip(self.at + 1);
        Standing {
            is_first: self.links.iter().all(|link| link.calls == 0),
            has_next: later.any(|link| matches!(link.decision, Decision::Call(_))),
            is_young: self.is_young(now),
        }
    }

    fn is_young(&self, now: Timestamp) -> bool {
        between(self.rules.first_claimed_at, now) < self.rules.give_up_after
    }

    fn give_up(&mut self, now: Timestamp) {
        let Some((class, why)) = self.last_failure() else { return };
        let heals_at = self.heals_at(&class, now);
        self.pass(format!("{class}: {why}"), false, heals_at);
    }

    /// Passes a link that is not called, or not called again.
    fn skip(&mut self, reason: SkipReason, now: Timestamp) {
        let Some((class, why)) = self.last_failure() else {
            let heals_at = reason.heals_at(now);
            return self.pass(reason.to_string(), true, heals_at);
        };
        let out_of_time = reason == SkipReason::NotEnoughTime;
        let heals_at = if out_of_time { self.heals_at(&class, now) } else { reason.heals_at(now) };
        self.pass(format!("{class}: {why}; not repeated: {reason}"), false, heals_at);
    }

    fn last_failure(&mut self) -> Option<(FailureClass, String)> {
        self.links.get_mut(self.at)?.last.take()
    }

    fn pass(&mut self, why: String, skipped: bool, heals_at: Option<Timestamp>) {
        self.give_reason(why, skipped, heals_at);
        self.at += 1;
        self.wait_until = None;
        self.leave_by = None;
    }

    fn give_reason(&mut self, why: String, skipped: bool, heals_at: Option<Timestamp>) {
        if let Some(link) = self.links.get(self.at) {
            let provider = link.provider.clone();
            self.reasons.push(LinkReason { position: self.at, provider, why, skipped, heals_at });
        }
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

    fn stop_here(&mut self, now: Timestamp, jitter: f64) {
        let Some((class, why)) = self.last_failure() else { return };
        // A full disk does not empty itself by our looking at it: each time of this run waits longer.
        let before = self.links.get(self.at).map_or(0, |link| link.calls.saturating_sub(1));
        self.stop = Some(Stop::Here(after(now, AFTER_TROUBLE.equal_jitter(before, jitter))));
        self.give_reason(format!("{class}: {why}"), false, None);
    }

    /// When a link that failed with this class may be worth another run; `None` when time does not heal it.
    fn heals_at(&self, class: &FailureClass, now: Timestamp) -> Option<Timestamp> {
        let without_hint = after(now, BETWEEN_RUNS.ceiling(self.rules.counted_runs));
        match class {
            FailureClass::Transient | FailureClass::TimedOut => Some(without_hint),
            FailureClass::RateLimited { until } => Some(until.unwrap_or(without_hint)),
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

    /// What becomes of a job that no link could make: it comes back only if some link can heal soon, the job is
    /// young enough and counted runs are left. A person must not wait long for what will not heal.
    fn exhausted(&self, now: Timestamp, jitter: f64) -> End {
        let rules = &self.rules;
        let soonest = self.reasons.iter().filter_map(|reason| reason.heals_at).min();
        let runs_left = rules.counted_runs.saturating_add(1) < rules.max_runs;
        match soonest {
            Some(heals_at) if runs_left && self.is_young(now) && between(now, heals_at) <= HEALS_SOON => {
                // Jobs that failed together must not come back in one stampede.
                let spread = BETWEEN_RUNS.full_jitter(0, jitter) / 10;
                End::ComeBackAt(after(heals_at.max(now), spread))
            }
            Some(_) | None => match rules.on_exhausted {
                OnExhausted::Manual => End::AskPerson,
                OnExhausted::Fail => End::Fail,
            },
        }
    }
}

impl Link {
    fn timeout(&self) -> Duration {
        match &self.decision {
            Decision::Call(rules) => rules.timeout,
            Decision::Skip(_) => Duration::ZERO,
        }
    }
}

impl Call {
    /// The same call after a wait for its turn; `None` when what is left is worth nothing.
    #[must_use]
    pub fn starting_at(&self, now: Timestamp) -> Option<Self> {
        let time = self.time.min(between(now, self.leave_by));
        worth_a_call(time, self.rules.timeout).then(|| Self { time, ..self.clone() })
    }
}

/// A call that has less time than [`LEAST_CALL`] is worth nothing, unless the provider never gets more.
fn worth_a_call(time: Duration, timeout: Duration) -> bool {
    !time.is_zero() && time >= timeout.min(LEAST_CALL)
}

mod adopted;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
