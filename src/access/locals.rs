//! The table of local sessions: devices on this box's own access interfaces, by device and by holder,
//! with the numbers that their packets are marked with and how far their counters were counted.
//!
//! A shadow of the open sessions, kept by whoever puts one in or takes one out. The one rule: a number is
//! of one holder, and is used again as late as can be, since connections outlive their owners.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::device::MacAddress;
use crate::domain::ids::{ServiceId, SessionId};
use crate::domain::session::{Local, Session};

/// The local sessions that are open.
#[derive(Debug, Default)]
pub(super) struct Locals {
    open: BTreeMap<SessionId, Held>,
    by_device: HashMap<(String, MacAddress), SessionId>,
    holders: HashMap<Uuid, Vec<SessionId>>,
    numbers: HashMap<u32, Uuid>,
    number_by_holder: HashMap<Uuid, u32>,
    next: u32,
    /// Keys under which other reporters speak of an open session, and its own key.
    aliases: HashMap<String, Box<str>>,
    meters: HashMap<Uuid, Metered>,
    /// The holder's newest session: whose the last octets are when none is open any more.
    leads: HashMap<Uuid, (SessionId, Box<str>)>,
    /// Lives of counters that were counted to their end, the last ones; a reading of one that comes again
    /// is no news. Once in their order, once to be found: each reading asks.
    done: VecDeque<Uuid>,
    is_done: HashSet<Uuid>,
    /// Devices whose session is being opened.
    opening: HashSet<(String, MacAddress)>,
}

/// An open local session.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) id: SessionId,
    pub(super) key: Box<str>,
    pub(super) local: Local,
    pub(super) service: Option<ServiceId>,
    pub(super) ipv4: Option<Ipv4Addr>,
    pub(super) opened_at: Timestamp,
}

/// How far the kernel's counters of a holder were counted.
#[derive(Debug, Clone)]
pub(super) struct Metered {
    pub(super) generation: Uuid,
    /// Octets down, up, packets down, up, by the generation's own numbers.
    pub(super) credited: [u64; 4],
    /// Whom the last octets belong to when no session of the holder is open any more.
    pub(super) lead: (SessionId, Box<str>),
    /// When something last passed.
    pub(super) moved_at: Timestamp,
    /// Whether memory is ahead of the store.
    pub(super) ahead: bool,
}

impl Locals {
    /// Takes an open session in; one that is not local only leaves its aliases.
    pub(super) fn insert(&mut self, key: &str, session: &Session) {
        for alias in &session.also {
            self.aliases.insert(alias.clone(), key.into());
        }
        let Some(local) = &session.local else { return };
        let held = Held {
            id: session.id,
            key: key.into(),
            local: local.clone(),
            service: session.service_id,
            ipv4: session.ipv4,
            opened_at: session.opened_at,
        };
        self.by_device.insert((local.interface.clone(), local.mac), session.id);
        self.numbers.insert(local.number, local.holder);
        self.number_by_holder.insert(local.holder, local.number);
        self.leads.insert(local.holder, (session.id, key.into()));
        let sessions = self.holders.entry(local.holder).or_default();
        if !sessions.contains(&session.id) {
            sessions.push(session.id);
        }
        self.open.insert(session.id, held);
    }

    /// Takes a session out.
    pub(super) fn remove(&mut self, session: &Session) {
        for alias in &session.also {
            self.aliases.remove(alias);
        }
        let Some(held) = self.open.remove(&session.id) else { return };
        let device = (held.local.interface, held.local.mac);
        if self.by_device.get(&device) == Some(&session.id) {
            self.by_device.remove(&device);
        }
        let holder = held.local.holder;
        if let Some(sessions) = self.holders.get_mut(&holder) {
            sessions.retain(|id| *id != session.id);
            if sessions.is_empty() {
                self.holders.remove(&holder);
                self.numbers.remove(&held.local.number);
                self.number_by_holder.remove(&holder);
            }
        }
    }

    /// The holder's number: the one in use, or the next that nobody has.
    pub(super) fn number_of(&mut self, holder: Uuid, seed: u32) -> Option<u32> {
        if let Some(number) = self.number_by_holder.get(&holder) {
            return Some(*number);
        }
        if self.next == 0 {
            // A restart begins somewhere else, so that the numbers of before are not met at once.
            self.next = seed % MOST_NUMBERS;
        }
        for _ in 0..=self.numbers.len() {
            self.next = self.next % MOST_NUMBERS + 1;
            if !self.numbers.contains_key(&self.next) {
                self.numbers.insert(self.next, holder);
                self.number_by_holder.insert(holder, self.next);
                return Some(self.next);
            }
        }
        None
    }

    /// Gives a number back that no session came of.
    pub(super) fn give_back(&mut self, number: u32) {
        let holder = self.numbers.get(&number).copied();
        let Some(holder) = holder.filter(|holder| !self.holders.contains_key(holder)) else { return };
        self.numbers.remove(&number);
        self.number_by_holder.remove(&holder);
    }

