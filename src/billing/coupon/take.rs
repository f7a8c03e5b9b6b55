//! An order takes a coupon: counted and priced in one commit, one after the other.
//!
//! Whoever holds a coupon by an order that they never paid does not hold it against themselves: where a cap stands in
//! their way, their older order is cancelled and the new one has it. The one rule: what an order was promised is
//! changed only by who made it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use super::with_extra;
use crate::billing::book::{Leaf, MOST_TRIES, may_try_again};
use crate::billing::counter::OrderExtra;
use crate::billing::fault::BillingError;
use crate::billing::settle::Till;
use crate::billing::shop::{Wish, created};
use crate::domain::audit::Actor;
use crate::domain::coupon::{Coupon, OrderCoupon};
use crate::domain::ids::{CouponId, OrderId, PlanId, SubscriberId};
use crate::domain::money::MoneyError;
use crate::domain::order::{Order, OrderStatus, Purchase};
use crate::domain::tax::{Discount, Item, Quote, TaxRounding, quote};
use crate::store::contract::{Expected, MAX_PAGE, Page, Range, Record};
use crate::store::tables::Services;
use crate::store::tables::coupons::{CouponTallies, CouponUse, CouponUses};
use crate::store::tables::money::Orders;

impl Till {
    /// Makes an order at the price by a coupon.
    ///
    /// # Errors
    /// As `Shop::order`; a field `coupon` with its sentence where it cannot be taken.
    pub async fn order_with_coupon(
        &self,
        (subscriber, wish): (SubscriberId, &Wish),
        code: &str,
        actor: &Actor,
        extra: Option<OrderExtra<'_>>,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            let coupon = self.coupon_by(code).await?;
            let mut order = self.shop.made(subscriber, wish, actor, now).await?;
            self.take_coupon(&mut leaf, &coupon, &mut order, now).await?;
            leaf.change(|unit| with_extra(created(unit, &order)?, &order, extra))?;
            match leaf.commit(now).await {
                Ok(()) => return Ok(order),
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a coupon off the price of an order that waits for money. The coupon that it had is given back; the same one
    /// again changes nothing.
    ///
    /// # Errors
    /// `NotFound`; a rule; a field `coupon` with its sentence where it cannot be taken.
    pub async fn apply_coupon(
        &self,
        id: OrderId,
        subscriber: SubscriberId,
        code: &str,
        extra: Option<OrderExtra<'_>>,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.apply_once(id, subscriber, code, extra, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => return answer,
            }
        }
    }

    async fn apply_once(
        &self,
        id: OrderId,
        subscriber: SubscriberId,
        code: &str,
        extra: Option<OrderExtra<'_>>,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let mut leaf = self.book.open().await;
        let record = self.order_for(id, subscriber).await?;
        if !waits(&record.body, now) {
            return Err(BillingError::rule("the order does not wait for money any more; make a new one"));
        }
        let coupon = self.coupon_by(code).await?;
        let mut order = record.body;
        if order.coupon.as_ref().is_some_and(|held| held.id == coupon.id) {
            leaf.change(|unit| with_extra(unit, &order, extra))?;
        } else {
            self.take_coupon(&mut leaf, &coupon, &mut order, now).await?;
            let payload = json!({ "customer_id": subscriber, "total": order.total().decimal() });
            leaf.change(|unit| {
                let unit = unit.replace::<Orders>(&id, record.version, &order)?;
                with_extra(unit.event("order.discounted", id, payload), &order, extra)
            })?;
        }
        leaf.commit(now).await?;
        Ok(order)
    }

    /// Counts a coupon for an order and takes it off its price. The order itself is the caller's to write.
    pub(in crate::billing) async fn take_coupon(
        &self,
        leaf: &mut Leaf,
        coupon: &Coupon,
        order: &mut Order,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let plan = self.plan_of(order).await?;
        let off = coupon.discounts(plan, now).map_err(|why| BillingError::field("coupon", why))?;
        if let Some(held) = order.coupon.take() {
            self.give_back(leaf, &BTreeMap::from([(held.id, vec![order.id])])).await?;
        }
        self.count(leaf, coupon, order, now).await?;
        order.quote = discounted(&order.quote, &off, self.settings.rounding)?;
        order.coupon = Some(OrderCoupon { id: coupon.id, code: coupon.code.clone() });
        Ok(())
    }

    /// The plan that an order buys something of.
    async fn plan_of(&self, order: &Order) -> Result<PlanId, BillingError> {
        let service_id = match &order.purchase {
            Purchase::Period { service_id } | Purchase::TopUp { service_id, .. } => service_id,
            // Its price is a difference of two prices already; and bills were discounted when they were made.
            Purchase::ChangePlan { .. } | Purchase::Wallet | Purchase::Invoices { .. } => {
                return Err(BillingError::field("coupon", "coupons are for periods and top-ups"));
            }
        };
        let service = self.store.get::<Services>(service_id).await?;
        service
            .map(|record| record.body.plan_id)
            .ok_or_else(|| BillingError::not_found("service", service_id))
    }

