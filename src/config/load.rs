//! The rim: the only place that reads the configuration file and the process's environment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::fault::{Fault, position};
use super::reader::Origin;
use super::reference::{SecretRef, guarded};
use super::{Config, parse};

/// A file larger than this was not written by a person for this program.
pub const MAX_FILE_OCTETS: u64 = 1024 * 1024;

/// Reads, checks and explains the configuration file at `path`, and looks at the permissions of
/// it and of each file that it names for a secret.
///
/// # Errors
/// Every fault that was found; never empty.
pub fn load(path: &Path) -> Result<Config, Vec<Fault>> {
    let text = read(path).map_err(|fault| vec![fault])?;
    let (text, mode) = text;
    let mut faults = Vec::new();
    if mode & 0o022 != 0 {
        faults.push(whole_file(
            path,
            format!("the file may be written by more than its owner (mode {:04o})", mode & 0o7777),
            format!("run: chmod go-w {}", path.display()),
        ));
    }
    match parse(&text, path) {
        Ok(config) => {
            faults.extend(open_secrets(&config, path, &text));
            if faults.is_empty() { Ok(config) } else { Err(faults) }
        }
        Err(found) => {
            faults.extend(found);
            Err(faults)
        }
    }
}

fn read(path: &Path) -> Result<(String, u32), Fault> {
    let unreadable = |error: std::io::Error| {
        let remedy = "give the path with --config, or copy the annotated example there";
        whole_file(path, format!("the file cannot be read: {error}"), remedy.to_owned())
    };
    let file = File::open(path).map_err(unreadable)?;
    let mode = file.metadata().map_err(unreadable)?.mode();
    let mut octets = Vec::new();
    file.take(MAX_FILE_OCTETS + 1).read_to_end(&mut octets).map_err(unreadable)?;
    if u64::try_from(octets.len()).unwrap_or(u64::MAX) > MAX_FILE_OCTETS {
        return Err(whole_file(
            path,
            format!("the file is larger than {MAX_FILE_OCTETS} octets"),
            "check that it is the configuration file".to_owned(),
        ));
    }
    match String::from_utf8(octets) {
        Ok(text) => Ok((text, mode)),
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(error.as_bytes());
            let (line, column) = position(&text, good);
            let mut fault =
                whole_file(path, "the text is not UTF-8".to_owned(), "save the file as UTF-8".to_owned());
            (fault.line, fault.column) = (line, column);
            Err(fault)
        }
    }
}

/// A fault for each file of a secret that others may read.
fn open_secrets(config: &Config, path: &Path, text: &str) -> Vec<Fault> {
    let references = [("secrets.key", &config.secrets.key)];
    let mut faults = Vec::new();
    for (key, reference) in references {
        let SecretRef::File(file) = reference else { continue };
        let Err(error) = guarded(file) else { continue };
        let (problem, remedy) = match error.to_string().split_once("; ") {
            Some((problem, remedy)) => (problem.to_owned(), remedy.to_owned()),
            None => (error.to_string(), "check the path and the rights of its folders".to_owned()),
        };
        let mut fault = whole_file(path, problem, remedy);
        key.clone_into(&mut fault.key);
        (fault.line, fault.column) = written_at(config, key, text);
        faults.push(fault);
    }
    faults
}

fn written_at(config: &Config, key: &str, text: &str) -> (usize, usize) {
    let origin = config.effective().iter().find(|setting| setting.key == key).map(|setting| setting.origin);
    match origin {
        Some(Origin::File { line }) => {
            let written = text.lines().nth(line - 1).unwrap_or("");
            (line, written.chars().take_while(|symbol| symbol.is_whitespace()).count() + 1)
        }
        Some(Origin::Default) | None => (0, 0),
    }
}

fn whole_file(path: &Path, problem: String, remedy: String) -> Fault {
    Fault { file: path.to_owned(), line: 0, column: 0, key: String::new(), problem, remedy }
}

/// What the process was started with; nothing else in the program asks.
#[derive(Clone, Debug)]
pub enum Environment {
    /// The real one.
    Process,
    /// A fixed one, for tests.
    Fixed(BTreeMap<String, String>),
}

impl Environment {
    /// An environment of these variables alone.
    #[must_use]
    pub fn fixed<const N: usize>(variables: [(&str, &str); N]) -> Self {
        Self::Fixed(variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// True where systemd connected standard error to the journal.
    #[must_use]
    pub fn logs_to_journal(&self) -> bool {
        self.variable("JOURNAL_STREAM").is_some()
    }

    pub(super) fn credentials(&self) -> Option<PathBuf> {
        self.variable("CREDENTIALS_DIRECTORY").map(PathBuf::from)
    }

    #[expect(clippy::disallowed_methods, reason = "configuration's rim is the one place that may ask")]
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match self {
            Self::Process => std::env::var(name).ok(),
            Self::Fixed(variables) => variables.get(name).cloned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const GOOD: &str = "[site]\ntimezone = \"Africa/Lagos\"\ncurrency = \"NGN\"\n";

    fn file(mode: u32, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("edge.toml");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_that_others_may_write_is_refused_with_the_command_that_mends_it() {
        let (_dir, path) = file(0o664, GOOD.as_bytes());
        let faults = load(&path).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].remedy.starts_with("run: chmod go-w "));
        let (_dir, path) = file(0o644, GOOD.as_bytes());
        assert!(load(&path).is_ok());
    }

    #[test]
    fn a_missing_a_huge_and_a_garbled_file_are_each_named() {
        let missing = load(Path::new("/nonexistent/edge.toml")).unwrap_err();
        assert!(missing[0].problem.contains("cannot be read"));
        let (_dir, path) = file(0o600, &vec![b'#'; 1_048_577]);
        assert!(load(&path).unwrap_err()[0].problem.contains("larger than"));
        let (_dir, path) = file(0o600, b"[site]\nname = \"\xff\"\n");
        let garbled = load(&path).unwrap_err();
        assert_eq!((garbled[0].line, garbled[0].column), (2, 9));
    }

    #[test]
    fn a_readable_secret_file_is_a_fault_at_the_line_that_names_it() {
        let (_secret_dir, secret) = file(0o644, b"x");
        let text = format!("{GOOD}[secrets]\nkey = \"file:{}\"\n", secret.display());
        let (_dir, path) = file(0o600, text.as_bytes());
        let faults = load(&path).unwrap_err();
        assert_eq!((faults[0].line, faults[0].key.as_str()), (5, "secrets.key"));
        assert_eq!(faults[0].remedy, format!("run: chmod 600 {}", secret.display()));
    }
}
