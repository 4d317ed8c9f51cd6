//! Looks whether a budget's threshold was passed.

use crate::daemon::shared::Shared;
use crate::domain::budget::Scope;
use crate::domain::notice::{NoticeKind, Passed, passed};
use crate::store::{NewNotice, StoreError};

/// Puts a notice for each passed threshold into the outbox. The counters are durable and each is told once, so that
/// neither a crash nor a second daemon loses or doubles one.
pub(super) async fn look(shared: &Shared) -> Result<(), StoreError> {
    let book = shared.book();
    let wanted = |kind| super::wanted(&book.tellers, kind);
    if !wanted(NoticeKind::Budget80) && !wanted(NoticeKind::Budget100) {
        return Ok(());
    }
    let providers = book
        .providers
        .values()
        .map(|page| (Scope::Provider, page.provider.name.as_str(), page.provider.budget));
    let assets = book.assets.values().map(|page| (Scope::Asset, page.asset.name.as_str(), page.asset.budget));
    let mut held: Vec<_> = providers.chain(assets).filter(|(.., budget)| budget.is_set()).collect();
    if held.is_empty() {
        return Ok(());
    }
    // In an order of their own, so that a simulated life can be lived again.
    held.sort_by_key(|(scope, name, _)| (scope.as_str(), *name));
    let now = shared.now();
    let spending = shared.store.spending(now).await?;
    for (scope, name, budget) in held {
        let counter = |span| spending.of(scope, span, name);
        for Passed { kind, topic, detail } in passed(scope, name, budget, counter, now) {
            if wanted(kind) {
                shared.store.announce(&NewNotice { kind, topic, detail }, now).await?;
            }
        }
    }
    Ok(())
}
