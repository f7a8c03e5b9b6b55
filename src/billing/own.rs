//! What subscribers see of their own money: what they have and owe, their invoices, payments and orders.
//!
//! The one rule: everything is asked for together with whose it is; what is another's does not exist. Drafts are
//! the ISP's own affair until they are final.

use jiff::Timestamp;

use super::Billing;
use super::browse::Document;
use super::documents::party;
use super::fault::BillingError;
use super::grant;
use super::shop::open_invoices;
use crate::domain::ids::{InvoiceId, OrderId, PaymentId, ServiceId, SubscriberId};
use crate::domain::invoice::{InvoiceStanding, Party};
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus, Purchase};
use crate::domain::payment::Payment;
use crate::domain::subscriber::Subscriber;
use crate::domain::subscription::Subscription;
use crate::store::contract::{Page, Range};
use crate::store::tables::money::{Invoices, Orders, Payments};
use crate::store::tables::{Services, Subscribers};

/// How somebody stands with us.
#[derive(Debug, Clone)]
pub struct Overview {
    /// What they have with us.
    pub wallet: Money,
    /// What they owe by invoices.
    pub owed: Money,
    /// When the first of it is, or was, due.
    pub due_at: Option<Timestamp>,
    /// How their service is paid for, where they have one.
    pub subscription: Option<Subscription>,
}

impl Document {
    /// What is owed by it.
    #[must_use]
    pub fn owed(&self) -> Money {
        let minor = self.standing.as_ref().map_or(0, InvoiceStanding::owed);
        Money { minor, ..self.invoice.quote.total }
    }

    /// What was paid on it.
    #[must_use]
    pub fn paid(&self) -> Money {
        let minor = self.standing.as_ref().map_or(0, |standing| standing.paid);
        Money { minor, ..self.invoice.quote.total }
    }
}

