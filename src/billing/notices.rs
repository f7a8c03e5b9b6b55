//! What subscribers are told before something happens: a trial that ends, a wallet that does not hold the next
//! period, a plan of which most or all is used.
//!
//! Nothing here changes what anybody has. The one rule: what was told is written down in the commit of its message, so
//! each is told once for its period, also after a restart.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::book::submit;
use super::contract::Contract;
use super::fault::BillingError;
use super::grant;
use super::settle::Till;
use crate::domain::entitlement::{Used, period_start};
use crate::domain::ids::ServiceId;
use crate::domain::ledger::Account;
use crate::domain::money::Money;
use crate::domain::plan::BillingMode;
use crate::domain::service::{Phase, Service};
use crate::domain::subscription::Subscription;
use crate::domain::tax::{Quote, quote};
use crate::domain::told::{QuotaTold, Told};
use crate::domain::usage_terms::{Amount, FairUseWindow, left_of};
use crate::notify::bulletin::Notice;
use crate::notify::news::News;
use crate::store::contract::{Expected, IndexValue, MAX_PAGE, Page, Range, Unit};
use crate::store::tables::money::Subscriptions;
use crate::store::tables::told::ToldOf;
use crate::store::tables::{Services, Sessions};

/// Tells of what comes, run after run.
#[derive(Debug)]
pub struct Notices {
    till: Till,
    /// Services that were online at the last look: their sessions may have ended since. `None` before the first look,
    /// which is at every service.
    online: Option<BTreeSet<ServiceId>>,
}

/// What one run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoticesRun {
    /// Services looked at.
    pub looked_at: u64,
    /// Messages that were written, or would have been to somebody who can be reached.
    pub told: u64,
}

impl Notices {
    /// Of one till's subscribers.
    #[must_use]
    pub const fn new(till: Till) -> Self {
        Self { till, online: None }
    }

    /// Looks at whoever's trial or period ends soon, and at whoever is or was online.
    ///
    /// # Errors
    /// When the store cannot read or write. What was committed before stands.
    pub async fn run(&mut self, now: Timestamp) -> Result<NoticesRun, BillingError> {
        let mut run = NoticesRun::default();
        if self.till.bulletin.is_none() {
            return Ok(run);
        }
        for id in self.till.ending(now).await? {
            run.count(id, self.till.tell_of_end(id, now).await);
        }
        let online = self.till.online().await?;
        let looked_at: BTreeSet<ServiceId> = match self.online.take() {
            Some(before) => before.union(&online).copied().collect(),
            None => self.till.metered().await?,
        };
        for id in &looked_at {
            run.count(*id, self.till.tell_of_use(*id, now).await);
        }
        self.online = Some(online);
        Ok(run)
    }
}

impl NoticesRun {
    /// One that cannot be looked at holds nobody else up; it is looked at again.
    fn count(&mut self, id: ServiceId, answer: Result<bool, BillingError>) {
        self.looked_at = self.looked_at.saturating_add(1);
        match answer {
            Ok(told) => self.told = self.told.saturating_add(u64::from(told)),
            Err(error) => {
                tracing::warn!(service.id = %id, %error, "whether there is something to tell could not be found out");
            }
        }
    }
}

impl Till {
    /// Whether a subscriber was told that their wallet does not hold the period after the one that ends then.
    pub(super) async fn has_told_of(&self, id: ServiceId, end: Timestamp) -> Result<bool, BillingError> {
        let told = self.store.get::<ToldOf>(&id).await?;
        Ok(told.is_some_and(|told| told.body.low_balance == Some(end)))
    }

    /// Services of which something is due within the longest notice.
    async fn ending(&self, now: Timestamp) -> Result<Vec<ServiceId>, BillingError> {
        let until = now.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        let moment = |at: Timestamp| IndexValue::Integer(at.as_millisecond());
        let range = Range::Between("next_due_at", moment(now), moment(until));
        let (mut page, mut found) = (Page::first(MAX_PAGE), Vec::new());
        loop {
            let slice = self.store.scan::<Subscriptions>(range.clone(), page.clone()).await?;
            found.extend(slice.records.iter().map(|record| record.body.service_id));
            let Some(next) = slice.next else { return Ok(found) };
            page.after = Some(next);
        }
    }

