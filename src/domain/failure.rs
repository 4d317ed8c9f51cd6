//! Why an attempt failed, in the few classes that anything depends on.

use std::fmt;
use std::time::Duration;

use super::provider::{OnUnknown, Repeat};
use super::time::Timestamp;

/// The classes of DESIGN section 4. Every protocol maps into them; nothing else decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FailureClass {
    /// The vendor is briefly unable; nothing was made.
    Transient,
    /// Too many calls; `until` is the vendor's hint.
    RateLimited {
        /// When calls are welcome again.
        until: Option<Timestamp>,
    },
    /// Credit or a daily allowance is used up.
    Quota {
        /// When it is filled again.
        until: Option<Timestamp>,
    },
    /// The key is bad or lacks a right.
    Auth,
    /// The model is unknown or switched off.
    Retired,
    /// The vendor calls the request malformed.
    Invalid,
    /// Content policy.
    Refused {
        /// The vendor's word for what it objects to.
        category: Option<String>,
    },
    /// An answer came, and it is no asset.
    Unusable,
    /// No answer in time, for a call that may be repeated for free.
    TimedOut,
    /// A paid call went out, and its fate is not known.
    UnknownOutcome,
    /// Our own disk, database or vault.
    Internal,
}

impl FailureClass {
    /// As it is spelled in rows, logs and JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Transient => "transient",
            Self::RateLimited { .. } => "rate_limited",
            Self::Quota { .. } => "quota",
            Self::Auth => "auth",
            Self::Retired => "retired",
            Self::Invalid => "invalid",
            Self::Refused { .. } => "refused",
            Self::Unusable => "unusable",
            Self::TimedOut => "timed_out",
            Self::UnknownOutcome => "unknown_outcome",
            Self::Internal => "internal",
        }
    }

    /// Reads the spelling of [`FailureClass::as_str`]; hints and categories are not in it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "transient" => Self::Transient,
            "rate_limited" => Self::RateLimited { until: None },
            "quota" => Self::Quota { until: None },
            "auth" => Self::Auth,
            "retired" => Self::Retired,
            "invalid" => Self::Invalid,
            "refused" => Self::Refused { category: None },
            "unusable" => Self::Unusable,
            "timed_out" => Self::TimedOut,
            "unknown_outcome" => Self::UnknownOutcome,
            "internal" => Self::Internal,
            _ => return None,
        })
    }

    /// The class of a call whose answer never came: free calls may simply be repeated, for paid ones nobody
    /// knows what was made and billed.
    #[must_use]
    pub fn without_answer(repeat: Repeat) -> Self {
        match repeat {
            Repeat::Free => Self::TimedOut,
            Repeat::Paid => Self::UnknownOutcome,
        }
    }

    /// What the walk does on this link after `repeats` repeats of the call.
    #[must_use]
    pub fn verdict(&self, repeats: u32, retries: u32, on_unknown: OnUnknown) -> Verdict {
        let repeat_within = |most: u32| if repeats < most { Verdict::Repeat } else { Verdict::Next };
        match self {
            Self::Transient | Self::TimedOut => repeat_within(retries),
            Self::RateLimited { until: Some(until) } if repeats < retries.max(1) => {
                Verdict::WaitIfShort(*until)
            }
            Self::Unusable => repeat_within(1),
            Self::RateLimited { .. }
            | Self::Quota { .. }
            | Self::Auth
            | Self::Retired
            | Self::Invalid
            | Self::Refused { .. } => Verdict::Next,
            Self::UnknownOutcome => match on_unknown {
                OnUnknown::Next => Verdict::Next,
                OnUnknown::Retry => repeat_within(retries.max(1)),
                OnUnknown::Manual => Verdict::AskPerson,
            },
            Self::Internal => Verdict::StopHere,
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a failure means for the link it happened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Call again after a backoff.
    Repeat,
    /// Call again at the hint if that is at most [`SHORT_HINT`] away, else go on.
    WaitIfShort(Timestamp),
    /// Go on with the next link.
    Next,
    /// End the run and ask a person.
    AskPerson,
    /// End the run and come back to this very link.
    StopHere,
}

/// The longest hint a run waits for; a longer one goes to the next link.
pub const SHORT_HINT: Duration = Duration::from_secs(5);

/// One failed attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What kind of failure.
    pub class: FailureClass,
    /// What happened, for the people who read `show` and the journal. Never holds a key, a prompt or a body.
    pub message: String,
    /// The vendor's HTTP status, when there was an answer.
    pub http_status: Option<u16>,
    /// The vendor's own id of the request, for its support desk.
    pub request_id: Option<String>,
    /// What the failed call cost all the same, in micro-dollars.
    pub cost_micros: i64,
    /// Whether an operation has ended with it: whatever its class, asking after the operation again would not
    /// change the answer.
    pub ends_operation: bool,
}

