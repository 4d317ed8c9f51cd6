//! `GET /api/openapi.json`: what the API takes and answers, for programs and for those who write them.

use axum::http::header;
use axum::response::IntoResponse;

/// OpenAPI 3.1, kept true by tests.
const DOCUMENT: &str = include_str!("openapi.json");

/// Shows it.
pub(super) async fn show() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::web::api::addresses;

    #[test]
    fn every_address_is_in_the_document_and_nothing_else_is() {
        let document: Value = serde_json::from_str(DOCUMENT).expect("JSON");
        let documented: BTreeSet<(String, String)> = document["paths"]
            .as_object()
            .expect("paths")
            .iter()
            .flat_map(|(path, verbs)| {
                let verbs = verbs.as_object().expect("verbs").keys().filter(|verb| *verb != "parameters");
                verbs.map(move |verb| (path.clone(), verb.clone()))
            })
            .collect();
        let mut there: BTreeSet<(String, String)> = addresses()
            .iter()
            .map(|address| (format!("/api{}", address.path), address.method.to_owned()))
            .collect();
        there.insert((crate::web::assets::PATH.to_owned(), "get".to_owned()));
        assert_eq!(documented, there);
    }
}
