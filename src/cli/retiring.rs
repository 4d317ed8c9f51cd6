//! Which models in the configured chains are gone, or will be before long.

use chrono::{Days, NaiveDate};
use serde::Serialize;

use crate::config::Config;
use crate::domain::provider::Provider;
use crate::domain::time::Timestamp;

/// How early an end is told: time enough to try a successor.
const NOTICE: Days = Days::new(90);

/// A provider whose model ends.
#[derive(Debug, Serialize)]
pub(super) struct Warning {
    /// Its label.
    provider: String,
    /// The assets in whose chains it stands.
    assets: Vec<String>,
    /// The day.
    on: NaiveDate,
    /// The whole sentence.
    sentence: String,
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// What to warn of, soonest first.
pub(super) fn warnings(config: &Config, now: Timestamp) -> Vec<Warning> {
    let mut warnings: Vec<Warning> =
        config.providers.iter().filter_map(|provider| warning(config, provider, now.date_naive())).collect();
    warnings.sort_by(|a, b| (a.on, &a.provider).cmp(&(b.on, &b.provider)));
    warnings
}

fn warning(config: &Config, provider: &Provider, today: NaiveDate) -> Option<Warning> {
    let retirement = provider.retired.as_ref()?;
    let assets: Vec<String> = config
        .assets
        .iter()
        .filter(|asset| asset.chain.providers().contains(&provider.name))
        .map(|asset| asset.name.to_string())
        .collect();
    let last = today.checked_add_days(NOTICE).unwrap_or(NaiveDate::MAX);
    if assets.is_empty() || retirement.on > last {
        return None;
    }
    let (name, on, advice) = (&provider.name, retirement.on, &retirement.advice);
    let of = assets.join(", ");
    let days = (on - today).num_days();
    let sentence = match days {
        ..=0 => format!("{name} (in the chain of {of}) was retired on {on}; {advice}"),
        1 => format!("{name} (in the chain of {of}) will be retired tomorrow, on {on}; {advice}"),
        _ => format!("{name} (in the chain of {of}) will be retired in {days} days, on {on}; {advice}"),
    };
    Some(Warning { provider: name.to_string(), assets, on, sentence })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};
    use crate::domain::time::from_text;
    use crate::providers::catalog;

    fn said(text: &str, now: &str) -> Vec<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("backstop.toml");
        std::fs::write(&file, text).expect("written");
        let sources = Sources {
            file: Some(file),
            environment: std::collections::BTreeMap::new(),
            overrides: Vec::new(),
            working_directory: folder.path().to_owned(),
            state_directory: None,
            credentials_directory: None,
            search_system: false,
        };
        let now = from_text(now).expect("a time");
        let config = load(&sources, catalog(), now).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        warnings(&config, now).iter().map(ToString::to_string).collect()
    }

    const CHAINS: &str = "[assets.hero-image]\nmedium = \"image\"\nchain = [\"gpt-image-1.5\", \"gemini-imagen-3\"]\n\
        [assets.social-text]\nmedium = \"text\"\nchain = [\"claude-sonnet-4-6\"]\n\
        [assets.video-clip]\nmedium = \"video\"\nchain = [\"pexels-video\"]\n";

    #[test]
    fn what_is_gone_and_what_ends_within_90_days_is_told_soonest_first() {
        let gone = "gemini-imagen-3 (in the chain of hero-image) was retired on 2025-11-10; \
                    use gemini-3.1-flash-image";
        let ends = |when: &str| {
            format!("gpt-image-1.5 (in the chain of hero-image) {when} 2026-12-01; use gpt-image-2.6-flare")
        };
        let check = |now: &str, expected: &[&str]| assert_eq!(said(CHAINS, now), expected, "{now}");
        check("2026-09-01T00:00:00.000Z", &[gone]);
        check("2026-09-02T00:00:00.000Z", &[gone, &ends("will be retired in 90 days, on")]);
        check("2026-11-30T23:59:00.000Z", &[gone, &ends("will be retired tomorrow, on")]);
        check("2026-12-01T00:00:00.000Z", &[gone, &ends("was retired on")]);
    }

    #[test]
    fn what_stands_in_no_chain_or_at_another_address_is_not_warned_of() {
        let now = "2026-11-22T00:00:00.000Z";
        let elsewhere = "[providers.gemini-imagen-3]\nbase_url = \"https://relay.example.org\"\n\
            [providers.\"gpt-image-1.5\"]\nmodel = \"other\"\n";
        assert_eq!(said(&format!("{CHAINS}{elsewhere}"), now), Vec::<String>::new());
        assert_eq!(said("", now), Vec::<String>::new(), "the defaults name what lives");
    }
}
