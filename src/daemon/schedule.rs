//! The tick source: the scheduler only wakes; what is due is computed by us and remembered in tables. One that stops
//! ticking is noticed, reported and replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::config::cron::six_fields;
use crate::domain::time::{Clock, between};

use super::DaemonError;
use super::book::Calendar;
use super::shared::Shared;

/// A tick that is so late does not come any more: the scheduler looks twice a second.
const GRACE: Duration = Duration::from_secs(5);

/// The longest sleep to the next tick, so that a clock that is set meanwhile does not hide it.
const MOST_SLEEP: Duration = Duration::from_secs(3_600);

/// A scheduler that does not end in this time is left to itself.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// Wakes the claim loop by the queue's schedule, again after each reload.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    let mut books = shared.books();
    let woken = Arc::clone(&shared);
    let wake: Wake = Arc::new(move || woken.wake.notify_one());
    loop {
        let expression = six_fields(&books.borrow_and_update().queue.schedule);
        let mut ticker = Ticker::start(&expression, Arc::clone(&wake)).await?;
        loop {
            tokio::select! {
                changed = books.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    if six_fields(&books.borrow_and_update().queue.schedule) != expression {
                        break;
                    }
                }
                () = ticker.stalls(&shared.clock, GRACE) => {
                    tracing::warn!(schedule = expression, "the scheduler has stopped ticking; it is replaced");
                    ticker.stop().await;
                    ticker = Ticker::start(&expression, Arc::clone(&wake)).await?;
                    wake();
                }
            }
        }
        ticker.stop().await;
    }
}

type Wake = Arc<dyn Fn() + Send + Sync>;

/// A scheduler of one expression, and how often it has ticked.
struct Ticker {
    scheduler: JobScheduler,
    calendar: Calendar,
    ticks: Arc<AtomicU64>,
}

impl Ticker {
    /// The closure does nothing but count and wake: overlap, catching up and zones are ours.
    async fn start(expression: &str, wake: Wake) -> Result<Self, DaemonError> {
        let refuse = |error: JobSchedulerError| DaemonError::Schedule(error.to_string());
        let calendar = Calendar::new(expression, "UTC").map_err(DaemonError::Schedule)?;
        let scheduler = JobScheduler::new().await.map_err(refuse)?;
        let ticks = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&ticks);
        let job = Job::new_async(expression, move |_, _| {
            let (counted, wake) = (Arc::clone(&counted), Arc::clone(&wake));
            Box::pin(async move {
                counted.fetch_add(1, Ordering::Relaxed);
                wake();
            })
        });
        scheduler.add(job.map_err(refuse)?).await.map_err(refuse)?;
        scheduler.start().await.map_err(refuse)?;
        Ok(Self { scheduler, calendar, ticks })
    }

    /// Returns when a tick that should have come has not. It may be dropped and asked again at any time.
    async fn stalls(&self, clock: &Clock, grace: Duration) {
        loop {
            let (began, before) = (clock(), self.ticks.load(Ordering::Relaxed));
            let Some(next) = self.calendar.next_after(began) else { return std::future::pending().await };
            tokio::time::sleep(between(began, next).min(MOST_SLEEP)).await;
            if clock() < next {
                // The sleep was too long for one, or the clock was set back.
                continue;
            }
            tokio::time::sleep(grace).await;
            if self.ticks.load(Ordering::Relaxed) == before && clock() >= next {
                return;
            }
        }
    }

    async fn stop(&mut self) {
        match tokio::time::timeout(STOPS_WITHIN, self.scheduler.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the old schedule did not stop"),
            Err(_) => tracing::warn!("the old schedule does not stop; it is left to itself"),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Notify;

    use super::*;

    const SHORT: Duration = Duration::from_millis(1_500);

    fn clock() -> Clock {
        #[allow(clippy::disallowed_methods, reason = "the scheduler reads this clock too")]
        Arc::new(chrono::Utc::now)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_scheduler_that_is_stopped_on_purpose_is_noticed_and_one_that_ticks_is_not() {
        let woken = Arc::new(Notify::new());
        let waker = Arc::clone(&woken);
        let mut ticker =
            Ticker::start("* * * * * *", Arc::new(move || waker.notify_one())).await.expect("starts");
        let bound = Duration::from_secs(20);
        for _ in 0..3 {
            tokio::time::timeout(bound, woken.notified()).await.expect("it ticks");
        }
        let early = tokio::time::timeout(Duration::from_secs(4), ticker.stalls(&clock(), SHORT)).await;
        assert!(early.is_err(), "it ticks, and is left alone");
        ticker.scheduler.shutdown().await.expect("stopped on purpose");
        tokio::time::timeout(bound, ticker.stalls(&clock(), SHORT)).await.expect("noticed");
        ticker.stop().await;
    }
}
