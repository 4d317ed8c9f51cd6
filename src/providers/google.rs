//! What Google's protocols have in common: where a model lies on the Gemini API and on Vertex AI, how errors and
//! refusals are worded, and where files are.
//!
//! Rests on Google's SDK sources, recordings by third parties, and the tables of support codes in its pages.

use serde_json::Value;
use url::Url;

use crate::domain::accept::{Acceptance, Aspect};
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::classify;
use super::protocol::{Auth, BEARER, Call, HttpReply, HttpRequest};
use super::question::{Asked, Found};
use super::vendor_error::VendorError;

/// Vertex AI's hosts: `aiplatform.googleapis.com`, `us-central1-aiplatform.googleapis.com`.
const VERTEX: &str = "aiplatform.googleapis.com";

/// Where Vertex AI keeps an operator's models.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Vertex {
    project: String,
    location: String,
}

/// Whether a provider is on Vertex AI, and where: its address says so, or a project does.
pub(super) fn vertex(provider: &Provider) -> Result<Option<Vertex>, String> {
    let option = |name: &str| provider.options.get(name).and_then(Value::as_str);
    let base = provider.base_url.as_deref().and_then(|text| Url::parse(text).ok());
    let host = base.as_ref().and_then(Url::host_str).unwrap_or_default();
    let of_host = host.strip_suffix(VERTEX).map(|front| front.trim_end_matches('-'));
    let (project, location) = (option("project"), option("location"));
    if of_host.is_none() && project.is_none() && location.is_none() {
        return Ok(None);
    }
    let project = project.ok_or("options: project is missing; Vertex AI keeps models by project")?;
    let location = match (location, of_host) {
        (Some(location), _) => location,
        (None, Some(location)) if !location.is_empty() => location,
        (None, _) => "global",
    };
    for (name, value) in [("project", project), ("location", location)] {
        if value.is_empty() || !value.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c)) {
            return Err(format!("options: {name} \"{value}\" is none; it has letters, digits and dashes"));
        }
    }
    Ok(Some(Vertex { project: project.to_owned(), location: location.to_owned() }))
}

/// The key's header: Vertex AI takes an OAuth token, the Gemini API a key.
pub(super) fn auth(provider: &Provider) -> Auth {
    match vertex(provider) {
        Ok(Some(_)) => BEARER,
        Ok(None) | Err(_) => Auth::bare("x-goog-api-key"),
    }
}

/// The path of a model's method: `v1beta/models/M:predict`.
pub(super) fn method(call: &Call<'_>, method: &str) -> Result<String, Failure> {
    let model = call.model()?;
    let place = vertex(call.provider).map_err(|why| Failure::new(FailureClass::Invalid, why))?;
    Ok(match place {
        None => format!("v1beta/models/{model}:{method}"),
        Some(Vertex { project, location }) => {
            format!("v1/projects/{project}/locations/{location}/publishers/google/models/{model}:{method}")
        }
    })
}

/// The question for a model's own entry. On Vertex AI a model's entry says nothing of a project's rights, so
/// nothing is asked there.
pub(super) fn question(provider: &Provider) -> Option<HttpRequest> {
    let model = provider.model.as_deref()?;
    let on_vertex = !matches!(vertex(provider), Ok(None));
    (!on_vertex).then(|| HttpRequest::get(format!("v1beta/models/{model}")))
}

/// What the answer to [`question`] says.
pub(super) fn answer(asked: &Asked<'_>, reply: &HttpReply) -> Result<Found, Failure> {
    if !reply.is_success() {
        let failure = asked.failure(reply);
        // "User location is not supported for the API use", and billing that is not enabled.
        let barred = VendorError::of(reply).has(&["failed_precondition"]);
        let class = if barred { FailureClass::Auth } else { failure.class };
        return Err(Failure { class, ..failure });
    }
    match asked.json(reply)?.get("name") {
        Some(Value::String(_)) => Ok(Found::LISTED),
        Some(_) | None => Err(Failure::unusable("the answer describes no model")),
    }
}

/// The failure that a reply's error is.
pub(super) fn failure(call: &Call<'_>, reply: &HttpReply) -> Failure {
    let error = VendorError::of(reply);
    refined(classify::failure(call, reply, &error), call, &error)
}

/// As [`failure`], for the request that begins an operation.
pub(super) fn submit_failure(call: &Call<'_>, reply: &HttpReply) -> Failure {
    let error = VendorError::of(reply);
    refined(classify::submit_failure(call, reply, &error), call, &error)
}

