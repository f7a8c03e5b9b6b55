//! Makes NAS do what the facts say: sessions that should end are ended there, speeds that changed are changed.
//!
//! It decides nothing and remembers nothing that matters: what is owed comes from [`Owing`] (handed in at wiring), which
//! derives it anew at each look, so a restart loses nothing. Who keeps silent is asked less and less often. The one rule: done is
//! what the NAS has acknowledged, or says twice that it does not have.
//!
//! | file | what |
//! |---|---|
//! | `course` | what is told next; pure |
//! | `wire` | sockets, identifiers, sending again |

mod course;
mod wire;

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

pub use wire::Patience;

use crate::base::clock::Clock;
use crate::base::entropy::Entropy;
use crate::domain::ids::{NasId, ServiceId, SessionId};
use crate::domain::nas::NasKind;
use crate::domain::owed::{OwedChange, Settled, Wanted};
use crate::domain::session::CloseReason;
use crate::nas::change::{Whose, write_terms, write_whose};
use crate::radius::change::{Answer, Deed, ErrorCause, Order};
use crate::radius::{EncodeError, SharedSecret};
use course::{Beginning, Next, Try};
use wire::Wire;

/// What NAS owe, and where it is written down that they do not any more: what this room needs of the rest.
pub trait Owing: Send + Sync + 'static {
    /// Everything that is owed at `now`, oldest first.
    fn owed(&self, now: Timestamp) -> Vec<OwedChange>;

    /// The same of one service.
    fn owed_of(&self, service: ServiceId, now: Timestamp) -> Vec<OwedChange>;

    /// What this one session owes now; `None` once nothing is.
    fn still_owed(&self, owed: &OwedChange, now: Timestamp) -> Option<OwedChange>;

    /// The NAS, where it can be told.
    fn nas(&self, owed: &OwedChange, now: Timestamp) -> Option<Told>;

    /// Writes down what became of it; the future ends when it is durable.
    fn settle<'a>(
        &'a self,
        owed: &'a OwedChange,
        settled: Settled,
        why: CloseReason,
        now: Timestamp,
    ) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;
}

/// A NAS that is told something.
#[derive(Debug)]
pub struct Told {
    /// How it likes to be told.
    pub kind: NasKind,
    /// Where it listens.
    pub at: SocketAddr,
    /// The shared secret.
    pub secret: SharedSecret,
    /// The one before a rotation, which the NAS may still have.
    pub previous_secret: Option<SharedSecret>,
}

/// How the last attempt at a session went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempted {
    /// How often it was tried.
    pub times: u32,
    /// When last.
    pub at: Timestamp,
    /// How that ended.
    pub outcome: Outcome,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done: acknowledged, or there is no such session.
    Settled(Settled),
    /// Nothing was owed any more when its turn came.
    NotOwed,
    /// The NAS refused; why, where it said so.
    Refused(Option<ErrorCause>),
    /// The NAS did not answer.
    Silent,
    /// The NAS is not known any more, or has no port where it can be told.
    CannotBeTold,
    /// Ours: what was done could not be written down, or the order not be made.
    Fault,
}

impl Outcome {
    /// A sentence for people.
    #[must_use]
    pub fn sentence(self) -> String {
        match self {
            Self::Settled(_) | Self::NotOwed => "done".to_owned(),
            Self::Refused(Some(cause)) => format!("the NAS refused: {cause}"),
            Self::Refused(None) => "the NAS refused without saying why".to_owned(),
            Self::Silent => {
                "the NAS did not answer; see that it accepts requests from this box at its CoA port, with \
                             the same secret"
                    .to_owned()
            }
            Self::CannotBeTold => "the NAS has no CoA port here; set one with nas set --coa-port".to_owned(),
            Self::Fault => "a fault of this box; see its log".to_owned(),
        }
    }

    /// For metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Settled(Settled::Ended) => "ended",
            Self::Settled(Settled::Absent) => "absent",
            Self::Settled(Settled::Changed(_)) => "changed",
            Self::NotOwed => "not_owed",
            Self::Refused(_) => "refused",
            Self::Silent => "silent",
            Self::CannotBeTold => "cannot_be_told",
            Self::Fault => "fault",
        }
    }
}

