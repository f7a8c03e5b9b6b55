//! From a checked configuration to open doors, in the order in which it happens.

use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::desk::{self, Desk, MailError};
use super::eap::{EapDesk, EapError};
use super::money::Money;
use super::portal::{self, PortalError};
use super::{
    Claim, Doors, Running, console, couriers, gateway, jobs, metrics, radius_settings, session_defaults,
    telling,
};
use crate::access::{Access, ClassKey};
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::Health;
use crate::base::jobs::{Activator, Jobs, NameTaken};
use crate::catalogue::Catalogue;
use crate::catalogue::provision::Prover;
use crate::config::{Config, Engine, Environment, Origin, SecretError, box_key};
use crate::domain::provisioning::Proof;
use crate::domain::service::Service;
use crate::enforce::remote::Teller;
use crate::enforce::{Closed, Enforcer};
use crate::firewall::kernel::GatewayError;
use crate::firewall::policy::PolicyError;
use crate::notify::Post;
use crate::people::password::{Cost, PasswordError, Passwords, QUEUE};
use crate::people::subscribers::Subscribers;
use crate::people::{People, PeopleError};
use crate::serve::api::{self, App, RouteFault};
use crate::serve::control::{self, ControlError, Place};
use crate::serve::http::metrics as metrics_page;
use crate::serve::http::server::{self, Listener};
use crate::serve::radius as nas_door;
use crate::serve::radius::{BindError, Bound, Limits, Parts, RadiusDoor, Sockets, Verify};
use crate::store::contract::{CommitError, ReadError};
use crate::store::snapshot::{Snapshot, Unseal};
use crate::store::vault::{SealedSecret, Vault};
use crate::store::{OpenError, Options, Store, tables};

