//! The systemd unit holds what it promises, and members of its group enqueue with their own `sqlite3`.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};

/// The longest that calls in flight are given when the daemon stops (DESIGN section 3).
const GRACE_SECONDS: u64 = 90;

/// The most exposure that `systemd-analyze security` may find, in tenths.
const MAX_EXPOSURE: &str = "20";

const DAEMON: &str = "backstop-test-d";
const MEMBER: &str = "backstop-test-m";
const STRANGER: &str = "nobody";

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

fn unit_text() -> String {
    std::fs::read_to_string(deploy("backstop.service")).expect("the unit is there")
}

/// The values that the unit gives a key, in order.
fn values(key: &str) -> Vec<String> {
    unit_text()
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| *name == key)
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

/// The one value that the unit gives a key.
#[track_caller]
fn value(key: &str) -> String {
    let mut values = values(key);
    assert_eq!(values.len(), 1, "{key} stands in the unit {} times", values.len());
    values.remove(0)
}

fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}; ./test installs it"))
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = run(command);
    let said = said(&output);
    assert!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    said
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn systemd_has_nothing_to_say_about_the_unit() {
    // systemd refuses a unit whose program is not there, so the copy names the one that was just built.
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("backstop.service");
    let text = unit_text();
    assert!(
        text.contains("\nExecStart=/usr/bin/backstop serve\n"),
        "the packaged program is the one started"
    );
    std::fs::write(&unit, text.replace("/usr/bin/backstop", env!("CARGO_BIN_EXE_backstop")))
        .expect("written");
    let said = succeeds(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit));
    assert!(!said.contains("backstop.service"), "systemd-analyze verify says:\n{said}");
}

#[test]
fn the_unit_exposes_little() {
    let analyze = || {
        let mut command = Command::new("systemd-analyze");
        command.args(["security", "--offline=true", "--no-pager"]);
        command
    };
    let said = succeeds(analyze().arg("--threshold").arg(MAX_EXPOSURE).arg(deploy("backstop.service")));
    assert!(said.contains("Overall exposure level"), "{said}");

    // The measure measures: without its filters the same unit is refused.
    let folder = tempfile::tempdir().expect("a folder");
    let open = folder.path().join("backstop.service");
    let text: String = unit_text()
        .lines()
        .filter(|line| !line.starts_with("SystemCall"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&open, text).expect("written");
    let refused = run(analyze().arg("--threshold").arg(MAX_EXPOSURE).arg(&open));
    assert!(!refused.status.success(), "{}", self::said(&refused));
}

#[test]
fn the_unit_stops_after_the_grace_and_starts_again() {
    let stop: u64 = value("TimeoutStopSec").parse().expect("plain seconds");
    assert!(stop > GRACE_SECONDS, "TimeoutStopSec={stop} would kill calls that still have time");
    assert_eq!(value("Type"), "notify");
    assert_eq!(value("KillMode"), "mixed", "the programs of a job are the daemon's to end");
    assert_eq!(value("Restart"), "always");
    assert_eq!(value("StartLimitIntervalSec"), "0", "a day of trouble must not end the restarts");
    assert_eq!(value("ExecReload"), "/bin/kill -HUP $MAINPID");
    let watchdog: u64 = value("WatchdogSec").parse().expect("plain seconds");
    assert!((30..=120).contains(&watchdog));
}

#[test]
fn the_unit_shares_the_queue_with_its_group_and_nothing_else() {
    assert_eq!(value("User"), "backstop");
    assert_eq!(value("Group"), "backstop");
    assert_eq!(values("DynamicUser"), Vec::<String>::new(), "nobody could be a member of its group");
    assert_eq!(value("StateDirectory"), "backstop");
    assert_eq!(value("StateDirectoryMode"), "2770");
    assert_eq!(value("UMask"), "0007");
    // Members of the group may write to the state folder. A daemon that started there would take their ./backstop.toml
    // for its own, and run what it names.
    assert_eq!(values("WorkingDirectory"), Vec::<String>::new());
    // The boot id under /proc/sys tells that a lease's holder is dead.
    assert_eq!(values("ProcSubset"), Vec::<String>::new());
}

#[test]
fn the_user_and_the_group_come_from_sysusers() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("etc")).expect("created");
    let output = run(Command::new("systemd-sysusers")
        .arg(format!("--root={}", root.display()))
        .arg(deploy("sysusers.d/backstop.conf")));
    if user_id() != 0 {
        // It hands its files to root, which nobody else may; that it read the line is all that can be seen.
        assert!(!said(&output).contains("backstop.conf:"), "{}", said(&output));
        return;
    }
    assert!(output.status.success(), "{}", said(&output));
    let passwd = std::fs::read_to_string(root.join("etc/passwd")).expect("written");
    let line = passwd.lines().find(|line| line.starts_with("backstop:")).expect("the user is there");
    assert!(line.ends_with(":/var/lib/backstop:/usr/sbin/nologin"), "{line}");
    let group = std::fs::read_to_string(root.join("etc/group")).expect("written");
    assert!(group.lines().any(|line| line.starts_with("backstop:")), "{group}");
}

