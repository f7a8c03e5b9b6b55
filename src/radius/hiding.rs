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
