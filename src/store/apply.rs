//! One unit against the rows of an engine: expectations, operations, events.
//!
//! The semantics are here, once; engines only keep rows. It decides everything before it writes
//! anything, so that a refused unit has touched nothing. The one rule: a unit applies whole or
//! not at all.

use super::contract::{
    CollectionSpec, CommitError, Committed, EventDraft, Expectation, Expected, IndexValue, Op, Rollup, Unit,
};
use super::engine::{Fault, Rows};
use super::record::{Applied, Row, StoredState};

/// What a unit did.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) committed: Committed,
    pub(crate) applied: Vec<Applied>,
}

/// Applies `unit` at `now_millis`.
///
/// # Errors
/// [`Fault::Refused`] when the unit may not apply; [`Fault::Engine`] when the engine failed and
/// the whole batch with it.
pub(crate) fn apply(rows: &mut impl Rows, unit: Unit, now_millis: i64) -> Result<Outcome, Fault> {
    if let Some(id) = unit.id
        && rows.unit_seen(id)?
    {
        let committed = Committed { seq: rows.last_seq(), repeated: true };
        return Ok(Outcome { committed, applied: Vec::new() });
    }
    let Unit { id, expect, ops, events } = unit;
    if ops.len() > MAX_OPS || events.len() > MAX_OPS {
        return Err(malformed(format!("more than {MAX_OPS} operations or events")));
    }
    let mut touched = Touched { rows, list: Vec::with_capacity(ops.len()) };
    for expectation in expect {
        touched.expect(expectation)?;
    }
    for op in ops {
        touched.operate(op)?;
    }
    let mut list = touched.list;
    list.retain(|one| one.change != Change::None);
    let events = events.iter().map(check_event).collect::<Result<Vec<_>, _>>()?;
    let writes = list.len() + events.len() + usize::from(id.is_some());
    let result = rows.in_savepoint(writes > 1, |rows| {
        write(rows, &list)?;
        for (event, payload) in &events {
            rows.append(now_millis, event, payload)?;
        }
        id.map_or(Ok(()), |id| rows.remember_unit(id, now_millis))
    });
    result?;
    let committed = Committed { seq: rows.last_seq(), repeated: false };
    Ok(Outcome { committed, applied: list.into_iter().map(One::applied).collect() })
}

/// Removals go first, so that a unit may hand a unique value from one record to another.
fn write<R: Rows>(rows: &mut R, list: &[One]) -> Result<(), Fault> {
    for one in list.iter().filter(|one| one.now.is_none()) {
        if let Some(before) = &one.before {
            rows.delete(one.table, &one.key, before)?;
        }
    }
    for one in list {
        match (&one.before, &one.now) {
            (_, None) => {}
            (None, Some(now)) => rows.insert(one.table, &one.key, now)?,
            (Some(before), Some(now)) if one.change == Change::Counters => {
                rows.update_counters(one.table, &one.key, before, now)?;
            }
            (Some(before), Some(now)) => rows.update(one.table, &one.key, before, now)?,
        }
    }
    Ok(())
}

/// The records a unit has read or changed so far; a linear list since units are small.
struct Touched<'r, R> {
    rows: &'r mut R,
    list: Vec<One>,
}

struct One {
    table: usize,
    spec: &'static CollectionSpec,
    key: String,
    before: Option<Row>,
    /// The record could not be read because its seal does not fit.
    damaged: bool,
    now: Option<Row>,
    change: Change,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    None,
    Counters,
    Whole,
}

