//! The one HTTP driver: sends what protocols translate, within bounds, and keeps secrets where they belong.

use std::error::Error;
use std::sync::Once;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use reqwest::multipart::Form;
use reqwest::{Client, ClientBuilder, Response, redirect, retry};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout};
use url::Url;

use crate::domain::ask::{Answer, Body, Output};
use crate::domain::asset::Medium;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::{Provider, Repeat};
use crate::domain::time::spoken;

use super::address::{self, OutOfReach, Reach, Resolver};
use super::operation;
use super::protocol::{Auth, Call, HttpReply, HttpRequest, Interpreted, Protocol, RequestBody};
use super::scrub;

/// A host that does not answer the knock by then is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest silence within a body, once it has begun. Before it begins only the call's own time counts:
/// models think for minutes.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// Idle connections are closed before most vendors close them: a request sent into a closing connection would
/// be a paid call of unknown fate.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// A vendor that takes its time answers a submit and a poll in moments; an output within a poll's answer needs
/// the rest. Without this bound one silent connection would use up the time of the whole operation.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(120);

/// A vendor that is told of a use, and does not listen, does not hold up the delivery for longer.
const TELL_TIMEOUT: Duration = Duration::from_secs(5);

/// Most of an error's body that is read.
const ERROR_BYTES: usize = 64 << 10;

/// Most of a text's reply.
const TEXT_BYTES: usize = 4 << 20;

/// Most of a picture or a sound, also within JSON, and of a video.
const FILE_BYTES: usize = 64 << 20;
const VIDEO_BYTES: usize = 256 << 20;

const USER_AGENT: &str = concat!("backstop/", env!("CARGO_PKG_VERSION"));

/// The clients, one per rule about where they may go. None repeats a request by itself.
pub(super) struct Driver {
    /// Calls of public vendors; honours the environment's proxies, follows no redirect.
    public: Client,
    /// Calls of local vendors, which no proxy could reach.
    local: Client,
    /// Downloads from addresses that a reply named.
    pub(super) fetch_public: Client,
    /// The same for a vendor that is local itself.
    pub(super) fetch_local: Client,
}

/// A provider behind an address: everything its calls have in common.
pub(super) struct Vendor {
    pub(super) protocol: &'static dyn Protocol,
    pub(super) base: Url,
    pub(super) reach: Reach,
    pub(super) key: Option<SecretString>,
    pub(super) authorization: Option<(HeaderName, HeaderValue)>,
    pub(super) files_need_key: bool,
    long_running: bool,
}

/// What holds for one request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Whether sending it again is free, which tells what a missing answer means.
    pub(super) repeat: Repeat,
    /// Most bytes of a reply that is a success.
    pub(super) most: usize,
    /// Until the whole reply is here.
    pub(super) time: Duration,
}

impl Bounds {
    fn of(call: &Call<'_>, time: Duration) -> Self {
        Self { repeat: call.repeat, most: most_bytes(call.ask.medium), time }
    }
}

impl Vendor {
    /// Checks a provider's address and key; its options are checked before.
    pub(super) fn new(
        provider: &Provider,
        protocol: &'static dyn Protocol,
        key: Option<SecretString>,
    ) -> Result<Self, String> {
        let text = provider.base_url.as_deref().ok_or("base_url is missing; say where its requests go")?;
        let key = key.filter(|key| !key.expose_secret().trim().is_empty());
        let (base, reach) = address::base(text, key.is_some())?;
        let authorization =
            key.as_ref().map(|key| authorization(&protocol.auth(provider), key)).transpose()?;
        let files_need_key = protocol.files_need_key(provider);
        let long_running = protocol.is_long_running(provider);
        Ok(Self { protocol, base, reach, key, authorization, files_need_key, long_running })
    }
}

/// The header that carries the key, marked so that nothing prints it.
fn authorization(auth: &Auth, key: &SecretString) -> Result<(HeaderName, HeaderValue), String> {
    let value = format!("{}{}", auth.prefix, key.expose_secret().trim());
    let mut value = HeaderValue::from_str(&value)
        .map_err(|_| "its key holds characters that no HTTP header can; check for a line break".to_owned())?;
    value.set_sensitive(true);
    let name = HeaderName::from_bytes(auth.header.as_bytes()).unwrap_or(AUTHORIZATION);
    Ok((name, value))
}

