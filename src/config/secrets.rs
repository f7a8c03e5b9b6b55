//! `[secrets]`: the box key, which seals every secret in the store and stands in no backup.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::fault::Wrong;
use super::load::Environment;
use super::reader::{Applies, Section};
use super::reference::{SecretError, SecretRef};
use crate::base::entropy::Entropy;
use crate::base::secret::Secret;

/// Where the keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Secrets {
    /// The box key: 32 random octets in base64.
    pub key: SecretRef,
}

impl Secrets {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let development = section.development();
        let default = SecretRef::File(PathBuf::from("/var/lib/dotmac-edge/box.key"));
        let key = section.checked("key", Applies::Restart, default, |key| match key {
            SecretRef::Environment(_) if !development => Err(Wrong::new(
                "an environment variable is visible to child processes and in crash dumps",
                "write \"file:/path\" or \"credential:NAME\", or set `development = true` at the top of the file",
            )),
            SecretRef::Environment(_) | SecretRef::File(_) | SecretRef::Credential(_) => Ok(()),
        });
        Self { key }
    }
}

/// Length of the box key.
pub const BOX_KEY_OCTETS: usize = 32;

/// The box key. Where it is a file that does not exist, and `store_is_new`, a fresh one is made;
/// over a store with records a missing key is an error, since a fresh one could open nothing.
///
/// # Errors
/// When the key cannot be read, is no key, is lost, or cannot be made.
pub fn box_key(
    reference: &SecretRef,
    store_is_new: bool,
    environment: &Environment,
    entropy: &Entropy,
) -> Result<Secret, SecretError> {
    if let SecretRef::File(path) = reference
        && !path.exists()
    {
        let lost = || SecretError::KeyLost { path: path.clone() };
        return if store_is_new { fresh(path, entropy) } else { Err(lost()) };
    }
    let text = reference.resolve(environment)?;
    let key = STANDARD.decode(text.expose()).ok().filter(|key| key.len() == BOX_KEY_OCTETS);
    key.map(Secret::new).ok_or_else(|| SecretError::NotAKey {
        place: reference.place(),
        expected: "32 octets in base64 are expected, as `head -c 32 /dev/urandom | base64` prints them",
    })
}

fn fresh(path: &Path, entropy: &Entropy) -> Result<Secret, SecretError> {
    let key = entropy.bytes::<BOX_KEY_OCTETS>()?;
    written(path, &key).map_err(|source| SecretError::NotWritten { path: path.to_owned(), source })?;
    Ok(Secret::new(key.as_slice()))
}

/// On disk, synced with its folder, before anything is sealed with it.
fn written(path: &Path, key: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("/"));
    std::fs::create_dir_all(folder)?;
    let unfinished = path.with_extension("key.new");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    writeln!(file, "{}", STANDARD.encode(key))?;
    file.sync_all()?;
    // A link refuses to replace a key that somebody else made meanwhile.
    std::fs::hard_link(&unfinished, path)?;
    std::fs::remove_file(&unfinished)?;
    std::fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_first_start_makes_a_private_key_and_the_next_one_reads_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state/box.key");
        let reference = SecretRef::File(path.clone());
        let environment = Environment::fixed([]);
        let made = box_key(&reference, true, &environment, &Entropy::System).unwrap();
        assert_eq!(made.len(), BOX_KEY_OCTETS);
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(box_key(&reference, false, &environment, &Entropy::System).unwrap(), made);
        assert_eq!(std::fs::read_dir(dir.path().join("state")).unwrap().count(), 1);
    }

    #[test]
    fn a_lost_key_is_never_replaced_over_a_store_that_needs_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("box.key");
        let lost = box_key(&SecretRef::File(path.clone()), false, &Environment::fixed([]), &Entropy::System);
        assert!(matches!(lost, Err(SecretError::KeyLost { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn a_key_of_another_length_is_no_key() {
        let environment = Environment::fixed([("KEY", "c2hvcnQ=")]);
        let refused = box_key(&SecretRef::Environment("KEY".into()), true, &environment, &Entropy::System);
        assert!(matches!(refused, Err(SecretError::NotAKey { .. })));
    }
}
