//! What waits for a person, and the form that answers it.

use axum::Extension;
use axum::extract::multipart::{Field, Multipart, MultipartError, MultipartRejection};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use bytes::Bytes;
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::copy;
use super::job::number;
use super::timeline::{pretty, title};
use super::when::{plain, told, when_row, words};
use super::{Here, Oops, asked_of, frame};
use crate::daemon::desk::Handed;
use crate::domain::asset::Medium;
use crate::domain::job::JobId;
use crate::domain::provider::Provider;
use crate::domain::time::Timestamp;
use crate::store::{JobRow, ManualRow, StoreError};
use crate::web::Site;
use crate::web::access::Scope;
use crate::web::brought;
use crate::web::problem::Problem;

/// The largest file that is taken by the page, in bytes; larger ones belong to where they are served from.
pub(super) const LARGEST_FILE: usize = 64 << 20;

/// Jobs of one page, and at most.
const PAGE: u32 = 20;
const MOST: u32 = 500;

/// How many.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Wanted {
    show: String,
}

/// Everything that waits for a person, longest first.
pub(super) async fn show(
    State(site): State<Site>,
    Extension(scope): Extension<Scope>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Markup, Oops> {
    let (desk, now) = (&site.desk, site.desk.now());
    let config = desk.config();
    let limit = asked_of(wanted).show.parse().ok().unwrap_or(PAGE).clamp(1, MOST);
    let mut queue = desk.store.manual_queue(limit + 1).await?;
    let more = queue.len() > limit as usize;
    queue.truncate(limit as usize);
    Ok(frame(
        Here::Manual,
        "Needs a person",
        html! {
            @if queue.is_empty() { p.empty.card id="nothing" data-part="nothing" { "Nothing waits for a person." } }
            @for row in &queue {
                section.card.waiting id={ "job-" (row.id) } data-part=(row.id) aria-labelledby={ "title-" (row.id) } {
                    (waiting(&site, row, &config.providers, now))
                    @if scope == Scope::Write {
                        (provide_form(row.id, row.medium.as_deref().and_then(Medium::parse), &Typed::default()))
                    }
                }
            }
            @if more && limit < MOST {
                nav.pager aria-label="More" { a.button href={ "/manual?show=" (limit + PAGE) } { "Show more" } }
            }
        },
    ))
}

/// What is asked for, why each provider failed, and since when.
fn waiting(site: &Site, row: &ManualRow, providers: &[Provider], now: Timestamp) -> Markup {
    let by_template = format!("by the template of {}", row.asset);
    // Of a template the view can only say that there is one; here it is at hand.
    let own = row.prompt.as_deref().filter(|prompt| *prompt != by_template);
    let prompt = site.desk.prompt(&row.asset, &row.slug, own, row.input.as_ref());
    let name = row.asset.replace('-', " ");
    html! {
        header {
            h2 id={ "title-" (row.id) } { a href={ "/jobs/" (row.id) } { (words(&row.slug)) } }
            p.faint {
                (words(&name)) " · job " (row.id)
                @if let Some(since) = &row.waiting_since { " · waiting since " (when_row(since, now)) }
            }
        }
        @if let Some(prompt) = prompt {
            h3 { "Asked for" }
            div.prompt { pre dir="auto" { (plain(&prompt)) } (copy(&prompt)) }
        }
        @if let Some(input) = pretty(row.input.as_ref()) {
            details id={ "input-" (row.id) } { summary { "Input" } pre { (plain(&input)) } }
        }
        h3 { "Why nobody could deliver it" }
        ul.because {
            @for reason in row.reasons.as_deref().unwrap_or_default().lines() {
                li {
                    @match reason.split_once(": ") {
                        Some((provider, why)) => { strong { (title(providers, provider)) } ": " (told(why, now)) },
                        None => (told(reason, now)),
                    }
                }
            }
        }
    }
}

/// What somebody has typed so far, and what is wrong with it.
#[derive(Default)]
pub(super) struct Typed {
    text: String,
    url: String,
    had_file: bool,
    wrong: Option<String>,
}

/// The form by which a person provides an asset.
pub(super) fn provide_form(id: i64, medium: Option<Medium>, typed: &Typed) -> Markup {
    let takes_text = medium.is_none_or(|medium| medium == Medium::Text);
    let accept = match medium {
        Some(Medium::Image) => Some("image/*"),
        Some(Medium::Video) => Some("video/*"),
        Some(Medium::Audio) => Some("audio/*"),
        Some(Medium::Text) | None => None,
    };
    html! {
        form.provide method="post" action={ "/jobs/" (id) "/provide" } enctype="multipart/form-data"
            aria-label={ "Provide job " (id) } {
            @if let Some(wrong) = &typed.wrong {
                p.note.bad role="alert" id={ "wrong-" (id) } {
                    (plain(wrong))
                    @if typed.had_file { " A browser does not keep a file; choose it again." }
                }
            }
            @if takes_text {
                label for={ "text-" (id) } { "The text" }
                textarea id={ "text-" (id) } name="text" rows="5" dir="auto" { "\n" (typed.text) }
            } @else {
                label for={ "file-" (id) } { "The file: choose it, or drop it here" }
                input.drop id={ "file-" (id) } name="file" type="file" accept=[accept];
            }
            label for={ "url-" (id) } { "Or where it is" }
            input id={ "url-" (id) } name="url" type="text" inputmode="url" placeholder="https://" value=(typed.url) autocomplete="off";
            button.strong { "Provide it" }
        }
    }
}

/// A person provides the asset; what is not accepted is said beside the form, which keeps what was typed.
pub(super) async fn provide(
    State(site): State<Site>,
    Path(id): Path<String>,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Oops> {
    let id = number(&id)?;
    let job = site.desk.story(id).await?.job;
    let form = form.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    // Each file is held in memory while it is checked.
    let turn = site.uploads.try_acquire();
    let _turn = turn.map_err(|_| Problem::busy("other files are being handed in; try again in a moment"))?;
    let (handed, mut typed) = read(form).await?;
    let problem = match handed {
        None => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "Nothing was handed in: give a file, a text or an address.",
        ),
        Some(handed) => match site.desk.provide(id, handed).await {
            Ok(_) => return Ok(Redirect::to(&format!("/jobs/{id}")).into_response()),
            Err(error) => error.into(),
        },
    };
    typed.wrong = Some(sentence(problem.detail()));
    Ok((problem.status(), again(&site, id, &job, &typed).await?).into_response())
}

/// The form once more, with what it is about.
async fn again(site: &Site, id: JobId, job: &JobRow, typed: &Typed) -> Result<Markup, StoreError> {
    let config = site.desk.config();
    let medium =
        config.assets.iter().find(|asset| asset.name.as_str() == job.asset).map(|asset| asset.medium);
    let prompt = site.desk.prompt(&job.asset, &job.slug, job.prompt.as_deref(), job.input.as_ref());
    Ok(frame(
        Here::Elsewhere,
        &format!("That was not accepted: job {id}"),
        html! {
            section.card.waiting aria-labelledby="title" {
                p { a href={ "/jobs/" (id) } { (words(&job.slug)) } ", " (words(&job.asset)) }
                @if let Some(prompt) = prompt { div.prompt { pre dir="auto" { (plain(&prompt)) } } }
                (provide_form(job.id, medium, typed))
            }
        },
    ))
}

/// What was handed in: the first of file, text and address that is there.
async fn read(mut form: Multipart) -> Result<(Option<Handed>, Typed), Problem> {
    let mut typed = Typed::default();
    let mut file = Bytes::new();
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        match field.name().unwrap_or_default() {
            "file" => file = all(field).await?,
            "text" => typed.text = spelled(&all(field).await?),
            "url" => typed.url = spelled(&all(field).await?).trim().to_owned(),
            _other => {}
        }
    }
    typed.had_file = !file.is_empty();
    let handed = if !file.is_empty() {
        Some(Handed::File(file))
    } else if !typed.text.trim().is_empty() {
        // Browsers send line ends as mail does.
        Some(Handed::Text(typed.text.replace("\r\n", "\n")))
    } else if !typed.url.is_empty() {
        Some(Handed::Address(typed.url.clone()))
    } else {
        None
    };
    Ok((handed, typed))
}

async fn all(field: Field<'_>) -> Result<Bytes, Problem> {
    field.bytes().await.map_err(|error| broken(&error))
}

fn broken(error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        let sentence = format!(
            "the file is larger than {} MB; put it where it can be served from, and give its address",
            LARGEST_FILE >> 20
        );
        return Problem::new(StatusCode::PAYLOAD_TOO_LARGE, sentence);
    }
    brought::broken(error)
}

fn spelled(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// An error as a sentence of its own.
fn sentence(detail: &str) -> String {
    let mut letters = detail.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if detail.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}
