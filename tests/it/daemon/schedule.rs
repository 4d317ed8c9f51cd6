//! Time: recurring jobs, windows, the order of the queue, and what is thrown away.

use super::vendor::Vendor;
use super::{Place, texts};

fn recurring(name: &str, cron: &str, rest: &str) -> String {
    format!("[[recurring]]\nname = \"{name}\"\ncron = \"{cron}\"\nasset = \"social-text\"\n{rest}\n")
}

#[test]
fn every_tick_enqueues_one_job_also_across_a_restart() {
    let ticking = recurring("ticking", "* * * * * *", "slug = \"{{ tick.at }}\"");
    let place = Place::new(&format!("{}{ticking}", texts(r#"["template"]"#, &[])));
    let first = place.serve();
    let second = place.serve();
    place.shows("SELECT count(*) >= 2 FROM jobs", "1");
    first.stop();
    second.stop();
    let third = place.serve();
    let before = place.sql("SELECT count(*) FROM jobs");
    place.shows(&format!("SELECT count(*) >= {before} + 2 FROM jobs WHERE status = 'done'"), "1");
    third.stop();
    place.finds("SELECT count(*) - count(DISTINCT slug) FROM jobs", "0");
    place.finds("SELECT count(*) FROM jobs WHERE id NOT IN (SELECT job_id FROM recurring_ticks WHERE job_id NOT NULL)", "0");
    place.finds(
        "SELECT count(*) FROM jobs j JOIN recurring_ticks t ON t.job_id = j.id WHERE j.slug <> t.tick",
        "0",
    );
}

#[test]
fn missed_ticks_are_caught_up_with_as_the_operator_wants() {
    let minute = minute_of_the_clock_far_from_now();
    let cron = format!("{minute} * * * *");
    let schedules: String = ["all", "once", "skip"]
        .iter()
        .map(|missed| {
            let rest =
                format!("missed = \"{missed}\"\nslug = \"{missed}-{{{{ tick.date }}}}-{{{{ tick.time }}}}\"");
            recurring(missed, &cron, &rest)
        })
        .collect();
    // One whose jobs the queue refuses comes first, and holds nobody up.
    let refused = recurring("refused", &cron, "slug = \"a//{{ tick.date }}\"");
    let place = Place::new(&format!("{}{refused}{schedules}", texts(r#"["template"]"#, &[])));
    place.finds("SELECT count(*) FROM jobs", "0");

    place.sql("UPDATE recurring_ticks SET tick = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-5 hours')");
    for _ in 0..2 {
        assert!(place.drain().success());
        place.finds(
            "SELECT substr(slug, 1, 3), count(*), min(status), max(status) FROM jobs GROUP BY 1 ORDER BY 1",
            "all|5|done|done\nonc|1|done|done",
        );
    }
    place.finds(
        "SELECT j.slug LIKE 'once-' || substr(t.tick, 1, 10) || '-' || substr(t.tick, 12, 5) FROM jobs j
         JOIN recurring_ticks t ON t.tick = (SELECT max(tick) FROM recurring_ticks WHERE schedule = 'all')
            AND t.schedule = 'all' WHERE j.slug LIKE 'once-%'",
        "1",
    );
}

fn minute_of_the_clock_far_from_now() -> String {
    let shell = std::process::Command::new("sqlite3")
        .args([":memory:", "SELECT CAST(strftime('%M', 'now', '+30 minutes') AS INTEGER)"])
        .output()
        .expect("the sqlite3 shell");
    String::from_utf8(shell.stdout).expect("a number").trim().to_owned()
}

#[test]
fn a_job_outside_its_window_waits() {
    let place = Place::new("");
    let hours = place.sql(
        "SELECT strftime('%H', 'now', '+11 hours') || ' ' || strftime('%H', 'now', '+12 hours')
             || '|' || strftime('%H', 'now') || ' ' || strftime('%H', 'now', '+1 hour')",
    );
    let (far, near) = hours.split_once('|').expect("two windows");
    let asset = |name: &str, hours: &str| {
        let hours = hours.replace(' ', ",");
        format!(
            "[assets.{name}]\nchain = [\"template\"]\nwindow = {{ cron = \"* {hours} * * *\", zone = \"UTC\" }}\n"
        )
    };
    place.configure(&format!("{}{}", asset("at-night", far), asset("by-day", near)));
    assert!(place.drain().success());
    place.sql("INSERT INTO jobs (asset, slug) VALUES ('at-night', 'waits'), ('by-day', 'goes')");
    assert!(place.drain().success());
    place.finds("SELECT slug, status, runs FROM jobs ORDER BY id", "waits|pending|0\ngoes|done|1");
    place.finds("SELECT count(*) FROM runs", "1");
}

#[test]
fn the_highest_priority_goes_first_then_the_oldest_whatever_the_asset() {
    let vendor = Vendor::start();
    let teaser = "[assets.teaser]\nchain = [\"house\"]\n";
    let configuration = texts(r#"["house"]"#, &[("house", vendor.url())]);
    let place = Place::new(&format!("[queue]\nconcurrency = 1\n{configuration}{teaser}"));
    place.sql(
        "INSERT INTO jobs (asset, slug, priority, run_at) VALUES
             ('teaser', 'e-low', 0, '2026-01-01'), ('social-text', 'c-usual-older', 5, '2026-01-02'),
             ('teaser', 'd-usual-younger', 5, '2026-01-03'), ('social-text', 'f-low-younger', 0, '2026-01-04'),
             ('social-text', 'b-high', 8, '2026-01-05'), ('teaser', 'a-highest', 9, '2026-01-06')",
    );
    assert!(place.drain().success());
    place.finds(
        "SELECT group_concat(slug, ' ') FROM (SELECT j.slug FROM runs r JOIN jobs j ON j.id = r.job_id ORDER BY r.id)",
        "a-highest b-high c-usual-older d-usual-younger e-low f-low-younger",
    );
}

#[test]
fn an_asset_has_no_more_jobs_in_flight_than_it_may() {
    let (house, second) = (Vendor::holding(), Vendor::holding());
    let addresses = [("house", house.url()), ("second", second.url())];
    let configuration = texts("[\"house\", \"second\"]\nconcurrency = 1", &addresses);
    let place = Place::new(&format!("[queue]\nlease = \"1h\"\n{configuration}"));
    let daemon = place.serve();
    place.enqueue("orphan");
    house.is_called(1);
    daemon.kill();
    // One that is taken over and one that is due are together one more than may run.
    place.sql(
        "INSERT INTO jobs (asset, slug) VALUES ('social-text', 'fresh');
         UPDATE jobs SET lease_until = '2026-01-01T00:00:00.000Z' WHERE slug = 'orphan';",
    );
    let daemon = place.serve();
    second.is_called(1);
    place.finds("SELECT slug, status FROM jobs ORDER BY id", "orphan|running\nfresh|pending");
    house.release();
    second.release();
    place
        .shows("SELECT slug, status, provider FROM jobs ORDER BY id", "orphan|done|second\nfresh|done|house");
    daemon.stop();
}

#[test]
fn old_jobs_go_and_what_waits_for_a_person_stays() {
    let place = Place::new(&texts(r#"["template"]"#, &[]));
    place.sql(
        "INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', 'old-done', NULL),
             ('social-text', 'old-manual', 'manual'), ('social-text', 'old-cancelled', NULL), ('social-text', 'new-done', NULL);
         UPDATE jobs SET status = 'cancelled' WHERE slug = 'old-cancelled';",
    );
    assert!(place.drain().success());
    place.sql("UPDATE jobs SET finished_at = '2026-01-01T00:00:00.000Z' WHERE slug LIKE 'old-%'");
    let daemon = place.serve();
    place.shows(
        "SELECT group_concat(slug, ' ') FROM (SELECT slug FROM jobs ORDER BY id)",
        "old-manual new-done",
    );
    place.finds("SELECT count(*) FROM runs WHERE job_id NOT IN (SELECT id FROM jobs)", "0");
    place.finds("SELECT count(*) FROM attempts WHERE job_id NOT IN (SELECT id FROM jobs)", "0");
    daemon.stop();
}
