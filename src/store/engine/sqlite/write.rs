//! The writing connection: a batch is one transaction, a unit one savepoint in it.
//!
//! The one rule: after a commit that failed nothing is believed; the connection is opened anew
//! and the log emptied before anything else is acknowledged.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rusqlite::Connection;
use uuid::Uuid;

use super::connection::{self, fault};
use super::read::{SEAL, seal_change};
use super::table::{Cell, Table, counted, inserted, quoted, updated};
use super::tally::Tally;
use crate::store::contract::{CommitError, EventDraft};
use crate::store::engine::{BatchFault, DamageList, Engine, EngineFault, Fault, Rows};
use crate::store::files::{Ballast, Hold};
use crate::store::record::Row;
use crate::store::seal::SealKey;
use crate::store::writer::{Sweep, SweepWhat};

/// What the writer's thread owns.
pub(crate) struct SqliteWriter {
    /// `None` after a failure, until it has been opened anew.
    pub(crate) connection: Option<Connection>,
    pub(crate) path: PathBuf,
    pub(crate) core: Core,
    pub(crate) ballast: Ballast,
    /// Pages in the write-ahead log after the last commit.
    pub(crate) log_pages: Arc<AtomicI32>,
    /// The store stays held until its last thread has ended.
    pub(crate) _hold: Arc<Hold>,
}

/// What a batch needs besides the connection.
pub(crate) struct Core {
    pub(crate) tables: Arc<Vec<Table>>,
    pub(crate) seal_key: SealKey,
    pub(crate) damage: DamageList,
    pub(crate) tally: Tally,
}

/// The rows while a batch is open.
pub(crate) struct Batch<'e> {
    connection: &'e Connection,
    core: &'e mut Core,
}

impl SqliteWriter {
    pub(crate) fn last_seq(&self) -> u64 {
        self.core.tally.last_seq()
    }

    /// A connection that is sound, opened anew if the last one failed.
    fn sound(&mut self) -> Result<(), EngineFault> {
        if self.connection.is_some() {
            return Ok(());
        }
        let connection = connection::writing(&self.path).map_err(|e| fault(&e))?;
        // What a failed sync left in the log must not lie under what is acknowledged later: the
        // log is emptied into the file, which is synced, before it is used again.
        if !checkpoint(&connection, "TRUNCATE").map_err(|e| fault(&e))? {
            return Err(EngineFault::Io("a reader keeps the log from being emptied".to_owned()));
        }
        let check: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|e| fault(&e))?;
        if check != "ok" {
            return Err(EngineFault::Io(check));
        }
        self.core.tally = Tally::read(&connection, &self.core.tables).map_err(|e| fault(&e))?;
        self.adopt(connection)
    }

    /// Takes a connection into use.
    pub(crate) fn adopt(&mut self, mut connection: Connection) -> Result<(), EngineFault> {
        let pages = Arc::clone(&self.log_pages);
        pages.store(0, Ordering::Relaxed);
        connection
            .wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, count: i32| {
                pages.store(count, Ordering::Relaxed);
                Ok(())
            }))
            .map_err(|e| fault(&e))?;
        self.connection = Some(connection);
        Ok(())
    }

    /// An error with no room left is the disk's fullness, in whatever words the engine says it.
    fn classify(&self, found: EngineFault) -> EngineFault {
        match found {
            EngineFault::Io(_) if self.ballast.no_room() => EngineFault::Full,
            EngineFault::Io(_) | EngineFault::Full => found,
        }
    }
}

impl Engine for SqliteWriter {
    type Rows<'e> = Batch<'e>;

