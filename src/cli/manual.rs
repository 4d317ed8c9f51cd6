//! `manual`: what waits for a person, and how to answer.

use std::fmt::Write as _;

use serde_json::json;

use super::said::{BAD, FAINT, STRONG, Said, field, paint, preview, printable};
use super::session::Session;
use super::show::resolve_command;
use crate::config::Config;
use crate::daemon::desk::told::templated;
use crate::domain::time::{Timestamp, between, from_text, spoken};
use crate::store::{ManualRow, Store};

/// List what waits for a person, longest first, with the commands that answer it
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  backstop manual --limit 5")]
pub(super) struct Args {
    /// Most jobs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let opened = session.existing().await?;
    let queue = opened.store.manual_queue(args.limit).await?;
    let now = (opened.clock)();
    let mut text = String::new();
    for row in &queue {
        tell(&mut text, row, &opened.config, now);
    }
    if queue.is_empty() {
        text.push_str("Nothing waits for a person.");
    }
    if queue.len() == args.limit as usize {
        writeln!(text, "{}", paint(FAINT, "there may be more: raise --limit")).unwrap_or_default();
    }
    Ok(Said::fine(text, json!(queue)))
}

fn tell(text: &mut String, row: &ManualRow, config: &Config, now: Timestamp) {
    let since = row.waiting_since.as_deref().and_then(from_text);
    let waits =
        since.map(|since| format!(", waiting for {}", spoken(between(since, now)))).unwrap_or_default();
    let title = paint(STRONG, format!("job {} · {} · {}", row.id, row.asset, printable(&row.slug)));
    // Writing to a string cannot fail.
    writeln!(text, "{title}{waits}").unwrap_or_default();
    // Of a template the view can only say that there is one; here it is at hand.
    let by_template =
        row.prompt.as_ref().is_none_or(|prompt| *prompt == format!("by the template of {}", row.asset));
    let made = by_template.then(|| templated(config, &row.asset, &row.slug, row.input.as_ref())).flatten();
    if let Some(prompt) = made.as_ref().or(row.prompt.as_ref()) {
        field(text, "asked for", preview(prompt, 300));
    }
    if let Some(input) = row.input.as_ref().filter(|input| **input != json!({})) {
        field(text, "input", preview(&input.to_string(), 200));
    }
    for reason in row.reasons.as_deref().unwrap_or_default().lines() {
        writeln!(text, "  {} {}", paint(BAD, "✗"), preview(reason, 400)).unwrap_or_default();
    }
    writeln!(text, "  {}", resolve_command(row.id, row.medium.as_deref())).unwrap_or_default();
    writeln!(text, "  backstop retry {}\n", row.id).unwrap_or_default();
}
