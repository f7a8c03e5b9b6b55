//! From a device and a subscriber to packets that pass, and back.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::Timestamp;
use uuid::Uuid;

use super::{Reception, resume};
use crate::access::{Answer, Holder, LocalError, Login, Noted, Opened};
use crate::domain::device::Device;
use crate::domain::entitlement::{Access as Reach, Entitlement};
use crate::domain::ids::{ServiceId, SessionId, SignupId, SubscriberId};
use crate::domain::nas::{GATEWAY, GATEWAY_NAME};
use crate::domain::rate::Rates;
use crate::domain::refusal::Refusal;
use crate::domain::service::Phase;
use crate::domain::session::CloseReason;
use crate::domain::signup::Signup;
use crate::domain::subscriber::Standing;
use crate::enforce::Enforcer;
use crate::store::contract::ReadError;

/// A device that is online.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Online {
    /// Its session.
    pub session: SessionId,
    /// Since when.
    pub since: Timestamp,
    /// Under which service; `None` while an address is unconfirmed.
    pub service: Option<ServiceId>,
    /// Whose.
    pub subscriber: Option<SubscriberId>,
    /// The signup that it is online to confirm.
    pub confirming: Option<SignupId>,
    /// The plan's name.
    pub plan: String,
    /// Speeds.
    pub rates: Rates,
    /// Octets toward the device in this session.
    pub down_octets: u64,
    /// Octets from it.
    pub up_octets: u64,
    /// Octets left of the plan, both directions together; `None` is unlimited.
    pub remaining_octets: Option<u64>,
    /// When it ends; `None` runs on.
    pub ends_at: Option<Timestamp>,
}

/// Why a device is not online now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unconnected {
    /// It does not come in by an access interface of this gateway.
    #[error("this device is not on the network that this box serves")]
    NotHere,
    /// The subscriber has no service for the Internet.
    #[error("there is no Internet service on this account")]
    NoService,
    /// The service may not be online.
    #[error("refused: {}", .0.code())]
    Refused(Refusal),
    /// Ours: the kernel did not take it.
    #[error("the gateway could not let the device in: {0}")]
    NotCarriedOut(String),
    /// Ours: the store did not take it.
    #[error("the session could not be written down: {0}")]
    Store(String),
}

impl Reception {
    /// The device behind a connection's address; `None` when it does not come from an access interface.
    #[must_use]
    pub fn device(&self, peer: IpAddr) -> Option<Device> {
        self.0.enforcer.as_ref()?.locate(peer)
    }

    /// What a device is doing online, with counters read now; `None` when it is captive.
    pub async fn online(&self, device: &Device, now: Timestamp) -> Option<Online> {
        let session = self.0.access.local_session(device)?;
        if let Err(error) = self.follow(device, session.holder).await {
            tracing::warn!(%error, "A device's new address was not let in");
        }
        if let Some(enforcer) = &self.0.enforcer
            && let Err(error) = enforcer.read(session.holder).await
        {
            tracing::debug!(%error, "Counters were not read for a page");
        }
        let access = &self.0.access;
        let session = access.local_session(device)?;
        let counters = session.counters;
        let login = session.service.and_then(|id| access.snapshot().service(id));
        let granted = login.as_ref().map(|login| access.entitlement(login, now));
        let (rates, remaining_octets) = match granted {
            Some(Ok(yes)) if yes.access == Reach::Full => (yes.rates, yes.remaining_octets),
            // What has just ended is captive, though its session may not have been closed yet.
            Some(Ok(_) | Err(_)) => return None,
            None => (session.rates?, None),
        };
        let plan = login.as_ref().map(|login| login.service.terms.name.to_string());
        Some(Online {
            session: session.id,
            since: session.opened_at,
            service: session.service,
            subscriber: login.as_ref().map(|login| login.service.subscriber_id),
            confirming: session.service.is_none().then_some(SignupId(session.holder)),
            plan: plan.unwrap_or_default(),
            rates,
            down_octets: counters.down_octets,
            up_octets: counters.up_octets,
            remaining_octets,
            ends_at: access.local_end(session.id, now),
        })
    }

