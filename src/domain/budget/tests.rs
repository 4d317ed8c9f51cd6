//! Budgets by example.

use std::time::Duration;

use super::*;
use crate::domain::accept::Acceptance;
use crate::domain::asset::{Medium, OnExhausted};
use crate::domain::chain::Chain;
use crate::domain::plan::tests::{name, provider};
use crate::domain::time::from_text;

pub(super) fn at(text: &str) -> Timestamp {
    from_text(text).expect("valid")
}

pub(super) fn asset(budget: Budget) -> Asset {
    Asset {
        name: AssetName::parse("hero-image").expect("valid"),
        medium: Medium::Image,
        chain: Chain::parse(&["a", "b", "manual"]).expect("valid"),
        prompt: String::new(),
        accept: Acceptance::default(),
        max_runs: 3,
        give_up_after: Duration::from_secs(3_600),
        deadline: Duration::from_secs(60),
        on_exhausted: OnExhausted::Manual,
        window: None,
        concurrency: None,
        budget,
    }
}

pub(super) fn limits(day_micros: Option<i64>, month_micros: Option<i64>) -> Budget {
    Budget { day_micros, month_micros }
}

/// A provider's day that is used up.
pub(in crate::domain) fn used_up() -> UsedUp {
    UsedUp {
        scope: Scope::Provider,
        span: Span::Day,
        limit_micros: 5_000_000,
        counter: Counter { reserved: 67_000, spent: 4_900_000 },
        call_micros: 67_000,
        until: at("2026-11-23T00:00:00.000Z"),
    }
}

#[test]
fn a_budget_has_room_until_the_last_micro_dollar() {
    let check = |micros, of: [Budget; 2], used: [i64; 2], expected: Option<(Scope, Span)>| {
        let [provider_budget, asset_budget] = of;
        let asset = asset(asset_budget).name;
        let reservation = Reservation { asset, micros, provider_budget, asset_budget };
        let counter = |scope, span| match (scope, span) {
            (Scope::Provider, Span::Day) => Counter { reserved: 10, spent: used[0] - 10 },
            (Scope::Provider, Span::Month) => Counter { reserved: 0, spent: used[0] },
            (Scope::Asset, Span::Day | Span::Month) => Counter { reserved: used[1], spent: 0 },
        };
        let used_up = reservation.used_up(at("2026-11-24T10:00:00.000Z"), counter);
        assert_eq!(used_up.map(|used_up| (used_up.scope, used_up.span)), expected, "{micros} {used:?}");
    };
    let none = Budget::default();
    let (day, month) = (limits(Some(100), None), limits(None, Some(100)));
    check(40, [none, none], [1_000_000, 1_000_000], None);
    check(40, [day, none], [60, 0], None);
    check(40, [day, none], [61, 0], Some((Scope::Provider, Span::Day)));
    check(40, [month, none], [61, 0], Some((Scope::Provider, Span::Month)));
    check(40, [none, day], [60, 61], Some((Scope::Asset, Span::Day)));
    check(40, [none, month], [60, 60], None);
    check(40, [limits(Some(1_000), Some(100)), day], [61, 61], Some((Scope::Provider, Span::Month)));
    check(101, [day, none], [10, 0], Some((Scope::Provider, Span::Day)));
    check(1, [limits(Some(0), None), none], [10, 0], Some((Scope::Provider, Span::Day)));
    // A price that is not known: by what earlier replies said, and by its own provider's budget alone.
    check(0, [day, none], [99, 0], None);
    check(0, [day, none], [100, 0], Some((Scope::Provider, Span::Day)));
    check(0, [none, day], [0, 1_000], None);
    check(0, [limits(Some(0), None), none], [0, 0], None);
    check(i64::MAX, [day, none], [i64::MAX, 0], Some((Scope::Provider, Span::Day)));
}

#[test]
fn free_calls_reserve_nothing_and_no_call_more_than_a_million() {
    let (mut provider, asset) = (provider("a"), asset(Budget::default()));
    let reserved = |provider: &Provider, micros| {
        Reservation::new(provider, &asset, micros).map(|reservation| reservation.micros)
    };
    assert_eq!(reserved(&provider, 7), Some(7));
    assert_eq!(reserved(&provider, i64::MAX), Some(MOST_OF_A_CALL));
    assert_eq!(reserved(&provider, -1), Some(0));
    provider.repeat = Repeat::Free;
    assert_eq!(reserved(&provider, 7), None);
}

#[test]
fn periods_are_utc_days_and_months() {
    let check = |span: Span, now: &str, period: &str, end: &str| {
        assert_eq!((span.period(at(now)), to_text(span.end(at(now)))), (period.to_owned(), end.to_owned()));
    };
    check(Span::Day, "2026-11-24T23:59:59.999Z", "2026-11-24", "2026-11-25T00:00:00.000Z");
    check(Span::Day, "2026-12-31T00:00:00.000Z", "2026-12-31", "2027-01-01T00:00:00.000Z");
    check(Span::Month, "2026-11-30T23:59:59.999Z", "2026-11", "2026-12-01T00:00:00.000Z");
    check(Span::Month, "2026-12-31T10:00:00.000Z", "2026-12", "2027-01-01T00:00:00.000Z");
    check(Span::Month, "2028-01-31T10:00:00.000Z", "2028-01", "2028-02-01T00:00:00.000Z");
}

#[test]
fn spending_is_looked_up_by_whose_it_is() {
    let mut spending = Spending::default();
    let now = at("2026-11-24T10:00:00.000Z");
    let provider = provider("hero-image");
    let day = limits(Some(100), None);
    let reservation = Reservation {
        asset: asset(Budget::default()).name,
        micros: 10,
        provider_budget: day,
        asset_budget: day,
    };
    assert_eq!(spending.used_up(&reservation, &provider.name, now), None);
    let counter = Counter { reserved: 1, spent: 99 };
    spending.insert(Scope::Asset, Span::Day, "hero-image".to_owned(), counter);
    let used_up = spending.used_up(&reservation, &provider.name, now).expect("used up");
    assert_eq!((used_up.scope, used_up.counter), (Scope::Asset, counter), "both have the same name");
    assert_eq!(spending.used_up(&reservation, &name("b"), now), Some(used_up), "whoever is called");
}

#[test]
fn money_reads_exactly_and_back() {
    let check = |typed: &str, expected: Option<i64>| assert_eq!(micros_of(typed), expected, "{typed}");
    check("0", Some(0));
    check("5", Some(5_000_000));
    check("5.0", Some(5_000_000));
    check("0.1", Some(100_000));
    check("4.35", Some(4_350_000));
    check("0.000001", Some(1));
    check("0.0000010", Some(1));
    check("1.1234567", None);
    check("-1", None);
    check("+1", None);
    check("", None);
    check(".5", None);
    check("1e3", None);
    check("1.2.3", None);
    check("9223372036854", Some(9_223_372_036_854_000_000));
    check("9223372036855", None);
    let check = |micros, expected: &str| assert_eq!(dollars(micros), expected);
    check(0, "$0.00");
    check(5_000_000, "$5.00");
    check(67_000, "$0.067");
    check(1_234_500_001, "$1234.500001");
    check(-50_000, "-$0.05");
}
