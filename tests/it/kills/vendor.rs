//! A vendor of texts, pictures and films that counts what it is paid for, and tells when it is the moment to kill.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use serde_json::{Value, json};

use crate::film::Film;
use crate::support::{Reply, Request, Server, picture};

/// What is sent out as the price of one call, in micro-dollars.
pub(super) const PRICE_MICROS: i64 = 40_000;

/// A moment that the vendor sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// A paid call has arrived, and is not answered.
    Call,
    /// An operation is asked after.
    Poll,
    /// Half of a file is sent.
    Download,
}

#[derive(Default)]
struct Seen {
    /// The paid calls, by the number that their prompt holds and the provider.
    paid: BTreeMap<(i64, String), u32>,
    /// The polls of each operation.
    polls: BTreeMap<String, u32>,
    /// When the test is told, once.
    awaited: Option<(Moment, Sender<()>)>,
}

/// The running vendor. The first part of a path is the provider's label.
pub(super) struct Vendor {
    server: Server,
    seen: Arc<Mutex<Seen>>,
}

impl Vendor {
    pub(super) async fn start() -> Self {
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let told = Arc::clone(&seen);
        let server = Server::start(move |request| answer(request, &mut lock(&told)));
        Self { server: server.await, seen }
    }

    pub(super) fn url(&self, provider: &str) -> String {
        format!("{}/{provider}", self.server.url())
    }

    /// Tells `sender` when this moment comes the next time, and lets the daemon wait there.
    pub(super) fn await_moment(&self, moment: Moment, sender: Sender<()>) {
        lock(&self.seen).awaited = Some((moment, sender));
    }

    pub(super) fn await_nothing(&self) {
        lock(&self.seen).awaited = None;
    }

    /// How often each job's prompt was paid for at each provider.
    pub(super) fn paid(&self) -> BTreeMap<(i64, String), u32> {
        lock(&self.seen).paid.clone()
    }

    /// The operations that were asked after, and answered.
    pub(super) fn polled(&self) -> Vec<String> {
        lock(&self.seen).polls.keys().cloned().collect()
    }
}

impl Seen {
    /// Whether somebody waits for this moment; he is told.
    fn is_awaited(&mut self, moment: Moment) -> bool {
        match self.awaited.take_if(|(awaited, _)| *awaited == moment) {
            Some((_, sender)) => sender.send(()).is_ok(),
            None => false,
        }
    }
}

fn answer(request: &Request, seen: &mut Seen) -> Reply {
    let path = request.path.split('?').next().unwrap_or_default();
    let (provider, path) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    if request.method == "POST" {
        return paid_call(request, provider, path, seen);
    }
    if path.contains("/operations/") {
        return poll(request, provider, path, seen);
    }
    let number = number_in(path, "file-").expect("the number of a file");
    let file = file(number, path.ends_with(".png"));
    if seen.is_awaited(Moment::Download) {
        return Reply::Stalled { announced: file.len(), body: file[..file.len() / 2].to_vec() };
    }
    Reply::file("application/octet-stream", file)
}

fn paid_call(request: &Request, provider: &str, path: &str, seen: &mut Seen) -> Reply {
    let asked = request.json();
    let number = number_in(&asked.to_string(), "number-").expect("the number of a job");
    let paid = seen.paid.entry((number, provider.to_owned())).or_default();
    *paid += 1;
    let paid = *paid;
    if seen.is_awaited(Moment::Call) {
        return Reply::Silence;
    }
    let body = if path.ends_with("/chat/completions") {
        json!({"model": "m-1", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text(number)}}]})
    } else if path.ends_with("/images/generations") {
        json!({"created": 1_795_355_340, "data": [picture_reply(request, provider, number)]})
    } else {
        json!({"name": format!("models/m-1/operations/op-{number}-{paid}")})
    };
    Reply::json(200, &body)
}

/// Every other picture comes in the answer itself.
fn picture_reply(request: &Request, provider: &str, number: i64) -> Value {
    if number % 8 < 4 {
        let encoded = base64::engine::general_purpose::STANDARD.encode(file(number, true));
        return json!({ "b64_json": encoded });
    }
    let host = request.header("host").expect("a host");
    json!({"url": format!("http://{host}/{provider}/file-{number}.png")})
}

fn poll(request: &Request, provider: &str, path: &str, seen: &mut Seen) -> Reply {
    if seen.is_awaited(Moment::Poll) {
        return Reply::Silence;
    }
    let name = path.trim_start_matches("v1beta/");
    let polls = seen.polls.entry(name.to_owned()).or_default();
    *polls += 1;
    let number = number_in(name, "op-").expect("the number of an operation");
    if *polls == 1 && number % 3 == 0 {
        return Reply::json(200, &json!({ "name": name }));
    }
    let host = request.header("host").expect("a host");
    let uri = format!("http://{host}/{provider}/file-{number}.mp4");
    let response = json!({"generateVideoResponse": {"generatedSamples": [{"video": {"uri": uri}}]}});
    Reply::json(200, &json!({"name": name, "done": true, "response": response}))
}

/// What a job of this number is answered.
pub(super) fn text(number: i64) -> String {
    format!("The answer to number-{number} by the house's own model, long enough to be published.")
}

/// The file of a job of this number: no two are alike.
pub(super) fn file(number: i64, is_picture: bool) -> Vec<u8> {
    let number = u32::try_from(number).expect("a small number");
    let size = (64 + number % 64, 64 + number / 64);
    if is_picture { picture(size) } else { Film { size, ..Film::default() }.file() }
}

/// The number behind a word.
fn number_in(text: &str, word: &str) -> Option<i64> {
    let (_, rest) = text.split_once(word)?;
    let end = rest.find(|one: char| !one.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
