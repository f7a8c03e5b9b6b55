//! A real Chromium behind the real gateway: script off, as wide as a small phone, resolver and routes as a
//! device has them; from the first captive page through signup and mail to the Internet, and every refusal.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/gateway_lab.rs"]
mod gateway_lab;
#[path = "support/http.rs"]
mod http;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/process.rs"]
mod process;

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use browser::Phone;
use gateway_lab::{GatewayLab, PASSWORD, PORTAL, POURING, PROBE};
use serde_json::json;
use sha2::{Digest, Sha256};

const EMAIL: &str = "ada.obi@example.net";
/// Apple's, which shows something when it is answered.
const OTHER_PROBE: &str = "http://captive.apple.com/hotspot-detect.html";

/// Runs a browser of the phone in the phone's namespace; what the lab does meanwhile goes [`apart`].
fn with_phone<F: Future<Output = ()>>(lab: &GatewayLab, work: impl FnOnce(Phone) -> F + Send) {
    let device = &lab.world.phone;
    // Only the portal's own key is trusted, as if its certificate were signed by somebody known.
    let key = std::fs::read_to_string(lab.place.path("portal.key")).unwrap();
    let key = rcgen::PublicKeyData::subject_public_key_info(&rcgen::KeyPair::from_pem(&key).unwrap());
    let pin = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(key));
    let more = [format!("--ignore-certificate-errors-spki-list={pin}")];
    let mut driver = Command::new("ip");
    driver.args(["netns", "exec", &device.name, "chromedriver"]);
    device.inside(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { work(Phone::start("gateway_browser", driver, &more).await).await });
    });
}

/// The lab waits for its own requests, which a thread of a runtime must not.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

/// Some megabytes, at the speed of the plan.
fn download(lab: &GatewayLab) {
    let words = ["-s", "-o", "/dev/null", "--http0.9", "-m", "1", POURING];
    apart(|| lab.world.phone.run("curl", &words));
}

async fn url(phone: &Phone) -> String {
    phone.client.current_url().await.unwrap().to_string()
}

async fn portal(phone: &Phone, path: &str) {
    phone.open(&format!("https://{PORTAL}{path}")).await;
}

#[track_caller]
fn says(page: &str, all: &[&str]) {
    for words in all {
        assert!(page.contains(words), "{words}: {page}");
    }
}

/// Both probes get their real answers: the first shows a page, the second none, so that the first stays.
async fn is_online(phone: &Phone) -> bool {
    phone.open(OTHER_PROBE).await;
    let is_real = url(phone).await == OTHER_PROBE;
    let shown = phone.body().await;
    assert_eq!(shown.trim() == "Success", is_real, "{}: {shown:?}", url(phone).await);
    let _nothing_to_show = phone.client.goto(PROBE).await;
    assert_eq!(url(phone).await == OTHER_PROBE, is_real, "the probes differ: {}", url(phone).await);
    is_real
}

/// Chooses a plan on the front page and fills the form in.
async fn sign_up(phone: &Phone, plan: &str) {
    phone.click(&format!("a[href='/signup?plan={plan}']")).await;
    for (field, text) in
        [("#first_name", "Ada"), ("#last_name", "Obi"), ("#email", EMAIL), ("#password", PASSWORD)]
    {
        phone.fill(field, text).await;
    }
    phone.click("button").await;
    assert_eq!(phone.path().await, "/confirm");
}

async fn log_in(phone: &Phone, password: &str) {
    portal(phone, "/login").await;
    phone.fill("#login", EMAIL).await;
    phone.fill("#password", password).await;
    phone.click("button").await;
}

async fn log_out(phone: &Phone) {
    portal(phone, "/status").await;
    phone.click("form[action='/logout'] button").await;
}

