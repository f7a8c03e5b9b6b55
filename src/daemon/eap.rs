//! EAP as the daemon wires it: what is offered, made of the configuration and of the files that it names, looked at
//! again every minute.
//!
//! The one rule: what cannot be used changes nothing; devices go on logging in by what was in force, and staff are
//! told.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::{SignedDuration, Timestamp};

use crate::base::clock::Clock;
use crate::base::health::{Health, Severity, Warning};
use crate::base::jobs::{Job, Outcome, Report};
use crate::base::secret::Secret;
use crate::config::{Config, Eap, EapMethod, EapTls, Environment, SecretError, SecretRef};
use crate::eap::{Method, Offer, Sessions, TlsParts, TlsServer, TlsServerError, TlsVersions};
use crate::serve::http::certificate::{Certificate, CertificateError, Facts};

/// Why EAP over TLS cannot be offered; each names its setting.
#[derive(Debug, thiserror::Error)]
pub enum EapError {
    /// A file.
    #[error("{setting}: {} cannot be read", path.display())]
    File {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The certificate or its key, where they are kept as secrets.
    #[error("radius.eap.certificate and radius.eap.private_key cannot be read")]
    Secret(#[from] SecretError),
    /// What is in them.
    #[error("radius.eap.certificate and radius.eap.private_key cannot be used: {0}")]
    Certificate(#[from] CertificateError),
    /// TLS made of them, or the CA.
    #[error("radius.eap: {0}")]
    Tls(#[from] TlsServerError),
}

/// What is offered, and what it was made of.
pub(super) struct EapDesk {
    clock: Clock,
    settings: ArcSwap<Eap>,
    offer: Arc<ArcSwap<Offer>>,
    made: Mutex<Made>,
}

struct Made {
    from: (Eap, Option<Files>),
    facts: Option<Facts>,
    sessions: Option<Arc<Sessions>>,
}

/// What the settings' files hold.
#[derive(Clone, PartialEq, Eq)]
struct Files {
    chain: Vec<u8>,
    key: Secret,
    client_ca: Option<Vec<u8>>,
}

impl EapDesk {
    /// Makes the offer of the configuration.
    pub(super) fn open(config: &Config, clock: &Clock) -> Result<Arc<Self>, EapError> {
        let settings = &config.radius.eap;
        let files = Files::read(settings)?;
        let sessions = sessions(settings, clock);
        let (offer, facts) = offer(settings, files.as_ref(), sessions.as_ref())?;
        Ok(Arc::new(Self {
            clock: clock.clone(),
            settings: ArcSwap::from_pointee(settings.clone()),
            offer: Arc::new(ArcSwap::from_pointee(offer)),
            made: Mutex::new(Made { from: (settings.clone(), files), facts, sessions }),
        }))
    }

    /// What is in force, for the door.
    pub(super) fn offer(&self) -> Arc<ArcSwap<Offer>> {
        Arc::clone(&self.offer)
    }

    /// Takes the settings of a reload over.
    pub(super) fn reload(&self, config: &Config) {
        self.settings.store(Arc::new(config.radius.eap.clone()));
        if let Err(error) = self.renew() {
            tracing::error!(error = &error as &dyn std::error::Error, "EAP goes on with what was in force");
        }
    }

    /// Looks whether settings or files have changed, and makes the offer anew; true where it did.
    fn renew(&self) -> Result<bool, EapError> {
        let settings = self.settings.load_full();
        let files = Files::read(&settings)?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let from = (Eap::clone(&settings), files);
        if from == made.from {
            return Ok(false);
        }
        if settings.resume_for != made.from.0.resume_for {
            made.sessions = sessions(&settings, &self.clock);
        }
        let (offer, facts) = offer(&settings, from.1.as_ref(), made.sessions.as_ref())?;
        made.from = from;
        made.facts = facts;
        self.offer.store(Arc::new(offer));
        Ok(true)
    }

    fn ends(&self) -> Option<Timestamp> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.facts.as_ref().map(|facts| facts.not_after)
    }
}

impl Files {
    /// What the settings name; `None` where nothing over TLS is set up.
    fn read(settings: &Eap) -> Result<Option<Self>, EapError> {
        let (Some(chain), Some(key)) = (&settings.certificate, &settings.private_key) else {
            return Ok(None);
        };
        let file = |setting, path: &PathBuf| {
            std::fs::read(path).map_err(|source| EapError::File { setting, path: path.clone(), source })
        };
        let chain = match chain {
            SecretRef::File(path) => file("radius.eap.certificate", path)?,
            SecretRef::Credential(_) | SecretRef::Environment(_) => {
                chain.resolve(&Environment::Process)?.expose().to_vec()
            }
        };
        let client_ca =
            settings.client_ca.as_ref().map(|path| file("radius.eap.client_ca", path)).transpose()?;
        Ok(Some(Self { chain, key: key.resolve(&Environment::Process)?, client_ca }))
    }
}

/// The certificate that the settings name, for who looks before the daemon does.
///
/// # Errors
/// What cannot be read or used.
pub fn look(settings: &Eap) -> Result<Option<Facts>, EapError> {
    let files = Files::read(settings)?;
    Ok(offer(settings, files.as_ref(), None)?.1)
}

fn offer(
    settings: &Eap,
    files: Option<&Files>,
    sessions: Option<&Arc<Sessions>>,
) -> Result<(Offer, Option<Facts>), EapError> {
    let methods = settings.methods.iter().map(method).collect();
    let Some(files) = files else { return Ok((Offer { methods, tls: None }, None)) };
    let certificate = Certificate::read(&files.chain, &files.key)?;
    let tls = TlsServer::new(&TlsParts {
        chain: &files.chain,
        key: &files.key,
        client_ca: files.client_ca.as_deref(),
        versions: versions(settings),
        sessions: sessions.cloned(),
    })?;
    Ok((Offer { methods, tls: Some(tls) }, Some(certificate.facts().clone())))
}

fn sessions(settings: &Eap, clock: &Clock) -> Option<Arc<Sessions>> {
    (!settings.resume_for.is_zero()).then(|| Sessions::new(settings.resume_for, clock.monotonic()))
}

const fn method(method: &EapMethod) -> Method {
    match method {
        EapMethod::Peap => Method::Peap,
        EapMethod::Ttls => Method::Ttls,
        EapMethod::Tls => Method::Tls,
        EapMethod::MsChapV2 => Method::MsChapV2,
        EapMethod::Md5 => Method::Md5,
        EapMethod::Gtc => Method::Gtc,
    }
}

fn versions(settings: &Eap) -> TlsVersions {
    match settings.tls_versions.as_slice() {
        [EapTls::V12] => TlsVersions::OnlyTls12,
        [EapTls::V13] => TlsVersions::OnlyTls13,
        _ => TlsVersions::Both,
    }
}

/// Looks at the certificate's files, and at how long it is still good.
pub(super) struct WatchEapCertificate {
    pub(super) desk: Arc<EapDesk>,
    pub(super) health: Health,
}

impl Job for WatchEapCertificate {
    fn name(&self) -> &'static str {
        "eap-certificate"
    }

    fn period(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&mut self, now: Timestamp) -> Report {
        let desk = Arc::clone(&self.desk);
        // It reads files.
        let renewed = tokio::task::spawn_blocking(move || desk.renew()).await;
        let report = match renewed {
            Ok(Ok(true)) => {
                tracing::info!("EAP conversations that begin from now on have the new certificate");
                Report::new(Outcome::Done, "a new certificate is in force")
            }
            Ok(Ok(false)) => Report::new(Outcome::Idle, "nothing has changed"),
            Ok(Err(error)) => {
                let text = format!("EAP goes on with the certificate of before: {error}");
                self.raise("eap-certificate-unusable", Severity::Warn, text, now);
                return Report::new(Outcome::Failed, error.to_string());
            }
            Err(_) => return Report::new(Outcome::Failed, "looking at the files was broken off"),
        };
        self.health.clear("eap-certificate-unusable", "");
        match self.desk.ends().and_then(|ends| ending(ends, now)) {
            Some((severity, text)) => self.raise("eap-certificate-ends", severity, text, now),
            None => drop(self.health.clear("eap-certificate-ends", "")),
        }
        report
    }
}

impl WatchEapCertificate {
    fn raise(&self, code: &'static str, severity: Severity, text: String, since: Timestamp) {
        let remedy =
            "put a new certificate and its key where radius.eap.certificate and private_key say".into();
        let warning = Warning { code, subject: String::new(), severity, text, remedy, since };
        let told = warning.text.clone();
        if self.health.raise(warning) {
            tracing::warn!("{told}");
        }
    }
}

/// What is to be said of a certificate that ends then: 30, 7 and 1 day ahead, and after.
#[must_use]
pub fn ending(ends: Timestamp, now: Timestamp) -> Option<(Severity, String)> {
    let left = ends.duration_since(now);
    let within = |days: i64| left <= SignedDuration::from_hours(24 * days);
    if left <= SignedDuration::ZERO {
        return Some((
            Severity::Fail,
            format!("The certificate for EAP has run out at {ends}; devices refuse it"),
        ));
    }
    let days = [1_i64, 7, 30].into_iter().find(|days| within(*days))?;
    let unit = if days == 1 { "day" } else { "days" };
    Some((Severity::Warn, format!("The certificate for EAP runs out within {days} {unit}, at {ends}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_spoken_of_30_7_and_1_day_before_it_ends_and_is_a_fault_after() {
        let ends = Timestamp::from_second(100 * 86_400).unwrap();
        let told = |days: i64| {
            ending(ends, ends - SignedDuration::from_hours(24 * days))
                .map(|(severity, text)| (severity, text.split(", at").next().unwrap_or_default().to_owned()))
        };
        assert_eq!(told(31), None);
        let warn =
            |text: &str| Some((Severity::Warn, format!("The certificate for EAP runs out within {text}")));
        assert_eq!(told(30), warn("30 days"));
        assert_eq!(told(8), warn("30 days"));
        assert_eq!(told(7), warn("7 days"));
        assert_eq!(told(1), warn("1 day"));
        assert_eq!(told(0).unwrap().0, Severity::Fail);
    }
}
