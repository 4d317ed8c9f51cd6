//! SIGHUP: a good file is in force at once, a bad one changes nothing and says why.

use rustix::process::Signal;

use serde_json::json;

use super::vendor::{Vendor, block_on};
use super::{Place, texts};
use crate::support::{Reply, Server};

#[test]
fn a_good_file_is_taken_up_and_a_bad_one_is_not() {
    let vendor = Vendor::start();
    let addresses = [("house", vendor.url())];
    let place = Place::new(&texts(r#"["template"]"#, &addresses));
    let daemon = place.serve();
    let provider = |slug: &str| {
        place.enqueue(slug);
        place.shows(&format!("SELECT status FROM jobs WHERE slug = '{slug}'"), "done");
        place.sql(&format!("SELECT provider, fallback_used FROM jobs WHERE slug = '{slug}'"))
    };
    assert_eq!(provider("at-first"), "template|0");

    place.configure(&texts(r#"["house", "template"]"#, &addresses));
    daemon.signal(Signal::HUP);
    daemon.says("read again and is in force");
    assert_eq!(provider("then"), "house|0");
    let chain = "SELECT chain FROM assets WHERE name = 'social-text'";
    place.finds(chain, r#"["house","template"]"#);

    place.configure("[queue]\nconcurency = 1\n\n[assets.social-text]\nchain = [\"nobody\"]\n");
    daemon.signal(Signal::HUP);
    daemon.says("changes nothing");
    let log = daemon.log();
    assert!(log.contains("queue.concurency") && log.contains("assets.social-text.chain"), "{log}");
    assert_eq!(provider("still"), "house|0");
    place.finds(chain, r#"["house","template"]"#);

    let elsewhere = format!("[queue]\ndatabase = \"sqlite:other.db\"\n{}", texts(r#"["template"]"#, &[]));
    place.configure(&elsewhere);
    daemon.signal(Signal::HUP);
    daemon.says("queue.database cannot change");
    assert_eq!(provider("and-still"), "house|0");
    daemon.stop();
}

#[test]
fn a_key_written_anew_in_its_file_opens_the_way_again_without_a_signal() {
    let vendor = Server::start(|request| match request.header("authorization") {
        Some("Bearer token-of-this-hour") => {
            Reply::json(200, &json!({"choices": [{"message": {"content": "Foxes come to town at night."}}]}))
        }
        _ => Reply::json(401, &json!({"error": {"code": "invalid_api_key", "message": "expired"}})),
    });
    let vendor = block_on(vendor);
    let configuration = format!(
        "[assets.social-text]\nchain = [\"house\", \"manual\"]\nprompt = \"x\"\n[providers.house]\n\
         protocol = \"openai-chat\"\nmodel = \"m\"\nbase_url = \"{}/v1\"\napi_key = {{ file = \"token\" }}\n",
        vendor.url()
    );
    let place = Place::new(&configuration);
    let write = |token: &str| {
        // As a cron job should: whole, or not at all.
        std::fs::write(place.file("token.new"), token).expect("written");
        std::fs::rename(place.file("token.new"), place.file("token")).expect("moved");
    };
    write("token-of-the-last-hour\n");
    let daemon = place.serve();
    let status = |slug: &str| format!("SELECT status FROM jobs WHERE slug = '{slug}'");
    place.enqueue("at-first");
    place.shows(&status("at-first"), "manual");
    place.enqueue("then");
    place.shows(&status("then"), "manual");
    place.finds("SELECT status FROM attempts ORDER BY id", "failed\nskipped");

    // What is in the file alone changes; this is not even read.
    place.configure("[queue]\nconcurency = 1\n");
    write("");
    std::fs::remove_file(place.file("token")).expect("removed");
    write("token-of-this-hour\n");
    daemon.says("the key was written anew and is in force");
    place.enqueue("now");
    place.shows(&status("now"), "done");
    place.finds("SELECT state FROM provider_health", "closed");
    let log = daemon.log();
    assert!(!log.contains("token-of"), "a key in {log}");
    daemon.stop();
}
