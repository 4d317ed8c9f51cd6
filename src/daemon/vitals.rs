//! What nobody would notice is said in the log: work that lies, disks that fill, a log that grows. And what an idle
//! database wants done.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::name::AssetName;
use crate::domain::time::Timestamp;
use crate::domain::vitals::{Trouble, Vitals};

use super::DaemonError;
use super::claim::could_begin;
use super::shared::Shared;

/// How often it is looked: soon enough to be read beside what causes it, rare enough to cost nothing.
const LOOK_EVERY: Duration = Duration::from_secs(15);

/// The same trouble is told again after so long: a log that repeats itself is not read.
const REMIND_EVERY: Duration = Duration::from_secs(600);

/// Looks without a write after which the database counts as idle: 30 s.
const IDLE_LOOKS: u32 = 2;

/// Looks, tells, and folds the log of a database that has gone idle.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    let mut watchman = Watchman::default();
    loop {
        let vitals = watchman.look(&shared).await;
        for news in watchman.told.news(&vitals.troubles(shared.now())) {
            match news {
                News::Bad(trouble) => tracing::warn!(trouble = trouble.kind(), "{}", trouble.sentence()),
                News::GoodAgain(kind) => tracing::info!(trouble = kind, "this trouble has passed"),
            }
        }
        watchman.fold(&shared).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What is remembered from look to look.
#[derive(Default)]
struct Watchman {
    told: Told,
    /// The assets that could begin at the last look, and the runs that had ended by then.
    before: (Vec<AssetName>, u64),
    version: Option<i64>,
    idle: u32,
}

impl Watchman {
    async fn look(&mut self, shared: &Shared) -> Vitals {
        let files = shared.store.files();
        let (free, runs) = (could_begin(shared), shared.progress.borrow().runs);
        // A place that is free for a moment while work goes on is no sign of anything.
        let still: Vec<AssetName> =
            free.iter().filter(|asset| self.before.0.contains(asset)).cloned().collect();
        let has_capacity = !still.is_empty() && runs == self.before.1;
        self.before = (free, runs);
        // Where the database cannot be read, the claim loop says so.
        let oldest = shared.store.next_due_at(&still, Timestamp::MIN_UTC).await.ok().flatten();
        Vitals {
            oldest_due_at: oldest,
            has_capacity,
            log_bytes: files.map(|files| files.log_bytes),
            database_disk: files.and_then(|files| files.disk),
            vault_disk: shared.book().vault.disk().await,
        }
    }

    /// Folds the log when nothing was written for a while; again at each look as long as a reader is in the way.
    async fn fold(&mut self, shared: &Shared) {
        let Ok(version) = shared.store.version().await else { return };
        let quiet = self.version.replace(version) == Some(version);
        self.idle = if quiet { self.idle.saturating_add(1) } else { 0 };
        let empty = shared.store.files().is_none_or(|files| files.log_bytes == 0);
        if self.idle < IDLE_LOOKS || empty {
            return;
        }
        if let Err(error) = shared.store.tend().await {
            tracing::debug!(%error, "the write-ahead log stays as it is");
        }
    }
}

/// What is worth a line in the log.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Bad(Trouble),
    GoodAgain(&'static str),
}

/// When which trouble was last told.
#[derive(Default)]
struct Told(HashMap<&'static str, Instant>);

impl Told {
    fn news(&mut self, troubles: &[Trouble]) -> Vec<News> {
        let is_there = |kind: &str| troubles.iter().any(|trouble| trouble.kind() == kind);
        let over: Vec<&'static str> = self.0.keys().copied().filter(|kind| !is_there(kind)).collect();
        self.0.retain(|kind, _| is_there(kind));
        let mut news: Vec<News> = over.into_iter().map(News::GoodAgain).collect();
        for trouble in troubles {
            if self.0.get(trouble.kind()).is_none_or(|told| told.elapsed() >= REMIND_EVERY) {
                self.0.insert(trouble.kind(), Instant::now());
                news.push(News::Bad(*trouble));
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn trouble_is_told_now_and_then_and_its_end_once() {
        let mut told = Told::default();
        let bad = |bytes| [Trouble::Log(bytes)];
        assert_eq!(told.news(&bad(1)), [News::Bad(Trouble::Log(1))]);
        tokio::time::advance(REMIND_EVERY - LOOK_EVERY).await;
        assert_eq!(told.news(&bad(2)), []);
        tokio::time::advance(LOOK_EVERY).await;
        assert_eq!(told.news(&bad(3)), [News::Bad(Trouble::Log(3))]);
        assert_eq!(told.news(&[]), [News::GoodAgain("walSize")]);
        assert_eq!(told.news(&[]), []);
        assert_eq!(told.news(&bad(4)), [News::Bad(Trouble::Log(4))]);
    }
}
