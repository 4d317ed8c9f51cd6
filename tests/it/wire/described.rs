//! APIs that only the configuration describes, over a real socket: the documentation's own example among them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstop::config::{Sources, load};
use backstop::domain::ask::{Answer, Body, Output};
use backstop::domain::asset::Medium;
use backstop::domain::failure::{Failure, FailureClass};
use backstop::domain::name::ProviderName;
use backstop::domain::provider::Provider;
use backstop::providers::{Generate, Providers, catalog};
use base64::Engine;
use serde_json::{Value, json};

use super::{KEY, LONG, PROMPT, SHORT, ask, call, carries_key, clock, failure, label, provider, ready};
use crate::support::{Reply, Request, Server, picture};

/// The first block of TOML of docs/providers.md after these words.
fn documented(after: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let text = std::fs::read_to_string(file).expect("docs/providers.md");
    let (_, rest) = text.split_once(after).expect("the words");
    let (_, rest) = rest.split_once("```toml\n").expect("a block");
    rest.split_once("```").expect("its end").0.to_owned()
}

/// A provider of a configuration file, as the daemon would have it.
fn configured(text: &str, name: &str, variables: &[(&str, &str)]) -> (Provider, Providers) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("backstop.toml");
    std::fs::write(&file, text).expect("written");
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let sources = Sources {
        file: Some(file),
        environment: variables.iter().map(pair).collect::<BTreeMap<_, _>>(),
        overrides: Vec::new(),
        working_directory: folder.path().to_owned(),
        state_directory: None,
        credentials_directory: None,
        search_system: false,
    };
    let config = load(&sources, catalog(), clock()()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let name = ProviderName::parse(name).expect("a label");
    let provider =
        config.providers.iter().find(|provider| provider.name == name).expect("the provider").clone();
    let key = config.secrets.key(&name).map(|key| (name, key.clone()));
    let providers = Providers::new(std::slice::from_ref(&provider), key.into_iter().collect(), clock());
    (provider, providers.unwrap_or_else(|mistakes| panic!("{mistakes}")))
}

/// The API of the documentation's example: three looks, then the picture. `ending` is its last word.
async fn paintworks(ending: Value) -> (Server, Server) {
    let cdn = Server::start(|_| Reply::Http { status: 200, headers: vec![], body: picture((64, 36)) }).await;
    let url = format!("{}/painting.png", cdn.url());
    let looks = AtomicUsize::new(0);
    let vendor = Server::start(move |request| {
        if request.header("x-paint-key") != Some(KEY) {
            return Reply::json(401, &json!({"problem": {"code": "WHO", "message": "who are you"}}));
        }
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v2/paintings") => Reply::json(202, &json!({"painting": "p-7", "state": "sketching"})),
            ("GET", "/v2/paintings/p-7") => match looks.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::json(200, &json!({"painting": "p-7", "state": "sketching"})),
                1 => Reply::json(200, &json!({"painting": "p-7", "state": "admired"})),
                2 => Reply::json(503, &json!({"problem": {"code": "BUSY"}})),
                _ if ending.is_null() => Reply::json(
                    200,
                    &json!({"painting": "p-7", "state": "dry", "result": {"images": [{"url": url}]}}),
                ),
                _ => Reply::json(200, &ending),
            },
            _ => Reply::json(404, &json!({"problem": {"code": "WHERE"}})),
        }
    })
    .await;
    (vendor, cdn)
}

/// Calls, and polls until something comes of it.
async fn made(provider: &Provider, providers: &Providers) -> Result<Output, Failure> {
    let name = &provider.name;
    let mut ask = ask(provider.medium);
    ask.input = json!({"seed": 7}).as_object().expect("an object").clone();
    let operation = match providers.call(name, &ask, LONG).await? {
        Answer::Output(output) => return Ok(output),
        Answer::Accepted { operation, .. } => operation,
    };
    for _ in 0..10 {
        match providers.poll(name, &operation, &ask, LONG).await {
            Ok(Answer::Output(output)) => return Ok(output),
            Ok(Answer::Accepted { operation: still, .. }) => assert_eq!(still, operation),
            Err(failure) if failure.class == FailureClass::Transient => {}
            Err(failure) => return Err(failure),
        }
    }
    panic!("nothing came of {operation}");
}

