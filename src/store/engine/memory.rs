//! The memory engine: ordered maps with the same semantics as the engine on disk, for tests and
//! fuzzing. Nothing outlives the process, and nothing can be damaged, so there are no seals.
//!
//! The one rule: a reader never sees half a batch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use uuid::Uuid;

use super::{BatchFault, Engine, EngineFault, Fault, RawSlice, Read, Rows};
use crate::store::contract::{
    Change, CollectionSpec, CommitError, Cursor, EventDraft, IndexValue, Page, Range, ReadError,
};
use crate::store::record::{Keyed, Registration, Row};
use crate::store::report::Report;
use crate::store::writer::{Sweep, SweepWhat};

/// The maps, shared between the writer and its readers.
#[derive(Debug, Clone)]
pub(crate) struct Memory(Arc<RwLock<State>>);

#[derive(Debug, Default)]
struct State {
    tables: Vec<Table>,
    units: BTreeMap<Uuid, i64>,
    changes: BTreeMap<u64, Change>,
    last_seq: u64,
}

#[derive(Debug)]
struct Table {
    spec: &'static CollectionSpec,
    rows: BTreeMap<String, Row>,
    /// For each declared index, (value, key); records with a null value are not in it.
    indexes: Vec<BTreeSet<(IndexValue, String)>>,
}

impl Memory {
    pub(crate) fn new(collections: &[Registration]) -> Self {
        let tables = collections.iter().map(|one| Table::new(one.spec)).collect();
        Self(Arc::new(RwLock::new(State { tables, ..State::default() })))
    }
}

impl Engine for Memory {
    type Rows<'e> = Open<'e>;

    fn batch<T>(
        &mut self,
        work: impl FnOnce(&mut Open<'_>) -> Result<T, EngineFault>,
    ) -> Result<T, BatchFault> {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        work(&mut Open { state: &mut state, undo: Vec::new() }).map_err(BatchFault::NotApplied)
    }

    fn due(&mut self, sweep: &Sweep) -> Result<Vec<String>, EngineFault> {
        let SweepWhat::Records { collection, index, before } = &sweep.what else { return Ok(Vec::new()) };
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let found = state
            .tables
            .iter()
            .find(|table| table.spec.name == collection.name)
            .and_then(|table| table.index(index))
            .ok_or_else(|| EngineFault::Io(format!("{} has no index {index}", collection.name)))?;
        let due = found.iter().take_while(|(value, _)| value < before).take(sweep.budget());
        Ok(due.map(|(_, key)| key.clone()).collect())
    }

    fn rest(&mut self, _idle: bool) -> bool {
        false
    }

    fn make_room(&mut self) -> bool {
        false
    }

    fn close(self) {}
}

/// The maps while a batch is open.
pub(crate) struct Open<'e> {
    state: &'e mut State,
    /// What to put back when the unit at hand is refused, newest last.
    undo: Vec<(usize, String, Option<Row>)>,
}

impl Open<'_> {
    fn set(&mut self, table: usize, key: &str, row: Option<&Row>) -> Result<(), Fault> {
        let Some(table_of) = self.state.tables.get_mut(table) else {
            return Err(EngineFault::Io("no such table".to_owned()).into());
        };
        if let Some(row) = row {
            table_of.check_unique(key, row)?;
        }
        let before = table_of.set(key, row.cloned());
        self.undo.push((table, key.to_owned(), before));
        Ok(())
    }
}

