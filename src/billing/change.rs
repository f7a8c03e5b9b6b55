//! Another plan for a running service.
//!
//! A dearer plan begins at once: what is left of the paid days is credited at the old price and charged at the new
//! one, by whole days of the site's calendar. A cheaper one waits for the next period, so that nobody is paid for
//! leaving. The one rule: the period and its anchor stay as they are.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::contract::Contract;
use super::fault::BillingError;
use super::grant;
use super::shop::{Shop, proration_of};
use crate::domain::ids::PlanId;
use crate::domain::invoice::LineSubject;
use crate::domain::money::Money;
use crate::domain::order::Purchase;
use crate::domain::period::Period;
use crate::domain::plan::{Plan, PlanTerms, ProrationPolicy, ValidityUnit};
use crate::domain::proration::{Share, prorate};
use crate::domain::service::{IntervalState, Service};
use crate::domain::tax::{Quote, quote};
use crate::domain::text::Code;

/// The plan that a service is to have.
#[derive(Debug, Clone)]
pub(super) struct NewPlan {
    pub(super) id: PlanId,
    pub(super) code: Code,
    pub(super) terms: PlanTerms,
}

/// Whether a change begins at once, or with the next period: a dearer plan at once, where the plan that is left
/// and the lengths of the periods allow it.
pub(super) fn is_at_once(service: &Service, new: &PlanTerms, now: Timestamp) -> Result<(), BillingError> {
    let old = &service.terms;
    if service.plan_code.as_str().is_empty() || old.monthly_price.currency != new.monthly_price.currency {
        return Err(BillingError::rule(
            "the plans have different currencies; end the service and make a new one",
        ));
    }
    if proration_of(old) == ProrationPolicy::NextCycle {
        return Err(BillingError::rule("this plan changes with the next period; ask for the change then"));
    }
    if old.billing_mode() != new.billing_mode() {
        return Err(BillingError::rule("a change between prepaid and post-paid begins with the next period"));
    }
    if old.period() != new.period() || is_short(old) {
        return Err(BillingError::rule("the plans' periods differ; the change begins with the next period"));
    }
    if new.monthly_price.minor < old.monthly_price.minor {
        return Err(BillingError::rule("a cheaper plan begins with the next period"));
    }
    if grant::paid_until(service, now).is_none() {
        return Err(BillingError::rule("nothing is paid now; buy the first period of the new plan instead"));
    }
    Ok(())
}

fn is_short(terms: &PlanTerms) -> bool {
    match terms.period().unit {
        ValidityUnit::Minutes | ValidityUnit::Hours => true,
        ValidityUnit::Days | ValidityUnit::Weeks | ValidityUnit::Months | ValidityUnit::Years => false,
    }
}

/// What the change costs for the days that are left.
pub(super) fn priced(
    shop: &Shop,
    contract: &Contract,
    plan: Plan,
    now: Timestamp,
) -> Result<(Purchase, Quote), BillingError> {
    let service = &contract.service;
    if service.plan_id == plan.id && service.terms.version >= plan.terms.version {
        return Err(BillingError::rule("the service has this plan already"));
    }
    if !grant::is_prepaid(service) {
        return Err(BillingError::rule("the change of a post-paid service needs no payment; ask for it"));
    }
    is_at_once(service, &plan.terms, now)?;
    let (credit, charge) = match proration_of(&service.terms) {
        ProrationPolicy::None => {
            let zero = Money::zero(plan.terms.monthly_price.currency);
            (zero, zero)
        }
        ProrationPolicy::Immediate | ProrationPolicy::NextCycle => {
            let (old, new) = (service.terms.monthly_price, plan.terms.monthly_price);
            prorated(contract, old, new, now, &shop.settings.zone)?
        }
    };
    let less = Money { minor: credit.minor.saturating_neg(), ..credit };
    let items = vec![
        shop.item(&service.terms, format!("Days left of {}", service.terms.name), less),
        shop.item(&plan.terms, format!("{} for these days", plan.terms.name), charge),
    ];
    let purchase = Purchase::ChangePlan {
        service_id: service.id,
        plan_id: plan.id,
        plan_code: plan.code,
        terms: Box::new(plan.terms),
    };
    Ok((purchase, quote(items, &[], shop.settings.rounding)?))
}

