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
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Response};
use axum::routing::any;

use super::app::App;
use super::call::{Call, Caller};
use super::error::{ApiError, Code};
use super::route::{Access, Alias, Methods, Route, RouteFault, Table};
use super::shape::{Look, render_error};
use crate::domain::audit::Actor;
use crate::people::IdentifyError;
use crate::serve::http::body;
use crate::serve::http::guard::RequestId;
use crate::serve::http::peer::Peer;

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
    let caller = identify(app, route.access, peer, &head.headers, now).await?;
    check_access(route.access, &caller)?;
    check_tenant(app, &head.headers)?;
    let body = body::read(&head.headers, body, route.body_limit).await?;
    let source = peer.and_then(|peer| peer.address());
    let actor = actor(&caller, source.map(|address| address.to_string()), id);
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
        now,
    };
    (route.handler)(app.clone(), call).await
}

/// Who calls. On a public route a credential that does not count is as good as none.
async fn identify(
    app: &App,
    access: Access,
    peer: Option<Peer>,
    headers: &HeaderMap,
    now: jiff::Timestamp,
) -> Result<Caller, ApiError> {
    if let Some(Peer::Unix(credentials)) = peer {
        return Ok(Caller::Console { uid: credentials.uid });
    }
    let Some(token) = bearer(headers) else { return Ok(Caller::Anonymous) };
    match app.people.identify(token, now).await {
        Ok(visitor) => Ok(Caller::Staff(visitor)),
        Err(_) if access == Access::Public => Ok(Caller::Anonymous),
        Err(IdentifyError::NotValid) => {
            Err(ApiError::new(Code::AuthenticationRequired, "Your login has ended; please log in again."))
        }
        Err(IdentifyError::Read(error)) => Err(error.into()),
    }
}

/// The token of `Authorization: Bearer` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn check_access(access: Access, caller: &Caller) -> Result<(), ApiError> {
    let console = matches!(caller, Caller::Console { .. });
    if console || access.admits(caller.role()) {
        return Ok(());
    }
    match (access, caller) {
        (Access::ConsoleOnly, _) => {
            Err(ApiError::denied("This is done on the box itself, by the command line."))
        }
        (_, Caller::Anonymous) => {
            Err(ApiError::new(Code::AuthenticationRequired, "Log in first, and send the access token."))
        }
        (Access::Staff(permission), _) => {
            Err(ApiError::denied(format!("Your role does not include {}.", permission.name())))
        }
        (Access::Public | Access::SelfStaff, _) => Err(ApiError::denied("Your role does not include this.")),
    }
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
        Caller::Console { uid } => (format!("console:{uid}"), format!("console (uid {uid})")),
    };
    Actor { id: actor, name, source, request_id: Some(id.0.to_string()) }
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

/// Which tenant a client believes to talk to.
const TENANT: &str = "x-tenant-id";
