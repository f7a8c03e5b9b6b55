//! Paid means online, at a real gateway with a real phone: whoever brings the money, and whatever is killed on the way.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]
#![allow(clippy::print_stdout)]

#[path = "support/gateway_lab.rs"]
mod gateway_lab;
#[path = "support/http.rs"]
mod http;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/process.rs"]
mod process;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gateway_lab::{GatewayLab, PROBE};
use serde_json::{Value, json};

const EMAIL: &str = "ada.obi@example.net";
/// What a healthy box takes at most from money to packets.
const HEALTHY: Duration = Duration::from_secs(2);
/// What it takes at most after it was killed on the way.
const AFTER_A_CRASH: Duration = Duration::from_secs(5);

fn prepaid(lab: &GatewayLab, code: &str, price: &str) -> Value {
    let plan = json!({
        "plan_code": code, "name": "A week", "service_type": "internet", "monthly_price": price,
        "download_speed": 20, "upload_speed": 5, "billing_mode": "prepaid", "validity_days": 7,
    });
    lab.post("/api/v1/service-plans", plan).expect(201)
}

/// Until the phone is, or is not, online; how long that took.
fn until_online(lab: &GatewayLab, wanted: bool, within: Duration) -> Duration {
    let began = Instant::now();
    let passes = |family: &str| lab.phone_curl(&[family, PROBE]).status == 204;
    while passes("-4") != wanted || passes("-6") != wanted {
        let took = began.elapsed();
        assert!(took < within, "after {took:?} online is not {wanted}:\n{}", lab.place.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    began.elapsed()
}

#[test]
fn a_phone_that_signed_up_is_online_within_two_seconds_of_the_cashiers_receipt() {
    let lab = GatewayLab::new();
    prepaid(&lab, "week", "500.00");
    let confirmed = lab.join(&lab.world.phone, EMAIL, "week");
    assert_eq!(confirmed.answer["outcome"], "awaits_payment", "{}", confirmed.answer);
    assert!(!lab.is_online(&lab.world.phone));
    let service = confirmed.answer["service_id"].as_str().unwrap();
    let money = json!({ "service_id": service, "amount": "500.00", "payment_method": "cash" });
    let paid = lab.post("/api/v1/payments", money).expect(201);
    let first = until_online(&lab, true, HEALTHY);
    println!("from the cashier's receipt to packets: {first:?}");
    let refund = json!({ "reason": "another week" });
    lab.post(&format!("/api/v1/payments/{}/refund", paid["id"].as_str().unwrap()), refund).expect(200);
    until_online(&lab, false, HEALTHY);
    let again = json!({ "service_id": service, "amount": "500.00", "payment_method": "cash" });
    lab.post("/api/v1/payments", again).expect(201);
    println!("the second time: {:?}", until_online(&lab, true, HEALTHY));
    let proof = lab.get("/api/v1/ledger/proof").expect(200);
    assert_eq!(proof["is_right"], true, "{proof}");
}

/// Sends a payment on its way and does not wait for the answer.
fn send(lab: &GatewayLab, key: &str, money: &Value) -> std::process::Child {
    let socket = lab.place.path("control.sock");
    Command::new("curl")
        .args(["-s", "-m", "5", "--unix-socket"])
        .arg(socket)
        .args(["-H", "content-type: application/json", "-H", &format!("idempotency-key: {key}")])
        .args(["-d", &money.to_string(), "http://box/api/v1/payments"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// `MONEY_CRASHES=100` kills as often; CI does some.
#[test]
fn killed_anywhere_between_money_and_packets_it_converges_within_five_seconds_and_charges_once() {
    let crashes: u64 = std::env::var("MONEY_CRASHES").map_or(6, |text| text.parse().unwrap());
    let mut lab = GatewayLab::new();
    prepaid(&lab, "week", "500.00");
    let confirmed = lab.join(&lab.world.phone, EMAIL, "week");
    let service = confirmed.answer["service_id"].as_str().unwrap().to_owned();
    let money = json!({ "service_id": service, "amount": "500.00", "payment_method": "cash" });
    let mut slowest = Duration::ZERO;
    for round in 0..crashes {
        let key = format!("round-{round}");
        let sent = send(&lab, &key, &money);
        // From before the request is read to after the phone is online, a little later each time.
        std::thread::sleep(Duration::from_millis(round * 97 % 101));
        lab.kill();
        drop(sent.wait_with_output());
        lab.start();
        let began = Instant::now();
        let answer = send(&lab, &key, &money).wait_with_output().unwrap();
        let paid: Value = serde_json::from_slice(&answer.stdout).unwrap();
        assert_eq!(paid["status"], "succeeded", "{paid}");
        until_online(&lab, true, AFTER_A_CRASH);
        slowest = slowest.max(began.elapsed());
        let refund = json!({ "reason": "the next round" });
        lab.post(&format!("/api/v1/payments/{}/refund", paid["id"].as_str().unwrap()), refund).expect(200);
        until_online(&lab, false, AFTER_A_CRASH);
    }
    let listed = lab.get("/api/v1/payments?limit=500").expect(200);
    assert_eq!(listed["total"], crashes, "one payment a round: {listed}");
    let items = listed["items"].as_array().unwrap();
    assert!(items.iter().all(|one| one["status"] == "refunded"));
    let proof = lab.get("/api/v1/ledger/proof").expect(200);
    assert_eq!((&proof["is_right"], proof["faults"].as_array().unwrap().len()), (&json!(true), 0));
    println!("{crashes} crashes; the slowest from restart to packets: {slowest:?}");
}
