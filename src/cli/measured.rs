//! How the queue itself is, for `health`.

use super::said::{BAD, paint, preview};
use crate::daemon::desk::Measured;
use crate::domain::time::{Timestamp, between, spoken};
use crate::domain::vitals::Disk;

/// A few lines, the bad ones first.
pub(super) fn text(measured: &Measured, now: Timestamp) -> String {
    let mut text = String::from("\n");
    for trouble in measured.vitals.troubles(now) {
        text.push_str(&format!("{}\n", paint(BAD, preview(&trouble.sentence(), 300))));
    }
    let ago = |at: Option<Timestamp>| {
        at.map_or("never".to_owned(), |at| format!("{} ago", spoken(between(at, now))))
    };
    let due = measured.vitals.oldest_due_at.map_or("nothing is due".to_owned(), |due| {
        format!("the oldest job has been due for {}", spoken(between(due, now)))
    });
    let workers = match measured.workers {
        Some(0) => "no worker runs",
        Some(1) => "a worker runs",
        Some(_) => "several workers run",
        None => "nobody can tell whether a worker runs",
    };
    text.push_str(&format!(
        "{due}; {workers}; last run begun {}, ended {}\n",
        ago(measured.pulse.last_claim_at),
        ago(measured.pulse.last_finish_at)
    ));
    let free = |disk: Option<Disk>| disk.map_or("unknown".to_owned(), |disk| megabytes(disk.free));
    if let Some(files) = measured.files {
        text.push_str(&format!(
            "database {}, write-ahead log {}, free there {}, free in the vault {}\n",
            megabytes(files.database_bytes),
            megabytes(files.log_bytes),
            free(measured.vitals.database_disk),
            free(measured.vitals.vault_disk)
        ));
    }
    text
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}
