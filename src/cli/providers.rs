//! `providers`: who can be called, and the operator's hand on them.

use clap::Subcommand;
use serde_json::json;

use super::said::{Said, preview, table, usage};
use super::session::Session;
use super::{jobs, typed};
use crate::daemon::desk::standing::listed;
use crate::daemon::desk::{Desk, Remembered, Standing};
use crate::domain::name::ProviderName;
use crate::domain::time::{Timestamp, after, to_text};

/// List providers; pause, resume or reset one
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  backstop providers                        those in use, or with a key
  backstop providers --all
  backstop providers pause lummi --for 2h
  backstop providers resume lummi
  backstop providers reset gemini-3.1-flash-image"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Every provider the catalog knows
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them
    #[command(after_help = "Example:\n  backstop providers list --all")]
    List {
        /// Every provider the catalog knows
        #[arg(long)]
        all: bool,
    },
    /// Call a provider no more until a time
    #[command(group = clap::ArgGroup::new("end").required(true), after_help = "Examples:
  backstop providers pause lummi --for 2h
  backstop providers pause lummi --until 2026-12-31T18:00:00Z")]
    Pause {
        /// The provider
        name: String,
        /// For how long
        #[arg(long = "for", value_name = "TIME", group = "end")]
        length: Option<String>,
        /// Until when
        #[arg(long, value_name = "TIME", group = "end")]
        until: Option<String>,
    },
    /// End a pause
    #[command(after_help = "Example:\n  backstop providers resume lummi")]
    Resume {
        /// The provider
        name: String,
    },
    /// Close a provider's breaker and end its pause
    #[command(after_help = "Example:\n  backstop providers reset lummi")]
    Reset {
        /// The provider
        name: String,
    },
}

pub(super) async fn run(session: &Session, args: Args) -> anyhow::Result<Said> {
    match args.verb {
        None => list(session, args.all).await,
        Some(Verb::List { all }) => list(session, all).await,
        Some(Verb::Pause { name, length, until }) => {
            let now = (session.clock)();
            let until = match (length, until) {
                (Some(length), _) => after(now, typed::span("--for", &length)?),
                (None, Some(until)) => typed::instant("--until", &until)?,
                (None, None) => return Err(usage("say for how long: --for 2h, or --until TIME")),
            };
            let desk = session.open().await?.desk();
            let name = desk.pause(&name, until).await.map_err(typed::wrong)?;
            report(&desk, &name, format!("{name} is paused until {}.", to_text(until))).await
        }
        Some(Verb::Resume { name }) => {
            let desk = session.open().await?.desk();
            let name = desk.resume(&name).await.map_err(typed::wrong)?;
            report(&desk, &name, format!("{name} is paused no more.")).await
        }
        Some(Verb::Reset { name }) => {
            let desk = session.open().await?.desk();
            let name = desk.reset(&name).await.map_err(typed::wrong)?;
            report(&desk, &name, format!("{name} starts afresh: its breaker is closed.")).await
        }
    }
}

async fn report(desk: &Desk, name: &ProviderName, sentence: String) -> anyhow::Result<Said> {
    Ok(Said::fine(sentence, desk.standing(name).await?))
}

async fn list(session: &Session, all: bool) -> anyhow::Result<Said> {
    let config = session.config()?;
    let now = (session.clock)();
    let remembered = match session.if_there(&config).await? {
        Some(opened) => Remembered::read(opened.store.as_ref(), &config, now).await?,
        None => Remembered::default(),
    };
    let listed = listed(&config, &remembered, now, all);
    let costs = listed.iter().any(|one| !one.spent().is_empty());
    let counts = listed.iter().any(|one| !one.called().is_empty());
    let row = |one: &Standing<'_>| {
        let makes = one.provider.medium.to_string();
        let mut row = vec![one.provider.name.to_string(), makes, one.state(), one.used_by(&config)];
        row.extend(counts.then(|| one.called()));
        row.extend(costs.then(|| one.spent()));
        row.push(last_error(one, now));
        row
    };
    let mut header = vec!["PROVIDER", "MAKES", "STATE", "USED BY"];
    header.extend(counts.then_some("CALLS"));
    header.extend(costs.then_some("SPENT"));
    header.push("LAST ERROR");
    let text = table(&header, listed.iter().map(row));
    Ok(Said::fine(text, json!(listed.iter().map(Standing::json).collect::<Vec<_>>())))
}

/// `3 minutes ago: HTTP 503`.
pub(super) fn last_error(one: &Standing<'_>, now: Timestamp) -> String {
    one.last_error().map_or_else(String::new, |(at, error)| {
        format!("{}: {}", jobs::ago(&to_text(at), now), preview(error, 120))
    })
}
