//! The box's key, and secrets sealed with it.
//!
//! Shared secrets, and passwords that CHAP and MS-CHAP need in the clear, are kept sealed
//! (XChaCha20-Poly1305, a random nonce each, bound to a context). The key is a file beside the
//! store, never in it and never in a backup: whoever has a backup has no secrets. The one rule: a
//! key is made only where there is no store yet, so that a lost key is noticed, not replaced.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::seal::SealKey;
use super::{engine::sqlite, files};
use crate::base::entropy::{Entropy, EntropyError};
use crate::base::secret::Secret;

/// The holder of the box's key.
#[derive(Clone)]
pub struct Vault {
    key: Zeroizing<[u8; 32]>,
    id: [u8; ID_OCTETS],
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("id", &self.key_id()).finish_non_exhaustive()
    }
}

/// Why the vault could not be opened or a secret not be handled.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The key file could not be read or made.
    #[error("cannot {doing} the key file {}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// The key file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Others may read the key: the operator's to mend.
    #[error("the key file {} has mode {mode:03o}; make it 600 and think of it as known to others", path.display())]
    Exposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not a key.
    #[error("the key file {} does not hold {KEY_OCTETS} octets", path.display())]
    Malformed {
        /// The key file.
        path: PathBuf,
    },
    /// There is a store but no key for it.
    #[error(
        "the key file {} is gone although the store has been used with it; put it back, or restore a backup \
         and enter the secrets again",
        path.display()
    )]
    Gone {
        /// Where the key file should be.
        path: PathBuf,
    },
    /// The key would end up in backups of the directory.
    #[error("the key file {} must not be inside the store's directory", path.display())]
    Inside {
        /// Where the key file would be.
        path: PathBuf,
    },
    /// No randomness.
    #[error("no random bytes for a key or nonce")]
    Entropy(#[from] EntropyError),
    /// The text is not a sealed secret.
    #[error("this is not a sealed secret")]
    NotSealed,
    /// It was sealed on another box.
    #[error("the secret was sealed with key {found}, this box has key {ours}; enter it again")]
    OtherKey {
        /// The key's id in the secret.
        found: String,
        /// The id of our key.
        ours: String,
    },
    /// It does not open: damaged, altered, or moved from another context.
    #[error("the sealed secret does not fit its place; enter it again")]
    DoesNotFit,
}

impl Vault {
    /// Opens the key in `key_file`; makes one when the store in `store_dir` was never made.
    ///
    /// # Errors
    /// As [`VaultError`] says; an existing file is never changed.
    pub fn open(key_file: &Path, store_dir: &Path, entropy: &Entropy) -> Result<Self, VaultError> {
        let path = || key_file.to_owned();
        if key_file.starts_with(store_dir) {
            return Err(VaultError::Inside { path: path() });
        }
        match File::open(key_file) {
            Ok(file) => read_key(file, key_file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if sqlite::was_here(store_dir) {
                    return Err(VaultError::Gone { path: path() });
                }
                let key = Zeroizing::new(entropy.bytes::<KEY_OCTETS>()?);
                let made = key_file
                    .parent()
                    .map_or(Ok(()), files::make_dir)
                    .and_then(|()| files::create_new(key_file, &*key));
                made.map_err(|source| VaultError::File { doing: "make", path: path(), source })?;
                Ok(Self::of(key))
            }
            Err(source) => Err(VaultError::File { doing: "open", path: path(), source }),
        }
    }

    /// A vault with this key, for tests and for whoever keeps the key elsewhere.
    #[must_use]
    pub fn with_key(key: [u8; 32]) -> Self {
        Self::of(Zeroizing::new(key))
    }

    fn of(key: Zeroizing<[u8; 32]>) -> Self {
        let digest = hmac(&key, "key id");
        let mut id = [0; ID_OCTETS];
        for (target, source) in id.iter_mut().zip(digest) {
            *target = source;
        }
        Self { key, id }
    }

    /// What tells this key from another without revealing it.
    #[must_use]
    pub fn key_id(&self) -> String {
        hex(&self.id)
    }

