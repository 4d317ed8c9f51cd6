//! One job kills its daemon whenever it is tried: it ends as a person's, and its neighbours as if it were not there.

use super::{Place, Serving, within};

/// A program is free to be asked again, so that the job is tried once more after each death.
const CONFIGURATION: &str = "
[queue]
lease = \"1h\"
concurrency = 4
[assets.social-text]
chain = [\"scribe\"]
[providers.scribe]
protocol = \"command\"
medium = \"text\"
command = [\"sh\", \"-c\", \"sleep 0.2; echo A calm sentence that is long enough to be published.\"]
";

/// Two beside others, three alone.
const DEATHS: u32 = 5;

#[test]
fn a_job_that_kills_its_daemon_each_time_ends_as_a_persons_and_its_neighbours_are_not_blamed() {
    let place = Place::new(CONFIGURATION);
    let values = |from: u32, to: u32| {
        let rows = (from..to).map(|number| format!("('social-text', 'neighbour-{number}')"));
        rows.collect::<Vec<_>>().join(", ")
    };
    place.sql(&format!(
        "INSERT INTO jobs (asset, slug) VALUES {}, ('social-text', 'poison'), {}",
        values(0, 2),
        values(2, 8)
    ));
    let left = "SELECT count(*) FROM jobs WHERE status IN ('pending', 'running')";
    let mut deaths = 0;
    loop {
        let mut daemon = deadly(&place);
        let mut died = false;
        let settled = within(super::PATIENCE, || {
            died = daemon.child.0.try_wait().expect("a child").is_some();
            died || place.sql(left) == "0"
        });
        assert!(settled, "neither dead nor done\n{}", place.story());
        if !died {
            daemon.stop();
            break;
        }
        deaths += 1;
        assert!(deaths <= DEATHS, "it is tried again and again\n{}", place.story());
        // Others come while it kills.
        place.sql(&format!("INSERT INTO jobs (asset, slug) VALUES {}", values(100 + deaths, 101 + deaths)));
    }
    assert_eq!(deaths, DEATHS, "{}", place.story());
    place.finds(
        "SELECT status, error, deaths, solo_deaths FROM jobs WHERE slug = 'poison'",
        "manual|its worker died 3 times while it ran alone; see the journal|0|0",
    );
    place.finds(
        "SELECT status, count(*), sum(deaths), sum(solo_deaths), max(runs) FROM jobs WHERE slug <> 'poison'",
        "done|13|0|0|1",
    );
}

#[test]
fn a_job_that_a_local_maker_can_make_nothing_of_does_not_shut_it_for_others() {
    let script =
        "if grep -q hopeless; then exit 1; fi; echo A calm sentence that is long enough to be published.";
    let place = Place::new(
        &CONFIGURATION
            .replace("sleep 0.2; echo A calm sentence that is long enough to be published.", script),
    );
    let hopeless: Vec<_> = (0..6).map(|number| format!("('social-text', 'hopeless-{number}', 9)")).collect();
    place.sql(&format!(
        "INSERT INTO jobs (asset, slug, priority) VALUES {}, ('social-text', 'good', 0)",
        hopeless.join(", ")
    ));
    assert!(place.drain().success());
    place.finds("SELECT status, count(*) FROM jobs GROUP BY status ORDER BY status", "done|1\nmanual|6");
    place.finds("SELECT DISTINCT class FROM attempts WHERE status = 'failed'", "unusable");
    place.finds("SELECT state, consecutive_failures FROM provider_health", "closed|0");
}

/// A daemon that dies as soon as it tries the poison.
fn deadly(place: &Place) -> Serving {
    place.serve_with(&[("BACKSTOP_KILL_AT", "after-intent:1@poison")])
}
