//! The API for staff and programs: a file a resource, one table of routes, one look.
//!
//! A handler parses, calls one use case and renders; it decides nothing. The one rule: what is not
//! in the table is not served, and what is in it says who may call it.
//!
//! | file | what it is |
//! |---|---|
//! | [`route`] | the table: method, path, access, summary, shapes, handler |
//! | [`mod@router`] | from the table to answers: identity, access, body, metrics |
//! | [`call`] | one request as a handler sees it |
//! | [`form`] | JSON bodies, read field by field with all faults at once |
//! | [`shape`] | answers: objects, lists, errors |
//! | [`error`] | the closed table of codes |
//! | [`edit`] | expected versions and faults, for the resources of the catalogue |
//! | [`commit`] | change and kept answer as one commit |
//! | [`openapi`] | the description, made from the table |
//!
//! A resource file looks like this, and is added to [`routes`]:
//!
//! ```text
//! pub fn routes() -> Vec<Route> {
//!     let (read, write) = (Access::Staff(Permission::UsersRead), Access::Staff(Permission::UsersWrite));
//!     vec![
//!         Route::get("/api/v1/users", read, "List staff accounts", list)
//!             .query(&["search"]).lists::<UserView>(),
//!         Route::post("/api/v1/users", write, "Create a staff account", create)
//!             .takes::<UserCreate>().answers::<UserView>(201),
//!     ]
//! }
//!
//! async fn list(app: App, call: Call) -> Result<Answer, ApiError> {
//!     let window = call.window()?;
//!     let found = app.people.list_staff(&filter(&call)?, window.offset, window.limit).await?;
//!     Ok(Answer::list(found.items.iter().map(|one| UserView::of(&app, one)), found.total, window))
//! }
//!
//! async fn create(app: App, call: Call) -> Result<Answer, ApiError> {
//!     let body: UserCreate = call.json()?; // `impl Body for UserCreate`: 422 with all field faults
//!     let new = hashed(&app, body).await?; // what is slow and needs no store comes before the draft
//!     let draft = || app.people.create_staff(by(&call), &new); // a future of Result<Draft<Staff>, E>
//!     commit_answering(&app, &call, draft, |staff| Answer::created(&UserView::of(&app, staff))).await
//! }
//!
//! impl From<PeopleError> for ApiError { /* each refusal to its code; read and commit faults have theirs */ }
//! ```
//!
//! Resource files name `app.store`, never `crate::store`: reading is a use case's work
//! (`tests/architecture.rs`).

use std::sync::Arc;

use axum::Router;

use super::http::guard::{Guard, RenderFault, RequestId};
use super::http::server::Settings;

pub mod api_keys;
pub mod app;
pub mod audit;
pub mod auth;
pub mod auth_events;
pub mod call;
pub mod commit;
pub mod coupons;
pub mod customer;
pub mod customer_app;
pub mod customer_auth;
pub mod customer_devices;
pub mod customer_money;
pub mod customer_period;
pub mod customers;
pub mod edit;
pub mod error;
pub mod form;
pub mod gateways;
pub mod imports;
pub mod invoice_drafts;
pub mod invoices;
pub mod ledger;
pub mod messages;
pub mod mfa;
pub mod money;
pub mod nas;
pub mod openapi;
pub mod papers;
pub mod payments;
pub mod plan_terms;
pub mod plans;
pub mod provisioning;
pub mod receipts;
pub mod route;
pub mod router;
pub mod services;
pub mod sessions;
pub mod shape;
pub mod signups;
pub mod system;
pub mod users;
mod voucher_codes;
pub mod voucher_sales;
pub mod vouchers;
pub mod webhook_endpoints;
pub mod webhooks;
pub mod why;
mod why_given;

pub use app::{App, Parts, Site};
pub use call::{Call, Caller};
pub use commit::commit_answering;
pub use error::{ApiError, Code};
pub use form::{Body, Field, Form};
pub use route::{Access, Alias, Route, RouteFault};
pub use shape::{Answer, Window};

/// Every route of the API, but the two that describe it.
#[must_use]
pub fn routes() -> Vec<Route> {
    let resources: &[fn() -> Vec<Route>] = &[
        api_keys::routes,
        audit::routes,
        auth::routes,
        auth_events::routes,
        coupons::routes,
        customer::routes,
        customer_app::routes,
        customer_auth::routes,
        customer_devices::routes,
        customer_money::routes,
        customer_period::routes,
        customers::routes,
        imports::routes,
        invoice_drafts::routes,
        invoices::routes,
        ledger::routes,
        messages::routes,
        mfa::routes,
        gateways::routes,
        nas::routes,
        papers::routes,
        payments::routes,
        plans::routes,
        provisioning::routes,
        receipts::routes,
        services::routes,
        sessions::routes,
        signups::routes,
        system::routes,
        users::routes,
        voucher_sales::routes,
        vouchers::routes,
        webhook_endpoints::routes,
        webhooks::routes,
    ];
    resources.iter().flat_map(|resource| resource()).collect()
}

/// The router of these routes, their aliases and their description.
///
/// # Errors
/// When two routes have the same method and path.
pub fn router(app: &App, mut routes: Vec<Route>) -> Result<Router, RouteFault> {
    routes.extend(openapi::routes(&routes));
    router::router(app, routes, ALIASES)
}

/// How a door serves such a router: the usual bounds, and faults worded as the API words them.
/// `hosts` are the names it answers to; `None` answers to any.
#[must_use]
pub fn door(app: &App, hosts: Option<Vec<String>>) -> Settings {
    let clock = app.clock.clone();
    let render: RenderFault = Arc::new(move |fault, id: &RequestId| {
        shape::render_error(&fault.into(), &id.0, clock.now(), shape::Look::Superset)
    });
    Settings::new(Guard { hosts, ..Guard::new(app.entropy.clone(), render) })
}

/// What frontends of the field ask for, and where that is with us. A row whose native path is not
/// in the table yet is left out of the router.
pub const ALIASES: &[Alias] = &[
    Alias { path: "/api/v1/auth/admin/login", native: "/api/v1/auth/login" },
    Alias { path: "/api/v1/services/plans", native: "/api/v1/service-plans" },
    Alias { path: "/api/v1/services/instances", native: "/api/v1/services" },
    Alias { path: "/api/v1/services/instances/{id}", native: "/api/v1/services/{id}" },
    Alias { path: "/api/v1/services/instances/{id}/provision", native: "/api/v1/services/{id}/provision" },
    Alias { path: "/api/v1/plans/public", native: "/api/v1/public/service-plans" },
    Alias { path: "/api/v1/auth/customer/register", native: "/api/v1/customers/signup" },
    Alias { path: "/api/v1/billing/invoices", native: "/api/v1/invoices" },
    Alias { path: "/api/v1/billing/invoices/{id}", native: "/api/v1/invoices/{id}" },
];
