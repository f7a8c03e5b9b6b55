//! The audit log: an entry in the unit of each change, and reading it.
//!
//! The one rule: what is written holds no secret, whatever the thing that was changed holds.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::{People, PeopleError};
use crate::base::entropy::Entropy;
use crate::domain::audit::{Actor, AuditEntry};
use crate::domain::ids::AuditId;
use crate::store::audit::append;
use crate::store::contract::{Range, Unit};
use crate::store::listing::{self, Listed, Walk, Window};
use crate::store::tables::AuditLog;

/// What was done to what.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deed<'a> {
    /// `staff.create` …
    pub(super) action: &'a str,
    /// `staff` …
    pub(super) kind: &'a str,
    pub(super) subject: &'a str,
}

/// Which entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// By this actor: `staff:<id>`, `console:<uid>` …
    pub actor: Option<String>,
    /// About this thing.
    pub subject_id: Option<String>,
    /// About this kind of thing.
    pub subject_kind: Option<String>,
    /// This action.
    pub action: Option<String>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
}

/// Adds an entry to the unit of its change.
pub(super) fn record<B: Serialize, A: Serialize>(
    unit: Unit,
    entropy: &Entropy,
    actor: &Actor,
    now: Timestamp,
    deed: Deed<'_>,
    change: (Option<&B>, Option<&A>),
) -> Result<Unit, PeopleError> {
    let id = AuditId(entropy.uuid_v7(now)?);
    let entry = AuditEntry {
        id,
        at: now,
        actor: actor.id.clone(),
        actor_name: actor.name.clone(),
        action: deed.action.to_owned(),
        subject_kind: deed.kind.to_owned(),
        subject_id: deed.subject.to_owned(),
        before: change.0.and_then(without_secrets),
        after: change.1.and_then(without_secrets),
        source: actor.source.clone(),
        request_id: actor.request_id.clone(),
        why: actor.why.clone(),
    };
    Ok(append(unit, &entry)?)
}

impl People {
    /// Audit entries, the newest first.
    ///
    /// # Errors
    /// When the store cannot read.
    pub async fn audit_log(
        &self,
        filter: &AuditFilter,
        offset: usize,
        limit: usize,
    ) -> Result<Listed<AuditEntry>, PeopleError> {
        let all = AuditFilter::default();
        let (range, within) = match (&filter.subject_id, &filter.actor) {
            (Some(subject), _) => {
                let within = AuditFilter { subject_id: Some(subject.clone()), ..all };
                (Range::Equals("subject_id", subject.as_str().into()), within)
            }
            (None, Some(actor)) => {
                let within = AuditFilter { actor: Some(actor.clone()), ..all };
                (Range::Equals("actor", actor.as_str().into()), within)
            }
            (None, None) => (Range::All, all),
        };
        let (walk, window) = (Walk::newest_first(range), Window { offset, limit });
        let listed = if *filter == within {
            listing::window::<AuditLog>(&self.store, walk, window).await?
        } else {
            listing::list::<AuditLog>(&self.store, walk, window, |one| filter.fits(&one.body)).await?
        };
        Ok(listed.map(|one| one.body))
    }
}

impl AuditFilter {
    fn fits(&self, entry: &AuditEntry) -> bool {
        let same = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|one| one == value);
        same(&self.actor, &entry.actor)
            && same(&self.subject_id, &entry.subject_id)
            && same(&self.subject_kind, &entry.subject_kind)
            && same(&self.action, &entry.action)
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// The thing as JSON, without any field whose name says that it is secret.
fn without_secrets(thing: &impl Serialize) -> Option<Value> {
    let mut value = serde_json::to_value(thing).ok()?;
    strip(&mut value);
    Some(value)
}

fn strip(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|name, _| !SECRET_WORDS.iter().any(|word| name.to_lowercase().contains(word)));
            object.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Parts of the names of fields that hold secrets.
const SECRET_WORDS: &[&str] = &["password", "secret", "_hash", "claim", "credential", "verifier"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_left_out_wherever_they_are() {
        let thing = json!({
            "name": "Ada", "password": "x", "visits": [{"id": 1, "refresh_hash": "x"}],
            "deep": {"portalPassword": "x", "role": "owner"},
        });
        let expected = json!({"name": "Ada", "visits": [{"id": 1}], "deep": {"role": "owner"}});
        assert_eq!(without_secrets(&thing), Some(expected));
    }
}
