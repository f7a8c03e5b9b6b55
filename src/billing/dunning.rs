//! What is done about invoices that are not paid, step by step.
//!
//! A run looks at the invoices whose time has come. Before it takes anything away from anybody it counts how much that
//! would be: more than the caps stops it and asks, since a mistake that cuts a tenth of all subscribers is an outage.
//! Each lock is placed in a commit that reads the invoice, the wallet and the service again. The one rule: nobody
//! who owes nothing is locked, whatever was read before.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::apply::Open;
use super::book::{Leaf, MOST_TRIES, may_try_again};
use super::fault::BillingError;
use super::grant;
use super::settle::Till;
use crate::domain::dunning::{Next, Step, Watch, due};
use crate::domain::ids::{InvoiceId, ServiceId};
use crate::domain::invoice::InvoiceStanding;
use crate::domain::ledger::Account;
use crate::domain::lock::{Lock, LockReason};
use crate::domain::service::Phase;
use crate::store::contract::{IndexValue, Page, Range, Record, Unit};
use crate::store::tables::Services;
use crate::store::tables::Settings as SettingsTable;
use crate::store::tables::money::InvoiceStandings;

/// What one run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DunningRun {
    /// Steps that took something away.
    pub bitten: u64,
    /// Messages.
    pub told: u64,
    /// Invoices looked at.
    pub looked_at: u64,
    /// Why it stopped and asks, where it did.
    pub held: Option<Hold>,
    /// Whether the clock is not believed, so that nothing was taken away.
    pub clock_held: bool,
}

/// A run that would do more than it may by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Services that would be locked or ended.
    pub services: u32,
    /// What their invoices owe together, minor units.
    pub owed: i64,
    /// When it was first so.
    pub since: Timestamp,
    /// Until when staff have let it go on, and for how many services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Allowed>,
}

/// What staff have allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// For at most this many services.
    pub services: u32,
    /// Until when.
    pub until: Timestamp,
    /// Who said so.
    pub by: String,
}

/// Whether the time is believed; shared by the job that acts on it and whoever confirms it.
#[derive(Debug, Clone)]
pub struct ClockWatch(Arc<Mutex<Option<(Watch, Instant)>>>);

impl ClockWatch {
    /// A watch that believes the first time it is shown.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Looks at both clocks: how far the wall clock is ahead, where that is more than can be believed.
    #[must_use]
    pub fn look(&self, wall: Timestamp, ticks: Instant) -> Option<SignedDuration> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (watch, origin) = held.get_or_insert_with(|| (Watch::new(wall, SignedDuration::ZERO), ticks));
        watch.look(wall, since(*origin, ticks))
    }

    /// A person says what time it is; answers whether that agrees with the box, which is then believed.
    #[must_use]
    pub fn confirm(&self, said: Timestamp, wall: Timestamp, ticks: Instant) -> bool {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (watch, origin) = held.get_or_insert_with(|| (Watch::new(wall, SignedDuration::ZERO), ticks));
        watch.second_source(said, wall, since(*origin, ticks))
    }
}

impl Default for ClockWatch {
    fn default() -> Self {
        Self::new()
    }
}

fn since(origin: Instant, ticks: Instant) -> SignedDuration {
    SignedDuration::try_from(ticks.saturating_duration_since(origin)).unwrap_or(SignedDuration::MAX)
}

impl Till {
    /// Looks at what is due. `clock_holds` says that the time is not believed: then nothing is taken away.
    ///
    /// # Errors
    /// When the store cannot read. What was committed before stands.
    pub async fn run_dunning(&self, now: Timestamp, clock_holds: bool) -> Result<DunningRun, BillingError> {
        let mut run = DunningRun { clock_held: clock_holds, ..DunningRun::default() };
        let waiting = self.waiting(now).await?;
        run.looked_at = u64::try_from(waiting.len()).unwrap_or(u64::MAX);
        let may_bite = if clock_holds { false } else { self.may_bite(&waiting, now, &mut run).await? };
        for record in waiting {
            let id = record.body.invoice_id;
            // What may not be done now stays due, so that the next run counts it again.
            if !may_bite && self.next(&record.body, now).take.is_some_and(Step::bites) {
                continue;
            }
            match self.dun(id, may_bite, now).await {
                Ok(next) => {
                    run.told = run.told.saturating_add(u64::from(next.tell.is_some()));
                    let bites = next.take.is_some_and(Step::bites);
                    run.bitten = run.bitten.saturating_add(u64::from(bites));
                }
                Err(error) => {
                    tracing::error!(invoice.id = %id, %error, "an unpaid invoice could not be looked at; trying again");
                }
            }
        }
        if run.bitten > 0 || run.told > 0 {
            (self.wake)();
        }
        Ok(run)
    }

