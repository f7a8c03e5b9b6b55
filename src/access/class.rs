//! Our Class attribute: the NAS repeats it in accounting (RFC 2865 section 5.25), and it tells us
//! what a session was granted: which service, under which version of its terms, at what speeds, and how much of
//! the network, whatever the NAS makes of the user name.
//!
//! Layout: format (1), service id (16), terms version (4), bits a second down (8) and up (8), reach (1), truncated
//! HMAC-SHA256 (8). The tag keeps a NAS from charging one subscriber's traffic to another by accident or by
//! design. Sessions of before an upgrade carry the shorter layout without speeds and reach; it is still read.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::domain::ids::ServiceId;
use crate::domain::owed::Granted;
use crate::domain::rate::{BitsPerSecond, Download, Rates, Upload};
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
    pub fn issue(&self, service: ServiceId, granted: &Granted) -> [u8; CLASS_LENGTH] {
        let mut token = [0; CLASS_LENGTH];
        let bits = |rate: Option<BitsPerSecond>| rate.map_or(0, BitsPerSecond::get).to_be_bytes();
        let (down, up) = (granted.rates.map(|rates| rates.down.0), granted.rates.map(|rates| rates.up.0));
        let fields = [FORMAT].into_iter().chain(*service.0.as_bytes()).chain(granted.terms.to_be_bytes());
        let fields = fields.chain(bits(down)).chain(bits(up)).chain([u8::from(granted.is_captive)]);
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
    pub fn read(&self, token: &[u8]) -> Option<(ServiceId, Granted)> {
        let (signed, tag) = token.split_at_checked(token.len().checked_sub(TAG)?)?;
        if !bool::from(self.tag(signed).ct_eq(tag)) {
            return None;
        }
        let (format, rest) = signed.split_first()?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (terms, rest) = rest.split_first_chunk::<4>()?;
        let (service, terms) = (ServiceId(Uuid::from_bytes(*id)), u32::from_be_bytes(*terms));
        let granted = match (*format, rest.is_empty()) {
            (FORMAT_WITHOUT_RATES, true) => Granted { terms, rates: None, is_captive: false },
            (FORMAT, false) => {
                let (down, rest) = rest.split_first_chunk::<8>()?;
                let (up, rest) = rest.split_first_chunk::<8>()?;
                let rate = |octets: &[u8; 8]| BitsPerSecond::new(u64::from_be_bytes(*octets)).ok();
                let rates = rate(down).zip(rate(up));
                let rates = rates.map(|(down, up)| Rates { down: Download(down), up: Upload(up) });
                Granted { terms, rates, is_captive: *rest == [1] }
            }
            (_, _) => return None,
        };
        Some((service, granted))
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

/// Whether octets may be a token of ours, by their length.
#[must_use]
pub const fn may_be_ours(class: &[u8]) -> bool {
    class.len() == CLASS_LENGTH || class.len() == SIGNED_WITHOUT_RATES + TAG
}

impl std::fmt::Debug for ClassKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClassKey(…)")
    }
}

const FORMAT: u8 = 0xE2;
const FORMAT_WITHOUT_RATES: u8 = 0xE1;
const SIGNED: usize = 38;
const SIGNED_WITHOUT_RATES: usize = 21;
/// 64 bits: guessing one needs 2^63 accounting packets with a valid shared secret.
const TAG: usize = 8;
/// Octets of the token.
pub const CLASS_LENGTH: usize = MARK_OCTETS;

const _: () = assert!(SIGNED + TAG == CLASS_LENGTH);

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(rates: Option<(u64, u64)>, is_captive: bool) -> Granted {
        let rate = |bits| BitsPerSecond::new(bits).unwrap();
        let rates = rates.map(|(down, up)| Rates { down: Download(rate(down)), up: Upload(rate(up)) });
        Granted { terms: 3, rates, is_captive }
    }

    #[test]
    fn a_token_reads_back_and_a_changed_one_does_not() {
        let key = ClassKey::new(&[7; 32]).unwrap();
        let service = ServiceId(Uuid::from_u128(42));
        for granted in [granted(Some((20_000_000, 5_000_000)), false), granted(Some((1, 2)), true)] {
            let token = key.issue(service, &granted);
            assert_eq!(key.read(&token), Some((service, granted)));
            for position in 0..CLASS_LENGTH {
                let mut changed = token;
                changed[position] ^= 1;
                assert_eq!(key.read(&changed), None, "octet {position}");
            }
            assert_eq!(ClassKey::new(&[8; 32]).unwrap().read(&token), None);
        }
        for short in 0..TAG + 2 {
            assert_eq!(key.read(&vec![0; short]), None);
        }
    }

    #[test]
    fn a_token_of_before_speeds_were_in_it_is_still_read() {
        let key = ClassKey::new(&[7; 32]).unwrap();
        let mut token = vec![FORMAT_WITHOUT_RATES];
        token.extend(Uuid::from_u128(42).as_bytes());
        token.extend(3_u32.to_be_bytes());
        token.extend(key.tag(&token));
        assert!(may_be_ours(&token));
        assert_eq!(key.read(&token), Some((ServiceId(Uuid::from_u128(42)), granted(None, false))));
    }
}
