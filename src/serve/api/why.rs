//! `GET /api/v1/why`: why somebody is, or is not, online.

use std::sync::Arc;

use serde_json::{Value, json};

use super::app::App;
use super::call::Call;
use super::error::ApiError;
use super::route::{Access as Permitted, Route};
use super::shape::Answer;
use crate::access::{Access, Explained};
use crate::domain::entitlement::Entitlement;
use crate::domain::role::Permission;

/// The route; it asks this use case.
#[must_use]
pub fn routes(access: &Arc<Access>) -> Vec<Route> {
    let access = Arc::clone(access);
    let handler = move |_: App, call: Call| explain(Arc::clone(&access), call);
    let summary = "Explain why a login or a device is, or is not, online";
    vec![
        Route::get("/api/v1/why", Permitted::Staff(Permission::SessionsRead), summary, handler)
            .query(&["who"]),
    ]
}

async fn explain(access: Arc<Access>, call: Call) -> Result<Answer, ApiError> {
    let Some(who) = call.query("who") else {
        return Err(ApiError::field("who", "name a login or a MAC address: ?who=…"));
    };
    let explanation = access.explain(&who, call.now).await?;
    let services: Vec<Value> = explanation.services.iter().map(service).collect();
    Ok(Answer::ok(&json!({
        "who": who,
        "known": !services.is_empty(),
        "services": services,
        "decisions": explanation.decisions,
        "device": explanation.device,
    })))
}

fn service(one: &Explained) -> Value {
    let (plan_code, terms_version) = &one.plan;
    let (may_be_online, sentence) = match &one.verdict {
        Ok(yes) => (true, format!("A login with the right password is accepted: {}.", yes.rates)),
        Err(refusal) => (false, refusal.sentence()),
    };
    let sessions: Vec<Value> = one
        .sessions
        .iter()
        .map(|session| {
            json!({
                "id": session.id,
                "nas_id": session.nas_id,
                "station": session.station,
                "opened_at": session.opened_at,
                "granted_terms": session.granted_terms,
                "at_this_gateway": session.is_local,
            })
        })
        .collect();
    json!({
        "username": one.username,
        "service_number": one.service_number,
        "plan_code": plan_code,
        "terms_version": terms_version,
        "phase": one.phase,
        "locks": one.locks,
        "intervals": one.intervals,
        "period_start": one.period_start,
        "usage": one.usage,
        "online": !one.sessions.is_empty(),
        "may_be_online": may_be_online,
        "reason": one.verdict.as_ref().err().map(crate::domain::refusal::Refusal::code),
        "sentence": sentence,
        "entitlement": one.verdict.as_ref().ok().map(entitlement),
        "sessions": sessions,
    })
}

fn entitlement(yes: &Entitlement) -> Value {
    json!({
        "download_bps": yes.rates.down.0.get(),
        "upload_bps": yes.rates.up.0.get(),
        "remaining_octets": yes.remaining_octets,
        "ends_at": yes.ends_at,
        "session_secs": yes.session_secs,
        "idle_secs": yes.idle_secs,
        "device_limit": yes.device_limit,
        "access": yes.access,
    })
}
