//! `command`: an asset made by any program named in the configuration.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};

use crate::domain::ask::{Ask, Body, Output};
use crate::domain::asset::Medium;
use crate::domain::failure::{Failure, FailureClass};
use crate::domain::provider::Provider;

use super::Group;

/// Where a program without a path is looked for, and the `PATH` it gets.
pub(super) const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The most bytes an asset may have.
const MAX_OUTPUT: u64 = 32 * 1024 * 1024;

/// How much of standard error is kept for the failure's sentence, in bytes.
const MAX_COMPLAINT: usize = 4096;

/// The most memory of the program's address space when the operator says nothing, in MiB.
const MEMORY_MB: u64 = 2048;

/// Sets the limits, forgets what the shell itself put into the environment, and becomes the program. A hard
/// limit that is lower already stays: then `ulimit` fails, and nothing is lost.
const WRAPPER: &str = "ulimit -c 0; [ \"$0\" = 0 ] || ulimit -v \"$0\" 2>/dev/null || :; \
                       unset PWD OLDPWD SHLVL; exec \"$@\"";

/// The maker.
///
/// Its option `command` is a list: the program, as an absolute path or as a name looked for in
/// `/usr/local/bin:/usr/bin:/bin`, and its arguments. Nothing of a job is ever an argument. `memory_mb`
/// bounds its address space (2048; 0 means no bound).
///
/// The program gets the ask as one JSON object on standard input, and answers with the asset on standard
/// output or in the file that the environment variable `BACKSTOP_OUTPUT` names; a file that is not empty
/// wins. Its environment is that variable and `PATH`; its working directory is its own, empty, and gone
/// afterwards. Whatever it started is killed when it ends.
///
/// | exit code | class |
/// |---|---|
/// | 0 | the asset is there |
/// | 69 (service unavailable), 75 (temporary failure) | `transient` |
/// | 64 (usage), 65 (bad input), 126 and 127 (the shell cannot start it) | `invalid` |
/// | 77 (no permission) | `auth` |
/// | any other, or killed by a signal | `unusable` |
///
/// A program that cannot be found or started is `invalid`: the configuration is wrong, and no repeat heals
/// that. One that takes too long is killed and `timed_out`.
#[derive(Debug)]
pub struct Command {
    program: String,
    arguments: Vec<String>,
    memory_kib: u64,
}

impl Command {
    /// Reads the provider's options.
    ///
    /// # Errors
    /// A sentence naming the option and what is wrong with it.
    pub fn new(provider: &Provider) -> Result<Self, String> {
        let key = format!("providers.{}.command", provider.name);
        let words = match provider.options.get("command") {
            Some(Value::Array(words)) => words,
            Some(_) => return Err(format!("{key} must be a list: the program and its arguments")),
            None => return Err(format!("{key} is missing; it is a list: the program and its arguments")),
        };
        let mut words = words.iter().map(|word| match word.as_str() {
            Some(word) if !word.contains('\0') => Ok(word.to_owned()),
            Some(_) | None => Err(format!("{key} must hold texts only")),
        });
        let program = words.next().unwrap_or_else(|| Err(format!("{key} is empty")))?;
        if program.is_empty() || (program.contains('/') && !program.starts_with('/')) {
            return Err(format!(
                "{key} begins with \"{program}\"; use an absolute path, or a name in {PATH}"
            ));
        }
        let memory_mb = match provider.options.get("memory_mb") {
            None => MEMORY_MB,
            Some(value) => value.as_u64().filter(|mb| *mb <= u64::MAX / 1024).ok_or_else(|| {
                format!("providers.{}.memory_mb must be a number of MiB, or 0 for no bound", provider.name)
            })?,
        };
        Ok(Self { program, arguments: words.collect::<Result<_, _>>()?, memory_kib: memory_mb * 1024 })
    }

