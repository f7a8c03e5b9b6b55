//! Backups: taken from a running store, verified on the copy, restored beside the old one.
//!
//! The one rule: a backup exists only once its copy was checked whole; until then the last good
//! one stays.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use sha2::{Digest, Sha256};

use super::check::{self, named};
use super::read::{CHANGES_NAME, seal_change};
use super::shape::Shape;
use super::table::quoted;
use super::{connection, file_in, layout, tally};
use crate::store::contract::SealKind;
use crate::store::files::{self, Hold, with_suffix};
use crate::store::report::{BackupError, Manifest, Restored};
use crate::store::seal::SealKey;

/// Copies the store that `source` reads to `target`, checks the copy, then puts it in place.
pub(crate) fn take(
    source: &Connection,
    target: &Path,
    key: &SealKey,
    now_millis: i64,
) -> Result<Manifest, BackupError> {
    let partial = with_suffix(target, ".partial");
    let result = copy(source, &partial)
        .and_then(|()| describe(&partial, key, now_millis))
        .and_then(|manifest| publish(&partial, target, &manifest).map(|()| manifest));
    if result.is_err() {
        let _ = std::fs::remove_file(&partial);
    }
    result
}

fn copy(source: &Connection, partial: &Path) -> Result<(), BackupError> {
    let _ = std::fs::remove_file(partial);
    files::create_new(partial, b"").map_err(file("make", partial))?;
    // One read transaction around the copy: commits meanwhile do not start it over.
    let snapshot = source.unchecked_transaction().map_err(engine("read the store"))?;
    snapshot.query_row("SELECT 1 FROM sqlite_schema", [], |_| Ok(())).map_err(engine("read the store"))?;
    let mut copy = open(partial).map_err(engine("open the copy"))?;
    {
        let backup = Backup::new(&snapshot, &mut copy).map_err(engine("copy the store"))?;
        let step = backup.step(-1).map_err(engine("copy the store"))?;
        if step != StepResult::Done {
            return Err(BackupError::Engine { doing: "copy the store", why: format!("{step:?}") });
        }
    }
    // A backup is one file.
    copy.pragma_update(None, "journal_mode", "DELETE").map_err(engine("close the copy"))?;
    copy.close().map_err(|(_, error)| engine("close the copy")(error))?;
    File::open(partial).and_then(|copy| copy.sync_all()).map_err(file("sync", partial))
}

/// Checks a copy whole and says what it holds.
fn describe(path: &Path, key: &SealKey, taken_at_millis: i64) -> Result<Manifest, BackupError> {
    let copy = open(path).map_err(engine("open the copy"))?;
    let report = check::examine(&copy, key).map_err(engine("check the copy"))?;
    if !report.is_sound() {
        return Err(BackupError::Unsound(report.findings()));
    }
    let value = |name| layout::value(&copy, name).map(Option::unwrap_or_default);
    let store_id = value("store_id").map_err(engine("read the copy"))?;
    let key_id = value("key_id").map_err(engine("read the copy"))?;
    let format =
        copy.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(engine("read the copy"))?;
    let (octets, sha256) = digest(path).map_err(file("read", path))?;
    let (seq, records) = (report.seq, report.records);
    Ok(Manifest { format, store_id, key_id, taken_at_millis, seq, records, octets, sha256 })
}

fn publish(partial: &Path, target: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let text = serde_json::to_vec_pretty(manifest)
        .map_err(|error| BackupError::Engine { doing: "write the manifest", why: error.to_string() })?;
    std::fs::rename(partial, target).map_err(file("rename to", target))?;
    let beside = manifest_of(target);
    files::replace(&beside, &text).map_err(file("write", &beside))
}

