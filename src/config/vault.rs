//! The vault: where delivered files go, and the address under which people find them.

use std::path::PathBuf;

use url::Url;

use super::Context;
use super::reader::{Item, Table};

/// Where delivered files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vault {
    /// The folder.
    pub folder: PathBuf,
    /// The public address of that folder, without a slash at the end of its path; `None` means `file://`.
    pub public_url: Option<Url>,
}

pub(super) fn read(context: &Context<'_>, mut table: Table<'_>) -> Vault {
    let folder = table.need("url", "write \"file:assets\"").and_then(|item| folder(context, item));
    let public_url = table.take("public_url").and_then(public_url);
    table.finish();
    Vault { folder: folder.unwrap_or_default(), public_url }
}

fn folder(context: &Context<'_>, item: Item<'_>) -> Option<PathBuf> {
    let text = item.clone().text()?;
    let path = text.strip_prefix("file:").map(|rest| rest.strip_prefix("//").unwrap_or(rest));
    if let Some(path) = path.filter(|path| !path.is_empty()) {
        return Some(context.state_path(path, item.origin()));
    }
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    let (wrong, advice) = match scheme {
        "s3" | "gs" | "az" => (
            format!("\"{scheme}:\" stores are not supported by this build yet"),
            "write \"file:\" and a folder; publish that folder with what serves your site",
        ),
        _other => ("is no place that Backstop can keep files in".to_owned(), "write \"file:\" and a folder"),
    };
    item.wrong(wrong, advice);
    None
}

fn public_url(item: Item<'_>) -> Option<Url> {
    let text = item.clone().text()?;
    let url = Url::parse(&text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    let Some(mut url) = url else {
        item.wrong(
            "must be an http or https address without a user, a query or a fragment",
            "write the address at which the vault's folder is served, \"https://cdn.example.org/assets\"",
        );
        return None;
    };
    let trimmed = url.path().trim_end_matches('/').to_owned();
    url.set_path(&trimmed);
    Some(url)
}
