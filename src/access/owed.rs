//! What NAS still owe us: sessions that go on under an answer that is no longer ours.
//!
//! Nothing here is stored, because nothing of it is a fact of its own: a session that is open, a service that may not
//! be online (or has other speeds or terms by now), and no Stop yet. So it survives every restart, and ends only with
//! proof: the NAS's Stop, its answer to what it was told, or a login anew. The one rule: what is not proven to have been done is
//! shown.

use jiff::{SignedDuration, Timestamp};

use super::Access;
use super::account::event_of;
use super::granted;
use super::meter::OpenSession;
use super::table::Entry;
use crate::domain::entitlement::{Access as Reach, Entitlement};
use crate::domain::ids::ServiceId;
use crate::domain::owed::{Granted, NewTerms, OwedChange, Settled, Wanted};
use crate::domain::refusal::Refusal;
use crate::domain::session::{CloseReason, Session};
use crate::store::contract::{CommitError, Expected, Unit};
use crate::store::snapshot::Login;
use crate::store::tables::{Sessions, session_key};

impl Access {
    /// Every session at a NAS that goes on although it should end or change, oldest first.
    #[must_use]
    pub fn owed(&self, now: Timestamp) -> Vec<OwedChange> {
        let mut owed = self.sessions.pick(|entry| self.owed_by(entry, now));
        owed.sort_by_key(|one| one.since);
        owed
    }

    /// The same of one service.
    #[must_use]
    pub fn owed_of(&self, service: ServiceId, now: Timestamp) -> Vec<OwedChange> {
        let is_at_nas = |one: &OpenSession| !one.is_local;
        if !self.sessions.of_service(service).iter().any(is_at_nas) {
            return Vec::new();
        }
        self.sessions.pick(|entry| {
            let is_of = entry.session.service_id == Some(service);
            is_of.then(|| self.owed_by(entry, now)).flatten()
        })
    }

    /// What one session owes by now; `None` once nothing is, or it has ended.
    #[must_use]
    pub fn still_owed(&self, owed: &OwedChange, now: Timestamp) -> Option<OwedChange> {
        let shard = self.sessions.shard(&owed.key);
        let entry = shard.open.get(owed.key.as_str()).filter(|entry| entry.session.id == owed.session)?;
        self.owed_by(entry, now)
    }

    /// What is owed where this very session is to end because somebody said so.
    #[must_use]
    pub fn owed_at_will(&self, session: &Session, now: Timestamp) -> Option<OwedChange> {
        let key = session_key(session.nas_id, session.nas_address, &session.acct_session_id);
        let shard = self.sessions.shard(&key);
        let entry = shard.open.get(key.as_str()).filter(|entry| entry.session.id == session.id)?;
        Some(owed_change(&entry.session, key, Wanted::Reconnect, now))
    }

    /// Writes down that nothing is owed of a session any more, and how that is known. Safe to repeat: what has
    /// ended meanwhile, or was replaced under its key, is left alone.
    ///
    /// # Errors
    /// When the commit fails: then it is owed as before.
    pub async fn settle_owed(
        &self,
        owed: &OwedChange,
        settled: Settled,
        why: CloseReason,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        match settled {
            Settled::Changed(granted) => self.note_granted(owed, granted).await,
            Settled::Ended => self.end_at_nas(owed, why, now).await,
            Settled::Absent => self.end_at_nas(owed, CloseReason::NotAtNas, now).await,
        }
    }

    async fn note_granted(&self, owed: &OwedChange, granted: Granted) -> Result<(), CommitError> {
        let submitted = {
            let mut shard = self.sessions.shard(&owed.key);
            let Some(entry) = shard.open.get_mut(owed.key.as_str()) else { return Ok(()) };
            let session = &mut entry.session;
            if session.id != owed.session {
                return Ok(());
            }
            // Memory may run ahead of a commit that fails: what the NAS has in force is true either way.
            session.granted_terms = Some(granted.terms);
            session.granted_rates = granted.rates;
            session.granted_captive = granted.is_captive;
            if let Some(service) = session.service_id {
                self.sessions.meter(service, |meter| meter.granted(session.id, granted.terms));
            }
            let unit = Unit::natural()
                .expect::<Sessions>(&session.id, Expected::Present)
                .put::<Sessions>(&session.id, session)?
                .event("session.changed", session.id, event_of(session, entry.counters));
            // Submitted while the shard is held, so that a Stop that comes now is written after it.
            self.store.try_submit(unit)?
        };
        submitted.await.map(|_| ())
    }

