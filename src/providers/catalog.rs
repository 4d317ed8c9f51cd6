//! The catalog: what this build knows of the world's providers, read from the data file beside this one.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::NaiveDate;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::asset::Medium;
use crate::domain::name::ProviderName;
use crate::domain::provider::{Catalog, CatalogEntry, ProtocolFacts, Repeat, Retirement};

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    // The file is part of the program and a test reads it: no user can meet this panic.
    read(include_str!("catalog.toml")).expect("the embedded catalog is valid")
});

/// Every protocol and every label this build ships, in alphabetical order.
#[must_use]
pub fn catalog() -> &'static Catalog {
    &CATALOG
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    protocols: BTreeMap<String, ProtocolTable>,
    entries: BTreeMap<String, EntryTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtocolTable {
    #[serde(default)]
    supported: bool,
    medium: Option<String>,
    #[serde(default)]
    needs_model: bool,
    #[serde(default)]
    local: bool,
    #[serde(default)]
    instant: bool,
    repeat: RepeatWord,
    timeout: String,
    #[serde(default)]
    options: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RepeatWord {
    Free,
    Paid,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryTable {
    title: String,
    protocol: String,
    medium: String,
    model: Option<String>,
    base_url: Option<String>,
    #[serde(default)]
    key_env: Vec<String>,
    retired: Option<RetiredTable>,
    timeout: Option<String>,
    concurrency: Option<u32>,
    calls_per_minute: Option<u32>,
    calls_per_hour: Option<u32>,
    limits: Option<String>,
    #[serde(default)]
    price_micros: i64,
    #[serde(default)]
    options: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RetiredTable {
    on: NaiveDate,
    advice: String,
}

fn read(text: &str) -> Result<Catalog, String> {
    let file: File = toml::from_str(text).map_err(|e| e.to_string())?;
    let protocols = file
        .protocols
        .into_iter()
        .map(|(name, table)| protocol(name, table))
        .collect::<Result<Vec<_>, _>>()?;
    let entries =
        file.entries.into_iter().map(|(label, table)| entry(&label, table)).collect::<Result<_, _>>()?;
    let catalog = Catalog { protocols, entries };
    for entry in &catalog.entries {
        if catalog.protocol(&entry.protocol).is_none() {
            return Err(format!("{}: no protocol is called \"{}\"", entry.name, entry.protocol));
        }
    }
    Ok(catalog)
}

fn protocol(name: String, table: ProtocolTable) -> Result<ProtocolFacts, String> {
    let medium = table.medium.map(|word| medium(&name, &word)).transpose()?;
    let timeout = duration(&name, &table.timeout)?;
    Ok(ProtocolFacts {
        supported: table.supported,
        medium,
        needs_model: table.needs_model,
        local: table.local,
        instant: table.instant,
        repeat: match table.repeat {
            RepeatWord::Free => Repeat::Free,
            RepeatWord::Paid => Repeat::Paid,
        },
        timeout,
        options: table.options,
        name,
    })
}

fn entry(label: &str, table: EntryTable) -> Result<CatalogEntry, String> {
    let name = ProviderName::parse(label).map_err(|e| format!("{label}: {e}"))?;
    if name.as_str() != label {
        return Err(format!("{label}: a label is written in lower case"));
    }
    Ok(CatalogEntry {
        medium: medium(label, &table.medium)?,
        name,
        title: table.title,
        protocol: table.protocol,
        model: table.model,
        base_url: table.base_url,
        key_env: table.key_env,
        retired: table.retired.map(|r| Retirement { on: r.on, advice: r.advice }),
        timeout: table.timeout.map(|text| duration(label, &text)).transpose()?,
        concurrency: table.concurrency,
        calls_per_minute: table.calls_per_minute,
        calls_per_hour: table.calls_per_hour,
        limits: table.limits,
        price_micros: table.price_micros,
        options: table.options,
    })
}

fn duration(of: &str, text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{of}: {e}"))
}

fn medium(of: &str, word: &str) -> Result<Medium, String> {
    Medium::parse(word).ok_or_else(|| format!("{of}: no medium is called \"{word}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(label: &str) -> &'static CatalogEntry {
        let name = ProviderName::parse(label).expect(label);
        catalog().entry(&name).unwrap_or_else(|| panic!("{label} is not in the catalog"))
    }

    #[test]
    fn every_entry_fits_its_protocol() {
        for entry in &catalog().entries {
            let facts = catalog().protocol(&entry.protocol).expect("read() has checked it");
            if let Some(medium) = facts.medium {
                assert_eq!(entry.medium, medium, "{}", entry.name);
            }
            assert!(entry.model.is_some() || !facts.needs_model, "{}: no model", entry.name);
            assert_eq!(entry.base_url.is_none(), facts.local, "{}: an address, or a local maker", entry.name);
            for option in entry.options.keys() {
                assert!(facts.options.contains(option), "{}: {option} is no option", entry.name);
            }
            if let Some(address) = &entry.base_url {
                let url = url::Url::parse(address).expect("an address");
                assert!(
                    url.scheme() == "https" || url.host_str() == Some("localhost"),
                    "{}: {address} would carry a key in the clear",
                    entry.name
                );
            }
        }
    }

    #[test]
    fn only_what_this_build_speaks_is_marked_supported() {
        let supported: Vec<_> = catalog()
            .protocols
            .iter()
            .filter(|facts| facts.supported)
            .map(|facts| facts.name.as_str())
            .collect();
        let spoken = |name: &str| super::super::protocol::named(name).is_some();
        let local = ["command", "template", "title-card"];
        for facts in &catalog().protocols {
            let speaks = spoken(&facts.name) || local.contains(&facts.name.as_str());
            assert_eq!(supported.contains(&facts.name.as_str()), speaks, "{}", facts.name);
        }
    }

    #[test]
    fn the_chains_of_the_seed_assets_and_the_older_ones_are_known() {
        for (label, model, protocol) in [
            ("gemini-3.1-flash-image", Some("gemini-3.1-flash-image"), "gemini-image"),
            ("lummi", None, "lummi"),
            ("claude-sonnet-4-6", Some("claude-sonnet-4-6"), "anthropic"),
            ("claude-haiku-4-5", Some("claude-haiku-4-5"), "anthropic"),
            ("gemini-omni-1.1-flash", Some("gemini-omni-1.1-flash"), "gemini-video"),
            ("gemini-imagen-3", Some("imagen-3.0-generate-002"), "imagen"),
            ("veo-2", Some("veo-2.0-generate-001"), "veo"),
        ] {
            assert_eq!(entry(label).model.as_deref(), model, "{label}");
            assert_eq!(entry(label).protocol, protocol, "{label}");
        }
        assert_eq!(entry("lummi").title, "Lummi");
        assert_eq!(entry("lummi").key_env, ["LUMMI_API_KEY"]);
    }

    #[test]
    fn ends_of_models_are_dated_and_advise_what_exists() {
        for (label, on) in [
            ("gemini-imagen-3", "2025-11-10"),
            ("veo-2", "2026-06-30"),
            ("dall-e-3", "2026-05-12"),
            ("gpt-image-1", "2026-10-23"),
            ("sora-2", "2026-09-24"),
            ("claude-sonnet-4-5", "2026-11-30"),
        ] {
            let retired = entry(label).retired.as_ref().expect(label);
            assert_eq!(retired.on.to_string(), on, "{label}");
        }
        for with_end in catalog().entries.iter().filter(|e| e.retired.is_some()) {
            let advice = &with_end.retired.as_ref().expect("filtered").advice;
            let (_, label) = advice.rsplit_once("use ").expect(advice);
            assert!(
                entry(label).retired.is_none(),
                "{}: advises {label}, which is retired itself",
                with_end.name
            );
        }
    }

    #[test]
    fn a_bound_of_calls_in_flight_is_told_to_people_too() {
        for (label, most) in [("flux-2-pro", 24), ("ideogram-v3", 10)] {
            assert_eq!(entry(label).concurrency, Some(most), "{label}");
        }
        for bounded in &catalog().entries {
            let Some(most) = bounded.concurrency else { continue };
            let told = bounded.limits.as_deref().is_some_and(|limits| limits.contains(&most.to_string()));
            assert!(told && most > 0, "{}", bounded.name);
        }
    }

    #[test]
    fn a_limit_of_calls_in_a_time_is_told_to_people_too() {
        let of = |label: &str| (entry(label).calls_per_minute, entry(label).calls_per_hour);
        assert_eq!(of("lummi"), (Some(10), None));
        assert_eq!((of("pexels"), of("pexels-video")), ((None, Some(200)), (None, Some(200))));
        assert_eq!(of("unsplash"), (None, Some(25)), "two requests for a picture");
        for bounded in &catalog().entries {
            let bound = bounded.calls_per_minute.is_some() || bounded.calls_per_hour.is_some();
            assert!(!bound || bounded.limits.is_some(), "{}", bounded.name);
        }
    }

    #[test]
    fn a_broken_catalog_is_not_read() {
        let check = |text: &str, expected: &str| {
            let why = read(text).expect_err(text);
            assert!(why.contains(expected), "{why}");
        };
        let entry = "[protocols]\n[entries.x]\ntitle = 'X'\nmedium = 'image'\nprotocol = 'none'\n";
        check(entry, "no protocol is called \"none\"");
        check(&entry.replace("'image'", "'smell'"), "no medium is called \"smell\"");
        check(&entry.replace("entries.x", "entries.X"), "lower case");
        check(&format!("{entry}timeout = 'soon'\n"), "x: ");
        check(&format!("{entry}colour = 'red'\n"), "colour");
    }
}
