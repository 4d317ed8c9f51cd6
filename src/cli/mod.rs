//! The verbs, one file each, and the one place where everything is wired.

mod backup;
mod budgets;
mod cancel;
mod check;
mod clock;
mod demo;
pub mod drain;
mod enqueue;
mod force;
mod health;
mod jobs;
mod logs;
mod manual;
mod measured;
mod migrate;
mod notices;
mod online;
mod plan;
mod providers;
mod resolve;
mod retiring;
mod retry;
mod said;
pub mod serve;
mod session;
mod show;
mod signals;
mod site;
mod typed;
pub mod wire;

use std::io::{IsTerminal, stderr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anstream::{ColorChoice, eprintln};
use clap::{Parser, Subcommand, ValueEnum};

use crate::config::{ConfigErrors, LogSettings};
use said::{BAD, Exit, Said, Usage, harmless, paint, told, usage};
use session::Session;

/// Makes every scheduled AI generation end in an asset.
///
/// Jobs come in by SQL or by `enqueue`, go down their asset's chain of providers, and what none of them could
/// deliver is handed to a person.
#[derive(Debug, Parser)]
#[command(
    name = "backstop",
    version,
    propagate_version = true,
    after_help = "Examples:
  backstop demo                             see it work, offline
  backstop enqueue hero-image my-article    ask for an asset
  backstop serve                            make what is asked for

Exit codes: 0 done, 1 failed, 2 a mistake in the command line or the configuration."
)]
struct Cli {
    /// The configuration [default: $BACKSTOP_CONFIG, ./backstop.toml, /etc/backstop/backstop.toml, or none]
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key of the configuration; wins over the file and the environment
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON instead of text, where data is printed
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    /// When to use colours; NO_COLOR is respected
    #[arg(long, global = true, help_heading = "Everywhere", value_name = "WHEN", default_value = "auto")]
    color: Colour,
    #[command(subcommand)]
    verb: Verb,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Colour {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Serve(serve::Args),
    Drain(drain::Args),
    Demo(demo::Args),
    #[command(flatten)]
    Desk(Box<DeskVerb>),
}

/// The verbs that ask or tell, and end.
#[derive(Debug, Subcommand)]
enum DeskVerb {
    Enqueue(enqueue::Args),
    Jobs(jobs::Args),
    Show(show::Args),
    Plan(plan::Args),
    Health(health::Args),
    Manual(manual::Args),
    Resolve(resolve::Args),
    Retry(retry::Args),
    Cancel(cancel::Args),
    Providers(providers::Args),
    Notices(notices::Args),
    Check(check::Args),
    Backup(backup::Args),
    Migrate(migrate::Args),
}

/// The whole program: reads the command line, does what it says, and names the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.color {
        Colour::Auto => ColorChoice::Auto,
        Colour::Always => ColorChoice::Always,
        Colour::Never => ColorChoice::Never,
    }
    .write_global();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("backstop: the runtime cannot be started: {error}");
            return Exit::Failed.into();
        }
    };
    runtime.block_on(run(cli))
}

async fn run(cli: Cli) -> ExitCode {
    let json = cli.json;
    let printed = match verb(cli).await {
        Ok(said) => said.print(json).map(|()| said.exit).map_err(anyhow::Error::new),
        Err(error) => Err(error),
    };
    let exit = printed.unwrap_or_else(|error| {
        eprintln!("{} {}", paint(BAD, "backstop:"), harmless(&told(&error)));
        if error.is::<Usage>() || error.is::<ConfigErrors>() { Exit::Mistake } else { Exit::Failed }
    });
    exit.into()
}

async fn verb(cli: Cli) -> anyhow::Result<Said> {
    let overrides = cli.set.iter().map(|pair| assignment(pair)).collect::<anyhow::Result<Vec<_>>>()?;
    let session = Session::new(clock::sources(cli.config, overrides)?, clock::system());
    match cli.verb {
        Verb::Serve(_) => {
            start_log(&session, &session.config()?.log);
            serve::run(session.sources, session.clock).await?;
            Ok(Said::fine("", serde_json::json!({})))
        }
        Verb::Drain(_) => {
            let config = session.config()?;
            let show = stderr().is_terminal();
            // A bar and a log would write over each other, and the bar counts what the log warns of.
            start_log(&session, &if show { logs::silent() } else { config.log.clone() });
            let done = drain::verb(config, Arc::clone(&session.clock), show).await?;
            Ok(Said::fine(drain::sentence(done), drain::json(done)))
        }
        Verb::Demo(args) => {
            // What the daemon warns of is what the demo shows.
            start_log(&session, &logs::silent());
            demo::run(&session, &args).await
        }
        Verb::Desk(verb) => {
            start_log(&session, &logs::quiet());
            let said = desk(&session, *verb).await;
            session.close().await;
            said
        }
    }
}

async fn desk(session: &Session, verb: DeskVerb) -> anyhow::Result<Said> {
    match verb {
        DeskVerb::Enqueue(args) => enqueue::run(session, args).await,
        DeskVerb::Jobs(args) => jobs::run(session, args).await,
        DeskVerb::Show(args) => show::run(session, &args).await,
        DeskVerb::Plan(args) => plan::run(session, &args).await,
        DeskVerb::Health(args) => health::run(session, &args).await,
        DeskVerb::Manual(args) => manual::run(session, &args).await,
        DeskVerb::Resolve(args) => resolve::run(session, args).await,
        DeskVerb::Retry(args) => retry::run(session, &args).await,
        DeskVerb::Cancel(args) => cancel::run(session, &args).await,
        DeskVerb::Providers(args) => providers::run(session, args).await,
        DeskVerb::Notices(args) => notices::run(session, &args).await,
        DeskVerb::Check(args) => check::run(session, &args).await,
        DeskVerb::Backup(args) => backup::run(session, &args).await,
        DeskVerb::Migrate(_) => migrate::run(session).await,
    }
}

fn start_log(session: &Session, settings: &LogSettings) {
    logs::install(settings, session.sources.environment.contains_key("JOURNAL_STREAM"));
}

/// `KEY=VALUE` of `--set`.
fn assignment(pair: &str) -> anyhow::Result<(String, String)> {
    match pair.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        Some(_) | None => Err(usage(format!("--set {pair}: write KEY=VALUE, such as queue.concurrency=8"))),
    }
}
