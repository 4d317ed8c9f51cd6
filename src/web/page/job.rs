//! One job: what became of it, why, and what a person can do now.

use axum::extract::rejection::FormRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Redirect;
use axum::{Extension, Form};
use maud::{Markup, html};
use serde::Deserialize;

use super::delivered::delivered;
use super::frame::{badge, copy};
use super::manual::{Typed, provide_form};
use super::timeline::{because, pretty, timeline, title};
use super::when::{plain, when_row, words};
use super::{Here, Oops, form_of, frame};
use crate::daemon::desk::ask;
use crate::domain::asset::{Asset, Medium};
use crate::domain::budget::dollars;
use crate::domain::chain::MANUAL;
use crate::domain::job::{JobId, JobStatus};
use crate::domain::provider::Provider;
use crate::domain::time::{Timestamp, from_text};
use crate::store::{JobRow, JobStory};
use crate::web::Site;
use crate::web::access::Scope;
use crate::web::assets;
use crate::web::problem::Problem;

/// The story of a job.
pub(super) async fn show(
    State(site): State<Site>,
    Extension(scope): Extension<Scope>,
    Path(id): Path<String>,
) -> Result<Markup, Oops> {
    let (desk, now) = (&site.desk, site.desk.now());
    let config = desk.config();
    let story = desk.story(number(&id)?).await?;
    let job = &story.job;
    let asset = config.assets.iter().find(|asset| asset.name.as_str() == job.asset);
    let prompt = desk.prompt(&job.asset, &job.slug, job.prompt.as_deref(), job.input.as_ref());
    let served = desk.shelves().key(job).map(|key| assets::path(&key));
    Ok(frame(
        Here::Jobs,
        &ask::headline(job),
        html! {
            div.lead data-part="lead" id="lead" { (lead(&story, &config.providers, now)) }
            @if job.url.is_some() || job.text.is_some() {
                section.card id="asset" data-part="asset" aria-labelledby="asset-title" {
                    h2 id="asset-title" { "The asset" }
                    (delivered(job, served.as_deref()))
                }
            }
            @if scope == Scope::Write {
                section.card id="hand" data-part="hand" aria-labelledby="hand-title" {
                    h2 id="hand-title" { "What you can do" }
                    (hand(job, asset, &config.providers))
                }
            }
            section.card id="story" data-part="story" aria-labelledby="story-title" {
                h2 id="story-title" { "What happened" }
                @if story.history.is_empty() { p.faint { "No run has begun yet." } }
                (timeline(&story, &config.providers, now))
            }
            section.card id="asked" data-part="asked" aria-labelledby="asked-title" {
                h2 id="asked-title" { "What was asked for" }
                (asked(job, prompt.as_deref(), now))
            }
        },
    ))
}

/// What it is, how it stands, and why.
fn lead(story: &JobStory, providers: &[Provider], now: Timestamp) -> Markup {
    let job = &story.job;
    let cost: i64 = story.history.iter().flat_map(|run| &run.attempts).map(|one| one.cost_micros).sum();
    let ended = job.finished_at.as_deref();
    html! {
        p.under {
            (badge(&job.status)) " " strong { (words(&job.slug)) } " · job " (job.id) " · "
            a href={ "/jobs?asset=" (job.asset) } { (words(&job.asset)) } " · "
            @match ended { Some(at) => { "ended " (when_row(at, now)) }, None => { "asked " (when_row(&job.created_at, now)) } }
            @if cost > 0 { " · cost " (dollars(cost)) }
        }
        @if job.status == "pending" {
            @if from_text(&job.run_at).is_some_and(|at| at > now) { p { "It is due " (when_row(&job.run_at, now)) "." } }
            @if let Some(wish) = &job.provider_override {
                p { "Its next run begins with " (title(providers, wish)) ", this once." }
            }
        }
        @if let Some(why) = because(story, providers, now) {
            div.because-box { (why) }
        }
    }
}

