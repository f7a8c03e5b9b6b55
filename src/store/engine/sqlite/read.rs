//! Reads on one connection: a record, a page, the feed, a whole collection.
//!
//! The one rule: a record whose seal does not fit is named in the damage list and never returned.

use std::sync::Arc;

use rusqlite::{Connection, params_from_iter};

use super::connection::unreadable;
use super::table::{Table, quoted};
use crate::store::contract::{
    Change, CollectionSpec, Cursor, EventDraft, IndexValue, Page, Range, ReadError,
};
use crate::store::engine::memory::no_index;
use crate::store::engine::{DamageList, RawSlice, Read};
use crate::store::files::Hold;
use crate::store::record::{Keyed, Row};
use crate::store::seal::SealKey;

/// What a reading thread owns.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) tables: Arc<Vec<Table>>,
    pub(crate) seal_key: SealKey,
    pub(crate) damage: DamageList,
    /// The store stays held until its last thread has ended.
    pub(crate) _hold: Option<Arc<Hold>>,
}

impl Read for Reader {
    fn get(&self, spec: &CollectionSpec, key: &str) -> Result<Option<Row>, ReadError> {
        let table = self.table(spec)?;
        let mut statement = self.connection.prepare_cached(&table.fetch).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query([key]).map_err(|e| unreadable(&e))?;
        let Some(row) = rows.next().map_err(|e| unreadable(&e))? else {
            return if self.damage.has(table.spec.name, key) { Err(damaged(table, key)) } else { Ok(None) };
        };
        match table.read(&self.seal_key, row) {
            Some(found) if found.key == key => Ok(Some(found.row)),
            Some(_) | None => {
                self.damage.add(table.spec.name, key, SEAL);
                Err(damaged(table, key))
            }
        }
    }

    fn scan(&self, spec: &CollectionSpec, range: &Range, page: &Page) -> Result<RawSlice, ReadError> {
        let table = self.table(spec)?;
        let query = Query::new(table, range, page)?;
        let mut statement = self.connection.prepare_cached(&query.sql).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query(params_from_iter(&query.values)).map_err(|e| unreadable(&e))?;
        let limit = page.bounded();
        let (mut found, mut last, mut seen) = (Vec::new(), None, 0usize);
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            if seen == limit {
                return Ok(RawSlice { rows: found, next: last });
            }
            seen = seen.saturating_add(1);
            // Where to go on is needed of damaged records too, lest a page never end.
            if let Some(one) = table.read_unsealed(row) {
                let index = query.index.and_then(|at| one.row.index.get(at).cloned());
                last = Some(Cursor { index: index.unwrap_or(IndexValue::Null), key: one.key });
            }
            found.extend(self.sound(table, row));
        }
        Ok(RawSlice { rows: found, next: None })
    }

    fn window(
        &self,
        spec: &CollectionSpec,
        range: &Range,
        reverse: bool,
        (skip, limit): (usize, usize),
    ) -> Result<Vec<Keyed>, ReadError> {
        let table = self.table(spec)?;
        // Places are found in an index alone; only the records of the window are read.
        let mut query = Query::within(table, range, format!("SELECT rowid FROM {}", quoted(spec.name)))?;
        let order = query.order(if reverse { "DESC" } else { "ASC" });
        query.sql = format!(
            "{} WHERE rowid IN ({} ORDER BY {order} LIMIT ? OFFSET ?) ORDER BY {order}",
            table.select(),
            query.sql
        );
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        query.values.extend([number(limit).into(), number(skip).into()]);
        let mut statement = self.connection.prepare_cached(&query.sql).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query(params_from_iter(&query.values)).map_err(|e| unreadable(&e))?;
        let mut found = Vec::new();
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            found.extend(self.sound(table, row));
        }
        Ok(found)
    }

    fn count(&self, spec: &CollectionSpec, range: &Range) -> Result<u64, ReadError> {
        let query = match range {
            // Without a condition the engine counts pages, not rows.
            Range::All => Query::bare(format!("SELECT count(*) FROM {}", quoted(spec.name))),
            Range::KeyPrefix(_) | Range::Equals(..) | Range::Between(..) => {
                let select = format!("SELECT count(*) FROM {}", quoted(spec.name));
                Query::within(self.table(spec)?, range, select)?
            }
        };
        let mut statement = self.connection.prepare_cached(&query.sql).map_err(|e| unreadable(&e))?;
        let count: i64 = statement
            .query_row(params_from_iter(&query.values), |row| row.get(0))
            .map_err(|e| unreadable(&e))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn changes(&self, after: u64, limit: usize) -> Result<Vec<Change>, ReadError> {
        let mut statement = self.connection.prepare_cached(CHANGES).map_err(|e| unreadable(&e))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        let mut rows = statement.query([after, limit]).map_err(|e| unreadable(&e))?;
        let mut found: Vec<Change> = Vec::new();
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            let expected = found.last().map(|change| change.seq.saturating_add(1));
            let change = read_change(&self.seal_key, row)
                .filter(|change| expected.is_none_or(|expected| change.seq == expected));
            let Some(change) = change else {
                let seq: i64 = row.get(0).unwrap_or(0);
                self.damage.add(CHANGES_NAME, &seq.to_string(), SEAL);
                return Err(ReadError::Damaged { collection: CHANGES_NAME, key: seq.to_string() });
            };
            found.push(change);
        }
        Ok(found)
    }

    fn walk(&self, spec: &CollectionSpec, each: &mut dyn FnMut(Keyed)) -> Result<u64, ReadError> {
        let table = self.table(spec)?;
        let snapshot = self.connection.unchecked_transaction().map_err(|e| unreadable(&e))?;
        let last = "SELECT coalesce(max(seq), 0) FROM store_changes";
        let seq: i64 = snapshot.query_row(last, [], |row| row.get(0)).map_err(|e| unreadable(&e))?;
        let mut statement = snapshot.prepare(&table.select()).map_err(|e| unreadable(&e))?;
        let mut rows = statement.query([]).map_err(|e| unreadable(&e))?;
        while let Some(row) = rows.next().map_err(|e| unreadable(&e))? {
            if let Some(found) = self.sound(table, row) {
                each(found);
            }
        }
        Ok(u64::try_from(seq).unwrap_or(0))
    }
}

