//! What may happen in the life of a queue, and how often.

use proptest::option;
use proptest::prelude::*;

use crate::domain::failure::FailureClass;
use crate::domain::time::{Timestamp, from_text};

/// One thing that happens.
#[derive(Debug, Clone)]
pub(super) enum Deed {
    Passes { seconds: u16 },
    Claims { worker: usize, most: u32, limit: u32, only_bought: bool },
    Renews { worker: usize },
    Crashes { worker: usize, certain: bool },
    Writes { entries: Vec<Choice> },
    Settles { age: u16 },
    TakesProbe { provider: usize, job: i64, seconds: u16 },
    Says(Said),
}

/// One entry of the ledger, about a claim or a call that lies so far back.
#[derive(Debug, Clone)]
pub(super) enum Choice {
    Begin { back: usize, bounded: bool },
    Enter { back: usize },
    Reenter { back: usize },
    Accept { back: usize },
    Abandon { back: usize },
    Stage { back: usize },
    FreeProbe { back: usize },
    Settle { back: usize, free: bool, failure: Option<FailureClass>, probe: Option<usize> },
    Finish { back: usize, ending: Ending, delivers: bool, refuses: bool },
}

/// How a run ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    Done,
    Manual,
    Failed,
    Later,
    HandBack { keep_open: bool },
}

/// What a person says.
#[derive(Debug, Clone)]
pub(super) enum Said {
    Enqueues { image: bool, priority: u8, delay: u8, wish_for: Option<String>, key: Option<String> },
    Cancels { job: i64 },
    Retries { job: i64, wish_for: Option<String> },
    Provides { job: i64, url: bool },
    ProvidesFile { job: i64 },
    PutsOff { job: i64, delay: u8 },
    Deletes { job: i64 },
    Pauses { provider: usize, seconds: Option<u8> },
    Resets { provider: usize },
    Ticks { minute: u8, key: Option<String> },
    Tells { most: u32 },
    Prunes { age: u16 },
    Reads,
}

pub(super) fn deed() -> impl Strategy<Value = Deed> {
    let worker = 0_usize..3;
    prop_oneof![
        3 => prop_oneof![1_u16..30, 30_u16..200].prop_map(|seconds| Deed::Passes { seconds }),
        6 => (worker.clone(), 0_u32..4, 1_u32..5, proptest::bool::weighted(0.2)).prop_map(
            |(worker, most, limit, only_bought)| Deed::Claims { worker, most, limit, only_bought }
        ),
        2 => worker.clone().prop_map(|worker| Deed::Renews { worker }),
        1 => (worker, any::<bool>()).prop_map(|(worker, certain)| Deed::Crashes { worker, certain }),
        12 => proptest::collection::vec(entry(), 1..4).prop_map(|entries| Deed::Writes { entries }),
        2 => (0_usize..2, job(), 1_u16..200)
            .prop_map(|(provider, job, seconds)| Deed::TakesProbe { provider, job, seconds }),
        1 => (0_u16..200).prop_map(|age| Deed::Settles { age }),
        12 => said().prop_map(Deed::Says),
    ]
}

fn entry() -> impl Strategy<Value = Choice> {
    let back = || 0_usize..4;
    prop_oneof![
        4 => (back(), any::<bool>()).prop_map(|(back, bounded)| Choice::Begin { back, bounded }),
        2 => back().prop_map(|back| Choice::Enter { back }),
        1 => back().prop_map(|back| Choice::Reenter { back }),
        2 => back().prop_map(|back| Choice::Accept { back }),
        1 => back().prop_map(|back| Choice::Abandon { back }),
        2 => back().prop_map(|back| Choice::Stage { back }),
        1 => (0_usize..2).prop_map(|back| Choice::FreeProbe { back }),
        4 => (back(), any::<bool>(), option::weighted(0.8, failure()), option::weighted(0.3, 0_usize..2))
            .prop_map(|(back, free, failure, probe)| Choice::Settle { back, free, failure, probe }),
        4 => (back(), ending(), any::<bool>(), any::<bool>()).prop_map(|(back, ending, delivers, refuses)| {
            Choice::Finish { back, ending, delivers, refuses }
        }),
    ]
}

fn ending() -> impl Strategy<Value = Ending> {
    prop_oneof![
        Just(Ending::Done),
        Just(Ending::Manual),
        Just(Ending::Failed),
        Just(Ending::Later),
        any::<bool>().prop_map(|keep_open| Ending::HandBack { keep_open }),
    ]
}

fn failure() -> impl Strategy<Value = FailureClass> {
    let until = || option::of((1_u32..600).prop_map(hint));
    prop_oneof![
        4 => Just(FailureClass::Transient),
        1 => until().prop_map(|until| FailureClass::RateLimited { until }),
        1 => until().prop_map(|until| FailureClass::Quota { until }),
        1 => Just(FailureClass::Auth),
        1 => Just(FailureClass::Refused { category: None }),
        1 => Just(FailureClass::Internal),
        1 => Just(FailureClass::UnknownOutcome),
    ]
}

fn hint(second: u32) -> Timestamp {
    let start = from_text("2100-01-01T00:00:00.000Z").expect("valid");
    start + chrono::TimeDelta::seconds(i64::from(second))
}

fn job() -> impl Strategy<Value = i64> {
    1_i64..12
}

fn wish_for() -> impl Strategy<Value = Option<String>> {
    let label = prop_oneof![Just("second"), Just("third"), Just("manual"), Just("lummi"), Just("nobody")];
    option::weighted(0.3, label.prop_map(str::to_owned))
}

fn key() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.3, prop_oneof![Just("k1".to_owned()), Just("k2".to_owned())])
}

fn said() -> impl Strategy<Value = Said> {
    let provider = || 0_usize..2;
    prop_oneof![
        8 => (any::<bool>(), 3_u8..7, prop_oneof![Just(0_u8), 0_u8..90], wish_for(), key()).prop_map(
            |(image, priority, delay, wish_for, key)| Said::Enqueues { image, priority, delay, wish_for, key }
        ),
        2 => job().prop_map(|job| Said::Cancels { job }),
        3 => (job(), wish_for()).prop_map(|(job, wish_for)| Said::Retries { job, wish_for }),
        1 => (job(), any::<bool>()).prop_map(|(job, url)| Said::Provides { job, url }),
        1 => job().prop_map(|job| Said::ProvidesFile { job }),
        1 => (job(), any::<u8>()).prop_map(|(job, delay)| Said::PutsOff { job, delay }),
        1 => job().prop_map(|job| Said::Deletes { job }),
        1 => (provider(), option::of(any::<u8>()))
            .prop_map(|(provider, seconds)| Said::Pauses { provider, seconds }),
        1 => provider().prop_map(|provider| Said::Resets { provider }),
        1 => (0_u8..4, key()).prop_map(|(minute, key)| Said::Ticks { minute, key }),
        1 => (1_u32..4).prop_map(|most| Said::Tells { most }),
        1 => (0_u16..400).prop_map(|age| Said::Prunes { age }),
        2 => Just(Said::Reads),
    ]
}
