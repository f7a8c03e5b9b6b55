//! Vouchers: batches are made, handed out, sold, used and taken back.
//!
//! | file | what |
//! |---|---|
//! | [`batch`] | a batch is begun, and its vouchers are made a part at a time |
//! | [`envelope`] | the codes of a batch, handed out once |
//! | [`usage`] | the first use of a code, as part of somebody's unit |
//! | [`guess`] | how often a code may be tried |
//! | [`replace`] | a lost or misprinted voucher is replaced |
//! | [`import`] | cards that another system sold go on working |
//! | [`revoke`] | a voucher or a whole batch is taken back |
//! | [`sale`] | vouchers are sold, from a float or for cash |
//! | [`list`] | vouchers and batches as staff look at them |
//!
//! Making a subscriber and a service for a code that a stranger uses takes other use cases, so it is
//! `reception`'s. The one rule: a code is kept as a keyed hash and nowhere else, once it was handed out.

pub mod batch;
pub mod envelope;
pub mod guess;
pub mod import;
pub mod list;
pub mod replace;
pub mod revoke;
pub mod sale;
pub mod usage;

use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::book::Book;
use super::fault::BillingError;
use crate::base::entropy::Entropy;
use crate::base::jobs::Activator;
use crate::domain::audit::{Actor, AuditEntry};
use crate::domain::ids::AuditId;
use crate::domain::voucher_code::VoucherCode;
use crate::notify::{Bulletin, Post};
use crate::store::Store;
use crate::store::contract::{CommitError, Unit};
use crate::store::vault::Vault;
use crate::store::voucher_key::VoucherKey;
use guess::Guesses;

/// The use cases of vouchers; cheap to clone.
#[derive(Clone)]
pub struct Vouchers(Arc<Inner>);

struct Inner {
    parts: Parts,
    key: VoucherKey,
    guesses: Mutex<Guesses>,
    work: Activator,
    bulletin: Bulletin,
}

/// What [`Vouchers`] is built from.
pub struct Parts {
    /// Records.
    pub store: Store,
    /// Seals the codes of a batch until they are handed out; gives the key that codes are kept by.
    pub vault: Vault,
    /// For codes and ids.
    pub entropy: Entropy,
    /// The ledger, which sales are written into.
    pub book: Book,
    /// Messages to people.
    pub post: Post,
    /// Where days begin.
    pub zone: TimeZone,
    /// The site's tax, parts per million.
    pub tax_ppm: u32,
}

impl Vouchers {
    /// The use cases over a store.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let key = VoucherKey::of(&parts.vault);
        let guesses = Mutex::new(Guesses::new());
        let bulletin = Bulletin::new(parts.post.clone());
        Self(Arc::new(Inner { parts, key, guesses, work: Activator::new(), bulletin }))
    }

    /// The network login of a voucher that was used by a stranger.
    #[must_use]
    pub fn handle(&self, code: &VoucherCode) -> String {
        self.0.key.handle(code)
    }

    /// Where days begin.
    #[must_use]
    pub fn zone(&self) -> &TimeZone {
        &self.0.parts.zone
    }

    /// Wakes the job that carries on what is left to do.
    #[must_use]
    pub fn work(&self) -> Activator {
        self.0.work.clone()
    }

    pub(super) fn store(&self) -> &Store {
        &self.0.parts.store
    }

    pub(super) fn entropy(&self) -> &Entropy {
        &self.0.parts.entropy
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.0.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn once(&self, now: Timestamp) -> Result<Unit, BillingError> {
        Ok(Unit::once(self.entropy().uuid_v7(now)?))
    }

    /// Commits a unit that is safe to submit again, and finds out where an answer was lost.
    async fn commit(&self, unit: Unit) -> Result<(), CommitError> {
        for _ in 1..MOST_SUBMITS {
            match self.store().commit(unit.clone()).await {
                Err(CommitError::Unknown(_)) => {}
                known => return known.map(|_| ()),
            }
        }
        self.store().commit(unit).await.map(|_| ())
    }

    /// Adds the entry of the audit log to the unit of its change. No code may be in `before` or `after`.
    pub(super) fn audited(
        &self,
        unit: Unit,
        actor: &Actor,
        (action, subject): (&str, &dyn Display),
        (before, after): (Option<Value>, Option<Value>),
        now: Timestamp,
    ) -> Result<Unit, BillingError> {
        let id = AuditId(self.entropy().uuid_v7(now)?);
        let entry = AuditEntry {
            id,
            at: now,
            actor: actor.id.clone(),
            actor_name: actor.name.clone(),
            action: action.to_owned(),
            subject_kind: action.split('.').next().unwrap_or(action).to_owned(),
            subject_id: subject.to_string(),
            before,
            after,
            source: actor.source.clone(),
            request_id: actor.request_id.clone(),
            why: actor.why.clone(),
        };
        Ok(crate::store::audit::append(unit, &entry)?)
    }
}

impl std::ops::Deref for Inner {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl std::fmt::Debug for Vouchers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Vouchers")
    }
}

/// Submits of one unit whose answer is lost.
const MOST_SUBMITS: u32 = 3;
/// Drafts of one change while others change the same things: more is somebody's endless loop.
pub(super) const MOST_DRAFTS: u32 = 16;
