//! Google's Veo, by `predictLongRunning`: on Vertex AI, at relays and emulators, and as the Gemini API spoke it.
//!
//! Rests on recordings by third parties and on Google's SDK sources; what a filtered film looks like is known from
//! the SDK alone. Filtered and failed films are not charged.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::accept::Acceptance;
use crate::domain::ask::{Ask, Body, Output};
use crate::domain::failure::Failure;
use crate::domain::provider::Provider;

use super::classify;
use super::encoded::decoded;
use super::further::{self, Guarded};
use super::google;
use super::imagen::stored_elsewhere;
use super::operation;
use super::options;
use super::protocol::{Auth, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::vendor_error::VendorError;
use super::video::VideoOptions;

/// The protocol `veo`.
pub(super) struct Veo;

/// What `extra` may not hold.
const GUARDED: &[Guarded] = &[
    ("sampleCount", ""),
    ("durationSeconds", "seconds"),
    ("resolution", "resolution"),
    ("aspectRatio", "aspect_ratio"),
];

#[derive(Deserialize)]
struct Operation {
    name: Option<String>,
    /// Missing while it runs.
    done: Option<bool>,
    error: Option<Value>,
    response: Option<Response>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Response {
    /// The Gemini API's.
    generate_video_response: Option<Films>,
    /// Vertex AI's.
    #[serde(flatten)]
    films: Films,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Films {
    generated_samples: Option<Vec<Sample>>,
    videos: Option<Vec<Film>>,
    rai_media_filtered_count: Option<u64>,
    rai_media_filtered_reasons: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Sample {
    video: Option<Film>,
}

/// A film, under the Gemini API's names or Vertex AI's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Film {
    uri: Option<String>,
    #[serde(alias = "bytesBase64Encoded")]
    encoded_video: Option<String>,
    #[serde(alias = "mimeType")]
    encoding: Option<String>,
    gcs_uri: Option<String>,
}

impl Protocol for Veo {
    fn auth(&self, provider: &Provider) -> Auth {
        google::auth(provider)
    }

    fn is_long_running(&self, _provider: &Provider) -> bool {
        true
    }

    fn files_need_key(&self, _provider: &Provider) -> bool {
        true
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        let options: VideoOptions = options::read(provider)?;
        further::check(&options.extra, GUARDED)?;
        google::vertex(provider).map(drop)
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
        let mut parameters = Map::new();
        parameters.insert("sampleCount".to_owned(), 1.into());
        parameters.insert("durationSeconds".to_owned(), seconds(&options, call.provider, accept).into());
        parameters.insert("aspectRatio".to_owned(), options.ratio(accept).into());
        if !is_veo_2(call.provider) {
            parameters.insert("resolution".to_owned(), options.resolution(accept).into());
        }
        parameters.extend(options.extra);
        let body = json!({"instances": [{"prompt": call.ask.prompt}], "parameters": parameters});
        Ok(HttpRequest::post(google::method(call, "predictLongRunning")?, body))
    }

    fn poll(&self, call: &Call<'_>, operation: &str) -> Result<HttpRequest, Failure> {
        match google::vertex(call.provider) {
            Ok(None) => Ok(HttpRequest::get(format!("v1beta/{operation}"))),
            Ok(Some(_)) | Err(_) => {
                let path = google::method(call, "fetchPredictOperation")?;
                Ok(HttpRequest::post(path, json!({"operationName": operation})))
            }
        }
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(match call.operation {
                None => google::submit_failure(call, reply),
                Some(_) if is_unknown(reply) => {
                    operation::lost(call.provider, "the vendor knows no such operation")
                }
                Some(_) => google::failure(call, reply),
            });
        }
        let found: Operation = operation::read(call, reply)?;
        if let Some(error) = found.error.as_ref().filter(|error| !error.is_null()) {
            // An error that is not the operation's own is one of the reply: a relay's.
            return Err(match found.done {
                Some(true) => google::operation_failure(error),
                Some(false) | None => classify::failure(call, reply, &VendorError::within(error)),
            });
        }
        if found.done == Some(true) {
            return found.response.unwrap_or_default().film(call);
        }
        let operation = found.name.filter(|name| name.split('/').any(|segment| segment == "operations"));
        match (operation, call.operation) {
            // Whoever asks knows the name; a reply with another one would send the next poll astray.
            (_, Some(asked)) => Ok(Interpreted::Accepted { operation: asked.to_owned() }),
            (Some(operation), None) => Ok(Interpreted::Accepted { operation }),
            (None, None) => Err(operation::unclear(call, "the answer names no operation")),
        }
    }
}

impl Response {
    fn film(self, call: &Call<'_>) -> Result<Interpreted, Failure> {
        let Films { generated_samples, videos, rai_media_filtered_count, rai_media_filtered_reasons } =
            self.generate_video_response.unwrap_or(self.films);
        let samples = generated_samples.into_iter().flatten().filter_map(|sample| sample.video);
        let films: Vec<Film> = samples.chain(videos.into_iter().flatten()).collect();
        let stored = films.iter().any(|film| film.gcs_uri.is_some());
        let film = films.into_iter().find(|film| film.uri.is_some() || film.encoded_video.is_some());
        let Some(film) = film else {
            let reasons = rai_media_filtered_reasons.unwrap_or_default();
            return Err(if stored {
                stored_elsewhere("video")
            } else if rai_media_filtered_count.unwrap_or(0) > 0 || !reasons.is_empty() {
                google::filtered(&reasons.join(" "))
            } else {
                Failure::unusable("it is done without a video")
            });
        };
        let cost_micros = price(call.provider, call.ask);
        let output = |bytes| Output {
            claimed_type: film.encoding.clone(),
            model: call.provider.model.clone(),
            cost_micros,
            ..Output::plain(Body::File(bytes))
        };
        match (film.encoded_video.as_deref(), film.uri.as_deref()) {
            (Some(encoded), _) => {
                let bytes =
                    decoded(encoded, "video").map_err(|failure| Failure { cost_micros, ..failure })?;
                Ok(Interpreted::Output(output(bytes)))
            }
            (None, uri) => {
                let url = google::media_address(uri.unwrap_or_default());
                Ok(Interpreted::Fetch { url, output: output(bytes::Bytes::new()) })
            }
        }
    }
}

fn is_veo_2(provider: &Provider) -> bool {
    provider.model.as_deref().is_some_and(|model| model.contains("veo-2"))
}

/// What the film that is asked for costs: it is known before, and no reply says otherwise.
fn price(provider: &Provider, ask: &Ask) -> i64 {
    options::read::<VideoOptions>(provider).map_or(provider.price_micros, |options| {
        let resolution = options.resolution(&ask.accept);
        options.cost_micros(provider, seconds(&options, provider, &ask.accept), &resolution)
    })
}

/// Veo 2 films 5 to 8 seconds, later ones 4, 6 or 8.
fn seconds(options: &VideoOptions, provider: &Provider, accept: &Acceptance) -> u32 {
    let lengths: &[u32] = if is_veo_2(provider) { &[5, 6, 7, 8] } else { &[4, 6, 8] };
    options.seconds(lengths, accept)
}

/// Google answers 403 and not 404 for an operation it does not know.
fn is_unknown(reply: &HttpReply) -> bool {
    let words = VendorError::of(reply).words.unwrap_or_default().to_lowercase();
    matches!(reply.status, 404 | 410) || (reply.status == 403 && words.contains("operation"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::{ask, body_of, clock, provider};

    #[test]
    fn a_request_names_a_length_and_a_shape_the_model_knows() {
        let base = "https://generativelanguage.googleapis.com";
        let mut provider = provider("veo", "veo-2.0-generate-001", base);
        let mut ask = ask();
        ask.accept.min_width = Some(1080);
        ask.accept.min_height = Some(1920);
        let expected = json!({"instances": [{"prompt": "A post about foxes"}],
            "parameters": {"sampleCount": 1, "durationSeconds": 8, "aspectRatio": "9:16"}});
        assert_eq!(body_of(&Veo, &provider, &ask), expected);
        provider.model = Some("veo-3.1-generate-001".to_owned());
        let options = json!({"seconds": 4, "extra": {"negativePrompt": "text"}});
        provider.options = options.as_object().expect("an object").clone();
        let parameters = json!({"sampleCount": 1, "durationSeconds": 4, "aspectRatio": "9:16",
            "resolution": "1080p", "negativePrompt": "text"});
        assert_eq!(body_of(&Veo, &provider, &ask)["parameters"], parameters);
    }

    #[test]
    fn an_operation_is_asked_after_where_the_configuration_says() {
        let (ask, clock) = (ask(), clock());
        let name = "models/veo-3.1/operations/o1";
        let poll =
            |provider: &Provider| Veo.poll(&Call::poll(provider, &ask, &clock, name), name).expect("a poll");
        let gemini = provider("veo", "veo-3.1", "https://generativelanguage.googleapis.com");
        assert_eq!(poll(&gemini), HttpRequest::get("v1beta/models/veo-3.1/operations/o1"));
        let mut vertex = provider("veo", "veo-3.1", "https://us-central1-aiplatform.googleapis.com");
        vertex.options.insert("project".to_owned(), "p-1".into());
        let path =
            "v1/projects/p-1/locations/us-central1/publishers/google/models/veo-3.1:fetchPredictOperation";
        assert_eq!(poll(&vertex), HttpRequest::post(path, json!({"operationName": name})));
    }
}
