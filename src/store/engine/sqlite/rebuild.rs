//! Saving what can be saved of a file whose structure is damaged, into a new file.
//!
//! A flipped bit in an index or a page's header makes the engine distrust the whole file, while
//! nearly every record is sound. Sound records are copied; each one that is lost or unsound is
//! named, and refused from then on; the damaged file is kept aside. The one rule: when the sealed
//! counts do not account for every record, nothing is replaced.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, Row as SqlRow};

use super::read::{CHANGES_NAME, SEAL};
use super::shape::Shape;
use super::table::{Table, inserted, quoted};
use super::{check, connection, layout, tally};
use crate::store::seal::SealKey;

/// Writes what is sound in `damaged` to a new file at `target`.
///
/// # Errors
/// Why it could not be accounted for; `target` is of no use then.
pub(super) fn rebuild(
    damaged: &Connection,
    target: &Path,
    tables: &[Table],
    key: &SealKey,
) -> Result<(), String> {
    let words = |error: rusqlite::Error| error.to_string();
    let fresh = connection::writing(target).map_err(words)?;
    let transaction = fresh.unchecked_transaction().map_err(words)?;
    layout::make_own_tables(&transaction).map_err(words)?;
    copy_plain(damaged, &transaction, "store_meta", "name, value").map_err(words)?;
    copy_plain(damaged, &transaction, "store_units", "id, at_millis").map_err(words)?;
    copy_plain(damaged, &transaction, "store_damage", "collection, key, why").map_err(words)?;
    for shape in Shape::all(damaged).map_err(words)? {
        let table = tables.iter().find(|table| Shape::of(table.spec) == shape);
        let table = table.ok_or_else(|| format!("{} is kept in an older shape", shape.name))?;
        transaction.execute_batch(&table.create()).map_err(words)?;
        shape.note(&transaction).map_err(words)?;
        copy_records(damaged, &transaction, table, key).map_err(words)?;
        account(damaged, &transaction, key, &shape.name)?;
    }
    copy_events(damaged, &transaction).map_err(words)?;
    account(damaged, &transaction, key, CHANGES_NAME)?;
    transaction.commit().map_err(words)?;
    let report = check::examine(&fresh, key).map_err(words)?;
    if !report.engine.is_empty() || !report.missing.is_empty() {
        return Err(report.findings());
    }
    super::write::checkpoint(&fresh, "TRUNCATE").map_err(words)?;
    fresh.close().map_err(|(_, error)| words(error))
}

/// Copies a table of our own whole, or fails.
fn copy_plain(from: &Connection, to: &Connection, table: &str, columns: &str) -> rusqlite::Result<()> {
    let width = columns.split(',').count();
    let marks = vec!["?"; width].join(", ");
    let mut insert = to.prepare(&format!("INSERT INTO {table} ({columns}) VALUES ({marks})"))?;
    let mut select = from.prepare(&format!("SELECT {columns} FROM {table} NOT INDEXED"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let values = (0..width).map(|at| row.get(at)).collect::<Result<Vec<rusqlite::types::Value>, _>>()?;
        insert.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

fn copy_records(from: &Connection, to: &Connection, table: &Table, key: &SealKey) -> rusqlite::Result<()> {
    let mut known = BTreeSet::new();
    let mut insert = to.prepare(&table.insert)?;
    let mut copy = |row: &SqlRow<'_>| -> rusqlite::Result<()> {
        if let Some(one) = table.read(key, row)
            && !known.contains(&one.key)
        {
            let seal = key.seal(table.sealed(), &one.key, &one.row);
            insert.execute(inserted(&one.key, &one.row, seal.octets()))?;
            known.insert(one.key);
        }
        Ok(())
    };
    // What lies behind a page that cannot be read is reached from the other end.
    for order in ["ASC", "DESC"] {
        let sql = format!("{} NOT INDEXED ORDER BY rowid {order}", table.select());
        let mut select = from.prepare(&sql)?;
        let mut rows = select.query([])?;
        while let Ok(Some(row)) = rows.next() {
            copy(row)?;
        }
    }
    // The index of keys still knows records that the table lost, and the true keys of unsound ones.
    let index = quoted(&format!("sqlite_autoindex_{}_1", table.spec.name));
    let sql = format!("SELECT key FROM {} INDEXED BY {index}", quoted(table.spec.name));
    let mut select = from.prepare(&sql)?;
    let mut rows = select.query([])?;
    let mut name =
        to.prepare("INSERT OR IGNORE INTO store_damage (collection, key, why) VALUES (?1, ?2, ?3)")?;
    while let Ok(Some(row)) = rows.next() {
        let Ok(lost) = row.get::<_, String>(0) else { continue };
        if !known.contains(&lost) {
            name.execute([table.spec.name, &lost, SEAL])?;
        }
    }
    Ok(())
}

fn copy_events(from: &Connection, to: &Connection) -> rusqlite::Result<()> {
    let columns = "seq, at_millis, kind, subject, payload, seal";
    let mut insert =
        to.prepare(&format!("INSERT INTO store_changes ({columns}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"))?;
    let mut select = from.prepare(&format!("SELECT {columns} FROM store_changes ORDER BY seq"))?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        // Damaged events are kept as they are: refusing to pass them is for whoever reads.
        let values = (0..6).map(|at| row.get(at)).collect::<Result<Vec<rusqlite::types::Value>, _>>()?;
        insert.execute(rusqlite::params_from_iter(values))?;
    }
    Ok(())
}

/// Takes over a collection's sealed count when the copied and the named records add up to it.
fn account(from: &Connection, to: &Connection, key: &SealKey, name: &str) -> Result<(), String> {
    let words = |error: rusqlite::Error| error.to_string();
    let Some(written) = tally::kept(from, key, name).map_err(words)? else {
        return Err(format!("the count of {name} is damaged"));
    };
    let count = |sql: &str, of: &[&str]| {
        to.query_row(sql, rusqlite::params_from_iter(of), |row| row.get::<_, i64>(0)).map_err(words)
    };
    let copied = count(&format!("SELECT count(*) FROM {}", quoted(name)), &[])?;
    let lost = count("SELECT count(*) FROM store_damage WHERE collection = ?1", &[name])?;
    if u64::try_from(copied.saturating_add(lost)) != Ok(written) {
        return Err(format!("{name}: {copied} records saved and {lost} named, {written} were written"));
    }
    tally::recount(to, key, name, written).map_err(words)
}
