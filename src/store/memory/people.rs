//! What people write, with the effects that the schema's triggers have on SQLite.
//!
//! Not repeated here: the checks of how a slug, a prompt, an input, a key or a date may look, and the spellings of
//! dates other than `now` and the form that all times have.

use serde_json::Value;

use super::tables::{JobRecord, Tables, TickRecord, whole};
use crate::domain::asset::Medium;
use crate::domain::chain::MANUAL;
use crate::domain::health::AssetHealth;
use crate::domain::job::{Actor, JobId, JobStatus};
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::notice::NoticeKind;
use crate::domain::sentence;
use crate::domain::time::{Timestamp, from_text};
use crate::store::desk::{Asked, NewJob, NewTick, Once, Provided};
use crate::store::error::StoreError;

/// Why a job is not added.
enum NotAdded {
    /// A live job has its dedupe key.
    Taken(JobId),
    /// Anything else.
    Refused(StoreError),
}

impl Tables {
    /// Adds a job.
    pub(super) fn enqueue(&mut self, job: &NewJob, now: Timestamp) -> Result<JobId, StoreError> {
        self.insert(job, now).map_err(|not| match not {
            NotAdded::Refused(error) => error,
            NotAdded::Taken(other) => {
                let asset =
                    AssetName::parse(&job.asset).map_or_else(|_| job.asset.clone(), |a| a.to_string());
                let key = job.dedupe_key.as_deref().unwrap_or_default();
                StoreError::taken(&format!("job {other}"), &asset, key)
            }
        })
    }

    /// Adds a job under a key of its request, or finds the one that has it.
    pub(super) fn enqueue_once(
        &mut self,
        job: &NewJob,
        once: &Once,
        now: Timestamp,
    ) -> Result<Asked, StoreError> {
        if let Some((digest, job)) = self.idempotency.get(&once.key) {
            let same = *digest == once.digest;
            return Ok(if same { Asked::Before(*job) } else { Asked::ForSomethingElse(*job) });
        }
        let id = self.enqueue(job, now)?;
        self.idempotency.insert(once.key.clone(), (once.digest.clone(), id));
        Ok(Asked::Now(id))
    }

    /// Enqueues a recurring tick's job once.
    pub(super) fn tick(&mut self, tick: &NewTick, now: Timestamp) -> Result<bool, StoreError> {
        let key = (tick.schedule.clone(), whole(tick.tick));
        if self.ticks.contains_key(&key) {
            return Ok(false);
        }
        let job = match tick.job.as_ref().map(|job| self.insert(job, now)).transpose() {
            Ok(job) => job,
            Err(NotAdded::Taken(_)) => None,
            Err(NotAdded::Refused(error)) => return Err(error),
        };
        self.ticks.insert(key, TickRecord { job, created_at: whole(tick.now) });
        self.version += 1;
        Ok(true)
    }

    /// Sends a settled job round again.
    pub(super) fn retry(&mut self, id: JobId, wish: Option<&str>, now: Timestamp) -> Result<(), StoreError> {
        let job = self.jobs.get(&id).ok_or(StoreError::NoSuchJob { job: id })?;
        match job.status {
            JobStatus::Pending => {
                return Err(refused(format!("job {id} is pending already; it needs no retry")));
            }
            JobStatus::Running => {
                return Err(refused("this job is running; until it ends it can only be cancelled"));
            }
            JobStatus::Done | JobStatus::Manual | JobStatus::Failed | JobStatus::Cancelled => {}
        }
        self.check_revived_key(job)?;
        if let Some(wish) = wish.filter(|wish| job.provider_override.as_deref() != Some(wish)) {
            self.check_override(wish, &job.asset)?;
        }
        self.revive(id, wish, now);
        self.version += 1;
        Ok(())
    }

    /// Cancels a job. One that is cancelled already stays as it is.
    pub(super) fn cancel(&mut self, id: JobId, now: Timestamp) -> Result<(), StoreError> {
        let job = self.jobs.get_mut(&id).ok_or(StoreError::NoSuchJob { job: id })?;
        if job.status == JobStatus::Done {
            return Err(refused(format!("job {id} is done; there is nothing to cancel")));
        }
        self.version += 1;
        if job.status == JobStatus::Cancelled {
            return Ok(());
        }
        job.status = JobStatus::Cancelled;
        job.lease = None;
        job.provider_override = None;
        job.message = Some(sentence::cancelled(&job.asset));
        (job.finished_at, job.updated_at) = (Some(whole(now)), whole(now));
        self.close_runs(id, "cancelled", now);
        Ok(())
    }

