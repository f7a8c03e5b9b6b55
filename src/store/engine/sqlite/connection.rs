//! Connections in the one profile that was proven against power cuts, and the engine's answers in
//! our words.
//!
//! The one rule: every connection is opened here.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::store::contract::ReadError;
use crate::store::engine::EngineFault;
use crate::store::options::OpenError;

/// A connection that may write; the file must exist.
pub(crate) fn writing(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    common(&connection)?;
    // Only a new, empty file takes this; it must come before the first table.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_LIMIT)?;
    // The writer checkpoints after it has answered, not within a commit.
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    Ok(connection)
}

/// A connection that cannot write.
pub(crate) fn reading(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    common(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    Ok(connection)
}

/// What every connection has in common.
pub(crate) fn common(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Refuses engines that could corrupt a file with several connections.
pub(crate) fn check_version() -> Result<(), OpenError> {
    if rusqlite::version_number() < PROVEN_VERSION {
        return Err(OpenError::EngineTooOld { found: rusqlite::version().to_owned() });
    }
    Ok(())
}

/// An engine's error while writing.
pub(crate) fn fault(error: &rusqlite::Error) -> EngineFault {
    if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
        return EngineFault::Full;
    }
    EngineFault::Io(error.to_string())
}

/// An engine's error while reading.
pub(crate) fn unreadable(error: &rusqlite::Error) -> ReadError {
    ReadError::Unavailable(error.to_string())
}

/// An engine's error while opening.
pub(crate) fn opening(doing: &'static str) -> impl Fn(rusqlite::Error) -> OpenError {
    move |error| {
        if is_corrupt(&error) {
            return OpenError::Damaged { what: format!("cannot {doing} it: {error}") };
        }
        OpenError::Engine { doing, why: error.to_string() }
    }
}

/// Whether the engine found the file's structure broken.
pub(crate) fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// 3.51.3: the first version without the write-ahead log's reset race.
const PROVEN_VERSION: i32 = 3_051_003;
/// How long a connection waits for another's lock; only recovery holds one that long.
const BUSY: Duration = Duration::from_secs(5);
/// Octets to which the write-ahead log is cut back after it was emptied.
const JOURNAL_LIMIT: i64 = 16 << 20;
/// The writer's page cache in KiB: the pages of a batch and the upper levels of every tree.
const WRITER_CACHE_KIB: i64 = 16 << 10;
/// A reader's page cache in KiB; hot reads do not come here.
const READER_CACHE_KIB: i64 = 8 << 10;
/// Prepared statements kept: about six a collection, and the scans in use.
const STATEMENTS: usize = 256;
