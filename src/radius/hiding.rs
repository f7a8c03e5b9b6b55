//! Values hidden under the shared secret: User-Password (RFC 2865 section 5.2), the salted form of
//! MS-MPPE-Send-Key, MS-MPPE-Recv-Key (RFC 2548 section 2.4.2) and Tunnel-Password (RFC 2868
//! section 3.5), and MS-CHAP-MPPE-Keys (RFC 2548 section 2.4.1).
//!
//! All are one stream: MD5 of the secret and the last 16 octets of ciphertext, exclusive-or'd onto
//! the next 16. It hides; it does not protect against change.
//!
//! The one rule: cleartext lies only in buffers that are wiped when dropped.

use zeroize::Zeroizing;

use super::authenticator::SharedSecret;
use super::encode::EncodeError;
use super::packet::Authenticator;

/// Room for a revealed User-Password; wiped when dropped.
#[derive(Debug)]
pub struct PasswordBuffer(Zeroizing<[u8; MAX_PASSWORD]>);

/// Room for a salted value; wiped when dropped.
#[derive(Debug)]
pub struct SaltedBuffer(Zeroizing<[u8; MAX_SALTED]>);

/// The salt of one salted attribute. Within one packet no two may be equal (RFC 2548 2.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt([u8; 2]);

/// Why a hidden value cannot be revealed. The peer's fault, or a wrong secret on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevealError {
    /// User-Password is not 16 to 128 octets in steps of 16.
    #[error("a User-Password of {octets} octets is not 16 to 128 in steps of 16")]
    PasswordLength {
        /// Octets of the attribute's value.
        octets: usize,
    },
    /// A salted value is not a salt and 16 to 240 octets in steps of 16.
    #[error("a salted value of {octets} octets is not 2 more than a multiple of 16")]
    SaltedLength {
        /// Octets of salt and ciphertext.
        octets: usize,
    },
    /// The leftmost bit of the salt is not set (RFC 2548 section 2.4.2).
    #[error("the salt's first bit is not set")]
    SaltBit,
    /// The length inside does not fit: the secret is wrong, or the value is damaged.
    #[error("the hidden length does not fit the value")]
    HiddenLength,
}

/// Hides a password; it is filled with NUL to a multiple of 16, the empty one to 16.
///
/// # Errors
/// When it is longer than 128 octets.
pub fn hide_user_password<'o>(
    password: &[u8],
    request_authenticator: &Authenticator,
    secret: &SharedSecret,
    out: &'o mut PasswordBuffer,
) -> Result<&'o [u8], EncodeError> {
    let too_long = EncodeError::PasswordTooLong { octets: password.len() };
    let length = password.len().div_ceil(CHUNK).max(1) * CHUNK;
    *out = PasswordBuffer::default();
    let hidden = out.0.get_mut(..length).ok_or(too_long)?;
    fill(hidden, password);
    hide_in_place(hidden, [request_authenticator, &[]], secret);
    Ok(hidden)
}

/// Reveals a password. Trailing NULs are padding and are cut; a NUL within stays.
///
/// # Errors
/// When the length is not one that RFC 2865 section 5.2 allows.
pub fn reveal_user_password<'o>(
    hidden: &[u8],
    request_authenticator: &Authenticator,
    secret: &SharedSecret,
    out: &'o mut PasswordBuffer,
) -> Result<&'o [u8], RevealError> {
    let wrong_length = RevealError::PasswordLength { octets: hidden.len() };
    if hidden.is_empty() || !hidden.len().is_multiple_of(CHUNK) {
        return Err(wrong_length);
    }
    let clear = out.0.get_mut(..hidden.len()).ok_or(wrong_length)?;
    reveal_into(clear, hidden, [request_authenticator, &[]], secret);
    let end = clear.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    Ok(clear.get(..end).unwrap_or_default())
}

