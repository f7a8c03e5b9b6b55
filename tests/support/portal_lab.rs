//! The portal's real door on loopback over a store in memory, with a real mail server behind it, and a
//! small browser: it keeps cookies and fills in forms, and nothing else.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::health::Health;
use dotmac_edge::billing::provider::Providers;
use dotmac_edge::catalogue::Catalogue;
use dotmac_edge::domain::ids::PlanId;
use dotmac_edge::domain::money::{Currency, Money};
use dotmac_edge::domain::plan::{Plan, PlanTerms, ServiceType, Validity, ValidityUnit};
use dotmac_edge::domain::rate::{BitsPerSecond, Download, Rates, Upload};
use dotmac_edge::domain::text::{Code, Line};
use dotmac_edge::domain::usage_terms::UsageTerms;
use dotmac_edge::notify::Post;
use dotmac_edge::people::People;
use dotmac_edge::people::password::{Cost, Passwords};
use dotmac_edge::people::subscribers::Subscribers;
use dotmac_edge::serve::api::{self, App};
use dotmac_edge::serve::http::certificate::Pem;
use dotmac_edge::serve::http::listen::listen;
use dotmac_edge::serve::portal::{self, certificate};
use dotmac_edge::store::contract::Unit;
use dotmac_edge::store::tables::{self, Plans};
use dotmac_edge::store::{Store, Vault};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::support::desk::{self, Rooms};
use crate::support::edge::NoNetwork;
use crate::support::mail::{Mail, MailServer};

pub const NAME: &str = "portal.example.net";

/// Whether phones know who signed the portal's certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    Configured,
    MadeHere,
}

