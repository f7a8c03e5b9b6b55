//! The certificate that was configured, or one that the box makes and keeps for itself; and the warnings
//! that go with either.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::base::clock::Clock;
use crate::base::health::{Health, Severity, Warning};
use crate::base::secret::Secret;
use crate::serve::http::certificate::{Certificate, CertificateError, Facts, Pem};
use crate::serve::http::tls::Tls;

/// What TLS is spoken with.
#[derive(Debug)]
pub struct Kept {
    /// The door's TLS.
    pub tls: Tls,
    /// What the certificate says of itself.
    pub facts: Facts,
    /// Whether the box made it: browsers warn of it then.
    pub made_here: bool,
    /// Where the box keeps the one that it made.
    folder: Option<PathBuf>,
    name: String,
}

/// Why there is nothing to speak TLS with.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The configured one.
    #[error("the portal's certificate (portal.certificate, portal.private_key) cannot be used: {0}")]
    Configured(#[source] CertificateError),
    /// The configured one is for others.
    #[error("the portal's certificate is for {}, not for {name} (portal.name)", names.join(", "))]
    OtherName {
        /// The portal's name.
        name: String,
        /// Those in the certificate.
        names: Vec<String>,
    },
    /// Our own.
    #[error("a certificate for the portal cannot be made")]
    Make(#[source] CertificateError),
    /// Keeping our own.
    #[error("the portal's own certificate cannot be kept in {}", folder.display())]
    Write {
        /// Where.
        folder: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// The cryptography: ours.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

/// The configured certificate with its key, PEM.
///
/// # Errors
/// When it cannot be used or is for another name.
pub fn configured(chain: &[u8], key: &Secret, name: &str) -> Result<Kept, KeepError> {
    let certificate = Certificate::read(chain, key).map_err(KeepError::Configured)?;
    if !certificate.facts().is_for(name) {
        let names = certificate.facts().names.clone();
        return Err(KeepError::OtherName { name: name.to_owned(), names });
    }
    kept(certificate, name, None)
}

/// The box's own certificate, kept as `portal.pem` and `portal.key` in `folder`. It is made where there
/// is none, where it is for another name, where it does not count yet, and where it ends within
/// [`RENEW_BEFORE`].
///
/// # Errors
/// When it can be neither read nor made.
pub fn made_here(folder: &Path, name: &str, now: Timestamp) -> Result<Kept, KeepError> {
    kept(own(folder, name, now)?, name, Some(folder.to_owned()))
}

fn own(folder: &Path, name: &str, now: Timestamp) -> Result<Certificate, KeepError> {
    if let Some(certificate) = still_good(folder, name, now) {
        return Ok(certificate);
    }
    let pem = Pem::self_signed(name, now).map_err(KeepError::Make)?;
    let written = write(folder, KEY_FILE, pem.key.expose())
        .and_then(|()| write(folder, CHAIN_FILE, pem.chain.as_bytes()));
    written.map_err(|source| KeepError::Write { folder: folder.to_owned(), source })?;
    Certificate::read(pem.chain.as_bytes(), &pem.key).map_err(KeepError::Make)
}

fn kept(certificate: Certificate, name: &str, folder: Option<PathBuf>) -> Result<Kept, KeepError> {
    let facts = certificate.facts().clone();
    let tls = Tls::new(certificate).map_err(KeepError::Tls)?;
    Ok(Kept { tls, facts, made_here: folder.is_some(), folder, name: name.to_owned() })
}

/// Files that are missing, broken or no pair are as good as none: another certificate harms nobody.
fn still_good(folder: &Path, name: &str, now: Timestamp) -> Option<Certificate> {
    let chain = std::fs::read(folder.join(CHAIN_FILE)).ok()?;
    let key = Secret::new(std::fs::read(folder.join(KEY_FILE)).ok()?);
    let certificate = Certificate::read(&chain, &key).ok()?;
    let facts = certificate.facts();
    (facts.is_for(name) && is_fresh(facts.not_before, facts.not_after, now)).then_some(certificate)
}

/// Whether our own certificate counts, and not only for some days more.
fn is_fresh(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    now >= not_before && not_after.duration_since(now) > RENEW_BEFORE
}

/// Whole or not at all, readable by the daemon's user only.
fn write(folder: &Path, file: &str, octets: &[u8]) -> io::Result<()> {
    let beside = folder.join(format!("{file}.new"));
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut to = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    to.write_all(octets)?;
    to.sync_all()?;
    std::fs::rename(&beside, folder.join(file))
}

/// What the watch needs to know of a certificate.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    name: String,
    not_before: Timestamp,
    not_after: Timestamp,
    fingerprint: String,
    made_here: bool,
    /// Our own, to be made anew: where it is kept, and what speaks with it.
    own: Option<(PathBuf, Tls)>,
}

impl Kept {
    pub(super) fn watched(&self) -> Watched {
        Watched {
            name: self.name.clone(),
            not_before: self.facts.not_before,
            not_after: self.facts.not_after,
            fingerprint: self.facts.fingerprint.clone(),
            made_here: self.made_here,
            own: self.folder.clone().map(|folder| (folder, self.tls.clone())),
        }
    }
}

/// Keeps the warnings true, and our own certificate fresh, until `stop`.
pub(super) async fn watch(mut kept: Watched, clock: Clock, health: Health, stop: CancellationToken) -> bool {
    loop {
        renew(&mut kept, clock.now());
        look(&kept, clock.now(), &health);
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return true,
        }
    }
}

/// Makes our own certificate anew when its time comes, or when the clock was wrong as it was made.
fn renew(kept: &mut Watched, now: Timestamp) {
    if is_fresh(kept.not_before, kept.not_after, now) {
        return;
    }
    let Some((folder, tls)) = &kept.own else { return };
    match own(folder, &kept.name, now) {
        Ok(certificate) => {
            let facts = certificate.facts().clone();
            tls.replace(certificate);
            tracing::info!(fingerprint = %facts.fingerprint, "The portal's own certificate was made anew");
            (kept.not_before, kept.not_after) = (facts.not_before, facts.not_after);
            kept.fingerprint = facts.fingerprint;
        }
        Err(error) => tracing::warn!(%error, "The portal's own certificate could not be made anew"),
    }
}

fn look(kept: &Watched, now: Timestamp, health: &Health) {
    if kept.made_here {
        raise(health, self_made(kept, now));
    }
    match expiring(kept, now) {
        Some(warning) => raise(health, warning),
        None => {
            health.clear(EXPIRING, &kept.name);
        }
    }
}

fn raise(health: &Health, warning: Warning) {
    let text = warning.text.clone();
    if health.raise(warning) {
        tracing::warn!("{text}");
    }
}

fn self_made(kept: &Watched, now: Timestamp) -> Warning {
    Warning {
        code: "portal-certificate-self-made",
        subject: kept.name.clone(),
        severity: Severity::Warn,
        text: format!(
            "The portal {} has a certificate that this box made (SHA-256 {}): browsers warn of it, and \
             captive devices log in over plain pages",
            kept.name, kept.fingerprint
        ),
        remedy: "set portal.certificate and portal.private_key to a certificate from an authority that \
                 phones know, and restart"
            .to_owned(),
        since: now,
    }
}

fn expiring(kept: &Watched, now: Timestamp) -> Option<Warning> {
    if now < kept.not_before {
        return Some(Warning {
            code: EXPIRING,
            subject: kept.name.clone(),
            severity: Severity::Warn,
            text: format!("The certificate of the portal {} counts only from {}", kept.name, kept.not_before),
            remedy:
                "set the box's clock; if it is right, take a certificate that counts already, and restart"
                    .to_owned(),
            since: now,
        });
    }
    let left = kept.not_after.duration_since(now);
    // The text changes only at these borders, so that it is not a new one every day.
    let border = BORDERS.into_iter().find(|days| left <= SignedDuration::from_hours(days * 24))?;
    let text = match border {
        0 => format!("The certificate of the portal {} ended at {}", kept.name, kept.not_after),
        days => format!(
            "The certificate of the portal {} ends within {days} day{}, at {}",
            kept.name,
            if days == 1 { "" } else { "s" },
            kept.not_after
        ),
    };
    let remedy = if kept.made_here {
        "look at the log: a new one could not be made"
    } else {
        "renew it, put it where portal.certificate says, and restart"
    };
    Some(Warning {
        code: EXPIRING,
        subject: kept.name.clone(),
        severity: Severity::Warn,
        text,
        remedy: remedy.to_owned(),
        since: now,
    })
}

/// Days before the end at which the warning grows stronger.
const BORDERS: [i64; 4] = [0, 1, 7, 30];
const EXPIRING: &str = "portal-certificate-expiring";
/// How long before its end our own certificate is made anew.
pub const RENEW_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Borders are days apart; a clock that was wrong at the start is set within minutes.
const LOOK_EVERY: Duration = Duration::from_secs(600);
const CHAIN_FILE: &str = "portal.pem";
const KEY_FILE: &str = "portal.key";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const NAME: &str = "portal.example.net";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn our_own_certificate_is_kept_and_renewed_before_its_end_or_for_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let print = |name: &str, now: &str| {
            let kept = made_here(folder.path(), name, at(now)).unwrap();
            assert!(kept.made_here);
            kept.facts.fingerprint
        };
        let first = print(NAME, "2026-03-01T00:00:00Z");
        assert_eq!(print(NAME, "2028-01-01T00:00:00Z"), first);
        let second = print(NAME, "2028-05-20T00:00:00Z");
        assert_ne!(second, first, "within 30 days of its end");
        assert_ne!(print("other.example.net", "2028-05-20T00:00:00Z"), second);
        for file in [KEY_FILE, CHAIN_FILE] {
            let mode = std::fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
        std::fs::write(folder.path().join(KEY_FILE), "torn").unwrap();
        print("other.example.net", "2028-05-20T00:00:00Z");
    }

    #[test]
    fn our_own_certificate_is_made_anew_without_a_restart_when_it_ends_or_the_clock_was_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = made_here(folder.path(), NAME, at("2026-03-01T00:00:00Z")).unwrap().watched();
        let mut print = |now: &str| {
            renew(&mut kept, at(now));
            let chain = std::fs::read(folder.path().join(CHAIN_FILE)).unwrap();
            let key = Secret::new(std::fs::read(folder.path().join(KEY_FILE)).unwrap());
            assert_eq!(Certificate::read(&chain, &key).unwrap().facts().fingerprint, kept.fingerprint);
            kept.fingerprint.clone()
        };
        let first = print("2026-03-02T00:00:00Z");
        assert_eq!(print("2028-01-01T00:00:00Z"), first);
        let second = print("2028-05-20T00:00:00Z");
        assert_ne!(second, first, "near its end");
        assert_ne!(print("2026-03-01T00:00:00Z"), second, "made by a clock that was ahead");
    }

    #[test]
    fn a_configured_certificate_must_be_for_the_portals_name() {
        let pem = Pem::self_signed("other.example.net", at("2026-03-01T00:00:00Z")).unwrap();
        let error = configured(pem.chain.as_bytes(), &pem.key, NAME).unwrap_err().to_string();
        assert!(error.contains("for other.example.net, not for portal.example.net"), "{error}");
        let pem = Pem::self_signed(NAME, at("2026-03-01T00:00:00Z")).unwrap();
        assert!(!configured(pem.chain.as_bytes(), &pem.key, NAME).unwrap().made_here);
    }

    #[test]
    fn its_end_is_announced_a_month_a_week_and_a_day_ahead() {
        let health = Health::new();
        let kept = Watched {
            name: NAME.into(),
            not_before: at("2026-01-01T00:00:00Z"),
            not_after: at("2026-03-31T00:00:00Z"),
            fingerprint: String::new(),
            made_here: false,
            own: None,
        };
        let said = |now: &str| {
            look(&kept, at(now), &health);
            health.warnings().first().map(|warning| warning.text.clone()).unwrap_or_default()
        };
        assert_eq!(said("2026-02-28T00:00:00Z"), "");
        assert!(said("2026-03-02T00:00:00Z").contains("within 30 days"));
        assert!(said("2026-03-25T00:00:00Z").contains("within 7 days"));
        assert!(said("2026-03-30T12:00:00Z").contains("within 1 day,"));
        assert!(said("2026-03-31T00:00:00Z").contains("ended at"));
        assert!(said("2025-12-31T00:00:00Z").contains("counts only from"));
        assert_eq!(said("2026-02-28T00:00:00Z"), "", "renewed and restarted, or the clock was wrong");
    }
}
