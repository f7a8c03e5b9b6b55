//! Visits once begun: who is it, refresh, logout.
//!
//! A refresh token is exchanged for the next one at each use. The one rule: a token of ours that
//! was exchanged before ends the whole visit, since two hold it and one of them is a thief; but for
//! [`GRACE`] after an exchange, when it is only another tab of the same browser.

use std::fmt::Write;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use super::audit::{self, Deed};
use super::token::Made;
use super::{People, PeopleError};
use crate::base::entropy::{Entropy, EntropyError};
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::ids::{StaffId, VisitId};
use crate::domain::role::Role;
use crate::domain::staff::{Staff, Visit};
use crate::domain::text::Email;
use crate::store::contract::{ReadError, Record, Unit};
use crate::store::draft::Draft;
use crate::store::tables::{Staffs, Visits};

/// A member of staff with a valid visit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visitor {
    /// Who.
    pub staff_id: StaffId,
    /// Which visit.
    pub visit_id: VisitId,
    /// In which role, as of now.
    pub role: Role,
    /// Name.
    pub name: String,
    /// Login.
    pub email: Email,
    /// Whether a second factor is asked of them.
    pub is_enrolled: bool,
    /// When it was last given in this visit.
    pub second_factor_at: Option<Timestamp>,
}

impl Visitor {
    /// Until when what touches money or secrets may be done without giving the second factor again.
    #[must_use]
    pub fn fresh_until(&self) -> Option<Timestamp> {
        self.second_factor_at.map(|at| at.saturating_add(FRESH).unwrap_or(Timestamp::MAX))
    }
}

/// Why a token identifies nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// It does not count, or not any more.
    #[error("the access token does not count")]
    NotValid,
    /// It could not be checked.
    #[error("the visit could not be read")]
    Read(#[from] ReadError),
}

/// What became of a refresh.
#[derive(Debug, Clone)]
pub enum Refreshed {
    /// The visit goes on. Another tab that came late gets no refresh token: the one given to the
    /// first tab is the only one.
    Goes {
        /// Whose.
        staff: Box<Staff>,
        /// Which.
        visit: VisitId,
        /// The access token.
        access: Made,
        /// The next refresh token; given once.
        refresh: Option<Secret>,
    },
    /// A token that was exchanged before: the visit has ended now. To be refused once committed.
    Revoked,
}

impl People {
    /// Who an access token stands for now.
    ///
    /// # Errors
    /// [`IdentifyError`].
    pub async fn identify(&self, token: &str, now: Timestamp) -> Result<Visitor, IdentifyError> {
        let claims = self.tokens.read(token, now).map_err(|_| IdentifyError::NotValid)?;
        let visit = self.store.get::<Visits>(&claims.sid).await?.ok_or(IdentifyError::NotValid)?.body;
        let staff = self.store.get::<Staffs>(&claims.sub).await?.ok_or(IdentifyError::NotValid)?.body;
        let counts = stands(&visit, &staff, now) && staff.tokens_not_before <= claims.issued_at();
        if !counts {
            return Err(IdentifyError::NotValid);
        }
        let name = staff.name.to_string();
        Ok(Visitor {
            staff_id: staff.id,
            visit_id: visit.id,
            role: staff.role,
            name,
            email: staff.email,
            is_enrolled: staff.second_factor_since.is_some(),
            second_factor_at: visit.second_factor_at,
        })
    }

