//! What guards money and secrets: second factors of staff, programs' keys, and the reason that is kept, by
//! real requests over a real port.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use support::edge::{Edge, PASSWORD};
use support::http::Client;
use totp_rs::Builder;

const LOGIN: &str = "/api/v1/auth/login";
const KEYS: &str = "/api/v1/api-keys";

/// What the app of a telephone shows at the clock's time.
fn code_now(edge: &Edge, secret: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let bits: String = secret.chars().map(|c| format!("{:05b}", alphabet.find(c).unwrap())).collect();
    let octets: Vec<u8> = bits
        .as_bytes()
        .chunks(8)
        .map(|b| u8::from_str_radix(std::str::from_utf8(b).unwrap(), 2).unwrap())
        .collect();
    let octets: [u8; 20] = octets.try_into().unwrap();
    let seconds = u64::try_from(edge.app.clock.now().as_second()).unwrap();
    Builder::new().with_secret(octets).build().unwrap().generate(seconds).to_string()
}

fn next_step(edge: &Edge) {
    edge.hand.advance(Duration::from_secs(31));
}

/// What a camera reads of a code that is drawn as an SVG image: its dark runs as pixels, for zbarimg.
fn scanned(svg: &str) -> String {
    assert!(svg.starts_with("<svg xmlns=") && !svg.contains("href") && !svg.contains("script"), "{svg}");
    let after = |mark: &str| svg.split(mark).nth(1).unwrap().split('"').next().unwrap().to_owned();
    let side: usize = after("viewBox=\"0 0 ").split(' ').next().unwrap().parse().unwrap();
    let (scale, mut pixels) = (8, vec![255_u8; side * 8 * side * 8]);
    for run in after("fill=\"#000\" d=\"").split('M').filter(|run| !run.is_empty()) {
        let (at, drawn) = run.split_once('h').unwrap();
        let (x, y) = at.split_once(' ').unwrap();
        let (x, y): (usize, usize) = (x.parse().unwrap(), y.parse().unwrap());
        let long: usize = drawn.split('v').next().unwrap().parse().unwrap();
        assert_eq!(drawn, format!("{long}v1h-{long}z"));
        for row in y * scale..(y + 1) * scale {
            let from = row * side * scale + x * scale;
            pixels[from..from + long * scale].fill(0);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("code.pgm");
    let mut image = format!("P5 {0} {0} 255\n", side * scale).into_bytes();
    image.extend(pixels);
    std::fs::write(&path, image).unwrap();
    let said = std::process::Command::new("zbarimg").args(["--quiet", "--raw"]).arg(&path).output();
    String::from_utf8(said.expect("zbarimg; run .ci/deps").stdout).unwrap().trim().to_owned()
}

/// Enrols whoever this client is: the secret and the recovery codes.
async fn enrol(edge: &Edge, who: &Client) -> (String, Vec<String>) {
    let made = who.post("/api/v1/auth/mfa/setup", json!({ "current_password": PASSWORD })).await.expect(200);
    let secret = made["secret"].as_str().unwrap().to_owned();
    let link = made["otpauth_uri"].as_str().unwrap();
    assert!(link.starts_with("otpauth://totp/Lekki%20POP%201:") && link.contains(&secret), "{link}");
    assert_eq!(scanned(made["qr_svg"].as_str().unwrap()), link, "a camera reads the same link");
    let confirmed = who.post("/api/v1/auth/mfa/confirm", json!({ "code": code_now(edge, &secret) })).await;
    let codes = confirmed.expect(200)["recovery_codes"].as_array().unwrap().clone();
    (secret, codes.iter().map(|code| code.as_str().unwrap().to_owned()).collect())
}

async fn log_in(edge: &Edge, email: &str, code: Option<&str>) -> support::http::Reply {
    edge.client.post(LOGIN, json!({ "email": email, "password": PASSWORD, "mfaCode": code })).await
}

fn bearer(edge: &Edge, login: &Value) -> Client {
    edge.client.token(login["access_token"].as_str().unwrap())
}

#[tokio::test]
async fn a_login_with_a_second_factor_takes_both_steps_and_a_code_counts_once() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("ada@example.net", "owner").await;
    let (_, elsewhere) = edge.login("ada@example.net").await;
    let wrong = ada.post("/api/v1/auth/mfa/setup", json!({ "current_password": "wrong" })).await;
    assert!(wrong.expect(422)["field_errors"]["current_password"].is_array());
    assert_eq!(ada.get("/api/v1/auth/mfa").await.expect(200)["enrolled"], false);
    let (secret, codes) = enrol(&edge, &ada).await;
    assert_eq!(codes.len(), 10);
    let standing = ada.get("/api/v1/auth/mfa").await.expect(200);
    assert_eq!((&standing["enrolled"], &standing["recovery_codes_left"]), (&json!(true), &json!(10)));
    assert_eq!(elsewhere.get("/api/v1/auth/me").await.status, 401, "a visit without the factor has ended");
    assert_eq!(ada.post("/api/v1/auth/mfa/setup", json!({ "current_password": PASSWORD })).await.status, 409);

    let asked = log_in(&edge, "ada@example.net", None).await.expect(200);
    assert_eq!(asked["mfa_required"], true);
    assert!(asked.get("access_token").is_none() && asked.get("refresh_token").is_none());
    let verify = async |code: &str| {
        let body = json!({ "mfa_token": asked["mfa_token"], "code": code });
        edge.client.post("/api/v1/auth/mfa/verify", body).await
    };
    assert_eq!(verify("000000").await.refusal(401), "authentication_failed");
    let used = code_now(&edge, &secret);
    assert_eq!(verify(&used).await.refusal(401), "authentication_failed", "it confirmed the factor already");
    next_step(&edge);
    let code = code_now(&edge, &secret);
    let login = verify(&code).await.expect(200);
    assert_eq!(login["mfa_required"], false);
    bearer(&edge, &login).get("/api/v1/auth/me").await.expect(200);
    assert_eq!(verify(&code).await.status, 401, "a code counts once");
    assert_eq!(log_in(&edge, "ada@example.net", Some(&code)).await.status, 401);
    next_step(&edge);
    log_in(&edge, "ada@example.net", Some(&code_now(&edge, &secret))).await.expect(200);

    let recovery = codes[3].to_lowercase().replace('-', "");
    log_in(&edge, "ada@example.net", Some(&recovery)).await.expect(200);
    assert_eq!(
        log_in(&edge, "ada@example.net", Some(&codes[3])).await.status,
        401,
        "so does a recovery code"
    );
    let token = "x".repeat(80);
    let forged = json!({ "mfa_token": token, "code": "123456" });
    assert_eq!(edge.client.post("/api/v1/auth/mfa/verify", forged).await.status, 401);
    edge.hand.advance(Duration::from_secs(301));
    assert_eq!(verify(&code_now(&edge, &secret)).await.status, 401, "five minutes are over");
}

#[tokio::test]
async fn of_two_logins_with_one_code_at_the_same_moment_one_is_let_in() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("ada@example.net", "owner").await;
    let (secret, _) = enrol(&edge, &ada).await;
    next_step(&edge);
    let code = code_now(&edge, &secret);
    let attempts = (0..4).map(|_| log_in(&edge, "ada@example.net", Some(&code)));
    let answers = futures_of(attempts.collect()).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
}

