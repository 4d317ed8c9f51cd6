//! Notices that somebody else has written to the database, so that a new row is picked up at once.

use std::sync::Arc;
use std::time::Duration;

use crate::store::StoreError;

use super::DaemonError;
use super::shared::Shared;

/// How often the database's version is looked at: an inserted job waits half of it on average.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// Wakes the claim loop whenever the version has changed.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    let mut last = None;
    let mut failing = false;
    loop {
        match shared.store.version().await {
            Ok(version) => {
                // The first look counts: somebody may have written since the first pass.
                if last.replace(version) != Some(version) {
                    shared.stir();
                }
                failing = false;
            }
            // Nobody else would ever notice: everything goes on, in a file that is nowhere.
            Err(error @ StoreError::Moved { .. }) => return Err(error.into()),
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "cannot watch the database; new rows wait for the schedule");
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
