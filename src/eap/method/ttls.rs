//! EAP-TTLS (RFC 5281, with TLS 1.3 by RFC 9427): the server proves itself by a certificate, and the peer, inside,
//! by PAP, CHAP, MS-CHAP, MS-CHAPv2 or an EAP method.
//!
//! Challenges are not sent but come of the tunnel (section 11.1), so a proof made for another tunnel is worth
//! nothing. The one rule: what names and proves the peer lies inside; the outer identity counts for nothing.

use std::sync::Arc;

use super::tls::COMMITMENT;
use super::{Inner, Method, Progress, Round, avp};
use crate::eap::claim::{Claim, Judgement};
use crate::eap::conversation::{Conversation, Fault, Offer, Step};
use crate::eap::packet::TypeCode;
use crate::eap::sessions::Bearer;
use crate::eap::tunnel::{Heard, Tunnel, acknowledgement};
use crate::radius::Extras;

/// Where the exchange stands.
#[derive(Debug)]
pub(in crate::eap) struct Ttls {
    tunnel: Tunnel,
    stage: Stage,
    inner: Inner,
}

#[derive(Debug)]
enum Stage {
    Handshake,
    /// The tunnel stands; the peer was asked to speak.
    Waiting,
    /// A claim is judged; the tunnel was resumed by this bearer, or is new.
    Judging(Option<Bearer>),
    /// An EAP method is under way inside.
    Eap(Box<Conversation>),
    /// Our last message is out; its acknowledgement is the end.
    Closing,
}

impl Ttls {
    pub(super) fn begin(tunnel: Tunnel) -> (Self, Vec<u8>) {
        (Self { tunnel, stage: Stage::Handshake, inner: Inner::default() }, Tunnel::start())
    }

    pub(super) fn receive(&mut self, data: &[u8], round: &Round<'_>) -> Progress {
        let plain = match self.tunnel.receive(data, round.fragment) {
            Heard::Ask(data) => return Progress::Ask(data),
            Heard::Broken(fault) => return Progress::Failure(fault),
            Heard::Ignore => return Progress::Ignore,
            Heard::Taken(plain) => plain,
        };
        if self.tunnel.is_handshaking() {
            let flight = self.tunnel.flush(round.fragment);
            return flight.map_or(Progress::Failure(Fault::Malformed), Progress::Ask);
        }
        match std::mem::replace(&mut self.stage, Stage::Closing) {
            Stage::Handshake | Stage::Waiting if !plain.is_empty() => self.take_inside(&plain, round),
            Stage::Handshake => self.established(round),
            Stage::Eap(conversation) => self.go_on_inside(conversation, &plain, round),
            Stage::Closing if plain.is_empty() => self.end(),
            Stage::Waiting | Stage::Closing => Progress::Failure(Fault::Malformed),
            judging @ Stage::Judging(_) => {
                self.stage = judging;
                Progress::Ignore
            }
        }
    }

    /// The handshake is over and nothing lies inside yet.
    fn established(&mut self, round: &Round<'_>) -> Progress {
        if self.tunnel.resumed()
            && let Some(bearer) = self.tunnel.memory().and_then(|memory| memory.bearer())
        {
            let claim = Claim::resumed(&bearer.name, bearer.mark);
            self.inner.name = Some("eap-ttls-resumed");
            self.stage = Stage::Judging(Some(bearer));
            return Progress::Check(claim);
        }
        self.stage = Stage::Waiting;
        Progress::Ask(self.tunnel.flush(round.fragment).unwrap_or_else(acknowledgement))
    }

