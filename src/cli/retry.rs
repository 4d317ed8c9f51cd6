//! `retry`: sends settled jobs round again, one by one or all of an asset.

use serde_json::json;

use super::said::{Exit, Said, usage};
use super::session::Session;
use super::typed;
use super::wire::Opened;
use crate::daemon::desk::DeskError;
use crate::domain::job::JobId;
use crate::store::{Store, StoreError};

/// Try again: one job, or everything of an asset that nobody delivered since a time
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop retry 7
  backstop retry 7 --override lummi
  backstop retry hero-image --since 2d       all that are manual or failed since then")]
pub(super) struct Args {
    /// The jobs' numbers, or an asset
    #[arg(value_name = "ID|ASSET", required = true)]
    what: Vec<String>,
    /// With an asset: since when; 2d, or a date
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Start at this provider, this once
    #[arg(long = "override", value_name = "PROVIDER")]
    wish: Option<String>,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let opened = session.existing().await?;
    let jobs = wanted(&opened, args).await?;
    let wish = wish(&opened, args, &jobs).await?;
    let mut retried: Vec<JobId> = Vec::new();
    let mut refused = Vec::new();
    for job in &jobs {
        match opened.desk().retry(*job, wish.as_deref()).await {
            Ok(()) => retried.push(*job),
            Err(DeskError::Store(error @ (StoreError::Refused { .. } | StoreError::NoSuchJob { .. }))) => {
                refused.push((*job, error.to_string()));
            }
            Err(error) => return Err(typed::wrong(error)),
        }
    }
    if let ([], [(_, only)]) = (retried.as_slice(), refused.as_slice()) {
        anyhow::bail!("{only}");
    }
    let mut text = match retried.as_slice() {
        [] if refused.is_empty() => "Nothing to retry.".to_owned(),
        [] => String::new(),
        [one] => format!("Job {one} is pending again.\n"),
        many => format!("{} jobs are pending again.\n", many.len()),
    };
    for (_, why) in &refused {
        text.push_str(&format!("Not retried: {why}\n"));
    }
    let refusals: Vec<_> = refused.iter().map(|(job, why)| json!({ "job": job, "why": why })).collect();
    let json = json!({ "retried": retried, "refused": refusals });
    let exit = if refused.is_empty() { Exit::Done } else { Exit::Failed };
    Ok(Said { text, json, exit })
}

async fn wanted(opened: &Opened, args: &Args) -> anyhow::Result<Vec<JobId>> {
    let numbers: Option<Vec<JobId>> = args.what.iter().map(|what| typed::job(what)).collect();
    if let Some(numbers) = numbers {
        return match &args.since {
            None => Ok(numbers),
            Some(_) => Err(usage("--since goes with an asset, not with numbers of jobs")),
        };
    }
    let [asset] = args.what.as_slice() else {
        return Err(usage("name jobs by their numbers, or one asset"));
    };
    let asset = typed::asset(&opened.config, asset)?;
    let Some(since) = &args.since else {
        return Err(usage(format!("say since when: backstop retry {} --since 2d", asset.name)));
    };
    let since = typed::since("--since", since, (opened.clock)())?;
    Ok(opened.store.undelivered(&asset.name, since).await?)
}

/// The override, checked against the asset of every job.
async fn wish(opened: &Opened, args: &Args, jobs: &[JobId]) -> anyhow::Result<Option<String>> {
    let Some(wish) = &args.wish else { return Ok(None) };
    for job in jobs {
        let story = opened.store.story(*job).await?;
        let asset = story.and_then(|story| {
            opened.config.assets.iter().find(|asset| asset.name.as_str() == story.job.asset)
        });
        if let Some(asset) = asset {
            typed::wish(&opened.config, asset, wish)?;
        }
    }
    Ok(Some(wish.trim().to_ascii_lowercase()))
}
