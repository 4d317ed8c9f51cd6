//! Google's Gemini API and Vertex AI, as their SDKs know them: who calls, what goes wrong, and the list of models.

mod content;
mod interactions;
mod veo;

use serde_json::{Value, json};

use super::{Call, KEY, Memory, Trouble, page};
use crate::support::Reply;

/// The models on the list: id, name, and the method it is made for.
const MODELS: &[(&str, &str, &str)] = &[
    ("gemini-3.1-flash-image", "Gemini 3.1 Flash Image", "generateContent"),
    ("gemini-3-pro-image", "Gemini 3 Pro Image", "generateContent"),
    ("gemini-omni-1.1-flash", "Gemini Omni 1.1 Flash", "interact"),
    ("gemini-3.1-flash", "Gemini 3.1 Flash", "generateContent"),
];

/// Why a request is refused: a status, Google's word for it, its sentence and further facts.
struct Refusal {
    status: u16,
    word: &'static str,
    message: String,
    facts: Vec<Value>,
}

impl Refusal {
    fn new(status: u16, word: &'static str, message: impl Into<String>) -> Self {
        Self { status, word, message: message.into(), facts: vec![] }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "INVALID_ARGUMENT", message)
    }

    fn reply(self) -> Reply {
        let mut error = json!({"code": self.status, "message": self.message, "status": self.word});
        if !self.facts.is_empty() {
            error["details"] = self.facts.into();
        }
        Reply::json(self.status, &json!({"error": error}))
    }
}

/// A model's method, and on Vertex AI the place where it lies.
struct Method<'a> {
    /// `projects/p/locations/l/publishers/google/` on Vertex AI, nothing on the Gemini API.
    place: &'a str,
    model: &'a str,
    name: &'a str,
}

pub(super) fn answer(call: &Call<'_>, memory: &mut Memory) -> Option<Reply> {
    let path =
        ["/v1beta/", "/v1beta1/", "/v1/"].iter().find_map(|version| call.path.strip_prefix(version))?;
    let vertex = path.starts_with("projects/");
    if !vertex && !call.path.starts_with("/v1beta/") {
        return None;
    }
    Some(match known(call, vertex).and_then(|()| route(call, path, vertex, memory)) {
        Ok(reply) => reply,
        Err(refusal) => refusal.reply(),
    })
}

fn known(call: &Call<'_>, vertex: bool) -> Result<(), Refusal> {
    if vertex {
        let words = "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential.";
        let known = call.header_after("authorization", "Bearer ") == Some(KEY);
        return if known { Ok(()) } else { Err(Refusal::new(401, "UNAUTHENTICATED", words)) };
    }
    match call.request.header("x-goog-api-key").or_else(|| call.parameter("key")) {
        None => Err(Refusal::new(
            403,
            "PERMISSION_DENIED",
            "Method doesn't allow unregistered callers (callers without established identity). Please use API Key or other form of API consumer identity to call this API.",
        )),
        Some(key) if key != KEY => Err(bad_key()),
        Some(_) => Ok(()),
    }
}

fn bad_key() -> Refusal {
    let fact = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
        "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}});
    Refusal { facts: vec![fact], ..Refusal::invalid("API key not valid. Please pass a valid API key.") }
}

fn route(call: &Call<'_>, path: &str, vertex: bool, memory: &mut Memory) -> Result<Reply, Refusal> {
    let post = call.request.method == "POST";
    if !vertex && path.split('/').next() == Some("interactions") {
        return Ok(interactions::answer(call, path.trim_start_matches("interactions"), memory));
    }
    if let Some(file) = path.strip_prefix("files/").filter(|_| !vertex) {
        return veo::file(call, file, memory);
    }
    if let Some((place, rest)) = path.split_once("models/") {
        if let Some((model, name)) = rest.split_once(':').filter(|_| post) {
            return method(call, &Method { place, model, name }, memory);
        }
        if rest.contains("/operations/") && !post {
            return veo::poll(call, path, memory);
        }
        return models(call, Some(rest));
    }
    if path == "models" {
        return models(call, None);
    }
    Err(Refusal::new(404, "NOT_FOUND", "Requested entity was not found."))
}

fn method(call: &Call<'_>, method: &Method<'_>, memory: &mut Memory) -> Result<Reply, Refusal> {
    if method.name == "fetchPredictOperation" {
        return veo::fetch(call, memory);
    }
    let asked = call.json().filter(Value::is_object);
    let asked = asked.ok_or_else(|| Refusal::invalid("Invalid JSON payload received. Unexpected token."))?;
    // What the caller did wrong is told first: no trouble hides a request that the vendor would refuse.
    let known = match method.name {
        "generateContent" => content::checked(&asked)?,
        "predict" => content::checked_imagen(&asked, method)?,
        "predictLongRunning" => veo::checked(&asked, method)?,
        _ => false,
    };
    if !known || method.model.contains("no-such") {
        return Err(gone(method));
    }
    if let Some(refusal) = call.trouble.and_then(|trouble| troubled(trouble, method)) {
        return Err(refusal);
    }
    Ok(match method.name {
        "generateContent" => content::generated(call, &asked, method, memory),
        "predict" => content::predicted(call, &asked, method),
        _ => veo::submitted(call, asked, method, memory),
    })
}

