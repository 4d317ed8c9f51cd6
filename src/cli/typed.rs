//! What people type: assets, providers, jobs, instants, and what they probably meant.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveTime};

use super::said::usage;
use crate::config::{Config, nearest};
use crate::domain::asset::Asset;
use crate::domain::job::JobId;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::plan::Override;
use crate::domain::provider::Provider;
use crate::domain::time::Timestamp;

/// The asset, in any spelling.
pub(super) fn asset<'c>(config: &'c Config, typed: &str) -> anyhow::Result<&'c Asset> {
    let name = AssetName::parse(typed);
    let found = name.as_ref().ok().and_then(|name| config.assets.iter().find(|asset| asset.name == *name));
    found.ok_or_else(|| {
        let known: Vec<&str> = config.assets.iter().map(|asset| asset.name.as_str()).collect();
        let meant = name.map_or_else(|_| typed.to_owned(), |name| name.to_string());
        usage(format!("unknown asset \"{typed}\"; {}", advice(&meant, &known, "the assets are ")))
    })
}

/// The provider.
pub(super) fn provider<'c>(config: &'c Config, typed: &str) -> anyhow::Result<&'c Provider> {
    let name = ProviderName::parse(typed).ok();
    let found = name.and_then(|name| config.providers.iter().find(|provider| provider.name == name));
    found.ok_or_else(|| {
        let known: Vec<&str> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
        let near = nearest(typed, &known).map(|near| format!("did you mean \"{near}\"?"));
        let advice = near.unwrap_or_else(|| "backstop providers --all lists them".to_owned());
        usage(format!("unknown provider \"{typed}\"; {advice}"))
    })
}

/// A one-run override for an asset: `manual`, or a provider of its medium.
pub(super) fn wish(config: &Config, asset: &Asset, typed: &str) -> anyhow::Result<Override> {
    if Override::parse(typed) == Ok(Override::Manual) {
        return Ok(Override::Manual);
    }
    let provider = provider(config, typed)?;
    if provider.medium != asset.medium {
        return Err(usage(format!(
            "{} makes {} and cannot make {} ({}); name a provider of that medium",
            provider.name, provider.medium, asset.name, asset.medium
        )));
    }
    Ok(Override::Provider(provider.name.clone()))
}

/// The number of a job, with or without `#`.
pub(super) fn job(typed: &str) -> Option<JobId> {
    let number: i64 = typed.strip_prefix('#').unwrap_or(typed).parse().ok()?;
    (number > 0).then_some(JobId(number))
}

/// A length of time: `2h`, `30m`, `2d`.
pub(super) fn span(flag: &str, typed: &str) -> anyhow::Result<Duration> {
    humantime::parse_duration(typed)
        .map_err(|_| usage(format!("{flag} {typed}: this is no length of time; write 30m, 2h or 2d")))
}

/// An instant: a day, or a day with a time and a zone.
pub(super) fn instant(flag: &str, typed: &str) -> anyhow::Result<Timestamp> {
    let day = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
    let found = DateTime::parse_from_rfc3339(typed).map(|at| at.to_utc()).ok();
    found.or_else(|| NaiveDate::parse_from_str(typed, "%Y-%m-%d").ok().map(day)).ok_or_else(|| {
        usage(format!("{flag} {typed}: no such instant; write 2026-12-31 or 2026-12-31T18:00:00Z"))
    })
}

/// An instant, or how long before `now` it was.
pub(super) fn since(flag: &str, typed: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let Ok(back) = humantime::parse_duration(typed) else {
        return instant(flag, typed).map_err(|_| {
            usage(format!("{flag} {typed}: no such time; write 2d, 2026-12-31 or 2026-12-31T18:00:00Z"))
        });
    };
    let delta = chrono::TimeDelta::from_std(back).unwrap_or(chrono::TimeDelta::MAX);
    Ok(now.checked_sub_signed(delta).unwrap_or(Timestamp::MIN_UTC))
}

fn advice(word: &str, known: &[&str], otherwise: &str) -> String {
    nearest(word, known).map_or_else(
        || format!("{otherwise}{}", known.join(", ")),
        |near| format!("did you mean \"{near}\"?"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{from_text, to_text};

    #[test]
    fn instants_are_read_as_people_write_them() {
        let now = from_text("2026-11-22T13:49:00.000Z").expect("valid");
        let check = |typed: &str, expected: Option<&str>| {
            let found = since("--since", typed, now).ok().map(to_text);
            assert_eq!(found.as_deref(), expected, "{typed}");
        };
        check("2d", Some("2026-11-20T13:49:00.000Z"));
        check("2026-11-20", Some("2026-11-20T00:00:00.000Z"));
        check("2026-11-20T10:00:00+02:00", Some("2026-11-20T08:00:00.000Z"));
        check("2026-02-31", None);
        check("yesterday", None);
    }

    #[test]
    fn a_job_is_a_positive_number() {
        let check =
            |typed: &str, expected: Option<i64>| assert_eq!(job(typed), expected.map(JobId), "{typed}");
        check("7", Some(7));
        check("#7", Some(7));
        check("0", None);
        check("-1", None);
        check("hero-image", None);
    }
}
