//! `enqueue`: asks for an asset, and waits for it if told to.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use anstream::eprintln;
use indicatif::ProgressBar;
use serde_json::{Map, Value, json};

use super::said::{Exit, Said, usage};
use super::session::Session;
use super::wire::Opened;
use super::{show, typed};
use crate::daemon::desk::{DeskError, ask};
use crate::domain::job::JobId;
use crate::domain::time::{after, between, from_text, spoken, to_text};
use crate::store::{JobRow, JobStory, NewJob, Store};

/// How often a job is looked at while somebody waits for it.
const LOOK: Duration = Duration::from_millis(200);

/// How long a due job may lie unclaimed before that is worth a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// Ask for an asset; with --wait, wait until it is there
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop enqueue hero-image my-article
  backstop enqueue social-text my-article --input title='Bees in winter' --input tone=calm
  backstop enqueue hero-image my-article --override lummi --priority 9 --wait
  backstop enqueue video-clip my-article --at 2026-12-24T22:00:00Z --dedupe-key advent")]
pub(super) struct Args {
    /// The asset, in any spelling: hero-image, heroImage
    asset: String,
    /// What it is for
    slug: String,
    /// Use this prompt instead of the asset's
    #[arg(long)]
    prompt: Option<String>,
    /// A value for the prompt's template; may be repeated
    #[arg(long, value_name = "KEY=TEXT")]
    input: Vec<String>,
    /// All values at once, a JSON object; --input adds to it
    #[arg(long, value_name = "JSON")]
    input_json: Option<String>,
    /// Start at this provider, for this job only; `manual` asks a person at once
    #[arg(long = "override", value_name = "PROVIDER")]
    wish: Option<String>,
    /// 0 to 9; 9 goes first [default: 5]
    #[arg(long, value_parser = clap::value_parser!(u8).range(0..=9))]
    priority: Option<u8>,
    /// Not before this instant
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Refuse a second job of this asset with the same key while the first lives
    #[arg(long, value_name = "KEY")]
    dedupe_key: Option<String>,
    /// Ask a person after this many runs
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    max_runs: Option<u32>,
    /// Wait until the job is settled; a daemon must be running
    #[arg(long)]
    wait: bool,
    /// Give up waiting after this long; the job goes on
    #[arg(long, value_name = "TIME", default_value = "1h", requires = "wait")]
    timeout: String,
}

pub(super) async fn run(session: &Session, args: Args) -> anyhow::Result<Said> {
    let config = session.config()?;
    let asset = typed::asset(&config, &args.asset)?;
    if let Some(wish) = &args.wish {
        typed::wish(&config, asset, wish)?;
    }
    let timeout = typed::span("--timeout", &args.timeout)?;
    let at = args.at.as_deref().map(|text| typed::instant("--at", text)).transpose()?;
    let job = NewJob {
        asset: asset.name.to_string(),
        slug: args.slug,
        prompt: args.prompt,
        input: input(args.input_json.as_deref(), &args.input)?,
        provider_override: args.wish.map(|wish| wish.trim().to_ascii_lowercase()),
        priority: args.priority,
        run_at: at.map(to_text),
        dedupe_key: args.dedupe_key,
        max_runs: args.max_runs,
    };
    let opened = session.open().await?;
    let id = opened.desk().enqueue(job.clone()).await.map_err(|error| match error {
        // A key that is taken was typed, like any other word of this verb.
        DeskError::Conflict(sentence) => usage(sentence),
        DeskError::Wish(_) | DeskError::Unacceptable(_) | DeskError::Store(_) | DeskError::Vault(_) => {
            typed::wrong(error)
        }
    })?;
    if args.wait {
        eprintln!("job {id}: {} for {}", job.asset, job.slug);
        return wait(&opened, id, timeout).await;
    }
    let story = read(&opened, id).await?;
    let text = format!("job {id}: {} for {}\nnext: backstop show {id}", job.asset, job.slug);
    Ok(Said::fine(text, json!(story.job)))
}

/// The job's input from its flags; `None` when there is none.
fn input(all: Option<&str>, pairs: &[String]) -> anyhow::Result<Option<Value>> {
    let mut input = match all.map(serde_json::from_str) {
        None if pairs.is_empty() => return Ok(None),
        None => Map::new(),
        Some(Ok(Value::Object(map))) => map,
        Some(Ok(_)) => {
            return Err(usage("--input-json must be an object, such as {\"title\": \"My article\"}"));
        }
        Some(Err(error)) => return Err(usage(format!("--input-json is no JSON: {error}"))),
    };
    for pair in pairs {
        match pair.split_once('=') {
            Some((key, value)) if !key.is_empty() => {
                input.insert(key.to_owned(), Value::from(value));
            }
            Some(_) | None => {
                return Err(usage(format!("--input {pair}: write KEY=TEXT, such as title=Bees")));
            }
        }
    }
    Ok(Some(Value::Object(input)))
}

async fn wait(opened: &Opened, id: JobId, timeout: Duration) -> anyhow::Result<Said> {
    let began = (opened.clock)();
    let spinner = if stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    spinner.enable_steady_tick(Duration::from_millis(100));
    let mut complained = false;
    loop {
        let story = read(opened, id).await?;
        if ask::is_settled(&story.job) {
            spinner.finish_and_clear();
            let said = show::tell(opened, &story);
            let exit = if story.job.status == "done" { Exit::Done } else { Exit::Failed };
            return Ok(Said { exit, ..said });
        }
        let now = (opened.clock)();
        let waited = between(began, now);
        if waited > timeout {
            spinner.finish_and_clear();
            anyhow::bail!(
                "job {id} is still {} after {}; it goes on without you",
                story.job.status,
                spoken(waited)
            );
        }
        let due = from_text(&story.job.run_at).is_some_and(|at| after(at.max(began), PATIENCE) <= now);
        if !complained && due && story.job.status == "pending" && story.history.is_empty() {
            complained = true;
            spinner.suspend(|| {
                eprintln!(
                    "nothing has claimed job {id} for {}; is a daemon running? start one with backstop serve",
                    spoken(PATIENCE)
                );
            });
        }
        spinner.set_message(progress(&story.job, waited));
        tokio::time::sleep(LOOK).await;
    }
}

fn progress(job: &JobRow, waited: Duration) -> String {
    match job.status.as_str() {
        "pending" if job.started_at.is_some() => format!("comes back at {}", job.run_at),
        status => format!("{status}, {}", spoken(waited)),
    }
}

async fn read(opened: &Opened, id: JobId) -> anyhow::Result<JobStory> {
    let story = opened.store.story(id).await?;
    story.ok_or_else(|| anyhow::anyhow!("job {id} was deleted meanwhile"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_comes_from_an_object_and_from_pairs() {
        let check = |all: Option<&str>, pairs: &[&str], expected: Option<Value>| {
            let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
            assert_eq!(input(all, &pairs).ok(), Some(expected));
        };
        check(None, &[], None);
        check(None, &["title=a=b"], Some(json!({"title": "a=b"})));
        check(Some("{\"n\": 1, \"t\": 2}"), &["t=3"], Some(json!({"n": 1, "t": "3"})));
        for (all, pair) in [(Some("[1]"), "a=b"), (Some("{"), "a=b"), (None, "title"), (None, "=b")] {
            assert!(input(all, &[pair.to_owned()]).is_err(), "{all:?} {pair}");
        }
    }
}
