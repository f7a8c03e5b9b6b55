//! Programs' keys over HTTP.
//!
//! The one rule: a key is in the answer that made it and in no other.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::users::{by, rfc3339};
use super::{Access, Answer, ApiError, App, Body, Call, Form, Route, commit_answering};
use crate::domain::api_key::ApiKey;
use crate::domain::ids::ApiKeyId;
use crate::domain::role::Permission;
use crate::domain::text::Line;
use crate::people::api_keys::{MadeApiKey, NewApiKey};

/// The routes of programs' keys.
#[must_use]
pub fn routes() -> Vec<Route> {
    let read = Access::Staff(Permission::ApiKeysRead);
    let write = Access::StaffFresh(Permission::ApiKeysWrite);
    vec![
        Route::get("/api/v1/api-keys", read, "List programs' keys", list).lists::<ApiKeyView>(),
        Route::post("/api/v1/api-keys", write, "Make a key for a program", create)
            .takes::<ApiKeyCreate>()
            .answers::<ApiKeyView>(201),
        Route::get("/api/v1/api-keys/{id}", read, "Read a program's key", get).answers::<ApiKeyView>(200),
        Route::delete("/api/v1/api-keys/{id}", write, "Revoke a program's key", revoke)
            .answers::<ApiKeyView>(200),
    ]
}

/// A key to be made.
#[derive(Debug, ToSchema)]
pub struct ApiKeyCreate {
    /// What the program is called.
    #[schema(value_type = String)]
    pub name: Line,
    /// What it may do: names of permissions as `customers:read`. None means nothing.
    #[schema(value_type = Vec<String>)]
    pub scopes: Vec<Permission>,
    /// When it stops counting.
    #[schema(value_type = Option<String>)]
    pub expires_at: Option<jiff::Timestamp>,
}

impl Body for ApiKeyCreate {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let name = form.required("name");
        let scopes = form.required_with("scopes", scopes);
        let expires_at = form.optional("expires_at");
        Some(Self { name: name?, scopes: scopes?, expires_at })
    }
}

fn scopes(value: &Value) -> Result<Vec<Permission>, String> {
    let names = value.as_array().filter(|names| names.len() <= Permission::ALL.len());
    let names = names.ok_or("must be a list of names such as \"customers:read\"")?;
    let scope = |name: &Value| {
        let name = name.as_str().unwrap_or_default();
        Permission::parse(name).ok_or_else(|| format!("{name:?} is none of our scopes; see /docs"))
    };
    names.iter().map(scope).collect()
}

/// A key as it is shown.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiKeyView {
    /// Identity.
    pub id: String,
    /// What the program is called.
    pub name: String,
    /// How the key begins.
    pub prefix: String,
    /// What it may do.
    pub scopes: Vec<&'static str>,
    /// `active`, `expired` or `revoked`.
    pub status: &'static str,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: String,
    /// When it stops counting.
    pub expires_at: Option<String>,
    /// When it was last used, to the hour.
    pub last_used_at: Option<String>,
    /// When it was revoked.
    pub revoked_at: Option<String>,
    /// The key; shown once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl ApiKeyView {
    fn of(record: &ApiKey, now: jiff::Timestamp) -> Self {
        Self {
            id: record.id.to_string(),
            name: record.name.to_string(),
            prefix: record.prefix.clone(),
            scopes: record.scopes.iter().map(|scope| scope.name()).collect(),
            status: match (record.revoked_at, record.counts(now)) {
                (Some(_), _) => "revoked",
                (None, true) => "active",
                (None, false) => "expired",
            },
            created_by: record.created_by.clone(),
            created_at: rfc3339(record.created_at),
            expires_at: record.expires_at.map(rfc3339),
            last_used_at: record.last_used_at.map(rfc3339),
            revoked_at: record.revoked_at.map(rfc3339),
            key: None,
        }
    }
}

async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
    let window = call.window()?;
    let found = app.people.list_api_keys(window.offset, window.limit).await?;
    Ok(Answer::list(found.items.iter().map(|one| ApiKeyView::of(one, call.now)), found.total, window))
}

async fn get(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: ApiKeyId = call.id("key")?;
    Ok(Answer::ok(&ApiKeyView::of(&app.people.get_api_key(id).await?, call.now)))
}

async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
    let ApiKeyCreate { name, scopes, expires_at } = call.json()?;
    if expires_at.is_some_and(|end| end <= call.now) {
        return Err(ApiError::field("expires_at", "must be in the future"));
    }
    let new = NewApiKey { name, scopes, expires_at };
    let by = by(&call)?;
    let draft = || async { app.people.create_api_key(by, &new) };
    let render = |made: &MadeApiKey| {
        let key = made.key.expose_text().map(str::to_owned);
        Answer::created(&ApiKeyView { key, ..ApiKeyView::of(&made.record, call.now) })
    };
    commit_answering(&app, &call, draft, render).await
}

async fn revoke(app: App, call: Call) -> Result<Answer, ApiError> {
    let id: ApiKeyId = call.id("key")?;
    let by = by(&call)?;
    let draft = || app.people.revoke_api_key(by, id);
    commit_answering(&app, &call, draft, |one| Answer::ok(&ApiKeyView::of(one, call.now))).await
}
