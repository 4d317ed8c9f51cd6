//! `resolve`: a person provides the asset.

use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use url::Url;

use super::said::{Said, usage};
use super::session::Session;
use super::show::headline;
use super::typed;
use super::wire::{self, Opened};
use crate::domain::ask::{Body, Checked};
use crate::domain::asset::{Asset, Medium};
use crate::domain::job::{Actor, JobId, JobStatus};
use crate::media::Checker;
use crate::store::{JobRow, Provided, Store, StoreError};
use crate::vault::VaultKey;

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
    let url = args.url.as_deref().map(address).transpose()?;
    let opened = session.existing().await?;
    let job = resolvable(&opened, id).await?;
    let provided = match (args.file, args.text, url) {
        (Some(file), _, _) => by_body(&opened, &job, read(&file).await?).await?,
        (None, Some(text), _) => by_body(&opened, &job, Body::Text(text)).await?,
        (None, None, Some(url)) => {
            Provided { url: Some(url), text: None, content_type: None, metadata: None }
        }
        (None, None, None) => return Err(usage("say what the asset is: --file, --text or --url")),
    };
    opened.store.provide(id, &provided, (opened.clock)()).await?;
    let story = opened.store.story(id).await?.ok_or(StoreError::NoSuchJob { job: id })?;
    let place = story.job.url.as_deref().map(|url| format!("\n{url}")).unwrap_or_default();
    Ok(Said::fine(format!("{}{place}", headline(&story.job)), json!(story.job)))
}

/// The job, if a person may provide it; asked before a file is kept for nothing.
async fn resolvable(opened: &Opened, id: JobId) -> anyhow::Result<JobRow> {
    let story = opened.store.story(id).await?.ok_or(StoreError::NoSuchJob { job: id })?;
    let status = JobStatus::parse(&story.job.status);
    let hint = match status {
        Some(status) if status.may_become(JobStatus::Done, Actor::Person) => return Ok(story.job),
        Some(JobStatus::Running) => format!("wait for it, or cancel it first: backstop cancel {id}"),
        Some(_) | None => format!("to replace it, send it round again first: backstop retry {id}"),
    };
    anyhow::bail!("job {id} is {}; {hint}", story.job.status)
}

async fn by_body(opened: &Opened, job: &JobRow, body: Body) -> anyhow::Result<Provided> {
    let asset = opened.config.assets.iter().find(|asset| asset.name.as_str() == job.asset);
    let Some(asset) = asset else {
        anyhow::bail!("this configuration knows no asset {}; provide its address with --url", job.asset);
    };
    if asset.medium != Medium::Text && matches!(body, Body::Text(_)) {
        return Err(usage(format!("{} is no text ({}); use --file or --url", asset.name, asset.medium)));
    }
    let checker = Checker::new(asset.medium, &asset.accept).map_err(anyhow::Error::msg)?;
    let checked = checker.check(body).await.map_err(|failure| {
        anyhow::anyhow!("it is not accepted: {}; the rules are assets.{}.accept", failure.message, asset.name)
    })?;
    let metadata = Some(Value::Object(checked.measured.clone()));
    let content_type = Some(checked.content_type.to_owned());
    let (url, text) = match &checked.body {
        Body::Text(text) => (None, Some(text.clone())),
        Body::File(bytes) => (Some(keep(opened, asset, job, &checked, bytes.clone()).await?), None),
    };
    Ok(Provided { url, text, content_type, metadata })
}

/// Brings a file to the vault. It is named by its content, so that the same file handed in twice is kept once.
async fn keep(
    opened: &Opened,
    asset: &Asset,
    job: &JobRow,
    checked: &Checked,
    bytes: Bytes,
) -> anyhow::Result<String> {
    let digest = blake3::hash(&bytes).to_hex();
    let key = VaultKey::new(&asset.name, &job.slug, JobId(job.id), digest.as_str(), checked.extension);
    Ok(wire::vault(&opened.config)?.keep(&key, bytes).await?.url)
}

async fn read(file: &Path) -> anyhow::Result<Body> {
    let named = || file.display().to_string();
    let facts = tokio::fs::metadata(file).await.with_context(named)?;
    anyhow::ensure!(facts.is_file(), "{} is no file", file.display());
    anyhow::ensure!(
        facts.len() <= LARGEST,
        "{} has {} bytes, more than {LARGEST}; publish it yourself and provide its address with --url",
        file.display(),
        facts.len()
    );
    Ok(Body::File(Bytes::from(tokio::fs::read(file).await.with_context(named)?)))
}

fn address(typed: &str) -> anyhow::Result<String> {
    let url = Url::parse(typed).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(_) => Ok(typed.to_owned()),
        None => Err(usage(format!("--url {typed}: write an address that begins with https:// or http://"))),
    }
}
