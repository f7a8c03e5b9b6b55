//! Accounting: a report in, a durable change out, then the acknowledgement.
//!
//! The rules are in [`crate::domain::session`]; here they meet the table and the store. Memory is
//! changed first and taken back when the commit fails, so that a report that follows at once sees
//! its predecessor. Counters are absolute and merge by maximum: repeats and reordering are
//! harmless, and the increase is rolled up into the day's usage in the same commit.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp};

use super::Access;
use super::meter::increase;
use super::table::{Ended, Entry, Shard};
use crate::domain::entitlement::{Usage, period_start};
use crate::domain::ids::{NasId, ServiceId, SessionId};
use crate::domain::period::local_day;
use crate::domain::session::{
    CloseReason, Counters, Known, OpenedBy, REUSE_MARGIN, ReportKind, Session, Transition, transition,
};
use crate::store::contract::{CommitError, Committed, Expected, IndexValue, Page, Range, Record, Unit};
use crate::store::snapshot::Login;
use crate::store::tables::{FREE_SESSION_TO_DAY, SESSION_TO_DAY, Sessions, UsageDay, UsageDays, session_key};

/// One accounting report, in the product's words.
#[derive(Debug, Clone)]
pub struct Report {
    /// Start, Interim-Update or Stop.
    pub kind: ReportKind,
    /// From which NAS.
    pub nas_id: NasId,
    /// The NAS's own address, where its record covers a network.
    pub nas_address: Option<IpAddr>,
    /// Source address of the report.
    pub source: IpAddr,
    /// Acct-Session-Id.
    pub acct_session_id: String,
    /// User-Name; may be empty.
    pub username: String,
    /// Our Class, as repeated by the NAS.
    pub class: Option<Vec<u8>>,
    /// Calling-Station-Id.
    pub station: Option<String>,
    /// Called-Station-Id.
    pub called_station: Option<String>,
    /// NAS-Port-Id, or NAS-Port as text.
    pub nas_port: Option<String>,
    /// Framed-IP-Address.
    pub ipv4: Option<Ipv4Addr>,
    /// Framed-IPv6-Prefix, as text.
    pub ipv6_prefix: Option<String>,
    /// Delegated-IPv6-Prefix, as text.
    pub delegated_prefix: Option<String>,
    /// The absolute counters, without `heard_millis`.
    pub counters: Counters,
    /// When it happened: Event-Timestamp, or our time less Acct-Delay-Time.
    pub happened_at: Timestamp,
    /// Acct-Terminate-Cause of a Stop.
    pub terminate_cause: Option<u32>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The change is queued; the callback will be called with its outcome.
    Queued,
    /// Memory cannot tell whether the session is known: call [`Access::learn`], then try again.
    AskStore,
}

/// Called once the report's commit is durable, or has failed.
pub type Then = Box<dyn FnOnce(Result<(), CommitError>) + Send>;

/// How to take a change of memory back.
enum Undo {
    Nothing,
    Reopen { entry: Box<Entry> },
    Forget { service: Option<ServiceId>, used: Usage, day: (Option<Timestamp>, Date) },
}

/// A change to commit and how to take its shadow in memory back.
struct Planned {
    unit: Unit,
    undo: Undo,
    /// A session that it ends, whose other keys must be remembered, too; or the one key that it ends.
    ended: Option<(Session, Counters)>,
}

/// A unit with a session's counters merged; the period and day that they count against; by how much they rose.
pub(super) type Merged = (Unit, (Option<Timestamp>, Date), Usage);

impl Access {
    /// Records a report that arrived at `now`. `then` is called exactly once, unless the answer is
    /// [`Recorded::AskStore`]; from any thread, and it must be quick.
    ///
    /// # Errors
    /// When the change cannot even be built; nothing was changed and `then` is not called.
    pub fn record(
        self: &Arc<Self>,
        report: &Report,
        now: Timestamp,
        then: impl FnOnce() -> Then,
    ) -> Result<Recorded, CommitError> {
        let key = self.key_of(report);
        let planned = {
            let mut shard = self.sessions.shard(&key);
            let Some(known) = self.known(&shard, &key, report) else { return Ok(Recorded::AskStore) };
            self.plan(&mut shard, &key, known, report, now)?
        };
        if let Some((session, counters)) = &planned.ended {
            self.sessions.remember_aliases(session, *counters);
        }
        let (me, then) = (Arc::clone(self), then());
        let undo = planned.undo;
        self.store.submit_then(
            planned.unit,
            Box::new(move |outcome: Result<Committed, CommitError>| {
                if outcome.is_err() {
                    me.take_back(&key, undo);
                }
                then(outcome.map(|_| ()));
            }),
        );
        Ok(Recorded::Queued)
    }

