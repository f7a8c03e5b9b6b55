//! A network namespace of the demo: programs, threads and interfaces inside of it.
//!
//! Its name holds the demo's process id, by which a later run finds what a killed one left.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cli::error::CliError;

/// A namespace by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Space(String);

impl Space {
    /// The namespace that this demo has in a role; makes nothing.
    pub(super) fn named(demo: u32, role: &str) -> Self {
        Self(format!("{PREFIX}{demo}-{role}"))
    }

    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// Makes it, with loopback up and addresses that are of use at once.
    pub(super) fn make(&self) -> Result<(), CliError> {
        ip(&["netns", "add", &self.0])?;
        // An address is of use at once, not after a second of looking for duplicates.
        self.set("net/ipv6/conf/all/accept_dad", "0")?;
        self.set("net/ipv6/conf/default/accept_dad", "0")?;
        self.ip("link set lo up")
    }

    /// Removes it with every process inside; fine when there is none.
    pub(super) fn remove(&self) {
        if let Ok(said) = output(Command::new("ip").args(["netns", "pids", &self.0])) {
            for pid in said.lines().filter_map(|line| line.trim().parse::<i32>().ok()) {
                // One that ended meanwhile is as good as killed.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = output(Command::new("ip").args(["netns", "del", &self.0]));
        let _ = fs::remove_dir_all(self.etc());
    }

    /// A program inside, not yet started.
    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0]).arg(program).stdin(Stdio::null());
        command
    }

    /// `ip` inside.
    pub(super) fn ip(&self, words: &str) -> Result<(), CliError> {
        let all: Vec<&str> = ["-n", &self.0].into_iter().chain(words.split_whitespace()).collect();
        ip(&all).map(drop)
    }

    /// A setting of the kernel inside, by its path below `/proc/sys`.
    pub(super) fn set(&self, path: &str, value: &str) -> Result<(), CliError> {
        let script = format!("echo {value} >/proc/sys/{path}");
        output(self.command("sh").args(["-ec", &script])).map(drop)
    }

    /// A file that programs inside see in `/etc` in place of the host's.
    pub(super) fn write_etc(&self, name: &str, text: &str) -> Result<(), CliError> {
        let path = self.etc().join(name);
        let written = fs::create_dir_all(self.etc()).and_then(|()| fs::write(&path, text));
        written.map_err(|error| CliError::failed(&format!("write {}", path.display()), &error))
    }

    /// Where `ip netns exec` looks for such files.
    pub(super) fn etc(&self) -> PathBuf {
        Path::new("/etc/netns").join(&self.0)
    }

    /// A thread inside: sockets that it makes belong there.
    pub(super) fn thread(&self, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, CliError> {
        let failed = |error: &dyn std::error::Error| CliError::failed(&format!("enter {}", self.0), error);
        let place = File::open(format!("/run/netns/{}", self.0)).map_err(|error| failed(&error))?;
        let (sender, entered) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let inside = setns(place, CloneFlags::CLONE_NEWNET);
            let fine = inside.is_ok();
            // Whoever waits for this is there until it comes.
            let _ = sender.send(inside);
            if fine {
                work();
            }
        });
        let inside = entered.recv().map_err(|error| failed(&error))?;
        inside.map_err(|errno| failed(&errno))?;
        Ok(thread)
    }
}

/// The namespaces of demos that there are, each with the process id of its demo.
pub(super) fn all() -> Vec<(i32, Space)> {
    let Ok(entries) = fs::read_dir("/run/netns") else { return Vec::new() };
    let of_a_demo = |name: &str| {
        let (pid, _role) = name.strip_prefix(PREFIX)?.split_once('-')?;
        Some((pid.parse().ok()?, Space(name.to_owned())))
    };
    entries.filter_map(Result::ok).filter_map(|entry| of_a_demo(entry.file_name().to_str()?)).collect()
}

/// `ip` on the host; what it said.
pub(super) fn ip(words: &[&str]) -> Result<String, CliError> {
    output(Command::new("ip").args(words))
}

/// Runs a program to its end; its words when it ended well.
pub(super) fn output(command: &mut Command) -> Result<String, CliError> {
    let shown = format!("{command:?}").replace('"', "");
    let done = command.stdin(Stdio::null()).output();
    let done = done.map_err(|error| CliError::failed(&format!("run {shown}"), &error))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&done.stderr);
    Err(CliError::NotSo(format!("{shown}: {}", complaint.trim())))
}

/// A namespace's name before the demo's process id.
const PREFIX: &str = "edge-demo-";
