//! Coupons: made and changed by staff, taken by orders.
//!
//! | file | what |
//! |---|---|
//! | here | the coupons themselves, and what they took off a bought period |
//! | `take` | an order takes one, and gives it back |
//! | `expire` | orders that nobody paid end, and what they held is free again |
//!
//! An order takes its coupon when it gets its price, since a price that was told must hold when the money comes; an
//! order that ends unpaid gives it back. The one rule: how often a coupon is taken is counted within a leaf, one
//! after the other, so that the last one is taken once.

mod expire;
mod take;

use jiff::Timestamp;
use serde_json::json;

use super::contract::Contract;
use super::fault::BillingError;
use super::settle::Till;
use crate::domain::audit::Actor;
use crate::domain::coupon::{Coupon, CouponTerms, UNKNOWN};
use crate::domain::ids::CouponId;
use crate::domain::money::Money;
use crate::domain::order::{Order, Purchase};
use crate::domain::subscription::PeriodDiscount;
use crate::domain::text::Code;
use crate::store::contract::{CommitError, Page, Range, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::Plans;
use crate::store::tables::coupons::{CouponTallies, Coupons};

/// A coupon, and how often it is taken now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// The coupon.
    pub coupon: Coupon,
    /// Orders that took it and were paid, or wait for money.
    pub taken: u32,
}

impl Till {
    /// Coupons, newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn coupons(&self, window: Window) -> Result<Listed<Counted>, BillingError> {
        let walk = Walk::newest_first(Range::All);
        let listed = listing::list::<Coupons>(&self.store, walk, window, |_| true).await?;
        let mut counted = Vec::with_capacity(listed.items.len());
        for record in listed.items {
            counted.push(self.counted(record.body).await?);
        }
        Ok(Listed { items: counted, total: listed.total, complete: listed.complete })
    }

    /// One coupon by its id or its code.
    ///
    /// # Errors
    /// `NotFound`; when the store cannot read.
    pub async fn coupon(&self, reference: &str) -> Result<Counted, BillingError> {
        let record = self.coupon_record(reference).await?;
        self.counted(record.body).await
    }

    async fn counted(&self, coupon: Coupon) -> Result<Counted, BillingError> {
        let tally = self.store.get::<CouponTallies>(&coupon.id).await?;
        Ok(Counted { coupon, taken: tally.map_or(0, |record| record.body) })
    }

    async fn coupon_record(&self, reference: &str) -> Result<Record<Coupons>, BillingError> {
        let found = match reference.parse::<CouponId>() {
            Ok(id) => self.store.get::<Coupons>(&id).await?,
            Err(_) => by_code(&self.store, reference).await?,
        };
        found.ok_or_else(|| BillingError::not_found("coupon", reference))
    }

    /// The coupon that somebody typed.
    ///
    /// # Errors
    /// A field where there is none of that code; when the store cannot read.
    pub(super) async fn coupon_by(&self, code: &str) -> Result<Coupon, BillingError> {
        let code = code.trim();
        let found = if code.len() <= LONGEST_CODE { by_code(&self.store, code).await? } else { None };
        found.map(|record| record.body).ok_or_else(|| BillingError::field("coupon", UNKNOWN))
    }

    /// Makes a coupon.
    ///
    /// # Errors
    /// A field with its sentence; faults of ours.
    pub async fn make_coupon(
        &self,
        code: &Code,
        terms: &CouponTerms,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Coupon>, BillingError> {
        self.may_be(terms).await?;
        if by_code(&self.store, code.as_str()).await?.is_some() {
            return Err(BillingError::field("code", "another coupon has this code"));
        }
        let id = CouponId(self.entropy.uuid_v7(now)?);
        let coupon = Coupon {
            id,
            code: code.clone(),
            terms: terms.clone(),
            made_by: actor.id.clone(),
            created_at: now,
            updated_at: now,
        };
        let unit = Unit::natural().create::<Coupons>(&id, &coupon)?;
        Ok(Draft::new(unit.event("coupon.created", id, json!({ "code": coupon.code })), coupon))
    }

    /// Changes what a coupon says; orders that took it keep their price. Gives it as it was and as it is.
    ///
    /// # Errors
    /// `NotFound`; a field with its sentence; faults of ours.
    pub async fn change_coupon(
        &self,
        reference: &str,
        change: impl FnOnce(CouponTerms) -> CouponTerms + Send,
        now: Timestamp,
    ) -> Result<Draft<(Coupon, Coupon)>, BillingError> {
        let record = self.coupon_record(reference).await?;
        let before = record.body;
        let terms = change(before.terms.clone());
        self.may_be(&terms).await?;
        let after = Coupon { terms, updated_at: now, ..before.clone() };
        let unit = Unit::natural().replace::<Coupons>(&after.id, record.version, &after)?;
        let payload = json!({ "code": after.code, "is_active": after.terms.is_active });
        Ok(Draft::new(unit.event("coupon.changed", after.id, payload), (before, after)))
    }

    /// Removes a coupon that no order took.
    ///
    /// # Errors
    /// `NotFound`; a rule where one did; faults of ours.
    pub async fn remove_coupon(&self, reference: &str) -> Result<Draft<Coupon>, BillingError> {
        let record = self.coupon_record(reference).await?;
        let tally = self.store.get::<CouponTallies>(&record.body.id).await?;
        if tally.as_ref().is_some_and(|tally| tally.body > 0) {
            return Err(BillingError::rule(
                "orders have taken this coupon; set is_active to false instead, so that they can still be explained",
            ));
        }
        let id = record.body.id;
        let mut unit = Unit::natural().remove::<Coupons>(&id, record.version);
        unit = match tally {
            Some(tally) => unit.remove::<CouponTallies>(&id, tally.version),
            None => unit.expect::<CouponTallies>(&id, crate::store::contract::Expected::Absent),
        };
        let unit = unit.event("coupon.removed", id, json!({ "code": record.body.code }));
        Ok(Draft::new(unit, record.body))
    }

    /// Whether a coupon can say this here.
    async fn may_be(&self, terms: &CouponTerms) -> Result<(), BillingError> {
        terms.check().map_err(|fault| BillingError::field(fault.field, fault.message))?;
        let currency = self.settings.currency;
        if terms.fixed.is_some_and(|fixed| fixed.currency != currency) {
            return Err(BillingError::field("fixed_amount", format!("must be in {currency}")));
        }
        for id in &terms.plan_ids {
            if self.store.get::<Plans>(id).await?.is_none() {
                return Err(BillingError::field("plan_ids", format!("there is no plan {id}")));
            }
        }
        Ok(())
    }
}

