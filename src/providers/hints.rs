//! When calls are welcome again, in every form vendors say it.

use std::time::Duration;

use chrono::DateTime;

use crate::domain::time::{Timestamp, after};

use super::protocol::HttpReply;

/// No hint is believed further than this: a later date is a vendor's mistake, and would switch a provider off
/// for good.
pub(super) const LONGEST_HINT: Duration = Duration::from_secs(35 * 86_400);

/// The hint in a reply's headers, as an instant not before `now`.
///
/// In the order of how exactly they say it: `retry-after-ms` and `retry-after` (OpenAI, Anthropic and RFC 9110),
/// then the resets of whichever allowance is used up.
pub(super) fn retry_at(reply: &HttpReply, now: Timestamp) -> Option<Timestamp> {
    let at = retry_after_ms(reply, now).or_else(|| retry_after(reply, now)).or_else(|| resets(reply, now))?;
    Some(bounded(at, now))
}

/// `wait` from `now`, held to [`LONGEST_HINT`].
pub(super) fn in_time(wait: Duration, now: Timestamp) -> Timestamp {
    bounded(after(now, wait), now)
}

fn bounded(at: Timestamp, now: Timestamp) -> Timestamp {
    at.clamp(now, after(now, LONGEST_HINT))
}

fn retry_after_ms(reply: &HttpReply, now: Timestamp) -> Option<Timestamp> {
    let seconds = reply.header("retry-after-ms")?.trim().parse::<f64>().ok()? / 1000.0;
    Some(after(now, Duration::try_from_secs_f64(seconds).ok()?))
}

/// Seconds, also with a fraction, or an HTTP date.
fn retry_after(reply: &HttpReply, now: Timestamp) -> Option<Timestamp> {
    let value = reply.header("retry-after")?.trim();
    match value.parse::<f64>() {
        Ok(seconds) => Some(after(now, Duration::try_from_secs_f64(seconds).ok()?)),
        Err(_) => DateTime::parse_from_rfc2822(value).ok().map(|at| at.to_utc()),
    }
}

/// Resets come in sets, one per allowance (requests, tokens, ...), and only a used-up one matters. Where none
/// says that it is used up, the request was too large for what remained, and the latest reset is the safe one.
fn resets(reply: &HttpReply, now: Timestamp) -> Option<Timestamp> {
    let mut used_up = None;
    let mut any = None;
    for (name, value) in &reply.headers {
        if !name.contains("ratelimit") {
            continue;
        }
        let Some((head, tail)) = name.split_once("reset") else { continue };
        let Some(at) = reset(value, now) else { continue };
        any = any.max(Some(at));
        let remaining = reply.header(&format!("{head}remaining{tail}"));
        if remaining.is_some_and(|left| left.trim() == "0") {
            used_up = used_up.max(Some(at));
        }
    }
    used_up.or(any)
}

/// A Go duration (OpenAI), an RFC 3339 date (Anthropic), seconds since 1970 (Pexels), milliseconds since 1970
/// (OpenRouter), or seconds from now.
fn reset(value: &str, now: Timestamp) -> Option<Timestamp> {
    const MILLISECONDS_FROM: f64 = 1e11;
    const DATES_FROM: f64 = 1e9;
    let value = value.trim();
    if let Ok(at) = DateTime::parse_from_rfc3339(value) {
        return Some(at.to_utc());
    }
    let Ok(number) = value.parse::<f64>() else { return go_duration(value).map(|wait| after(now, wait)) };
    let length = |seconds: f64| Duration::try_from_secs_f64(seconds).ok();
    if number >= MILLISECONDS_FROM {
        Some(after(Timestamp::UNIX_EPOCH, length(number / 1000.0)?))
    } else if number >= DATES_FROM {
        Some(after(Timestamp::UNIX_EPOCH, length(number)?))
    } else {
        Some(after(now, length(number)?))
    }
}

