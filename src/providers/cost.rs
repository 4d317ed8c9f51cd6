//! What a call cost, from the usage the vendor reports and the prices the catalog knows.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::provider::Provider;

/// Prices in micro-dollars per million tokens: $3 reads `3_000_000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Prices {
    /// Tokens of the prompt.
    pub(super) input: u64,
    /// Tokens of reference pictures; 0 means as `input`.
    pub(super) image_input: u64,
    /// Tokens of the answer.
    pub(super) output: u64,
}

/// Tokens as the vendor counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) image_input: u64,
    pub(super) output: u64,
}

/// No call costs more than a million dollars, whatever a reply claims: the ledger holds no more for one.
const MOST: i64 = 1_000_000_000_000;

/// A count in a vendor's usage; 0 where it is missing or no count, because no output is worth less for it.
pub(super) fn count(usage: &Value, pointer: &str) -> u64 {
    usage.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

/// The cost in micro-dollars, rounded up; the provider's price of one call where usage or prices are missing.
pub(super) fn cost_micros(provider: &Provider, prices: Option<Prices>, tokens: Option<Tokens>) -> i64 {
    let (Some(prices), Some(tokens)) = (prices, tokens) else { return provider.price_micros };
    let image_price = if prices.image_input == 0 { prices.input } else { prices.image_input };
    let of = |count: u64, price: u64| u128::from(count) * u128::from(price);
    let millionths = of(tokens.input, prices.input)
        + of(tokens.image_input, image_price)
        + of(tokens.output, prices.output);
    i64::try_from(millionths.div_ceil(1_000_000)).unwrap_or(MOST).min(MOST)
}

/// The tokens of a prompt, estimated: models cut English into pieces of some four bytes, other languages and code
/// into shorter ones.
pub(super) fn prompt_tokens(texts: &[&str]) -> u64 {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    u64::try_from(bytes.div_ceil(3)).unwrap_or(u64::MAX)
}

/// The most that a call may cost which uses at most these tokens; the price of one call where that is more, because it
/// is booked where the reply carries no usage.
pub(super) fn most_micros(provider: &Provider, prices: Option<Prices>, tokens: Tokens) -> i64 {
    cost_micros(provider, prices, Some(tokens)).max(provider.price_micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::recorded::provider;

    #[test]
    fn cost_is_whole_micro_dollars_rounded_up() {
        let provider = Provider { price_micros: 77, ..provider("anthropic", "m", "https://v.example") };
        let sonnet = Some(Prices { input: 3_000_000, output: 15_000_000, image_input: 0 });
        let check = |prices, input, image_input, output, expected| {
            let tokens = Some(Tokens { input, image_input, output });
            assert_eq!(cost_micros(&provider, prices, tokens), expected);
        };
        check(sonnet, 1_000, 0, 200, 3_000 + 3_000);
        check(sonnet, 0, 10, 0, 30);
        check(Some(Prices { input: 150_000, image_input: 0, output: 0 }), 1, 0, 0, 1);
        check(Some(Prices { input: 1, image_input: 8_000_000, output: 0 }), 0, 2, 0, 16);
        check(sonnet, 0, 0, 0, 0);
        check(sonnet, u64::MAX, u64::MAX, u64::MAX, MOST);
        assert_eq!(cost_micros(&provider, sonnet, None), 77, "without usage");
        assert_eq!(cost_micros(&provider, None, Some(Tokens::default())), 77, "without prices");
    }
}
