//! One database per trouble: every label has it, and every job is delivered by the next link.

use std::collections::BTreeMap;

use super::told::{TROUBLES, class, vendor_of};
use super::{Street, Trouble, asset, asset_of, remote_labels, spare};

/// What a failure of a class leaves behind.
struct Traces {
    /// How often the label was called: once, or twice where the class allows a repeat.
    calls: usize,
    /// `state|counted failures|held|open ahead|cooling ahead|last class` of its health.
    health: String,
}

/// The health of a provider nothing is held against.
const UNTOUCHED: &str = "closed|0||0|0|";

/// By DESIGN, section 4.
fn traces(class: &str) -> Traces {
    let health = |text: &str| format!("{text}|{class}");
    match class {
        "transient" | "unusable" | "timed_out" => Traces { calls: 2, health: health("closed|2||0|0") },
        "unknown_outcome" => Traces { calls: 1, health: health("closed|1||0|0") },
        "rate_limited" => Traces { calls: 1, health: health("closed|0||0|1") },
        "quota" => Traces { calls: 1, health: health("open|0||1|0") },
        "auth" | "retired" => Traces { calls: 1, health: health(&format!("open|0|{class}|0|0")) },
        "invalid" | "refused" => Traces { calls: 1, health: UNTOUCHED.to_owned() },
        other => panic!("no class is called {other}"),
    }
}

const JOBS: &str = "SELECT asset, status, provider, fallback_used,
    (SELECT group_concat(told, ' ') FROM (SELECT a.provider || ':' || a.status || ':' || coalesce(a.class, '') AS told
        FROM attempts a WHERE a.job_id = jobs.id ORDER BY a.id))
    FROM jobs";

const HEALTH: &str = "SELECT provider, state, consecutive_failures, coalesce(held_class, ''),
    coalesce(open_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 0),
    coalesce(cool_until > strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 0), coalesce(last_class, '')
    FROM provider_health";

/// Every label in this trouble: the job is the next link's, the ledger names the class, and the health is as it says.
fn fails_over(trouble: Trouble, settings: &str) {
    let telling: Vec<_> = remote_labels().filter_map(|e| class(e, trouble).map(|class| (e, class))).collect();
    let assets: String = telling
        .iter()
        .map(|(e, _)| asset(&asset_of(e.name.as_str()), e.medium, &[e.name.as_str(), &spare(e.medium)]))
        .collect();
    let street = Street::open(settings, &assets);
    for (entry, _) in &telling {
        street.fake.trouble(entry.name.as_str(), Some(trouble));
    }
    street.run(telling.iter().map(|(entry, _)| asset_of(entry.name.as_str())));
    let jobs: BTreeMap<String, String> = street.rows(JOBS).into_iter().collect();
    let health: BTreeMap<String, String> = street.rows(HEALTH).into_iter().collect();
    let mut wrong = Vec::new();
    for (entry, class) in telling {
        let label = entry.name.as_str();
        let Traces { calls, health: expected } = traces(class);
        let failed = format!("{label}:failed:{class} ");
        let attempts = format!("{}{}:delivered:", failed.repeat(calls), spare(entry.medium));
        let job = format!("done|{}|1|{attempts}", spare(entry.medium));
        let told = jobs.get(&asset_of(label)).cloned().unwrap_or_default();
        // An attempt of unknown fate has a status of its own.
        let told = told.replace(":unknown:", ":failed:");
        if told != job {
            let why = street.place.sql(&format!("SELECT error FROM attempts WHERE provider = '{label}'"));
            wrong.push(format!("{label} ({}): {told}\n  instead of {job}\n  {why}", vendor_of(entry)));
        }
        let now = health.get(label).map_or(UNTOUCHED, String::as_str);
        if now != expected {
            wrong.push(format!("{label}: its health is {now} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{trouble:?}:\n{}", wrong.join("\n"));
    street.no_download_had_a_key();
}

#[test]
fn a_passing_error() {
    fails_over(Trouble::Transient, "");
}

#[test]
fn a_rate_limit() {
    fails_over(Trouble::RateLimited, "");
}

#[test]
fn a_quota() {
    fails_over(Trouble::Quota, "");
}

#[test]
fn a_bad_key() {
    fails_over(Trouble::Auth, "");
}

#[test]
fn a_model_that_is_gone() {
    fails_over(Trouble::Retired, "");
}

#[test]
fn a_malformed_request() {
    fails_over(Trouble::Invalid, "");
}

#[test]
fn a_refusal() {
    fails_over(Trouble::Refused, "");
}

#[test]
fn a_success_without_an_asset() {
    fails_over(Trouble::Unusable, "");
}

#[test]
fn no_answer() {
    fails_over(Trouble::Silence, "timeout = \"700ms\"");
}

#[test]
fn a_connection_that_is_cut() {
    fails_over(Trouble::HangUp, "");
}

#[test]
fn a_render_that_fails_after_it_was_accepted() {
    fails_over(Trouble::RenderFails, "");
}

/// The tests above by name: who adds a trouble adds its test.
#[test]
fn every_trouble_has_its_test() {
    assert_eq!(TROUBLES.len(), 11);
    for trouble in TROUBLES {
        assert!(
            remote_labels().any(|entry| class(entry, trouble).is_some()),
            "{trouble:?} is told by nobody"
        );
    }
}
