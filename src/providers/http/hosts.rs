//! Which other hosts of a vendor may be asked after an operation, and so may get the key.

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use crate::providers::address::{self, Reach};

/// A host of the configuration: `api.bfl.ai`, or `*.bfl.ai` for those below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPattern {
    name: String,
    below: bool,
}

impl HostPattern {
    fn parse(text: &str) -> Result<Self, String> {
        let (name, below) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = name.to_ascii_lowercase();
        let host = Host::parse(&name).map_err(|_| format!("\"{text}\" is no host"))?;
        // A pattern over a whole top-level domain would send the key to strangers.
        let is_domain = matches!(host, Host::Domain(_));
        if name.contains('*') || (below && (!is_domain || !name.contains('.'))) {
            return Err(format!("\"{text}\" is no host; write api.vendor.example or *.vendor.example"));
        }
        Ok(Self { name, below })
    }

    fn covers(&self, host: &str) -> bool {
        if !self.below {
            return host == self.name;
        }
        host.strip_suffix(&self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }
}

impl<'de> Deserialize<'de> for HostPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// `host` or `host:port` of an address that a reply named, if the key may go there: a listed host, https and its
/// own port. Only a provider on this machine or its network may name a port, and plain http.
pub(super) fn authority(address: &str, hosts: &[HostPattern], reach: Reach) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let host = url.host_str()?;
    let open = url.username().is_empty() && url.password().is_none();
    if !open || !hosts.iter().any(|pattern| pattern.covers(host)) || address::allow(&url, reach).is_err() {
        return None;
    }
    match (url.port(), reach) {
        (None, _) => Some(host.to_owned()),
        (Some(port), Reach::Local) => Some(format!("{host}:{port}")),
        (Some(_), Reach::Public) => None,
    }
}

/// Whether an authority that came back from the ledger is still one that may get the key.
pub(super) fn is_allowed(authority: &str, hosts: &[HostPattern], base: &Url, reach: Reach) -> bool {
    let address = format!("{}://{authority}/", base.scheme());
    self::authority(&address, hosts, reach).as_deref() == Some(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Vec<HostPattern> {
        ["*.bfl.ai", "api.other.example"].map(|text| HostPattern::parse(text).expect(text)).into()
    }

    #[test]
    fn the_key_goes_to_listed_hosts_only() {
        let check = |address: &str, expected: Option<&str>| {
            assert_eq!(authority(address, &hosts(), Reach::Public).as_deref(), expected, "{address}");
        };
        check("https://api.us1.bfl.ai/v1/get_result?id=7", Some("api.us1.bfl.ai"));
        check("https://api.bfl.ai/", Some("api.bfl.ai"));
        check("https://API.BFL.AI:443/", Some("api.bfl.ai"));
        check("https://api.other.example/x", Some("api.other.example"));
        for stranger in [
            "https://bfl.ai/",
            "https://evilbfl.ai/",
            "https://api.bfl.ai.evil.example/",
            "https://evil.example/api.bfl.ai",
            "https://api.bfl.ai@evil.example/",
            "https://u:p@api.bfl.ai/",
            "http://api.bfl.ai/",
            "https://api.bfl.ai:8443/",
            "https://sub.api.other.example/",
            "https://.bfl.ai/",
            "api.bfl.ai",
            "",
        ] {
            check(stranger, None);
        }
        assert!(is_allowed(
            "api.us1.bfl.ai",
            &hosts(),
            &Url::parse("https://api.bfl.ai").expect("one"),
            Reach::Public
        ));
        for stranger in ["evil.example", "api.bfl.ai:1", "api.bfl.ai/x", "u@api.bfl.ai", ""] {
            let base = Url::parse("https://api.bfl.ai").expect("one");
            assert!(!is_allowed(stranger, &hosts(), &base, Reach::Public), "{stranger}");
        }
    }

    #[test]
    fn a_pattern_names_one_vendor() {
        for bad in ["*", "*.ai", "*.*.ai", "a.*.ai", "https://bfl.ai", "bfl.ai/x", "*.1.2.3.4", "", "a b"] {
            assert!(HostPattern::parse(bad).is_err(), "{bad}");
        }
    }
}