    /// Brings a device online under the subscriber's service; packets pass when it returns. A device that
    /// is online under it already stays so.
    ///
    /// # Errors
    /// Why it is not online.
    pub async fn connect(
        &self,
        subscriber: SubscriberId,
        device: &Device,
        now: Timestamp,
    ) -> Result<SessionId, Unconnected> {
        let Some(login) = self.service_for(subscriber, now) else { return Err(Unconnected::NoService) };
        let station = device.mac.to_string();
        let mut admitted = self.admit(&login, &station, now);
        if let Err(Refusal::DeviceLimit { .. }) = admitted {
            let gave_way = self.0.access.give_way(login.service.id, now).await;
            if gave_way.map_err(|error| Unconnected::Store(error.to_string()))? {
                admitted = self.admit(&login, &station, now);
            }
        }
        self.note(&login, &station, admitted.err(), now);
        let admitted = match admitted {
            Ok(Entitlement { access: Reach::Captive { reason }, .. }) => Err(Refusal::Locked { reason }),
            admitted => admitted,
        };
        if let Err(refusal) = admitted {
            self.wait_for_money(resume::waiting(device, &login.service, now), refusal).await;
        }
        let admitted = admitted.map_err(Unconnected::Refused)?;
        let device_limit = admitted.device_limit;
        self.open(device, Holder::Service { login, device_limit }, now).await
    }

    /// The same for a device whose owner has still to confirm an address, until `until`. One that is online
    /// under a service stays so: it needs no minutes for its mail.
    ///
    /// # Errors
    /// Why it is not online.
    pub async fn connect_to_confirm(
        &self,
        signup: &Signup,
        until: Timestamp,
        device: &Device,
        now: Timestamp,
    ) -> Result<SessionId, Unconnected> {
        if let Some(online) = self.online_under_a_service(device, now) {
            return Ok(online);
        }
        let name = format!("signup:{}", signup.id);
        let holder = Holder::Signup { id: signup.id, name, rates: signup.terms.rates, until };
        self.open(device, holder, now).await
    }

    /// Takes a device offline because its owner says so; false when it was not online.
    ///
    /// # Errors
    /// Why it still is.
    pub async fn disconnect(&self, device: &Device, now: Timestamp) -> Result<bool, Unconnected> {
        let Some(session) = self.0.access.local_session(device) else { return Ok(false) };
        self.close(session.id, CloseReason::LoggedOut, now).await
    }

    fn online_under_a_service(&self, device: &Device, now: Timestamp) -> Option<SessionId> {
        let session = self.0.access.local_session(device)?;
        let admitted = self.0.access.admitted_one(session.service?.0, now)?;
        let is_admitted = admitted.devices.iter().any(|one| one.mac == device.mac);
        is_admitted.then_some(session.id)
    }

    /// Opens the session, then the kernel; a session that the kernel does not take is closed again. It goes
    /// on to its end although whoever asked has gone: half of it would be a device that is neither in nor out.
    async fn open(&self, device: &Device, holder: Holder, now: Timestamp) -> Result<SessionId, Unconnected> {
        let (me, device) = (self.clone(), device.clone());
        let whole = tokio::spawn(async move { me.open_whole(&device, holder, now).await });
        whole.await.unwrap_or_else(|_| Err(Unconnected::Store("the login was cut off".to_owned())))
    }

    async fn open_whole(
        &self,
        device: &Device,
        holder: Holder,
        now: Timestamp,
    ) -> Result<SessionId, Unconnected> {
        let enforcer = self.0.enforcer.as_ref().ok_or(Unconnected::NotHere)?;
        let before = self.0.access.local_session(device).map(|session| session.holder);
        let ipv4 = ipv4_of(enforcer, device);
        let opened = self.0.access.open_local(device, ipv4, holder, now).await;
        let Opened { id, is_new } = opened.map_err(|error| match error {
            LocalError::Refused(refusal) => Unconnected::Refused(refusal),
            LocalError::Busy => Unconnected::NotCarriedOut(error.to_string()),
            LocalError::Commit(_) | LocalError::Entropy(_) | LocalError::NoNumber => {
                Unconnected::Store(error.to_string())
            }
        })?;
        let Some(holder) = self.0.access.holder_of(id) else {
            return Err(Unconnected::NotCarriedOut("the session ended at once".to_owned()));
        };
        if let Some(before) = before.filter(|before| *before != holder) {
            enforcer.look(before);
        }
        if let Err(error) = enforcer.carry_out(holder).await {
            // One that was open before is in force as it was.
            if is_new && let Err(error) = self.0.access.close_local(id, CloseReason::NotAdmitted, now).await {
                tracing::warn!(%error, "A session that the kernel did not take could not be closed yet");
            }
            enforcer.look(holder);
            return Err(Unconnected::NotCarriedOut(error.to_string()));
        }
        Ok(id)
    }

    /// Ends a session, then takes it out of the kernel; no packet of it passes when this returns.
    pub(super) async fn close(
        &self,
        id: SessionId,
        why: CloseReason,
        now: Timestamp,
    ) -> Result<bool, Unconnected> {
        let me = self.clone();
        let whole = tokio::spawn(async move { me.close_whole(id, why, now).await });
        whole.await.unwrap_or_else(|_| Err(Unconnected::Store("the end was cut off".to_owned())))
    }

