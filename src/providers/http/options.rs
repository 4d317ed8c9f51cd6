//! How the configuration describes a JSON API, read into types and checked.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::asset::Medium;
use crate::domain::provider::Provider;
use crate::providers::protocol::Mistake;

use super::filling::{self, Facts};
use super::hosts::HostPattern;
use super::json_path::JsonPath;
use super::rules::Rule;

/// Everything a provider says of its API.
#[derive(Debug)]
pub(super) struct HttpOptions {
    pub(super) auth: AuthOptions,
    pub(super) request: RequestOptions,
    pub(super) output: OutputOptions,
    pub(super) operation: Option<OperationOptions>,
    pub(super) hosts: Vec<HostPattern>,
    pub(super) error: Option<JsonPath>,
    pub(super) classes: Vec<Rule>,
    pub(super) check: Option<CheckOptions>,
}

/// How the key travels; `authorization: Bearer KEY` when nothing is said.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuthOptions {
    pub(super) header: String,
    pub(super) prefix: String,
}

impl Default for AuthOptions {
    fn default() -> Self {
        Self { header: "authorization".to_owned(), prefix: "Bearer ".to_owned() }
    }
}

/// A request as a template.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestOptions {
    /// `POST` where there is a body, else `GET`.
    pub(super) method: Option<Method>,
    /// Below the provider's `base_url`. Its templates know `model` and `operation`, and nothing that a job brings.
    pub(super) path: String,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// What is posted as JSON.
    pub(super) body: Option<Value>,
    /// What is posted as a form instead, field by field.
    pub(super) form: Option<BTreeMap<String, Value>>,
}

impl RequestOptions {
    /// What it posts, under its key.
    fn posted(&self) -> Vec<(&'static str, Value)> {
        let body = self.body.iter().map(|body| ("body", body.clone()));
        let form = self.form.iter().map(|form| ("form", Value::Object(form.clone().into_iter().collect())));
        body.chain(form).collect()
    }

    /// Whether it posts; a post without a body posts `{}`.
    pub(super) fn posts(&self) -> bool {
        self.method.map_or(self.body.is_some() || self.form.is_some(), |method| method == Method::Post)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Method {
    Get,
    Post,
}

/// Where the output lies in a successful reply. Of several, the first that is there counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutputOptions {
    /// An address to fetch it from, without the key.
    pub(super) url: Option<JsonPath>,
    /// The file itself, as base64 or as a `data:` address.
    pub(super) base64: Option<JsonPath>,
    /// Words.
    pub(super) text: Option<JsonPath>,
    /// The reply's whole body is the file.
    #[serde(default)]
    pub(super) body: bool,
}

/// How to ask after a generation that takes its time.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OperationOptions {
    /// Where the first reply names the operation.
    pub(super) id: JsonPath,
    /// The request that asks how it stands.
    pub(super) poll: RequestOptions,
    /// Where a poll's reply says how it stands.
    pub(super) status: JsonPath,
    /// Words that mean it ended well, besides the ones every vendor uses.
    #[serde(default)]
    pub(super) done: Vec<String>,
    /// Words that mean it ended without an output, besides the usual ones.
    #[serde(default)]
    pub(super) failed: Vec<String>,
    /// Words that mean it is still under way, where a usual one would mislead.
    #[serde(default)]
    pub(super) running: Vec<String>,
    /// The request that fetches the output's description, where the poll's reply does not hold it.
    pub(super) result: Option<RequestOptions>,
    /// Where the first reply names an address whose host is to be asked, where that is not the configured one.
    pub(super) host: Option<JsonPath>,
}

/// A question that costs nothing: whether the vendor takes the key, and still has the model.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CheckOptions {
    /// Asked with a GET. Where `model` stands in it, a success says that the model is there.
    pub(super) path: String,
    #[serde(default)]
    pub(super) query: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// Where the list of models lies; the whole reply where only `id` is said.
    pub(super) list: Option<JsonPath>,
    /// The field of an entry that holds the model's id.
    pub(super) id: Option<String>,
    /// The field of an entry that holds the day of its end.
    pub(super) ends: Option<String>,
    /// Where a number says how much is left on the account.
    pub(super) left: Option<JsonPath>,
}

impl CheckOptions {
    /// As any other request.
    pub(super) fn request(&self) -> RequestOptions {
        let (path, query, headers) = (self.path.clone(), self.query.clone(), self.headers.clone());
        RequestOptions { method: Some(Method::Get), path, query, headers, body: None, form: None }
    }

