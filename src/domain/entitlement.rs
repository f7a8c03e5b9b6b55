//! The heart: may this service be online now, and with what?
//!
//! [`entitle`] is a pure function over stored facts and the time. RADIUS replies, CoA and the
//! kernel's rules all carry out its answer, and nothing else decides access. The order of its
//! questions is the order of the reasons people are told: ended before locked before unpaid
//! before spent.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::lock::{self, Lock, LockMode, LockReason};
use super::plan::PlanTerms;
use super::rate::Rates;
use super::refusal::Refusal;
use super::service::{Interval, IntervalState, Phase, Service};
use super::subscriber::Standing;
use super::usage_terms::{self, Amount, OnQuota, TopUp};

/// What is known when the question is asked.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Standing of the subscriber's account.
    pub standing: Standing,
    /// How far the contract has come.
    pub phase: Phase,
    /// The contract's terms.
    pub terms: &'a PlanTerms,
    /// What stands against the service.
    pub locks: &'a [Lock],
    /// When access is paid for.
    pub intervals: &'a [Interval],
    /// What was bought on top of a period.
    pub top_ups: &'a [TopUp],
    /// What was used.
    pub used: Used,
    /// Whose calendar and clock the terms mean.
    pub zone: &'a TimeZone,
}

/// What was used, as far as the terms ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Since [`period_start`].
    pub period: Usage,
    /// In the fair-use window of the terms that holds now, within the period.
    pub window: Usage,
}

/// What was used in some time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Octets toward the subscriber.
    pub down_octets: u64,
    /// Octets from the subscriber.
    pub up_octets: u64,
    /// Seconds online, summed over sessions.
    pub seconds: u64,
    /// Octets of both directions that count against nothing, since they passed in free hours.
    #[serde(default)]
    pub free_octets: u64,
}

/// A yes, with everything a NAS or the kernel needs to carry it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entitlement {
    /// Speeds.
    pub rates: Rates,
    /// Octets left, both directions together, top-ups included; `None` is unlimited, never zero.
    pub remaining_octets: Option<u64>,
    /// Seconds online left, summed over sessions, top-ups included; `None` is unlimited, never zero.
    pub remaining_secs: Option<u64>,
    /// Octets until fair use slows down; `None` where it will not.
    pub octets_to_slower: Option<u64>,
    /// Whether octets count at this hour.
    pub octets_count: bool,
    /// The next instant at which the answer may change by time alone.
    pub changes_at: Option<Timestamp>,
    /// When access ends if nothing changes.
    pub ends_at: Option<Timestamp>,
    /// Seconds this session may last: the shorter of the plan's limit and the paid time left;
    /// `None` is unlimited, never zero.
    pub session_secs: Option<u32>,
    /// Seconds without traffic after which the session ends.
    pub idle_secs: Option<u32>,
    /// Sessions at a time.
    pub device_limit: u32,
    /// Whether all of the network or only the way to pay is reachable.
    pub access: Access,
}

/// How much of the network is reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// All of it.
    Full,
    /// The portal and the way to pay only. What cannot be captive must refuse instead.
    Captive {
        /// The lock that decides.
        reason: LockReason,
    },
}

impl<'a> Facts<'a> {
    /// The facts of a stored service.
    #[must_use]
    pub fn of(service: &'a Service, standing: Standing, used: Used, zone: &'a TimeZone) -> Self {
        Self {
            standing,
            phase: service.phase,
            terms: &service.terms,
            locks: &service.locks,
            intervals: &service.intervals,
            top_ups: &service.extras.top_ups,
            used,
            zone,
        }
    }
}

