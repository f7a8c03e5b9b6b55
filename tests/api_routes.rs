//! Who may call what: every route of the table, by every role, by nobody, by a broken token and from
//! the console, as real requests. The table declares; this holds that the door keeps it.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::future::ready;

use axum::http::Method;
use dotmac_edge::domain::role::{Permission, Role};
use dotmac_edge::serve::api::{self, Access, Answer, Route};
use serde_json::json;
use support::edge::Edge;
use support::http::{Client, Reply};

/// A path with something in place of each parameter; nothing has that id.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| if part.starts_with('{') { NOBODY } else { part });
    parts.collect::<Vec<_>>().join("/")
}

const NOBODY: &str = "01900000-0000-7000-8000-000000000000";

async fn call(client: &Client, route: &Route) -> Reply {
    // No body fits all routes; one that is wrong shows that access was given.
    let body = (route.method != Method::GET).then(|| json!({ "nothing": "of use" }));
    client.send(route.method.clone(), &filled(route.path), body).await
}

/// Whether the door itself turned the caller away: 401 `authentication_required` or 403
/// `access_denied`; what a handler refuses afterwards has other codes or names another reason.
fn turned_away(reply: &Reply) -> bool {
    let code = || reply.json()["code"].as_str().unwrap_or_default().to_owned();
    matches!(reply.status, 401 | 403)
        && matches!(code().as_str(), "authentication_required" | "access_denied")
}

/// One client a role, all with valid visits.
async fn clients(edge: &Edge) -> BTreeMap<&'static str, (Option<Role>, Client)> {
    let mut clients = BTreeMap::from([("nobody", (None, edge.client.clone()))]);
    clients.insert("a broken token", (None, edge.client.token("a.b.c")));
    for role in Role::ALL {
        let (login, client) = edge.staff(&format!("{}@example.net", role.name()), role.name()).await;
        assert_eq!(login["user"]["role"], role.name());
        clients.insert(role.name(), (Some(role), client));
    }
    clients
}

/// Those that would end the very visit that asks.
fn ends_visits(route: &Route) -> bool {
    ["/api/v1/auth/logout", "/api/v1/auth/customer/logout"].contains(&route.path)
}

#[tokio::test]
async fn every_route_admits_exactly_whom_its_access_says() {
    let edge = Edge::with(vec![console_only()], None).await;
    let clients = clients(&edge).await;
    let (_, customer) = edge.customer("ada.obi@example.net").await;
    let mut table = api::routes();
    table.push(console_only());
    let mut checked = 0;
    for route in table.iter().filter(|route| !ends_visits(route)) {
        for (who, (role, client)) in &clients {
            let reply = call(client, route).await;
            let admitted = !turned_away(&reply);
            let body = String::from_utf8_lossy(&reply.body).into_owned();
            assert_eq!(admitted, expected(route.access, *role), "{who}: {route:?}\n{} {body}", reply.status);
            if role.is_none() && !admitted && route.access != Access::ConsoleOnly {
                assert_eq!(reply.status, 401, "{who}: {route:?}");
            }
            assert_ne!(reply.status, 500, "{who}: {route:?}\n{body}");
            checked += 1;
        }
        let reply = call(&customer, route).await;
        let own = matches!(route.access, Access::Public | Access::Customer);
        assert_eq!(!turned_away(&reply), own, "a subscriber: {route:?} {}", reply.status);
        assert!(own || reply.status == 403, "a subscriber is known and not let in: {route:?}");
        let console = call(&edge.console, route).await;
        let own = matches!(route.access, Access::SelfStaff | Access::Customer);
        assert!(own || !turned_away(&console), "console: {route:?} {}", console.status);
    }
    assert!(checked >= table.len() * (Role::ALL.len() + 1));
}

/// Written out here once more, so that a slip in the product's own rule is seen.
fn expected(access: Access, role: Option<Role>) -> bool {
    match (access, role) {
        (Access::Public, _) => true,
        (Access::ConsoleOnly | Access::Customer, _) | (_, None) => false,
        (Access::SelfStaff, Some(_)) => true,
        (Access::Staff(permission) | Access::StaffFresh(permission), Some(role)) => role.may(permission),
    }
}

#[tokio::test]
async fn what_only_the_console_may_is_done_there() {
    let edge = Edge::with(vec![console_only()], None).await;
    assert_eq!(edge.console.post("/api/v1/box", json!({})).await.status, 204);
    assert_eq!(edge.client.post("/api/v1/box", json!({})).await.refusal(403), "access_denied");
}