    /// Adds one to what is taken of a coupon, where its caps allow it.
    async fn count(
        &self,
        leaf: &mut Leaf,
        coupon: &Coupon,
        order: &Order,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let tally = self.store.get::<CouponTallies>(&coupon.id).await?;
        let taken = tally.as_ref().map_or(0, |record| record.body);
        let own = self.own_uses(coupon.id, order.subscriber_id).await?;
        let by_them = u32::try_from(own.len()).unwrap_or(u32::MAX);
        let is_out = coupon.terms.most.is_some_and(|most| taken >= most);
        let is_out_for_them = coupon.terms.most_each.is_some_and(|most| by_them >= most);
        let one = CouponUse {
            coupon_id: coupon.id,
            subscriber_id: order.subscriber_id,
            order_id: order.id,
            at: now,
        };
        let key = CouponUse::key(coupon.id, order.id);
        if is_out || is_out_for_them {
            if !self.move_over(leaf, &own, order.id, now).await? {
                let why = match is_out_for_them {
                    true => "you have used this coupon as often as it can be",
                    false => "this coupon has been used as often as it can be",
                };
                return Err(BillingError::field("coupon", why));
            }
            return leaf.change(|unit| unit.create::<CouponUses>(&key, &one));
        }
        let (id, next) = (coupon.id, taken.saturating_add(1));
        let state = tally.map_or(Expected::Absent, |record| Expected::Version(record.version));
        leaf.change(|unit| {
            unit.expect::<CouponTallies>(&id, state)
                .put::<CouponTallies>(&id, &next)?
                .create::<CouponUses>(&key, &one)
        })
    }

    async fn own_uses(
        &self,
        coupon: CouponId,
        subscriber: SubscriberId,
    ) -> Result<Vec<Record<CouponUses>>, BillingError> {
        let range = Range::Equals("holder", CouponUse::holder(coupon, subscriber).into());
        Ok(self.store.scan::<CouponUses>(range, Page::first(MAX_PAGE)).await?.records)
    }

    /// Cancels an older order of the same customer that holds the coupon and was not paid; says whether there was one.
    /// Money that still comes for it is in their wallet.
    async fn move_over(
        &self,
        leaf: &mut Leaf,
        own: &[Record<CouponUses>],
        but: OrderId,
        now: Timestamp,
    ) -> Result<bool, BillingError> {
        for held in own.iter().filter(|held| held.body.order_id != but) {
            let Some(record) = self.store.get::<Orders>(&held.body.order_id).await? else { continue };
            if !matches!(record.body.status, OrderStatus::Open | OrderStatus::Underpaid) {
                continue;
            }
            let mut older = record.body;
            older.status = OrderStatus::Cancelled;
            let payload = json!({ "customer_id": older.subscriber_id, "at": now });
            leaf.change(|unit| {
                let unit = unit
                    .replace::<Orders>(&older.id, record.version, &older)?
                    .remove::<CouponUses>(&held.key, held.version);
                Ok(unit.event("order.cancelled", older.id, payload))
            })?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Gives back what these orders took.
    pub(super) async fn give_back(
        &self,
        leaf: &mut Leaf,
        held: &BTreeMap<CouponId, Vec<OrderId>>,
    ) -> Result<(), BillingError> {
        for (coupon, orders) in held {
            let mut back = 0_u32;
            for order in orders {
                let key = CouponUse::key(*coupon, *order);
                let Some(used) = self.store.get::<CouponUses>(&key).await? else { continue };
                back = back.saturating_add(1);
                leaf.change(|unit| Ok(unit.remove::<CouponUses>(&key, used.version)))?;
            }
            let Some(tally) = self.store.get::<CouponTallies>(coupon).await?.filter(|_| back > 0) else {
                continue;
            };
            let left = tally.body.saturating_sub(back);
            leaf.change(|unit| unit.replace::<CouponTallies>(coupon, tally.version, &left))?;
        }
        Ok(())
    }
}

/// Whether an order can still be paid.
fn waits(order: &Order, now: Timestamp) -> bool {
    matches!(order.status, OrderStatus::Open | OrderStatus::Underpaid) && now < order.expires_at
}

/// The same things at the prices that they were ordered at, less this.
fn discounted(old: &Quote, off: &[Discount], rounding: TaxRounding) -> Result<Quote, MoneyError> {
    let item = |line: &crate::domain::tax::QuoteLine| Item {
        description: line.description.clone(),
        amount: line.price,
        treatment: line.treatment,
        tax_ppm: line.tax_ppm,
    };
    quote(old.lines.iter().map(item).collect(), off, rounding)
}
