//! Sessions on this box's own access interfaces: opened by a login at the portal, counted by the kernel,
//! ended when what they rest on ends.
//!
//! They are sessions like all others, in the same table and the same records; only their reporter is this
//! box. What may pass now is derived here from facts at each question, so a lock that was committed counts
//! before anybody has ended the session. The one rule: one device, one session, whoever speaks of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Access;
use super::account::{close_at, event_of};
use super::locals::Held;
use super::table::Entry;
use crate::base::entropy::EntropyError;
use crate::domain::device::{Device, MacAddress, WaitingDevice};
use crate::domain::entitlement::{Access as Reach, Entitlement};
use crate::domain::ids::{ServiceId, SessionId, SignupId};
use crate::domain::nas::GATEWAY;
use crate::domain::presence::{Admitted, AdmittedDevice, READING_PERIOD};
use crate::domain::rate::Rates;
use crate::domain::refusal::Refusal;
use crate::domain::session::{CloseReason, Counters, Local, OpenedBy, Session};
use crate::store::Submitted;
use crate::store::contract::{CommitError, Expected, Unit};
use crate::store::snapshot::Login;
use crate::store::tables::waiting::WaitingDevices;
use crate::store::tables::{Sessions, session_key};

/// Under what a device goes online.
#[derive(Debug, Clone)]
pub enum Holder {
    /// A service that was admitted.
    Service {
        /// Which.
        login: Arc<Login>,
        /// Its devices at a time.
        device_limit: u32,
    },
    /// A signup whose address is being confirmed.
    Signup {
        /// Which.
        id: SignupId,
        /// How it is called in lists of sessions.
        name: String,
        /// Speeds.
        rates: Rates,
        /// Until then.
        until: Timestamp,
    },
}

/// What a session gets where its plan says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionDefaults {
    /// Longest time without traffic.
    pub idle_secs: Option<u32>,
    /// Whether a login that finds all places taken is let in, and the oldest session at a NAS ends for it.
    pub newest_device_wins: bool,
}

/// Why a local session was not opened.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// All places were taken meanwhile.
    #[error("refused: {}", .0.code())]
    Refused(Refusal),
    /// Ours: the store did not take it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Ours: no random bytes.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Another login of the same device does not come to an end.
    #[error("another login of this device is under way; try again")]
    Busy,
    /// Ours: every number is in use.
    #[error("sixteen million subscribers are online: there is no number left")]
    NoNumber,
}

/// A session that is open now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Which.
    pub id: SessionId,
    /// Whether it was not open before.
    pub is_new: bool,
}

/// A device in the hands of who opens its session.
struct Alone {
    access: Arc<Access>,
    interface: String,
    mac: MacAddress,
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.access.sessions.locals().end_opening(&self.interface, self.mac);
    }
}

/// What a look at the local sessions came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Due {
    /// Sessions that were ended.
    pub ended: usize,
    /// When the next one will be due, if nothing changes.
    pub next: Option<Timestamp>,
}

/// A local session as those who show it see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSession {
    /// Which.
    pub id: SessionId,
    /// Under which service.
    pub service: Option<ServiceId>,
    /// Who shares its limit and counter.
    pub holder: Uuid,
    /// Speeds, where no service says them.
    pub rates: Option<Rates>,
    /// Since when.
    pub opened_at: Timestamp,
    /// Its IPv4 address, where it has one.
    pub ipv4: Option<Ipv4Addr>,
    /// When it ends at the latest.
    pub ends_at: Option<Timestamp>,
    /// What was counted so far.
    pub counters: Counters,
}

impl Access {
    /// Opens a session of a device; durable when it returns. The same device under the same holder goes
    /// on with the session it has, under another one it begins anew.
    ///
    /// # Errors
    /// [`LocalError`]; no session was opened then.
    pub async fn open_local(
        self: &Arc<Self>,
        device: &Device,
        ipv4: Option<Ipv4Addr>,
        holder: Holder,
        now: Timestamp,
    ) -> Result<Opened, LocalError> {
        let _alone = self.alone_with(device).await?;
        if let Some(held) = self.local_of(device) {
            if held.local.holder == holder.id() {
                self.move_local(held.id, ipv4).await?;
                return Ok(Opened { id: held.id, is_new: false });
            }
            let why = match held.service {
                None => CloseReason::Confirmed,
                Some(_) => CloseReason::Replaced,
            };
            self.close_local(held.id, why, now).await?;
        }
        if let Some(id) = self.adopt(device, ipv4, &holder).await? {
            return Ok(Opened { id, is_new: true });
        }
        let id = self.open_new(device, ipv4, holder, now).await?;
        Ok(Opened { id, is_new: true })
    }

