//! Errors as programs read them: problem+json (RFC 9457), with a sentence that says what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::daemon::desk::DeskError;
use crate::store::StoreError;

/// Why a request was not answered as wished.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    /// A status and a sentence: what is wrong, and what to do.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// A word in what was sent is wrong.
    pub(super) fn wrong_word(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    }

    /// There is too much to do; the same request may well be answered in a moment.
    pub(super) fn busy(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }

    /// Nobody knows what the address names.
    pub(super) fn unknown(error: DeskError) -> Self {
        Self { status: StatusCode::NOT_FOUND, ..error.into() }
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Our own trouble: its text is for the log, not for a client.
    fn ours(error: &dyn std::fmt::Display, passes: bool) -> Self {
        tracing::error!(%error, "a request cannot be answered");
        if passes {
            let sentence = "the database is busy or its disk is full; try again in a moment";
            return Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence);
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "something failed here; the daemon's log says what")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::NoSuchJob { job } => {
                Self::new(StatusCode::NOT_FOUND, format!("there is no job {job}"))
            }
            StoreError::Refused { sentence } => Self::new(StatusCode::CONFLICT, sentence.clone()),
            StoreError::Busy(_) | StoreError::Full | StoreError::Disk(_) => Self::ours(&error, true),
            StoreError::Moved { .. }
            | StoreError::Corrupt(_)
            | StoreError::Schema { .. }
            | StoreError::File { .. }
            | StoreError::Other(_) => Self::ours(&error, false),
        }
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Wish(sentence) | DeskError::Unacceptable(sentence) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
            }
            DeskError::Conflict(sentence) => Self::new(StatusCode::CONFLICT, sentence),
            DeskError::Store(error) => error.into(),
            DeskError::Vault(error) => Self::ours(&error, true),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({ "title": title, "status": self.status.as_u16(), "detail": self.detail });
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(self.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
