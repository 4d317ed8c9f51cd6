//! Reads a reply by its description: the output, an operation under way, or a failure.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::domain::ask::{Body, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::providers::encoded::decoded;
use crate::providers::operation::{self, Stage};
use crate::providers::protocol::{Call, HttpReply, Interpreted};
use crate::providers::vendor_error::VendorError;
use crate::providers::{address, classify, hints};

use super::options::{HttpOptions, OperationOptions, OutputOptions};
use super::rules::Verdict;
use super::{address_of, ask_after, hosts, json_path, rules};

/// One reply being read.
pub(super) struct Reading<'a> {
    pub(super) options: &'a HttpOptions,
    pub(super) call: &'a Call<'a>,
    pub(super) reply: &'a HttpReply,
}

impl Reading<'_> {
    /// The body of a reply that holds the output, and is no failure. A file is not read as JSON.
    pub(super) fn output_body(&self) -> Result<Value, Failure> {
        if self.options.output.body { self.unfailed() } else { self.body() }
    }

    /// The body of a reply that is no failure.
    pub(super) fn body(&self) -> Result<Value, Failure> {
        self.unfailed()?;
        self.reply.json().map_err(|failure| self.unreadable(failure))
    }

    /// What can be read of a reply that neither its status nor a rule makes a failure.
    fn unfailed(&self) -> Result<Value, Failure> {
        let (reply, call) = (self.reply, self.call);
        let until = hints::retry_at(reply, call.now());
        let parsed = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
        if let Some(verdict) = rules::judge(&self.options.classes, reply, &parsed, until) {
            return Err(self.judged(verdict, &parsed));
        }
        if !reply.is_success() {
            return Err(self.failed());
        }
        Ok(parsed)
    }

    /// The failure of a reply whose status is one.
    fn failed(&self) -> Failure {
        let (reply, call) = (self.reply, self.call);
        // What a vendor does not know of right after the submit, it may know of in a moment.
        if call.operation.is_some() && matches!(reply.status, 404 | 410) {
            return operation::lost(call.provider, &format!("a poll answered {}", reply.status));
        }
        let error = VendorError::of(reply);
        match (&self.options.operation, call.operation) {
            (Some(_), None) => classify::submit_failure(call, reply, &error),
            (Some(_) | None, _) => classify::failure(call, reply, &error),
        }
    }

    /// A success that cannot be read leaves the fate of an operation open; where there is none, nothing was made.
    fn unreadable(&self, failure: Failure) -> Failure {
        let provider = self.call.provider;
        match (&self.options.operation, self.call.operation) {
            (None, _) => failure,
            (Some(_), None) => Failure { class: FailureClass::without_answer(provider.repeat), ..failure },
            (Some(_), Some(_)) => operation::unclear(self.call, failure.message),
        }
    }

    /// The failure that a rule of the configuration names. One within a success is about the operation, and ends
    /// it: asking again would not change it.
    fn judged(&self, Verdict { class, subject, billed }: Verdict, body: &Value) -> Failure {
        let cost_micros = if billed { self.call.provider.price_micros } else { 0 };
        if !self.reply.is_success() {
            let known = classify::failure(self.call, self.reply, &VendorError::of(self.reply));
            return Failure { class, cost_micros, ..known };
        }
        let words =
            self.words(body).unwrap_or_else(|| format!("its reply means {class}, by the rule on {subject}"));
        let failure = Failure { cost_micros, ..Failure::new(class, words) };
        if self.call.operation.is_none() {
            return failure;
        }
        Failure { class: ended(failure.class), ..failure }.of_ended_operation()
    }

    /// Where an operation stands, after the reply that began it or a poll's.
    pub(super) fn operation(
        &self,
        described: &OperationOptions,
        body: &Value,
    ) -> Result<Interpreted, Failure> {
        let word = described.status.text_at(body);
        let stage = word.as_deref().map(|word| described.stage(word));
        let failed = || self.ended_badly(word.as_deref().unwrap_or("failed"), stage, body);
        match stage {
            // Right after the submit a vendor may not know it yet.
            Some(Stage::Expired) if self.call.operation.is_some() => {
                let word = word.unwrap_or_default().chars().take(40).collect::<String>();
                Err(operation::lost(self.call.provider, &format!("it is \"{word}\"")))
            }
            Some(Stage::Failed | Stage::Cancelled | Stage::Expired | Stage::Refused) => Err(failed()),
            Some(Stage::Succeeded) => match (&described.result, self.call.operation) {
                (Some(result), Some(operation)) => {
                    let (options, provider) = (self.options, self.call.provider);
                    ask_after(options, result, "operation.result", provider, operation).map(Interpreted::Then)
                }
                (Some(_), None) => self.accepted(described, body),
                (None, _) => self.output(body),
            },
            Some(Stage::Running) => self.accepted(described, body),
            None if self.error(body).is_some() => Err(failed()),
            None => self.accepted(described, body),
        }
    }

    fn accepted(&self, described: &OperationOptions, body: &Value) -> Result<Interpreted, Failure> {
        if let Some(operation) = self.call.operation {
            return Ok(Interpreted::Accepted { operation: operation.to_owned() });
        }
        let provider = self.call.provider;
        let unknown = |why: String| Failure::new(FailureClass::without_answer(provider.repeat), why);
        let Some(id) = described.id.text_at(body) else {
            return Err(unknown(format!("took the request without naming an operation at {}", described.id)));
        };
        let Some(path) = &described.host else { return Ok(Interpreted::Accepted { operation: id }) };
        let (base, reach) = address_of(provider)?;
        let named = path.text_at(body).unwrap_or_else(|| base.to_string());
        let own = url::Url::parse(&named).is_ok_and(|named| address::same_host(&named, &base));
        match hosts::authority(&named, &self.options.hosts, reach) {
            Some(authority) => Ok(Interpreted::Accepted { operation: format!("{authority}/{id}") }),
            None if own => Ok(Interpreted::Accepted { operation: id }),
            None => Err(unknown(format!(
                "took the request and names, at {path}, a host to ask that is not in providers.{}.hosts",
                provider.name
            ))),
        }
    }

    /// The output that a reply holds or names.
    pub(super) fn output(&self, body: &Value) -> Result<Interpreted, Failure> {
        if let Some(error) = self.error(body) {
            let error = VendorError::within(error);
            return Err(classify::failure(self.call, self.reply, &error));
        }
        let provider = self.call.provider;
        let output = |body, claimed_type: Option<&str>| Output {
            claimed_type: claimed_type.map(str::to_owned),
            model: provider.model.clone(),
            cost_micros: provider.price_micros,
            ..Output::plain(body)
        };
        let costly = |failure: Failure| Failure { cost_micros: provider.price_micros, ..failure };
        let OutputOptions { url, base64, text, body: whole } = &self.options.output;
        if let Some(words) = text.as_ref().and_then(|path| joined(path, body)) {
            return Ok(Interpreted::Output(output(Body::Text(words), None)));
        }
        if let Some(encoded) = base64.as_ref().and_then(|path| path.text_at(body)) {
            let bytes = decoded(&encoded, "file").map_err(costly)?;
            return Ok(Interpreted::Output(output(Body::File(bytes), None)));
        }
        if let Some(url) = url.as_ref().and_then(|path| path.text_at(body)) {
            if url.starts_with("data:") {
                let bytes = decoded(&url, "file").map_err(costly)?;
                return Ok(Interpreted::Output(output(Body::File(bytes), None)));
            }
            let output = output(Body::File(Bytes::new()), None);
            return Ok(Interpreted::Fetch { url, output });
        }
        if *whole {
            if self.reply.body.is_empty() {
                return Err(costly(Failure::unusable("answered with nothing")));
            }
            let claimed_type = self.reply.header("content-type");
            return Ok(Interpreted::Output(output(Body::File(self.reply.body.clone()), claimed_type)));
        }
        let places: Vec<String> =
            [url, base64, text].into_iter().flatten().map(ToString::to_string).collect();
        Err(costly(Failure::unusable(format!("the answer holds nothing at {}", places.join(" or ")))))
    }

    fn ended_badly(&self, word: &str, stage: Option<Stage>, body: &Value) -> Failure {
        let word: String = word.chars().take(40).collect();
        let words = self.words(body).map(|words| format!(": {words}")).unwrap_or_default();
        let message = format!("the generation ended as \"{word}\"{words}");
        if stage == Some(Stage::Refused) {
            return Failure::new(FailureClass::Refused { category: None }, message).of_ended_operation();
        }
        // Judged as if the same words had come with a 400: only there do words for people count.
        let error = self.error(body).map(VendorError::within).unwrap_or_default();
        let known = classify::failure(self.call, self.reply, &VendorError { status: 400, ..error });
        Failure::new(ended(known.class), message).of_ended_operation()
    }

    fn error<'v>(&self, body: &'v Value) -> Option<&'v Value> {
        let found = self.options.error.as_ref()?.at(body)?;
        let empty = found.as_str().is_some_and(|text| text.trim().is_empty())
            || found.as_array().is_some_and(Vec::is_empty)
            || found.as_object().is_some_and(Map::is_empty)
            || *found == Value::Bool(false);
        (!empty).then_some(found)
    }

    /// What the vendor says of an error, for people.
    fn words(&self, body: &Value) -> Option<String> {
        self.error(body).and_then(|error| VendorError::within(error).words)
    }
}

