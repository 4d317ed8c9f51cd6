//! Outputs on their way to the vault: its trouble, crashes around it, and what nobody wants any more.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use backstop::domain::failure::FailureClass;
use backstop::vault::{Kept, Vault, VaultError, VaultKey};
use bytes::Bytes;

use super::super::until;
use super::{FakeVendor, House, Says, ended, two_links, words};

/// A vault in memory whose disk is full for the first few files, or that hangs.
#[derive(Default)]
pub(super) struct FakeVault {
    pub(super) full_for: AtomicUsize,
    pub(super) tries: AtomicUsize,
    /// Whether it keeps files and then says nothing of it.
    hangs: AtomicBool,
    /// Whether it cannot be asked for files.
    blind: AtomicBool,
    files: Mutex<BTreeMap<String, Bytes>>,
}

impl FakeVault {
    pub(super) fn full() -> Self {
        Self { full_for: AtomicUsize::new(usize::MAX), ..Self::default() }
    }

    fn with_files<T>(&self, use_it: impl FnOnce(&mut BTreeMap<String, Bytes>) -> T) -> T {
        use_it(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Vault for FakeVault {
    async fn keep(&self, key: &VaultKey, bytes: Bytes) -> Result<Kept, VaultError> {
        if self.tries.fetch_add(1, Ordering::SeqCst) < self.full_for.load(Ordering::SeqCst) {
            return Err(VaultError::Full { path: key.to_string().into() });
        }
        let size = bytes.len() as u64;
        self.with_files(|files| files.insert(key.to_string(), bytes));
        if self.hangs.load(Ordering::SeqCst) {
            return std::future::pending().await;
        }
        Ok(Kept { url: format!("file:///vault/{key}"), bytes: size })
    }

    async fn find(&self, key: &VaultKey) -> Result<Option<Bytes>, VaultError> {
        if self.blind.load(Ordering::SeqCst) {
            return Err(VaultError::Stopped("as the test wants it".to_owned()));
        }
        Ok(self.with_files(|files| files.get(&key.to_string()).cloned()))
    }

    async fn remove(&self, key: &VaultKey) -> Result<(), VaultError> {
        self.with_files(|files| files.remove(&key.to_string()));
        Ok(())
    }
}

/// A vendor of texts that are too long for a row.
fn vendor_of_files() -> std::sync::Arc<FakeVendor> {
    FakeVendor::new(|_, _| Says::Costly("long ".repeat(20_000), 1_500), |_, _| words())
}

const LONG: &str = "accept = { max_chars = 200000 }";

/// Job, attempt and calls of a delivery that was paid for once.
fn delivered_once(house: &House) {
    house.place.finds(
        "SELECT status, provider, runs, url LIKE 'file:///vault/social-text/large-1-%.txt', text,
            metadata ->> 'cost_micros' FROM jobs",
        "done|house|1|1||1500",
    );
    house.place.finds("SELECT id, outcome FROM runs", "1|delivered");
    house.place.finds(
        "SELECT provider, status, cost_micros FROM attempts WHERE status <> 'skipped'",
        "house|delivered|1500",
    );
    house.place.finds("SELECT count(*) FROM staged", "0");
    assert_eq!(house.vendor.calls("house"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vault_in_trouble_costs_no_second_call() {
    let vault = FakeVault { full_for: AtomicUsize::new(2), ..FakeVault::default() };
    let house = House::new(&two_links(LONG), vendor_of_files(), vault).await;
    house.place.enqueue("large");
    house.drain().await;
    delivered_once(&house);
    assert_eq!(house.vault.tries.load(Ordering::SeqCst), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_for_waits_for_a_vault_in_lasting_trouble_and_blames_nobody() {
    let configuration = two_links(&format!("{LONG}\ndeadline = \"2s\""))
        .replace("[\"house\", \"second\"]", "[\"claude-haiku-4-5\", \"house\"]");
    let house = House::new(&configuration, vendor_of_files(), FakeVault::full()).await;
    house.place.enqueue("large");
    for _ in 0..2 {
        house.place.sql("UPDATE jobs SET run_at = 'now'");
        house.drain().await;
        house.place.finds(
            "SELECT status, runs, error LIKE '%internal: the vault: no space left%' FROM jobs",
            "pending|0|1",
        );
        house.place.finds("SELECT run_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now') FROM jobs", "1");
        house.place.finds("SELECT id, outcome FROM runs", "1|");
        house.place.finds("SELECT provider, status FROM attempts WHERE position = 1", "house|started");
    }
    house.vault.full_for.store(0, Ordering::SeqCst);
    house.place.sql("UPDATE jobs SET run_at = 'now'");
    house.drain().await;
    delivered_once(&house);
    house.place.finds("SELECT consecutive_failures, last_error FROM provider_health", "0|");
    let left = std::fs::read_dir(house.place.file("in-hand/social-text")).expect("a folder").count();
    assert_eq!(left, 0, "what was delivered waits no more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_kept_before_a_crash_is_delivered_after_it() {
    // So long that the stalled worker does not renew it meanwhile.
    let configuration = format!("{}\n[queue]\nlease = \"1h\"\n", two_links(LONG));
    let house = House::new(&configuration, vendor_of_files(), FakeVault::default()).await;
    house.vault.hangs.store(true, Ordering::SeqCst);
    let stop = super::Stop::default();
    let stalled = house.serve(&stop).await;
    house.place.enqueue("large");
    until("the file is in the vault", || house.vault.with_files(|files| files.len()) == 1);
    house.place.finds("SELECT count(*), min(attempt_id) FROM staged", "1|1");
    house.vault.hangs.store(false, Ordering::SeqCst);

    // While the vault cannot be asked, nobody calls again: the file may be there.
    house.place.sql("UPDATE jobs SET lease_until = '2026-01-01T00:00:00.000Z'");
    house.vault.blind.store(true, Ordering::SeqCst);
    house.drain().await;
    house.place.finds("SELECT status, error LIKE '%may be in the vault%' FROM jobs", "pending|1");
    house.vault.blind.store(false, Ordering::SeqCst);
    house.place.sql("UPDATE jobs SET run_at = 'now'");
    house.drain().await;
    // The daemon with the stalled run lives, and may be the one that takes the job up.
    house.place.shows("SELECT status FROM jobs", "done");
    delivered_once(&house);

    // The stalled worker changes nothing any more.
    stop.soon.cancel();
    stop.now.cancel();
    ended(stalled).await.expect("a clean end");
    delivered_once(&house);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_cannot_pass_another_file_off_as_what_was_bought() {
    let vendor = FakeVendor::new(
        |provider, _| if provider == "house" { Says::Nothing } else { words() },
        |_, _| words(),
    );
    let house = House::new(&two_links(LONG), vendor, FakeVault::default()).await;
    let stop = super::Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("large");
    house.place.shows("SELECT status FROM attempts", "started");
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
    house.vault.with_files(|files| {
        for foreign in ["social-text/other-2-01234567.txt", "hero-image/large-1-01234567.txt"] {
            files.insert(foreign.to_owned(), Bytes::from("somebody else's words, long enough".repeat(9)));
        }
    });
    for foreign in ["social-text/other-2-01234567.txt", "hero-image/large-1-01234567.txt", "../../etc/passwd"]
    {
        house.place.sql(&format!(
            "DELETE FROM staged; INSERT INTO staged (key, job_id, run_id, attempt_id, output, created_at)
             SELECT '{foreign}', job_id, run_id, id, '{{\"metadata\":{{}},\"cost_micros\":0}}', started_at FROM attempts"
        ));
    }
    house.drain().await;
    house.place.finds("SELECT status, provider FROM jobs", "done|second");
    let unknown = FailureClass::UnknownOutcome;
    house.place.finds("SELECT class FROM attempts WHERE provider = 'house'", unknown.as_str());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stale_staged_files_are_swept_and_a_delivered_file_never_is() {
    let house = House::new(&two_links(LONG), vendor_of_files(), FakeVault::default()).await;
    house.place.enqueue("large");
    house.drain().await;
    let delivered = house.place.sql("SELECT replace(url, 'file:///vault/', '') FROM jobs");
    let stale = "social-text/gone-1-01234567.txt";
    // Whoever deletes a job and forges such a row must not have the file deleted that it delivered.
    let orphan = "social-text/orphan-9-01234567.txt";
    let fresh = "social-text/new-9-01234567.txt";
    let open = "social-text/open-1-01234567.txt";
    house.vault.with_files(|files| {
        for key in [stale, orphan, fresh, open] {
            files.insert(key.to_owned(), Bytes::from_static(b"of a dead run"));
        }
    });
    house.place.sql(&format!(
        "INSERT INTO runs (job_id, number, chain, started_at) VALUES (1, 2, '[]', '2026-01-01T00:00:00.000Z');
         INSERT INTO staged (key, job_id, run_id, output, created_at) VALUES
             ('{stale}', 1, 1, '{{}}', '2026-01-01T00:00:00.000Z'),
             ('{orphan}', 9, 9, '{{}}', '2026-01-01T00:00:00.000Z'),
             ('{open}', 1, 2, '{{}}', '2026-01-01T00:00:00.000Z'),
             ('{delivered}', 1, 1, '{{}}', '2026-01-01T00:00:00.000Z'),
             ('../../etc/passwd', 9, 9, '{{}}', '2026-01-01T00:00:00.000Z'),
             ('{fresh}', 9, 9, '{{}}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
    ));
    house.drain().await;
    let mut left = vec![delivered.as_str(), orphan, fresh, open];
    left.sort_unstable();
    assert_eq!(house.vault.with_files(|files| files.keys().cloned().collect::<Vec<_>>()), left);
    left.retain(|key| *key != orphan);
    house.place.finds("SELECT group_concat(key) FROM (SELECT key FROM staged ORDER BY key)", &left.join(","));
}
