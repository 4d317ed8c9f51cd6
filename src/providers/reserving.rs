//! What one call may cost, told before it is made.

use serde_json::Map;

use crate::domain::ask::Ask;
use crate::domain::asset::Asset;
use crate::domain::budget::Reservation;
use crate::domain::provider::{Provider, Repeat};

use super::protocol;

/// What is to be put aside for a call of `provider` for this wish, with the limits it stands under; `None` where its
/// calls are free.
///
/// It is the most that the vendor may bill: the whole budget of tokens of a text, the dearest picture of the size that
/// is asked for, the whole length of a film. Where the price is not known it is 0.
#[must_use]
pub fn reservation(provider: &Provider, asset: &Asset, ask: &Ask) -> Option<Reservation> {
    if provider.repeat == Repeat::Free {
        return None;
    }
    let protocol = protocol::named(&provider.protocol);
    let micros = protocol.map_or(provider.price_micros, |protocol| protocol.most_micros(provider, ask));
    Reservation::new(provider, asset, micros)
}

/// As [`reservation`], where there is no job yet: for the prompt's template as it stands.
#[must_use]
pub fn usual_reservation(provider: &Provider, asset: &Asset) -> Option<Reservation> {
    let ask = Ask {
        asset: asset.name.clone(),
        medium: asset.medium,
        slug: String::new(),
        prompt: asset.prompt.clone(),
        input: Map::new(),
        accept: asset.accept.clone(),
        repeat: 0,
        idempotency_key: String::new(),
    };
    reservation(provider, asset, &ask)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::domain::name::ProviderName;
    use crate::providers::{catalog, recorded};

    fn most(provider: &Provider, ask: &Ask) -> i64 {
        protocol::named(&provider.protocol).map_or(0, |protocol| protocol.most_micros(provider, ask))
    }

    /// A provider of the catalog, with further options.
    fn provider(label: &str, options: serde_json::Value) -> Provider {
        let entry = catalog().entry(&ProviderName::parse(label).expect("a label")).expect(label);
        let mut provider = recorded::provider(&entry.protocol, "m", "https://v.example");
        provider.model.clone_from(&entry.model);
        provider.price_micros = entry.price_micros;
        provider.options.clone_from(&entry.options);
        provider.options.extend(options.as_object().expect("an object").clone());
        provider
    }

    #[test]
    fn a_text_may_use_its_whole_budget_of_tokens() {
        let mut ask = recorded::ask();
        ask.prompt = "p".repeat(3_000);
        let claude = |options| provider("claude-haiku-4-5", options);
        let plain = claude(json!({"max_tokens": 1_000}));
        assert_eq!(most(&plain, &ask), 1_000 + 1_000 * 5);
        assert_eq!(most(&claude(json!({"max_tokens": 1_000, "system": "s".repeat(300)})), &ask), 6_100);
        let gpt = provider("gpt-5", json!({"extra": {"max_completion_tokens": 2_000}}));
        assert_eq!(most(&gpt, &ask), 1_250 + 2_000 * 10, "as it is sent");
        ask.repeat = 1;
        assert_eq!(most(&plain, &ask), 11_000, "a repeat has twice the room");
        let server = recorded::provider("openai-chat", "m", "http://127.0.0.1:1");
        assert_eq!(most(&server, &ask), 0, "no price");
        let priced = Provider { price_micros: 40_000, ..server };
        assert_eq!(most(&priced, &ask), 40_000, "booked where a reply carries no usage");
    }

    #[test]
    fn pictures_and_films_may_cost_what_is_asked_for() {
        let mut ask = recorded::ask();
        let check = |provider: Provider, ask: &Ask, expected: i64| {
            assert_eq!(most(&provider, ask), expected, "{:?} {:?}", provider.model, provider.options);
        };
        check(provider("gemini-3.1-flash-image", json!({})), &ask, 77_403);
        check(provider("gemini-3.1-flash-image", json!({"image_size": "4K"})), &ask, 151_203);
        let image = |options| provider("gpt-image-2.6-flare", options);
        check(image(json!({"size": "1024x1024", "quality": "low"})), &ask, 408 * 30 + 30);
        check(image(json!({"size": "1024x1024"})), &ask, 6_240 * 30 + 30);
        check(image(json!({"size": "2048x1536"})), &ask, 2 * 6_240 * 30 + 30);
        check(provider("gemini-imagen-3", json!({})), &ask, 30_000);
        let film = json!({"second_micros": {"720p": 100_000}});
        check(provider("veo-2", film.clone()), &ask, 800_000);
        check(provider("gemini-omni-1.1-flash", film.clone()), &ask, 800_000);
        let large = json!({"resolution": "4k", "seconds": 15});
        check(provider("gemini-omni-1.2-flash", large), &ask, 1_050_000);
        check(provider("veo-3", json!({"seconds": 4})), &ask, 1_600_000);
        ask.accept.min_duration = Some(Duration::from_secs(10));
        check(provider("gemini-omni-1.1-flash", film), &ask, 1_000_000);
    }

    #[test]
    fn what_is_booked_of_a_recorded_reply_was_put_aside_before() {
        // A picture of the vendor's own recording: 1120 tokens at $60 a million.
        let put_aside = most(&provider("gemini-3.1-flash-image", json!({})), &recorded::ask());
        assert!(put_aside >= 1_120 * 60);
    }

    #[test]
    fn every_paid_label_of_the_catalog_with_a_price_reserves_something() {
        for entry in &catalog().entries {
            let provider = provider(entry.name.as_str(), json!({}));
            let priced = entry.price_micros > 0 || entry.options.contains_key("prices");
            let reserves = most(&provider, &recorded::ask()) > 0;
            assert_eq!(reserves, priced || entry.options.contains_key("second_micros"), "{}", entry.name);
        }
    }
}
