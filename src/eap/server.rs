//! The server's side of TLS for EAP-TLS, EAP-TTLS and PEAP: its certificate, whose certificates it takes, and what
//! it remembers for resumption.
//!
//! One of these is made at start and at each reload; conversations that run keep theirs. The one rule: EAP-TLS never
//! resumes, and what resumes has proved itself inside a tunnel before.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::sessions::{Memory, Sessions};
use crate::base::secret::Secret;

/// TLS for one kind of tunnel after another.
#[derive(Debug)]
pub struct TlsServer {
    open: ServerConfig,
    mutual: Option<Arc<ServerConfig>>,
    sessions: Option<Arc<Sessions>>,
}

/// What a [`TlsServer`] is made of.
#[derive(Debug)]
pub struct TlsParts<'a> {
    /// The server's certificate with its chain, PEM.
    pub chain: &'a [u8],
    /// Its key, PEM.
    pub key: &'a Secret,
    /// Who signs the certificates of devices that log in by EAP-TLS, PEM; none: no EAP-TLS.
    pub client_ca: Option<&'a [u8]>,
    /// Versions of TLS that are spoken.
    pub versions: TlsVersions,
    /// What resumption remembers; none: each login is a full one.
    pub sessions: Option<Arc<Sessions>>,
}

/// Versions of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersions {
    /// 1.2 and 1.3.
    Both,
    /// 1.2 only, for devices whose drafts of 1.3 derive other keys.
    OnlyTls12,
    /// 1.3 only.
    OnlyTls13,
}

/// Why TLS cannot be spoken with what was given. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub enum TlsServerError {
    /// No certificate in the text.
    #[error(
        "there is no certificate in it; write the whole chain as PEM, the server's own certificate first"
    )]
    NoCertificate,
    /// No key in the text.
    #[error("there is no private key in it; write it as PEM, without a password")]
    NoKey,
    /// No CA in the text.
    #[error("there is no CA certificate in it; write it as PEM")]
    NoCa,
    /// Key, certificate or CA cannot be used.
    #[error("certificate, key or CA cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
    /// The CA cannot be used to check certificates.
    #[error("the CA cannot be used: {0}")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
}

impl TlsServer {
    /// Reads and checks everything once.
    ///
    /// # Errors
    /// What is missing, or does not fit.
    pub fn new(parts: &TlsParts<'_>) -> Result<Self, TlsServerError> {
        let provider = Arc::new(ring::default_provider());
        let open = config(&provider, parts, None)?;
        let mutual = match parts.client_ca {
            Some(pem) => Some(Arc::new(config(&provider, parts, Some(pem))?)),
            None => None,
        };
        Ok(Self { open, mutual, sessions: parts.sessions.clone() })
    }

    /// A connection whose peer must have a certificate; `None` where no CA was given for it.
    pub(super) fn mutual(&self) -> Option<ServerConnection> {
        ServerConnection::new(Arc::clone(self.mutual.as_ref()?)).ok()
    }

    /// A connection for a tunnel, with what remembers it.
    pub(super) fn tunnel(&self, method: u8) -> Option<(ServerConnection, Option<Arc<Memory>>)> {
        let mut config = self.open.clone();
        let memory =
            self.sessions.as_ref().map(|sessions| Arc::new(Memory::new(Arc::clone(sessions), method)));
        if let Some(memory) = &memory {
            config.session_storage = Arc::<Memory>::clone(memory);
            config.send_tls13_tickets = 1;
        }
        Some((ServerConnection::new(Arc::new(config)).ok()?, memory))
    }

    /// What is remembered for resumption.
    #[must_use]
    pub const fn sessions(&self) -> Option<&Arc<Sessions>> {
        self.sessions.as_ref()
    }

    /// Whether EAP-TLS can be offered.
    #[must_use]
    pub const fn takes_certificates(&self) -> bool {
        self.mutual.is_some()
    }
}

fn config(
    provider: &Arc<CryptoProvider>,
    parts: &TlsParts<'_>,
    client_ca: Option<&[u8]>,
) -> Result<ServerConfig, TlsServerError> {
    let chain = certificates(parts.chain).ok_or(TlsServerError::NoCertificate)?;
    let key = PrivateKeyDer::from_pem_slice(parts.key.expose()).map_err(|_| TlsServerError::NoKey)?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions(parts.versions))
        .map_err(TlsServerError::Unusable)?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(pem).ok_or(TlsServerError::NoCa)? {
                roots.add(certificate).map_err(TlsServerError::Unusable)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
            builder.with_client_cert_verifier(verifier.build().map_err(TlsServerError::Verifier)?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsServerError::Unusable)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let read: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().ok()?;
    (!read.is_empty()).then_some(read)
}

const fn versions(versions: TlsVersions) -> &'static [&'static SupportedProtocolVersion] {
    match versions {
        TlsVersions::Both => BOTH,
        TlsVersions::OnlyTls12 => ONLY_TLS12,
        TlsVersions::OnlyTls13 => ONLY_TLS13,
    }
}

static BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
static ONLY_TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
static ONLY_TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
