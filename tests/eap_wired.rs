//! A switch that is not ours (hostapd, IEEE 802.1X on a wire) and a device that is not ours (wpa_supplicant) at the two
//! ends of a cable: the device is let in by PEAP and by EAP-TTLS, accounted for, and thrown off when its service is
//! suspended.

#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock")]

#[path = "support/eap_pki.rs"]
mod eap_pki;
#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use eap_pki::Pki;
use nix::sys::signal::Signal;
use process::{Daemon, PASSWORD, Place, SECRET};
use serde_json::{Value, json};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The cable: one end here, at the switch, the other in a namespace of the device's own.
struct Cable {
    port: String,
    device: String,
}

impl Cable {
    fn new() -> Self {
        // Names of interfaces have 15 octets at most.
        let name = format!("{}{}", std::process::id(), NEXT.fetch_add(1, Ordering::SeqCst));
        let (port, device) = (format!("eap{name}"), format!("eap-{name}"));
        let cable = Self { port, device };
        let Self { port, device } = &cable;
        ip(&["netns", "add", device]);
        ip(&["link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", device]);
        ip(&["link", "set", port, "up"]);
        ip(&["-n", device, "link", "set", "eth0", "address", "02:00:00:00:00:0e"]);
        ip(&["-n", device, "link", "set", "eth0", "up"]);
        cable
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        // The other end goes with it.
        let _gone = Command::new("ip").args(["netns", "del", &self.device]).status();
    }
}

fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().unwrap();
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A program that ends with the value; what it says is in a file.
struct Program(Child);

