//! A clock that is set while jobs run, or a machine that slept.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::vault::FakeVault;
use super::{FakeVendor, House, Says, Stop, ended, to_text, two_links, words};

const DAY: i64 = 86_400;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_is_polled_on_after_the_clock_has_jumped() {
    for jump in [DAY, -DAY] {
        let clock: Arc<std::sync::OnceLock<Arc<std::sync::atomic::AtomicI64>>> = Arc::default();
        let set = Arc::clone(&clock);
        let vendor = FakeVendor::new(
            |_, _| Says::Accepted,
            move |_, before| {
                if before > 0 {
                    return words();
                }
                set.get().expect("the house's").store(jump, Ordering::SeqCst);
                Says::Accepted
            },
        );
        let house = House::new(&two_links(""), vendor, FakeVault::default()).await;
        clock.set(Arc::clone(&house.forward)).expect("set once");
        house.place.enqueue("long");
        house.drain().await;
        house.place.finds("SELECT status, provider, fallback_used FROM jobs", "done|house|0");
        assert_eq!(house.vendor.calls("house"), 1, "{jump}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_of_the_clock_takes_no_job_from_a_worker_that_lives() {
    let vendor = FakeVendor::new(|_, _| Says::Nothing, |_, _| words());
    let configuration = format!("{}\n[queue]\nlease = \"6s\"\n", two_links("concurrency = 8"));
    let house = House::new(&configuration, vendor, FakeVault::default()).await;
    let (first, second) = (Stop::default(), Stop::default());
    let holder = house.serve(&first).await;
    house.place.enqueue("held");
    house.place.shows("SELECT status FROM attempts", "started");
    let token = house.place.sql("SELECT lease_token FROM jobs");
    let beside = house.serve(&second).await;
    house.place.enqueue("other");
    house.place.shows("SELECT count(*) FROM attempts WHERE status = 'started'", "2");

    house.forward.store(DAY, Ordering::SeqCst);
    // Makes both look at the queue, at once.
    house.place.enqueue("third");
    let tomorrow = to_text(house.clock()());
    house
        .place
        .shows(&format!("SELECT min(lease_until) > '{tomorrow}' FROM jobs WHERE status = 'running'"), "1");
    house.place.finds("SELECT lease_token FROM jobs WHERE id = 1", &token);
    house.place.finds("SELECT max(deaths) FROM jobs", "0");
    for (stop, daemon) in [(first, holder), (second, beside)] {
        stop.soon.cancel();
        stop.now.cancel();
        ended(daemon).await.expect("a clean end");
    }
}
