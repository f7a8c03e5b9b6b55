//! Money that goes back, or is taken back.
//!
//! Booked first, then done: a refund is in the ledger before the provider is asked, so that two cannot give the
//! same money back, and is reversed when the provider refuses. The one rule: the sum of what went back never
//! exceeds what came.

use jiff::Timestamp;
use serde_json::json;

use super::book::{Leaf, MOST_TRIES, may_try_again};
use super::documents::Numbers;
use super::fault::BillingError;
use super::matching::is_unmatched;
use super::settle::{Settlement, Till};
use super::wallet::UnitExtra;
use crate::domain::ids::{PaymentId, SubscriberId};
use crate::domain::ledger::{Account, Entry, PostingKind};
use crate::domain::money::Money;
use crate::domain::order::Purchase;
use crate::domain::payment::{Method, Payment, PaymentStatus, ProviderName, Refund, RefundStatus};
use crate::domain::service::IntervalState;
use crate::notify::news::News;
use crate::store::contract::Record;
use crate::store::tables::money::{InvoiceStandings, Invoices, Orders, Payments};

/// What a refund is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundWish {
    /// The key it is asked for under; asked again, nothing happens twice.
    pub key: String,
    /// How much; all that is left where nothing is said.
    pub amount: Option<Money>,
    /// Why.
    pub reason: String,
    /// What becomes of what was bought.
    pub policy: RefundPolicy,
    /// Whether somebody has given it back already, or will: the gateway is not asked.
    pub by_hand: bool,
    /// Whether who asks may give back more than the site's limit.
    pub may_be_large: bool,
}

/// What becomes of what was bought with money that goes back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundPolicy {
    /// It stays.
    Keep,
    /// What was paid for ends now.
    #[default]
    Cut,
}

