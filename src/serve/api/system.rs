//! The box itself over HTTP: alive, ready, set up, licensed.
//!
//! The one rule: what anybody may ask says only whether, never what is wrong.

use std::future::ready;

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::users::rfc3339;
use super::{Access, Answer, ApiError, App, Call, Route};
use crate::base::health::{Severity, Warning};
use crate::domain::role::Permission;

/// The routes of the box.
#[must_use]
pub fn routes() -> Vec<Route> {
    let read = Access::Staff(Permission::SystemRead);
    vec![
        Route::get("/health", Access::Public, "Whether the process answers", |_, _| ready(Ok(health())))
            .answers::<HealthView>(200),
        Route::get("/ready", Access::Public, "Whether the box does its work", |app: App, _| {
            ready(Ok(is_ready(&app)))
        })
        .answers::<HealthView>(200),
        Route::get("/api/v1/setup/status", Access::Public, "How far the box is set up", setup)
            .answers::<SetupStatus>(200),
        Route::get("/api/v1/system/license", read, "The licence", |_, _| ready(Ok(license())))
            .answers::<LicenseView>(200),
        Route::get("/api/v1/system/status", read, "What is wrong with the box", |app: App, _| {
            ready(Ok(status(&app)))
        })
        .answers::<SystemStatus>(200),
    ]
}

/// Whether the box is well.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthView {
    /// `ok` or `unready`.
    pub status: &'static str,
    /// The program's version.
    pub version: &'static str,
}

/// How far the box is set up.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetupStatus {
    /// Whether there is an admin.
    pub admin_exists: bool,
    /// Whether the first admin is still to be made.
    pub setup_required: bool,
    /// The opposite.
    pub is_complete: bool,
    /// The site's name.
    pub site: String,
    /// What prices are in.
    pub currency: String,
    /// Where days begin.
    pub timezone: String,
    /// The program's version.
    pub version: &'static str,
}

/// The licence.
#[derive(Debug, Serialize, ToSchema)]
pub struct LicenseView {
    /// `none`: no licence is installed.
    pub status: &'static str,
    /// A sentence for people.
    pub message: &'static str,
    /// Whether anything is limited.
    pub limited: bool,
    /// Most customers; `null` for no limit.
    pub max_customers: Option<u64>,
    /// When it ends; `null` for never.
    pub expires_at: Option<String>,
}

/// What is wrong with the box.
#[derive(Debug, Serialize, ToSchema)]
pub struct SystemStatus {
    /// Whether the box does its work.
    pub ready: bool,
    /// The program's version.
    pub version: &'static str,
    /// The warnings in force, the worst first.
    pub warnings: Vec<WarningView>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct WarningView {
    /// Stable name.
    pub code: &'static str,
    /// What it concerns.
    pub subject: String,
    /// `warn` or `fail`.
    pub severity: &'static str,
    /// What is the matter.
    pub text: String,
    /// What to do about it.
    pub remedy: String,
    /// Since when.
    pub since: String,
}

impl From<Warning> for WarningView {
    fn from(warning: Warning) -> Self {
        let severity = match warning.severity {
            Severity::Warn => "warn",
            Severity::Fail => "fail",
        };
        Self {
            code: warning.code,
            subject: warning.subject,
            severity,
            text: warning.text,
            remedy: warning.remedy,
            since: rfc3339(warning.since),
        }
    }
}

fn health() -> Answer {
    Answer::ok(&HealthView { status: "ok", version: VERSION })
}

fn is_ready(app: &App) -> Answer {
    if app.health.is_ready() {
        return health();
    }
    Answer::json(StatusCode::SERVICE_UNAVAILABLE, &HealthView { status: "unready", version: VERSION })
}

async fn setup(app: App, _: Call) -> Result<Answer, ApiError> {
    let admin_exists = app.people.has_staff().await?;
    Ok(Answer::ok(&SetupStatus {
        admin_exists,
        setup_required: !admin_exists,
        is_complete: admin_exists,
        site: app.site.name.clone(),
        currency: app.site.currency.code().to_owned(),
        timezone: app.site.timezone.iana_name().unwrap_or("UTC").to_owned(),
        version: VERSION,
    }))
}

fn license() -> Answer {
    let view = LicenseView {
        status: "none",
        message: "No licence is installed; nothing is limited.",
        limited: false,
        max_customers: None,
        expires_at: None,
    };
    let mut body = json!(view);
    // Clients that ask for one feature after the other find that none is switched off.
    if let Some(body) = body.as_object_mut() {
        body.insert("features".to_owned(), json!({}));
    }
    Answer::ok(&body)
}

fn status(app: &App) -> Answer {
    let warnings = app.health.warnings().into_iter().map(WarningView::from).collect();
    Answer::ok(&SystemStatus { ready: app.health.is_ready(), version: VERSION, warnings })
}

const VERSION: &str = env!("CARGO_PKG_VERSION");