#[test]
fn a_stranger_gets_online_sees_what_they_use_and_logs_out() {
    let lab = GatewayLab::new();
    lab.free_plan(
        "home-20",
        20,
        5,
        &json!({
            "name": "Home 20", "monthly_price": "17500.00", "setup_fee": "5000.00", "data_allowance": 50,
            "validity_days": 30, "description": "For a home with several devices.",
        }),
    );
    lab.free_plan(
        "free-day",
        20,
        5,
        &json!({
            "name": "Free day", "data_allowance": 1, "validity_days": 1, "device_limit": 2,
        }),
    );
    with_phone(&lab, async |phone| {
        let lab = &lab;
        for probe in [PROBE, OTHER_PROBE] {
            phone.open(probe).await;
            assert_eq!(url(&phone).await, format!("https://{PORTAL}/"));
            assert_eq!(phone.heading().await, "Get online");
        }
        phone.check("01-front").await;
        sign_up(&phone, "free-day").await;
        assert!(!apart(|| lab.is_online(&lab.world.phone)), "not before the address is known");
        portal(&phone, "/").await;
        phone.check("02-confirm").await;
        phone.fill("#code", &apart(|| lab.code(EMAIL, 1))).await;
        phone.click("button").await;
        assert_eq!(
            (phone.path().await.as_str(), phone.heading().await.as_str()),
            ("/success", "You are online")
        );
        assert!(apart(|| lab.is_online(&lab.world.phone)), "at once");
        phone.check("03-success").await;
        assert!(is_online(&phone).await, "{} {}", url(&phone).await, phone.body().await);
        what_is_shown(lab, &phone).await;
        log_out(&phone).await;
        assert_eq!(phone.path().await, "/");
        portal(&phone, "/status").await;
        says(&phone.body().await, &["Not online", "Nobody is logged in on this device", "Log in"]);
        phone.check("06-status-nobody").await;
        assert!(!is_online(&phone).await);
        assert_eq!(url(&phone).await, format!("https://{PORTAL}/"), "captive again");
        phone.close().await;
    });
}

async fn what_is_shown(lab: &GatewayLab, phone: &Phone) {
    portal(phone, "/").await;
    assert_eq!(phone.path().await, "/status", "whoever is online is shown that");
    let until = Instant::now() + Duration::from_secs(30);
    let page = loop {
        let page = phone.body().await;
        if page.contains(" MB down") {
            break page;
        }
        assert!(Instant::now() < until, "nothing was counted: {page}");
        download(lab);
        phone.click("main a[href='/status']").await;
    };
    says(&page, &["You are online", "Free day", "20 Mbit/s", "5 Mbit/s", "23 h 5", "of 1 GB"]);
    phone.check("04-status").await;
    portal(phone, "/customer").await;
    says(
        &phone.body().await,
        &["Ada Obi", "Free day", "Active", "of 1 GB", "Sessions", "Online for", "This device"],
    );
    phone.check("05-account").await;
}

#[test]
fn somebody_reads_their_mail_before_the_code_is_typed_and_finds_the_way_back_without_cookies() {
    let lab = GatewayLab::new();
    lab.free_plan("mail-first", 20, 5, &json!({ "name": "Mail first", "confirmation_access_minutes": 5 }));
    lab.free_plan("mail-later", 20, 5, &json!({ "name": "Mail later" }));
    with_phone(&lab, async |phone| {
        let lab = &lab;
        phone.open(PROBE).await;
        sign_up(&phone, "mail-later").await;
        phone.forget().await;
        phone.open(OTHER_PROBE).await;
        assert_eq!(url(&phone).await, format!("https://{PORTAL}/confirm"), "found by its device");
        phone.click("a[href='/signup']").await;
        phone.check("10-signup").await;
        portal(&phone, "/plans").await;
        sign_up(&phone, "mail-first").await;
        assert!(apart(|| lab.is_online(&lab.world.phone)), "for its mail, at once");
        phone.check("11-confirm-online").await;
        assert!(is_online(&phone).await, "{} {}", url(&phone).await, phone.body().await);
        phone.forget().await;
        portal(&phone, "/").await;
        assert_eq!(phone.path().await, "/confirm");
        portal(&phone, "/status").await;
        phone.check("12-status-confirming").await;
        says(&phone.body().await, &["not confirmed yet"]);
        phone.click("main a[href='/confirm']").await;
        phone.fill("#code", "000000").await;
        phone.click("button").await;
        phone.check("13-confirm-wrong").await;
        phone.fill("#code", &apart(|| lab.code(EMAIL, 2))).await;
        phone.click("button").await;
        assert_eq!(phone.heading().await, "You are online");
        assert!(is_online(&phone).await, "{} {}", url(&phone).await, phone.body().await);
        portal(&phone, "/status").await;
        says(&phone.body().await, &["Mail first", "Unlimited", "No limit"]);
        phone.check("14-status-unlimited").await;
        phone.close().await;
    });
}

