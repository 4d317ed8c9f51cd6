//! The tick source: the scheduler only wakes; what is due is computed by us and remembered in tables.

use std::sync::Arc;

use tokio_cron_scheduler::{Job, JobScheduler};

use crate::config::cron::six_fields;

use super::DaemonError;
use super::shared::Shared;

/// Wakes the claim loop by the queue's schedule, again after each reload.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    let mut expression = String::new();
    let mut scheduler: Option<JobScheduler> = None;
    let mut books = shared.books();
    loop {
        let wanted = six_fields(&books.borrow_and_update().queue.schedule);
        if wanted != expression {
            if let Some(mut old) = scheduler.take()
                && let Err(error) = old.shutdown().await
            {
                tracing::warn!(%error, "the old schedule did not stop");
            }
            scheduler = Some(start(&shared, &wanted).await?);
            expression = wanted;
        }
        if books.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// The closure does nothing but wake: overlap, catching up and zones are ours.
async fn start(shared: &Arc<Shared>, expression: &str) -> Result<JobScheduler, DaemonError> {
    let refuse = |error: tokio_cron_scheduler::JobSchedulerError| DaemonError::Schedule(error.to_string());
    let scheduler = JobScheduler::new().await.map_err(refuse)?;
    let woken = Arc::clone(shared);
    let job = Job::new_async(expression, move |_, _| {
        let woken = Arc::clone(&woken);
        Box::pin(async move { woken.wake.notify_one() })
    });
    scheduler.add(job.map_err(refuse)?).await.map_err(refuse)?;
    scheduler.start().await.map_err(refuse)?;
    Ok(scheduler)
}