    /// Services that are online.
    async fn online(&self) -> Result<BTreeSet<ServiceId>, BillingError> {
        let range =
            Range::Between("open_since", IndexValue::Integer(i64::MIN), IndexValue::Integer(i64::MAX));
        let (mut page, mut found) = (Page::first(MAX_PAGE), BTreeSet::new());
        loop {
            let slice = self.store.scan::<Sessions>(range.clone(), page.clone()).await?;
            found.extend(slice.records.iter().filter_map(|record| record.body.service_id));
            let Some(next) = slice.next else { return Ok(found) };
            page.after = Some(next);
        }
    }

    /// Every service whose plan holds so much and no more.
    async fn metered(&self) -> Result<BTreeSet<ServiceId>, BillingError> {
        let (mut page, mut found) = (Page::first(MAX_PAGE), BTreeSet::new());
        loop {
            let slice = self.store.scan::<Services>(Range::All, page.clone()).await?;
            let metered = slice.records.iter().filter(|record| holds(&record.body).is_some());
            found.extend(metered.map(|record| record.body.id));
            let Some(next) = slice.next else { return Ok(found) };
            page.after = Some(next);
        }
    }

    /// Tells of a trial or a period that ends soon, where there is something to tell; says whether.
    async fn tell_of_end(&self, id: ServiceId, now: Timestamp) -> Result<bool, BillingError> {
        let contract = Contract::read(&self.store, id, now).await?;
        let (service, subscription) = (&contract.service, &contract.subscription);
        if service.phase != Phase::Active || subscription.paused_at.is_some() {
            return Ok(false);
        }
        if let Some(end) = subscription.trial_until.filter(|end| *end > now) {
            return self.tell_of_trial(&contract, end, now).await;
        }
        self.tell_of_wallet(&contract, now).await
    }

    async fn tell_of_trial(
        &self,
        contract: &Contract,
        end: Timestamp,
        now: Timestamp,
    ) -> Result<bool, BillingError> {
        let Contract { service, subscription, .. } = contract;
        let amount = self.next_price(service, subscription)?.total;
        if now < notice_from(service, end, now) || amount.minor == 0 {
            return Ok(false);
        }
        let news = News::TrialEnding { plan: service.terms.name.to_string(), amount, until: end };
        self.tell_once(service, news, |told| told.trial.replace(end) != Some(end), now).await
    }

    async fn tell_of_wallet(&self, contract: &Contract, now: Timestamp) -> Result<bool, BillingError> {
        let Contract { service, subscription, .. } = contract;
        let Some(Some(end)) = grant::paid_until(service, now) else { return Ok(false) };
        let is_bought = subscription.mode == BillingMode::Prepaid && subscription.auto_renew;
        if !is_bought || now < notice_from(service, end, now) {
            return Ok(false);
        }
        let amount = self.next_price(service, subscription)?.total;
        let owner = self.shop.subscriber(service.subscriber_id).await?;
        let holds = self.book.balance(&Account::Wallet(owner.id)).await?.saturating_neg();
        let has = holds.saturating_add(owner.credit_limit.max(0));
        if has >= amount.minor {
            return Ok(false);
        }
        let (plan, balance) = (service.terms.name.to_string(), Money { minor: has, ..amount });
        let news = News::LowBalance { plan, amount, balance, at: end };
        self.tell_once(service, news, |told| told.low_balance.replace(end) != Some(end), now).await
    }

    /// What the next period will cost, under the plan that it will have.
    fn next_price(&self, service: &Service, subscription: &Subscription) -> Result<Quote, BillingError> {
        let terms = subscription.pending.as_ref().map_or(&service.terms, |pending| &pending.terms);
        let mut items = vec![self.shop.item(terms, terms.name.to_string(), terms.monthly_price)];
        items.extend(self.shop.add_ons(service));
        Ok(quote(items, &[], self.settings.rounding)?)
    }

