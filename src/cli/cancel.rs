//! `cancel`: nobody wants the asset any more.

use serde_json::json;

use super::said::{Said, usage};
use super::session::Session;
use super::typed;
use crate::domain::job::JobId;

/// Cancel jobs, also while they run
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop cancel 7
  backstop cancel 7 8 9")]
pub(super) struct Args {
    /// The jobs' numbers
    #[arg(value_name = "ID", required = true)]
    jobs: Vec<String>,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let number = |typed: &String| {
        typed::job(typed)
            .ok_or_else(|| usage(format!("\"{typed}\" is no job's number; backstop jobs lists them")))
    };
    let jobs = args.jobs.iter().map(number).collect::<anyhow::Result<Vec<JobId>>>()?;
    let opened = session.existing().await?;
    let mut text = String::new();
    for job in &jobs {
        opened.desk().cancel(*job).await.map_err(typed::wrong)?;
        text.push_str(&format!("Job {job} is cancelled.\n"));
    }
    Ok(Said::fine(text, json!({ "cancelled": jobs })))
}
