//! What must hold of a queue whose daemons were killed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::OpenOptionsExt;

use super::lane::{Lane, Tally};
use super::vendor;

/// What a query must answer: nothing, which is to say that no row breaks the rule.
const NONE: &[(&str, &str)] = &[
    ("every job ends", "SELECT id, status FROM jobs WHERE status NOT IN ('done', 'manual')"),
    ("every run ends", "SELECT id, job_id FROM runs WHERE finished_at IS NULL"),
    (
        "every attempt has its verdict",
        "SELECT id, status FROM attempts WHERE status IN ('started', 'accepted')",
    ),
    (
        "what is done was delivered once",
        "SELECT id FROM jobs WHERE status = 'done' AND (
            1 <> (SELECT count(*) FROM attempts WHERE job_id = jobs.id AND status = 'delivered')
            OR 1 <> (SELECT count(*) FROM runs WHERE job_id = jobs.id AND outcome = 'delivered'))",
    ),
    (
        "what a person gets was not delivered",
        "SELECT id FROM jobs WHERE status = 'manual' AND (
            EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND status = 'delivered')
            OR EXISTS (SELECT 1 FROM runs WHERE job_id = jobs.id AND outcome = 'delivered'))",
    ),
    (
        "a person gets only what nobody knows the fate of",
        "SELECT id, error FROM jobs WHERE status = 'manual'
            AND NOT EXISTS (SELECT 1 FROM attempts WHERE job_id = jobs.id AND status = 'unknown')",
    ),
    (
        "a further call follows only an unknown one",
        "SELECT id, job_id FROM attempts AS a WHERE status <> 'skipped' AND EXISTS (
            SELECT 1 FROM attempts AS b WHERE b.job_id = a.job_id AND b.id < a.id AND b.status <> 'unknown')",
    ),
    (
        "nothing fails but by a kill",
        "SELECT id, class, error FROM attempts WHERE status IN ('failed', 'skipped')",
    ),
    ("nothing stays reserved", "SELECT * FROM spending WHERE reserved_micros <> 0"),
    (
        "the counters are the sum of the ledger",
        "SELECT s.scope, s.name, s.spent_micros FROM spending AS s WHERE s.spent_micros <> (
            SELECT coalesce(sum(CASE a.status WHEN 'unknown' THEN max(cost_micros, reserved_micros)
                ELSE cost_micros END), 0)
            FROM attempts AS a WHERE substr(a.started_at, 1, length(s.period)) = s.period
                AND CASE s.scope WHEN 'provider' THEN a.provider ELSE a.asset END = s.name)",
    ),
    (
        "every provider has a counter",
        "SELECT DISTINCT provider FROM attempts
        WHERE provider NOT IN (SELECT name FROM spending WHERE scope = 'provider')",
    ),
    (
        "no delivered file is staged still",
        "SELECT key FROM staged WHERE EXISTS (SELECT 1 FROM jobs WHERE substr(url, -length(key)) = key)
            OR attempt_id IN (SELECT id FROM attempts WHERE status <> 'unknown')",
    ),
    ("the database is whole", "SELECT * FROM pragma_integrity_check WHERE integrity_check <> 'ok'"),
    ("its references are", "PRAGMA foreign_key_check"),
];

/// Judges a drained queue.
pub(super) fn judge(lane: &Lane) -> Tally {
    let (place, open) = (&lane.place, &lane.open);
    for (rule, query) in NONE {
        let broken = place.sql(query);
        assert_eq!(broken, "", "{rule}\n{}", place.story());
    }
    let jobs = i64::try_from(count(lane, "SELECT count(*) FROM jobs")).expect("few");
    assert_eq!(jobs, lane.jobs, "a job is lost");
    judge_outputs(lane);
    judge_folders(lane);
    let mut tally = judge_calls(lane);

    let ids = |status: &str| -> Vec<i64> {
        let rows = place.sql(&format!("SELECT id FROM attempts WHERE status = '{status}'"));
        rows.lines().map(|id| id.parse().expect("an id")).collect()
    };
    let (unknown, delivered) = (ids("unknown"), ids("delivered"));
    for id in &unknown {
        assert!(open.started.contains(id), "attempt {id} was not under way at any kill\n{}", place.story());
    }
    for id in open.accepted.union(&open.kept) {
        assert!(
            delivered.contains(id),
            "attempt {id} was accepted or in the vault, and is not delivered\n{}",
            place.story()
        );
    }
    let operations =
        place.sql("SELECT operation FROM attempts WHERE status = 'delivered' AND operation IS NOT NULL");
    for operation in lane.vendor.polled() {
        let found = operations.lines().filter(|known| **known == operation).count();
        assert_eq!(
            found,
            1,
            "{operation} was asked after, so its id was written down before\n{}",
            place.story()
        );
    }
    tally.unknown = unknown.len();
    tally.in_flight = open.started.union(&open.accepted).count();
    tally.jobs = usize::try_from(jobs).expect("few");
    tally.done = count(lane, "SELECT count(*) FROM jobs WHERE status = 'done'");
    tally.manual = count(lane, "SELECT count(*) FROM jobs WHERE status = 'manual'");
    tally
}

