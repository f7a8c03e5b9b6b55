//! A whole gateway for acceptance tests: the namespaces of `netns.rs` with the real daemon of `process.rs`
//! in the gateway's, its portal, rules and mail switched on; and around it, all real: dnsmasq as resolver,
//! an SMTP server, web servers, curl as the phones' browser. Control is over the daemon's unix socket.
//!
//! A test that uses it brings `http.rs`, `process.rs` and `netns.rs` in beside it, each by `#[path]`.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::http::Reply;
use super::netns::{GATEWAY4, GATEWAY6, Namespace, WEB4, WEB6, World, pours};
use super::process::{Daemon, PATIENCE, Place};

pub const PORTAL: &str = "portal.edge.test";
/// Pours without an end, to measure and to cut.
pub const POURING: &str = "http://web.edge.test/pouring";
pub const PROBE: &str = "http://connectivitycheck.gstatic.com/generate_204";
/// A clock that can be set for one process.
const FAKETIME: &str = "LD_PRELOAD=/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
pub const PASSWORD: &str = "three words of mine";

pub struct GatewayLab {
    // First, since its process is in a namespace of the world.
    daemon: Option<Daemon>,
    helpers: Vec<Helper>,
    mail: Option<Helper>,
    pub place: Place,
    pub world: World,
}

/// What one request of curl came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// 0 when there was no answer; then `complaint` says why.
    pub status: u16,
    pub head: String,
    pub body: String,
    pub complaint: String,
}

/// A customer who has confirmed their address.
#[derive(Debug, Clone)]
pub struct Confirmed {
    pub email: String,
    pub answer: Value,
}

impl GatewayLab {
    /// The world, its helpers and the daemon, ready.
    pub fn new() -> Self {
        Self::with("")
    }

    /// The same with more lines of configuration.
    pub fn with(more: &str) -> Self {
        let (world, place) = (World::new(), Place::new());
        let certificate = rcgen::generate_simple_self_signed(vec![PORTAL.to_owned()]).unwrap();
        let write = |name: &str, text: String| {
            std::fs::write(place.path(name), text).unwrap();
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(place.path(name), private).unwrap();
        };
        write("portal.pem", certificate.cert.pem());
        write("portal.key", certificate.signing_key.serialize_pem());
        place.configure(&format!("{}{}{more}", place.text(), settings(&place)));
        let mut lab = Self { daemon: None, helpers: Vec::new(), mail: None, place, world };
        lab.surround();
        lab.start();
        lab
    }

    fn surround(&mut self) {
        let World { phone, other, gateway, internet, .. } = &self.world;
        for (place, resolver) in [(phone, GATEWAY4), (other, GATEWAY4), (gateway, "127.0.0.1")] {
            write_etc(place, "resolv.conf", &format!("nameserver {resolver}\n"));
            write_etc(place, "nsswitch.conf", "hosts: files dns\n");
        }
        let names = [
            format!("--address=/{PORTAL}/{GATEWAY4}"),
            format!("--address=/{PORTAL}/{GATEWAY6}"),
            format!("--address=/#/{WEB4}"),
            format!("--address=/#/{WEB6}"),
        ];
        let mut resolver = inside(gateway, "dnsmasq");
        resolver.args([
            "-k",
            "--conf-file=/dev/null",
            "--user=root",
            "--pid-file=",
            "--no-resolv",
            "--no-hosts",
        ]);
        self.helpers.push(Helper::start(resolver.args(names)));
        web(internet);
        pours(internet, 6000);
        await_listener(gateway, 53);
        self.mail_back();
    }

    /// The mail server goes.
    pub fn mail_away(&mut self) {
        self.mail = None;
    }

    /// The mail server comes, with the mails that it took before.
    pub fn mail_back(&mut self) {
        let mut smtp = inside(&self.world.internet, "/usr/bin/python3");
        smtp.args(["-m", "aiosmtpd", "-n", "-l", &format!("{WEB4}:25"), "-c", "aiosmtpd.handlers.Mailbox"]);
        self.mail = Some(Helper::start(smtp.arg(mailbox_of(&self.place))));
        await_listener(&self.world.internet, 25);
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&mut self) {
        let before = ["ip", "netns", "exec", &self.world.gateway.name];
        self.daemon = Some(self.place.spawn(self.place.program_under(&before, &["serve"])));
        self.place.await_told("READY=1");
    }