    fn take_inside(&mut self, plain: &[u8], round: &Round<'_>) -> Progress {
        let Some(pairs) = avp::read(plain) else { return Progress::Failure(Fault::Malformed) };
        let sent = match Sent::read(&pairs) {
            Ok(sent) => sent,
            Err(fault) => return Progress::Failure(fault),
        };
        if !sent.eap.is_empty() {
            let offer = Arc::new(Offer::inside(&[Method::MsChapV2, Method::Md5, Method::Gtc]));
            let (conversation, step) = Conversation::open(offer, &sent.eap, round.random);
            return self.inner_step(Box::new(conversation), step, round);
        }
        let tunnel = &self.tunnel;
        let (Some(long), Some(short)) = (tunnel.implicit_challenge(), tunnel.implicit_challenge()) else {
            return Progress::Failure(Fault::Tls);
        };
        match sent.claim(&Implicit { long, short }) {
            Ok((name, claim)) => {
                self.inner.name = Some(name);
                self.inner.identity = claim.name().into();
                self.stage = Stage::Judging(None);
                Progress::Check(claim)
            }
            Err(fault) => Progress::Failure(fault),
        }
    }

    fn go_on_inside(
        &mut self,
        mut conversation: Box<Conversation>,
        plain: &[u8],
        round: &Round<'_>,
    ) -> Progress {
        let pairs = avp::read(plain);
        let Some(Ok(sent)) = pairs.as_deref().map(Sent::read) else {
            return Progress::Failure(Fault::Malformed);
        };
        let step = conversation.receive(&sent.eap, round.fragment, round.random);
        self.inner_step(conversation, step, round)
    }

    fn inner_step(&mut self, conversation: Box<Conversation>, step: Step, round: &Round<'_>) -> Progress {
        self.inner.name = Some(match conversation.method_name() {
            "eap-mschapv2" => "eap-ttls-eap-mschapv2",
            "eap-md5" => "eap-ttls-eap-md5",
            "eap-gtc" => "eap-ttls-eap-gtc",
            _ => "eap-ttls-eap",
        });
        match step {
            Step::Request(request) | Step::Again(request) => {
                self.stage = Stage::Eap(conversation);
                self.tunnel.write(&avp::write(0, EAP_MESSAGE, &request));
                self.tunnel.flush(round.fragment).map_or(Progress::Failure(Fault::Tls), Progress::Ask)
            }
            Step::Check(claim) => {
                self.inner.identity = claim.name().into();
                self.stage = Stage::Eap(conversation);
                Progress::Check(claim)
            }
            Step::Success { .. } => self.success(round),
            Step::Failure { fault, .. } => Progress::Failure(fault),
        }
    }

    pub(super) fn judged(&mut self, judgement: &Judgement, round: &Round<'_>) -> Progress {
        if let Judgement::Accepted(_, mark) = judgement {
            self.inner.mark = *mark;
        }
        match (std::mem::replace(&mut self.stage, Stage::Closing), judgement) {
            (Stage::Eap(mut conversation), judgement) => {
                let step = conversation.judged(judgement, round.fragment, round.random);
                self.inner_step(conversation, step, round)
            }
            (Stage::Judging(_), Judgement::Refused(_)) => {
                if let Some(memory) = self.tunnel.memory() {
                    memory.forget();
                }
                Progress::Failure(Fault::ClaimRefused)
            }
            (Stage::Judging(Some(bearer)), Judgement::Accepted(..)) => {
                self.inner.identity = bearer.name;
                // RFC 9427 section 3.1, as RFC 9190 section 2.5: the peer is told inside that it is in.
                if self.tunnel.is_tls13() {
                    self.tunnel.write(COMMITMENT);
                }
                self.success(round)
            }
            (Stage::Judging(None), Judgement::Accepted(extras, _)) => {
                if let Extras::MsChapV2(proof) = extras {
                    let value = [&[proof.ident][..], &proof.authenticator_response].concat();
                    self.tunnel.write(&avp::write(MICROSOFT, MS_CHAP2_SUCCESS, &value));
                }
                self.success(round)
            }
            (Stage::Handshake | Stage::Waiting | Stage::Closing, _) => Progress::Failure(Fault::Over),
        }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.tunnel.is_handshaking()
    }