/// The manifest of a backup, after the file was compared with it.
pub(crate) fn vouched(backup: &Path) -> Result<Manifest, BackupError> {
    let beside = manifest_of(backup);
    let missing = || BackupError::NoManifest { path: backup.to_owned() };
    let text = std::fs::read(beside).map_err(|_| missing())?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|_| missing())?;
    if manifest.format > layout::FORMAT {
        return Err(BackupError::Newer { format: manifest.format, known: layout::FORMAT });
    }
    let (octets, sha256) = digest(backup).map_err(file("read", backup))?;
    if (octets, &sha256) != (manifest.octets, &manifest.sha256) {
        return Err(BackupError::Altered { path: backup.to_owned() });
    }
    Ok(manifest)
}

/// Puts a verified backup in the place of the store in `dir`, which is kept aside.
pub(crate) fn restore(
    backup: &Path,
    dir: &Path,
    key: &SealKey,
    now_millis: i64,
) -> Result<Restored, BackupError> {
    files::make_dir(dir).map_err(file("make", dir))?;
    let _hold = Hold::take(dir).map_err(|error| BackupError::Target(Box::new(error)))?;
    let manifest = vouched(backup)?;
    let store = file_in(dir);
    let partial = with_suffix(&store, ".restoring");
    let (other_key, secrets_lost) = match prepare(backup, &partial, key, &manifest) {
        Ok(prepared) => prepared,
        Err(error) => {
            let _ = std::fs::remove_file(&partial);
            return Err(error);
        }
    };
    let aside = set_aside(&store, &dir.join(format!("aside-{now_millis}")))?;
    std::fs::rename(&partial, &store).map_err(file("rename to", &store))?;
    let mark = dir.join(layout::MARK);
    files::replace(&mark, format!("{}\n", manifest.store_id).as_bytes()).map_err(file("mark", &mark))?;
    Ok(Restored { manifest, aside, other_key, secrets_lost })
}

type Prepared = (Option<String>, BTreeMap<String, u64>);

/// Copies the backup to where it will be renamed from, and makes it this box's own.
fn prepare(
    backup: &Path,
    partial: &Path,
    key: &SealKey,
    manifest: &Manifest,
) -> Result<Prepared, BackupError> {
    let _ = std::fs::remove_file(partial);
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(partial)
        .map_err(file("make", partial))?;
    File::open(backup)
        .and_then(|mut source| io::copy(&mut source, &mut target))
        .and_then(|_| target.sync_all())
        .map_err(file("copy to", partial))?;
    drop(target);
    let copy = open(partial).map_err(engine("open the copy"))?;
    let ours = manifest.key_id == key.id();
    let mut lost = BTreeMap::new();
    if !ours {
        // The other box's key is not here, so its seals cannot be checked: the manifest's digest
        // vouches for the file, and the records are sealed anew.
        lost = sealed_secrets(&copy).map_err(engine("count sealed secrets"))?;
        adopt(&copy, key).map_err(engine("seal the records anew"))?;
    }
    let report = check::examine(&copy, key).map_err(engine("check the copy"))?;
    if !report.is_sound() {
        return Err(BackupError::Unsound(report.findings()));
    }
    copy.close().map_err(|(_, error)| engine("close the copy")(error))?;
    File::open(partial).and_then(|copy| copy.sync_all()).map_err(file("sync", partial))?;
    Ok(((!ours).then(|| manifest.key_id.clone()), lost))
}

