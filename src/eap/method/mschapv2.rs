//! EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2-02, MS-CHAP section 2 over RFC 2759): challenge, response, the
//! server's own proof, and the peer's word that it fits.
//!
//! The one rule: success is said to the caller only after the peer has acknowledged our proof.

use super::{Keys, Progress, Round};
use crate::eap::claim::{Claim, Judgement, MsChapError};
use crate::eap::conversation::Fault;
use crate::radius::Extras;

/// Where the exchange stands.
#[derive(Debug)]
pub(in crate::eap) struct MsChapV2 {
    challenge: [u8; 16],
    ident: u8,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// The challenge is out.
    Challenged,
    /// The response is being judged.
    Judging,
    /// Our proof is out.
    Proven(Keys),
    /// The refusal is out.
    Refused,
}

impl MsChapV2 {
    pub(super) fn begin(round: &Round<'_>) -> (Self, Vec<u8>) {
        let (challenge, ident) = (round.random.challenge(), round.identifier);
        let body = [&[CHALLENGE_SIZE][..], &challenge, SERVER_NAME].concat();
        (Self { challenge, ident, stage: Stage::Challenged }, packet(CHALLENGE, ident, &body))
    }

    pub(super) fn receive(&mut self, data: &[u8], round: &Round<'_>) -> Progress {
        let Some((operation, rest)) = data.split_first() else { return Progress::Ignore };
        match (&self.stage, *operation) {
            (Stage::Challenged, RESPONSE) => self.take_response(data, rest, round),
            (Stage::Proven(keys), SUCCESS) => Progress::Success(Some(keys.clone())),
            // The peer refuses our proof, or has given up: no word of ours can mend it.
            (Stage::Proven(_), FAILURE) => Progress::Failure(Fault::PeerRefused),
            (Stage::Refused, SUCCESS | FAILURE) => Progress::Failure(Fault::ClaimRefused),
            (Stage::Challenged | Stage::Judging | Stage::Proven(_) | Stage::Refused, _) => Progress::Ignore,
        }
    }

    fn take_response(&mut self, data: &[u8], rest: &[u8], round: &Round<'_>) -> Progress {
        let Some(read) = ResponseFields::read(data, rest) else { return Progress::Ignore };
        if read.ident != self.ident {
            return Progress::Ignore;
        }
        self.stage = Stage::Judging;
        let challenges = [&self.challenge, read.peer_challenge];
        Progress::Check(Claim::ms_chap_v2(
            round.identity,
            read.name,
            read.ident,
            challenges,
            read.nt_response,
        ))
    }

    pub(super) fn judged(&mut self, judgement: &Judgement, round: &Round<'_>) -> Progress {
        match judgement {
            Judgement::Accepted(Extras::MsChapV2(proof), _) => {
                self.stage = Stage::Proven(Keys::of_ms_chap_v2(&proof.receive_key, &proof.send_key));
                let message = [&proof.authenticator_response[..], SUCCESS_WORDS].concat();
                Progress::Ask(packet(SUCCESS, self.ident, &message))
            }
            // A judgement that is not of this method's proof gives no proof to send.
            Judgement::Accepted(Extras::None | Extras::MsChapV1(_), _) => {
                Progress::Failure(Fault::ClaimRefused)
            }
            Judgement::Refused(why) => {
                self.stage = Stage::Refused;
                Progress::Ask(packet(FAILURE, self.ident, &refusal(*why, &round.random.challenge())))
            }
        }
    }
}

/// What lies in a Response.
struct ResponseFields<'a> {
    ident: u8,
    peer_challenge: &'a [u8; 16],
    nt_response: &'a [u8; 24],
    name: &'a [u8],
}

impl<'a> ResponseFields<'a> {
    /// Ident, MS-Length (of all, `data`), Value-Size 49, then challenge, 8 reserved, response, flags, name.
    fn read(data: &[u8], rest: &'a [u8]) -> Option<Self> {
        let (&[ident, high, low, VALUE_SIZE], rest) = rest.split_first_chunk::<4>()? else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if length != data.len() {
            return None;
        }
        let (peer_challenge, rest) = rest.split_first_chunk::<16>()?;
        let (_reserved, rest) = rest.split_first_chunk::<8>()?;
        let (nt_response, rest) = rest.split_first_chunk::<24>()?;
        let (_flags, name) = rest.split_first()?;
        Some(Self { ident, peer_challenge, nt_response, name })
    }
}

