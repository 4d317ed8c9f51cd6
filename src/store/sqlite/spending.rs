//! What is reserved and spent: the counters that budgets are held to. The schema's triggers settle them.

use serde_json::json;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};

use crate::domain::budget::{Counter, Reservation, Scope, Span, Spending, UsedUp};
use crate::domain::name::ProviderName;
use crate::domain::time::{Timestamp, to_text};
use crate::store::error::StoreError;

/// The counters of a day and a month. Their number is that of the providers and assets that cost something.
pub(super) const COUNTERS: &str = "
    SELECT scope, period, name, reserved_micros, spent_micros FROM spending WHERE period IN ($1, $2)";

/// The four counters of one call.
pub(super) const OF_A_CALL: &str = "
    SELECT s.scope, s.period, s.name, s.reserved_micros, s.spent_micros
    FROM json_each($1) AS own JOIN spending AS s
        ON s.period = own.value ->> 0 AND s.scope = own.value ->> 1 AND s.name = own.value ->> 2";

/// A counter below zero, which only a hand that ignores the checks can write, would refuse the verdict of every call.
pub(super) const RESERVE: &str = "
    INSERT INTO spending (period, scope, name, reserved_micros)
    SELECT value ->> 0, value ->> 1, value ->> 2, $2 FROM json_each($1) WHERE true
    ON CONFLICT (period, scope, name) DO UPDATE
        SET reserved_micros = max(0, min(reserved_micros, 1000000000000000000)) + excluded.reserved_micros,
            spent_micros = max(0, spent_micros)";

/// What a call's four counters are named by: JSON rows of period, scope and name.
fn keys(reservation: &Reservation, provider: &ProviderName, at: Timestamp) -> String {
    let name = |scope| match scope {
        Scope::Provider => provider.as_str(),
        Scope::Asset => reservation.asset.as_str(),
    };
    let pairs = Scope::ALL.into_iter().flat_map(|scope| Span::ALL.map(|span| (scope, span)));
    let keys: Vec<_> =
        pairs.map(|(scope, span)| json!([span.period(at), scope.as_str(), name(scope)])).collect();
    json!(keys).to_string()
}

/// The budget that has no room for a call, if there is one. Nothing is read where there is no limit.
pub(super) async fn used_up(
    tx: &mut SqliteConnection,
    reservation: &Reservation,
    provider: &ProviderName,
    at: Timestamp,
) -> Result<Option<UsedUp>, StoreError> {
    if !reservation.is_limited() {
        return Ok(None);
    }
    let rows = sqlx::query(OF_A_CALL).bind(keys(reservation, provider, at)).fetch_all(tx).await?;
    Ok(spending_of(&rows, at).used_up(reservation, provider, at))
}

/// Puts aside what a call may cost, in its day and its month, for its provider and its asset.
pub(super) async fn reserve(
    tx: &mut SqliteConnection,
    reservation: &Reservation,
    provider: &ProviderName,
    at: Timestamp,
) -> Result<(), StoreError> {
    if reservation.micros > 0 {
        let keys = keys(reservation, provider, at);
        sqlx::query(RESERVE).bind(keys).bind(reservation.micros).execute(tx).await?;
    }
    Ok(())
}

/// Every counter of the day and the month around `at`.
pub(super) async fn spending(readers: &SqlitePool, at: Timestamp) -> Result<Spending, StoreError> {
    let rows = sqlx::query(COUNTERS)
        .bind(Span::Day.period(at))
        .bind(Span::Month.period(at))
        .fetch_all(readers)
        .await?;
    Ok(spending_of(&rows, at))
}

fn spending_of(rows: &[SqliteRow], at: Timestamp) -> Spending {
    let (mut spending, day) = (Spending::default(), Span::Day.period(at));
    for row in rows {
        // Only a name that is no text cannot be read, and nobody of ours has such a name.
        let Ok((scope, span, name, counter)) = counter(row, &day) else { continue };
        spending.insert(scope, span, name, counter);
    }
    spending
}

fn counter(row: &SqliteRow, day: &str) -> Result<(Scope, Span, String, Counter), sqlx::Error> {
    let (scope, period): (&str, &str) = (row.try_get(0)?, row.try_get(1)?);
    let scope = if scope == Scope::Provider.as_str() { Scope::Provider } else { Scope::Asset };
    let span = if period == day { Span::Day } else { Span::Month };
    Ok((scope, span, row.try_get(2)?, Counter { reserved: row.try_get(3)?, spent: row.try_get(4)? }))
}

/// How long a counter outlives the jobs it counts: as long as somebody compares a month with that of a year ago.
const KEPT_LONGER: chrono::Days = chrono::Days::new(400);

/// Deletes the counters of periods that ended long before `before`.
pub(super) async fn prune(tx: &mut SqliteConnection, before: Timestamp) -> Result<(), StoreError> {
    let Some(before) = before.checked_sub_days(KEPT_LONGER) else { return Ok(()) };
    // The month of that day has not ended: it and its days stay. As text, a month's days come after the month itself.
    let month: String = to_text(before).chars().take(7).collect();
    sqlx::query("DELETE FROM spending WHERE period < $1").bind(month).execute(tx).await?;
    Ok(())
}

#[cfg(test)]
mod tests;
