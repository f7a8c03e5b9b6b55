//! Subscriptions begin: with a service's first activation, with a trial, or, on a box that was upgraded, with what
//! was there already. And what their owners ask of them: automatic renewal, another plan from the next period on.

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::json;

use super::book::{MOST_TRIES, may_try_again};
use super::fault::BillingError;
use super::grant;
use super::settle::Till;
use super::wallet::UnitExtra;
use crate::domain::ids::{PlanId, ServiceId, SubscriberId};
use crate::domain::plan::BillingMode;
use crate::domain::service::{Interval, IntervalState, Phase, Service};
use crate::domain::subscription::{CarriedLine, PendingPlan, Subscription};
use crate::store::contract::{Page, Range};
use crate::store::tables::money::Subscriptions;
use crate::store::tables::{Plans, Services};

/// When another plan begins.
#[derive(Debug, Clone, PartialEq)]
pub enum PlanChange {
    /// It has begun.
    AtOnce,
    /// It begins with the next period.
    Next {
        /// When that is, where it is known.
        at: Option<Timestamp>,
    },
    /// It begins at once, when this is paid: make an order of it.
    NeedsPayment,
}

impl Till {
    /// Gives subscriptions to services that have none yet; gives how many. The whole table the first time, then the
    /// services of `recent`.
    ///
    /// # Errors
    /// When the store cannot read, or does not take one.
    pub async fn adopt(&self, recent: Option<&[ServiceId]>, now: Timestamp) -> Result<u64, BillingError> {
        let mut adopted = 0_u64;
        if let Some(recent) = recent {
            for id in recent {
                adopted = adopted.saturating_add(u64::from(self.adopt_one(*id, now).await?));
            }
            return Ok(adopted);
        }
        let mut page = Page::first(ADOPTED_AT_ONCE);
        loop {
            let slice = self.store.scan::<Services>(Range::All, page.clone()).await?;
            for record in &slice.records {
                if needs_subscription(&record.body) && self.adopt_one(record.body.id, now).await? {
                    adopted = adopted.saturating_add(1);
                }
            }
            let Some(next) = slice.next else { return Ok(adopted) };
            page.after = Some(next);
        }
    }

