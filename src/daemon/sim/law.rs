//! The promises, watched while they are kept: at every call, at every write, and at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ask::Ask;
use crate::domain::breaker::{BreakerState, Gate, ProviderHealth};
use crate::domain::job::{AttemptId, JobId, JobStatus, RunId};
use crate::domain::name::ProviderName;
use crate::domain::pace::Window;
use crate::domain::provider::Repeat;
use crate::domain::time::{Timestamp, after, before, to_text};
use crate::store::memory::tables::{AttemptRecord, JobRecord, Tables};
use crate::store::{AttemptFacts, Claimed, Ending, Entry, PastAttempt, Recorded, Written};

use super::vendor::{POISON, RENDERS, repeat_of};
use super::world::World;

mod rows;

pub(super) use rows::every_row_is_lawful;

/// A worker may not know yet what another one wrote this long ago.
const NEWS: Duration = Duration::from_secs(3);

/// Whose clock is behind knows it later still.
const SKEW: Duration = Duration::from_millis(2 * super::life::SKEW.unsigned_abs());

/// Nor anybody anything this long after trouble with the store, a crash or a standstill.
const AFTERMATH: Duration = Duration::from_secs(90);

/// Most calls for a job that kills whoever makes one, in one life of it: two beside others, three alone.
const MOST_KILLS: u32 = 5;

/// A call under way, until it is dropped.
pub(super) struct Underway {
    world: Arc<World>,
    probes: Option<(ProviderName, String)>,
    /// Whose calls under way it is one of.
    among: Option<ProviderName>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some((provider, key)) = self.probes.take() {
            self.world.facts(|facts| facts.probes.entry(provider).or_default().remove(&key));
        }
        if let Some(provider) = self.among.take() {
            self.world.facts(|facts| *facts.under_way.entry(provider).or_default() -= 1);
        }
    }
}

/// The place of a call in the ledger, as its idempotency key says it.
struct Place {
    run: RunId,
    position: u32,
    repeat: u32,
}

impl Place {
    fn read(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix("backstop-")?.split('-');
        let run = RunId(parts.next()?.parse().ok()?);
        Some(Self { run, position: parts.next()?.parse().ok()?, repeat: parts.next()?.parse().ok()? })
    }

    fn is_of(&self, attempt: &AttemptRecord) -> bool {
        attempt.run == self.run && attempt.position == self.position
    }
}

/// A provider is about to be called.
pub(super) fn a_call_begins(world: &Arc<World>, who: &str, provider: &ProviderName, ask: &Ask) -> Underway {
    let mut underway = Underway { world: Arc::clone(world), probes: None, among: None };
    let key = &ask.idempotency_key;
    world.tell(format!("{who} calls {provider} for {} ({key})", ask.slug));
    world.count(|count| count.calls += 1);
    let Some(place) = Place::read(key) else {
        world.broken(format!("a call has the key {key}"));
        return underway;
    };
    let now = world.now();
    let paid = repeat_of(provider) == Repeat::Paid;
    let seen = world.store.look(|tables| Seen::at(tables, &place, provider));
    let Some(seen) = seen else {
        world.broken(format!("{provider} is called for a run that is not there ({key})"));
        return underway;
    };
    if paid {
        world.law(seen.row.is_some(), || format!("{provider} is paid without a row in the ledger ({key})"));
        let times = world.facts(|facts| {
            let times = facts.paid.entry(key.clone()).or_default();
            *times += 1;
            *times
        });
        world.law(times == 1, || format!("{provider} is paid {times} times under one key ({key})"));
    }
    world.law(!seen.knows_operation, || {
        format!("{provider} is called anew although an operation of this link is known ({key})")
    });
    let waits = world.facts(|facts| facts.in_hand.get(&place.run).copied());
    let open = waits.filter(|id| {
        world.store.look(|tables| tables.attempts.get(&id.0).is_some_and(AttemptRecord::is_open))
    });
    world.law(open.is_none(), || {
        format!("{provider} is called although an output of this run is in hand ({key})")
    });
    let began = seen.row.unwrap_or(now);
    if !seen.forced {
        the_gate_is_heeded(world, provider, &seen, began, key);
    }
    if let Some(health) = &seen.health
        && health.state == BreakerState::HalfOpen
        && health.probe.is_some_and(|probe| probe.job == seen.job && probe.until > now)
        && !seen.forced
    {
        let at_once = world.facts(|facts| {
            let probes = facts.probes.entry(provider.clone()).or_default();
            probes.insert(key.clone());
            probes.len()
        });
        underway.probes = Some((provider.clone(), key.clone()));
        // The call of a worker that stood still outlives its probe.
        let aftermath = world.facts(|facts| facts.trouble_at).is_some_and(|at| after(at, AFTERMATH) > now);
        // Whose clock is ahead, or was set forward, sees the end of a probe's time before its holder does.
        let clocks = world.plan.clocks_differ || world.plan.clock_is_set;
        let lawful = at_once == 1 || aftermath || (at_once == 2 && clocks);
        world.law(lawful, || format!("{at_once} probes of {provider} at once ({key})"));
    }
    underway.among = the_pace_is_kept(world, provider, seen.job, key);
    if ask.slug.starts_with(POISON) {
        let kills = world.facts(|facts| {
            let life = facts.lives.get(&seen.job).copied().unwrap_or(0);
            let kills = facts.kills.entry((seen.job, life)).or_default();
            *kills += 1;
            *kills
        });
        world.law(kills <= MOST_KILLS, || format!("job {} has killed {kills} workers", seen.job));
        let alone = seen.deaths < 2 || seen.beside == 0;
        world.law(alone, || format!("job {} runs beside {} others", seen.job, seen.beside));
    }
    underway
}

