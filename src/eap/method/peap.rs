//! PEAP version 0 ([MS-PEAP], with TLS 1.3 by RFC 9427): the server proves itself by a certificate, and the peer,
//! inside, by EAP-MSCHAPv2 or EAP-GTC. Both ends then say the result inside, and bind the tunnel to it.
//!
//! EAP packets inside lack code, identifier and length, but for the TLVs' own. The one rule: success is said only
//! after the peer has said it inside, and a binding that is wrong is a failure; only a peer that knows none may
//! leave it out.

use std::sync::Arc;

use super::binding::{Compound, Tlvs, result};
use super::tls::OLD_LABEL;
use super::{Inner, Method, Progress, Round};
use crate::eap::claim::{Claim, Judgement};
use crate::eap::conversation::{Conversation, Fault, Offer, Step};
use crate::eap::packet::{self, TypeCode};
use crate::eap::tunnel::{Heard, Tunnel};

/// Where the exchange stands.
#[derive(Debug)]
pub(in crate::eap) struct Peap {
    tunnel: Tunnel,
    stage: Stage,
    inner: Inner,
}

#[derive(Debug)]
enum Stage {
    Handshake,
    /// An EAP method is under way inside.
    Inside(Box<Conversation>),
    /// Who resumes is judged.
    Resuming,
    /// Our result is out, with what binds.
    Concluding(Compound),
    /// Our refusal is out.
    Refusing(Fault),
    /// Ended.
    Over,
}

impl Peap {
    pub(super) fn begin(tunnel: Tunnel) -> (Self, Vec<u8>) {
        (Self { tunnel, stage: Stage::Handshake, inner: Inner::default() }, Tunnel::start())
    }

    pub(super) fn receive(&mut self, data: &[u8], round: &Round<'_>) -> Progress {
        // The low bits of the flags are the version: the peer may know more, and goes on with ours.
        let plain = match self.tunnel.receive(&without_version(data), round.fragment) {
            Heard::Ask(data) => return Progress::Ask(data),
            Heard::Broken(fault) => return Progress::Failure(fault),
            Heard::Ignore => return Progress::Ignore,
            Heard::Taken(plain) => plain,
        };
        if self.tunnel.is_handshaking() {
            let flight = self.tunnel.flush(round.fragment);
            return flight.map_or(Progress::Failure(Fault::Malformed), Progress::Ask);
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            // Nothing was asked inside yet.
            Stage::Handshake if !plain.is_empty() => Progress::Failure(Fault::Malformed),
            Stage::Handshake => self.established(round),
            Stage::Inside(mut conversation) => {
                let answer = whole(conversation.outstanding(), &plain);
                let step = conversation.receive(&answer, round.fragment, round.random);
                self.inner_step(conversation, step, round)
            }
            Stage::Concluding(compound) => self.conclude(&compound, &plain),
            Stage::Refusing(fault) => Progress::Failure(fault),
            resuming @ Stage::Resuming => {
                self.stage = resuming;
                Progress::Ignore
            }
            Stage::Over => Progress::Failure(Fault::Over),
        }
    }

    /// The handshake is over; what TLS still has to say goes out before anything is asked inside.
    fn established(&mut self, round: &Round<'_>) -> Progress {
        if let Some(flight) = self.tunnel.flush(round.fragment) {
            self.stage = Stage::Handshake;
            return Progress::Ask(flight);
        }
        if self.tunnel.resumed()
            && let Some(bearer) = self.tunnel.memory().and_then(|memory| memory.bearer())
        {
            let claim = Claim::resumed(&bearer.name, bearer.mark);
            self.inner.name = Some("eap-peap-resumed");
            self.inner.identity = bearer.name;
            self.stage = Stage::Resuming;
            return Progress::Check(claim);
        }
        let offer = Arc::new(Offer::inside(&[Method::MsChapV2, Method::Gtc]));
        let (conversation, step) = Conversation::open(offer, &[], round.random);
        self.inner_step(Box::new(conversation), step, round)
    }

    fn inner_step(&mut self, conversation: Box<Conversation>, step: Step, round: &Round<'_>) -> Progress {
        self.inner.name = Some(match conversation.method_name() {
            "eap-mschapv2" => "eap-peap-mschapv2",
            "eap-gtc" => "eap-peap-gtc",
            _ => "eap-peap",
        });
        match step {
            Step::Request(request) | Step::Again(request) => {
                self.stage = Stage::Inside(conversation);
                self.say(request.get(HEADER..).unwrap_or_default(), round)
            }
            Step::Check(claim) => {
                self.inner.identity = claim.name().into();
                self.stage = Stage::Inside(conversation);
                Progress::Check(claim)
            }
            Step::Success { keys, message: [_, identifier, ..] } => {
                let Some(material) = self.tunnel.key_material(TypeCode::PEAP.0, OLD_LABEL) else {
                    return Progress::Failure(Fault::Tls);
                };
                self.tell_success(Compound::new(&material, keys.as_ref()), identifier, round)
            }
            Step::Failure { fault, message: [_, identifier, ..] } => {
                self.tell_failure(fault, identifier, round)
            }
        }
    }

