//! One queue with its vendor, killed and started again until its plan is through, then drained and judged.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::ledger;
use super::vendor::{Moment, PRICE_MICROS, Vendor};
use crate::daemon::{Killed, Place, block_on};

/// Longest wait for a moment to come; after it the kill is one at a random moment.
const MOST_WAIT: Duration = Duration::from_secs(8);

/// A random kill comes within this time after the start: while it starts, claims, calls, polls, fetches and writes.
const RANDOM_WITHIN: Duration = Duration::from_millis(2_500);

/// The jobs of each round: a text, a picture, a film, and a picture of the other sort.
const SORTS: [&str; 4] = ["text", "picture", "film", "picture"];

/// When a daemon is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kill {
    /// It ends itself at a point in its code.
    Inside(&'static str),
    /// The vendor sees the moment.
    Seen(Moment),
    /// Whenever it is.
    Random,
}

impl Kill {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Inside(point) => point,
            Self::Seen(Moment::Call) => "during-call",
            Self::Seen(Moment::Poll) => "during-poll",
            Self::Seen(Moment::Download) => "during-download",
            Self::Random => "random",
        }
    }
}

/// What a queue has been through.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) kills: BTreeMap<&'static str, usize>,
    pub(super) jobs: usize,
    pub(super) done: usize,
    pub(super) manual: usize,
    /// Paid calls that the vendors received, and the ledger's rows of such calls.
    pub(super) calls: usize,
    pub(super) rows: usize,
    /// Attempts whose fate is not known, and those of them that never reached the vendor.
    pub(super) unknown: usize,
    pub(super) unsent: usize,
    /// Calls that were open at some kill.
    pub(super) in_flight: usize,
}

impl Tally {
    pub(super) fn add(&mut self, other: &Self) {
        for (name, count) in &other.kills {
            *self.kills.entry(name).or_default() += count;
        }
        self.jobs += other.jobs;
        self.done += other.done;
        self.manual += other.manual;
        self.calls += other.calls;
        self.rows += other.rows;
        self.unknown += other.unknown;
        self.unsent += other.unsent;
        self.in_flight += other.in_flight;
    }

    /// The table of a whole run.
    pub(super) fn table(&self, took: Duration) -> String {
        let points = self.kills.iter().map(|(name, count)| (*name, *count));
        let sums = [
            ("kills", self.kills.values().sum()),
            ("jobs", self.jobs),
            ("done", self.done),
            ("manual", self.manual),
            ("paid calls", self.calls),
            ("ledger rows", self.rows),
            ("unknown", self.unknown),
            ("of them unsent", self.unsent),
            ("open at a kill", self.in_flight),
        ];
        let lines: Vec<String> =
            points.chain(sums).map(|(name, count)| format!("{name:<16} {count:>6}")).collect();
        format!("{}\n{:<16} {:>6.1}", lines.join("\n"), "seconds", took.as_secs_f64())
    }
}

/// Calls without a verdict while the daemon was dead, by how far they had come.
#[derive(Debug, Default)]
pub(super) struct Open {
    /// Begun; nothing more is known.
    pub(super) started: BTreeSet<i64>,
    /// Their operation is in the ledger.
    pub(super) accepted: BTreeSet<i64>,
    /// Their file is in the vault.
    pub(super) kept: BTreeSet<i64>,
}

pub(super) struct Lane {
    pub(super) place: Place,
    pub(super) vendor: Vendor,
    pub(super) open: Open,
    pub(super) jobs: i64,
    random: Rng,
    kills: BTreeMap<&'static str, usize>,
}

impl Lane {
    pub(super) fn start(seed: u64) -> Self {
        let vendor = block_on(Vendor::start());
        let place = Place::new(&configuration(&vendor));
        let (open, random) = (Open::default(), Rng::with_seed(seed));
        Self { place, vendor, open, random, jobs: 0, kills: BTreeMap::new() }
    }

    /// Goes through the plan, drains the queue, and judges what is left.
    pub(super) fn endure(mut self, plan: &[Kill]) -> Tally {
        for kill in plan {
            self.enqueue();
            // A death can be proved of one who held something.
            let held = self.place.sql("SELECT count(*) FROM jobs WHERE status = 'running'");
            if *kill == Kill::Inside("after-proof") && held == "0" {
                let name = self.kill_once(Kill::Inside("after-claim"));
                *self.kills.entry(name).or_default() += 1;
            }
            let name = self.kill_once(*kill);
            *self.kills.entry(name).or_default() += 1;
            self.look();
        }
        self.forget_deaths();
        assert!(self.place.drain().success(), "{}", self.place.story());
        let mut tally = ledger::judge(&self);
        tally.kills = self.kills;
        tally
    }

