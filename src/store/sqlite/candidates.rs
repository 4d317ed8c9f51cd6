//! What may be claimed, and what of it there is room for.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::SqlitePool;

use crate::domain::name::ProviderName;
use crate::domain::time::to_text;
use crate::store::claim::{ALONE_FROM, ClaimRequest, Wanted};
use crate::store::error::StoreError;

/// One index seek per level, highest first; SQLite stops at the limit before it opens the lower levels.
const DUE: &str = "
    SELECT id, priority, run_at, deaths FROM (
        SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 9 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 8 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 7 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 6 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 5 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 4 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 3 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 2 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 1 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
        UNION ALL SELECT * FROM (SELECT id, priority, run_at, deaths FROM jobs WHERE status = 'pending' AND asset = $1 AND priority = 0 AND run_at <= $2 ORDER BY run_at, id LIMIT $3)
    ) LIMIT $3";

/// An orphan's worker counts as dead the moment it is taken over.
const ORPHANED: &str = "
    SELECT id, priority, run_at, deaths + 1 FROM jobs
    WHERE status = 'running' AND lease_until <= $2 AND asset = $1 AND id NOT IN (SELECT value FROM json_each($4))
    ORDER BY priority DESC, run_at, id LIMIT $3";

/// What a claim takes, in its order.
pub(super) struct Chosen {
    /// Jobs whose lease has ended.
    pub(super) orphaned: Vec<i64>,
    /// Pending jobs.
    pub(super) due: Vec<i64>,
    /// Whether the choice ends before a job that has to run alone.
    pub(super) one_waits_to_be_alone: bool,
}

/// Chooses what there is room for; what has lost its worker comes first.
pub(super) async fn choose(readers: &SqlitePool, request: &ClaimRequest) -> Result<Chosen, StoreError> {
    let mut room = Room::of(request);
    let orphaned = room.choose(candidates(readers, ORPHANED, request).await?);
    let due = room.choose(candidates(readers, DUE, request).await?);
    Ok(Chosen { orphaned, due, one_waits_to_be_alone: room.one_waits_to_be_alone })
}

/// A job that may be taken.
struct Candidate {
    id: i64,
    priority: i64,
    run_at: String,
    /// Whether it must run alone.
    alone: bool,
    /// The place of its asset among what is wanted.
    wanted: usize,
}

/// What is still free, while candidates are chosen.
struct Room<'a> {
    wanted: &'a [Wanted],
    left: u32,
    most: Vec<u32>,
    free: BTreeMap<&'a ProviderName, u32>,
    /// Whether nothing is held and nothing was chosen yet.
    empty: bool,
    one_waits_to_be_alone: bool,
}

impl<'a> Room<'a> {
    fn of(request: &'a ClaimRequest) -> Self {
        Self {
            wanted: &request.wanted,
            left: request.limit,
            most: request.wanted.iter().map(|wanted| wanted.most).collect(),
            free: request.free.iter().map(|(provider, free)| (provider, *free)).collect(),
            empty: request.held.is_empty(),
            one_waits_to_be_alone: false,
        }
    }

    /// The candidates there is room for: the highest priority first, then the oldest, whatever the asset. Nothing
    /// overtakes one that must be alone, so that its turn comes; once chosen, it takes all the room.
    fn choose(&mut self, mut found: Vec<Candidate>) -> Vec<i64> {
        found.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.run_at.cmp(&b.run_at)).then(a.id.cmp(&b.id)));
        found.into_iter().filter(|candidate| self.take(candidate)).map(|found| found.id).collect()
    }

    fn take(&mut self, candidate: &Candidate) -> bool {
        let wanted = candidate.wanted;
        let shares = self.wanted.get(wanted).and_then(|wanted| wanted.shares.as_ref());
        let mut unshared = u32::MAX;
        let free = shares.and_then(|provider| self.free.get_mut(provider)).unwrap_or(&mut unshared);
        let Some(most) = self.most.get_mut(wanted) else { return false };
        if self.left == 0 || *most == 0 || *free == 0 {
            return false;
        }
        if candidate.alone && !self.empty {
            self.one_waits_to_be_alone = true;
            self.left = 0;
            return false;
        }
        self.empty = false;
        self.left = if candidate.alone { 0 } else { self.left - 1 };
        *most -= 1;
        *free -= 1;
        true
    }
}

/// The first jobs of every wanted asset, as many as its own room could take.
async fn candidates(
    readers: &SqlitePool,
    sql: &'static str,
    request: &ClaimRequest,
) -> Result<Vec<Candidate>, StoreError> {
    let mut found = Vec::new();
    let held = json!(request.held).to_string();
    for (place, wanted) in request.wanted.iter().enumerate() {
        let rows = sqlx::query(sql)
            .bind(wanted.asset.as_str())
            .bind(to_text(request.now))
            .bind(i64::from(wanted.most.min(request.limit)))
            .bind(&held)
            .fetch_all(readers)
            .await?;
        for row in &rows {
            let (id, priority, run_at) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let alone = row.try_get::<i64, _>(3)? >= i64::from(ALONE_FROM);
            found.push(Candidate { id, priority, run_at, alone, wanted: place });
        }
    }
    Ok(found)
}
