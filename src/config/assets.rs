//! The assets: what is to be made, along which chain, by which rules.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::asset::{Asset, Medium, OnExhausted, Window};
use crate::domain::chain::{Chain, ChainError, MANUAL};
use crate::domain::name::{AssetName, ProviderName};

use super::errors::advice_for;
use super::providers::Providers;
use super::queue::MAX_CONCURRENCY;
use super::reader::{Item, Table};
use super::{Context, accept, budget, cron};

/// The assets by name; `None` where one has mistakes, so that nothing else complains that it is unknown.
pub(super) type Assets = BTreeMap<AssetName, Option<Asset>>;

/// The most runs a job may have before a person is asked.
const MAX_RUNS: u32 = 100;

/// The prompt of an asset that was given none.
const PLAIN_PROMPT: &str = "{{ input.title or slug }}";

/// The longest template, in bytes.
const MAX_TEMPLATE: usize = 64 * 1024;

const CHAIN_ADVICE: &str = "list providers in the order in which they are asked: [\"lummi\", \"manual\"]";

pub(super) fn read(context: &Context<'_>, mut table: Table<'_>, providers: &Providers) -> Assets {
    let mut assets = Assets::new();
    for (typed, item) in table.rest() {
        // Every layer was brought to kebab-case before; a name that is none was reported there.
        let Ok(name) = AssetName::parse(&typed) else { continue };
        let before = context.mistakes.count();
        let asset = item.table().and_then(|fields| asset(context, &name, fields, providers));
        let sound = context.mistakes.count() == before;
        assets.insert(name, asset.filter(|_| sound));
    }
    assets
}

fn asset(
    context: &Context<'_>,
    name: &AssetName,
    mut table: Table<'_>,
    providers: &Providers,
) -> Option<Asset> {
    let mediums = Medium::ALL.map(|medium| (medium.as_str(), medium));
    let stated = table.take("medium");
    let is_stated = stated.is_some();
    let stated = stated.and_then(|item| item.choice(&mediums));
    let chain_item = table.need("chain", CHAIN_ADVICE);
    let chain = chain_item.and_then(|item| chain(item, stated, providers));
    let medium = stated.or_else(|| chain.as_ref().and_then(|chain| medium_of(chain, providers)));
    if medium.is_none() && !is_stated && chain.is_some() {
        table.wrong("medium", "is missing", "say what it is: image, text, video or audio");
    }
    let prompt = table.take("prompt").map_or(Some(PLAIN_PROMPT.to_owned()), template);
    let rules = table.take("accept").and_then(Item::table);
    let hour = Duration::from_secs(3_600);
    let asset = Asset {
        name: name.clone(),
        medium: medium.unwrap_or(Medium::Image),
        chain: chain.clone().or_else(|| Chain::parse(&[MANUAL]).ok())?,
        prompt: prompt.unwrap_or_default(),
        accept: rules.map(|rules| accept::read(rules, medium)).unwrap_or_default(),
        max_runs: table.take("max_runs").map_or(Some(3), |item| item.whole32(1..=MAX_RUNS)).unwrap_or(1),
        give_up_after: table
            .take("give_up_after")
            .map_or(Some(hour), |item| item.duration(Duration::ZERO..=24 * 30 * hour))
            .unwrap_or(hour),
        deadline: table
            .take("deadline")
            .and_then(|item| item.duration(Duration::from_secs(1)..=24 * hour))
            .unwrap_or_else(|| medium.unwrap_or(Medium::Image).default_deadline()),
        on_exhausted: table
            .take("on_exhausted")
            .and_then(|item| item.choice(&[("manual", OnExhausted::Manual), ("fail", OnExhausted::Fail)]))
            .unwrap_or_default(),
        window: table.take("window").and_then(|item| window(context, item)),
        concurrency: table.take("concurrency").and_then(|item| item.whole32(1..=MAX_CONCURRENCY)),
        budget: table.take("budget").and_then(budget::read).unwrap_or_default(),
    };
    table.finish();
    (chain.is_some() && medium.is_some()).then_some(asset)
}

/// The medium of a chain whose asset does not say it: that of the first link that has one.
fn medium_of(chain: &Chain, providers: &Providers) -> Option<Medium> {
    chain.providers().iter().find_map(|name| providers.get(name)?.as_ref()).map(|provider| provider.medium)
}

