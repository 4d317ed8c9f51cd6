//! The API and the page, of the real daemon on a port of its own.

mod access;
mod api;
mod document;
mod files;
mod once;
mod people;
mod safety;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::daemon::{PATIENCE, Place, Serving, block_on, within};

/// Texts that a template makes, and pictures that nobody can make.
const TEXTS: &str = "
    [assets.social-text]
    chain = [\"template\", \"manual\"]
    [providers.template]
    template = \"A text about {{ input.title or slug }} that is long enough\"
";

/// A daemon that serves its page, and whoever speaks to it.
pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) serving: Serving,
    pub(crate) address: String,
    client: Client,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) bytes: Vec<u8>,
    /// As text.
    pub(crate) body: String,
}

impl Answer {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// A header's text; empty where there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The sentence of a refusal.
    #[track_caller]
    pub(crate) fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        self.json()["detail"].as_str().expect("a sentence").to_owned()
    }
}

impl Site {
    /// Starts a daemon with this configuration.
    pub(crate) fn start(configuration: &str) -> Self {
        Self::of(Place::new(configuration))
    }

    /// Starts a daemon in a place that was made ready.
    pub(crate) fn of(mut place: Place) -> Self {
        place.environment.push(("BACKSTOP_WEB__LISTEN", "127.0.0.1:0".to_owned()));
        let serving = place.serve();
        let address = address(&serving);
        // Another test may have installed it already.
        drop(rustls::crypto::ring::default_provider().install_default());
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build();
        Self { place, serving, address, client: client.expect("a client") }
    }

    /// Stops the daemon and starts another one.
    pub(crate) fn restart(&mut self) {
        // It may have ended by itself.
        if self.serving.child.0.try_wait().expect("a child").is_none() {
            self.serving.signal(rustix::process::Signal::TERM);
            assert!(self.serving.ends().success(), "{}", self.serving.log());
        }
        self.serving = self.place.serve();
        self.address = address(&self.serving);
    }

    /// What comes back for these very bytes, until the other side hangs up.
    pub(crate) fn raw(&self, sent: &str) -> String {
        let mut stream =
            TcpStream::connect(self.address.trim_start_matches("http://")).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a bound");
        // It may hang up before it has read everything.
        drop(stream.write_all(sent.as_bytes()));
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A delivered file, asked for with these headers.
    pub(crate) fn file(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let request = self.bare(Method::GET, path).bearer_auth(self.token());
        send(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
    }

    /// The token that was made at the first start.
    pub(crate) fn token(&self) -> String {
        fs::read_to_string(self.place.file("web-token")).expect("a token").trim().to_owned()
    }

    /// A request without a token.
    pub(crate) fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.address)).timeout(PATIENCE)
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        send(self.bare(Method::GET, path).bearer_auth(self.token()))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.posting(path, body))
    }

    pub(crate) fn posting(&self, path: &str, body: &Value) -> RequestBuilder {
        self.bare(Method::POST, path).bearer_auth(self.token()).json(body)
    }
}

/// Sends it and reads all of the answer.
pub(crate) fn send(request: RequestBuilder) -> Answer {
    block_on(async {
        let answer = request.send().await.expect("an answer");
        let (status, headers) = (answer.status(), answer.headers().clone());
        let bytes = answer.bytes().await.expect("a body").to_vec();
        Answer { status, headers, body: String::from_utf8_lossy(&bytes).into_owned(), bytes }
    })
}

/// Where the page is, as the log says it.
fn address(serving: &Serving) -> String {
    let mut found = None;
    let told = within(Duration::from_secs(20), || {
        let log = serving.log();
        found = log.split("\"page\":\"").nth(1).and_then(|rest| rest.split("/\"").next()).map(str::to_owned);
        found.is_some()
    });
    assert!(told, "no address of the page in\n{}", serving.log());
    found.expect("an address")
}
