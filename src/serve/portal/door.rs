//! Listeners, router and bounds.
//!
//! Where a certificate was configured, the plain listener only points to the safe one. Where the box
//! made its own, the plain listener serves the pages too: a phone's mini-browser cannot pass the warning.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::captive::Captive;
use super::form::Tokens;
use super::money::{bills, change, order, pause, pay, top_up, wallet};
use super::page::{self, Shell};
use super::{
    PAGES, Parts, Portal, Shared, account, capport, certificate, devices, pay_return, plans, signup, visit,
    voucher,
};
use crate::serve::http::Fault;
use crate::serve::http::guard::{Guard, RenderFault};
use crate::serve::http::server::{Listener, Settings, serve};

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The name cannot be part of a URL; a checked configuration has no such name.
    #[error("the portal's name cannot be written into a URL")]
    Name,
    /// There are TLS listeners and nothing to speak TLS with: ours.
    #[error("the portal has listeners for TLS and no certificate")]
    NoCertificate,
}

/// Serves until `stop` is cancelled. The tasks end with the requests under way.
///
/// # Errors
/// What the parts lack.
pub fn open(parts: Parts, stop: &CancellationToken) -> Result<Vec<JoinHandle<bool>>, OpenError> {
    let Parts { name, certificate: kept, http, https, api, clock, health, .. } = parts;
    if kept.is_none() && !https.is_empty() {
        return Err(OpenError::NoCertificate);
    }
    let is_safe = !https.is_empty() && kept.as_ref().is_some_and(|kept| !kept.made_here);
    // No Strict-Transport-Security: a browser that remembers it could not come to the plain pages, the only way
    // in for a captive device, on the day that the certificate ends or is taken out of the configuration.
    let origin = format!("{}://{name}", if is_safe { "https" } else { "http" });
    let portal = Portal(Arc::new(Shared {
        reception: parts.reception,
        name: name.clone(),
        site: parts.site,
        zone: parts.zone,
        signup_open: parts.signup_open,
        tokens: Tokens::new(parts.key),
        pace: capport::Pace::default(),
        clock: clock.clone(),
        entropy: parts.entropy,
    }));
    let mut tasks = Vec::new();
    for listener in http {
        let captive =
            Captive::new(&name, &origin, if is_safe { PAGES } else { &[] }).ok_or(OpenError::Name)?;
        let settings = Settings { front: Some(captive.front()), keep_alive: false, ..settings(&portal) };
        let pages = pages().fallback(no_page).with_state(portal.clone());
        tasks.push(tokio::spawn(serve(Listener::Tcp(listener), pages, settings, stop.clone())));
    }
    let Some(kept) = kept else { return Ok(tasks) };
    for listener in https {
        let router = safe_pages(&portal, api.clone());
        let listener = Listener::Tls(listener, kept.tls.clone());
        tasks.push(tokio::spawn(serve(listener, router, settings(&portal), stop.clone())));
    }
    tasks.push(tokio::spawn(certificate::watch(kept.watched(), clock, health, stop.clone())));
    Ok(tasks)
}

fn pages() -> Router<Portal> {
    Router::new()
        .route("/", get(plans::front))
        .route("/plans", get(plans::list))
        .route("/signup", get(signup::form).post(signup::submit))
        .route("/confirm", get(signup::code).post(signup::confirm))
        .route("/confirm/{secret}", get(signup::link).post(signup::confirm_link))
        .route("/login", get(visit::form).post(visit::log_in))
        .route("/voucher", get(voucher::form).post(voucher::redeem))
        .route("/success", get(visit::success))
        .route("/devices", post(devices::remove))
        .route("/logout", post(visit::log_out))
        .route("/status", get(account::status))
        .route("/customer", get(account::customer))
        .route("/pay", get(pay::show).post(pay::begin))
        .route("/orders/{id}", get(order::show).post(order::pay))
        .route("/invoices", get(bills::invoices))
        .route("/invoices/{id}", get(bills::invoice))
        .route("/invoices/{id}/pdf", get(bills::invoice_pdf))
        .route("/payments", get(bills::payments))
        .route("/receipt/{id}", get(bills::receipt))
        .route("/receipt/{id}/pdf", get(bills::receipt_pdf))
        .route("/wallet", get(wallet::show).post(wallet::switch))
        .route("/wallet/send", post(wallet::send))
        .route("/topup", get(top_up::show))
        .route("/pause", get(pause::show).post(pause::change))
        .route("/plans/change", get(change::show).post(change::change))
        .route("/pay/return", get(pay_return::back))
        .route("/pay/status", get(pay_return::status))
}

/// What only goes over TLS is the API: for tokens, and since RFC 8908 wants it so.
fn safe_pages(portal: &Portal, api: Router) -> Router {
    let pages = pages().route("/capport/api", get(capport::answer));
    let state = portal.clone();
    pages
        .fallback(move |request: Request| async move {
            if request.uri().path().starts_with("/api/") {
                match api.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            } else {
                not_found(&state)
            }
        })
        .with_state(portal.clone())
}

async fn no_page(axum::extract::State(portal): axum::extract::State<Portal>) -> Response<Body> {
    std::future::ready(not_found(&portal)).await
}

fn not_found(portal: &Portal) -> Response<Body> {
    let shell = portal.shell();
    page::bare(shell, StatusCode::NOT_FOUND, "There is no such page", "The address is not one of ours.")
}

fn settings(portal: &Portal) -> Settings {
    let shell = portal.shell();
    let render: RenderFault = Arc::new(move |fault, _| fault_page(shell.clone(), fault));
    let guard = Guard {
        hosts: Some(vec![portal.name.clone()]),
        time_limit: TIME_LIMIT,
        ..Guard::new(portal.entropy.clone(), render)
    };
    Settings {
        connections: MOST_CONNECTIONS,
        of_one_source: Some(MOST_OF_ONE_SOURCE),
        head_limit: HEAD_LIMIT,
        ..Settings::new(guard)
    }
}

fn fault_page(shell: Shell, fault: Fault) -> Response<Body> {
    let (status, title, sentence) = match fault {
        Fault::BadHost | Fault::OtherHost => {
            (StatusCode::MISDIRECTED_REQUEST, "Wrong address", "This page is not served under that name.")
        }
        Fault::TooSlow => (
            StatusCode::SERVICE_UNAVAILABLE,
            "That took too long",
            "We are very busy. Please try again in a minute.",
        ),
        Fault::Broken => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "That is our fault",
            "Something went wrong on our side. Please try again.",
        ),
        Fault::TooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, "Too much at once", "The form was larger than we take.")
        }
        Fault::BodyBroken => (
            StatusCode::REQUEST_TIMEOUT,
            "The form did not arrive",
            "The connection broke off. Please try again.",
        ),
    };
    page::bare(shell, status, title, sentence)
}

impl Portal {
    pub(super) fn shell(&self) -> Shell {
        Shell { site: self.site.as_str().into() }
    }
}

/// 5,000 slow clients must leave room for others; at 8 KiB of head each it is 64 MiB.
const MOST_CONNECTIONS: usize = 8_192;
/// A phone opens six, an eager one a dozen; several people behind one router still fit.
const MOST_OF_ONE_SOURCE: usize = 32;
/// The least that HTTP needs, and more than a browser sends here.
const HEAD_LIMIT: usize = 8 * 1024;
/// A login waits for the kernel, at worst for a queue of password checks; nobody waits longer for a page.
const TIME_LIMIT: Duration = Duration::from_secs(25);
