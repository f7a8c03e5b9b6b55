//! The peer's end of TLS in EAP.

use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, RootCertStore};
use zeroize::Zeroizing;

use super::PeerFault;
use crate::base::secret::Secret;
use crate::eap::method::Keys;
use crate::eap::packet::TypeCode;

/// Whom a peer trusts, and its own certificate.
#[derive(Clone, Debug)]
pub struct PeerTls {
    config: Arc<ClientConfig>,
    server: ServerName<'static>,
}

/// Why a peer has no TLS. The caller's fault.
#[derive(Debug, thiserror::Error)]
pub enum PeerTlsError {
    /// No CA in the text.
    #[error("there is no CA certificate in it; write it as PEM")]
    NoCa,
    /// The name is none.
    #[error("this is no name that a certificate can have")]
    Name,
    /// No certificate or no key in the text.
    #[error("there is no certificate or no private key in it; write both as PEM")]
    NoCertificate,
    /// What was given cannot be used.
    #[error("certificate, key or CA cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl PeerTls {
    /// Trusts servers of this name whose certificate the CA has signed; `own` is certificate and key for EAP-TLS.
    ///
    /// # Errors
    /// What cannot be used.
    pub fn new(ca: &[u8], server: &str, own: Option<(&[u8], &Secret)>) -> Result<Self, PeerTlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(ca) {
            roots.add(certificate.map_err(|_| PeerTlsError::NoCa)?)?;
        }
        if roots.is_empty() {
            return Err(PeerTlsError::NoCa);
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some((chain, key)) => {
                let none = |_| PeerTlsError::NoCertificate;
                let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(none)?;
                let key = PrivateKeyDer::from_pem_slice(key.expose()).map_err(none)?;
                builder.with_client_auth_cert(chain, key)?
            }
        };
        let server = ServerName::try_from(server.to_owned()).map_err(|_| PeerTlsError::Name)?;
        Ok(Self { config: Arc::new(config), server })
    }
}

/// One connection.
pub(super) struct Tunnel {
    connection: Box<ClientConnection>,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    sent: usize,
}

impl Tunnel {
    pub(super) fn new(tls: &PeerTls) -> Result<Self, PeerFault> {
        let connection = ClientConnection::new(Arc::clone(&tls.config), tls.server.clone());
        let connection = Box::new(connection.map_err(|_| PeerFault::Tls)?);
        Ok(Self { connection, incoming: Vec::new(), outgoing: Vec::new(), sent: 0 })
    }

    /// Takes a request's data; `None` where only an acknowledgement or the next fragment is due.
    pub(super) fn hear(&mut self, data: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, PeerFault> {
        let (flags, rest) = data.split_first().ok_or(PeerFault::Method)?;
        let piece = if flags & LENGTH == 0 { rest } else { rest.get(4..).ok_or(PeerFault::Method)? };
        if self.sent < self.outgoing.len() {
            return Ok(None);
        }
        self.incoming.extend_from_slice(piece);
        if self.incoming.len() > MOST_OCTETS {
            return Err(PeerFault::Method);
        }
        if flags & MORE != 0 {
            return Ok(None);
        }
        let message = std::mem::take(&mut self.incoming);
        let mut plain = Zeroizing::new(Vec::new());
        let mut records = Cursor::new(message.as_slice());
        let end = u64::try_from(message.len()).unwrap_or(u64::MAX);
        while records.position() < end {
            self.connection.read_tls(&mut records).map_err(|_| PeerFault::Tls)?;
            self.connection.process_new_packets().map_err(|_| PeerFault::Tls)?;
            let mut room = [0; 4_096];
            while let Ok(read) = self.connection.reader().read(&mut room) {
                if read == 0 {
                    break;
                }
                plain.extend_from_slice(room.get(..read).unwrap_or_default());
            }
        }
        self.collect();
        Ok(Some(plain))
    }

    pub(super) fn is_open(&self) -> bool {
        !self.connection.is_handshaking()
    }

    pub(super) fn say(&mut self, plain: &[u8]) {
        if !plain.is_empty() {
            // Into memory, which does not fail.
            let _ = self.connection.writer().write_all(plain);
        }
        self.collect();
    }

    /// The next response's data: a fragment of what is to be said, or nothing but flags.
    pub(super) fn next(&mut self) -> Vec<u8> {
        let whole = self.outgoing.len();
        let end = whole.min(self.sent.saturating_add(FRAGMENT));
        let piece = self.outgoing.get(self.sent..end).unwrap_or_default();
        let more = end < whole;
        let total = u32::try_from(whole).unwrap_or(u32::MAX).to_be_bytes();
        let data = match (self.sent == 0 && more, more) {
            (true, _) => [&[LENGTH | MORE][..], &total, piece].concat(),
            (false, true) => [&[MORE][..], piece].concat(),
            (false, false) => [&[0][..], piece].concat(),
        };
        self.sent = end;
        data
    }

    fn collect(&mut self) {
        if self.sent >= self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        }
        while self.connection.wants_write() {
            if self.connection.write_tls(&mut self.outgoing).is_err() {
                return;
            }
        }
    }

    pub(super) fn key_material(&self, kind: TypeCode) -> Option<Zeroizing<[u8; 128]>> {
        let tls13 = self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        let old: &[u8] =
            if kind == TypeCode::TTLS { b"ttls keying material" } else { b"client EAP encryption" };
        let context = [kind.0];
        let (label, context): (&[u8], Option<&[u8]>) =
            if tls13 { (b"EXPORTER_EAP_TLS_Key_Material", Some(&context)) } else { (old, None) };
        let mut octets = Zeroizing::new([0; 128]);
        self.connection.export_keying_material(octets.as_mut_slice(), label, context).ok()?;
        Some(octets)
    }

    pub(super) fn keys(&self, kind: TypeCode) -> Option<Keys> {
        self.key_material(kind)?.first_chunk().copied().map(Keys::new)
    }
}

const LENGTH: u8 = 0x80;
const MORE: u8 = 0x40;
/// Octets of data in one packet, as a wire carries them.
const FRAGMENT: usize = 1_000;
/// A server's certificates, at most.
const MOST_OCTETS: usize = 64 * 1024;
