//! The portal in a real Chromium, with script switched off and the width of a small phone: somebody is
//! captive, chooses a plan, signs up, types the mailed code and looks at what they have, by keyboard too; and
//! no page scrolls sideways, hides its focus or has a field without a label.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/portal_lab.rs"]
mod portal_lab;
mod support;

use std::net::SocketAddr;
use std::process::Command;

use browser::Phone;
use portal_lab::{Certificate, Lab, NAME};

const EMAIL: &str = "ada@example.net";
const PASSWORD: &str = "a long enough pass phrase";

/// A captive network: every name leads to the plain door, ours to the one with the pages.
async fn phone(lab: &Lab, kind: Certificate) -> Phone {
    let pages: SocketAddr = if kind == Certificate::Configured { lab.https } else { lab.http };
    let rules = format!("--host-resolver-rules=MAP {NAME} {pages}, MAP * {}", lab.http);
    let more = [rules, "--ignore-certificate-errors".to_owned()];
    Phone::start("portal", Command::new("chromedriver"), &more).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_from_the_captive_probe_to_an_account_without_script() {
    let lab = Lab::open(Certificate::Configured).await;
    let phone = phone(&lab, Certificate::Configured).await;
    phone.open("http://captive.apple.com/hotspot-detect.html").await;
    assert_eq!(phone.client.current_url().await.unwrap().as_str(), format!("https://{NAME}/"));
    assert_eq!(phone.heading().await, "Get online");
    phone.check("01-front").await;
    phone.click("a[href='/signup?plan=free-day']").await;
    assert_eq!(phone.heading().await, "Sign up");
    phone.check("02-signup").await;

    phone.click("button").await;
    let wrong = phone.client.active_element().await;
    assert!(wrong.is_ok() && phone.client.title().await.unwrap().starts_with("Error: "));
    phone.check("03-signup-faults").await;

    let passed = phone.tab_to("#first_name").await;
    assert_eq!(passed.last().unwrap(), "first_name");
    for (field, text) in
        [("first_name", "Ada"), ("last_name", "Obi"), ("email", EMAIL), ("password", PASSWORD)]
    {
        if field != "first_name" {
            assert_eq!(phone.tab_to(&format!("#{field}")).await, [field], "in the order that is read");
        }
        phone.write(text).await;
    }
    assert_eq!(phone.tab_to("button").await, ["phone", "street", "city", "(button)"]);
    phone.enter().await;
    assert_eq!(
        (phone.path().await.as_str(), phone.heading().await.as_str()),
        ("/confirm", "Enter your code")
    );
    phone.check("04-confirm").await;

    // The window closes and is opened anew, as mini-browsers do.
    phone.open("http://connectivitycheck.gstatic.com/generate_204").await;
    assert_eq!(phone.path().await, "/confirm");
    phone.tab_to("#code").await;
    phone.write("000000").await;
    phone.enter().await;
    assert!(phone.body().await.contains("That is not the code"));
    phone.check("05-confirm-wrong").await;
    phone.tab_to("#code").await;
    phone.write(&lab.mail(EMAIL, 1).await.code()).await;
    phone.enter().await;
    assert_eq!(phone.heading().await, "Your account is ready");
    phone.check("06-confirmed").await;

    phone.open(&format!("https://{NAME}/customer")).await;
    let body = phone.body().await;
    for words in ["Your account", "Ada Obi", "Free day", "Data left", "Sessions"] {
        assert!(body.contains(words), "{words}: {body}");
    }
    phone.check("07-account").await;
    phone.open(&format!("https://{NAME}/status")).await;
    phone.check("08-status").await;
    phone.click("form button").await;
    assert_eq!(phone.path().await, "/");
    phone.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_logs_in_by_keyboard_over_plain_pages_where_the_box_made_its_certificate() {
    let lab = Lab::open(Certificate::MadeHere).await;
    let mut other = lab.browser();
    let page = other.get("/signup").await;
    let fields = [
        ("plan", "free-day"),
        ("first_name", "Ada"),
        ("last_name", "Obi"),
        ("email", EMAIL),
        ("password", PASSWORD),
    ];
    other.submit(&page, "/signup", &fields).await.expect(303);
    let code = lab.mail(EMAIL, 1).await.code();
    let page = other.get("/confirm").await;
    other.submit(&page, "/confirm", &[("code", &code)]).await.expect(200);

    let phone = phone(&lab, Certificate::MadeHere).await;
    phone.open("http://www.msftconnecttest.com/redirect").await;
    assert_eq!(phone.client.current_url().await.unwrap().as_str(), format!("http://{NAME}/"));
    phone.tab_to("main a[href='/login']").await;
    phone.enter().await;
    phone.check("10-login").await;
    phone.tab_to("#login").await;
    phone.shoot("11-login-focus", "light").await;
    phone.write(EMAIL).await;
    phone.tab_to("#password").await;
    phone.write("not the password").await;
    phone.enter().await;
    assert!(phone.body().await.contains("Login or password is not right"));
    phone.check("12-login-wrong").await;
    phone.tab_to("#password").await;
    phone.write(PASSWORD).await;
    phone.enter().await;
    assert_eq!(
        (phone.path().await.as_str(), phone.heading().await.as_str()),
        ("/success", "Logged in, not connected")
    );
    phone.check("13-success").await;
    phone.open(&format!("http://{NAME}/voucher?code=abcd-efgh-jkmn")).await;
    assert_eq!(phone.heading().await, "Use a voucher");
    phone.check("16-voucher").await;
    phone.tab_to("#code").await;
    phone.enter().await;
    assert!(phone.body().await.contains("We do not know this code"));
    phone.check("17-voucher-wrong").await;
    phone.fill("#code", "not a code").await;
    phone.click("form.card button").await;
    assert!(phone.body().await.contains("twelve letters and digits"));
    phone.check("18-voucher-no-code").await;
    phone.open(&format!("http://{NAME}/nowhere")).await;
    phone.check("14-nowhere").await;
    phone.open(&format!("http://{NAME}/plans")).await;
    phone.check("15-plans").await;
    phone.close().await;
}