/// No provider is called more often than it may be, by all daemons together: neither by the log, nor in truth, where nobody
/// has just died, stood still, or had a job taken away whose call goes on until that is noticed.
fn the_pace_is_kept(world: &World, provider: &ProviderName, job: JobId, key: &str) -> Option<ProviderName> {
    let pace = world.facts(|facts| facts.paces.get(provider).copied())?;
    let now = world.now();
    let skew = if world.plan.clocks_differ { SKEW } else { Duration::ZERO };
    let (is_counted, usage, begun) = world.store.look(|tables| {
        let calls = || tables.calls.values().filter(|call| call.provider == *provider);
        let is_counted = calls().any(|call| call.job == job && call.ended_at.is_none());
        let begun: Vec<(Window, u32, usize)> = pace
            .windows()
            .map(|(window, most)| {
                let since = before(now, window.length().saturating_sub(skew));
                (window, most, calls().filter(|call| call.started_at > since).count())
            })
            .collect();
        (is_counted, tables.usage(provider, &pace, "", now), begun)
    });
    world.law(is_counted, || format!("{provider} is called and does not count it ({key})"));
    let (under_way, at_once) = (usage.under_way, pace.at_once);
    // By another clock a lease has ended whose holder still calls, and until it is renewed that call is not counted.
    let clocks = world.plan.clocks_differ || world.plan.clock_is_set;
    world.law(under_way <= at_once || clocks, || {
        format!("{under_way} calls of {provider} at once, not {at_once} ({key})")
    });
    for (window, most, count) in begun {
        // A clock that was set makes a minute of the wall's longer or shorter than one of the world's.
        world.law(count <= most as usize || world.plan.clock_is_set, || {
            format!("{count} calls of {provider} {window}, not {most} ({key})")
        });
    }
    let (truly, trouble_at) = world.facts(|facts| {
        let under_way = facts.under_way.entry(provider.clone()).or_default();
        *under_way += 1;
        (*under_way, facts.trouble_at)
    });
    let aftermath = trouble_at.is_some_and(|at| after(at, AFTERMATH) > now);
    let lawful = truly <= at_once || aftermath || world.plan.people || clocks;
    world.law(lawful, || format!("{truly} calls of {provider} are truly under way, not {at_once} ({key})"));
    Some(provider.clone())
}

/// What the tables say when a call begins.
struct Seen {
    job: JobId,
    /// When its row in the ledger was begun.
    row: Option<Timestamp>,
    forced: bool,
    knows_operation: bool,
    health: Option<ProviderHealth>,
    deaths: u32,
    /// Other jobs that its worker holds.
    beside: usize,
}

