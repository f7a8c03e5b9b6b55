//! From the kernel's counters to sessions and usage.
//!
//! A reading is absolute within one life (generation) of the counters. What is above the last one is new,
//! and is written down once: how far it was counted, the session's own counters and the day's usage are one
//! commit. Devices of one holder share a counter; what it rose by is shared out evenly among their open
//! sessions, so a session's numbers are exact while it is alone, and their sum always is.

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::Access;
use super::local::{local_key, millis};
use super::locals::{Held, Metered};
use super::table::SessionTable;
use crate::domain::ids::SessionId;
use crate::domain::presence::{Counted, Passed};
use crate::domain::session::Counters;
use crate::store::contract::{CommitError, Record, Unit};
use crate::store::tables::{GatewayMeter, GatewayMeters};

/// What one reading adds, and to whom.
struct Rise {
    holder: Uuid,
    body: GatewayMeter,
    credited: [u64; 4],
    /// Whether the store may not know this life of the counters.
    is_new: bool,
    delta: [u64; 4],
    sessions: Vec<(SessionId, Box<str>)>,
}

/// Readings that go into one commit.
#[derive(Default)]
struct Part<'a> {
    unit: Unit,
    readings: Vec<&'a Counted>,
    holders: Vec<Uuid>,
    ended: Vec<(Uuid, Uuid)>,
}

impl Access {
    /// Counts readings; durable when it returns. Readings of one holder must come in their order; one that
    /// comes again changes nothing.
    ///
    /// # Errors
    /// When the store cannot take any now; the next reading brings the same again. A reading that the store
    /// will never take (its record is damaged) is said and left out, and holds up no other.
    pub async fn count(&self, counted: &[Counted], now: Timestamp) -> Result<(), CommitError> {
        let mut parts = vec![Part::default()];
        for one in counted {
            let is_full = parts.last().is_none_or(|part| part.unit.ops.len() >= OPERATIONS_PER_UNIT);
            if is_full {
                parts.push(Part::default());
            }
            if let Some(part) = parts.last_mut() {
                self.add(part, one, now)?;
            }
        }
        // All are handed over before the first is waited for, so that they share the disk's syncs.
        let submitted: Vec<_> = parts.iter().map(|part| self.store.try_submit(part.unit.clone())).collect();
        let mut outcome = Ok(());
        for (part, submitted) in parts.into_iter().zip(submitted) {
            let taken = match submitted {
                Ok(waiting) => waiting.await.map(|_| ()),
                Err(error) => Err(error),
            };
            if let Err(error) = self.settle(&part, taken, now).await {
                outcome = Err(error);
            }
        }
        outcome
    }

