//! Films by `predictLongRunning`, under the Gemini API's names and Vertex AI's, and the files they end in.

use serde_json::{Value, json};

use super::{Method, Refusal, of_the_account, one_of, only};
use crate::fake::{Call, Memory, Trouble, base64, video};
use crate::support::Reply;

/// How many polls find an operation still running.
const RUNNING_POLLS: u32 = 1;

/// What the vendor objects to. What Vertex AI alone knows, the Gemini API refuses.
pub(super) fn checked(asked: &Value, method: &Method<'_>) -> Result<bool, Refusal> {
    if !method.model.contains("veo") {
        return Ok(false);
    }
    only(asked, &["instances", "parameters", "labels"], "")?;
    let instance = &asked["instances"][0];
    for (field, part) in instance.as_object().into_iter().flatten() {
        if !["prompt", "image", "lastFrame", "video", "referenceImages", "mask"].contains(&field.as_str()) {
            return Err(unsupported(field));
        }
        if !part["inlineData"].is_null() {
            return Err(unsupported("inlineData"));
        }
    }
    if instance["prompt"].as_str().unwrap_or_default().is_empty() && instance["image"].is_null() {
        return Err(Refusal::invalid("Text prompt or image must be provided."));
    }
    let parameters = &asked["parameters"];
    let known = [
        "sampleCount",
        "durationSeconds",
        "aspectRatio",
        "resolution",
        "personGeneration",
        "negativePrompt",
        "enhancePrompt",
    ];
    let vertex =
        ["storageUri", "fps", "seed", "pubsubTopic", "generateAudio", "compressionQuality", "resizeMode"];
    for (field, _) in parameters.as_object().into_iter().flatten() {
        if !known.contains(&field.as_str()) && (method.place.is_empty() || !vertex.contains(&field.as_str()))
        {
            return Err(unsupported(field));
        }
    }
    let veo_2 = method.model.contains("veo-2");
    let lengths: &[u64] = if veo_2 { &[5, 6, 7, 8] } else { &[4, 6, 8] };
    let seconds = &parameters["durationSeconds"];
    if !seconds.is_null() && !seconds.as_u64().is_some_and(|seconds| lengths.contains(&seconds)) {
        return Err(Refusal::invalid(format!(
            "The number value for `durationSeconds` is out of bound. Please provide a value of {lengths:?}."
        )));
    }
    let most = if veo_2 { 2 } else { 1 };
    let count = &parameters["sampleCount"];
    if !count.is_null() && !count.as_u64().is_some_and(|count| (1..=most).contains(&count)) {
        return Err(Refusal::invalid(format!("`sampleCount` must be between 1 and {most}, inclusive.")));
    }
    one_of(parameters, "aspectRatio", &["16:9", "9:16"])?;
    if veo_2 && !parameters["resolution"].is_null() {
        return Err(unsupported("resolution"));
    }
    one_of(parameters, "resolution", &["720p", "1080p", "4k"])?;
    one_of(parameters, "personGeneration", &["allow_all", "allow_adult", "dont_allow"])?;
    Ok(true)
}

fn unsupported(field: &str) -> Refusal {
    Refusal::invalid(format!(
        "`{field}` isn't supported by this model. Please remove it or refer to the Gemini API documentation for supported usage."
    ))
}

pub(super) fn submitted(call: &Call<'_>, asked: Value, method: &Method<'_>, memory: &mut Memory) -> Reply {
    let name = format!("{}models/{}/operations/o{:011}", method.place, method.model, memory.id());
    memory.asked.insert(format!("{}/{name}", call.account), asked);
    Reply::json(200, &json!({"name": name}))
}

/// The Gemini API's poll: a GET of the operation's name.
pub(super) fn poll(call: &Call<'_>, name: &str, memory: &mut Memory) -> Result<Reply, Refusal> {
    operation(call, name, memory)
}

/// Vertex AI's: a POST beside the model.
pub(super) fn fetch(call: &Call<'_>, memory: &mut Memory) -> Result<Reply, Refusal> {
    let asked = call.json().unwrap_or_default();
    only(&asked, &["operationName"], "")?;
    let name =
        asked["operationName"].as_str().ok_or_else(|| Refusal::invalid("`operationName` is required."))?;
    operation(call, name, memory)
}

