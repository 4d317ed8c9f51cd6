//! Fills the templates of a request with the facts of a call, keeping numbers numbers.

use minijinja::value::{Serde, Value as Fact};
use minijinja::{Environment, ErrorKind};
use serde_json::{Map, Value};

use crate::providers::prompt;

/// The facts of one call, under the names that templates use.
pub(super) struct Facts {
    environment: Environment<'static>,
    facts: Fact,
}

impl Facts {
    pub(super) fn new(facts: Map<String, Value>) -> Self {
        Self { environment: environment(), facts: Fact::from(Serde(Value::Object(facts))) }
    }

    /// Facts for a path: the configuration's and the vendor's, never a job's. A template that asks for another is
    /// a mistake rather than a gap in the path.
    pub(super) fn of_path(model: Option<&str>, operation: Option<&str>) -> Self {
        let mut facts = Map::new();
        facts.extend(model.map(|model| ("model".to_owned(), model.into())));
        facts.extend(operation.map(|operation| ("operation".to_owned(), operation.into())));
        let mut strict = Self::new(facts);
        strict.environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        strict
    }

    /// A text with its templates filled.
    pub(super) fn text(&self, template: &str) -> Result<String, String> {
        if !is_template(template) {
            return Ok(template.to_owned());
        }
        self.environment.render_str(template, &self.facts).map_err(|e| prompt::sentence(&e))
    }

    /// A document with its templates filled. A text that is exactly one `{{ ... }}` becomes the value itself, a
    /// number or a list; where that value is not there, so is the field.
    pub(super) fn value(&self, template: &Value) -> Result<Option<Value>, String> {
        Ok(Some(match template {
            Value::Null | Value::Bool(_) | Value::Number(_) => template.clone(),
            Value::String(text) => match sole_expression(text) {
                Some(expression) => return self.evaluated(expression),
                None => self.text(text)?.into(),
            },
            Value::Array(list) => {
                let filled = list.iter().filter_map(|item| self.value(item).transpose());
                Value::Array(filled.collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let mut filled = Map::new();
                for (name, field) in fields {
                    filled.extend(self.value(field)?.map(|value| (name.clone(), value)));
                }
                Value::Object(filled)
            }
        }))
    }

    fn evaluated(&self, expression: &str) -> Result<Option<Value>, String> {
        let compiled = self.environment.compile_expression(expression);
        let found = compiled.and_then(|expression| expression.eval(&self.facts));
        let found = found.map_err(|e| prompt::sentence(&e))?;
        if found.is_undefined() || found.is_none() {
            return Ok(None);
        }
        serde_json::to_value(&found).map(Some).map_err(|_| format!("{expression} gives no JSON value"))
    }
}

/// The rules of every template, and `nearest` besides.
fn environment() -> Environment<'static> {
    let mut environment = prompt::environment();
    environment.add_filter("nearest", nearest);
    environment
}

/// Of the ratios that a vendor knows (`16:9`, `16x9`), the one nearest to another, given as width by height:
/// `{{ ['1:1', '16:9'] | nearest(width / height) }}`.
fn nearest(ratios: Vec<String>, wanted: f64) -> Result<String, minijinja::Error> {
    let wrong = |why: String| minijinja::Error::new(ErrorKind::InvalidOperation, why);
    let ratio = |text: &str| {
        let (width, height) = text.split_once([':', 'x'])?;
        let ratio = width.parse::<f64>().ok()? / height.parse::<f64>().ok()?;
        (ratio.is_normal() && ratio > 0.0).then_some(ratio)
    };
    let mut best: Option<(f64, String)> = None;
    for text in ratios {
        let ratio =
            ratio(&text).ok_or_else(|| wrong(format!("\"{text}\" is no ratio; write 16:9 or 16x9")))?;
        // By the logarithm, twice as wide and half as wide are equally far.
        let distance = (ratio / wanted).ln().abs();
        if best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, text));
        }
    }
    best.map(|(_, text)| text).ok_or_else(|| wrong("nearest needs a list of ratios".to_owned()))
}

/// Every template in a document that does not compile: where it stands below `key`, and why.
pub(super) fn mistakes(key: &str, template: &Value, found: &mut Vec<(String, String)>) {
    match template {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::String(text) => {
            let environment = environment();
            let compiled = match sole_expression(text) {
                Some(expression) => environment.compile_expression(expression).map(drop),
                None => environment.template_from_str(text).map(drop),
            };
            found.extend(compiled.err().map(|e| (key.to_owned(), prompt::sentence(&e))));
        }
        Value::Array(list) => {
            for (at, item) in list.iter().enumerate() {
                mistakes(&format!("{key}.{at}"), item, found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                mistakes(&format!("{key}.{name}"), field, found);
            }
        }
    }
}

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// What stands within the braces of a text that is nothing but one `{{ ... }}`.
fn sole_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_filled_and_keeps_its_kinds() {
        let facts = json!({"prompt": "a \"fox\"", "width": 1536, "input": {"seed": 7, "tags": ["a", "b"]}});
        let facts = Facts::new(facts.as_object().expect("an object").clone());
        let check = |template: Value, expected: Value| {
            assert_eq!(facts.value(&template), Ok(Some(expected)), "{template}");
        };
        check(json!({"prompt": "{{ prompt }}", "n": 1}), json!({"prompt": "a \"fox\"", "n": 1}));
        check(json!(["{{ width }}", "{{ width }}x{{ width }}"]), json!([1536, "1536x1536"]));
        check(json!("{{ input.tags }}"), json!(["a", "b"]));
        check(json!({"seed": "{{ input.seed }}", "style": "{{ input.style }}"}), json!({"seed": 7}));
        check(json!({"style": "{{ input.style or 'plain' }}"}), json!({"style": "plain"}));
        check(json!("{% if input.seed %}yes{% endif %}"), json!("yes"));
        check(json!("{{ prompt | upper }}"), json!("A \"FOX\""));
        check(json!("no template { here }"), json!("no template { here }"));
        check(json!({"a": null, "b": true}), json!({"a": null, "b": true}));
        check(json!("{{ ['1:1', '16:9', '3:2'] | nearest(width / 864) }}"), json!("16:9"));
        check(json!("{{ ['1x1', '10x16', '16x10'] | nearest(1 / 2) }}"), json!("10x16"));
        check(json!("{{ ['3:1', '1:3'] | nearest(2) }}"), json!("3:1"));
        assert!(facts.value(&json!("{{ ['wide'] | nearest(1) }}")).is_err());
        assert!(facts.value(&json!("{{ [] | nearest(1) }}")).is_err());
        assert_eq!(facts.value(&json!("{{ nothing.at.all }}")), Ok(None));
        assert!(facts.value(&json!("{{ input.tags.x() }}")).is_err());
        assert!(facts.value(&json!("{% for a in range(100000) %}{{ a }}{% endfor %}")).is_err());
    }

    #[test]
    fn what_does_not_compile_is_named_by_its_place() {
        let mut found = Vec::new();
        let template = json!({"a": "{{ fine }}", "b": [1, {"c": "{{ broken"}], "d": "{{ 1 + }}"});
        mistakes("request.body", &template, &mut found);
        let keys: Vec<&str> = found.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["request.body.b.1.c", "request.body.d"]);
    }
}
