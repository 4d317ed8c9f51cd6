//! `migrate`: brings the database to this program's schema.

use std::sync::Arc;

use serde_json::json;

use super::said::Said;
use super::session::Session;
use super::wire;
use crate::store::Store;

/// Make the database, or bring it up to date, and write the mirrors of the configuration
///
/// Every start does the same; this is for who wants to do it first. Two at once take turns.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  backstop migrate --config /etc/backstop/backstop.toml")]
pub(super) struct Args {}

pub(super) async fn run(session: &Session) -> anyhow::Result<Said> {
    let config = session.config()?;
    let path = wire::database_path(&config);
    let (store, migrated) = wire::database(path).await?;
    store.mirror(&config.assets, &config.providers, (session.clock)()).await?;
    let store = Arc::new(store);
    store.close().await;
    let shown = path.display();
    let text = match (migrated.from, migrated.to) {
        (0, to) => format!("{shown} was made, with schema {to}."),
        (from, to) if from == to => format!("{shown} has schema {to} already; nothing to do."),
        (from, to) => format!("{shown} was brought from schema {from} to {to}."),
    };
    let json = json!({ "database": path, "from": migrated.from, "to": migrated.to });
    Ok(Said::fine(text, json))
}
