//! The counter: money that people take, and money that subscribers have with us already.

use jiff::Timestamp;
use serde_json::json;

use super::apply::Open;
use super::book::{Leaf, MOST_TRIES, may_try_again};
use super::documents::Numbers;
use super::fault::BillingError;
use super::settle::{Extra, Till};
use super::shop::Wish;
use crate::domain::audit::Actor;
use crate::domain::ids::{InvoiceId, OrderId, PaymentId, ServiceId, StaffId, SubscriberId};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus, Purchase};
use crate::domain::payment::{Method, Payment, PaymentStatus, ProviderName};
use crate::store::contract::{CommitError, Record, Unit};
use crate::store::tables::money::Orders;

/// Money that a person took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Whose.
    pub subscriber: SubscriberId,
    /// How much.
    pub amount: Money,
    /// How it was paid: cash, transfer, check or other.
    pub method: Method,
    /// What it is for.
    pub purpose: Purpose,
    /// The number on a receipt or a bank's statement; ours where none is given.
    pub reference: Option<String>,
    /// A line for people.
    pub note: Option<String>,
    /// Who took it.
    pub by: StaffId,
}

/// What money at the counter is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// An order that was made before.
    Order(OrderId),
    /// This invoice first.
    Invoice(InvoiceId),
    /// The next period of a service.
    Renew(ServiceId),
    /// The next period of a service, at the price by a coupon.
    RenewWith(ServiceId, String),
    /// What is owed, the oldest first; the rest is for the wallet.
    Account,
}

/// Adds to the commit of a purchase from the wallet.
pub type OrderExtra<'a> = &'a (dyn Fn(Unit, &Order) -> Result<Unit, CommitError> + Send + Sync);

