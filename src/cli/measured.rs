//! How the queue itself is, for `health`: what lies, who works, what the files take.

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::said::{BAD, paint, preview};
use super::wire::{self, Opened};
use crate::daemon::book::Calendar;
use crate::daemon::worker;
use crate::domain::asset::Asset;
use crate::domain::name::AssetName;
use crate::domain::time::{Timestamp, between, spoken, to_text};
use crate::domain::vitals::{Disk, Vitals};
use crate::store::{AssetCount, Files, Pulse, Store};
use crate::vault::{LocalVault, Vault};

/// A queue of which a run was begun within this time is being worked off, however old its oldest job.
const AT_WORK: TimeDelta = TimeDelta::minutes(1);

/// What was measured.
pub(super) struct Measured {
    vitals: Vitals,
    pulse: Pulse,
    files: Option<Files>,
    workers: Option<usize>,
    manual: i64,
}

impl Measured {
    pub(super) async fn take(opened: &Opened, counts: &[AssetCount], now: Timestamp) -> anyhow::Result<Self> {
        let (config, store) = (&opened.config, &opened.store);
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
            vault_disk: vault_disk(opened).await,
        };
        let folder = wire::database_path(config).parent();
        let workers = folder.and_then(|folder| worker::living(folder).ok());
        Ok(Self { vitals, pulse, files, workers, manual: of("manual") })
    }

    pub(super) fn is_bad(&self, now: Timestamp) -> bool {
        !self.vitals.troubles(now).is_empty()
    }

    /// A few lines, the bad ones first.
    pub(super) fn text(&self, now: Timestamp) -> String {
        let mut text = String::from("\n");
        for trouble in self.vitals.troubles(now) {
            text.push_str(&format!("{}\n", paint(BAD, preview(&trouble.sentence(), 300))));
        }
        let ago = |at: Option<Timestamp>| {
            at.map_or("never".to_owned(), |at| format!("{} ago", spoken(between(at, now))))
        };
        let due = self.vitals.oldest_due_at.map_or("nothing is due".to_owned(), |due| {
            format!("the oldest job has been due for {}", spoken(between(due, now)))
        });
        let workers = match self.workers {
            Some(0) => "no worker runs",
            Some(1) => "a worker runs",
            Some(_) => "several workers run",
            None => "nobody can tell whether a worker runs",
        };
        text.push_str(&format!(
            "{due}; {workers}; last run begun {}, ended {}\n",
            ago(self.pulse.last_claim_at),
            ago(self.pulse.last_finish_at)
        ));
        let free = |disk: Option<Disk>| disk.map_or("unknown".to_owned(), |disk| megabytes(disk.free));
        if let Some(files) = self.files {
            text.push_str(&format!(
                "database {}, write-ahead log {}, free there {}, free in the vault {}\n",
                megabytes(files.database_bytes),
                megabytes(files.log_bytes),
                free(self.vitals.database_disk),
                free(self.vitals.vault_disk)
            ));
        }
        text
    }

    pub(super) fn json(&self, now: Timestamp) -> Value {
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
async fn vault_disk(opened: &Opened) -> Option<Disk> {
    let folder = &opened.config.vault.folder;
    if !folder.is_dir() {
        return None;
    }
    LocalVault::open(folder, None).ok()?.disk().await
}

fn is_open(asset: &Asset, now: Timestamp) -> bool {
    let Some(window) = &asset.window else { return true };
    Calendar::new(&window.cron, &window.zone).is_ok_and(|calendar| calendar.names_minute(now))
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}