/// What only Google means by its words.
fn refined(mut failure: Failure, call: &Call<'_>, error: &VendorError) -> Failure {
    let words = error.words.as_deref().unwrap_or_default().to_lowercase();
    match &failure.class {
        // A limit of the minute says so in its details or names a wait; Vertex says to try again. What says
        // neither is a spend cap.
        FailureClass::RateLimited { until: None }
            if error.markers == ["resource_exhausted"] && !words.contains("try again") =>
        {
            failure.class = FailureClass::Quota { until: None };
        }
        FailureClass::Quota { until: None } if error.has(&["quota_exceeded"]) => {
            failure.class = FailureClass::Quota { until: classify::midnight_pacific(call.now()) };
        }
        // "User location is not supported for the API use", and billing that is not enabled.
        FailureClass::Invalid if error.has(&["failed_precondition"]) => failure.class = FailureClass::Auth,
        FailureClass::Refused { category: None } => {
            failure.class = FailureClass::Refused { category: category(&words) };
        }
        FailureClass::Transient
        | FailureClass::RateLimited { .. }
        | FailureClass::Quota { .. }
        | FailureClass::Auth
        | FailureClass::Retired
        | FailureClass::Invalid
        | FailureClass::Refused { .. }
        | FailureClass::Unusable
        | FailureClass::TimedOut
        | FailureClass::UnknownOutcome
        | FailureClass::Internal => {}
    }
    failure
}

/// The failure of an operation that ended with an error: a `google.rpc` number and a sentence.
pub(super) fn operation_failure(error: &Value) -> Failure {
    let code = error.get("code").and_then(Value::as_i64);
    let words = error.get("message").and_then(Value::as_str).unwrap_or_default();
    let policy = classify::speaks_of_policy(words) || words.to_lowercase().contains("violat");
    let class = match code {
        _ if policy => FailureClass::Refused { category: category(words) },
        Some(3 | 9 | 11 | 12) => FailureClass::Invalid,
        Some(7 | 16) => FailureClass::Auth,
        Some(8) => FailureClass::RateLimited { until: None },
        // Unknown, deadline exceeded, aborted, internal, unavailable.
        Some(2 | 4 | 10 | 13 | 14) => FailureClass::Transient,
        _ => FailureClass::Unusable,
    };
    let code = code.map(|code| format!(" (code {code})")).unwrap_or_default();
    let tail = if words.trim().is_empty() { String::new() } else { format!(": {words}") };
    Failure::new(class, format!("the generation failed{code}{tail}")).of_ended_operation()
}

/// A refusal in Google's words, with what its support code objects to.
pub(super) fn filtered(reasons: &str) -> Failure {
    let tail = if reasons.trim().is_empty() { String::new() } else { format!(": {reasons}") };
    let class = FailureClass::Refused { category: category(reasons) };
    Failure::new(class, format!("the output was filtered{tail}"))
}

/// What the support codes of Imagen and Veo object to.
fn category(words: &str) -> Option<String> {
    let codes = words.split(|c: char| !c.is_ascii_digit()).filter(|code| code.len() == 8);
    codes.filter_map(|code| Some(category_of(code.parse().ok()?)?.to_owned())).next()
}

/// Codes that the image and the video table file differently go by what both can mean.
fn category_of(code: u32) -> Option<&'static str> {
    Some(match code {
        58_061_214 | 17_301_594 => "child",
        29_310_472 | 15_236_754 => "celebrity",
        64_151_117 | 42_237_218 => "video_safety",
        62_263_041 => "dangerous",
        57_734_940 | 22_137_204 => "hate",
        42_876_398 | 29_578_790 | 74_803_281 => "other",
        39_322_892 => "people",
        92_201_652 => "personal_information",
        89_371_032 | 49_114_662 | 72_817_394 | 60_599_140 => "prohibited",
        35_561_574 | 35_561_575 => "third_party_content",
        90_789_179 | 63_429_089 | 43_188_360 => "sexual",
        78_610_348 => "toxic",
        61_493_863 | 56_562_880 => "violence",
        32_635_315 => "vulgar",
        _ => return None,
    })
}

/// The address of a file's bytes; without `alt=media` the API answers with a description.
pub(super) fn media_address(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(mut url)
            if url.path().contains("/files/") && !url.query_pairs().any(|(name, _)| name == "alt") =>
        {
            url.query_pairs_mut().append_pair("alt", "media");
            url.into()
        }
        Ok(_) | Err(_) => uri.to_owned(),
    }
}

