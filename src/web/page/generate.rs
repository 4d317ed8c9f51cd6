//! Asking for an asset: its slug, and nothing else unless somebody wants more.

use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Form};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::job::choices;
use super::when::{told, words};
use super::{Here, Oops, asked_of, form_of, frame};
use crate::daemon::desk::{self, DeskError, Outlook, outlook};
use crate::store::NewJob;
use crate::web::Site;
use crate::web::access::Scope;
use crate::web::problem::Problem;

/// What was typed; a field that is empty asks for nothing.
#[derive(Debug, Clone, Deserialize, Default)]
#[serde(default)]
pub(super) struct Wish {
    slug: String,
    title: String,
    prompt: String,
    #[serde(rename = "override")]
    first: String,
}

impl Wish {
    fn first(&self) -> Option<&str> {
        Some(self.first.as_str()).filter(|first| !first.is_empty())
    }
}

/// The form; its address may bring what was typed, so that the plan of an override is shown without a script.
pub(super) async fn show(
    State(site): State<Site>,
    Extension(scope): Extension<Scope>,
    Path(asset): Path<String>,
    typed: Result<Query<Wish>, QueryRejection>,
) -> Result<Markup, Oops> {
    let wish = asked_of(typed);
    if scope < Scope::Write {
        let sentence = "this token may only read; log out and show one that may write";
        return Err(Problem::new(StatusCode::FORBIDDEN, sentence).into());
    }
    Ok(form(&site, &asset, &wish, None).await?)
}

/// Asks for it, and goes to where it can be watched.
pub(super) async fn ask(
    State(site): State<Site>,
    Path(asset): Path<String>,
    typed: Result<Form<Wish>, FormRejection>,
) -> Result<Response, Oops> {
    let wish = form_of(typed)?;
    let text = |typed: &str| Some(typed.trim().to_owned()).filter(|typed| !typed.is_empty());
    let job = NewJob {
        asset: asset.clone(),
        slug: wish.slug.trim().to_owned(),
        prompt: text(&wish.prompt),
        input: text(&wish.title).map(|title| json!({ "title": title })),
        provider_override: wish.first().map(str::to_owned),
        ..NewJob::default()
    };
    let wrong = if job.slug.is_empty() {
        "Say what it is for: the slug is empty.".to_owned()
    } else {
        match site.desk.enqueue(job).await {
            Ok(id) => return Ok(Redirect::to(&format!("/jobs/{id}")).into_response()),
            Err(DeskError::Wish(sentence) | DeskError::Conflict(sentence)) => sentence,
            Err(error) => return Err(error.into()),
        }
    };
    let page = form(&site, &asset, &wish, Some(&wrong)).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

async fn form(site: &Site, asset: &str, wish: &Wish, wrong: Option<&str>) -> Result<Markup, DeskError> {
    let config = site.desk.config();
    let asset = desk::asset(&config, asset)?;
    let name = asset.name.as_str();
    let usual = site.desk.plan(name, None).await?;
    let bent = match wish.first() {
        Some(first) => Some(site.desk.plan(name, Some(first)).await),
        None => None,
    };
    let bent = match &bent {
        Some(Ok(outlook)) => Some(Ok(outlook)),
        // A word that is wrong is said where the plan would be.
        Some(Err(DeskError::Wish(sentence))) => Some(Err(sentence.as_str())),
        Some(Err(_)) | None => None,
    };
    Ok(frame(
        Here::Elsewhere,
        &format!("Generate a {}", asset.name.title().to_lowercase()),
        html! {
            form.card.generate method="post" action={ "/generate/" (name) } {
                @if let Some(wrong) = wrong { p.note.bad role="alert" id="wrong" { (words(wrong)) } }
                label for="slug" { "Slug: what it is for" }
                input id="slug" name="slug" required maxlength="200" value=(wish.slug) autofocus autocomplete="off"
                    spellcheck="false" placeholder="my-article" aria-describedby=[wrong.map(|_| "wrong")];
                button.strong { "Generate" }
                details.fold id="more" open[!wish.title.is_empty() || !wish.prompt.is_empty()] {
                    summary { "A title, or a prompt of its own" }
                    label for="title-field" { "Title" }
                    input id="title-field" name="title" maxlength="500" value=(wish.title) dir="auto";
                    label for="prompt" { "Prompt, instead of the asset's own" }
                    textarea id="prompt" name="prompt" rows="4" dir="auto" { "\n" (wish.prompt) }
                }
                details.fold id="first" open[wish.first().is_some()] {
                    summary { "Start at another provider, this once" }
                    p.faint {
                        "A normal run needs no choice. An override holds for this job alone, gets past an open breaker "
                        "and a pause, and is gone when the job ends."
                    }
                    label for="override" { "Start at" }
                    div.row {
                        (choices("override", Some(asset.medium), &config.providers, &wish.first))
                        button.quiet formmethod="get" formnovalidate { "Show its plan" }
                    }
                    @match bent {
                        Some(Ok(outlook)) => { h3 { "With this override" } (plan(outlook)) },
                        Some(Err(sentence)) => p.note.bad role="alert" { (words(sentence)) },
                        None => {},
                    }
                }
            }
            section.card aria-labelledby="plan" {
                h2 id="plan" { "What a run would do now" }
                (plan(&usual))
            }
        },
    ))
}

/// Whom a run would call, and whom not, and why.
fn plan(outlook: &Outlook) -> Markup {
    html! {
        @if !outlook.plan.links.is_empty() {
            ol.plan {
                @for link in &outlook.plan.links {
                    @let (word, why) = outlook::decision(link);
                    li.(word) {
                        span.shape aria-hidden="true" { (if word == "call" { "→" } else { "↷" }) }
                        div {
                            strong { (words(&link.title)) } " "
                            span.verdict { (if word == "call" { "is called" } else { "is skipped" }) }
                            p.faint { (told(&why, outlook.now)) }
                        }
                    }
                }
            }
        }
        p { (told(&outlook.ending(), outlook.now)) }
        @if let Some(window) = outlook.window() { p { (words(&window)) } }
    }
}
