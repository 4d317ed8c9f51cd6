//! Who can be called, how they are doing, and the operator's hand on them.

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Redirect;
use axum::{Extension, Form};
use chrono::NaiveDateTime;
use maud::{Markup, html};
use serde::Deserialize;

use super::when::{told, when, words};
use super::{Here, Oops, asked_of, form_of, frame, strip};
use crate::daemon::desk::Standing;
use crate::daemon::desk::standing::listed;
use crate::domain::breaker::BreakerState;
use crate::domain::budget::{Span, dollars};
use crate::domain::name::ProviderName;
use crate::domain::time::{Timestamp, after};
use crate::store::Call;
use crate::web::Site;
use crate::web::access::Scope;
use crate::web::problem::Problem;

/// The pauses that are one click.
const PAUSES: [(&str, &str, u64); 2] = [("1h", "1 hour", 3_600), ("1d", "1 day", 86_400)];

/// Which providers.
#[derive(Deserialize, Default)]
pub(super) struct Wanted {
    #[serde(default)]
    all: String,
}

/// Those in use, or with a key.
pub(super) async fn show(
    State(site): State<Site>,
    Extension(scope): Extension<Scope>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Markup, Oops> {
    let all = !asked_of(wanted).all.is_empty();
    let (desk, now) = (&site.desk, site.desk.now());
    let config = desk.config();
    let remembered = desk.remembered().await?;
    let listed = listed(&config, &remembered, now, all);
    let hidden = config.providers.len() - listed.len();
    let mut seen = Vec::new();
    for one in listed {
        let used = one.used_by(&config);
        let calls = desk.store.calls(&one.provider.name, strip::READ).await?;
        seen.push((one, used, calls));
    }
    // Those in use first; each half stays in the order of names.
    seen.sort_by_key(|(_, used, _)| used.is_empty());
    Ok(frame(
        Here::Providers,
        "Providers",
        html! {
            div.providers {
                @for (one, used, calls) in &seen { (card(one, used, calls, scope, now)) }
            }
            @if hidden > 0 {
                p { a href="/providers?all=1" { "Show the " (hidden) " others that the catalog knows" } }
            }
        },
    ))
}

fn card(one: &Standing<'_>, used: &str, calls: &[Call], scope: Scope, now: Timestamp) -> Markup {
    let provider = one.provider;
    let name = provider.name.as_str();
    html! {
        section.card.provider data-part=(name) id={ "p-" (name) } aria-labelledby={ "name-" (name) } {
            header {
                h2 id={ "name-" (name) } { (words(&provider.title)) }
                span.badge.(if one.shut().is_some() { "failed" } else { "done" }) {
                    span aria-hidden="true" { (if one.shut().is_some() { "✕" } else { "✓" }) } " "
                    (if one.shut().is_some() { "not called" } else { "ready" })
                }
            }
            p.sentence { (told(&sentence(one), now)) }
            p.faint {
                code { (name) } " makes " (provider.medium.as_str())
                @if let Some(model) = &provider.model { " with " (words(model)) }
                @if used.is_empty() { "; in no chain" } @else { "; used by " (used) }
                "."
            }
            @if calls.is_empty() {
                p.faint { "Not called yet." }
            } @else {
                (strip::strip(calls, now, name))
            }
            (facts(one, calls, now))
            @if scope == Scope::Write { (hand(one, now)) }
        }
    }
}

/// `Ready, 2 failures in a row`, or why it is not called.
fn sentence(one: &Standing<'_>) -> String {
    let state = one.state();
    let mut letters = state.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn facts(one: &Standing<'_>, calls: &[Call], now: Timestamp) -> Markup {
    let (spent, budget) = one.money().of(Span::Month);
    let health = one.health();
    html! {
        dl.facts {
            @if let Some(health) = health {
                @if let Some(at) = health.last_success_at { dt { "Last delivery" } dd { (when(at, now)) } }
            }
            @if let Some((at, error)) = one.last_error() {
                dt { "Last error" }
                dd { (when(at, now)) ": " (told(error, now)) }
            }
            @if let Some((middle, slow)) = strip::latency(calls) {
                dt { "Takes" }
                dd { (middle) " usually" @if slow != middle { ", " (slow) " at the slow end" } }
            }
            @if spent.used() > 0 || budget.is_some() {
                dt { "This month" }
                dd {
                    (dollars(spent.spent))
                    @if let Some(budget) = budget { " of " (dollars(budget)) }
                    @if spent.reserved > 0 { ", " (dollars(spent.reserved)) " put aside for calls under way" }
                    @if let Some(budget) = budget {
                        meter min="0" max=(budget) value=(spent.used().min(budget)) high=(budget / 5 * 4)
                            aria-label={ "Budget of " (one.provider.title) " used this month" } {}
                    }
                }
            }
        }
    }
}

/// Pause, resume, reset.
fn hand(one: &Standing<'_>, now: Timestamp) -> Markup {
    let name = one.provider.name.as_str();
    let paused = one.health().and_then(|health| health.paused_until).is_some_and(|until| until > now);
    let tripped = one.health().is_some_and(|health| {
        health.state != BreakerState::Closed || health.consecutive_failures > 0 || health.cool_until.is_some()
    });
    html! {
        div.hand {
            @if paused {
                form method="post" action={ "/providers/" (name) "/resume" } {
                    button id={ "resume-" (name) } { "Resume" span.unseen { " " (one.provider.title) } }
                }
            } @else {
                details.fold id={ "fold-" (name) } {
                    summary { "Pause" span.unseen { " " (one.provider.title) } }
                    form.row method="post" action={ "/providers/" (name) "/pause" } {
                        @for (value, word, _) in PAUSES {
                            button name="for" value=(value) { "For " (word) }
                        }
                    }
                    form.row method="post" action={ "/providers/" (name) "/pause" } {
                        label for={ "until-" (name) } { "Until (UTC)" }
                        input id={ "until-" (name) } type="datetime-local" name="until" required;
                        button { "Pause until then" }
                    }
                }
            }
            @if tripped {
                form method="post" action={ "/providers/" (name) "/reset" } {
                    button.quiet id={ "reset-" (name) } { "Reset" span.unseen { " " (one.provider.title) } }
                }
            }
        }
    }
}

/// How long.
#[derive(Deserialize, Default)]
pub(super) struct Pause {
    #[serde(default, rename = "for")]
    length: String,
    #[serde(default)]
    until: String,
}

/// Calls a provider no more until a time.
pub(super) async fn pause(
    State(site): State<Site>,
    Path(name): Path<String>,
    form: Result<Form<Pause>, FormRejection>,
) -> Result<Redirect, Oops> {
    let until = ends(&form_of(form)?, site.desk.now());
    let until = until
        .ok_or_else(|| Problem::wrong_word("say until when, as 2026-12-31T18:00; it is taken as UTC"))?;
    Ok(back(&site.desk.pause(&name, until).await?))
}

/// Ends a pause.
pub(super) async fn resume(State(site): State<Site>, Path(name): Path<String>) -> Result<Redirect, Oops> {
    Ok(back(&site.desk.resume(&name).await?))
}

/// Closes the breaker and forgets the streak.
pub(super) async fn reset(State(site): State<Site>, Path(name): Path<String>) -> Result<Redirect, Oops> {
    Ok(back(&site.desk.reset(&name).await?))
}

fn back(name: &ProviderName) -> Redirect {
    Redirect::to(&format!("/providers#p-{name}"))
}

/// When a pause ends that was asked for at `now`.
fn ends(pause: &Pause, now: Timestamp) -> Option<Timestamp> {
    if let Some((_, _, seconds)) = PAUSES.iter().find(|(value, ..)| *value == pause.length) {
        return Some(after(now, std::time::Duration::from_secs(*seconds)));
    }
    let read = |form| NaiveDateTime::parse_from_str(&pause.until, form).ok();
    let until = read("%Y-%m-%dT%H:%M").or_else(|| read("%Y-%m-%dT%H:%M:%S"));
    until.map(|until| until.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{from_text, to_text};

    #[test]
    fn a_pause_is_a_length_or_an_end() {
        let now = from_text("2026-11-24T12:00:00.000Z").expect("valid");
        let check = |length: &str, until: &str, expected: Option<&str>| {
            let pause = Pause { length: length.to_owned(), until: until.to_owned() };
            let found = ends(&pause, now).map(to_text);
            assert_eq!(found.as_deref(), expected, "{length} {until}");
        };
        check("1h", "", Some("2026-11-24T13:00:00.000Z"));
        check("1d", "", Some("2026-11-25T12:00:00.000Z"));
        check("", "2026-12-31T18:00", Some("2026-12-31T18:00:00.000Z"));
        check("2h", "", None);
        check("", "tomorrow", None);
    }
}
