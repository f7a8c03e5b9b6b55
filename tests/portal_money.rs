//! The pages of a subscriber's money in a real Chromium, 320 px wide, without script: who was let go because
//! nothing is paid pays and is told so; bills, receipts, wallet, a friend, another plan. And a button pressed twice
//! pays once, another's bill does not exist, a hostile form moves nothing.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/mock_gateway.rs"]
mod mock_gateway;
#[path = "support/portal_lab.rs"]
mod portal_lab;
mod support;

use std::process::Command;

use browser::Phone;
use dotmac_edge::base::secret::Secret;
use dotmac_edge::billing::provider::{Provider, Providers, mpesa, paystack, wire};
use dotmac_edge::domain::audit::Actor;
use dotmac_edge::domain::coupon::CouponTerms;
use dotmac_edge::domain::ids::SubscriberId;
use dotmac_edge::domain::money::{Currency, Money};
use dotmac_edge::domain::payment::{Payment, PaymentStatus};
use dotmac_edge::domain::plan::{Validity, ValidityUnit};
use dotmac_edge::domain::text::{Code, Line};
use dotmac_edge::domain::usage_terms::{TopUpOffer, UsageTerms};
use dotmac_edge::store::contract::{Page as StorePage, Range, Unit};
use dotmac_edge::store::tables::Subscribers;
use dotmac_edge::store::tables::money::{Orders, Payments};
use jiff::{SignedDuration, Timestamp};
use mock_gateway::StandIn;
use portal_lab::{Browser, Certificate, Lab, NAME, Page};

const EMAIL: &str = "ada@example.net";
const PASSWORD: &str = "a long enough pass phrase";

fn ngn(minor: i64) -> Money {
    Money { minor, currency: Currency::parse("NGN").unwrap() }
}

/// Somebody signs up for a plan; they are logged in with that browser afterwards.
async fn join(lab: &Lab, email: &str, plan: &str) -> (Browser, SubscriberId) {
    let mut browser = lab.safe_browser();
    let page = browser.get("/signup").await;
    let fields = [
        ("plan", plan),
        ("first_name", "Ada"),
        ("last_name", "Obi"),
        ("email", email),
        ("password", PASSWORD),
    ];
    browser.submit(&page, "/signup", &fields).await.expect(303);
    let page = browser.get("/confirm").await;
    browser.submit(&page, "/confirm", &[("code", &lab.mail(email, 1).await.code())]).await.expect(200);
    let page = browser.get("/login").await;
    let cookies = browser.cookies.clone();
    browser.submit(&page, "/login", &[("login", email), ("password", PASSWORD)]).await;
    assert!(browser.cookies.len() >= cookies.len());
    (browser, subscriber(lab, email).await)
}

async fn subscriber(lab: &Lab, email: &str) -> SubscriberId {
    let range = Range::Equals("email", email.to_owned().into());
    let found = lab.store.scan::<Subscribers>(range, StorePage::first(1)).await.unwrap();
    found.records[0].body.id
}

async fn fund(lab: &Lab, who: SubscriberId, minor: i64, key: &str) {
    let till = &lab.billing.till;
    till.adjust(who, ngn(minor), (key, "At the counter"), &Actor::system(), None, Timestamp::now())
        .await
        .unwrap();
}

/// A coupon that takes a tenth off.
async fn make_coupon(lab: &Lab, code: &str) {
    let terms = CouponTerms {
        name: None,
        percent_ppm: 100_000,
        fixed: None,
        valid_from: None,
        valid_until: None,
        most: None,
        most_each: Some(1),
        plan_ids: Vec::new(),
        is_active: true,
    };
    let code = Code::parse(code).unwrap();
    let till = &lab.billing.till;
    let draft = till.make_coupon(&code, &terms, &Actor::system(), Timestamp::now()).await.unwrap();
    lab.store.commit(draft.unit).await.unwrap();
}