/// Answers whether, and with what, a service may be online at `now`.
///
/// # Errors
/// The refusal that a person should be told first.
pub fn entitle(facts: &Facts<'_>, now: Timestamp) -> Result<Entitlement, Refusal> {
    in_force(facts)?;
    let access = access_left_by(facts.locks)?;
    let ends_at = paid_until(facts.intervals, now)?;
    let octets_count = !facts.terms.usage.is_free_at(now, facts.zone);
    let beyond = usage_terms::left_of(facts.top_ups, beyond(facts), period_start(facts.intervals, now), now);
    let octets = octets_left(facts, beyond.octets, octets_count)?;
    let remaining_secs = seconds_left(facts, beyond.seconds)?;
    let limits = [
        facts.terms.session_limit_secs,
        seconds_until(ends_at, now),
        remaining_secs.map(|secs| u32::try_from(secs).unwrap_or(u32::MAX).min(MAX_SESSION_SECS)),
    ];
    let window = facts.used.window.counted();
    Ok(Entitlement {
        rates: rates(facts, octets.slowed, now),
        remaining_octets: octets.left,
        remaining_secs,
        octets_to_slower: facts.terms.usage.octets_to_next_tier(window),
        octets_count,
        changes_at: changes_at(facts, ends_at, now),
        ends_at,
        session_secs: limits.into_iter().flatten().min(),
        idle_secs: facts.terms.idle_limit_secs,
        device_limit: facts.terms.device_limit,
        access,
    })
}

impl Usage {
    /// Octets that count, both directions together.
    #[must_use]
    pub const fn counted(&self) -> u64 {
        self.down_octets.saturating_add(self.up_octets).saturating_sub(self.free_octets)
    }
}

impl Entitlement {
    /// The same for a NAS that cannot be told when something changes: its session ends then, and the next one
    /// begins under the new answer. In free hours it counts no octets against a limit.
    #[must_use]
    pub fn until_it_changes(&self, now: Timestamp) -> Self {
        let change = seconds_until(self.changes_at, now);
        let session_secs = [self.session_secs, change].into_iter().flatten().min();
        Self { session_secs, remaining_octets: self.remaining_octets.filter(|_| self.octets_count), ..*self }
    }

    /// Whether only the portal and the way to pay are reachable.
    #[must_use]
    pub const fn is_captive(&self) -> bool {
        match self.access {
            Access::Captive { .. } => true,
            Access::Full => false,
        }
    }

    /// Octets that may pass until the answer changes by them; `None` where they change nothing now.
    #[must_use]
    pub fn octets_to_change(&self) -> Option<u64> {
        if !self.octets_count {
            return None;
        }
        [self.remaining_octets, self.octets_to_slower].into_iter().flatten().min()
    }
}

/// Where the current period's usage counts from: the start of the interval that covers `now`.
/// Usage before it belongs to an earlier payment.
#[must_use]
pub fn period_start(intervals: &[Interval], now: Timestamp) -> Option<Timestamp> {
    intervals.iter().filter(|interval| interval.covers(now)).map(|interval| interval.from).min()
}

fn in_force(facts: &Facts<'_>) -> Result<(), Refusal> {
    match facts.standing {
        Standing::Open => {}
        Standing::Closed => return Err(Refusal::SubscriberEnded),
    }
    match facts.phase {
        Phase::Active => Ok(()),
        Phase::Pending | Phase::Provisioning => Err(Refusal::ServicePending),
        Phase::Ended => Err(Refusal::ServiceEnded),
    }
}

fn access_left_by(locks: &[Lock]) -> Result<Access, Refusal> {
    let Some(lock) = lock::strictest(locks) else { return Ok(Access::Full) };
    match lock.mode {
        LockMode::Throttle => Ok(Access::Full),
        LockMode::Captive => Ok(Access::Captive { reason: lock.reason }),
        LockMode::HardReject => Err(Refusal::Locked { reason: lock.reason }),
    }
}

/// When the paid time that covers `now` ends, following intervals that touch or overlap.
fn paid_until(intervals: &[Interval], now: Timestamp) -> Result<Option<Timestamp>, Refusal> {
    if !intervals.iter().any(|interval| interval.covers(now)) {
        return Err(no_longer_paid(intervals, now));
    }
    let mut reached = now;
    // Each round either ends or moves past at least one interval, so rounds are bounded by their number.
    for _ in intervals {
        let next =
            intervals.iter().filter(|i| i.covers(reached)).max_by_key(|i| i.until.unwrap_or(Timestamp::MAX));
        match next.map(|interval| interval.until) {
            None => break,
            Some(None) => return Ok(None),
            Some(Some(until)) => reached = until,
        }
    }
    Ok(Some(reached))
}

