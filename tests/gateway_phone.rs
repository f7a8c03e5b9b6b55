//! Devices at a real gateway: what a phone meets from the first packet on, through the daemon's end and
//! start, with nothing of ours at either side of it.

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

use gateway_lab::{GatewayLab, PASSWORD, PORTAL, POURING, PROBE};
use netns::{WEB4, WEB6};
use serde_json::json;

const EMAIL: &str = "ada.obi@example.net";

#[test]
fn a_stranger_is_led_to_the_portal_and_becomes_a_subscriber_whose_neighbour_stays_outside() {
    let lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({}));
    for family in ["-4", "-6"] {
        let page = lab.phone_curl(&[family, PROBE]);
        assert_eq!(page.status, 302, "{page:?}");
        assert_eq!(page.header("location"), format!("https://{PORTAL}/"));
    }
    for web in [WEB4.to_owned(), format!("[{WEB6}]")] {
        assert!(lab.phone_curl(&[&format!("https://{web}/")]).is_refused(), "at once, and not silently");
    }
    let confirmed = lab.join(&lab.world.phone, EMAIL, "free");
    assert_eq!(confirmed.answer["outcome"], "online", "{}", confirmed.answer);
    assert!(lab.is_online(&lab.world.phone));
    assert!(!lab.is_online(&lab.world.other), "the neighbour is not meant");
}

#[test]
fn without_the_daemon_who_is_online_stays_so_and_nobody_else_gets_through() {
    let mut lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({}));
    lab.join(&lab.world.phone, EMAIL, "free");
    let mut download = lab.download(&lab.world.phone, POURING);
    lab.kill();
    let before = download.octets();
    assert!(lab.is_online(&lab.world.phone), "packets pass without a daemon");
    let portal = format!("https://{PORTAL}/");
    assert!(lab.phone_curl(&[&portal]).is_refused(), "nobody is there");
    let stranger = lab.curl(&lab.world.other, &["--max-time", "3", &format!("http://{WEB4}/")]);
    assert!(stranger.is_refused(), "{stranger:?}");
    lab.start();
    assert!(lab.is_online(&lab.world.phone));
    assert!(!lab.is_online(&lab.world.other));
    assert_eq!(download.ended(), None, "the download goes on");
    assert!(download.octets() > before, "and brings something");
    assert_eq!(lab.open_sessions().len(), 1);
}

#[test]
fn a_customer_logs_in_on_the_page_and_is_cut_off_when_the_service_is_suspended() {
    let lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({ "device_limit": 2 }));
    let confirmed = lab.join(&lab.world.phone, EMAIL, "free");
    let wrong = lab.log_in(&lab.world.other, EMAIL, "not the password");
    assert_eq!(wrong.status, 422, "{wrong:?}");
    assert!(!lab.is_online(&lab.world.other));
    let page = lab.log_in(&lab.world.other, EMAIL, PASSWORD);
    assert_eq!(page.status, 200, "{page:?}");
    assert!(lab.is_online(&lab.world.other), "{page:?}");
    assert_eq!(lab.open_sessions().len(), 2);

    let service = confirmed.answer["service_id"].as_str().unwrap();
    let lock = json!({ "reason": "admin", "note": "unpaid" });
    lab.post(&format!("/api/v1/services/{service}/suspend"), lock).expect(200);
    let until = Instant::now() + Duration::from_secs(2);
    while lab.is_online(&lab.world.phone) {
        assert!(Instant::now() < until, "still online");
    }
    assert!(!lab.is_online(&lab.world.other));
}

#[test]
fn a_signup_outlives_the_daemon_and_goes_on_on_its_device_without_a_cookie() {
    let mut lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({}));
    let signup = lab.sign_up(&lab.world.phone, EMAIL, "free");
    lab.kill();
    lab.start();
    lab.forget_cookies(&lab.world.phone);
    let front = lab.phone_curl(&["-L", &format!("https://{PORTAL}/")]);
    assert!(front.status == 200 && front.body.contains("Enter your code"), "{front:?}");
    let elsewhere = lab.curl(&lab.world.other, &["-L", &format!("https://{PORTAL}/")]);
    assert!(!elsewhere.body.contains("Enter your code"), "it is the phone's: {elsewhere:?}");
    for path in ["/api/v1/customers", "/openapi.json", "/api/v1/auth/login", "/api/v1/sessions"] {
        assert_eq!(lab.phone_curl(&[&format!("https://{PORTAL}{path}")]).status, 404, "{path} is for staff");
    }
    let path = format!("/api/v1/customers/signup/{}/confirm", signup["id"].as_str().unwrap());
    let confirmed = lab.api(&lab.world.phone, &path, &json!({ "code": lab.code(EMAIL, 1) })).json(200);
    assert_eq!(confirmed["outcome"], "online", "{confirmed}");
    assert!(lab.is_online(&lab.world.phone));
}

