//! How often a provider is called, by two daemons on one file; and how a person's shell overrules what is remembered of it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::vendor::{Vendor, error, rate_limited};
use super::{PATIENCE, Place, Serving, texts, until};

/// A vendor that takes any number of calls at once and answers each when it is let go.
struct Crowd {
    address: String,
    seen: Arc<Seen>,
    release: Sender<()>,
}

#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Crowd {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let (release, released) = channel();
        let (seen, released) = (Arc::new(Seen::default()), Arc::new(Mutex::new(released)));
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, released) = (Arc::clone(&shared), Arc::clone(&released));
                thread::spawn(move || seen.serves(stream.expect("a connection"), &released));
            }
        });
        Self { address, seen, release }
    }

    fn calls(&self) -> usize {
        self.seen.calls.load(Ordering::SeqCst)
    }

    fn lets_go(&self) {
        self.release.send(()).expect("the vendor lives");
    }
}

impl Seen {
    fn serves(&self, mut stream: TcpStream, released: &Mutex<Receiver<()>>) {
        let (mut request, mut part) = (Vec::new(), [0; 4_096]);
        // The request is one JSON document; its end is that of its messages.
        while !request.ends_with(b"}") {
            let length = stream.read(&mut part).expect("a request");
            if length == 0 {
                return;
            }
            request.extend_from_slice(&part[..length]);
        }
        self.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let _released =
            released.lock().unwrap_or_else(PoisonError::into_inner).recv_timeout(PATIENCE * 2).is_ok();
        self.now.fetch_sub(1, Ordering::SeqCst);
        let body = serde_json::json!({"model": "m-1", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": "A sentence that is long enough to be published."}}]});
        let body = body.to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        // Who has given up does not hear it.
        drop(stream.write_all(format!("{head}{body}").as_bytes()));
    }
}

/// Two daemons on one file. Each knows an asset that the other one does not, so that each can be asked for a sign.
fn two_daemons(configuration: &str) -> (Place, [Serving; 2]) {
    let own = |label: &str| {
        format!(
            "{configuration}[assets.{label}]\nmedium = \"text\"\nchain = [\"template\"]\nprompt = \"A sign\"\n"
        )
    };
    let place = Place::new(&own("of-the-first"));
    let first = place.serve();
    place.configure(&own("of-the-second"));
    let second = place.serve();
    (place, [first, second])
}

/// Returns when both daemons have looked at everything that is due now.
fn both_have_looked(place: &Place) {
    for label in ["of-the-first", "of-the-second"] {
        place.sql(&format!("INSERT INTO jobs (asset, slug) VALUES ('{label}', 'a-sign')"));
        place.shows(&format!("SELECT count(*) FROM jobs WHERE asset = '{label}' AND status <> 'done'"), "0");
    }
}

fn enqueue(place: &Place, many: u32) {
    place.sql(&format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {many})
         INSERT INTO jobs (asset, slug) SELECT 'social-text', 'job-' || i FROM n;"
    ));
}

const NOBODY_IS_BLAMED: &str =
    "SELECT count(*) FROM provider_health WHERE last_failure_at IS NOT NULL OR consecutive_failures > 0";

