//! `/topup`: what is left of the running period, what more was bought for it, and what more there is to buy.
//!
//! Each button makes an order, as those of `/pay` do. The one rule: what is shown of an offer is what it would be if
//! it were bought now; it never lasts beyond the period.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use jiff::{SignedDuration, Timestamp};

use super::{Asking, Button, Card, Item, Link, MoneyPage, refused, who};
use crate::billing::BillingError;
use crate::billing::top_up::{More, Offered};
use crate::domain::refusal::Refusal;
use crate::domain::usage_terms::TopUp;
use crate::reception::AccountService;
use crate::serve::portal::Portal;
use crate::serve::portal::asked::Asked;
use crate::serve::portal::page::{our_fault, page};
use crate::serve::portal::words::{self, Told};

pub(in crate::serve::portal) async fn show(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    let account = match portal.reception.account(owner, asked.now).await {
        Ok(account) => account,
        Err(error) => return our_fault(&portal, &asked, &error),
    };
    let Some(service) = &account.service else {
        return refused(&portal, &asked, &BillingError::rule("there is no service on this account"));
    };
    let more = match portal.reception.billing().more(owner, service.service.id, asked.now).await {
        Ok(more) => more,
        Err(error) => return refused(&portal, &asked, &error),
    };
    let mut cards = Vec::new();
    if more.is_running {
        cards.push(left(&portal, &asked, service, &more));
        cards.extend(more.offers.iter().map(|one| offer(&portal, &asked, one)));
    }
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: "More data or time".to_owned(),
        told: told(&more),
        cards,
        links: vec![Link::quiet("/pay", "Renew or add money"), Link::quiet("/customer", "My account")],
    };
    page(&asked, StatusCode::OK, &page_)
}

fn told(more: &More) -> Option<Told> {
    if more.offers.is_empty() {
        let (title, sentence) = ("Nothing to add", "Your plan has no more data or time to buy on top of it.");
        return Some(Told::note(title, sentence, "You can renew it, or change to another plan."));
    }
    (!more.is_running).then(|| {
        let sentence = "More data or time adds to a period that runs, and none does.";
        Told::note("Renew your plan first", sentence, "Renew it, then come back here.")
    })
}

/// What is left in all, and of what was bought on top.
fn left(portal: &Portal, asked: &Asked, service: &AccountService, more: &More) -> Card {
    let mut facts = Vec::new();
    if service.service.terms.data_allowance.is_some() {
        facts.push(("Data left", data_left(service).map_or_else(|| "Unlimited".to_owned(), words::octets)));
        if more.bought.iter().any(|one| one.octets > 0) {
            facts.push(("Of it bought", words::octets(more.left.octets)));
        }
    }
    if service.service.terms.usage.time_allowance_secs.is_some() {
        facts.push(("Time left", time_left(service).map_or_else(|| "Unlimited".to_owned(), words::span)));
        if more.bought.iter().any(|one| one.seconds > 0) {
            facts.push(("Of it bought", words::span(seconds(more.left.seconds))));
        }
    }
    if let Some(end) = more.period_ends {
        facts.push(("Period ends", words::near(end, asked.now, &portal.zone)));
    }
    let items = more.bought.iter().map(|one| Item {
        title: amount(one.octets, one.seconds),
        lines: vec![bought_until(portal, one, asked.now)],
        ..Item::default()
    });
    Card { title: service.service.terms.name.to_string(), facts, items: items.collect(), ..Card::default() }
}

fn bought_until(portal: &Portal, one: &TopUp, now: Timestamp) -> String {
    one.until.map_or_else(
        || "Bought, as long as your period".to_owned(),
        |at| format!("Bought, until {}", words::near_in(at, now, &portal.zone)),
    )
}

/// What a service may still use, as enforcement sees it.
fn data_left(service: &AccountService) -> Option<u64> {
    match &service.verdict {
        Ok(yes) => yes.remaining_octets,
        Err(Refusal::QuotaSpent) => Some(0),
        Err(_) => service.service.terms.data_allowance.map(|all| all.saturating_sub(service.usage.counted())),
    }
}

fn time_left(service: &AccountService) -> Option<SignedDuration> {
    let left = match &service.verdict {
        Ok(yes) => yes.remaining_secs,
        Err(Refusal::TimeSpent) => Some(0),
        Err(_) => {
            let allowance = service.service.terms.usage.time_allowance_secs;
            allowance.map(|all| all.saturating_sub(service.usage.seconds))
        }
    };
    left.map(seconds)
}

fn seconds(seconds: u64) -> SignedDuration {
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX))
}

/// `1 GB and 2 h`.
fn amount(octets: u64, secs: u64) -> String {
    let data = (octets > 0).then(|| words::octets(octets));
    let time = (secs > 0).then(|| format!("{} online", words::span(seconds(secs))));
    data.into_iter().chain(time).collect::<Vec<_>>().join(" and ")
}

fn offer(portal: &Portal, asked: &Asked, one: &Offered) -> Card {
    let until = one.until.map_or_else(
        || "It lasts as long as your period.".to_owned(),
        |at| format!("If you buy it now, it lasts until {}.", words::near_in(at, asked.now, &portal.zone)),
    );
    let tax = one.quote.tax;
    let of_it_tax = (tax.minor != 0).then(|| format!("{} of it is tax.", words::money(&tax)));
    let what = format!("{} more.", amount(one.offer.octets, one.offer.seconds));
    let button = Button::new("what", "topup", format!("Buy {}", one.offer.name));
    let form = Asking::new(portal, asked, "/pay").hidden("id", one.offer.code.to_string()).with(button);
    Card {
        title: one.offer.name.to_string(),
        big: Some(words::money(&one.quote.total)),
        soft: std::iter::once(what).chain(of_it_tax).chain(std::iter::once(until)).collect(),
        forms: vec![form],
        ..Card::default()
    }
}
