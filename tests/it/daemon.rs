//! The daemon's proof: the real binary on a real file, its rows put in through the `sqlite3` shell.

mod budgets;
mod fallback;
mod fleet;
mod hands;
mod hostile;
mod inside;
mod library;
mod life;
mod pace;
mod poison;
mod protocols;
mod reload;
mod schedule;
pub(crate) mod vendor;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

pub(crate) use vendor::block_on;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A folder with a configuration and its queue.
pub(crate) struct Place {
    folder: TempDir,
    pub(crate) environment: Vec<(&'static str, String)>,
}

impl Place {
    /// Writes the configuration and makes the queue.
    pub(crate) fn new(configuration: &str) -> Self {
        let place = Self { folder: tempfile::tempdir().expect("a folder"), environment: Vec::new() };
        place.configure(configuration);
        assert!(place.drain().success());
        place
    }

    pub(crate) fn configure(&self, configuration: &str) {
        fs::write(self.file("backstop.toml"), configuration).expect("written");
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn backstop(&self, verb: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backstop"));
        command.arg(verb).current_dir(self.folder.path()).stdin(Stdio::null());
        // No key of this machine, and no colours.
        // Nor a page, except where a test wants it: its port is one for the whole machine.
        command
            .env_clear()
            .env("NO_COLOR", "1")
            .env("BACKSTOP_WEB__LISTEN", "off")
            .envs(self.environment.iter().cloned());
        command
    }

    /// Runs `drain` to its end.
    pub(crate) fn drain(&self) -> ExitStatus {
        let log = fs::File::options().create(true).append(true).open(self.file("drain-log")).expect("a log");
        let child = self.backstop("drain").stdout(Stdio::null()).stderr(log).spawn();
        let mut serving = Serving { child: Killed(child.expect("the binary")), log: self.file("drain-log") };
        serving.ends()
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn serve(&self) -> Serving {
        let serving = self.serve_with(&[]);
        serving.says("backstop is ready");
        serving
    }

    /// Starts the daemon with these variables besides.
    pub(crate) fn serve_with(&self, environment: &[(&str, &str)]) -> Serving {
        let number = (0..).find(|number| !self.file(&format!("log-{number}")).exists()).expect("a number");
        let log = self.file(&format!("log-{number}"));
        let file = fs::File::create(&log).expect("a log");
        let mut command = self.backstop("serve");
        command.envs(environment.iter().copied()).stdout(Stdio::null()).stderr(file);
        Serving { child: Killed(command.spawn().expect("the binary")), log }
    }

    /// Runs statements in the shell; rows come back as lines, columns split by `|`.
    pub(crate) fn try_sql(&self, statements: &str) -> Result<String, String> {
        let database = self.file("backstop.db");
        let shell = Command::new("sqlite3")
            .args(["-batch", "-bail", "-cmd", ".timeout 10000"])
            .arg(database)
            .arg(statements)
            .output()
            .expect("the sqlite3 shell; apt-get install sqlite3");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        if shell.status.success() { Ok(text(shell.stdout)) } else { Err(text(shell.stderr)) }
    }

    pub(crate) fn sql(&self, statements: &str) -> String {
        self.try_sql(statements).unwrap_or_else(|error| panic!("{statements}\n{error}"))
    }

    pub(crate) fn enqueue(&self, slug: &str) {
        self.sql(&format!("INSERT INTO jobs (asset, slug) VALUES ('social-text', '{slug}')"));
    }

    /// Waits until a query answers this.
    #[track_caller]
    pub(crate) fn shows(&self, query: &str, expected: &str) {
        let mut last = String::new();
        let came = within(PATIENCE, || {
            last = self.sql(query);
            last == expected
        });
        assert!(came, "{query}\nshould come to: {expected}\nand stays at:   {last}\n{}", self.story());
    }

    #[track_caller]
    pub(crate) fn finds(&self, query: &str, expected: &str) {
        assert_eq!(self.sql(query), expected, "{query}\n{}", self.story());
    }

    /// Everything that helps to understand a failure.
    pub(crate) fn story(&self) -> String {
        let logs = (0..).map(|number| self.file(&format!("log-{number}"))).take_while(|log| log.exists());
        let logs = logs.chain([self.file("drain-log")]);
        let logs: String = logs.filter_map(|log| fs::read_to_string(log).ok()).collect();
        let rows = self.try_sql(
            "SELECT 'job', id, slug, status, runs, run_at, provider, error FROM jobs LIMIT 30;
             SELECT 'run', * FROM runs LIMIT 30; SELECT 'attempt', * FROM attempts LIMIT 30;",
        );
        format!("{}\n{logs}", rows.unwrap_or_default())
    }
}

/// A process that does not outlive the test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A running daemon.
pub(crate) struct Serving {
    pub(crate) child: Killed,
    log: PathBuf,
}

impl Serving {
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until the log holds these words.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) {
        assert!(within(PATIENCE, || self.log().contains(words)), "no {words:?} in\n{}", self.log());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).expect("a living daemon");
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let mut status = None;
        let ended = within(PATIENCE, || {
            status = self.child.0.try_wait().expect("a child");
            status.is_some()
        });
        assert!(ended, "it does not end\n{}", self.log());
        status.expect("ended")
    }

    /// Stops it as systemd would.
    #[track_caller]
    pub(crate) fn stop(mut self) {
        self.signal(Signal::TERM);
        assert!(self.ends().success(), "{}", self.log());
    }

    /// Kills it: it can write nothing more.
    pub(crate) fn kill(mut self) {
        self.child.0.kill().expect("a living daemon");
        self.child.0.wait().expect("dead");
    }
}

/// Whether something comes true in this time.
pub(crate) fn within(time: Duration, mut come: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + time;
    loop {
        if come() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_millis(25));
    }
}

#[track_caller]
pub(crate) fn until(what: &str, come: impl FnMut() -> bool) {
    assert!(within(PATIENCE, come), "{what}: not within {PATIENCE:?}");
}

/// A text asset with this chain, and a vendor at each of these addresses: `house`, `second`, ...
pub(crate) fn texts(chain: &str, addresses: &[(&str, String)]) -> String {
    let mut configuration = format!("[assets.social-text]\nchain = {chain}\n");
    for (name, address) in addresses {
        configuration.push_str(&format!(
            "[providers.{name}]\nprotocol = \"openai-chat\"\nmodel = \"m-1\"\nbase_url = \"{address}\"\n\
             api_key = false\nretries = 0\ntimeout = \"30s\"\n"
        ));
    }
    configuration
}