#[test]
fn two_daemons_together_make_no_more_calls_at_once_than_one_may() {
    let vendor = Crowd::start();
    let configuration = texts(r#"["house", "template"]"#, &[("house", vendor.address.clone())]);
    let (place, daemons) = two_daemons(&configuration.replace("retries = 0", "retries = 0\nconcurrency = 2"));
    enqueue(&place, 6);
    for done in 0..=4 {
        until("two are under way", || vendor.calls() == done + 2);
        both_have_looked(&place);
        assert_eq!(vendor.calls(), done + 2, "{}", place.story());
        vendor.lets_go();
    }
    vendor.lets_go();
    place.shows("SELECT count(*) FROM jobs WHERE asset = 'social-text' AND provider = 'house'", "6");
    assert_eq!((vendor.calls(), vendor.seen.most.load(Ordering::SeqCst)), (6, 2));
    place.finds("SELECT count(DISTINCT job_id), count(*), count(ended_at) FROM provider_calls", "6|6|6");
    place.finds(NOBODY_IS_BLAMED, "0");
    for daemon in daemons {
        daemon.stop();
    }
}

#[test]
fn two_daemons_together_make_no_more_calls_a_minute_than_one_may() {
    let vendor = Vendor::start();
    let configuration = texts(r#"["house", "template"]"#, &[("house", vendor.url())]);
    let (place, daemons) =
        two_daemons(&configuration.replace("retries = 0", "retries = 0\ncalls_per_minute = 2"));
    enqueue(&place, 3);
    place.shows("SELECT count(*) FROM jobs WHERE asset = 'social-text' AND provider = 'house'", "2");
    both_have_looked(&place);
    vendor.is_called(2);
    let third =
        "SELECT status, runs, attempts, run_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+60 seconds')
         FROM (SELECT *, (SELECT count(*) FROM attempts WHERE job_id = jobs.id) AS attempts FROM jobs)
         WHERE asset = 'social-text' AND status <> 'done'";
    place.finds(third, "pending|0|0|1");
    place.finds(NOBODY_IS_BLAMED, "0");
    let plan = place.backstop("plan").arg("social-text").output().expect("the binary");
    let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(plan.contains("at its limit of 2 calls a minute until 20"), "{plan}");
    assert!(plan.contains("its jobs wait in the queue"), "{plan}");
    let listed = place.backstop("providers").arg("--json").output().expect("the binary");
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let house = listed.as_array().expect("a list").iter().find(|one| one["provider"] == "house");
    let calls = &house.expect("listed")["calls"];
    assert_eq!((&calls["perMinute"], &calls["inThisMinute"]), (&2.into(), &2.into()), "{calls}");
    // The minute passes, as far as the log knows; and for a job that both had claimed for the last place.
    place.sql("UPDATE jobs SET run_at = 'now' WHERE status = 'pending'");
    place.sql(
        "UPDATE provider_calls SET started_at = strftime('%Y-%m-%dT%H:%M:%fZ', started_at, '-1 minute')",
    );
    place.shows("SELECT count(*) FROM jobs WHERE asset = 'social-text' AND provider = 'house'", "3");
    vendor.is_called(3);
    for daemon in daemons {
        daemon.stop();
    }
}

#[test]
fn jobs_that_wait_for_a_limit_are_not_even_claimed() {
    let vendor = Vendor::start();
    let configuration = texts(r#"["house", "template"]"#, &[("house", vendor.url())]);
    let place = Place::new(&configuration.replace("retries = 0", "retries = 0\ncalls_per_minute = 2"));
    enqueue(&place, 5);
    assert!(place.drain().success());
    place.finds(
        "SELECT status, count(*), min(provider) FROM jobs GROUP BY status ORDER BY status",
        "done|2|house\npending|3|",
    );
    place.finds("SELECT count(*) FROM runs", "2");
    place.finds(
        "SELECT count(*) FROM jobs WHERE status = 'pending' AND started_at IS NULL AND error IS NULL",
        "3",
    );
    vendor.is_called(2);
}

#[test]
fn a_job_that_finds_no_room_when_it_calls_goes_back_to_the_queue_uncounted() {
    let spare = Vendor::start();
    let configuration = texts(r#"["template"]"#, &[("spare", spare.url())]);
    let place = Place::new(&configuration.replace("retries = 0", "retries = 0\ncalls_per_minute = 1"));
    place.sql(
        "INSERT INTO jobs (asset, slug, provider_override) VALUES ('social-text', 'first', 'spare'),
             ('social-text', 'second', 'spare')",
    );
    assert!(place.drain().success());
    place.finds("SELECT provider, runs FROM jobs WHERE status = 'done'", "spare|1");
    place.finds(
        "SELECT status, runs, run_at > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'),
             run_at <= strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+60 seconds'),
             error LIKE 'spare: at its limit of 1 call a minute until 20%'
         FROM jobs WHERE status <> 'done'",
        "pending|0|1|1|1",
    );
    place.finds("SELECT count(*) FROM attempts WHERE status <> 'delivered'", "0");
    place.finds(NOBODY_IS_BLAMED, "0");
    spare.is_called(1);
    place.sql("DELETE FROM provider_calls; UPDATE jobs SET run_at = 'now' WHERE status = 'pending'");
    assert!(place.drain().success());
    place.finds("SELECT provider, runs, fallback_used FROM jobs", "spare|1|0\nspare|1|0");
    place.finds("SELECT number, outcome FROM runs", "1|delivered\n1|delivered");
}

#[test]
fn a_later_link_at_its_limit_is_passed_with_that_reason() {
    let (house, second) = (Vendor::start(), Vendor::start());
    house.answer_instead(Some(error(400, "invalid_request_error", "no")));
    let addresses = [("house", house.url()), ("second", second.url())];
    let configuration = texts(r#"["house", "second", "template"]"#, &addresses);
    let place = Place::new(&configuration.replace("retries = 0", "retries = 0\ncalls_per_minute = 2"));
    // One call of this minute is another daemon's.
    place.sql(
        "INSERT INTO provider_calls (provider, job_id, token, started_at, ended_at)
         SELECT 'second', 0, 'another', strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), '' FROM (VALUES (1), (2))",
    );
    place.enqueue("falls-through");
    assert!(place.drain().success());
    place.finds("SELECT status, provider FROM jobs", "done|template");
    place.finds(
        "SELECT provider, status, error LIKE 'at its limit of 2 calls a minute until 20%' FROM attempts ORDER BY id",
        "house|failed|0\nsecond|skipped|1\ntemplate|delivered|",
    );
    assert_eq!(second.calls(), 0);
}

#[test]
fn a_hint_of_the_vendor_becomes_run_at_for_every_daemon_and_keeps_no_worker() {
    let vendor = Vendor::start();
    vendor.answer_instead(Some(rate_limited(120)));
    let configuration = texts(r#"["house"]"#, &[("house", vendor.url())]);
    let (place, [first, second]) = two_daemons(&format!("{configuration}[queue]\nconcurrency = 1\n"));
    place.enqueue("early");
    let waits = |slug: &str| {
        let when = "run_at BETWEEN (SELECT cool_until FROM provider_health)
             AND strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+130 seconds')";
        place.shows(
            &format!("SELECT status, runs, lease_token, {when} FROM jobs WHERE slug = '{slug}'"),
            "pending|1||1",
        );
    };
    waits("early");
    let hint =
        "SELECT cool_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '+60 seconds') FROM provider_health";
    place.finds(hint, "1");
    // The only place of each daemon is free, and each of them knows of the hint.
    both_have_looked(&place);
    first.stop();
    place.enqueue("of-the-second-daemon");
    waits("of-the-second-daemon");
    vendor.is_called(1);
    second.stop();
    let third = place.serve();
    place.enqueue("of-a-new-daemon");
    waits("of-a-new-daemon");
    vendor.is_called(1);
    third.stop();
}

#[test]
fn a_person_opens_every_gate_by_sql_while_the_daemon_runs() {
    let vendor = Vendor::start();
    let place = Place::new(&texts(r#"["house", "template"]"#, &[("house", vendor.url())]));
    let daemon = place.serve();
    let refused = || error(401, "invalid_api_key", "Incorrect API key provided");
    let ways = [
        (
            "update",
            "UPDATE provider_health SET state = 'closed', cool_until = NULL, paused_until = NULL WHERE provider = 'house'",
        ),
        ("delete", "DELETE FROM provider_health WHERE provider = 'house'"),
    ];
    let reasons = [("refused", refused()), ("limited", rate_limited(600))];
    for (way, statement) in ways {
        for (reason, reply) in reasons.clone() {
            vendor.answer_instead(Some(reply));
            let done_by = |slug: String, provider: &str| {
                place.enqueue(&slug);
                place.shows(&format!("SELECT provider FROM jobs WHERE slug = '{slug}'"), provider);
            };
            let calls = vendor.calls();
            done_by(format!("{way}-{reason}-shuts"), "template");
            done_by(format!("{way}-{reason}-is-shut"), "template");
            assert_eq!(vendor.calls(), calls + 1, "the gate is shut");
            vendor.answer_instead(None);
            place.sql(statement);
            done_by(format!("{way}-{reason}-is-open"), "house");
            place.finds("SELECT state, consecutive_failures, cool_until, held_class FROM provider_health WHERE provider = 'house'", "closed|0||");
        }
    }
    // A pause is heard as soon, and so is its end.
    place.sql("UPDATE provider_health SET paused_until = '2099-01-01' WHERE provider = 'house'");
    place.enqueue("paused");
    place.shows("SELECT provider FROM jobs WHERE slug = 'paused'", "template");
    daemon.stop();
}
