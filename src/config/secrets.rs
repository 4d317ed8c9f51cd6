//! Keys by reference: from the environment, a file, or a systemd credential. Never from the configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::domain::name::ProviderName;
use crate::domain::provider::{CatalogEntry, Key};

use super::Context;
use super::reader::Item;

/// The longest key, in bytes. Keys that are JSON documents have a few thousand.
const MAX_KEY_BYTES: u64 = 64 * 1024;

/// The keys of all providers that have one.
#[derive(Clone, Default)]
pub struct Secrets {
    found: BTreeMap<ProviderName, Secret>,
    /// The keys that lie in files of the operator's, there or not: those may be written anew at any time.
    files: BTreeMap<ProviderName, PathBuf>,
}

#[derive(Clone)]
struct Secret {
    value: SecretString,
    found_in: String,
}

impl Secrets {
    /// A provider's key.
    #[must_use]
    pub fn key(&self, provider: &ProviderName) -> Option<&SecretString> {
        self.found.get(provider).map(|secret| &secret.value)
    }

    /// Where a provider's key was found: `env LUMMI_API_KEY`, `file /run/...`, `credential lummi`.
    #[must_use]
    pub fn found_in(&self, provider: &ProviderName) -> Option<&str> {
        self.found.get(provider).map(|secret| secret.found_in.as_str())
    }

    /// Adds a key, for providers that are made without a file.
    pub fn insert(&mut self, provider: ProviderName, value: SecretString, found_in: &str) {
        self.found.insert(provider, Secret { value, found_in: found_in.to_owned() });
    }

    /// Whether any key lies in a file, and so may change while the daemon runs.
    #[must_use]
    pub fn are_in_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Reads the files again, and keeps what is in them now; whose key is another one. A file that is away or empty
    /// for the moment changes nothing: whoever writes it may be at it.
    pub(super) fn refresh(&mut self) -> Vec<ProviderName> {
        let mut changed = Vec::new();
        for (provider, path) in self.files.clone() {
            let Ok(value) = from_file(&path) else { continue };
            if self.key(&provider).is_some_and(|key| key.expose_secret() == value.expose_secret()) {
                continue;
            }
            self.insert(provider.clone(), value, &in_file(&path));
            changed.push(provider);
        }
        changed
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.found.iter().map(|(name, secret)| (name.as_str(), &secret.found_in)))
            .finish()
    }
}

/// Where a provider's key is to be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wish {
    /// Nowhere: it needs none.
    None,
    /// In an environment variable.
    Environment(String),
    /// In a file.
    File(PathBuf),
    /// In systemd's credentials.
    Credential(String),
    /// Under the names the catalog has for it, in the environment, then in the credentials.
    Catalog(Vec<String>),
}

impl Wish {
    /// What the catalog says of an entry.
    pub(super) fn of(entry: &CatalogEntry) -> Self {
        if entry.key_env.is_empty() { Self::None } else { Self::Catalog(entry.key_env.clone()) }
    }
}

/// Reads `api_key`: one of `{ env = .. }`, `{ file = .. }`, `{ credential = .. }`, or `false` for none.
pub(super) fn read(context: &Context<'_>, item: Item<'_>) -> Option<Wish> {
    const FORMS: &str = "write { env = \"NAME\" }, { file = \"/path\" } or { credential = \"NAME\" }";
    if item.is_flag(false) {
        return Some(Wish::None);
    }
    if !item.is_table() {
        item.wrong(
            "a key must not stand in the configuration, which is backed up, shared and shown",
            format!("{FORMS}; false where none is needed"),
        );
        return None;
    }
    let whole = item.clone();
    let mut table = item.table()?;
    let found = ["env", "file", "credential"].map(|form| table.take(form));
    table.finish();
    // A later layer that names another form replaces the earlier one instead of contradicting it.
    let found: Vec<Item<'_>> = found.into_iter().flatten().collect();
    let highest = found.iter().map(|item| rank(item.origin())).max();
    let mut chosen: Vec<Item<'_>> =
        found.into_iter().filter(|item| Some(rank(item.origin())) == highest).collect();
    let (Some(chosen), true) = (chosen.pop(), chosen.is_empty()) else {
        whole.wrong("must say one place where the key is", FORMS);
        return None;
    };
    reference(context, chosen)
}

fn rank(origin: Option<&str>) -> u8 {
    match origin {
        None => 0,
        Some(super::layers::COMMAND_LINE) => 2,
        Some(_) => 1,
    }
}

