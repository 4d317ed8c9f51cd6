//! `check --online`: what the vendors of the configured chains say of keys and models, asked at no cost.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::Duration;

use chrono::NaiveDate;
use futures_util::StreamExt;
use futures_util::stream;
use serde::Serialize;
use tokio::time::Instant;

use super::said::{BAD, FAINT, GOOD, STRONG, WAITS, paint, printable};
use crate::config::Config;
use crate::domain::asset::Asset;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::name::ProviderName;
use crate::domain::plan::{Decision, Plan};
use crate::domain::provider::{Key, Provider};
use crate::domain::time::Timestamp;
use crate::providers::{Finding, Found, Listing, Providers};

/// Time for one vendor's answer.
const ASK: Duration = Duration::from_secs(15);

/// Time for all of them; a monitoring system that waits for a minute gets its answer.
const ALL: Duration = Duration::from_secs(45);

/// Vendors asked at the same time.
const AT_ONCE: usize = 8;

/// How a provider stands, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
enum State {
    /// All that was asked is well.
    Ok,
    /// Well, and the vendor names the day on which the model ends.
    Ends,
    /// Nobody needs to be asked.
    NeedsNobody,
    /// Nothing was asked, for want of a question, or is known from the answer.
    NotKnown,
    /// The vendor is asked too often now.
    Busy,
    /// Its link is skipped, so it was not asked.
    Skipped,
    KeyRefused,
    ModelMissing,
    OverQuota,
    Unreachable,
    /// An answer that is none of these.
    Odd,
}

impl State {
    /// Whether a chain may count on it, as far as is known.
    fn works(self) -> bool {
        match self {
            Self::Ok | Self::Ends | Self::NeedsNobody | Self::NotKnown | Self::Busy => true,
            Self::Skipped
            | Self::KeyRefused
            | Self::ModelMissing
            | Self::OverQuota
            | Self::Unreachable
            | Self::Odd => false,
        }
    }
}

/// What was found out of one provider.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    provider: ProviderName,
    state: State,
    works: bool,
    sentence: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_on: Option<NaiveDate>,
}

/// What that means for one chain.
#[derive(Debug, Serialize)]
struct ChainLine {
    asset: String,
    works: bool,
    sentence: String,
}

/// What was found out.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Whether every chain's first link works, as far as could be found out.
    pub(super) works: bool,
    providers: Vec<Line>,
    chains: Vec<ChainLine>,
}

/// Asks about every provider of the chains, each once. Nothing is generated.
pub(super) async fn ask(
    config: &Config,
    plans: &[(&Asset, Plan)],
    providers: &Providers,
    now: Timestamp,
) -> Report {
    let until = Instant::now() + ALL;
    // In the order of the chains. A link that no run would call is not asked about, and says why.
    let mut links: Vec<(&Provider, Option<String>)> = Vec::new();
    for link in plans.iter().flat_map(|(_, plan)| &plan.links) {
        let provider = config.providers.iter().find(|provider| provider.name == link.provider);
        let known = |(one, _): &(&Provider, Option<String>)| one.name == link.provider;
        let Some(provider) = provider.filter(|_| !links.iter().any(known)) else { continue };
        let skipped = match &link.decision {
            Decision::Skip(reason) => Some(reason.to_string()),
            Decision::Call(_) => None,
        };
        links.push((provider, skipped));
    }
    let lines = stream::iter(links).map(|(provider, skipped)| async move {
        match skipped {
            Some(reason) => skipped_line(provider, &reason),
            None => {
                let time = ASK.min(until.saturating_duration_since(Instant::now()));
                line(provider, &providers.ask(&provider.name, time).await, now.date_naive())
            }
        }
    });
    let lines: Vec<Line> = lines.buffered(AT_ONCE).collect().await;
    let works: HashMap<&ProviderName, bool> = lines.iter().map(|line| (&line.provider, line.works)).collect();
    let chains: Vec<ChainLine> = plans.iter().map(|(asset, plan)| chain(asset, plan, &works)).collect();
    Report { works: chains.iter().all(|chain| chain.works), providers: lines, chains }
}

impl Report {
    /// For people: a line for each provider, and one for each chain that is not well.
    pub(super) fn text(&self) -> String {
        let mut text = format!("\n{}\n", paint(STRONG, "Asked, at no cost; nothing was generated"));
        let widest = self.providers.iter().map(|line| line.provider.as_str().len()).max().unwrap_or(0);
        for line in &self.providers {
            let style = match line.state {
                State::Ok | State::NeedsNobody => GOOD,
                State::Ends | State::Busy => WAITS,
                State::NotKnown | State::Skipped => FAINT,
                State::KeyRefused
                | State::ModelMissing
                | State::OverQuota
                | State::Unreachable
                | State::Odd => BAD,
            };
            let sentence = paint(style, printable(&line.sentence));
            // Writing to a string cannot fail.
            writeln!(text, "  {:<widest$}  {sentence}", line.provider.as_str()).unwrap_or_default();
        }
        for chain in self.chains.iter().filter(|chain| !chain.works) {
            writeln!(text, "{} {}: {}", paint(BAD, "not well:"), chain.asset, chain.sentence)
                .unwrap_or_default();
        }
        text
    }
}

