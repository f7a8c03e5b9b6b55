//! What a peer sent to prove that it knows a password, and whether it does: PAP and CHAP (RFC 2865
//! sections 5.2 and 5.3), MS-CHAP version 1 and 2 (RFC 2548 section 2, RFC 2759).
//!
//! A request proves in one way or not at all; two ways at once, or a LAN Manager response, are
//! errors and not a choice to be made here.
//!
//! The one rule: a proof is compared in constant time, and what it earned is wiped when dropped.

use md5::{Digest, Md5};
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::attribute::{Kind, VendorKind};
use super::authenticator::{SharedSecret, equal};
use super::hiding::{self, PasswordBuffer, RevealError};
use super::mschap::{self, NtHash};
use super::packet::Packet;

/// A peer's proof. Borrows the packet, and for PAP the buffer in which the password was revealed.
///
/// It does not print what it holds.
#[derive(Clone, Copy)]
pub enum Proof<'a> {
    /// The password itself.
    Pap(&'a [u8]),
    /// RFC 2865 section 5.3.
    Chap {
        /// CHAP's identifier.
        id: u8,
        /// CHAP-Challenge, or the Request Authenticator.
        challenge: &'a [u8],
        /// MD5 of identifier, password and challenge.
        response: &'a [u8; 16],
    },
    /// RFC 2548 section 2.1.3, the NT response.
    MsChapV1 {
        /// Identifier, for a failure answer.
        ident: u8,
        /// MS-CHAP-Challenge.
        challenge: &'a [u8; 8],
        /// The NT response.
        response: &'a [u8; 24],
    },
    /// RFC 2548 section 2.3.2.
    MsChapV2 {
        /// Identifier, for success and failure answers.
        ident: u8,
        /// MS-CHAP-Challenge, what the NAS sent.
        authenticator_challenge: &'a [u8; 16],
        /// What the peer added.
        peer_challenge: &'a [u8; 16],
        /// The NT response.
        response: &'a [u8; 24],
    },
}

/// A password method's name, for logs, counters and the record of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// User-Password.
    Pap,
    /// CHAP-Password.
    Chap,
    /// MS-CHAP-Response.
    MsChapV1,
    /// MS-CHAP2-Response.
    MsChapV2,
}

/// Why a request's proof cannot be read. The peer's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// More than one method, or one of them twice (RFC 2865 section 4.1 forbids it).
    #[error("the request proves in more than one way")]
    Several,
    /// EAP-Message: another room's work.
    #[error("the request asks for EAP, not for a password method")]
    Eap,
    /// User-Password cannot be revealed.
    #[error("the User-Password cannot be revealed")]
    UserPassword(#[source] RevealError),
    /// A response whose length is not its method's.
    #[error("a {} response of {octets} octets has the wrong length", method.name())]
    ResponseLength {
        /// Which method.
        method: Method,
        /// Octets of the attribute's value.
        octets: usize,
    },
    /// A challenge that is missing, or has not the method's length.
    #[error("the challenge for {} is {octets} octets long (0: missing)", method.name())]
    ChallengeLength {
        /// Which method.
        method: Method,
        /// Octets of the challenge.
        octets: usize,
    },
    /// MS-CHAP version 1 with a LAN Manager response only, which gives the password away.
    #[error("the MS-CHAP response is a LAN Manager one")]
    LanManager,
}

/// Whether a proof fits a password.
#[derive(Debug)]
pub enum Verdict {
    /// It does; what the method owes the peer is inside.
    Accepted(Extras),
    /// It does not.
    Wrong,
}

/// What goes into the Access-Accept besides the product's attributes.
#[derive(Zeroize, ZeroizeOnDrop)]
pub enum Extras {
    /// Nothing: PAP, CHAP.
    None,
    /// The NT key of MS-CHAP-MPPE-Keys (RFC 2548 section 2.4.1).
    MsChapV1([u8; 16]),
    /// Server proof and keys.
    MsChapV2(MsChapV2Extras),
}

/// What MS-CHAP version 2 owes the peer.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MsChapV2Extras {
    /// The response's identifier, repeated in MS-CHAP2-Success.
    pub ident: u8,
    /// "S=" and 40 hexadecimal digits.
    pub authenticator_response: [u8; 42],
    /// MS-MPPE-Send-Key.
    pub send_key: [u8; 16],
    /// MS-MPPE-Recv-Key.
    pub receive_key: [u8; 16],
}

