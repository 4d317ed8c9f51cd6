//! OpenAI's image generations, and the servers and relays that imitate them.
//!
//! Rests on the vendor's published specification. The call is synchronous and may take two minutes; a dropped
//! connection is billed all the same.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::ask::{Ask, Body, Output};
use crate::domain::failure::Failure;
use crate::domain::provider::Provider;

use super::classify;
use super::cost::{self, Tokens, cost_micros, count};
use super::encoded::decoded;
use super::further::{self, Guarded};
use super::openai_models;
use super::options::{self, ImageOptions};
use super::picture_size::{Family, size_for};
use super::protocol::{Auth, BEARER, Call, HttpReply, HttpRequest, Interpreted, Protocol};
use super::question::{Asked, Found};
use super::scrub;
use super::vendor_error::VendorError;

/// What `extra` may not hold.
const GUARDED: &[Guarded] = &[
    ("model", "model"),
    ("n", ""),
    ("size", "size"),
    ("quality", "quality"),
    ("output_format", "output_format"),
];

/// The protocol `openai-images`.
pub(super) struct OpenAiImages;

#[derive(Deserialize)]
struct Images {
    model: Option<String>,
    data: Option<Vec<Image>>,
    usage: Option<Value>,
    error: Option<Value>,
    output_format: Option<String>,
}

#[derive(Deserialize)]
struct Image {
    b64_json: Option<String>,
    url: Option<String>,
    revised_prompt: Option<String>,
}

impl Protocol for OpenAiImages {
    fn auth(&self, _provider: &Provider) -> Auth {
        BEARER
    }

    fn check(&self, provider: &Provider) -> Result<(), String> {
        let options: ImageOptions = options::read(provider)?;
        further::check(&options.extra, GUARDED)
    }

    fn question(&self, provider: &Provider) -> Option<HttpRequest> {
        openai_models::question(provider)
    }

    fn answer(&self, asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
        openai_models::answer(asked, reply)
    }

    fn most_micros(&self, provider: &Provider, ask: &Ask) -> i64 {
        let Ok(options) = options::read::<ImageOptions>(provider) else { return provider.price_micros };
        let family = provider.model.as_deref().map_or(Family::Other, Family::of);
        let size = options.size.clone().or_else(|| size_for(family, &ask.accept));
        let output = picture_tokens(options.quality.as_deref(), size.as_deref());
        let input = cost::prompt_tokens(&[&ask.prompt]);
        cost::most_micros(provider, options.prices, Tokens { input, output, image_input: 0 })
    }

    fn request(&self, call: &Call<'_>) -> Result<HttpRequest, Failure> {
        let options: ImageOptions = options::of_call(call.provider)?;
        let model = call.model()?;
        let family = Family::of(model);
        let mut body = Map::new();
        // The specification's default model is one that is shut down, so the model is always named.
        body.insert("model".to_owned(), model.into());
        body.insert("prompt".to_owned(), call.ask.prompt.as_str().into());
        body.insert("n".to_owned(), 1.into());
        if let Some(size) = options.size.or_else(|| size_for(family, &call.ask.accept)) {
            body.insert("size".to_owned(), size.into());
        }
        if let Some(quality) = options.quality {
            body.insert("quality".to_owned(), quality.into());
        }
        if let Some(format) = options.output_format {
            body.insert("output_format".to_owned(), format.into());
        }
        // Every other model answers 400 to this field, and in base64 without it.
        if family.is_dall_e() {
            body.insert("response_format".to_owned(), "b64_json".into());
        }
        body.extend(options.extra);
        Ok(HttpRequest {
            headers: vec![("x-client-request-id".into(), call.ask.idempotency_key.clone())],
            ..HttpRequest::post("v1/images/generations", body)
        })
    }

    fn interpret(&self, call: &Call<'_>, reply: &HttpReply) -> Result<Interpreted, Failure> {
        if !reply.is_success() {
            return Err(classify::failure(call, reply, &VendorError::of(reply)));
        }
        let images: Images = reply.json()?;
        if let Some(error) = images.error.as_ref().filter(|error| !error.is_null()) {
            return Err(classify::failure(call, reply, &VendorError::within(error)));
        }
        let options: ImageOptions = options::of_call(call.provider)?;
        let tokens = images.usage.as_ref().map(tokens);
        let cost_micros = cost_micros(call.provider, options.prices, tokens);
        images.first(cost_micros).map_err(|failure| Failure { cost_micros, ..failure })
    }
}

