//! `/wallet`: what somebody has with us, whether it renews by itself, and money for a friend.
//!
//! Money is sent in two steps: the first shows how much goes to whom, the second has a key that is used once.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};

use super::{Asking, Button, Card, Item, Link, MONEY, MoneyPage, refused, who};
use crate::billing::BillingError;
use crate::billing::own::Overview;
use crate::domain::ids::SubscriberId;
use crate::domain::money::Money;
use crate::domain::subscriber::Subscriber;
use crate::serve::portal::Portal;
use crate::serve::portal::asked::Asked;
use crate::serve::portal::form::{Filled, Input};
use crate::serve::portal::page::{go, our_fault, page};
use crate::serve::portal::words::{self, Told};

pub(in crate::serve::portal) async fn show(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    match who(&portal, &asked).await {
        Ok(owner) => wallet_page(&portal, &asked, owner, None).await,
        Err(page) => page,
    }
}

async fn wallet_page(
    portal: &Portal,
    asked: &Asked,
    owner: SubscriberId,
    told: Option<Told>,
) -> Response<Body> {
    let billing = portal.reception.billing();
    let account = match portal.reception.account(owner, asked.now).await {
        Ok(account) => account,
        Err(error) => return our_fault(portal, asked, &error),
    };
    let stands = billing.overview(owner, account.service.map(|one| one.service.id)).await;
    let (stands, lines) = match (stands, billing.till.statement(owner, None, MOST_LINES).await) {
        (Ok(stands), Ok(lines)) => (stands, lines),
        (Err(error), _) | (_, Err(error)) => return refused(portal, asked, &error),
    };
    // A bill paid from the wallet changes nothing of what both come to.
    let items = lines.iter().filter(|line| line.change.minor != 0).map(|line| Item {
        title: words::money(&line.change),
        href: None,
        lines: vec![line.posting.memo.clone(), words::near(line.posting.at, asked.now, &portal.zone)],
    });
    let history = Card {
        title: "What happened".to_owned(),
        soft: if lines.is_empty() { vec!["Nothing yet.".to_owned()] } else { Vec::new() },
        items: items.collect(),
        ..Card::default()
    };
    let balance = Card {
        big: Some(words::money(&stands.wallet)),
        links: vec![Link::to("/pay", "Add money or pay")],
        ..Card::default()
    };
    let mut cards = vec![balance];
    cards.extend(renewal(portal, asked, &stands));
    cards.extend([send_card(portal, asked), history]);
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: "Your wallet".to_owned(),
        told,
        cards,
        links: vec![Link::quiet("/payments", "Payments"), Link::quiet("/customer", "My account")],
    };
    page(asked, StatusCode::OK, &page_)
}

/// The switch of automatic renewal, where periods are bought before.
fn renewal(portal: &Portal, asked: &Asked, stands: &Overview) -> Option<Card> {
    let subscription = stands.subscription.as_ref()?;
    if subscription.mode != crate::domain::plan::BillingMode::Prepaid {
        return None;
    }
    let (soft, value, label) = if subscription.auto_renew {
        ("On: when your plan ends, the next period is paid from your wallet.", "off", "Switch it off")
    } else {
        ("Off: your plan ends when what is paid for is over.", "on", "Switch it on")
    };
    let refusal =
        subscription.last_refusal.iter().map(|why| format!("The last time it did not work: {why}."));
    let button = Button { quiet: true, ..Button::new("renew", value, label) };
    Some(Card {
        title: "Automatic renewal".to_owned(),
        soft: std::iter::once(soft.to_owned()).chain(refusal).collect(),
        forms: vec![Asking::new(portal, asked, "/wallet").with(button)],
        ..Card::default()
    })
}

fn send_card(portal: &Portal, asked: &Asked) -> Card {
    let mut form = Asking::new(portal, asked, "/wallet/send")
        .with(Button { quiet: true, ..Button::new("do", "look", "Send money") });
    form.inputs = vec![
        Input { longest: 64, ..Input::new("to", "Customer number of your friend", "text", "off") },
        Input { longest: 20, ..Input::new("amount", "Amount", "text", "off") },
    ];
    Card { title: "Send money to a friend".to_owned(), forms: vec![form], ..Card::default() }
}

