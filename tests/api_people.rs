//! Staff log in, stay in, are thrown out and are managed, by real requests over a real port against a
//! real store; and whoever claims the box first is its only first admin.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use axum::http::Method;
use dotmac_edge::serve::api::{Access, Answer, Route};
use serde_json::{Value, json};
use support::edge::{Edge, PASSWORD};
use support::http::{Client, Reply};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

const LOGIN: &str = "/api/v1/auth/login";

async fn try_login(client: &Client, email: &str, password: &str) -> Reply {
    client.post(LOGIN, json!({ "email": email, "password": password })).await
}

async fn refresh(edge: &Edge, token: &Value) -> Reply {
    edge.client.post("/api/v1/auth/refresh", json!({ "refresh_token": token })).await
}

#[tokio::test]
async fn a_login_answers_what_every_frontend_reads_and_me_knows_who_it_is() {
    let edge = Edge::start().await;
    let (login, ada) = edge.staff("ada@example.net", "admin").await;
    assert_eq!(login["data"]["token"], login["access_token"]);
    assert_eq!(login["data"]["accessToken"], login["access_token"]);
    assert_eq!(login["data"]["refreshToken"], login["refresh_token"]);
    assert_eq!(login["data"]["expiresAt"], login["expires_at"]);
    assert_eq!(login["expires_at"], "2026-03-01T08:10:00.000Z");
    assert_eq!(login["expires_in"], 600);
    assert_eq!(login["token_type"], "bearer");
    assert_eq!(login["mfa_required"], false);
    assert_eq!(login["user"]["email"], "ada@example.net");
    assert!(login["user"].get("password").is_none());
    let me = ada.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(me["id"], login["user"]["id"]);
    assert_eq!(me["data"]["id"], me["id"]);
    assert_eq!(me["role"], "owner", "the first account is the owner whatever was asked");
}

#[tokio::test]
async fn any_of_the_identifier_fields_logs_in() {
    let edge = Edge::start().await;
    edge.staff("ada@example.net", "owner").await;
    for field in ["email", "username", "identifier", "portalId", "accountNumber", "partnerCode"] {
        let body = json!({ field: " Ada@Example.net ", "password": PASSWORD, "portal": "admin" });
        edge.client.post(LOGIN, body).await.expect(200);
    }
    let alias = edge
        .client
        .post("/api/v1/auth/admin/login", json!({ "email": "ada@example.net", "password": PASSWORD }));
    alias.await.expect(200);
    let get = edge.client.get(LOGIN).await;
    assert_eq!(get.refusal(405), "method_not_allowed");
    assert_eq!(get.header("allow"), Some("POST"));
}

