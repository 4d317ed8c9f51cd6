//! The breaker's probe: whose call comes to nothing gives it back at once.

use super::*;

/// A breaker whose third wait is over: the next call is the probe.
const HALF_OPEN: &str =
    "INSERT INTO provider_health (provider, state, consecutive_failures, open_until, step)
    VALUES ('house', 'open', 5, '2026-01-01T00:00:00.000Z', 2)";

const PROBE: &str =
    "SELECT state, coalesce(probe_job, ''), step FROM provider_health WHERE provider = 'house'";

async fn probing(configuration: &str) -> House {
    let vendor = FakeVendor::new(
        |provider, _| if provider == "house" { Says::Nothing } else { words() },
        |_, _| words(),
    );
    let house = House::new(configuration, vendor, FakeVault::default()).await;
    house.place.sql(HALF_OPEN);
    house.place.enqueue("probe");
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_stops_frees_its_probe() {
    let house = probing(&two_links("")).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.shows(PROBE, "half-open|1|2");
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
    house.place.finds(PROBE, "open||2");
    house.place.finds("SELECT status FROM jobs", "pending");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_cancelled_frees_its_probe() {
    let house = probing(&format!("[queue]\nlease = \"2s\"\n{}", two_links(""))).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.shows(PROBE, "half-open|1|2");
    house.place.sql("UPDATE jobs SET status = 'cancelled'");
    house.place.shows(PROBE, "open||2");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_that_the_budget_has_no_room_for_is_freed() {
    let vendor = FakeVendor::new(
        |provider, _| if provider == "house" { Says::Nothing } else { Says::Fails(FailureClass::Invalid) },
        |_, _| words(),
    );
    let address = || "http://127.0.0.1:9/v1".to_owned();
    let links = texts("[\"second\", \"house\"]", &[("second", address()), ("house", address())]);
    let configuration = format!(
        "[queue]\nlease = \"2s\"\n{links}concurrency = 1\nprice = 0.05\nbudget = {{ month = 1000 }}\n"
    );
    let house = House::new(&configuration, vendor, FakeVault::default()).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("first");
    house.place.shows("SELECT status FROM attempts WHERE provider = 'house'", "started");
    // The other one waits for the only permit; what it planned with is no longer true when it gets it.
    house.place.enqueue("waits");
    house.place.shows("SELECT status FROM attempts WHERE job_id = 2", "failed");
    house.place.sql(&format!(
        "{HALF_OPEN}; UPDATE spending SET spent_micros = 1000000000 WHERE scope = 'provider' AND name = 'house';
         UPDATE jobs SET status = 'cancelled' WHERE id = 1;"
    ));
    house.place.shows("SELECT status, error LIKE '%budget%' FROM jobs WHERE id = 2", "manual|1");
    house.place.finds(PROBE, "open||2");
    assert_eq!(house.vendor.calls("house"), 1);
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_verdict_on_a_dead_workers_probe_is_the_probes() {
    let vendor = FakeVendor::new(|_, _| Says::Accepted, |_, _| Says::Fails(FailureClass::Unusable));
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house.place.enqueue("probe");
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.shows("SELECT status FROM attempts", "accepted");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
    // As if it had died with the probe in hand.
    house.place.sql(HALF_OPEN);
    house.place.sql(
        "UPDATE provider_health SET state = 'half-open', probe_job = 1, probe_until = '2026-12-31T00:00:00.000Z'",
    );
    house
        .place
        .sql("UPDATE provider_health SET probe_until = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+1 hour')");
    house.drain().await;
    house.place.finds(PROBE, "open||3");
}
