//! The real program as a child process, started and told of as systemd does it, on ports of its
//! own; and a NAS that speaks to it. Nothing of the daemon runs in the test's process.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::fs::{File, OpenOptions};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::secret::Secret;
use dotmac_edge::config::{self, Environment, box_key};
use dotmac_edge::radius::client::{Ask, Expectation, Login, LoginRandom};
use dotmac_edge::radius::{Code, Kind, Method, SharedSecret};
use dotmac_edge::store::contract::Record;
use dotmac_edge::store::tables::{self, Sessions};
use dotmac_edge::store::{Options, Store, Vault};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::http::{Client, Reply};

pub const SECRET: &str = "a-shared-secret-of-decent-length";
pub const PASSWORD: &str = "open sesame 42";

/// A folder with a configuration, ports, and the socket that systemd would listen on.
pub struct Place {
    folder: tempfile::TempDir,
    pub authentication: SocketAddr,
    pub accounting: SocketAddr,
    pub admin: SocketAddr,
    pub metrics: SocketAddr,
    systemd: UnixDatagram,
    runtime: tokio::runtime::Runtime,
}

impl Place {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let systemd = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let place = Self {
            folder,
            authentication: free_port(),
            accounting: free_port(),
            admin: free_port(),
            metrics: free_port(),
            systemd,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        };
        place.configure(&place.text());
        place
    }

    /// The configuration, as it is written at first.
    pub fn text(&self) -> String {
        let Self { authentication, accounting, admin, metrics, .. } = self;
        let dir = self.folder.path().display();
        format!(
            "[site]\nname = \"Lekki\"\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"\n\
             [store]\npath = \"{dir}/store\"\nballast = \"1 MiB\"\n\
             [http]\nadmin = \"{admin}\"\nmetrics = \"{metrics}\"\n\
             [radius]\nauthentication = [\"{authentication}\"]\naccounting = [\"{accounting}\"]\n\
             reject_delay = \"0s\"\nworkers = 2\n\
             [control]\nsocket = \"{dir}/control.sock\"\n[log]\nformat = \"console\"\nlevel = \"info\"\n\
             [secrets]\nkey = \"file:{dir}/box.key\"\n"
        )
    }

    pub fn configure(&self, text: &str) {
        std::fs::write(self.path("edge.toml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with this place's configuration.
    pub fn program(&self, arguments: &[&str]) -> Command {
        self.program_under(&[], arguments)
    }

    /// The same behind other commands that start it.
    pub fn program_under(&self, before: &[&str], arguments: &[&str]) -> Command {
        let config = self.path("edge.toml").display().to_string();
        let words = [before, &[env!("CARGO_BIN_EXE_dotmac-edge"), "--config", &config], arguments].concat();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).stdin(Stdio::null());
        command.env("NOTIFY_SOCKET", self.path("notify")).env_remove("JOURNAL_STREAM");
        command
    }

    /// Starts the daemon without waiting for anything.
    pub fn spawn(&self, mut command: Command) -> Daemon {
        let log = OpenOptions::new().create(true).append(true).open(self.path("daemon.log")).unwrap();
        let child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Daemon { child }
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub fn start(&self) -> Daemon {
        let daemon = self.spawn(self.program(&["serve"]));
        self.await_told("READY=1");
        daemon
    }

    /// The next thing that systemd is told.
    pub fn told(&self, within: Duration) -> Option<String> {
        self.systemd.set_read_timeout(Some(within)).unwrap();
        let mut room = [0; 4096];
        let length = self.systemd.recv(&mut room).ok()?;
        Some(String::from_utf8(room[..length].to_vec()).unwrap())
    }

    /// Waits until systemd is told `what`; gives all that it was told with it.
    pub fn await_told(&self, what: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            match self.told(Duration::from_secs(1)) {
                Some(text) if text.lines().any(|line| line == what) => return text,
                Some(_) | None => {}
            }
        }
        panic!("systemd was not told {what}:\n{}", self.log());
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// Waits until the log holds a line with all of these words; gives it.
    pub fn await_log(&self, words: &[&str]) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if let Some(line) = log.lines().find(|line| words.iter().all(|word| line.contains(word))) {
                return line.to_owned();
            }
            assert!(Instant::now() < until, "no line with {words:?} in:\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.runtime.block_on(Client::unix(self.path("control.sock")).get(path))
    }

    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.runtime.block_on(Client::unix(self.path("control.sock")).post(path, body))
    }

    /// Over TCP with a body, from somebody with this token.
    pub fn tcp(&self, method: &str, path: &str, token: Option<&str>, body: &Value) -> Reply {
        let client = Client::tcp(self.admin);
        let client = token.map_or_else(|| client.clone(), |token| client.token(token));
        let method = method.parse().unwrap();
        self.runtime.block_on(client.send(method, path, Some(body.clone())))
    }

    /// Over TCP, from somebody without a token.
    pub fn public(&self, address: SocketAddr, path: &str) -> Reply {
        self.runtime.block_on(Client::tcp(address).get(path))
    }

    /// A plan, the subscriber `ada` who may log in, and a NAS on loopback.
    pub fn furnish(&self) {
        let plan = json!({
            "plan_code": "home-20", "name": "Home 20", "service_type": "internet", "monthly_price": "17500.00",
            "download_speed": 20, "upload_speed": 5, "bandwidth_unit": "mbps"
        });
        self.post("/api/v1/service-plans", plan).expect(201);
        let customer = self.post("/api/v1/customers", customer("C-77")).expect(201);
        let service = json!({
            "customer_id": customer["id"], "plan_code": "home-20", "username": "ada", "password": PASSWORD
        });
        let service = self.post("/api/v1/services", service).expect(201);
        let nas = json!({ "name": "tower-1", "address": "127.0.0.1", "kind": "mikrotik", "secret": SECRET });
        self.post("/api/v1/nas-devices", nas).expect(201);
        let path = format!("/api/v1/services/{}/provision", service["id"].as_str().unwrap());
        self.post(&path, json!({}));
        let status = format!("/api/v1/provisioning/status/{}", customer["id"].as_str().unwrap());
        let until = Instant::now() + PATIENCE;
        while self.get(&status).expect(200)["status"] != "ready" {
            assert!(Instant::now() < until, "not provisioned");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Every session that the store has, by a copy of its files: as a crash has left them, and
    /// without touching what the next daemon finds.
    pub fn sessions(&self) -> Vec<Record<Sessions>> {
        let copy = tempfile::tempdir().unwrap();
        for name in ["store.db", "store.db-wal", "store.id"] {
            // A store that was closed well has no log.
            let _ = std::fs::copy(self.path("store").join(name), copy.path().join(name));
        }
        let config = config::load(&self.path("edge.toml")).unwrap();
        let key = box_key(&config.secrets.key, false, &Environment::fixed([]), &Entropy::System).unwrap();
        let vault = Vault::with_key(key.expose().try_into().unwrap());
        let mut options = Options::new(copy.path(), vault.seal_key(), Clock::System, Entropy::System);
        options.ballast = 0;
        let store = Store::open(&options, &tables::all(), Arc::new(())).unwrap();
        let (sender, found) = std::sync::mpsc::channel();
        self.runtime.block_on(async {
            let loaded = store.load_all::<Sessions>(move |one| sender.send(one).unwrap()).await.unwrap();
            assert_eq!(loaded.damaged, 0);
            store.close().await;
        });
        found.into_iter().collect()
    }
}

/// A POST that may get no answer, because the daemon is killed under it.
pub fn post_raw(to: SocketAddr, path: &str, token: &str, body: &Value) -> std::io::Result<()> {
    use std::io::{Read as _, Write as _};
    let body = body.to_string();
    let mut stream = std::net::TcpStream::connect(to)?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: edge\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )?;
    stream.read_to_end(&mut Vec::new()).map(|_| ())
}

/// What a customer is made from.
pub fn customer(number: &str) -> Value {
    json!({
        "customer_number": number, "email": format!("{number}@example.net"), "first_name": "Ada",
        "last_name": "Obi", "phone": "+2348012345678",
        "billing_address": { "street": "1 Marina", "city": "Lagos", "state": "LA", "zip": "101001" }
    })
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
}

impl Daemon {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), signal).unwrap();
    }

    /// How it ended; `None` when it still runs after this time.
    pub fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if Instant::now() > until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills it as a power cut of the process would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and expects that it ends well; gives how long that took.
    pub fn stop(mut self) -> Duration {
        let began = Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self.wait(Duration::from_secs(10)).expect("it ends within ten seconds");
        assert_eq!(status.code(), Some(0));
        began.elapsed()
    }

    /// Resident memory, in KiB.
    pub fn resident(&self) -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One accounting report.