pub(in crate::serve::portal) async fn switch(
    State(portal): State<Portal>,
    asked: Asked,
    body: Body,
) -> Response<Body> {
    let (filled, owner) = match begun(&portal, &asked, body).await {
        Ok(begun) => begun,
        Err(page) => return page,
    };
    let account = match portal.reception.account(owner, asked.now).await {
        Ok(account) => account,
        Err(error) => return our_fault(&portal, &asked, &error),
    };
    let Some(service) = account.service else {
        return refused(&portal, &asked, &BillingError::rule("there is no service on this account"));
    };
    let on = filled.text("renew") == "on";
    let till = &portal.reception.billing().till;
    match till.set_auto_renew(service.service.id, owner, on, None, asked.now).await {
        Ok(_) => go("/wallet", None),
        Err(error) => refused(&portal, &asked, &error),
    }
}

async fn begun(portal: &Portal, asked: &Asked, body: Body) -> Result<(Filled, SubscriberId), Response<Body>> {
    let filled = asked.filled(portal, body, MONEY).await?;
    Ok((filled, who(portal, asked).await?))
}

pub(in crate::serve::portal) async fn send(
    State(portal): State<Portal>,
    asked: Asked,
    body: Body,
) -> Response<Body> {
    let (filled, owner) = match begun(&portal, &asked, body).await {
        Ok(begun) => begun,
        Err(page) => return page,
    };
    let (friend, amount) = match meant(&portal, &filled).await {
        Ok(meant) => meant,
        Err(error) => return refused(&portal, &asked, &error),
    };
    let key = filled.text("key");
    if filled.text("do") != "send" || key.is_empty() {
        return ask(&portal, &asked, &friend, amount);
    }
    let till = &portal.reception.billing().till;
    match till.transfer((owner, friend.id), amount, key, None, asked.now).await {
        // Sent once; a second press of the button says the same.
        Ok(()) | Err(BillingError::Repeated(_)) => {
            let sentence = format!("{} went to {}.", words::money(&amount), friend.customer_number);
            let told = Told { look: "done", title: "Sent".to_owned(), sentence, remedy: String::new() };
            wallet_page(&portal, &asked, owner, Some(told)).await
        }
        Err(error) => refused(&portal, &asked, &error),
    }
}

async fn meant(portal: &Portal, filled: &Filled) -> Result<(Subscriber, Money), BillingError> {
    let billing = portal.reception.billing();
    let text = filled.text("amount").replace([',', ' '], "");
    let amount = Money::parse(&text, billing.settings.currency)?;
    if amount.minor <= 0 {
        return Err(BillingError::field("amount", "the amount must be above zero"));
    }
    Ok((billing.friend(filled.text("to")).await?, amount))
}

/// The page that asks once more. Of the friend it shows what they told: their number, and initials to be sure.
fn ask(portal: &Portal, asked: &Asked, friend: &Subscriber, amount: Money) -> Response<Body> {
    let Ok(key) = portal.entropy.readable(KEY_LENGTH) else {
        return our_fault(portal, asked, &"no random bytes are to be had");
    };
    let initial = |name: &str| name.chars().next().map(|one| format!("{one}.")).unwrap_or_default();
    let initials = format!("{} {}", initial(friend.first_name.as_str()), initial(friend.last_name.as_str()));
    let form = Asking::new(portal, asked, "/wallet/send")
        .hidden("to", friend.customer_number.to_string())
        .hidden("amount", amount.decimal())
        .hidden("key", key)
        .with(Button::new("do", "send", format!("Send {}", words::money(&amount))));
    let card = Card {
        big: Some(words::money(&amount)),
        facts: vec![("To", friend.customer_number.to_string()), ("Initials", initials)],
        soft: vec!["It cannot be taken back.".to_owned()],
        forms: vec![form],
        ..Card::default()
    };
    let page_ = MoneyPage {
        shell: portal.shell(),
        heading: "Send this?".to_owned(),
        told: None,
        cards: vec![card],
        links: vec![Link::quiet("/wallet", "No, go back")],
    };
    page(asked, StatusCode::OK, &page_)
}

/// Newest lines of the account; the whole of it is in the statement.
const MOST_LINES: usize = 15;
/// Symbols of five bits: nobody meets another's key.
const KEY_LENGTH: usize = 26;
