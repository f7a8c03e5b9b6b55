//! PEAP's Result and Cryptobinding TLVs and their arithmetic ([MS-PEAP] sections 2.2.8 and 3.1.5.5): the proof that
//! who holds the tunnel's end is who logged in inside, and not somebody who carries another's packets into it.

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::Keys;

/// The keys that tunnel and inner method make together.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(in crate::eap) struct Compound {
    /// IPMK, of which the session's key is made.
    intermediate: [u8; 40],
    /// CMK, which signs.
    signing: [u8; 20],
}

impl Compound {
    /// From the tunnel's key material and the inner method's key; an inner method without keys gives zeros.
    pub(in crate::eap) fn new(tunnel: &[u8; 128], inner: Option<&Keys>) -> Self {
        let mut seed = [0; 32];
        if let Some(keys) = inner {
            seed.copy_from_slice(keys.receive().first_chunk::<32>().unwrap_or(&[0; 32]));
        }
        let (temporary, _) = tunnel.split_first_chunk::<40>().unwrap_or((&[0; 40], &[]));
        let mut both = [0; 60];
        stretch(temporary, b"Inner Methods Compound Keys", &seed, &mut both);
        let compound = Self::split(&both);
        both.zeroize();
        compound
    }

    /// Of a resumed tunnel: its own key material alone.
    pub(super) fn resumed(tunnel: &[u8; 128]) -> Self {
        Self::split(tunnel.first_chunk().unwrap_or(&[0; 60]))
    }

    fn split(both: &[u8; 60]) -> Self {
        let (mut intermediate, mut signing) = ([0; 40], [0; 20]);
        for (target, source) in intermediate.iter_mut().chain(signing.iter_mut()).zip(both) {
            *target = *source;
        }
        Self { intermediate, signing }
    }

    /// The MSK of a bound session. The label ends with a NUL here, and only here.
    pub(in crate::eap) fn session_keys(&self) -> Keys {
        let mut octets = [0; 64];
        stretch(&self.intermediate, b"Session Key Generating Function", &[0], &mut octets);
        Keys::new(octets)
    }

    /// The Cryptobinding TLV that we send.
    pub(super) fn request(&self, nonce: &[u8; 32]) -> Vec<u8> {
        let mut tlv =
            [&[0, CRYPTOBINDING, 0, 56, 0, VERSION, VERSION, REQUEST][..], nonce, &[0; 20]].concat();
        let signature = self.sign(&tlv);
        if let Some(place) = tlv.get_mut(MAC_AT..) {
            place.copy_from_slice(&signature);
        }
        tlv
    }

    /// Whether a Cryptobinding TLV's value is the peer's answer, signed with the same keys.
    pub(super) fn is_answer(&self, value: &[u8]) -> bool {
        let Ok(value) = <&[u8; 56]>::try_from(value) else { return false };
        let [_, VERSION, _, RESPONSE, ..] = value else { return false };
        let Some((head, signature)) = value.split_last_chunk::<20>() else { return false };
        let tlv = [&[0, CRYPTOBINDING, 0, 56][..], head, &[0; 20]].concat();
        self.sign(&tlv).ct_eq(signature).into()
    }

    /// The answer to a Cryptobinding TLV's value, if the keys that signed it are ours.
    pub(in crate::eap) fn answer(&self, value: &[u8]) -> Option<Vec<u8>> {
        let value = <&[u8; 56]>::try_from(value).ok()?;
        let (head, signature) = value.split_last_chunk::<20>()?;
        let [reserved, version, received, REQUEST, nonce @ ..] = head else { return None };
        let asked = [&[0, CRYPTOBINDING, 0, 56][..], head, &[0; 20]].concat();
        if !bool::from(self.sign(&asked).ct_eq(signature)) {
            return None;
        }
        let head = [&[0, CRYPTOBINDING, 0, 56, *reserved, *version, *received, RESPONSE][..], nonce].concat();
        let signature = self.sign(&[&head[..], &[0; 20]].concat());
        Some([&head[..], &signature].concat())
    }

    /// HMAC over the TLV, its signature zero, and PEAP's Type.
    fn sign(&self, tlv: &[u8]) -> [u8; 20] {
        hmac(&self.signing, &[tlv, &[PEAP]])
    }
}

impl std::fmt::Debug for Compound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compound(…)")
    }
}

/// What the TLVs of a packet say.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::eap) struct Tlvs<'a> {
    /// The Result TLV: whether it says success.
    pub(in crate::eap) success: Option<bool>,
    /// The Cryptobinding TLV's value.
    pub(in crate::eap) binding: Option<&'a [u8]>,
}

impl<'a> Tlvs<'a> {
    /// Reads them; `None` where lengths do not fit, one comes twice, or a mandatory one is unknown.
    pub(in crate::eap) fn read(mut octets: &'a [u8]) -> Option<Self> {
        let mut found = Self { success: None, binding: None };
        while !octets.is_empty() {
            let (&[first, second, high, low], rest) = octets.split_first_chunk::<4>()?;
            let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
            match (first & 0x3f, second) {
                (0, RESULT) if found.success.is_none() => found.success = Some(success(value)?),
                (0, CRYPTOBINDING) if found.binding.is_none() => found.binding = Some(value),
                (0, RESULT | CRYPTOBINDING) => return None,
                _ if first & MANDATORY != 0 => return None,
                _ => {}
            }
            octets = rest;
        }
        Some(found)
    }
}

fn success(value: &[u8]) -> Option<bool> {
    match value {
        [0, 1] => Some(true),
        [0, 2] => Some(false),
        _ => None,
    }
}

