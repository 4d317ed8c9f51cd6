//! The claim loop: takes what is due, as much as there is room for, and starts a run for each.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;

use crate::domain::backoff::Backoff;
use crate::domain::breaker::ProviderHealth;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::pace::{NoRoom, Pace, Usage};
use crate::domain::plan::{Circumstances, Decision, draw};
use crate::domain::provider::Key;
use crate::domain::time::{Timestamp, after, between};
use crate::store::{Claim, ClaimRequest, Claimed, StoreError, Wanted};

use super::DaemonError;
use super::board::at_limit;
use super::book::{AssetPage, Book, ProviderPage};
use super::kill_point::KillPoint;
use super::run::{Run, Task};
use super::shared::{Manner, Shared};
use super::steady::Jumps;

/// Most jobs of one claim: more would keep other writers waiting.
const MAX_CLAIM: u32 = 1_024;

/// The loop looks at least this often, whatever wakes it: the watchdog is fed by its passes.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Between two passes that failed.
const PATIENCE: Backoff = Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(10) };

/// A drain gives up after so many failures in a row: whoever started it waits for its end.
const MOST_FAILURES: u32 = 8;

/// When the loop ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// When it is told to.
    Stopped,
    /// When nothing is due and nothing is in flight, or when it is told to.
    Drained,
}

/// A provider's permit that a claim has reserved for a job's first call.
pub(super) type Reserved = Option<(ProviderName, OwnedSemaphorePermit)>;

/// Claims until it is told to stop, or until the queue is drained.
pub(super) async fn run(shared: Arc<Shared>, until: Until) -> Result<(), DaemonError> {
    let mut failures = 0;
    let mut turn = Turn::default();
    let mut jumps = Jumps::watch(shared.now());
    loop {
        if shared.stop.soon.is_cancelled() {
            return Ok(());
        }
        // Looked at before the pass: a job that ends during it may make room for one that the pass left.
        let was_idle = shared.is_idle();
        let began = shared.now();
        match run_due(&shared, &mut turn, &mut jumps).await {
            Ok(claimed) => {
                failures = 0;
                shared.passed();
                if claimed > 0 {
                    continue;
                }
                if until == Until::Drained && was_idle {
                    return Ok(());
                }
                wait(&shared, next_look(&shared, began).await).await;
            }
            Err(error) if until == Until::Drained && failures >= MOST_FAILURES => return Err(error.into()),
            // Never silent, never an end: a queue that cannot be read now may be readable in a moment.
            Err(error) => {
                tracing::error!(%error, "the queue cannot be read; trying again");
                let patience = PATIENCE.equal_jitter(failures, shared.jitter());
                failures = failures.saturating_add(1);
                wait(&shared, patience).await;
            }
        }
    }
}

/// The assets of which a due job would be begun now.
pub(super) fn could_begin(shared: &Shared) -> Vec<AssetName> {
    let (book, known, now) = (shared.book(), Known::of(shared), shared.now());
    let full = shared.in_flight() >= book.queue.concurrency;
    let free = |page: &&Arc<AssetPage>| {
        let first = first_called(now, &book, page, &known).and_then(|name| book.providers.get(&name));
        let own = page.asset.concurrency.is_none_or(|most| shared.in_flight_of(&page.asset.name) < most);
        let permits = first.is_none_or(|first| {
            first.permits.available_permits() > 0 && known.has_room(&first.provider.name, now)
        });
        let room = !full || first.is_some_and(|first| first.provider.instant);
        page.is_open(now) && own && permits && room
    };
    if shared.runs_alone() {
        return Vec::new();
    }
    book.assets.values().filter(free).map(|page| page.asset.name.clone()).collect()
}

async fn wait(shared: &Shared, at_most: Duration) {
    tokio::select! {
        biased;
        () = shared.wake.notified() => {}
        () = shared.stop.soon.cancelled() => {}
        () = tokio::time::sleep(at_most) => {}
    }
}