/// Seals everything with this box's key.
fn adopt(copy: &Connection, key: &SealKey) -> rusqlite::Result<()> {
    let transaction = copy.unchecked_transaction()?;
    let shapes = Shape::all(&transaction)?;
    for shape in shapes.iter().filter(|shape| shape.seal == SealKind::Keyed) {
        let mut update =
            transaction.prepare(&format!("UPDATE {} SET seal = ?1 WHERE rowid = ?2", quoted(&shape.name)))?;
        let mut statement = transaction.prepare(&shape.select())?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let one = shape.read_unsealed(row).ok_or_else(|| unreadable(&shape.name, &named(row)))?;
            let seal = key.seal((&shape.name, shape.seal), &one.key, &one.row);
            update.execute((seal.octets(), one.row.place))?;
        }
    }
    let mut update = transaction.prepare("UPDATE store_changes SET seal = ?1 WHERE seq = ?2")?;
    let mut statement =
        transaction.prepare("SELECT seq, at_millis, kind, subject, payload FROM store_changes")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (seq, at): (i64, i64) = (row.get(0)?, row.get(1)?);
        let texts: (String, String, String) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let number = u64::try_from(seq).map_err(|_| unreadable(CHANGES_NAME, &seq.to_string()))?;
        let seal = seal_change(key, number, at, [&texts.0, &texts.1, &texts.2]);
        update.execute((seal.octets(), seq))?;
    }
    tally::seal_all(&transaction, key)?;
    transaction.execute("UPDATE store_meta SET value = ?1 WHERE name = 'key_id'", [key.id()])?;
    drop((update, rows));
    drop(statement);
    transaction.commit()
}

fn unreadable(collection: &str, key: &str) -> rusqlite::Error {
    rusqlite::Error::InvalidParameterName(format!("{collection}/{key} cannot be read"))
}

/// How many records of each collection hold secrets sealed by the box that took the backup.
fn sealed_secrets(copy: &Connection) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut found = BTreeMap::new();
    for shape in Shape::all(copy)? {
        // Every sealed secret is a JSON text that begins so; see `vault`.
        let sql = format!("SELECT count(*) FROM {} WHERE instr(body, '\"seal') > 0", quoted(&shape.name));
        let count: i64 = copy.query_row(&sql, [], |row| row.get(0))?;
        if count > 0 {
            found.insert(shape.name, u64::try_from(count).unwrap_or(0));
        }
    }
    Ok(found)
}

/// Moves a store's file and its log to `aside`, together.
pub(super) fn set_aside(store: &Path, aside: &Path) -> Result<Option<PathBuf>, BackupError> {
    if !store.exists() {
        return Ok(None);
    }
    files::make_dir(aside).map_err(file("make", aside))?;
    // The log goes first: a crash between the two leaves the file without its log's tail in
    // place, and both halves in known places.
    for suffix in ["-wal", "-shm", ""] {
        let from = with_suffix(store, suffix);
        let Some(name) = from.file_name().map(ToOwned::to_owned) else { continue };
        match std::fs::rename(&from, aside.join(name)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(BackupError::File { doing: "set aside", path: from, source }),
        }
    }
    files::sync_dir(aside).map_err(file("sync", aside))?;
    Ok(Some(aside.to_owned()))
}

/// A backup's file: no log beside it, and nobody else uses it.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copy = Connection::open_with_flags(path, flags)?;
    connection::common(&copy)?;
    copy.pragma_update(None, "synchronous", "FULL")?;
    Ok(copy)
}

fn digest(path: &Path) -> io::Result<(u64, String)> {
    let (mut file, mut digest) = (File::open(path)?, Sha256::new());
    let (mut buffer, mut octets) = (vec![0u8; CHUNK], 0u64);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else { break };
        digest.update(part);
        octets = octets.saturating_add(u64::try_from(read).unwrap_or(0));
    }
    Ok((octets, digest.finalize().iter().map(|octet| format!("{octet:02x}")).collect()))
}

fn manifest_of(backup: &Path) -> PathBuf {
    with_suffix(backup, ".manifest")
}

fn file<'p>(doing: &'static str, path: &'p Path) -> impl FnOnce(io::Error) -> BackupError + 'p {
    move |source| BackupError::File { doing, path: path.to_owned(), source }
}

fn engine(doing: &'static str) -> impl Fn(rusqlite::Error) -> BackupError {
    move |error| BackupError::Engine { doing, why: error.to_string() }
}

/// Octets read at a time.
const CHUNK: usize = 64 << 10;