    /// Whether it asks for the model's own entry.
    pub(super) fn names_model(&self) -> bool {
        self.path.contains("model") && self.path.contains("{{")
    }
}

const KEYS: [&str; 8] = ["auth", "request", "output", "operation", "hosts", "error", "classes", "check"];

/// Headers that are the driver's.
const OURS: [&str; 6] =
    ["host", "content-length", "content-type", "transfer-encoding", "connection", "user-agent"];

/// Reads a provider's options, with every mistake at once.
pub(super) fn read(provider: &Provider) -> Result<HttpOptions, Vec<Mistake>> {
    let mut mistakes: Vec<Mistake> = provider
        .options
        .keys()
        .filter(|key| !KEYS.contains(&key.as_str()))
        .map(|key| Mistake::of(key, format!("is unknown; the http protocol knows {}", KEYS.join(", "))))
        .collect();
    let of = &provider.options;
    let auth = section::<AuthOptions>(of, "auth", &mut mistakes).unwrap_or_default();
    let request = section::<RequestOptions>(of, "request", &mut mistakes);
    let output = section::<OutputOptions>(of, "output", &mut mistakes);
    let operation = section::<OperationOptions>(of, "operation", &mut mistakes);
    let hosts = section::<Vec<HostPattern>>(of, "hosts", &mut mistakes).unwrap_or_default();
    let error = section::<JsonPath>(of, "error", &mut mistakes);
    let check = section::<CheckOptions>(of, "check", &mut mistakes);
    let classes = rules(of.get("classes"), &mut mistakes);
    for key in ["request", "output"] {
        if !of.contains_key(key) {
            mistakes
                .push(Mistake::of(key, "is missing; say how the API is called and where its output lies"));
        }
    }
    let (Some(request), Some(output)) = (request, output) else { return Err(mistakes) };
    let options = HttpOptions { auth, request, output, operation, hosts, error, classes, check };
    options.check(provider, &mut mistakes);
    if mistakes.is_empty() { Ok(options) } else { Err(mistakes) }
}

fn section<T: DeserializeOwned>(
    options: &Map<String, Value>,
    key: &str,
    mistakes: &mut Vec<Mistake>,
) -> Option<T> {
    let value = options.get(key)?;
    match serde_json::from_value(value.clone()) {
        Ok(read) => Some(read),
        Err(why) => {
            mistakes.push(Mistake::of(key, why.to_string()));
            None
        }
    }
}

/// Rules are read one by one, so that each mistake names its rule.
fn rules(value: Option<&Value>, mistakes: &mut Vec<Mistake>) -> Vec<Rule> {
    let Some(value) = value else { return Vec::new() };
    let Some(list) = value.as_array() else {
        mistakes.push(Mistake::of("classes", "must be a list of tables"));
        return Vec::new();
    };
    let mut rules = Vec::with_capacity(list.len());
    for (at, item) in list.iter().enumerate() {
        match serde_json::from_value::<Rule>(item.clone()).map_err(|e| e.to_string()).and_then(Rule::checked)
        {
            Ok(rule) => rules.push(rule),
            Err(why) => mistakes.push(Mistake::of(format!("classes.{at}"), why)),
        }
    }
    rules
}

impl HttpOptions {
    fn check(&self, provider: &Provider, mistakes: &mut Vec<Mistake>) {
        self.check_auth(mistakes);
        self.check_request("request", &self.request, provider, mistakes);
        self.check_output(provider.medium, mistakes);
        self.check_question(provider, mistakes);
        let Some(operation) = &self.operation else {
            if !self.hosts.is_empty() {
                mistakes.push(Mistake::of("hosts", "is only used with operation.host; leave it out"));
            }
            return;
        };
        if self.output.body && operation.result.is_none() {
            let why = "a poll's reply is JSON; add operation.result, the request that fetches the file";
            mistakes.push(Mistake::of("output.body", why));
        }
        self.check_request("operation.poll", &operation.poll, provider, mistakes);
        if let Some(result) = &operation.result {
            self.check_request("operation.result", result, provider, mistakes);
        }
        for (key, request) in [("poll", Some(&operation.poll)), ("result", operation.result.as_ref())] {
            let Some(request) = request else { continue };
            let said = std::iter::once(&request.path).chain(request.query.values());
            let in_body = request.posted().iter().any(|(_, body)| body.to_string().contains("operation"));
            if !in_body && !said.into_iter().any(|text| text.contains("operation")) {
                let why = "does not say which operation is meant; put {{ operation }} into it";
                mistakes.push(Mistake::of(format!("operation.{key}"), why));
            }
        }
        if operation.host.is_some() == self.hosts.is_empty() {
            let why = "operation.host says where a reply names a host, hosts which ones may get the key: \
                       both are needed, or neither";
            mistakes.push(Mistake::of("hosts", why));
        }
    }

