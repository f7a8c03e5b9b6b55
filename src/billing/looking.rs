//! Asking providers: about one payment, about all that are due, and about money that nobody here asked for.
//!
//! Whatever the answer, it ends in the till. The one rule: no answer changes nothing; the next time to ask is in the
//! record, so it survives a restart.

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;

use super::attempts::{Attempts, next_poll};
use super::book::submit;
use super::fault::BillingError;
use super::provider::{CallError, RefundAnswer, Verdict};
use super::settle::{Settlement, note};
use crate::domain::ids::PaymentId;
use crate::domain::money::Money;
use crate::domain::payment::{Confirmation, Method, Outcome, Payment, PaymentStatus, Refund, RefundStatus};
use crate::domain::payment_event::PaymentEvent;
use crate::store::contract::{CommitError, IndexValue, Page, Range, Record, Unit};
use crate::store::tables::money::Payments;
use crate::store::tables::payment_events::PaymentEvents;

/// What one run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Polled {
    /// Payments that were asked about.
    pub asked: usize,
    /// Those of which nothing is known, since their provider did not answer.
    pub unanswered: usize,
    /// When the next one is due.
    pub next_due: Option<Timestamp>,
}

impl Attempts {
    /// Asks the provider about a payment, and has the till book the answer.
    ///
    /// # Errors
    /// `Provider` where there was no answer; faults of ours. Then nothing changed.
    pub async fn look(&self, id: PaymentId, now: Timestamp) -> Result<Option<Settlement>, BillingError> {
        let payment = self.resumed(self.record(id).await?.body, now).await?;
        let verdict = self.0.parts.providers.verify(&payment, now).await.map_err(|error| fault(&error))?;
        let Verdict::Known { said, back, disputes } = verdict else { return Ok(None) };
        if said.reference != payment.reference {
            return Err(BillingError::Provider("it answered about another payment".to_owned()));
        }
        let till = &self.0.parts.till;
        let settled = till.settle(&said, now).await?;
        if back > 0 {
            let outcome = Outcome::Refunded(back);
            till.settle(&Confirmation { outcome, ..(*said).clone() }, now).await?;
        }
        for dispute in &disputes {
            till.disputed(id, dispute, None, now).await?;
        }
        Ok(Some(settled))
    }

    /// An attempt whose start got no answer, begun once more under the same reference where the provider then gives
    /// the same attempt; else as it is.
    async fn resumed(&self, payment: Payment, now: Timestamp) -> Result<Payment, BillingError> {
        let is_open = matches!(payment.status, PaymentStatus::Created | PaymentStatus::Unknown);
        let provider = self.0.parts.providers.get(payment.provider);
        let may = provider.is_some_and(super::provider::Provider::may_start_again);
        let (true, true, None, Some(owner)) = (is_open, may, &payment.checkout, payment.subscriber_id) else {
            return Ok(payment);
        };
        let payer = self.payer(owner).await?;
        Ok(self.start(payment, &payer, None, now).await?.payment)
    }