    fn batch<T>(
        &mut self,
        work: impl FnOnce(&mut Batch<'_>) -> Result<T, EngineFault>,
    ) -> Result<T, BatchFault> {
        self.sound().map_err(|fault| BatchFault::NotApplied(self.classify(fault)))?;
        let Some(connection) = &self.connection else {
            return Err(BatchFault::NotApplied(EngineFault::Io("it is not open".to_owned())));
        };
        let before = self.core.tally.clone();
        let result = begin(connection)
            .and_then(|()| work(&mut Batch { connection, core: &mut self.core }))
            .and_then(|value| self.core.tally.write(connection, &self.core.seal_key).map(|()| value))
            .map_err(|found| (false, found))
            .and_then(|value| {
                run(connection, "COMMIT").map(|()| value).map_err(|error| (true, fault(&error)))
            });
        match result {
            Ok(value) => Ok(value),
            Err((committing, found)) => {
                self.core.tally = before;
                Err(self.fail(committing, found))
            }
        }
    }

    fn due(&mut self, sweep: &Sweep) -> Result<Vec<String>, EngineFault> {
        let SweepWhat::Records { collection, index, before } = &sweep.what else { return Ok(Vec::new()) };
        self.sound()?;
        let known = self.core.tables.iter().any(|table| {
            table.spec.name == collection.name && table.spec.indexes.iter().any(|one| one.name == *index)
        });
        let (true, Some(connection)) = (known, &self.connection) else {
            return Err(EngineFault::Io(format!("{} has no index named {index}", collection.name)));
        };
        let (table, column) = (quoted(collection.name), quoted(index));
        let sql = format!(
            "SELECT key FROM {table} WHERE {column} IS NOT NULL AND {column} < ?1 ORDER BY {column} LIMIT ?2"
        );
        let budget = Cell::Number(i64::try_from(sweep.budget()).unwrap_or(i64::MAX));
        let mut statement = connection.prepare_cached(&sql).map_err(|e| fault(&e))?;
        let keys = statement.query_map([Cell::index(before), budget], |row| row.get(0));
        keys.and_then(Iterator::collect).map_err(|e| fault(&e))
    }

    fn rest(&mut self, idle: bool) -> bool {
        let Some(connection) = &self.connection else { return false };
        let pages = self.log_pages.load(Ordering::Relaxed);
        let due = if idle { IDLE_PAGES } else { BUSY_PAGES };
        if pages >= due {
            // A log that cannot be emptied now is tried again after the next commit.
            let _ = checkpoint(connection, "PASSIVE");
            self.log_pages.store(0, Ordering::Relaxed);
        }
        if idle {
            let _ = connection.execute_batch(VACUUM_SOME);
            self.ballast.restore();
        }
        self.log_pages.load(Ordering::Relaxed) >= IDLE_PAGES || self.ballast.is_missing()
    }

    fn make_room(&mut self) -> bool {
        self.ballast.release()
    }

    fn close(mut self) {
        if let Some(connection) = self.connection.take() {
            let _ = checkpoint(&connection, "TRUNCATE");
            // Closing flushes nothing more; what was acknowledged is in the log or the file.
            let _ = connection.close();
        }
    }
}

impl SqliteWriter {
    /// Brings the engine back after a failed batch, and says what is known of the batch.
    fn fail(&mut self, committing: bool, found: EngineFault) -> BatchFault {
        let rolled_back = self.connection.as_ref().is_some_and(|connection| {
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
            connection.is_autocommit()
        });
        match found {
            // No room to write the log's last frame: it is not there, the engine has undone the
            // rest and can go on at once.
            EngineFault::Full if rolled_back => BatchFault::NotApplied(EngineFault::Full),
            EngineFault::Full | EngineFault::Io(_) if !committing => {
                self.connection = None;
                BatchFault::NotApplied(self.classify(found))
            }
            // A sync that failed may or may not have written: only asking again will tell.
            EngineFault::Full => self.forsake("no room on the disk while committing".to_owned()),
            EngineFault::Io(why) => self.forsake(why),
        }
    }

    fn forsake(&mut self, why: String) -> BatchFault {
        self.connection = None;
        BatchFault::Unknown(why)
    }
}

impl Batch<'_> {
    fn table_at(&self, at: usize) -> Result<&Table, Fault> {
        self.core.tables.get(at).ok_or_else(|| EngineFault::Io("no such table".to_owned()).into())
    }