#[test]
fn what_changes_things_is_public_only_where_a_stranger_must_begin() {
    let open: Vec<_> = api::routes()
        .into_iter()
        .filter(|route| route.access == Access::Public && route.method != Method::GET)
        .map(|route| route.path)
        .filter(|path| !path.starts_with("/api/v1/customers/signup"))
        .collect();
    assert_eq!(
        open,
        [
            "/api/v1/auth/login",
            "/api/v1/auth/refresh",
            "/api/v1/auth/logout",
            "/api/v1/auth/create-admin",
            "/api/v1/auth/customer/login",
            "/api/v1/auth/customer/logout",
            "/api/v1/auth/mfa/verify",
            "/api/v1/vouchers/redeem",
            // Proven by their signature, or by their path.
            "/api/v1/webhooks/{gateway}",
            "/api/v1/webhooks/mpesa/{token}",
            "/api/v1/webhooks/mpesa/{token}/{reference}",
        ],
    );
}

#[test]
fn the_portal_serves_what_is_public_or_a_subscribers_own_and_nothing_of_staff() {
    let routes = api::routes();
    let on_portal: Vec<_> = routes.iter().filter(|route| route.on_portal).collect();
    assert!(on_portal.iter().all(|route| matches!(route.access, Access::Public | Access::Customer)));
    assert!(routes.iter().all(|route| route.access != Access::Customer || route.on_portal));
    assert_eq!(on_portal.iter().filter(|route| route.access == Access::Public).count(), 12);
}

#[test]
fn reading_needs_a_permission_to_read_and_changing_one_to_change() {
    for route in api::routes() {
        let (Access::Staff(permission) | Access::StaffFresh(permission)) = route.access else { continue };
        let reads = permission.name().ends_with(":read");
        assert_eq!(route.method == Method::GET, reads, "{route:?}");
    }
    assert!(!Role::Auditor.may(Permission::SystemWrite));
}

#[tokio::test]
async fn a_method_that_a_path_does_not_have_is_refused_with_those_it_has() {
    let edge = Edge::start().await;
    let mut by_path = BTreeMap::<&str, Vec<Method>>::new();
    for route in api::routes() {
        by_path.entry(route.path).or_default().push(route.method);
    }
    for (path, methods) in by_path {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::PUT, Method::DELETE, Method::OPTIONS]
        {
            if methods.contains(&method) {
                continue;
            }
            let reply = edge.client.send(method.clone(), &filled(path), None).await;
            assert_eq!(reply.refusal(405), "method_not_allowed", "{method} {path}");
            let allow = reply.header("allow").unwrap();
            assert!(methods.iter().all(|known| allow.contains(known.as_str())), "{method} {path}: {allow}");
        }
    }
}

#[tokio::test]
async fn every_alias_whose_native_path_stands_answers_as_it_does() {
    let edge = Edge::start().await;
    let native: Vec<_> = api::routes().iter().map(|route| route.path).collect();
    for alias in api::ALIASES.iter().filter(|alias| native.contains(&alias.native)) {
        let (one, other) = (filled(alias.path), filled(alias.native));
        let (one, other) = (edge.client.get(&one).await, edge.client.get(&other).await);
        assert_eq!(one.status, other.status, "{} {}", alias.path, alias.native);
        assert_ne!(one.json()["code"], "unknown_path", "{}", alias.path);
    }
}

#[tokio::test]
async fn the_description_names_every_route_and_how_to_be_let_in() {
    let edge = Edge::start().await;
    let api = edge.client.get("/openapi.json").await.expect(200);
    for route in api::routes().iter().filter(|route| route.access != Access::ConsoleOnly) {
        let described = &api["paths"][route.path][route.method.as_str().to_lowercase()];
        assert_eq!(described["summary"], route.summary, "{route:?}");
        assert_eq!(described["security"].is_array(), route.access != Access::Public, "{route:?}");
    }
    let text = api.to_string();
    for reference in text.split("#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(api["components"]["schemas"][name].is_object(), "{name} is referred to and not described");
    }
}

fn console_only() -> Route {
    Route::post("/api/v1/box", Access::ConsoleOnly, "Only on the box", |_, _| ready(Ok(Answer::empty())))
}