/// Hides a value under a salt: salt, then the ciphertext of length, value and padding.
///
/// # Errors
/// When the value is longer than 239 octets.
pub fn hide_salted<'o>(
    value: &[u8],
    salt: Salt,
    request_authenticator: &Authenticator,
    secret: &SharedSecret,
    out: &'o mut SaltedBuffer,
) -> Result<&'o [u8], EncodeError> {
    let too_long = EncodeError::ValueTooLong { octets: value.len() };
    let length_field = u8::try_from(value.len()).map_err(|_| too_long)?;
    let length = (value.len() + 1).div_ceil(CHUNK) * CHUNK;
    *out = SaltedBuffer::default();
    let whole = out.0.get_mut(..SALT_LENGTH + length).ok_or(too_long)?;
    if let Some((salt_field, [length_octet, rest @ ..])) = whole.split_at_mut_checked(SALT_LENGTH) {
        salt_field.copy_from_slice(&salt.0);
        *length_octet = length_field;
        fill(rest, value);
    }
    if let Some(ciphertext) = whole.get_mut(SALT_LENGTH..) {
        hide_in_place(ciphertext, [request_authenticator, &salt.0], secret);
    }
    Ok(whole)
}

/// Reveals a salted value (without the tag octet that Tunnel-Password has in front).
///
/// # Errors
/// When lengths or salt break the form, which a wrong secret also causes.
pub fn reveal_salted<'o>(
    hidden: &[u8],
    request_authenticator: &Authenticator,
    secret: &SharedSecret,
    out: &'o mut SaltedBuffer,
) -> Result<&'o [u8], RevealError> {
    let wrong_length = RevealError::SaltedLength { octets: hidden.len() };
    let (salt, ciphertext) = hidden.split_first_chunk::<SALT_LENGTH>().ok_or(wrong_length)?;
    if ciphertext.is_empty() || !ciphertext.len().is_multiple_of(CHUNK) {
        return Err(wrong_length);
    }
    if salt[0] & SALT_BIT == 0 {
        return Err(RevealError::SaltBit);
    }
    let clear = out.0.get_mut(..ciphertext.len()).ok_or(wrong_length)?;
    reveal_into(clear, ciphertext, [request_authenticator, salt], secret);
    let (length, value) = clear.split_first().ok_or(wrong_length)?;
    value.get(..usize::from(*length)).ok_or(RevealError::HiddenLength)
}

/// The value of MS-CHAP-MPPE-Keys: no LAN Manager key, the NT key, hidden like a password.
#[must_use]
pub fn ms_chap_mppe_keys(
    nt_key: &[u8; 16],
    request_authenticator: &Authenticator,
    secret: &SharedSecret,
) -> [u8; 32] {
    let mut keys = [0; 32];
    let (_lan_manager_key, rest) = keys.split_at_mut(8);
    fill(rest, nt_key);
    hide_in_place(&mut keys, [request_authenticator, &[]], secret);
    keys
}

impl Salt {
    /// A salt from two random octets; its first bit is set, as RFC 2548 section 2.4.2 demands.
    #[must_use]
    pub const fn from_random(random: [u8; 2]) -> Self {
        let [first, second] = random;
        Self([first | SALT_BIT, second])
    }

    /// Two salts that surely differ, from random octets.
    #[must_use]
    pub const fn pair_from_random(random: [u8; 2]) -> [Self; 2] {
        let [first, second] = random;
        [Self::from_random([first, second]), Self::from_random([first, second ^ 1])]
    }
}

impl Default for PasswordBuffer {
    fn default() -> Self {
        Self(Zeroizing::new([0; MAX_PASSWORD]))
    }
}

impl Default for SaltedBuffer {
    fn default() -> Self {
        Self(Zeroizing::new([0; MAX_SALTED]))
    }
}

fn fill(target: &mut [u8], source: &[u8]) {
    for (target, source) in target.iter_mut().zip(source) {
        *target = *source;
    }
}