/// A Result TLV.
pub(in crate::eap) const fn result(success: bool) -> [u8; 6] {
    [MANDATORY, RESULT, 0, 2, 0, if success { 1 } else { 2 }]
}

/// PRF+ of [MS-PEAP] section 3.1.5.5.2.2: each block signs the one before it, the seed, and its number.
fn stretch(key: &[u8; 40], label: &[u8], seed: &[u8], out: &mut [u8]) {
    let mut before: Option<[u8; 20]> = None;
    for (number, block) in (1_u8..).zip(out.chunks_mut(20)) {
        let last = before.as_ref().map_or(&[][..], |last| last);
        let signed = hmac(key, &[last, label, seed, &[number, 0, 0]]);
        for (target, source) in block.iter_mut().zip(signed) {
            *target = source;
        }
        before = Some(signed);
    }
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; 20] {
    // A key of any length serves HMAC.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(key) else { return [0; 20] };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

const PEAP: u8 = 25;
/// PEAP version 0.
const VERSION: u8 = 0;
const RESULT: u8 = 3;
const CRYPTOBINDING: u8 = 12;
const REQUEST: u8 = 0;
const RESPONSE: u8 = 1;
const MANDATORY: u8 = 0x80;
/// Behind type, length, reserved, versions, subtype and nonce.
const MAC_AT: usize = 40;

#[cfg(test)]
mod ms_peap_tests {
    use super::*;

    fn compound() -> Compound {
        let mut tunnel = [0; 128];
        for (at, octet) in tunnel.iter_mut().enumerate() {
            *octet = u8::try_from(at).unwrap();
        }
        Compound::new(&tunnel, Some(&Keys::new([0x11; 64])))
    }

    #[test]
    fn s3_1_5_5_the_compound_keys_are_those_of_another_program() {
        let compound = compound();
        assert_eq!(
            compound.intermediate,
            [
                0xb0, 0xb1, 0xec, 0x1a, 0xf0, 0xed, 0x98, 0xaa, 0x92, 0x6b, 0xd6, 0xb9, 0x22, 0x5c, 0xfd,
                0xf9, 0xa2, 0x68, 0xf9, 0xc1, 0xdc, 0x6d, 0xfc, 0x15, 0x5a, 0x74, 0xc6, 0xe1, 0x18, 0xf0,
                0x93, 0x1e, 0x45, 0x25, 0xf0, 0x1b, 0xee, 0x10, 0xb3, 0x98
            ]
        );
        assert_eq!(
            compound.signing,
            [
                0x4c, 0xdb, 0x12, 0xb3, 0xa5, 0x10, 0x4b, 0xe0, 0x7e, 0xe2, 0x51, 0x20, 0xe0, 0xcf, 0xc9,
                0xde, 0x20, 0x8f, 0x64, 0x70
            ]
        );
        assert_eq!(
            compound.session_keys(),
            Keys::new([
                0xa7, 0xc0, 0x74, 0x98, 0x26, 0xb1, 0xd1, 0xb3, 0x52, 0x11, 0xa2, 0x2a, 0xe0, 0x14, 0x41,
                0x5f, 0xef, 0xca, 0xe1, 0xff, 0x7e, 0xc5, 0xaf, 0x3a, 0xa3, 0xa3, 0xb0, 0x18, 0xc8, 0x95,
                0x23, 0x86, 0xc3, 0x29, 0x15, 0xb7, 0x83, 0x0f, 0xdf, 0xb1, 0xa9, 0x7e, 0x30, 0x74, 0x21,
                0x73, 0xcd, 0x44, 0x1f, 0x53, 0x54, 0x8a, 0xa9, 0xae, 0xa9, 0x54, 0x8b, 0x1b, 0x0d, 0x99,
                0x18, 0xfa, 0x98, 0x0f
            ])
        );
    }

    #[test]
    fn a_binding_is_good_only_as_the_answer_under_the_same_keys() {
        let (ours, nonce) = (compound(), [5; 32]);
        let request = ours.request(&nonce);
        assert_eq!(request.len(), 60);
        assert!(!ours.is_answer(&request[4..]), "our own request is no answer");
        let mut answer = request.clone();
        answer[7] = RESPONSE;
        answer[MAC_AT..].fill(0);
        let signature = ours.sign(&answer);
        answer[MAC_AT..].copy_from_slice(&signature);
        assert!(ours.is_answer(&answer[4..]));
        let other = Compound::new(&[0; 128], None);
        assert!(!other.is_answer(&answer[4..]));
        answer[20] ^= 1;
        assert!(!ours.is_answer(&answer[4..]));
        assert!(!ours.is_answer(&answer[4..59]));
    }

    #[test]
    fn tlvs_are_read_and_what_must_be_understood_and_is_not_ends_it() {
        let both = [&result(true)[..], &[0, 12, 0, 1, 9]].concat();
        assert_eq!(Tlvs::read(&both), Some(Tlvs { success: Some(true), binding: Some(&[9]) }));
        assert_eq!(Tlvs::read(&result(false)), Some(Tlvs { success: Some(false), binding: None }));
        assert_eq!(Tlvs::read(&[0, 99, 0, 0]), Some(Tlvs { success: None, binding: None }));
        for bad in
            [&[0x80, 99, 0, 0][..], &[0, 3, 0, 2, 0], &[0, 3, 0, 2, 0, 9], &[1, 2], &result(true).repeat(2)]
        {
            assert_eq!(Tlvs::read(bad), None, "{bad:?}");
        }
    }
}