    /// Starts it with a wall clock that reads what it is ahead by from this file ("+0", "+7d"); its monotonic clock
    /// is the machine's.
    pub fn start_with_clock(&mut self, ahead: &std::path::Path) {
        let file = format!("FAKETIME_TIMESTAMP_FILE={}", ahead.display());
        let name = &self.world.gateway.name;
        let before = ["ip", "netns", "exec", name, "env", FAKETIME, &file, "FAKETIME_NO_CACHE=1"];
        let before = [&before[..], &["FAKETIME_DONT_FAKE_MONOTONIC=1"]].concat();
        self.daemon = Some(self.place.spawn(self.place.program_under(&before, &["serve"])));
        self.place.await_told("READY=1");
    }

    /// Kills it as a power cut of the process would.
    pub fn kill(&mut self) {
        self.daemon.take().unwrap().kill();
    }

    /// Asks it to end, and waits for that.
    pub fn stop(&mut self) {
        self.daemon.take().unwrap().stop();
    }

    /// SIGKILL, and the next one.
    pub fn restart(&mut self) {
        self.kill();
        self.start();
    }

    pub fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// As the box's own console.
    pub fn get(&self, path: &str) -> Reply {
        self.place.get(path)
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.place.post(path, body)
    }

    /// A public plan for nothing; `more` is laid over it.
    pub fn free_plan(&self, code: &str, down_mbps: u32, up_mbps: u32, more: &Value) -> Value {
        let mut plan = json!({
            "plan_code": code, "name": code, "service_type": "internet", "monthly_price": "0",
            "download_speed": down_mbps, "upload_speed": up_mbps, "bandwidth_unit": "mbps",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            plan[key] = value.clone();
        }
        self.post("/api/v1/service-plans", plan).expect(201)
    }

    /// curl in a namespace, with a cookie jar of that namespace.
    pub fn curl(&self, from: &Namespace, arguments: &[&str]) -> Page {
        let output = self.browser(from).args(["-i", "--max-time", "20"]).args(arguments).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Page { complaint, ..page(&String::from_utf8_lossy(&output.stdout)) }
    }

    pub fn phone_curl(&self, arguments: &[&str]) -> Page {
        self.curl(&self.world.phone, arguments)
    }

    /// A download from a namespace that goes on until it is cut or the value is dropped.
    pub fn download(&self, from: &Namespace, url: &str) -> Download {
        let file = self.place.path(&format!("download-{}", from.name));
        let mut curl = self.browser(from);
        // With a packet after a second of silence, as apps send, it learns of a connection that is no more.
        curl.args(["-N", "--keepalive-time", "1", "-o"]).arg(&file).arg(url);
        let child = curl.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Download { child, file }
    }

    /// Whether a device's probe gets the real answer, in both families alike.
    pub fn is_online(&self, device: &Namespace) -> bool {
        let [v4, v6] = ["-4", "-6"].map(|family| self.curl(device, &[family, PROBE]).status);
        assert_eq!(v4 == 204, v6 == 204, "the families differ: {v4} and {v6}");
        v4 == 204
    }

    /// Letters to an address, the oldest first.
    pub fn mailbox(&self, to: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(mailbox_of(&self.place).join("new")) else { return Vec::new() };
        let mut letters: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|entry| (entry.metadata().unwrap().modified().unwrap(), entry.path()))
            .collect();
        letters.sort();
        let texts = letters.into_iter().map(|(_, path)| std::fs::read_to_string(path).unwrap());
        texts.filter(|text| text.contains(to)).collect()
    }

