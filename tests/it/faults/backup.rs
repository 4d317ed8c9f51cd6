//! Backups: of a queue that is written to, to a disk that is full, to a name that is taken.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::{Disk, run};
use crate::daemon::{Place, texts, until};

fn place() -> Place {
    Place::new(&texts(r#"["template", "manual"]"#, &[]))
}

#[test]
fn a_backup_taken_while_the_daemon_writes_is_a_queue_that_drains() {
    let place = place();
    let daemon = place.serve();
    let many = |from: u32| {
        format!(
            "WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i < {from} + 1999)
             INSERT INTO jobs (asset, slug) SELECT 'social-text', 'article-' || i FROM n"
        )
    };
    place.sql(&many(0));
    until("the daemon is in the middle of it", || {
        place.sql("SELECT count(*) FROM jobs WHERE status = 'done'") != "0"
    });
    let made = run(&place, "backup", &["copy.db", "--json"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    place.finds("SELECT count(*) > 0 FROM jobs WHERE status <> 'done'", "1");
    let told = made.json();
    assert_eq!(
        (&told["jobs"], &told["schema"]),
        (&2000.into(), &backstop::store::sqlite::migrate::newest().into()),
        "{told}"
    );
    let copy = place.file("copy.db");
    let found = fs::metadata(&copy).expect("a copy");
    assert_eq!(told["bytes"], found.len());
    let mode = |path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(copy.clone()), mode(place.file("backstop.db")) & 0o660, "nobody else may read it");
    let beside = |name: &str| place.file(name).exists();
    assert!(!beside("copy.db-wal") && !beside("copy.db-shm") && !beside(".copy.db.part"), "it stands alone");
    place.shows("SELECT count(*) FROM jobs WHERE status <> 'done'", "0");
    daemon.stop();

    // Restored in another folder: what the copy has not as done is made there.
    let other = self::place();
    for name in ["backstop.db", "backstop.db-wal", "backstop.db-shm"] {
        drop(fs::remove_file(other.file(name)));
    }
    fs::copy(&copy, other.file("backstop.db")).expect("restored");
    other.finds("PRAGMA integrity_check", "ok");
    other.finds("SELECT count(*) > 0 FROM jobs WHERE status <> 'done'", "1");
    // The daemon that held these lives, as far as anybody can tell here.
    other.sql("UPDATE jobs SET lease_until = '2026-01-01T00:00:00.000Z' WHERE status = 'running'");
    assert!(other.drain().success(), "{}", other.story());
    other.finds("SELECT status, count(*) FROM jobs GROUP BY status", "done|2000");
    let daemon = other.serve();
    other.enqueue("one more");
    other.shows("SELECT status FROM jobs WHERE slug = 'one more'", "done");
    daemon.stop();
}

#[test]
fn a_name_that_is_taken_is_left_alone_without_force() {
    let place = place();
    place.enqueue("article");
    fs::write(place.file("copy.db"), "mine").expect("written");
    let refused = run(&place, "backup", &["copy.db"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.contains("copy.db: it exists") && refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(fs::read_to_string(place.file("copy.db")).expect("there"), "mine");
    assert!(!place.file(".copy.db.part").exists());

    let made = run(&place, "backup", &["copy.db", "--force"]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    assert!(made.out.contains("copy.db holds 1 job in "), "{}", made.out);
    // A backup of the same queue replaces it, and leaves the queue as it is.
    assert_eq!(run(&place, "backup", &["copy.db", "--force"]).code, Some(0));
    assert_eq!(run(&place, "backup", &["backstop.db", "--force"]).code, Some(1));
    assert_eq!(run(&place, "backup", &["no-such-folder/copy.db"]).code, Some(1));
    assert_eq!(run(&place, "backup", &[]).code, Some(2));
    place.finds("SELECT status FROM jobs", "pending");
}

#[test]
fn a_full_disk_has_no_backup_and_keeps_the_last_one() {
    let Some(disk) = Disk::mount(2048) else { return };
    let place = place();
    let target = disk.path().join("copy.db");
    let target = target.to_str().expect("UTF-8");
    place.enqueue("small-article");
    assert_eq!(run(&place, "backup", &[target]).code, Some(0));
    let before = fs::read(target).expect("a backup");
    place.sql(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
         INSERT INTO jobs (asset, slug, prompt) SELECT 'social-text', 'article-' || i, hex(zeroblob(4000)) FROM n",
    );
    let full = run(&place, "backup", &[target, "--force"]);
    assert_eq!(full.code, Some(1));
    assert!(full.err.contains("copy.db.part") && full.err.contains("no storage space"), "{}", full.err);
    assert_eq!(fs::read(target).expect("still there"), before);
    let left: Vec<_> =
        fs::read_dir(disk.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["copy.db"]);
    // The queue's own disk is not full.
    assert!(place.drain().success());
    place.finds("SELECT DISTINCT status FROM jobs", "done");

    disk.remount("ro");
    let unwritable = run(&place, "backup", &[target, "--force"]);
    assert_eq!(unwritable.code, Some(1));
    assert!(unwritable.err.contains("Read-only"), "{}", unwritable.err);
}
