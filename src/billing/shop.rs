//! What subscribers buy: a price that no longer moves, and what it becomes once it is paid.
//!
//! An [`Order`] fixes the quote; nothing that a client says later changes it. [`Shop::fulfil`] carries an order out in
//! the leaf of the money that pays it. The one rule: nothing is given before its price is in the same commit.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::book::Leaf;
use super::contract::Contract;
use super::counter::NOT_STORED;
use super::documents::{Bill, Documents, Numbers};
use super::fault::BillingError;
use super::grant;
use super::settings::Settings;
use crate::base::entropy::Entropy;
use crate::domain::audit::Actor;
use crate::domain::ids::{InvoiceId, OrderId, PlanId, ServiceId, SubscriberId, TaskId};
use crate::domain::invoice::LineSubject;
use crate::domain::lock::LockReason;
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus, Purchase};
use crate::domain::plan::{PlanTerms, ProrationPolicy};
use crate::domain::provisioning::{ProvisioningTask, TaskState};
use crate::domain::service::{AddOn, Phase, Service};
use crate::domain::subscriber::Subscriber;
use crate::domain::subscription::Subscription;
use crate::domain::tax::{Item, Quote, TaxTreatment, quote};
use crate::store::Store;
use crate::store::contract::{CommitError, Record, Unit};
use crate::store::draft::Draft;
use crate::store::tables::money::{InvoiceStandings, Orders};
use crate::store::tables::{Plans, Subscribers, Tasks};

/// The shop; cheap to clone.
#[derive(Debug, Clone)]
pub struct Shop {
    pub(super) store: Store,
    pub(super) entropy: Entropy,
    pub(super) settings: Settings,
    pub(super) documents: Documents,
}

/// What somebody wants, as they say it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The next period of a service.
    Period(ServiceId),
    /// One of the plan's top-ups for a service, by its code.
    TopUp(ServiceId, String),
    /// Another plan for a service, at once.
    ChangePlan(ServiceId, PlanId),
    /// Money for the wallet.
    Wallet(Money),
    /// These invoices, or all that are open where none is named.
    Invoices(Vec<InvoiceId>),
}

impl Shop {
    /// Over a store.
    #[must_use]
    pub fn new(store: Store, entropy: Entropy, settings: Settings) -> Self {
        let documents = Documents::new(store.clone(), entropy.clone(), settings.clone());
        Self { store, entropy, settings, documents }
    }