impl Reader {
    fn table(&self, spec: &CollectionSpec) -> Result<&Table, ReadError> {
        let found = self.tables.iter().find(|table| table.spec.name == spec.name);
        found.ok_or_else(|| ReadError::Unavailable(format!("no collection is named {}", spec.name)))
    }

    fn sound(&self, table: &Table, row: &rusqlite::Row<'_>) -> Option<Keyed> {
        let found = table.read(&self.seal_key, row);
        if found.is_none() {
            let key = row.get_ref(1).ok().and_then(|key| key.as_str().ok().map(str::to_owned));
            self.damage.add(table.spec.name, &key.unwrap_or_else(|| "?".to_owned()), SEAL);
        }
        found
    }
}

/// Reads an event from a row of [`CHANGES`]; `None` when it is not what was sealed.
pub(crate) fn read_change(key: &SealKey, row: &rusqlite::Row<'_>) -> Option<Change> {
    let text = |at: usize| row.get_ref(at).ok()?.as_str().ok();
    let (seq, at_millis): (i64, i64) = (row.get(0).ok()?, row.get(1).ok()?);
    let (kind, subject, payload) = (text(2)?, text(3)?, text(4)?);
    let seal = row.get_ref(5).ok()?.as_blob().ok()?;
    let seq = u64::try_from(seq).ok()?;
    if !seal_change(key, seq, at_millis, [kind, subject, payload]).equals(seal) {
        return None;
    }
    let payload = serde_json::from_str(payload).ok()?;
    let event = EventDraft { kind: kind.to_owned(), subject: subject.to_owned(), payload };
    Some(Change { seq, at_millis, event })
}

