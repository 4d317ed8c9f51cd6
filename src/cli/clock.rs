//! The only place that reads the clock.

use std::sync::Arc;

use chrono::Utc;

use crate::domain::time::Clock;

/// The machine's clock.
#[must_use]
pub fn system() -> Clock {
    #[allow(clippy::disallowed_methods, reason = "the one home of the clock; everybody else is handed it")]
    Arc::new(Utc::now)
}