impl Driver {
    /// Builds the clients.
    pub(super) fn new() -> Result<Self, String> {
        install_tls();
        let calls = || builder().redirect(redirect::Policy::none());
        let downloads = |reach| move || calls().no_proxy().dns_resolver(Resolver(reach));
        Ok(Self {
            public: build(calls)?,
            local: build(|| calls().no_proxy())?,
            fetch_public: build(downloads(Reach::Public))?,
            fetch_local: build(downloads(Reach::Local))?,
        })
    }

    /// Makes one call and reads its answer, downloads included.
    pub(super) async fn call(
        &self,
        vendor: &Vendor,
        call: Call<'_>,
        time_left: Duration,
    ) -> Result<Answer, Failure> {
        let deadline = Instant::now() + time_left;
        let key = vendor.key.as_ref().map(|key| key.expose_secret());
        let result = self.exchange(vendor, &call, deadline).await;
        let word = |text: String| scrub::word(&text, key);
        match result {
            Ok(Answer::Output(output)) if gives_away(&output, key) => {
                let why = "the answer quotes the key; it is not published";
                let Output { cost_micros, http_status, .. } = output;
                Err(Failure { cost_micros, http_status, ..Failure::unusable(why) })
            }
            Ok(Answer::Output(output)) => Ok(Answer::Output(Output {
                request_id: output.request_id.and_then(word),
                model: output.model.and_then(word),
                ..output
            })),
            // Its id would stand in the ledger.
            Ok(Answer::Accepted { operation, .. }) if scrub::publishes(&operation, key) => {
                Err(operation::odd_id(call.provider))
            }
            Ok(Answer::Accepted { operation, request_id }) => {
                Ok(Answer::Accepted { operation, request_id: request_id.and_then(word) })
            }
            Err(mut failure) => {
                failure.message = scrub::scrub(&failure.message, key, &call.ask.prompt);
                failure.request_id = failure.request_id.and_then(word);
                if let FailureClass::Refused { category } = &mut failure.class {
                    *category = category.take().and_then(word);
                }
                Err(failure)
            }
        }
    }

    async fn exchange(&self, vendor: &Vendor, call: &Call<'_>, deadline: Instant) -> Result<Answer, Failure> {
        let request = match call.operation {
            None => vendor.protocol.request(call)?,
            Some(operation) if operation::is_plain(operation) => vendor.protocol.poll(call, operation)?,
            Some(_) => return Err(operation::odd_id(call.provider)),
        };
        let mut time = call.provider.timeout.min(deadline.saturating_duration_since(Instant::now()));
        if vendor.long_running || call.operation.is_some() {
            time = time.min(OPERATION_TIMEOUT);
        }
        if time.is_zero() {
            return Err(Failure::new(FailureClass::TimedOut, "no time was left to call it"));
        }
        let mut reply = self.send(vendor, request, Bounds::of(call, time)).await?;
        let mut interpreted = vendor.protocol.interpret(call, &reply);
        if let Ok(Interpreted::Then(request)) = interpreted {
            let time = OPERATION_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
            reply = self.send(vendor, request, Bounds::of(call, time)).await?;
            interpreted = vendor.protocol.interpret_result(call, &reply);
        }
        let answer = match interpreted {
            Ok(interpreted) => self.settle(vendor, call, interpreted, deadline).await,
            Err(failure) => Err(failure),
        };
        let request_id = || reply.request_id();
        match answer {
            Ok(Answer::Output(output)) => {
                let (http_status, request_id) = (Some(reply.status), request_id());
                Ok(Answer::Output(Output { http_status, request_id, ..output }))
            }
            Ok(Answer::Accepted { operation, .. }) => {
                Ok(Answer::Accepted { operation, request_id: request_id() })
            }
            Err(failure) => Err(Failure {
                http_status: failure.http_status.or(Some(reply.status)),
                request_id: failure.request_id.clone().or_else(request_id),
                ..failure
            }),
        }
    }