impl Seen {
    fn at(tables: &Tables, place: &Place, provider: &ProviderName) -> Option<Self> {
        let run = tables.runs.get(&place.run)?;
        let job = tables.jobs.get(&run.job)?;
        let mut attempts = tables.attempts.values().filter(|attempt| place.is_of(attempt));
        let row = attempts.clone().find(|row| row.repeat == place.repeat && row.provider == *provider);
        let knows_operation = attempts.any(|row| row.status == "accepted");
        let owner = job.lease.as_ref().map(|lease| &lease.owner);
        let same_owner = |other: &&JobRecord| {
            other.status == JobStatus::Running && other.lease.as_ref().map(|lease| &lease.owner) == owner
        };
        let beside = tables.jobs.values().filter(same_owner).filter(|other| other.id != job.id).count();
        Some(Self {
            job: job.id,
            row: row.map(|row| row.started_at),
            forced: place.position == 0 && run.wish.as_deref() == Some(provider.as_str()),
            knows_operation,
            health: tables.provider_health.get(provider).cloned(),
            deaths: job.deaths,
            beside,
        })
    }
}

/// A shut gate is passed only by who cannot know of it yet; a half-open one by its probe.
fn the_gate_is_heeded(world: &World, provider: &ProviderName, seen: &Seen, began: Timestamp, key: &str) {
    let Some(health) = &seen.health else { return };
    let is_probe = health.probe.is_some_and(|probe| probe.job == seen.job);
    let skew = if world.plan.clocks_differ { SKEW } else { Duration::ZERO };
    let gate = health.gate(began, "f1");
    // Its clock may have shown the end of the wait already.
    let is_probe = is_probe || health.gate(after(began, skew), "f1") == Gate::Pass;
    // A late failure of another job may open the breaker again under a probe that was just given.
    if gate == Gate::Pass || is_probe {
        return;
    }
    let (shut_since, trouble_at) =
        world.facts(|facts| (facts.shut_since.get(provider).copied(), facts.trouble_at));
    let old_news = shut_since.is_some_and(|since| after(after(since, NEWS), skew) < began);
    let aftermath = trouble_at.is_some_and(|at| after(at, AFTERMATH) > began);
    world.law(!old_news || aftermath, || {
        let since = shut_since.map(to_text).unwrap_or_default();
        format!("{provider} is called although {gate:?} since {since} ({key}, begun {})", to_text(began))
    });
}

/// Jobs were claimed.
pub(super) fn jobs_were_claimed(world: &World, who: &str, claimed: &Claimed) {
    for claim in &claimed.claims {
        let (job, run, deaths) = (claim.job.id, claim.run.id, claim.deaths);
        world.tell(format!(
            "{who} takes job {job}, run {run}, {} past, {deaths} deaths",
            claim.run.past.len()
        ));
        world.count(|count| count.takeovers += u64::from(deaths > 0));
        let known =
            claim.run.past.iter().filter(|past| past.status == "accepted" && past.operation.is_some());
        world.facts(|facts| {
            facts.adopted.extend(known.map(|past| AttemptId(past.id)));
            let waits = |past: &&PastAttempt| {
                let open = matches!(past.status.as_str(), "started" | "accepted");
                open && past.staged.as_ref().is_some_and(|staged| facts.spool.contains_key(&staged.key))
            };
            if let Some(past) = claim.run.past.iter().find(waits) {
                facts.in_hand.insert(run, AttemptId(past.id));
                facts.count.found_again += 1;
            }
        });
    }
}

/// Who holds which job.
pub(super) fn owners_of(world: &World) -> BTreeMap<JobId, String> {
    world.store.look(|tables| {
        let running = tables.jobs.values().filter(|job| job.status == JobStatus::Running);
        running.filter_map(|job| Some((job.id, job.lease.as_ref()?.owner.clone()))).collect()
    })
}

