//! The field's customer app, dotmac-ftth-ops `frontend/apps/isp-customer`, finds what its code reads: its paths,
//! its cookie, and each field in the type that its TypeScript declares (`hooks/useCustomerPortal.ts`,
//! `lib/auth/CustomerAuthContext.tsx`, `middleware.ts`). It sums `amount_due` and calls `toFixed` on gigabytes.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::ids::SubscriberId;
use dotmac_edge::domain::money::{Currency, Money};
use serde_json::{Value, json};
use support::edge::Edge;
use support::http::Client;

/// A type of TypeScript, as far as the app has them.
#[derive(Debug, Clone, Copy)]
enum Is {
    Text,
    /// A text that `new Date()` reads, or an empty one, which the app shows as `N/A`.
    Date,
    Number,
    Flag,
    OneOf(&'static [&'static str]),
}

/// Each field is there in its type.
#[track_caller]
fn holds(object: &Value, fields: &[(&str, Is)]) {
    for (name, is) in fields {
        let value = &object[*name];
        let fits = match is {
            Is::Text => value.is_string(),
            Is::Date => {
                value.as_str().is_some_and(|text| text.is_empty() || text.parse::<jiff::Timestamp>().is_ok())
            }
            Is::Number => value.is_number(),
            Is::Flag => value.is_boolean(),
            Is::OneOf(words) => value.as_str().is_some_and(|text| words.contains(&text)),
        };
        assert!(fits, "{name} must be {is:?}: {object}");
    }
}

const PROFILE: &[(&str, Is)] = &[
    ("id", Is::Text),
    ("customer_id", Is::Text),
    ("account_number", Is::Text),
    ("first_name", Is::Text),
    ("last_name", Is::Text),
    ("email", Is::Text),
    ("phone", Is::Text),
    ("service_address", Is::Text),
    ("service_city", Is::Text),
    ("service_state", Is::Text),
    ("service_zip", Is::Text),
    ("status", Is::OneOf(&["active", "suspended", "cancelled"])),
];

const SERVICE: &[(&str, Is)] = &[
    ("id", Is::Text),
    ("plan_name", Is::Text),
    ("plan_id", Is::Text),
    ("speed_down", Is::Text),
    ("speed_up", Is::Text),
    ("monthly_price", Is::Number),
    ("installation_date", Is::Date),
    ("billing_cycle", Is::Text),
    ("next_billing_date", Is::Date),
    ("status", Is::OneOf(&["active", "suspended", "cancelled"])),
];

const INVOICE: &[(&str, Is)] = &[
    ("invoice_id", Is::Text),
    ("invoice_number", Is::Text),
    ("amount", Is::Number),
    ("amount_due", Is::Number),
    ("amount_paid", Is::Number),
    ("status", Is::OneOf(&["draft", "finalized", "paid", "void", "uncollectible"])),
    ("due_date", Is::Date),
    ("created_at", Is::Date),
    ("description", Is::Text),
];

const LINE: &[(&str, Is)] = &[
    ("description", Is::Text),
    ("quantity", Is::Number),
    ("unit_price", Is::Number),
    ("total_price", Is::Number),
];

const PAYMENT: &[(&str, Is)] = &[
    ("id", Is::Text),
    ("amount", Is::Number),
    ("date", Is::Date),
    ("method", Is::Text),
    ("invoice_number", Is::Text),
    ("status", Is::OneOf(&["success", "pending", "failed"])),
];

const USAGE: &[(&str, Is)] = &[
    ("upload_gb", Is::Number),
    ("download_gb", Is::Number),
    ("total_gb", Is::Number),
    ("limit_gb", Is::Number),
];

const METHOD: &[(&str, Is)] = &[
    ("payment_method_id", Is::Text),
    ("method_type", Is::OneOf(&["card", "bank_account", "wallet", "wire_transfer", "check"])),
    ("status", Is::OneOf(&["active", "pending_verification", "verification_failed", "expired", "inactive"])),
    ("is_default", Is::Flag),
    ("created_at", Is::Date),
    ("auto_pay_enabled", Is::Flag),
];

fn ngn(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("NGN").unwrap() }
}

/// A box that sells two plans, and a subscriber of the cheaper one with an empty wallet.
struct Shop {
    edge: Edge,
    me: SubscriberId,
    app: Client,
    login: Value,
    cookie: String,
}

