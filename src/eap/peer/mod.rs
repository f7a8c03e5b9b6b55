//! The peer's side of EAP (RFC 3748, RFC 4137 section 4): for testing a server from the command line, and for the
//! server's own tests.
//!
//! The one rule: a peer believes a success only of a server that has proved itself as the method asks.

mod inner;
mod tls;

pub use tls::{PeerTls, PeerTlsError};

use super::method::{Keys, Method};
use super::packet::{self, DecodeError, TypeCode};
use inner::Inner;
use tls::Tunnel;

/// How a peer logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerMethod {
    /// EAP-MD5, EAP-GTC or EAP-MSCHAPv2 by itself.
    Plain(Method),
    /// EAP-TLS.
    Tls,
    /// EAP-TTLS with PAP inside.
    TtlsPap,
    /// PEAP with EAP-MSCHAPv2 or EAP-GTC inside.
    Peap(Method),
}

/// Who logs in.
pub struct PeerName<'a> {
    /// What is said before any method.
    pub outer: &'a [u8],
    /// Who it is, inside a tunnel where there is one.
    pub inner: &'a [u8],
    /// The password.
    pub password: &'a [u8],
}

/// A peer in one conversation.
pub struct Peer {
    method: PeerMethod,
    outer: Vec<u8>,
    inner: Inner,
    tunnel: Option<Tunnel>,
}

/// What a peer says to a server's packet.
#[derive(Debug)]
pub enum PeerStep {
    /// Send this.
    Respond(Vec<u8>),
    /// The server lets the peer in, and has proved what the method asks; the keys of both.
    Success(Option<Keys>),
    /// The server does not.
    Failure,
}

/// Why a peer goes no further. The server's fault, or somebody's between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFault {
    /// It is no request.
    #[error("the server's packet is no EAP request")]
    Malformed(#[source] DecodeError),
    /// The method's data has not its form.
    #[error("the server's packet is not what the method asks for")]
    Method,
    /// The server's proof does not fit the password.
    #[error("the server did not prove that it knows the password")]
    ServerProof,
    /// TLS failed: the certificate is not the CA's or of another name, or nothing is spoken by both.
    #[error("TLS failed: the certificate is not of the CA or of another name, or no version fits")]
    Tls,
    /// A success that nothing led to.
    #[error("the server says success before it has proved itself")]
    TooEarly,
}

impl Peer {
    /// A peer that has said nothing yet.
    ///
    /// # Errors
    /// When a method over TLS has no TLS.
    pub fn new(name: &PeerName<'_>, method: PeerMethod, tls: Option<&PeerTls>) -> Result<Self, PeerFault> {
        let plain = match method {
            PeerMethod::Plain(plain) | PeerMethod::Peap(plain) => plain,
            PeerMethod::Tls | PeerMethod::TtlsPap => Method::Gtc,
        };
        let tunnel = match method {
            PeerMethod::Plain(_) => None,
            PeerMethod::Tls | PeerMethod::TtlsPap | PeerMethod::Peap(_) => {
                Some(Tunnel::new(tls.ok_or(PeerFault::Tls)?)?)
            }
        };
        let inner = Inner::new(name.inner, name.password, plain);
        Ok(Self { method, outer: name.outer.to_vec(), inner, tunnel })
    }

    /// The first packet: the identity.
    #[must_use]
    pub fn begin(&self) -> Vec<u8> {
        packet::response(0, TypeCode::IDENTITY, &self.outer)
    }

    /// Takes the server's packet; `random` is 16 fresh octets.
    ///
    /// # Errors
    /// What is wrong with the server.
    pub fn hear(&mut self, octets: &[u8], random: &[u8; 16]) -> Result<PeerStep, PeerFault> {
        match octets {
            [3, _, 0, 4, ..] => return self.succeed(),
            [4, _, 0, 4, ..] => return Ok(PeerStep::Failure),
            _ => {}
        }
        let request = read_request(octets)?;
        let respond =
            |kind, data: &[u8]| Ok(PeerStep::Respond(packet::response(request.identifier, kind, data)));
        if request.kind == TypeCode::IDENTITY {
            return respond(TypeCode::IDENTITY, &self.outer);
        }
        let wanted = self.type_code();
        if request.kind != wanted {
            return respond(TypeCode::NAK, &[wanted.0]);
        }
        let Some(tunnel) = &mut self.tunnel else {
            let data = self.inner.answer(request.identifier, request.data, random)?;
            return respond(wanted, &data);
        };
        let Some(plain) = tunnel.hear(request.data)? else { return respond(wanted, &tunnel.next()) };
        if tunnel.is_open() {
            let said = match self.method {
                PeerMethod::Plain(_) | PeerMethod::Tls => Vec::new(),
                PeerMethod::TtlsPap => self.inner.pap_once(),
                PeerMethod::Peap(_) => self.inner.in_peap(tunnel, request.identifier, &plain, random)?,
            };
            tunnel.say(&said);
        }
        respond(wanted, &tunnel.next())
    }

    fn succeed(&self) -> Result<PeerStep, PeerFault> {
        let keys = match (&self.tunnel, self.method) {
            (None, _) => self.inner.keys()?,
            (Some(tunnel), PeerMethod::Peap(_)) => Some(self.inner.bound(tunnel)?),
            (Some(tunnel), _) => Some(tunnel.keys(self.type_code()).ok_or(PeerFault::TooEarly)?),
        };
        Ok(PeerStep::Success(keys))
    }

    const fn type_code(&self) -> TypeCode {
        match self.method {
            PeerMethod::Plain(method) => method.type_code(),
            PeerMethod::Tls => TypeCode::TLS,
            PeerMethod::TtlsPap => TypeCode::TTLS,
            PeerMethod::Peap(_) => TypeCode::PEAP,
        }
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer({:?})", self.method)
    }
}

struct Request<'a> {
    identifier: u8,
    kind: TypeCode,
    data: &'a [u8],
}

/// A request has a response's form under another code.
fn read_request(octets: &[u8]) -> Result<Request<'_>, PeerFault> {
    let code = octets.first().copied().unwrap_or_default();
    if code != 1 {
        return Err(PeerFault::Malformed(DecodeError::Code(code)));
    }
    let short = PeerFault::Malformed(DecodeError::Short { octets: octets.len() });
    let (&[_, identifier, high, low, kind], _) = octets.split_first_chunk::<5>().ok_or(short)?;
    let length = usize::from(u16::from_be_bytes([high, low]));
    let wrong = PeerFault::Malformed(DecodeError::Length { length, octets: octets.len() });
    let data = octets.get(packet::HEADER..length).ok_or(wrong)?;
    Ok(Request { identifier, kind: TypeCode(kind), data })
}

#[cfg(test)]
#[path = "peer_tests.rs"]
mod tests;