/// No job was taken from a worker that lives and could renew its lease, whatever the clock says.
pub(super) fn nobody_was_robbed(world: &World, owners: &BTreeMap<JobId, String>, claimed: &Claimed) {
    let (time, unwell_at) = (world.time(), world.facts(|facts| facts.unwell_at));
    if unwell_at.is_some_and(|at| after(at, AFTERMATH) > time) {
        return;
    }
    for claim in &claimed.claims {
        let Some(owner) = owners.get(&claim.job.id) else { continue };
        let holder = world.facts(|facts| facts.owners.get(owner).cloned());
        let robbed = holder.filter(|holder| holder.could_renew());
        world.law(robbed.is_none(), || {
            let name = robbed.map(|holder| holder.name.clone()).unwrap_or_default();
            format!("job {} was taken from {name}, which lives", claim.job.id)
        });
    }
}

/// The places of ends whose writer does not hold the job any more.
pub(super) fn ends_of_strangers(world: &World, entries: &[Entry]) -> Vec<usize> {
    world.store.look(|tables| {
        let is_strange = |entry: &Entry| match entry {
            Entry::Finish(end) => !tables.jobs.get(&end.job).is_some_and(|job| job.is_held_by(&end.token)),
            Entry::Begin { .. }
            | Entry::Enter(_)
            | Entry::Reenter(_)
            | Entry::Accept { .. }
            | Entry::Abandon { .. }
            | Entry::FreeProbe { .. }
            | Entry::Stage(_)
            | Entry::Settle(_) => false,
        };
        (0..).zip(entries).filter(|(_, entry)| is_strange(entry)).map(|(place, _)| place).collect()
    })
}

/// What a stale worker wrote of a job's end was not taken.
pub(super) fn strangers_end_nothing(world: &World, strangers: &[usize], written: &Written) {
    for place in strangers {
        let taken = written.answers.get(*place) == Some(&Recorded::Written);
        world.law(!taken, || "a stale worker has ended a job".to_owned());
    }
}

/// Entries of the ledger were written.
pub(super) fn entries_were_written(world: &World, who: &str, entries: &[Entry], written: &Written) {
    for (entry, answer) in entries.iter().zip(&written.answers) {
        match entry {
            Entry::Finish(end) => {
                let how = match &end.ending {
                    Ending::Done { .. } => "done",
                    Ending::Manual { .. } => "manual",
                    Ending::Failed { .. } => "failed",
                    Ending::Later { .. } => "later",
                    Ending::HandBack { .. } => "handed back",
                };
                world.tell(format!("{who} ends job {} as {how}: {answer:?}", end.job));
                if *answer == Recorded::LeaseGone {
                    world.count(|count| count.stale += 1);
                } else if how == "done" {
                    a_job_was_delivered(world, end.job);
                }
            }
            Entry::Settle(result) => {
                let facts = &result.facts;
                let class = result.class.unwrap_or_default();
                let why = result.error.as_deref().unwrap_or_default();
                world.tell(format!("{who} settles {} of job {}: {class}: {why}", facts.provider, facts.job));
                let adopted = result.row.filter(|row| world.facts(|facts| facts.adopted.contains(row)));
                let given_up = result.error.as_deref().is_some_and(|why| why.contains("the worker died"));
                let waits =
                    result.row.filter(|row| world.facts(|known| known.in_hand.get(&facts.run) == Some(row)));
                world.law(waits.is_none() || !given_up, || {
                    format!("an output of {} was in hand, and nobody delivered it", facts.provider)
                });
                world.law(adopted.is_none() || !given_up, || {
                    format!("an operation of {} was known, and nobody asked after it", facts.provider)
                });
            }
            Entry::FreeProbe { provider, probe } => {
                world.tell(format!("{who} gives back the probe of {provider} with job {}", probe.job));
            }
            Entry::Begin { .. } if matches!(answer, Recorded::OverBudget(_)) => {
                world.count(|count| count.over_budget += 1);
            }
            Entry::Begin { facts, .. } => was_turned_away(world, who, facts, answer),
            Entry::Enter(facts) => was_turned_away(world, who, facts, answer),
            Entry::Reenter(_) | Entry::Accept { .. } | Entry::Abandon { .. } | Entry::Stage(_) => {}
        }
    }
    for health in &written.health {
        a_breaker_is_as_it_says(world, health);
    }
}

