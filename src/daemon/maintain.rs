//! Housekeeping: old rows go, statistics and the write-ahead log are kept in shape.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::domain::time::Timestamp;
use crate::store::StoreError;
use crate::vault::VaultKey;

use super::DaemonError;
use super::shared::Shared;

/// How often the house is kept.
const EVERY: Duration = Duration::from_secs(3_600);

/// What was staged so long ago and never delivered is nobody's.
const STALE: TimeDelta = TimeDelta::hours(24);

/// Most jobs deleted in one transaction, so that other writers do not wait.
const BATCH: u32 = 500;

/// Keeps the house, at the start and then every hour.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    loop {
        if let Err(error) = run_once(&shared).await {
            tracing::warn!(%error, "housekeeping failed; trying again in an hour");
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Deletes settled jobs whose time is over (never files, never `manual` jobs), batch by batch.
pub(super) async fn run_once(shared: &Shared) -> Result<(), StoreError> {
    let keep = chrono::TimeDelta::from_std(shared.book().keep_done).ok();
    let before = keep.and_then(|keep| shared.now().checked_sub_signed(keep)).unwrap_or(Timestamp::MIN_UTC);
    let mut deleted = 0;
    loop {
        let batch = shared.store.prune(before, BATCH).await?;
        deleted += batch;
        if batch < u64::from(BATCH) || shared.stop.soon.is_cancelled() {
            break;
        }
        // Others write between the batches.
        tokio::task::yield_now().await;
    }
    sweep(shared).await?;
    if deleted > 0 {
        tracing::info!(jobs = deleted, "old jobs were deleted, as [retention] says");
    }
    shared.store.tend().await
}

/// Takes away files that dead runs left in the vault: only what the ledger has staged, a day after, and never what was
/// delivered. The vault is not listed.
async fn sweep(shared: &Shared) -> Result<(), StoreError> {
    let before = shared.now().checked_sub_signed(STALE).unwrap_or(Timestamp::MIN_UTC);
    let mut swept = Vec::new();
    for staged in shared.store.stale_staged(before, BATCH).await? {
        // A row is not believed: the file must be that of the job which has not delivered it, and of no other.
        let owner = staged.owner;
        let owned = |key: &VaultKey| owner.is_some_and(|(asset, job)| key.is_of(&asset, job));
        if let Some(key) = VaultKey::parse(&staged.key).filter(owned) {
            if let Err(error) = shared.book().vault.remove(&key).await {
                tracing::warn!(%error, "a file that was never delivered stays in the vault until the next hour");
                continue;
            }
            shared.hands.forget(&key).await;
        }
        swept.push(staged.key);
    }
    if !swept.is_empty() {
        tracing::info!(files = swept.len(), "files that dead runs left in the vault were taken away");
        shared.store.unstage(&swept).await?;
    }
    Ok(())
}
