//! What a NAS is told in mid-session: whose session, and its new terms (RFC 5176 section 3).
//!
//! Makers differ in what names a session: all that a request names must fit (section 3), a NAS that does not
//! know an attribute refuses (Error-Cause 401), and `RouterOS` wants the address. So there are two ways of naming one,
//! and the second is tried when the first is not understood.

use std::net::Ipv4Addr;

use super::{Grant, Untold, write_own};
use crate::domain::entitlement::Entitlement;
use crate::domain::nas::NasKind;
use crate::domain::owed::NewTerms;
use crate::domain::service::Addresses;
use crate::radius::{EncodeError, Kind, Writer};

/// Whose session it is, as the NAS itself reported it.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// User-Name.
    pub username: &'a str,
    /// Acct-Session-Id.
    pub acct_session_id: &'a str,
    /// Framed-IP-Address.
    pub ipv4: Option<Ipv4Addr>,
}

/// How a session is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// By login, session id and address: a NAS that reuses ids ends no other session by mistake.
    Full,
    /// By session id alone, which every NAS knows that accounts.
    IdOnly,
}

/// Writes whose session it is.
///
/// # Errors
/// When the packet is full or a value does not fit an attribute.
pub fn write_whose(whose: &Whose<'_>, naming: Naming, to: &mut Writer<'_>) -> Result<(), EncodeError> {
    to.text(Kind::ACCT_SESSION_ID, whose.acct_session_id)?;
    match naming {
        Naming::IdOnly => Ok(()),
        Naming::Full => {
            to.text(Kind::USER_NAME, whose.username)?;
            whose.ipv4.map_or(Ok(()), |address| to.ipv4(Kind::FRAMED_IP_ADDRESS, address))
        }
    }
}

/// How a session of a NAS of this kind comes by other terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MidSession {
    /// It is told, and goes on.
    Told,
    /// It ends, and logs in anew: what was told at the login cannot be told again.
    Anew,
    /// Not at all: nothing of them was ever told.
    Never,
}

/// How a session of a NAS of this kind comes by other terms.
#[must_use]
pub const fn mid_session(kind: NasKind) -> MidSession {
    match kind {
        NasKind::Mikrotik
        | NasKind::Wispr
        | NasKind::Coova
        | NasKind::Huawei
        | NasKind::Juniper
        | NasKind::AccelPpp => MidSession::Told,
        NasKind::Cisco | NasKind::Ubiquiti => MidSession::Anew,
        NasKind::Generic => MidSession::Never,
    }
}

/// Writes a session's new terms. Limits are told from the session's beginning, as they were with the accept.
///
/// # Errors
/// When the packet is full or a value does not fit an attribute.
pub fn write_terms(kind: NasKind, terms: &NewTerms, to: &mut Writer<'_>) -> Result<Untold, EncodeError> {
    let left = &terms.entitlement;
    let elapsed = u32::try_from(terms.elapsed_secs).unwrap_or(u32::MAX);
    let entitlement = Entitlement {
        session_secs: left.session_secs.map(|secs| secs.saturating_add(elapsed).min(LONGEST)),
        remaining_octets: left.remaining_octets.map(|octets| octets.saturating_add(terms.used_octets)),
        ..*left
    };
    if let Some(secs) = entitlement.session_secs {
        to.u32(Kind::SESSION_TIMEOUT, secs)?;
    }
    let addresses = Addresses::default();
    let grant = Grant {
        entitlement: &entitlement,
        addresses: &addresses,
        class: &[],
        interim_secs: 0,
        framed_ppp: false,
    };
    write_own(kind, &grant, to)
}

/// Several NAS keep Session-Timeout as a signed number.
const LONGEST: u32 = i32::MAX.unsigned_abs();
