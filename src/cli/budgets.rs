//! Budgets that will surprise whoever set them.

use serde::Serialize;

use crate::config::Config;
use crate::domain::asset::Asset;
use crate::domain::budget::{Budget, Span, dollars};
use crate::domain::provider::{Key, Provider, Repeat};
use crate::providers::usual_reservation;

/// A budget that will surprise.
#[derive(Debug, Serialize)]
pub(super) struct Warning {
    key: String,
    /// The whole sentence.
    sentence: String,
}

/// What to warn of: of providers in use first, then of assets.
pub(super) fn warnings(config: &Config) -> Vec<Warning> {
    let of_providers = config.providers.iter().flat_map(|provider| of_provider(config, provider));
    of_providers.chain(config.assets.iter().flat_map(|asset| of_asset(config, asset))).collect()
}

fn of_provider(config: &Config, provider: &Provider) -> Vec<Warning> {
    let users = config.assets.iter().filter(|asset| asset.chain.providers().contains(&provider.name));
    let prices: Vec<i64> = users.map(|asset| price(provider, asset)).collect();
    let (Some(least), true) = (prices.iter().min(), provider.budget.is_set()) else { return Vec::new() };
    let key = format!("providers.{}.budget", provider.name);
    if provider.repeat == Repeat::Free {
        let sentence = format!("{key} holds nothing back: its calls are free");
        return vec![Warning { key, sentence }];
    }
    if *least == 0 {
        let sentence = format!(
            "{key} cannot be held: the price of its calls is not known; set providers.{}.price, the dollars of one call",
            provider.name
        );
        return vec![Warning { key, sentence }];
    }
    too_small(&key, provider.budget, *least, &format!("one call of it may cost {}", dollars(*least)))
}

fn of_asset(config: &Config, asset: &Asset) -> Vec<Warning> {
    if !asset.budget.is_set() {
        return Vec::new();
    }
    let key = format!("assets.{}.budget", asset.name);
    let links = asset.chain.providers();
    let paid = |provider: &&Provider| provider.repeat == Repeat::Paid && links.contains(&provider.name);
    let mut warnings = Vec::new();
    for provider in config.providers.iter().filter(paid) {
        let (name, price) = (&provider.name, price(provider, asset));
        match (price, &provider.key) {
            // A server of one's own, most likely, and nobody bills it.
            (0, Key::NotNeeded) => {}
            (0, Key::Present | Key::Missing { .. }) => {
                let sentence = format!(
                    "{key} does not hold {name} back: the price of its calls is not known; set providers.{name}.price, \
                     the dollars of one call"
                );
                warnings.push(Warning { key: key.clone(), sentence });
            }
            (price, _) => {
                let why = format!("one call of {name} may cost {}", dollars(price));
                warnings.extend(too_small(&key, asset.budget, price, &why));
            }
        }
    }
    warnings
}

/// Limits below the price of one call.
fn too_small(key: &str, budget: Budget, price: i64, why: &str) -> Vec<Warning> {
    let below = |span: Span| budget.limit(span).filter(|limit| *limit < price).map(|limit| (span, limit));
    let warning = |(span, limit): (Span, i64)| {
        let key = format!("{key}.{}", span.as_str());
        let sentence = format!("{key} is {}, and {why}: it is never called", dollars(limit));
        Warning { key, sentence }
    };
    Span::ALL.into_iter().filter_map(below).map(warning).collect()
}

fn price(provider: &Provider, asset: &Asset) -> i64 {
    usual_reservation(provider, asset).map_or(0, |reservation| reservation.micros)
}
