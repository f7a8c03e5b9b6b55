//! Why logins were accepted and refused, over HTTP.
//!
//! It only reads. The one rule: every refusal carries its stable code and a sentence that says
//! what to do.

use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::edit::{self, part};
use super::error::ApiError;
use super::route::{Access, Route};
use super::shape::Answer;
use crate::catalogue::logbook::EventFilter;
use crate::domain::auth_event::AuthEvent;
use crate::domain::role::Permission;

/// The routes of authentication events.
#[must_use]
pub fn routes() -> Vec<Route> {
    let reading = Access::Staff(Permission::SessionsRead);
    vec![
        Route::get(
            "/api/v1/auth-events",
            reading,
            "Why logins were accepted and refused, newest first",
            list,
        )
        .query(&["username", "refusal", "result", "service_id", "since"])
        .lists::<EventView>(),
    ]
}

/// An answer to a login, or several equal ones, as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventView {
    /// Identity.
    pub id: String,
    /// First of them.
    pub at: String,
    /// Last of them.
    pub last_at: String,
    /// How many.
    pub count: u64,
    /// `accept` or `refuse`.
    pub result: &'static str,
    /// The code of the refusal.
    pub reason: Option<&'static str>,
    /// The refusal in a sentence for staff.
    pub message: Option<String>,
    /// The login as sent.
    pub username: String,
    /// Which service it meant.
    pub service_id: Option<String>,
    /// Which NAS asked.
    pub nas_id: String,
    /// Its name at that time.
    pub nas_name: String,
    /// Calling-Station-Id.
    pub calling_station: Option<String>,
    /// `pap`, `chap`, `mschapv1`, `mschapv2`, `none`.
    pub method: String,
}

impl EventView {
    fn of(event: &AuthEvent) -> Self {
        Self {
            id: event.id.to_string(),
            at: event.at.to_string(),
            last_at: event.last_at.to_string(),
            count: event.count,
            result: if event.refusal.is_some() { "refuse" } else { "accept" },
            reason: event.refusal.map(|refusal| refusal.code()),
            message: event.refusal.map(|refusal| refusal.sentence()),
            username: event.username.clone(),
            service_id: event.service_id.map(|id| id.to_string()),
            nas_id: event.nas_id.to_string(),
            nas_name: event.nas_name.clone(),
            calling_station: event.calling_station.clone(),
            method: event.method.clone(),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let accepted = match call.query("result").as_deref() {
        None => None,
        Some("accept") => Some(true),
        Some("refuse") => Some(false),
        Some(_) => return Err(ApiError::field("result", "must be accept or refuse")),
    };
    let filter = EventFilter {
        username: call.query("username"),
        refusal: call.query("refusal"),
        service: call.query("service_id"),
        accepted,
        since: call.query_as("since")?,
    };
    let listed = app.catalogue.logbook.auth_events(&filter, part(window)).await?;
    Ok(edit::list(listed, window, |event| EventView::of(&event)))
}
