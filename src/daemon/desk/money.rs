//! What the database remembers of providers and money, and how what was spent is said.

use serde_json::{Value, json};

use crate::config::Config;
use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::{Budget, Counter, Scope, Span, Spending, dollars};
use crate::domain::name::ProviderName;
use crate::domain::pace::{AtLimit, Pace, Usage, at_limit};
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError};

/// What the database remembers; nothing where there is none yet.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Of every provider.
    pub health: Vec<ProviderHealth>,
    /// What was spent today and this month.
    pub spending: Spending,
    /// How often the providers were called whose calls are bounded.
    pub usages: Vec<(ProviderName, Usage)>,
}

impl Remembered {
    /// Reads it as it is at `now`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(store: &dyn Store, config: &Config, now: Timestamp) -> Result<Self, StoreError> {
        let health = store.provider_health().await?;
        let bounded = config.providers.iter();
        let bounded: Vec<(ProviderName, Pace)> =
            bounded.filter_map(|provider| Some((provider.name.clone(), provider.pace?))).collect();
        let usages = store.usages(&bounded, "", now).await?;
        let usages = bounded.into_iter().map(|(name, _)| name).zip(usages).collect();
        Ok(Self { health, spending: store.spending(now).await?, usages })
    }

    /// How often a provider was called.
    pub(super) fn usage(&self, provider: &ProviderName) -> Option<&Usage> {
        self.usages.iter().find(|(name, _)| name == provider).map(|(_, usage)| usage)
    }

    /// The limit that a provider has reached.
    pub(super) fn at_limit(&self, provider: &ProviderName, now: Timestamp) -> Option<AtLimit> {
        at_limit(self.usage(provider)?, now)
    }
}

/// One provider's or asset's money.
pub struct Money<'a> {
    /// Whose.
    pub scope: Scope,
    /// Its name.
    pub name: &'a str,
    /// What it may cost.
    pub budget: Budget,
    /// What everything did.
    pub spending: &'a Spending,
}

impl Money<'_> {
    /// `$0.20 of $5.00 today, $1.40 this month`; empty where there is no limit and nothing was spent.
    pub fn said(&self) -> String {
        let part = |span: Span| {
            let (counter, limit) = (self.spending.of(self.scope, span, self.name), self.budget.limit(span));
            let when = match span {
                Span::Day => "today",
                Span::Month => "this month",
            };
            let spent = dollars(counter.spent);
            let spent = match counter.reserved {
                0 => spent,
                reserved => format!("{spent} and {} reserved", dollars(reserved)),
            };
            match limit {
                None if counter.used() == 0 => None,
                None => Some(format!("{spent} {when}")),
                Some(limit) => Some(format!("{spent} of {} {when}", dollars(limit))),
            }
        };
        Span::ALL.into_iter().filter_map(part).collect::<Vec<_>>().join(", ")
    }

    /// What it has cost in this period, and what it may.
    #[must_use]
    pub fn of(&self, span: Span) -> (Counter, Option<i64>) {
        (self.spending.of(self.scope, span, self.name), self.budget.limit(span))
    }

    /// For programs, in micro-dollars.
    pub fn json(&self) -> Value {
        let part = |span: Span| {
            let counter = self.spending.of(self.scope, span, self.name);
            json!({
                "spentMicros": counter.spent,
                "reservedMicros": counter.reserved,
                "budgetMicros": self.budget.limit(span),
            })
        };
        json!({ "today": part(Span::Day), "thisMonth": part(Span::Month) })
    }
}
