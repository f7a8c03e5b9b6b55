//! A site's business over a store in memory: subscribers and services as records, time as an argument.

#![allow(missing_docs, dead_code, unreachable_pub, clippy::disallowed_methods)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::billing::counter::{Purpose, Taken};
use dotmac_edge::billing::{Billing, BillingError, Settings, Wish};
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::entitlement::period_start;
use dotmac_edge::domain::ids::{OrderId, PaymentId, PlanId, ServiceId, StaffId, SubscriberId};
use dotmac_edge::domain::ledger::Account;
use dotmac_edge::domain::money::{Currency, Money};
use dotmac_edge::domain::order::Order;
use dotmac_edge::domain::payment::{Confirmation, Method, Outcome, Payment, PaymentStatus, ProviderName};
use dotmac_edge::domain::plan::{BillingMode, Plan, PlanTerms, Validity, ValidityUnit};
use dotmac_edge::domain::service::{Interval, IntervalState, Service};
use dotmac_edge::domain::subscriber::Subscriber;
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::tables::money::{Orders, Payments};
use dotmac_edge::store::tables::{Plans, Services, Subscribers, UsageDay, UsageDays};
use dotmac_edge::store::{Store, tables};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;
use uuid::Uuid;

pub struct Books {
    pub store: Store,
    pub billing: Billing,
    next: AtomicU64,
}

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn ngn(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("NGN").unwrap() }
}

pub fn usd(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("USD").unwrap() }
}

/// A plan's terms: prepaid for so long, or post-paid by the month.
pub fn terms(price: i64, validity: Option<(u32, ValidityUnit)>) -> PlanTerms {
    let mode = if validity.is_some() { "prepaid" } else { "postpaid" };
    let money = |minor: i64| json!({ "minor": minor, "currency": "NGN" });
    let mut terms: PlanTerms = serde_json::from_value(json!({
        "version": 1, "name": "Home 20", "service_type": "internet", "monthly_price": money(price),
        "setup_fee": money(0), "cancellation_fee": money(0), "rates": { "down": 20_000_000, "up": 5_000_000 },
        "device_limit": 1, "billing": { "mode": mode },
    }))
    .unwrap();
    terms.validity = validity.map(|(count, unit)| Validity { count, unit });
    terms
}

impl Books {
    pub fn open() -> Self {
        Self::with(&Settings::plain(Currency::parse("NGN").unwrap(), TimeZone::get("Africa/Lagos").unwrap()))
    }

    pub fn with(settings: &Settings) -> Self {
        let store = Store::memory(Clock::System, &tables::all(), Arc::new(())).unwrap();
        Self::over(store, settings)
    }

