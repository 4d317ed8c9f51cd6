//! What is enqueued by the calendar.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::domain::name::AssetName;

use super::assets::{Assets, template};
use super::errors::advice_for;
use super::reader::{Item, Table};
use super::{Context, cron};

/// A job that is enqueued again and again.
#[derive(Debug, Clone, PartialEq)]
pub struct Recurring {
    /// Its name, unique.
    pub name: String,
    /// When: five or six cron fields.
    pub cron: String,
    /// In which zone, as IANA names it.
    pub zone: String,
    /// What is to be made.
    pub asset: AssetName,
    /// The slug's template (minijinja source), over `tick.date` and the like.
    pub slug: String,
    /// The job's prompt, as it stands; `None` leaves it to the asset's template.
    pub prompt: Option<String>,
    /// The job's input.
    pub input: Map<String, Value>,
    /// The job's priority, 0 to 9; 9 goes first.
    pub priority: u8,
    /// What becomes of ticks that passed while no daemon ran.
    pub missed: Missed,
}

/// What becomes of ticks that passed while no daemon ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missed {
    /// Nothing.
    Skip,
    /// The latest is enqueued.
    #[default]
    Once,
    /// Each is enqueued.
    All,
}

impl Missed {
    const SPELLINGS: [(&str, Self); 3] = [("skip", Self::Skip), ("once", Self::Once), ("all", Self::All)];

    /// As it is spelled.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Once => "once",
            Self::All => "all",
        }
    }
}

/// The priority of a job that says nothing, as the schema has it.
const DEFAULT_PRIORITY: u32 = 5;

/// The longest name.
const MAX_NAME: usize = 64;

pub(super) fn read(context: &Context<'_>, item: Option<Item<'_>>, assets: &Assets) -> Vec<Recurring> {
    let mut names = BTreeSet::new();
    let entries = item.and_then(Item::list).unwrap_or_default();
    entries
        .into_iter()
        .filter_map(Item::table)
        .filter_map(|table| entry(context, table, assets, &mut names))
        .collect()
}

fn entry(
    context: &Context<'_>,
    mut table: Table<'_>,
    assets: &Assets,
    names: &mut BTreeSet<String>,
) -> Option<Recurring> {
    let name = table.need("name", "give it a name of its own").and_then(|item| name(item, names));
    let cron = table.need("cron", "write \"0 9 * * MON\"").and_then(|item| cron::read(item, context.now));
    let zone = table.take("zone").map_or(Some("UTC".to_owned()), cron::zone);
    let asset = table.need("asset", "name the asset to be made").and_then(|item| asset(item, assets));
    let slug = table.need("slug", "write \"weekly-{{ tick.date }}\"").and_then(template);
    let prompt = table.take("prompt").and_then(Item::text);
    let input = table.take("input").and_then(input);
    let priority = table.take("priority").map_or(Some(DEFAULT_PRIORITY), |item| item.whole32(0..=9));
    let missed = table.take("missed").map_or(Some(Missed::default()), |item| item.choice(&Missed::SPELLINGS));
    table.finish();
    Some(Recurring {
        name: name?,
        cron: cron?,
        zone: zone?,
        asset: asset?,
        slug: slug?,
        prompt,
        input: input.unwrap_or_default(),
        priority: u8::try_from(priority?).ok()?,
        missed: missed?,
    })
}

fn name(item: Item<'_>, names: &mut BTreeSet<String>) -> Option<String> {
    let text = item.clone().text()?;
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !plain || text.len() > MAX_NAME {
        item.wrong(
            format!("{} is no name", item.shown()),
            "use at most 64 letters, digits, '-', '_' and '.'",
        );
        return None;
    }
    if !names.insert(text.clone()) {
        item.wrong(format!("\"{text}\" is taken by another entry"), "give each entry a name of its own");
        return None;
    }
    Some(text)
}

fn asset(item: Item<'_>, assets: &Assets) -> Option<AssetName> {
    let text = item.clone().text()?;
    let name = AssetName::parse(&text).map_err(|error| {
        item.wrong(error.to_string(), "name one of the assets");
    });
    let name = name.ok()?;
    if assets.contains_key(&name) {
        return Some(name);
    }
    let known: Vec<&str> = assets.keys().map(AssetName::as_str).collect();
    let otherwise = format!("the assets are {}", known.join(", "));
    item.wrong(format!("there is no asset \"{name}\""), advice_for(name.as_str(), &known, &otherwise));
    None
}

fn input(item: Item<'_>) -> Option<Map<String, Value>> {
    if !item.is_table() {
        item.wrong("must be a table", "write input = { title = \"...\" }");
        return None;
    }
    match item.json()? {
        Value::Object(input) => Some(input),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => None,
    }
}
