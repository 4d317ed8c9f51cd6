//! How the queue itself is: what lies, who works, what the files take.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{Desk, DeskError};
use crate::config::{Config, Database};
use crate::daemon::book::Calendar;
use crate::daemon::worker;
use crate::domain::asset::Asset;
use crate::domain::name::AssetName;
use crate::domain::time::{Timestamp, between, to_text};
use crate::domain::vitals::{Disk, Vitals};
use crate::store::{AssetCount, Files, Pulse};
use crate::vault::{LocalVault, Vault};

/// A queue of which a run was begun within this time is being worked off, however old its oldest job.
const AT_WORK: TimeDelta = TimeDelta::minutes(1);

/// What was measured.
pub struct Measured {
    /// What is judged.
    pub vitals: Vitals,
    /// When a run last began and ended.
    pub pulse: Pulse,
    /// The files of the database.
    pub files: Option<Files>,
    /// How many daemons live; `None` where nobody can tell.
    pub workers: Option<usize>,
    /// How many jobs wait for a person.
    pub manual: i64,
}

impl Measured {
    /// Measures.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn take(desk: &Desk, counts: &[AssetCount], now: Timestamp) -> Result<Self, DeskError> {
        let (config, store) = (desk.config(), &desk.store);
        let of = |status: &str| -> i64 {
            counts.iter().filter(|count| count.status == status).map(|count| count.count).sum()
        };
        let open: Vec<AssetName> = config
            .assets
            .iter()
            .filter(|asset| is_open(asset, now))
            .map(|asset| asset.name.clone())
            .collect();
        let oldest = store.next_due_at(&open, Timestamp::MIN_UTC).await?.filter(|due| *due <= now);
        let pulse = store.pulse().await?;
        let at_work = pulse.last_claim_at.is_some_and(|claimed| now - claimed < AT_WORK);
        let files = store.files();
        let vitals = Vitals {
            oldest_due_at: oldest,
            has_capacity: of("running") < i64::from(config.queue.concurrency) && !at_work,
            log_bytes: files.map(|files| files.log_bytes),
            database_disk: files.and_then(|files| files.disk),
            vault_disk: vault_disk(&config).await,
        };
        let folder = database_folder(&config);
        let workers = folder.and_then(|folder| worker::living(folder).ok());
        Ok(Self { vitals, pulse, files, workers, manual: of("manual") })
    }

    /// Whether anything is bad.
    #[must_use]
    pub fn is_bad(&self, now: Timestamp) -> bool {
        !self.vitals.troubles(now).is_empty()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self, now: Timestamp) -> Value {
        let vitals = &self.vitals;
        let disk = |disk: Option<Disk>| disk.map(|disk| json!({ "total": disk.total, "free": disk.free }));
        let troubles = vitals.troubles(now);
        json!({
            "oldestDueAt": vitals.oldest_due_at.map(to_text),
            "oldestDueSeconds": vitals.oldest_due_at.map(|due| between(due, now).as_secs()),
            "lastClaimAt": self.pulse.last_claim_at.map(to_text),
            "lastFinishAt": self.pulse.last_finish_at.map(to_text),
            "workers": self.workers,
            "manual": self.manual,
            "databaseBytes": self.files.map(|files| files.database_bytes),
            "walBytes": vitals.log_bytes,
            "databaseDisk": disk(vitals.database_disk),
            "vaultDisk": disk(vitals.vault_disk),
            "troubles": troubles
                .iter()
                .map(|trouble| json!({ "kind": trouble.kind(), "sentence": trouble.sentence() }))
                .collect::<Vec<_>>(),
        })
    }
}

/// Only looks: a vault that is not there yet is not made by asking after it.
async fn vault_disk(config: &Config) -> Option<Disk> {
    let folder = &config.vault.folder;
    if !folder.is_dir() {
        return None;
    }
    LocalVault::open(folder, None).ok()?.disk().await
}

fn is_open(asset: &Asset, now: Timestamp) -> bool {
    let Some(window) = &asset.window else { return true };
    Calendar::new(&window.cron, &window.zone).is_ok_and(|calendar| calendar.names_minute(now))
}

fn database_folder(config: &Config) -> Option<&std::path::Path> {
    let Database::Sqlite { path } = &config.queue.database;
    path.parent()
}
