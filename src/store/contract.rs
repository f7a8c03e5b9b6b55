//! What a store is: typed collections with declared indexes, and one non-interactive, atomic,
//! precondition-checked commit.
//!
//! A use case reads what it needs, then submits a [`Unit`]: expectations, operations and the
//! events it causes. The store applies all of it or nothing, durably, before it answers. No
//! transaction is held open across an await and no query language leaks upward. Every engine
//! keeps this contract; `suite.rs` is the contract as tests.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// A kind of record: one table in an engine that has tables.
pub trait Collection: fmt::Debug + Clone + Send + Sync + 'static {
    /// Name, schema version, indexes and counters.
    const SPEC: &'static CollectionSpec;
    /// What identifies a record.
    type Key: RecordKey;
    /// What a record holds besides its counters.
    type Body: Serialize + DeserializeOwned + fmt::Debug + Clone + Send + Sync + 'static;

    /// The record's value for each of [`CollectionSpec::indexes`], in that order.
    fn index(body: &Self::Body) -> Vec<IndexValue>;

    /// Brings a body that was written as schema `from` one step forward.
    ///
    /// # Errors
    /// A sentence that says what in the old body could not be understood.
    fn upgrade(from: u16, body: serde_json::Value) -> Result<serde_json::Value, String> {
        let _ = from;
        Ok(body)
    }
}

/// The constants of a collection, as an engine needs them.
#[derive(Debug)]
pub struct CollectionSpec {
    /// Table name: `[a-z][a-z0-9_]*`.
    pub name: &'static str,
    /// Version of the body's shape, from 1.
    pub schema: u16,
    /// Declared indexes; nothing else can be scanned by.
    pub indexes: &'static [IndexSpec],
    /// Names of the 63-bit counters that live beside the body and merge without conflict.
    pub counters: &'static [&'static str],
    /// How a record proves that it is what was written.
    pub seal: SealKind,
}

/// One declared index.
#[derive(Debug)]
pub struct IndexSpec {
    /// Column name.
    pub name: &'static str,
    /// Whether two live records may not share a value (NULL may repeat).
    pub unique: bool,
}

/// Which checksum a record carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealKind {
    /// CRC32C: catches damage.
    Checksum,
    /// HMAC-SHA256 with the box's key: catches tampering too. For money, secrets and audit.
    Keyed,
}

/// A key, as ordered text.
pub trait RecordKey {
    /// The text under which the record is stored; order of texts is order of keys.
    fn to_key(&self) -> String;
}

impl RecordKey for String {
    fn to_key(&self) -> String {
        self.clone()
    }
}
impl RecordKey for &str {
    fn to_key(&self) -> String {
        (*self).to_owned()
    }
}
impl RecordKey for Uuid {
    fn to_key(&self) -> String {
        self.hyphenated().to_string()
    }
}

/// A value in an index column.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndexValue {
    /// Not indexed.
    Null,
    /// A number; sorts before text.
    Integer(i64),
    /// A text.
    Text(String),
}

impl From<&str> for IndexValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}
impl From<String> for IndexValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}
impl From<i64> for IndexValue {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}
impl<T: Into<Self>> From<Option<T>> for IndexValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A record as read: body, counters and the version to expect when changing it.
#[derive(Debug, Clone)]
pub struct Record<C: Collection> {
    /// The key's text.
    pub key: String,
    /// Grows by one at each change of this record.
    pub version: u64,
    /// The body.
    pub body: C::Body,
    /// One value for each of [`CollectionSpec::counters`].
    pub counters: Vec<u64>,
}

