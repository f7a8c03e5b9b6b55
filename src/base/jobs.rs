//! Periodic work that is never two at once: reconcilers, sweeps, senders.
//!
//! A job takes no input, may be run at any time and as often as one likes, and leaves trying again
//! to its next run. It runs when its period is over and when somebody who knows that there is
//! something to do pulls its [`Activator`]. Pulls during a run cause one more run, not many.
//!
//! Not for work that must not be lost: that is a row in the store, and the job only sends it on.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;

/// Idempotent periodic work.
pub trait Job: Send + 'static {
    /// Kebab-case name, stable over versions; shown in status and metrics.
    fn name(&self) -> &'static str;

    /// How long after a run the next one is due.
    fn period(&self) -> Duration;

    /// Does what there is to do at `now`. A failure is told and left to the next run.
    fn run(&mut self, now: Timestamp) -> impl Future<Output = Report> + Send;
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What was done or what went wrong, in a sentence.
    pub text: String,
    /// When the next run is due, if earlier or later than the job's period says.
    pub next: Option<Duration>,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There was nothing to do.
    Idle,
    /// Something was done.
    Done,
    /// Something could not be done; the next run tries again.
    Failed,
    /// The job's code broke off. The next run tries again.
    Panicked,
}

impl Report {
    /// A run that ended in `outcome`, with the usual period until the next.
    pub fn new(outcome: Outcome, text: impl Into<String>) -> Self {
        Self { outcome, text: text.into(), next: None }
    }

    /// The same, with the next run due after `delay`.
    #[must_use]
    pub const fn next_in(mut self, delay: Duration) -> Self {
        self.next = Some(delay);
        self
    }
}

/// Wakes a job; cheap to clone. Made before the jobs, so that whoever wakes and who is woken need
/// not know each other.
#[derive(Clone, Debug, Default)]
pub struct Activator(Arc<Notify>);

impl Activator {
    /// An activator that nobody listens to yet; a pull is kept until somebody does.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Has the job run soon. Costs next to nothing; pull rather too often.
    pub fn pull(&self) {
        self.0.notify_one();
    }

    /// Waits for a pull, or takes the one that came since the last wait.
    async fn pulled(&self) {
        self.0.notified().await;
    }
}

/// What is known of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The job's name.
    pub name: &'static str,
    /// True while it runs.
    pub running: bool,
    /// How often it ran since the daemon started.
    pub runs: u64,
    /// How many of them failed or panicked.
    pub failures: u64,
    /// When the last run began.
    pub last_run: Option<Timestamp>,
    /// How long it took.
    pub last_took: Option<Duration>,
    /// How it went.
    pub last_report: Option<Report>,
    /// When the next run is due unless somebody pulls.
    pub next_due: Timestamp,
}

/// All jobs of the daemon; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Jobs {
    statuses: Arc<Mutex<BTreeMap<&'static str, Status>>>,
}

