//! Somebody asks for an asset, waits for it, and sends it round again.

use std::time::Duration;

use tokio::sync::watch;

use super::{Desk, DeskError, known};
use crate::daemon::Progress;
use crate::domain::job::{JobId, JobStatus};
use crate::domain::name::AssetName;
use crate::domain::sentence;
use crate::store::{JobRow, JobStory, NewJob, StoreError};

/// A job that is waited for is looked at this often at least: another daemon may have made it.
const LOOK: Duration = Duration::from_millis(500);

/// And not more often than this, however much the daemon does meanwhile.
const BREATH: Duration = Duration::from_millis(25);

impl Desk {
    /// Adds a job, its words checked and spelled as the queue spells them.
    ///
    /// # Errors
    /// When the asset or the override is unknown, or the queue refuses a value.
    pub async fn enqueue(&self, job: NewJob) -> Result<JobId, DeskError> {
        let config = self.config();
        let asset = known::asset(&config, &job.asset)?;
        if let Some(typed) = &job.provider_override {
            known::wish(&config, asset, typed)?;
        }
        let provider_override = job.provider_override.map(|wish| wish.trim().to_ascii_lowercase());
        let job = NewJob { asset: asset.name.to_string(), provider_override, ..job };
        match self.store.enqueue(&job).await {
            // What the schema refuses in a new job is a wrong word in it.
            Err(StoreError::Refused { sentence }) => Err(DeskError::Wish(sentence)),
            done => Ok(done?),
        }
    }

    /// A job's story.
    ///
    /// # Errors
    /// When there is none, or the database cannot be read.
    pub async fn story(&self, job: JobId) -> Result<JobStory, StoreError> {
        self.store.story(job).await?.ok_or(StoreError::NoSuchJob { job })
    }

    /// Waits until a job is settled, or for so long; says how it is then.
    ///
    /// # Errors
    /// When it is deleted meanwhile, or the database cannot be read.
    pub async fn settled(
        &self,
        job: JobId,
        patience: Duration,
        mut progress: watch::Receiver<Progress>,
    ) -> Result<JobRow, StoreError> {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let story = self.story(job).await?;
            if is_settled(&story.job) || tokio::time::Instant::now() >= until {
                return Ok(story.job);
            }
            tokio::time::sleep_until(until.min(tokio::time::Instant::now() + BREATH)).await;
            tokio::select! {
                biased;
                _ = progress.changed() => {}
                () = tokio::time::sleep_until(until.min(tokio::time::Instant::now() + LOOK)) => {}
            }
        }
    }

    /// Sends a settled job round again, with or without an override.
    ///
    /// # Errors
    /// When there is none, when it is not settled, or when the override does not fit it.
    pub async fn retry(&self, job: JobId, typed: Option<&str>) -> Result<(), DeskError> {
        let typed = typed.map(|typed| typed.trim().to_ascii_lowercase());
        if let Some(typed) = &typed {
            let (config, story) = (self.config(), self.story(job).await?);
            if let Ok(asset) = known::asset(&config, &story.job.asset) {
                known::wish(&config, asset, typed)?;
            }
        }
        Ok(self.store.retry(job, typed.as_deref()).await?)
    }
}

/// Whether nothing more happens to a job by itself.
#[must_use]
pub fn is_settled(job: &JobRow) -> bool {
    JobStatus::parse(&job.status).is_some_and(JobStatus::is_settled)
}

/// The sentence on top of a job: "Hero image ready (via fallback: Lummi)".
#[must_use]
pub fn headline(job: &JobRow) -> String {
    if let Some(message) = &job.message {
        return message.clone();
    }
    let status = JobStatus::parse(&job.status);
    let (Ok(asset), Some(status)) = (AssetName::parse(&job.asset), status) else {
        return format!("{} is {}", job.asset, job.status);
    };
    match status {
        JobStatus::Pending => sentence::waits(&asset),
        JobStatus::Running => sentence::under_way(&asset),
        JobStatus::Done => sentence::ready(&asset),
        JobStatus::Manual => sentence::needs_a_person(&asset),
        JobStatus::Failed => sentence::failed(&asset),
        JobStatus::Cancelled => sentence::cancelled(&asset),
    }
}
