//! Adds an audit entry to the unit of its change, and tells the feed of it.
//!
//! The one rule: there is no other way to write one. The event is what the chain is made from: the feed is
//! gap-free and in commit order, so the chain can be linked afterwards without making commits wait for one
//! another (`people::audit_chain`).

use serde_json::json;

use super::contract::{CommitError, Unit};
use super::tables::AuditLog;
use crate::domain::audit::AuditEntry;

/// Adds the entry to the unit.
///
/// # Errors
/// When the entry does not serialise: our fault.
pub fn append(unit: Unit, entry: &AuditEntry) -> Result<Unit, CommitError> {
    Ok(unit.create::<AuditLog>(&entry.id, entry)?.event(WRITTEN, entry.id, json!({})))
}

/// The event of a new entry; its subject is the entry.
pub const WRITTEN: &str = "audit.entry";
