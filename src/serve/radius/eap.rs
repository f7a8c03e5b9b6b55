//! An Access-Request with EAP-Message in, the octets of its answer out (RFC 3579).
//!
//! The conversation is [`crate::eap`]'s, who it is and whether they may be online `access`'s; here rounds are found by
//! their State, and packets go into attributes and come out of them.
//!
//! The one rule: an accept asks `access` once more, whatever was decided rounds ago.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use super::conversations::{Holder, State, Taken};
use super::login::{Asked, By, Offered, Outcome, Owed, Told};
use crate::access::{Answer, Attempt, Evidence, Login};
use crate::base::secret::Secret;
use crate::domain::refusal::{EapRefusal, Refusal};
use crate::domain::service::Credential;
use crate::domain::voucher::VoucherRefusal;
use crate::eap::{
    Claim, Conversation, Fault, Judgement, Keys, Mark, MsChapError, Proven, Random, Step, packet,
};
use crate::nas::can_be_captive;
use crate::radius::{Buffer, Code, EncodeError, Extras, Kind, Packet, Reply, VendorKind};

/// A conversation, with what was decided in it so far.
pub(super) struct Turn {
    conversation: Conversation,
    began: Instant,
    /// The name of the last claim; before there is one, the identity.
    name: Option<Box<str>>,
    accepted: Option<Arc<Login>>,
    refused: Option<(Refusal, Option<Arc<Login>>)>,
    /// A claim that waits for a voucher's first use.
    waiting: Option<Claim>,
}

/// A round that is done elsewhere.
pub(super) struct Round {
    turn: Box<Turn>,
    message: Vec<u8>,
    fragment: usize,
    random: Random,
}

impl Round {
    /// Does it.
    pub(super) fn step(mut self) -> (Box<Turn>, Step) {
        let step = self.turn.conversation.receive(&self.message, self.fragment, &self.random);
        (self.turn, step)
    }
}

/// Answers a round.
pub(super) fn answer<'b>(asked: &Asked<'_>, buffer: &'b mut Buffer) -> Outcome<'b> {
    let message: Vec<u8> = asked.packet.all(Kind::EAP_MESSAGE).flat_map(|one| one.value.to_vec()).collect();
    let refuse = |why, buffer| {
        let by = By { method: "eap", name: asked.username() };
        let failure = packet::failure(message.get(1).copied().unwrap_or_default());
        asked.refuse(by, Refusal::Eap { why }, None, &Told::Eap(failure), buffer)
    };
    // RFC 3579 section 3.3: a request proves in one way.
    if proves_otherwise(asked.packet) {
        return refuse(EapRefusal::Malformed, buffer);
    }
    let Some(random) = asked.random().map(Random::new) else { return Outcome::Silence };
    let Some(state) = asked.packet.first(Kind::STATE) else {
        let offer = asked.shared.eap.load_full();
        offer.tick(asked.instant);
        let (conversation, step) = Conversation::open(offer, &message, &random);
        return Turn::new(conversation, asked.instant).go_on(asked, step, &random, buffer);
    };
    let conversations = &asked.shared.conversations;
    let taken = State::try_from(state.value)
        .map_or(Taken::Unknown, |state| conversations.take(&state, &holder(asked), asked.instant));
    match taken {
        Taken::Turn(turn) if asked.instant.saturating_duration_since(turn.began) > LONGEST => {
            refuse(EapRefusal::TooLong, buffer)
        }
        Taken::Turn(mut turn) => {
            let fragment = fragment(asked);
            if turn.conversation.is_slow() {
                return Outcome::Handshake(Box::new(Round { turn, message, fragment, random }));
            }
            let step = turn.conversation.receive(&message, fragment, &random);
            turn.go_on(asked, step, &random, buffer)
        }
        Taken::Spent => Outcome::Silence,
        Taken::Unknown => refuse(EapRefusal::Unknown, buffer),
    }
}

/// Goes on with a conversation whose handshake was carried on elsewhere.
pub(super) fn after_handshake<'b>(
    asked: &Asked<'_>,
    turn: Box<Turn>,
    step: Step,
    buffer: &'b mut Buffer,
) -> Outcome<'b> {
    let Some(random) = asked.random().map(Random::new) else { return Outcome::Silence };
    turn.go_on(asked, step, &random, buffer)
}

