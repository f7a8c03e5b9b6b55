//! A RADIUS door over a real store on disk, with one subscriber and one NAS, for foreign clients.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use dotmac_edge::access::{self, Access, ClassKey};
use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::secret::Secret;
use dotmac_edge::domain::auth_event::AuthEvent;
use dotmac_edge::domain::ids::{NasId, PlanId, ServiceId, SubscriberId};
use dotmac_edge::domain::money::{Currency, Money};
use dotmac_edge::domain::nas::{MessageAuthenticatorPolicy, Nas, NasKind};
use dotmac_edge::domain::plan::{PlanTerms, ServiceType};
use dotmac_edge::domain::rate::{BitsPerSecond, Download, Rates, Upload};
use dotmac_edge::domain::service::{Addresses, Credential, Interval, IntervalState, Phase, Service};
use dotmac_edge::domain::text::{Code, Line, Username};
use dotmac_edge::eap::{Method, Offer};
use dotmac_edge::serve::radius::{self, Limits, Parts, RadiusDoor, Settings, Sockets};
use dotmac_edge::store::contract::{Page, Range, Record, Unit};
use dotmac_edge::store::snapshot::{Snapshot, Unseal, credential_context, secret_context};
use dotmac_edge::store::tables::{self, AuthEvents, NasTable, Services, Sessions};
use dotmac_edge::store::{Options, SealedSecret, Store, Vault};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

pub const SECRET: &str = "a-shared-secret-of-decent-length";
pub const PASSWORD: &str = "open sesame 42";

/// The door and what is behind it.
pub struct Lab {
    pub runtime: tokio::runtime::Runtime,
    pub store: Store,
    pub access: Arc<Access>,
    pub authentication: SocketAddr,
    pub accounting: SocketAddr,
    vault: Vault,
    door: Option<RadiusDoor>,
    _dir: tempfile::TempDir,
}

impl Lab {
    pub fn new() -> Self {
        Self::offering(vec![Method::MsChapV2, Method::Md5, Method::Gtc])
    }

    /// A door that offers these EAP methods.
    pub fn offering(methods: Vec<Method>) -> Self {
        Self::with_offer(Offer { methods, tls: None })
    }

    /// A door with this offer.
    pub fn with_offer(offer: Offer) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let vault = Vault::with_key([5; 32]);
        let snapshot = Arc::new(Snapshot::new(unsealer(&vault)));
        let options = Options::new(dir.path(), vault.seal_key(), Clock::System, Entropy::System);
        let store = Store::open(&options, &tables::all(), snapshot.clone()).unwrap();
        let access = runtime
            .block_on(Access::open(access::Parts {
                store: store.clone(),
                snapshot,
                class_key: ClassKey::new(&vault.derive("class")).unwrap(),
                zone: TimeZone::UTC,
                entropy: Entropy::System,
                now: Clock::System.now(),
            }))
            .unwrap();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let bound = radius::bind(&[any], &[any], Sockets { workers: 2, receive_buffer: 8 << 20 }).unwrap();
        let parts = Parts {
            access: Arc::clone(&access),
            clock: Clock::System,
            entropy: Entropy::System,
            verify: Box::new(|_, answer| answer(None)),
            limits: Limits {
                workers: 2,
                duplicate_capacity: 8_192,
                duplicate_lifetime: Duration::from_secs(10),
                handshake_threads: 2,
            },
            settings: Settings {
                reject_delay: Duration::from_millis(200),
                interim_secs: 300,
                session_secs: None,
                idle_secs: None,
            },
            eap: Arc::new(ArcSwap::from_pointee(offer)),
        };
        let guard = runtime.enter();
        let door = bound.serve(parts).unwrap();
        drop(guard);
        let (authentication, accounting) = (door.authentication()[0], door.accounting()[0]);
        Self { runtime, store, access, authentication, accounting, vault, door: Some(door), _dir: dir }
    }

    /// A door with the usual NAS on loopback and the subscriber `ada`.
    pub fn furnished(kind: NasKind) -> Self {
        let lab = Self::new();
        lab.put_nas("127.0.0.1/32", kind, MessageAuthenticatorPolicy::Require);
        lab.put_service(1, "ada", PASSWORD);
        lab
    }

    pub fn put_nas(&self, address: &str, kind: NasKind, message_authenticator: MessageAuthenticatorPolicy) {
        let id = NasId(Uuid::from_u128(900));
        let sealed = self.seal(&secret_context(id), SECRET);
        let nas = Nas {
            id,
            name: Code::parse("tower-1").unwrap(),
            address: address.parse().unwrap(),
            kind,
            sealed_secret: sealed,
            sealed_previous: None,
            previous_until: None,
            message_authenticator,
            coa_port: None,
            is_active: true,
            note: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
        };
        let unit = Unit::once(Entropy::System.uuid_v7(Clock::System.now()).unwrap())
            .put::<NasTable>(&id, &nas)
            .unwrap();
        self.runtime.block_on(self.store.commit(unit)).unwrap();
    }

    pub fn put_service(&self, number: u128, username: &str, password: &str) -> ServiceId {
        let id = ServiceId(Uuid::from_u128(number));
        let sealed = self.seal(&credential_context(id), password);
        let service = service(id, username, sealed);
        let unit = Unit::once(Entropy::System.uuid_v7(Clock::System.now()).unwrap())
            .put::<Services>(&id, &service)
            .unwrap();
        self.runtime.block_on(self.store.commit(unit)).unwrap();
        id
    }

    /// Changes a service's record.
    pub fn change_service(&self, number: u128, change: impl FnOnce(&mut Service)) {
        let id = ServiceId(Uuid::from_u128(number));
        let mut record = self.runtime.block_on(self.store.get::<Services>(&id)).unwrap().unwrap();
        change(&mut record.body);
        let unit = Unit::once(Entropy::System.uuid_v7(Clock::System.now()).unwrap())
            .put::<Services>(&id, &record.body)
            .unwrap();
        self.runtime.block_on(self.store.commit(unit)).unwrap();
    }

    fn seal(&self, context: &str, secret: &str) -> String {
        let sealed: SealedSecret =
            self.vault.seal(&Entropy::System, context, &Secret::from_text(secret)).unwrap();
        sealed.as_str().to_owned()
    }

    /// The answers so far as staff read them: login, method, and the refusal's name or "accepted".
    pub fn answers(&self) -> Vec<(String, String, String)> {
        for unit in self.access.log().flush(&Entropy::System).unwrap() {
            self.runtime.block_on(self.store.commit(unit)).unwrap();
        }
        let slice = self.store.scan::<AuthEvents>(Range::All, Page::first(1_000));
        let records = self.runtime.block_on(slice).unwrap().records;
        let told = |event: AuthEvent| {
            let refusal = event.refusal.map_or("accepted", |refusal| refusal.code());
            (event.username, event.method, refusal.to_owned())
        };
        records.into_iter().map(|record| told(record.body)).collect()
    }

    pub fn sessions(&self) -> Vec<Record<Sessions>> {
        let slice = self.store.scan::<Sessions>(Range::All, Page::first(1_000));
        self.runtime.block_on(slice).unwrap().records
    }

    /// What radclient says to these attributes, with its exit status.
    pub fn radclient(&self, command: &str, secret: &str, attributes: &str) -> (bool, String) {
        let port = if command == "acct" { self.accounting } else { self.authentication };
        radclient(port, command, secret, attributes, 3)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(door) = self.door.take() {
            door.close();
        }
        self.runtime.block_on(self.store.close());
    }
}

