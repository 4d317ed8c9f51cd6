//! The providers: the catalog's entries, what the operator changes in them, and the operator's own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value};
use url::Url;

use crate::domain::asset::Medium;
use crate::domain::name::ProviderName;
use crate::domain::pace::Pace;
use crate::domain::provider::{CatalogEntry, Key, OnUnknown, ProtocolFacts, Provider, Repeat, Retirement};

use super::errors::advice_for;
use super::queue::MAX_CONCURRENCY;
use super::reader::{Item, Table};
use super::secrets::{self, Secrets, Wish};
use super::{Context, address, assets, budget};

/// The providers by label; `None` where one has mistakes, so that chains do not call it unknown.
pub(super) type Providers = BTreeMap<ProviderName, Option<Provider>>;

/// Calls in flight at once that no vendor's entry tier minds, where the catalog knows no bound.
const REMOTE_CONCURRENCY: u32 = 8;

/// Programs of the operator in flight at once: each is a process, perhaps a model on the one graphics card.
const PROGRAM_CONCURRENCY: u32 = 4;

const MAX_RETRIES: u32 = 10;
const MAX_TRIP_AFTER: u32 = 1_000;

/// Most calls in a minute or an hour that a limit can name: so many are counted before each call.
const MAX_CALLS: u32 = 10_000;
const MAX_PRICE_DOLLARS: u32 = 10_000;

/// Reads all providers. Local makers may use as much of the queue as `queue_concurrency` lets in.
pub(super) fn read(
    context: &Context<'_>,
    mut table: Table<'_>,
    queue_concurrency: u32,
) -> (Providers, Secrets) {
    let mut tables: BTreeMap<ProviderName, Table<'_>> = BTreeMap::new();
    let mut broken = BTreeSet::new();
    for (typed, item) in table.rest() {
        // Every layer brought labels to their one spelling; what is none was reported there.
        let Ok(name) = ProviderName::parse(&typed) else { continue };
        match item.table() {
            Some(fields) => drop(tables.insert(name, fields)),
            None => drop(broken.insert(name)),
        }
    }
    let mut names: BTreeSet<ProviderName> =
        context.catalog.entries.iter().map(|entry| entry.name.clone()).collect();
    names.extend(tables.keys().chain(&broken).cloned());
    let mut providers = Providers::new();
    let mut secrets = Secrets::default();
    for name in names {
        let before = context.mistakes.count();
        let key = format!("providers.{name}");
        let fields = tables.remove(&name).unwrap_or_else(|| Table::empty(&key, context.mistakes));
        let reading =
            Reading { context, name: &name, entry: context.catalog.entry(&name), queue_concurrency };
        let provider = if broken.contains(&name) { None } else { reading.provider(fields, &mut secrets) };
        let sound = context.mistakes.count() == before;
        providers.insert(name, provider.filter(|_| sound));
    }
    (providers, secrets)
}

/// One provider being read.
struct Reading<'a> {
    context: &'a Context<'a>,
    name: &'a ProviderName,
    entry: Option<&'a CatalogEntry>,
    queue_concurrency: u32,
}

/// Where a provider's requests go, and as what.
struct Target {
    model: Option<String>,
    base_url: Option<Url>,
    wish: Wish,
}

