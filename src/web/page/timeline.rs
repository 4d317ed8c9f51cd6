//! A job's story: every run, and in it every link, who was called, and why it was not.

use maud::{Markup, html};
use serde_json::Value;

use super::when::{told, when_row, words};
use crate::daemon::desk::told as story;
use crate::domain::budget::dollars;
use crate::domain::provider::Provider;
use crate::domain::time::Timestamp;
use crate::store::{AttemptRow, JobStory, RunRow};

/// What a class means, for somebody who has never seen one.
const CLASSES: [(&str, &str); 11] = [
    ("transient", "the vendor is briefly unable"),
    ("rate_limited", "the vendor asks for fewer calls"),
    ("quota", "its credit or quota is used up"),
    ("auth", "the vendor does not accept the key"),
    ("retired", "the vendor does not serve this model any more"),
    ("invalid", "the vendor rejects the request"),
    ("refused", "the vendor's content policy says no"),
    ("unusable", "what came back cannot be used"),
    ("timed_out", "no answer came in time"),
    ("unknown_outcome", "nobody knows whether it was made"),
    ("internal", "trouble of our own; the vendor is not to blame"),
];

/// Every run, the latest first.
pub(super) fn timeline(story: &JobStory, providers: &[Provider], now: Timestamp) -> Markup {
    html! {
        @for run in story.history.iter().rev() {
            section.run aria-labelledby={ "run-" (run.number) } {
                h3 id={ "run-" (run.number) } { "Run " (run.number) }
                p.faint {
                    (ending(run, &story.job.status)) ", begun " (when_row(&run.started_at, now))
                    @if let Some(wish) = &run.wish { ", with the override " (words(wish)) " for this run alone" }
                    "."
                }
                @if run.attempts.is_empty() {
                    @if let Some(error) = &run.error { p.why { (words(error)) } }
                } @else {
                    ol.attempts {
                        @for attempt in &run.attempts { (row(attempt, providers, now)) }
                    }
                }
            }
        }
    }
}

/// Why it was this provider: what became of those before it.
pub(super) fn because(story: &JobStory, providers: &[Provider], now: Timestamp) -> Option<Markup> {
    let run = story.history.last()?;
    let delivered = run.attempts.iter().find(|attempt| attempt.status == "delivered");
    let place = delivered.map_or(i64::MAX, |attempt| attempt.position);
    // Of each link its last word.
    let mut before: Vec<&AttemptRow> = Vec::new();
    for attempt in
        run.attempts.iter().filter(|attempt| attempt.position < place && attempt.status != "delivered")
    {
        before.retain(|earlier| earlier.position != attempt.position);
        before.push(attempt);
    }
    if before.is_empty() || matches!(story.job.status.as_str(), "pending" | "running" | "cancelled") {
        return None;
    }
    Some(html! {
        p {
            @match delivered {
                Some(attempt) => { "It came from " strong { (title(providers, &attempt.provider)) } ", because:" },
                None => "Nobody could deliver it:",
            }
        }
        ul.because {
            @for attempt in before {
                li {
                    strong { (title(providers, &attempt.provider)) } " "
                    @match (attempt.status.as_str(), meaning(attempt)) {
                        ("skipped", _) => { "was not called: " (told(reason(attempt), now)) },
                        (_, Some(meaning)) => {
                            "failed. " (meaning) ". " span.said { (told(reason(attempt), now)) }
                        },
                        (_, None) => { "failed: " (told(reason(attempt), now)) },
                    }
                }
            }
        }
    })
}

/// What its class means, as a sentence begins.
fn meaning(attempt: &AttemptRow) -> Option<String> {
    let (_, meaning) = CLASSES.iter().find(|(class, _)| attempt.class.as_deref() == Some(*class))?;
    let mut meaning = (*meaning).to_owned();
    if let Some(first) = meaning.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Some(meaning)
}

/// A provider as people know it.
pub(super) fn title(providers: &[Provider], name: &str) -> Markup {
    let known = providers.iter().find(|provider| provider.name.as_str() == name);
    words(known.map_or(name, |provider| provider.title.as_str()))
}

fn reason(attempt: &AttemptRow) -> &str {
    attempt.error.as_deref().or(attempt.class.as_deref()).unwrap_or("it did not say why")
}

fn ending(run: &RunRow, status: &str) -> String {
    match (&run.outcome, &run.finished_at) {
        (Some(outcome), Some(end)) => {
            let mut outcome = story::outcome(outcome).to_owned();
            if let Some(first) = outcome.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            format!("{outcome} after {}", story::length(&run.started_at, end))
        }
        _ if status == "running" => "Under way".to_owned(),
        (Some(_) | None, _) => "Interrupted; it goes on when the job is taken up again".to_owned(),
    }
}

fn row(attempt: &AttemptRow, providers: &[Provider], now: Timestamp) -> Markup {
    let (shape, word) = match attempt.status.as_str() {
        "delivered" => ("✓", "Delivered"),
        "failed" => ("✕", "Failed"),
        "skipped" => ("↷", "Skipped"),
        "started" => ("◐", "Called; no answer yet"),
        "accepted" => ("◐", "Accepted by the vendor, which works on it"),
        _unknown => ("?", "Called; its fate is not known"),
    };
    let took = attempt.finished_at.as_deref().filter(|_| attempt.status != "skipped");
    html! {
        li.attempt.(attempt.status) {
            span.shape aria-hidden="true" { (shape) }
            div {
                p.who {
                    strong { (title(providers, &attempt.provider)) }
                    @if attempt.repeat > 0 { span.faint { " · repeat " (attempt.repeat) } }
                    " " span.verdict {
                        (word)
                        @if let Some(end) = took { " after " (story::length(&attempt.started_at, end)) }
                    }
                    @if attempt.cost_micros > 0 { span.cost { " · " (dollars(attempt.cost_micros)) } }
                }
                @if let Some(meaning) = meaning(attempt) { p.why { (meaning) "." } }
                @if let Some(error) = &attempt.error { p.said { (told(error, now)) } }
                (small_print(attempt, now))
            }
        }
    }
}

/// What one asks a vendor's support with.
fn small_print(attempt: &AttemptRow, now: Timestamp) -> Markup {
    let facts = [
        ("label", Some(attempt.provider.clone())),
        ("class", attempt.class.clone()),
        ("model", attempt.model.clone()),
        ("HTTP status", attempt.http_status.map(|status| status.to_string())),
        ("request id", attempt.request_id.clone()),
        ("operation", attempt.operation.clone()),
    ];
    html! {
        @if attempt.status != "skipped" {
            details.small {
                summary { "Details" }
                dl.facts {
                    dt { "called" } dd { (when_row(&attempt.started_at, now)) }
                    @for (name, value) in facts {
                        @if let Some(value) = value { dt { (name) } dd { (words(&value)) } }
                    }
                }
            }
        }
    }
}

/// JSON as people read it; nothing where there is nothing in it.
pub(super) fn pretty(value: Option<&Value>) -> Option<String> {
    let value = value.filter(|value| value.as_object().is_none_or(|object| !object.is_empty()))?;
    serde_json::to_string_pretty(value).ok()
}