    pub(super) fn name(&self) -> &'static str {
        self.inner.name.unwrap_or("eap-ttls")
    }

    /// What waits inside is sent, and its acknowledgement awaited; where nothing does, this is the end.
    fn success(&mut self, round: &Round<'_>) -> Progress {
        self.stage = Stage::Closing;
        self.tunnel.flush(round.fragment).map_or_else(|| self.end(), Progress::Ask)
    }

    fn end(&self) -> Progress {
        if let Some(memory) = self.tunnel.memory() {
            memory.keep(&self.inner.identity, self.inner.mark);
        }
        match self.tunnel.keys(TypeCode::TTLS.0, OLD_LABEL) {
            Some(keys) => Progress::Success(Some(keys)),
            None => Progress::Failure(Fault::Tls),
        }
    }
}

/// What both sides know of a tunnel: a challenge and an identifier behind it.
struct Implicit {
    long: [u8; 17],
    /// For MS-CHAP version 1, whose challenge has 8 octets.
    short: [u8; 9],
}

/// What the pairs of one message say.
#[derive(Default)]
struct Sent<'a> {
    name: Option<&'a [u8]>,
    password: Option<&'a [u8]>,
    chap: Option<&'a [u8]>,
    challenge: Option<&'a [u8]>,
    ms_challenge: Option<&'a [u8]>,
    v1: Option<&'a [u8]>,
    v2: Option<&'a [u8]>,
    eap: Vec<u8>,
}