/// Runs the real radclient: `command` is `auth`, `acct` or `status`.
pub fn radclient(
    to: SocketAddr,
    command: &str,
    secret: &str,
    attributes: &str,
    tries: u32,
) -> (bool, String) {
    use std::io::Write as _;
    let mut child = Command::new("radclient")
        .args(["-x", "-r", &tries.to_string(), "-t", "2", &to.to_string(), command, secret])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("radclient is installed by `make deps` (package freeradius-utils)");
    child.stdin.take().unwrap().write_all(attributes.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

pub fn unsealer(vault: &Vault) -> Unseal {
    let vault = vault.clone();
    Box::new(move |context, sealed| vault.unseal(context, &SealedSecret::parse(sealed).ok()?).ok())
}

pub fn service(id: ServiceId, username: &str, sealed: String) -> Service {
    let zero = Money::zero(Currency::parse("NGN").unwrap());
    let rate = |bits| BitsPerSecond::new(bits).unwrap();
    let since = Timestamp::UNIX_EPOCH;
    Service {
        id,
        subscriber_id: SubscriberId(id.0),
        service_number: Code::parse(&format!("S-{}", id.0.as_u128())).unwrap(),
        plan_id: PlanId(Uuid::from_u128(1)),
        plan_code: Code::parse("home-20").unwrap(),
        terms: PlanTerms {
            version: 1,
            name: Line::parse("Home 20").unwrap(),
            description: None,
            service_type: ServiceType::Internet,
            monthly_price: zero,
            setup_fee: zero,
            cancellation_fee: zero,
            rates: Rates { down: Download(rate(20_000_000)), up: Upload(rate(5_000_000)) },
            data_allowance: None,
            validity: None,
            device_limit: 2,
            session_limit_secs: Some(86_400),
            idle_limit_secs: Some(600),
            requires_approval: false,
            confirmation_access_minutes: None,
            min_contract_months: None,
            max_contract_months: None,
            billing: Default::default(),
            usage: Default::default(),
            features: serde_json::Map::new(),
        },
        phase: Phase::Active,
        username: Username::parse(username).unwrap(),
        credential: Credential::Sealed { sealed },
        locks: vec![],
        intervals: vec![Interval {
            from: since,
            until: None,
            state: IntervalState::Active,
            source: "test".into(),
        }],
        addresses: Addresses { ipv4: Some("100.64.0.7".parse().unwrap()), ..Addresses::default() },
        extras: Default::default(),
        created_at: since,
        approved_at: None,
        activated_at: Some(since),
        ended_at: None,
        updated_at: since,
    }
}
