//! Two daemons on one file, and a key that is seen nowhere.

use super::vendor::{Vendor, error};
use super::{Place, texts};

#[test]
fn two_daemons_do_each_job_once() {
    let place = Place::new(&texts(r#"["template"]"#, &[]));
    let (first, second) = (place.serve(), place.serve());
    for batch in 1..=4 {
        place.sql(&format!(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
             INSERT INTO jobs (asset, slug) SELECT 'social-text', 'batch-{batch}-' || i FROM n;"
        ));
    }
    place.shows("SELECT count(*) FROM jobs WHERE status = 'done' AND runs = 1", "200");
    place.finds(
        "SELECT count(*), count(DISTINCT job_id), min(outcome), max(outcome) FROM runs",
        "200|200|delivered|delivered",
    );
    place.finds(
        "SELECT count(*), count(DISTINCT job_id), min(status), max(status) FROM attempts",
        "200|200|delivered|delivered",
    );
    first.stop();
    second.stop();
}

#[test]
fn the_key_is_in_no_log_and_in_no_row() {
    const KEY: &str = "sk-house-9f8e7d6c5b4a39281706f5e4d3c2b1a0";
    let vendor = Vendor::start();
    let configuration = texts(r#"["house", "template"]"#, &[("house", vendor.url())])
        .replace("api_key = false", "api_key = { env = \"HOUSE_KEY\" }");
    let mut place = Place::new(&configuration);
    place.environment.push(("HOUSE_KEY", KEY.to_owned()));
    place.environment.push(("RUST_LOG", "trace".to_owned()));
    place.environment.push(("BACKSTOP_LOG__FILTER", "trace".to_owned()));
    let daemon = place.serve();
    place.enqueue("with-the-key");
    place.shows("SELECT provider FROM jobs WHERE slug = 'with-the-key'", "house");
    let echoes = [
        (500, format!("upstream said: Bearer {KEY} was not welcome")),
        (400, format!("bad request with {KEY}")),
        (401, format!("Incorrect API key provided: {KEY}")),
    ];
    for (status, words) in echoes {
        vendor.answer_instead(Some(error(status, "odd", &words)));
        place.enqueue(&format!("answered-{status}"));
        place.shows(&format!("SELECT provider FROM jobs WHERE slug = 'answered-{status}'"), "template");
    }
    place.finds("SELECT count(*) FROM attempts WHERE provider = 'house' AND http_status = 401", "1");
    let dump = place.sql(".dump");
    assert!(dump.contains("answered-401") && !dump.contains(KEY), "the key is in the dump");
    daemon.stop();
    let files = walk(place.folder.path());
    assert!(
        files.iter().any(|file| file.ends_with("log-0"))
            && files.iter().any(|file| file.ends_with("backstop.db"))
    );
    for file in files {
        let bytes = std::fs::read(&file).expect("read");
        let found = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!found, "the key is in {}", file.display());
    }
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
