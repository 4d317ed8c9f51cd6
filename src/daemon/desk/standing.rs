//! How assets and providers stand.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::money::{Money, Remembered};
use crate::config::Config;
use crate::domain::asset::Asset;
use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::{Budget, Reservation, Scope, Spending};
use crate::domain::chain::Chain;
use crate::domain::health::AssetHealth;
use crate::domain::pace::{AtLimit, Usage, Window};
use crate::domain::plan::{Circumstances, Decision, Known, draw};
use crate::domain::provider::{Key, Provider};
use crate::domain::time::{Timestamp, to_text};
use crate::providers::usual_reservation;
use crate::store::AssetCount;

/// How every provider of the configuration stands, by name.
#[must_use]
pub fn standings<'a>(config: &'a Config, remembered: &'a Remembered, now: Timestamp) -> Vec<Standing<'a>> {
    config.providers.iter().map(|provider| Standing::of(provider, config, remembered, now)).collect()
}

/// As [`standings`], without those that nobody uses and that have no key, unless `all` are wanted.
#[must_use]
pub fn listed<'a>(
    config: &'a Config,
    remembered: &'a Remembered,
    now: Timestamp,
    all: bool,
) -> Vec<Standing<'a>> {
    let mut listed = standings(config, remembered, now);
    listed.retain(|one| all || one.is_used(config) || one.provider.key == Key::Present);
    listed
}

/// How one provider stands.
pub struct Standing<'a> {
    /// Who.
    pub provider: &'a Provider,
    health: Option<&'a ProviderHealth>,
    money: Money<'a>,
    usage: Option<&'a Usage>,
    at_limit: Option<AtLimit>,
    /// Why it would not be called now; `None` when it would.
    shut: Option<String>,
}

impl<'a> Standing<'a> {
    /// How this provider stands.
    #[must_use]
    pub fn of(provider: &'a Provider, config: &Config, remembered: &'a Remembered, now: Timestamp) -> Self {
        let health = remembered.health.iter().find(|health| health.provider == provider.name);
        let spending = &remembered.spending;
        // Its own budget alone: that of an asset keeps it from that asset only, which `plan` tells.
        let user = config.assets.iter().find(|asset| asset.chain.providers().contains(&provider.name));
        let call = user.and_then(|asset| usual_reservation(provider, asset));
        let call = call.map(|call| Reservation { asset_budget: Budget::default(), ..call });
        let used_up = call.and_then(|call| spending.used_up(&call, &provider.name, now));
        // Asked of the plan, so that this list and a run never disagree.
        let circumstances = Circumstances { medium: provider.medium, now, refused_before: &[] };
        let shut = Chain::parse(&[provider.name.as_str()]).ok().and_then(|chain| {
            let plan = draw(&chain, None, circumstances, |_| Known {
                provider: Some(provider),
                health,
                used_up,
                at_limit: None,
            });
            plan.links.into_iter().find_map(|link| match link.decision {
                Decision::Skip(reason) => Some(reason.to_string()),
                Decision::Call(_) => None,
            })
        });
        let (name, budget) = (provider.name.as_str(), provider.budget);
        let money = Money { scope: Scope::Provider, name, budget, spending };
        let (usage, at_limit) = (remembered.usage(&provider.name), remembered.at_limit(&provider.name, now));
        Self { provider, health, money, usage, at_limit, shut }
    }

    /// `$0.20 of $5.00 today`.
    #[must_use]
    pub fn spent(&self) -> String {
        self.money.said()
    }

