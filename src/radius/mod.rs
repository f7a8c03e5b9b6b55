//! RADIUS without I/O: octets in, octets and verdicts out (RFC 2865, 2866, 2869, 3579, 5080, 5997,
//! Microsoft's RFC 2548).
//!
//! This room reads and writes packets, proves who sent them, checks passwords, and remembers what
//! was answered. It does not know subscribers, plans, sockets or the time: a secret, random octets
//! and `Instant`s come in as arguments. On the hot path nothing allocates.
//!
//! | file | in a sentence |
//! |---|---|
//! | [`packet`] | a datagram read in place |
//! | [`attribute`] | attributes and their typed values |
//! | [`encode`] | replies and requests written in place |
//! | [`authenticator`] | who sent this packet |
//! | [`hiding`] | values hidden under the shared secret |
//! | [`password`], [`mschap`] | PAP, CHAP, MS-CHAP |
//! | [`exchange`] | which datagrams are let in |
//! | [`duplicate`] | which were answered already |
//! | [`client`] | the asking side |
//! | [`change`] | a NAS told to end or change a session |
//! | [`dictionary`] | names for people |
//!
//! The one rule: nothing of a peer's is believed before [`authenticator`] has spoken.

pub mod attribute;
pub mod authenticator;
pub mod change;
pub mod client;
pub mod dictionary;
pub mod duplicate;
pub mod encode;
pub mod exchange;
pub mod hiding;
pub mod mschap;
pub mod packet;
pub mod password;

pub use attribute::{Attribute, Ipv6Prefix, Kind, Vendor, VendorAttribute, VendorKind, octets64};
pub use authenticator::{AuthenticityError, SharedSecret};
pub use dictionary::Dictionary;
pub use duplicate::{DuplicateCache, Offer, RequestKey};
pub use encode::{Buffer, EncodeError, Reply, Request, Writer};
pub use exchange::{Admitted, Discard, MessageAuthenticatorRule, NasFacts, PortKind, SecretFit, admit};
pub use hiding::{PasswordBuffer, Salt};
pub use mschap::{NtHash, nt_hash};
pub use packet::{Authenticator, Code, DecodeError, Packet};
pub use password::{Extras, Method, Proof, ProofError, Verdict};

#[cfg(test)]
mod examples;
