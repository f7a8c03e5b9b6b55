//! A conversation: identity, the choice of a method, its rounds, and the end (RFC 3748, drawn by RFC 4137 section 5).
//!
//! The caller carries packets and judges claims. An invalid packet does not end a conversation that a forger may
//! have disturbed: the outstanding request is given again, some times (RFC 3579 section 2.2).
//!
//! The one rule: success is only said by a method, of a claim that the caller accepted.

use std::sync::Arc;
use std::time::Instant;

use zeroize::{Zeroize, ZeroizeOnDrop};

use super::claim::{Claim, Judgement};
use super::method::{Keys, Method, Progress, Round, Running, identity};
use super::packet::{self, Response, TypeCode};
use super::server::TlsServer;

/// What may be offered to a peer.
#[derive(Debug)]
pub struct Offer {
    /// The methods, the first choice first.
    pub methods: Vec<Method>,
    /// What the methods over TLS need; without it they are not offered.
    pub tls: Option<TlsServer>,
}

impl Offer {
    /// Methods inside a tunnel, or such as need none.
    #[must_use]
    pub fn inside(methods: &[Method]) -> Self {
        Self { methods: methods.to_vec(), tls: None }
    }

    /// Tells what is remembered for resumption the time.
    pub fn tick(&self, now: Instant) {
        if let Some(sessions) = self.tls.as_ref().and_then(TlsServer::sessions) {
            sessions.tick(now);
        }
    }

    /// Whether a method can be begun.
    fn has(&self, method: Method) -> bool {
        match method {
            Method::Md5 | Method::Gtc | Method::MsChapV2 => true,
            Method::Tls => self.tls.as_ref().is_some_and(TlsServer::takes_certificates),
            Method::Ttls | Method::Peap => self.tls.is_some(),
        }
    }
}

/// Fresh random octets for one round.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Random([u8; 32]);

impl Random {
    /// From octets that nobody can foresee, and that are used for one round.
    #[must_use]
    pub const fn new(octets: [u8; 32]) -> Self {
        Self(octets)
    }

    /// The round's challenge.
    pub(super) fn challenge(&self) -> [u8; 16] {
        self.0.first_chunk().copied().unwrap_or_default()
    }

    /// All of it, for what asks once a conversation.
    pub(super) const fn nonce(&self) -> [u8; 32] {
        self.0
    }
}

impl std::fmt::Debug for Random {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Random(…)")
    }
}

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this request.
    Request(Vec<u8>),
    /// What came is no answer to the outstanding request: send that again, and say that it was ignored.
    Again(Vec<u8>),
    /// Judge this, then call [`Conversation::judged`].
    Check(Claim),
    /// The peer is who the last claim said: send this EAP-Success.
    Success {
        /// EAP-Success.
        message: [u8; 4],
        /// The keys that the method gave.
        keys: Option<Keys>,
    },
    /// It is not: send this EAP-Failure.
    Failure {
        /// EAP-Failure.
        message: [u8; 4],
        /// Why.
        fault: Fault,
    },
}

/// Why a conversation ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Fault {
    /// The caller refused the claim.
    #[error("the claim was refused")]
    ClaimRefused,
    /// It did not begin with an identity.
    #[error("the conversation does not begin with an identity")]
    NoIdentity,
    /// The peer wants none of the methods that are offered.
    #[error("the peer wants no method that is offered")]
    NoCommonMethod,
    /// The peer gave up, or refused the server's own proof.
    #[error("the peer refused the server, or gave up")]
    PeerRefused,
    /// Too many packets that answer nothing.
    #[error("the peer's packets answer nothing that was asked")]
    Malformed,
    /// More rounds than any method needs.
    #[error("the conversation takes too many rounds")]
    TooLong,
    /// TLS could not be agreed on.
    #[error("TLS failed")]
    Tls,
    /// The peer does not trust the server's certificate.
    #[error("the peer does not trust the server's certificate")]
    ServerCertificateRefused,
    /// The peer showed no certificate.
    #[error("the peer showed no certificate")]
    NoClientCertificate,
    /// The peer's certificate is not good: not the CA's, or out of its time.
    #[error("the peer's certificate is not good")]
    ClientCertificateRefused,
    /// The peer's certificate is not of the identity that it gave.
    #[error("the peer's certificate is of another name")]
    NotOfThisIdentity,
    /// A proof inside a tunnel was made for another one.
    #[error("the proof was made for another tunnel")]
    NotOfThisTunnel,
    /// Who holds the tunnel's end is not who logged in inside.
    #[error("the binding of tunnel and inner method is wrong")]
    Binding,
    /// A message, or what lies inside, is larger than any that serves.
    #[error("the message is too large")]
    TooLarge,
    /// A packet came to a conversation that is over, or is being judged.
    #[error("the conversation is over")]
    Over,
}

