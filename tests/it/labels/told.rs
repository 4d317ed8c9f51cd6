//! Which trouble becomes which failure class, vendor by vendor, and why where it is not its own.

use backstop::domain::provider::{CatalogEntry, Repeat};
use backstop::providers::catalog;
use url::Url;

use super::Trouble;

/// Every trouble there is.
pub(super) const TROUBLES: [Trouble; 11] = [
    Trouble::Transient,
    Trouble::RateLimited,
    Trouble::Quota,
    Trouble::Auth,
    Trouble::Retired,
    Trouble::Invalid,
    Trouble::Refused,
    Trouble::Unusable,
    Trouble::Silence,
    Trouble::HangUp,
    Trouble::RenderFails,
];

/// How a vendor tells a trouble, where it is not as the trouble's own class.
enum Told {
    /// As another class.
    As(&'static str),
    /// Not at all.
    Never,
}

const LIBRARIES: &[&str] = &["lummi", "pexels-photo", "pexels-video", "unsplash"];

/// Those whose answer to the one request is the output.
const AT_ONCE: &[&str] = &[
    "anthropic",
    "openai-chat",
    "openai-images",
    "gemini-image",
    "imagen",
    "api.elevenlabs.io",
    "api.stability.ai",
    "api.ideogram.ai",
];

/// Those that take a job and are asked after it.
const OPERATIONS: &[&str] = &[
    "gemini-video",
    "veo",
    "api.replicate.com",
    "queue.fal.run",
    "api.bfl.ai",
    "api.dev.runwayml.com",
    "api.openai.com",
];

/// What is not told as its own class: by whom, how, and why. What is not in this table must be told.
const OTHERWISE: &[(&[&str], Trouble, Told, &str)] = &[
    (LIBRARIES, Trouble::Retired, Told::Never, "a library has no models that could end"),
    (LIBRARIES, Trouble::RenderFails, Told::Never, "a search begins nothing that could fail later"),
    (AT_ONCE, Trouble::RenderFails, Told::Never, "the answer to the request is the output or the failure"),
    (
        &["veo", "gemini-video"],
        Trouble::RenderFails,
        Told::As("transient"),
        "its error is one of the server, which a submit of its own may not meet again",
    ),
    (
        OPERATIONS,
        Trouble::Transient,
        Told::As("unknown_outcome"),
        "a 5xx to a submit may hide a job that runs and is billed",
    ),
    (
        &["unsplash"],
        Trouble::RateLimited,
        Told::As("quota"),
        "its one limit is the hour's, told by a 403 without a hint",
    ),
    (
        &["queue.fal.run", "api.bfl.ai", "api.ideogram.ai"],
        Trouble::Retired,
        Told::As("invalid"),
        "a model is a path there, and one that is gone answers 404 as any wrong address",
    ),
    (
        &["api.dev.runwayml.com"],
        Trouble::Retired,
        Told::As("invalid"),
        "a model that is gone is one more value that its validation does not know",
    ),
    (&["api.elevenlabs.io"], Trouble::Refused, Told::Never, "its reference knows no refusal of a text"),
];

/// The vendor behind a label: its protocol, or its host where the protocol is any vendor's.
pub(super) fn vendor_of(entry: &CatalogEntry) -> String {
    let vendor = if entry.protocol == "http" {
        let url = entry.base_url.as_deref().and_then(|text| Url::parse(text).ok());
        url.and_then(|url| url.host_str().map(str::to_owned)).expect("a host")
    } else {
        entry.protocol.clone()
    };
    let known = [LIBRARIES, AT_ONCE, OPERATIONS].iter().any(|group| group.contains(&vendor.as_str()));
    assert!(known, "{}: no fake speaks as {vendor}; write one in tests/it/fake and name it here", entry.name);
    vendor
}

/// Whether a label's vendor is asked after what it took.
pub(super) fn has_operations(entry: &CatalogEntry) -> bool {
    OPERATIONS.contains(&vendor_of(entry).as_str())
}

/// The class that a trouble of a label's vendor must become, or `None` where the vendor cannot tell it.
pub(super) fn class(entry: &CatalogEntry, trouble: Trouble) -> Option<&'static str> {
    let vendor = vendor_of(entry);
    let row = OTHERWISE.iter().find(|(vendors, of, ..)| *of == trouble && vendors.contains(&vendor.as_str()));
    match row {
        Some((_, _, Told::As(class), _)) => Some(class),
        Some((_, _, Told::Never, _)) => None,
        None => Some(own_class(trouble, catalog().protocol(&entry.protocol).expect("a protocol").repeat)),
    }
}

fn own_class(trouble: Trouble, repeat: Repeat) -> &'static str {
    match trouble {
        Trouble::Transient => "transient",
        Trouble::RateLimited => "rate_limited",
        Trouble::Quota => "quota",
        Trouble::Auth => "auth",
        Trouble::Retired => "retired",
        Trouble::Invalid => "invalid",
        Trouble::Refused => "refused",
        Trouble::Unusable | Trouble::RenderFails => "unusable",
        Trouble::Silence | Trouble::HangUp => match repeat {
            Repeat::Free => "timed_out",
            Repeat::Paid => "unknown_outcome",
        },
    }
}

#[test]
fn whoever_tells_something_otherwise_is_there_and_the_reason_too() {
    let vendors: Vec<String> = super::remote_labels().map(vendor_of).collect();
    for (named, trouble, told, reason) in OTHERWISE {
        assert!(reason.len() > 20, "{named:?}, {trouble:?}: say why");
        for vendor in *named {
            assert!(vendors.iter().any(|known| known == vendor), "{vendor} is nobody's");
            let others = OTHERWISE.iter().filter(|(all, of, ..)| of == trouble && all.contains(vendor));
            assert_eq!(others.count(), 1, "{vendor}, {trouble:?}: told twice");
        }
        if let Told::As(class) = told {
            let own = [Repeat::Free, Repeat::Paid].map(|repeat| own_class(*trouble, repeat));
            assert!(!own.contains(class), "{named:?}, {trouble:?}: nothing special");
        }
    }
}
