//! Disks that are full or read-only, under the database and under the vault.

use std::fs;
use std::os::unix::fs::symlink;

use super::Disk;
use crate::daemon::vendor::Vendor;
use crate::daemon::{Place, block_on, texts};
use crate::support::FakeVendor;

#[test]
fn a_full_disk_under_the_database_is_waited_out_with_the_answer_in_hand() {
    let Some(disk) = Disk::mount(8192) else { return };
    let (house, second) = (Vendor::start(), Vendor::start());
    let addresses = [("house", house.url()), ("second", second.url())];
    let database = disk.path().join("backstop.db");
    let queue = format!("[queue]\ndatabase = \"sqlite:{}\"\n", database.display());
    let place = Place::new(&format!("{queue}{}", texts(r#"["house", "second"]"#, &addresses)));
    symlink(&database, place.file("backstop.db")).expect("linked");
    house.hold();
    let daemon = place.serve();
    daemon.says("the disk of the database has");
    place.enqueue("article");
    house.is_called(1);
    let filler = disk.fill();
    house.release();
    daemon.says("the ledger waits for the database");
    fs::remove_file(filler).expect("room is made");
    place.shows("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    place.finds("SELECT coalesce(max(consecutive_failures), 0) FROM provider_health", "0");
    assert_eq!((house.calls(), second.calls()), (1, 0), "nobody was asked twice");
    daemon.stop();
}

/// A picture that is paid for, and a vault on a small disk.
fn pictures(vendor: &FakeVendor, disk: &Disk) -> Place {
    Place::new(&format!(
        "[vault]\nurl = \"file:{}\"\n[assets.cover]\nmedium = \"image\"\nchain = [\"easel\"]\n\
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
