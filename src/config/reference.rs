//! Where a secret is kept. The configuration holds references only; a literal is refused, and is
//! not repeated in the refusal.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use toml::de::DeValue;
use zeroize::Zeroizing;

use super::fault::Wrong;
use super::kind::{Kind, quoted, text};
use super::load::Environment;
use crate::base::secret::Secret;

/// A place that holds one secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretRef {
    /// `file:/path`: a file that only its owner may read.
    File(PathBuf),
    /// `credential:NAME`: handed over by systemd (`LoadCredential=`).
    Credential(String),
    /// `env:NAME`: an environment variable; only in development, since children and dumps see it.
    Environment(String),
}

/// A secret could not be read; the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file, or the credential's file, cannot be read.
    #[error("the secret in {path} cannot be read")]
    Unreadable {
        /// What was tried.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// More than its owner may read the file.
    #[error("{path} is readable by more than its owner (mode {mode:04o}); run: chmod 600 {path}")]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Larger than any secret.
    #[error("{path} is larger than {MAX_SECRET_OCTETS} octets, so it is not a secret")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Nothing was handed over under this name.
    #[error("no credential {name}: add LoadCredential={name}:/path to the unit")]
    NoCredential {
        /// The name asked for.
        name: String,
    },
    /// The variable is not set.
    #[error("the environment variable {name} is not set")]
    NoVariable {
        /// The name asked for.
        name: String,
    },
    /// The secret does not have the form of a key.
    #[error("{place} holds no key: {expected}")]
    NotAKey {
        /// Where it came from.
        place: String,
        /// The form asked for.
        expected: &'static str,
    },
    /// A key is missing though something was sealed with it.
    #[error(
        "{path} is missing but the store has records sealed with it; bring the key back from where it was kept"
    )]
    KeyLost {
        /// Where the key should be.
        path: PathBuf,
    },
    /// A fresh key could not be written.
    #[error("a new key cannot be written to {path}")]
    NotWritten {
        /// Where to.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A fresh key could not be made.
    #[error("a new key cannot be made")]
    NoEntropy(#[from] crate::base::entropy::EntropyError),
}

impl SecretRef {
    /// The secret, without a closing line end.
    ///
    /// # Errors
    /// When it is missing, too large, or readable by others.
    pub fn resolve(&self, environment: &Environment) -> Result<Secret, SecretError> {
        match self {
            Self::File(path) => read_private(path, Access::OwnerOnly),
            Self::Credential(name) => {
                let missing = || SecretError::NoCredential { name: name.clone() };
                let path = environment.credentials().ok_or_else(missing)?.join(name);
                if !path.exists() {
                    return Err(missing());
                }
                // systemd guards the folder itself and may let the unit's group read.
                read_private(&path, Access::Any)
            }
            Self::Environment(name) => environment
                .variable(name)
                .map(|value| Secret::from_text(trimmed(&value)))
                .ok_or_else(|| SecretError::NoVariable { name: name.clone() }),
        }
    }

    fn parse(written: &str) -> Option<Self> {
        let (scheme, rest) = written.split_once(':')?;
        let name = |text: &str| {
            let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
            let safe = !text.is_empty() && !text.starts_with('.') && text.len() <= MAX_NAME_OCTETS;
            (safe && text.bytes().all(plain)).then(|| text.to_owned())
        };
        match scheme {
            "file" if Path::new(rest).is_absolute() => Some(Self::File(PathBuf::from(rest))),
            "credential" => name(rest).map(Self::Credential),
            "env" => name(rest).map(Self::Environment),
            _ => None,
        }
    }

    pub(super) fn place(&self) -> String {
        match self {
            Self::File(path) => format!("file:{}", path.display()),
            Self::Credential(name) => format!("credential:{name}"),
            Self::Environment(name) => format!("env:{name}"),
        }
    }
}

impl Kind for SecretRef {
    fn read(value: &DeValue<'_>) -> Result<Self, Wrong> {
        let remedy =
            "put the secret into a file of mode 0600 and write \"file:/path\", or \"credential:NAME\"";
        let written = text(value, "a reference to a secret", "\"file:/etc/dotmac-edge/…\"")?;
        Self::parse(written)
            .ok_or_else(|| Wrong::new("a reference is expected here, never the secret itself", remedy))
    }

    fn show(&self) -> String {
        quoted(&self.place())
    }
}

/// Who else may be able to read a secret's file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    OwnerOnly,
    Any,
}

