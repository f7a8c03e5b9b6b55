//! The table of sessions in memory: what is open, what ended lately, who holds which places.
//!
//! `access` is the only writer of sessions, so this table and the store agree but for commits
//! under way; a commit that fails is taken back (see `account`). Sharded by key, each shard under
//! its own lock, held for microseconds and never across an await.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::civil::Date;

use super::locals::Locals;
use super::meter::{Meter, OpenSession, same_device};
use super::shards::Shards;
use crate::domain::entitlement::{Usage, Used};
use crate::domain::ids::{ServiceId, SessionId};
use crate::domain::session::{Counters, Session};
use crate::domain::usage_terms::FairUseWindow;
use crate::store::Store;
use crate::store::contract::{ReadError, Record};
use crate::store::tables::{GatewayMeters, Sessions, UsageDay, UsageDays, session_key};

/// Sessions and meters of all services.
pub(super) struct SessionTable {
    hasher: RandomState,
    shards: Shards<Shard>,
    meters: Shards<HashMap<ServiceId, Meter>>,
    pub(super) locals: Mutex<Locals>,
    open: AtomicUsize,
    /// Whether every ended session in the store is remembered here.
    remembers_all: AtomicBool,
}

/// One part of the table.
#[derive(Debug, Default)]
pub(super) struct Shard {
    pub(super) open: HashMap<Box<str>, Entry>,
    pub(super) ended: HashMap<u64, Ended>,
    /// Keys about which memory and store may differ: ask the store before deciding.
    pub(super) unsure: Vec<u64>,
    /// The key that the store was just asked about and does not have.
    pub(super) absent: Option<u64>,
}

/// An open session.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) session: Session,
    pub(super) counters: Counters,
    /// Whether the store still has it as ended, by a silence that is over.
    pub(super) revived: bool,
}

/// An ended session: enough to recognise its late reports.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ended {
    pub(super) id: SessionId,
    pub(super) service_id: Option<ServiceId>,
    pub(super) opened_at: Timestamp,
    pub(super) closed_at: Timestamp,
    /// Whether it may go on after all: see [`Session::may_go_on_after_all`].
    pub(super) silent: bool,
    /// Whether this box's own kernel counted it, and not its reporters.
    pub(super) is_local: bool,
    pub(super) octets: (u64, u64, u64),
}

impl SessionTable {
    fn empty() -> Self {
        Self {
            hasher: RandomState::new(),
            shards: Shards::new(),
            meters: Shards::new(),
            locals: Mutex::default(),
            open: AtomicUsize::new(0),
            remembers_all: AtomicBool::new(true),
        }
    }

    /// Reads the table back from the store.
    pub(super) async fn load(store: &Store, now: Timestamp) -> Result<Arc<Self>, ReadError> {
        let table = Arc::new(Self::empty());
        let into = Arc::clone(&table);
        store.load_all::<Sessions>(move |one: Record<Sessions>| into.take_in(one)).await?;
        let into = Arc::clone(&table);
        store
            .load_all::<UsageDays>(move |one: Record<UsageDays>| {
                let at = |position: usize| one.counters.get(position).copied().unwrap_or(0);
                let used = Usage { down_octets: at(0), up_octets: at(1), seconds: at(2), free_octets: at(3) };
                let UsageDay { service_id, period, day } = one.body;
                into.meter(service_id, |meter| meter.add(period, day, used));
            })
            .await?;
        let into = Arc::clone(&table);
        store
            .load_all::<GatewayMeters>(move |one: Record<GatewayMeters>| into.take_in_meter(&one, now))
            .await?;
        Ok(table)
    }

    /// Puts a stored session where it belongs.
    pub(super) fn take_in(&self, record: Record<Sessions>) {
        let session = record.body;
        let counters = Counters::from_slice(&record.counters);
        let key = session_key(session.nas_id, session.nas_address, &session.acct_session_id);
        let mut shard = self.shard(&key);
        if session.closed_at.is_some() {
            self.remember_ended(&mut shard, &key, &session, counters);
            drop(shard);
            self.remember_aliases(&session, counters);
        } else {
            self.insert_open(&mut shard, &key, Entry { session, counters, revived: false });
        }
    }