fn no_longer_paid(intervals: &[Interval], now: Timestamp) -> Refusal {
    intervals
        .iter()
        .filter(|interval| interval.state == IntervalState::Active)
        .filter_map(|interval| interval.until)
        .filter(|until| *until <= now)
        .max()
        .map_or(Refusal::NothingPaid, |at| Refusal::Expired { at })
}

/// What the period used beyond the plan's own allowances: it is taken from top-ups.
fn beyond(facts: &Facts<'_>) -> Amount {
    let over = |used: u64, allowance: Option<u64>| allowance.map_or(0, |all| used.saturating_sub(all));
    Amount {
        octets: over(facts.used.period.counted(), facts.terms.data_allowance),
        seconds: over(facts.used.period.seconds, facts.terms.usage.time_allowance_secs),
    }
}

/// Octets left, and the speed that is left where there are none.
struct Octets {
    left: Option<u64>,
    slowed: Option<Rates>,
}

fn octets_left(facts: &Facts<'_>, top_ups: u64, count: bool) -> Result<Octets, Refusal> {
    let Some(allowance) = facts.terms.data_allowance else { return Ok(Octets { left: None, slowed: None }) };
    let left = allowance.saturating_sub(facts.used.period.counted()).saturating_add(top_ups);
    match (left, facts.terms.usage.on_quota) {
        // Free hours ask nobody for a quota.
        (0, OnQuota::Cut | OnQuota::Throttle(_)) if !count => Ok(Octets { left: None, slowed: None }),
        (0, OnQuota::Cut) => Err(Refusal::QuotaSpent),
        (0, OnQuota::Throttle(rates)) => Ok(Octets { left: None, slowed: Some(rates) }),
        (left, OnQuota::Cut | OnQuota::Throttle(_)) => Ok(Octets { left: Some(left), slowed: None }),
    }
}

fn seconds_left(facts: &Facts<'_>, top_ups: u64) -> Result<Option<u64>, Refusal> {
    let Some(allowance) = facts.terms.usage.time_allowance_secs else { return Ok(None) };
    let left = allowance.saturating_sub(facts.used.period.seconds).saturating_add(top_ups);
    if left == 0 { Err(Refusal::TimeSpent) } else { Ok(Some(left)) }
}

/// The slowest of all that slows down, and never faster than the plan.
fn rates(facts: &Facts<'_>, quota: Option<Rates>, now: Timestamp) -> Rates {
    let usage = facts.terms.usage.rates_at(facts.used.window.counted(), now, facts.zone);
    let slower = [lock::speed_left_by(facts.locks), usage, quota];
    slower.into_iter().flatten().fold(facts.terms.rates, Rates::slower)
}

/// The next of: the paid end, the next period (whose use counts from nothing), an hour of the plan, the end of a
/// window that slows down, the end of a top-up.
fn changes_at(facts: &Facts<'_>, ends_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    let period = period_start(facts.intervals, now);
    let covering = facts.intervals.iter().filter(|one| one.covers(now) && facts.terms.is_metered());
    let renews = covering.filter_map(|one| one.until);
    let hours = facts.terms.usage.changes_at(facts.used.window.counted(), now, facts.zone);
    let top_ups = facts.top_ups.iter().filter(|one| one.counts(period, now)).filter_map(|one| one.until);
    renews.chain(ends_at).chain(hours).chain(top_ups).filter(|at| *at > now).min()
}

/// Whole seconds left, rounded down, but at least one: zero would mean "unlimited" to some NAS,
/// and an interval that covers `now` has time left.
fn seconds_until(end: Option<Timestamp>, now: Timestamp) -> Option<u32> {
    let left: SignedDuration = end?.duration_since(now);
    let secs = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
    Some(secs.clamp(1, MAX_SESSION_SECS))
}

/// 2^31 − 1: several NAS hold Session-Timeout in a signed 32-bit number.
pub const MAX_SESSION_SECS: u32 = 2_147_483_647;

#[cfg(test)]
#[path = "entitlement_tests.rs"]
mod tests;