/// Refuses a file that group or others may read; a missing file is no fault here.
pub(super) fn guarded(path: &Path) -> Result<(), SecretError> {
    match std::fs::metadata(path) {
        Ok(meta) => owner_only(path, meta.mode()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(SecretError::Unreadable { path: path.to_owned(), source }),
    }
}

fn owner_only(path: &Path, mode: u32) -> Result<(), SecretError> {
    if mode & 0o077 == 0 {
        return Ok(());
    }
    Err(SecretError::TooOpen { path: path.to_owned(), mode: mode & 0o7777 })
}

fn read_private(path: &Path, access: Access) -> Result<Secret, SecretError> {
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let file = File::open(path).map_err(unreadable)?;
    // Asked of the open file, so that nobody can swap it in between.
    let mode = file.metadata().map_err(unreadable)?.mode();
    if access == Access::OwnerOnly {
        owner_only(path, mode)?;
    }
    let mut octets = Zeroizing::new(Vec::new());
    let read = file.take(MAX_SECRET_OCTETS + 1).read_to_end(&mut octets).map_err(unreadable)?;
    if u64::try_from(read).unwrap_or(u64::MAX) > MAX_SECRET_OCTETS {
        return Err(SecretError::TooLarge { path: path.to_owned() });
    }
    let kept = octets.strip_suffix(b"\n").unwrap_or(&octets);
    Ok(Secret::new(kept.strip_suffix(b"\r").unwrap_or(kept)))
}

fn trimmed(value: &str) -> &str {
    value.trim_end_matches(['\r', '\n'])
}

/// A private key in PEM is the largest secret there is; this is four times that.
const MAX_SECRET_OCTETS: u64 = 16 * 1024;

/// Longer than any name systemd or a shell is given.
const MAX_NAME_OCTETS: usize = 128;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(mode: u32, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    #[test]
    fn a_file_that_others_may_read_is_no_place_for_a_secret() {
        for mode in [0o640, 0o604, 0o660, 0o644] {
            let (_dir, path) = file(mode, b"hunter2");
            let refused = SecretRef::File(path).resolve(&Environment::fixed([]));
            assert!(matches!(refused, Err(SecretError::TooOpen { .. })), "{mode:o}");
        }
    }

    #[test]
    fn a_private_file_gives_its_content_without_the_line_end() {
        let (_dir, path) = file(0o400, b"hunter2\n");
        let secret = SecretRef::File(path).resolve(&Environment::fixed([])).unwrap();
        assert_eq!(secret.expose(), b"hunter2");
    }

    #[test]
    fn a_credential_is_read_from_the_folder_that_systemd_names() {
        let (dir, _path) = file(0o440, b"hunter2");
        let folder = dir.path().to_str().unwrap().to_owned();
        let environment = Environment::fixed([("CREDENTIALS_DIRECTORY", folder.as_str())]);
        let secret = SecretRef::Credential("secret".into()).resolve(&environment).unwrap();
        assert_eq!(secret.expose(), b"hunter2");
        let missing = SecretRef::Credential("other".into()).resolve(&environment);
        assert!(matches!(missing, Err(SecretError::NoCredential { .. })));
    }

    #[test]
    fn a_reference_has_a_scheme_and_a_name_that_cannot_leave_its_folder() {
        assert_eq!(SecretRef::parse("file:/a/b"), Some(SecretRef::File("/a/b".into())));
        assert_eq!(SecretRef::parse("credential:box-key"), Some(SecretRef::Credential("box-key".into())));
        for wrong in
            ["hunter2", "file:relative", "credential:../x", "credential:", "env:A B", "http://x", "env:"]
        {
            assert_eq!(SecretRef::parse(wrong), None, "{wrong}");
        }
    }
}
