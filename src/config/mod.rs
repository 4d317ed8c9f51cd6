//! Typed configuration: a TOML file, then the environment, then flags; all mistakes reported at once.

mod accept;
mod address;
mod assets;
mod budget;
pub mod cron;
mod errors;
mod layers;
mod log;
mod notices;
mod providers;
mod queue;
mod reader;
mod recurring;
mod secrets;
mod show;
mod sources;
mod spelling;
mod vault;
mod web;

use std::path::{Path, PathBuf};

use crate::domain::asset::Asset;
use crate::domain::name::ProviderName;
use crate::domain::provider::{Catalog, Provider};
use crate::domain::time::Timestamp;

pub(crate) use errors::nearest;
pub use errors::{ConfigErrors, Mistake};
pub use log::{LogFormat, LogSettings};
pub use notices::{NoticeFormat, Webhook, key_of};
pub use queue::{Database, Queue, Retention};
pub use recurring::{Missed, Recurring};
pub use secrets::Secrets;
pub use sources::{FILE_VARIABLE, LOCAL_FILE, SYSTEM_FILE, Sources};
pub use vault::Vault;
pub use web::{Token, Web};

use errors::Mistakes;
use reader::{Item, Table};

/// A configuration without mistakes.
#[derive(Debug, Clone)]
pub struct Config {
    /// The queue.
    pub queue: Queue,
    /// The vault.
    pub vault: Vault,
    /// The API and the page.
    pub web: Web,
    /// Every asset, by name.
    pub assets: Vec<Asset>,
    /// Every provider of the catalog and of the operator, by label, used or not.
    pub providers: Vec<Provider>,
    /// Their keys.
    pub secrets: Secrets,
    /// What is thrown away, and when.
    pub retention: Retention,
    /// The program that is told of every job a person is asked for: its path, then its arguments.
    pub on_manual: Option<Vec<String>>,
    /// The webhooks that are told.
    pub notices: Vec<Webhook>,
    /// What is enqueued by the calendar.
    pub recurring: Vec<Recurring>,
    /// What is logged, and in which form.
    pub log: LogSettings,
    /// What all this was read from.
    pub source: ReadFrom,
}

/// What a configuration was read from, besides the defaults.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadFrom {
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    /// The environment variables that set something, by name.
    pub variables: Vec<String>,
    /// The key paths that flags set.
    pub flags: Vec<String>,
}

/// Reads the configuration. A provider whose key is not at hand is no mistake: its links are skipped with the
/// reason, so that the same file serves on a machine that has only some of the keys.
///
/// # Errors
/// With every mistake at once.
pub fn load(sources: &Sources, catalog: &Catalog, now: Timestamp) -> Result<Config, ConfigErrors> {
    let file = sources.find_file().map_err(|mistake| ConfigErrors {
        subject: "the configuration".to_owned(),
        mistakes: vec![mistake],
    })?;
    let mistakes = Mistakes::default();
    let labels: Vec<&str> = catalog.entries.iter().map(|entry| entry.name.as_str()).collect();
    let merged = layers::merge(sources, file.as_ref(), &labels, &mistakes);
    let context = Context::new(sources, catalog, file.as_deref(), &mistakes, now);
    let (tree, variables) = (merged.tree, merged.variables);
    let source = ReadFrom {
        file: file.clone(),
        variables,
        flags: sources.overrides.iter().map(|(key, _)| key.clone()).collect(),
    };
    let config = read(&context, Table::root(tree, &mistakes), source);
    if mistakes.count() == 0 {
        return Ok(config);
    }
    let subject = file.map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
    Err(ConfigErrors { subject, mistakes: mistakes.into_vec() })
}

impl Config {
    /// This configuration with the keys that lie in files as they are now, and whose those are; `None` where none is
    /// another. Reads files, and nothing else of the configuration.
    #[must_use]
    pub fn with_fresh_keys(&self) -> Option<(Self, Vec<ProviderName>)> {
        let mut fresh = self.clone();
        let changed = providers::refresh_keys(&mut fresh.providers, &mut fresh.secrets);
        (!changed.is_empty()).then_some((fresh, changed))
    }
}

fn read(context: &Context<'_>, mut root: Table<'_>, source: ReadFrom) -> Config {
    let queue = queue::read(context, root.section("queue"));
    let vault = vault::read(context, root.section("vault"));
    let web = web::read(context, root.section("web"));
    let (known, secrets) = providers::read(context, root.section("providers"), queue.concurrency);
    let assets = assets::read(context, root.section("assets"), &known);
    let recurring = recurring::read(context, root.take("recurring"), &assets);
    let retention = queue::retention(root.section("retention"));
    let on_manual = root.take("on_manual").and_then(on_manual);
    let notices = notices::read(context, root.take("notices"));
    let log = log::read(root.section("log"));
    root.finish();
    Config {
        queue,
        vault,
        web,
        assets: assets.into_values().flatten().collect(),
        providers: known.into_values().flatten().collect(),
        secrets,
        retention,
        on_manual,
        notices,
        recurring,
        log,
        source,
    }
}

fn on_manual(item: Item<'_>) -> Option<Vec<String>> {
    let mut table = item.table()?;
    let command = table.need("command", "write command = [\"/path/to/program\"]").and_then(Item::command);
    table.finish();
    command
}

/// What the readers of the parts have in common.
struct Context<'a> {
    sources: &'a Sources,
    catalog: &'a Catalog,
    mistakes: &'a Mistakes,
    now: Timestamp,
    folder: PathBuf,
}

impl<'a> Context<'a> {
    fn new(
        sources: &'a Sources,
        catalog: &'a Catalog,
        file: Option<&Path>,
        mistakes: &'a Mistakes,
        now: Timestamp,
    ) -> Self {
        let folder = file.and_then(Path::parent).unwrap_or(&sources.working_directory).to_owned();
        Self { sources, catalog, mistakes, now, folder }
    }

    /// A path of something the operator wrote and Backstop reads.
    fn beside_file(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// A path of something Backstop writes. A flag is typed in a shell and means the working directory there.
    fn state_path(&self, path: &str, origin: Option<&str>) -> PathBuf {
        let base = match (origin, &self.sources.state_directory) {
            (Some(layers::COMMAND_LINE), _) => &self.sources.working_directory,
            (_, Some(state)) => state,
            (_, None) => &self.folder,
        };
        base.join(path)
    }
}
