//! `/` and `/plans`: what can be had, and the two ways in.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};

use super::Portal;
use super::asked::Asked;
use super::page::{PlanCard, PlansPage, go, our_fault, page};
use super::signup::waiting;
use super::words;
use crate::domain::plan::Plan;

/// Where captive devices come to: whoever has something to go on with goes on with that.
pub(super) async fn front(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let online = match &asked.device {
        Some(device) => portal.reception.online(device, asked.now).await,
        None => None,
    };
    // Whoever is online under a service has no use for a form, whatever was begun on this device before.
    if online.as_ref().is_some_and(|online| online.service.is_some()) {
        return go("/status", None);
    }
    match waiting(&portal, &asked).await {
        Ok(Some(_)) => return go("/confirm", None),
        Ok(None) => {}
        Err(error) => tracing::error!(%error, "A waiting signup could not be looked up"),
    }
    if online.is_some() {
        return go("/status", None);
    }
    show(&portal, &asked, true).await
}

pub(super) async fn list(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    show(&portal, &asked, false).await
}

async fn show(portal: &Portal, asked: &Asked, is_front: bool) -> Response<Body> {
    let plans = match portal.reception.public_plans().await {
        Ok(plans) => plans,
        Err(error) => return our_fault(portal, asked, &error),
    };
    let title = if is_front { "Get online" } else { "Plans" };
    let page_ = PlansPage {
        shell: portal.shell(),
        title,
        is_front,
        signup_open: portal.signup_open,
        plans: plans.iter().take(MOST_SHOWN).map(card).collect(),
    };
    page(asked, StatusCode::OK, &page_)
}

fn card(plan: &Plan) -> PlanCard {
    let terms = &plan.terms;
    let (price, period) = words::price(terms);
    PlanCard {
        code: plan.code.to_string(),
        name: terms.name.to_string(),
        description: terms.description.as_ref().map(|text| text.chars().take(MOST_TEXT).collect()),
        price,
        period,
        setup_fee: (terms.setup_fee.minor > 0).then(|| words::money(&terms.setup_fee)),
        down: words::speed(terms.rates.down.0),
        up: words::speed(terms.rates.up.0),
        data: terms.data_allowance.map_or_else(|| "Unlimited".to_owned(), words::octets),
        lasts: words::validity(terms.validity),
        devices: terms.device_limit,
    }
}

/// What fits into 30 KB with the longest texts below, so that the page comes over the slowest line.
const MOST_SHOWN: usize = 20;
/// Of a plan's description.
const MOST_TEXT: usize = 200;
