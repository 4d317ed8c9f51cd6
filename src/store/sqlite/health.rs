//! What is remembered of providers and assets, read and written inside somebody's transaction.

use sqlx::sqlite::SqliteConnection;

use super::decode::{
    self, asset_health_columns, asset_health_is_small, provider_health_columns, provider_health_is_small,
};
use crate::domain::breaker::ProviderHealth;
use crate::domain::health::AssetHealth;
use crate::domain::name::{AssetName, ProviderName};
use crate::domain::time::{Timestamp, to_text};
use crate::store::error::StoreError;

/// What is remembered of `provider`; [`ProviderHealth::unknown`] where there is nothing.
pub(super) async fn load_provider_health(
    conn: &mut SqliteConnection,
    provider: &ProviderName,
) -> Result<ProviderHealth, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        provider_health_columns!(),
        " FROM provider_health WHERE provider = $1 AND ",
        provider_health_is_small!()
    );
    let row = sqlx::query(SQL).bind(provider.as_str()).fetch_optional(conn).await?;
    match row {
        Some(row) => decode::provider_health(&row),
        None => Ok(ProviderHealth::unknown(provider.clone())),
    }
}

/// Writes everything that is remembered of a provider. Where somebody has deleted its mirror, the schema would refuse
/// its row, and with it the verdict that it comes with: such a provider is remembered again when the mirrors are
/// written anew, at the next start or reload. Says whether it was written.
pub(super) async fn save_provider_health(
    conn: &mut SqliteConnection,
    health: &ProviderHealth,
    now: Timestamp,
) -> Result<bool, StoreError> {
    const SQL: &str = concat!(
        "INSERT INTO provider_health (",
        provider_health_columns!(),
        ", updated_at)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16
         WHERE EXISTS (SELECT 1 FROM providers WHERE name = $1)
         ON CONFLICT (provider) DO UPDATE SET state = excluded.state,
             consecutive_failures = excluded.consecutive_failures,
             last_success_at = excluded.last_success_at, last_failure_at = excluded.last_failure_at,
             last_error = excluded.last_error, last_class = excluded.last_class,
             open_until = excluded.open_until, paused_until = excluded.paused_until, step = excluded.step,
             cool_until = excluded.cool_until, probe_job = excluded.probe_job,
             probe_until = excluded.probe_until, held_class = excluded.held_class,
             held_fingerprint = excluded.held_fingerprint, updated_at = excluded.updated_at"
    );
    let written = sqlx::query(SQL)
        .bind(health.provider.as_str())
        .bind(health.state.as_str())
        .bind(i64::from(health.consecutive_failures))
        .bind(health.last_success_at.map(to_text))
        .bind(health.last_failure_at.map(to_text))
        .bind(health.last_error.as_deref())
        .bind(health.last_class.as_deref())
        .bind(health.open_until.map(to_text))
        .bind(health.paused_until.map(to_text))
        .bind(i64::from(health.step))
        .bind(health.cool_until.map(to_text))
        .bind(health.probe.map(|probe| probe.job.0))
        .bind(health.probe.map(|probe| to_text(probe.until)))
        .bind(health.hold.as_ref().map(|hold| hold.class))
        .bind(health.hold.as_ref().map(|hold| hold.fingerprint.as_str()))
        .bind(to_text(now))
        .execute(conn)
        .await?;
    Ok(written.rows_affected() > 0)
}

/// What is remembered of `asset`; [`AssetHealth::unknown`] where there is nothing.
pub(super) async fn load_asset_health(
    conn: &mut SqliteConnection,
    asset: &AssetName,
) -> Result<AssetHealth, StoreError> {
    const SQL: &str = concat!(
        "SELECT ",
        asset_health_columns!(),
        " FROM asset_health WHERE asset = $1 AND ",
        asset_health_is_small!()
    );
    let row = sqlx::query(SQL).bind(asset.as_str()).fetch_optional(conn).await?;
    match row {
        Some(row) => decode::asset_health(&row),
        None => Ok(AssetHealth::unknown(asset.clone())),
    }
}

