//! A phone at a real gateway gets online by a card: the form, the scanned link, the way back, and the moment in
//! which its voucher is taken back.

#![allow(clippy::print_stdout)]
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/gateway_lab.rs"]
mod gateway_lab;
#[path = "support/http.rs"]
mod http;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/process.rs"]
mod process;

use std::time::{Duration, Instant};

use gateway_lab::{GatewayLab, PORTAL, Page};
use netns::Namespace;
use process::PATIENCE;
use serde_json::{Value, json};

/// Cards of one batch.
fn cards(lab: &GatewayLab, count: u32) -> (String, Vec<Value>) {
    let wish = json!({ "name": "Kiosk", "plan": "day", "count": count });
    let made = lab.post("/api/v1/voucher-batches", wish).expect(201);
    let path = format!("/api/v1/voucher-batches/{}", made["id"].as_str().unwrap());
    let until = Instant::now() + PATIENCE;
    while lab.get(&path).expect(200)["status"] != "ready" {
        assert!(Instant::now() < until);
        std::thread::sleep(Duration::from_millis(20));
    }
    let opened = lab.post(&format!("{path}/codes"), json!({})).expect(200);
    (path, opened["codes"].as_array().unwrap().clone())
}

fn code(card: &Value) -> &str {
    card["code"].as_str().unwrap()
}

/// Sends the form of a page, as a browser does; the page after the redirects.
fn send(lab: &GatewayLab, from: &Namespace, shown: &Page, field: &str) -> Page {
    let url = format!("https://{PORTAL}/voucher");
    let token = format!("form_token={}", shown.hidden("form_token"));
    lab.curl(from, &["-e", &url, "-L", "--data-urlencode", &token, "--data-urlencode", field, &url])
}

fn type_in(lab: &GatewayLab, from: &Namespace, typed: &str) -> Page {
    let shown = lab.curl(from, &[&format!("https://{PORTAL}/voucher")]);
    assert_eq!(shown.status, 200, "{shown:?}");
    send(lab, from, &shown, &format!("code={typed}"))
}

#[test]
fn a_card_brings_a_phone_online_and_taking_it_back_cuts_it() {
    let lab = GatewayLab::new();
    lab.free_plan("day", 20, 5, &json!({ "validity_hours": 24, "device_limit": 1 }));
    let (_, cards) = cards(&lab, 3);
    let (phone, other) = (&lab.world.phone, &lab.world.other);
    assert!(!lab.is_online(phone));

    // The scanned link fills the form in and uses nothing.
    let link = format!("https://{PORTAL}/voucher?code={}", code(&cards[0]));
    let shown = lab.curl(phone, &[&link]);
    assert!(shown.status == 200 && shown.body.contains(code(&cards[0])), "{shown:?}");
    assert!(!lab.is_online(phone));
    assert_eq!(lab.get("/api/v1/vouchers?state=active").expect(200)["total"], 0);
    let evil = lab.curl(phone, &[&format!("https://{PORTAL}/voucher?code=%22%3E%3Cscript%3Ealert(1)")]);
    assert!(!evil.body.contains("<script"), "{evil:?}");

    let began = Instant::now();
    let done = send(&lab, phone, &shown, &format!("code={}", code(&cards[0]).to_lowercase()));
    assert!(done.status == 200 && done.body.contains("You are online"), "{done:?}");
    println!("from the button to packets: {:?}", began.elapsed());
    assert!(lab.is_online(phone));

    // Another phone with the same card: the plan is for one device.
    let full = type_in(&lab, other, code(&cards[0]));
    assert!(full.body.contains("Too many devices") && !lab.is_online(other), "{full:?}");

    // It comes back without typing, by its cookie; and from a browser that forgot, by its card.
    let left = lab.curl(phone, &[&format!("https://{PORTAL}/status")]);
    let token = format!("form_token={}", left.hidden("form_token"));
    lab.curl(phone, &["-e", &link, "-L", "--data-urlencode", &token, &format!("https://{PORTAL}/logout")]);
    assert!(!lab.is_online(phone));
    let again = type_in(&lab, phone, code(&cards[0]));
    assert!(again.body.contains("You are online") && lab.is_online(phone), "{again:?}");

    let serial = cards[0]["serial"].as_str().unwrap();
    let began = Instant::now();
    lab.post(&format!("/api/v1/vouchers/{serial}/revoke"), json!({ "reason": "lost" })).expect(200);
    let took = began.elapsed();
    assert!(!lab.is_online(phone), "no packet passes once it was answered");
    println!("a revocation took {took:?}");
    let refused = type_in(&lab, phone, code(&cards[0]));
    assert!(refused.status == 422 && refused.body.contains("does not count any more"), "{refused:?}");
}

#[test]
fn a_batch_that_is_taken_back_cuts_everybody_and_guessing_is_told_to_wait() {
    let lab = GatewayLab::new();
    lab.free_plan("day", 20, 5, &json!({ "validity_hours": 24 }));
    let (batch, cards) = cards(&lab, 3);
    let (phone, other) = (&lab.world.phone, &lab.world.other);
    for (place, card) in [(phone, &cards[0]), (other, &cards[1])] {
        let done = type_in(&lab, place, code(card));
        assert!(done.body.contains("You are online") && lab.is_online(place), "{done:?}");
    }
    lab.post(&format!("{batch}/revoke"), json!({})).expect(200);
    let until = Instant::now() + Duration::from_secs(5);
    while lab.is_online(phone) || lab.is_online(other) {
        assert!(Instant::now() < until, "a revoked batch is cut within seconds");
        std::thread::sleep(Duration::from_millis(50));
    }

    lab.forget_cookies(phone);
    for last in ["A", "B", "C", "D", "E"] {
        let wrong = type_in(&lab, phone, &format!("ABCD-EFGH-JKM{last}"));
        assert!(wrong.status == 422 && wrong.body.contains("We do not know this code"), "{wrong:?}");
    }
    let locked = type_in(&lab, phone, "ABCD-EFGH-JKMF");
    assert!(locked.status == 429 && locked.body.contains("Please wait"), "{locked:?}");
    let empty = type_in(&lab, other, "12");
    assert!(empty.status == 422 && empty.body.contains("twelve letters and digits"), "{empty:?}");
}
