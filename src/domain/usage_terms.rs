//! What of a plan depends on how much was used and on the hour: allowances, fair use, peak and free hours, top-ups.
//!
//! The one rule: nothing here ever raises a speed above the plan's; it lowers it, and what lowered it lifts by
//! itself when its window ends, since it is asked anew each time and never stored.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::money::Money;
use super::period::{at_local, day_start, local_day};
use super::plan::Validity;
use super::rate::Rates;
use super::text::{Code, Line};

/// What of the terms depends on use and hour. The default depends on neither.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UsageTerms {
    /// Seconds online a period, summed over sessions; `None` is unlimited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_allowance_secs: Option<u64>,
    /// What happens when the data allowance is used up.
    pub on_quota: OnQuota,
    /// Slower for who uses much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fair_use: Option<FairUse>,
    /// Peak, off-peak and free hours.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<HoursWindow>,
    /// What may be bought on top of a running period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top_ups: Vec<TopUpOffer>,
}

/// What happens when the data allowance is used up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnQuota {
    /// Nothing more until the next period or a top-up.
    #[default]
    Cut,
    /// Slowly on.
    Throttle(Rates),
}

/// Speeds that fall with what was used in a window of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FairUse {
    /// Over what time use is summed.
    pub window: FairUseWindow,
    /// From the least used to the most; the slowest reached counts.
    pub tiers: Vec<FairUseTier>,
}

/// Over what time use is summed; never longer than the paid period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FairUseWindow {
    /// A local day.
    Daily,
    /// From Monday to Sunday.
    Weekly,
    /// A month of the calendar.
    Monthly,
    /// The paid period.
    Period,
}

/// A speed from some use on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FairUseTier {
    /// Octets, both directions together, from which on it counts.
    pub above_octets: u64,
    /// Speeds; they only ever lower.
    pub rates: Rates,
}

/// Hours of the site's clock with terms of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoursWindow {
    /// Days on which it begins.
    pub days: Vec<Day>,
    /// First minute.
    pub from: Time,
    /// First minute after; one that is not after the start is on the next day.
    pub to: Time,
    /// Speeds in these hours; they only ever lower.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
    /// Whether octets count against allowance and fair use.
    #[serde(default = "yes")]
    pub counts: bool,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "they say what they are")]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

/// Something that may be bought on top of a running period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUpOffer {
    /// Unique within the plan.
    pub code: Code,
    /// Name on pages and bills.
    pub name: Line,
    /// Price, as the plan's tax treatment says.
    pub price: Money,
    /// Octets more.
    #[serde(default)]
    pub octets: u64,
    /// Seconds online more.
    #[serde(default)]
    pub seconds: u64,
    /// How long it may be used; `None` as long as the period. Never beyond it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
}

/// What was bought on top of a period. It is used after the plan's own allowance, of several the one first that
/// ends first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopUp {
    /// Octets more.
    pub octets: u64,
    /// Seconds online more.
    pub seconds: u64,
    /// First instant.
    pub from: Timestamp,
    /// First instant after; `None` as long as the period.
    #[serde(default)]
    pub until: Option<Timestamp>,
    /// Start of the paid period it belongs to.
    pub period: Timestamp,
    /// Octets and seconds beyond the plan's allowance that the period had used when it was bought: they are
    /// those of earlier top-ups.
    #[serde(default)]
    pub beyond: Amount,
    /// What it came from (`order:<id>` …), for `why`.
    pub source: String,
    /// Whether it still counts.
    #[serde(default)]
    pub is_void: bool,
}

/// Octets and seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Octets, both directions together.
    pub octets: u64,
    /// Seconds online.
    pub seconds: u64,
}

