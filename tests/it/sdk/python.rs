//! Python environments with the vendors' SDKs in them, and scripts that are run there.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::fake::{Fake, KEY};

/// Longer than any script takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Which SDKs a script wants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packages {
    /// Anthropic's, OpenAI's, and Google's last one with Imagen.
    Vendors,
    /// Google's current one.
    GoogleCurrent,
    /// The receiver's side of Standard Webhooks.
    Webhooks,
    /// The judge of our own API.
    Schemathesis,
}

impl Packages {
    fn requirements(self) -> &'static str {
        match self {
            Self::Vendors => "vendors.txt",
            Self::GoogleCurrent => "google-current.txt",
            Self::Webhooks => "webhooks.txt",
            Self::Schemathesis => "schemathesis.txt",
        }
    }
}

/// What became of a script.
pub(super) struct Output {
    pub(super) ended_well: bool,
    pub(super) out: String,
    pub(super) err: String,
}

/// Runs a script of `tests/sdk` with the packages it wants against the fake.
pub(super) async fn run(packages: Packages, script: &str, fake: &Fake) -> Output {
    let python = environment(packages).join("bin/python");
    let mut command = tokio::process::Command::new(python);
    // The SDKs read keys, addresses and proxies from the environment; of this machine's they get none.
    command.env_clear().env("NO_PROXY", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("FAKE_ADDRESS", fake.address()).env("FAKE_KEY", KEY);
    command.arg("-W").arg("ignore").arg(folder().join(script));
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output =
        output.unwrap_or_else(|_| panic!("{script} does not end")).expect("the environment's python");
    Output {
        ended_well: output.status.success(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
}

/// The environment with these packages, made where there is none yet.
///
/// Its folder's name is a digest of what is in it, so that it is never stale; it gets that name when it is whole,
/// so that an installation which was cut off is never taken for one.
pub(crate) fn environment(packages: Packages) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let requirements = folder().join(packages.requirements());
    let list = std::fs::read(&requirements).expect("a list of packages");
    let version = succeeds(Command::new("python3").arg("-VV"), "python3 is needed: apt-get install python3");
    let digest = blake3::hash(&[list, version].concat()).to_hex();
    let home = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let place = home.join(format!("sdk-{}", &digest[..16]));
    if place.exists() {
        return place;
    }
    std::fs::create_dir_all(home).expect("a folder for the tests");
    let making = tempfile::Builder::new().prefix("sdk-unfinished-").tempdir_in(home).expect("a folder");
    succeeds(
        Command::new("python3").args(["-m", "venv"]).arg(making.path()),
        "no Python environment could be made: apt-get install python3-venv",
    );
    succeeds(
        Command::new(making.path().join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", "-r"])
            .arg(&requirements),
        "pip could not install what this suite holds the fake vendor, the API and webhooks against; it needs a Python \
         package index, by default the public one on the internet",
    );
    let made = making.keep();
    // Another run may have been faster, and its environment is as good.
    if std::fs::rename(&made, &place).is_err() {
        std::fs::remove_dir_all(&made).expect("a folder of ours");
    }
    assert!(place.exists(), "{} was not made", place.display());
    place
}

/// What a command prints; where it fails, the test does, with this sentence.
#[track_caller]
fn succeeds(command: &mut Command, otherwise: &str) -> Vec<u8> {
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => panic!("{otherwise}\n{command:?}: {error}"),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{otherwise}\n{}{said}", String::from_utf8_lossy(&output.stdout));
    output.stdout
}
