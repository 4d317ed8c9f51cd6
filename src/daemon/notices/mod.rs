//! Tells people and programs what they wanted to be told of, out of the outbox.

mod budgets;
mod command;
mod telling;
mod webhook;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::domain::notice::NoticeKind;
use crate::store::{Notice, StoreError};

use super::DaemonError;
use super::shared::Shared;
pub(super) use telling::Teller;
use telling::{follow, tell_due};

/// The outbox is looked at this often, whatever wakes it.
const LOOK: Duration = Duration::from_secs(60);

/// Most notices of one look.
const BATCH: u32 = 50;

/// Keeps somebody at work for every destination of the configuration, and clears away what nobody waits for.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    let (mut books, mut told) = (shared.books(), shared.told.subscribe());
    let mut followed = JoinSet::new();
    let mut names = BTreeSet::new();
    loop {
        for teller in &shared.book().tellers {
            if names.insert(teller.name.clone()) {
                followed.spawn(follow(Arc::clone(&shared), teller.name.clone()));
            }
        }
        if let Err(error) = clear(&shared).await {
            tracing::warn!(%error, "notices cannot be read; trying again");
        }
        tokio::select! {
            biased;
            Some(ended) = followed.join_next() => match ended {
                Ok(name) => drop(names.remove(&name)),
                Err(_) => return Err(DaemonError::ended("telling of notices")),
            },
            Ok(()) = books.changed() => {}
            Ok(()) = told.changed() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// Tells every notice that waits, once.
pub(super) async fn run_due(shared: &Shared) -> Result<(), StoreError> {
    clear(shared).await?;
    for teller in &shared.book().tellers {
        tell_due(shared, teller).await?;
    }
    clear(shared).await
}

/// Marks what everybody was told of, or nobody wants to hear, and looks after the budgets.
async fn clear(shared: &Shared) -> Result<(), StoreError> {
    budgets::look(shared).await?;
    let book = shared.book();
    let mut last = 0;
    loop {
        let waiting = shared.store.unsent_notices(last, BATCH).await?;
        let Some(newest) = waiting.last() else { return Ok(()) };
        last = newest.id;
        for notice in &waiting {
            if book.tellers.iter().filter(|teller| teller.wants(notice.kind)).all(|one| is_over(notice, one))
            {
                shared.store.notice_sent(notice.id, shared.now()).await?;
            }
        }
    }
}

fn is_over(notice: &Notice, teller: &Teller) -> bool {
    notice.sends.iter().any(|send| send.destination == teller.name && send.is_over())
}

/// Whether anybody wants to hear of this.
pub(super) fn wanted(tellers: &[Teller], kind: NoticeKind) -> bool {
    tellers.iter().any(|teller| teller.wants(kind))
}
