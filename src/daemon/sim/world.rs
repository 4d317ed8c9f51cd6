//! The simulated world: one seed from which everything follows, one clock, one store, and what has happened so far.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{SubsecRound, TimeDelta};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::domain::job::{AttemptId, JobId, RunId};
use crate::domain::name::ProviderName;
use crate::domain::pace::Pace;
use crate::domain::time::{Clock, Timestamp, after, from_text, to_text};
use crate::store::memory::MemoryStore;

use super::life::Life;
use super::mood::{Mood, Moods};

/// Lines of the trace that a failure shows.
const SHOWN: usize = 60;

/// Broken promises that a failure shows; one brings many.
const MOST_BROKEN: usize = 8;

/// Everything that a simulated daemon meets.
pub(super) struct World {
    pub(super) store: Arc<MemoryStore>,
    /// The machine's clock, which somebody may set.
    pub(super) clock: Clock,
    /// Time itself.
    time: Clock,
    /// By how many milliseconds the machine's clock is ahead of it.
    ahead: Arc<AtomicI64>,
    /// When the last trouble ends; from then on everything must come to its end.
    pub(super) heals_at: Timestamp,
    pub(super) plan: WorldPlan,
    /// Tells those who watch the store that something was written. (A `watch` wakes its receivers in an order that
    /// tokio draws by a chance of its own.)
    pub(super) written: Notify,
    chance: Mutex<fastrand::Rng>,
    told: Mutex<Told>,
    pub(super) moods: Mutex<Moods>,
    pub(super) facts: Mutex<Facts>,
}

/// What kind of world a seed makes.
#[derive(Debug, Clone, Copy)]
pub(super) struct WorldPlan {
    pub(super) seed: u64,
    /// How long trouble lasts.
    pub(super) hours: u32,
    pub(super) jobs: u32,
    pub(super) daemons: usize,
    /// Whether daemons crash, stall and are stopped.
    pub(super) daemons_die: bool,
    /// Whether the store is busy or full now and then.
    pub(super) store_fails: bool,
    /// Whether the machine's clock is set now and then.
    pub(super) clock_is_set: bool,
    /// Whether the daemons' clocks differ.
    pub(super) clocks_differ: bool,
    /// Whether providers and assets have budgets.
    pub(super) budgets: bool,
    /// Whether some jobs kill whoever runs them.
    pub(super) poison: bool,
    /// Whether the whole trace is printed.
    pub(super) prints: bool,
    /// Whether people cancel, retry, resolve, pause and reset.
    pub(super) people: bool,
}

/// What the laws need to know of the past.
#[derive(Default)]
pub(super) struct Facts {
    /// Idempotency keys of paid calls.
    pub(super) paid: BTreeMap<String, u32>,
    /// The keys of calls under way that were begun as the probe of their provider, since it was last closed.
    pub(super) probes: BTreeMap<ProviderName, BTreeSet<String>>,
    /// How often each provider may be called.
    pub(super) paces: BTreeMap<ProviderName, Pace>,
    /// How many calls of each are under way in truth.
    pub(super) under_way: BTreeMap<ProviderName, u32>,
    /// Since when a provider's gate is shut.
    pub(super) shut_since: BTreeMap<ProviderName, Timestamp>,
    /// How often a job was sent round again, and how often it was delivered in which of its lives.
    pub(super) lives: BTreeMap<JobId, u32>,
    pub(super) delivered: BTreeMap<(JobId, u32), u32>,
    /// Calls of jobs that kill, by job and life.
    pub(super) kills: BTreeMap<(JobId, u32), u32>,
    /// The operations that vendors accepted.
    pub(super) operations: BTreeMap<String, Operation>,
    /// Attempts that a worker took up with their operation known.
    pub(super) adopted: BTreeSet<AttemptId>,
    /// Files of the vault, and those that wait for it beside the database.
    pub(super) files: BTreeMap<String, Bytes>,
    pub(super) spool: BTreeMap<String, Bytes>,
    /// Attempts that were taken up while their output waited beside the database, by their run.
    pub(super) in_hand: BTreeMap<RunId, AttemptId>,
    /// The processes that have claimed something, as leases name them.
    pub(super) owners: BTreeMap<String, Arc<Life>>,
    /// When the store or a daemon last was in trouble: until a little later nobody can know everything.
    pub(super) trouble_at: Option<Timestamp>,
    /// The same in time itself, where more was the matter than that the clock was set.
    pub(super) unwell_at: Option<Timestamp>,
    /// The store takes no writes until then.
    pub(super) store_fails_until: Option<Timestamp>,
    pub(super) vault_fails_until: Option<Timestamp>,
    pub(super) count: Counts,
}

/// An operation at a vendor.
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) provider: ProviderName,
    pub(super) ready_at: Timestamp,
    pub(super) comes_to: Mood,
    /// Whether it is a file, however often it is asked for.
    pub(super) long: bool,
}

/// How much of everything there was, so that a world in which nothing happens is noticed.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) polls: u64,
    pub(super) crashes: u64,
    pub(super) stalls: u64,
    pub(super) stops: u64,
    pub(super) troubles: u64,
    pub(super) takeovers: u64,
    pub(super) probes: u64,
    pub(super) stale: u64,
    pub(super) turned_away: u64,
    pub(super) steps: u64,
    pub(super) over_budget: u64,
    pub(super) found_again: u64,
    pub(super) delivered: u64,
    pub(super) minutes: u64,
}

