//! Tells somebody that a person is asked: the `on_manual` command, driven from the outbox.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::domain::job::JobStatus;
use crate::store::{Notice, StoreError};

use super::DaemonError;
use super::shared::Shared;

/// Time for the command.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a notice that could not be told waits for the next try.
const RETRY: Duration = Duration::from_secs(60);

/// Most notices of one look.
const BATCH: u32 = 50;

/// Tells notices as they come.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    loop {
        let all_told = run_due(&shared).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "notices cannot be read; trying again");
            false
        });
        tokio::select! {
            // A command that fails now fails again in a moment, however many rows are written meanwhile.
            () = shared.told.notified(), if all_told => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Tells every notice that waits, oldest first; the first that fails ends the look, so that order is kept. Says whether
/// all are told.
pub(super) async fn run_due(shared: &Shared) -> Result<bool, StoreError> {
    loop {
        let waiting = shared.store.unsent_notices(BATCH).await?;
        if waiting.is_empty() {
            return Ok(true);
        }
        let command = shared.book().on_manual.clone();
        for notice in &waiting {
            // Only `manual` has a listener so far; the others need not pile up. Nor need one be told of a job that
            // somebody has seen to since.
            let waits = notice.kind == "manual" && notice.job.status == JobStatus::Manual.as_str();
            if let (Some(command), true) = (&command, waits)
                && let Err(why) = tell(command, notice).await
            {
                tracing::warn!(job.id = notice.job.id, why, "the on_manual command failed; trying again");
                return Ok(false);
            }
            shared.store.notice_sent(notice.id, shared.now()).await?;
        }
    }
}

/// Runs the command with the job as JSON on its standard input.
async fn tell(command: &[String], notice: &Notice) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("on_manual names no command")?;
    let body = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    let stdin = child.stdin.take();
    let talk = async {
        if let Some(mut stdin) = stdin {
            // A command that does not care for its input may be gone already.
            if let Err(error) = stdin.write_all(&body).await {
                tracing::debug!(%error, "the on_manual command did not read its input");
            }
        }
        child.wait().await.map_err(|error| error.to_string())
    };
    match tokio::time::timeout(PATIENCE, talk).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(format!("{program} took longer than {} s", PATIENCE.as_secs())),
    }
}