/// The seal of an event.
pub(crate) fn seal_change(
    key: &SealKey,
    seq: u64,
    at_millis: i64,
    texts: [&str; 3],
) -> crate::store::seal::Seal {
    key.seal_own(CHANGES_NAME, &[seq, at_millis.cast_unsigned()], &texts)
}

/// A scan as a statement.
struct Query {
    sql: String,
    values: Vec<rusqlite::types::Value>,
    /// The index that the range is of.
    index: Option<usize>,
    /// Its column, where the order is by its values.
    by: Option<String>,
}

impl Query {
    const fn bare(sql: String) -> Self {
        Self { sql, values: Vec::new(), index: None, by: None }
    }

    /// What `select` selects, of the records of a range.
    fn within(table: &Table, range: &Range, select: String) -> Result<Self, ReadError> {
        let mut query = Self::bare(select);
        match range {
            Range::All => query.sql.push_str(" WHERE true"),
            Range::KeyPrefix(prefix) => {
                query.push(" WHERE key >= ?", &IndexValue::from(prefix.as_str()));
                // No key holds this character, so it ends the keys that begin with the prefix.
                query.push(" AND key < ?", &IndexValue::Text(format!("{prefix}\u{10FFFF}")));
            }
            Range::Equals(name, value) => {
                let column = query.by(table, name)?;
                query.push(&format!(" WHERE {column} = ?"), value);
            }
            Range::Between(name, low, high) => {
                let column = query.by(table, name)?;
                query.sql.push_str(&format!(" WHERE {column} IS NOT NULL"));
                // Everything is at or above null.
                if *low != IndexValue::Null {
                    query.push(&format!(" AND {column} >= ?"), low);
                }
                query.push(&format!(" AND {column} <= ?"), high);
                query.by = Some(column);
            }
        }
        Ok(query)
    }

    fn new(table: &Table, range: &Range, page: &Page) -> Result<Self, ReadError> {
        let mut query = Self::within(table, range, table.select())?;
        let (beyond, direction) = if page.reverse { ("<", "DESC") } else { (">", "ASC") };
        let order = query.order(direction);
        if let Some(after) = &page.after {
            let key = IndexValue::from(after.key.as_str());
            match query.by.clone() {
                Some(column) => {
                    query.push(&format!(" AND ({column}, key) {beyond} (?"), &after.index);
                    query.push(", ?)", &key);
                }
                None => query.push(&format!(" AND key {beyond} ?"), &key),
            }
        }
        query.sql.push_str(&format!(" ORDER BY {order} LIMIT ?"));
        // One more than the page tells whether there is another.
        let limit = i64::try_from(page.bounded().saturating_add(1)).unwrap_or(i64::MAX);
        query.values.push(limit.into());
        Ok(query)
    }

    /// The order of a scan: of the index and the key, or of the key alone.
    fn order(&self, direction: &str) -> String {
        match &self.by {
            Some(column) => format!("{column} {direction}, key {direction}"),
            None => format!("key {direction}"),
        }
    }

    fn by(&mut self, table: &Table, name: &str) -> Result<String, ReadError> {
        let at = table.spec.indexes.iter().position(|index| index.name == name);
        self.index = Some(at.ok_or_else(|| no_index(table.spec, name))?);
        Ok(quoted(name))
    }

    fn push(&mut self, sql: &str, value: &IndexValue) {
        self.sql.push_str(sql);
        self.values.push(match value {
            IndexValue::Null => rusqlite::types::Value::Null,
            IndexValue::Integer(number) => (*number).into(),
            IndexValue::Text(text) => text.clone().into(),
        });
    }
}

fn damaged(table: &Table, key: &str) -> ReadError {
    ReadError::Damaged { collection: table.spec.name, key: key.to_owned() }
}

/// The feed under which damaged events are named.
pub(crate) const CHANGES_NAME: &str = "store_changes";
/// Why a record is refused.
pub(crate) const SEAL: &str = "its seal does not fit";
/// Events after a position.
const CHANGES: &str = "SELECT seq, at_millis, kind, subject, payload, seal FROM store_changes \
                       WHERE seq > ?1 ORDER BY seq LIMIT ?2";
