//! What money buys, as facts: paid intervals of a service, and the place of its subscription in time.
//!
//! Plain functions: a record in, the changed record out. The one rule: periods of one run are counted from
//! their anchor, so that the 31st comes back after a short month, and what is bought while something is paid
//! begins where that ends.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::fault::BillingError;
use crate::domain::ids::SubscriberId;
use crate::domain::lock::{Lock, LockReason};
use crate::domain::period::period_start;
use crate::domain::plan::{BillingMode, Validity};
use crate::domain::service::{Interval, IntervalState, Phase, Service};
use crate::domain::subscription::Subscription;

/// A subscription for a service that has none yet.
#[must_use]
pub fn subscribe(service: &Service, now: Timestamp) -> Subscription {
    let trial = i64::from(service.terms.billing.trial_days);
    Subscription {
        service_id: service.id,
        subscriber_id: service.subscriber_id,
        mode: service.terms.billing_mode(),
        anchor: service.activated_at.unwrap_or(now),
        period: service.terms.period(),
        next_index: 0,
        auto_renew: true,
        trial_until: (trial > 0).then_some(now),
        pending: None,
        paused_at: None,
        paused_until: None,
        own_pauses: Vec::new(),
        carried: Vec::new(),
        began_with: None,
        discounts: Vec::new(),
        next_due_at: Some(now),
        last_refusal: None,
        created_at: now,
        updated_at: now,
    }
}

/// Where period `index` from an anchor begins: counted from the anchor itself, never from the one before.
///
/// # Errors
/// Beyond what time stamps can hold.
pub fn start(
    anchor: Timestamp,
    period: Validity,
    index: u32,
    zone: &TimeZone,
) -> Result<Timestamp, BillingError> {
    period_start(anchor, index, period, zone)
        .ok_or_else(|| BillingError::rule("the period ends beyond the calendar"))
}

/// Until when a service is paid, following what covers `now` to its end; `Ok(None)` is not at all, and
/// `Ok(Some(None))` has no end.
#[must_use]
pub fn paid_until(service: &Service, now: Timestamp) -> Option<Option<Timestamp>> {
    let counts = |one: &&Interval| one.state == IntervalState::Active;
    let mut reached = None;
    let mut at = now;
    loop {
        let next = service
            .intervals
            .iter()
            .filter(counts)
            .filter(|one| one.covers(at))
            .max_by_key(|one| one.until.unwrap_or(Timestamp::MAX));
        match next.map(|one| one.until) {
            None => return reached,
            Some(None) => return Some(None),
            Some(Some(until)) => {
                reached = Some(Some(until));
                at = until;
            }
        }
    }
}

/// Adds the next period to a prepaid service: from where what is paid ends, or from now.
///
/// # Errors
/// When what is paid has no end, or beyond the calendar.
pub fn buy_period(
    service: &mut Service,
    subscription: &mut Subscription,
    source: &str,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Interval, BillingError> {
    let from = match paid_until(service, now) {
        Some(None) => {
            return Err(BillingError::rule("the service is paid without an end; there is nothing to buy"));
        }
        Some(Some(until)) => until,
        None => now,
    };
    settle_mode(service, subscription);
    let period = service.terms.period();
    let follows = subscription.period == period
        && start(subscription.anchor, period, subscription.next_index, zone)? == from
        && subscription.next_index > 0;
    if !follows {
        subscription.anchor = from;
        subscription.period = period;
        subscription.next_index = 0;
    }
    let next = subscription.next_index.saturating_add(1);
    let until = start(subscription.anchor, period, next, zone)?;
    subscription.next_index = next;
    subscription.next_due_at = Some(renew_at(until));
    subscription.last_refusal = None;
    subscription.updated_at = now;
    let interval =
        Interval { from, until: Some(until), state: IntervalState::Active, source: source.to_owned() };
    service.intervals.push(interval.clone());
    forget_old(service, now);
    service.updated_at = now;
    Ok(interval)
}

/// Whether nothing was bought for a service yet, but by this source; a trial was not bought.
#[must_use]
pub fn is_first_purchase(service: &Service, but: Option<&str>) -> bool {
    let is_own = |one: &Interval| but.is_some_and(|but| one.source == but);
    service.intervals.iter().all(|one| is_own(one) || one.source == super::subscribing::TRIAL)
}

/// Drops what ended long ago: `why` and the usage of the current period need the last ones only.
fn forget_old(service: &mut Service, now: Timestamp) {
    let Some(surplus) = service.intervals.len().checked_sub(MOST_INTERVALS) else { return };
    let mut left = surplus;
    service.intervals.retain(|one| {
        let is_over = one.until.is_some_and(|until| until <= now) || one.state != IntervalState::Active;
        let drop = is_over && left > 0;
        left = left.saturating_sub(usize::from(drop));
        !drop
    });
}

/// Removes a lock; says whether there was one.
pub fn unlock(service: &mut Service, reason: LockReason, now: Timestamp) -> bool {
    let before = service.locks.len();
    service.locks.retain(|lock| lock.reason != reason);
    let changed = service.locks.len() != before;
    if changed {
        service.updated_at = now;
    }
    changed
}

/// Places a lock in the place of one for the same reason; says whether that changed anything.
pub fn lock(service: &mut Service, lock: Lock, now: Timestamp) -> bool {
    if service.locks.iter().any(|one| one.reason == lock.reason && one.mode == lock.mode) {
        return false;
    }
    service.locks.retain(|one| one.reason != lock.reason);
    service.locks.push(lock);
    service.updated_at = now;
    true
}

/// Whether a service may still be bought for by this subscriber.
///
/// # Errors
/// A sentence that says why not.
pub fn may_be_bought(service: &Service, subscriber: SubscriberId) -> Result<(), BillingError> {
    if service.subscriber_id != subscriber {
        return Err(BillingError::not_found("service", service.id));
    }
    if service.phase == Phase::Ended {
        return Err(BillingError::rule("the service has ended; choose a plan and make a new one"));
    }
    if service.awaits_approval() {
        return Err(BillingError::rule(
            "the service waits for the provider's approval; pay once it is approved",
        ));
    }
    Ok(())
}

/// Whether periods are bought before they begin. Where the terms do not say, whoever comes without anybody having
/// vouched for them pays first.
#[must_use]
pub fn is_prepaid(service: &Service) -> bool {
    decides_by_paying(service) || service.terms.billing_mode() == BillingMode::Prepaid
}

/// A service that was never active, under terms that do not say whether money comes first: paying says so.
fn decides_by_paying(service: &Service) -> bool {
    service.terms.billing.mode.is_none() && service.activated_at.is_none() && service.phase != Phase::Active
}

/// Money comes first, from now on: what its subscriber has bought decides what the terms left open.
pub fn settle_mode(service: &mut Service, subscription: &mut Subscription) {
    if decides_by_paying(service) {
        service.terms.billing.mode = Some(BillingMode::Prepaid);
        subscription.mode = BillingMode::Prepaid;
    }
}

/// When the period after one that ends at `end` is bought: a little before, so that nobody is cut for a moment.
#[must_use]
pub fn renew_at(end: Timestamp) -> Timestamp {
    end.saturating_sub(RENEW_AHEAD).unwrap_or(end)
}

/// How long before the end a period is renewed: several rounds of the job that does it.
const RENEW_AHEAD: SignedDuration = SignedDuration::from_secs(120);
/// Intervals kept on a service: two years of weeks.
const MOST_INTERVALS: usize = 104;