impl Reading<'_> {
    fn provider(&self, mut table: Table<'_>, secrets: &mut Secrets) -> Option<Provider> {
        let facts = self.protocol(&mut table)?;
        let medium = self.medium(&mut table, facts);
        let target = self.target(&mut table, facts);
        let title = table.take("title").and_then(Item::text);
        let timeout = table
            .take("timeout")
            .and_then(|item| item.duration(Duration::from_millis(1)..=Duration::from_secs(86_400)));
        let retries = table.take("retries").and_then(|item| item.whole32(0..=MAX_RETRIES));
        let concurrency = table.take("concurrency").and_then(|item| item.whole32(1..=MAX_CONCURRENCY));
        let pace = self.pace(&mut table, facts, concurrency);
        let trip_after = table.take("trip_after").and_then(|item| item.whole32(1..=MAX_TRIP_AFTER));
        let choices = [("next", OnUnknown::Next), ("retry", OnUnknown::Retry), ("manual", OnUnknown::Manual)];
        let on_unknown = table.take("on_unknown").and_then(|item| item.choice(&choices));
        let price = table.take("price").and_then(price);
        let repeat = repeat(&mut table, facts);
        let budget = table.take("budget").and_then(budget::read);
        let options = self.options(table, facts);
        let (medium, target) = (medium?, target?);
        let key = secrets::find(self.context, self.name, &target.wish, secrets);
        let key = self.without_key(key, &target);
        self.refuse_open_key(&key, &target);
        let base_url = target.base_url.as_ref().map(address::kept);
        let retired = self.retired(&target);
        Some(Provider {
            name: self.name.clone(),
            title: title.unwrap_or_else(|| self.title()),
            protocol: facts.name.clone(),
            supported: facts.supported,
            medium,
            fingerprint: fingerprint(
                &facts.name,
                base_url.as_deref(),
                target.model.as_deref(),
                secrets.key(self.name),
            ),
            model: target.model,
            base_url,
            key,
            retired,
            timeout: timeout.or_else(|| self.entry_of(facts)?.timeout).unwrap_or(facts.timeout),
            retries: retries.unwrap_or(1),
            concurrency: concurrency.unwrap_or_else(|| self.concurrency(facts)),
            pace,
            trip_after: trip_after.unwrap_or(3),
            instant: facts.instant,
            on_unknown: on_unknown.unwrap_or_default(),
            repeat: repeat.unwrap_or(facts.repeat),
            budget: budget.unwrap_or_default(),
            price_micros: price.or(self.entry.map(|entry| entry.price_micros)).unwrap_or(0),
            options,
        })
    }

    fn protocol(&self, table: &mut Table<'_>) -> Option<&ProtocolFacts> {
        let protocols = &self.context.catalog.protocols;
        let names: Vec<&str> = protocols.iter().map(|facts| facts.name.as_str()).collect();
        let listed = format!("the protocols are {}", names.join(", "));
        let Some(item) = table.take("protocol") else {
            let facts = match self.entry {
                Some(entry) => self.context.catalog.protocol(&entry.protocol),
                // [providers.command] is the maker `command`, which has no entry: what it makes is the operator's.
                None => self.context.catalog.protocol(self.name.as_str()).filter(|facts| facts.local),
            };
            if facts.is_none() {
                let labels: Vec<&str> =
                    self.context.catalog.entries.iter().map(|entry| entry.name.as_str()).collect();
                let advice = advice_for(self.name.as_str(), &labels, &listed);
                table.wrong("protocol", "is missing, and the catalog has no such provider", advice);
            }
            return facts;
        };
        let text = item.clone().text()?;
        let facts = self.context.catalog.protocol(&text);
        if facts.is_none() {
            item.wrong(format!("there is no protocol {}", item.shown()), advice_for(&text, &names, &listed));
        }
        facts
    }

    /// The catalog's entry, as long as the operator did not choose another protocol for it.
    fn entry_of(&self, facts: &ProtocolFacts) -> Option<&CatalogEntry> {
        self.entry.filter(|entry| entry.protocol == facts.name)
    }

    fn medium(&self, table: &mut Table<'_>, facts: &ProtocolFacts) -> Option<Medium> {
        let mediums = Medium::ALL.map(|medium| (medium.as_str(), medium));
        let fixed = facts.medium.or_else(|| self.entry_of(facts).map(|entry| entry.medium));
        let Some(item) = table.take("medium") else {
            if fixed.is_none() {
                table.wrong("medium", "is missing", "say what it makes: image, text, video or audio");
            }
            return fixed;
        };
        let stated = item.clone().choice(&mediums)?;
        if let Some(made) = facts.medium.filter(|made| *made != stated) {
            item.wrong(format!("protocol {} makes {made}", facts.name), "leave the key out");
            return None;
        }
        Some(stated)
    }

    fn target(&self, table: &mut Table<'_>, facts: &ProtocolFacts) -> Option<Target> {
        let (model, base_url) = (table.take("model"), table.take("base_url"));
        let api_key = table.take("api_key");
        let entry = self.entry_of(facts);
        if facts.local {
            for item in [base_url, api_key].into_iter().flatten() {
                item.wrong(format!("protocol {} works on this machine", facts.name), "leave the key out");
            }
            let model = model.and_then(Item::text).or_else(|| entry.and_then(|entry| entry.model.clone()));
            return Some(Target { model, base_url: None, wish: Wish::None });
        }
        let model = match model {
            Some(item) => Some(item.text()?),
            None => entry.and_then(|entry| entry.model.clone()),
        };
        if facts.needs_model && model.is_none() && entry.is_none() {
            table.wrong(
                "model",
                "is missing",
                format!("protocol {} needs the vendor's model id", facts.name),
            );
        }
        let base_url = match base_url {
            Some(item) => Some(address::read(item)?),
            None => entry.and_then(|entry| entry.base_url.as_deref()).and_then(|text| Url::parse(text).ok()),
        };
        if base_url.is_none() {
            table.wrong(
                "base_url",
                "is missing",
                "write the address its requests go to, \"https://host/v1\"",
            );
        }
        let wish = match api_key {
            Some(item) => secrets::read(self.context, item)?,
            None => self.entry.map_or(Wish::None, Wish::of),
        };
        Some(Target { model, base_url: Some(base_url?), wish })
    }

    /// The end of what is called there, whatever label calls it and however it is spelled: a vendor retires a model at
    /// its own host. A relay, Vertex AI and another model outlive that.
    fn retired(&self, target: &Target) -> Option<Retirement> {
        let host = address::host(target.base_url.as_ref()?)?;
        let model = target.model.as_deref()?;
        let is_called = |entry: &&CatalogEntry| {
            let vendors = entry.base_url.as_deref().and_then(|text| Url::parse(text).ok());
            entry.model.as_deref() == Some(model) && vendors.as_ref().and_then(address::host) == Some(host)
        };
        self.context.catalog.entries.iter().filter(is_called).find_map(|entry| entry.retired.clone())
    }

    /// A key that nobody asked for is not missed where the operator put a server of their own.
    fn without_key(&self, key: Key, target: &Target) -> Key {
        let assumed = matches!(target.wish, Wish::Catalog(_));
        let at_home = target.base_url.as_ref().is_some_and(address::is_private);
        match key {
            Key::Missing { .. } if assumed && at_home => Key::NotNeeded,
            Key::Missing { .. } | Key::Present | Key::NotNeeded => key,
        }
    }

    fn refuse_open_key(&self, key: &Key, target: &Target) {
        let Some(url) = &target.base_url else { return };
        if url.scheme() == "http" && !address::is_private(url) && *key != Key::NotNeeded {
            self.context.mistakes.add(
                &format!("providers.{}.base_url", self.name),
                "the key would cross the internet unencrypted",
                "write https, or api_key = false where no key is needed",
            );
        }
    }

    /// Everything left must be a setting of the protocol; the catalog's settings stand below it.
    fn options(&self, mut table: Table<'_>, facts: &ProtocolFacts) -> Map<String, Value> {
        table.also_known(&facts.options);
        let mut options = self.entry_of(facts).map(|entry| entry.options.clone()).unwrap_or_default();
        for (name, item) in table.rest() {
            if !facts.options.contains(&name) {
                table.unknown(&name, &item);
                continue;
            }
            let value = match name.as_str() {
                "command" => item.command().map(Value::from),
                "template" => assets::template(item).map(Value::from),
                _other => item.json(),
            };
            options.extend(value.map(|value| (name, value)));
        }
        options
    }

    /// How often it may be called by all daemons together. What waits for nothing is not counted, nor is a maker of this
    /// machine that nobody set a bound for: each daemon bounds its own.
    fn pace(&self, table: &mut Table<'_>, facts: &ProtocolFacts, stated: Option<u32>) -> Option<Pace> {
        let most = |item: Item<'_>| item.whole32(1..=MAX_CALLS);
        let (per_minute, per_hour) = (table.take("calls_per_minute"), table.take("calls_per_hour"));
        if facts.instant {
            for item in [per_minute, per_hour].into_iter().flatten() {
                item.wrong(format!("protocol {} is not limited", facts.name), "leave the key out");
            }
            return None;
        }
        let entry = self.entry_of(facts);
        let per_minute = per_minute.and_then(most).or_else(|| entry?.calls_per_minute);
        let per_hour = per_hour.and_then(most).or_else(|| entry?.calls_per_hour);
        let unbounded = facts.local && facts.medium.is_some() && stated.is_none();
        if unbounded && per_minute.is_none() && per_hour.is_none() {
            return None;
        }
        let at_once = stated.unwrap_or_else(|| self.concurrency(facts));
        Some(Pace { at_once, per_minute, per_hour })
    }

    fn title(&self) -> String {
        if let Some(entry) = self.entry {
            return entry.title.clone();
        }
        let mut title = self.name.as_str().replace(['-', '_'], " ");
        if let Some(first) = title.get_mut(0..1) {
            first.make_ascii_uppercase();
        }
        title
    }

    fn concurrency(&self, facts: &ProtocolFacts) -> u32 {
        if facts.instant {
            return MAX_CONCURRENCY;
        }
        if let Some(most) = self.entry_of(facts).and_then(|entry| entry.concurrency) {
            return most;
        }
        match (facts.local, facts.medium) {
            (false, _) => REMOTE_CONCURRENCY,
            (true, Some(_)) => self.queue_concurrency,
            (true, None) => PROGRAM_CONCURRENCY,
        }
    }
}