    /// A key for one purpose; knowing it reveals neither the box's key nor another purpose's.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        hmac(&self.key, &format!("purpose {purpose}"))
    }

    /// The key of the store's keyed seals.
    #[must_use]
    pub fn seal_key(&self) -> SealKey {
        SealKey::new(self.derive("record seals"))
    }

    /// Seals a secret for one place: `context` names record and field, and unsealing needs it.
    ///
    /// # Errors
    /// Without randomness there is no sealing.
    pub fn seal(
        &self,
        entropy: &Entropy,
        context: &str,
        secret: &Secret,
    ) -> Result<SealedSecret, VaultError> {
        let nonce = entropy.bytes::<NONCE_OCTETS>()?;
        let payload = Payload { msg: secret.expose(), aad: context.as_bytes() };
        let sealed =
            self.cipher().encrypt(&XNonce::from(nonce), payload).map_err(|_| VaultError::DoesNotFit)?;
        let octets = [MAGIC.as_slice(), &self.id, &nonce, &sealed].concat();
        Ok(SealedSecret(BASE64.encode(octets)))
    }

    /// Opens a secret that was sealed for `context`.
    ///
    /// # Errors
    /// `OtherKey` for another box's secret, `DoesNotFit` for a damaged, altered or moved one.
    pub fn unseal(&self, context: &str, sealed: &SealedSecret) -> Result<Secret, VaultError> {
        let octets = BASE64.decode(&sealed.0).map_err(|_| VaultError::NotSealed)?;
        let (id, rest) = split_header(&octets).ok_or(VaultError::NotSealed)?;
        if *id != self.id {
            return Err(VaultError::OtherKey { found: hex(id), ours: self.key_id() });
        }
        let (nonce, msg) = rest.split_first_chunk::<NONCE_OCTETS>().ok_or(VaultError::NotSealed)?;
        let payload = Payload { msg, aad: context.as_bytes() };
        let opened =
            self.cipher().decrypt(&XNonce::from(*nonce), payload).map_err(|_| VaultError::DoesNotFit)?;
        Ok(Secret::new(opened))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let key = Zeroizing::new(self.derive("sealed secrets"));
        XChaCha20Poly1305::new(&(*key).into())
    }
}

/// A secret that only the box which sealed it can open; base64 text in a record.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SealedSecret(String);

impl SealedSecret {
    /// Recognises a sealed secret by its header; whether it opens is for [`Vault::unseal`].
    ///
    /// # Errors
    /// [`VaultError::NotSealed`].
    pub fn parse(text: &str) -> Result<Self, VaultError> {
        let octets = BASE64.decode(text).map_err(|_| VaultError::NotSealed)?;
        split_header(&octets).ok_or(VaultError::NotSealed)?;
        Ok(Self(text.to_owned()))
    }

    /// The text as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SealedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealedSecret(…)")
    }
}

impl TryFrom<String> for SealedSecret {
    type Error = VaultError;

    fn try_from(text: String) -> Result<Self, VaultError> {
        Self::parse(&text)
    }
}

impl From<SealedSecret> for String {
    fn from(sealed: SealedSecret) -> Self {
        sealed.0
    }
}

/// The key's id and what follows it.
fn split_header(octets: &[u8]) -> Option<(&[u8; ID_OCTETS], &[u8])> {
    let (magic, rest) = octets.split_first_chunk::<3>()?;
    let (id, rest) = rest.split_first_chunk::<ID_OCTETS>()?;
    (*magic == MAGIC && rest.len() >= NONCE_OCTETS + TAG_OCTETS).then_some((id, rest))
}

fn read_key(file: File, path: &Path) -> Result<Vault, VaultError> {
    let fault = |source| VaultError::File { doing: "read", path: path.to_owned(), source };
    let mode = file.metadata().map_err(fault)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::Exposed { path: path.to_owned(), mode });
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(KEY_OCTETS + 1));
    let limit = u64::try_from(KEY_OCTETS + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut octets).map_err(fault)?;
    let key = <[u8; KEY_OCTETS]>::try_from(octets.as_slice())
        .map_err(|_| VaultError::Malformed { path: path.to_owned() })?;
    Ok(Vault::of(Zeroizing::new(key)))
}

