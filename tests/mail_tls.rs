//! The way to the mail server, with the real daemon and a real SMTP server (aiosmtpd): over STARTTLS and over TLS,
//! with a login; and what is not sent where the way is not what was asked for.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::panic, clippy::indexing_slicing, clippy::disallowed_methods)]

#[path = "support/http.rs"]
mod http;
#[path = "support/process.rs"]
mod process;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use process::{Daemon, PATIENCE, Place};
use serde_json::json;

/// A server that speaks one of the three ways and wants a login where it can be had safely.
const SERVER: &str = r#"
import asyncio, os, ssl, sys
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP, AuthResult

port, way, folder = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(os.path.join(folder, "mail.pem"), os.path.join(folder, "mail.key"))

def login(server, session, envelope, mechanism, data):
    # Not handled: the server itself is to say 535.
    return AuthResult(success=(data.login, data.password) == (b"edge", b"the mail password"), handled=False)

def serve():
    return SMTP(
        Mailbox(os.path.join(folder, "mailbox")), hostname="localhost", authenticator=login,
        tls_context=context if way == "starttls" else None, require_starttls=way == "starttls",
        auth_required=way != "none", auth_require_tls=way == "starttls",
    )

loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
safe = context if way == "tls" else None
loop.run_until_complete(loop.create_server(serve, "127.0.0.1", port, ssl=safe))
loop.run_forever()
"#;

struct Lab {
    place: Place,
    /// What came to the server, as the wire has it.
    wire: Arc<Mutex<Vec<u8>>>,
    _daemon: Daemon,
    server: Child,
}

/// How a lab differs from the one where all is well.
struct Setting {
    wanted: &'static str,
    spoken: &'static str,
    trusted: bool,
    password: &'static str,
}

impl Lab {
    fn new(setting: &Setting) -> Self {
        let place = Place::new();
        let certificate = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        secret(&place, "mail.pem", &certificate.cert.pem());
        secret(&place, "mail.key", &certificate.signing_key.serialize_pem());
        secret(&place, "mail.password", setting.password);
        secret(&place, "server.py", SERVER);
        let (port, wire) = (free(), Arc::default());
        let folder = place.path("").display().to_string();
        let server = Command::new("/usr/bin/python3")
            .arg(place.path("server.py"))
            .args([&port.to_string(), setting.spoken, &folder])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let seen = listened(port, &wire);
        let folder = folder.trim_end_matches('/');
        let more = format!(
            "[portal]\nname = \"portal.edge.test\"\nhttp = \"127.0.0.1:{}\"\nhttps = \"127.0.0.1:{}\"\n\
             [mail]\nserver = \"localhost:{seen}\"\nsecurity = \"{}\"\nfrom = \"Lekki <wifi@edge.test>\"\n\
             username = \"edge\"\npassword = \"file:{folder}/mail.password\"\n",
            free(),
            free(),
            setting.wanted,
        );
        place.configure(&format!("{}{more}", place.text()));
        let mut program = place.program(&["serve"]);
        if setting.trusted {
            program.env("SSL_CERT_FILE", place.path("mail.pem"));
        }
        let daemon = place.spawn(program);
        place.await_told("READY=1");
        let lab = Self { place, wire, _daemon: daemon, server };
        lab.sign_up();
        lab
    }

    fn sign_up(&self) {
        let plan = json!({
            "plan_code": "free", "name": "Free", "service_type": "internet", "monthly_price": 0,
            "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps",
        });
        self.place.post("/api/v1/service-plans", plan).expect(201);
        let form = json!({
            "email": "ada@example.net", "first_name": "Ada", "last_name": "Obi", "service_plan": "free",
        });
        self.place.post("/api/v1/customers/signup", form).expect(201);
    }

    fn mails(&self) -> usize {
        std::fs::read_dir(self.place.path("mailbox/new")).map_or(0, Iterator::count)
    }

