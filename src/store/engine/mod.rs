//! Where the rows are. Two engines, a closed list: SQLite on disk, maps in memory.
//!
//! An engine keeps rows and says when they are durable; what a unit means is in
//! [`super::apply`]. The one rule: [`Engine::batch`] answers `Ok` only when the batch is durable.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use super::contract::{Change, CollectionSpec, CommitError, Cursor, EventDraft, Page, Range, ReadError};
use super::record::{Keyed, Row};
use super::writer::Sweep;

pub(crate) mod memory;
pub(crate) mod sqlite;

/// What the writer's thread drives.
pub(crate) trait Engine: Send + 'static {
    /// The rows while a batch is open.
    type Rows<'e>: Rows
    where
        Self: 'e;

    /// Runs `work` as one transaction and makes it durable.
    fn batch<T>(
        &mut self,
        work: impl FnOnce(&mut Self::Rows<'_>) -> Result<T, EngineFault>,
    ) -> Result<T, BatchFault>;

    /// Keys that `sweep` would remove next, oldest first.
    fn due(&mut self, sweep: &Sweep) -> Result<Vec<String>, EngineFault>;

    /// Housekeeping between batches; true when more is waiting to be done in a quiet moment.
    fn rest(&mut self, idle: bool) -> bool;

    /// Frees the reserve on a full disk, so that a clean-up can be written; false without one.
    fn make_room(&mut self) -> bool;

    /// Ends the engine's use of its files.
    fn close(self);
}

/// Rows inside an open batch.
pub(crate) trait Rows {
    /// The number of a collection by its name.
    fn table(&self, name: &str) -> Option<usize>;
    /// The feed's last position, with this batch's events.
    fn last_seq(&self) -> u64;
    fn unit_seen(&mut self, id: Uuid) -> Result<bool, Fault>;
    fn remember_unit(&mut self, id: Uuid, now_millis: i64) -> Result<(), Fault>;
    /// A record whose seal fits.
    fn fetch(&mut self, table: usize, key: &str) -> Result<Option<Row>, Fault>;
    /// A record whose seal does not fit, to be removed; forgets that it is damaged.
    fn fetch_damaged(&mut self, table: usize, key: &str) -> Result<Option<Row>, Fault>;
    fn insert(&mut self, table: usize, key: &str, row: &Row) -> Result<(), Fault>;
    fn update(&mut self, table: usize, key: &str, before: &Row, row: &Row) -> Result<(), Fault>;
    fn update_counters(&mut self, table: usize, key: &str, before: &Row, row: &Row) -> Result<(), Fault>;
    fn delete(&mut self, table: usize, key: &str, row: &Row) -> Result<(), Fault>;
    /// Appends an event to the feed.
    fn append(&mut self, now_millis: i64, event: &EventDraft, payload: &str) -> Result<(), Fault>;
    /// Removes the oldest events or unit ids that `sweep` names; how many.
    fn forget(&mut self, sweep: &Sweep) -> Result<u64, Fault>;
    /// Runs `work`; when it fails and `needed`, undoes what it did.
    fn in_savepoint<T>(
        &mut self,
        needed: bool,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault>;
}

/// Reads, on whatever thread the engine allows.
pub(crate) trait Read {
    fn get(&self, spec: &CollectionSpec, key: &str) -> Result<Option<Row>, ReadError>;
    fn scan(&self, spec: &CollectionSpec, range: &Range, page: &Page) -> Result<RawSlice, ReadError>;
    /// The records of a range from the place `skip` on, at most `limit`, without reading those before.
    fn window(
        &self,
        spec: &CollectionSpec,
        range: &Range,
        reverse: bool,
        part: (usize, usize),
    ) -> Result<Vec<Keyed>, ReadError>;
    /// How many records a range has.
    fn count(&self, spec: &CollectionSpec, range: &Range) -> Result<u64, ReadError>;
    fn changes(&self, after: u64, limit: usize) -> Result<Vec<Change>, ReadError>;
    /// Every record, one after the other, as of one moment; the feed's position at that moment.
    fn walk(&self, spec: &CollectionSpec, each: &mut dyn FnMut(Keyed)) -> Result<u64, ReadError>;
}

/// One page, untyped.
#[derive(Debug)]
pub(crate) struct RawSlice {
    pub(crate) rows: Vec<Keyed>,
    pub(crate) next: Option<Cursor>,
}

/// Why a unit, or the batch it is in, does not go on.
#[derive(Debug)]
pub(crate) enum Fault {
    /// This unit is refused; the batch goes on.
    Refused(CommitError),
    /// The engine failed; the batch ends.
    Engine(EngineFault),
}

/// The engine failed before the batch was committed.
#[derive(Debug, Clone)]
pub(crate) enum EngineFault {
    /// No room on the disk.
    Full,
    /// Anything else, in the engine's words.
    Io(String),
}

/// Why a batch is not known to be durable.
#[derive(Debug)]
pub(crate) enum BatchFault {
    /// Nothing of it was applied.
    NotApplied(EngineFault),
    /// The commit itself failed: what of it reached the disk is not known.
    Unknown(String),
}

impl From<EngineFault> for Fault {
    fn from(fault: EngineFault) -> Self {
        Self::Engine(fault)
    }
}

/// Records that were found damaged and are refused, by (collection, key).
#[derive(Debug, Clone, Default)]
pub(crate) struct DamageList(Arc<Mutex<BTreeMap<(String, String), String>>>);

impl DamageList {
    pub(crate) fn add(&self, collection: &str, key: &str, why: &str) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() < MAX_DAMAGE {
            list.entry((collection.to_owned(), key.to_owned())).or_insert_with(|| why.to_owned());
        }
    }

    pub(crate) fn has(&self, collection: &str, key: &str) -> bool {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        !list.is_empty() && list.contains_key(&(collection.to_owned(), key.to_owned()))
    }

    pub(crate) fn forget(&self, collection: &str, key: &str) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.remove(&(collection.to_owned(), key.to_owned()));
    }

    pub(crate) fn names(&self) -> Vec<(String, String, String)> {
        let list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.iter().map(|((collection, key), why)| (collection.clone(), key.clone(), why.clone())).collect()
    }
}

/// Most damaged records that are named: beyond it the store needs its backup, not a longer list.
const MAX_DAMAGE: usize = 1_000;
