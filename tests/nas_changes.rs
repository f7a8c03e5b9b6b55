//! What a NAS owes is done there: the real daemon tells a NAS that is not ours (pyrad) to end and to change sessions
//! which radclient has opened, and believes only its answers.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use process::{Daemon, PASSWORD, Place, SECRET};
use serde_json::{Value, json};

/// pyrad in the place of a router: what it was told, and how it answers.
struct Router {
    child: Child,
    told: Receiver<Value>,
    port: u64,
}

impl Drop for Router {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Router {
    fn start(place: &Place) -> Self {
        std::fs::write(place.path("router.secret"), SECRET).unwrap();
        std::fs::write(place.path("router.how"), "ack").unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/nas.py");
        let mut child = Command::new("/usr/bin/python3")
            .args([
                script.as_ref(),
                place.path("router.secret").as_os_str(),
                place.path("router.how").as_os_str(),
            ])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (sender, told) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let first: Value = told.recv_timeout(PATIENCE).unwrap();
        Self { child, told, port: first["port"].as_u64().unwrap() }
    }

    /// The next thing that it is told; signed, or the test ends.
    fn next(&self) -> Value {
        let told = self.told.recv_timeout(PATIENCE).expect("the router was told nothing");
        assert_eq!(told["fits"], true, "authenticators and Message-Authenticator: {told}");
        told
    }
}

struct Lab {
    place: Place,
    daemon: Daemon,
    router: Router,
    service: String,
}

impl Lab {
    /// A daemon with the subscriber `ada`, and a router that answers at the CoA port of its record.
    fn open() -> Self {
        let place = Place::new();
        let daemon = place.start();
        place.furnish();
        let router = Router::start(&place);
        let nas = json!({ "coa_port": router.port });
        let client = http::Client::unix(place.path("control.sock"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let path = "/api/v1/nas-devices/tower-1";
        runtime.block_on(client.send("PATCH".parse().unwrap(), path, Some(nas))).expect(200);
        let service =
            place.get("/api/v1/services").expect(200)["items"][0]["id"].as_str().unwrap().to_owned();
        Self { place, daemon, router, service }
    }

    fn answers(&self, how: &str) {
        std::fs::write(self.place.path("router.how"), how).unwrap();
    }

    /// Logs `ada` in and reports a Start, as a NAS does: with the Class that it was given.
    fn log_in(&self, session: &str) {
        let login = format!("User-Name=ada,User-Password=\"{PASSWORD}\",Message-Authenticator=0x00");
        let accept = radclient(&self.place.authentication.to_string(), "auth", &login);
        let class =
            accept.lines().find_map(|line| line.trim().strip_prefix("Class = ")).expect(&accept).to_owned();
        self.report(&format!("Acct-Status-Type=Start,Acct-Session-Id={session},Class={class}"));
    }

    fn report(&self, what: &str) {
        let report = format!(
            "User-Name=ada,Framed-IP-Address=10.9.0.7,Calling-Station-Id=02-00-00-00-00-07,NAS-IP-Address=127.0.0.1,{what}"
        );
        radclient(&self.place.accounting.to_string(), "acct", &report);
    }

    fn session(&self, name: &str) -> Value {
        let listed = self.place.get("/api/v1/sessions").expect(200);
        let found = listed["items"].as_array().unwrap().iter().find(|one| one["acct_session_id"] == name);
        found.unwrap_or_else(|| panic!("no session {name} in {listed}")).clone()
    }

    fn owed(&self) -> Vec<Value> {
        self.place.get("/api/v1/pending-changes").expect(200)["items"].as_array().unwrap().clone()
    }

    fn post(&self, path: &str, body: Value) -> http::Reply {
        self.place.post(path, body)
    }

    fn suspend(&self) {
        let path = format!("/api/v1/services/{}/suspend", self.service);
        self.post(&path, json!({ "reason": "customer_hold" })).expect(200);
    }

    /// Waits until `is` holds.
    fn until(&self, what: &str, is: impl Fn() -> bool) -> Duration {
        let began = Instant::now();
        while !is() {
            assert!(began.elapsed() < PATIENCE, "never: {what}\n{}", self.place.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        began.elapsed()
    }
}

/// radclient's answer.
fn radclient(to: &str, command: &str, attributes: &str) -> String {
    let mut child = Command::new("radclient")
        .args(["-x", "-r", "3", "-t", "2", to, command, SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(attributes.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn a_suspension_ends_the_session_at_its_nas_and_an_ack_is_the_proof() {
    let lab = Lab::open();
    lab.log_in("s-1");
    assert_eq!(lab.session("s-1")["open"], true);
    assert!(lab.owed().is_empty(), "{:?}", lab.owed());
    let began = Instant::now();
    lab.suspend();
    let told = lab.router.next();
    let heard = began.elapsed();
    assert_eq!((told["code"].as_u64(), &told["Acct-Session-Id"]), (Some(40), &json!("s-1")), "{told}");
    assert_eq!(
        (&told["User-Name"], &told["Framed-IP-Address"]),
        (&json!("ada"), &json!("10.9.0.7")),
        "{told}"
    );
    let stamp: i64 = told["Event-Timestamp"].as_str().unwrap().parse().unwrap();
    assert!((jiff::Timestamp::now().as_second() - stamp).abs() < 10, "{told}");
    lab.until("the session ends", || lab.session("s-1")["open"] == false);
    println!("from the suspension to the Disconnect-Request: {heard:?}");
    assert!(heard < Duration::from_secs(2), "{heard:?}");
    assert_eq!(lab.session("s-1")["closed_why"]["why"], "not_entitled", "{}", lab.session("s-1"));
    assert!(lab.owed().is_empty(), "{:?}", lab.owed());
    // The NAS's own Stop comes after it: its octets count, its session stays ended.
    lab.report("Acct-Status-Type=Stop,Acct-Session-Id=s-1,Acct-Session-Time=9,Acct-Output-Octets=4000");
    let after = lab.session("s-1");
    assert_eq!(
        (after["open"].as_bool(), after["download_octets"].as_u64()),
        (Some(false), Some(4_000)),
        "{after}"
    );
    lab.daemon.stop();
}

#[test]
fn an_order_that_is_not_answered_goes_out_again_octet_for_octet_and_is_owed_until_it_is() {
    let lab = Lab::open();
    lab.log_in("s-2");
    lab.answers("silent");
    lab.suspend();
    let (first, second) = (lab.router.next(), lab.router.next());
    assert_eq!(first, second, "a NAS that did it already knows the repeat");
    let owed = lab.owed();
    assert_eq!((owed.len(), &owed[0]["wanted"]), (1, &json!("disconnect")), "{owed:?}");
    assert_eq!(lab.session("s-2")["open"], true, "no answer is no proof");
    lab.answers("ack");
    lab.until("the session ends", || lab.session("s-2")["open"] == false);
    assert!(lab.owed().is_empty());
    lab.daemon.stop();
}

#[test]
fn a_nas_that_has_no_such_session_is_asked_by_its_id_alone_and_a_later_report_is_stronger() {
    let lab = Lab::open();
    lab.log_in("s-3");
    lab.answers("nak 503");
    lab.suspend();
    assert_eq!(lab.router.next()["User-Name"], "ada");
    let by_id = lab.router.next();
    assert_eq!((&by_id["Acct-Session-Id"], by_id.get("User-Name")), (&json!("s-3"), None), "{by_id}");
    lab.until("the session ends", || lab.session("s-3")["open"] == false);
    assert_eq!(lab.session("s-3")["closed_why"]["why"], "not_at_nas");
    // It was there after all: what the NAS reports is stronger than what it answered, and it is told again.
    lab.answers("ack");
    lab.report("Acct-Status-Type=Interim-Update,Acct-Session-Id=s-3,Acct-Session-Time=60");
    let again = lab.router.next();
    assert_eq!((again["code"].as_u64(), &again["Acct-Session-Id"]), (Some(40), &json!("s-3")), "{again}");
    lab.until("the session ends", || lab.session("s-3")["closed_why"]["why"] == "not_entitled");
    lab.daemon.stop();
}

#[test]
fn a_nas_that_does_not_know_an_attribute_is_told_without_it() {
    let lab = Lab::open();
    lab.log_in("s-4");
    lab.answers("by-id");
    lab.suspend();
    assert_eq!(lab.router.next()["User-Name"], "ada");
    assert_eq!(lab.router.next().get("User-Name"), None);
    lab.until("the session ends", || lab.session("s-4")["open"] == false);
    lab.daemon.stop();
}

#[test]
fn another_speed_is_told_in_mid_session_and_is_in_force_once_acknowledged() {
    let lab = Lab::open();
    let faster = json!({
        "plan_code": "home-50", "name": "Home 50", "service_type": "internet", "monthly_price": "30000.00",
        "download_speed": 50, "upload_speed": 10, "bandwidth_unit": "mbps"
    });
    lab.post("/api/v1/service-plans", faster).expect(201);
    lab.log_in("s-5");
    let path = format!("/api/v1/services/{}/change-plan", lab.service);
    lab.post(&path, json!({ "plan_code": "home-50" })).expect(200);
    let told = lab.router.next();
    let expected = (Some(43), &json!("s-5"), &json!("10M/50M"));
    assert_eq!(
        (told["code"].as_u64(), &told["Acct-Session-Id"], &told["Mikrotik-Rate-Limit"]),
        expected,
        "{told}"
    );
    lab.until("nothing is owed", || lab.owed().is_empty());
    assert_eq!(lab.session("s-5")["open"], true, "it goes on, faster");
    // Back again, at a NAS that cannot change a session: it is ended, so that it logs in anew.
    lab.answers("only-disconnect");
    lab.post(&path, json!({ "plan_code": "home-20" })).expect(200);
    assert_eq!(lab.router.next()["code"], 43);
    assert_eq!(lab.router.next()["code"], 40);
    lab.until("the session ends", || lab.session("s-5")["open"] == false);
    lab.daemon.stop();
}

#[test]
fn staff_end_a_session_at_a_nas_or_are_told_why_it_goes_on() {
    let lab = Lab::open();
    lab.log_in("s-6");
    let path = format!("/api/v1/sessions/{}/disconnect", lab.session("s-6")["id"].as_str().unwrap());
    lab.answers("nak 504");
    let refusal = lab.post(&path, json!({})).expect(503);
    let why = refusal["message"].as_str().unwrap();
    assert!(why.contains("Session Context Not Removable (504)"), "{refusal}");
    assert_eq!(lab.session("s-6")["open"], true);
    lab.answers("ack");
    assert_eq!(lab.post(&path, json!({})).expect(200)["disconnected"], true);
    assert_eq!(lab.session("s-6")["closed_why"]["why"], "disconnected");
    assert_eq!(lab.post(&path, json!({})).expect(200)["already"], true);
    lab.daemon.stop();
}

/// Longer than a loaded machine takes for any of it.
const PATIENCE: Duration = Duration::from_secs(30);
