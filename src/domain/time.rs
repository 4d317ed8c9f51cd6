//! Instants as Backstop keeps them: UTC, to the millisecond, one spelling.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, SubsecRound, TimeDelta, Utc};

/// A point in time, in UTC.
pub type Timestamp = DateTime<Utc>;

/// Where the present comes from. Passed in, so that no rule reads a clock of its own.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

const FORM: &str = "%Y-%m-%dT%H:%M:%S%.3fZ";

/// The one spelling of an instant in SQL, JSON and logs: `2026-11-22T13:49:00.000Z`.
/// It has a fixed width, so that text compares as time does.
#[must_use]
pub fn to_text(at: Timestamp) -> String {
    at.trunc_subsecs(3).format(FORM).to_string()
}

/// Reads the spelling that [`to_text`] writes; anything else is `None`.
#[must_use]
pub fn from_text(text: &str) -> Option<Timestamp> {
    NaiveDateTime::parse_from_str(text, FORM).ok().map(|naive| naive.and_utc())
}

/// `at` plus `wait`, held at the end of time instead of overflowing.
#[must_use]
pub fn after(at: Timestamp, wait: Duration) -> Timestamp {
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|delta| at.checked_add_signed(delta))
        .unwrap_or(Timestamp::MAX_UTC)
}

/// `at` less `wait`, held at the beginning of time instead of overflowing.
#[must_use]
pub fn before(at: Timestamp, wait: Duration) -> Timestamp {
    TimeDelta::from_std(wait)
        .ok()
        .and_then(|delta| at.checked_sub_signed(delta))
        .unwrap_or(Timestamp::MIN_UTC)
}

/// How long from `from` to `to`; zero when `to` is not later.
#[must_use]
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    (to - from).to_std().unwrap_or(Duration::ZERO)
}

/// A length of time as a person says it: `3 days`, `1 minute`; `a moment` under one second.
#[must_use]
pub fn spoken(length: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let seconds = length.as_secs();
    for (size, word) in UNITS {
        let count = seconds / size;
        if count == 1 {
            return format!("1 {word}");
        }
        if count > 1 {
            return format!("{count} {word}s");
        }
    }
    "a moment".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        from_text(text).expect("a valid instant")
    }

    #[test]
    fn text_has_a_fixed_width_and_reads_back() {
        for text in ["2026-11-22T13:49:00.000Z", "2026-01-01T00:00:00.120Z", "1999-12-31T23:59:59.999Z"] {
            assert_eq!(to_text(at(text)), text);
        }
        assert_eq!(from_text("2026-11-22 13:49:00"), None);
        assert_eq!(from_text("2026-02-31T00:00:00.000Z"), None);
    }

    #[test]
    fn lengths_are_spoken_in_their_largest_unit() {
        let check = |seconds, expected: &str| assert_eq!(spoken(Duration::from_secs(seconds)), expected);
        check(0, "a moment");
        check(1, "1 second");
        check(59, "59 seconds");
        check(60, "1 minute");
        check(7_199, "1 hour");
        check(3 * 86_400, "3 days");
    }

    #[test]
    fn arithmetic_does_not_overflow() {
        assert_eq!(after(at("2026-11-22T13:49:00.000Z"), Duration::MAX), Timestamp::MAX_UTC);
        assert_eq!(between(at("2026-11-22T13:49:00.000Z"), at("2020-01-01T00:00:00.000Z")), Duration::ZERO);
    }
}
