//! What a service is using: its open sessions and the octets of its current period, in memory.
//!
//! A shadow of the store: sessions and usage days are the truth, and a restart rebuilds this. The
//! one rule: what a report raised is added once, and taken back when its commit fails.

use jiff::Timestamp;

use crate::domain::entitlement::Usage;
use crate::domain::ids::{NasId, SessionId};
use crate::domain::session::{Counters, Session};

/// An open session as its service sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSession {
    /// Which.
    pub id: SessionId,
    /// At which NAS.
    pub nas_id: NasId,
    /// Which device, if the NAS said.
    pub station: Option<Box<str>>,
    /// Since when.
    pub opened_at: Timestamp,
    /// Version of the terms under which we granted it, if we did.
    pub granted_terms: Option<u32>,
    /// Whether this box's own kernel enforces it.
    pub is_local: bool,
}

impl OpenSession {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            id: session.id,
            nas_id: session.nas_id,
            station: session.calling_station.as_deref().map(Into::into),
            opened_at: session.opened_at,
            granted_terms: session.granted_terms,
            is_local: session.local.is_some(),
        }
    }
}

/// One service's open sessions and recent usage.
#[derive(Debug, Default)]
pub(super) struct Meter {
    open: Vec<OpenSession>,
    periods: Vec<(i64, Usage)>,
}

impl Meter {
    pub(super) fn open(&mut self, session: OpenSession) {
        match self.open.iter_mut().find(|one| one.id == session.id) {
            Some(known) => *known = session,
            None => self.open.push(session),
        }
    }

    pub(super) fn close(&mut self, id: SessionId) {
        self.open.retain(|one| one.id != id);
    }

    pub(super) fn sessions(&self) -> &[OpenSession] {
        &self.open
    }

    /// Open sessions of other devices than `station`.
    pub(super) fn places_taken(&self, station: Option<&str>) -> usize {
        let is_own_ghost = |one: &&OpenSession| match (station, one.station.as_deref()) {
            (Some(asking), Some(holding)) => same_device(asking, holding),
            (None, _) | (_, None) => false,
        };
        self.open.iter().filter(|one| !is_own_ghost(one)).count()
    }

    pub(super) fn usage(&self, period: Option<Timestamp>) -> Usage {
        let key = period_key(period);
        self.periods.iter().find(|(one, _)| *one == key).map_or_else(Usage::default, |(_, usage)| *usage)
    }

    pub(super) fn add(&mut self, period: Option<Timestamp>, more: Usage) {
        let key = period_key(period);
        if let Some((_, usage)) = self.periods.iter_mut().find(|(one, _)| *one == key) {
            usage.down_octets = usage.down_octets.saturating_add(more.down_octets);
            usage.up_octets = usage.up_octets.saturating_add(more.up_octets);
            usage.seconds = usage.seconds.saturating_add(more.seconds);
            return;
        }
        self.periods.push((key, more));
        self.periods.sort_unstable_by_key(|(one, _)| std::cmp::Reverse(*one));
        self.periods.truncate(PERIODS_KEPT);
    }

    pub(super) fn take_back(&mut self, period: Option<Timestamp>, less: Usage) {
        let key = period_key(period);
        if let Some((_, usage)) = self.periods.iter_mut().find(|(one, _)| *one == key) {
            usage.down_octets = usage.down_octets.saturating_sub(less.down_octets);
            usage.up_octets = usage.up_octets.saturating_sub(less.up_octets);
            usage.seconds = usage.seconds.saturating_sub(less.seconds);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.periods.is_empty()
    }
}

/// By how much one set of absolute counters is above another.
pub(super) fn increase(before: Counters, after: Counters) -> Usage {
    Usage {
        down_octets: after.down_octets.saturating_sub(before.down_octets),
        up_octets: after.up_octets.saturating_sub(before.up_octets),
        seconds: after.seconds.saturating_sub(before.seconds),
    }
}

/// Whether two Calling-Station-Ids name one device, however each NAS spells a MAC address.
pub(super) fn same_device(one: &str, other: &str) -> bool {
    let significant = |text: &str| {
        let is_spacing = |byte: &u8| matches!(byte, b':' | b'-' | b'.');
        text.bytes()
            .filter(|byte| !is_spacing(byte))
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    one == other || significant(one) == significant(other)
}

fn period_key(period: Option<Timestamp>) -> i64 {
    period.map_or(0, |from| from.as_millisecond())
}

/// The current period and the one before: a late report may still belong to it.
const PERIODS_KEPT: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_address_is_one_device_in_any_spelling() {
        for spelling in ["02:00:00:AA:BB:CC", "02-00-00-aa-bb-cc", "0200.00aa.bbcc", "020000AABBCC"] {
            assert!(same_device("02:00:00:aa:bb:cc", spelling), "{spelling}");
        }
        assert!(!same_device("02:00:00:aa:bb:cc", "02:00:00:aa:bb:cd"));
    }
}