#[test]
fn the_minutes_to_read_the_mail_pass_packets_and_end_and_a_logout_ends_them_too() {
    let lab = GatewayLab::new();
    lab.free_plan("free", 20, 5, &json!({ "confirmation_access_minutes": 1 }));
    let began = Instant::now();
    let signup = lab.sign_up(&lab.world.phone, EMAIL, "free");
    assert!(lab.is_online(&lab.world.phone), "at once, to read the mail");
    assert!(!lab.is_online(&lab.world.other));
    let confirm = format!("https://{PORTAL}/confirm");
    assert!(lab.phone_curl(&[&confirm]).body.contains("Online until"));
    while lab.is_online(&lab.world.phone) {
        assert!(began.elapsed() < Duration::from_secs(80), "still online");
        std::thread::sleep(Duration::from_millis(200));
    }
    assert!(began.elapsed() > Duration::from_secs(50), "a whole minute: {:?}", began.elapsed());
    assert!(!lab.phone_curl(&[&confirm]).body.contains("Online until"), "not any more");

    let path = format!("/api/v1/customers/signup/{}/confirm", signup["id"].as_str().unwrap());
    lab.api(&lab.world.phone, &path, &json!({ "code": lab.code(EMAIL, 1) })).json(200);
    assert!(lab.is_online(&lab.world.phone));
    let url = format!("https://{PORTAL}/api/v1/auth/customer/logout");
    let as_our_page = ["-H", "Sec-Fetch-Site: same-origin", "-H", "Content-Type: application/json"];
    lab.phone_curl(&[&as_our_page[..], &["--data-binary", "{}", &url]].concat()).json(200);
    assert!(lab.is_online(&lab.world.phone), "it ends a visit of an app, not the device's time online");

    lab.log_in(&lab.world.phone, EMAIL, PASSWORD);
    let (status, logout) = (format!("https://{PORTAL}/status"), format!("https://{PORTAL}/logout"));
    let shown = lab.phone_curl(&[&status]);
    let form =
        shown.body.split_once("action=\"/logout\"").unwrap_or_else(|| panic!("{shown:?}")).1.to_owned();
    let token = format!("form_token={}", gateway_lab::Page { body: form, ..shown }.hidden("form_token"));
    let gone = lab.phone_curl(&["-e", &status, "--data-urlencode", &token, &logout]);
    assert_eq!(gone.status, 303, "{gone:?}");
    assert!(!lab.is_online(&lab.world.phone), "no packet passes after the logout");
    assert!(lab.open_sessions().is_empty());
}

#[test]
fn a_device_reads_its_time_and_octets_left_from_the_captive_portal_api() {
    let lab = GatewayLab::new();
    let limits = json!({ "data_allowance": 1, "validity_hours": 2 });
    lab.free_plan("free", 20, 5, &limits);
    let url = format!("https://{PORTAL}/capport/api");
    let ask = || lab.phone_curl(&["-H", "Accept: application/captive+json", &url]).json(200);
    let before = ask();
    assert_eq!(before["captive"], true, "{before}");
    assert!(before["seconds-remaining"].is_null() && before["bytes-remaining"].is_null(), "{before}");
    lab.join(&lab.world.phone, EMAIL, "free");
    let fresh = ask();
    assert_eq!(fresh["captive"], false, "{fresh}");
    let seconds = fresh["seconds-remaining"].as_u64().unwrap();
    assert!((7_000..=7_200).contains(&seconds), "{fresh}");
    let left = fresh["bytes-remaining"].as_u64().unwrap();
    assert!((900_000_000..=1_000_000_000).contains(&left), "{fresh}");
    let download = lab.download(&lab.world.phone, POURING);
    let until = Instant::now() + Duration::from_secs(20);
    while download.octets() < 2_000_000 {
        assert!(Instant::now() < until, "nothing comes");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(download);
    let used = ask()["bytes-remaining"].as_u64().unwrap();
    assert!(used + 2_000_000 <= left, "{used} of {left}: what passed is counted when it is asked");
}