/// How long the loop may sleep when nothing wakes it: until the next job is due. What was due at the last pass and
/// was not claimed waits for capacity or its window, and must not hide that; the heartbeat looks again.
async fn next_look(shared: &Shared, last_pass: Timestamp) -> Duration {
    let assets: Vec<AssetName> = shared.book().assets.keys().cloned().collect();
    // What waits for a provider's limit to pass is due already; nobody would wake us for it.
    let full = shared.board.full();
    let opens = full.keys().filter_map(|name| Some(at_limit(&full, name, last_pass)?.until)).min();
    let heartbeat = opens.map_or(HEARTBEAT, |opens| between(shared.now(), opens).min(HEARTBEAT));
    match shared.store.next_due_at(&assets, last_pass).await {
        Ok(Some(due)) => between(shared.now(), due).min(heartbeat),
        Ok(None) => heartbeat,
        Err(error) => {
            tracing::debug!(%error, "cannot see when the next job is due");
            heartbeat
        }
    }
}

/// Whose turn it is to run alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Turn {
    /// Nobody's.
    #[default]
    Nobodys,
    /// The first of the waiting assets' jobs.
    Waiting,
    /// The first of the instant assets' jobs.
    Instant,
}

/// One pass: claims what there is room for and starts it. Returns how many jobs it claimed. Where the next job must
/// run alone, nothing is claimed until all that is held has ended: else its turn would never come.
async fn run_due(shared: &Arc<Shared>, turn: &mut Turn, jumps: &mut Jumps) -> Result<usize, StoreError> {
    // Also where nothing is claimed: what runs must hear of a pause and of a breaker that another daemon opened.
    if shared.dirty.swap(false, Ordering::Relaxed) {
        let health = shared.store.provider_health().await;
        // What could not be read is still to be read: nobody may write again for a long time.
        shared.board.replace(health.inspect_err(|_| shared.dirty.store(true, Ordering::Relaxed))?);
    }
    if shared.runs_alone() || (*turn != Turn::Nobodys && !shared.is_idle()) {
        return Ok(0);
    }
    let book = shared.book();
    let left = book.queue.concurrency.saturating_sub(shared.in_flight()).min(MAX_CLAIM);
    let mut claimed = 0;
    let usages = look_at_paces(shared, &book).await?;
    let mut rooms = Room::measure(shared, &book, left, &usages);
    if std::mem::take(turn) == Turn::Instant {
        rooms.reverse();
    }
    for mut room in rooms {
        if room.wanted.is_empty() {
            continue;
        }
        let now = shared.now();
        let request = ClaimRequest {
            now,
            // By the same look at the clock: one that is set after it ends no lease in this claim.
            take_over: jumps.are_past(now, book.queue.lease),
            lease_until: after(now, book.queue.lease),
            token: shared.fresh_token(),
            owner: shared.worker.owner().to_owned(),
            limit: room.limit,
            wanted: std::mem::take(&mut room.wanted),
            free: room.free(),
            held: shared.leases().into_iter().map(|(_, job)| job).collect(),
        };
        let Claimed { claims, one_waits_to_be_alone } = shared.store.claim_due(&request).await?;
        claimed += claims.len();
        if !claims.is_empty() {
            look_at_providers(shared).await;
        }
        if !claims.is_empty() {
            KillPoint::AfterClaim.pass();
        }
        for claim in claims {
            start(shared, &book, claim, &mut room);
        }
        if one_waits_to_be_alone {
            *turn = if room.instant { Turn::Instant } else { Turn::Waiting };
        }
        if one_waits_to_be_alone || shared.runs_alone() {
            break;
        }
    }
    Ok(claimed)
}

