//! Our Class attribute: the NAS repeats it in accounting (RFC 2865 section 5.25), and it tells us
//! which service and which version of its terms a session was granted under, whatever the NAS
//! makes of the user name.
//!
//! Layout: format (1), service id (16), terms version (4), truncated HMAC-SHA256 (8). The tag keeps
//! a NAS from charging one subscriber's traffic to another by accident or by design.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::domain::ids::ServiceId;
use crate::store::snapshot::MARK_OCTETS;

/// The key under which our Class is signed.
#[derive(Clone)]
pub struct ClassKey(Hmac<Sha256>);

impl ClassKey {
    /// A key from 32 octets derived from the box's key.
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Option<Self> {
        Hmac::<Sha256>::new_from_slice(key).ok().map(Self)
    }

    /// Writes the token for a grant.
    #[must_use]
    pub fn issue(&self, service: ServiceId, terms_version: u32) -> [u8; CLASS_LENGTH] {
        let mut token = [0; CLASS_LENGTH];
        let fields = [FORMAT].into_iter().chain(*service.0.as_bytes()).chain(terms_version.to_be_bytes());
        for (octet, value) in token.iter_mut().zip(fields) {
            *octet = value;
        }
        let (signed, tag) = token.split_at_mut(SIGNED);
        for (octet, value) in tag.iter_mut().zip(self.tag(signed)) {
            *octet = value;
        }
        token
    }

    /// Reads a token back; `None` for anything that we did not write.
    #[must_use]
    pub fn read(&self, token: &[u8]) -> Option<(ServiceId, u32)> {
        if token.len() != CLASS_LENGTH {
            return None;
        }
        let (signed, tag) = token.split_at_checked(SIGNED)?;
        if !bool::from(self.tag(signed).ct_eq(tag)) {
            return None;
        }
        let (format, rest) = signed.split_first()?;
        let (id, version) = rest.split_at_checked(16)?;
        let id = ServiceId(Uuid::from_slice(id).ok()?);
        (*format == FORMAT).then_some((id, u32::from_be_bytes(version.try_into().ok()?)))
    }

    fn tag(&self, signed: &[u8]) -> [u8; TAG] {
        let full = self.0.clone().chain_update(signed).finalize().into_bytes();
        let mut tag = [0; TAG];
        for (octet, value) in tag.iter_mut().zip(full) {
            *octet = value;
        }
        tag
    }
}

impl std::fmt::Debug for ClassKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClassKey(…)")
    }
}

const FORMAT: u8 = 0xE1;
const SIGNED: usize = 21;
/// 64 bits: guessing one needs 2^63 accounting packets with a valid shared secret.
const TAG: usize = 8;
/// Octets of the token.
pub const CLASS_LENGTH: usize = MARK_OCTETS;

const _: () = assert!(SIGNED + TAG == CLASS_LENGTH);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_a_changed_one_does_not() {
        let key = ClassKey::new(&[7; 32]).unwrap();
        let service = ServiceId(Uuid::from_u128(42));
        let token = key.issue(service, 3);
        assert_eq!(key.read(&token), Some((service, 3)));
        for position in 0..CLASS_LENGTH {
            let mut changed = token;
            changed[position] ^= 1;
            assert_eq!(key.read(&changed), None, "octet {position}");
        }
        assert_eq!(ClassKey::new(&[8; 32]).unwrap().read(&token), None);
        assert_eq!(key.read(b""), None);
    }
}
