//! The configuration, from files, variables and flags to what is in force, and every mistake in between.

#[path = "config/catalog.rs"]
mod catalog;
#[path = "config/defaults.rs"]
mod defaults;
#[path = "config/layers.rs"]
mod layers;
#[path = "config/mistakes.rs"]
mod mistakes;
#[path = "config/secrets.rs"]
mod secrets;

use std::path::Path;

use backstop::config::{Config, ConfigErrors, Sources, load};
use backstop::domain::asset::Asset;
use backstop::domain::name::{AssetName, ProviderName};
use backstop::domain::provider::Provider;
use backstop::domain::time::{Timestamp, from_text};

/// A Sunday.
fn now() -> Timestamp {
    from_text("2026-11-22T13:49:00.000Z").expect("a valid instant")
}

/// Sources without a file, in a folder of their own.
fn sources(folder: &Path) -> Sources {
    Sources { working_directory: folder.to_owned(), ..Sources::default() }
}

/// Loads `backstop.toml` with this text, with these variables and flags.
fn load_all(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("backstop.toml"), text).expect("written");
    let pair = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
    let sources = Sources {
        environment: variables.iter().map(pair).collect(),
        overrides: flags.iter().map(pair).collect(),
        ..sources(folder.path())
    };
    load(&sources, &catalog::small(), now())
}

/// Loads a file with this text and nothing else.
fn load_text(text: &str) -> Result<Config, ConfigErrors> {
    load_all(text, &[], &[])
}

fn loaded(text: &str) -> Config {
    load_text(text).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The mistakes as they are read.
fn said(result: Result<Config, ConfigErrors>) -> Vec<String> {
    match result {
        Ok(_) => Vec::new(),
        Err(errors) => errors.mistakes.iter().map(ToString::to_string).collect(),
    }
}

fn asset<'c>(config: &'c Config, name: &str) -> &'c Asset {
    let name = AssetName::parse(name).expect("valid");
    config.assets.iter().find(|asset| asset.name == name).expect("configured")
}

fn provider<'c>(config: &'c Config, label: &str) -> &'c Provider {
    config.providers.iter().find(|one| one.name == label_of(label)).expect("configured")
}

fn label_of(label: &str) -> ProviderName {
    ProviderName::parse(label).expect("valid")
}
