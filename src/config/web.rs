//! The API and the page: where they listen, and who may.

use std::net::SocketAddr;

use secrecy::SecretString;

use super::Context;
use super::reader::{Item, Table};
use super::secrets::{self, Wish};

/// Where the API and the page listen, and who may.
#[derive(Debug, Clone)]
pub struct Web {
    /// The address; `None` where nothing listens.
    pub listen: Option<SocketAddr>,
    /// Who shows it may read and write.
    pub token: Token,
    /// Who shows it may read.
    pub read_token: Token,
    /// Whether everybody on this machine may read.
    pub open_reading: bool,
    /// The names under which it is reached besides its own address, in lower case.
    pub hosts: Vec<String>,
}

/// A token, by reference.
#[derive(Debug, Clone)]
pub enum Token {
    /// None is configured.
    Unset,
    /// It was found.
    Found {
        /// The token.
        value: SecretString,
        /// Where it was.
        found_in: String,
    },
    /// It was not where it should be: whoever calls the daemon's configuration from a shell need not have it.
    Missing {
        /// Where it was looked for.
        looked_in: String,
    },
}

/// Fewer characters can be guessed.
const SHORTEST_TOKEN: usize = 16;

pub(super) fn read(context: &Context<'_>, mut table: Table<'_>) -> Web {
    let listen = table.need("listen", "write \"127.0.0.1:8790\", or \"off\"").and_then(listen);
    let token = table.take("token").map_or(Token::Unset, |item| token(context, item));
    let read_token = table.take("read_token").map_or(Token::Unset, |item| self::token(context, item));
    let open = table.take("open_reading");
    let open_reading = open.clone().and_then(Item::flag).unwrap_or(false);
    if let (true, Some(item), Some(Some(address))) = (open_reading, open, listen)
        && !address.ip().is_loopback()
    {
        item.wrong(
            format!("would let everybody who reaches {address} read prompts, errors and files"),
            "listen on 127.0.0.1, or hand out web.read_token",
        );
    }
    let hosts = table.take("hosts").and_then(hosts).unwrap_or_default();
    table.finish();
    Web { listen: listen.flatten(), token, read_token, open_reading, hosts }
}

fn listen(item: Item<'_>) -> Option<Option<SocketAddr>> {
    if item.is_flag(false) {
        return Some(None);
    }
    let text = item.clone().text()?;
    if text == "off" {
        return Some(None);
    }
    let address = text.replace("localhost", "127.0.0.1").parse().ok();
    if address.is_none() {
        item.wrong("is no address to listen on", "write \"127.0.0.1:8790\", or \"off\"");
    }
    address.map(Some)
}

fn token(context: &Context<'_>, item: Item<'_>) -> Token {
    let Some(wish) = secrets::read(context, item.clone()) else { return Token::Unset };
    if wish == Wish::None {
        item.wrong("cannot be false", "leave the key out: a token is made at the first start");
        return Token::Unset;
    }
    match secrets::look(context, &wish) {
        Ok((value, found_in)) if secrecy::ExposeSecret::expose_secret(&value).len() < SHORTEST_TOKEN => {
            item.wrong(
                format!("is too short to be safe: {found_in} has fewer than {SHORTEST_TOKEN} characters"),
                "make one with: openssl rand -hex 32",
            );
            Token::Unset
        }
        Ok((value, found_in)) => Token::Found { value, found_in },
        Err(looked_in) => Token::Missing { looked_in },
    }
}

fn hosts(item: Item<'_>) -> Option<Vec<String>> {
    let items = item.list()?;
    let named = |item: Item<'_>| {
        let name = item.clone().text()?.trim().to_ascii_lowercase();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.chars().all(fits) {
            return Some(name);
        }
        item.wrong(
            "is no host's name",
            "write the name alone, without https:// and port: \"backstop.example.org\"",
        );
        None
    };
    Some(items.into_iter().filter_map(named).collect())
}
