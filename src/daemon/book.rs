//! The configuration, compiled for use: templates, checkers, schedules, and who may be called how often at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DurationRound, SubsecRound, TimeDelta};
use chrono_tz::Tz;
use croner::Cron;
use tokio::sync::Semaphore;

use crate::config::{Config, Queue, Recurring, cron};
use crate::domain::asset::{Asset, Window};
use crate::domain::breaker::ProviderHealth;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::pace::AtLimit;
use crate::domain::plan::Known;
use crate::domain::provider::Provider;
use crate::domain::time::Timestamp;
use crate::media::Checker;
use crate::providers::Generate;
use crate::providers::prompt::Template;
use crate::vault::Vault;

/// The configuration, compiled for use.
pub struct Book {
    /// Every asset.
    pub assets: BTreeMap<AssetName, Arc<AssetPage>>,
    /// Every provider.
    pub providers: HashMap<ProviderName, ProviderPage>,
    /// How providers are called.
    pub generate: Arc<dyn Generate>,
    /// Where files are kept.
    pub vault: Arc<dyn Vault>,
    /// The queue's settings.
    pub queue: Queue,
    /// How long settled jobs are kept.
    pub keep_done: Duration,
    /// Who is told of jobs that need a person.
    pub on_manual: Option<Vec<String>>,
    /// What is enqueued again and again.
    pub recurring: Vec<RecurringPage>,
}

/// One asset, compiled.
pub struct AssetPage {
    /// As configured.
    pub asset: Asset,
    /// The prompt of jobs that bring none.
    pub prompt: Template,
    /// The acceptance rules.
    pub checker: Checker,
    window: Option<Calendar>,
}

/// One provider, with its calls in flight counted.
pub struct ProviderPage {
    /// As configured.
    pub provider: Provider,
    /// One permit for each call that may be in flight.
    pub permits: Arc<Semaphore>,
}

/// One recurring job, compiled.
pub struct RecurringPage {
    /// As configured.
    pub recurring: Recurring,
    /// When it ticks.
    pub calendar: Calendar,
    /// The slug's template.
    pub slug: Template,
}

/// A cron expression in a zone.
pub struct Calendar {
    cron: Cron,
    zone: Tz,
}

impl Book {
    /// Compiles a configuration.
    ///
    /// # Errors
    /// A sentence naming what does not compile.
    pub fn new(config: &Config, generate: Arc<dyn Generate>, vault: Arc<dyn Vault>) -> Result<Self, String> {
        let mut assets = BTreeMap::new();
        for asset in &config.assets {
            let page = AssetPage::new(asset).map_err(|why| format!("assets.{}: {why}", asset.name))?;
            assets.insert(asset.name.clone(), Arc::new(page));
        }
        let recurring = config
            .recurring
            .iter()
            .map(|recurring| {
                RecurringPage::new(recurring).map_err(|why| format!("recurring.{}: {why}", recurring.name))
            })
            .collect::<Result<_, _>>()?;
        let providers = config.providers.iter().map(|provider| {
            let permits = Arc::new(Semaphore::new(provider.concurrency as usize));
            (provider.name.clone(), ProviderPage { provider: provider.clone(), permits })
        });
        Ok(Self {
            assets,
            providers: providers.collect(),
            generate,
            vault,
            queue: config.queue.clone(),
            keep_done: config.retention.done,
            on_manual: config.on_manual.clone(),
            recurring,
        })
    }

    /// This book with the calls counted that began under an older one: a reload must not let a provider be called twice
    /// as often at once. Where its bound has changed, those calls are not in the new count.
    #[must_use]
    pub fn counting_with(mut self, older: &Self) -> Self {
        for (name, page) in &mut self.providers {
            let same = |old: &&ProviderPage| old.provider.concurrency == page.provider.concurrency;
            if let Some(old) = older.providers.get(name).filter(same) {
                page.permits = Arc::clone(&old.permits);
            }
        }
        self
    }

    /// What planning must know of a provider.
    #[must_use]
    pub fn known<'a>(
        &'a self,
        name: &ProviderName,
        health: &'a HashMap<ProviderName, ProviderHealth>,
        at_limit: Option<AtLimit>,
    ) -> Known<'a> {
        Known {
            provider: self.providers.get(name).map(|page| &page.provider),
            health: health.get(name),
            used_up: None,
            at_limit,
        }
    }
}

impl AssetPage {
    fn new(asset: &Asset) -> Result<Self, String> {
        let window =
            asset.window.as_ref().map(|Window { cron, zone }| Calendar::new(cron, zone)).transpose()?;
        Ok(Self {
            prompt: Template::compile(&asset.prompt)?,
            checker: Checker::new(asset.medium, &asset.accept)?,
            asset: asset.clone(),
            window,
        })
    }

    /// Whether jobs of this asset may start now.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.window.as_ref().is_none_or(|window| window.names_minute(now))
    }
}

impl RecurringPage {
    fn new(recurring: &Recurring) -> Result<Self, String> {
        Ok(Self {
            calendar: Calendar::new(&recurring.cron, &recurring.zone)?,
            slug: Template::compile(&recurring.slug)?,
            recurring: recurring.clone(),
        })
    }
}

impl Calendar {
    /// Reads an expression and a zone.
    ///
    /// # Errors
    /// A sentence naming the part that is none.
    pub fn new(expression: &str, zone: &str) -> Result<Self, String> {
        let zone = zone.parse().map_err(|_| format!("\"{zone}\" is no time zone"))?;
        Ok(Self { cron: cron::parse(expression)?, zone })
    }

    /// The first tick after `at`; `None` when there is none any more.
    #[must_use]
    pub fn next_after(&self, at: Timestamp) -> Option<Timestamp> {
        // Ticks are whole seconds. From within one, croner would carry its fraction into the next tick.
        let whole = at.trunc_subsecs(0).with_timezone(&self.zone);
        let next = self.cron.find_next_occurrence(&whole, false).ok()?;
        Some(next.to_utc())
    }

    /// The date of an instant in the zone, as slugs use it: `2026-11-23`.
    #[must_use]
    pub fn date_of(&self, at: Timestamp) -> String {
        at.with_timezone(&self.zone).date_naive().to_string()
    }

    /// The time of day in the zone: `09:00`.
    #[must_use]
    pub fn time_of(&self, at: Timestamp) -> String {
        at.with_timezone(&self.zone).format("%H:%M").to_string()
    }

    /// Whether the minute of an instant is one of its own, as windows have it.
    #[must_use]
    pub fn names_minute(&self, now: Timestamp) -> bool {
        let local = now.with_timezone(&self.zone);
        let minute = local.duration_trunc(TimeDelta::minutes(1)).unwrap_or(local);
        self.cron.is_time_matching(&minute).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::{from_text, to_text};

    #[test]
    fn ticks_are_whole_seconds_wherever_the_search_begins() {
        let calendar = Calendar::new("0 9 * * MON", "Europe/Zurich").expect("valid");
        let check = |at: &str, expected: &str| {
            let next = calendar.next_after(from_text(at).expect("valid")).map(to_text);
            assert_eq!(next.as_deref(), Some(expected), "{at}");
        };
        check("2026-11-20T12:00:00.000Z", "2026-11-23T08:00:00.000Z");
        check("2026-11-23T07:59:59.802Z", "2026-11-23T08:00:00.000Z");
        check("2026-11-23T08:00:00.000Z", "2026-11-30T08:00:00.000Z");
        check("2026-11-23T08:00:00.802Z", "2026-11-30T08:00:00.000Z");
    }
}