    /// The key of the session that a report speaks of: the NAS's own, or that of the same presence that
    /// this box knows already.
    fn key_of(&self, report: &Report) -> String {
        let key = session_key(report.nas_id, report.nas_address, &report.acct_session_id);
        {
            let locals = self.sessions.locals();
            if let Some(same) = locals.alias(&key) {
                return same.into();
            }
            if locals.is_empty() {
                return key;
            }
        }
        self.join(report, &key).unwrap_or(key)
    }

    /// A session of a device that is online at this box under the same service is the same presence: from
    /// now on the reports under this key are of that session.
    fn join(&self, report: &Report, key: &str) -> Option<String> {
        let mac = report.station.as_deref()?.parse().ok()?;
        let granted = report.class.as_deref().and_then(|class| self.class_key.read(class));
        let login = granted
            .and_then(|(service, _)| self.snapshot.service(service))
            .or_else(|| self.snapshot.login(&self.name_to_keep(&report.username)))?;
        {
            let shard = self.sessions.shard(key);
            if shard.open.contains_key(key) || shard.ended.contains_key(&self.sessions.hash(key)) {
                return None;
            }
        }
        let held = self.sessions.locals().of_service(login.service.id, mac).cloned()?;
        // A Stop of before is of an earlier presence, whose end must not be the end of this one.
        if report.kind == ReportKind::Stop && report.happened_at < held.opened_at {
            return None;
        }
        let mut shard = self.sessions.shard(&held.key);
        let entry = shard.open.get_mut(&held.key)?;
        if entry.session.also.len() >= MOST_REPORTERS {
            return None;
        }
        entry.session.also.push(key.to_owned());
        // Each report writes the record until a restart reads it back.
        entry.revived = true;
        self.sessions.locals().add_alias(key.to_owned(), &held.key);
        Some(held.key.into())
    }

