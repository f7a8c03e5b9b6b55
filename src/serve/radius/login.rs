//! An Access-Request in, the octets of its answer out.
//!
//! Everything is decided by `access`; here the packet becomes evidence, and the answer becomes
//! attributes that this kind of NAS understands. Rounds of EAP go to [`super::eap`], which ends here too.

use std::sync::Arc;
use std::time::Instant;

use jiff::Timestamp;

use super::Shared;
use super::eap::{self, Round, Turn};
use super::peers::Peer;
use crate::access::{Answer, Attempt, Evidence, Login, Noted};
use crate::base::secret::Secret;
use crate::domain::entitlement::Entitlement;
use crate::domain::refusal::Refusal;
use crate::domain::voucher::VoucherRefusal;
use crate::domain::voucher_code::VoucherCode;
use crate::eap::Keys;
use crate::nas::{Grant, can_be_captive, write_accept};
use crate::radius::{
    Buffer, Code, EncodeError, Extras, Kind, Packet, PasswordBuffer, Proof, Reply, Salt, SharedSecret,
    Verdict,
};

/// What the worker does with an Access-Request.
pub(super) enum Outcome<'b> {
    /// Send this now: the answer.
    Accept(&'b [u8]),
    /// Send this after the reject delay.
    Reject(&'b [u8]),
    /// Send this now: a question.
    Challenge(&'b [u8]),
    /// Check this password against this verifier elsewhere, then call [`after_hash`].
    Ask {
        /// The password.
        password: Secret,
        /// The verifier (PHC string).
        verifier: String,
        /// The conversation that waits for it, if there is one.
        turn: Option<Box<Turn>>,
    },
    /// Use this voucher first, for whom the second names, then call [`after_first_use`].
    Use(VoucherCode, String, Option<Box<Turn>>),
    /// Carry this handshake on elsewhere, then call [`eap::after_handshake`].
    Handshake(Box<Round>),
    /// Nothing can be said; silence.
    Silence,
}

/// A proof of the protocol as evidence for `access`.
pub(super) struct Offered<'a> {
    pub(super) proof: Proof<'a>,
    /// The name that was mixed into the proof.
    pub(super) username: &'a [u8],
}

impl Evidence for Offered<'_> {
    type Extras = Extras;

    fn check(&self, password: &[u8]) -> Option<Extras> {
        match self.proof.verify(self.username, password) {
            Verdict::Accepted(extras) => Some(extras),
            Verdict::Wrong => None,
        }
    }

    fn clear_text(&self) -> Option<(&[u8], Extras)> {
        match &self.proof {
            Proof::Pap(password) => Some((password, Extras::None)),
            Proof::Chap { .. } | Proof::MsChapV1 { .. } | Proof::MsChapV2 { .. } => None,
        }
    }
}

/// Answers a login.
pub(super) fn answer<'b>(asked: &Asked<'_>, buffer: &'b mut Buffer) -> Outcome<'b> {
    if asked.packet.first(Kind::EAP_MESSAGE).is_some() {
        return eap::answer(asked, buffer);
    }
    let mut room = PasswordBuffer::default();
    let proof = Proof::from_request(asked.packet, asked.secret, &mut room).ok().flatten();
    let raw_name = asked.packet.first(Kind::USER_NAME).map_or(&[][..], |name| name.value);
    let evidence = proof.map(|proof| Offered { proof, username: raw_name });
    let by = asked.by(evidence.as_ref().map(|one| &one.proof));
    let attempt = Attempt {
        username: by.name,
        station: asked.station(),
        can_be_captive: can_be_captive(asked.peer.entry.nas.kind),
        evidence: evidence.as_ref(),
    };
    match asked.shared.access.authenticate(&attempt, asked.now) {
        Answer::Accept { login, entitlement, extras } => {
            asked.accept(by, &login, &entitlement, &Owed::Extras(extras), buffer)
        }
        Answer::Refuse { refusal, login } => {
            let told = evidence.as_ref().map_or(Told::Nothing, |one| Told::By(&one.proof));
            asked.refuse(by, refusal, login.as_deref(), &told, buffer)
        }
        Answer::AskHash { verifier, .. } => match evidence.as_ref().and_then(Evidence::clear_text) {
            Some((password, _)) => Outcome::Ask { password: Secret::new(password), verifier, turn: None },
            None => asked.refuse(by, Refusal::MethodNotPossible, None, &Told::Nothing, buffer),
        },
        Answer::AskVoucher { code } => Outcome::Use(code, asked.guesser(), None),
    }
}