impl<R: Rows> Touched<'_, R> {
    fn one(&mut self, spec: &'static CollectionSpec, key: String) -> Result<&mut One, Fault> {
        let table = self
            .rows
            .table(spec.name)
            .ok_or_else(|| malformed(format!("no collection is named {}", spec.name)))?;
        let found = self.list.iter().position(|one| one.table == table && one.key == key);
        let at = if let Some(at) = found {
            at
        } else {
            check_key(&key)?;
            let (before, damaged) = match self.rows.fetch(table, &key) {
                Ok(before) => (before, false),
                Err(Fault::Refused(CommitError::Damaged { .. })) => (None, true),
                Err(fault) => return Err(fault),
            };
            let now = before.clone();
            self.list.push(One { table, spec, key, before, damaged, now, change: Change::None });
            self.list.len() - 1
        };
        self.list.get_mut(at).ok_or_else(|| malformed("a unit lost a record".to_owned()))
    }

    fn expect(&mut self, expectation: Expectation) -> Result<(), Fault> {
        let Expectation { collection, key, state } = expectation;
        let one = self.one(collection, key)?;
        one.refuse_damaged()?;
        let version = one.before.as_ref().map(|row| row.version);
        let holds = match state {
            Expected::Absent => version.is_none(),
            Expected::Present => version.is_some(),
            Expected::Version(wanted) => version == Some(wanted),
        };
        if holds {
            Ok(())
        } else {
            Err(Fault::Refused(CommitError::Conflict { collection: collection.name, key: one.key.clone() }))
        }
    }

    fn operate(&mut self, op: Op) -> Result<(), Fault> {
        match op {
            Op::Put { collection, key, body, index, counters } => {
                self.one(collection, key)?.put(body, index, counters)
            }
            Op::Delete { collection, key } => {
                // A damaged record may be removed: that is how an operator clears it away.
                let table = self.one(collection, key)?;
                if table.damaged {
                    let (at, key) = (table.table, table.key.clone());
                    let before = self.rows.fetch_damaged(at, &key)?;
                    let one = self.one(collection, key)?;
                    (one.damaged, one.before, one.now) = (false, before, None);
                    one.change = if one.before.is_some() { Change::Whole } else { Change::None };
                    return Ok(());
                }
                table.delete();
                Ok(())
            }
            Op::Add { collection, key, by } => {
                let by = by.into_iter().map(|(at, by)| (at, Merge::Add(by)));
                self.one(collection, key)?.merge(by)
            }
            Op::MergeMax { collection, key, to, rollup } => {
                let to = to.into_iter().map(|(at, to)| (at, Merge::Max(to)));
                let one = self.one(collection, key)?;
                let Some(rollup) = rollup else { return one.merge(to) };
                let before = one.counters();
                one.merge(to)?;
                let after = one.counters();
                self.roll_up(rollup, &before, &after)
            }
        }
    }
}

impl<R: Rows> Touched<'_, R> {
    /// Adds what a merge raised to a second record; nothing raised leaves it alone.
    fn roll_up(&mut self, rollup: Rollup, before: &[u64], after: &[u64]) -> Result<(), Fault> {
        let Rollup { collection, key, body, index, pairs } = rollup;
        let mut by = Vec::with_capacity(pairs.len());
        for (from, into) in pairs {
            let (Some(before), Some(after)) = (before.get(*from), after.get(*from)) else {
                return Err(malformed(format!(
                    "the rollup into {} names no counter {from}",
                    collection.name
                )));
            };
            let raised = i64::try_from(after.saturating_sub(*before)).unwrap_or(i64::MAX);
            by.push((*into, Merge::Add(raised)));
        }
        if !by.iter().any(|(_, raised)| matches!(raised, Merge::Add(1..))) {
            return Ok(());
        }
        let one = self.one(collection, key)?;
        if one.now.is_none() {
            one.put(body, index, None)?;
        }
        one.merge(by.into_iter())
    }
}

enum Merge {
    Add(i64),
    Max(u64),
}

impl One {
    fn refuse_damaged(&self) -> Result<(), Fault> {
        if self.damaged {
            let key = self.key.clone();
            return Err(Fault::Refused(CommitError::Damaged { collection: self.spec.name, key }));
        }
        Ok(())
    }

    /// A record's version grows by one for each unit that changes it, however often the unit
    /// touches it, and goes on growing when one unit removes and rewrites it.
    fn next_version(&self) -> u64 {
        self.before.as_ref().map_or(1, |row| row.version.saturating_add(1))
    }

    fn put(
        &mut self,
        body: Vec<u8>,
        index: Vec<IndexValue>,
        counters: Option<Vec<u64>>,
    ) -> Result<(), Fault> {
        self.refuse_damaged()?;
        let (spec, width) = (self.spec, self.spec.counters.len());
        if index.len() != spec.indexes.len() {
            return Err(malformed(format!("{} has {} indexes", spec.name, spec.indexes.len())));
        }
        if body.len() > MAX_BODY {
            return Err(malformed(format!("a body of {} is over {MAX_BODY} octets", spec.name)));
        }
        let body = String::from_utf8(body)
            .map_err(|_| malformed(format!("a body of {} is not UTF-8", spec.name)))?;
        let counters = counters
            .or_else(|| self.now.as_ref().map(|row| row.counters.clone()))
            .unwrap_or_else(|| vec![0; width]);
        if counters.len() != width || counters.iter().any(|value| *value > MAX_COUNTER) {
            return Err(malformed(format!("{} has {width} counters of 63 bits", spec.name)));
        }
        let place = self.before.as_ref().map_or(0, |row| row.place);
        let version = self.next_version();
        self.now = Some(Row { place, version, schema: spec.schema, body, index, counters });
        self.change = Change::Whole;
        Ok(())
    }

