//! Notices: webhooks through outages and kills, judged by the receiver's own library.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::daemon::{PATIENCE, Place, block_on, within};
use crate::sdk::python::{Packages, environment, folder};
use crate::support::{Reply, Request, Server};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";

/// A template that delivers, and a webhook that hears of everything.
fn configuration(receiver: &Server, format: &str) -> String {
    format!(
        "[assets.social-text]
         chain = [\"template\", \"manual\"]
         [providers.template]
         template = \"A text about {{{{ slug }}}} that is long enough\"
         [[notices]]
         name = \"editors\"
         url = \"{}/hook\"
         on = [\"manual\", \"done\", \"provider_opened\", \"budget_80\", \"budget_100\"]
         {format}\n",
        receiver.url()
    )
}

const STANDARD: &str = "secret = { env = \"EDITORS_SECRET\" }";

fn place(configuration: &str) -> Place {
    let mut place = Place::new(configuration);
    place.environment.push(("EDITORS_SECRET", SECRET.to_owned()));
    place
}

/// Enqueues one job that a person must answer.
fn by_hand(place: &Place, slug: &str) {
    place.sql(&format!(
        "INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', '{slug}', 'manual')"
    ));
}

/// The ids and types of these requests, if the receiver's library takes each for the sender's.
fn judged(requests: &[Request]) -> Vec<String> {
    let mut judge = Command::new(environment(Packages::Webhooks).join("bin/python"))
        .arg(folder().join("webhooks.py"))
        .env_clear()
        .env("SECRET", SECRET)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the environment's python");
    let mut stdin = judge.stdin.take().expect("piped");
    for request in requests {
        let headers: serde_json::Map<String, Value> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let body = String::from_utf8(request.body.clone()).expect("text");
        writeln!(stdin, "{}", json!({ "headers": headers, "body": body })).expect("it reads");
    }
    drop(stdin);
    let output = judge.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn every_notice_arrives_with_one_id_across_an_outage_and_a_kill() {
    let mut receiver = block_on(Server::always(Reply::json(200, &json!({}))));
    let place = place(&configuration(&receiver, STANDARD));
    receiver.stop();
    let daemon = place.serve();
    by_hand(&place, "while it is down");
    place.shows("SELECT error FROM notice_sends WHERE tries > 0 LIMIT 1", "it cannot be reached");
    daemon.kill();
    block_on(receiver.restart());
    by_hand(&place, "while nobody serves");
    let daemon = place.serve();
    place.shows("SELECT count(*) FROM notices WHERE sent_at IS NULL", "0");
    place.enqueue("bees");
    place.shows("SELECT count(*) FROM notices WHERE sent_at IS NOT NULL", "3");
    daemon.stop();

    let told = judged(&receiver.requests());
    let ids: BTreeSet<&str> = told.iter().filter_map(|line| line.split(' ').next()).collect();
    let known = place.sql("SELECT name FROM notices ORDER BY name");
    assert_eq!(ids.into_iter().collect::<Vec<_>>(), known.lines().collect::<Vec<_>>(), "{told:?}");
    let kinds: Vec<&str> = told.iter().filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(kinds, ["manual", "manual", "done"], "{told:?}");
}

#[test]
fn a_notice_is_told_again_under_its_name() {
    let receiver = block_on(Server::always(Reply::json(204, &json!({}))));
    let place = place(&configuration(&receiver, STANDARD));
    let daemon = place.serve();
    by_hand(&place, "bees");
    place.shows("SELECT count(*) FROM notices WHERE sent_at IS NOT NULL", "1");
    let again = place.backstop("notices").args(["again", "1"]).output().expect("the binary");
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    assert!(within(PATIENCE, || receiver.requests().len() == 2), "{}", daemon.log());
    place.shows("SELECT count(*) FROM notices WHERE sent_at IS NOT NULL", "1");
    place.sql("UPDATE notices SET sent_at = NULL WHERE id = 1");
    assert!(within(PATIENCE, || receiver.requests().len() == 3), "{}", daemon.log());
    place.shows("SELECT count(*) FROM notices WHERE sent_at IS NOT NULL", "1");
    let told: BTreeSet<String> = judged(&receiver.requests()).into_iter().collect();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn a_receiver_that_refuses_is_tried_again_and_one_that_is_gone_is_not() {
    let mut answers = [500, 302, 200, 410].into_iter();
    let receiver = block_on(Server::start(move |_| {
        Reply::json(answers.next().expect("no further request"), &json!({}))
    }));
    let place = place(&configuration(&receiver, STANDARD));
    let daemon = place.serve();
    by_hand(&place, "bees");
    place
        .shows("SELECT tries, error IS NULL, sent_at IS NULL FROM notice_sends WHERE notice_id = 1", "3|1|0");
    by_hand(&place, "gone");
    let gone = "1|it answered 410 and wants nothing more|1";
    place.shows("SELECT tries, error, gave_up_at IS NOT NULL FROM notice_sends WHERE notice_id = 2", gone);
    place.shows("SELECT count(*) FROM notices WHERE sent_at IS NULL", "0");
    daemon.says("a notice was given up");
    let shown = place.backstop("notices").output().expect("the binary");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("given up") && shown.contains("410"), "{shown}");
}

#[test]
fn chat_programs_are_told_in_a_sentence() {
    let receiver = block_on(Server::always(Reply::json(200, &json!({}))));
    let place = place(&configuration(&receiver, "format = \"text\""));
    let daemon = place.serve();
    by_hand(&place, "bees");
    assert!(within(PATIENCE, || receiver.requests().len() == 1), "{}", daemon.log());
    assert_eq!(receiver.request().json(), json!({"text": "Social text needs a person: bees"}));
    assert_eq!(receiver.request().header("webhook-signature"), None);
}

#[test]
fn a_budget_that_runs_out_is_told_once() {
    let receiver = block_on(Server::always(Reply::json(200, &json!({}))));
    let budget = "[providers.lummi]\nbudget = { month = 1.0 }\n";
    let place = place(&format!("{}{budget}", configuration(&receiver, STANDARD)));
    let daemon = place.serve();
    let spend = |micros: u32| {
        place.sql(&format!(
            "INSERT INTO spending (scope, name, period, spent_micros)
                 VALUES ('provider', 'lummi', strftime('%Y-%m', 'now'), {micros})
             ON CONFLICT DO UPDATE SET spent_micros = excluded.spent_micros"
        ))
    };
    spend(850_000);
    place.shows("SELECT kind FROM notices WHERE sent_at IS NOT NULL ORDER BY id", "budget_80");
    spend(900_000);
    spend(1_000_000);
    place.shows("SELECT kind FROM notices WHERE sent_at IS NOT NULL ORDER BY id", "budget_80\nbudget_100");
    daemon.stop();
    let sentences: Vec<Value> =
        receiver.requests().iter().map(|request| request.json()["data"]["sentence"].clone()).collect();
    assert_eq!(sentences.len(), 2, "{sentences:?}");
    assert!(
        sentences[0].as_str().is_some_and(|said| said.starts_with("lummi has used $0.85 of $1.00 of 20")),
        "{sentences:?}"
    );
}
