//! The token, asked for once.

use axum::Form;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::{Here, asked_of, frame};
use crate::web::Site;
use crate::web::access::{Access, Scope};

/// Where somebody wanted to go.
#[derive(Deserialize, Default)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

/// What the form sends.
#[derive(Deserialize)]
pub(super) struct Shown {
    token: String,
    #[serde(default)]
    next: String,
}

/// The way to the form for somebody who wanted to go there.
pub(in crate::web) fn way(wanted: &Uri) -> String {
    let wanted = wanted.path_and_query().map_or("/", |wanted| wanted.as_str());
    if wanted == "/" {
        return "/login".to_owned();
    }
    let next: String =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("next", wanted).finish();
    format!("/login?{next}")
}

/// Asks for the token.
pub(super) async fn ask(wanted: Result<Query<Wanted>, QueryRejection>) -> Markup {
    let wanted = asked_of(wanted);
    form(None, &wanted.next)
}

/// Takes the token and gives a cookie for it.
pub(super) async fn take(State(site): State<Site>, Form(shown): Form<Shown>) -> Response {
    let access = site.access.borrow().clone();
    let token = shown.token.trim();
    let cookie = access.remember(token).filter(|_| access.scope_of_token(token) > Scope::Nothing);
    let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) else {
        return (StatusCode::FORBIDDEN, form(Some("This is not the token."), &shown.next)).into_response();
    };
    let mut response = Redirect::to(here_only(&shown.next)).into_response();
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

/// A path of this site, and never another site's address, however it is spelled.
fn here_only(next: &str) -> &str {
    let plain = next.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    if plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

fn form(wrong: Option<&str>, next: &str) -> Markup {
    frame(
        Here::Outside,
        "Who are you?",
        html! {
            form.card.narrow method="post" action="/login" {
                p { "This page shows and changes what Backstop does. Show the token that the daemon's log names at its start." }
                @if let Some(wrong) = wrong {
                    p.note.bad role="alert" id="wrong" { (wrong) }
                }
                @if here_only(next) != "/" { input type="hidden" name="next" value=(here_only(next)); }
                label for="token" { "Token" }
                input id="token" name="token" type="password" autocomplete="current-password" required autofocus
                    aria-describedby=[wrong.map(|_| "wrong")];
                button.strong { "Log in" }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        let check = |next: &str, expected: &str| assert_eq!(here_only(next), expected, "{next}");
        check("/jobs/7?a=b", "/jobs/7?a=b");
        check("", "/");
        check("jobs", "/");
        check("https://evil.example/", "/");
        check("//evil.example", "/");
        check("/\\evil.example", "/");
        check("/\t/evil.example", "/");
        check("/jobs\r\nset-cookie: a=b", "/");
    }

    #[test]
    fn the_way_to_the_form_keeps_where_one_wanted_to_go() {
        let check = |wanted: &str, expected: &str| assert_eq!(way(&wanted.parse().expect("valid")), expected);
        check("/", "/login");
        check("/jobs?slug=a&status=done", "/login?next=%2Fjobs%3Fslug%3Da%26status%3Ddone");
    }
}