/// RFC 2759 section 6: no retry in this conversation, a challenge for changing a password, version 3.
fn refusal(why: MsChapError, challenge: &[u8; 16]) -> Vec<u8> {
    let digits: String = challenge.iter().map(|octet| format!("{octet:02X}")).collect();
    format!("E={} R=0 C={digits} V=3 M=Refused", why.number()).into_bytes()
}

/// OpCode, MS-CHAPv2-ID, MS-Length of all, body.
fn packet(operation: u8, ident: u8, body: &[u8]) -> Vec<u8> {
    // The longest body is ours and below 200 octets.
    let length = u16::try_from(HEADER + body.len()).unwrap_or(u16::MAX);
    let [high, low] = length.to_be_bytes();
    [&[operation, ident, high, low], body].concat()
}

const CHALLENGE: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;
const HEADER: usize = 4;
const CHALLENGE_SIZE: u8 = 16;
const VALUE_SIZE: u8 = 49;
/// Who asks; peers show it at most.
const SERVER_NAME: &[u8] = b"dotmac-edge";
/// What follows our proof (RFC 2759 section 5).
const SUCCESS_WORDS: &[u8] = b" M=Welcome";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eap::claim::Proven;
    use crate::eap::conversation::Random;
    use crate::radius::Verdict;

    /// RFC 2759 section 9.2's own user, password and challenges.
    const CHALLENGE_OF_RFC: [u8; 16] =
        [0x5B, 0x5D, 0x7C, 0x7D, 0x7B, 0x3F, 0x2F, 0x3E, 0x3C, 0x2C, 0x60, 0x21, 0x32, 0x26, 0x26, 0x28];
    const PEER_CHALLENGE: [u8; 16] =
        [0x21, 0x40, 0x23, 0x24, 0x25, 0x5E, 0x26, 0x2A, 0x28, 0x29, 0x5F, 0x2B, 0x3A, 0x33, 0x7C, 0x7E];
    const NT_RESPONSE: [u8; 24] = [
        0x82, 0x30, 0x9E, 0xCD, 0x8D, 0x70, 0x8B, 0x5E, 0xA0, 0x8F, 0xAA, 0x39, 0x81, 0xCD, 0x83, 0x54, 0x42,
        0x33, 0x11, 0x4A, 0x3D, 0x85, 0xD6, 0xDF,
    ];
    const PROOF: &[u8] = b"S=407A5589115FD0D6209F510FE9C04566932CDA56";

    fn random() -> Random {
        let mut octets = [0; 32];
        octets[..16].copy_from_slice(&CHALLENGE_OF_RFC);
        Random::new(octets)
    }

    fn response(ident: u8, name: &[u8]) -> Vec<u8> {
        let value = [&[49][..], &PEER_CHALLENGE, &[0; 8], &NT_RESPONSE, &[0], name].concat();
        packet(RESPONSE, ident, &value)
    }

    fn judge(claim: &Claim, password: &[u8]) -> Judgement {
        let Proven::By(proof) = claim.proven() else { panic!("no proof") };
        match proof.verify(claim.hashed_name(), password) {
            Verdict::Accepted(extras) => Judgement::Accepted(extras, [0; 16]),
            Verdict::Wrong => Judgement::Refused(MsChapError::AuthenticationFailure),
        }
    }

    #[test]
    fn rfc2759_s9_2_the_exchange_gives_the_rfcs_proof_and_succeeds_only_when_it_was_acknowledged() {
        let random = random();
        let round = Round { identifier: 9, identity: b"User", fragment: 1_000, random: &random };
        let (mut method, data) = MsChapV2::begin(&round);
        assert_eq!(data, [&[1, 9, 0, 32, 16][..], &CHALLENGE_OF_RFC, b"dotmac-edge"].concat());
        // Before a response there is nothing to acknowledge.
        assert!(matches!(method.receive(&[SUCCESS], &round), Progress::Ignore));
        let Progress::Check(claim) = method.receive(&response(9, b"DOMAIN\\User"), &round) else {
            panic!("no claim")
        };
        assert!(matches!(method.receive(&[SUCCESS], &round), Progress::Ignore));
        let Progress::Ask(data) = method.judged(&judge(&claim, b"clientPass"), &round) else {
            panic!("no proof")
        };
        assert_eq!(data, [&[3, 9, 0, 56][..], PROOF, b" M=Welcome"].concat());
        let Progress::Success(Some(keys)) = method.receive(&[SUCCESS], &round) else { panic!("no success") };
        // RFC 3079 section 3.5.3 has the send key of this exchange.
        let send =
            [0x8B, 0x7C, 0xDC, 0x14, 0x9B, 0x99, 0x3A, 0x1B, 0xA1, 0x18, 0xCB, 0x15, 0x3F, 0x56, 0xDC, 0xCB];
        assert_eq!(keys.receive()[16..], send);
        assert_eq!(keys.send(), [0; 32]);
    }

    #[test]
    fn a_refusal_is_told_with_its_number_and_ends_in_failure_whatever_the_peer_answers() {
        for (why, number) in [
            (MsChapError::AuthenticationFailure, "E=691 R=0 C="),
            (MsChapError::PasswordExpired, "E=648 R=0 C="),
            (MsChapError::AccountDisabled, "E=647 R=0 C="),
            (MsChapError::NoPermission, "E=649 R=0 C="),
        ] {
            for answer in [SUCCESS, FAILURE] {
                let random = random();
                let round = Round { identifier: 9, identity: b"User", fragment: 1_000, random: &random };
                let (mut method, _) = MsChapV2::begin(&round);
                assert!(matches!(method.receive(&response(9, b"User"), &round), Progress::Check(_)));
                let Progress::Ask(data) = method.judged(&Judgement::Refused(why), &round) else {
                    panic!("silence")
                };
                assert_eq!((data[0], usize::from(data[3])), (FAILURE, data.len()));
                assert!(String::from_utf8_lossy(&data[4..]).starts_with(number));
                let end = method.receive(&[answer], &round);
                assert!(matches!(end, Progress::Failure(Fault::ClaimRefused)));
            }
        }
    }

    #[test]
    fn a_peer_that_refuses_our_proof_is_not_let_in() {
        let random = random();
        let round = Round { identifier: 9, identity: b"User", fragment: 1_000, random: &random };
        let (mut method, _) = MsChapV2::begin(&round);
        let Progress::Check(claim) = method.receive(&response(9, b"User"), &round) else {
            panic!("no claim")
        };
        method.judged(&judge(&claim, b"clientPass"), &round);
        let end = method.receive(&[FAILURE], &round);
        assert!(matches!(end, Progress::Failure(Fault::PeerRefused)));
    }

    #[test]
    fn a_response_that_is_not_to_our_challenge_is_ignored() {
        let random = random();
        let round = Round { identifier: 9, identity: b"User", fragment: 1_000, random: &random };
        let good = response(9, b"User");
        let mut bad = vec![response(8, b"User"), vec![], vec![RESPONSE], good[..good.len() - 1].to_vec()];
        let mut size = good.clone();
        size[4] = 48;
        bad.push(size);
        for bad in bad {
            let (mut method, _) = MsChapV2::begin(&round);
            assert!(matches!(method.receive(&bad, &round), Progress::Ignore), "{bad:?}");
        }
    }

    #[test]
    fn a_judgement_of_another_kind_of_proof_lets_nobody_in() {
        let random = random();
        let round = Round { identifier: 9, identity: b"User", fragment: 1_000, random: &random };
        let (mut method, _) = MsChapV2::begin(&round);
        method.receive(&response(9, b"User"), &round);
        let end = method.judged(&Judgement::Accepted(Extras::None, [0; 16]), &round);
        assert!(matches!(end, Progress::Failure(Fault::ClaimRefused)));
    }
}
