//! Disputes: a payer's bank takes money back, or holds it until somebody has decided.
//!
//! Each dispute has its provider's name and is booked under it: once when the money is gone, also below zero, and once
//! when it comes back. What is decided stays decided, so news that come twice or in the wrong order change nothing.
//! The one rule: while the money is not ours its payer is not trusted.

use jiff::Timestamp;
use serde_json::json;

use super::book::{Leaf, MOST_TRIES, may_try_again};
use super::fault::BillingError;
use super::refund::{RefundPolicy, booked_amount, held_at};
use super::settle::{Settlement, Till};
use super::wallet::UnitExtra;
use crate::domain::ids::{PaymentId, ServiceId, SubscriberId};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::lock::{Lock, LockMode, LockReason};
use crate::domain::money::Money;
use crate::domain::payment::{Dispute, DisputeStand, Payment, Refund, RefundStatus};
use crate::domain::service::Phase;
use crate::store::contract::{Page, Range, Record};
use crate::store::tables::Services;
use crate::store::tables::money::{Orders, Payments};

impl Till {
    /// Books how a dispute about a payment stands.
    ///
    /// # Errors
    /// `NotFound`; a rule where nothing came by the payment; faults of ours.
    pub async fn disputed(
        &self,
        id: PaymentId,
        dispute: &Dispute,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Settlement, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.disputed_once(id, dispute, extra, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    async fn disputed_once(
        &self,
        id: PaymentId,
        dispute: &Dispute,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Settlement, BillingError> {
        let mut leaf = self.book.open().await;
        let Some(record) = self.store.get::<Payments>(&id).await? else {
            return Err(BillingError::not_found("payment", id));
        };
        let (version, payment) = (record.version, record.body);
        let known = payment.refunds.iter().position(|one| is_of(one, dispute));
        let payment = match (known, dispute.stand) {
            (None, DisputeStand::Open | DisputeStand::Lost) => {
                self.take_for(&mut leaf, payment, dispute, now).await?
            }
            // Kept, so that older news of it that come later take nothing.
            (None, DisputeStand::Won) => {
                let mut payment = payment;
                let amount = bounded(&payment, dispute)?;
                payment.refunds.push(entry(dispute, amount, RefundStatus::Failed, now));
                payment
            }
            (Some(at), DisputeStand::Won) => {
                if payment.refunds.get(at).is_none_or(|one| one.status != RefundStatus::Done) {
                    return Ok(Settlement::AlreadyBooked(id));
                }
                self.give_for(&mut leaf, payment, at, dispute, now).await?
            }
            (Some(_), DisputeStand::Open | DisputeStand::Lost) => return Ok(Settlement::AlreadyBooked(id)),
        };
        self.write_refund(&mut leaf, payment, version, now)?;
        if let Some(extra) = extra {
            leaf.change(extra)?;
        }
        leaf.commit(now).await?;
        Ok(Settlement::Returned(id))
    }

    /// The money is gone: what it bought ends, and its payer is not trusted until staff or the bank say so.
    async fn take_for(
        &self,
        leaf: &mut Leaf,
        mut payment: Payment,
        dispute: &Dispute,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        let amount = bounded(&payment, dispute)?;
        let (kind, key) = (PostingKind::Chargeback, key_of(dispute));
        self.take_back(leaf, &payment, amount, kind, &key, RefundPolicy::Cut, now).await?;
        if let Some(subscriber) = payment.subscriber_id {
            self.flag(leaf, &payment, subscriber, now).await?;
        }
        tracing::warn!(payment.id = %payment.id, "A payer's bank took money back; their services are locked");
        payment.refunds.push(entry(dispute, amount, RefundStatus::Done, now));
        Ok(payment)
    }

    /// The bank has decided for us: the money is back in the payer's wallet, and they are trusted again.
    async fn give_for(
        &self,
        leaf: &mut Leaf,
        mut payment: Payment,
        at: usize,
        dispute: &Dispute,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        let Some(taken) = payment.refunds.get_mut(at) else { return Ok(payment) };
        taken.status = RefundStatus::Failed;
        "the bank took it back, and gave it back".clone_into(&mut taken.reason);
        let amount = taken.amount;
        let source = format!("refund:{}/{}", payment.id, key_of(dispute));
        let into = payment.subscriber_id.map_or(Account::Unmatched(amount.currency), Account::Wallet);
        let mut entry =
            Entry::new(PostingKind::Chargeback, format!("{source}/won"), "A disputed payment is ours again")
                .debit(held_at(&payment, amount), amount)
                .credit(into, amount);
        entry.reverses = leaf.booked(&source).await?.map(|posting| posting.id);
        leaf.post(entry);
        if let Some(subscriber) = payment.subscriber_id {
            let is_clear =
                !payment.refunds.iter().any(|one| one.is_chargeback && one.status == RefundStatus::Done);
            if is_clear {
                self.unflag(leaf, &payment, subscriber, now).await?;
            }
            self.wake_renewals(leaf, subscriber, now).await?;
        }
        Ok(payment)
    }

    /// Locks what the payment bought; where it bought nothing by itself, all that its payer has.
    async fn flag(
        &self,
        leaf: &mut Leaf,
        payment: &Payment,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        for id in self.services_of(payment, subscriber).await? {
            let contract = leaf.contract(id, now).await?;
            // Whoever placed one already, and how strict, decides about it.
            if contract.service.locks.iter().any(|lock| lock.reason == LockReason::Fraud) {
                continue;
            }
            let lock = Lock {
                reason: LockReason::Fraud,
                mode: LockMode::Captive,
                rates: None,
                placed_at: now,
                placed_by: "billing".to_owned(),
                note: Some(lock_note(payment)),
            };
            super::grant::lock(&mut contract.service, lock, now);
            let payload = json!({ "customer_id": subscriber, "reason": LockReason::Fraud.name() });
            leaf.change(|unit| Ok(unit.event("service.locked", id, payload)))?;
        }
        Ok(())
    }

    /// Takes the locks away that this payment's dispute placed, and no others.
    async fn unflag(
        &self,
        leaf: &mut Leaf,
        payment: &Payment,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let note = lock_note(payment);
        for id in self.services_of(payment, subscriber).await? {
            let contract = leaf.contract(id, now).await?;
            let is_ours =
                |lock: &Lock| lock.reason == LockReason::Fraud && lock.note.as_deref() == Some(&note);
            if contract.service.locks.iter().any(is_ours)
                && super::grant::unlock(&mut contract.service, LockReason::Fraud, now)
            {
                let payload = json!({ "customer_id": subscriber, "reason": LockReason::Fraud.name() });
                leaf.note_restored(id);
                leaf.change(|unit| Ok(unit.event("service.restored", id, payload)))?;
            }
        }
        self.tell_restored(leaf, now).await
    }

    async fn services_of(
        &self,
        payment: &Payment,
        subscriber: SubscriberId,
    ) -> Result<Vec<ServiceId>, BillingError> {
        let order = match payment.order_id {
            Some(id) => self.store.get::<Orders>(&id).await?,
            None => None,
        };
        let bought = order.and_then(|order| order.body.service_id());
        if let Some(id) = bought
            && self.store.get::<Services>(&id).await?.is_some()
        {
            return Ok(vec![id]);
        }
        let range = Range::Equals("subscriber_id", subscriber.to_string().into());
        let all = self.store.scan::<Services>(range, Page::first(MOST_SERVICES)).await?.records;
        let is_live = |record: &Record<Services>| record.body.phase != Phase::Ended;
        Ok(all.into_iter().filter(is_live).map(|record| record.body.id).collect())
    }
}

fn is_of(one: &Refund, dispute: &Dispute) -> bool {
    one.is_chargeback && one.key == key_of(dispute)
}

fn key_of(dispute: &Dispute) -> String {
    format!("dispute:{}", dispute.name)
}

fn lock_note(payment: &Payment) -> String {
    format!("the payer's bank took payment {} back", payment.reference)
}

fn entry(dispute: &Dispute, amount: Money, status: RefundStatus, now: Timestamp) -> Refund {
    Refund {
        key: key_of(dispute),
        amount,
        is_chargeback: true,
        status,
        transaction: Some(dispute.name.clone()),
        reason: "chargeback".to_owned(),
        at: now,
    }
}

/// What a dispute is about: at most what came, whatever the bank's own rate of exchange.
fn bounded(payment: &Payment, dispute: &Dispute) -> Result<Money, BillingError> {
    let received = booked_amount(payment)?;
    if dispute.amount.currency != received.currency || dispute.amount.minor <= 0 {
        return Ok(received);
    }
    Ok(Money { minor: dispute.amount.minor.min(received.minor), ..received })
}

/// Services of one payer that are looked at: a business with more has a person to speak to.
const MOST_SERVICES: usize = 200;
