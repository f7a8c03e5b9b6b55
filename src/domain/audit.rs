//! The audit log: who changed what, when, from what to what.

use std::fmt::Write;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

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

/// One link of the log's chain: an entry in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditLink {
    /// Place in the log, from 1, without gaps.
    pub seq: u64,
    /// Which entry.
    pub entry_id: AuditId,
    /// What the entry was when it was linked: [`AuditEntry::own_hash`].
    pub entry_hash: String,
    /// When it was linked.
    pub linked_at: Timestamp,
    /// Hash of the link before, hex; empty for the first.
    pub previous: String,
    /// Hash over all of the above, hex.
    pub hash: String,
}

impl AuditEntry {
    /// SHA-256 over everything that the entry says.
    #[must_use]
    pub fn own_hash(&self) -> String {
        let json = |value: &Option<serde_json::Value>| value.as_ref().map(ToString::to_string);
        let (before, after) = (json(&self.before), json(&self.after));
        let (id, at) = (self.id.to_string(), self.at.as_nanosecond().to_string());
        hash_of(&[
            Some(&id),
            Some(&at),
            Some(&self.actor),
            Some(&self.actor_name),
            Some(&self.action),
            Some(&self.subject_kind),
            Some(&self.subject_id),
            before.as_deref(),
            after.as_deref(),
            self.source.as_deref(),
            self.request_id.as_deref(),
            self.why.as_deref(),
        ])
    }
}

impl AuditLink {
    /// SHA-256 over everything but the hash itself.
    #[must_use]
    pub fn own_hash(&self) -> String {
        let (seq, id) = (self.seq.to_string(), self.entry_id.to_string());
        let at = self.linked_at.as_nanosecond().to_string();
        hash_of(&[Some(&seq), Some(&id), Some(&self.entry_hash), Some(&at), Some(&self.previous)])
    }
}

/// Each part with its length before it, so that no two lists of parts are the same octets.
fn hash_of(parts: &[Option<&str>]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        let length = part.map_or(u64::MAX, |text| u64::try_from(text.len()).unwrap_or(u64::MAX));
        hash.update(length.to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    hash.finalize().iter().fold(String::with_capacity(64), |mut text, octet| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02x}");
        text
    })
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
