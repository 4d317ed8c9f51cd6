//! Notices: what people and programs are told without asking.

use serde::Serialize;

use super::breaker::{BreakerState, ProviderHealth};
use super::budget::{Budget, Counter, Scope, Span, dollars};
use super::time::Timestamp;

/// What a notice is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A job needs a person.
    Manual,
    /// A job is done.
    Done,
    /// A job failed, as its operator wants.
    Failed,
    /// A provider is not called for a while.
    ProviderOpened,
    /// A provider is called again.
    ProviderClosed,
    /// A provider's model was shut down.
    ProviderRetired,
    /// Four fifths of a budget are used up.
    #[serde(rename = "budget_80")]
    Budget80,
    /// A budget is used up.
    #[serde(rename = "budget_100")]
    Budget100,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Manual,
        Self::Done,
        Self::Failed,
        Self::ProviderOpened,
        Self::ProviderClosed,
        Self::ProviderRetired,
        Self::Budget80,
        Self::Budget100,
    ];

    /// As it is spelled in rows, in the configuration and on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::ProviderOpened => "provider_opened",
            Self::ProviderClosed => "provider_closed",
            Self::ProviderRetired => "provider_retired",
            Self::Budget80 => "budget_80",
            Self::Budget100 => "budget_100",
        }
    }

    /// Reads the spelling of [`NoticeKind::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What somebody may want to hear of a provider whose health has changed.
#[must_use]
pub fn news(before: &ProviderHealth, now: &ProviderHealth) -> Option<NoticeKind> {
    let retired = |health: &ProviderHealth| health.hold.as_ref().is_some_and(|hold| hold.class == "retired");
    if retired(now) && !retired(before) {
        return Some(NoticeKind::ProviderRetired);
    }
    match (before.state, now.state) {
        (BreakerState::Closed, BreakerState::Open | BreakerState::HalfOpen) => {
            Some(NoticeKind::ProviderOpened)
        }
        (BreakerState::Open | BreakerState::HalfOpen, BreakerState::Closed) => {
            Some(NoticeKind::ProviderClosed)
        }
        (BreakerState::Closed, BreakerState::Closed)
        | (BreakerState::Open | BreakerState::HalfOpen, BreakerState::Open | BreakerState::HalfOpen) => None,
    }
}

/// A threshold of a budget that was passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// Which threshold.
    pub kind: NoticeKind,
    /// What this is told once for.
    pub topic: String,
    /// The sentence.
    pub detail: String,
}

/// Which of a budget's thresholds are passed. Both are told where a single call passes both: whoever hears of the
/// second should have heard of the first.
#[must_use]
pub fn passed(
    scope: Scope,
    name: &str,
    budget: Budget,
    counter: impl Fn(Span) -> Counter,
    now: Timestamp,
) -> Vec<Passed> {
    let mut all = Vec::new();
    for span in Span::ALL {
        let Some(limit) = budget.limit(span).filter(|limit| *limit > 0) else { continue };
        let used = counter(span).used();
        for (kind, percent) in [(NoticeKind::Budget80, 80), (NoticeKind::Budget100, 100)] {
            // In 128 bits, as a million dollars times a hundred may not fit 64.
            if i128::from(used) * 100 < i128::from(limit) * percent {
                continue;
            }
            let (period, scope) = (span.period(now), scope.as_str());
            all.push(Passed {
                kind,
                topic: format!("{}:{scope}:{name}:{period}", kind.as_str()),
                detail: format!("{name} has used {} of {} of {period}", dollars(used), dollars(limit)),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::breaker::Hold;
    use crate::domain::name::ProviderName;
    use crate::domain::time::{after, from_text};

    #[test]
    fn kinds_are_read_as_they_are_spelled() {
        for kind in NoticeKind::ALL {
            assert_eq!(NoticeKind::parse(kind.as_str()), Some(kind));
            assert_eq!(serde_json::json!(kind), kind.as_str());
        }
        assert_eq!(NoticeKind::parse("Manual"), None);
    }

    #[test]
    fn a_provider_is_news_when_it_opens_closes_or_is_retired() {
        let health = |state, class: Option<&'static str>| {
            let mut health = ProviderHealth::unknown(ProviderName::parse("lummi").expect("valid"));
            health.state = state;
            health.hold = class.map(|class| Hold { class, fingerprint: "f".to_owned() });
            health
        };
        let (closed, open) = (health(BreakerState::Closed, None), health(BreakerState::Open, None));
        let half = health(BreakerState::HalfOpen, None);
        let (auth, retired) =
            (health(BreakerState::Open, Some("auth")), health(BreakerState::Open, Some("retired")));
        let check = |before: &ProviderHealth, now: &ProviderHealth, expected| {
            assert_eq!(news(before, now), expected, "{before:?} {now:?}");
        };
        check(&closed, &open, Some(NoticeKind::ProviderOpened));
        check(&closed, &auth, Some(NoticeKind::ProviderOpened));
        check(&closed, &retired, Some(NoticeKind::ProviderRetired));
        check(&open, &retired, Some(NoticeKind::ProviderRetired));
        check(&retired, &retired, None);
        check(&half, &open, None);
        check(&open, &half, None);
        check(&half, &closed, Some(NoticeKind::ProviderClosed));
        check(&closed, &closed, None);
    }

    #[test]
    fn thresholds_are_passed_once_in_each_period() {
        let now = from_text("2026-11-24T10:00:00.000Z").expect("valid");
        let budget = Budget { day_micros: Some(1_000_000), month_micros: Some(10_000_000) };
        let topics = |day: i64, month: i64, now: Timestamp| -> Vec<String> {
            let counter = |span| Counter { reserved: 0, spent: if span == Span::Day { day } else { month } };
            passed(Scope::Provider, "house", budget, counter, now).into_iter().map(|one| one.topic).collect()
        };
        assert_eq!(topics(799_999, 799_999, now), [""; 0]);
        assert_eq!(topics(800_000, 800_000, now), ["budget_80:provider:house:2026-11-24"]);
        let both = ["budget_80:provider:house:2026-11-24", "budget_100:provider:house:2026-11-24"];
        assert_eq!(topics(1_000_000, 1_000_000, now), both);
        let tomorrow = after(now, Duration::from_secs(86_400));
        assert_eq!(topics(0, 8_000_000, tomorrow), ["budget_80:provider:house:2026-11"]);
        let counter = |_| Counter { reserved: 900_000, spent: 0 };
        let said = passed(Scope::Asset, "hero-image", budget, counter, now);
        assert_eq!(said[0].detail, "hero-image has used $0.90 of $1.00 of 2026-11-24");
    }
}
