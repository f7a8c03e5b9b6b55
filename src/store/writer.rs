//! The one thread that changes anything: a bounded queue, group commit, answers.
//!
//! It takes what is queued, applies it as one transaction and answers when that is durable; while
//! the disk syncs, the next batch gathers by itself, so nothing ever waits for company. The one
//! rule: no answer before the commit is durable and the observer has seen it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::apply::{self, Outcome};
use super::contract::{CollectionSpec, CommitError, Committed, IndexValue, Op, Unit};
use super::counts::Counts;
use super::engine::{BatchFault, Engine, EngineFault, Fault, Rows};
use super::record::{Applied, Observer, Watchers};
use crate::base::clock::Clock;

/// A unit on its way: a future of its answer.
#[derive(Debug)]
pub struct Submitted {
    id: Option<Uuid>,
    answer: oneshot::Receiver<Result<Committed, CommitError>>,
}

impl Future for Submitted {
    type Output = Result<Committed, CommitError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let id = self.id;
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or(Err(CommitError::Unknown(id))))
    }
}

/// A bounded removal of what is old; repeat it until [`Swept::more`] is false.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// What to remove.
    pub what: SweepWhat,
    /// Most removals in this call, at most [`MAX_SWEEP`].
    pub budget: usize,
}

/// What a sweep removes.
#[derive(Debug, Clone)]
pub enum SweepWhat {
    /// Records whose index is below a value (records with a null index are never removed).
    Records {
        /// Whose records.
        collection: &'static CollectionSpec,
        /// By which declared index.
        index: &'static str,
        /// Below which value.
        before: IndexValue,
    },
    /// Events up to and including a position; the newest event always stays.
    Changes {
        /// The last position to remove.
        through_seq: u64,
    },
    /// Ids of units that were applied before a time; see [`UNIT_RETENTION`].
    Units {
        /// Unix milliseconds.
        before_millis: i64,
    },
}

impl Sweep {
    /// The budget as it is kept.
    pub(crate) fn budget(&self) -> usize {
        self.budget.min(MAX_SWEEP)
    }
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// How many rows.
    pub removed: u64,
    /// Whether the budget ended it, so that there may be more.
    pub more: bool,
}

/// Work for the writer.
pub(crate) enum Job {
    Apply(Unit, Answer),
    Sweep(Sweep, oneshot::Sender<Result<Swept, CommitError>>),
    /// Runs a pass of housekeeping, as if the store had been quiet.
    Rest(oneshot::Sender<()>),
    Stop,
}

/// Where an answer goes. It is always given: one that is dropped says [`CommitError::Unknown`].
pub(crate) struct Answer {
    id: Option<Uuid>,
    to: Option<To>,
}

type Then = Box<dyn FnOnce(Result<Committed, CommitError>) + Send>;

enum To {
    Waiter(oneshot::Sender<Result<Committed, CommitError>>),
    Then(Then),
}

impl Answer {
    pub(crate) fn waiter(id: Option<Uuid>) -> (Self, Submitted) {
        let (sender, answer) = oneshot::channel();
        (Self { id, to: Some(To::Waiter(sender)) }, Submitted { id, answer })
    }

    pub(crate) fn then(id: Option<Uuid>, then: Then) -> Self {
        Self { id, to: Some(To::Then(then)) }
    }

    fn give(mut self, answer: Result<Committed, CommitError>) {
        self.send(answer);
    }

    fn send(&mut self, answer: Result<Committed, CommitError>) {
        match self.to.take() {
            // Whoever no longer waits does not need the answer.
            Some(To::Waiter(sender)) => drop(sender.send(answer)),
            Some(To::Then(then)) => then(answer),
            None => {}
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let id = self.id;
        self.send(Err(CommitError::Unknown(id)));
    }
}

/// The submitting end of the queue.
#[derive(Clone)]
pub(crate) struct Queue(SyncSender<Job>);

impl Queue {
    pub(crate) fn bounded(length: usize) -> (Self, Receiver<Job>) {
        let (sender, receiver) = std::sync::mpsc::sync_channel(length.max(1));
        (Self(sender), receiver)
    }

    /// Queues a job without waiting; gives it back with the reason when that cannot be.
    pub(crate) fn offer(&self, job: Job) -> Result<(), Box<(Job, CommitError)>> {
        self.0.try_send(job).map_err(|error| {
            Box::new(match error {
                TrySendError::Full(job) => (job, CommitError::Full("too many changes are waiting")),
                TrySendError::Disconnected(job) => (job, closed()),
            })
        })
    }