    /// Runs the program. Dropping the future kills it and everything it started.
    ///
    /// # Errors
    /// By the table above.
    pub async fn make(&self, ask: &Ask, time_left: Duration) -> Result<Output, Failure> {
        let program = self.found()?;
        let home = tempfile::Builder::new()
            .prefix("backstop-command-")
            .tempdir()
            .map_err(|error| Failure::internal(format!("no folder for the command to work in: {error}")))?;
        let run = self.start(&program, &home)?;
        let Ok(ended) = tokio::time::timeout(time_left, run.until_end(ask)).await else {
            let seconds = time_left.as_secs_f64();
            let why = format!("{} did not end within {seconds:.1} s and was killed", self.program);
            return Err(Failure::new(FailureClass::TimedOut, why));
        };
        let ended = ended.map_err(|why| Failure::unusable(format!("{} {why}", self.program)))?;
        self.expect_success(&ended)?;
        let bytes = match file_of(&home).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => ended.output,
            Err(why) => return Err(Failure::unusable(format!("{} {why}", self.program))),
        };
        self.asset(ask.medium, bytes)
    }

    fn asset(&self, medium: Medium, bytes: Vec<u8>) -> Result<Output, Failure> {
        let body = match medium {
            Medium::Text => Body::Text(String::from_utf8(bytes).map_err(|_| {
                Failure::unusable(format!("{} wrote a text that is not UTF-8", self.program))
            })?),
            Medium::Image | Medium::Video | Medium::Audio => Body::File(Bytes::from(bytes)),
        };
        Ok(Output::plain(body))
    }

    fn found(&self) -> Result<PathBuf, Failure> {
        let candidates: Vec<PathBuf> = if self.program.starts_with('/') {
            vec![PathBuf::from(&self.program)]
        } else {
            PATH.split(':').map(|folder| Path::new(folder).join(&self.program)).collect()
        };
        candidates.into_iter().find(|path| path.is_file()).ok_or_else(|| {
            let place = if self.program.starts_with('/') { "there".to_owned() } else { format!("in {PATH}") };
            Failure::new(FailureClass::Invalid, format!("the program {} is not {place}", self.program))
        })
    }

    fn start(&self, program: &Path, home: &TempDir) -> Result<Running, Failure> {
        let mut child = tokio::process::Command::new("/bin/sh")
            .arg("-c")
            .arg(WRAPPER)
            .arg(self.memory_kib.to_string())
            .arg(program)
            .args(&self.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("BACKSTOP_OUTPUT", output_path(home))
            .current_dir(home.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| Failure::internal(format!("{} cannot be started: {error}", self.program)))?;
        let group = Group::of(&child);
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        match (group, stdin, stdout, stderr) {
            (Some(group), Some(stdin), Some(stdout), Some(stderr)) => {
                Ok(Running { group, child, stdin, stdout, stderr })
            }
            _ => Err(Failure::internal(format!("{} was started without its pipes", self.program))),
        }
    }

    fn expect_success(&self, ended: &Ended) -> Result<(), Failure> {
        let (class, how) = match ended.status.code() {
            Some(0) => return Ok(()),
            Some(code) => {
                let class = match code {
                    69 | 75 => FailureClass::Transient,
                    64 | 65 | 126 | 127 => FailureClass::Invalid,
                    77 => FailureClass::Auth,
                    _ => FailureClass::Unusable,
                };
                (class, format!("ended with exit code {code}"))
            }
            None => {
                let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status).unwrap_or_default();
                (FailureClass::Unusable, format!("was killed by signal {signal}"))
            }
        };
        let complaint = legible(&ended.complaint);
        let said = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
        Err(Failure::new(class, format!("{} {how}{said}", self.program)))
    }
}

/// A program at work. The fields are dropped in this order: first the group is killed, then its leader is
/// reaped.
struct Running {
    group: Group,
    child: Child,
    stdin: ChildStdin,
    stdout: tokio::process::ChildStdout,
    stderr: tokio::process::ChildStderr,
}

/// What is left of it.
struct Ended {
    status: std::process::ExitStatus,
    output: Vec<u8>,
    complaint: Vec<u8>,
}

impl Running {
    /// Feeds the program, listens to it, and waits for its end.
    async fn until_end(self, ask: &Ask) -> Result<Ended, String> {
        let Self { group, mut child, mut stdin, stdout, stderr } = self;
        let question = question(ask);
        let tell = async move {
            // A program that does not care for the ask closes its input, which is no failure.
            let told = stdin.write_all(question.as_bytes()).await;
            drop((told, stdin));
            Ok(())
        };
        let end = async {
            let status = child.wait().await.map_err(|error| format!("was lost: {error}"));
            // What it left behind would hold its pipes open.
            drop(group);
            status
        };
        // The first mistake ends it: dropping `end` kills the group.
        let (status, output, complaint, ()) =
            tokio::try_join!(end, bounded(stdout), async { Ok(beginning(stderr).await) }, tell)?;
        Ok(Ended { status, output, complaint })
    }
}

fn output_path(home: &TempDir) -> PathBuf {
    home.path().join("output")
}

fn question(ask: &Ask) -> String {
    let accept = &ask.accept;
    json!({
        "asset": ask.asset,
        "medium": ask.medium,
        "slug": ask.slug,
        "prompt": ask.prompt,
        "input": ask.input,
        "repeat": ask.repeat,
        "accept": {
            "min_width": accept.min_width,
            "min_height": accept.min_height,
            "aspect": accept.aspect.map(|aspect| aspect.to_string()),
            "min_bytes": accept.min_bytes,
            "min_seconds": accept.min_duration.map(|least| least.as_secs_f64()),
            "min_chars": accept.min_chars,
            "max_chars": accept.max_chars,
            "json": accept.json,
        },
    })
    .to_string()
}

/// All of a stream, or a complaint that it is too long.
async fn bounded(stream: impl AsyncRead + Unpin) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = stream.take(MAX_OUTPUT + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| format!("could not be listened to: {error}"))?;
    if bytes.len() as u64 > MAX_OUTPUT { Err(too_much()) } else { Ok(bytes) }
}

fn too_much() -> String {
    format!("wrote more than {} MiB", MAX_OUTPUT / 1024 / 1024)
}

/// The beginning of a stream, which is read to its end.
async fn beginning(mut stream: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut piece = [0; MAX_COMPLAINT];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        let room = MAX_COMPLAINT - kept.len();
        kept.extend(piece.iter().take(length.min(room)));
    }
    kept
}

/// What the program left in its file; `None` when there is none, or nothing in it.
async fn file_of(home: &TempDir) -> Result<Option<Vec<u8>>, String> {
    let path = output_path(home);
    // A link could lead anywhere; only a plain file is read.
    match tokio::fs::symlink_metadata(&path).await {
        Ok(found) if found.is_file() && found.len() > MAX_OUTPUT => Err(too_much()),
        Ok(found) if found.is_file() && found.len() > 0 => {
            let read = tokio::fs::read(&path).await;
            read.map(Some).map_err(|error| format!("left a file that cannot be read: {error}"))
        }
        Ok(_) | Err(_) => Ok(None),
    }
}

/// A complaint as one line of printable text.
fn legible(complaint: &[u8]) -> String {
    let text = String::from_utf8_lossy(complaint);
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    printable.split_whitespace().collect::<Vec<_>>().join(" ")
}
