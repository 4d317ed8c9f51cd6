//! Gemini Omni's videos, by background interactions.
//!
//! Rests on recordings by third parties of 2026 (errors have a string as code, an unknown id is a 400, a model that
//! declines completes with words alone) and on Google's SDK: faults stand in `errors`, or beside a step's content.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::accept::Acceptance;
use crate::domain::ask::{Ask, Body, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::classify;
use super::encoded::decoded;
use super::further::{self, Guarded};
use super::google;
use super::operation::{self, Stage};
use super::options;
use super::protocol::{Auth, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::vendor_error::VendorError;
use super::video::VideoOptions;

/// The protocol `gemini-video`.
pub(super) struct GeminiVideo;

/// What `extra` may not hold.
const GUARDED: &[Guarded] =
    &[("model", "model"), ("response_format", "seconds, resolution and aspect_ratio")];

#[derive(Deserialize)]
struct Interaction {
    id: Option<String>,
    status: Option<String>,
    model: Option<String>,
    steps: Option<Vec<Step>>,
    error: Option<Value>,
    errors: Option<Vec<Value>>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(rename = "type")]
    kind: Option<String>,
    content: Option<Vec<Part>>,
    /// A `google.rpc.Status`.
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: Option<String>,
    text: Option<String>,
    uri: Option<String>,
    data: Option<String>,
    mime_type: Option<String>,
}

impl Protocol for GeminiVideo {
    fn auth(&self, _provider: &Provider) -> Auth {
        Auth::bare("x-goog-api-key")
    }

    fn is_long_running(&self, _provider: &Provider) -> bool {
        true
    }

    fn files_need_key(&self, _provider: &Provider) -> bool {
        true
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        let options: VideoOptions = options::read(provider)?;
        if options.project.is_some() || options.location.is_some() {
            return Err(
                "options: project and location are for Vertex AI, which this protocol does not call; \
                        use veo"
                    .to_owned(),
            );
        }
        further::check(&options.extra, GUARDED)
    }

    fn question(&self, provider: &Provider) -> Option<HttpRequest> {
        google::question(provider)
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        google::answer(asked, reply)
    }

    fn most_micros(&self, provider: &Provider, ask: &Ask) -> i64 {
        price(provider, ask)
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options: VideoOptions = options::of_call(call.provider)?;
        let accept = &call.ask.accept;
        let model = call.model()?;
        // A number instead of a string with its unit is refused.
        let format = json!({"type": "video", "delivery": "uri", "aspect_ratio": options.ratio(accept),
            "resolution": options.resolution(accept), "duration": format!("{}s", seconds(&options, call.provider, accept))});
        let mut body = Map::new();
        body.insert("model".to_owned(), model.into());
        body.insert("input".to_owned(), call.ask.prompt.as_str().into());
        // Without it the request stays open for as long as the film takes.
        body.insert("background".to_owned(), true.into());
        body.insert("response_format".to_owned(), format);
        body.extend(options.extra);
        Ok(HttpRequest::post("v1beta/interactions", body))
    }

    fn poll(&self, _call: &Call<'_>, operation: &str) -> Result<HttpRequest, Failure> {
        Ok(HttpRequest::get(format!("v1beta/interactions/{operation}")))
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(match call.operation {
                None => google::submit_failure(call, reply),
                Some(_) if is_unknown(reply) => {
                    operation::lost(call.provider, "the vendor knows no such interaction")
                }
                Some(_) => google::failure(call, reply),
            });
        }
        let interaction: Interaction = operation::read(call, reply)?;
        let Some(word) = interaction.status.as_deref() else {
            if let Some(error) = interaction.error.as_ref().filter(|error| !error.is_null()) {
                return Err(classify::failure(call, reply, &VendorError::within(error)));
            }
            return Err(operation::unclear(call, "the answer names no status"));
        };
        match operation::stage(word) {
            Stage::Running => {
                let id = interaction.id.or_else(|| call.operation.map(str::to_owned));
                let operation =
                    id.ok_or_else(|| operation::unclear(call, "the answer names no interaction"))?;
                Ok(Interpreted::Accepted { operation })
            }
            Stage::Succeeded => interaction.film(call, reply),
            Stage::Expired => Err(operation::lost(call.provider, "it has expired")),
            Stage::Failed | Stage::Cancelled | Stage::Refused => {
                Err(interaction.failed(call, reply, word).of_ended_operation())
            }
        }
    }
}

