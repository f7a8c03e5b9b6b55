//! Accounts of staff: create, list, change, deactivate.
//!
//! An account is never deleted: the audit log names it for ever. The one rule: nobody raises
//! anybody above themselves, and an active owner always remains.

use std::sync::PoisonError;

use jiff::{RoundMode, Timestamp, TimestampRound, Unit as TimeUnit};

use super::audit::{self, Deed};
use super::password::{PasswordError, check_strength};
use super::{People, PeopleError};
use crate::base::entropy::Entropy;
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::ids::StaffId;
use crate::domain::role::Role;
use crate::domain::staff::Staff;
use crate::domain::text::{Email, Line};
use crate::store::contract::{Expected, MAX_PAGE, Page, Range, ReadError, Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::Staffs;

/// On whose behalf a change is made.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// For the audit log.
    pub actor: &'a Actor,
    /// The role that they act in.
    pub role: Role,
    /// When.
    pub now: Timestamp,
}

/// A new account.
#[derive(Debug, Clone)]
pub struct NewStaff {
    /// Login.
    pub email: Email,
    /// Name.
    pub name: Line,
    /// What they may do.
    pub role: Role,
    /// Verifier of the password: [`People::hash_password`].
    pub verifier: String,
}

/// What to change in an account; `None` leaves it as it is.
#[derive(Debug, Clone, Default)]
pub struct StaffChange {
    /// Login.
    pub email: Option<Email>,
    /// Name.
    pub name: Option<Line>,
    /// What they may do; ends their visits.
    pub role: Option<Role>,
    /// Whether they may log in.
    pub is_active: Option<bool>,
    /// Verifier of a new password; ends their visits.
    pub verifier: Option<String>,
}

/// Which accounts to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StaffFilter {
    /// Part of name or e-mail, in any case.
    pub search: Option<String>,
    /// With this role.
    pub role: Option<Role>,
    /// Active ones, or inactive ones.
    pub is_active: Option<bool>,
}

impl People {
    /// The verifier of a password that a person may have.
    ///
    /// # Errors
    /// `Weak`, `Password(Busy)`.
    pub async fn hash_password(&self, password: &str, email: &str) -> Result<String, PeopleError> {
        check_strength(password, email)?;
        Ok(self.passwords.hash(Secret::from_text(password)).await?)
    }

    /// The same for somebody who signs up, each of whom (`who`) has a pace.
    ///
    /// # Errors
    /// `Weak`, `TooMany`, `Password(Busy)`.
    pub async fn hash_signup_password(
        &self,
        password: &str,
        email: &str,
        who: Option<String>,
        now: Timestamp,
    ) -> Result<String, PeopleError> {
        check_strength(password, email)?;
        if let Some(who) = who {
            let mut pace = self.signup_pace.lock().unwrap_or_else(PoisonError::into_inner);
            pace.take(who, now.as_millisecond()).map_err(PeopleError::too_many)?;
        }
        Ok(self.passwords.hash(Secret::from_text(password)).await?)
    }

    /// Whether a password fits a verifier.
    ///
    /// # Errors
    /// `Password(Busy)`.
    pub async fn password_fits(&self, password: &Secret, verifier: &str) -> Result<bool, PeopleError> {
        Ok(self.passwords.verify(password.clone(), Some(verifier)).await?)
    }

    /// A password nobody chose, for showing once.
    ///
    /// # Errors
    /// Without randomness.
    pub fn generate_password(&self) -> Result<String, PeopleError> {
        Ok(generate(&self.entropy)?)
    }

    /// Drafts a new account.
    ///
    /// # Errors
    /// `MayNotManage`; at the commit `Taken` for the e-mail.
    pub fn create_staff(&self, by: By<'_>, new: &NewStaff) -> Result<Draft<Staff>, PeopleError> {
        if !by.role.may_manage(new.role) {
            return Err(PeopleError::MayNotManage);
        }
        let staff = new_staff(StaffId(self.entropy.uuid_v7(by.now)?), new, by.now);
        let unit = self.creation(Unit::natural(), by.actor, &staff)?;
        Ok(Draft::new(unit, staff))
    }

