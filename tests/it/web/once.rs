//! A request with an Idempotency-Key is fulfilled once.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Answer, Site, TEXTS, send};

const PATH: &str = "/api/generate/social-text";

fn ask(site: &Site, path: &str, key: &str, wish: &Value) -> Answer {
    send(site.posting(path, wish).header("idempotency-key", key))
}

#[test]
fn the_same_request_has_the_same_job() {
    let mut site = Site::start(TEXTS);
    let wish = json!({"slug": "bees", "input": {"b": 1, "a": 2}});
    let first = ask(&site, PATH, "k-1", &wish);
    assert_eq!((first.status, &first.json()["status"]), (StatusCode::OK, &json!("done")), "{}", first.body);
    // Other spellings of the same thing.
    let again = json!({"input": {"a": 2, "b": 1}, "slug": "bees", "priority": null});
    let second = ask(&site, "/api/generate/socialText", "\"k-1\"", &again);
    assert_eq!((second.status, second.json()["id"].clone()), (StatusCode::OK, json!(1)), "{}", second.body);
    assert_eq!(second.json()["dedupeKey"], "idempotency:k-1");
    for (path, other) in [(PATH, json!({"slug": "wasps"})), ("/api/generate/hero-image", wish.clone())] {
        let refused = ask(&site, path, "k-1", &other);
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
        assert!(refused.detail().contains("became job 1"), "{}", refused.body);
    }
    // A refused request leaves its key free, and a key of its own is another request.
    assert_eq!(ask(&site, PATH, "k-2", &json!({"slug": ""})).status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(ask(&site, PATH, "k-2", &wish).json()["id"], 2);
    assert_eq!(ask(&site, PATH, "two words", &wish).status, StatusCode::BAD_REQUEST);
    let long = "x".repeat(255);
    assert_eq!(ask(&site, PATH, &long, &wish).json()["id"], 3);
    assert_eq!(ask(&site, PATH, &long, &wish).json()["id"], 3);
    assert_eq!(ask(&site, PATH, &"x".repeat(256), &wish).status, StatusCode::BAD_REQUEST);

    site.restart();
    assert_eq!(ask(&site, PATH, "k-1", &wish).json()["id"], 1, "also after a restart");
    site.place.finds("SELECT count(*) FROM jobs", "3");
    // Retention takes the key along with its job.
    site.place.sql("DELETE FROM jobs WHERE id = 1");
    site.place.finds("SELECT count(*) FROM idempotency", "2");
    assert_eq!(ask(&site, PATH, "k-1", &json!({"slug": "wasps"})).json()["id"], 4);
}

#[test]
fn who_asks_again_waits_again() {
    let site = Site::start(TEXTS);
    let later = json!({"slug": "bees", "runAt": "2199-01-01"});
    let ask = |prefer: &str| {
        send(site.posting(PATH, &later).header("idempotency-key", "k").header("prefer", prefer))
    };
    assert_eq!(ask("respond-async").status, StatusCode::ACCEPTED);
    site.place.sql("UPDATE jobs SET run_at = 'now'");
    let made = ask("wait=30");
    assert_eq!((made.status, made.json()["id"].clone()), (StatusCode::OK, json!(1)), "{}", made.body);
    // It is the request that is remembered, whatever becomes of its job.
    site.place.sql("UPDATE jobs SET status = 'pending' WHERE id = 1");
    site.place.sql("UPDATE jobs SET status = 'cancelled' WHERE id = 1 AND status <> 'done'");
    assert_eq!(ask("wait=30").json()["id"], 1);
}

#[test]
fn of_many_at_once_one_makes_the_job() {
    let site = Site::start(TEXTS);
    let wish = json!({"slug": "bees"});
    let ids: BTreeSet<i64> = std::thread::scope(|scope| {
        let askers: Vec<_> = (0..12).map(|_| scope.spawn(|| ask(&site, PATH, "k", &wish))).collect();
        askers
            .into_iter()
            .map(|asker| {
                let answer = asker.join().expect("no panic");
                assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
                answer.json()["id"].as_i64().expect("a number")
            })
            .collect()
    });
    assert_eq!(ids, BTreeSet::from([1]));
    site.place.finds("SELECT count(*) FROM jobs", "1");
}