/// What fits how it stands now.
fn hand(job: &JobRow, asset: Option<&Asset>, providers: &[Provider]) -> Markup {
    let id = job.id;
    let medium = asset.map(|asset| asset.medium);
    let cancel = html! {
        form method="post" action={ "/jobs/" (id) "/cancel" } {
            button.quiet id="cancel" { "Cancel the job" }
        }
    };
    html! {
        @match JobStatus::parse(&job.status) {
            Some(JobStatus::Pending) => {
                p { "It is made as soon as there is room for it." }
                (cancel)
            }
            Some(JobStatus::Running) => { (cancel) }
            Some(JobStatus::Manual | JobStatus::Failed) => {
                (provide_form(id, medium, &Typed::default()))
                (retry_form(id, "Try again", medium, providers))
                (cancel)
            }
            Some(JobStatus::Done) => (retry_form(id, "Do it again", medium, providers)),
            Some(JobStatus::Cancelled) => (retry_form(id, "Do it after all", medium, providers)),
            None => p { "Nobody knows this status." },
        }
    }
}

fn retry_form(id: i64, word: &str, medium: Option<Medium>, providers: &[Provider]) -> Markup {
    html! {
        form.retry method="post" action={ "/jobs/" (id) "/retry" } {
            button id="retry" { (word) }
            details.fold id="retry-fold" {
                summary { "With another provider first, this once" }
                label for="retry-with" { "Start at" }
                (choices("retry-with", medium, providers, ""))
            }
        }
    }
}

/// Every provider of a medium, to choose one for one run.
pub(super) fn choices(id: &str, medium: Option<Medium>, providers: &[Provider], chosen: &str) -> Markup {
    let of_medium = providers.iter().filter(|one| medium.is_none_or(|medium| one.medium == medium));
    html! {
        select id=(id) name="override" {
            option value="" { "The chain as it is" }
            @for one in of_medium {
                @let name = one.name.as_str();
                option value=(name) selected[name == chosen] { (plain(&one.title)) " (" (name) ")" }
            }
            option value=(MANUAL) selected[chosen == MANUAL] { "Nobody: ask a person" }
        }
    }
}

fn asked(job: &JobRow, prompt: Option<&str>, now: Timestamp) -> Markup {
    html! {
        @if let Some(prompt) = prompt {
            div.prompt { pre dir="auto" { (plain(prompt)) } (copy(prompt)) }
        }
        @if let Some(input) = pretty(job.input.as_ref()) {
            details { summary { "Input" } pre { (plain(&input)) } }
        }
        dl.facts {
            dt { "Asked" } dd { (when_row(&job.created_at, now)) }
            dt { "Priority" } dd { (job.priority) }
            @if let Some(key) = &job.dedupe_key { dt { "Dedupe key" } dd { (words(key)) } }
        }
    }
}

/// The override of a form; empty is none.
#[derive(Deserialize, Default)]
pub(super) struct Again {
    #[serde(default, rename = "override")]
    wish: String,
}

/// Sends a job round again.
pub(super) async fn retry(
    State(site): State<Site>,
    Path(id): Path<String>,
    form: Result<Form<Again>, FormRejection>,
) -> Result<Redirect, Oops> {
    let (id, Again { wish }) = (number(&id)?, form_of(form)?);
    site.desk.retry(id, Some(wish.as_str()).filter(|wish| !wish.is_empty())).await?;
    Ok(Redirect::to(&format!("/jobs/{id}")))
}

/// Cancels a job.
pub(super) async fn cancel(State(site): State<Site>, Path(id): Path<String>) -> Result<Redirect, Oops> {
    let id = number(&id)?;
    site.desk.cancel(id).await?;
    Ok(Redirect::to(&format!("/jobs/{id}")))
}

/// The number of a job in an address.
pub(super) fn number(typed: &str) -> Result<JobId, Problem> {
    let number = typed.parse().ok().filter(|number: &i64| *number > 0);
    number.map(JobId).ok_or_else(|| {
        let sentence = format!("\"{}\" is no job's number.", plain(typed));
        Problem::new(StatusCode::NOT_FOUND, sentence)
    })
}
