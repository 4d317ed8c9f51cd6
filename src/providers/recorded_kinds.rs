//! No protocol without its recorded refusal, quota, rate limit, retired model, page, cut and empty reply.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use url::Url;

use crate::domain::name::ProviderName;

use super::catalog::catalog;
use super::recorded::{Recorded, recorded_protocols, recordings};

/// What a vendor's reply may be, besides a success: four classes, and three shapes that no class names.
const KINDS: [&str; 7] = ["refused", "quota", "rate_limited", "retired", "a page", "cut off", "empty"];

const LIBRARIES: &[&str] = &["lummi", "pexels-photo", "pexels-video", "unsplash"];

/// What cannot be recorded: of whom, what, and why.
const CANNOT: &[(&[&str], &str, &str)] = &[
    (LIBRARIES, "retired", "a library has no models that could end"),
    (&["unsplash"], "rate_limited", "its one limit is the hour's, told by a 403 without a hint: a quota"),
    (
        &["queue.fal.run", "api.bfl.ai", "api.ideogram.ai"],
        "retired",
        "a model is a path, and a 404 may be any wrong one",
    ),
    (&["api.dev.runwayml.com"], "retired", "its validation calls a model that is gone an invalid value"),
    (&["api.elevenlabs.io"], "refused", "its reference knows no refusal of a text"),
    (
        &["api.elevenlabs.io"],
        "cut off",
        "its answer is the sound itself, which the media checks read to its end",
    ),
];

/// Who sent a reply: the protocol, or, where the catalog describes its vendors, the host of the label.
fn vendor(protocol: &str, recorded: &Recorded) -> Option<String> {
    if protocol != "http" {
        return Some(protocol.to_owned());
    }
    // A recording without a label is of a vendor that a test describes.
    let label = ProviderName::parse(recorded.label.as_deref()?).expect("a label");
    host(catalog().entry(&label).expect("an entry").base_url.as_deref())
}

fn host(base_url: Option<&str>) -> Option<String> {
    Url::parse(base_url?).ok()?.host_str().map(str::to_owned)
}

fn kinds(recorded: &Recorded) -> BTreeSet<&'static str> {
    let Recorded { status, body, class, .. } = recorded;
    let text = body.as_str().map(str::trim);
    let is_cut = |text: &str| text.starts_with(['{', '[']) && serde_json::from_str::<Value>(text).is_err();
    let failed = class.is_some();
    let mut kinds: BTreeSet<&str> = KINDS.into_iter().filter(|kind| class.as_deref() == Some(kind)).collect();
    kinds.extend(text.is_some_and(|text| failed && text.starts_with('<')).then_some("a page"));
    kinds.extend(text.is_some_and(|text| failed && is_cut(text)).then_some("cut off"));
    let is_empty = text == Some("") || *body == json!({}) || *body == json!([]);
    kinds.extend((failed && *status == 200 && is_empty).then_some("empty"));
    kinds
}

#[test]
fn every_vendor_has_a_recording_of_every_kind_or_a_reason() {
    let mut found: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for entry in catalog().entries.iter().filter(|entry| entry.protocol == "http") {
        found.extend(host(entry.base_url.as_deref()).map(|host| (host, BTreeSet::new())));
    }
    for protocol in recorded_protocols() {
        for recorded in recordings(&protocol) {
            if let Some(vendor) = vendor(&protocol, &recorded) {
                found.entry(vendor).or_default().extend(kinds(&recorded));
            }
        }
    }
    for facts in catalog().protocols.iter().filter(|facts| facts.supported && !facts.local) {
        let known = facts.name == "http" || found.contains_key(&facts.name);
        assert!(known, "{}: nothing is recorded in tests/wire/{}", facts.name, facts.name);
    }
    let mut wrong = Vec::new();
    for (vendor, has) in &found {
        for kind in KINDS {
            let excused = CANNOT.iter().any(|(all, of, _)| *of == kind && all.contains(&vendor.as_str()));
            match (has.contains(kind), excused) {
                (true, true) => {
                    wrong.push(format!("{vendor}: {kind} is recorded; strike the reason why not"))
                }
                (false, false) => {
                    wrong.push(format!("{vendor}: no recording is {kind}, and no reason is given"))
                }
                (true, false) | (false, true) => {}
            }
        }
    }
    for (vendors, kind, reason) in CANNOT {
        assert!(KINDS.contains(kind) && reason.len() > 20, "{vendors:?}, {kind}: say why");
        assert!(vendors.iter().all(|vendor| found.contains_key(*vendor)), "{vendors:?}: one is nobody");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