impl UsageTerms {
    /// Whether the terms depend on neither use nor hour.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    /// The slowest of the speeds of hours and fair use at `now`; `None` where nothing lowers.
    #[must_use]
    pub fn rates_at(&self, used_in_window: u64, now: Timestamp, zone: &TimeZone) -> Option<Rates> {
        let hours = self.hours.iter().filter(|one| one.contains(now, zone)).filter_map(|one| one.rates);
        let tiers = self.fair_use.iter().flat_map(|fair| fair.reached(used_in_window));
        hours.chain(tiers.map(|tier| tier.rates)).reduce(Rates::slower)
    }

    /// Whether octets are free at `now`.
    #[must_use]
    pub fn is_free_at(&self, now: Timestamp, zone: &TimeZone) -> bool {
        self.hours.iter().any(|one| !one.counts && one.contains(now, zone))
    }

    /// Octets left in the window until the next tier slows down.
    #[must_use]
    pub fn octets_to_next_tier(&self, used_in_window: u64) -> Option<u64> {
        let tiers = self.fair_use.iter().flat_map(|fair| &fair.tiers);
        tiers.filter_map(|tier| tier.above_octets.checked_sub(used_in_window)).filter(|left| *left > 0).min()
    }

    /// The next instant after `now` at which hours begin or end, or at which a tier that was reached lifts.
    #[must_use]
    pub fn changes_at(&self, used_in_window: u64, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let hours = self.hours.iter().filter_map(|one| one.next_border(now, zone));
        let lifts = self
            .fair_use
            .as_ref()
            .filter(|fair| fair.reached(used_in_window).next().is_some())
            .and_then(|fair| fair.window.end(now, zone));
        hours.chain(lifts).min()
    }

    /// The offer of that code.
    #[must_use]
    pub fn offer(&self, code: &str) -> Option<&TopUpOffer> {
        self.top_ups.iter().find(|one| one.code.as_str() == code)
    }
}

impl FairUse {
    fn reached(&self, used: u64) -> impl Iterator<Item = &FairUseTier> {
        self.tiers.iter().filter(move |tier| used >= tier.above_octets)
    }
}

impl FairUseWindow {
    /// The local day on which the window that holds `day` begins; `None` is the paid period's own.
    #[must_use]
    pub fn first_day(self, day: Date) -> Option<Date> {
        let back = match self {
            Self::Daily => 0,
            Self::Weekly => i64::from(day.weekday().to_monday_zero_offset()),
            Self::Monthly => i64::from(day.day()) - 1,
            Self::Period => return None,
        };
        day.checked_sub(back.days()).ok()
    }

    /// When the window that holds `now` ends; `None` where it ends with the paid period.
    #[must_use]
    pub fn end(self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let first = self.first_day(local_day(now, zone))?;
        let next = match self {
            Self::Daily => first.checked_add(1.days()),
            Self::Weekly => first.checked_add(7.days()),
            Self::Monthly => first.checked_add(1.months()),
            Self::Period => return None,
        };
        day_start(next.ok()?, zone)
    }
}

impl HoursWindow {
    /// Whether the instant is in it.
    #[must_use]
    pub fn contains(&self, at: Timestamp, zone: &TimeZone) -> bool {
        let local = zone.to_datetime(at);
        let (time, today) = (local.time(), Day::of(local.date()));
        if self.from < self.to {
            return self.days.contains(&today) && self.from <= time && time < self.to;
        }
        let since_yesterday = self.days.contains(&today.before()) && time < self.to;
        since_yesterday || (self.days.contains(&today) && time >= self.from)
    }

    /// The next instant after `now` at which it begins or ends.
    #[must_use]
    pub fn next_border(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let today = local_day(now, zone);
        let over_midnight = self.to <= self.from;
        // From yesterday, whose window may still run, to the same day of next week.
        let borders = (-1..=8_i64).filter_map(|days| today.checked_add(days.days()).ok()).flat_map(|day| {
            let is_on = self.days.contains(&Day::of(day));
            let last = if over_midnight { day.checked_add(1.days()).ok() } else { Some(day) };
            let begin = is_on.then(|| at_local(day.to_datetime(self.from), zone)).flatten();
            let end = last.filter(|_| is_on).and_then(|day| at_local(day.to_datetime(self.to), zone));
            begin.into_iter().chain(end)
        });
        borders.filter(|at| *at > now).min()
    }
}

