//! Opening and migrating a database, and the mirrors of the configuration.

use std::path::Path;

use backstop::domain::asset::Asset;
use backstop::domain::provider::Provider;
use backstop::domain::time::from_text;
use backstop::store::error::StoreError;
use backstop::store::sqlite::migrate::{Migrated, migrate, newest};
use backstop::store::sqlite::mirror::mirror;
use backstop::store::sqlite::open::open;

use super::{NOW, Queue, assets, block_on, providers, shell};

#[test]
fn two_starts_at_once_migrate_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("backstop.db");
    let start = || {
        block_on(async {
            let pools = open(&path).await?;
            let migrated = migrate(&pools, &path).await?;
            pools.close().await;
            Ok::<_, StoreError>(migrated)
        })
        .expect("starts")
    };
    let mut came: Vec<Migrated> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..6).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    came.sort_by_key(|migrated| migrated.from);
    let to = newest();
    assert_eq!(came.first(), Some(&Migrated { from: 0, to }));
    assert!(came.iter().skip(1).all(|migrated| *migrated == Migrated { from: to, to }), "{came:?}");
    assert_eq!(shell(&path, "PRAGMA integrity_check; PRAGMA journal_mode;"), Ok("ok\nwal".to_owned()));
}

#[test]
fn a_file_of_another_program_or_of_a_newer_one_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let start = |path: &Path| {
        block_on(async {
            let pools = open(path).await?;
            migrate(&pools, path).await.map(drop)
        })
        .expect_err("refused")
        .to_string()
    };
    let foreign = folder.path().join("foreign.db");
    shell(&foreign, "CREATE TABLE notes (x); INSERT INTO notes VALUES (1);").expect("made");
    let before = std::fs::read(&foreign).expect("there");
    assert!(start(&foreign).contains("is a database of another program, not a Backstop queue"));
    assert_eq!(std::fs::read(&foreign).expect("there"), before);

    let text = folder.path().join("text.db");
    std::fs::write(&text, "This is no database at all, but a text of some length.".repeat(40))
        .expect("written");
    assert!(start(&text).contains("the database cannot be read"), "{}", start(&text));

    let queue = Queue::new();
    queue.run(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999, 'from the future', 1, x'00', 0);",
    );
    let error = start(&queue.path());
    assert!(error.contains("has schema 999") && error.contains("a newer Backstop"), "{error}");
}

#[test]
fn the_mirrors_are_written_when_something_changed_and_lose_nothing() {
    let queue = Queue::new();
    let write = |assets: Vec<Asset>, providers: Vec<Provider>| {
        block_on(async {
            let pools = open(&queue.path()).await.expect("opens");
            let later = from_text("2026-11-23T00:00:00.000Z").expect("valid");
            let changed = mirror(&pools, &assets, &providers, later).await.expect("mirrors");
            pools.close().await;
            changed
        })
    };
    assert_eq!(write(assets(), providers()), 0);
    queue.shows("SELECT DISTINCT updated_at FROM assets;", NOW);
    let mut fewer = assets();
    fewer.truncate(1);
    for asset in &mut fewer {
        asset.max_runs = 5;
    }
    assert_eq!(write(fewer, Vec::new()), 1);
    queue.shows(
        "SELECT name, max_runs, chain FROM assets; SELECT count(*) FROM providers; SELECT * FROM asset_aliases;",
        "hero-image|5|[\"gemini-3.1-flash-image\",\"lummi\",\"manual\"]\nsocial-text|3|[\"claude-sonnet-4-6\",\"manual\"]\n\
         video-clip|3|[\"manual\"]\n3\nheroImage|hero-image\nhero_image|hero-image\nsocialText|social-text\n\
         social_text|social-text\nvideoClip|video-clip\nvideo_clip|video-clip",
    );
}

/// One word of a newer SQLite makes the whole file unreadable for an older shell, and this machine's shell is
/// not the oldest that is promised (3.37).
#[test]
fn the_schema_uses_nothing_that_older_shells_cannot_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).expect("there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read_to_string(&path).expect("text");
        files += 1;
        let code: String =
            text.lines().filter(|line| !line.trim_start().starts_with("--")).collect::<Vec<_>>().join("\n");
        for newer in [
            "->",
            "unixepoch(",
            "DISTINCT FROM",
            " format(",
            "string_agg",
            "octet_length",
            " concat(",
            "concat_ws",
            "timediff",
            "jsonb",
            "FULL JOIN",
            "RIGHT JOIN",
            "'subsec'",
        ] {
            assert!(!code.contains(newer), "{}: {newer} is younger than SQLite 3.37", path.display());
        }
        for refusal in code.split("RAISE(ABORT, ").skip(1) {
            let rest = refusal.strip_prefix('\'').expect("a message is a literal").replace("''", "");
            let after = rest.split_once('\'').map(|(_, after)| after).expect("a closed literal");
            assert!(after.starts_with(')'), "{}: a message is a literal and nothing more", path.display());
        }
    }
    Queue::new().shows("SELECT count(*) FROM _sqlx_migrations", &files.to_string());
}

#[test]
fn the_program_gets_the_sentence_and_reads_the_views_too() {
    let queue = Queue::with_jobs();
    block_on(async {
        let pools = open(&queue.path()).await.expect("opens");
        let refused = async |sql: &'static str| {
            let error = sqlx::query(sql).execute(&pools.writer).await.expect_err(sql);
            let StoreError::Refused { sentence } = StoreError::from(error) else {
                panic!("{sql}: not refused")
            };
            sentence
        };
        assert_eq!(
            refused("INSERT INTO jobs (asset, slug) VALUES ('x', 's')").await,
            "unknown asset; SELECT name FROM assets"
        );
        let impossible = "INSERT INTO jobs (asset, slug, run_at) VALUES ('hero-image', 's', '2026-02-31')";
        assert!(refused(impossible).await.starts_with("run_at is no date that exists"));
        let replace =
            "INSERT OR REPLACE INTO jobs (asset, slug, dedupe_key) VALUES ('social-text', 's', 'k')";
        assert!(refused(replace).await.starts_with("this asset already has a job with this dedupe_key"));
        for (view, rows) in [("SELECT count(*) FROM manual_queue", 1), ("SELECT count(*) FROM health", 3)] {
            let found: i64 = sqlx::query_scalar(view).fetch_one(&pools.readers).await.expect(view);
            assert_eq!(found, rows, "{view}");
        }
        pools.close().await;
    });
}