/// Reads how much of their pace the providers have used that a job may call. Those that are not bounded by it, as makers of
/// this machine, cost no look.
async fn look_at_paces(shared: &Shared, book: &Book) -> Result<Usages, StoreError> {
    let now = shared.now();
    let open = book.assets.values().filter(|page| page.is_open(now));
    let linked: BTreeSet<&ProviderName> = open.flat_map(|page| page.asset.chain.providers()).collect();
    let asked: Vec<(ProviderName, Pace)> = linked
        .into_iter()
        .filter_map(|name| book.providers.get(name))
        .filter(|page| !matches!(page.provider.key, Key::Missing { .. }))
        .filter_map(|page| Some((page.provider.name.clone(), page.provider.pace?)))
        .collect();
    if asked.is_empty() {
        shared.board.note_full(HashMap::new());
        return Ok(Usages::default());
    }
    let found = shared.store.usages(&asked, shared.worker.owner(), now).await?;
    let full = asked
        .iter()
        .zip(&found)
        .filter_map(|((name, pace), usage)| Some((name.clone(), pace.no_room(usage, now)?)));
    shared.board.note_full(full.collect());
    Ok(asked.into_iter().zip(found).map(|((name, pace), usage)| (name, (pace, usage))).collect())
}

/// Reads the health of providers after a claim: who resets a breaker and enqueues in one transaction must not see
/// the job pass that provider by, because the board was read a moment before.
async fn look_at_providers(shared: &Shared) {
    match shared.store.provider_health().await {
        Ok(all) => shared.board.replace(all),
        // The jobs are claimed and must start; what was known a moment ago will do.
        Err(error) => tracing::warn!(%error, "the health of providers cannot be read"),
    }
}

fn start(shared: &Arc<Shared>, book: &Arc<Book>, claim: Claim, room: &mut Room) {
    let Some(page) = book.assets.get(&claim.job.asset).map(Arc::clone) else {
        tracing::error!(job.id = claim.job.id.0, "claimed a job of an asset nobody asked for");
        return;
    };
    let reserved = room.reserve(&claim.job.asset);
    let manner = if claim.runs_alone() {
        Manner::Alone
    } else if room.instant {
        Manner::Instant
    } else {
        Manner::Counted
    };
    let hold = shared.hold(&claim, manner);
    let only_bought = room.only_bought.contains(&claim.job.asset);
    let (shared_too, book) = (Arc::clone(shared), Arc::clone(book));
    let task = Task { shared: shared_too, book, page, claim, hold, reserved, only_bought };
    let gone = shared.gone.clone();
    shared.tracker.spawn(async move {
        tokio::select! {
            biased;
            () = gone.cancelled() => {}
            () = Run::drive(task) => {}
        }
    });
}

/// How much of its pace each provider has used, those of other daemons counted.
type Usages = HashMap<ProviderName, (Pace, Usage)>;

/// What is known of providers when jobs are claimed.
struct Known {
    health: Arc<HashMap<ProviderName, ProviderHealth>>,
    full: Arc<HashMap<ProviderName, NoRoom>>,
}

impl Known {
    fn of(shared: &Shared) -> Self {
        Self { health: shared.board.all(), full: shared.board.full() }
    }

    fn has_room(&self, provider: &ProviderName, now: Timestamp) -> bool {
        match self.full.get(provider) {
            None => true,
            Some(NoRoom::Taken) => false,
            Some(NoRoom::AtLimit(limit)) => limit.until <= now,
        }
    }
}

/// How much may be claimed of some assets, and the permits that are reserved for it.
struct Room {
    /// Whether their first call waits for nothing: then the queue's concurrency does not bound them.
    instant: bool,
    limit: u32,
    wanted: Vec<Wanted>,
    /// The free calls of the providers that will be called first. Assets may share one: who comes first by
    /// priority and age has them.
    permits: BTreeMap<ProviderName, OwnedSemaphorePermit>,
    first: BTreeMap<AssetName, ProviderName>,
    /// Assets of which nothing may begin now.
    only_bought: BTreeSet<AssetName>,
}

impl Room {
    fn new(instant: bool, limit: u32) -> Self {
        let (wanted, permits, first) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { instant, limit, wanted, permits, first, only_bought: BTreeSet::new() }
    }