impl Day {
    /// All of them, Monday first.
    pub const ALL: [Self; 7] = [Self::Mon, Self::Tue, Self::Wed, Self::Thu, Self::Fri, Self::Sat, Self::Sun];

    fn of(day: Date) -> Self {
        match day.weekday() {
            Weekday::Monday => Self::Mon,
            Weekday::Tuesday => Self::Tue,
            Weekday::Wednesday => Self::Wed,
            Weekday::Thursday => Self::Thu,
            Weekday::Friday => Self::Fri,
            Weekday::Saturday => Self::Sat,
            Weekday::Sunday => Self::Sun,
        }
    }

    const fn before(self) -> Self {
        match self {
            Self::Mon => Self::Sun,
            Self::Tue => Self::Mon,
            Self::Wed => Self::Tue,
            Self::Thu => Self::Wed,
            Self::Fri => Self::Thu,
            Self::Sat => Self::Fri,
            Self::Sun => Self::Sat,
        }
    }
}

impl TopUp {
    /// Whether it counts at `now` in the period that began at `period`.
    #[must_use]
    pub fn counts(&self, period: Option<Timestamp>, now: Timestamp) -> bool {
        self.is_of(period) && self.from <= now && self.until.is_none_or(|until| now < until)
    }

    fn is_of(&self, period: Option<Timestamp>) -> bool {
        !self.is_void && Some(self.period) == period
    }
}

/// What the top-ups still hold, `beyond` being what the period has used beyond the plan's allowance.
///
/// Between two purchases, what was used is taken from those bought before that had not ended at the first of the two, the one
/// that ends first before the others, so a top-up that ends unused takes nothing with it into the next one.
#[must_use]
pub fn left_of(top_ups: &[TopUp], beyond: Amount, period: Option<Timestamp>, now: Timestamp) -> Amount {
    let mut bought: Vec<&TopUp> = top_ups.iter().filter(|one| one.is_of(period) && one.from <= now).collect();
    bought.sort_by_key(|one| (one.from, one.until.unwrap_or(Timestamp::MAX)));
    let take = |amount: fn(&TopUp) -> u64, before: fn(&TopUp) -> u64, beyond: u64| {
        let mut left: Vec<u64> = bought.iter().map(|one| amount(one)).collect();
        for (place, one) in bought.iter().enumerate() {
            let until = bought.get(place.saturating_add(1)).map_or(beyond, |next| before(next).min(beyond));
            let mut used = until.saturating_sub(before(one));
            let mut order: Vec<usize> = (0..=place).collect();
            order.sort_by_key(|at| bought.get(*at).and_then(|one| one.until).unwrap_or(Timestamp::MAX));
            for at in order {
                let alive = bought.get(at).is_some_and(|held| held.until.is_none_or(|end| end > one.from));
                if let (true, Some(held)) = (alive, left.get_mut(at)) {
                    let part = used.min(*held);
                    *held = held.saturating_sub(part);
                    used = used.saturating_sub(part);
                }
            }
        }
        let still = bought.iter().zip(left).filter(|(one, _)| one.counts(period, now));
        still.fold(0, |sum, (_, left)| u64::saturating_add(sum, left))
    };
    Amount {
        octets: take(|one| one.octets, |one| one.beyond.octets, beyond.octets),
        seconds: take(|one| one.seconds, |one| one.beyond.seconds, beyond.seconds),
    }
}

const fn yes() -> bool {
    true
}

/// Tiers, hours and offers of a plan: more than anybody reads, and terms are copied into each service.
pub const MOST_OF_A_KIND: usize = 24;

#[cfg(test)]
#[path = "usage_terms_tests.rs"]
mod tests;
