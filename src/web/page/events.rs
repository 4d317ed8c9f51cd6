//! Word that something has changed, for pages that are looked at.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{Stream, unfold};
use tokio::time::{Instant, sleep};

use crate::web::Site;

/// Times on a page are relative, so that it is old after this long though nothing happened.
const BEAT: Duration = Duration::from_secs(20);

/// Word is given so often at most, however much the daemon does.
const BREATH: Duration = Duration::from_millis(700);

/// A browser comes back by itself; until then it may be somebody who may look no more.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// An event for every change.
pub(super) async fn stream(State(site): State<Site>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let end = Instant::now() + LONGEST;
    let mut progress = site.progress;
    progress.mark_unchanged();
    let events = unfold((progress, site.stop), move |(mut progress, stop)| async move {
        if Instant::now() >= end {
            return None;
        }
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            changed = progress.changed() => {
                // The daemon ends.
                changed.ok()?;
                sleep(BREATH).await;
                progress.mark_unchanged();
            }
            () = sleep(BEAT) => {}
        }
        Some((Ok(Event::default().data("changed")), (progress, stop)))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}