    async fn adopt_one(&self, id: ServiceId, now: Timestamp) -> Result<bool, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            if self.store.get::<Subscriptions>(&id).await?.is_some() {
                return Ok(false);
            }
            let mut leaf = self.book.open().await;
            let zone = self.settings.zone.clone();
            let contract = match leaf.contract(id, now).await {
                Err(BillingError::NotFound { .. }) => return Ok(false),
                contract => contract?,
            };
            if contract.is_subscribed() || !needs_subscription(&contract.service) {
                return Ok(false);
            }
            contract.subscription = adopted(&contract.service, now, &zone)?;
            let payload = json!({ "customer_id": contract.service.subscriber_id });
            leaf.change(|unit| Ok(unit.event("subscription.created", id, payload)))?;
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => return answer.map(|()| true),
            }
        }
    }

    /// Begins a service with its plan's trial, where it has one and the subscriber had none before; says whether.
    ///
    /// # Errors
    /// A rule; faults of ours.
    pub async fn begin_trial(
        &self,
        id: ServiceId,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<bool, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            if self.had_trial(subscriber).await? {
                return Ok(false);
            }
            let zone = self.settings.zone.clone();
            let contract = leaf.contract(id, now).await?;
            grant::may_be_bought(&contract.service, subscriber)?;
            let days = contract.service.terms.billing.trial_days;
            if days == 0 || !contract.service.intervals.is_empty() {
                return Ok(false);
            }
            let end = now
                .to_zoned(zone)
                .checked_add(i64::from(days).days())
                .map_err(|_| BillingError::rule("the trial ends beyond the calendar"))?
                .timestamp();
            let is_prepaid = grant::is_prepaid(&contract.service);
            contract.service.intervals.push(Interval {
                from: now,
                until: is_prepaid.then_some(end),
                state: IntervalState::Active,
                source: TRIAL.to_owned(),
            });
            contract.service.updated_at = now;
            contract.subscription.trial_until = Some(end);
            contract.subscription.anchor = end;
            contract.subscription.next_index = 0;
            contract.subscription.next_due_at = Some(end);
            let task = self.shop.begin(&mut contract.service, now)?;
            let payload = json!({ "customer_id": subscriber, "until": end, "source": TRIAL });
            leaf.change(|unit| super::shop::with_task(unit.event("service.paid", id, payload), task))?;
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                answer => {
                    (self.wake)();
                    return answer.map(|()| true);
                }
            }
        }
    }

    async fn had_trial(&self, subscriber: SubscriberId) -> Result<bool, BillingError> {
        let range = Range::Equals("subscriber_id", subscriber.to_string().into());
        let slice = self.store.scan::<Services>(range, Page::first(MOST_SERVICES)).await?;
        Ok(slice.records.iter().any(|record| record.body.intervals.iter().any(|one| one.source == TRIAL)))
    }

    /// A service's subscription.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn subscription(&self, id: ServiceId) -> Result<Option<Subscription>, BillingError> {
        Ok(self.store.get::<Subscriptions>(&id).await?.map(|record| record.body))
    }

    /// Whether the next period is bought from the wallet by itself.
    ///
    /// # Errors
    /// `NotFound`; faults of ours.
    pub async fn set_auto_renew(
        &self,
        id: ServiceId,
        subscriber: SubscriberId,
        on: bool,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<Subscription, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            let contract = leaf.contract(id, now).await?;
            grant::may_be_bought(&contract.service, subscriber)?;
            contract.subscription.auto_renew = on;
            contract.subscription.next_due_at = Some(now);
            contract.subscription.updated_at = now;
            let answer = contract.subscription.clone();
            if let Some(extra) = extra {
                leaf.change(extra)?;
            }
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                done => return done.map(|()| answer),
            }
        }
    }

    /// Has a service have another plan: at once where that costs nothing now (post-paid, or nothing is paid), with
    /// the next period where it is cheaper or differs in length, and by an order where something is to be paid.
    ///
    /// # Errors
    /// A field or a rule; faults of ours.
    pub async fn change_plan(
        &self,
        id: ServiceId,
        subscriber: SubscriberId,
        plan: PlanId,
        extra: Option<UnitExtra<'_>>,
        now: Timestamp,
    ) -> Result<PlanChange, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let Some(plan) = self.store.get::<Plans>(&plan).await?.filter(|plan| plan.body.is_active) else {
                return Err(BillingError::field("plan_id", "there is no such plan to change to"));
            };
            let mut leaf = self.book.open().await;
            let zone = self.settings.zone.clone();
            let contract = leaf.contract(id, now).await?;
            grant::may_be_bought(&contract.service, subscriber)?;
            let new = PendingPlan {
                plan_id: plan.body.id,
                plan_code: plan.body.code,
                terms: plan.body.terms,
                asked_at: now,
            };
            let change = decide(contract, new, now, &zone)?;
            if change == PlanChange::NeedsPayment {
                return Ok(change);
            }
            let payload = json!({ "customer_id": subscriber, "plan_id": plan.body.id });
            let kind = match change {
                PlanChange::AtOnce => "service.plan_changed",
                PlanChange::Next { .. } | PlanChange::NeedsPayment => "subscription.plan_pending",
            };
            leaf.change(|unit| Ok(unit.event(kind, id, payload)))?;
            if let Some(extra) = extra {
                leaf.change(extra)?;
            }
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                done => {
                    (self.wake)();
                    return done.map(|()| change);
                }
            }
        }
    }

    /// Takes back a plan that was to begin with the next period.
    ///
    /// # Errors
    /// `NotFound`; faults of ours.
    pub async fn keep_plan(
        &self,
        id: ServiceId,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            let contract = leaf.contract(id, now).await?;
            grant::may_be_bought(&contract.service, subscriber)?;
            contract.subscription.pending = None;
            contract.subscription.updated_at = now;
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                done => return done,
            }
        }
    }
}