    /// Runs a writing statement; a violated index is the unit's refusal.
    fn write(&self, table: &Table, sql: &str, params: impl rusqlite::Params) -> Result<(), Fault> {
        let result = self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute(params));
        match result {
            Ok(_) => Ok(()),
            Err(rusqlite::Error::SqliteFailure(code, Some(message)))
                if code.code == rusqlite::ErrorCode::ConstraintViolation =>
            {
                Err(match table.taken(&message) {
                    Some(taken) => Fault::Refused(taken),
                    None => Fault::Engine(EngineFault::Io(message)),
                })
            }
            Err(error) => Err(fault(&error).into()),
        }
    }

    fn find(&self, table: &Table, key: &str, sealed: bool) -> Result<Option<Row>, Fault> {
        let mut statement = self.connection.prepare_cached(&table.fetch).map_err(|e| fault(&e))?;
        let mut rows = statement.query([key]).map_err(|e| fault(&e))?;
        let Some(row) = rows.next().map_err(|e| fault(&e))? else {
            let lost = sealed && self.core.damage.has(table.spec.name, key);
            return if lost { Err(self.damaged(table, key)) } else { Ok(None) };
        };
        if !sealed {
            // Only its place matters to whoever removes it.
            let place = row.get(0).map_err(|e| fault(&e))?;
            let none = Row {
                place,
                version: 0,
                schema: 0,
                body: String::new(),
                index: Vec::new(),
                counters: Vec::new(),
            };
            return Ok(Some(none));
        }
        match table.read(&self.core.seal_key, row) {
            Some(found) if found.key == key => Ok(Some(found.row)),
            Some(_) | None => Err(self.damaged(table, key)),
        }
    }

    fn damaged(&self, table: &Table, key: &str) -> Fault {
        self.core.damage.add(table.spec.name, key, SEAL);
        Fault::Refused(CommitError::Damaged { collection: table.spec.name, key: key.to_owned() })
    }

    fn count(&mut self, table: usize, by: i64) {
        self.core.tally.count(table, by);
    }
}

impl Rows for Batch<'_> {
    fn table(&self, name: &str) -> Option<usize> {
        self.core.tables.iter().position(|table| table.spec.name == name)
    }

    fn last_seq(&self) -> u64 {
        self.core.tally.last_seq()
    }

    fn unit_seen(&mut self, id: Uuid) -> Result<bool, Fault> {
        let mut statement = self.connection.prepare_cached(UNIT_SEEN).map_err(|e| fault(&e))?;
        Ok(statement.exists([id.as_bytes()]).map_err(|e| fault(&e))?)
    }

    fn remember_unit(&mut self, id: Uuid, now_millis: i64) -> Result<(), Fault> {
        let mut statement = self.connection.prepare_cached(REMEMBER_UNIT).map_err(|e| fault(&e))?;
        statement.execute((id.as_bytes(), now_millis)).map_err(|e| fault(&e))?;
        Ok(())
    }

    fn fetch(&mut self, table: usize, key: &str) -> Result<Option<Row>, Fault> {
        self.find(self.table_at(table)?, key, true)
    }

    fn fetch_damaged(&mut self, at: usize, key: &str) -> Result<Option<Row>, Fault> {
        let table = self.table_at(at)?;
        let found = self.find(table, key, false)?;
        let mut statement = self.connection.prepare_cached(FORGET_DAMAGE).map_err(|e| fault(&e))?;
        let named = statement.execute([table.spec.name, key]).map_err(|e| fault(&e))?;
        self.core.damage.forget(table.spec.name, key);
        if found.is_none() && named > 0 {
            // A lost record was still counted: now it is given up.
            self.core.tally.count(at, -1);
        }
        Ok(found)
    }

    fn insert(&mut self, table: usize, key: &str, row: &Row) -> Result<(), Fault> {
        let at = self.table_at(table)?;
        let seal = self.core.seal_key.seal(at.sealed(), key, row);
        self.write(at, &at.insert, inserted(key, row, seal.octets()))?;
        self.count(table, 1);
        Ok(())
    }

    fn update(&mut self, table: usize, key: &str, before: &Row, row: &Row) -> Result<(), Fault> {
        let table = self.table_at(table)?;
        let seal = self.core.seal_key.seal(table.sealed(), key, row);
        self.write(table, &table.update, updated(row, seal.octets(), before.place))
    }

    fn update_counters(&mut self, table: usize, key: &str, before: &Row, row: &Row) -> Result<(), Fault> {
        let table = self.table_at(table)?;
        let seal = self.core.seal_key.seal(table.sealed(), key, row);
        self.write(table, &table.update_counters, counted(row, seal.octets(), before.place))
    }

    fn delete(&mut self, table: usize, _key: &str, row: &Row) -> Result<(), Fault> {
        let at = self.table_at(table)?;
        self.write(at, &at.delete, [row.place])?;
        self.count(table, -1);
        Ok(())
    }

    fn append(&mut self, now_millis: i64, event: &EventDraft, payload: &str) -> Result<(), Fault> {
        let seq = self.core.tally.last_seq().saturating_add(1);
        let texts = [event.kind.as_str(), event.subject.as_str(), payload];
        let seal = seal_change(&self.core.seal_key, seq, now_millis, texts);
        let number = i64::try_from(seq).unwrap_or(i64::MAX);
        let [kind, subject, payload] = texts;
        let values = (number, now_millis, kind, subject, payload, seal.octets());
        let mut statement = self.connection.prepare_cached(APPEND).map_err(|e| fault(&e))?;
        statement.execute(values).map_err(|e| fault(&e))?;
        self.core.tally.appended();
        Ok(())
    }

    fn forget(&mut self, sweep: &Sweep) -> Result<u64, Fault> {
        let budget = i64::try_from(sweep.budget()).unwrap_or(i64::MAX);
        match &sweep.what {
            SweepWhat::Records { .. } => Ok(0),
            SweepWhat::Changes { through_seq } => {
                // The newest event stays: it carries the feed's position.
                let end = (*through_seq).min(self.last_seq().saturating_sub(1));
                let end = i64::try_from(end).unwrap_or(i64::MAX);
                let gone = self.connection.execute(FORGET_CHANGES, [end, budget]).map_err(|e| fault(&e))?;
                let gone = u64::try_from(gone).unwrap_or(0);
                self.core.tally.swept(gone);
                Ok(gone)
            }
            SweepWhat::Units { before_millis } => {
                let values = [*before_millis, budget];
                let gone = self.connection.execute(FORGET_UNITS, values).map_err(|e| fault(&e))?;
                Ok(u64::try_from(gone).unwrap_or(0))
            }
        }
    }

    fn in_savepoint<T>(
        &mut self,
        needed: bool,
        work: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        // The engine itself undoes a single statement that fails.
        if !needed {
            return work(self);
        }
        run(self.connection, "SAVEPOINT unit").map_err(|e| fault(&e))?;
        let before = self.core.tally.clone();
        match work(self) {
            Ok(value) => {
                run(self.connection, "RELEASE unit").map_err(|e| fault(&e))?;
                Ok(value)
            }
            Err(Fault::Refused(refusal)) => {
                self.core.tally = before;
                run(self.connection, "ROLLBACK TO unit").map_err(|e| fault(&e))?;
                run(self.connection, "RELEASE unit").map_err(|e| fault(&e))?;
                Err(Fault::Refused(refusal))
            }
            Err(Fault::Engine(found)) => Err(Fault::Engine(found)),
        }
    }
}

