//! The API: camelCase JSON, problem+json errors.

mod generate;
mod jobs;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};

use super::Site;
use super::problem::Problem;

/// Every address under `/api`.
pub(super) fn routes() -> Router<Site> {
    Router::new()
        .route("/generate/{asset}", post(generate::generate))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}", get(jobs::show))
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address; docs/api.md lists what there is")
}

async fn wrong_method() -> Problem {
    let sentence = "this address does not take that method; docs/api.md says which it takes";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, sentence)
}