/// Goes on with a conversation whose claim was checked elsewhere. `fits` is `None` where the checkers were too busy.
pub(super) fn after_hash<'b>(
    asked: &Asked<'_>,
    mut turn: Box<Turn>,
    fits: Option<bool>,
    buffer: &'b mut Buffer,
) -> Outcome<'b> {
    let Some(random) = asked.random().map(Random::new) else { return Outcome::Silence };
    let login = turn.name.as_deref().and_then(|name| asked.shared.access.snapshot().login(name));
    let answer = match (fits, login) {
        (Some(true), Some(login)) => asked.admit(login),
        (Some(_), login) => Answer::Refuse { refusal: Refusal::WrongPassword, login },
        (None, login) => Answer::Refuse { refusal: Refusal::Busy, login },
    };
    let step = turn.take_answer(asked, answer, &random);
    turn.go_on(asked, step, &random, buffer)
}

/// Goes on with a conversation whose voucher was used first, or was not.
pub(super) fn after_first_use<'b>(
    asked: &Asked<'_>,
    mut turn: Box<Turn>,
    used: Result<(), Refusal>,
    buffer: &'b mut Buffer,
) -> Outcome<'b> {
    let Some(random) = asked.random().map(Random::new) else { return Outcome::Silence };
    let answer = match (used, turn.waiting.take()) {
        (Ok(()), Some(claim)) => authenticate(asked, &claim),
        (Ok(()), None) => refused(Refusal::Busy),
        (Err(refusal), _) => refused(refusal),
    };
    // What was added to another login has none of its own: a NAS is told no, and the portal knows it.
    let step = turn.take_answer(asked, answer, &random);
    turn.go_on(asked, step, &random, buffer)
}

impl Turn {
    pub(super) fn new(conversation: Conversation, began: Instant) -> Box<Self> {
        Box::new(Self { conversation, began, name: None, accepted: None, refused: None, waiting: None })
    }

