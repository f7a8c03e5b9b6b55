//! One request: which device, which browser, whose visit, when.
//!
//! A captive mini-browser loses its cookies when it closes, so a device is known by its hardware address
//! first and its browser's cookie second. The one rule: neither of the two opens anything; a visit's
//! token does.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{COOKIE, HeaderValue};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Response, StatusCode};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Portal;
use super::form::{Filled, Form, is_cross_site};
use super::page::{self, Links};
use crate::domain::audit::Actor;
use crate::domain::device::Device;
use crate::people::CustomerVisitor;
use crate::people::device::cookie_name;
use crate::reception::{Arrived, SignupPlace};
use crate::serve::http::body;
use crate::serve::http::guard::RequestId;
use crate::serve::http::peer::{OverTls, Peer};

/// One request.
pub(super) struct Asked {
    pub(super) now: Timestamp,
    pub(super) source: Option<IpAddr>,
    pub(super) device: Option<Device>,
    pub(super) actor: Actor,
    pub(super) headers: HeaderMap,
    pub(super) query: Option<String>,
    over_tls: bool,
    /// The browser's own cookie, and whether it has to be given one.
    browser: Option<(String, bool)>,
}

impl FromRequestParts<Portal> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, portal: &Portal) -> Result<Self, Infallible> {
        let peer = head.extensions.get::<Peer>().copied();
        let source = peer.and_then(|peer| peer.address());
        let request_id = head.extensions.get::<RequestId>().map(|id| id.0.to_string());
        let actor = Actor {
            id: "public".to_owned(),
            name: "public".to_owned(),
            source: source.map(|source| source.to_string()),
            request_id,
            why: None,
        };
        let known = cookie(&head.headers, BROWSER).filter(|value| is_browser_cookie(value));
        let browser = match known {
            Some(known) => Some((known.to_owned(), false)),
            None => portal.entropy.readable(BROWSER_LENGTH).ok().map(|made| (made, true)),
        };
        Ok(Self {
            now: portal.clock.now(),
            source,
            device: source.and_then(|source| portal.reception.device(source)),
            actor,
            query: head.uri.query().map(str::to_owned),
            headers: head.headers.clone(),
            over_tls: head.extensions.get::<OverTls>().is_some(),
            browser,
        })
    }
}

impl Asked {
    /// The key of the browser's cookie: what is kept of it, so that records do not hold the cookie.
    pub(super) fn browser_key(&self) -> Option<String> {
        let (cookie, _) = self.browser.as_ref()?;
        let mut key = "browser:".to_owned();
        for octet in Sha256::digest(cookie).iter().take(16) {
            // Writing to a String cannot fail.
            let _ = write!(key, "{octet:02x}");
        }
        Some(key)
    }

    /// Where a signup is begun or confirmed; `browser` is [`Asked::browser_key`].
    pub(super) fn place<'a>(&'a self, browser: Option<&'a str>) -> SignupPlace<'a> {
        SignupPlace { device: self.device.as_ref(), browser, source: self.source }
    }

    /// Every name under which this client's forms count, the surest first.
    fn clients(&self) -> Vec<String> {
        let device = self.device.as_ref().map(Device::key);
        device.into_iter().chain(self.browser_key()).collect()
    }

    /// The token for a form that this client gets.
    pub(super) fn token(&self, portal: &Portal, form: &str) -> String {
        self.clients().first().map_or_else(String::new, |client| portal.tokens.make(client, form, self.now))
    }

    /// An empty form for this client.
    pub(super) fn form(&self, portal: &Portal, name: &str) -> Form {
        Form { token: self.token(portal, name), ..Form::default() }
    }

