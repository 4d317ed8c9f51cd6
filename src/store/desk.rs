//! What people ask of the database and what it answers them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::job::{JobId, JobStatus};
use crate::domain::name::AssetName;
use crate::domain::notice::NoticeKind;
use crate::domain::time::Timestamp;

/// A job to add. What is `None` is left to the database's defaults.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct NewJob {
    /// The asset, in any spelling the mirrors know.
    pub asset: String,
    /// What it is for.
    pub slug: String,
    /// A prompt of its own.
    pub prompt: Option<String>,
    /// A JSON object.
    pub input: Option<Value>,
    /// A one-run override.
    pub provider_override: Option<String>,
    /// 0 to 9.
    pub priority: Option<u8>,
    /// When it is due, as SQL takes it.
    pub run_at: Option<String>,
    /// Unique per asset while the job lives.
    pub dedupe_key: Option<String>,
    /// Most counted runs.
    pub max_runs: Option<u32>,
}

/// A request that is fulfilled once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// What the sender calls it.
    pub key: String,
    /// A digest of what it asks for.
    pub digest: String,
}

/// What became of a request that is fulfilled once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Its job was added.
    Now(JobId),
    /// It was sent before, and this is its job.
    Before(JobId),
    /// Another request has the key, and this is the job of that one; nothing was added.
    ForSomethingElse(JobId),
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobFilter {
    /// Only of this asset.
    pub asset: Option<AssetName>,
    /// Only in this status.
    pub status: Option<JobStatus>,
    /// Only for this slug.
    pub slug: Option<String>,
    /// Only older (by id) than this one: the key of the next page.
    pub before: Option<JobId>,
    /// Most rows.
    pub limit: u32,
}

/// A job as people read it. Times are the text form of the SQL contract.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the columns of the SQL contract, documented in the README")]
pub struct JobRow {
    pub id: i64,
    pub asset: String,
    pub slug: String,
    pub prompt: Option<String>,
    pub input: Option<Value>,
    pub provider_override: Option<String>,
    pub priority: i64,
    pub run_at: String,
    pub dedupe_key: Option<String>,
    pub status: String,
    pub runs: i64,
    pub max_runs: Option<i64>,
    pub url: Option<String>,
    pub text: Option<String>,
    pub content_type: Option<String>,
    pub provider: Option<String>,
    pub fallback_used: Option<bool>,
    pub message: Option<String>,
    pub error: Option<String>,
    pub metadata: Option<Value>,
    pub created_at: String,
    pub updated_at: String,
    pub started_at: Option<String>,
    pub finished_at: Option<String>,
}

/// A run as people read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the columns of the SQL contract, documented in the README")]
pub struct RunRow {
    pub id: i64,
    pub number: i64,
    pub chain: Option<Value>,
    #[serde(rename = "override")]
    pub wish: Option<String>,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub outcome: Option<String>,
    pub provider: Option<String>,
    pub fallback_used: Option<bool>,
    pub error: Option<String>,
    pub attempts: Vec<AttemptRow>,
}

/// An attempt as people read it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the columns of the SQL contract, documented in the README")]
pub struct AttemptRow {
    pub id: i64,
    pub position: i64,
    pub repeat: i64,
    pub provider: String,
    pub model: Option<String>,
    pub status: String,
    pub class: Option<String>,
    pub error: Option<String>,
    pub http_status: Option<i64>,
    pub request_id: Option<String>,
    pub operation: Option<String>,
    pub started_at: String,
    pub finished_at: Option<String>,
    pub cost_micros: i64,
}

/// A job with everything that happened to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStory {
    /// The job.
    #[serde(flatten)]
    pub job: JobRow,
    /// Its runs, oldest first (`runs` is the count of the counted ones).
    pub history: Vec<RunRow>,
}

/// One line of the `manual_queue` view.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the columns of the SQL contract, documented in the README")]
pub struct ManualRow {
    pub id: i64,
    pub asset: String,
    pub medium: Option<String>,
    pub slug: String,
    pub prompt: Option<String>,
    pub input: Option<Value>,
    pub reasons: Option<String>,
    pub waiting_since: Option<String>,
}

/// How many jobs an asset has in each status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "one count for each status")]
pub struct AssetCount {
    pub asset: String,
    pub status: String,
    pub count: i64,
    /// Of the pending ones, those that are due.
    pub due: i64,
}

/// How often an asset's jobs ended so on one day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutcomeCount {
    /// The UTC day: `2026-11-24`.
    pub day: String,
    /// Which asset.
    pub asset: String,
    /// `primary`, `fallback`, `manual` or `failed`.
    pub outcome: String,
    /// How many.
    pub count: i64,
}

/// A search for jobs by the beginning of their slugs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct JobSearch {
    /// How the slug begins.
    pub begins: String,
    /// Only of this asset.
    pub asset: Option<AssetName>,
    /// Only in this status.
    pub status: Option<JobStatus>,
    /// Only beyond this slug and number: the key of the next page.
    pub after: Option<(String, JobId)>,
    /// Most rows.
    pub limit: u32,
}

/// What a search has found, by slug and number.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The jobs.
    pub jobs: Vec<JobRow>,
    /// Where the search goes on, where there may be more.
    pub next: Option<(String, JobId)>,
}

/// One call of a provider, and of which job.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// The job.
    pub job: JobId,
    /// The call.
    pub attempt: AttemptRow,
}

/// A recurring schedule's tick with the job it enqueues.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTick {
    /// The schedule's name.
    pub schedule: String,
    /// The tick's instant.
    pub tick: Timestamp,
    /// The job; `None` records a tick that was missed and is skipped.
    pub job: Option<NewJob>,
    /// The present.
    pub now: Timestamp,
}

/// Something that somebody wants to be told.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Its row.
    pub id: i64,
    /// The name receivers know it by, the same at every try.
    pub name: String,
    /// What it is about.
    pub kind: NoticeKind,
    /// When it came up.
    pub created_at: String,
    /// The job it speaks of, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobRow>,
    /// The provider it speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What there is to say besides.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// When nobody needed to be told any more.
    pub sent_at: Option<String>,
    /// What became of it at each destination that was tried.
    pub sends: Vec<NoticeSend>,
}

/// What became of a notice at one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeSend {
    /// The destination's name in the configuration.
    pub destination: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried again.
    pub next_at: Option<String>,
    /// When it was taken.
    pub sent_at: Option<String>,
    /// When it was tried for the last time.
    pub gave_up_at: Option<String>,
    /// What the last try came to.
    pub error: Option<String>,
}

impl NoticeSend {
    /// Whether it is not tried again.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sent_at.is_some() || self.gave_up_at.is_some()
    }
}

/// A notice that no run writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewNotice {
    /// What it is about.
    pub kind: NoticeKind,
    /// What it is told once for.
    pub topic: String,
    /// What there is to say.
    pub detail: String,
}

/// What a try to tell a notice came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It was taken.
    Taken,
    /// It was not, and is tried again.
    NotYet {
        /// What it came to.
        why: String,
        /// When it is tried again.
        again: Timestamp,
    },
    /// It was not, and is not tried again.
    Never(String),
}

/// What a person provides.
#[derive(Debug, Clone, PartialEq)]
pub struct Provided {
    /// Where the asset is: `http(s)` from a person, or the vault's address of an uploaded file.
    pub url: Option<String>,
    /// Or the words.
    pub text: Option<String>,
    /// What it really is, where it was looked at.
    pub content_type: Option<String>,
    /// What was measured.
    pub metadata: Option<Value>,
}