    /// Waits for the `number`th letter to an address (from 1) and gives the code in it.
    pub fn code(&self, to: &str, number: usize) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(letter) = self.mailbox(to).get(number - 1) {
                let body = letter.split_once("\n\n").unwrap().1;
                let words = body.split(|symbol: char| !symbol.is_ascii_alphanumeric());
                let is_code =
                    |word: &&str| word.len() == 8 && word.bytes().all(|octet| octet.is_ascii_digit());
                return words
                    .into_iter()
                    .find(is_code)
                    .unwrap_or_else(|| panic!("no code in {letter}"))
                    .to_owned();
            }
            assert!(Instant::now() < until, "letter {number} to {to} did not come\n{}", self.place.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Signs up from a device by the JSON API of the portal; the signup as it is answered.
    pub fn sign_up(&self, device: &Namespace, email: &str, plan: &str) -> Value {
        let body = json!({
            "email": email, "first_name": "Ada", "last_name": "Obi", "phone": "+2348012345678",
            "service_plan": plan, "password": PASSWORD,
            "service_address": { "street": "1 Marina", "city": "Lagos", "state": "Lagos", "zip": "101231" },
        });
        self.api(device, "/api/v1/customers/signup", &body).json(201)
    }

    /// Signs up and confirms with the code that came by mail.
    pub fn join(&self, device: &Namespace, email: &str, plan: &str) -> Confirmed {
        let signup = self.sign_up(device, email, plan);
        let path = format!("/api/v1/customers/signup/{}/confirm", signup["id"].as_str().unwrap());
        let answer = self.api(device, &path, &json!({ "code": self.code(email, 1) })).json(200);
        Confirmed { email: email.to_owned(), answer }
    }

    /// A POST of JSON to the portal's own part of the API, from a device.
    pub fn api(&self, device: &Namespace, path: &str, body: &Value) -> Page {
        let (url, body) = (format!("https://{PORTAL}{path}"), body.to_string());
        self.curl(device, &["-H", "Content-Type: application/json", "--data-binary", &body, &url])
    }

    /// Logs in by the portal's form, as a browser does; the page after the redirects.
    pub fn log_in(&self, device: &Namespace, login: &str, password: &str) -> Page {
        let url = format!("https://{PORTAL}/login");
        let shown = self.curl(device, &[&url]);
        assert_eq!(shown.status, 200, "{shown:?}");
        let (login, password) = (format!("login={login}"), format!("password={password}"));
        let token = format!("form_token={}", shown.hidden("form_token"));
        let mut arguments = vec!["-e", &url, "-L"];
        for field in [&token, &login, &password] {
            arguments.extend(["--data-urlencode", field]);
        }
        arguments.push(&url);
        self.curl(device, &arguments)
    }

    /// The open sessions, as staff see them.
    pub fn open_sessions(&self) -> Vec<Value> {
        let list = self.get("/api/v1/sessions?open=true").expect(200);
        list["items"].as_array().unwrap().clone()
    }

    /// As a phone's mini-browser does when it closes.
    pub fn forget_cookies(&self, device: &Namespace) {
        let _ = std::fs::remove_file(self.place.path(&format!("cookies-{}", device.name)));
    }

    fn browser(&self, from: &Namespace) -> Command {
        let jar = self.place.path(&format!("cookies-{}", from.name));
        let mut curl = inside(from, "curl");
        curl.args(["-s", "-S", "-g", "--http1.1", "--noproxy", "*"]);
        curl.arg("--cacert").arg(self.place.path("portal.pem")).arg("-b").arg(&jar).arg("-c").arg(&jar);
        curl
    }
}

impl Drop for GatewayLab {
    fn drop(&mut self) {
        self.daemon = None;
        self.helpers.clear();
        self.mail = None;
        for place in [&self.world.phone, &self.world.other, &self.world.gateway] {
            let _ = std::fs::remove_dir_all(etc(place));
        }
    }
}

/// A download that runs; killed when dropped.
pub struct Download {
    child: Child,
    file: PathBuf,
}

impl Download {
    /// What has come so far.
    pub fn octets(&self) -> u64 {
        std::fs::metadata(&self.file).map_or(0, |meta| meta.len())
    }