fn was_turned_away(world: &World, who: &str, facts: &AttemptFacts, answer: &Recorded) {
    if let Recorded::NoRoom(no_room) = answer {
        world.count(|count| count.turned_away += 1);
        world.tell(format!("{who} has no room for {} and job {}: {no_room:?}", facts.provider, facts.job));
    }
}

fn a_job_was_delivered(world: &World, job: JobId) {
    let times = world.facts(|facts| {
        facts.count.delivered += 1;
        let life = facts.lives.get(&job).copied().unwrap_or(0);
        let times = facts.delivered.entry((job, life)).or_default();
        *times += 1;
        *times
    });
    world.law(times == 1, || format!("job {job} was delivered {times} times"));
}

fn a_breaker_is_as_it_says(world: &World, health: &ProviderHealth) {
    let provider = &health.provider;
    let trips = super::house::trip_after(world.plan.seed);
    match health.state {
        BreakerState::Closed => {
            let failures = health.consecutive_failures;
            world.law(failures < trips, || format!("{provider} is closed after {failures} failures"));
            world.law(health.hold.is_none(), || format!("{provider} is closed and held"));
        }
        BreakerState::Open => {
            let says_why = health.open_until.is_some() || health.hold.is_some();
            world.law(says_why, || format!("{provider} is open without an end"));
        }
        BreakerState::HalfOpen => {
            world.law(health.probe.is_some(), || format!("{provider} is half-open without a probe"));
        }
    }
    if health.last_success_at == Some(world.now()) && health.last_failure_at != health.last_success_at {
        let closed = health.state == BreakerState::Closed;
        world.law(closed, || format!("{provider} is {:?} right after a success", health.state));
    }
}

/// Something was written: whoever watches is told, and shut gates are noted.
pub(super) fn something_was_written(world: &World) {
    let now = world.now();
    let healths: Vec<ProviderHealth> =
        world.store.look(|tables| tables.provider_health.values().cloned().collect());
    world.facts(|facts| {
        for health in healths {
            if health.state == BreakerState::Closed {
                facts.probes.remove(&health.provider);
            }
            if health.gate(now, "f1") == Gate::Pass {
                facts.shut_since.remove(&health.provider);
            } else {
                facts.shut_since.entry(health.provider).or_insert(now);
            }
        }
    });
    world.written.notify_waiters();
}

/// What must hold when all is over.
pub(super) fn everything_has_ended(world: &World) {
    let left: Vec<String> = world.store.look(|tables| {
        let unsettled = tables.jobs.values().filter(|job| !job.status.is_settled());
        unsettled.map(|job| format!("job {} ({}) is {}", job.id, job.slug, job.status)).collect()
    });
    world.law(left.is_empty(), || format!("not every job has ended: {}", left.join(", ")));
    world.store.look(|tables| {
        // What is put aside for those below is checked with the rest of the money.
        let open = tables.attempts.values().any(|attempt| attempt.is_open());
        let reserved: i64 = tables.spending.values().map(|counter| counter.reserved).sum();
        world.law(open || reserved == 0, || format!("{reserved} stays put aside, and no call is under way"));
        for attempt in tables.attempts.values().filter(|attempt| attempt.is_open()) {
            // Only what was begun for a job that a person took away may stay without a verdict.
            let run = tables.runs.get(&attempt.run);
            let taken = run.is_some_and(|run| matches!(run.outcome, Some("cancelled" | "released")));
            world.law(taken, || format!("attempt {} of job {} has no verdict", attempt.id, attempt.job));
        }
        for job in tables.jobs.values().filter(|job| job.slug.starts_with(POISON)) {
            let delivered = job.status == JobStatus::Done && job.provider.as_deref() != Some("manual");
            world.law(!delivered, || format!("the poisonous job {} was delivered", job.id));
        }
        for attempt in tables.attempts.values().filter(|attempt| attempt.operation.is_some()) {
            let renders = attempt.provider.as_str() == RENDERS;
            world.law(renders, || format!("attempt {} has an operation of nobody's", attempt.id));
        }
    });
}