    async fn waiting(&self, now: Timestamp) -> Result<Vec<Record<InvoiceStandings>>, BillingError> {
        let until = IndexValue::Integer(now.as_millisecond());
        let range = Range::Between("next_dunning_at", IndexValue::Integer(i64::MIN), until);
        let (mut page, mut waiting) = (Page::first(READ_AT_ONCE), Vec::new());
        while waiting.len() < MOST_A_RUN {
            let slice = self.store.scan::<InvoiceStandings>(range.clone(), page.clone()).await?;
            waiting.extend(slice.records);
            let Some(next) = slice.next else { break };
            page.after = Some(next);
        }
        Ok(waiting)
    }

    /// Whether what this run would take away is within the caps, or was allowed.
    async fn may_bite(
        &self,
        waiting: &[Record<InvoiceStandings>],
        now: Timestamp,
        run: &mut DunningRun,
    ) -> Result<bool, BillingError> {
        let mut services: BTreeSet<ServiceId> = BTreeSet::new();
        let mut owed = 0_i64;
        for standing in waiting.iter().map(|record| &record.body) {
            if self.next(standing, now).take.is_some_and(Step::bites) {
                services.extend(&standing.services);
                owed = owed.saturating_add(standing.owed());
            }
        }
        let count = u32::try_from(services.len()).unwrap_or(u32::MAX);
        let known = self.hold().await?;
        if !self.is_too_much(count, owed).await? {
            if known.is_some() {
                self.write_hold(None).await?;
            }
            return Ok(true);
        }
        let since = known.as_ref().map_or(now, |hold| hold.since);
        let allowed = known.clone().and_then(|hold| hold.allowed).filter(|one| now < one.until);
        if allowed.as_ref().is_some_and(|one| count <= one.services) {
            return Ok(true);
        }
        let hold = Hold { services: count, owed, since, allowed };
        if known.as_ref() != Some(&hold) {
            self.write_hold(Some(&hold)).await?;
        }
        run.held = Some(hold);
        Ok(false)
    }

    async fn is_too_much(&self, count: u32, owed: i64) -> Result<bool, BillingError> {
        let caps = self.settings.caps;
        if count > caps.count || caps.amount.is_some_and(|most| owed > most) {
            return Ok(true);
        }
        if count <= caps.few {
            return Ok(false);
        }
        let live = self.live_services().await?;
        let share = u64::from(count).saturating_mul(1_000_000);
        Ok(share > live.saturating_mul(u64::from(caps.share_ppm)))
    }

    async fn live_services(&self) -> Result<u64, BillingError> {
        let mut live = 0_u64;
        let mut page = Page::first(crate::store::contract::MAX_PAGE);
        loop {
            let slice = self.store.scan::<Services>(Range::All, page.clone()).await?;
            let active = slice.records.iter().filter(|record| record.body.phase == Phase::Active).count();
            live = live.saturating_add(u64::try_from(active).unwrap_or(u64::MAX));
            let Some(next) = slice.next else { return Ok(live) };
            page.after = Some(next);
        }
    }