    /// What it costs.
    #[must_use]
    pub fn money(&self) -> &Money<'a> {
        &self.money
    }

    /// Whether it stands in some asset's chain.
    #[must_use]
    pub fn is_used(&self, config: &Config) -> bool {
        config.assets.iter().any(|asset| asset.chain.providers().contains(&self.provider.name))
    }

    /// The assets whose chains name it.
    #[must_use]
    pub fn used_by(&self, config: &Config) -> String {
        let mine = config.assets.iter().filter(|asset| asset.chain.providers().contains(&self.provider.name));
        mine.map(|asset| asset.name.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// `2 of 10 a minute`; nothing where its calls are not counted by time.
    #[must_use]
    pub fn called(&self) -> String {
        let windows = self.provider.pace.into_iter().flat_map(|pace| pace.windows());
        let each = windows.map(|(window, most)| format!("{} of {most} {window}", self.begun(window)));
        each.collect::<Vec<_>>().join(", ")
    }

    fn begun(&self, window: Window) -> u32 {
        let mut begun = self.usage.into_iter().flat_map(|usage| &usage.begun);
        begun.find(|begun| begun.window == window).map_or(0, |begun| begun.count)
    }

    fn calls_json(&self) -> Value {
        let Some(pace) = self.provider.pace else { return Value::Null };
        json!({
            "atOnce": pace.at_once,
            "underWay": self.usage.map_or(0, |usage| usage.under_way),
            "perMinute": pace.per_minute,
            "inThisMinute": pace.per_minute.map(|_| self.begun(Window::Minute)),
            "perHour": pace.per_hour,
            "inThisHour": pace.per_hour.map(|_| self.begun(Window::Hour)),
            "until": self.at_limit.map(|limit| to_text(limit.until)),
        })
    }

    /// `ready`, or why it would not be called now.
    #[must_use]
    pub fn state(&self) -> String {
        if let (None, Some(limit)) = (&self.shut, self.at_limit) {
            return format!("ready, {limit}");
        }
        let failures = self.health.map_or(0, |health| health.consecutive_failures);
        match (&self.shut, failures) {
            (Some(reason), _) => reason.clone(),
            (None, 0) => "ready".to_owned(),
            (None, 1) => "ready, 1 failure in a row".to_owned(),
            (None, more) => format!("ready, {more} failures in a row"),
        }
    }

    /// Its last failure that says something about it: when, and what.
    #[must_use]
    pub fn last_error(&self) -> Option<(Timestamp, &str)> {
        let health = self.health?;
        Some((health.last_failure_at?, health.last_error.as_deref()?))
    }

    /// What is remembered of it, where it was ever called.
    #[must_use]
    pub fn health(&self) -> Option<&ProviderHealth> {
        self.health
    }

    /// Why it would not be called now; `None` when it would.
    #[must_use]
    pub fn shut(&self) -> Option<&str> {
        self.shut.as_deref()
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> Value {
        let health = self.health;
        let at = |pick: fn(&ProviderHealth) -> Option<Timestamp>| health.and_then(pick).map(to_text);
        json!({
            "provider": self.provider.name,
            "title": self.provider.title,
            "makes": self.provider.medium,
            "protocol": self.provider.protocol,
            "model": self.provider.model,
            "callable": self.shut.is_none(),
            "why": self.shut,
            "state": health.map_or("closed", |health| health.state.as_str()),
            "consecutiveFailures": health.map_or(0, |health| health.consecutive_failures),
            "lastSuccessAt": at(|health| health.last_success_at),
            "lastFailureAt": at(|health| health.last_failure_at),
            "lastError": health.and_then(|health| health.last_error.as_deref()),
            "lastClass": health.and_then(|health| health.last_class.as_deref()),
            "openUntil": at(|health| health.open_until),
            "coolUntil": at(|health| health.cool_until),
            "pausedUntil": at(|health| health.paused_until),
            "calls": self.calls_json(),
            "spending": self.money.json(),
        })
    }
}
/// How one asset is doing.
pub struct Doing<'a> {
    /// Which.
    pub asset: &'a Asset,
    /// What is remembered of it.
    pub health: AssetHealth,
    /// How many of its jobs have each status.
    pub counts: BTreeMap<&'a str, i64>,
    /// How many of the pending ones are due.
    pub due: i64,
    /// What it costs.
    pub money: Money<'a>,
}

impl<'a> Doing<'a> {
    /// How this asset is doing.
    #[must_use]
    pub fn of(
        asset: &'a Asset,
        remembered: &[AssetHealth],
        counts: &'a [AssetCount],
        spending: &'a Spending,
    ) -> Self {
        let health = remembered.iter().find(|health| health.asset == asset.name).cloned();
        let mine = || counts.iter().filter(|count| count.asset == asset.name.as_str());
        Self {
            asset,
            health: health.unwrap_or_else(|| AssetHealth::unknown(asset.name.clone())),
            counts: mine().map(|count| (count.status.as_str(), count.count)).collect(),
            due: mine().map(|count| count.due).sum(),
            money: Money { scope: Scope::Asset, name: asset.name.as_str(), budget: asset.budget, spending },
        }
    }

    /// "Primary provider last failed 3 days ago. Last run used fallback: lummi."
    #[must_use]
    pub fn sentence(&self, now: Timestamp) -> String {
        self.health.sentence(self.asset.chain.primary(), now)
    }

    /// For programs.
    #[must_use]
    pub fn json(&self, now: Timestamp) -> Value {
        let health = &self.health;
        json!({
            "asset": self.asset.name,
            "sentence": self.sentence(now),
            "primary": self.asset.chain.primary(),
            "lastSuccessAt": health.last_success_at.map(to_text),
            "lastFailureAt": health.last_failure_at.map(to_text),
            "lastError": health.last_error,
            "lastResolvedSource": health.last_resolved_source,
            "lastFallbackUsed": health.last_fallback_used,
            "primaryLastFailureAt": health.primary_last_failure_at.map(to_text),
            "primaryLastError": health.primary_last_error,
            "jobs": self.counts,
            "due": self.due,
            "spending": self.money.json(),
        })
    }
}