pub struct Lab {
    pub http: SocketAddr,
    pub https: SocketAddr,
    pub store: Store,
    pub health: Health,
    pub billing: dotmac_edge::billing::Billing,
    server: MailServer,
    /// What a client must trust.
    pub chain: Vec<u8>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Lab {
    pub async fn open(kind: Certificate) -> Self {
        Self::open_with(kind, Providers::none()).await
    }

    /// One where money can be paid by these gateways.
    pub async fn open_with(kind: Certificate, gateways: Providers) -> Self {
        let server = MailServer::start().await;
        let (vault, entropy, clock) = (Vault::with_key([7; 32]), Entropy::System, Clock::System);
        let store = Store::memory(clock.clone(), &tables::all(), Arc::new(())).unwrap();
        let zone = TimeZone::get("Africa/Lagos").unwrap();
        let cost = Cost { memory_kib: 64, passes: 1, lanes: 1 };
        let passwords = Passwords::start(cost, 2, 256, entropy.clone()).unwrap();
        let catalogue = Catalogue::new(&store, &entropy, &vault, ngn(), &zone, Arc::new(NoNetwork));
        let post = desk::post(&store, &vault, Some(server.port));
        let people = People::new(store.clone(), &vault, entropy.clone(), passwords.clone());
        let subscribers = Subscribers::new(store.clone(), entropy.clone(), passwords);
        let rooms = Rooms {
            store: &store,
            vault: &vault,
            clock: &clock,
            people: &people,
            subscribers: &subscribers,
            catalogue: &catalogue,
            post: &post,
        };
        let reception = desk::reception_with(rooms, gateways).await;
        let billing = reception.billing().clone();
        let (stop, health) = (CancellationToken::new(), Health::new());
        let app = App::new(api::Parts {
            store: store.clone(),
            vault: vault.clone(),
            people,
            catalogue: catalogue.clone(),
            subscribers,
            billing: reception.billing().clone(),
            reception: reception.clone(),
            clock: clock.clone(),
            entropy: entropy.clone(),
            health: health.clone(),
            site: api::Site {
                name: "Lekki POP 1".into(),
                tenant: None,
                currency: ngn(),
                timezone: zone.clone(),
                demands_second_factor: false,
            },
        });
        let on_portal = api::routes().into_iter().filter(|route| route.on_portal).collect();
        tokio::spawn(carry_out(catalogue, post, clock.clone(), stop.clone()));
        let folder = tempfile::tempdir().unwrap();
        let (kept, chain) = certificate_of(kind, folder.path());
        let (http, https) = (any_port(), any_port());
        let (plain, safe) = (http.local_addr().unwrap(), https.local_addr().unwrap());
        let parts = portal::Parts {
            reception,
            api: api::router(&app, on_portal).unwrap(),
            name: NAME.into(),
            site: "Lekki POP 1".into(),
            zone,
            signup_open: true,
            http: vec![http],
            https: vec![https],
            certificate: Some(kept),
            key: vault.derive("portal forms"),
            clock,
            entropy,
            health: health.clone(),
        };
        portal::open(parts, &stop).unwrap();
        let lab =
            Self { http: plain, https: safe, store, health, billing, server, chain, stop, _folder: folder };
        lab.put_plan("home-20", "Home 20", 1_750_000, Some(50_000_000_000)).await;
        lab.put_plan("free-day", "Free day", 0, Some(1_000_000_000)).await;
        lab
    }

    pub async fn put_plan(&self, code: &str, name: &str, price: i64, data: Option<u64>) {
        self.put_plan_with(code, name, price, data, UsageTerms::default()).await;
    }

    pub async fn put_plan_with(
        &self,
        code: &str,
        name: &str,
        price: i64,
        data: Option<u64>,
        usage: UsageTerms,
    ) {
        let rate = |bits| BitsPerSecond::new(bits).unwrap();
        let now = Timestamp::now();
        let plan = Plan {
            id: PlanId(Uuid::now_v7()),
            code: Code::parse(code).unwrap(),
            is_active: true,
            is_public: true,
            terms: PlanTerms {
                version: 1,
                name: Line::parse(name).unwrap(),
                description: Some("For a home with <several> devices.".into()),
                service_type: ServiceType::Internet,
                monthly_price: Money { minor: price, currency: ngn() },
                setup_fee: Money { minor: if price > 0 { 500_000 } else { 0 }, currency: ngn() },
                cancellation_fee: Money::zero(ngn()),
                rates: Rates { down: Download(rate(20_000_000)), up: Upload(rate(7_500_000)) },
                data_allowance: data,
                validity: Some(Validity { count: 30, unit: ValidityUnit::Days }),
                device_limit: 2,
                session_limit_secs: None,
                idle_limit_secs: None,
                requires_approval: false,
                confirmation_access_minutes: None,
                min_contract_months: None,
                max_contract_months: None,
                billing: Default::default(),
                usage,
                features: serde_json::Map::new(),
            },
            created_at: now,
            updated_at: now,
        };
        let unit = Unit::natural().put::<Plans>(&plan.id, &plan).unwrap();
        self.store.commit(unit).await.unwrap();
    }

    /// A browser at the plain listener, under the portal's name.
    pub fn browser(&self) -> Browser {
        Browser { target: Target::Plain(self.http), cookies: BTreeMap::new(), headers: Vec::new() }
    }

    /// A browser at the TLS listener that trusts its certificate.
    pub fn safe_browser(&self) -> Browser {
        let target = Target::Safe(self.https, self.chain.clone());
        Browser { target, cookies: BTreeMap::new(), headers: Vec::new() }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn any_port() -> tokio::net::TcpListener {
    listen("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn ngn() -> Currency {
    Currency::parse("NGN").unwrap()
}

/// The daemon's two jobs that pages wait for.
async fn carry_out(catalogue: Catalogue, post: Post, clock: Clock, stop: CancellationToken) {
    let provisioning = catalogue.provisioning.work(&clock);
    let mail = async {
        loop {
            let _ = post.send_due(clock.now()).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = provisioning => {}
        () = mail => {}
        () = stop.cancelled() => {}
    }
}

fn certificate_of(kind: Certificate, folder: &std::path::Path) -> (certificate::Kept, Vec<u8>) {
    match kind {
        Certificate::Configured => {
            let pem = Pem::self_signed(NAME, Timestamp::now()).unwrap();
            let kept = certificate::configured(pem.chain.as_bytes(), &pem.key, NAME).unwrap();
            (kept, pem.chain.into_bytes())
        }
        Certificate::MadeHere => {
            let kept = certificate::made_here(folder, NAME, Timestamp::now()).unwrap();
            (kept, std::fs::read(folder.join("portal.pem")).unwrap())
        }
    }
}

impl Lab {
    /// How many mails to an address came so far.
    pub fn mails_to(&self, to: &str) -> usize {
        self.server.mails().iter().filter(|mail| mail.header("To") == [to]).count()
    }

    /// The `count`-th mail to an address, once it has come.
    pub async fn mail(&self, to: &str, count: usize) -> Mail {
        let until = Instant::now() + Duration::from_secs(20);
        while Instant::now() < until {
            let mut found: Vec<_> =
                self.server.mails().into_iter().filter(|mail| mail.header("To") == [to]).collect();
            if found.len() >= count {
                return readable(found.remove(count - 1));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("no mail {count} came for {to}");
    }
}

/// As a mail program shows it: long lines arrive as quoted-printable (RFC 2045 section 6.7).
fn readable(mail: Mail) -> Mail {
    if mail.header("Content-Transfer-Encoding") != ["quoted-printable"] {
        return mail;
    }
    Mail { text: mail.text.replace("=\n", "").replace("=3D", "="), ..mail }
}

/// A browser without script: cookies, forms, no following by itself.
#[derive(Clone)]
pub struct Browser {
    target: Target,
    pub cookies: BTreeMap<String, String>,
    pub headers: Vec<(String, String)>,
}

#[derive(Clone)]
enum Target {
    Plain(SocketAddr),
    Safe(SocketAddr, Vec<u8>),
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Page {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Browser {
    pub async fn get(&mut self, path: &str) -> Page {
        self.send("GET", path, None).await
    }

    /// Follows the answer's 303, as a browser does.
    pub async fn follow(&mut self, page: Page) -> Page {
        assert_eq!(page.status, 303, "{}", page.body);
        let to = page.header("location").unwrap().to_owned();
        self.get(&to).await
    }

    /// Fills the form of that action on a page in and sends it.
    pub async fn submit(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let token = page.token(action);
        let mut all = vec![("form_token", token.as_str())];
        all.extend(fields);
        self.post(action, &all).await
    }

    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body: Vec<_> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.send("POST", path, Some(body.join("&"))).await
    }

    pub async fn send(&mut self, method: &str, path: &str, body: Option<String>) -> Page {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.cookies.is_empty() {
            let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            text.push_str(&format!("Cookie: {}\r\n", pairs.join("; ")));
        }
        if let Some(body) = &body {
            let length = body.len();
            text.push_str(&format!(
                "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n"
            ));
        }
        text.push_str("\r\n");
        text.push_str(body.as_deref().unwrap_or_default());
        let page = match &self.target {
            Target::Plain(address) => exchange(TcpStream::connect(address).await.unwrap(), &text).await,
            Target::Safe(address, chain) => exchange(secured(*address, chain).await, &text).await,
        };
        self.keep(&page);
        page
    }

    fn keep(&mut self, page: &Page) {
        for (_, set) in page.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            if set.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Page {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The token of the form with that action; of the first form, for a form without one.
    pub fn token(&self, action: &str) -> String {
        let at = self.body.find(&format!("action=\"{action}\"")).or_else(|| self.body.find("<form"));
        let rest = &self.body[at.unwrap_or_else(|| panic!("no form {action} in {}", self.body))..];
        let start = rest.find("name=\"form_token\" value=\"").unwrap() + 25;
        rest[start..].split('"').next().unwrap().to_owned()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?}\n{}", self.headers, self.body);
        self
    }
}

async fn secured(address: SocketAddr, chain: &[u8]) -> impl AsyncRead + AsyncWrite + Unpin + use<> {
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(chain).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let name = NAME.try_into().unwrap();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    stream
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> Page {
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer));
    let _ = read.await.expect("an answer within 30 s");
    parse(&answer).expect("an answer")
}

/// An answer as it came; `None` for none.
pub fn parse(answer: &[u8]) -> Option<Page> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Some(Page { status, headers, body: body.to_owned() })
}

fn encode(text: &str) -> String {
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
    text.bytes()
        .map(|octet| if plain(octet) { char::from(octet).to_string() } else { format!("%{octet:02X}") })
        .collect()
}
