//! Which addresses may be called: the configured ones as the operator wrote them, and, of those a reply names,
//! only public ones.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::domain::address;
use crate::domain::provider::Provider;

/// How far the addresses that a provider's replies name may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The provider is a public one: https to public addresses only.
    Public,
    /// The provider itself is on this machine or its local network, and so may be what it names. Link-local
    /// addresses, where clouds keep their credentials, stay out of reach even so.
    Local,
}

/// A configured address that can be called, and the reach that follows from it.
pub(super) fn base(text: &str, has_key: bool) -> Result<(Url, Reach), String> {
    let url = Url::parse(text).map_err(|e| format!("base_url \"{text}\" is no address: {e}"))?;
    let scheme = url.scheme();
    if !matches!(scheme, "http" | "https") {
        return Err(format!("base_url begins with {scheme}://; it must be https:// or http://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("base_url holds a user name or password; give keys as api_key".to_owned());
    }
    let reach = if url.host_str().is_some_and(address::is_local) { Reach::Local } else { Reach::Public };
    if scheme == "http" && reach == Reach::Public && has_key {
        let host = url.host_str().unwrap_or_default();
        return Err(format!(
            "base_url would carry the key to {host} unencrypted; use https, or the machine's private address"
        ));
    }
    Ok((url, reach))
}

/// The address of a path of the API. `path` begins with the API's version; where the configured address has
/// one (`/v1`, `/api/v1`, `/v1beta/openai`), that one counts.
pub(super) fn endpoint(base: &Url, path: &str, query: &[(Cow<'static, str>, String)]) -> Url {
    let is_version = |segment: &str| {
        let mut chars = segment.chars();
        chars.next() == Some('v') && chars.next().is_some_and(|c| c.is_ascii_digit())
    };
    let configured = base.path().trim_end_matches('/');
    let rest = match path.split_once('/') {
        Some((version, rest)) if is_version(version) && configured.split('/').any(is_version) => rest,
        Some(_) | None => path,
    };
    let mut url = base.clone();
    url.set_path(&format!("{configured}/{rest}"));
    url.set_fragment(None);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url
}

/// A configured address with another host: `host` or `host:port`.
pub(super) fn at_host(base: &Url, authority: &str) -> Option<Url> {
    let named = Url::parse(&format!("{}://{authority}/", base.scheme())).ok()?;
    let mut url = base.clone();
    let host = named.host_str()?;
    url.set_host(Some(host)).ok()?;
    url.set_port(named.port()).ok()?;
    // The key crosses no public network in the clear, also where the base is a plain-http server on this site.
    if !address::is_local(host) {
        url.set_scheme("https").ok()?;
    }
    Some(url)
}

/// Whether two addresses are of one host, by scheme, name and port: what may be sent to the one may be sent to
/// the other.
pub(super) fn same_host(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin() && a.origin().is_tuple()
}

/// Whether a provider is configured to call this very host.
pub(super) fn host_is(provider: &Provider, host: &str) -> bool {
    let base = provider.base_url.as_deref().and_then(|text| Url::parse(text).ok());
    base.as_ref().and_then(Url::host_str) == Some(host)
}

/// Whether an address that a reply or a redirect names may be fetched; the error is a sentence. Names are
/// checked again by [`Resolver`] when they are resolved, so that DNS cannot change its mind in between.
pub(super) fn allow(url: &Url, reach: Reach) -> Result<(), String> {
    let scheme_fits = match reach {
        Reach::Public => url.scheme() == "https",
        Reach::Local => matches!(url.scheme(), "https" | "http"),
    };
    if !scheme_fits {
        return Err("it names an address that is not https".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it names an address with a user name".to_owned());
    }
    // The parser has normalised every spelling of a number by now: 0x7f.1, 2130706433, [::ffff:127.0.0.1].
    let literal = match url.host() {
        Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        Some(Host::Domain(_)) => None,
        None => return Err("it names an address without a host".to_owned()),
    };
    match literal {
        Some(ip) if !within(ip, reach) => Err("it names a private address".to_owned()),
        Some(_) | None => Ok(()),
    }
}

/// Resolves names to the addresses within reach, and to an error where there is none.
pub(super) struct Resolver(pub(super) Reach);

/// Why a name was not resolved; found again in the chain of a client's error.
#[derive(Debug, thiserror::Error)]
#[error("the host has no public address")]
pub(super) struct OutOfReach;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let near: Vec<SocketAddr> = found.filter(|address| within(address.ip(), reach)).collect();
            if near.is_empty() {
                return Err(OutOfReach.into());
            }
            let addresses: Addrs = Box::new(near.into_iter());
            Ok(addresses)
        })
    }
}

fn within(ip: IpAddr, reach: Reach) -> bool {
    match reach {
        Reach::Public => address::is_public(ip),
        Reach::Local => address::is_public(ip) || address::is_on_site(ip),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(text: &str, reach: Reach) -> bool {
        Url::parse(text).is_ok_and(|url| allow(&url, reach).is_ok())
    }

    #[test]
    fn another_host_gets_the_key_in_the_clear_on_this_site_only() {
        let check = |base: &str, authority: &str, expected: &str| {
            let base = Url::parse(base).expect("an address");
            assert_eq!(at_host(&base, authority).map(String::from).as_deref(), Some(expected), "{authority}");
        };
        check("http://localhost:8080/v1", "api.vendor.example", "https://api.vendor.example/v1");
        check("http://localhost:8080/v1", "127.0.0.1:9090", "http://127.0.0.1:9090/v1");
        check("https://api.vendor.example/v1", "eu.vendor.example", "https://eu.vendor.example/v1");
    }

    #[test]
    fn no_spelling_of_a_private_address_is_fetched_for_a_public_provider() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0x7f000001",
            "0177.0.0.1",
            "0.0.0.0",
            "0",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "100.64.0.1",
            "100.100.100.200",
            "169.254.169.254",
            "0xa9fea9fe",
            "168.63.129.16",
            "192.0.0.192",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::1]",
            "[::]",
            "[::ffff:10.0.0.1]",
            "[::ffff:a9fe:a9fe]",
            "[::127.0.0.1]",
            "[64:ff9b::a9fe:a9fe]",
            "[2002:7f00:1::]",
            "[2001:0:7f00:1::]",
            "[2001:db8::1]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[fc00::1]",
            "[ff02::1]",
            "１２７.0.0.1",
        ] {
            assert!(!allowed(&format!("https://{host}/x"), Reach::Public), "{host}");
        }
        for host in ["93.184.216.34", "172.32.0.1", "[2606:2800:220:1::1]", "cdn.example.org", "100.128.0.1"]
        {
            assert!(allowed(&format!("https://{host}/x"), Reach::Public), "{host}");
        }
    }

    #[test]
    fn only_https_is_fetched_for_a_public_provider() {
        for url in [
            "http://cdn.example.org/x",
            "ftp://cdn.example.org/x",
            "file:///etc/passwd",
            "https://u:p@e.org/",
        ] {
            assert!(!allowed(url, Reach::Public), "{url}");
        }
    }

    #[test]
    fn a_local_provider_may_name_its_neighbours_but_no_cloud_credentials() {
        for url in [
            "http://127.0.0.1:9000/x",
            "http://192.168.1.7/x",
            "http://[::1]/x",
            "http://100.64.0.9/",
            "https://cdn.example.org/",
        ] {
            assert!(allowed(url, Reach::Local), "{url}");
        }
        for url in [
            "http://169.254.169.254/x",
            "http://[fe80::1]/x",
            "http://100.100.100.200/",
            "http://0.0.0.0/x",
            "file:///etc/passwd",
        ] {
            assert!(!allowed(url, Reach::Local), "{url}");
        }
    }

    #[tokio::test]
    async fn names_are_held_to_the_same_reach() {
        let resolve = |reach, name: &str| Resolver(reach).resolve(name.parse().expect("a name"));
        let Err(refused) = resolve(Reach::Public, "localhost").await else {
            panic!("localhost is not public")
        };
        assert!(refused.is::<OutOfReach>());
        assert!(resolve(Reach::Local, "localhost").await.is_ok());
    }

    #[test]
    fn a_configured_address_says_how_far_its_replies_reach() {
        let check = |text: &str, expected: Option<Reach>| {
            assert_eq!(base(text, true).ok().map(|(_, reach)| reach), expected, "{text}");
        };
        check("https://api.openai.com/v1", Some(Reach::Public));
        check("http://127.0.0.1:8080/v1", Some(Reach::Local));
        check("http://localhost:11434", Some(Reach::Local));
        check("http://ollama:11434", Some(Reach::Local));
        check("http://gpu.lan/v1", Some(Reach::Local));
        check("http://169.254.1.7/", Some(Reach::Local));
        check("http://100.64.0.9/", Some(Reach::Local));
        check("https://168.63.129.16/", Some(Reach::Public));
        for bad in
            ["http://api.openai.com/v1", "ftp://x", "not an address", "https://me:secret@api.openai.com"]
        {
            check(bad, None);
        }
        assert!(base("http://gpu.example.org/v1", false).is_ok(), "without a key nothing secret travels");
    }

    #[test]
    fn the_version_stands_once_however_the_address_was_written() {
        let check = |text: &str, expected: &str| {
            let base = Url::parse(text).expect("valid");
            assert_eq!(endpoint(&base, "v1/chat/completions", &[]).as_str(), expected);
        };
        for text in
            ["https://v.example", "https://v.example/", "https://v.example/v1", "https://v.example/v1//"]
        {
            check(text, "https://v.example/v1/chat/completions");
        }
        check("https://o.example/api/v1/", "https://o.example/api/v1/chat/completions");
        check("https://o.example/relay", "https://o.example/relay/v1/chat/completions");
        check("https://g.example/v1beta/openai/", "https://g.example/v1beta/openai/chat/completions");
        check("https://a.example/v1?api-version=2#x", "https://a.example/v1/chat/completions?api-version=2");
        let base = Url::parse("https://a.example/v1?api-version=2").expect("valid");
        let query = [("query".into(), "red fox&key=1".to_owned())];
        let url = endpoint(&base, "v1/search", &query);
        assert_eq!(url.as_str(), "https://a.example/v1/search?api-version=2&query=red+fox%26key%3D1");
    }
}