    /// Asks the store whether it knows a session of this id, so that the next
    /// [`Access::record`] can decide.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn learn(&self, report: &Report) -> Result<(), crate::store::contract::ReadError> {
        let key = session_key(report.nas_id, report.nas_address, &report.acct_session_id);
        let range = Range::Equals("nas_session", IndexValue::Text(key.clone()));
        let found = self.store.scan::<Sessions>(range, Page::first(LATEST)).await?;
        let hash = self.sessions.hash(&key);
        let latest = found.records.into_iter().max_by_key(|one: &Record<Sessions>| one.body.opened_at);
        match latest {
            Some(record) if is_silent(&record) => {
                let mut shard = self.sessions.shard(&key);
                shard.learned(hash, None);
                self.sessions.insert_open(&mut shard, &key, revived(record));
            }
            Some(record) => {
                let mut shard = self.sessions.shard(&key);
                shard.learned(hash, record.body.closed_at.map(|closed_at| ended_of(&record, closed_at)));
                drop(shard);
                if record.body.closed_at.is_none() {
                    self.sessions.take_in(record);
                }
            }
            None => self.sessions.shard(&key).learned_nothing(hash),
        }
        Ok(())
    }

    fn known(&self, shard: &Shard, key: &str, report: &Report) -> Option<Known> {
        if shard.open.contains_key(key) {
            return Some(Known::Open);
        }
        if let Some(ended) = shard.ended.get(&self.sessions.hash(key)) {
            if ended.silent && goes_on(ended, report) {
                return None;
            }
            return Some(Known::Closed { opened_at: ended.opened_at, closed_at: ended.closed_at });
        }
        (!self.sessions.must_ask_store(shard, key)).then_some(Known::Nothing)
    }

    fn plan(
        &self,
        shard: &mut Shard,
        key: &str,
        known: Known,
        report: &Report,
        now: Timestamp,
    ) -> Result<Planned, CommitError> {
        let began_at = began_at(report);
        let mut counters = report.counters;
        counters.heard_millis = u64::try_from(now.as_millisecond()).unwrap_or(0);
        match transition(known, report.kind, began_at) {
            Transition::Open | Transition::OpenAnew | Transition::OpenClosed => {
                self.plan_new(shard, key, report, counters, began_at, now)
            }
            Transition::Touch => self.plan_touch(shard, key, counters, now),
            Transition::Close => self.plan_close(shard, key, report, counters, now),
            Transition::TouchClosed => self.plan_touch_ended(shard, key, counters, now),
        }
    }

    /// A session that was not known: written open, or, where its Stop is the first that is heard of
    /// it, closed.
    fn plan_new(
        &self,
        shard: &mut Shard,
        key: &str,
        report: &Report,
        counters: Counters,
        began_at: Timestamp,
        now: Timestamp,
    ) -> Result<Planned, CommitError> {
        let (mut session, login) = self.session_of(report, began_at, now)?;
        let event = match report.kind {
            ReportKind::Start | ReportKind::Interim => "session.started",
            ReportKind::Stop => {
                close(&mut session, report);
                "session.ended"
            }
        };
        let unit = Unit::natural().create::<Sessions>(&session.id, &session)?.event(
            event,
            session.id,
            event_of(&session, counters),
        );
        let (unit, day, used) =
            self.merge(unit, session.id, login.as_deref(), Counters::default(), counters, now)?;
        let undo = Undo::Forget { service: session.service_id, used, day };
        if session.closed_at.is_some() {
            self.sessions.remember_ended(shard, key, &session, counters);
        } else {
            self.sessions.insert_open(shard, key, Entry { session, counters, revived: false });
        }
        Ok(Planned { unit, undo, ended: None })
    }

    fn plan_touch(
        &self,
        shard: &mut Shard,
        key: &str,
        counters: Counters,
        now: Timestamp,
    ) -> Result<Planned, CommitError> {
        let Some(entry) = shard.open.get_mut(key) else { return Err(vanished(key)) };
        let before = entry.counters;
        entry.counters = before.max(told(&entry.session, counters));
        let (id, service) = (entry.session.id, entry.session.service_id);
        let login = service.and_then(|id| self.snapshot.service(id));
        let mut unit = Unit::natural();
        if entry.revived {
            unit = unit.expect::<Sessions>(&id, Expected::Present).put::<Sessions>(&id, &entry.session)?;
        }
        let (unit, _, _) = self.merge(unit, id, login.as_deref(), before, entry.counters, now)?;
        // Memory may run ahead of a failed commit here: counters are absolute, and the NAS's
        // retransmission writes the same values again.
        Ok(Planned { unit, undo: Undo::Nothing, ended: None })
    }

    fn plan_close(
        &self,
        shard: &mut Shard,
        key: &str,
        report: &Report,
        counters: Counters,
        now: Timestamp,
    ) -> Result<Planned, CommitError> {
        if let Some(left) = self.leave(shard, key, report) {
            let touched = self.plan_touch(shard, key, counters, now)?;
            return Ok(Planned { ended: Some(left), ..touched });
        }
        let Some(entry) = self.sessions.remove_open(shard, key) else { return Err(vanished(key)) };
        let before = entry.counters;
        let after = before.max(told(&entry.session, counters));
        let undo = Undo::Reopen {
            entry: Box::new(Entry {
                session: entry.session.clone(),
                counters: after,
                revived: entry.revived,
            }),
        };
        let mut session = entry.session;
        close(&mut session, report);
        let login = session.service_id.and_then(|id| self.snapshot.service(id));
        let unit = Unit::natural()
            .expect::<Sessions>(&session.id, Expected::Present)
            .put::<Sessions>(&session.id, &session)?
            .event("session.ended", session.id, event_of(&session, after));
        let (unit, _, _) = self.merge(unit, session.id, login.as_deref(), before, after, now)?;
        self.sessions.remember_ended(shard, key, &session, after);
        Ok(Planned { unit, undo, ended: Some((session, after)) })
    }

    /// One of several reporters of a presence has ended its part: the device has roamed, and goes on. Gives
    /// what is to be remembered of the key that ended; `None` where the session ends with it.
    fn leave(&self, shard: &mut Shard, key: &str, report: &Report) -> Option<(Session, Counters)> {
        let own = session_key(report.nas_id, report.nas_address, &report.acct_session_id);
        let entry = shard.open.get_mut(key)?;
        if !entry.session.also.iter().any(|alias| *alias != own) {
            return None;
        }
        entry.session.also.retain(|alias| *alias != own);
        // Each report writes the record until a restart reads it back.
        entry.revived = true;
        self.sessions.locals().remove_alias(&own);
        let mut left = entry.session.clone();
        left.also = if own == key { Vec::new() } else { vec![own] };
        close_at(&mut left, report.happened_at, CloseReason::Stop { cause: report.terminate_cause });
        Some((left, entry.counters))
    }

    fn plan_touch_ended(
        &self,
        shard: &mut Shard,
        key: &str,
        counters: Counters,
        now: Timestamp,
    ) -> Result<Planned, CommitError> {
        let Some(ended) = shard.ended.get_mut(&self.sessions.hash(key)) else { return Err(vanished(key)) };
        let before = ended.counters();
        let counters = if ended.is_local { without_octets(counters) } else { counters };
        let after = before.max(counters);
        ended.octets = (after.down_octets, after.up_octets, after.seconds);
        let (id, service) = (ended.id, ended.service_id);
        let login = service.and_then(|id| self.snapshot.service(id));
        let (unit, _, _) = self.merge(Unit::natural(), id, login.as_deref(), before, after, now)?;
        Ok(Planned { unit, undo: Undo::Nothing, ended: None })
    }

    /// Adds the counters to a unit, with their roll-up into the day's usage where the service is
    /// known, and counts the increase in memory.
    pub(super) fn merge(
        &self,
        unit: Unit,
        id: SessionId,
        login: Option<&Login>,
        before: Counters,
        after: Counters,
        now: Timestamp,
    ) -> Result<Merged, CommitError> {
        let mut used = increase(before, after);
        let day = local_day(now, &self.zone);
        let Some(login) = login else {
            return Ok((unit.merge_max::<Sessions>(&id, after.to_merge()), (None, day), used));
        };
        let period = period_start(&login.service.intervals, now);
        let is_free = login.service.terms.usage.is_free_at(now, &self.zone);
        let pairs = if is_free {
            used.free_octets = used.down_octets.saturating_add(used.up_octets);
            FREE_SESSION_TO_DAY
        } else {
            SESSION_TO_DAY
        };
        let used_on = UsageDay { service_id: login.service.id, period, day };
        let unit = unit.merge_max_into::<Sessions, UsageDays>(
            &id,
            after.to_merge(),
            &used_on.key(),
            &used_on,
            pairs,
        )?;
        self.sessions.meter(login.service.id, |meter| meter.add(period, day, used));
        Ok((unit, (period, day), used))
    }

    fn session_of(
        &self,
        report: &Report,
        opened_at: Timestamp,
        now: Timestamp,
    ) -> Result<(Session, Option<Arc<Login>>), CommitError> {
        let granted = report.class.as_deref().and_then(|class| self.class_key.read(class));
        let login = granted
            .and_then(|(service, _)| self.snapshot.service(service))
            .or_else(|| self.snapshot.login(&self.name_to_keep(&report.username)));
        let id = self.entropy.uuid_v7(now).map_err(|error| CommitError::Unavailable(error.to_string()))?;
        let session = Session {
            id: SessionId(id),
            nas_id: report.nas_id,
            nas_address: report.nas_address,
            acct_session_id: report.acct_session_id.clone(),
            service_id: login.as_ref().map(|login| login.service.id),
            subscriber_id: login.as_ref().map(|login| login.service.subscriber_id),
            granted_terms: granted.map(|(_, granted)| granted.terms),
            granted_rates: granted.and_then(|(_, granted)| granted.rates),
            granted_captive: granted.is_some_and(|(_, granted)| granted.is_captive),
            username: self.name_to_keep(&report.username).into_owned(),
            calling_station: report.station.clone(),
            called_station: report.called_station.clone(),
            nas_port: report.nas_port.clone(),
            ipv4: report.ipv4,
            ipv6_prefix: report.ipv6_prefix.clone(),
            delegated_prefix: report.delegated_prefix.clone(),
            reported_from: report.source,
            local: None,
            also: Vec::new(),
            opened_at,
            opened_by: match report.kind {
                ReportKind::Start => OpenedBy::Start,
                ReportKind::Interim | ReportKind::Stop => OpenedBy::LaterReport,
            },
            closed_at: None,
            closed_why: None,
        };
        Ok((session, login))
    }

    fn take_back(&self, key: &str, undo: Undo) {
        match undo {
            Undo::Nothing => {}
            Undo::Reopen { entry } => {
                let mut shard = self.sessions.shard(key);
                self.sessions.insert_open(&mut shard, key, *entry);
            }
            Undo::Forget { service, used, day: (period, day) } => {
                let mut shard = self.sessions.shard(key);
                self.sessions.remove_open(&mut shard, key);
                let hash = self.sessions.hash(key);
                shard.ended.remove(&hash);
                shard.doubt(hash);
                if let Some(service) = service {
                    self.sessions.meter(service, |meter| meter.take_back(period, day, used));
                }
            }
        }
    }
}

