//! How what happened is told, wherever it is read.

use serde_json::{Map, Value};

use super::Desk;
use crate::config::Config;
use crate::domain::time::{Timestamp, between, from_text, spoken};
use crate::providers::prompt::Template;

/// The prompt that the asset's template makes for a job that brings none.
#[must_use]
pub fn templated(config: &Config, asset: &str, slug: &str, input: Option<&Value>) -> Option<String> {
    let asset = config.assets.iter().find(|known| known.name.as_str() == asset)?;
    let none = Map::new();
    let input = input.and_then(Value::as_object).unwrap_or(&none);
    Template::compile(&asset.prompt).and_then(|template| template.render(slug, &asset.name, input, None)).ok()
}

/// How long something took: `46 ms`, `2.1 s`, `4 minutes`.
#[must_use]
pub fn length(from: &str, to: &str) -> String {
    let instants: Option<(Timestamp, Timestamp)> = from_text(from).zip(from_text(to));
    let Some((from, to)) = instants else { return "an unknown time".to_owned() };
    let length = between(from, to);
    if length.as_secs() >= 60 {
        return spoken(length);
    }
    if length.as_secs() == 0 {
        return format!("{} ms", length.as_millis());
    }
    format!("{}.{} s", length.as_secs(), length.subsec_millis() / 100)
}

/// How a run ended, as people say it.
#[must_use]
pub fn outcome(outcome: &str) -> &str {
    match outcome {
        "exhausted" => "nobody delivered",
        "later" => "nobody delivered, comes back later",
        "released" => "handed back by a daemon that stopped",
        "lost" => "its daemon was lost",
        other => other,
    }
}

impl Desk {
    /// What a job asks for: its own prompt, or the one that its asset's template makes.
    #[must_use]
    pub fn prompt(
        &self,
        asset: &str,
        slug: &str,
        own: Option<&str>,
        input: Option<&Value>,
    ) -> Option<String> {
        own.map(str::to_owned).or_else(|| templated(&self.config(), asset, slug, input))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_written_as_people_read_it() {
        let check =
            |to: &str, expected: &str| assert_eq!(length("2026-11-22T13:49:00.000Z", to), expected, "{to}");
        check("2026-11-22T13:49:00.000Z", "0 ms");
        check("2026-11-22T13:49:00.046Z", "46 ms");
        check("2026-11-22T13:49:01.000Z", "1.0 s");
        check("2026-11-22T13:49:02.140Z", "2.1 s");
        check("2026-11-22T13:53:02.140Z", "4 minutes");
        check("soon", "an unknown time");
    }
}