    /// Accounts by the time of their making.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn list_staff(
        &self,
        filter: &StaffFilter,
        offset: usize,
        limit: usize,
    ) -> Result<Listed<Staff>, PeopleError> {
        let window = Window { offset, limit };
        let keep = |one: &Record<Staffs>| filter.fits(&one.body);
        let listed = listing::list::<Staffs>(&self.store, Walk::all(), window, keep).await?;
        Ok(listed.map(|one| one.body))
    }

    /// One account.
    ///
    /// # Errors
    /// `NoSuchStaff`.
    pub async fn get_staff(&self, id: StaffId) -> Result<Staff, PeopleError> {
        Ok(self.store.get::<Staffs>(&id).await?.ok_or(PeopleError::NoSuchStaff)?.body)
    }

    /// Drafts a change of an account.
    ///
    /// # Errors
    /// `NoSuchStaff`, `MayNotManage`, `LastOwner`; at the commit `Taken` for the e-mail.
    pub async fn change_staff(
        &self,
        by: By<'_>,
        id: StaffId,
        change: &StaffChange,
    ) -> Result<Draft<Staff>, PeopleError> {
        let record = self.store.get::<Staffs>(&id).await?.ok_or(PeopleError::NoSuchStaff)?;
        let before = record.body;
        if !by.role.may_manage(before.role) || change.role.is_some_and(|role| !by.role.may_manage(role)) {
            return Err(PeopleError::MayNotManage);
        }
        let after = changed(&before, change, by.now);
        let mut unit = Unit::natural();
        if is_active_owner(&before) && !is_active_owner(&after) {
            unit = self.demand_another_owner(unit, id).await?;
        }
        self.update(unit, record.version, &before, after, by.actor, "staff.update")
    }

    /// Drafts the end of an account; one that has ended is fine.
    ///
    /// # Errors
    /// As [`People::change_staff`].
    pub async fn deactivate_staff(&self, by: By<'_>, id: StaffId) -> Result<Draft<Staff>, PeopleError> {
        let change = StaffChange { is_active: Some(false), ..StaffChange::default() };
        self.change_staff(by, id, &change).await
    }

    /// Drafts a new password of one's own; ends one's visits.
    ///
    /// # Errors
    /// `NoSuchStaff`, or a fault.
    pub async fn change_own_password(
        &self,
        id: StaffId,
        verifier: &str,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Staff>, PeopleError> {
        let record = self.store.get::<Staffs>(&id).await?.ok_or(PeopleError::NoSuchStaff)?;
        let change = StaffChange { verifier: Some(verifier.to_owned()), ..StaffChange::default() };
        let after = changed(&record.body, &change, now);
        self.update(Unit::natural(), record.version, &record.body, after, actor, "staff.password")
    }

    /// Adds an account and its audit entry to a unit.
    pub(super) fn creation(&self, unit: Unit, actor: &Actor, staff: &Staff) -> Result<Unit, PeopleError> {
        let id = staff.id.to_string();
        let unit = unit.create::<Staffs>(&staff.id, staff)?.event(
            "staff.created",
            staff.id,
            serde_json::json!({ "role": staff.role.name() }),
        );
        let deed = Deed { action: "staff.create", kind: "staff", subject: &id };
        audit::record(unit, &self.entropy, actor, staff.created_at, deed, (None::<&()>, Some(staff)))
    }

    pub(super) fn update(
        &self,
        unit: Unit,
        version: u64,
        before: &Staff,
        after: Staff,
        actor: &Actor,
        action: &str,
    ) -> Result<Draft<Staff>, PeopleError> {
        let id = after.id.to_string();
        let unit = unit.replace::<Staffs>(&after.id, version, &after)?.event(
            "staff.changed",
            after.id,
            serde_json::json!({ "role": after.role.name(), "is_active": after.is_active }),
        );
        let deed = Deed { action, kind: "staff", subject: &id };
        let change = (Some(before), Some(&after));
        let unit = audit::record(unit, &self.entropy, actor, after.updated_at, deed, change)?;
        Ok(Draft::new(unit, after))
    }

    /// Another active owner must be there, and still be it at the commit: otherwise two owners
    /// could remove each other at the same moment.
    async fn demand_another_owner(&self, unit: Unit, but: StaffId) -> Result<Unit, PeopleError> {
        let other = self.first_staff(|staff| is_active_owner(staff) && staff.id != but).await?;
        let other = other.ok_or(PeopleError::LastOwner)?;
        Ok(unit.expect::<Staffs>(&other.body.id, Expected::Version(other.version)))
    }

    /// The first account, by the time of its making, that fits.
    pub(super) async fn first_staff(
        &self,
        fits: impl Fn(&Staff) -> bool + Send,
    ) -> Result<Option<Record<Staffs>>, ReadError> {
        let mut page = Page::first(MAX_PAGE);
        loop {
            let slice = self.store.scan::<Staffs>(Range::All, page.clone()).await?;
            if let Some(found) = slice.records.into_iter().find(|record| fits(&record.body)) {
                return Ok(Some(found));
            }
            let Some(next) = slice.next else { return Ok(None) };
            page.after = Some(next);
        }
    }
}

impl StaffFilter {
    fn fits(&self, staff: &Staff) -> bool {
        let found = |text: &str| {
            let text = text.to_lowercase();
            staff.name.as_str().to_lowercase().contains(&text) || staff.email.as_str().contains(&text)
        };
        self.search.as_deref().is_none_or(found)
            && self.role.is_none_or(|role| staff.role == role)
            && self.is_active.is_none_or(|is_active| staff.is_active == is_active)
    }
}

pub(super) fn new_staff(id: StaffId, new: &NewStaff, now: Timestamp) -> Staff {
    Staff {
        id,
        email: new.email.clone(),
        name: new.name.clone(),
        role: new.role,
        is_active: true,
        password: new.verifier.clone(),
        tokens_not_before: whole_millis(now),
        last_login_at: None,
        second_factor_since: None,
        created_at: now,
        updated_at: now,
    }
}

pub(super) fn generate(entropy: &Entropy) -> Result<String, PasswordError> {
    Ok(entropy.readable(GENERATED_LENGTH)?)
}

fn changed(before: &Staff, change: &StaffChange, now: Timestamp) -> Staff {
    let mut after = before.clone();
    after.email = change.email.clone().unwrap_or(after.email);
    after.name = change.name.clone().unwrap_or(after.name);
    after.role = change.role.unwrap_or(after.role);
    after.is_active = change.is_active.unwrap_or(after.is_active);
    after.password = change.verifier.clone().unwrap_or(after.password);
    let ends_visits =
        change.verifier.is_some() || after.role != before.role || after.is_active != before.is_active;
    if ends_visits {
        after.tokens_not_before = whole_millis(now);
    }
    after.updated_at = now;
    after
}

const fn is_active_owner(staff: &Staff) -> bool {
    staff.is_active && matches!(staff.role, Role::Owner)
}

/// Tokens carry milliseconds, so the bound must not be finer, or a token of the same moment would
/// be void.
fn whole_millis(at: Timestamp) -> Timestamp {
    at.round(TimestampRound::new().smallest(TimeUnit::Millisecond).mode(RoundMode::Trunc)).unwrap_or(at)
}

/// 16 symbols of 5 bits: 80 bits.
const GENERATED_LENGTH: usize = 16;
