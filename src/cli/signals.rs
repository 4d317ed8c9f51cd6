//! The signals of the process: stop, stop now, reload.

use futures_util::StreamExt;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_tokio::Signals;

use crate::daemon::Stop;

/// Listens to signals for as long as it lives: the first SIGTERM or SIGINT stops soon, the second now, and
/// SIGHUP calls `reload`.
///
/// # Errors
/// When the handlers cannot be set.
pub(super) fn listen(
    stop: Stop,
    reload: impl Fn() + Send + 'static,
) -> std::io::Result<tokio::task::JoinHandle<()>> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    Ok(tokio::spawn(async move {
        while let Some(signal) = signals.next().await {
            if signal == SIGHUP {
                reload();
            } else if stop.soon.is_cancelled() {
                tracing::warn!("stopping now; what still runs is handed back");
                stop.now.cancel();
            } else {
                tracing::info!(
                    "stopping: no new jobs; what runs is finished or handed back (a second signal stops now)"
                );
                stop.soon.cancel();
            }
        }
    }))
}
