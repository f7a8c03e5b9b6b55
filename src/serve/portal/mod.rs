//! The door for subscribers: what a captive device is told, and the pages where people sign up, log in
//! and see what they have.
//!
//! | file | what it is |
//! |---|---|
//! | `captive` | the plain listener: every foreign request to the portal |
//! | `door` | listeners, router and bounds |
//! | `certificate` | the certificate that was configured, or one made here; warnings of its end |
//! | `asked` | one request: which device, which browser, whose visit |
//! | `form` | fields, and the token that shows that a form is ours |
//! | `page` | pages as types; how they leave |
//! | `words` | numbers, times and refusals in plain words |
//! | `plans` | `/`, `/plans` |
//! | `signup` | `/signup`, `/confirm`, `/confirm/{secret}` |
//! | `visit` | `/login`, `/success`, `/logout` |
//! | `voucher` | `/voucher` |
//! | `account` | `/status`, `/customer` |
//! | `devices` | `/devices` |
//! | `money` | `/pay`, `/orders/{id}`, `/invoices`, `/payments`, `/receipt/{id}`, `/wallet`, `/topup`, `/pause`, `/plans/change` |
//! | `pay_return` | `/pay/return`, `/pay/status` |
//! | `capport` | `/capport/api` (RFC 8908) |
//!
//! Pages have no script and need none: phones show them in mini-browsers that re-test the network only
//! after a real navigation, so each step is a form, a 303 and a new page. The one rule: no URL is ever
//! made of what a request says, and no page shows anything of it unescaped.

mod account;
mod asked;
mod capport;
mod captive;
pub mod certificate;
mod devices;
mod door;
mod form;
mod money;
mod page;
mod pay_return;
mod plans;
mod signup;
mod visit;
mod voucher;
mod words;

use std::ops::Deref;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::Health;
use crate::reception::Reception;
use capport::Pace;
use certificate::Kept;
use form::Tokens;

pub use door::{OpenError, open};

/// What the door is built from.
pub struct Parts {
    /// The journeys behind the pages.
    pub reception: Reception,
    /// The API's routes for customers, as `api::router` makes them; served over TLS only.
    pub api: axum::Router,
    /// The portal's name, lower case: the only host ever put into a URL.
    pub name: String,
    /// What people call the place.
    pub site: String,
    /// Where the times on pages are.
    pub zone: TimeZone,
    /// Whether strangers may sign up.
    pub signup_open: bool,
    /// Plain listeners.
    pub http: Vec<tokio::net::TcpListener>,
    /// Listeners for TLS.
    pub https: Vec<tokio::net::TcpListener>,
    /// What TLS is spoken with; `None` where nothing listens for it.
    pub certificate: Option<Kept>,
    /// The key of the forms' tokens, derived from the box's own for this alone.
    pub key: [u8; 32],
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// Where warnings go.
    pub health: Health,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({})", self.name)
    }
}

/// What every handler shares; cheap to clone.
#[derive(Clone)]
struct Portal(Arc<Shared>);

struct Shared {
    reception: Reception,
    name: String,
    site: String,
    zone: TimeZone,
    signup_open: bool,
    tokens: Tokens,
    pace: Pace,
    clock: Clock,
    entropy: Entropy,
}

impl Deref for Portal {
    type Target = Shared;
    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The pages that a browser may come to by itself; what is sent on to the safe origin.
const PAGES: &[&str] = &[
    "/",
    "/plans",
    "/signup",
    "/confirm",
    "/login",
    "/voucher",
    "/success",
    "/status",
    "/customer",
    "/pay",
    "/invoices",
    "/payments",
    "/wallet",
    "/plans/change",
    "/topup",
    "/pause",
    "/pay/return",
    "/pay/status",
];
/// Of answers that are no page of ours: nothing is loaded, run or submitted from them.
const POLICY_OF_BARE_PAGES: &str =
    "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