impl<'a> Proof<'a> {
    /// Reads the proof of an Access-Request; `None` where it has none at all.
    ///
    /// # Errors
    /// When what it has cannot be used.
    pub fn from_request(
        request: &Packet<'a>,
        secret: &SharedSecret,
        room: &'a mut PasswordBuffer,
    ) -> Result<Option<Self>, ProofError> {
        match Sent::find(request)? {
            Sent { eap: true, .. } => Err(ProofError::Eap),
            Sent { pap: Some(hidden), chap: None, v1: None, v2: None, .. } => {
                hiding::reveal_user_password(hidden, request.authenticator(), secret, room)
                    .map(|password| Some(Self::Pap(password)))
                    .map_err(ProofError::UserPassword)
            }
            Sent { pap: None, chap: Some(value), v1: None, v2: None, challenge, .. } => {
                Self::chap(value, challenge.unwrap_or_else(|| request.authenticator())).map(Some)
            }
            Sent { pap: None, chap: None, v1: Some(value), v2: None, ms_challenge, .. } => {
                Self::ms_chap_v1(value, ms_challenge.unwrap_or_default()).map(Some)
            }
            Sent { pap: None, chap: None, v1: None, v2: Some(value), ms_challenge, .. } => {
                Self::ms_chap_v2(value, ms_challenge.unwrap_or_default()).map(Some)
            }
            Sent { pap: None, chap: None, v1: None, v2: None, .. } => Ok(None),
            Sent { .. } => Err(ProofError::Several),
        }
    }

    fn chap(value: &'a [u8], challenge: &'a [u8]) -> Result<Self, ProofError> {
        let method = Method::Chap;
        let wrong_length = ProofError::ResponseLength { method, octets: value.len() };
        let (id, response) = value.split_first().ok_or(wrong_length)?;
        let response = response.try_into().map_err(|_| wrong_length)?;
        if challenge.len() < MIN_CHAP_CHALLENGE {
            return Err(ProofError::ChallengeLength { method, octets: challenge.len() });
        }
        Ok(Self::Chap { id: *id, challenge, response })
    }

    fn ms_chap_v1(value: &'a [u8], challenge: &'a [u8]) -> Result<Self, ProofError> {
        let method = Method::MsChapV1;
        let value: &[u8; 50] =
            value.try_into().map_err(|_| ProofError::ResponseLength { method, octets: value.len() })?;
        let challenge = challenge
            .try_into()
            .map_err(|_| ProofError::ChallengeLength { method, octets: challenge.len() })?;
        let [ident, flags, both @ ..] = value;
        // Flag 1 says that the NT response counts (RFC 2548 section 2.1.3).
        if *flags != 1 {
            return Err(ProofError::LanManager);
        }
        let (_lan_manager, response) = both.split_last_chunk::<24>().ok_or(ProofError::LanManager)?;
        Ok(Self::MsChapV1 { ident: *ident, challenge, response })
    }

    fn ms_chap_v2(value: &'a [u8], challenge: &'a [u8]) -> Result<Self, ProofError> {
        let method = Method::MsChapV2;
        let wrong_length = ProofError::ResponseLength { method, octets: value.len() };
        let value: &[u8; 50] = value.try_into().map_err(|_| wrong_length)?;
        let authenticator_challenge = challenge
            .try_into()
            .map_err(|_| ProofError::ChallengeLength { method, octets: challenge.len() })?;
        let [ident, _flags, rest @ ..] = value;
        let (peer_challenge, rest) = rest.split_first_chunk::<16>().ok_or(wrong_length)?;
        let (_reserved, response) = rest.split_last_chunk::<24>().ok_or(wrong_length)?;
        Ok(Self::MsChapV2 { ident: *ident, authenticator_challenge, peer_challenge, response })
    }

