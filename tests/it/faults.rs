//! Local trouble, with the real binary: every row of docs/faults.md has its test here or names where it is.
#![allow(clippy::print_stderr, reason = "a test that is skipped says why")]

mod backup;
mod clocks;
mod disks;
mod locks;
mod monitoring;
mod moved;
mod network;
mod stalls;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::daemon::{PATIENCE, Place, Serving, within};

/// What a verb came to: its exit code, its standard output, its standard error.
pub(crate) struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|_| panic!("no JSON: {}\n{}", self.out, self.err))
    }
}

fn run(place: &Place, verb: &str, args: &[&str]) -> Ran {
    let ran = place.backstop(verb).args(args).output().expect("the binary");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: ran.status.code(), out: text(ran.stdout), err: text(ran.stderr) }
}

/// Waits until the log holds these words so many times.
#[track_caller]
fn says_again(daemon: &Serving, words: &str, times: usize) {
    let come = within(PATIENCE, || daemon.log().matches(words).count() >= times);
    assert!(come, "not {times} times {words:?} in\n{}", daemon.log());
}

/// Waits until so many seconds have passed with the job held, as the renewals of its lease show.
#[track_caller]
fn is_held_for(place: &Place, seconds: u32) {
    let lease = place.sql("SELECT lease_until FROM jobs");
    let renewed = format!("strftime('%Y-%m-%dT%H:%M:%fZ', '{lease}', '+{seconds} seconds')");
    place.shows(&format!("SELECT lease_until > {renewed} FROM jobs"), "1");
}

/// A small disk of its own.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Mounts a disk of so many KiB; says why and returns `None` where that is not allowed.
    fn mount(kib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Self { folder };
        mounted(&["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"], disk.path()).then_some(disk)
    }

    /// The same of a file system that lets nobody write to a file which is closed to writing, whoever has it open.
    fn mount_ext4(mib: u32) -> Option<(Self, TempDir)> {
        let (beside, folder) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let image = beside.path().join("image");
        let file = fs::File::create(&image).expect("an image");
        file.set_len(u64::from(mib) << 20).expect("room");
        let disk = Self { folder };
        let made = ran(Command::new("mkfs.ext4").arg("-q").arg(&image));
        let image = image.to_str().expect("UTF-8");
        (made && mounted(&["-o", "loop", image], disk.path())).then_some((disk, beside))
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Closes a file to writing, or opens it again.
    fn closes(&self, name: &str, closed: bool) {
        let how = if closed { "+i" } else { "-i" };
        assert!(ran(Command::new("chattr").arg(how).arg(self.path().join(name))), "chattr {how} {name}");
    }

    fn remount(&self, how: &str) {
        assert!(mounted(&["-o", &format!("remount,{how}")], self.path()), "remount {how}");
    }

    /// Fills it up to the last byte.
    fn fill(&self) -> PathBuf {
        let path = self.path().join("filler");
        let mut filler = fs::File::create(&path).expect("created");
        let block = [0_u8; 4096];
        while std::io::Write::write_all(&mut filler, &block).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a daemon of a failed test may still be there.
        let done = Command::new("umount").arg("--lazy").arg(self.path()).status();
        if !done.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path().display());
        }
    }
}

fn mounted(args: &[&str], at: &Path) -> bool {
    ran(Command::new("mount").args(args).arg(at))
}

/// Runs a command of the machine; says why where it does not work.
fn ran(command: &mut Command) -> bool {
    let program = command.get_program().to_string_lossy().into_owned();
    match command.output() {
        Ok(done) if done.status.success() => true,
        Ok(done) => {
            eprintln!("SKIPPED: {program}: {}", String::from_utf8_lossy(&done.stderr).trim());
            false
        }
        Err(error) => {
            eprintln!("SKIPPED: {program}: {error}");
            false
        }
    }
}
