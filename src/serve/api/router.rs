//! From the table to answers: finds the route, asks who calls, checks access, reads the body, runs
//! the handler, renders and counts.
//!
//! The one rule: nothing of a handler runs before its route's access is checked, and a body is not
//! read for somebody who may not call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawPathParams, Request};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderValue, ORIGIN};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use axum::routing::any;
use serde_json::json;

use super::app::App;
use super::call::{Call, Caller};
use super::error::{ApiError, Code};
use super::route::{Access, Alias, Methods, Route, RouteFault, Table};
use super::shape::{Look, render_error};
use super::why_given as why;
use crate::domain::audit::Actor;
use crate::people::IdentifyError;
use crate::people::api_keys::is_api_key;
use crate::people::customers::is_customer_token;
use crate::serve::http::body;
use crate::serve::http::guard::RequestId;
use crate::serve::http::peer::{OverTls, Peer};

/// Makes the router of a table.
///
/// # Errors
/// When two routes have the same method and path.
pub fn router(app: &App, routes: Vec<Route>, aliases: &[Alias]) -> Result<Router, RouteFault> {
    let table = Table::new(routes, aliases)?;
    let mut router = Router::new();
    for (path, methods) in table.paths {
        let app = app.clone();
        let answer = move |parameters: RawPathParams, request: Request| {
            let (app, methods) = (app.clone(), Arc::clone(&methods));
            async move { answer(app, &methods, parameters, request).await }
        };
        router = router.route(&path, any(answer));
    }
    let app = app.clone();
    Ok(router.fallback(move |request: Request| std::future::ready(unknown_path(&app, &request))))
}

async fn answer(app: App, methods: &Methods, parameters: RawPathParams, request: Request) -> Response<Body> {
    let began = app.clock.monotonic();
    let (head, body) = request.into_parts();
    let (look, method) = (Look::of(&head.headers), head.method.clone());
    let id = request_id(&head);
    let answered = match find(methods, &head.method) {
        Ok(route) => run(&app, route, parameters, head, body, &id).await,
        Err(error) => Err(error),
    };
    let mut response = match answered {
        Ok(answer) => answer.render(look),
        Err(error) => render_error(&error, &id.0, app.clock.now(), look),
    };
    if method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    let template = methods.values().next().map_or("(none)", |route| route.path);
    count(
        template,
        &method,
        response.status().as_u16(),
        app.clock.monotonic().saturating_duration_since(began),
    );
    response
}

/// The route for a method; `HEAD` is answered by `GET`.
fn find<'t>(methods: &'t Methods, method: &Method) -> Result<&'t Route, ApiError> {
    let name = if method == Method::HEAD { Method::GET.as_str() } else { method.as_str() };
    methods.get(name).ok_or_else(|| {
        let mut allowed: Vec<_> = methods.keys().copied().collect();
        if methods.contains_key("GET") {
            allowed.push("HEAD");
        }
        let allow = allowed.join(", ");
        let message = format!("This path takes {allow} only.");
        ApiError { allow: Some(allow.into()), ..ApiError::new(Code::MethodNotAllowed, message) }
    })
}

async fn run(
    app: &App,
    route: &Route,
    parameters: RawPathParams,
    head: Parts,
    body: Body,
    id: &RequestId,
) -> Result<super::shape::Answer, ApiError> {
    let now = app.clock.now();
    let peer = head.extensions.get::<Peer>().copied();
    let caller = identify(app, route.access, peer, &head, now).await?;
    check_access(route.access, &caller)?;
    check_factor(app, route.access, &caller, now)?;
    check_site(route, &head)?;
    check_tenant(app, &head.headers)?;
    let body = body::read(&head.headers, body, route.body_limit).await?;
    let source = peer.and_then(|peer| peer.address());
    let mut actor = actor(&caller, source.map(|address| address.to_string()), id);
    actor.why = why::given(&head.method, &head.headers, &body)?;
    let call = Call {
        method: head.method,
        route: route.path,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        parameters: parameters
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>(),
        body,
        caller,
        actor,
        source,
        over_tls: head.extensions.get::<OverTls>().is_some(),
        now,
    };
    (route.handler)(app.clone(), call).await
}

/// Who calls. On a public route a credential that does not count is as good as none.
async fn identify(
    app: &App,
    access: Access,
    peer: Option<Peer>,
    head: &Parts,
    now: jiff::Timestamp,
) -> Result<Caller, ApiError> {
    if let Some(Peer::Unix(credentials)) = peer {
        return Ok(Caller::Console { uid: credentials.uid });
    }
    let found = match presented(head) {
        None => Ok(None),
        Some(Presented::Staff(token)) => staff(app, token, now).await,
        Some(Presented::Program(key)) => program(app, key, now).await,
        Some(Presented::Customer(token)) => customer(app, token, now).await,
        Some(Presented::Elsewhere) => Err(ApiError::denied(ELSEWHERE)),
    };
    match found {
        Ok(Some(caller)) => Ok(caller),
        Ok(None) => Ok(Caller::Anonymous),
        Err(_) if access == Access::Public => Ok(Caller::Anonymous),
        Err(error) => Err(error),
    }
}

