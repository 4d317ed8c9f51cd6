//! `resolve`: a person provides the asset.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use serde_json::json;

use super::said::{Said, usage};
use super::session::Session;
use super::show::headline;
use super::typed;
use crate::daemon::desk::Handed;

/// The largest file a person hands in; larger ones belong to where they are served from.
const LARGEST: u64 = 1 << 30;

/// Provide the asset yourself: a file, a text or an address
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("asset").required(true),
    after_help = "A file or a text must satisfy the asset's acceptance rules, as a provider's output must.

Examples:
  backstop resolve 7 --file picture.png
  backstop resolve 8 --text 'Bees sleep in winter. Almost.'
  backstop resolve 9 --url https://cdn.example.org/clip.mp4"
)]
pub(super) struct Args {
    /// The job's number
    #[arg(value_name = "ID")]
    job: String,
    /// A file; it is checked and kept in the vault
    #[arg(long, value_name = "FILE", group = "asset")]
    file: Option<PathBuf>,
    /// The words themselves
    #[arg(long, group = "asset")]
    text: Option<String>,
    /// Where the asset is, http or https; it is neither fetched nor checked
    #[arg(long, group = "asset")]
    url: Option<String>,
}

pub(super) async fn run(session: &Session, args: Args) -> anyhow::Result<Said> {
    let id = typed::job(&args.job)
        .ok_or_else(|| usage(format!("\"{}\" is no job's number; backstop manual lists them", args.job)))?;
    let opened = session.existing().await?;
    let desk = opened.desk();
    let handed = match (args.file, args.text, args.url) {
        (Some(file), _, _) => {
            desk.resolvable(id).await?;
            Handed::File(read(&file).await?)
        }
        (None, Some(text), _) => Handed::Text(text),
        (None, None, Some(url)) => Handed::Address(url),
        (None, None, None) => return Err(usage("say what the asset is: --file, --text or --url")),
    };
    let job = desk.provide(id, handed).await.map_err(typed::wrong)?;
    let place = job.url.as_deref().map(|url| format!("\n{url}")).unwrap_or_default();
    Ok(Said::fine(format!("{}{place}", headline(&job)), json!(job)))
}

async fn read(file: &Path) -> anyhow::Result<Bytes> {
    let named = || file.display().to_string();
    let facts = tokio::fs::metadata(file).await.with_context(named)?;
    anyhow::ensure!(facts.is_file(), "{} is no file", file.display());
    anyhow::ensure!(
        facts.len() <= LARGEST,
        "{} has {} bytes, more than {LARGEST}; publish it yourself and provide its address with --url",
        file.display(),
        facts.len()
    );
    Ok(Bytes::from(tokio::fs::read(file).await.with_context(named)?))
}
