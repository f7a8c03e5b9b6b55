//! Places that are told of events, over HTTP: make, change, test, and what was delivered.
//!
//! The one rule: only servers on the public Internet, by HTTPS; and a secret is shown when it is made and not
//! again.

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::users::{by, rfc3339};
use super::{Access, Answer, ApiError, App, Body, Call, Form, Route, commit_answering};
use crate::domain::ids::{DeliveryId, WebhookId};
use crate::domain::role::Permission;
use crate::domain::text::Line;
use crate::domain::webhook::{Delivery, DeliveryStatus, EVENTS, Webhook, check_url};
use crate::people::webhooks::{MadeWebhook, NewWebhook, WebhookChange};

/// The routes of webhooks that go out.
#[must_use]
pub fn routes() -> Vec<Route> {
    let read = Access::Staff(Permission::WebhooksRead);
    let write = Access::Staff(Permission::WebhooksWrite);
    let secret = Access::StaffFresh(Permission::WebhooksWrite);
    vec![
        Route::get("/api/v1/webhook-endpoints", read, "List places that are told of events", list)
            .lists::<WebhookView>(),
        Route::post("/api/v1/webhook-endpoints", secret, "Have a place told of events", create)
            .takes::<WebhookCreate>()
            .answers::<WebhookView>(201),
        Route::get("/api/v1/webhook-endpoints/{id}", read, "Read a place", get).answers::<WebhookView>(200),
        Route::patch("/api/v1/webhook-endpoints/{id}", secret, "Change a place", change)
            .takes::<WebhookUpdate>()
            .answers::<WebhookView>(200),
        Route::delete("/api/v1/webhook-endpoints/{id}", write, "Remove a place", remove)
            .answers::<WebhookView>(200),
        Route::post("/api/v1/webhook-endpoints/{id}/rotate-secret", secret, "Make a new secret", rotate)
            .answers::<WebhookView>(200),
        Route::post("/api/v1/webhook-endpoints/{id}/test", write, "Send a test", test)
            .answers::<DeliveryView>(202),
        Route::get(
            "/api/v1/webhook-deliveries",
            read,
            "List what was delivered, the newest first",
            deliveries,
        )
        .query(&["endpoint_id", "status"])
        .lists::<DeliveryView>(),
        Route::get("/api/v1/webhook-deliveries/{id}", read, "Read a delivery and its tries", delivery)
            .answers::<DeliveryView>(200),
        Route::post("/api/v1/webhook-deliveries/{id}/redeliver", write, "Send a delivery again", redeliver)
            .answers::<DeliveryView>(202),
        Route::get("/api/v1/webhook-events", read, "What can be told", |_: App, _: Call| {
            std::future::ready(Ok(Answer::ok(&json!({ "events": EVENTS }))))
        }),
    ]
}

/// A place to be made.
#[derive(Debug, ToSchema)]
pub struct WebhookCreate {
    /// Where to: `https://` and a name.
    pub url: String,
    /// What people call it.
    #[schema(value_type = String)]
    pub name: Line,
    /// Of which events; left out for all of `/api/v1/webhook-events`.
    pub events: Vec<String>,
}

impl Body for WebhookCreate {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let url = form.required_with("url", url);
        let name = form.required("name");
        let events = form.optional_with("events", events);
        Some(Self { url: url?, name: name?, events: events.unwrap_or_default() })
    }
}

/// What to change; what is left out stays.
#[derive(Debug, ToSchema)]
pub struct WebhookUpdate {
    /// Where to.
    pub url: Option<String>,
    /// What people call it.
    #[schema(value_type = Option<String>)]
    pub name: Option<Line>,
    /// Of which events; empty for all.
    pub events: Option<Vec<String>>,
    /// Whether it is told anything.
    pub is_active: Option<bool>,
}

impl Body for WebhookUpdate {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        Some(Self {
            url: form.optional_with("url", url),
            name: form.optional("name"),
            events: form.optional_with("events", events),
            is_active: form.optional("is_active"),
        })
    }
}

fn url(value: &Value) -> Result<String, String> {
    let text = super::form::text(value)?;
    check_url(text).map(|()| text.to_owned()).map_err(str::to_owned)
}

fn events(value: &Value) -> Result<Vec<String>, String> {
    let names = value.as_array().filter(|names| names.len() <= EVENTS.len());
    let names = names.ok_or("must be a list of kinds from /api/v1/webhook-events")?;
    let kind = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        let known = EVENTS.contains(&name).then(|| name.to_owned());
        known.ok_or_else(|| format!("{name:?} is not told; see /api/v1/webhook-events"))
    };
    names.iter().map(kind).collect()
}

/// A place as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct WebhookView {
    /// Identity.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Where to.
    pub url: String,
    /// Of which events; empty for all.
    pub events: Vec<String>,
    /// Whether it is told anything.
    pub is_active: bool,
    /// Deliveries in a row that were not taken.
    pub failures: u32,
    /// When the next try is made, after one that was not taken.
    pub next_try_at: Option<String>,
    /// Events that were not written down for it, since too much waited.
    pub skipped: u64,
    /// When it was made.
    pub created_at: String,
    /// When it last changed.
    pub updated_at: String,
    /// The secret that signs; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

