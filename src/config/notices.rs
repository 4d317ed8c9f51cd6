//! Who is told of what: webhooks.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::domain::notice::NoticeKind;

use super::Context;
use super::reader::{Item, Table};
use super::secrets::{self, Wish};
use super::web::Token;

/// A webhook that is told.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its name, unique: what became of a notice there is remembered by it.
    pub name: String,
    /// Of what it is told.
    pub on: Vec<NoticeKind>,
    /// Where it is. Some addresses are secrets themselves, so it may be a reference.
    pub url: Token,
    /// In which form.
    pub format: NoticeFormat,
    /// What the standard form is signed with.
    pub secret: Token,
}

/// The form of a webhook's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeFormat {
    /// JSON, signed as <https://www.standardwebhooks.com> has it.
    Standard,
    /// `{"text": "..."}`, which Slack, Mattermost and their like take.
    Text,
}

impl NoticeFormat {
    const SPELLINGS: [(&str, Self); 2] = [("standard", Self::Standard), ("text", Self::Text)];

    /// As it is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Text => "text",
        }
    }
}

/// The name of the command's destination, which no webhook may have.
const ON_MANUAL: &str = "on_manual";

/// What a webhook is told of where it does not say.
const USUAL: [NoticeKind; 4] =
    [NoticeKind::Manual, NoticeKind::Failed, NoticeKind::ProviderRetired, NoticeKind::Budget100];

/// The bounds of a signing secret, in bytes (Standard Webhooks 1.0, "Signature scheme").
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

pub(super) fn read(context: &Context<'_>, item: Option<Item<'_>>) -> Vec<Webhook> {
    let mut names = BTreeSet::new();
    let entries = item.and_then(Item::list).unwrap_or_default();
    let tables = entries.into_iter().filter_map(Item::table);
    tables.filter_map(|table| webhook(context, table, &mut names)).collect()
}

fn webhook(context: &Context<'_>, mut table: Table<'_>, names: &mut BTreeSet<String>) -> Option<Webhook> {
    let name = table.need("name", "write name = \"editors\"").and_then(|item| name(item, names));
    let url = table.need("url", "write url = \"https://hooks.example.org/backstop\"");
    let url = url.and_then(|item| address(context, item));
    let format = table
        .take("format")
        .map_or(Some(NoticeFormat::Standard), |item| item.choice(&NoticeFormat::SPELLINGS));
    let on = table.take("on").map_or(Some(USUAL.to_vec()), kinds);
    let secret = match (format, table.take("secret")) {
        (Some(NoticeFormat::Standard), None) => {
            table.need("secret", "write secret = { env = \"EDITORS_SECRET\" }, or format = \"text\"");
            None
        }
        (Some(NoticeFormat::Text) | None, None) => Some(Token::Unset),
        (_, Some(item)) => secret(context, item),
    };
    table.finish();
    Some(Webhook { name: name?, on: on?, url: url?, format: format?, secret: secret? })
}

fn name(item: Item<'_>, names: &mut BTreeSet<String>) -> Option<String> {
    let name = item.clone().text()?;
    if name == ON_MANUAL || !names.insert(name.clone()) {
        item.wrong(format!("\"{name}\" is taken"), "give each destination a name of its own");
        return None;
    }
    Some(name)
}

fn kinds(item: Item<'_>) -> Option<Vec<NoticeKind>> {
    let choices = NoticeKind::ALL.map(|kind| (kind.as_str(), kind));
    let items = item.list()?;
    let count = items.len();
    let kinds: Vec<NoticeKind> = items.into_iter().filter_map(|item| item.choice(&choices)).collect();
    (kinds.len() == count).then_some(kinds)
}

fn address(context: &Context<'_>, item: Item<'_>) -> Option<Token> {
    let token = if item.is_table() {
        reference(context, item.clone())?
    } else {
        let value = SecretString::from(item.clone().text()?);
        Token::Found { value, found_in: "the configuration".to_owned() }
    };
    if let Token::Found { value, .. } = &token {
        let url = Url::parse(value.expose_secret()).ok();
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            item.wrong("must be an http or https address", "write \"https://hooks.example.org/backstop\"");
            return None;
        }
    }
    Some(token)
}

fn secret(context: &Context<'_>, item: Item<'_>) -> Option<Token> {
    let token = reference(context, item.clone())?;
    if let Token::Found { value, found_in } = &token
        && key_of(value.expose_secret()).is_none()
    {
        item.wrong(
            format!("{found_in} holds no signing secret: \"whsec_\" and 24 to 64 bytes in base64"),
            "make one with: echo whsec_$(openssl rand -base64 32)",
        );
        return None;
    }
    Some(token)
}

/// The key's bytes in a signing secret, as the receiver's library spells it.
#[must_use]
pub fn key_of(secret: &str) -> Option<Vec<u8>> {
    let key = STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    SECRET_BYTES.contains(&key.len()).then_some(key)
}

fn reference(context: &Context<'_>, item: Item<'_>) -> Option<Token> {
    let wish = secrets::read(context, item.clone())?;
    if wish == Wish::None {
        item.wrong(
            "cannot be false",
            "write { env = \"NAME\" }, { file = \"/path\" } or { credential = \"NAME\" }",
        );
        return None;
    }
    Some(match secrets::look(context, &wish) {
        Ok((value, found_in)) => Token::Found { value, found_in },
        Err(looked_in) => Token::Missing { looked_in },
    })
}
