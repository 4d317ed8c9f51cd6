//! Who may do what, by token or cookie, and under which names the site is reached.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, header};
use blake3::Hash;
use secrecy::{ExposeSecret, SecretString};

/// The cookie that stands for a token in a browser. It cannot be turned back into the token.
const COOKIE: &str = "backstop";

/// What a cookie is derived for.
const COOKIE_CONTEXT: &str = "backstop 2026 cookie of the page";

/// How long a browser keeps it, in seconds.
const COOKIE_AGE: u32 = 30 * 86_400;

/// What somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Nothing.
    Nothing,
    /// Look.
    Read,
    /// Look, ask for assets, decide.
    Write,
}

/// Who may do what.
pub struct Access {
    listen: SocketAddr,
    hosts: Vec<String>,
    open_reading: bool,
    holders: Vec<Holder>,
}

/// Whoever holds a token. Of the token itself only digests are kept; they compare in constant time.
struct Holder {
    scope: Scope,
    token: Hash,
    cookie: Hash,
}

impl Access {
    /// Nobody may do anything yet; `hosts` are names of the site in lower case.
    #[must_use]
    pub fn new(listen: SocketAddr, hosts: Vec<String>, open_reading: bool) -> Self {
        Self { listen, hosts, open_reading, holders: Vec::new() }
    }

    /// Who shows this token may do this.
    #[must_use]
    pub fn with(mut self, token: &SecretString, scope: Scope) -> Self {
        let token = token.expose_secret().as_bytes();
        let cookie = Hash::from(blake3::derive_key(COOKIE_CONTEXT, token));
        self.holders.push(Holder { scope, token: blake3::hash(token), cookie });
        self
    }

    /// What the sender of a request may do.
    pub(super) fn scope(&self, headers: &HeaderMap) -> Scope {
        let shown = if let Some(token) = bearer(headers) {
            self.scope_of_token(token)
        } else if let Some(cookie) = cookie(headers) {
            let cookie = Hash::from_hex(cookie).ok();
            self.best(|holder| cookie.is_some_and(|cookie| cookie == holder.cookie))
        } else {
            Scope::Nothing
        };
        if self.open_reading { shown.max(Scope::Read) } else { shown }
    }

    /// What the holder of a token may do.
    pub(super) fn scope_of_token(&self, token: &str) -> Scope {
        let digest = blake3::hash(token.as_bytes());
        self.best(|holder| digest == holder.token)
    }

    /// The header that makes a browser remember a token.
    pub(super) fn remember(&self, token: &str) -> Option<String> {
        let digest = blake3::hash(token.as_bytes());
        let holder = self.holders.iter().find(|holder| digest == holder.token)?;
        let value = holder.cookie.to_hex();
        Some(format!("{COOKIE}={value}; Path=/; Max-Age={COOKIE_AGE}; HttpOnly; SameSite=Strict"))
    }

    /// The header that makes a browser forget it.
    pub(super) fn forget() -> String {
        format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; SameSite=Strict")
    }

    /// Whether `Host` names this site. A name that merely resolves to it is a stranger's (DNS rebinding); an address
    /// cannot be made to resolve to anything else.
    pub(super) fn is_ours(&self, host: &str) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || (name == "localhost" && self.listen.ip().is_loopback())
            || self.hosts.contains(&name)
    }

    /// Every holder is looked at, so that the time tells nothing of which one it was.
    fn best(&self, is: impl Fn(&Holder) -> bool) -> Scope {
        let scopes = self.holders.iter().map(|holder| if is(holder) { holder.scope } else { Scope::Nothing });
        scopes.max().unwrap_or(Scope::Nothing)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => name,
        Some(_) | None => host,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: &str = "a token that may write";
    const READ: &str = "a token that may read";

    fn access(open_reading: bool) -> Access {
        let listen = "127.0.0.1:8790".parse().expect("valid");
        Access::new(listen, vec!["backstop.example.org".to_owned()], open_reading)
            .with(&SecretString::from(WRITE), Scope::Write)
            .with(&SecretString::from(READ), Scope::Read)
    }

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("valid"))])
    }

    #[test]
    fn a_token_gives_its_scope_and_another_none() {
        let check = |value: &str, expected: Scope| {
            assert_eq!(access(false).scope(&headers(header::AUTHORIZATION, value)), expected, "{value}");
        };
        check(&format!("Bearer {WRITE}"), Scope::Write);
        check(&format!("bearer {READ}"), Scope::Read);
        check("Bearer a token that may writ", Scope::Nothing);
        check("Bearer ", Scope::Nothing);
        check(WRITE, Scope::Nothing);
        check(&format!("Basic {WRITE}"), Scope::Nothing);
        assert_eq!(access(false).scope(&HeaderMap::new()), Scope::Nothing);
        assert_eq!(access(true).scope(&HeaderMap::new()), Scope::Read);
    }

    #[test]
    fn a_cookie_stands_for_its_token_and_the_token_is_no_cookie() {
        let access = access(false);
        let said = access.remember(WRITE).expect("known");
        let pair = said.split(';').next().expect("has one");
        assert!(!said.contains(WRITE));
        assert_eq!(access.scope(&headers(header::COOKIE, &format!("a=b; {pair}"))), Scope::Write);
        assert_eq!(access.scope(&headers(header::COOKIE, &format!("backstop={WRITE}"))), Scope::Nothing);
        let digest = blake3::hash(WRITE.as_bytes()).to_hex();
        assert_eq!(access.scope(&headers(header::COOKIE, &format!("backstop={digest}"))), Scope::Nothing);
        assert_eq!(access.remember("another"), None);
    }

    #[test]
    fn strangers_names_are_not_ours() {
        let check = |host: &str, expected: bool| assert_eq!(access(false).is_ours(host), expected, "{host}");
        check("127.0.0.1:8790", true);
        check("localhost:8790", true);
        check("[::1]:8790", true);
        check("192.168.1.7", true);
        check("Backstop.Example.org:443", true);
        check("evil.example", false);
        check("127.0.0.1.evil.example:8790", false);
        check("localhost.evil.example", false);
        check("", false);
        check(":8790", false);
    }
}
