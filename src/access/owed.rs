//! What NAS still owe us: sessions that go on under an answer that is no longer ours.
//!
//! Nothing here is stored, because nothing of it is a fact of its own: a session that is open, a service that may not
//! be online (or has other terms by now), and no Stop yet. So it survives every restart, and ends only with proof:
//! the NAS's Stop, or a login anew. The one rule: what is not proven to have ended is shown.

use jiff::Timestamp;

use super::Access;
use crate::domain::entitlement::Access as Reach;
use crate::domain::ids::{NasId, ServiceId, SessionId, SubscriberId};
use crate::domain::refusal::Refusal;
use crate::store::snapshot::Login;

/// A change that a NAS still owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwedChange {
    /// Which session.
    pub session: SessionId,
    /// At which NAS.
    pub nas: NasId,
    /// The NAS's own id for it.
    pub acct_session_id: String,
    /// Under which service.
    pub service: ServiceId,
    /// Whose.
    pub subscriber: SubscriberId,
    /// Its login.
    pub username: String,
    /// Its device, where the NAS said.
    pub station: Option<String>,
    /// What it owes.
    pub wanted: Wanted,
    /// Since when the facts are so.
    pub since: Timestamp,
}

/// What a NAS is to do with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// End it.
    Disconnect {
        /// Why.
        refusal: Refusal,
    },
    /// Give it the terms of the present contract.
    Change,
}

impl Access {
    /// Every session at a NAS that goes on although it should end or change, oldest first.
    #[must_use]
    pub fn owed(&self, now: Timestamp) -> Vec<OwedChange> {
        let mut owed = Vec::new();
        for entry in self.sessions.open_at_nas() {
            let session = &entry.session;
            let Some(login) = session.service_id.and_then(|id| self.snapshot.service(id)) else { continue };
            let Some(wanted) = self.wanted_of(&login, session.granted_terms, now) else { continue };
            owed.push(OwedChange {
                session: session.id,
                nas: session.nas_id,
                acct_session_id: session.acct_session_id.clone(),
                service: login.service.id,
                subscriber: login.service.subscriber_id,
                username: session.username.clone(),
                station: session.calling_station.clone(),
                wanted,
                since: since(&login, wanted, now),
            });
        }
        owed.sort_by_key(|one| one.since);
        owed
    }

    fn wanted_of(&self, login: &Login, granted: Option<u32>, now: Timestamp) -> Option<Wanted> {
        match self.entitlement(login, now) {
            Err(refusal) => Some(Wanted::Disconnect { refusal }),
            Ok(yes) => match yes.access {
                Reach::Captive { reason } => Some(Wanted::Disconnect { refusal: Refusal::Locked { reason } }),
                Reach::Full => {
                    let is_old = granted.is_some_and(|version| version != login.service.terms.version);
                    is_old.then_some(Wanted::Change)
                }
            },
        }
    }
}

/// Since when it is owed: the lock, the end of what was paid, or the change of the contract.
fn since(login: &Login, wanted: Wanted, now: Timestamp) -> Timestamp {
    match wanted {
        Wanted::Disconnect { refusal: Refusal::Expired { at } } => at,
        Wanted::Disconnect { refusal: Refusal::Locked { reason } } => {
            let lock = login.service.locks.iter().find(|lock| lock.reason == reason);
            lock.map_or(login.service.updated_at, |lock| lock.placed_at)
        }
        Wanted::Disconnect { .. } | Wanted::Change => login.service.updated_at,
    }
    .min(now)
}
