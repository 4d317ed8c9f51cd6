//! What an open run has bought already: it is fetched whatever has changed since, and nothing else begins.

use backstop::domain::asset::Window;

use super::*;

/// A run that stopped with an operation accepted by `house`.
async fn with_an_operation(poll: fn() -> Says) -> House {
    let vendor = FakeVendor::new(
        |provider, _| if provider == "house" { Says::Accepted } else { words() },
        move |_, _| poll(),
    );
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("bought");
    house.place.shows("SELECT status FROM attempts", "accepted");
    stop.soon.cancel();
    ended(daemon).await.expect("a clean end");
    house
}

fn fails() -> Says {
    Says::Fails(FailureClass::Refused { category: None })
}

impl House {
    /// A window that names no minute of the next half year, or none at all.
    fn closes(&mut self, closed: bool) {
        let month = now().format("%m").to_string().parse::<u32>().expect("a month");
        let cron = format!("* * * {} *", (month + 5) % 12 + 1);
        for asset in &mut self.config.assets {
            asset.window = closed.then(|| Window { cron: cron.clone(), zone: "UTC".to_owned() });
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_accepted_operation_is_polled_also_while_the_window_is_closed() {
    let mut house = with_an_operation(words).await;
    house.closes(true);
    house.place.enqueue("fresh");
    house.drain().await;
    house
        .place
        .finds("SELECT slug, status, provider FROM jobs ORDER BY id", "bought|done|house\nfresh|pending|");
    house.place.finds("SELECT number, outcome FROM runs", "1|delivered");
    assert_eq!(house.vendor.calls("house"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_whose_operation_fails_waits_for_the_window_to_call_the_next_link() {
    let mut house = with_an_operation(fails).await;
    house.closes(true);
    house.drain().await;
    house.place.finds("SELECT status, runs, deaths FROM jobs", "pending|0|0");
    house.place.finds("SELECT number, outcome FROM runs", "1|");
    house.place.finds("SELECT provider, status FROM attempts", "house|failed");
    house.drain().await;
    assert_eq!(house.vendor.polls.load(Ordering::SeqCst), 1, "nothing is left to be asked after");
    house.closes(false);
    house.drain().await;
    house.place.finds("SELECT status, provider, fallback_used FROM jobs", "done|second|1");
    house.place.finds("SELECT number, outcome FROM runs", "1|delivered");
    assert_eq!((house.vendor.calls("house"), house.vendor.calls("second")), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_that_is_set_while_a_run_is_handed_back_is_heeded() {
    let house = with_an_operation(fails).await;
    house.place.sql("UPDATE jobs SET provider_override = 'second'");
    house.drain().await;
    house.place.finds(
        "SELECT status, provider, fallback_used, runs, provider_override FROM jobs",
        "done|second|0|1|",
    );
    house.place.finds(
        "SELECT number, outcome, override FROM runs ORDER BY number",
        "1|released|\n2|delivered|second",
    );
    house.place.finds(
        "SELECT run_id, provider, status FROM attempts ORDER BY id",
        "1|house|failed\n2|second|delivered",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_bought_already_is_delivered_before_another_override_is_heeded() {
    let house = with_an_operation(words).await;
    house.place.sql("UPDATE jobs SET provider_override = 'second'");
    house.drain().await;
    house.place.finds("SELECT status, provider, provider_override FROM jobs", "done|house|");
    house.place.finds("SELECT number, outcome FROM runs", "1|delivered");
    assert_eq!((house.vendor.calls("house"), house.vendor.calls("second")), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_override_that_is_taken_back_while_a_run_is_handed_back_is_gone() {
    let vendor = FakeVendor::new(
        |provider, before| if (provider, before) == ("second", 0) { Says::Nothing } else { words() },
        |_, _| words(),
    );
    let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
    house
        .place
        .sql("INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', 'a', 'second')");
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.shows("SELECT provider, status FROM attempts", "second|started");
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
    house.place.sql("UPDATE jobs SET provider_override = NULL");
    house.drain().await;
    house.place.finds("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
    house.place.finds("SELECT provider, status FROM attempts ORDER BY id", "second|unknown\nhouse|delivered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_job_was_cancelled_while_nobody_was_there_is_settled_with_its_money() {
    let vendor = FakeVendor::new(|_, _| Says::Nothing, |_, _| words());
    let address = || "http://127.0.0.1:9/v1".to_owned();
    let links = texts("[\"house\"]", &[("house", address())]);
    let configuration = format!("{links}price = 0.05\nbudget = {{ month = 1 }}\n");
    let house = House::new(&configuration, vendor, FakeVault::default()).await;
    let stop = Stop::default();
    let daemon = house.serve(&stop).await;
    house.place.enqueue("gone");
    house.place.shows("SELECT status FROM attempts", "started");
    stop.soon.cancel();
    stop.now.cancel();
    ended(daemon).await.expect("a clean end");
    house.place.sql("UPDATE jobs SET status = 'cancelled'");
    let counters = "SELECT DISTINCT reserved_micros, spent_micros FROM spending";
    house.drain().await;
    house.place.finds(counters, "50000|0");
    house.forward.store(3_600, Ordering::SeqCst);
    house.drain().await;
    house.place.finds("SELECT status, class FROM attempts", "unknown|unknown_outcome");
    house.place.finds(counters, "0|50000");
    house.place.finds("SELECT status FROM jobs", "cancelled");
    house.place.finds("SELECT outcome FROM runs", "cancelled");
}
