//! Files as a store needs them: made with tight modes, made durable, held by one process.
//!
//! Nothing of records is known here. The one rule: a file counts as made only after its
//! directory was synced too.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

use super::options::OpenError;

/// Makes a directory with mode 0700 unless it is there.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
}

/// Makes a new file with mode 0600 and these contents, durably; refuses to replace one.
pub(crate) fn create_new(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(contents)?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Replaces a file's contents as a whole: written beside it, synced, renamed.
pub(crate) fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let beside = with_suffix(path, ".partial");
    let _ = std::fs::remove_file(&beside);
    create_new(&beside, contents)?;
    std::fs::rename(&beside, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// `path` with `suffix` after its last name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Proof that this process alone has the store open; given back when dropped.
#[derive(Debug)]
pub(crate) struct Hold {
    _lock: Flock<File>,
}

impl Hold {
    /// Takes hold of the store in `dir`.
    ///
    /// # Errors
    /// [`OpenError::Held`] with the holder's process id.
    pub(crate) fn take(dir: &Path) -> Result<Self, OpenError> {
        let path = dir.join(LOCK_FILE);
        let fault = |source| OpenError::File { doing: "lock", path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(fault)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut lock) => {
                // The id is only for the message of whoever comes second: a full disk is no reason
                // to stay closed.
                let _ = sign(&mut lock);
                Ok(Self { _lock: lock })
            }
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                let _ = file.read_to_string(&mut text);
                Err(OpenError::Held { dir: dir.to_owned(), pid: text.trim().parse().unwrap_or(0) })
            }
            Err((_, errno)) => Err(fault(errno.into())),
        }
    }
}

fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(format!("{}\n", std::process::id()).as_bytes())
}

#[allow(clippy::useless_conversion, reason = "these numbers are narrower on 32-bit machines")]
/// Octets that an ordinary write may still use on the file system of `path`.
pub(crate) fn free_octets(path: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(path).ok()?;
    Some(u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size())))
}

const LOCK_FILE: &str = "store.lock";

/// Room kept in reserve, so that a store on a full disk can still be opened and cleaned up.
#[derive(Debug)]
pub(crate) struct Ballast {
    dir: PathBuf,
    octets: u64,
}

impl Ballast {
    pub(crate) fn new(dir: &Path, octets: u64) -> Self {
        Self { dir: dir.to_owned(), octets }
    }

    /// Whether the file system has no room for an ordinary write.
    pub(crate) fn no_room(&self) -> bool {
        free_octets(&self.dir).is_some_and(|free| free < NO_ROOM)
    }

    /// Gives the reserve up; false when there was none.
    pub(crate) fn release(&mut self) -> bool {
        std::fs::remove_file(self.path()).is_ok()
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.octets > 0 && !self.path().exists()
    }

    /// Sets the reserve aside again when there is room for it twice over.
    pub(crate) fn restore(&mut self) {
        let room = free_octets(&self.dir).is_some_and(|free| free / 3 > self.octets);
        if self.is_missing() && room && self.fill().is_err() {
            let _ = std::fs::remove_file(self.path());
        }
    }

    fn fill(&self) -> io::Result<()> {
        let path = self.path();
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let length = i64::try_from(self.octets).unwrap_or(i64::MAX);
        let how = nix::fcntl::FallocateFlags::empty();
        nix::fcntl::fallocate(&file, how, 0, length)?;
        file.sync_all()
    }

    fn path(&self) -> PathBuf {
        self.dir.join("ballast")
    }
}

/// Fewer free octets than this is a full disk: less than one batch's log.
const NO_ROOM: u64 = 256 << 10;
