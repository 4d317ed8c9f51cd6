//! Nothing lost, nothing paid twice: the real binary is killed at named moments and at random ones, again and again.
//!
//! `BACKSTOP_KILLS=500 cargo test --test it kills:: -- --nocapture` is the long form; `BACKSTOP_KILLS_SEED` repeats the
//! plan of an earlier run, which prints its own.

mod lane;
mod ledger;
mod vendor;

use std::collections::BTreeMap;
use std::thread;
use std::time::Instant;

use lane::{Kill, Lane, Tally};
use vendor::Moment;

/// Queues that are killed side by side: a film's first poll comes a second or two after its submit, and waiting for
/// it in one queue leaves time for the others.
const LANES: usize = 6;

/// Kills of one round through the deck.
const DECK: &[Kill] = &[
    Kill::Inside("after-proof"),
    Kill::Inside("after-claim"),
    Kill::Inside("after-intent"),
    Kill::Inside("after-reply"),
    Kill::Inside("after-accept"),
    Kill::Inside("after-stage"),
    Kill::Inside("after-keep"),
    Kill::Inside("before-commit"),
    Kill::Inside("after-commit"),
    Kill::Seen(Moment::Call),
    Kill::Seen(Moment::Poll),
    Kill::Seen(Moment::Download),
    Kill::Random,
    Kill::Random,
    Kill::Random,
    Kill::Random,
];

#[test]
#[allow(clippy::disallowed_methods, reason = "a test says how long it runs, and which run it repeats")]
fn killed_at_any_instant_it_loses_no_job_and_pays_for_nothing_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let kills = number("BACKSTOP_KILLS").map_or(50, |kills| usize::try_from(kills).expect("a count"));
    let seed = number("BACKSTOP_KILLS_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("kills: {kills}, seed: {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut plan: Vec<Kill> = DECK.iter().copied().cycle().take(kills).collect();
    random.shuffle(&mut plan);
    let began = Instant::now();
    let lanes: Vec<_> = plan
        .chunks(kills.div_ceil(LANES).max(1))
        .map(|part| {
            let (part, seed) = (part.to_vec(), random.u64(..));
            thread::spawn(move || Lane::start(seed).endure(&part))
        })
        .collect();
    let mut sum = Tally::default();
    for lane in lanes {
        sum.add(&lane.join().unwrap_or_else(|_| panic!("a queue did not come through; seed {seed}")));
    }
    println!("{}", sum.table(began.elapsed()));
    assert!(sum.kills.values().sum::<usize>() >= kills);
    if kills >= DECK.len() {
        let mut missing: BTreeMap<&str, usize> = DECK.iter().map(|kill| (kill.name(), 0)).collect();
        missing.retain(|name, _| !sum.kills.contains_key(name));
        assert!(missing.is_empty(), "no kill came at {missing:?}; seed {seed}");
    }
    assert_eq!(sum.jobs, sum.done + sum.manual);
}
