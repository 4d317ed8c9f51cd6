//! The API: what is asked for, waited for and looked at.

use reqwest::StatusCode;
use serde_json::json;

use super::{Site, TEXTS, send};

#[test]
fn an_asset_is_asked_for_and_there() {
    let site = Site::start(TEXTS);
    let made = site.post("/api/generate/socialText", &json!({"slug": "bees", "input": {"title": "Bees"}}));
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let job = made.json();
    assert_eq!(job["text"], "A text about Bees that is long enough");
    assert_eq!(job["provider"], "template");
    assert_eq!(job["fallbackUsed"], false);
    assert_eq!(job["message"], "Social text ready");
    assert_eq!(made.header("location"), "/api/jobs/1");
    let story = site.get("/api/jobs/1").json();
    assert_eq!(story["history"][0]["attempts"][0]["status"], "delivered");
    let jobs = site.get("/api/jobs?asset=social_text&status=done").json();
    assert_eq!(jobs["jobs"][0]["id"], 1);
    assert_eq!(site.get("/api/jobs?status=manual").json()["jobs"], json!([]));
}

#[test]
fn nobody_delivers_and_a_person_is_asked() {
    let site = Site::start(TEXTS);
    let made = site.post("/api/generate/hero-image", &json!({"slug": "bees"}));
    assert_eq!(made.status, StatusCode::OK, "{}", made.body);
    let job = made.json();
    assert_eq!((&job["status"], &job["message"]), (&json!("manual"), &json!("Hero image needs a person")));
}

#[test]
fn who_will_not_wait_is_told_where_to_look() {
    let site = Site::start(TEXTS);
    let wish = json!({"slug": "bees", "runAt": "2199-01-01"});
    let asked = send(site.posting("/api/generate/social-text", &wish).header("prefer", "respond-async"));
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.body);
    assert_eq!(asked.json()["status"], "pending");
    assert_eq!(site.get(asked.header("location")).json()["slug"], "bees");
    let waited = send(site.posting("/api/generate/social-text", &wish).header("prefer", "wait=1"));
    assert_eq!(waited.status, StatusCode::ACCEPTED, "{}", waited.body);
}

#[test]
fn wrong_wishes_are_answered_with_a_sentence() {
    let site = Site::start(TEXTS);
    let check = |path: &str, body: serde_json::Value, status: u16, sentence: &str| {
        let answer = site.post(path, &body);
        assert_eq!((answer.status.as_u16(), answer.detail().as_str()), (status, sentence), "{path} {body}");
    };
    let text = "/api/generate/social-text";
    check(
        "/api/generate/social-txt",
        json!({"slug": "a"}),
        404,
        "unknown asset \"social-txt\"; did you mean \"social-text\"?",
    );
    check(
        text,
        json!({"slug": "a", "providerOverride": "lummi"}),
        422,
        "lummi makes image and cannot make social-text (text); name a provider of that medium",
    );
    check(
        text,
        json!({"slug": "a", "priority": 12}),
        422,
        "priority must be a whole number from 0 to 9; 9 goes first",
    );
    let keyed = json!({"slug": "a", "dedupeKey": "k", "runAt": "2199-01-01"});
    send(site.posting(text, &keyed).header("prefer", "respond-async"));
    let taken = "job 1 of social-text has dedupe key \"k\" already; cancel it, or use another key";
    check(text, keyed, 409, taken);
    site.place.sql("DELETE FROM jobs");
    let odd = site.post(text, &json!({"slug": "a", "colour": 1}));
    assert!(odd.detail().contains("unknown field `colour`"), "{}", odd.body);
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    let none = site.get("/api/jobs/99");
    assert_eq!((none.status, none.detail().as_str()), (StatusCode::NOT_FOUND, "there is no job 99"));
    assert_eq!(site.get("/api/jobs/x").status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/api/nothing").status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/api/generate/hero-image").status, StatusCode::METHOD_NOT_ALLOWED);
    site.place.finds("SELECT count(*) FROM jobs", "0");
}
