//! What is spent, as any client reads it, and how verdicts are settled whoever writes them.

use super::Queue;

/// A paid call of job 1 that is under way.
fn under_way() -> Queue {
    let queue = Queue::new();
    queue.run("INSERT INTO jobs (asset, slug) VALUES ('hero-image', 's');");
    queue.claim(1);
    queue.run(
        "INSERT INTO attempts (run_id, job_id, position, provider, status, started_at, asset, reserved_micros)
             VALUES (1, 1, 0, 'lummi', 'started', '2026-11-22T13:49:00.000Z', 'hero-image', 40000);
         INSERT INTO spending (period, scope, name, reserved_micros) VALUES
             ('2026-11-22', 'provider', 'lummi', 40000), ('2026-11', 'provider', 'lummi', 40000),
             ('2026-11-22', 'asset', 'hero-image', 40000), ('2026-11', 'asset', 'hero-image', 40000);",
    );
    queue
}

/// Each counter as `reserved|spent`, where all four are the same.
const COUNTERS: &str = "SELECT count(*), min(reserved_micros), max(reserved_micros), min(spent_micros), max(spent_micros) FROM spending;";

#[test]
fn a_verdict_settles_all_four_counters_once() {
    let check = |change: &str, expected: &str| {
        let queue = under_way();
        queue.run("UPDATE attempts SET status = 'accepted', operation = 'o';");
        queue.shows(COUNTERS, "4|40000|40000|0|0");
        queue.run(change);
        queue.shows(COUNTERS, expected);
        queue.run("UPDATE attempts SET status = 'failed', cost_micros = 9;");
        queue.run("DELETE FROM attempts;");
        queue.shows(COUNTERS, expected);
    };
    check("UPDATE attempts SET status = 'delivered', cost_micros = 30000;", "4|0|0|30000|30000");
    check("UPDATE OR REPLACE attempts SET status = 'delivered', cost_micros = 30000;", "4|0|0|30000|30000");
    check("UPDATE attempts SET status = 'failed', class = 'transient';", "4|0|0|0|0");
    check("UPDATE attempts SET status = 'unknown', class = 'unknown_outcome';", "4|0|0|40000|40000");
    check("DELETE FROM attempts;", "4|0|0|40000|40000");
    let delete = "UPDATE jobs SET status = 'cancelled' WHERE id = 1; DELETE FROM jobs WHERE id = 1;";
    check(delete, "4|0|0|40000|40000");
    check(&format!("PRAGMA foreign_keys = ON; {delete}"), "4|0|0|40000|40000");
    // Somebody emptied the counters: what is missing is made, and nothing falls below zero.
    check("DELETE FROM spending; UPDATE attempts SET status = 'delivered', cost_micros = 5;", "4|0|0|5|5");
}

#[test]
fn an_attempt_without_money_leaves_no_counter() {
    let queue = under_way();
    queue.run(
        "DELETE FROM spending; UPDATE attempts SET reserved_micros = 0;
         UPDATE attempts SET status = 'failed';",
    );
    queue.shows("SELECT count(*) FROM spending;", "0");
}

#[test]
fn the_budgets_view_shows_limits_of_now_and_everything_that_was_spent() {
    let queue = under_way();
    queue.shows("SELECT count(*), max(budget) IS NULL FROM budgets;", "4|1");
    queue.run(
        "UPDATE providers SET budget_day_micros = 5000000, budget_month_micros = 100500000 WHERE name = 'lummi';
         UPDATE assets SET budget_month_micros = 1 WHERE name = 'social-text';
         INSERT INTO spending (period, scope, name, spent_micros)
             VALUES (strftime('%Y-%m', 'now'), 'asset', 'social-text', 250000);
         UPDATE spending SET spent_micros = 60000 WHERE period = '2026-11-22' AND scope = 'provider';",
    );
    queue.shows(
        "SELECT scope, name, spent, reserved, budget FROM budgets WHERE period = '2026-11-22';",
        "asset|hero-image|0.0|0.04|\nprovider|lummi|0.06|0.04|5.0",
    );
    queue.shows(
        "SELECT name, spent, budget FROM budgets WHERE period = strftime('%Y-%m', 'now') AND name = 'social-text';",
        "social-text|0.25|1.0e-06",
    );
    queue.shows(
        "SELECT spent, reserved, budget FROM budgets WHERE period = date('now') AND name = 'lummi' AND scope = 'provider'
         AND period <> '2026-11-22';",
        if queue.run("SELECT date('now') = '2026-11-22';") == "1" { "" } else { "0.0|0.0|5.0" },
    );
}