    fn enqueue(&mut self) {
        let rows: Vec<String> = (self.jobs..)
            .zip(SORTS)
            .map(|(number, sort)| {
                format!("('kill-{sort}', 'slug-{number}', 'Make number-{number}, please.')")
            })
            .collect();
        self.jobs += i64::try_from(rows.len()).expect("few");
        self.place.sql(&format!("INSERT INTO jobs (asset, slug, prompt) VALUES {}", rows.join(", ")));
    }

    /// Starts a daemon and kills it. Says when it was.
    fn kill_once(&mut self, kill: Kill) -> &'static str {
        self.forget_deaths();
        let (sender, told) = channel();
        let mut command = self.place.backstop("serve");
        if let Kill::Inside(point) = kill {
            let pass = if matches!(point, "after-proof" | "after-claim" | "after-accept") {
                1
            } else {
                self.random.u8(1..=2)
            };
            command.env("BACKSTOP_KILL_AT", format!("{point}:{pass}"));
        }
        if let Kill::Seen(moment) = kill {
            self.vendor.await_moment(moment, sender.clone());
        }
        let log = File::options().create(true).append(true).open(self.place.file("log-0")).expect("a log");
        let child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the binary");
        let mut child = Killed(child);
        let came = match kill {
            Kill::Inside(_) => ends_by_itself(&mut child, MOST_WAIT),
            Kill::Seen(_) => comes(&told, MOST_WAIT),
            Kill::Random => !comes(&told, RANDOM_WITHIN.mul_f64(self.random.f64())),
        };
        if let Kill::Seen(_) | Kill::Random = kill {
            let status = child.0.try_wait().expect("a child");
            assert!(status.is_none(), "it ended by itself: {status:?}\n{}", self.place.story());
        }
        drop(child);
        self.vendor.await_nothing();
        if came { kill.name() } else { Kill::Random.name() }
    }

    /// Takes note of the calls that were open when the daemon died.
    fn look(&mut self) {
        let rows = self.place.sql(
            "SELECT a.id, a.status, coalesce(s.key, '') FROM attempts AS a
             LEFT JOIN staged AS s ON s.attempt_id = a.id WHERE a.status IN ('started', 'accepted')",
        );
        for row in rows.lines() {
            let mut columns = row.split('|');
            let id: i64 = columns.next().and_then(|id| id.parse().ok()).expect("an id");
            let accepted = columns.next() == Some("accepted");
            let key = columns.next().unwrap_or_default();
            if !key.is_empty() && self.place.file("assets").join(key).exists() {
                self.open.kept.insert(id);
            }
            let open = if accepted { &mut self.open.accepted } else { &mut self.open.started };
            open.insert(id);
        }
    }

    /// A job that two workers died with runs alone, and after three more deaths a person gets it. Here no job is to
    /// blame for a death, and the rule would only hide what the kills are to show.
    fn forget_deaths(&self) {
        self.place.sql("UPDATE jobs SET deaths = 0, solo_deaths = 0 WHERE deaths > 0");
    }
}

/// Whether it dies within this time, by its own hand.
fn ends_by_itself(child: &mut Killed, time: Duration) -> bool {
    let end = Instant::now() + time;
    while Instant::now() < end {
        if let Some(status) = child.0.try_wait().expect("a child") {
            let signal = std::os::unix::process::ExitStatusExt::signal(&status);
            assert_eq!(signal, Some(9), "it ended by itself: {status:?}");
            return true;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

fn comes(told: &Receiver<()>, time: Duration) -> bool {
    match told.recv_timeout(time) {
        Ok(()) => true,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
    }
}

/// Three sorts of assets. A text whose fate is not known is asked of the next provider, a picture once more of the
/// same, a film of the next.
fn configuration(vendor: &Vendor) -> String {
    let mut text = "[queue]\nlease = \"1h\"\n[assets.kill-text]\nmedium = \"text\"\n\
        chain = [\"writer\", \"other-writer\", \"manual\"]\nmax_runs = 100\n\
        [assets.kill-picture]\nmedium = \"image\"\nchain = [\"painter\", \"manual\"]\n\
        [assets.kill-film]\nmedium = \"video\"\nchain = [\"filmer\", \"other-filmer\", \"manual\"]\n"
        .to_owned();
    let providers = [
        ("writer", "openai-chat", "/v1", "next"),
        ("other-writer", "openai-chat", "/v1", "next"),
        ("painter", "openai-images", "/v1", "retry"),
        ("filmer", "veo", "", "next"),
        ("other-filmer", "veo", "", "next"),
    ];
    let price = PRICE_MICROS as f64 / 1e6;
    for (name, protocol, version, on_unknown) in providers {
        let url = vendor.url(name);
        text.push_str(&format!(
            "[providers.{name}]\nprotocol = \"{protocol}\"\nmodel = \"m-1\"\nbase_url = \"{url}{version}\"\n\
             api_key = false\nretries = 2\ntrip_after = 100\nprice = {price}\non_unknown = \"{on_unknown}\"\n\
             budget = {{ month = 1000 }}\n"
        ));
    }
    text
}