/// Answers a login whose voucher was used first, or was not.
pub(super) fn after_first_use<'b>(
    asked: &Asked<'_>,
    turn: Option<Box<Turn>>,
    used: Result<(), Refusal>,
    buffer: &'b mut Buffer,
) -> Outcome<'b> {
    if let Some(turn) = turn {
        return eap::after_first_use(asked, turn, used, buffer);
    }
    let access = &asked.shared.access;
    match used {
        Err(Refusal::Busy) => Outcome::Silence,
        // What was added to another login has none of its own: a NAS is told no, and the portal knows it.
        Ok(()) if access.snapshot().login(&access.name_to_keep(asked.username())).is_some() => {
            answer(asked, buffer)
        }
        used => {
            let refusal = used.err().unwrap_or(Refusal::Voucher { why: VoucherRefusal::Used });
            let mut room = PasswordBuffer::default();
            let proof = Proof::from_request(asked.packet, asked.secret, &mut room).ok().flatten();
            let told = proof.as_ref().map_or(Told::Nothing, Told::By);
            asked.refuse(asked.by(proof.as_ref()), refusal, None, &told, buffer)
        }
    }
}

/// Answers a login whose password was checked elsewhere. `fits` is `None` where the checkers were
/// too busy: then silence, and the NAS asks again.
pub(super) fn after_hash<'b>(
    asked: &Asked<'_>,
    turn: Option<Box<Turn>>,
    fits: Option<bool>,
    buffer: &'b mut Buffer,
) -> Outcome<'b> {
    if let Some(turn) = turn {
        return eap::after_hash(asked, turn, fits, buffer);
    }
    let by = By { method: "pap", name: asked.username() };
    let login = asked.shared.access.snapshot().login(by.name);
    let answer = match (fits, login) {
        (None, login) => {
            asked.note(by, Some(Refusal::Busy), login.as_deref());
            return Outcome::Silence;
        }
        (Some(true), Some(login)) => asked.admit(login),
        (Some(_), login) => Answer::Refuse { refusal: Refusal::WrongPassword, login },
    };
    match answer {
        Answer::Accept { login, entitlement, extras } => {
            asked.accept(by, &login, &entitlement, &Owed::Extras(extras), buffer)
        }
        Answer::Refuse { refusal, login } => {
            asked.refuse(by, refusal, login.as_deref(), &Told::Nothing, buffer)
        }
        Answer::AskHash { .. } | Answer::AskVoucher { .. } => Outcome::Silence,
    }
}

/// One request while it is answered.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) shared: &'a Shared,
    pub(super) peer: &'a Peer,
    pub(super) packet: &'a Packet<'a>,
    pub(super) secret: &'a SharedSecret,
    pub(super) now: Timestamp,
    /// The same moment on the clock that only goes forward.
    pub(super) instant: Instant,
}

/// By which method who logs in, for the log of answers.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub(super) method: &'static str,
    pub(super) name: &'a str,
}

/// What an accept owes the peer beside the product's attributes.
pub(super) enum Owed<'a> {
    /// What a password method owes.
    Extras(Extras),
    /// What EAP owes.
    Eap {
        /// EAP-Success.
        message: [u8; 4],
        /// The method's keys.
        keys: Option<Keys>,
        /// Who it is, where that is another name than the NAS knows.
        name: Option<&'a str>,
    },
}

/// What a reject tells the peer.
pub(super) enum Told<'a> {
    /// No more than that it is one.
    Nothing,
    /// What the method has for it.
    By(&'a Proof<'a>),
    /// EAP-Failure.
    Eap([u8; 4]),
}

