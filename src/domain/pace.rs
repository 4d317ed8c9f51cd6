//! How often a provider may be called, by all daemons of a queue together; and what becomes of a job that finds no room.

use std::fmt;
use std::time::Duration;

use super::failure::SHORT_HINT;
use super::time::{Timestamp, after, before, between, to_text};
use super::walk::HEALS_SOON;

/// Calls that seem to lie ahead count as long as they are no further than this: two daemons read the clock one after
/// the other and write in the other order. What lies further ahead is of a clock that was wrong.
const OUT_OF_ORDER: Duration = Duration::from_secs(60);

/// How soon somebody who found every call taken looks again: nobody knows when one ends.
const TAKEN_LOOK: Duration = Duration::from_secs(2);

/// How soon the job comes back that gave its worker free because every call was taken. The claim sees to it that it
/// is not taken before there is room, as far as it can tell.
const TAKEN_WAIT: Duration = Duration::from_secs(5);

/// A length of time in which calls are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
}

impl Window {
    /// The longest: what is older counts nowhere.
    pub const LONGEST: Self = Self::Hour;

    /// Its length.
    #[must_use]
    pub fn length(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(60),
            Self::Hour => Duration::from_secs(3_600),
        }
    }

    /// The calls that count at `now`: those that began after the first instant and not after the second.
    #[must_use]
    pub fn around(self, now: Timestamp) -> (Timestamp, Timestamp) {
        (before(now, self.length()), after(now, OUT_OF_ORDER))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "a minute",
            Self::Hour => "an hour",
        })
    }
}

/// How often a provider may be called, by all daemons of a queue together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Most calls in flight at once.
    pub at_once: u32,
    /// Most calls begun in any minute.
    pub per_minute: Option<u32>,
    /// Most calls begun in any hour.
    pub per_hour: Option<u32>,
}

/// How many calls of a provider are under way and were begun, as the log has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Calls under way, of whichever daemon.
    pub under_way: u32,
    /// Those of the daemon that asks.
    pub own: u32,
    /// One for each window that the pace names.
    pub begun: Vec<Begun>,
}

/// The newest calls of a window, at most as many as it may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// In which.
    pub window: Window,
    /// How many it may hold.
    pub most: u32,
    /// How many it holds, up to that.
    pub count: u32,
    /// When the oldest of them began.
    pub oldest: Option<Timestamp>,
}

/// A window that is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtLimit {
    /// Which.
    pub window: Window,
    /// How many calls it may hold.
    pub most: u32,
    /// When there is room again.
    pub until: Timestamp,
}

impl fmt::Display for AtLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = if self.most == 1 { "call" } else { "calls" };
        write!(f, "at its limit of {} {calls} {} until {}", self.most, self.window, to_text(self.until))
    }
}

/// Why a call finds no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// As many are under way as may be.
    Taken,
    /// Too many were begun a short while ago.
    AtLimit(AtLimit),
}

impl Pace {
    /// The windows that are bounded.
    pub fn windows(&self) -> impl Iterator<Item = (Window, u32)> + use<> {
        let each = [(Window::Minute, self.per_minute), (Window::Hour, self.per_hour)];
        each.into_iter().filter_map(|(window, most)| Some((window, most?)))
    }

    /// Why one more call finds no room; `None` where there is some. Of several full windows the one that opens last.
    #[must_use]
    pub fn no_room(&self, usage: &Usage, now: Timestamp) -> Option<NoRoom> {
        if let Some(limit) = at_limit(usage, now) {
            return Some(NoRoom::AtLimit(limit));
        }
        (usage.under_way >= self.at_once).then_some(NoRoom::Taken)
    }

    /// How many jobs may be claimed for calls, by a daemon that keeps `held` of its own permits: for calls under way, and
    /// for jobs whose calls are not in the log yet.
    #[must_use]
    pub fn free(&self, usage: &Usage, held: u32) -> u32 {
        let others = usage.under_way.saturating_sub(usage.own);
        let at_once = self.at_once.saturating_sub(others).saturating_sub(held);
        let to_begin = held.saturating_sub(usage.own);
        let left = |begun: &Begun| begun.most.saturating_sub(begun.count).saturating_sub(to_begin);
        usage.begun.iter().map(left).fold(at_once, u32::min)
    }
}

/// The full window that opens last.
#[must_use]
pub fn at_limit(usage: &Usage, now: Timestamp) -> Option<AtLimit> {
    let full = usage.begun.iter().filter(|begun| begun.count >= begun.most).map(|begun| {
        // One that cannot be read began just now.
        let until = after(begun.oldest.unwrap_or(now), begun.window.length());
        AtLimit { window: begun.window, most: begun.most, until }
    });
    full.max_by_key(|limit| limit.until)
}

/// Whether a link at its limit keeps its jobs waiting in the queue. Where the room comes later, another link that could
/// be called takes its turn: nobody is kept waiting for longer than for a link that may heal.
#[must_use]
pub fn is_worth_waiting(limit: &AtLimit, now: Timestamp) -> bool {
    between(now, limit.until) <= HEALS_SOON
}

/// Where a job stands that found no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether nobody was called in this run yet.
    pub is_first: bool,
    /// Whether a link after this one would be called.
    pub has_next: bool,
    /// Whether the job is too young to be given up.
    pub is_young: bool,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It waits here: that is soon over.
    Wait(Timestamp),
    /// It gives its worker free and comes back to this very link.
    ComeBack(Timestamp),
    /// It goes on without this link.
    Pass,
}

/// What a job does that found no room. The queue does the waiting where nobody was called yet, or where nobody else
/// is left to be called: a limit of our own is nobody's failure, and no reason for a fallback.
#[must_use]
pub fn turn(no_room: &NoRoom, standing: Standing, now: Timestamp) -> Turn {
    let stays = standing.is_young && (standing.is_first || !standing.has_next);
    match no_room {
        NoRoom::Taken if stays => Turn::ComeBack(after(now, TAKEN_WAIT)),
        // As long as the link has time; its call would wait for a permit of this daemon just so.
        NoRoom::Taken => Turn::Wait(after(now, TAKEN_LOOK)),
        NoRoom::AtLimit(limit) if between(now, limit.until) <= SHORT_HINT => Turn::Wait(limit.until),
        NoRoom::AtLimit(limit) if stays && (is_worth_waiting(limit, now) || !standing.has_next) => {
            Turn::ComeBack(limit.until)
        }
        NoRoom::AtLimit(_) => Turn::Pass,
    }
}

/// As people read it: `8 calls at once, 10 a minute`.
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at once", self.at_once)?;
        for (window, most) in self.windows() {
            write!(f, ", {most} {window}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
