//! Google's Imagen, by `predict`: shut down at Google itself, and spoken by relays and emulators.
//!
//! Rests on the source of Google's last SDK that sent it. Filtered pictures are not charged.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::accept::Acceptance;
use crate::domain::ask::{Body, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::classify;
use super::encoded::decoded;
use super::further::{self, Guarded};
use super::google;
use super::options;
use super::protocol::{Auth, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::scrub;
use super::vendor_error::VendorError;

/// The protocol `imagen`.
pub(super) struct Imagen;

const RATIOS: &[&str] = &["1:1", "3:4", "4:3", "9:16", "16:9"];

/// What `extra` may not hold.
const GUARDED: &[Guarded] = &[
    ("sampleCount", ""),
    ("sampleImageSize", "image_size"),
    ("imageSize", "image_size"),
    ("aspectRatio", "aspect_ratio"),
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// `16:9`; the nearest to the asset's acceptance rules when absent.
    aspect_ratio: Option<String>,
    /// `1K`, `2K`; for Imagen 4 only, and chosen from the acceptance rules when absent.
    image_size: Option<String>,
    /// On Vertex AI.
    project: Option<String>,
    location: Option<String>,
    /// Further `parameters` of the request, which win over ours.
    extra: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Prediction {
    mime_type: Option<String>,
    bytes_base64_encoded: Option<String>,
    rai_filtered_reason: Option<String>,
    gcs_uri: Option<String>,
    /// The prompt as the vendor rewrote it, on Vertex AI.
    prompt: Option<String>,
}

impl Protocol for Imagen {
    fn auth(&self, provider: &Provider) -> Auth {
        google::auth(provider)
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        let options: Options = options::read(provider)?;
        further::check(&options.extra, GUARDED)?;
        google::vertex(provider).map(drop)
    }

    fn question(&self, provider: &Provider) -> Option<HttpRequest> {
        google::question(provider)
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        google::answer(asked, reply)
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options: Options = options::of_call(call.provider)?;
        let accept = &call.ask.accept;
        // The default is four pictures, at four times the price.
        let mut parameters = Map::from_iter([
            ("sampleCount".to_owned(), json!(1)),
            ("includeRaiReason".to_owned(), json!(true)),
        ]);
        let ratio = google::nearest_ratio(RATIOS, accept);
        if let Some(size) = options.image_size.or_else(|| size(call.provider.model.as_deref(), ratio, accept))
        {
            parameters.insert("sampleImageSize".to_owned(), size.into());
        }
        if let Some(ratio) = options.aspect_ratio.or(ratio.map(str::to_owned)) {
            parameters.insert("aspectRatio".to_owned(), ratio.into());
        }
        parameters.extend(options.extra);
        let body = json!({"instances": [{"prompt": call.ask.prompt}], "parameters": parameters});
        Ok(HttpRequest::post(google::method(call, "predict")?, body))
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(google::failure(call, reply));
        }
        let mut fields: Map<String, Value> = reply.json()?;
        if let Some(error) = fields.get("error").filter(|error| !error.is_null()) {
            return Err(classify::failure(call, reply, &VendorError::within(error)));
        }
        // Where everything was filtered and no reason asked for, nothing at all is left of the answer.
        if fields.is_empty() {
            return Err(google::filtered(""));
        }
        let predictions = fields.remove("predictions").unwrap_or(Value::Null);
        let predictions: Vec<Prediction> = serde_json::from_value(predictions)
            .map_err(|_| Failure::unusable("the answer holds no predictions"))?;
        picture(call, predictions)
    }
}

fn picture(call: &Call<'_>, predictions: Vec<Prediction>) -> Result<Interpreted, Failure> {
    let reasons: Vec<&str> =
        predictions.iter().filter_map(|prediction| prediction.rai_filtered_reason.as_deref()).collect();
    let filtered = google::filtered(&reasons.join(" "));
    let stored = predictions.iter().any(|prediction| prediction.gcs_uri.is_some());
    let drawn = predictions.into_iter().find(|prediction| prediction.bytes_base64_encoded.is_some());
    let Some(Prediction { mime_type, bytes_base64_encoded: Some(encoded), prompt, .. }) = drawn else {
        return Err(if stored { stored_elsewhere("picture") } else { filtered });
    };
    let cost_micros = call.provider.price_micros;
    let bytes = decoded(&encoded, "picture").map_err(|failure| Failure { cost_micros, ..failure })?;
    let mut metadata = Map::new();
    if let Some(revised) = prompt.filter(|prompt| !prompt.is_empty()) {
        metadata.insert("revised_prompt".to_owned(), scrub::kept(&revised).into());
    }
    let output = Output::plain(Body::File(bytes));
    let model = call.provider.model.clone();
    Ok(Interpreted::Output(Output { claimed_type: mime_type, metadata, model, cost_micros, ..output }))
}

/// The failure of an output that Vertex AI put into the operator's bucket, because `extra` told it to.
pub(super) fn stored_elsewhere(what: &str) -> Failure {
    let why =
        format!("the {what} was put into Cloud Storage, where it is not read; take storageUri out of extra");
    Failure::new(FailureClass::Invalid, why)
}

/// The size where the default of 1K is too small. Imagen 3 and the fast model know none.
fn size(model: Option<&str>, ratio: Option<&str>, accept: &Acceptance) -> Option<String> {
    let sized = model.is_some_and(|model| model.contains("imagen-4") && !model.contains("fast"));
    (sized && !google::large_enough(1024.0, ratio, accept)).then(|| "2K".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accept::Aspect;
    use crate::providers::recorded::{ask, body_of, provider};

    #[test]
    fn a_request_asks_for_exactly_one_picture_and_the_reason_where_there_is_none() {
        let base = "https://generativelanguage.googleapis.com";
        let mut provider = provider("imagen", "imagen-3.0-generate-002", base);
        let mut ask = ask();
        ask.accept.aspect = Aspect::parse("16:9");
        ask.accept.min_width = Some(1920);
        let expected = json!({"instances": [{"prompt": "A post about foxes"}],
            "parameters": {"sampleCount": 1, "includeRaiReason": true, "aspectRatio": "16:9"}});
        assert_eq!(body_of(&Imagen, &provider, &ask), expected);
        provider.model = Some("imagen-4.0-generate-001".to_owned());
        assert_eq!(body_of(&Imagen, &provider, &ask)["parameters"]["sampleImageSize"], "2K");
        let options = json!({"aspect_ratio": "1:1", "extra": {"personGeneration": "dont_allow"}});
        provider.options = options.as_object().expect("an object").clone();
        let parameters = body_of(&Imagen, &provider, &ask)["parameters"].clone();
        assert_eq!(
            (&parameters["aspectRatio"], &parameters["personGeneration"]),
            (&json!("1:1"), &json!("dont_allow"))
        );
    }
}
