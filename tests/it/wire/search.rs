//! Picture libraries over a real socket: who gets the key, what is fetched, and who is told.

use std::time::{Duration, Instant};

use backstop::domain::ask::Body;
use backstop::domain::asset::Medium;
use backstop::domain::failure::FailureClass;
use serde_json::{Value, json};

use super::{KEY, LONG, call, carries_key, failure, provider};
use crate::support::{Reply, Server, picture};

fn file(body: Vec<u8>) -> Reply {
    Reply::Http { status: 200, headers: vec![("content-type", "image/jpeg".to_owned())], body }
}

#[tokio::test]
async fn a_found_picture_comes_from_the_cdn_without_the_key_and_with_its_credit() {
    let png = picture((64, 36));
    let served = png.clone();
    let cdn = Server::start(move |_| file(served.clone())).await;
    let hit = json!({"id": "f1", "url": format!("{}/fox.png?auto=format&sig=1", cdn.url()), "width": 3000, "height": 2000,
        "attributionUrl": "https://www.lummi.ai/photo/fox", "pro": false,
        "author": {"name": "Ann", "attributionUrl": "https://www.lummi.ai/creator/ann"}});
    let vendor = Server::always(Reply::json(200, &json!({"data": [hit]}))).await;
    let output = call(&provider("lummi", &format!("{}/v1", vendor.url())), LONG).await.expect("a picture");
    assert_eq!(output.body, Body::File(png.into()));
    assert_eq!(output.cost_micros, 0, "a search is free");
    assert_eq!(output.metadata["attribution"]["text"], "Photo by Ann on Lummi");
    assert_eq!(output.metadata["attribution"]["author_url"], "https://www.lummi.ai/creator/ann");
    let asked = vendor.request();
    assert_eq!(asked.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(asked.method, "GET");
    let query = "query=foxes+come+town+night&page=1&perPage=20&orientation=horizontal&free=true";
    assert_eq!(asked.path, format!("/v1/images/search?{query}"));
    let fetched = cdn.request();
    assert_eq!(fetched.path, "/fox.png?sig=1&fm=jpg&w=1920&h=1080&fit=crop");
    assert!(!carries_key(&fetched), "{fetched:?}");
}

#[tokio::test]
async fn pexels_gets_its_bare_key_and_serves_clips_and_photographs() {
    let cdn = Server::always(file(b"bytes".to_vec())).await;
    let at = cdn.url();
    let vendor = Server::start(move |request| {
        let reply = if request.path.starts_with("/v1/search?") {
            json!({"photos": [{"id": 7, "width": 4000, "height": 3000, "src": {"original": format!("{at}/p.jpeg")}}]})
        } else if request.path.starts_with("/videos/search?") {
            let file = json!({"file_type": "video/mp4", "width": 1920, "height": 1080, "link": format!("{at}/v.mp4")});
            json!({"videos": [{"id": 7, "duration": 12, "video_files": [file]}]})
        } else {
            return Reply::json(404, &json!({"status": 404, "code": "Not Found"}));
        };
        Reply::json(200, &reply)
    })
    .await;
    for (protocol, medium) in [("pexels-photo", Medium::Image), ("pexels-video", Medium::Video)] {
        let provider = provider(protocol, &vendor.url());
        assert_eq!(provider.medium, medium);
        let output = call(&provider, LONG).await.expect(protocol);
        assert_eq!(output.body, Body::File("bytes".into()));
        assert_eq!(output.metadata["attribution"]["source"], "Pexels");
    }
    for request in vendor.requests() {
        assert_eq!(request.header("authorization"), Some(KEY));
    }
    let fetched: Vec<String> = cdn.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(fetched, ["/p.jpeg?auto=compress&cs=tinysrgb&w=1920&h=1080&fit=crop", "/v.mp4"]);
    assert!(cdn.requests().iter().all(|request| !carries_key(request)));
}

/// Unsplash over a vendor whose request about a use is answered in some way.
async fn unsplash(used: Reply, picture: Reply) -> (Server, Server) {
    let cdn = Server::always(picture).await;
    let hit = json!({"id": "Dwu85P9SOIk", "width": 6000, "height": 4000, "urls": {"raw": format!("{}/raw?ixid=1", cdn.url())},
        "links": {"html": "https://unsplash.com/photos/x",
            "download_location": "https://elsewhere.example/photos/Dwu85P9SOIk/download?ixid=1"},
        "user": {"name": "Joe", "links": {"html": "https://unsplash.com/@joe"}}});
    let vendor = Server::start(move |request| match request.path.as_str() {
        path if path.starts_with("/search/photos?") => Reply::json(200, &json!({"results": [hit]})),
        _ => used.clone(),
    })
    .await;
    (vendor, cdn)
}

#[tokio::test]
async fn unsplash_is_told_of_a_use_at_the_configured_host_once_the_file_is_here() {
    let (vendor, cdn) = unsplash(Reply::json(200, &json!({"url": "x"})), file(b"fox".to_vec())).await;
    let output = call(&provider("unsplash", &vendor.url()), LONG).await.expect("a picture");
    assert_eq!(output.body, Body::File("fox".into()));
    assert_eq!(output.metadata["use_reported"], true);
    assert_eq!(output.http_status, Some(200));
    let requests = vendor.requests();
    let paths: Vec<&str> = requests.iter().map(|request| request.path.as_str()).collect();
    assert_eq!(paths.len(), 2, "{paths:?}");
    assert_eq!(paths[1], "/photos/Dwu85P9SOIk/download?ixid=1");
    for request in &requests {
        assert_eq!(request.header("authorization"), Some(format!("Client-ID {KEY}").as_str()));
        assert_eq!(request.header("accept-version"), Some("v1"));
    }
    assert!(!carries_key(&cdn.request()));
}

#[tokio::test]
async fn what_unsplash_answers_to_being_told_changes_nothing() {
    for used in [Reply::json(500, &json!({})), Reply::HangUp, Reply::Silence, Reply::redirect("/photos")] {
        let (vendor, _cdn) = unsplash(used.clone(), file(b"fox".to_vec())).await;
        let began = Instant::now();
        let output = call(&provider("unsplash", &vendor.url()), LONG).await.expect("a picture");
        assert_eq!(output.body, Body::File("fox".into()), "{used:?}");
        assert_eq!(output.metadata["use_reported"], Value::Bool(false), "{used:?}");
        assert!(began.elapsed() < Duration::from_secs(15), "{used:?}");
        assert_eq!(vendor.requests().len(), 2, "told once");
    }
}

#[tokio::test]
async fn a_picture_that_never_came_was_not_used() {
    let gone = Reply::Http { status: 410, headers: vec![], body: vec![] };
    let (vendor, _cdn) = unsplash(Reply::json(200, &json!({})), gone).await;
    let lost = failure(&provider("unsplash", &vendor.url()), LONG).await;
    assert_eq!(lost.class, FailureClass::TimedOut, "a search may be repeated for free: {lost}");
    vendor.request();
}

#[tokio::test]
async fn nothing_found_goes_on_at_once_and_blames_nobody() {
    for (protocol, nothing) in [
        ("lummi", json!({"data": [], "meta": {"totalCount": 0}})),
        ("pexels-photo", json!({"photos": []})),
        ("pexels-video", json!({"videos": []})),
        ("unsplash", json!({"results": []})),
    ] {
        let vendor = Server::always(Reply::json(200, &nothing)).await;
        let none = failure(&provider(protocol, &vendor.url()), LONG).await;
        let category = Some("no_match".to_owned());
        assert_eq!(none.class, FailureClass::Refused { category }, "{protocol}: {none}");
        assert!(none.message.contains("has nothing for these keywords"), "{protocol}: {none}");
        vendor.request();
    }
}
