//! `/voucher`: somebody has a code on a card, or scanned it.
//!
//! Scanning opens the form with the code in it; only its button uses it. Whoever is here by a voucher comes back
//! without typing anything, as long as their browser keeps its cookie. The one rule: a code is used by a POST of
//! our own form and by nothing else.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::{Response, StatusCode};

use super::Portal;
use super::asked::Asked;
use super::devices;
use super::form::{Filled, Form, Input};
use super::page::{Links, VoucherPage, go, our_fault, page, told, with_cookies};
use super::words;
use crate::billing::fault::BillingError;
use crate::domain::audit::Actor;
use crate::people::CustomerVisitor;
use crate::people::throttle::Source;
use crate::reception::{RedeemError, Redeemed, Redeemer, Unconnected, nothing};

pub(super) async fn form(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let filled = Filled::read(asked.query.as_deref().unwrap_or_default().as_bytes());
    // What cannot be a code is not worth showing; what can is shown as it is printed.
    let typed = filled.text("code");
    let is_one = matches!(portal.reception.vouchers().code_in(typed).await, Ok(Some(_)));
    let code = if is_one { typed.to_uppercase() } else { String::new() };
    let visitor = asked.visitor(&portal).await;
    show(&portal, &asked, visitor.as_ref(), StatusCode::OK, code, None).await
}

pub(super) async fn redeem(State(portal): State<Portal>, asked: Asked, body: Body) -> Response<Body> {
    let filled = match asked.filled(&portal, body, VOUCHER).await {
        Ok(filled) => filled,
        Err(page) => return page,
    };
    let visitor = asked.visitor(&portal).await;
    if filled.text("do") == "continue" {
        return go_on(&portal, &asked, visitor.as_ref()).await;
    }
    let typed: String = filled.text("code").chars().take(MOST_TYPED).collect();
    let code = match portal.reception.vouchers().code_in(&typed).await {
        Ok(code) => code,
        Err(error) => return refused(&portal, &asked, visitor.as_ref(), typed, error.into()).await,
    };
    let Some(code) = code else {
        let wrong = if typed.is_empty() { EMPTY } else { NO_CODE };
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        return show(&portal, &asked, visitor.as_ref(), status, typed, Some(Wrong::Field(wrong))).await;
    };
    if visitor.is_none() && asked.device.is_none() {
        return elsewhere(&portal, &asked);
    }
    let source = Source::of(asked.device.as_ref(), asked.source).map(|source| source.to_string());
    let who = Redeemer {
        subscriber: visitor.as_ref().map(|visitor| visitor.subscriber_id),
        device: asked.device.as_ref(),
        source: source.as_deref().unwrap_or("nowhere"),
        begins_visit: true,
    };
    let actor = actor(&asked, visitor.as_ref());
    match portal.reception.redeem(&code, who, &nothing, &actor, asked.now).await {
        Ok(redeemed) => used(&portal, &asked, &redeemed).await,
        Err(error) => refused(&portal, &asked, visitor.as_ref(), typed, error).await,
    }
}

/// Somebody whose browser is known goes online again by what they have.
async fn go_on(portal: &Portal, asked: &Asked, visitor: Option<&CustomerVisitor>) -> Response<Body> {
    let (Some(visitor), Some(device)) = (visitor, &asked.device) else { return go("/voucher", None) };
    match portal.reception.connect(visitor.subscriber_id, device, asked.now).await {
        Ok(_) => go("/success", None),
        Err(why) => not_online(portal, asked, visitor.subscriber_id, &why).await,
    }
}

async fn used(portal: &Portal, asked: &Asked, redeemed: &Redeemed) -> Response<Body> {
    let cookie = redeemed.visit.as_ref().and_then(|visit| asked.visit_cookie(visit));
    match &redeemed.online {
        Ok(_) => go("/success", cookie),
        Err(Unconnected::NotHere) => go("/customer", cookie),
        Err(why) => with_cookies(not_online(portal, asked, redeemed.subscriber, why).await, cookie),
    }
}

