//! `/plans/change`: another plan, at once or from the next period on.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};

use super::{Asking, Button, Card, Link, MONEY, MoneyPage, acting, go_to, parameter, refused, who};
use crate::billing::subscribing::PlanChange;
use crate::billing::{BillingError, Wish};
use crate::domain::ids::{PlanId, SubscriberId};
use crate::domain::plan::Plan;
use crate::domain::service::Service;
use crate::serve::portal::Portal;
use crate::serve::portal::asked::Asked;
use crate::serve::portal::page::{our_fault, page};
use crate::serve::portal::words::{self, Told};

pub(in crate::serve::portal) async fn show(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    match (own_service(&portal, &asked, owner).await, portal.reception.public_plans().await) {
        (Ok(service), Ok(plans)) => {
            let wanted =
                parameter(&asked, "to").and_then(|code| plans.iter().find(|one| one.code.as_str() == code));
            match wanted {
                Some(plan) => ask(&portal, &asked, owner, &service, plan).await,
                None => list(&portal, &asked, &service, &plans),
            }
        }
        (Err(error), _) => refused(&portal, &asked, &error),
        (_, Err(error)) => our_fault(&portal, &asked, &error),
    }
}

async fn own_service(portal: &Portal, asked: &Asked, owner: SubscriberId) -> Result<Service, BillingError> {
    let account = portal.reception.account(owner, asked.now).await;
    let service = account.ok().and_then(|account| account.service).map(|one| one.service);
    service.ok_or_else(|| BillingError::rule("there is no service on this account; choose a plan first"))
}

fn list(portal: &Portal, asked: &Asked, service: &Service, plans: &[Plan]) -> Response<Body> {
    let others = plans.iter().filter(|plan| plan.id != service.plan_id).take(MOST_SHOWN);
    let mut cards: Vec<Card> = others.map(card).collect();
    if cards.is_empty() {
        let soft = vec!["There is no other plan to change to.".to_owned()];
        cards.push(Card { soft, ..Card::default() });
    }
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: "Change your plan".to_owned(),
        told: Some(Told::note("Your plan now", service.terms.name.to_string(), "")),
        cards,
        links: vec![Link::quiet("/customer", "My account")],
    };
    page(asked, StatusCode::OK, &page_)
}

fn card(plan: &Plan) -> Card {
    let (price, period) = words::price(&plan.terms);
    let rates = plan.terms.rates;
    let data = plan.terms.data_allowance.map_or_else(|| "Unlimited".to_owned(), words::octets);
    Card {
        title: plan.terms.name.to_string(),
        big: Some(format!("{price} {period}").trim_end().to_owned()),
        facts: vec![
            ("Speed", format!("{} down", words::speed(rates.down.0))),
            ("", format!("{} up", words::speed(rates.up.0))),
            ("Data", data),
        ],
        links: vec![Link::quiet(
            format!("/plans/change?to={}", plan.code),
            format!("Change to {}", plan.terms.name),
        )],
        ..Card::default()
    }
}

/// What the change would cost, and the button that does it.
async fn ask(
    portal: &Portal,
    asked: &Asked,
    owner: SubscriberId,
    service: &Service,
    plan: &Plan,
) -> Response<Body> {
    let wish = Wish::ChangePlan(service.id, plan.id);
    let priced = portal.reception.billing().shop.priced(owner, &wish, asked.now).await;
    let cost = match priced {
        Ok((_, quote)) if quote.total.minor > 0 => {
            format!("It begins at once. For the days left you pay {}.", words::money(&quote.total))
        }
        Ok(_) | Err(BillingError::Rule(_) | BillingError::Field { .. }) => {
            "Nothing is to be paid now. A cheaper plan begins when what is paid for is over.".to_owned()
        }
        Err(error) => return refused(portal, asked, &error),
    };
    let form = Asking::new(portal, asked, "/plans/change")
        .hidden("plan", plan.id.to_string())
        .with(Button::new("do", "change", format!("Change to {}", plan.terms.name)));
    let mut card = card(plan);
    card.soft = vec![cost];
    card.links = Vec::new();
    card.forms = vec![form];
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: "Change to this plan?".to_owned(),
        told: None,
        cards: vec![card],
        links: vec![Link::quiet("/plans/change", "No, go back")],
    };
    page(asked, StatusCode::OK, &page_)
}

pub(in crate::serve::portal) async fn change(
    State(portal): State<Portal>,
    asked: Asked,
    body: Body,
) -> Response<Body> {
    let filled = match asked.filled(&portal, body, MONEY).await {
        Ok(filled) => filled,
        Err(page) => return page,
    };
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    let changed = match filled.text("plan").parse::<PlanId>() {
        Ok(plan) => changed(&portal, &asked, owner, plan).await,
        Err(_) => Err(BillingError::not_found("plan", filled.text("plan"))),
    };
    changed.unwrap_or_else(|error| refused(&portal, &asked, &error))
}

async fn changed(
    portal: &Portal,
    asked: &Asked,
    owner: SubscriberId,
    plan: PlanId,
) -> Result<Response<Body>, BillingError> {
    let service = own_service(portal, asked, owner).await?;
    let is_offered = portal.reception.public_plans().await;
    if !is_offered.is_ok_and(|plans| plans.iter().any(|one| one.id == plan)) {
        return Err(BillingError::not_found("plan", plan));
    }
    let till = &portal.reception.billing().till;
    let sentence = match till.change_plan(service.id, owner, plan, None, asked.now).await? {
        PlanChange::AtOnce => "It is yours from now on.".to_owned(),
        PlanChange::Next { at: Some(at) } => {
            format!("It begins on {}.", words::moment(at, &portal.zone))
        }
        PlanChange::Next { at: None } => "It begins with your next period.".to_owned(),
        PlanChange::NeedsPayment => {
            let wish = Wish::ChangePlan(service.id, plan);
            let order = portal.reception.order(owner, &wish, &acting(asked, owner), asked.now).await?;
            return Ok(go_to(portal, asked, &format!("/orders/{}", order.id)));
        }
    };
    let told = Told { look: "done", title: "Your plan changes".to_owned(), sentence, remedy: String::new() };
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: "Another plan".to_owned(),
        told: Some(told),
        cards: Vec::new(),
        links: vec![Link::quiet("/customer", "My account")],
    };
    Ok(page(asked, StatusCode::OK, &page_))
}

/// What fits into a page of 30 KB.
const MOST_SHOWN: usize = 20;
