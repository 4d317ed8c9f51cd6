//! Jobs by asset, status and slug, a page at a time by key.

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::badge;
use super::when::{plain, when_row, words};
use super::{Here, Oops, asked_of, frame};
use crate::daemon::desk::{self, ask};
use crate::domain::job::{JobId, JobStatus};
use crate::domain::time::Timestamp;
use crate::store::{JobFilter, JobRow, JobSearch};
use crate::web::Site;

/// Jobs of one page.
const PAGE: u32 = 50;

/// Which jobs; a field that is empty asks for nothing.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Wanted {
    asset: String,
    status: String,
    slug: String,
    before: String,
    after: String,
}

/// One page of jobs, and where the next one is.
struct Page {
    jobs: Vec<JobRow>,
    next: Option<Vec<(&'static str, String)>>,
}

/// Jobs.
pub(super) async fn show(
    State(site): State<Site>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Markup, Oops> {
    let wanted = asked_of(wanted);
    let config = site.desk.config();
    let asset = (!wanted.asset.is_empty()).then(|| desk::asset(&config, &wanted.asset)).transpose()?;
    let asset = asset.map(|asset| asset.name.clone());
    let page = page(&site, &wanted, asset.clone()).await?;
    let names: Vec<&str> = config.assets.iter().map(|asset| asset.name.as_str()).collect();
    let now = site.desk.now();
    let asset = asset.as_ref().map_or("", |asset| asset.as_str());
    Ok(frame(
        Here::Jobs,
        "Jobs",
        html! {
            (filter(&wanted, asset, &names))
            section.card.flush id="jobs" data-part="jobs" aria-label="Jobs" {
                @if page.jobs.is_empty() {
                    p.empty {
                        @if page.next.is_some() { "None of those that were looked at so far." }
                        @else { "No such job." }
                    }
                } @else {
                    (table(&page.jobs, now))
                }
            }
            @if page.next.is_some() || !wanted.before.is_empty() {
                nav.pager aria-label="More jobs" {
                    @if !wanted.before.is_empty() {
                        a.button href=(address(&wanted, asset, &[])) { "From the start" } " "
                    }
                    @if let Some(next) = &page.next {
                        a.button rel="next" href=(address(&wanted, asset, next)) {
                            @if wanted.slug.is_empty() { "Older jobs" } @else { "More" }
                        }
                    }
                }
            }
        },
    ))
}

async fn page(
    site: &Site,
    wanted: &Wanted,
    asset: Option<crate::domain::name::AssetName>,
) -> Result<Page, Oops> {
    let store = &site.desk.store;
    let status = JobStatus::parse(&wanted.status);
    if wanted.slug.is_empty() {
        let before = wanted.before.parse().ok().map(JobId);
        let filter = JobFilter { asset, status, slug: None, before, limit: PAGE };
        let jobs = store.jobs(&filter).await?;
        let last = jobs.last().filter(|_| jobs.len() == PAGE as usize);
        let next = last.map(|job| vec![("before", job.id.to_string())]);
        return Ok(Page { jobs, next });
    }
    let after = wanted.before.parse().ok().map(|id| (wanted.after.clone(), JobId(id)));
    let search = JobSearch { begins: wanted.slug.clone(), asset, status, after, limit: PAGE };
    let found = store.search(&search).await?;
    let next = found.next.map(|(slug, id)| vec![("after", slug), ("before", id.to_string())]);
    Ok(Page { jobs: found.jobs, next })
}

/// This page's address with what is filtered by, and where it goes on.
fn address(wanted: &Wanted, asset: &str, next: &[(&str, String)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in [("asset", asset), ("status", &wanted.status), ("slug", &wanted.slug)] {
        if !value.is_empty() {
            query.append_pair(name, value);
        }
    }
    for (name, value) in next {
        query.append_pair(name, value);
    }
    format!("/jobs?{}", query.finish())
}

fn filter(wanted: &Wanted, asset: &str, assets: &[&str]) -> Markup {
    html! {
        form.filter method="get" action="/jobs" role="search" aria-label="Jobs" {
            div {
                label for="slug" { "Slug begins with" }
                input id="slug" name="slug" type="search" maxlength="200" value=(wanted.slug) autocomplete="off" spellcheck="false";
            }
            div {
                label for="asset" { "Asset" }
                select id="asset" name="asset" {
                    option value="" { "Any" }
                    @for name in assets { option value=(name) selected[*name == asset] { (name) } }
                }
            }
            div {
                label for="status" { "Status" }
                select id="status" name="status" {
                    option value="" { "Any" }
                    @for status in JobStatus::ALL {
                        option value=(status.as_str()) selected[status.as_str() == wanted.status] { (status.as_str()) }
                    }
                }
            }
            button { "Show" }
        }
    }
}

fn table(jobs: &[JobRow], now: Timestamp) -> Markup {
    html! {
        table.jobs {
            thead {
                tr {
                    th scope="col" { "Job" }
                    th scope="col" { "Asset" }
                    th scope="col" { "Status" }
                    th scope="col" { "By" }
                    th scope="col" { "When" }
                }
            }
            tbody {
                @for job in jobs {
                    tr {
                        td.slug {
                            a href={ "/jobs/" (job.id) } title=(plain(&ask::headline(job))) { (words(&job.slug)) }
                            span.faint { " #" (job.id) }
                        }
                        td { (words(&job.asset)) }
                        td { (badge(&job.status)) }
                        td { (by(job)) }
                        td { (when_row(job.finished_at.as_deref().unwrap_or(&job.created_at), now)) }
                    }
                }
            }
        }
    }
}

/// Who delivered it.
fn by(job: &JobRow) -> Markup {
    let delivered = job.provider.as_deref().filter(|_| job.status == "done");
    html! {
        @match delivered {
            Some("manual") => "a person",
            Some(provider) => {
                (words(provider))
                @if job.fallback_used == Some(true) { span.faint { " (fallback)" } }
            }
            None => span.faint { "–" },
        }
    }
}
