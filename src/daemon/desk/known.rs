//! Assets and providers as people type them, and what they probably meant.

use crate::config::{Config, nearest};
use crate::domain::asset::Asset;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::plan::Override;
use crate::domain::provider::Provider;

use super::DeskError;

/// The asset, in any spelling.
///
/// # Errors
/// When the configuration knows none of that name; the sentence says which was probably meant.
pub fn asset<'c>(config: &'c Config, typed: &str) -> Result<&'c Asset, DeskError> {
    let name = AssetName::parse(typed);
    let found = name.as_ref().ok().and_then(|name| config.assets.iter().find(|asset| asset.name == *name));
    found.ok_or_else(|| {
        let known: Vec<&str> = config.assets.iter().map(|asset| asset.name.as_str()).collect();
        let meant = name.map_or_else(|_| typed.to_owned(), |name| name.to_string());
        let advice = nearest(&meant, &known).map_or_else(
            || format!("the assets are {}", known.join(", ")),
            |near| format!("did you mean \"{near}\"?"),
        );
        DeskError::Wish(format!("unknown asset \"{typed}\"; {advice}"))
    })
}

/// The provider.
///
/// # Errors
/// When the configuration knows none of that name.
pub fn provider<'c>(config: &'c Config, typed: &str) -> Result<&'c Provider, DeskError> {
    let name = ProviderName::parse(typed).ok();
    let found = name.and_then(|name| config.providers.iter().find(|provider| provider.name == name));
    found.ok_or_else(|| {
        let known: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
        let near = nearest(typed, &known).map(|near| format!("did you mean \"{near}\"?"));
        let advice = near.unwrap_or_else(|| "backstop providers --all lists them".to_owned());
        DeskError::Wish(format!("unknown provider \"{typed}\"; {advice}"))
    })
}

/// A one-run override for an asset: `manual`, or a provider of its medium.
///
/// # Errors
/// When it is neither.
pub fn wish(config: &Config, asset: &Asset, typed: &str) -> Result<Override, DeskError> {
    if Override::parse(typed) == Ok(Override::Manual) {
        return Ok(Override::Manual);
    }
    let provider = provider(config, typed)?;
    if provider.medium != asset.medium {
        return Err(DeskError::Wish(format!(
            "{} makes {} and cannot make {} ({}); name a provider of that medium",
            provider.name, provider.medium, asset.name, asset.medium
        )));
    }
    Ok(Override::Provider(provider.name.clone()))
}