impl Rows for Open<'_> {
    fn table(&self, name: &str) -> Option<usize> {
        self.state.tables.iter().position(|table| table.spec.name == name)
    }

    fn last_seq(&self) -> u64 {
        self.state.last_seq
    }

    fn unit_seen(&mut self, id: Uuid) -> Result<bool, Fault> {
        Ok(self.state.units.contains_key(&id))
    }

    fn remember_unit(&mut self, id: Uuid, now_millis: i64) -> Result<(), Fault> {
        self.state.units.insert(id, now_millis);
        Ok(())
    }

    fn fetch(&mut self, table: usize, key: &str) -> Result<Option<Row>, Fault> {
        Ok(self.state.tables.get(table).and_then(|table| table.rows.get(key)).cloned())
    }

    fn fetch_damaged(&mut self, table: usize, key: &str) -> Result<Option<Row>, Fault> {
        self.fetch(table, key)
    }

    fn insert(&mut self, table: usize, key: &str, row: &Row) -> Result<(), Fault> {
        self.set(table, key, Some(row))
    }

    fn update(&mut self, table: usize, key: &str, _before: &Row, row: &Row) -> Result<(), Fault> {
        self.set(table, key, Some(row))
    }

    fn update_counters(&mut self, table: usize, key: &str, _before: &Row, row: &Row) -> Result<(), Fault> {
        self.set(table, key, Some(row))
    }

    fn delete(&mut self, table: usize, key: &str, _row: &Row) -> Result<(), Fault> {
        self.set(table, key, None)
    }

    fn append(&mut self, now_millis: i64, event: &EventDraft, _payload: &str) -> Result<(), Fault> {
        self.state.last_seq = self.state.last_seq.saturating_add(1);
        let seq = self.state.last_seq;
        self.state.changes.insert(seq, Change { seq, at_millis: now_millis, event: event.clone() });
        Ok(())
    }

    fn forget(&mut self, sweep: &Sweep) -> Result<u64, Fault> {
        let budget = sweep.budget();
        let gone = match &sweep.what {
            SweepWhat::Records { .. } => 0,
            SweepWhat::Changes { through_seq } => {
                // The newest event stays: it carries the feed's position.
                let end = (*through_seq).min(self.state.last_seq.saturating_sub(1));
                let keys: Vec<_> =
                    self.state.changes.range(..=end).take(budget).map(|(seq, _)| *seq).collect();
                keys.iter().filter(|seq| self.state.changes.remove(seq).is_some()).count()
            }
            SweepWhat::Units { before_millis } => {
                let old = self.state.units.iter().filter(|(_, at)| *at < before_millis);
                let keys: Vec<_> = old.take(budget).map(|(id, _)| *id).collect();
                keys.iter().filter(|id| self.state.units.remove(id).is_some()).count()
            }
        };
        Ok(u64::try_from(gone).unwrap_or(u64::MAX))
    }

    fn in_savepoint<T>(
        &mut self,
        _needed: bool,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.undo.clear();
        let result = work(self);
        if result.is_err() {
            while let Some((table, key, before)) = self.undo.pop() {
                if let Some(table) = self.state.tables.get_mut(table) {
                    table.set(&key, before);
                }
            }
        }
        result
    }
}

impl Table {
    fn new(spec: &'static CollectionSpec) -> Self {
        let indexes = spec.indexes.iter().map(|_| BTreeSet::new()).collect();
        Self { spec, rows: BTreeMap::new(), indexes }
    }

    fn index(&self, name: &str) -> Option<&BTreeSet<(IndexValue, String)>> {
        let at = self.spec.indexes.iter().position(|index| index.name == name)?;
        self.indexes.get(at)
    }

    fn check_unique(&self, key: &str, row: &Row) -> Result<(), Fault> {
        for ((spec, entries), value) in self.spec.indexes.iter().zip(&self.indexes).zip(&row.index) {
            let from = (value.clone(), String::new());
            let taken = spec.unique
                && *value != IndexValue::Null
                && entries
                    .range(from..)
                    .take_while(|(found, _)| found == value)
                    .any(|(_, holder)| holder != key);
            if taken {
                let refusal = CommitError::Taken { collection: self.spec.name, index: spec.name };
                return Err(Fault::Refused(refusal));
            }
        }
        Ok(())
    }

    fn set(&mut self, key: &str, row: Option<Row>) -> Option<Row> {
        let before = self.rows.remove(key);
        if let Some(before) = &before {
            for (entries, value) in self.indexes.iter_mut().zip(&before.index) {
                entries.remove(&(value.clone(), key.to_owned()));
            }
        }
        if let Some(row) = row {
            for (entries, value) in self.indexes.iter_mut().zip(&row.index) {
                if *value != IndexValue::Null {
                    entries.insert((value.clone(), key.to_owned()));
                }
            }
            self.rows.insert(key.to_owned(), row);
        }
        before
    }

    fn at(&self, cursor: Cursor) -> Option<(Cursor, Keyed)> {
        let row = self.rows.get(&cursor.key)?.clone();
        let key = cursor.key.clone();
        Some((cursor, Keyed { key, row }))
    }

