//! Network sessions over HTTP, open and ended.
//!
//! It only reads. The one rule: octets are whole numbers with the subscriber's directions in
//! their names.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::app::App;
use super::call::Call;
use super::edit::{self, part, reference};
use super::error::{ApiError, Code};
use super::route::{Access, Route};
use super::shape::Answer;
use crate::catalogue::logbook::{SessionFilter, SessionView as Kept};
use crate::domain::owed::{OwedChange, Wanted};
use crate::domain::role::Permission;
use crate::domain::session::{CloseReason, OpenedBy};
use crate::reception::{Ended, NotEnded, ToldNas};

/// The routes of sessions.
#[must_use]
pub fn routes() -> Vec<Route> {
    let (reading, ending) =
        (Access::Staff(Permission::SessionsRead), Access::Staff(Permission::SessionsWrite));
    vec![
        Route::get("/api/v1/sessions", reading, "List sessions, newest first", list)
            .query(&["open", "customer_id", "service_id", "nas_id", "username"])
            .lists::<SessionView>(),
        Route::get(
            "/api/v1/pending-changes",
            reading,
            "What NAS still owe: sessions that should end or change",
            owed,
        )
        .query(&["nas_id", "customer_id"])
        .lists::<OwedView>(),
        Route::get("/api/v1/sessions/{id}", reading, "Read a session", get).answers::<SessionView>(200),
        Route::post("/api/v1/sessions/{id}/disconnect", ending, "End an open session now", disconnect)
            .answers::<DisconnectView>(200),
    ]
}

/// A session as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionView {
    /// Identity.
    pub id: String,
    /// Whether it is open.
    pub open: bool,
    /// The NAS that reports it.
    pub nas_id: String,
    /// The NAS's own id for it.
    pub acct_session_id: String,
    /// Which service, when the login is known.
    pub service_id: Option<String>,
    /// Whose.
    pub customer_id: Option<String>,
    /// The login as reported.
    pub username: String,
    /// Calling-Station-Id, usually the device's MAC.
    pub calling_station: Option<String>,
    /// Called-Station-Id.
    pub called_station: Option<String>,
    /// The NAS's port.
    pub nas_port: Option<String>,
    /// Framed-IP-Address.
    pub ipv4: Option<String>,
    /// Framed-IPv6-Prefix.
    pub ipv6_prefix: Option<String>,
    /// Delegated-IPv6-Prefix.
    pub delegated_prefix: Option<String>,
    /// When it began.
    pub opened_at: String,
    /// Whether its Start was heard.
    #[schema(value_type = String)]
    pub opened_by: OpenedBy,
    /// When it ended.
    pub closed_at: Option<String>,
    /// Why it ended.
    #[schema(value_type = Option<Object>)]
    pub closed_why: Option<CloseReason>,
    /// Octets toward the subscriber.
    pub download_octets: u64,
    /// Octets from the subscriber.
    pub upload_octets: u64,
    /// Both together.
    pub total_octets: u64,
    /// Packets toward the subscriber.
    pub download_packets: u64,
    /// Packets from the subscriber.
    pub upload_packets: u64,
    /// How long it lasts or lasted, as reported.
    pub duration_seconds: u64,
    /// When the NAS last reported it.
    pub last_heard_at: Option<String>,
}

/// A change that a NAS still owes.
#[derive(Debug, Serialize, ToSchema)]
pub struct OwedView {
    /// Which session.
    pub session_id: String,
    /// At which NAS.
    pub nas_id: String,
    /// The NAS's own id for it.
    pub acct_session_id: String,
    /// Under which service.
    pub service_id: Option<String>,
    /// Whose.
    pub customer_id: Option<String>,
    /// Its login.
    pub username: String,
    /// Its device, where the NAS said.
    pub calling_station: Option<String>,
    /// `disconnect`, `reconnect` (end it, so that it logs in anew) or `change`.
    pub wanted: &'static str,
    /// Why it is to end.
    pub reason: Option<String>,
    /// Since when the facts are so.
    pub since: String,
    /// How often the NAS was told so far, by this run of the daemon.
    pub attempts: u32,
    /// When last.
    pub last_attempt_at: Option<String>,
    /// How that ended.
    pub last_answer: Option<String>,
}

/// What ending a session answers.
#[derive(Debug, Serialize, ToSchema)]
pub struct DisconnectView {
    /// Which session.
    pub session_id: String,
    /// Always true: no packet of it passes any more.
    pub disconnected: bool,
    /// Whether it had ended before.
    pub already: bool,
}

