//! What a service used, summed from its days.
//!
//! The one rule: days that cannot be read are an error, never nothing used.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Store;
use super::contract::{Page, Range, ReadError};
use super::tables::UsageDays;
use crate::domain::entitlement::{Usage, Used};
use crate::domain::ids::ServiceId;
use crate::domain::period::local_day;
use crate::domain::usage_terms::FairUseWindow;

/// What a service used of the paid period that began at `period`, and of the window of it that holds `now`.
/// Outside any period nothing is used of it.
///
/// # Errors
/// When the store cannot read.
pub async fn used(
    store: &Store,
    service: ServiceId,
    period: Option<Timestamp>,
    window: FairUseWindow,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Used, ReadError> {
    let Some(from) = period else { return Ok(Used::default()) };
    let first_day = local_day(from, zone);
    let window_from = window.first_day(local_day(now, zone)).unwrap_or(first_day);
    let range = Range::KeyPrefix(format!("{service}/"));
    let mut page = Page { after: None, limit: DAYS_A_PAGE, reverse: true };
    let mut used = Used::default();
    loop {
        let slice = store.scan::<UsageDays>(range.clone(), page.clone()).await?;
        for record in slice.records {
            if record.body.day < first_day {
                return Ok(used);
            }
            // A day on which one period ends and the next begins has a record for each.
            if record.body.period.map(Timestamp::as_millisecond) != Some(from.as_millisecond()) {
                continue;
            }
            add(&mut used.period, &record.counters);
            if record.body.day >= window_from {
                add(&mut used.window, &record.counters);
            }
        }
        let Some(next) = slice.next else { return Ok(used) };
        page.after = Some(next);
    }
}

fn add(usage: &mut Usage, counters: &[u64]) {
    let at = |position: usize| counters.get(position).copied().unwrap_or(0);
    usage.down_octets = usage.down_octets.saturating_add(at(0));
    usage.up_octets = usage.up_octets.saturating_add(at(1));
    usage.seconds = usage.seconds.saturating_add(at(2));
    usage.free_octets = usage.free_octets.saturating_add(at(3));
}

/// About a month, the usual period.
const DAYS_A_PAGE: usize = 32;