/// What a teller works with.
pub struct Parts {
    /// What is owed.
    pub owing: Arc<dyn Owing>,
    /// The time.
    pub clock: Clock,
    /// For identifiers and jitter.
    pub entropy: Entropy,
    /// How long a NAS is waited for.
    pub patience: Patience,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Who tells NAS; cheap to clone.
#[derive(Clone)]
pub struct Teller {
    wakes: mpsc::Sender<Wake>,
    hands: Hands,
    attempts: Attempts,
}

#[derive(Debug, Clone, Copy)]
enum Wake {
    Service(ServiceId),
    All,
}

type Attempts = Arc<Mutex<HashMap<SessionId, Attempted>>>;

/// What one order needs.
#[derive(Clone)]
struct Hands {
    owing: Arc<dyn Owing>,
    wire: Wire,
    clock: Clock,
}

impl Teller {
    /// Opens the sockets and starts the work.
    ///
    /// # Errors
    /// When no socket can be had.
    pub async fn start(parts: Parts) -> std::io::Result<(Self, Vec<JoinHandle<()>>)> {
        let Parts { owing, clock, entropy, patience, stop } = parts;
        let (wire, mut tasks) = Wire::open(patience, entropy).await?;
        let hands = Hands { owing, wire, clock };
        let attempts = Attempts::default();
        let (wakes, inbox) = mpsc::channel(MOST_WAKES);
        let worker = Worker {
            hands: hands.clone(),
            attempts: Arc::clone(&attempts),
            waiting: VecDeque::new(),
            queued: HashSet::new(),
            under_way: HashSet::new(),
            at_nas: HashMap::new(),
            silent: HashMap::new(),
            running: JoinSet::new(),
        };
        let listeners: Vec<_> = tasks.iter().map(JoinHandle::abort_handle).collect();
        tasks.push(tokio::spawn(async move {
            worker.run(inbox, stop).await;
            listeners.iter().for_each(tokio::task::AbortHandle::abort);
        }));
        Ok((Self { wakes, hands, attempts }, tasks))
    }

    /// Has one service's sessions looked at soon. A wake that does not fit is not lost: the regular look finds it.
    pub fn look(&self, service: ServiceId) {
        let _ = self.wakes.try_send(Wake::Service(service));
    }

    /// Has all sessions looked at soon.
    pub fn look_at_all(&self) {
        let _ = self.wakes.try_send(Wake::All);
    }

    /// Ends a session now, because somebody said so; gives what became of it.
    pub async fn end(&self, owed: &OwedChange) -> Outcome {
        let outcome = self.hands.carry_out(owed, CloseReason::Disconnected).await;
        count(owed.wanted, outcome);
        outcome
    }

    /// How the last attempt at a session went, if there was one.
    #[must_use]
    pub fn attempted(&self, session: SessionId) -> Option<Attempted> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).get(&session).copied()
    }
}

impl std::fmt::Debug for Teller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Teller")
    }
}

/// The task that keeps the order of what is told.
struct Worker {
    hands: Hands,
    attempts: Attempts,
    waiting: VecDeque<OwedChange>,
    /// The sessions of those that wait.
    queued: HashSet<SessionId>,
    under_way: HashSet<SessionId>,
    at_nas: HashMap<NasId, usize>,
    /// NAS that did not answer: how often, and when they are asked again.
    silent: HashMap<NasId, (u32, Timestamp)>,
    running: JoinSet<(OwedChange, Outcome)>,
}

