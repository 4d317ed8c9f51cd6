//! What people decide by the API: again, no more, by hand; and what they are told before they do.

use reqwest::StatusCode;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::{Answer, Site, TEXTS, send};
use crate::support::picture;

/// A picture as large as the seed assets want them.
fn large() -> Vec<u8> {
    picture((1_600, 900))
}

fn by_hand(site: &Site, asset: &str) -> i64 {
    let asked = site
        .post(&format!("/api/generate/{asset}"), &json!({"slug": "by-hand", "providerOverride": "manual"}));
    assert_eq!(asked.json()["status"], "manual", "{}", asked.body);
    asked.json()["id"].as_i64().expect("a number")
}

#[test]
fn jobs_go_round_again_and_are_cancelled() {
    let site = Site::start(TEXTS);
    let post = |path: &str| send(site.bare(reqwest::Method::POST, path).bearer_auth(site.token()));
    let job = by_hand(&site, "social-text");
    let again = post(&format!("/api/jobs/{job}/retry"));
    assert_eq!((again.status, &again.json()["id"]), (StatusCode::OK, &json!(job)), "{}", again.body);
    site.place.shows("SELECT status FROM jobs WHERE id = 1", "done");
    let overridden = site.post("/api/jobs/1/retry", &json!({"providerOverride": "Manual"}));
    assert_eq!(overridden.status, StatusCode::OK, "{}", overridden.body);
    site.place.shows("SELECT status FROM jobs WHERE id = 1", "manual");
    let wrong = site.post("/api/jobs/1/retry", &json!({"providerOverride": "nobody"}));
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.detail().starts_with("unknown provider \"nobody\""), "{}", wrong.body);

    let later = json!({"slug": "late", "runAt": "2199-01-01"});
    send(site.posting("/api/generate/social-text", &later).header("prefer", "respond-async"));
    let pending = post("/api/jobs/2/retry");
    assert_eq!(pending.status, StatusCode::CONFLICT);
    assert_eq!(pending.detail(), "job 2 is pending already; it needs no retry");
    let cancelled = post("/api/jobs/2/cancel");
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (StatusCode::OK, &json!("cancelled")));
    assert_eq!(post("/api/jobs/2/cancel").status, StatusCode::OK, "once more is no mistake");
    for verb in ["retry", "cancel", "resolve"] {
        assert_eq!(post(&format!("/api/jobs/99/{verb}")).status, StatusCode::NOT_FOUND, "{verb}");
        assert_eq!(post(&format!("/api/jobs/zero/{verb}")).status, StatusCode::NOT_FOUND, "{verb}");
    }
}