fn reference(context: &Context<'_>, item: Item<'_>) -> Option<Wish> {
    let form = item.key.rsplit('.').next().unwrap_or("").to_owned();
    let text = item.clone().text()?;
    match form.as_str() {
        "env" if text.contains(['=', '\0']) => {
            item.wrong("is no name of an environment variable", "write the name alone, \"LUMMI_API_KEY\"");
            None
        }
        "env" => Some(Wish::Environment(text)),
        "file" => Some(Wish::File(context.beside_file(&text))),
        _credential if text.contains('/') || text.starts_with('.') => {
            item.wrong("is no name of a credential", "write the name that LoadCredential= gives it");
            None
        }
        _credential => Some(Wish::Credential(text)),
    }
}

/// Looks for a provider's key and keeps it.
pub(super) fn find(
    context: &Context<'_>,
    provider: &ProviderName,
    wish: &Wish,
    secrets: &mut Secrets,
) -> Key {
    let found = match wish {
        Wish::None => return Key::NotNeeded,
        Wish::Catalog(names) => by_catalog(context, provider, names),
        Wish::File(path) => {
            secrets.files.insert(provider.clone(), path.clone());
            look(context, wish)
        }
        Wish::Environment(_) | Wish::Credential(_) => look(context, wish),
    };
    match found {
        Ok((value, found_in)) => {
            secrets.insert(provider.clone(), value, &found_in);
            Key::Present
        }
        Err(looked_in) => Key::Missing { looked_in },
    }
}

/// Looks where one place is named.
pub(super) fn look(context: &Context<'_>, wish: &Wish) -> Found {
    match wish {
        Wish::None => Err("nowhere".to_owned()),
        Wish::Environment(name) => in_environment(context, name),
        Wish::File(path) => {
            let said = in_file(path);
            from_file(path).map(|value| (value, said.clone())).map_err(|why| format!("{said} ({why})"))
        }
        Wish::Credential(name) => in_credentials(context, name),
        Wish::Catalog(names) => {
            let found = names.iter().find_map(|name| in_environment(context, name).ok());
            found.ok_or_else(|| format!("environment variable {}", names.join(" or ")))
        }
    }
}

/// A key and where it was, or where it was not and why.
pub(super) type Found = Result<(SecretString, String), String>;

fn in_environment(context: &Context<'_>, name: &str) -> Found {
    let said = format!("environment variable {name}");
    match context.sources.environment.get(name) {
        None => Err(said),
        Some(text) => {
            usable(text).map(|value| (value, format!("env {name}"))).map_err(|why| format!("{said} ({why})"))
        }
    }
}

fn in_credentials(context: &Context<'_>, name: &str) -> Found {
    let said = format!("credential {name}");
    let Some(folder) = &context.sources.credentials_directory else {
        return Err(format!("{said} (the service manager passed none)"));
    };
    from_file(&folder.join(name)).map(|value| (value, said.clone())).map_err(|why| format!("{said} ({why})"))
}

fn by_catalog(context: &Context<'_>, provider: &ProviderName, names: &[String]) -> Found {
    if let Some(found) = names.iter().find_map(|name| in_environment(context, name).ok()) {
        return Ok(found);
    }
    let mut looked_in = format!("environment variable {}", names.join(" or "));
    if context.sources.credentials_directory.is_some() {
        let mut candidates = names.iter().map(String::as_str).chain([provider.as_str()]);
        if let Some(found) = candidates.find_map(|name| in_credentials(context, name).ok()) {
            return Ok(found);
        }
        looked_in = format!("{looked_in}, credential {} or {provider}", names.join(" or "));
    }
    Err(looked_in)
}

fn in_file(path: &Path) -> String {
    format!("file {}", path.display())
}

fn from_file(path: &Path) -> Result<SecretString, String> {
    // A pipe would block for ever, and a folder says nothing useful.
    let metadata = path.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(MAX_KEY_BYTES + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    usable(&text)
}

/// A key as it can be sent in a header.
fn usable(text: &str) -> Result<SecretString, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("it is empty".to_owned());
    }
    if text.len() as u64 > MAX_KEY_BYTES {
        return Err("it is too long for a key".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("it holds a line break or a control character".to_owned());
    }
    Ok(SecretString::from(text.to_owned()))
}

/// Digest of everything that decides whether a provider lets this configuration in. It ends up in the database
/// and in outputs, so it is one-way; a field's length goes before it, so that no two settings read alike.
pub(super) fn fingerprint(parts: [Option<&str>; 3], key: Option<&SecretString>) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("backstop 2026 provider fingerprint");
    for part in parts.into_iter().chain([key.map(|key| key.expose_secret())]) {
        match part {
            None => hasher.update(&[0]),
            Some(part) => {
                hasher.update(&[1]).update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes())
            }
        };
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}