impl Worker {
    async fn run(mut self, mut inbox: mpsc::Receiver<Wake>, stop: CancellationToken) {
        let mut regular = tokio::time::interval(LOOK_PERIOD);
        regular.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = regular.tick() => self.take_in_all(),
                wake = inbox.recv() => match wake {
                    Some(Wake::Service(service)) => {
                        let owed = self.hands.owing.owed_of(service, self.hands.clock.now());
                        self.take_in(owed);
                    }
                    Some(Wake::All) => self.take_in_all(),
                    None => return,
                },
                Some(ended) = self.running.join_next() => {
                    if let Ok((owed, outcome)) = ended {
                        self.note(&owed, outcome);
                    }
                }
            }
            self.give();
        }
    }

    /// Everything that is owed replaces what was waiting, since it holds it all.
    fn take_in_all(&mut self) {
        let owed = self.hands.owing.owed(self.hands.clock.now());
        let open: HashSet<SessionId> = owed.iter().map(|one| one.session).collect();
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| open.contains(id));
        self.waiting.clear();
        self.queued.clear();
        self.take_in(owed);
    }

    fn take_in(&mut self, owed: Vec<OwedChange>) {
        let now = self.hands.clock.now();
        for one in owed {
            let is_known = self.queued.contains(&one.session) || self.under_way.contains(&one.session);
            if !is_known && self.is_due(&one, now) {
                self.queued.insert(one.session);
                self.waiting.push_back(one);
            }
            if self.waiting.len() >= MOST_WAITING {
                // The next regular look brings the rest.
                return;
            }
        }
    }

    fn is_due(&self, owed: &OwedChange, now: Timestamp) -> bool {
        if self.silent.get(&owed.nas).is_some_and(|(_, until)| now < *until) {
            return false;
        }
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.get(&owed.session).is_none_or(|last| {
            now.duration_since(last.at) >= pause_after(&AFTER_REFUSAL, last.times)
                // The clock was set back: waiting for its old time could take for ever.
                || now < last.at
        })
    }

    /// Gives as many of the waiting orders as may be under way.
    fn give(&mut self) {
        let mut held = VecDeque::new();
        while self.under_way.len() < MOST_UNDER_WAY {
            let Some(owed) = self.waiting.pop_front() else { break };
            let at_nas = self.at_nas.entry(owed.nas).or_default();
            if *at_nas >= MOST_AT_NAS {
                held.push_back(owed);
                continue;
            }
            *at_nas += 1;
            self.queued.remove(&owed.session);
            self.under_way.insert(owed.session);
            let hands = self.hands.clone();
            self.running.spawn(async move {
                let outcome = hands.carry_out_if_owed(&owed).await;
                (owed, outcome)
            });
        }
        held.append(&mut self.waiting);
        self.waiting = held;
    }

    fn note(&mut self, owed: &OwedChange, outcome: Outcome) {
        let now = self.hands.clock.now();
        self.under_way.remove(&owed.session);
        if let Some(at_nas) = self.at_nas.get_mut(&owed.nas) {
            *at_nas = at_nas.saturating_sub(1);
            if *at_nas == 0 {
                self.at_nas.remove(&owed.nas);
            }
        }
        count(owed.wanted, outcome);
        match outcome {
            Outcome::Silent | Outcome::CannotBeTold => {
                let times = self.silent.get(&owed.nas).map_or(0, |(times, _)| *times).saturating_add(1);
                let until = now.checked_add(pause_after(&AFTER_SILENCE, times)).unwrap_or(now);
                self.silent.insert(owed.nas, (times, until));
                let queued = &mut self.queued;
                self.waiting.retain(|one| {
                    let stays = one.nas != owed.nas;
                    if !stays {
                        queued.remove(&one.session);
                    }
                    stays
                });
            }
            Outcome::Settled(_) | Outcome::Refused(_) => {
                self.silent.remove(&owed.nas);
            }
            // Nothing was heard of the NAS.
            Outcome::NotOwed | Outcome::Fault => {}
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Outcome::Settled(_) | Outcome::NotOwed => {
                attempts.remove(&owed.session);
            }
            Outcome::Refused(_) | Outcome::Silent | Outcome::CannotBeTold | Outcome::Fault => {
                let times = attempts.get(&owed.session).map_or(0, |last| last.times).saturating_add(1);
                attempts.insert(owed.session, Attempted { times, at: now, outcome });
            }
        }
    }
}

impl Hands {
    /// What was owed when it began to wait may be paid by now, or be another thing.
    async fn carry_out_if_owed(&self, owed: &OwedChange) -> Outcome {
        let Some(owed) = self.owing.still_owed(owed, self.clock.now()) else {
            return Outcome::NotOwed;
        };
        let why = match owed.wanted {
            Wanted::Disconnect { refusal } => CloseReason::NotEntitled { refusal },
            Wanted::Reconnect | Wanted::Change(_) => CloseReason::Disconnected,
        };
        self.carry_out(&owed, why).await
    }

    async fn carry_out(&self, owed: &OwedChange, why: CloseReason) -> Outcome {
        let Some(told) = self.owing.nas(owed, self.clock.now()) else { return Outcome::CannotBeTold };
        let settled = match self.tell(owed, &told).await {
            Ok(settled) => settled,
            Err(outcome) => return outcome,
        };
        match self.owing.settle(owed, settled, why, self.clock.now()).await {
            Ok(()) => Outcome::Settled(settled),
            Err(error) => {
                tracing::warn!(session.id = %owed.session, %error, "What a NAS has done could not be written down");
                Outcome::Fault
            }
        }
    }

