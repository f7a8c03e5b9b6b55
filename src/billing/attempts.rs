//! Attempts at paying: begun here, asked about here, and booked by the till.
//!
//! The record is durable before the provider is called. What became of an attempt is always the provider's answer
//! to a question of ours, whoever says that it is time to ask: a webhook, the browser that came back, the clock. The
//! one rule: an attempt whose start got no answer is asked about under its reference, and never begun under another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::book::{MOST_TRIES, submit};
use super::fault::BillingError;
use super::provider::{Attempt, CallError, Provider, Providers, Started};
use super::settle::{Till, note};
use crate::base::entropy::Entropy;
use crate::base::jobs::Activator;
use crate::domain::ids::{OrderId, PaymentId, SubscriberId};
use crate::domain::order::{Order, OrderStatus};
use crate::domain::payment::{Method, POLL_AFTER, Payment, PaymentStatus, ProviderName};
use crate::domain::subscriber::Subscriber;
use crate::store::Store;
use crate::store::contract::{CommitError, Page, Range, Record, Unit};
use crate::store::tables::Subscribers;
use crate::store::tables::money::{Orders, Payments};

/// Attempts at paying; cheap to clone.
#[derive(Clone)]
pub struct Attempts(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) parts: Parts,
    pub(super) wake: Activator,
    /// When a browser last made us ask about a payment.
    asked: Mutex<BTreeMap<PaymentId, Timestamp>>,
}

/// What [`Attempts`] is built from.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// For ids and references.
    pub entropy: Entropy,
    /// Where all that was confirmed ends.
    pub till: Till,
    /// The providers that are configured.
    pub providers: Providers,
    /// Where the portal's pages are: `https://portal.example.net`.
    pub origin: String,
    /// The place, for people.
    pub site: String,
}

/// An attempt that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// Its record.
    pub payment: Payment,
    /// What the payer does where there is no page.
    pub instruction: Option<String>,
}

