//! More data or time for a running period, with a validity of its own.
//!
//! What is bought is a fact of the service; what is left of it follows from what was used
//! (`domain::usage_terms`). The one rule: it ends with the period at the latest, and the buyer is told when.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Billing;
use super::contract::Contract;
use super::fault::BillingError;
use super::grant;
use super::shop::Shop;
use crate::domain::entitlement::period_start;
use crate::domain::ids::{OrderId, ServiceId, SubscriberId};
use crate::domain::invoice::LineSubject;
use crate::domain::order::Purchase;
use crate::domain::service::{Interval, Service};
use crate::domain::tax::{Quote, quote};
use crate::domain::usage_terms::{Amount, FairUseWindow, TopUp, TopUpOffer, left_of};
use crate::store::Store;
use crate::store::tables::Services;

/// What more can be had for a running period, and what earlier top-ups of it still hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct More {
    /// Whether a period runs: only then is there something to add to.
    pub is_running: bool,
    /// When it ends, and every top-up of it with it; `None` is not by itself.
    pub period_ends: Option<Timestamp>,
    /// What the plan offers, at today's price.
    pub offers: Vec<Offered>,
    /// What was bought before and counts now, the one that ends first first.
    pub bought: Vec<TopUp>,
    /// What all of them together still hold.
    pub left: Amount,
}

/// One of a plan's offers, as it would be if it were bought now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The offer.
    pub offer: TopUpOffer,
    /// What it costs.
    pub quote: Quote,
    /// When it would end; `None` where the period has no end.
    pub until: Option<Timestamp>,
}

impl Billing {
    /// What a subscriber can add to the running period of a service of theirs.
    ///
    /// # Errors
    /// `NotFound`, for another's service too; a rule where nothing may be bought for it; when the store cannot read.
    pub async fn more(
        &self,
        owner: SubscriberId,
        id: ServiceId,
        now: Timestamp,
    ) -> Result<More, BillingError> {
        let (shop, zone) = (&self.shop, &self.settings.zone);
        let service = shop.contract_of(id, owner, now).await?.service;
        let beyond = used_beyond(&self.till.store, id, zone, now).await?;
        let period = period_start(&service.intervals, now);
        let offer = |offer: &TopUpOffer| {
            let (_, quote) = priced(shop, &service, offer.code.as_str())?;
            Ok(Offered { quote, until: ends(&service, offer, now, zone)?, offer: offer.clone() })
        };
        let offers: Result<Vec<_>, BillingError> = service.terms.usage.top_ups.iter().map(offer).collect();
        let counting = service.extras.top_ups.iter().filter(|one| one.counts(period, now));
        let mut bought: Vec<TopUp> = counting.cloned().collect();
        bought.sort_by_key(|one| one.until.unwrap_or(Timestamp::MAX));
        Ok(More {
            is_running: grant::paid_until(&service, now).is_some(),
            period_ends: period_end(&service, now),
            offers: offers?,
            bought,
            left: left_of(&service.extras.top_ups, beyond, period, now),
        })
    }
}

/// What one of the plan's offers costs.
pub(super) fn priced(shop: &Shop, service: &Service, code: &str) -> Result<(Purchase, Quote), BillingError> {
    let offer = offered(service, code)?;
    let item = shop.item(&service.terms, offer.name.to_string(), offer.price);
    let purchase = Purchase::TopUp { service_id: service.id, offer: offer.code.clone() };
    Ok((purchase, quote(vec![item], &[], shop.settings.rounding)?))
}

/// What the running period of a service has used beyond its plan's allowances: of earlier top-ups, not of one that
/// is bought now.
pub(super) async fn used_beyond(
    store: &Store,
    id: ServiceId,
    zone: &TimeZone,
    now: Timestamp,
) -> Result<Amount, BillingError> {
    let Some(service) = store.get::<Services>(&id).await? else {
        return Err(BillingError::not_found("service", id));
    };
    let period = period_start(&service.body.intervals, now);
    let used = crate::store::usage::used(store, id, period, FairUseWindow::Period, zone, now).await?.period;
    let terms = &service.body.terms;
    let over = |used: u64, allowance: Option<u64>| allowance.map_or(0, |all| used.saturating_sub(all));
    Ok(Amount {
        octets: over(used.counted(), terms.data_allowance),
        seconds: over(used.seconds, terms.usage.time_allowance_secs),
    })
}

/// Adds an offer to the service.
pub(super) fn give(
    contract: &mut Contract,
    offer: &str,
    order: OrderId,
    beyond: Amount,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<LineSubject, BillingError> {
    let service = &mut contract.service;
    let offer = offered(service, offer)?.clone();
    let Some(period) = period_start(&service.intervals, now) else {
        return Err(BillingError::rule("a top-up adds to a running period; renew the service first"));
    };
    let until = ends(service, &offer, now, zone)?;
    let kept = |one: &TopUp| one.period >= period;
    service.extras.top_ups.retain(kept);
    if service.extras.top_ups.len() >= MOST_TOP_UPS {
        return Err(BillingError::rule("the period has as many top-ups as it can hold"));
    }
    service.extras.top_ups.push(TopUp {
        octets: offer.octets,
        seconds: offer.seconds,
        from: now,
        until,
        period,
        beyond,
        source: format!("order:{order}"),
        is_void: false,
    });
    service.updated_at = now;
    Ok(LineSubject { service_id: Some(service.id), from: Some(now), until })
}

/// When what is bought now ends: with its own validity, and with the running period at the latest.
fn ends(
    service: &Service,
    offer: &TopUpOffer,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Option<Timestamp>, BillingError> {
    let own = match offer.validity {
        None => None,
        Some(validity) => Some(
            validity
                .end(now, zone)
                .ok_or_else(|| BillingError::rule("the top-up would end beyond the calendar"))?,
        ),
    };
    Ok([own, period_end(service, now)].into_iter().flatten().min())
}

/// When the running period ends.
fn period_end(service: &Service, now: Timestamp) -> Option<Timestamp> {
    let covering = service.intervals.iter().filter(|one: &&Interval| one.covers(now));
    covering.filter_map(|one| one.until).min()
}

fn offered<'a>(service: &'a Service, code: &str) -> Result<&'a TopUpOffer, BillingError> {
    let unknown = || BillingError::field("offer", format!("the plan offers no {code}"));
    service.terms.usage.offer(code).ok_or_else(unknown)
}

/// Top-ups of one period: each is read at each login, and nobody buys so many by intent.
const MOST_TOP_UPS: usize = 100;