/// Reads `6m0s`, `1h2m3.5s`, `120ms`, `34.4s`: Go's spelling, and protobuf's, which is a part of it.
pub(super) fn go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] =
        [("ms", 1e-3), ("us", 1e-6), ("µs", 1e-6), ("ns", 1e-9), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
    let mut rest = text.trim();
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(digits);
        let (unit, size) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        seconds += number.parse::<f64>().ok()? * size;
        rest = tail.strip_prefix(unit)?;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{from_text, to_text};

    const NOW: &str = "2026-11-22T13:49:00.000Z";

    fn check(headers: &[(&str, &str)], expected: Option<&str>) {
        let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let reply = HttpReply { status: 429, headers, ..HttpReply::default() };
        let at = retry_at(&reply, from_text(NOW).expect("valid"));
        assert_eq!(at.map(to_text).as_deref(), expected, "{:?}", reply.headers);
    }

    #[test]
    fn retry_after_is_read_in_each_of_its_forms() {
        check(&[], None);
        check(&[("retry-after", "20")], Some("2026-11-22T13:49:20.000Z"));
        check(&[("retry-after", " 1.5 ")], Some("2026-11-22T13:49:01.500Z"));
        check(&[("retry-after", "Sun, 22 Nov 2026 14:00:00 GMT")], Some("2026-11-22T14:00:00.000Z"));
        check(&[("retry-after-ms", "250")], Some("2026-11-22T13:49:00.250Z"));
        check(&[("retry-after", "9"), ("retry-after-ms", "250")], Some("2026-11-22T13:49:00.250Z"));
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "-5")], None);
        check(&[("retry-after", "NaN")], None);
    }

    #[test]
    fn a_hint_is_neither_in_the_past_nor_beyond_reason() {
        check(&[("retry-after", "Sun, 22 Nov 2020 14:00:00 GMT")], Some(NOW));
        check(&[("retry-after", "99999999999")], Some("2026-12-27T13:49:00.000Z"));
        check(&[("retry-after", "1e300")], None);
    }

    #[test]
    fn of_several_allowances_the_one_used_up_counts() {
        let openai = [
            ("x-ratelimit-remaining-requests", "59"),
            ("x-ratelimit-reset-requests", "6m0s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "120ms"),
        ];
        check(&openai, Some("2026-11-22T13:49:00.120Z"));
        check(&openai[..2], Some("2026-11-22T13:55:00.000Z"));
        let anthropic = [
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-11-22T13:49:30Z"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-11-22T13:50:00Z"),
            ("anthropic-ratelimit-input-tokens-remaining", "1000"),
            ("anthropic-ratelimit-input-tokens-reset", "2026-11-22T15:00:00Z"),
        ];
        check(&anthropic, Some("2026-11-22T13:50:00.000Z"));
        check(&[("retry-after", "2"), anthropic[3]], Some("2026-11-22T13:49:02.000Z"));
    }

    #[test]
    fn resets_are_dates_or_lengths() {
        check(&[("x-ratelimit-reset", "1795356000")], Some("2026-11-22T14:00:00.000Z"));
        check(&[("x-ratelimit-reset", "1795356000000")], Some("2026-11-22T14:00:00.000Z"));
        check(&[("x-ratelimit-reset", "60")], Some("2026-11-22T13:50:00.000Z"));
        check(&[("x-ratelimit-reset", "tomorrow")], None);
    }

    #[test]
    fn go_durations_are_read() {
        let check =
            |text: &str, ms: Option<u64>| assert_eq!(go_duration(text), ms.map(Duration::from_millis));
        check("1s", Some(1_000));
        check("6m0s", Some(360_000));
        check("120ms", Some(120));
        check("1h2m3.5s", Some(3_723_500));
        check("34.4s", Some(34_400));
        for bad in ["", "5", "s", "1x", "-1s", "1.2.3s", "m1"] {
            check(bad, None);
        }
    }
}
