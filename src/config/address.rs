//! Addresses that requests go to: which are taken, and which may see a key without encryption.

use std::net::IpAddr;

use url::{Host, Url};

use super::reader::Item;

/// Name endings that never lead out of a house.
const PRIVATE_ENDINGS: [&str; 6] = [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc"];

/// A provider's address as configured: http or https, no user, no query, no slash at the end.
pub(super) fn read(item: Item<'_>) -> Option<Url> {
    // What is refused here may hold a password, so it is never shown.
    let text = item.clone().text()?;
    let Ok(url) = Url::parse(text.trim()) else {
        item.wrong("is no address", "write \"https://host/path\"");
        return None;
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        item.wrong("must be an http or https address", "write \"https://host/path\"");
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() {
        item.wrong(
            "holds a user or a password, and addresses are logged",
            "leave it out of the address; give the key as api_key = { env = \"NAME\" }",
        );
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        item.wrong("holds a query or a fragment", "write the address that paths are appended to");
        return None;
    }
    Some(url)
}

/// The address as it is kept.
pub(super) fn kept(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Whether a host is this machine or on a network of one's own.
pub(super) fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => is_private_address(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => is_private_address(IpAddr::V6(address)),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            // A name of one label is resolved by the house's own search list or container network.
            !name.contains('.') || PRIVATE_ENDINGS.iter().any(|ending| name.ends_with(ending))
        }
        None => false,
    }
}

fn is_private_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            // 100.64.0.0/10 is what overlay networks such as Tailscale hand out.
            v4.is_loopback() || v4.is_private() || v4.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => is_private_address(IpAddr::V4(v4)),
            None => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_hosts_are_told_from_public_ones() {
        let check = |address: &str, expected| {
            assert_eq!(is_private(&Url::parse(address).expect("valid")), expected, "{address}");
        };
        for private in [
            "http://127.0.0.1:8080",
            "http://localhost:11434/v1",
            "http://[::1]:1",
            "http://192.168.1.9",
            "http://10.0.0.1",
            "http://172.16.0.1",
            "http://100.100.1.1",
            "http://ollama:11434",
            "http://gpu.local",
            "http://[fd00::1]",
            "http://[::ffff:10.0.0.1]",
        ] {
            check(private, true);
        }
        for public in [
            "http://api.example.org",
            "http://8.8.8.8",
            "http://172.32.0.1",
            "http://100.128.0.1",
            "http://local.example.org",
            "http://[2001:db8::1]",
            "http://[::ffff:8.8.8.8]",
        ] {
            check(public, false);
        }
    }

    #[test]
    fn a_slash_at_the_end_is_not_kept() {
        let check =
            |given: &str, expected: &str| assert_eq!(kept(&Url::parse(given).expect("valid")), expected);
        check("https://api.example.org/v1/", "https://api.example.org/v1");
        check("https://API.example.org", "https://api.example.org");
    }
}
