//! The API: camelCase JSON, problem+json errors.

mod document;
mod generate;
mod jobs;
mod providers;
mod queue;
mod resolve;

use axum::Router;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::routing::{MethodRouter, get, post};

use super::Site;
use super::problem::Problem;

/// One address under `/api`.
struct Address {
    path: &'static str,
    /// As the document spells it.
    #[cfg_attr(not(test), allow(dead_code, reason = "the document is held against it"))]
    method: &'static str,
    answers: MethodRouter<Site>,
}

/// Every address under `/api`.
pub(super) fn routes() -> Router<Site> {
    let addresses = addresses().into_iter();
    addresses
        .fold(Router::new(), |router, address| router.route(address.path, address.answers))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
}

fn addresses() -> Vec<Address> {
    vec![
        change("/generate/{asset}", generate::generate),
        look("/jobs", jobs::list),
        look("/jobs/{id}", jobs::show),
        change("/jobs/{id}/retry", jobs::retry),
        change("/jobs/{id}/cancel", jobs::cancel),
        resolve::address(),
        look("/manual", queue::manual),
        look("/plan/{asset}", queue::plan),
        look("/health", queue::health),
        look("/providers", providers::list),
        change("/providers/{name}/pause", providers::pause),
        change("/providers/{name}/resume", providers::resume),
        change("/providers/{name}/reset", providers::reset),
        look("/openapi.json", document::show),
    ]
}

fn look<T: 'static>(path: &'static str, handler: impl Handler<T, Site>) -> Address {
    Address { path, method: "get", answers: get(handler) }
}

fn change<T: 'static>(path: &'static str, handler: impl Handler<T, Site>) -> Address {
    Address { path, method: "post", answers: post(handler) }
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address; docs/api.md lists what there is")
}

async fn wrong_method() -> Problem {
    let sentence = "this address does not take that method; docs/api.md says which it takes";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
}
