//! Whether a queue is in trouble that nobody would notice: work that lies, disks that fill, a log that grows.

use std::time::Duration;

use super::time::{Timestamp, between, spoken};

/// A due job lies so long only where something is wrong: a free daemon claims it within seconds.
pub const MOST_DUE_AGE: Duration = Duration::from_secs(15 * 60);

/// The last twentieth of a disk goes quickly, and file systems slow down in it.
pub const LEAST_FREE_PERCENT: u64 = 5;

/// Room for some hundred pictures, or for a day of rows: enough time for a person to come.
pub const LEAST_FREE_BYTES: u64 = 200_000_000;

/// The log is cut back to 64 MiB at every chance: four times that means that there has been none for long.
pub const MOST_LOG_BYTES: u64 = 256 << 20;

/// The size of a disk and what is free of it, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Disk {
    /// All of it.
    pub total: u64,
    /// What this process may still use.
    pub free: u64,
}

impl Disk {
    /// Whether it is about to be full.
    #[must_use]
    pub fn is_short(self) -> bool {
        self.free < LEAST_FREE_BYTES || self.free < self.total / 100 * LEAST_FREE_PERCENT
    }
}

/// What was measured. What a store or a vault cannot say is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vitals {
    /// When the oldest job became due that is due and could be claimed.
    pub oldest_due_at: Option<Timestamp>,
    /// Whether a job that is due could be begun: nothing is full.
    pub has_capacity: bool,
    /// Size of the write-ahead log.
    pub log_bytes: Option<u64>,
    /// The disk of the database.
    pub database_disk: Option<Disk>,
    /// The disk of the vault.
    pub vault_disk: Option<Disk>,
}

/// One thing that is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Jobs are due for long and nobody takes them, though there is room.
    Lying(Duration),
    /// The database's disk is about to be full.
    DatabaseDisk(Disk),
    /// The vault's disk is about to be full.
    VaultDisk(Disk),
    /// The write-ahead log only grows.
    Log(u64),
}

impl Trouble {
    /// What is bad, in one word for programs and for remembering it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Lying(_) => "oldestDue",
            Self::DatabaseDisk(_) => "databaseDisk",
            Self::VaultDisk(_) => "vaultDisk",
            Self::Log(_) => "walSize",
        }
    }

    /// What is bad and what to do, for people.
    #[must_use]
    pub fn sentence(self) -> String {
        let short = |whose: &str, disk: Disk| {
            format!(
                "the disk of the {whose} has {} MB of {} MB left; free some space",
                disk.free / 1_000_000,
                disk.total / 1_000_000
            )
        };
        match self {
            Self::Lying(age) => format!(
                "a job has been due for {} and nobody has taken it; see whether the daemon runs and what its log says",
                spoken(age)
            ),
            Self::DatabaseDisk(disk) => short("database", disk),
            Self::VaultDisk(disk) => short("vault", disk),
            Self::Log(bytes) => format!(
                "the write-ahead log has grown to {} MB: some program keeps a read transaction open; close it (fuser on \
                 the database's -shm file names it)",
                bytes / 1_000_000
            ),
        }
    }
}

impl Vitals {
    /// What is bad of it.
    #[must_use]
    pub fn troubles(&self, now: Timestamp) -> Vec<Trouble> {
        let age = self.oldest_due_at.map(|due| between(due, now));
        let lying = age.filter(|age| *age > MOST_DUE_AGE && self.has_capacity).map(Trouble::Lying);
        let short = |disk: Option<Disk>| disk.filter(|disk| disk.is_short());
        let log = self.log_bytes.filter(|bytes| *bytes > MOST_LOG_BYTES).map(Trouble::Log);
        let database = short(self.database_disk).map(Trouble::DatabaseDisk);
        let vault = short(self.vault_disk).map(Trouble::VaultDisk);
        [lying, database, vault, log].into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60;
    const GB: u64 = 1_000_000_000;

    fn kinds(vitals: Vitals) -> Vec<&'static str> {
        vitals.troubles(Timestamp::UNIX_EPOCH).into_iter().map(Trouble::kind).collect()
    }

    #[test]
    fn a_job_lies_where_there_is_room_for_it() {
        let check = |minutes: i64, has_capacity: bool, expected: &[&str]| {
            let due = Timestamp::UNIX_EPOCH - chrono::TimeDelta::seconds(minutes * MINUTE + 1);
            let vitals = Vitals { oldest_due_at: Some(due), has_capacity, ..Vitals::default() };
            assert_eq!(kinds(vitals), expected, "{minutes} {has_capacity}");
        };
        check(14, true, &[]);
        check(15, true, &["oldestDue"]);
        check(600, false, &[]);
        check(-600, true, &[]);
        assert_eq!(kinds(Vitals { has_capacity: true, ..Vitals::default() }), [""; 0]);
    }

    #[test]
    fn a_disk_is_short_by_share_or_by_bytes() {
        let check = |total: u64, free: u64, expected: bool| {
            assert_eq!(Disk { total, free }.is_short(), expected, "{free} of {total}");
        };
        check(100 * GB, 6 * GB, false);
        check(100 * GB, 4 * GB, true);
        check(GB, GB / 5, false);
        check(GB, GB / 5 - 1, true);
        check(0, 0, true);
        let disk = Some(Disk { total: GB, free: 0 });
        let both = Vitals { database_disk: disk, vault_disk: disk, ..Vitals::default() };
        assert_eq!(kinds(both), ["databaseDisk", "vaultDisk"]);
    }

    #[test]
    fn a_log_may_be_large_and_not_huge() {
        let check = |bytes, expected: &[&str]| {
            assert_eq!(kinds(Vitals { log_bytes: Some(bytes), ..Vitals::default() }), expected);
        };
        check(MOST_LOG_BYTES, &[]);
        check(MOST_LOG_BYTES + 1, &["walSize"]);
    }

    #[test]
    fn a_sentence_says_what_to_do() {
        let disk = Disk { total: 8_000_000, free: 1_000_000 };
        assert_eq!(
            Trouble::VaultDisk(disk).sentence(),
            "the disk of the vault has 1 MB of 8 MB left; free some space"
        );
        assert!(Trouble::Lying(Duration::from_secs(7_200)).sentence().contains("due for 2 hours"));
    }
}
