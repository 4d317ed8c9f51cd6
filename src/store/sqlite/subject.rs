//! The SQLite store as the conformance suite drives it, and a person with a shell beside it.

use async_trait::async_trait;
use serde_json::Value;
use sqlx::sqlite::SqliteRow;
use sqlx::{Column, Row as _, TypeInfo, ValueRef};

use super::SqliteStore;
use crate::domain::job::JobId;
use crate::domain::time::{Timestamp, to_text};
use crate::store::conformance::{Row, Subject, Table, suite};
use crate::store::{Store, StoreError};

/// A store on a file of its own.
pub(in crate::store) struct SqliteSubject {
    store: SqliteStore,
    _folder: tempfile::TempDir,
}

impl SqliteSubject {
    pub(in crate::store) async fn empty() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, _) = SqliteStore::open(&folder.path().join("backstop.db")).await.expect("opens");
        Self { store, _folder: folder }
    }

    /// One statement of a person's about one job.
    async fn say(
        &self,
        statement: &'static str,
        job: JobId,
        value: Option<String>,
    ) -> Result<(), StoreError> {
        sqlx::query(statement).bind(job.0).bind(value).execute(&self.store.pools.writer).await?;
        Ok(())
    }
}

#[async_trait]
impl Subject for SqliteSubject {
    fn store(&self) -> &dyn Store {
        &self.store
    }

    async fn cancels(&self, job: JobId) -> Result<(), StoreError> {
        self.say("UPDATE jobs SET status = 'cancelled' WHERE id = $1", job, None).await
    }

    async fn sends_round_again(&self, job: JobId) -> Result<(), StoreError> {
        self.say("UPDATE jobs SET status = 'pending' WHERE id = $1", job, None).await
    }

    async fn provides(&self, job: JobId, text: &str) -> Result<(), StoreError> {
        self.say("UPDATE jobs SET status = 'done', text = $2 WHERE id = $1", job, Some(text.to_owned())).await
    }

    async fn puts_off(&self, job: JobId, run_at: Timestamp) -> Result<(), StoreError> {
        self.say("UPDATE jobs SET run_at = $2 WHERE id = $1", job, Some(to_text(run_at))).await
    }

    async fn deletes(&self, job: JobId) -> Result<(), StoreError> {
        self.say("DELETE FROM jobs WHERE id = $1", job, None).await
    }

    async fn rows(&self, table: Table) -> Vec<Row> {
        let all = match table {
            Table::Jobs => "SELECT * FROM jobs ORDER BY id",
            Table::Runs => "SELECT * FROM runs ORDER BY id",
            Table::Attempts => "SELECT * FROM attempts ORDER BY id",
            Table::AssetHealth => "SELECT * FROM asset_health ORDER BY asset",
            Table::ProviderHealth => "SELECT * FROM provider_health ORDER BY provider",
            Table::Notices => "SELECT * FROM notices ORDER BY id",
            Table::Ticks => "SELECT * FROM recurring_ticks ORDER BY schedule, tick",
            Table::Spending => "SELECT * FROM spending ORDER BY period, scope, name",
            Table::Staged => "SELECT * FROM staged ORDER BY key",
            Table::Calls => "SELECT * FROM provider_calls ORDER BY id",
        };
        let rows = sqlx::query(all).fetch_all(&self.store.pools.readers).await.expect("reads");
        let mut rows: Vec<Row> = rows.iter().map(columns).collect();
        if matches!(table, Table::AssetHealth | Table::ProviderHealth) {
            for row in &mut rows {
                row.remove("updated_at");
            }
        }
        rows
    }
}

fn columns(row: &SqliteRow) -> Row {
    let value = |column: &sqlx::sqlite::SqliteColumn| {
        let raw = row.try_get_raw(column.ordinal()).expect("a column");
        if raw.is_null() {
            return Value::Null;
        }
        if raw.type_info().name() == "INTEGER" {
            return Value::from(row.get::<i64, _>(column.ordinal()));
        }
        let text: String = row.get(column.ordinal());
        match column.name() {
            "input" | "metadata" | "chain" | "output" => serde_json::from_str(&text).expect("JSON"),
            _ => Value::String(text),
        }
    };
    row.columns().iter().map(|column| (column.name().to_owned(), value(column))).collect()
}

suite!(SqliteSubject::empty());
