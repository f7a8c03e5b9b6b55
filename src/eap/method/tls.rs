//! EAP-TLS (RFC 5216, RFC 9190): both sides prove themselves by certificates.
//!
//! The certificate's names say whose login it is; which of them, the identity may choose (RFC 5216 section 5.2).
//! With TLS 1.3 the server commits itself with one octet of zero when the peer is let in (RFC 9190 section 2.5).
//!
//! The one rule: no resumption, so that each login shows the certificate again.

use super::{Progress, Round};
use crate::eap::certificate;
use crate::eap::claim::{Claim, Judgement};
use crate::eap::conversation::Fault;
use crate::eap::packet::TypeCode;
use crate::eap::tunnel::{Heard, Tunnel};

/// Where the exchange stands.
#[derive(Debug)]
pub(in crate::eap) struct Tls {
    tunnel: Tunnel,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Handshake,
    Judging,
    /// Our last message is out; its acknowledgement is the end.
    Closing,
}

impl Tls {
    pub(super) fn begin(tunnel: Tunnel) -> (Self, Vec<u8>) {
        (Self { tunnel, stage: Stage::Handshake }, Tunnel::start())
    }

    pub(super) fn receive(&mut self, data: &[u8], round: &Round<'_>) -> Progress {
        let plain = match self.tunnel.receive(data, round.fragment) {
            Heard::Ask(data) => return Progress::Ask(data),
            Heard::Broken(fault) => return Progress::Failure(fault),
            Heard::Ignore => return Progress::Ignore,
            Heard::Taken(plain) => plain,
        };
        // Nothing of the peer's lies inside this tunnel.
        if !plain.is_empty() {
            return Progress::Failure(Fault::Malformed);
        }
        match self.stage {
            Stage::Handshake if self.tunnel.is_handshaking() => {
                self.tunnel.flush(round.fragment).map_or(Progress::Failure(Fault::Malformed), Progress::Ask)
            }
            Stage::Handshake => self.claim(round),
            Stage::Closing => self.end(),
            Stage::Judging => Progress::Ignore,
        }
    }

    pub(super) fn judged(&mut self, judgement: &Judgement, round: &Round<'_>) -> Progress {
        match judgement {
            Judgement::Refused(_) => Progress::Failure(Fault::ClaimRefused),
            Judgement::Accepted(..) => {
                if self.tunnel.is_tls13() {
                    self.tunnel.write(COMMITMENT);
                }
                self.stage = Stage::Closing;
                self.tunnel.flush(round.fragment).map_or_else(|| self.end(), Progress::Ask)
            }
        }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.tunnel.is_handshaking()
    }

    fn claim(&mut self, round: &Round<'_>) -> Progress {
        let names = self.tunnel.peer_certificate().map(certificate::names).unwrap_or_default();
        let identity = String::from_utf8_lossy(round.identity);
        let chosen = names.iter().find(|name| name.eq_ignore_ascii_case(&identity));
        let chosen = chosen.or_else(|| names.first().filter(|_| is_anonymous(&identity)));
        let Some(name) = chosen else { return Progress::Failure(Fault::NotOfThisIdentity) };
        self.stage = Stage::Judging;
        Progress::Check(Claim::certificate(name.as_bytes()))
    }

    fn end(&self) -> Progress {
        match self.tunnel.keys(TypeCode::TLS.0, OLD_LABEL) {
            Some(keys) => Progress::Success(Some(keys)),
            None => Progress::Failure(Fault::Tls),
        }
    }
}

/// An identity that hides who it is (RFC 7542 section 2.4, and the custom before it).
fn is_anonymous(identity: &str) -> bool {
    let user = identity.split('@').next().unwrap_or_default();
    user.is_empty() || user.eq_ignore_ascii_case("anonymous")
}

/// RFC 5216 section 2.3; PEAP has the same.
pub(super) const OLD_LABEL: &[u8] = b"client EAP encryption";
/// RFC 9190 section 2.5.
pub(super) const COMMITMENT: &[u8] = &[0];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc7542_s2_4_an_identity_without_a_user_hides_who_it_is() {
        for hidden in ["@example.net", "anonymous", "Anonymous@example.net", ""] {
            assert!(is_anonymous(hidden), "{hidden}");
        }
        for named in ["ada", "ada@example.net", "anonymously@example.net"] {
            assert!(!is_anonymous(named), "{named}");
        }
    }
}