/// Tokens of one picture, at most: the vendor's table for its largest size of before, 1024x1536 (general
/// knowledge), and in proportion beyond it. The vendor chooses the quality where none is named.
fn picture_tokens(quality: Option<&str>, size: Option<&str>) -> u64 {
    const TABLE_PIXELS: u64 = 1024 * 1536;
    let tokens: u64 = match quality {
        Some("low") => 408,
        Some("medium") => 1_584,
        Some(_) | None => 6_240,
    };
    let edges = size.and_then(|size| size.split_once('x'));
    let pixels = edges.and_then(|(width, height)| {
        let (width, height): (u64, u64) = (width.parse().ok()?, height.parse().ok()?);
        width.checked_mul(height)
    });
    tokens.saturating_mul(pixels.unwrap_or(0).max(TABLE_PIXELS)).div_ceil(TABLE_PIXELS)
}

impl Images {
    fn first(self, cost_micros: i64) -> Result<Interpreted, Failure> {
        let claimed_type = self.output_format.map(|format| format!("image/{format}"));
        let found =
            self.data.into_iter().flatten().find(|image| image.b64_json.is_some() || image.url.is_some());
        let Some(image) = found else { return Err(Failure::unusable("the answer holds no picture")) };
        let mut metadata = Map::new();
        if let Some(revised) = image.revised_prompt.filter(|revised| !revised.is_empty()) {
            metadata.insert("revised_prompt".to_owned(), scrub::kept(&revised).into());
        }
        let output = |bytes| Output {
            claimed_type,
            metadata,
            model: self.model,
            cost_micros,
            ..Output::plain(Body::File(bytes))
        };
        match (image.b64_json, image.url) {
            (Some(encoded), _) => Ok(Interpreted::Output(output(decoded(&encoded, "picture")?))),
            (None, Some(url)) if url.starts_with("data:") => {
                Ok(Interpreted::Output(output(decoded(&url, "picture")?)))
            }
            (None, Some(url)) => Ok(Interpreted::Fetch { url, output: output(Bytes::new()) }),
            (None, None) => Err(Failure::unusable("the answer holds no picture")),
        }
    }
}

fn tokens(usage: &Value) -> Tokens {
    let input = count(usage, "/input_tokens");
    let image_input = count(usage, "/input_tokens_details/image_tokens").min(input);
    Tokens { input: input - image_input, image_input, output: count(usage, "/output_tokens") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::accept::Aspect;
    use crate::providers::recorded::{ask, body_of, provider};
    use serde_json::json;

    fn body(model: &str, options: &Value) -> Value {
        let mut provider = provider("openai-images", model, "https://api.openai.com/v1");
        provider.options = options.as_object().expect("an object").clone();
        let mut ask = ask();
        ask.accept.aspect = Aspect::parse("16:9");
        body_of(&OpenAiImages, &provider, &ask)
    }

    #[test]
    fn a_request_names_its_model_and_asks_for_one_picture_that_fits() {
        let expected = json!({"model": "gpt-image-2.6-flare", "prompt": "A post about foxes", "n": 1, "size": "1536x864"});
        assert_eq!(body("gpt-image-2.6-flare", &json!({})), expected);
    }

    #[test]
    fn only_dall_e_is_told_how_to_answer() {
        assert_eq!(body("dall-e-3", &json!({}))["response_format"], "b64_json");
        for model in ["gpt-image-1", "gpt-image-2", "chatgpt-image-latest", "flux-schnell"] {
            assert_eq!(body(model, &json!({})).get("response_format"), None, "{model}");
        }
    }

    #[test]
    fn what_the_operator_sets_wins() {
        let options = json!({"size": "auto", "quality": "low", "output_format": "webp", "extra": {"moderation": "low"}});
        let body = body("gpt-image-2", &options);
        assert_eq!(body["size"], "auto");
        assert_eq!(body["quality"], "low");
        assert_eq!(body["output_format"], "webp");
        assert_eq!(body["moderation"], "low");
    }
}
