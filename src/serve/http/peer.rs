//! Who is on the other end of a connection.
//!
//! Taken from the socket, never from a header: nothing stands in front of us that could be
//! believed. The one rule: an address that a peer can choose is not an identity.

use std::net::{IpAddr, SocketAddr};

/// The other end, as a request extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// A TCP connection from this address.
    Tcp(SocketAddr),
    /// The same, within TLS.
    Tls(SocketAddr),
    /// A process on this machine, as the kernel names it (`SO_PEERCRED`).
    Unix(Credentials),
}

/// Says of a request, as its extension, that it came over TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverTls;

/// A local process's credentials when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Peer {
    /// The address, for those that have one; IPv4 in IPv6 clothes is undressed.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) | Self::Tls(address) => Some(address.ip().to_canonical()),
            Self::Unix(_) => None,
        }
    }
}
