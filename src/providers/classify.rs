//! The one place where a vendor's error becomes a failure class.

use chrono::{Days, NaiveDate, NaiveTime};
use chrono_tz::America::Los_Angeles;

use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Repeat;
use crate::domain::time::Timestamp;

use super::gone_model;
use super::hints;
use super::protocol::{Call, HttpReply};
use super::vendor_error::{NO_ALLOWANCE, VendorError};

/// Words for programs that mean: nothing more until somebody pays, whatever the status. OpenAI's family,
/// Anthropic's, ElevenLabs', Google's Interactions.
const QUOTA: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "enforced_spend_limit_reached",
    "quota_exceeded",
];

/// The same in sentences, for errors whose code does not tell (Anthropic's 400 "Your credit balance is too low").
const QUOTA_WORDS: &[&str] = &[
    "credit balance",
    "insufficient credit",
    "insufficient balance",
    "out of credits",
    "spend limit",
    "spending limit",
    "spend cap",
    "spending cap",
    "usage limit",
    "billing hard limit",
    "exceeded your current quota",
];

/// A content policy's own codes.
const REFUSED: &[&str] = &[
    "moderation_blocked",
    "content_policy_violation",
    "content_filter",
    "content_moderation",
    "responsibleaipolicyviolation",
    "moderation",
];

/// A content policy in sentences: OpenAI's images, Google's Imagen and Veo, Ideogram.
const REFUSED_WORDS: &[&str] = &[
    "safety system",
    "content policy",
    "content management policy",
    "responsible ai",
    "usage guidelines",
    "the response is blocked",
    "failed the safety checks",
];

const AUTH: &[&str] = &["invalid_api_key", "api_key_invalid", "authentication_error", "permission_error"];

/// ElevenLabs' voices end as models do.
const RETIRED: &[&str] = &["model_not_found", "model_deprecated", "model_retired", "voice_not_found"];

const RATE_LIMITED: &[&str] = &[
    "rate_limit_exceeded",
    "rate_limit_error",
    "slow_down",
    "resource_exhausted",
    "too_many_concurrent_requests",
];

const OVERLOADED: &[&str] = &[
    "overloaded_error",
    "server_is_overloaded",
    "service_unavailable_error",
    "service_unavailable",
    "api_error",
    "server_error",
];

/// The failure that a reply's error is.
pub(super) fn failure(call: &Call<'_>, reply: &HttpReply, error: &VendorError) -> Failure {
    self::error(call.repeat, call.provider.model.as_deref(), call.now(), reply, error)
}

/// The failure that an error is where a repeat is free or paid, and `model` is configured.
pub(super) fn error(
    repeat: Repeat,
    model: Option<&str>,
    now: Timestamp,
    reply: &HttpReply,
    error: &VendorError,
) -> Failure {
    let hint = match error.wait {
        Some(wait) => Some(hints::in_time(wait, now)),
        None => hints::retry_at(reply, now),
    };
    let class = classify(error, (repeat, model), hint, now);
    Failure::new(class, message(reply, error))
}

/// The failure of a request that only begins a generation. Whatever a vendor's server says of its own trouble,
/// the job may have been taken; a status below 500 says that it was not.
pub(super) fn submit_failure(call: &Call<'_>, reply: &HttpReply, error: &VendorError) -> Failure {
    let mut found = failure(call, reply, error);
    if reply.status >= 500 && found.class == FailureClass::Transient {
        found.class = fate(call.repeat);
    }
    found
}

/// Whether a sentence speaks of a content policy.
pub(super) fn speaks_of_policy(words: &str) -> bool {
    let words = words.to_lowercase();
    REFUSED_WORDS.iter().any(|phrase| words.contains(phrase))
}

/// Google's daily allowances are filled again at midnight in California.
pub(super) fn midnight_pacific(now: Timestamp) -> Option<Timestamp> {
    let tomorrow = now.with_timezone(&Los_Angeles).date_naive().checked_add_days(Days::new(1))?;
    let midnight = tomorrow.and_time(NaiveTime::MIN).and_local_timezone(Los_Angeles);
    midnight.earliest().map(|at| at.to_utc())
}

