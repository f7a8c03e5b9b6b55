//! What gateways tell us.
//!
//! An answer of 2xx means that the event is kept, known before, or of no use to us; anything else has the gateway
//! send it again. The one rule: the signature is checked over the octets as they came, before anything is read of
//! them, and the limit of the body before that.

use axum::http::StatusCode;
use serde_json::json;

use super::{Access, Answer, ApiError, App, Call, Code, Route};
use crate::billing::inbox::InboxError;
use crate::billing::provider::{Delivery, NotTaken};
use crate::domain::payment::ProviderName;

/// The routes of webhooks.
#[must_use]
pub fn routes() -> Vec<Route> {
    let all = vec![
        Route::post(
            "/api/v1/webhooks/{gateway}",
            Access::Public,
            "A payment gateway tells of something",
            signed,
        ),
        Route::post("/api/v1/webhooks/mpesa/{token}", Access::Public, "M-Pesa tells of a push", by_path),
        Route::post(
            "/api/v1/webhooks/mpesa/{token}/{reference}",
            Access::Public,
            "M-Pesa tells of a push, with our reference",
            by_path,
        ),
    ];
    all.into_iter().map(|route| route.on_portal().body_limit(LARGEST)).collect()
}

async fn signed(app: App, call: Call) -> Result<Answer, ApiError> {
    let name: String = call.parameter("gateway", "gateway")?;
    let provider = ProviderName::parse(&name).ok_or_else(|| ApiError::not_found("gateway"))?;
    let header = app.billing.attempts.signature_header(provider);
    let header = header.ok_or_else(|| ApiError::not_found("gateway"))?;
    take(&app, &call, provider, call.header(header)).await?;
    Ok(Answer::json(StatusCode::OK, &json!({ "received": true })))
}

async fn by_path(app: App, call: Call) -> Result<Answer, ApiError> {
    take(&app, &call, ProviderName::Mpesa, None).await?;
    Ok(Answer::json(StatusCode::OK, &json!({ "ResultCode": 0, "ResultDesc": "Accepted" })))
}

async fn take(
    app: &App,
    call: &Call,
    provider: ProviderName,
    signature: Option<&str>,
) -> Result<(), ApiError> {
    let delivery = Delivery {
        signature,
        body: &call.body,
        token: call.parameters.get("token").map(String::as_str),
        reference: call.parameters.get("reference").map(String::as_str),
        source: call.source,
        now: call.now,
    };
    let answer = app.billing.attempts.receive(provider, &delivery).await;
    let outcome = match &answer {
        Ok(received) => match received {
            crate::billing::inbox::Received::New => "new",
            crate::billing::inbox::Received::Again => "again",
        },
        Err(InboxError::NotTaken(_)) => "refused",
        Err(InboxError::Billing(_)) => "failed",
    };
    metrics::counter!("payment_webhooks_total", "gateway" => provider.name(), "outcome" => outcome)
        .increment(1);
    match answer {
        Ok(_) => Ok(()),
        Err(InboxError::NotTaken(NotTaken::Signature)) => {
            Err(ApiError::new(Code::AuthenticationRequired, "The signature does not hold."))
        }
        Err(InboxError::NotTaken(NotTaken::Unreadable)) => {
            Err(ApiError::new(Code::BadRequest, "The body is not what this gateway sends."))
        }
        Err(InboxError::NotTaken(NotTaken::NotConfigured)) => Err(ApiError::not_found("gateway")),
        Err(InboxError::Billing(error)) => Err(error.into()),
    }
}

/// Largest event that is read: those of the gateways are a few KiB.
const LARGEST: usize = 256 * 1024;
