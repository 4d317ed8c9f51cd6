//! The token, asked for once.

use axum::Form;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame;
use crate::web::Site;
use crate::web::access::{Access, Scope};

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Shown {
    token: String,
}

/// Asks for the token.
pub(super) async fn ask() -> Markup {
    form(None)
}

/// Takes the token and gives a cookie for it.
pub(super) async fn take(State(site): State<Site>, Form(shown): Form<Shown>) -> Response {
    let access = site.access.borrow().clone();
    let token = shown.token.trim();
    let cookie = access.remember(token).filter(|_| access.scope_of_token(token) > Scope::Nothing);
    let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) else {
        return (StatusCode::FORBIDDEN, form(Some("This is not the token."))).into_response();
    };
    let mut response = Redirect::to("/").into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    response
}

/// Forgets the cookie.
pub(super) async fn leave() -> Response {
    let mut response = Redirect::to("/login").into_response();
    if let Ok(cookie) = HeaderValue::from_str(&Access::forget()) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn form(wrong: Option<&str>) -> Markup {
    frame(
        "Who are you?",
        html! {
            p { "This page shows and changes what Backstop does. Show the token that the daemon's log names at its start." }
            @if let Some(wrong) = wrong {
                p.bad role="alert" { (wrong) }
            }
            form method="post" action="/login" {
                label for="token" { "Token" }
                input id="token" name="token" type="password" autocomplete="current-password" required autofocus;
                button { "Show it" }
            }
        },
    )
}
