//! `check`: whether the configuration is good, and what its chains come to.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::{Value, json};

use super::budgets;
use super::online;
use super::retiring;
use super::said::{BAD, Exit, FAINT, GOOD, STRONG, Said, WAITS, paint};
use super::session::Session;
use super::wire;
use crate::config::{Config, ConfigErrors, Token, load};
use crate::daemon::desk::Remembered;
use crate::daemon::desk::outlook::{self, decision};
use crate::domain::plan::{Decision, Plan};
use crate::providers::catalog;
use crate::vault::{Kept, Vault, VaultError, VaultKey};

/// `TimeoutStopSec=` of deploy/backstop.service: after it, systemd ends what has not ended.
const UNIT_STOPS_AFTER: Duration = Duration::from_secs(120);

/// Read the configuration, report every mistake, and show what each chain comes to
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop check
  backstop check --config new.toml && systemctl reload backstop
  backstop check --online

Exit code 2 when there is a mistake. A missing key is none: its links are skipped. Nor is a model that its vendor
switched off or will within 90 days: it is warned of.

With --online, exit code 1 when of any chain the first link that a run would call does not work, or when nobody in it can
be called; else 0. A provider does not work when its vendor refuses the key, does not list the model, is over quota, does
not answer within 15 seconds or answers nonsense. One whose vendor has no free question counts as working. A chain of
nothing but manual is well.")]
pub(super) struct Args {
    /// Ask each vendor in the chains, at no cost, whether it takes the key and still has the model
    #[arg(long)]
    online: bool,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let config = match load(&session.sources, catalog(), (session.clock)()) {
        Ok(config) => config,
        Err(mistakes) => return Ok(mistaken(&mistakes)),
    };
    if let Err(error) = wire::book_with(&config, &session.clock, Arc::new(Nowhere)) {
        let mistakes: Vec<String> = format!("{error:#}").lines().map(str::to_owned).collect();
        let text = format!("{}\n{}", paint(BAD, "The configuration cannot be used:"), mistakes.join("\n"));
        let mistakes: Vec<Value> = mistakes.iter().map(|wrong| json!({ "wrong": wrong })).collect();
        return Ok(Said { text, json: json!({ "mistakes": mistakes }), exit: Exit::Mistake });
    }
    let mut said = good(session, &config);
    if args.online {
        let now = (session.clock)();
        let nothing = Remembered::default();
        let plan = |asset| (asset, outlook::plan(&config, asset, None, &nothing, now));
        let plans: Vec<_> = config.assets.iter().map(plan).collect();
        let providers = wire::providers(&config, &session.clock)?;
        let report = online::ask(&config, &plans, &providers, now).await;
        said.text.push_str(&report.text());
        said.exit = if report.works { Exit::Done } else { Exit::Failed };
        said.json["online"] = json!(report);
    }
    Ok(said)
}

fn mistaken(errors: &ConfigErrors) -> Said {
    let mistakes: Vec<Value> = errors
        .mistakes
        .iter()
        .map(|one| json!({ "key": one.key, "from": one.from, "wrong": one.wrong, "advice": one.advice }))
        .collect();
    Said { text: errors.to_string(), json: json!({ "mistakes": mistakes }), exit: Exit::Mistake }
}

fn good(session: &Session, config: &Config) -> Said {
    let from = match &config.source.file {
        Some(file) => file.display().to_string(),
        None => "the defaults (there is no file)".to_owned(),
    };
    let mut text = format!("{} {from}\n", paint(GOOD, "No mistakes in"));
    // Writing to a string cannot fail.
    if !config.source.variables.is_empty() {
        writeln!(text, "and in {}", config.source.variables.join(", ")).unwrap_or_default();
    }
    writeln!(text, "database {}", wire::database_path(config).display()).unwrap_or_default();
    writeln!(text, "vault    {}", config.vault.folder.display()).unwrap_or_default();
    for asset in &config.assets {
        let plan = outlook::plan(config, asset, None, &Remembered::default(), (session.clock)());
        writeln!(text, "\n{}  {}", paint(STRONG, &asset.name), asset.medium).unwrap_or_default();
        chain(&mut text, &plan);
    }
    let mut warnings: Vec<Value> = grace_beyond_the_unit(config).into_iter().collect();
    warnings.extend(missing_tokens(config));
    warnings.extend(retiring::warnings(config, (session.clock)()).iter().map(|warning| json!(warning)));
    warnings.extend(budgets::warnings(config).iter().map(|warning| json!(warning)));
    for (at, warning) in warnings.iter().enumerate() {
        let gap = if at == 0 { "\n" } else { "" };
        let sentence = warning["sentence"].as_str().unwrap_or_default();
        writeln!(text, "{gap}{} {sentence}", paint(WAITS, "warning:")).unwrap_or_default();
    }
    let json = json!({ "mistakes": [], "warnings": warnings, "configuration": config.redacted_json() });
    Said::fine(text, json)
}

/// A grace that is right in itself, and will surprise under systemd all the same.
fn grace_beyond_the_unit(config: &Config) -> Option<Value> {
    let (grace, unit) = (config.queue.grace, UNIT_STOPS_AFTER);
    (grace >= unit).then(|| {
        let sentence = format!(
            "queue.grace is {}, and deploy/backstop.service lets systemd kill the daemon {} after it was told to \
             stop; raise TimeoutStopSec= with it (systemctl edit backstop)",
            humantime::format_duration(grace),
            humantime::format_duration(unit),
        );
        json!({ "key": "queue.grace", "sentence": sentence })
    })
}

/// A token that is not where the configuration says: the daemon starts, and nobody gets in by it.
fn missing_tokens(config: &Config) -> Vec<Value> {
    let web = &config.web;
    let tokens = [("web.token", &web.token, "write"), ("web.read_token", &web.read_token, "read")];
    let missing = |(key, token, what): (&str, &Token, &str)| match token {
        Token::Missing { looked_in } => {
            let sentence = format!(
                "{key} was not found (looked in {looked_in}): as it stands, nobody can {what} by it; put it there and reload"
            );
            Some(json!({ "key": key, "sentence": sentence }))
        }
        Token::Unset | Token::Found { .. } => None,
    };
    // Where nothing listens, nobody needs one.
    tokens.into_iter().filter(|_| web.listen.is_some()).filter_map(missing).collect()
}

fn chain(text: &mut String, plan: &Plan) {
    let widest = plan.links.iter().map(|link| link.provider.as_str().len()).max().unwrap_or(0);
    for (at, link) in plan.links.iter().enumerate() {
        let says = match &link.decision {
            Decision::Call(_) => paint(GOOD, "ready"),
            Decision::Skip(_) => paint(FAINT, decision(link).1),
        };
        writeln!(text, "  {}. {:<widest$}  {says}", at + 1, link.provider.as_str()).unwrap_or_default();
    }
    if plan.links.iter().all(|link| matches!(link.decision, Decision::Skip(_))) {
        writeln!(text, "  nobody can be called: every job is handed to a person").unwrap_or_default();
    }
}

/// A vault for a look at the configuration: the real one would make its folder.
struct Nowhere;

#[async_trait]
impl Vault for Nowhere {
    async fn keep(&self, key: &VaultKey, _bytes: Bytes) -> Result<Kept, VaultError> {
        Err(VaultError::Stopped(format!("check keeps nothing, not even {}", key.file())))
    }

    async fn find(&self, _key: &VaultKey) -> Result<Option<Bytes>, VaultError> {
        Ok(None)
    }

    async fn remove(&self, _key: &VaultKey) -> Result<(), VaultError> {
        Ok(())
    }
}
