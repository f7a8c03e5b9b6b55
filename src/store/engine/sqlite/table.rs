//! A collection as a table: its statements, and rows to and from columns.
//!
//! Key, indexes, counters, version and body are plain columns so that operators can report with
//! SQL. The one rule: what cannot be read back as exactly a record counts as damaged.

use rusqlite::types::{Null, ToSqlOutput, Value, ValueRef};
use rusqlite::{Params, ToSql};

use crate::store::contract::{CollectionSpec, CommitError, IndexValue, SealKind};
use crate::store::options::OpenError;
use crate::store::record::{Keyed, Registration, Row};
use crate::store::seal::SealKey;

/// A collection with its statements, made once at opening.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) spec: &'static CollectionSpec,
    pub(crate) registration: Registration,
    /// `place, key, version, schema, body, seal`, index values, counters: what every read selects.
    columns: String,
    pub(crate) fetch: String,
    pub(crate) insert: String,
    pub(crate) update: String,
    pub(crate) update_counters: String,
    pub(crate) delete: String,
}

impl Table {
    /// # Errors
    /// [`OpenError::Declaration`] when the names cannot be columns.
    pub(crate) fn new(registration: Registration) -> Result<Self, OpenError> {
        let spec = registration.spec;
        check_names(spec)?;
        let name = quoted(spec.name);
        let indexes: Vec<_> = spec.indexes.iter().map(|index| quoted(index.name)).collect();
        let counters: Vec<_> = spec.counters.iter().map(|counter| quoted(counter)).collect();
        let all: Vec<_> = indexes.iter().chain(&counters).map(String::as_str).collect();
        let mut columns = "rowid, key, version, schema, body, seal".to_owned();
        for column in &all {
            columns.push_str(", ");
            columns.push_str(column);
        }
        let marks = vec!["?"; WRITTEN + all.len()].join(", ");
        let assign =
            |columns: &[&str]| columns.iter().map(|column| format!(", {column} = ?")).collect::<String>();
        let counter_names: Vec<_> = counters.iter().map(String::as_str).collect();
        Ok(Self {
            spec,
            registration,
            fetch: format!("SELECT {columns} FROM {name} WHERE key = ?1"),
            insert: format!(
                "INSERT INTO {name} (key, version, seal, schema, body{}) VALUES ({marks})",
                all.iter().map(|column| format!(", {column}")).collect::<String>()
            ),
            update: format!(
                "UPDATE {name} SET version = ?, seal = ?, schema = ?, body = ?{} WHERE rowid = ?",
                assign(&all)
            ),
            update_counters: format!(
                "UPDATE {name} SET version = ?, seal = ?{} WHERE rowid = ?",
                assign(&counter_names)
            ),
            delete: format!("DELETE FROM {name} WHERE rowid = ?1"),
            columns,
        })
    }

    /// `SELECT` of whole records, to be followed by a condition.
    pub(crate) fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.columns, quoted(self.spec.name))
    }

    /// The statements that make the table and its indexes where they are missing.
    pub(crate) fn create(&self) -> String {
        let mut columns = String::from(
            "key TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, schema INTEGER NOT NULL, body TEXT NOT NULL, \
             seal BLOB NOT NULL",
        );
        for index in self.spec.indexes {
            columns.push_str(&format!(", {}", index_column(index.name)));
        }
        for counter in self.spec.counters {
            columns.push_str(&format!(", {}", counter_column(counter)));
        }
        let name = quoted(self.spec.name);
        format!("CREATE TABLE IF NOT EXISTS {name} ({columns}) STRICT;\n{}", self.create_indexes())
    }

    pub(crate) fn create_indexes(&self) -> String {
        let mut sql = String::new();
        for index in self.spec.indexes {
            let (table, column) = (quoted(self.spec.name), quoted(index.name));
            let (unique, columns) =
                if index.unique { ("UNIQUE ", column.clone()) } else { ("", format!("{column}, key")) };
            let name = quoted(&index_name(self.spec, index.name));
            sql.push_str(&format!(
                "CREATE {unique}INDEX IF NOT EXISTS {name} ON {table} ({columns}) WHERE {column} IS NOT NULL;\n"
            ));
        }
        sql
    }

    /// Reads a record from a row of [`Table::select`]; `None` when it is not what was sealed.
    pub(crate) fn read(&self, key: &SealKey, row: &rusqlite::Row<'_>) -> Option<Keyed> {
        let found = self.read_unsealed(row)?;
        let seal = row.get_ref(5).ok()?.as_blob().ok()?;
        key.fits(self.sealed(), &found.key, &found.row, seal).then_some(found)
    }

    /// Reads a record without looking at its seal.
    pub(crate) fn read_unsealed(&self, row: &rusqlite::Row<'_>) -> Option<Keyed> {
        read_columns(row, self.spec.indexes.len(), self.spec.counters.len())
    }

    /// The collection and kind that seals are made with.
    pub(crate) const fn sealed(&self) -> (&'static str, SealKind) {
        (self.spec.name, self.spec.seal)
    }

    /// What a violated unique index says.
    pub(crate) fn taken(&self, message: &str) -> Option<CommitError> {
        let (name, mut unique) = (self.spec.name, self.spec.indexes.iter().filter(|index| index.unique));
        let found = unique.find(|index| {
            message.ends_with(&format!("{name}.{}", index.name))
                || message.contains(&format!("'{}'", index_name(self.spec, index.name)))
        })?;
        Some(CommitError::Taken { collection: name, index: found.name })
    }
}