fn decide(
    contract: &mut super::contract::Contract,
    new: PendingPlan,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> Result<PlanChange, BillingError> {
    if contract.service.plan_id == new.plan_id && contract.service.terms.version >= new.terms.version {
        contract.subscription.pending = None;
        return Ok(PlanChange::AtOnce);
    }
    let end = grant::paid_until(&contract.service, now);
    if end.is_none() {
        begin(contract, new, now);
        return Ok(PlanChange::AtOnce);
    }
    match super::change::is_at_once(&contract.service, &new.terms, now) {
        Ok(()) if grant::is_prepaid(&contract.service) => Ok(PlanChange::NeedsPayment),
        Ok(()) => {
            carry(contract, &new, now, zone)?;
            begin(contract, new, now);
            Ok(PlanChange::AtOnce)
        }
        Err(_) => {
            contract.subscription.pending = Some(new);
            contract.subscription.updated_at = now;
            let subscription = &contract.subscription;
            let at = match contract.subscription.mode {
                BillingMode::Prepaid => end.flatten(),
                BillingMode::Postpaid => {
                    let next = subscription.next_index.saturating_add(1);
                    grant::start(subscription.anchor, subscription.period, next, zone).ok()
                }
            };
            contract.subscription.next_due_at = at;
            Ok(PlanChange::Next { at })
        }
    }
}

/// What a change in mid-period adds to the next post-paid invoice: the days left, credited and charged.
fn carry(
    contract: &mut super::contract::Contract,
    new: &PendingPlan,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> Result<(), BillingError> {
    let (service, subscription) = (&contract.service, &mut contract.subscription);
    let from = grant::start(subscription.anchor, subscription.period, subscription.next_index, zone)?;
    let next = subscription.next_index.saturating_add(1);
    let until = grant::start(subscription.anchor, subscription.period, next, zone)?;
    let (whole, left) = super::change::days(from, until, now, zone);
    let line = |description: String, amount, terms: &crate::domain::plan::PlanTerms| CarriedLine {
        description,
        amount,
        treatment: terms.billing.tax_treatment,
        tax_ppm: terms.billing.tax_ppm,
    };
    let (old, new) = (&service.terms, &new.terms);
    subscription.began_with.get_or_insert_with(|| line(old.name.to_string(), old.monthly_price, old));
    let credit = old.monthly_price.scaled(left.saturating_neg(), whole)?;
    let charge = new.monthly_price.scaled(left, whole)?;
    subscription.carried.push(line(format!("Days left of {}", old.name), credit, old));
    subscription.carried.push(line(format!("{} for these days", new.name), charge, new));
    Ok(())
}

fn begin(contract: &mut super::contract::Contract, new: PendingPlan, now: Timestamp) {
    contract.service.plan_id = new.plan_id;
    contract.service.plan_code = new.plan_code;
    let version = contract.service.terms.version.saturating_add(1).max(new.terms.version);
    contract.service.terms = crate::domain::plan::PlanTerms { version, ..new.terms };
    contract.service.updated_at = now;
    contract.subscription.pending = None;
    contract.subscription.mode = contract.service.terms.billing_mode();
    contract.subscription.updated_at = now;
}

/// Whether periods of this service are charged by the box.
fn needs_subscription(service: &Service) -> bool {
    service.phase == Phase::Active && !service.terms.is_free()
}

/// A subscription for a service that is active already: nothing of the past is charged.
fn adopted(
    service: &Service,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> Result<Subscription, BillingError> {
    let mut subscription = grant::subscribe(service, now);
    match subscription.mode {
        BillingMode::Prepaid => {
            subscription.next_due_at = grant::paid_until(service, now).map_or(Some(now), |end| end);
            if let Some(last) = service.intervals.iter().rev().find(|one| one.covers(now)) {
                subscription.anchor = last.from;
                subscription.next_index = 1;
            }
        }
        BillingMode::Postpaid => {
            if now.duration_since(subscription.anchor) > RECENT {
                pass_over(&mut subscription, now, zone)?;
            }
            subscription.next_due_at = Some(now);
        }
    }
    Ok(subscription)
}

/// Goes to the period that runs at `now`: those before it are nobody's to charge.
fn pass_over(
    subscription: &mut Subscription,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> Result<(), BillingError> {
    for next in 1..MOST_PAST_PERIODS {
        if grant::start(subscription.anchor, subscription.period, next, zone)? > now {
            break;
        }
        subscription.next_index = next;
    }
    Ok(())
}

/// Where an interval of a trial came from.
pub const TRIAL: &str = "trial";
/// An activation this young is the beginning of its subscription, however short its periods are.
const RECENT: SignedDuration = SignedDuration::from_mins(10);
/// Services looked at in one read.
const ADOPTED_AT_ONCE: usize = 500;
/// Services of one subscriber that are looked at for an earlier trial.
const MOST_SERVICES: usize = 1_000;
/// Periods of the past that are passed over one by one.
const MOST_PAST_PERIODS: u32 = 100_000;
