//! Templates of the configuration: an asset's prompt, and the text of the `template` maker.

use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value, context};
use serde_json::Map;

use crate::domain::name::AssetName;

/// The most steps one rendering may take, so that a loop over a large input ends.
const FUEL: u64 = 50_000;

/// The most bytes one rendering may make.
const MAX_LENGTH: usize = 256 * 1024;

const NAME: &str = "template";

/// A minijinja template, compiled once.
///
/// It sees `slug`, `asset`, `input` and, where there is one, `prompt`. What is not there is empty, also
/// several steps deep, so that `{{ input.title or slug }}` works for every job. It can read nothing else:
/// no files, no other templates.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
}

impl Template {
    /// Compiles a template.
    ///
    /// # Errors
    /// A sentence saying what is wrong with it, and in which line.
    pub fn compile(source: &str) -> Result<Self, String> {
        let mut environment = environment();
        environment.add_template_owned(NAME, source.to_owned()).map_err(|error| sentence(&error))?;
        Ok(Self { environment })
    }

    /// Renders it for a job. `prompt` is given where the job's finished prompt is there already.
    ///
    /// # Errors
    /// A sentence saying why this input cannot be rendered.
    pub fn render(
        &self,
        slug: &str,
        asset: &AssetName,
        input: &Map<String, serde_json::Value>,
        prompt: Option<&str>,
    ) -> Result<String, String> {
        let input = Value::from(Serde(input));
        self.render_facts(
            context! { slug, asset => asset.as_str(), input, prompt => prompt.map(Value::from) },
        )
    }

    /// Renders it over other values than a job's: `tick` for the slugs of recurring jobs.
    ///
    /// # Errors
    /// As for [`Template::render`].
    pub fn render_values(&self, values: &Map<String, serde_json::Value>) -> Result<String, String> {
        self.render_facts(Value::from(Serde(values)))
    }

    fn render_facts(&self, facts: Value) -> Result<String, String> {
        let template = self.environment.get_template(NAME).map_err(|error| sentence(&error))?;
        let text = template.render(facts).map_err(|error| sentence(&error))?;
        if text.len() > MAX_LENGTH {
            return Err(format!("the template makes more than {MAX_LENGTH} bytes of text"));
        }
        Ok(text)
    }
}

/// The rules every template of the configuration is rendered by.
pub(super) fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment
}

/// What is wrong with a template, and in which line.
pub(super) fn sentence(error: &minijinja::Error) -> String {
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) => format!("{what} (line {line} of the template)"),
        None => what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn render(source: &str, input: serde_json::Value) -> Result<String, String> {
        let serde_json::Value::Object(input) = input else { panic!("inputs are objects") };
        let asset = AssetName::parse("social-text").expect("valid");
        Template::compile(source)?.render("my-article", &asset, &input, Some("Write it"))
    }

    #[test]
    fn a_template_sees_the_job_and_misses_nothing() {
        let check = |source, input, expected: &str| {
            assert_eq!(render(source, input), Ok(expected.to_owned()), "{source}");
        };
        check("{{ input.title or slug }}", json!({"title": "Hi"}), "Hi");
        check("{{ input.title or slug }}", json!({}), "my-article");
        check("{{ input.title or slug }}", json!({"title": null}), "my-article");
        check("{{ input.author.name or 'us' }}", json!({}), "us");
        check("{{ asset }}: {{ prompt }}", json!({}), "social-text: Write it");
        check("{{ input.title }}", json!({"title": "<b>&"}), "<b>&");
        check(
            "{% for k in input.keywords %}#{{ k }} {% endfor %}",
            json!({"keywords": ["a", "b"]}),
            "#a #b ",
        );
        check("{{ input.a | tojson }}", json!({"a": {"b": 1}}), "{\"b\": 1}");
        check("{{ input.title }}", json!({"title": "{{ slug }}"}), "{{ slug }}");
    }

    #[test]
    fn a_prompt_that_is_not_there_is_empty() {
        let asset = AssetName::parse("social-text").expect("valid");
        let template = Template::compile("{{ prompt or 'none' }}").expect("valid");
        assert_eq!(template.render("a", &asset, &Map::new(), None), Ok("none".to_owned()));
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence() {
        let check = |source, expected: &str| {
            let error = render(source, json!({})).expect_err(source);
            assert!(error.contains(expected), "{error}");
        };
        check("a\n{{ slug", "(line 2 of the template)");
        check("{{ slug | shout }}", "shout");
        check("{% include '/etc/passwd' %}", "unknown statement include");
        check("{% for a in range(100000) %}{{ a }}{% endfor %}", "out of fuel");
        check("{{ nosuch() }}", "nosuch");
    }
}