/// A second job wants a name that is taken; a fault of the wiring.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a job named {0} is running already, and the same work must never run twice at once")]
pub struct NameTaken(&'static str);

impl Jobs {
    /// No jobs yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs `job` until `stop`: first at `first_due` (the past means at once), then by its period
    /// and whenever `activator` is pulled. A run that has begun is finished before the task ends.
    ///
    /// # Errors
    /// When a job of this name runs already.
    pub fn start<J: Job>(
        &self,
        job: J,
        activator: Activator,
        first_due: Timestamp,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<JoinHandle<()>, NameTaken> {
        let name = job.name();
        let mut statuses = self.lock();
        if statuses.contains_key(name) {
            return Err(NameTaken(name));
        }
        statuses.insert(name, Status::new(name, first_due));
        drop(statuses);
        Ok(tokio::spawn(self.clone().keep_running(job, activator, clock, stop)))
    }

    /// The status of each job, by name.
    #[must_use]
    pub fn statuses(&self) -> Vec<Status> {
        self.lock().values().cloned().collect()
    }

    async fn keep_running(
        self,
        mut job: impl Job,
        activator: Activator,
        clock: Clock,
        stop: CancellationToken,
    ) {
        let name = job.name();
        loop {
            let wait = self.until_due(name, clock.now());
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = activator.pulled() => {}
                () = tokio::time::sleep(wait) => {}
            }
            self.run_once(&mut job, &clock).await;
        }
        self.lock().remove(name);
    }

    async fn run_once(&self, job: &mut impl Job, clock: &Clock) {
        let (name, period) = (job.name(), job.period());
        let (began, ticks) = (clock.now(), clock.monotonic());
        self.update(name, |status| status.running = true);
        let report = caught(job.run(began)).await;
        let took = clock.monotonic().saturating_duration_since(ticks);
        let wait = report.next.unwrap_or(period).max(SHORTEST_WAIT);
        let next_due = later(clock.now(), wait);
        self.update(name, |status| status.ran(began, took, report, next_due));
    }

    fn until_due(&self, name: &str, now: Timestamp) -> Duration {
        let due = self.lock().get(name).map_or(now, |status| status.next_due);
        // Looked at again at least that often, so that a wall clock set back cannot stop a job.
        Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO).min(LONGEST_SLEEP)
    }

    fn update(&self, name: &str, change: impl FnOnce(&mut Status)) {
        if let Some(status) = self.lock().get_mut(name) {
            change(status);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Status>> {
        self.statuses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Status {
    fn new(name: &'static str, next_due: Timestamp) -> Self {
        Self {
            name,
            running: false,
            runs: 0,
            failures: 0,
            last_run: None,
            last_took: None,
            last_report: None,
            next_due,
        }
    }

    fn ran(&mut self, began: Timestamp, took: Duration, report: Report, next_due: Timestamp) {
        self.running = false;
        self.runs = self.runs.saturating_add(1);
        self.failures = self.failures.saturating_add(match report.outcome {
            Outcome::Idle | Outcome::Done => 0,
            Outcome::Failed | Outcome::Panicked => 1,
        });
        self.last_run = Some(began);
        self.last_took = Some(took);
        self.last_report = Some(report);
        self.next_due = next_due;
    }
}

/// The report of a run, also where its code panicked: one ill job must not end the daemon's others.
async fn caught(run: impl Future<Output = Report>) -> Report {
    let mut run = pin!(run);
    std::future::poll_fn(move |context| {
        let poll = std::panic::catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context)));
        poll.unwrap_or_else(|_| Poll::Ready(Report::new(Outcome::Panicked, "the job's code broke off")))
    })
    .await
}

fn later(now: Timestamp, wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// A job that is due again at once would otherwise take a core for itself.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);

/// A minute late after a wrong clock is bearable; waking once a minute costs nothing.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Counting {
        runs: Arc<AtomicU32>,
        running: Arc<AtomicU32>,
        slow: Duration,
        outcome: Outcome,
    }

    impl Job for Counting {
        fn name(&self) -> &'static str {
            "counting"
        }

        fn period(&self) -> Duration {
            Duration::from_secs(3600)
        }

        async fn run(&mut self, _now: Timestamp) -> Report {
            assert_eq!(self.running.fetch_add(1, Ordering::SeqCst), 0, "two at once");
            tokio::time::sleep(self.slow).await;
            self.running.store(0, Ordering::SeqCst);
            self.runs.fetch_add(1, Ordering::SeqCst);
            assert_ne!(self.outcome, Outcome::Panicked, "asked to break");
            Report::new(self.outcome, "counted")
        }
    }

    struct Bench {
        jobs: Jobs,
        runs: Arc<AtomicU32>,
        activator: Activator,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    fn start(slow: Duration, outcome: Outcome, first_due_in: i64) -> Bench {
        let (jobs, runs) = (Jobs::new(), Arc::new(AtomicU32::new(0)));
        let (activator, stop) = (Activator::new(), CancellationToken::new());
        let job = Counting { runs: Arc::clone(&runs), running: Arc::default(), slow, outcome };
        let due = Clock::System.now() + SignedDuration::from_secs(first_due_in);
        let task = jobs.start(job, activator.clone(), due, Clock::System, stop.clone()).unwrap();
        Bench { jobs, runs, activator, stop, task }
    }

    async fn until(bench: &Bench, runs: u32) {
        let wait = async {
            while bench.runs.load(Ordering::SeqCst) < runs || bench.jobs.statuses()[0].running {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), wait).await.unwrap();
    }

    #[tokio::test]
    async fn a_job_runs_when_it_is_due_and_when_it_is_pulled() {
        let bench = start(Duration::ZERO, Outcome::Done, -1);
        until(&bench, 1).await;
        bench.activator.pull();
        until(&bench, 2).await;
        let status = &bench.jobs.statuses()[0];
        assert_eq!((status.runs, status.failures), (2, 0));
        assert_eq!(status.last_report, Some(Report::new(Outcome::Done, "counted")));
        assert!(status.next_due > Clock::System.now());
    }

    #[tokio::test]
    async fn many_pulls_during_a_run_cause_one_more_run_and_never_two_at_once() {
        let bench = start(Duration::from_millis(50), Outcome::Done, 3600);
        for _ in 0..20 {
            bench.activator.pull();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        until(&bench, 2).await;
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(bench.runs.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_run_that_panics_is_told_and_the_next_one_runs() {
        let bench = start(Duration::ZERO, Outcome::Panicked, -1);
        until(&bench, 1).await;
        bench.activator.pull();
        until(&bench, 2).await;
        let status = &bench.jobs.statuses()[0];
        assert_eq!(status.last_report.as_ref().unwrap().outcome, Outcome::Panicked);
        assert_eq!(status.failures, 2);
    }

    #[tokio::test]
    async fn a_stop_lets_the_run_that_has_begun_finish() {
        let bench = start(Duration::from_millis(50), Outcome::Done, -1);
        while !bench.jobs.statuses()[0].running {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bench.stop.cancel();
        bench.task.await.unwrap();
        assert_eq!(bench.runs.load(Ordering::SeqCst), 1);
        assert!(bench.jobs.statuses().is_empty());
    }

    #[tokio::test]
    async fn the_same_work_is_not_started_twice() {
        let bench = start(Duration::ZERO, Outcome::Done, 3600);
        let job = Counting {
            runs: Arc::default(),
            running: Arc::default(),
            slow: Duration::ZERO,
            outcome: Outcome::Idle,
        };
        let again =
            bench.jobs.start(job, Activator::new(), Clock::System.now(), Clock::System, bench.stop.clone());
        assert_eq!(again.unwrap_err(), NameTaken("counting"));
    }
}
