//! Coupons: a code that takes something off a price, for some time and so many times.
//!
//! What a coupon says is here; how often it was taken is kept beside it, since it changes with each order. The one
//! rule: a coupon is asked at an instant, of a plan, and answers with the discounts or with a sentence.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::{CouponId, PlanId};
use super::money::Money;
use super::tax::Discount;
use super::text::{Code, Line};

/// A coupon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coupon {
    /// Identity.
    pub id: CouponId,
    /// What its holder types; unique without case.
    pub code: Code,
    /// What it takes off, when, and how often.
    #[serde(flatten)]
    pub terms: CouponTerms,
    /// Who made it, as an actor's id.
    pub made_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// What a coupon takes off, when, and how often. Changing it changes no order that was made before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouponTerms {
    /// What it is for, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Line>,
    /// Taken off first, parts per million of the price; 0 is nothing.
    #[serde(default)]
    pub percent_ppm: u32,
    /// Taken off what is left, at most that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Money>,
    /// First instant at which it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// First instant at which it is not taken any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<Timestamp>,
    /// How often it is taken in all; any number where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// How often by one customer; any number where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_each: Option<u32>,
    /// The plans whose periods and top-ups it is for; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan_ids: Vec<PlanId>,
    /// Whether it is taken at all.
    pub is_active: bool,
}

/// The coupon that an order has its price by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderCoupon {
    /// Which.
    pub id: CouponId,
    /// Its code when it was taken.
    pub code: Code,
}

/// Why a coupon cannot be as somebody wants it: the field and a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CouponFault {
    /// Which field.
    pub field: &'static str,
    /// What is wrong with it.
    pub message: &'static str,
}

impl Coupon {
    /// What it takes off something of this plan now.
    ///
    /// # Errors
    /// A sentence for the person who typed it.
    pub fn discounts(&self, plan: PlanId, now: Timestamp) -> Result<Vec<Discount>, &'static str> {
        let terms = &self.terms;
        if !terms.is_active {
            return Err(UNKNOWN);
        }
        if terms.valid_from.is_some_and(|from| now < from) {
            return Err("this coupon cannot be used yet");
        }
        if terms.valid_until.is_some_and(|until| now >= until) {
            return Err("this coupon has expired");
        }
        if !terms.plan_ids.is_empty() && !terms.plan_ids.contains(&plan) {
            return Err("this coupon is not for this plan");
        }
        let percent = (terms.percent_ppm > 0).then_some(Discount::Percent(terms.percent_ppm));
        Ok(percent.into_iter().chain(terms.fixed.map(Discount::Fixed)).collect())
    }
}

impl CouponTerms {
    /// Whether they can be, in every part.
    ///
    /// # Errors
    /// The first part that cannot.
    pub fn check(&self) -> Result<(), CouponFault> {
        let fault = |field, message| Err(CouponFault { field, message });
        if self.percent_ppm > 1_000_000 {
            return fault("percent", "must be at most 100");
        }
        if self.fixed.is_some_and(|fixed| fixed.minor <= 0) {
            return fault("fixed_amount", "must be above zero");
        }
        if self.percent_ppm == 0 && self.fixed.is_none() {
            return fault("percent", "a coupon takes off a percentage, an amount, or both");
        }
        if let (Some(from), Some(until)) = (self.valid_from, self.valid_until)
            && from >= until
        {
            return fault("valid_until", "must be after valid_from");
        }
        if self.most == Some(0) {
            return fault("max_uses", "must be at least 1");
        }
        if self.most_each == Some(0) {
            return fault("max_uses_per_customer", "must be at least 1");
        }
        if self.most_each.is_some_and(|most| most > MOST_EACH) {
            return fault("max_uses_per_customer", "must be at most 1000");
        }
        if self.plan_ids.len() > MOST_PLANS {
            return fault("plan_ids", "must name at most 100 plans");
        }
        Ok(())
    }
}