    async fn tell(&self, owed: &OwedChange, told: &Told) -> Result<Settled, Outcome> {
        let mut tried = match course::begin(owed.wanted, told.kind) {
            Beginning::Give(first) => first,
            Beginning::NothingToTell(settled) => return Ok(settled),
        };
        for _ in 0..MOST_ORDERS {
            let answer = self.give(owed, told, tried).await?;
            tracing::debug!(session.id = %owed.session, deed = tried.deed.name(), ?answer, "A NAS answered");
            match course::after(owed.wanted, tried, answer) {
                Next::Done(settled) => return Ok(settled),
                Next::Give(next) => tried = next,
                Next::Refused(cause) => return Err(Outcome::Refused(cause)),
            }
        }
        Err(Outcome::Refused(None))
    }

    /// Gives one order. A NAS that does not have the new secret yet keeps silent to it, so the one before is
    /// tried, too.
    async fn give(&self, owed: &OwedChange, told: &Told, tried: Try) -> Result<Answer, Outcome> {
        let first = self.give_under(&told.secret, owed, told, tried).await;
        match (first, &told.previous_secret) {
            (Err(Outcome::Silent), Some(previous)) => self.give_under(previous, owed, told, tried).await,
            (first, _) => first,
        }
    }

    async fn give_under(
        &self,
        secret: &SharedSecret,
        owed: &OwedChange,
        told: &Told,
        tried: Try,
    ) -> Result<Answer, Outcome> {
        let mut place = self.wire.place(told.at).ok_or(Outcome::Fault)?;
        let mut buffer = Box::new([0; 4_096]);
        let written = self.write(owed, told, tried, place.identifier(), &mut buffer);
        let (octets, awaited) = match written {
            Ok(order) => order.finish(secret),
            Err(error) => {
                tracing::error!(session.id = %owed.session, %error, "An order to a NAS could not be written");
                return Err(Outcome::Fault);
            }
        };
        let answer = self.wire.exchange(&mut place, octets, &awaited, secret).await;
        answer.ok_or(Outcome::Silent)
    }

    fn write<'b>(
        &self,
        owed: &OwedChange,
        told: &Told,
        tried: Try,
        identifier: u8,
        buffer: &'b mut [u8; 4_096],
    ) -> Result<Order<'b>, EncodeError> {
        let seconds = u32::try_from(self.clock.now().as_second()).unwrap_or(0);
        let mut order = Order::new(buffer, tried.deed, identifier, seconds)?;
        let whose =
            Whose { username: &owed.username, acct_session_id: &owed.acct_session_id, ipv4: owed.ipv4 };
        write_whose(&whose, tried.naming, order.attributes())?;
        if let (Deed::Change, Wanted::Change(terms)) = (tried.deed, owed.wanted) {
            let untold = write_terms(told.kind, &terms, order.attributes())?;
            if untold.rates {
                tracing::warn!(session.id = %owed.session, "A NAS cannot be told the new speeds of a session");
            }
        }
        Ok(order)
    }
}

fn count(wanted: Wanted, outcome: Outcome) {
    let wanted = match wanted {
        Wanted::Disconnect { .. } => "disconnect",
        Wanted::Reconnect => "reconnect",
        Wanted::Change(_) => "change",
    };
    metrics::counter!("nas_changes_total", "wanted" => wanted, "outcome" => outcome.name()).increment(1);
}

/// The pause after so many failures; the last one for all that follow.
fn pause_after(pauses: &[i64], times: u32) -> SignedDuration {
    let at = usize::try_from(times.saturating_sub(1)).unwrap_or(usize::MAX);
    let seconds = pauses.get(at).or_else(|| pauses.last()).copied().unwrap_or(0);
    SignedDuration::from_secs(seconds)
}

/// What is owed by use alone (a quota, a tier of fair use) is found by this look, and whatever was not told.
const LOOK_PERIOD: Duration = Duration::from_secs(5);
/// Seconds until a session is tried again whose NAS refused.
const AFTER_REFUSAL: [i64; 3] = [30, 120, 600];
/// Seconds until a NAS is asked again that kept silent: each try costs 15 s of waiting.
const AFTER_SILENCE: [i64; 4] = [30, 60, 300, 900];
/// Orders under way at one NAS: small routers handle them one after the other.
const MOST_AT_NAS: usize = 8;
/// Orders under way in all, so that many NAS that are away do not hold everything.
const MOST_UNDER_WAY: usize = 512;
/// Changes that wait; the next look brings what did not fit.
const MOST_WAITING: usize = 10_000;
/// Services to look at; the next look is at all.
const MOST_WAKES: usize = 1_024;
/// Orders for one change: CoA by both namings, then Disconnect by both.
const MOST_ORDERS: usize = 4;
