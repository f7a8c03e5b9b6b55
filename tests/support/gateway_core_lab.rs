//! What runs on a gateway's box below its doors: store, access and the worker over a real kernel, in the
//! gateway's namespace of a little world, with a folder that outlives restarts.

#![allow(missing_docs, dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, reason = "a test may look at the clock and sleep")]

use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use dotmac_edge::access::{self, Access, ClassKey, Holder};
use dotmac_edge::base::clock::Clock;
use dotmac_edge::base::entropy::Entropy;
use dotmac_edge::base::health::Health;
use dotmac_edge::domain::device::Device;
use dotmac_edge::domain::ids::{ServiceId, SessionId};
use dotmac_edge::domain::presence::{Admitted, Counted};
use dotmac_edge::domain::service::Service;
use dotmac_edge::domain::session::{Counters, Session};
use dotmac_edge::enforce::{Closed, Enforcer, Parts, Presence};
use dotmac_edge::firewall::kernel::PROGRAM;
use dotmac_edge::firewall::policy::{Limits, Networks, Policy, Portal};
use dotmac_edge::store::contract::{Page, Range, Record, Unit};
use dotmac_edge::store::snapshot::Snapshot;
use dotmac_edge::store::tables::{self, Services, Sessions, UsageDays};
use dotmac_edge::store::{Options, Store, Vault};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::netns::{self, GATEWAY4, PHONE4, World, connect, echoes, greets, pours};
use super::radius_lab;

/// The world with an Internet, and a box's folder that outlives its restarts.
pub struct Place {
    pub world: World,
    pub folder: tempfile::TempDir,
}

/// What runs on the box: store, access and the gateway's worker, in the gateway's namespace.
pub struct Running {
    pub runtime: tokio::runtime::Runtime,
    pub store: Store,
    pub access: Arc<Access>,
    pub enforcer: Enforcer,
}

struct ByAccess(Arc<Access>);

impl Presence for ByAccess {
    fn admitted(&self, now: Timestamp) -> Vec<Admitted> {
        self.0.admitted(now)
    }
    fn admitted_one(&self, holder: Uuid, now: Timestamp) -> Option<Admitted> {
        self.0.admitted_one(holder, now)
    }
    fn count(
        &self,
        counted: Vec<Counted>,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async move { self.0.count(&counted, now).await.map_err(|error| error.to_string()) })
    }
}

impl Place {
    pub fn new() -> Self {
        let world = World::new();
        greets(&world.gateway, 8080, "portal");
        greets(&world.internet, 5000, "web");
        pours(&world.internet, 6000);
        echoes(&world.internet, 4000, "far");
        Self { world, folder: tempfile::tempdir().unwrap() }
    }

    pub fn start(&self) -> Running {
        self.world.gateway.inside(|| Running::open(self.folder.path()))
    }

    /// The phone, as the gateway sees it once it has spoken.
    pub fn phone(&self, running: &Running) -> Device {
        self.device(running, &self.world.phone, PHONE4)
    }

    pub fn device(&self, running: &Running, from: &netns::Namespace, address: &str) -> Device {
        let _heard = connect(from, GATEWAY4, 8080);
        let seen = self.world.gateway.inside(|| running.enforcer.locate(address.parse().unwrap()));
        seen.expect("the device has spoken")
    }

    pub fn reaches(&self, web: &str) -> Result<String, ErrorKind> {
        connect(&self.world.phone, web, 5000)
    }
}

impl Running {
    pub fn open(folder: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let vault = Vault::with_key([5; 32]);
        let snapshot = Arc::new(Snapshot::new(radius_lab::unsealer(&vault)));
        let mut options = Options::new(folder, vault.seal_key(), Clock::System, Entropy::System);
        options.ballast = 0;
        let store = Store::open(&options, &tables::all(), snapshot.clone()).unwrap();
        let policy = Policy::new(
            vec!["lan0".parse().unwrap()],
            vec!["wan0".parse().unwrap()],
            Portal { http: 8080, https: 8443, dns: 53, addresses: Vec::new() },
            Networks { masquerade: vec!["10.0.0.0/8".parse().unwrap()], ..Networks::default() },
            Limits::default(),
        );
        let (closed, _) = Closed::install(Path::new(PROGRAM), policy.unwrap()).unwrap();
        let (access, enforcer) = runtime.block_on(async {
            snapshot.load(&store).await.unwrap();
            let parts = access::Parts {
                store: store.clone(),
                snapshot,
                class_key: ClassKey::new(&vault.derive("class")).unwrap(),
                zone: TimeZone::UTC,
                entropy: Entropy::System,
                now: Clock::System.now(),
            };
            let access = Access::open(parts).await.unwrap();
            let presence = Arc::new(ByAccess(Arc::clone(&access)));
            let (clock, entropy, health) = (Clock::System, Entropy::System, Health::new());
            let enforcer = closed.start(Parts { presence, clock, entropy, health }).unwrap();
            (access, enforcer)
        });
        Self { runtime, store, access, enforcer }
    }

    pub fn put(&self, service: &Service) {
        let unit = Unit::natural().put::<Services>(&service.id, service).unwrap();
        self.runtime.block_on(self.store.commit(unit)).unwrap();
    }

    pub fn online(&self, device: &Device, id: ServiceId) -> SessionId {
        let login = self.access.snapshot().service(id).unwrap();
        let device_limit = login.service.terms.device_limit;
        self.runtime.block_on(async {
            let holder = Holder::Service { login, device_limit };
            let at = Some(PHONE4.parse().unwrap());
            let opened = self.access.open_local(device, at, holder, Clock::System.now()).await.unwrap();
            self.enforcer.carry_out(id.0).await.unwrap();
            opened.id
        })
    }

    pub fn look(&self, holder: Uuid) {
        self.runtime.block_on(self.enforcer.carry_out(holder)).unwrap();
    }

    pub fn read(&self, holder: Uuid) {
        self.runtime.block_on(self.enforcer.read(holder)).unwrap();
    }

    pub fn end_due(&self) -> usize {
        self.runtime.block_on(self.access.end_due(Clock::System.now())).unwrap().ended
    }

    pub fn sessions(&self) -> Vec<(Session, Counters)> {
        let slice = self.store.scan::<Sessions>(Range::All, Page::first(100));
        let records = self.runtime.block_on(slice).unwrap().records;
        records
            .into_iter()
            .map(|one: Record<Sessions>| (one.body, Counters::from_slice(&one.counters)))
            .collect()
    }

    /// Octets down and up over all days.
    pub fn usage(&self) -> (u64, u64) {
        let slice = self.store.scan::<UsageDays>(Range::All, Page::first(100));
        let records = self.runtime.block_on(slice).unwrap().records;
        records.iter().fold((0, 0), |sum, day| (sum.0 + day.counters[0], sum.1 + day.counters[1]))
    }

    /// As a process ends that is told to: everything stays in force.
    pub fn stop(self) {
        self.runtime.block_on(self.enforcer.stop());
        self.runtime.block_on(self.store.close());
    }
}
