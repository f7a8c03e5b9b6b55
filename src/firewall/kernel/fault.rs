//! What can go wrong between the program and the kernel, each in one readable line that says what to do.
//! The one rule: the line names the operation, and whose fault it is.

use std::path::PathBuf;

use nix::errno::Errno;

use super::netlink::socket::{Nack, SocketError};

/// Why the gateway could not be programmed or read.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The program is not there.
    #[error("{} is missing: install the package nftables", .0.display())]
    NftMissing(PathBuf),
    /// The program is there and cannot be run.
    #[error("{} cannot be run: {source}", program.display())]
    NftUnusable {
        /// Its path.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process may not program the firewall.
    #[error(
        "{0}: the right CAP_NET_ADMIN is missing; run as root or by the unit that comes with the package"
    )]
    Rights(&'static str),
    /// `nft` did not end in time.
    #[error("nft did not end within {0} s and was stopped; nothing was changed")]
    NftSlow(u64),
    /// `nft` or the kernel did not take the rules.
    #[error("nft refused the rules: {0}")]
    NftRefused(String),
    /// The rules are not installed.
    #[error("{0}: the table inet dotmac_edge is not there")]
    NoTable(&'static str),
    /// The kernel said no.
    #[error("{0}: the kernel refused: {1}")]
    Refused(&'static str, Errno),
    /// The kernel could not be asked.
    #[error("{0}: {1}")]
    Socket(&'static str, SocketError),
}

impl GatewayError {
    /// From the socket, while attempting something.
    pub(super) fn socket(attempt: &'static str) -> impl Fn(SocketError) -> Self {
        move |error| match error {
            SocketError::System(_, Errno::EPERM | Errno::EACCES) => Self::Rights(attempt),
            SocketError::System(..)
            | SocketError::Lost
            | SocketError::Silent
            | SocketError::Changing
            | SocketError::Wire(_) => Self::Socket(attempt, error),
        }
    }

    /// From the first refusal, when there is any.
    pub(super) fn refused(attempt: &'static str, nacks: &[Nack]) -> Result<(), Self> {
        match nacks.first().map(|nack| nack.errno) {
            None => Ok(()),
            Some(Errno::EPERM) => Err(Self::Rights(attempt)),
            Some(Errno::ENOENT) => Err(Self::NoTable(attempt)),
            Some(errno) => Err(Self::Refused(attempt, errno)),
        }
    }
}
