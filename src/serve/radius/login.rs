//! An Access-Request in, the octets of its answer out.
//!
//! Everything is decided by `access`; here the packet becomes evidence, and the answer becomes
//! attributes that this kind of NAS understands.

use jiff::Timestamp;

use super::Shared;
use super::peers::Peer;
use crate::access::{Answer, Attempt, Evidence, Login, Noted};
use crate::base::secret::Secret;
use crate::domain::entitlement::Entitlement;
use crate::domain::refusal::Refusal;
use crate::domain::voucher::VoucherRefusal;
use crate::domain::voucher_code::VoucherCode;
use crate::nas::{Grant, can_be_captive, write_accept};
use crate::radius::{
    Buffer, Code, EncodeError, Extras, Kind, Packet, PasswordBuffer, Proof, Reply, Salt, SharedSecret,
    Verdict,
};

/// What the worker does with an Access-Request.
pub(super) enum Outcome<'b> {
    /// Send this now.
    Accept(&'b [u8]),
    /// Send this after the reject delay.
    Reject(&'b [u8]),
    /// Check this password against this verifier elsewhere, then call [`after_hash`].
    Ask {
        /// The password.
        password: Secret,
        /// The verifier (PHC string).
        verifier: String,
    },
    /// Use this voucher first, for whom the second names, then call [`after_first_use`].
    Use(VoucherCode, String),
    /// Nothing can be said; silence.
    Silence,
}

/// A proof of the protocol as evidence for `access`.
struct Proven<'a> {
    proof: Proof<'a>,
    username: &'a [u8],
}

impl Evidence for Proven<'_> {
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
pub(super) fn answer<'b>(
    shared: &Shared,
    peer: &Peer,
    packet: &Packet<'_>,
    secret: &SharedSecret,
    buffer: &'b mut Buffer,
    now: Timestamp,
) -> Outcome<'b> {
    let mut room = PasswordBuffer::default();
    let proof = Proof::from_request(packet, secret, &mut room).ok().flatten();
    let raw_name = packet.first(Kind::USER_NAME).map_or(&[][..], |name| name.value);
    let evidence = proof.map(|proof| Proven { proof, username: raw_name });
    let asked = Asked { shared, peer, packet, secret, now, method: method_of(evidence.as_ref()) };
    let attempt = Attempt {
        username: asked.username(),
        station: asked.station(),
        can_be_captive: can_be_captive(peer.entry.nas.kind),
        evidence: evidence.as_ref(),
    };
    match shared.access.authenticate(&attempt, now) {
        Answer::Accept { login, entitlement, extras } => asked.accept(&login, &entitlement, &extras, buffer),
        Answer::Refuse { refusal, login } => {
            asked.refuse(refusal, login.as_deref(), evidence.as_ref().map(|one| &one.proof), buffer)
        }
        Answer::AskHash { verifier, .. } => match evidence.as_ref().and_then(Evidence::clear_text) {
            Some((password, _)) => Outcome::Ask { password: Secret::new(password), verifier },
            None => asked.refuse(Refusal::MethodNotPossible, None, None, buffer),
        },
        Answer::AskVoucher { code } => Outcome::Use(code, asked.guesser()),
    }
}

/// Answers a login whose voucher was used first, or was not.
pub(super) fn after_first_use<'b>(
    shared: &Shared,
    peer: &Peer,
    packet: &Packet<'_>,
    secret: &SharedSecret,
    used: Result<(), Refusal>,
    buffer: &'b mut Buffer,
    now: Timestamp,
) -> Outcome<'b> {
    match used {
        Err(Refusal::Busy) => Outcome::Silence,
        // What was added to another login has none of its own: a NAS is told no, and the portal knows it.
        Ok(()) if shared.access.snapshot().login(&shared.access.name_to_keep(name_of(packet))).is_some() => {
            answer(shared, peer, packet, secret, buffer, now)
        }
        used => {
            let refusal = used.err().unwrap_or(Refusal::Voucher { why: VoucherRefusal::Used });
            let mut room = PasswordBuffer::default();
            let proof = Proof::from_request(packet, secret, &mut room).ok().flatten();
            let method = proof.as_ref().map_or("none", |proof| proof.method().name());
            let asked = Asked { shared, peer, packet, secret, now, method };
            asked.refuse(refusal, None, proof.as_ref(), buffer)
        }
    }
}

