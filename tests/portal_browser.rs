//! The portal in a real Chromium, with script switched off and the width of a small phone: somebody is
//! captive, chooses a plan, signs up, types the mailed code and looks at what they have, by keyboard too; and
//! no page scrolls sideways, hides its focus or has a field without a label.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]

#[path = "support/portal_lab.rs"]
mod portal_lab;
mod support;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::Method;
use fantoccini::error::CmdError;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use portal_lab::{Certificate, Lab, NAME};
use serde_json::{Value, json};

const EMAIL: &str = "ada@example.net";
const PASSWORD: &str = "a long enough pass phrase";

/// A command of Chromium's own protocol.
#[derive(Debug)]
struct Cdp(&'static str, Value);

impl WebDriverCompatibleCommand for Cdp {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.0, "params": self.1 }).to_string()))
    }
}

/// Chromium behind its driver, as a small phone without script.
struct Phone {
    client: Client,
    driver: Child,
    /// Removed when the phone is.
    _profile: tempfile::TempDir,
}

impl Phone {
    async fn new(lab: &Lab, kind: Certificate) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium-driver; run .ci/deps");
        let profile = tempfile::tempdir().unwrap();
        // A captive network: every name leads to the plain door, ours to the one with the pages.
        let pages: SocketAddr = if kind == Certificate::Configured { lab.https } else { lab.http };
        let rules = format!("MAP {NAME} {pages}, MAP * {}", lab.http);
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--ignore-certificate-errors".to_owned(),
            "--hide-scrollbars".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
            format!("--host-resolver-rules={rules}"),
        ];
        let mut wanted = serde_json::Map::new();
        wanted.insert("goog:chromeOptions".into(), json!({ "args": arguments }));
        wanted.insert("acceptInsecureCerts".into(), true.into());
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(wanted);
        let mut client = None;
        for _ in 0..100 {
            match builder.connect(&format!("http://127.0.0.1:{port}")).await {
                Ok(made) => {
                    client = Some(made);
                    break;
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
        let phone = Self { client: client.expect("chromedriver answers"), driver, _profile: profile };
        let size = json!({ "width": 320, "height": 640, "deviceScaleFactor": 2, "mobile": true });
        phone.cdp("Emulation.setDeviceMetricsOverride", size).await;
        phone.cdp("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        phone
    }

    async fn cdp(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(Cdp(command, parameters)).await.unwrap()
    }

    async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    async fn heading(&self) -> String {
        self.client.find(Locator::Css("h1")).await.unwrap().text().await.unwrap()
    }

    async fn body(&self) -> String {
        self.client.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// Presses Tab until the wanted element has the focus, and says which it passed.
    async fn tab_to(&self, css: &str) -> Vec<String> {
        let wanted = self.client.find(Locator::Css(css)).await.unwrap();
        let mut passed = Vec::new();
        for _ in 0..40 {
            self.press("Tab", 9, "").await;
            let active = self.client.active_element().await.unwrap();
            let name = active.attr("name").await.unwrap().or(active.attr("href").await.unwrap());
            passed.push(name.unwrap_or_else(|| "(button)".to_owned()));
            if active.element_id() == wanted.element_id() {
                return passed;
            }
        }
        panic!("{css} is not reached by Tab: {passed:?}");
    }

    async fn press(&self, key: &str, code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": key, "code": key, "text": text,
                "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code });
            self.cdp("Input.dispatchKeyEvent", event).await;
        }
    }

    async fn write(&self, text: &str) {
        self.cdp("Input.insertText", json!({ "text": text })).await;
    }

    async fn enter(&self) {
        let before = self.client.find(Locator::Css("html")).await.unwrap();
        self.press("Enter", 13, "\r").await;
        self.left(&before).await;
    }

    /// Follows a link or sends a form.
    async fn click(&self, css: &str) {
        let before = self.client.find(Locator::Css("html")).await.unwrap();
        self.client.find(Locator::Css(css)).await.unwrap().click().await.unwrap();
        self.left(&before).await;
    }

    /// Waits until the page of that element is gone and another is there.
    async fn left(&self, before: &fantoccini::elements::Element) {
        for _ in 0..200 {
            let gone = before.tag_name().await.is_err();
            if gone && self.client.find(Locator::Css("footer")).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no other page came");
    }

    /// What holds on every page: it fits, its fields have labels, its targets are large enough.
    async fn check(&self, name: &str) {
        let metrics = self.cdp("Page.getLayoutMetrics", json!({})).await;
        let width = metrics["cssContentSize"]["width"].as_f64().unwrap();
        assert!(width <= 320.0, "{name} is {width} px wide");
        self.check_labels(name).await;
        self.check_targets(name).await;
        self.shoot(name, "light").await;
        self.scheme("dark").await;
        self.shoot(name, "dark").await;
        self.scheme("light").await;
    }

    async fn check_labels(&self, name: &str) {
        for field in self.client.find_all(Locator::Css("input:not([type=hidden]), select")).await.unwrap() {
            let id = field.attr("id").await.unwrap().unwrap();
            let label = self.client.find(Locator::Css(&format!("label[for='{id}']"))).await;
            assert!(!label.unwrap().text().await.unwrap().is_empty(), "{name}: {id} has no label");
        }
    }

    async fn check_targets(&self, name: &str) {
        let targets = "input:not([type=hidden]), select, button, .btn, footer a, .brand";
        for target in self.client.find_all(Locator::Css(targets)).await.unwrap() {
            let (x, _, w, h) = target.rectangle().await.unwrap();
            assert!(h >= 43.9, "{name}: a target is {h} px high");
            assert!(x >= 0.0 && x + w <= 320.0, "{name}: a target reaches from {x} to {}", x + w);
        }
    }

    async fn scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// The whole page as a picture, for people to look at.
    async fn shoot(&self, name: &str, scheme: &str) {
        let metrics = self.cdp("Page.getLayoutMetrics", json!({})).await;
        let height = metrics["cssContentSize"]["height"].as_f64().unwrap();
        let clip = json!({ "x": 0, "y": 0, "width": 320, "height": height, "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.cdp("Page.captureScreenshot", wanted).await;
        let octets = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            shot["data"].as_str().unwrap(),
        );
        std::fs::write(gallery().join(format!("{name}-{scheme}.png")), octets.unwrap()).unwrap();
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Where the pictures are.
fn gallery() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("portal");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Ends the browser in order, so that it leaves no process behind.
async fn close(phone: Phone) -> Result<(), CmdError> {
    phone.client.clone().close().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_from_the_captive_probe_to_an_account_without_script() {
    let lab = Lab::open(Certificate::Configured).await;
    let phone = Phone::new(&lab, Certificate::Configured).await;
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
    close(phone).await.unwrap();
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

    let phone = Phone::new(&lab, Certificate::MadeHere).await;
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
    phone.open(&format!("http://{NAME}/nowhere")).await;
    phone.check("14-nowhere").await;
    phone.open(&format!("http://{NAME}/plans")).await;
    phone.check("15-plans").await;
    close(phone).await.unwrap();
}
