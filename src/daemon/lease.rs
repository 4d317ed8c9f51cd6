//! Leases: renewed while their jobs run, and taken back from workers that are certainly dead.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::domain::time::{Timestamp, after};
use crate::store::StoreError;

use super::DaemonError;
use super::kill_point::KillPoint;
use super::shared::Shared;
use super::worker::{Remains, remains};

/// Most dead workers of one look.
const MOST_DEAD: usize = 1_000;

/// Renews every lease held, at a third of its length.
pub(super) async fn renew(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(shared.book().queue.lease / 3).await;
        if let Err(error) = renew_once(&shared).await {
            tracing::warn!(%error, "leases could not be renewed; trying again");
        }
    }
}

/// Renews every lease in one statement. What does not come back was cancelled or lost: its calls are stopped.
pub(super) async fn renew_once(shared: &Shared) -> Result<(), StoreError> {
    let held = shared.leases();
    if held.is_empty() {
        return Ok(());
    }
    let until = after(shared.now(), shared.book().queue.lease);
    let renewed: HashSet<_> = shared.store.renew(&held, until).await?.into_iter().collect();
    for lease in held {
        // One that ended meanwhile is not renewed either, and there is nothing to stop.
        if !renewed.contains(&lease) && shared.lose(&lease) {
            tracing::info!(job.id = lease.1.0, "the job was cancelled or taken over; its call is stopped");
        }
    }
    Ok(())
}

/// Looks for dead workers at the start and then at a third of a lease.
pub(super) async fn rescue(shared: Arc<Shared>) -> Result<(), DaemonError> {
    loop {
        if let Err(error) = rescue_once(&shared).await {
            tracing::warn!(%error, "cannot look for lost leases; trying again");
        }
        tokio::time::sleep(shared.book().queue.lease / 3).await;
    }
}

/// Buries the dead, once their leases are ended. Those who were killed without a job in hand are named by no lease. Where
/// several databases share a folder, one may go that is a proof for another; its jobs then wait for the end of their lease.
async fn bury(shared: &Shared, dead: Vec<Remains>) -> Result<(), StoreError> {
    let owners = shared.store.other_owners(shared.worker.owner()).await?;
    for remains in dead {
        if let Some(owner) = owners.iter().find(|owner| remains.are_of(owner)) {
            KillPoint::AfterProof.pass();
            let jobs = shared.store.expire(owner, shared.now()).await?;
            tracing::warn!(jobs, "a worker died; its jobs are taken over");
        }
        remains.bury();
    }
    Ok(())
}

/// Settles the calls of runs that were ended while nobody was there to stop them. Whoever still makes such a call has
/// let go of it within a lease, and has booked it or knows no more than this.
async fn settle_forsaken(shared: &Shared) -> Result<(), StoreError> {
    let now = shared.now();
    let long_ago = TimeDelta::from_std(shared.book().queue.lease)
        .ok()
        .and_then(|lease| now.checked_sub_signed(lease * 2));
    let settled = shared.store.settle_forsaken(long_ago.unwrap_or(Timestamp::MIN_UTC), now).await?;
    if settled > 0 {
        tracing::warn!(
            calls = settled,
            "calls were left behind by jobs that ended while no daemon ran; what became of them is not known"
        );
    }
    Ok(())
}

/// Ends the leases of workers that are certainly dead. Leases that simply ran out need nothing: the next claim
/// takes them over.
pub(super) async fn rescue_once(shared: &Shared) -> Result<(), StoreError> {
    // The locks first, and the leases then: a worker whose lock is ours writes none any more.
    let dead = remains(shared.worker.folder(), MOST_DEAD).unwrap_or_else(|error| {
        tracing::debug!(%error, "the lock files of dead workers cannot be looked for");
        Vec::new()
    });
    if !dead.is_empty() {
        bury(shared, dead).await?;
    }
    shared.wake.notify_one();
    settle_forsaken(shared).await
}