/// All of these at once; their statuses.
async fn futures_of<F: Future<Output = support::http::Reply>>(all: Vec<F>) -> Vec<u16> {
    let mut all: Vec<_> = all.into_iter().map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| match one.as_mut().poll(context) {
            std::task::Poll::Ready(reply) => {
                done.push(reply.status);
                false
            }
            std::task::Poll::Pending => true,
        });
        if all.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}

#[tokio::test]
async fn codes_cannot_be_guessed_at_speed() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("ada@example.net", "owner").await;
    let (secret, _) = enrol(&edge, &ada).await;
    next_step(&edge);
    for _ in 0..5 {
        let tried = ada.post("/api/v1/auth/mfa/step-up", json!({ "code": "000000" })).await;
        assert!(tried.expect(422)["field_errors"]["code"].is_array());
    }
    let right = json!({ "code": code_now(&edge, &secret) });
    let held = ada.post("/api/v1/auth/mfa/step-up", right).await;
    assert_eq!((held.refusal(429).as_str(), held.header("retry-after")), ("rate_limit_exceeded", Some("60")));
    edge.hand.advance(Duration::from_secs(60));
    ada.post("/api/v1/auth/mfa/step-up", json!({ "code": code_now(&edge, &secret) })).await.expect(200);
}

#[tokio::test]
async fn money_and_secrets_ask_for_the_factor_again_after_a_quarter_of_an_hour() {
    let edge = Edge::start().await;
    let (login, ada) = edge.staff("ada@example.net", "owner").await;
    let new_key = json!({ "name": "export", "scopes": ["customers:read"] });
    ada.post(KEYS, new_key.clone()).await.expect(201);
    let (secret, _) = enrol(&edge, &ada).await;
    ada.post(KEYS, new_key.clone()).await.expect(201);
    edge.hand.advance(Duration::from_secs(901));
    let body = json!({ "refresh_token": login["refresh_token"] });
    let ada = bearer(&edge, &edge.client.post("/api/v1/auth/refresh", body).await.expect(200));
    ada.get(KEYS).await.expect(200);
    let refused = ada.post(KEYS, new_key.clone()).await;
    assert_eq!(refused.refusal(403), "mfa_required");
    assert_eq!(refused.json()["details"]["next"], "/api/v1/auth/mfa/step-up");
    let fresh = ada.post("/api/v1/auth/mfa/step-up", json!({ "code": code_now(&edge, &secret) })).await;
    assert_eq!(fresh.expect(200)["fresh_until"], "2026-03-01T08:30:01.000Z");
    ada.post(KEYS, new_key).await.expect(201);
}