impl Till {
    /// Books money that a person took, and carries out what it is for.
    ///
    /// # Errors
    /// A field or a rule; `Repeated` where this receipt was booked before; faults of ours.
    pub async fn take(
        &self,
        taken: &Taken,
        actor: &Actor,
        extra: Option<Extra<'_>>,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        if taken.amount.currency != self.settings.currency {
            return Err(BillingError::field("currency", format!("must be {}", self.settings.currency)));
        }
        if taken.amount.minor <= 0 {
            return Err(BillingError::field("amount", "must be above zero"));
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.take_once(taken, actor, extra, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                Err(BillingError::Commit(CommitError::Taken { collection: "payments", .. })) => {
                    return Err(BillingError::field("reference_number", "this receipt was booked before"));
                }
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    async fn take_once(
        &self,
        taken: &Taken,
        actor: &Actor,
        extra: Option<Extra<'_>>,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        let mut leaf = self.book.open().await;
        self.shop.subscriber(taken.subscriber).await?;
        let id = PaymentId(self.entropy.uuid_v7(now)?);
        let order_id = self.order_of(&mut leaf, taken, actor, now).await?;
        let payment = Payment {
            id,
            subscriber_id: Some(taken.subscriber),
            order_id: order_id.as_ref().map(|order| order.body.id),
            provider: ProviderName::Cash,
            reference: taken.reference.clone().map_or_else(|| id.to_string(), |own| format!("counter:{own}")),
            checkout: None,
            transaction: None,
            url: None,
            status: PaymentStatus::Created,
            expected: taken.amount,
            received: Some(taken.amount),
            fee: None,
            method: taken.method,
            refunds: Vec::new(),
            taken_by: Some(taken.by),
            note: taken.note.clone(),
            polls: 0,
            next_poll_at: None,
            created_at: now,
            settled_at: None,
            updated_at: now,
        };
        let only = match &taken.purpose {
            Purpose::Invoice(id) => vec![*id],
            Purpose::Order(_) | Purpose::Renew(_) | Purpose::RenewWith(..) | Purpose::Account => Vec::new(),
        };
        let (payment, _) = self.book_with(leaf, payment, None, order_id, &only, now, extra).await?;
        Ok(payment)
    }

    /// The order that money at the counter pays: one made before, or one made now.
    async fn order_of(
        &self,
        leaf: &mut Leaf,
        taken: &Taken,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Option<Record<Orders>>, BillingError> {
        match &taken.purpose {
            Purpose::Order(id) => {
                let order = self.order_for(*id, taken.subscriber).await?;
                if order.body.status != OrderStatus::Open && order.body.status != OrderStatus::Underpaid {
                    return Err(BillingError::rule("the order is not open any more"));
                }
                Ok(Some(order))
            }
            Purpose::Renew(service) => {
                self.next_period(leaf, taken, *service, None, actor, now).await.map(Some)
            }
            Purpose::RenewWith(service, code) => {
                self.next_period(leaf, taken, *service, Some(code), actor, now).await.map(Some)
            }
            Purpose::Invoice(_) | Purpose::Account => Ok(None),
        }
    }

    /// An order for the next period that is carried out in the same commit: it is created as what it will be.
    async fn next_period(
        &self,
        leaf: &mut Leaf,
        taken: &Taken,
        service: ServiceId,
        code: Option<&str>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Record<Orders>, BillingError> {
        let mut order = self.shop.made(taken.subscriber, &Wish::Period(service), actor, now).await?;
        if let Some(code) = code {
            let coupon = self.coupon_by(code).await?;
            self.take_coupon(leaf, &coupon, &mut order, now).await?;
        }
        let total = order.total();
        if taken.amount.minor < total.minor {
            return Err(BillingError::field("amount", format!("the next period costs {total}")));
        }
        leaf.change(|unit| {
            let payload = json!({ "customer_id": order.subscriber_id, "total": total.decimal() });
            Ok(unit.event("order.created", order.id, payload))
        })?;
        let key = order.id.to_string();
        Ok(Record { key, version: NOT_STORED, body: order, counters: Vec::new() })
    }

    pub(super) async fn order_for(
        &self,
        id: OrderId,
        subscriber: SubscriberId,
    ) -> Result<Record<Orders>, BillingError> {
        let order = self.store.get::<Orders>(&id).await?;
        let order = order.filter(|order| order.body.subscriber_id == subscriber);
        order.ok_or_else(|| BillingError::not_found("order", id))
    }

    /// Pays an order from its subscriber's wallet, and carries it out in the same commit.
    ///
    /// # Errors
    /// `Short` where the wallet does not hold enough; a rule; faults of ours.
    pub async fn pay_from_wallet(
        &self,
        id: OrderId,
        subscriber: SubscriberId,
        extra: Option<OrderExtra<'_>>,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.pay_from_wallet_once(id, subscriber, extra, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    async fn pay_from_wallet_once(
        &self,
        id: OrderId,
        subscriber: SubscriberId,
        extra: Option<OrderExtra<'_>>,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let mut leaf = self.book.open().await;
        let order = self.order_for(id, subscriber).await?;
        match order.body.status {
            OrderStatus::Fulfilled => return Ok(order.body),
            OrderStatus::Open | OrderStatus::Underpaid if now < order.body.expires_at => {}
            OrderStatus::Open | OrderStatus::Underpaid | OrderStatus::Expired | OrderStatus::Cancelled => {
                return Err(BillingError::rule("the order's price holds no longer; make a new one"));
            }
        }
        let total = order.body.total();
        self.must_have(&mut leaf, subscriber, total).await?;
        let mut open = Open::of(&self.store, subscriber).await?;
        let (done, spent) = match &order.body.purchase {
            Purchase::Wallet => {
                return Err(BillingError::rule("the wallet cannot be filled from itself; choose how to pay"));
            }
            Purchase::Invoices { invoice_ids } => {
                let spent = open.pay(total, invoice_ids, now)?;
                (self.closed(&mut leaf, &order, true, now)?, spent)
            }
            Purchase::Period { .. } | Purchase::TopUp { .. } | Purchase::ChangePlan { .. } => {
                let done = self.shop.fulfil(&mut leaf, &mut Numbers::default(), &order, now).await?;
                self.tell_topped_up(&mut leaf, &done, now).await?;
                (done, total)
            }
        };
        leaf.post(from_wallet(subscriber, spent, format!("order:{id}"), "Paid from the wallet"));
        open.write(&mut leaf, now).await?;
        self.tell_restored(&mut leaf, now).await?;
        if let Some(extra) = extra {
            leaf.change(|unit| extra(unit, &done))?;
        }
        leaf.commit(now).await?;
        Ok(done)
    }

    /// Refuses where a wallet, with its credit, does not hold enough.
    pub(super) async fn must_have(
        &self,
        leaf: &mut Leaf,
        subscriber: SubscriberId,
        needs: Money,
    ) -> Result<(), BillingError> {
        let credit = self.shop.subscriber(subscriber).await?.credit_limit.max(0);
        let holds = leaf.balance(&Account::Wallet(subscriber)).await?.saturating_neg();
        let has = holds.saturating_add(credit);
        if has < needs.minor {
            return Err(BillingError::Short { has: Money { minor: has, ..needs }, needs });
        }
        Ok(())
    }
}

/// The posting that moves money from a wallet onto what its owner owes.
pub(super) fn from_wallet(subscriber: SubscriberId, amount: Money, source: String, memo: &str) -> Entry {
    Entry::new(PostingKind::Application, source, memo)
        .debit(Account::Wallet(subscriber), amount)
        .credit(Account::Receivable(subscriber), amount)
}

/// The version of an order that is made and carried out in one commit.
pub(super) const NOT_STORED: u64 = 0;