/// What to read with a scan: the key's order, or one declared index. Ends are inclusive.
#[derive(Debug, Clone)]
pub enum Range {
    /// All records by key.
    All,
    /// Records whose key starts with this text.
    KeyPrefix(String),
    /// Records whose index has exactly this value, by key.
    Equals(&'static str, IndexValue),
    /// Records whose index lies between, by (index, key).
    Between(&'static str, IndexValue, IndexValue),
}

/// Which part of a scan to return; every scan is bounded.
#[derive(Debug, Clone)]
pub struct Page {
    /// Skip up to and including this position: [`Slice::next`] of the page before.
    pub after: Option<Cursor>,
    /// Most records to return, at most [`MAX_PAGE`].
    pub limit: usize,
    /// Newest (largest) first.
    pub reverse: bool,
}

impl Page {
    /// The first `limit` records.
    #[must_use]
    pub const fn first(limit: usize) -> Self {
        Self { after: None, limit, reverse: false }
    }

    /// The limit as an engine keeps it: at least one, at most [`MAX_PAGE`].
    pub(crate) fn bounded(&self) -> usize {
        self.limit.clamp(1, MAX_PAGE)
    }
}

/// A position in a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The index value at that position; `Null` for scans by key.
    pub index: IndexValue,
    /// The key at that position.
    pub key: String,
}

/// One page of a scan.
#[derive(Debug)]
pub struct Slice<C: Collection> {
    /// The records.
    pub records: Vec<Record<C>>,
    /// Where to go on, if there may be more.
    pub next: Option<Cursor>,
}

/// Most records in one page: bounds the memory of a read.
pub const MAX_PAGE: usize = 1_000;

/// One atomic change. Build it with the methods below.
#[derive(Debug, Clone, Default)]
pub struct Unit {
    /// A retry with the same id changes nothing. `None` only where the operations are safe to
    /// repeat by themselves (all `MergeMax`, or guarded by expectations).
    pub id: Option<Uuid>,
    /// What must be true for the unit to apply.
    pub expect: Vec<Expectation>,
    /// What it changes.
    pub ops: Vec<Op>,
    /// What it causes; rows of the same commit.
    pub events: Vec<EventDraft>,
}

/// A precondition on one record.
#[derive(Debug, Clone)]
pub struct Expectation {
    /// Whose record.
    pub collection: &'static CollectionSpec,
    /// Which record.
    pub key: String,
    /// What about it.
    pub state: Expected,
}

/// What an expectation demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// No such record.
    Absent,
    /// Any version of it.
    Present,
    /// Exactly this version.
    Version(u64),
}

/// One operation on one record.
#[derive(Debug, Clone)]
pub enum Op {
    /// Writes the body (JSON) and index values; `counters: None` keeps what is there (or zero).
    Put {
        /// Whose record.
        collection: &'static CollectionSpec,
        /// Which record.
        key: String,
        /// The body as JSON.
        body: Vec<u8>,
        /// A value for each declared index.
        index: Vec<IndexValue>,
        /// A value for each counter.
        counters: Option<Vec<u64>>,
    },
    /// Removes the record; absent is fine.
    Delete {
        /// Whose record.
        collection: &'static CollectionSpec,
        /// Which record.
        key: String,
    },
    /// Adds to counters of an existing record (never below zero).
    Add {
        /// Whose record.
        collection: &'static CollectionSpec,
        /// Which record.
        key: String,
        /// (position in `counters`, how much).
        by: Vec<(usize, i64)>,
    },
    /// Raises counters of an existing record to at least these values; repeats are harmless.
    MergeMax {
        /// Whose record.
        collection: &'static CollectionSpec,
        /// Which record.
        key: String,
        /// (position in `counters`, value).
        to: Vec<(usize, u64)>,
        /// Where the increase (new value less the old one) is added as well, exactly once.
        rollup: Option<Rollup>,
    },
}

/// Adds what a [`Op::MergeMax`] raised to the counters of a second record, in the same commit:
/// how a session's absolute counters become a day's usage without counting anything twice. The
/// second record is created with `body` where it does not exist yet.
#[derive(Debug, Clone)]
pub struct Rollup {
    /// Whose record.
    pub collection: &'static CollectionSpec,
    /// Which record.
    pub key: String,
    /// The body (JSON) to create it with.
    pub body: Vec<u8>,
    /// The index values to create it with.
    pub index: Vec<IndexValue>,
    /// (position in the merged record's counters, position in this record's counters).
    pub pairs: &'static [(usize, usize)],
}

