//! `providers`: who can be called, and the operator's hand on them.

use clap::Subcommand;
use serde_json::{Value, json};

use super::budgets::Money;
use super::remembered::Remembered;
use super::said::{Said, preview, table, usage};
use super::session::Session;
use super::wire::Opened;
use super::{jobs, typed};
use crate::config::Config;
use crate::domain::breaker::ProviderHealth;
use crate::domain::budget::{Budget, Reservation, Scope};
use crate::domain::chain::Chain;
use crate::domain::pace::{AtLimit, Usage, Window};
use crate::domain::plan::{Circumstances, Decision, Known, draw};
use crate::domain::provider::{Key, Provider};
use crate::domain::time::{Timestamp, after, to_text};
use crate::providers::usual_reservation;
use crate::store::Store;

/// List providers; pause, resume or reset one
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  backstop providers                        those in use, or with a key
  backstop providers --all
  backstop providers pause lummi --for 2h
  backstop providers resume lummi
  backstop providers reset gemini-3.1-flash-image"
)]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Every provider the catalog knows
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List them
    #[command(after_help = "Example:\n  backstop providers list --all")]
    List {
        /// Every provider the catalog knows
        #[arg(long)]
        all: bool,
    },
    /// Call a provider no more until a time
    #[command(group = clap::ArgGroup::new("end").required(true), after_help = "Examples:
  backstop providers pause lummi --for 2h
  backstop providers pause lummi --until 2026-12-31T18:00:00Z")]
    Pause {
        /// The provider
        name: String,
        /// For how long
        #[arg(long = "for", value_name = "TIME", group = "end")]
        length: Option<String>,
        /// Until when
        #[arg(long, value_name = "TIME", group = "end")]
        until: Option<String>,
    },
    /// End a pause
    #[command(after_help = "Example:\n  backstop providers resume lummi")]
    Resume {
        /// The provider
        name: String,
    },
    /// Close a provider's breaker and end its pause
    #[command(after_help = "Example:\n  backstop providers reset lummi")]
    Reset {
        /// The provider
        name: String,
    },
}

pub(super) async fn run(session: &Session, args: Args) -> anyhow::Result<Said> {
    match args.verb {
        None => list(session, args.all).await,
        Some(Verb::List { all }) => list(session, all).await,
        Some(Verb::Pause { name, length, until }) => {
            let now = (session.clock)();
            let until = match (length, until) {
                (Some(length), _) => after(now, typed::span("--for", &length)?),
                (None, Some(until)) => typed::instant("--until", &until)?,
                (None, None) => return Err(usage("say for how long: --for 2h, or --until TIME")),
            };
            if until <= now {
                return Err(usage(format!("{} is past; a pause ends in the future", to_text(until))));
            }
            let opened = session.open().await?;
            let provider = typed::provider(&opened.config, &name)?;
            opened.store.pause(&provider.name, Some(until), now).await?;
            report(&opened, provider, format!("{} is paused until {}.", provider.name, to_text(until))).await
        }
        Some(Verb::Resume { name }) => {
            let opened = session.open().await?;
            let provider = typed::provider(&opened.config, &name)?;
            opened.store.pause(&provider.name, None, (session.clock)()).await?;
            report(&opened, provider, format!("{} is paused no more.", provider.name)).await
        }
        Some(Verb::Reset { name }) => {
            let opened = session.open().await?;
            let provider = typed::provider(&opened.config, &name)?;
            opened.store.reset(&provider.name, (session.clock)()).await?;
            report(&opened, provider, format!("{} starts afresh: its breaker is closed.", provider.name))
                .await
        }
    }
}

async fn report(opened: &Opened, provider: &Provider, sentence: String) -> anyhow::Result<Said> {
    let now = (opened.clock)();
    let remembered = Remembered::read(opened, now).await?;
    let one = Standing::of(provider, &opened.config, &remembered, now);
    Ok(Said::fine(sentence, one.json()))
}