#[tokio::test]
async fn every_wrong_login_is_refused_alike() {
    let edge = Edge::start().await;
    edge.staff("owner@example.net", "owner").await;
    edge.staff("gone@example.net", "cashier").await;
    let id = edge.console.get("/api/v1/users?search=gone").await.expect(200)["items"][0]["id"].clone();
    edge.console.delete(&format!("/api/v1/users/{}", id.as_str().unwrap())).await.expect(200);
    let mut bodies = Vec::new();
    for (email, password) in [
        ("nobody@example.net", PASSWORD),
        ("owner@example.net", "wrong password"),
        ("gone@example.net", PASSWORD),
    ] {
        let mut body = try_login(&edge.client, email, password).await.expect(401);
        for own in ["request_id", "timestamp"] {
            body[own].take();
        }
        body["error"]["request_id"].take();
        bodies.push(body);
    }
    assert_eq!(bodies[0]["code"], "authentication_failed");
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_at_each_use_and_an_old_one_ends_the_visit() {
    let edge = Edge::start().await;
    let (login, ada) = edge.staff("ada@example.net", "owner").await;
    edge.hand.advance(Duration::from_secs(60));
    let second = refresh(&edge, &login["refresh_token"]).await.expect(200);
    assert_ne!(second["refresh_token"], login["refresh_token"]);
    assert_eq!(second["session_id"], login["session_id"]);

    // Another tab, a moment later: it may go on, without a fork of the family.
    edge.hand.advance(Duration::from_secs(9));
    let tab = refresh(&edge, &login["refresh_token"]).await.expect(200);
    assert!(tab["access_token"].is_string());
    assert!(tab.get("refresh_token").is_none() && tab["data"].get("refreshToken").is_none());

    // A third exchange, then the first token again: two hold it, so the visit ends for both.
    let third = refresh(&edge, &second["refresh_token"]).await.expect(200);
    assert_eq!(refresh(&edge, &login["refresh_token"]).await.refusal(401), "authentication_required");
    assert_eq!(refresh(&edge, &third["refresh_token"]).await.refusal(401), "authentication_required");
    assert_eq!(ada.get("/api/v1/auth/me").await.refusal(401), "authentication_required");
    let late = edge.client.token(third["access_token"].as_str().unwrap());
    assert_eq!(late.get("/api/v1/auth/me").await.refusal(401), "authentication_required");
}

#[tokio::test]
async fn the_token_before_counts_for_ten_seconds_only_and_a_guess_ends_nothing() {
    let edge = Edge::start().await;
    let (login, _) = edge.staff("ada@example.net", "owner").await;
    let guess = format!("{}.{}", login["session_id"].as_str().unwrap(), "A".repeat(64));
    refresh(&edge, &json!(guess)).await.expect(401);
    let second = refresh(&edge, &login["refresh_token"]).await.expect(200);
    edge.hand.advance(Duration::from_secs(11));
    refresh(&edge, &login["refresh_token"]).await.expect(401);
    refresh(&edge, &second["refresh_token"]).await.expect(401);
}

#[tokio::test]
async fn tabs_that_refresh_at_once_all_go_on_and_one_gets_the_next_token() {
    let edge = Edge::start().await;
    let (login, _) = edge.staff("ada@example.net", "owner").await;
    let asked = (0..8).map(|_| refresh(&edge, &login["refresh_token"]));
    let answers: Vec<Value> = join(asked).await.iter().map(|reply| reply.expect(200)).collect();
    let next: Vec<_> = answers.iter().filter_map(|answer| answer["refresh_token"].as_str()).collect();
    assert_eq!(next.len(), 1);
    refresh(&edge, &json!(next[0])).await.expect(200);
}

#[tokio::test]
async fn a_logout_ends_the_visit_at_once_and_may_be_repeated() {
    let edge = Edge::start().await;
    let (login, ada) = edge.staff("ada@example.net", "owner").await;
    let out = ada.post("/api/v1/auth/logout", json!({})).await.expect(200);
    assert_eq!(out["success"], true);
    edge.hand.advance(Duration::from_secs(5));
    let by_token = json!({ "refresh_token": login["refresh_token"] });
    let again = edge.client.post("/api/v1/auth/logout", by_token).await.expect(200);
    assert_eq!(again["revoked_at"], out["revoked_at"]);
    ada.get("/api/v1/auth/me").await.expect(401);
    refresh(&edge, &login["refresh_token"]).await.expect(401);
    edge.client.send(Method::POST, "/api/v1/auth/logout", None).await.expect(200);
}

#[tokio::test]
async fn an_access_token_ends_by_itself_and_a_foreign_one_never_counts() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("ada@example.net", "owner").await;
    edge.hand.advance(Duration::from_secs(629));
    ada.get("/api/v1/auth/me").await.expect(200);
    edge.hand.advance(Duration::from_secs(1));
    let late = ada.get("/api/v1/auth/me").await;
    assert_eq!(late.refusal(401), "authentication_required");
    assert_eq!(late.header("www-authenticate"), Some("Bearer"));
    edge.client.token("a.b.c").get("/api/v1/auth/me").await.expect(401);
    // A public page stays public for somebody whose login has ended.
    ada.get("/api/v1/setup/status").await.expect(200);
}

#[tokio::test]
async fn accounts_are_created_listed_changed_and_deactivated_each_with_its_audit_entry() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let body =
        json!({ "email": "Tola@Example.net", "name": "Tola", "role": "Cashier", "password": PASSWORD });
    let made = owner.post("/api/v1/users", body).await.expect(201);
    let path = format!("/api/v1/users/{}", made["id"].as_str().unwrap());
    assert_eq!(owner.get(&path).await.expect(200)["email"], "tola@example.net");
    let list = owner.get("/api/v1/users?page=1&size=1").await.expect(200);
    assert_eq!((list["total"].clone(), list["pages"].clone()), (json!(2), json!(2)));
    assert_eq!(list["items"], list["data"]);
    edge.hand.advance(Duration::from_secs(1));
    let changed = owner.patch(&path, json!({ "role": "technician", "name": "Tola A." })).await.expect(200);
    assert_eq!(changed["role"], "technician");
    edge.hand.advance(Duration::from_secs(1));
    assert_eq!(owner.delete(&path).await.expect(200)["is_active"], false);
    let audit =
        owner.get(&format!("/api/v1/audit?subject_id={}", made["id"].as_str().unwrap())).await.expect(200);
    let actions: Vec<_> =
        audit["items"].as_array().unwrap().iter().map(|one| one["action"].clone()).collect();
    assert_eq!(actions, ["staff.update", "staff.update", "staff.create"]);
    let update = &audit["items"][1];
    assert_eq!(
        (update["before"]["role"].clone(), update["after"]["role"].clone()),
        (json!("cashier"), json!("technician"))
    );
    assert_eq!(update["actor_name"], "Ada Obi");
    assert_eq!(update["source"], "127.0.0.1");
    assert!(!audit.to_string().contains("argon2"), "no verifier in the log");
    owner.get("/api/v1/users/not-an-id").await.expect(404);
}

