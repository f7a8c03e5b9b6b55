//! The audit entry of a change, written in the change's own unit.
//!
//! The one rule: what is handed in as `before` and `after` holds no secret; the use cases strip
//! theirs before they call.

use std::fmt::Display;

use jiff::Timestamp;
use serde_json::Value;

use super::fault::Fault;
use crate::base::entropy::Entropy;
use crate::domain::audit::{Actor, AuditEntry};
use crate::domain::ids::AuditId;
use crate::store;
use crate::store::contract::Unit;

/// What was done to what.
#[derive(Debug, Clone)]
pub struct Deed {
    /// `plan.create`, `nas.update` …; its first word is the kind of thing.
    pub action: &'static str,
    /// Which thing.
    pub subject: String,
    /// The thing before.
    pub before: Option<Value>,
    /// The thing after.
    pub after: Option<Value>,
}

impl Deed {
    /// A deed that made something.
    #[must_use]
    pub fn made(action: &'static str, subject: impl Display + Copy, after: Value) -> Self {
        Self { action, subject: subject.to_string(), before: None, after: Some(after) }
    }

    /// A deed that changed something.
    #[must_use]
    pub fn changed(action: &'static str, subject: impl Display + Copy, before: Value, after: Value) -> Self {
        Self { action, subject: subject.to_string(), before: Some(before), after: Some(after) }
    }

    /// A deed that removed something.
    #[must_use]
    pub fn removed(action: &'static str, subject: impl Display + Copy, before: Value) -> Self {
        Self { action, subject: subject.to_string(), before: Some(before), after: None }
    }
}

/// Adds the entry of `deed` to `unit`.
///
/// # Errors
/// When no random bytes are had or the entry does not serialise: our fault.
pub fn record(
    unit: Unit,
    entropy: &Entropy,
    actor: &Actor,
    deed: Deed,
    now: Timestamp,
) -> Result<Unit, Fault> {
    let id = AuditId(entropy.uuid_v7(now)?);
    let subject_kind = deed.action.split('.').next().unwrap_or(deed.action).to_owned();
    let entry = AuditEntry {
        id,
        at: now,
        actor: actor.id.clone(),
        actor_name: actor.name.clone(),
        action: deed.action.to_owned(),
        subject_kind,
        subject_id: deed.subject,
        before: deed.before,
        after: deed.after,
        source: actor.source.clone(),
        request_id: actor.request_id.clone(),
        why: actor.why.clone(),
    };
    Ok(store::audit::append(unit, &entry)?)
}