    /// Does what a reply calls for.
    async fn settle(
        &self,
        vendor: &Vendor,
        call: &Call<'_>,
        interpreted: Interpreted,
        deadline: Instant,
    ) -> Result<Answer, Failure> {
        match interpreted {
            Interpreted::Output(output) => Ok(Answer::Output(output)),
            Interpreted::Accepted { operation } if operation::is_plain(&operation) => {
                Ok(Answer::Accepted { operation, request_id: None })
            }
            Interpreted::Accepted { .. } => Err(operation::odd_id(call.provider)),
            Interpreted::Fetch { url, output } => {
                self.fetch(&url, output, vendor, call, deadline).await.map(Answer::Output)
            }
            Interpreted::FetchAndTell { url, output, tell } => {
                let mut output = self.fetch(&url, output, vendor, call, deadline).await?;
                let time = TELL_TIMEOUT.min(deadline.saturating_duration_since(Instant::now()));
                let told = self.send(vendor, tell, Bounds::of(call, time)).await;
                let is_told = told.is_ok_and(|reply| reply.is_success());
                output.metadata.insert("use_reported".to_owned(), is_told.into());
                Ok(Answer::Output(output))
            }
            Interpreted::Then(_) => Err(Failure::unusable("its answers only lead to further questions")),
        }
    }

    /// Fetches an output's file. What was made is billed also where it does not arrive.
    async fn fetch(
        &self,
        url: &str,
        output: Output,
        vendor: &Vendor,
        call: &Call<'_>,
        deadline: Instant,
    ) -> Result<Output, Failure> {
        let cost_micros = output.cost_micros;
        let fetched = self.download(url, vendor, call, deadline).await;
        let download = fetched.map_err(|failure| Failure { cost_micros, ..failure })?;
        let claimed_type = download.content_type.or(output.claimed_type.clone());
        Ok(Output { body: Body::File(download.bytes), claimed_type, ..output })
    }

    /// Sends a request once and takes in its whole reply.
    pub(super) async fn send(
        &self,
        vendor: &Vendor,
        request: HttpRequest,
        Bounds { repeat, most, time }: Bounds,
    ) -> Result<HttpReply, Failure> {
        let client = match vendor.reach {
            Reach::Public => &self.public,
            Reach::Local => &self.local,
        };
        let base = match &request.authority {
            Some(authority) => address::at_host(&vendor.base, authority).ok_or_else(|| {
                Failure::new(FailureClass::Invalid, "the request cannot be sent: its host is none")
            })?,
            None => vendor.base.clone(),
        };
        let url = address::endpoint(&base, &request.path, &request.query);
        let mut sending = match request.body {
            Some(RequestBody::Json(body)) => client.post(url).json(&body),
            Some(RequestBody::Form(fields)) => client.post(url).multipart(form(fields)),
            None => client.get(url),
        };
        for (name, value) in request.headers {
            sending = sending.header(name.as_ref(), value);
        }
        if let Some((name, value)) = &vendor.authorization {
            sending = sending.header(name, value);
        }
        let response =
            sending.timeout(time).send().await.map_err(|e| unsent_or_unanswered(e, repeat, time))?;
        let status = response.status().as_u16();
        let headers = header_texts(&response);
        let success = response.status().is_success();
        let most = if success { most } else { ERROR_BYTES };
        let body = match read_body(response, most).await {
            Ok(body) => body,
            Err(cut) if !success => cut.so_far,
            Err(cut) => return Err(cut.failure(repeat, most, status)),
        };
        Ok(HttpReply { status, headers, body })
    }
}

/// Whether what would be published, or stand beside it in the job's row, holds the key.
fn gives_away(output: &Output, key: Option<&str>) -> bool {
    let text = match &output.body {
        Body::Text(text) => text.as_str(),
        Body::File(_) => "",
    };
    let beside = serde_json::to_string(&output.metadata).unwrap_or_default();
    scrub::publishes(text, key) || scrub::publishes(&beside, key)
}

/// A form whose parts are all in memory: its length is known, and the whole of it can be sent at once.
fn form(fields: Vec<(String, String)>) -> Form {
    fields.into_iter().fold(Form::new(), |form, (name, value)| form.text(name, value))
}

/// Most bytes of a reply or a download, by what is made.
pub(super) fn most_bytes(medium: Medium) -> usize {
    match medium {
        Medium::Text => TEXT_BYTES,
        Medium::Image | Medium::Audio => FILE_BYTES,
        Medium::Video => VIDEO_BYTES,
    }
}

