//! The asset itself, shown where it is in our own vault.

use maud::{Markup, html};
use serde_json::Value;

use super::frame::copy;
use super::when::{plain, words};
use crate::store::JobRow;

/// The parts of a credit that are addresses, and what they lead to.
const CREDITS: [(&str, &str); 3] =
    [("source_url", "the work"), ("author_url", "its author"), ("hotlink_url", "shown at")];

/// The picture, the words or the player, its address and whom to credit.
pub(super) fn delivered(job: &JobRow, served: Option<&str>) -> Markup {
    let kind = job.content_type.as_deref().unwrap_or_default();
    let what = format!("The {} for {}", job.asset.replace('-', " "), plain(&job.slug));
    html! {
        @match served {
            Some(at) if kind.starts_with("image/") => {
                a.picture href=(at) { img src=(at) alt=(what) loading="lazy"; }
            },
            Some(at) if kind.starts_with("video/") => video src=(at) controls preload="metadata" aria-label=(what) {},
            Some(at) if kind.starts_with("audio/") => audio src=(at) controls preload="metadata" aria-label=(what) {},
            Some(at) => p { a href=(at) { "The file" } },
            None => {},
        }
        @if let Some(text) = &job.text {
            blockquote.delivered dir="auto" { (plain(text)) }
            (copy(text))
        }
        @if let Some(url) = &job.url {
            p.address {
                @if is_web(url) { a href=(url) rel="noreferrer" { (words(url)) } } @else { code { (words(url)) } }
                (copy(url))
            }
        }
        @if let Some(credit) = job.metadata.as_ref().and_then(|all| all.get("attribution")) {
            p.credit { "Credit: " (credit_line(credit)) }
        }
        @let measured = measures(job);
        @if !measured.is_empty() { p.faint { (words(&measured)) } }
    }
}

/// Whether a browser may be sent there: a row can hold anything.
fn is_web(url: &str) -> bool {
    url.starts_with("https://") || url.starts_with("http://")
}

/// Providers write an object; a person's row may hold a sentence.
fn credit_line(credit: &Value) -> Markup {
    let of = |key: &str| credit.get(key).and_then(Value::as_str);
    html! {
        @if let Some(text) = of("text").or(credit.as_str()) { (words(text)) }
        @for (key, name) in CREDITS {
            @if let Some(url) = of(key).filter(|url| is_web(url)) {
                " · " a href=(url) rel="noreferrer" { (name) }
            }
        }
        @if let Some(licence) = of("licence") { " · " (words(licence)) }
    }
}

/// `image/png, 1280 x 720, 84 kB`.
fn measures(job: &JobRow) -> String {
    let number = |key: &str| job.metadata.as_ref().and_then(|all| all.get(key));
    let mut parts: Vec<String> = job.content_type.iter().cloned().collect();
    if let (Some(width), Some(height)) = (number("width"), number("height")) {
        parts.push(format!("{width} × {height}"));
    }
    if let Some(seconds) = number("seconds") {
        parts.push(format!("{seconds} seconds"));
    }
    if let Some(chars) = number("chars") {
        parts.push(format!("{chars} characters"));
    }
    if let Some(bytes) = number("bytes").and_then(Value::as_u64) {
        parts.push(format!("{} kB", bytes.div_ceil(1000)));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(url: &str) -> JobRow {
        JobRow {
            id: 7,
            asset: "hero-image".to_owned(),
            slug: "bees".to_owned(),
            prompt: None,
            input: None,
            provider_override: None,
            priority: 5,
            run_at: String::new(),
            dedupe_key: None,
            status: "done".to_owned(),
            runs: 1,
            max_runs: None,
            url: Some(url.to_owned()),
            text: None,
            content_type: Some("image/png".to_owned()),
            provider: None,
            fallback_used: None,
            message: None,
            error: None,
            metadata: None,
            created_at: String::new(),
            updated_at: String::new(),
            started_at: None,
            finished_at: None,
        }
    }

    #[test]
    fn no_address_runs_a_script() {
        let shown = delivered(&job("javascript:alert(1)"), None).into_string();
        assert!(!shown.contains("href"), "{shown}");
        let credit = serde_json::json!({"text": "<b>", "source_url": "javascript:alert(1)", "author_url": "https://a.example"});
        let line = credit_line(&credit).into_string();
        assert_eq!(
            line,
            "<bdi>&lt;b&gt;</bdi> · <a href=\"https://a.example\" rel=\"noreferrer\">its author</a>"
        );
    }
}
