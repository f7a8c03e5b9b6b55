//! How the first account comes to be, once.
//!
//! A box without staff has a claim code, shown on its console and written to its log at each start
//! until it is used. Whoever presents it makes the first owner; the command line on the box can do
//! the same without it. The one rule: both demand that `DONE` is absent, so of any number of
//! claims at once exactly one becomes true.

use jiff::Timestamp;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::staff::{By, NewStaff, new_staff};
use super::visits::sha256_hex;
use super::{People, PeopleError};
use crate::base::secret::Secret;
use crate::domain::audit::Actor;
use crate::domain::ids::StaffId;
use crate::domain::role::Role;
use crate::domain::staff::Staff;
use crate::store::contract::Unit;
use crate::store::draft::Draft;
use crate::store::tables::Settings;

impl People {
    /// A claim code for a box that has no staff yet; it replaces the one before. `None` where there
    /// is somebody. To be called at the start and shown to whoever stands at the box, nobody else.
    ///
    /// # Errors
    /// A fault of the store.
    pub async fn offer_claim(&self, now: Timestamp) -> Result<Option<Secret>, PeopleError> {
        if self.has_staff().await? {
            return Ok(None);
        }
        let code = self.entropy.readable(CLAIM_LENGTH)?;
        let kept = json!({ "sha256": sha256_hex(&code), "at": now });
        self.store.commit(Unit::natural().put::<Settings>(&CLAIM.to_owned(), &kept)?).await?;
        Ok(Some(Secret::from_text(&grouped(&code))))
    }

    /// Whether there is anybody.
    ///
    /// # Errors
    /// A fault of the store.
    pub async fn has_staff(&self) -> Result<bool, PeopleError> {
        let done = self.store.get::<Settings>(&DONE.to_owned()).await?.is_some();
        Ok(done || self.first_staff(|_| true).await?.is_some())
    }

    /// Checks a claim code before a password is worked on.
    ///
    /// # Errors
    /// `AlreadyClaimed`, `WrongClaim`.
    pub async fn check_claim(&self, code: &str) -> Result<(), PeopleError> {
        if self.has_staff().await? {
            return Err(PeopleError::AlreadyClaimed);
        }
        let kept = self.store.get::<Settings>(&CLAIM.to_owned()).await?.ok_or(PeopleError::WrongClaim)?;
        let ours = kept.body.get("sha256").and_then(|hash| hash.as_str()).unwrap_or_default();
        let theirs = sha256_hex(&plain(code));
        let fits = bool::from(ours.as_bytes().ct_eq(theirs.as_bytes()));
        if fits { Ok(()) } else { Err(PeopleError::WrongClaim) }
    }

    /// Drafts the first owner for whoever has the code.
    ///
    /// # Errors
    /// `AlreadyClaimed`, `WrongClaim`.
    pub async fn claim(
        &self,
        code: &str,
        new: &NewStaff,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Staff>, PeopleError> {
        self.check_claim(code).await?;
        self.draft_first(new, actor, now)
    }

    /// Drafts an account from the box's own command line: the first one, or one more.
    ///
    /// # Errors
    /// `MayNotManage`; at the commit `Taken` for the e-mail.
    pub async fn create_from_console(&self, by: By<'_>, new: &NewStaff) -> Result<Draft<Staff>, PeopleError> {
        if self.has_staff().await? {
            return self.create_staff(by, new);
        }
        self.draft_first(new, by.actor, by.now)
    }

    fn draft_first(
        &self,
        new: &NewStaff,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Draft<Staff>, PeopleError> {
        // The first one must be able to do everything, or nobody ever could.
        let new = NewStaff { role: Role::Owner, ..new.clone() };
        let staff = new_staff(StaffId(self.entropy.uuid_v7(now)?), &new, now);
        let done = json!({ "staff_id": staff.id, "at": now });
        let unit = Unit::natural()
            .create::<Settings>(&DONE.to_owned(), &done)?
            .delete::<Settings>(&CLAIM.to_owned());
        Ok(Draft::new(self.creation(unit, actor, &staff)?, staff))
    }
}

/// In groups of five, as a person reads it.
fn grouped(code: &str) -> String {
    let symbols: Vec<char> = code.chars().collect();
    let groups: Vec<String> = symbols.chunks(5).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// As it was made: without what a person adds.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).take(MAX_CLAIM).collect::<String>().to_uppercase()
}

/// Setting with the code's hash.
const CLAIM: &str = "first_admin_claim";
/// Setting that is there once the first account is.
const DONE: &str = "first_admin";
/// 20 symbols of 5 bits: 100 bits, beyond any guessing.
const CLAIM_LENGTH: usize = 20;
/// More than any code of ours; bounds the hashing.
const MAX_CLAIM: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_it_was_made_however_it_is_written() {
        assert_eq!(grouped("ABCDEFGHJK23456789ZZ"), "ABCDE-FGHJK-23456-789ZZ");
        assert_eq!(plain(" abcde fghjk-23456-789zz "), "ABCDEFGHJK23456789ZZ");
    }
}
