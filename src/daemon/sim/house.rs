//! The house of a simulated world: its assets and providers, its processes, and the people around it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::TimeDelta;

use crate::config::{Config, Sources, load};
use crate::daemon::book::Book;
use crate::daemon::shared::Shared;
use crate::daemon::{Daemon, DaemonError, Parts, Stop};
use crate::domain::budget::{Budget, Scope};
use crate::domain::job::{JobId, JobStatus};
use crate::domain::name::ProviderName;
use crate::domain::pace::Pace;
use crate::domain::provider::{OnUnknown, Provider, Repeat};
use crate::domain::time::{after, to_text};
use crate::providers::{Generate, catalog};
use crate::store::{NewJob, Provided, Store};
use crate::vault::Vault;

use super::ground::SimStore;
use super::law;
use super::life::Life;
use super::vendor::{POISON, RENDERS, SimSpool, SimVault, SimVendors, repeat_of};
use super::world::World;

pub(super) const MAX_RUNS: u32 = 3;

const LABELS: [&str; 4] = ["house", "render", "library", "spare"];

/// Four providers of texts; `render` takes operations, `library` is free, `spare` stands in no chain.
const CONFIGURATION: &str = r#"
[queue]
concurrency = 6
lease = "60s"
grace = "30s"

[assets.social-text]
chain = ["house", "render", "library"]
deadline = "15m"

[assets.long-text]
medium = "text"
chain = ["render", "house", "manual"]
prompt = "Write about {{ slug }}"
deadline = "4h"
on_exhausted = "fail"

[assets.note]
medium = "text"
chain = ["library", "house"]
prompt = "Note {{ slug }}"
deadline = "5m"

[[recurring]]
name = "hourly"
cron = "17 * * * *"
zone = "Europe/Zurich"
asset = "note"
slug = "hourly-{{ tick.date }}"
missed = "all"
"#;

/// How many counted failures open a breaker in the world of this seed.
pub(super) fn trip_after(seed: u64) -> u32 {
    u32::try_from(2 + seed % 3).unwrap_or(2)
}

/// A configuration by the world's seed.
fn configuration(world: &World, folder: &Path) -> Config {
    let mut text = CONFIGURATION.to_owned();
    for label in LABELS {
        text.push_str(&format!(
            "[providers.{label}]\nprotocol = \"openai-chat\"\nmodel = \"m\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
             api_key = false\n"
        ));
    }
    let file = folder.join("backstop.toml");
    std::fs::write(&file, text).expect("written");
    let sources = Sources { file: Some(file), working_directory: folder.to_owned(), ..Sources::default() };
    let mut config = load(&sources, catalog(), world.now()).expect("a configuration");
    config.providers.retain(|provider| LABELS.contains(&provider.name.as_str()));
    for provider in &mut config.providers {
        provider.repeat = repeat_of(&provider.name);
        provider.fingerprint = "f1".to_owned();
        provider.price_micros = 40;
        provider.trip_after = trip_after(world.plan.seed);
        provider.retries = world.chance(|chance| chance.u32(0..3));
        // A job that nobody has room for waits for as long as it takes; so there is room for those that take hours.
        let renders = provider.name.as_str() == RENDERS;
        provider.concurrency =
            world.chance(|chance| if renders { chance.u32(4..9) } else { chance.u32(1..5) });
        // Some are bounded so tightly that a burst of jobs waits for minutes.
        let most = |from: u32, to: u32| world.chance(|chance| chance.bool().then(|| chance.u32(from..to)));
        let per_minute = if renders { None } else { most(1, 8) };
        provider.pace = Some(Pace { at_once: provider.concurrency, per_minute, per_hour: most(30, 90) });
        provider.timeout = Duration::from_secs(if renders { 3_600 * 3 } else { 120 });
        let choices = [OnUnknown::Next, OnUnknown::Next, OnUnknown::Retry, OnUnknown::Manual];
        provider.on_unknown = world.chance(|chance| *chance.choice(&choices).unwrap_or(&OnUnknown::Next));
        if world.plan.budgets && provider.repeat == Repeat::Paid {
            provider.budget = budget(world);
        }
    }
    for asset in &mut config.assets {
        if world.plan.budgets && world.likely(0.5) {
            asset.budget = budget(world);
        }
    }
    config
}

/// What some dozen calls cost.
fn budget(world: &World) -> Budget {
    world.chance(|chance| Budget {
        day_micros: chance.bool().then(|| chance.i64(100..900)),
        month_micros: chance.bool().then(|| chance.i64(300..1_500)),
    })
}

/// A process, where one runs, and how it is stopped.
type Process = Option<(Arc<Life>, Stop)>;

/// The house.
pub(super) struct House {
    world: Arc<World>,
    config: Config,
    folder: tempfile::TempDir,
    /// The processes that run now, by their place.
    running: Mutex<Vec<Process>>,
}