/// The class of an error. `hint` is when the vendor says calls are welcome again.
fn classify(
    error: &VendorError,
    (repeat, model): (Repeat, Option<&str>),
    hint: Option<Timestamp>,
    now: Timestamp,
) -> FailureClass {
    let words = error.words.as_deref().unwrap_or_default().to_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    let marked = |part: &str| error.markers.iter().any(|marker| marker.contains(part));
    let refusable = (400..500).contains(&error.status);

    // An allowance of nothing is filled by the operator, not by time.
    if error.has(&[NO_ALLOWANCE]) || words.contains("limit: 0,") || words.ends_with("limit: 0") {
        return FailureClass::Quota { until: None };
    }
    // Google words every 429 as "exceeded your current quota"; only its quota ids tell a minute from a day. Where
    // both are used up, the day counts.
    if marked("perday") {
        return FailureClass::Quota { until: midnight_pacific(now) };
    }
    if marked("perminute") {
        return FailureClass::RateLimited { until: hint };
    }
    // A hint beside a quota is misleading: Google's says seconds for a daily one. The sentence's date counts.
    let unsplash_hourly = error.status == 403 && says(&["rate limit exceeded"]);
    if error.status == 402 || error.has(QUOTA) || unsplash_hourly || (refusable && says(QUOTA_WORDS)) {
        return FailureClass::Quota { until: regain_date(&words, now) };
    }
    if error.has(REFUSED) || (refusable && error.status != 429 && says(REFUSED_WORDS)) {
        return FailureClass::Refused { category: error.category.clone() };
    }
    if error.status == 401 || error.has(AUTH) || says(&["api key not valid"]) {
        return FailureClass::Auth;
    }
    if error.has(RETIRED) || is_of_a_gone_model(error, model, &words) {
        return FailureClass::Retired;
    }
    if error.status == 429 || error.has(RATE_LIMITED) {
        return FailureClass::RateLimited { until: hint };
    }
    if error.has(&["timeout_error"]) {
        return fate(repeat);
    }
    if error.has(OVERLOADED) {
        return FailureClass::Transient;
    }
    by_status(error.status, repeat)
}

/// A 404 that is not about the model is a wrong address, which our translation or the operator made.
fn is_of_a_gone_model(error: &VendorError, model: Option<&str>, words: &str) -> bool {
    match error.status {
        404 | 410 => {
            words.contains("model")
                || error.has(&["not_found_error", "not_found"])
                || words.contains("no endpoints")
        }
        400 | 403 => gone_model::is_said(words, model),
        _ => false,
    }
}

fn by_status(status: u16, repeat: Repeat) -> FailureClass {
    match status {
        403 => FailureClass::Auth,
        // Cloudflare's 521 to 523 say that it did not reach the vendor.
        409 | 425 | 499 | 500 | 503 | 521..=523 | 529 => FailureClass::Transient,
        408 => fate(repeat),
        501 | 505 => FailureClass::Invalid,
        502 | 504 | 506..=599 => fate(repeat),
        300..=499 => FailureClass::Invalid,
        _ => FailureClass::Unusable,
    }
}

/// A gateway gave up waiting: what the vendor made of the call is not known, and matters where it is billed.
fn fate(repeat: Repeat) -> FailureClass {
    match repeat {
        Repeat::Free => FailureClass::Transient,
        Repeat::Paid => FailureClass::UnknownOutcome,
    }
}