    /// How it ended and what curl said of it; `None` while it runs.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().unwrap()?;
        let mut said = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut said).unwrap();
        }
        Some(format!("{status}: {said}"))
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Page {
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }

    /// A header of the answer; empty when it is not there.
    pub fn header(&self, name: &str) -> &str {
        let of =
            |line: &'_ str| line.split_once(':').is_some_and(|(found, _)| found.eq_ignore_ascii_case(name));
        let line = self.head.lines().find(|line| of(line)).unwrap_or_default();
        line.split_once(':').map_or("", |(_, value)| value.trim())
    }

    /// The value of a hidden field.
    pub fn hidden(&self, name: &str) -> String {
        let (_, rest) = self.body.split_once(&format!("name=\"{name}\" value=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    }

    /// Whether the connection was refused, as a captive device's is.
    pub fn is_refused(&self) -> bool {
        self.complaint.contains("(7)")
    }
}

fn settings(place: &Place) -> String {
    let folder = place.path("");
    let folder = folder.display().to_string();
    let folder = folder.trim_end_matches('/');
    format!(
        "[portal]\nname = \"{PORTAL}\"\nhttp = [\"0.0.0.0:80\", \"[::]:80\"]\nhttps = [\"0.0.0.0:443\", \"[::]:443\"]\n\
         certificate = \"file:{folder}/portal.pem\"\nprivate_key = \"file:{folder}/portal.key\"\n\
         [gateway]\nenabled = true\naccess = \"lan0\"\nuplink = \"wan0\"\n\
         [mail]\nserver = \"{WEB4}:25\"\nsecurity = \"none\"\nfrom = \"Lekki WiFi <wifi@edge.test>\"\n"
    )
}

fn mailbox_of(place: &Place) -> PathBuf {
    place.path("mailbox")
}

/// The last answer of curl's output, after redirects.
fn page(text: &str) -> Page {
    let none = || Page { status: 0, head: String::new(), body: String::new(), complaint: String::new() };
    let (mut rest, mut last) = (text, none());
    while rest.starts_with("HTTP/")
        && let Some((head, body)) = rest.split_once("\r\n\r\n")
    {
        let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        last = Page { status, head: head.to_owned(), body: body.to_owned(), ..none() };
        let is_followed =
            body.starts_with("HTTP/") || (300..400).contains(&status) && body.contains("HTTP/1.1 ");
        if !is_followed {
            break;
        }
        rest = body.find("HTTP/1.1 ").map_or("", |at| &body[at..]);
    }
    last
}

fn inside(place: &Namespace, program: &str) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", &place.name, program]).stdin(Stdio::null());
    command
}

fn etc(place: &Namespace) -> PathBuf {
    PathBuf::from("/etc/netns").join(&place.name)
}

/// What programs started by `ip netns exec` see in place of the host's file.
fn write_etc(place: &Namespace, name: &str, text: &str) {
    std::fs::create_dir_all(etc(place)).unwrap();
    std::fs::write(etc(place).join(name), text).unwrap();
}

fn await_listener(place: &Namespace, port: u16) {
    let until = Instant::now() + PATIENCE;
    let sport = format!(":{port}");
    while Command::new("ss")
        .args(["-N", &place.name, "-Hltn", "sport", "=", &sport])
        .output()
        .unwrap()
        .stdout
        .is_empty()
    {
        assert!(Instant::now() < until, "nothing listens on port {port}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The Internet's web: the bodies that devices look for, and a word for everything else.
fn web(place: &Namespace) {
    let serve = || {
        let listener = TcpListener::bind("[::]:80").unwrap();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
                    let Some(Ok(first)) = lines.next() else { return };
                    while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                    let sent = connection.write_all(answer(&first).as_bytes());
                    if sent.is_ok() && first.contains(" /pouring ") {
                        while connection.write_all(&[b'.'; 16_384]).is_ok() {}
                    }
                });
            }
        });
    };
    place.spawn(serve).join().unwrap();
}

fn answer(request: &str) -> String {
    let body = match request.split_whitespace().nth(1).unwrap_or("/") {
        "/generate_204" => return "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".to_owned(),
        "/hotspot-detect.html" => "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>",
        "/connecttest.txt" => "Microsoft Connect Test",
        "/success.txt" => "success\n",
        "/pouring" => return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".to_owned(),
        "/nm" => "NetworkManager is online\n",
        _ => "the Internet\n",
    };
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A program beside the daemon; killed when dropped.
struct Helper(Child);

impl Helper {
    fn start(command: &mut Command) -> Self {
        Self(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