impl House {
    pub(super) async fn new(world: Arc<World>) -> Arc<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let config = configuration(&world, folder.path());
        let now = world.now();
        let paces = config.providers.iter().filter_map(|one| Some((one.name.clone(), one.pace?)));
        world.facts(|facts| facts.paces = paces.collect());
        world.store.mirror(&config.assets, &config.providers, now).await.expect("mirrored");
        let running = Mutex::new(vec![None; world.plan.daemons]);
        Arc::new(Self { world, config, folder, running })
    }

    pub(super) fn providers(&self) -> &[Provider] {
        &self.config.providers
    }

    /// The budget that a counter is held to.
    pub(super) fn budget(&self, scope: &str, name: &str) -> Budget {
        let provider = self.config.providers.iter().find(|provider| provider.name.as_str() == name);
        let asset = self.config.assets.iter().find(|asset| asset.name.as_str() == name);
        let found = if scope == Scope::Provider.as_str() {
            provider.map(|provider| provider.budget)
        } else {
            asset.map(|asset| asset.budget)
        };
        found.unwrap_or_default()
    }

    /// Keeps one process running, as a supervisor does, until the end of the world.
    pub(super) async fn supervises(self: Arc<Self>, place: usize) {
        for number in 0_u32.. {
            let name = format!("daemon-{place}-{number}");
            let life = Life::new(name, Arc::clone(&self.world));
            let stop = Stop::default();
            self.running(|running| running[place] = Some((Arc::clone(&life), stop.clone())));
            self.runs(&life, stop).await;
            life.is_over();
            self.running(|running| running[place] = None);
            let pause = if self.world.likely(0.3) {
                self.world.millis(0, 300_000)
            } else {
                self.world.millis(0, 5_000)
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn runs(&self, life: &Arc<Life>, stop: Stop) {
        let world = &self.world;
        let daemon = match Daemon::new(self.parts(life), stop).await {
            Ok(daemon) => daemon,
            Err(DaemonError::Store(error)) if error.is_passing() => return,
            Err(error) => return world.broken(format!("{} cannot start: {error}", life.name)),
        };
        world.tell(format!("{} starts", life.name));
        let pulse = pulse(Arc::clone(&daemon.shared));
        let process = tokio::spawn(daemon.serve_on(pulse));
        life.is(process.abort_handle());
        match process.await {
            Ok(Ok(_)) => world.tell(format!("{} has stopped", life.name)),
            Ok(Err(error)) => world.broken(format!("{} ended by itself: {error}", life.name)),
            Err(error) if error.is_cancelled() => {}
            Err(error) => world.broken(format!("{} panicked: {error}", life.name)),
        }
    }

    fn parts(&self, life: &Arc<Life>) -> Parts {
        let (world, life) = (&self.world, Arc::clone(life));
        let vendors = SimVendors { world: Arc::clone(world), life: Arc::clone(&life) };
        let vault = SimVault { world: Arc::clone(world), life: Arc::clone(&life) };
        let spool = SimSpool { world: Arc::clone(world), life: Arc::clone(&life) };
        let book = Book::new(
            &self.config,
            Arc::new(vendors) as Arc<dyn Generate>,
            Arc::new(vault) as Arc<dyn Vault>,
        );
        let (shares, names) = (Arc::clone(world), Arc::clone(world));
        Parts {
            book: book.expect("compiles"),
            clock: life.clock(),
            store: Arc::new(SimStore::new(Arc::clone(world), life)) as Arc<dyn Store>,
            random: Arc::new(move || shares.chance(fastrand::Rng::f64)),
            fresh: Arc::new(move || format!("{:032x}", names.chance(|chance| chance.u128(..)))),
            spool: Some(Arc::new(spool) as Arc<dyn Vault>),
            lock_folder: self.folder.path().to_owned(),
        }
    }

    /// Stops every process as an operator does, and waits for none.
    pub(super) fn stops(&self) {
        self.running(|running| {
            for (_, stop) in running.iter().flatten() {
                stop.soon.cancel();
            }
        });
    }

    /// What befalls processes, store and vault until the world is healed.
    pub(super) async fn is_haunted(self: Arc<Self>) {
        let world = &self.world;
        loop {
            tokio::time::sleep(world.millis(20_000, 2_400_000)).await;
            if world.is_healed() {
                return;
            }
            let longest = if world.likely(0.2) { 7_200_000 } else { 900_000 };
            let until = after(world.time(), world.millis(1_000, longest)).min(world.heals_at);
            let place = world.chance(|chance| chance.usize(0..world.plan.daemons));
            let process = self.running(|running| running[place].clone());
            match (world.chance(|chance| chance.u32(0..6)), process) {
                (0, Some((life, _))) if world.plan.daemons_die => life.dies("for no reason"),
                (1, Some((life, _))) if world.plan.daemons_die => {
                    life.stands_still(world.millis(1_000, 200_000));
                }
                (2, Some((_, stop))) if world.plan.daemons_die => {
                    world.count(|count| count.stops += 1);
                    stop.soon.cancel();
                    if world.likely(0.3) {
                        tokio::time::sleep(world.millis(0, 40_000)).await;
                        stop.now.cancel();
                    }
                }
                (3, _) if world.plan.store_fails => {
                    world.tell(format!("the store fails until {}", to_text(until)));
                    world.facts(|facts| facts.store_fails_until = Some(until));
                }
                (4, _) if world.plan.store_fails => {
                    world.tell(format!("the vault is full until {}", to_text(until)));
                    world.facts(|facts| facts.vault_fails_until = Some(until));
                }
                (5, _) if world.plan.clock_is_set => {
                    // A little, as a time server does, or much, as a person does.
                    let by = world.chance(|chance| {
                        let seconds = if chance.bool() { chance.i64(1..9) } else { chance.i64(15..7_200) };
                        if chance.bool() { seconds } else { -seconds }
                    });
                    world.sets_the_clock(TimeDelta::seconds(by));
                }
                (_, _) => {}
            }
        }
    }

    /// What people do until the world is healed.
    pub(super) async fn is_peopled(self: Arc<Self>) {
        let world = &self.world;
        let span = u64::from(world.plan.hours) * 3_600_000 / u64::from(world.plan.jobs);
        while !world.is_healed() {
            tokio::time::sleep(world.millis(0, span * 2)).await;
            self.enqueues().await;
            if world.plan.people && world.likely(0.4) {
                self.meddles().await;
            }
            law::something_was_written(world);
            law::every_row_is_lawful(world, &self);
        }
        let now = world.now();
        // What was refused a key gets another one, or the same again: nothing else heals that.
        for provider in self.providers() {
            world.store.reset(&provider.name, now).await.expect("reset");
        }
        law::something_was_written(world);
    }

    async fn enqueues(&self) {
        let world = &self.world;
        let many = if world.likely(0.1) { 8 } else { 1 };
        for _ in 0..many {
            let (asset, wish, number, delay) = world.chance(|chance| {
                let asset =
                    *chance.choice(&["social-text", "social-text", "long-text", "note"]).unwrap_or(&"note");
                let wish =
                    chance.choice(&["spare", "house", "manual", "library"]).map(|wish| (*wish).to_owned());
                (asset, wish.filter(|_| chance.f64() < 0.15), chance.u32(..), chance.u64(0..120))
            });
            let poison = world.plan.poison && world.likely(0.03);
            let slug = if poison { format!("{POISON}-{number}") } else { format!("job-{number}") };
            let job = NewJob {
                asset: asset.to_owned(),
                slug: slug.clone(),
                provider_override: wish,
                priority: Some(world.chance(|chance| chance.u8(0..10))),
                run_at: Some(to_text(after(world.now(), Duration::from_secs(delay)))),
                ..NewJob::default()
            };
            let id = world.store.enqueue(&job).await.expect("enqueued");
            world.tell(format!("somebody enqueues job {id}: {asset} {slug}"));
        }
    }

    async fn meddles(&self) {
        let world = &self.world;
        let jobs: Vec<(JobId, JobStatus)> =
            world.store.look(|tables| tables.jobs.values().map(|job| (job.id, job.status)).collect());
        let Some((job, status)) = world.chance(|chance| chance.choice(&jobs).copied()) else { return };
        let label = world.chance(|chance| *chance.choice(&LABELS).unwrap_or(&"house"));
        let provider = ProviderName::parse(label).expect("valid");
        let now = world.now();
        let what = match world.chance(|chance| chance.u32(0..6)) {
            0 => world.store.cancel(job).await.map(|()| "cancels"),
            1 | 2 if status.is_settled() => {
                let wish = world.likely(0.2).then_some(label);
                let retried = world.store.retry(job, wish).await;
                if retried.is_ok() {
                    world.facts(|facts| *facts.lives.entry(job).or_default() += 1);
                }
                retried.map(|()| "retries")
            }
            3 => {
                let text = Some("By a person.".to_owned());
                let provided = Provided { url: None, text, content_type: None, metadata: None };
                world.store.provide(job, &provided, now).await.map(|()| "provides")
            }
            4 => {
                let until = world.likely(0.7).then(|| after(now, world.millis(0, 3_600_000)));
                world.store.pause(&provider, until, now).await.map(|()| "pauses")
            }
            _ => world.store.reset(&provider, now).await.map(|()| "resets"),
        };
        if let Ok(what) = what {
            world.tell(format!("somebody {what} (job {job}, {provider})"));
        }
    }

    /// Whether every job has come to its end.
    pub(super) fn is_quiet(&self) -> bool {
        let open: BTreeSet<JobId> = self.world.store.look(|tables| {
            let open = tables.jobs.values().filter(|job| !job.status.is_settled());
            open.map(|job| job.id).collect()
        });
        open.is_empty()
    }

    fn running<T>(&self, change: impl FnOnce(&mut Vec<Process>) -> T) -> T {
        change(&mut self.running.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What the queue's schedule does: it wakes.
async fn pulse(shared: Arc<Shared>) -> Result<(), DaemonError> {
    loop {
        tokio::time::sleep(Duration::from_secs(10)).await;
        shared.wake.notify_one();
    }
}
