//! Words and pictures by `generateContent`, and pictures by Imagen's `predict`.

use serde_json::{Value, json};

use super::{Method, Refusal, one_of, only};
use crate::fake::{Call, Memory, Trouble, picture_in_base64};
use crate::support::Reply;

/// The ratios, and the pixels of a picture of 1K of Gemini's.
const RATIOS: &[(&str, (u32, u32))] = &[
    ("1:1", (1024, 1024)),
    ("2:3", (848, 1264)),
    ("3:2", (1264, 848)),
    ("3:4", (896, 1200)),
    ("4:3", (1200, 896)),
    ("4:5", (928, 1152)),
    ("5:4", (1152, 928)),
    ("9:16", (768, 1376)),
    ("16:9", (1376, 768)),
    ("21:9", (1584, 672)),
];

/// The same of Imagen's.
const IMAGEN_RATIOS: &[(&str, (u32, u32))] = &[
    ("1:1", (1024, 1024)),
    ("3:4", (896, 1280)),
    ("4:3", (1280, 896)),
    ("9:16", (768, 1408)),
    ("16:9", (1408, 768)),
];

fn pixels(known: &[(&str, (u32, u32))], ratio: &Value, size: &Value) -> (u32, u32) {
    let found = known.iter().find(|(name, _)| Some(*name) == ratio.as_str());
    let (width, height) = found.map_or((1024, 1024), |(_, pixels)| *pixels);
    match size.as_str() {
        Some("512") => (width / 2, height / 2),
        Some("2K" | "2k") => (width * 2, height * 2),
        Some("4K") => (width * 4, height * 4),
        _ => (width, height),
    }
}

/// What the vendor objects to; `true` where it objects to nothing.
pub(super) fn checked(asked: &Value) -> Result<bool, Refusal> {
    only(
        asked,
        &[
            "contents",
            "systemInstruction",
            "generationConfig",
            "safetySettings",
            "tools",
            "toolConfig",
            "cachedContent",
            "labels",
            "model",
            "serviceTier",
        ],
        "",
    )?;
    let contents = asked["contents"].as_array().filter(|contents| !contents.is_empty());
    let contents = contents
        .ok_or_else(|| Refusal::invalid("* GenerateContentRequest.contents: contents is not specified"))?;
    for (at, content) in contents.iter().enumerate() {
        only(content, &["role", "parts"], &format!("contents[{at}]"))?;
        if !["user", "model"].contains(&content["role"].as_str().unwrap_or("user")) {
            return Err(Refusal::invalid("Please use a valid role: user, model."));
        }
        if content["parts"].as_array().is_none_or(Vec::is_empty) {
            return Err(Refusal::invalid(format!(
                "* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty."
            )));
        }
    }
    let config = &asked["generationConfig"];
    #[rustfmt::skip]
    only(config, &["responseModalities", "imageConfig", "temperature", "topP", "topK", "maxOutputTokens",
        "candidateCount", "stopSequences", "seed", "responseMimeType", "responseSchema", "responseJsonSchema",
        "thinkingConfig", "mediaResolution", "presencePenalty", "frequencyPenalty"], "generation_config")?;
    let image = &config["imageConfig"];
    only(image, &["aspectRatio", "imageSize"], "generation_config.image_config")?;
    let ratios: Vec<&str> =
        RATIOS.iter().map(|(name, _)| *name).chain(["1:4", "4:1", "1:8", "8:1"]).collect();
    one_of(image, "aspectRatio", &ratios)?;
    // The K is a capital one, here alone.
    match image["imageSize"].as_str() {
        None | Some("512" | "1K" | "2K" | "4K") => Ok(true),
        Some(size) => Err(Refusal::invalid(format!(
            "Invalid value at 'generation_config.image_config.image_size': {size}"
        ))),
    }
}

pub(super) fn generated(call: &Call<'_>, asked: &Value, method: &Method<'_>, memory: &mut Memory) -> Reply {
    let config = &asked["generationConfig"];
    let modalities = config["responseModalities"].as_array();
    let draws = match modalities {
        Some(words) => words.iter().any(|word| word == "IMAGE"),
        None => method.model.contains("image"),
    };
    let prompt = asked["contents"][0]["parts"][0]["text"].as_str().unwrap_or("it");
    let words = json!({"text": format!("A calm sentence about this, long enough to be published: {prompt}")});
    let (kind, tokens) = if draws { ("IMAGE", 1120) } else { ("TEXT", 34) };
    let usage = json!({"promptTokenCount": 12, "candidatesTokenCount": tokens, "totalTokenCount": 12 + tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
        "candidatesTokensDetails": [{"modality": kind, "tokenCount": tokens}]});
    let mut body = json!({"usageMetadata": usage, "modelVersion": method.model, "responseId": format!("resp{:018}", memory.id())});
    let (parts, reason) = match call.trouble {
        Some(Trouble::Refused) => {
            body["promptFeedback"] = json!({"blockReason": "PROHIBITED_CONTENT"});
            body["usageMetadata"] = json!({"promptTokenCount": 12, "totalTokenCount": 12});
            return Reply::json(200, &body);
        }
        Some(Trouble::Unusable) if draws => (json!([]), "NO_IMAGE"),
        Some(Trouble::Unusable) => (json!([words]), "MAX_TOKENS"),
        _ if draws => {
            let size =
                pixels(RATIOS, &config["imageConfig"]["aspectRatio"], &config["imageConfig"]["imageSize"]);
            let picture = json!({"inlineData": {"mimeType": "image/png", "data": picture_in_base64(size)},
                "thoughtSignature": "c2ln"});
            let speaks = modalities.is_none_or(|words| words.iter().any(|word| word == "TEXT"));
            (if speaks { json!([words, picture]) } else { json!([picture]) }, "STOP")
        }
        _ => (json!([words]), "STOP"),
    };
    body["candidates"] =
        json!([{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}]);
    Reply::json(200, &body)
}