async fn by_code(
    store: &crate::store::Store,
    code: &str,
) -> Result<Option<Record<Coupons>>, crate::store::contract::ReadError> {
    let range = Range::Equals("code", code.to_uppercase().into());
    Ok(store.scan::<Coupons>(range, Page::first(1)).await?.records.into_iter().next())
}

/// Notes what an order's coupon took off the plan's price of the period that it bought.
pub(super) fn note_discount(contract: &mut Contract, source: &str, order: &Order) {
    let off = match (&order.coupon, &order.purchase) {
        // The plan is the first line of a period.
        (Some(_), Purchase::Period { .. }) => order.quote.lines.first().map(|line| line.discount),
        (Some(_) | None, _) => None,
    };
    let Some(off) = off.filter(|off| off.minor > 0) else { return };
    let Contract { service, subscription, .. } = contract;
    // What belongs to periods that were forgotten is of no use any more.
    let is_known = |one: &PeriodDiscount| service.intervals.iter().any(|held| held.source == one.source);
    subscription.discounts.retain(is_known);
    subscription.discounts.push(PeriodDiscount { source: source.to_owned(), off });
}

/// What a coupon took off the period of this source.
pub(super) fn discount_of(contract: &Contract, source: &str, none: Money) -> Money {
    let of = |one: &&PeriodDiscount| one.source == source && one.off.currency == none.currency;
    contract.subscription.discounts.iter().find(of).map_or(none, |one| one.off)
}

/// Adds what a door keeps of an order to its commit.
pub(super) fn with_extra(
    unit: Unit,
    order: &Order,
    extra: Option<super::counter::OrderExtra<'_>>,
) -> Result<Unit, CommitError> {
    match extra {
        Some(extra) => extra(unit, order),
        None => Ok(unit),
    }
}

/// Longest code: what [`Code`] takes.
const LONGEST_CODE: usize = 64;