async fn not_online(
    portal: &Portal,
    asked: &Asked,
    owner: crate::domain::ids::SubscriberId,
    why: &Unconnected,
) -> Response<Body> {
    if devices::is_full(why) {
        return devices::full(portal, asked, owner, why).await;
    }
    let status = match why {
        Unconnected::NotHere | Unconnected::NoService | Unconnected::Refused(_) => StatusCode::OK,
        Unconnected::NotCarriedOut(_) | Unconnected::Store(_) => {
            tracing::error!(%why, "Somebody used a voucher and could not be let online");
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    let links = Links(&[("/customer", "See my account"), ("/voucher", "Use a voucher")]);
    told(portal, asked, status, &words::unconnected(why, &portal.zone), links)
}

async fn refused(
    portal: &Portal,
    asked: &Asked,
    visitor: Option<&CustomerVisitor>,
    typed: String,
    error: RedeemError,
) -> Response<Body> {
    match error {
        RedeemError::Refused(why) => {
            let said = words::voucher(why);
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            show(portal, asked, visitor, status, typed, Some(Wrong::Told(said))).await
        }
        RedeemError::TooMany(wait) => {
            let secs = u32::try_from(wait.as_secs().max(1)).unwrap_or(u32::MAX);
            let mut said = words::voucher(crate::domain::voucher::VoucherRefusal::TooMany);
            said.remedy = format!("Please wait {}, then try again.", words::wait(secs));
            let status = StatusCode::TOO_MANY_REQUESTS;
            let mut page = show(portal, asked, visitor, status, String::new(), Some(Wrong::Told(said))).await;
            page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(secs));
            page
        }
        RedeemError::Billing(BillingError::Rule(sentence)) => {
            let said = words::Told::note("This voucher does not fit your service", capital(&sentence), "");
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            show(portal, asked, visitor, status, typed, Some(Wrong::Told(said))).await
        }
        error @ (RedeemError::Billing(_)
        | RedeemError::Subscriber(_)
        | RedeemError::People(_)
        | RedeemError::Catalogue(_)
        | RedeemError::Read(_)
        | RedeemError::Commit(_)
        | RedeemError::Text(_)
        | RedeemError::Entropy(_)) => our_fault(portal, asked, &error),
    }
}

/// What was wrong with what was typed.
enum Wrong {
    /// It is no code.
    Field(&'static str),
    /// It is one that is not taken.
    Told(words::Told),
}

async fn show(
    portal: &Portal,
    asked: &Asked,
    visitor: Option<&CustomerVisitor>,
    status: StatusCode,
    code: String,
    wrong: Option<Wrong>,
) -> Response<Body> {
    let (fault, said) = match wrong {
        Some(Wrong::Field(fault)) => (Some(fault.to_owned()), None),
        Some(Wrong::Told(said)) => (None, Some(said)),
        None => (None, None),
    };
    let is_wrong = fault.is_some();
    let input = Input {
        value: code,
        hint: "Twelve letters and digits. Capitals, spaces and hyphens do not matter.",
        longest: MOST_TYPED,
        fault,
        // A name that no password manager fills in, and that no phone corrects.
        ..Input::new("code", "Code of your voucher", "text", "off")
    };
    let mut form = Form { inputs: vec![input], ..asked.form(portal, VOUCHER) };
    if is_wrong {
        form = form.refused("Please check the code", None);
    }
    if let Some(said) = said {
        form = form.refused(said.title, Some(format!("{} {}", said.sentence, said.remedy).trim().to_owned()));
    }
    let account = match visitor {
        Some(visitor) => portal.reception.account(visitor.subscriber_id, asked.now).await.ok(),
        None => None,
    };
    let service = account.as_ref().and_then(|account| account.service.as_ref());
    let has_time = service.is_some_and(|service| service.verdict.is_ok());
    let online = match &asked.device {
        Some(device) => portal.reception.online(device, asked.now).await.is_some(),
        None => false,
    };
    let page_ = VoucherPage {
        shell: portal.shell(),
        form,
        plan: service.filter(|_| has_time).map(|one| one.service.terms.name.to_string()),
        may_continue: has_time && !online && asked.device.is_some(),
    };
    page(asked, status, &page_)
}

fn elsewhere(portal: &Portal, asked: &Asked) -> Response<Body> {
    let said = words::Told::note(
        "Not on this network",
        "A voucher’s time begins when it is used, and this device could not use it from here.",
        "Connect to the network that it is for, then open this page again. Or log in, to add it to your account.",
    );
    told(portal, asked, StatusCode::OK, &said, Links(&[("/login", "Log in"), ("/voucher", "Try again")]))
}

fn actor(asked: &Asked, visitor: Option<&CustomerVisitor>) -> Actor {
    visitor.map_or_else(
        || asked.actor.clone(),
        |visitor| Actor {
            id: format!("subscriber:{}", visitor.subscriber_id),
            name: "subscriber".to_owned(),
            ..asked.actor.clone()
        },
    )
}

fn capital(sentence: &str) -> String {
    let mut letters = sentence.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// The form's name.
const VOUCHER: &str = "voucher";
/// A code with every spacing that anybody types.
const MOST_TYPED: usize = 64;
const EMPTY: &str = "Please write the code of your voucher.";
const NO_CODE: &str = "A code has twelve letters and digits, and no zero, one, I, L or O.";
