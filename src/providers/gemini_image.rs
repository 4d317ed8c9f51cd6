//! Gemini's own pictures, by `generateContent`.
//!
//! Rests on Google's SDK sources and pages of November 2026. A refusal comes as a 200 in three forms; no
//! idempotency key exists, and every call is billed.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::domain::accept::Acceptance;
use crate::domain::ask::{Ask, Body, Output};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::classify;
use super::cost::{self, Prices, Tokens, cost_micros, count};
use super::encoded::decoded;
use super::further::{self, Guarded};
use super::google;
use super::options;
use super::protocol::{Auth, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::vendor_error::VendorError;

/// The protocol `gemini-image`.
pub(super) struct GeminiImage;

const RATIOS: &[&str] = &["1:1", "2:3", "3:2", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"];

/// What `extra` may not hold.
const GUARDED: &[Guarded] = &[
    ("generationConfig.candidateCount", ""),
    ("generationConfig.imageConfig.imageSize", "image_size"),
    ("generationConfig.imageConfig.aspectRatio", "aspect_ratio"),
];

/// Why a candidate has no picture, where the reason is the content.
const REFUSALS: &[&str] = &[
    "SAFETY",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "RECITATION",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Options {
    /// `16:9`; the nearest to the asset's acceptance rules when absent.
    aspect_ratio: Option<String>,
    /// `512`, `1K`, `2K`, `4K`; the smallest that passes the acceptance rules when absent.
    image_size: Option<String>,
    /// On Vertex AI.
    project: Option<String>,
    location: Option<String>,
    /// Further fields of the request, which win over ours.
    extra: Map<String, Value>,
    prices: Option<Prices>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Content {
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<Feedback>,
    usage_metadata: Option<Value>,
    model_version: Option<String>,
    error: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Feedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<Parts>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Parts {
    parts: Option<Vec<Part>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    text: Option<String>,
    thought: Option<bool>,
    #[serde(alias = "inline_data")]
    inline_data: Option<Blob>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob {
    #[serde(alias = "mime_type")]
    mime_type: Option<String>,
    data: Option<String>,
}

impl Protocol for GeminiImage {
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

    fn most_micros(&self, provider: &Provider, ask: &Ask) -> i64 {
        let Ok(options) = options::read::<Options>(provider) else { return provider.price_micros };
        let ratio = google::nearest_ratio(RATIOS, &ask.accept);
        let size = options.image_size.or_else(|| size(provider.model.as_deref(), ratio, &ask.accept));
        let input = cost::prompt_tokens(&[&ask.prompt]);
        let tokens = Tokens { input, output: picture_tokens(size.as_deref()), image_input: 0 };
        cost::most_micros(provider, options.prices, tokens)
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options: Options = options::of_call(call.provider)?;
        let accept = &call.ask.accept;
        let ratio = google::nearest_ratio(RATIOS, accept);
        let size = options.image_size.or_else(|| size(call.provider.model.as_deref(), ratio, accept));
        let mut image = Map::new();
        if let Some(ratio) = options.aspect_ratio.or(ratio.map(str::to_owned)) {
            image.insert("aspectRatio".to_owned(), ratio.into());
        }
        if let Some(size) = size {
            image.insert("imageSize".to_owned(), size.into());
        }
        let mut generation = Map::from_iter([("responseModalities".to_owned(), json!(["IMAGE"]))]);
        if !image.is_empty() {
            generation.insert("imageConfig".to_owned(), image.into());
        }
        let contents = json!([{"role": "user", "parts": [{"text": call.ask.prompt}]}]);
        let mut body = Map::from_iter([("contents".to_owned(), contents)]);
        body.insert("generationConfig".to_owned(), generation.into());
        // What else is set of the generation leaves the size that is asked for as it is.
        further::merge(&mut body, options.extra);
        Ok(HttpRequest::post(google::method(call, "generateContent")?, body))
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(google::failure(call, reply));
        }
        let content: Content = reply.json()?;
        if let Some(error) = content.error.as_ref().filter(|error| !error.is_null()) {
            return Err(classify::failure(call, reply, &VendorError::within(error)));
        }
        let options: Options = options::of_call(call.provider)?;
        let tokens = content.usage_metadata.as_ref().map(tokens);
        let cost_micros = cost_micros(call.provider, options.prices, tokens);
        let picture = content.picture().map_err(|failure| {
            // What was never begun costs nothing; a vendor that reports usage bills it all the same.
            let cost_micros = if content.usage_metadata.is_some() { cost_micros } else { 0 };
            Failure { cost_micros, ..failure }
        })?;
        Ok(Interpreted::Output(Output { model: content.model_version, cost_micros, ..picture }))
    }
}

impl Content {
    /// The last picture that is no thought: models that think draw drafts first.
    fn picture(&self) -> Result<Output, Failure> {
        let parts = || {
            let candidates = self.candidates.iter().flatten();
            let contents = candidates.filter_map(|candidate| candidate.content.as_ref());
            contents.flat_map(|content| content.parts.iter().flatten()).filter(|p| p.thought != Some(true))
        };
        let blob = parts().filter_map(|part| part.inline_data.as_ref()).next_back();
        let Some(blob) = blob else {
            let says = parts().any(|part| part.text.as_deref().is_some_and(|text| !text.trim().is_empty()));
            return Err(self.absence(says));
        };
        let bytes = decoded(blob.data.as_deref().unwrap_or_default(), "picture")?;
        Ok(Output { claimed_type: blob.mime_type.clone(), ..Output::plain(Body::File(bytes)) })
    }

    /// Why there is no picture.
    fn absence(&self, says_something: bool) -> Failure {
        let refused = |reason: &str, why: String| {
            let word = reason.chars().take(64).collect::<String>().to_lowercase();
            Failure::new(FailureClass::Refused { category: Some(word) }, why)
        };
        let blocked = self.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason.as_deref());
        if let Some(reason) = blocked.filter(|reason| *reason != "BLOCKED_REASON_UNSPECIFIED") {
            return refused(reason, format!("the prompt was blocked ({reason})"));
        }
        let finished =
            self.candidates.iter().flatten().find_map(|candidate| candidate.finish_reason.as_deref());
        match finished {
            Some(reason) if REFUSALS.contains(&reason) => {
                refused(reason, format!("no picture was made ({reason})"))
            }
            Some("STOP") if says_something => {
                let class = FailureClass::Refused { category: None };
                Failure::new(class, "the model declined in words instead of drawing")
            }
            Some("MAX_TOKENS") => Failure::unusable("the answer is truncated (MAX_TOKENS)"),
            Some(reason) => Failure::unusable(format!("the answer holds no picture ({reason})")),
            None => Failure::unusable("the answer holds no picture"),
        }
    }
}

/// The size where the default of 1K is too small. The 2.5 models know none.
fn size(model: Option<&str>, ratio: Option<&str>, accept: &Acceptance) -> Option<String> {
    if model.is_some_and(|model| model.contains("gemini-2.5")) || google::large_enough(1024.0, ratio, accept)
    {
        return None;
    }
    let size = if google::large_enough(2048.0, ratio, accept) { "2K" } else { "4K" };
    Some(size.to_owned())
}

/// Tokens of one picture, at most over the models (general knowledge).
fn picture_tokens(size: Option<&str>) -> u64 {
    match size {
        Some("512") => 747,
        None | Some("1K") => 1_290,
        Some("2K") => 1_680,
        Some(_) => 2_520,
    }
}

/// Thoughts are left out: their price is that of text, a twentieth of a picture's.
fn tokens(usage: &Value) -> Tokens {
    let (mut pictures, input) = (0_u64, count(usage, "/promptTokenCount"));
    for detail in usage.get("candidatesTokensDetails").and_then(Value::as_array).into_iter().flatten() {
        if detail.get("modality").and_then(Value::as_str) == Some("IMAGE") {
            pictures = pictures.saturating_add(count(detail, "/tokenCount"));
        }
    }
    let output = if pictures == 0 { count(usage, "/candidatesTokenCount") } else { pictures };
    Tokens { input, output, image_input: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accept::Aspect;
    use crate::providers::recorded::{ask, body_of, provider};

    fn body(model: &str, accept: Acceptance, options: &Value) -> Value {
        let mut provider = provider("gemini-image", model, "https://generativelanguage.googleapis.com");
        provider.options = options.as_object().expect("an object").clone();
        let mut ask = ask();
        ask.accept = accept;
        body_of(&GeminiImage, &provider, &ask)
    }

    #[test]
    fn a_request_asks_for_one_picture_that_fits() {
        let none = Acceptance::default();
        let bare = json!({"contents": [{"role": "user", "parts": [{"text": "A post about foxes"}]}],
            "generationConfig": {"responseModalities": ["IMAGE"]}});
        assert_eq!(body("m", none.clone(), &json!({})), bare);
        let wide = Acceptance {
            aspect: Aspect::parse("16:9"),
            min_width: Some(1024),
            min_height: Some(576),
            ..none
        };
        let config = |body: Value| body["generationConfig"]["imageConfig"].clone();
        assert_eq!(config(body("m", wide.clone(), &json!({}))), json!({"aspectRatio": "16:9"}));
        let large = Acceptance { min_width: Some(1920), ..wide };
        let expected = json!({"aspectRatio": "16:9", "imageSize": "2K"});
        assert_eq!(config(body("m", large.clone(), &json!({}))), expected);
        let huge = Acceptance { min_width: Some(3000), ..large.clone() };
        assert_eq!(config(body("m", huge, &json!({})))["imageSize"], "4K");
        assert_eq!(
            config(body("gemini-2.5-flash-image", large.clone(), &json!({}))),
            json!({"aspectRatio": "16:9"})
        );
        let options = json!({"aspect_ratio": "1:8", "image_size": "512", "extra": {"safetySettings": [], "generationConfig": {"seed": 7}}});
        let set = body("m", large, &options);
        assert_eq!(set["safetySettings"], json!([]));
        assert_eq!(set["generationConfig"]["seed"], 7);
        assert_eq!(config(set), json!({"aspectRatio": "1:8", "imageSize": "512"}));
    }
}
