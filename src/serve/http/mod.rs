//! Plumbing of every HTTP door: listeners, limits, request ids, security headers, draining.
//!
//! No product words: what a path means, how an error looks and who may call are the doors' business
//! and are handed in. The one rule: whatever a peer sends or withholds costs a bounded amount of
//! memory, time and connections.
//!
//! | file | what it is |
//! |---|---|
//! | [`server`] | accepts connections, speaks HTTP/1.1, drains at the end |
//! | [`guard`] | what surrounds each request: id, host, time limit, panic, headers |
//! | [`listen`] | opens TCP ports |
//! | `places` | how many connections, and how many of one peer |
//! | [`tls`] | what TLS is spoken with |
//! | [`certificate`] | certificates and their keys: read, checked, made |
//! | [`peer`] | who is on the other end of a connection |
//! | [`body`] | reading a body up to a limit |

pub mod body;
pub mod certificate;
pub mod guard;
pub mod listen;
pub mod metrics;
pub mod peer;
mod places;
pub mod server;
pub mod tls;

/// What went wrong with a request before or beside its handler; the door renders it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// `Host` is missing, given twice or malformed (RFC 9112 section 3.2).
    BadHost,
    /// `Host` names something that this door does not serve.
    OtherHost,
    /// The handler did not answer in time.
    TooSlow,
    /// The handler panicked.
    Broken,
    /// The body is larger than the route takes.
    TooLarge,
    /// The peer stopped sending its body, or sent it malformed.
    BodyBroken,
}
