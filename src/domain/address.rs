//! Which hosts are this machine or its own network, which are public, and which are neither.

// The types alone: nothing here opens a socket.
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Name endings that never lead out of a house.
const LOCAL_ENDINGS: [&str; 6] = [".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc"];

/// Clouds answer here with the credentials of the machine that asks: Alibaba within the overlays' range, Azure
/// on a public number.
const ALIBABA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);
const AZURE: Ipv4Addr = Ipv4Addr::new(168, 63, 129, 16);

/// Whether the very spelling of a configured host, as an address has it (`[::1]` in brackets), says that it is
/// this machine or its network: a private number, or a name that public DNS does not know. An operator may have
/// put a server on a link-local number, too.
#[must_use]
pub fn is_local(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return is_on_site(ip) || is_link_local(ip);
    }
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    // A name of one label is resolved by the house's own search list or container network.
    !name.is_empty() && (!name.contains('.') || LOCAL_ENDINGS.iter().any(|ending| name.ends_with(ending)))
}

/// This machine, or a network of the operator's own, overlays such as Tailscale's 100.64.0.0/10 included. Not
/// link-local: hardly anybody serves files there, and clouds serve credentials.
#[must_use]
pub fn is_on_site(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let overlay = a == 100 && (64..128).contains(&b) && ip != ALIBABA;
            ip.is_loopback() || ip.is_private() || overlay
        }
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Whether an address belongs to the public network. An IPv4 address dressed as an IPv6 one is the IPv4 one.
#[must_use]
pub fn is_public(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224..=255, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special && ip != AZURE
}

/// Only global unicast, without what tunnels into IPv4 (6to4, Teredo) and without documentation's ranges:
/// a list of what is allowed cannot forget a range.
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let global = (0x2000..0x4000).contains(&first);
    let special = first == 0x2002
        || (first == 0x2001 && second < 0x0200)
        || (first == 0x2001 && second == 0x0db8)
        || (first == 0x3fff && second < 0x1000);
    global && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_hosts_are_told_from_all_others() {
        for local in [
            "127.0.0.1",
            "localhost",
            "LOCALHOST.",
            "[::1]",
            "192.168.1.9",
            "10.0.0.1",
            "172.16.0.1",
            "100.100.1.1",
            "169.254.1.7",
            "ollama",
            "gpu.local",
            "Gpu.Local.",
            "[fd00::1]",
            "[fe80::1]",
            "[::ffff:10.0.0.1]",
            "[::ffff:169.254.1.7]",
        ] {
            assert!(is_local(local), "{local}");
        }
        for other in [
            "api.example.org",
            "8.8.8.8",
            "172.32.0.1",
            "100.128.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "local.example.org",
            "[2001:db8::1]",
            "[::ffff:8.8.8.8]",
            "0.0.0.0",
            "",
            ".",
        ] {
            assert!(!is_local(other), "{other}");
        }
    }

    #[test]
    fn no_address_is_both_public_and_on_site() {
        let check = |text: &str, public, on_site| {
            let ip: IpAddr = text.parse().expect("an address");
            assert_eq!((is_public(ip), is_on_site(ip)), (public, on_site), "{text}");
        };
        check("93.184.216.34", true, false);
        check("2606:2800:220:1::1", true, false);
        check("::ffff:93.184.216.34", true, false);
        check("::ffff:10.0.0.1", false, true);
        check("127.0.0.1", false, true);
        for neither in [
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "0.0.0.0",
            "::",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
        ] {
            check(neither, false, false);
        }
    }
}