#[derive(Debug, Clone)]
pub struct Report {
    pub status: u32,
    pub username: &'static str,
    pub session: String,
    pub octets: u32,
    pub seconds: u32,
}

pub const START: u32 = 1;
pub const STOP: u32 = 2;
pub const INTERIM: u32 = 3;

/// A NAS on loopback: one socket, one request after the other, repeated octet for octet.
pub struct Nas {
    pub socket: UdpSocket,
    pub secret: SharedSecret,
    pub entropy: Entropy,
    identifier: u8,
}

impl Nas {
    pub fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let secret = SharedSecret::new(Secret::from_text(SECRET));
        Self { socket, secret, entropy: Entropy::System, identifier: 0 }
    }

    /// The octets of an accounting report and what answers them.
    pub fn accounting(&mut self, report: &Report) -> (Vec<u8>, Expectation) {
        self.identifier = self.identifier.wrapping_add(1);
        let mut buffer = [0; 4096];
        let mut ask = Ask::accounting(&mut buffer, self.identifier);
        let attributes = ask.attributes();
        attributes.u32(Kind::ACCT_STATUS_TYPE, report.status).unwrap();
        attributes.text(Kind::ACCT_SESSION_ID, &report.session).unwrap();
        attributes.text(Kind::USER_NAME, report.username).unwrap();
        attributes.u32(Kind::ACCT_OUTPUT_OCTETS, report.octets).unwrap();
        attributes.u32(Kind::ACCT_SESSION_TIME, report.seconds).unwrap();
        let (octets, expectation) = ask.finish(&self.secret);
        (octets.to_vec(), expectation)
    }

    /// The octets of a login and what answers them.
    pub fn login(&mut self, password: &str) -> (Vec<u8>, Expectation) {
        self.login_as("ada", password)
    }

    /// The same for another name.
    pub fn login_as(&mut self, name: &str, password: &str) -> (Vec<u8>, Expectation) {
        self.identifier = self.identifier.wrapping_add(1);
        let login = Login { user_name: name.as_bytes(), password: password.as_bytes(), method: Method::Pap };
        let bytes = || self.entropy.bytes::<16>().unwrap();
        let random = LoginRandom { authenticator: bytes(), challenge: bytes(), peer_challenge: bytes() };
        let mut buffer = [0; 4096];
        let ask = Ask::login(&mut buffer, self.identifier, &login, &random, &self.secret).unwrap();
        let (octets, expectation) = ask.finish(&self.secret);
        (octets.to_vec(), expectation)
    }

    pub fn status(&mut self) -> (Vec<u8>, Expectation) {
        self.identifier = self.identifier.wrapping_add(1);
        let mut buffer = [0; 4096];
        let random = self.entropy.bytes::<16>().unwrap();
        let ask = Ask::status_server(&mut buffer, self.identifier, random).unwrap();
        let (octets, expectation) = ask.finish(&self.secret);
        (octets.to_vec(), expectation)
    }

    /// Sends a request up to `tries` times, `pause` apart, until its answer comes.
    pub fn ask(
        &self,
        to: SocketAddr,
        request: &(Vec<u8>, Expectation),
        tries: u32,
        pause: Duration,
    ) -> Option<Code> {
        for _ in 0..tries {
            // A port that nobody holds at the moment is no reason to give up.
            let _ = self.socket.send_to(&request.0, to);
            if let Some(code) = self.answer(&request.1, pause) {
                return Some(code);
            }
        }
        None
    }

    /// Waits for the answer to a request; others are passed over.
    pub fn answer(&self, expectation: &Expectation, within: Duration) -> Option<Code> {
        let until = Instant::now() + within;
        let mut room = [0; 4096];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            let Ok(length) = self.socket.recv(&mut room) else { continue };
            if let Ok(reply) = expectation.check(&room[..length], &self.secret) {
                return Some(reply.code());
            }
        }
    }

    /// Whether `ada` is let in, asked once.
    pub fn is_let_in(&mut self, place: &Place) -> bool {
        let request = self.login(PASSWORD);
        self.ask(place.authentication, &request, 1, Duration::from_secs(2)) == Some(Code::AccessAccept)
    }
}

/// A port below those that the system hands out by itself, so that nobody takes it while the
/// daemon is away.
fn free_port() -> SocketAddr {
    loop {
        let [low, high] = Entropy::System.bytes::<2>().unwrap();
        let port = 12_000 + u16::from_be_bytes([low, high]) % 20_000;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return address;
        }
    }
}

/// Writes into `path` until its file system has no room.
pub fn fill(path: &Path) {
    use std::io::Write as _;
    let mut file = File::create(path).unwrap();
    for size in [1 << 16, 1 << 12, 1] {
        let chunk = vec![7; size];
        while file.write_all(&chunk).is_ok() {}
    }
}

/// Longest time for anything that should happen soon, on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);