impl Shard {
    /// From now on the store is asked about this key.
    fn doubt(&mut self, hash: u64) {
        if !self.unsure.contains(&hash) && self.unsure.len() < UNSURE {
            self.unsure.push(hash);
        }
    }

    fn learned(&mut self, hash: u64, ended: Option<Ended>) {
        self.unsure.retain(|one| *one != hash);
        if let Some(ended) = ended {
            self.ended.insert(hash, ended);
        }
    }

    fn learned_nothing(&mut self, hash: u64) {
        self.unsure.retain(|one| *one != hash);
        self.absent = Some(hash);
    }
}

impl Ended {
    pub(super) fn counters(&self) -> Counters {
        let (down_octets, up_octets, seconds) = self.octets;
        Counters { down_octets, up_octets, seconds, ..Counters::default() }
    }
}

fn ended_of(record: &Record<Sessions>, closed_at: Timestamp) -> Ended {
    let counters = Counters::from_slice(&record.counters);
    Ended {
        id: record.body.id,
        service_id: record.body.service_id,
        opened_at: record.body.opened_at,
        closed_at,
        silent: is_silent(record),
        is_local: record.body.local.is_some(),
        octets: (counters.down_octets, counters.up_octets, counters.seconds),
    }
}

fn is_silent(record: &Record<Sessions>) -> bool {
    record.body.may_go_on_after_all()
}