impl Till {
    /// Books a refund of a payment; the caller then has the provider do it.
    ///
    /// # Errors
    /// `NotFound`; a rule where it exceeds what is left of the payment; faults of ours.
    pub async fn refund(
        &self,
        id: PaymentId,
        wish: &RefundWish,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<(Payment, Refund), BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let leaf = self.book.open().await;
            let Some(record) = self.store.get::<Payments>(&id).await? else {
                return Err(BillingError::not_found("payment", id));
            };
            if let Some(known) = record.body.refunds.iter().find(|refund| refund.key == wish.key) {
                return Ok((record.body.clone(), known.clone()));
            }
            match self.refund_in(leaf, record, wish, extra, now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer;
                }
            }
        }
    }

    async fn refund_in(
        &self,
        mut leaf: Leaf,
        record: Record<Payments>,
        wish: &RefundWish,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<(Payment, Refund), BillingError> {
        let mut payment = record.body.clone();
        let received = booked_amount(&payment)?;
        let left = Money { minor: received.minor.saturating_sub(payment.refunded()), ..received };
        let amount = wish.amount.unwrap_or(left);
        if amount.currency != received.currency {
            return Err(BillingError::field("currency", format!("must be {}", received.currency)));
        }
        if amount.minor <= 0 || amount.minor > left.minor {
            return Err(BillingError::rule(format!("at most {left} of this payment can go back")));
        }
        self.within_limit(&payment, amount, wish)?;
        let by_hand = wish.by_hand || payment.taken_by.is_some();
        if !by_hand && payment.provider == ProviderName::Mpesa {
            return Err(BillingError::rule(NOT_BY_MPESA));
        }
        let refund = Refund {
            key: wish.key.clone(),
            amount,
            is_chargeback: false,
            status: if by_hand { RefundStatus::Done } else { RefundStatus::Pending },
            transaction: None,
            reason: wish.reason.clone(),
            at: now,
        };
        self.take_back(&mut leaf, &payment, amount, PostingKind::Refund, &wish.key, wish.policy, now).await?;
        payment.refunds.push(refund.clone());
        self.tell_refund(&mut leaf, &payment, amount, now).await;
        let payment = self.write_refund(&mut leaf, payment, record.version, now)?;
        if let Some(extra) = extra {
            leaf.change(extra)?;
        }
        leaf.commit(now).await?;
        Ok((payment, refund))
    }

    /// What goes back of one payment beyond the site's limit is for who may do that; in parts, too.
    fn within_limit(&self, payment: &Payment, amount: Money, wish: &RefundWish) -> Result<(), BillingError> {
        let limit = self.settings.large_refund.filter(|limit| limit.currency == amount.currency);
        // What is not in the site's currency cannot be compared, and is large.
        let sum = payment.given_back().saturating_add(amount.minor);
        let is_large = match (self.settings.large_refund, limit) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(_), Some(limit)) => sum > limit.minor,
        };
        if is_large && !wish.may_be_large {
            let limit = self.settings.large_refund.unwrap_or_else(|| Money::zero(amount.currency));
            return Err(BillingError::NotAllowed(format!(
                "more than {limit} of a payment goes back by somebody with refunds:large"
            )));
        }
        Ok(())
    }

    /// Tells a payer that money goes back.
    async fn tell_refund(&self, leaf: &mut Leaf, payment: &Payment, amount: Money, now: Timestamp) {
        if let Some(subscriber) = payment.subscriber_id {
            let reference = payment.reference.clone();
            self.news(leaf, subscriber, News::Refunded { amount, at: now, reference }, now).await;
        }
    }

    /// What the provider gave back by itself: booked up to the sum that it names.
    pub(super) async fn returned(
        &self,
        mut leaf: Leaf,
        known: Record<Payments>,
        sum: Money,
        now: Timestamp,
    ) -> Result<Settlement, BillingError> {
        let mut payment = known.body.clone();
        let received = booked_amount(&payment)?;
        let sum = sum.minor.min(received.minor);
        let more = Money { minor: sum.saturating_sub(payment.given_back()), ..received };
        if more.minor <= 0 || sum <= 0 {
            return Ok(Settlement::AlreadyBooked(payment.id));
        }
        let (kind, key) = (PostingKind::Refund, format!("provider:{sum}"));
        self.take_back(&mut leaf, &payment, more, kind, &key, RefundPolicy::Cut, now).await?;
        payment.refunds.push(Refund {
            key,
            amount: more,
            is_chargeback: false,
            status: RefundStatus::Done,
            transaction: None,
            reason: "refunded at the provider".to_owned(),
            at: now,
        });
        self.tell_refund(&mut leaf, &payment, more, now).await;
        let id = payment.id;
        self.write_refund(&mut leaf, payment, known.version, now)?;
        leaf.commit(now).await?;
        (self.wake)();
        Ok(Settlement::Returned(id))
    }

    /// Moves the money, and undoes what it bought.
    #[expect(clippy::too_many_arguments, reason = "one posting needs to know all of it")]
    pub(super) async fn take_back(
        &self,
        leaf: &mut Leaf,
        payment: &Payment,
        amount: Money,
        kind: PostingKind,
        key: &str,
        policy: RefundPolicy,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        // Money in another currency is with nobody, also where its payer is known.
        let nobodys = is_unmatched(leaf, payment).await?;
        let Some(subscriber) = payment.subscriber_id.filter(|_| !nobodys) else {
            let from = Account::Unmatched(amount.currency);
            leaf.post(self.outgoing(payment, amount, kind, key, from));
            return Ok(());
        };
        let order = match payment.order_id {
            Some(id) => self.store.get::<Orders>(&id).await?.map(|record| record.body),
            None => None,
        };
        let invoice_id = order.as_ref().and_then(|order| order.invoice_id);
        let credited = match invoice_id {
            Some(id) => {
                self.credit(leaf, id, amount, &format!("refund of payment {}", payment.reference), now)
                    .await?
            }
            None => Money::zero(amount.currency),
        };
        let rest = amount.checked_sub(credited)?;
        let (name, to) = (payment.provider.name(), held_at(payment, amount));
        let entry =
            Entry::new(kind, format!("refund:{}/{key}", payment.id), format!("Back to the payer by {name}"))
                .debit(Account::Receivable(subscriber), credited)
                .debit(Account::Wallet(subscriber), rest)
                .credit(to, amount);
        leaf.post(entry);
        if kind == PostingKind::Refund
            && rest.minor > 0
            && leaf.balance(&Account::Wallet(subscriber)).await? > 0
        {
            return Err(BillingError::rule(
                "the money is spent already: the wallet holds less than is to go back; credit the invoice that it paid first",
            ));
        }
        let is_all = amount.minor >= booked_amount(payment)?.minor.saturating_sub(payment.refunded());
        if let (RefundPolicy::Cut, Some(order), true) = (policy, order, is_all) {
            let (Purchase::Period { service_id } | Purchase::TopUp { service_id, .. }) = order.purchase
            else {
                return Ok(());
            };
            cut(leaf, service_id, &format!("order:{}", order.id), now).await?;
        }
        Ok(())
    }

    /// A credit note over what goes back, at most what the invoice has left; gives how much that was.
    async fn credit(
        &self,
        leaf: &mut Leaf,
        id: crate::domain::ids::InvoiceId,
        amount: Money,
        reason: &str,
        now: Timestamp,
    ) -> Result<Money, BillingError> {
        let (Some(invoice), Some(standing)) =
            (self.store.get::<Invoices>(&id).await?, self.store.get::<InvoiceStandings>(&id).await?)
        else {
            return Ok(Money::zero(amount.currency));
        };
        let (version, mut standing) = (standing.version, standing.body);
        let left = standing.total.minor.saturating_sub(standing.credited).min(standing.paid);
        let part = Money { minor: amount.minor.min(left), ..amount };
        if part.minor <= 0 {
            return Ok(Money::zero(amount.currency));
        }
        let documents = &self.shop.documents;
        documents
            .credit_note(leaf, &mut Numbers::default(), (&invoice.body, &standing), part, reason, now)
            .await?;
        standing.credited = standing.credited.saturating_add(part.minor);
        standing.paid = standing.paid.saturating_sub(part.minor);
        leaf.change(|unit| unit.replace::<InvoiceStandings>(&id, version, &standing))?;
        Ok(part)
    }

    fn outgoing(
        &self,
        payment: &Payment,
        amount: Money,
        kind: PostingKind,
        key: &str,
        from: Account,
    ) -> Entry {
        let memo = format!("Back to the payer by {}", payment.provider.name());
        Entry::new(kind, format!("refund:{}/{key}", payment.id), memo)
            .debit(from, amount)
            .credit(held_at(payment, amount), amount)
    }

    pub(super) fn write_refund(
        &self,
        leaf: &mut Leaf,
        mut payment: Payment,
        version: u64,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        let received = booked_amount(&payment)?;
        payment.status = if payment.is_disputed() {
            PaymentStatus::Disputed
        } else if payment.refunded() >= received.minor {
            PaymentStatus::Refunded
        } else if payment.refunded() > 0 {
            PaymentStatus::PartiallyRefunded
        } else {
            PaymentStatus::Succeeded
        };
        payment.updated_at = now;
        if payment.refunds.iter().any(|refund| refund.status == RefundStatus::Pending) {
            // Durable with its booking: whoever asks providers about what is due has it done.
            payment.next_poll_at = Some(now);
        }
        let payload = json!({
            "customer_id": payment.subscriber_id, "refunded": payment.refunded(), "status": payment.status.name(),
        });
        let id = payment.id;
        leaf.change(|unit| {
            Ok(unit.replace::<Payments>(&id, version, &payment)?.event("payment.refunded", id, payload))
        })?;
        Ok(payment)
    }

    /// What the provider answered about a refund: done, or refused, which reverses its booking.
    ///
    /// # Errors
    /// `NotFound`; faults of ours.
    pub async fn refund_answered(
        &self,
        id: PaymentId,
        key: &str,
        answer: Result<Option<String>, String>,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        let mut leaf = self.book.open().await;
        let Some(record) = self.store.get::<Payments>(&id).await? else {
            return Err(BillingError::not_found("payment", id));
        };
        let mut payment = record.body.clone();
        let Some(refund) = payment.refunds.iter_mut().find(|refund| refund.key == key) else {
            return Err(BillingError::not_found("refund", key));
        };
        if refund.status != RefundStatus::Pending {
            return Ok(record.body);
        }
        match answer {
            Ok(transaction) => {
                refund.status = RefundStatus::Done;
                refund.transaction = transaction;
            }
            Err(why) => {
                refund.status = RefundStatus::Failed;
                refund.reason = format!("{} (refused: {why})", refund.reason);
                let amount = refund.amount;
                // What was credited stays credited: the money is in the wallet, and staff decide.
                let nobodys = is_unmatched(&leaf, &payment).await?;
                let owner = payment.subscriber_id.filter(|_| !nobodys);
                let into = owner.map_or(Account::Unmatched(amount.currency), Account::Wallet);
                let source = format!("refund:{id}/{key}");
                let undone = leaf.booked(&source).await?.map(|posting| posting.id);
                let mut entry =
                    Entry::new(PostingKind::Refund, format!("{source}/refused"), "A refund was refused")
                        .debit(held_at(&payment, amount), amount)
                        .credit(into, amount);
                entry.reverses = undone;
                leaf.post(entry);
            }
        }
        let payment = self.write_refund(&mut leaf, payment, record.version, now)?;
        leaf.commit(now).await?;
        Ok(payment)
    }
}