/// Credit at the old price and charge at the new one for the days left of all paid periods.
fn prorated(
    contract: &Contract,
    old: Money,
    new: Money,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<(Money, Money), BillingError> {
    let service = &contract.service;
    let zero = Money::zero(old.currency);
    let (mut credit, mut charge) = (zero, zero);
    let paid = service.intervals.iter().filter(|one| one.state == IntervalState::Active);
    // A trial was not paid: nothing of it is credited, and it goes on under the new plan.
    let paid = paid.filter(|one| one.source != super::subscribing::TRIAL);
    for interval in paid.filter(|one| one.until.is_some_and(|until| until > now)) {
        let Some(until) = interval.until else { continue };
        let (whole, left) = days(sold_from(service, interval.from, until, zone), until, now, zone);
        // What a coupon took off was not charged, so it is not given back.
        let off = super::coupon::discount_of(contract, &interval.source, zero);
        let share = Share { left, whole };
        let charged = share.of_amount(old.checked_sub(off)?)?;
        let lines = prorate(share, old, charged, new)?;
        credit = credit.checked_add(lines.credit)?;
        charge = charge.checked_add(lines.charge)?;
    }
    Ok((credit, charge))
}

/// Where a period would have begun that ends then: later than it did where it was paused meanwhile, since its price is
/// for the days that were sold.
fn sold_from(service: &Service, from: Timestamp, until: Timestamp, zone: &TimeZone) -> Timestamp {
    let Some(end) = service.terms.period().end(from, zone) else { return from };
    let paused = until.duration_since(end);
    // Months differ by up to three days without any pause.
    if paused <= MONTHS_DIFFER { from } else { from.checked_add(paused).unwrap_or(from) }
}

/// Days of a period, and those left of it from the day of `now` on, by the site's calendar. The time of day does
/// not matter.
pub(super) fn days(from: Timestamp, until: Timestamp, now: Timestamp, zone: &TimeZone) -> (i64, i64) {
    let share = Share::of(Period { from, until }, now, ValidityUnit::Days, zone);
    (share.whole, share.left)
}

/// Gives a service its new plan.
pub(super) fn give(
    contract: &mut Contract,
    new: NewPlan,
    now: Timestamp,
) -> Result<(LineSubject, serde_json::Value), BillingError> {
    let service = &mut contract.service;
    is_at_once(service, &new.terms, now)?;
    let from = std::mem::replace(&mut service.plan_code, new.code);
    service.plan_id = new.id;
    // A contract's terms have versions of their own, so that a NAS that was told the old ones is known by it.
    let version = service.terms.version.saturating_add(1).max(new.terms.version);
    service.terms = PlanTerms { version, ..new.terms };
    service.updated_at = now;
    contract.subscription.pending = None;
    // From here on the new plan is what was charged, in full.
    contract.subscription.discounts.clear();
    let payload = json!({
        "customer_id": service.subscriber_id, "from_plan": from, "to_plan": service.plan_code,
    });
    let until = grant::paid_until(service, now).flatten();
    Ok((LineSubject { service_id: Some(service.id), from: Some(now), until }, payload))
}

/// Between the longest and the shortest month.
const MONTHS_DIFFER: SignedDuration = SignedDuration::from_hours(4 * 24);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn rule_10_days_left_are_those_of_the_calendar_whatever_the_time_of_day() {
        let zone = TimeZone::get("Africa/Lagos").unwrap();
        let (from, until) = (at("2026-03-31T23:00:00Z"), at("2026-04-30T23:00:00Z"));
        for now in ["2026-04-10T23:00:00Z", "2026-04-11T12:00:00Z", "2026-04-11T22:59:59Z"] {
            assert_eq!(days(from, until, at(now), &zone), (30, 20), "{now}");
        }
        let ngn = |minor| Money { minor, currency: Currency::parse("NGN").unwrap() };
        let part = |price: i64, (whole, left): (i64, i64)| ngn(price).scaled(left, whole).unwrap().minor;
        assert_eq!((part(1_000_000, (30, 20)), part(1_500_000, (30, 20))), (666_667, 1_000_000));
        let march =
            days(at("2026-02-28T23:00:00Z"), at("2026-03-31T23:00:00Z"), at("2026-03-17T08:00:00Z"), &zone);
        assert_eq!(march, (31, 15));
        assert_eq!((part(1_000_000, march), part(1_500_000, march)), (483_871, 725_806));
    }
}
