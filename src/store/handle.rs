//! [`Store`]: what callers hold. Cheap to clone; every method is safe from any task.
//!
//! Reads run on the engine's own threads, changes on its writer; nothing here blocks a runtime.
//! The one rule: a call that does not succeed says whether anything was changed.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{oneshot, watch};

use super::contract::{
    Change, Collection, CommitError, Committed, MAX_PAGE, Page, Range, ReadError, Record, RecordKey, Slice,
    Unit,
};
use super::counts::Counts;
use super::engine::memory::Memory;
use super::engine::sqlite::{self, pool::Pool};
use super::engine::{DamageList, Engine, Read};
use super::options::{OpenError, Options, QUEUE};
use super::record::{self, Keyed, Observer, Registration, Watchers};
use super::report::{BackupError, Manifest, Report, Restored};
use super::seal::SealKey;
use super::writer::{Answer, Job, Queue, Submitted, Sweep, Swept, Writer};
use crate::base::clock::Clock;

/// A store: records that outlive the process.
///
/// When the last handle is dropped the threads end by themselves, soon; [`Store::close`] waits
/// until they have, so that the store can be opened again.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    queue: Queue,
    reads: Reads,
    seq: watch::Receiver<u64>,
    damage: DamageList,
    writer: Mutex<Option<JoinHandle<()>>>,
    watchers: Arc<Watchers>,
    counts: Arc<Counts>,
}

/// Where reads run: a closed list, one per engine.
enum Reads {
    Sqlite(Pool, Box<Disk>),
    Memory(Memory),
}

/// What a check or a backup needs to open a connection of its own.
#[derive(Clone)]
struct Disk {
    path: PathBuf,
    seal_key: SealKey,
    clock: Clock,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("seq", &*self.0.seq.borrow()).finish_non_exhaustive()
    }
}

/// What [`Store::load_all`] went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Records handed over.
    pub records: u64,
    /// The feed's position at the moment that the records are of.
    pub seq: u64,
    /// Records that were left out because they are damaged; see [`Store::damage`].
    pub damaged: u64,
}

impl Store {
    /// Opens the store on disk, making it when its directory holds none; upgrades older ones
    /// after a verified backup.
    ///
    /// `observer` is told of every commit from now on. Blocks; call it before the runtime is busy.
    ///
    /// # Errors
    /// As [`OpenError`] says; nothing was changed then, except that an upgrade may have left its
    /// backup.
    pub fn open(
        options: &Options,
        collections: &[Registration],
        observer: Arc<dyn Observer>,
    ) -> Result<Self, OpenError> {
        let opened = sqlite::open(options, collections)?;
        let (seq, damage) = (opened.writer.last_seq(), opened.damage);
        let disk = Disk {
            path: sqlite::file_in(&options.dir),
            seal_key: options.seal_key.clone(),
            clock: options.clock.clone(),
        };
        let reads = Reads::Sqlite(opened.pool, Box::new(disk));
        Self::start(opened.writer, reads, seq, damage, options.queue, options.clock.clone(), observer)
    }