    pub(super) fn judged(&mut self, judgement: &Judgement, round: &Round<'_>) -> Progress {
        if let Judgement::Accepted(_, mark) = judgement {
            self.inner.mark = *mark;
        }
        match (std::mem::replace(&mut self.stage, Stage::Over), judgement) {
            (Stage::Inside(mut conversation), judgement) => {
                let step = conversation.judged(judgement, round.fragment, round.random);
                self.inner_step(conversation, step, round)
            }
            (Stage::Resuming, Judgement::Accepted(..)) => {
                let Some(material) = self.tunnel.key_material(TypeCode::PEAP.0, OLD_LABEL) else {
                    return Progress::Failure(Fault::Tls);
                };
                self.tell_success(Compound::resumed(&material), round.identifier, round)
            }
            (Stage::Resuming, Judgement::Refused(_)) => {
                if let Some(memory) = self.tunnel.memory() {
                    memory.forget();
                }
                self.tell_failure(Fault::ClaimRefused, round.identifier, round)
            }
            (Stage::Handshake | Stage::Concluding(_) | Stage::Refusing(_) | Stage::Over, _) => {
                Progress::Failure(Fault::Over)
            }
        }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.tunnel.is_handshaking()
    }

    pub(super) fn name(&self) -> &'static str {
        self.inner.name.unwrap_or("eap-peap")
    }

    fn tell_success(&mut self, compound: Compound, identifier: u8, round: &Round<'_>) -> Progress {
        let tlvs = [&result(true)[..], &compound.request(&round.random.nonce())].concat();
        self.stage = Stage::Concluding(compound);
        self.say(&packet::request(identifier.wrapping_add(1), TLV, &tlvs), round)
    }

    fn tell_failure(&mut self, fault: Fault, identifier: u8, round: &Round<'_>) -> Progress {
        self.stage = Stage::Refusing(fault);
        self.say(&packet::request(identifier.wrapping_add(1), TLV, &result(false)), round)
    }

    /// The peer's word on our result: with the binding's answer, the keys are the bound ones.
    fn conclude(&self, compound: &Compound, plain: &[u8]) -> Progress {
        let Ok(response) = packet::Response::decode(plain) else {
            return Progress::Failure(Fault::Malformed);
        };
        if response.kind != TLV {
            return Progress::Failure(Fault::Malformed);
        }
        let Some(tlvs) = Tlvs::read(response.data) else { return Progress::Failure(Fault::Malformed) };
        if tlvs.success != Some(true) {
            return Progress::Failure(Fault::PeerRefused);
        }
        let keys = match tlvs.binding {
            Some(binding) if compound.is_answer(binding) => Some(compound.session_keys()),
            Some(_) => return Progress::Failure(Fault::Binding),
            None => self.tunnel.keys(TypeCode::PEAP.0, OLD_LABEL),
        };
        let Some(keys) = keys else { return Progress::Failure(Fault::Tls) };
        self.remember();
        Progress::Success(Some(keys))
    }

    fn remember(&self) {
        if let Some(memory) = self.tunnel.memory() {
            memory.keep(&self.inner.identity, self.inner.mark);
        }
    }

    fn say(&mut self, plain: &[u8], round: &Round<'_>) -> Progress {
        self.tunnel.write(plain);
        self.tunnel.flush(round.fragment).map_or(Progress::Failure(Fault::Tls), Progress::Ask)
    }
}

/// An inner packet with the header that it lacks; one that has it (some send it) is left as it is.
fn whole(outstanding: u8, plain: &[u8]) -> Vec<u8> {
    if let &[2, identifier, high, low, ..] = plain
        && identifier == outstanding
        && usize::from(u16::from_be_bytes([high, low])) == plain.len()
    {
        return plain.to_vec();
    }
    match plain.split_first() {
        Some((kind, data)) => packet::response(outstanding, TypeCode(*kind), data),
        None => Vec::new(),
    }
}

fn without_version(data: &[u8]) -> Vec<u8> {
    let mut data = data.to_vec();
    if let Some(flags) = data.first_mut() {
        *flags &= !VERSION_BITS;
    }
    data
}

/// The Type of TLVs (draft-josefsson-pppext-eap-tls-eap).
const TLV: TypeCode = TypeCode(33);
/// Code, identifier and length, which PEAP version 0 leaves out.
const HEADER: usize = 4;
const VERSION_BITS: u8 = 0x07;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_packet_gets_the_header_that_it_lacks() {
        assert_eq!(whole(7, &[1, b'a']), [2, 7, 0, 6, 1, b'a']);
        assert_eq!(whole(7, &[2, 7, 0, 6, 1, b'a']), [2, 7, 0, 6, 1, b'a']);
        assert_eq!(whole(7, &[]), Vec::<u8>::new());
        // A notification's reply that only looks like a header.
        assert_eq!(whole(7, &[2, 8, 0, 6, 1, b'a']), [2, 7, 0, 10, 2, 8, 0, 6, 1, b'a']);
    }

    #[test]
    fn a_peer_of_a_later_version_is_understood() {
        assert_eq!(without_version(&[0x81, 9]), [0x80, 9]);
        assert_eq!(without_version(&[]), Vec::<u8>::new());
    }
}
