//! The promises that hold of every row at any time: of jobs, of repeats, of money.

use std::collections::BTreeMap;

use super::super::house::{House, MAX_RUNS};
use super::super::vendor::repeat_of;
use super::super::world::World;
use crate::domain::budget::{Counter, Scope, Span, cost_of_verdict};
use crate::domain::failure::{FailureClass, Verdict};
use crate::domain::job::{AttemptId, JobStatus};
use crate::domain::provider::{Provider, Repeat};
use crate::store::memory::tables::{AttemptRecord, JobRecord, Tables};

/// What must hold of every row at any time.
pub(in super::super) fn every_row_is_lawful(world: &World, house: &House) {
    let providers = house.providers();
    world.store.look(|tables| {
        for job in tables.jobs.values() {
            a_job_is_lawful(world, tables, job);
        }
        the_money_is_right(world, tables, house);
        for run in tables.runs.values() {
            let of_run = tables.attempts.values().filter(|attempt| attempt.run == run.id);
            let mut paid: Vec<&AttemptRecord> = of_run
                .filter(|attempt| attempt.status != "skipped" && repeat_of(&attempt.provider) == Repeat::Paid)
                .collect();
            paid.sort_by_key(|attempt| (attempt.position, attempt.repeat));
            for pair in paid.windows(2) {
                let [first, second] = pair else { continue };
                if first.position == second.position {
                    a_repeat_is_lawful(world, providers, first, second);
                }
            }
        }
    });
}

fn a_job_is_lawful(world: &World, tables: &Tables, job: &JobRecord) {
    let id = job.id;
    if job.status.is_settled() {
        world.law(job.provider_override.is_none(), || format!("the override of job {id} survived it"));
        world.law(job.lease.is_none(), || format!("job {id} is settled and leased"));
        world.law(tables.open_run(id).is_none(), || format!("job {id} is settled and its run goes on"));
    }
    let most = MAX_RUNS;
    world.law(job.runs <= most, || format!("job {id} had {} runs of {most}", job.runs));
    let comes_back = job.status == JobStatus::Pending;
    world.law(!comes_back || job.runs < most, || format!("job {id} comes back after {} runs", job.runs));
    let open = tables.runs.values().filter(|run| run.job == id && run.finished_at.is_none()).count();
    world.law(open <= 1, || format!("job {id} has {open} open runs"));
}

/// A paid call is repeated only where the verdict on the one before says so.
fn a_repeat_is_lawful(world: &World, providers: &[Provider], first: &AttemptRecord, second: &AttemptRecord) {
    let place = || format!("run {}, link {}, repeat {}", first.run, first.position, second.repeat);
    let Some(provider) = providers.iter().find(|provider| provider.name == first.provider) else { return };
    world.law(first.repeat < second.repeat, || format!("{}: two calls have one number", place()));
    let class = first.class.and_then(FailureClass::parse);
    let lawful = match class {
        Some(FailureClass::Internal) => true,
        // Its hint is not in the row; the walk waits for a short one.
        Some(FailureClass::RateLimited { .. }) => first.repeat < provider.retries.max(1),
        Some(class) => {
            let verdict = class.verdict(first.repeat, provider.retries, provider.on_unknown);
            verdict == Verdict::Repeat
        }
        // A stale worker's verdict on an operation came first, and who adopted it was told otherwise.
        None => world.facts(|facts| facts.adopted.contains(&AttemptId(first.id))),
    };
    world.law(lawful, || format!("{}: it was repeated after {:?} {:?}", place(), first.status, first.class));
}

/// What is put aside is what calls under way may cost, and nothing more; what is spent is the sum of the ledger; and
/// both together are within every budget.
fn the_money_is_right(world: &World, tables: &Tables, house: &House) {
    let mut sums: BTreeMap<(String, &str, String), Counter> = BTreeMap::new();
    for attempt in tables.attempts.values().filter(|attempt| attempt.asset.is_some()) {
        let asset = attempt.asset.as_ref().map(|asset| (Scope::Asset, asset.to_string()));
        for (scope, name) in asset.into_iter().chain([(Scope::Provider, attempt.provider.to_string())]) {
            for span in Span::ALL {
                let key = (span.period(attempt.started_at), scope.as_str(), name.clone());
                let sum = sums.entry(key).or_default();
                if attempt.is_open() {
                    sum.reserved += attempt.reserved_micros;
                } else {
                    let unknown = attempt.status == "unknown";
                    sum.spent += cost_of_verdict(unknown, attempt.reserved_micros, attempt.cost_micros);
                }
            }
        }
    }
    for (key, counter) in &tables.spending {
        let sum = sums.get(key).copied().unwrap_or_default();
        world.law(*counter == sum, || format!("{key:?} counts {counter:?}, and the ledger {sum:?}"));
        let budget = house.budget(key.1, &key.2);
        let limit = if key.0.len() == "2026-11".len() { budget.month_micros } else { budget.day_micros };
        let within = limit.is_none_or(|limit| counter.used() <= limit);
        world.law(within, || format!("{key:?} counts {counter:?}, and its budget is {limit:?}"));
    }
}
