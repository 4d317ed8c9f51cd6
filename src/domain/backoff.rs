//! How long to wait before the same thing is tried again.

use std::time::Duration;

/// An exponential backoff: `base`, doubling with each repeat, never above `cap`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The ceiling of the first wait.
    pub base: Duration,
    /// The ceiling of every wait.
    pub cap: Duration,
}

/// Between two calls of one link within a run.
pub const BETWEEN_REPEATS: Backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(20) };

/// Between two runs of a job whose links can heal but gave no hint when.
pub const BETWEEN_RUNS: Backoff =
    Backoff { base: Duration::from_secs(60), cap: Duration::from_secs(10 * 60) };

/// Before a job stopped by trouble of our own is taken up again.
pub const AFTER_TROUBLE: Backoff =
    Backoff { base: Duration::from_secs(10), cap: Duration::from_secs(5 * 60) };

impl Backoff {
    /// The longest wait before repeat number `repeat` (0 for the first).
    #[must_use]
    pub fn ceiling(self, repeat: u32) -> Duration {
        let factor = 1_u32.checked_shl(repeat).unwrap_or(u32::MAX);
        self.base.saturating_mul(factor).min(self.cap)
    }

    /// Full jitter: anything between nothing and the ceiling, `jitter` being the share (0 to 1) of it. Callers
    /// that failed together come back apart.
    /// Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    #[must_use]
    pub fn full_jitter(self, repeat: u32, jitter: f64) -> Duration {
        self.ceiling(repeat).mul_f64(share(jitter))
    }

    /// Equal jitter: at least half of the ceiling. For waits that must not shrink to nothing.
    #[must_use]
    pub fn equal_jitter(self, repeat: u32, jitter: f64) -> Duration {
        self.ceiling(repeat).mul_f64(0.5 + share(jitter) / 2.0)
    }
}

fn share(jitter: f64) -> f64 {
    if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.5 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_jitter_takes_its_share() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(20) };
        let ceilings: Vec<u64> = (0..7).map(|repeat| backoff.ceiling(repeat).as_secs()).collect();
        assert_eq!(ceilings, [1, 2, 4, 8, 16, 20, 20]);
        assert_eq!(backoff.ceiling(u32::MAX), Duration::from_secs(20));
        assert_eq!(backoff.full_jitter(3, 0.0), Duration::ZERO);
        assert_eq!(backoff.full_jitter(3, 0.5), Duration::from_secs(4));
        assert_eq!(backoff.equal_jitter(3, 0.0), Duration::from_secs(4));
        assert_eq!(backoff.full_jitter(0, f64::NAN), Duration::from_millis(500));
        assert_eq!(backoff.full_jitter(0, 7.0), Duration::from_secs(1));
    }
}