fn begin(connection: &Connection) -> Result<(), EngineFault> {
    run(connection, "BEGIN IMMEDIATE").map_err(|e| fault(&e))
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// Moves the log into the file; false when a reader kept some of it from being moved.
pub(crate) fn checkpoint(connection: &Connection, how: &str) -> rusqlite::Result<bool> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({how})"), [], |row| Ok(row.get::<_, i32>(0)? == 0))
}

const UNIT_SEEN: &str = "SELECT 1 FROM store_units WHERE id = ?1";
const REMEMBER_UNIT: &str = "INSERT INTO store_units (id, at_millis) VALUES (?1, ?2)";
const FORGET_DAMAGE: &str = "DELETE FROM store_damage WHERE collection = ?1 AND key = ?2";
const APPEND: &str = "INSERT INTO store_changes (seq, at_millis, kind, subject, payload, seal) \
                      VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const FORGET_CHANGES: &str = "DELETE FROM store_changes WHERE seq IN \
                              (SELECT seq FROM store_changes WHERE seq <= ?1 ORDER BY seq LIMIT ?2)";
const FORGET_UNITS: &str = "DELETE FROM store_units WHERE rowid IN \
                            (SELECT rowid FROM store_units WHERE at_millis < ?1 ORDER BY at_millis LIMIT ?2)";
/// Gives up to 4 MiB of freed pages back to the file system in a quiet moment.
const VACUUM_SOME: &str = "PRAGMA incremental_vacuum(1000)";
/// Pages in the log from which it is emptied between batches: 4 MiB, which is cheap to replay
/// and, rewriting each hot page once, spares flash.
const BUSY_PAGES: i32 = 1_000;
/// The same in a quiet moment.
const IDLE_PAGES: i32 = 250;
