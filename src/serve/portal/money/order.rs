//! `/orders/{id}`: what was ordered and its price; the ways to pay it; what came of it.
//!
//! While a gateway is asked, the page looks again by itself. Once the order is carried out, the device that asks
//! is brought online before the page leaves: the phone tests the network on that very navigation.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{HeaderName, HeaderValue};
use axum::http::{Response, StatusCode};
use jiff::Timestamp;

use super::{
    Asking, Button, Card, Item, Link, MONEY, MoneyPage, acting, capital, gateway_label, go_to, refused, who,
};
use crate::billing::BillingError;
use crate::domain::ids::{OrderId, SubscriberId};
use crate::domain::money::Money;
use crate::domain::order::{Order, OrderStatus, Purchase};
use crate::domain::payment::{Payment, PaymentStatus, ProviderName};
use crate::reception::PayFor;
use crate::serve::portal::Portal;
use crate::serve::portal::asked::Asked;
use crate::serve::portal::form::Input;
use crate::serve::portal::page::page;
use crate::serve::portal::words::{self, Told};

pub(in crate::serve::portal) async fn show(
    State(portal): State<Portal>,
    Path(id): Path<String>,
    asked: Asked,
) -> Response<Body> {
    let owner = match who(&portal, &asked).await {
        Ok(owner) => owner,
        Err(page) => return page,
    };
    look_at(&portal, &asked, owner, &id, None).await
}

/// What was wrong with what was sent: it is said on the order's own page, where another way can be taken.
enum Wrong {
    /// With the coupon that was typed: its code, and why.
    Coupon(String, String),
    /// With the way to pay.
    Way(String),
}

/// The page of an order; with what was wrong with what was sent.
async fn look_at(
    portal: &Portal,
    asked: &Asked,
    owner: SubscriberId,
    id: &str,
    wrong: Option<Wrong>,
) -> Response<Body> {
    match known(portal, owner, id).await {
        Ok(seen) => order_page(portal, asked, &seen, wrong).await,
        Err(error) => refused(portal, asked, &error),
    }
}

/// An order with what belongs to it.
struct Seen {
    order: Order,
    payments: Vec<Payment>,
    wallet: Money,
    /// Whether it buys the first period of its service.
    is_first: bool,
}

async fn known(portal: &Portal, owner: SubscriberId, id: &str) -> Result<Seen, BillingError> {
    let billing = portal.reception.billing();
    let id: OrderId = id.parse().map_err(|_| BillingError::not_found("order", id))?;
    let order = billing.order_of(owner, id).await?;
    let mut payments = billing.payments_of(owner).await?;
    payments.retain(|one| one.order_id == Some(id));
    let (wallet, is_first) = (billing.till.wallet(owner).await?, billing.is_first(&order).await?);
    Ok(Seen { order, payments, wallet, is_first })
}

async fn order_page(portal: &Portal, asked: &Asked, seen: &Seen, wrong: Option<Wrong>) -> Response<Body> {
    let is_wrong = wrong.is_some();
    let (fault, refusal) = match wrong {
        Some(Wrong::Coupon(code, why)) => (Some((code, why)), None),
        Some(Wrong::Way(why)) => (None, Some(Told::alert("That cannot be done", capital(&why), ""))),
        None => (None, None),
    };
    let Seen { order, payments, wallet, is_first } = seen;
    let is_open = is_open(order, asked.now);
    let pending = payments.iter().find(|one| is_pending(one)).filter(|_| is_open);
    let mut cards = vec![price(order, is_open)];
    if let Some(payment) = pending {
        cards.push(waiting(portal, asked, payment));
    }
    if is_open {
        cards.push(ways(portal, asked, order, *wallet, pending.is_some()));
    }
    if is_open && pending.is_none() && may_have_coupon(order) {
        cards.push(coupon(portal, asked, order, fault));
    }
    let links = match order.invoice_id {
        Some(id) => vec![
            Link::quiet(format!("/invoices/{id}"), "See the invoice"),
            Link::quiet("/customer", "My account"),
        ],
        None => vec![Link::quiet("/pay", "Back to paying"), Link::quiet("/customer", "My account")],
    };
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: heading(order, *is_first).to_owned(),
        told: match refusal {
            Some(refusal) => Some(refusal),
            None => told(portal, asked, order, payments).await,
        },
        cards,
        links,
    };
    let status = if is_wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let mut response = page(asked, status, &page_);
    // What was just refused is read first, and not asked for again by itself.
    if pending.is_some() && !is_wrong {
        response
            .headers_mut()
            .insert(HeaderName::from_static("refresh"), HeaderValue::from_static(LOOK_AGAIN));
    }
    response
}