fn gone(method: &Method<'_>) -> Refusal {
    let Method { place, model, name } = method;
    let words = if place.is_empty() {
        format!(
            "models/{model} is not found for API version v1beta, or is not supported for {name}. Call ListModels to see the list of available models and their supported methods."
        )
    } else {
        format!(
            "Publisher Model `{place}models/{model}` was not found or your project does not have access to it."
        )
    };
    Refusal::new(404, "NOT_FOUND", words)
}

/// What goes wrong before a model is at work. What the model itself makes of a request is told where it works.
fn troubled(trouble: Trouble, method: &Method<'_>) -> Option<Refusal> {
    if trouble == Trouble::Retired {
        return Some(gone(method));
    }
    if trouble == Trouble::Auth && !method.place.is_empty() {
        let words =
            format!("Permission 'aiplatform.endpoints.predict' denied on resource '{}'.", method.place);
        return Some(Refusal::new(403, "PERMISSION_DENIED", words));
    }
    if trouble == Trouble::Invalid {
        let words = "`durationSeconds` isn't supported by this model. Please remove it or refer to the Gemini API documentation.";
        return Some(Refusal::invalid(words));
    }
    of_the_account(trouble)
}

/// What goes wrong for every call of an account.
fn of_the_account(trouble: Trouble) -> Option<Refusal> {
    Some(match trouble {
        Trouble::Transient => {
            Refusal::new(503, "UNAVAILABLE", "The model is overloaded. Please try again later.")
        }
        Trouble::RateLimited => exhausted("GenerateRequestsPerMinutePerProjectPerModel", "10"),
        Trouble::Quota => exhausted("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "20"),
        Trouble::Auth => bad_key(),
        Trouble::Retired
        | Trouble::Invalid
        | Trouble::Refused
        | Trouble::Unusable
        | Trouble::Silence
        | Trouble::HangUp
        | Trouble::RenderFails => return None,
    })
}

/// Google says the same sentence, and a wait of seconds, whether the minute's quota is used up or the day's.
fn exhausted(quota: &str, value: &str) -> Refusal {
    let metric = "generativelanguage.googleapis.com/generate_content_paid_tier_requests";
    let violation = json!({"quotaMetric": metric, "quotaId": quota, "quotaValue": value,
        "quotaDimensions": {"location": "global", "model": "this-model"}});
    let facts = vec![
        json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}),
        json!({"@type": "type.googleapis.com/google.rpc.Help", "links": [{"description": "Learn more about Gemini API quotas",
            "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}]}),
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.424s"}),
    ];
    let words = format!(
        "You exceeded your current quota, please check your plan and billing details. Quota exceeded for metric: {metric}, limit: {value}. Please retry in 34.424s."
    );
    Refusal { facts, ..Refusal::new(429, "RESOURCE_EXHAUSTED", words) }
}

fn models(call: &Call<'_>, one: Option<&str>) -> Result<Reply, Refusal> {
    if let Some(refusal) = call.trouble.and_then(of_the_account) {
        return Err(refusal);
    }
    let shown = |(id, name, method): &(&str, &str, &str)| {
        json!({"name": format!("models/{id}"), "version": "001", "displayName": name, "inputTokenLimit": 65_536,
            "outputTokenLimit": 32_768, "supportedGenerationMethods": [method, "countTokens"], "temperature": 1,
            "topP": 0.95, "topK": 64, "maxTemperature": 2})
    };
    if let Some(id) = one {
        let found = MODELS.iter().find(|(known, ..)| *known == id);
        let gone = || gone(&Method { place: "", model: id, name: "generateContent" });
        return found.map(|model| Reply::json(200, &shown(model))).ok_or_else(gone);
    }
    let size = call.parameter("pageSize").and_then(|size| size.parse().ok()).unwrap_or(50);
    let from = call.parameter("pageToken").and_then(|token| token.parse().ok()).unwrap_or(0);
    let (some, more) = page(MODELS, from, size);
    let mut list = json!({"models": some.iter().map(shown).collect::<Vec<_>>()});
    if more {
        list["nextPageToken"] = (from + some.len()).to_string().into();
    }
    Ok(Reply::json(200, &list))
}

/// That an object has no other fields than these, told as Google's JSON reader tells it.
fn only(object: &Value, known: &[&str], at: &str) -> Result<(), Refusal> {
    let extra = object.as_object().into_iter().flatten().find(|(field, _)| !known.contains(&field.as_str()));
    match extra {
        None => Ok(()),
        Some((field, _)) => {
            let place = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
            let words =
                format!("Invalid JSON payload received. Unknown name \"{field}\"{place}: Cannot find field.");
            Err(Refusal::invalid(words))
        }
    }
}

/// That a field is absent or one of these words, whatever their case.
fn one_of(object: &Value, field: &str, known: &[&str]) -> Result<(), Refusal> {
    let value = &object[field];
    let fits = value.as_str().is_some_and(|word| known.iter().any(|known| known.eq_ignore_ascii_case(word)));
    if value.is_null() || fits {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "`{field}` value {value} is not supported. Supported values are {known:?}."
    )))
}