    async fn close_whole(
        &self,
        id: SessionId,
        why: CloseReason,
        now: Timestamp,
    ) -> Result<bool, Unconnected> {
        let Some(holder) = self.0.access.holder_of(id) else { return Ok(false) };
        let closed = self.0.access.close_local(id, why, now).await;
        if !closed.map_err(|error| Unconnected::Store(error.to_string()))? {
            return Ok(false);
        }
        let enforcer = self.0.enforcer.as_ref().ok_or(Unconnected::NotHere)?;
        enforcer.carry_out(holder).await.map_err(|error| Unconnected::NotCarriedOut(error.to_string()))?;
        Ok(true)
    }

    /// A device that got another address while online keeps its session.
    async fn follow(&self, device: &Device, holder: Uuid) -> Result<(), Unconnected> {
        let moved = self.0.access.device_moved(device).await;
        if !moved.map_err(|error| Unconnected::Store(error.to_string()))? {
            return Ok(());
        }
        let Some(enforcer) = &self.0.enforcer else { return Ok(()) };
        enforcer.carry_out(holder).await.map_err(|error| Unconnected::NotCarriedOut(error.to_string()))
    }

    fn admit(&self, login: &Arc<Login>, station: &str, now: Timestamp) -> Result<Entitlement, Refusal> {
        match self.0.access.admit(Arc::clone(login), Some(station), false, (), now) {
            Answer::Accept { entitlement, .. } => Ok(entitlement),
            Answer::Refuse { refusal, .. } => Err(refusal),
            Answer::AskHash { .. } | Answer::AskVoucher { .. } => Err(Refusal::MethodNotPossible),
        }
    }

    /// The service to go online with: one that may be on the Internet now, else the newest that has not ended, so
    /// that its refusal is told.
    fn service_for(&self, subscriber: SubscriberId, now: Timestamp) -> Option<Arc<Login>> {
        let mut services = self.0.access.snapshot().services_of(subscriber);
        services.retain(|login| login.service.terms.service_type.reaches_the_internet());
        let may = |login: &&Arc<Login>| {
            self.0.access.entitlement(login, now).is_ok_and(|yes| yes.access == Reach::Full)
        };
        let entitled = services.iter().find(may).map(Arc::clone);
        let live = |login: &&Arc<Login>| login.service.phase != Phase::Ended;
        entitled.or_else(|| services.iter().rev().find(live).map(Arc::clone)).or_else(|| services.pop())
    }

    /// Takes down a login at the portal that was refused: under the network login of whom it meant, or as it
    /// was typed where it meant nobody.
    pub(super) async fn note_wrong(
        &self,
        typed: &str,
        device: Option<&Device>,
        now: Timestamp,
    ) -> Result<(), ReadError> {
        let meant = self.0.people.meant_by(typed).await?;
        let refusal = match meant.as_ref().map(|one| one.standing) {
            None => Refusal::UnknownUser,
            Some(Standing::Closed) => Refusal::SubscriberEnded,
            Some(_) => Refusal::WrongPassword,
        };
        let login = meant.and_then(|one| self.service_for(one.id, now));
        let typed: String = typed.trim().chars().filter(|c| !c.is_control()).take(MOST_TYPED).collect();
        let station = device.map(|device| device.mac.to_string());
        let noted = Noted {
            username: login.as_ref().map_or(&typed, |login| login.service.username.as_str()),
            service_id: login.as_ref().map(|login| login.service.id),
            nas: (GATEWAY, GATEWAY_NAME),
            station: station.as_deref(),
            method: "portal",
            refusal: Some(refusal),
        };
        self.0.access.log().note(&noted, now);
        Ok(())
    }

    fn note(&self, login: &Login, station: &str, refusal: Option<Refusal>, now: Timestamp) {
        let noted = Noted {
            username: login.service.username.as_str(),
            service_id: Some(login.service.id),
            nas: (GATEWAY, GATEWAY_NAME),
            station: Some(station),
            method: "portal",
            refusal,
        };
        self.0.access.log().note(&noted, now);
    }
}

/// Of a login that was typed, as long as the longest address.
const MOST_TYPED: usize = 254;

/// The device's IPv4 address: the one it spoke from, or the one that the kernel knows beside it.
fn ipv4_of(enforcer: &Enforcer, device: &Device) -> Option<Ipv4Addr> {
    if let IpAddr::V4(address) = device.address {
        return Some(address);
    }
    enforcer.addresses_of(device).into_iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    })
}
