//! `backup`: a verified copy of the database, while the daemon runs.

use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use super::said::Said;
use super::session::Session;
use super::wire;
use crate::store::sqlite::backup::{Existing, backup};

/// Copy the database to a file, while the daemon runs, and verify the copy
///
/// The copy holds what was committed when it began. It is made beside FILE, checked for integrity and for rows that
/// name others, and only then given its name. Files in the vault are not in it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  backstop backup /var/backups/backstop.db --force
  backstop backup backstop-before-upgrade.db --json | jq .jobs

To restore: stop the daemon, take away the database with its -wal and -shm, put the copy in its place, start the daemon.
What was asked for after the backup is not in it; what ended after it is pending
there again, and is made, and paid for, once more.

Exit code 1 when there is no backup: nothing stands at FILE then that was not there before.")]
pub(super) struct Args {
    /// Where to
    file: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    force: bool,
}

pub(super) async fn run(session: &Session, args: &Args) -> anyhow::Result<Said> {
    let config = session.config()?;
    let path = wire::there(&config)?;
    let existing = if args.force { Existing::Replaced } else { Existing::Kept };
    let began = Instant::now();
    let made = backup(path, &args.file, existing).await?;
    let took = began.elapsed();
    let text = format!(
        "{} holds {} {} in {} bytes, verified, after {} ms.",
        args.file.display(),
        made.jobs,
        if made.jobs == 1 { "job" } else { "jobs" },
        made.bytes,
        took.as_millis()
    );
    let json = json!({
        "file": args.file,
        "bytes": made.bytes,
        "jobs": made.jobs,
        "schema": made.schema,
        "seconds": took.as_secs_f64(),
    });
    Ok(Said::fine(text, json))
}
