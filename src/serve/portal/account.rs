//! `/status` and `/customer`: what a device is doing, and what its owner has.
//!
//! The one rule: what a device is doing is shown to the device; whose it is, only to who logged in.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Portal;
use super::asked::Asked;
use super::devices::{self, DEVICES};
use super::page::{DataCard, MoneyCard, OnlineCard, ServiceCard, SessionRow, StatusPage, our_fault, page};
use super::visit::{LOGOUT, login_page};
use super::words::{self, Told};
use crate::catalogue::logbook::SessionView;
use crate::domain::entitlement::{Access, Entitlement};
use crate::domain::lock::LockReason;
use crate::domain::refusal::Refusal;
use crate::reception::{Account, AccountService, Online, Unconnected};

pub(super) async fn status(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let online = online(&portal, &asked).await;
    let account = match account(&portal, &asked).await {
        Ok(account) => account,
        Err(page) => return page,
    };
    let heading = match (&online, &account) {
        (Some(_), _) => "You are online",
        (None, Some(_)) => "You are not online",
        (None, None) => "Not online",
    };
    let told = match (&online, &account) {
        (Some(online), _) => confirming(online, &portal.zone),
        (None, Some(account)) => Some(why_not(account, &asked, &portal.zone)),
        (None, None) => Some(Told::note(
            "Nobody is logged in on this device",
            "Log in to use the Internet here, or choose a plan first.",
            "",
        )),
    };
    let service = account.as_ref().and_then(|account| account.service.as_ref());
    let page_ = StatusPage {
        heading,
        here: "/status",
        data: data(online.as_ref(), service),
        online: online.as_ref().map(|online| online_card(online, service, asked.now, &portal.zone)),
        told,
        action: action(online.as_ref(), account.as_ref(), &asked),
        may_log_out: online.is_some() || account.is_some(),
        ..empty(&portal, &asked)
    };
    page(&asked, StatusCode::OK, &page_)
}

pub(super) async fn customer(State(portal): State<Portal>, asked: Asked) -> Response<Body> {
    let account = match account(&portal, &asked).await {
        Ok(Some(account)) => account,
        Ok(None) => {
            return login_page(&portal, &asked, StatusCode::OK, "Log in to see your account", "", None);
        }
        Err(page) => return page,
    };
    let told = account.service.as_ref().map_or_else(
        || Some(words::unconnected(&Unconnected::NoService, &portal.zone)),
        |service| granted(service).err().map(|refusal| words::refusal(&refusal, &portal.zone)),
    );
    let service = account.service.as_ref();
    let page_ = StatusPage {
        heading: "Your account",
        here: "/customer",
        told,
        money: money_card(&portal, &asked, &account).await,
        action: pays(service),
        data: data(None, service),
        service: service.map(|service| service_card(&account, service, asked.now, &portal.zone)),
        devices: devices::rows(&portal, &asked, account.subscriber.id).await,
        devices_token: asked.token(&portal, DEVICES),
        shows_sessions: true,
        sessions: account.sessions.iter().map(|one| session_row(one, &asked, &portal.zone)).collect(),
        may_log_out: true,
        ..empty(&portal, &asked)
    };
    page(&asked, StatusCode::OK, &page_)
}

fn empty(portal: &Portal, asked: &Asked) -> StatusPage {
    StatusPage {
        shell: portal.shell(),
        heading: "",
        here: "/",
        online: None,
        told: None,
        money: None,
        data: None,
        service: None,
        devices: Vec::new(),
        devices_token: String::new(),
        shows_sessions: false,
        sessions: Vec::new(),
        action: None,
        may_log_out: false,
        token: asked.token(portal, LOGOUT),
    }
}

async fn online(portal: &Portal, asked: &Asked) -> Option<Online> {
    portal.reception.online(asked.device.as_ref()?, asked.now).await
}

async fn account(portal: &Portal, asked: &Asked) -> Result<Option<Account>, Response<Body>> {
    let Some(visitor) = asked.visitor(portal).await else { return Ok(None) };
    let account = portal.reception.account(visitor.subscriber_id, asked.now).await;
    account.map(Some).map_err(|error| our_fault(portal, asked, &error))
}