struct Told {
    digest: blake3::Hasher,
    lines: u64,
    last: VecDeque<String>,
    broken: Vec<String>,
}

impl World {
    pub(super) fn new(plan: WorldPlan) -> Arc<Self> {
        let began = Instant::now();
        let start = from_text("2026-11-22T00:00:00.000Z").expect("valid");
        let time: Clock = Arc::new(move || after(start, began.elapsed()).trunc_subsecs(3));
        let ahead = Arc::new(AtomicI64::new(0));
        let (real, set) = (Arc::clone(&time), Arc::clone(&ahead));
        let clock: Clock = Arc::new(move || real() + TimeDelta::milliseconds(set.load(Ordering::Relaxed)));
        let mut chance = fastrand::Rng::with_seed(plan.seed);
        let moods = Moods::new(chance.fork());
        Arc::new(Self {
            store: Arc::new(MemoryStore::new(Arc::clone(&clock))),
            clock,
            time,
            ahead,
            heals_at: after(start, Duration::from_secs(u64::from(plan.hours) * 3_600)),
            plan,
            written: Notify::new(),
            chance: Mutex::new(chance),
            told: Mutex::new(Told {
                digest: blake3::Hasher::new(),
                lines: 0,
                last: VecDeque::new(),
                broken: Vec::new(),
            }),
            moods: Mutex::new(moods),
            facts: Mutex::default(),
        })
    }

    /// What the machine's clock shows.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// What it would show if nobody had ever set it.
    pub(super) fn time(&self) -> Timestamp {
        (self.time)()
    }

    /// Sets the machine's clock.
    pub(super) fn sets_the_clock(&self, by: TimeDelta) {
        self.ahead.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
        self.count(|count| count.steps += 1);
        self.tell(format!("the clock is set by {} s", by.num_seconds()));
        let now = self.now();
        self.facts(|facts| {
            facts.trouble_at = Some(now);
            for since in facts.shut_since.values_mut() {
                *since += by;
            }
        });
    }

    /// Whether trouble is over.
    pub(super) fn is_healed(&self) -> bool {
        self.time() >= self.heals_at
    }

    /// True with this probability.
    pub(super) fn likely(&self, share: f64) -> bool {
        self.chance(fastrand::Rng::f64) < share
    }

    /// A length of time between two numbers of milliseconds.
    pub(super) fn millis(&self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.chance(|chance| chance.u64(from..=to)))
    }

    /// Something by chance.
    pub(super) fn chance<T>(&self, pick: impl FnOnce(&mut fastrand::Rng) -> T) -> T {
        pick(&mut self.chance.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what the laws know.
    pub(super) fn facts<T>(&self, change: impl FnOnce(&mut Facts) -> T) -> T {
        change(&mut self.facts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Counts.
    pub(super) fn count(&self, count: impl FnOnce(&mut Counts)) {
        self.facts(|facts| count(&mut facts.count));
    }

    /// How a provider is now.
    pub(super) fn mood(&self, provider: &ProviderName) -> Mood {
        let mut moods = self.moods.lock().unwrap_or_else(PoisonError::into_inner);
        moods.of(provider, self.time(), self.is_healed())
    }

    /// From now on and for a while nobody can know everything.
    pub(super) fn is_troubled(&self) {
        let (now, time) = (self.now(), self.time());
        self.facts(|facts| {
            facts.trouble_at = facts.trouble_at.max(Some(now));
            facts.unwell_at = Some(time);
        });
    }

    /// Something happened.
    pub(super) fn tell(&self, what: impl AsRef<str>) {
        let line = format!("{} {}", to_text(self.time()), what.as_ref());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if self.plan.prints {
            println!("{line}");
        }
        told.digest.update(line.as_bytes());
        told.digest.update(b"\n");
        told.lines += 1;
        if told.last.len() == SHOWN {
            told.last.pop_front();
        }
        told.last.push_back(line);
    }

    /// A promise is broken.
    pub(super) fn broken(&self, what: impl AsRef<str>) {
        let what = what.as_ref();
        self.tell(format!("BROKEN: {what}"));
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.broken.len() < MOST_BROKEN {
            let trace: Vec<String> = told.last.iter().cloned().collect();
            let trace = if told.broken.is_empty() { trace.join("\n") } else { String::new() };
            told.broken.push(format!("{what}\n{trace}"));
        }
    }

    /// A promise is broken unless this holds.
    pub(super) fn law(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken(what());
        }
    }

    /// What the world came to.
    pub(super) fn end(&self) -> Ended {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = self.facts(|facts| facts.count);
        Ended {
            digest: told.digest.finalize().to_hex().to_string(),
            lines: told.lines,
            broken: told.broken.clone(),
            counts,
        }
    }
}

/// What a world came to.
#[derive(Debug)]
pub(super) struct Ended {
    /// Of the whole trace.
    pub(super) digest: String,
    pub(super) lines: u64,
    /// Broken promises; the first with the trace that led there.
    pub(super) broken: Vec<String>,
    pub(super) counts: Counts,
}

impl Counts {
    /// Adds those of another world.
    pub(super) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.polls += other.polls;
        self.crashes += other.crashes;
        self.stalls += other.stalls;
        self.stops += other.stops;
        self.troubles += other.troubles;
        self.takeovers += other.takeovers;
        self.probes += other.probes;
        self.stale += other.stale;
        self.turned_away += other.turned_away;
        self.steps += other.steps;
        self.over_budget += other.over_budget;
        self.found_again += other.found_again;
        self.delivered += other.delivered;
        self.minutes += other.minutes;
    }
}