/// Answers a login whose password was checked elsewhere. `fits` is `None` where the checkers were
/// too busy: then silence, and the NAS asks again.
pub(super) fn after_hash<'b>(
    shared: &Shared,
    peer: &Peer,
    packet: &Packet<'_>,
    secret: &SharedSecret,
    fits: Option<bool>,
    buffer: &'b mut Buffer,
    now: Timestamp,
) -> Outcome<'b> {
    let asked = Asked { shared, peer, packet, secret, now, method: "pap" };
    let login = shared.access.snapshot().login(asked.username());
    let answer = match (fits, login) {
        (None, login) => {
            asked.note(Some(Refusal::Busy), login.as_deref());
            return Outcome::Silence;
        }
        (Some(true), Some(login)) => {
            let captive = can_be_captive(peer.entry.nas.kind);
            shared.access.admit(login, asked.station(), captive, Extras::None, now)
        }
        (Some(_), login) => Answer::Refuse { refusal: Refusal::WrongPassword, login },
    };
    match answer {
        Answer::Accept { login, entitlement, extras } => asked.accept(&login, &entitlement, &extras, buffer),
        Answer::Refuse { refusal, login } => asked.refuse(refusal, login.as_deref(), None, buffer),
        Answer::AskHash { .. } | Answer::AskVoucher { .. } => Outcome::Silence,
    }
}

fn name_of<'a>(packet: &Packet<'a>) -> &'a str {
    packet.first(Kind::USER_NAME).and_then(|name| name.text()).unwrap_or("")
}

/// One request while it is answered.
#[derive(Clone, Copy)]
struct Asked<'a> {
    shared: &'a Shared,
    peer: &'a Peer,
    packet: &'a Packet<'a>,
    secret: &'a SharedSecret,
    now: Timestamp,
    method: &'static str,
}

impl<'a> Asked<'a> {
    fn username(&self) -> &'a str {
        name_of(self.packet)
    }

    /// Who wrong voucher codes are counted by: the device at its NAS.
    fn guesser(&self) -> String {
        format!("{}/{}", self.peer.entry.nas.id, self.station().unwrap_or_default())
    }

    fn station(&self) -> Option<&'a str> {
        self.packet.first(Kind::CALLING_STATION_ID).and_then(|station| station.text())
    }

    fn accept<'b>(
        &self,
        login: &Login,
        entitlement: &Entitlement,
        extras: &Extras,
        buffer: &'b mut Buffer,
    ) -> Outcome<'b> {
        match self.write_accept(login, entitlement, extras, buffer) {
            Ok(octets) => {
                self.note(None, Some(login));
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
        extras: &Extras,
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
        match extras {
            Extras::None => {}
            Extras::MsChapV1(_) | Extras::MsChapV2(_) => {
                reply.extras(extras, self.secret, Salt::pair_from_random(self.random()))?;
            }
        }
        Ok(reply.finish(self.secret))
    }

    fn refuse<'b>(
        &self,
        refusal: Refusal,
        login: Option<&Login>,
        proof: Option<&Proof<'_>>,
        buffer: &'b mut Buffer,
    ) -> Outcome<'b> {
        self.note(Some(refusal), login);
        let write = |buffer: &'b mut Buffer| -> Result<&'b [u8], EncodeError> {
            let mut reply = Reply::start(buffer, self.packet, Code::AccessReject)?;
            if let Some(proof) = proof {
                proof.failure(&self.random(), |kind, value| reply.attributes().vendor(kind, value))?;
            }
            Ok(reply.finish(self.secret))
        };
        write(buffer).map_or(Outcome::Silence, Outcome::Reject)
    }

    fn note(&self, refusal: Option<Refusal>, login: Option<&Login>) {
        let nas = &self.peer.entry.nas;
        // A voucher's code is written down nowhere: the login that is made of it stands for it.
        let username = self.shared.access.name_to_keep(self.username());
        let noted = Noted {
            username: &username,
            service_id: login.map(|login| login.service.id),
            nas: (nas.id, nas.name.as_str()),
            station: self.station(),
            method: self.method,
            refusal,
        };
        self.shared.access.log().note(&noted, self.now);
    }

    /// Random octets; where the system has none, zeros: salts need to differ, not to be secret.
    fn random<const N: usize>(&self) -> [u8; N] {
        self.shared.entropy.bytes().unwrap_or([0; N])
    }
}

fn method_of(evidence: Option<&Proven<'_>>) -> &'static str {
    evidence.map_or("none", |one| one.proof.method().name())
}

/// RFC 2865 section 5.7: PPP.
const PPP: u32 = 1;