/// What somebody has and owes; without it the page is worth showing all the same.
async fn money_card(portal: &Portal, asked: &Asked, account: &Account) -> Option<MoneyCard> {
    let service = account.service.as_ref().map(|one| one.service.id);
    match portal.reception.billing().overview(account.subscriber.id, service).await {
        Ok(stands) => Some(MoneyCard {
            wallet: words::money(&stands.wallet),
            owed: (stands.owed.minor > 0).then(|| words::money(&stands.owed)),
            due: stands.due_at.map(|at| words::near(at, asked.now, &portal.zone)),
            has_service: service.is_some(),
            can_pause: can_pause(portal, account),
            can_add: account.service.as_ref().is_some_and(AccountService::can_add),
        }),
        Err(error) => {
            tracing::error!(%error, "Somebody's money could not be looked up for a page");
            None
        }
    }
}

/// Whether pausing is something that this subscriber might do here.
fn can_pause(portal: &Portal, account: &Account) -> bool {
    let is_allowed = portal.reception.billing().settings.own_pause.most_days > 0;
    let is_paid = |one: &AccountService| one.status_word == "active" && !one.service.terms.is_free();
    is_allowed && account.service.as_ref().is_some_and(is_paid)
}

/// Where to go first, for whom only money keeps offline.
fn pays(service: Option<&AccountService>) -> Option<(&'static str, &'static str)> {
    let service = service?;
    let refusal = granted(service).err()?;
    let is_spent = matches!(refusal, Refusal::QuotaSpent | Refusal::TimeSpent);
    if is_spent && service.can_add() {
        return Some(("/topup", "Buy more"));
    }
    if refusal == (Refusal::Locked { reason: LockReason::CustomerHold }) {
        return Some(("/pause", "See the pause"));
    }
    refusal.money_helps().then_some(("/pay", "Pay now"))
}

/// What a service gives beyond the pages here, or why nothing.
fn granted(service: &AccountService) -> Result<&Entitlement, Refusal> {
    match &service.verdict {
        Ok(Entitlement { access: Access::Captive { reason }, .. }) => {
            Err(Refusal::Locked { reason: *reason })
        }
        Ok(yes) => Ok(yes),
        Err(refusal) => Err(*refusal),
    }
}

/// What brings whoever looks at their connection on.
fn action(
    online: Option<&Online>,
    account: Option<&Account>,
    asked: &Asked,
) -> Option<(&'static str, &'static str)> {
    match (online, account) {
        (Some(online), _) => online.confirming.map(|_| ("/confirm", "Enter the code")),
        (None, None) => Some(("/login", "Log in")),
        (None, Some(account)) => {
            let is_granted = account.service.as_ref().is_some_and(|service| granted(service).is_ok());
            (is_granted && asked.device.is_some()).then_some(("/login", "Log in again"))
        }
    }
}

/// A device that is online only to read its mail.
fn confirming(online: &Online, zone: &TimeZone) -> Option<Told> {
    online.confirming?;
    let until = online.ends_at.map(|end| format!(" until {}", words::clock(end, zone))).unwrap_or_default();
    let sentence = format!("This device is online{until} so that you can read your mail.");
    Some(Told::note("Your address is not confirmed yet", sentence, "Enter the code to stay online."))
}

fn why_not(account: &Account, asked: &Asked, zone: &TimeZone) -> Told {
    let Some(service) = &account.service else { return words::unconnected(&Unconnected::NoService, zone) };
    match (granted(service), &asked.device) {
        (Err(refusal), _) => words::refusal(&refusal, zone),
        (Ok(_), None) => words::unconnected(&Unconnected::NotHere, zone),
        (Ok(_), Some(_)) => {
            Told::note("This device is not connected", "Your service is fine.", "Log in again to connect it.")
        }
    }
}