    fn counters(&self) -> Vec<u64> {
        self.now.as_ref().map_or_else(Vec::new, |row| row.counters.clone())
    }

    fn delete(&mut self) {
        self.now = None;
        self.change = if self.before.is_some() { Change::Whole } else { Change::None };
    }

    fn merge(&mut self, values: impl Iterator<Item = (usize, Merge)>) -> Result<(), Fault> {
        self.refuse_damaged()?;
        let version = self.next_version();
        let Some(row) = &mut self.now else {
            let key = self.key.clone();
            return Err(Fault::Refused(CommitError::Missing { collection: self.spec.name, key }));
        };
        let mut raised = false;
        for (at, value) in values {
            let Some(counter) = row.counters.get_mut(at) else {
                return Err(malformed(format!("{} has no counter {at}", self.spec.name)));
            };
            let next = match value {
                Merge::Add(by) => counter.saturating_add_signed(by).min(MAX_COUNTER),
                Merge::Max(to) if to > MAX_COUNTER => {
                    return Err(malformed("a counter is over 63 bits".to_owned()));
                }
                Merge::Max(to) => to.max(*counter),
            };
            raised |= next != *counter;
            *counter = next;
        }
        if raised {
            row.version = version;
            if self.change == Change::None {
                self.change = Change::Counters;
            }
        }
        Ok(())
    }

    fn applied(self) -> Applied {
        let counters_only = self.change == Change::Counters;
        let (grown, moved) = if counters_only { (0, Vec::new()) } else { self.moved() };
        let now = self.now.map(|row| StoredState {
            version: row.version,
            schema: row.schema,
            body: row.body.into_bytes(),
            counters: row.counters,
        });
        Applied { collection: self.spec, key: self.key, now, counters_only, grown, moved }
    }

    /// By how many there are more, and which index values are others than before.
    fn moved(&self) -> (i64, Vec<(usize, IndexValue, IndexValue)>) {
        let value = |row: &Option<Row>, at: usize| {
            row.as_ref().and_then(|row| row.index.get(at).cloned()).unwrap_or(IndexValue::Null)
        };
        let places = 0..self.spec.indexes.len();
        let both = places.map(|at| (at, value(&self.before, at), value(&self.now, at)));
        let grown = i64::from(self.now.is_some()) - i64::from(self.before.is_some());
        (grown, both.filter(|(_, before, after)| before != after).collect())
    }
}

fn check_key(key: &str) -> Result<(), Fault> {
    // NUL ends a text in some of the engine's functions; U+10FFFF closes a range of prefixes.
    if key.is_empty() || key.len() > MAX_KEY || key.contains(['\0', '\u{10FFFF}']) {
        return Err(malformed(format!("a key is empty, over {MAX_KEY} octets or holds NUL")));
    }
    Ok(())
}

fn check_event(event: &EventDraft) -> Result<(&EventDraft, String), Fault> {
    let payload = event.payload.to_string();
    if payload.len() > MAX_BODY {
        return Err(malformed(format!("the payload of {} is over {MAX_BODY} octets", event.kind)));
    }
    Ok((event, payload))
}

fn malformed(what: String) -> Fault {
    Fault::Refused(CommitError::Malformed(what))
}

/// Most operations in one unit: a unit is one fact, not a bulk load; it bounds a batch's time.
pub(crate) const MAX_OPS: usize = 1_000;
/// Longest body or payload in octets: bounds the memory of a full queue.
pub(crate) const MAX_BODY: usize = 1 << 20;
/// Longest key in octets: keys live in every index.
pub(crate) const MAX_KEY: usize = 512;
/// Counters are 63 bits: engines keep signed numbers.
const MAX_COUNTER: u64 = i64::MAX.unsigned_abs();
