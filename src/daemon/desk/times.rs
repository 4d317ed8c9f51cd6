//! Lengths of time and instants as people type them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::domain::time::Timestamp;

/// A length of time: `2h`, `30m`, `2d`.
#[must_use]
pub fn span(typed: &str) -> Option<Duration> {
    humantime::parse_duration(typed).ok()
}

/// An instant: a day, or a day with a time and a zone.
#[must_use]
pub fn instant(typed: &str) -> Option<Timestamp> {
    let day = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let found = DateTime::parse_from_rfc3339(typed).map(|at| at.to_utc()).ok();
    found.or_else(|| NaiveDate::parse_from_str(typed, "%Y-%m-%d").ok().map(day))
}