impl WebhookView {
    fn of(webhook: &Webhook, skipped: u64) -> Self {
        Self {
            id: webhook.id.to_string(),
            name: webhook.name.to_string(),
            url: webhook.url.clone(),
            events: webhook.events.clone(),
            is_active: webhook.is_active,
            failures: webhook.failures,
            next_try_at: webhook.next_try_at.map(rfc3339),
            skipped,
            created_at: rfc3339(webhook.created_at),
            updated_at: rfc3339(webhook.updated_at),
            secret: None,
        }
    }

    fn made(made: &MadeWebhook) -> Self {
        Self { secret: made.secret.expose_text().map(str::to_owned), ..Self::of(&made.webhook, 0) }
    }
}

/// A delivery as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryView {
    /// Identity, as the header `Dotmac-Delivery` has it.
    pub id: String,
    /// For whom.
    pub endpoint_id: String,
    /// The event's kind.
    pub event: String,
    /// `waiting`, `delivered` or `parked`.
    pub status: &'static str,
    /// How often it was tried.
    pub tries: u32,
    /// The last tries.
    pub log: Vec<TryView>,
    /// What is sent.
    #[schema(value_type = Object)]
    pub body: Value,
    /// When it was written down.
    pub created_at: String,
    /// When it was delivered or given up.
    pub settled_at: Option<String>,
}

/// One try.
#[derive(Debug, Serialize, ToSchema)]
pub struct TryView {
    /// When.
    pub at: String,
    /// What the receiver answered.
    pub status: Option<u16>,
    /// What went wrong.
    pub fault: Option<String>,
}

impl From<&Delivery> for DeliveryView {
    fn from(one: &Delivery) -> Self {
        let tried = one.log.iter().map(|tried| TryView {
            at: rfc3339(tried.at),
            status: tried.status,
            fault: tried.fault.clone(),
        });
        Self {
            id: one.id.to_string(),
            endpoint_id: one.webhook_id.to_string(),
            event: one.kind.clone(),
            status: one.status.name(),
            tries: one.tries,
            log: tried.collect(),
            body: serde_json::from_str(&one.body).unwrap_or_default(),
            created_at: rfc3339(one.created_at),
            settled_at: one.settled_at.map(rfc3339),
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let all = app.people.list_webhooks().await?;
    let total = all.len();
    let views = all.iter().map(|(webhook, skipped)| WebhookView::of(webhook, *skipped)).collect();
    Ok(Answer::list(window.of(views), total, window))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let (webhook, skipped) = app.people.get_webhook(call.id("endpoint")?).await?;
    Ok(Answer::ok(&WebhookView::of(&webhook, skipped)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let WebhookCreate { url, name, events } = call.json()?;
    let new = NewWebhook { url, name, events };
    let by = by(&call)?;
    let draft = || app.people.create_webhook(by, &new);
    commit_answering(&app, &call, draft, |made| Answer::created(&WebhookView::made(made))).await
}

async fn change(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: WebhookId = call.id("endpoint")?;
    let WebhookUpdate { url, name, events, is_active } = call.json()?;
    let change = WebhookChange { url, name, events, is_active };
    let by = by(&call)?;
    let draft = || app.people.change_webhook(by, id, &change);
    commit_answering(&app, &call, draft, |one| Answer::ok(&WebhookView::of(one, 0))).await
}

async fn remove(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: WebhookId = call.id("endpoint")?;
    let by = by(&call)?;
    let draft = || app.people.remove_webhook(by, id);
    commit_answering(&app, &call, draft, |one| Answer::ok(&WebhookView::of(one, 0))).await
}

async fn rotate(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: WebhookId = call.id("endpoint")?;
    let by = by(&call)?;
    let draft = || app.people.rotate_webhook_secret(by, id);
    commit_answering(&app, &call, draft, |made| Answer::ok(&WebhookView::made(made))).await
}

async fn test(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: WebhookId = call.id("endpoint")?;
    let by = by(&call)?;
    let draft = || app.people.test_webhook(by, id);
    commit_answering(&app, &call, draft, |one| Answer::accepted(&DeliveryView::from(one))).await
}

async fn deliveries(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let endpoint = call.query("endpoint_id").map(|text| text.parse()).transpose();
    let endpoint =
        endpoint.map_err(|_| ApiError::field("endpoint_id", "must be an id such as 0190f3a2-…"))?;
    let status = call.query("status").map(|text| status(&text)).transpose()?;
    let found = app.people.list_deliveries(endpoint, status, window.offset, window.limit).await?;
    Ok(Answer::list(found.items.iter().map(DeliveryView::from), found.total, window))
}

fn status(text: &str) -> Result<DeliveryStatus, ApiError> {
    let all = [DeliveryStatus::Waiting, DeliveryStatus::Delivered, DeliveryStatus::Parked];
    let found = all.into_iter().find(|one| one.name() == text);
    found.ok_or_else(|| ApiError::field("status", "must be waiting, delivered or parked"))
}

async fn delivery(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: DeliveryId = call.id("delivery")?;
    Ok(Answer::ok(&DeliveryView::from(&app.people.get_delivery(id).await?)))
}

async fn redeliver(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: DeliveryId = call.id("delivery")?;
    let by = by(&call)?;
    let draft = || app.people.redeliver(by, id);
    commit_answering(&app, &call, draft, |one| Answer::accepted(&DeliveryView::from(one))).await
}
