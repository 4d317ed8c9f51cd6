//! `show`: a job's story, attempt by attempt.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::said::{BAD, FAINT, GOOD, STRONG, Said, WAITS, field, paint, preview, printable, usage};
use super::session::Session;
use super::typed;
use super::wire::Opened;
use crate::daemon::desk::ask;
use crate::daemon::desk::told::{self, length, templated};
use crate::domain::chain::MANUAL;
use crate::domain::job::JobStatus;
use crate::domain::time::from_text;
use crate::store::{AttemptRow, JobRow, JobStory, RunRow, Store, StoreError};

/// Tell a job's story: what was asked, who was called, what came of it, what to do next
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop show 7
  backstop show 7 --json")]
pub(super) struct Args {
    /// The job's number
    #[arg(value_name = "ID")]
    job: String,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let job = typed::job(&args.job)
        .ok_or_else(|| usage(format!("\"{}\" is no job's number; backstop jobs lists them", args.job)))?;
    let opened = session.existing().await?;
    let story = opened.store.story(job).await?.ok_or(StoreError::NoSuchJob { job })?;
    Ok(tell(&opened, &story))
}

/// The story as people and programs read it.
pub(super) fn tell(opened: &Opened, story: &JobStory) -> Said {
    let job = &story.job;
    let mut text = format!("{}\n", paint(STRONG, headline(job)));
    let number = format!("job {} · {} · {} · {}", job.id, job.asset, printable(&job.slug), job.status);
    text.push_str(&format!("{number}\n\n"));
    asked(&mut text, opened, job);
    delivered(&mut text, story);
    for run in &story.history {
        tell_run(&mut text, run, &job.status);
    }
    let next = next(opened, job);
    if !next.is_empty() {
        text.push_str(&format!("\nnext\n{next}"));
    }
    Said::fine(text, json!(story))
}

/// The sentence on top.
pub(super) fn headline(job: &JobRow) -> String {
    printable(&ask::headline(job))
}

fn asked(text: &mut String, opened: &Opened, job: &JobRow) {
    field(text, "asked", format!("{}, priority {}", job.created_at, job.priority));
    let input = job.input.as_ref();
    let prompt = job.prompt.clone().or_else(|| templated(&opened.config, &job.asset, &job.slug, input));
    if let Some(prompt) = prompt {
        field(text, "prompt", preview(&prompt, 200));
    }
    if let Some(input) = job.input.as_ref().filter(|input| **input != json!({})) {
        field(text, "input", preview(&input.to_string(), 200));
    }
    if let Some(wish) = &job.provider_override {
        field(text, "override", format!("start at {}", printable(wish)));
    }
    if let Some(key) = &job.dedupe_key {
        field(text, "dedupe key", printable(key));
    }
    if job.status == "pending" {
        field(text, "due", &job.run_at);
        let asset = opened.config.assets.iter().find(|asset| asset.name.as_str() == job.asset);
        if let Some(window) = asset.and_then(|asset| asset.window.as_ref()) {
            field(text, "window", format!("starts only in minutes of {} ({})", window.cron, window.zone));
        }
    }
}

fn delivered(text: &mut String, story: &JobStory) {
    let job = &story.job;
    if let Some(url) = &job.url {
        field(text, "url", printable(url));
    }
    if let Some(words) = &job.text {
        field(text, "text", preview(words, 400));
    }
    if job.status == "done"
        && let Some(provider) = &job.provider
    {
        let by = match (provider.as_str(), job.fallback_used) {
            (MANUAL, _) => "a person".to_owned(),
            (provider, Some(true)) => format!("{provider} (fallback)"),
            (provider, _) => provider.to_owned(),
        };
        field(text, "by", by);
    }
    if let Some(kind) = &job.content_type {
        field(text, "is", format!("{kind}{}", measures(job.metadata.as_ref())));
    }
    if let Some(credit) = job.metadata.as_ref().and_then(|all| all.get("attribution")) {
        attribution(text, credit);
    }
    let cost: i64 =
        story.history.iter().flat_map(|run| &run.attempts).map(|attempt| attempt.cost_micros).sum();
    if cost > 0 {
        field(text, "cost", dollars(cost));
    }
}

/// Whom to credit and how, line by line. Providers write an object; a person's row may hold a sentence.
fn attribution(text: &mut String, credit: &Value) {
    let Some(fields) = credit.as_object() else {
        let words = credit.as_str().map_or_else(|| credit.to_string(), str::to_owned);
        return field(text, "attribution", preview(&words, 200));
    };
    let known = [
        ("text", "attribution"),
        ("source_url", "  work"),
        ("author_url", "  author"),
        ("hotlink_url", "  shown at"),
        ("licence", "  licence"),
    ];
    for (key, name) in known {
        if let Some(words) = fields.get(key).and_then(Value::as_str) {
            field(text, name, preview(words, 400));
        }
    }
}

/// `, 1280 x 720, 84 kB`, of what was measured.
fn measures(metadata: Option<&Value>) -> String {
    let number = |key: &str| metadata.and_then(|all| all.get(key));
    let mut text = String::new();
    if let (Some(width), Some(height)) = (number("width"), number("height")) {
        text.push_str(&format!(", {width} x {height}"));
    }
    if let Some(chars) = number("chars") {
        text.push_str(&format!(", {chars} characters"));
    }
    if let Some(bytes) = number("bytes").and_then(Value::as_u64) {
        text.push_str(&format!(", {} kB", bytes.div_ceil(1000)));
    }
    text
}

