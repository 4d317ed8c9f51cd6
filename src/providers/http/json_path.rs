//! Where something lies in a reply: `data.0.url`, or the JSON pointer `/data/0/url`.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A way into a JSON document. Positions in lists count from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonPath {
    text: String,
    steps: Vec<String>,
}

impl JsonPath {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let steps: Vec<String> = match text.strip_prefix('/') {
            Some(pointer) => {
                pointer.split('/').map(|step| step.replace("~1", "/").replace("~0", "~")).collect()
            }
            None => text.split('.').map(str::to_owned).collect(),
        };
        if text.len() > 200 || steps.iter().any(String::is_empty) {
            return Err(format!("\"{text}\" is no way into a reply; write it as data.0.url or /data/0/url"));
        }
        Ok(Self { text: text.to_owned(), steps })
    }

    /// What lies there; `null` counts as nothing.
    pub(super) fn at<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        let step = |value: &'v Value, step: &String| match value {
            Value::Array(list) => step.parse::<usize>().ok().and_then(|at| list.get(at)),
            Value::Object(fields) => fields.get(step),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        self.steps.iter().try_fold(value, step).filter(|found| !found.is_null())
    }

    /// The text that lies there. A list stands for its first element: many vendors answer with a list of one.
    pub(super) fn text_at(&self, value: &Value) -> Option<String> {
        let found = self.at(value)?;
        plain(found.as_array().map_or(Some(found), |list| list.first())?)
    }
}

/// A scalar as text; an empty one counts as nothing.
pub(super) fn plain(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

impl std::fmt::Display for JsonPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for JsonPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_leads_to_one_place_or_to_nothing() {
        let reply = json!({"data": [{"url": "u"}, {"url": ["v", "w"]}], "a.b": {"c/d": 7}, "no": null,
            "empty": " ", "list": [], "truth": true});
        let check = |path: &str, expected: Option<&str>| {
            let path = JsonPath::parse(path).expect(path);
            assert_eq!(path.text_at(&reply).as_deref(), expected, "{path}");
        };
        check("data.0.url", Some("u"));
        check("/data/0/url", Some("u"));
        check("data.1.url", Some("v"));
        check("data.1.url.1", Some("w"));
        check("/a.b/c~1d", Some("7"));
        check("truth", Some("true"));
        for nothing in
            ["data.2.url", "data.x", "data.0.url.0", "no", "empty", "list", "data", "nowhere.at.all"]
        {
            check(nothing, None);
        }
        for bad in ["", "a..b", ".a", "/a//b", "/"] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
    }
}
