//! What goes to a provider, and what comes back.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::accept::Acceptance;
use super::asset::Medium;
use super::name::AssetName;

/// One wish, as a provider gets it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// What is to be made.
    pub asset: AssetName,
    /// What kind of thing that is.
    pub medium: Medium,
    /// What it is for.
    pub slug: String,
    /// The finished prompt.
    pub prompt: String,
    /// The job's input: `title`, `keywords` and whatever else the pipeline sent.
    pub input: Map<String, Value>,
    /// What the output will be held to, so that a provider can ask its vendor for the right size.
    pub accept: Acceptance,
    /// How often this link was called in this run before: 0 at first. A truncated text is asked for again
    /// with a larger budget.
    pub repeat: u32,
    /// The same for every sending of this attempt, different for every other.
    pub idempotency_key: String,
}

/// What a provider made.
#[derive(Debug, Clone, PartialEq)]
pub struct Output {
    /// The thing itself.
    pub body: Body,
    /// What the provider says it is; believed nowhere.
    pub claimed_type: Option<String>,
    /// For `jobs.metadata`: attribution, revised prompt, model, ...
    pub metadata: Map<String, Value>,
    /// The model that answered, as the vendor names it.
    pub model: Option<String>,
    /// What it cost, in micro-dollars.
    pub cost_micros: i64,
    /// The vendor's HTTP status, when there was one.
    pub http_status: Option<u16>,
    /// The vendor's own id of the request.
    pub request_id: Option<String>,
}

impl Output {
    /// An output with nothing but its body.
    #[must_use]
    pub fn plain(body: Body) -> Self {
        Self {
            body,
            claimed_type: None,
            metadata: Map::new(),
            model: None,
            cost_micros: 0,
            http_status: None,
            request_id: None,
        }
    }
}

/// The thing itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Words.
    Text(String),
    /// A file's bytes.
    File(Bytes),
}

/// An output that the media checks let through.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// The thing itself; text is trimmed.
    pub body: Body,
    /// What it really is: `image/png`, `text/plain`.
    pub content_type: &'static str,
    /// The file name's ending that goes with it, without the dot: `png`.
    pub extension: &'static str,
    /// What was measured: `width`, `height`, `seconds`, `chars`, `bytes`.
    pub measured: Map<String, Value>,
}

/// What a provider answers to one call.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The output, still unchecked.
    Output(Output),
    /// The vendor took the job and will be asked again; the operation's id is opaque and never an address.
    Accepted {
        /// The vendor's name for it.
        operation: String,
        /// The vendor's own id of the request that was accepted.
        request_id: Option<String>,
    },
}
