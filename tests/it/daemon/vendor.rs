//! A vendor of texts whose answers wait for the test's word where the test wants it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::runtime::Builder;

use super::until;
use crate::support::{Reply, Server};

/// An OpenAI-compatible server of texts.
pub(crate) struct Vendor {
    server: Server,
    said: Arc<Said>,
    release: Sender<()>,
}

#[derive(Default)]
struct Said {
    calls: AtomicUsize,
    holds: AtomicBool,
    instead: Mutex<Option<Reply>>,
}

impl Vendor {
    /// Starts on any free port.
    pub(crate) fn start() -> Self {
        let said = Arc::new(Said::default());
        let (release, released) = channel();
        let told = Arc::clone(&said);
        let script = move |_: &_| {
            told.calls.fetch_add(1, Ordering::SeqCst);
            if told.holds.load(Ordering::SeqCst) {
                // A test that failed lets nobody go.
                let _released = released.recv_timeout(Duration::from_secs(120)).is_ok();
            }
            let instead = told.instead.lock().unwrap_or_else(PoisonError::into_inner).clone();
            instead.unwrap_or_else(answer)
        };
        Self { server: block_on(Server::start(script)), said, release }
    }

    /// One that answers nothing until it is let go; it serves one call at a time.
    pub(crate) fn holding() -> Self {
        let vendor = Self::start();
        vendor.hold();
        vendor
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/v1", self.server.url())
    }

    /// How many calls have reached it.
    pub(crate) fn calls(&self) -> usize {
        self.said.calls.load(Ordering::SeqCst)
    }

    #[track_caller]
    pub(crate) fn is_called(&self, times: usize) {
        until("the vendor is called", || self.calls() >= times);
        assert_eq!(self.calls(), times);
    }

    /// From now on answers wait.
    pub(crate) fn hold(&self) {
        self.said.holds.store(true, Ordering::SeqCst);
    }

    /// Lets the waiting call go, and all that come after it.
    pub(crate) fn release(&self) {
        self.said.holds.store(false, Ordering::SeqCst);
        self.release.send(()).expect("the vendor lives");
    }

    /// From now on it gives this reply; `None` brings it back to work.
    pub(crate) fn answer_instead(&self, reply: Option<Reply>) {
        *self.said.instead.lock().unwrap_or_else(PoisonError::into_inner) = reply;
    }

    /// Everything it was sent.
    pub(crate) fn prompts(&self) -> Vec<String> {
        let prompt = |request: &crate::support::Request| request.json()["messages"][0]["content"].to_string();
        self.server.requests().iter().map(prompt).collect()
    }

    /// Kills it.
    pub(crate) fn stop(&mut self) {
        self.server.stop();
    }

    /// Starts it again at the same address.
    pub(crate) fn restart(&mut self) {
        block_on(self.server.restart());
    }
}

/// An OpenAI error.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({"error": {"message": message, "type": code, "code": code}}))
}

/// A rate limit with its hint.
pub(crate) fn rate_limited(seconds: u32) -> Reply {
    let body = json!({"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}});
    let headers = vec![("content-type", "application/json".to_owned()), ("retry-after", seconds.to_string())];
    Reply::Http { status: 429, headers, body: body.to_string().into_bytes() }
}

fn answer() -> Reply {
    let text = "A calm sentence by the house's own model, long enough to be published.";
    Reply::json(
        200,
        &json!({"model": "m-1", "choices": [{"index": 0, "finish_reason": "stop",
            "message": {"role": "assistant", "content": text}}]}),
    )
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}
