//! Receipts that nobody was known for, given to whom they belong.
//!
//! Staff say whose money it is; from the unmatched account it goes to what that customer owes, oldest first, and the
//! rest into their wallet. The one rule: a receipt is matched once, and money in another currency never.

use jiff::Timestamp;
use serde_json::json;

use super::apply::Open;
use super::book::{Leaf, MOST_TRIES, may_try_again};
use super::counter::from_wallet;
use super::fault::BillingError;
use super::settle::{Extra, Till, note};
use crate::domain::ids::{PaymentId, SubscriberId};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::money::Money;
use crate::domain::payment::Payment;
use crate::notify::news::News;
use crate::store::contract::CommitError;
use crate::store::tables::money::Payments;

impl Till {
    /// Gives an unmatched receipt to a customer. Asked again for the same customer, nothing happens twice.
    ///
    /// # Errors
    /// `NotFound`; a rule where it belongs to somebody already or came in another currency; faults of ours.
    pub async fn match_receipt(
        &self,
        id: PaymentId,
        subscriber: SubscriberId,
        extra: Option<Extra<'_>>,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.match_once(id, subscriber, extra, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    async fn match_once(
        &self,
        id: PaymentId,
        subscriber: SubscriberId,
        extra: Option<Extra<'_>>,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        let mut leaf = self.book.open().await;
        let Some(record) = self.store.get::<Payments>(&id).await? else {
            return Err(BillingError::not_found("payment", id));
        };
        let payment = record.body;
        if !is_unmatched(&leaf, &payment).await? {
            if payment.subscriber_id == Some(subscriber) {
                return Ok(payment);
            }
            return Err(BillingError::rule(
                "this receipt belongs to somebody; only an unmatched one is matched",
            ));
        }
        self.shop.subscriber(subscriber).await?;
        let came = payment.received.unwrap_or(payment.expected);
        if came.currency != self.settings.currency {
            return Err(BillingError::rule(format!(
                "it came in {} and wallets here hold {}; give it back, or exchange it outside and book that",
                came.currency, self.settings.currency
            )));
        }
        let left = Money { minor: came.minor.saturating_sub(payment.refunded()), ..came };
        if left.minor <= 0 {
            return Err(BillingError::rule("all of it went back; there is nothing to match"));
        }
        self.hand_over(&mut leaf, &payment, subscriber, left, now).await?;
        let mut payment = Payment { subscriber_id: Some(subscriber), updated_at: now, ..payment };
        note(&mut payment, "matched by staff");
        let payload = json!({
            "customer_id": subscriber, "amount": left.decimal(), "currency": left.currency.code(),
        });
        leaf.change(|unit| {
            let unit = unit.replace::<Payments>(&id, record.version, &payment)?;
            let unit = unit.event("payment.matched", id, payload);
            match extra {
                Some(extra) => extra(unit, &payment, None),
                None => Ok::<_, CommitError>(unit),
            }
        })?;
        leaf.commit(now).await?;
        Ok(payment)
    }

    /// Moves the money: into the wallet, and from it onto what is owed.
    async fn hand_over(
        &self,
        leaf: &mut Leaf,
        payment: &Payment,
        subscriber: SubscriberId,
        left: Money,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let source = match_source(payment.id);
        let memo = format!("Receipt {} matched", payment.reference);
        leaf.post(
            Entry::new(PostingKind::Payment, source.clone(), memo)
                .debit(Account::Unmatched(left.currency), left)
                .credit(Account::Wallet(subscriber), left),
        );
        let mut open = Open::of(&self.store, subscriber).await?;
        let spent = open.pay(left, &[], now)?;
        leaf.post(from_wallet(subscriber, spent, format!("{source}/applied"), "Paid from the wallet"));
        open.write(leaf, now).await?;
        let reference = payment.reference.clone();
        self.news(leaf, subscriber, News::Receipt { amount: left, at: now, reference }, now).await;
        self.tell_restored(leaf, now).await?;
        self.wake_renewals(leaf, subscriber, now).await
    }
}

/// Whether the money of a payment is with nobody: it was booked so, and not matched since.
pub(super) async fn is_unmatched(leaf: &Leaf, payment: &Payment) -> Result<bool, BillingError> {
    let Some(booked) = leaf.booked(&format!("payment:{}", payment.id)).await? else { return Ok(false) };
    if booked.amount_on(&Account::Unmatched(booked.currency)) == 0 {
        return Ok(false);
    }
    Ok(leaf.booked(&match_source(payment.id)).await?.is_none())
}

fn match_source(id: PaymentId) -> String {
    format!("match:{id}")
}