fn example(vendor: &Server) -> (Provider, Providers) {
    let text =
        documented("## Add a vendor without code\n").replace("https://api.paintworks.example", &vendor.url());
    configured(&text, "paintworks", &[("PAINTWORKS_KEY", KEY)])
}

#[tokio::test]
async fn the_documentations_example_makes_a_picture() {
    let (vendor, cdn) = paintworks(Value::Null).await;
    let (provider, providers) = example(&vendor);
    let output = made(&provider, &providers).await.expect("a picture");
    assert_eq!(output.body, Body::File(picture((64, 36)).into()));
    assert_eq!(output.cost_micros, 20_000);
    assert_eq!(output.model.as_deref(), Some("watercolour-2"));
    let submitted = &vendor.requests()[0];
    let body = json!({"model": "watercolour-2", "motif": PROMPT, "size": {"w": 1536, "h": 864}, "seed": 7});
    assert_eq!(submitted.json(), body);
    assert!(!carries_key(&cdn.request()));
}

#[tokio::test]
async fn the_documentations_example_fails_as_it_says() {
    for (ending, class) in [
        (json!({"state": "spoiled", "problem": {"code": "BRUSH", "message": "a hair came off"}}), "unusable"),
        (json!({"state": "spoiled", "problem": {"code": "NOT_ALLOWED"}}), "refused"),
        (json!({"state": "expired"}), "unknown_outcome"),
        (json!({"state": "dry", "result": {"images": []}}), "unusable"),
        (json!({"state": "dry"}), "unusable"),
    ] {
        let (vendor, _cdn) = paintworks(ending.clone()).await;
        let (provider, providers) = example(&vendor);
        let failed = made(&provider, &providers).await.expect_err("no picture");
        assert_eq!(failed.class.as_str(), class, "{ending}: {failed}");
        assert_eq!(vendor.requests().len(), 5, "{ending}: asked until it ended, and made once");
    }
    for (reply, class) in [
        (Reply::json(409, &json!({"problem": {"code": "NO_CREDIT"}})), "quota"),
        (Reply::json(409, &json!({"problem": {"code": "TWICE"}})), "transient"),
        (Reply::json(429, &json!({"problem": "slower"})), "rate_limited"),
        (Reply::json(401, &json!({"problem": "who"})), "auth"),
        (Reply::json(500, &json!({"problem": "us"})), "unknown_outcome"),
        (Reply::json(202, &json!({"state": "sketching"})), "unknown_outcome"),
        (Reply::json(202, &json!({"painting": "../../files"})), "unknown_outcome"),
        (Reply::json(202, &json!({"painting": "https://evil.example/x"})), "unknown_outcome"),
    ] {
        let vendor = Server::always(reply.clone()).await;
        let (provider, providers) = example(&vendor);
        let failed = made(&provider, &providers).await.expect_err("no picture");
        assert_eq!(failed.class.as_str(), class, "{reply:?}: {failed}");
        vendor.request();
    }
}

#[tokio::test]
async fn the_documentations_search_is_free_and_finds_a_picture_or_no_match() {
    let archive = Server::start(|request| match request.path.as_str() {
        "/api/search?q=red+fox&size=1" => Reply::json(200, &json!({"total": 0, "results": []})),
        path if path.starts_with("/api/search?q=foxes&") => Reply::Silence,
        _ => Reply::json(404, &json!({})),
    })
    .await;
    let text = documented("This asks an archive").replace("https://archive.example.org", &archive.url());
    let (mut provider, _) = configured(&text, "town-archive", &[]);
    provider.timeout = SHORT;
    let providers = Providers::new(std::slice::from_ref(&provider), [].into(), clock()).expect("usable");
    let mut ask = ask(Medium::Image);
    let silent = providers.call(&provider.name, &ask, LONG).await.expect_err("no answer");
    assert_eq!(silent.class, FailureClass::TimedOut, "a search may be repeated: {silent}");
    ask.input = json!({"keywords": "red fox"}).as_object().expect("an object").clone();
    let nothing = providers.call(&provider.name, &ask, LONG).await.expect_err("no hit");
    assert_eq!(nothing.class, FailureClass::Refused { category: Some("no_match".to_owned()) }, "{nothing}");
}

