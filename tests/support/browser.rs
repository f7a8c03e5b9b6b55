//! Chromium as a small phone: 320 px wide, with script switched off, driven through its own driver; and what
//! holds on every page that it shows.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::Method;
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

/// A small phone's, and a desk's.
const NARROW: u32 = 320;
const WIDE: u32 = 1_280;

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
pub struct Phone {
    pub client: Client,
    driver: Child,
    /// Where its pictures go.
    gallery: PathBuf,
    /// Removed when the phone is.
    profile: tempfile::TempDir,
}

impl Phone {
    /// A browser that the calling thread can reach on loopback: `driver` is how chromedriver is started where
    /// the browser shall be, `more` what else Chromium is told.
    pub async fn start(gallery: &str, mut driver: Command, more: &[String]) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let driver = driver
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromium-driver; run .ci/deps");
        let profile = tempfile::tempdir().unwrap();
        let mut arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.extend_from_slice(more);
        let mut wanted = serde_json::Map::new();
        wanted.insert("goog:chromeOptions".into(), json!({ "args": arguments }));
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
        let gallery = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(gallery);
        std::fs::create_dir_all(&gallery).unwrap();
        let phone = Self { client: client.expect("chromedriver answers"), driver, gallery, profile };
        phone.size(NARROW, 640, true).await;
        phone.cdp("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
        phone
    }

    /// Ends the browser in order, so that it leaves no process behind.
    pub async fn close(self) {
        self.client.clone().close().await.unwrap();
    }

    /// As closing a mini-browser does: nothing is kept.
    pub async fn forget(&self) {
        self.cdp("Network.clearBrowserCookies", json!({})).await;
    }

    /// Types into a field in place of what is in it.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.client.find(Locator::Css(css)).await.unwrap();
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    pub async fn cdp(&self, command: &'static str, parameters: Value) -> Value {
        self.client.issue_cmd(Cdp(command, parameters)).await.unwrap()
    }

    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    pub async fn path(&self) -> String {
        self.client.current_url().await.unwrap().path().to_owned()
    }

    pub async fn heading(&self) -> String {
        self.client.find(Locator::Css("h1")).await.unwrap().text().await.unwrap()
    }

    pub async fn body(&self) -> String {
        self.client.find(Locator::Css("body")).await.unwrap().text().await.unwrap()
    }

    /// Presses Tab until the wanted element has the focus, and says which it passed.
    pub async fn tab_to(&self, css: &str) -> Vec<String> {
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

    pub async fn press(&self, key: &str, code: u32, text: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if kind == "keyDown" { text } else { "" };
            let event = json!({ "type": kind, "key": key, "code": key, "text": text,
                "windowsVirtualKeyCode": code, "nativeVirtualKeyCode": code });
            self.cdp("Input.dispatchKeyEvent", event).await;
        }
    }

    pub async fn write(&self, text: &str) {
        self.cdp("Input.insertText", json!({ "text": text })).await;
    }

    pub async fn enter(&self) {
        let before = self.client.find(Locator::Css("html")).await.unwrap();
        self.press("Enter", 13, "\r").await;
        self.left(&before).await;
    }

    /// Follows a link or sends a form.
    pub async fn click(&self, css: &str) {
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
    pub async fn check(&self, name: &str) {
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

    pub async fn scheme(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.cdp("Emulation.setEmulatedMedia", features).await;
    }

    /// The same page on a desk's screen, for people to look at: it fits there too.
    pub async fn check_wide(&self, name: &str) {
        self.size(WIDE, 900, false).await;
        let metrics = self.cdp("Page.getLayoutMetrics", json!({})).await;
        let width = metrics["cssContentSize"]["width"].as_f64().unwrap();
        assert!(width <= f64::from(WIDE), "{name} is {width} px wide");
        for scheme in ["light", "dark"] {
            self.scheme(scheme).await;
            self.shoot_of(name, &format!("wide-{scheme}"), WIDE).await;
        }
        self.scheme("light").await;
        self.size(NARROW, 640, true).await;
    }

    async fn size(&self, width: u32, height: u32, mobile: bool) {
        let scale = if mobile { 2 } else { 1 };
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        self.cdp("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// The whole page as a picture, for people to look at.
    pub async fn shoot(&self, name: &str, scheme: &str) {
        self.shoot_of(name, scheme, NARROW).await;
    }

    async fn shoot_of(&self, name: &str, scheme: &str, width: u32) {
        let metrics = self.cdp("Page.getLayoutMetrics", json!({})).await;
        let height = metrics["cssContentSize"]["height"].as_f64().unwrap();
        let clip = json!({ "x": 0, "y": 0, "width": width, "height": height, "scale": 1 });
        let wanted = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let shot = self.cdp("Page.captureScreenshot", wanted).await;
        let octets = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            shot["data"].as_str().unwrap(),
        );
        std::fs::write(self.gallery.join(format!("{name}-{scheme}.png")), octets.unwrap()).unwrap();
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        // After a test that failed, the browser is still there: what names our profile is ours.
        let profile = self.profile.path().display().to_string();
        for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let told = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
            let number = process.file_name().to_str().and_then(|name| name.parse().ok());
            if let Some(number) = number.filter(|_| told.contains(&profile)) {
                let _gone =
                    nix::sys::signal::kill(nix::unistd::Pid::from_raw(number), nix::sys::signal::SIGKILL);
            }
        }
    }
}
