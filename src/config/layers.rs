//! The layers of a configuration, lowest first: the defaults, the file, the environment, the flags.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use config::{Config, ConfigError, FileFormat, Map, Source, Value, ValueKind};

use crate::domain::asset::Medium;

use super::errors::Mistakes;
use super::sources::{FILE_VARIABLE, Sources};
use super::spelling::{Names, tidy};

/// A tree of configuration, as the `config` crate keeps it.
pub(super) type Tree = Map<String, Value>;

const PREFIX: &str = "BACKSTOP";
pub(super) const COMMAND_LINE: &str = "the command line";
const DEFAULTS: &str = include_str!("defaults.toml");

/// A configuration file is written by hand; a larger one is something else.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Keys of one word under a section, to tell `BACKSTOP_QUEUE_LEASE` (a slip) from a variable of somebody else.
const SIMPLE_KEYS: [&str; 14] = [
    "queue_database",
    "queue_schedule",
    "queue_concurrency",
    "queue_lease",
    "queue_grace",
    "web_listen",
    "web_open_reading",
    "web_hosts",
    "vault_url",
    "vault_public_url",
    "retention_done",
    "log_filter",
    "log_format",
    "on_manual_command",
];

/// What was merged, and from what.
pub(super) struct Merged {
    /// Every key of every layer, later layers over earlier ones.
    pub(super) tree: BTreeMap<String, Value>,
    /// The environment variables that took part.
    pub(super) variables: Vec<String>,
}

/// Reads and merges all layers. `labels` are the providers known without configuration.
pub(super) fn merge(
    sources: &Sources,
    file: Option<&PathBuf>,
    labels: &[&str],
    mistakes: &Mistakes,
) -> Merged {
    let mut names = Names::new(labels);
    let mut defaults = tidy(parse(DEFAULTS, "defaults.toml", mistakes), &mut names, mistakes);
    names.keep_seeds();
    let from_file = file.map(|path| from_file(path, mistakes)).unwrap_or_default();
    let from_file = tidy(from_file, &mut names, mistakes);
    let (environment, variables) = environment(sources, mistakes);
    let environment = tidy(environment, &mut names.resolving(), mistakes);
    let flags = tidy(flags(sources, &names, mistakes), &mut names.resolving(), mistakes);
    for later in [&from_file, &environment, &flags] {
        give_way(&mut defaults, later);
    }
    let built = [defaults, from_file, environment, flags]
        .into_iter()
        .fold(Config::builder(), |builder, layer| builder.add_source(Layer(layer)))
        .build();
    match built.and_then(|config| config.collect()) {
        Ok(tree) => Merged { tree: tree.into_iter().collect(), variables },
        Err(error) => {
            mistakes.add("", error.to_string(), "report this: layers that were read must merge");
            Merged { tree: BTreeMap::new(), variables }
        }
    }
}

/// Takes from the defaults of a seed asset what a later layer replaces as a whole: its acceptance rules, and
/// everything that fits its medium when the medium is another.
fn give_way(defaults: &mut Tree, later: &Tree) {
    let (Some(seeds), Some(assets)) = (assets_mut(defaults), assets(later)) else { return };
    for (name, asset) in assets {
        let ValueKind::Table(asset) = &asset.kind else { continue };
        let Some(Value { kind: ValueKind::Table(seed), .. }) = seeds.get_mut(name) else { continue };
        // A variable sets one rule and means no other; a file spells out the rules it wants.
        if asset.get("accept").is_some_and(are_spelled_out) {
            seed.remove("accept");
        }
        let medium = |fields: &Tree| Medium::parse(&fields.get("medium")?.clone().into_string().ok()?);
        if medium(asset).is_some_and(|stated| medium(seed) != Some(stated)) {
            seed.clear();
        }
    }
}

/// Whether a file wrote these rules; a variable's or a flag's remember where they came from.
fn are_spelled_out(rules: &Value) -> bool {
    let ValueKind::Table(fields) = &rules.kind else { return true };
    rules.origin().is_none() && fields.values().all(|rule| rule.origin().is_none())
}

fn assets(tree: &Tree) -> Option<&Tree> {
    if let ValueKind::Table(assets) = &tree.get("assets")?.kind { Some(assets) } else { None }
}

fn assets_mut(tree: &mut Tree) -> Option<&mut Tree> {
    if let ValueKind::Table(assets) = &mut tree.get_mut("assets")?.kind { Some(assets) } else { None }
}

fn from_file(path: &Path, mistakes: &Mistakes) -> Tree {
    let text = File::open(path).and_then(|file| {
        let mut text = String::new();
        file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text)?;
        Ok(text)
    });
    match text {
        Ok(text) if text.len() as u64 > MAX_FILE_BYTES => {
            mistakes.add("", "the file is larger than 1 MiB", "name a file of settings");
            Tree::new()
        }
        Ok(text) => parse(&text, "the file", mistakes),
        Err(error) => {
            mistakes.add("", format!("the file cannot be read: {error}"), "let the daemon's user read it");
            Tree::new()
        }
    }
}