/// What a request brings to be known by.
enum Presented<'r> {
    Staff(&'r str),
    Program(&'r str),
    Customer(&'r str),
    /// A subscriber's cookie that another site's page may have sent along.
    Elsewhere,
}

/// A header counts before the cookie; a cookie is for a subscriber only, and where something is changed only
/// when the browser says that our own page asks.
fn presented(head: &Parts) -> Option<Presented<'_>> {
    if let Some(token) = bearer(&head.headers) {
        return Some(match (is_customer_token(token), is_api_key(token)) {
            (true, _) => Presented::Customer(token),
            (false, true) => Presented::Program(token),
            (false, false) => Presented::Staff(token),
        });
    }
    if let Some(key) = head.headers.get(API_KEY) {
        return Some(Presented::Program(key.to_str().unwrap_or_default().trim()));
    }
    let token = cookie(&head.headers, CUSTOMER_COOKIE).filter(|token| is_customer_token(token))?;
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    Some(if reads || is_same_origin(&head.headers) {
        Presented::Customer(token)
    } else {
        Presented::Elsewhere
    })
}

async fn staff(app: &App, token: &str, now: jiff::Timestamp) -> Result<Option<Caller>, ApiError> {
    match app.people.identify(token, now).await {
        Ok(visitor) => Ok(Some(Caller::Staff(visitor))),
        Err(IdentifyError::NotValid) => Err(ApiError::new(Code::AuthenticationRequired, LOGIN_ENDED)),
        Err(IdentifyError::Read(error)) => Err(error.into()),
    }
}

async fn program(app: &App, key: &str, now: jiff::Timestamp) -> Result<Option<Caller>, ApiError> {
    match app.people.program(key, now).await? {
        Some(program) => Ok(Some(Caller::Program(program))),
        None => Err(ApiError::new(Code::AuthenticationRequired, KEY_ENDED)),
    }
}

async fn customer(app: &App, token: &str, now: jiff::Timestamp) -> Result<Option<Caller>, ApiError> {
    match app.reception.visitor(token, now).await? {
        Some(visitor) => Ok(Some(Caller::Customer(visitor))),
        None => Err(ApiError::new(Code::AuthenticationRequired, LOGIN_ENDED)),
    }
}

/// Whether the browser says that a page of ours asks, or the person themselves (Fetch Metadata; the Origin
/// header of RFC 6454 section 7).
#[must_use]
pub fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, Some(origin)) => {
            let authority = origin.split_once("://").map(|(_, rest)| rest);
            authority.is_some() && authority == text(HOST.as_str())
        }
        (None, None) => false,
    }
}

/// The value of a cookie.
#[must_use]
pub fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let pairs = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = pairs.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(given, _)| *given == name).map(|(_, value)| value)
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn check_access(access: Access, caller: &Caller) -> Result<(), ApiError> {
    let admitted = match caller {
        Caller::Console { .. } => access != Access::Customer,
        Caller::Customer(_) => matches!(access, Access::Public | Access::Customer),
        Caller::Program(program) => access.admits_program(&program.scopes),
        Caller::Staff(_) | Caller::Anonymous => access.admits(caller.role()),
    };
    if admitted {
        return Ok(());
    }
    match (access, caller) {
        (Access::ConsoleOnly, _) => {
            Err(ApiError::denied("This is done on the box itself, by the command line."))
        }
        (_, Caller::Anonymous) => {
            Err(ApiError::new(Code::AuthenticationRequired, "Log in first, and send the access token."))
        }
        (Access::Customer, _) => Err(ApiError::denied("This is for subscribers, about their own account.")),
        (_, Caller::Customer(_)) => Err(ApiError::denied("This is for staff.")),
        (Access::Staff(permission) | Access::StaffFresh(permission), Caller::Program(_)) => {
            Err(ApiError::denied(format!("The key's scopes do not include {}.", permission.name())))
        }
        (_, Caller::Program(_)) => Err(ApiError::denied("This is for people, about their own account.")),
        (Access::Staff(permission) | Access::StaffFresh(permission), _) => {
            Err(ApiError::denied(format!("Your role does not include {}.", permission.name())))
        }
        (Access::Public | Access::SelfStaff, _) => Err(ApiError::denied("Your role does not include this.")),
    }
}

