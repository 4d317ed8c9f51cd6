//! Budgets: what providers and assets may cost per day and month, and whether one more call fits.

use std::collections::HashMap;
use std::fmt;

use chrono::{Datelike, Days, Months, NaiveTime};

use super::asset::Asset;
use super::name::{AssetName, ProviderName};
use super::provider::{Provider, Repeat};
use super::time::{Timestamp, to_text};

/// More than this no call is taken to cost, in micro-dollars: a million dollars.
pub const MOST_OF_A_CALL: i64 = 1_000_000_000_000;

/// What somebody or something may cost, in micro-dollars; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Budget {
    /// In a UTC day.
    pub day_micros: Option<i64>,
    /// In a UTC month.
    pub month_micros: Option<i64>,
}

impl Budget {
    /// The limit of one kind of period.
    #[must_use]
    pub fn limit(&self, span: Span) -> Option<i64> {
        match span {
            Span::Day => self.day_micros,
            Span::Month => self.month_micros,
        }
    }

    /// Whether there is any limit.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.day_micros.is_some() || self.month_micros.is_some()
    }
}

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// A provider's, for whatever asset it is called.
    Provider,
    /// An asset's, whoever is called for it.
    Asset,
}

impl Scope {
    /// Both, in the order in which they are asked.
    pub const ALL: [Self; 2] = [Self::Provider, Self::Asset];

    /// As it is spelled in rows.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Asset => "asset",
        }
    }
}

/// The two periods that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// A UTC day.
    Day,
    /// A UTC month.
    Month,
}

impl Span {
    /// Both. A month's end is waited for longer, but a day's is the nearer reason.
    pub const ALL: [Self; 2] = [Self::Day, Self::Month];

    /// `day` or `month`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    /// The period around an instant, as rows name it: `2026-11-24`, `2026-11`.
    #[must_use]
    pub fn period(self, at: Timestamp) -> String {
        let form = match self {
            Self::Day => "%Y-%m-%d",
            Self::Month => "%Y-%m",
        };
        at.format(form).to_string()
    }

    /// When the period around an instant ends, and its counter begins anew.
    #[must_use]
    pub fn end(self, at: Timestamp) -> Timestamp {
        let today = at.date_naive();
        let next = match self {
            Self::Day => today.checked_add_days(Days::new(1)),
            Self::Month => today.with_day(1).and_then(|first| first.checked_add_months(Months::new(1))),
        };
        next.map_or(Timestamp::MAX_UTC, |day| day.and_time(NaiveTime::MIN).and_utc())
    }
}

/// What one provider or asset has cost in one period, in micro-dollars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counter {
    /// What calls under way may cost.
    pub reserved: i64,
    /// What calls that have ended did cost.
    pub spent: i64,
}

impl Counter {
    /// Both together: what is not to be had any more.
    #[must_use]
    pub fn used(self) -> i64 {
        self.reserved.saturating_add(self.spent)
    }

    /// Puts aside what a call may cost.
    pub fn reserve(&mut self, micros: i64) {
        self.reserved = self.reserved.saturating_add(micros);
    }

    /// Gives back what was put aside for a call and adds what it did cost.
    pub fn settle(&mut self, reserved: i64, cost: i64) {
        self.reserved = self.reserved.saturating_sub(reserved).max(0);
        self.spent = self.spent.saturating_add(cost);
    }
}

/// What a call is taken to have cost. Where its fate is not known the money may be gone, so that what was put
/// aside for it counts as spent.
#[must_use]
pub fn cost_of_verdict(is_unknown: bool, reserved_micros: i64, cost_micros: i64) -> i64 {
    if is_unknown { cost_micros.max(reserved_micros) } else { cost_micros }
}

/// The counters of the day and the month around one instant.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Spending {
    counters: HashMap<(Scope, Span), HashMap<String, Counter>>,
}

impl Spending {
    /// Takes in one counter.
    pub fn insert(&mut self, scope: Scope, span: Span, name: String, counter: Counter) {
        self.counters.entry((scope, span)).or_default().insert(name, counter);
    }

    /// A counter; zero where nothing is counted yet.
    #[must_use]
    pub fn of(&self, scope: Scope, span: Span, name: &str) -> Counter {
        self.counters.get(&(scope, span)).and_then(|names| names.get(name)).copied().unwrap_or_default()
    }

