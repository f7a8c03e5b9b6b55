//! Proof that a packet comes from somebody who knows the shared secret.
//!
//! Three proofs exist: the Request Authenticator of Accounting-Request (RFC 2866 section 3), the
//! Response Authenticator (RFC 2865 section 3), and Message-Authenticator (RFC 3579 section 3.2).
//! The MD5 ones can be forged by a collision (CVE-2024-3596); Message-Authenticator cannot, and
//! which one is demanded is decided in [`super::exchange`].
//!
//! The one rule: comparisons take the same time whatever the octets.

use std::fmt;

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::packet::{AUTHENTICATOR_LENGTH, Authenticator, Code, HEADER_LENGTH, MessageAuthenticator, Packet};
use crate::base::secret::Secret;

/// A shared secret with what can be computed from it once: the two HMAC-MD5 states (RFC 2104) and
/// the state that hiding starts from. Wiped when dropped.
#[derive(Clone)]
pub struct SharedSecret {
    secret: Secret,
    inner: Md5,
    outer: Md5,
    prefix: Md5,
}

/// Why a packet is not authentic. The peer's fault, or a wrong secret on either side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthenticityError {
    /// There is no Message-Authenticator where one is needed.
    #[error("the packet has no Message-Authenticator")]
    MessageAuthenticatorMissing,
    /// Message-Authenticator is not 16 octets long.
    #[error("the Message-Authenticator is not 16 octets long")]
    MessageAuthenticatorLength,
    /// More than one Message-Authenticator.
    #[error("the packet has more than one Message-Authenticator")]
    MessageAuthenticatorRepeated,
    /// Message-Authenticator does not fit packet and secret.
    #[error("the Message-Authenticator does not fit packet and shared secret")]
    MessageAuthenticatorWrong,
    /// The Request or Response Authenticator does not fit packet and secret.
    #[error("the authenticator does not fit packet and shared secret")]
    AuthenticatorWrong,
}

impl SharedSecret {
    /// Computes the states; done once per NAS, not per packet.
    #[must_use]
    pub fn new(secret: Secret) -> Self {
        let key = hmac_key(secret.expose());
        let inner = Md5::new().chain_update(masked(&key, INNER_PAD).as_slice());
        let outer = Md5::new().chain_update(masked(&key, OUTER_PAD).as_slice());
        let prefix = Md5::new().chain_update(secret.expose());
        Self { secret, inner, outer, prefix }
    }

    /// The secret itself.
    #[must_use]
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }

    /// MD5 of the secret followed by `parts` (RFC 2865 section 5.2 and what was modelled on it).
    pub(super) fn md5_before(&self, parts: [&[u8]; 2]) -> [u8; 16] {
        let [first, second] = parts;
        self.prefix.clone().chain_update(first).chain_update(second).finalize().into()
    }

    /// MD5 of header, authenticator and attributes, then the secret.
    fn md5_after(&self, head: &[u8], authenticator: &Authenticator, attributes: &[u8]) -> [u8; 16] {
        let digest = Md5::new().chain_update(head).chain_update(authenticator).chain_update(attributes);
        digest.chain_update(self.secret.expose()).finalize().into()
    }

    /// The Message-Authenticator of a packet in which it stands at `offset`, computed as if the
    /// packet's authenticator were `authenticator`. Whatever stands at `offset` counts as zero.
    /// `None` only where `offset` leaves no room for it within `octets`.
    #[must_use]
    pub fn message_authenticator(
        &self,
        octets: &[u8],
        offset: usize,
        authenticator: &Authenticator,
    ) -> Option<[u8; 16]> {
        let head = octets.get(..CODE_TO_LENGTH)?;
        let before = octets.get(HEADER_LENGTH..offset)?;
        let after = octets.get(offset..)?.get(AUTHENTICATOR_LENGTH..)?;
        let inner = self.inner.clone().chain_update(head).chain_update(authenticator).chain_update(before);
        let inner = inner.chain_update(ZERO).chain_update(after).finalize();
        Some(self.outer.clone().chain_update(inner).finalize().into())
    }

    /// The Request Authenticator of a request that is signed rather than random (RFC 2866 section
    /// 3, RFC 5176 section 2.3), or, with the request's authenticator, the Response Authenticator.
    #[must_use]
    pub fn packet_authenticator(&self, octets: &[u8], authenticator: &Authenticator) -> Option<[u8; 16]> {
        let head = octets.get(..CODE_TO_LENGTH)?;
        Some(self.md5_after(head, authenticator, octets.get(HEADER_LENGTH..)?))
    }
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSecret(…)")
    }
}

/// Checks the Message-Authenticator of a request (RFC 3579 section 3.2, RFC 5997 section 3).
///
/// For Access-Request and Status-Server it covers the random Request Authenticator; where the
/// authenticator is itself a signature (Accounting-Request, RFC 5176 section 2.3 for the others)
/// it is computed with sixteen zero octets in that place.
///
/// # Errors
/// When there is not exactly one of 16 octets, or it is wrong.
pub fn verify_request_message_authenticator(
    request: &Packet<'_>,
    secret: &SharedSecret,
) -> Result<(), AuthenticityError> {
    verify_message_authenticator(request, secret, signed_over(request))
}

fn signed_over<'a>(request: &Packet<'a>) -> &'a Authenticator {
    match request.code() {
        Code::AccountingRequest | Code::DisconnectRequest | Code::CoaRequest => &ZERO,
        Code::AccessRequest
        | Code::AccessAccept
        | Code::AccessReject
        | Code::AccountingResponse
        | Code::AccessChallenge
        | Code::StatusServer
        | Code::StatusClient
        | Code::DisconnectAck
        | Code::DisconnectNak
        | Code::CoaAck
        | Code::CoaNak
        | Code::Unknown(_) => request.authenticator(),
    }
}