/// Of the ratios a model knows, the one nearest to what the asset wants; `None` where it wants none.
pub(super) fn nearest_ratio(known: &[&'static str], accept: &Acceptance) -> Option<&'static str> {
    let wanted = match (accept.aspect, accept.min_width, accept.min_height) {
        (Some(aspect), ..) => f64::from(aspect.width) / f64::from(aspect.height),
        (None, Some(width), Some(height)) => f64::from(width.max(1)) / f64::from(height.max(1)),
        (None, ..) => return None,
    };
    // By the logarithm, twice as wide and half as wide are equally far.
    let far = |ratio: &&str| {
        Aspect::parse(ratio)
            .map_or(f64::MAX, |a| (f64::from(a.width) / f64::from(a.height) / wanted).ln().abs())
    };
    known.iter().copied().min_by(|a, b| far(a).total_cmp(&far(b)))
}

/// Whether a picture of this ratio, of about `edge` times `edge` pixels, is as large as the asset wants.
pub(super) fn large_enough(edge: f64, ratio: Option<&str>, accept: &Acceptance) -> bool {
    let ratio = ratio.and_then(Aspect::parse).map_or(1.0, |a| f64::from(a.width) / f64::from(a.height));
    let (width, height) = (edge * ratio.sqrt(), edge / ratio.sqrt());
    width >= f64::from(accept.min_width.unwrap_or(0)) && height >= f64::from(accept.min_height.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::{ask, clock, provider};
    use serde_json::json;

    #[test]
    fn a_model_lies_where_the_address_or_the_project_says() {
        let (ask, clock) = (ask(), clock());
        let check = |base: &str, options: Value, expected: Result<&str, &str>| {
            let mut provider = provider("veo", "m", base);
            provider.options = options.as_object().expect("an object").clone();
            let call = Call::generation(&provider, &ask, &clock);
            let path = method(&call, "predict");
            match expected {
                Ok(expected) => assert_eq!(path.expect("a path"), expected, "{base}"),
                Err(why) => assert!(path.expect_err(base).message.contains(why), "{base}"),
            }
        };
        let google = "https://generativelanguage.googleapis.com";
        let vertex = "https://us-central1-aiplatform.googleapis.com";
        check(google, json!({}), Ok("v1beta/models/m:predict"));
        let path = "v1/projects/p-1/locations/us-central1/publishers/google/models/m:predict";
        check(vertex, json!({"project": "p-1"}), Ok(path));
        check("https://relay.example", json!({"project": "p-1", "location": "us-central1"}), Ok(path));
        let path = "v1/projects/p-1/locations/global/publishers/google/models/m:predict";
        check("https://aiplatform.googleapis.com", json!({"project": "p-1"}), Ok(path));
        check(vertex, json!({}), Err("project is missing"));
        check(google, json!({"location": "here"}), Err("project is missing"));
        check(vertex, json!({"project": "../x"}), Err("project \"../x\""));
        check("https://evil-aiplatform.googleapis.com.example", json!({}), Ok("v1beta/models/m:predict"));
    }

    #[test]
    fn support_codes_name_what_they_object_to() {
        let check = |words: &str, expected: Option<&str>| {
            assert_eq!(category(words).as_deref(), expected, "{words}");
        };
        check("filtered. Support codes: 29310472", Some("celebrity"));
        check("Error Code: 58061214.", Some("child"));
        check("codes: 11111111, 56562880", Some("violence"));
        check("codes: 158061214", None);
        check("", None);
    }

    #[test]
    fn an_operations_error_is_classed_by_its_words_then_its_number() {
        let check = |code: Value, words: &str, expected: &str| {
            let failure = operation_failure(&json!({"code": code, "message": words}));
            assert_eq!(failure.class.as_str(), expected, "{code} {words}");
        };
        check(json!(13), "an internal server issue", "transient");
        check(json!(14), "", "transient");
        check(json!(4), "", "transient");
        check(json!(3), "bad", "invalid");
        check(json!(3), "The prompt violates our usage guidelines", "refused");
        check(json!(13), "Responsible AI practices", "refused");
        check(json!(7), "", "auth");
        check(json!(8), "", "rate_limited");
        check(json!(99), "", "unusable");
        check(json!(null), "", "unusable");
    }

    #[test]
    fn a_file_is_asked_for_its_bytes() {
        let file = "https://generativelanguage.googleapis.com/v1beta/files/x:download";
        assert_eq!(media_address(file), format!("{file}?alt=media"));
        assert_eq!(media_address(&format!("{file}?alt=media")), format!("{file}?alt=media"));
        assert_eq!(media_address("https://cdn.example/x.mp4?sig=1"), "https://cdn.example/x.mp4?sig=1");
        assert_eq!(media_address("nonsense"), "nonsense");
    }

    #[test]
    fn the_nearest_ratio_is_asked_for() {
        let known = ["1:1", "16:9", "9:16"];
        let check = |accept: Acceptance, expected: Option<&str>| {
            assert_eq!(nearest_ratio(&known, &accept), expected, "{accept:?}");
        };
        let aspect = |text: &str| Acceptance { aspect: Aspect::parse(text), ..Acceptance::default() };
        let pixels = |width, height| Acceptance {
            min_width: Some(width),
            min_height: Some(height),
            ..Acceptance::default()
        };
        check(Acceptance::default(), None);
        check(aspect("16:9"), Some("16:9"));
        check(aspect("2:1"), Some("16:9"));
        check(aspect("5:4"), Some("1:1"));
        check(pixels(1200, 630), Some("16:9"));
        check(pixels(0, 0), Some("1:1"));
        assert!(large_enough(1024.0, Some("16:9"), &pixels(1344, 756)));
        assert!(!large_enough(1024.0, Some("16:9"), &pixels(1920, 1080)));
    }
}
