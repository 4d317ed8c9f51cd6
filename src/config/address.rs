//! Addresses that requests go to: which are taken, and which may see a key without encryption.

use url::Url;

use super::reader::Item;
use crate::domain::address;

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

/// Whose address it is, whatever scheme, port and path are written with it. The parser has brought case and
/// escapes to one spelling.
pub(super) fn host(url: &Url) -> Option<&str> {
    url.host_str().map(|host| host.strip_suffix('.').unwrap_or(host))
}

/// Whether a host is this machine or on a network of one's own.
pub(super) fn is_private(url: &Url) -> bool {
    url.host_str().is_some_and(address::is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_is_not_kept() {
        let check =
            |given: &str, expected: &str| assert_eq!(kept(&Url::parse(given).expect("valid")), expected);
        check("https://api.example.org/v1/", "https://api.example.org/v1");
        check("https://API.example.org", "https://api.example.org");
    }
}
