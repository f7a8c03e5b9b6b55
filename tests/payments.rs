//! Whoever pays is credited once, whatever the gateway, the network and the power do: the real daemon against a
//! stand-in that speaks every gateway's dialect and has every gateway's faults.

#![allow(clippy::print_stdout)]
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/http.rs"]
mod http;
#[path = "support/mock_gateway.rs"]
mod mock_gateway;
#[path = "support/process.rs"]
mod process;

use std::time::{Duration, Instant};

use http::Client;
use mock_gateway::{Fault, StandIn};
use process::{Daemon, Place};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// A daemon, a stand-in, and a customer who is logged in.
struct Lab {
    place: Place,
    daemon: Option<Daemon>,
    runtime: Runtime,
    gateway: StandIn,
    customer: String,
    token: String,
}

impl Lab {
    fn open(version: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let gateway = runtime.block_on(StandIn::start());
        let place = Place::new();
        let dir = place.path("edge.toml").parent().unwrap().to_owned();
        let text = format!(
            "{}[portal]\nname = \"portal.example.net\"\n{}",
            place.text(),
            gateway.settings(&dir, version)
        );
        place.configure(&text);
        let daemon = Some(place.start());
        gateway.hooks_to(place.admin);
        let customer = place.post("/api/v1/customers", process::customer("C-77")).expect(201);
        let customer = customer["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/customers/{customer}/reset-portal-password");
        let made = place.post(&path, json!({})).expect(200);
        let login = json!({ "email": "c-77@example.net", "password": made["portal_password"] });
        let client = Client::tcp(place.admin);
        let said = runtime.block_on(client.post("/api/v1/auth/customer/login", login)).expect(200);
        let token = said["access_token"].as_str().unwrap().to_owned();
        Self { place, daemon, runtime, gateway, customer, token }
    }

    fn me(&self) -> Client {
        Client::tcp(self.place.admin).token(&self.token)
    }

    /// Begins to put money into the wallet.
    fn begin(&self, gateway: &str, amount: &str) -> http::Reply {
        let body = json!({ "gateway": gateway, "purchase": { "kind": "wallet", "amount": amount } });
        self.runtime.block_on(self.me().post("/api/v1/customer/payments", body))
    }

    fn reference(&self, gateway: &str, amount: &str) -> String {
        let begun = self.begin(gateway, amount).expect(201);
        assert_eq!(begun["payment"]["status"], "pending", "{begun}");
        assert!(begun["checkout_url"].is_string() || begun["instruction"].is_string(), "{begun}");
        begun["payment"]["reference"].as_str().unwrap().to_owned()
    }

    fn tell(&self, reference: &str) -> Option<u16> {
        self.runtime.block_on(self.gateway.send(&self.gateway.hook(reference)))
    }

    fn payment(&self, reference: &str) -> Value {
        self.place.get(&format!("/api/v1/payments/{reference}")).expect(200)
    }