async fn list(session: &Session, all: bool) -> anyhow::Result<Said> {
    let config = session.config()?;
    let now = (session.clock)();
    let remembered = match session.if_there(&config).await? {
        Some(opened) => Remembered::read(&opened, now).await?,
        None => Remembered::default(),
    };
    let mut listed = standings(&config, &remembered, now);
    listed.retain(|one| all || one.is_used(&config) || one.provider.key == Key::Present);
    let costs = listed.iter().any(|one| !one.spent().is_empty());
    let counts = listed.iter().any(|one| !one.called().is_empty());
    let row = |one: &Standing<'_>| {
        let makes = one.provider.medium.to_string();
        let mut row = vec![one.provider.name.to_string(), makes, one.state(), one.used_by(&config)];
        row.extend(counts.then(|| one.called()));
        row.extend(costs.then(|| one.spent()));
        row.push(one.last_error(now));
        row
    };
    let mut header = vec!["PROVIDER", "MAKES", "STATE", "USED BY"];
    header.extend(counts.then_some("CALLS"));
    header.extend(costs.then_some("SPENT"));
    header.push("LAST ERROR");
    let text = table(&header, listed.iter().map(row));
    Ok(Said::fine(text, json!(listed.iter().map(Standing::json).collect::<Vec<_>>())))
}

/// How every provider of the configuration stands, by name.
pub(super) fn standings<'a>(
    config: &'a Config,
    remembered: &'a Remembered,
    now: Timestamp,
) -> Vec<Standing<'a>> {
    config.providers.iter().map(|provider| Standing::of(provider, config, remembered, now)).collect()
}

/// How one provider stands.
pub(super) struct Standing<'a> {
    /// Who.
    pub(super) provider: &'a Provider,
    health: Option<&'a ProviderHealth>,
    money: Money<'a>,
    usage: Option<&'a Usage>,
    at_limit: Option<AtLimit>,
    /// Why it would not be called now; `None` when it would.
    shut: Option<String>,
}

impl<'a> Standing<'a> {
    fn of(provider: &'a Provider, config: &Config, remembered: &'a Remembered, now: Timestamp) -> Self {
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
    pub(super) fn spent(&self) -> String {
        self.money.said()
    }

    /// Whether it stands in some asset's chain.
    pub(super) fn is_used(&self, config: &Config) -> bool {
        config.assets.iter().any(|asset| asset.chain.providers().contains(&self.provider.name))
    }

    fn used_by(&self, config: &Config) -> String {
        let mine = config.assets.iter().filter(|asset| asset.chain.providers().contains(&self.provider.name));
        mine.map(|asset| asset.name.to_string()).collect::<Vec<_>>().join(", ")
    }

    /// `2 of 10 a minute`; nothing where its calls are not counted by time.
    fn called(&self) -> String {
        let windows = self.provider.pace.into_iter().flat_map(|pace| pace.windows());
        let each = windows.map(|(window, most)| format!("{} of {most} {window}", self.begun(window)));
        each.collect::<Vec<_>>().join(", ")
    }

    fn begun(&self, window: Window) -> u32 {
        let mut begun = self.usage.into_iter().flat_map(|usage| &usage.begun);
        begun.find(|begun| begun.window == window).map_or(0, |begun| begun.count)
    }

    fn pace_json(&self) -> Value {
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
    pub(super) fn state(&self) -> String {
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

    /// `3 minutes ago: HTTP 503`.
    pub(super) fn last_error(&self, now: Timestamp) -> String {
        let Some(health) = self.health else { return String::new() };
        let (Some(at), Some(error)) = (health.last_failure_at, &health.last_error) else {
            return String::new();
        };
        format!("{}: {}", jobs::ago(&to_text(at), now), preview(error, 120))
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
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
            "calls": self.pace_json(),
            "spending": self.money.json(),
        })
    }
}
