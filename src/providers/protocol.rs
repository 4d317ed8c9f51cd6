//! What a protocol is: a pure translator between an ask and one vendor's HTTP.

use std::borrow::Cow;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::ask::{Ask, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::{Provider, Repeat};
use crate::domain::time::{Clock, Timestamp};

use super::anthropic::Anthropic;
use super::gemini_image::GeminiImage;
use super::gemini_video::GeminiVideo;
use super::http::Http;
use super::imagen::Imagen;
use super::lummi::Lummi;
use super::openai_chat::OpenAiChat;
use super::openai_images::OpenAiImages;
use super::pexels::{PexelsPhoto, PexelsVideo};
use super::question::{Asked, Found};
use super::unsplash::Unsplash;
use super::veo::Veo;

/// The protocol of that name, where this build speaks it over HTTP.
pub(super) fn named(name: &str) -> Option<&'static dyn Protocol> {
    match name {
        "anthropic" => Some(&Anthropic),
        "gemini-image" => Some(&GeminiImage),
        "gemini-video" => Some(&GeminiVideo),
        "http" => Some(&Http),
        "imagen" => Some(&Imagen),
        "lummi" => Some(&Lummi),
        "openai-chat" => Some(&OpenAiChat),
        "openai-images" => Some(&OpenAiImages),
        "pexels-photo" => Some(&PexelsPhoto),
        "pexels-video" => Some(&PexelsVideo),
        "unsplash" => Some(&Unsplash),
        "veo" => Some(&Veo),
        _ => None,
    }
}

/// The translator for one vendor API. It does no I/O: the driver sends what `request` makes and hands the
/// reply to `interpret`.
pub(super) trait Protocol: Send + Sync {
    /// Where the key goes.
    fn auth(&self, provider: &Provider) -> Auth;

    /// Whether a generation only begins with its request and is asked after: the request is then answered in
    /// moments, however long the generation takes.
    fn is_long_running(&self, _provider: &Provider) -> bool {
        false
    }

    /// Whether the vendor serves the files that its replies name with the key only. The driver sends it to the
    /// configured host alone, whatever a reply says.
    fn files_need_key(&self, _provider: &Provider) -> bool {
        false
    }

    /// Whether the provider's options mean something; the error is a sentence for the operator.
    fn check(&self, provider: &Provider) -> Result<(), String>;

    /// Every mistake in the provider's options, each with its key where the protocol can tell it.
    fn mistakes(&self, provider: &Provider) -> Vec<Mistake> {
        self.check(provider).err().map(|wrong| Mistake { key: None, wrong }).into_iter().collect()
    }

    /// The most that one generation may cost, in micro-dollars, told before it is asked for; 0 where the price is
    /// not known.
    fn most_micros(&self, provider: &Provider, _ask: &Ask) -> i64 {
        provider.price_micros
    }

    /// The request that starts a generation.
    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure>;

    /// The request that asks how an operation stands, built from the configuration and the operation's id,
    /// which is one or more path segments of plain characters ([`super::operation::is_plain`]). Only
    /// protocols that answer [`Interpreted::Accepted`] have one.
    fn poll(&self, call: &Call<'_>, _operation: &str) -> Result<HttpRequest, Failure> {
        Err(no_operations(call.provider))
    }

    /// What a whole reply, of any status, means.
    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure>;

    /// A question about the provider that costs nothing and makes nothing; `None` where the vendor has none.
    fn question(&self, _provider: &Provider) -> Option<HttpRequest> {
        None
    }

    /// What the whole reply to that question says, whatever its status. Only protocols with a question differ.
    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        asked.json(reply).map(|_| Found::KEY)
    }

    /// What the reply to the request of [`Interpreted::Then`] means. Only protocols that answer with one differ.
    fn interpret_result(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        self.interpret(call, reply)
    }
}

/// Something wrong in a provider's options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Below the provider's table: `request.path`.
    pub(super) key: Option<String>,
    /// What is wrong, and what to do.
    pub(super) wrong: String,
}

impl Mistake {
    pub(super) fn of(key: impl Into<String>, wrong: impl Into<String>) -> Self {
        Self { key: Some(key.into()), wrong: wrong.into() }
    }

    /// `providers.house.request.path: is no path`, or `providers.house: base_url is missing`.
    pub(super) fn of_provider(&self, provider: &Provider) -> String {
        let key = self.key.as_ref().map(|key| format!(".{key}")).unwrap_or_default();
        format!("providers.{}{key}: {}", provider.name, self.wrong)
    }
}

/// One call as a protocol sees it.
#[derive(Clone, Copy)]
pub(super) struct Call<'a> {
    /// Who is called.
    pub(super) provider: &'a Provider,
    /// What for.
    pub(super) ask: &'a Ask,
    /// Whether sending this very request again is free: a poll is, whatever the generation costs.
    pub(super) repeat: Repeat,
    /// The operation that is asked about; `None` for a generation.
    pub(super) operation: Option<&'a str>,
    clock: &'a Clock,
}

impl<'a> Call<'a> {
    /// A call that generates.
    pub(super) fn generation(provider: &'a Provider, ask: &'a Ask, clock: &'a Clock) -> Self {
        Self { provider, ask, repeat: provider.repeat, operation: None, clock }
    }