    /// One at a time opens a session of a device; whoever taps twice waits for the first.
    async fn alone_with(self: &Arc<Self>, device: &Device) -> Result<Alone, LocalError> {
        for _ in 0..LOOKS_WHILE_ANOTHER_OPENS {
            if self.sessions.locals().begin_opening(&device.interface, device.mac) {
                let (interface, mac) = (device.interface.clone(), device.mac);
                return Ok(Alone { access: Arc::clone(self), interface, mac });
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        Err(LocalError::Busy)
    }

    async fn open_new(
        self: &Arc<Self>,
        device: &Device,
        ipv4: Option<Ipv4Addr>,
        holder: Holder,
        now: Timestamp,
    ) -> Result<SessionId, LocalError> {
        let session = self.new_local(device, ipv4, &holder, now)?;
        let (id, number) = (session.id, session.local.as_ref().map_or(0, |local| local.number));
        if let Holder::Service { login, device_limit } = &holder
            && !self.sessions.take_place(login.service.id, &session, *device_limit)
        {
            self.sessions.locals().give_back(number);
            return Err(LocalError::Refused(Refusal::DeviceLimit { limit: *device_limit }));
        }
        let key = local_key(id);
        let counters = Counters { heard_millis: millis(now), ..Counters::default() };
        let unit = self.once(now)?.create::<Sessions>(&id, &session)?.event(
            "session.started",
            id,
            event_of(&session, counters),
        );
        let unit = unit.merge_max::<Sessions>(&id, counters.to_merge());
        {
            let mut shard = self.sessions.shard(&key);
            self.sessions.insert_open(&mut shard, &key, Entry { session, counters, revived: false });
        }
        if let Err(error) = self.durable(self.store.try_submit(unit.clone()), unit).await {
            let mut shard = self.sessions.shard(&key);
            self.sessions.remove_open(&mut shard, &key);
            return Err(error.into());
        }
        Ok(id)
    }

    fn once(&self, now: Timestamp) -> Result<Unit, CommitError> {
        let id = self.entropy.uuid_v7(now).map_err(|error| CommitError::Unavailable(error.to_string()))?;
        Ok(Unit::once(id))
    }

    /// Waits for a unit that was submitted; when its answer is lost, submits the same one again to find out.
    async fn durable(&self, first: Result<Submitted, CommitError>, unit: Unit) -> Result<(), CommitError> {
        let mut outcome = match first {
            Ok(submitted) => submitted.await,
            Err(error) => Err(error),
        };
        for _ in 1..MOST_SUBMITS {
            match outcome {
                Err(CommitError::Unknown(_)) => outcome = self.store.commit(unit.clone()).await,
                Ok(_) | Err(_) => break,
            }
        }
        outcome.map(|_| ())
    }

    fn new_local(
        &self,
        device: &Device,
        ipv4: Option<Ipv4Addr>,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<Session, LocalError> {
        let id = SessionId(self.entropy.uuid_v7(now)?);
        let local = self.local_for(device, holder)?;
        let (service, username) = match holder {
            Holder::Service { login, .. } => (Some(&login.service), login.service.username.to_string()),
            Holder::Signup { name, .. } => (None, name.clone()),
        };
        Ok(Session {
            id,
            nas_id: GATEWAY,
            nas_address: None,
            acct_session_id: id.to_string(),
            service_id: service.map(|service| service.id),
            subscriber_id: service.map(|service| service.subscriber_id),
            granted_terms: service.map(|service| service.terms.version),
            // What the kernel enforces follows the facts by itself.
            granted_rates: None,
            granted_captive: false,
            username,
            calling_station: Some(device.mac.to_string()),
            called_station: None,
            nas_port: Some(device.interface.clone()),
            ipv4,
            ipv6_prefix: match device.address {
                IpAddr::V4(_) => None,
                IpAddr::V6(address) => Some(format!("{address}/128")),
            },
            delegated_prefix: None,
            reported_from: device.address,
            local: Some(local),
            also: Vec::new(),
            opened_at: now,
            opened_by: OpenedBy::Portal,
            closed_at: None,
            closed_why: None,
        })
    }

    fn local_for(&self, device: &Device, holder: &Holder) -> Result<Local, LocalError> {
        let seed = u32::from_be_bytes(self.entropy.bytes::<4>()?);
        let number = self.sessions.locals().number_of(holder.id(), seed).ok_or(LocalError::NoNumber)?;
        let (rates, ends_at) = match holder {
            Holder::Service { .. } => (None, None),
            Holder::Signup { rates, until, .. } => (Some(*rates), Some(*until)),
        };
        let (interface, mac) = (device.interface.clone(), device.mac);
        Ok(Local { interface, mac, number, holder: holder.id(), rates, ends_at })
    }

    /// A session of this device and service that another reporter opened becomes local, too.
    async fn adopt(
        &self,
        device: &Device,
        ipv4: Option<Ipv4Addr>,
        holder: &Holder,
    ) -> Result<Option<SessionId>, LocalError> {
        let Holder::Service { login, .. } = holder else { return Ok(None) };
        let station = device.mac.to_string();
        let found = self.sessions.same_device(login.service.id, &station);
        let Some((key, id)) = found else { return Ok(None) };
        let local = self.local_for(device, holder)?;
        let number = local.number;
        let changed = self.rewrite(&key, |session| {
            session.local = Some(local);
            session.ipv4 = ipv4.or(session.ipv4);
        });
        match changed.await {
            Ok(true) => Ok(Some(id)),
            Ok(false) => {
                self.sessions.locals().give_back(number);
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Notes the IPv4 address that a device has now.
    async fn move_local(&self, id: SessionId, ipv4: Option<Ipv4Addr>) -> Result<(), CommitError> {
        let held = self.sessions.locals().get(id).cloned();
        let Some(held) = held.filter(|held| ipv4.is_some() && held.ipv4 != ipv4) else { return Ok(()) };
        self.rewrite(&held.key, |session| session.ipv4 = ipv4).await.map(drop)
    }

    /// Notes another IPv4 address of a device that is online; true when it is another.
    ///
    /// # Errors
    /// When the store does not take it; then nothing changed.
    pub async fn device_moved(&self, device: &Device) -> Result<bool, CommitError> {
        let IpAddr::V4(address) = device.address else { return Ok(false) };
        let Some(held) = self.local_of(device).filter(|held| held.ipv4 != Some(address)) else {
            return Ok(false);
        };
        self.move_local(held.id, Some(address)).await.map(|()| true)
    }

    /// Changes the record of an open session, in memory and on disk; false when it is not open.
    async fn rewrite(&self, key: &str, change: impl FnOnce(&mut Session)) -> Result<bool, CommitError> {
        let (before, unit, submitted) = {
            let mut shard = self.sessions.shard(key);
            let Some(entry) = shard.open.get_mut(key) else { return Ok(false) };
            let mut after = entry.session.clone();
            change(&mut after);
            let unit = self
                .once(after.opened_at)?
                .expect::<Sessions>(&after.id, Expected::Present)
                .put::<Sessions>(&after.id, &after)?;
            let before = std::mem::replace(&mut entry.session, after);
            self.sessions.changed(key, &entry.session);
            // Submitted while the shard is held: what was decided later is written later.
            (before, unit.clone(), self.store.try_submit(unit))
        };
        let outcome = self.durable(submitted, unit).await;
        if outcome.is_err() {
            let mut shard = self.sessions.shard(key);
            if let Some(entry) = shard.open.get_mut(key) {
                self.sessions.forget_local(&entry.session);
                entry.session = before;
                self.sessions.changed(key, &entry.session);
            }
        }
        outcome.map(|()| true)
    }

    /// Ends a local session; durable when it returns. What the kernel counted last comes after it. False
    /// when it was not open.
    ///
    /// # Errors
    /// When the store does not take it; then it is still open.
    pub async fn close_local(
        &self,
        id: SessionId,
        why: CloseReason,
        now: Timestamp,
    ) -> Result<bool, CommitError> {
        let Some(held) = self.sessions.locals().get(id).cloned() else { return Ok(false) };
        self.close_key(&held.key, why, now).await
    }

    async fn close_key(&self, key: &str, why: CloseReason, now: Timestamp) -> Result<bool, CommitError> {
        let (session, entry, unit, submitted) = {
            let mut shard = self.sessions.shard(key);
            let Some(entry) = shard.open.get(key) else { return Ok(false) };
            let mut session = entry.session.clone();
            close_at(&mut session, now, why);
            let unit = self
                .once(now)?
                .expect::<Sessions>(&session.id, Expected::Present)
                .put::<Sessions>(&session.id, &session)?
                .event("session.ended", session.id, event_of(&session, entry.counters));
            let unit = with_waiting(unit, &session, now)?;
            let login = session.service_id.and_then(|id| self.snapshot.service(id));
            // What was counted and could not be written down yet goes with it.
            let counters = entry.counters;
            let (unit, ..) = self.merge(unit, session.id, login.as_deref(), counters, counters, now)?;
            let Some(entry) = self.sessions.remove_open(&mut shard, key) else { return Ok(false) };
            self.sessions.remember_ended(&mut shard, key, &session, entry.counters);
            (session, entry, unit.clone(), self.store.try_submit(unit))
        };
        self.sessions.remember_aliases(&session, entry.counters);
        let outcome = self.durable(submitted, unit).await;
        if outcome.is_err() {
            let mut shard = self.sessions.shard(key);
            self.sessions.insert_open(&mut shard, key, entry);
        }
        outcome.map(|()| true)
    }

    /// Ends the only local session of a service when nothing has passed it for a while: its device has gone,
    /// or goes by another hardware address now, and must not keep its owner out. True when it did.
    ///
    /// # Errors
    /// When the store does not take it; then it is still open.
    pub async fn give_way(&self, service: ServiceId, now: Timestamp) -> Result<bool, CommitError> {
        let mut held = self.sessions.locals().of_holder(service.0);
        let (Some(only), true) = (held.pop(), held.is_empty()) else { return Ok(false) };
        let moved = self.sessions.locals().moved_at(only.local.holder).unwrap_or(only.opened_at);
        let silent = now.duration_since(moved.max(only.opened_at));
        if silent < GIVES_WAY_AFTER {
            return Ok(false);
        }
        self.close_key(&only.key, CloseReason::Replaced, now).await
    }

    /// Ends the local sessions whose time, quota, entitlement or patience is over.
    ///
    /// # Errors
    /// When the store does not take it; what was not ended is still open.
    pub async fn end_due(&self, now: Timestamp) -> Result<Due, CommitError> {
        let mut due = Due::default();
        let all = self.sessions.locals().all();
        for held in all {
            match self.standing_of(&held, now) {
                Ok((_, until)) => {
                    let next = [until, self.idle_end(&held)].into_iter().flatten().min();
                    due.next = [due.next, next].into_iter().flatten().min();
                }
                Err(why) => {
                    due.ended =
                        due.ended.saturating_add(usize::from(self.close_key(&held.key, why, now).await?));
                }
            }
        }
        Ok(due)
    }

    /// Ends every local session: this box is no gateway any more, so nobody of them is online.
    ///
    /// # Errors
    /// When the store does not take it; what was not ended is still open.
    pub async fn end_local_sessions(&self, now: Timestamp) -> Result<usize, CommitError> {
        let mut ended: usize = 0;
        let all = self.sessions.locals().all();
        for held in all {
            let closed = self.close_key(&held.key, CloseReason::NotAdmitted, now).await?;
            ended = ended.saturating_add(usize::from(closed));
        }
        Ok(ended)
    }

    /// The clock was set by so much: how long nothing has passed is not longer or shorter for it.
    pub fn clock_was_set(&self, by: SignedDuration) {
        let since = **self.listening_since.load();
        self.listening_since.store(Arc::new(since.checked_add(by).unwrap_or(since)));
        self.sessions.locals().shift_moved(by);
    }

    /// Who may pass now.
    #[must_use]
    pub fn admitted(&self, now: Timestamp) -> Vec<Admitted> {
        let holders = self.sessions.locals().holders();
        holders.into_iter().filter_map(|holder| self.admitted_one(holder, now)).collect()
    }

    /// Whether a holder's devices may pass now; `None` when none may.
    #[must_use]
    pub fn admitted_one(&self, holder: Uuid, now: Timestamp) -> Option<Admitted> {
        let sessions = self.sessions.locals().of_holder(holder);
        let mut admitted: Option<Admitted> = None;
        for held in sessions {
            let Ok((standing, until)) = self.standing_of(&held, now) else { continue };
            let one = admitted.get_or_insert_with(|| Admitted {
                holder,
                number: held.local.number,
                rates: standing.rates,
                devices: Vec::new(),
                remaining_octets: standing.remaining_octets,
                octets_to_change: standing.octets_to_change,
                secs_to_change: standing.secs_to_change,
            });
            one.devices.push(AdmittedDevice {
                interface: held.local.interface,
                mac: held.local.mac,
                ipv4: held.ipv4,
                until,
            });
        }
        admitted
    }

    /// The open session of a device, as those who show it see it.
    #[must_use]
    pub fn local_session(&self, device: &Device) -> Option<LocalSession> {
        let held = self.local_of(device)?;
        let counters = self.sessions.shard(&held.key).open.get(&held.key)?.counters;
        Some(LocalSession {
            id: held.id,
            service: held.service,
            holder: held.local.holder,
            rates: held.local.rates,
            opened_at: held.opened_at,
            ipv4: held.ipv4,
            ends_at: held.local.ends_at,
            counters,
        })
    }

    /// The open local sessions of a service with their devices, the oldest first.
    #[must_use]
    pub fn local_sessions_of(&self, service: ServiceId) -> Vec<(Device, LocalSession)> {
        let held = self.sessions.locals().of_holder(service.0);
        let one = |held: Held| {
            let address = held.ipv4.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), IpAddr::V4);
            let device = Device { interface: held.local.interface, mac: held.local.mac, address };
            self.local_session(&device).map(|session| (device, session))
        };
        held.into_iter().filter_map(one).collect()
    }

    /// Who shares limit and counter with a session; `None` when it is not an open local one.
    #[must_use]
    pub fn holder_of(&self, id: SessionId) -> Option<Uuid> {
        self.sessions.locals().get(id).map(|held| held.local.holder)
    }

    /// How many local sessions are open.
    #[must_use]
    pub fn local_sessions(&self) -> usize {
        self.sessions.locals().len()
    }

    /// When a local session ends if nothing changes; `None` when it runs on, or may not go on at all.
    #[must_use]
    pub fn local_end(&self, id: SessionId, now: Timestamp) -> Option<Timestamp> {
        let held = self.sessions.locals().get(id).cloned()?;
        self.standing_of(&held, now).ok().and_then(|(_, until)| until)
    }

    /// What a session gets from now on where its plan says nothing.
    pub fn set_defaults(&self, defaults: SessionDefaults) {
        self.defaults.store(Arc::new(defaults));
    }

    fn local_of(&self, device: &Device) -> Option<Held> {
        self.sessions.locals().of_device(&device.interface, device.mac).cloned()
    }

    /// What a session's devices may have now and until when, or why the session is over.
    fn standing_of(&self, held: &Held, now: Timestamp) -> Result<(Standing, Option<Timestamp>), CloseReason> {
        let over = |end: Option<Timestamp>| end.is_some_and(|end| end <= now);
        if over(held.local.ends_at) {
            return Err(CloseReason::SessionLimit);
        }
        let Some(service) = held.service else {
            let rates = held.local.rates.ok_or(CloseReason::NotAdmitted)?;
            return Ok((Standing::at(rates), held.local.ends_at));
        };
        let refused = |refusal| CloseReason::NotEntitled { refusal };
        let login = self.snapshot.service(service).ok_or_else(|| refused(Refusal::ServiceEnded))?;
        let yes = self.entitlement(&login, now).map_err(refused)?;
        if let Reach::Captive { reason } = yes.access {
            return Err(refused(Refusal::Locked { reason }));
        }
        let limit = Self::session_end(&login, held.opened_at);
        if over(limit) {
            return Err(CloseReason::SessionLimit);
        }
        if over(self.idle_end(held)) {
            return Err(CloseReason::Idle);
        }
        let until = [yes.ends_at, limit, held.local.ends_at].into_iter().flatten().min();
        Ok((Standing::of(&yes, now), until))
    }

    fn session_end(login: &Login, opened_at: Timestamp) -> Option<Timestamp> {
        // A NAS needs a limit, so that it comes back to ask; here the kernel ends what is not paid for any more.
        let secs = login.service.terms.session_limit_secs?;
        opened_at.checked_add(SignedDuration::from_secs(secs.into())).ok()
    }

    fn idle_end(&self, held: &Held) -> Option<Timestamp> {
        let login = self.snapshot.service(held.service?)?;
        let secs = login.service.terms.idle_limit_secs.or(self.defaults.load().idle_secs)?;
        let moved = self.sessions.locals().moved_at(held.local.holder).unwrap_or(held.opened_at);
        // What the kernel counts is read now and then, so a holder gets the time between two readings more.
        let between_readings = SignedDuration::try_from(READING_PERIOD).unwrap_or(SignedDuration::ZERO);
        let patience = SignedDuration::from_secs(secs.into()) + between_readings;
        moved.max(held.opened_at).max(**self.listening_since.load()).checked_add(patience).ok()
    }
}

/// What a session's devices may have.
struct Standing {
    rates: Rates,
    remaining_octets: Option<u64>,
    octets_to_change: Option<u64>,
    secs_to_change: Option<u64>,
}

impl Standing {
    const fn at(rates: Rates) -> Self {
        Self { rates, remaining_octets: None, octets_to_change: None, secs_to_change: None }
    }

    fn of(yes: &Entitlement, now: Timestamp) -> Self {
        let by_time = yes.changes_at.map(|at| u64::try_from(at.duration_since(now).as_secs()).unwrap_or(0));
        Self {
            rates: yes.rates,
            remaining_octets: yes.remaining_octets,
            octets_to_change: yes.octets_to_change(),
            // All devices together use the time up, but each is looked at again soon enough.
            secs_to_change: [by_time, yes.remaining_secs].into_iter().flatten().min(),
        }
    }
}

impl Holder {
    fn id(&self) -> Uuid {
        match self {
            Self::Service { login, .. } => login.service.id.0,
            Self::Signup { id, .. } => id.0,
        }
    }
}

/// The key of a session that this box opened itself.
/// A device that goes offline for want of money waits for it: what brings it back is kept with its end.
fn with_waiting(unit: Unit, session: &Session, now: Timestamp) -> Result<Unit, CommitError> {
    let Some(CloseReason::NotEntitled { refusal }) = &session.closed_why else { return Ok(unit) };
    let (Some(local), Some(service_id), Some(subscriber_id)) =
        (&session.local, session.service_id, session.subscriber_id)
    else {
        return Ok(unit);
    };
    if !refusal.money_helps() {
        return Ok(unit);
    }
    let address = session.ipv4.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4);
    let (interface, mac) = (local.interface.clone(), local.mac);
    let waiting = WaitingDevice { service_id, subscriber_id, interface, mac, address, since: now };
    unit.put::<WaitingDevices>(&waiting.device().key(), &waiting)
}

pub(super) fn local_key(id: SessionId) -> String {
    session_key(GATEWAY, None, &id.to_string())
}

pub(super) fn millis(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or(0)
}

/// A commit takes milliseconds; who waits longer waits for a store that is ill.
const LOOKS_WHILE_ANOTHER_OPENS: u32 = 100;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
/// Submits of one unit whose answer is lost.
const MOST_SUBMITS: u32 = 3;
/// A phone in a pocket says something at least so often; one that says nothing has gone.
const GIVES_WAY_AFTER: SignedDuration = SignedDuration::from_mins(3);
