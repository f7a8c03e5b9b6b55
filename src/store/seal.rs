//! Seals: how a record proves that it is exactly what was written.
//!
//! Engines serve flipped bits without a word, so each record carries a seal over everything that
//! identifies and makes it. [`SealKind::Checksum`] catches damage, [`SealKind::Keyed`] tampering
//! too. Not for secrecy: see [`super::vault`]. The one rule: what does not fit is never served.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::contract::{IndexValue, SealKind};
use super::record::Row;

/// The key of [`SealKind::Keyed`] seals: derived from the box's key, in no backup.
#[derive(Clone)]
pub struct SealKey {
    mac: Hmac<Sha256>,
    id: String,
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SealKey {
    /// The seal key with these bytes; see [`super::vault::Vault::derive`].
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        let bytes = Zeroizing::new(bytes);
        // HMAC pads a key shorter than its block with zeros (RFC 2104 section 2).
        let mut block = Zeroizing::new([0u8; 64]);
        for (target, source) in block.iter_mut().zip(bytes.iter()) {
            *target = *source;
        }
        let mac = Hmac::<Sha256>::new(&(*block).into());
        let id = mac.clone().chain_update(b"dotmac-edge seal key id").finalize().into_bytes();
        let id = id.iter().take(ID_OCTETS).map(|byte| format!("{byte:02x}")).collect();
        Self { mac, id }
    }

    /// What tells this key from another without revealing it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The seal of a record.
    pub(crate) fn seal(&self, (collection, kind): (&str, SealKind), key: &str, row: &Row) -> Seal {
        let mut digest = self.digest(kind);
        digest.text(collection);
        digest.text(key);
        digest.number(u64::from(row.schema));
        digest.number(row.version);
        digest.length(row.index.len());
        for value in &row.index {
            digest.value(value);
        }
        digest.length(row.counters.len());
        for counter in &row.counters {
            digest.number(*counter);
        }
        digest.text(&row.body);
        digest.finish()
    }

    /// Whether `found` is the seal of this record.
    pub(crate) fn fits(&self, of: (&str, SealKind), key: &str, row: &Row, found: &[u8]) -> bool {
        self.seal(of, key, row).equals(found)
    }

    /// The seal of one of the store's own rows: `name` says of which kind.
    pub(crate) fn seal_own(&self, name: &str, numbers: &[u64], texts: &[&str]) -> Seal {
        let mut digest = self.digest(SealKind::Keyed);
        digest.text(name);
        for number in numbers {
            digest.number(*number);
        }
        for text in texts {
            digest.text(text);
        }
        digest.finish()
    }

    fn digest(&self, kind: SealKind) -> Digest {
        match kind {
            SealKind::Checksum => Digest::Checksum(0),
            SealKind::Keyed => Digest::Keyed(Box::new(self.mac.clone())),
        }
    }
}

/// A seal's octets: the kind, then the check value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seal {
    octets: [u8; 33],
    length: usize,
}

impl Seal {
    pub(crate) fn octets(&self) -> &[u8] {
        self.octets.get(..self.length).unwrap_or(&self.octets)
    }

    pub(crate) fn equals(&self, found: &[u8]) -> bool {
        self.octets().ct_eq(found).into()
    }

    fn of(kind: u8, value: &[u8]) -> Self {
        let mut octets = [kind; 33];
        for (target, source) in octets.iter_mut().skip(1).zip(value) {
            *target = *source;
        }
        Self { octets, length: value.len().saturating_add(1).min(33) }
    }
}

enum Digest {
    Checksum(u32),
    Keyed(Box<Hmac<Sha256>>),
}

impl Digest {
    fn octets(&mut self, octets: &[u8]) {
        match self {
            Self::Checksum(sum) => *sum = crc32c::crc32c_append(*sum, octets),
            Self::Keyed(mac) => mac.update(octets),
        }
    }

    fn number(&mut self, number: u64) {
        self.octets(&number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        self.number(u64::try_from(length).unwrap_or(u64::MAX));
    }

    /// Lengths go before contents so that no two records share one stream of octets.
    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.octets(text.as_bytes());
    }

    fn value(&mut self, value: &IndexValue) {
        match value {
            IndexValue::Null => self.octets(&[0]),
            IndexValue::Integer(number) => {
                self.octets(&[1]);
                self.octets(&number.to_le_bytes());
            }
            IndexValue::Text(text) => {
                self.octets(&[2]);
                self.text(text);
            }
        }
    }

    fn finish(self) -> Seal {
        match self {
            Self::Checksum(sum) => Seal::of(KIND_CHECKSUM, &sum.to_le_bytes()),
            Self::Keyed(mac) => Seal::of(KIND_KEYED, &mac.finalize().into_bytes()),
        }
    }
}

/// First octet of a checksum's seal.
const KIND_CHECKSUM: u8 = 1;
/// First octet of a keyed seal.
const KIND_KEYED: u8 = 2;
/// Octets of a key's id: enough to tell a few boxes apart.
const ID_OCTETS: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKED: (&str, SealKind) = ("checked", SealKind::Checksum);
    const KEYED: (&str, SealKind) = ("keyed", SealKind::Keyed);

    fn row() -> Row {
        Row {
            place: 7,
            version: 3,
            schema: 1,
            body: "{\"a\":1}".to_owned(),
            index: vec![IndexValue::Null, IndexValue::Integer(-4), IndexValue::from("x")],
            counters: vec![5],
        }
    }

    #[test]
    fn a_seal_fits_only_exactly_what_was_sealed() {
        let key = SealKey::new([7; 32]);
        for spec in [CHECKED, KEYED] {
            let seal = key.seal(spec, "k", &row());
            assert!(key.fits(spec, "k", &Row { place: 9, ..row() }, seal.octets()));
            assert!(!key.fits(spec, "l", &row(), seal.octets()));
            let others = [
                Row { version: 4, ..row() },
                Row { schema: 2, ..row() },
                Row { body: "{\"a\":2}".to_owned(), ..row() },
                Row { counters: vec![6], ..row() },
                Row { index: vec![IndexValue::Null, IndexValue::Integer(-4), IndexValue::Null], ..row() },
            ];
            assert!(others.iter().all(|other| !key.fits(spec, "k", other, seal.octets())));
        }
    }

    #[test]
    fn a_checksum_does_not_pass_for_a_keyed_seal_nor_one_key_for_another() {
        let (ours, theirs) = (SealKey::new([7; 32]), SealKey::new([8; 32]));
        assert!(!ours.fits(KEYED, "k", &row(), ours.seal(CHECKED, "k", &row()).octets()));
        assert!(!ours.fits(KEYED, "k", &row(), theirs.seal(KEYED, "k", &row()).octets()));
        assert_ne!(ours.id(), theirs.id());
    }
}
