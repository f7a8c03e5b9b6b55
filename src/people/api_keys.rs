//! Programs' keys: make, list, revoke, recognise.
//!
//! A key is shown once and kept as a hash. The one rule: it is looked up at every request, so that revoking
//! counts at once, and nobody gives a program what they may not do themselves.

use std::sync::PoisonError;

use jiff::{SignedDuration, Timestamp};
use subtle::ConstantTimeEq;

use super::audit::{self, Deed};
use super::staff::By;
use super::visits::sha256_hex;
use super::{People, PeopleError};
use crate::base::secret::Secret;
use crate::domain::api_key::ApiKey;
use crate::domain::ids::ApiKeyId;
use crate::domain::role::Permission;
use crate::domain::text::Line;
use crate::store::contract::{Record, Unit};
use crate::store::draft::Draft;
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::staff::ApiKeys;

/// A program with a key that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its key.
    pub key_id: ApiKeyId,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Permission>,
}

/// A key to be made.
#[derive(Debug, Clone)]
pub struct NewApiKey {
    /// What the program is called.
    pub name: Line,
    /// What it may do.
    pub scopes: Vec<Permission>,
    /// When it stops counting.
    pub expires_at: Option<Timestamp>,
}

/// A key that was made.
#[derive(Debug, Clone)]
pub struct MadeApiKey {
    /// What is kept of it.
    pub record: ApiKey,
    /// The key; shown once.
    pub key: Secret,
}

/// Whether a text is one of our keys by its look.
#[must_use]
pub fn is_api_key(text: &str) -> bool {
    text.starts_with(MARK)
}

impl People {
    /// Drafts a key.
    ///
    /// # Errors
    /// `ScopeNotGiven`, or a fault.
    pub fn create_api_key(&self, by: By<'_>, new: &NewApiKey) -> Result<Draft<MadeApiKey>, PeopleError> {
        let withheld = |scope: &&Permission| !scope.is_for_programs() || !by.role.may(**scope);
        if let Some(scope) = new.scopes.iter().find(withheld) {
            return Err(PeopleError::ScopeNotGiven(scope.name()));
        }
        let id = ApiKeyId(self.entropy.uuid_v7(by.now)?);
        let prefix = format!("{MARK}{}", self.entropy.readable(PREFIX_LENGTH)?);
        let key = format!("{prefix}_{}", self.entropy.readable(KEY_LENGTH)?);
        let mut scopes = new.scopes.clone();
        scopes.sort_unstable();
        scopes.dedup();
        let record = ApiKey {
            id,
            name: new.name.clone(),
            prefix,
            key_hash: sha256_hex(&key),
            scopes,
            created_by: by.actor.id.clone(),
            created_at: by.now,
            expires_at: new.expires_at,
            last_used_at: None,
            revoked_at: None,
        };
        let unit = Unit::natural().create::<ApiKeys>(&id, &record)?;
        let deed = Deed { action: "api_key.create", kind: "api_key", subject: &id.to_string() };
        let change = (None::<&()>, Some(&record));
        let unit = audit::record(unit, &self.entropy, by.actor, by.now, deed, change)?;
        Ok(Draft::new(unit, MadeApiKey { record, key: Secret::from_text(&key) }))
    }

    /// Keys, the newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn list_api_keys(&self, offset: usize, limit: usize) -> Result<Listed<ApiKey>, PeopleError> {
        let walk = Walk::newest_first(crate::store::contract::Range::All);
        let window = Window { offset, limit };
        let listed = listing::list::<ApiKeys>(&self.store, walk, window, |_| true).await?;
        Ok(listed.map(|one| one.body))
    }

    /// One key.
    ///
    /// # Errors
    /// `NoSuchKey`.
    pub async fn get_api_key(&self, id: ApiKeyId) -> Result<ApiKey, PeopleError> {
        Ok(self.store.get::<ApiKeys>(&id).await?.ok_or(PeopleError::NoSuchKey)?.body)
    }

    /// Drafts the end of a key; one that was revoked is fine.
    ///
    /// # Errors
    /// `NoSuchKey`, or a fault.
    pub async fn revoke_api_key(&self, by: By<'_>, id: ApiKeyId) -> Result<Draft<ApiKey>, PeopleError> {
        let Record { body: before, version, .. } =
            self.store.get::<ApiKeys>(&id).await?.ok_or(PeopleError::NoSuchKey)?;
        if before.revoked_at.is_some() {
            return Ok(Draft::new(Unit::natural(), before));
        }
        let after = ApiKey { revoked_at: Some(by.now), ..before.clone() };
        let unit = Unit::natural().replace::<ApiKeys>(&id, version, &after)?;
        let deed = Deed { action: "api_key.revoke", kind: "api_key", subject: &id.to_string() };
        let change = (Some(&before), Some(&after));
        Ok(Draft::new(audit::record(unit, &self.entropy, by.actor, by.now, deed, change)?, after))
    }

    /// The program that a key stands for now, if it counts; counted against its pace.
    ///
    /// # Errors
    /// `TooMany`, or when the store cannot read.
    pub async fn program(&self, key: &str, now: Timestamp) -> Result<Option<Program>, PeopleError> {
        let Some(prefix) = prefix_of(key) else { return Ok(None) };
        let found = listing::one_by::<ApiKeys>(&self.store, "prefix", prefix.into()).await?;
        let Some(Record { body: kept, version, .. }) = found else { return Ok(None) };
        let fits = bool::from(kept.key_hash.as_bytes().ct_eq(sha256_hex(key).as_bytes()));
        if !fits || !kept.counts(now) {
            return Ok(None);
        }
        self.count_program(kept.id, now)?;
        let program = Program { key_id: kept.id, name: kept.name.to_string(), scopes: kept.scopes.clone() };
        self.note_use(kept, version, now).await;
        Ok(Some(program))
    }

    fn count_program(&self, id: ApiKeyId, now: Timestamp) -> Result<(), PeopleError> {
        let mut pace = self.program_pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.take(id, now.as_millisecond()).map_err(PeopleError::too_many)
    }

    /// Keeps when a key was used, coarsely. A store that cannot write now must not refuse a read.
    async fn note_use(&self, kept: ApiKey, version: u64, now: Timestamp) {
        let stale = now.saturating_sub(LAST_USED_STEP).unwrap_or(Timestamp::MIN);
        if kept.last_used_at.is_some_and(|last| last > stale) {
            return;
        }
        let used = ApiKey { last_used_at: Some(now), ..kept };
        let Ok(unit) = Unit::natural().replace::<ApiKeys>(&used.id, version, &used) else { return };
        if let Err(error) = self.store.commit(unit).await {
            tracing::debug!(%error, "The last use of a key was not kept");
        }
    }
}

/// The part by which a key is found.
fn prefix_of(key: &str) -> Option<&str> {
    let end = MARK.len().checked_add(PREFIX_LENGTH)?;
    let whole = end.checked_add(1)?.checked_add(KEY_LENGTH)?;
    let fits = key.len() == whole && key.is_ascii() && is_api_key(key);
    key.get(..end).filter(|_| fits)
}

/// What our keys begin with, so that a scanner for leaked secrets knows one.
const MARK: &str = "dek_";
/// Symbols of the part that is kept readable: 40 bits, unique by index.
const PREFIX_LENGTH: usize = 8;
/// Symbols of the secret part: 52 of 5 bits are 260 bits.
const KEY_LENGTH: usize = 52;
/// How exactly the last use is kept: a busy program must not write at every request.
const LAST_USED_STEP: SignedDuration = SignedDuration::from_hours(1);