    /// Tells of a plan of which most or all is used; says whether.
    async fn tell_of_use(&self, id: ServiceId, now: Timestamp) -> Result<bool, BillingError> {
        let Some(service) = self.store.get::<Services>(&id).await?.map(|record| record.body) else {
            return Ok(false);
        };
        let Some(period) = period_start(&service.intervals, now).filter(|_| holds(&service).is_some()) else {
            return Ok(false);
        };
        let zone = &self.settings.zone;
        let used = crate::store::usage::used(&self.store, id, Some(period), FairUseWindow::Period, zone, now)
            .await?;
        let Some(percent) = MARKS.into_iter().find(|mark| percent(&service, used, period, now) >= *mark)
        else {
            return Ok(false);
        };
        let of_period = service.extras.top_ups.iter().filter(|one| one.period == period && !one.is_void);
        let top_ups = u32::try_from(of_period.count()).unwrap_or(u32::MAX);
        let is_new = |told: &mut Told| {
            let same = |one: &QuotaTold| one.period == period && one.top_ups == top_ups;
            if told.quota.filter(same).is_some_and(|one| one.percent >= percent) {
                return false;
            }
            told.quota = Some(QuotaTold { period, top_ups, percent });
            true
        };
        let plan = service.terms.name.to_string();
        let news = if percent >= ALL { News::QuotaSpent { plan } } else { News::QuotaLow { plan, percent } };
        self.tell_once(&service, news, is_new, now).await
    }

    /// Writes a message, and in the same commit that it was told; says whether there was need to.
    async fn tell_once(
        &self,
        service: &Service,
        news: News,
        is_new: impl Fn(&mut Told) -> bool,
        now: Timestamp,
    ) -> Result<bool, BillingError> {
        let Some(bulletin) = &self.bulletin else { return Ok(false) };
        let held = self.store.get::<ToldOf>(&service.id).await?;
        let state = held.as_ref().map_or(Expected::Absent, |held| Expected::Version(held.version));
        let mut told = held.map_or_else(|| Told::nothing(service.id), |held| held.body);
        if !is_new(&mut told) {
            return Ok(false);
        }
        let (kind, notice) = (news.kind(), Notice { subscriber: service.subscriber_id, news });
        let unit = Unit::once(self.entropy.uuid_v7(now)?)
            .expect::<ToldOf>(&service.id, state)
            .put::<ToldOf>(&service.id, &told)?;
        match bulletin.queue_in(unit, &notice, now).await {
            Ok(unit) => {
                submit(&self.store, unit).await?;
                bulletin.wake();
                Ok(true)
            }
            Err(error) => {
                tracing::warn!(%error, kind = kind.name(), "A notice could not be written; it is tried again");
                Ok(false)
            }
        }
    }
}

/// From when on the end of a period is told: some days before, and after half of a short one.
fn notice_from(service: &Service, end: Timestamp, now: Timestamp) -> Timestamp {
    let began = period_start(&service.intervals, now).unwrap_or(now);
    let half = end.duration_since(began) / 2;
    end.saturating_sub(half.min(AHEAD)).unwrap_or(end)
}

/// What a plan holds for each period, where it holds so much and no more.
fn holds(service: &Service) -> Option<Amount> {
    let terms = &service.terms;
    let (octets, seconds) = (terms.data_allowance, terms.usage.time_allowance_secs);
    let is_metered = service.phase == Phase::Active && (octets.is_some() || seconds.is_some());
    is_metered.then(|| Amount { octets: octets.unwrap_or(0), seconds: seconds.unwrap_or(0) })
}

/// How much of what a period holds, top-ups included, is used: the larger part of data and time, of a hundred.
fn percent(service: &Service, used: Used, period: Timestamp, now: Timestamp) -> u8 {
    let Some(plan) = holds(service) else { return 0 };
    let (octets, seconds) = (used.period.counted(), used.period.seconds);
    let over = |used: u64, of_plan: u64| if of_plan == 0 { 0 } else { used.saturating_sub(of_plan) };
    let beyond = Amount { octets: over(octets, plan.octets), seconds: over(seconds, plan.seconds) };
    let more = left_of(&service.extras.top_ups, beyond, Some(period), now);
    let part = |used: u64, of_plan: u64, more: u64| {
        if of_plan == 0 {
            return 0;
        }
        let left = u128::from(of_plan.saturating_sub(used)) + u128::from(more);
        let all = left + u128::from(used);
        let share = u128::from(used) * u128::from(ALL) / all.max(1);
        u8::try_from(share).unwrap_or(ALL)
    };
    part(octets, plan.octets, more.octets).max(part(seconds, plan.seconds, more.seconds))
}

/// How long before the end of a trial or a period its owner is told: time to pay, and not yet forgotten again.
const AHEAD: SignedDuration = SignedDuration::from_hours(3 * 24);
/// Parts of what a period holds, the highest first, whose use is told.
const MARKS: [u8; 2] = [ALL, 80];
/// All of a hundred.
const ALL: u8 = 100;
