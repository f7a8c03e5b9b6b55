//! What the daemon needs on disk: its key and its store.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::Check;
use crate::base::health::Severity;
use crate::config::{Config, Engine, SecretRef};
use crate::daemon;

/// The box's key: there, and nobody else's to read.
pub(super) fn key(config: &Config) -> Check {
    const NAME: &str = "key";
    let SecretRef::File(path) = &config.secrets.key else {
        return Check::ok(NAME, "the box's key is handed over at start, not kept in a file of ours");
    };
    match std::fs::metadata(path) {
        Ok(meta) if meta.mode() & 0o077 != 0 => Check::fail(
            NAME,
            format!(
                "{} may be read by more than its owner (mode {:04o})",
                path.display(),
                meta.mode() & 0o7777
            ),
            format!("run: chmod 600 {}", path.display()),
        ),
        Ok(_) => Check::ok(NAME, format!("{} is private; keep a copy in a safe", path.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !was_here(config) => {
            Check::ok(NAME, format!("{} will be made at the first start", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Check::fail(
            NAME,
            format!("{} is gone, and the store needs it", path.display()),
            "bring the copy back from the safe; without it secrets in the store are lost",
        ),
        Err(error) => unreadable(NAME, path, &error),
    }
}

/// The payment gateways that are on, and whether their keys can be read by nobody else.
pub(super) fn payments(config: &Config) -> Check {
    const NAME: &str = "payments";
    let names = config.payments.names();
    if names.is_empty() {
        return Check::ok(NAME, "no gateway is on; money comes over the counter");
    }
    for (setting, key) in config.payments.keys() {
        let SecretRef::File(path) = key else { continue };
        match std::fs::metadata(path) {
            Ok(meta) if meta.mode() & 0o077 != 0 => {
                let found = format!("{setting}: {} may be read by more than its owner", path.display());
                return Check::fail(NAME, found, format!("run: chmod 600 {}", path.display()));
            }
            Ok(meta) if meta.len() == 0 => {
                let found = format!("{setting}: {} is empty, so nothing can be proven by it", path.display());
                return Check::fail(NAME, found, "put the gateway's key into the file");
            }
            Ok(_) => {}
            Err(error) => {
                let found = format!("{setting}: {} cannot be read: {error}", path.display());
                return Check::fail(NAME, found, "put the gateway's key there, owned by the daemon's user");
            }
        }
    }
    Check::ok(NAME, format!("{} on; their pages are in the walled garden", names.join(", ")))
}

/// What devices log in with by EAP, and for how long its certificate is still good.
pub(super) fn eap(config: &Config, now: Timestamp) -> Check {
    const NAME: &str = "eap";
    let eap = &config.radius.eap;
    if eap.methods.is_empty() {
        return Check::ok(NAME, "no EAP method is offered");
    }
    match daemon::look(eap) {
        Err(error) => {
            let remedy = "put certificate, key and CA there as PEM; key and certificate of mode 0600, owned by the daemon's user";
            Check::fail(NAME, told(&error), remedy)
        }
        Ok(None) => Check::ok(
            NAME,
            "methods without TLS only; peap, ttls and tls need radius.eap.certificate and private_key",
        ),
        Ok(Some(facts)) => {
            let remedy = "put a new certificate and key into the same files; it is taken up within a minute";
            match daemon::ending(facts.not_after, now) {
                Some((Severity::Fail, text)) => Check::fail(NAME, text, remedy),
                Some((Severity::Warn, text)) => Check::warn(NAME, text, remedy),
                None => Check::ok(NAME, format!("the certificate is good until {}", facts.not_after)),
            }
        }
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// The store: there, and held by nobody but the daemon.
pub(super) fn store(config: &Config, daemon_is_up: bool) -> Check {
    const NAME: &str = "store";
    let dir = &config.store.path;
    match config.store.engine {
        Engine::Memory => {
            return Check::warn(
                NAME,
                "kept in memory only",
                "write engine = \"embedded\" before customers come",
            );
        }
        Engine::Embedded => {}
    }
    match std::fs::metadata(dir) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Check::ok(NAME, format!("{} will be made at the first start", dir.display()));
        }
        Err(error) => return unreadable(NAME, dir, &error),
    }
    match (holder(dir), daemon_is_up) {
        (Ok(Some(pid)), true) => {
            Check::ok(NAME, format!("{} is held by the daemon (process {pid})", dir.display()))
        }
        (Ok(Some(pid)), false) => Check::fail(
            NAME,
            format!(
                "{} is held by process {pid}, which does not answer on the control socket",
                dir.display()
            ),
            format!("look what it is: ps -fp {pid}; a hung daemon: systemctl restart dotmac-edge"),
        ),
        (Ok(None), true) => Check::fail(
            NAME,
            format!("the running daemon does not hold {}", dir.display()),
            "it was started with another configuration; restart it",
        ),
        (Ok(None), false) => Check::ok(
            NAME,
            format!("{} is there and closed; look inside: dotmac-edge store check", dir.display()),
        ),
        (Err(error), _) => unreadable(NAME, &dir.join(LOCK_FILE), &error),
    }
}

/// Whether a store was ever made there.
fn was_here(config: &Config) -> bool {
    match config.store.engine {
        Engine::Memory => false,
        Engine::Embedded => {
            std::fs::read_dir(&config.store.path).is_ok_and(|mut files| files.next().is_some())
        }
    }
}

/// The process that holds the store, found out without disturbing it.
fn holder(dir: &Path) -> std::io::Result<Option<String>> {
    let path = dir.join(LOCK_FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_given_back_at_once) => Ok(None),
        Err((_, Errno::EWOULDBLOCK)) => {
            let pid = std::fs::read_to_string(&path)?;
            Ok(Some(pid.trim().to_owned()))
        }
        Err((_, errno)) => Err(errno.into()),
    }
}

fn unreadable(name: &'static str, path: &Path, error: &std::io::Error) -> Check {
    let found = format!("{} cannot be looked at: {error}", path.display());
    Check::warn(name, found, "run doctor as root, or as the daemon's user")
}

/// The file by which one process holds the store.
const LOCK_FILE: &str = "store.lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_store_names_its_holder_and_a_free_one_stays_free() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(holder(dir.path()).unwrap(), None);
        std::fs::write(dir.path().join(LOCK_FILE), "4711\n").unwrap();
        assert_eq!(holder(dir.path()).unwrap(), None);
        let file = File::open(dir.path().join(LOCK_FILE)).unwrap();
        let held = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        assert_eq!(holder(dir.path()).unwrap().as_deref(), Some("4711"));
        drop(held);
        assert_eq!(holder(dir.path()).unwrap(), None);
    }
}