/// reqwest panics without a process-wide TLS provider. A failure to install means that somebody else has.
fn install_tls() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
}

fn builder() -> ClientBuilder {
    Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE)
        .referer(false)
        // A small reply must not become a large one: what is compressed is no JSON, and ends as unusable.
        .no_gzip()
        .no_brotli()
        .no_deflate()
        .no_zstd()
        .retry(retry::never())
}

/// Builds a client that trusts the machine's certificates, or, on a machine without any, where the first would
/// not build even for plain HTTP, those of Mozilla's list.
fn build(recipe: impl Fn() -> ClientBuilder) -> Result<Client, String> {
    if let Ok(client) = recipe().build() {
        return Ok(client);
    }
    let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let roots = roots.filter_map(|root| reqwest::Certificate::from_der(root).ok());
    let built = recipe().tls_certs_only(roots).build();
    built.map_err(|e| format!("the HTTP client cannot be built: {}", root_cause(&e)))
}

/// What a call without any reply came to: nothing was sent unless the connection stood.
fn unsent_or_unanswered(error: reqwest::Error, repeat: Repeat, time: Duration) -> Failure {
    let error = error.without_url();
    if error.is_builder() {
        return Failure::new(
            FailureClass::Invalid,
            format!("the request cannot be sent: {}", root_cause(&error)),
        );
    }
    if error.is_connect() {
        return Failure::new(FailureClass::Transient, format!("cannot connect: {}", root_cause(&error)));
    }
    let class = FailureClass::without_answer(repeat);
    if error.is_timeout() {
        return Failure::new(class, format!("no answer within {}", spoken(time)));
    }
    Failure::new(class, format!("the connection broke before the answer: {}", root_cause(&error)))
}

/// The last error of the chain, which says what happened; those above say only where.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Whether our own resolver refused the name.
pub(super) fn is_out_of_reach(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<OutOfReach>() {
            return true;
        }
        cause = error.source();
    }
    false
}

fn header_texts(response: &Response) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    response.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// A body that did not end as it should.
pub(super) struct Cut {
    /// What had come until then.
    so_far: Bytes,
    how: CutHow,
}

enum CutHow {
    TooLarge,
    Stalled,
    Broken(String),
}

impl Cut {
    /// An answer of a paid call that breaks off is lost, and maybe billed. One that does not end is no asset.
    fn failure(self, repeat: Repeat, most: usize, status: u16) -> Failure {
        let class = match self.how {
            CutHow::TooLarge => FailureClass::Unusable,
            CutHow::Stalled | CutHow::Broken(_) => FailureClass::without_answer(repeat),
        };
        Failure { http_status: Some(status), ..Failure::new(class, self.why(most)) }
    }

    /// What happened to the body, in words.
    pub(super) fn why(&self, most: usize) -> String {
        match &self.how {
            CutHow::TooLarge => format!("the answer is larger than {} MiB", most >> 20),
            CutHow::Stalled => format!("the answer stopped coming for {}", spoken(BODY_IDLE)),
            CutHow::Broken(why) => format!("the answer broke off: {why}"),
        }
    }

    /// Whether there was simply too much of it.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self.how, CutHow::TooLarge)
    }
}

/// Takes in a body of at most `most` bytes.
pub(super) async fn read_body(mut response: Response, most: usize) -> Result<Bytes, Cut> {
    let mut body = BytesMut::new();
    let announced = response.content_length();
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > most)) {
        // Of an error the beginning is still worth reading; nothing else is.
        if response.status().is_success() {
            return Err(Cut { so_far: Bytes::new(), how: CutHow::TooLarge });
        }
    }
    loop {
        let how = match timeout(BODY_IDLE, response.chunk()).await {
            Ok(Ok(None)) => return Ok(body.freeze()),
            Ok(Ok(Some(chunk))) => {
                let room = most - body.len();
                body.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
                if chunk.len() <= room {
                    continue;
                }
                CutHow::TooLarge
            }
            Ok(Err(error)) if error.is_timeout() => CutHow::Broken("its time was up".to_owned()),
            Ok(Err(error)) => CutHow::Broken(root_cause(&error.without_url())),
            Err(_) => CutHow::Stalled,
        };
        return Err(Cut { so_far: body.freeze(), how });
    }
}
