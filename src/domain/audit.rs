//! The audit log: who changed what, when, from what to what.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::AuditId;

/// One change by a person or a program; append-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Identity; ordered by time.
    pub id: AuditId,
    /// When.
    pub at: Timestamp,
    /// Who: `staff:<id>`, `console:<uid>`, `system`.
    pub actor: String,
    /// The actor's name at that time, for people.
    pub actor_name: String,
    /// What was done: `customer.create`, `nas.update` …
    pub action: String,
    /// The kind of thing: `customer`, `nas` …
    pub subject_kind: String,
    /// Which.
    pub subject_id: String,
    /// The thing before, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// The thing after, without secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
    /// Address the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The request's `X-Request-ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Why, in the words of who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Who acts: on whose behalf a use case runs. It is written into every audit entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `staff:<id>`, `console:<uid>`, `subscriber:<id>`, `system`.
    pub id: String,
    /// The name for people.
    pub name: String,
    /// Address the request came from.
    pub source: Option<String>,
    /// The request's `X-Request-ID`.
    pub request_id: Option<String>,
    /// Why they do it, where they said so.
    pub why: Option<String>,
}

impl Actor {
    /// The daemon itself.
    #[must_use]
    pub fn system() -> Self {
        Self { id: "system".into(), name: "system".into(), source: None, request_id: None, why: None }
    }
}
