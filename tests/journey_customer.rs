//! The subscriber's journey as an existing script of the field makes it, call after call, each with the status
//! that the script expects; then the calls of a customer portal of the field, with the types that it reads.
//! The script's first call, `GET /customer`, is a page of the portal and held by its tests.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use dotmac_edge::base::secret::Secret;
use serde_json::{Value, json};
use support::edge::Edge;
use support::http::Client;
use support::mail::MailServer;

const LOGIN: &str = "/api/v1/auth/customer/login";
const CHOSEN: &str = "seven green bottles";

async fn login(client: &Client, field: &str, who: &Value, password: &str) -> u16 {
    client.post(LOGIN, json!({ field: who, "password": password })).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customer_journey_gets_the_statuses_that_its_script_expects() {
    let server = MailServer::start().await;
    let edge = Edge::with_mail(server.port).await;
    let plan = json!({
        "plan_code": "HOME-50", "name": "Home 50", "service_type": "internet", "monthly_price": 0,
        "download_speed": 50, "upload_speed": 10, "bandwidth_unit": "mbps", "data_allowance": 100,
        "validity_days": 30,
    });
    edge.console.post("/api/v1/service-plans", plan).await.expect(201);
    let anybody = &edge.client;

    let plans = anybody.get("/api/v1/public/service-plans").await.expect(200);
    let code = plans.as_array().unwrap()[0]["plan_code"].clone();

    let signup = json!({
        "email": "ada@example.net", "first_name": "Ada", "last_name": "Obi", "phone": "+2348012345678",
        "service_plan": code, "password": CHOSEN,
        "service_address": { "street": "1 Marina", "city": "Lagos", "state": "LA", "zip": "101001" },
    });
    let signup = anybody.post("/api/v1/customers/signup", signup).await.expect(201);
    let id = signup["id"].as_str().unwrap().to_owned();

    let path = format!("/api/v1/provisioning/status/{id}");
    assert_eq!(anybody.get(&path).await.expect(200)["status"], "pending_confirmation");

    // What stands between: the mail. Before it is answered, there is nobody to log in.
    assert_eq!(login(anybody, "email", &json!("ada@example.net"), CHOSEN).await, 401);
    edge.post.send_due(edge.app.clock.now()).await.unwrap();
    let code = server.to("ada@example.net").code();
    let confirm = format!("/api/v1/customers/signup/{id}/confirm");
    let confirmed = anybody.post(&confirm, json!({ "code": code })).await.expect(200);
    assert_eq!(confirmed["customer_id"], json!(id));
    let brief = anybody.get(&path).await.expect(200);
    assert_eq!((&brief["status"], &brief["progress_percentage"]), (&json!("ready"), &json!(100)));
    assert_eq!(brief.as_object().unwrap().len(), 4, "no names, services or tasks: {brief}");
    assert_eq!(anybody.get("/api/v1/provisioning/status/C-000001").await.status, 401);

    for (field, who) in [
        ("email", json!(" Ada@Example.net ")),
        ("portal_id", confirmed["portal_id"].clone()),
        ("accountNumber", confirmed["customer_number"].clone()),
    ] {
        assert_eq!(login(anybody, field, &who, CHOSEN).await, 200, "{field}");
        assert_eq!(login(anybody, field, &who, "another").await, 401, "{field}");
    }
    portal_calls(&edge, &id).await;
}

/// What the customer app calls, with the types that it does arithmetic on.
async fn portal_calls(edge: &Edge, id: &str) {
    let body = json!({ "email": "ada@example.net", "password": CHOSEN });
    let reply = edge.client.post("/api/isp/v1/auth/customer/login", body).await;
    let login = reply.expect(200);
    for field in ["id", "email", "first_name", "last_name", "account_number", "phone"] {
        assert!(login["user"][field].is_string(), "{field}: {login}");
    }
    assert_eq!(login["data"]["token"], login["access_token"]);
    let cookie = reply.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(cookie.starts_with("customer_access_token="));
    let me = edge.client.token(login["access_token"].as_str().unwrap());

    what_is_shown(&me, id).await;
    what_may_be_changed(&me).await;
    by_cookie_alone(edge, &cookie).await;
}

async fn what_is_shown(me: &Client, id: &str) {
    let profile = me.get("/api/isp/v1/customer/profile").await.expect(200);
    assert_eq!((&profile["id"], &profile["status"]), (&json!(id), &json!("active")));
    assert_eq!(
        (&profile["service_address"], &profile["service_zip"]),
        (&json!("1 Marina"), &json!("101001"))
    );
    let service = me.get("/api/v1/customer/service").await.expect(200);
    assert_eq!((&service["speed_down"], &service["speed_up"]), (&json!(50.0), &json!(10.0)));
    assert!(service["monthly_price"].is_number() && service["next_billing_date"].is_string());
    let usage = me.get("/api/v1/customer/usage").await.expect(200);
    for field in ["upload_gb", "download_gb", "total_gb", "limit_gb"] {
        assert!(usage[field].is_number(), "{field}: {usage}");
    }
    assert_eq!(usage["limit_gb"], 100.0);
    assert_eq!(me.get("/api/v1/customer/sessions").await.expect(200)["items"], json!([]));
    at_a_glance(me, id).await;
}

async fn at_a_glance(me: &Client, id: &str) {
    let dashboard = me.get("/api/v1/customer/dashboard").await.expect(200);
    assert_eq!(dashboard["data"]["monthlyUsage"]["total"], 100.0);
    for field in ["account", "service", "services", "networkStatus", "billing", "usage", "lastUpdated"] {
        assert!(!dashboard[field].is_null(), "{field}");
    }
    let status = me.get(&format!("/api/v1/provisioning/status/{id}")).await.expect(200);
    assert_eq!(status["services"][0]["status"], "active", "one's own in full");
    let refused = me.get("/api/v1/customers").await.expect(403);
    assert!(refused["detail"].is_string());
}

async fn what_may_be_changed(me: &Client) {
    let change = json!({ "first_name": "Adaeze", "service_city": "Ikeja", "phone": null });
    let changed = me.put("/api/v1/customer/profile", change).await.expect(200);
    assert_eq!((&changed["first_name"], &changed["service_city"]), (&json!("Adaeze"), &json!("Ikeja")));
    assert_eq!((&changed["service_address"], &changed["phone"]), (&json!("1 Marina"), &json!("")));
    assert_eq!((&changed["last_name"], &changed["email"]), (&json!("Obi"), &json!("ada@example.net")));
}

/// The app's page guard and its logout know the cookie only.
async fn by_cookie_alone(edge: &Edge, cookie: &str) {
    let browser = edge.client.header("cookie", cookie);
    browser.get("/api/v1/customer/profile").await.expect(200);
    let change = json!({ "first_name": "Eve" });
    let elsewhere = browser.header("origin", "https://eve.example.net");
    for page in [&browser, &elsewhere, &elsewhere.header("sec-fetch-site", "cross-site")] {
        assert_eq!(page.put("/api/v1/customer/profile", change.clone()).await.refusal(403), "access_denied");
        assert_eq!(page.post("/api/v1/auth/customer/logout", json!({})).await.status, 403);
    }
    let own = browser.header("origin", "https://edge.test");
    own.put("/api/v1/customer/profile", json!({ "first_name": "Ada" })).await.expect(200);
    let fetch = browser.header("sec-fetch-site", "same-origin");
    let gone = fetch.post("/api/v1/auth/customer/logout", json!({})).await;
    assert!(gone.header("set-cookie").unwrap().starts_with("customer_access_token=; Path=/; Max-Age=0"));
    assert_eq!(gone.expect(200)["success"], true);
    assert_eq!(fetch.post("/api/v1/auth/customer/logout", json!({})).await.expect(200)["success"], true);
    assert_eq!(browser.get("/api/v1/customer/profile").await.refusal(401), "authentication_required");
}

#[tokio::test]
async fn another_portal_password_ends_every_visit() {
    let edge = Edge::start().await;
    let (made, me) = edge.customer("ada@example.net").await;
    let other = json!({ "email": "ada@example.net", "password": made["portal_password"] });
    let other = edge.client.post(LOGIN, other).await.expect(200);
    let other = edge.client.token(other["access_token"].as_str().unwrap());
    let path = "/api/v1/customer/change-password";
    let change = |old: Value, new: &str| json!({ "current_password": old, "new_password": new });
    let wrong = me.post(path, change(json!("not this one"), CHOSEN)).await.expect(422);
    assert!(wrong["field_errors"]["current_password"].is_array());
    let weak = me.post(path, change(made["portal_password"].clone(), "short")).await.expect(422);
    assert!(weak["field_errors"]["new_password"].is_array());
    other.get("/api/v1/customer/profile").await.expect(200);
    let changed = me.post(path, change(made["portal_password"].clone(), CHOSEN)).await.expect(200);
    for before in [&me, &other] {
        assert_eq!(before.get("/api/v1/customer/profile").await.status, 401);
    }
    let me = edge.client.token(changed["access_token"].as_str().unwrap());
    me.get("/api/v1/customer/profile").await.expect(200);

    let reset = format!("/api/v1/customers/{}/reset-portal-password", made["id"].as_str().unwrap());
    edge.console.post(&reset, json!({})).await.expect(200);
    assert_eq!(me.get("/api/v1/customer/profile").await.status, 401, "a reset by staff as well");
    assert_eq!(login(&edge.client, "email", &json!("ada@example.net"), CHOSEN).await, 401);
}

#[tokio::test]
async fn a_closed_account_an_unknown_name_and_a_wrong_password_are_refused_alike() {
    let edge = Edge::start().await;
    let (made, me) = edge.customer("ada@example.net").await;
    edge.console.delete(&format!("/api/v1/customers/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(me.get("/api/v1/customer/profile").await.status, 401);
    let ask = async |email: &str, password: &Value| {
        let mut body =
            edge.client.post(LOGIN, json!({ "email": email, "password": password })).await.expect(401);
        for unlike in ["request_id", "timestamp"] {
            body[unlike].take();
            body["error"][unlike].take();
        }
        body
    };
    let closed = ask("ada@example.net", &made["portal_password"]).await;
    assert_eq!(closed, ask("ada@example.net", &json!("wrong")).await);
    assert_eq!(closed, ask("eve@example.net", &json!("wrong")).await);
    assert_eq!(closed["code"], "authentication_failed");
}

#[tokio::test]
async fn a_network_login_with_its_network_password_opens_the_portal_too() {
    let edge = Edge::start().await;
    let (made, _) = edge.customer("ada@example.net").await;
    let plan = json!({ "plan_code": "home", "name": "Home", "monthly_price": 1, "download_speed": 1, "upload_speed": 1 });
    edge.console.post("/api/v1/service-plans", plan).await.expect(201);
    let service = json!({ "customer_id": made["id"], "plan_code": "home", "username": "ada-router" });
    let service = edge.console.post("/api/v1/services", service).await.expect(201);
    let password = service["network_password"].as_str().unwrap();
    assert_eq!(login(&edge.client, "username", &json!("Ada-Router"), password).await, 200);
    assert_eq!(login(&edge.client, "username", &json!("ada-router"), "wrong").await, 401);
    assert_eq!(login(&edge.client, "email", &json!("ada@example.net"), password).await, 401);
}

#[tokio::test]
async fn guesses_are_slowed_down_and_staff_do_not_feel_it() {
    let edge = Edge::start().await;
    let (_, _) = edge.staff("ada@example.net", "owner").await;
    edge.customer("ada@example.net").await;
    let mut refusals = Vec::new();
    for _ in 0..7 {
        refusals.push(login(&edge.client, "email", &json!("ada@example.net"), "wrong").await);
    }
    assert_eq!(refusals, [401, 401, 401, 401, 401, 429, 429]);
    edge.login("ada@example.net").await;
}

#[tokio::test]
async fn a_visit_ends_after_twelve_hours_and_only_so_many_go_on() {
    let edge = Edge::start().await;
    let (made, me) = edge.customer("ada@example.net").await;
    let id = made["id"].as_str().unwrap().parse().unwrap();
    let people = &edge.app.people;
    edge.hand.advance(std::time::Duration::from_secs(1));
    let now = edge.app.clock.now();
    for _ in 0..25 {
        let draft = people.begin_customer_visit(id, now).await.unwrap();
        edge.app.store.commit(draft.unit).await.unwrap();
    }
    assert_eq!(me.get("/api/v1/customer/profile").await.status, 401, "older ones end");
    let draft = people.begin_customer_visit(id, now).await.unwrap();
    edge.app.store.commit(draft.unit).await.unwrap();
    let token: Secret = draft.value.token;
    let token = token.expose_text().unwrap();
    edge.hand.advance(std::time::Duration::from_secs(12 * 3600 - 1));
    let desk = &edge.app.reception;
    assert!(desk.visitor(token, edge.app.clock.now()).await.unwrap().is_some());
    edge.hand.advance(std::time::Duration::from_secs(1));
    assert!(desk.visitor(token, edge.app.clock.now()).await.unwrap().is_none());
    desk.log_out(token, edge.app.clock.now()).await.unwrap();
    desk.log_out("edc_never", edge.app.clock.now()).await.unwrap();
}
