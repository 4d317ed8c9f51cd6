//! What the database remembers of providers and money, and how what was spent is said.

use serde_json::{Value, json};

use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::{Budget, Counter, Scope, Span, Spending, dollars};
use crate::domain::time::Timestamp;
use crate::store::{Store, StoreError};

/// What the database remembers; nothing where there is none yet.
#[derive(Debug, Default)]
pub struct Remembered {
    /// Of every provider.
    pub health: Vec<ProviderHealth>,
    /// What was spent today and this month.
    pub spending: Spending,
}

impl Remembered {
    /// Reads it as it is at `now`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn read(store: &dyn Store, now: Timestamp) -> Result<Self, StoreError> {
        let health = store.provider_health().await?;
        Ok(Self { health, spending: store.spending(now).await? })
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
