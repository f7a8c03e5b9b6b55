//! The phone: what a device does, by programs that are not ours. A DHCP client from BusyBox, and curl
//! as its browser, with a cookie jar and the demo's authority as the only one it trusts.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::space::{Space, output};
use crate::base::clock::Clock;
use crate::cli::error::CliError;

/// The device.
#[derive(Debug, Clone)]
pub(super) struct Phone {
    space: Space,
    folder: PathBuf,
    clock: Clock,
}

/// What DHCP gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) address: String,
    pub(super) router: String,
    pub(super) resolver: String,
    /// Option 114 (RFC 8910).
    pub(super) portal: String,
}

/// What came of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Page {
    /// 0 when there was no answer; then `complaint` says why.
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
    pub(super) complaint: String,
    pub(super) took: Duration,
}

impl Phone {
    pub(super) fn new(space: &Space, folder: &Path, clock: &Clock) -> Self {
        Self { space: space.clone(), folder: folder.to_owned(), clock: clock.clone() }
    }

    /// Asks for a lease, and applies it as a device does.
    pub(super) async fn lease(&self) -> Result<Lease, CliError> {
        let (script, told) = (self.file("lease.sh"), self.file("lease"));
        let failed = |error: std::io::Error| CliError::failed("write the DHCP client's script", &error);
        fs::write(&script, lease_script(&self.space.etc(), &told)).map_err(failed)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let mut client = self.space.command("udhcpc");
        client.args(["-i", "eth0", "-f", "-q", "-n", "-t", "5", "-T", "1", "-O", "114", "-s"]).arg(&script);
        blocking(move || output(&mut client)).await?;
        let told = fs::read_to_string(&told).map_err(|error| CliError::failed("read the lease", &error))?;
        let value = |name: &str| {
            let of = |line: &str| line.strip_prefix(name)?.strip_prefix('=').map(ToOwned::to_owned);
            told.lines().find_map(of).unwrap_or_default()
        };
        Ok(Lease {
            address: value("ip"),
            router: value("router"),
            resolver: value("dns"),
            portal: from_hexadecimal(&value("opt114")),
        })
    }

    /// The address that the router's advertisements led to, if there is one yet.
    pub(super) async fn global_address(&self) -> Result<Option<String>, CliError> {
        let mut ask = Command::new("ip");
        ask.args(["-n", self.space.name(), "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global"]);
        let said = blocking(move || output(&mut ask)).await?;
        let address = said.lines().find(|line| !line.contains("tentative"));
        Ok(address.and_then(|line| line.split_whitespace().nth(3)).map(ToOwned::to_owned))
    }

    /// One request by curl; redirects are shown, not followed.
    pub(super) async fn curl(&self, arguments: &[&str]) -> Result<Page, CliError> {
        let mut curl = self.browser();
        curl.args(["-i", "--max-time", "20"]).args(arguments);
        let clock = self.clock.clone();
        let ran = move || {
            let began = clock.monotonic();
            let done = curl.output().map_err(|error| CliError::failed("run curl", &error))?;
            let took = clock.monotonic().saturating_duration_since(began);
            let complaint = String::from_utf8_lossy(&done.stderr).trim().to_owned();
            Ok(Page { complaint, took, ..page(&String::from_utf8_lossy(&done.stdout)) })
        };
        blocking(ran).await
    }

    /// Begins a download that goes on until it is cut.
    pub(super) fn download(&self, url: &str) -> Result<Download, CliError> {
        let mut curl = self.browser();
        // Of its own group, so that Ctrl-C is ours to answer.
        // A packet after a second of silence, as apps send: so that it learns of a connection that is no more.
        curl.args(["-N", "--keepalive-time", "1", url])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = curl.spawn().map_err(|error| CliError::failed("run curl", &error))?;
        let now = self.clock.monotonic();
        let seen = Arc::new(Mutex::new(Seen { octets: 0, last: now, longest_gap: Duration::ZERO }));
        if let Some(mut pipe) = child.stdout.take() {
            let (seen, clock) = (Arc::clone(&seen), self.clock.clone());
            // Ends with the pipe.
            let _reader = std::thread::spawn(move || {
                let mut room = [0; 65_536];
                while let Ok(length @ 1..) = pipe.read(&mut room) {
                    let now = clock.monotonic();
                    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    let gap = now.saturating_duration_since(seen.last);
                    seen.longest_gap = seen.longest_gap.max(gap);
                    seen.last = now;
                    seen.octets = seen.octets.saturating_add(u64::try_from(length).unwrap_or(0));
                }
            });
        }
        Ok(Download { child, seen })
    }

