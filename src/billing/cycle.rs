//! What time does to subscriptions: renewals from the wallet, invoices of post-paid periods, plans that begin.
//!
//! Each subscription says when it is to be looked at; a run takes those that are due, many in one commit. Being killed
//! or run twice changes nothing: a period is charged by moving the subscription's place on, in the commit of the
//! charge. The one rule: nobody pays for time in which there was no service, and a prepaid period that cannot be
//! paid is no debt.

use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::json;

use super::apply::Open;
use super::book::{Leaf, MOST_TRIES, may_try_again};
use super::contract::Contract;
use super::counter::from_wallet;
use super::documents::{Bill, Numbers};
use super::fault::BillingError;
use super::settle::Till;
use super::shop::take_pending;
use super::{grant, pause};
use crate::domain::ids::{ServiceId, SubscriberId};
use crate::domain::invoice::LineSubject;
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::domain::plan::BillingMode;
use crate::domain::service::{Phase, Service};
use crate::domain::subscriber::Subscriber;
use crate::domain::subscription::{CarriedLine, Subscription};
use crate::domain::tax::{Item, Quote, quote};
use crate::notify::news::News;
use crate::store::contract::{IndexValue, Page, Range, Record};
use crate::store::tables::money::Subscriptions;

/// What one run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CycleRun {
    /// Prepaid periods that were bought from wallets.
    pub renewed: u64,
    /// Prepaid periods that a wallet could not pay.
    pub refused: u64,
    /// Invoices of post-paid periods.
    pub invoiced: u64,
    /// Pauses that ended by themselves.
    pub resumed: u64,
    /// Subscriptions looked at.
    pub looked_at: u64,
    /// Subscriptions that met a fault of ours; they are looked at again.
    pub faults: u64,
    /// When the next one is due.
    pub next_due: Option<Timestamp>,
}

/// What became of one subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Renewed,
    Refused,
    Invoiced(u64),
    Resumed,
    Nothing,
}

impl CycleRun {
    fn count(&mut self, turn: Turn) {
        self.looked_at = self.looked_at.saturating_add(1);
        match turn {
            Turn::Renewed => self.renewed = self.renewed.saturating_add(1),
            Turn::Refused => self.refused = self.refused.saturating_add(1),
            Turn::Invoiced(count) => self.invoiced = self.invoiced.saturating_add(count),
            Turn::Resumed => self.resumed = self.resumed.saturating_add(1),
            Turn::Nothing => {}
        }
    }
}

impl Till {
    /// Looks at every subscription that is due. Bounded by what is due; safe to kill and to run twice at once.
    ///
    /// # Errors
    /// When the store cannot read. What was committed before stands.
    pub async fn run_cycle(&self, now: Timestamp) -> Result<CycleRun, BillingError> {
        let mut run = CycleRun::default();
        loop {
            let due = self.due(now, TOGETHER).await?;
            if due.is_empty() {
                break;
            }
            let ids: Vec<ServiceId> = due.iter().map(|record| record.body.service_id).collect();
            if self.turn_together(&ids, now, &mut run).await.is_ok() {
                continue;
            }
            // One of them cannot be done: each by itself, so that it holds nobody else up.
            for id in ids {
                if let Err(error) = self.turn_alone(id, now, &mut run).await {
                    tracing::error!(service.id = %id, %error, "a subscription could not be looked at; trying again later");
                    run.faults = run.faults.saturating_add(1);
                    self.put_off(id, now).await?;
                }
            }
        }
        run.next_due = self.next_due().await?;
        if run.renewed > 0 || run.invoiced > 0 || run.resumed > 0 {
            (self.wake)();
        }
        Ok(run)
    }