impl<'a> Asked<'a> {
    pub(super) fn username(&self) -> &'a str {
        self.packet.first(Kind::USER_NAME).and_then(|name| name.text()).unwrap_or("")
    }

    fn by(&self, proof: Option<&Proof<'_>>) -> By<'a> {
        By { method: proof.map_or("none", |proof| proof.method().name()), name: self.username() }
    }

    /// Who wrong voucher codes are counted by: the device at its NAS.
    pub(super) fn guesser(&self) -> String {
        format!("{}/{}", self.peer.entry.nas.id, self.station().unwrap_or_default())
    }

    pub(super) fn station(&self) -> Option<&'a str> {
        self.packet.first(Kind::CALLING_STATION_ID).and_then(|station| station.text())
    }

    /// Whether a subscriber whose credential was good may be online.
    pub(super) fn admit(&self, login: Arc<Login>) -> Answer<Extras> {
        let captive = can_be_captive(self.peer.entry.nas.kind);
        self.shared.access.admit(login, self.station(), captive, Extras::None, self.now)
    }

    pub(super) fn accept<'b>(
        &self,
        by: By<'_>,
        login: &Login,
        entitlement: &Entitlement,
        owed: &Owed<'_>,
        buffer: &'b mut Buffer,
    ) -> Outcome<'b> {
        match self.write_accept(login, entitlement, owed, buffer) {
            Ok(octets) => {
                self.note(by, None, Some(login));
                Outcome::Accept(octets)
            }
            Err(error) => {
                // Our fault: an accept that lacks attributes would give what was not sold.
                tracing::error!(service.id = %login.service.id, %error, "an Access-Accept could not be written");
                Outcome::Silence
            }
        }
    }

    fn write_accept<'b>(
        &self,
        login: &Login,
        entitlement: &Entitlement,
        owed: &Owed<'_>,
        buffer: &'b mut Buffer,
    ) -> Result<&'b [u8], EncodeError> {
        let service = &login.service;
        let class = self.shared.access.class_for(login, entitlement);
        let settings = self.shared.settings.load();
        let entitlement = entitlement.until_it_changes(self.now);
        let entitlement = &Entitlement {
            session_secs: entitlement.session_secs.or(settings.session_secs),
            idle_secs: entitlement.idle_secs.or(settings.idle_secs),
            ..entitlement
        };
        let grant = Grant {
            entitlement,
            addresses: &service.addresses,
            class: &class,
            interim_secs: settings.interim_secs,
            framed_ppp: self.packet.u32(Kind::FRAMED_PROTOCOL) == Some(PPP),
        };
        let mut reply = Reply::start(buffer, self.packet, Code::AccessAccept)?;
        let untold = write_accept(self.peer.entry.nas.kind, &grant, reply.attributes())?;
        if untold.rates {
            self.shared.untold_rate.increment(1);
        }
        self.write_owed(owed, &mut reply)?;
        Ok(reply.finish(self.secret))
    }

    fn write_owed(&self, owed: &Owed<'_>, reply: &mut Reply<'_>) -> Result<(), EncodeError> {
        match owed {
            Owed::Extras(Extras::None) => Ok(()),
            Owed::Extras(extras @ (Extras::MsChapV1(_) | Extras::MsChapV2(_))) => {
                reply.extras(extras, self.secret, Salt::pair_from_random(self.salt()))
            }
            Owed::Eap { message, keys, name } => {
                reply.attributes().eap_message(message)?;
                if let Some(name) = name {
                    reply.attributes().text(Kind::USER_NAME, name)?;
                }
                let Some(keys) = keys else { return Ok(()) };
                let salts = Salt::pair_from_random(self.salt());
                reply.mppe_keys(keys.send(), keys.receive(), self.secret, salts)
            }
        }
    }

    pub(super) fn refuse<'b>(
        &self,
        by: By<'_>,
        refusal: Refusal,
        login: Option<&Login>,
        told: &Told<'_>,
        buffer: &'b mut Buffer,
    ) -> Outcome<'b> {
        self.note(by, Some(refusal), login);
        let write = |buffer: &'b mut Buffer| -> Result<&'b [u8], EncodeError> {
            let mut reply = Reply::start(buffer, self.packet, Code::AccessReject)?;
            match told {
                Told::Nothing => {}
                Told::By(proof) => {
                    let challenge = self.random().unwrap_or([0; 16]);
                    proof.failure(&challenge, |kind, value| reply.attributes().vendor(kind, value))?;
                }
                Told::Eap(failure) => reply.attributes().eap_message(failure)?,
            }
            Ok(reply.finish(self.secret))
        };
        write(buffer).map_or(Outcome::Silence, Outcome::Reject)
    }

    fn note(&self, by: By<'_>, refusal: Option<Refusal>, login: Option<&Login>) {
        let nas = &self.peer.entry.nas;
        // A voucher's code is written down nowhere: the login that is made of it stands for it.
        let username = self.shared.access.name_to_keep(by.name);
        let noted = Noted {
            username: &username,
            service_id: login.map(|login| login.service.id),
            nas: (nas.id, nas.name.as_str()),
            station: self.station(),
            method: by.method,
            refusal,
        };
        self.shared.access.log().note(&noted, self.now);
    }

    /// Random octets; `None` where the system has none.
    pub(super) fn random<const N: usize>(&self) -> Option<[u8; N]> {
        self.shared.entropy.bytes().ok()
    }

    /// Where the system has no random octets, zeros: salts need to differ, not to be secret.
    fn salt(&self) -> [u8; 2] {
        self.random().unwrap_or_default()
    }
}

/// RFC 2865 section 5.7: PPP.
const PPP: u32 = 1;