/// The calls that the vendor received against the rows of the ledger, for each job and provider.
fn judge_calls(lane: &Lane) -> Tally {
    let rows = lane.place.sql(
        "SELECT substr(j.slug, 6), a.provider, count(*), sum(a.status = 'unknown')
         FROM attempts AS a JOIN jobs AS j ON j.id = a.job_id WHERE a.status <> 'skipped' GROUP BY 1, 2",
    );
    let mut paid: BTreeMap<(i64, String), u32> = lane.vendor.paid();
    let mut tally = Tally::default();
    for row in rows.lines() {
        let columns: Vec<&str> = row.split('|').collect();
        let number = |at: usize| -> u32 { columns[at].parse().expect("a number") };
        let (rows, unknown) = (number(2), number(3));
        let calls = paid.remove(&(i64::from(number(0)), columns[1].to_owned())).unwrap_or(0);
        // Where the daemon died between the intent and the call there is a row, and no call.
        assert!(
            calls <= rows && calls + unknown >= rows,
            "number-{} at {}: {calls} calls, {rows} rows, {unknown} of them unknown\n{}",
            columns[0],
            columns[1],
            lane.place.story()
        );
        tally.calls += calls as usize;
        tally.rows += rows as usize;
        tally.unsent += (rows - calls) as usize;
    }
    assert!(paid.is_empty(), "paid, and not in the ledger: {paid:?}\n{}", lane.place.story());
    tally
}

/// Every delivery is the very output that was made for its job.
fn judge_outputs(lane: &Lane) {
    let rows = lane
        .place
        .sql("SELECT substr(slug, 6), coalesce(url, ''), coalesce(text, '') FROM jobs WHERE status = 'done'");
    for row in rows.lines() {
        let columns: Vec<&str> = row.split('|').collect();
        let number: i64 = columns[0].parse().expect("a number");
        if columns[1].is_empty() {
            assert_eq!(columns[2], vendor::text(number));
            continue;
        }
        let path = columns[1].strip_prefix("file://").expect("a file of the vault");
        let file = fs::read(path).unwrap_or_else(|error| panic!("number-{number}: {path}: {error}"));
        assert_eq!(file, vendor::file(number, path.ends_with(".png")), "number-{number}: {path}");
    }
}

/// Every file of the vault is delivered, or the ledger knows of it. What was half written when a daemon died is gone
/// with it, where the file system knows files without a name.
fn judge_folders(lane: &Lane) {
    let vault = lane.place.file("assets");
    let flags = rustix::fs::OFlags::TMPFILE.bits().cast_signed();
    let unnamed = fs::OpenOptions::new().write(true).custom_flags(flags).open(&vault).is_ok();
    let known =
        lane.place.sql("SELECT url FROM jobs WHERE url IS NOT NULL UNION ALL SELECT '/' || key FROM staged");
    let known: BTreeSet<&str> = known.lines().filter_map(|path| path.rsplit('/').next()).collect();
    let folders = fs::read_dir(&vault).expect("the vault").map(|entry| entry.expect("an entry").path());
    for folder in folders.filter(|path| path.is_dir()) {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
            if name.starts_with('.') {
                assert!(!unnamed, "{name} is left half written in {}", folder.display());
            } else {
                assert!(known.contains(name.as_str()), "nobody knows of {name} in {}", folder.display());
            }
        }
    }
}

fn count(lane: &Lane, query: &str) -> usize {
    lane.place.sql(query).parse().expect("a count")
}
