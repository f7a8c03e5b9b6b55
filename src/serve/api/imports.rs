//! Moving in from another system, over HTTP.
//!
//! A file is taken part by part: the answer says from which line to go on. The one rule: the same file again
//! changes nothing.

use serde::Serialize;
use utoipa::ToSchema;

use super::customers::{BadLineView, CredentialView, ReportView, register};
use super::{Access, Answer, ApiError, App, Call, Route};
use crate::catalogue::foreign::System;
use crate::catalogue::import::Part;
use crate::domain::role::Permission;
use crate::reception::migration::{Count, Migrated, MigrationError};

/// The routes of imports.
#[must_use]
pub fn routes() -> Vec<Route> {
    let access = Access::StaffFresh(Permission::ImportsWrite);
    vec![
        Route::post("/api/v1/imports", access, "Take in another system's export", import)
            .query(&["from", "dry_run", "from_line"])
            .body_limit(LARGEST_EXPORT)
            .answers::<MigratedView>(200),
    ]
}

/// What a part came to.
#[derive(Debug, Serialize, ToSchema)]
pub struct MigratedView {
    /// Which system it is from.
    pub from: &'static str,
    /// Whether nothing was written.
    pub dry_run: bool,
    /// Plans.
    pub plans: CountView,
    /// NAS.
    pub nas: CountView,
    /// Balances.
    pub balances: CountView,
    /// Vouchers.
    pub vouchers: CountView,
    /// New customers.
    pub created: u64,
    /// Customers that changed or got a service.
    pub updated: u64,
    /// Customers that stayed as they were.
    pub unchanged: u64,
    /// Services put on their way.
    pub services: u64,
    /// Lines that were not taken.
    pub failed: Vec<BadLineView>,
    /// What was left out of lines that were taken.
    pub notes: Vec<BadLineView>,
    /// The line to go on from, as `from_line`, where the file is longer than one request takes.
    pub next_line: Option<u64>,
    /// Network passwords that were made; shown this once.
    pub credentials: Vec<CredentialView>,
}

/// How many are new, and how many were there.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountView {
    /// New.
    pub created: u64,
    /// As they were.
    pub unchanged: u64,
}

impl From<Count> for CountView {
    fn from(count: Count) -> Self {
        Self { created: count.created, unchanged: count.unchanged }
    }
}

impl MigratedView {
    fn of(from: System, dry_run: bool, migrated: Migrated) -> Self {
        let customers = ReportView::of(migrated.customers, dry_run);
        Self {
            from: from.name(),
            dry_run,
            plans: migrated.plans.into(),
            nas: migrated.nas.into(),
            balances: migrated.balances.into(),
            vouchers: migrated.vouchers.into(),
            created: customers.created,
            updated: customers.updated,
            unchanged: customers.unchanged,
            services: customers.services,
            failed: customers.failed,
            notes: migrated.notes.into_iter().map(BadLineView::from).collect(),
            next_line: customers.next_line,
            credentials: customers.credentials,
        }
    }
}

async fn import(app: App, call: Call) -> Result<Answer, ApiError> {
    call.expect_type(&["text/csv", "/sql", "text/plain", "octet-stream"])?;
    let from = call.query("from").and_then(|name| System::parse(&name)).ok_or_else(|| {
        let names = System::ALL.map(System::name).join(", ");
        ApiError::field("from", format!("must be one of: {names}"))
    })?;
    let dry_run = call.query_as("dry_run")?.unwrap_or(false);
    let part = Part { from_line: call.query_as("from_line")?.unwrap_or(0), dry_run };
    let register = register(&app, &call);
    let by = (&call.actor, call.now);
    let migrated = app.reception.migrate(from, &call.body, part, &register, by).await?;
    Ok(Answer::ok(&MigratedView::of(from, dry_run, migrated)))
}

impl From<MigrationError> for ApiError {
    fn from(error: MigrationError) -> Self {
        match error {
            MigrationError::Catalogue(fault) => fault.into(),
            MigrationError::Billing(fault) => fault.into(),
        }
    }
}

/// Largest export: some 100,000 customers, without the accounting that belongs to no import.
const LARGEST_EXPORT: usize = 32 * 1024 * 1024;
