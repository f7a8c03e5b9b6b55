//! Runs `nft` with a text that this program rendered: checks it, or commits it as one transaction. Used
//! when the rules are installed and removed, never for subscribers. The one rule: an absolute path, an
//! empty environment, the text on its standard input, and an end within [`PATIENCE`].

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::fault::GatewayError;
use crate::base::clock::Clock;

/// Where Debian has the program.
pub const PROGRAM: &str = "/usr/sbin/nft";
/// A skeleton takes 3 to 80 ms; with 100,000 elements beside it, seconds at the worst.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the end of a program that has closed its output is looked at.
const BETWEEN_LOOKS: u16 = 2;
/// No refusal is longer; more would be a foreign text.
const LONGEST_REFUSAL: usize = 64 * 1024;

/// The program, by its path.
#[derive(Debug, Clone)]
pub(super) struct Nft {
    program: PathBuf,
}

/// Whether a text is tried or committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Only tried: by `nft`'s reading and the kernel's.
    Check,
    /// Committed.
    Commit,
}

impl Nft {
    pub(super) fn new(program: &Path) -> Self {
        Self { program: program.to_owned() }
    }

    /// Hands the text over and waits for the end.
    pub(super) fn run(&self, text: &str, mode: Mode) -> Result<(), GatewayError> {
        let mut child = self.start(text, mode)?;
        let deadline = Clock::System.monotonic() + PATIENCE;
        let said = match child.stderr.take() {
            Some(output) => read_to_end(output, deadline),
            None => Some(String::new()),
        };
        let ended = said.zip(wait(&mut child, deadline));
        match ended {
            Some((_, true)) => Ok(()),
            Some((said, false)) => Err(refusal(&said)),
            None => {
                // It may have ended at this moment; either way it is gone and reaped.
                let _gone = child.kill();
                let _reaped = child.wait();
                Err(GatewayError::NftSlow(PATIENCE.as_secs()))
            }
        }
    }

    fn start(&self, text: &str, mode: Mode) -> Result<Child, GatewayError> {
        let unusable = |source| GatewayError::NftUnusable { program: self.program.clone(), source };
        let arguments: &[&str] = match mode {
            Mode::Check => &["-c", "-f", "-"],
            Mode::Commit => &["-f", "-"],
        };
        Command::new(&self.program)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(in_memory(text).map_err(unusable)?)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| {
                if error.kind() == ErrorKind::NotFound {
                    return GatewayError::NftMissing(self.program.clone());
                }
                unusable(error)
            })
    }
}

/// A nameless file: writing it never waits for the reader, and nothing is left on a disk.
fn in_memory(text: &str) -> std::io::Result<File> {
    let mut file = File::from(memfd_create("rules", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(text.as_bytes())?;
    file.rewind()?;
    Ok(file)
}

/// Everything up to the end of the output; `None` when it did not end in time.
fn read_to_end(mut output: ChildStderr, deadline: Instant) -> Option<String> {
    let mut said = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let left = deadline.checked_duration_since(Clock::System.monotonic())?;
        let mut ready = [PollFd::new(output.as_fd(), PollFlags::POLLIN)];
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        if !matches!(poll(&mut ready, timeout), Ok(1..)) {
            continue;
        }
        let length = output.read(&mut buffer).unwrap_or(0);
        if length == 0 {
            return Some(String::from_utf8_lossy(&said).into_owned());
        }
        let room = LONGEST_REFUSAL.saturating_sub(said.len());
        said.extend(buffer.iter().take(length.min(room)));
    }
}

/// Whether it ended well; `None` when it did not end in time.
fn wait(child: &mut Child, deadline: Instant) -> Option<bool> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status.success());
        }
        deadline.checked_duration_since(Clock::System.monotonic())?;
        let _slept = poll(&mut [], PollTimeout::from(BETWEEN_LOOKS));
    }
}

/// The first complaint, without the text that it points into.
fn refusal(said: &str) -> GatewayError {
    if said.contains("Operation not permitted") {
        return GatewayError::Rights("install the firewall rules");
    }
    let complaint = said.lines().find(|line| line.contains("rror")).unwrap_or("it did not say why");
    let offending = said.lines().skip_while(|line| *line != complaint).nth(1).unwrap_or("").trim();
    GatewayError::NftRefused(format!("{} in: {offending}", complaint.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that stands in for one that is broken in a way that `nft` is not today.
    fn script(body: &str) -> (tempfile::TempDir, Nft) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nft");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let nft = Nft::new(&path);
        (dir, nft)
    }

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = Nft::new(Path::new("/nowhere/nft")).run("", Mode::Check).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/nft is missing: install the package nftables");
    }

    #[test]
    fn missing_rights_are_one_line() {
        let (_dir, nft) =
            script("echo 'x: Error: Could not process rule: Operation not permitted' >&2; exit 1");
        let error = nft.run("", Mode::Commit).unwrap_err().to_string();
        assert!(error.contains("CAP_NET_ADMIN") && error.lines().count() == 1, "{error}");
    }

    #[test]
    fn a_program_that_does_not_end_is_stopped() {
        let (_dir, nft) = script("exec sleep 60");
        let error = nft.run("", Mode::Commit).unwrap_err();
        assert!(matches!(error, GatewayError::NftSlow(5)), "{error}");
    }

    #[test]
    fn a_refusal_says_which_line() {
        let error = Nft::new(Path::new(PROGRAM)).run("add rule inet nowhere none drop\n", Mode::Check);
        let said = error.unwrap_err().to_string();
        assert!(said.contains("add rule inet nowhere none drop") || said.contains("CAP_NET_ADMIN"), "{said}");
        assert_eq!(said.lines().count(), 1);
    }
}
