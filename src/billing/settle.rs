//! The till: every way in which money comes ends here.
//!
//! Webhook, redirect, poll and cashier all bring what a provider (or a person) has confirmed; [`Till::settle`] books it
//! once, carries out what it pays for in the same commit, and puts the rest into the payer's wallet. The one rule:
//! money that came is never lost: what cannot buy what it was meant for is in the wallet, and what belongs to
//! nobody is an unmatched receipt.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use super::apply::Open;
use super::book::{Book, Leaf, MOST_TRIES, may_try_again};
use super::documents::Numbers;
use super::fault::BillingError;
use super::settings::Settings;
use super::shop::Shop;
use crate::base::entropy::Entropy;
use crate::domain::ids::{InvoiceId, OrderId, PaymentId, SubscriberId};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus, Purchase};
use crate::domain::payment::{Confirmation, Outcome, Payment, PaymentStatus};
use crate::notify::news::News;
use crate::store::Store;
use crate::store::contract::{CommitError, IndexValue, Page, Range, Record, Unit};
use crate::store::names::Names;
use crate::store::tables::Subscribers;
use crate::store::tables::money::{Orders, Payments, provider_key};

/// The till; cheap to clone.
#[derive(Clone)]
pub struct Till {
    pub(super) store: Store,
    pub(super) entropy: Entropy,
    pub(super) book: Book,
    pub(super) shop: Shop,
    pub(super) settings: Settings,
    /// Customers by a part of a name.
    pub(super) customers: Names<Subscribers>,
    /// Tells subscribers, where somebody does.
    pub(super) bulletin: Option<crate::notify::bulletin::Bulletin>,
    /// Wakes whoever carries out what was paid.
    pub(super) wake: Arc<dyn Fn() + Send + Sync>,
}

/// What became of what a provider said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// Booked now.
    Booked {
        /// The payment.
        payment: PaymentId,
        /// The order that it paid, where it did.
        fulfilled: Option<OrderId>,
    },
    /// Booked before; nothing changed.
    AlreadyBooked(PaymentId),
    /// The provider has not decided.
    NotYet(PaymentId),
    /// It failed, or was cancelled; nothing was booked.
    Failed(PaymentId),
    /// Money that belongs to no order here, or in another currency: kept as a receipt for staff.
    Unmatched(PaymentId),
    /// Money went back by the provider's side; booked.
    Returned(PaymentId),
}

impl std::fmt::Debug for Till {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Till")
    }
}

/// What a door adds to the commit of a payment: the kept answer of its request.
pub type Extra<'a> = &'a (dyn Fn(Unit, &Payment, Option<&Order>) -> Result<Unit, CommitError> + Send + Sync);

impl Till {
    /// Books what a provider has confirmed, once, however often and from wherever it is told.
    ///
    /// # Errors
    /// Faults of ours; nothing was booked then.
    pub async fn settle(&self, said: &Confirmation, now: Timestamp) -> Result<Settlement, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.settle_once(said, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                // Somebody else told of the same money between our reads and our commit.
                Err(BillingError::Commit(CommitError::Taken { collection: "payments", .. }))
                    if tries < MOST_TRIES => {}
                Err(BillingError::Repeated(_)) if tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    async fn settle_once(&self, said: &Confirmation, now: Timestamp) -> Result<Settlement, BillingError> {
        let leaf = self.book.open().await;
        // Side by side: every other payment waits for its turn behind this one.
        let (by_transaction, by_reference) =
            tokio::join!(self.by_transaction(said), self.by_reference(&said.reference));
        let known = match by_transaction? {
            Some(known) => Some(known),
            None => by_reference?,
        };
        match (said.outcome, known) {
            (Outcome::Succeeded, Some(known)) => self.succeeded(leaf, known, said, now).await,
            (Outcome::Succeeded, None) => self.unmatched(leaf, None, said, now).await,
            (Outcome::Pending, Some(known)) => Ok(Settlement::NotYet(known.body.id)),
            (Outcome::Failed | Outcome::Cancelled, Some(known)) => self.failed(known, said, now).await,
            (Outcome::Refunded(minor), Some(known)) => {
                self.returned(leaf, known, Money { minor, ..said.amount }, now).await
            }
            (Outcome::Pending | Outcome::Failed | Outcome::Cancelled | Outcome::Refunded(_), None) => {
                Err(BillingError::not_found("payment", &said.reference))
            }
        }
    }

    async fn by_transaction(&self, said: &Confirmation) -> Result<Option<Record<Payments>>, BillingError> {
        if said.transaction.is_empty() {
            return Ok(None);
        }
        let key = provider_key(said.provider.name(), &said.transaction);
        first(&self.store, "provider_transaction", key).await
    }

    /// A payment by our own reference.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn by_reference(&self, reference: &str) -> Result<Option<Record<Payments>>, BillingError> {
        first(&self.store, "reference", reference.to_owned()).await
    }