    /// Makes an order: looks up what it would cost now and fixes that.
    ///
    /// # Errors
    /// `NotFound`, a rule of the business with its sentence, or faults of ours.
    pub async fn order(
        &self,
        subscriber: SubscriberId,
        wish: &Wish,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Order>, BillingError> {
        let order = self.made(subscriber, wish, actor, now).await?;
        Ok(Draft::new(created(Unit::natural(), &order)?, order))
    }

    /// An order at today's price, which is not written down yet.
    pub(super) async fn made(
        &self,
        subscriber: SubscriberId,
        wish: &Wish,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let (purchase, quote) = self.priced(subscriber, wish, now).await?;
        if quote.total.minor < 0 {
            return Err(BillingError::rule("this costs less than nothing; ask the provider for the change"));
        }
        Ok(Order {
            id: OrderId(self.entropy.uuid_v7(now)?),
            subscriber_id: subscriber,
            purchase,
            quote,
            status: OrderStatus::Open,
            made_by: actor.id.clone(),
            created_at: now,
            expires_at: now.saturating_add(ORDER_LASTS).unwrap_or(Timestamp::MAX),
            fulfilled_at: None,
            coupon: None,
            invoice_id: None,
        })
    }

    /// What a wish would cost now.
    ///
    /// # Errors
    /// As [`Shop::order`].
    pub async fn priced(
        &self,
        subscriber: SubscriberId,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<(Purchase, Quote), BillingError> {
        match wish {
            Wish::Period(service_id) => {
                let contract = self.contract_of(*service_id, subscriber, now).await?;
                let quote = self.period_quote(&contract.service, now)?;
                Ok((Purchase::Period { service_id: *service_id }, quote))
            }
            Wish::TopUp(service_id, code) => self.priced_top_up(subscriber, *service_id, code, now).await,
            Wish::ChangePlan(service_id, plan_id) => {
                self.priced_change(subscriber, *service_id, *plan_id, now).await
            }
            Wish::Wallet(amount) => {
                if amount.currency != self.settings.currency {
                    return Err(BillingError::field(
                        "currency",
                        format!("must be {}", self.settings.currency),
                    ));
                }
                if amount.minor <= 0 {
                    return Err(BillingError::field("amount", "must be above zero"));
                }
                Ok((Purchase::Wallet, untaxed("Money for the wallet", *amount)?))
            }
            Wish::Invoices(wanted) => self.priced_invoices(subscriber, wanted).await,
        }
    }

    async fn priced_invoices(
        &self,
        subscriber: SubscriberId,
        wanted: &[InvoiceId],
    ) -> Result<(Purchase, Quote), BillingError> {
        let open = open_invoices(&self.store, subscriber).await?;
        let chosen: Vec<_> = open
            .iter()
            .filter(|one| wanted.is_empty() || wanted.contains(&one.body.invoice_id))
            .map(|one| &one.body)
            .collect();
        if let Some(missing) = wanted.iter().find(|id| !chosen.iter().any(|one| one.invoice_id == **id)) {
            return Err(BillingError::not_found("open invoice", missing));
        }
        if chosen.is_empty() {
            return Err(BillingError::rule("no invoice is open; there is nothing to pay"));
        }
        let zero = Money::zero(self.settings.currency);
        let owed = chosen
            .iter()
            .try_fold(zero, |sum, one| sum.checked_add(Money { minor: one.owed(), ..one.total }))?;
        let invoice_ids = chosen.iter().map(|one| one.invoice_id).collect();
        Ok((Purchase::Invoices { invoice_ids }, untaxed("Open invoices", owed)?))
    }

    /// The price of a service's next period; the setup fee comes with the first.
    fn period_quote(&self, service: &Service, now: Timestamp) -> Result<Quote, BillingError> {
        if !grant::is_prepaid(service) {
            return Err(BillingError::rule(
                "the service is invoiced after each period; pay the invoice instead",
            ));
        }
        if grant::paid_until(service, now) == Some(None) {
            return Err(BillingError::rule("the service is paid without an end; there is nothing to buy"));
        }
        let mut items =
            vec![self.item(&service.terms, service.terms.name.to_string(), service.terms.monthly_price)];
        let is_first = service.activated_at.is_none() && service.intervals.is_empty();
        if is_first && service.terms.setup_fee.minor > 0 {
            items.push(self.item(&service.terms, "Setup".to_owned(), service.terms.setup_fee));
        }
        items.extend(self.add_ons(service));
        Ok(quote(items, &[], self.settings.rounding)?)
    }

    /// What is paid for with each period beside the plan.
    pub(super) fn add_ons(&self, service: &Service) -> Vec<Item> {
        let item = |one: &AddOn| self.item(&service.terms, one.name.to_string(), one.price);
        service.extras.add_ons.iter().map(item).collect()
    }

    /// Something of a plan with the plan's tax, or the site's.
    pub(super) fn item(&self, terms: &PlanTerms, description: String, amount: Money) -> Item {
        Item {
            description,
            amount,
            treatment: terms.billing.tax_treatment,
            tax_ppm: terms.billing.tax_ppm.unwrap_or(self.settings.tax_ppm),
        }
    }

    async fn priced_top_up(
        &self,
        subscriber: SubscriberId,
        service_id: ServiceId,
        code: &str,
        now: Timestamp,
    ) -> Result<(Purchase, Quote), BillingError> {
        let contract = self.contract_of(service_id, subscriber, now).await?;
        let service = &contract.service;
        if grant::paid_until(service, now).is_none() {
            return Err(BillingError::rule("a top-up adds to a running period; renew the service first"));
        }
        super::top_up::priced(self, service, code)
    }

    async fn priced_change(
        &self,
        subscriber: SubscriberId,
        service_id: ServiceId,
        plan_id: PlanId,
        now: Timestamp,
    ) -> Result<(Purchase, Quote), BillingError> {
        let contract = self.contract_of(service_id, subscriber, now).await?;
        let Some(plan) = self.store.get::<Plans>(&plan_id).await?.filter(|plan| plan.body.is_active) else {
            return Err(BillingError::field("plan_id", "there is no such plan to change to"));
        };
        super::change::priced(self, &contract, plan.body, now)
    }

    /// Carries an order out in the leaf that pays it: what it buys, the invoice, the order itself. The money is
    /// the caller's: this posts the sale against the receivable.
    ///
    /// # Errors
    /// A rule that has come between order and payment; the caller then keeps the money in the wallet.
    pub(super) async fn fulfil(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        order: &Record<Orders>,
        now: Timestamp,
    ) -> Result<Order, BillingError> {
        let mut done = order.body.clone();
        let subject = match &order.body.purchase {
            Purchase::Period { service_id } => {
                let source = format!("order:{}", done.id);
                let subject = self.give_period(leaf, *service_id, done.subscriber_id, &source, now).await?;
                let contract = leaf.contract(*service_id, now).await?;
                super::coupon::note_discount(contract, &source, &done);
                Some(subject)
            }
            Purchase::TopUp { service_id, offer } => {
                let zone = &self.settings.zone;
                let beyond = super::top_up::used_beyond(&self.store, *service_id, zone, now).await?;
                let contract = self.bought_for(leaf, *service_id, done.subscriber_id, now).await?;
                let subject = super::top_up::give(contract, offer.as_str(), done.id, beyond, now, zone)?;
                let payload = json!({ "customer_id": done.subscriber_id, "offer": offer });
                leaf.change(|unit| Ok(unit.event("service.topped_up", service_id, payload)))?;
                Some(subject)
            }
            Purchase::ChangePlan { service_id, plan_id, plan_code, terms } => {
                let contract = self.bought_for(leaf, *service_id, done.subscriber_id, now).await?;
                let new = super::change::NewPlan {
                    id: *plan_id,
                    code: plan_code.clone(),
                    terms: (**terms).clone(),
                };
                let (subject, payload) = super::change::give(contract, new, now)?;
                leaf.change(|unit| Ok(unit.event("service.plan_changed", service_id, payload)))?;
                Some(subject)
            }
            Purchase::Wallet | Purchase::Invoices { .. } => None,
        };
        if let Some(subject) = subject {
            let subscriber = self.subscriber(done.subscriber_id).await?;
            let bill = Bill {
                subscriber: &subscriber,
                subjects: vec![subject; done.quote.lines.len()],
                quote: done.quote.clone(),
                order_id: Some(done.id),
                due_at: now,
                paid: done.quote.total.minor,
            };
            if done.quote.total.minor > 0 {
                done.invoice_id = Some(self.documents.invoice(leaf, numbers, bill, now).await?.id);
            }
        }
        done.status = OrderStatus::Fulfilled;
        done.fulfilled_at = Some(now);
        let payload = json!({ "customer_id": done.subscriber_id, "invoice_id": done.invoice_id });
        let (id, version) = (done.id, order.version);
        leaf.change(|unit| {
            let unit = match version {
                NOT_STORED => unit.create::<Orders>(&id, &done)?,
                version => unit.replace::<Orders>(&id, version, &done)?,
            };
            Ok(unit.event("order.fulfilled", id, payload))
        })?;
        Ok(done)
    }

    /// Gives a service its next period, and life where it had none yet.
    pub(super) async fn give_period(
        &self,
        leaf: &mut Leaf,
        service_id: ServiceId,
        subscriber: SubscriberId,
        source: &str,
        now: Timestamp,
    ) -> Result<LineSubject, BillingError> {
        let zone = self.settings.zone.clone();
        let contract = self.bought_for(leaf, service_id, subscriber, now).await?;
        if contract.subscription.paused_at.is_some() {
            return Err(BillingError::rule("the service is paused; end the pause first"));
        }
        take_pending(&mut contract.service, &mut contract.subscription, now);
        let (service, subscription) = (&mut contract.service, &mut contract.subscription);
        let interval = grant::buy_period(service, subscription, source, now, &zone)?;
        grant::unlock(service, LockReason::Prepaid, now);
        let task = self.begin(service, now)?;
        let payload = json!({
            "customer_id": subscriber, "from": interval.from, "until": interval.until, "source": source,
        });
        leaf.change(|unit| with_task(unit.event("service.paid", service_id, payload), task))?;
        Ok(LineSubject { service_id: Some(service_id), from: Some(interval.from), until: interval.until })
    }

    /// A task that brings a paid service to life, where it has none yet.
    pub(super) fn begin(
        &self,
        service: &mut Service,
        now: Timestamp,
    ) -> Result<Option<ProvisioningTask>, BillingError> {
        if service.phase != Phase::Pending {
            return Ok(None);
        }
        service.phase = Phase::Provisioning;
        Ok(Some(ProvisioningTask {
            id: TaskId(self.entropy.uuid_v7(now)?),
            service_id: service.id,
            subscriber_id: service.subscriber_id,
            state: TaskState::Pending,
            detail: None,
            created_at: now,
            updated_at: now,
            ended_at: None,
        }))
    }

    /// A service of this subscriber that may be bought for, with its subscription: to look at.
    pub(super) async fn contract_of(
        &self,
        service_id: ServiceId,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<Contract, BillingError> {
        let contract = Contract::read(&self.store, service_id, now).await?;
        grant::may_be_bought(&contract.service, subscriber)?;
        Ok(contract)
    }

    /// The same within a leaf: to change.
    async fn bought_for<'a>(
        &self,
        leaf: &'a mut Leaf,
        service_id: ServiceId,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<&'a mut Contract, BillingError> {
        let contract = leaf.contract(service_id, now).await?;
        grant::may_be_bought(&contract.service, subscriber)?;
        Ok(contract)
    }

    pub(super) async fn subscriber(&self, id: SubscriberId) -> Result<Subscriber, BillingError> {
        let record = self.store.get::<Subscribers>(&id).await?;
        record.map(|record| record.body).ok_or_else(|| BillingError::not_found("customer", id))
    }
}

/// Adds an order to the unit that makes it.
pub(super) fn created(unit: Unit, order: &Order) -> Result<Unit, CommitError> {
    let total = order.total();
    let payload = json!({
        "customer_id": order.subscriber_id, "total": total.decimal(), "currency": total.currency.code(),
    });
    Ok(unit.create::<Orders>(&order.id, order)?.event("order.created", order.id, payload))
}

/// Adds the task that brings a service to life to the unit of what was bought.
pub(super) fn with_task(unit: Unit, task: Option<ProvisioningTask>) -> Result<Unit, CommitError> {
    let Some(task) = task else { return Ok(unit) };
    let payload = json!({ "customer_id": task.subscriber_id, "task_id": task.id });
    let unit = unit.create::<Tasks>(&task.id, &task)?;
    Ok(unit.event("service.provisioning", task.service_id, payload))
}

/// The plan that was to begin with the next period begins.
pub(super) fn take_pending(service: &mut Service, subscription: &mut Subscription, now: Timestamp) -> bool {
    let begins = |end: Option<Option<Timestamp>>| end.flatten().is_none_or(|end| end <= now);
    if subscription.pending.is_none() || !begins(grant::paid_until(service, now)) {
        return false;
    }
    let Some(pending) = subscription.pending.take() else { return false };
    service.plan_id = pending.plan_id;
    service.plan_code = pending.plan_code;
    let version = service.terms.version.saturating_add(1).max(pending.terms.version);
    service.terms = PlanTerms { version, ..pending.terms };
    service.updated_at = now;
    subscription.mode = service.terms.billing_mode();
    subscription.updated_at = now;
    true
}

/// One line without tax.
fn untaxed(description: &str, amount: Money) -> Result<Quote, BillingError> {
    let item =
        Item { description: description.to_owned(), amount, treatment: TaxTreatment::Exempt, tax_ppm: 0 };
    Ok(quote(vec![item], &[], crate::domain::tax::TaxRounding::Invoice)?)
}

/// A subscriber's invoices with something owed, the one due first first.
///
/// # Errors
/// When the store cannot read.
pub(super) async fn open_invoices(
    store: &Store,
    subscriber: SubscriberId,
) -> Result<Vec<Record<InvoiceStandings>>, BillingError> {
    use crate::store::contract::{Page, Range};
    let range = Range::Equals("subscriber_id", subscriber.to_string().into());
    let mut page = Page::first(crate::store::contract::MAX_PAGE);
    let mut open = Vec::new();
    loop {
        let slice = store.scan::<InvoiceStandings>(range.clone(), page.clone()).await?;
        open.extend(slice.records.into_iter().filter(|record| record.body.owed() > 0));
        let Some(next) = slice.next else { break };
        page.after = Some(next);
    }
    open.sort_by_key(|record| (record.body.due_at, record.body.issued_at));
    Ok(open)
}

/// What a change of plan does in mid-period, by the plan that is left.
#[must_use]
pub const fn proration_of(terms: &PlanTerms) -> ProrationPolicy {
    terms.billing.proration
}

/// How long an order's price holds: a day, so that a bank transfer may take a night.
pub const ORDER_LASTS: SignedDuration = SignedDuration::from_hours(24);
