//! The API and the page, inside the daemon: small, safe, and nothing that the verbs cannot do too.

mod access;
mod api;
mod guard;
mod page;
mod problem;
mod serve;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use tokio::sync::watch;

use crate::daemon::Progress;
use crate::daemon::desk::Desk;

pub use access::{Access, Scope};
pub use serve::serve;

/// The largest body of a request that brings no file, in bytes: a prompt and its input fit many times.
const LARGEST_BODY: usize = 1 << 20;

/// What every request is answered from.
#[derive(Clone)]
pub struct Site {
    /// The queue, as people see it.
    pub desk: Arc<Desk>,
    /// Who may, and under which names; replaced when the configuration is read again.
    pub access: watch::Receiver<Arc<Access>>,
    /// Moves whenever the daemon has done something.
    pub progress: watch::Receiver<Progress>,
}

/// Every address of the site.
fn routes(site: Site) -> Router {
    Router::new()
        .nest("/api", api::routes())
        .merge(page::routes())
        .fallback(page::nothing_here)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(site.clone(), guard::admit))
        .layer(from_fn_with_state(site.clone(), guard::harden))
        .with_state(site)
}
