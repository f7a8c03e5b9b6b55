//! What a check, a backup and a restoration have to say.
//!
//! The one rule: whatever is wrong is named, so that an operator knows what to restore.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::options::OpenError;

/// The result of looking at everything in a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What the engine's own integrity check found; empty is good.
    pub engine: Vec<String>,
    /// Sound records by collection.
    pub records: BTreeMap<String, u64>,
    /// Records whose seal does not fit, and records known to be lost.
    pub damaged: Vec<Damaged>,
    /// Collections that do not hold as many records as were written to them.
    pub missing: Vec<Missing>,
    /// Sound events in the feed.
    pub events: u64,
    /// The feed's last position.
    pub seq: u64,
}

/// A record that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Damaged {
    /// Whose record.
    pub collection: String,
    /// Which record.
    pub key: String,
    /// What is wrong with it.
    pub why: String,
}

/// A collection with fewer or more rows than were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Which collection.
    pub collection: String,
    /// How many rows were written; `None` when the sealed count is itself damaged.
    pub written: Option<u64>,
    /// How many rows there are.
    pub found: u64,
}

impl Report {
    /// Whether everything is as it was written.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.engine.is_empty() && self.damaged.is_empty() && self.missing.is_empty()
    }

    /// The findings in a sentence, at most a few of them.
    #[must_use]
    pub fn findings(&self) -> String {
        let damaged = self.damaged.iter().map(|one| format!("{}/{}: {}", one.collection, one.key, one.why));
        let missing = self.missing.iter().map(|one| match one.written {
            Some(written) => format!("{} holds {} of {written} records", one.collection, one.found),
            None => format!("the count of {} is damaged", one.collection),
        });
        let all: Vec<_> = self.engine.iter().cloned().chain(damaged).chain(missing).collect();
        let more = all.len().saturating_sub(FINDINGS);
        let mut text = all.into_iter().take(FINDINGS).collect::<Vec<_>>().join("; ");
        if more > 0 {
            text.push_str(&format!("; and {more} more"));
        }
        text
    }
}

/// What a backup holds; kept beside it as `<backup>.manifest`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout of the file.
    pub format: i32,
    /// Which store it is of.
    pub store_id: String,
    /// The id of the key that the seals need; the key itself is in no backup.
    pub key_id: String,
    /// Unix milliseconds when it was taken.
    pub taken_at_millis: i64,
    /// The feed's last position in it.
    pub seq: u64,
    /// Records by collection.
    pub records: BTreeMap<String, u64>,
    /// Length of the file in octets.
    pub octets: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// What a restoration did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// What was restored.
    pub manifest: Manifest,
    /// Where the store that was there before is kept.
    pub aside: Option<PathBuf>,
    /// The id of the other box's key, when the backup was taken on another box.
    pub other_key: Option<String>,
    /// Sealed secrets, by collection, that this box cannot open: they must be entered again.
    pub secrets_lost: BTreeMap<String, u64>,
}

/// Why a backup could not be taken or not be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file could not be read or written.
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
    #[error("cannot {doing}: {why}")]
    Engine {
        /// What was attempted.
        doing: &'static str,
        /// The engine's words.
        why: String,
    },
    /// The copy is not sound; the last good backup was kept.
    #[error("the copy is not sound: {0}")]
    Unsound(String),
    /// The backup has no readable manifest, so nothing vouches for it.
    #[error("{} has no readable manifest beside it", path.display())]
    NoManifest {
        /// The backup.
        path: PathBuf,
    },
    /// The backup is not what was written.
    #[error("{} is damaged: it is not what its manifest says", path.display())]
    Altered {
        /// The backup.
        path: PathBuf,
    },
    /// The backup was written by a newer program.
    #[error("the backup has format {format}, this program knows up to {known}")]
    Newer {
        /// The backup's format.
        format: i32,
        /// What we know.
        known: i32,
    },
    /// The target is in use, or cannot be.
    #[error("cannot restore there")]
    Target(#[source] Box<OpenError>),
    /// This engine keeps nothing that could be backed up.
    #[error("a store in memory has no backups")]
    InMemory,
    /// The work did not finish.
    #[error("the backup was interrupted")]
    Interrupted,
}

/// Most findings spelt out in one sentence.
const FINDINGS: usize = 5;
