//! The subscriber's devices that are online, and how one of them gives its place away.
//!
//! The one rule: everything is about the subscriber who asks; another's session is not there for them.

use serde::Serialize;
use utoipa::ToSchema;

use super::customer_auth::device;
use super::sessions::{DisconnectView, not_ended};
use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Call, Route};
use crate::reception::{Ended, OwnDevice};

/// The routes of a subscriber's devices.
#[must_use]
pub fn routes() -> Vec<Route> {
    let path = "/api/v1/customer/devices/{session_id}/disconnect";
    let routes = vec![
        Route::get("/api/v1/customer/devices", Access::Customer, "One's devices that are online", list)
            .lists::<DeviceView>(),
        Route::post(path, Access::Customer, "Take one of one's devices offline", disconnect)
            .answers::<DisconnectView>(200),
    ];
    routes.into_iter().map(Route::on_portal).collect()
}

/// A device that is online.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeviceView {
    /// Its session: what disconnects it.
    pub session_id: String,
    /// Under which service.
    pub service_id: String,
    /// Its hardware address.
    pub mac: String,
    /// The access interface that it comes in by.
    pub interface: String,
    /// Its IPv4 address, where it has one.
    pub ipv4: Option<String>,
    /// Since when it is online.
    pub since: String,
    /// Octets toward it in this session.
    pub download_octets: u64,
    /// Octets from it.
    pub upload_octets: u64,
    /// Whether it is the one that asks.
    pub this_device: bool,
}

impl DeviceView {
    fn of(one: &OwnDevice) -> Self {
        Self {
            session_id: one.session.to_string(),
            service_id: one.service.to_string(),
            mac: one.mac.to_string(),
            interface: one.interface.clone(),
            ipv4: one.ipv4.map(|address| address.to_string()),
            since: rfc3339(one.since),
            download_octets: one.counters.down_octets,
            upload_octets: one.counters.up_octets,
            this_device: one.is_here,
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let owner = call.customer()?.subscriber_id;
    let devices = app.reception.devices(owner, device(&app, &call).as_ref()).await;
    let part = devices.iter().skip(window.offset).take(window.limit).map(DeviceView::of);
    Ok(Answer::list(part, devices.len(), window))
}

async fn disconnect(app: App, call: Call) -> Result<Answer, ApiError> {
    let owner = call.customer()?.subscriber_id;
    let id: String = call.parameter("session_id", "session")?;
    let ended = app.reception.remove_device(owner, &id, &call.actor, call.now).await.map_err(not_ended)?;
    Ok(Answer::ok(&DisconnectView { session_id: id, disconnected: true, already: ended == Ended::Before }))
}