    /// Which method this is.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::Pap(_) => Method::Pap,
            Self::Chap { .. } => Method::Chap,
            Self::MsChapV1 { .. } => Method::MsChapV1,
            Self::MsChapV2 { .. } => Method::MsChapV2,
        }
    }

    /// Holds the proof against the password. `user_name` is the User-Name as the peer sent it; a
    /// domain in front of it is left out where RFC 2759 section 4 says so.
    #[must_use]
    pub fn verify(&self, user_name: &[u8], password: &[u8]) -> Verdict {
        match self {
            Self::Pap(sent) => accepted_if(equal(sent, password)),
            Self::Chap { id, challenge, response } => {
                let expected = Md5::new().chain_update([*id]).chain_update(password);
                accepted_if(equal(&expected.chain_update(challenge).finalize(), *response))
            }
            Self::MsChapV1 { challenge, response, .. } => {
                verify_v1(challenge, response, &mschap::nt_hash(password))
            }
            Self::MsChapV2 { .. } => self.verify_v2(user_name, &mschap::nt_hash(password)),
        }
    }

    /// Holds the proof against a stored NT hash; `None` for CHAP, which needs the password itself.
    #[must_use]
    pub fn verify_nt_hash(&self, user_name: &[u8], hash: &NtHash) -> Option<Verdict> {
        match self {
            Self::Pap(sent) => Some(accepted_if(equal(mschap::nt_hash(sent).expose(), hash.expose()))),
            Self::Chap { .. } => None,
            Self::MsChapV1 { challenge, response, .. } => Some(verify_v1(challenge, response, hash)),
            Self::MsChapV2 { .. } => Some(self.verify_v2(user_name, hash)),
        }
    }

    fn verify_v2(&self, user_name: &[u8], hash: &NtHash) -> Verdict {
        let Self::MsChapV2 { ident, authenticator_challenge, peer_challenge, response } = self else {
            return Verdict::Wrong;
        };
        let challenge = mschap::challenge_hash(peer_challenge, authenticator_challenge, user_name);
        if !equal(&mschap::challenge_response(&challenge, hash), *response) {
            return Verdict::Wrong;
        }
        let hash_of_hash = hash.hashed();
        let [send_key, receive_key] = mschap::mppe_keys(&hash_of_hash, response);
        let authenticator_response = mschap::authenticator_response(&hash_of_hash, response, &challenge);
        let extras = MsChapV2Extras { ident: *ident, authenticator_response, send_key, receive_key };
        Verdict::Accepted(Extras::MsChapV2(extras))
    }

    /// Writes the failure answer that the method has, from fresh random octets: MS-CHAP-Error for
    /// MS-CHAP, nothing for PAP and CHAP. Gives attribute and value to `write`.
    ///
    /// # Errors
    /// As `write`.
    pub fn failure<E>(
        &self,
        random: &[u8; 16],
        write: impl FnOnce(VendorKind, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Pap(_) | Self::Chap { .. } => Ok(()),
            Self::MsChapV1 { ident, .. } => {
                let challenge = random.first_chunk().copied().unwrap_or_default();
                write(VendorKind::MS_CHAP_ERROR, &mschap::authentication_failure_v1(*ident, &challenge))
            }
            Self::MsChapV2 { ident, .. } => {
                write(VendorKind::MS_CHAP_ERROR, &mschap::authentication_failure(*ident, random))
            }
        }
    }
}

impl std::fmt::Debug for Proof<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proof({})", self.method().name())
    }
}

impl std::fmt::Debug for Extras {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Extras(…)")
    }
}

impl std::fmt::Debug for MsChapV2Extras {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MsChapV2Extras(…)")
    }
}

impl Method {
    /// The method's name as operators write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pap => "pap",
            Self::Chap => "chap",
            Self::MsChapV1 => "mschapv1",
            Self::MsChapV2 => "mschapv2",
        }
    }
}

impl Verdict {
    /// True where the proof fits.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        match self {
            Self::Accepted(_) => true,
            Self::Wrong => false,
        }
    }
}

const fn accepted_if(fits: bool) -> Verdict {
    if fits { Verdict::Accepted(Extras::None) } else { Verdict::Wrong }
}

fn verify_v1(challenge: &[u8; 8], response: &[u8; 24], hash: &NtHash) -> Verdict {
    if equal(&mschap::challenge_response(challenge, hash), response) {
        Verdict::Accepted(Extras::MsChapV1(*hash.hashed().expose()))
    } else {
        Verdict::Wrong
    }
}

/// The attributes of a request that take part in proving.
#[derive(Default)]
struct Sent<'a> {
    pap: Option<&'a [u8]>,
    chap: Option<&'a [u8]>,
    challenge: Option<&'a [u8]>,
    v1: Option<&'a [u8]>,
    v2: Option<&'a [u8]>,
    ms_challenge: Option<&'a [u8]>,
    eap: bool,
}