    fn wallet(&self) -> String {
        let said = self.place.get(&format!("/api/v1/customers/{}/wallet", self.customer)).expect(200);
        said["balance"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    fn await_status(&self, reference: &str, status: &str, within: Duration) -> Duration {
        let began = Instant::now();
        loop {
            let said = self.payment(reference);
            if said["status"] == status {
                return began.elapsed();
            }
            assert!(began.elapsed() < within, "{status} did not come: {said}\n{}", self.place.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The books balance, and the wallet holds this.
    #[track_caller]
    fn expect_wallet(&self, amount: &str) {
        assert_eq!(self.wallet(), amount, "{}", self.place.log());
        let proof = self.place.get("/api/v1/ledger/proof").expect(200);
        assert_eq!(proof["is_right"], true, "{proof}");
    }

    fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    fn start(&mut self) {
        self.daemon = Some(self.place.start());
    }
}

const SOON: Duration = Duration::from_secs(4);
/// The clock asks after 5 s and 15 s.
const BY_CLOCK: Duration = Duration::from_secs(30);

#[test]
fn each_gateway_takes_money_and_tells_of_it_and_a_forged_or_broken_word_counts_nothing() {
    for (version, gateways) in
        [("v3", &["paystack", "flutterwave", "stripe", "mpesa"][..]), ("v4", &["flutterwave_v4"])]
    {
        let lab = Lab::open(version);
        let offered = lab.place.get("/api/v1/payment-gateways").expect(200);
        assert_eq!(offered["total"], 4, "{offered}");
        for (count, gateway) in gateways.iter().enumerate() {
            let reference = lab.reference(gateway, "1500.00");
            // The browser is on the page and nobody has paid: whatever is told, nothing is credited.
            assert_eq!(lab.tell(&reference), Some(200), "{gateway}");
            std::thread::sleep(Duration::from_millis(300));
            assert_eq!(lab.payment(&reference)["status"], "pending");
            lab.gateway.pay(&reference, None);
            let forged = lab.gateway.forged(&reference);
            assert_eq!(lab.runtime.block_on(lab.gateway.send(&forged)), Some(401), "{gateway}");
            assert_eq!(lab.payment(&reference)["status"], "pending", "a forged word is not even a hint");
            // What came before payment and after it are two events only where the gateway names them so.
            lab.tell(&reference);
            let took = lab.await_status(&reference, "succeeded", BY_CLOCK);
            println!("{gateway}: credited {took:?} after the webhook");
            lab.expect_wallet(&format!("{}.00", 1500 * (count + 1)));
        }
    }
}

#[test]
fn a_hundred_webhooks_in_any_order_with_power_cuts_between_commit_and_answer_credit_once() {
    let mut lab = Lab::open("v3");
    let references: Vec<String> = (0..4).map(|_| lab.reference("paystack", "1000.00")).collect();
    for reference in &references {
        lab.gateway.pay(reference, None);
    }
    for round in 0..5 {
        let sent = lab.runtime.block_on(async {
            let mut tasks = tokio::task::JoinSet::new();
            for at in 0..100usize {
                let (gateway, reference) = (lab.gateway.clone(), references[(at * 7 + round) % 4].clone());
                tasks.spawn(async move { gateway.send(&gateway.hook(&reference)).await });
            }
            if round < 4 {
                // The power goes while answers are on their way.
                tokio::time::sleep(Duration::from_millis(15 * (round as u64 + 1))).await;
                lab.daemon.as_ref().unwrap().signal(nix::sys::signal::Signal::SIGKILL);
            }
            let mut answers = Vec::new();
            while let Some(answer) = tasks.join_next().await {
                answers.extend(answer.unwrap());
            }
            answers
        });
        assert!(sent.iter().all(|status| *status == 200), "{sent:?}");
        if round < 4 {
            lab.kill();
            lab.start();
        }
    }
    for reference in &references {
        lab.await_status(reference, "succeeded", BY_CLOCK);
    }
    std::thread::sleep(Duration::from_millis(500));
    lab.expect_wallet("4000.00");
    let all = lab.place.get("/api/v1/payments").expect(200);
    assert_eq!(all["total"], 4, "{all}");
}

#[test]
fn a_box_that_no_webhook_reaches_converges_by_asking_also_through_a_restart() {
    let mut lab = Lab::open("v3");
    let references: Vec<String> = ["paystack", "flutterwave", "stripe", "mpesa"]
        .iter()
        .map(|one| lab.reference(one, "100.00"))
        .collect();
    lab.kill();
    for reference in &references {
        lab.gateway.pay(reference, None);
    }
    lab.start();
    for reference in &references {
        lab.await_status(reference, "succeeded", BY_CLOCK);
    }
    lab.expect_wallet("400.00");
}

#[test]
fn a_start_whose_answer_is_lost_is_asked_about_under_its_reference_and_never_begun_under_another() {
    let lab = Lab::open("v3");
    for (count, gateway) in ["paystack", "stripe", "flutterwave", "mpesa"].into_iter().enumerate() {
        lab.gateway.plan(Fault::LostReply);
        let begun = lab.begin(gateway, "250.00").expect(201);
        assert_eq!(begun["payment"]["status"], "unknown", "{gateway}: {begun}");
        assert!(begun["checkout_url"].is_null());
        let reference = begun["payment"]["reference"].as_str().unwrap();
        // The payer found the page all the same, or the telephone asked.
        lab.gateway.pay(reference, None);
        if gateway == "mpesa" {
            // Only the callback says what the push is called.
            assert_eq!(lab.tell(reference), Some(200));
        }
        lab.await_status(reference, "succeeded", BY_CLOCK);
        assert_eq!(lab.gateway.references().len(), count + 1, "{gateway} was begun twice");
    }
    lab.expect_wallet("1000.00");
}

#[test]
fn a_gateway_that_is_out_of_order_takes_nothing_and_is_said_to_be_so() {
    let lab = Lab::open("v3");
    lab.gateway.plan(Fault::Broken);
    let begun = lab.begin("paystack", "250.00").expect(201);
    assert_eq!(begun["payment"]["status"], "unknown", "a 500 may have been carried out: {begun}");
    assert!(lab.gateway.references().is_empty());
    // The second try is a payment of its own, and works.
    let reference = lab.reference("paystack", "250.00");
    lab.gateway.pay(&reference, None);
    // Asking gets no answer at first: nothing is credited, and it is asked again.
    lab.gateway.plan(Fault::NoAnswer);
    lab.gateway.plan(Fault::Late(Duration::from_millis(300)));
    lab.tell(&reference);
    lab.await_status(&reference, "succeeded", BY_CLOCK);
    lab.expect_wallet("250.00");
}

#[test]
fn what_came_is_booked_and_not_what_was_hoped_for() {
    let lab = Lab::open("v3");
    let (less, more, other) = (
        lab.reference("paystack", "1000.00"),
        lab.reference("stripe", "1000.00"),
        lab.reference("paystack", "1000.00"),
    );
    lab.gateway.pay(&less, Some((99_999, "NGN")));
    lab.gateway.pay(&more, Some((100_500, "NGN")));
    lab.gateway.pay(&other, Some((100_000, "USD")));
    for reference in [&less, &more, &other] {
        lab.tell(reference);
        lab.await_status(reference, "succeeded", SOON);
    }
    // Dollars are kept for staff; they are nobody's naira.
    lab.expect_wallet("2004.99");
    assert_eq!(lab.payment(&other)["currency"], "USD", "{}", lab.payment(&other));
}

#[test]
fn money_that_nobody_here_asked_for_is_kept_as_a_receipt_and_answered_with_yes() {
    let lab = Lab::open("v3");
    lab.gateway.stranger("paystack", "from-the-shop-page", 70_000);
    assert_eq!(lab.tell("from-the-shop-page"), Some(200));
    let until = Instant::now() + SOON;
    while lab.place.get("/api/v1/payments").expect(200)["total"] != 1 {
        assert!(Instant::now() < until, "no receipt\n{}", lab.place.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    lab.expect_wallet("0.00");
    // An event about what the gateway itself does not know is kept, and makes no money.
    let mut hook = lab.gateway.hook("from-the-shop-page");
    hook.body = hook.body.replace("from-the-shop-page", "never-heard-of");
    assert_eq!(
        lab.runtime.block_on(lab.gateway.send(&hook)),
        Some(401),
        "another body under the same signature"
    );
}

#[test]
fn redirect_webhook_and_clock_at_once_credit_once_and_a_late_success_counts() {
    let lab = Lab::open("v3");
    let reference = lab.reference("paystack", "500.00");
    lab.gateway.fail(&reference);
    lab.tell(&reference);
    lab.await_status(&reference, "failed", SOON);
    // The same page takes the second card: the clock finds out, and so do forty webhooks.
    lab.gateway.pay(&reference, None);
    lab.runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..40 {
            let (gateway, reference) = (lab.gateway.clone(), reference.clone());
            tasks.spawn(async move { gateway.send(&gateway.hook(&reference)).await });
        }
        while let Some(answer) = tasks.join_next().await {
            assert_eq!(answer.unwrap(), Some(200));
        }
    });
    lab.await_status(&reference, "succeeded", BY_CLOCK);
    lab.expect_wallet("500.00");
}

#[test]
fn a_body_over_its_limit_is_refused_before_it_is_read_and_an_unknown_gateway_is_none() {
    let lab = Lab::open("v3");
    let reference = lab.reference("paystack", "500.00");
    let mut hook = lab.gateway.hook(&reference);
    hook.body = "x".repeat(300 * 1024);
    assert_eq!(lab.runtime.block_on(lab.gateway.send(&hook)), Some(413));
    hook.body = "{}".to_owned();
    for path in ["/api/v1/webhooks/paypal", "/api/v1/webhooks/cash", "/api/v1/webhooks/flutterwave_v4"] {
        hook.path = path.to_owned();
        assert_eq!(lab.runtime.block_on(lab.gateway.send(&hook)), Some(404), "{path}");
    }
}

#[test]
fn mpesa_refuses_cents_with_a_sentence() {
    let lab = Lab::open("v3");
    let refused = lab.begin("mpesa", "10.50");
    assert_eq!(refused.status, 422);
    assert!(String::from_utf8_lossy(&refused.body).contains("whole amounts only"));
}

#[test]
fn what_is_given_back_is_given_once_and_in_parts() {
    let lab = Lab::open("v3");
    for gateway in ["paystack", "stripe", "flutterwave"] {
        let before = lab.gateway.given_back();
        let reference = lab.reference(gateway, "100.00");
        lab.gateway.pay(&reference, None);
        lab.tell(&reference);
        lab.await_status(&reference, "succeeded", BY_CLOCK);
        let id = lab.payment(&reference)["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/payments/{id}/refund");
        for amount in ["40.00", "60.00"] {
            let body = json!({ "amount": amount, "reason": "asked for", "policy": "keep" });
            lab.place.post(&path, body).expect(200);
        }
        lab.await_status(&reference, "refunded", SOON);
        let until = Instant::now() + BY_CLOCK;
        while lab.gateway.given_back() - before != 10_000 {
            assert!(
                Instant::now() < until,
                "{gateway} gave {}\n{}",
                lab.gateway.given_back(),
                lab.place.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(lab.gateway.given_back() - before, 10_000, "{gateway} gave it once");
    }
    lab.expect_wallet("0.00");
}

#[test]
fn a_dispute_takes_the_money_once_and_gives_it_back_once_in_whatever_order_it_is_told() {
    let lab = Lab::open("v3");
    let tell = |hooks: &[mock_gateway::Hook]| {
        lab.runtime.block_on(async {
            let mut all = tokio::task::JoinSet::new();
            for hook in hooks {
                let (gateway, hook) = (lab.gateway.clone(), hook.clone());
                all.spawn(async move { gateway.send(&hook).await });
            }
            assert!(all.join_all().await.iter().all(|status| *status == Some(200)));
        });
    };
    for gateway in ["paystack", "stripe"] {
        let reference = lab.reference(gateway, "100.00");
        lab.gateway.pay(&reference, None);
        lab.tell(&reference);
        lab.await_status(&reference, "succeeded", BY_CLOCK);
        lab.expect_wallet("100.00");
        lab.gateway.dispute(&reference, "open");
        let opened = lab.gateway.dispute_hook(&reference, "create");
        tell(&[opened.clone(), opened.clone(), opened.clone()]);
        lab.await_status(&reference, "disputed", SOON);
        lab.expect_wallet("0.00");
        lab.gateway.dispute(&reference, "won");
        let closed = lab.gateway.dispute_hook(&reference, "resolve");
        tell(&[closed.clone(), opened.clone(), closed.clone(), opened]);
        lab.await_status(&reference, "succeeded", SOON);
        lab.expect_wallet("100.00");

        // Lost, and the end is told before the beginning.
        let lost = lab.reference(gateway, "40.00");
        lab.gateway.pay(&lost, None);
        lab.tell(&lost);
        lab.await_status(&lost, "succeeded", BY_CLOCK);
        lab.expect_wallet("140.00");
        lab.gateway.dispute(&lost, "lost");
        tell(&[lab.gateway.dispute_hook(&lost, "resolve")]);
        lab.await_status(&lost, "disputed", SOON);
        tell(&[lab.gateway.dispute_hook(&lost, "create"), lab.gateway.dispute_hook(&lost, "resolve")]);
        std::thread::sleep(Duration::from_millis(300));
        lab.expect_wallet("100.00");
        let refunds = lab.payment(&lost)["refunds"].clone();
        assert_eq!(refunds.as_array().unwrap().len(), 1, "{refunds}");
        assert_eq!(refunds[0]["is_chargeback"], true);
        // Back to nothing, for the next one.
        let id = lab.payment(&reference)["id"].as_str().unwrap().to_owned();
        let body = json!({ "reason": "asked for", "policy": "keep" });
        lab.place.post(&format!("/api/v1/payments/{id}/refund"), body).expect(200);
    }
    // What a gateway tells by mail only is booked by staff, under its number, once.
    let reference = lab.reference("flutterwave", "70.00");
    lab.gateway.pay(&reference, None);
    lab.tell(&reference);
    lab.await_status(&reference, "succeeded", BY_CLOCK);
    let path = format!("/api/v1/payments/{}/dispute", lab.payment(&reference)["id"].as_str().unwrap());
    let case = |outcome: &str| json!({ "case_number": "FLW-1", "outcome": outcome, "reason": "their mail of today" });
    for (outcome, wallet) in [("open", "0.00"), ("lost", "0.00"), ("won", "70.00"), ("open", "70.00")] {
        lab.place.post(&path, case(outcome)).expect(200);
        lab.expect_wallet(wallet);
    }
    lab.place.post(&path, json!({ "case_number": "FLW-1", "outcome": "maybe", "reason": "x" })).expect(422);
    let check = format!("/api/v1/payments/{reference}/check");
    assert_eq!(lab.place.post(&check, json!({})).expect(200)["status"], "succeeded");
}