    /// The first budget that has no room for a call of `provider` at `now`; `None` when it may be made.
    #[must_use]
    pub fn used_up(
        &self,
        reservation: &Reservation,
        provider: &ProviderName,
        now: Timestamp,
    ) -> Option<UsedUp> {
        reservation.used_up(now, |scope, span| {
            let name = match scope {
                Scope::Provider => provider.as_str(),
                Scope::Asset => reservation.asset.as_str(),
            };
            self.of(scope, span, name)
        })
    }
}

/// What one paid call may cost, and within which limits.
#[derive(Debug, Clone, PartialEq)]
pub struct Reservation {
    /// The asset it is made for.
    pub asset: AssetName,
    /// What it may cost, in micro-dollars; 0 where its price is not known.
    pub micros: i64,
    /// The limits of its provider.
    pub provider_budget: Budget,
    /// The limits of its asset.
    pub asset_budget: Budget,
}

impl Reservation {
    /// A reservation for a call of `provider` that may cost `micros`; `None` where its calls are free.
    #[must_use]
    pub fn new(provider: &Provider, asset: &Asset, micros: i64) -> Option<Self> {
        (provider.repeat == Repeat::Paid).then(|| Self {
            asset: asset.name.clone(),
            micros: micros.clamp(0, MOST_OF_A_CALL),
            provider_budget: provider.budget,
            asset_budget: asset.budget,
        })
    }

    /// The limits on one side.
    #[must_use]
    pub fn budget(&self, scope: Scope) -> Budget {
        match scope {
            Scope::Provider => self.provider_budget,
            Scope::Asset => self.asset_budget,
        }
    }

    /// Whether counters must be read before the call. Where its price is not known, it is held to its provider's
    /// budget alone, by what earlier replies said: it must not stand still because others of its asset were dear.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.provider_budget.is_set() || (self.micros > 0 && self.asset_budget.is_set())
    }

    /// The first budget that has no room for the call at `at`; `None` when it may be made.
    #[must_use]
    pub fn used_up(&self, at: Timestamp, counter: impl Fn(Scope, Span) -> Counter) -> Option<UsedUp> {
        for scope in Scope::ALL {
            for span in Span::ALL {
                let Some(limit_micros) = self.budget(scope).limit(span) else { continue };
                let counter = counter(scope, span);
                let fits = match (self.micros, scope) {
                    (0, Scope::Asset) => true,
                    (0, Scope::Provider) => counter.used() == 0 || counter.used() < limit_micros,
                    (micros, Scope::Provider | Scope::Asset) => {
                        counter.used().saturating_add(micros) <= limit_micros
                    }
                };
                if !fits {
                    let until = span.end(at);
                    return Some(UsedUp {
                        scope,
                        span,
                        limit_micros,
                        counter,
                        call_micros: self.micros,
                        until,
                    });
                }
            }
        }
        None
    }
}

/// A budget that has no room for one more call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsedUp {
    /// Whose it is.
    pub scope: Scope,
    /// Of which period.
    pub span: Span,
    /// The limit, in micro-dollars.
    pub limit_micros: i64,
    /// What is spent and reserved of it.
    pub counter: Counter,
    /// What the call that was not made may cost.
    pub call_micros: i64,
    /// When the period ends.
    pub until: Timestamp,
}

impl fmt::Display for UsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, spent) = (dollars(self.limit_micros), dollars(self.counter.spent));
        let (whose, span) = (self.scope.as_str(), self.span.as_str());
        write!(f, "over budget: of the {whose}'s {limit} a {span}, {spent} is spent")?;
        if self.counter.reserved > 0 {
            write!(f, " and {} reserved for calls under way", dollars(self.counter.reserved))?;
        }
        if self.call_micros > 0 {
            write!(f, ", and one call may cost {}", dollars(self.call_micros))?;
        }
        write!(f, "; until {}", to_text(self.until))
    }
}

/// Micro-dollars as people write them: `$5.00`, `$0.067`.
#[must_use]
pub fn dollars(micros: i64) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, rest) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let mut digits = format!("{rest:06}");
    while digits.len() > 2 && digits.ends_with('0') {
        digits.pop();
    }
    format!("{sign}${whole}.{digits}")
}

/// Dollars as a person types them, in micro-dollars: exact, because they are read digit by digit. `None` for what is
/// no such number, is negative or finer than a micro-dollar, or does not fit.
#[must_use]
pub fn micros_of(dollars: &str) -> Option<i64> {
    let (whole, fraction) = dollars.split_once('.').unwrap_or((dollars, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 6 {
        return None;
    }
    let micros: i64 = format!("{fraction:0<6}").parse().ok()?;
    whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros)
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(in crate::domain) mod tests;
