//! A job, its statuses, and the changes of status that are legal.

use serde::Serialize;
use serde_json::{Map, Value};

use super::name::AssetName;
use super::time::Timestamp;

/// The rowid of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct JobId(pub i64);

/// The rowid of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct RunId(pub i64);

/// The rowid of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct AttemptId(pub i64);

macro_rules! display_number {
    ($($id:ident),*) => {$(
        impl std::fmt::Display for $id {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}
display_number!(JobId, RunId, AttemptId);

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// Waits for its time.
    Pending,
    /// A daemon has it.
    Running,
    /// The asset is there.
    Done,
    /// A person is asked.
    Manual,
    /// Nobody could make it, and the operator wants no person asked.
    Failed,
    /// Nobody wants it any more.
    Cancelled,
}

impl JobStatus {
    /// Every status, in the order people read them.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Manual, Self::Done, Self::Failed, Self::Cancelled];

    /// As it is spelled in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Manual => "manual",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Reads the spelling of [`JobStatus::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether `who` may move a job from this status to `to`. The database refuses every other change.
    #[must_use]
    pub fn may_become(self, to: Self, who: Actor) -> bool {
        use JobStatus::{Cancelled, Done, Failed, Manual, Pending, Running};
        match (self, to) {
            (Pending, Running) | (Running, Done | Manual | Failed | Pending) => who == Actor::Daemon,
            (Pending | Manual | Failed, Done) | (Manual | Failed | Done | Cancelled, Pending) => {
                who == Actor::Person
            }
            (Pending | Running | Manual | Failed, Cancelled) => true,
            (Pending | Running | Manual | Failed | Done | Cancelled, _) => false,
        }
    }

    /// Whether nothing more happens to the job by itself.
    #[must_use]
    pub fn is_settled(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Done | Self::Manual | Self::Failed | Self::Cancelled => true,
        }
    }
}

impl std::fmt::Display for JobStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who changes a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A claim or the end of a run.
    Daemon,
    /// Anyone with SQL, a verb or a button.
    Person,
}

/// What the daemon needs to know of a job it has claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its row.
    pub id: JobId,
    /// What is wanted.
    pub asset: AssetName,
    /// What it is for.
    pub slug: String,
    /// The prompt it brought, used as it is; never a template.
    pub prompt: Option<String>,
    /// Its input.
    pub input: Map<String, Value>,
    /// The one-run override it brought, as written.
    pub provider_override: Option<String>,
    /// Runs that counted before this one.
    pub counted_runs: u32,
    /// Most counted runs, where the job says so itself.
    pub max_runs: Option<u32>,
    /// When it was first claimed in this life of it.
    pub first_claimed_at: Timestamp,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunOutcome {
    /// An asset was delivered.
    Delivered,
    /// No link could, and the job does not come back.
    Exhausted,
    /// The job comes back later.
    Later,
    /// The daemon stopped and handed it back.
    Released,
    /// The lease was lost.
    Lost,
    /// Somebody cancelled the job.
    Cancelled,
}

impl RunOutcome {
    /// As it is spelled in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Exhausted => "exhausted",
            Self::Later => "later",
            Self::Released => "released",
            Self::Lost => "lost",
            Self::Cancelled => "cancelled",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::JobStatus::{Cancelled, Done, Failed, Manual, Pending, Running};
    use super::*;

    #[test]
    fn the_legal_changes_are_those_of_the_design_and_no_others() {
        let daemon =
            [(Pending, Running), (Running, Done), (Running, Manual), (Running, Failed), (Running, Pending)];
        let person = [
            (Pending, Done),
            (Manual, Done),
            (Failed, Done),
            (Manual, Pending),
            (Failed, Pending),
            (Done, Pending),
            (Cancelled, Pending),
        ];
        let anyone = [(Pending, Cancelled), (Running, Cancelled), (Manual, Cancelled), (Failed, Cancelled)];
        for from in JobStatus::ALL {
            for to in JobStatus::ALL {
                let change = (from, to);
                let shared = anyone.contains(&change);
                let check = |actor, list: &[_]| {
                    assert_eq!(
                        from.may_become(to, actor),
                        shared || list.contains(&change),
                        "{from} -> {to}: {actor:?}"
                    );
                };
                check(Actor::Daemon, &daemon);
                check(Actor::Person, &person);
            }
        }
    }
}