    pub(super) fn shard(&self, key: &str) -> MutexGuard<'_, Shard> {
        self.shards.lock(self.hash(key))
    }

    pub(super) fn hash(&self, key: &str) -> u64 {
        self.hasher.hash_one(key)
    }

    /// Whether a key that is in neither map may still be in the store.
    pub(super) fn must_ask_store(&self, shard: &Shard, key: &str) -> bool {
        let hash = self.hash(key);
        if shard.absent == Some(hash) {
            return false;
        }
        shard.unsure.contains(&hash) || !self.remembers_all.load(Ordering::Relaxed)
    }

    pub(super) fn insert_open(&self, shard: &mut Shard, key: &str, entry: Entry) {
        if let Some(service) = entry.session.service_id {
            self.meter(service, |meter| meter.open(OpenSession::of(&entry.session)));
        }
        if entry.session.local.is_some() || !entry.session.also.is_empty() {
            self.locals().insert(key, &entry.session);
        }
        shard.ended.remove(&self.hash(key));
        shard.absent = None;
        if shard.open.insert(key.into(), entry).is_none() {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn remove_open(&self, shard: &mut Shard, key: &str) -> Option<Entry> {
        let entry = shard.open.remove(key)?;
        self.open.fetch_sub(1, Ordering::Relaxed);
        if let Some(service) = entry.session.service_id {
            self.meter(service, |meter| meter.close(entry.session.id));
        }
        if entry.session.local.is_some() || !entry.session.also.is_empty() {
            self.locals().remove(&entry.session);
        }
        Some(entry)
    }

    pub(super) fn remember_ended(&self, shard: &mut Shard, key: &str, session: &Session, counters: Counters) {
        self.remember_ended_as(shard, self.hash(key), session, counters);
    }

    /// Other reporters' late words of an ended session are of the same one.
    pub(super) fn remember_aliases(&self, session: &Session, counters: Counters) {
        for alias in &session.also {
            let mut shard = self.shard(alias);
            self.remember_ended_as(&mut shard, self.hash(alias), session, counters);
        }
    }

    fn remember_ended_as(&self, shard: &mut Shard, hash: u64, session: &Session, counters: Counters) {
        let Some(closed_at) = session.closed_at else { return };
        if shard.ended.len() >= ENDED_PER_SHARD && !shard.ended.contains_key(&hash) {
            // Too many to remember: from now on the store is asked about unknown ids.
            self.remembers_all.store(false, Ordering::Relaxed);
            return;
        }
        let octets = (counters.down_octets, counters.up_octets, counters.seconds);
        let ended = Ended {
            id: session.id,
            service_id: session.service_id,
            opened_at: session.opened_at,
            closed_at,
            silent: session.may_go_on_after_all(),
            is_local: session.local.is_some(),
            octets,
        };
        shard
            .ended
            .entry(hash)
            .and_modify(|known| {
                if known.closed_at <= closed_at {
                    *known = ended;
                }
            })
            .or_insert(ended);
    }

    /// Notes that an open session's record is another now.
    pub(super) fn changed(&self, key: &str, session: &Session) {
        if let Some(service) = session.service_id {
            self.meter(service, |meter| meter.open(OpenSession::of(session)));
        }
        self.locals().insert(key, session);
    }

    /// Takes what is local of a session out, as it is about to be what it was before.
    pub(super) fn forget_local(&self, session: &Session) {
        self.locals().remove(session);
    }

    /// The local sessions; never locked before a shard.
    pub(super) fn locals(&self) -> MutexGuard<'_, Locals> {
        self.locals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn meter<R>(&self, service: ServiceId, with: impl FnOnce(&mut Meter) -> R) -> R {
        let mut meters = self.meters.lock(self.hasher.hash_one(service));
        let meter = meters.entry(service).or_default();
        let result = with(meter);
        if meter.is_idle() {
            meters.remove(&service);
        }
        result
    }

    /// Looks at a service's meter without making one: logins ask far more often than sessions report.
    fn look<R: Default>(&self, service: ServiceId, at: impl FnOnce(&Meter) -> R) -> R {
        let meters = self.meters.lock(self.hasher.hash_one(service));
        meters.get(&service).map_or_else(R::default, at)
    }

    pub(super) fn open_count(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    pub(super) fn of_service(&self, service: ServiceId) -> Vec<OpenSession> {
        self.look(service, |meter| meter.sessions().to_vec())
    }

    pub(super) fn places_taken(&self, service: ServiceId, station: Option<&str>) -> usize {
        self.look(service, |meter| meter.places_taken(station))
    }

    pub(super) fn used(
        &self,
        service: ServiceId,
        period: Option<Timestamp>,
        window: FairUseWindow,
        today: Date,
    ) -> Used {
        self.look(service, |meter| meter.used(period, window, today))
    }

    /// Takes one of a service's places for a session that is about to be opened; false when all are taken.
    pub(super) fn take_place(&self, service: ServiceId, session: &Session, limit: u32) -> bool {
        self.meter(service, |meter| {
            let taken = meter.places_taken(session.calling_station.as_deref());
            let is_free = u32::try_from(taken).unwrap_or(u32::MAX) < limit;
            if is_free {
                meter.open(OpenSession::of(session));
            }
            is_free
        })
    }

    /// The open session of a service with this device: its key and its id.
    pub(super) fn same_device(&self, service: ServiceId, station: &str) -> Option<(Box<str>, SessionId)> {
        let open = self.of_service(service);
        let held = |one: &&OpenSession| one.station.as_deref().is_some_and(|held| same_device(held, station));
        let id = open.iter().find(held)?.id;
        let key = self.keys_where(|entry| entry.session.id == id).into_iter().next()?;
        Some((key, id))
    }

    /// Services that have an open session with this device.
    pub(super) fn services_with_device(&self, device: &str) -> Vec<ServiceId> {
        let held = |session: &Session| {
            session.calling_station.as_deref().is_some_and(|held| same_device(held, device))
        };
        let mut ids = Vec::new();
        for shard in self.shards.each() {
            let with = shard.open.values().filter(|one| held(&one.session));
            ids.extend(with.filter_map(|one| one.session.service_id));
        }
        ids
    }

    /// What `of` makes of each open session.
    pub(super) fn pick<T>(&self, of: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
        let mut picked = Vec::new();
        for shard in self.shards.each() {
            picked.extend(shard.open.values().filter_map(&of));
        }
        picked
    }

    /// The keys of all open sessions that `wanted` picks.
    pub(super) fn keys_where(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Box<str>> {
        let mut keys = Vec::new();
        for shard in self.shards.each() {
            keys.extend(shard.open.iter().filter(|(_, one)| wanted(one)).map(|(key, _)| key.clone()));
        }
        keys
    }
}

/// Ended sessions remembered, per shard: about half a million in all, some 60 MB at most.
const ENDED_PER_SHARD: usize = 8_192;