#[tokio::test]
async fn all_faults_of_a_body_are_told_at_once() {
    let edge = Edge::start().await;
    let body = json!({ "email": "ada", "role": "king", "name": "a\nb", "password_hash": "$argon2id$" });
    let error = edge.console.post("/api/v1/users", body).await.expect(422);
    let fields: Vec<_> = error["field_errors"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, ["email", "name", "password_hash", "role"]);
    assert_eq!(error["error"]["code"], "validation_error");
    let weak = json!({ "email": "ada@example.net", "role": "owner", "password": "password1" });
    let error = edge.console.post("/api/v1/users", weak).await.expect(422);
    assert!(error["field_errors"]["password"][0].as_str().unwrap().contains("common"));
}

#[tokio::test]
async fn an_e_mail_belongs_to_one_account() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("ada@example.net", "owner").await;
    let body = json!({ "email": "ADA@example.net", "role": "admin", "password": PASSWORD });
    let reply = owner.post("/api/v1/users", body).await;
    assert_eq!(reply.refusal(409), "already_exists");
    assert_eq!(reply.json()["field_errors"]["email"][0], "is already in use");
}

#[tokio::test]
async fn nobody_raises_above_themselves_and_the_last_owner_stays() {
    let edge = Edge::start().await;
    let (login, owner) = edge.staff("owner@example.net", "owner").await;
    let (_, admin) = edge.staff("admin@example.net", "admin").await;
    let owner_path = format!("/api/v1/users/{}", login["user"]["id"].as_str().unwrap());
    let new_owner = json!({ "email": "x@example.net", "role": "owner", "password": PASSWORD });
    assert_eq!(admin.post("/api/v1/users", new_owner).await.refusal(403), "access_denied");
    assert_eq!(admin.patch(&owner_path, json!({ "name": "x" })).await.refusal(403), "access_denied");
    assert_eq!(owner.delete(&owner_path).await.refusal(409), "conflict");
    assert_eq!(owner.patch(&owner_path, json!({ "role": "admin" })).await.refusal(409), "conflict");

    // Two owners cannot remove each other at the same moment.
    let (second, other) = edge.staff("second@example.net", "owner").await;
    let other_path = format!("/api/v1/users/{}", second["user"]["id"].as_str().unwrap());
    let (a, b) = tokio::join!(owner.delete(&other_path), other.delete(&owner_path));
    let done = [a.status, b.status].iter().filter(|status| **status == 200).count();
    assert_eq!(done, 1, "{} {}", a.status, b.status);
}

#[tokio::test]
async fn a_new_password_or_role_ends_all_visits_of_that_account() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let (login, tola) = edge.staff("tola@example.net", "cashier").await;
    let path = format!("/api/v1/users/{}", login["user"]["id"].as_str().unwrap());
    edge.hand.advance(Duration::from_secs(1));
    owner.patch(&path, json!({ "role": "technician" })).await.expect(200);
    tola.get("/api/v1/auth/me").await.expect(401);
    refresh(&edge, &login["refresh_token"]).await.expect(401);

    let (_, tola) = edge.login("tola@example.net").await;
    edge.hand.advance(Duration::from_secs(1));
    let wrong = json!({ "current_password": "not it at all", "new_password": "another long one" });
    let fault = tola.post("/api/v1/auth/change-password", wrong).await.expect(422);
    assert_eq!(fault["field_errors"]["current_password"][0], "is wrong");
    let right = json!({ "current_password": PASSWORD, "new_password": "another long one" });
    tola.post("/api/v1/auth/change-password", right).await.expect(200);
    tola.get("/api/v1/auth/me").await.expect(401);
    try_login(&edge.client, "tola@example.net", PASSWORD).await.expect(401);
    try_login(&edge.client, "tola@example.net", "another long one").await.expect(200);
}