/// Something that happened, for whoever follows the change feed.
#[derive(Debug, Clone, Serialize, serde::Deserialize, PartialEq, Eq)]
pub struct EventDraft {
    /// What happened: `customer.created`, `service.activated`, `session.started` …
    pub kind: String,
    /// Whom it is about: the id of the subscriber, session, NAS …; order is kept per subject.
    pub subject: String,
    /// The facts.
    pub payload: serde_json::Value,
}

/// An event with its place in the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Position: gap-free, in commit order.
    pub seq: u64,
    /// Unix milliseconds when it was committed.
    pub at_millis: i64,
    /// The event.
    pub event: EventDraft,
}

/// The answer to a commit that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The feed's last position after this unit.
    pub seq: u64,
    /// True when this unit's id had been applied before and nothing was changed now.
    pub repeated: bool,
}

/// Why a unit was not (known to be) applied.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum CommitError {
    /// An expectation did not hold; read again and decide again.
    #[error("the record {collection}/{key} is not as expected")]
    Conflict {
        /// Whose record.
        collection: &'static str,
        /// Which record.
        key: String,
    },
    /// A unique index already holds this value for another record.
    #[error("{collection}.{index} already has this value")]
    Taken {
        /// Whose index.
        collection: &'static str,
        /// Which index.
        index: &'static str,
    },
    /// `Add` or `MergeMax` on a record that is not there.
    #[error("the record {collection}/{key} does not exist")]
    Missing {
        /// Whose record.
        collection: &'static str,
        /// Which record.
        key: String,
    },
    /// The disk or the queue is full; nothing was applied.
    #[error("the store is full: {0}")]
    Full(&'static str),
    /// The store cannot write now; nothing was applied.
    #[error("the store cannot write: {0}")]
    Unavailable(String),
    /// The answer was lost; submit the same unit again to find out.
    #[error("whether the unit was applied is not known")]
    Unknown(Option<Uuid>),
    /// The record to change is damaged and set aside.
    #[error("the record {collection}/{key} is damaged; restore it from a backup")]
    Damaged {
        /// Whose record.
        collection: &'static str,
        /// Which record.
        key: String,
    },
    /// The unit itself is wrong: our fault.
    #[error("the unit is malformed: {0}")]
    Malformed(String),
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum ReadError {
    /// The record's seal does not fit; it was set aside and is named by `store check`.
    #[error("the record {collection}/{key} is damaged; restore it from a backup")]
    Damaged {
        /// Whose record.
        collection: &'static str,
        /// Which record.
        key: String,
    },
    /// The record was written by a newer program.
    #[error("the record {collection}/{key} was written by a newer version of the program")]
    Newer {
        /// Whose record.
        collection: &'static str,
        /// Which record.
        key: String,
    },
    /// The engine cannot read now.
    #[error("the store cannot read: {0}")]
    Unavailable(String),
}

impl Unit {
    /// A unit whose operations are safe to repeat by themselves.
    #[must_use]
    pub fn natural() -> Self {
        Self::default()
    }

    /// A unit that is applied once, however often it is submitted.
    #[must_use]
    pub fn once(id: Uuid) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Demands something of a record.
    #[must_use]
    pub fn expect<C: Collection>(mut self, key: &C::Key, state: Expected) -> Self {
        self.expect.push(Expectation { collection: C::SPEC, key: key.to_key(), state });
        self
    }

    /// Writes a record, keeping its counters.
    ///
    /// # Errors
    /// When the body does not serialise: a programming fault, named.
    pub fn put<C: Collection>(mut self, key: &C::Key, body: &C::Body) -> Result<Self, CommitError> {
        self.ops.push(put_op::<C>(key, body, None)?);
        Ok(self)
    }

    /// Writes a record with its counters.
    ///
    /// # Errors
    /// As [`Unit::put`].
    pub fn put_counted<C: Collection>(
        mut self,
        key: &C::Key,
        body: &C::Body,
        counters: Vec<u64>,
    ) -> Result<Self, CommitError> {
        self.ops.push(put_op::<C>(key, body, Some(counters))?);
        Ok(self)
    }

    /// Creates a record that must not exist yet.
    ///
    /// # Errors
    /// As [`Unit::put`].
    pub fn create<C: Collection>(self, key: &C::Key, body: &C::Body) -> Result<Self, CommitError> {
        self.expect::<C>(key, Expected::Absent).put::<C>(key, body)
    }

    /// Replaces a record that must still be at `version`.
    ///
    /// # Errors
    /// As [`Unit::put`].
    pub fn replace<C: Collection>(
        self,
        key: &C::Key,
        version: u64,
        body: &C::Body,
    ) -> Result<Self, CommitError> {
        self.expect::<C>(key, Expected::Version(version)).put::<C>(key, body)
    }

    /// Removes a record.
    #[must_use]
    pub fn delete<C: Collection>(mut self, key: &C::Key) -> Self {
        self.ops.push(Op::Delete { collection: C::SPEC, key: key.to_key() });
        self
    }

    /// Removes a record that must be at this version.
    #[must_use]
    pub fn remove<C: Collection>(self, key: &C::Key, version: u64) -> Self {
        self.expect::<C>(key, Expected::Version(version)).delete::<C>(key)
    }

    /// Raises counters to at least these values.
    #[must_use]
    pub fn merge_max<C: Collection>(mut self, key: &C::Key, to: Vec<(usize, u64)>) -> Self {
        self.ops.push(Op::MergeMax { collection: C::SPEC, key: key.to_key(), to, rollup: None });
        self
    }

    /// Raises counters and adds the increase to a record of `R` as well (see [`Rollup`]).
    ///
    /// # Errors
    /// As [`Unit::put`].
    pub fn merge_max_into<C: Collection, R: Collection>(
        mut self,
        key: &C::Key,
        to: Vec<(usize, u64)>,
        into: &R::Key,
        body: &R::Body,
        pairs: &'static [(usize, usize)],
    ) -> Result<Self, CommitError> {
        let json = to_json::<R>(body)?;
        let rollup =
            Rollup { collection: R::SPEC, key: into.to_key(), body: json, index: R::index(body), pairs };
        self.ops.push(Op::MergeMax { collection: C::SPEC, key: key.to_key(), to, rollup: Some(rollup) });
        Ok(self)
    }

    /// Adds to counters.
    #[must_use]
    pub fn add<C: Collection>(mut self, key: &C::Key, by: Vec<(usize, i64)>) -> Self {
        self.ops.push(Op::Add { collection: C::SPEC, key: key.to_key(), by });
        self
    }

    /// Records something that happened.
    #[must_use]
    pub fn event(mut self, kind: &str, subject: impl fmt::Display, payload: serde_json::Value) -> Self {
        self.events.push(EventDraft { kind: kind.to_owned(), subject: subject.to_string(), payload });
        self
    }
}

fn put_op<C: Collection>(
    key: &C::Key,
    body: &C::Body,
    counters: Option<Vec<u64>>,
) -> Result<Op, CommitError> {
    let json = to_json::<C>(body)?;
    Ok(Op::Put { collection: C::SPEC, key: key.to_key(), body: json, index: C::index(body), counters })
}

fn to_json<C: Collection>(body: &C::Body) -> Result<Vec<u8>, CommitError> {
    serde_json::to_vec(body)
        .map_err(|error| CommitError::Malformed(format!("{} does not serialise: {error}", C::SPEC.name)))
}
