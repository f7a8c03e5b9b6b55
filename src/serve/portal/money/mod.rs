//! The pages of a subscriber's money: pay, orders, invoices, payments, wallet, another plan.
//!
//! | file | what it is |
//! |---|---|
//! | `pay` | `/pay`: what there is to pay, renew and add |
//! | `order` | `/orders/{id}`: its price, the ways to pay it, what came of it |
//! | `bills` | `/invoices`, `/payments`, receipts, and their PDF |
//! | `wallet` | `/wallet`: balance, automatic renewal, money for a friend |
//! | `change` | `/plans/change` |
//! | `pause` | `/pause`: a pause of one's own, and its end |
//! | `top_up` | `/topup`: more data or time for the running period |
//!
//! All of them are served to captive devices too: whoever is suspended can pay. The one rule: what is paid is an
//! order whose price was fixed before, so that a button pressed twice pays once.

pub(super) mod bills;
pub(super) mod change;
pub(super) mod order;
pub(super) mod pause;
pub(super) mod pay;
pub(super) mod top_up;
pub(super) mod wallet;

use askama::Template;
use axum::body::Body;
use axum::http::header::{HeaderValue, LOCATION};
use axum::http::{Response, StatusCode};

use super::Portal;
use super::asked::Asked;
use super::form::Input;
use super::page::{Links, Shell, message, our_fault};
use super::visit::login_page;
use super::words::{self, Told};
use crate::billing::BillingError;
use crate::domain::audit::Actor;
use crate::domain::ids::SubscriberId;
use crate::domain::payment::ProviderName;

/// A page about money.
#[derive(Template)]
#[template(path = "money.html")]
pub(super) struct MoneyPage {
    pub(super) shell: Shell,
    pub(super) heading: String,
    pub(super) told: Option<Told>,
    pub(super) cards: Vec<Card>,
    pub(super) links: Vec<Link>,
}

/// One thing on it.
#[derive(Default)]
pub(super) struct Card {
    pub(super) title: String,
    pub(super) big: Option<String>,
    pub(super) soft: Vec<String>,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) items: Vec<Item>,
    pub(super) forms: Vec<Asking>,
    pub(super) links: Vec<Link>,
}

/// One of a list.
#[derive(Default)]
pub(super) struct Item {
    pub(super) title: String,
    pub(super) href: Option<String>,
    pub(super) lines: Vec<String>,
}

/// A form and its buttons.
pub(super) struct Asking {
    pub(super) token: String,
    pub(super) action: String,
    pub(super) inputs: Vec<Input>,
    pub(super) hidden: Vec<(&'static str, String)>,
    pub(super) buttons: Vec<Button>,
}

/// A button, with what it says to us.
pub(super) struct Button {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) label: String,
    pub(super) quiet: bool,
}

/// Somewhere to go.
pub(super) struct Link {
    pub(super) href: String,
    pub(super) label: String,
    pub(super) quiet: bool,
}

impl Link {
    pub(super) fn to(href: impl Into<String>, label: impl Into<String>) -> Self {
        Self { href: href.into(), label: label.into(), quiet: false }
    }

    pub(super) fn quiet(href: impl Into<String>, label: impl Into<String>) -> Self {
        Self { quiet: true, ..Self::to(href, label) }
    }
}

impl Button {
    pub(super) fn new(name: &'static str, value: impl Into<String>, label: impl Into<String>) -> Self {
        Self { name, value: value.into(), label: label.into(), quiet: false }
    }
}

impl Asking {
    pub(super) fn new(portal: &Portal, asked: &Asked, action: impl Into<String>) -> Self {
        Self {
            token: asked.token(portal, MONEY),
            action: action.into(),
            inputs: Vec::new(),
            hidden: Vec::new(),
            buttons: Vec::new(),
        }
    }

    pub(super) fn with(mut self, button: Button) -> Self {
        self.buttons.push(button);
        self
    }

    pub(super) fn hidden(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.hidden.push((name, value.into()));
        self
    }
}

