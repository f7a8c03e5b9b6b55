//! `/pause`: stopping one's service for a while, and going on.
//!
//! The one rule: before the button it is said what will happen, for how long, and how often it can be done.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};

use super::{Asking, Button, Card, Link, MONEY, MoneyPage, refused, who};
use crate::billing::BillingError;
use crate::billing::own_pause::PauseStanding;
use crate::domain::ids::{ServiceId, SubscriberId};
use crate::serve::portal::Portal;
use crate::serve::portal::asked::Asked;
use crate::serve::portal::page::{go, our_fault, page};
use crate::serve::portal::words::{self, Told};

pub(in crate::serve::portal) async fn show(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    let service = match service(&portal, &asked, owner).await {
        Ok(service) => service,
        Err(page) => return page,
    };
    let standing = match portal.reception.billing().pause_standing(owner, service, asked.now).await {
        Ok(standing) => standing,
        Err(error) => return refused(&portal, &asked, &error),
    };
    let (told, card) = match standing.paused_at {
        Some(_) => (Some(paused(&portal, &asked, &standing)), end(&portal, &asked, &standing)),
        None => (refusal(&standing), offer(&portal, &asked, &standing)),
    };
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: "Pause your service".to_owned(),
        told,
        cards: card.into_iter().collect(),
        links: vec![Link::quiet("/customer", "My account")],
    };
    page(&asked, StatusCode::OK, &page_)
}

/// The service that counts for who asks.
async fn service(portal: &Portal, asked: &Asked, owner: SubscriberId) -> Result<ServiceId, Response<Body>> {
    let account = portal.reception.account(owner, asked.now).await;
    let account = account.map_err(|error| our_fault(portal, asked, &error))?;
    let service = account.service.map(|one| one.service.id);
    let none = || refused(portal, asked, &BillingError::rule("there is no service on this account"));
    service.ok_or_else(none)
}

fn refusal(standing: &PauseStanding) -> Option<Told> {
    let why = standing.refusal.as_deref()?;
    Some(Told::note("Not now", super::capital(why), ""))
}

fn paused(portal: &Portal, asked: &Asked, standing: &PauseStanding) -> Told {
    let since = standing.paused_at.map(|at| words::near_in(at, asked.now, &portal.zone)).unwrap_or_default();
    let sentence = format!("Since {since}. What was left of your period is kept for you.");
    let remedy = match standing.paused_until {
        Some(at) => format!("It goes on by itself {}.", words::near_in(at, asked.now, &portal.zone)),
        None => "The people who run this network began this pause. Please ask them to end it.".to_owned(),
    };
    Told::note("Your service is paused", sentence, &remedy)
}

fn end(portal: &Portal, asked: &Asked, standing: &PauseStanding) -> Option<Card> {
    standing.is_own.then(|| Card {
        title: "Go on".to_owned(),
        soft: vec!["Your period goes on where it stopped, and your devices can be online again.".to_owned()],
        forms: vec![Asking::new(portal, asked, "/pause").with(Button::new("do", "resume", "Go on now"))],
        ..Card::default()
    })
}

fn offer(portal: &Portal, asked: &Asked, standing: &PauseStanding) -> Option<Card> {
    if standing.refusal.is_some() {
        return None;
    }
    let soft = [
        "Your devices are cut off at once.",
        "What is left of your period is kept, and nothing is charged meanwhile.",
    ];
    Some(Card {
        title: "What happens".to_owned(),
        soft: soft.map(str::to_owned).to_vec(),
        facts: vec![
            ("Longest", words::days(standing.most_days)),
            ("Pauses left", format!("{} of {} in a year", standing.left, standing.a_year)),
        ],
        forms: vec![Asking::new(portal, asked, "/pause").with(Button::new("do", "pause", "Pause now"))],
        ..Card::default()
    })
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
    let service = match service(&portal, &asked, owner).await {
        Ok(service) => service,
        Err(page) => return page,
    };
    let billing = portal.reception.billing();
    match filled.text("do") {
        "pause" => match billing.pause_own(owner, service, &|unit, _| Ok(unit), asked.now).await {
            Ok(_) => go("/pause", None),
            Err(error) => refused(&portal, &asked, &error),
        },
        "resume" => match billing.resume_own(owner, service, &|unit, _| Ok(unit), asked.now).await {
            Ok(_) => go_on(&portal, &asked, owner).await,
            Err(error) => refused(&portal, &asked, &error),
        },
        _ => refused(&portal, &asked, &BillingError::rule("this page does not offer that")),
    }
}

/// Brings the device that asks online before the page leaves: the phone tests the network on that very navigation.
async fn go_on(portal: &Portal, asked: &Asked, owner: SubscriberId) -> Response<Body> {
    if let Some(device) = &asked.device
        && let Err(why) = portal.reception.connect(owner, device, asked.now).await
    {
        tracing::info!(%why, "A device was not brought online after a pause; its owner sees why on the next page");
    }
    go("/status", None)
}