/// One conversation with one peer.
#[derive(Debug)]
pub struct Conversation {
    offer: Arc<Offer>,
    identity: Box<[u8]>,
    stage: Stage,
    /// Of the outstanding request.
    identifier: u8,
    request: Vec<u8>,
    rounds: u16,
    ignored: u8,
    tried: Vec<Method>,
    method_name: &'static str,
}

#[derive(Debug)]
enum Stage {
    /// Asked who it is.
    Asked,
    /// A method's first request is out; the peer may want another method.
    Proposed(Running),
    /// The method is under way.
    Under(Running),
    /// Its claim is being judged.
    Judging(Running),
    /// Ended.
    Over,
}

impl Conversation {
    /// Begins one with the first packet of a peer: its identity, or nothing at all (EAP-Start, RFC 3579 section
    /// 2.1), to which the answer is the question who it is.
    #[must_use]
    pub fn open(offer: Arc<Offer>, octets: &[u8], random: &Random) -> (Self, Step) {
        let mut conversation = Self {
            offer,
            identity: Box::default(),
            stage: Stage::Asked,
            identifier: random.challenge().first().copied().unwrap_or(1),
            request: Vec::new(),
            rounds: 0,
            ignored: 0,
            tried: Vec::new(),
            method_name: "eap",
        };
        if octets.is_empty() {
            let step = conversation.ask(TypeCode::IDENTITY, &[]);
            return (conversation, step);
        }
        let step = match Response::decode(octets) {
            Ok(response) if response.kind == TypeCode::IDENTITY => {
                conversation.identifier = response.identifier;
                conversation.learn(response.data, random)
            }
            Ok(_) | Err(_) => {
                conversation.identifier = octets.get(1).copied().unwrap_or_default();
                conversation.fail(Fault::NoIdentity)
            }
        };
        (conversation, step)
    }

    /// Takes the peer's next packet. `fragment` says how many octets of data the NAS can carry in one packet.
    pub fn receive(&mut self, octets: &[u8], fragment: usize, random: &Random) -> Step {
        self.rounds = self.rounds.saturating_add(1);
        if self.rounds > MOST_ROUNDS {
            return self.fail(Fault::TooLong);
        }
        let Ok(response) = Response::decode(octets) else { return self.again() };
        if response.identifier != self.identifier {
            return self.again();
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Asked if response.kind == TypeCode::IDENTITY => self.learn(response.data, random),
            Stage::Proposed(running) if response.kind == TypeCode::NAK => {
                self.take_nak(running, response.data, random)
            }
            Stage::Proposed(running) | Stage::Under(running)
                if response.kind == running.method().type_code() =>
            {
                self.advance(running, response.data, fragment, random)
            }
            other @ (Stage::Asked | Stage::Proposed(_) | Stage::Under(_)) => {
                self.stage = other;
                self.again()
            }
            other @ (Stage::Judging(_) | Stage::Over) => {
                self.stage = other;
                Step::Failure { message: packet::failure(self.identifier), fault: Fault::Over }
            }
        }
    }