/// Whether the second factor was given as lately as the route asks. Who has none yet passes, unless the site
/// demands one: a box must not lock its owner out on the first day, and health keeps asking for it.
fn check_factor(app: &App, access: Access, caller: &Caller, now: jiff::Timestamp) -> Result<(), ApiError> {
    let Caller::Staff(visitor) = caller else { return Ok(()) };
    let needs_fresh = match access {
        Access::StaffFresh(_) => true,
        Access::Staff(_) => false,
        Access::Public | Access::SelfStaff | Access::Customer | Access::ConsoleOnly => return Ok(()),
    };
    let refused = |message: &str, next: &str| {
        let details = json!({ "mfa_required": true, "enrolled": visitor.is_enrolled, "next": next });
        ApiError { details: Some(Box::new(details)), ..ApiError::new(Code::MfaRequired, message) }
    };
    if !visitor.is_enrolled {
        return match app.site.demands_second_factor {
            true => Err(refused(ENROL_FIRST, "/api/v1/auth/mfa/setup")),
            false => Ok(()),
        };
    }
    let is_fresh = visitor.fresh_until().is_some_and(|until| now <= until);
    if needs_fresh && !is_fresh {
        return Err(refused(GIVE_AGAIN, "/api/v1/auth/mfa/step-up"));
    }
    Ok(())
}

/// At the portal a device is known by its address, which any page that it opens speaks from: so what strangers
/// may do there is done by our own pages and by programs, which send neither header.
fn check_site(route: &Route, head: &Parts) -> Result<(), ApiError> {
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let is_browser = head.headers.contains_key(ORIGIN) || head.headers.contains_key("sec-fetch-site");
    let is_open = route.access == Access::Public && route.on_portal;
    if is_open && !reads && is_browser && !is_same_origin(&head.headers) {
        return Err(ApiError::denied(ELSEWHERE));
    }
    Ok(())
}

/// The box is one tenant: a client that believes it talks to another is told so.
fn check_tenant(app: &App, headers: &HeaderMap) -> Result<(), ApiError> {
    let (Some(ours), Some(asked)) = (&app.site.tenant, headers.get(TENANT)) else { return Ok(()) };
    if asked.as_bytes() == ours.as_bytes() {
        return Ok(());
    }
    Err(ApiError::new(Code::WrongTenant, "X-Tenant-ID names a tenant that this box does not serve."))
}

fn actor(caller: &Caller, source: Option<String>, id: &RequestId) -> Actor {
    let (actor, name) = match caller {
        Caller::Anonymous => ("public".to_owned(), "public".to_owned()),
        Caller::Staff(visitor) => (format!("staff:{}", visitor.staff_id), visitor.name.clone()),
        Caller::Program(program) => (format!("key:{}", program.key_id), program.name.clone()),
        Caller::Customer(visitor) => {
            (format!("subscriber:{}", visitor.subscriber_id), "subscriber".to_owned())
        }
        Caller::Console { uid } => (format!("console:{uid}"), format!("console (uid {uid})")),
    };
    Actor { id: actor, name, source, request_id: Some(id.0.to_string()), why: None }
}

fn unknown_path(app: &App, request: &Request) -> Response<Body> {
    count("(none)", request.method(), Code::UnknownPath.status(), Duration::ZERO);
    let error = ApiError::new(Code::UnknownPath, "There is nothing at this path; see /docs.");
    let id = request.extensions().get::<RequestId>().map_or("", |id| &id.0);
    render_error(&error, id, app.clock.now(), Look::of(request.headers()))
}

fn request_id(head: &Parts) -> RequestId {
    head.extensions.get::<RequestId>().cloned().unwrap_or_else(|| RequestId("".into()))
}

/// Counted by template, never by path: a label set must be bounded.
fn count(template: &'static str, method: &Method, status: u16, took: Duration) {
    let method = find_name(method).unwrap_or("OTHER");
    metrics::counter!("http_requests_total", "route" => template, "method" => method, "status" => status.to_string())
        .increment(1);
    metrics::histogram!("http_request_duration_seconds", "route" => template, "method" => method)
        .record(took.as_secs_f64());
}

fn find_name(method: &Method) -> Option<&'static str> {
    ["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE", "OPTIONS"]
        .into_iter()
        .find(|name| *name == method.as_str())
}

/// A program's key, beside `Authorization: Bearer`.
const API_KEY: &str = "x-api-key";
const KEY_ENDED: &str = "This key does not count (any more); ask the ISP's staff for another.";
/// Which tenant a client believes to talk to.
const TENANT: &str = "x-tenant-id";
/// The cookie that carries a subscriber's token.
pub const CUSTOMER_COOKIE: &str = "customer_access_token";
const LOGIN_ENDED: &str = "Your login has ended; please log in again.";
const ENROL_FIRST: &str =
    "This site asks a second factor of all staff: set one up under /api/v1/auth/mfa/setup, then go on.";
const GIVE_AGAIN: &str = "Give the code of your authenticator app first (POST /api/v1/auth/mfa/step-up), then repeat this request.";
const ELSEWHERE: &str = "The request does not come from a page of this site.";