    async fn succeeded(
        &self,
        leaf: Leaf,
        known: Record<Payments>,
        said: &Confirmation,
        now: Timestamp,
    ) -> Result<Settlement, BillingError> {
        if known.body.status.is_booked() {
            let is_same = known.body.transaction.as_deref() == Some(said.transaction.as_str());
            if is_same || said.transaction.is_empty() {
                return Ok(Settlement::AlreadyBooked(known.body.id));
            }
            // A second payment under one reference: money all the same.
            return self.unmatched(leaf, known.body.subscriber_id, said, now).await;
        }
        if said.amount.currency != known.body.expected.currency || said.amount.minor <= 0 {
            return self.wrong_currency(leaf, known, said, now).await;
        }
        let mut payment = known.body.clone();
        payment.received = Some(said.amount);
        payment.fee = said.fee;
        payment.method = said.method;
        payment.transaction = (!said.transaction.is_empty()).then(|| said.transaction.clone());
        if payment.subscriber_id.is_none() {
            return self.unmatched(leaf, None, said, now).await;
        }
        let fulfilled = self.book(leaf, payment, Some(known.version), now).await?;
        Ok(Settlement::Booked {
            payment: known.body.id,
            fulfilled: fulfilled.filter(|order| order.status == OrderStatus::Fulfilled).map(|order| order.id),
        })
    }

    /// Books money of a subscriber: the order, where there is one that it pays, then what they owe, then the wallet.
    /// Gives the order as it is afterwards.
    pub(super) async fn book(
        &self,
        leaf: Leaf,
        payment: Payment,
        version: Option<u64>,
        now: Timestamp,
    ) -> Result<Option<Order>, BillingError> {
        let order = match payment.order_id {
            Some(id) => self.store.get::<Orders>(&id).await?,
            None => None,
        };
        Ok(self.book_with(leaf, payment, version, order, &[], now, None).await?.1)
    }

    /// The same with the order at hand; where there is none, these invoices are paid first.
    #[expect(clippy::too_many_arguments, reason = "the one place where money is booked")]
    pub(super) async fn book_with(
        &self,
        mut leaf: Leaf,
        mut payment: Payment,
        version: Option<u64>,
        order: Option<Record<Orders>>,
        first: &[InvoiceId],
        now: Timestamp,
        extra: Option<Extra<'_>>,
    ) -> Result<(Payment, Option<Order>), BillingError> {
        let Some(subscriber) = payment.subscriber_id else {
            return Err(BillingError::rule("the payment belongs to nobody; match it to a customer first"));
        };
        let amount = payment.received.unwrap_or(payment.expected);
        payment.status = PaymentStatus::Succeeded;
        payment.settled_at = Some(now);
        payment.next_poll_at = None;
        payment.updated_at = now;
        let mut open = Open::of(&self.store, subscriber).await?;
        let of_first =
            if first.is_empty() { Money::zero(amount.currency) } else { open.pay(amount, first, now)? };
        let rest = amount.checked_sub(of_first)?;
        let (order, spent) = self.spend(&mut leaf, &mut open, order, rest, &mut payment, now).await?;
        let to_receivable = of_first.checked_add(spent)?;
        let to_wallet = amount.checked_sub(to_receivable)?;
        leaf.post(self.entry(&payment, amount, subscriber, to_receivable, to_wallet)?);
        open.write(&mut leaf, now).await?;
        let reference = payment.reference.clone();
        self.news(&mut leaf, subscriber, News::Receipt { amount, at: now, reference }, now).await;
        if let Some(order) = &order {
            self.tell_topped_up(&mut leaf, order, now).await?;
        }
        self.tell_restored(&mut leaf, now).await?;
        if to_wallet.minor > 0 {
            self.wake_renewals(&mut leaf, subscriber, now).await?;
        }
        let payload = json!({
            "customer_id": subscriber, "amount": amount.decimal(), "currency": amount.currency.code(),
            "provider": payment.provider.name(), "order_id": payment.order_id,
        });
        leaf.change(|unit| {
            let unit = match version {
                Some(version) => unit.replace::<Payments>(&payment.id, version, &payment)?,
                None => unit.create::<Payments>(&payment.id, &payment)?,
            };
            let unit = unit.event("payment.received", payment.id, payload);
            match extra {
                Some(extra) => extra(unit, &payment, order.as_ref()),
                None => Ok(unit),
            }
        })?;
        leaf.commit(now).await?;
        Ok((payment, order))
    }

