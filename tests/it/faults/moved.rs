//! A database that is moved away, or replaced, under a running daemon.

use std::fs;

use crate::daemon::{Place, texts};

#[test]
fn a_database_that_is_moved_away_ends_the_daemon_and_the_next_one_serves_what_is_there() {
    let place = Place::new(&texts(r#"["template"]"#, &[]));
    let mut daemon = place.serve();
    place.enqueue("before");
    place.shows("SELECT status FROM jobs", "done");
    for suffix in ["", "-wal", "-shm"] {
        let name = |stem: &str| place.file(&format!("{stem}{suffix}"));
        fs::rename(name("backstop.db"), name("elsewhere.db")).expect("moved");
    }
    assert_eq!(daemon.ends().code(), Some(1), "{}", daemon.log());
    daemon.says("was moved, deleted or replaced while it was in use");
    let next = place.serve();
    place.enqueue("after");
    place.shows("SELECT slug, status FROM jobs", "after|done");
    next.stop();
}

#[test]
fn a_database_that_is_replaced_by_its_backup_ends_the_daemon_and_the_next_one_serves_the_backup() {
    let place = Place::new(&texts(r#"["template"]"#, &[]));
    place.enqueue("kept");
    assert!(place.drain().success());
    assert_eq!(super::run(&place, "backup", &["copy.db"]).code, Some(0));
    place.enqueue("given up");
    let mut daemon = place.serve();
    place.shows("SELECT DISTINCT status FROM jobs", "done");
    fs::rename(place.file("copy.db"), place.file("backstop.db")).expect("replaced");
    assert_eq!(daemon.ends().code(), Some(1), "{}", daemon.log());
    daemon.says("was moved, deleted or replaced while it was in use");
    for left in ["backstop.db-wal", "backstop.db-shm"] {
        drop(fs::remove_file(place.file(left)));
    }
    let next = place.serve();
    place.finds("SELECT slug, status FROM jobs", "kept|done");
    next.stop();
}
