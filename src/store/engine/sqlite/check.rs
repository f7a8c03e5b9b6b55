//! Looking at everything in a file: the engine's structures, every seal, every count, every gap.
//!
//! It uses the shapes in the file, not those the program declares, so it serves a backup of any
//! age. The one rule: it changes nothing.

use rusqlite::Connection;

use super::read::{CHANGES_NAME, SEAL, read_change};
use super::shape::Shape;
use super::tally;
use crate::store::report::{Damaged, Missing, Report};
use crate::store::seal::SealKey;

/// Looks at everything, as of one moment.
pub(crate) fn examine(connection: &Connection, key: &SealKey) -> rusqlite::Result<Report> {
    let snapshot = connection.unchecked_transaction()?;
    let mut report = Report { engine: integrity(&snapshot)?, ..Report::default() };
    for shape in Shape::all(&snapshot)? {
        records(&snapshot, key, &shape, &mut report)?;
    }
    events(&snapshot, key, &mut report)?;
    lost(&snapshot, &mut report)?;
    Ok(report)
}

/// The engine's own findings.
pub(crate) fn integrity(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(&format!("PRAGMA integrity_check({FINDINGS})"))?;
    let found: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

fn records(
    connection: &Connection,
    key: &SealKey,
    shape: &Shape,
    report: &mut Report,
) -> rusqlite::Result<()> {
    let (mut sound, mut rows_found) = (0u64, 0u64);
    let mut statement = connection.prepare(&shape.select())?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        rows_found = rows_found.saturating_add(1);
        if shape.read(key, row).is_some() {
            sound = sound.saturating_add(1);
        } else {
            report.damage(&shape.name, named(row), SEAL);
        }
    }
    report.records.insert(shape.name.clone(), sound);
    counted(connection, key, &shape.name, rows_found, report)
}

fn events(connection: &Connection, key: &SealKey, report: &mut Report) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare("SELECT seq, at_millis, kind, subject, payload, seal FROM store_changes ORDER BY seq")?;
    let mut rows = statement.query([])?;
    let mut found = 0u64;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let seq = u64::try_from(seq).unwrap_or(0);
        if found > 0 && seq != report.seq.saturating_add(1) {
            report.damage(CHANGES_NAME, seq.to_string(), "events before it are missing");
        }
        if read_change(key, row).is_some() {
            report.events = report.events.saturating_add(1);
        } else {
            report.damage(CHANGES_NAME, seq.to_string(), SEAL);
        }
        report.seq = seq;
        found = found.saturating_add(1);
    }
    counted(connection, key, CHANGES_NAME, found, report)
}

/// Compares rows with the sealed count.
fn counted(
    connection: &Connection,
    key: &SealKey,
    name: &str,
    found: u64,
    report: &mut Report,
) -> rusqlite::Result<()> {
    let written = tally::kept(connection, key, name)?;
    let lost = "SELECT count(*) FROM store_damage WHERE collection = ?1";
    let lost: i64 = connection.query_row(lost, [name], |row| row.get(0))?;
    let lost = u64::try_from(lost).unwrap_or(0);
    if written != Some(found.saturating_add(lost)) {
        report.missing.push(Missing { collection: name.to_owned(), written, found });
    }
    Ok(())
}

/// Records that were found missing earlier.
fn lost(connection: &Connection, report: &mut Report) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("SELECT collection, key, why FROM store_damage")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    for row in rows {
        let (collection, key, why): (String, String, String) = row?;
        report.damage(&collection, key, &why);
    }
    Ok(())
}

/// The key of a row that may hold anything.
pub(crate) fn named(row: &rusqlite::Row<'_>) -> String {
    let key = row.get_ref(1).ok().and_then(|key| key.as_str().ok());
    let place = || row.get_ref(0).ok().and_then(|place| place.as_i64().ok());
    key.map_or_else(|| format!("(row {})", place().unwrap_or(0)), str::to_owned)
}

impl Report {
    fn damage(&mut self, collection: &str, key: String, why: &str) {
        if self.damaged.len() < MAX_NAMED {
            self.damaged.push(Damaged { collection: collection.to_owned(), key, why: why.to_owned() });
        }
    }
}

/// Most findings asked of the engine.
const FINDINGS: usize = 20;
/// Most damaged records that are named: beyond it a store needs its backup, not a longer list.
const MAX_NAMED: usize = 1_000;