/// Reads a record with so many index values and counters after the fixed columns.
pub(crate) fn read_columns(row: &rusqlite::Row<'_>, indexes: usize, counters: usize) -> Option<Keyed> {
    let text = |at: usize| row.get_ref(at).ok()?.as_str().ok().map(str::to_owned);
    let number = |at: usize| row.get_ref(at).ok()?.as_i64().ok();
    let first_counter = READ + indexes;
    let index = (READ..first_counter).map(|at| index_value(row.get_ref(at).ok()?));
    let counters = (first_counter..first_counter + counters).map(|at| u64::try_from(number(at)?).ok());
    Some(Keyed {
        key: text(1)?,
        row: Row {
            place: number(0)?,
            version: u64::try_from(number(2)?).ok()?,
            schema: u16::try_from(number(3)?).ok()?,
            body: text(4)?,
            index: index.collect::<Option<_>>()?,
            counters: counters.collect::<Option<_>>()?,
        },
    })
}

/// The parameters of [`Table::insert`].
pub(crate) fn inserted<'r>(key: &'r str, row: &'r Row, seal: &'r [u8]) -> impl Params + 'r {
    let start = [Cell::Text(key), Cell::number(row.version), Cell::Blob(seal)];
    rusqlite::params_from_iter(start.into_iter().chain(content(row)))
}

/// The parameters of [`Table::update`].
pub(crate) fn updated<'r>(row: &'r Row, seal: &'r [u8], place: i64) -> impl Params + 'r {
    let start = [Cell::number(row.version), Cell::Blob(seal)];
    rusqlite::params_from_iter(start.into_iter().chain(content(row)).chain([Cell::Number(place)]))
}

/// The parameters of [`Table::update_counters`].
pub(crate) fn counted<'r>(row: &'r Row, seal: &'r [u8], place: i64) -> impl Params + 'r {
    let start = [Cell::number(row.version), Cell::Blob(seal)];
    let counters = row.counters.iter().map(|value| Cell::number(*value));
    rusqlite::params_from_iter(start.into_iter().chain(counters).chain([Cell::Number(place)]))
}

fn content(row: &Row) -> impl Iterator<Item = Cell<'_>> {
    let start = [Cell::number(u64::from(row.schema)), Cell::Text(&row.body)];
    let index = row.index.iter().map(Cell::index);
    start.into_iter().chain(index).chain(row.counters.iter().map(|value| Cell::number(*value)))
}

/// A value on its way into a column, without copying.
pub(crate) enum Cell<'r> {
    Null,
    Number(i64),
    Text(&'r str),
    Blob(&'r [u8]),
}

impl<'r> Cell<'r> {
    /// Versions and counters are 63 bits by construction.
    fn number(value: u64) -> Self {
        Self::Number(i64::try_from(value).unwrap_or(i64::MAX))
    }

    pub(crate) fn index(value: &'r IndexValue) -> Self {
        match value {
            IndexValue::Null => Self::Null,
            IndexValue::Integer(number) => Self::Number(*number),
            IndexValue::Text(text) => Self::Text(text),
        }
    }
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        match self {
            Self::Null => Ok(Null.into()),
            Self::Number(number) => Ok(ToSqlOutput::Owned(Value::Integer(*number))),
            Self::Text(text) => Ok(ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes()))),
            Self::Blob(blob) => Ok(ToSqlOutput::Borrowed(ValueRef::Blob(blob))),
        }
    }
}

fn index_value(value: ValueRef<'_>) -> Option<IndexValue> {
    match value {
        ValueRef::Null => Some(IndexValue::Null),
        ValueRef::Integer(number) => Some(IndexValue::Integer(number)),
        ValueRef::Text(text) => Some(IndexValue::Text(std::str::from_utf8(text).ok()?.to_owned())),
        ValueRef::Real(_) | ValueRef::Blob(_) => None,
    }
}

pub(crate) fn index_column(name: &str) -> String {
    format!("{} ANY", quoted(name))
}

pub(crate) fn counter_column(name: &str) -> String {
    format!("{} INTEGER NOT NULL DEFAULT 0", quoted(name))
}

/// The name of a collection's index in the file.
pub(crate) fn index_name(spec: &CollectionSpec, index: &str) -> String {
    format!("{}__{index}", spec.name)
}

/// A checked name as an SQL identifier: words like `group` or `order` are fine as columns.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

fn check_names(spec: &'static CollectionSpec) -> Result<(), OpenError> {
    let fault = |why: String| OpenError::Declaration { name: spec.name.to_owned(), why };
    let plain = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    if !plain(spec.name) || spec.name.starts_with("store_") || spec.name.starts_with("sqlite") {
        return Err(fault("the name must be [a-z][a-z0-9_]* and not begin with store_ or sqlite".to_owned()));
    }
    if spec.schema == 0 {
        return Err(fault("schemas count from 1".to_owned()));
    }
    let mut seen = vec!["rowid", "key", "version", "schema", "body", "seal"];
    for name in spec.indexes.iter().map(|index| index.name).chain(spec.counters.iter().copied()) {
        if !plain(name) || seen.contains(&name) {
            return Err(fault(format!("the column {name} is reserved, repeated or not [a-z][a-z0-9_]*")));
        }
        seen.push(name);
    }
    Ok(())
}

/// Columns before the index values in what is read.
const READ: usize = 6;
/// Columns before the index values in what is inserted.
const WRITTEN: usize = 5;
