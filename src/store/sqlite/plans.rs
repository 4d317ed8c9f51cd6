//! Holds the hot path's statements to plans that do not depend on how full the tables are.

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row, SqlSafeStr};

use super::ledger::{BEGIN, END_JOBS, END_RUNS, INSERT_SETTLED, SETTLE};
use super::{claim, forsaken, glance, migrate, open, pace, runs, spending};

/// The tables that grow, and the names they have in statements.
const TABLES: &[&str] = &[
    "jobs",
    "runs",
    "attempts",
    "last",
    "a",
    "r",
    "s",
    "spending",
    "c",
    "job",
    "provider_calls",
    "outcomes",
];

/// What SQLite does for a statement, one step a line.
async fn plan(pool: &SqlitePool, sql: &str) -> String {
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")).into_sql_str();
    let steps = sqlx::query(explain).fetch_all(pool).await.expect(sql);
    steps.iter().map(|step| step.get::<String, _>(3)).collect::<Vec<_>>().join("\n")
}

/// Every statement whose plan must not depend on luck.
const HOT: [(&str, &str); 32] = [
    ("END_JOBS", END_JOBS),
    ("END_RUNS", END_RUNS),
    ("INSERT_SETTLED", INSERT_SETTLED),
    ("SETTLE", SETTLE),
    ("BEGIN", BEGIN),
    ("OF_A_CALL", spending::OF_A_CALL),
    ("RESERVE", spending::RESERVE),
    ("COUNTERS", spending::COUNTERS),
    ("UNDER_WAY", pace::UNDER_WAY),
    ("BEGUN", pace::BEGUN),
    ("ENTER", pace::ENTER),
    ("REENTER", pace::REENTER),
    ("LEAVE", pace::LEAVE),
    ("FORGET", pace::FORGET),
    ("CLAIM", claim::CLAIM),
    ("TAKE_OVER", claim::TAKE_OVER),
    ("DUE", claim::DUE),
    ("BOUGHT_DUE", claim::BOUGHT_DUE),
    ("BOUGHT_ORPHANED", claim::BOUGHT_ORPHANED),
    ("FORSAKEN", forsaken::FORSAKEN),
    ("NEXT_DUE", claim::NEXT_DUE),
    ("COUNT_DUE", claim::COUNT_DUE),
    ("OPEN_RUNS", runs::OPEN_RUNS),
    ("REFUSALS", runs::REFUSALS),
    ("BACKLOG", glance::BACKLOG),
    ("OUTCOMES", glance::OUTCOMES),
    ("CALLS", glance::CALLS),
    ("LISTED", glance::LISTED),
    ("LISTED_RUNNING", glance::LISTED_RUNNING),
    ("NEWEST", glance::NEWEST),
    ("SEARCH_FROM", glance::SEARCH_FROM),
    ("SEARCH_AFTER", glance::SEARCH_AFTER),
];

#[tokio::test]
async fn no_statement_of_the_hot_path_ever_scans_a_table() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("backstop.db");
    let pools = open::open(&path).await.expect("opens");
    migrate::migrate(&pools, &path).await.expect("migrates");
    // Somebody's ANALYZE at night: a million jobs wait, and the indexes of what runs are empty.
    let statistics = "ANALYZE; INSERT INTO sqlite_stat1 VALUES
        ('jobs', 'jobs_due', '1000000 2001 2001 2001 1'), ('jobs', 'jobs_by_token', '0 0'),
        ('jobs', 'jobs_leased', '0 0'), ('attempts', 'attempts_refused', '0 0'),
        ('attempts', 'attempts_by_run', '1000000 1'), ('runs', 'sqlite_autoindex_runs_1', '1000000 1 1');";
    for with_statistics in [false, true] {
        if with_statistics {
            sqlx::raw_sql(statistics).execute(&pools.writer).await.expect("analyses");
            sqlx::raw_sql("ANALYZE sqlite_schema").execute(&pools.writer).await.expect("reads them");
        }
        for (name, sql) in HOT {
            let plan = plan(&pools.writer, sql).await;
            let scanned = |step: &str| {
                step.strip_prefix("SCAN ").and_then(|of| of.split(' ').next().map(str::to_owned))
            };
            let scans = |table: &str| plan.lines().any(|step| scanned(step).as_deref() == Some(table));
            for table in TABLES {
                assert!(!scans(table), "{name}, statistics: {with_statistics}\n{plan}");
            }
        }
    }
    // What counts every job reads them all, in an index and not in the table.
    let counts = plan(&pools.writer, glance::COUNTS).await;
    assert!(counts.contains("SCAN counted USING COVERING INDEX jobs_listed"), "{counts}");
    pools.close().await;
    // The next start forgets them.
    let pools = open::open(&path).await.expect("opens");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_stat1")
        .fetch_one(&pools.writer)
        .await
        .expect("counts");
    assert_eq!(left, 0);
    pools.close().await;
}
