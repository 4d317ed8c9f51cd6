//! What a run would do now, without doing it.

use std::collections::HashMap;

use serde_json::json;

use super::{Outlook, Remembered};
use crate::config::Config;
use crate::domain::asset::{Asset, OnExhausted};
use crate::domain::breaker::ProviderHealth;
use crate::domain::name::ProviderName;
use crate::domain::plan::{Circumstances, Decision, Known, Override, Plan, PlannedLink, draw};
use crate::domain::time::{Timestamp, after, spoken, to_text};
use crate::domain::walk::HEALS_SOON;
use crate::providers::usual_reservation;

/// The plan of the next run, by what is configured and remembered.
#[must_use]
pub fn plan(
    config: &Config,
    asset: &Asset,
    wish: Option<&Override>,
    remembered: &Remembered,
    now: Timestamp,
) -> Plan {
    let health: HashMap<&ProviderName, &ProviderHealth> =
        remembered.health.iter().map(|one| (&one.provider, one)).collect();
    let circumstances = Circumstances { medium: asset.medium, now, refused_before: &[] };
    draw(&asset.chain, wish, circumstances, |name| {
        let provider = config.providers.iter().find(|provider| provider.name == *name);
        let reservation = provider.and_then(|provider| usual_reservation(provider, asset));
        let used_up = reservation.and_then(|call| remembered.spending.used_up(&call, name, now));
        let at_limit = remembered.at_limit(name, now);
        Known { provider, health: health.get(name).copied(), used_up, at_limit }
    })
}

/// Whether a link is called, and what there is to say about it.
#[must_use]
pub fn decision(link: &PlannedLink) -> (&'static str, String) {
    match &link.decision {
        Decision::Skip(reason) => ("skip", reason.to_string()),
        Decision::Call(rules) => {
            let mut why = format!("at most {}", spoken(rules.timeout));
            match rules.retries {
                0 => {}
                1 => why.push_str(", 1 repeat"),
                more => why.push_str(&format!(", {more} repeats")),
            }
            for (window, most) in rules.pace.into_iter().flat_map(|pace| pace.windows()) {
                why.push_str(&format!(", {most} {window}"));
            }
            if let Some(limit) = rules.at_limit {
                why.push_str(&format!("; {limit}: its jobs wait in the queue"));
            }
            if rules.probe {
                why.push_str("; this call is the probe of its breaker");
            }
            if rules.forced {
                why.push_str("; the override gets past its breaker and its pause");
            }
            ("call", why)
        }
    }
}

impl Outlook {
    /// What becomes of the job if nobody delivers.
    #[must_use]
    pub fn ending(&self) -> String {
        ending(&self.asset, &self.plan, self.now)
    }

    /// When jobs of the asset may start, where that is not always.
    #[must_use]
    pub fn window(&self) -> Option<String> {
        let window = self.asset.window.as_ref()?;
        Some(format!("Jobs start only in minutes of {} ({}).", window.cron, window.zone))
    }

    /// For programs.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        as_json(&self.asset, &self.plan)
    }
}

fn ending(asset: &Asset, plan: &Plan, now: Timestamp) -> String {
    let nobody = plan.links.iter().all(|link| matches!(link.decision, Decision::Skip(_)));
    let heals = |link: &PlannedLink| match &link.decision {
        Decision::Skip(reason) => reason.heals_at(now).filter(|at| *at <= after(now, HEALS_SOON)),
        Decision::Call(_) => None,
    };
    if nobody && let Some(at) = plan.links.iter().filter_map(heals).min() {
        return format!("Nobody can be called now; the job comes back at {}.", to_text(at));
    }
    match (asset.on_exhausted, plan.straight_to_person) {
        (_, true) => "Nobody is called; a person is asked.".to_owned(),
        (OnExhausted::Manual, false) if nobody => "Nobody can be called; a person is asked.".to_owned(),
        (OnExhausted::Fail, false) if nobody => "Nobody can be called; the job fails.".to_owned(),
        (OnExhausted::Manual, false) => "If none of them delivers, a person is asked.".to_owned(),
        (OnExhausted::Fail, false) => "If none of them delivers, the job fails.".to_owned(),
    }
}

fn as_json(asset: &Asset, plan: &Plan) -> serde_json::Value {
    let link = |(at, link): (usize, &PlannedLink)| {
        let (decision, why) = decision(link);
        json!({ "position": at, "provider": link.provider, "title": link.title, "decision": decision, "why": why })
    };
    json!({
        "asset": asset.name,
        "chain": asset.chain,
        "links": plan.links.iter().enumerate().map(link).collect::<Vec<_>>(),
        "straightToPerson": plan.straight_to_person,
    })
}
