//! EAP without I/O: the authenticator's side of RFC 3748, driven as RFC 4137 draws it.
//!
//! A [`Conversation`] takes the peer's packets and says what to do: send a request, hold a [`Claim`] against what
//! is stored, or end. It knows methods, not subscribers: who is behind a claim, and whether they may be online,
//! is asked of the caller. Random octets come in as arguments; no clock and no socket is known here.
//!
//! | file | in a sentence |
//! |---|---|
//! | [`packet`] | RFC 3748 section 4: the frame, read in place and written |
//! | [`conversation`] | identity, choice of a method, rounds, the end |
//! | [`claim`] | who the peer says it is, and its proof |
//! | [`method`] | one file a method, a closed list |
//! | [`server`] | certificate, CA and versions of TLS |
//! | `tunnel` | TLS in EAP packets: fragments, records, keys |
//! | [`sessions`] | what resumption remembers |
//! | [`peer`] | the other side, for testing a server |
//!
//! The one rule: nothing a peer sends is an accept. Only the caller's judgement of a claim is.

mod certificate;
pub mod claim;
pub mod conversation;
pub mod method;
pub mod packet;
pub mod peer;
pub mod server;
pub mod sessions;
mod tunnel;

pub use claim::{Claim, Judgement, MsChapError, Proven};
pub use conversation::{Conversation, Fault, Offer, Random, Step};
pub use method::{Keys, Method};
pub use packet::{DecodeError, Response, TypeCode};
pub use server::{TlsParts, TlsServer, TlsServerError, TlsVersions};
pub use sessions::{Mark, Sessions};
