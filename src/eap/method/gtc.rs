//! EAP-GTC (RFC 3748 section 5.6): a prompt, and the password as the answer. For inside a tunnel, or for stored
//! passwords that only a one-way hash is kept of.

use super::{Progress, Round};
use crate::eap::claim::Claim;

/// The prompt is out.
#[derive(Debug)]
pub(in crate::eap) struct Gtc;

impl Gtc {
    pub(super) fn begin() -> (Self, Vec<u8>) {
        (Self, PROMPT.to_vec())
    }

    #[expect(clippy::unused_self, reason = "methods have one shape")]
    pub(super) fn receive(&self, data: &[u8], round: &Round<'_>) -> Progress {
        if data.is_empty() || data.len() > MOST_OCTETS {
            return Progress::Ignore;
        }
        Progress::Check(Claim::password(round.identity, data))
    }
}

/// What a user sees who is asked.
const PROMPT: &[u8] = b"Password: ";
/// As in a User-Password (RFC 2865 section 5.2).
const MOST_OCTETS: usize = 128;

#[cfg(test)]
mod rfc3748_s5_6_tests {
    use super::*;
    use crate::eap::claim::Proven;
    use crate::eap::conversation::Random;

    #[test]
    fn the_answer_is_the_password_and_no_answer_is_ignored() {
        let random = Random::new([7; 32]);
        let round = Round { identifier: 5, identity: b"ada", fragment: 1_000, random: &random };
        let (gtc, data) = Gtc::begin();
        assert_eq!(data, b"Password: ");
        let Progress::Check(claim) = gtc.receive(b"open sesame", &round) else { panic!("no claim") };
        let Proven::By(proof) = claim.proven() else { panic!("no proof") };
        assert!(proof.verify(b"ada", b"open sesame").is_accepted());
        assert!(matches!(gtc.receive(b"", &round), Progress::Ignore));
        assert!(matches!(gtc.receive(&[b'a'; 129], &round), Progress::Ignore));
    }
}
