//! From the kernel's counters to sessions and usage.
//!
//! A reading is absolute within one life (generation) of the counters. What is above the last one is new,
//! and is written down once: how far it was counted, the session's own counters and the day's usage are one
//! commit. Devices of one holder share a counter; what it rose by is shared out evenly among their open
//! sessions, so a session's numbers are exact while it is alone, and their sum always is.

use std::sync::Arc;

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
    /// Whether the store knows this life of the counters.
    is_new: bool,
    delta: [u64; 4],
    sessions: Vec<(SessionId, Box<str>)>,
}

impl Access {
    /// Counts readings; durable when it returns. Readings of one holder must come in their order.
    ///
    /// # Errors
    /// When the store does not take them; the next reading brings the same again.
    pub async fn count(self: &Arc<Self>, counted: &[Counted], now: Timestamp) -> Result<(), CommitError> {
        for chunk in counted.chunks(READINGS_PER_UNIT) {
            let mut unit = Unit::natural();
            let mut holders = Vec::new();
            for one in chunk {
                let Some(rise) = self.rise(one, now) else { continue };
                holders.push(rise.holder);
                unit = self.enter(unit, &rise, now)?;
            }
            let ended = self.ended_for_good(chunk);
            unit = ended.iter().fold(unit, |unit, holder| unit.delete::<GatewayMeters>(holder));
            if unit.ops.is_empty() {
                continue;
            }
            let outcome = self.store.commit(unit).await;
            let mut locals = self.sessions.locals();
            match outcome {
                Ok(_) => ended.iter().for_each(|holder| locals.forget_metered(*holder)),
                Err(error) => {
                    for holder in holders {
                        if let Some(metered) = locals.metered(holder) {
                            metered.ahead = true;
                        }
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// What is new in a reading; memory is moved on to it.
    fn rise(&self, one: &Counted, now: Timestamp) -> Option<Rise> {
        let mut locals = self.sessions.locals();
        let holder = one.holder.or_else(|| locals.holder_of(one.generation))?;
        let open: Vec<Held> = locals.of_holder(holder);
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
        Some(Rise { holder, body, credited: read, is_new: same.is_none(), delta, sessions })
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

    /// Holders whose counters ended and who have no open session: nothing needs to be known of those.
    fn ended_for_good(&self, chunk: &[Counted]) -> Vec<Uuid> {
        let mut locals = self.sessions.locals();
        let mut ended = Vec::new();
        for one in chunk.iter().filter(|one| one.closed) {
            let Some(holder) = one.holder.or_else(|| locals.holder_of(one.generation)) else { continue };
            let is_last = locals.metered(holder).is_some_and(|metered| metered.generation == one.generation);
            if is_last && locals.of_holder(holder).is_empty() {
                ended.push(holder);
            }
        }
        ended
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

/// Bounds the size of one commit.
const READINGS_PER_UNIT: usize = 100;
