//! What a service is using: its open sessions and the octets of its current period, in memory.
//!
//! A shadow of the store: sessions and usage days are the truth, and a restart rebuilds this. The
//! one rule: what a report raised is added once, and taken back when its commit fails.

use jiff::Timestamp;
use jiff::civil::Date;

use crate::domain::entitlement::{Usage, Used};
use crate::domain::ids::{NasId, SessionId};
use crate::domain::session::{Counters, Session};
use crate::domain::usage_terms::FairUseWindow;

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
    periods: Vec<PeriodUse>,
}

/// What was used in one paid period, and in the newest windows within it.
#[derive(Debug, Clone, Copy)]
struct PeriodUse {
    key: i64,
    all: Usage,
    windows: [(FairUseWindow, Option<Date>, Usage); 3],
}

impl PeriodUse {
    fn new(key: i64) -> Self {
        let windows = [FairUseWindow::Daily, FairUseWindow::Weekly, FairUseWindow::Monthly];
        Self { key, all: NOTHING, windows: windows.map(|window| (window, None, NOTHING)) }
    }

    fn add(&mut self, day: Date, more: Usage) {
        self.all = sum(self.all, more);
        for (window, held, usage) in &mut self.windows {
            let first = window.first_day(day);
            // Days may come in any order; those of an earlier window are not asked for any more.
            if first > *held {
                (*held, *usage) = (first, more);
            } else if first == *held {
                *usage = sum(*usage, more);
            }
        }
    }

    fn take_back(&mut self, day: Date, less: Usage) {
        self.all = difference(self.all, less);
        for (window, held, usage) in &mut self.windows {
            if window.first_day(day) == *held {
                *usage = difference(*usage, less);
            }
        }
    }

    fn used(&self, window: FairUseWindow, today: Date) -> Used {
        let first = window.first_day(today);
        let held = self.windows.iter().find(|(one, held, _)| *one == window && *held == first);
        let of_window = match window {
            FairUseWindow::Period => self.all,
            FairUseWindow::Daily | FairUseWindow::Weekly | FairUseWindow::Monthly => {
                held.map_or(NOTHING, |(_, _, usage)| *usage)
            }
        };
        Used { period: self.all, window: of_window }
    }
}

const NOTHING: Usage = Usage { down_octets: 0, up_octets: 0, seconds: 0, free_octets: 0 };

fn sum(one: Usage, other: Usage) -> Usage {
    Usage {
        down_octets: one.down_octets.saturating_add(other.down_octets),
        up_octets: one.up_octets.saturating_add(other.up_octets),
        seconds: one.seconds.saturating_add(other.seconds),
        free_octets: one.free_octets.saturating_add(other.free_octets),
    }
}

fn difference(one: Usage, other: Usage) -> Usage {
    Usage {
        down_octets: one.down_octets.saturating_sub(other.down_octets),
        up_octets: one.up_octets.saturating_sub(other.up_octets),
        seconds: one.seconds.saturating_sub(other.seconds),
        free_octets: one.free_octets.saturating_sub(other.free_octets),
    }
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

    /// A session has other terms from now on.
    pub(super) fn granted(&mut self, id: SessionId, terms: u32) {
        if let Some(session) = self.open.iter_mut().find(|one| one.id == id) {
            session.granted_terms = Some(terms);
        }
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

    /// What was used of a period, and of the window of it that holds `today`.
    pub(super) fn used(&self, period: Option<Timestamp>, window: FairUseWindow, today: Date) -> Used {
        let key = period_key(period);
        let held = self.periods.iter().find(|one| one.key == key);
        held.map_or_else(Used::default, |one| one.used(window, today))
    }

    pub(super) fn add(&mut self, period: Option<Timestamp>, day: Date, more: Usage) {
        let key = period_key(period);
        if let Some(held) = self.periods.iter_mut().find(|one| one.key == key) {
            held.add(day, more);
            return;
        }
        let mut new = PeriodUse::new(key);
        new.add(day, more);
        self.periods.push(new);
        self.periods.sort_unstable_by_key(|one| std::cmp::Reverse(one.key));
        self.periods.truncate(PERIODS_KEPT);
    }

    pub(super) fn take_back(&mut self, period: Option<Timestamp>, day: Date, less: Usage) {
        let key = period_key(period);
        if let Some(held) = self.periods.iter_mut().find(|one| one.key == key) {
            held.take_back(day, less);
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
        free_octets: 0,
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

    fn octets(down_octets: u64) -> Usage {
        Usage { down_octets, ..Usage::default() }
    }

    #[test]
    fn a_window_counts_from_its_first_day_and_the_period_from_its_own() {
        let day = |text: &str| text.parse::<Date>().unwrap();
        let mut meter = Meter::default();
        let period = Timestamp::from_second(1_700_000_000).ok();
        // Sunday, Monday and Tuesday of two months, in the order of no calendar.
        meter.add(period, day("2026-06-02"), octets(4));
        meter.add(period, day("2026-05-31"), octets(1));
        meter.add(period, day("2026-06-01"), octets(2));
        let used = |window, today| meter.used(period, window, day(today)).window.down_octets;
        assert_eq!(used(FairUseWindow::Daily, "2026-06-02"), 4);
        assert_eq!(used(FairUseWindow::Weekly, "2026-06-02"), 6);
        assert_eq!(used(FairUseWindow::Monthly, "2026-06-02"), 6);
        assert_eq!(used(FairUseWindow::Period, "2026-06-02"), 7);
        assert_eq!(used(FairUseWindow::Daily, "2026-06-03"), 0, "a new day begins with nothing");
        assert_eq!(meter.used(None, FairUseWindow::Daily, day("2026-06-02")), Used::default());
    }

    #[test]
    fn a_mac_address_is_one_device_in_any_spelling() {
        for spelling in ["02:00:00:AA:BB:CC", "02-00-00-aa-bb-cc", "0200.00aa.bbcc", "020000AABBCC"] {
            assert!(same_device("02:00:00:aa:bb:cc", spelling), "{spelling}");
        }
        assert!(!same_device("02:00:00:aa:bb:cc", "02:00:00:aa:bb:cd"));
    }
}