fn verify_message_authenticator(
    packet: &Packet<'_>,
    secret: &SharedSecret,
    authenticator: &Authenticator,
) -> Result<(), AuthenticityError> {
    let offset = match packet.message_authenticator() {
        MessageAuthenticator::Present { offset } => offset,
        MessageAuthenticator::Absent => return Err(AuthenticityError::MessageAuthenticatorMissing),
        MessageAuthenticator::WrongLength => return Err(AuthenticityError::MessageAuthenticatorLength),
        MessageAuthenticator::Repeated => return Err(AuthenticityError::MessageAuthenticatorRepeated),
    };
    let expected = secret.message_authenticator(packet.octets(), offset, authenticator);
    let given = packet.octets().get(offset..).and_then(|rest| rest.first_chunk::<AUTHENTICATOR_LENGTH>());
    match (expected, given) {
        (Some(expected), Some(given)) if equal(&expected, given) => Ok(()),
        (_, _) => Err(AuthenticityError::MessageAuthenticatorWrong),
    }
}

/// Checks the Request Authenticator of an Accounting-Request, over the octets of the Length field
/// and not over padding (RFC 2866 section 3).
///
/// # Errors
/// When it does not fit the secret.
pub fn verify_accounting_request(
    request: &Packet<'_>,
    secret: &SharedSecret,
) -> Result<(), AuthenticityError> {
    verify_authenticator(request, secret, &ZERO)
}

/// Checks a reply against the authenticator of the request that it answers: the Response
/// Authenticator, and Message-Authenticator where the reply has one.
///
/// # Errors
/// When either is wrong, or Message-Authenticator is not exactly one of 16 octets. Its absence is
/// the caller's to judge: see [`Packet::message_authenticator`].
pub fn verify_response(
    reply: &Packet<'_>,
    request_authenticator: &Authenticator,
    secret: &SharedSecret,
) -> Result<(), AuthenticityError> {
    verify_authenticator(reply, secret, request_authenticator)?;
    match reply.message_authenticator() {
        MessageAuthenticator::Absent => Ok(()),
        MessageAuthenticator::Present { .. }
        | MessageAuthenticator::WrongLength
        | MessageAuthenticator::Repeated => {
            verify_message_authenticator(reply, secret, request_authenticator)
        }
    }
}

fn verify_authenticator(
    packet: &Packet<'_>,
    secret: &SharedSecret,
    computed_with: &Authenticator,
) -> Result<(), AuthenticityError> {
    let expected = secret.packet_authenticator(packet.octets(), computed_with);
    if expected.is_some_and(|expected| equal(&expected, packet.authenticator())) {
        Ok(())
    } else {
        Err(AuthenticityError::AuthenticatorWrong)
    }
}

/// Equality that takes the same time wherever the first difference is.
pub(super) fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// RFC 2104: a key longer than a block is hashed first; a shorter one is filled with zeros.
fn hmac_key(secret: &[u8]) -> Zeroizing<[u8; BLOCK]> {
    let mut key = Zeroizing::new([0; BLOCK]);
    if let Some(room) = key.get_mut(..secret.len()) {
        room.copy_from_slice(secret);
    } else {
        let digest = Zeroizing::new(<[u8; 16]>::from(Md5::digest(secret)));
        for (target, source) in key.iter_mut().zip(digest.iter()) {
            *target = *source;
        }
    }
    key
}

fn masked(key: &[u8; BLOCK], pad: u8) -> Zeroizing<[u8; BLOCK]> {
    Zeroizing::new(key.map(|octet| octet ^ pad))
}

/// An authenticator of sixteen zero octets.
pub(super) const ZERO: Authenticator = [0; AUTHENTICATOR_LENGTH];
/// Octets of Code, Identifier and Length.
const CODE_TO_LENGTH: usize = 4;
/// MD5's block, and so HMAC-MD5's key, in octets.
const BLOCK: usize = 64;
/// RFC 2104's `ipad`.
const INNER_PAD: u8 = 0x36;
/// RFC 2104's `opad`.
const OUTER_PAD: u8 = 0x5c;

#[cfg(test)]
mod rfc2104_tests {
    use super::*;

    /// RFC 2202's data laid out as a packet would be, since only packets can be signed here.
    fn hmac(key: &[u8], data: &[u8]) -> [u8; 16] {
        let secret = SharedSecret::new(Secret::new(key));
        let inner = secret.inner.clone().chain_update(data).finalize();
        secret.outer.clone().chain_update(inner).finalize().into()
    }

    #[test]
    fn rfc2202_vectors_hold_for_short_and_long_keys() {
        let expected = 0x9294_727a_3638_bb1c_13f4_8ef8_158b_fc9d_u128.to_be_bytes();
        assert_eq!(hmac(&[0x0b; 16], b"Hi There"), expected);
        let expected = 0x750c_783e_6ab0_b503_eaa8_6e31_0a5d_b738_u128.to_be_bytes();
        assert_eq!(hmac(b"Jefe", b"what do ya want for nothing?"), expected);
        let expected = 0x6b1a_b7fe_4bd7_bf8f_0b62_e6ce_61b9_d0cd_u128.to_be_bytes();
        assert_eq!(hmac(&[0xaa; 80], b"Test Using Larger Than Block-Size Key - Hash Key First"), expected);
    }

    #[test]
    fn a_shared_secret_does_not_print_itself() {
        let secret = SharedSecret::new(Secret::from_text("xyzzy5461"));
        assert_eq!(format!("{secret:?}"), "SharedSecret(…)");
    }
}