    /// Takes the caller's judgement of the claim that was asked for last.
    pub fn judged(&mut self, judgement: &Judgement, fragment: usize, random: &Random) -> Step {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Judging(mut running) => {
                // What the judgement leads to is written under the next identifier.
                let identifier = self.identifier.wrapping_add(1);
                let round = Round { identifier, identity: &self.identity, fragment, random };
                let progress = running.judged(judgement, &round);
                self.go_on(running, progress)
            }
            other @ (Stage::Asked | Stage::Proposed(_) | Stage::Under(_) | Stage::Over) => {
                self.stage = other;
                Step::Failure { message: packet::failure(self.identifier), fault: Fault::Over }
            }
        }
    }

    /// Who the peer said it is, outside of any method.
    #[must_use]
    pub const fn identity(&self) -> &[u8] {
        &self.identity
    }

    /// The name of the method that was proposed last, with that of the one inside.
    #[must_use]
    pub const fn method_name(&self) -> &'static str {
        self.method_name
    }

    /// Whether the next round may take a public key's time.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        match &self.stage {
            Stage::Proposed(running) | Stage::Under(running) => running.is_slow(),
            Stage::Asked | Stage::Judging(_) | Stage::Over => false,
        }
    }

    /// The identifier of the outstanding request.
    pub(super) const fn outstanding(&self) -> u8 {
        self.identifier
    }

    fn learn(&mut self, data: &[u8], random: &Random) -> Step {
        let Some(identity) = identity::read(data) else { return self.fail(Fault::NoIdentity) };
        self.identity = identity.into();
        match self.offer.methods.iter().find(|method| self.offer.has(**method)).copied() {
            Some(method) => self.propose(method, random),
            None => self.fail(Fault::NoCommonMethod),
        }
    }

    fn propose(&mut self, method: Method, random: &Random) -> Step {
        self.tried.push(method);
        self.method_name = method.name();
        let identifier = self.identifier.wrapping_add(1);
        let round = Round { identifier, identity: &self.identity, fragment: 0, random };
        let Some((running, data)) = Running::begin(method, &self.offer, &round) else {
            return self.fail(Fault::Tls);
        };
        self.stage = Stage::Proposed(running);
        self.ask(method.type_code(), &data)
    }

    /// RFC 3748 section 5.3.1: the peer names the methods that it would have; zero means none.
    fn take_nak(&mut self, running: Running, wanted: &[u8], random: &Random) -> Step {
        if wanted.is_empty() {
            self.stage = Stage::Proposed(running);
            return self.again();
        }
        let is_wanted = |method: &&Method| wanted.contains(&method.type_code().0);
        let fits =
            |method: &&Method| is_wanted(method) && !self.tried.contains(method) && self.offer.has(**method);
        match self.offer.methods.iter().find(fits).copied() {
            Some(method) => self.propose(method, random),
            None => self.fail(Fault::NoCommonMethod),
        }
    }

    fn advance(&mut self, mut running: Running, data: &[u8], fragment: usize, random: &Random) -> Step {
        let round = Round { identifier: self.identifier, identity: &self.identity, fragment, random };
        let progress = running.receive(data, &round);
        self.go_on(running, progress)
    }

    fn go_on(&mut self, running: Running, progress: Progress) -> Step {
        self.method_name = running.name();
        match progress {
            Progress::Ask(data) => {
                let kind = running.method().type_code();
                self.stage = Stage::Under(running);
                self.ask(kind, &data)
            }
            Progress::Check(claim) => {
                self.stage = Stage::Judging(running);
                Step::Check(claim)
            }
            Progress::Success(keys) => Step::Success { message: packet::success(self.identifier), keys },
            Progress::Failure(fault) => self.fail(fault),
            Progress::Ignore => {
                self.stage = Stage::Under(running);
                self.again()
            }
        }
    }

    fn ask(&mut self, kind: TypeCode, data: &[u8]) -> Step {
        self.identifier = self.identifier.wrapping_add(1);
        self.request = packet::request(self.identifier, kind, data);
        Step::Request(self.request.clone())
    }

    fn again(&mut self) -> Step {
        self.ignored = self.ignored.saturating_add(1);
        if self.ignored > MOST_IGNORED || self.request.is_empty() {
            return self.fail(Fault::Malformed);
        }
        Step::Again(self.request.clone())
    }

    fn fail(&mut self, fault: Fault) -> Step {
        self.stage = Stage::Over;
        Step::Failure { message: packet::failure(self.identifier), fault }
    }
}

/// A tunnelled method with a chain of certificates in small fragments takes some 70; more is a peer that plays.
const MOST_ROUNDS: u16 = 100;
/// Packets that answer nothing; a disturbed link has one or two.
const MOST_IGNORED: u8 = 4;

#[cfg(test)]
#[path = "conversation_tests.rs"]
mod tests;
