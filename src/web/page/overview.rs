//! How every asset is doing.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use super::when::{grouped, many, when, words};
use super::{Here, Oops, frame, plot};
use crate::daemon::desk::{Doing, Measured, Remembered};
use crate::domain::time::Timestamp;
use crate::store::{AssetCount, MOST_COUNTED};
use crate::web::Site;
use crate::web::access::Scope;

/// Per asset the sentence, what waits, what runs, what needs a person; and how the last days went.
pub(super) async fn show(
    State(site): State<Site>,
    Extension(scope): Extension<Scope>,
) -> Result<Markup, Oops> {
    let (desk, now) = (&site.desk, site.desk.now());
    let config = desk.config();
    let health = desk.asset_health().await?;
    let backlog = desk.store.backlog(now).await?;
    let outcomes = desk.store.outcomes(plot::since(now)).await?;
    let Remembered { spending, .. } = desk.remembered().await?;
    let vitals = Measured::take(desk, &backlog, now).await?;
    let assets = config.assets.iter().map(|asset| Doing::of(asset, &health, &backlog, &spending));
    let known = |name: &str| config.assets.iter().any(|asset| asset.name.as_str() == name);
    let orphans: Vec<&AssetCount> =
        backlog.iter().filter(|count| count.status == "pending" && !known(&count.asset)).collect();
    Ok(frame(
        Here::Overview,
        "Overview",
        html! {
            div.notes data-part="notes" id="notes" { (notes(&vitals, &orphans, now)) }
            div.assets id="assets" data-part="assets" {
                @for doing in assets { (card(&doing, scope, now)) }
            }
            section.card.wide-card id="days" data-part="days" { (plot::plot(&outcomes, now)) }
        },
    ))
}

fn notes(vitals: &Measured, orphans: &[&AssetCount], now: Timestamp) -> Markup {
    html! {
        @for trouble in vitals.vitals.troubles(now) {
            p.note.bad { strong { "Trouble: " } (trouble.sentence()) }
        }
        @if vitals.manual > 0 {
            p.note.asks {
                a href="/manual" {
                    (many(vitals.manual, "job needs", "jobs need")) " a person"
                }
                " and " @if vitals.manual == 1 { "waits" } @else { "wait" } " until somebody provides what was asked for."
            }
        }
        @for orphan in orphans {
            p.note.bad {
                (amount(orphan.count)) " pending of " (words(&orphan.asset))
                ", an asset that this configuration does not know."
            }
        }
    }
}

fn card(doing: &Doing<'_>, scope: Scope, now: Timestamp) -> Markup {
    let name = doing.asset.name.as_str();
    let of = |status: &str| doing.counts.get(status).copied().unwrap_or_default();
    let spent = doing.money.said();
    let health = &doing.health;
    html! {
        section.card.asset aria-labelledby={ "asset-" (name) } {
            header {
                h2 id={ "asset-" (name) } { a href={ "/jobs?asset=" (name) } { (doing.asset.name.title()) } }
                @if scope == Scope::Write {
                    a.button href={ "/generate/" (name) } {
                        "Generate" span.unseen { " a " (doing.asset.name.title()) }
                    }
                }
            }
            p.sentence { (doing.sentence(now)) }
            dl.counts {
                (count("waiting", of("pending"), &format!("/jobs?asset={name}&status=pending")))
                (count("running", of("running"), &format!("/jobs?asset={name}&status=running")))
                (count("needs a person", of("manual"), "/manual"))
            }
            p.faint {
                @let waiting = of("pending");
                @if waiting > 0 && doing.due < waiting { (amount(doing.due)) " of those waiting due now. " }
                @if let Some(at) = health.last_success_at { "Last delivered " (when(at, now)) ". " }
                @if !spent.is_empty() { "Spent " (spent) ". " }
                "Chain: " (doing.asset.chain.to_string()) "."
            }
        }
    }
}

fn count(name: &str, count: i64, address: &str) -> Markup {
    html! {
        div class=[(count > 0).then_some("some")] {
            dt { (name) }
            dd { @if count > 0 { a href=(address) { (amount(count)) } } @else { "0" } }
        }
    }
}

/// A count that may have ended early.
fn amount(count: i64) -> String {
    let more = if count >= i64::from(MOST_COUNTED) { " or more" } else { "" };
    format!("{}{more}", grouped(count))
}
