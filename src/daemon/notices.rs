//! Tells somebody that a person is asked: the `on_manual` command, driven from the outbox.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::Instant;

use crate::domain::backoff::Backoff;
use crate::providers::local::Group;
use crate::store::StoreError;

use super::DaemonError;
use super::shared::Shared;

/// Time for the command.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a notice that could not be told waits for the next try.
const RETRY: Backoff = Backoff { base: Duration::from_secs(60), cap: Duration::from_secs(3_600) };

/// After so many refusals in a row it is the command that is broken, not what it is told.
const MOST_IN_A_ROW: u32 = 3;

/// All of the environment that the command gets: the daemon's own holds its keys.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Most notices of one look.
const BATCH: u32 = 50;

/// The notices that could not be told: when each is tried again, and after how many tries.
#[derive(Default)]
pub(super) struct Refused {
    notices: HashMap<i64, (Instant, u32)>,
    /// Before this nothing is tried at all: the command itself seems to be broken.
    pause: Option<Instant>,
}

/// Tells notices as they come.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), DaemonError> {
    let mut refused = Refused::default();
    loop {
        if let Err(error) = run_due(&shared, &mut refused).await {
            tracing::warn!(%error, "notices cannot be read; trying again");
        }
        tokio::select! {
            biased;
            () = shared.told.notified() => {}
            () = tokio::time::sleep(RETRY.base) => {}
        }
    }
}

/// Tells every notice that waits, oldest first. One that the command does not like waits longer and longer, and
/// the others do not wait for it.
pub(super) async fn run_due(shared: &Shared, refused: &mut Refused) -> Result<(), StoreError> {
    if refused.pause.is_some_and(|until| until > Instant::now()) {
        return Ok(());
    }
    let command = shared.book().on_manual.clone();
    let (mut last, mut in_a_row) = (0, 0);
    loop {
        let waiting = shared.store.unsent_notices(last, BATCH).await?;
        if waiting.is_empty() {
            return Ok(());
        }
        for notice in &waiting {
            last = notice.id;
            let tries = match refused.notices.get(&notice.id) {
                Some((until, _)) if *until > Instant::now() => continue,
                Some((_, tries)) => *tries,
                None => 0,
            };
            // Only `manual` has a listener so far; the others need not pile up.
            if let (Some(command), "manual") = (&command, notice.kind.as_str())
                && let Err(why) = tell(command, notice, PATIENCE).await
            {
                tracing::warn!(job.id = notice.job.id, why, "the on_manual command failed; trying again");
                let until = Instant::now() + RETRY.ceiling(tries);
                refused.notices.insert(notice.id, (until, tries.saturating_add(1)));
                in_a_row += 1;
                if in_a_row == MOST_IN_A_ROW {
                    refused.pause = Some(Instant::now() + RETRY.base);
                    return Ok(());
                }
                continue;
            }
            in_a_row = 0;
            refused.notices.remove(&notice.id);
            shared.store.notice_sent(notice.id, shared.now()).await?;
        }
    }
}

/// Runs the command with the job as JSON on its standard input.
async fn tell(command: &[String], notice: &impl Serialize, patience: Duration) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("on_manual names no command")?;
    let body = serde_json::to_vec(notice).map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot run {program}: {error}"))?;
    // Whatever it started is stopped with it where it takes too long, or where the daemon ends first.
    let group = Group::of(&child);
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
    let ended = tokio::time::timeout(patience, talk).await;
    if let (Ok(Ok(_)), Some(group)) = (&ended, group) {
        // What a command leaves at work when it ends is meant to go on.
        group.release();
    }
    match ended {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{program} ended with {status}")),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(format!("{program} took longer than {} s and was stopped", patience.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_command_has_started_is_stopped_with_it_at_its_time_out_and_only_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pid").display().to_string();
        let run = async |script: &str| {
            let command = ["sh", "-c", script, "sh", &path].map(str::to_owned);
            let told = tell(&command, &"a notice", Duration::from_millis(1_500)).await;
            let pid = std::fs::read_to_string(&path).expect("the script has begun");
            (told, format!("/proc/{}/stat", pid.trim()))
        };
        let lives = |stat: &str| std::fs::read_to_string(stat).is_ok_and(|stat| !stat.contains(") Z "));
        let (told, child) = run("sleep 60 & echo $! > \"$1\"; wait").await;
        assert!(told.expect_err("too long").contains("was stopped"));
        let end = Instant::now() + Duration::from_secs(20);
        while lives(&child) {
            assert!(Instant::now() < end, "it outlives the command that started it");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (told, child) = run("sleep 5 >/dev/null 2>&1 & echo $! > \"$1\"").await;
        told.expect("it ends at once");
        assert!(lives(&child), "what it left at work goes on");
    }
}
