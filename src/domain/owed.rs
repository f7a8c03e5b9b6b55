//! What a NAS owes: a session that goes on under an answer that is no longer ours.
//!
//! Words only: `access` derives them from facts, `enforce` tells the NAS. The one rule: what is not proven to
//! have been done is still owed.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;

use super::entitlement::Entitlement;
use super::ids::{NasId, ServiceId, SessionId, SubscriberId};
use super::rate::Rates;
use super::refusal::Refusal;

/// A change that a NAS still owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedChange {
    /// Which session.
    pub session: SessionId,
    /// Its key among sessions.
    pub key: String,
    /// At which NAS.
    pub nas: NasId,
    /// Where its reports come from, and so where the NAS is told.
    pub reported_from: IpAddr,
    /// The NAS's own id for it.
    pub acct_session_id: String,
    /// Under which service, where the login is known.
    pub service: Option<ServiceId>,
    /// Whose.
    pub subscriber: Option<SubscriberId>,
    /// Its login, as the NAS knows it.
    pub username: String,
    /// Its device, where the NAS said.
    pub station: Option<String>,
    /// Its IPv4 address, where the NAS said.
    pub ipv4: Option<Ipv4Addr>,
    /// What it owes.
    pub wanted: Wanted,
    /// Since when the facts are so.
    pub since: Timestamp,
}

/// What a NAS is to do with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// End it, since it may not go on.
    Disconnect {
        /// Why.
        refusal: Refusal,
    },
    /// End it, so that it logs in anew: its reach has changed, which no NAS can be told in mid-session.
    Reconnect,
    /// Give it the present terms.
    Change(NewTerms),
}

/// The terms that a session is to have, and what of it has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTerms {
    /// What holds now.
    pub entitlement: Entitlement,
    /// Under which version of the contract's terms.
    pub terms: u32,
    /// How long the session lasts so far: limits are told from its beginning.
    pub elapsed_secs: u64,
    /// Octets of both directions so far.
    pub used_octets: u64,
}

impl NewTerms {
    /// What a session has once its NAS knows these terms.
    #[must_use]
    pub const fn granted(&self) -> Granted {
        Granted {
            terms: self.terms,
            rates: Some(self.entitlement.rates),
            is_captive: self.entitlement.is_captive(),
        }
    }
}

/// What a session was granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// Version of the contract's terms.
    pub terms: u32,
    /// Speeds; unknown of a session that an older program granted.
    pub rates: Option<Rates>,
    /// Whether only the way to pay is reachable.
    pub is_captive: bool,
}

/// How it is known that nothing is owed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The NAS says that it has ended the session.
    Ended,
    /// The NAS says that it has no such session.
    Absent,
    /// The NAS says that the session has these terms now, or there is nothing that this kind could be told.
    Changed(Granted),
}