    /// A person provides the asset. A person's change is dated with the database's `own` time, a file of the vault with
    /// that of who hands it over.
    pub(super) fn provide(
        &mut self,
        id: JobId,
        provided: &Provided,
        own: Timestamp,
        given: Timestamp,
    ) -> Result<(), StoreError> {
        let job = self.jobs.get(&id).ok_or(StoreError::NoSuchJob { job: id })?;
        if !job.status.may_become(JobStatus::Done, Actor::Person) {
            let status = job.status;
            let why = format!("job {id} is {status}; only a pending, manual or failed job can be resolved");
            return Err(refused(why));
        }
        let of_the_vault = provided.url.as_deref().is_some_and(|url| url.starts_with("file:"));
        if !of_the_vault {
            self.check_provided(job, provided)?;
        }
        self.check_revived_key(job)?;
        if of_the_vault && job.status != JobStatus::Pending {
            self.revive(id, None, own);
        }
        let now = if of_the_vault { given } else { own };
        let Some(job) = self.jobs.get_mut(&id) else { return Err(StoreError::NoSuchJob { job: id }) };
        let fallback = self.assets.get(&job.asset).is_none_or(|asset| asset.has_provider);
        settle_provided(job, provided, of_the_vault);
        job.status = JobStatus::Done;
        job.provider = Some(MANUAL.to_owned());
        job.fallback_used = Some(fallback);
        (job.provider_override, job.error, job.lease) = (None, None, None);
        job.message = Some(sentence::ready(&job.asset));
        (job.finished_at, job.updated_at) = (Some(whole(now)), whole(now));
        let asset = job.asset.clone();
        self.close_runs(id, "released", now);
        let unknown = || AssetHealth::unknown(asset.clone());
        let health = self.asset_health.entry(asset.clone()).or_insert_with(unknown);
        health.last_success_at = Some(whole(now));
        health.last_resolved_source = Some(MANUAL.to_owned());
        health.last_fallback_used = Some(fallback);
        self.notify(id, NoticeKind::Done, now);
        self.version += 1;
        Ok(())
    }

    /// Pauses a provider until a time, or ends its pause.
    pub(super) fn pause(
        &mut self,
        provider: &ProviderName,
        until: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.check_known(provider)?;
        let mut health = self.health_of(provider);
        health.paused_until = until.map(whole);
        self.provider_health.insert(provider.clone(), health);
        self.version += 1;
        Ok(())
    }

    /// Closes a provider's breaker.
    pub(super) fn reset(&mut self, provider: &ProviderName) -> Result<(), StoreError> {
        self.check_known(provider)?;
        let mut health = self.health_of(provider);
        health.reset();
        self.provider_health.insert(provider.clone(), health);
        self.version += 1;
        Ok(())
    }

    fn insert(&mut self, new: &NewJob, now: Timestamp) -> Result<JobId, NotAdded> {
        let refuse = |sentence: &str| NotAdded::Refused(refused(sentence));
        let known = AssetName::parse(&new.asset).ok().filter(|asset| self.assets.contains_key(asset));
        let spelled = self.assets.keys().find(|asset| asset.as_str() == new.asset).cloned();
        let asset = spelled.or_else(|| self.aliases.get(&new.asset).cloned().filter(|_| known.is_some()));
        let asset = asset.ok_or_else(|| refuse("unknown asset; SELECT name FROM assets"))?;
        if new.slug.trim().is_empty() {
            return Err(refuse("slug must not be empty; it says what the asset is for"));
        }
        if let Some(wish) = &new.provider_override {
            self.check_override(wish, &asset).map_err(NotAdded::Refused)?;
        }
        let run_at = match new.run_at.as_deref() {
            None => now,
            Some(text) if text.eq_ignore_ascii_case("now") => now,
            Some(text) => from_text(text).ok_or_else(|| {
                refuse("run_at is no date that exists; write now, YYYY-MM-DD or YYYY-MM-DDTHH:MM:SSZ")
            })?,
        };
        if let Some(other) = self.live_with(new.dedupe_key.as_deref(), &asset, None) {
            return Err(NotAdded::Taken(other));
        }
        self.last_job += 1;
        self.version += 1;
        let job = pending(JobId(self.last_job), asset, new, whole(run_at), whole(now));
        let id = job.id;
        self.jobs.insert(id, job);
        Ok(id)
    }