    /// Queues a unit; a refusal is the answer as well as the result.
    pub(crate) fn submit(&self, unit: Unit, answer: Answer) -> Result<(), CommitError> {
        let Err(refused) = self.offer(Job::Apply(unit, answer)) else { return Ok(()) };
        let (job, error) = *refused;
        match job {
            Job::Apply(_, answer) => answer.give(Err(error.clone())),
            Job::Sweep(..) | Job::Rest(_) | Job::Stop => {}
        }
        Err(error)
    }

    /// Asks the writer to end, behind what is queued; blocks while the queue is full.
    pub(crate) fn stop(&self) {
        drop(self.0.send(Job::Stop));
    }
}

pub(crate) fn closed() -> CommitError {
    CommitError::Unavailable("it is closed".to_owned())
}

/// The writer's state; [`Writer::run`] is its thread.
pub(crate) struct Writer<E> {
    pub(crate) engine: E,
    pub(crate) queue: Receiver<Job>,
    pub(crate) clock: Clock,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) seq: watch::Sender<u64>,
    /// The last batch failed: a failure is logged when it begins and when it ends.
    pub(crate) ill: bool,
}

impl<E: Engine> Writer<E> {
    /// Works until told to stop or until nobody can submit any more.
    pub(crate) fn run(mut self) {
        let mut waiting = true;
        let mut held = None;
        loop {
            let job = match held.take() {
                Some(job) => job,
                None => match self.next(&mut waiting) {
                    Some(job) => job,
                    None => break,
                },
            };
            match job {
                Job::Apply(unit, answer) => held = self.batch(unit, answer),
                Job::Sweep(sweep, answer) => drop(answer.send(self.sweep(&sweep))),
                Job::Rest(answer) => {
                    self.engine.rest(true);
                    let _ = answer.send(());
                }
                Job::Stop => break,
            }
            waiting = self.engine.rest(false);
        }
        self.engine.close();
    }

