//! The admin page: rendered here, readable without JavaScript.

mod delivered;
mod events;
mod frame;
mod generate;
mod job;
mod jobs;
mod login;
mod manual;
mod overview;
mod plot;
mod providers;
mod statics;
mod strip;
mod timeline;
mod when;

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use maud::html;

use super::Site;
use super::problem::Problem;
use frame::{Here, frame};

pub(super) use login::way as way_to_login;

/// Every address of the page.
pub(super) fn routes() -> Router<Site> {
    let provide = post(manual::provide).layer(DefaultBodyLimit::max(manual::LARGEST_FILE));
    Router::new()
        .route("/", get(overview::show))
        .route("/jobs", get(jobs::show))
        .route("/jobs/{id}", get(job::show))
        .route("/jobs/{id}/retry", post(job::retry))
        .route("/jobs/{id}/cancel", post(job::cancel))
        .route("/jobs/{id}/provide", provide)
        .route("/manual", get(manual::show))
        .route("/generate/{asset}", get(generate::show).post(generate::ask))
        .route("/providers", get(providers::show))
        .route("/providers/{name}/pause", post(providers::pause))
        .route("/providers/{name}/resume", post(providers::resume))
        .route("/providers/{name}/reset", post(providers::reset))
        .route("/events", get(events::stream))
        .route("/login", get(login::ask).post(login::take))
        .route("/logout", post(login::leave))
        .route("/static/{file}", get(statics::file))
}

/// What stands where nothing is.
pub(super) async fn nothing_here(uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        return Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address").into_response();
    }
    let page = frame(
        Here::Elsewhere,
        "Not found",
        html! { p { "There is nothing at this address. " a href="/" { "The overview" } " leads to everything there is." } },
    );
    (StatusCode::NOT_FOUND, page).into_response()
}

/// What an address asks for; what cannot be read asks for nothing.
fn asked_of<T: Default>(query: Result<Query<T>, QueryRejection>) -> T {
    query.map_or_else(|_| T::default(), |Query(asked)| asked)
}

/// What a form brings, or why it cannot be read.
fn form_of<T>(form: Result<Form<T>, FormRejection>) -> Result<T, Problem> {
    form.map(|Form(form)| form).map_err(|error| Problem::new(error.status(), error.body_text()))
}

/// A problem, as a page.
pub(super) struct Oops(Problem);

impl<E: Into<Problem>> From<E> for Oops {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for Oops {
    fn into_response(self) -> Response {
        let page = frame(
            Here::Elsewhere,
            "That did not work",
            html! {
                p.note.bad role="alert" { (when::words(self.0.detail())) }
                p { "Nothing was changed. Go back by your browser, or to the " a href="/" { "overview" } "." }
            },
        );
        (self.0.status(), page).into_response()
    }
}
