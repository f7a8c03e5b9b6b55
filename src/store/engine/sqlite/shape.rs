//! The shape in which a collection is kept, as the file itself tells it.
//!
//! A file describes its own collections, so that it can be checked, backed up and brought forward
//! by a program that declares them otherwise. The one rule: a row is read with the shape it was
//! written in.

use rusqlite::{Connection, Row as SqlRow};

use super::table::{Table, quoted, read_columns};
use crate::store::contract::{CollectionSpec, SealKind};
use crate::store::record::Keyed;
use crate::store::seal::SealKey;

/// One collection as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: String,
    pub(crate) schema: u16,
    pub(crate) seal: SealKind,
    /// Index columns; unique ones begin with `+`.
    indexes: Vec<String>,
    pub(crate) counters: Vec<String>,
}

impl Shape {
    /// The shape that the program declares.
    pub(crate) fn of(spec: &CollectionSpec) -> Self {
        let mark = |unique: bool| if unique { "+" } else { "" };
        Self {
            name: spec.name.to_owned(),
            schema: spec.schema,
            seal: spec.seal,
            indexes: spec.indexes.iter().map(|one| format!("{}{}", mark(one.unique), one.name)).collect(),
            counters: spec.counters.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    /// The shapes of every collection in the file.
    pub(crate) fn all(connection: &Connection) -> rusqlite::Result<Vec<Self>> {
        let mut statement = connection
            .prepare("SELECT collection, schema, declared FROM store_layout ORDER BY collection")?;
        let rows = statement.query_map([], |row| {
            let (name, declared): (String, String) = (row.get(0)?, row.get(2)?);
            Self::parse(name, row.get(1)?, &declared).ok_or(rusqlite::Error::InvalidQuery)
        })?;
        rows.collect()
    }

    /// Notes this shape in the file.
    pub(crate) fn note(&self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "INSERT INTO store_layout (collection, schema, declared) VALUES (?1, ?2, ?3) \
                   ON CONFLICT (collection) DO UPDATE SET schema = excluded.schema, declared = excluded.declared";
        connection.execute(sql, (&self.name, self.schema, self.declared())).map(|_| ())
    }

    fn declared(&self) -> String {
        let seal = match self.seal {
            SealKind::Checksum => "checksum",
            SealKind::Keyed => "keyed",
        };
        format!("{seal}|{}|{}", self.indexes.join(","), self.counters.join(","))
    }

    fn parse(name: String, schema: u16, declared: &str) -> Option<Self> {
        let mut parts = declared.split('|');
        let seal = match parts.next()? {
            "checksum" => SealKind::Checksum,
            "keyed" => SealKind::Keyed,
            _ => return None,
        };
        let list = |text: &str| text.split(',').filter(|one| !one.is_empty()).map(str::to_owned).collect();
        let (indexes, counters) = (list(parts.next()?), list(parts.next()?));
        Some(Self { name, schema, seal, indexes, counters })
    }

    /// `SELECT` of whole records as they are kept, to be followed by a condition.
    pub(crate) fn select(&self) -> String {
        let mut columns = "rowid, key, version, schema, body, seal".to_owned();
        for column in self.index_columns().chain(self.counters.iter().map(String::as_str)) {
            columns.push_str(", ");
            columns.push_str(&quoted(column));
        }
        format!("SELECT {columns} FROM {}", quoted(&self.name))
    }

    pub(crate) fn index_columns(&self) -> impl Iterator<Item = &str> {
        self.indexes.iter().map(|name| name.trim_start_matches('+'))
    }

    /// Reads a record from a row of [`Shape::select`]; `None` when it is not what was sealed.
    pub(crate) fn read(&self, key: &SealKey, row: &SqlRow<'_>) -> Option<Keyed> {
        let found = self.read_unsealed(row)?;
        let seal = row.get_ref(5).ok()?.as_blob().ok()?;
        key.fits((&self.name, self.seal), &found.key, &found.row, seal).then_some(found)
    }

    /// Reads a record without looking at its seal.
    pub(crate) fn read_unsealed(&self, row: &SqlRow<'_>) -> Option<Keyed> {
        read_columns(row, self.indexes.len(), self.counters.len())
    }

    /// The counters of a record in this shape, in the order that `table` declares.
    pub(crate) fn counters_for(&self, table: &Table, kept: &[u64]) -> Vec<u64> {
        let find = |name: &&str| self.counters.iter().position(|one| one == name);
        let value = |name| find(name).and_then(|at| kept.get(at).copied()).unwrap_or(0);
        table.spec.counters.iter().map(value).collect()
    }
}