    /// Does what the conversation says, until there is something to answer.
    fn go_on<'b>(
        mut self: Box<Self>,
        asked: &Asked<'_>,
        step: Step,
        random: &Random,
        buffer: &'b mut Buffer,
    ) -> Outcome<'b> {
        match step {
            Step::Request(request) => self.challenge(asked, &request, None, buffer),
            Step::Again(request) => self.challenge(asked, &request, Some(INVALID_EAP_PACKET), buffer),
            Step::Success { message, keys } => self.succeed(asked, message, keys, buffer),
            Step::Failure { message, fault } => self.fail(asked, message, fault, buffer),
            Step::Check(claim) => {
                self.name = std::str::from_utf8(claim.name()).ok().map(Into::into);
                match authenticate(asked, &claim) {
                    Answer::AskHash { login, verifier, .. } => {
                        if let Some(password) = clear_text(&claim) {
                            return Outcome::Ask { password, verifier, turn: Some(self) };
                        }
                        let refusal = Refusal::MethodNotPossible;
                        let answer = Answer::Refuse { refusal, login: Some(login) };
                        let step = self.take_answer(asked, answer, random);
                        self.go_on(asked, step, random, buffer)
                    }
                    Answer::AskVoucher { code } => {
                        self.waiting = Some(claim);
                        Outcome::Use(code, asked.guesser(), Some(self))
                    }
                    answer @ (Answer::Accept { .. } | Answer::Refuse { .. }) => {
                        let step = self.take_answer(asked, answer, random);
                        self.go_on(asked, step, random, buffer)
                    }
                }
            }
        }
    }

    /// Tells the conversation what was decided.
    fn take_answer(&mut self, asked: &Asked<'_>, answer: Answer<Extras>, random: &Random) -> Step {
        let (refusal, login) = match answer {
            Answer::Accept { login, extras, .. } => {
                let judgement = Judgement::Accepted(extras, mark_of(&login));
                self.accepted = Some(login);
                return self.conversation.judged(&judgement, fragment(asked), random);
            }
            Answer::Refuse { refusal, login } => (refusal, login),
            Answer::AskHash { login, .. } => (Refusal::MethodNotPossible, Some(login)),
            Answer::AskVoucher { .. } => (Refusal::Voucher { why: VoucherRefusal::Used }, None),
        };
        self.refused = Some((refusal, login));
        let judgement = Judgement::Refused(in_words_of_ms_chap(&refusal));
        self.conversation.judged(&judgement, fragment(asked), random)
    }

    /// Keeps the conversation and asks the peer.
    fn challenge<'b>(
        self: Box<Self>,
        asked: &Asked<'_>,
        request: &[u8],
        error_cause: Option<u32>,
        buffer: &'b mut Buffer,
    ) -> Outcome<'b> {
        let Some(state) = asked.random() else { return Outcome::Silence };
        let write = |buffer: &'b mut Buffer| -> Result<&'b [u8], EncodeError> {
            let mut reply = Reply::start(buffer, asked.packet, Code::AccessChallenge)?;
            reply.attributes().eap_message(request)?;
            reply.attributes().octets(Kind::STATE, &state)?;
            if let Some(cause) = error_cause {
                reply.attributes().u32(Kind::ERROR_CAUSE, cause)?;
            }
            Ok(reply.finish(asked.secret))
        };
        if asked.shared.conversations.keep(state, holder(asked), self, asked.instant).is_err() {
            asked.shared.conversations_refused.increment(1);
            return Outcome::Silence;
        }
        write(buffer).map_or(Outcome::Silence, Outcome::Challenge)
    }

    /// The peer is who it says; whether it may be online is asked now, not when its claim was judged.
    fn succeed<'b>(
        self: Box<Self>,
        asked: &Asked<'_>,
        message: [u8; 4],
        keys: Option<Keys>,
        buffer: &'b mut Buffer,
    ) -> Outcome<'b> {
        let by = self.by(asked);
        let [_, identifier, ..] = message;
        let failure = Told::Eap(packet::failure(identifier));
        let login = self.accepted.as_ref();
        let Some(login) = login.and_then(|login| asked.shared.access.snapshot().service(login.service.id))
        else {
            return asked.refuse(by, Refusal::UnknownUser, None, &failure, buffer);
        };
        match asked.admit(login) {
            Answer::Accept { login, entitlement, .. } => {
                let name = Some(by.name).filter(|name| *name != asked.username());
                asked.accept(by, &login, &entitlement, &Owed::Eap { message, keys, name }, buffer)
            }
            Answer::Refuse { refusal, login } => {
                asked.refuse(by, refusal, login.as_deref(), &failure, buffer)
            }
            Answer::AskHash { .. } | Answer::AskVoucher { .. } => Outcome::Silence,
        }
    }

    fn fail<'b>(
        self: Box<Self>,
        asked: &Asked<'_>,
        message: [u8; 4],
        fault: Fault,
        buffer: &'b mut Buffer,
    ) -> Outcome<'b> {
        let (refusal, login) = match (fault, &self.refused) {
            (Fault::ClaimRefused, Some((refusal, login))) => (*refusal, login.as_deref()),
            (Fault::ClaimRefused, None) => (Refusal::NoCredential, None),
            (other, _) => (Refusal::Eap { why: why(other) }, self.accepted.as_deref()),
        };
        asked.refuse(self.by(asked), refusal, login, &Told::Eap(message), buffer)
    }

    fn by<'s>(&'s self, asked: &Asked<'s>) -> By<'s> {
        let identity = std::str::from_utf8(self.conversation.identity()).ok();
        let identity = identity.filter(|identity| !identity.is_empty());
        let name = self.name.as_deref().or(identity).unwrap_or_else(|| asked.username());
        By { method: self.conversation.method_name(), name }
    }
}

fn authenticate(asked: &Asked<'_>, claim: &Claim) -> Answer<Extras> {
    let Ok(username) = std::str::from_utf8(claim.name()) else { return refused(Refusal::UnknownUser) };
    let proof = match claim.proven() {
        Proven::By(proof) => proof,
        // Who signs the certificates vouches for the name.
        Proven::ByCertificate => return admit_named(asked, username, |_| true),
        Proven::Before(mark) => return admit_named(asked, username, |login| mark_of(login) == mark),
    };
    let attempt = Attempt {
        username,
        station: asked.station(),
        can_be_captive: can_be_captive(asked.peer.entry.nas.kind),
        evidence: Some(&Offered { proof, username: claim.hashed_name() }),
    };
    asked.shared.access.authenticate(&attempt, asked.now)
}

/// Whether who has shown otherwise that this is its name may be online.
fn admit_named(asked: &Asked<'_>, username: &str, still: impl Fn(&Login) -> bool) -> Answer<Extras> {
    let access = &asked.shared.access;
    match access.snapshot().login(&access.name_to_keep(username)) {
        None => refused(Refusal::UnknownUser),
        Some(login) if still(&login) => asked.admit(login),
        // The password was changed since.
        Some(login) => Answer::Refuse { refusal: Refusal::WrongPassword, login: Some(login) },
    }
}