/// Takes keys that were written anew since the configuration was read; whose they are. A provider with another key has
/// another fingerprint, which opens the way again where its vendor had refused the old one.
pub(super) fn refresh_keys(providers: &mut [Provider], secrets: &mut Secrets) -> Vec<ProviderName> {
    let changed = secrets.refresh();
    for provider in providers.iter_mut().filter(|provider| changed.contains(&provider.name)) {
        provider.key = Key::Present;
        let (base_url, model) = (provider.base_url.as_deref(), provider.model.as_deref());
        provider.fingerprint = fingerprint(&provider.protocol, base_url, model, secrets.key(&provider.name));
    }
    changed
}

fn fingerprint(
    protocol: &str,
    base_url: Option<&str>,
    model: Option<&str>,
    key: Option<&SecretString>,
) -> String {
    secrets::fingerprint([Some(protocol), base_url, model], key)
}

/// Whether a repeat of a call is free, where the protocol cannot know: it leaves that to the description.
fn repeat(table: &mut Table<'_>, facts: &ProtocolFacts) -> Option<Repeat> {
    const KEY: &str = "repeat";
    if !facts.options.iter().any(|option| option == KEY) {
        return None;
    }
    table.take(KEY).and_then(|item| item.choice(&[("free", Repeat::Free), ("paid", Repeat::Paid)]))
}

/// Dollars to micro-dollars.
fn price(item: Item<'_>) -> Option<i64> {
    let dollars = item.amount(MAX_PRICE_DOLLARS)?;
    // Through text, because a float has no checked way into an integer.
    format!("{:.0}", dollars * 1_000_000.0).parse().ok()
}
