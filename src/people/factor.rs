//! Second factors of staff: a code of an authenticator app (TOTP, RFC 6238), and recovery codes for its loss.
//!
//! Setting up makes a secret, confirming proves that the app has it; from then on a visit begins with a code,
//! and what touches money or secrets asks for one again. The one rule: a code counts once. The step of the
//! last one is kept in the commit that it let through, so of two requests with one code at the same moment
//! one conflicts, reads again and is refused.

use std::sync::PoisonError;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use totp_rs::{Builder, Totp};
use uuid::Uuid;

use super::audit::{self, Deed};
use super::login::Checked;
use super::staff::By;
use super::{People, PeopleError, Visitor};
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::ids::StaffId;
use crate::domain::staff::{Factor, Staff, Visit};
use crate::store::SealedSecret;
use crate::store::contract::{Record, Unit};
use crate::store::draft::Draft;
use crate::store::tables::staff::Factors;
use crate::store::tables::{Staffs, Visits};
use crate::store::vault::Vault;

/// The keys that second factors need.
#[derive(Clone)]
pub(super) struct FactorKeys {
    /// Signs what stands for a password that was right, until the code comes.
    pending: Hmac<Sha256>,
    /// Hashes recovery codes.
    recovery: Hmac<Sha256>,
}

/// What an authenticator app needs; shown once.
#[derive(Debug, Clone)]
pub struct SetUp {
    /// The secret in base32, for typing.
    pub secret: Secret,
    /// The same as a link (`otpauth:`), for a QR code.
    pub link: Secret,
}

/// How a member of staff stands with their second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Since when it is asked.
    pub since: Option<Timestamp>,
    /// Recovery codes that are left.
    pub recovery_left: usize,
}

impl People {
    /// How somebody stands with their second factor.
    ///
    /// # Errors
    /// `NoSuchStaff`, or a fault.
    pub async fn factor_standing(&self, id: StaffId) -> Result<Standing, PeopleError> {
        let since = self.get_staff(id).await?.second_factor_since;
        let kept = self.store.get::<Factors>(&id).await?;
        let recovery_left = kept.map_or(0, |one| one.body.recovery_hashes.len());
        Ok(Standing { since, recovery_left })
    }

