//! The door for NAS: RADIUS over UDP (RFC 2865, 2866, 5080, 5997).
//!
//! Each listener has some workers, each with a socket of its own on the same port and a thread.
//! Protocol is judged by `radius`, access decided by `access`, attributes phrased by `nas`; here
//! they meet the sockets. Authentication and accounting never share a queue.

mod conversations;
mod counters;
mod delayed;
mod eap;
mod handshakes;
mod inbox;
mod login;
mod peers;
mod report;
mod socket;
mod worker;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use metrics::{Counter, counter};
use tokio::sync::mpsc;

use crate::access::{Access, RecordError, Recorded, Report, Restart, Then};
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::secret::Secret;
use crate::eap::Offer;
use crate::radius::exchange::PortKind;
use conversations::Conversations;
use handshakes::Handshakes;
use inbox::Inbox;

/// What the door needs from others.
pub struct Parts {
    /// Decides.
    pub access: Arc<Access>,
    /// Tells the time, once a batch.
    pub clock: Clock,
    /// For salts and challenges.
    pub entropy: Entropy,
    /// Checks slow verifiers elsewhere.
    pub verify: Verify,
    /// Bounds.
    pub limits: Limits,
    /// What may change while running.
    pub settings: Settings,
    /// What is offered by EAP; whoever changes it does so for conversations that begin then.
    pub eap: Arc<ArcSwap<Offer>>,
}

/// A password to hold against a slow verifier.
#[derive(Debug)]
pub struct Slow {
    /// The password.
    pub password: Secret,
    /// The verifier (PHC string).
    pub verifier: String,
}

/// Checks a slow verifier off this thread; calls back with whether it fits, or `None` when busy.
pub type Verify = Box<dyn Fn(Slow, Box<dyn FnOnce(Option<bool>) + Send>) + Send + Sync>;

/// Bounds of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Workers for each listener.
    pub workers: u32,
    /// Replies that a worker keeps for repetitions.
    pub duplicate_capacity: usize,
    /// For how long.
    pub duplicate_lifetime: Duration,
    /// Threads that carry TLS handshakes on.
    pub handshake_threads: u32,
}

/// What may change while the door is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How long an Access-Reject waits.
    pub reject_delay: Duration,
    /// Acct-Interim-Interval.
    pub interim_secs: u32,
    /// Session-Timeout where plan and payment set none.
    pub session_secs: Option<u32>,
    /// Idle-Timeout where the plan sets none.
    pub idle_secs: Option<u32>,
}

/// What all workers share.
struct Shared {
    access: Arc<Access>,
    clock: Clock,
    entropy: Entropy,
    verify: Verify,
    limits: Limits,
    settings: ArcSwap<Settings>,
    eap: Arc<ArcSwap<Offer>>,
    handshakes: Handshakes,
    conversations: Conversations,
    conversations_refused: Counter,
    jobs: mpsc::Sender<Job>,
    closing: AtomicBool,
    untold_rate: Counter,
}

/// What a worker hands to the runtime because it must wait.
enum Job {
    /// Ask the store about a session, then record.
    Learn { report: Box<Report>, done: Then },
    /// End all sessions of a NAS.
    Restart { restart: Restart, done: Then },
}

/// The open door.
pub struct RadiusDoor {
    shared: Arc<Shared>,
    inboxes: Vec<Arc<Inbox>>,
    threads: Vec<JoinHandle<()>>,
    authentication: Vec<SocketAddr>,
    accounting: Vec<SocketAddr>,
}

/// Why the door could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for RADIUS on {address}; is another RADIUS server running, or is the port in use?")]
pub struct BindError {
    address: SocketAddr,
    #[source]
    source: io::Error,
}

/// How listeners are bound.
#[derive(Debug, Clone, Copy)]
pub struct Sockets {
    /// Sockets (and threads) a listener.
    pub workers: u32,
    /// Receive buffer asked of the kernel for each, octets.
    pub receive_buffer: usize,
}

/// Sockets that are bound but not yet served: nothing is answered before all is ready.
pub struct Bound {
    sockets: Vec<(PortKind, UdpSocket)>,
    authentication: Vec<SocketAddr>,
    accounting: Vec<SocketAddr>,
}

/// Binds all listeners.
///
/// # Errors
/// The first address that cannot be bound.
pub fn bind(
    authentication: &[SocketAddr],
    accounting: &[SocketAddr],
    sockets: Sockets,
) -> Result<Bound, BindError> {
    let mut bound = Bound { sockets: Vec::new(), authentication: Vec::new(), accounting: Vec::new() };
    for address in authentication {
        let given = bound.listen(PortKind::Authentication, *address, sockets)?;
        bound.authentication.push(given);
    }
    for address in accounting {
        let given = bound.listen(PortKind::Accounting, *address, sockets)?;
        bound.accounting.push(given);
    }
    Ok(bound)
}

