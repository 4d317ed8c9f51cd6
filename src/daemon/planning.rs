//! The plan of a run, by what is known as it begins; and the money put aside before a paid call.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::domain::ask::Ask;
use crate::domain::budget::{Spending, UsedUp};
use crate::domain::chain::Chain;
use crate::domain::name::ProviderName;
use crate::domain::plan::{Circumstances, Decision, Known, Override, Plan, draw};
use crate::domain::provider::Repeat;
use crate::domain::skip::SkipReason;
use crate::domain::walk::{Call, Outcome};
use crate::providers::{SEARCHED_INPUT, reservation};
use crate::store::{AttemptFacts, AttemptId, Claim, Entry, Recorded};

use super::board::at_limit;
use super::book::{AssetPage, Book};
use super::run::{Interrupt, Run, Task};
use super::shared::Shared;

/// The plan of a run: its links as they were drawn at the claim, judged by what is known now.
pub(super) async fn plan(task: &Task, ask: &Ask, digest: &str) -> Plan {
    let Task { shared, book, page, claim, .. } = task;
    let Ok(chain) = Chain::parse(&claim.run.links) else {
        // No link at all: the override, or the chain itself, is `manual`.
        return Plan { links: Vec::new(), straight_to_person: true };
    };
    let wish = claim.job.provider_override.as_deref().and_then(|typed| Override::parse(typed).ok());
    // The links are bent already; the override still says whom a shut gate does not stop.
    let forced = wish.filter(|wish| match wish {
        Override::Provider(named) => chain.primary() == Some(named),
        Override::Manual => false,
    });
    let refused_before: Vec<ProviderName> = claim
        .refusals
        .iter()
        .filter(|refusal| refusal.prompt_digest.as_deref() == Some(digest))
        .map(|refusal| refusal.provider.clone())
        .collect();
    let used_up = used_up(shared, book, page, &chain, ask).await;
    let (health, full) = (shared.board.all(), shared.board.full());
    let now = shared.now();
    let circumstances = Circumstances { medium: page.asset.medium, now, refused_before: &refused_before };
    let plan = draw(&chain, forced.as_ref(), circumstances, |name| {
        let known = book.known(name, &health, at_limit(&full, name, now));
        // Neither a gate nor a budget stands before what is only to be asked after or delivered: it is paid for.
        if is_polled(claim, name) {
            return Known { health: None, at_limit: None, ..known };
        }
        Known { used_up: used_up.get(name).copied(), ..known }
    });
    for link in &plan.links {
        if let Decision::Skip(SkipReason::OverBudget(used_up)) = &link.decision {
            shared.warn_of_budget(claim, &link.provider, used_up);
        }
    }
    plan
}

/// Digest of what a provider can refuse: the prompt, and what a search reads beside it. Other keywords are another
/// question to a library that had nothing for the first ones.
pub(super) fn digest(prompt: &str, input: &Map<String, Value>) -> String {
    let mut hasher = blake3::Hasher::new();
    hasher.update(prompt.as_bytes());
    for name in SEARCHED_INPUT {
        if let Some(value) = input.get(name) {
            // No prompt holds a zero byte, so no prompt reads like another with keywords.
            hasher.update(b"\0").update(name.as_bytes()).update(b"\0").update(value.to_string().as_bytes());
        }
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}

fn is_polled(claim: &Claim, name: &ProviderName) -> bool {
    let mut past = claim.run.past.iter();
    past.any(|past| {
        let goes_on = matches!(past.status.as_str(), "started" | "accepted");
        past.provider == *name && goes_on && (past.operation.is_some() || past.staged.is_some())
    })
}

/// The links whose budgets, or whose asset's, have no room. Where none has a limit, nothing is read.
async fn used_up(
    shared: &Shared,
    book: &Book,
    page: &AssetPage,
    chain: &Chain,
    ask: &Ask,
) -> HashMap<ProviderName, UsedUp> {
    let providers = chain.providers().iter().filter_map(|name| book.providers.get(name));
    let paid = providers.map(|page| &page.provider).filter(|provider| provider.repeat == Repeat::Paid);
    let limited: Vec<_> =
        paid.filter(|provider| provider.budget.is_set() || page.asset.budget.is_set()).collect();
    if limited.is_empty() {
        return HashMap::new();
    }
    let now = shared.now();
    let spending = shared.store.spending(now).await.unwrap_or_else(|error| {
        // The ledger holds each call to its budgets once more; this look only spares a wait for a permit.
        tracing::warn!(%error, "what was spent cannot be read for the plan");
        Spending::default()
    });
    let judged = limited.into_iter().filter_map(|provider| {
        let reservation = reservation(provider, &page.asset, ask)?;
        Some((provider.name.clone(), spending.used_up(&reservation, &provider.name, now)?))
    });
    judged.collect()
}

impl Run {
    /// Writes a call down before it is made: the intent of a paid one with what it may cost, and each that is bounded
    /// among those of its provider. Where there is no money or no room, it is not made. Free calls that nobody bounds are
    /// written with their verdict.
    pub(super) async fn enter(
        &self,
        call: &Call,
        facts: &AttemptFacts,
    ) -> Result<Result<Option<AttemptId>, Outcome>, Interrupt> {
        let page = self.book.providers.get(&call.provider);
        let reservation = page.and_then(|page| reservation(&page.provider, &self.page.asset, &self.ask));
        let entry = match reservation {
            Some(reservation) => {
                Entry::Begin { token: self.claim.token.clone(), facts: Box::new(facts.clone()), reservation }
            }
            None if facts.slot.is_some() => Entry::Enter(Box::new(facts.clone())),
            None => return Ok(Ok(None)),
        };
        match self.shared.recorder.write(entry).await.map_err(Interrupt::Ledger)? {
            Recorded::Begun(row) => Ok(Ok(Some(row))),
            Recorded::OverBudget(used_up) => {
                self.shared.warn_of_budget(&self.claim, &call.provider, &used_up);
                Ok(Err(Outcome::Skipped(SkipReason::OverBudget(used_up))))
            }
            Recorded::NoRoom(no_room) => Ok(Err(Outcome::NoRoom(no_room))),
            Recorded::Written => Ok(Ok(None)),
            Recorded::LeaseGone => Err(Interrupt::LeaseGone),
        }
    }
}

impl Shared {
    /// Tells the operator of a budget that is used up: once for each period, not for each job.
    fn warn_of_budget(&self, claim: &Claim, provider: &ProviderName, used_up: &UsedUp) {
        let asset = &claim.job.asset;
        if self.board.is_news(asset, provider, used_up) {
            tracing::warn!(%asset, %provider, "{used_up}; its links are skipped until then");
        }
    }
}