    pub(super) fn of_device(&self, interface: &str, mac: MacAddress) -> Option<&Held> {
        self.open.get(self.by_device.get(&(interface.to_owned(), mac))?)
    }

    pub(super) fn of_service(&self, service: ServiceId, mac: MacAddress) -> Option<&Held> {
        let ids = self.holders.get(&service.0)?;
        ids.iter().filter_map(|id| self.open.get(id)).find(|held| held.local.mac == mac)
    }

    pub(super) fn of_holder(&self, holder: Uuid) -> Vec<Held> {
        let ids = self.holders.get(&holder).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| self.open.get(id)).cloned().collect()
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Held> {
        self.open.get(&id)
    }

    pub(super) fn all(&self) -> Vec<Held> {
        self.open.values().cloned().collect()
    }

    pub(super) fn holders(&self) -> Vec<Uuid> {
        self.holders.keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn alias(&self, key: &str) -> Option<Box<str>> {
        self.aliases.get(key).cloned()
    }

    pub(super) fn add_alias(&mut self, alias: String, key: &str) {
        self.aliases.insert(alias, key.into());
    }

    pub(super) fn remove_alias(&mut self, alias: &str) {
        self.aliases.remove(alias);
    }

    pub(super) fn metered(&mut self, holder: Uuid) -> Option<&mut Metered> {
        self.meters.get_mut(&holder)
    }

    pub(super) fn set_metered(&mut self, holder: Uuid, metered: Metered) {
        let generation = metered.generation;
        if let Some(before) = self.meters.insert(holder, metered)
            && before.generation != generation
        {
            self.note_done(before.generation);
        }
    }

    /// Takes a device for somebody who opens its session; false while another does.
    pub(super) fn begin_opening(&mut self, interface: &str, mac: MacAddress) -> bool {
        self.opening.insert((interface.to_owned(), mac))
    }

    pub(super) fn end_opening(&mut self, interface: &str, mac: MacAddress) {
        self.opening.remove(&(interface.to_owned(), mac));
    }

    pub(super) fn is_done(&self, generation: Uuid) -> bool {
        self.is_done.contains(&generation)
    }

    fn note_done(&mut self, generation: Uuid) {
        if !self.is_done.insert(generation) {
            return;
        }
        if self.done.len() >= MOST_DONE
            && let Some(oldest) = self.done.pop_front()
        {
            self.is_done.remove(&oldest);
        }
        self.done.push_back(generation);
    }

    pub(super) fn lead_of(&self, holder: Uuid) -> Option<(SessionId, Box<str>)> {
        self.leads.get(&holder).cloned()
    }

    pub(super) fn forget_metered(&mut self, holder: Uuid, generation: Uuid) {
        self.note_done(generation);
        if self.holders.contains_key(&holder) {
            // Somebody came back meanwhile: theirs is another life of the counters.
            return;
        }
        self.leads.remove(&holder);
        self.meters.remove(&holder);
    }

    /// Whose counters this life of them was.
    pub(super) fn holder_of(&self, generation: Uuid) -> Option<Uuid> {
        let known = self.meters.iter().find(|(_, metered)| metered.generation == generation);
        known.map(|(holder, _)| *holder)
    }

    /// Moves what is remembered of the time by as much as the clock was set.
    pub(super) fn shift_moved(&mut self, by: SignedDuration) {
        for metered in self.meters.values_mut() {
            metered.moved_at = metered.moved_at.checked_add(by).unwrap_or(metered.moved_at);
        }
    }

    pub(super) fn moved_at(&self, holder: Uuid) -> Option<Timestamp> {
        self.meters.get(&holder).map(|metered| metered.moved_at)
    }
}

/// Lives of counters remembered after their end: as many as can be owed to a store that is away.
const MOST_DONE: usize = 4_096;
/// Marks have 24 bits for the number.
const MOST_NUMBERS: u32 = 0x00ff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_of_one_holder_and_is_used_again_late() {
        let mut locals = Locals::default();
        let holder = Uuid::from_u128;
        let first = locals.number_of(holder(1), 7).unwrap();
        let second = locals.number_of(holder(2), 7).unwrap();
        assert_ne!(first, second);
        locals.give_back(first);
        assert_ne!(locals.number_of(holder(3), 7).unwrap(), first, "others come before it");
    }

    #[test]
    fn numbers_stay_within_their_bits_when_they_wrap() {
        let mut locals = Locals::default();
        let seeds = [0, MOST_NUMBERS - 1, MOST_NUMBERS, u32::MAX];
        for seed in seeds {
            locals.next = 0;
            for n in 0..4u128 {
                let number = locals.number_of(Uuid::from_u128(u128::from(seed) * 10 + n + 1), seed).unwrap();
                assert!((1..=MOST_NUMBERS).contains(&number), "{seed} {number}");
            }
        }
    }
}