fn is_open(order: &Order, now: Timestamp) -> bool {
    matches!(order.status, OrderStatus::Open | OrderStatus::Underpaid) && now < order.expires_at
}

fn is_pending(payment: &Payment) -> bool {
    matches!(payment.status, PaymentStatus::Created | PaymentStatus::Pending | PaymentStatus::Unknown)
}

fn heading(order: &Order, is_first: bool) -> &'static str {
    match &order.purchase {
        Purchase::Period { .. } if is_first => "Buy",
        Purchase::Period { .. } => "Renew",
        Purchase::TopUp { .. } => "More for this period",
        Purchase::ChangePlan { .. } => "Another plan",
        Purchase::Wallet => "Add money",
        Purchase::Invoices { .. } => "Pay your bills",
    }
}

fn price(order: &Order, is_open: bool) -> Card {
    let lines = order.quote.lines.iter();
    let tax = order.quote.tax;
    Card {
        title: match (order.status, is_open) {
            (OrderStatus::Fulfilled, _) => "What you paid",
            (_, true) => "To pay",
            (_, false) => "What it would have cost",
        }
        .to_owned(),
        big: Some(words::money(&order.total())),
        soft: (tax.minor != 0)
            .then(|| format!("{} of it is tax.", words::money(&tax)))
            .into_iter()
            .chain(order.coupon.as_ref().map(|coupon| {
                format!("{} less with the coupon {}.", words::money(&order.quote.discount), coupon.code)
            }))
            .collect(),
        items: lines
            .map(|line| Item {
                title: line.description.clone(),
                lines: vec![words::money(&line.total)],
                ..Item::default()
            })
            .collect(),
        ..Card::default()
    }
}

/// Coupons are for periods and top-ups.
const fn may_have_coupon(order: &Order) -> bool {
    match &order.purchase {
        Purchase::Period { .. } | Purchase::TopUp { .. } => true,
        Purchase::ChangePlan { .. } | Purchase::Wallet | Purchase::Invoices { .. } => false,
    }
}

/// Where a coupon's code is typed.
fn coupon(portal: &Portal, asked: &Asked, order: &Order, wrong: Option<(String, String)>) -> Card {
    let button = Button { quiet: true, ..Button::new("with", "coupon", "Use the coupon") };
    let mut form = Asking::new(portal, asked, format!("/orders/{}", order.id)).with(button);
    let (value, fault) = match wrong {
        Some((code, why)) => (code, Some(capital(&why))),
        None => (String::new(), None),
    };
    form.inputs.push(Input {
        longest: 64,
        value,
        fault,
        ..Input::new("coupon", "Coupon code", "text", "off")
    });
    let title = if order.coupon.is_some() { "Another coupon?" } else { "Do you have a coupon?" };
    Card { title: title.to_owned(), forms: vec![form], ..Card::default() }
}

/// A payment that is under way.
fn waiting(portal: &Portal, asked: &Asked, payment: &Payment) -> Card {
    let began = words::near(payment.created_at, asked.now, &portal.zone);
    let (title, soft) = match &payment.url {
        Some(_) => ("Go on to pay", "You pay at the payment service, and come back here."),
        None => ("Confirm on your phone", "A message asks for your PIN. This page looks again by itself."),
    };
    Card {
        title: title.to_owned(),
        soft: vec![soft.to_owned(), format!("Begun: {began}.")],
        links: payment.url.iter().map(|url| Link::to(url.clone(), "Go to the payment page")).collect(),
        ..Card::default()
    }
}

/// The ways to pay: from the wallet where it holds enough, and at every gateway that is configured.
fn ways(portal: &Portal, asked: &Asked, order: &Order, wallet: Money, is_second: bool) -> Card {
    let here = format!("/orders/{}", order.id);
    let mut form = Asking::new(portal, asked, here.clone());
    let can_use_wallet = !matches!(order.purchase, Purchase::Wallet);
    let total = order.total();
    if can_use_wallet && wallet.minor >= total.minor {
        let label = match total.minor {
            0 => "Take it: there is nothing to pay".to_owned(),
            _ => format!("Pay {} from my wallet", words::money(&total)),
        };
        form = form.with(Button { quiet: is_second, ..Button::new("with", "wallet", label) });
    }
    let gateways = if total.minor > 0 { portal.gateways() } else { Vec::new() };
    let mut by_phone = None;
    for gateway in gateways {
        let quiet = is_second || !form.buttons.is_empty();
        let label = format!("Pay with {}", gateway_label(gateway));
        let button = Button { quiet, ..Button::new("with", gateway.name(), label) };
        if gateway == ProviderName::Mpesa {
            by_phone = Some(by_mpesa(Asking::new(portal, asked, here.clone()), button));
        } else {
            form = form.with(button);
        }
    }
    let has = format!("Your wallet holds {}.", words::money(&wallet));
    let counter = "You can also pay the people who run this network. They know you by your customer number.";
    let soft = if can_use_wallet { vec![has, counter.to_owned()] } else { vec![counter.to_owned()] };
    let forms = Some(form).filter(|form| !form.buttons.is_empty()).into_iter().chain(by_phone).collect();
    Card { title: "How to pay".to_owned(), soft, forms, ..Card::default() }
}

