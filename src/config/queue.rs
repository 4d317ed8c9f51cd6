//! The queue: its database, when it is drained, how much at once.

use std::path::PathBuf;
use std::time::Duration;

use super::reader::{Item, Table};
use super::{Context, cron};

/// The most that may be in flight at once, anywhere.
pub(super) const MAX_CONCURRENCY: u32 = 10_000;

/// How jobs are fetched and held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Where the jobs are.
    pub database: Database,
    /// When the queue is drained: five or six cron fields, in UTC.
    pub schedule: String,
    /// Most jobs in flight at once.
    pub concurrency: u32,
    /// How long a claim holds without being renewed.
    pub lease: Duration,
    /// How long a synchronous call may go on after the daemon was asked to stop.
    pub grace: Duration,
}

/// Where the jobs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Database {
    /// A file of SQLite.
    Sqlite {
        /// The file, absolute when the working directory was.
        path: PathBuf,
    },
}

pub(super) fn read(context: &Context<'_>, mut table: Table<'_>) -> Queue {
    let seconds = Duration::from_secs;
    let queue = Queue {
        database: table
            .need("database", "write \"sqlite:backstop.db\"")
            .and_then(|item| database(context, item))
            .unwrap_or(Database::Sqlite { path: PathBuf::new() }),
        schedule: table
            .need("schedule", "write \"*/10 * * * * *\"")
            .and_then(|item| cron::read(item, context.now))
            .unwrap_or_default(),
        concurrency: table
            .need("concurrency", "write 64")
            .and_then(|item| item.whole32(1..=MAX_CONCURRENCY))
            .unwrap_or(1),
        lease: table
            .need("lease", "write \"60s\"")
            .and_then(|item| item.duration(seconds(1)..=seconds(3_600)))
            .unwrap_or_default(),
        grace: table
            .need("grace", "write \"90s\"")
            .and_then(|item| item.duration(Duration::ZERO..=seconds(3_600)))
            .unwrap_or_default(),
    };
    table.finish();
    queue
}

fn database(context: &Context<'_>, item: Item<'_>) -> Option<Database> {
    // A database address may hold a password, so it is never shown.
    let text = item.clone().text()?;
    let scheme = text.split_once(':').map(|(scheme, _)| scheme);
    match (scheme, text.strip_prefix("sqlite:")) {
        (Some("postgres" | "postgresql"), _) => {
            item.wrong(
                "PostgreSQL is not supported by this build yet",
                "write \"sqlite:backstop.db\", or leave the key out",
            );
            None
        }
        (_, Some(rest)) => {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            if path.is_empty() || path.contains('?') || path.starts_with(':') {
                item.wrong(
                    "names no file: a queue in memory would be gone with the process, and options are not taken",
                    "write \"sqlite:\" and a path, \"sqlite:backstop.db\"",
                );
                return None;
            }
            Some(Database::Sqlite { path: context.state_path(path, item.origin()) })
        }
        (_, None) => {
            item.wrong(
                "is not a database that Backstop knows",
                "write \"sqlite:\" and a path, \"sqlite:backstop.db\"",
            );
            None
        }
    }
}

/// What is thrown away, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Age at which the rows of done, failed and cancelled jobs go. Files stay, and so does what waits for a
    /// person.
    pub done: Duration,
}

pub(super) fn retention(mut table: Table<'_>) -> Retention {
    let day = 86_400;
    let bounds = Duration::from_secs(1)..=Duration::from_secs(36_500 * day);
    let done = table.need("done", "write \"90d\"").and_then(|item| item.duration(bounds));
    table.finish();
    Retention { done: done.unwrap_or_default() }
}