/// A session that had ended by silence, open again; each report writes that down until a restart
/// reads it back, since any one of them may be the first that becomes durable.
fn revived(record: Record<Sessions>) -> Entry {
    let counters = Counters::from_slice(&record.counters);
    let session = Session { closed_at: None, closed_why: None, ..record.body };
    Entry { session, counters, revived: true }
}

/// Whether a report shows that a silent session went on after its last report, rather than being
/// an old report that comes again.
fn goes_on(ended: &Ended, report: &Report) -> bool {
    let (_, _, seconds) = ended.octets;
    report.counters.seconds > seconds && began_at(report).duration_since(ended.closed_at) <= REUSE_MARGIN
}

/// When the session began, by this report: its moment less the time it says has passed.
fn began_at(report: &Report) -> Timestamp {
    let passed = i64::try_from(report.counters.seconds).unwrap_or(i64::MAX);
    report.happened_at.checked_sub(SignedDuration::from_secs(passed)).unwrap_or(report.happened_at)
}

/// What a report tells of a session: of one on this box's own interfaces only that it goes on, since the
/// kernel counts it and the same octets must not count twice.
fn told(session: &Session, counters: Counters) -> Counters {
    if session.local.is_some() { without_octets(counters) } else { counters }
}

fn without_octets(counters: Counters) -> Counters {
    Counters { seconds: counters.seconds, heard_millis: counters.heard_millis, ..Counters::default() }
}

/// Ends a session, never before it began.
pub(super) fn close_at(session: &mut Session, at: Timestamp, why: CloseReason) {
    session.closed_at = Some(at.max(session.opened_at));
    session.closed_why = Some(why);
}

fn close(session: &mut Session, report: &Report) {
    close_at(session, report.happened_at, CloseReason::Stop { cause: report.terminate_cause });
    // A Stop may be the first to carry addresses that the NAS learned late.
    session.ipv4 = report.ipv4.or(session.ipv4);
    if session.ipv6_prefix.is_none() {
        session.ipv6_prefix.clone_from(&report.ipv6_prefix);
    }
    if session.delegated_prefix.is_none() {
        session.delegated_prefix.clone_from(&report.delegated_prefix);
    }
}

pub(super) fn event_of(session: &Session, counters: Counters) -> serde_json::Value {
    serde_json::json!({
        "service_id": session.service_id,
        "nas_id": session.nas_id,
        "is_local": session.local.is_some(),
        "opened_at": session.opened_at,
        "closed_at": session.closed_at,
        "down_octets": counters.down_octets,
        "up_octets": counters.up_octets,
        "seconds": counters.seconds,
    })
}

/// Cannot happen while the shard is locked; were it to, the NAS asks again and nothing is lost.
fn vanished(key: &str) -> CommitError {
    CommitError::Missing { collection: "sessions", key: key.to_owned() }
}

/// Sessions with one NAS's one id that are looked at: ids are reused after restarts, so the
/// newest of the last few matters.
const LATEST: usize = 100;
/// Keys that one presence may have: a device that roams from NAS to NAS has a few.
const MOST_REPORTERS: usize = 16;
/// Doubts remembered per shard; each is one failed commit.
const UNSURE: usize = 1_024;
