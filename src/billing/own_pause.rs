//! A pause that a subscriber begins without asking anybody: bounded in length and number, and off unless the site
//! says otherwise.
//!
//! It is the same pause that staff begin (`pause`). The one rule: it ends by itself, and only whoever began a pause
//! ends it early; what staff began, staff end.

use jiff::{SignedDuration, Timestamp};

use super::Billing;
use super::contract::Contract;
use super::fault::BillingError;
use super::grant;
use super::pause::{self, PAUSED, PauseExtra, UNPAUSED};
use crate::domain::ids::{ServiceId, SubscriberId};
use crate::domain::service::{Phase, Service};
use crate::domain::subscription::{OwnPause, Subscription};

/// How a subscriber's pause stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseStanding {
    /// Since when the service is paused.
    pub paused_at: Option<Timestamp>,
    /// When a pause of the subscriber's own ends by itself.
    pub paused_until: Option<Timestamp>,
    /// Whether the subscriber can end it.
    pub is_own: bool,
    /// Days that one may last; 0 where only staff pause.
    pub most_days: u32,
    /// How many may begin within 365 days.
    pub a_year: u32,
    /// How many of them are left.
    pub left: u32,
    /// Why none can begin now, in a sentence.
    pub refusal: Option<String>,
}

impl Billing {
    /// How the pause of a subscriber's service stands.
    ///
    /// # Errors
    /// `NotFound`, for another's service too; when the store cannot read.
    pub async fn pause_standing(
        &self,
        owner: SubscriberId,
        id: ServiceId,
        now: Timestamp,
    ) -> Result<PauseStanding, BillingError> {
        let contract = Contract::read(&self.till.store, id, now).await?;
        is_of(&contract.service, owner)?;
        let (held, bounds) = (&contract.subscription, self.settings.own_pause);
        let begun = u32::try_from(recent(held, now).count()).unwrap_or(u32::MAX);
        Ok(PauseStanding {
            paused_at: held.paused_at,
            paused_until: held.paused_until,
            is_own: held.paused_until.is_some(),
            most_days: bounds.most_days,
            a_year: bounds.a_year,
            left: bounds.a_year.saturating_sub(begun),
            refusal: may_begin(&contract, bounds, now).err().map(|error| error.to_string()),
        })
    }

    /// Pauses a service at its subscriber's own wish.
    ///
    /// # Errors
    /// `NotFound`, for another's service too; a rule in a sentence; faults of ours.
    pub async fn pause_own(
        &self,
        owner: SubscriberId,
        id: ServiceId,
        extra: PauseExtra<'_>,
        now: Timestamp,
    ) -> Result<Subscription, BillingError> {
        let bounds = self.settings.own_pause;
        let change = |contract: &mut Contract| {
            is_of(&contract.service, owner)?;
            may_begin(contract, bounds, now)?;
            let kept: Vec<Timestamp> = recent(&contract.subscription, now).collect();
            pause::begin(contract, "subscriber", now)?;
            let days = SignedDuration::from_hours(i64::from(bounds.most_days).saturating_mul(24));
            let until = now
                .checked_add(days)
                .map_err(|_| BillingError::rule("the pause ends beyond the calendar"))?;
            let subscription = &mut contract.subscription;
            subscription.own_pauses = kept;
            subscription.own_pauses.push(now);
            subscription.paused_until = Some(until);
            subscription.next_due_at = Some(until);
            Ok(())
        };
        self.till.stop_or_go(id, PAUSED, change, extra, now).await
    }

    /// Ends a pause that its subscriber began.
    ///
    /// # Errors
    /// As [`Billing::pause_own`].
    pub async fn resume_own(
        &self,
        owner: SubscriberId,
        id: ServiceId,
        extra: PauseExtra<'_>,
        now: Timestamp,
    ) -> Result<Subscription, BillingError> {
        let change = |contract: &mut Contract| {
            is_of(&contract.service, owner)?;
            let held = &contract.subscription;
            if held.paused_at.is_some() && held.paused_until.is_none() {
                return Err(BillingError::rule("the people who run this network paused it; please ask them"));
            }
            pause::end(contract, now)
        };
        self.till.stop_or_go(id, UNPAUSED, change, extra, now).await
    }
}

fn is_of(service: &Service, owner: SubscriberId) -> Result<(), BillingError> {
    if service.subscriber_id == owner { Ok(()) } else { Err(BillingError::not_found("service", service.id)) }
}

/// Whether a pause of one's own can begin now.
fn may_begin(contract: &Contract, bounds: OwnPause, now: Timestamp) -> Result<(), BillingError> {
    let (service, held) = (&contract.service, &contract.subscription);
    if bounds.most_days == 0 || bounds.a_year == 0 {
        return Err(BillingError::rule(
            "a pause is made by the people who run this network; please ask them",
        ));
    }
    if held.paused_at.is_some() {
        return Err(BillingError::rule("the service is paused already"));
    }
    // What is not bought has no period that a pause could give back.
    let is_paid = contract.is_subscribed() && grant::paid_until(service, now).is_some();
    if service.phase != Phase::Active || !is_paid {
        return Err(BillingError::rule("no paid period runs, so there is nothing to pause"));
    }
    if !service.locks.is_empty() {
        return Err(BillingError::rule("the service is locked; it can be paused once that is settled"));
    }
    let begun: Vec<Timestamp> = recent(held, now).collect();
    if begun.len() >= usize::try_from(bounds.a_year).unwrap_or(usize::MAX) {
        return Err(BillingError::rule("the service was paused as often as it can be within a year"));
    }
    Ok(())
}

/// The subscriber's own pauses of the last 365 days.
fn recent(held: &Subscription, now: Timestamp) -> impl Iterator<Item = Timestamp> + '_ {
    held.own_pauses.iter().copied().filter(move |at| now.duration_since(*at) < A_YEAR)
}

/// Leap years change nothing that a subscriber would count.
const A_YEAR: SignedDuration = SignedDuration::from_hours(365 * 24);
