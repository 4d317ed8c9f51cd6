//! `jobs`: lists jobs, newest first, a page at a time.

use serde_json::json;

use super::said::{FAINT, Said, paint, preview, table};
use super::session::Session;
use super::typed;
use crate::domain::job::{JobId, JobStatus};
use crate::domain::time::{Timestamp, between, from_text, spoken};
use crate::store::{JobFilter, JobRow, Store};

/// List jobs, newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop jobs
  backstop jobs --status manual --asset hero-image
  backstop jobs --slug my-article --json
  backstop jobs --before 120                the next page")]
pub(super) struct Args {
    /// Only of this asset
    #[arg(long)]
    asset: Option<String>,
    /// Only in this status
    #[arg(long, value_parser = ["pending", "running", "manual", "done", "failed", "cancelled"])]
    status: Option<String>,
    /// Only for this slug
    #[arg(long)]
    slug: Option<String>,
    /// Only older than this job: the next page
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    before: Option<i64>,
    /// Most jobs on a page
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(super) async fn run(session: &Session, args: Args) -> anyhow::Result<Said> {
    let opened = session.existing().await?;
    let asset = args.asset.as_deref().map(|asset| typed::asset(&opened.config, asset)).transpose()?;
    let filter = JobFilter {
        asset: asset.map(|asset| asset.name.clone()),
        status: args.status.as_deref().and_then(JobStatus::parse),
        slug: args.slug,
        before: args.before.map(JobId),
        limit: args.limit,
    };
    let jobs = opened.store.jobs(&filter).await?;
    if jobs.is_empty() {
        return Ok(Said::fine("No jobs.", json!([])));
    }
    let now = (opened.clock)();
    let mut text = table(
        &["JOB", "ASSET", "SLUG", "STATUS", "PROVIDER", "", "CHANGED"],
        jobs.iter().map(|job| row(job, now)),
    );
    if let Some(last) = jobs.last().filter(|_| jobs.len() == args.limit as usize) {
        text.push_str(&paint(FAINT, format!("older: add --before {}", last.id)));
    }
    Ok(Said::fine(text, json!(jobs)))
}

fn row(job: &JobRow, now: Timestamp) -> [String; 7] {
    [
        job.id.to_string(),
        job.asset.clone(),
        preview(&job.slug, 40),
        job.status.clone(),
        job.provider.clone().unwrap_or_default(),
        if job.fallback_used == Some(true) { "fallback".to_owned() } else { String::new() },
        ago(&job.updated_at, now),
    ]
}

/// `3 minutes ago`.
pub(super) fn ago(text: &str, now: Timestamp) -> String {
    from_text(text).map_or_else(|| text.to_owned(), |at| format!("{} ago", spoken(between(at, now))))
}
