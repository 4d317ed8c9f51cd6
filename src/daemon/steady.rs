//! Time that a clock which is set, or a machine that was asleep, does not disturb.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::time::{Timestamp, after, between};

/// Time as one run counts it: from the wall's at its start, onward by the machine's steady clock. So a clock that is
/// set meanwhile neither ends the run nor stretches it, and a machine that slept has not used up its time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steady {
    wall: Timestamp,
    began: Instant,
}

impl Steady {
    pub(super) fn starting_at(wall: Timestamp) -> Self {
        Self { wall, began: Instant::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        after(self.wall, self.began.elapsed())
    }

    /// An instant of this run as the wall has it, where it is `wall` now.
    pub(super) fn on_the_wall(&self, at: Timestamp, wall: Timestamp) -> Timestamp {
        after(wall, between(self.now(), at))
    }
}

/// Notices when the wall's clock moves other than time does.
#[derive(Debug)]
pub(super) struct Jumps {
    last: Steady,
    jumped: Option<Instant>,
}

impl Jumps {
    pub(super) fn watch(wall: Timestamp) -> Self {
        Self { last: Steady::starting_at(wall), jumped: None }
    }

    /// Whether a lease that has ended is over: always, but for the length of one after a jump. Workers that live have
    /// renewed by then, by the clock as it is; the dead have not.
    pub(super) fn are_past(&mut self, wall: Timestamp, lease: Duration) -> bool {
        let moved = (wall - self.last.now()).abs().to_std().unwrap_or(Duration::MAX);
        self.last = Steady::starting_at(wall);
        if moved > lease / 6 {
            self.jumped = Some(Instant::now());
            tracing::warn!(
                by = %humantime::format_duration(Duration::from_secs(moved.as_secs())),
                "the clock was set, or the machine was asleep; leases are left alone until their holders could renew them"
            );
        }
        match self.jumped {
            Some(jumped) if jumped.elapsed() < lease => false,
            Some(_) | None => {
                self.jumped = None;
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn noon() -> Timestamp {
        crate::domain::time::from_text("2026-11-24T12:00:00.000Z").expect("a time")
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_counts_by_the_steady_clock_whatever_the_wall_says() {
        let steady = Steady::starting_at(noon());
        tokio::time::advance(LEASE).await;
        assert_eq!(steady.now(), after(noon(), LEASE));
        // The wall was set an hour forward: what comes in a minute still comes in a minute.
        let wall = after(noon(), HOUR);
        assert_eq!(steady.on_the_wall(after(steady.now(), LEASE), wall), after(wall, LEASE));
        assert_eq!(steady.on_the_wall(noon(), wall), wall);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_jump_nobodys_lease_is_over_for_the_length_of_one() {
        let mut jumps = Jumps::watch(noon());
        tokio::time::advance(LEASE).await;
        let mut wall = after(noon(), LEASE + Duration::from_secs(3));
        assert!(jumps.are_past(wall, LEASE), "clocks drift");
        wall = after(wall, HOUR);
        assert!(!jumps.are_past(wall, LEASE), "forward");
        tokio::time::advance(LEASE / 2).await;
        wall = after(wall, LEASE / 2);
        assert!(!jumps.are_past(wall, LEASE));
        tokio::time::advance(LEASE).await;
        wall = after(wall, LEASE);
        assert!(jumps.are_past(wall, LEASE));
        let back = noon();
        assert!(!jumps.are_past(back, LEASE), "back");
    }
}
