//! Reads what a request asks for, as vendors do that take nothing they do not know.

use std::collections::BTreeMap;

use url::form_urlencoded;

use super::Call;
use crate::support::Request;

/// Fields by name.
pub(super) type Fields = BTreeMap<String, String>;

/// The parameters after the question mark.
pub(super) fn query(call: &Call<'_>) -> Fields {
    form_urlencoded::parse(call.query.as_bytes()).into_owned().collect()
}

/// The fields of a `multipart/form-data` body; `None` where it is none.
pub(super) fn form(request: &Request) -> Option<Fields> {
    let boundary = request.header("content-type")?.strip_prefix("multipart/form-data; boundary=")?;
    let text = String::from_utf8(request.body.clone()).ok()?;
    let mut fields = Fields::new();
    for part in text.split(&format!("--{}", boundary.trim_matches('"'))) {
        let Some((head, value)) = part.split_once("\r\n\r\n") else { continue };
        let name = head.split("name=\"").nth(1)?.split('"').next()?;
        fields.insert(name.to_owned(), value.strip_suffix("\r\n")?.to_owned());
    }
    Some(fields)
}

/// What is wrong with fields that must be these, of which the first `required` may not be missing.
pub(super) fn mistake(fields: &Fields, known: &[&str], required: usize) -> Option<String> {
    let missing = known[..required].iter().find(|name| fields.get(**name).is_none_or(String::is_empty));
    let unknown = fields.keys().find(|name| !known.contains(&name.as_str()));
    missing
        .map(|name| format!("{name} is required"))
        .or_else(|| unknown.map(|name| format!("{name} is not allowed")))
}

/// What is wrong with a JSON body's fields, in the same way.
pub(super) fn mistake_in_json(call: &Call<'_>, known: &[&str], required: usize) -> Option<String> {
    let Some(body) = call.json() else { return Some("the body is no JSON".to_owned()) };
    let Some(fields) = body.as_object() else { return Some("the body is no object".to_owned()) };
    let shown = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    mistake(&fields.iter().map(|(name, value)| (name.clone(), shown(value))).collect(), known, required)
}

/// What is wrong with a field that must be one of these words where it is there.
pub(super) fn odd_word(fields: &Fields, name: &str, words: &[&str]) -> Option<String> {
    let word = fields.get(name)?;
    (!words.contains(&word.as_str())).then(|| format!("{name} must be one of {}", words.join(", ")))
}