    /// A file of this device's own.
    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}-{name}", self.space.name()))
    }

    fn browser(&self) -> Command {
        let mut curl = self.space.command("curl");
        let jar = self.file("cookies");
        curl.args(["-s", "-S", "-g", "--http1.1", "--noproxy", "*", "--cacert"])
            .arg(self.folder.join("ca.pem"));
        curl.arg("-b").arg(&jar).arg("-c").arg(&jar);
        curl
    }
}

/// A download that runs; it ends with the value.
#[derive(Debug)]
pub(super) struct Download {
    child: Child,
    seen: Arc<Mutex<Seen>>,
}

/// What arrived of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) octets: u64,
    /// When something last arrived.
    pub(super) last: Instant,
    pub(super) longest_gap: Duration,
}

impl Download {
    pub(super) fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets how long the gaps were.
    pub(super) fn forget_gaps(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).longest_gap = Duration::ZERO;
    }

    /// What curl said of its end; `None` while it runs.
    pub(super) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        let mut complaint = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            // Without its words there is still its number.
            let _ = stderr.read_to_string(&mut complaint);
        }
        Some(format!("{} ({status})", complaint.trim()))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Page {
    /// A header of the answer; empty when it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        let of = |line: &'_ str| {
            let (found, _) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| found.len() + 1)
        };
        self.head.lines().find_map(|line| of(line).and_then(|at| line.get(at..))).unwrap_or_default().trim()
    }

    /// In a few words.
    pub(super) fn told(&self) -> String {
        let Self { status, complaint, body, .. } = self;
        if *status == 0 {
            return complaint.clone();
        }
        let begin: String = body.trim().chars().take(SHOWN).collect();
        format!("{status} {}", if begin.is_empty() { "without a body" } else { &begin })
    }
}

/// Head and body of the last answer that curl printed.
fn page(text: &str) -> Page {
    let mut rest = text;
    let none = || Page {
        status: 0,
        head: String::new(),
        body: String::new(),
        complaint: String::new(),
        took: Duration::ZERO,
    };
    while let Some((head, body)) = rest.split_once("\r\n\r\n") {
        let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        if (100..200).contains(&status) {
            rest = body;
            continue;
        }
        return Page { status, head: head.to_owned(), body: body.to_owned(), ..none() };
    }
    none()
}

/// udhcpc hands over what it does not know as hexadecimal digits.
fn from_hexadecimal(digits: &str) -> String {
    let octet = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    let octets: Vec<u8> = (0..digits.len()).step_by(2).filter_map(octet).collect();
    String::from_utf8_lossy(&octets).into_owned()
}

/// Work that waits for another process, off the runtime's thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| CliError::failed("wait for a program", &error))?
}

/// What udhcpc runs when it has a lease: as its own default script, but in the phone's `/etc`.
fn lease_script(etc: &Path, told: &Path) -> String {
    let (etc, told) = (etc.display(), told.display());
    format!(
        "#!/bin/sh\nset -e\ncase \"$1\" in bound | renew) ;; *) exit 0 ;; esac\n\
         ip addr replace \"$ip/$mask\" dev \"$interface\"\n\
         ip route replace default via \"${{router%% *}}\"\n\
         mkdir -p '{etc}'\n\
         for one in $dns; do echo \"nameserver $one\"; done >'{etc}/resolv.conf'\n\
         for name in ip router dns opt114; do eval \"echo \\\"$name=\\$$name\\\"\"; done >'{told}'\n"
    )
}

/// A line of a screen.
const SHOWN: usize = 70;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_with_its_headers() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: http://a/b:c\r\n\r\nGo.";
        let page = page(text);
        assert_eq!((page.status, page.header("location"), page.body.as_str()), (302, "http://a/b:c", "Go."));
        assert_eq!(page.header("none"), "");
        assert_eq!(super::page("").status, 0);
    }

    #[test]
    fn option_114_is_read_from_hexadecimal() {
        assert_eq!(from_hexadecimal("68747470733a2f2f61"), "https://a");
        assert_eq!(from_hexadecimal(""), "");
    }
}
