//! What holds for every order of calls and verdicts.

use proptest::prelude::*;

use super::tests::{asset, at, limits};
use super::*;

/// What happens next: a call that may cost so much wants to begin, or the oldest call under way ends.
#[derive(Debug, Clone)]
enum Event {
    Begin(i64),
    /// It costs at most what was reserved: that share of it, in percent.
    End(i64),
    Unknown,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        4 => (1_i64..500).prop_map(Event::Begin),
        2 => (0_i64..=100).prop_map(Event::End),
        1 => Just(Event::Unknown),
    ];
    proptest::collection::vec(event, 0..200)
}

proptest! {
    #[test]
    fn what_is_reserved_and_spent_never_exceeds_a_limit_and_all_verdicts_leave_nothing_reserved(
        events in events(),
        day in 0_i64..5_000,
        month in 0_i64..5_000,
    ) {
        let now = at("2026-11-24T10:00:00.000Z");
        let asset_budget = limits(None, Some(month));
        let provider_budget = limits(Some(day), None);
        let (mut provider, mut of_asset) = (Counter::default(), Counter::default());
        let mut under_way: Vec<i64> = Vec::new();
        let mut cost = 0;
        let mut end = |reserved: i64, event: &Event, counters: [&mut Counter; 2]| {
            let cost_of = match event {
                Event::End(share) => cost_of_verdict(false, reserved, reserved * share / 100),
                Event::Begin(_) | Event::Unknown => cost_of_verdict(true, reserved, 0),
            };
            cost += cost_of;
            counters.into_iter().for_each(|counter| counter.settle(reserved, cost_of));
        };
        for event in events {
            if let Event::Begin(micros) = event {
                let asset = asset(asset_budget).name;
                let wish = Reservation { asset, micros, provider_budget, asset_budget };
                let used_up = wish.used_up(now, |scope, _| match scope {
                    Scope::Provider => provider,
                    Scope::Asset => of_asset,
                });
                let fits = provider.used() + micros <= day && of_asset.used() + micros <= month;
                prop_assert_eq!(used_up.is_none(), fits);
                if used_up.is_none() {
                    provider.reserve(micros);
                    of_asset.reserve(micros);
                    under_way.push(micros);
                }
            } else if !under_way.is_empty() {
                end(under_way.remove(0), &event, [&mut provider, &mut of_asset]);
            }
            prop_assert!(provider.used() <= day && of_asset.used() <= month);
            prop_assert_eq!(provider.reserved, under_way.iter().sum::<i64>());
        }
        for reserved in under_way {
            end(reserved, &Event::Unknown, [&mut provider, &mut of_asset]);
        }
        prop_assert_eq!(provider, Counter { reserved: 0, spent: cost });
        prop_assert_eq!(of_asset, provider);
    }

    #[test]
    fn money_is_read_as_it_is_written(micros in 0_i64..i64::MAX / 2) {
        prop_assert_eq!(micros_of(dollars(micros).trim_start_matches('$')), Some(micros));
    }
}
