//! A subscriber buys: an order at today's price, paid from the wallet or waiting for money.
//!
//! The one rule: what is paid is an order that was made before, so that a button pressed twice pays once.

use jiff::Timestamp;

use super::{MOST_DRAFTS, Reception};
use crate::billing::{BillingError, Wish};
use crate::domain::audit::Actor;
use crate::domain::ids::SubscriberId;
use crate::domain::order::Order;
use crate::store::contract::CommitError;

impl Reception {
    /// Makes an order, whose price holds from then on.
    ///
    /// # Errors
    /// A field or a rule in a sentence; faults of ours.
    pub async fn order(
        &self,
        owner: SubscriberId,
        wish: &Wish,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let mut drafts = 0;
        loop {
            drafts += 1;
            let draft = self.0.billing.shop.order(owner, wish, actor, now).await?;
            match self.commit(draft.unit).await {
                Ok(()) => return Ok(draft.value),
                Err(CommitError::Conflict { .. }) if drafts < MOST_DRAFTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}
