//! The operator's own words for messages, read at start from a folder of Fluent files.

use std::path::{Path, PathBuf};

use crate::notify::{PhraseFault, PhraseFile, Phrases};

/// Why the words cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// The folder, or a file in it.
    #[error("{} (notify.languages) cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// More files than languages.
    #[error("{} (notify.languages) holds more than {MOST_FILES} files", path.display())]
    TooMany {
        /// Which.
        path: PathBuf,
    },
    /// What is wrong in them.
    #[error("the words in {} are wrong: {}", path.display(), told(faults))]
    Wrong {
        /// The folder.
        path: PathBuf,
        /// Everything that is.
        faults: Vec<PhraseFault>,
    },
}

/// The words in the program with those in the folder over them; a folder that is not there has none.
pub(super) fn read(folder: &Path) -> Result<Phrases, WordsError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| WordsError::Unreadable { path, source }
    };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Phrases::built_in()),
        Err(error) => return Err(unreadable(folder)(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable(folder))?.path();
        if path.extension().is_none_or(|extension| extension != "ftl") {
            continue;
        }
        if files.len() >= MOST_FILES {
            return Err(WordsError::TooMany { path: folder.to_owned() });
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let size = std::fs::metadata(&path).map_err(unreadable(&path))?.len();
        if size > MOST_OCTETS {
            let source = std::io::Error::other("the file is too large to be one of words");
            return Err(WordsError::Unreadable { path, source });
        }
        let text = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
        files.push(PhraseFile { name, text });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Phrases::with(&files).map_err(|faults| WordsError::Wrong { path: folder.to_owned(), faults })
}

fn told(faults: &[PhraseFault]) -> String {
    let lines: Vec<String> = faults.iter().take(MOST_TOLD).map(ToString::to_string).collect();
    lines.join("; ")
}

/// More languages than a site speaks.
const MOST_FILES: usize = 64;
/// Ours have some ten thousand.
const MOST_OCTETS: u64 = 256 * 1024;
/// Faults in one sentence.
const MOST_TOLD: usize = 10;
