//! The API and the page, inside the daemon: small, safe, and nothing that the verbs cannot do too.

mod access;
mod api;
mod assets;
mod brought;
mod guard;
mod page;
mod places;
mod problem;
mod serve;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::daemon::Progress;
use crate::daemon::desk::Desk;

pub use access::{Access, Scope};
pub use serve::serve;

/// The largest body of a request that brings no file, in bytes: a prompt and its input fit many times.
const LARGEST_BODY: usize = 1 << 20;

/// How large the head of a request may be, in bytes.
const LARGEST_HEAD: usize = 64 * 1024;

/// Most requests that wait for their asset at once.
const MOST_WAITING: usize = 256;

/// Most files that are handed in at once: each is held in memory while it is checked.
const MOST_UPLOADS: usize = 2;

/// How long an asset is waited for once the daemon stops: less than its connections are given.
const LAST_PATIENCE: Duration = Duration::from_secs(3);

/// What every request is answered from.
#[derive(Clone)]
pub struct Site {
    /// The queue, as people see it.
    pub desk: Arc<Desk>,
    /// Who may, and under which names; replaced when the configuration is read again.
    pub access: watch::Receiver<Arc<Access>>,
    /// Moves whenever the daemon has done something.
    pub progress: watch::Receiver<Progress>,
    stop: CancellationToken,
    waiting: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Site {
    /// A site until `stop`.
    #[must_use]
    pub fn new(
        desk: Desk,
        access: watch::Receiver<Arc<Access>>,
        progress: watch::Receiver<Progress>,
        stop: CancellationToken,
    ) -> Self {
        Self {
            desk: Arc::new(desk),
            access,
            progress,
            stop,
            waiting: Arc::new(Semaphore::new(MOST_WAITING)),
            uploads: Arc::new(Semaphore::new(MOST_UPLOADS)),
        }
    }

    /// Waits until nobody should wait for an asset any more, because the daemon ends.
    async fn closing(&self) {
        self.stop.cancelled().await;
        tokio::time::sleep(LAST_PATIENCE).await;
    }
}

/// Every address of the site.
fn routes(site: Site) -> Router {
    Router::new()
        .nest("/api", api::routes())
        .merge(assets::routes())
        .merge(page::routes())
        .fallback(page::nothing_here)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn(brought::in_time))
        .layer(from_fn_with_state(site.clone(), guard::admit))
        .layer(from_fn_with_state(site.clone(), guard::harden))
        .with_state(site)
}