    fn check_auth(&self, mistakes: &mut Vec<Mistake>) {
        if !is_header(&self.auth.header) || OURS.contains(&self.auth.header.as_str()) {
            mistakes
                .push(Mistake::of("auth.header", "is no header a key can travel in; write it in lower case"));
        }
    }

    fn check_request(
        &self,
        key: &str,
        request: &RequestOptions,
        provider: &Provider,
        mistakes: &mut Vec<Mistake>,
    ) {
        let mut add = |key: String, wrong: String| mistakes.push(Mistake::of(key, wrong));
        let sample = key.starts_with("operation").then_some("operation");
        let path = Facts::of_path(provider.model.as_deref(), sample).text(&request.path);
        if let Err(why) = path.and_then(checked_path) {
            add(format!("{key}.path"), why);
        }
        let mut templates = Vec::new();
        for (part, fields) in [("query", &request.query), ("headers", &request.headers)] {
            for (name, template) in fields {
                filling::mistakes(&format!("{key}.{part}.{name}"), &template.as_str().into(), &mut templates);
            }
        }
        for (part, body) in request.posted() {
            filling::mistakes(&format!("{key}.{part}"), &body, &mut templates);
            if !request.posts() {
                add(format!("{key}.{part}"), format!("a GET has no {part}; leave it out, or method"));
            }
        }
        if request.body.is_some() && request.form.is_some() {
            add(format!("{key}.form"), "stands beside body; a request posts one of the two".to_owned());
        }
        for (name, field) in request.form.iter().flatten() {
            if field.is_array() || field.is_object() || field.is_null() {
                add(format!("{key}.form.{name}"), "is no text, number or truth value".to_owned());
            }
        }
        for name in request.headers.keys() {
            if !is_header(name) || OURS.contains(&name.as_str()) {
                add(format!("{key}.headers.{name}"), "is no header that can be set".to_owned());
            } else if *name == self.auth.header {
                let why = "is where the key goes; give the key as api_key, by reference".to_owned();
                add(format!("{key}.headers.{name}"), why);
            }
        }
        templates.into_iter().for_each(|(key, why)| add(key, why));
    }

    fn check_question(&self, provider: &Provider, mistakes: &mut Vec<Mistake>) {
        let Some(check) = &self.check else { return };
        self.check_request("check", &check.request(), provider, mistakes);
        if check.id.is_none() && (check.list.is_some() || check.ends.is_some()) {
            mistakes
                .push(Mistake::of("check.id", "is missing; say which field of an entry is the model's id"));
        }
    }

    fn check_output(&self, medium: Medium, mistakes: &mut Vec<Mistake>) {
        let output = &self.output;
        let file = output.url.is_some() || output.base64.is_some() || output.body;
        match medium {
            Medium::Text if output.text.is_none() && !output.body && output.url.is_none() => {
                mistakes.push(Mistake::of("output", "says nowhere where the text lies; set text"));
            }
            Medium::Image | Medium::Video | Medium::Audio if !file => {
                mistakes
                    .push(Mistake::of("output", "says nowhere where the file lies; set url, base64 or body"));
            }
            Medium::Text | Medium::Image | Medium::Video | Medium::Audio => {}
        }
    }
}

fn is_header(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    !name.is_empty() && name.chars().all(plain)
}

/// A finished path, if it can lead nowhere but below the configured address.
pub(super) fn checked_path(path: String) -> Result<String, String> {
    let path = path.trim_start_matches('/').to_owned();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~=:@+,/".contains(c);
    let climbs = path.split('/').any(|segment| !segment.is_empty() && segment.chars().all(|c| c == '.'));
    if path.is_empty() || climbs || path.contains("//") || !path.chars().all(plain) {
        return Err(format!(
            "\"{path}\" is no path below base_url; letters, digits and -._~=:@+, may stand in it, parameters in query"
        ));
    }
    Ok(path)
}