fn parse(text: &str, what: &str, mistakes: &Mistakes) -> Tree {
    match config::File::from_str(text, FileFormat::Toml).collect() {
        Ok(tree) => tree,
        Err(error) => {
            let wrong = format!("{what} is not TOML: {}", syntax(&error, text));
            mistakes.add("", wrong, "mend that place; nothing else was read");
            Tree::new()
        }
    }
}

/// What the parser says and where, without the line itself: a key may stand in it.
fn syntax(error: &ConfigError, text: &str) -> String {
    let ConfigError::FileParse { cause, .. } = error else { return "it cannot be read".to_owned() };
    let Some(cause) = cause.downcast_ref::<toml::de::Error>() else {
        return "it holds a number that is too large".to_owned();
    };
    let Some(before) = cause.span().and_then(|span| text.get(..span.start)) else {
        return cause.message().to_owned();
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("line {line}, column {column}: {}", cause.message())
}

fn environment(sources: &Sources, mistakes: &Mistakes) -> (Tree, Vec<String>) {
    let prefix = format!("{PREFIX}_");
    let mut ours = Map::new();
    for (name, text) in &sources.environment {
        let Some(rest) = name.strip_prefix(&prefix).map(str::to_lowercase) else { continue };
        if SIMPLE_KEYS.contains(&rest.as_str()) {
            let section = if rest.starts_with("on_manual") {
                "on_manual"
            } else {
                rest.split('_').next().unwrap_or("")
            };
            let key = rest.get(section.len() + 1..).unwrap_or("");
            let meant = format!("{prefix}{section}__{key}").to_uppercase();
            mistakes.add(
                name,
                "sets nothing",
                format!("levels are parted by two underscores: write {meant}"),
            );
        } else if rest.contains("__") && name != FILE_VARIABLE {
            ours.insert(name.clone(), text.clone());
        }
    }
    // The crate's own separator is a dot, which provider labels hold; the levels are parted below instead.
    let collected = config::Environment::with_prefix(PREFIX)
        .prefix_separator("_")
        .ignore_empty(true)
        .source(Some(ours))
        .collect()
        .unwrap_or_default();
    let mut tree = Tree::new();
    let mut variables = Vec::new();
    let sorted: BTreeMap<String, Value> = collected.into_iter().collect();
    for (key, value) in sorted {
        let name = format!("{prefix}{}", key.to_uppercase());
        let path: Vec<String> = key.split("__").map(str::to_owned).collect();
        if let Ok(text) = value.into_string() {
            insert(&mut tree, &path, typed(&text, &name), &name, mistakes);
            variables.push(name);
        }
    }
    (tree, variables)
}

fn flags(sources: &Sources, names: &Names, mistakes: &Mistakes) -> Tree {
    let mut tree = Tree::new();
    for (key, text) in &sources.overrides {
        insert(&mut tree, &names.split(key), typed(text, COMMAND_LINE), key, mistakes);
    }
    tree
}

/// A text that reads as a TOML list or table stands for one; anything else is a text.
fn typed(text: &str, from: &str) -> Value {
    let from = from.to_owned();
    if text.trim_start().starts_with(['[', '{'])
        && let Ok(mut tree) = config::File::from_str(&format!("it = {text}"), FileFormat::Toml).collect()
        && tree.len() == 1
        && let Some(value) = tree.remove("it")
    {
        return stamped(value, &from);
    }
    Value::new(Some(&from), text)
}

fn stamped(value: Value, from: &String) -> Value {
    let mut kind = value.kind;
    if let ValueKind::Table(fields) = kind {
        kind = ValueKind::Table(fields.into_iter().map(|(key, value)| (key, stamped(value, from))).collect());
    } else if let ValueKind::Array(values) = kind {
        kind = ValueKind::Array(values.into_iter().map(|value| stamped(value, from)).collect());
    }
    Value::new(Some(from), kind)
}

fn insert(tree: &mut Tree, path: &[String], value: Value, name: &str, mistakes: &Mistakes) {
    let [first, rest @ ..] = path else { return };
    if rest.is_empty() {
        tree.insert(first.clone(), value);
        return;
    }
    let below = tree.entry(first.clone()).or_insert_with(|| Value::new(None, Tree::new()));
    if let ValueKind::Table(below) = &mut below.kind {
        insert(below, rest, value, name, mistakes);
    } else {
        mistakes.add(name, format!("\"{first}\" is also set as a whole"), "set it once");
    }
}

/// One layer on its way into the builder.
#[derive(Clone)]
struct Layer(Tree);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Tree, ConfigError> {
        Ok(self.0.clone())
    }
}

// A layer may still hold a key somebody wrote down where none belongs.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Layer")
    }
}