/// What was booked of a payment.
pub(super) fn booked_amount(payment: &Payment) -> Result<Money, BillingError> {
    match payment.received {
        Some(received) if payment.status.is_booked() => Ok(received),
        Some(_) | None => {
            Err(BillingError::rule("nothing was received by this payment; nothing can go back"))
        }
    }
}

/// Where the money of a payment is.
pub(super) fn held_at(payment: &Payment, amount: Money) -> Account {
    match payment.taken_by {
        Some(staff) if payment.method == Method::Cash => Account::Cash(staff),
        Some(_) => Account::clearing("bank", amount.currency),
        None => Account::clearing(payment.provider.name(), amount.currency),
    }
}

/// What an order bought ends now.
async fn cut(
    leaf: &mut Leaf,
    id: crate::domain::ids::ServiceId,
    source: &str,
    now: Timestamp,
) -> Result<(), BillingError> {
    let contract = match leaf.contract(id, now).await {
        Err(BillingError::NotFound { .. }) => return Ok(()),
        contract => contract?,
    };
    // What a pause has put by goes, too, and so does a top-up.
    let is_of = |held: &str| held == source || held.strip_prefix(super::pause::PUT_BY) == Some(source);
    for interval in contract.service.intervals.iter_mut().filter(|one| is_of(&one.source)) {
        interval.state = IntervalState::Reversed;
    }
    for top_up in contract.service.extras.top_ups.iter_mut().filter(|one| one.source == source) {
        top_up.is_void = true;
    }
    contract.service.updated_at = now;
    // The next period is counted anew.
    contract.subscription.next_index = 0;
    contract.subscription.next_due_at = Some(now);
    let subscriber: SubscriberId = contract.service.subscriber_id;
    leaf.change(|unit| Ok(unit.event("service.refunded", id, json!({ "customer_id": subscriber }))))
}

/// Why M-Pesa is not asked, and what to do: its reversals answer only to an address that the Internet reaches, need an
/// operator's password of its own, and cannot be asked about afterwards.
pub const NOT_BY_MPESA: &str = "M-Pesa gives nothing back over this connection; give it back in the M-PESA organisation portal, then \
                                book it here with by_hand set to true";
