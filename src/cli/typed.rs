//! What people type: assets, providers, jobs, instants, and what they probably meant.

use std::time::Duration;

use super::said::usage;
use crate::config::Config;
use crate::daemon::desk::{self, DeskError, times};
use crate::domain::asset::Asset;
use crate::domain::job::JobId;
use crate::domain::plan::Override;
use crate::domain::time::Timestamp;

/// The asset, in any spelling.
pub(super) fn asset<'c>(config: &'c Config, typed: &str) -> anyhow::Result<&'c Asset> {
    desk::asset(config, typed).map_err(wrong)
}

/// A one-run override for an asset: `manual`, or a provider of its medium.
pub(super) fn wish(config: &Config, asset: &Asset, typed: &str) -> anyhow::Result<Override> {
    desk::wish(config, asset, typed).map_err(wrong)
}

/// What the desk did not do, for whoever typed: a wrong word ends with another exit code than a wish that failed.
pub(super) fn wrong(error: DeskError) -> anyhow::Error {
    match error {
        DeskError::Wish(sentence) => usage(sentence),
        DeskError::Conflict(_) | DeskError::Unacceptable(_) | DeskError::Store(_) | DeskError::Vault(_) => {
            error.into()
        }
    }
}

/// The number of a job, with or without `#`.
pub(super) fn job(typed: &str) -> Option<JobId> {
    let number: i64 = typed.strip_prefix('#').unwrap_or(typed).parse().ok()?;
    (number > 0).then_some(JobId(number))
}

/// A length of time: `2h`, `30m`, `2d`.
pub(super) fn span(flag: &str, typed: &str) -> anyhow::Result<Duration> {
    times::span(typed)
        .ok_or_else(|| usage(format!("{flag} {typed}: this is no length of time; write 30m, 2h or 2d")))
}

/// An instant: a day, or a day with a time and a zone.
pub(super) fn instant(flag: &str, typed: &str) -> anyhow::Result<Timestamp> {
    times::instant(typed).ok_or_else(|| {
        usage(format!("{flag} {typed}: no such instant; write 2026-12-31 or 2026-12-31T18:00:00Z"))
    })
}

/// An instant, or how long before `now` it was.
pub(super) fn since(flag: &str, typed: &str, now: Timestamp) -> anyhow::Result<Timestamp> {
    let Some(back) = times::span(typed) else {
        return instant(flag, typed).map_err(|_| {
            usage(format!("{flag} {typed}: no such time; write 2d, 2026-12-31 or 2026-12-31T18:00:00Z"))
        });
    };
    let delta = chrono::TimeDelta::from_std(back).unwrap_or(chrono::TimeDelta::MAX);
    Ok(now.checked_sub_signed(delta).unwrap_or(Timestamp::MIN_UTC))
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