    /// What an amount pays: its order, or open invoices. Gives the order afterwards and how much was spent.
    async fn spend(
        &self,
        leaf: &mut Leaf,
        open: &mut Open,
        order: Option<Record<Orders>>,
        amount: Money,
        payment: &mut Payment,
        now: Timestamp,
    ) -> Result<(Option<Order>, Money), BillingError> {
        let zero = Money::zero(amount.currency);
        let Some(order) = order else { return Ok((None, open.pay(amount, &[], now)?)) };
        let still_open = matches!(order.body.status, OrderStatus::Open | OrderStatus::Underpaid)
            && now < order.body.expires_at;
        if !still_open {
            note(payment, "the order was not open any more; the money is in the wallet");
            return Ok((None, zero));
        }
        if let Purchase::Invoices { invoice_ids } = &order.body.purchase {
            let spent = open.pay(amount, invoice_ids, now)?;
            let is_whole = amount.minor >= order.body.total().minor;
            let order = self.closed(leaf, &order, is_whole, now)?;
            return Ok((Some(order), spent));
        }
        if amount.minor < order.body.total().minor {
            note(payment, "less came than the price; it is in the wallet");
            return Ok((Some(self.closed(leaf, &order, false, now)?), zero));
        }
        let mark = leaf.mark();
        match self.shop.fulfil(leaf, &mut Numbers::default(), &order, now).await {
            Ok(done) => {
                let spent = if done.invoice_id.is_some() { done.total() } else { zero };
                let rest = amount.checked_sub(spent)?;
                let is_wallet = matches!(done.purchase, Purchase::Wallet);
                let more = if is_wallet { open.pay(rest, &[], now)? } else { zero };
                Ok((Some(done), spent.checked_add(more)?))
            }
            Err(BillingError::Rule(why)) => self.not_carried_out(leaf, mark, payment, &why, zero),
            Err(BillingError::Field { message, .. }) => {
                self.not_carried_out(leaf, mark, payment, &message, zero)
            }
            Err(BillingError::NotFound { what, .. }) => {
                self.not_carried_out(leaf, mark, payment, &format!("the {what} is gone"), zero)
            }
            Err(error) => Err(error),
        }
    }

    /// A rule came between order and payment: the money stays in the wallet, and people can read why.
    fn not_carried_out(
        &self,
        leaf: &mut Leaf,
        mark: super::book::Mark,
        payment: &mut Payment,
        why: &str,
        zero: Money,
    ) -> Result<(Option<Order>, Money), BillingError> {
        leaf.back_to(mark);
        tracing::warn!(payment.id = %payment.id, why, "A paid order could not be carried out; its money is in the wallet");
        note(payment, why);
        Ok((None, zero))
    }

    /// An order that needs no carrying out, or was paid too little.
    pub(super) fn closed(
        &self,
        leaf: &mut Leaf,
        order: &Record<Orders>,
        is_whole: bool,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let mut done = order.body.clone();
        done.status = if is_whole { OrderStatus::Fulfilled } else { OrderStatus::Underpaid };
        done.fulfilled_at = is_whole.then_some(now);
        let kind = if is_whole { "order.fulfilled" } else { "order.underpaid" };
        let payload = json!({ "customer_id": done.subscriber_id });
        leaf.change(|unit| {
            Ok(unit.replace::<Orders>(&done.id, order.version, &done)?.event(kind, done.id, payload))
        })?;
        Ok(done)
    }

    fn entry(
        &self,
        payment: &Payment,
        amount: Money,
        subscriber: SubscriberId,
        to_receivable: Money,
        to_wallet: Money,
    ) -> Result<Entry, BillingError> {
        let (name, currency) = (payment.provider.name(), amount.currency);
        let fee = payment.fee.filter(|fee| fee.currency == currency && fee.minor > 0);
        let fee = fee.unwrap_or_else(|| Money::zero(currency));
        let held = match payment.taken_by {
            Some(staff) if payment.method == crate::domain::payment::Method::Cash => Account::Cash(staff),
            Some(_) => Account::clearing("bank", currency),
            None => Account::clearing(name, currency),
        };
        let memo = format!("Payment {} by {name}", payment.reference);
        Ok(Entry::new(PostingKind::Payment, format!("payment:{}", payment.id), memo)
            .debit(held, amount.checked_sub(fee)?)
            .debit(Account::fees(name, currency), fee)
            .credit(Account::Receivable(subscriber), to_receivable)
            .credit(Account::Wallet(subscriber), to_wallet))
    }

