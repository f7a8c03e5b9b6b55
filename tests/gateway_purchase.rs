//! A subscriber's purchase, from inside the captive portal: a plan is bought at a payment gateway's page, the phone goes
//! online, is captive again when its time is over (the site's clock goes on by a week), reaches the way to pay
//! and nothing else, pays, and is back.

#![allow(clippy::print_stdout)]
#![allow(missing_docs, unreachable_pub, dead_code, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/gateway_lab.rs"]
mod gateway_lab;
#[path = "support/http.rs"]
mod http;
#[path = "support/mock_gateway.rs"]
mod mock_gateway;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/process.rs"]
mod process;

use std::time::{Duration, Instant};

use gateway_lab::{GatewayLab, PASSWORD, PORTAL, Page};
use mock_gateway::StandIn;
use netns::WEB4;
use serde_json::json;
use tokio::runtime::Runtime;

const EMAIL: &str = "ada.obi@example.net";
/// Where the stand-in is: private, so that it may speak plainly, and on a port that the walled garden lets through.
const BANK: &str = "10.99.0.1";

/// Addresses that are in no garden.
const FAR: [&str; 2] = ["http://198.51.100.10/generate_204", "http://[2001:db8:99::a]/generate_204"];

struct Shop {
    lab: GatewayLab,
    _runtime: Runtime,
    _keys: tempfile::TempDir,
}

fn open() -> Shop {
    let keys = tempfile::tempdir().unwrap();
    let bank = StandIn::named(format!("http://{BANK}:443"));
    let settings = bank.settings(keys.path(), "v3");
    let lab = GatewayLab::with(&settings);
    lab.world.internet.ip(&format!("addr add {BANK}/32 dev lo"));
    // The resolver leads every name to one address, and so the garden, which has the gateways' names, to it.
    lab.world.internet.ip("addr add 198.51.100.10/24 dev eth0");
    lab.world.internet.ip("addr add 2001:db8:99::a/64 dev eth0 nodad");
    lab.world.gateway.ip(&format!("route add {BANK}/32 via {WEB4}"));
    let listener = lab.world.internet.inside(|| std::net::TcpListener::bind(format!("{BANK}:443")).unwrap());
    listener.set_nonblocking(true).unwrap();
    let runtime = Runtime::new().unwrap();
    let inside = runtime.enter();
    bank.serve(tokio::net::TcpListener::from_std(listener).unwrap());
    drop(inside);
    let plan = json!({
        "plan_code": "week", "name": "A week", "service_type": "internet", "monthly_price": "500.00",
        "download_speed": 20, "upload_speed": 5, "billing_mode": "prepaid", "validity_days": 7,
    });
    lab.post("/api/v1/service-plans", plan).expect(201);
    Shop { lab, _runtime: runtime, _keys: keys }
}

impl Shop {
    fn see(&self, url: &str) -> Page {
        let page = self.lab.phone_curl(&["-L", url]);
        assert_eq!(page.status, 200, "{url}: {page:?}");
        page
    }

    /// Presses a button of a page, as a browser does; the page after the redirects.
    fn press(&self, shown: &Page, path: &str, button: &str) -> Page {
        let url = format!("https://{PORTAL}{path}");
        let token = format!("form_token={}", shown.hidden("form_token"));
        let page = self.lab.phone_curl(&[
            "-e",
            &url,
            "-L",
            "--data-urlencode",
            &token,
            "--data-urlencode",
            button,
            &url,
        ]);
        assert_eq!(page.status, 200, "{button} at {path}: {}\n{}", page.head, self.lab.place.log());
        page
    }

    /// From `/pay` to the gateway's page and back; the times of the press of its button to the page after, and to
    /// packets.
    fn buy(&self) -> (Page, Duration, Duration) {
        let pay = self.see(&format!("https://{PORTAL}/pay"));
        assert!(pay.body.contains("500"), "{pay:?}");
        let order = self.press(&pay, "/pay", "what=period");
        let action = between(&order.body, "action=\"/orders/", "\"");
        let path = format!("/orders/{action}");
        let chosen = self.press(&order, &path, "with=paystack");
        let checkout = format!(
            "http://{BANK}:443/pay/{}",
            between(&chosen.body, &format!("http://{BANK}:443/pay/"), "\"")
        );
        let shown = self.see(&checkout);
        assert!(shown.body.contains("Pay NGN 500"), "{shown:?}");
        let began = Instant::now();
        let back = self.lab.phone_curl(&["-L", "-d", "", &checkout]);
        let returned = began.elapsed();
        self.until(true, Duration::from_secs(5));
        (back, returned, began.elapsed())
    }

    fn until(&self, online: bool, within: Duration) {
        let began = Instant::now();
        let passes = |web: &str| self.lab.phone_curl(&["--max-time", "3", web]).status == 204;
        while FAR.iter().any(|web| passes(web) != online) {
            assert!(began.elapsed() < within, "online is not {online}:\n{}", self.lab.place.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let start = text.find(before).unwrap_or_else(|| panic!("no {before} in {text}")) + before.len();
    let rest = &text[start..];
    &rest[..rest.find(after).unwrap()]
}

#[test]
fn a_phone_buys_a_plan_is_cut_when_it_ends_reaches_the_way_to_pay_only_and_is_back_once_it_paid() {
    let mut shop = open();
    let clock = shop.lab.place.path("ahead");
    std::fs::write(&clock, "+0").unwrap();
    shop.lab.kill();
    shop.lab.start_with_clock(&clock);

    let confirmed = shop.lab.join(&shop.lab.world.phone, EMAIL, "week");
    assert_eq!(confirmed.answer["outcome"], "awaits_payment", "{}", confirmed.answer);
    let (back, returned, online) = shop.buy();
    println!("bought: the page after the gateway's button {returned:?}, packets {online:?}");
    assert!(back.status == 200 && back.body.contains("Paid"), "{back:?}");

    std::fs::write(&clock, "+7d").unwrap();
    let moved = Instant::now();
    shop.until(false, Duration::from_secs(15));
    println!("cut {:?} after the clock went on by a week", moved.elapsed());
    let elsewhere = shop.lab.phone_curl(&["--max-time", "3", FAR[0]]);
    assert_eq!(elsewhere.status, 302, "to the portal: {elsewhere:?}");
    let page = shop.lab.log_in(&shop.lab.world.phone, EMAIL, PASSWORD);
    assert!(!page.body.contains("You are online"), "{page:?}");

    let (back, returned, online) = shop.buy();
    println!("back: the page after the gateway's button {returned:?}, packets {online:?}");
    assert!(back.status == 200 && back.body.contains("Paid"), "{back:?}");
    let payments = shop.lab.get("/api/v1/payments").expect(200);
    assert_eq!(payments["total"], 2, "{payments}");
    let proof = shop.lab.get("/api/v1/ledger/proof").expect(200);
    assert_eq!(proof["is_right"], true, "{proof}");
    shop.lab.kill();
}