/// A form of its own: Enter in its field must not press the button of another way to pay.
fn by_mpesa(mut form: Asking, button: Button) -> Asking {
    let phone = Input {
        required: false,
        longest: 20,
        hint: "With the country, as +254712345678. Yours is taken where you leave this empty.",
        ..Input::new("phone", "Phone for M-Pesa", "tel", "tel")
    };
    form.inputs.push(phone);
    form.with(button)
}

async fn told(portal: &Portal, asked: &Asked, order: &Order, payments: &[Payment]) -> Option<Told> {
    let done = |title: &str, sentence: String, remedy: &str| {
        Some(Told { look: "done", title: title.to_owned(), sentence, remedy: remedy.to_owned() })
    };
    match order.status {
        OrderStatus::Fulfilled => {
            let remedy = if online_now(portal, asked, order).await { "This device is online." } else { "" };
            done("Paid", format!("We have received {}.", words::money(&order.total())), remedy)
        }
        OrderStatus::Underpaid => Some(Told::note(
            "Less came than the price",
            "The money is in your wallet.",
            "Add what is missing, then pay from your wallet.",
        )),
        OrderStatus::Cancelled | OrderStatus::Expired => Some(Told::note(
            "This order does not count any more",
            "Its price held for a day.",
            "Go back and order again.",
        )),
        OrderStatus::Open if !is_open(order, asked.now) => Some(Told::note(
            "This order does not count any more",
            "Its price held for a day.",
            "Go back and order again.",
        )),
        OrderStatus::Open => {
            let failed = payments.first().is_some_and(|one| {
                matches!(
                    one.status,
                    PaymentStatus::Failed | PaymentStatus::Cancelled | PaymentStatus::Expired
                )
            });
            failed.then(|| Told {
                look: "alert",
                title: "The payment did not go through".to_owned(),
                sentence: "No money came.".to_owned(),
                remedy: "Try again, or pay in another way.".to_owned(),
            })
        }
    }
}

/// Brings the device that asks online, where it may be; says whether it is.
async fn online_now(portal: &Portal, asked: &Asked, order: &Order) -> bool {
    let Some(device) = &asked.device else { return false };
    if order.service_id().is_none() && !matches!(order.purchase, Purchase::Invoices { .. }) {
        return false;
    }
    portal.reception.connect(order.subscriber_id, device, asked.now).await.is_ok()
}

pub(in crate::serve::portal) async fn pay(
    State(portal): State<Portal>,
    Path(id): Path<String>,
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
    let Ok(id) = id.parse::<OrderId>() else {
        return refused(&portal, &asked, &BillingError::not_found("order", id));
    };
    let phone = Some(filled.text("phone")).filter(|phone| !phone.is_empty());
    if filled.text("with") == "coupon" {
        let till = &portal.reception.billing().till;
        return match till.apply_coupon(id, owner, filled.text("coupon"), None, asked.now).await {
            Ok(order) => go_to(&portal, &asked, &format!("/orders/{}", order.id)),
            Err(BillingError::Field { field: "coupon", message }) => {
                let typed = filled.text("coupon").chars().take(64).collect();
                look_at(&portal, &asked, owner, &id.to_string(), Some(Wrong::Coupon(typed, message))).await
            }
            Err(error) => refused(&portal, &asked, &error),
        };
    }
    let begun = match filled.text("with") {
        "wallet" => {
            let till = &portal.reception.billing().till;
            till.pay_from_wallet(id, owner, None, asked.now).await.map(|_| ())
        }
        gateway => {
            let (what, actor) = (PayFor::Order(id), acting(&asked, owner));
            portal.reception.pay(owner, &what, (gateway, phone), &actor, asked.now).await.map(|_| ())
        }
    };
    match begun {
        Ok(()) => go_to(&portal, &asked, &format!("/orders/{id}")),
        Err(BillingError::Rule(why) | BillingError::Field { message: why, .. }) => {
            look_at(&portal, &asked, owner, &id.to_string(), Some(Wrong::Way(why))).await
        }
        Err(error) => refused(&portal, &asked, &error),
    }
}

/// Seconds until the page looks again; a payment is asked about at most this often.
const LOOK_AGAIN: &str = "5";