impl Billing {
    /// How somebody stands, with one of their services.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn overview(
        &self,
        subscriber: SubscriberId,
        service: Option<ServiceId>,
    ) -> Result<Overview, BillingError> {
        let store = &self.till.store;
        let open = open_invoices(store, subscriber).await?;
        let zero = Money::zero(self.settings.currency);
        let owed = open
            .iter()
            .try_fold(zero, |sum, one| sum.checked_add(Money { minor: one.body.owed(), ..one.body.total }))?;
        let subscription = match service {
            Some(id) => self.till.subscription(id).await?,
            None => None,
        };
        Ok(Overview {
            wallet: self.till.wallet(subscriber).await?,
            owed,
            due_at: open.iter().map(|one| one.body.due_at).min(),
            subscription,
        })
    }

    /// The newest final documents of a subscriber, newest first, at most [`MOST_OWN`].
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn invoices_of(&self, subscriber: SubscriberId) -> Result<Vec<Document>, BillingError> {
        let store = &self.till.store;
        let documents = store.scan::<Invoices>(of(subscriber), newest()).await?.records;
        let mut found = Vec::with_capacity(documents.len());
        for record in documents.into_iter().filter(|record| record.body.number.is_some()) {
            found.push(self.till.with_standing(record.body).await?);
        }
        Ok(found)
    }

    /// One final document of a subscriber.
    ///
    /// # Errors
    /// `NotFound`, for another's too; when the store cannot read.
    pub async fn invoice_of(
        &self,
        subscriber: SubscriberId,
        id: InvoiceId,
    ) -> Result<Document, BillingError> {
        let record = self.till.store.get::<Invoices>(&id).await?;
        let own = record
            .map(|record| record.body)
            .filter(|invoice| invoice.subscriber_id == subscriber && invoice.number.is_some());
        self.till.with_standing(own.ok_or_else(|| BillingError::not_found("invoice", id))?).await
    }

    /// The number of the invoice that a payment paid, or that says what it bought.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn invoice_paid_by(&self, payment: &Payment) -> Result<Option<String>, BillingError> {
        let Some(id) = payment.order_id else { return Ok(None) };
        let Some(order) = self.till.store.get::<Orders>(&id).await? else { return Ok(None) };
        let named = match &order.body.purchase {
            Purchase::Invoices { invoice_ids } => invoice_ids.first().copied(),
            Purchase::Period { .. }
            | Purchase::TopUp { .. }
            | Purchase::ChangePlan { .. }
            | Purchase::Wallet => None,
        };
        let Some(id) = order.body.invoice_id.or(named) else { return Ok(None) };
        Ok(self.till.store.get::<Invoices>(&id).await?.and_then(|record| record.body.number))
    }

    /// The newest payments of a subscriber, newest first, at most [`MOST_OWN`].
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn payments_of(&self, subscriber: SubscriberId) -> Result<Vec<Payment>, BillingError> {
        let slice = self.till.store.scan::<Payments>(of(subscriber), newest()).await?;
        Ok(slice.records.into_iter().map(|record| record.body).collect())
    }

    /// One payment of a subscriber.
    ///
    /// # Errors
    /// `NotFound`, for another's too; when the store cannot read.
    pub async fn payment_of(&self, subscriber: SubscriberId, id: PaymentId) -> Result<Payment, BillingError> {
        self.till.payment(&id.to_string(), Some(subscriber)).await
    }

    /// The newest orders of a subscriber, newest first, at most [`MOST_OWN`].
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn orders_of(&self, subscriber: SubscriberId) -> Result<Vec<Order>, BillingError> {
        let slice = self.till.store.scan::<Orders>(of(subscriber), newest()).await?;
        Ok(slice.records.into_iter().map(|record| record.body).collect())
    }

    /// One order of a subscriber.
    ///
    /// # Errors
    /// `NotFound`, for another's too; when the store cannot read.
    pub async fn order_of(&self, subscriber: SubscriberId, id: OrderId) -> Result<Order, BillingError> {
        self.till.order(id, Some(subscriber)).await
    }

    /// Whether an order buys the first period of its service, rather than another one.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn is_first(&self, order: &Order) -> Result<bool, BillingError> {
        let Purchase::Period { service_id } = &order.purchase else { return Ok(false) };
        let service = self.till.store.get::<Services>(service_id).await?;
        let source = format!("order:{}", order.id);
        Ok(service.is_some_and(|service| grant::is_first_purchase(&service.body, Some(&source))))
    }

    /// What a payment was used for, in words and amounts that sum to what came: for its receipt.
    ///
    /// # Errors
    /// When the store cannot read; amounts beyond 64 bits.
    pub async fn used_for(&self, payment: &Payment) -> Result<Vec<(String, Money)>, BillingError> {
        let came = payment.received.unwrap_or(payment.expected);
        let order = match payment.order_id {
            Some(id) => self.till.store.get::<Orders>(&id).await?.map(|record| record.body),
            None => None,
        };
        let bought = order.filter(|order| {
            order.status == OrderStatus::Fulfilled && order.total().currency == came.currency
        });
        let Some(order) = bought else { return Ok(vec![("On account".to_owned(), came)]) };
        let mut used: Vec<(String, Money)> = Vec::new();
        if let Purchase::Invoices { invoice_ids } = &order.purchase {
            let mut numbers = Vec::new();
            for id in invoice_ids {
                let number = self.till.store.get::<Invoices>(id).await?.and_then(|record| record.body.number);
                numbers.extend(number);
            }
            used.push((format!("Invoice {}", numbers.join(", ")), order.total()));
        } else {
            used.extend(order.quote.lines.iter().map(|line| (line.description.clone(), line.total)));
        }
        let rest = came.checked_sub(order.total())?;
        if rest.minor != 0 {
            used.push(("To the wallet".to_owned(), rest));
        }
        Ok(used)
    }

    /// A subscriber as they are printed.
    ///
    /// # Errors
    /// `NotFound`; when the store cannot read.
    pub async fn payer(&self, subscriber: SubscriberId) -> Result<Party, BillingError> {
        let record = self.till.store.get::<Subscribers>(&subscriber).await?;
        record
            .map(|record| party(&record.body))
            .ok_or_else(|| BillingError::not_found("customer", subscriber))
    }

    /// Somebody to whom money can be sent, by their customer number.
    ///
    /// # Errors
    /// A field that says that there is none; when the store cannot read.
    pub async fn friend(&self, customer_number: &str) -> Result<Subscriber, BillingError> {
        let range = Range::Equals("customer_number", customer_number.trim().to_lowercase().into());
        let page = Page { after: None, limit: 1, reverse: false };
        let found = self.till.store.scan::<Subscribers>(range, page).await?;
        let friend = found.records.into_iter().next().map(|record| record.body);
        friend.ok_or_else(|| BillingError::field("to", "no customer here has this number"))
    }
}

fn of(subscriber: SubscriberId) -> Range {
    Range::Equals("subscriber_id", subscriber.to_string().into())
}

const fn newest() -> Page {
    Page { after: None, limit: MOST_OWN, reverse: true }
}

/// Documents, payments or orders of one subscriber that are shown: eight years of weeks.
pub const MOST_OWN: usize = 400;