impl Interaction {
    fn film(self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        let cost_micros = price(call.provider, call.ask);
        let fault = self.fault().map(|fault| failure_of(fault, call, reply).of_ended_operation());
        let steps = self.steps.into_iter().flatten();
        let spoken = steps.filter(|step| step.kind.as_deref() == Some("model_output"));
        let mut declined = false;
        let mut film = None;
        for part in spoken.flat_map(|step| step.content.into_iter().flatten()) {
            let words = part.text.as_deref().is_some_and(|text| !text.trim().is_empty());
            declined |= words;
            if part.kind.as_deref() == Some("video") && (part.uri.is_some() || part.data.is_some()) {
                film = Some(part);
            }
        }
        let Some(film) = film else {
            return Err(if let Some(fault) = fault {
                fault
            } else if declined {
                let class = FailureClass::Refused { category: None };
                Failure::new(class, "the model declined in words instead of filming")
            } else {
                Failure::unusable("it completed without a video")
            });
        };
        let output = |body| Output {
            claimed_type: film.mime_type.clone(),
            model: self.model.clone().or_else(|| call.provider.model.clone()),
            cost_micros,
            ..Output::plain(Body::File(body))
        };
        match (film.data.as_deref(), film.uri.as_deref()) {
            (Some(data), _) => {
                let bytes = decoded(data, "video").map_err(|failure| Failure { cost_micros, ..failure })?;
                Ok(Interpreted::Output(output(bytes)))
            }
            (None, uri) => {
                let url = google::media_address(uri.unwrap_or_default());
                Ok(Interpreted::Fetch { url, output: output(bytes::Bytes::new()) })
            }
        }
    }

    fn failed(&self, call: &Call<'_>, reply: &HttpReply, word: &str) -> Failure {
        if word == "budget_exceeded" {
            return Failure::new(
                FailureClass::Quota { until: None },
                "the generation ended as budget_exceeded",
            );
        }
        match self.fault() {
            Some(fault) => failure_of(fault, call, reply),
            None => {
                let word: String = word.chars().take(40).collect();
                Failure::unusable(format!("the generation ended as {word}"))
            }
        }
    }

    /// What went wrong, wherever it stands: beside the status, or beside what a step holds.
    fn fault(&self) -> Option<&Value> {
        let of_steps = self.steps.iter().flatten().map(|step| step.error.as_ref());
        let all =
            [self.error.as_ref()].into_iter().chain(self.errors.iter().flatten().map(Some)).chain(of_steps);
        all.flatten().find(|fault| !fault.is_null())
    }
}

/// The failure of a generation: its code is a word of the interactions API, which may come at the end of an
/// address, or a `google.rpc` number.
fn failure_of(fault: &Value, call: &Call<'_>, reply: &HttpReply) -> Failure {
    let Some(word) = fault.get("code").and_then(Value::as_str) else {
        return google::operation_failure(fault);
    };
    let word = word.rsplit('/').next().unwrap_or(word);
    let fault = json!({"code": word, "message": fault.get("message")});
    let found = classify::failure(call, reply, &VendorError::within(&fault));
    Failure { message: found.message.replacen("answered 200", "the generation failed", 1), ..found }
}

/// What the film that is asked for costs: it is known before, and no reply says otherwise.
fn price(provider: &Provider, ask: &Ask) -> i64 {
    options::read::<VideoOptions>(provider).map_or(provider.price_micros, |options| {
        let resolution = options.resolution(&ask.accept);
        options.cost_micros(provider, seconds(&options, provider, &ask.accept), &resolution)
    })
}

/// Version 1.1 films up to 10 seconds, 1.2 up to 15.
fn seconds(options: &VideoOptions, provider: &Provider, accept: &Acceptance) -> u32 {
    const LENGTHS: &[u32] = &[3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
    let long = provider.model.as_deref().is_some_and(|model| model.contains("omni-1.2"));
    let most = if long { LENGTHS.len() } else { LENGTHS.len() - 5 };
    options.seconds(LENGTHS.get(..most).unwrap_or(LENGTHS), accept)
}

fn is_unknown(reply: &HttpReply) -> bool {
    let words = VendorError::of(reply).words.unwrap_or_default().to_lowercase();
    matches!(reply.status, 404 | 410) || (reply.status == 400 && words.contains("invalid interaction name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::{ask, body_of, clock, provider};

    #[test]
    fn a_request_runs_in_the_background_and_spells_its_duration() {
        let base = "https://generativelanguage.googleapis.com";
        let mut provider = provider("gemini-video", "gemini-omni-1.1-flash", base);
        let mut ask = ask();
        ask.accept.min_duration = Some(std::time::Duration::from_secs(12));
        let mut expected = json!({"model": "gemini-omni-1.1-flash", "input": "A post about foxes", "background": true,
            "response_format": {"type": "video", "delivery": "uri", "aspect_ratio": "16:9",
                "resolution": "720p", "duration": "10s"}});
        assert_eq!(body_of(&GeminiVideo, &provider, &ask), expected);
        provider.model = Some("gemini-omni-1.2-flash".to_owned());
        expected["model"] = json!("gemini-omni-1.2-flash");
        expected["response_format"]["duration"] = json!("12s");
        assert_eq!(body_of(&GeminiVideo, &provider, &ask), expected);
        let clock = clock();
        let poll = GeminiVideo.poll(&Call::poll(&provider, &ask, &clock, "v1_a"), "v1_a").expect("a poll");
        assert_eq!(poll, HttpRequest::get("v1beta/interactions/v1_a"));
    }
}
