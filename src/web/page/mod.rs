//! The admin page: rendered here, readable without JavaScript.

mod frame;
mod login;
mod overview;
mod statics;

use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use maud::html;

use super::Site;
use super::problem::Problem;
use frame::frame;

/// Every address of the page.
pub(super) fn routes() -> Router<Site> {
    Router::new()
        .route("/", get(overview::show))
        .route("/login", get(login::ask).post(login::take))
        .route("/logout", axum::routing::post(login::leave))
        .route("/static/{file}", get(statics::file))
}

/// What stands where nothing is.
pub(super) async fn nothing_here(uri: Uri) -> Response {
    if uri.path().starts_with("/api/") {
        return Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address").into_response();
    }
    let page = frame("Not found", html! { p { "There is nothing at this address." } });
    (StatusCode::NOT_FOUND, page).into_response()
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
        let page = frame("That did not work", html! { p.bad role="alert" { (self.0.detail()) } });
        (self.0.status(), page).into_response()
    }
}