/// Where a page leads by its first order.
fn location(page: &Page) -> String {
    page.header("location").unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a walk from page to page, to be read from top to bottom")]
async fn whoever_has_not_paid_sees_why_and_pays_from_the_wallet_without_script() {
    let lab = Lab::open(Certificate::Configured).await;
    let (_, me) = join(&lab, EMAIL, "home-20").await;
    fund(&lab, me, 3_000_000, "1").await;
    make_coupon(&lab, "SPRING").await;
    let rules = format!("--host-resolver-rules=MAP {NAME} {}, MAP * {}", lab.https, lab.http);
    let phone =
        Phone::start("money", Command::new("chromedriver"), &[rules, "--ignore-certificate-errors".into()])
            .await;

    phone.open(&format!("https://{NAME}/pay")).await;
    assert_eq!(phone.heading().await, "Log in to pay and see your bills");
    phone.tab_to("#login").await;
    phone.write(EMAIL).await;
    phone.tab_to("#password").await;
    phone.write(PASSWORD).await;
    phone.enter().await;
    phone.check("01-logged-in").await;

    phone.open(&format!("https://{NAME}/customer")).await;
    let body = phone.body().await;
    assert!(body.contains("Wallet") && body.contains("30,000.00 NGN"), "{body}");
    phone.check("02-account").await;
    phone.click("main a[href='/pay']").await;
    assert_eq!(phone.heading().await, "Pay");
    phone.check("03-pay").await;
    assert!(
        phone.body().await.contains("Buy") && !phone.body().await.contains("Renew"),
        "nothing was bought yet"
    );
    phone.tab_to("button[value='period']").await;
    phone.enter().await;
    assert_eq!(phone.heading().await, "Buy");
    let body = phone.body().await;
    assert!(body.contains("22,500.00 NGN") && body.contains("Setup"), "{body}");
    phone.check("04-order").await;
    phone.tab_to("#coupon").await;
    phone.write("NOSUCH").await;
    phone.enter().await;
    assert!(phone.body().await.contains("There is no such coupon."));
    phone.check("04-order-wrong-coupon").await;
    phone.tab_to("#coupon").await;
    phone.write("spring").await;
    phone.enter().await;
    let body = phone.body().await;
    assert!(
        body.contains("20,250.00 NGN") && body.contains("2,250.00 NGN less with the coupon SPRING."),
        "{body}"
    );
    phone.check("04-order-with-coupon").await;
    phone.tab_to("button[value='wallet']").await;
    phone.enter().await;
    let body = phone.body().await;
    assert!(body.contains("Paid") && body.contains("We have received 20,250.00 NGN"), "{body}");
    assert_eq!(phone.heading().await, "Buy");
    phone.check("05-paid").await;

    phone.click("main a[href^='/invoices/']").await;
    assert_eq!(phone.heading().await, "Invoice");
    phone.check("06-invoice").await;
    phone.open(&format!("https://{NAME}/invoices")).await;
    assert!(phone.body().await.contains("Paid"));
    phone.check("07-invoices").await;
    phone.open(&format!("https://{NAME}/payments")).await;
    phone.check("08-payments").await;
    phone.open(&format!("https://{NAME}/wallet")).await;
    let body = phone.body().await;
    assert!(body.contains("9,750.00 NGN") && body.contains("Automatic renewal"), "{body}");
    phone.open(&format!("https://{NAME}/pay")).await;
    assert!(phone.body().await.contains("Renew"), "from the second period on it is a renewal");
    phone.open(&format!("https://{NAME}/wallet")).await;
    phone.check("09-wallet").await;
    phone.click("button[name='renew']").await;
    phone.check("10-wallet-switched").await;
    phone.open(&format!("https://{NAME}/plans/change")).await;
    assert_eq!(phone.heading().await, "Change your plan");
    phone.check("11-change").await;
    phone.click("main a[href^='/plans/change?to=']").await;
    phone.check("12-change-asks").await;
    phone.close().await;
}

/// A plan with two offers on top of it, one of data for a day and one of time for the period.
async fn put_boosted_plan(lab: &Lab) {
    let offer = |code: &str, name: &str, price: i64| TopUpOffer {
        code: Code::parse(code).unwrap(),
        name: Line::parse(name).unwrap(),
        price: ngn(price),
        octets: 0,
        seconds: 0,
        validity: None,
    };
    let day = Validity { count: 1, unit: ValidityUnit::Days };
    let data = TopUpOffer {
        octets: 1_000_000_000,
        validity: Some(day),
        ..offer("boost-1", "1 GB for a day", 50_000)
    };
    let time = TopUpOffer { seconds: 7_200, ..offer("two-hours", "Two hours more", 20_000) };
    let usage =
        UsageTerms { time_allowance_secs: Some(36_000), top_ups: vec![data, time], ..UsageTerms::default() };
    lab.put_plan_with("boost", "Boost", 0, Some(2_000_000_000), usage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_data_is_bought_on_a_page_that_says_what_is_left_and_until_when() {
    let lab = Lab::open(Certificate::Configured).await;
    put_boosted_plan(&lab).await;
    let (browser, me) = join(&lab, EMAIL, "boost").await;
    fund(&lab, me, 100_000, "1").await;
    let rules = format!("--host-resolver-rules=MAP {NAME} {}, MAP * {}", lab.https, lab.http);
    let phone =
        Phone::start("topup", Command::new("chromedriver"), &[rules, "--ignore-certificate-errors".into()])
            .await;
    phone.open(&format!("https://{NAME}/login")).await;
    phone.fill("#login", EMAIL).await;
    phone.fill("#password", PASSWORD).await;
    phone.click("main button").await;
    phone.open(&format!("https://{NAME}/customer")).await;
    phone.check("01-account").await;
    phone.check_wide("01-account").await;
    phone.click("main a[href='/topup']").await;
    assert_eq!(phone.heading().await, "More data or time");
    let body = phone.body().await;
    assert!(body.contains("Data left\n2 GB") && body.contains("Time left\n10 h"), "{body}");
    assert!(body.contains("500.00 NGN") && body.contains("1 GB more."), "{body}");
    assert!(
        body.contains("2 h online more.") && body.contains("If you buy it now, it lasts until"),
        "{body}"
    );
    phone.check("02-offers").await;
    phone.check_wide("02-offers").await;
    let passed = phone.tab_to("form:has(input[value='boost-1']) button").await;
    assert!(passed.len() < 8, "the keyboard reaches the first offer soon: {passed:?}");
    phone.enter().await;
    assert_eq!(phone.heading().await, "More for this period");
    phone.check("03-order").await;
    phone.check_wide("03-order").await;
    phone.click("button[value='wallet']").await;
    assert!(phone.body().await.contains("We have received 500.00 NGN"));
    phone.open(&format!("https://{NAME}/topup")).await;
    let body = phone.body().await;
    assert!(body.contains("Data left\n3 GB") && body.contains("Of it bought\n1 GB"), "{body}");
    assert!(body.contains("Bought, until tomorrow"), "{body}");
    phone.check("04-bought").await;
    phone.check_wide("04-bought").await;
    phone.open(&format!("https://{NAME}/pay")).await;
    phone.check("05-pay").await;
    phone.check_wide("05-pay").await;
    phone.close().await;
    assert_eq!(lab.billing.till.wallet(me).await.unwrap(), ngn(50_000));
    let mut browser = browser;
    let said = browser.get("/api/v1/customer/topups").await.expect(200);
    let said: serde_json::Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!(said["offers"].as_array().unwrap().len(), 2, "{said}");
    assert_eq!(
        (&said["offers"][0]["code"], &said["offers"][0]["total"]),
        (&"boost-1".into(), &"500.00".into())
    );
    assert_eq!((&said["left_octets"], &said["is_running"]), (&1_000_000_000.into(), &true.into()));
    assert_eq!(said["bought"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_paused_and_goes_on_by_two_buttons_that_say_what_happens() {
    let lab = Lab::open(Certificate::Configured).await;
    let (mut browser, me) = join(&lab, EMAIL, "home-20").await;
    let page = browser.get("/pause").await.expect(200);
    assert!(
        page.body.contains("there is nothing to pause") && !page.body.contains("Pause now"),
        "{}",
        page.body
    );
    fund(&lab, me, 10_000_000, "1").await;
    let pay = browser.get("/pay").await.expect(200);
    let order = location(&browser.submit(&pay, "/pay", &[("what", "period")]).await.expect(303));
    let page = browser.get(&order).await.expect(200);
    browser.submit(&page, &order, &[("with", "wallet")]).await.expect(303);
    let rules = format!("--host-resolver-rules=MAP {NAME} {}, MAP * {}", lab.https, lab.http);
    let phone =
        Phone::start("pause", Command::new("chromedriver"), &[rules, "--ignore-certificate-errors".into()])
            .await;
    phone.open(&format!("https://{NAME}/login")).await;
    phone.fill("#login", EMAIL).await;
    phone.fill("#password", PASSWORD).await;
    phone.click("main button").await;
    for _ in 0..100 {
        phone.open(&format!("https://{NAME}/customer")).await;
        if phone.body().await.contains("Pause my service") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    phone.click("main a[href='/pause']").await;
    assert_eq!(phone.heading().await, "Pause your service");
    let body = phone.body().await;
    assert!(
        body.contains("cut off at once") && body.contains("30 days") && body.contains("2 of 2"),
        "{body}"
    );
    phone.check("01-asks").await;
    phone.check_wide("01-asks").await;
    phone.tab_to("button[value='pause']").await;
    phone.enter().await;
    assert_eq!(phone.path().await, "/pause");
    let body = phone.body().await;
    assert!(body.contains("Your service is paused") && body.contains("It goes on by itself"), "{body}");
    phone.check("02-paused").await;
    phone.check_wide("02-paused").await;
    phone.open(&format!("https://{NAME}/customer")).await;
    phone.check("03-account").await;
    phone.click("main a[href='/pause']").await;
    phone.tab_to("button[value='resume']").await;
    phone.enter().await;
    assert_eq!(phone.path().await, "/status");
    phone.check("04-goes-on").await;
    phone.close().await;
    let said = browser.get("/api/v1/customer/service/pause").await.expect(200);
    let said: serde_json::Value = serde_json::from_str(&said.body).unwrap();
    assert_eq!((&said["left"], &said["paused_at"]), (&1.into(), &serde_json::Value::Null), "{said}");
    let page = browser.get("/pause").await.expect(200);
    browser.submit(&page, "/pause", &[("do", "something else")]).await.expect(422);
}

#[tokio::test]
async fn more_is_offered_to_nobody_without_a_running_period_and_bought_for_nobody_else() {
    let lab = Lab::open(Certificate::Configured).await;
    put_boosted_plan(&lab).await;
    let mut stranger = lab.safe_browser();
    assert!(stranger.get("/topup").await.expect(200).body.contains("Log in to pay"));
    let (mut plain, _) = join(&lab, "emeka@example.net", "free-day").await;
    assert!(plain.get("/topup").await.expect(200).body.contains("Nothing to add"));
    let page = plain.get("/pay").await.expect(200);
    assert!(!page.body.contains("/topup"), "{}", page.body);
    plain.submit(&page, "/pay", &[("what", "topup"), ("id", "boost-1")]).await.expect(422);
    let (mut unpaid, _) = join(&lab, EMAIL, "home-20").await;
    let page = unpaid.get("/topup").await.expect(200);
    assert!(page.body.contains("Nothing to add"), "{}", page.body);
}

#[tokio::test]
async fn a_button_pressed_twice_pays_once_and_gives_one_period() {
    let lab = Lab::open(Certificate::Configured).await;
    let (mut browser, me) = join(&lab, EMAIL, "home-20").await;
    fund(&lab, me, 10_000_000, "1").await;
    let pay = browser.get("/pay").await.expect(200);
    let order = location(&browser.submit(&pay, "/pay", &[("what", "period")]).await.expect(303));
    let page = browser.get(&order).await.expect(200);
    for _ in 0..3 {
        browser.submit(&page, &order, &[("with", "wallet")]).await.expect(303);
    }
    assert!(browser.get(&order).await.expect(200).body.contains("We have received"));
    assert_eq!(lab.billing.till.wallet(me).await.unwrap(), ngn(10_000_000 - 2_250_000));
    assert_eq!(lab.billing.invoices_of(me).await.unwrap().len(), 1);
    // The PDF of it, for its owner; for nobody else is there anything.
    let invoice = lab.billing.invoices_of(me).await.unwrap()[0].invoice.id;
    let pdf = browser.get(&format!("/invoices/{invoice}/pdf")).await.expect(200);
    assert_eq!(pdf.header("content-type"), Some("application/pdf"));
    let (mut other, _) = join(&lab, "emeka@example.net", "free-day").await;
    for path in [format!("/invoices/{invoice}"), format!("/invoices/{invoice}/pdf"), order.clone()] {
        other.get(&path).await.expect(404);
    }
    let page = other.get("/pay").await.expect(200);
    let token = page.token("/pay");
    other.post(&order, &[("form_token", &token), ("with", "wallet")]).await.expect(404);
    let mut stranger = lab.safe_browser();
    assert!(stranger.get(&order).await.expect(200).body.contains("Log in to pay"));
}

#[tokio::test]
async fn an_empty_wallet_says_what_is_missing_and_wrong_amounts_make_no_order() {
    let lab = Lab::open(Certificate::Configured).await;
    let (mut browser, me) = join(&lab, EMAIL, "home-20").await;
    let pay = browser.get("/pay").await.expect(200);
    let order = location(&browser.submit(&pay, "/pay", &[("what", "period")]).await.expect(303));
    let page = browser.get(&order).await.expect(200);
    assert!(!page.body.contains("from my wallet"), "{}", page.body);
    let token = pay.token("/pay");
    let short = browser.post(&order, &[("form_token", &token), ("with", "wallet")]).await.expect(422);
    assert!(short.body.contains("Your wallet holds 0.00 NGN, and 22,500.00 NGN is needed"), "{}", short.body);
    for amount in ["", "0", "-5", "1e3", "12.345", "<script>", "99999999999999999999"] {
        let wrong = browser.submit(&pay, "/pay", &[("what", "wallet"), ("amount", amount)]).await.expect(422);
        assert!(!wrong.body.contains("<script>"), "{amount}");
    }
    let one = browser.submit(&pay, "/pay", &[("what", "wallet"), ("amount", "1,500.50")]).await.expect(303);
    assert!(browser.get(&location(&one)).await.expect(200).body.contains("1,500.50 NGN"));
    browser.submit(&pay, "/pay", &[("what", "something else")]).await.expect(422);
    browser.post("/pay", &[("form_token", "no"), ("what", "period")]).await.expect(403);
    assert_eq!(lab.billing.till.wallet(me).await.unwrap(), ngn(0));
}

#[tokio::test]
async fn money_goes_to_a_friend_after_a_second_look_and_once() {
    let lab = Lab::open(Certificate::Configured).await;
    let (mut browser, me) = join(&lab, EMAIL, "free-day").await;
    let (_, friend) = join(&lab, "emeka@example.net", "free-day").await;
    fund(&lab, me, 100_000, "1").await;
    let number =
        lab.store.get::<Subscribers>(&friend).await.unwrap().unwrap().body.customer_number.to_string();
    let wallet = browser.get("/wallet").await.expect(200);
    let fields = [("do", "look"), ("to", number.as_str()), ("amount", "400")];
    let asks = browser.submit(&wallet, "/wallet/send", &fields).await.expect(200);
    assert!(asks.body.contains("Send this?") && asks.body.contains("A. O."), "{}", asks.body);
    assert_eq!(lab.billing.till.wallet(friend).await.unwrap(), ngn(0), "a look moves nothing");
    let key = asks.body.split("name=\"key\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let fields = [("do", "send"), ("to", number.as_str()), ("amount", "400.00"), ("key", key.as_str())];
    for _ in 0..3 {
        let sent = browser.submit(&asks, "/wallet/send", &fields).await.expect(200);
        assert!(sent.body.contains("400.00 NGN went to"), "{}", sent.body);
    }
    assert_eq!(lab.billing.till.wallet(friend).await.unwrap(), ngn(40_000));
    assert_eq!(lab.billing.till.wallet(me).await.unwrap(), ngn(60_000));
    for fields in [
        [("do", "look"), ("to", "no-such"), ("amount", "1")],
        [("do", "look"), ("to", number.as_str()), ("amount", "-1")],
    ] {
        browser.submit(&wallet, "/wallet/send", &fields).await.expect(422);
    }
}

/// Paystack and M-Pesa at a stand-in.
fn gateways(at: &StandIn) -> Providers {
    let secret = || Secret::from_text(mock_gateway::SECRET);
    let hosts = vec!["127.0.0.1".to_owned()];
    let site = wire::Site { base_url: format!("{}/paystack", at.origin()), hosts };
    let paystack = paystack::Paystack::new(paystack::Settings { secret_key: secret(), site });
    let mpesa = mpesa::Mpesa::new(mpesa::Settings {
        shortcode: "174379".into(),
        passkey: secret(),
        consumer_key: secret(),
        consumer_secret: secret(),
        callback_token: Secret::from_text(mock_gateway::CALLBACK_TOKEN),
        sources: vec![],
        base_url: format!("{}/mpesa", at.origin()),
    });
    Providers::new(vec![Provider::Paystack(paystack), Provider::Mpesa(mpesa)]).unwrap()
}

async fn newest_payment(lab: &Lab, who: SubscriberId) -> Payment {
    lab.billing.payments_of(who).await.unwrap().remove(0)
}

/// Writes a payment down as it would be in a state that no gateway can be brought into here.
async fn put(lab: &Lab, payment: &Payment, status: PaymentStatus) {
    let record = lab.store.get::<Payments>(&payment.id).await.unwrap().unwrap();
    let changed =
        Payment { status, received: record.body.received.or(Some(payment.expected)), ..record.body };
    let unit = Unit::natural().replace::<Payments>(&payment.id, record.version, &changed).unwrap();
    lab.store.commit(unit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "a walk from page to page, to be read from top to bottom")]
async fn every_state_of_a_payment_has_a_page_that_says_what_to_do_and_needs_no_script() {
    let stand_in = StandIn::start().await;
    let lab = Lab::open_with(Certificate::Configured, gateways(&stand_in)).await;
    let (_, me) = join(&lab, EMAIL, "home-20").await;
    let rules = format!("--host-resolver-rules=MAP {NAME} {}, MAP * {}", lab.https, lab.http);
    let phone =
        Phone::start("states", Command::new("chromedriver"), &[rules, "--ignore-certificate-errors".into()])
            .await;
    phone.open(&format!("https://{NAME}/login")).await;
    phone.fill("#login", EMAIL).await;
    phone.fill("#password", PASSWORD).await;
    phone.click("main button").await;
    let order = |lab: &Lab| {
        let till = lab.billing.clone();
        let store = lab.store.clone();
        async move {
            let wish = dotmac_edge::billing::Wish::Wallet(ngn(150_000));
            let draft = till.shop.order(me, &wish, &Actor::system(), Timestamp::now()).await.unwrap();
            store.commit(draft.unit).await.unwrap();
            draft.value.id
        }
    };
    let begin = |lab: &Lab, id| {
        let attempts = lab.billing.attempts.clone();
        async move { attempts.begin(me, id, "paystack", None, Timestamp::now()).await.unwrap().payment }
    };
    let status = |payment: &Payment| format!("https://{NAME}/pay/status?payment={}", payment.reference);

    // Under way: the page looks again by itself and by a button; the order's page leads to the gateway.
    let first = order(&lab).await;
    let payment = begin(&lab, first).await;
    phone.open(&format!("https://{NAME}/pay/return?payment={}", payment.reference)).await;
    assert_eq!(
        (phone.path().await.as_str(), phone.heading().await.as_str()),
        ("/pay/status", "Not confirmed yet")
    );
    let body = phone.body().await;
    assert!(body.contains("1,500.00 NGN") && body.contains("Look again"), "{body}");
    phone.check("01-pending").await;
    phone.check_wide("01-pending").await;
    phone.tab_to("main a.btn").await;
    phone.enter().await;
    assert_eq!(phone.heading().await, "Not confirmed yet");
    phone.open(&format!("https://{NAME}/orders/{first}")).await;
    phone.check("02-order-pending").await;
    phone.check_wide("02-order-pending").await;

    // Failed: back to the order, to try again.
    stand_in.fail(&payment.reference);
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    phone.open(&status(&payment)).await;
    assert_eq!(phone.heading().await, "The payment failed");
    phone.check("03-failed").await;
    phone.check_wide("03-failed").await;
    phone.click(&format!("main a[href='/orders/{first}']")).await;
    assert!(phone.body().await.contains("The payment did not go through"));
    phone.check("04-order-failed").await;

    // Paid while the browser was away.
    let payment = begin(&lab, first).await;
    stand_in.pay(&payment.reference, None);
    phone.open(&format!("https://{NAME}/pay/return?payment={}", payment.reference)).await;
    assert_eq!(phone.heading().await, "Paid");
    assert!(phone.body().await.contains("We have received 1,500.00 NGN."));
    phone.check("05-paid").await;
    phone.check_wide("05-paid").await;
    phone.click(&format!("main a[href='/orders/{first}']")).await;
    phone.check("06-order-paid").await;

    // Paid late: the order does not count any more, and the money is not lost.
    let late = order(&lab).await;
    let payment = begin(&lab, late).await;
    let held = lab.store.get::<Orders>(&late).await.unwrap().unwrap();
    let mut over = held.body.clone();
    over.expires_at = Timestamp::now() - SignedDuration::from_secs(1);
    let unit = Unit::natural().replace::<Orders>(&late, held.version, &over).unwrap();
    lab.store.commit(unit).await.unwrap();
    stand_in.pay(&payment.reference, None);
    phone.open(&format!("https://{NAME}/pay/return?payment={}", payment.reference)).await;
    let body = phone.body().await;
    assert!(body.contains("Paid") && body.contains("the money is in the wallet"), "{body}");
    assert!(body.contains("See my wallet"), "{body}");
    phone.check("07-late").await;
    phone.open(&format!("https://{NAME}/orders/{late}")).await;
    phone.check("08-order-late").await;

    let third = order(&lab).await;
    let open = begin(&lab, third).await;
    for (at, (payment, state, title)) in [
        (&open, PaymentStatus::Expired, "Nothing was paid in time"),
        (&open, PaymentStatus::Cancelled, "The payment was cancelled"),
        (&payment, PaymentStatus::PartiallyRefunded, "Paid, and partly given back"),
        (&payment, PaymentStatus::Refunded, "Given back"),
        (&payment, PaymentStatus::Disputed, "Taken back by the bank"),
    ]
    .into_iter()
    .enumerate()
    {
        put(&lab, payment, state).await;
        phone.open(&status(payment)).await;
        assert_eq!(phone.heading().await, title);
        phone.check(&format!("{:02}-{}", at + 9, state.name())).await;
    }
    phone.open(&format!("https://{NAME}/pay/status?payment=pay-nobody-knows")).await;
    assert_eq!(phone.heading().await, "We do not know this payment");
    phone.check("14-unknown").await;
    phone.close().await;
    assert_eq!(lab.billing.till.wallet(me).await.unwrap(), ngn(300_000), "what came is there, once each");
}

#[tokio::test]
async fn more_data_is_bought_at_a_gateway_as_a_period_is() {
    let stand_in = StandIn::start().await;
    let lab = Lab::open_with(Certificate::Configured, gateways(&stand_in)).await;
    put_boosted_plan(&lab).await;
    let (mut browser, me) = join(&lab, EMAIL, "boost").await;
    let page = browser.get("/topup").await.expect(200);
    let order =
        location(&browser.submit(&page, "/pay", &[("what", "topup"), ("id", "two-hours")]).await.expect(303));
    let page = browser.get(&order).await.expect(200);
    browser.submit(&page, &order, &[("with", "paystack")]).await.expect(303);
    let payment = newest_payment(&lab, me).await;
    stand_in.pay(&payment.reference, None);
    for _ in 0..2 {
        let back = format!("/pay/return?payment={}", payment.reference);
        let status = location(&browser.get(&back).await.expect(303));
        assert!(browser.get(&status).await.expect(200).body.contains("We have received 200.00 NGN"));
    }
    let page = browser.get("/topup").await.expect(200);
    assert!(page.body.contains("<dd>12 h</dd>") && page.body.contains("2 h online"), "{}", page.body);
    assert_eq!(lab.billing.till.wallet(me).await.unwrap(), ngn(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mpesa_asks_for_a_number_and_enter_in_its_field_pays_in_no_other_way() {
    let stand_in = StandIn::start().await;
    let lab = Lab::open_with(Certificate::Configured, gateways(&stand_in)).await;
    let (_, me) = join(&lab, EMAIL, "home-20").await;
    fund(&lab, me, 10_000_000, "1").await;
    let rules = format!("--host-resolver-rules=MAP {NAME} {}, MAP * {}", lab.https, lab.http);
    let phone =
        Phone::start("mpesa", Command::new("chromedriver"), &[rules, "--ignore-certificate-errors".into()])
            .await;
    phone.open(&format!("https://{NAME}/login")).await;
    phone.fill("#login", EMAIL).await;
    phone.fill("#password", PASSWORD).await;
    phone.click("main button").await;
    phone.open(&format!("https://{NAME}/pay")).await;
    phone.click("button[value='period']").await;
    let order = phone.path().await;
    phone.check("01-ways").await;
    phone.check_wide("01-ways").await;
    for wrong in ["", "12", "0712345678"] {
        phone.open(&format!("https://{NAME}{order}")).await;
        phone.tab_to("#phone").await;
        phone.write(wrong).await;
        phone.enter().await;
        let body = phone.body().await;
        assert!(body.contains("number") && body.contains("How to pay"), "{wrong}: {body}");
        assert_eq!(lab.billing.till.wallet(me).await.unwrap(), ngn(10_000_000), "nothing else was pressed");
    }
    phone.check("02-wrong-number").await;
    phone.open(&format!("https://{NAME}{order}")).await;
    phone.tab_to("#phone").await;
    phone.write("+254 712 345 678").await;
    phone.enter().await;
    let body = phone.body().await;
    assert!(body.contains("Confirm on your phone"), "{body}");
    phone.check("03-confirm").await;
    phone.check_wide("03-confirm").await;
    let payment = newest_payment(&lab, me).await;
    stand_in.pay(&payment.reference, None);
    tokio::time::sleep(std::time::Duration::from_millis(2_100)).await;
    phone.open(&format!("https://{NAME}/pay/status?payment={}", payment.reference)).await;
    assert_eq!(phone.heading().await, "Paid");
    phone.open(&format!("https://{NAME}{order}")).await;
    phone.check("04-paid").await;
    phone.close().await;
}