fn operation(call: &Call<'_>, name: &str, memory: &mut Memory) -> Result<Reply, Refusal> {
    let key = format!("{}/{name}", call.account);
    let Some(asked) = memory.asked.get(&key).cloned() else {
        let id = name.rsplit('/').next().unwrap_or_default();
        let words =
            format!("You do not have permission to access the Operation with ID '{id}' or it may not exist.");
        return Err(Refusal::new(403, "PERMISSION_DENIED", words));
    };
    if let Some(refusal) = call.trouble.and_then(of_the_account) {
        return Err(refusal);
    }
    let (place, _) = name.split_once("models/").unwrap_or_default();
    if memory.poll(&key) <= RUNNING_POLLS {
        return Ok(Reply::json(200, &json!({"name": name})));
    }
    if call.trouble == Some(Trouble::RenderFails) {
        let words = "Video generation failed due to an internal server issue. Please try again in a few minutes. If the problem persists, please contact Gemini API support.";
        let error = json!({"code": 13, "message": words});
        return Ok(Reply::json(200, &json!({"name": name, "done": true, "error": error})));
    }
    let response = if place.is_empty() { films(call, &asked, memory) } else { inline_films(call, &asked) };
    Ok(Reply::json(200, &json!({"name": name, "done": true, "response": response})))
}

fn films(call: &Call<'_>, asked: &Value, memory: &mut Memory) -> Value {
    let mut films = filtered(call);
    if call.trouble.is_none() {
        let id = format!("f{:011}", memory.id());
        memory.asked.insert(format!("{}/files/{id}", call.account), shape(asked));
        let uri = format!("{}/v1beta/files/{id}:download?alt=media", call.base);
        films = json!({"generatedSamples": [{"video": {"uri": uri}}]});
    }
    json!({"@type": "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse",
        "generateVideoResponse": films})
}

fn inline_films(call: &Call<'_>, asked: &Value) -> Value {
    let mut films = filtered(call);
    if call.trouble.is_none() {
        let film = json!({"bytesBase64Encoded": base64(&film(&shape(asked))), "mimeType": "video/mp4"});
        films = json!({"raiMediaFilteredCount": 0, "videos": [film]});
    }
    films["@type"] = "type.googleapis.com/cloud.ai.large_models.vision.GenerateVideoResponse".into();
    films
}

/// What is left where there is no film: the reason, or nothing.
fn filtered(call: &Call<'_>) -> Value {
    if call.trouble != Some(Trouble::Refused) {
        return json!({});
    }
    let reason = "The generated video was filtered because it violated Google's Responsible AI practices. You have not been charged for this request. Support codes: 15236754";
    json!({"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": [reason]})
}

/// What a film's file has to be, from what was asked for.
fn shape(asked: &Value) -> Value {
    let parameters = &asked["parameters"];
    let or = |field: &str, default: Value| {
        let value = parameters[field].clone();
        if value.is_null() { default } else { value }
    };
    json!({"ratio": or("aspectRatio", "16:9".into()), "resolution": or("resolution", "720p".into()),
        "seconds": or("durationSeconds", 8.into())})
}

/// A film of this shape: `ratio`, `resolution`, `seconds`.
pub(super) fn film(shape: &Value) -> Vec<u8> {
    let (width, height) = match shape["resolution"].as_str() {
        Some("360p") => (640, 360),
        Some("1080p") => (1920, 1080),
        Some("4k") => (3840, 2160),
        _ => (1280, 720),
    };
    let size = if shape["ratio"] == "9:16" { (height, width) } else { (width, height) };
    video(size, u32::try_from(shape["seconds"].as_u64().unwrap_or(8)).unwrap_or(8))
}

/// A file of the Gemini API: what it is, or with `alt=media` its bytes.
pub(super) fn file(call: &Call<'_>, path: &str, memory: &Memory) -> Result<Reply, Refusal> {
    let id = path.trim_end_matches(":download");
    let Some(shape) = memory.asked.get(&format!("{}/files/{id}", call.account)) else {
        let words = format!("You do not have permission to access the File {id} or it may not exist.");
        return Err(Refusal::new(403, "PERMISSION_DENIED", words));
    };
    let film = film(shape);
    if path.ends_with(":download") && call.parameter("alt") == Some("media") {
        return Ok(Reply::file("video/mp4", film));
    }
    let uri = format!("{}/v1beta/files/{id}", call.base);
    Ok(Reply::json(
        200,
        &json!({"name": format!("files/{id}"), "mimeType": "video/mp4", "sizeBytes": film.len().to_string(),
            "uri": uri, "downloadUri": format!("{uri}:download?alt=media"), "state": "ACTIVE", "source": "GENERATED"}),
    ))
}
