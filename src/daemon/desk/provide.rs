//! A person provides the asset.

use bytes::Bytes;
use serde_json::Value;
use url::Url;

use super::{Desk, DeskError};
use crate::domain::ask::{Body, Checked};
use crate::domain::asset::{Asset, Medium};
use crate::domain::job::{Actor, JobId, JobStatus};
use crate::media::Checker;
use crate::store::{JobRow, Provided, StoreError};
use crate::vault::VaultKey;

/// What a person hands in.
#[derive(Debug, Clone, PartialEq)]
pub enum Handed {
    /// A file; it is checked and kept in the vault.
    File(Bytes),
    /// The words themselves.
    Text(String),
    /// Where the asset is, http or https; it is neither fetched nor checked.
    Address(String),
}

impl Desk {
    /// A person provides a job's asset: it is checked as a provider's output is, and the job is done.
    ///
    /// # Errors
    /// When the job is not one to provide, when what is handed in is not accepted, or when it cannot be kept.
    pub async fn provide(&self, id: JobId, handed: Handed) -> Result<JobRow, DeskError> {
        let job = self.resolvable(id).await?;
        let provided = match handed {
            Handed::File(bytes) => self.by_body(&job, Body::File(bytes)).await?,
            Handed::Text(text) => self.by_body(&job, Body::Text(text)).await?,
            Handed::Address(typed) => {
                Provided { url: Some(address(&typed)?), text: None, content_type: None, metadata: None }
            }
        };
        self.store.provide(id, &provided, self.now()).await?;
        Ok(self.store.story(id).await?.ok_or(StoreError::NoSuchJob { job: id })?.job)
    }

    /// The job, if a person may provide it; asked before a file is read or kept for nothing.
    ///
    /// # Errors
    /// When there is none, or it is not one to provide.
    pub async fn resolvable(&self, id: JobId) -> Result<JobRow, DeskError> {
        let story = self.store.story(id).await?.ok_or(StoreError::NoSuchJob { job: id })?;
        let status = JobStatus::parse(&story.job.status);
        let hint = match status {
            Some(status) if status.may_become(JobStatus::Done, Actor::Person) => return Ok(story.job),
            Some(JobStatus::Running) => format!("wait for it, or cancel it first: backstop cancel {id}"),
            Some(_) | None => format!("to replace it, send it round again first: backstop retry {id}"),
        };
        Err(DeskError::Conflict(format!("job {id} is {}; {hint}", story.job.status)))
    }

    async fn by_body(&self, job: &JobRow, body: Body) -> Result<Provided, DeskError> {
        let config = self.config();
        let asset = config.assets.iter().find(|asset| asset.name.as_str() == job.asset);
        let Some(asset) = asset else {
            let sentence = format!("this configuration knows no asset {}; hand in its address", job.asset);
            return Err(DeskError::Conflict(sentence));
        };
        if asset.medium != Medium::Text && matches!(body, Body::Text(_)) {
            let sentence =
                format!("{} is no text ({}); hand in a file or an address", asset.name, asset.medium);
            return Err(DeskError::Wish(sentence));
        }
        let checker = Checker::new(asset.medium, &asset.accept).map_err(DeskError::Wish)?;
        let checked = checker.check(body).await.map_err(|failure| {
            let (why, name) = (failure.message, &asset.name);
            DeskError::Unacceptable(format!("it is not accepted: {why}; the rules are assets.{name}.accept"))
        })?;
        let metadata = Some(Value::Object(checked.measured.clone()));
        let content_type = Some(checked.content_type.to_owned());
        let (url, text) = match &checked.body {
            Body::Text(text) => (None, Some(text.clone())),
            Body::File(bytes) => (Some(self.keep(asset, job, &checked, bytes.clone()).await?), None),
        };
        Ok(Provided { url, text, content_type, metadata })
    }

    /// Brings a file to the vault. It is named by its content, so that the same file handed in twice is kept once.
    async fn keep(
        &self,
        asset: &Asset,
        job: &JobRow,
        checked: &Checked,
        bytes: Bytes,
    ) -> Result<String, DeskError> {
        let digest = blake3::hash(&bytes).to_hex();
        let key = VaultKey::new(&asset.name, &job.slug, JobId(job.id), digest.as_str(), checked.extension);
        let vault = (self.vault)(&self.config())?;
        Ok(vault.keep(&key, bytes).await?.url)
    }
}

/// An address as a person may give it.
fn address(typed: &str) -> Result<String, DeskError> {
    let url = Url::parse(typed).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    match url {
        Some(_) => Ok(typed.to_owned()),
        None => Err(DeskError::Wish(format!(
            "\"{typed}\" is no address; write one that begins with https:// or http://"
        ))),
    }
}