/// What somebody is told who types a code that is none, or none any more: the same, so that nothing is learned.
pub const UNKNOWN: &str = "there is no such coupon";
/// Uses by one customer that can be counted: one read of the store.
pub const MOST_EACH: u32 = 1_000;
/// Plans that one coupon names: more is a coupon for all.
pub const MOST_PLANS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::tax::{Item, TaxRounding, TaxTreatment, quote};

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn plan(number: u128) -> PlanId {
        PlanId(uuid::Uuid::from_u128(number))
    }

    fn ngn(minor: i64) -> Money {
        Money { minor, currency: Currency::parse("NGN").unwrap() }
    }

    fn coupon(percent_ppm: u32, fixed: Option<i64>) -> Coupon {
        Coupon {
            id: CouponId(uuid::Uuid::nil()),
            code: Code::parse("SPRING").unwrap(),
            terms: CouponTerms {
                name: None,
                percent_ppm,
                fixed: fixed.map(ngn),
                valid_from: Some(at("2026-05-01T00:00:00Z")),
                valid_until: Some(at("2026-06-01T00:00:00Z")),
                most: None,
                most_each: None,
                plan_ids: vec![plan(1)],
                is_active: true,
            },
            made_by: "system".into(),
            created_at: at("2026-04-01T00:00:00Z"),
            updated_at: at("2026-04-01T00:00:00Z"),
        }
    }

    #[test]
    fn rule_5_a_coupon_is_taken_from_its_first_instant_until_before_its_last_and_for_its_plans_only() {
        let one = coupon(150_000, None);
        for (plan_no, when, taken) in [
            (1, "2026-04-30T23:59:59Z", false),
            (1, "2026-05-01T00:00:00Z", true),
            (1, "2026-05-31T23:59:59Z", true),
            (1, "2026-06-01T00:00:00Z", false),
            (2, "2026-05-10T00:00:00Z", false),
        ] {
            assert_eq!(one.discounts(plan(plan_no), at(when)).is_ok(), taken, "{plan_no} {when}");
        }
        let off = Coupon { terms: CouponTerms { is_active: false, ..one.terms.clone() }, ..one };
        assert_eq!(off.discounts(plan(1), at("2026-05-10T00:00:00Z")), Err(UNKNOWN));
    }

    #[test]
    fn rule_5_percent_comes_first_then_the_amount_then_tax_and_never_below_zero() {
        let price = |one: &Coupon, minor: i64| {
            let item = Item {
                description: "Home".into(),
                amount: ngn(minor),
                treatment: TaxTreatment::Exclusive,
                tax_ppm: 75_000,
            };
            let off = one.discounts(plan(1), at("2026-05-10T00:00:00Z")).unwrap();
            let quote = quote(vec![item], &off, TaxRounding::Invoice).unwrap();
            (quote.net.minor, quote.tax.minor, quote.total.minor)
        };
        assert_eq!(price(&coupon(150_000, None), 9_999), (8_499, 637, 9_136));
        assert_eq!(price(&coupon(150_000, Some(499)), 9_999), (8_000, 600, 8_600));
        assert_eq!(price(&coupon(0, Some(5_000)), 3_000), (0, 0, 0));
    }

    #[test]
    fn a_coupon_that_takes_nothing_off_or_ends_before_it_begins_cannot_be() {
        let good = coupon(150_000, Some(100)).terms;
        assert_eq!(good.check(), Ok(()));
        let field = |terms: CouponTerms| terms.check().unwrap_err().field;
        assert_eq!(field(CouponTerms { percent_ppm: 0, fixed: None, ..good.clone() }), "percent");
        assert_eq!(field(CouponTerms { percent_ppm: 1_000_001, ..good.clone() }), "percent");
        assert_eq!(field(CouponTerms { fixed: Some(ngn(-1)), ..good.clone() }), "fixed_amount");
        assert_eq!(field(CouponTerms { valid_until: good.valid_from, ..good.clone() }), "valid_until");
        assert_eq!(field(CouponTerms { most: Some(0), ..good.clone() }), "max_uses");
        assert_eq!(field(CouponTerms { most_each: Some(0), ..good }), "max_uses_per_customer");
    }
}