impl Program {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let child =
            command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log).spawn().unwrap();
        Self(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Lab {
    place: Place,
    daemon: Daemon,
    pki: Pki,
    cable: Cable,
    switch: Program,
    service: String,
}

impl Lab {
    fn open() -> Self {
        let (place, pki, cable) = (Place::new(), Pki::new(), Cable::new());
        let path = |name: &str| place.path(name).display().to_string();
        install(&place, &pki);
        place.configure(&format!(
            "{}[radius.eap]\ncertificate = \"file:{}\"\nprivate_key = \"file:{}\"\n",
            place.text(),
            path("eap.pem"),
            path("eap.key")
        ));
        let daemon = place.start();
        place.furnish();
        let change_port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let client = http::Client::unix(place.path("control.sock"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let nas = json!({ "coa_port": change_port, "kind": "generic" });
        let answer = client.send("PATCH".parse().unwrap(), "/api/v1/nas-devices/tower-1", Some(nas));
        runtime.block_on(answer).expect(200);
        let switch = switch(&place, &cable, change_port);
        let services = place.get("/api/v1/services").expect(200);
        let service = services["items"][0]["id"].as_str().unwrap().to_owned();
        Self { place, daemon, pki, cable, switch, service }
    }

    /// Plugs a device in that logs in so; it is the device's until it is dropped.
    fn plug_in(&self, method: &str, inner: &str, ca: &Path) -> Program {
        let config = self.place.path("device.conf");
        let text = format!(
            "ap_scan=0\nnetwork={{\nkey_mgmt=IEEE8021X\neap={method}\nidentity=\"ada\"\n\
             anonymous_identity=\"anonymous\"\npassword=\"{PASSWORD}\"\nca_cert=\"{}\"\n\
             domain_match=\"radius.example.net\"\nphase2=\"{inner}\"\neapol_flags=0\n}}\n",
            ca.display()
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.cable.device, "wpa_supplicant", "-Dwired", "-ieth0", "-c"]);
        Program::start(command.arg(&config), &self.place.path("device.log"))
    }

    /// Whether the switch lets the device's frames pass.
    fn is_authorized(&self) -> bool {
        let control = self.place.path("switch");
        let output = Command::new("hostapd_cli").arg("-p").arg(control).arg("all_sta").output();
        let output = output.expect("hostapd is installed by `make deps`");
        String::from_utf8_lossy(&output.stdout).contains("[AUTHORIZED]")
    }

    fn sessions(&self) -> Vec<Value> {
        self.place.get("/api/v1/sessions").expect(200)["items"].as_array().unwrap().clone()
    }

    fn open_sessions(&self) -> Vec<Value> {
        self.sessions().into_iter().filter(|session| session["open"] == true).collect()
    }

    fn until(&self, what: &str, is: impl Fn() -> bool) {
        let began = Instant::now();
        while !is() {
            let log = |name: &str| std::fs::read_to_string(self.place.path(name)).unwrap_or_default();
            assert!(
                began.elapsed() < process::PATIENCE,
                "never: {what}\n{}\n{}\n{}",
                self.place.log(),
                log("switch.log"),
                log("device.log")
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Puts the server's certificate and key where the configuration says.
fn install(place: &Place, pki: &Pki) {
    let chain = format!("{}{}", pki.server.certificate, pki.ca);
    for (name, text) in [("eap.pem", &chain), ("eap.key", &pki.server.key)] {
        std::fs::write(place.path(name), text).unwrap();
        std::fs::set_permissions(place.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn switch(place: &Place, cable: &Cable, change_port: u16) -> Program {
    let config = place.path("switch.conf");
    let text = format!(
        "interface={}\ndriver=wired\nieee8021x=1\nctrl_interface={}\nnas_identifier=switch\n\
         own_ip_addr=127.0.0.1\nlogger_stdout=-1\nlogger_stdout_level=0\n\
         auth_server_addr=127.0.0.1\nauth_server_port={}\nauth_server_shared_secret={SECRET}\n\
         acct_server_addr=127.0.0.1\nacct_server_port={}\nacct_server_shared_secret={SECRET}\n\
         radius_das_port={change_port}\nradius_das_client=127.0.0.1 {SECRET}\n\
         radius_das_require_event_timestamp=1\nradius_das_require_message_authenticator=1\n",
        cable.port,
        place.path("switch").display(),
        place.authentication.port(),
        place.accounting.port()
    );
    std::fs::write(&config, text).unwrap();
    Program::start(Command::new("hostapd").arg(&config), &place.path("switch.log"))
}

#[test]
fn a_device_at_a_switch_is_let_in_accounted_for_and_thrown_off_when_its_service_is_suspended() {
    for (method, inner) in [("PEAP", "auth=MSCHAPV2"), ("TTLS", "auth=PAP")] {
        // A switch each: hostapd gives a device that comes back the Acct-Session-Id that it has ended.
        let lab = Lab::open();
        let device = lab.plug_in(method, inner, &lab.pki.path("ca.pem"));
        lab.until("the switch lets the device in", || lab.is_authorized());
        lab.until("its session is open", || lab.open_sessions().len() == 1);
        let session = lab.open_sessions().remove(0);
        assert_eq!(session["service_id"].as_str().unwrap(), lab.service, "{session}");
        assert!(session["calling_station"].as_str().unwrap().to_uppercase().ends_with("0E"), "{session}");

        let path = format!("/api/v1/services/{}/suspend", lab.service);
        lab.place.post(&path, json!({ "reason": "customer_hold" })).expect(200);
        lab.until("the switch throws the device off", || !lab.is_authorized());
        lab.until("its session has ended", || lab.open_sessions().is_empty());
        drop(device);
    }
}

#[test]
fn a_new_certificate_is_for_conversations_that_begin_then_without_a_restart() {
    let lab = Lab::open();
    let device = lab.plug_in("PEAP", "auth=MSCHAPV2", &lab.pki.path("ca.pem"));
    lab.until("the switch lets the device in", || lab.is_authorized());
    drop(device);

    let renewed = Pki::new();
    install(&lab.place, &renewed);
    lab.daemon.signal(Signal::SIGHUP);
    // Who trusts the new CA only gets in once the new certificate is shown.
    let device = lab.plug_in("TTLS", "auth=MSCHAPV2", &renewed.path("ca.pem"));
    let log = || std::fs::read_to_string(lab.place.path("device.log")).unwrap_or_default();
    lab.until("the device trusts the new certificate", || log().contains("CTRL-EVENT-EAP-SUCCESS"));
    assert!(!log().contains("certificate verify failed"), "{}", log());
    drop(device);

    // What is no certificate changes nothing, and staff are told.
    std::fs::write(lab.place.path("eap.pem"), "no certificate").unwrap();
    lab.daemon.signal(Signal::SIGHUP);
    lab.place.await_log(&["EAP goes on with what was in force"]);
    let device = lab.plug_in("PEAP", "auth=MSCHAPV2", &renewed.path("ca.pem"));
    lab.until("the device is still let in", || log().contains("CTRL-EVENT-EAP-SUCCESS"));
    drop(device);
}
