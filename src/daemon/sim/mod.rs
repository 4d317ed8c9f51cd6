//! The simulation: the daemon's own loop in worlds that are made of a seed, thousands of hours in seconds.
//!
//! Time is tokio's, which jumps to the next timer when nobody has anything to do; chance is the seed's; the store is the
//! memory store that passes the conformance suite. `BACKSTOP_SIM_SEEDS` says how many worlds are tried and
//! `BACKSTOP_SIM_FIRST` at which seed they begin; with `BACKSTOP_SIM_TRACE=1` and `--nocapture` they tell all they do.

mod ground;
mod house;
mod law;
mod life;
mod mood;
mod vendor;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::domain::time::after;

use house::House;
use world::{Ended, World, WorldPlan};

/// How many worlds are tried where nobody says otherwise: one of each kind.
const SEEDS: u64 = 8;

/// In so many worlds everything rare has happened, or they prove nothing.
const MANY: u64 = 100;

/// Time for everything to end when all troubles are over: a job's first claim to its last (an hour), what may heal
/// soon (a quarter of one), the longest run (four hours), and as much again for whoever waits for a free call.
const BOUND: Duration = Duration::from_secs(12 * 3_600);

/// The kinds of worlds: each promise is tried in calm, too, where nothing excuses a breach of it.
fn plan(seed: u64) -> WorldPlan {
    let kind = seed % 8;
    WorldPlan {
        seed,
        hours: u32::try_from(1 + seed % 5).unwrap_or(1),
        jobs: u32::try_from(30 + seed % 71).unwrap_or(30),
        daemons: if kind & 1 == 0 { 1 } else { 2 },
        daemons_die: kind & 2 != 0,
        store_fails: kind & 4 != 0,
        clock_is_set: seed % 3 == 1,
        clocks_differ: seed % 5 < 2,
        budgets: seed % 7 < 3,
        poison: kind == 3 || kind == 6,
        people: !seed.is_multiple_of(3),
        prints: number("BACKSTOP_SIM_TRACE").is_some(),
    }
}

/// Lets a world run to its end.
fn run(plan: WorldPlan) -> Ended {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let world = World::new(plan);
        let house = House::new(Arc::clone(&world)).await;
        let mut tasks = tokio::task::JoinSet::new();
        for place in 0..plan.daemons {
            tasks.spawn(Arc::clone(&house).supervises(place));
        }
        tasks.spawn(Arc::clone(&house).is_haunted());
        let people = tokio::spawn(Arc::clone(&house).is_peopled());
        people.await.expect("people do not panic");
        let last = after(world.heals_at, BOUND);
        while !house.is_quiet() && world.time() < last {
            tokio::time::sleep(Duration::from_secs(30)).await;
        }
        law::everything_has_ended(&world);
        law::every_row_is_lawful(&world, &house);
        house.stops();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let began = crate::domain::time::from_text("2026-11-22T00:00:00.000Z").expect("valid");
        let minutes = crate::domain::time::between(began, world.time()).as_secs() / 60;
        world.count(|count| count.minutes = minutes);
        world.end()
    })
}

/// Lets worlds run, as many at once as this machine has room for.
fn lives(seeds: std::ops::Range<u64>) -> BTreeMap<u64, Ended> {
    let (next, ended) = (AtomicU64::new(seeds.start), Mutex::new(BTreeMap::new()));
    let lives_one_after_another = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !seeds.contains(&seed) {
                return;
            }
            let came_to = run(plan(seed));
            ended.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, came_to);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(lives_one_after_another);
        }
    });
    ended.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn number(name: &str) -> Option<u64> {
    #[allow(clippy::disallowed_methods, reason = "how long a test runs is its caller's choice")]
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

#[test]
fn no_seed_breaks_a_promise() {
    let first = number("BACKSTOP_SIM_FIRST").unwrap_or(0);
    let seeds = number("BACKSTOP_SIM_SEEDS").unwrap_or(SEEDS);
    let mut broken = Vec::new();
    let mut sum = world::Counts::default();
    let began = std::time::Instant::now();
    for (seed, ended) in lives(first..first + seeds) {
        sum.add(&ended.counts);
        if let Some(why) = ended.broken.first() {
            let more = ended.broken.len();
            broken.push(format!("seed {seed} breaks {more} promises, replay it with BACKSTOP_SIM_FIRST={seed} BACKSTOP_SIM_SEEDS=1:\n{why}"));
        }
    }
    let (hours, took) = (sum.minutes / 60, began.elapsed().as_secs_f64());
    println!("{seeds} worlds from seed {first}, {hours} simulated hours in {took:.1} s: {sum:?}");
    let count = broken.len();
    broken.truncate(3);
    assert!(broken.is_empty(), "{count} of {seeds} seeds break a promise\n{}", broken.join("\n\n"));
    if seeds >= MANY {
        let rare = [
            sum.crashes,
            sum.stalls,
            sum.stops,
            sum.troubles,
            sum.takeovers,
            sum.probes,
            sum.stale,
            sum.polls,
            sum.turned_away,
            sum.steps,
            sum.over_budget,
            sum.found_again,
        ];
        assert!(rare.iter().all(|count| *count > 0), "the worlds are too calm to prove anything: {sum:?}");
    }
}

#[test]
fn a_seed_replays_to_the_last_line() {
    let (first, second) = (run(plan(7)), run(plan(7)));
    assert!(first.lines > 100, "{first:?}");
    assert_eq!((first.lines, &first.digest), (second.lines, &second.digest));
    assert_ne!(first.digest, run(plan(2)).digest);
}