    async fn end_at_nas(
        &self,
        owed: &OwedChange,
        why: CloseReason,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let is_it = |entry: &Entry| entry.session.id == owed.session;
        self.end_all(&[owed.key.as_str().into()], is_it, |_| (now, why.clone())).await
    }

    fn owed_by(&self, entry: &Entry, now: Timestamp) -> Option<OwedChange> {
        let session = &entry.session;
        if session.local.is_some() {
            return None;
        }
        let login = self.snapshot.service(session.service_id?)?;
        let wanted = self.wanted_of(&login, entry, now)?;
        let key = session_key(session.nas_id, session.nas_address, &session.acct_session_id);
        Some(owed_change(session, key, wanted, since(&login, wanted, now)))
    }

    fn wanted_of(&self, login: &Login, entry: &Entry, now: Timestamp) -> Option<Wanted> {
        let session = &entry.session;
        let entitlement = match self.entitlement(login, now) {
            Err(refusal) => return Some(Wanted::Disconnect { refusal }),
            Ok(entitlement) => entitlement,
        };
        if let Reach::Captive { reason } = entitlement.access {
            let was_open = !session.granted_captive;
            return was_open.then_some(Wanted::Disconnect { refusal: Refusal::Locked { reason } });
        }
        if session.granted_captive {
            return Some(Wanted::Reconnect);
        }
        let limit = entitlement.device_limit;
        if self.defaults.load().newest_device_wins && self.is_beyond(limit, session) {
            return Some(Wanted::Disconnect { refusal: Refusal::DeviceLimit { limit } });
        }
        is_old(session, &granted(login, &entitlement))
            .then(|| Wanted::Change(new_terms(login, entry, &entitlement, now)))
    }
}

impl Access {
    /// Whether so many newer sessions of its service are open that this one has no place.
    fn is_beyond(&self, limit: u32, session: &Session) -> bool {
        let Some(service) = session.service_id else { return false };
        let open = self.sessions.of_service(service);
        let is_newer = |one: &&OpenSession| (one.opened_at, one.id.0) > (session.opened_at, session.id.0);
        u32::try_from(open.iter().filter(is_newer).count()).unwrap_or(u32::MAX) >= limit
    }
}

fn is_old(session: &Session, granted: &Granted) -> bool {
    let other_terms = session.granted_terms.is_some_and(|terms| terms != granted.terms);
    other_terms || session.granted_rates.is_some_and(|rates| Some(rates) != granted.rates)
}

fn new_terms(login: &Login, entry: &Entry, entitlement: &Entitlement, now: Timestamp) -> NewTerms {
    let counters = entry.counters;
    let passed = now.duration_since(entry.session.opened_at).max(SignedDuration::ZERO).as_secs();
    NewTerms {
        entitlement: entitlement.until_it_changes(now),
        terms: login.service.terms.version,
        elapsed_secs: u64::try_from(passed).unwrap_or(0),
        used_octets: counters.down_octets.saturating_add(counters.up_octets),
    }
}

fn owed_change(session: &Session, key: String, wanted: Wanted, since: Timestamp) -> OwedChange {
    OwedChange {
        session: session.id,
        key,
        nas: session.nas_id,
        reported_from: session.reported_from,
        acct_session_id: session.acct_session_id.clone(),
        service: session.service_id,
        subscriber: session.subscriber_id,
        username: session.username.clone(),
        station: session.calling_station.clone(),
        ipv4: session.ipv4,
        wanted,
        since,
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
        Wanted::Disconnect { .. } | Wanted::Reconnect | Wanted::Change(_) => login.service.updated_at,
    }
    .min(now)
}
