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

pub(crate) mod connection;
pub(crate) mod layout;
pub(crate) mod pool;
pub(crate) mod read;
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
    let connection = ready(options, &path, &tables, &mut ballast)?;
    ballast.restore();

    let (tables, damage) = (Arc::new(tables), DamageList::default());
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
    layout::extend(&connection, tables)?;
    Ok(connection)
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
/// Reading threads: hot reads do not come here, so two keep one slow scan from blocking the rest.
const READERS: usize = 2;