#[tokio::test]
async fn who_lost_their_telephone_is_helped_by_whoever_may_manage_them() {
    let edge = Edge::start().await;
    let (owner, ada) = edge.staff("ada@example.net", "owner").await;
    let (admin, other) = edge.staff("admin@example.net", "admin").await;
    enrol(&edge, &ada).await;
    let path = |login: &Value| format!("/api/v1/users/{}/mfa", login["user"]["id"].as_str().unwrap());
    assert_eq!(other.delete(&path(&owner)).await.refusal(403), "access_denied", "no admin disarms an owner");
    assert_eq!(log_in(&edge, "ada@example.net", None).await.expect(200)["mfa_required"], true);
    enrol(&edge, &other).await;
    assert_eq!(ada.delete(&path(&admin)).await.expect(200)["mfa_enabled"], false);
    edge.console.delete(&path(&owner)).await.expect(200);
    assert_eq!(log_in(&edge, "ada@example.net", None).await.expect(200)["mfa_required"], false);
    let log = edge.console.get("/api/v1/audit?action=staff.second_factor_reset").await.expect(200);
    assert_eq!(log["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_site_may_ask_a_second_factor_of_everybody_and_still_lets_them_set_one_up() {
    let edge = Edge::demanding_a_second_factor().await;
    let (_, ada) = edge.staff("ada@example.net", "owner").await;
    let refused = ada.get("/api/v1/customers").await;
    assert_eq!(refused.refusal(403), "mfa_required");
    assert_eq!(refused.json()["details"]["next"], "/api/v1/auth/mfa/setup");
    enrol(&edge, &ada).await;
    ada.get("/api/v1/customers").await.expect(200);
}

#[tokio::test]
async fn a_program_may_do_what_its_scopes_say_until_it_is_revoked() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("ada@example.net", "owner").await;
    let make = async |scopes: Value, more: Value| {
        let mut body = json!({ "name": "billing export", "scopes": scopes });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ada.post(KEYS, body).await
    };
    let made = make(json!(["customers:read", "customers:write"]), json!({})).await.expect(201);
    let key = made["key"].as_str().unwrap();
    assert!(key.starts_with(made["prefix"].as_str().unwrap()));
    let by_header = edge.client.header("x-api-key", key);
    let by_bearer = edge.client.token(key);
    for program in [&by_header, &by_bearer] {
        program.get("/api/v1/customers").await.expect(200);
        let denied = program.get("/api/v1/services").await;
        assert_eq!(denied.refusal(403), "access_denied");
        assert!(denied.json()["message"].as_str().unwrap().contains("services:read"));
        assert_eq!(program.get("/api/v1/auth/mfa").await.status, 403);
    }
    let person = json!({ "email": "eve@example.net", "first_name": "Eve", "last_name": "Obi" });
    by_header
        .header("x-reason", "moved from the old box")
        .post("/api/v1/customers", person)
        .await
        .expect(201);
    let log = ada.get("/api/v1/audit?subject_kind=customer").await.expect(200);
    let entry = &log["items"][0];
    assert_eq!(entry["actor"], format!("key:{}", made["id"].as_str().unwrap()));
    assert_eq!(
        (&entry["actor_name"], &entry["why"]),
        (&json!("billing export"), &json!("moved from the old box"))
    );

    let listed = ada.get(KEYS).await.expect(200);
    assert_eq!(listed["items"][0]["last_used_at"], "2026-03-01T08:00:00.000Z");
    assert!(!listed.to_string().contains(key), "a key is shown once");
    let revoked = ada.delete(&format!("{KEYS}/{}", made["id"].as_str().unwrap())).await.expect(200);
    assert_eq!(revoked["status"], "revoked");
    assert_eq!(by_header.get("/api/v1/customers").await.refusal(401), "authentication_required");

    let nothing = make(json!([]), json!({})).await.expect(201);
    let nothing = edge.client.token(nothing["key"].as_str().unwrap());
    assert_eq!(nothing.get("/api/v1/customers").await.status, 403, "a key without scopes may do nothing");
    let soon =
        make(json!(["services:read"]), json!({ "expires_at": "2026-03-01T09:00:00Z" })).await.expect(201);
    let soon = edge.client.token(soon["key"].as_str().unwrap());
    soon.get("/api/v1/services").await.expect(200);
    edge.hand.advance(Duration::from_secs(3_600));
    assert_eq!(soon.get("/api/v1/services").await.status, 401);
}

#[tokio::test]
async fn nobody_gives_a_program_what_they_may_not_or_what_only_people_do() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("ada@example.net", "owner").await;
    for scope in ["users:write", "api-keys:write", "api-keys:read", "system:write", "no:such", ""] {
        let refused = ada.post(KEYS, json!({ "name": "x", "scopes": [scope] })).await;
        assert!(refused.expect(422)["field_errors"]["scopes"].is_array(), "{scope}");
    }
    let past = json!({ "name": "x", "scopes": [], "expires_at": "2026-01-01T00:00:00Z" });
    assert!(ada.post(KEYS, past).await.expect(422)["field_errors"]["expires_at"].is_array());
    for wrong in ["dek_", "dek_ABCDEFGH_", &format!("dek_ABCDEFGH_{}", "A".repeat(52)), "x"] {
        assert_eq!(
            edge.client.header("x-api-key", wrong).get("/api/v1/customers").await.status,
            401,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_program_that_runs_wild_is_slowed_and_others_are_not() {
    let edge = Edge::start().await;
    let (_, ada) = edge.staff("ada@example.net", "owner").await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let made = ada.post(KEYS, json!({ "name": "x", "scopes": ["services:read"] })).await.expect(201);
        keys.push(edge.client.token(made["key"].as_str().unwrap()));
    }
    for _ in 0..200 {
        keys[0].get("/api/v1/services").await.expect(200);
    }
    let held = keys[0].get("/api/v1/services").await;
    assert_eq!((held.refusal(429).as_str(), held.header("retry-after")), ("rate_limit_exceeded", Some("1")));
    keys[1].get("/api/v1/services").await.expect(200);
    edge.hand.advance(Duration::from_secs(1));
    keys[0].get("/api/v1/services").await.expect(200);
}

#[tokio::test]
async fn rule_25_a_clock_that_jumped_a_year_is_held_until_a_second_source_agrees() {
    let edge = Edge::start().await;
    let (watch, clock) = (&edge.app.billing.watch, &edge.app.clock);
    let holds = || watch.look(clock.now(), clock.monotonic()).is_some();
    let says = |time: String| edge.console.post("/api/v1/dunning/allow", json!({ "time": time }));
    assert!(!holds());
    // A bad answer of a time server: the wall clock is a year ahead, and nothing else is.
    edge.hand.set_ahead(SignedDuration::from_hours(365 * 24));
    assert!(holds() && holds(), "however often it is looked at");
    edge.hand.advance(Duration::from_secs(3_600));
    assert!(holds(), "and however long it lasts");
    for not_a_time in ["tomorrow", "2027-03-01T09:00:00", "2027-03-01"] {
        let refused = says(not_a_time.to_owned()).await.expect(422);
        assert!(refused["field_errors"]["time"].is_array(), "{refused}");
    }
    // Whoever looks at another clock sees the right year, so the box is not believed.
    let refused = says("2026-03-01T09:00:00Z".to_owned()).await.expect(422);
    assert!(refused["field_errors"]["time"][0].as_str().unwrap().contains("more than an hour"), "{refused}");
    assert!(holds());
    // Set right, it is believed at once.
    edge.hand.set_ahead(SignedDuration::ZERO);
    assert!(!holds());
    // It was off for a year indeed, and a person's watch says so: two sources agree.
    edge.hand.set_ahead(SignedDuration::from_hours(365 * 24));
    assert!(holds());
    let near = clock.now() + SignedDuration::from_mins(59);
    says(near.to_string()).await.expect(200);
    assert!(!holds(), "two sources agree");
    edge.hand.advance(Duration::from_secs(86_400));
    assert!(!holds(), "and from then on it goes on as clocks do");
}