    /// An attempt that came to nothing. A success may still come later.
    async fn failed(
        &self,
        known: Record<Payments>,
        said: &Confirmation,
        now: Timestamp,
    ) -> Result<Settlement, BillingError> {
        let id = known.body.id;
        if known.body.status.is_booked() {
            return Ok(Settlement::AlreadyBooked(id));
        }
        let status = match said.outcome {
            Outcome::Cancelled => PaymentStatus::Cancelled,
            Outcome::Failed | Outcome::Succeeded | Outcome::Pending | Outcome::Refunded(_) => {
                PaymentStatus::Failed
            }
        };
        if known.body.status == status {
            return Ok(Settlement::Failed(id));
        }
        let payment = Payment { status, updated_at: now, ..known.body };
        let payload = json!({ "customer_id": payment.subscriber_id, "provider": payment.provider.name() });
        let unit = Unit::natural().replace::<Payments>(&id, known.version, &payment)?.event(
            "payment.failed",
            id,
            payload,
        );
        super::book::submit(&self.store, unit).await?;
        Ok(Settlement::Failed(id))
    }

    /// Money in another currency than was asked for changes neither order nor wallet.
    async fn wrong_currency(
        &self,
        mut leaf: Leaf,
        known: Record<Payments>,
        said: &Confirmation,
        now: Timestamp,
    ) -> Result<Settlement, BillingError> {
        let mut payment = known.body.clone();
        payment.status = PaymentStatus::Succeeded;
        payment.received = Some(said.amount);
        payment.transaction = (!said.transaction.is_empty()).then(|| said.transaction.clone());
        payment.order_id = None;
        payment.next_poll_at = None;
        payment.settled_at = Some(now);
        payment.updated_at = now;
        note(&mut payment, "another currency came than was asked for; staff must give it back or match it");
        leaf.post(unmatched_entry(&payment, said.amount));
        let (id, version) = (payment.id, known.version);
        let payload = json!({ "provider": payment.provider.name(), "amount": said.amount.decimal(),
            "currency": said.amount.currency.code() });
        leaf.change(|unit| {
            Ok(unit.replace::<Payments>(&id, version, &payment)?.event("payment.unmatched", id, payload))
        })?;
        leaf.commit(now).await?;
        Ok(Settlement::Unmatched(id))
    }

    /// Money that no attempt of ours asked for: into the wallet where its payer is known, else kept for staff.
    async fn unmatched(
        &self,
        leaf: Leaf,
        subscriber: Option<SubscriberId>,
        said: &Confirmation,
        now: Timestamp,
    ) -> Result<Settlement, BillingError> {
        let id = PaymentId(self.entropy.uuid_v7(now)?);
        let mut payment = Payment {
            id,
            subscriber_id: subscriber,
            order_id: None,
            provider: said.provider,
            reference: format!("{}#{}", said.reference, said.transaction),
            checkout: None,
            transaction: (!said.transaction.is_empty()).then(|| said.transaction.clone()),
            url: None,
            status: PaymentStatus::Succeeded,
            expected: said.amount,
            received: Some(said.amount),
            fee: said.fee,
            method: said.method,
            refunds: Vec::new(),
            taken_by: None,
            note: None,
            polls: 0,
            next_poll_at: None,
            created_at: now,
            settled_at: Some(now),
            updated_at: now,
        };
        if subscriber.is_some() && said.amount.currency == self.settings.currency {
            note(&mut payment, "a second payment came under one reference; it is in the wallet");
            self.book(leaf, payment, None, now).await?;
            return Ok(Settlement::Booked { payment: id, fulfilled: None });
        }
        let mut leaf = leaf;
        note(&mut payment, "nobody here is known for this payment; match it to a customer or give it back");
        leaf.post(unmatched_entry(&payment, said.amount));
        let payload = json!({ "provider": payment.provider.name(), "amount": said.amount.decimal(),
            "currency": said.amount.currency.code() });
        leaf.change(|unit| {
            Ok(unit.create::<Payments>(&id, &payment)?.event("payment.unmatched", id, payload))
        })?;
        leaf.commit(now).await?;
        Ok(Settlement::Unmatched(id))
    }
}

fn unmatched_entry(payment: &Payment, amount: Money) -> Entry {
    let name = payment.provider.name();
    Entry::new(
        PostingKind::Payment,
        format!("payment:{}", payment.id),
        format!("Unmatched payment by {name}"),
    )
    .debit(Account::clearing(name, amount.currency), amount)
    .credit(Account::Unmatched(amount.currency), amount)
}

/// Adds a line for people.
pub(super) fn note(payment: &mut Payment, more: &str) {
    payment.note = Some(match payment.note.take() {
        Some(note) => format!("{note}; {more}"),
        None => more.to_owned(),
    });
}

/// The first payment with this value of an index.
async fn first(
    store: &Store,
    index: &'static str,
    value: String,
) -> Result<Option<Record<Payments>>, BillingError> {
    let range = Range::Equals(index, IndexValue::Text(value));
    Ok(store.scan::<Payments>(range, Page::first(1)).await?.records.into_iter().next())
}