#[tokio::test]
async fn a_repeat_with_the_same_key_gets_the_same_answer_and_changes_nothing() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let keyed = owner.header("Idempotency-Key", "one-and-only");
    let body = json!({ "email": "tola@example.net", "role": "cashier" });
    let first = keyed.post("/api/v1/users", body.clone()).await;
    let again = keyed.post("/api/v1/users", body.clone()).await;
    assert!(first.expect(201)["generated_password"].is_string());
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(owner.get("/api/v1/users").await.expect(200)["total"], 2);

    let other = json!({ "email": "other@example.net", "role": "cashier" });
    assert_eq!(keyed.post("/api/v1/users", other).await.refusal(422), "idempotency_key_reused");
    let long = owner.header("Idempotency-Key", &"x".repeat(201));
    assert_eq!(long.post("/api/v1/users", body.clone()).await.refusal(400), "bad_request");
    // Keys are the actor's own.
    let (_, second) = edge.staff("second@example.net", "owner").await;
    let reply = second.header("Idempotency-Key", "one-and-only").post("/api/v1/users", body).await;
    assert_eq!(reply.refusal(409), "already_exists");
}

#[tokio::test]
async fn repeats_at_the_same_moment_make_one_account_and_one_answer() {
    let edge = Edge::start().await;
    let (_, owner) = edge.staff("owner@example.net", "owner").await;
    let keyed = owner.header("Idempotency-Key", "at-once");
    let asked =
        (0..10).map(|_| keyed.post("/api/v1/users", json!({ "email": "t@example.net", "role": "cashier" })));
    let answers = join(asked).await;
    for answer in &answers {
        assert_eq!(answer.expect(201), answers[0].expect(201));
    }
    assert_eq!(owner.get("/api/v1/users").await.expect(200)["total"], 2);
}

#[tokio::test]
async fn of_fifty_claims_at_once_one_makes_the_admin() {
    let edge = Edge::start().await;
    let now = edge.app.clock.now();
    let code = edge.app.people.offer_claim(now).await.unwrap().unwrap();
    let code = code.expose_text().unwrap().to_owned();
    assert_eq!(edge.client.get("/api/v1/auth/admin-status").await.expect(200)["setup_required"], true);
    let body = |n: usize| json!({ "claim": code, "email": format!("a{n}@example.net"), "name": "A", "password": PASSWORD });
    let wrong = json!({ "claim": "AAAAA", "email": "a@example.net", "password": PASSWORD });
    assert_eq!(edge.client.post("/api/v1/auth/create-admin", wrong).await.refusal(403), "access_denied");

    let asked = (0..50).map(|n| edge.client.post("/api/v1/auth/create-admin", body(n)));
    let answers = join(asked).await;
    let made: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(made[0].json()["role"], "owner");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(answer.refusal(409), "conflict");
    }
    assert_eq!(edge.console.get("/api/v1/users").await.expect(200)["total"], 1);
    let status = edge.client.get("/api/v1/setup/status").await.expect(200);
    assert_eq!(
        (status["admin_exists"].clone(), status["setup_required"].clone()),
        (json!(true), json!(false))
    );
    assert!(edge.app.people.offer_claim(now).await.unwrap().is_none());
    let email = made[0].json()["email"].as_str().unwrap().to_owned();
    edge.login(&email).await;
}