impl Failure {
    /// A failure of this class, without the facts of an HTTP exchange.
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            http_status: None,
            request_id: None,
            cost_micros: 0,
            ends_operation: false,
        }
    }

    /// The usual failure of checks: an answer that is no asset.
    pub fn unusable(why: impl Into<String>) -> Self {
        Self::new(FailureClass::Unusable, why)
    }

    /// The same as the end of an operation.
    #[must_use]
    pub fn of_ended_operation(self) -> Self {
        Self { ends_operation: true, ..self }
    }

    /// Trouble of our own: disk, database, vault.
    pub fn internal(why: impl Into<String>) -> Self {
        Self::new(FailureClass::Internal, why)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.class, self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::from_text;

    const NEXT: OnUnknown = OnUnknown::Next;

    fn all() -> Vec<FailureClass> {
        use FailureClass::*;
        let until = None;
        let category = None;
        vec![
            Transient,
            RateLimited { until },
            Quota { until },
            Auth,
            Retired,
            Invalid,
            Refused { category },
            Unusable,
            TimedOut,
            UnknownOutcome,
            Internal,
        ]
    }

    #[test]
    fn every_class_reads_back() {
        for class in all() {
            assert_eq!(FailureClass::parse(class.as_str()), Some(class));
        }
        assert_eq!(FailureClass::parse("oops"), None);
    }

    #[test]
    fn what_cannot_heal_on_this_link_goes_to_the_next_at_once() {
        use FailureClass::*;
        for class in [Quota { until: None }, Auth, Retired, Invalid, Refused { category: None }] {
            assert_eq!(class.verdict(0, 5, NEXT), Verdict::Next, "{class}");
        }
        assert_eq!(RateLimited { until: None }.verdict(0, 5, NEXT), Verdict::Next);
    }

    #[test]
    fn repeats_are_counted() {
        use FailureClass::*;
        for class in [Transient, TimedOut] {
            assert_eq!(class.verdict(0, 1, NEXT), Verdict::Repeat, "{class}");
            assert_eq!(class.verdict(1, 1, NEXT), Verdict::Next, "{class}");
            assert_eq!(class.verdict(0, 0, NEXT), Verdict::Next, "{class}");
        }
        assert_eq!(
            Unusable.verdict(0, 0, NEXT),
            Verdict::Repeat,
            "an unusable answer is always asked for once more"
        );
        assert_eq!(Unusable.verdict(1, 9, NEXT), Verdict::Next, "and only once");
    }

    #[test]
    fn a_hint_is_waited_for_and_not_for_ever() {
        let until = from_text("2026-11-22T13:49:00.000Z").expect("valid");
        let limited = FailureClass::RateLimited { until: Some(until) };
        assert_eq!(limited.verdict(0, 0, NEXT), Verdict::WaitIfShort(until));
        assert_eq!(limited.verdict(1, 0, NEXT), Verdict::Next);
    }

    #[test]
    fn an_unknown_outcome_follows_the_operator() {
        let unknown = FailureClass::UnknownOutcome;
        assert_eq!(unknown.verdict(0, 3, OnUnknown::Next), Verdict::Next);
        assert_eq!(unknown.verdict(0, 3, OnUnknown::Retry), Verdict::Repeat);
        assert_eq!(unknown.verdict(3, 3, OnUnknown::Retry), Verdict::Next);
        assert_eq!(unknown.verdict(0, 3, OnUnknown::Manual), Verdict::AskPerson);
    }

    #[test]
    fn a_call_without_answer_is_unknown_only_where_it_may_be_billed() {
        assert_eq!(FailureClass::without_answer(Repeat::Free), FailureClass::TimedOut);
        assert_eq!(FailureClass::without_answer(Repeat::Paid), FailureClass::UnknownOutcome);
    }
}
