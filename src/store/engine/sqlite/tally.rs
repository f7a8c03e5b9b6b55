//! How many records each collection holds, sealed: what tells that a row is missing.
//!
//! A seal on a record cannot tell that the record is gone; a sealed count can. The one rule: the
//! counts change in the same commit as the rows.

use rusqlite::Connection;

use super::connection::fault;
use super::read::CHANGES_NAME;
use super::table::Table;
use crate::store::engine::EngineFault;
use crate::store::seal::SealKey;

/// The counts, as of the batch at hand.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// One for each collection, in the order of the tables; then the events.
    lines: Vec<Line>,
    last_seq: u64,
}

#[derive(Debug, Clone)]
struct Line {
    name: &'static str,
    records: u64,
    changed: bool,
}

impl Tally {
    /// Reads the counts as they are kept; a collection without one holds nothing.
    pub(crate) fn read(connection: &Connection, tables: &[Table]) -> rusqlite::Result<Self> {
        let names = tables.iter().map(|table| table.spec.name).chain([CHANGES_NAME]);
        let mut statement = connection.prepare("SELECT records FROM store_tally WHERE name = ?1")?;
        let mut lines = Vec::new();
        for name in names {
            let found: Option<i64> =
                rusqlite::OptionalExtension::optional(statement.query_row([name], |row| row.get(0)))?;
            let records = u64::try_from(found.unwrap_or(0)).unwrap_or(0);
            lines.push(Line { name, records, changed: found.is_none() });
        }
        let last: i64 =
            connection.query_row("SELECT coalesce(max(seq), 0) FROM store_changes", [], |row| row.get(0))?;
        Ok(Self { lines, last_seq: u64::try_from(last).unwrap_or(0) })
    }

    /// Writes the counts that changed.
    pub(crate) fn write(&mut self, connection: &Connection, key: &SealKey) -> Result<(), EngineFault> {
        for line in self.lines.iter_mut().filter(|line| line.changed) {
            let seal = seal(key, line.name, line.records);
            let records = i64::try_from(line.records).unwrap_or(i64::MAX);
            connection
                .prepare_cached(WRITE)
                .and_then(|mut statement| statement.execute((line.name, records, seal.octets())))
                .map_err(|e| fault(&e))?;
            line.changed = false;
        }
        Ok(())
    }

    pub(crate) const fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// A collection gained or lost records.
    pub(crate) fn count(&mut self, table: usize, by: i64) {
        if let Some(line) = self.lines.get_mut(table) {
            line.records = line.records.saturating_add_signed(by);
            line.changed = true;
        }
    }

    /// An event was appended.
    pub(crate) fn appended(&mut self) {
        self.last_seq = self.last_seq.saturating_add(1);
        self.count(self.lines.len().saturating_sub(1), 1);
    }

    /// Events were removed.
    pub(crate) fn swept(&mut self, gone: u64) {
        let by = i64::try_from(gone).unwrap_or(i64::MAX).saturating_neg();
        self.count(self.lines.len().saturating_sub(1), by);
    }
}

/// A collection's count as it is kept: zero without one, `None` when its seal does not fit.
pub(crate) fn kept(connection: &Connection, key: &SealKey, name: &str) -> rusqlite::Result<Option<u64>> {
    let sql = "SELECT records, seal FROM store_tally WHERE name = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([name])?;
    let Some(row) = rows.next()? else { return Ok(Some(0)) };
    let records: i64 = row.get(0)?;
    let records = u64::try_from(records).unwrap_or(u64::MAX);
    let fits = row.get_ref(1)?.as_blob().is_ok_and(|found| seal(key, name, records).equals(found));
    Ok(fits.then_some(records))
}

/// Seals every count anew, as it is.
pub(crate) fn seal_all(connection: &Connection, key: &SealKey) -> rusqlite::Result<()> {
    let mut update = connection.prepare("UPDATE store_tally SET seal = ?1 WHERE name = ?2")?;
    let mut statement = connection.prepare("SELECT name, records FROM store_tally")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (name, records): (String, i64) = (row.get(0)?, row.get(1)?);
        let seal = seal(key, &name, u64::try_from(records).unwrap_or(u64::MAX));
        update.execute((seal.octets(), &name))?;
    }
    Ok(())
}

/// Sets a count whose seal did not fit to what there is.
pub(crate) fn recount(
    connection: &Connection,
    key: &SealKey,
    name: &str,
    records: u64,
) -> rusqlite::Result<()> {
    let seal = seal(key, name, records);
    let number = i64::try_from(records).unwrap_or(i64::MAX);
    connection.execute(WRITE, (name, number, seal.octets())).map(|_| ())
}

/// The seal of a count.
pub(crate) fn seal(key: &SealKey, name: &str, records: u64) -> crate::store::seal::Seal {
    key.seal_own("store_tally", &[records], &[name])
}

const WRITE: &str = "INSERT INTO store_tally (name, records, seal) VALUES (?1, ?2, ?3) \
                     ON CONFLICT (name) DO UPDATE SET records = excluded.records, seal = excluded.seal";
