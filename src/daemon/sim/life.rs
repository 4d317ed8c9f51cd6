//! The life of one simulated daemon process: it may die at any await, or stand still for a while.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::domain::time::Clock;

use super::world::World;

/// Most milliseconds by which a process's clock is ahead of the machine's, or behind it.
pub(super) const SKEW: i64 = 3_000;

/// One process.
pub(super) struct Life {
    pub(super) name: String,
    world: Arc<World>,
    /// By how much its clock differs from the machine's.
    skew: TimeDelta,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    dead: bool,
    stands_until: Option<Instant>,
    process: Option<AbortHandle>,
}

impl Life {
    pub(super) fn new(name: String, world: Arc<World>) -> Arc<Self> {
        let skew = if world.plan.clocks_differ { world.chance(|chance| chance.i64(-SKEW..=SKEW)) } else { 0 };
        Arc::new(Self { name, world, skew: TimeDelta::milliseconds(skew), state: Mutex::default() })
    }

    /// Its clock.
    pub(super) fn clock(&self) -> Clock {
        let (clock, skew) = (Arc::clone(&self.world.clock), self.skew);
        Arc::new(move || clock() + skew)
    }

    /// Whether it has neither died nor ended, and does not stand still.
    pub(super) fn could_renew(&self) -> bool {
        self.with(|state| !state.dead && state.stands_until.is_none())
    }

    /// The task that is the process.
    pub(super) fn is(&self, process: AbortHandle) {
        let dead = self.with(|state| {
            state.process = Some(process.clone());
            state.dead
        });
        if dead {
            process.abort();
        }
    }

    /// Kills the process: whatever it was about to do, it does nothing any more.
    pub(super) fn dies(&self, why: &str) {
        let process = self.with(|state| {
            let first = !std::mem::replace(&mut state.dead, true);
            first.then(|| state.process.clone())
        });
        if let Some(process) = process {
            self.world.tell(format!("{} dies: {why}", self.name));
            self.world.is_troubled();
            self.world.count(|count| count.crashes += 1);
            if let Some(process) = process {
                process.abort();
            }
        }
    }

    /// It has come to its end; what still runs of it must not be heard of.
    pub(super) fn is_over(&self) {
        self.with(|state| state.dead = true);
    }

    /// Lets the process stand still, as SIGSTOP or a suspended machine does.
    pub(super) fn stands_still(&self, length: Duration) {
        self.world.tell(format!("{} stands still for {} s", self.name, length.as_secs()));
        self.world.is_troubled();
        self.world.count(|count| count.stalls += 1);
        self.with(|state| state.stands_until = Some(Instant::now() + length));
    }

    /// Goes on, if the process lives; waits while it stands still; never returns when it is dead.
    pub(super) async fn goes_on(&self) {
        loop {
            let (dead, stands) = self.with(|state| (state.dead, state.stands_until));
            if dead {
                return std::future::pending().await;
            }
            match stands.filter(|until| *until > Instant::now()) {
                Some(until) => tokio::time::sleep_until(until).await,
                None => break,
            }
        }
        if self.with(|state| state.stands_until.take()).is_some() {
            self.world.is_troubled();
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