fn tell_run(text: &mut String, run: &RunRow, status: &str) {
    let outcome = match (&run.outcome, &run.finished_at) {
        (Some(outcome), Some(end)) => {
            format!("{} ({})", told::outcome(outcome), length(&run.started_at, end))
        }
        _ if status == "running" => "under way".to_owned(),
        (Some(_) | None, _) => "interrupted; it goes on when its job is taken up again".to_owned(),
    };
    let wish = run.wish.as_ref().map(|wish| format!(", override {}", printable(wish))).unwrap_or_default();
    let title = paint(STRONG, format!("run {}", run.number));
    // Writing to a string cannot fail.
    writeln!(text, "\n{title}  {}  {outcome}{wish}", run.started_at).unwrap_or_default();
    let widest = run.attempts.iter().map(|attempt| attempt.provider.chars().count()).max().unwrap_or(0);
    for attempt in &run.attempts {
        let place = if attempt.repeat == 0 { format!("{}.", attempt.position + 1) } else { String::new() };
        writeln!(text, "  {place:>2} {:<widest$}  {}", attempt.provider, verdict(attempt))
            .unwrap_or_default();
    }
    let told = run.attempts.iter().any(|attempt| attempt.error.is_some());
    if let Some(error) = run.error.as_ref().filter(|_| !told) {
        writeln!(text, "     {}", preview(error, 400)).unwrap_or_default();
    }
}

/// `failed (transient: HTTP 503) after 2.1 s`.
pub(super) fn verdict(attempt: &AttemptRow) -> String {
    let error = attempt.error.as_deref().map(|error| preview(error, 400)).unwrap_or_default();
    let after = attempt.finished_at.as_deref().map(|end| length(&attempt.started_at, end));
    let after = after.map(|length| format!(" after {length}")).unwrap_or_default();
    let cost =
        if attempt.cost_micros > 0 { format!(", {}", dollars(attempt.cost_micros)) } else { String::new() };
    let repeat =
        if attempt.repeat > 0 { paint(FAINT, format!("repeat {}: ", attempt.repeat)) } else { String::new() };
    let class = attempt.class.as_deref().map(|class| format!("{class}: ")).unwrap_or_default();
    let word = match attempt.status.as_str() {
        "delivered" => format!("{}{after}{cost}", paint(GOOD, "delivered")),
        "skipped" => format!("{} {error}", paint(FAINT, "skipped:")),
        "started" => "was called, no answer yet".to_owned(),
        "accepted" => "accepted by the vendor, which works on it".to_owned(),
        other => format!("{} ({class}{error}){after}{cost}", paint(BAD, other)),
    };
    format!("{repeat}{word}")
}

/// What a person can do now.
fn next(opened: &Opened, job: &JobRow) -> String {
    let id = job.id;
    let Some(status) = JobStatus::parse(&job.status) else { return String::new() };
    let lines = match status {
        JobStatus::Pending => {
            let due = from_text(&job.run_at).is_none_or(|at| at <= (opened.clock)());
            let make = if due { "make it now, with all that is due" } else { "make it, once it is due" };
            vec![(make, "backstop drain".to_owned()), ("or cancel it", format!("backstop cancel {id}"))]
        }
        JobStatus::Running => vec![("cancel it", format!("backstop cancel {id}"))],
        JobStatus::Manual | JobStatus::Failed => {
            vec![("provide it", provide(opened, job)), ("or try again", format!("backstop retry {id}"))]
        }
        JobStatus::Done => vec![("do it again", format!("backstop retry {id}"))],
        JobStatus::Cancelled => vec![("do it after all", format!("backstop retry {id}"))],
    };
    let line =
        |(why, command): (&str, String)| format!("  {command:<40} {}\n", paint(FAINT, format!("# {why}")));
    lines.into_iter().map(line).collect()
}

/// The command that resolves a job, for its medium.
pub(super) fn provide(opened: &Opened, job: &JobRow) -> String {
    let asset = opened.config.assets.iter().find(|asset| asset.name.as_str() == job.asset);
    resolve_command(job.id, asset.map(|asset| asset.medium.as_str()))
}

/// `backstop resolve 7 --file picture.png`.
pub(super) fn resolve_command(id: i64, medium: Option<&str>) -> String {
    let with = match medium {
        Some("text") => "--text '...'",
        Some("image") => "--file picture.png",
        Some("video") => "--file clip.mp4",
        Some("audio") => "--file sound.mp3",
        Some(_) | None => "--url https://...",
    };
    format!("backstop resolve {id} {with}")
}

/// Micro-dollars as people read them.
pub(super) fn dollars(micros: i64) -> String {
    let micros = micros.unsigned_abs();
    format!("${}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}

/// A status in its colour.
pub(super) fn colour(status: &str) -> String {
    match JobStatus::parse(status) {
        Some(JobStatus::Done) => paint(GOOD, status),
        Some(JobStatus::Failed) => paint(BAD, status),
        Some(JobStatus::Manual) => paint(WAITS, status),
        Some(JobStatus::Cancelled) => paint(FAINT, status),
        Some(JobStatus::Pending | JobStatus::Running) | None => status.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credit_is_readable() {
        let check = |credit: Value, expected: &str| {
            let mut text = String::new();
            attribution(&mut text, &credit);
            assert_eq!(text, expected, "{credit}");
        };
        check(json!("Photo by A"), "  attribution Photo by A\n");
        check(json!(["odd"]), "  attribution [\"odd\"]\n");
        let credit = json!({"text": "Photo by A on Lummi", "author": "A", "author_url": "https://l.example/a",
            "source_url": "https://l.example/p", "licence": "Link both."});
        let expected = "  attribution Photo by A on Lummi\n    work      https://l.example/p\n    author    https://l.example/a\n    licence   Link both.\n";
        check(credit, expected);
    }

    #[test]
    fn money_is_written_as_people_read_it() {
        assert_eq!(dollars(39_000), "$0.0390");
        assert_eq!(dollars(12_345_678), "$12.3456");
    }
}