    pub fn over(store: Store, settings: &Settings) -> Self {
        let billing = Billing::new(&store, &Entropy::System, settings, Arc::new(|| {}));
        Self { store, billing, next: AtomicU64::new(1) }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    pub async fn subscriber(&self, now: Timestamp) -> SubscriberId {
        let one = self.somebody(now);
        let id = one.id;
        self.store.commit(Unit::natural().create::<Subscribers>(&id, &one).unwrap()).await.unwrap();
        id
    }

    /// Many subscribers with a service each, many in a commit.
    pub async fn crowd(
        &self,
        count: usize,
        terms: &PlanTerms,
        now: Timestamp,
    ) -> Vec<(SubscriberId, ServiceId)> {
        let mut all = Vec::with_capacity(count);
        while all.len() < count {
            let mut unit = Unit::natural();
            for _ in 0..CROWD.min(count - all.len()) {
                let (one, service) = (self.somebody(now), self.number());
                let service = served(one.id, service, terms, now);
                all.push((one.id, service.id));
                unit = unit.create::<Subscribers>(&one.id, &one).unwrap();
                unit = unit.create::<Services>(&service.id, &service).unwrap();
            }
            self.store.commit(unit).await.unwrap();
        }
        self.billing.till.adopt(None, now).await.unwrap();
        all
    }

    fn somebody(&self, now: Timestamp) -> Subscriber {
        let number = self.number();
        serde_json::from_value(json!({
            "id": SubscriberId(Uuid::now_v7()), "customer_number": format!("C-{number:06}"),
            "portal_id": format!("P{number:07}"), "first_name": "Ada", "last_name": "Obi",
            "created_at": now, "updated_at": now,
        }))
        .unwrap()
    }

    /// A service that is active and, where it is prepaid, not paid.
    pub async fn service(&self, of: SubscriberId, terms: PlanTerms, now: Timestamp) -> ServiceId {
        let service = served(of, self.number(), &terms, now);
        let id = service.id;
        self.store.commit(Unit::natural().create::<Services>(&id, &service).unwrap()).await.unwrap();
        self.billing.till.adopt(Some(&[id]), now).await.unwrap();
        id
    }

    /// A plan that is sold.
    pub async fn plan(&self, code: &str, terms: PlanTerms, now: Timestamp) -> PlanId {
        let id = PlanId(Uuid::now_v7());
        let plan: Plan = serde_json::from_value(json!({
            "id": id, "code": code, "is_active": true, "is_public": true, "terms": terms,
            "created_at": now, "updated_at": now,
        }))
        .unwrap();
        self.store.commit(Unit::natural().create::<Plans>(&id, &plan).unwrap()).await.unwrap();
        id
    }

    /// What a service used of its period on a day.
    pub async fn use_up(&self, id: ServiceId, octets: i64, now: Timestamp) {
        let zone = TimeZone::get("Africa/Lagos").unwrap();
        let period = period_start(&self.service_of(id).await.intervals, now);
        let day = UsageDay { service_id: id, period, day: now.to_zoned(zone).date() };
        let held = self.store.get::<UsageDays>(&day.key()).await.unwrap();
        let mut unit = Unit::natural();
        if held.is_none() {
            unit = unit.create::<UsageDays>(&day.key(), &day).unwrap();
        }
        self.store.commit(unit.add::<UsageDays>(&day.key(), vec![(0, octets)])).await.unwrap();
    }

    pub async fn service_of(&self, id: ServiceId) -> Service {
        self.store.get::<Services>(&id).await.unwrap().unwrap().body
    }

    pub async fn order(&self, of: SubscriberId, wish: Wish, now: Timestamp) -> Result<Order, BillingError> {
        let draft = self.billing.shop.order(of, &wish, &Actor::system(), now).await?;
        self.store.commit(draft.unit).await?;
        Ok(draft.value)
    }

    /// An attempt at paying an order, as its provider knows it.
    pub async fn attempt(
        &self,
        of: SubscriberId,
        order: Option<OrderId>,
        expected: Money,
        now: Timestamp,
    ) -> Payment {
        self.attempt_at(ProviderName::Paystack, of, order, expected, now).await
    }

    /// An attempt at putting money into the wallet by this provider.
    pub async fn attempt_by(
        &self,
        provider: ProviderName,
        of: SubscriberId,
        expected: Money,
        now: Timestamp,
    ) -> Payment {
        self.attempt_at(provider, of, None, expected, now).await
    }

    async fn attempt_at(
        &self,
        provider: ProviderName,
        of: SubscriberId,
        order: Option<OrderId>,
        expected: Money,
        now: Timestamp,
    ) -> Payment {
        let id = PaymentId(Uuid::now_v7());
        let payment = Payment {
            id,
            subscriber_id: Some(of),
            order_id: order,
            provider,
            reference: format!("ref-{}", self.number()),
            checkout: None,
            transaction: None,
            url: None,
            status: PaymentStatus::Pending,
            expected,
            received: None,
            fee: None,
            method: Method::Card,
            refunds: vec![],
            taken_by: None,
            note: None,
            polls: 0,
            next_poll_at: None,
            created_at: now,
            settled_at: None,
            updated_at: now,
        };
        self.store.commit(Unit::natural().create::<Payments>(&id, &payment).unwrap()).await.unwrap();
        payment
    }

    pub async fn payment(&self, id: PaymentId) -> Payment {
        self.store.get::<Payments>(&id).await.unwrap().unwrap().body
    }

    pub async fn order_now(&self, id: OrderId) -> Order {
        self.store.get::<Orders>(&id).await.unwrap().unwrap().body
    }

    /// Cash into the wallet.
    pub async fn cash(&self, of: SubscriberId, minor: i64, now: Timestamp) -> Payment {
        self.take(of, minor, Purpose::Account, now).await.unwrap()
    }

    pub async fn take(
        &self,
        of: SubscriberId,
        minor: i64,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Payment, BillingError> {
        let taken = Taken {
            subscriber: of,
            amount: ngn(minor),
            method: Method::Cash,
            purpose,
            reference: None,
            note: None,
            by: StaffId(Uuid::nil()),
        };
        self.billing.till.take(&taken, &Actor::system(), None, now).await
    }

    pub async fn wallet(&self, of: SubscriberId) -> i64 {
        self.billing.till.wallet(of).await.unwrap().minor
    }

    pub async fn balance(&self, account: Account) -> i64 {
        self.billing.book.balance(&account).await.unwrap()
    }

    /// The books are right: every sum, chain, balance and receivable.
    pub async fn must_be_right(&self) {
        let proof = self.billing.till.prove().await.unwrap();
        assert!(proof.is_right(), "{:#?}", proof.faults);
    }
}

/// A service that is active and, where it is prepaid, not paid.
fn served(of: SubscriberId, number: u64, terms: &PlanTerms, now: Timestamp) -> Service {
    let mut service: Service = serde_json::from_value(json!({
        "id": Uuid::now_v7(), "subscriber_id": of, "service_number": format!("S-{number}"),
        "plan_id": Uuid::from_u128(1), "plan_code": "home-20", "terms": terms, "phase": "active",
        "username": format!("user{number}"), "credential": { "kind": "sealed", "sealed": "" },
        "created_at": now, "activated_at": now, "updated_at": now,
    }))
    .unwrap();
    if terms.billing_mode() == BillingMode::Postpaid {
        let (from, state) = (now, IntervalState::Active);
        service.intervals.push(Interval { from, until: None, state, source: "test".into() });
    }
    service
}

/// Subscribers of a crowd that come in one commit.
const CROWD: usize = 100;

/// What a provider says of an attempt that was paid.
pub fn paid(payment: &Payment, amount: Money, transaction: &str) -> Confirmation {
    Confirmation {
        provider: payment.provider,
        reference: payment.reference.clone(),
        transaction: transaction.to_owned(),
        outcome: Outcome::Succeeded,
        amount,
        fee: None,
        method: Method::Card,
    }
}
