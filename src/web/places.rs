//! Who is connected: so many at once, and when all places are taken, who does nothing loses his to who comes.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An answer of which nothing was fetched for so long may be cut off where its place is needed.
const STALLED: Duration = Duration::from_secs(20);

/// How often it is looked whether an answer has stalled meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// All places.
pub(super) struct Places {
    most: usize,
    /// By number, which only rises: the first is the oldest.
    taken: Mutex<BTreeMap<u64, Taken>>,
    freed: Notify,
}

struct Taken {
    doing: Doing,
    since: Instant,
    cut: CancellationToken,
}

/// What a connection is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// It has not asked for anything, or has been answered.
    Nothing,
    /// Its request is worked on.
    Asking,
    /// It fetches its answer.
    Fetching,
}

impl Places {
    /// So many places, all free.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, taken: Mutex::default(), freed: Notify::new() })
    }

    /// A place, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Place> {
        loop {
            if let Some(place) = self.try_take() {
                return Arc::new(place);
            }
            // A time-out is no trouble: somebody may have stalled meanwhile.
            drop(tokio::time::timeout(LOOK, self.freed.notified()).await);
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Place> {
        self.with(|taken| {
            if taken.len() >= self.most {
                if let Some(idlest) = idlest(taken) {
                    idlest.cut.cancel();
                }
                return None;
            }
            let number = taken.last_key_value().map_or(0, |(last, _)| last + 1);
            let cut = CancellationToken::new();
            let entry = Taken { doing: Doing::Nothing, since: Instant::now(), cut: cut.clone() };
            taken.insert(number, entry);
            Some(Place { number, cut, places: Arc::clone(self) })
        })
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut BTreeMap<u64, Taken>) -> T) -> T {
        use_it(&mut self.taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Who can be cut off with the least harm; nobody whose request is worked on.
fn idlest(taken: &BTreeMap<u64, Taken>) -> Option<&Taken> {
    let of = |doing: Doing| taken.values().filter(move |one| one.doing == doing && !one.cut.is_cancelled());
    let stalled = || of(Doing::Fetching).filter(|one| one.since.elapsed() >= STALLED);
    of(Doing::Nothing).min_by_key(|one| one.since).or_else(|| stalled().min_by_key(|one| one.since))
}

/// A connection's place, until it is dropped.
pub(super) struct Place {
    number: u64,
    cut: CancellationToken,
    places: Arc<Places>,
}

impl Place {
    /// Waits until the place is given to somebody else.
    pub(super) async fn lost(&self) {
        self.cut.cancelled().await;
    }

    /// A request came in.
    pub(super) fn asks(&self) {
        self.does(Doing::Asking);
    }

    /// Its answer, which holds on to the place as long as it is fetched.
    pub(super) fn fetches(self: &Arc<Self>, body: Body) -> Fetched {
        self.does(Doing::Fetching);
        Fetched { body, place: Arc::clone(self) }
    }

    /// Whether no request is worked on and no answer fetched.
    pub(super) fn does_nothing(&self) -> bool {
        let doing = self.places.with(|taken| taken.get(&self.number).map(|one| one.doing));
        doing.is_none_or(|doing| doing == Doing::Nothing)
    }

    fn does(&self, doing: Doing) {
        self.places.with(|taken| {
            if let Some(one) = taken.get_mut(&self.number) {
                (one.doing, one.since) = (doing, Instant::now());
            }
        });
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.with(|taken| taken.remove(&self.number));
        self.places.freed.notify_one();
    }
}

/// An answer's body, watched.
pub(super) struct Fetched {
    body: Body,
    place: Arc<Place>,
}

impl HttpBody for Fetched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.place.does(Doing::Fetching);
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.place.does(Doing::Nothing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_nothing_makes_place_for_who_comes() {
        let places = Places::new(2);
        let (busy, idle) = (places.take().await, places.take().await);
        busy.asks();
        assert!(places.try_take().is_none());
        tokio::time::timeout(Duration::from_secs(1), idle.lost()).await.expect("it is told to go");
        drop(idle);
        let third = places.take().await;
        third.asks();
        assert!(places.try_take().is_none(), "nobody who works is sent away");
        let body = busy.fetches(Body::from("answer"));
        assert!(places.try_take().is_none());
        assert!(!busy.cut.is_cancelled(), "it fetches its answer");
        tokio::time::advance(STALLED).await;
        assert!(places.try_take().is_none());
        busy.lost().await;
        drop((body, busy));
        assert!(places.try_take().is_some());
    }
}
