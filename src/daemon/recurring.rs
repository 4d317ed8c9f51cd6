//! Recurring jobs: each tick is a row, written with the job it enqueues, so it is neither doubled nor forgotten.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::config::Missed;
use crate::domain::time::{Timestamp, between};
use crate::store::{NewJob, NewTick, StoreError};

use super::DaemonError;
use super::book::{Book, RecurringPage};
use super::shared::Shared;

/// The longest nap between two looks at the clock, which may be set or stand still meanwhile.
const NAP: Duration = Duration::from_secs(30);

/// Most missed ticks that are enqueued after a downtime, per schedule and look.
const MOST_MISSED: usize = 1_000;

/// Enqueues ticks as they come.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    let mut books = shared.books();
    loop {
        if let Err(error) = run_due(&shared).await {
            tracing::warn!(%error, "recurring jobs could not be enqueued; trying again");
        }
        let now = shared.now();
        let book = Arc::clone(&books.borrow_and_update());
        let next = book.recurring.iter().filter_map(|page| page.calendar.next_after(now)).min();
        let nap = next.map_or(NAP, |next| between(now, next).min(NAP));
        tokio::select! {
            biased;
            () = tokio::time::sleep(nap + Duration::from_millis(5)) => {}
            _ = books.changed() => {}
        }
    }
}

/// Enqueues every tick that is due.
pub(super) async fn run_due(shared: &Shared) -> Result<(), StoreError> {
    let book = shared.book();
    let mut trouble = Ok(());
    for page in &book.recurring {
        // One schedule's trouble keeps no other waiting.
        trouble = trouble.and(catch_up(shared, &book, page).await);
    }
    trouble
}

async fn catch_up(shared: &Shared, book: &Book, page: &RecurringPage) -> Result<(), StoreError> {
    let now = shared.now();
    let schedule = &page.recurring.name;
    let Some(last) = shared.store.last_tick(schedule, now).await? else {
        // A new schedule begins now: what it would have done before it existed was not missed.
        let tick = NewTick { schedule: schedule.clone(), tick: now, job: None, now };
        shared.store.tick(&tick).await?;
        return Ok(());
    };
    let due = due_ticks(page, last, now);
    let count = due.len();
    for (place, tick) in due.into_iter().enumerate() {
        let is_latest = place + 1 == count;
        // Only a tick that comes with more of them, or late, was missed.
        let late = between(tick, now) > NAP * 2;
        let wanted = match page.recurring.missed {
            Missed::All => true,
            Missed::Once => is_latest,
            Missed::Skip => is_latest && !late,
        };
        let job = wanted.then(|| job_of(page, tick)).flatten();
        let enqueued = job.is_some();
        let mut tick = NewTick { schedule: schedule.clone(), tick, job, now };
        match shared.store.tick(&tick).await {
            Ok(true) if enqueued => {
                tracing::info!(schedule, asset = %page.recurring.asset, "a recurring job was enqueued");
            }
            Ok(_) => {}
            // Said once: asking again would be refused again, and keep the other schedules waiting.
            Err(StoreError::Refused { sentence }) => {
                tracing::error!(
                    schedule,
                    why = sentence,
                    "a recurring job was refused; its tick is passed over"
                );
                tick.job = None;
                shared.store.tick(&tick).await?;
            }
            Err(error) => return Err(error),
        }
    }
    if count > 0 && book.assets.contains_key(&page.recurring.asset) {
        shared.wake.notify_one();
    }
    Ok(())
}

fn due_ticks(page: &RecurringPage, last: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    let next = |at: &Timestamp| page.calendar.next_after(*at);
    let ticks = std::iter::successors(next(&last), next).take_while(|tick| *tick <= now);
    let all: Vec<Timestamp> = ticks.take(MOST_MISSED * 100).collect();
    let skipped = all.len().saturating_sub(MOST_MISSED);
    all.into_iter().skip(skipped).collect()
}

fn job_of(page: &RecurringPage, tick: Timestamp) -> Option<NewJob> {
    let recurring = &page.recurring;
    let facts = json!({
        "date": page.calendar.date_of(tick),
        "time": page.calendar.time_of(tick),
        "at": crate::domain::time::to_text(tick),
    });
    let values: Map<String, Value> = Map::from_iter([("tick".to_owned(), facts)]);
    match page.slug.render_values(&values) {
        Ok(slug) => Some(NewJob {
            asset: recurring.asset.to_string(),
            slug,
            prompt: recurring.prompt.clone(),
            input: Some(Value::Object(recurring.input.clone())),
            priority: Some(recurring.priority),
            ..NewJob::default()
        }),
        Err(why) => {
            tracing::error!(schedule = recurring.name, why, "the slug of a recurring job cannot be rendered");
            None
        }
    }
}