impl Attempts {
    /// Puts the parts together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let (wake, asked) = (Activator::new(), Mutex::default());
        Self(Arc::new(Inner { parts, wake, asked }))
    }

    /// What wakes the job that asks about attempts.
    #[must_use]
    pub fn activator(&self) -> Activator {
        self.0.wake.clone()
    }

    /// The providers that are configured.
    #[must_use]
    pub fn providers(&self) -> &Providers {
        &self.0.parts.providers
    }

    /// Begins to pay an order of this subscriber. Asked again while the payer may still be on the way, it gives the
    /// attempt that there is.
    ///
    /// # Errors
    /// A field or a rule in a sentence; `Provider` where the provider was not reached or refused; faults of ours.
    pub async fn begin(
        &self,
        owner: SubscriberId,
        order: OrderId,
        gateway: &str,
        phone: Option<&str>,
        now: Timestamp,
    ) -> Result<Begun, BillingError> {
        let provider = self.named(gateway)?;
        let order = self.open_order(owner, order, now).await?;
        let made = self.of_order(order.id).await?;
        let is_same = |payment: &&Payment| {
            payment.provider == provider.name()
                // A coupon may have lowered the price since.
                && payment.expected == order.total()
                && payment.status == PaymentStatus::Pending
                && payment.url.is_some()
                && now.duration_since(payment.created_at) < FRESH
        };
        if let Some(payment) = made.iter().rev().find(is_same) {
            return Ok(Begun { payment: payment.clone(), instruction: None });
        }
        if made.len() >= MOST_ATTEMPTS {
            return Err(BillingError::rule(
                "this was tried too often; make a new order, or ask your provider",
            ));
        }
        let payer = self.payer(owner).await?;
        let own_phone = payer.phone.as_ref().map(|phone| phone.as_str().to_owned());
        let phone = phone.map(str::to_owned).or(own_phone);
        if provider.needs_phone() && phone.is_none() {
            return Err(BillingError::field("phone", "a telephone number is needed for this way to pay"));
        }
        let payment = self.created(&order, provider, now)?;
        let payload =
            json!({ "customer_id": owner, "provider": payment.provider.name(), "order_id": order.id });
        let unit = Unit::once(self.0.parts.entropy.uuid_v7(now)?)
            .create::<Payments>(&payment.id, &payment)?
            .event("payment.created", payment.id, payload);
        submit(&self.0.parts.store, unit).await?;
        self.start(payment, &payer, phone.as_deref(), now).await
    }

    fn created(&self, order: &Order, provider: &Provider, now: Timestamp) -> Result<Payment, BillingError> {
        let id = PaymentId(self.0.parts.entropy.uuid_v7(now)?);
        let secret = self.0.parts.entropy.uuid_v7(now)?;
        Ok(Payment {
            id,
            subscriber_id: Some(order.subscriber_id),
            order_id: Some(order.id),
            provider: provider.name(),
            reference: format!("pay-{}", secret.simple()),
            checkout: None,
            transaction: None,
            url: None,
            status: PaymentStatus::Created,
            expected: order.total(),
            received: None,
            fee: None,
            method: if provider.needs_phone() { Method::MobileMoney } else { Method::Card },
            refunds: Vec::new(),
            taken_by: None,
            note: None,
            polls: 0,
            next_poll_at: next_poll(now, now),
            created_at: now,
            settled_at: None,
            updated_at: now,
        })
    }

    /// Calls the provider for an attempt that is written down.
    pub(super) async fn start(
        &self,
        payment: Payment,
        payer: &Subscriber,
        phone: Option<&str>,
        now: Timestamp,
    ) -> Result<Begun, BillingError> {
        let (return_url, email) = (self.return_url(&payment.reference), self.email(payer));
        let name = format!("{} {}", payer.first_name.as_str(), payer.last_name.as_str());
        let attempt = Attempt {
            reference: &payment.reference,
            amount: payment.expected,
            email: &email,
            name: name.trim(),
            phone,
            title: &self.0.parts.site,
            return_url: &return_url,
            origin: &self.0.parts.origin,
            now,
        };
        let answer = self.0.parts.providers.start(payment.provider, &attempt).await;
        // Who waits for the first question about it.
        self.0.wake.pull();
        let (name, id) = (payment.provider.name(), payment.id);
        match answer {
            Ok(started) => self.pending(id, started, now).await,
            Err(CallError::NoAnswer(why)) => {
                tracing::warn!(payment.id = %id, provider = name, why, "A payment's start got no answer; it is asked about");
                let change = |payment: &mut Payment| payment.status = PaymentStatus::Unknown;
                let payment = self.change(id, now, change).await?;
                Ok(Begun { payment, instruction: None })
            }
            Err(error @ (CallError::NotSent(_) | CallError::Unfit(_) | CallError::Refused(_))) => {
                let why = error.to_string();
                tracing::warn!(payment.id = %id, provider = name, why, "A payment could not begin");
                let change = |payment: &mut Payment| {
                    payment.status = PaymentStatus::Failed;
                    note(payment, &why);
                };
                self.change(id, now, change).await?;
                match error {
                    CallError::Unfit(sentence) => Err(BillingError::rule(sentence)),
                    CallError::NotSent(_) | CallError::NoAnswer(_) | CallError::Refused(_) => {
                        Err(BillingError::Provider(why))
                    }
                }
            }
        }
    }

    async fn pending(&self, id: PaymentId, started: Started, now: Timestamp) -> Result<Begun, BillingError> {
        let Started { checkout, url, instruction } = started;
        let change = |payment: &mut Payment| {
            payment.status = PaymentStatus::Pending;
            payment.checkout = checkout.clone().or_else(|| payment.checkout.take());
            payment.url.clone_from(&url);
        };
        Ok(Begun { payment: self.change(id, now, change).await?, instruction })
    }

    /// Changes an attempt that is not booked yet; one that was booked meanwhile stays as it is.
    pub(super) async fn change(
        &self,
        id: PaymentId,
        now: Timestamp,
        change: impl Fn(&mut Payment) + Send + Sync,
    ) -> Result<Payment, BillingError> {
        let store = &self.0.parts.store;
        let mut tries = 0;
        loop {
            tries += 1;
            let record = self.record(id).await?;
            if record.body.status.is_booked() {
                return Ok(record.body);
            }
            let mut payment = record.body.clone();
            change(&mut payment);
            payment.updated_at = now;
            let unit = Unit::once(self.0.parts.entropy.uuid_v7(now)?).replace::<Payments>(
                &id,
                record.version,
                &payment,
            )?;
            match submit(store, unit).await {
                Ok(()) => return Ok(payment),
                Err(CommitError::Conflict { .. }) if tries < MOST_TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A browser came back: asks about the payment, at most once in [`PAUSE`], and gives its record.
    ///
    /// # Errors
    /// `NotFound`; when the store cannot read.
    pub async fn returned(&self, reference: &str, now: Timestamp) -> Result<Payment, BillingError> {
        let Some(record) = self.0.parts.till.by_reference(reference).await? else {
            return Err(BillingError::not_found("payment", reference));
        };
        let id = record.body.id;
        if record.body.status.is_booked() || !self.may_ask(id, now) {
            return Ok(record.body);
        }
        if let Err(error) = self.look(id, now).await {
            tracing::warn!(payment.id = %id, %error, "A payment could not be asked about; it is asked again");
        }
        Ok(self.record(id).await?.body)
    }

    /// The record of a payment.
    ///
    /// # Errors
    /// `NotFound`; when the store cannot read.
    pub async fn payment(&self, id: PaymentId) -> Result<Payment, BillingError> {
        Ok(self.record(id).await?.body)
    }

    pub(super) fn may_ask(&self, id: PaymentId, now: Timestamp) -> bool {
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| now.duration_since(*at).abs() < PAUSE);
        if asked.contains_key(&id) || asked.len() >= MOST_ASKED {
            return false;
        }
        asked.insert(id, now);
        true
    }

    pub(super) async fn record(&self, id: PaymentId) -> Result<Record<Payments>, BillingError> {
        let found = self.0.parts.store.get::<Payments>(&id).await?;
        found.ok_or_else(|| BillingError::not_found("payment", id))
    }

    fn named(&self, gateway: &str) -> Result<&Provider, BillingError> {
        let provider = ProviderName::parse(gateway).and_then(|name| self.0.parts.providers.get(name));
        provider.ok_or_else(|| {
            BillingError::field("gateway", "is not offered here; see /api/v1/payment-gateways")
        })
    }

    async fn open_order(
        &self,
        owner: SubscriberId,
        id: OrderId,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let found = self.0.parts.store.get::<Orders>(&id).await?.map(|record| record.body);
        let Some(order) = found.filter(|order| order.subscriber_id == owner) else {
            return Err(BillingError::not_found("order", id));
        };
        let is_open =
            matches!(order.status, OrderStatus::Open | OrderStatus::Underpaid) && now < order.expires_at;
        if !is_open {
            return Err(BillingError::rule("this order is not open any more; make a new one"));
        }
        if order.total().minor <= 0 {
            return Err(BillingError::rule("this order costs nothing; there is nothing to pay"));
        }
        Ok(order)
    }

    async fn of_order(&self, id: OrderId) -> Result<Vec<Payment>, BillingError> {
        let range = Range::Equals("order_id", id.to_string().into());
        let found = self.0.parts.store.scan::<Payments>(range, Page::first(MOST_ATTEMPTS)).await?;
        Ok(found.records.into_iter().map(|record| record.body).collect())
    }

    pub(super) async fn payer(&self, id: SubscriberId) -> Result<Subscriber, BillingError> {
        let record = self.0.parts.store.get::<Subscribers>(&id).await?;
        record.map(|record| record.body).ok_or_else(|| BillingError::not_found("customer", id))
    }

    /// The payer's address; for one without, a name that leads to nobody, since some providers insist.
    fn email(&self, payer: &Subscriber) -> String {
        let host = self.0.parts.origin.split("://").nth(1).unwrap_or("localhost");
        let number = payer.customer_number.as_str().to_lowercase();
        payer.email.as_ref().map_or_else(|| format!("{number}@{host}"), |email| email.as_str().to_owned())
    }

    fn return_url(&self, reference: &str) -> String {
        format!("{}/pay/return?payment={reference}", self.0.parts.origin)
    }
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Attempts({:?})", self.0.parts.providers.names().collect::<Vec<_>>())
    }
}

/// When to ask next about what began at `since`; `None` when it was asked about often enough.
pub(super) fn next_poll(since: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let mut times = POLL_AFTER.iter().map(|after| since.saturating_add(*after).unwrap_or(Timestamp::MAX));
    times.find(|at| *at > now)
}

/// A payer who presses the button again within this is taken to the page that there is.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Attempts for one order: more is not a payer in trouble any more.
const MOST_ATTEMPTS: usize = 20;
/// A browser that reloads its page makes us ask this often at most.
pub(super) const PAUSE: SignedDuration = SignedDuration::from_secs(2);
/// Payments that browsers ask about within [`PAUSE`]; more are left to the clock.
const MOST_ASKED: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_is_asked_about_seven_times_within_a_day_and_once_after_a_long_sleep() {
        let since: Timestamp = "2026-03-01T08:00:00Z".parse().unwrap();
        let mut now = since;
        let mut after = Vec::new();
        while let Some(next) = next_poll(since, now) {
            after.push(next.duration_since(since).as_secs());
            now = next;
        }
        assert_eq!(after, [5, 15, 60, 300, 1800, 21_600, 86_400]);
        assert_eq!(next_poll(since, since.saturating_add(SignedDuration::from_hours(48)).unwrap()), None);
    }
}
