//! One spelling for what may be written in several: assets, providers and the older form of chains.

use std::collections::{BTreeMap, BTreeSet};

use config::{Value, ValueKind};

use crate::domain::chain::MANUAL;
use crate::domain::name::{AssetName, ProviderName};

use super::errors::{Mistakes, advice_for};
use super::layers::Tree;

/// The tables a configuration has.
const SECTIONS: [&str; 10] =
    ["queue", "web", "vault", "assets", "providers", "retention", "on_manual", "notices", "recurring", "log"];

/// Where chains alone may be written, as lists by asset.
const CHAINS: &str = "chains";

/// The names that earlier layers brought, for those that cannot spell them.
#[derive(Debug, Clone)]
pub(super) struct Names {
    assets: BTreeSet<String>,
    seeds: BTreeSet<String>,
    providers: BTreeSet<String>,
    /// Whether names are resolved regardless of case and punctuation: an environment variable cannot hold
    /// `gemini-3.1-flash-image`, and says `GEMINI_3_1_FLASH_IMAGE`.
    resolve: bool,
}

impl Names {
    pub(super) fn new(providers: &[&str]) -> Self {
        let providers = providers.iter().map(|label| (*label).to_owned()).collect();
        Self { assets: BTreeSet::new(), seeds: BTreeSet::new(), providers, resolve: false }
    }

    /// Takes what is known by now as the seed assets.
    pub(super) fn keep_seeds(&mut self) {
        self.seeds = self.assets.clone();
    }

    /// The same, for layers that cannot spell every name.
    pub(super) fn resolving(&self) -> Self {
        Self { resolve: true, ..self.clone() }
    }

    /// The parts of a key path as flags spell it. A provider's label keeps its dots, quoted or not.
    pub(super) fn split(&self, path: &str) -> Vec<String> {
        if let Some(rest) = path.strip_prefix("providers.") {
            let label =
                |name: &&String| rest.strip_prefix(name.as_str()).is_some_and(|after| after.starts_with('.'));
            if let Some(name) = self.providers.iter().filter(label).max_by_key(|name| name.len()) {
                let below = rest.get(name.len() + 1..).unwrap_or("").split('.').map(str::to_owned);
                return ["providers".to_owned(), name.clone()].into_iter().chain(below).collect();
            }
        }
        let mut parts = vec![String::new()];
        let mut quoted = false;
        for c in path.chars() {
            match (c, parts.last_mut()) {
                ('"', _) => quoted = !quoted,
                ('.', _) if !quoted => parts.push(String::new()),
                (c, Some(part)) => part.push(c),
                (_, None) => {}
            }
        }
        parts
    }

    fn resolved(&self, known: &BTreeSet<String>, typed: &str) -> Option<String> {
        if !self.resolve {
            return None;
        }
        let alike = || known.iter().find(|known| folded(known) == folded(typed));
        known.get(typed).or_else(alike).cloned()
    }

    fn asset(&mut self, typed: &str, key: &str, mistakes: &Mistakes) -> Option<String> {
        if let Some(known) = self.resolved(&self.assets, typed) {
            return Some(known);
        }
        match AssetName::parse(typed) {
            Ok(name) => {
                self.assets.insert(name.to_string());
                Some(name.to_string())
            }
            Err(error) => {
                mistakes.add(key, error.to_string(), "name the asset in letters, digits and hyphens");
                None
            }
        }
    }

    fn provider(&mut self, typed: &str, key: &str, mistakes: &Mistakes) -> Option<String> {
        if let Some(known) = self.resolved(&self.providers, typed) {
            return Some(known);
        }
        match ProviderName::parse(typed) {
            Ok(name) if name.as_str() == MANUAL => {
                mistakes.add(key, "\"manual\" is the end of a chain and no provider", "choose another name");
                None
            }
            Ok(name) => {
                self.providers.insert(name.to_string());
                Some(name.to_string())
            }
            Err(error) => {
                mistakes.add(
                    key,
                    error.to_string(),
                    "name the provider in letters, digits, '-', '_' and '.'",
                );
                None
            }
        }
    }
}

/// What makes two spellings one name.
fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// Brings a layer into the one form that is merged and read: known sections only, assets and providers under
/// their names, every chain at `assets.NAME.chain`.
pub(super) fn tidy(layer: Tree, names: &mut Names, mistakes: &Mistakes) -> Tree {
    let mut tidied = Tree::new();
    let mut assets = Assets { found: BTreeMap::new(), names: names.clone(), mistakes };
    let layer: BTreeMap<String, Value> = layer.into_iter().collect();
    for (key, value) in layer {
        match key.as_str() {
            "assets" => assets.section(value),
            CHAINS => assets.chains(value),
            "providers" => {
                let value = providers(value, names, mistakes);
                tidied.insert(key, value);
            }
            section if SECTIONS.contains(&section) => {
                tidied.insert(key, value);
            }
            _other if assets.is_old_chain(&key, &value) => assets.chain(&key, &key, value),
            _other => {
                let otherwise = format!("the tables known here are {}", SECTIONS.join(", "));
                let known: Vec<&str> = SECTIONS.into_iter().chain([CHAINS]).collect();
                let advice = advice_for(&key, &known, &otherwise);
                mistakes.add_from(&shown(&key), value.origin(), "unknown key", advice);
            }
        }
    }
    names.assets.extend(assets.names.assets);
    if !assets.found.is_empty() {
        let found = assets.found.into_iter().map(|(name, found)| (name, Value::new(None, found.fields)));
        tidied.insert("assets".to_owned(), Value::new(None, found.collect::<Tree>()));
    }
    tidied
}

