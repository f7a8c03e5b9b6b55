//! EAP conversations between two rounds, found by the State that the NAS carries back (RFC 2865 section 5.24).
//!
//! Each round has a State of its own: 16 random octets that nobody can guess, good once, for the NAS and the device
//! that it was given for. Whoever takes a conversation has it alone; a repetition of a round finds that it is spent
//! and is dropped. All workers share the table, since a NAS may ask from several ports.
//!
//! The one rule: bounded in number and in time, and a device has one at most at each NAS.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Gauge, gauge};

use super::eap::Turn;
use crate::domain::ids::NasId;

/// What names one round of a conversation.
pub(super) type State = [u8; 16];

/// For whom a conversation is held.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Holder {
    pub(super) nas: NasId,
    pub(super) station: Option<Box<str>>,
}

/// What a State leads to.
pub(super) enum Taken {
    /// The conversation, now the caller's alone.
    Turn(Box<Turn>),
    /// The round was answered already, or is being worked on.
    Spent,
    /// Nothing: never given, given to others, or too old.
    Unknown,
}

/// There are too many conversations to begin another.
#[derive(Debug)]
pub(super) struct Full;

/// The table.
pub(super) struct Conversations {
    inner: Mutex<Inner>,
    gauge: Gauge,
}

impl Default for Conversations {
    fn default() -> Self {
        Self { inner: Mutex::default(), gauge: gauge!("dotmac_radius_eap_conversations") }
    }
}

#[derive(Default)]
struct Inner {
    slots: HashMap<State, Slot>,
    /// The round that each device was asked last.
    by_device: HashMap<Holder, State>,
    /// States in the order in which they were given.
    order: VecDeque<(Instant, State)>,
    held: usize,
}

struct Slot {
    holder: Holder,
    /// `None` once it was taken.
    turn: Option<Box<Turn>>,
}

impl Conversations {
    /// Keeps a conversation until the next round, which `state` will name. A device's earlier one is forgotten.
    pub(super) fn keep(
        &self,
        state: State,
        holder: Holder,
        turn: Box<Turn>,
        now: Instant,
    ) -> Result<(), Full> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget_older(now);
        if holder.station.is_some()
            && let Some(before) = inner.by_device.insert(holder.clone(), state)
        {
            inner.spend(&before);
        }
        if inner.held >= MOST_HELD || inner.slots.len() >= MOST_STATES {
            inner.by_device.remove(&holder);
            return Err(Full);
        }
        inner.held += 1;
        inner.slots.insert(state, Slot { holder, turn: Some(turn) });
        inner.order.push_back((now, state));
        self.measure(&inner);
        Ok(())
    }

    /// Takes the conversation of a State, if it was given for this holder.
    pub(super) fn take(&self, state: &State, holder: &Holder, now: Instant) -> Taken {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.forget_older(now);
        match inner.slots.get(state) {
            Some(slot) if slot.holder == *holder => {}
            Some(_) | None => return Taken::Unknown,
        }
        let taken = inner.spend(state).map_or(Taken::Spent, Taken::Turn);
        self.measure(&inner);
        taken
    }

    /// Shows how many wait for their next round.
    fn measure(&self, inner: &Inner) {
        self.gauge.set(f64::from(u32::try_from(inner.held).unwrap_or(u32::MAX)));
    }
}

impl Inner {
    fn spend(&mut self, state: &State) -> Option<Box<Turn>> {
        let turn = self.slots.get_mut(state)?.turn.take()?;
        self.held = self.held.saturating_sub(1);
        Some(turn)
    }

    fn forget_older(&mut self, now: Instant) {
        while let Some((given, state)) = self.order.front().copied() {
            if now.saturating_duration_since(given) < LONGEST_PAUSE {
                return;
            }
            self.order.pop_front();
            self.spend(&state);
            let Some(slot) = self.slots.remove(&state) else { continue };
            if self.by_device.get(&slot.holder) == Some(&state) {
                self.by_device.remove(&slot.holder);
            }
        }
    }
}

