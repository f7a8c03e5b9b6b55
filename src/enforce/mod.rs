//! Makes the network do what the facts say: who may pass this gateway, how fast, and what of it was counted.
//!
//! It decides nothing. What is wanted comes from a [`Presence`] (handed in at wiring), which derives it anew
//! at each question; what is in force is the kernel's word. One worker thread holds the hands on the kernel
//! and compares the two. The one rule: only what the kernel acknowledged is reported as done.
//!
//! | file | what |
//! |---|---|
//! | `wanted` | from who is admitted to what the kernel should hold; pure |
//! | `worker` | the thread: looks, readings, repairs |
//! | `eyes` | who is behind an address |
//! | `state` | how the gateway is, for people |
//! | [`remote`] | the same for sessions at NAS, by CoA and Disconnect |

mod eyes;
pub mod remote;
mod state;
mod wanted;
mod worker;

use std::future::Future;
use std::net::IpAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;
use uuid::Uuid;

pub use state::{ForeignChain, GatewayState};

use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::base::health::Health;
use crate::domain::device::Device;
use crate::domain::presence::{Admitted, Counted};
use crate::firewall::kernel::{Gateway, GatewayError, Installed};
use crate::firewall::policy::Policy;
use eyes::Eyes;
use state::Shared;
use worker::{Answer, Task, Worker};

/// Who may pass, and where what was counted goes: what this room needs of the rest.
pub trait Presence: Send + Sync + 'static {
    /// Everybody who may pass at `now`.
    fn admitted(&self, now: Timestamp) -> Vec<Admitted>;

    /// One holder, if it may.
    fn admitted_one(&self, holder: Uuid, now: Timestamp) -> Option<Admitted>;

    /// Takes readings down; the future ends when they are durable.
    fn count(
        &self,
        counted: Vec<Counted>,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>>;
}

/// The rules in force and nobody admitted by us yet: how a gateway begins.
#[derive(Debug)]
pub struct Closed {
    policy: Policy,
    gateway: Gateway,
    eyes: Eyes,
}

/// What the worker is built from beside the gateway itself.
pub struct Parts {
    /// Who may pass.
    pub presence: Arc<dyn Presence>,
    /// The time.
    pub clock: Clock,
    /// For the names of generations.
    pub entropy: Entropy,
    /// Where faults of the gateway are told.
    pub health: Health,
}

/// The hands on the gateway; cheap to clone. The last clone's end lets go and leaves everything in force.
#[derive(Clone)]
pub struct Enforcer {
    tasks: SyncSender<Task>,
    eyes: Eyes,
    shared: Arc<Shared>,
}

/// Why something was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCarriedOut {
    /// The kernel said no.
    #[error("{0}")]
    Refused(String),
    /// Too much is waiting already.
    #[error("too many changes wait for the kernel; try again")]
    Busy,
    /// The worker has ended.
    #[error("the gateway's worker has ended")]
    Ended,
}

impl Closed {
    /// Puts the rules in force: what subscribers of before may do stays as it is, strangers are captive.
    ///
    /// # Errors
    /// When `nft`, the right to use it, or the kernel's part is missing; one readable line.
    pub fn install(nft: &Path, policy: Policy) -> Result<(Self, Installed), GatewayError> {
        let mut gateway = Gateway::open(nft)?;
        let installed = gateway.install(&policy)?;
        let eyes = Eyes::new(Gateway::open(nft)?, policy.clone());
        Ok((Self { policy, gateway, eyes }, installed))
    }

    /// Starts the worker; it compares everything at once.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(self, parts: Parts) -> std::io::Result<Enforcer> {
        let (tasks, inbox) = sync_channel(MOST_WAITING);
        let shared = Arc::new(Shared::default());
        let worker = Worker::new(self.gateway, self.policy, parts, Arc::clone(&shared));
        let runtime = tokio::runtime::Handle::current();
        std::thread::Builder::new().name("gateway".to_owned()).spawn(move || worker.run(&inbox, &runtime))?;
        worker::watch(tasks.clone())?;
        Ok(Enforcer { tasks, eyes: self.eyes, shared })
    }
}

impl Enforcer {
    /// Makes what is in force for one holder what is wanted now; the kernel has acknowledged it when this
    /// returns.
    ///
    /// # Errors
    /// Why it is not in force.
    pub async fn carry_out(&self, holder: Uuid) -> Result<(), NotCarriedOut> {
        self.ask(|answer| Task::Look(holder, Some(answer))).await
    }

    /// Reads and counts one holder's counters now; durable when this returns.
    ///
    /// # Errors
    /// Why they were not counted.
    pub async fn read(&self, holder: Uuid) -> Result<(), NotCarriedOut> {
        self.ask(|answer| Task::Read(holder, answer)).await
    }

    /// Has one holder looked at soon.
    pub fn look(&self, holder: Uuid) {
        self.send(Task::Look(holder, None));
    }

    /// Has everybody looked at soon.
    pub fn wake(&self) {
        self.send(Task::LookAtAll);
    }

    /// Opens the walled garden to these addresses for an hour.
    pub fn open_garden(&self, addresses: Vec<IpAddr>) {
        self.send(Task::Garden(addresses));
    }

    /// The device behind an address on an access interface.
    #[must_use]
    pub fn locate(&self, address: IpAddr) -> Option<Device> {
        self.eyes.locate(address)
    }

    /// The addresses of both families that a device has.
    #[must_use]
    pub fn addresses_of(&self, device: &Device) -> Vec<IpAddr> {
        self.eyes.addresses_of(device)
    }

    /// How the gateway is, as of the last look.
    #[must_use]
    pub fn state(&self) -> GatewayState {
        self.shared.state()
    }

    /// Ends the worker once it has counted what passed so far; everything stays in force. Waits for it, but
    /// not for ever.
    pub async fn stop(&self) {
        let (waiting, done) = oneshot::channel();
        let tasks = self.tasks.clone();
        // A full queue is waited for, so not on a thread that others need.
        let told = tokio::task::spawn_blocking(move || tasks.send(Task::Stop(waiting)));
        let ended = async {
            // Either way the worker has ended: the sender is never used, only dropped.
            let _ = told.await;
            let _ = done.await;
        };
        if tokio::time::timeout(STOP_LIMIT, ended).await.is_err() {
            tracing::warn!(
                "The gateway's worker did not end in time; what passed last is counted after the next start"
            );
        }
    }

    async fn ask(&self, task: impl FnOnce(Answer) -> Task) -> Result<(), NotCarriedOut> {
        let (answer, answered) = oneshot::channel();
        match self.tasks.try_send(task(answer)) {
            Ok(()) => answered.await.unwrap_or(Err(NotCarriedOut::Ended)),
            Err(TrySendError::Full(_)) => Err(NotCarriedOut::Busy),
            Err(TrySendError::Disconnected(_)) => Err(NotCarriedOut::Ended),
        }
    }

    /// A task that does not fit is not lost: the worker looks at all by itself every minute, and a full
    /// queue makes it look at all when it is through.
    fn send(&self, task: Task) {
        if matches!(self.tasks.try_send(task), Err(TrySendError::Full(_))) {
            self.shared.note_overflow();
        }
    }
}

impl std::fmt::Debug for Enforcer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Enforcer")
    }
}

/// Reading everybody's counters and one commit take far less.
const STOP_LIMIT: Duration = Duration::from_secs(5);
/// Tasks that may wait: a burst of logins; a login waits at most a second behind so many.
const MOST_WAITING: usize = 4_096;
