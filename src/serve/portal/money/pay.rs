//! `/pay`: what somebody owes, can renew, and add. Each button makes an order and shows its price.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};

use super::{Asking, Button, Card, Link, MONEY, MoneyPage, acting, go_to, refused, who};
use crate::billing::grant::is_first_purchase;
use crate::billing::own::Overview;
use crate::billing::{BillingError, Wish};
use crate::domain::ids::{InvoiceId, PlanId, SubscriberId};
use crate::domain::money::Money;
use crate::domain::plan::BillingMode;
use crate::reception::AccountService;
use crate::serve::portal::Portal;
use crate::serve::portal::asked::Asked;
use crate::serve::portal::form::{Filled, Input};
use crate::serve::portal::page::{our_fault, page};
use crate::serve::portal::words;

pub(in crate::serve::portal) async fn show(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    let account = match portal.reception.account(owner, asked.now).await {
        Ok(account) => account,
        Err(error) => return our_fault(&portal, &asked, &error),
    };
    let service = account.service.as_ref();
    let billing = portal.reception.billing();
    let stands = match billing.overview(owner, service.map(|one| one.service.id)).await {
        Ok(stands) => stands,
        Err(error) => return refused(&portal, &asked, &error),
    };
    let mut cards = Vec::new();
    if stands.owed.minor > 0 {
        cards.push(bills(&portal, &asked, &stands));
    }
    if let Some(one) = service.filter(|one| is_bought_before(one)) {
        cards.extend(renewal(&portal, &asked, owner, one).await);
    }
    cards.extend(service.filter(|one| one.can_add()).map(|_| more()));
    cards.push(top_up(&portal, &asked, &stands));
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: "Pay".to_owned(),
        told: None,
        cards,
        links: vec![Link::quiet("/invoices", "Invoices"), Link::quiet("/customer", "My account")],
    };
    page(&asked, StatusCode::OK, &page_)
}

fn is_bought_before(one: &AccountService) -> bool {
    one.service.terms.billing_mode() == BillingMode::Prepaid && one.status_word != "cancelled"
}

fn bills(portal: &Portal, asked: &Asked, stands: &Overview) -> Card {
    let due = stands.due_at.map(|at| {
        let word = if at <= asked.now { "It was due" } else { "It is due" };
        format!("{word}: {}.", words::near_in(at, asked.now, &portal.zone))
    });
    Card {
        title: "Your bills".to_owned(),
        big: Some(words::money(&stands.owed)),
        soft: due.into_iter().collect(),
        forms: vec![Asking::new(portal, asked, "/pay").with(Button::new("what", "invoices", "Pay my bills"))],
        ..Card::default()
    }
}

/// The next period, where it can be bought; a service that is paid without an end offers none.
async fn renewal(portal: &Portal, asked: &Asked, owner: SubscriberId, one: &AccountService) -> Option<Card> {
    let wish = Wish::Period(one.service.id);
    let priced = portal.reception.billing().shop.priced(owner, &wish, asked.now).await;
    let (_, quote) = priced.ok()?;
    let until = one.period.1.map(|at| {
        let word = if at <= asked.now { "Paid until" } else { "Paid for until" };
        format!("{word} {}.", words::near_in(at, asked.now, &portal.zone))
    });
    let period = words::validity(Some(one.service.terms.period()));
    let word = if is_first_purchase(&one.service, None) { "Buy" } else { "Renew" };
    let renew = Asking::new(portal, asked, "/pay").with(Button::new("what", "period", word));
    Some(Card {
        title: format!("{}, {period}", one.service.terms.name),
        big: Some(words::money(&quote.total)),
        soft: until.into_iter().collect(),
        forms: vec![renew],
        ..Card::default()
    })
}

fn more() -> Card {
    Card {
        title: "More data or time".to_owned(),
        soft: vec!["For the period that runs.".to_owned()],
        links: vec![Link::quiet("/topup", "See what there is")],
        ..Card::default()
    }
}

fn top_up(portal: &Portal, asked: &Asked, stands: &Overview) -> Card {
    let mut add = Asking::new(portal, asked, "/pay")
        .with(Button { quiet: true, ..Button::new("what", "wallet", "Add money") });
    let amount = Input { longest: 20, ..Input::new("amount", "Amount to add", "text", "off") };
    add.inputs.push(amount);
    Card {
        title: "In your wallet".to_owned(),
        big: Some(words::money(&stands.wallet)),
        forms: vec![add],
        ..Card::default()
    }
}

pub(in crate::serve::portal) async fn begin(
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
    let made = match wish(&portal, &asked, owner, &filled).await {
        Ok(wish) => portal.reception.order(owner, &wish, &acting(&asked, owner), asked.now).await,
        Err(error) => Err(error),
    };
    match made {
        Ok(order) => go_to(&portal, &asked, &format!("/orders/{}", order.id)),
        Err(error) => refused(&portal, &asked, &error),
    }
}

/// What a button wants. Its price is looked up when the order is made.
async fn wish(
    portal: &Portal,
    asked: &Asked,
    owner: SubscriberId,
    filled: &Filled,
) -> Result<Wish, BillingError> {
    let service = || async {
        let account = portal.reception.account(owner, asked.now).await;
        let service = account.ok().and_then(|account| account.service).map(|one| one.service.id);
        service.ok_or_else(|| BillingError::rule("there is no service on this account"))
    };
    let id = filled.text("id");
    match filled.text("what") {
        "invoices" => Ok(Wish::Invoices(Vec::new())),
        "invoice" => {
            let id: InvoiceId = id.parse().map_err(|_| BillingError::not_found("invoice", id))?;
            Ok(Wish::Invoices(vec![id]))
        }
        "period" => Ok(Wish::Period(service().await?)),
        "plan" => {
            let id: PlanId = id.parse().map_err(|_| BillingError::not_found("plan", id))?;
            Ok(Wish::ChangePlan(service().await?, id))
        }
        "topup" => Ok(Wish::TopUp(service().await?, id.to_owned())),
        "wallet" => {
            let text = filled.text("amount").replace([',', ' '], "");
            Ok(Wish::Wallet(Money::parse(&text, portal.reception.billing().settings.currency)?))
        }
        _ => Err(BillingError::rule("this page does not offer that")),
    }
}