fn hmac(key: &[u8; 32], message: &str) -> [u8; 32] {
    // HMAC pads a key shorter than its block with zeros (RFC 2104 section 2).
    let mut block = Zeroizing::new([0u8; 64]);
    for (target, source) in block.iter_mut().zip(key) {
        *target = *source;
    }
    let mac = Hmac::<Sha256>::new(&(*block).into());
    mac.chain_update(b"dotmac-edge vault ").chain_update(message.as_bytes()).finalize().into_bytes().into()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// "seal" in base64, so that a sealed secret is recognised in a dump.
const MAGIC: [u8; 3] = [0xB1, 0xE6, 0xA5];
/// Octets of the box's key.
const KEY_OCTETS: usize = 32;
/// Octets of a key's id: enough to tell a few boxes apart.
const ID_OCTETS: usize = 6;
/// Octets of a nonce: 192 bits may be drawn at random without fear of a repeat.
const NONCE_OCTETS: usize = 24;
/// Octets of Poly1305's tag.
const TAG_OCTETS: usize = 16;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_sealed_secret_opens_only_in_its_context_and_with_its_key() {
        let (ours, theirs) = (Vault::with_key([1; 32]), Vault::with_key([2; 32]));
        let secret = Secret::from_text("s3cret");
        let sealed = ours.seal(&Entropy::seeded(1), "nas/7/secret", &secret).unwrap();
        assert!(sealed.as_str().starts_with("seal"));
        assert_eq!(ours.unseal("nas/7/secret", &sealed).unwrap(), secret);
        assert!(matches!(ours.unseal("nas/8/secret", &sealed), Err(VaultError::DoesNotFit)));
        assert!(matches!(theirs.unseal("nas/7/secret", &sealed), Err(VaultError::OtherKey { .. })));
        let again = ours.seal(&Entropy::seeded(2), "nas/7/secret", &secret).unwrap();
        assert_ne!(sealed, again);
    }

    #[test]
    fn every_altered_octet_of_a_sealed_secret_is_noticed() {
        let vault = Vault::with_key([1; 32]);
        let sealed = vault.seal(&Entropy::seeded(1), "c", &Secret::from_text("s3cret")).unwrap();
        let octets = BASE64.decode(sealed.as_str()).unwrap();
        for at in 0..octets.len() {
            let mut altered = octets.clone();
            altered[at] ^= 1;
            let opened = SealedSecret::parse(&BASE64.encode(altered)).and_then(|one| vault.unseal("c", &one));
            assert!(opened.is_err(), "octet {at}");
        }
    }

    #[test]
    fn a_sealed_secret_is_text_in_json_and_other_text_is_refused() {
        let sealed =
            Vault::with_key([1; 32]).seal(&Entropy::seeded(1), "c", &Secret::from_text("x")).unwrap();
        let json = serde_json::to_string(&sealed).unwrap();
        assert_eq!(json, format!("\"{}\"", sealed.as_str()));
        assert_eq!(serde_json::from_str::<SealedSecret>(&json).unwrap(), sealed);
        assert!(serde_json::from_str::<SealedSecret>("\"plain\"").is_err());
        assert_eq!(format!("{sealed:?}"), "SealedSecret(…)");
    }

    #[test]
    fn purposes_do_not_share_a_key() {
        let vault = Vault::with_key([1; 32]);
        assert_eq!(vault.derive("a"), vault.derive("a"));
        assert_ne!(vault.derive("a"), vault.derive("b"));
    }

    #[test]
    fn a_key_is_made_once_kept_private_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (file, store) = (dir.path().join("edge.key"), dir.path().join("store"));
        let first = Vault::open(&file, &store, &Entropy::System).unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert_eq!(Vault::open(&file, &store, &Entropy::System).unwrap().key_id(), first.key_id());
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
        let exposed = Vault::open(&file, &store, &Entropy::System);
        assert!(matches!(exposed, Err(VaultError::Exposed { mode: 0o640, .. })));
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, b"short").unwrap();
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
        assert!(matches!(Vault::open(&file, &store, &Entropy::System), Err(VaultError::Malformed { .. })));
        let inside = Vault::open(&store.join("edge.key"), &store, &Entropy::System);
        assert!(matches!(inside, Err(VaultError::Inside { .. })));
    }

    #[test]
    fn a_lost_key_is_noticed_where_a_store_was_made() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("store.id"), "x").unwrap();
        let lost = Vault::open(Path::new("/nonexistent/edge.key"), dir.path(), &Entropy::System);
        assert!(matches!(lost, Err(VaultError::Gone { .. })));
    }
}
