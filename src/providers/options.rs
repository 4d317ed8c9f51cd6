//! The settings only a protocol knows, read into types.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::domain::ask::Ask;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::cost::{self, Prices, Tokens};

/// Settings of the protocols that write text.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TextOptions {
    /// The system prompt.
    pub(super) system: Option<String>,
    /// Most tokens of the answer, on the first try.
    pub(super) max_tokens: Option<u32>,
    /// Sent only if set: the newest models refuse it.
    pub(super) temperature: Option<f64>,
    /// Further fields of the request, which win over ours.
    pub(super) extra: Map<String, Value>,
    /// What tokens cost.
    pub(super) prices: Option<Prices>,
}

impl TextOptions {
    /// No budget grows past this; the smallest limit of the catalog's text models is 64K.
    const MOST_TOKENS: u32 = 64_000;

    /// The answer's budget of tokens: doubled for every repeat, because a text that was cut off would be cut
    /// off again.
    pub(super) fn budget(&self, default: u32, repeat: u32) -> u32 {
        let first = self.max_tokens.unwrap_or(default);
        let grown = first.saturating_mul(1 << repeat.min(4));
        grown.min(Self::MOST_TOKENS.max(first))
    }

    /// The budget that `extra` sends under OpenAI's newer name, in place of ours.
    pub(super) fn further_budget(&self) -> Option<&Value> {
        self.extra.get("max_completion_tokens")
    }

    /// What a text may cost at most: the answer's whole budget of tokens, and the prompt's as estimated.
    pub(super) fn most_micros(&self, provider: &Provider, ask: &Ask, default: u32) -> i64 {
        let named = self.further_budget().and_then(Value::as_u64);
        let output = named.unwrap_or_else(|| self.budget(default, ask.repeat).into());
        let input = cost::prompt_tokens(&[&ask.prompt, self.system.as_deref().unwrap_or_default()]);
        cost::most_micros(provider, self.prices, Tokens { input, output, image_input: 0 })
    }
}

/// Settings of the protocols that draw.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ImageOptions {
    /// `1536x1024`; chosen from the asset's acceptance rules when absent.
    pub(super) size: Option<String>,
    /// `low`, `medium`, `high` and whatever else the model knows.
    pub(super) quality: Option<String>,
    /// `png`, `jpeg`, `webp`.
    pub(super) output_format: Option<String>,
    /// Further fields of the request, which win over ours.
    pub(super) extra: Map<String, Value>,
    /// What tokens cost.
    pub(super) prices: Option<Prices>,
}

/// Reads a provider's options.
pub(super) fn read<T: DeserializeOwned>(provider: &Provider) -> Result<T, String> {
    serde_json::from_value(Value::Object(provider.options.clone())).map_err(|e| format!("options: {e}"))
}

/// As [`read`], in the middle of a call: what [`super::Providers::new`] has checked does not fail here.
pub(super) fn of_call<T: DeserializeOwned>(provider: &Provider) -> Result<T, Failure> {
    read(provider).map_err(|why| Failure::new(FailureClass::Invalid, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_doubles_with_every_repeat_up_to_what_models_allow() {
        let check = |max_tokens, repeat, expected| {
            let options = TextOptions { max_tokens, ..TextOptions::default() };
            assert_eq!(options.budget(4096, repeat), expected, "{max_tokens:?}, repeat {repeat}");
        };
        check(None, 0, 4096);
        check(None, 1, 8192);
        check(Some(300), 0, 300);
        check(Some(300), 2, 1200);
        check(Some(60_000), 1, 64_000);
        check(Some(100_000), 1, 100_000);
        check(Some(1), u32::MAX, 16);
    }
}