fn skipped_line(provider: &Provider, reason: &str) -> Line {
    let sentence = format!("{reason}; not asked");
    Line { provider: provider.name.clone(), state: State::Skipped, works: false, sentence, ends_on: None }
}

fn line(provider: &Provider, finding: &Finding, today: NaiveDate) -> Line {
    let mut ends_on = None;
    let (state, sentence) = match finding {
        Finding::NeedsNobody => (State::NeedsNobody, "needs nobody".to_owned()),
        Finding::NoQuestion => (State::NotKnown, "has no free question to ask; not asked".to_owned()),
        Finding::Failed(failure) => failed(provider, failure),
        Finding::Found(found) => {
            if let Some(Listing::Listed { ends }) = found.model {
                ends_on = ends;
            }
            found_out(provider, *found, today)
        }
    };
    Line { provider: provider.name.clone(), works: state.works(), state, sentence, ends_on }
}

fn found_out(provider: &Provider, found: Found, today: NaiveDate) -> (State, String) {
    let key = match (&provider.key, found.proves_key) {
        (Key::Present, true) => "key accepted",
        (Key::Present, false) => "answers, whatever the key",
        (Key::NotNeeded | Key::Missing { .. }, _) => "answers",
    };
    let model = provider.model.as_deref().unwrap_or_default();
    match found.model {
        None => (State::Ok, key.to_owned()),
        Some(Listing::Missing) => (State::ModelMissing, format!("{key}; model {model} is not listed")),
        Some(Listing::Listed { ends: None }) => (State::Ok, format!("{key}; model {model} is listed")),
        Some(Listing::Listed { ends: Some(day) }) => match (day - today).num_days() {
            ..=0 => (State::ModelMissing, format!("{key}; model {model} was shut down on {day}")),
            1 => (State::Ends, format!("{key}; model {model} shuts down tomorrow, on {day}")),
            days => (State::Ends, format!("{key}; model {model} shuts down in {days} days, on {day}")),
        },
    }
}

fn failed(provider: &Provider, failure: &Failure) -> (State, String) {
    let why = &failure.message;
    let of_the_question = matches!(failure.http_status, Some(404 | 405 | 501));
    match &failure.class {
        FailureClass::Auth => (State::KeyRefused, format!("key refused: {why}")),
        FailureClass::Retired => {
            let model = provider.model.as_deref().unwrap_or_default();
            (State::ModelMissing, format!("model {model} is not listed: {why}"))
        }
        FailureClass::Quota { .. } => (State::OverQuota, format!("over quota: {why}")),
        FailureClass::RateLimited { .. } => (State::Busy, format!("is asked too often now: {why}")),
        FailureClass::Transient | FailureClass::TimedOut | FailureClass::UnknownOutcome => {
            (State::Unreachable, format!("unreachable: {why}"))
        }
        // Many servers that imitate a vendor know its generations and nothing else.
        FailureClass::Invalid if of_the_question => {
            (State::NotKnown, format!("does not know the question, so nothing was found out: {why}"))
        }
        FailureClass::Invalid
        | FailureClass::Refused { .. }
        | FailureClass::Unusable
        | FailureClass::Internal => (State::Odd, format!("answers oddly: {why}")),
    }
}

/// Judged by the link that a run would call first. A chain of nothing but `manual` is what its operator wants.
fn chain(asset: &Asset, plan: &Plan, works: &HashMap<&ProviderName, bool>) -> ChainLine {
    let mut called = plan.links.iter().filter(|link| matches!(link.decision, Decision::Call(_)));
    let works = |name: &ProviderName| works.get(name).copied().unwrap_or(false);
    let (fine, sentence) = match called.next() {
        None if plan.links.is_empty() => (true, "a person is asked at once".to_owned()),
        None => (false, "nobody can be called".to_owned()),
        Some(first) if works(&first.provider) => (true, format!("{} works", first.provider)),
        Some(first) => match called.find(|link| works(&link.provider)) {
            None => (false, format!("neither {}, its first link, nor any other works", first.provider)),
            Some(next) => (
                false,
                format!("{}, its first link, does not work; {} steps in", first.provider, next.provider),
            ),
        },
    };
    ChainLine { asset: asset.name.to_string(), works: fine, sentence }
}
