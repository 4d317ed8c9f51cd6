//! `plan`: what a run would do now, without doing it.

use std::collections::HashMap;

use serde_json::json;

use super::remembered::Remembered;
use super::said::{STRONG, Said, paint, table};
use super::session::Session;
use super::typed;
use crate::config::Config;
use crate::domain::asset::{Asset, OnExhausted};
use crate::domain::breaker::ProviderHealth;
use crate::domain::name::ProviderName;
use crate::domain::plan::{Circumstances, Decision, Known, Override, Plan, PlannedLink, draw};
use crate::domain::time::{Timestamp, after, spoken, to_text};
use crate::domain::walk::HEALS_SOON;
use crate::providers::usual_reservation;

/// Show which providers a run would call now, and which it would skip and why; calls nobody
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop plan hero-image
  backstop plan hero-image --override lummi")]
pub(super) struct Args {
    /// The asset, in any spelling
    asset: String,
    /// Plan a job with this one-run override
    #[arg(long = "override", value_name = "PROVIDER")]
    wish: Option<String>,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let config = session.config()?;
    let asset = typed::asset(&config, &args.asset)?;
    let wish = args.wish.as_deref().map(|wish| typed::wish(&config, asset, wish)).transpose()?;
    let now = (session.clock)();
    let remembered = match session.if_there(&config).await? {
        Some(opened) => Remembered::read(&opened, now).await?,
        None => Remembered::default(),
    };
    let plan = plan(&config, asset, wish.as_ref(), &remembered, now);
    let title = match &wish {
        None => format!("The next run of {}:", asset.name),
        Some(Override::Manual) => format!("A run of {} with the override manual:", asset.name),
        Some(Override::Provider(name)) => format!("A run of {} with the override {name}:", asset.name),
    };
    let mut text = format!("{}\n{}\n{}", paint(STRONG, title), rows(&plan), ending(asset, &plan, now));
    if let Some(window) = &asset.window {
        text.push_str(&format!("\nJobs start only in minutes of {} ({}).", window.cron, window.zone));
    }
    Ok(Said::fine(text, as_json(asset, &plan)))
}

/// The plan of the next run, by what is configured and remembered.
pub(super) fn plan(
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
pub(super) fn decision(link: &PlannedLink) -> (&'static str, String) {
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

fn rows(plan: &Plan) -> String {
    if plan.links.is_empty() {
        return String::new();
    }
    let row = |(at, link): (usize, &PlannedLink)| {
        let (word, why) = decision(link);
        [(at + 1).to_string(), link.provider.to_string(), word.to_owned(), why]
    };
    table(&["#", "PROVIDER", "", "WHY"], plan.links.iter().enumerate().map(row))
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
