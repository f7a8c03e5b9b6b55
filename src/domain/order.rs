//! Orders: what a subscriber asked to buy, at a price that no longer moves.
//!
//! An order is made before anything is paid; its quote is fixed then and nothing a client says later
//! changes it. Money settles it; its purchase is carried out in the same commit as the money moves.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::coupon::OrderCoupon;
use super::ids::{InvoiceId, OrderId, PlanId, ServiceId, SubscriberId};
use super::money::Money;
use super::plan::PlanTerms;
use super::tax::Quote;
use super::text::Code;

/// An order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Identity.
    pub id: OrderId,
    /// Whose.
    pub subscriber_id: SubscriberId,
    /// What is bought.
    pub purchase: Purchase,
    /// The price, with tax.
    pub quote: Quote,
    /// How far it is.
    pub status: OrderStatus,
    /// Who made it, as an actor's id.
    pub made_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// After this it is not paid any more; money that still comes goes to the wallet.
    pub expires_at: Timestamp,
    /// When it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulfilled_at: Option<Timestamp>,
    /// The coupon that its price is by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coupon: Option<OrderCoupon>,
    /// The invoice that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invoice_id: Option<InvoiceId>,
}

/// What is bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Purchase {
    /// The next period of a service under its own terms; its first one too.
    Period {
        /// Which service.
        service_id: ServiceId,
    },
    /// More data or time for the running period.
    TopUp {
        /// Which service.
        service_id: ServiceId,
        /// Which of the plan's offers.
        offer: Code,
    },
    /// Another plan, from now on, with what is left of the old one taken off.
    ChangePlan {
        /// Which service.
        service_id: ServiceId,
        /// Which plan.
        plan_id: PlanId,
        /// Its code.
        plan_code: Code,
        /// Its terms when the order was made.
        terms: Box<PlanTerms>,
    },
    /// Money for the wallet.
    Wallet,
    /// Invoices, the oldest first.
    Invoices {
        /// Which.
        invoice_ids: Vec<InvoiceId>,
    },
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderStatus {
    /// Waits for money.
    Open,
    /// Money came, but less than the price; it is in the wallet.
    Underpaid,
    /// Paid and carried out.
    Fulfilled,
    /// Taken back before it was paid.
    Cancelled,
    /// Not paid in time.
    Expired,
}

impl Order {
    /// What has to be paid.
    #[must_use]
    pub const fn total(&self) -> Money {
        self.quote.total
    }

    /// Which service it is about.
    #[must_use]
    pub const fn service_id(&self) -> Option<ServiceId> {
        match &self.purchase {
            Purchase::Period { service_id }
            | Purchase::TopUp { service_id, .. }
            | Purchase::ChangePlan { service_id, .. } => Some(*service_id),
            Purchase::Wallet | Purchase::Invoices { .. } => None,
        }
    }
}

impl OrderStatus {
    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Underpaid => "underpaid",
            Self::Fulfilled => "fulfilled",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}