/// Anthropic's "You will regain access on 2026-09-01 at 00:00 UTC."
fn regain_date(words: &str, now: Timestamp) -> Option<Timestamp> {
    let (_, tail) = words.split_once("regain access on ")?;
    let date = NaiveDate::parse_from_str(tail.get(..10)?, "%Y-%m-%d").ok()?;
    let time = tail.get(10..).and_then(|rest| rest.strip_prefix(" at ")).and_then(|rest| rest.get(..5));
    let time = time.and_then(|time| NaiveTime::parse_from_str(time, "%H:%M").ok()).unwrap_or_default();
    let until = date.and_time(time).and_utc();
    (until > now).then(|| until.min(crate::domain::time::after(now, hints::LONGEST_HINT)))
}

/// `answered 429 (rate_limit_exceeded): Rate limit reached`. The vendor's words are cleaned by the driver,
/// which knows the key.
fn message(reply: &HttpReply, error: &VendorError) -> String {
    let status = error.status;
    let marker = error.marker().map(|marker| format!(" ({marker})")).unwrap_or_default();
    if (300..400).contains(&status) {
        return format!("answered {status}, a redirect, which no call follows; correct base_url");
    }
    match &error.words {
        Some(words) => format!("answered {status}{marker}: {words}"),
        None if reply.body.trim_ascii_start().starts_with(b"<") => {
            format!("answered {status} with a page instead of JSON")
        }
        None => format!("answered {status}{marker}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::from_text;
    use FailureClass::*;

    const UNKNOWN_DAY: Option<Timestamp> = None;

    fn class(status: u16, markers: &[&str], words: &str, repeat: Repeat) -> FailureClass {
        let now = from_text("2026-08-22T13:49:00.000Z").expect("valid");
        let markers = markers.iter().map(|marker| (*marker).to_owned()).collect();
        let error = VendorError { status, markers, words: Some(words.to_owned()), ..VendorError::default() };
        classify(&error, (repeat, Some("claude-opus-4")), Some(now), now)
    }

    fn check(status: u16, markers: &[&str], words: &str, expected: &FailureClass) {
        for repeat in [Repeat::Paid, Repeat::Free] {
            assert_eq!(&class(status, markers, words, repeat), expected, "{status} {markers:?} {words}");
        }
    }

    #[test]
    fn used_up_credit_is_quota_whatever_the_status() {
        let quota = Quota { until: UNKNOWN_DAY };
        check(402, &[], "", &quota);
        check(402, &["billing_error"], "", &quota);
        check(400, &["invalid_request_error"], "Your credit balance is too low to access the API.", &quota);
        check(400, &["billing_hard_limit_reached"], "", &quota);
        for code in [
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        ] {
            check(429, &[code, "insufficient_quota"], "", &quota);
            check(200, &[code], "", &quota);
        }
        check(401, &["quota_exceeded"], "", &quota);
        check(403, &[], "Rate Limit Exceeded", &quota);
        check(429, &["resource_exhausted", NO_ALLOWANCE, "generaterequestsperminute"], "", &quota);
        check(429, &["resource_exhausted"], "Quota exceeded for metric x, limit: 0, model: y", &quota);
        check(429, &["resource_exhausted"], "You exceeded your current quota", &quota);
    }

    #[test]
    fn a_spend_limit_holds_until_the_day_its_sentence_names() {
        let sentence = "You have reached your limit. You will regain access on 2026-09-01 at 06:30 UTC.";
        let until = from_text("2026-09-01T06:30:00.000Z");
        check(429, &["rate_limit_error", "enforced_spend_limit_reached"], sentence, &Quota { until });
        check(400, &["invalid_request_error"], &format!("usage limits. {sentence}"), &Quota { until });
        for odd in
            ["regain access on soon", "regain access on 2026-02-31", "regain access on 2020-01-01 at 00:00"]
        {
            check(429, &["enforced_spend_limit_reached"], odd, &Quota { until: UNKNOWN_DAY });
        }
    }

    #[test]
    fn a_daily_allowance_of_googles_is_back_at_midnight_in_california() {
        let day = ["resource_exhausted", "generaterequestsperminute", "generaterequestsperdayperproject"];
        let until = from_text("2026-08-23T07:00:00.000Z");
        check(429, &day, "You exceeded your current quota", &Quota { until });
        let at = |now: &str| midnight_pacific(from_text(now).expect("valid"));
        assert_eq!(at("2026-11-22T13:49:00.000Z"), from_text("2026-11-23T08:00:00.000Z"), "in winter");
        assert_eq!(at("2026-11-22T07:59:59.000Z"), from_text("2026-11-22T08:00:00.000Z"), "just before");
        assert_eq!(at("2026-11-22T08:00:00.000Z"), from_text("2026-11-23T08:00:00.000Z"), "just at it");
    }

    #[test]
    fn too_many_calls_carry_the_hint() {
        let until = from_text("2026-08-22T13:49:00.000Z");
        let limited = RateLimited { until };
        check(429, &[], "", &limited);
        check(429, &["rate_limit_error"], "Number of requests exceeded", &limited);
        check(429, &["rate_limit_exceeded", "requests"], "add a payment method in billing", &limited);
        check(429, &["slow_down"], "", &limited);
        check(503, &["slow_down"], "", &limited);
        let minute = ["resource_exhausted", "generaterequestsperminuteperproject"];
        check(429, &minute, "You exceeded your current quota", &limited);
    }

    #[test]
    fn content_policy_is_a_refusal_and_no_bad_request() {
        let refused = Refused { category: None };
        check(400, &["moderation_blocked", "image_generation_user_error"], "", &refused);
        check(400, &["content_policy_violation"], "", &refused);
        check(400, &["content_filter"], "", &refused);
        check(403, &["moderation"], "flagged", &refused);
        check(403, &["content_moderation"], "", &refused);
        check(400, &["invalid_argument"], "words that violate Google's Responsible AI practices", &refused);
        check(422, &[], "Prompt or provided image failed the safety checks", &refused);
    }

    #[test]
    fn keys_models_and_bad_requests_are_told_apart() {
        check(401, &[], "", &Auth);
        check(403, &["permission_error"], "", &Auth);
        check(403, &[], "", &Auth);
        check(400, &["invalid_argument", "api_key_invalid"], "API key not valid.", &Auth);
        check(404, &["model_not_found"], "", &Retired);
        check(400, &["model_not_found"], "", &Retired);
        check(404, &["not_found_error"], "model: claude-2", &Retired);
        check(
            404,
            &["not_found"],
            "models/imagen-3.0-generate-002 is not found for API version v1beta",
            &Retired,
        );
        check(404, &["notfounderror"], "The model `x` does not exist.", &Retired);
        check(400, &[], "x/y is not a valid model ID", &Retired);
        check(400, &[], "The model `x` has been deprecated.", &Retired);
        check(403, &[], "claude-opus-4 is no longer available.", &Retired);
        check(400, &["invalid_request_error"], "`temperature` is deprecated for this model.", &Invalid);
        check(403, &[], "`top_k` was not found for claude-opus-4.", &Auth);
        check(404, &[], "Not Found", &Invalid);
        check(404, &[], "", &Invalid);
        for status in [307, 400, 405, 413, 422, 501] {
            check(status, &["invalid_request_error"], "max_tokens is too large for this model", &Invalid);
        }
    }

    #[test]
    fn brief_trouble_is_transient_and_gateways_leave_the_fate_of_paid_calls_open() {
        for status in [409, 425, 499, 500, 503, 521, 529] {
            check(status, &[], "", &Transient);
        }
        check(529, &["overloaded_error"], "Overloaded", &Transient);
        check(200, &["overloaded_error"], "Overloaded", &Transient);
        for (status, marker) in [(408, ""), (502, ""), (504, "timeout_error"), (520, ""), (524, "")] {
            assert_eq!(class(status, &[marker], "", Repeat::Paid), UnknownOutcome, "{status}");
            assert_eq!(class(status, &[marker], "", Repeat::Free), Transient, "{status}");
        }
        check(200, &["strange"], "", &Unusable);
    }
}