    /// A store in memory, for tests: the same semantics, and nothing outlives it.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn memory(
        clock: Clock,
        collections: &[Registration],
        observer: Arc<dyn Observer>,
    ) -> Result<Self, OpenError> {
        Self::memory_with_queue(QUEUE, clock, collections, observer)
    }

    /// As [`Store::memory`] with a queue of `queue` units.
    ///
    /// # Errors
    /// As [`Store::memory`].
    pub fn memory_with_queue(
        queue: usize,
        clock: Clock,
        collections: &[Registration],
        observer: Arc<dyn Observer>,
    ) -> Result<Self, OpenError> {
        let memory = Memory::new(collections);
        let reads = Reads::Memory(memory.clone());
        Self::start(memory, reads, 0, DamageList::default(), queue, clock, observer)
    }

    fn start<E: Engine>(
        engine: E,
        reads: Reads,
        seq: u64,
        damage: DamageList,
        queue: usize,
        clock: Clock,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, OpenError> {
        let (queue, jobs) = Queue::bounded(queue);
        let (seq, watch) = watch::channel(seq);
        let (watchers, counts) = (Arc::<Watchers>::default(), Arc::<Counts>::default());
        let writer = Writer {
            engine,
            queue: jobs,
            clock,
            observer,
            watchers: Arc::clone(&watchers),
            counts: Arc::clone(&counts),
            seq,
            ill: false,
        };
        let writer = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| OpenError::Engine { doing: "start the writer of", why: error.to_string() })?;
        let writer = Mutex::new(Some(writer));
        Ok(Self(Arc::new(Inner { queue, reads, seq: watch, damage, writer, watchers, counts })))
    }

    /// Reads one record.
    ///
    /// # Errors
    /// [`ReadError`]; a damaged record is an error, never `None`.
    pub async fn get<C: Collection>(&self, key: &C::Key) -> Result<Option<Record<C>>, ReadError> {
        let key = key.to_key();
        self.read(move |read| read.get(C::SPEC, &key)?.map(|row| record::decode(key, row)).transpose()).await
    }

    /// Reads one page of a range. Damaged records are left out and named by [`Store::damage`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn scan<C: Collection>(&self, range: Range, page: Page) -> Result<Slice<C>, ReadError> {
        let damage = self.0.damage.clone();
        self.read(move |read| {
            let raw = read.scan(C::SPEC, &range, &page)?;
            Ok(Slice { records: decoded(raw.rows, &damage)?, next: raw.next })
        })
        .await
    }

    /// The records of a range from the place `skip` on, at most `limit`, and how many the range has. What is
    /// skipped is not read, and the count is kept from one call to the next.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn window<C: Collection>(
        &self,
        range: Range,
        newest_first: bool,
        (skip, limit): (usize, usize),
    ) -> Result<(Vec<Record<C>>, usize), ReadError> {
        let (damage, counts) = (self.0.damage.clone(), Arc::clone(&self.0.counts));
        self.read(move |read| {
            let total = match counts.known(C::SPEC, &range) {
                Some(known) => known,
                None => {
                    let quiet = counts.quiet();
                    let counted = read.count(C::SPEC, &range)?;
                    counts.keep(C::SPEC, &range, counted, quiet);
                    counted
                }
            };
            let total = usize::try_from(total).unwrap_or(usize::MAX);
            let limit = limit.min(total.saturating_sub(skip)).min(MAX_PAGE);
            // What lies beyond the middle is nearer from the other end.
            let from_end = skip > total / 2;
            let skip = if from_end { total.saturating_sub(skip).saturating_sub(limit) } else { skip };
            let mut rows = read.window(C::SPEC, &range, newest_first != from_end, (skip, limit))?;
            if from_end {
                rows.reverse();
            }
            Ok((decoded(rows, &damage)?, total))
        })
        .await
    }

    /// Tells `watcher` of every commit from now on, as the observer is told, while it is held by somebody.
    pub(crate) fn watch(&self, watcher: std::sync::Weak<dyn Observer>) {
        self.0.watchers.add(watcher);
    }

    /// Hands every record of a collection to `each`, as of one moment, without paging: for
    /// filling an in-memory snapshot at the start.
    ///
    /// # Errors
    /// [`ReadError`]; damaged records are left out, counted and named by [`Store::damage`].
    pub async fn load_all<C: Collection>(
        &self,
        mut each: impl FnMut(Record<C>) + Send + 'static,
    ) -> Result<Loaded, ReadError> {
        let damage = self.0.damage.clone();
        self.read(move |read| {
            let (mut records, mut failed) = (0u64, None);
            let seq = read.walk(C::SPEC, &mut |one| match record::decode::<C>(one.key, one.row) {
                Ok(record) => {
                    records = records.saturating_add(1);
                    each(record);
                }
                Err(ReadError::Damaged { collection, key }) => {
                    damage.add(collection, &key, "its body is not what the collection declares");
                }
                Err(error @ (ReadError::Newer { .. } | ReadError::Unavailable(_))) => failed = Some(error),
            })?;
            let named = damage.names();
            let ours = named.iter().filter(|(collection, ..)| collection == C::SPEC.name).count();
            let damaged = u64::try_from(ours).unwrap_or(u64::MAX);
            failed.map_or(Ok(Loaded { records, seq, damaged }), Err)
        })
        .await
    }

    /// Applies a unit and waits until it is durable.
    ///
    /// # Errors
    /// [`CommitError`]; nothing was changed, except with `Unknown`: submit the same unit again.
    pub async fn commit(&self, unit: Unit) -> Result<Committed, CommitError> {
        self.try_submit(unit)?.await
    }

    /// Queues a unit without waiting; the answer comes from the returned future. Dropping the
    /// future does not take the unit back.
    ///
    /// # Errors
    /// `Full` when too many units wait, `Unavailable` when the store is closed.
    pub fn try_submit(&self, unit: Unit) -> Result<Submitted, CommitError> {
        let (answer, submitted) = Answer::waiter(unit.id);
        self.0.queue.submit(unit, answer)?;
        Ok(submitted)
    }

    /// Queues a unit without waiting; `then` is called exactly once: from the writer's thread
    /// with the answer, or at once from this thread when the unit was not taken. It must be quick.
    pub fn submit_then(&self, unit: Unit, then: Box<dyn FnOnce(Result<Committed, CommitError>) + Send>) {
        let answer = Answer::then(unit.id, then);
        // The refusal has been given to `then`.
        let _ = self.0.queue.submit(unit, answer);
    }

    /// The events after a position, in order, at most `limit` (and [`MAX_PAGE`]). A first event
    /// beyond `after + 1` means that older ones were swept away: read the records afresh.
    ///
    /// # Errors
    /// [`ReadError`]; a damaged event is an error, and the position cannot be passed silently.
    pub async fn changes(&self, after: u64, limit: usize) -> Result<Vec<Change>, ReadError> {
        self.read(move |read| read.changes(after, limit.clamp(1, MAX_PAGE))).await
    }

    /// Waits until the feed is beyond `after`; gives its last position. A hint: read
    /// [`Store::changes`] for the events.
    ///
    /// # Errors
    /// `Unavailable` when the store is closed.
    pub async fn wait(&self, after: u64) -> Result<u64, ReadError> {
        let mut seq = self.0.seq.clone();
        match seq.wait_for(|last| *last > after).await {
            Ok(last) => Ok(*last),
            Err(_) => Err(ReadError::Unavailable("it is closed".to_owned())),
        }
    }

    /// The feed's last position.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        *self.0.seq.borrow()
    }

    /// Removes a bounded amount of what is old, as one commit; the observer is told.
    ///
    /// # Errors
    /// [`CommitError`]; nothing was removed, except with `Unknown`.
    pub async fn sweep(&self, sweep: Sweep) -> Result<Swept, CommitError> {
        let (sender, answer) = oneshot::channel();
        self.0.queue.offer(Job::Sweep(sweep, sender)).map_err(|refused| refused.1)?;
        answer.await.unwrap_or(Err(CommitError::Unknown(None)))
    }

    /// Looks at everything: the engine's structures, every seal, every count, every gap. Works on
    /// a thread and a connection of its own, as of one moment, while the store goes on.
    ///
    /// # Errors
    /// `Unavailable` when it could not be looked at; findings are in the [`Report`].
    pub async fn verify(&self) -> Result<Report, ReadError> {
        let Disk { path, seal_key, .. } = match &self.0.reads {
            Reads::Memory(memory) => return Ok(memory.report()),
            Reads::Sqlite(_, disk) => Disk::clone(disk),
        };
        let damage = self.0.damage.clone();
        let work = tokio::task::spawn_blocking(move || {
            let report = sqlite::connection::reading(&path)
                .and_then(|connection| sqlite::check::examine(&connection, &seal_key))
                .map_err(|error| ReadError::Unavailable(error.to_string()))?;
            for one in &report.damaged {
                damage.add(&one.collection, &one.key, &one.why);
            }
            Ok(report)
        });
        work.await.unwrap_or_else(|_| Err(ReadError::Unavailable("the check was interrupted".to_owned())))
    }

    /// Takes a backup of the running store to `target`, checked whole on the copy before it
    /// replaces an older one; `<target>.manifest` beside it says what it holds.
    ///
    /// # Errors
    /// [`BackupError`]; an older backup at `target` is still there then.
    pub async fn backup(&self, target: PathBuf) -> Result<Manifest, BackupError> {
        let Disk { path, seal_key, clock } = match &self.0.reads {
            Reads::Memory(_) => return Err(BackupError::InMemory),
            Reads::Sqlite(_, disk) => Disk::clone(disk),
        };
        let now_millis = clock.now().as_millisecond();
        let work = tokio::task::spawn_blocking(move || {
            let source = sqlite::connection::reading(&path)
                .map_err(|error| BackupError::Engine { doing: "open the store", why: error.to_string() })?;
            sqlite::backup::take(&source, &target, &seal_key, now_millis)
        });
        work.await.unwrap_or(Err(BackupError::Interrupted))
    }

    /// Puts a backup in the place of the store in `dir`, which is kept aside; blocks. A backup of
    /// another box is sealed anew, and [`Restored::secrets_lost`] says which secrets this box
    /// cannot open.
    ///
    /// # Errors
    /// [`BackupError`]: a damaged backup, or a daemon that holds the store; nothing was replaced.
    pub fn restore(
        backup: &Path,
        dir: &Path,
        seal_key: &SealKey,
        clock: &Clock,
    ) -> Result<Restored, BackupError> {
        sqlite::backup::restore(backup, dir, seal_key, clock.now().as_millisecond())
    }

    /// Does the writer's housekeeping now, as it does in a quiet moment.
    ///
    /// # Errors
    /// As [`Store::sweep`].
    pub async fn rest(&self) -> Result<(), CommitError> {
        let (sender, answer) = oneshot::channel();
        self.0.queue.offer(Job::Rest(sender)).map_err(|refused| refused.1)?;
        answer.await.map_err(|_| CommitError::Unknown(None))
    }

    /// The records known to be damaged, as (collection, key, why). They are refused, never served.
    #[must_use]
    pub fn damage(&self) -> Vec<(String, String, String)> {
        self.0.damage.names()
    }

    /// Ends the store: what is queued is committed first. Later calls answer `Unavailable`.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.0);
        let ended = tokio::task::spawn_blocking(move || inner.end());
        // The task only joins threads; should it fail, they end by themselves.
        let _ = ended.await;
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Read) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        match &self.0.reads {
            Reads::Sqlite(pool, _) => pool.run(work).await,
            Reads::Memory(memory) => work(memory),
        }
    }
}

/// Rows as what their collection says; those that are not are named and left out.
fn decoded<C: Collection>(rows: Vec<Keyed>, damage: &DamageList) -> Result<Vec<Record<C>>, ReadError> {
    let mut records = Vec::with_capacity(rows.len());
    for one in rows {
        match record::decode::<C>(one.key, one.row) {
            Ok(record) => records.push(record),
            Err(ReadError::Damaged { collection, key }) => {
                damage.add(collection, &key, "its body is not what the collection declares");
            }
            Err(error @ (ReadError::Newer { .. } | ReadError::Unavailable(_))) => return Err(error),
        }
    }
    Ok(records)
}

impl Inner {
    /// Readers end first, so that the writer is the last to leave and can tidy the files.
    fn end(&self) {
        match &self.reads {
            Reads::Sqlite(pool, _) => pool.end(),
            Reads::Memory(_) => {}
        }
        self.queue.stop();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer {
            let _ = writer.join();
        }
    }
}