    /// A call that asks how an operation stands.
    pub(super) fn poll(provider: &'a Provider, ask: &'a Ask, clock: &'a Clock, operation: &'a str) -> Self {
        Self { provider, ask, repeat: Repeat::Free, operation: Some(operation), clock }
    }

    /// The present, to turn a vendor's "in 20 seconds" into an instant.
    pub(super) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The model id; configuration sees to it that these protocols have one.
    pub(super) fn model(&self) -> Result<&'a str, Failure> {
        self.provider.model.as_deref().ok_or_else(|| {
            Failure::new(FailureClass::Invalid, format!("provider \"{}\" names no model", self.provider.name))
        })
    }
}

/// How a key travels: `x-api-key: KEY`, `authorization: Bearer KEY`. The driver alone has the key.
#[derive(Debug, Clone)]
pub(super) struct Auth {
    /// The header's name, in lower case.
    pub(super) header: Cow<'static, str>,
    /// What stands before the key, with its space.
    pub(super) prefix: Cow<'static, str>,
}

impl Auth {
    /// A header that holds nothing but the key.
    pub(super) const fn bare(header: &'static str) -> Self {
        Self { header: Cow::Borrowed(header), prefix: Cow::Borrowed("") }
    }
}

/// `authorization: Bearer KEY`.
pub(super) const BEARER: Auth =
    Auth { header: Cow::Borrowed("authorization"), prefix: Cow::Borrowed("Bearer ") };

/// A request without its key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct HttpRequest {
    /// From the API's root, with its version and without a leading slash: `v1/messages`. Where the configured
    /// address carries a version already, that one counts.
    pub(super) path: String,
    /// Parameters after the question mark, as they are: the driver encodes them. Never the key.
    pub(super) query: Vec<(Cow<'static, str>, String)>,
    /// Names in lower case. Never the key.
    pub(super) headers: Vec<(Cow<'static, str>, String)>,
    /// What is posted; a request without a body is a GET.
    pub(super) body: Option<RequestBody>,
    /// `host` or `host:port` to ask instead of the configured one, with the key: a protocol names only what the
    /// configuration lists.
    pub(super) authority: Option<String>,
}

/// What a request posts. Its content type is the driver's to set.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum RequestBody {
    /// A document.
    Json(Value),
    /// The fields of a form, as `multipart/form-data`.
    Form(Vec<(String, String)>),
}

impl HttpRequest {
    /// A GET without parameters.
    pub(super) fn get(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// A POST of JSON.
    pub(super) fn post(path: impl Into<String>, body: impl Into<Value>) -> Self {
        Self { path: path.into(), body: Some(RequestBody::Json(body.into())), ..Self::default() }
    }
}

/// A whole reply.
#[derive(Debug, Clone, Default)]
pub(super) struct HttpReply {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    /// Held to the driver's limits; what is left out of an error's body is not missed.
    pub(super) body: Bytes,
}

impl HttpReply {
    /// A header's value; the first, where there are more.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body of a reply that said it succeeded, as the protocol knows it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        // The parser's own sentence would quote the body, so only where it stopped is told.
        serde_json::from_slice(&self.body).map_err(|e| {
            let start = self.body.trim_ascii_start();
            Failure::unusable(if start.is_empty() {
                "answered with nothing".to_owned()
            } else if start.starts_with(b"<") {
                "answered with a page instead of JSON".to_owned()
            } else {
                format!(
                    "answered with no JSON that the protocol knows (line {}, column {})",
                    e.line(),
                    e.column()
                )
            })
        })
    }

    /// Whether the vendor says the call succeeded.
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The vendor's id of the request: Anthropic's `request-id`, most others' `x-request-id`.
    pub(super) fn request_id(&self) -> Option<String> {
        const MOST_CHARS: usize = 128;
        let id = self.header("request-id").or_else(|| self.header("x-request-id"))?;
        Some(id.chars().filter(|c| !c.is_control()).take(MOST_CHARS).collect())
    }
}

/// What a reply that is no failure means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Interpreted {
    /// The output came in the reply.
    Output(Output),
    /// The vendor took the job, or is still at it. The id is opaque: the driver holds it to
    /// [`super::operation::is_plain`] before anything is done with it.
    Accepted {
        /// The vendor's name for it.
        operation: String,
    },
    /// The output lies at an address; its body is empty until the driver has fetched it, without the key unless
    /// [`Protocol::files_need_key`].
    Fetch {
        /// As the reply spelled it: trusted for nothing.
        url: String,
        /// All but the body.
        output: Output,
    },
    /// As `Fetch`; and once the file is here, the vendor is told so, as its terms demand. What it answers changes
    /// nothing.
    FetchAndTell {
        /// As the reply spelled it: trusted for nothing.
        url: String,
        /// All but the body.
        output: Output,
        /// The request that tells it.
        tell: HttpRequest,
    },
    /// The operation has ended, and one more request says where its output lies;
    /// [`Protocol::interpret_result`] reads the reply.
    Then(HttpRequest),
}

/// The failure of a poll where there is nothing to poll.
pub(super) fn no_operations(provider: &Provider) -> Failure {
    let why = format!("protocol \"{}\" has no operations to ask about", provider.protocol);
    Failure::new(FailureClass::Invalid, why)
}
