//! E-mail and password to a visit.
//!
//! Two steps, since checking a password is slow and deciding must be repeatable: [`People::check`]
//! counts the attempt and checks, [`People::begin_visit`] drafts the change. The one rule: a wrong
//! e-mail, a wrong password and an inactive account are refused alike, in words and in time.

use std::net::IpAddr;
use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};

use super::audit::{self, Deed};
use super::password::PasswordError;
use super::throttle::{Attempt, Source};
use super::token::Made;
use super::{People, PeopleError, Visitor};
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::ids::{StaffId, VisitId};
use crate::domain::staff::{Staff, Visit};
use crate::domain::text::Email;
use crate::store::contract::{ReadError, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing;
use crate::store::tables::{Staffs, Visits};

/// What somebody presents to log in.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The e-mail address, as written.
    pub identifier: String,
    /// The password.
    pub password: Secret,
    /// What the device presents as a known one.
    pub device: Option<String>,
    /// Where it comes from.
    pub source: Option<IpAddr>,
}

/// A member of staff whose password was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    pub(super) staff_id: StaffId,
    pub(super) device: uuid::Uuid,
    pub(super) at: Timestamp,
    /// Whether a second factor is asked of them.
    pub asks_factor: bool,
}

/// A visit that has begun, with its tokens.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Whose.
    pub staff: Staff,
    /// Which.
    pub visit: VisitId,
    /// The access token.
    pub access: Made,
    /// The refresh token; given once.
    pub refresh: Secret,
    /// What the device is to present next time.
    pub device: String,
}

impl People {
    /// Counts an attempt and checks its password.
    ///
    /// # Errors
    /// `TooMany`, `WrongCredentials`, `Password(Busy)`, or a fault of the store.
    pub async fn check(&self, presented: &Credentials, now: Timestamp) -> Result<Checked, PeopleError> {
        let staff = self.staff_by_email(&presented.identifier).await?.map(|record| record.body);
        let known = staff.as_ref().and_then(|staff| {
            presented.device.as_deref().and_then(|device| self.devices.recognise(staff.id.0, device))
        });
        let attempt = Attempt {
            account: presented.identifier.clone(),
            device: known,
            source: Source::of(None, presented.source),
        };
        self.count(&attempt, now)?;
        let verifier = staff.as_ref().map(|staff| staff.password.as_str());
        let fits = self.passwords.verify(presented.password.clone(), verifier).await?;
        let Some(staff) = staff.filter(|staff| fits && staff.is_active) else {
            return Err(PeopleError::WrongCredentials);
        };
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner).forgive(&attempt);
        let device = known.map_or_else(|| self.entropy.uuid_v7(now), Ok)?;
        let asks_factor = staff.second_factor_since.is_some();
        Ok(Checked { staff_id: staff.id, device, at: now, asks_factor })
    }

    /// Begins a visit of somebody whose password was right, and spends the code of their second factor.
    ///
    /// # Errors
    /// `WrongCredentials` when the account was closed or changed meanwhile, `CodeNeeded`, `WrongCode`, `TooMany`,
    /// or a fault.
    pub async fn begin_visit(
        &self,
        checked: Checked,
        code: Option<&str>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Begun>, PeopleError> {
        let record = self.store.get::<Staffs>(&checked.staff_id).await?;
        let Some(Record { body: mut staff, version, .. }) = record.filter(|one| one.body.is_active) else {
            return Err(PeopleError::WrongCredentials);
        };
        if staff.tokens_not_before > checked.at {
            return Err(PeopleError::WrongCredentials);
        }
        let mut unit = Unit::natural();
        let mut second_factor_at = None;
        if staff.second_factor_since.is_some() {
            unit = self.spend_code(unit, staff.id, code.ok_or(PeopleError::CodeNeeded)?, now).await?;
            second_factor_at = Some(now);
        }
        // Many logins at once need not all write the same minute.
        let stale = now.saturating_sub(LAST_LOGIN_STEP).unwrap_or(Timestamp::MIN);
        if staff.last_login_at.is_none_or(|last| last < stale) {
            staff.last_login_at = Some(now);
            unit = unit.replace::<Staffs>(&staff.id, version, &staff)?;
        }
        let visit = VisitId(self.entropy.uuid_v7(now)?);
        let (refresh, refresh_hash) = self.refresh.make(visit, &self.entropy)?;
        let record = Visit {
            id: visit,
            staff_id: staff.id,
            refresh_hash,
            previous_hash: None,
            rotated_at: None,
            created_at: now,
            second_factor_at,
            expires_at: now.saturating_add(VISIT_LIFETIME).unwrap_or(Timestamp::MAX),
            revoked_at: None,
            revoked_why: None,
        };
        unit = unit.create::<Visits>(&visit, &record)?;
        let actor =
            Actor { id: format!("staff:{}", staff.id), name: staff.name.to_string(), ..actor.clone() };
        let deed = Deed { action: "visit.begin", kind: "visit", subject: &visit.to_string() };
        unit = audit::record(unit, &self.entropy, &actor, now, deed, (None::<&()>, Some(&record)))?;
        let access = self.access_token(staff.id, visit, now)?;
        let device = self.devices.sign(staff.id.0, checked.device);
        Ok(Draft::new(unit, Begun { staff, visit, access, refresh, device }))
    }

    /// Whether this is the visitor's own password; counted like a login.
    ///
    /// # Errors
    /// `TooMany`, `WrongCredentials`, `Password(Busy)`, or a fault of the store.
    pub async fn check_own_password(
        &self,
        visitor: &Visitor,
        password: Secret,
        source: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<(), PeopleError> {
        let presented = Credentials { identifier: visitor.email.to_string(), password, device: None, source };
        self.check(&presented, now).await.map(|_| ())
    }

    pub(super) fn count(&self, attempt: &Attempt, now: Timestamp) -> Result<(), PeopleError> {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.take(attempt, now.as_millisecond()).map_err(PeopleError::too_many)
    }

    pub(super) fn access_token(
        &self,
        staff: StaffId,
        visit: VisitId,
        now: Timestamp,
    ) -> Result<Made, PeopleError> {
        let name = self.entropy.uuid_v7(now)?.simple().to_string();
        self.tokens.make(staff, visit, name, now).map_err(|_| PeopleError::Sign)
    }

    pub(super) async fn staff_by_email(&self, text: &str) -> Result<Option<Record<Staffs>>, ReadError> {
        let Ok(email) = Email::parse(text) else { return Ok(None) };
        listing::one_by::<Staffs>(&self.store, "email", email.into()).await
    }
}

impl PeopleError {
    pub(super) fn too_many(wait_millis: i64) -> Self {
        let seconds = wait_millis.saturating_add(999) / 1000;
        Self::TooMany { wait_secs: u32::try_from(seconds).unwrap_or(u32::MAX) }
    }

    /// Whether asking again later can help.
    #[must_use]
    pub const fn is_busy(&self) -> bool {
        matches!(self, Self::Password(PasswordError::Busy))
    }
}

/// How long a visit can be kept alive by refreshing.
pub const VISIT_LIFETIME: SignedDuration = SignedDuration::from_hours(30 * 24);
/// How exactly the last login is kept.
const LAST_LOGIN_STEP: SignedDuration = SignedDuration::from_mins(1);