    /// Exchanges a refresh token. The draft must be committed whatever became of it.
    ///
    /// # Errors
    /// `VisitEnded` for a token that does not count, or a fault.
    pub async fn refresh(
        &self,
        token: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Refreshed>, PeopleError> {
        let presented = self.refresh.read(token).ok_or(PeopleError::VisitEnded)?;
        let (Record { body: visit, version, .. }, staff) =
            self.visit_with_staff(presented.visit).await?.ok_or(PeopleError::VisitEnded)?;
        if !stands(&visit, &staff, now) {
            return Err(PeopleError::VisitEnded);
        }
        if presented.hash == visit.refresh_hash {
            return self.rotate(visit, version, staff, now);
        }
        let fresh = |at: Timestamp| now.duration_since(at) <= GRACE;
        if visit.previous_hash.as_ref() == Some(&presented.hash) && visit.rotated_at.is_some_and(fresh) {
            let access = self.access_token(staff.id, visit.id, now)?;
            let going = Refreshed::Goes { staff: Box::new(staff), visit: visit.id, access, refresh: None };
            return Ok(Draft::new(Unit::natural(), going));
        }
        tracing::warn!(visit.id = %visit.id, "A refresh token was used again; its visit ends");
        let unit = self.end(&visit, version, "a refresh token was used again", actor, now)?;
        Ok(Draft::new(unit, Refreshed::Revoked))
    }

    /// Ends a visit; one that has ended, or never was, is fine.
    ///
    /// # Errors
    /// A fault of the store.
    pub async fn logout(
        &self,
        visit: Option<VisitId>,
        refresh_token: Option<&str>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Timestamp>, PeopleError> {
        let named = refresh_token.and_then(|token| self.refresh.read(token)).map(|presented| presented.visit);
        let nothing = Draft::new(Unit::natural(), now);
        let Some(id) = visit.or(named) else { return Ok(nothing) };
        let Some(record) = self.store.get::<Visits>(&id).await? else { return Ok(nothing) };
        if let Some(ended) = record.body.revoked_at {
            return Ok(Draft::new(Unit::natural(), ended));
        }
        let unit = self.end(&record.body, record.version, "logged out", actor, now)?;
        Ok(Draft::new(unit, now))
    }

    fn rotate(
        &self,
        mut visit: Visit,
        version: u64,
        staff: Staff,
        now: Timestamp,
    ) -> Result<Draft<Refreshed>, PeopleError> {
        let (refresh, hash) = self.refresh.make(visit.id, &self.entropy)?;
        visit.previous_hash = Some(std::mem::replace(&mut visit.refresh_hash, hash));
        visit.rotated_at = Some(now);
        let access = self.access_token(staff.id, visit.id, now)?;
        let unit = Unit::natural().replace::<Visits>(&visit.id, version, &visit)?;
        let going =
            Refreshed::Goes { staff: Box::new(staff), visit: visit.id, access, refresh: Some(refresh) };
        Ok(Draft::new(unit, going))
    }

    fn end(
        &self,
        visit: &Visit,
        version: u64,
        why: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Unit, PeopleError> {
        let ended = Visit { revoked_at: Some(now), revoked_why: Some(why.to_owned()), ..visit.clone() };
        let unit = Unit::natural().replace::<Visits>(&visit.id, version, &ended)?;
        let deed = Deed { action: "visit.end", kind: "visit", subject: &visit.id.to_string() };
        audit::record(unit, &self.entropy, actor, now, deed, (Some(visit), Some(&ended)))
    }

    async fn visit_with_staff(&self, id: VisitId) -> Result<Option<(Record<Visits>, Staff)>, ReadError> {
        let Some(visit) = self.store.get::<Visits>(&id).await? else { return Ok(None) };
        let staff = self.store.get::<Staffs>(&visit.body.staff_id).await?;
        Ok(staff.map(|staff| (visit, staff.body)))
    }
}

/// Whether a visit goes on at all.
fn stands(visit: &Visit, staff: &Staff, now: Timestamp) -> bool {
    visit.staff_id == staff.id
        && visit.revoked_at.is_none()
        && now < visit.expires_at
        && staff.is_active
        && staff.tokens_not_before <= visit.created_at
        && (staff.second_factor_since.is_none() || visit.second_factor_at.is_some())
}

/// Makes and recognises refresh tokens: `<visit>.<random, and a tag that it is ours>`. The tag tells
/// an old token of ours, which ends the visit, from a guess, which must not.
#[derive(Clone)]
pub(super) struct RefreshTokens(Hmac<Sha256>);

/// A refresh token of ours.
struct Presented {
    visit: VisitId,
    hash: String,
}

impl std::fmt::Debug for RefreshTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshTokens(…)")
    }
}

impl RefreshTokens {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        Self(super::keyed(key))
    }

    /// A token and the hash under which it is kept.
    pub(super) fn make(&self, visit: VisitId, entropy: &Entropy) -> Result<(Secret, String), EntropyError> {
        let random = entropy.bytes::<RANDOM_OCTETS>()?;
        let tag = self.mac(visit, &random).finalize().into_bytes();
        let tag = tag.get(..TAG_OCTETS).unwrap_or_default();
        let token = format!("{visit}.{}", URL_SAFE_NO_PAD.encode([random.as_slice(), tag].concat()));
        let hash = sha256_hex(&token);
        Ok((Secret::from_text(&token), hash))
    }

    fn read(&self, token: &str) -> Option<Presented> {
        let (visit, rest) = token.split_once('.').filter(|_| token.len() <= MAX_TOKEN)?;
        let visit = VisitId::from_str(visit).ok()?;
        let octets = URL_SAFE_NO_PAD.decode(rest).ok()?;
        let (random, tag) = octets.split_at_checked(RANDOM_OCTETS)?;
        let ours = tag.len() == TAG_OCTETS && self.mac(visit, random).verify_truncated_left(tag).is_ok();
        ours.then(|| Presented { visit, hash: sha256_hex(token) })
    }

    fn mac(&self, visit: VisitId, random: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(visit.0.as_bytes()).chain_update(random)
    }
}

pub(super) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::with_capacity(64), |mut out, octet| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{octet:02x}");
        out
    })
}

/// How long a second factor that was given counts for money and secrets: a few acts in a row, not a shift.
pub const FRESH: SignedDuration = SignedDuration::from_mins(15);
/// How long after an exchange the token before is taken for another tab's.
pub const GRACE: SignedDuration = SignedDuration::from_secs(10);
/// 256 bits that nobody guesses.
const RANDOM_OCTETS: usize = 32;
/// 128 bits that nobody forges.
const TAG_OCTETS: usize = 16;
/// Ours are 101 characters.
const MAX_TOKEN: usize = 256;

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_refresh_token_is_recognised_and_a_guess_is_not() {
        let (ours, theirs) = (RefreshTokens::new(&[1; 32]), RefreshTokens::new(&[2; 32]));
        let visit = VisitId(Uuid::from_u128(5));
        let (token, hash) = ours.make(visit, &Entropy::seeded(1)).unwrap();
        let token = token.expose_text().unwrap();
        let presented = ours.read(token).unwrap();
        assert_eq!((presented.visit, presented.hash), (visit, hash));
        assert!(theirs.read(token).is_none());
        let other = token.replacen("0005.", "0006.", 1);
        assert_ne!(other, token);
        for guess in [other.as_str(), "", ".", &token[..60], &format!("{visit}.AAAA"), &format!("{token}A")] {
            assert!(ours.read(guess).is_none(), "{guess}");
        }
    }
}
