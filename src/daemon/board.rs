//! The health of providers as this worker last saw it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::breaker::ProviderHealth;
use crate::domain::name::ProviderName;

/// A copy of `provider_health`. The database is the truth: it is read again whenever somebody else has written.
#[derive(Default)]
pub(super) struct Board {
    /// Shared with every plan that is being drawn; copied only where it changes meanwhile.
    health: Mutex<Arc<HashMap<ProviderName, ProviderHealth>>>,
}

impl Board {
    /// Takes over what the database says.
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

    fn with<T>(&self, use_it: impl FnOnce(&mut Arc<HashMap<ProviderName, ProviderHealth>>) -> T) -> T {
        use_it(&mut self.health.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