fn chain(item: Item<'_>, medium: Option<Medium>, providers: &Providers) -> Option<Chain> {
    let whole = item.clone();
    let items = item.list()?;
    let count = items.len();
    let mut labels = Vec::with_capacity(count);
    let mut wanted = medium;
    let mut sound = true;
    for link in items {
        let Some(label) = link.clone().text() else { continue };
        match fits(&link, &label, wanted, providers) {
            Ok(found) => wanted = wanted.or(found),
            Err(()) => sound = false,
        }
        labels.push(label);
    }
    if labels.len() < count {
        return None;
    }
    match Chain::parse(&labels) {
        Ok(chain) => sound.then_some(chain),
        // Said at the link itself.
        Err(ChainError::BadLabel { .. }) => None,
        Err(
            error @ (ChainError::Empty
            | ChainError::TooLong
            | ChainError::Twice(_)
            | ChainError::ManualNotLast),
        ) => {
            whole.wrong(error.to_string(), CHAIN_ADVICE);
            None
        }
    }
}

/// Checks one link against the providers there are and the medium wanted; answers its medium.
fn fits(
    link: &Item<'_>,
    label: &str,
    wanted: Option<Medium>,
    providers: &Providers,
) -> Result<Option<Medium>, ()> {
    if label.trim().eq_ignore_ascii_case(MANUAL) {
        return Ok(None);
    }
    let name = ProviderName::parse(label).map_err(|error| {
        link.wrong(error.to_string(), "write a provider's label as \"backstop providers\" lists it");
    })?;
    let Some(provider) = providers.get(&name) else {
        let known: Vec<&str> = providers.keys().map(ProviderName::as_str).chain([MANUAL]).collect();
        let otherwise =
            format!("add a [providers.{name}] table, or see \"backstop providers\" for those there are");
        link.wrong(format!("there is no provider \"{name}\""), advice_for(name.as_str(), &known, &otherwise));
        return Err(());
    };
    let Some(provider) = provider else { return Ok(None) };
    if let Some(wanted) = wanted.filter(|wanted| *wanted != provider.medium) {
        link.wrong(
            format!("\"{name}\" makes {}, and this asset is {wanted}", provider.medium),
            "name a provider of the same medium",
        );
        return Err(());
    }
    let need = match provider.protocol.as_str() {
        "command" => "command",
        "template" => "template",
        // The catalog's labels for servers of one's own have none until their operator names it.
        "openai-chat" | "openai-images" | "anthropic" if provider.model.is_none() => "model",
        _other => return Ok(Some(provider.medium)),
    };
    if !provider.options.contains_key(need) {
        link.wrong(format!("\"{name}\" has no {need}"), format!("set {need} under [providers.{name}]"));
        return Err(());
    }
    Ok(Some(provider.medium))
}

/// A minijinja template; only its syntax can be checked before there is a job.
pub(super) fn template(item: Item<'_>) -> Option<String> {
    let text = item.clone().text()?;
    if text.len() > MAX_TEMPLATE {
        item.wrong("is longer than 64 KiB", "write a shorter template");
        return None;
    }
    match minijinja::Environment::new().template_from_str(&text) {
        Ok(_) => Some(text),
        Err(error) => {
            let why = error.detail().unwrap_or("it cannot be read").to_owned();
            let line = error.line().unwrap_or(1);
            item.wrong(
                format!("is no template, line {line}: {why}"),
                "write placeholders as {{ input.title or slug }}",
            );
            None
        }
    }
}

fn window(context: &Context<'_>, item: Item<'_>) -> Option<Window> {
    const ADVICE: &str = "write \"any\", or { cron = \"* 22-23,0-5 * * *\", zone = \"Europe/Zurich\" }";
    if item.is_table() {
        let mut table = item.table()?;
        let cron = table.need("cron", ADVICE).and_then(|item| cron::read(item, context.now));
        let zone = table.take("zone").map_or(Some("UTC".to_owned()), cron::zone);
        table.finish();
        return Some(Window { cron: cron?, zone: zone? });
    }
    let text = item.clone().text()?;
    if text.trim() == "any" {
        return None;
    }
    let (cron, zone) = match text.trim().rsplit_once(char::is_whitespace) {
        Some((cron, zone)) if zone.parse::<chrono_tz::Tz>().is_ok() => (cron.trim(), zone),
        Some(_) | None => (text.trim(), "UTC"),
    };
    cron::check(&item, cron, context.now).then(|| Window { cron: cron.to_owned(), zone: zone.to_owned() })
}