/// What Imagen objects to. What Vertex AI alone knows, the Gemini API refuses.
pub(super) fn checked_imagen(asked: &Value, method: &Method<'_>) -> Result<bool, Refusal> {
    if !method.model.contains("imagen") {
        return Ok(false);
    }
    only(asked, &["instances", "parameters", "labels"], "")?;
    let prompt = asked["instances"][0]["prompt"].as_str().unwrap_or_default();
    if prompt.is_empty() {
        return Err(Refusal::invalid("`prompt` is empty. Please provide a valid prompt."));
    }
    let parameters = &asked["parameters"];
    let vertex = ["storageUri", "negativePrompt", "seed", "addWatermark", "enhancePrompt", "labels"];
    let known = [
        "sampleCount",
        "aspectRatio",
        "sampleImageSize",
        "personGeneration",
        "safetySetting",
        "guidanceScale",
        "language",
        "includeSafetyAttributes",
        "includeRaiReason",
        "outputOptions",
    ];
    for (field, _) in parameters.as_object().into_iter().flatten() {
        if !known.contains(&field.as_str()) && (method.place.is_empty() || !vertex.contains(&field.as_str()))
        {
            return Err(Refusal::invalid(format!(
                "`{field}` isn't supported by this model. Please remove it or refer to the Gemini API documentation."
            )));
        }
    }
    let most = if method.model.contains("ultra") { 1 } else { 4 };
    let count = &parameters["sampleCount"];
    if !count.is_null() && !count.as_u64().is_some_and(|count| (1..=most).contains(&count)) {
        return Err(Refusal::invalid(format!(
            "`sampleCount` must be between 1 and {most}, inclusive, but got {count}."
        )));
    }
    let ratios: Vec<&str> = IMAGEN_RATIOS.iter().map(|(name, _)| *name).collect();
    one_of(parameters, "aspectRatio", &ratios)?;
    one_of(parameters, "personGeneration", &["dont_allow", "allow_adult", "allow_all"])?;
    one_of(
        parameters,
        "safetySetting",
        &["block_low_and_above", "block_medium_and_above", "block_only_high"],
    )?;
    if !parameters["sampleImageSize"].is_null()
        && (method.model.contains("imagen-3") || method.model.contains("fast"))
    {
        return Err(Refusal::invalid("`sampleImageSize` isn't supported by this model."));
    }
    one_of(parameters, "sampleImageSize", &["1K", "2K"])?;
    Ok(true)
}

pub(super) fn predicted(call: &Call<'_>, asked: &Value, method: &Method<'_>) -> Reply {
    let parameters = &asked["parameters"];
    let count = usize::try_from(parameters["sampleCount"].as_u64().unwrap_or(4)).unwrap_or(4);
    let size = pixels(IMAGEN_RATIOS, &parameters["aspectRatio"], &parameters["sampleImageSize"]);
    let mut prediction = json!({"mimeType": "image/png", "bytesBase64Encoded": picture_in_base64(size)});
    if !method.place.is_empty() {
        prediction["prompt"] =
            format!("{}, in soft light", asked["instances"][0]["prompt"].as_str().unwrap_or("it")).into();
    }
    match call.trouble {
        // Without a wish for the reason nothing at all is left.
        Some(Trouble::Refused) if parameters["includeRaiReason"] != true => {
            return Reply::json(200, &json!({}));
        }
        Some(Trouble::Refused) => {
            let reason = "Unable to show generated images. All images were filtered out because they violated Google's Responsible AI practices. You will not be charged for blocked images. Support codes: 56562880";
            prediction = json!({"raiFilteredReason": reason});
        }
        Some(Trouble::Unusable) => {
            let half = picture_in_base64(size);
            prediction["bytesBase64Encoded"] = half[..half.len() / 8 * 4].into();
        }
        _ => {}
    }
    Reply::json(200, &json!({"predictions": vec![prediction; count]}))
}