impl<'a> Sent<'a> {
    fn find(request: &Packet<'a>) -> Result<Self, ProofError> {
        let mut sent = Self::default();
        for attribute in request.attributes() {
            match attribute.kind {
                Kind::USER_PASSWORD => once(&mut sent.pap, attribute.value)?,
                Kind::CHAP_PASSWORD => once(&mut sent.chap, attribute.value)?,
                Kind::CHAP_CHALLENGE => once(&mut sent.challenge, attribute.value)?,
                Kind::EAP_MESSAGE => sent.eap = true,
                _ => {}
            }
        }
        for found in request.vendor_attributes() {
            match found.kind {
                VendorKind::MS_CHAP_RESPONSE => once(&mut sent.v1, found.value)?,
                VendorKind::MS_CHAP2_RESPONSE => once(&mut sent.v2, found.value)?,
                VendorKind::MS_CHAP_CHALLENGE => once(&mut sent.ms_challenge, found.value)?,
                _ => {}
            }
        }
        Ok(sent)
    }
}

fn once<'a>(place: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), ProofError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(ProofError::Several),
    }
}

/// RFC 2865 section 5.40: a CHAP-Challenge has at least five octets.
const MIN_CHAP_CHALLENGE: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    const PASSWORD: &[u8] = b"clientPass";

    fn secret() -> SharedSecret {
        SharedSecret::new(Secret::from_text("xyzzy5461"))
    }

    fn request(attributes: &[u8]) -> Vec<u8> {
        let length = u16::try_from(20 + attributes.len()).unwrap().to_be_bytes();
        [&[1, 7][..], &length, &[3; 16], attributes].concat()
    }

    fn vendor(kind: u8, value: &[u8]) -> Vec<u8> {
        let length = u8::try_from(value.len()).unwrap();
        [&[26, length + 8, 0, 0, 1, 55, kind, length + 2][..], value].concat()
    }

    fn proof_of<T>(attributes: &[u8], judge: impl Fn(Result<Option<Proof<'_>>, ProofError>) -> T) -> T {
        let (octets, mut room) = (request(attributes), PasswordBuffer::default());
        judge(Proof::from_request(&Packet::decode(&octets).unwrap(), &secret(), &mut room))
    }

    fn error_of(attributes: &[u8]) -> ProofError {
        proof_of(attributes, |proof| proof.unwrap_err())
    }

    fn ms_chap_v2(user_name: &[u8]) -> Vec<u8> {
        let challenge = mschap::challenge_hash(&[2; 16], &[1; 16], user_name);
        let response = mschap::challenge_response(&challenge, &mschap::nt_hash(PASSWORD));
        let value = [&[5, 0][..], &[2; 16], &[0; 8], &response].concat();
        [vendor(11, &[1; 16]), vendor(25, &value)].concat()
    }

    fn ms_chap_v1(flags: u8) -> Vec<u8> {
        let response = mschap::challenge_response(&[1; 8], &mschap::nt_hash(PASSWORD));
        let value = [&[5, flags][..], &[0; 24], &response].concat();
        [vendor(11, &[1; 8]), vendor(1, &value)].concat()
    }

    #[test]
    fn a_request_without_a_proof_has_none() {
        proof_of(&[1, 3, b'a'], |proof| assert!(proof.unwrap().is_none()));
    }

    #[test]
    fn rfc2865_s4_1_two_proofs_or_one_twice_are_an_error() {
        let pap = [&[2u8, 18][..], &[0; 16]].concat();
        let chap = [&[3u8, 19][..], &[0; 17]].concat();
        for both in [
            [&pap[..], &chap].concat(),
            [&pap[..], &pap].concat(),
            [&chap[..], &ms_chap_v2(b"a")].concat(),
            [ms_chap_v1(1), ms_chap_v2(b"a")].concat(),
        ] {
            assert_eq!(error_of(&both), ProofError::Several);
        }
    }

    #[test]
    fn eap_is_another_rooms_work() {
        assert_eq!(error_of(&[79, 3, 1]), ProofError::Eap);
    }

    #[test]
    fn rfc2548_s2_1_3_a_lan_manager_response_is_refused() {
        assert_eq!(error_of(&ms_chap_v1(0)), ProofError::LanManager);
    }

    #[test]
    fn responses_and_challenges_of_the_wrong_length_are_refused() {
        assert_eq!(error_of(&[3, 3, 1]), ProofError::ResponseLength { method: Method::Chap, octets: 1 });
        let short_challenge = [&[3u8, 19][..], &[0; 17], &[60, 6, 1, 2, 3, 4]].concat();
        let expected = ProofError::ChallengeLength { method: Method::Chap, octets: 4 };
        assert_eq!(error_of(&short_challenge), expected);
        let expected = ProofError::ResponseLength { method: Method::MsChapV2, octets: 49 };
        assert_eq!(error_of(&vendor(25, &[0; 49])), expected);
        let expected = ProofError::ChallengeLength { method: Method::MsChapV2, octets: 0 };
        assert_eq!(error_of(&vendor(25, &[0; 50])), expected);
        let expected = ProofError::ChallengeLength { method: Method::MsChapV1, octets: 16 };
        assert_eq!(error_of(&[vendor(11, &[0; 16]), vendor(1, &[1; 50])].concat()), expected);
        let expected = RevealError::PasswordLength { octets: 3 };
        assert_eq!(error_of(&[2, 5, 1, 2, 3]), ProofError::UserPassword(expected));
    }

    #[test]
    fn rfc2865_s5_40_a_chap_challenge_attribute_counts_before_the_authenticator() {
        let digest = Md5::new().chain_update([9]).chain_update(PASSWORD).chain_update([6; 8]);
        let response: [u8; 16] = digest.finalize().into();
        let attributes = [&[3u8, 19, 9][..], &response, &[60, 10], &[6; 8]].concat();
        proof_of(&attributes, |proof| {
            assert!(proof.unwrap().unwrap().verify(b"a", PASSWORD).is_accepted());
        });
    }

    #[test]
    fn rfc2759_s4_the_name_is_taken_without_its_domain_on_both_sides() {
        for (hashed, sent) in [(&b"User"[..], &br"BIGCO\User"[..]), (br"BIGCO\User", b"User")] {
            proof_of(&ms_chap_v2(hashed), |proof| {
                assert!(proof.unwrap().unwrap().verify(sent, PASSWORD).is_accepted());
            });
        }
        proof_of(&ms_chap_v2(b"User"), |proof| {
            assert!(!proof.unwrap().unwrap().verify(b"Other", PASSWORD).is_accepted());
        });
    }

    #[test]
    fn a_stored_nt_hash_does_for_all_but_chap() {
        let hash = mschap::nt_hash(PASSWORD);
        let other = mschap::nt_hash(b"other");
        for attributes in [ms_chap_v1(1), ms_chap_v2(b"User")] {
            proof_of(&attributes, |proof| {
                let proof = proof.unwrap().unwrap();
                assert!(proof.verify_nt_hash(b"User", &hash).unwrap().is_accepted());
                assert!(!proof.verify_nt_hash(b"User", &other).unwrap().is_accepted());
            });
        }
        assert!(Proof::Pap(PASSWORD).verify_nt_hash(b"User", &hash).unwrap().is_accepted());
        proof_of(&[&[3u8, 19][..], &[0; 17]].concat(), |proof| {
            assert!(proof.unwrap().unwrap().verify_nt_hash(b"User", &hash).is_none());
        });
    }

    #[test]
    fn the_failure_answer_is_the_methods_own() {
        let value = |attributes: &[u8]| {
            proof_of(attributes, |proof| {
                let mut written = Vec::new();
                let write = |kind, value: &[u8]| -> Result<(), ()> {
                    written.push((kind, value.to_vec()));
                    Ok(())
                };
                proof.unwrap().unwrap().failure(&[0xab; 16], write).unwrap();
                written
            })
        };
        let expected = mschap::authentication_failure(5, &[0xab; 16]).to_vec();
        assert_eq!(value(&ms_chap_v2(b"a")), [(VendorKind::MS_CHAP_ERROR, expected)]);
        let expected = mschap::authentication_failure_v1(5, &[0xab; 8]).to_vec();
        assert_eq!(value(&ms_chap_v1(1)), [(VendorKind::MS_CHAP_ERROR, expected)]);
        assert_eq!(value(&[&[3u8, 19][..], &[0; 17]].concat()), []);
    }

    #[test]
    fn proofs_and_extras_do_not_print_what_they_hold() {
        assert_eq!(format!("{:?}", Proof::Pap(b"hunter2")), "Proof(pap)");
        let verdict = Proof::Pap(b"x").verify(b"a", b"x");
        assert_eq!(format!("{verdict:?}"), "Accepted(Extras(…))");
    }
}
