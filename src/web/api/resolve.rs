//! `POST /api/jobs/{id}/resolve`: a person provides the asset, as words, as an address or as a file.

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::post;
use serde::Deserialize;
use serde_json::Value;

use super::Address;
use super::jobs::{number, seen};
use crate::daemon::desk::Handed;
use crate::web::brought::{self, InPath, too_large, whole, whole_file};
use crate::web::problem::Problem;
use crate::web::{LARGEST_BODY, Site};

/// The largest file that is handed in here, in bytes: it is held in memory while it is checked.
const LARGEST_FILE: usize = 64 << 20;

/// What a form needs besides the file in it, in bytes.
const AROUND: usize = 64 << 10;

const JSON: &str = "application/json";

const EXPECTED: &str = "{\"text\": \"...\"} or {\"url\": \"https://...\"}";

/// What a person hands in as JSON.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    text: Option<String>,
    url: Option<String>,
}

/// The address, with the bound that a file needs.
pub(super) fn address() -> Address {
    let answers = post(resolve).layer(DefaultBodyLimit::max(LARGEST_FILE + AROUND));
    Address { path: "/jobs/{id}/resolve", method: "post", answers }
}

/// Takes it, checks it as a provider's output is checked, and the job is done.
async fn resolve(
    State(site): State<Site>,
    InPath(id): InPath<String>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let id = number(&id)?;
    site.desk.resolvable(id).await?;
    let kind = kind(request.headers());
    // Words take no room.
    let is_file = kind != JSON;
    let turn = is_file.then(|| site.uploads.try_acquire()).transpose();
    let _turn = turn.map_err(|_| Problem::busy("other files are being handed in; try again in a moment"))?;
    let handed = handed(request, &kind).await?;
    let job = site.desk.provide(id, handed).await?;
    Ok(Json(seen(&site.desk.shelves(), &job)))
}

/// The type of what is handed in, without what further is said of it; empty where none is named.
fn kind(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

async fn handed(request: Request, kind: &str) -> Result<Handed, Problem> {
    match kind {
        "multipart/form-data" => form(request).await,
        JSON => words(brought::json(&whole(request.into_body(), LARGEST_BODY).await?, EXPECTED)?),
        "" => {
            let sentence =
                format!("say by a Content-Type what is handed in: a file's own, or JSON: {EXPECTED}");
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence))
        }
        _ => file(whole_file(request, LARGEST_FILE).await?),
    }
}

fn file(bytes: axum::body::Bytes) -> Result<Handed, Problem> {
    if bytes.is_empty() {
        return Err(Problem::wrong_word("the file is empty; send its bytes as the body"));
    }
    Ok(Handed::File(bytes))
}

fn words(words: Words) -> Result<Handed, Problem> {
    match (words.text, words.url) {
        (Some(text), None) => Ok(Handed::Text(text)),
        (None, Some(url)) => Ok(Handed::Address(url)),
        (Some(_), Some(_)) | (None, None) => {
            Err(Problem::wrong_word(format!("hand in one thing: {EXPECTED}, or a file")))
        }
    }
}

/// The one field of a form: `file`, `text` or `url`.
async fn form(request: Request) -> Result<Handed, Problem> {
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.body_text()))?;
    let mut handed = None;
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        if handed.is_some() {
            return Err(Problem::wrong_word("hand in one thing: file, text or url"));
        }
        handed = Some(one(field).await?);
    }
    handed.ok_or_else(|| Problem::wrong_word("the form is empty; hand in file, text or url"))
}

async fn one(field: Field<'_>) -> Result<Handed, Problem> {
    match field.name() {
        Some("file") => file(field.bytes().await.map_err(|error| broken(&error))?),
        Some("text") => Ok(Handed::Text(field.text().await.map_err(|error| broken(&error))?)),
        Some("url") => Ok(Handed::Address(field.text().await.map_err(|error| broken(&error))?)),
        Some(_) | None => Err(Problem::wrong_word("a form hands in file, text or url, and nothing else")),
    }
}

fn broken(error: &MultipartError) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
        too_large(LARGEST_FILE)
    } else {
        brought::broken(error)
    }
}
