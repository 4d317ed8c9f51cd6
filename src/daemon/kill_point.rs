//! Named places at which a test build can be told to die; a release build holds none of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Signal, getpid, kill_process};

/// A moment of a job's life at which a crash must lose nothing and pay nothing twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KillPoint {
    /// Another worker's death is proved, and its leases still hold.
    AfterProof,
    /// Jobs are claimed, none is started.
    AfterClaim,
    /// The intent of a paid call is in the ledger, the call is not made.
    AfterIntent,
    /// The vendor has answered, and nothing of it is written.
    AfterReply,
    /// The operation's id is in the ledger.
    AfterAccept,
    /// A file's name is in the ledger, the file is not in the vault.
    AfterStage,
    /// The file is in the vault, and no delivery is written.
    AfterKeep,
    /// The end of a run is about to be written.
    BeforeCommit,
    /// The end of a run is written, and nobody was told.
    AfterCommit,
}

const ALL: [(&str, KillPoint); 9] = [
    ("after-proof", KillPoint::AfterProof),
    ("after-claim", KillPoint::AfterClaim),
    ("after-intent", KillPoint::AfterIntent),
    ("after-reply", KillPoint::AfterReply),
    ("after-accept", KillPoint::AfterAccept),
    ("after-stage", KillPoint::AfterStage),
    ("after-keep", KillPoint::AfterKeep),
    ("before-commit", KillPoint::BeforeCommit),
    ("after-commit", KillPoint::AfterCommit),
];

/// Where the process ends, and how many passes are left until it does.
static ARMED: OnceLock<Armed> = OnceLock::new();

struct Armed {
    point: KillPoint,
    left: AtomicU32,
    /// The slug of the only job that it ends at.
    slug: Option<String>,
}

/// Arms one point of this process: `after-intent:3` ends it when that point is passed for the third time,
/// `after-intent:1@my-article` when it is passed for the first time with a job of that slug.
///
/// # Errors
/// When no point has this name, the count is none, or one is armed already.
pub fn arm(text: &str) -> Result<(), String> {
    let (what, slug) =
        text.split_once('@').map_or((text, None), |(what, slug)| (what, Some(slug.to_owned())));
    let (name, count) = what.split_once(':').unwrap_or((what, "1"));
    let point = ALL.iter().find(|(known, _)| *known == name).map(|(_, point)| *point);
    let point = point.ok_or_else(|| format!("there is no kill point {name}; there are {}", names()))?;
    let count = count.parse().ok().filter(|count| *count > 0);
    let count: u32 = count.ok_or_else(|| format!("{text} does not say at which pass, from 1"))?;
    let armed = Armed { point, left: AtomicU32::new(count), slug };
    ARMED.set(armed).map_err(|_| "a kill point is armed already".to_owned())
}

fn names() -> String {
    ALL.map(|(name, _)| name).join(", ")
}

impl KillPoint {
    /// Passes the point: the process ends here, as by `kill -9`, where that was asked for.
    pub(super) fn pass(self) {
        self.pass_with("");
    }

    /// Passes the point with the job of this slug.
    pub(super) fn pass_with(self, slug: &str) {
        // A constant: a release build has nothing here, whatever its environment says.
        if !cfg!(debug_assertions) {
            return;
        }
        let Some(armed) = ARMED.get() else { return };
        let meant = armed.point == self && armed.slug.as_deref().is_none_or(|only| only == slug);
        if meant && armed.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            // A process may signal itself, and nothing blocks this signal.
            while kill_process(getpid(), Signal::KILL).is_ok() {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_is_told_with_what_there_is() {
        let told = arm("after-lunch:2").expect_err("no such point");
        assert!(told.contains("after-lunch") && told.contains("after-intent"), "{told}");
        assert!(arm("after-reply:0").expect_err("no pass").contains("from 1"));
    }
}
