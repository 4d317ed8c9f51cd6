//! One server that speaks as every vendor of the catalog does, each in a file of its own.
//!
//! The first part of a path is an account: `http://127.0.0.1:49152/veo-2/v1beta/models/...`. Trouble and call counts
//! are kept by account, so that one server is many providers. Requests are read as strictly as the vendors read
//! them: who sends a wrong key or a field that is none gets the vendor's own error.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use serde_json::{Value, json};

use crate::film::Film;
use crate::support::{Reply, Request, Server, picture};

mod anthropic;
mod bfl;
mod cdn;
mod elevenlabs;
mod fal;
mod google;
mod ideogram;
mod lummi;
mod openai;
mod openrouter;
mod pexels;
mod reading;
mod replicate;
mod runway;
mod sora;
mod stability;
mod unsplash;

/// The one right key, at every vendor.
pub(crate) const KEY: &str = "key-of-the-fake-0123456789";

/// The moment at which everything here was made, in seconds since 1970.
const CREATED: u64 = 1_795_355_340;

/// What goes wrong at an account, each vendor telling it in its own form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// Overloaded or a passing error.
    Transient,
    /// Too many calls a minute, with a hint.
    RateLimited,
    /// Credit or the day's quota is used up.
    Quota,
    /// The key is wrong.
    Auth,
    /// The model is gone.
    Retired,
    /// The request is malformed.
    Invalid,
    /// The content policy says no.
    Refused,
    /// A success without a usable output.
    Unusable,
    /// No answer, for as long as the other side waits.
    Silence,
    /// The connection is cut after the request was read.
    HangUp,
    /// The submit is accepted, and the operation fails later; for vendors with operations only.
    RenderFails,
}

impl Trouble {
    /// Whether it is a model's, so that a list of models knows nothing of it.
    fn is_of_a_model(self) -> bool {
        matches!(self, Self::Retired | Self::Invalid | Self::Refused | Self::Unusable | Self::RenderFails)
    }
}

/// A request to one account.
pub(crate) struct Call<'a> {
    /// The account's name.
    pub(crate) account: &'a str,
    /// The account's own address: `http://127.0.0.1:49152/veo-2`.
    pub(crate) base: String,
    /// The path after the account, without parameters, with its leading slash.
    pub(crate) path: &'a str,
    /// What stands after the question mark, as it came.
    pub(crate) query: &'a str,
    /// The whole request.
    pub(crate) request: &'a Request,
    /// What goes wrong, if anything.
    pub(crate) trouble: Option<Trouble>,
}

impl Call<'_> {
    /// The request's JSON, where it has any.
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.request.body).ok()
    }

    /// What a header says, without the word that a vendor wants before its keys.
    fn header_after(&self, name: &str, prefix: &str) -> Option<&str> {
        self.request.header(name)?.strip_prefix(prefix)
    }

    /// A parameter of the query.
    fn parameter(&self, name: &str) -> Option<&str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    fn is(&self, method: &str, path: &str) -> bool {
        self.request.method == method && self.path == path
    }
}

/// What the vendors remember: operations under way, by account and id.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// How often each operation was asked after.
    pub(crate) polls: BTreeMap<String, u32>,
    /// What each operation, and each file, was made for.
    pub(crate) asked: BTreeMap<String, Value>,
    /// Ids handed out so far.
    pub(crate) ids: u64,
}

impl Memory {
    /// A number that was not handed out before.
    fn id(&mut self) -> u64 {
        self.ids += 1;
        self.ids
    }

    /// One more poll of this operation: how many there were with it.
    fn poll(&mut self, operation: &str) -> u32 {
        let polls = self.polls.entry(operation.to_owned()).or_default();
        *polls += 1;
        *polls
    }
}

/// A vendor's translator: `None` where the path is not one of its own.
type Vendor = fn(&Call<'_>, &mut Memory) -> Option<Reply>;

const VENDORS: &[Vendor] = &[
    lummi::answer,
    openrouter::answer,
    pexels::answer,
    unsplash::answer,
    replicate::answer,
    fal::answer,
    bfl::answer,
    runway::answer,
    sora::answer,
    elevenlabs::answer,
    stability::answer,
    ideogram::answer,
    cdn::answer,
    anthropic::answer,
    openai::answer,
    google::answer,
];

/// The running server.
pub(crate) struct Fake {
    server: Server,
    troubles: Arc<Mutex<BTreeMap<String, Trouble>>>,
}

impl Fake {
    /// Starts on any free port.
    pub(crate) async fn start() -> Self {
        let troubles: Arc<Mutex<BTreeMap<String, Trouble>>> = Arc::default();
        let told = Arc::clone(&troubles);
        let mut memory = Memory::default();
        let server = Server::start(move |request| {
            let trouble = |account: &str| lock(&told).get(account).copied();
            answer(request, trouble, &mut memory)
        });
        Self { server: server.await, troubles }
    }

    /// The server's own address, below which the accounts are.
    pub(crate) fn address(&self) -> String {
        self.server.url()
    }

    /// An account's address, without a version.
    pub(crate) fn url(&self, account: &str) -> String {
        format!("{}/{account}", self.server.url())
    }

    /// From now on the account answers with this trouble; `None` brings it back to work.
    pub(crate) fn trouble(&self, account: &str, trouble: Option<Trouble>) {
        let mut troubles = lock(&self.troubles);
        match trouble {
            Some(trouble) => troubles.insert(account.to_owned(), trouble),
            None => troubles.remove(account),
        };
    }

    /// Every request to an account so far.
    pub(crate) fn requests(&self, account: &str) -> Vec<Request> {
        let root = format!("/{account}/");
        self.server.requests().into_iter().filter(|request| request.path.starts_with(&root)).collect()
    }
}

fn answer(request: &Request, trouble: impl Fn(&str) -> Option<Trouble>, memory: &mut Memory) -> Reply {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let account = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    let host = request.header("host").unwrap_or("127.0.0.1");
    let call = Call {
        account,
        base: format!("http://{host}/{account}"),
        path: path.trim_start_matches('/').strip_prefix(account).unwrap_or_default(),
        query,
        request,
        trouble: trouble(account),
    };
    match call.trouble {
        Some(Trouble::Silence) => return Reply::Silence,
        Some(Trouble::HangUp) => return Reply::HangUp,
        _ => {}
    }
    let spoken = VENDORS.iter().find_map(|vendor| vendor(&call, memory));
    spoken.unwrap_or_else(|| Reply::json(404, &json!({"error": "no vendor has this address"})))
}

/// The part of a list that begins at `from`, and whether more follows.
fn page<T>(all: &[T], from: usize, most: usize) -> (&[T], bool) {
    let rest = all.get(from..).unwrap_or_default();
    (&rest[..most.min(rest.len())], rest.len() > most)
}

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A PNG, in base64. Drawing one takes a while, and the next account must not wait for it, so each size is drawn once.
fn picture_in_base64(size: (u32, u32)) -> String {
    static DRAWN: Mutex<BTreeMap<(u32, u32), String>> = Mutex::new(BTreeMap::new());
    lock(&DRAWN).entry(size).or_insert_with(|| base64(&picture(size))).clone()
}

/// An MP4.
fn video(size: (u32, u32), seconds: u32) -> Vec<u8> {
    Film { size, units: seconds * 1000, ..Film::default() }.file()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