    /// What `jobs_are_retried` does.
    fn revive(&mut self, id: JobId, wish: Option<&str>, now: Timestamp) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        job.status = JobStatus::Pending;
        job.provider_override = wish.map(str::to_owned);
        (job.runs, job.deaths, job.solo_deaths) = (0, 0, 0);
        (job.error, job.message, job.started_at, job.finished_at) = (None, None, None, None);
        (job.run_at, job.updated_at) = (whole(now), whole(now));
    }

    /// The live job of this asset that has this dedupe key.
    fn live_with(&self, key: Option<&str>, asset: &AssetName, except: Option<JobId>) -> Option<JobId> {
        let key = key?;
        let live = |status| !matches!(status, JobStatus::Failed | JobStatus::Cancelled);
        let mut jobs = self.jobs.values().filter(|job| Some(job.id) != except);
        jobs.find(|job| job.dedupe_key.as_deref() == Some(key) && job.asset == *asset && live(job.status))
            .map(|job| job.id)
    }

    /// A key that was freed by a failure or a cancellation may be another's by now.
    fn check_revived_key(&self, job: &JobRecord) -> Result<(), StoreError> {
        let freed = matches!(job.status, JobStatus::Failed | JobStatus::Cancelled);
        if freed && self.live_with(job.dedupe_key.as_deref(), &job.asset, Some(job.id)).is_some() {
            let why = "another job of this asset has this dedupe_key; cancel that one, or set another key";
            return Err(refused(why));
        }
        Ok(())
    }

    fn check_override(&self, wish: &str, asset: &AssetName) -> Result<(), StoreError> {
        if wish == MANUAL {
            return Ok(());
        }
        let makes = self.providers.iter().find(|(name, _)| name.as_str() == wish).map(|(_, makes)| *makes);
        let makes = makes.ok_or_else(|| refused("unknown provider_override; SELECT name FROM providers"))?;
        if self.assets.get(asset).is_some_and(|asset| asset.medium != makes) {
            let why =
                "provider_override names a provider of another medium; SELECT name, medium FROM providers";
            return Err(refused(why));
        }
        Ok(())
    }

    fn check_known(&self, provider: &ProviderName) -> Result<(), StoreError> {
        let known = self.providers.contains_key(provider);
        if known { Ok(()) } else { Err(refused("unknown provider; SELECT name FROM providers")) }
    }

    fn check_provided(&self, job: &JobRecord, provided: &Provided) -> Result<(), StoreError> {
        let is_text = self.assets.get(&job.asset).is_none_or(|asset| asset.medium == Medium::Text);
        let (url, text) = (&provided.url, &provided.text);
        let web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        match (url, text) {
            (None, None) => Err(refused("done needs the asset; set url or text in the same UPDATE")),
            (Some(new_url), Some(new_text))
                if job.url.as_ref() != Some(new_url) && job.text.as_ref() != Some(new_text) =>
            {
                Err(refused("provide url or text, not both"))
            }
            (Some(new_url), _) if url != &job.url && !web(new_url) => {
                Err(refused("url must be an address that begins with http:// or https://, without spaces"))
            }
            (_, Some(new_text)) if text != &job.text && new_text.trim().is_empty() => {
                Err(refused("text must not be empty"))
            }
            (_, Some(_)) if text != &job.text && !is_text => {
                Err(refused("this asset is no text; provide its url"))
            }
            (Some(_) | None, Some(_) | None) => Ok(()),
        }
    }
}

/// The asset that is provided takes the place of the one that was there, and so does what is known of it.
fn settle_provided(job: &mut JobRecord, provided: &Provided, of_the_vault: bool) {
    if of_the_vault {
        (job.url, job.text) = (provided.url.clone(), None);
        job.content_type.clone_from(&provided.content_type);
        job.metadata.clone_from(&provided.metadata);
        return;
    }
    let new_url = provided.url != job.url;
    let new_text = provided.text != job.text;
    if provided.content_type != job.content_type {
        job.content_type.clone_from(&provided.content_type);
    } else if new_url || new_text {
        job.content_type = (new_text && provided.text.is_some()).then(|| "text/plain".to_owned());
    }
    job.metadata.clone_from(&provided.metadata);
    job.url = provided.url.clone().filter(|_| !(new_text && provided.text.is_some()));
    job.text = provided.text.clone().filter(|_| !(new_url && provided.url.is_some()));
}

fn pending(id: JobId, asset: AssetName, new: &NewJob, run_at: Timestamp, now: Timestamp) -> JobRecord {
    JobRecord {
        id,
        asset,
        slug: new.slug.clone(),
        prompt: new.prompt.clone(),
        input: new.input.as_ref().and_then(Value::as_object).cloned().unwrap_or_default(),
        provider_override: new.provider_override.clone(),
        priority: new.priority.unwrap_or(5),
        run_at,
        dedupe_key: new.dedupe_key.clone(),
        max_runs: new.max_runs,
        status: JobStatus::Pending,
        runs: 0,
        url: None,
        text: None,
        content_type: None,
        provider: None,
        fallback_used: None,
        message: None,
        error: None,
        metadata: None,
        created_at: now,
        updated_at: now,
        started_at: None,
        finished_at: None,
        lease: None,
        deaths: 0,
        solo_deaths: 0,
    }
}

pub(super) fn refused(sentence: impl Into<String>) -> StoreError {
    StoreError::Refused { sentence: sentence.into() }
}
