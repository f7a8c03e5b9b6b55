//! A subscriber pays by a gateway: an order at today's price, an attempt, and the way back.
//!
//! The one rule: what the browser brings back says only which payment to ask about; what it came to is the gateway's
//! answer to us.

use jiff::Timestamp;

use super::Reception;
use crate::billing::attempts::Begun;
use crate::billing::{BillingError, Wish};
use crate::domain::audit::Actor;
use crate::domain::ids::{OrderId, SubscriberId};
use crate::domain::payment::Payment;

/// What is to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayFor {
    /// An order that was made before.
    Order(OrderId),
    /// Something that is ordered now.
    Wish(Wish),
}

impl Reception {
    /// Begins to pay: makes the order where there is none, and an attempt at the gateway.
    ///
    /// # Errors
    /// A field or a rule in a sentence; `Provider` where the gateway was not reached or refused; faults of ours.
    pub async fn pay(
        &self,
        owner: SubscriberId,
        what: &PayFor,
        (gateway, phone): (&str, Option<&str>),
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Begun, BillingError> {
        let order = match what {
            PayFor::Order(id) => *id,
            PayFor::Wish(wish) => {
                let draft = self.0.billing.shop.order(owner, wish, actor, now).await?;
                self.commit(draft.unit).await?;
                draft.value.id
            }
        };
        self.0.billing.attempts.begin(owner, order, gateway, phone, now).await
    }

    /// A payer's browser came back: how the payment stands.
    ///
    /// # Errors
    /// `NotFound`; when the store cannot read.
    pub async fn payment_returned(&self, reference: &str, now: Timestamp) -> Result<Payment, BillingError> {
        self.0.billing.attempts.returned(reference, now).await
    }
}