/// Why the daemon did not start. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A RADIUS listener.
    #[error(transparent)]
    Radius(#[from] BindError),
    /// An HTTP listener.
    #[error("cannot listen on {address} ({setting}); is another program using the port?")]
    Listen {
        /// Which setting names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The box's key.
    #[error("the box's key (secrets.key) cannot be used")]
    Key(#[from] SecretError),
    /// The key has the wrong length.
    #[error("the box's key (secrets.key) is not 32 octets")]
    KeyLength,
    /// The store.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// Reading the store back.
    #[error("the store was opened but cannot be read")]
    Read(#[from] ReadError),
    /// Ending what the gateway of before left.
    #[error("the sessions of the gateway that this box was cannot be ended")]
    Commit(#[from] CommitError),
    /// The API's table: our fault.
    #[error("the table of routes is wrong")]
    Routes(#[from] RouteFault),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// The pool that checks passwords.
    #[error("the password checkers cannot be started")]
    Passwords(#[from] PasswordError),
    /// The mail server.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The portal.
    #[error(transparent)]
    Portal(#[from] PortalError),
    /// EAP's certificate.
    #[error(transparent)]
    Eap(#[from] EapError),
    /// The gateway's settings contradict themselves.
    #[error("[gateway]: {0}")]
    Policy(#[source] PolicyError),
    /// The gateway's rules cannot be put in force.
    #[error("the gateway cannot be closed to strangers, so nothing is started: {0}")]
    Gateway(#[source] GatewayError),
    /// The payment gateways.
    #[error(transparent)]
    Payments(#[from] super::PaymentsError),
    /// A job is wired twice: our fault.
    #[error(transparent)]
    Jobs(#[from] NameTaken),
    /// Threads or tasks.
    #[error("the daemon's threads cannot be started")]
    Threads(#[source] std::io::Error),
    /// The file for the first admin's claim.
    #[error("the claim for the first admin cannot be written to {}", path.display())]
    ClaimFile {
        /// Where.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The first admin's claim.
    #[error("the claim for the first admin cannot be made")]
    Claim(#[from] PeopleError),
}

/// Opens everything. Nothing is answered before it returns.
///
/// # Errors
/// What could not be opened, with the setting to look at.
#[expect(clippy::too_many_lines, reason = "the order of the start, to be read from top to bottom")]
pub async fn start(config: Config, clock: Clock, entropy: Entropy) -> Result<Running, StartError> {
    metrics::install();
    let (Opened { vault, snapshot, store }, closed) = open(&config, &clock, &entropy)?;
    let listeners = bind(&config).await?;

    snapshot.load(&store).await?;
    let world = World { config: &config, clock: &clock, entropy: &entropy, store: &store, vault: &vault };
    let access = open_access(&world, snapshot).await?;
    let health = Health::new();
    let due = Activator::new();
    let (cycle, paid) = (Activator::new(), Activator::new());
    let wired = gateway::Wiring {
        access: &access,
        clock: &clock,
        entropy: &entropy,
        health: &health,
        due: &due,
        paid: &paid,
    };
    let enforcer = closed.map(|closed| gateway::start(closed, &wired)).transpose()?;
    if enforcer.is_none() {
        gateway::end_what_it_left(&access, clock.now()).await?;
    }
    let passwords = passwords(&config, &entropy)?;
    let eap = EapDesk::open(&config, &clock)?;
    let post = desk::post(&config, &store, &vault, &entropy)?;
    let (stop_doors, stop_jobs) = (CancellationToken::new(), CancellationToken::new());
    let telling = telling::start(&access, &clock, &entropy, &stop_jobs).await;
    let (teller, telling) = telling.map_err(StartError::Threads)?;
    let enforcing = enforcer.as_ref();
    let front = Front {
        access: &access,
        enforcer: enforcing,
        teller: &teller,
        health: &health,
        passwords: &passwords,
        post: &post,
        cycle: &cycle,
        paid: &paid,
    };
    let app = build_app(&world, &front)?;
    let claim = offer_claim(&app, &config, &clock).await?;
    let jobs = Jobs::new();
    let interim_secs = Arc::new(AtomicU32::new(radius_settings(&config).interim_secs));
    let wiring = jobs::Wiring {
        app: &app,
        access: &access,
        post: &post,
        store: &store,
        store_path: &config.store.path,
        clock: &clock,
        health: &health,
        interim_secs: &interim_secs,
        cycle: &cycle,
        paid: &paid,
        eap: &eap,
    };
    let mut job_tasks = jobs::start(&jobs, &wiring, &stop_jobs)?;
    job_tasks.extend(couriers::start(&app, &clock, &stop_jobs));
    job_tasks.extend(telling);
    job_tasks.push(telling::follow(&store, &access, &teller, &stop_jobs));
    if let Some(enforcer) = &enforcer {
        let own = gateway::Own { jobs: &jobs, enforcer, store: &store, config: &config, stop: &stop_jobs };
        job_tasks.extend(gateway::tasks(&own, &wired)?);
    }
    let looked = console::Looked {
        store: store.clone(),
        access: Arc::clone(&access),
        health,
        jobs,
        enforcer: enforcer.clone(),
    };
    let doors = open_doors(listeners, &world, &app, &looked, (&passwords, &eap), &stop_doors)?;
    Ok(Running {
        started: config.clone(),
        config,
        store,
        access,
        enforcer,
        app,
        doors,
        job_tasks,
        stop_doors,
        stop_jobs,
        claim,
        interim_secs,
        eap,
    })
}

/// What is kept on disk, and the key to it.
struct Opened {
    vault: Vault,
    snapshot: Arc<Snapshot>,
    store: Store,
}

/// Opens the store and closes the gateway.
fn open(config: &Config, clock: &Clock, entropy: &Entropy) -> Result<(Opened, Option<Closed>), StartError> {
    let opened = open_vault(config, entropy).and_then(|vault| {
        let snapshot = Arc::new(Snapshot::new(unsealer(&vault)));
        let store = open_store(config, clock, entropy, &vault, &snapshot)?;
        Ok(Opened { vault, snapshot, store })
    });
    let closed = match &opened {
        // Then the gateway is the other daemon's.
        Err(StartError::Store(OpenError::Held { .. })) => None,
        // Strangers stay out even where nothing else can begin.
        Ok(_) | Err(_) => gateway::close(config)?,
    };
    Ok((opened?, closed))
}

/// Every socket of the doors, bound before anything is answered.
struct Listeners {
    radius: Bound,
    admin: TcpListener,
    metrics: TcpListener,
    portal: portal::Listeners,
}

async fn bind(config: &Config) -> Result<Listeners, StartError> {
    Ok(Listeners {
        radius: bind_radius(config)?,
        admin: listen(config.http.admin, "http.admin").await?,
        metrics: listen(config.http.metrics, "http.metrics").await?,
        portal: portal::bind(config)?,
    })
}

fn open_doors(
    listeners: Listeners,
    world: &World<'_>,
    app: &App,
    looked: &console::Looked,
    (passwords, eap): (&Passwords, &EapDesk),
    stop: &CancellationToken,
) -> Result<Doors, StartError> {
    let config = world.config;
    let mut routes = api::routes();
    routes.extend(api::why::routes(&looked.access));
    routes.extend(console::routes(looked));
    let router = api::router(app, routes)?;
    let settings = api::door(app, None);
    let control = control::bind(&control_place(config))?;
    let admin = local_address(&listeners.admin, config.http.admin);
    let metrics = local_address(&listeners.metrics, config.http.metrics);
    let serve =
        |listener, router| tokio::spawn(server::serve(listener, router, settings.clone(), stop.clone()));
    let mut tasks = vec![
        serve(Listener::Tcp(listeners.admin), router.clone()),
        serve(control, router),
        serve(Listener::Tcp(listeners.metrics), metrics_page::router(metrics::text)),
    ];
    tasks.extend(portal::open(listeners.portal, config, app, world.vault, stop)?);
    looked.access.take_vouchers(app.reception.voucher_logins(Handle::current()));
    let radius = open_radius(listeners.radius, world, &looked.access, (passwords, eap))?;
    Ok(Doors { radius, admin, metrics, tasks })
}

fn bind_radius(config: &Config) -> Result<Bound, BindError> {
    let radius = &config.radius;
    let sockets = Sockets {
        workers: radius.workers,
        receive_buffer: usize::try_from(radius.receive_buffer.octets()).unwrap_or(usize::MAX),
    };
    nas_door::bind(&radius.authentication, &radius.accounting, sockets)
}

async fn open_access(world: &World<'_>, snapshot: Arc<Snapshot>) -> Result<Arc<Access>, StartError> {
    let class_key = ClassKey::new(&world.vault.derive("class")).ok_or(StartError::KeyLength)?;
    let parts = crate::access::Parts {
        store: world.store.clone(),
        snapshot,
        class_key,
        zone: world.config.site.timezone.clone(),
        entropy: world.entropy.clone(),
        now: world.clock.now(),
    };
    let access = Access::open(parts).await?;
    access.set_defaults(session_defaults(world.config));
    Ok(access)
}

async fn listen(address: SocketAddr, setting: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { setting, address, source })
}

fn local_address(listener: &TcpListener, asked: SocketAddr) -> SocketAddr {
    listener.local_addr().unwrap_or(asked)
}

fn open_vault(config: &Config, entropy: &Entropy) -> Result<Vault, StartError> {
    let store_is_new = !config.store.path.join(STORE_FILE).exists();
    let key = box_key(&config.secrets.key, store_is_new, &Environment::Process, entropy)?;
    let key: [u8; 32] = key.expose().try_into().map_err(|_| StartError::KeyLength)?;
    Ok(Vault::with_key(key))
}

fn unsealer(vault: &Vault) -> Unseal {
    let vault = vault.clone();
    Box::new(move |context, sealed| {
        let sealed = SealedSecret::parse(sealed).ok()?;
        vault.unseal(context, &sealed).ok()
    })
}

/// The store comes before the sockets: whoever holds it is the only daemon, and a second one must
/// not take a single datagram from it.
fn open_store(
    config: &Config,
    clock: &Clock,
    entropy: &Entropy,
    vault: &Vault,
    snapshot: &Arc<Snapshot>,
) -> Result<Store, StartError> {
    let observer = Arc::clone(snapshot);
    let opened = match config.store.engine {
        Engine::Memory => Store::memory(clock.clone(), &tables::all(), observer),
        Engine::Embedded => {
            let path: &Path = &config.store.path;
            let mut options = Options::new(path, vault.seal_key(), clock.clone(), entropy.clone());
            options.ballast = config.store.ballast.octets();
            options.queue = usize::try_from(config.radius.accounting_queue).unwrap_or(options.queue);
            // Opening reads and may upgrade: it blocks, so it happens before anything is answered.
            Store::open(&options, &tables::all(), observer)
        }
    };
    Ok(opened?)
}

/// What most parts are built from.
struct World<'a> {
    config: &'a Config,
    clock: &'a Clock,
    entropy: &'a Entropy,
    store: &'a Store,
    vault: &'a Vault,
}

fn passwords(config: &Config, entropy: &Entropy) -> Result<Passwords, PasswordError> {
    let threads = usize::try_from(config.radius.password_threads).unwrap_or(1);
    let queue = usize::try_from(config.radius.password_queue).unwrap_or(QUEUE);
    Passwords::start(Cost::STANDARD, threads, queue, entropy.clone())
}

fn open_radius(
    bound: Bound,
    world: &World<'_>,
    access: &Arc<Access>,
    (passwords, eap): (&Passwords, &EapDesk),
) -> Result<RadiusDoor, StartError> {
    let settings = &world.config.radius;
    let workers = settings.workers.max(1);
    let (passwords, runtime) = (passwords.clone(), Handle::current());
    let verify: Verify = Box::new(move |slow, answer| {
        let passwords = passwords.clone();
        runtime.spawn(async move {
            answer(passwords.verify(slow.password, Some(&slow.verifier)).await.ok());
        });
    });
    let parts = Parts {
        access: Arc::clone(access),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        verify,
        limits: Limits {
            workers,
            duplicate_capacity: usize::try_from(settings.duplicate_capacity / workers).unwrap_or(1),
            duplicate_lifetime: settings.duplicate_lifetime,
            handshake_threads: settings.eap.handshake_threads,
        },
        settings: radius_settings(world.config),
        eap: eap.offer(),
    };
    bound.serve(parts).map_err(StartError::Threads)
}

/// What the API is built from beside the world.
struct Front<'a> {
    access: &'a Arc<Access>,
    enforcer: Option<&'a Enforcer>,
    teller: &'a Teller,
    health: &'a Health,
    passwords: &'a Passwords,
    post: &'a Post,
    /// Wakes the job that looks at subscriptions.
    cycle: &'a Activator,
    /// Wakes the job that brings devices online whose service was paid.
    paid: &'a Activator,
}

fn build_app(world: &World<'_>, front: &Front<'_>) -> Result<App, super::PaymentsError> {
    let Front { access, enforcer, teller, health, passwords, post, cycle, paid } = *front;
    let World { config, clock, entropy, store, vault } = *world;
    let site = &config.site;
    let prover = Arc::new(ProvenByAccess(Arc::clone(access)));
    let people = People::new(store.clone(), vault, entropy.clone(), passwords.clone());
    let catalogue = Catalogue::new(store, entropy, vault, site.currency, &site.timezone, prover);
    let subscribers = Subscribers::new(store.clone(), entropy.clone(), passwords.clone());
    let billing =
        super::money::billing(&Money { config, store, entropy, catalogue: &catalogue, cycle, paid, post });
    let gateways = super::payments::providers(&config.payments)?;
    let billing = billing.with_gateways(gateways, desk::origin(config));
    let reception = desk::reception(&Desk {
        config,
        clock,
        entropy,
        store,
        vault,
        access,
        enforcer,
        teller,
        people: &people,
        subscribers: &subscribers,
        catalogue: &catalogue,
        post,
        billing: &billing,
    });
    Ok(App::new(api::Parts {
        store: store.clone(),
        vault: vault.clone(),
        people,
        catalogue,
        subscribers,
        billing,
        reception,
        clock: clock.clone(),
        entropy: entropy.clone(),
        health: health.clone(),
        site: api::Site {
            name: site.name.clone(),
            tenant: None,
            currency: site.currency,
            timezone: site.timezone.clone(),
            demands_second_factor: site.require_second_factor,
        },
    }))
}

/// Writes the claim for the first admin where only the daemon's user and root can read it: beside
/// the control socket, so that it is gone with the process's runtime folder.
async fn offer_claim(app: &App, config: &Config, clock: &Clock) -> Result<Option<Claim>, StartError> {
    let file = config.control.socket.with_file_name(CLAIM_FILE);
    let fault = |source| StartError::ClaimFile { path: file.clone(), source };
    match std::fs::remove_file(&file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fault(error)),
        Ok(()) | Err(_) => {}
    }
    let Some(code) = app.people.offer_claim(clock.now()).await? else { return Ok(None) };
    let write = || {
        let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
        to.write_all(code.expose())?;
        to.write_all(b"\n")
    };
    write().map_err(fault)?;
    Ok(Some(Claim { code, file }))
}

/// What provisioning waits for, as `access` sees it: no session runs under an earlier answer.
struct ProvenByAccess(Arc<Access>);

impl Prover for ProvenByAccess {
    fn proof<'a>(&'a self, service: &'a Service) -> Pin<Box<dyn Future<Output = Proof> + Send + 'a>> {
        Box::pin(std::future::ready(self.0.proof(service.id, service.terms.version)))
    }
}

/// Where the control socket is. A group that was asked for must exist; the usual one need not.
fn control_place(config: &Config) -> Place {
    let is_asked_for = config
        .effective()
        .iter()
        .any(|setting| setting.key == "control.group" && setting.origin != Origin::Default);
    let group = config.control.group.clone();
    let group = (is_asked_for || control::group_exists(&group)).then_some(group);
    Place { path: config.control.socket.clone(), group }
}

/// Beside the control socket.
const CLAIM_FILE: &str = "claim";
/// What tells a store that exists from one that is to be made.
const STORE_FILE: &str = "store.db";
