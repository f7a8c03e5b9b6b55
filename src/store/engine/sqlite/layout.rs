//! The file's own tables, and what makes it recognisable.
//!
//! The one rule: a store that was here and is gone is never taken for a new one.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use super::backup;
use super::connection::{self, opening};
use super::shape::Shape;
use super::table::{Table, counter_column, index_column, index_name, quoted, updated};
use crate::store::files;
use crate::store::options::{OpenError, Options};
use crate::store::record::{Keyed, Row};
use crate::store::seal::SealKey;

/// Makes the file when there never was one.
pub(super) fn ensure_file(options: &Options, path: &Path) -> Result<(), OpenError> {
    let mark = options.dir.join(MARK);
    let known = mark.exists();
    if !path.exists() {
        if known {
            return Err(OpenError::Vanished { path: path.to_owned() });
        }
        let fault = |source| OpenError::File { doing: "make", path: path.to_owned(), source };
        files::create_new(path, b"").map_err(fault)?;
    }
    if known {
        return Ok(());
    }
    let id = initialise(options, path)?;
    files::replace(&mark, format!("{id}\n").as_bytes()).map_err(|source| OpenError::File {
        doing: "mark",
        path: mark,
        source,
    })
}

/// Makes our tables in an empty file; gives the store's id. A file that has them already is left
/// alone: its making was interrupted before the mark was set.
fn initialise(options: &Options, path: &Path) -> Result<String, OpenError> {
    let fault = opening("make");
    let connection = connection::writing(path).map_err(&fault)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(&fault)?;
    if tables > 0 {
        check_ours(&connection, path)?;
        return value(&connection, "store_id").map_err(&fault)?.ok_or_else(|| foreign(path));
    }
    let random: [u8; 16] = options
        .entropy
        .bytes()
        .map_err(|error| OpenError::Engine { doing: "name", why: error.to_string() })?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let transaction = connection.unchecked_transaction().map_err(&fault)?;
    make_own_tables(&transaction).map_err(&fault)?;
    let set = "INSERT INTO store_meta (name, value) VALUES (?1, ?2)";
    transaction.execute(set, ["store_id", &id]).map_err(&fault)?;
    transaction.execute(set, ["key_id", options.seal_key.id()]).map_err(&fault)?;
    transaction.commit().map_err(&fault)?;
    drop(connection);
    Ok(id)
}

/// Makes the store's own tables and sets what the file is recognised by.
pub(super) fn make_own_tables(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch(OWN_TABLES)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", FORMAT)
}

/// Refuses what is not ours, newer, or sealed with another key.
pub(super) fn recognise(connection: &Connection, options: &Options, path: &Path) -> Result<(), OpenError> {
    check_ours(connection, path)?;
    let found = value(connection, "key_id").map_err(opening("recognise"))?.unwrap_or_default();
    if found != options.seal_key.id() {
        return Err(OpenError::OtherKey { found, ours: options.seal_key.id().to_owned() });
    }
    Ok(())
}

fn check_ours(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let fault = opening("recognise");
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    if number("application_id").map_err(&fault)? != APPLICATION {
        return Err(foreign(path));
    }
    let format = number("user_version").map_err(&fault)?;
    if format > FORMAT {
        return Err(OpenError::Newer { what: format!("its file has format {format}, we know {FORMAT}") });
    }
    Ok(())
}

/// One of the store's own facts.
pub(crate) fn value(connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
    connection.query_row("SELECT value FROM store_meta WHERE name = ?1", [name], |row| row.get(0)).optional()
}

fn foreign(path: &Path) -> OpenError {
    OpenError::Foreign { path: path.to_owned() }
}

/// Makes the tables of new collections, and brings those that were kept otherwise to the shape
/// that the program declares, after a verified backup.
pub(super) fn bring_forward(
    connection: &Connection,
    options: &Options,
    tables: &[Table],
) -> Result<(), OpenError> {
    let fault = opening("lay out");
    let kept = Shape::all(connection).map_err(&fault)?;
    let mut older = Vec::new();
    for table in tables {
        let wanted = Shape::of(table.spec);
        match kept.iter().find(|shape| shape.name == wanted.name) {
            None => make_table(connection, table, &wanted).map_err(&fault)?,
            Some(shape) if shape.schema > wanted.schema => {
                let what = format!("{} has schema {}, we know {}", shape.name, shape.schema, wanted.schema);
                return Err(OpenError::Newer { what });
            }
            Some(shape) if *shape != wanted => older.push((table, shape)),
            Some(_) => {}
        }
    }
    if older.is_empty() {
        return Ok(());
    }
    let now_millis = options.clock.now().as_millisecond();
    let before = options.dir.join(BEFORE_UPGRADE);
    backup::take(connection, &before, &options.seal_key, now_millis)
        .map_err(|error| OpenError::Backup(Box::new(error)))?;
    let transaction = connection.unchecked_transaction().map_err(&fault)?;
    for (table, shape) in older {
        upgrade(&transaction, table, shape, &options.seal_key)?;
    }
    transaction.commit().map_err(&fault)
}

