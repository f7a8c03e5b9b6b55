//! What TLS is spoken with: versions 1.2 and 1.3, one certificate, HTTP/1.1 within.
//!
//! The one rule: who dares less is refused; there is no older version and no weaker cipher to fall to.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;

/// A door's TLS; cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    kept: Arc<One>,
}

impl Tls {
    /// TLS with this certificate, whatever name the peer asks for.
    ///
    /// # Errors
    /// When the cryptography does not fit together: ours.
    pub fn new(certificate: Certificate) -> Result<Self, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let kept = Arc::new(One(RwLock::new(Arc::new(certificate.key))));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::<One>::clone(&kept));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), kept })
    }

    /// Speaks with this certificate from the next handshake on, in every clone.
    pub fn replace(&self, certificate: Certificate) {
        *self.kept.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificate.key);
    }

    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

/// The only certificate there is.
#[derive(Debug)]
struct One(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for One {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner)))
    }
}