impl SessionView {
    pub(super) fn of(kept: &Kept) -> Self {
        let (session, used) = (&kept.session, kept.counters);
        let heard = i64::try_from(used.heard_millis).ok().filter(|millis| *millis > 0);
        Self {
            id: session.id.to_string(),
            open: session.closed_at.is_none(),
            nas_id: session.nas_id.to_string(),
            acct_session_id: session.acct_session_id.clone(),
            service_id: session.service_id.map(|id| id.to_string()),
            customer_id: session.subscriber_id.map(|id| id.to_string()),
            username: session.username.clone(),
            calling_station: session.calling_station.clone(),
            called_station: session.called_station.clone(),
            nas_port: session.nas_port.clone(),
            ipv4: session.ipv4.map(|address| address.to_string()),
            ipv6_prefix: session.ipv6_prefix.clone(),
            delegated_prefix: session.delegated_prefix.clone(),
            opened_at: session.opened_at.to_string(),
            opened_by: session.opened_by,
            closed_at: session.closed_at.map(|at| at.to_string()),
            closed_why: session.closed_why.clone(),
            download_octets: used.down_octets,
            upload_octets: used.up_octets,
            total_octets: used.down_octets.saturating_add(used.up_octets),
            download_packets: used.down_packets,
            upload_packets: used.up_packets,
            duration_seconds: used.seconds,
            last_heard_at: heard
                .and_then(|millis| Timestamp::from_millisecond(millis).ok())
                .map(|at| at.to_string()),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let filter = SessionFilter {
        open: call.query_as("open")?,
        customer: call.query("customer_id"),
        service: call.query("service_id"),
        nas: call.query_as("nas_id")?,
        username: call.query("username"),
    };
    let listed = app.catalogue.logbook.sessions(&filter, part(window)).await?;
    Ok(edit::list(listed, window, |kept| SessionView::of(&kept)))
}

async fn owed(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let (nas, customer) = (call.query("nas_id"), call.query("customer_id"));
    let mut owed = app.reception.owed_changes(call.now);
    owed.retain(|one| {
        nas.as_ref().is_none_or(|nas| *nas == one.nas.to_string())
            && customer
                .as_ref()
                .is_none_or(|customer| one.subscriber.is_some_and(|own| own.to_string() == *customer))
    });
    let total = owed.len();
    let view = |one: &OwedChange| {
        let told = app.reception.attempted(one);
        owed_view(one, told.as_ref())
    };
    let shown = owed.iter().skip(window.offset).take(window.limit).map(view);
    Ok(Answer::list(shown, total, window))
}

pub(super) fn owed_view(one: &OwedChange, told: Option<&ToldNas>) -> OwedView {
    OwedView {
        session_id: one.session.to_string(),
        nas_id: one.nas.to_string(),
        acct_session_id: one.acct_session_id.clone(),
        service_id: one.service.map(|id| id.to_string()),
        customer_id: one.subscriber.map(|id| id.to_string()),
        username: one.username.clone(),
        calling_station: one.station.clone(),
        wanted: match one.wanted {
            Wanted::Disconnect { .. } => "disconnect",
            Wanted::Reconnect => "reconnect",
            Wanted::Change(_) => "change",
        },
        reason: match one.wanted {
            Wanted::Disconnect { refusal } => Some(refusal.sentence()),
            Wanted::Reconnect | Wanted::Change(_) => None,
        },
        since: one.since.to_string(),
        attempts: told.map_or(0, |told| told.times),
        last_attempt_at: told.map(|told| told.at.to_string()),
        last_answer: told.map(|told| told.answer.clone()),
    }
}

async fn disconnect(app: App, call: Call) -> Result<Answer, ApiError> {
    let id = reference(&call).to_owned();
    let ended = app.reception.end_session(&id, &call.actor, call.now).await.map_err(not_ended)?;
    Ok(Answer::ok(&DisconnectView { session_id: id, disconnected: true, already: ended == Ended::Before }))
}

pub(super) fn not_ended(error: NotEnded) -> ApiError {
    match error {
        NotEnded::AtNas(why) => ApiError::new(
            Code::GatewayUnavailable,
            format!(
                "The session is at another NAS and goes on: {why}. Suspend the service to keep it from logging in again."
            ),
        ),
        NotEnded::Gateway(error) => ApiError::new(Code::GatewayUnavailable, format!("{error}.")),
        NotEnded::Reception(error) => error.into(),
    }
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    Ok(Answer::ok(&SessionView::of(&app.catalogue.logbook.session(reference(&call)).await?)))
}