fn make_table(connection: &Connection, table: &Table, shape: &Shape) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(&table.create())?;
    shape.note(&transaction)?;
    transaction.commit()
}

/// Rewrites every sound record of a collection in the declared shape. Damaged ones stay as they
/// are, and stay refused.
fn upgrade(connection: &Connection, table: &Table, from: &Shape, key: &SealKey) -> Result<(), OpenError> {
    let fault = opening("upgrade");
    adapt_columns(connection, table, from).map_err(&fault)?;
    let mut select = connection
        .prepare(&format!("{} WHERE rowid > ?1 ORDER BY rowid LIMIT {CHUNK}", from.select()))
        .map_err(&fault)?;
    let mut update = connection.prepare(&table.update).map_err(&fault)?;
    let mut last = i64::MIN;
    loop {
        let rows = select
            .query_map([last], |row| Ok((row.get::<_, i64>(0)?, from.read(key, row))))
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(&fault)?;
        let Some((place, _)) = rows.last() else { break };
        last = *place;
        for one in rows.into_iter().filter_map(|(_, one)| one) {
            let row = renewed(table, from, &one)?;
            let seal = key.seal(table.sealed(), &one.key, &row);
            update.execute(updated(&row, seal.octets(), row.place)).map_err(&fault)?;
        }
    }
    connection.execute_batch(&table.create_indexes()).map_err(&fault)?;
    Shape::of(table.spec).note(connection).map_err(&fault)
}

fn renewed(table: &Table, from: &Shape, one: &Keyed) -> Result<Row, OpenError> {
    let renew = table.registration.renew;
    let (body, index) = renew(one.row.schema, &one.row.body).map_err(|why| OpenError::Upgrade {
        collection: table.spec.name.to_owned(),
        key: one.key.clone(),
        why,
    })?;
    let counters = from.counters_for(table, &one.row.counters);
    let (place, version) = (one.row.place, one.row.version);
    Ok(Row { place, version, schema: table.spec.schema, body, index, counters })
}

/// Adds the columns that are new and drops the indexes, which are made anew afterwards.
fn adapt_columns(connection: &Connection, table: &Table, from: &Shape) -> rusqlite::Result<()> {
    let name = table.spec.name;
    let mut statement = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let present: Vec<String> = statement.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let indexes = table.spec.indexes.iter().map(|index| (index.name, index_column(index.name)));
    let counters = table.spec.counters.iter().map(|counter| (*counter, counter_column(counter)));
    for (column, definition) in indexes.chain(counters) {
        if !present.iter().any(|one| one == column) {
            connection.execute_batch(&format!("ALTER TABLE {} ADD COLUMN {definition}", quoted(name)))?;
        }
    }
    for column in from.index_columns() {
        let index = quoted(&index_name(table.spec, column));
        connection.execute_batch(&format!("DROP INDEX IF EXISTS {index}"))?;
    }
    Ok(())
}

/// The backup that precedes an upgrade; the next upgrade replaces it.
const BEFORE_UPGRADE: &str = "before-upgrade.backup";
/// Records rewritten at a time during an upgrade.
const CHUNK: usize = 500;
/// What `file(1)` and we recognise a store by: "DMED".
const APPLICATION: i32 = 0x444D_4544;
/// The layout of the store's own tables.
pub(crate) const FORMAT: i32 = 1;
/// Tells that a store was made here.
pub(crate) const MARK: &str = "store.id";
const OWN_TABLES: &str = "
CREATE TABLE store_meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE store_layout (
    collection TEXT NOT NULL PRIMARY KEY, schema INTEGER NOT NULL, declared TEXT NOT NULL
) STRICT;
CREATE TABLE store_tally (name TEXT NOT NULL PRIMARY KEY, records INTEGER NOT NULL, seal BLOB NOT NULL) STRICT;
CREATE TABLE store_changes (
    seq INTEGER PRIMARY KEY, at_millis INTEGER NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    payload TEXT NOT NULL, seal BLOB NOT NULL
) STRICT;
CREATE TABLE store_units (id BLOB NOT NULL UNIQUE, at_millis INTEGER NOT NULL) STRICT;
CREATE INDEX store_units__at_millis ON store_units (at_millis);
CREATE TABLE store_damage (
    collection TEXT NOT NULL, key TEXT NOT NULL, why TEXT NOT NULL, UNIQUE (collection, key)
) STRICT;
";