    /// The positions in `range`, in order.
    fn positions(&self, range: &Range) -> Result<Vec<Cursor>, ReadError> {
        let by_key = |prefix: &str| {
            let rows = self.rows.range(prefix.to_owned()..);
            let within = rows.take_while(|(key, _)| key.starts_with(prefix));
            within.map(|(key, _)| Cursor { index: IndexValue::Null, key: key.clone() }).collect()
        };
        let by_index = |name: &str, low: &IndexValue, high: &IndexValue| {
            let entries = self.index(name).ok_or_else(|| no_index(self.spec, name))?;
            let within = entries
                .range((low.clone(), String::new())..)
                .take_while(|(value, _)| value <= high)
                .map(|(value, key)| Cursor { index: value.clone(), key: key.clone() });
            Ok(within.collect())
        };
        match range {
            Range::All => Ok(by_key("")),
            Range::KeyPrefix(prefix) => Ok(by_key(prefix)),
            Range::Equals(name, value) => by_index(name, value, value),
            Range::Between(name, low, high) => by_index(name, low, high),
        }
    }
}

impl Read for Memory {
    fn get(&self, spec: &CollectionSpec, key: &str) -> Result<Option<Row>, ReadError> {
        self.with(spec, |table| Ok(table.rows.get(key).cloned()))
    }

    fn scan(&self, spec: &CollectionSpec, range: &Range, page: &Page) -> Result<RawSlice, ReadError> {
        self.with(spec, |table| {
            let mut positions = table.positions(range)?;
            if page.reverse {
                positions.reverse();
            }
            let beyond = |position: &Cursor| {
                page.after.as_ref().is_none_or(|after| {
                    let (position, after) = ((&position.index, &position.key), (&after.index, &after.key));
                    if page.reverse { position < after } else { position > after }
                })
            };
            let limit = page.bounded();
            let mut found: Vec<_> = positions
                .into_iter()
                .filter(beyond)
                .take(limit.saturating_add(1))
                .filter_map(|position| table.at(position))
                .collect();
            let more = found.len() > limit;
            found.truncate(limit);
            let next = found.last().filter(|_| more).map(|(cursor, _)| cursor.clone());
            Ok(RawSlice { rows: found.into_iter().map(|(_, row)| row).collect(), next })
        })
    }

    fn window(
        &self,
        spec: &CollectionSpec,
        range: &Range,
        reverse: bool,
        (skip, limit): (usize, usize),
    ) -> Result<Vec<Keyed>, ReadError> {
        self.with(spec, |table| {
            let mut positions = table.positions(range)?;
            if reverse {
                positions.reverse();
            }
            let within = positions.into_iter().skip(skip).take(limit);
            Ok(within.filter_map(|position| table.at(position)).map(|(_, row)| row).collect())
        })
    }

    fn count(&self, spec: &CollectionSpec, range: &Range) -> Result<u64, ReadError> {
        self.with(spec, |table| Ok(u64::try_from(table.positions(range)?.len()).unwrap_or(u64::MAX)))
    }

    fn changes(&self, after: u64, limit: usize) -> Result<Vec<Change>, ReadError> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let from = after.saturating_add(1);
        Ok(state.changes.range(from..).take(limit).map(|(_, change)| change.clone()).collect())
    }

    fn walk(&self, spec: &CollectionSpec, each: &mut dyn FnMut(Keyed)) -> Result<u64, ReadError> {
        self.with(spec, |table| {
            for (key, row) in &table.rows {
                each(Keyed { key: key.clone(), row: row.clone() });
            }
            Ok(())
        })?;
        Ok(self.0.read().unwrap_or_else(PoisonError::into_inner).last_seq)
    }
}

impl Memory {
    /// What there is; nothing can be damaged here.
    pub(crate) fn report(&self) -> Report {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let records = state.tables.iter().map(|one| (one.spec.name.to_owned(), count(one.rows.len())));
        Report {
            records: records.collect(),
            events: count(state.changes.len()),
            seq: state.last_seq,
            ..Report::default()
        }
    }

    fn with<T>(
        &self,
        spec: &CollectionSpec,
        work: impl FnOnce(&Table) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let table = state.tables.iter().find(|table| table.spec.name == spec.name);
        work(table.ok_or_else(|| ReadError::Unavailable(format!("no collection is named {}", spec.name)))?)
    }
}

pub(super) fn no_index(spec: &CollectionSpec, name: &str) -> ReadError {
    ReadError::Unavailable(format!("{} has no index named {name}", spec.name))
}