async fn plan(edge: &Edge, code: &str, price: u32, more: Value) {
    let mut body = json!({
        "plan_code": code, "name": code, "service_type": "internet", "monthly_price": price,
        "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps",
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    edge.console.post("/api/v1/service-plans", body).await.expect(201);
}

async fn open() -> Shop {
    let edge = Edge::with_mail(1).await;
    plan(&edge, "home-20", 17_500, json!({ "validity_days": 30, "data_allowance": 50 })).await;
    plan(&edge, "home-50", 30_000, json!({ "validity_days": 30 })).await;
    plan(&edge, "office", 40_000, json!({})).await;
    let body = json!({ "email": "ada@example.net", "first_name": "Ada", "last_name": "Obi" });
    let made = edge.console.post("/api/v1/customers", body).await.expect(201);
    let body = json!({ "email": "ada@example.net", "password": made["portal_password"] });
    let login = edge.client.post("/api/isp/v1/auth/customer/login", body).await;
    let cookie = login.header("set-cookie").unwrap_or_default().to_owned();
    let all: Vec<_> = login.headers.get_all("set-cookie").iter().map(|one| one.to_str().unwrap()).collect();
    let cookie = all
        .iter()
        .find(|one| one.starts_with("customer_access_token="))
        .map_or(cookie, |one| (*one).to_owned());
    let login = login.expect(200);
    let app = edge.client.token(login["access_token"].as_str().unwrap());
    let me = made["id"].as_str().unwrap().parse().unwrap();
    Shop { edge, me, app, login, cookie }
}

impl Shop {
    async fn sell(&self, plan: &str) -> String {
        let body = json!({ "customer_id": self.me.to_string(), "plan_code": plan });
        let made = self.edge.console.post("/api/v1/services", body).await.expect(201);
        made["id"].as_str().unwrap().to_owned()
    }

    async fn fund(&self, minor: i64, key: &str) {
        let till = &self.edge.app.billing.till;
        let now = self.edge.app.clock.now();
        till.adjust(self.me, ngn(minor), (key, "for the test"), &Actor::system(), None, now).await.unwrap();
    }

    async fn get(&self, path: &str) -> Value {
        self.app.get(&format!("/api/isp/v1{path}")).await.expect(200)
    }
}

#[tokio::test]
async fn the_app_logs_in_keeps_its_token_and_its_middleware_finds_the_cookie() {
    let shop = open().await;
    holds(
        &shop.login["user"],
        &[
            ("id", Is::Text),
            ("email", Is::Text),
            ("first_name", Is::Text),
            ("last_name", Is::Text),
            ("account_number", Is::Text),
        ],
    );
    assert!(shop.login["access_token"].is_string());
    assert!(shop.cookie.contains("HttpOnly") && shop.cookie.contains("SameSite=Lax"), "{}", shop.cookie);
    // Without a service the profile answers all the same: anything else logs the app out.
    holds(&shop.get("/customer/profile").await, PROFILE);
    let wrong = json!({ "email": "ada@example.net", "password": "no" });
    let wrong = shop.edge.client.post("/api/isp/v1/auth/customer/login", wrong).await.expect(401);
    assert!(wrong["detail"].is_string(), "{wrong}");
    // Logging out sends the cookie and no Authorization.
    let pair = shop.cookie.split(';').next().unwrap();
    let out = shop.edge.client.header("cookie", pair).header("sec-fetch-site", "same-origin");
    out.post("/api/isp/v1/auth/customer/logout", json!({})).await.expect(200);
    shop.app.get("/api/isp/v1/customer/profile").await.expect(401);
}

#[tokio::test]
async fn the_app_shows_a_service_its_usage_and_settings() {
    let shop = open().await;
    shop.sell("home-20").await;
    holds(&shop.get("/customer/service").await, SERVICE);
    assert_eq!(shop.get("/customer/service").await["speed_down"], "20 Mbps");
    let usage = shop.get("/customer/usage").await;
    holds(&usage, USAGE);
    assert_eq!(usage["limit_gb"].as_f64(), Some(50.0));
    assert!(shop.get("/customer/settings").await.is_object());
    assert_eq!(shop.get("/customer/tickets").await, json!([]));
    let unlimited = open().await;
    unlimited.sell("home-50").await;
    assert_eq!(unlimited.get("/customer/usage").await["limit_gb"].as_f64(), Some(0.0));
}

#[tokio::test]
async fn the_app_buys_from_the_wallet_and_reads_bare_arrays_of_numbers() {
    let shop = open().await;
    shop.sell("home-20").await;
    assert_eq!(shop.get("/customer/invoices").await, json!([]));
    assert_eq!(shop.get("/customer/payments").await, json!([]));
    let cash = json!({ "customer_id": shop.me.to_string(), "amount": "500.00", "payment_method": "cash" });
    shop.edge.console.post("/api/v1/payments", cash).await.expect(201);
    let payments = shop.get("/customer/payments").await;
    holds(&payments.as_array().unwrap()[0], PAYMENT);
    assert_eq!((payments[0]["amount"].as_f64(), &payments[0]["status"]), (Some(500.0), &json!("success")));
    let receipt = format!("/api/v1/customer/payments/{}/receipt", payments[0]["id"].as_str().unwrap());
    assert!(shop.app.get(&receipt).await.body.starts_with(b"%PDF-"));
    shop.fund(2_000_000, "1").await;
    let order = shop.app.post("/api/v1/customer/orders", json!({ "kind": "period" })).await.expect(201);
    assert_eq!((&order["total"], &order["currency"]), (&json!("17500.00"), &json!("NGN")));
    let pay = format!("/api/v1/customer/orders/{}/pay", order["id"].as_str().unwrap());
    let paid = shop.app.header("idempotency-key", "pay-1").post(&pay, json!({})).await.expect(200);
    assert_eq!(paid["status"], "fulfilled");
    assert_eq!(shop.app.header("idempotency-key", "pay-1").post(&pay, json!({})).await.expect(200), paid);

    let invoices = shop.get("/customer/invoices").await;
    let invoice = &invoices.as_array().unwrap()[0];
    holds(invoice, INVOICE);
    holds(&invoice["line_items"][0], LINE);
    assert_eq!(invoice["amount"].as_f64(), Some(17_500.0));
    assert_eq!((invoice["status"].as_str(), invoice["amount_due"].as_f64()), (Some("paid"), Some(0.0)));
    assert!(invoice["paid_date"].is_string());
    // The native surface: decimal texts, and the superset of a list.
    let native = shop.app.get("/api/v1/customer/invoices").await.expect(200);
    assert_eq!(native["items"][0]["total"], "17500.00");
    assert_eq!(native["items"][0]["amount_due"], "0.00");
    let wallet = shop.app.get("/api/v1/customer/wallet").await.expect(200);
    assert_eq!((&wallet["balance"], &wallet["owed"]), (&json!("3000.00"), &json!("0.00")));
    // On paper, for its owner only.
    let pdf = format!("/api/v1/customer/invoices/{}/pdf", invoice["invoice_id"].as_str().unwrap());
    let paper = shop.app.get(&pdf).await;
    assert_eq!((paper.status, paper.header("content-type")), (200, Some("application/pdf")));
    assert!(paper.body.starts_with(b"%PDF-"));
    let page = shop.app.get(&format!("{pdf}?format=html")).await;
    assert!(page.header("content-security-policy").unwrap().contains("style-src 'sha256-"));
    assert!(String::from_utf8_lossy(&page.body).contains("17,500.00"));
    let (_, other) = shop.edge.customer("emeka@example.net").await;
    other.get(&pdf).await.expect(404);
    assert_eq!(other.get("/api/isp/v1/customer/invoices").await.expect(200), json!([]));
}

#[tokio::test]
async fn a_service_is_paused_and_goes_on_over_the_api_and_a_repeat_answers_the_same() {
    const PAUSE: &str = "/api/v1/customer/service/pause";
    let shop = open().await;
    shop.sell("home-20").await;
    let nothing = shop.app.post(PAUSE, json!({})).await;
    assert_eq!(nothing.refusal(422), "business_rule_violation", "nothing is paid for yet");
    shop.fund(2_000_000, "1").await;
    let order = shop.app.post("/api/v1/customer/orders", json!({ "kind": "period" })).await.expect(201);
    let pay = format!("/api/v1/customer/orders/{}/pay", order["id"].as_str().unwrap());
    shop.app.post(&pay, json!({})).await.expect(200);
    for _ in 0..100 {
        if shop.get("/customer/service").await["status"] == "active" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let topups = shop.app.get("/api/v1/customer/topups").await.expect(200);
    assert_eq!((&topups["is_running"], &topups["offers"]), (&json!(true), &json!([])));
    let keyed = shop.app.header("idempotency-key", "pause-1");
    let paused = keyed.post(PAUSE, json!({})).await.expect(200);
    assert!(paused["paused_at"].is_string() && paused["paused_until"].is_string(), "{paused}");
    assert_eq!(keyed.post(PAUSE, json!({})).await.expect(200), paused);
    assert_eq!(shop.app.post(PAUSE, json!({})).await.refusal(422), "business_rule_violation");
    assert_eq!(shop.get("/customer/service").await["status"], "suspended");
    let stands = shop.app.get(PAUSE).await.expect(200);
    assert_eq!(
        (&stands["is_own"], &stands["left"], &stands["most_days"]),
        (&json!(true), &json!(1), &json!(30))
    );
    let (_, other) = shop.edge.customer("emeka@example.net").await;
    other.post(PAUSE, json!({})).await.expect(404);
    let on =
        shop.app.header("idempotency-key", "on-1").post("/api/v1/customer/service/resume", json!({})).await;
    assert!(on.expect(200)["paused_at"].is_null());
    assert_eq!(shop.get("/customer/service").await["status"], "active");
}

#[tokio::test]
async fn what_is_void_adds_nothing_to_what_the_app_says_is_owed_and_an_open_bill_is_paid_once() {
    let shop = open().await;
    let service = shop.sell("office").await;
    let begin = format!("/api/v1/services/{service}/provision");
    assert!(matches!(shop.edge.console.post(&begin, json!({})).await.status, 200 | 202));
    let till = shop.edge.app.billing.till.clone();
    for _ in 0..100 {
        if shop.get("/customer/service").await["status"] == "active" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    till.adopt(None, shop.edge.app.clock.now()).await.unwrap();
    for _ in 0..2 {
        shop.edge.hand.advance(Duration::from_secs(40 * 86_400));
        till.run_cycle(shop.edge.app.clock.now()).await.unwrap();
    }
    let native = shop.edge.console.get("/api/v1/invoices").await.expect(200);
    let all = native["items"].as_array().unwrap();
    assert!(all.len() >= 2, "{native}");
    let void = format!("/api/v1/invoices/{}/void", all[0]["id"].as_str().unwrap());
    shop.edge.console.post(&void, json!({ "reason": "made twice" })).await.expect(200);

    let app = relogged(&shop).await;
    let invoices = app.get("/api/isp/v1/customer/invoices").await.expect(200);
    let open: Vec<&Value> =
        invoices.as_array().unwrap().iter().filter(|one| one["status"] != "paid").collect();
    let owed: f64 = open.iter().map(|one| one["amount_due"].as_f64().unwrap()).sum();
    let real: f64 = open
        .iter()
        .filter(|one| one["status"] == "finalized")
        .map(|one| one["amount"].as_f64().unwrap())
        .sum();
    assert!(open.iter().any(|one| one["status"] == "void" && one["amount_due"] == 0.0), "{invoices}");
    assert!(real > 0.0 && (owed - real).abs() < 0.005, "{owed} {real}");

    let bill = open.iter().find(|one| one["status"] == "finalized").unwrap();
    let pay = |amount: f64| {
        json!({
            "invoice_id": bill["invoice_id"], "amount": amount, "payment_method_id": "wallet",
        })
    };
    let amount = bill["amount_due"].as_f64().unwrap();
    let wrong = app.post("/api/isp/v1/customer/payments", pay(amount - 1.0)).await.expect(422);
    assert!(wrong["field_errors"]["amount"].is_array() && wrong["detail"].is_string(), "{wrong}");
    let short = app.post("/api/isp/v1/customer/payments", pay(amount)).await;
    assert!(matches!(short.status, 402 | 422), "{}", short.status);
    shop.fund(10_000_000, "2").await;
    let invoices = app.get("/api/isp/v1/customer/invoices").await.expect(200);
    assert!(
        invoices.as_array().unwrap().iter().all(|one| one["amount_due"] == 0.0),
        "money on account pays what is open"
    );
    let again = app.post("/api/isp/v1/customer/payments", pay(amount)).await.expect(422);
    assert!(again["detail"].is_string());
}

async fn relogged(shop: &Shop) -> Client {
    let path = format!("/api/v1/customers/{}/reset-portal-password", shop.me);
    let fresh = shop.edge.console.post(&path, json!({})).await.expect(200);
    let body = json!({ "email": "ada@example.net", "password": fresh["portal_password"] });
    let login = shop.edge.client.post("/api/isp/v1/auth/customer/login", body).await.expect(200);
    shop.edge.client.token(login["access_token"].as_str().unwrap())
}

#[tokio::test]
async fn the_app_changes_the_plan_and_its_one_way_to_pay_by_itself() {
    let shop = open().await;
    shop.sell("home-20").await;
    shop.fund(2_000_000, "1").await;
    let order = shop.app.post("/api/v1/customer/orders", json!({ "kind": "period" })).await.expect(201);
    let pay = format!("/api/v1/customer/orders/{}/pay", order["id"].as_str().unwrap());
    shop.app.post(&pay, json!({})).await.expect(200);

    let methods = shop.get("/customer/payment-methods").await;
    holds(&methods.as_array().unwrap()[0], METHOD);
    let was = methods[0]["auto_pay_enabled"].as_bool().unwrap();
    let toggled = shop.app.post("/api/isp/v1/customer/payment-methods/wallet/toggle-autopay", json!({}));
    assert_eq!(toggled.await.expect(200)["auto_pay_enabled"], !was);
    shop.app.post("/api/isp/v1/customer/payment-methods/wallet/default", json!({})).await.expect(200);
    let gone = shop.app.delete("/api/isp/v1/customer/payment-methods/wallet").await.expect(422);
    assert!(gone["detail"].is_string());
    let put = shop.app.put("/api/isp/v1/customer/settings", json!({ "auto_renew": was })).await.expect(200);
    assert_eq!(put["auto_renew"], was);

    // Dearer at once: more is needed than the wallet holds, then it is paid from it.
    let up = json!({ "plan_id": "home-50" });
    let short = shop.app.post("/api/isp/v1/customer/service/upgrade", up.clone()).await;
    assert!(matches!(short.status, 402 | 422), "{} {}", short.status, String::from_utf8_lossy(&short.body));
    shop.fund(5_000_000, "3").await;
    let service = shop.app.post("/api/isp/v1/customer/service/upgrade", up).await.expect(200);
    holds(&service, SERVICE);
    assert_eq!(service["plan_name"], "home-50");
    let none = shop.app.post("/api/isp/v1/customer/service/upgrade", json!({ "plan_id": "no-such" })).await;
    assert!(none.expect(422)["detail"].is_string());
}

#[tokio::test]
async fn money_for_a_friend_is_sent_once() {
    let shop = open().await;
    let (friend, friends) = shop.edge.customer("emeka@example.net").await;
    shop.fund(100_000, "1").await;
    let body = json!({ "to": friend["customer_number"], "amount": "400.00" });
    let send = |key: &str| shop.app.header("idempotency-key", key);
    for _ in 0..3 {
        send("t-1").post("/api/v1/customer/transfer", body.clone()).await.expect(200);
    }
    let balance = |client: Client| async move {
        client.get("/api/v1/customer/wallet").await.expect(200)["balance"].clone()
    };
    assert_eq!(balance(shop.app.clone()).await, "600.00");
    assert_eq!(balance(friends).await, "400.00");
    for (wrong, status) in [
        (json!({ "to": "nobody", "amount": "1" }), 422),
        (json!({ "to": friend["customer_number"], "amount": "-1" }), 422),
        (json!({ "to": friend["customer_number"], "amount": "1e3" }), 422),
        (json!({ "to": friend["customer_number"], "amount": "0.001" }), 422),
    ] {
        shop.app.post("/api/v1/customer/transfer", wrong).await.expect(status);
    }
    let too_much = json!({ "to": friend["customer_number"], "amount": 9_999_999 });
    let refused = shop.app.post("/api/v1/customer/transfer", too_much).await;
    assert!(matches!(refused.status, 402 | 422), "{}", refused.status);
    assert_eq!(balance(shop.app.clone()).await, "600.00");
}
