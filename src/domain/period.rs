//! Periods: where the n-th one begins, and which one an instant is in.
//!
//! Every boundary is counted from the original anchor, never from the boundary before, so that the 31st comes
//! back after a short month. Minutes and hours are lengths of time; days, weeks, months and years are the
//! calendar of the site's zone, whose days have 23, 24 or 25 hours. The one rule: a period is half-open, and
//! ends where the next one begins.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, Timestamp};

use super::plan::{Validity, ValidityUnit};

/// A span of time `[from, until)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// First instant.
    pub from: Timestamp,
    /// First instant after.
    pub until: Timestamp,
}

/// What buying one more period comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension {
    /// Where periods are counted from, from now on.
    pub anchor: Timestamp,
    /// Which period of that anchor was bought; the next to buy is one more.
    pub index: u32,
    /// What was bought.
    pub period: Period,
}

impl Period {
    /// Whether the instant is in it.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// Where the period of that index begins, from 0, counted from `anchor`. `None` is beyond what time stamps hold.
#[must_use]
pub fn period_start(anchor: Timestamp, index: u32, length: Validity, zone: &TimeZone) -> Option<Timestamp> {
    if index == 0 {
        return Some(anchor);
    }
    let count = i64::from(length.count.max(1)).checked_mul(i64::from(index))?;
    if let Some(unit) = exact_secs(length.unit) {
        return anchor.checked_add(SignedDuration::from_secs(count.checked_mul(unit)?)).ok();
    }
    let span = match length.unit {
        ValidityUnit::Minutes | ValidityUnit::Hours => return None,
        ValidityUnit::Days => Span::new().try_days(count),
        ValidityUnit::Weeks => Span::new().try_weeks(count),
        ValidityUnit::Months => Span::new().try_months(count),
        ValidityUnit::Years => Span::new().try_years(count),
    }
    .ok()?;
    at_local(zone.to_datetime(anchor).checked_add(span).ok()?, zone)
}

/// The period of that index.
#[must_use]
pub fn period(anchor: Timestamp, index: u32, length: Validity, zone: &TimeZone) -> Option<Period> {
    let from = period_start(anchor, index, length, zone)?;
    let until = period_start(anchor, index.checked_add(1)?, length, zone)?;
    Some(Period { from, until })
}

/// Which period `at` is in: an instant that is a boundary belongs to the later one. `None` before the anchor.
#[must_use]
pub fn index_at(anchor: Timestamp, at: Timestamp, length: Validity, zone: &TimeZone) -> Option<u32> {
    if at < anchor {
        return None;
    }
    let mut index = about(anchor, at, length, zone)?;
    // The estimate is by the calendar alone and off by one at most, since it does not look at the time of day.
    while index > 0 && period_start(anchor, index, length, zone).is_none_or(|start| start > at) {
        index -= 1;
    }
    while period_start(anchor, index.checked_add(1)?, length, zone).is_some_and(|start| start <= at) {
        index += 1;
    }
    Some(index)
}

/// One more period: after the paid time where some is left, from now where none is.
///
/// Where the paid time ends on a boundary of the anchor, the next period of the same anchor follows (so months
/// keep the anchor's day); otherwise periods are counted anew from where this one begins.
#[must_use]
pub fn extend(
    anchor: Timestamp,
    paid_until: Option<Timestamp>,
    now: Timestamp,
    length: Validity,
    zone: &TimeZone,
) -> Option<Extension> {
    let Some(from) = paid_until.filter(|until| *until > now) else { return anew(now, length, zone) };
    let Some(index) = index_at(anchor, from, length, zone) else { return anew(from, length, zone) };
    let bought = period(anchor, index, length, zone)?;
    if bought.from == from {
        Some(Extension { anchor, index, period: bought })
    } else {
        anew(from, length, zone)
    }
}

fn anew(anchor: Timestamp, length: Validity, zone: &TimeZone) -> Option<Extension> {
    Some(Extension { anchor, index: 0, period: period(anchor, 0, length, zone)? })
}

/// The instant of a local time: one that a clock change skips is as much later, one that it repeats is the first.
#[must_use]
pub fn at_local(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    zone.to_ambiguous_timestamp(local).compatible().ok()
}

/// The first instant of a local day, which is not midnight where a clock change skips that.
#[must_use]
pub fn day_start(day: Date, zone: &TimeZone) -> Option<Timestamp> {
    at_local(day.at(0, 0, 0, 0), zone)
}

/// The local day of an instant.
#[must_use]
pub fn local_day(at: Timestamp, zone: &TimeZone) -> Date {
    zone.to_datetime(at).date()
}

/// Local days from one day to another; negative where it is earlier.
#[must_use]
pub fn days_between(from: Date, to: Date) -> i64 {
    from.until(to).map_or(0, |span| i64::from(span.get_days()))
}

fn about(anchor: Timestamp, at: Timestamp, length: Validity, zone: &TimeZone) -> Option<u32> {
    let count = i64::from(length.count.max(1));
    if let Some(unit) = exact_secs(length.unit) {
        return u32::try_from(at.duration_since(anchor).as_secs() / count.checked_mul(unit)?).ok();
    }
    let (from, to) = (local_day(anchor, zone), local_day(at, zone));
    let months = i64::from(to.year() - from.year()) * 12 + i64::from(to.month() - from.month());
    let whole = match length.unit {
        ValidityUnit::Minutes | ValidityUnit::Hours => return None,
        ValidityUnit::Days => days_between(from, to) / count,
        ValidityUnit::Weeks => days_between(from, to) / count.checked_mul(7)?,
        ValidityUnit::Months => months / count,
        ValidityUnit::Years => months / count.checked_mul(12)?,
    };
    u32::try_from(whole.max(0)).ok()
}

/// Seconds of a unit that is a length of time.
const fn exact_secs(unit: ValidityUnit) -> Option<i64> {
    match unit {
        ValidityUnit::Minutes => Some(60),
        ValidityUnit::Hours => Some(3_600),
        ValidityUnit::Days | ValidityUnit::Weeks | ValidityUnit::Months | ValidityUnit::Years => None,
    }
}

#[cfg(test)]
#[path = "period_tests.rs"]
mod tests;
