//! How a store is opened, and why it could not be.
//!
//! The one rule: a store that is held, newer, another box's or damaged is refused with a
//! sentence that says what to do; it is never opened as if it were empty.

use std::path::PathBuf;

use super::report::BackupError;
use super::seal::SealKey;
use crate::base::clock::Clock;
use crate::base::entropy::Entropy;

/// Where the store is and how it is kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// The store's own directory; made when missing, with mode 0700.
    pub dir: PathBuf,
    /// The key of keyed seals.
    pub seal_key: SealKey,
    /// Tells when events were committed.
    pub clock: Clock,
    /// Gives a new store its id.
    pub entropy: Entropy,
    /// Units that may wait for the writer; more are refused as `Full`.
    pub queue: usize,
    /// Octets kept in reserve on the disk so that a full one can still be opened; 0 for none.
    pub ballast: u64,
}

impl Options {
    /// The usual options for a store in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, seal_key: SealKey, clock: Clock, entropy: Entropy) -> Self {
        Self { dir: dir.into(), seal_key, clock, entropy, queue: QUEUE, ballast: BALLAST }
    }
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has the store open.
    #[error("the store {} is held by process {pid}; stop it first", dir.display())]
    Held {
        /// The store's directory.
        dir: PathBuf,
        /// Who holds it; 0 when it did not say.
        pid: u32,
    },
    /// A file or directory could not be made, read or locked.
    #[error("cannot {doing} {}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The engine refused.
    #[error("cannot {doing} the store: {why}")]
    Engine {
        /// What was attempted.
        doing: &'static str,
        /// The engine's words.
        why: String,
    },
    /// The engine is older than the one this program was proven with.
    #[error("SQLite {found} is too old: at least 3.51.3 is needed, older ones can corrupt a store")]
    EngineTooOld {
        /// What is linked.
        found: String,
    },
    /// The file or one of its collections was written by a newer program.
    #[error("the store was written by a newer program ({what}); install that version or restore a backup")]
    Newer {
        /// What is newer.
        what: String,
    },
    /// The file is not ours.
    #[error("{} is not a store of this program", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// There was a store here, and its file is gone.
    #[error("the store's file {} is gone although a store was here; restore a backup", path.display())]
    Vanished {
        /// The file.
        path: PathBuf,
    },
    /// The store was sealed with another key.
    #[error("the store was sealed with key {found}, this box has key {ours}; restore it as a backup instead")]
    OtherKey {
        /// The id of the key it was sealed with.
        found: String,
        /// The id of this box's key.
        ours: String,
    },
    /// The engine's own check found damage that rebuilding indexes does not cure.
    #[error("the store is damaged ({what}); restore a backup")]
    Damaged {
        /// The first findings.
        what: String,
    },
    /// A collection is declared in a way no engine can keep: our fault.
    #[error("the collection {name} is declared wrongly: {why}")]
    Declaration {
        /// Which collection.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// An old record could not be brought forward.
    #[error("the record {collection}/{key} could not be upgraded: {why}")]
    Upgrade {
        /// Whose record.
        collection: String,
        /// Which record.
        key: String,
        /// What was not understood.
        why: String,
    },
    /// The backup that must precede an upgrade failed.
    #[error("no backup could be taken before the upgrade, so it was not begun")]
    Backup(#[source] Box<BackupError>),
}

/// Units that may wait: about 40 batches, or a second or two of a storm on a slow disk, at a few
/// hundred octets each.
pub const QUEUE: usize = 16_384;
/// Reserve on the disk: room for the write-ahead log of a clean-up.
pub const BALLAST: u64 = 16 << 20;