#[test]
fn an_asset_is_handed_in_in_every_form() {
    let site = Site::start(TEXTS);
    let path = |job: i64| format!("/api/jobs/{job}/resolve");
    let raw = |job: i64, kind: &str, body: Vec<u8>| {
        let request = site.bare(reqwest::Method::POST, &path(job)).bearer_auth(site.token());
        send(request.header("content-type", kind).body(body))
    };
    let form = |job: i64, form: Form| {
        send(site.bare(reqwest::Method::POST, &path(job)).bearer_auth(site.token()).multipart(form))
    };
    let done = |answer: &Answer| {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
        assert_eq!(answer.json()["status"], "done");
        assert_eq!(answer.json()["provider"], "manual");
    };

    let text = by_hand(&site, "social-text");
    let words = site.post(&path(text), &json!({"text": "Bees sleep in winter. Almost."}));
    done(&words);
    assert_eq!(words.json()["text"], "Bees sleep in winter. Almost.");
    let settled = site.post(&path(text), &json!({"text": "Bees sleep in winter. Almost."}));
    assert_eq!(settled.status, StatusCode::CONFLICT);

    let image = by_hand(&site, "hero-image");
    let small = raw(image, "image/png", picture((64, 64)));
    assert_eq!(small.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(small.detail().starts_with("it is not accepted:"), "{}", small.body);
    assert_eq!(raw(image, "image/png", Vec::new()).detail(), "the file is empty; send its bytes as the body");
    let kept = raw(image, "image/png", large());
    done(&kept);
    let file = site.file(kept.json()["assetPath"].as_str().expect("a path"), &[]);
    assert_eq!((file.status, file.bytes), (StatusCode::OK, large()));

    let image = by_hand(&site, "hero-image");
    let two = Form::new().text("text", "a").text("url", "https://example.org/a.png");
    assert_eq!(form(image, two).detail(), "hand in one thing: file, text or url");
    let odd = Form::new().text("picture", "a");
    assert_eq!(form(image, odd).detail(), "a form hands in file, text or url, and nothing else");
    assert_eq!(form(image, Form::new()).status.as_u16() / 100, 4);
    let part = Part::bytes(large()).file_name("../../../etc/passwd");
    done(&form(image, Form::new().part("file", part)));

    let clip = by_hand(&site, "video-clip");
    assert_eq!(site.post(&path(clip), &json!({})).status, StatusCode::UNPROCESSABLE_ENTITY);
    let both = json!({"text": "a", "url": "https://example.org/a.mp4"});
    assert_eq!(site.post(&path(clip), &both).status, StatusCode::UNPROCESSABLE_ENTITY);
    let local = site.post(&path(clip), &json!({"url": "file:///etc/passwd"}));
    assert_eq!(local.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", local.body);
    let bare = send(site.bare(reqwest::Method::POST, &path(clip)).bearer_auth(site.token()));
    assert_eq!(bare.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let there = site.post(&path(clip), &json!({"url": "https://example.org/a.mp4"}));
    done(&there);
    assert_eq!(there.json()["assetPath"], Value::Null, "it is not in the vault");
}

#[test]
fn plans_and_health_are_those_of_the_verbs() {
    let site = Site::start(TEXTS);
    by_hand(&site, "video-clip");
    let verb = |args: &[&str]| -> Value {
        let output = site.place.backstop(args[0]).args(&args[1..]).arg("--json").output().expect("runs");
        serde_json::from_slice(&output.stdout).expect("JSON")
    };
    let mut plan = site.get("/api/plan/socialText?override=manual").json();
    let ending = plan.as_object_mut().expect("a plan").remove("ending");
    assert_eq!(ending, Some(json!("Nobody is called; a person is asked.")));
    assert_eq!(plan, verb(&["plan", "social-text", "--override", "manual"]));
    assert_eq!(site.get("/api/plan/social-text").json()["links"][0]["decision"], "call");
    assert_eq!(site.get("/api/plan/nothing").status, StatusCode::NOT_FOUND);
    assert_eq!(site.get("/api/plan/social-text?override=lummi").status, StatusCode::UNPROCESSABLE_ENTITY);

    let (health, told) = (site.get("/api/health").json(), verb(&["health"]));
    assert_eq!((&health["assets"], &health["providers"]), (&told["assets"], &told["providers"]));
    assert_eq!(health["queue"]["manual"], 1);
    let manual = site.get("/api/manual?limit=1").json();
    assert_eq!(manual["jobs"], verb(&["manual", "--limit", "1"]));
    assert_eq!(site.get("/api/manual?limit=0").status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.get("/api/manual?limit=x").status, StatusCode::BAD_REQUEST);
}

#[test]
fn the_operators_hand_reaches_providers() {
    let site = Site::start(TEXTS);
    let listed = |query: &str| {
        let listed = site.get(&format!("/api/providers{query}")).json();
        listed["providers"].as_array().expect("a list").len()
    };
    assert!(listed("?all=true") > listed(""));
    let path = "/api/providers/template";
    let paused = site.post(&format!("{path}/pause"), &json!({"for": "2h"}));
    assert_eq!(
        (paused.status, &paused.json()["callable"]),
        (StatusCode::OK, &json!(false)),
        "{}",
        paused.body
    );
    let asked = site.post("/api/generate/social-text", &json!({"slug": "a"}));
    assert_eq!(asked.json()["status"], "manual", "{}", asked.body);
    let resumed = site.post(&format!("{path}/resume"), &json!({}));
    assert_eq!(resumed.json()["callable"], true, "{}", resumed.body);
    let until = site.post(&format!("{path}/pause"), &json!({"until": "2030-01-01"}));
    assert_eq!(until.json()["pausedUntil"], "2030-01-01T00:00:00.000Z", "{}", until.body);
    assert_eq!(site.post(&format!("{path}/reset"), &json!({})).json()["pausedUntil"], Value::Null);
    let check = |body: Value, expected: &str| {
        let refused = site.post(&format!("{path}/pause"), &body);
        let (status, detail) = (refused.status, refused.detail());
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert!(detail.contains(expected), "{body}: {detail}");
    };
    check(json!({"for": "a while"}), "is no length of time");
    check(json!({"for": "0s"}), "is past; a pause ends in the future");
    check(json!({"until": "yesterday"}), "is no instant");
    check(json!({"until": "2020-01-01"}), "is past");
    check(json!({"for": "900000000y"}), "before the year 10000");
    check(json!({}), "say when the pause ends");
    check(json!({"for": "2h", "until": "2030-01-01"}), "say when the pause ends");
    assert_eq!(site.post("/api/providers/nobody/pause", &json!({"for": "2h"})).status, StatusCode::NOT_FOUND);
}
