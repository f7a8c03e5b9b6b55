//! The arithmetic of MS-CHAP: RFC 2433 (version 1), RFC 2759 (version 2), RFC 3079 (MPPE keys).
//!
//! Plain functions from octets to octets, as those documents name them. MD4 and single DES are
//! broken as ciphers; they stand here because PPP peers speak nothing else, never to protect
//! anything of our own.
//!
//! The one rule: hashes of passwords are as good as the passwords, and are wiped like them.

use des::Des;
use des::cipher::{BlockCipherEncrypt, KeyInit};
use md4::{Digest, Md4};
use sha1::Sha1;
use zeroize::Zeroizing;

/// `NtPasswordHash` (RFC 2759 section 8.3): MD4 of the password in UTF-16; wiped when dropped.
#[derive(Clone, Debug)]
pub struct NtHash(Zeroizing<[u8; 16]>);

impl NtHash {
    /// A hash that was stored instead of a password.
    #[must_use]
    pub fn from_octets(octets: [u8; 16]) -> Self {
        Self(Zeroizing::new(octets))
    }

    /// The hash's octets; as secret as the password.
    #[must_use]
    pub fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// `HashNtPasswordHash` (RFC 2759 section 8.4): MD4 of the hash.
    #[must_use]
    pub fn hashed(&self) -> Self {
        Self(Zeroizing::new(Md4::digest(self.0.as_slice()).into()))
    }
}

/// Hashes a password. Octets that are not UTF-8 count as Latin-1 characters, one each.
#[must_use]
pub fn nt_hash(password: &[u8]) -> NtHash {
    let mut digest = Md4::new();
    for chunk in password.utf8_chunks() {
        for unit in chunk.valid().encode_utf16() {
            digest.update(unit.to_le_bytes());
        }
        for octet in chunk.invalid() {
            digest.update([*octet, 0]);
        }
    }
    NtHash(Zeroizing::new(digest.finalize().into()))
}

/// `ChallengeResponse` (RFC 2433 section A.5, RFC 2759 section 8.5): the hash as three DES keys.
#[must_use]
pub fn challenge_response(challenge: &[u8; 8], hash: &NtHash) -> [u8; 24] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *hash.expose();
    let mut response = [0; 24];
    let keys = [[a, b, c, d, e, f, g], [h, i, j, k, l, m, n], [o, p, 0, 0, 0, 0, 0]];
    for (third, key) in response.chunks_exact_mut(8).zip(keys) {
        third.copy_from_slice(&des_encrypt(challenge, key));
    }
    response
}

/// `ChallengeHash` (RFC 2759 section 8.2). `user_name` is taken without a domain in front.
#[must_use]
pub fn challenge_hash(
    peer_challenge: &[u8; 16],
    authenticator_challenge: &[u8; 16],
    user_name: &[u8],
) -> [u8; 8] {
    let digest = Sha1::new().chain_update(peer_challenge).chain_update(authenticator_challenge);
    first_octets(digest.chain_update(without_domain(user_name)).finalize().into())
}

/// `GenerateAuthenticatorResponse` (RFC 2759 section 8.7): "S=" and 40 digits, the server's proof.
#[must_use]
pub fn authenticator_response(
    hash_of_hash: &NtHash,
    nt_response: &[u8; 24],
    challenge_hash: &[u8; 8],
) -> [u8; 42] {
    let digest = Sha1::new().chain_update(hash_of_hash.expose()).chain_update(nt_response);
    let inner = digest.chain_update(SERVER_TO_CLIENT_SIGNING).finalize();
    let digest = Sha1::new().chain_update(inner).chain_update(challenge_hash);
    let proof: [u8; 20] = digest.chain_update(PAD_TO_MAKE_IT_DO_MORE).finalize().into();
    let mut text = *b"S=0000000000000000000000000000000000000000";
    let digits = text.iter_mut().skip(2);
    for (target, digit) in digits.zip(proof.iter().flat_map(|octet| hex_digits(*octet))) {
        *target = digit;
    }
    text
}

