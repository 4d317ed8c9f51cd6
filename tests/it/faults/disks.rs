//! Disks that are full or read-only, under the database and under the vault.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Disk, is_held_for, run, says_again};
use crate::daemon::vendor::Vendor;
use crate::daemon::{Place, Serving, block_on, texts};
use crate::support::FakeVendor;

#[test]
fn a_full_disk_under_the_database_is_waited_out_with_the_answer_in_hand() {
    let Some(disk) = Disk::mount(8192) else { return };
    let (house, second) = (Vendor::holding(), Vendor::start());
    let addresses = [("house", house.url()), ("second", second.url())];
    let place = on(&disk, &texts(r#"["house", "second"]"#, &addresses));
    let daemon = place.serve();
    daemon.says("the disk of the database has");
    place.enqueue("article");
    house.is_called(1);
    let filler = disk.fill();
    house.release();
    says_again(&daemon, "the ledger waits for the database", 3);
    fs::remove_file(filler).expect("room is made");
    place.shows("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    place.finds("SELECT coalesce(max(consecutive_failures), 0) FROM provider_health", "0");
    assert_eq!((house.calls(), second.calls()), (1, 0), "nobody was asked twice");
    daemon.stop();
}

#[test]
fn a_database_that_cannot_be_written_any_more_is_waited_for_with_the_answer_in_hand() {
    // A file system is not made read-only by its operator while a daemon writes to it, but it may refuse to write.
    let Some((disk, _image)) = Disk::mount_ext4(16) else { return };
    let (house, second) = (Vendor::holding(), Vendor::start());
    let addresses = [("house", house.url()), ("second", second.url())];
    let place = on(&disk, &texts(r#"["house", "second"]"#, &addresses));
    let daemon = place.serve();
    place.enqueue("article");
    house.is_called(1);
    let files = ["backstop.db", "backstop.db-wal"];
    files.iter().for_each(|name| disk.closes(name, true));
    house.release();
    daemon.says("the disk that holds the database does not read or write");
    says_again(&daemon, "the ledger waits for the database", 3);
    place.finds("SELECT status FROM jobs", "running");
    files.iter().for_each(|name| disk.closes(name, false));
    place.shows("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    place.finds("SELECT coalesce(max(consecutive_failures), 0) FROM provider_health", "0");
    assert_eq!((house.calls(), second.calls()), (1, 0), "nobody was asked twice");
    daemon.stop();
}

#[test]
fn a_daemon_that_starts_on_a_read_only_disk_ends_with_1_and_does_its_work_when_it_is_mended() {
    let Some(disk) = Disk::mount(8192) else { return };
    let house = Vendor::start();
    let place = on(&disk, &texts(r#"["house"]"#, &[("house", house.url())]));
    place.enqueue("article");
    disk.remount("ro");
    let ended = run(&place, "serve", &[]);
    assert_eq!(ended.code, Some(1), "{}", ended.err);
    assert!(ended.err.contains("the disk that holds the database does not read or write"), "{}", ended.err);
    assert_eq!(house.calls(), 0, "nobody is asked for what cannot be written down");
    disk.remount("rw");
    let daemon = place.serve();
    place.shows("SELECT status, provider FROM jobs", "done|house");
    daemon.stop();
}

/// A queue whose database is on this disk.
fn on(disk: &Disk, configuration: &str) -> Place {
    let database = disk.path().join("backstop.db");
    let queue = format!("[queue]\ndatabase = \"sqlite:{}\"\n", database.display());
    let place = Place::new(&format!("{queue}{configuration}"));
    symlink(&database, place.file("backstop.db")).expect("linked");
    place
}

/// A picture that is paid for, and a vault on a small disk.
fn pictures(vendor: &FakeVendor, disk: &Disk) -> Place {
    Place::new(&format!(
        "[queue]\nlease = \"3s\"\ngrace = \"1s\"\n[vault]\nurl = \"file:{}\"\n[assets.cover]\nmedium = \"image\"\nchain = [\"easel\"]\n\
         [providers.easel]\nprotocol = \"openai-images\"\nmodel = \"easel-1\"\nbase_url = \"{}\"\napi_key = false\n\
         price = 0.04\nretries = 0\n",
        disk.path().display(),
        vendor.url()
    ))
}

fn is_delivered_when_mended(vendor: &FakeVendor, disk: &Disk, place: &Place, mend: impl FnOnce()) {
    let daemon = place.serve();
    place.sql("INSERT INTO jobs (asset, slug, prompt) VALUES ('cover', 'bees', 'Bees at dawn')");
    daemon.says("the vault cannot keep it");
    is_held_for(place, 4);
    place.finds("SELECT status FROM jobs", "running");
    mend();
    place.shows("SELECT status, provider FROM jobs", "done|easel");
    place.finds("SELECT status, cost_micros FROM attempts", "delivered|40000");
    place.finds("SELECT coalesce(max(consecutive_failures), 0) FROM provider_health", "0");
    assert_eq!(vendor.calls(), 1, "it was paid for once");
    let kept = fs::read_dir(disk.path().join("cover")).expect("a folder").count();
    assert_eq!(kept, 1);
    daemon.stop();
}

#[test]
fn a_full_vault_is_waited_out_and_nothing_is_bought_again() {
    let Some(disk) = Disk::mount(8192) else { return };
    let vendor = block_on(FakeVendor::start());
    let place = pictures(&vendor, &disk);
    let filler = disk.fill();
    is_delivered_when_mended(&vendor, &disk, &place, || fs::remove_file(filler).expect("room is made"));
}

#[test]
fn a_read_only_vault_is_waited_out_and_nothing_is_bought_again() {
    let Some(disk) = Disk::mount(8192) else { return };
    let vendor = block_on(FakeVendor::start());
    let place = pictures(&vendor, &disk);
    disk.remount("ro");
    is_delivered_when_mended(&vendor, &disk, &place, || disk.remount("rw"));
}

#[test]
fn what_waits_for_a_read_only_vault_outlives_the_daemon_however_it_ends() {
    for (name, end) in [("stopped", Serving::stop as fn(Serving)), ("killed", Serving::kill)] {
        let Some(disk) = Disk::mount(8192) else { return };
        let vendor = block_on(FakeVendor::start());
        let place = pictures(&vendor, &disk);
        disk.remount("ro");
        let first = place.serve();
        place.sql("INSERT INTO jobs (asset, slug, prompt) VALUES ('cover', 'bees', 'Bees at dawn')");
        first.says("the vault cannot keep it");
        end(first);
        let second = place.serve();
        second.says("what a run had paid for is found again");
        second.says("the vault cannot keep it");
        disk.remount("rw");
        place.shows("SELECT status, provider, runs FROM jobs", "done|easel|1");
        place.finds("SELECT status, cost_micros FROM attempts", "delivered|40000");
        place.finds("SELECT coalesce(max(consecutive_failures), 0) FROM provider_health", "0");
        assert_eq!(vendor.calls(), 1, "{name}: it was paid for once");
        second.stop();
        let left = fs::read_dir(place.file("in-hand/cover")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{name}: what was delivered waits no more");
    }
}
