//! The only place that reads the clock, and the only one that reads the environment.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Sources;
use crate::domain::time::Clock;

/// The machine's clock.
#[must_use]
#[allow(clippy::disallowed_methods, reason = "time is read here and passed to everybody else")]
pub(super) fn system() -> Clock {
    Arc::new(chrono::Utc::now)
}

/// What a configuration is read from on this machine. Variables that are no text are none of ours.
///
/// # Errors
/// When the working directory is gone.
pub(super) fn sources(file: Option<PathBuf>, overrides: Vec<(String, String)>) -> std::io::Result<Sources> {
    let environment: std::collections::BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    // systemd names several folders with colons between them when a unit asks for several.
    let folder = |name: &str| {
        let first = environment.get(name)?.split(':').next()?;
        (!first.is_empty()).then(|| PathBuf::from(first))
    };
    Ok(Sources {
        file,
        overrides,
        working_directory: std::env::current_dir()?,
        state_directory: folder("STATE_DIRECTORY"),
        credentials_directory: folder("CREDENTIALS_DIRECTORY"),
        search_system: true,
        environment,
    })
}
