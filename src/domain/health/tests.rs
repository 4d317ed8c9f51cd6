//! What an asset remembers of its runs, and how it says so.

use std::time::Duration;

use super::*;
use crate::domain::plan::tests::{name, now};
use crate::domain::time::after;

const DAY: u64 = 86_400;

fn hero() -> AssetHealth {
    AssetHealth::unknown(AssetName::parse("hero-image").expect("valid"))
}

fn at(seconds: u64) -> Timestamp {
    after(now(), Duration::from_secs(seconds))
}

fn delivered(label: &str, fallback_used: bool) -> RunEnding {
    RunEnding::Delivered { provider: name(label), fallback_used }
}

fn needs_person() -> RunEnding {
    RunEnding::NeedsPerson { error: "a: auth: bad key".to_owned() }
}

fn failed() -> RunEnding {
    RunEnding::Failed { error: "a: transient: 503".to_owned() }
}

/// Remembers runs, each as (seconds, how it ended, whether its primary `a` failed).
fn after_runs(runs: &[(u64, RunEnding, bool)]) -> AssetHealth {
    let mut health = hero();
    for (seconds, ending, primary_failed) in runs {
        health.remember(&RunReport {
            asset: health.asset.clone(),
            at: at(*seconds),
            ending: ending.clone(),
            primary_failure: primary_failed.then(|| (name("a"), "transient: 503".to_owned())),
        });
    }
    health
}

#[test]
fn a_delivery_is_remembered_with_who_made_it() {
    let health = after_runs(&[(0, delivered("lummi", true), true)]);
    assert_eq!(health.last_success_at, Some(at(0)));
    assert_eq!(health.last_failure_at, None, "the run did not fail, its primary did");
    assert_eq!(health.last_error, None);
    assert_eq!(health.last_resolved_source.as_deref(), Some("lummi"));
    assert_eq!(health.last_fallback_used, Some(true));
    assert_eq!(health.primary_provider, Some(name("a")));
    assert_eq!(health.primary_last_failure_at, Some(at(0)));
    assert_eq!(health.primary_last_error.as_deref(), Some("transient: 503"));
}

#[test]
fn a_run_that_needs_a_person_resolves_to_manual() {
    let health = after_runs(&[(0, delivered("a", false), false), (9, needs_person(), true)]);
    assert_eq!(health.last_success_at, Some(at(0)), "what was delivered stays remembered");
    assert_eq!(health.last_failure_at, Some(at(9)));
    assert_eq!(health.last_error.as_deref(), Some("a: auth: bad key"));
    assert_eq!(health.last_resolved_source.as_deref(), Some("manual"));
    assert_eq!(health.last_fallback_used, Some(true));
}

#[test]
fn a_run_that_comes_back_or_fails_resolves_nothing() {
    let health = after_runs(&[(0, delivered("lummi", true), true), (9, failed(), false)]);
    assert_eq!(health.last_failure_at, Some(at(9)));
    assert_eq!(health.last_error.as_deref(), Some("a: transient: 503"));
    assert_eq!(health.last_resolved_source, None);
    assert_eq!(health.last_fallback_used, None);
    assert_eq!(health.primary_last_failure_at, Some(at(0)), "this time the primary was not at fault");
}

#[test]
fn the_sentence_says_how_the_primary_and_the_last_run_did() {
    let check = |runs: &[(u64, RunEnding, bool)], primary: Option<&str>, seconds, expected: &str| {
        let primary = primary.map(name);
        assert_eq!(after_runs(runs).sentence(primary.as_ref(), at(seconds)), expected);
    };
    let fallback = (0, delivered("lummi", true), true);
    let primary = (9, delivered("a", false), false);
    let a = Some("a");

    check(&[], a, 0, "Never run.");
    check(&[], None, 0, "Never run.");
    check(
        std::slice::from_ref(&fallback),
        a,
        3 * DAY,
        "Primary provider last failed 3 days ago. Last run used fallback: lummi.",
    );
    check(
        &[fallback.clone(), primary.clone()],
        a,
        9 + 120,
        "Primary provider last failed 2 minutes ago. Last run used the primary provider.",
    );
    check(
        std::slice::from_ref(&primary),
        a,
        10,
        "Primary provider has not failed. Last run used the primary provider.",
    );
    check(
        &[(0, needs_person(), true)],
        a,
        0,
        "Primary provider last failed a moment ago. Last run needed a person.",
    );
    check(
        &[(0, needs_person(), false)],
        None,
        5,
        "No provider stands in the chain. Last run needed a person.",
    );
    check(&[(0, failed(), true)], a, 60, "Primary provider last failed 1 minute ago. Last run failed.");
    check(
        &[fallback.clone(), (9, failed(), false)],
        a,
        3_600,
        "Primary provider last failed 1 hour ago. Last run failed.",
    );
    check(
        &[(0, failed(), true), (1, delivered("lummi", true), false)],
        a,
        61,
        "Primary provider last failed 1 minute ago. Last run used fallback: lummi.",
    );
    // A skipped primary has not failed, whoever stepped in.
    check(
        &[(0, delivered("lummi", true), false)],
        a,
        5,
        "Primary provider has not failed. Last run used fallback: lummi.",
    );
    // An override, or a chain that has changed since.
    check(&[(0, delivered("x", false), false)], a, 5, "Primary provider has not failed. Last run used: x.");
    // Another primary is configured by now: the old one's failure is not its.
    check(&[fallback], Some("b"), 5, "Primary provider has not failed. Last run used fallback: lummi.");
}

#[test]
fn a_person_who_provides_the_asset_is_the_last_word() {
    // As the trigger of a person's `done` leaves the row.
    let mut health = after_runs(&[(0, needs_person(), true)]);
    health.last_success_at = Some(at(60));
    assert_eq!(
        health.sentence(Some(&name("a")), at(120)),
        "Primary provider last failed 2 minutes ago. Last run needed a person, who provided the asset."
    );
}
