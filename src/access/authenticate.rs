//! Logins: is it who it says, and may it be online?
//!
//! The credential is checked before anything else is said, so that nobody learns the state of a
//! service whose password they do not have. Everything here reads memory only; what needs a slow
//! hash is handed back as [`Answer::AskHash`].

use std::sync::Arc;

use jiff::Timestamp;

use super::Access;
use crate::domain::entitlement::{Access as Reach, Entitlement, Facts, entitle};
use crate::domain::ids::ServiceId;
use crate::domain::refusal::Refusal;
use crate::domain::service::Credential;
use crate::domain::voucher_code::VoucherCode;
use crate::store::snapshot::Login;

/// What a peer offers as proof of its password.
pub trait Evidence {
    /// What the peer is owed when the proof is good (server proof, keys).
    type Extras;

    /// Holds the proof against the password.
    fn check(&self, password: &[u8]) -> Option<Self::Extras>;

    /// The password itself, where the method carries it (PAP).
    fn clear_text(&self) -> Option<(&[u8], Self::Extras)>;
}

/// One login.
#[derive(Debug)]
pub struct Attempt<'a, E> {
    /// The login as the NAS sent it.
    pub username: &'a str,
    /// The device (Calling-Station-Id), if the NAS said.
    pub station: Option<&'a str>,
    /// Whether this NAS can hold a subscriber in the walled garden.
    pub can_be_captive: bool,
    /// The proof, if there was one that can be used.
    pub evidence: Option<&'a E>,
}

/// The answer to a login.
#[derive(Debug)]
pub enum Answer<X> {
    /// Yes.
    Accept {
        /// Whose service.
        login: Arc<Login>,
        /// With what.
        entitlement: Entitlement,
        /// What the method owes the peer.
        extras: X,
    },
    /// No.
    Refuse {
        /// Why.
        refusal: Refusal,
        /// Which service it meant, if one has that login.
        login: Option<Arc<Login>>,
    },
    /// Only a slow verifier can tell; check the clear text against it off this thread, then call
    /// [`Access::admit`] with its outcome.
    AskHash {
        /// Which service.
        login: Arc<Login>,
        /// The verifier (PHC string).
        verifier: String,
        /// What the method owes the peer when the verifier says yes.
        extras: X,
    },
    /// The name is a voucher's code that no service has yet: call [`Access::use_first`], and when it is told, ask
    /// again.
    AskVoucher {
        /// The code.
        code: VoucherCode,
    },
}

impl Access {
    /// Decides a login at `now`.
    pub fn authenticate<E: Evidence>(&self, attempt: &Attempt<'_, E>, now: Timestamp) -> Answer<E::Extras> {
        let Some(login) = self.snapshot.login(attempt.username) else {
            return self.authenticate_voucher(attempt, now);
        };
        let Some(evidence) = attempt.evidence else {
            return Answer::Refuse { refusal: Refusal::NoCredential, login: Some(login) };
        };
        let checked = match (&login.service.credential, &login.secret) {
            (Credential::Sealed { .. }, Some(secret)) => {
                evidence.check(secret.expose()).ok_or(Refusal::WrongPassword)
            }
            (Credential::Sealed { .. }, None) => Err(Refusal::MethodNotPossible),
            (Credential::Hashed { verifier }, _) => match evidence.clear_text() {
                Some((_, extras)) => {
                    let verifier = verifier.clone();
                    return Answer::AskHash { login, verifier, extras };
                }
                None => Err(Refusal::MethodNotPossible),
            },
        };
        match checked {
            Ok(extras) => self.admit(login, attempt.station, attempt.can_be_captive, extras, now),
            Err(refusal) => Answer::Refuse { refusal, login: Some(login) },
        }
    }

    /// Decides whether a subscriber whose credential was good may be online at `now`.
    pub fn admit<X>(
        &self,
        login: Arc<Login>,
        station: Option<&str>,
        can_be_captive: bool,
        extras: X,
        now: Timestamp,
    ) -> Answer<X> {
        match self.entitlement(&login, now).and_then(|yes| self.room_for(&login, station, &yes).map(|()| yes))
        {
            Err(refusal) => Answer::Refuse { refusal, login: Some(login) },
            Ok(entitlement) => match entitlement.access {
                Reach::Captive { reason } if !can_be_captive => {
                    Answer::Refuse { refusal: Refusal::Locked { reason }, login: Some(login) }
                }
                Reach::Captive { .. } | Reach::Full => Answer::Accept { login, entitlement, extras },
            },
        }
    }

    /// What a service is entitled to at `now`.
    ///
    /// # Errors
    /// The refusal.
    pub fn entitlement(&self, login: &Login, now: Timestamp) -> Result<Entitlement, Refusal> {
        let used = self.used(login, now);
        entitle(&Facts::of(&login.service, login.standing, used, &self.zone), now)
    }

    /// Whether an open session of the service is at a NAS, where it can be ended for a newer one.
    fn has_room_at_nas(&self, service: ServiceId) -> bool {
        self.sessions.of_service(service).iter().any(|session| !session.is_local)
    }

    /// A device that comes back replaces its own ghost, so its earlier session takes no place.
    fn room_for(&self, login: &Login, station: Option<&str>, yes: &Entitlement) -> Result<(), Refusal> {
        if self.defaults.load().newest_device_wins && self.has_room_at_nas(login.service.id) {
            return Ok(());
        }
        let taken = self.sessions.places_taken(login.service.id, station);
        if u32::try_from(taken).unwrap_or(u32::MAX) >= yes.device_limit {
            return Err(Refusal::DeviceLimit { limit: yes.device_limit });
        }
        Ok(())
    }
}
