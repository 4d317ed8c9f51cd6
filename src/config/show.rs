//! The configuration in force, for `backstop check`: everything that counts, and of keys only where they are.

use std::fmt;

use serde_json::{Map, Value, json};

use crate::domain::accept::Acceptance;
use crate::domain::asset::{Asset, OnExhausted};
use crate::domain::budget::Budget;
use crate::domain::provider::{Key, OnUnknown, Provider, Repeat};

use super::reader::spell;
use super::{Config, Database, Recurring, Token};

impl Config {
    /// Everything in force as JSON, in the shape of the file. Keys are shown as `env LUMMI_API_KEY (set)`. Of the
    /// providers, all that this configuration knows, used or not.
    #[must_use]
    pub fn redacted_json(&self) -> Value {
        let Database::Sqlite { path } = &self.queue.database;
        let assets = self.assets.iter().map(|asset| (asset.name.to_string(), self.asset(asset)));
        let providers = self.providers.iter().map(|one| (one.name.to_string(), self.provider(one)));
        compact(json!({
            "read_from": {
                "file": self.source.file.as_ref().map(|path| path.display().to_string()),
                "environment": self.source.variables,
                "flags": self.source.flags,
            },
            "queue": {
                "database": format!("sqlite:{}", path.display()),
                "schedule": self.queue.schedule,
                "concurrency": self.queue.concurrency,
                "lease": spell(self.queue.lease),
                "grace": spell(self.queue.grace),
            },
            "web": {
                "listen": self.web.listen.map_or("off".to_owned(), |address| address.to_string()),
                "token": token(&self.web.token),
                "read_token": token(&self.web.read_token),
                "open_reading": self.web.open_reading,
                "hosts": self.web.hosts,
            },
            "vault": {
                "url": format!("file:{}", self.vault.folder.display()),
                "public_url": self.vault.public_url.as_ref().map(url::Url::as_str),
            },
            "retention": { "done": spell(self.retention.done) },
            "log": { "filter": self.log.filter, "format": self.log.format.as_str() },
            "on_manual": self.on_manual.as_ref().map(|command| json!({ "command": command })),
            "assets": assets.collect::<Map<_, _>>(),
            "providers": providers.collect::<Map<_, _>>(),
            "recurring": self.recurring.iter().map(recurring).collect::<Vec<_>>(),
        }))
    }

    fn asset(&self, asset: &Asset) -> Value {
        json!({
            "medium": asset.medium.as_str(),
            "chain": asset.chain.labels(),
            "prompt": asset.prompt,
            "accept": accept(&asset.accept),
            "max_runs": asset.max_runs,
            "give_up_after": spell(asset.give_up_after),
            "deadline": spell(asset.deadline),
            "on_exhausted": match asset.on_exhausted {
                OnExhausted::Manual => "manual",
                OnExhausted::Fail => "fail",
            },
            "window": asset.window.as_ref().map_or(
                json!("any"),
                |window| json!({ "cron": window.cron, "zone": window.zone }),
            ),
            "concurrency": asset.concurrency,
            "budget": budget(asset.budget),
        })
    }

    fn provider(&self, provider: &Provider) -> Value {
        let api_key = match &provider.key {
            Key::NotNeeded => "not needed".to_owned(),
            Key::Present => format!("{} (set)", self.secrets.found_in(&provider.name).unwrap_or("somewhere")),
            Key::Missing { looked_in } => format!("missing: {looked_in}"),
        };
        let retired = provider.retired.as_ref().map(|end| format!("{}: {}", end.on, end.advice));
        let mut shown = json!({
            "title": provider.title,
            "protocol": provider.protocol,
            "supported": provider.supported,
            "medium": provider.medium.as_str(),
            "model": provider.model,
            "base_url": provider.base_url,
            "api_key": api_key,
            "retired": retired,
            "timeout": spell(provider.timeout),
            "retries": provider.retries,
            "concurrency": provider.concurrency,
            "calls_per_minute": provider.pace.and_then(|pace| pace.per_minute),
            "calls_per_hour": provider.pace.and_then(|pace| pace.per_hour),
            "trip_after": provider.trip_after,
            "on_unknown": match provider.on_unknown {
                OnUnknown::Next => "next",
                OnUnknown::Retry => "retry",
                OnUnknown::Manual => "manual",
            },
            "repeat": match provider.repeat {
                Repeat::Free => "free",
                Repeat::Paid => "paid",
            },
            "price": dollars(provider.price_micros),
            "budget": budget(provider.budget),
            "fingerprint": provider.fingerprint,
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.extend(provider.options.clone());
        }
        shown
    }
}

/// The configuration in force as TOML, with those providers only that some chain names.
impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.redacted_json();
        let used = |label: &str| {
            let mut links = self.assets.iter().flat_map(|asset| asset.chain.providers());
            links.any(|link| link.as_str() == label)
        };
        if let Some(providers) = shown.get_mut("providers").and_then(Value::as_object_mut) {
            providers.retain(|label, _| used(label));
        }
        let text = toml::to_string(&shown).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

fn token(token: &Token) -> Option<String> {
    match token {
        Token::Unset => None,
        Token::Found { found_in, .. } => Some(format!("{found_in} (set)")),
        Token::Missing { looked_in } => Some(format!("missing: {looked_in}")),
    }
}

fn accept(rules: &Acceptance) -> Value {
    json!({
        "min_width": rules.min_width,
        "min_height": rules.min_height,
        "aspect": rules.aspect.map(|aspect| aspect.to_string()),
        "min_bytes": rules.min_bytes,
        "min_duration": rules.min_duration.map(spell),
        "min_chars": rules.min_chars,
        "max_chars": rules.max_chars,
        "forbid": rules.forbid,
        "json": rules.json.then_some(true),
    })
}

fn recurring(entry: &Recurring) -> Value {
    json!({
        "name": entry.name,
        "cron": entry.cron,
        "zone": entry.zone,
        "asset": entry.asset.as_str(),
        "slug": entry.slug,
        "prompt": entry.prompt,
        "input": entry.input,
        "priority": entry.priority,
        "missed": entry.missed.as_str(),
    })
}

fn budget(budget: Budget) -> Value {
    json!({ "day": budget.day_micros.map(dollars), "month": budget.month_micros.map(dollars) })
}

/// Micro-dollars as a number of dollars: exact, because it is read from decimal text.
fn dollars(micros: i64) -> Value {
    let text = format!("{}.{:06}", micros / 1_000_000, micros.unsigned_abs() % 1_000_000);
    text.parse::<f64>().map_or(Value::Null, Value::from)
}

/// Leaves out what is null, and empty lists and tables: TOML has no word for the one and needs none for the rest.
fn compact(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().map(|(key, value)| (key, compact(value)));
            Value::Object(kept.filter(|(_, value)| !is_blank(value)).collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(compact).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

fn is_blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}
