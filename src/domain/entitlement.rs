//! The heart: may this service be online now, and with what?
//!
//! [`entitle`] is a pure function over stored facts and the time. RADIUS replies, CoA and the
//! kernel's rules all carry out its answer, and nothing else decides access. The order of its
//! questions is the order of the reasons people are told: ended before locked before unpaid
//! before spent.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::lock::{self, Lock, LockMode, LockReason};
use super::plan::PlanTerms;
use super::rate::Rates;
use super::refusal::Refusal;
use super::service::{Interval, IntervalState, Phase, Service};
use super::subscriber::Standing;

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
    /// What was used since [`period_start`].
    pub usage: Usage,
}

/// What was used in the current period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Octets toward the subscriber.
    pub down_octets: u64,
    /// Octets from the subscriber.
    pub up_octets: u64,
    /// Seconds online, summed over sessions.
    pub seconds: u64,
}

/// A yes, with everything a NAS or the kernel needs to carry it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entitlement {
    /// Speeds.
    pub rates: Rates,
    /// Octets left, both directions together; `None` is unlimited, never zero.
    pub remaining_octets: Option<u64>,
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
    pub fn of(service: &'a Service, standing: Standing, usage: Usage) -> Self {
        Self {
            standing,
            phase: service.phase,
            terms: &service.terms,
            locks: &service.locks,
            intervals: &service.intervals,
            usage,
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
    let remaining_octets = octets_left(facts)?;
    Ok(Entitlement {
        rates: lock::speed_left_by(facts.locks)
            .map_or(facts.terms.rates, |slow| facts.terms.rates.slower(slow)),
        remaining_octets,
        ends_at,
        session_secs: shorter(facts.terms.session_limit_secs, seconds_until(ends_at, now)),
        idle_secs: facts.terms.idle_limit_secs,
        device_limit: facts.terms.device_limit,
        access,
    })
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

fn octets_left(facts: &Facts<'_>) -> Result<Option<u64>, Refusal> {
    let Some(allowance) = facts.terms.data_allowance else { return Ok(None) };
    let used = facts.usage.down_octets.saturating_add(facts.usage.up_octets);
    match allowance.checked_sub(used) {
        None | Some(0) => Err(Refusal::QuotaSpent),
        Some(left) => Ok(Some(left)),
    }
}

/// Whole seconds left, rounded down, but at least one: zero would mean "unlimited" to some NAS,
/// and an interval that covers `now` has time left.
fn seconds_until(end: Option<Timestamp>, now: Timestamp) -> Option<u32> {
    let left: SignedDuration = end?.duration_since(now);
    let secs = u32::try_from(left.as_secs()).unwrap_or(u32::MAX);
    Some(secs.clamp(1, MAX_SESSION_SECS))
}

fn shorter(a: Option<u32>, b: Option<u32>) -> Option<u32> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (one, None) | (None, one) => one,
    }
}

/// 2^31 − 1: several NAS hold Session-Timeout in a signed 32-bit number.
pub const MAX_SESSION_SECS: u32 = 2_147_483_647;

#[cfg(test)]
#[path = "entitlement_tests.rs"]
mod tests;