    /// Drafts a new secret, which counts once it is confirmed; an unconfirmed one before it is replaced.
    ///
    /// # Errors
    /// `AlreadyEnrolled`, or a fault.
    pub async fn set_up_factor(
        &self,
        visitor: &Visitor,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Draft<SetUp>, PeopleError> {
        let kept = self.store.get::<Factors>(&visitor.staff_id).await?;
        if visitor.is_enrolled || kept.as_ref().is_some_and(|one| one.body.confirmed_at.is_some()) {
            return Err(PeopleError::AlreadyEnrolled);
        }
        let octets = Secret::new(self.entropy.bytes::<SECRET_OCTETS>()?);
        let sealed = self.vault.seal(&self.entropy, &context(visitor.staff_id), &octets)?;
        let factor = Factor {
            secret: sealed.into(),
            created_at: now,
            confirmed_at: None,
            last_step: 0,
            recovery_hashes: Vec::new(),
        };
        let unit = match kept {
            Some(Record { version, .. }) => {
                Unit::natural().replace::<Factors>(&visitor.staff_id, version, &factor)?
            }
            None => Unit::natural().create::<Factors>(&visitor.staff_id, &factor)?,
        };
        let text = base32(octets.expose());
        let (issuer, account) = (percent(issuer), percent(visitor.email.as_str()));
        let link =
            format!("otpauth://totp/{issuer}:{account}?secret={text}&issuer={issuer}&digits=6&period=30");
        Ok(Draft::new(unit, SetUp { secret: Secret::from_text(&text), link: Secret::from_text(&link) }))
    }

    /// Drafts that the factor counts from now on, in this visit too, and gives the recovery codes. Every other
    /// visit of theirs ends by it.
    ///
    /// # Errors
    /// `NotEnrolled` where none was set up, `AlreadyEnrolled`, `WrongCode`, `TooMany`, or a fault.
    pub async fn confirm_factor(
        &self,
        visitor: &Visitor,
        code: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Vec<String>>, PeopleError> {
        let id = visitor.staff_id;
        let kept = self.store.get::<Factors>(&id).await?.ok_or(PeopleError::NotEnrolled)?;
        if kept.body.confirmed_at.is_some() {
            return Err(PeopleError::AlreadyEnrolled);
        }
        self.count_code(id, now)?;
        let step = self.matching_step(id, &kept.body, code, now)?.ok_or(PeopleError::WrongCode)?;
        self.forgive_codes(id);
        let (codes, recovery_hashes) = self.recovery_codes(id)?;
        let factor = Factor { confirmed_at: Some(now), last_step: step, recovery_hashes, ..kept.body };
        let unit = Unit::natural().replace::<Factors>(&id, kept.version, &factor)?;
        let unit = self.mark_visit(unit, visitor, now).await?;
        let draft = self.note_on_staff(unit, id, Some(now), actor, "staff.second_factor", now).await?;
        Ok(draft.map(|_| codes))
    }

    /// Drafts that the factor was given again in this visit; gives until when that counts.
    ///
    /// # Errors
    /// `NotEnrolled`, `WrongCode`, `TooMany`, or a fault.
    pub async fn give_factor_again(
        &self,
        visitor: &Visitor,
        code: &str,
        now: Timestamp,
    ) -> Result<Draft<Timestamp>, PeopleError> {
        let unit = self.spend_code(Unit::natural(), visitor.staff_id, code, now).await?;
        let unit = self.mark_visit(unit, visitor, now).await?;
        Ok(Draft::new(unit, now.saturating_add(super::visits::FRESH).unwrap_or(Timestamp::MAX)))
    }

    /// Drafts new recovery codes in the place of those that are left.
    ///
    /// # Errors
    /// As [`People::give_factor_again`].
    pub async fn renew_recovery_codes(
        &self,
        visitor: &Visitor,
        code: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Vec<String>>, PeopleError> {
        let id = visitor.staff_id;
        let (kept, factor) = self.spent(id, code, now).await?;
        let (codes, recovery_hashes) = self.recovery_codes(id)?;
        let factor = Factor { recovery_hashes, ..factor };
        let unit = Unit::natural().replace::<Factors>(&id, kept, &factor)?;
        let deed = Deed { action: "staff.recovery_codes", kind: "staff", subject: &id.to_string() };
        let nothing = (None::<&()>, None::<&()>);
        Ok(Draft::new(audit::record(unit, &self.entropy, actor, now, deed, nothing)?, codes))
    }

    /// Drafts the end of one's own factor.
    ///
    /// # Errors
    /// As [`People::give_factor_again`].
    pub async fn drop_factor(
        &self,
        visitor: &Visitor,
        code: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Staff>, PeopleError> {
        let unit = self.spend_code(Unit::natural(), visitor.staff_id, code, now).await?;
        let unit = unit.delete::<Factors>(&visitor.staff_id);
        self.note_on_staff(unit, visitor.staff_id, None, actor, "staff.second_factor", now).await
    }

    /// Drafts the end of somebody else's factor, who lost it; ends their visits.
    ///
    /// # Errors
    /// `NoSuchStaff`, `MayNotManage`, or a fault.
    pub async fn reset_factor(&self, by: By<'_>, id: StaffId) -> Result<Draft<Staff>, PeopleError> {
        let staff = self.get_staff(id).await?;
        if !by.role.may_manage(staff.role) {
            return Err(PeopleError::MayNotManage);
        }
        let unit = Unit::natural().delete::<Factors>(&id);
        self.note_on_staff(unit, id, None, by.actor, "staff.second_factor_reset", by.now).await
    }

    /// The active staff who touch money or secrets and have no second factor: their names.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn owners_without_factor(&self) -> Result<Vec<(StaffId, String)>, PeopleError> {
        let filter = super::staff::StaffFilter {
            role: Some(crate::domain::role::Role::Owner),
            is_active: Some(true),
            search: None,
        };
        let owners = self.list_staff(&filter, 0, MOST_OWNERS).await?.items.into_iter();
        let without = owners.filter(|one| one.second_factor_since.is_none());
        Ok(without.map(|one| (one.id, one.name.to_string())).collect())
    }

    /// What stands for a password that was right, until the code comes.
    #[must_use]
    pub fn pending_login(&self, checked: Checked) -> Secret {
        let millis = checked.at.as_millisecond();
        let tag = self.factors.pending(checked.staff_id, checked.device, millis).finalize().into_bytes();
        let (staff, device) = (checked.staff_id.0.simple(), checked.device.simple());
        Secret::from_text(&format!("{staff}.{device}.{millis}.{}", URL_SAFE_NO_PAD.encode(tag)))
    }

    /// Reads what [`People::pending_login`] made.
    ///
    /// # Errors
    /// `VisitEnded` for what is not ours or too old.
    pub fn resume_login(&self, token: &str, now: Timestamp) -> Result<Checked, PeopleError> {
        self.factors.read_pending(token, now).ok_or(PeopleError::VisitEnded)
    }

    /// Adds to a unit that this code was used: it must not have been, and cannot be again.
    pub(super) async fn spend_code(
        &self,
        unit: Unit,
        id: StaffId,
        code: &str,
        now: Timestamp,
    ) -> Result<Unit, PeopleError> {
        let (version, factor) = self.spent(id, code, now).await?;
        Ok(unit.replace::<Factors>(&id, version, &factor)?)
    }

    /// The factor as it is once this code is used, and its version before.
    async fn spent(&self, id: StaffId, code: &str, now: Timestamp) -> Result<(u64, Factor), PeopleError> {
        let kept = self.store.get::<Factors>(&id).await?.ok_or(PeopleError::NotEnrolled)?;
        let mut factor = kept.body;
        if factor.confirmed_at.is_none() {
            return Err(PeopleError::NotEnrolled);
        }
        self.count_code(id, now)?;
        if let Some(step) = self.matching_step(id, &factor, code, now)? {
            factor.last_step = step;
        } else {
            let given = self.factors.recovery_hash(id, code);
            let same = |kept: &String| bool::from(kept.as_bytes().ct_eq(given.as_bytes()));
            let place = factor.recovery_hashes.iter().position(same).ok_or(PeopleError::WrongCode)?;
            factor.recovery_hashes.remove(place);
            tracing::warn!(staff.id = %id, left = factor.recovery_hashes.len(), "A recovery code was used");
        }
        self.forgive_codes(id);
        Ok((kept.version, factor))
    }

    /// The time step whose code this is, if it was not used.
    fn matching_step(
        &self,
        id: StaffId,
        factor: &Factor,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<u64>, PeopleError> {
        let sealed = SealedSecret::parse(&factor.secret)?;
        let secret = self.vault.unseal(&context(id), &sealed)?;
        let code: String = code.chars().filter(|symbol| !symbol.is_whitespace()).collect();
        if code.len() != CODE_LENGTH || !code.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(None);
        }
        let seconds = u64::try_from(now.as_second()).unwrap_or(0);
        let step = totp(secret.expose()).and_then(|totp| totp.check(&code, seconds));
        Ok(step.filter(|step| *step > factor.last_step))
    }

    fn recovery_codes(&self, id: StaffId) -> Result<(Vec<String>, Vec<String>), PeopleError> {
        let (mut codes, mut hashes) = (Vec::new(), Vec::new());
        for _ in 0..RECOVERY_CODES {
            let code = self.entropy.readable(RECOVERY_LENGTH)?;
            hashes.push(self.factors.recovery_hash(id, &code));
            let (first, second) = code.split_at(RECOVERY_LENGTH / 2);
            codes.push(format!("{first}-{second}"));
        }
        Ok((codes, hashes))
    }

    fn count_code(&self, id: StaffId, now: Timestamp) -> Result<(), PeopleError> {
        let mut pace = self.factor_pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.take(id, now.as_millisecond()).map_err(PeopleError::too_many)
    }

    fn forgive_codes(&self, id: StaffId) {
        self.factor_pace.lock().unwrap_or_else(PoisonError::into_inner).forget(&id);
    }

    async fn mark_visit(&self, unit: Unit, visitor: &Visitor, now: Timestamp) -> Result<Unit, PeopleError> {
        let kept = self.store.get::<Visits>(&visitor.visit_id).await?.ok_or(PeopleError::VisitEnded)?;
        let visit = Visit { second_factor_at: Some(now), ..kept.body };
        Ok(unit.replace::<Visits>(&visitor.visit_id, kept.version, &visit)?)
    }

    async fn note_on_staff(
        &self,
        unit: Unit,
        id: StaffId,
        since: Option<Timestamp>,
        actor: &Actor,
        action: &str,
        now: Timestamp,
    ) -> Result<Draft<Staff>, PeopleError> {
        let Record { body: before, version, .. } =
            self.store.get::<Staffs>(&id).await?.ok_or(PeopleError::NoSuchStaff)?;
        let after = Staff { second_factor_since: since, updated_at: now, ..before.clone() };
        self.update(unit, version, &before, after, actor, action)
    }
}

impl FactorKeys {
    pub(super) fn new(vault: &Vault) -> Self {
        Self {
            pending: super::keyed(&vault.derive("pending-login")),
            recovery: super::keyed(&vault.derive("recovery-code")),
        }
    }

    fn pending(&self, staff: StaffId, device: Uuid, millis: i64) -> Hmac<Sha256> {
        let mac = self.pending.clone().chain_update(staff.0.as_bytes());
        mac.chain_update(device.as_bytes()).chain_update(millis.to_be_bytes())
    }

    fn read_pending(&self, token: &str, now: Timestamp) -> Option<Checked> {
        let mut parts = token.splitn(4, '.');
        let staff_id = StaffId(Uuid::try_parse(parts.next()?).ok()?);
        let device = Uuid::try_parse(parts.next()?).ok()?;
        let millis: i64 = parts.next()?.parse().ok()?;
        let tag = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
        self.pending(staff_id, device, millis).verify_slice(&tag).ok()?;
        let at = Timestamp::from_millisecond(millis).ok()?;
        let age = now.duration_since(at);
        let is_young = age <= PENDING && age >= -PENDING;
        is_young.then_some(Checked { staff_id, device, at, asks_factor: true })
    }

    /// Written in any case, with or without the line in its middle.
    fn recovery_hash(&self, id: StaffId, code: &str) -> String {
        let plain: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
        let mac = self.recovery.clone().chain_update(id.0.as_bytes());
        let tag = mac.chain_update(plain.to_ascii_uppercase().as_bytes()).finalize().into_bytes();
        URL_SAFE_NO_PAD.encode(tag)
    }
}

impl std::fmt::Debug for FactorKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FactorKeys(…)")
    }
}

/// What apps take without asking: SHA-1, six digits, 30 seconds; the step before and the one after count too.
fn totp(secret: &[u8]) -> Option<Totp> {
    let secret = <[u8; SECRET_OCTETS]>::try_from(secret).ok()?;
    Builder::new().with_secret(secret).build().ok()
}

fn context(id: StaffId) -> String {
    format!("staff_factors/{id}/secret")
}

/// RFC 4648 section 6, without padding: [`SECRET_OCTETS`] divide evenly.
fn base32(octets: &[u8]) -> String {
    let mut text = String::new();
    for five in octets.chunks(5) {
        let bits = five.iter().fold(0u64, |bits, octet| (bits << 8) | u64::from(*octet));
        for place in (0..8).rev() {
            let symbol = usize::try_from((bits >> (place * 5)) & 31).unwrap_or(0);
            text.extend(BASE32.get(symbol).map(|symbol| char::from(*symbol)));
        }
    }
    text
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

impl Standing {
    /// As the API shows it.
    #[must_use]
    pub fn facts(&self) -> serde_json::Value {
        json!({ "enrolled": self.since.is_some(), "recovery_codes_left": self.recovery_left })
    }
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
/// RFC 4226 section 4 R6 recommends 160 bits.
const SECRET_OCTETS: usize = 20;
/// Digits of a code.
const CODE_LENGTH: usize = 6;
/// Recovery codes given at once.
const RECOVERY_CODES: usize = 10;
/// 10 symbols of 5 bits: 50 bits behind five tries and one a minute.
const RECOVERY_LENGTH: usize = 10;
/// From the password to the code: time to find the telephone.
const PENDING: SignedDuration = SignedDuration::from_mins(5);
/// Owners looked at for the warning: a box has a handful.
const MOST_OWNERS: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        let totp = totp(b"12345678901234567890").unwrap();
        // The RFC's eight digits for SHA-1; ours are the last six.
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
        ] {
            assert_eq!(totp.check(&code[2..], seconds), Some(seconds / 30), "{seconds}");
        }
        assert_eq!(totp.check("287082", 89), Some(1));
        assert_eq!(totp.check("287082", 90), None);
    }

    #[test]
    fn base32_is_that_of_rfc_4648() {
        assert_eq!(base32(b"12345678901234567890"), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ");
        assert_eq!(percent("Lekki POP 1:a"), "Lekki%20POP%201%3Aa");
    }

    #[test]
    fn what_stands_for_a_password_cannot_be_made_or_kept() {
        let keys = FactorKeys::new(&Vault::with_key([1; 32]));
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let (staff, device) = (StaffId(Uuid::from_u128(1)), Uuid::from_u128(2));
        let millis = at(0).as_millisecond();
        let tag = URL_SAFE_NO_PAD.encode(keys.pending(staff, device, millis).finalize().into_bytes());
        let token = format!("{}.{}.{millis}.{tag}", staff.0.simple(), device.simple());
        assert_eq!(keys.read_pending(&token, at(299)).map(|one| one.staff_id), Some(staff));
        assert!(keys.read_pending(&token, at(301)).is_none());
        let later = token.replace(&millis.to_string(), &(millis + 1).to_string());
        for forged in [later.as_str(), "", "...", &token[1..], &format!("{token}A")] {
            assert!(keys.read_pending(forged, at(1)).is_none(), "{forged}");
        }
    }
}