    /// What stopped dunning, if something does.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn hold(&self) -> Result<Option<Hold>, BillingError> {
        let record = self.store.get::<SettingsTable>(&HOLD.to_owned()).await?;
        Ok(record.and_then(|record| serde_json::from_value(record.body).ok()))
    }

    async fn write_hold(&self, hold: Option<&Hold>) -> Result<(), BillingError> {
        let key = HOLD.to_owned();
        let unit = match hold {
            None => Unit::natural().delete::<SettingsTable>(&key),
            Some(hold) => {
                let body = serde_json::to_value(hold).unwrap_or_default();
                Unit::natural().put::<SettingsTable>(&key, &body)?.event(
                    "dunning.held",
                    "dunning",
                    body.clone(),
                )
            }
        };
        Ok(super::book::submit(&self.store, unit).await?)
    }

    /// Lets a run that asks go on, for a day, for at most as many services as it asked about.
    ///
    /// # Errors
    /// A rule where nothing asks; faults of ours.
    pub async fn allow_dunning(&self, by: &str, now: Timestamp) -> Result<Hold, BillingError> {
        let Some(mut hold) = self.hold().await? else {
            return Err(BillingError::rule("nothing waits for an answer"));
        };
        let until = now.saturating_add(ALLOWED_FOR).unwrap_or(Timestamp::MAX);
        hold.allowed = Some(Allowed { services: hold.services, until, by: by.to_owned() });
        self.write_hold(Some(&hold)).await?;
        (self.wake)();
        Ok(hold)
    }

    fn next(&self, standing: &InvoiceStanding, now: Timestamp) -> Next {
        if standing.owed() == 0 {
            return Next { take: None, tell: None, at: None };
        }
        let held = standing.held_until.filter(|until| now < *until);
        if held.is_some() {
            return Next { take: None, tell: None, at: held };
        }
        due(&self.settings.dunning, standing.due_at, standing.dunned, now, &self.settings.zone)
    }

    /// One invoice, read again and decided anew.
    async fn dun(&self, id: InvoiceId, may_bite: bool, now: Timestamp) -> Result<Next, BillingError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut leaf = self.book.open().await;
            let Some(record) = self.store.get::<InvoiceStandings>(&id).await? else {
                return Ok(Next { take: None, tell: None, at: None });
            };
            let next = self.dun_in(&mut leaf, record, may_bite, now).await?;
            match leaf.commit(now).await {
                Err(error) if may_try_again(&error) && tries < MOST_TRIES => {}
                done => return done.map(|()| next),
            }
        }
    }

    async fn dun_in(
        &self,
        leaf: &mut Leaf,
        record: Record<InvoiceStandings>,
        may_bite: bool,
        now: Timestamp,
    ) -> Result<Next, BillingError> {
        let (version, mut standing) = (record.version, record.body);
        let next = self.next(&standing, now);
        if next.take.is_some_and(Step::bites) && self.wallet_pays(leaf, &standing, now).await? {
            return Ok(Next { take: None, tell: None, at: None });
        }
        if next.take.is_some_and(Step::bites) && !may_bite {
            return Ok(Next { take: None, tell: None, at: None });
        }
        if let Some(step) = next.take {
            standing.dunned.taken = Some(step);
            for service in standing.services.clone() {
                take(leaf, &standing, service, step, now).await?;
            }
        }
        if let Some(step) = next.tell {
            standing.dunned.told = Some(step);
            self.tell_step(leaf, &standing, step, now).await?;
        }
        standing.next_dunning_at = next.at;
        let payload = json!({
            "customer_id": standing.subscriber_id, "owed": standing.owed(),
            "step": next.take.or(next.tell).map(Step::name),
        });
        let id = standing.invoice_id;
        leaf.change(|unit| {
            let unit = unit.replace::<InvoiceStandings>(&id, version, &standing)?;
            Ok(match next.take.or(next.tell) {
                Some(_) => unit.event("invoice.dunned", id, payload),
                None => unit,
            })
        })?;
        Ok(next)
    }

    /// Money that is in the wallet pays before anything is taken away.
    async fn wallet_pays(
        &self,
        leaf: &mut Leaf,
        standing: &InvoiceStanding,
        now: Timestamp,
    ) -> Result<bool, BillingError> {
        let subscriber = standing.subscriber_id;
        let holds = leaf.balance(&Account::Wallet(subscriber)).await?.saturating_neg();
        if holds <= 0 {
            return Ok(false);
        }
        let owed = Open::of(&self.store, subscriber).await?.owed();
        if holds < owed {
            return Ok(false);
        }
        let source = format!("dunning:{}:{}", standing.invoice_id, now.as_millisecond());
        self.apply_wallet(leaf, subscriber, &source, now).await?;
        Ok(true)
    }
}

/// Carries a step out on one service.
async fn take(
    leaf: &mut Leaf,
    standing: &InvoiceStanding,
    id: ServiceId,
    step: Step,
    now: Timestamp,
) -> Result<(), BillingError> {
    let contract = match leaf.contract(id, now).await {
        Err(BillingError::NotFound { .. }) => return Ok(()),
        contract => contract?,
    };
    let service = &mut contract.service;
    if service.phase == Phase::Ended {
        return Ok(());
    }
    let payload = json!({ "customer_id": service.subscriber_id, "step": step.name(),
        "invoice_id": standing.invoice_id, "reason": LockReason::Overdue.name() });
    if step == Step::Terminate {
        service.phase = Phase::Ended;
        service.ended_at = Some(now);
        service.updated_at = now;
        return leaf.change(|unit| Ok(unit.event("service.terminated", id, payload)));
    }
    let Some(mode) = step.lock() else { return Ok(()) };
    let lock = Lock {
        reason: LockReason::Overdue,
        mode,
        placed_at: now,
        rates: None,
        placed_by: "dunning".to_owned(),
        note: Some(format!("invoice {} is not paid", standing.invoice_id)),
    };
    if grant::lock(service, lock, now) {
        leaf.change(|unit| Ok(unit.event("service.locked", id, payload)))?;
    }
    Ok(())
}

/// The name of the setting that holds what stopped dunning.
const HOLD: &str = "billing.dunning_hold";
/// Invoices in one run, some megabytes: those that wait for an answer of staff are among them, and must not keep
/// everybody else's messages waiting.
const MOST_A_RUN: usize = 10_000;
/// Invoices read in one go.
const READ_AT_ONCE: usize = 1_000;
/// How long an answer of staff counts: the run that it was about, and a day's stragglers.
const ALLOWED_FOR: SignedDuration = SignedDuration::from_hours(24);
