//! EAP-MD5 (RFC 3748 section 5.4): CHAP's challenge and response (RFC 1994) in an EAP packet.
//!
//! No keys, and nothing proves the server: for wires that one trusts.

use super::{Progress, Round};
use crate::eap::claim::Claim;

/// One challenge.
#[derive(Debug)]
pub(in crate::eap) struct Md5 {
    challenge: [u8; 16],
}

impl Md5 {
    pub(super) fn begin(round: &Round<'_>) -> (Self, Vec<u8>) {
        let challenge = round.random.challenge();
        let data = [&[VALUE_SIZE][..], &challenge].concat();
        (Self { challenge }, data)
    }

    /// Value-Size, value, name; the name is not believed, the identity is.
    pub(super) fn receive(&self, data: &[u8], round: &Round<'_>) -> Progress {
        let Some((&[VALUE_SIZE], rest)) = data.split_first_chunk::<1>() else { return Progress::Ignore };
        let Some((response, _name)) = rest.split_first_chunk::<16>() else { return Progress::Ignore };
        Progress::Check(Claim::chap(round.identity, round.identifier, &self.challenge, response))
    }
}

/// Octets of MD5, and of the challenge.
const VALUE_SIZE: u8 = 16;

#[cfg(test)]
mod rfc3748_s5_4_tests {
    use super::*;
    use crate::eap::claim::Proven;
    use crate::eap::conversation::Random;
    use crate::radius::Proof;

    /// MD5 of 0x05, "secret" and sixteen octets 0x07, by another program.
    const RESPONSE: [u8; 16] =
        [0xf1, 0x51, 0x7f, 0x64, 0x9c, 0x81, 0xb2, 0xe1, 0xa4, 0x5f, 0xfa, 0xb0, 0xfa, 0x55, 0x81, 0x11];

    #[test]
    fn the_proof_is_chaps_over_the_requests_identifier() {
        let random = Random::new([7; 32]);
        let round = Round { identifier: 5, identity: b"ada", fragment: 1_000, random: &random };
        let (md5, data) = Md5::begin(&round);
        assert_eq!(data, [&[16][..], &[7; 16]].concat());
        let answer = [&[16][..], &RESPONSE, b"another name"].concat();
        let Progress::Check(claim) = md5.receive(&answer, &round) else { panic!("no claim") };
        assert_eq!(claim.name(), b"ada");
        let Proven::By(proof) = claim.proven() else { panic!("no proof") };
        assert!(matches!(proof, Proof::Chap { id: 5, .. }));
        assert!(proof.verify(b"ada", b"secret").is_accepted());
        assert!(!proof.verify(b"ada", b"Secret").is_accepted());
    }

    #[test]
    fn a_response_of_another_size_is_ignored() {
        let random = Random::new([7; 32]);
        let round = Round { identifier: 5, identity: b"ada", fragment: 1_000, random: &random };
        let (md5, _) = Md5::begin(&round);
        for bad in [&[][..], &[16], &[15; 17], &[16; 16], &[17; 30]] {
            assert!(matches!(md5.receive(bad, &round), Progress::Ignore), "{bad:?}");
        }
    }
}