#[test]
fn a_descriptions_own_names_are_left_as_they_are() {
    let text = "[providers.own]\nprotocol = \"http\"\nmedium = \"image\"\nbase_url = \"http://127.0.0.1:9\"\n\
        api_key = { env = \"OWN\" }\noutput = { url = \"imageUrl\" }\n\
        request = { path = \"Make\", query = { apiVersion = \"2\" }, body = { promptText = \"{{ prompt }}\", n_x = 1, n-y = 2.5 } }\n";
    let (provider, _) = configured(text, "own", &[("OWN", KEY)]);
    let request = json!({"path": "Make", "query": {"apiVersion": "2"},
        "body": {"promptText": "{{ prompt }}", "n_x": 1, "n-y": 2.5}});
    assert_eq!(provider.options["request"], request);
    assert_eq!(provider.options["output"], json!({"url": "imageUrl"}));
}

/// A vendor of the catalog, with its address replaced.
fn of_catalog(name: &str, base_url: &str) -> Provider {
    let entry = catalog().entry(&ProviderName::parse(name).expect("a label")).expect("an entry");
    Provider {
        medium: entry.medium,
        model: entry.model.clone(),
        options: entry.options.clone(),
        ..provider("http", base_url)
    }
}

#[tokio::test]
async fn fals_output_is_asked_for_by_a_request_of_its_own() {
    let cdn = Server::always(Reply::Http { status: 200, headers: vec![], body: b"png".to_vec() }).await;
    let url = cdn.url();
    let vendor = Server::start(move |request| match request.path.as_str() {
        "/fal-ai/flux/schnell" => Reply::json(200, &json!({"request_id": "r-1", "status": "IN_QUEUE"})),
        "/fal-ai/flux/requests/r-1/status" => Reply::json(200, &json!({"status": "COMPLETED"})),
        "/fal-ai/flux/requests/r-1" => {
            Reply::json(200, &json!({"images": [{"url": url}], "has_nsfw_concepts": [false]}))
        }
        _ => Reply::json(404, &json!({"detail": "Not Found"})),
    })
    .await;
    let fal = of_catalog("fal", &vendor.url());
    let output = made(&fal, &ready(&fal, Some(KEY))).await.expect("a picture");
    assert_eq!(output.body, Body::File("png".into()));
    let requests = vendor.requests();
    assert_eq!(requests.len(), 3);
    for request in requests {
        assert_eq!(request.header("authorization"), Some(format!("Key {KEY}").as_str()), "{request:?}");
    }
    assert!(!carries_key(&cdn.request()));
}

#[tokio::test]
async fn bfl_is_asked_where_it_says_if_the_configuration_lists_the_host() {
    let region = Server::start(|request| match request.path.as_str() {
        "/v1/get_result?id=7c3f" => Reply::json(200, &json!({"status": "Request Moderated"})),
        _ => Reply::json(404, &json!({})),
    })
    .await;
    let named = region.url().replace("127.0.0.1", "localhost");
    for (hosts, is_asked) in [(json!(["localhost"]), true), (json!(["*.bfl.ai"]), false)] {
        let polling_url = format!("{named}/v1/get_result?id=7c3f");
        let vendor =
            Server::always(Reply::json(200, &json!({"id": "7c3f", "polling_url": polling_url}))).await;
        let mut bfl = of_catalog("flux-2-pro", &format!("{}/v1", vendor.url()));
        bfl.options.insert("hosts".to_owned(), hosts);
        let failed = made(&bfl, &ready(&bfl, Some(KEY))).await.expect_err("no picture");
        assert_eq!(vendor.request().header("x-key"), Some(KEY));
        if is_asked {
            assert_eq!(failed.class, FailureClass::Refused { category: None }, "{failed}");
            assert_eq!(region.request().header("x-key"), Some(KEY));
        } else {
            assert_eq!(failed.class, FailureClass::UnknownOutcome, "{failed}");
            assert!(failed.message.contains("hosts"), "{failed}");
            assert_eq!(region.requests().len(), 1, "the key went nowhere else");
        }
    }
}

