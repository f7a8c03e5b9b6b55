//! What travels between an engine and the handle: rows as stored, and what was applied to them.
//!
//! Not for callers' business: they see [`Record`]. The one rule: a body is parsed only where a
//! caller asked for its type, never in the writer.

use std::fmt;
use std::sync::{PoisonError, RwLock, Weak};

use super::contract::{Collection, CollectionSpec, IndexValue, ReadError, Record};

/// A record as an engine keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Where the engine keeps it; 0 until it has been kept.
    pub(crate) place: i64,
    pub(crate) version: u64,
    /// Schema version of the body's shape.
    pub(crate) schema: u16,
    /// JSON.
    pub(crate) body: String,
    pub(crate) index: Vec<IndexValue>,
    pub(crate) counters: Vec<u64>,
}

/// A row with its key, as a scan returns it.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    pub(crate) key: String,
    pub(crate) row: Row,
}

/// A record after a commit, untyped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredState {
    /// The record's version.
    pub version: u64,
    /// Schema version of the body's shape.
    pub schema: u16,
    /// The body as JSON.
    pub body: Vec<u8>,
    /// One value for each declared counter.
    pub counters: Vec<u64>,
}

/// One record's change in a durable commit.
#[derive(Debug, Clone)]
pub struct Applied {
    /// Whose record.
    pub collection: &'static CollectionSpec,
    /// Which record.
    pub key: String,
    /// What it is now; `None` when it was removed.
    pub now: Option<StoredState>,
    /// True when only counters (and the version) changed, so the body need not be parsed.
    pub counters_only: bool,
    /// One when the record is new, minus one when it is gone, else zero.
    pub(crate) grown: i64,
    /// Index values that are others than before: place among the declared ones, before, after.
    pub(crate) moved: Vec<(usize, IndexValue, IndexValue)>,
}

/// Whoever must know of each commit before it is acknowledged.
///
/// Called on the writer's thread after the commit is durable, in commit order, before the
/// submitters get their answers. It must be quick and must not call the store.
pub trait Observer: Send + Sync {
    /// These changes are durable, in this order.
    fn applied(&self, batch: &[Applied]);
}

/// Observers that came after the store was opened. They are told like the first one, after it.
#[derive(Default)]
pub(crate) struct Watchers(RwLock<Vec<Weak<dyn Observer>>>);

impl Watchers {
    pub(crate) fn add(&self, watcher: Weak<dyn Observer>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        all.push(watcher);
    }
}

impl Observer for Watchers {
    fn applied(&self, batch: &[Applied]) {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter_map(Weak::upgrade).for_each(|one| one.applied(batch));
    }
}

/// An observer that does nothing.
impl Observer for () {
    fn applied(&self, _batch: &[Applied]) {}
}

/// A collection as the store must know it at opening: its constants and how to bring an old
/// record forward.
#[derive(Clone, Copy)]
pub struct Registration {
    /// The collection's constants.
    pub spec: &'static CollectionSpec,
    /// From (schema, body) to the present body and its index values.
    pub(crate) renew: Renew,
}

/// The present body and its index values, or what was not understood.
type Renew = fn(u16, &str) -> Result<(String, Vec<IndexValue>), String>;

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration").field("name", &self.spec.name).finish_non_exhaustive()
    }
}

impl Registration {
    /// The registration of a collection.
    #[must_use]
    pub const fn of<C: Collection>() -> Self {
        Self { spec: C::SPEC, renew: renew::<C> }
    }
}

fn renew<C: Collection>(schema: u16, body: &str) -> Result<(String, Vec<IndexValue>), String> {
    let body = parse::<C>(schema, body)?;
    let text = serde_json::to_string(&body).map_err(|error| error.to_string())?;
    Ok((text, C::index(&body)))
}

/// Reads a body of schema `schema` as the present type, upgrading it step by step.
fn parse<C: Collection>(schema: u16, body: &str) -> Result<C::Body, String> {
    if schema == C::SPEC.schema {
        return serde_json::from_str(body).map_err(|error| error.to_string());
    }
    let mut value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    for from in schema..C::SPEC.schema {
        value = C::upgrade(from, value)?;
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// Turns a row into what the caller asked for.
pub(crate) fn decode<C: Collection>(key: String, row: Row) -> Result<Record<C>, ReadError> {
    if row.schema > C::SPEC.schema {
        return Err(ReadError::Newer { collection: C::SPEC.name, key });
    }
    match parse::<C>(row.schema, &row.body) {
        Ok(body) => Ok(Record { key, version: row.version, body, counters: row.counters }),
        Err(_) => Err(ReadError::Damaged { collection: C::SPEC.name, key }),
    }
}