/// The server's (the NAS's) MPPE start keys of 128 bits: to send, to receive (RFC 3079 section 3).
#[must_use]
pub fn mppe_keys(hash_of_hash: &NtHash, nt_response: &[u8; 24]) -> [[u8; 16]; 2] {
    let digest = Sha1::new().chain_update(hash_of_hash.expose()).chain_update(nt_response);
    let master = Zeroizing::new(digest.chain_update(MASTER_KEY).finalize());
    let key = |direction: &[u8]| {
        let digest = Sha1::new().chain_update(master.get(..16).unwrap_or_default()).chain_update([0; 40]);
        first_octets(digest.chain_update(direction).chain_update([0xf2; 40]).finalize().into())
    };
    [key(SERVER_SENDS), key(SERVER_RECEIVES)]
}

/// The value of MS-CHAP-Error (RFC 2548 section 2.1.5) that says "authentication failure, do not
/// retry" to a version 2 peer; `challenge` is 16 fresh random octets (RFC 2759 section 6).
#[must_use]
pub fn authentication_failure(ident: u8, challenge: &[u8; 16]) -> [u8; 49] {
    let mut value = *b"\0E=691 R=0 C=00000000000000000000000000000000 V=3";
    write_failure(&mut value, ident, challenge);
    value
}

/// The same for a version 1 peer, whose challenge is 8 octets (RFC 2433 section 8).
#[must_use]
pub fn authentication_failure_v1(ident: u8, challenge: &[u8; 8]) -> [u8; 33] {
    let mut value = *b"\0E=691 R=0 C=0000000000000000 V=2";
    write_failure(&mut value, ident, challenge);
    value
}

/// The name behind the first backslash, or all of it.
#[must_use]
pub fn without_domain(user_name: &[u8]) -> &[u8] {
    let backslash = user_name.iter().position(|octet| *octet == b'\\');
    backslash.and_then(|at| user_name.get(at + 1..)).unwrap_or(user_name)
}

fn write_failure(value: &mut [u8], ident: u8, challenge: &[u8]) {
    let digits = challenge.iter().flat_map(|octet| hex_digits(*octet));
    for (target, digit) in value.iter_mut().skip(FAILURE_CHALLENGE_AT).zip(digits) {
        *target = digit;
    }
    if let Some(first) = value.first_mut() {
        *first = ident;
    }
}

/// `DesEncrypt` (RFC 2759 section 8.6): 56 key bits spread over eight octets of seven.
fn des_encrypt(clear: &[u8; 8], key: [u8; 7]) -> [u8; 8] {
    let [a, b, c, d, e, f, g] = key;
    let bits = u64::from_be_bytes([0, a, b, c, d, e, f, g]);
    let spread = (0..8u32).fold(0u64, |spread, index| {
        let seven = (bits >> (49 - 7 * index)) & 0x7f;
        (spread << 8) | (seven << 1)
    });
    let mut block = (*clear).into();
    Des::new(&spread.to_be_bytes().into()).encrypt_block(&mut block);
    block.into()
}

fn first_octets<const N: usize>(digest: [u8; 20]) -> [u8; N] {
    let mut first = [0; N];
    for (target, source) in first.iter_mut().zip(digest) {
        *target = source;
    }
    first
}

fn hex_digits(octet: u8) -> [u8; 2] {
    [octet >> 4, octet & 15].map(|nibble| if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 })
}

/// Where the challenge's digits begin in MS-CHAP-Error: behind the ident and "E=691 R=0 C=".
const FAILURE_CHALLENGE_AT: usize = 13;
/// RFC 2759 section 8.7, Magic1.
const SERVER_TO_CLIENT_SIGNING: &[u8] = b"Magic server to client signing constant";
/// RFC 2759 section 8.7, Magic2.
const PAD_TO_MAKE_IT_DO_MORE: &[u8] = b"Pad to make it do more than one iteration";
/// RFC 3079 section 3.4, Magic1.
const MASTER_KEY: &[u8] = b"This is the MPPE Master Key";
/// RFC 3079 section 3.4, Magic3.
const SERVER_SENDS: &[u8] =
    b"On the client side, this is the receive key; on the server side, it is the send key.";
/// RFC 3079 section 3.4, Magic2.
const SERVER_RECEIVES: &[u8] =
    b"On the client side, this is the send key; on the server side, it is the receive key.";