#[tokio::test]
async fn replicate_is_submitted_polled_and_fetched() {
    let cdn = Server::always(Reply::Http { status: 200, headers: vec![], body: b"png".to_vec() }).await;
    let url = cdn.url();
    let vendor = Server::start(move |request| match request.path.as_str() {
        "/v1/models/black-forest-labs/flux-schnell/predictions" => {
            Reply::json(201, &json!({"id": "gm3q", "status": "starting", "output": null, "error": null}))
        }
        "/v1/predictions/gm3q" => {
            Reply::json(200, &json!({"id": "gm3q", "status": "succeeded", "output": [url], "error": null}))
        }
        _ => Reply::json(404, &json!({"detail": "Not found."})),
    })
    .await;
    let replicate = of_catalog("replicate", &format!("{}/v1", vendor.url()));
    let output = made(&replicate, &ready(&replicate, Some(KEY))).await.expect("a picture");
    assert_eq!(output.body, Body::File("png".into()));
    assert!(!carries_key(&cdn.request()));
}

#[tokio::test]
async fn a_whole_reply_may_be_the_file() {
    let mp3 = b"ID3\x04sound".to_vec();
    let served = mp3.clone();
    let headers = vec![("content-type", "audio/mpeg".to_owned())];
    let vendor =
        Server::start(move |_| Reply::Http { status: 200, headers: headers.clone(), body: served.clone() })
            .await;
    let voice = of_catalog("elevenlabs", &vendor.url());
    assert_eq!(voice.medium, Medium::Audio);
    let output = call(&voice, LONG).await.expect("a sound");
    assert_eq!((output.body, output.claimed_type.as_deref()), (Body::File(mp3.into()), Some("audio/mpeg")));
    let request = vendor.request();
    assert_eq!(request.header("xi-api-key"), Some(KEY));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.path, "/v1/text-to-speech/21m00Tcm4TlvDq8ikWAM?output_format=mp3_44100_128");
    assert_eq!(request.json(), json!({"text": PROMPT, "model_id": "eleven_multilingual_v2"}));
}

/// The fields of a form as they went over the wire.
fn fields(request: &Request) -> Vec<(String, String)> {
    let kind = request.header("content-type").expect("a content type");
    let boundary = kind.strip_prefix("multipart/form-data; boundary=").expect("a form");
    let body = String::from_utf8(request.body.clone()).expect("a text");
    let (parts, end) = body.rsplit_once(&format!("--{boundary}--")).expect("an end");
    assert_eq!(end, "\r\n");
    let field = |part: &str| {
        let (head, value) = part.trim_start().split_once("\r\n\r\n").expect("a head");
        let name = head.strip_prefix("Content-Disposition: form-data; name=\"").expect(head);
        (name.trim_end_matches('"').to_owned(), value.strip_suffix("\r\n").expect("a line's end").to_owned())
    };
    parts.split(&format!("--{boundary}\r\n")).filter(|part| !part.is_empty()).map(field).collect()
}

#[tokio::test]
async fn stability_gets_a_form_and_says_json_in_its_answer() {
    let image = base64::engine::general_purpose::STANDARD.encode(picture((64, 36)));
    let reply = json!({"image": image, "finish_reason": "SUCCESS", "seed": 7});
    let vendor = Server::always(Reply::json(200, &reply)).await;
    let ultra = of_catalog("stability-ultra", &vendor.url());
    let output = call(&ultra, LONG).await.expect("a picture");
    assert_eq!(output.body, Body::File(picture((64, 36)).into()));
    let request = vendor.request();
    assert_eq!(
        (request.method.as_str(), request.path.as_str()),
        ("POST", "/v2beta/stable-image/generate/ultra")
    );
    assert_eq!(request.header("authorization"), Some(format!("Bearer {KEY}").as_str()));
    assert_eq!(request.header("accept"), Some("application/json"));
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let expected = [pair("aspect_ratio", "16:9"), pair("output_format", "png"), pair("prompt", PROMPT)];
    assert_eq!(fields(&request), expected);
}

