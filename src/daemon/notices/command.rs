//! The program of `on_manual`.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::providers::local::Group;

/// Time for the program.
const PATIENCE: Duration = Duration::from_secs(30);

/// All of the environment that it gets: the daemon's own holds its keys.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs it with what is told as JSON on its standard input.
pub(super) async fn tell(command: &[String], body: &Value) -> Result<(), String> {
    tell_within(command, body, PATIENCE).await
}

async fn tell_within(command: &[String], body: &Value, patience: Duration) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("on_manual names no command")?;
    let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
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
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn what_a_command_has_started_is_stopped_with_it_at_its_time_out_and_only_then() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pid").display().to_string();
        let run = async |script: &str| {
            let command = ["sh", "-c", script, "sh", &path].map(str::to_owned);
            let told = tell_within(&command, &Value::from("a notice"), Duration::from_millis(1_500)).await;
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