/// Writes everything that is remembered of an asset.
pub(super) async fn save_asset_health(
    conn: &mut SqliteConnection,
    health: &AssetHealth,
    now: Timestamp,
) -> Result<(), StoreError> {
    const SQL: &str = concat!(
        "INSERT INTO asset_health (",
        asset_health_columns!(),
        ", updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (asset) DO UPDATE SET last_success_at = excluded.last_success_at,
             last_failure_at = excluded.last_failure_at, last_error = excluded.last_error,
             last_resolved_source = excluded.last_resolved_source,
             last_fallback_used = excluded.last_fallback_used,
             primary_provider = excluded.primary_provider,
             primary_last_failure_at = excluded.primary_last_failure_at,
             primary_last_error = excluded.primary_last_error, updated_at = excluded.updated_at"
    );
    sqlx::query(SQL)
        .bind(health.asset.as_str())
        .bind(health.last_success_at.map(to_text))
        .bind(health.last_failure_at.map(to_text))
        .bind(health.last_error.as_deref())
        .bind(health.last_resolved_source.as_deref())
        .bind(health.last_fallback_used)
        .bind(health.primary_provider.as_ref().map(ProviderName::as_str))
        .bind(health.primary_last_failure_at.map(to_text))
        .bind(health.primary_last_error.as_deref())
        .bind(to_text(now))
        .execute(conn)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::breaker::{BreakerState, Hold, Probe};
    use crate::domain::job::JobId;
    use crate::domain::time::from_text;
    use crate::store::sqlite::{migrate, open};

    fn at(second: u32) -> Option<Timestamp> {
        from_text(&format!("2026-11-22T13:49:{second:02}.000Z"))
    }

    #[tokio::test]
    async fn what_is_saved_of_a_provider_and_an_asset_is_what_is_loaded() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("backstop.db");
        let pools = open::open(&path).await.expect("opens");
        migrate::migrate(&pools, &path).await.expect("migrates");
        sqlx::query(
            "INSERT INTO providers (name, title, protocol, medium, supported, updated_at)
             VALUES ('lummi', 'Lummi', 'lummi', 'image', 1, '2026')",
        )
        .execute(&pools.writer)
        .await
        .expect("mirrors");
        let mut conn = pools.writer.acquire().await.expect("a connection");
        let now = at(0).expect("valid");

        let lummi = ProviderName::parse("lummi").expect("valid");
        let loaded = load_provider_health(&mut conn, &lummi).await.expect("loads");
        assert_eq!(loaded, ProviderHealth::unknown(lummi.clone()));
        let mut health = ProviderHealth {
            provider: lummi.clone(),
            state: BreakerState::HalfOpen,
            consecutive_failures: 3,
            last_success_at: at(1),
            last_failure_at: at(2),
            last_error: Some("HTTP 503".to_owned()),
            last_class: Some("transient".to_owned()),
            open_until: at(3),
            step: 2,
            cool_until: at(4),
            paused_until: at(5),
            probe: at(6).map(|until| Probe { job: JobId(7), until }),
            hold: Some(Hold { class: "auth", fingerprint: "f1".to_owned() }),
        };
        for _ in 0..2 {
            save_provider_health(&mut conn, &health, now).await.expect("saves");
            assert_eq!(load_provider_health(&mut conn, &lummi).await.expect("loads"), health);
            health.reset();
        }

        let hero = AssetName::parse("hero-image").expect("valid");
        let loaded = load_asset_health(&mut conn, &hero).await.expect("loads");
        assert_eq!(loaded, AssetHealth::unknown(hero.clone()));
        let mut health = AssetHealth {
            asset: hero.clone(),
            last_success_at: at(1),
            last_failure_at: at(2),
            last_error: Some("nobody could".to_owned()),
            last_resolved_source: Some("lummi".to_owned()),
            last_fallback_used: Some(true),
            primary_provider: Some(lummi),
            primary_last_failure_at: at(3),
            primary_last_error: Some("HTTP 503".to_owned()),
        };
        for _ in 0..2 {
            save_asset_health(&mut conn, &health, now).await.expect("saves");
            assert_eq!(load_asset_health(&mut conn, &hero).await.expect("loads"), health);
            health.primary_provider = None;
        }
    }
}