    fn on_the_wire(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.wire.lock().unwrap()).contains(text)
    }

    fn await_mail(&self) {
        let until = Instant::now() + PATIENCE;
        while self.mails() == 0 {
            assert!(Instant::now() < until, "no mail came\n{}", self.place.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The warning that tells what is wrong; by then it was tried three times.
    fn warning(&self) -> String {
        let until = Instant::now() + 2 * PATIENCE;
        loop {
            let health = self.place.get("/api/v1/system/health").expect(200);
            let mut warnings = health["warnings"].as_array().unwrap().iter();
            if let Some(warning) = warnings.find(|warning| warning["code"] == "mail-not-accepted") {
                return warning.to_string();
            }
            assert!(Instant::now() < until, "no warning: {health}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Neither who, nor what, nor the login.
    fn assert_nothing_in_the_clear(&self) {
        assert!(self.on_the_wire("EHLO"), "somebody was there");
        for text in ["MAIL FROM", "RCPT TO", "DATA", "AUTH", "ada@example.net"] {
            assert!(!self.on_the_wire(text), "{text} went in the clear");
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn secret(place: &Place, name: &str, text: &str) {
    std::fs::write(place.path(name), text).unwrap();
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.path(name), private).unwrap();
}

fn free() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A port whose connections go on to another one, with what the client says written down.
fn listened(port: u16, wire: &Arc<Mutex<Vec<u8>>>) -> u16 {
    let (listener, wire) = (TcpListener::bind("127.0.0.1:0").unwrap(), Arc::clone(wire));
    let seen = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else { continue };
            let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
            let wire = Arc::clone(&wire);
            std::thread::spawn(move || {
                let (mut client, mut server, mut room) = (client, server, [0; 4096]);
                while let Ok(length @ 1..) = client.read(&mut room) {
                    wire.lock().unwrap().extend(&room[..length]);
                    if server.write_all(&room[..length]).is_err() {
                        break;
                    }
                }
                let _ = server.shutdown(Shutdown::Both);
            });
        }
    });
    seen
}

const WELL: Setting =
    Setting { wanted: "starttls", spoken: "starttls", trusted: true, password: "the mail password" };

#[test]
fn a_mail_goes_over_starttls_after_a_login_and_none_of_it_in_the_clear() {
    let lab = Lab::new(&WELL);
    lab.await_mail();
    assert!(lab.on_the_wire("STARTTLS"));
    lab.assert_nothing_in_the_clear();
}

#[test]
fn a_mail_goes_over_tls_from_the_first_octet_after_a_login() {
    let lab = Lab::new(&Setting { wanted: "tls", spoken: "tls", ..WELL });
    lab.await_mail();
    assert!(!lab.on_the_wire("EHLO") && !lab.on_the_wire("AUTH"));
}

#[test]
fn a_server_that_nobody_vouches_for_gets_no_mail_and_that_is_said() {
    let lab = Lab::new(&Setting { trusted: false, ..WELL });
    let warning = lab.warning();
    assert!(warning.contains("certificate") || warning.contains("UnknownIssuer"), "{warning}");
    lab.assert_nothing_in_the_clear();
    assert_eq!(lab.mails(), 0);
}

#[test]
fn a_wrong_login_is_said_without_its_password() {
    let lab = Lab::new(&Setting { password: "not the password", ..WELL });
    let warning = lab.warning();
    assert!(warning.contains("535"), "{warning}");
    assert!(!warning.contains("not the password") && !lab.place.log().contains("not the password"));
    assert_eq!(lab.mails(), 0);
}

#[test]
fn a_server_without_starttls_gets_nothing_in_the_clear_and_that_is_said() {
    let lab = Lab::new(&Setting { spoken: "none", ..WELL });
    let warning = lab.warning();
    assert!(warning.to_lowercase().contains("starttls"), "{warning}");
    lab.assert_nothing_in_the_clear();
    assert_eq!(lab.mails(), 0);
}
