//! `notices`: what was told to whom, and telling it again.

use std::fmt::Write as _;

use clap::Subcommand;
use serde_json::json;

use super::jobs::ago;
use super::said::{BAD, FAINT, GOOD, Said, WAITS, paint, preview, table, usage};
use super::session::Session;
use crate::domain::time::Timestamp;
use crate::store::{Notice, NoticeSend, Store};

/// List notices and what became of them; tell one again
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  backstop notices
  backstop notices --before 120             the next page
  backstop notices again 7                  under the same name, so that a receiver knows it"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Only older than this notice: the next page
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    before: Option<i64>,
    /// Most notices
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Tell a notice once more, to everybody who wants to hear of it
    #[command(after_help = "Example:\n  backstop notices again 7")]
    Again {
        /// The notice's number
        #[arg(value_name = "ID")]
        notice: i64,
    },
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let opened = session.existing().await?;
    if let Some(Verb::Again { notice }) = args.verb {
        if !opened.store.tell_again(notice).await? {
            return Err(usage(format!("there is no notice {notice}; backstop notices lists them")));
        }
        return Ok(Said::fine(format!("Notice {notice} is told again."), json!({ "again": notice })));
    }
    let listed = opened.store.notices(args.before, args.limit).await?;
    if listed.is_empty() {
        return Ok(Said::fine("No notices.", json!([])));
    }
    let now = (opened.clock)();
    let mut text = table(&["NOTICE", "KIND", "ABOUT", "SINCE", ""], listed.iter().map(|one| row(one, now)));
    for notice in &listed {
        for send in notice.sends.iter().filter(|send| send.error.is_some()) {
            trouble(&mut text, notice, send);
        }
    }
    if let Some(last) = listed.last().filter(|_| listed.len() == args.limit as usize) {
        text.push_str(&paint(FAINT, format!("older: add --before {}", last.id)));
    }
    Ok(Said::fine(text, json!(listed)))
}

fn row(notice: &Notice, now: Timestamp) -> [String; 5] {
    let about = match (&notice.job, &notice.provider) {
        (Some(job), _) => format!("job {} {}", job.id, preview(&job.slug, 40)),
        (None, Some(provider)) => provider.clone(),
        (None, None) => notice.detail.as_deref().map(|detail| preview(detail, 60)).unwrap_or_default(),
    };
    let mut state: Vec<String> = notice.sends.iter().map(spell).collect();
    if state.is_empty() {
        state.push(if notice.sent_at.is_some() { "nobody wants it".to_owned() } else { "waits".to_owned() });
    }
    [
        notice.id.to_string(),
        notice.kind.as_str().to_owned(),
        about,
        ago(&notice.created_at, now),
        state.join(", "),
    ]
}

fn spell(send: &NoticeSend) -> String {
    match (&send.sent_at, &send.gave_up_at) {
        (Some(_), _) => format!("{} {}", send.destination, paint(GOOD, "told")),
        (None, Some(_)) => format!("{} {}", send.destination, paint(BAD, "given up")),
        (None, None) => {
            format!("{} {}", send.destination, paint(WAITS, format!("after {} tries", send.tries)))
        }
    }
}

fn trouble(text: &mut String, notice: &Notice, send: &NoticeSend) {
    let error = send.error.as_deref().map(|error| preview(error, 200)).unwrap_or_default();
    let next = send.next_at.as_deref().map(|at| format!("; next try {at}")).unwrap_or_default();
    // Writing to a string cannot fail.
    writeln!(text, "notice {} to {}: {error}{next}", notice.id, send.destination).unwrap_or_default();
}