    /// Two rooms: one for assets whose first call waits for something, one for the others.
    fn measure(shared: &Shared, book: &Book, left: u32, usages: &Usages) -> [Self; 2] {
        let (mut waiting, mut instant) = (Self::new(false, left), Self::new(true, MAX_CLAIM));
        let known = Known::of(shared);
        for page in book.assets.values() {
            if !page.is_open(shared.now()) {
                waiting.want_bought(shared, page);
                continue;
            }
            let first =
                first_called(shared.now(), book, page, &known).and_then(|name| book.providers.get(&name));
            let room =
                if first.is_some_and(|page| page.provider.instant) { &mut instant } else { &mut waiting };
            room.want(shared, page, first, usages);
        }
        [waiting, instant]
    }

    /// Wants as many jobs of an asset as may start: bounded by the room, by the asset, and by the provider
    /// that will be called first, so that jobs of a slow one do not take the places of others.
    fn want(&mut self, shared: &Shared, page: &AssetPage, first: Option<&ProviderPage>, usages: &Usages) {
        let asset = &page.asset.name;
        let own = page.asset.concurrency.map(|most| most.saturating_sub(shared.in_flight_of(asset)));
        let mut most = own.unwrap_or(u32::MAX).min(self.limit);
        let shares = first.map(|page| page.provider.name.clone());
        if let Some(first) = first {
            most = most.min(self.permits_of(first, usages.get(&first.provider.name)));
        }
        if most == 0 {
            return;
        }
        if let Some(provider) = &shares {
            self.first.insert(asset.clone(), provider.clone());
        }
        let (asset, chain) = (asset.clone(), page.asset.chain.clone());
        self.wanted.push(Wanted { asset, chain, most, shares, only_bought: false });
    }

    /// Wants what an asset has bought within its window and did not get in it: to ask after that begins nothing.
    fn want_bought(&mut self, shared: &Shared, page: &AssetPage) {
        let (asset, chain) = (page.asset.name.clone(), page.asset.chain.clone());
        let own = page.asset.concurrency.map(|most| most.saturating_sub(shared.in_flight_of(&asset)));
        let most = own.unwrap_or(u32::MAX).min(self.limit);
        if most > 0 {
            self.only_bought.insert(asset.clone());
            self.wanted.push(Wanted { asset, chain, most, shares: None, only_bought: true });
        }
    }

    /// How many calls of a provider are free, by this daemon's count and by that of all; they are reserved until the end
    /// of the pass.
    fn permits_of(&mut self, page: &ProviderPage, used: Option<&(Pace, Usage)>) -> u32 {
        if let Some(reserved) = self.permits.get(&page.provider.name) {
            return count(reserved);
        }
        let available = u32::try_from(page.permits.available_permits()).unwrap_or(u32::MAX);
        let held = page.provider.concurrency.saturating_sub(available);
        let shared = used.map_or(u32::MAX, |(pace, usage)| pace.free(usage, held));
        let free = available.min(shared).min(self.limit);
        // Somebody may have been quicker; the next pass sees what is left.
        let Ok(reserved) = Arc::clone(&page.permits).try_acquire_many_owned(free) else { return 0 };
        self.permits.insert(page.provider.name.clone(), reserved);
        free
    }

    fn free(&self) -> BTreeMap<ProviderName, u32> {
        self.permits.iter().map(|(provider, reserved)| (provider.clone(), count(reserved))).collect()
    }

    fn reserve(&mut self, asset: &AssetName) -> Reserved {
        let provider = self.first.get(asset)?;
        Some((provider.clone(), self.permits.get_mut(provider)?.split(1)?))
    }
}

fn count(permits: &OwnedSemaphorePermit) -> u32 {
    u32::try_from(permits.num_permits()).unwrap_or(u32::MAX)
}

/// The provider that a job of this asset without an override would call first now.
fn first_called(now: Timestamp, book: &Book, page: &AssetPage, known: &Known) -> Option<ProviderName> {
    let circumstances = Circumstances { medium: page.asset.medium, now, refused_before: &[] };
    let plan = draw(&page.asset.chain, None, circumstances, |name| {
        book.known(name, &known.health, at_limit(&known.full, name, now))
    });
    let called = plan.links.into_iter().find(|link| matches!(link.decision, Decision::Call(_)))?;
    Some(called.provider)
}
