//! `[http]`: where staff, programs and the monitoring reach the box.

use std::net::{Ipv4Addr, SocketAddr};

use super::reader::{Section, Transport};

/// The HTTP listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Http {
    /// The API, its description, `/health` and `/ready`.
    pub admin: SocketAddr,
    /// `/metrics`, in Prometheus' text format.
    pub metrics: SocketAddr,
}

impl Http {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        // Loopback by default: neither listener speaks TLS, and passwords pass through the first.
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let admin = section.listener("admin", Transport::Tcp, local(8080));
        let metrics = section.listener("metrics", Transport::Tcp, local(9812));
        Self { admin, metrics }
    }
}
