//! The engine on disk: SQLite in one file, one writer, a few readers.
//!
//! This file opens a store: hold it, recognise it, check it, bring it to the present layout, and
//! only then give out connections. The one rule: what cannot be recognised is refused, never
//! overwritten.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI32;

use rusqlite::Connection;

use self::connection::opening;
use self::pool::Pool;
use self::read::Reader;
use self::table::Table;
use self::tally::Tally;
use self::write::{Core, SqliteWriter};
use super::DamageList;
use crate::store::files::{self, Ballast, Hold};
use crate::store::options::{OpenError, Options};
use crate::store::record::Registration;

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod connection;
pub(crate) mod layout;
pub(crate) mod pool;
pub(crate) mod read;
pub(crate) mod shape;
pub(crate) mod table;
pub(crate) mod tally;
pub(crate) mod write;

/// An opened store.
pub(crate) struct Opened {
    pub(crate) writer: SqliteWriter,
    pub(crate) pool: Pool,
    pub(crate) damage: DamageList,
}

/// Opens the store in `options.dir`, making it when there never was one.
pub(crate) fn open(options: &Options, collections: &[Registration]) -> Result<Opened, OpenError> {
    connection::check_version()?;
    files::make_dir(&options.dir).map_err(|source| OpenError::File {
        doing: "make the directory",
        path: options.dir.clone(),
        source,
    })?;
    let hold = Arc::new(Hold::take(&options.dir)?);
    let path = options.dir.join(FILE);
    let tables = collections.iter().map(|one| Table::new(*one)).collect::<Result<Vec<_>, _>>()?;
    let mut ballast = Ballast::new(&options.dir, options.ballast);
    let damage = DamageList::default();
    let connection = ready(options, &path, &tables, &damage, &mut ballast)?;
    ballast.restore();

    let tables = Arc::new(tables);
    let tally = Tally::read(&connection, &tables).map_err(opening("count the records of"))?;
    let core = Core {
        tables: Arc::clone(&tables),
        seal_key: options.seal_key.clone(),
        damage: damage.clone(),
        tally,
    };
    let readers = (0..READERS).map(|_| reader(&path, &tables, options, &damage, &hold));
    let pool = Pool::start(readers.collect::<Result<Vec<_>, _>>()?)?;
    let mut writer = SqliteWriter {
        connection: None,
        path,
        core,
        ballast,
        log_pages: Arc::new(AtomicI32::new(0)),
        _hold: hold,
    };
    writer
        .adopt(connection)
        .map_err(|fault| OpenError::Engine { doing: "watch the log of", why: format!("{fault:?}") })?;
    Ok(Opened { writer, pool, damage })
}

/// A writing connection to a store that is ours, sound and of the present layout.
fn ready(
    options: &Options,
    path: &Path,
    tables: &[Table],
    damage: &DamageList,
    ballast: &mut Ballast,
) -> Result<Connection, OpenError> {
    layout::ensure_file(options, path)?;
    let connection = match connection::writing(path) {
        Ok(connection) => connection,
        // Recovery after a crash needs a little room: that is what the ballast is for.
        Err(_) if ballast.no_room() && ballast.release() => {
            connection::writing(path).map_err(opening("open"))?
        }
        Err(error) => return Err(opening("open")(error)),
    };
    layout::recognise(&connection, options, path)?;
    check_soundness(&connection, options, path, damage)?;
    layout::bring_forward(&connection, options, tables)?;
    Ok(connection)
}

/// Looks at everything before anything is served: damaged records are named, and a file whose
/// structure is damaged or which lost records is refused.
fn check_soundness(
    connection: &Connection,
    options: &Options,
    path: &Path,
    damage: &DamageList,
) -> Result<(), OpenError> {
    let fault = opening("check");
    if std::fs::metadata(path).is_ok_and(|file| file.len() > CHECKED_OCTETS) {
        return Ok(());
    }
    let report = check::examine(connection, &options.seal_key).map_err(&fault)?;
    for missing in report.missing.iter().filter(|missing| missing.written.is_none()) {
        // The rows are sound, only their count is not: it is taken from them.
        tally::recount(connection, &options.seal_key, &missing.collection, missing.found).map_err(&fault)?;
    }
    if !report.engine.is_empty() || report.missing.iter().any(|missing| missing.written.is_some()) {
        return Err(OpenError::Damaged { what: report.findings() });
    }
    for one in &report.damaged {
        damage.add(&one.collection, &one.key, &one.why);
    }
    Ok(())
}

fn reader(
    path: &Path,
    tables: &Arc<Vec<Table>>,
    options: &Options,
    damage: &DamageList,
    hold: &Arc<Hold>,
) -> Result<Reader, OpenError> {
    Ok(Reader {
        connection: connection::reading(path).map_err(opening("open a reader of"))?,
        tables: Arc::clone(tables),
        seal_key: options.seal_key.clone(),
        damage: damage.clone(),
        _hold: Some(Arc::clone(hold)),
    })
}

/// Whether a store was ever made in `dir`.
pub(crate) fn was_here(dir: &Path) -> bool {
    dir.join(layout::MARK).exists() || dir.join(FILE).exists()
}

/// The store's file within `dir`.
pub(crate) fn file_in(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

const FILE: &str = "store.db";
/// Files up to this size are checked whole while opening, which takes about a second; larger ones
/// are for [`super::super::Store::verify`] in the background.
const CHECKED_OCTETS: u64 = 256 << 20;
/// Reading threads: hot reads do not come here, so two keep one slow scan from blocking the rest.
const READERS: usize = 2;
