//! Somebody asks for an asset, waits for it, and sends it round again.

use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Desk, DeskError, known};
use crate::daemon::Progress;
use crate::domain::job::{JobId, JobStatus};
use crate::domain::name::AssetName;
use crate::domain::sentence;
use crate::store::{Asked, JobRow, JobStory, NewJob, Once, StoreError};

/// A job that is waited for is looked at this often at least: another daemon may have made it.
const LOOK: Duration = Duration::from_millis(500);

/// And not more often than this, however much the daemon does meanwhile: at first, so that what is made at once is there
/// at once, and in the end, so that many who wait long cost little.
const FIRST_BREATH: Duration = Duration::from_millis(2);
const BREATH: Duration = Duration::from_millis(100);

/// The longest key of a request that can be seen in its job's dedupe key; of a longer one a digest stands there.
const LONGEST_KEY: usize = 180;

impl Desk {
    /// Adds a job, its words checked and spelled as the queue spells them.
    ///
    /// # Errors
    /// When the asset or the override is unknown, or the queue refuses a value.
    pub async fn enqueue(&self, job: NewJob) -> Result<JobId, DeskError> {
        let job = self.spelled(job)?;
        let id = self.store.enqueue(&job).await.map_err(wrong_word)?;
        self.poke();
        Ok(id)
    }

    /// Adds a job for a request that its sender has given this key, once: the same request with the same key has the
    /// same job.
    ///
    /// # Errors
    /// As for [`Desk::enqueue`], and when another request had the key.
    pub async fn enqueue_once(&self, job: NewJob, key: &str) -> Result<JobId, DeskError> {
        let mut job = self.spelled(job)?;
        let once = Once { key: key.to_owned(), digest: digest(&job) };
        // Whoever reads the queue by SQL sees the key too; what clients say elsewhere does not get in its way.
        job.dedupe_key.get_or_insert_with(|| {
            if key.len() <= LONGEST_KEY {
                return format!("idempotency:{key}");
            }
            format!("idempotency-digest:{}", blake3::hash(key.as_bytes()).to_hex())
        });
        match self.store.enqueue_once(&job, &once, self.now()).await.map_err(wrong_word)? {
            Asked::Now(id) => {
                self.poke();
                Ok(id)
            }
            Asked::Before(id) => Ok(id),
            Asked::ForSomethingElse(other) => Err(DeskError::Wish(format!(
                "this Idempotency-Key was used for another request, which became job {other}; take a fresh key for \
                 a new wish"
            ))),
        }
    }

    /// A wish as the queue spells it.
    fn spelled(&self, job: NewJob) -> Result<NewJob, DeskError> {
        let config = self.config();
        let asset = known::asset(&config, &job.asset)?;
        if let Some(typed) = &job.provider_override {
            known::wish(&config, asset, typed)?;
        }
        let provider_override = job.provider_override.map(|wish| wish.trim().to_ascii_lowercase());
        Ok(NewJob { asset: asset.name.to_string(), provider_override, ..job })
    }

    /// A job alone.
    ///
    /// # Errors
    /// When there is none, or the database cannot be read.
    pub async fn job(&self, job: JobId) -> Result<JobRow, StoreError> {
        self.store.job(job).await?.ok_or(StoreError::NoSuchJob { job })
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
        let until = Instant::now() + patience;
        let mut breath = FIRST_BREATH;
        loop {
            progress.borrow_and_update();
            let job = self.job(job).await?;
            let looked = Instant::now();
            if is_settled(&job) || looked >= until {
                return Ok(job);
            }
            let next = until.min(looked + LOOK);
            tokio::select! {
                biased;
                moved = progress.changed() => if moved.is_err() {
                    // The daemon is gone; another one may make it still.
                    tokio::time::sleep_until(next).await;
                },
                () = tokio::time::sleep_until(next) => {}
            }
            tokio::time::sleep_until(until.min(looked + breath)).await;
            breath = (breath * 2).min(BREATH);
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
        self.store.retry(job, typed.as_deref()).await?;
        self.poke();
        Ok(())
    }

    /// Nobody wants a job's asset any more.
    ///
    /// # Errors
    /// When there is none, when it is done, or when the database fails.
    pub async fn cancel(&self, job: JobId) -> Result<(), DeskError> {
        self.store.cancel(job).await?;
        self.poke();
        Ok(())
    }
}

/// What the schema refuses in a new job is a wrong word in it, or a key that a live job has.
fn wrong_word(error: StoreError) -> DeskError {
    if error.is_taken() {
        return DeskError::Conflict(error.to_string());
    }
    if let StoreError::Refused { sentence } = error {
        return DeskError::Wish(sentence);
    }
    error.into()
}

/// A digest of what a request asks for, the same however its fields stand and its words are spelled.
fn digest(job: &NewJob) -> String {
    let NewJob { asset, slug, prompt, input, provider_override, priority, run_at, dedupe_key, max_runs } =
        job;
    let wish = json!([asset, slug, prompt, input, provider_override, priority, run_at, dedupe_key, max_runs]);
    blake3::hash(wish.to_string().as_bytes()).to_hex().to_string()
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