#[test]
fn a_member_of_the_group_enqueues_with_their_own_sqlite3() {
    if user_id() != 0 {
        // Past the test harness, which would keep this to itself.
        let skipped = b"NOT TESTED: enqueueing as another user of the group needs root; run ./test as root\n";
        std::io::stderr().write_all(skipped).expect("written");
        return;
    }
    let state = State::as_the_unit_makes_it();
    let insert = |slug: &str| format!("INSERT INTO jobs (asset, slug) VALUES ('hero-image', '{slug}');");

    // The daemon has the queue open, so the journal and its index are the daemon's files.
    let mut held = Held::open(DAEMON, &state.database());
    held.says("SELECT count(*) FROM jobs;", "0");
    state.assert_shared_by_group();
    succeeds(state.sqlite3(MEMBER, &insert("by-a-member")).stdin(Stdio::null()));
    held.says("SELECT slug, status FROM jobs;", "by-a-member|pending");
    state.assert_shared_by_group();
    drop(held);

    // A member has it open first, so they are the member's files, and the daemon must be able to write to them.
    let mut held = Held::open(MEMBER, &state.database());
    held.says("SELECT count(*) FROM jobs;", "1");
    state.assert_shared_by_group();
    succeeds(state.sqlite3(DAEMON, &insert("by-the-daemon")).stdin(Stdio::null()));
    held.says("SELECT count(*) FROM jobs;", "2");
    drop(held);

    let refused = run(&mut state.sqlite3(STRANGER, &insert("by-a-stranger")));
    assert!(!refused.status.success(), "somebody outside the group enqueued: {}", said(&refused));
}

/// A state folder with a queue in it, as the unit would leave it on a system with a daemon and a member of its group.
struct State {
    folder: tempfile::TempDir,
}

impl State {
    /// Makes users and groups, which root alone may, and which the next run finds again.
    fn as_the_unit_makes_it() -> Self {
        for user in [DAEMON, MEMBER] {
            if !run(Command::new("id").arg(user)).status.success() {
                succeeds(
                    Command::new("/usr/sbin/useradd").args(["--system", "--no-create-home", user]).args([
                        "--user-group",
                        "--shell",
                        "/usr/sbin/nologin",
                    ]),
                );
            }
        }
        succeeds(Command::new("/usr/sbin/usermod").args(["--append", "--groups", DAEMON, MEMBER]));

        let state = Self { folder: tempfile::tempdir().expect("a folder") };
        set_mode(state.folder.path(), 0o755);
        // The build's own folder may be closed to others.
        std::fs::copy(env!("CARGO_BIN_EXE_backstop"), state.program()).expect("copied");
        set_mode(&state.program(), 0o755);
        std::fs::create_dir(state.directory()).expect("created");
        succeeds(Command::new("chown").arg(format!("{DAEMON}:{DAEMON}")).arg(state.directory()));
        set_mode(&state.directory(), 0o2770);
        succeeds(
            as_user(DAEMON, "0007")
                .arg(state.program())
                .arg("migrate")
                .env("BACKSTOP_QUEUE__DATABASE", format!("sqlite:{}", state.database().display()))
                .env("STATE_DIRECTORY", state.directory()),
        );
        state
    }

    fn program(&self) -> PathBuf {
        self.folder.path().join("backstop")
    }

    fn directory(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    fn database(&self) -> PathBuf {
        self.directory().join("backstop.db")
    }

    /// One statement by the shell of that user, under the umask that people have.
    fn sqlite3(&self, user: &str, statement: &str) -> Command {
        let mut command = as_user(user, "0022");
        command.args(["sqlite3", "-batch", "-bail"]).arg(self.database()).arg(statement);
        command
    }

    /// The database, its journal and the journal's index belong to the daemon's group, which may write to them.
    #[track_caller]
    fn assert_shared_by_group(&self) {
        let group = std::fs::metadata(self.directory()).expect("the folder").gid();
        for file in ["backstop.db", "backstop.db-wal", "backstop.db-shm"] {
            let metadata =
                std::fs::metadata(self.directory().join(file)).unwrap_or_else(|e| panic!("{file}: {e}"));
            let mode = metadata.permissions().mode() & 0o777;
            assert_eq!(mode, 0o660, "{file} has mode {mode:o}");
            assert_eq!(metadata.gid(), group, "{file} belongs to another group");
        }
    }
}

/// A shell that keeps the database open until it is dropped.
struct Held {
    shell: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Held {
    fn open(user: &str, database: &Path) -> Self {
        let umask = if user == DAEMON { "0007" } else { "0022" };
        let mut shell = as_user(user, umask)
            .args(["sqlite3", "-batch", "-bail"])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sqlite3 runs");
        let input = shell.stdin.take();
        let output = BufReader::new(shell.stdout.take().expect("piped"));
        Self { shell, input, output }
    }

    /// Runs a query that answers with one line, and compares it. An error ends the shell (`-bail`), and so the wait.
    #[track_caller]
    fn says(&mut self, query: &str, expected: &str) {
        writeln!(self.input.as_mut().expect("open"), "{query}").expect("written");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("an answer");
        assert_eq!(line.trim_end(), expected, "{query}");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // The end of its input ends the shell.
        drop(self.input.take());
        assert!(self.shell.wait().is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// A command that runs as that user, with that umask and nothing of this environment.
fn as_user(user: &str, umask: &str) -> Command {
    let mut command = Command::new("/usr/sbin/runuser");
    command.env_clear().env("PATH", "/usr/bin:/bin").current_dir("/");
    command.args(["-u", user, "--", "sh", "-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
    command
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("the mode is set");
}

fn user_id() -> u32 {
    succeeds(Command::new("id").arg("-u")).trim().parse().expect("a number")
}
