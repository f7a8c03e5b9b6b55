//! `[radius.eap]`: which EAP methods are offered, in which order, and what those over TLS need.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeValue;

use super::fault::Wrong;
use super::kind::{Kind, choose, chosen};
use super::reader::{Applies, Section, within};
use super::reference::SecretRef;

/// How devices may log in by EAP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eap {
    /// The methods, the first choice first. Empty: no EAP.
    pub methods: Vec<EapMethod>,
    /// The server's certificate with its chain, PEM; without it nothing over TLS is offered.
    pub certificate: Option<SecretRef>,
    /// Its private key, PEM.
    pub private_key: Option<SecretRef>,
    /// Who signs the certificates of devices, PEM; without it EAP-TLS is not offered.
    pub client_ca: Option<PathBuf>,
    /// Versions of TLS.
    pub tls_versions: Vec<EapTls>,
    /// How long a device may resume after it has proved its password; zero: never.
    pub resume_for: Duration,
    /// Threads that carry TLS handshakes on.
    pub handshake_threads: u32,
}

/// An EAP method that can be offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EapMethod {
    /// PEAP.
    Peap,
    /// EAP-TTLS.
    Ttls,
    /// EAP-TLS.
    Tls,
    /// EAP-MSCHAPv2.
    MsChapV2,
    /// EAP-MD5.
    Md5,
    /// EAP-GTC.
    Gtc,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EapTls {
    /// 1.2.
    V12,
    /// 1.3.
    V13,
}

impl Eap {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        use Applies::{Live, Restart};
        let methods =
            METHODS.iter().map(|(_, method)| *method).filter(|one| *one != EapMethod::Gtc).collect();
        let versions = vec![EapTls::V12, EapTls::V13];
        let day = Duration::from_secs(86_400);
        Self {
            methods: section.checked("methods", Live, methods, |methods: &Vec<EapMethod>| each_once(methods)),
            certificate: section.optional("certificate", Live, None),
            private_key: section.optional("private_key", Live, None),
            client_ca: section.optional("client_ca", Live, None),
            tls_versions: section.checked("tls_versions", Live, versions, |versions: &Vec<EapTls>| {
                if versions.is_empty() {
                    return Err(Wrong::new("the list is empty", "write [\"1.2\", \"1.3\"], or one of them"));
                }
                each_once(versions)
            }),
            resume_for: section.checked("resume_for", Live, Duration::from_secs(28_800), |time| {
                within(time, &Duration::ZERO, &day)
            }),
            handshake_threads: section
                .checked("handshake_threads", Restart, 2, |threads| within(threads, &1, &64)),
        }
    }

    /// What was given by half, with what to do.
    pub(super) fn contradictions(&self) -> Vec<(&'static str, String, &'static str)> {
        let mut found = Vec::new();
        let (certificate, key) = (self.certificate.is_some(), self.private_key.is_some());
        if certificate != key {
            let (given, other) =
                if certificate { ("certificate", "private_key") } else { ("private_key", "certificate") };
            found.push((given, format!("given without radius.eap.{other}"), "give both, or neither"));
        }
        if self.client_ca.is_some() && !certificate && !key {
            let problem = "given without radius.eap.certificate".to_owned();
            found.push(("client_ca", problem, "EAP-TLS needs the server's certificate and key too"));
        }
        found
    }

    /// The settings of none.
    pub(super) const fn none() -> Self {
        Self {
            methods: Vec::new(),
            certificate: None,
            private_key: None,
            client_ca: None,
            tls_versions: Vec::new(),
            resume_for: Duration::ZERO,
            handshake_threads: 1,
        }
    }
}

fn each_once<T: PartialEq>(list: &[T]) -> Result<(), Wrong> {
    let is_twice = |(at, one): (usize, &T)| list.iter().take(at).any(|earlier| earlier == one);
    if list.iter().enumerate().any(is_twice) {
        return Err(Wrong::new("something is named twice", "name each once, the first choice first"));
    }
    Ok(())
}

impl Kind for EapMethod {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, METHODS)
    }

    fn show(&self) -> String {
        chosen(*self, METHODS)
    }
}

impl Kind for EapTls {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        choose(value, VERSIONS)
    }

    fn show(&self) -> String {
        chosen(*self, VERSIONS)
    }
}

const METHODS: &[(&str, EapMethod)] = &[
    ("peap", EapMethod::Peap),
    ("ttls", EapMethod::Ttls),
    ("tls", EapMethod::Tls),
    ("mschapv2", EapMethod::MsChapV2),
    ("md5", EapMethod::Md5),
    ("gtc", EapMethod::Gtc),
];
const VERSIONS: &[(&str, EapTls)] = &[("1.2", EapTls::V12), ("1.3", EapTls::V13)];
