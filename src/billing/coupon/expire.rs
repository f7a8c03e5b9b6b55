//! Orders that nobody paid in time end, and what they held of coupons is free again.
//!
//! Safe to run twice and to kill: each batch is one commit. The one rule: money that still comes is never lost; it goes
//! into the payer's wallet.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::json;

use crate::billing::book::{MOST_TRIES, may_try_again};
use crate::billing::fault::BillingError;
use crate::billing::settle::Till;
use crate::domain::ids::{CouponId, OrderId};
use crate::domain::order::{Order, OrderStatus};
use crate::store::contract::{IndexValue, Page, Range};
use crate::store::tables::money::Orders;

impl Till {
    /// Ends the orders whose price holds no longer; gives how many.
    ///
    /// # Errors
    /// When the store cannot read or write. What was committed before stands.
    pub async fn end_orders(&self, now: Timestamp) -> Result<u64, BillingError> {
        let (mut ended, mut tries) = (0_u64, 0);
        loop {
            match self.end_some(now).await {
                Ok(0) => return Ok(ended),
                Ok(more) => {
                    ended = ended.saturating_add(more);
                    tries = 0;
                }
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error),
            }
        }
    }

    async fn end_some(&self, now: Timestamp) -> Result<u64, BillingError> {
        let (from, to) = (IndexValue::Integer(i64::MIN), IndexValue::Integer(now.as_millisecond()));
        let range = Range::Between("open_until", from, to);
        let mut leaf = self.book.open().await;
        let over = self.store.scan::<Orders>(range, Page::first(TOGETHER)).await?.records;
        let mut held: BTreeMap<CouponId, Vec<OrderId>> = BTreeMap::new();
        let mut ended = 0_u64;
        for record in over {
            let order = Order { status: OrderStatus::Expired, ..record.body };
            if let Some(coupon) = &order.coupon {
                held.entry(coupon.id).or_default().push(order.id);
            }
            let payload = json!({ "customer_id": order.subscriber_id });
            leaf.change(|unit| {
                let unit = unit.replace::<Orders>(&order.id, record.version, &order)?;
                Ok(unit.event("order.expired", order.id, payload))
            })?;
            ended = ended.saturating_add(1);
        }
        self.give_back(&mut leaf, &held).await?;
        leaf.commit(now).await?;
        Ok(ended)
    }
}

/// Orders that end in one commit: no payment waits longer for it than for a handful of others.
const TOGETHER: usize = 100;