/// Who asks; for a stranger the page where they log in.
pub(super) async fn who(portal: &Portal, asked: &Asked) -> Result<SubscriberId, Response<Body>> {
    match asked.visitor(portal).await {
        Some(visitor) => Ok(visitor.subscriber_id),
        None => Err(login_page(portal, asked, StatusCode::OK, "Log in to pay and see your bills", "", None)),
    }
}

/// The subscriber as who they act.
pub(super) fn acting(asked: &Asked, owner: SubscriberId) -> Actor {
    Actor { id: format!("subscriber:{owner}"), name: "subscriber".to_owned(), ..asked.actor.clone() }
}

/// What could not be done about money, in the words of who wanted it.
pub(super) fn refused(portal: &Portal, asked: &Asked, error: &BillingError) -> Response<Body> {
    let links = Links(&[("/pay", "Back to paying"), ("/customer", "See my account")]);
    let say = |status, title: &str, sentence: &str, remedy: &str| {
        message(portal, asked, status, ("alert", title, sentence, remedy), links)
    };
    let wrong = StatusCode::UNPROCESSABLE_ENTITY;
    match error {
        BillingError::NotFound { .. } => say(
            StatusCode::NOT_FOUND,
            "There is no such thing",
            "Nothing of your account is at this address.",
            "",
        ),
        BillingError::Field { message, .. } => say(wrong, "That cannot be done", &capital(message), ""),
        BillingError::Rule(sentence) | BillingError::NotAllowed(sentence) => {
            say(wrong, "That cannot be done", &capital(sentence), "")
        }
        BillingError::Money(error) => say(wrong, "That is no amount", &capital(&error.to_string()), ""),
        BillingError::Short { has, needs } => {
            let sentence =
                format!("Your wallet holds {}, and {} is needed.", words::money(has), words::money(needs));
            say(wrong, "Not enough in your wallet", &sentence, "Add money first, or pay in another way.")
        }
        BillingError::Repeated(_) => {
            say(StatusCode::OK, "This was done before", "Nothing was done twice.", "")
        }
        BillingError::Provider(_) => say(
            StatusCode::SERVICE_UNAVAILABLE,
            "The payment service does not answer",
            "No money was taken.",
            "Please try again in a minute, or pay in another way.",
        ),
        BillingError::Ledger(_)
        | BillingError::Entropy(_)
        | BillingError::Read(_)
        | BillingError::Commit(_) => our_fault(portal, asked, error),
    }
}

/// A sentence: its first letter large, a full stop at its end.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{stop}", letters.as_str())
}

/// 303 to a page of ours that has an id in its path: one of a record of ours, never of a request.
pub(super) fn go_to(portal: &Portal, asked: &Asked, to: &str) -> Response<Body> {
    let Ok(to) = HeaderValue::from_str(to) else {
        return our_fault(portal, asked, &"an id does not fit a header");
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(LOCATION, to);
    response
}

/// A parameter of the query; only plain characters, as our own ids and codes are.
pub(super) fn parameter<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    let pairs = asked.query.as_deref()?.split('&').filter_map(|pair| pair.split_once('='));
    let plain = |text: &&str| {
        let fits = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        (1..=64).contains(&text.len()) && text.bytes().all(fits)
    };
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value).filter(plain)
}

impl Portal {
    /// The gateways that are configured.
    pub(super) fn gateways(&self) -> Vec<ProviderName> {
        self.reception.billing().attempts.providers().names().collect()
    }
}

/// A gateway's name for people.
pub(super) const fn gateway_label(name: ProviderName) -> &'static str {
    match name {
        ProviderName::Paystack => "Paystack",
        ProviderName::Flutterwave | ProviderName::FlutterwaveV4 => "Flutterwave",
        ProviderName::Stripe => "Stripe",
        ProviderName::Mpesa => "M-Pesa",
        ProviderName::Cash => "cash",
        ProviderName::Wallet => "my wallet",
    }
}

/// The forms of these pages share a token: each does only what its path says.
pub(super) const MONEY: &str = "money";
