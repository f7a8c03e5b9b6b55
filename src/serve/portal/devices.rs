//! `/devices`: the devices of an account that are online; one gives its place to another.
//!
//! Whoever comes here has a visit, so they have proven who they are. The one rule: a place is given free and
//! taken in that order, so the limit of the plan holds at any time.

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use jiff::tz::TimeZone;

use super::Portal;
use super::asked::Asked;
use super::page::{DeviceRow, DevicesPage, Links, go, message, our_fault, page, told};
use super::visit::login_page;
use super::words::{self, Told};
use crate::catalogue::fault::Fault;
use crate::domain::audit::Actor;
use crate::domain::ids::SubscriberId;
use crate::domain::refusal::Refusal;
use crate::reception::{NotEnded, OwnDevice, ReceptionError, Unconnected};

/// The page of somebody whose plan has no place left for the device that they hold.
pub(super) async fn full(
    portal: &Portal,
    asked: &Asked,
    owner: SubscriberId,
    why: &Unconnected,
) -> Response<Body> {
    let page_ = DevicesPage {
        shell: portal.shell(),
        told: words::unconnected(why, &portal.zone),
        devices: rows(portal, asked, owner).await,
        token: asked.token(portal, DEVICES),
    };
    page(asked, StatusCode::OK, &page_)
}

/// Whether a device is kept out by others of its owner only.
pub(super) const fn is_full(why: &Unconnected) -> bool {
    matches!(why, Unconnected::Refused(Refusal::DeviceLimit { .. }))
}

pub(super) async fn rows(portal: &Portal, asked: &Asked, owner: SubscriberId) -> Vec<DeviceRow> {
    let devices = portal.reception.devices(owner, asked.device.as_ref()).await;
    devices.iter().map(|one| row(one, &portal.zone)).collect()
}

fn row(one: &OwnDevice, zone: &TimeZone) -> DeviceRow {
    DeviceRow {
        session: one.session.to_string(),
        name: one.mac.to_string(),
        since: words::moment(one.since, zone),
        received: words::octets(one.counters.down_octets),
        is_here: one.is_here,
    }
}

pub(super) async fn remove(State(portal): State<Portal>, asked: Asked, body: Body) -> Response<Body> {
    let filled = match asked.filled(&portal, body, DEVICES).await {
        Ok(filled) => filled,
        Err(page) => return page,
    };
    let Some(visitor) = asked.visitor(&portal).await else {
        return login_page(&portal, &asked, StatusCode::OK, "Log in to see your devices", "", None);
    };
    let owner = visitor.subscriber_id;
    let actor =
        Actor { id: format!("subscriber:{owner}"), name: "subscriber".to_owned(), ..asked.actor.clone() };
    let session = filled.text("session");
    if let Err(error) = portal.reception.remove_device(owner, session, &actor, asked.now).await {
        return not_removed(&portal, &asked, &error);
    }
    match (&asked.device, filled.text("do")) {
        (Some(device), "use") => match portal.reception.connect(owner, device, asked.now).await {
            Ok(_) => go("/success", None),
            Err(why) if is_full(&why) => full(&portal, &asked, owner, &why).await,
            Err(why) => {
                let links = Links(&[("/customer", "See my account"), ("/login", "Try again")]);
                told(&portal, &asked, StatusCode::OK, &words::unconnected(&why, &portal.zone), links)
            }
        },
        (Some(_) | None, _) => go("/customer", None),
    }
}

fn not_removed(portal: &Portal, asked: &Asked, error: &NotEnded) -> Response<Body> {
    let said = match error {
        NotEnded::AtNas(_) => Told::note(
            "This device is elsewhere",
            "It is online at another place of this network, which did not end its connection.",
            "Switch its connection off there, or ask the people who run this network.",
        ),
        NotEnded::Reception(ReceptionError::Catalogue(Fault::NotFound { .. })) => {
            Told::note("There is no such device", "No device of your account has this connection.", "")
        }
        NotEnded::Gateway(_) | NotEnded::Reception(_) => return our_fault(portal, asked, error),
    };
    let links = Links(&[("/customer", "See my account")]);
    message(
        portal,
        asked,
        StatusCode::NOT_FOUND,
        (said.look, &said.title, &said.sentence, &said.remedy),
        links,
    )
}

/// The form beside each device.
pub(super) const DEVICES: &str = "devices";
