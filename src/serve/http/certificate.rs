//! Certificates and their keys: read, checked against each other, made where there is none.
//!
//! Octets in, octets out: where they are kept is the daemon's business. The one rule: a key that
//! does not belong to its certificate is refused at the start, not at the first handshake.

use std::fmt::Write;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::base::secret::Secret;

/// A certificate with its chain and its key.
#[derive(Debug)]
pub struct Certificate {
    pub(super) key: CertifiedKey,
    facts: Facts,
}

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// From when it is good.
    pub not_before: Timestamp,
    /// Until when it is good.
    pub not_after: Timestamp,
    /// SHA-256 of the certificate, as browsers show it.
    pub fingerprint: String,
    /// The names that it is for, lower case.
    pub names: Vec<String>,
}

/// A certificate as it is kept.
#[derive(Debug)]
pub struct Pem {
    /// The certificate with its chain.
    pub chain: String,
    /// The key.
    pub key: Secret,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No certificate in the text.
    #[error("there is no certificate in it; write the whole chain as PEM, the box's own certificate first")]
    NoCertificate,
    /// No key in the text.
    #[error("there is no private key in it; write it as PEM, without a password")]
    NoKey,
    /// The key is of a kind that is not spoken.
    #[error("the private key cannot be used: {0}")]
    Key(#[source] rustls::Error),
    /// Key and certificate are not a pair.
    #[error("the private key does not belong to the first certificate of the chain")]
    NoPair,
    /// The certificate is malformed.
    #[error("the certificate cannot be read")]
    Malformed,
    /// Making one failed.
    #[error("a certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

impl Certificate {
    /// Reads chain and key from PEM.
    ///
    /// # Errors
    /// What is missing, or does not fit.
    pub fn read(chain: &[u8], key: &Secret) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let facts = Facts::of(first)?;
        let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(|_| CertificateError::NoKey)?;
        let key = any_supported_type(&key).map_err(CertificateError::Key)?;
        let key = CertifiedKey::new(chain, key);
        key.keys_match().map_err(|_| CertificateError::NoPair)?;
        Ok(Self { key, facts })
    }

    /// What it says of itself.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Facts {
    fn of(certificate: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::Malformed)?;
        let moment = |seconds| Timestamp::from_second(seconds).map_err(|_| CertificateError::Malformed);
        let validity = parsed.validity();
        let not_before = moment(validity.not_before.timestamp())?;
        let not_after = moment(validity.not_after.timestamp())?;
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.map_or_else(Vec::new, |extension| {
            let dns = extension.value.general_names.iter().filter_map(|name| {
                let GeneralName::DNSName(name) = name else { return None };
                Some(name.to_ascii_lowercase())
            });
            dns.collect()
        });
        Ok(Self { not_before, not_after, fingerprint: fingerprint(certificate), names })
    }

    /// Whether it is for this host: by name, or by a `*` in the place of the first label.
    #[must_use]
    pub fn is_for(&self, host: &str) -> bool {
        self.names.iter().any(|name| {
            let wild = name.strip_prefix("*.").zip(host.split_once('.'));
            name == host || wild.is_some_and(|(rest, (_, parent))| rest == parent)
        })
    }
}

impl Pem {
    /// A certificate for this host, signed by nobody but itself, good from a day before `now`.
    ///
    /// # Errors
    /// When the machine's randomness or the name does not serve.
    pub fn self_signed(host: &str, now: Timestamp) -> Result<Self, CertificateError> {
        let mut parameters = CertificateParams::new([host.to_owned()])?;
        let mut name = DistinguishedName::new();
        name.push(DnType::CommonName, host);
        parameters.distinguished_name = name;
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let start = std::time::SystemTime::from(now);
        // Phones whose clock is a little slow must not see one from the future.
        parameters.not_before = start.checked_sub(DAY).unwrap_or(start).into();
        parameters.not_after = (start + MADE_FOR).into();
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?;
        Ok(Self { chain: certificate.pem(), key: Secret::from_text(&key.serialize_pem()) })
    }
}

fn fingerprint(certificate: &[u8]) -> String {
    let mut text = String::with_capacity(95);
    for (place, octet) in Sha256::digest(certificate).iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = write!(text, "{}{octet:02X}", if place == 0 { "" } else { ":" });
    }
    text
}

const DAY: Duration = Duration::from_secs(86_400);
/// With the day before it 825 days: Apple's devices refuse longer ones, also where they are trusted by hand.
const MADE_FOR: Duration = Duration::from_secs(824 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T08:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_made_certificate_is_a_pair_for_its_name_and_lasts_825_days() {
        let made = Pem::self_signed("portal.example.net", now()).unwrap();
        let read = Certificate::read(made.chain.as_bytes(), &made.key).unwrap();
        let facts = read.facts();
        assert_eq!(facts.names, ["portal.example.net"]);
        assert_eq!(facts.not_after.duration_since(now()).as_hours(), 824 * 24);
        assert_eq!(now().duration_since(facts.not_before).as_hours(), 24);
        assert_eq!(facts.fingerprint.len(), 32 * 3 - 1);
        assert!(facts.is_for("portal.example.net") && !facts.is_for("other.example.net"));
    }

    #[test]
    fn what_does_not_fit_is_refused_in_a_sentence() {
        let one = Pem::self_signed("a.example.net", now()).unwrap();
        let other = Pem::self_signed("b.example.net", now()).unwrap();
        let refusal = |chain: &[u8], key: &Secret| Certificate::read(chain, key).unwrap_err().to_string();
        assert!(refusal(one.chain.as_bytes(), &other.key).contains("does not belong"));
        assert!(refusal(b"", &one.key).contains("no certificate"));
        assert!(refusal(one.key.expose(), &one.key).contains("no certificate"));
        assert!(refusal(one.chain.as_bytes(), &Secret::from_text(&one.chain)).contains("no private key"));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(refusal(broken.as_bytes(), &one.key).contains("cannot be read"));
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let facts = Facts {
            not_before: now(),
            not_after: now(),
            fingerprint: String::new(),
            names: vec!["*.example.net".into()],
        };
        assert!(facts.is_for("portal.example.net"));
        assert!(!facts.is_for("a.portal.example.net") && !facts.is_for("example.net"));
    }
}