/// `start` is what the first pad is made from besides the secret.
fn hide_in_place(octets: &mut [u8], start: [&[u8]; 2], secret: &SharedSecret) {
    let mut previous: Option<[u8; CHUNK]> = None;
    for chunk in octets.chunks_exact_mut(CHUNK) {
        let pad = previous.map_or_else(|| secret.md5_before(start), |last| secret.md5_before([&last, &[]]));
        for (octet, mask) in chunk.iter_mut().zip(pad) {
            *octet ^= mask;
        }
        previous = chunk.first_chunk().copied();
    }
}

fn reveal_into(clear: &mut [u8], hidden: &[u8], start: [&[u8]; 2], secret: &SharedSecret) {
    let mut from = start;
    for (clear, hidden) in clear.chunks_exact_mut(CHUNK).zip(hidden.chunks_exact(CHUNK)) {
        let pad = secret.md5_before(from);
        for ((clear, hidden), mask) in clear.iter_mut().zip(hidden).zip(pad) {
            *clear = hidden ^ mask;
        }
        from = [hidden, &[]];
    }
}

/// MD5's output, the step of the stream.
const CHUNK: usize = 16;
/// The longest hidden password (RFC 2865 section 5.2).
const MAX_PASSWORD: usize = 128;
/// Octets of a salt.
const SALT_LENGTH: usize = 2;
/// The first bit of a salt, always set.
const SALT_BIT: u8 = 0x80;
/// A salt and the most whole chunks that fit one attribute besides tag and vendor header.
const MAX_SALTED: usize = SALT_LENGTH + 15 * CHUNK;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::secret::Secret;
    use crate::radius::examples::hex;

    /// The Request Authenticator of RFC 2865 section 7.1, for values computed elsewhere.
    const REQUEST: Authenticator = 0x0f40_3f94_7397_8057_bd83_d5cb_98f4_227a_u128.to_be_bytes();

    fn secret() -> SharedSecret {
        SharedSecret::new(Secret::from_text("xyzzy5461"))
    }

    fn there_and_back(password: &[u8]) -> Vec<u8> {
        let (mut hidden, mut clear) = (PasswordBuffer::default(), PasswordBuffer::default());
        let hidden = hide_user_password(password, &REQUEST, &secret(), &mut hidden).unwrap();
        assert_eq!(hidden.len(), password.len().div_ceil(16).max(1) * 16);
        reveal_user_password(hidden, &REQUEST, &secret(), &mut clear).unwrap().to_vec()
    }

    #[test]
    fn rfc2865_s5_2_passwords_of_0_to_128_octets_come_back() {
        for length in 0..=128 {
            assert_eq!(there_and_back(&vec![b'x'; length]), vec![b'x'; length]);
        }
    }

    #[test]
    fn rfc2865_s5_2_a_password_of_two_chunks_is_hidden_as_computed_elsewhere() {
        let expected = hex("0dec639881c903c42d86c4501e0a6781d0437e29f88f2bd18ef87572fe5afde8 \
             3630bb306982d60a0e804d095455f14f");
        let mut room = PasswordBuffer::default();
        let hidden = hide_user_password(b"a password of more than 16 octets", &REQUEST, &secret(), &mut room);
        assert_eq!(hidden.unwrap(), expected);
    }

    #[test]
    fn rfc2865_s5_2_a_nul_within_a_password_stays_and_trailing_ones_are_padding() {
        assert_eq!(there_and_back(b"ab\0cd"), b"ab\0cd");
        assert_eq!(there_and_back(b"ab\0\0"), b"ab");
    }

    #[test]
    fn rfc2865_s5_2_other_lengths_are_refused() {
        let mut room = PasswordBuffer::default();
        let refused = hide_user_password(&[1; 129], &REQUEST, &secret(), &mut room).unwrap_err();
        assert_eq!(refused, EncodeError::PasswordTooLong { octets: 129 });
        for octets in [0, 1, 15, 17, 127, 144] {
            let refused = reveal_user_password(&vec![1; octets], &REQUEST, &secret(), &mut room);
            assert_eq!(refused.unwrap_err(), RevealError::PasswordLength { octets });
        }
    }

    #[test]
    fn rfc2548_s2_4_2_a_send_key_is_hidden_as_computed_elsewhere() {
        let key = hex("8b7cdc149b993a1ba118cb153f56dccb");
        let expected = hex("8102586570b7f9255175b2aa690681c2f6c5ac2932546cf7f8603c668fb2cf8b4f5d");
        let (mut hidden, mut clear) = (SaltedBuffer::default(), SaltedBuffer::default());
        let salt = Salt::from_random([0x01, 0x02]);
        let hidden = hide_salted(&key, salt, &REQUEST, &secret(), &mut hidden).unwrap();
        assert_eq!(hidden, expected);
        assert_eq!(reveal_salted(hidden, &REQUEST, &secret(), &mut clear).unwrap(), key);
    }

    #[test]
    fn rfc2868_s3_5_a_tunnel_password_is_hidden_as_computed_elsewhere() {
        let mut room = SaltedBuffer::default();
        let salt = Salt::from_random([0xff, 0xfe]);
        let hidden = hide_salted(b"tunnel pass", salt, &REQUEST, &secret(), &mut room);
        assert_eq!(hidden.unwrap(), hex("fffed42a245e210703a90b210729154e2b72"));
    }

    #[test]
    fn rfc2548_s2_4_1_version_1_keys_are_hidden_as_computed_elsewhere() {
        let key = 0x41c0_0c58_4bd2_d91c_4017_a2a1_2fa5_9f3f_u128.to_be_bytes();
        let expected = hex("6ccc13f9f2ba74ab1e22e86733f8d3f2889a895e498fcfd940f3d06f6e0efbd7");
        assert_eq!(&ms_chap_mppe_keys(&key, &REQUEST, &secret())[..], expected);
    }

    #[test]
    fn rfc2548_s2_4_2_salts_have_their_first_bit_set_and_a_pair_differs() {
        for first in 0..=255 {
            let [a, b] = Salt::pair_from_random([first, first]);
            assert_ne!(a, b);
            assert!(a.0[0] & b.0[0] & 0x80 != 0);
        }
    }

    #[test]
    fn a_salted_value_of_the_wrong_form_is_refused() {
        let mut room = SaltedBuffer::default();
        for octets in [0, 1, 2, 17, 19, 258] {
            let refused = reveal_salted(&vec![0xff; octets], &REQUEST, &secret(), &mut room);
            assert_eq!(refused.unwrap_err(), RevealError::SaltedLength { octets });
        }
        let refused = reveal_salted(&[0x7f; 18], &REQUEST, &secret(), &mut room).unwrap_err();
        assert_eq!(refused, RevealError::SaltBit);
        let refused = hide_salted(&[0; 240], Salt([0x80, 0]), &REQUEST, &secret(), &mut room);
        assert_eq!(refused.unwrap_err(), EncodeError::ValueTooLong { octets: 240 });
        assert!(hide_salted(&[0; 239], Salt([0x80, 0]), &REQUEST, &secret(), &mut room).is_ok());
    }

    proptest! {
        #[test]
        fn any_salted_value_comes_back(
            value in prop::collection::vec(any::<u8>(), 0..240),
            salt: [u8; 2],
            request: [u8; 16],
        ) {
            let (mut hidden, mut clear) = (SaltedBuffer::default(), SaltedBuffer::default());
            let salt = Salt::from_random(salt);
            let hidden = hide_salted(&value, salt, &request, &secret(), &mut hidden).unwrap();
            prop_assert_eq!(reveal_salted(hidden, &request, &secret(), &mut clear).unwrap(), value);
        }
    }
}
