//! More data or time for a running period, with a validity of its own.
//!
//! What is bought is a fact of the service; what is left of it follows from what was used
//! (`domain::usage_terms`). The one rule: it ends with the period at the latest, and the buyer is told when.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::contract::Contract;
use super::fault::BillingError;
use super::shop::Shop;
use crate::domain::entitlement::period_start;
use crate::domain::ids::{OrderId, ServiceId};
use crate::domain::invoice::LineSubject;
use crate::domain::order::Purchase;
use crate::domain::service::{Interval, Service};
use crate::domain::tax::{Quote, quote};
use crate::domain::usage_terms::{Amount, FairUseWindow, TopUp, TopUpOffer};
use crate::store::Store;
use crate::store::tables::Services;

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
    let covering = service.intervals.iter().filter(|one: &&Interval| one.covers(now));
    let period = covering.filter_map(|one| one.until).min();
    Ok([own, period].into_iter().flatten().min())
}

fn offered<'a>(service: &'a Service, code: &str) -> Result<&'a TopUpOffer, BillingError> {
    let unknown = || BillingError::field("offer", format!("the plan offers no {code}"));
    service.terms.usage.offer(code).ok_or_else(unknown)
}

/// Top-ups of one period: each is read at each login, and nobody buys so many by intent.
const MOST_TOP_UPS: usize = 100;