struct Assets<'m> {
    found: BTreeMap<String, Found>,
    names: Names,
    mistakes: &'m Mistakes,
}

#[derive(Default)]
struct Found {
    fields: Tree,
    /// The key of the asset's table, once there was one.
    table: Option<String>,
    /// The key of its chain, once there was one.
    chain: Option<String>,
}

impl Assets<'_> {
    /// `heroImage = [...]` outside any table, as older configurations have it, for the assets that there were.
    fn is_old_chain(&self, key: &str, value: &Value) -> bool {
        let seed = AssetName::parse(key).is_ok_and(|name| self.names.seeds.contains(name.as_str()));
        seed && matches!(value.kind, ValueKind::Array(_))
    }

    fn section(&mut self, value: Value) {
        let origin = value.origin().map(str::to_owned);
        let ValueKind::Table(fields) = value.kind else {
            self.no_table("assets", origin.as_deref());
            return;
        };
        let fields: BTreeMap<String, Value> = fields.into_iter().collect();
        for (typed, value) in fields {
            let key = format!("assets.{}", shown(&typed));
            if matches!(value.kind, ValueKind::Table(_)) {
                self.table(&typed, &key, value);
            } else {
                self.chain(&typed, &key, value);
            }
        }
    }

    fn chains(&mut self, value: Value) {
        let origin = value.origin().map(str::to_owned);
        let ValueKind::Table(fields) = value.kind else {
            self.no_table(CHAINS, origin.as_deref());
            return;
        };
        let fields: BTreeMap<String, Value> = fields.into_iter().collect();
        for (typed, value) in fields {
            let key = format!("{CHAINS}.{}", shown(&typed));
            self.chain(&typed, &key, value);
        }
    }

    fn table(&mut self, typed: &str, key: &str, value: Value) {
        let Some(name) = self.names.asset(typed, key, self.mistakes) else { return };
        let ValueKind::Table(fields) = value.kind else { return };
        let found = self.found.entry(name).or_default();
        if let Some(first) = &found.table {
            twice(self.mistakes, key, first);
            return;
        }
        found.table = Some(key.to_owned());
        for (field, value) in fields {
            if field == "chain" {
                let key = format!("{key}.chain");
                if let Some(first) = &found.chain {
                    twice(self.mistakes, &key, first);
                    continue;
                }
                found.chain = Some(key);
            }
            found.fields.insert(field, value);
        }
    }

    fn chain(&mut self, typed: &str, key: &str, value: Value) {
        let Some(name) = self.names.asset(typed, key, self.mistakes) else { return };
        let is_outside_text = matches!(value.kind, ValueKind::String(_)) && value.origin().is_some();
        let is_chain = is_outside_text || matches!(value.kind, ValueKind::Array(_));
        if !is_chain {
            let wrong = "must be a table, or the list of its chain";
            self.mistakes.add_from(key, value.origin(), wrong, format!("write it as [assets.{name}]"));
            return;
        }
        let found = self.found.entry(name).or_default();
        if let Some(first) = &found.chain {
            twice(self.mistakes, key, first);
            return;
        }
        found.chain = Some(key.to_owned());
        found.fields.insert("chain".to_owned(), value);
    }

    fn no_table(&self, key: &str, from: Option<&str>) {
        self.mistakes.add_from(key, from, "must be a table", format!("write it as [{key}]"));
    }
}

fn providers(value: Value, names: &mut Names, mistakes: &Mistakes) -> Value {
    let ValueKind::Table(fields) = value.kind else { return value };
    let mut first_keys: BTreeMap<String, String> = BTreeMap::new();
    let mut tidied = Tree::new();
    let fields: BTreeMap<String, Value> = fields.into_iter().collect();
    for (typed, value) in fields {
        let key = format!("providers.{}", shown(&typed));
        let Some(name) = names.provider(&typed, &key, mistakes) else { continue };
        match first_keys.get(&name) {
            Some(first) => twice(mistakes, &key, first),
            None => {
                first_keys.insert(name.clone(), key);
                tidied.insert(name, value);
            }
        }
    }
    Value::new(None, tidied)
}

fn twice(mistakes: &Mistakes, key: &str, first: &str) {
    mistakes.add(key, format!("says again what {first} says"), "keep one of the two");
}

/// A name as it stands in a key's path.
fn shown(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if plain && !name.is_empty() { name.to_owned() } else { format!("{name:?}") }
}