#[test]
fn every_refusal_says_in_plain_words_what_is_wrong_and_what_to_do() {
    let lab = GatewayLab::new();
    lab.free_plan("small", 20, 5, &json!({ "name": "Small", "data_allowance": 0.001, "device_limit": 1 }));
    let confirmed = lab.join(&lab.world.other, EMAIL, "small");
    let service = confirmed.answer["service_id"].as_str().unwrap().to_owned();
    with_phone(&lab, async |phone| {
        let lab = &lab;
        phone.open(PROBE).await;
        phone.click("main a[href='/login']").await;
        log_in(&phone, "not the password").await;
        says(&phone.body().await, &["Login or password is not right", "Check both"]);
        phone.check("20-wrong-password").await;
        log_in(&phone, PASSWORD).await;
        says(
            &phone.body().await,
            &["Too many devices", "one device at a time", "Choose one to take offline"],
        );
        phone.check("21-too-many-devices").await;
        assert!(!is_online(&phone).await);

        let path = format!("/api/v1/services/{service}");
        apart(|| lab.post(&format!("{path}/suspend"), json!({ "reason": "customer_hold" })).expect(200));
        log_in(&phone, PASSWORD).await;
        says(&phone.body().await, &["Paused", "you asked for it"]);
        phone.check("22-suspended").await;
        portal(&phone, "/status").await;
        says(&phone.body().await, &["Paused"]);
        phone.check("23-status-suspended").await;
        apart(|| lab.post(&format!("{path}/resume"), json!({ "reason": "customer_hold" })).expect(200));

        log_in(&phone, PASSWORD).await;
        assert!(is_online(&phone).await, "the place is free again");
        let until = Instant::now() + Duration::from_secs(30);
        while apart(|| lab.is_online(&lab.world.phone)) {
            assert!(Instant::now() < until, "still online: {:?}", apart(|| lab.open_sessions()));
            download(lab);
        }
        portal(&phone, "/status").await;
        says(&phone.body().await, &["Your data is used up", "of 1 MB"]);
        phone.check("24-status-used-up").await;
        log_in(&phone, PASSWORD).await;
        says(&phone.body().await, &["Your data is used up", "Renew"]);
        phone.check("25-used-up").await;
        portal(&phone, "/customer").await;
        says(&phone.body().await, &["Data used up", "of 1 MB", "Sessions"]);
        phone.check("26-account-used-up").await;
        portal(&phone, "/nowhere").await;
        phone.check("27-nowhere").await;
        phone.close().await;
    });
}

/// The cookies that matter go over TLS only, and no page is at the doors of others.
#[test]
fn cookies_of_safe_pages_are_secure_and_no_other_door_serves_pages() {
    let lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({}));
    let joined = lab.join(&lab.world.phone, EMAIL, "free");
    assert_eq!(joined.answer["outcome"], "online");
    let device = &lab.world.phone;
    let login = json!({ "email": EMAIL, "password": PASSWORD });
    let by_api = lab.api(device, "/api/v1/auth/customer/login", &login);
    let by_page = lab.curl(device, &[&format!("https://{PORTAL}/login")]);
    for page in [by_api, by_page] {
        assert_eq!(page.status, 200, "{page:?}");
        let cookies: Vec<_> =
            page.head.lines().filter(|line| line.to_lowercase().starts_with("set-cookie:")).collect();
        assert!(!cookies.is_empty(), "{page:?}");
        assert!(
            cookies.iter().all(|line| line.contains("; Secure") && line.contains("; HttpOnly")),
            "{cookies:?}"
        );
    }
    let plain = lab.curl(device, &[&format!("http://{PORTAL}/login")]);
    assert_eq!((plain.status, plain.header("location")), (302, format!("https://{PORTAL}/login").as_str()));
    assert_eq!(plain.header("set-cookie"), "");
    for door in [lab.place.admin, lab.place.metrics] {
        for path in ["/", "/login", "/signup", "/plans", "/status", "/success", "/confirm", "/capport/api"] {
            let page = lab.curl(&lab.world.gateway, &[&format!("http://{door}{path}")]);
            assert!(page.status >= 400 && !page.body.contains("<html"), "{path} at {door}: {page:?}");
            assert_eq!(page.header("set-cookie"), "");
        }
    }
}