    /// What was filled into our form of that name.
    ///
    /// # Errors
    /// The page that says why it is not taken.
    pub(super) async fn filled(
        &self,
        portal: &Portal,
        body: Body,
        name: &str,
    ) -> Result<Filled, Response<Body>> {
        if is_cross_site(&self.headers, &portal.name) {
            return Err(self.not_ours(portal));
        }
        let read = body::read_within(&self.headers, body, MOST_BODY, BODY_DEADLINE).await;
        let filled = read.map(|octets| Filled::read(&octets)).map_err(|_| {
            let (title, sentence) = (
                "The form did not arrive",
                "It was too large, or the connection broke off. Please try again.",
            );
            page::bare(portal.shell(), StatusCode::BAD_REQUEST, title, sentence)
        })?;
        if portal.tokens.fits(filled.text("form_token"), &self.clients(), name, self.now) {
            Ok(filled)
        } else {
            Err(self.not_ours(portal))
        }
    }

    fn not_ours(&self, portal: &Portal) -> Response<Body> {
        let links = Links(&[("/", "Start again")]);
        let sentence = "This page was open for too long, or your browser keeps no cookies.";
        let title = "Please send it once more";
        page::message(portal, self, StatusCode::FORBIDDEN, ("alert", title, sentence, ""), links)
    }

    /// Whose visit it is.
    pub(super) async fn visitor(&self, portal: &Portal) -> Option<CustomerVisitor> {
        let token = self.visit_token()?;
        match portal.reception.visitor(token, self.now).await {
            Ok(visitor) => visitor,
            Err(error) => {
                tracing::error!(%error, "A visit could not be looked up");
                None
            }
        }
    }

    pub(super) fn visit_token(&self) -> Option<&str> {
        cookie(&self.headers, VISIT).filter(|token| !token.is_empty() && token.len() <= MOST_TOKEN)
    }

    /// What this browser presents as a device that logged in to the account before.
    pub(super) fn known_device(&self, account: &str) -> Option<String> {
        cookie(&self.headers, &cookie_name(account))
            .filter(|value| value.len() <= MOST_TOKEN)
            .map(str::to_owned)
    }

    /// The cookies of somebody who has logged in.
    pub(super) fn arrival_cookies(&self, account: &str, arrived: &Arrived) -> Vec<HeaderValue> {
        let visit = self.visit_cookie(&arrived.visit);
        let device = self.set_cookie(&cookie_name(account), &arrived.device, A_YEAR_SECS);
        visit.into_iter().chain(device).collect()
    }

    pub(super) fn visit_cookie(&self, begun: &crate::people::BegunCustomerVisit) -> Option<HeaderValue> {
        let lasts = begun.expires_at.duration_since(self.now).as_secs().max(0);
        self.set_cookie(VISIT, begun.token.expose_text()?, lasts)
    }

    /// Takes the visit's cookie away.
    pub(super) fn no_visit_cookie(&self) -> Option<HeaderValue> {
        self.set_cookie(VISIT, "", 0)
    }

    /// The browser's own cookie, where it has none yet.
    pub(super) fn browser_cookie(&self) -> Option<HeaderValue> {
        let (cookie, is_new) = self.browser.as_ref()?;
        is_new.then(|| self.set_cookie(BROWSER, cookie, A_YEAR_SECS))?
    }

    fn set_cookie(&self, name: &str, value: &str, lasts_secs: i64) -> Option<HeaderValue> {
        let secure = if self.over_tls { "; Secure" } else { "" };
        let text = format!("{name}={value}; Max-Age={lasts_secs}; Path=/; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&text).ok()
    }
}

/// The value of the first cookie of that name.
fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn is_browser_cookie(value: &str) -> bool {
    value.len() == BROWSER_LENGTH && value.bytes().all(|octet| octet.is_ascii_alphanumeric())
}

/// Tells browsers apart where devices cannot be.
const BROWSER: &str = "portal_browser";
/// 26 symbols of five bits: nobody meets another's.
const BROWSER_LENGTH: usize = 26;
/// The visit's token, as the API takes it too.
const VISIT: &str = "customer_access_token";
/// Longer than any token of ours.
const MOST_TOKEN: usize = 1_024;
/// Browsers keep cookies no longer than some 13 months.
const A_YEAR_SECS: i64 = 365 * 86_400;
/// All fields of the longest form at their longest.
const MOST_BODY: usize = 16 * 1024;
/// A filled form on the slowest of lines.
const BODY_DEADLINE: Duration = Duration::from_secs(15);