    /// Asks about everything that is due, at most [`BATCH`] at a time and several at once.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn poll_due(&self, now: Timestamp) -> Result<Polled, BillingError> {
        let mut run = Polled::default();
        let due = self.due(now.as_millisecond(), BATCH).await?;
        let mut asking = JoinSet::new();
        for record in due {
            if asking.len() >= AT_ONCE {
                count(&mut run, asking.join_next().await);
            }
            let this = self.clone();
            asking.spawn(async move { this.poll_one(record.body.id, now).await });
        }
        while let Some(one) = asking.join_next().await {
            count(&mut run, Some(one));
        }
        self.ask_about_strangers(now).await?;
        run.next_due = self.due(i64::MAX, 1).await?.first().and_then(|record| record.body.next_poll_at);
        Ok(run)
    }

    async fn due(&self, until_millis: i64, most: usize) -> Result<Vec<Record<Payments>>, BillingError> {
        let (from, to) = (IndexValue::Integer(i64::MIN), IndexValue::Integer(until_millis));
        let range = Range::Between("next_poll_at", from, to);
        Ok(self.0.parts.store.scan::<Payments>(range, Page::first(most)).await?.records)
    }

    /// One payment by the clock: asks, gives back what is to go back, and writes down when to ask again.
    async fn poll_one(&self, id: PaymentId, now: Timestamp) -> Result<(), BillingError> {
        let refunds = self.give_back(id, now).await;
        let looked = self.look(id, now).await.map(|_| ());
        self.schedule(id, looked.is_ok(), now).await?;
        refunds.and(looked)
    }

    /// When to ask next; an attempt that was asked about often enough has expired.
    async fn schedule(&self, id: PaymentId, is_known: bool, now: Timestamp) -> Result<(), BillingError> {
        let record = self.record(id).await?;
        let mut payment = record.body.clone();
        let pending =
            payment.refunds.iter().filter(|one| one.status == RefundStatus::Pending).map(|one| one.at).max();
        payment.next_poll_at = match (payment.status.is_booked(), pending) {
            // A refund takes days; it is looked after until it is done.
            (true, Some(since)) => next_poll(since, now).or_else(|| now.saturating_add(DAILY).ok()),
            // Something was told of it, and nobody answered yet what.
            (true, None) if !is_known => now.saturating_add(SOON).ok(),
            // A dispute is decided in weeks; without a webhook it is heard of by asking.
            (true, None) if is_under_dispute(&payment, now) => now.saturating_add(DAILY).ok(),
            (true, None) => None,
            (false, _) => next_poll(payment.created_at, now),
        };
        payment.polls = payment.polls.saturating_add(1);
        let is_over = payment.next_poll_at.is_none();
        match payment.status {
            PaymentStatus::Created | PaymentStatus::Pending if is_over => {
                payment.status = PaymentStatus::Expired
            }
            PaymentStatus::Unknown if is_over => {
                payment.status = PaymentStatus::Expired;
                note(&mut payment, "the gateway never answered about it");
            }
            PaymentStatus::Created
            | PaymentStatus::Pending
            | PaymentStatus::Unknown
            | PaymentStatus::Succeeded
            | PaymentStatus::Failed
            | PaymentStatus::Expired
            | PaymentStatus::Cancelled
            | PaymentStatus::PartiallyRefunded
            | PaymentStatus::Refunded
            | PaymentStatus::Disputed => {}
        }
        payment.updated_at = now;
        let unit = Unit::once(self.0.parts.entropy.uuid_v7(now)?).replace::<Payments>(
            &id,
            record.version,
            &payment,
        )?;
        match submit(&self.0.parts.store, unit).await {
            // Somebody else changed it meanwhile; it is still due, and looked at again.
            Ok(()) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the provider do the refunds that are booked and not done.
    ///
    /// # Errors
    /// `Provider` where there was no answer; then it is asked again.
    pub async fn give_back(&self, id: PaymentId, now: Timestamp) -> Result<(), BillingError> {
        let payment = self.record(id).await?.body;
        let is_pending = |refund: &&Refund| refund.status == RefundStatus::Pending;
        for refund in payment.refunds.iter().filter(is_pending) {
            let answer =
                self.0.parts.providers.refund(&payment, refund, now).await.map_err(|error| fault(&error))?;
            match answer {
                RefundAnswer::Done(name) => {
                    self.0.parts.till.refund_answered(id, &refund.key, Ok(name), now).await?;
                }
                RefundAnswer::Refused(why) => {
                    self.0.parts.till.refund_answered(id, &refund.key, Err(why), now).await?;
                }
                RefundAnswer::Pending(name) if name != refund.transaction => {
                    self.remember(id, &refund.key, name, now).await?;
                }
                RefundAnswer::Pending(_) => {}
            }
        }
        Ok(())
    }

    /// Writes down what the provider calls a refund, so that it is asked about by that name.
    async fn remember(
        &self,
        id: PaymentId,
        key: &str,
        name: Option<String>,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let record = self.record(id).await?;
        let mut payment = record.body.clone();
        for refund in payment.refunds.iter_mut().filter(|refund| refund.key == key) {
            refund.transaction.clone_from(&name);
        }
        let unit = Unit::once(self.0.parts.entropy.uuid_v7(now)?).replace::<Payments>(
            &id,
            record.version,
            &payment,
        )?;
        Ok(submit(&self.0.parts.store, unit).await?)
    }

    /// Money that a webhook told of and no attempt of ours asked for: kept as a receipt if the provider confirms it.
    async fn ask_about_strangers(&self, now: Timestamp) -> Result<(), BillingError> {
        let (from, to) = (IndexValue::Integer(i64::MIN), IndexValue::Integer(now.as_millisecond()));
        let range = Range::Between("next_try_at", from, to);
        let found = self.0.parts.store.scan::<PaymentEvents>(range, Page::first(BATCH)).await?;
        for record in found.records {
            let mut event = record.body.clone();
            let known =
                self.0.parts.till.by_reference(event.reference.as_deref().unwrap_or_default()).await?;
            event.tries = event.tries.saturating_add(1);
            event.next_try_at = match (known, self.0.parts.providers.verify(&probe(&event, now), now).await) {
                (Some(_), _) => None,
                (None, Ok(Verdict::Known { said, .. })) if said.outcome == Outcome::Succeeded => {
                    self.0.parts.till.settle(&said, now).await?;
                    None
                }
                (None, Ok(Verdict::Known { .. } | Verdict::NotKnown) | Err(_)) => {
                    next_poll(event.received_at, now)
                }
            };
            let unit = Unit::once(self.0.parts.entropy.uuid_v7(now)?).replace::<PaymentEvents>(
                &record.key,
                record.version,
                &event,
            )?;
            submit(&self.0.parts.store, unit).await?;
        }
        Ok(())
    }
}

/// What a provider is asked with where there is no record of ours.
fn probe(event: &PaymentEvent, now: Timestamp) -> Payment {
    Payment {
        id: PaymentId(uuid::Uuid::nil()),
        subscriber_id: None,
        order_id: None,
        provider: event.provider,
        reference: event.reference.clone().unwrap_or_default(),
        checkout: event.checkout.clone(),
        transaction: None,
        url: None,
        status: PaymentStatus::Unknown,
        expected: Money::zero(crate::domain::money::Currency::NONE),
        received: None,
        fee: None,
        method: Method::Other,
        refunds: Vec::new(),
        taken_by: None,
        note: None,
        polls: 0,
        next_poll_at: None,
        created_at: now,
        settled_at: None,
        updated_at: now,
    }
}

fn count(run: &mut Polled, one: Option<Result<Result<(), BillingError>, tokio::task::JoinError>>) {
    let Some(one) = one else { return };
    run.asked = run.asked.saturating_add(1);
    match one {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(%error, "A payment's provider gave no answer; it is asked again");
            run.unanswered = run.unanswered.saturating_add(1);
        }
        Err(_) => run.unanswered = run.unanswered.saturating_add(1),
    }
}

/// Whether a bank has some of it, and may still give it back.
fn is_under_dispute(payment: &Payment, now: Timestamp) -> bool {
    let is_fresh = |one: &Refund| now.duration_since(one.at) < DISPUTES_LAST;
    payment.refunds.iter().any(|one| one.is_chargeback && one.status == RefundStatus::Done && is_fresh(one))
}

fn fault(error: &CallError) -> BillingError {
    BillingError::Provider(error.to_string())
}

/// Payments that one run asks about: at [`AT_ONCE`] and 20 s each it still ends within two minutes.
const BATCH: usize = 64;
/// Questions under way at a time: one slow provider must not hold the others up.
const AT_ONCE: usize = 16;
/// Until a gateway that did not answer about a booked payment is asked again.
const SOON: SignedDuration = SignedDuration::from_mins(5);
/// A card scheme decides within 75 days of the shop's answer, which has some weeks itself.
const DISPUTES_LAST: SignedDuration = SignedDuration::from_hours(24 * 120);
/// How often a refund under way is looked after.
const DAILY: SignedDuration = SignedDuration::from_hours(24);
