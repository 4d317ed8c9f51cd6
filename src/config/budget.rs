//! Budgets: what a provider or an asset may cost per day and per month, in US dollars.

use crate::domain::budget::{Budget, micros_of};

use super::reader::Item;

/// Nobody means more dollars than this.
const MOST_DOLLARS: i64 = 1_000_000_000;

const ADVICE: &str = "write budget = { day = 5.00, month = 100 }, or one of the two";

/// Reads `budget = { day = 5.00, month = 100 }`.
pub(super) fn read(item: Item<'_>) -> Option<Budget> {
    let whole = item.clone();
    let mut table = item.table()?;
    let (day, month) = (table.take("day"), table.take("month"));
    if table.is_empty() && day.is_none() && month.is_none() {
        whole.wrong("says no limit", ADVICE);
        return None;
    }
    table.finish();
    Some(Budget { day_micros: day.and_then(dollars), month_micros: month.and_then(dollars) })
}

/// Dollars, exact to the micro-dollar: they are compared with sums of what calls cost.
fn dollars(item: Item<'_>) -> Option<i64> {
    let micros = item.decimal().as_deref().and_then(micros_of);
    let found = micros.filter(|micros| *micros <= MOST_DOLLARS * 1_000_000);
    if found.is_none() {
        let wrong = format!("must be dollars from 0 to {MOST_DOLLARS}, with at most 6 decimals");
        item.wrong(wrong, format!("it is {}", item.shown()));
    }
    found
}
