//! Writes the mirrors of the configuration, for the people and the checks that read the database.

use sqlx::sqlite::SqliteConnection;

use super::open::Pools;
use crate::domain::asset::{Asset, OnExhausted};
use crate::domain::provider::Provider;
use crate::domain::time::{Timestamp, to_text};
use crate::store::error::StoreError;

/// Brings `assets`, `asset_aliases` and `providers` up to date and says how many rows changed. Nothing is
/// deleted: a second daemon with another configuration may use the same file, and old jobs keep their names.
///
/// # Errors
/// When the database fails; then nothing was written.
pub async fn mirror(
    pools: &Pools,
    assets: &[Asset],
    providers: &[Provider],
    now: Timestamp,
) -> Result<u64, StoreError> {
    let now = to_text(now);
    let mut tx = pools.writer.begin_with("BEGIN IMMEDIATE").await?;
    let mut changed = 0;
    for asset in assets {
        changed += write_asset(&mut tx, asset, &now).await?;
    }
    for provider in providers {
        changed += write_provider(&mut tx, provider, &now).await?;
    }
    tx.commit().await?;
    Ok(changed)
}

async fn write_asset(tx: &mut SqliteConnection, asset: &Asset, now: &str) -> Result<u64, StoreError> {
    let chain = serde_json::json!(asset.chain).to_string();
    let on_exhausted = match asset.on_exhausted {
        OnExhausted::Manual => "manual",
        OnExhausted::Fail => "fail",
    };
    // The WHERE leaves a row that says the same untouched, so that nobody who watches the file wakes up.
    let mut changed = sqlx::query(
        "INSERT INTO assets (name, medium, chain, max_runs, give_up_after, on_exhausted, updated_at,
             budget_day_micros, budget_month_micros)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (name) DO UPDATE SET medium = excluded.medium, chain = excluded.chain,
             max_runs = excluded.max_runs, give_up_after = excluded.give_up_after,
             on_exhausted = excluded.on_exhausted, updated_at = excluded.updated_at,
             budget_day_micros = excluded.budget_day_micros, budget_month_micros = excluded.budget_month_micros
         WHERE (medium, chain, max_runs, give_up_after, on_exhausted, budget_day_micros, budget_month_micros)
             IS NOT (excluded.medium, excluded.chain, excluded.max_runs, excluded.give_up_after,
                 excluded.on_exhausted, excluded.budget_day_micros, excluded.budget_month_micros)",
    )
    .bind(asset.name.as_str())
    .bind(asset.medium.as_str())
    .bind(chain)
    .bind(i64::from(asset.max_runs))
    .bind(i64::try_from(asset.give_up_after.as_secs()).unwrap_or(i64::MAX))
    .bind(on_exhausted)
    .bind(now)
    .bind(asset.budget.day_micros)
    .bind(asset.budget.month_micros)
    .execute(&mut *tx)
    .await?
    .rows_affected();
    for alias in asset.name.aliases() {
        changed += sqlx::query(
            "INSERT INTO asset_aliases (alias, asset) VALUES ($1, $2)
             ON CONFLICT (alias) DO UPDATE SET asset = excluded.asset WHERE asset IS NOT excluded.asset",
        )
        .bind(alias)
        .bind(asset.name.as_str())
        .execute(&mut *tx)
        .await?
        .rows_affected();
    }
    Ok(changed)
}

async fn write_provider(
    tx: &mut SqliteConnection,
    provider: &Provider,
    now: &str,
) -> Result<u64, StoreError> {
    let written = sqlx::query(
        "INSERT INTO providers (name, title, protocol, medium, model, base_url, supported, updated_at,
             budget_day_micros, budget_month_micros)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (name) DO UPDATE SET title = excluded.title, protocol = excluded.protocol,
             medium = excluded.medium, model = excluded.model, base_url = excluded.base_url,
             supported = excluded.supported, updated_at = excluded.updated_at,
             budget_day_micros = excluded.budget_day_micros, budget_month_micros = excluded.budget_month_micros
         WHERE (title, protocol, medium, model, base_url, supported, budget_day_micros, budget_month_micros)
             IS NOT (excluded.title, excluded.protocol, excluded.medium, excluded.model, excluded.base_url,
                 excluded.supported, excluded.budget_day_micros, excluded.budget_month_micros)",
    )
    .bind(provider.name.as_str())
    .bind(&provider.title)
    .bind(&provider.protocol)
    .bind(provider.medium.as_str())
    .bind(provider.model.as_deref())
    .bind(provider.base_url.as_deref())
    .bind(provider.supported)
    .bind(now)
    .bind(provider.budget.day_micros)
    .bind(provider.budget.month_micros)
    .execute(tx)
    .await?;
    Ok(written.rows_affected())
}