#[tokio::test]
async fn who_guesses_is_slowed_down_and_locks_nobody_else_out() {
    let edge = Edge::start().await;
    edge.staff("victim@example.net", "owner").await;
    let good = try_login(&edge.client, "victim@example.net", PASSWORD).await;
    let cookie = good.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
    let known = edge.client.header("Cookie", cookie.split(';').next().unwrap());

    let mut slowed = None;
    for _ in 0..10 {
        let reply = try_login(&edge.client, "victim@example.net", "guess after guess").await;
        if reply.status == 429 {
            slowed = Some(reply);
        }
    }
    let slowed = slowed.expect("guessing is not slowed down");
    assert_eq!(slowed.refusal(429), "rate_limit_exceeded");
    assert!(slowed.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    assert_eq!(slowed.json()["retryable"], true);
    // From the very same address: the device that is known is let in.
    try_login(&known, "victim@example.net", PASSWORD).await.expect(200);
    // A cookie that somebody made up is nobody's.
    let forged = edge.client.header("Cookie", &cookie.split(';').next().unwrap().replace('.', ".A"));
    try_login(&forged, "victim@example.net", PASSWORD).await.expect(429);
    // And whoever waits is let in again.
    edge.hand.advance(Duration::from_secs(120));
    try_login(&edge.client, "victim@example.net", PASSWORD).await.expect(200);
}

#[tokio::test]
async fn another_tenants_client_is_told_so() {
    let edge = Edge::with(Vec::new(), Some("acme")).await;
    edge.client.header("X-Tenant-ID", "acme").get("/api/v1/setup/status").await.expect(200);
    let other = edge.client.header("X-Tenant-ID", "other").get("/api/v1/setup/status").await;
    assert_eq!(other.refusal(403), "wrong_tenant");
    let none = Edge::start().await;
    none.client.header("X-Tenant-ID", "any").get("/api/v1/setup/status").await.expect(200);
}

#[tokio::test]
async fn the_surface_answers_in_its_shapes_whatever_is_asked() {
    let edge = Edge::start().await;
    let unknown = edge.client.get("/api/v1/nothing").await;
    assert_eq!(unknown.refusal(404), "unknown_path");
    assert_eq!(unknown.json()["request_id"].as_str(), unknown.header("x-request-id"));
    let named = edge.client.header("X-Request-ID", "mine-1").get("/health").await;
    assert_eq!(
        (named.header("x-request-id"), named.header("x-correlation-id")),
        (Some("mine-1"), Some("mine-1"))
    );
    assert_eq!(named.header("x-content-type-options"), Some("nosniff"));
    edge.client.get("/ready").await.expect(200);

    let text = edge.client.send_bytes(Method::POST, LOGIN, "text/plain", Some(b"{}".to_vec())).await;
    assert_eq!(text.refusal(415), "unsupported_media_type");
    let broken = edge.client.send_bytes(Method::POST, LOGIN, "application/json", Some(b"{".to_vec())).await;
    assert_eq!(broken.refusal(400), "malformed_json");
    let large =
        edge.client.send_bytes(Method::POST, LOGIN, "application/json", Some(vec![b' '; 65_537])).await;
    assert_eq!(large.refusal(413), "body_too_large");
    let native =
        edge.client.header("Accept", "application/vnd.dotmac.edge+json").get("/api/v1/nothing").await;
    assert!(native.json().get("error").is_none());

    let docs = edge.client.get("/docs").await;
    assert!(String::from_utf8(docs.body.clone()).unwrap().contains("/api/v1/auth/login"));
    assert!(docs.header("content-security-policy").unwrap().contains("style-src 'sha256-"));
    let api = edge.client.get("/openapi.json").await.expect(200);
    assert_eq!(api["paths"]["/api/v1/users"]["post"]["security"][0]["bearer"], json!([]));
    assert_eq!(api["components"]["schemas"]["UserCreate"]["type"], "object");
    let head = edge.client.send(Method::HEAD, "/health", None).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    // The customer app's prefix.
    edge.client.get("/api/isp/v1/setup/status").await.expect(200);
}

#[tokio::test]
async fn a_licence_that_is_not_there_limits_nothing() {
    let edge = Edge::start().await;
    let licence = edge.console.get("/api/v1/system/license").await.expect(200);
    assert_eq!((licence["status"].clone(), licence["limited"].clone()), (json!("none"), json!(false)));
}

#[tokio::test]
async fn a_peer_that_withholds_its_head_is_dropped() {
    let edge = Edge::start().await;
    let mut stream = tokio::net::TcpStream::connect(edge.address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\n").await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(8), stream.read_to_end(&mut answer)).await;
    assert!(ended.is_ok(), "still open after 8 s");
}

#[tokio::test]
async fn a_closing_door_lets_requests_under_way_end() {
    let (begun, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, outside) = (Arc::clone(&begun), Arc::clone(&go));
    let slow = Route::get("/slow", Access::Public, "Waits", move |_, _| {
        let (begun, go) = (Arc::clone(&inside), Arc::clone(&outside));
        async move {
            begun.notify_one();
            go.notified().await;
            Ok(Answer::empty())
        }
    });
    let edge = Edge::with(vec![slow], None).await;
    let client = edge.client.clone();
    let asked = tokio::spawn(async move { client.get("/slow").await });
    begun.notified().await;
    edge.stop.cancel();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(tokio::net::TcpStream::connect(edge.address).await.is_err(), "the door is still open");
    go.notify_one();
    assert_eq!(asked.await.unwrap().status, 204);
}

async fn join<F>(asked: impl Iterator<Item = F>) -> Vec<Reply>
where
    F: Future<Output = Reply>,
{
    // All futures are polled together, so that all are under way at once.
    let mut waiting: Vec<_> = asked.map(Box::pin).map(Some).collect();
    let mut replies: Vec<Option<Reply>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (place, reply) in waiting.iter_mut().zip(&mut replies) {
            if let Some(future) = place
                && let std::task::Poll::Ready(answer) = future.as_mut().poll(context)
            {
                *reply = Some(answer);
                *place = None;
            }
        }
        if waiting.iter().all(Option::is_none) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    replies.into_iter().flatten().collect()
}

#[tokio::test]
async fn a_list_of_customers_follows_every_change_and_the_clock() {
    let edge = Edge::start().await;
    let plan = json!({ "plan_code": "day", "name": "Day", "service_type": "internet", "monthly_price": "0",
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps", "validity_hours": 24 });
    edge.console.post("/api/v1/service-plans", plan).await.expect(201);
    let totals = async |query: &str| {
        let found = edge.console.get(&format!("/api/v1/customers?{query}")).await.expect(200);
        let items = found["items"].as_array().unwrap();
        let mut numbers: Vec<_> =
            items.iter().map(|one| one["customer_number"].as_str().unwrap().to_owned()).collect();
        assert_eq!(found["total"], numbers.len());
        // Two that were entered in the same millisecond come in either order.
        numbers.sort();
        numbers
    };
    let enter = async |number: &str, first: &str| {
        let body = json!({ "customer_number": number, "first_name": first, "last_name": "Obi" });
        edge.console.post("/api/v1/customers", body).await.expect(201)
    };
    // The lists are looked at before, so that what follows is followed and not read afresh.
    assert!(totals("status=active").await.is_empty() && totals("search=obi").await.is_empty());
    let ada = enter("N1", "Ada").await;
    enter("N2", "Bola").await;
    assert_eq!(
        (totals("search=obi").await, totals("search=N2").await),
        (vec!["N1".into(), "N2".into()], vec!["N2".into()])
    );
    assert_eq!((totals("status=new").await.len(), totals("").await.len()), (2, 2));

    let body = json!({ "customer_id": ada["id"], "plan_code": "day" });
    let service = edge.console.post("/api/v1/services", body).await.expect(201);
    edge.app.catalogue.provisioning.resume_open_tasks(&edge.app.clock).await.unwrap();
    let of = |name: &str| format!("/api/v1/services/{}/{name}", service["id"].as_str().unwrap());
    let begun = edge.console.post(&of("provision"), json!({})).await;
    assert!(begun.status < 300, "{}", begun.status);
    edge.app.catalogue.provisioning.resume_open_tasks(&edge.app.clock).await.unwrap();
    assert_eq!(
        (totals("status=active").await, totals("status=new").await),
        (vec!["N1".to_owned()], vec!["N2".to_owned()])
    );
    let lock = json!({ "reason": "admin", "mode": "hard_reject" });
    edge.console.post(&of("suspend"), lock).await.expect(200);
    assert_eq!(
        (totals("status=active").await.len(), totals("status=suspended").await),
        (0, vec!["N1".to_owned()])
    );
    edge.console.post(&of("resume"), json!({ "reason": "admin" })).await.expect(200);
    assert_eq!(totals("status=active&search=ada").await, ["N1"]);
    // Nothing is written when a paid day ends, and the list knows.
    edge.hand.advance(Duration::from_secs(24 * 3_600));
    assert_eq!(
        (totals("status=active").await.len(), totals("status=suspended").await),
        (0, vec!["N1".to_owned()])
    );

    let path = format!("/api/v1/customers/{}", ada["id"].as_str().unwrap());
    edge.console.patch(&path, json!({ "first_name": "Eve" })).await.expect(200);
    assert_eq!((totals("search=ada").await.len(), totals("search=EVE").await), (0, vec!["N1".to_owned()]));
    edge.console.delete(&path).await.expect(200);
    assert_eq!(totals("status=disabled").await, ["N1"]);
    assert!(totals("status=suspended").await.is_empty());
}