/// What tells a credential from the one before it: each time a password is set, it is sealed or hashed anew.
fn mark_of(login: &Login) -> Mark {
    let credential = match &login.service.credential {
        Credential::Sealed { sealed } => sealed,
        Credential::Hashed { verifier } => verifier,
    };
    let digest =
        Sha256::new().chain_update(login.service.id.0.as_bytes()).chain_update(credential).finalize();
    digest.first_chunk().copied().unwrap_or_default()
}

fn clear_text(claim: &Claim) -> Option<Secret> {
    match claim.proven() {
        Proven::By(proof) => {
            let offered = Offered { proof, username: claim.hashed_name() };
            offered.clear_text().map(|(password, _)| Secret::new(password))
        }
        Proven::ByCertificate | Proven::Before(_) => None,
    }
}

/// Octets of an EAP packet's data that the NAS can carry: what Framed-MTU says of its link to the device (RFC 3579
/// section 2.4), less the frame's own.
fn fragment(asked: &Asked<'_>) -> usize {
    let carried = asked.packet.u32(Kind::FRAMED_MTU).and_then(|mtu| usize::try_from(mtu).ok());
    carried.unwrap_or(USUAL_MTU).min(MOST_MTU).saturating_sub(FRAME)
}

const fn refused(refusal: Refusal) -> Answer<Extras> {
    Answer::Refuse { refusal, login: None }
}

fn holder(asked: &Asked<'_>) -> Holder {
    Holder { nas: asked.peer.entry.nas.id, station: asked.station().map(Into::into) }
}

fn proves_otherwise(packet: &Packet<'_>) -> bool {
    packet.first(Kind::USER_PASSWORD).is_some()
        || packet.first(Kind::CHAP_PASSWORD).is_some()
        || packet.first_vendor(VendorKind::MS_CHAP_RESPONSE).is_some()
        || packet.first_vendor(VendorKind::MS_CHAP2_RESPONSE).is_some()
}

const fn why(fault: Fault) -> EapRefusal {
    match fault {
        Fault::NoIdentity => EapRefusal::NoIdentity,
        Fault::NoCommonMethod => EapRefusal::NoCommonMethod,
        Fault::PeerRefused => EapRefusal::PeerRefused,
        Fault::ClaimRefused | Fault::Malformed | Fault::Over => EapRefusal::Malformed,
        Fault::TooLong => EapRefusal::TooLong,
        Fault::Tls => EapRefusal::Tls,
        Fault::ServerCertificateRefused => EapRefusal::ServerCertificateRefused,
        Fault::NoClientCertificate => EapRefusal::NoClientCertificate,
        Fault::ClientCertificateRefused => EapRefusal::ClientCertificateRefused,
        Fault::NotOfThisIdentity => EapRefusal::NotOfThisIdentity,
        Fault::NotOfThisTunnel | Fault::Binding => EapRefusal::Binding,
        Fault::TooLarge => EapRefusal::TooLarge,
    }
}

/// The few words that RFC 2759 section 6 has, for who has proved the password already.
const fn in_words_of_ms_chap(refusal: &Refusal) -> MsChapError {
    match refusal {
        Refusal::SubscriberEnded | Refusal::ServiceEnded | Refusal::Locked { .. } => {
            MsChapError::AccountDisabled
        }
        Refusal::ServicePending
        | Refusal::NothingPaid
        | Refusal::Expired { .. }
        | Refusal::QuotaSpent
        | Refusal::TimeSpent
        | Refusal::DeviceLimit { .. }
        | Refusal::NotPermittedHere => MsChapError::NoPermission,
        Refusal::UnknownUser
        | Refusal::WrongPassword
        | Refusal::NoCredential
        | Refusal::MethodNotPossible
        | Refusal::Voucher { .. }
        | Refusal::Eap { .. }
        | Refusal::Busy => MsChapError::AuthenticationFailure,
    }
}

/// From the first packet to the last; a person who types a password into a phone has time for it.
const LONGEST: Duration = Duration::from_secs(180);
/// Where the NAS does not say.
const USUAL_MTU: usize = 1_020;
/// With RADIUS' own attributes still one unbroken datagram.
const MOST_MTU: usize = 1_200;
/// EAP's header and type, TLS' flags and length.
const FRAME: usize = 10;
/// Error-Cause 202 (RFC 3579 section 2.2, RFC 5176 section 3.5): Invalid EAP Packet (Ignored).
const INVALID_EAP_PACKET: u32 = 202;