    /// The next job; does the engine's housekeeping when none comes for a while.
    fn next(&mut self, waiting: &mut bool) -> Option<Job> {
        while *waiting {
            match self.queue.recv_timeout(QUIET) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => *waiting = self.engine.rest(true),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        self.queue.recv().ok()
    }

    /// Commits this unit and what has queued up behind it; gives back the first job that is not a
    /// unit.
    fn batch(&mut self, unit: Unit, answer: Answer) -> Option<Job> {
        let now_millis = self.clock.now().as_millisecond();
        let began = self.clock.monotonic();
        let (queue, clock) = (&self.queue, &self.clock);
        let mut held = None;
        let mut answers = Vec::new();
        let mut applied = Vec::new();
        let mut next = Some((unit, answer));
        self.counts.begin();
        let result = self.engine.batch(|rows| {
            while let Some((unit, answer)) = next.take() {
                match apply::apply(rows, unit, now_millis) {
                    Ok(Outcome { committed, applied: more }) => {
                        answers.push((answer, Ok(committed)));
                        applied.extend(more);
                    }
                    Err(Fault::Refused(refusal)) => answers.push((answer, Err(refusal))),
                    Err(Fault::Engine(fault)) => {
                        answers.push((answer, Err(closed())));
                        return Err(fault);
                    }
                }
                let late = clock.monotonic().duration_since(began) >= BATCH_TIME;
                if late || answers.len() >= BATCH_UNITS {
                    break;
                }
                match queue.try_recv() {
                    Ok(Job::Apply(unit, answer)) => next = Some((unit, answer)),
                    Ok(job) => held = Some(job),
                    Err(_) => {}
                }
            }
            Ok(rows.last_seq())
        });
        if let Some((_, answer)) = next {
            answers.push((answer, Err(closed())));
        }
        self.answer(result, answers, &applied);
        held
    }

    fn answer(
        &mut self,
        result: Result<u64, BatchFault>,
        answers: Vec<(Answer, Result<Committed, CommitError>)>,
        applied: &[Applied],
    ) {
        self.note_health(result.as_ref().err());
        self.note_counts(result.as_ref().err(), applied);
        match result {
            Ok(seq) => {
                self.publish(seq, applied);
                for (answer, result) in answers {
                    answer.give(result);
                }
            }
            Err(fault) => {
                for (answer, _) in answers {
                    let error = fault.of_unit(answer.id);
                    answer.give(Err(error));
                }
            }
        }
    }

    fn note_counts(&self, fault: Option<&BatchFault>, applied: &[Applied]) {
        self.counts.end(match fault {
            None => Some(applied),
            Some(BatchFault::NotApplied(_)) => Some(&[]),
            Some(BatchFault::Unknown(_)) => None,
        });
    }

    fn note_health(&mut self, fault: Option<&BatchFault>) {
        let was_ill = std::mem::replace(&mut self.ill, fault.is_some());
        match fault {
            Some(BatchFault::NotApplied(EngineFault::Full)) if !was_ill => {
                tracing::error!("the store's disk is full; nothing is acknowledged until there is room");
            }
            Some(BatchFault::NotApplied(EngineFault::Io(why)) | BatchFault::Unknown(why)) if !was_ill => {
                tracing::error!(why, "the store cannot write; nothing is acknowledged until it can");
            }
            None if was_ill => tracing::info!("the store writes again"),
            Some(_) | None => {}
        }
    }

    fn publish(&mut self, seq: u64, applied: &[Applied]) {
        if !applied.is_empty() {
            self.observer.applied(applied);
            self.watchers.applied(applied);
        }
        self.seq.send_if_modified(|last| std::mem::replace(last, seq) != seq);
    }

    /// Sweeps; on a full disk the reserve is given up for it, since removing needs room too.
    fn sweep(&mut self, sweep: &Sweep) -> Result<Swept, CommitError> {
        match self.sweep_once(sweep) {
            Err(CommitError::Full(_)) if self.engine.make_room() => self.sweep_once(sweep),
            result => result,
        }
    }

    fn sweep_once(&mut self, sweep: &Sweep) -> Result<Swept, CommitError> {
        let now_millis = self.clock.now().as_millisecond();
        let budget = u64::try_from(sweep.budget()).unwrap_or(u64::MAX);
        let due = self.engine.due(sweep).map_err(|fault| BatchFault::NotApplied(fault).of_unit(None))?;
        self.counts.begin();
        let result = self.engine.batch(|rows| match &sweep.what {
            SweepWhat::Records { collection, .. } => remove(rows, collection, due, now_millis),
            SweepWhat::Changes { .. } | SweepWhat::Units { .. } => match rows.forget(sweep) {
                Ok(removed) => Ok((removed, rows.last_seq(), Vec::new())),
                Err(Fault::Engine(fault)) => Err(fault),
                Err(Fault::Refused(refusal)) => Err(EngineFault::Io(refusal.to_string())),
            },
        });
        let applied = result.as_ref().map_or(&[][..], |(_, _, applied)| applied.as_slice());
        self.note_counts(result.as_ref().err(), applied);
        let (removed, seq, applied) = result.map_err(|fault| fault.of_unit(None))?;
        self.publish(seq, &applied);
        Ok(Swept { removed, more: removed >= budget && removed > 0 })
    }
}

fn remove(
    rows: &mut impl Rows,
    collection: &'static CollectionSpec,
    keys: Vec<String>,
    now_millis: i64,
) -> Result<(u64, u64, Vec<Applied>), EngineFault> {
    let ops = keys.into_iter().map(|key| Op::Delete { collection, key }).collect();
    match apply::apply(rows, Unit { ops, ..Unit::default() }, now_millis) {
        Ok(Outcome { committed, applied }) => {
            Ok((u64::try_from(applied.len()).unwrap_or(u64::MAX), committed.seq, applied))
        }
        Err(Fault::Engine(fault)) => Err(fault),
        Err(Fault::Refused(refusal)) => Err(EngineFault::Io(refusal.to_string())),
    }
}

impl BatchFault {
    fn of_unit(&self, id: Option<Uuid>) -> CommitError {
        match self {
            Self::NotApplied(EngineFault::Full) => CommitError::Full("no room on the disk"),
            Self::NotApplied(EngineFault::Io(why)) => CommitError::Unavailable(why.clone()),
            Self::Unknown(_) => CommitError::Unknown(id),
        }
    }
}

/// Most units in one commit: measured, one commit of 500 takes a few milliseconds, which is still
/// within what a NAS waits for without noticing.
pub const BATCH_UNITS: usize = 500;
/// Longest time a batch goes on gathering: the first in it waits this long at most.
pub const BATCH_TIME: Duration = Duration::from_millis(10);
/// Most removals in one sweep: a sweep is one transaction on the thread that accounting waits for.
pub const MAX_SWEEP: usize = apply::MAX_OPS;
/// How long a unit's id is remembered: far beyond any retry, and a week of ids is small.
pub const UNIT_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How long without work counts as quiet enough for housekeeping.
const QUIET: Duration = Duration::from_millis(250);