impl Bound {
    /// Binds one address for all of its workers; with port 0, all share the port given first.
    fn listen(
        &mut self,
        port: PortKind,
        address: SocketAddr,
        sockets: Sockets,
    ) -> Result<SocketAddr, BindError> {
        socket::be_alone_on(address).map_err(|source| BindError { address, source })?;
        let mut address = address;
        for _ in 0..sockets.workers.max(1) {
            let fault = |source| BindError { address, source };
            let socket = socket::bind(address, sockets.receive_buffer).map_err(fault)?;
            address = socket.local_addr().map_err(fault)?;
            self.sockets.push((port, socket));
        }
        Ok(address)
    }

    /// Starts the workers. Call it from within the runtime that is to do what must wait.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn serve(self, parts: Parts) -> io::Result<RadiusDoor> {
        let (jobs, queue) = mpsc::channel(JOBS);
        let shared = Arc::new(Shared {
            access: parts.access,
            clock: parts.clock,
            entropy: parts.entropy,
            verify: parts.verify,
            limits: parts.limits,
            settings: ArcSwap::from_pointee(parts.settings),
            eap: parts.eap,
            handshakes: Handshakes::start(parts.limits.handshake_threads)?,
            conversations: Conversations::default(),
            conversations_refused: counter!("dotmac_radius_eap_refused_total", "reason" => "too_many"),
            jobs,
            closing: AtomicBool::new(false),
            untold_rate: counter!("dotmac_radius_untold_rates_total"),
        });
        tokio::spawn(do_jobs(Arc::clone(&shared), queue));
        let (mut inboxes, mut threads) = (Vec::new(), Vec::new());
        for (number, (port, socket)) in self.sockets.into_iter().enumerate() {
            let inbox = Inbox::new()?;
            inboxes.push(Arc::clone(&inbox));
            let place = u16::try_from(number).unwrap_or(u16::MAX);
            threads.push(worker::start(Arc::clone(&shared), port, place, socket, inbox)?);
        }
        let (authentication, accounting) = (self.authentication, self.accounting);
        Ok(RadiusDoor { shared, inboxes, threads, authentication, accounting })
    }
}

impl RadiusDoor {
    /// Where authentication is answered.
    #[must_use]
    pub fn authentication(&self) -> &[SocketAddr] {
        &self.authentication
    }

    /// Where accounting is answered.
    #[must_use]
    pub fn accounting(&self) -> &[SocketAddr] {
        &self.accounting
    }

    /// Changes what may change while the door is open.
    pub fn set(&self, settings: Settings) {
        self.shared.settings.store(Arc::new(settings));
    }

    /// Whether every worker turns within the limit.
    pub async fn is_turning(&self, limit: Duration) -> bool {
        let before: Vec<u64> = self.inboxes.iter().map(|inbox| inbox.turns()).collect();
        self.inboxes.iter().for_each(|inbox| inbox.ring());
        let turned = async {
            while self.inboxes.iter().zip(&before).any(|(inbox, before)| inbox.turns() == *before) {
                tokio::time::sleep(TURN_PAUSE).await;
            }
        };
        tokio::time::timeout(limit, turned).await.is_ok()
    }

    /// Stops taking requests, waits for commits under way, ends the threads. Blocks for at most
    /// some seconds.
    pub fn close(self) {
        self.shared.closing.store(true, Ordering::Release);
        for inbox in &self.inboxes {
            inbox.ring();
        }
        for thread in self.threads {
            // A worker that panicked has ended already; the others must still be waited for.
            let _ = thread.join();
        }
    }
}

async fn do_jobs(shared: Arc<Shared>, mut queue: mpsc::Receiver<Job>) {
    while let Some(job) = queue.recv().await {
        match job {
            Job::Learn { report, done } => {
                let shared = Arc::clone(&shared);
                tokio::spawn(async move { learn_and_record(&shared, &report, done).await });
            }
            Job::Restart { restart, done } => {
                let now_open = shared.access.nas_restarted(&restart).await;
                done(now_open.map(|_| ()));
            }
        }
    }
}

async fn learn_and_record(shared: &Arc<Shared>, report: &Report, done: Then) {
    let mut done = Some(done);
    for _ in 0..LEARN_TRIES {
        if let Err(error) = shared.access.learn(report).await {
            return finish(done, Err(RecordError::Unavailable(error.to_string())));
        }
        let now = shared.clock.now();
        let then = || done.take().unwrap_or_else(|| Box::new(|_| ()));
        match shared.access.record(report, now, then) {
            Ok(Recorded::Queued) => return,
            Ok(Recorded::AskStore) => {}
            Err(error) => return finish(done, Err(error)),
        }
    }
    finish(done, Err(RecordError::Full("too many sessions are being looked up")));
}

fn finish(done: Option<Then>, outcome: Result<(), RecordError>) {
    if let Some(done) = done {
        done(outcome);
    }
}

/// Reports that may wait for the store's reads; more are dropped and come again.
const JOBS: usize = 4_096;
/// How often a missing turn is looked for again.
const TURN_PAUSE: Duration = Duration::from_millis(10);
/// Two reports of one shard can cross; a few tries part them.
const LEARN_TRIES: usize = 5;