#[cfg(test)]
mod rfc2759_s9_2_and_rfc3079_s3_5_tests {
    use super::*;

    const PEER_CHALLENGE: [u8; 16] = 0x2140_2324_255e_262a_2829_5f2b_3a33_7c7e_u128.to_be_bytes();
    const AUTHENTICATOR_CHALLENGE: [u8; 16] = 0x5b5d_7c7d_7b3f_2f3e_3c2c_6021_3226_2628_u128.to_be_bytes();
    const NT_RESPONSE: [u8; 24] = [
        0x82, 0x30, 0x9e, 0xcd, 0x8d, 0x70, 0x8b, 0x5e, 0xa0, 0x8f, 0xaa, 0x39, 0x81, 0xcd, 0x83, 0x54, 0x42,
        0x33, 0x11, 0x4a, 0x3d, 0x85, 0xd6, 0xdf,
    ];

    #[test]
    fn password_hash_and_its_hash_are_the_documents() {
        let hash = nt_hash(b"clientPass");
        assert_eq!(*hash.expose(), 0x44eb_ba8d_5312_b8d6_1147_4411_f569_89ae_u128.to_be_bytes());
        let again = hash.hashed();
        assert_eq!(*again.expose(), 0x41c0_0c58_4bd2_d91c_4017_a2a1_2fa5_9f3f_u128.to_be_bytes());
    }

    #[test]
    fn challenge_response_and_server_proof_are_the_documents() {
        let challenge = challenge_hash(&PEER_CHALLENGE, &AUTHENTICATOR_CHALLENGE, b"User");
        assert_eq!(challenge, 0xd02e_4386_bce9_1226_u64.to_be_bytes());
        let hash = nt_hash(b"clientPass");
        assert_eq!(challenge_response(&challenge, &hash), NT_RESPONSE);
        let proof = authenticator_response(&hash.hashed(), &NT_RESPONSE, &challenge);
        assert_eq!(&proof, b"S=407A5589115FD0D6209F510FE9C04566932CDA56");
    }

    #[test]
    fn a_domain_in_front_of_the_name_does_not_count() {
        let bare = challenge_hash(&PEER_CHALLENGE, &AUTHENTICATOR_CHALLENGE, b"User");
        assert_eq!(challenge_hash(&PEER_CHALLENGE, &AUTHENTICATOR_CHALLENGE, br"BIGCO\User"), bare);
    }

    #[test]
    fn mppe_start_keys_are_the_documents() {
        let [send, receive] = mppe_keys(&nt_hash(b"clientPass").hashed(), &NT_RESPONSE);
        assert_eq!(send, 0x8b7c_dc14_9b99_3a1b_a118_cb15_3f56_dccb_u128.to_be_bytes());
        assert_ne!(receive, send);
    }

    #[test]
    fn rfc2433_b_2_version_1_response_is_the_documents() {
        let hash = nt_hash(b"MyPw");
        assert_eq!(*hash.expose(), 0xfc15_6af7_edcd_6c0e_dde3_337d_427f_4eac_u128.to_be_bytes());
        let response = challenge_response(&0x102d_b5df_085d_3041_u64.to_be_bytes(), &hash);
        let expected = [
            0x4e, 0x9d, 0x3c, 0x8f, 0x9c, 0xfd, 0x38, 0x5d, 0x5b, 0xf4, 0xd3, 0x24, 0x67, 0x91, 0x95, 0x6c,
            0xa4, 0xc3, 0x51, 0xab, 0x40, 0x9a, 0x3d, 0x61,
        ];
        assert_eq!(response, expected);
    }

    #[test]
    fn octets_that_are_not_utf8_count_as_latin_1() {
        assert_eq!(nt_hash(b"caf\xe9").expose(), nt_hash("café".as_bytes()).expose());
    }

    #[test]
    fn the_failure_texts_carry_ident_challenge_and_version() {
        let value = authentication_failure(7, &[0xab; 16]);
        assert_eq!(&value[..], b"\x07E=691 R=0 C=ABABABABABABABABABABABABABABABAB V=3");
        let value = authentication_failure_v1(9, &[0x0f; 8]);
        assert_eq!(&value[..], b"\x09E=691 R=0 C=0F0F0F0F0F0F0F0F V=2");
    }
}