impl OperationOptions {
    /// The configuration's words first, then those that every vendor uses. One that nobody knows counts as
    /// under way: it is no success, and the link's time ends the wait.
    fn stage(&self, word: &str) -> Stage {
        let listed = |words: &[String]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        if listed(&self.running) {
            Stage::Running
        } else if listed(&self.done) {
            Stage::Succeeded
        } else if listed(&self.failed) {
            Stage::Failed
        } else {
            operation::stage(word)
        }
    }
}

/// The class of a generation that is over. Classes that ask to poll on would do so for ever; what is not known to
/// have a reason of its own is an answer without an asset.
fn ended(class: FailureClass) -> FailureClass {
    match class {
        FailureClass::Quota { .. } | FailureClass::Refused { .. } => class,
        FailureClass::Transient
        | FailureClass::RateLimited { .. }
        | FailureClass::Auth
        | FailureClass::Retired
        | FailureClass::Invalid
        | FailureClass::Unusable
        | FailureClass::TimedOut
        | FailureClass::UnknownOutcome
        | FailureClass::Internal => FailureClass::Unusable,
    }
}

/// A text; a list of texts is one that came in pieces.
fn joined(path: &json_path::JsonPath, body: &Value) -> Option<String> {
    let Some(Value::Array(pieces)) = path.at(body) else { return path.text_at(body) };
    let text: String = pieces.iter().filter_map(Value::as_str).collect();
    (!text.trim().is_empty()).then_some(text)
}