fn online_card(
    online: &Online,
    service: Option<&AccountService>,
    now: Timestamp,
    zone: &TimeZone,
) -> OnlineCard {
    let left = online.ends_at.map(|end| words::span(end.duration_since(now)));
    let paid_until = service.and_then(|service| granted(service).ok()).map(|yes| yes.ends_at);
    let goes_on =
        |paid: Option<Timestamp>| paid.is_none_or(|paid| online.ends_at.is_some_and(|end| end < paid));
    OnlineCard {
        title: if online.plan.is_empty() { "This device".to_owned() } else { online.plan.clone() },
        may_return: online.ends_at.is_some() && paid_until.is_some_and(goes_on),
        since: words::near(online.since, now, zone),
        down: words::speed(online.rates.down.0),
        up: words::speed(online.rates.up.0),
        time_left: left.unwrap_or_else(|| "No limit".to_owned()),
        ends: online.ends_at.map(|end| words::near(end, now, zone)),
        received: words::octets(online.down_octets),
        sent: words::octets(online.up_octets),
    }
}

/// What is left as enforcement sees it; out of how much, where whoever asks may know that.
fn data(online: Option<&Online>, service: Option<&AccountService>) -> Option<DataCard> {
    if online.is_some_and(|online| online.confirming.is_some()) {
        return None;
    }
    let allowance = service.and_then(|service| service.service.terms.data_allowance);
    let of_service = service.and_then(|service| match granted(service) {
        Ok(yes) => yes.remaining_octets,
        Err(refusal) => (refusal == Refusal::QuotaSpent).then_some(0),
    });
    let Some(left) = online.and_then(|online| online.remaining_octets).or(of_service) else {
        let is_known = online.is_some() || service.is_some_and(|service| granted(service).is_ok());
        return is_known.then(|| DataCard { left: "Unlimited".to_owned(), of: None, percent: None });
    };
    let percent = allowance.filter(|all| *all > 0).map(|all| {
        let percent = u128::from(left) * 100 / u128::from(all);
        u64::try_from(percent).unwrap_or(100).min(100)
    });
    Some(DataCard { left: words::octets(left), of: allowance.map(words::octets), percent })
}

fn service_card(account: &Account, known: &AccountService, now: Timestamp, zone: &TimeZone) -> ServiceCard {
    let (price, period) = words::price(&known.service.terms);
    let (from, until) = known.period;
    ServiceCard {
        plan: known.service.terms.name.to_string(),
        owner: account.subscriber.display_name(),
        number: account.subscriber.customer_number.to_string(),
        status: match (known.status_word, granted(known)) {
            ("active", Ok(_)) => "Active",
            ("pending", _) => "Not active yet",
            ("cancelled", _) => "Ended",
            (_, Err(Refusal::QuotaSpent)) => "Data used up",
            (_, Err(Refusal::TimeSpent)) => "Time used up",
            (_, Err(Refusal::Expired { .. })) => "Run out",
            (_, Ok(_) | Err(_)) => "Paused",
        },
        price: format!("{price} {period}").trim_end().to_owned(),
        from: from.map(|at| words::near(at, now, zone)),
        until: until.map(|at| words::near(at, now, zone)),
        received: words::octets(known.usage.down_octets),
        sent: words::octets(known.usage.up_octets),
    }
}

fn session_row(view: &SessionView, asked: &Asked, zone: &TimeZone) -> SessionRow {
    let session = &view.session;
    let lasted = words::span(session.closed_at.unwrap_or(asked.now).duration_since(session.opened_at));
    let station = session.calling_station.as_deref().unwrap_or_default();
    let is_this = asked.device.as_ref().is_some_and(|device| device.mac.to_string() == station);
    SessionRow {
        began: words::near(session.opened_at, asked.now, zone),
        lasted: if session.closed_at.is_none() { format!("Online for {lasted}") } else { lasted },
        received: words::octets(view.counters.down_octets),
        sent: words::octets(view.counters.up_octets),
        device: match (is_this, station) {
            (true, _) => "This device".to_owned(),
            (false, "") => String::new(),
            (false, station) => format!("Device {station}"),
        },
    }
}
