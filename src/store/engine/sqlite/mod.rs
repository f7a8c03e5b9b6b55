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
use crate::store::report::Report;

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod connection;
pub(crate) mod layout;
pub(crate) mod pool;
pub(crate) mod read;
pub(crate) mod rebuild;
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
    let connection = sound(connection, options, path, tables, damage)?;
    layout::bring_forward(&connection, options, tables)?;
    Ok(connection)
}

/// Looks at everything before anything is served: damaged records are named; a file whose
/// structure is damaged is rebuilt from its sound records, or refused.
fn sound(
    connection: Connection,
    options: &Options,
    path: &Path,
    tables: &[Table],
    damage: &DamageList,
) -> Result<Connection, OpenError> {
    let fault = opening("check");
    if std::fs::metadata(path).is_ok_and(|file| file.len() > CHECKED_OCTETS) {
        return Ok(connection);
    }
    let key = &options.seal_key;
    // A broken page ends the walk over the records too: its words are then the findings.
    let (report, findings) = match check::examine(&connection, key) {
        Ok(report) => {
            let findings = (!report.engine.is_empty()).then(|| report.findings());
            (report, findings)
        }
        Err(error) if connection::is_corrupt(&error) => (Report::default(), Some(error.to_string())),
        Err(error) => return Err(fault(error)),
    };
    if let Some(findings) = findings {
        let connection = renew(connection, options, path, tables, &findings)?;
        let report = check::examine(&connection, key).map_err(&fault)?;
        return accept(&report, damage).map(|()| connection);
    }
    for missing in report.missing.iter().filter(|missing| missing.written.is_none()) {
        // The rows are sound, only their count is not: it is taken from them.
        tally::recount(&connection, key, &missing.collection, missing.found).map_err(&fault)?;
    }
    accept(&report, damage).map(|()| connection)
}

fn accept(report: &Report, damage: &DamageList) -> Result<(), OpenError> {
    if !report.engine.is_empty() || report.missing.iter().any(|missing| missing.written.is_some()) {
        return Err(OpenError::Damaged { what: report.findings() });
    }
    for one in &report.damaged {
        damage.add(&one.collection, &one.key, &one.why);
    }
    Ok(())
}

/// Replaces a damaged file by one with its sound records; the damaged one is kept aside.
fn renew(
    damaged: Connection,
    options: &Options,
    path: &Path,
    tables: &[Table],
    findings: &str,
) -> Result<Connection, OpenError> {
    let refused = |why: String| OpenError::Damaged { what: format!("{findings}; not rebuilt: {why}") };
    let target = files::with_suffix(path, ".rebuilt");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(files::with_suffix(&target, suffix));
    }
    let result = files::create_new(&target, b"")
        .map_err(|error| error.to_string())
        .and_then(|()| rebuild::rebuild(&damaged, &target, tables, &options.seal_key));
    drop(damaged);
    if let Err(why) = result {
        for suffix in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(files::with_suffix(&target, suffix));
        }
        return Err(refused(why));
    }
    let aside = options.dir.join(format!("damaged-{}", options.clock.now().as_millisecond()));
    backup::set_aside(path, &aside).map_err(|error| refused(error.to_string()))?;
    std::fs::rename(&target, path)
        .and_then(|()| files::sync_dir(&options.dir))
        .map_err(|error| refused(error.to_string()))?;
    tracing::error!(findings, "the store's file was damaged and has been rebuilt from its sound records");
    connection::writing(path).map_err(opening("open"))
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