/// A supplicant gives up on a round after some 30 seconds; a person who is asked for a password takes as long.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Conversations between two rounds. A street that comes back after a power cut has as many at once; with TLS each
/// takes some 12 KiB (measured).
const MOST_HELD: usize = 10_000;
/// States that are remembered, most of them spent, so that repetitions are known: rounds of 30 seconds.
const MOST_STATES: usize = 200_000;

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "an Instant can only be had from the clock")]
mod tests {
    use std::sync::Arc;

    use uuid::Uuid;

    use super::*;
    use crate::eap::{Conversation, Method, Offer, Random};

    fn turn() -> Box<Turn> {
        let offer = Arc::new(Offer::inside(&[Method::Gtc]));
        Turn::new(Conversation::open(offer, &[], &Random::new([1; 32])).0, Instant::now())
    }

    fn holder(station: Option<&str>) -> Holder {
        Holder { nas: NasId(Uuid::from_u128(1)), station: station.map(Into::into) }
    }

    fn state(number: u64) -> State {
        u128::from(number).to_be_bytes()
    }

    fn held(table: &Conversations) -> usize {
        table.inner.lock().unwrap().held
    }

    fn kind(taken: &Taken) -> &'static str {
        match taken {
            Taken::Turn(_) => "turn",
            Taken::Spent => "spent",
            Taken::Unknown => "unknown",
        }
    }

    #[test]
    fn a_state_gives_its_conversation_once_and_to_its_holder_only() {
        let (table, now) = (Conversations::default(), Instant::now());
        let (ada, other) = (holder(Some("a")), holder(Some("b")));
        table.keep(state(1), ada.clone(), turn(), now).unwrap();
        assert_eq!(kind(&table.take(&state(1), &other, now)), "unknown");
        assert_eq!(kind(&table.take(&state(2), &ada, now)), "unknown");
        assert_eq!(kind(&table.take(&state(1), &ada, now)), "turn");
        assert_eq!(kind(&table.take(&state(1), &ada, now)), "spent");
        assert_eq!(held(&table), 0);
    }

    #[test]
    fn a_device_has_one_conversation_and_devices_without_a_name_do_not_take_each_others() {
        let (table, now) = (Conversations::default(), Instant::now());
        let ada = holder(Some("a"));
        table.keep(state(1), ada.clone(), turn(), now).unwrap();
        table.keep(state(2), ada.clone(), turn(), now).unwrap();
        assert_eq!(held(&table), 1);
        assert_eq!(kind(&table.take(&state(1), &ada, now)), "spent");
        assert_eq!(kind(&table.take(&state(2), &ada, now)), "turn");
        table.keep(state(3), holder(None), turn(), now).unwrap();
        table.keep(state(4), holder(None), turn(), now).unwrap();
        assert_eq!(held(&table), 2);
    }

    #[test]
    fn what_nobody_goes_on_with_is_forgotten_after_the_pause() {
        let (table, now) = (Conversations::default(), Instant::now());
        let ada = holder(Some("a"));
        table.keep(state(1), ada.clone(), turn(), now).unwrap();
        let almost = now + LONGEST_PAUSE - Duration::from_millis(1);
        table.keep(state(2), holder(Some("b")), turn(), almost).unwrap();
        assert_eq!(kind(&table.take(&state(1), &ada, now + LONGEST_PAUSE)), "unknown");
        assert_eq!(held(&table), 1);
        let inner = table.inner.lock().unwrap();
        assert_eq!((inner.slots.len(), inner.by_device.len(), inner.order.len()), (1, 1, 1));
    }

    #[test]
    fn there_is_a_most_and_past_it_nothing_begins_while_what_is_under_way_goes_on() {
        let (table, now) = (Conversations::default(), Instant::now());
        for number in 0..10_000 {
            table.keep(state(number), holder(Some(&number.to_string())), turn(), now).unwrap();
        }
        assert!(table.keep(state(10_000), holder(Some("late")), turn(), now).is_err());
        assert_eq!(kind(&table.take(&state(7), &holder(Some("7")), now)), "turn");
        table.keep(state(10_001), holder(Some("7")), turn(), now).unwrap();
        assert!(table.keep(state(10_002), holder(Some("late")), turn(), now).is_err());
    }
}