#[tokio::test]
async fn ideograms_picture_is_fetched_and_one_it_calls_unsafe_is_paid_for() {
    let cdn = Server::always(Reply::Http { status: 200, headers: vec![], body: b"png".to_vec() }).await;
    let url = cdn.url();
    for (safe, url) in [(true, json!(url)), (false, json!(null)), (false, json!(""))] {
        let reply = json!({"data": [{"url": url, "is_image_safe": safe}]});
        let vendor = Server::always(Reply::json(200, &reply)).await;
        let ideogram = of_catalog("ideogram-v3", &vendor.url());
        match (safe, call(&ideogram, LONG).await) {
            (true, Ok(output)) => assert_eq!(output.body, Body::File("png".into())),
            (false, Err(failed)) => {
                assert_eq!(failed.class, FailureClass::Refused { category: None }, "{failed}");
                assert_eq!(failed.cost_micros, 700, "a picture that is kept back is billed");
            }
            (_, other) => panic!("{safe}: {other:?}"),
        }
        assert_eq!(vendor.request().header("api-key"), Some(KEY));
    }
    assert!(!carries_key(&cdn.request()));
}

#[tokio::test]
async fn soras_film_is_a_request_of_its_own_with_the_key() {
    let looks = AtomicUsize::new(0);
    let vendor = Server::start(move |request| {
        if request.header("authorization") != Some(format!("Bearer {KEY}").as_str()) {
            return Reply::json(401, &json!({"error": {"code": "invalid_api_key", "message": "no"}}));
        }
        let video =
            |status: &str| json!({"id": "video_7", "object": "video", "status": status, "error": null});
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/videos") => Reply::json(200, &video("queued")),
            ("GET", "/v1/videos/video_7") => match looks.fetch_add(1, Ordering::SeqCst) {
                0 => Reply::json(200, &video("in_progress")),
                _ => Reply::json(200, &video("completed")),
            },
            ("GET", "/v1/videos/video_7/content") => Reply::Http {
                status: 200,
                headers: vec![("content-type", "video/mp4".to_owned())],
                body: b"film".to_vec(),
            },
            _ => Reply::json(404, &json!({"error": {"message": "not found"}})),
        }
    })
    .await;
    let sora = of_catalog("sora-2", &format!("{}/v1", vendor.url()));
    let output = made(&sora, &ready(&sora, Some(KEY))).await.expect("a film");
    assert_eq!((output.body, output.claimed_type.as_deref()), (Body::File("film".into()), Some("video/mp4")));
    let requests = vendor.requests();
    assert_eq!(requests.len(), 4, "made once, looked at twice, fetched once");
    let fields: BTreeMap<_, _> = fields(&requests[0]).into_iter().collect();
    assert_eq!(fields["model"], "sora-2");
    assert_eq!(fields["size"], "1280x720");
}

#[tokio::test]
async fn a_vendor_that_quotes_the_prompt_in_its_own_way_is_not_quoted() {
    let vendor =
        Server::always(Reply::json(200, &json!({"err": format!("cannot draw {PROMPT} with {KEY}")}))).await;
    let mut own = provider("http", &vendor.url());
    own.medium = Medium::Image;
    own.options = json!({"request": {"path": "make", "body": {}}, "output": {"url": "u"}, "error": "err"})
        .as_object()
        .expect("an object")
        .clone();
    let failed = failure(&own, LONG).await;
    assert_eq!(failed.class, FailureClass::Unusable, "{failed}");
}

#[test]
fn what_is_wrong_in_a_description_is_said_with_its_key() {
    let mut own = provider("http", "https://v.example");
    own.options =
        json!({"request": {"path": "../admin"}, "output": {"text": "t"}, "classes": [{"class": "sad"}]})
            .as_object()
            .expect("an object")
            .clone();
    let Err(error) = Providers::new(&[own], [(label(), KEY.into())].into(), Arc::clone(&clock())) else {
        panic!("it is not usable")
    };
    let keys: Vec<&str> = error.mistakes.iter().filter_map(|wrong| wrong.split(": ").next()).collect();
    assert_eq!(keys, ["providers.house.classes.0", "providers.house.request.path"]);
}