    fn add<'a>(&self, part: &mut Part<'a>, one: &'a Counted, now: Timestamp) -> Result<(), CommitError> {
        let rise = self.rise(one, now);
        let mut unit = std::mem::take(&mut part.unit);
        if let Some(rise) = &rise {
            part.holders.push(rise.holder);
            unit = self.enter(unit, rise, now)?;
        }
        if let Some(holder) = self.ended_for_good(one) {
            part.ended.push((holder, one.generation));
            unit = unit.delete::<GatewayMeters>(&holder);
        }
        part.unit = unit;
        part.readings.push(one);
        Ok(())
    }

    /// Memory follows what became of a part. What the store refused for its content is tried one by one,
    /// so that one bad record holds up nobody else.
    async fn settle(
        &self,
        part: &Part<'_>,
        taken: Result<(), CommitError>,
        now: Timestamp,
    ) -> Result<(), CommitError> {
        let Err(error) = taken else {
            let mut locals = self.sessions.locals();
            for (holder, generation) in &part.ended {
                locals.forget_metered(*holder, *generation);
            }
            return Ok(());
        };
        self.mark_ahead(&part.holders);
        if !is_of_its_content(&error) {
            return Err(error);
        }
        for one in &part.readings {
            let mut alone = Part::default();
            self.add(&mut alone, one, now)?;
            if alone.unit.ops.is_empty() {
                continue;
            }
            match self.store.commit(alone.unit.clone()).await {
                Ok(_) => {
                    let mut locals = self.sessions.locals();
                    for (holder, generation) in &alone.ended {
                        locals.forget_metered(*holder, *generation);
                    }
                }
                Err(error) if is_of_its_content(&error) => {
                    self.mark_ahead(&alone.holders);
                    tracing::error!(%error, "What one subscriber used cannot be written down");
                }
                Err(error) => {
                    self.mark_ahead(&alone.holders);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn mark_ahead(&self, holders: &[Uuid]) {
        let mut locals = self.sessions.locals();
        for holder in holders {
            if let Some(metered) = locals.metered(*holder) {
                metered.ahead = true;
            }
        }
    }

    /// What is new in a reading; memory is moved on to it.
    fn rise(&self, one: &Counted, now: Timestamp) -> Option<Rise> {
        let mut locals = self.sessions.locals();
        if locals.is_done(one.generation) {
            return None;
        }
        let holder = one.holder.or_else(|| locals.holder_of(one.generation))?;
        let mut open: Vec<Held> = locals.of_holder(holder);
        open.truncate(MOST_SHARERS);
        let known = locals.metered(holder).cloned();
        let lead = open
            .last()
            .map(|held| (held.id, held.key.clone()))
            .or_else(|| locals.lead_of(holder))
            .or_else(|| known.as_ref().map(|known| known.lead.clone()))?;
        let same = known.as_ref().filter(|known| known.generation == one.generation);
        let before = same.map_or([0; 4], |known| known.credited);
        let ahead = same.is_some_and(|known| known.ahead);
        let read = read(one, before);
        let mut delta = [0; 4];
        for (to, (after, before)) in delta.iter_mut().zip(read.iter().zip(before)) {
            *to = after.saturating_sub(before);
        }
        let moved = delta.iter().any(|part| *part > 0);
        let moved_at = match (&known, moved) {
            (Some(known), false) => known.moved_at,
            (Some(_), true) | (None, _) => now,
        };
        let metered = Metered {
            generation: one.generation,
            credited: read,
            lead: lead.clone(),
            moved_at,
            ahead: false,
        };
        locals.set_metered(holder, metered);
        if same.is_some() && !moved && !ahead {
            return None;
        }
        let sessions = if open.is_empty() {
            vec![lead.clone()]
        } else {
            open.into_iter().map(|held| (held.id, held.key)).collect()
        };
        let body = GatewayMeter { holder, generation: one.generation, lead: lead.0 };
        Some(Rise { holder, body, credited: read, is_new: same.is_none() || ahead, delta, sessions })
    }

    /// Enters a rise into a unit: how far it was counted, and to whose sessions it belongs.
    fn enter(&self, unit: Unit, rise: &Rise, now: Timestamp) -> Result<Unit, CommitError> {
        let mut unit = if rise.is_new {
            unit.put_counted::<GatewayMeters>(&rise.holder, &rise.body, rise.credited.to_vec())?
        } else {
            let to = rise.credited.iter().copied().enumerate().collect();
            unit.merge_max::<GatewayMeters>(&rise.holder, to)
        };
        let count = u64::try_from(rise.sessions.len()).unwrap_or(1).max(1);
        for (place, (id, key)) in rise.sessions.iter().enumerate() {
            let share = rise.delta.map(|part| part / count + if place == 0 { part % count } else { 0 });
            unit = self.raise(unit, *id, key, share, now)?;
        }
        Ok(unit)
    }

    fn raise(
        &self,
        unit: Unit,
        id: SessionId,
        key: &str,
        share: [u64; 4],
        now: Timestamp,
    ) -> Result<Unit, CommitError> {
        let mut shard = self.sessions.shard(key);
        let (service, before, after) = if let Some(entry) = shard.open.get_mut(key) {
            let before = entry.counters;
            let lasted = now.duration_since(entry.session.opened_at).max(SignedDuration::ZERO);
            let seconds = u64::try_from(lasted.as_secs()).unwrap_or(0);
            entry.counters = more(before, share, Some((seconds, millis(now))));
            (entry.session.service_id, before, entry.counters)
        } else if let Some(ended) = shard.ended.get_mut(&self.sessions.hash(key)).filter(|one| one.id == id) {
            let before = ended.counters();
            let after = more(before, share, None);
            ended.octets = (after.down_octets, after.up_octets, after.seconds);
            // Packets of an ended session are not remembered: no number is better than a wrong one.
            let after = Counters { down_packets: 0, up_packets: 0, ..after };
            (ended.service_id, before, after)
        } else {
            return Ok(unit);
        };
        drop(shard);
        let login = service.and_then(|id| self.snapshot.service(id));
        self.merge(unit, id, login.as_deref(), before, after, now).map(|(unit, ..)| unit)
    }

    /// A holder whose counters ended and who has no open session: nothing needs to be known of it.
    fn ended_for_good(&self, one: &Counted) -> Option<Uuid> {
        if !one.closed {
            return None;
        }
        let mut locals = self.sessions.locals();
        let holder = one.holder.or_else(|| locals.holder_of(one.generation))?;
        let is_last = locals.metered(holder).is_some_and(|metered| metered.generation == one.generation);
        (is_last && locals.of_holder(holder).is_empty()).then_some(holder)
    }
}

impl SessionTable {
    /// Puts a stored meter where it belongs, once the sessions are there.
    pub(super) fn take_in_meter(&self, record: &Record<GatewayMeters>, now: Timestamp) {
        let GatewayMeter { holder, generation, lead } = record.body;
        let at = |position: usize| record.counters.get(position).copied().unwrap_or(0);
        let mut locals = self.locals();
        let key = locals.get(lead).map_or_else(|| local_key(lead).into(), |held| held.key.clone());
        let credited = [at(0), at(1), at(2), at(3)];
        let metered = Metered { generation, credited, lead: (lead, key), moved_at: now, ahead: false };
        locals.set_metered(holder, metered);
    }
}

/// A reading as four numbers; what was not read stays as it was.
fn read(one: &Counted, before: [u64; 4]) -> [u64; 4] {
    let [down_octets, up_octets, down_packets, up_packets] = before;
    let part = |read: Option<Passed>, octets, packets| {
        read.map_or((octets, packets), |read| (read.octets.max(octets), read.packets.max(packets)))
    };
    let (down, down_count) = part(one.down, down_octets, down_packets);
    let (up, up_count) = part(one.up, up_octets, up_packets);
    [down, up, down_count, up_count]
}

fn more(before: Counters, share: [u64; 4], lasted: Option<(u64, u64)>) -> Counters {
    let [down, up, down_packets, up_packets] = share;
    let (seconds, heard_millis) = lasted.unwrap_or((before.seconds, before.heard_millis));
    Counters {
        down_octets: before.down_octets.saturating_add(down),
        up_octets: before.up_octets.saturating_add(up),
        down_packets: before.down_packets.saturating_add(down_packets),
        up_packets: before.up_packets.saturating_add(up_packets),
        seconds: before.seconds.max(seconds),
        heard_millis: before.heard_millis.max(heard_millis),
    }
}

/// Whether the store would refuse the same again: something is wrong with a record.
const fn is_of_its_content(error: &CommitError) -> bool {
    match error {
        CommitError::Conflict { .. }
        | CommitError::Taken { .. }
        | CommitError::Missing { .. }
        | CommitError::Damaged { .. }
        | CommitError::Malformed(_) => true,
        CommitError::Full(_) | CommitError::Unavailable(_) | CommitError::Unknown(_) => false,
    }
}

/// Bounds the size of one commit: with one more reading it is still below what the store takes.
const OPERATIONS_PER_UNIT: usize = 300;
/// Sessions among which one holder's octets are shared out; the others' come with the next reading.
const MOST_SHARERS: usize = 200;