impl<'a> Sent<'a> {
    fn read(pairs: &[avp::Avp<'a>]) -> Result<Self, Fault> {
        let mut sent = Self::default();
        for pair in pairs {
            let place = match (pair.vendor, pair.code) {
                (0, USER_NAME) => &mut sent.name,
                (0, USER_PASSWORD) => &mut sent.password,
                (0, CHAP_PASSWORD) => &mut sent.chap,
                (0, CHAP_CHALLENGE) => &mut sent.challenge,
                (MICROSOFT, MS_CHAP_CHALLENGE) => &mut sent.ms_challenge,
                (MICROSOFT, MS_CHAP_RESPONSE) => &mut sent.v1,
                (MICROSOFT, MS_CHAP2_RESPONSE) => &mut sent.v2,
                (0, EAP_MESSAGE) => {
                    sent.eap.extend_from_slice(pair.value);
                    continue;
                }
                // RFC 5281 section 10.1: what must be understood and is not ends the exchange.
                _ if pair.mandatory => return Err(Fault::Malformed),
                _ => continue,
            };
            if place.replace(pair.value).is_some() {
                return Err(Fault::Malformed);
            }
        }
        Ok(sent)
    }

    /// One proof, made over what this tunnel gives.
    fn claim(&self, implicit: &Implicit) -> Result<(&'static str, Claim), Fault> {
        let name = self.name.filter(|name| !name.is_empty()).ok_or(Fault::NoIdentity)?;
        match (self.password, self.chap, self.v1, self.v2) {
            (Some(password), None, None, None) => {
                // RFC 5281 section 11.2.5: padded with NUL so that its length says less.
                let end = password.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
                Ok(("eap-ttls-pap", Claim::password(name, password.get(..end).unwrap_or_default())))
            }
            (None, Some(chap), None, None) => Ok(("eap-ttls-chap", self.chap(name, chap, &implicit.long)?)),
            (None, None, Some(v1), None) => Ok(("eap-ttls-mschapv1", self.v1(name, v1, &implicit.short)?)),
            (None, None, None, Some(v2)) => Ok(("eap-ttls-mschapv2", self.v2(name, v2, &implicit.long)?)),
            _ => Err(Fault::Malformed),
        }
    }

    /// Section 11.2.2: 16 octets of challenge, then the identifier.
    fn chap(&self, name: &[u8], value: &[u8], implicit: &[u8; 17]) -> Result<Claim, Fault> {
        let [challenge @ .., ident] = implicit;
        let (id, response) = value.split_first().ok_or(Fault::Malformed)?;
        let response = response.try_into().map_err(|_| Fault::Malformed)?;
        if self.challenge != Some(challenge.as_slice()) || id != ident {
            return Err(Fault::NotOfThisTunnel);
        }
        Ok(Claim::chap(name, *id, challenge, response))
    }

    /// Section 11.2.3: 8 octets of challenge, then the identifier.
    fn v1(&self, name: &[u8], value: &[u8], implicit: &[u8; 9]) -> Result<Claim, Fault> {
        let [a, b, c, d, e, f, g, h, ident] = *implicit;
        let challenge = [a, b, c, d, e, f, g, h];
        let value: &[u8; 50] = value.try_into().map_err(|_| Fault::Malformed)?;
        let [id, flags, both @ ..] = value;
        if self.ms_challenge != Some(&challenge) || *id != ident {
            return Err(Fault::NotOfThisTunnel);
        }
        // RFC 2548 section 2.1.3: the LAN Manager response gives the password away, and does not count.
        let (_, response) = both.split_last_chunk::<24>().filter(|_| *flags == 1).ok_or(Fault::Malformed)?;
        Ok(Claim::ms_chap_v1(name, ident, &challenge, response))
    }

    /// Section 11.2.4: 16 octets of challenge, then the identifier.
    fn v2(&self, name: &[u8], value: &[u8], implicit: &[u8; 17]) -> Result<Claim, Fault> {
        let (challenge, _) = implicit.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
        let [.., ident] = implicit;
        let value: &[u8; 50] = value.try_into().map_err(|_| Fault::Malformed)?;
        let [id, _flags, rest @ ..] = value;
        if self.ms_challenge != Some(challenge) || id != ident {
            return Err(Fault::NotOfThisTunnel);
        }
        let (theirs, rest) = rest.split_first_chunk::<16>().ok_or(Fault::Malformed)?;
        let (_reserved, response) = rest.split_last_chunk::<24>().ok_or(Fault::Malformed)?;
        Ok(Claim::ms_chap_v2(name, name, *ident, [challenge, theirs], response))
    }
}

/// RFC 5281 section 8.
const OLD_LABEL: &[u8] = b"ttls keying material";
const USER_NAME: u32 = 1;
const USER_PASSWORD: u32 = 2;
const CHAP_PASSWORD: u32 = 3;
const CHAP_CHALLENGE: u32 = 60;
const EAP_MESSAGE: u32 = 79;
const MICROSOFT: u32 = 311;
const MS_CHAP_RESPONSE: u32 = 1;
const MS_CHAP_CHALLENGE: u32 = 11;
const MS_CHAP2_RESPONSE: u32 = 25;
const MS_CHAP2_SUCCESS: u32 = 26;

#[cfg(test)]
mod rfc5281_s11_tests {
    use super::*;

    const LONG: [u8; 17] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17];
    const SHORT: [u8; 9] = [21, 22, 23, 24, 25, 26, 27, 28, 29];
    const IMPLICIT: Implicit = Implicit { long: LONG, short: SHORT };

