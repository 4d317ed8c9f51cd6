//! Where the log goes: to standard error, for people at a terminal and for programs elsewhere.

use std::io::{IsTerminal, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{LogFormat, LogSettings};

/// Sends the log to standard error. `journal` says that systemd's journal reads it, which puts its own time on every
/// line. A filter that cannot be read was refused with the configuration.
pub(super) fn install(settings: &LogSettings, journal: bool) {
    let json = match settings.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !stderr().is_terminal() && !journal,
    };
    let filter = EnvFilter::try_new(&settings.filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let base = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal() && !journal);
    let installed = match (json, journal) {
        (true, _) => base.json().flatten_event(true).finish().try_init(),
        (false, true) => base.without_time().finish().try_init(),
        (false, false) => base.finish().try_init(),
    };
    // Only a second call in one process fails, and then the first one holds.
    drop(installed);
}

/// The log of a verb that answers and ends: what goes wrong, in words.
pub(super) fn quiet() -> LogSettings {
    LogSettings { filter: "warn".to_owned(), format: LogFormat::Text }
}
