//! The program of `on_manual`.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Time for the program.
const PATIENCE: Duration = Duration::from_secs(30);

/// All of the environment that it gets: the daemon's own holds its keys.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs it with what is told as JSON on its standard input.
pub(super) async fn tell(command: &[String], body: &Value) -> Result<(), String> {
    let (program, arguments) = command.split_first().ok_or("on_manual names no command")?;
    let body = serde_json::to_vec(body).map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
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