    fn claim(octets: &[u8]) -> Result<&'static str, Fault> {
        let pairs = avp::read(octets).unwrap();
        Sent::read(&pairs)?.claim(&IMPLICIT).map(|(name, _)| name)
    }

    fn with_name(pairs: &[Vec<u8>]) -> Vec<u8> {
        [avp::write(0, USER_NAME, b"ada"), pairs.concat()].concat()
    }

    #[test]
    fn s11_2_5_a_password_is_read_without_its_padding() {
        let octets = with_name(&[avp::write(0, USER_PASSWORD, b"open sesame\0\0\0\0\0")]);
        let pairs = avp::read(&octets).unwrap();
        let (name, claim) = Sent::read(&pairs).unwrap().claim(&IMPLICIT).unwrap();
        assert_eq!((name, claim.name()), ("eap-ttls-pap", &b"ada"[..]));
        let crate::eap::Proven::By(proof) = claim.proven() else { panic!("no proof") };
        assert!(proof.verify(b"ada", b"open sesame").is_accepted());
    }

    #[test]
    fn s11_1_a_proof_over_another_tunnels_challenge_is_no_claim() {
        let chap = [&[17][..], &[9; 16]].concat();
        let good =
            with_name(&[avp::write(0, CHAP_PASSWORD, &chap), avp::write(0, CHAP_CHALLENGE, &LONG[..16])]);
        assert_eq!(claim(&good), Ok("eap-ttls-chap"));
        let other =
            with_name(&[avp::write(0, CHAP_PASSWORD, &chap), avp::write(0, CHAP_CHALLENGE, &[7; 16])]);
        assert_eq!(claim(&other), Err(Fault::NotOfThisTunnel));
        let ident = with_name(&[
            avp::write(0, CHAP_PASSWORD, &[&[16][..], &[9; 16]].concat()),
            avp::write(0, CHAP_CHALLENGE, &LONG[..16]),
        ]);
        assert_eq!(claim(&ident), Err(Fault::NotOfThisTunnel));
        let v1 = |id, challenge: &[u8]| {
            let value = [&[id, 1][..], &[0; 48]].concat();
            with_name(&[
                avp::write(MICROSOFT, MS_CHAP_RESPONSE, &value),
                avp::write(MICROSOFT, MS_CHAP_CHALLENGE, challenge),
            ])
        };
        assert_eq!(claim(&v1(29, &SHORT[..8])), Ok("eap-ttls-mschapv1"));
        assert_eq!(claim(&v1(9, &SHORT[..8])), Err(Fault::NotOfThisTunnel));
        assert_eq!(claim(&v1(29, &[0; 8])), Err(Fault::NotOfThisTunnel));
        let v2 = |id, challenge: &[u8]| {
            let value = [&[id, 0][..], &[0; 48]].concat();
            with_name(&[
                avp::write(MICROSOFT, MS_CHAP2_RESPONSE, &value),
                avp::write(MICROSOFT, MS_CHAP_CHALLENGE, challenge),
            ])
        };
        assert_eq!(claim(&v2(17, &LONG[..16])), Ok("eap-ttls-mschapv2"));
        assert_eq!(claim(&v2(16, &LONG[..16])), Err(Fault::NotOfThisTunnel));
        assert_eq!(claim(&v2(17, &[0; 16])), Err(Fault::NotOfThisTunnel));
    }

    #[test]
    fn no_name_two_proofs_a_pair_twice_and_what_must_be_understood_are_refused() {
        let password = avp::write(0, USER_PASSWORD, b"x");
        assert_eq!(claim(&password), Err(Fault::NoIdentity));
        assert_eq!(claim(&with_name(&[])), Err(Fault::Malformed));
        let two = with_name(&[password.clone(), avp::write(0, CHAP_PASSWORD, &[17; 17])]);
        assert_eq!(claim(&two), Err(Fault::Malformed));
        assert_eq!(claim(&with_name(&[password.clone(), password.clone()])), Err(Fault::Malformed));
        assert_eq!(
            claim(&with_name(&[password.clone(), avp::write(0, 12_345, b"?")])),
            Err(Fault::Malformed)
        );
        let mut optional = avp::write(0, 12_345, b"?");
        optional[4] = 0;
        assert_eq!(claim(&with_name(&[password, optional])), Ok("eap-ttls-pap"));
    }

    #[test]
    fn a_lan_manager_response_does_not_count() {
        let value = [&[29, 0][..], &[0; 48]].concat();
        let octets = with_name(&[
            avp::write(MICROSOFT, MS_CHAP_RESPONSE, &value),
            avp::write(MICROSOFT, MS_CHAP_CHALLENGE, &SHORT[..8]),
        ]);
        assert_eq!(claim(&octets), Err(Fault::Malformed));
    }
}
