//! The health of providers as this worker last saw it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::{Scope, Span, UsedUp};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::pace::{AtLimit, NoRoom};
use crate::domain::time::Timestamp;

/// A copy of `provider_health`. The database is the truth: it is read again whenever somebody else has written.
#[derive(Default)]
pub(super) struct Board {
    /// Shared with every plan that is being drawn; copied only where it changes meanwhile.
    health: Mutex<Arc<HashMap<ProviderName, ProviderHealth>>>,
    /// The providers that had no room for a call at the last pass. Others may have been called since: the ledger decides.
    full: Mutex<Arc<HashMap<ProviderName, NoRoom>>>,
    /// Budgets that the operator was told of, until they begin anew.
    told: Mutex<HashMap<(Scope, Span, String), Timestamp>>,
}

impl Board {
    /// Takes over what the database says of all providers: what a person deleted there is forgotten here.
    pub(super) fn replace(&self, all: Vec<ProviderHealth>) {
        let all = all.into_iter().map(|health| (health.provider.clone(), health));
        self.with(|board| *board = Arc::new(all.collect()));
    }

    /// Takes over what the database says of some.
    pub(super) fn refresh(&self, all: Vec<ProviderHealth>) {
        if all.is_empty() {
            return;
        }
        self.with(|board| {
            let board = Arc::make_mut(board);
            for health in all {
                board.insert(health.provider.clone(), health);
            }
        });
    }

    /// What is known of a provider.
    pub(super) fn health(&self, provider: &ProviderName) -> Option<ProviderHealth> {
        self.with(|board| board.get(provider).cloned())
    }

    /// What is known of all of them.
    pub(super) fn all(&self) -> Arc<HashMap<ProviderName, ProviderHealth>> {
        self.with(|board| Arc::clone(board))
    }

    /// Takes over which providers have no room for a call.
    pub(super) fn note_full(&self, full: HashMap<ProviderName, NoRoom>) {
        let mut known = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        if !(full.is_empty() && known.is_empty()) {
            *known = Arc::new(full);
        }
    }

    /// The providers that had no room for a call at the last pass.
    pub(super) fn full(&self) -> Arc<HashMap<ProviderName, NoRoom>> {
        Arc::clone(&self.full.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether nobody was told of this used-up budget in its period yet; afterwards somebody was.
    pub(super) fn is_news(&self, asset: &AssetName, provider: &ProviderName, used_up: &UsedUp) -> bool {
        let name = match used_up.scope {
            Scope::Provider => provider.to_string(),
            Scope::Asset => asset.to_string(),
        };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert((used_up.scope, used_up.span, name), used_up.until) != Some(used_up.until)
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Arc<HashMap<ProviderName, ProviderHealth>>) -> T) -> T {
        use_it(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The limit that a provider has reached, where it still holds.
pub(super) fn at_limit(
    full: &HashMap<ProviderName, NoRoom>,
    provider: &ProviderName,
    now: Timestamp,
) -> Option<AtLimit> {
    match full.get(provider)? {
        NoRoom::Taken => None,
        NoRoom::AtLimit(limit) => Some(*limit).filter(|limit| limit.until > now),
    }
}
