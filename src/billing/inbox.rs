//! The inbox of webhooks: each event is kept once, answered, and then asked about.
//!
//! An event confirms nothing: it only makes us ask earlier than the clock would. So a forged one costs a question, a
//! repeated one costs nothing, and one that never comes costs time. The one rule: it is durable before it is
//! acknowledged.

use jiff::Timestamp;

use super::attempts::Attempts;
use super::book::{MOST_TRIES, submit};
use super::fault::BillingError;
use super::provider::{Delivery, Hint, NotTaken};
use super::settle::note;
use crate::domain::ids::PaymentId;
use crate::domain::payment::{Payment, PaymentStatus, ProviderName};
use crate::domain::payment_event::PaymentEvent;
use crate::store::contract::{CommitError, IndexValue, Page, Range, Record, Unit};
use crate::store::tables::money::{Payments, provider_key};
use crate::store::tables::payment_events::{PaymentEvents, event_key};

/// Why a webhook was not answered with yes.
#[derive(Debug, thiserror::Error)]
pub enum InboxError {
    /// It is not taken.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// Ours; the provider sends it again.
    #[error(transparent)]
    Billing(#[from] BillingError),
}

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// It is new.
    New,
    /// It came before.
    Again,
}

impl Attempts {
    /// The header that carries the signature of a provider's webhooks; `None` where it is not configured.
    #[must_use]
    pub fn signature_header(&self, provider: ProviderName) -> Option<&'static str> {
        self.providers().get(provider).map(super::provider::Provider::signature_header)
    }

    /// Takes a webhook: checks its signature, keeps it, and asks the provider about what it may be about.
    ///
    /// # Errors
    /// [`InboxError`].
    pub async fn receive(
        &self,
        provider: ProviderName,
        delivery: &Delivery<'_>,
    ) -> Result<Received, InboxError> {
        let one = self.providers().get(provider).ok_or(NotTaken::NotConfigured)?;
        let hint = one.read(delivery)?;
        let texts = [Some(&hint.kind), Some(&hint.object), hint.reference.as_ref(), hint.checkout.as_ref()];
        if !texts.into_iter().flatten().all(|text| is_plain(text)) {
            return Err(NotTaken::Unreadable.into());
        }
        let mut tries = 0;
        loop {
            tries += 1;
            match self.keep(provider, &hint, delivery.now).await {
                Err(BillingError::Commit(CommitError::Conflict { collection: "payment_events", .. })) => {
                    // It may be the same words about something that was not done when they were first said.
                    if let Some(record) = self.about(provider, &hint).await?
                        && !record.body.status.is_booked()
                        && self.may_ask(record.body.id, delivery.now)
                    {
                        self.look_soon(record.body.id, delivery.now);
                    }
                    return Ok(Received::Again);
                }
                Err(BillingError::Commit(CommitError::Conflict { .. })) if tries < MOST_TRIES => {}
                answer => {
                    answer?;
                    return Ok(Received::New);
                }
            }
        }
    }

    async fn keep(&self, provider: ProviderName, hint: &Hint, now: Timestamp) -> Result<(), BillingError> {
        let found = self.about(provider, hint).await?;
        let may_be_money = found.is_none() && hint.reference.is_some() && provider != ProviderName::Mpesa;
        let event = PaymentEvent {
            provider,
            kind: hint.kind.clone(),
            object: hint.object.clone(),
            payment_id: found.as_ref().map(|record| record.body.id),
            reference: hint.reference.clone(),
            checkout: hint.checkout.clone(),
            received_at: now,
            tries: 0,
            next_try_at: may_be_money.then_some(now),
        };
        let key = event_key(provider.name(), &hint.kind, &hint.object);
        let mut unit =
            Unit::once(self.0.parts.entropy.uuid_v7(now)?).create::<PaymentEvents>(&key, &event)?;
        let id = found.as_ref().map(|record| record.body.id);
        if let Some(record) = found {
            let payment = hinted(&record.body, hint, now);
            unit = unit.replace::<Payments>(&payment.id, record.version, &payment)?;
        }
        submit(&self.0.parts.store, unit).await?;
        match id {
            // At once, beside the job, which may be waiting for a slow provider.
            Some(id) => self.look_soon(id, now),
            None => self.0.wake.pull(),
        }
        Ok(())
    }

    fn look_soon(&self, id: PaymentId, now: Timestamp) {
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.look(id, now).await {
                tracing::warn!(payment.id = %id, %error, "A payment that a webhook told of is asked about again");
            }
            this.0.wake.pull();
        });
    }

    /// The payment that a hint may be about.
    async fn about(
        &self,
        provider: ProviderName,
        hint: &Hint,
    ) -> Result<Option<Record<Payments>>, BillingError> {
        let name = provider.name();
        if let Some(reference) = &hint.reference
            && let Some(found) = self.0.parts.till.by_reference(reference).await?
        {
            return Ok((found.body.provider == provider).then_some(found));
        }
        for (index, theirs) in
            [("provider_checkout", &hint.checkout), ("provider_transaction", &hint.transaction)]
        {
            let Some(theirs) = theirs else { continue };
            let range = Range::Equals(index, IndexValue::Text(provider_key(name, theirs)));
            let found = self.0.parts.store.scan::<Payments>(range, Page::first(1)).await?;
            if let Some(record) = found.records.into_iter().next() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// The record after a hint: due now; and, where its start was never answered, with the name it is asked about by.
fn hinted(payment: &Payment, hint: &Hint, now: Timestamp) -> Payment {
    let mut payment = payment.clone();
    payment.next_poll_at = Some(now);
    let is_lost = matches!(payment.status, PaymentStatus::Created | PaymentStatus::Unknown);
    if payment.checkout.is_none() && is_lost {
        payment.checkout.clone_from(&hint.checkout);
    }
    if let Some(receipt) = &hint.receipt
        && !payment.note.as_deref().unwrap_or_default().contains(receipt.as_str())
    {
        note(&mut payment, &format!("receipt {receipt}"));
    }
    if hint.kind.contains("chargeback") && !payment.note.as_deref().unwrap_or_default().contains(CHARGEBACK) {
        note(&mut payment, CHARGEBACK);
    }
    payment.updated_at = now;
    payment
}

/// Providers' words and names are short and printable; anything else is not theirs.
fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && !text.chars().any(char::is_control)
}

/// What staff read of a dispute that its gateway tells of and cannot be asked about.
const CHARGEBACK: &str = "the gateway tells of a chargeback; see its dashboard, and book it as a dispute";
/// Longer than any name of a provider's, short enough for a key.
const LONGEST: usize = 200;
