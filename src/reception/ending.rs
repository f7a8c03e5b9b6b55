//! An open session is ended because staff say so, or its owner does from another device.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use serde_json::json;

use super::{Reception, ReceptionError, Unconnected};
use crate::access::LocalSession;
use crate::catalogue::audit::{self, Deed};
use crate::catalogue::fault::Fault;
use crate::domain::audit::Actor;
use crate::domain::device::{Device, MacAddress};
use crate::domain::ids::{ServiceId, SessionId, SubscriberId};
use crate::domain::owed::{OwedChange, Settled};
use crate::domain::session::{CloseReason, Counters, Session};
use crate::enforce::remote::Outcome;
use crate::store::contract::Unit;

/// What ending a session came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was open, and no packet of it passes any more: the kernel has said so.
    Now,
    /// It had ended before.
    Before,
}

/// A device that is online, as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDevice {
    /// Its session.
    pub session: SessionId,
    /// Under which service.
    pub service: ServiceId,
    /// Whether it is the one that asks.
    pub is_here: bool,
    /// Its hardware address.
    pub mac: MacAddress,
    /// The access interface that it comes in by.
    pub interface: String,
    /// Its IPv4 address, where it has one.
    pub ipv4: Option<Ipv4Addr>,
    /// Since when.
    pub since: Timestamp,
    /// What it used in this session.
    pub counters: Counters,
}

/// An attempt to have a NAS do what it owes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldNas {
    /// How often it was tried.
    pub times: u32,
    /// When last.
    pub at: Timestamp,
    /// How that ended, for people.
    pub answer: String,
}

/// Why a session was not ended.
#[derive(Debug, thiserror::Error)]
pub enum NotEnded {
    /// It is at a NAS that did not do it; a sentence that says why.
    #[error("the session is at another NAS, and it goes on: {0}")]
    AtNas(String),
    /// The gateway did not do it.
    #[error(transparent)]
    Gateway(Unconnected),
    /// There is no such session, or a fault of ours.
    #[error(transparent)]
    Reception(#[from] ReceptionError),
}

impl Reception {
    /// Ends an open session by its id; who did is in the audit log. Safe to repeat.
    ///
    /// # Errors
    /// [`NotEnded`]; the session is open then.
    pub async fn end_session(
        &self,
        reference: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Ended, NotEnded> {
        let kept = self.0.catalogue.logbook.session(reference).await.map_err(ReceptionError::from)?;
        self.end(kept.session, actor, now).await
    }

    /// The same for a subscriber, who may end their own sessions only: another's are not there for them.
    ///
    /// # Errors
    /// [`NotEnded`]; the session is open then.
    pub async fn remove_device(
        &self,
        owner: SubscriberId,
        reference: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Ended, NotEnded> {
        let kept = self.0.catalogue.logbook.session(reference).await.map_err(ReceptionError::from)?;
        if kept.session.subscriber_id != Some(owner) {
            return Err(ReceptionError::from(Fault::not_found("session", reference)).into());
        }
        self.end(kept.session, actor, now).await
    }

    /// The devices that are online under a subscriber's services, the oldest first; `here` is the one that asks.
    pub async fn devices(&self, owner: SubscriberId, here: Option<&Device>) -> Vec<OwnDevice> {
        let access = &self.0.access;
        let mut devices = Vec::new();
        for login in access.snapshot().services_of(owner) {
            let service = login.service.id;
            if let Some(enforcer) = &self.0.enforcer
                && let Err(error) = enforcer.read(service.0).await
            {
                tracing::debug!(%error, "Counters were not read for a list of devices");
            }
            let own = |(device, session): (Device, LocalSession)| OwnDevice {
                session: session.id,
                service,
                is_here: here.is_some_and(|here| here.key() == device.key()),
                mac: device.mac,
                interface: device.interface,
                ipv4: session.ipv4,
                since: session.opened_at,
                counters: session.counters,
            };
            devices.extend(access.local_sessions_of(service).into_iter().map(own));
        }
        devices
    }

    async fn end(&self, session: Session, actor: &Actor, now: Timestamp) -> Result<Ended, NotEnded> {
        if session.closed_at.is_some() {
            if let (Some(local), Some(enforcer)) = (&session.local, &self.0.enforcer) {
                // Written down as ended is not yet out of the kernel, and that is what was asked for.
                let out = enforcer.carry_out(local.holder).await;
                out.map_err(|error| NotEnded::Gateway(Unconnected::NotCarriedOut(error.to_string())))?;
            }
            return Ok(Ended::Before);
        }
        self.write_down_end(session.id, actor, now).await?;
        if session.local.is_none() {
            return self.end_at_nas(&session, now).await;
        }
        let ended =
            self.close(session.id, CloseReason::Disconnected, now).await.map_err(NotEnded::Gateway)?;
        Ok(if ended { Ended::Now } else { Ended::Before })
    }

    /// The NAS is told, and what it answers is what counts.
    async fn end_at_nas(&self, session: &Session, now: Timestamp) -> Result<Ended, NotEnded> {
        let Some(teller) = &self.0.teller else {
            return Err(NotEnded::AtNas("nothing here can tell it".to_owned()));
        };
        let Some(owed) = self.0.access.owed_at_will(session, now) else { return Ok(Ended::Before) };
        match teller.end(&owed).await {
            Outcome::Settled(Settled::Ended | Settled::Changed(_)) => Ok(Ended::Now),
            Outcome::Settled(Settled::Absent) | Outcome::NotOwed => Ok(Ended::Before),
            failed @ (Outcome::Refused(_) | Outcome::Silent | Outcome::CannotBeTold | Outcome::Fault) => {
                Err(NotEnded::AtNas(failed.sentence()))
            }
        }
    }

    /// The entry comes first: an end without an entry is worse than an entry without an end.
    async fn write_down_end(
        &self,
        id: SessionId,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), ReceptionError> {
        let deed = Deed::made("session.disconnect", id, json!({ "session_id": id }));
        let unit = Unit::once(self.0.entropy.uuid_v7(now)?);
        let unit = audit::record(unit, &self.0.entropy, actor, deed, now)?;
        Ok(self.commit(unit).await?)
    }
}

impl Reception {
    /// What NAS still owe us: sessions that go on under an answer that is no longer ours.
    #[must_use]
    pub fn owed_changes(&self, now: Timestamp) -> Vec<OwedChange> {
        self.0.access.owed(now)
    }

    /// How the last attempt went to have a NAS do what it owes.
    #[must_use]
    pub fn attempted(&self, owed: &OwedChange) -> Option<ToldNas> {
        let last = self.0.teller.as_ref()?.attempted(owed.session)?;
        Some(ToldNas { times: last.times, at: last.at, answer: last.outcome.sentence() })
    }
}