    async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Record<Subscriptions>>, BillingError> {
        let until = IndexValue::Integer(now.as_millisecond());
        let range = Range::Between("next_due_at", IndexValue::Integer(i64::MIN), until);
        Ok(self.store.scan::<Subscriptions>(range, Page::first(limit)).await?.records)
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, BillingError> {
        let next = self.due(Timestamp::MAX, 1).await?;
        Ok(next.first().and_then(|record| record.body.next_due_at))
    }

    async fn turn_together(
        &self,
        ids: &[ServiceId],
        now: Timestamp,
        run: &mut CycleRun,
    ) -> Result<(), BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            let mut numbers = Numbers::default();
            let mut turns = Vec::with_capacity(ids.len());
            for id in ids {
                turns.push(self.turn(&mut leaf, &mut numbers, *id, now).await?);
            }
            match leaf.commit(now).await {
                Ok(()) => {
                    turns.into_iter().for_each(|turn| run.count(turn));
                    return Ok(());
                }
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn turn_alone(
        &self,
        id: ServiceId,
        now: Timestamp,
        run: &mut CycleRun,
    ) -> Result<(), BillingError> {
        self.turn_together(&[id], now, run).await
    }

    /// Looks at it again in an hour, so that a run ends.
    async fn put_off(&self, id: ServiceId, now: Timestamp) -> Result<(), BillingError> {
        let mut leaf = self.book.open().await;
        match leaf.contract(id, now).await {
            Ok(contract) => contract.subscription.next_due_at = now.checked_add(PUT_OFF).ok(),
            Err(BillingError::NotFound { .. }) => {
                leaf.change(|unit| Ok(unit.delete::<Subscriptions>(&id)))?;
            }
            Err(error) => return Err(error),
        }
        leaf.commit(now).await
    }

    /// One subscription, within a leaf.
    async fn turn(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        id: ServiceId,
        now: Timestamp,
    ) -> Result<Turn, BillingError> {
        let contract = leaf.contract(id, now).await?;
        if contract.service.phase == Phase::Ended {
            contract.subscription.next_due_at = None;
            return Ok(Turn::Nothing);
        }
        if contract.subscription.paused_at.is_some() {
            return self.turn_paused(leaf, id, now).await;
        }
        match contract.subscription.mode {
            BillingMode::Prepaid => self.turn_prepaid(leaf, numbers, id, now).await,
            BillingMode::Postpaid => self.turn_postpaid(leaf, numbers, id, now).await,
        }
    }

    /// A pause that its subscriber began ends by itself; one that staff began does not.
    async fn turn_paused(
        &self,
        leaf: &mut Leaf,
        id: ServiceId,
        now: Timestamp,
    ) -> Result<Turn, BillingError> {
        let contract = leaf.contract(id, now).await?;
        if contract.subscription.paused_until.is_none_or(|until| until > now) {
            contract.subscription.next_due_at = contract.subscription.paused_until;
            return Ok(Turn::Nothing);
        }
        pause::end(contract, now)?;
        let payload = pause::told(&contract.subscription);
        leaf.change(|unit| Ok(unit.event(pause::UNPAUSED, id, payload)))?;
        let contract = leaf.contract(id, now).await?;
        let (owner, plan) = (contract.service.subscriber_id, contract.service.terms.name.to_string());
        self.news(leaf, owner, News::Restored { plan }, now).await;
        Ok(Turn::Resumed)
    }

    /// A prepaid period that ends: the next one is bought where the wallet can pay it.
    async fn turn_prepaid(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        id: ServiceId,
        now: Timestamp,
    ) -> Result<Turn, BillingError> {
        let contract = leaf.contract(id, now).await?;
        let end = grant::paid_until(&contract.service, now);
        if end == Some(None) || contract.service.phase != Phase::Active {
            contract.subscription.next_due_at = None;
            return Ok(Turn::Nothing);
        }
        if let Some(Some(end)) = end
            && now < grant::renew_at(end)
        {
            contract.subscription.next_due_at = Some(grant::renew_at(end));
            return Ok(Turn::Nothing);
        }
        let waits_for_a_plan = contract.subscription.pending.is_some();
        if let (Some(Some(end)), true) = (end, waits_for_a_plan) {
            // The new plan begins when the old period is over, not before.
            contract.subscription.next_due_at = Some(end);
            return Ok(Turn::Nothing);
        }
        take_pending(&mut contract.service, &mut contract.subscription, now);
        if contract.subscription.mode != BillingMode::Prepaid {
            begin_postpaid(contract, now);
            return Ok(Turn::Nothing);
        }
        if !contract.subscription.auto_renew {
            contract.subscription.next_due_at = None;
            contract.subscription.last_refusal = Some("automatic renewal is off".to_owned());
            return Ok(Turn::Refused);
        }
        self.renew(leaf, numbers, id, now).await
    }

    async fn renew(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        id: ServiceId,
        now: Timestamp,
    ) -> Result<Turn, BillingError> {
        let contract = leaf.contract(id, now).await?;
        let (subscriber_id, terms) = (contract.service.subscriber_id, contract.service.terms.clone());
        let mut items = vec![self.shop.item(&terms, terms.name.to_string(), terms.monthly_price)];
        items.extend(self.shop.add_ons(&contract.service));
        let quote = quote(items, &[], self.settings.rounding)?;
        let subscriber = self.shop.subscriber(subscriber_id).await?;
        let holds = leaf.balance(&Account::Wallet(subscriber_id)).await?.saturating_neg();
        let has = holds.saturating_add(subscriber.credit_limit.max(0));
        let contract = leaf.contract(id, now).await?;
        if has < quote.total.minor {
            let has = Money { minor: has, ..quote.total };
            let why = format!("the wallet holds {has}, and the next period costs {}", quote.total);
            let end = grant::paid_until(&contract.service, now).flatten();
            // Once more when the period is over; after that when money comes.
            contract.subscription.next_due_at = end.filter(|end| *end > now);
            contract.subscription.last_refusal = Some(why);
            contract.subscription.updated_at = now;
            let payload = json!({ "customer_id": subscriber_id, "needs": quote.total.decimal(),
                "currency": quote.total.currency.code(), "ends_at": end });
            leaf.change(|unit| Ok(unit.event("subscription.renewal_failed", id, payload)))?;
            let (plan, amount, balance) = (terms.name.to_string(), quote.total, has);
            let news = match end.filter(|end| *end > now) {
                Some(at) if self.has_told_of(id, at).await? => None,
                Some(at) => Some(News::LowBalance { plan, amount, balance, at }),
                None => Some(News::RenewalFailed { plan, amount, balance, until: end.unwrap_or(now) }),
            };
            if let Some(news) = news {
                self.news(leaf, subscriber_id, news, now).await;
            }
            return Ok(Turn::Refused);
        }
        let zone = &self.settings.zone;
        let (service, subscription) = (&mut contract.service, &mut contract.subscription);
        let resumed = late_start(service, subscription, now, zone);
        let begins = resumed.unwrap_or(now);
        let interval = grant::buy_period(service, subscription, "renewal", begins, zone)?;
        let source = format!("renewal:{id}:{}", interval.from.as_millisecond());
        if let Some(last) = service.intervals.last_mut() {
            last.source.clone_from(&source);
        }
        grant::unlock(service, crate::domain::lock::LockReason::Prepaid, now);
        let subject = LineSubject { service_id: Some(id), from: Some(interval.from), until: interval.until };
        let (total, paid) = (quote.total, quote.total.minor);
        if paid > 0 {
            let subjects = vec![subject; quote.lines.len()];
            let bill = Bill { subscriber: &subscriber, quote, subjects, order_id: None, due_at: now, paid };
            self.shop.documents.invoice(leaf, numbers, bill, now).await?;
            leaf.post(from_wallet(subscriber_id, total, source.clone(), "Renewed from the wallet"));
        }
        let payload = json!({
            "customer_id": subscriber_id, "from": interval.from, "until": interval.until, "source": source,
        });
        leaf.change(|unit| Ok(unit.event("service.paid", id, payload)))?;
        if let Some(until) = interval.until {
            let news = News::Renewed { plan: terms.name.to_string(), amount: total, until };
            self.news(leaf, subscriber_id, news, now).await;
        }
        Ok(Turn::Renewed)
    }

    /// Post-paid periods that are over are invoiced, each by itself.
    async fn turn_postpaid(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        id: ServiceId,
        now: Timestamp,
    ) -> Result<Turn, BillingError> {
        let zone = self.settings.zone.clone();
        let mut count = 0_u64;
        loop {
            let contract = leaf.contract(id, now).await?;
            let Subscription { anchor, period, next_index, .. } = contract.subscription;
            let from = grant::start(anchor, period, next_index, &zone)?;
            let until = grant::start(anchor, period, next_index.saturating_add(1), &zone)?;
            if now < until {
                contract.subscription.next_due_at = Some(until);
                break;
            }
            if count >= MOST_PERIODS {
                contract.subscription.next_due_at = None;
                contract.subscription.last_refusal = Some(format!(
                    "more than {MOST_PERIODS} periods are not invoiced; staff must say from when to go on"
                ));
                leaf.change(|unit| Ok(unit.event("subscription.held", id, json!({ "since": from }))))?;
                break;
            }
            self.invoice_period(leaf, numbers, id, (from, until), now).await?;
            count = count.saturating_add(1);
        }
        Ok(if count == 0 { Turn::Nothing } else { Turn::Invoiced(count) })
    }

    async fn invoice_period(
        &self,
        leaf: &mut Leaf,
        numbers: &mut Numbers,
        id: ServiceId,
        (from, until): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let contract = leaf.contract(id, now).await?;
        let quote = self.period_quote_of(contract)?;
        let subscriber_id = contract.service.subscriber_id;
        let due_days = contract.service.terms.billing.due_days.unwrap_or(self.settings.due_days);
        let subscription = &mut contract.subscription;
        subscription.next_index = subscription.next_index.saturating_add(1);
        subscription.carried.clear();
        subscription.began_with = None;
        subscription.updated_at = now;
        if subscription.pending.is_some() {
            begin_pending_postpaid(contract, now);
        }
        if quote.total.minor <= 0 {
            return Ok(());
        }
        let subscriber: Subscriber = self.shop.subscriber(subscriber_id).await?;
        let subject = LineSubject { service_id: Some(id), from: Some(from), until: Some(until) };
        let mut bill = Bill {
            subscriber: &subscriber,
            subjects: vec![subject; quote.lines.len()],
            quote,
            order_id: None,
            due_at: self.due_day(now, due_days)?,
            paid: 0,
        };
        // Money that is there already pays at once.
        let holds = leaf.balance(&Account::Wallet(subscriber_id)).await?.saturating_neg().max(0);
        let owed_before = Open::of(&self.store, subscriber_id).await?.owed();
        let free = holds.saturating_sub(owed_before).max(0);
        bill.paid = free.min(bill.quote.total.minor);
        let paid = Money { minor: bill.paid, ..bill.quote.total };
        let invoice = self.shop.documents.invoice(leaf, numbers, bill, now).await?;
        leaf.post(from_wallet(subscriber_id, paid, format!("wallet:{}", invoice.id), "Paid from the wallet"));
        let (number, due) = (invoice.number.clone().unwrap_or_default(), invoice.due_at.unwrap_or(now));
        let news = News::InvoiceIssued { number, amount: invoice.quote.total, due };
        self.news(leaf, subscriber_id, news, now).await;
        Ok(())
    }

    /// The price of a post-paid period: what it began with, what was carried into it, the setup with the first.
    fn period_quote_of(&self, contract: &Contract) -> Result<Quote, BillingError> {
        let Contract { service, subscription, .. } = contract;
        let base = subscription.began_with.as_ref().map_or_else(
            || self.shop.item(&service.terms, service.terms.name.to_string(), service.terms.monthly_price),
            |line| self.carried(line),
        );
        let mut items = vec![base];
        items.extend(subscription.carried.iter().map(|line| self.carried(line)));
        items.extend(self.shop.add_ons(service));
        if subscription.next_index == 0 && service.terms.setup_fee.minor > 0 {
            items.push(self.shop.item(&service.terms, "Setup".to_owned(), service.terms.setup_fee));
        }
        Ok(quote(items, &[], self.settings.rounding)?)
    }

    fn carried(&self, line: &CarriedLine) -> Item {
        Item {
            description: line.description.clone(),
            amount: line.amount,
            treatment: line.treatment,
            tax_ppm: line.tax_ppm.unwrap_or(self.settings.tax_ppm),
        }
    }

    /// The beginning of the day, in the site's zone, on which an invoice of `now` is due.
    pub(super) fn due_day(&self, now: Timestamp, days: u32) -> Result<Timestamp, BillingError> {
        let today = now.to_zoned(self.settings.zone.clone()).date();
        today
            .checked_add(i64::from(days).days())
            .and_then(|day| day.to_zoned(self.settings.zone.clone()))
            .map(|zoned| zoned.timestamp())
            .map_err(|_| BillingError::rule("the invoice is due beyond the calendar"))
    }

    /// Has renewals that a wallet could not pay be tried again, in the leaf that puts money there.
    pub(super) async fn wake_renewals(
        &self,
        leaf: &mut Leaf,
        subscriber: SubscriberId,
        now: Timestamp,
    ) -> Result<(), BillingError> {
        let range = Range::Equals("subscriber_id", subscriber.to_string().into());
        let slice = self.store.scan::<Subscriptions>(range, Page::first(MOST_WOKEN)).await?;
        for record in slice.records {
            let one = &record.body;
            if one.mode == BillingMode::Prepaid && one.auto_renew && one.last_refusal.is_some() {
                leaf.contract(one.service_id, now).await?.subscription.next_due_at = Some(now);
            }
        }
        Ok(())
    }
}

/// Where a renewal that comes a little late begins: at the end of what was paid, so that nobody loses minutes to the
/// job's pace and the hours of the day stay. What comes later than that begins when it comes.
fn late_start(
    service: &Service,
    subscription: &Subscription,
    now: Timestamp,
    zone: &jiff::tz::TimeZone,
) -> Option<Timestamp> {
    if grant::paid_until(service, now).is_some() {
        return None;
    }
    let end = grant::start(subscription.anchor, subscription.period, subscription.next_index, zone).ok()?;
    (end <= now && now.duration_since(end) <= LATE && subscription.next_index > 0).then_some(end)
}

/// A service that was prepaid until now is invoiced from now on.
fn begin_postpaid(contract: &mut Contract, now: Timestamp) {
    contract.subscription.anchor = now;
    contract.subscription.period = contract.service.terms.period();
    contract.subscription.next_index = 0;
    contract.subscription.next_due_at = Some(now);
    contract.service.intervals.push(crate::domain::service::Interval {
        from: now,
        until: None,
        state: crate::domain::service::IntervalState::Active,
        source: "postpaid".to_owned(),
    });
}

/// The plan that was to begin with the next post-paid period begins.
fn begin_pending_postpaid(contract: &mut Contract, now: Timestamp) {
    let Some(pending) = contract.subscription.pending.take() else { return };
    contract.service.plan_id = pending.plan_id;
    contract.service.plan_code = pending.plan_code;
    let version = contract.service.terms.version.saturating_add(1).max(pending.terms.version);
    contract.service.terms = crate::domain::plan::PlanTerms { version, ..pending.terms };
    contract.service.updated_at = now;
    let period = contract.service.terms.period();
    if period != contract.subscription.period {
        contract.subscription.anchor = now;
        contract.subscription.period = period;
        contract.subscription.next_index = 0;
    }
    contract.subscription.mode = contract.service.terms.billing_mode();
    if contract.subscription.mode == BillingMode::Prepaid {
        for interval in contract.service.intervals.iter_mut().filter(|one| one.until.is_none()) {
            interval.until = Some(now);
        }
        contract.subscription.next_due_at = Some(now);
    }
}

/// Subscriptions in one commit: enough for one sync of the disk to serve many, few enough that a payment that waits
/// for its turn does not wait long.
const TOGETHER: usize = 64;
/// A renewal that comes this late still begins where the period ended.
const LATE: SignedDuration = SignedDuration::from_mins(10);
/// Until a subscription that met a fault is looked at again.
const PUT_OFF: SignedDuration = SignedDuration::from_hours(1);
/// Periods of one post-paid service that are invoiced in one run; more missing ones are a mistake until staff say so.
const MOST_PERIODS: u64 = 3;
/// Services of one subscriber whose renewals are woken by a payment.
const MOST_WOKEN: usize = 100;
